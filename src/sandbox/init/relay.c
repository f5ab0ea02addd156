/*-------------------------------------------------------------------------
 *
 * relay.c
 *	  The box's only way out: CONNECT on 127.0.0.1:3128, carried to the parent.
 *
 * The box has a network namespace with nothing but loopback. Here a program's
 * "CONNECT host:port" is read and handed to the parent, which decides, opens
 * the connection itself and passes bytes. Each direction of each connection
 * has a window: no more bytes are under way than the other side has room for,
 * so one connection that stands still stops neither the others nor commands.
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sandbox/init/init.h"

#define RELAY_HEAD_MAX 8192
#define RELAY_HEAD_US 10000000
#define RELAY_CHUNK 16384

typedef enum RelayState
{
	RELAY_FREE = 0,
	RELAY_HEAD, /* reading the request */
	RELAY_ASKED, /* the parent decides */
	RELAY_OPEN,
	RELAY_ANSWERED /* refused: write the answer, then close */
} RelayState;

typedef struct RelayConn
{
	RelayState state;
	int fd;
	uint32_t id;
	int64_t deadline_us;
	char *in; /* RELAY_HEAD_MAX: the request, and what came behind it */
	size_t in_len;
	size_t in_pos; /* sent so far of what came behind */
	char *out; /* to the program: TZ_WIRE_WINDOW and an answer */
	size_t out_len;
	size_t out_pos;
	size_t own; /* of that, bytes of our own answer: outside the window */
	uint32_t credit; /* bytes we may send to the parent */
	uint32_t taken; /* bytes written to the program, not yet announced */
	bool eof_sent;
	bool eof_got;
	bool shut;
	int poll_at;
} RelayConn;

#define RELAY_OUT_MAX (TZ_WIRE_WINDOW + 1024)

static int relay_fd = -1;
static int relay_poll_at = -1;
static uint32_t relay_last_id;
static RelayConn relay_conns[TZ_WIRE_CONNS_MAX];

bool
relay_start(void)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
	                           .sin_port = htons(INIT_RELAY_PORT),
	                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int one = 1;

	relay_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (relay_fd < 0)
		return false;
	(void) setsockopt(relay_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(relay_fd, (struct sockaddr *) &addr, sizeof(addr)) != 0 || listen(relay_fd, 64) != 0)
	{
		close(relay_fd);
		relay_fd = -1;
	}
	return relay_fd >= 0;
}

static void
relay_close(RelayConn *c)
{
	close(c->fd);
	free(c->in);
	free(c->out);
	memset(c, 0, sizeof(*c));
}

static void
relay_reset(RelayConn *c)
{
	if (c->state == RELAY_ASKED || c->state == RELAY_OPEN)
		link_send(TZ_WIRE_CONN_RESET, c->id, NULL, 0);
	relay_close(c);
}

static bool
relay_text(RelayConn *c, const char *text)
{
	size_t len = strlen(text);

	if (c->out_len + len > RELAY_OUT_MAX)
		return false;
	memcpy(c->out + c->out_len, text, len);
	c->out_len += len;
	return true;
}

/* An answer of our own, then the end. */
static void
relay_answer(RelayConn *c, int status, const char *reason)
{
	char text[512];

	snprintf(
		text, sizeof(text),
		"HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s\n",
		status,
		status == 403   ? "Forbidden"
		: status == 405 ? "Method Not Allowed"
		: status == 503 ? "Service Unavailable"
						: "Bad Request",
		strlen(reason) + 1, reason);
	(void) relay_text(c, text);
	c->state = RELAY_ANSWERED;
	c->deadline_us = init_now_us() + RELAY_HEAD_US;
}

static void
relay_accept(int64_t now)
{
	for (int n = 0; n < TZ_WIRE_CONNS_MAX; n++)
	{
		RelayConn *c = NULL;
		int one = 1, fd;

		for (int i = 0; i < TZ_WIRE_CONNS_MAX && c == NULL; i++)
			if (relay_conns[i].state == RELAY_FREE)
				c = &relay_conns[i];
		if (c == NULL)
			return; /* the rest wait in the backlog */
		fd = accept4(relay_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			return;
		(void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		c->fd = fd;
		c->poll_at = -1;
		c->in = malloc(RELAY_HEAD_MAX);
		c->out = malloc(RELAY_OUT_MAX);
		c->state = RELAY_HEAD;
		c->deadline_us = now + RELAY_HEAD_US;
		if (c->in == NULL || c->out == NULL)
			relay_close(c);
	}
}

static void
relay_ask(RelayConn *c, const char *host, int port, size_t head)
{
	unsigned char out[2 + TZ_WIRE_HOST_MAX];
	TzWireWriter w;

	/* Bytes behind the head are the client's first ones and must not be lost. */
	c->in_pos = head;
	c->id = ++relay_last_id;
	c->credit = TZ_WIRE_WINDOW;
	c->state = RELAY_ASKED;
	tz_wire_writer(&w, out, sizeof(out));
	tz_wire_put_u16(&w, (uint32_t) port);
	tz_wire_put_bytes(&w, host, strlen(host));
	link_send(TZ_WIRE_CONN_OPEN, c->id, out, w.len);
}

static void
relay_head(RelayConn *c)
{
	char host[TZ_WIRE_HOST_MAX + 1];
	int port, status, head;
	ssize_t n = read(c->fd, c->in + c->in_len, RELAY_HEAD_MAX - c->in_len);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
	{
		relay_close(c);
		return;
	}
	c->in_len += (size_t) n;
	head = tz_wire_connect_head(c->in, c->in_len, RELAY_HEAD_MAX, host, &port, &status);
	if (head > 0)
		relay_ask(c, host, port, (size_t) head);
	else if (head < 0)
		relay_answer(c, status,
		             status == 405 ? "only CONNECT is carried: use https" : "this request is not understood");
}

/* From the program to the parent, within its window. */
static void
relay_up(RelayConn *c)
{
	static unsigned char buf[RELAY_CHUNK];

	while (c->state == RELAY_OPEN && link_clear() && c->credit > 0 && !c->eof_sent)
	{
		size_t want = c->credit < sizeof(buf) ? c->credit : sizeof(buf);
		ssize_t n;

		if (c->in_pos < c->in_len)
		{
			n = (ssize_t) (c->in_len - c->in_pos < want ? c->in_len - c->in_pos : want);
			link_send(TZ_WIRE_CONN_DATA, c->id, c->in + c->in_pos, (size_t) n);
			c->in_pos += (size_t) n;
			c->credit -= (uint32_t) n;
			continue;
		}
		n = read(c->fd, buf, want);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0)
		{
			relay_reset(c);
			return;
		}
		if (n == 0)
		{
			c->eof_sent = true;
			link_send(TZ_WIRE_CONN_EOF, c->id, NULL, 0);
			return;
		}
		link_send(TZ_WIRE_CONN_DATA, c->id, buf, (size_t) n);
		c->credit -= (uint32_t) n;
	}
}

/* What waits for the program. */
static void
relay_down(RelayConn *c)
{
	while (c->out_pos < c->out_len)
	{
		ssize_t n = send(c->fd, c->out + c->out_pos, c->out_len - c->out_pos, MSG_NOSIGNAL);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n <= 0)
		{
			relay_reset(c);
			return;
		}
		c->out_pos += (size_t) n;
		if (c->own < (size_t) n)
			c->taken += (uint32_t) ((size_t) n - c->own);
		c->own -= c->own < (size_t) n ? c->own : (size_t) n;
	}
	if (c->out_pos == c->out_len)
		c->out_pos = c->out_len = 0;
	if (c->state == RELAY_OPEN && !c->eof_got && c->taken >= TZ_WIRE_WINDOW / 4)
	{
		unsigned char out[4];
		TzWireWriter w;

		tz_wire_writer(&w, out, sizeof(out));
		tz_wire_put_u32(&w, c->taken);
		link_send(TZ_WIRE_CONN_WINDOW, c->id, out, w.len);
		c->taken = 0;
	}
	if (c->out_len > 0)
		return;
	if (c->state == RELAY_ANSWERED)
		relay_close(c);
	else if (c->state == RELAY_OPEN && c->eof_got && !c->shut)
	{
		c->shut = true;
		(void) shutdown(c->fd, SHUT_WR);
	}
	if (c->state == RELAY_OPEN && c->eof_got && c->eof_sent)
		relay_close(c); /* both sides know it is over */
}

void
relay_poll(struct pollfd *fds, int *n, int64_t *deadline)
{
	int used = 0;

	relay_poll_at = -1;
	if (relay_fd < 0)
		return;
	for (int i = 0; i < TZ_WIRE_CONNS_MAX; i++)
	{
		RelayConn *c = &relay_conns[i];
		short events = 0;

		if (c->state == RELAY_FREE)
			continue;
		used++;
		c->poll_at = -1;
		if (c->state == RELAY_HEAD ||
		    (c->state == RELAY_OPEN && link_clear() && c->credit > 0 && !c->eof_sent))
			events |= POLLIN;
		if (c->out_pos < c->out_len)
			events |= POLLOUT;
		if (c->state == RELAY_OPEN && c->in_pos < c->in_len && c->credit > 0 && link_clear())
			init_due(deadline, 0);
		if (c->state == RELAY_HEAD || c->state == RELAY_ANSWERED)
			init_due(deadline, c->deadline_us);
		if (events != 0)
			c->poll_at = init_poll_add(fds, n, c->fd, events);
	}
	if (used < TZ_WIRE_CONNS_MAX)
		relay_poll_at = init_poll_add(fds, n, relay_fd, POLLIN);
}

void
relay_step(const struct pollfd *fds, int n, int64_t now)
{
	if (relay_fd < 0)
		return;
	for (int i = 0; i < TZ_WIRE_CONNS_MAX; i++)
	{
		RelayConn *c = &relay_conns[i];
		short got = 0;

		if (c->state == RELAY_FREE)
			continue;
		if (c->poll_at >= 0 && c->poll_at < n)
			got = fds[c->poll_at].revents;
		c->poll_at = -1;
		if (c->state == RELAY_HEAD && (got & (POLLIN | POLLHUP | POLLERR)))
			relay_head(c);
		if (c->state == RELAY_OPEN)
			relay_up(c);
		if (c->state == RELAY_OPEN || c->state == RELAY_ANSWERED)
			relay_down(c);
		if ((c->state == RELAY_HEAD || c->state == RELAY_ANSWERED) && now >= c->deadline_us)
			relay_close(c);
	}
	if (relay_poll_at >= 0 && relay_poll_at < n && fds[relay_poll_at].revents != 0)
		relay_accept(now);
}

static void
relay_data(RelayConn *c, const TzWireFrame *frame)
{
	size_t waiting = c->out_len - c->out_pos;

	if (c->state != RELAY_OPEN || c->eof_got || waiting + frame->len > TZ_WIRE_WINDOW + 512)
		init_die(95); /* the parent sent more than its window */
	if (c->out_pos > 0)
	{
		memmove(c->out, c->out + c->out_pos, waiting);
		c->out_pos = 0;
		c->out_len = waiting;
	}
	memcpy(c->out + c->out_len, frame->data, frame->len);
	c->out_len += frame->len;
}

void
relay_frame(const TzWireFrame *frame)
{
	RelayConn *c = NULL;
	TzWireReader r;
	char reason[TZ_WIRE_REASON_MAX + 1];

	for (int i = 0; i < TZ_WIRE_CONNS_MAX && c == NULL; i++)
		if (relay_conns[i].state >= RELAY_ASKED && relay_conns[i].state != RELAY_ANSWERED &&
		    relay_conns[i].id == frame->id)
			c = &relay_conns[i];
	if (c == NULL)
	{
		if (frame->id == 0 || frame->id > relay_last_id)
			init_die(96);
		return; /* over on this side already */
	}
	switch (frame->type)
	{
		case TZ_WIRE_CONN_OK:
			if (c->state != RELAY_ASKED)
				init_die(97);
			c->state = RELAY_OPEN;
			(void) relay_text(c, "HTTP/1.1 200 Connection established\r\n\r\n");
			c->own = c->out_len;
			break;
		case TZ_WIRE_CONN_REFUSED:
			if (c->state != RELAY_ASKED)
				init_die(97);
			snprintf(reason, sizeof(reason), "%.*s",
			         (int) (frame->len < TZ_WIRE_REASON_MAX ? frame->len : TZ_WIRE_REASON_MAX),
			         (const char *) frame->data);
			relay_answer(c, 403, reason);
			break;
		case TZ_WIRE_CONN_DATA:
			relay_data(c, frame);
			break;
		case TZ_WIRE_CONN_EOF:
			c->eof_got = true;
			break;
		case TZ_WIRE_CONN_WINDOW:
			tz_wire_reader(&r, frame->data, frame->len);
			c->credit += tz_wire_get_u32(&r);
			if (!tz_wire_end(&r) || c->credit > TZ_WIRE_WINDOW)
				init_die(98);
			break;
		default: /* CONN_RESET */
			relay_close(c);
			break;
	}
}
