/*-------------------------------------------------------------------------
 *
 * box_io.c
 *	  The parent's end of the socket: frames out, frames in.
 *
 * Small frames go through a queue; content of commands and files is sent
 * straight from the operation that owns it, in turns, so that memory is what
 * the callers handed over and no more. A packet that is no frame, or a frame
 * out of its place, ends the box.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sandbox/box_internal.h"

#define BOX_QUEUE_MAX 4096

static void box_readable(TzBox *box);
static void box_on_frame(TzBox *box, const TzWireFrame *frame);

/* True: sent. False: full, or the box is gone (the reading side will notice). */
static bool
box_try_send(TzBox *box, struct iovec *iov, int niov)
{
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = (size_t) niov};
	ssize_t n;

	do
		n = sendmsg(box->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		box->blocked = true;
	return n >= 0;
}

void
tz_box_send(TzBox *box, TzWireType type, uint32_t id, const void *data, size_t len)
{
	unsigned char head[TZ_WIRE_HEADER];
	struct iovec iov[2] = {{head, sizeof(head)}, {(void *) data, len}};
	BoxFrame *f;
	int queued = 0;

	if (box->state == BOX_DEAD || len > TZ_WIRE_PAYLOAD_MAX)
		return;
	tz_wire_header(head, type, id, len);
	if (box->queue == NULL && !box->blocked && box_try_send(box, iov, len > 0 ? 2 : 1))
		return;
	for (f = box->queue; f != NULL; f = f->next)
		queued++;
	f = queued < BOX_QUEUE_MAX ? malloc(sizeof(*f) + sizeof(head) + len) : NULL;
	if (f == NULL)
	{
		tz_box_fail(box, TZ_NOMEM, "out of memory");
		return;
	}
	f->next = NULL;
	f->len = sizeof(head) + len;
	memcpy(f->data, head, sizeof(head));
	if (len > 0)
		memcpy(f->data + sizeof(head), data, len);
	*box->queue_tail = f;
	box->queue_tail = &f->next;
	(void) tz_box_interest(box);
}

static void
box_flush(TzBox *box)
{
	while (box->queue != NULL && !box->blocked)
	{
		BoxFrame *f = box->queue;
		struct iovec iov = {f->data, f->len};

		if (!box_try_send(box, &iov, 1))
			return;
		box->queue = f->next;
		if (box->queue == NULL)
			box->queue_tail = &box->queue;
		free(f);
	}
	if (!box->blocked)
		tz_box_op_data(box);
}

static void box_on_socket(void *arg, int fd, int events);

/* Asks the mux for what is needed now. */
TzStatus
tz_box_interest(TzBox *box)
{
	int events = TZ_MUX_READ;

	if (box->state == BOX_DEAD)
		return TZ_OK;
	if (box->blocked || box->queue != NULL || tz_box_op_data_waiting(box))
		events |= TZ_MUX_WRITE;
	return tz_mux_set(box->mux, box->fd, events, box_on_socket, box);
}

static void
box_on_socket(void *arg, int fd, int events)
{
	TzBox *box = arg;

	(void) fd;
	tz_box_enter(box);
	if (events & TZ_MUX_WRITE)
	{
		box->blocked = false;
		box_flush(box);
		if (box->state != BOX_DEAD && !box->blocked)
			tz_box_relay_resume(box);
	}
	if (box->state != BOX_DEAD && (events & (TZ_MUX_READ | TZ_MUX_HUP)))
		box_readable(box);
	(void) tz_box_interest(box);
	tz_box_leave(box);
}

/*
 * The kernel's word for who sent READY: the init's pid as we see it. Used to
 * wait for the end of the whole pid namespace, so a process that is not below
 * our child would be waited for in vain at worst.
 */
static void
box_note_sender(TzBox *box, struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c))
	{
		struct ucred cred;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS ||
		    c->cmsg_len < CMSG_LEN(sizeof(cred)))
			continue;
		memcpy(&cred, CMSG_DATA(c), sizeof(cred));
		if (cred.pid > 0 && box->pidfd < 0)
			box->pidfd = (int) syscall(SYS_pidfd_open, cred.pid, 0);
	}
}

static void
box_readable(TzBox *box)
{
	static unsigned char packet[TZ_WIRE_FRAME_MAX + 1];

	for (int i = 0; i < BOX_FRAMES_A_TURN && box->state != BOX_DEAD; i++)
	{
		char control[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(16 * sizeof(int))];
		struct iovec iov = {packet, sizeof(packet)};
		struct msghdr msg = {.msg_iov = &iov,
		                     .msg_iovlen = 1,
		                     .msg_control = control,
		                     .msg_controllen = sizeof(control)};
		TzWireFrame frame;
		ssize_t n = recvmsg(box->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0)
		{
			tz_box_fail(box, TZ_UNAVAILABLE,
			            box->state == BOX_STARTING ? "the sandbox could not be started"
			                                       : "the sandbox ended by itself");
			return;
		}
		if (box->state == BOX_STARTING)
			box_note_sender(box, &msg);
		/* Descriptors in a message: a correct init never sends any. */
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c != NULL; c = CMSG_NXTHDR(&msg, c))
			if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			{
				size_t nfds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

				for (size_t k = 0; k < nfds; k++)
				{
					int got;

					memcpy(&got, CMSG_DATA(c) + k * sizeof(int), sizeof(int));
					close(got);
				}
				tz_box_fail(box, TZ_BAD_ANSWER, "sandbox fault: descriptors in a message");
				return;
			}
		if ((msg.msg_flags & MSG_TRUNC) || !tz_wire_parse(packet, (size_t) n, true, &frame))
		{
			tz_box_fail(box, TZ_BAD_ANSWER, "sandbox fault: malformed message");
			return;
		}
		box_on_frame(box, &frame);
	}
}

static void
box_on_ready(TzBox *box, const TzWireFrame *frame)
{
	TzWireReader r;
	uint32_t version, has;
	TzBoxResult res;

	tz_wire_reader(&r, frame->data, frame->len);
	version = tz_wire_get_u32(&r);
	has = tz_wire_get_u32(&r);
	if (box->state != BOX_STARTING || !tz_wire_end(&r))
	{
		tz_box_fail(box, TZ_BAD_ANSWER, "sandbox fault: unexpected greeting");
		return;
	}
	if (version != TZ_WIRE_VERSION || (has & TZ_WIRE_HAS_SECCOMP) == 0)
	{
		tz_box_fail(box, TZ_UNSUPPORTED, "the sandbox's init program does not belong to this version");
		return;
	}
	box->state = BOX_READY;
	box->sample_outside = (has & TZ_WIRE_HAS_PROC) == 0;
	if (box->err_fd >= 0)
	{
		tz_mux_remove(box->mux, box->err_fd);
		close(box->err_fd);
		box->err_fd = -1;
	}
	memset(&res, 0, sizeof(res));
	if (box->ready != NULL)
		box->ready(box->ready_arg, &res);
}

static void
box_on_frame(TzBox *box, const TzWireFrame *frame)
{
	switch (frame->type)
	{
		case TZ_WIRE_READY:
			box_on_ready(box, frame);
			break;
		case TZ_WIRE_CONN_OPEN:
		case TZ_WIRE_CONN_DATA:
		case TZ_WIRE_CONN_EOF:
		case TZ_WIRE_CONN_WINDOW:
		case TZ_WIRE_CONN_RESET:
			tz_box_relay_frame(box, frame);
			break;
		default:
			tz_box_op_frame(box, frame);
			break;
	}
}
