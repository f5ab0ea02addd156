/*
 * The parent's side against a hostile init: no process, only a socket. The
 * input is a list of packets (u16 length, bytes); between them the parent
 * asks for things. Nothing may crash, leak, or answer an operation twice.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sandbox/box_internal.h"

static int pending;

static void
on_done(void *arg, const TzBoxResult *res)
{
	(void) arg;
	if (--pending < 0 || res->out.len > 4096 || res->errout.len > 4096)
		abort();
}

static void
on_connect(void *arg, TzBox *box, uint32_t conn, const char *host, int port)
{
	int fds[2];

	(void) arg;
	if (port < 1 || port > 65535 || host[0] == '\0')
		abort();
	if (port % 3 == 0)
		tz_box_connect_deny(box, conn, "no");
	else if (port % 3 == 1 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0)
	{
		if (write(fds[1], "hello", 5) != 5)
			abort();
		close(fds[1]);
		tz_box_connect_allow(box, conn, fds[0]);
	}
}

static TzBox *
fake(TzMux *mux, int fd)
{
	TzBox *box = calloc(1, sizeof(*box));

	box->mux = mux;
	box->fd = fd;
	box->err_fd = box->pidfd = -1;
	box->queue_tail = &box->queue;
	box->cb.connect = on_connect;
	box->created_ms = tz_box_now_ms();
	box->start_deadline_ms = box->created_ms + BOX_START_MS;
	for (int i = 0; i < TZ_WIRE_CONNS_MAX; i++)
	{
		box->conns[i].box = box;
		box->conns[i].fd = -1;
	}
	(void) tz_box_interest(box);
	return box;
}

static void
ask(TzBox *box, int what)
{
	static const char *const argv[] = {"true"};
	TzBoxExec exec = {.argv = argv, .argc = 1, .timeout_ms = 1000, .max_output = 4096};
	TzStatus st;

	pending++;
	switch (what % 8)
	{
		case 0:
			st = tz_box_exec(box, &exec, on_done, NULL, NULL, NULL);
			break;
		case 1:
			st = tz_box_read(box, "f", 4096, on_done, NULL, NULL);
			break;
		case 2:
			st = tz_box_list(box, "/", on_done, NULL, NULL);
			break;
		case 3:
			st = tz_box_write(box, "f", tz_slice_cstr("content"), on_done, NULL, NULL);
			break;
		case 4:
			st = tz_box_stat(box, "f", on_done, NULL, NULL);
			break;
		case 5:
			st = tz_box_metrics(box, on_done, NULL, NULL);
			break;
		case 6:
			st = tz_box_pause(box, (what & 64) != 0, on_done, NULL, NULL);
			break;
		default:
			st = TZ_CANCELLED;
			tz_box_cancel(box, (uint32_t) (what >> 3));
			break;
	}
	if (st != TZ_OK)
		pending--;
}

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fds[2];
	char sink[TZ_WIRE_FRAME_MAX];
	TzMux *mux;
	TzBox *box;

	if (size < 1 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0)
		return 0;
	pending = 0;
	if (tz_mux_create(&mux, NULL) != TZ_OK)
		abort();
	box = fake(mux, fds[0]);
	if (data[0] & 1)
	{
		/* a good greeting first, or most inputs would end there */
		static const unsigned char ready[] = {8, 0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0};

		(void) !send(fds[1], ready, sizeof(ready), 0);
		(void) tz_mux_pump(mux, 16);
	}
	for (size_t at = 1; at + 3 <= size;)
	{
		size_t len = data[at] | (size_t) data[at + 1] << 8;

		ask(box, data[at + 2]);
		at += 3;
		if (len > size - at)
			len = size - at;
		(void) !send(fds[1], data + at, len, MSG_NOSIGNAL);
		at += len;
		(void) tz_mux_pump(mux, 16);
		while (recv(fds[1], sink, sizeof(sink), 0) > 0)
			;
		(void) tz_mux_pump(mux, 16);
	}
	tz_box_destroy(box);
	if (pending != 0)
		abort();
	close(fds[1]);
	tz_mux_free(mux);
	return 0;
}
