/*-------------------------------------------------------------------------
 *
 * parent_say.c
 *	  What a run says: logs, calls, its result.
 *
 * A child may send anything. A frame out of its place ends the run as a fault;
 * what is merely too much for us is answered to the code.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "lib/json.h"
#include "lib/utf8.h"
#include "runner/parent_internal.h"
#include "runner/text.h"

static const char *const run_functions[] = TZ_RUNNER_FUNCTIONS;

static const TzJsonLimits run_limits = {TZ_RUNNER_FRAME_MAX, 4, 32, TZ_JSON_DUPLICATES};

/* Checked JSON of a payload in out; false: the run is at fault. */
static bool
run_json(TzRunnerRun *run, TzSlice payload, TzBuf *out, json_t **value)
{
	TzErr err;

	tz_buf_init(out, TZ_RUNNER_FRAME_MAX);
	if (tz_runner_json(payload, 4, out, NULL) == TZ_OK &&
	    tz_json_parse(tz_buf_slice(out), &run_limits, value, &err) == TZ_OK)
		return true;
	tz_buf_free(out);
	tz_runner_fault(run, "text that is not what was agreed on");
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
		tz_runner_fault(run, "a log line with a number");
		return;
	}
	if (!run_json(run, payload, &text, &line))
		return;
	level = run_level(json_object_get(line, "level"));
	msg = json_object_get(line, "msg");
	if (level == NULL || !json_is_string(msg))
		tz_runner_fault(run, "a log line of another form");
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
	TzErr err;

	if (head->id != run->last_call + 1 || head->id == 0)
	{
		tz_runner_fault(run, "a call out of order");
		return;
	}
	if (name_len + 1 > payload.len)
	{
		tz_runner_fault(run, "a call without a name");
		return;
	}
	for (size_t i = 0; i < sizeof(run_functions) / sizeof(run_functions[0]); i++)
		if (tz_slice_eq_cstr(tz_slice(payload.data + 1, name_len), run_functions[i]))
			name = run_functions[i];
	if (name == NULL)
	{
		tz_runner_fault(run, "a call of no function");
		return;
	}
	if (run->nopen == TZ_RUNNER_CALLS_OPEN)
	{
		tz_runner_fault(run, "more calls than may be open");
		return;
	}
	args = tz_slice(payload.data + 1 + name_len, payload.len - 1 - name_len);
	if (args.len == 0 || args.data[0] != '[')
	{
		tz_runner_fault(run, "a call without arguments");
		return;
	}
	tz_buf_init(&text, TZ_RUNNER_FRAME_MAX);
	tz_err_clear(&err);
	st = tz_runner_json(args, TZ_RUNNER_JSON_DEPTH, &text, &err);
	if (st != TZ_OK && st != TZ_TOO_LARGE)
		tz_runner_fault(run, "text that is not what was agreed on");
	else
	{
		run->last_call = head->id;
		run->open[run->nopen++] = head->id;
		run->res.calls++;
		if (st == TZ_TOO_LARGE)
		{
			char refusal[sizeof(err.message) + 100];

			snprintf(
				refusal, sizeof(refusal),
				"{\"name\":\"RangeError\",\"code\":\"INVALID_ARGUMENTS\",\"message\":\"the arguments are %s\"}",
				err.message);
			(void) tz_runner_answer(run, head->id, false, tz_slice_cstr(refusal), NULL);
		}
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
	TzErr err;
	TzStatus st = payload.len == 0 ? TZ_OK : tz_runner_json(payload, TZ_RUNNER_JSON_DEPTH, &run->texts, &err);

	if (st == TZ_TOO_LARGE)
	{
		run->res.end = TZ_RUNNER_THREW;
		tz_buf_reset(&run->texts);
		run->res.error_name = tz_slice_cstr("RangeError");
		(void) tz_err_set(&run->res.err, TZ_TOO_LARGE, "the result is %s", err.message);
		run->res.error_message = tz_slice_cstr(run->res.err.message);
	}
	else if (st != TZ_OK)
		tz_runner_fault(run, "a result that is no JSON");
	else
	{
		run->res.end = TZ_RUNNER_RETURNED;
		run->res.value = tz_buf_slice(&run->texts);
	}
}

void
tz_runner_frame(TzRunnerRun *run, const TzFrameHead *head, TzSlice payload)
{
	if (run->state != RUN_RUNNING)
	{
		tz_runner_fault(run, run->state == RUN_SPARE ? "words before its work" : "words after the last");
		return;
	}
	if (head->type == TZ_FRAME_LOG || head->type == TZ_FRAME_CALL)
	{
		run->res.talk_bytes += head->len;
		if (run->res.talk_bytes > TZ_RUNNER_TALK_MAX)
		{
			tz_runner_fault(run, "more logs and calls than allowed");
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
			tz_runner_fault(run, "a frame of no kind");
			break;
	}
}
