/*-------------------------------------------------------------------------
 *
 * link.c
 *	  The init's end of the socket.
 *
 * Nothing here blocks. Bulk (output, file content, relayed bytes) is only
 * produced while nothing waits in the queue, so the queue holds small frames
 * only: a few for each operation and connection, whose numbers are bounded.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "sandbox/init/init.h"

#define LINK_QUEUE_MAX 4096

typedef struct LinkFrame
{
	struct LinkFrame *next;
	size_t len;
	unsigned char data[];
} LinkFrame;

static LinkFrame *link_head, **link_tail = &link_head;
static int link_queued;

/* True: sent. False: the socket is full. A dead parent ends the box. */
static bool
link_try(const struct iovec *iov, int niov, size_t len)
{
	struct msghdr msg = {.msg_iov = (struct iovec *) iov, .msg_iovlen = (size_t) niov};
	ssize_t n;

	do
		n = sendmsg(INIT_SOCKET, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t) len)
		return true;
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS))
		return false;
	init_die(70);
}

void
link_send(TzWireType type, uint32_t id, const void *data, size_t len)
{
	unsigned char head[TZ_WIRE_HEADER];
	struct iovec iov[2] = {{head, sizeof(head)}, {(void *) data, len}};
	LinkFrame *f;

	if (len > TZ_WIRE_PAYLOAD_MAX)
		init_die(71);
	tz_wire_header(head, type, id, len);
	if (link_head == NULL && link_try(iov, len > 0 ? 2 : 1, sizeof(head) + len))
		return;
	f = malloc(sizeof(*f) + sizeof(head) + len);
	if (f == NULL || ++link_queued > LINK_QUEUE_MAX)
		init_die(72);
	f->next = NULL;
	f->len = sizeof(head) + len;
	memcpy(f->data, head, sizeof(head));
	if (len > 0)
		memcpy(f->data + sizeof(head), data, len);
	*link_tail = f;
	link_tail = &f->next;
}

void
link_flush(void)
{
	while (link_head != NULL)
	{
		LinkFrame *f = link_head;
		struct iovec iov = {f->data, f->len};

		if (!link_try(&iov, 1, f->len))
			return;
		link_head = f->next;
		if (link_head == NULL)
			link_tail = &link_head;
		link_queued--;
		free(f);
	}
}

bool
link_clear(void)
{
	return link_head == NULL;
}

bool
link_wants_write(void)
{
	return link_head != NULL;
}

void
link_fail(uint32_t id, uint32_t failure, const char *fmt, ...)
{
	unsigned char out[4 + TZ_WIRE_REASON_MAX];
	char text[TZ_WIRE_REASON_MAX];
	TzWireWriter w;
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) < 1)
		snprintf(text, sizeof(text), "failed");
	va_end(ap);
	tz_wire_writer(&w, out, sizeof(out));
	tz_wire_put_u32(&w, failure);
	tz_wire_put_bytes(&w, text, strlen(text));
	link_send(TZ_WIRE_FAIL, id, out, w.len);
}

/* What an errno of a file call means to the caller. */
uint32_t
link_failure_of(int err, const char **text)
{
	switch (err)
	{
		case ENOENT:
			*text = "does not exist";
			return TZ_WIRE_F_NOT_FOUND;
		case ENOTDIR:
			*text = "is not a directory, or a part of the path is not";
			return TZ_WIRE_F_BAD;
		case EISDIR:
			*text = "is a directory";
			return TZ_WIRE_F_BAD;
		case ELOOP:
		case EXDEV:
			*text = "is a link, or leads out of the workspace through one";
			return TZ_WIRE_F_BAD;
		case ENAMETOOLONG:
			*text = "is too long a name";
			return TZ_WIRE_F_BAD;
		case EACCES:
		case EPERM:
		case EROFS:
			*text = "is not permitted";
			return TZ_WIRE_F_BAD;
		case EINVAL:
		case ENXIO:
			*text = "is not a regular file";
			return TZ_WIRE_F_BAD;
		case ENOTEMPTY:
		case EEXIST:
			*text = "is a directory that is not empty";
			return TZ_WIRE_F_BAD;
		case ENOSPC:
		case EDQUOT:
			*text = "does not fit: the sandbox's disk is full";
			return TZ_WIRE_F_TOO_LARGE;
		case EFBIG:
			*text = "is larger than a file may be";
			return TZ_WIRE_F_TOO_LARGE;
		default:
			*text = strerrordesc_np(err);
			if (*text == NULL)
				*text = "failed";
			return TZ_WIRE_F_SYSTEM;
	}
}

void
link_fail_errno(uint32_t id, int err, const char *path)
{
	const char *text;
	uint32_t failure = link_failure_of(err, &text);

	link_fail(id, failure, "\"%.100s\" %s", path, text);
}

void
link_receive(void (*handle)(const TzWireFrame *frame))
{
	static unsigned char packet[TZ_WIRE_FRAME_MAX + 1];

	for (int i = 0; i < 64; i++)
	{
		TzWireFrame frame;
		ssize_t n = recv(INIT_SOCKET, packet, sizeof(packet), MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (n <= 0)
			init_die(0); /* the parent is gone: so is the box */
		if (!tz_wire_parse(packet, (size_t) n, false, &frame))
			init_die(73);
		handle(&frame);
	}
}
