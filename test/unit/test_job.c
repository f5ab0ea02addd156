/* job.c: its scripts run by real shells, and what they print is read. */
#include "tz_test.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "adapter/job.h"

static const TzSecretValue secrets[] = {{"env", "HIDDEN", {"env-secret's", 12}}};
static char dir[128];
static const char *shell; /* the one that gets the scripts */

/* What a script prints. */
static void
run(TzBuf *script, TzBuf *out)
{
	char path[256];
	char command[512];
	char piece[4096];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/script", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(script->data, 1, script->len, f), script->len);
	fclose(f);
	snprintf(command, sizeof(command), "cd %s && TMPDIR=%s/tmp exec %s <%s/script", dir, dir, shell, dir);
	f = popen(command, "r");
	assert_non_null(f);
	while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
		tz_buf_append(out, piece, n);
	pclose(f);
}

typedef struct Asked
{
	const char *code; /* NULL: only a look */
	const char *language;
	int timeout_ms;
	int wait_ms;
	int64_t max_output;
	bool early;
	bool secret;
} Asked;

static void
ask(const char *id, Asked a, TzJobReport *report)
{
	TzJobLook look = {.id = id,
	                  .timeout_ms = a.timeout_ms > 0 ? a.timeout_ms : 60000,
	                  .wait_ms = a.wait_ms > 0 ? a.wait_ms : 10000,
	                  .early = a.early,
	                  .max_output = a.max_output > 0 ? a.max_output : 1024 * 1024};
	json_t *env = json_pack("{s:s}", "A", "it's \"quoted\" $HOME");
	TzShellCode code = {.language = a.language != NULL ? a.language : "sh",
	                    .code = tz_slice_cstr(a.code),
	                    .timeout_ms = look.timeout_ms,
	                    .env = env,
	                    .secrets = secrets,
	                    .nsecrets = a.secret ? 1 : 0};
	TzBuf script;
	TzBuf out;

	tz_buf_init(&script, SIZE_MAX);
	tz_buf_init(&out, SIZE_MAX);
	assert_int_equal(tz_job_script(&look, a.code != NULL ? &code : NULL, &script, NULL), TZ_OK);
	run(&script, &out);
	tz_job_report_init(report);
	if (!tz_job_read(tz_buf_slice(&out), id, report))
		fail_msg("not read: %s", out.data);
	tz_buf_free(&script);
	tz_buf_free(&out);
	json_decref(env);
}

static void
is_text(const TzBuf *buf, const char *text)
{
	if (!tz_slice_eq_cstr(tz_buf_slice(buf), text))
		fail_msg("\"%.*s\" is not \"%s\"", (int) buf->len, buf->len > 0 ? buf->data : "", text);
}

static void
stop(const char *id, bool clear)
{
	TzBuf script;
	TzBuf out;

	tz_buf_init(&script, SIZE_MAX);
	tz_buf_init(&out, SIZE_MAX);
	if (clear)
		tz_job_clear_script(&script);
	else
		assert_int_equal(tz_job_stop_script(id, &script, NULL), TZ_OK);
	run(&script, &out);
	assert_true(tz_job_stopped(tz_buf_slice(&out)));
	tz_buf_free(&script);
	tz_buf_free(&out);
}

/* The number in a file that a command writes; waits for it. */
static pid_t
number_in(const char *name)
{
	char path[256];
	int pid = 0;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	for (int i = 0; i < 200; i++)
	{
		FILE *f = fopen(path, "r");

		if (f != NULL && fscanf(f, "%d", &pid) == 1 && pid > 0)
		{
			fclose(f);
			return pid;
		}
		if (f != NULL)
			fclose(f);
		usleep(20000);
	}
	fail_msg("%s has no number", name);
	return 0;
}

static bool
alive(pid_t pid)
{
	char path[64];
	char state = 'X';
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int) pid);
	f = fopen(path, "r");
	if (f == NULL)
		return false;
	if (fscanf(f, "%*d %*s %c", &state) != 1)
		state = 'X';
	fclose(f);
	return state != 'Z' && state != 'X';
}

static void
test_once(void **arg)
{
	Asked a = {.code = "echo out; echo err >&2; printf %s \"$A$HIDDEN\" >>once; exit 3", .secret = true};
	TzJobReport r;
	json_t *result;
	FILE *f;
	char path[256];
	char text[64] = "";

	(void) arg;
	for (int i = 0; i < 3; i++)
	{
		ask("eff_once", a, &r);
		assert_int_equal(r.state, TZ_JOB_DONE);
		assert_int_equal(r.exit_code, 3);
		is_text(&r.out, "out\n");
		is_text(&r.err, "err\n");
		assert_int_equal(r.out_size, 4);
		tz_job_report_free(&r);
	}
	snprintf(path, sizeof(path), "%s/once", dir);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	fclose(f);
	assert_string_equal(text, "it's \"quoted\" $HOMEenv-secret's");
	/* any bytes, and no more than there is room for */
	ask("eff_bytes", (Asked){.code = "printf 'a\\377b\\000c\\303\\244\\303\\244'", .max_output = 7}, &r);
	result = tz_job_result(&r, 60000, 7);
	assert_true(json_is_true(json_object_get(result, "truncated")));
	assert_string_equal(json_string_value(json_object_get(result, "stdout")), "a\xef\xbf\xbd"
	                                                                          "b\xef\xbf\xbd"
	                                                                          "c\xc3\xa4");
	json_decref(result);
	tz_job_report_free(&r);
}

static void
test_looks(void **arg)
{
	TzJobReport r;

	(void) arg;
	ask("eff_never", (Asked){.code = NULL}, &r);
	assert_int_equal(r.state, TZ_JOB_NONE);
	tz_job_report_free(&r);
	/* what it prints is shown before it ends */
	ask("eff_slow", (Asked){.code = "echo first; sleep 1.5; echo second", .early = true}, &r);
	assert_int_equal(r.state, TZ_JOB_RUNNING);
	is_text(&r.out, "first\n");
	tz_job_report_free(&r);
	ask("eff_slow", (Asked){.code = NULL}, &r);
	assert_int_equal(r.state, TZ_JOB_DONE);
	is_text(&r.out, "first\nsecond\n");
	tz_job_report_free(&r);
	/* its processes go without a word */
	ask("eff_lost", (Asked){.code = "echo $$ >lost; kill -9 $PPID $$", .wait_ms = 1500}, &r);
	tz_job_report_free(&r);
	ask("eff_lost", (Asked){.code = NULL, .wait_ms = 100}, &r);
	assert_true(r.state == TZ_JOB_LOST || (r.state == TZ_JOB_DONE && r.exit_code == 137));
	tz_job_report_free(&r);
	/* beyond its limit */
	ask("eff_late", (Asked){.code = "sleep 60", .timeout_ms = 1000, .wait_ms = 8000}, &r);
	assert_int_equal(r.state, TZ_JOB_DONE);
	tz_job_report_free(&r);
}

static void
test_stop(void **arg)
{
	Asked a = {.code =
	               "echo begun; (while :; do sleep 0.1; done) & echo $! >inner; echo $$ >outer; sleep 600",
	           .wait_ms = 100};
	pid_t inner;
	pid_t outer;
	TzJobReport r;

	(void) arg;
	ask("eff_stop", a, &r);
	assert_int_equal(r.state, TZ_JOB_RUNNING);
	tz_job_report_free(&r);
	inner = number_in("inner");
	outer = number_in("outer");
	assert_true(alive(inner) && alive(outer));
	stop("eff_stop", false);
	for (int i = 0; i < 100 && (alive(inner) || alive(outer)); i++)
		usleep(20000);
	assert_false(alive(inner));
	assert_false(alive(outer));
	ask("eff_stop", (Asked){.code = NULL}, &r);
	assert_int_equal(r.state, TZ_JOB_DONE);
	assert_int_equal(r.exit_code, 137);
	is_text(&r.out, "begun\n");
	tz_job_report_free(&r);
	/* again, and one that has ended: nothing changes */
	stop("eff_stop", false);
	stop("eff_once", false);
	ask("eff_once", (Asked){.code = NULL}, &r);
	assert_int_equal(r.exit_code, 3);
	tz_job_report_free(&r);
	/* one that comes after its end is not started */
	stop("eff_later", false);
	ask("eff_later", (Asked){.code = "echo never >never", .wait_ms = 300}, &r);
	assert_int_equal(r.state, TZ_JOB_CLEARED);
	tz_job_report_free(&r);
	assert_int_not_equal(tz_job_stop_script("a'b", NULL, NULL), TZ_OK);
}

static void
test_clear(void **arg)
{
	pid_t held;
	pid_t plain;
	TzJobReport r;
	char command[256];

	(void) arg;
	ask("eff_held",
	    (Asked){.code = "echo \"$HIDDEN\"; echo $$ >held; sleep 600", .wait_ms = 100, .secret = true}, &r);
	tz_job_report_free(&r);
	ask("eff_plain", (Asked){.code = "echo $$ >plain; sleep 600", .wait_ms = 100}, &r);
	tz_job_report_free(&r);
	held = number_in("held");
	plain = number_in("plain");
	stop(NULL, true);
	for (int i = 0; i < 100 && alive(held); i++)
		usleep(20000);
	assert_false(alive(held));
	assert_true(alive(plain));
	snprintf(command, sizeof(command), "grep -rqs \"env-secret's\" %s/tmp", dir);
	assert_int_not_equal(system(command), 0);
	ask("eff_once", (Asked){.code = NULL}, &r);
	assert_int_equal(r.state, TZ_JOB_CLEARED);
	tz_job_report_free(&r);
	stop("eff_plain", false);
	for (int i = 0; i < 100 && alive(plain); i++)
		usleep(20000);
	assert_false(alive(plain));
}

/* What a script might have printed, by somebody who is none. */
static void
test_read(void **arg)
{
	static const char whole[] = "noise\n@theazo eff_1 done 3 7 4 4\nb3V0Cg==\n@\nZXJyCg==\n@\n@end\n";
	static const char *const bad[] = {"",
	                                  "@theazo ",
	                                  "@theazo eff_2 done 3 7 4 4\n@\n@\n@end",
	                                  "@theazo eff_1 odd 3 7 4 4\n@\n@\n@end",
	                                  "@theazo eff_1 done -3 7 4 4\n@\n@\n@end",
	                                  "@theazo eff_1 done 99999999999 7 4 4\n@\n@\n@end",
	                                  "@theazo eff_1 done 3 7 4 4444444444444444444\n@\n@\n@end",
	                                  "@theazo eff_1 done 3 7 4 4\n!!\n@\n@\n@end",
	                                  "@theazo eff_1 done 3 7 4 4\nb3V0Cg==\n@\n"};
	TzJobReport r;

	(void) arg;
	tz_job_report_init(&r);
	assert_true(tz_job_read(tz_slice_cstr(whole), "eff_1", &r));
	assert_int_equal(r.exit_code, 3);
	assert_int_equal(r.elapsed_s, 7);
	is_text(&r.err, "err\n");
	tz_job_report_free(&r);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		tz_job_report_init(&r);
		assert_false(tz_job_read(tz_slice_cstr(bad[i]), "eff_1", &r));
		tz_job_report_free(&r);
	}
	for (size_t n = 0; n < sizeof(whole) - 2; n++)
	{
		tz_job_report_init(&r);
		assert_false(tz_job_read(tz_slice(whole, n), "eff_1", &r));
		tz_job_report_free(&r);
	}
}

static int
setup(void **arg)
{
	char path[160];

	(void) arg;
	snprintf(dir, sizeof(dir), "%s/theazo-job.XXXXXX", getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
	if (mkdtemp(dir) == NULL)
		return 1;
	snprintf(path, sizeof(path), "%s/tmp", dir);
	return mkdir(path, 0700);
}

static int
teardown(void **arg)
{
	char command[256];

	(void) arg;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

int
main(void)
{
	static const char *const shells[] = {"sh", "bash"};
	int failed = 0;

	for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++)
	{
		const struct CMUnitTest tests[] = {
			cmocka_unit_test(test_once),  cmocka_unit_test(test_looks), cmocka_unit_test(test_stop),
			cmocka_unit_test(test_clear), cmocka_unit_test(test_read),
		};

		shell = shells[i];
		failed += cmocka_run_group_tests_name(shell, tests, setup, teardown);
	}
	return failed;
}
