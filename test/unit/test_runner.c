/* runner: texts from a run, what the parent refuses, and real runs under the sanitizers. */
#include <poll.h>
#include <unistd.h>

#include "tz_test.h"

#include "runner/frame.h"
#include "runner/parent.h"
#include "runner/text.h"

static void
text_case(const char *in, size_t len, TzStatus want, const char *out)
{
	TzBuf b;

	tz_buf_init(&b, 4096);
	assert_int_equal(tz_runner_json(tz_slice(in, len), 3, &b, NULL), want);
	if (want == TZ_OK)
	{
		assert_int_equal(b.len, strlen(out));
		assert_memory_equal(b.data, out, b.len);
	}
	tz_buf_free(&b);
}

#define TEXT(in, want, out) text_case(in, sizeof(in) - 1, want, out)

static void
test_text_passes(void **state)
{
	(void) state;
	TEXT("1", TZ_OK, "1");
	TEXT(" [1, {\"a\": null}] ", TZ_OK, " [1, {\"a\": null}] ");
	TEXT("[[[]]]", TZ_OK, "[[[]]]");
	TEXT("{}", TZ_OK, "{}");
	TEXT("-0.5E+10", TZ_OK, "-0.5E+10");
	TEXT("\"\\u00e9\\ud83d\\ude00\\n\"", TZ_OK, "\"\\u00e9\\ud83d\\ude00\\n\"");
}

static void
test_text_replaces(void **state)
{
	(void) state;
	TEXT("\"a\\u0000b\"", TZ_OK, "\"a\\ufffdb\"");
	TEXT("\"\\ud800\"", TZ_OK, "\"\\ufffd\"");
	TEXT("\"\\udc00\\ud800x\"", TZ_OK, "\"\\ufffd\\ufffdx\"");
	TEXT("\"\\ud800\\u0041\"", TZ_OK, "\"\\ufffd\\u0041\"");
	TEXT("\"\\ud800\\ud83d\\ude00\"", TZ_OK, "\"\\ufffd\\ud83d\\ude00\"");
	TEXT("{\"\\u0000\":\"\\uDBFF\"}", TZ_OK, "{\"\\ufffd\":\"\\ufffd\"}");
}

static void
test_text_refuses(void **state)
{
	(void) state;
	TEXT("", TZ_BAD_INPUT, NULL);
	TEXT("nul", TZ_BAD_INPUT, NULL);
	TEXT("1 2", TZ_BAD_INPUT, NULL);
	TEXT("[1,]", TZ_BAD_INPUT, NULL);
	TEXT("{\"a\"}", TZ_BAD_INPUT, NULL);
	TEXT("{\"a\":1]", TZ_BAD_INPUT, NULL);
	TEXT("[1}", TZ_BAD_INPUT, NULL);
	TEXT("{1:2}", TZ_BAD_INPUT, NULL);
	TEXT("\"a", TZ_BAD_INPUT, NULL);
	TEXT("\"\\x\"", TZ_BAD_INPUT, NULL);
	TEXT("\"\\u12\"", TZ_BAD_INPUT, NULL);
	TEXT("\"\n\"", TZ_BAD_INPUT, NULL);
	TEXT("\"\0\"", TZ_BAD_INPUT, NULL);
	TEXT("\"\xff\"", TZ_BAD_INPUT, NULL);
	TEXT("01", TZ_BAD_INPUT, NULL);
	TEXT("+1", TZ_BAD_INPUT, NULL);
	TEXT("1.", TZ_BAD_INPUT, NULL);
	TEXT("1e1000", TZ_BAD_INPUT, NULL);
	TEXT("[[[[]]]]", TZ_TOO_LARGE, NULL);
}

/* A megabyte of 1e300 would be written out as fifty. */
static void
test_text_zeros(void **state)
{
	static const struct
	{
		const char *number;
		int n;
		TzStatus want;
	} cases[] = {{"1e300", 10000, TZ_OK},          {"1e300", 100000, TZ_TOO_LARGE},
	             {"1e-300", 100000, TZ_TOO_LARGE}, {"1.5E+7", 100000, TZ_OK},
	             {"123456.789", 90000, TZ_OK},     {"2E999", 4198, TZ_OK},
	             {"2E999", 4199, TZ_TOO_LARGE}};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		TzBuf in, out;
		TzErr err;

		tz_buf_init(&in, 1 << 20);
		tz_buf_init(&out, 1 << 20);
		for (int k = 0; k < cases[i].n; k++)
			tz_buf_printf(&in, "%c%s", k == 0 ? '[' : ',', cases[i].number);
		tz_buf_append_byte(&in, ']');
		assert_int_equal(in.status, TZ_OK);
		assert_int_equal(tz_runner_json(tz_buf_slice(&in), 3, &out, &err), cases[i].want);
		if (cases[i].want == TZ_TOO_LARGE)
			assert_string_equal(err.message, "too large with all numbers written out");
		else
			assert_true(tz_slice_eq(tz_buf_slice(&in), tz_buf_slice(&out)));
		tz_buf_free(&in);
		tz_buf_free(&out);
	}
}

static void
test_frames(void **state)
{
	unsigned char b[TZ_FRAME_HEADER];
	TzFrameHead h;

	(void) state;
	tz_frame_put_head(b, TZ_FRAME_CALL, 0x01020304, 0x00ABCDEF);
	assert_true(tz_frame_get_head(b, &h));
	assert_int_equal(h.len, 0x00ABCDEF);
	assert_int_equal(h.id, 0x01020304);
	assert_int_equal(h.type, TZ_FRAME_CALL);
	for (int i = 5; i < 8; i++)
	{
		b[i] = 1;
		assert_false(tz_frame_get_head(b, &h));
		b[i] = 0;
	}
	tz_frame_put_u64(b, 0x1122334455667788ULL);
	assert_true(tz_frame_get_u64(b) == 0x1122334455667788ULL);
}

/* --- real runs ------------------------------------------------------------------ */

typedef struct Seen
{
	TzRunnerEnd end;
	char text[256];
	char logs[256];
	int done;
	bool cancel;
} Seen;

static TzMux *mux;
static TzRunner *runner;

static void
on_log(void *arg, TzRunnerRun *run, const char *level, TzSlice text)
{
	Seen *s = arg;

	(void) run;
	snprintf(s->logs + strlen(s->logs), sizeof(s->logs) - strlen(s->logs), "%s:%.*s;", level, (int) text.len,
	         text.data);
}

static void
on_call(void *arg, TzRunnerRun *run, uint32_t id, const char *name, TzSlice args)
{
	Seen *s = arg;

	assert_string_equal(name, "read_context");
	if (s->cancel)
		tz_runner_cancel(run);
	else
	{
		assert_int_equal(tz_runner_answer(run, id, true, args, NULL), TZ_OK);
		assert_int_equal(tz_runner_answer(run, id, true, args, NULL), TZ_NOT_FOUND);
		assert_int_equal(tz_runner_answer(run, id + 1, true, args, NULL), TZ_NOT_FOUND);
	}
}

static void
on_done(void *arg, TzRunnerRun *run, const TzRunnerResult *res)
{
	Seen *s = arg;
	TzSlice t = res->end == TZ_RUNNER_RETURNED ? res->value : res->error_message;

	(void) run;
	s->done++;
	s->end = res->end;
	snprintf(s->text, sizeof(s->text), "%.*s", (int) t.len, t.data != NULL ? t.data : "");
	assert_true(res->begun);
}

static const char *
program(void)
{
	return "./theazo-runner";
}

static int
setup(void **state)
{
	TzRunnerConfig config = {.path = program(), .spares = 1, .max_runs = 2};

	(void) state;
	assert_int_equal(tz_mux_create(&mux, NULL), TZ_OK);
	assert_int_equal(tz_runner_start(&config, mux, &runner, NULL), TZ_OK);
	return 0;
}

static int
teardown(void **state)
{
	(void) state;
	tz_runner_free(runner);
	tz_mux_free(mux);
	return 0;
}

static TzRunnerRun *
begin(const char *code, Seen *s)
{
	TzRunnerCallbacks cb = {on_log, on_call, on_done, s};
	TzRunnerJob job = {.code = tz_slice_cstr(code),
	                   .json = tz_slice_cstr(
						   "{\"agentName\":\"a\",\"agentVersion\":\"1\",\"executionId\":\"7\"}"),
	                   .memory_mb = 64,
	                   .time_ms = 20000};
	TzRunnerRun *run;

	memset(s->text, 0, sizeof(s->text));
	assert_int_equal(tz_runner_run(runner, &job, &cb, &run, NULL), TZ_OK);
	assert_int_equal(s->done, 0);
	return run;
}

static void
finish(const Seen *s)
{
	while (s->done == 0)
	{
		struct pollfd p = {.fd = tz_mux_fd(mux), .events = POLLIN};

		if (poll(&p, 1, tz_runner_timeout(runner)) > 0)
			(void) tz_mux_pump(mux, 16);
		tz_runner_tick(runner);
	}
	assert_int_equal(s->done, 1);
}

static void
test_run(void **state)
{
	Seen s = {0};

	(void) state;
	(void) begin("thetazero.log('x'); return await thetazero.read_context('k')", &s);
	finish(&s);
	assert_int_equal(s.end, TZ_RUNNER_RETURNED);
	assert_string_equal(s.text, "[\"k\"]");
	assert_string_equal(s.logs, "info:x;");
	assert_int_not_equal(tz_runner_info(runner)->mode, TZ_RUNNER_NONE);
	assert_string_equal(tz_runner_info(runner)->engine_version, "0.17.0");
	assert_int_equal(strlen(tz_runner_info(runner)->sha256), 64);
}

static void
test_run_throws(void **state)
{
	Seen s = {0};

	(void) state;
	(void) begin("throw new Error('broken')", &s);
	finish(&s);
	assert_int_equal(s.end, TZ_RUNNER_THREW);
	assert_string_equal(s.text, "broken");
}

static void
test_cancel(void **state)
{
	Seen in_call = {.cancel = true}, outside = {0};
	TzRunnerRun *run;

	(void) state;
	(void) begin("await thetazero.read_context('k')", &in_call);
	finish(&in_call);
	assert_int_equal(in_call.end, TZ_RUNNER_CANCELLED);
	run = begin("for (;;);", &outside);
	tz_runner_cancel(run);
	assert_int_equal(outside.done, 0);
	finish(&outside);
	assert_int_equal(outside.end, TZ_RUNNER_CANCELLED);
}

static void
test_freed_while_running(void **state)
{
	Seen a = {0}, b = {0}, c = {0};
	TzRunnerCallbacks cb = {on_log, on_call, on_done, &c};
	TzRunnerJob job = {.code = tz_slice_cstr(""), .json = tz_slice_cstr("{}"), .memory_mb = 64, .time_ms = 1};
	TzRunnerRun *run;

	(void) state;
	(void) begin("for (;;);", &a);
	(void) begin("await thetazero.read_context('k'); for (;;);", &b);
	assert_int_equal(tz_runner_running(runner), 2);
	assert_int_equal(tz_runner_run(runner, &job, &cb, &run, NULL), TZ_UNAVAILABLE);
	while (a.done + b.done == 0 && tz_runner_info(runner)->mode == TZ_RUNNER_NONE)
		(void) tz_mux_pump(mux, 16);
	tz_runner_free(runner);
	assert_int_equal(a.end, TZ_RUNNER_CANCELLED);
	assert_int_equal(a.done + b.done, 2);
	assert_int_equal(c.done, 0);
	runner = NULL;
}

static void
test_jobs_refused(void **state)
{
	static char large[TZ_RUNNER_CODE_MAX + 1];
	TzRunnerCallbacks cb = {on_log, on_call, on_done, NULL};
	const TzRunnerJob good = {.code = tz_slice_cstr("1"),
	                          .json = tz_slice_cstr("{}"),
	                          .memory_mb = 64,
	                          .time_ms = 1};
	TzRunnerJob job = good;
	TzRunnerRun *run;
	TzErr err;

	(void) state;
	memset(large, ' ', sizeof(large));
	job.code = tz_slice(large, sizeof(large));
	assert_int_equal(tz_runner_run(runner, &job, &cb, &run, &err), TZ_TOO_LARGE);
	job = good;
	job.code = tz_slice("a\0b", 3);
	assert_int_equal(tz_runner_run(runner, &job, &cb, &run, &err), TZ_BAD_INPUT);
	job = good;
	job.memory_mb = TZ_RUNNER_MEMORY_MIN_MB - 1;
	assert_int_equal(tz_runner_run(runner, &job, &cb, &run, &err), TZ_BAD_INPUT);
	job.memory_mb = TZ_RUNNER_MEMORY_MAX_MB + 1;
	assert_int_equal(tz_runner_run(runner, &job, &cb, &run, &err), TZ_BAD_INPUT);
	job = good;
	job.time_ms = 0;
	assert_int_equal(tz_runner_run(runner, &job, &cb, &run, &err), TZ_BAD_INPUT);
	assert_null(run);
}

static void
test_preflight(void **state)
{
	TzRunnerInfo info;

	(void) state;
	tz_runner_preflight("/nonexistent", 1000, &info);
	assert_int_equal(info.mode, TZ_RUNNER_NONE);
	assert_int_equal(info.err.status, TZ_UNAVAILABLE);
	assert_true(info.err.hint[0] != '\0');
	tz_runner_preflight(program(), 15000, &info);
	assert_int_not_equal(info.mode, TZ_RUNNER_NONE);
	assert_string_equal(tz_runner_mode_name(TZ_RUNNER_FULL), "full");
	for (int i = 0; i < TZ_RUNNER_WALLS; i++)
		assert_non_null(tz_runner_wall_name(i));
	assert_null(tz_runner_wall_name(TZ_RUNNER_WALLS));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_passes),
		cmocka_unit_test(test_text_replaces),
		cmocka_unit_test(test_text_refuses),
		cmocka_unit_test(test_text_zeros),
		cmocka_unit_test(test_frames),
		cmocka_unit_test_setup_teardown(test_run, setup, teardown),
		cmocka_unit_test_setup_teardown(test_run_throws, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_freed_while_running, setup, teardown),
		cmocka_unit_test_setup_teardown(test_jobs_refused, setup, teardown),
		cmocka_unit_test(test_preflight),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
