/*-------------------------------------------------------------------------
 *
 * script_call.c
 *	  What running programs ask of their host, until it is answered.
 *
 * write_result is answered here: it is kept in memory until the program ends.
 * Everything else waits for the dispatcher's next transaction, where SQL judges it,
 * and is answered once that has committed, so that no program knows of anything
 * that a crash could undo. Calls far beyond a program's limit are refused here, so
 * that a flood of them costs no rows.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/script_internal.h"

#define BEYOND_LIMIT 10 /* calls over the limit that SQL still hears of */

static void
answer(TzScriptJob *job, uint32_t id, bool ok, TzSlice json)
{
	static const char too_large[] =
		"{\"name\":\"HostError\",\"code\":\"TOO_LARGE\",\"message\":\"the answer is too large\"}";
	TzErr err;

	if (job->run == NULL)
		return;
	tz_err_clear(&err);
	if (tz_runner_answer(job->run, id, ok, json, &err) == TZ_TOO_LARGE)
		(void) tz_runner_answer(job->run, id, false, tz_slice_cstr(too_large), &err);
}

static void
answer_error(TzScriptJob *job, uint32_t id, const char *code, const char *message)
{
	TzBuf text;

	tz_buf_init(&text, 4096);
	tz_buf_printf(&text, "{\"name\":\"HostError\",\"code\":\"%s\",\"message\":", code);
	tz_script_append_text(&text, tz_slice_cstr(message));
	tz_buf_append_cstr(&text, "}");
	answer(job, id, false,
	       text.status == TZ_OK ? tz_buf_slice(&text) : tz_slice_cstr("{\"name\":\"HostError\"}"));
	tz_buf_free(&text);
}

/* ---- the list -------------------------------------------------------------------- */

static void
call_push(TzScripts *s, TzHostCall *call)
{
	*s->calls_end = call;
	s->calls_end = &call->next;
	s->ncalls++;
}

static void
call_forget(TzScripts *s, TzHostCall *call)
{
	TzHostCall **at = &s->calls;

	while (*at != call)
		at = &(*at)->next;
	*at = call->next;
	if (*at == NULL)
		s->calls_end = at;
	if (call->state == TZ_CALL_WAITING)
		s->ncalls--;
	tz_buf_free(&call->args);
	tz_buf_free(&call->answer);
	free(call);
}

static TzHostCall *
call_new(TzScriptJob *job, uint32_t id, const char *name, TzSlice args)
{
	TzHostCall *call = calloc(1, sizeof(TzHostCall));

	if (call == NULL)
		return NULL;
	call->job = job;
	call->id = id;
	call->name = name;
	call->at_us = tz_script_now_us();
	tz_buf_init(&call->answer, TZ_RUNNER_ANSWER_MAX);
	tz_buf_init(&call->args, TZ_RUNNER_FRAME_MAX);
	if (tz_buf_append(&call->args, args.data, args.len) == TZ_OK)
		return call;
	free(call);
	return NULL;
}

void
tz_script_called(void *arg, TzRunnerRun *run, uint32_t id, const char *name, TzSlice args)
{
	TzScriptJob *job = arg;
	TzHostCall *call;

	(void) run;
	if (strcmp(name, "write_result") == 0)
	{
		tz_script_local(job, name, args);
		answer(job, id, true, tz_slice_cstr("null"));
		return;
	}
	if (++job->api_calls > job->max_api_calls + BEYOND_LIMIT)
	{
		job->refused++;
		answer_error(job, id, "RATE_LIMITED", "the run has made all the calls that it may");
		return;
	}
	call = call_new(job, id, name, args);
	if (call == NULL)
		answer_error(job, id, "INTERNAL_ERROR", "out of memory");
	else
		call_push(job->scripts, call);
}

void
tz_script_calls_drop(TzScriptJob *job)
{
	TzHostCall *call = job->scripts->calls;

	while (call != NULL)
	{
		TzHostCall *next = call->next;

		if (call->job == job)
		{
			if (call->state == TZ_CALL_WAITING)
				job->dropped++;
			call_forget(job->scripts, call);
		}
		call = next;
	}
}

/* ---- for whoever puts them before SQL ----------------------------------------------- */

TzHostCall *
tz_scripts_calls(const TzScripts *s)
{
	return s != NULL ? s->calls : NULL;
}

int
tz_scripts_running(const TzScripts *s)
{
	return s != NULL ? s->nrunning : 0;
}

int
tz_scripts_waiting(const TzScripts *s)
{
	return s != NULL ? s->ncalls : 0;
}

int
tz_scripts_ready(const TzScripts *s)
{
	int n = 0;
	int64_t now;

	if (tz_scripts_waiting(s) == 0)
		return 0;
	now = tz_script_now_us();
	for (const TzHostCall *c = s->calls; c != NULL; c = c->next)
		n += c->state == TZ_CALL_WAITING && c->not_before_us <= now;
	return n;
}

bool
tz_scripts_wants_fetch(const TzScripts *s)
{
	for (const TzHostCall *c = tz_scripts_calls(s); c != NULL; c = c->next)
		if (c->state == TZ_CALL_WAITING && strcmp(c->name, "http_request") == 0)
			return true;
	return false;
}

TzHostCall *
tz_scripts_fetching(const TzScripts *s, const char *effect_id)
{
	for (TzHostCall *c = tz_scripts_calls(s); c != NULL; c = c->next)
		if (c->state == TZ_CALL_FETCHING && strcmp(c->effect_id, effect_id) == 0)
			return c;
	return NULL;
}

void
tz_host_call_answer(TzHostCall *call, bool ok, TzSlice json)
{
	TzScriptJob *job = call->job;

	answer(job, call->id, ok, json);
	call_forget(job->scripts, call);
}

void
tz_host_call_fail(TzHostCall *call, const char *code, const char *message)
{
	TzScriptJob *job = call->job;

	answer_error(job, call->id, code, message);
	call_forget(job->scripts, call);
}

void
tz_host_call_back(TzHostCall *call, int64_t not_before_us)
{
	if (call->state == TZ_CALL_WAITING)
		return;
	call->state = TZ_CALL_WAITING;
	call->not_before_us = not_before_us;
	call->effect_id[0] = '\0';
	tz_buf_reset(&call->answer);
	call->job->scripts->ncalls++;
}

void
tz_host_call_judged(TzHostCall *call)
{
	if (call->state == TZ_CALL_WAITING)
		call->job->scripts->ncalls--;
	call->state = TZ_CALL_JUDGED;
}

void
tz_host_call_fetches(TzHostCall *call, TzSlice effect_id)
{
	snprintf(call->effect_id, sizeof(call->effect_id), "%.*s", (int) effect_id.len, effect_id.data);
}
