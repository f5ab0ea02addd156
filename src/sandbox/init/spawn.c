/*-------------------------------------------------------------------------
 *
 * spawn.c
 *	  The processes of a command: its monitor, its environment and limits, its exec.
 *
 * A monitor is a fork of ours between us and one command, the reaper of
 * everything below it. It tells how the command ended by a pipe and stays for as
 * long as the command left something running.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/init/init.h"

#define SPAWN_PATH "PATH=/usr/local/bin:/usr/bin:/bin"
#define SPAWN_DATA_MIN (64 * 1024 * 1024)

/* n terminated copies of the strings at r. */
static char **
spawn_strings(TzWireReader r, uint32_t n)
{
	char **list = calloc(n + 1, sizeof(char *));
	size_t len;

	for (uint32_t i = 0; list != NULL && i < n; i++)
	{
		const char *s = tz_wire_get_str(&r, TZ_WIRE_SPEC_MAX, &len);

		list[i] = s == NULL ? NULL : strndup(s, len);
		if (list[i] == NULL)
			init_die(84);
	}
	if (list == NULL)
		init_die(84);
	return list;
}

static void
spawn_strings_free(char **list, uint32_t n, const char *not_this)
{
	for (uint32_t i = 0; i < n; i++)
		if (list[i] != not_this)
			free(list[i]);
	free(list);
}

static size_t
spawn_env_name(const char *s)
{
	const char *eq = strchr(s, '=');

	return eq == NULL ? 0 : (size_t) (eq - s) + 1;
}

static const char *const spawn_base_env[] = {
	SPAWN_PATH,
	"HOME=" INIT_WORKSPACE,
	"TMPDIR=/tmp",
	"LANG=C.UTF-8",
	"USER=sandbox",
	"LOGNAME=sandbox",
	"SHELL=/bin/sh",
	"GOCACHE=/tmp/go-build",
	"GOTOOLCHAIN=local",
	"PYTHONDONTWRITEBYTECODE=1",
	/* with the network only */
	"HTTPS_PROXY=http://127.0.0.1:3128",
	"https_proxy=http://127.0.0.1:3128",
	"HTTP_PROXY=http://127.0.0.1:3128",
	"http_proxy=http://127.0.0.1:3128",
	"ALL_PROXY=http://127.0.0.1:3128",
	"all_proxy=http://127.0.0.1:3128",
	"NO_PROXY=localhost,127.0.0.1",
	"no_proxy=localhost,127.0.0.1",
};

#define SPAWN_BASE_ENV (sizeof(spawn_base_env) / sizeof(spawn_base_env[0]))
#define SPAWN_NETWORK_ENV 8

/* Defaults, then what the caller gave; of several of one name the last stays. Borrows the strings. */
static char **
spawn_environment(char **given, uint32_t ngiven)
{
	uint32_t nbase = SPAWN_BASE_ENV - (init_state.config.network ? 0 : SPAWN_NETWORK_ENV),
			 total = nbase + ngiven, n = 0;
	char **env = calloc(total + 1, sizeof(char *));

	if (env == NULL)
		init_die(84);
	memcpy(env, spawn_base_env, nbase * sizeof(char *));
	if (ngiven > 0)
		memcpy(env + nbase, given, ngiven * sizeof(char *));
	for (uint32_t i = 0; i < total; i++)
	{
		size_t len = spawn_env_name(env[i]);
		bool drop = len < 2; /* without a name */

		for (uint32_t j = i + 1; j < total && !drop; j++)
			drop = strncmp(env[i], env[j], len) == 0;
		if (!drop)
			env[n++] = env[i];
	}
	env[n] = NULL;
	return env;
}

static void
spawn_limit(int what, uint64_t soft, uint64_t hard)
{
	struct rlimit r = {soft, hard};

	(void) setrlimit((__rlimit_resource_t) what, &r);
}

static void
spawn_limits(void)
{
	const TzWireConfig *c = &init_state.config;
	uint64_t data = 2 * c->memory_bytes < SPAWN_DATA_MIN ? SPAWN_DATA_MIN : 2 * c->memory_bytes;

	/* 1, not 0: with 0 the kernel still feeds a crash to a handler program of the machine, with 1 it does not. */
	spawn_limit(RLIMIT_CORE, 1, 1);
	/*
	 * DATA and not AS: node reserves more address space than any cap. Twice the memory, because DATA counts what
	 * is reserved (700 MB by node 24 before it runs a line); what is used is watched for the box as a whole.
	 */
	spawn_limit(RLIMIT_DATA, data, data);
	spawn_limit(RLIMIT_STACK, 8 << 20, 64 << 20);
	spawn_limit(RLIMIT_NOFILE, c->open_files, c->open_files);
	spawn_limit(RLIMIT_MEMLOCK, 64 << 10, 64 << 10);
	spawn_limit(RLIMIT_MSGQUEUE, 0, 0);
	spawn_limit(RLIMIT_SIGPENDING, 1024, 1024);
	if (c->file_bytes > 0)
		spawn_limit(RLIMIT_FSIZE, c->file_bytes, c->file_bytes);
	if (c->cpu_seconds > 0)
		spawn_limit(RLIMIT_CPU, c->cpu_seconds, c->cpu_seconds + 1);
	/* The monitors and we count as well. */
	spawn_limit(RLIMIT_NPROC, c->processes + (uint64_t) init_state.nmonitors + 1,
	            c->processes + (uint64_t) init_state.nmonitors + 1);
	(void) setpriority(PRIO_PROCESS, 0, 5);
}

static void
spawn_report(int fd, int kind, int value, const struct rusage *ru)
{
	InitReport r;

	memset(&r, 0, sizeof(r));
	r.kind = kind;
	r.value = value;
	if (ru != NULL)
	{
		r.cpu_us = (uint64_t) (ru->ru_utime.tv_sec + ru->ru_stime.tv_sec) * 1000000 +
		           (uint64_t) (ru->ru_utime.tv_usec + ru->ru_stime.tv_usec);
		r.peak_rss_kb = (uint64_t) ru->ru_maxrss;
	}
	if (write(fd, &r, sizeof(r)) != (ssize_t) sizeof(r))
		_exit(69);
}

/* In the command's process: everything up to its exec. */
static void __attribute__((noreturn))
spawn_become(const char *cwd, char **argv, char **env, const int fds[3], int report)
{
	sigset_t none;
	int dir;

	(void) setsid();
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	for (int i = 0; i < 3; i++)
		if (dup2(fds[i], i) < 0)
			_exit(126);
	dir = files_open_dir(cwd, strlen(cwd));
	if (dir < 0 || fchdir(dir) != 0)
	{
		spawn_report(report, REPORT_NO_CWD, errno, NULL);
		_exit(126);
	}
	spawn_limits();
	sigprocmask(SIG_SETMASK, &none, NULL);
	environ = env;
	execvp(argv[0], argv);
	spawn_report(report, REPORT_NO_EXEC, errno, NULL);
	_exit(127);
}

/* In the monitor's process. */
static void __attribute__((noreturn))
spawn_monitor(const char *cwd, char **argv, char **env, const int fds[3], int report)
{
	sigset_t all;
	pid_t pid, done;
	int status, null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct rusage ru;

	(void) prctl(PR_SET_NAME, "theazo-monitor", 0, 0, 0);
	(void) prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	pid = fork();
	if (pid == 0)
		spawn_become(cwd, argv, env, fds, report);
	if (pid < 0)
	{
		spawn_report(report, REPORT_NO_EXEC, errno, NULL);
		_exit(1);
	}
	spawn_report(report, REPORT_STARTED, pid, NULL);
	/* Not one descriptor of the init or of the command may stay open here. */
	(void) dup2(report, 3);
	(void) dup2(null, 4);
	if (close_range(5, ~0U, 0) != 0)
		for (int fd = 5; fd < 1024; fd++)
			close(fd);
	while ((done = wait4(-1, &status, 0, &ru)) > 0 || errno == EINTR)
		if (done == pid)
		{
			/* Of everything waited for so far, the background included. */
			struct rusage sum;

			if (getrusage(RUSAGE_CHILDREN, &sum) == 0)
				ru.ru_utime = sum.ru_utime, ru.ru_stime = sum.ru_stime, ru.ru_maxrss = sum.ru_maxrss;
			spawn_report(3, REPORT_EXITED, status, &ru);
			(void) dup2(4, 3);
		}
	_exit(0);
}

static void
spawn_expand(InitOp *op, char **argv)
{
	for (int i = 0; argv[i] != NULL; i++)
		if (op->code_path[0] != '\0' && strcmp(argv[i], "{code}") == 0)
		{
			free(argv[i]);
			argv[i] = op->code_path;
		}
}

/* Pipes, monitor; the answer comes with the first report. */
static bool
spawn_command(InitOp *op, char **argv, char **env, const char *cwd)
{
	int out[2] = {-1, -1}, err[2] = {-1, -1}, rep[2] = {-1, -1}, fds[3];
	pid_t pid = -1;
	int slot = 0;
	bool ok;

	while (slot < INIT_MONITORS_MAX && init_state.monitors[slot].pid != 0)
		slot++;
	ok = slot < INIT_MONITORS_MAX && pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0 &&
	     pipe2(rep, O_CLOEXEC) == 0;
	if (ok)
	{
		fds[0] = op->stdin_fd >= 0 ? op->stdin_fd : 0;
		fds[1] = out[1];
		fds[2] = err[1];
		/* Counted now: the command's process limit includes its monitor. */
		init_state.nmonitors++;
		pid = fork();
		if (pid == 0)
			spawn_monitor(cwd, argv, env, fds, rep[1]);
		if (pid < 0)
			init_state.nmonitors--;
	}
	for (int i = 0; i < 3; i++)
	{
		int fd = i == 0 ? out[1] : i == 1 ? err[1] : rep[1];

		if (fd >= 0)
			close(fd);
	}
	op->out.fd = out[0];
	op->err.fd = err[0];
	op->report_fd = rep[0];
	if (pid <= 0)
		return false;
	(void) fcntl(out[0], F_SETFL, O_NONBLOCK);
	(void) fcntl(err[0], F_SETFL, O_NONBLOCK);
	(void) fcntl(rep[0], F_SETFL, O_NONBLOCK);
	init_state.monitors[slot] = (InitMonitor){.pid = pid, .op = (int) (op - init_state.ops)};
	if (init_state.nmonitors == 1)
		init_state.next_sample_us = init_now_us() + 50000;
	op->monitor = slot;
	return true;
}

bool
spawn_start(InitOp *op, const TzWireSpec *spec)
{
	char **argv = spawn_strings(spec->argv, spec->argc), **given, **env;
	char cwd[TZ_WIRE_PATH_MAX];
	bool started;
	int error;

	memcpy(cwd, spec->cwd, spec->cwd_len);
	cwd[spec->cwd_len] = '\0';
	spawn_expand(op, argv);
	given = spawn_strings(spec->env, spec->envc);
	env = spawn_environment(given, spec->envc);
	started = spawn_command(op, argv, env, cwd);
	error = errno;
	spawn_strings_free(argv, spec->argc, op->code_path);
	spawn_strings_free(given, spec->envc, NULL);
	free(env);
	errno = error;
	return started;
}
