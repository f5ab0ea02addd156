/*-------------------------------------------------------------------------
 *
 * script.c
 *	  The adapter "script": programs of agents, run by theazo-runner.
 *
 * Each dispatcher has a runner of its own, started for the first program it
 * gets, and claims no more programs than have a place. Where that has changed
 * meanwhile a program waits here and has not begun: told to leave, the dispatcher
 * gives it back. One that has begun is never begun again. Here are the jobs and their common life; what a program asks of its host
 * is in script_call.c, what is kept of it in script_outcome.c.
 *
 * Everything here is plain C11 on a TzMux and never throws: a job always ends in
 * its done callback.
 *
 *-------------------------------------------------------------------------
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/json.h"
#include "lib/json_raw.h"
#include "worker/script_internal.h"

#define DOCUMENT_BYTES_MAX (16 * 1024 * 1024)
#define MEMORY_DEFAULT_MB 128
#define TIME_DEFAULT_MS 30000
#define TIME_MAX_MS (60 * 60 * 1000)
#define CALLS_DEFAULT 50
#define LOST_MAX 3 /* in a row, then it is not tried again */

static void script_ended(void *arg, TzRunnerRun *run, const TzRunnerResult *res);

int64_t
tz_script_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* ---- the runner -------------------------------------------------------------- */

TzScripts *
tz_scripts_new(const TzScriptConfig *config, TzMux *mux)
{
	TzScripts *s = calloc(1, sizeof(TzScripts));

	if (s == NULL)
		return NULL;
	s->mux = mux;
	s->waiting_end = &s->waiting;
	s->calls_end = &s->calls;
	tz_scripts_configure(s, config);
	return s;
}

void
tz_scripts_configure(TzScripts *s, const TzScriptConfig *config)
{
	char *path = strdup(config->runner);

	if (path == NULL)
		return;
	if (s->path != NULL &&
	    (strcmp(s->path, path) != 0 || s->spares != config->spares || s->max != config->max))
		s->reconfigured = true;
	free(s->path);
	s->path = path;
	s->max = config->max;
	s->spares = config->spares;
}

static TzStatus
need_runner(TzScripts *s, TzErr *err)
{
	TzRunnerConfig config = {.path = s->path, .spares = s->spares, .max_runs = s->max};

	if (s->path == NULL)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	if (s->runner != NULL)
		return TZ_OK;
	s->places = s->max;
	return tz_runner_start(&config, s->mux, &s->runner, err);
}

/* What it said of itself outlives it: what ends with it was run by it. */
static void
know_runner(TzScripts *s)
{
	const TzRunnerInfo *info = s->runner != NULL ? tz_runner_info(s->runner) : NULL;

	if (info != NULL && info->mode != TZ_RUNNER_NONE && info->pid != s->info.pid)
		s->info = *info;
}

/* A runner that was started with fewer places keeps them until it is started anew. */
static int
places_free(const TzScripts *s)
{
	int places = s->runner != NULL && s->places < s->max ? s->places : s->max;

	return s->leaving || s->nrunning >= places ? 0 : places - s->nrunning;
}

static bool
has_place(const TzScripts *s)
{
	return places_free(s) > 0;
}

int
tz_scripts_room(const TzScripts *s)
{
	int room = s != NULL ? places_free(s) : 0;

	for (const TzScriptJob *job = s != NULL ? s->waiting : NULL; job != NULL && room > 0; job = job->next)
		room--;
	return room;
}

/* ---- jobs ---------------------------------------------------------------------- */

static void
job_over(TzScriptJob *job, TzScriptEnd end)
{
	job->end = end;
	job->over = true;
	tz_script_calls_drop(job);
	job->done(job);
}

static void
job_failed(TzScriptJob *job, const TzErr *err, const char *sqlstate)
{
	job->err = *err;
	job->sqlstate = sqlstate;
	job_over(job, TZ_SCRIPT_FAILED);
}

static int
raw_int(TzSlice request, const char *key, int dflt, int max)
{
	char text[32];
	TzSlice raw;
	long value;

	if (!tz_json_raw_member(request, key, &raw) || raw.len >= sizeof(text))
		return dflt;
	memcpy(text, raw.data, raw.len);
	text[raw.len] = '\0';
	value = strtol(text, NULL, 10);
	if (value < 0 || (value == 0 && text[0] != '0'))
		return dflt;
	return value > max ? max : (int) value;
}

static TzSlice
raw_member(TzSlice request, const char *key)
{
	TzSlice raw = tz_slice(NULL, 0);

	(void) tz_json_raw_member(request, key, &raw);
	return raw;
}

/* What the request says of limits and names. */
static void
job_read(TzScriptJob *job)
{
	job->memory_mb = raw_int(job->request, "memory_mb", MEMORY_DEFAULT_MB, TZ_RUNNER_MEMORY_MAX_MB);
	job->time_ms = raw_int(job->request, "time_ms", TIME_DEFAULT_MS, TIME_MAX_MS);
	job->max_api_calls = raw_int(job->request, "max_api_calls", CALLS_DEFAULT, INT_MAX / 2);
	job->execution = raw_member(job->request, "execution");
	job->execution_id = raw_member(job->request, "execution_id");
}

static void
put_member(TzBuf *out, const char *name, TzSlice request, const char *key)
{
	TzSlice raw = raw_member(request, key);

	tz_buf_printf(out, "%s\"%s\":", out->len > 1 ? "," : "", name);
	if (raw.len > 0)
		tz_buf_append(out, raw.data, raw.len);
	else
		tz_buf_append_cstr(out, "null");
}

/* What the program may see beside its code; numbers stay as they were written. */
static void
job_document(const TzScriptJob *job, TzBuf *out)
{
	tz_buf_append_cstr(out, "{");
	put_member(out, "agentName", job->request, "agent_name");
	put_member(out, "agentVersion", job->request, "agent_version");
	put_member(out, "executionId", job->request, "execution_id");
	put_member(out, "input", job->request, "input");
	tz_buf_append_cstr(out, "}");
}

static TzStatus
job_code(const TzScriptJob *job, json_t **holder, TzSlice *code, TzErr *err)
{
	TzJsonLimits limits = {.max_bytes = 8 * TZ_RUNNER_CODE_MAX,
	                       .max_depth = 1,
	                       .max_values = 1,
	                       .flags = TZ_JSON_ANY};
	TzStatus status = tz_json_parse(raw_member(job->request, "code"), &limits, holder, err);

	if (status == TZ_OK && !json_is_string(*holder))
		status = tz_err_set(err, TZ_BAD_INPUT, "the program has no code");
	if (status == TZ_OK)
		*code = tz_slice(json_string_value(*holder), json_string_length(*holder));
	return status;
}

static void
job_unlink(TzScriptJob *job)
{
	TzScripts *s = job->scripts;
	TzScriptJob **at = &s->running;

	while (*at != NULL && *at != job)
		at = &(*at)->next;
	if (*at == NULL)
		return;
	*at = job->next;
	job->next = NULL;
	s->nrunning--;
}

static TzStatus
job_run(TzScriptJob *job, TzErr *err)
{
	TzScripts *s = job->scripts;
	TzRunnerCallbacks cb = {tz_script_logged, tz_script_called, script_ended, job};
	TzRunnerJob run = {.memory_mb = job->memory_mb, .time_ms = job->time_ms};
	json_t *code = NULL;
	TzBuf document;
	TzStatus status;

	tz_buf_init(&document, TZ_RUNNER_JOB_MAX);
	status = job_code(job, &code, &run.code, err);
	if (status == TZ_OK)
	{
		job_document(job, &document);
		status = document.status;
		if (status != TZ_OK)
			tz_err_set(err, status, "input of the program is too large");
		run.json = tz_buf_slice(&document);
	}
	if (status == TZ_OK)
		status = need_runner(s, err);
	if (status == TZ_OK)
		status = tz_runner_run(s->runner, &run, &cb, &job->run, err);
	json_decref(code);
	tz_buf_free(&document);
	return status;
}

static void
job_begin(TzScriptJob *job)
{
	TzScripts *s = job->scripts;
	TzErr err;

	tz_err_clear(&err);
	job->started_us = tz_script_now_us();
	job->next = s->running;
	s->running = job;
	s->nrunning++;
	if (job_run(job, &err) == TZ_OK)
		return;
	job_unlink(job);
	job_failed(job, &err, err.status == TZ_BAD_INPUT || err.status == TZ_TOO_LARGE ? "22023" : NULL);
}

/* Places for those that wait. */
static void
begin_waiting(TzScripts *s)
{
	while (s->waiting != NULL && has_place(s))
	{
		TzScriptJob *job = s->waiting;

		s->waiting = job->next;
		if (s->waiting == NULL)
			s->waiting_end = &s->waiting;
		job->next = NULL;
		job_begin(job);
	}
}

void
tz_script_start(TzScripts *s, TzScriptJob *job)
{
	job->scripts = s;
	tz_err_clear(&job->err);
	tz_buf_init(&job->document, DOCUMENT_BYTES_MAX);
	tz_buf_init(&job->logs, TZ_SCRIPT_LOG_BYTES_MAX);
	tz_buf_init(&job->local, TZ_SCRIPT_LOCAL_BYTES_MAX);
	tz_buf_init(&job->written, TZ_RUNNER_FRAME_MAX);
	job_read(job);
	*s->waiting_end = job;
	s->waiting_end = &job->next;
	begin_waiting(s);
}

void
tz_script_wipe(TzScriptJob *job)
{
	tz_buf_free(&job->document);
	tz_buf_free(&job->logs);
	tz_buf_free(&job->local);
	tz_buf_free(&job->written);
}

static bool
waiting_remove(TzScripts *s, TzScriptJob *job)
{
	TzScriptJob **at = &s->waiting;

	while (*at != NULL && *at != job)
		at = &(*at)->next;
	if (*at == NULL)
		return false;
	*at = job->next;
	if (*at == NULL)
		s->waiting_end = at;
	job->next = NULL;
	return true;
}

void
tz_script_cancel(TzScriptJob *job)
{
	TzRunnerResult never = {.end = TZ_RUNNER_CANCELLED, .exit_status = -1};

	if (job->over || job->cancelling)
		return;
	job->cancelling = true;
	if (job->run != NULL)
		tz_runner_cancel(job->run);
	else if (waiting_remove(job->scripts, job))
	{
		(void) tz_script_document(job, &never, &job->scripts->info);
		job_over(job, TZ_SCRIPT_CANCELLED);
	}
}

/* The runner could not be started, or died, before a line of the program ran. */
static void
lost_unbegun(TzScriptJob *job, const TzRunnerResult *res)
{
	TzScripts *s = job->scripts;

	s->lost++;
	if (s->lost < LOST_MAX && s->runner != NULL && tz_runner_info(s->runner)->mode != TZ_RUNNER_NONE)
		job_over(job, TZ_SCRIPT_UNTOUCHED);
	else
		job_failed(job, &res->err, NULL);
}

static void
script_ended(void *arg, TzRunnerRun *run, const TzRunnerResult *res)
{
	TzScriptJob *job = arg;
	TzScripts *s = job->scripts;
	TzErr err;

	(void) run;
	know_runner(s);
	job->run = NULL;
	job_unlink(job);
	tz_script_calls_drop(job);
	if (!res->begun && s->leaving && !job->cancelling)
	{
		job_over(job, TZ_SCRIPT_UNTOUCHED);
		return;
	}
	if (res->end == TZ_RUNNER_LOST && !res->begun && !job->cancelling)
	{
		lost_unbegun(job, res);
		return;
	}
	if (res->end != TZ_RUNNER_LOST)
		s->lost = 0;
	if (tz_script_document(job, res, &s->info))
	{
		job_over(job,
		         job->cancelling && res->end == TZ_RUNNER_CANCELLED ? TZ_SCRIPT_CANCELLED : TZ_SCRIPT_ENDED);
		return;
	}
	tz_err_clear(&err);
	tz_err_set(&err, job->document.status == TZ_TOO_LARGE ? TZ_TOO_LARGE : TZ_NOMEM,
	           "what the program left cannot be kept");
	job_failed(job, &err, NULL);
}

/* ---- the loop's part ------------------------------------------------------------ */

void
tz_scripts_tick(TzScripts *s)
{
	if (s->runner != NULL)
		tz_runner_tick(s->runner);
	know_runner(s);
	/* another program, or other numbers: once nothing runs any more */
	if (s->reconfigured && s->nrunning == 0)
	{
		s->reconfigured = false;
		s->lost = 0;
		if (s->runner != NULL)
			tz_runner_free(s->runner);
		s->runner = NULL;
	}
	begin_waiting(s);
}

int
tz_scripts_timeout(const TzScripts *s)
{
	if (s->waiting != NULL && has_place(s))
		return 0;
	return s->runner != NULL ? tz_runner_timeout(s->runner) : -1;
}

void
tz_scripts_free(TzScripts *s)
{
	if (s == NULL)
		return;
	s->leaving = true;
	while (s->waiting != NULL)
	{
		TzScriptJob *job = s->waiting;

		(void) waiting_remove(s, job);
		job_over(job, TZ_SCRIPT_UNTOUCHED);
	}
	if (s->runner != NULL)
		tz_runner_free(s->runner);
	free(s->path);
	free(s);
}
