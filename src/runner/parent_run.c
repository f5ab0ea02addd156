/*-------------------------------------------------------------------------
 *
 * parent_run.c
 *	  One run: its socket, what it says, its end.
 *
 *	  SPARE --job--> RUNNING --DONE--> SAID --reported--> (freed)
 *	                    \--deadline, cancel, frame out of place--> KILLED --reported--> (freed)
 *
 * A child may send anything. A frame out of its place ends the run as a fault;
 * what is merely too much for us is answered to the code.
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

#include "lib/json.h"
#include "lib/utf8.h"
#include "runner/parent_internal.h"
#include "runner/text.h"

#define TEXTS_MAX (2 * TZ_RUNNER_FRAME_MAX)
#define OUT_MAX \
	((size_t) (TZ_RUNNER_JOB_MAX + TZ_RUNNER_CODE_MAX) + (size_t) TZ_RUNNER_CALLS_OPEN * TZ_RUNNER_ANSWER_MAX)

static const char *const run_functions[] = TZ_RUNNER_FUNCTIONS;

static void run_on_socket(void *arg, int fd, int events);
static void run_fault(TzRunnerRun *run, const char *why);

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
		run_fault(run, "words before its work");
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

static void
run_fault(TzRunnerRun *run, const char *why)
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

static const TzJsonLimits run_limits = {TZ_RUNNER_FRAME_MAX, 4, 32, TZ_JSON_DUPLICATES};

/* Checked JSON of a payload in out; false: the run is at fault. */
static bool
run_json(TzRunnerRun *run, TzSlice payload, TzBuf *out, json_t **value)
{
	TzErr err;

	tz_buf_init(out, TZ_RUNNER_FRAME_MAX);
	if (tz_runner_json(payload, 4, out) == TZ_OK &&
	    tz_json_parse(tz_buf_slice(out), &run_limits, value, &err) == TZ_OK)
		return true;
	tz_buf_free(out);
	run_fault(run, "text that is not what was agreed on");
	return false;
}

static const char *
run_level(const json_t *level)
{
	static const char *const levels[] = {"debug", "info", "warn", "error"};
	const char *s = json_string_value(level);

	for (size_t i = 0; s != NULL && i < sizeof(levels) / sizeof(levels[0]); i++)
		if (strcmp(s, levels[i]) == 0)
			return levels[i];
	return NULL;
}

static void
run_on_log(TzRunnerRun *run, const TzFrameHead *head, TzSlice payload)
{
	const json_t *msg;
	const char *level;
	json_t *line;
	TzBuf text;

	if (head->id != 0)
	{
		run_fault(run, "a log line with a number");
		return;
	}
	if (!run_json(run, payload, &text, &line))
		return;
	level = run_level(json_object_get(line, "level"));
	msg = json_object_get(line, "msg");
	if (level == NULL || !json_is_string(msg))
		run_fault(run, "a log line of another form");
	else
	{
		run->res.logs++;
		if (run->cb.log != NULL)
			run->cb.log(run->cb.arg, run, level, tz_slice(json_string_value(msg), json_string_length(msg)));
	}
	json_decref(line);
	tz_buf_free(&text);
}

static void
run_on_call(TzRunnerRun *run, const TzFrameHead *head, TzSlice payload)
{
	const char *name = NULL;
	size_t name_len = payload.len > 0 ? (unsigned char) payload.data[0] : 0;
	TzSlice args;
	TzStatus st;
	TzBuf text;

	if (head->id != run->last_call + 1 || head->id == 0)
	{
		run_fault(run, "a call out of order");
		return;
	}
	if (name_len + 1 > payload.len)
	{
		run_fault(run, "a call without a name");
		return;
	}
	for (size_t i = 0; i < sizeof(run_functions) / sizeof(run_functions[0]); i++)
		if (tz_slice_eq_cstr(tz_slice(payload.data + 1, name_len), run_functions[i]))
			name = run_functions[i];
	if (name == NULL)
	{
		run_fault(run, "a call of no function");
		return;
	}
	if (run->nopen == TZ_RUNNER_CALLS_OPEN)
	{
		run_fault(run, "more calls than may be open");
		return;
	}
	args = tz_slice(payload.data + 1 + name_len, payload.len - 1 - name_len);
	if (args.len == 0 || args.data[0] != '[')
	{
		run_fault(run, "a call without arguments");
		return;
	}
	tz_buf_init(&text, TZ_RUNNER_FRAME_MAX);
	st = tz_runner_json(args, TZ_RUNNER_JSON_DEPTH, &text);
	if (st != TZ_OK && st != TZ_TOO_LARGE)
		run_fault(run, "text that is not what was agreed on");
	else
	{
		run->last_call = head->id;
		run->open[run->nopen++] = head->id;
		run->res.calls++;
		if (st == TZ_TOO_LARGE)
			(void) tz_runner_answer(run, head->id, false,
			                        tz_slice_cstr("{\"name\":\"RangeError\",\"code\":\"INVALID_ARGUMENTS\","
			                                      "\"message\":\"the arguments are nested too deeply\"}"),
			                        NULL);
		else
			run->cb.call(run->cb.arg, run, head->id, name, tz_buf_slice(&text));
	}
	tz_buf_free(&text);
}

/* A member of DONE_ERR into texts; offsets, because the buffer may move. */
static void
run_keep(TzRunnerRun *run, const json_t *object, const char *key, size_t *at, size_t *len)
{
	const json_t *s = json_object_get(object, key);

	*at = run->texts.len;
	*len = 0;
	if (json_is_string(s) && tz_buf_append(&run->texts, json_string_value(s), json_string_length(s)) == TZ_OK)
		*len = json_string_length(s);
}

static TzSlice
run_kept(const TzRunnerRun *run, size_t at, size_t len)
{
	return len > 0 ? tz_slice(run->texts.data + at, len) : tz_slice("", 0);
}

static void
run_threw(TzRunnerRun *run, const json_t *e)
{
	size_t at[3], len[3];

	run_keep(run, e, "name", &at[0], &len[0]);
	run_keep(run, e, "message", &at[1], &len[1]);
	run_keep(run, e, "stack", &at[2], &len[2]);
	run->res.error_name = run_kept(run, at[0], len[0]);
	run->res.error_message = run_kept(run, at[1], len[1]);
	run->res.error_stack = run_kept(run, at[2], len[2]);
	(void) tz_err_set(&run->res.err, TZ_REFUSED, "%.*s",
	                  (int) tz_utf8_cut(run->res.error_message, TZ_ERR_MESSAGE_MAX - 1),
	                  run->res.error_message.data);
}

static void
run_on_error(TzRunnerRun *run, TzSlice payload)
{
	const char *limit;
	json_t *e;
	TzBuf text;

	if (!run_json(run, payload, &text, &e))
		return;
	limit = json_string_value(json_object_get(e, "limit"));
	run->res.end = TZ_RUNNER_THREW;
	run_threw(run, e);
	if (limit != NULL && strcmp(limit, TZ_FRAME_LIMIT_TIME) == 0)
	{
		run->res.end = TZ_RUNNER_TIME;
		(void) tz_err_set(&run->res.err, TZ_TIMEOUT, "the execution took too long");
	}
	else if (limit != NULL && strcmp(limit, TZ_FRAME_LIMIT_MEMORY) == 0)
	{
		run->res.end = TZ_RUNNER_MEMORY;
		(void) tz_err_set(&run->res.err, TZ_TOO_LARGE, "out of memory");
	}
	else if (limit != NULL)
	{
		run->res.end = TZ_RUNNER_FAULT;
		run->res.fault = "the engine's wall was hit";
		(void) tz_err_set(&run->res.err, TZ_BAD_ANSWER, "sandbox fault");
	}
	json_decref(e);
	tz_buf_free(&text);
}

static void
run_on_value(TzRunnerRun *run, TzSlice payload)
{
	TzStatus st = payload.len == 0 ? TZ_OK : tz_runner_json(payload, TZ_RUNNER_JSON_DEPTH, &run->texts);

	if (st == TZ_TOO_LARGE)
	{
		run->res.end = TZ_RUNNER_THREW;
		tz_buf_reset(&run->texts);
		run->res.error_name = tz_slice_cstr("RangeError");
		run->res.error_message = tz_slice_cstr("the result is nested too deeply");
		(void) tz_err_set(&run->res.err, TZ_TOO_LARGE, "the result is nested too deeply");
	}
	else if (st != TZ_OK)
		run_fault(run, "a result that is no JSON");
	else
	{
		run->res.end = TZ_RUNNER_RETURNED;
		run->res.value = tz_buf_slice(&run->texts);
	}
}

static void
run_on_frame(TzRunnerRun *run, const TzFrameHead *head, TzSlice payload)
{
	if (run->state != RUN_RUNNING)
	{
		run_fault(run, run->state == RUN_SPARE ? "words before its work" : "words after the last");
		return;
	}
	if (head->type == TZ_FRAME_LOG || head->type == TZ_FRAME_CALL)
	{
		run->res.talk_bytes += head->len;
		if (run->res.talk_bytes > TZ_RUNNER_TALK_MAX)
		{
			run_fault(run, "more logs and calls than allowed");
			return;
		}
	}
	switch (head->type)
	{
		case TZ_FRAME_LOG:
			run_on_log(run, head, payload);
			break;
		case TZ_FRAME_CALL:
			run_on_call(run, head, payload);
			break;
		case TZ_FRAME_DONE_OK:
		case TZ_FRAME_DONE_ERR:
			run->state = RUN_SAID;
			run->nopen = 0;
			run->res.heap_kb = head->id;
			run->res.wall_us = tz_runner_now_us() - run->started_us;
			run->deadline_ms = tz_runner_now_ms() + RUNNER_EXIT_MS;
			if (head->type == TZ_FRAME_DONE_OK)
				run_on_value(run, payload);
			else
				run_on_error(run, payload);
			break;
		default:
			run_fault(run, "a frame of no kind");
			break;
	}
}

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
				run_fault(run, "out of memory");
				return;
			}
			data += n;
			len -= n;
			if (run->in.len < TZ_FRAME_HEADER)
				return;
		}
		if (!tz_frame_get_head((const unsigned char *) run->in.data, &head) || head.len > TZ_RUNNER_FRAME_MAX)
		{
			run_fault(run, "a broken frame");
			return;
		}
		want = TZ_FRAME_HEADER + head.len - run->in.len;
		n = want < len ? want : len;
		if (tz_buf_append(&run->in, data, n) != TZ_OK)
		{
			run_fault(run, "out of memory");
			return;
		}
		data += n;
		len -= n;
		if (n < want)
			return;
		run_on_frame(run, &head, tz_slice(run->in.data + TZ_FRAME_HEADER, head.len));
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
			run_fault(run, "it ended within a frame");
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
		run_fault(run, "it ended within a frame");
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
