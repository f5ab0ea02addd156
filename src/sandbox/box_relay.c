/*-------------------------------------------------------------------------
 *
 * box_relay.c
 *	  Connections out of a box, carried between its socket and the real one.
 *
 * The owner decides on each CONNECT and hands over a connected socket; here
 * bytes are passed within windows. A connection holds at most one window per
 * direction in memory, whatever either end does.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sandbox/box_internal.h"

#define RELAY_CHUNK 16384
#define RELAY_ASK_BURST 100
#define RELAY_ASK_A_SECOND 20

static void relay_on_upstream(void *arg, int fd, int events);

static void
relay_free(BoxConn *c)
{
	TzBox *box = c->box;

	if (c->fd >= 0)
	{
		tz_mux_remove(box->mux, c->fd);
		close(c->fd);
	}
	free(c->out);
	memset(c, 0, sizeof(*c));
	c->box = box;
	c->fd = -1;
}

void
tz_box_relay_close_all(TzBox *box)
{
	for (int i = 0; i < TZ_WIRE_CONNS_MAX; i++)
		if (box->conns[i].state != BOX_CONN_FREE)
			relay_free(&box->conns[i]);
}

static BoxConn *
relay_find(TzBox *box, uint32_t id)
{
	for (int i = 0; i < TZ_WIRE_CONNS_MAX; i++)
		if (box->conns[i].state != BOX_CONN_FREE && box->conns[i].id == id)
			return &box->conns[i];
	return NULL;
}

static void
relay_reset(BoxConn *c)
{
	TzBox *box = c->box;
	uint32_t id = c->id;

	relay_free(c);
	tz_box_send(box, TZ_WIRE_CONN_RESET, id, NULL, 0);
}

/* What upstream's socket is watched for; none at all when there is nothing to do, or it would spin on hang-up. */
static void
relay_interest(BoxConn *c)
{
	TzBox *box = c->box;
	int events = 0;

	if (c->out_pos < c->out_len)
		events |= TZ_MUX_WRITE;
	if (!c->eof_sent && c->credit > 0 && !box->blocked)
		events |= TZ_MUX_READ;
	if (events == 0)
		tz_mux_remove(box->mux, c->fd);
	else if (tz_mux_set(box->mux, c->fd, events, relay_on_upstream, c) != TZ_OK)
		relay_reset(c);
}

/* Towards upstream. False: the connection is over. */
static bool
relay_write(BoxConn *c)
{
	while (c->out_pos < c->out_len)
	{
		ssize_t n = send(c->fd, c->out + c->out_pos, c->out_len - c->out_pos, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n <= 0)
		{
			relay_reset(c);
			return false;
		}
		c->out_pos += (size_t) n;
		c->taken += (uint32_t) n;
	}
	if (c->out_pos == c->out_len)
		c->out_pos = c->out_len = 0;
	if (c->taken >= TZ_WIRE_WINDOW / 4 && !c->eof_got)
	{
		unsigned char out[4];
		TzWireWriter w;

		tz_wire_writer(&w, out, sizeof(out));
		tz_wire_put_u32(&w, c->taken);
		c->taken = 0;
		tz_box_send(c->box, TZ_WIRE_CONN_WINDOW, c->id, out, w.len);
	}
	if (c->out_len == 0 && c->eof_got && !c->shut)
	{
		c->shut = true;
		(void) shutdown(c->fd, SHUT_WR);
	}
	return c->state == BOX_CONN_OPEN;
}

/* From upstream into the box. False: the connection is over. */
static bool
relay_read(BoxConn *c)
{
	static char buf[RELAY_CHUNK];
	TzBox *box = c->box;

	/* A few chunks, then others have their turn. */
	for (int i = 0; i < 8 && !c->eof_sent && c->credit > 0 && !box->blocked; i++)
	{
		size_t want = c->credit < sizeof(buf) ? c->credit : sizeof(buf);
		ssize_t n = recv(c->fd, buf, want, MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return true;
		if (n < 0)
		{
			relay_reset(c);
			return false;
		}
		if (n == 0)
		{
			c->eof_sent = true;
			tz_box_send(box, TZ_WIRE_CONN_EOF, c->id, NULL, 0);
		}
		else
		{
			c->credit -= (uint32_t) n;
			tz_box_send(box, TZ_WIRE_CONN_DATA, c->id, buf, (size_t) n);
		}
		if (c->state != BOX_CONN_OPEN)
			return false; /* the box failed while sending */
	}
	return true;
}

static void
relay_turn(BoxConn *c)
{
	if (!relay_write(c) || !relay_read(c))
		return;
	if (c->eof_got && c->eof_sent && c->out_len == 0)
		relay_free(c);
	else
		relay_interest(c);
}

static void
relay_on_upstream(void *arg, int fd, int events)
{
	BoxConn *c = arg;
	TzBox *box = c->box;

	(void) fd;
	(void) events;
	if (c->state != BOX_CONN_OPEN)
		return;
	tz_box_enter(box);
	relay_turn(c);
	tz_box_leave(box);
}

/* The socket into the box takes frames again. */
void
tz_box_relay_resume(TzBox *box)
{
	for (int i = 0; i < TZ_WIRE_CONNS_MAX && box->state != BOX_DEAD && !box->blocked; i++)
		if (box->conns[i].state == BOX_CONN_OPEN)
			relay_turn(&box->conns[i]);
}

void
tz_box_connect_allow(TzBox *box, uint32_t conn, int upstream_fd)
{
	int one = 1;
	BoxConn *c = box->state == BOX_DEAD ? NULL : relay_find(box, conn);

	if (c == NULL || c->state != BOX_CONN_ASKED)
	{
		close(upstream_fd); /* the program gave up meanwhile */
		return;
	}
	tz_box_enter(box);
	c->fd = upstream_fd;
	c->state = BOX_CONN_OPEN;
	c->credit = TZ_WIRE_WINDOW;
	/* A far end that vanished has to be noticed; TLS records are not to wait for each other. */
	(void) setsockopt(upstream_fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	(void) setsockopt(upstream_fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->out = malloc(TZ_WIRE_WINDOW);
	if (c->out == NULL)
		relay_reset(c);
	else
	{
		tz_box_send(box, TZ_WIRE_CONN_OK, conn, NULL, 0);
		if (c->state == BOX_CONN_OPEN)
			relay_interest(c);
	}
	tz_box_leave(box);
}

void
tz_box_connect_deny(TzBox *box, uint32_t conn, const char *reason)
{
	BoxConn *c = box->state == BOX_DEAD ? NULL : relay_find(box, conn);
	size_t len = reason != NULL ? strlen(reason) : 0;

	if (c == NULL || c->state != BOX_CONN_ASKED)
		return;
	relay_free(c);
	tz_box_enter(box);
	tz_box_send(box, TZ_WIRE_CONN_REFUSED, conn, reason, len < TZ_WIRE_REASON_MAX ? len : TZ_WIRE_REASON_MAX);
	tz_box_leave(box);
}

/* Each question costs the parent a decision and a record: so many a second, no more. */
static bool
relay_may_ask(TzBox *box)
{
	int64_t now = tz_box_now_ms();

	if (box->conn_ms == 0)
		box->conn_budget = RELAY_ASK_BURST;
	else
	{
		int64_t more = (now - box->conn_ms) * RELAY_ASK_A_SECOND / 1000;

		if (more == 0)
			now = box->conn_ms; /* time that is not paid out yet counts on */
		more += box->conn_budget;
		box->conn_budget = more < RELAY_ASK_BURST ? (int) more : RELAY_ASK_BURST;
	}
	box->conn_ms = now;
	if (box->conn_budget == 0)
		return false;
	box->conn_budget--;
	return true;
}

static bool
relay_open(TzBox *box, const TzWireFrame *frame)
{
	static const char names[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:";
	TzWireReader r;
	BoxConn *c = NULL;
	char host[TZ_WIRE_HOST_MAX + 1];
	const char *text;
	size_t len;
	uint32_t port;

	tz_wire_reader(&r, frame->data, frame->len);
	port = tz_wire_get_u16(&r);
	text = tz_wire_get_rest(&r, TZ_WIRE_HOST_MAX, &len);
	if (text == NULL || port == 0 || frame->id != box->last_conn + 1)
		return false;
	/* It will be logged, matched and resolved: nothing but what a name is made of. */
	for (size_t i = 0; i < len; i++)
		if (memchr(names, text[i], sizeof(names) - 1) == NULL)
			return false;
	memcpy(host, text, len);
	host[len] = '\0';
	for (int i = 0; i < TZ_WIRE_CONNS_MAX && c == NULL; i++)
		if (box->conns[i].state == BOX_CONN_FREE)
			c = &box->conns[i];
	box->last_conn = frame->id;
	if (c == NULL || box->cb.connect == NULL || !relay_may_ask(box))
	{
		const char *why = box->cb.connect == NULL ? "this sandbox has no network" : "too many connections";

		tz_box_send(box, TZ_WIRE_CONN_REFUSED, frame->id, why, strlen(why));
		return true;
	}
	c->state = BOX_CONN_ASKED;
	c->id = frame->id;
	box->cb.connect(box->cb.arg, box, frame->id, host, (int) port);
	return true;
}

static bool
relay_data(BoxConn *c, const TzWireFrame *frame)
{
	size_t waiting = c->out_len - c->out_pos;

	/* A correct init never sends more than it was told there is room for. */
	if (c->eof_got || frame->len == 0 || waiting + c->taken + frame->len > TZ_WIRE_WINDOW)
		return false;
	if (c->out_pos > 0)
	{
		memmove(c->out, c->out + c->out_pos, waiting);
		c->out_pos = 0;
		c->out_len = waiting;
	}
	memcpy(c->out + c->out_len, frame->data, frame->len);
	c->out_len += frame->len;
	return true;
}

static bool
relay_frame_open(BoxConn *c, const TzWireFrame *frame)
{
	TzWireReader r;
	uint32_t more;

	switch (frame->type)
	{
		case TZ_WIRE_CONN_DATA:
			if (!relay_data(c, frame))
				return false;
			break;
		case TZ_WIRE_CONN_EOF:
			if (c->eof_got || frame->len != 0)
				return false;
			c->eof_got = true;
			break;
		default: /* CONN_WINDOW */
			tz_wire_reader(&r, frame->data, frame->len);
			more = tz_wire_get_u32(&r);
			if (!tz_wire_end(&r) || more == 0 || more > TZ_WIRE_WINDOW - c->credit)
				return false;
			c->credit += more;
			break;
	}
	relay_turn(c);
	return true;
}

void
tz_box_relay_frame(TzBox *box, const TzWireFrame *frame)
{
	BoxConn *c;
	bool ok;

	if (box->state != BOX_READY)
		ok = false;
	else if (frame->type == TZ_WIRE_CONN_OPEN)
		ok = relay_open(box, frame);
	else if ((c = relay_find(box, frame->id)) == NULL)
		ok = frame->id != 0 && frame->id <= box->last_conn; /* over on this side already */
	else if (frame->type == TZ_WIRE_CONN_RESET)
	{
		relay_free(c);
		ok = true;
	}
	else
		ok = c->state == BOX_CONN_OPEN && relay_frame_open(c, frame);
	if (!ok)
		tz_box_fail(box, TZ_BAD_ANSWER, "sandbox fault: a connection's message out of place");
}
