/*
 * The parent's side against a hostile program: no process, only sockets. The
 * input is a list of steps (u8 what, u16 length, bytes): words of the run, words
 * of the zygote, which may not have said that it is there, answers, cancels. Nothing may crash, leak, or end a run twice,
 * and what reaches the callbacks must be fit for a column.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/utf8.h"
#include "runner/parent_internal.h"
#include "runner/text.h"

static int pending;
static TzRunnerRun *current;
static bool prompt; /* answer calls at once */

static void
fit(TzSlice s)
{
	if (s.len > 0 && !tz_utf8_valid(s))
		abort();
}

static void
on_log(void *arg, TzRunnerRun *run, const char *level, TzSlice text)
{
	(void) arg;
	(void) run;
	if (level[0] == '\0')
		abort();
	fit(text);
}

static void
on_call(void *arg, TzRunnerRun *run, uint32_t id, const char *name, TzSlice args)
{
	TzBuf again;

	(void) arg;
	tz_buf_init(&again, TZ_RUNNER_FRAME_MAX);
	if (name[0] == '\0' || tz_runner_json(args, TZ_RUNNER_JSON_DEPTH, &again, NULL) != TZ_OK ||
	    args.data[0] != '[')
		abort();
	tz_buf_free(&again);
	if (prompt && tz_runner_answer(run, id, id % 2, tz_slice_cstr("{}"), NULL) != TZ_OK)
		abort();
}

static void
on_done(void *arg, TzRunnerRun *run, const TzRunnerResult *res)
{
	(void) arg;
	(void) run;
	fit(res->value);
	fit(res->error_name);
	fit(res->error_message);
	fit(res->error_stack);
	if (--pending < 0 || (res->end != TZ_RUNNER_RETURNED) != (res->err.status != TZ_OK))
		abort();
	current = NULL;
}

/* What the parent tells the zygote; answers the descriptor that came along, or -1. */
static int
hear(int fd)
{
	char bytes[512];
	union
	{
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {bytes, sizeof(bytes)};
	int got = -1;

	for (;;)
	{
		struct msghdr msg = {.msg_iov = &iov,
		                     .msg_iovlen = 1,
		                     .msg_control = control.bytes,
		                     .msg_controllen = sizeof(control)};
		struct cmsghdr *c;

		if (recvmsg(fd, &msg, MSG_DONTWAIT) <= 0)
			return got;
		c = CMSG_FIRSTHDR(&msg);
		if (c != NULL && c->cmsg_type == SCM_RIGHTS)
		{
			if (got >= 0)
				close(got);
			memcpy(&got, CMSG_DATA(c), sizeof(int));
		}
	}
}

static TzRunner *
fake(TzMux *mux, int fd, bool starting)
{
	TzRunner *runner = calloc(1, sizeof(*runner));
	TzRunnerRun *spare;

	runner->mux = mux;
	runner->path = strdup("/nonexistent");
	runner->fd = fd;
	runner->max_runs = 4;
	runner->queue_tail = &runner->queue;
	runner->state = starting ? RUNNER_STARTING : RUNNER_UP;
	runner->info.mode = TZ_RUNNER_SECCOMP;
	spare = tz_runner_child(runner, NULL);
	if (spare == NULL)
		abort();
	return runner;
}

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TzRunnerCallbacks cb = {on_log, on_call, on_done, NULL};
	TzRunnerJob job = {.code = tz_slice_cstr("return 1"),
	                   .json = tz_slice_cstr("{}"),
	                   .memory_mb = 64,
	                   .time_ms = 1000};
	int channel[2], peer;
	TzRunner *runner;
	TzMux *mux;

	if (size < 1 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, channel) != 0)
		return 0;
	if (tz_mux_create(&mux, NULL) != TZ_OK)
		abort();
	pending = 0;
	prompt = data[0] & 2;
	runner = fake(mux, channel[0], (data[0] & 4) != 0);
	(void) tz_runner_interest(runner);
	if (tz_runner_run(runner, &job, &cb, &current, NULL) == TZ_OK)
		pending++;
	peer = hear(channel[1]);
	for (size_t at = 1; at + 3 <= size;)
	{
		int what = data[at] % 8;
		size_t len = data[at + 1] | (size_t) data[at + 2] << 8;
		char sink[4096];

		at += 3;
		if (len > size - at)
			len = size - at;
		if (what < 4 && peer >= 0)
			(void) !send(peer, data + at, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		else if (what == 4)
			(void) !send(channel[1], data + at, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		else if (what == 5 && current != NULL)
			(void) tz_runner_answer(current, (uint32_t) len, len % 2, tz_slice_cstr("null"), NULL);
		else if (what == 6 && current != NULL)
			tz_runner_cancel(current);
		else if (what == 7 && peer >= 0)
			(void) shutdown(peer, SHUT_WR);
		at += what <= 4 ? len : 0;
		(void) tz_mux_pump(mux, 16);
		tz_runner_tick(runner);
		while (peer >= 0 && recv(peer, sink, sizeof(sink), MSG_DONTWAIT) > 0)
			;
	}
	tz_runner_free(runner);
	if (pending != 0)
		abort();
	if (peer >= 0)
		close(peer);
	close(channel[1]);
	tz_mux_free(mux);
	return 0;
}
