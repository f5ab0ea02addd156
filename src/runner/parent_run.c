/*-------------------------------------------------------------------------
 *
 * parent_run.c
 *	  One run: its socket, what it says, its end.
 *
 *	  SPARE --job--> RUNNING --DONE--> SAID --reported--> (freed)
 *	                    \--deadline, cancel, frame out of place--> KILLED --reported--> (freed)
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/parent_internal.h"

#define TEXTS_MAX (2 * TZ_RUNNER_FRAME_MAX)
#define OUT_MAX ((size_t) (TZ_RUNNER_JOB_MAX + TZ_RUNNER_CODE_MAX) + 2 * (size_t) TZ_RUNNER_UNREAD_MAX)
#define SMALL_ANSWER 4096 /* always goes: what says that another did not */

static void run_on_socket(void *arg, int fd, int events);

/* --- birth ------------------------------------------------------------------------- */

TzRunnerRun *
tz_runner_child(TzRunner *runner, TzErr *err)
{
	TzRunnerRun *run = calloc(1, sizeof(*run));
	int sock[2];

	if (run == NULL)
	{
		(void) tz_err_set(err, TZ_NOMEM, "out of memory");
		return NULL;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock) != 0)
	{
		(void) tz_err_set(err, TZ_UNAVAILABLE, "could not create a socket pair: %s", strerror(errno));
		free(run);
		return NULL;
	}
	run->runner = runner;
	run->state = RUN_SPARE;
	run->fd = sock[0];
	run->id = ++runner->next_id;
	run->res.exit_status = -1;
	tz_buf_init(&run->in, TZ_FRAME_HEADER + TZ_RUNNER_FRAME_MAX);
	tz_buf_init(&run->out, OUT_MAX);
	tz_buf_init(&run->texts, TEXTS_MAX);
	if (tz_runner_tell(runner, TZ_FRAME_SPAWN, run->id, NULL, 0, sock[1]) != TZ_OK)
	{
		(void) tz_err_set(err, TZ_UNAVAILABLE, "the program that runs code is not there");
		close(run->fd);
		free(run);
		return NULL;
	}
	run->next = runner->runs;
	runner->runs = run;
	return run;
}

static void
run_flush(TzRunnerRun *run)
{
	while (run->fd >= 0 && run->out_sent < run->out.len)
	{
		ssize_t n = send(run->fd, run->out.data + run->out_sent, run->out.len - run->out_sent,
		                 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break; /* full; or closed, which the reading side finds */
		run->out_sent += (size_t) n;
	}
	if (run->out_sent == run->out.len)
	{
		run->out_sent = 0;
		tz_buf_reset(&run->out);
	}
}

static void
run_interest(TzRunnerRun *run)
{
	if (run->fd >= 0)
		(void) tz_mux_set(run->runner->mux, run->fd, TZ_MUX_READ | (run->out.len > 0 ? TZ_MUX_WRITE : 0),
		                  run_on_socket, run);
}

static void
run_close(TzRunnerRun *run)
{
	if (run->fd < 0)
		return;
	tz_mux_remove(run->runner->mux, run->fd);
	close(run->fd);
	run->fd = -1;
}

/* Nobody who is still without work has anything to say. */
static bool
run_spoke(const TzRunnerRun *run)
{
	char byte;

	return recv(run->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

TzStatus
tz_runner_begin(TzRunnerRun *run, const TzRunnerJob *job, TzErr *err)
{
	unsigned char head[TZ_FRAME_HEADER + TZ_FRAME_RUN_HEAD];
	unsigned char limits[8];

	tz_frame_put_head(head, TZ_FRAME_RUN, 0, TZ_FRAME_RUN_HEAD + job->json.len + job->code.len);
	tz_frame_put_u32(head + TZ_FRAME_HEADER, (uint32_t) job->memory_mb);
	tz_frame_put_u32(head + TZ_FRAME_HEADER + 4, (uint32_t) job->time_ms);
	tz_frame_put_u32(head + TZ_FRAME_HEADER + 8, (uint32_t) job->json.len);
	tz_frame_put_u32(head + TZ_FRAME_HEADER + 12, (uint32_t) job->code.len);
	tz_frame_put_u32(limits, (uint32_t) job->memory_mb);
	tz_frame_put_u32(limits + 4, (uint32_t) job->time_ms);
	(void) tz_buf_append(&run->out, head, sizeof(head));
	(void) tz_buf_append(&run->out, job->json.data, job->json.len);
	if (job->code.len > 0)
		(void) tz_buf_append(&run->out, job->code.data, job->code.len);
	if (run->out.status != TZ_OK ||
	    tz_runner_tell(run->runner, TZ_FRAME_LIMIT, run->id, limits, sizeof(limits), -1) != TZ_OK)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	run->state = RUN_RUNNING;
	run->memory_mb = job->memory_mb;
	run->time_ms = job->time_ms;
	if (run->runner->state == RUNNER_UP)
	{
		run->begun = true;
		run->started_us = tz_runner_now_us();
		run->deadline_ms = run->started_us / 1000 + run->time_ms + TZ_RUNNER_GRACE_MS;
	}
	if (run_spoke(run))
	{
		tz_runner_fault(run, "words before its work");
		return TZ_OK;
	}
	run_flush(run);
	run_interest(run);
	return TZ_OK;
}

/* --- death ------------------------------------------------------------------------- */

void
tz_runner_finish(TzRunnerRun *run)
{
	TzRunner *runner = run->runner;

	for (TzRunnerRun **at = &runner->runs; *at != NULL; at = &(*at)->next)
		if (*at == run)
		{
			*at = run->next;
			break;
		}
	run_close(run);
	if (run->cb.done != NULL)
	{
		run->res.begun = run->begun;
		if (run->res.wall_us == 0 && run->started_us != 0)
			run->res.wall_us = tz_runner_now_us() - run->started_us;
		run->cb.done(run->cb.arg, run, &run->res);
	}
	tz_buf_free(&run->in);
	tz_buf_free(&run->out);
	tz_buf_free(&run->texts);
	free(run);
}

void
tz_runner_end(TzRunnerRun *run, TzRunnerEnd how, TzStatus status, const char *message, const char *fault)
{
	if (run->state == RUN_KILLED)
		return;
	run->state = RUN_KILLED;
	run->nopen = 0;
	run->res.end = how;
	run->res.fault = fault;
	if (message != NULL)
		(void) tz_err_set(&run->res.err, status, "%s", message);
	if (run->res.wall_us == 0 && run->started_us != 0)
		run->res.wall_us = tz_runner_now_us() - run->started_us;
	run_close(run);
	run->deadline_ms = tz_runner_now_ms() + RUNNER_EXIT_MS;
	/* If this cannot be told the deadline ends everything. */
	(void) tz_runner_tell(run->runner, TZ_FRAME_KILL, run->id, NULL, 0, -1);
}

void
tz_runner_fault(TzRunnerRun *run, const char *why)
{
	tz_runner_end(run, TZ_RUNNER_FAULT, TZ_BAD_ANSWER, "sandbox fault", why);
}

void
tz_runner_cancel(TzRunnerRun *run)
{
	if (run->state == RUN_RUNNING)
		tz_runner_end(run, TZ_RUNNER_CANCELLED, TZ_CANCELLED, "cancelled", NULL);
}

/* It ended without DONE and without our doing: why, from its status. */
static void
run_judge_status(TzRunnerRun *run, int status)
{
	run->res.end = TZ_RUNNER_FAULT;
	(void) tz_err_set(&run->res.err, TZ_BAD_ANSWER, "sandbox fault");
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
	{
		run->res.end = TZ_RUNNER_TIME;
		(void) tz_err_set(&run->res.err, TZ_TIMEOUT, "the execution took too long");
	}
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		run->res.fault = "a forbidden system call";
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		run->res.fault = "killed from outside";
	else if (WIFSIGNALED(status))
		run->res.fault = "a crash";
	else
		run->res.fault = "it ended without a result";
}

/* --- what it says -------------------------------------------------------------------- */

/* Takes whole frames out of what was read. */
static void
run_feed(TzRunnerRun *run, const char *data, size_t len)
{
	while (len > 0 && run->fd >= 0)
	{
		TzFrameHead head;
		size_t want, n;

		if (run->in.len < TZ_FRAME_HEADER)
		{
			n = TZ_FRAME_HEADER - run->in.len < len ? TZ_FRAME_HEADER - run->in.len : len;
			if (tz_buf_append(&run->in, data, n) != TZ_OK)
			{
				tz_runner_fault(run, "out of memory");
				return;
			}
			data += n;
			len -= n;
			if (run->in.len < TZ_FRAME_HEADER)
				return;
		}
		if (!tz_frame_get_head((const unsigned char *) run->in.data, &head) || head.len > TZ_RUNNER_FRAME_MAX)
		{
			tz_runner_fault(run, "a broken frame");
			return;
		}
		want = TZ_FRAME_HEADER + head.len - run->in.len;
		n = want < len ? want : len;
		if (tz_buf_append(&run->in, data, n) != TZ_OK)
		{
			tz_runner_fault(run, "out of memory");
			return;
		}
		data += n;
		len -= n;
		if (n < want)
			return;
		tz_runner_frame(run, &head, tz_slice(run->in.data + TZ_FRAME_HEADER, head.len));
		tz_buf_reset(&run->in);
	}
}

/* False: nothing more to be read now, or ever. */
static bool
run_read(TzRunnerRun *run)
{
	static char bytes[65536];
	ssize_t n = recv(run->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n < 0 && errno == EINTR)
		return true;
	if (n < 0 && errno == EAGAIN)
		return false;
	if (n <= 0)
	{
		/* Closed: what it was, the zygote tells. */
		if (run->state == RUN_RUNNING || run->state == RUN_SPARE)
		{
			int64_t soon = tz_runner_now_ms() + RUNNER_EXIT_MS;

			if (run->deadline_ms == 0 || soon < run->deadline_ms)
				run->deadline_ms = soon;
		}
		if (run->state != RUN_KILLED && run->in.len > 0)
			tz_runner_fault(run, "it ended within a frame");
		run_close(run);
		return false;
	}
	run_feed(run, bytes, (size_t) n);
	return run->fd >= 0;
}

static void
run_on_socket(void *arg, int fd, int events)
{
	TzRunnerRun *run = arg;

	(void) fd;
	if (events & TZ_MUX_WRITE)
		run_flush(run);
	for (int i = 0; i < RUNNER_READS_A_TURN && run->fd >= 0; i++)
		if (!run_read(run))
			break;
	run_interest(run);
}

void
tz_runner_exited(TzRunnerRun *run, int status, int error, int64_t cpu_us, int64_t peak_kb)
{
	run->exited = true;
	run->res.exit_status = status;
	run->res.cpu_us = cpu_us;
	run->res.peak_rss_kb = peak_kb;
	/* Its last words may be behind. It is dead, so there is an end to them. */
	while (run->fd >= 0 && run_read(run))
		;
	if (run->in.len > 0 && run->state != RUN_KILLED)
		tz_runner_fault(run, "it ended within a frame");
	if (error != 0)
	{
		run->res.exit_status = -1;
		run->begun = false;
		run->res.end = TZ_RUNNER_LOST;
		(void) tz_err_set(&run->res.err, TZ_UNAVAILABLE, "could not start a process for the execution: %s",
		                  strerror(error));
	}
	else if (run->state == RUN_RUNNING)
		run_judge_status(run, status);
	if (run->state == RUN_SPARE)
		run->runner->spare_again_ms = tz_runner_now_ms() + RUNNER_AGAIN_MS;
	tz_runner_finish(run);
}

/* --- answers --------------------------------------------------------------------------- */

/* What has left makes room. */
static void
run_compact(TzRunnerRun *run)
{
	if (run->out_sent < run->out.len / 2 || run->out_sent == 0)
		return;
	run->out.len -= run->out_sent;
	memmove(run->out.data, run->out.data + run->out_sent, run->out.len);
	run->out_sent = 0;
}

TzStatus
tz_runner_answer(TzRunnerRun *run, uint32_t id, bool ok, TzSlice json, TzErr *err)
{
	unsigned char head[TZ_FRAME_HEADER];
	int i = 0;

	while (i < run->nopen && run->open[i] != id)
		i++;
	if (run->state != RUN_RUNNING || i == run->nopen)
		return tz_err_set(err, TZ_NOT_FOUND, "the call is not open");
	if (json.len > TZ_RUNNER_ANSWER_MAX)
		return tz_err_set(err, TZ_TOO_LARGE, "the answer is larger than %d MiB", TZ_RUNNER_ANSWER_MAX >> 20);
	run_compact(run);
	if (json.len > SMALL_ANSWER && run->out.len - run->out_sent + json.len > TZ_RUNNER_UNREAD_MAX)
		return tz_err_set(err, TZ_TOO_LARGE, "more than %d MiB of answers wait to be read",
		                  TZ_RUNNER_UNREAD_MAX >> 20);
	tz_frame_put_head(head, ok ? TZ_FRAME_RET_OK : TZ_FRAME_RET_ERR, id, json.len);
	if (tz_buf_reserve(&run->out, sizeof(head) + json.len) != TZ_OK)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	(void) tz_buf_append(&run->out, head, sizeof(head));
	(void) tz_buf_append(&run->out, json.data, json.len);
	run->open[i] = run->open[--run->nopen];
	run_flush(run);
	run_interest(run);
	return TZ_OK;
}
