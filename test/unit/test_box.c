/* box.c and the init, for real: commands, files, limits, ends, the relay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib_box.h"

static bool usable;

#define NEED_BOX()   \
	do               \
	{                \
		if (!usable) \
			skip();  \
	} while (0)

static int
fds_open(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

/* Processes of ours that are neither reaped nor gone. */
static int
children(void)
{
	char path[64], text[4096];
	int fd, n = 0;
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int) getpid());
	fd = open(path, O_RDONLY);
	len = fd < 0 ? 0 : read(fd, text, sizeof(text));
	if (fd >= 0)
		close(fd);
	for (ssize_t i = 0; i < len; i++)
		n += text[i] == ' ';
	return n;
}

static void
run(TzBox *box, Got *got, const TzBoxExec *exec)
{
	TzErr err;

	lib_got_free(got);
	tz_err_clear(&err);
	assert_int_equal(tz_box_exec(box, exec, lib_box_done, got, NULL, &err), TZ_OK);
	lib_box_wait(box, got, 40000);
}

static void
test_commands(void **state)
{
	TzBox *box;
	Got got = {0};

	(void) state;
	NEED_BOX();
	box = lib_box_new(NULL);
	assert_non_null(box);
	lib_box_sh(box, &got, "echo out; echo err >&2; exit 3");
	assert_int_equal(got.err.status, TZ_OK);
	assert_int_equal(got.exit_code, 3);
	assert_string_equal(got.out, "out\n");
	assert_string_equal(got.errout, "err\n");
	lib_box_sh(box, &got, "kill -SEGV $$");
	assert_int_equal(got.exit_code, 128 + SIGSEGV);
	lib_box_sh(box, &got, "no-such-command");
	assert_int_equal(got.exit_code, 127);
	/* bytes as they are */
	lib_box_sh(box, &got, "printf 'a\\0b\\377'");
	assert_int_equal(got.out_len, 4);
	assert_memory_equal(got.out, "a\0b\377", 4);
	/* state between commands: files, and what was left in the background */
	lib_box_sh(box, &got, "echo x > f; (sleep 60 > /dev/null 2>&1 &) ; pwd");
	assert_string_equal(got.out, "/workspace\n");
	lib_box_sh(box, &got, "cat f; pgrep -c sleep");
	assert_string_equal(got.out, "x\n1\n");
	lib_got_free(&got);
	tz_box_destroy(box);
	assert_int_equal(children(), 0);
}

static void
test_exec_details(void **state)
{
	static const char *const env[] = {"A=box", "B=box"}, *const more[] = {"B=exec", "C=exec",
	                                                                      "PATH=/usr/bin"};
	static const char *const none[] = {"no-such-program"}, *const py[] = {"python3", "{code}", "arg"};
	static const char *const sh[] = {"sh", "-c", "echo $A $B $C $HOME; pwd"};
	TzBoxExec exec = {.timeout_ms = 20000, .max_output = 65536};
	TzBox *box;
	Got got = {0};

	(void) state;
	NEED_BOX();
	lib_config.env = env;
	lib_config.nenv = 2;
	box = lib_box_new(NULL);
	lib_config.nenv = 0;
	assert_non_null(box);

	exec.argv = sh;
	exec.argc = 3;
	exec.env = more;
	exec.nenv = 3;
	exec.cwd = "/sub";
	run(box, &got, &exec);
	assert_int_equal(got.err.status, TZ_BAD_INPUT);
	lib_box_sh(box, &got, "mkdir sub");
	run(box, &got, &exec);
	assert_string_equal(got.out, "box exec exec /workspace\n/workspace/sub\n");

	exec.argv = none;
	exec.argc = 1;
	exec.cwd = NULL;
	run(box, &got, &exec);
	assert_int_equal(got.err.status, TZ_OK);
	assert_int_equal(got.exit_code, 127);

	if (tz_box_preflight_check(&lib_preflight, "python3")->ok)
	{
		exec.argv = py;
		exec.argc = 3;
		exec.code = tz_slice_cstr("import sys\nprint(sys.argv[1:], sys.stdin.read())\n");
		exec.code_name = "main.py";
		exec.stdin_data = tz_slice_cstr("some input");
		run(box, &got, &exec);
		assert_string_equal(got.out, "['arg'] some input\n");
		assert_true(got.peak_rss_kb > 1000);
	}
	/* nothing of it is left */
	lib_box_sh(box, &got, "ls -A /run/theazo | wc -l");
	lib_box_sh(box, &got, "ls -A /run/theazo /workspace");
	assert_string_equal(got.out, "/run/theazo:\n\n/workspace:\nsub\n");
	lib_got_free(&got);
	tz_box_destroy(box);
}

static void
test_bad_requests(void **state)
{
	static char big[300000];
	const char *argv[] = {"true", big};
	TzBoxExec exec = {.argv = argv, .argc = 1, .timeout_ms = 1000, .max_output = 100};
	TzBox *box;
	TzErr err;

	(void) state;
	NEED_BOX();
	box = lib_box_new(NULL);
	assert_non_null(box);
	memset(big, 'a', sizeof(big) - 1);
	exec.argc = 2;
	assert_int_equal(tz_box_exec(box, &exec, NULL, NULL, NULL, &err), TZ_TOO_LARGE);
	exec.argc = 0;
	assert_int_equal(tz_box_exec(box, &exec, NULL, NULL, NULL, &err), TZ_BAD_INPUT);
	exec.argc = 1;
	exec.timeout_ms = 0;
	assert_int_equal(tz_box_exec(box, &exec, NULL, NULL, NULL, &err), TZ_BAD_INPUT);
	exec.timeout_ms = 1000;
	exec.max_output = 0;
	assert_int_equal(tz_box_exec(box, &exec, NULL, NULL, NULL, &err), TZ_BAD_INPUT);
	exec.max_output = 100;
	exec.code = tz_slice_cstr("x");
	assert_int_equal(tz_box_exec(box, &exec, NULL, NULL, NULL, &err), TZ_BAD_INPUT);
	exec.code_name = "../x";
	assert_int_equal(tz_box_exec(box, &exec, NULL, NULL, NULL, &err), TZ_BAD_INPUT);
	big[5000] = '\0';
	assert_int_equal(tz_box_read(box, big, 1, NULL, NULL, &err), TZ_BAD_INPUT);
	tz_box_destroy(box);
}

static void
test_timeout_kills_the_tree(void **state)
{
	const char *argv[] = {
		"bash", "-c",
		"trap '' TERM INT HUP; setsid bash -c 'trap \"\" TERM; (setsid sleep 77 &); sleep 77' & sleep 77",
		NULL};
	TzBox *box;
	Got got = {0}, other = {0};
	const char *second[] = {"bash", "-c", "sleep 1.2; echo fine", NULL};

	(void) state;
	NEED_BOX();
	box = lib_box_new(NULL);
	assert_non_null(box);
	(void) lib_box_start(box, &other, 20000, second);
	(void) lib_box_start(box, &got, 500, argv);
	lib_box_wait(box, &got, 5000);
	assert_true(got.timed_out);
	assert_int_equal(got.exit_code, 124);
	assert_false(other.done);
	/* the other command was left alone */
	lib_box_wait(box, &other, 5000);
	assert_int_equal(other.exit_code, 0);
	assert_string_equal(other.out, "fine\n");
	lib_got_free(&other);
	if (!(lib_config.flags & TZ_BOX_WITHOUT_PROC))
	{
		lib_box_sh(box, &got, "pgrep -x sleep; true");
		assert_string_equal(got.out, "");
	}
	lib_got_free(&got);
	tz_box_destroy(box);
}

static void
test_cancel(void **state)
{
	const char *argv[] = {"bash", "-c", "echo begun; setsid sleep 88 & sleep 88", NULL};
	TzBox *box;
	Got got = {0};
	uint32_t op;

	(void) state;
	NEED_BOX();
	box = lib_box_new(NULL);
	assert_non_null(box);
	op = lib_box_start(box, &got, 60000, argv);
	for (int i = 0; i < 10; i++)
		lib_box_turn(box, 20);
	assert_int_equal(tz_box_running(box), 1);
	tz_box_cancel(box, op);
	tz_box_cancel(box, op);
	tz_box_cancel(box, op + 1000);
	lib_box_wait(box, &got, 5000);
	assert_int_equal(got.err.status, TZ_CANCELLED);
	assert_string_equal(got.out, "begun\n");
	lib_box_sh(box, &got, "pgrep -x sleep; true");
	assert_string_equal(got.out, "");
	lib_got_free(&got);
	tz_box_destroy(box);
}

static void
test_output_ceiling(void **state)
{
	const char *argv[] = {"bash", "-c", "yes >&2 & yes", NULL};
	TzBoxExec exec = {.argv = argv, .argc = 3, .timeout_ms = 20000, .max_output = 100000};
	TzBox *box;
	Got got = {0};

	(void) state;
	NEED_BOX();
	box = lib_box_new(NULL);
	assert_non_null(box);
	run(box, &got, &exec);
	assert_true(got.truncated);
	assert_int_equal(got.exit_code, 137);
	assert_true(got.out_len <= 100000 && got.errout_len <= 100000);
	assert_true(got.out_len == 100000 || got.errout_len == 100000);
	lib_got_free(&got);
	tz_box_destroy(box);
}

static void
put(TzBox *box, Got *got, const char *path, const char *data, size_t len)
{
	TzErr err;

	lib_got_free(got);
	assert_int_equal(tz_box_write(box, path, tz_slice(data, len), lib_box_done, got, &err), TZ_OK);
	lib_box_wait(box, got, 30000);
}

static void
get(TzBox *box, Got *got, const char *path, size_t max)
{
	TzErr err;

	lib_got_free(got);
	assert_int_equal(tz_box_read(box, path, max, lib_box_done, got, &err), TZ_OK);
	lib_box_wait(box, got, 30000);
}

static void
list(TzBox *box, Got *got, const char *path)
{
	TzErr err;

	lib_got_free(got);
	assert_int_equal(tz_box_list(box, path, lib_box_done, got, &err), TZ_OK);
	lib_box_wait(box, got, 30000);
}

static void
test_files(void **state)
{
	TzBox *box;
	Got got = {0};
	TzErr err;
	size_t len = 20 << 20;
	char *big = malloc(len);

	(void) state;
	NEED_BOX();
	for (size_t i = 0; i < len; i++)
		big[i] = (char) (i * 2654435761u >> 13);
	box = lib_box_new(NULL);
	assert_non_null(box);
	put(box, &got, "/a/b/c.bin", big, len);
	assert_int_equal(got.err.status, TZ_OK);
	get(box, &got, "a/b/c.bin", len);
	assert_int_equal(got.err.status, TZ_OK);
	assert_int_equal(got.out_len, len);
	assert_memory_equal(got.out, big, len);
	get(box, &got, "/workspace/a/b/c.bin", len - 1);
	assert_int_equal(got.err.status, TZ_TOO_LARGE);
	get(box, &got, "a/b", len);
	assert_int_equal(got.err.status, TZ_BAD_INPUT);
	get(box, &got, "a/none", len);
	assert_int_equal(got.err.status, TZ_NOT_FOUND);
	put(box, &got, "empty", "", 0);
	assert_int_equal(got.err.status, TZ_OK);
	get(box, &got, "empty", 0);
	assert_int_equal(got.err.status, TZ_OK);
	assert_int_equal(got.out_len, 0);
	/* replaced whole, mode kept */
	lib_box_sh(box, &got, "echo 'echo run' > tool; chmod 755 tool");
	put(box, &got, "tool", "#!/bin/sh\necho two\n", 19);
	lib_box_sh(box, &got, "./tool; ls");
	assert_string_equal(got.out, "two\na\nempty\ntool\n");
	list(box, &got, "/");
	assert_int_equal(got.nentries, 3);
	list(box, &got, "/a/b");
	assert_int_equal(got.nentries, 1);
	assert_string_equal(got.names[0], "c.bin");
	assert_int_equal(got.sizes[0], len);
	list(box, &got, "/data");
	assert_int_equal(got.err.status, TZ_OK);
	assert_int_equal(got.nentries, 0);
	list(box, &got, "/empty");
	assert_int_equal(got.err.status, TZ_BAD_INPUT);
	lib_got_free(&got);
	assert_int_equal(tz_box_stat(box, "a", lib_box_done, &got, &err), TZ_OK);
	lib_box_wait(box, &got, 5000);
	assert_int_equal(got.nentries, 1);
	assert_true(got.dirs[0]);
	lib_got_free(&got);
	assert_int_equal(tz_box_delete(box, "a", lib_box_done, &got, &err), TZ_OK);
	lib_box_wait(box, &got, 5000);
	assert_int_equal(got.err.status, TZ_BAD_INPUT);
	lib_got_free(&got);
	assert_int_equal(tz_box_delete(box, "empty", lib_box_done, &got, &err), TZ_OK);
	lib_box_wait(box, &got, 5000);
	assert_int_equal(got.err.status, TZ_OK);
	/* over the size of a file, over the disk: nothing is left behind */
	free(big);
	big = calloc(1, 65 << 20);
	put(box, &got, "huge", big, 65 << 20);
	assert_int_equal(got.err.status, TZ_TOO_LARGE);
	put(box, &got, "one", big, 60 << 20);
	assert_int_equal(got.err.status, TZ_OK);
	put(box, &got, "two", big, 60 << 20);
	assert_int_equal(got.err.status, TZ_TOO_LARGE);
	assert_non_null(strstr(got.err.message, "full"));
	list(box, &got, "/");
	assert_int_equal(got.nentries, 3);
	free(big);
	lib_got_free(&got);
	tz_box_destroy(box);
}

static void
test_paths_stay_inside(void **state)
{
	static const char *const out[] = {"../etc/passwd",          "/../etc/passwd", "a/../../etc/passwd",
	                                  "etc-link/passwd",        "passwd-link",    "root-link/etc/passwd",
	                                  "proc-link/self/environ", "abs-link",       "up/x"};
	static const char *const special[] = {"fifo", "sock", "zero-link"};
	TzBox *box;
	Got got = {0};
	char deep[4000];

	(void) state;
	NEED_BOX();
	box = lib_box_new(NULL);
	assert_non_null(box);
	lib_box_sh(
		box, &got,
		"mkdir a; ln -s /etc etc-link; ln -s /etc/passwd passwd-link; ln -s / root-link; ln -s /proc proc-link;"
		"ln -s /workspace/a/in abs-link; ln -s .. up; ln -s /dev/zero zero-link; mkfifo fifo;"
		"python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"sock\")';"
		"echo in > a/in; ln -s a to-a; ln -s in a/to-in");
	for (size_t i = 0; i < sizeof(out) / sizeof(out[0]); i++)
	{
		get(box, &got, out[i], 1000);
		assert_int_equal(got.err.status, TZ_BAD_INPUT);
		put(box, &got, out[i], "x", 1);
		assert_int_equal(got.err.status, TZ_BAD_INPUT);
	}
	for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++)
	{
		get(box, &got, special[i], 1000);
		assert_int_equal(got.err.status, TZ_BAD_INPUT);
		put(box, &got, special[i], "x", 1);
		assert_int_equal(got.err.status, TZ_BAD_INPUT);
	}
	list(box, &got, "etc-link");
	assert_int_equal(got.err.status, TZ_BAD_INPUT);
	/* a link to a directory inside is a way, a link as the last part is not */
	get(box, &got, "to-a/in", 10);
	assert_int_equal(got.err.status, TZ_OK);
	get(box, &got, "a/to-in", 10);
	assert_int_equal(got.err.status, TZ_BAD_INPUT);
	/* long names and deep paths: said, not crashed */
	memset(deep, 'a', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	put(box, &got, deep, "x", 1);
	assert_int_equal(got.err.status, TZ_BAD_INPUT);
	for (size_t i = 1; i < sizeof(deep) - 1; i += 2)
		deep[i] = '/';
	put(box, &got, deep, "x", 1);
	assert_int_equal(got.err.status, TZ_OK);
	get(box, &got, deep, 10);
	assert_int_equal(got.err.status, TZ_OK);
	/* names that are no text */
	lib_box_sh(box, &got, "mkdir odd; touch $'odd/\\377\\376' $'odd/new\\nline'");
	list(box, &got, "odd");
	assert_int_equal(got.nentries, 2);
	lib_got_free(&got);
	tz_box_destroy(box);
}

static void
test_memory_of_the_box(void **state)
{
	TzBox *box;
	Got got = {0};

	(void) state;
	NEED_BOX();
	lib_config.memory_bytes = 200LL << 20;
	box = lib_box_new(NULL);
	lib_config.memory_bytes = 512LL << 20;
	assert_non_null(box);
	lib_box_sh(
		box, &got,
		"python3 -c '\nimport os,time\nfor i in range(10):\n  if os.fork()==0:\n"
		"    x=bytearray(os.urandom(1))*(60<<20)\n    time.sleep(20)\n    os._exit(0)\ntime.sleep(20)'");
	assert_int_equal(got.err.status, TZ_OK);
	assert_true(got.out_of_memory);
	assert_int_equal(got.exit_code, 137);
	/* shared memory counts as well */
	lib_box_sh(
		box, &got,
		"python3 -c '\nimport mmap,time\nl=[]\nfor i in range(10):\n"
		"  m=mmap.mmap(-1,60<<20)\n  for j in range(0,60<<20,4096): m[j]=1\n  l.append(m)\ntime.sleep(20)'");
	assert_true(got.out_of_memory);
	lib_box_sh(box, &got, "echo still here");
	assert_string_equal(got.out, "still here\n");
	lib_got_free(&got);
	tz_box_destroy(box);
}

static void
test_pause(void **state)
{
	const char *argv[] = {"bash", "-c", "for i in 1 2 3 4; do echo $i; sleep 0.1; done", NULL};
	TzBox *box;
	Got run_got = {0}, got = {0};
	TzErr err;

	(void) state;
	NEED_BOX();
	box = lib_box_new(NULL);
	assert_non_null(box);
	(void) lib_box_start(box, &run_got, 1000, argv);
	for (int i = 0; i < 5; i++)
		lib_box_turn(box, 20);
	assert_int_equal(tz_box_pause(box, true, lib_box_done, &got, &err), TZ_OK);
	lib_box_wait(box, &got, 2000);
	lib_got_free(&got);
	/* longer than the timeout: the clock stands still */
	for (int i = 0; i < 75; i++)
		lib_box_turn(box, 20);
	assert_false(run_got.done);
	lib_box_sh(box, &got, "true");
	assert_int_equal(got.err.status, TZ_BAD_INPUT);
	list(box, &got, "/");
	assert_int_equal(got.err.status, TZ_OK);
	lib_got_free(&got);
	assert_int_equal(tz_box_pause(box, false, lib_box_done, &got, &err), TZ_OK);
	lib_box_wait(box, &run_got, 3000);
	assert_int_equal(run_got.exit_code, 0);
	assert_string_equal(run_got.out, "1\n2\n3\n4\n");
	lib_got_free(&run_got);
	lib_got_free(&got);
	tz_box_destroy(box);
}

static void
test_metrics(void **state)
{
	TzBox *box;
	Got got = {0};
	TzErr err;

	(void) state;
	NEED_BOX();
	box = lib_box_new(NULL);
	assert_non_null(box);
	lib_box_sh(box, &got,
	           "head -c 10000000 /dev/zero > f; python3 -c '\nimport time\nx=bytearray(50<<20)\n"
	           "for j in range(0,len(x),4096): x[j]=1\ntime.sleep(60)' > /dev/null 2>&1 & sleep 0.7");
	lib_got_free(&got);
	assert_int_equal(tz_box_metrics(box, lib_box_done, &got, &err), TZ_OK);
	lib_box_wait(box, &got, 2000);
	assert_true(got.disk_kb >= 9765 && got.disk_kb < 12000);
	if (!(lib_config.flags & TZ_BOX_WITHOUT_PROC))
	{
		assert_true(got.memory_kb > 50000 && got.memory_kb < 100000);
		assert_true(got.nprocesses >= 1);
		assert_true(got.cpu_percent > 0);
	}
	lib_got_free(&got);
	tz_box_destroy(box);
}

/* --- ends ------------------------------------------------------------------ */

static void
test_destroy_answers(void **state)
{
	const char *argv[] = {"sleep", "60", NULL};
	TzBox *box;
	Got a = {0}, b = {0};
	int before;

	(void) state;
	NEED_BOX();
	before = fds_open();
	box = lib_box_new(NULL);
	assert_non_null(box);
	(void) lib_box_start(box, &a, 60000, argv);
	(void) lib_box_start(box, &b, 60000, argv);
	for (int i = 0; i < 5; i++)
		lib_box_turn(box, 20);
	tz_box_destroy(box);
	assert_int_equal(a.err.status, TZ_CANCELLED);
	assert_int_equal(b.err.status, TZ_CANCELLED);
	assert_int_equal(children(), 0);
	assert_int_equal(fds_open(), before);
	lib_got_free(&a);
	lib_got_free(&b);
}

static TzBox *self_box;

static void
destroy_inside(void *arg, const TzBoxResult *res)
{
	lib_box_done(arg, res);
	tz_box_destroy(self_box);
}

static void
test_destroy_inside_callback(void **state)
{
	const char *argv[] = {"true"};
	TzBoxExec exec = {.argv = argv, .argc = 1, .timeout_ms = 5000, .max_output = 100};
	Got got = {0};
	TzErr err;

	(void) state;
	NEED_BOX();
	self_box = lib_box_new(NULL);
	assert_non_null(self_box);
	assert_int_equal(tz_box_exec(self_box, &exec, destroy_inside, &got, NULL, &err), TZ_OK);
	for (int i = 0; i < 200 && !got.done; i++)
		lib_box_turn(NULL, 20);
	assert_true(got.done);
	assert_int_equal(children(), 0);
	lib_got_free(&got);
}

static pid_t
first_child(pid_t of)
{
	char path[64], text[64] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int) of, (int) of);
	fd = open(path, O_RDONLY);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	if (fd >= 0)
		close(fd);
	return (pid_t) strtol(text, NULL, 10);
}

/* The isolation program, our child, is killed from outside: everything pending is answered, then we are told. */
static void
test_gone(void **state)
{
	const char *argv[] = {"sleep", "60", NULL};
	TzBox *box;
	Got got = {0};
	TzErr err;

	(void) state;
	NEED_BOX();
	box = lib_box_new(NULL);
	assert_non_null(box);
	(void) lib_box_start(box, &got, 60000, argv);
	lib_box_turn(box, 50);
	lib_gone = 0;
	assert_int_equal(kill(first_child(getpid()), SIGKILL), 0);
	lib_box_wait(box, &got, 5000);
	assert_int_equal(got.err.status, TZ_UNAVAILABLE);
	for (int i = 0; i < 100 && lib_gone == 0; i++)
		lib_box_turn(box, 20);
	assert_int_equal(lib_gone, 1);
	assert_int_equal(tz_box_list(box, "/", lib_box_done, &got, &err), TZ_UNAVAILABLE);
	tz_box_destroy(box);
	assert_int_equal(children(), 0);
	lib_got_free(&got);
}

/* An init that stands still: given up some seconds after the command's deadline. */
static void
test_stops_answering(void **state)
{
	const char *argv[] = {"sleep", "60", NULL};
	TzBox *box;
	Got got = {0};
	pid_t init;

	(void) state;
	NEED_BOX();
	box = lib_box_new(NULL);
	assert_non_null(box);
	init = first_child(first_child(getpid()));
	if (init <= 0 || kill(init, SIGSTOP) != 0)
	{
		tz_box_destroy(box);
		skip();
	}
	(void) lib_box_start(box, &got, 100, argv);
	lib_box_wait(box, &got, 15000);
	assert_int_equal(got.err.status, TZ_UNAVAILABLE);
	assert_string_equal(got.err.message, "the sandbox stopped answering");
	assert_false(tz_box_alive(box));
	tz_box_destroy(box);
	assert_int_equal(children(), 0);
	lib_got_free(&got);
}

static void
test_start_fails(void **state)
{
	TzBoxConfig config = lib_config;
	TzBox *box = NULL;
	Got got = {0};
	TzErr err;
	TzBoxPreflight pf;
	int before;

	(void) state;
	NEED_BOX();
	before = fds_open();
	config.bwrap_path = "/nonexistent/bwrap";
	tz_err_clear(&err);
	assert_int_equal(tz_box_create(&config, lib_mux, NULL, lib_box_done, &got, &box, &err), TZ_UNAVAILABLE);
	assert_null(box);
	assert_true(err.hint[0] != '\0');
	config.bwrap_path = "/etc/passwd"; /* there, but no program */
	assert_int_equal(tz_box_create(&config, lib_mux, NULL, lib_box_done, &got, &box, &err), TZ_UNAVAILABLE);
	config.bwrap_path = "bwrap";
	assert_int_equal(tz_box_create(&config, lib_mux, NULL, lib_box_done, &got, &box, &err), TZ_BAD_INPUT);
	/* ends at once, without a word */
	config.bwrap_path = "/bin/false";
	assert_int_equal(tz_box_create(&config, lib_mux, NULL, lib_box_done, &got, &box, &err), TZ_OK);
	lib_box_wait(box, &got, 5000);
	assert_int_equal(got.err.status, TZ_UNAVAILABLE);
	tz_box_destroy(box);
	/* a program that is not our init */
	config.bwrap_path = lib_config.bwrap_path;
	config.init_path = "/bin/true";
	lib_got_free(&got);
	assert_int_equal(tz_box_create(&config, lib_mux, NULL, lib_box_done, &got, &box, &err), TZ_OK);
	lib_box_wait(box, &got, 5000);
	assert_int_equal(got.err.status, TZ_UNAVAILABLE);
	tz_box_destroy(box);
	config.mode = TZ_BOX_NONE;
	assert_int_equal(tz_box_create(&config, lib_mux, NULL, lib_box_done, &got, &box, &err), TZ_UNSUPPORTED);
	lib_got_free(&got);
	assert_int_equal(fds_open(), before);
	assert_int_equal(children(), 0);

	tz_box_preflight(lib_config.init_path, "/nonexistent/bwrap", &pf);
	assert_int_equal(pf.mode, TZ_BOX_NONE);
	assert_string_equal(pf.err.message, "local sandboxes need unprivileged user namespaces");
	assert_true(pf.err.hint[0] != '\0');
	assert_int_equal(fds_open(), before);
}

static void
test_many(void **state)
{
	enum
	{
		N = 8
	};
	TzBox *boxes[N];
	Got got = {0};
	int before;

	(void) state;
	NEED_BOX();
	before = fds_open();
	for (int i = 0; i < N; i++)
	{
		boxes[i] = lib_box_new(NULL);
		assert_non_null(boxes[i]);
		lib_box_sh(boxes[i], &got, "echo mine > f; ls /workspace");
		assert_string_equal(got.out, "f\n");
	}
	for (int i = 0; i < N; i++)
		tz_box_destroy(boxes[i]);
	for (int i = 0; i < 30; i++)
	{
		boxes[0] = lib_box_new(NULL);
		assert_non_null(boxes[0]);
		tz_box_destroy(boxes[0]);
	}
	boxes[0] = lib_box_new(NULL);
	for (int i = 0; i < 100; i++)
		lib_box_sh(boxes[0], &got, "exit 0");
	tz_box_destroy(boxes[0]);
	lib_got_free(&got);
	assert_int_equal(fds_open(), before);
	assert_int_equal(children(), 0);
}

/* --- relay ---------------------------------------------------------------- */

static int asked;
static char asked_host[300];
static int asked_port;
static int upstream = -1; /* the far end of what was granted */

static void
on_connect(void *arg, TzBox *box, uint32_t conn, const char *host, int port)
{
	int fds[2];

	(void) arg;
	asked++;
	snprintf(asked_host, sizeof(asked_host), "%s", host);
	asked_port = port;
	if (port != 443)
	{
		tz_box_connect_deny(box, conn, "not on the list");
		return;
	}
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	upstream = fds[1];
	tz_box_connect_allow(box, conn, fds[0]);
}

/* The far end: takes everything, answers with as many bytes of its own, half-closes. */
static void
echo_upstream(TzBox *box, Got *got)
{
	static char buf[65536];
	size_t taken = 0, given = 0, want = 3 << 20;
	bool eof = false;

	for (int i = 0; i < 20000 && !got->done; i++)
	{
		ssize_t n;

		lib_box_turn(box, 5);
		if (upstream < 0)
			continue;
		while (!eof && (n = read(upstream, buf, sizeof(buf))) >= 0)
		{
			taken += (size_t) n;
			eof = n == 0;
		}
		while (given < want &&
		       (n = send(upstream, buf, want - given < sizeof(buf) ? want - given : sizeof(buf),
		                 MSG_NOSIGNAL)) > 0)
			given += (size_t) n;
		if (eof && given == want)
		{
			close(upstream);
			upstream = -1;
		}
	}
	assert_int_equal(given, want);
	assert_int_equal(taken, 2 << 20);
}

static void
test_relay(void **state)
{
	TzBoxCallbacks cb = {.connect = on_connect};
	const char *argv[] = {
		"python3", "-c",
		"import socket,threading,os\n"
		"s=socket.create_connection(('127.0.0.1',3128))\n"
		"s.sendall(b'CONNECT example.com:443 HTTP/1.1\\r\\nHost: example.com:443\\r\\n\\r\\n')\n"
		"h=b''\n"
		"while not h.endswith(b'\\r\\n\\r\\n'): h+=s.recv(1)\n"
		"print(h.split(b'\\r\\n')[0].decode())\n"
		"def up():\n"
		"  s.sendall(b'x'*(2<<20)); s.shutdown(1)\n"
		"t=threading.Thread(target=up); t.start()\n"
		"n=0\n"
		"while True:\n"
		"  b=s.recv(65536)\n"
		"  if not b: break\n"
		"  n+=len(b)\n"
		"t.join(); print(n, os.environ['HTTPS_PROXY'], os.environ['https_proxy'])\n",
		NULL};
	TzBox *box;
	Got got = {0};

	(void) state;
	NEED_BOX();
	lib_config.network = true;
	box = lib_box_new(&cb);
	lib_config.network = false;
	assert_non_null(box);
	(void) lib_box_start(box, &got, 30000, argv);
	echo_upstream(box, &got);
	assert_int_equal(got.exit_code, 0);
	assert_string_equal(
		got.out,
		"HTTP/1.1 200 Connection established\n3145728 http://127.0.0.1:3128 http://127.0.0.1:3128\n");
	assert_string_equal(asked_host, "example.com");
	/* refused, with the reason; plain http is not carried */
	lib_box_sh(box, &got,
	           "exec 3<>/dev/tcp/127.0.0.1/3128; printf 'CONNECT db:5432 HTTP/1.1\\r\\n\\r\\n' >&3; cat <&3");
	assert_non_null(strstr(got.out, "HTTP/1.1 403"));
	assert_non_null(strstr(got.out, "not on the list"));
	assert_int_equal(asked_port, 5432);
	lib_box_sh(box, &got,
	           "exec 3<>/dev/tcp/127.0.0.1/3128; printf 'GET http://x/ HTTP/1.1\\r\\n\\r\\n' >&3; cat <&3");
	assert_non_null(strstr(got.out, "HTTP/1.1 405"));
	asked = 0;
	lib_box_sh(box, &got,
	           "exec 3<>/dev/tcp/127.0.0.1/3128; printf 'CONNECT nonsense\\r\\n\\r\\n' >&3; cat <&3");
	assert_non_null(strstr(got.out, "HTTP/1.1 400"));
	assert_int_equal(asked, 0);
	/* a program that goes away in the middle */
	lib_box_sh(
		box, &got,
		"exec 3<>/dev/tcp/127.0.0.1/3128; printf 'CONNECT example.com:443 HTTP/1.1\\r\\n\\r\\nhello' >&3; head -c 10 <&3");
	assert_string_equal(got.out, "HTTP/1.1 2");
	if (upstream >= 0)
		close(upstream);
	upstream = -1;
	/* questions without end: most are answered without asking us */
	asked = 0;
	lib_box_sh(
		box, &got,
		"python3 -c '\nimport socket\nfor i in range(400):\n  s=socket.create_connection((\"127.0.0.1\",3128))\n"
		"  s.sendall(b\"CONNECT db:5432 HTTP/1.1\\r\\n\\r\\n\")\n  assert b\" 403 \" in s.recv(1000)\n'");
	assert_int_equal(got.exit_code, 0);
	assert_true(asked >= 50 && asked < 350);
	lib_box_sh(box, &got, "echo fine");
	assert_string_equal(got.out, "fine\n");
	lib_got_free(&got);
	tz_box_destroy(box);
}

static void
test_no_network(void **state)
{
	TzBox *box;
	Got got = {0};

	(void) state;
	NEED_BOX();
	box = lib_box_new(NULL);
	assert_non_null(box);
	lib_box_sh(
		box, &got,
		"echo x > /dev/tcp/127.0.0.1/3128 || echo refused; env | grep -ci proxy; ls /sys/class/net 2>/dev/null; "
		"tail -n +3 /proc/net/dev | cut -d: -f1");
	assert_string_equal(got.out, "refused\n0\n    lo\n");
	lib_got_free(&got);
	tz_box_destroy(box);
}

/* Another start's way: without /proc, and with nothing but the filter against nested namespaces. */
static void
test_degraded(void **state)
{
	unsigned saved = lib_config.flags;
	TzBox *box;
	Got got = {0};
	const char *argv[] = {"bash", "-c", "setsid sleep 50 & sleep 50", NULL};

	(void) state;
	NEED_BOX();
	lib_config.flags |= TZ_BOX_WITHOUT_PROC | TZ_BOX_WITHOUT_DISABLE_USERNS;
	lib_config.memory_bytes = 200LL << 20;
	box = lib_box_new(NULL);
	lib_config.flags = saved;
	lib_config.memory_bytes = 512LL << 20;
	assert_non_null(box);
	lib_box_sh(box, &got, "ls /proc | wc -l; unshare -U true; echo $?");
	assert_string_equal(got.out, "0\n1\n");
	lib_got_free(&got);
	(void) lib_box_start(box, &got, 300, argv);
	lib_box_wait(box, &got, 5000);
	assert_true(got.timed_out);
	lib_box_sh(
		box, &got,
		"python3 -c '\nimport os,time\nfor i in range(10):\n  if os.fork()==0:\n"
		"    x=bytearray(os.urandom(1))*(60<<20)\n    time.sleep(20)\n    os._exit(0)\ntime.sleep(20)'");
	assert_true(got.out_of_memory);
	lib_got_free(&got);
	tz_box_destroy(box);
	assert_int_equal(children(), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_exec_details),
		cmocka_unit_test(test_bad_requests),
		cmocka_unit_test(test_timeout_kills_the_tree),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_output_ceiling),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_paths_stay_inside),
		cmocka_unit_test(test_memory_of_the_box),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_metrics),
		cmocka_unit_test(test_destroy_answers),
		cmocka_unit_test(test_destroy_inside_callback),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_stops_answering),
		cmocka_unit_test(test_start_fails),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_relay),
		cmocka_unit_test(test_no_network),
		cmocka_unit_test(test_degraded),
	};
	int rc;

	usable = lib_box_setup();
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	if (lib_mux != NULL)
		lib_box_teardown();
	return rc;
}
