/*-------------------------------------------------------------------------
 *
 * test_script.c
 *	  Programs of agents at their dispatcher, with a runner that only takes notes.
 *
 *-------------------------------------------------------------------------
 */
#include "tz_test.h"

#include "worker/script_internal.h"

#define RUNS_MAX 64
#define ANSWERS_MAX 2048

/* ---- a runner that does as it is told -------------------------------------------- */

struct TzRunnerRun
{
	TzRunnerCallbacks cb;
	TzRunnerJob job;
	char json[4096];
	char code[256];
	bool open;
	bool cancelled;
};

struct TzRunner
{
	int max_runs;
};

static struct TzRunnerRun runs[RUNS_MAX];
static int nruns;
static int nstarted; /* runners */
static TzRunnerInfo info;
static TzStatus run_says;
static TzStatus start_says;
static struct
{
	uint32_t id;
	bool ok;
	char text[512];
	size_t len;
} answers[ANSWERS_MAX];
static int nanswers;
static size_t answer_max;

TzStatus
tz_runner_start(const TzRunnerConfig *config, TzMux *mux, TzRunner **out, TzErr *err)
{
	(void) mux;
	if (start_says != TZ_OK)
		return tz_err_set(err, start_says, "cannot be started");
	*out = calloc(1, sizeof(TzRunner));
	(*out)->max_runs = config->max_runs;
	nstarted++;
	info.pid++;
	return TZ_OK;
}

TzStatus
tz_runner_run(TzRunner *runner, const TzRunnerJob *job, const TzRunnerCallbacks *cb, TzRunnerRun **out,
              TzErr *err)
{
	struct TzRunnerRun *r = &runs[nruns];

	assert_true(nruns < RUNS_MAX);
	if (run_says != TZ_OK)
		return tz_err_set(err, run_says, "not taken");
	memset(r, 0, sizeof(*r));
	r->cb = *cb;
	r->job = *job;
	r->open = true;
	snprintf(r->json, sizeof(r->json), "%.*s", (int) job->json.len, job->json.data);
	snprintf(r->code, sizeof(r->code), "%.*s", (int) job->code.len, job->code.data);
	nruns++;
	(void) runner;
	*out = r;
	return TZ_OK;
}

TzStatus
tz_runner_answer(TzRunnerRun *run, uint32_t id, bool ok, TzSlice json, TzErr *err)
{
	assert_true(run->open && nanswers < ANSWERS_MAX);
	if (json.len > answer_max)
		return tz_err_set(err, TZ_TOO_LARGE, "too large");
	answers[nanswers].id = id;
	answers[nanswers].ok = ok;
	answers[nanswers].len = json.len;
	snprintf(answers[nanswers].text, sizeof(answers[0].text), "%.*s", (int) json.len, json.data);
	nanswers++;
	return TZ_OK;
}

void
tz_runner_cancel(TzRunnerRun *run)
{
	run->cancelled = true;
}

const TzRunnerInfo *
tz_runner_info(const TzRunner *runner)
{
	(void) runner;
	return &info;
}

int
tz_runner_timeout(const TzRunner *runner)
{
	(void) runner;
	return 7;
}

void
tz_runner_tick(TzRunner *runner)
{
	(void) runner;
}

const char *
tz_runner_mode_name(TzRunnerMode mode)
{
	return mode == TZ_RUNNER_FULL ? "full" : "none";
}

static void
end_with(int i, TzRunnerResult res)
{
	assert_true(runs[i].open);
	runs[i].open = false;
	runs[i].cb.done(runs[i].cb.arg, &runs[i], &res);
}

static void
end_as(int i, TzRunnerEnd how)
{
	end_with(i, (TzRunnerResult){.end = how, .begun = true, .exit_status = -1});
}

void
tz_runner_free(TzRunner *runner)
{
	for (int i = 0; i < nruns; i++)
		if (runs[i].open)
			end_with(i, (TzRunnerResult){.end = TZ_RUNNER_CANCELLED, .begun = i % 2 == 0});
	free(runner);
}

/* ---- programs --------------------------------------------------------------------- */

static TzScripts *scripts;
static int nended;

static int
setup(void **state)
{
	TzScriptConfig config = {.runner = "/runner", .max = 2, .spares = 1};

	(void) state;
	nruns = nstarted = nanswers = nended = 0;
	run_says = start_says = TZ_OK;
	answer_max = SIZE_MAX;
	memset(&info, 0, sizeof(info));
	info.mode = TZ_RUNNER_FULL;
	info.walls = TZ_RUNNER_WALL_SECCOMP;
	strcpy(info.engine, "fake");
	scripts = tz_scripts_new(&config, NULL);
	assert_non_null(scripts);
	return 0;
}

static int
teardown(void **state)
{
	(void) state;
	tz_scripts_free(scripts);
	return 0;
}

static void
on_done(TzScriptJob *job)
{
	(void) job;
	nended++;
}

static TzScriptJob *
start(TzScriptJob *job, const char *request)
{
	memset(job, 0, sizeof(*job));
	job->request = tz_slice_cstr(request);
	job->effect_id = "eff_1";
	job->done = on_done;
	tz_script_start(scripts, job);
	return job;
}

/* The outcome, to be released. */
static json_t *
outcome(TzScriptJob *job)
{
	json_t *doc = json_loadb(job->document.data, job->document.len, 0, NULL);

	assert_non_null(doc);
	return doc;
}

static const char *
text_of(const json_t *doc, const char *name)
{
	const char *text = json_string_value(json_object_get(doc, name));

	return text != NULL ? text : "";
}

static void
test_request(void **state)
{
	TzScriptJob job;

	(void) state;
	start(
		&job,
		"{\"code\": \"return \\\"\\u00e9\\\"\", \"input\": {\"n\": 123456789012345678901.50}, \"agent_name\": \"a\","
		" \"execution_id\": 7, \"memory_mb\": 64, \"time_ms\": 1500, \"max_api_calls\": 3}");
	assert_int_equal(nruns, 1);
	assert_string_equal(runs[0].code, "return \"\xc3\xa9\"");
	/* as it was written, and null for what is not there */
	assert_string_equal(runs[0].json, "{\"agentName\":\"a\",\"agentVersion\":null,\"executionId\":7,"
	                                  "\"input\":{\"n\": 123456789012345678901.50}}");
	assert_int_equal(runs[0].job.memory_mb, 64);
	assert_int_equal(runs[0].job.time_ms, 1500);
	assert_int_equal(job.max_api_calls, 3);
	end_as(0, TZ_RUNNER_RETURNED);
	assert_int_equal(nended, 1);
	tz_script_wipe(&job);
	/* what is none is as good as absent, and what is too much is the most */
	start(&job, "{\"code\": \"\", \"memory_mb\": \"x\", \"time_ms\": 99999999, \"max_api_calls\": -1}");
	assert_int_equal(runs[1].job.memory_mb, 128);
	assert_int_equal(runs[1].job.time_ms, 3600000);
	assert_int_equal(job.max_api_calls, 50);
	end_as(1, TZ_RUNNER_RETURNED);
	tz_script_wipe(&job);
}

static void
test_refused(void **state)
{
	static const char *const requests[] = {"{}", "{\"code\": 5}", "{\"code\": \"\\u0000\"}", "no JSON"};
	TzScriptJob job;

	(void) state;
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
	{
		start(&job, requests[i]);
		assert_int_equal(job.end, TZ_SCRIPT_FAILED);
		assert_string_equal(job.sqlstate, "22023");
		tz_script_wipe(&job);
	}
	start_says = TZ_UNAVAILABLE;
	start(&job, "{\"code\": \"\"}");
	assert_int_equal(job.end, TZ_SCRIPT_FAILED);
	assert_null(job.sqlstate);
	assert_string_equal(job.err.message, "cannot be started");
	tz_script_wipe(&job);
	start_says = TZ_OK;
	run_says = TZ_TOO_LARGE;
	start(&job, "{\"code\": \"\"}");
	assert_string_equal(job.sqlstate, "22023");
	tz_script_wipe(&job);
	assert_int_equal(nended, 6);
	assert_int_equal(tz_scripts_room(scripts), 2);
}

/* Two places: the third waits, and the order is kept. */
static void
test_places(void **state)
{
	TzScriptJob jobs[5];

	(void) state;
	assert_int_equal(tz_scripts_room(NULL), 0);
	assert_int_equal(tz_scripts_room(scripts), 2);
	assert_int_equal(tz_scripts_timeout(scripts), -1);
	for (int i = 0; i < 5; i++)
	{
		start(&jobs[i], i == 3 ? "{\"code\": \"three\"}" : "{\"code\": \"x\"}");
		assert_int_equal(tz_scripts_room(scripts), i == 0);
	}
	assert_int_equal(nruns, 2);
	assert_int_equal(tz_scripts_timeout(scripts), 7);
	/* one that waits is never begun */
	tz_script_cancel(&jobs[2]);
	assert_int_equal(jobs[2].end, TZ_SCRIPT_CANCELLED);
	{
		json_t *doc = outcome(&jobs[2]);

		assert_string_equal(text_of(doc, "status"), "terminated");
		assert_true(json_is_false(json_object_get(doc, "begun")));
		json_decref(doc);
	}
	tz_script_cancel(&jobs[2]);
	assert_int_equal(nended, 1);
	end_as(0, TZ_RUNNER_RETURNED);
	assert_int_equal(nruns, 2);
	assert_int_equal(tz_scripts_timeout(scripts), 0);
	tz_scripts_tick(scripts);
	assert_int_equal(nruns, 3);
	assert_string_equal(runs[2].code, "three");
	tz_script_cancel(&jobs[3]);
	assert_true(runs[2].cancelled);
	end_as(2, TZ_RUNNER_CANCELLED);
	assert_int_equal(jobs[3].end, TZ_SCRIPT_CANCELLED);
	end_as(1, TZ_RUNNER_RETURNED);
	tz_scripts_tick(scripts);
	end_as(3, TZ_RUNNER_RETURNED);
	assert_int_equal(nended, 5);
	for (int i = 0; i < 5; i++)
		tz_script_wipe(&jobs[i]);
}

/* More places count once the runner is started anew, which waits for its programs. */
static void
test_reconfigured(void **state)
{
	TzScriptConfig more = {.runner = "/runner", .max = 4, .spares = 1};
	TzScriptConfig fewer = {.runner = "/runner", .max = 1, .spares = 1};
	TzScriptJob jobs[3];

	(void) state;
	start(&jobs[0], "{\"code\": \"\"}");
	tz_scripts_configure(scripts, &more);
	tz_scripts_tick(scripts);
	assert_int_equal(tz_scripts_room(scripts), 1);
	end_as(0, TZ_RUNNER_RETURNED);
	tz_scripts_tick(scripts);
	assert_int_equal(tz_scripts_room(scripts), 4);
	start(&jobs[1], "{\"code\": \"\"}");
	start(&jobs[2], "{\"code\": \"\"}");
	assert_int_equal(nstarted, 2);
	tz_scripts_configure(scripts, &fewer);
	assert_int_equal(tz_scripts_room(scripts), 0);
	end_as(1, TZ_RUNNER_RETURNED);
	assert_int_equal(tz_scripts_room(scripts), 0);
	end_as(2, TZ_RUNNER_RETURNED);
	assert_int_equal(tz_scripts_room(scripts), 1);
	for (int i = 0; i < 3; i++)
		tz_script_wipe(&jobs[i]);
}

/* A runner that dies before a line ran: the program is given back, unless that goes on. */
static void
test_lost(void **state)
{
	TzScriptJob job;

	(void) state;
	for (int i = 0; i < 3; i++)
	{
		start(&job, "{\"code\": \"\"}");
		end_with(i, (TzRunnerResult){.end = TZ_RUNNER_LOST});
		assert_int_equal(job.end, i < 2 ? TZ_SCRIPT_UNTOUCHED : TZ_SCRIPT_FAILED);
		tz_script_wipe(&job);
	}
	start(&job, "{\"code\": \"\"}");
	end_as(3, TZ_RUNNER_RETURNED);
	tz_script_wipe(&job);
	start(&job, "{\"code\": \"\"}");
	end_with(4, (TzRunnerResult){.end = TZ_RUNNER_LOST});
	assert_int_equal(job.end, TZ_SCRIPT_UNTOUCHED);
	tz_script_wipe(&job);
	start(&job, "{\"code\": \"\"}");
	end_as(5, TZ_RUNNER_LOST);
	assert_int_equal(job.end, TZ_SCRIPT_ENDED);
	tz_script_wipe(&job);
	/* where nothing can be started at all there is no use in trying */
	info.mode = TZ_RUNNER_NONE;
	start(&job, "{\"code\": \"\"}");
	end_with(6, (TzRunnerResult){.end = TZ_RUNNER_LOST});
	assert_int_equal(job.end, TZ_SCRIPT_FAILED);
	tz_script_wipe(&job);
}

/* Told to leave: what has not begun is given back, what has ends as failed, and what waits for SQL is forgotten. */
static void
test_leave(void **state)
{
	TzScriptJob jobs[3];
	json_t *doc;

	(void) state;
	for (int i = 0; i < 3; i++)
		start(&jobs[i], "{\"code\": \"\"}");
	runs[0].cb.call(runs[0].cb.arg, &runs[0], 1, "read_context", tz_slice_cstr("[]"));
	tz_scripts_free(scripts);
	scripts = NULL;
	assert_int_equal(nended, 3);
	assert_int_equal(jobs[0].end, TZ_SCRIPT_ENDED);
	assert_int_equal(jobs[1].end, TZ_SCRIPT_UNTOUCHED);
	assert_int_equal(jobs[2].end, TZ_SCRIPT_UNTOUCHED);
	doc = outcome(&jobs[0]);
	assert_string_equal(text_of(doc, "status"), "failed");
	assert_string_equal(text_of(json_object_get(doc, "error"), "message"),
	                    "the worker that ran the code was stopped");
	assert_int_equal(json_integer_value(json_object_get(doc, "calls_dropped")), 1);
	json_decref(doc);
	for (int i = 0; i < 3; i++)
		tz_script_wipe(&jobs[i]);
}

/* ---- calls ------------------------------------------------------------------------- */

static void
ask(int run, uint32_t id, const char *name, const char *args)
{
	runs[run].cb.call(runs[run].cb.arg, &runs[run], id, name, tz_slice_cstr(args));
}

static void
test_calls(void **state)
{
	TzScriptJob job;
	TzHostCall *call;

	(void) state;
	assert_int_equal(tz_scripts_waiting(NULL) + tz_scripts_ready(NULL), 0);
	start(&job, "{\"code\": \"\"}");
	ask(0, 1, "read_context", "[\"k\"]");
	ask(0, 2, "http_request", "[\"https://x\"]");
	assert_int_equal(tz_scripts_waiting(scripts), 2);
	assert_int_equal(tz_scripts_ready(scripts), 2);
	assert_true(tz_scripts_wants_fetch(scripts));
	call = tz_scripts_calls(scripts);
	assert_int_equal(call->id, 1);
	tz_host_call_judged(call);
	tz_host_call_judged(call);
	assert_int_equal(tz_scripts_waiting(scripts), 1);
	/* its transaction failed */
	tz_host_call_back(call, tz_script_now_us() + 60000000);
	assert_int_equal(tz_scripts_waiting(scripts), 2);
	assert_int_equal(tz_scripts_ready(scripts), 1);
	tz_host_call_judged(call);
	tz_host_call_answer(call, true, tz_slice_cstr("\"v\""));
	assert_string_equal(answers[0].text, "\"v\"");
	call = tz_scripts_calls(scripts);
	tz_host_call_judged(call);
	assert_false(tz_scripts_wants_fetch(scripts));
	tz_host_call_fetches(call, tz_slice_cstr("eff_9"));
	assert_null(tz_scripts_fetching(scripts, "eff_9"));
	call->state = TZ_CALL_FETCHING;
	assert_ptr_equal(tz_scripts_fetching(scripts, "eff_9"), call);
	tz_host_call_fail(call, "CODE", "say \"why\"");
	assert_false(answers[1].ok);
	assert_string_equal(answers[1].text,
	                    "{\"name\":\"HostError\",\"code\":\"CODE\",\"message\":\"say \\\"why\\\"\"}");
	assert_null(tz_scripts_calls(scripts));
	/* too large to be told: that is told */
	ask(0, 3, "read_context", "[]");
	answer_max = 200;
	{
		char *large = calloc(1, 300);

		memset(large, '1', 299);
		tz_host_call_answer(tz_scripts_calls(scripts), true, tz_slice_cstr(large));
		free(large);
	}
	assert_non_null(strstr(answers[2].text, "TOO_LARGE"));
	end_as(0, TZ_RUNNER_RETURNED);
	tz_script_wipe(&job);
}

/* Far beyond its limit SQL is not asked any more. */
static void
test_flood(void **state)
{
	TzScriptJob job;

	(void) state;
	start(&job, "{\"code\": \"\", \"max_api_calls\": 2}");
	for (uint32_t i = 1; i <= 20; i++)
		ask(0, i, "read_context", "[]");
	assert_int_equal(tz_scripts_waiting(scripts), 12);
	assert_int_equal(nanswers, 8);
	assert_non_null(strstr(answers[0].text, "RATE_LIMITED"));
	end_as(0, TZ_RUNNER_RETURNED);
	assert_int_equal(job.api_calls, 20);
	assert_int_equal(job.refused, 8);
	assert_int_equal(job.dropped, 12);
	assert_int_equal(tz_scripts_waiting(scripts), 0);
	tz_script_wipe(&job);
}

/* ---- what is kept ------------------------------------------------------------------- */

static void
test_written(void **state)
{
	TzScriptJob job;
	json_t *doc;
	json_t *local;

	(void) state;
	start(&job, "{\"code\": \"\"}");
	for (uint32_t i = 1; i <= 150; i++)
	{
		char args[64];

		snprintf(args, sizeof(args), "[{\"n\":%u.50},2]", i);
		ask(0, i, "write_result", args);
	}
	assert_int_equal(nanswers, 150);
	assert_string_equal(answers[149].text, "null");
	end_as(0, TZ_RUNNER_RETURNED);
	assert_non_null(memmem(job.document.data, job.document.len, "\"written\":{\"n\":150.50}", 22));
	doc = outcome(&job);
	local = json_object_get(doc, "host_calls_local");
	assert_int_equal(json_array_size(local), 100);
	assert_string_equal(text_of(json_array_get(local, 0), "args_summary"), "{\"n\":1.50}");
	assert_int_equal(json_integer_value(json_object_get(doc, "write_result_calls")), 150);
	assert_int_equal(json_integer_value(json_object_get(doc, "api_calls")), 0);
	json_decref(doc);
	tz_script_wipe(&job);
	/* without an argument: null */
	start(&job, "{\"code\": \"\"}");
	ask(1, 1, "write_result", "[]");
	end_as(1, TZ_RUNNER_RETURNED);
	assert_non_null(memmem(job.document.data, job.document.len, "\"written\":null", 14));
	tz_script_wipe(&job);
}

static void
test_logs(void **state)
{
	TzScriptJob job;
	json_t *doc;
	json_t *logs;
	char *text = malloc(20001);

	(void) state;
	assert_non_null(text);
	start(&job, "{\"code\": \"\"}");
	/* cut between characters */
	memset(text, 'a', 20000);
	memcpy(text + 16383, "\xc3\xa9", 2);
	runs[0].cb.log(runs[0].cb.arg, &runs[0], "warn", tz_slice(text, 20000));
	free(text);
	for (int i = 0; i < 1200; i++)
		runs[0].cb.log(runs[0].cb.arg, &runs[0], "info", tz_slice_cstr("\"line\"\n"));
	end_as(0, TZ_RUNNER_RETURNED);
	doc = outcome(&job);
	logs = json_object_get(doc, "logs");
	assert_int_equal(json_array_size(logs), 1000);
	assert_int_equal(json_integer_value(json_object_get(doc, "logs_dropped")), 201);
	assert_int_equal(json_string_length(json_object_get(json_array_get(logs, 0), "message")), 16383);
	assert_true(json_is_true(json_object_get(json_array_get(logs, 0), "cut")));
	assert_string_equal(text_of(json_array_get(logs, 1), "message"), "\"line\"\n");
	assert_null(json_object_get(json_array_get(logs, 1), "cut"));
	json_decref(doc);
	tz_script_wipe(&job);
}

static void
test_endings(void **state)
{
	static const struct
	{
		TzRunnerEnd end;
		const char *status;
		const char *code;
		const char *message;
	} cases[] = {
		{TZ_RUNNER_RETURNED, "completed", "", ""},
		{TZ_RUNNER_THREW, "failed", "EXECUTION_ERROR", "the code threw"},
		{TZ_RUNNER_TIME, "terminated", "TIME_LIMIT", "the code took longer than it may"},
		{TZ_RUNNER_MEMORY, "terminated", "MEMORY_LIMIT", "the code needed more memory than it may"},
		{TZ_RUNNER_FAULT, "failed", "EXECUTION_ERROR", "sandbox fault"},
		{TZ_RUNNER_LOST, "failed", "EXECUTION_ERROR", "the process that ran the code is gone"},
	};
	TzRunnerResult res = {.end = TZ_RUNNER_THREW,
	                      .begun = true,
	                      .error_name = tz_slice_cstr("TypeError"),
	                      .error_message = tz_slice_cstr("no \"good\""),
	                      .error_stack = tz_slice_cstr("at agent.js:1"),
	                      .fault = "broken frame",
	                      .cpu_us = 1001,
	                      .peak_rss_kb = 1025,
	                      .wall_us = 2999};
	TzScriptJob job;
	json_t *doc;
	json_t *usage;

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		start(&job, "{\"code\": \"\"}");
		end_as((int) i, cases[i].end);
		doc = outcome(&job);
		assert_string_equal(text_of(doc, "status"), cases[i].status);
		assert_string_equal(text_of(json_object_get(doc, "error"), "code"), cases[i].code);
		assert_string_equal(text_of(json_object_get(doc, "error"), "message"), cases[i].message);
		assert_true(json_is_false(json_object_get(doc, "returned")));
		assert_null(json_object_get(doc, "output"));
		json_decref(doc);
		tz_script_wipe(&job);
	}
	start(&job, "{\"code\": \"\"}");
	end_with(nruns - 1, res);
	doc = outcome(&job);
	assert_string_equal(text_of(json_object_get(doc, "error"), "name"), "TypeError");
	assert_string_equal(text_of(json_object_get(doc, "error"), "message"), "no \"good\"");
	assert_string_equal(text_of(json_object_get(doc, "error"), "stack"), "at agent.js:1");
	assert_string_equal(text_of(doc, "fault"), "broken frame");
	assert_string_equal(text_of(doc, "engine"), "fake");
	assert_string_equal(text_of(json_object_get(doc, "isolation"), "mode"), "full");
	assert_true(json_is_true(json_object_get(json_object_get(doc, "isolation"), "seccomp")));
	assert_true(json_is_false(json_object_get(json_object_get(doc, "isolation"), "root")));
	/* what was begun is counted */
	usage = json_object_get(doc, "usage");
	assert_int_equal(json_integer_value(json_object_get(usage, "cpu_ms")), 2);
	assert_int_equal(json_integer_value(json_object_get(usage, "memory_mb")), 2);
	assert_int_equal(json_integer_value(json_object_get(usage, "wall_ms")), 2);
	json_decref(doc);
	tz_script_wipe(&job);
	start(&job, "{\"code\": \"\"}");
	end_with(nruns - 1,
	         (TzRunnerResult){.end = TZ_RUNNER_RETURNED, .begun = true, .value = tz_slice_cstr("[1.50]")});
	assert_non_null(memmem(job.document.data, job.document.len, "\"returned\":true,\"output\":[1.50]", 31));
	tz_script_wipe(&job);
}

static void
test_time(void **state)
{
	TzBuf out;

	(void) state;
	tz_buf_init(&out, 100);
	tz_script_append_time(&out, INT64_C(1700000000123456));
	assert_string_equal(out.data, "\"2023-11-14T22:13:20.123Z\"");
	tz_buf_free(&out);
}

/* ---- requests ------------------------------------------------------------------------ */

static const char *
fetched(bool done, const char *result)
{
	TzScriptJob job;

	start(&job, "{\"code\": \"\"}");
	ask(nruns - 1, 1, "http_request", "[]");
	tz_script_fetched(tz_scripts_calls(scripts), done, tz_slice_cstr(result));
	assert_null(tz_scripts_calls(scripts));
	end_as(nruns - 1, TZ_RUNNER_RETURNED);
	tz_script_wipe(&job);
	assert_int_equal(answers[nanswers - 1].ok, done);
	return answers[nanswers - 1].text;
}

static void
test_fetched(void **state)
{
	static const char json[] =
		"{\"status\": 200, \"headers\": {\"content-type\": \"application/json\"}, \"body\": \"%s\"%s}";
	char text[512];

	(void) state;
	/* JSON is a value, as it was written */
	snprintf(text, sizeof(text), json, "{\\\"n\\\": 1.50e3}", "");
	assert_string_equal(fetched(true, text),
	                    "{\"status\":200,\"headers\":{\"content-type\":\"application/json\"},"
	                    "\"body\":{\"n\":1.50e3},\"truncated\":false}");
	/* a part of it is a text, and so is what is none */
	snprintf(text, sizeof(text), json, "[1]", ", \"truncated\": true");
	assert_non_null(strstr(fetched(true, text), "\"body\":\"[1]\",\"truncated\":true"));
	snprintf(text, sizeof(text), json, "{", "");
	assert_non_null(strstr(fetched(true, text), "\"body\":\"{\""));
	assert_non_null(
		strstr(fetched(true, "{\"status\": 204}"), "{\"status\":204,\"headers\":{},\"body\":\"\""));
	/* codes in capitals, and no providers */
	assert_string_equal(fetched(false, "{\"code\": \"timeout\", \"message\": \"late\"}"),
	                    "{\"name\":\"HostError\",\"code\":\"TIMEOUT\",\"message\":\"late\"}");
	assert_non_null(strstr(fetched(false, "{\"code\": \"provider_error\"}"),
	                       "\"code\":\"NETWORK_ERROR\",\"message\":\"the request was not answered\""));
	assert_non_null(strstr(fetched(false, ""), "\"code\":\"NETWORK_ERROR\""));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_request, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_places, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reconfigured, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_leave, setup, teardown),
		cmocka_unit_test_setup_teardown(test_calls, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flood, setup, teardown),
		cmocka_unit_test_setup_teardown(test_written, setup, teardown),
		cmocka_unit_test_setup_teardown(test_logs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_endings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fetched, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
