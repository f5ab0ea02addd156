/*-------------------------------------------------------------------------
 *
 * runnercli.c
 *	  Drives the real program through the parent's API, for tests and for a look.
 *
 *	  runnercli --runner FILE [--spares N] [--max N] command
 *
 * run [-m MB] [-t ms] [-c ms] [-i json] [-a] [-k]   code on standard input; one run
 * batch      lines of JSON on standard input, each {"code", "input"?, "memory"?, "time"?, "cancel"?}: one after
 *            another, an answer a line
 * many N     the code on standard input N times at once
 * bench N    the code on standard input N times one after another: microseconds a run
 * info       what the program says of itself
 *
 * An answer is JSON: {"end", "value"? (text), "name"?, "message"?, "stack"?, "logs": [[level, text]], "calls": [[name, args]],
 * "begun", "fault"?, "status", "cpu_us", "rss_kb", "wall_us"}. Host functions: read_context(k) answers {"key": k}, of
 * "missing" null, of "fail" an error, of "never" nothing, of "late" after 100 ms; the others answer their arguments.
 *
 *-------------------------------------------------------------------------
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/json.h"
#include "runner/parent.h"

typedef struct Late
{
	TzRunnerRun *run;
	uint32_t id;
	int64_t at_ms;
} Late;

typedef struct One
{
	TzRunnerRun *run;
	json_t *logs;
	json_t *calls;
	json_t *answer; /* set when done */
	int unread; /* answers that were too many */
	int64_t cancel_ms; /* 0 never */
} One;

static TzMux *mux;
static TzRunner *runner;
static Late late[64];
static int nlate;
static int done_count;
static bool quiet;

static int64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static json_t *
text(TzSlice s)
{
	json_t *v = json_stringn(s.data != NULL ? s.data : "", s.len);

	return v != NULL ? v : json_string("(not UTF-8)");
}

static void
on_log(void *arg, TzRunnerRun *run, const char *level, TzSlice t)
{
	One *one = arg;

	(void) run;
	if (!quiet && json_array_size(one->logs) < 1000)
		json_array_append_new(one->logs, json_pack("[so]", level, text(t)));
}

static void
on_call(void *arg, TzRunnerRun *run, uint32_t id, const char *name, TzSlice args)
{
	One *one = arg;
	TzErr err;

	if (!quiet && json_array_size(one->calls) < 1000)
		json_array_append_new(one->calls, json_pack("[so]", name, text(args)));
	if (strcmp(name, "read_context") != 0)
		(void) tz_runner_answer(run, id, true, args, &err);
	else if (tz_slice_eq_cstr(args, "[\"missing\"]"))
		(void) tz_runner_answer(run, id, true, tz_slice_cstr("null"), &err);
	else if (tz_slice_eq_cstr(args, "[\"fail\"]"))
		(void) tz_runner_answer(
			run, id, false,
			tz_slice_cstr(
				"{\"name\":\"PermissionError\",\"code\":\"PERMISSION_DENIED\",\"message\":\"not allowed\"}"),
			&err);
	else if (tz_slice_eq_cstr(args, "[\"cancel\"]"))
		tz_runner_cancel(run);
	else if (tz_slice_eq_cstr(args, "[\"large\"]"))
	{
		size_t n = TZ_RUNNER_ANSWER_MAX;
		char *p = malloc(n);

		memset(p, 'a', n);
		p[0] = p[n - 1] = '"';
		if (tz_runner_answer(run, id, true, tz_slice(p, n), &err) == TZ_TOO_LARGE)
		{
			one->unread++;
			(void) tz_runner_answer(run, id, false, tz_slice_cstr("{\"name\":\"RangeError\"}"), &err);
		}
		free(p);
	}
	else if (tz_slice_eq_cstr(args, "[\"late\"]") && nlate < 64)
		late[nlate++] = (Late){run, id, now_us() / 1000 + 100};
	else if (!tz_slice_eq_cstr(args, "[\"never\"]"))
	{
		char reply[4096];
		int n = snprintf(reply, sizeof(reply), "{\"key\":%.*s}", (int) (args.len - 2), args.data + 1);

		(void) tz_runner_answer(run, id, true, tz_slice(reply, (size_t) n), &err);
	}
}

static void
on_done(void *arg, TzRunnerRun *run, const TzRunnerResult *res)
{
	static const char *const ends[] = {"returned", "threw", "time", "memory", "fault", "cancelled", "lost"};
	One *one = arg;

	for (int i = 0; i < nlate; i++)
		if (late[i].run == run)
			late[i--] = late[--nlate];
	done_count++;
	one->run = NULL;
	one->answer = json_object();
	json_object_set_new(one->answer, "end", json_string(ends[res->end]));
	if (res->end == TZ_RUNNER_RETURNED && res->value.len > 0)
		json_object_set_new(one->answer, "value", text(res->value));
	if (res->end != TZ_RUNNER_RETURNED)
	{
		json_object_set_new(one->answer, "error", json_string(res->err.message));
		json_object_set_new(one->answer, "name", text(res->error_name));
		json_object_set_new(one->answer, "message", text(res->error_message));
		json_object_set_new(one->answer, "stack", text(res->error_stack));
	}
	if (res->fault != NULL)
		json_object_set_new(one->answer, "fault", json_string(res->fault));
	json_object_set(one->answer, "logs", one->logs);
	json_object_set(one->answer, "calls", one->calls);
	json_object_set_new(one->answer, "nlogs", json_integer(res->logs));
	json_object_set_new(one->answer, "ncalls", json_integer(res->calls));
	json_object_set_new(one->answer, "begun", json_boolean(res->begun));
	json_object_set_new(one->answer, "status", json_integer(res->exit_status));
	json_object_set_new(one->answer, "cpu_us", json_integer(res->cpu_us));
	json_object_set_new(one->answer, "rss_kb", json_integer(res->peak_rss_kb));
	json_object_set_new(one->answer, "unread", json_integer(one->unread));
	json_object_set_new(one->answer, "heap_kb", json_integer(res->heap_kb));
	json_object_set_new(one->answer, "wall_us", json_integer(res->wall_us));
}

static void
turn(One *ones, int n)
{
	struct pollfd p = {.fd = tz_mux_fd(mux), .events = POLLIN};
	int wait = tz_runner_timeout(runner);
	int64_t now;

	if (nlate > 0 && (wait < 0 || wait > 10))
		wait = 10;
	for (int i = 0; i < n; i++)
		if (ones[i].cancel_ms != 0 && (wait < 0 || wait > 5))
			wait = 5;
	if (poll(&p, 1, wait) > 0)
		(void) tz_mux_pump(mux, 64);
	tz_runner_tick(runner);
	now = now_us() / 1000;
	for (int i = 0; i < nlate; i++)
		if (late[i].at_ms <= now)
		{
			Late l = late[i];

			late[i--] = late[--nlate];
			(void) tz_runner_answer(l.run, l.id, true, tz_slice_cstr("\"late\""), NULL);
		}
	for (int i = 0; i < n; i++)
		if (ones[i].run != NULL && ones[i].cancel_ms != 0 && ones[i].cancel_ms <= now)
		{
			ones[i].cancel_ms = 0;
			tz_runner_cancel(ones[i].run);
		}
}

static void
start(One *one, TzSlice code, const char *input, int memory_mb, int time_ms, int cancel_ms)
{
	TzRunnerCallbacks cb = {on_log, on_call, on_done, one};
	TzErr err;
	TzBuf json;
	TzRunnerJob job = {.code = code, .memory_mb = memory_mb, .time_ms = time_ms};

	memset(one, 0, sizeof(*one));
	tz_err_clear(&err);
	one->logs = json_array();
	one->calls = json_array();
	one->cancel_ms = cancel_ms > 0 ? now_us() / 1000 + cancel_ms : 0;
	tz_buf_init(&json, 2 * TZ_RUNNER_JOB_MAX);
	(void) tz_buf_printf(&json,
	                     "{\"agentName\":\"tester\",\"agentVersion\":\"1.2.3\",\"executionId\":\"42\"");
	if (input != NULL)
		(void) tz_buf_printf(&json, ",\"input\":%s", input);
	(void) tz_buf_append_cstr(&json, "}");
	job.json = tz_buf_slice(&json);
	if (tz_runner_run(runner, &job, &cb, &one->run, &err) != TZ_OK)
	{
		one->answer = json_pack("{ssssss}", "end", "refused", "error", err.message, "hint", err.hint);
		done_count++;
	}
	tz_buf_free(&json);
}

static void
print(One *one)
{
	char *s = json_dumps(one->answer, JSON_COMPACT);

	puts(s);
	fflush(stdout);
	free(s);
}

static void
forget(One *one)
{
	json_decref(one->logs);
	json_decref(one->calls);
	json_decref(one->answer);
	memset(one, 0, sizeof(*one));
}

static TzBuf
stdin_text(void)
{
	TzBuf b;
	char bytes[65536];
	size_t n;

	tz_buf_init(&b, 64 << 20);
	while ((n = fread(bytes, 1, sizeof(bytes), stdin)) > 0)
		(void) tz_buf_append(&b, bytes, n);
	return b;
}

static int
batch(void)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	while ((n = getline(&line, &cap, stdin)) > 0)
	{
		json_error_t e;
		json_t *job = json_loadb(line, (size_t) n, JSON_ALLOW_NUL, &e);
		json_t *code = json_object_get(job, "code"), *v;
		char *input = json_dumps(json_object_get(job, "input"), JSON_COMPACT | JSON_ENCODE_ANY);
		int memory = 128, time = 10000, cancel = 0;
		One one;

		if ((v = json_object_get(job, "memory")) != NULL)
			memory = (int) json_integer_value(v);
		if ((v = json_object_get(job, "time")) != NULL)
			time = (int) json_integer_value(v);
		if ((v = json_object_get(job, "cancel")) != NULL)
			cancel = (int) json_integer_value(v);
		start(&one, tz_slice(json_string_value(code), json_string_length(code)), input, memory, time, cancel);
		while (one.answer == NULL)
			turn(&one, 1);
		print(&one);
		forget(&one);
		free(input);
		json_decref(job);
	}
	free(line);
	return 0;
}

static int
many(int n)
{
	TzBuf code = stdin_text();
	One *ones = calloc((size_t) n, sizeof(*ones));

	for (int i = 0; i < n; i++)
		start(&ones[i], tz_buf_slice(&code), "{}", 128, 10000, 0);
	while (done_count < n)
		turn(ones, n);
	for (int i = 0; i < n; i++)
	{
		print(&ones[i]);
		forget(&ones[i]);
	}
	free(ones);
	tz_buf_free(&code);
	return 0;
}

static int
compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *) a, y = *(const int64_t *) b;

	return (x > y) - (x < y);
}

static int
bench(int n)
{
	TzBuf code = stdin_text();
	int64_t *us = calloc((size_t) n, sizeof(*us)), all = 0;
	One one;

	quiet = true;
	for (int i = 0; i < n; i++)
	{
		int64_t from = now_us();

		start(&one, tz_buf_slice(&code), "{}", 128, 10000, 0);
		while (one.answer == NULL)
			turn(&one, 1);
		us[i] = now_us() - from;
		all += us[i];
		if (i == 0)
			print(&one);
		forget(&one);
	}
	qsort(us, (size_t) n, sizeof(*us), compare);
	printf("median_us %lld p95_us %lld mean_us %lld\n", (long long) us[n / 2], (long long) us[n * 95 / 100],
	       (long long) (all / n));
	free(us);
	tz_buf_free(&code);
	return 0;
}

static int
info(const char *path)
{
	TzRunnerInfo i;

	tz_runner_preflight(path, 15000, &i);
	printf("mode: %s\nengine: %s %s\nsha256: %s\n", tz_runner_mode_name(i.mode), i.engine, i.engine_version,
	       i.sha256);
	for (int n = 0; n < TZ_RUNNER_WALLS; n++)
		printf("%s: %s\n", tz_runner_wall_name(n),
		       i.walls & (1u << n) ? "yes"
		       : i.refused[n] != 0 ? strerror(i.refused[n])
		                           : "no");
	if (i.mode == TZ_RUNNER_NONE)
		printf("error: %s\nhint: %s\n", i.err.message, i.err.hint);
	return i.mode == TZ_RUNNER_NONE;
}

int
main(int argc, char **argv)
{
	TzRunnerConfig config = {.path = NULL, .spares = 1, .max_runs = 64};
	const char *command;
	int at = 1, rc = 2, n;
	TzErr err;

	for (; at + 1 < argc && strncmp(argv[at], "--", 2) == 0; at += 2)
		if (strcmp(argv[at], "--runner") == 0)
			config.path = argv[at + 1];
		else if (strcmp(argv[at], "--spares") == 0)
			config.spares = (int) strtol(argv[at + 1], NULL, 10);
		else if (strcmp(argv[at], "--max") == 0)
			config.max_runs = (int) strtol(argv[at + 1], NULL, 10);
	command = at < argc ? argv[at] : "";
	n = at + 1 < argc ? (int) strtol(argv[at + 1], NULL, 10) : 1;
	if (config.path == NULL)
		return 2;
	if (strcmp(command, "info") == 0)
		return info(config.path);
	if (tz_mux_create(&mux, &err) != TZ_OK || tz_runner_start(&config, mux, &runner, &err) != TZ_OK)
		return 2;
	if (strcmp(command, "batch") == 0)
		rc = batch();
	else if (strcmp(command, "many") == 0)
		rc = many(n);
	else if (strcmp(command, "bench") == 0)
		rc = bench(n);
	tz_runner_free(runner);
	tz_mux_free(mux);
	return rc;
}
