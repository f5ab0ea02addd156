/*-------------------------------------------------------------------------
 *
 * command.c
 *	  Commands: receive, start, carry their output, end.
 *
 * Between us and each command stands a monitor: a fork of ours that is the
 * reaper of everything below it. It tells how the command ended by a pipe and
 * stays for as long as the command left something running. A command may kill
 * its monitor (they are the same user); then its orphans come to us, and we
 * know the command itself by its pid.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/init/init.h"

#define COMMAND_PATH "PATH=/usr/local/bin:/usr/bin:/bin"
#define COMMAND_DATA_MIN (64 * 1024 * 1024)

/* From monitor (or the command, before its exec) to us; smaller than PIPE_BUF, hence whole. */
typedef struct CommandReport
{
	enum
	{
		REPORT_STARTED = 1, /* value = pid */
		REPORT_NO_EXEC, /* value = errno */
		REPORT_NO_CWD, /* value = errno */
		REPORT_EXITED /* value = wait status */
	} kind;
	int value;
	uint64_t cpu_us;
	uint64_t peak_rss_kb;
} CommandReport;

static void command_start(InitOp *op);

/* Remembers why; told once the parent has sent everything it announced. */
static void
command_refuse(InitOp *op, uint32_t failure, const char *text)
{
	if (op->failure != 0)
		return;
	op->failure = failure;
	snprintf(op->message, sizeof(op->message), "%s", text);
}

/*
 * A new file in the run directory, for program text or stdin. With read_fd it
 * loses its name at once, and *read_fd is a second description of it, because
 * a command must not be able to write what it reads.
 */
static int
command_spool(InitOp *op, const char *path, int *read_fd)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	const char *text;

	if (fd >= 0 && read_fd != NULL)
	{
		*read_fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		(void) unlink(path);
	}
	if (fd < 0 || (read_fd != NULL && *read_fd < 0))
		command_refuse(op, link_failure_of(errno, &text), "the sandbox's run directory is not usable");
	return fd;
}

void
command_frame(const TzWireFrame *frame)
{
	TzWireExec exec;
	InitOp *op;

	if (!tz_wire_get_exec(frame, &exec))
		init_die(80);
	op = init_op_new(INIT_EXEC, frame->id);
	op->timeout_ms = exec.timeout_ms;
	op->max_output = exec.max_output;
	op->spec_left = op->spec_len = exec.spec_len;
	op->code_left = exec.code_len;
	op->stdin_left = exec.stdin_len;
	op->spec = malloc(exec.spec_len);
	if (op->spec == NULL)
		init_die(81);
	if (init_state.paused)
		command_refuse(op, TZ_WIRE_F_BAD, "the sandbox is paused");
	if (init_state.nmonitors >= INIT_MONITORS_MAX)
		command_refuse(op, TZ_WIRE_F_TOO_LARGE, "too many commands of this sandbox left something running");
}

static void
command_save(InitOp *op, int fd, const unsigned char *data, size_t len)
{
	const char *text;

	while (len > 0 && op->failure == 0)
	{
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
		{
			command_refuse(op, link_failure_of(n < 0 ? errno : ENOSPC, &text),
			               "program text or input does not fit into the sandbox's run directory");
			return;
		}
		data += n;
		len -= (size_t) n;
	}
}

/* The spec is complete: make the code's file, whose name it holds. */
static void
command_spec(InitOp *op)
{
	TzWireSpec spec;
	char dir[64];

	if (!tz_wire_get_spec(op->spec, op->spec_len, &spec))
		init_die(82);
	if (op->failure != 0 || spec.code_name_len == 0)
		return;
	snprintf(dir, sizeof(dir), INIT_RUN_DIR "/%u", op->id);
	(void) mkdir(INIT_RUN_DIR, 0700);
	(void) mkdir(dir, 0700);
	snprintf(op->code_path, sizeof(op->code_path), "%s/%.*s", dir, (int) spec.code_name_len, spec.code_name);
	op->code_fd = command_spool(op, op->code_path, NULL);
}

void
command_data(InitOp *op, const unsigned char *data, size_t len)
{
	if (op->running || op->spec_left + (uint64_t) op->code_left + op->stdin_left < len)
		init_die(83);
	while (len > 0)
	{
		uint32_t *left = op->spec_left ? &op->spec_left : op->code_left ? &op->code_left : &op->stdin_left;
		size_t n = len < *left ? len : *left;

		if (left == &op->spec_left)
			memcpy(op->spec + op->spec_len - op->spec_left, data, n);
		else if (left == &op->code_left)
		{
			if (op->code_fd < 0)
				command_refuse(op, TZ_WIRE_F_BAD, "program text without a name");
			command_save(op, op->code_fd, data, n);
		}
		else
		{
			char path[64];

			snprintf(path, sizeof(path), INIT_RUN_DIR "/%u.stdin", op->id);
			if (op->stdin_save_fd < 0 && op->failure == 0)
				op->stdin_save_fd = command_spool(op, path, &op->stdin_fd);
			command_save(op, op->stdin_save_fd, data, n);
		}
		*left -= (uint32_t) n;
		data += n;
		len -= n;
		if (left == &op->spec_left && *left == 0)
			command_spec(op);
	}
	if (op->spec_left + op->code_left + op->stdin_left == 0)
		command_start(op);
}

/* n terminated copies of the strings at r. */
static char **
command_strings(TzWireReader r, uint32_t n)
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
command_strings_free(char **list, uint32_t n, const char *not_this)
{
	for (uint32_t i = 0; i < n; i++)
		if (list[i] != not_this)
			free(list[i]);
	free(list);
}

static size_t
command_env_name(const char *s)
{
	const char *eq = strchr(s, '=');

	return eq == NULL ? 0 : (size_t) (eq - s) + 1;
}

static const char *const command_base_env[] = {
	COMMAND_PATH,
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

#define COMMAND_BASE_ENV (sizeof(command_base_env) / sizeof(command_base_env[0]))
#define COMMAND_NETWORK_ENV 8

/* Defaults, then what the caller gave; of several of one name the last stays. Borrows the strings. */
static char **
command_environment(char **given, uint32_t ngiven)
{
	uint32_t nbase = COMMAND_BASE_ENV - (init_state.config.network ? 0 : COMMAND_NETWORK_ENV),
			 total = nbase + ngiven, n = 0;
	char **env = calloc(total + 1, sizeof(char *));

	if (env == NULL)
		init_die(84);
	memcpy(env, command_base_env, nbase * sizeof(char *));
	if (ngiven > 0)
		memcpy(env + nbase, given, ngiven * sizeof(char *));
	for (uint32_t i = 0; i < total; i++)
	{
		size_t len = command_env_name(env[i]);
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
command_limit(int what, uint64_t soft, uint64_t hard)
{
	struct rlimit r = {soft, hard};

	(void) setrlimit((__rlimit_resource_t) what, &r);
}

static void
command_limits(void)
{
	const TzWireConfig *c = &init_state.config;
	uint64_t data = 2 * c->memory_bytes < COMMAND_DATA_MIN ? COMMAND_DATA_MIN : 2 * c->memory_bytes;

	/* 1, not 0: with 0 the kernel still feeds a crash to a handler program of the machine, with 1 it does not. */
	command_limit(RLIMIT_CORE, 1, 1);
	/*
	 * DATA and not AS: node reserves more address space than any cap. Twice the memory, because DATA counts what
	 * is reserved (700 MB by node 24 before it runs a line); what is used is watched for the box as a whole.
	 */
	command_limit(RLIMIT_DATA, data, data);
	command_limit(RLIMIT_STACK, 8 << 20, 64 << 20);
	command_limit(RLIMIT_NOFILE, c->open_files, c->open_files);
	command_limit(RLIMIT_MEMLOCK, 64 << 10, 64 << 10);
	command_limit(RLIMIT_MSGQUEUE, 0, 0);
	command_limit(RLIMIT_SIGPENDING, 1024, 1024);
	if (c->file_bytes > 0)
		command_limit(RLIMIT_FSIZE, c->file_bytes, c->file_bytes);
	if (c->cpu_seconds > 0)
		command_limit(RLIMIT_CPU, c->cpu_seconds, c->cpu_seconds + 1);
	/* The monitors and we count as well. */
	command_limit(RLIMIT_NPROC, c->processes + (uint64_t) init_state.nmonitors + 1,
	              c->processes + (uint64_t) init_state.nmonitors + 1);
	(void) setpriority(PRIO_PROCESS, 0, 5);
}

static void
command_report(int fd, int kind, int value, const struct rusage *ru)
{
	CommandReport r;

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
command_become(const char *cwd, char **argv, char **env, const int fds[3], int report)
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
		command_report(report, REPORT_NO_CWD, errno, NULL);
		_exit(126);
	}
	command_limits();
	sigprocmask(SIG_SETMASK, &none, NULL);
	environ = env;
	execvp(argv[0], argv);
	command_report(report, REPORT_NO_EXEC, errno, NULL);
	_exit(127);
}

/* In the monitor's process. */
static void __attribute__((noreturn))
command_monitor(const char *cwd, char **argv, char **env, const int fds[3], int report)
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
		command_become(cwd, argv, env, fds, report);
	if (pid < 0)
	{
		command_report(report, REPORT_NO_EXEC, errno, NULL);
		_exit(1);
	}
	command_report(report, REPORT_STARTED, pid, NULL);
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
			command_report(3, REPORT_EXITED, status, &ru);
			(void) dup2(4, 3);
		}
	_exit(0);
}

static void
command_expand(InitOp *op, char **argv)
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
command_spawn(InitOp *op, char **argv, char **env, const char *cwd)
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
			command_monitor(cwd, argv, env, fds, rep[1]);
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

/* All bytes are there. */
static void
command_start(InitOp *op)
{
	TzWireSpec spec;
	char **argv, **given, **env;
	char cwd[TZ_WIRE_PATH_MAX];

	op->started_us = init_now_us();
	if (op->failure != 0)
	{
		link_fail(op->id, op->failure, "%s", op->message);
		init_op_free(op);
		return;
	}
	if (op->reason != 0)
	{
		op->running = op->exited = true; /* killed before it began */
		op->exit.code = 137;
		return;
	}
	if (!tz_wire_get_spec(op->spec, op->spec_len, &spec))
		init_die(82);
	memcpy(cwd, spec.cwd, spec.cwd_len);
	cwd[spec.cwd_len] = '\0';
	argv = command_strings(spec.argv, spec.argc);
	command_expand(op, argv);
	given = command_strings(spec.env, spec.envc);
	env = command_environment(given, spec.envc);
	if (op->stdin_save_fd >= 0)
		close(op->stdin_save_fd);
	op->stdin_save_fd = -1;
	if (op->code_fd >= 0)
		close(op->code_fd);
	op->code_fd = -1;
	op->running = true;
	op->deadline_us = op->started_us + (int64_t) op->timeout_ms * 1000;
	if (!command_spawn(op, argv, env, cwd))
	{
		link_fail(op->id, TZ_WIRE_F_SYSTEM, "the sandbox cannot start a process: %s", strerrordesc_np(errno));
		init_op_free(op);
	}
	command_strings_free(argv, spec.argc, op->code_path);
	command_strings_free(given, spec.envc, NULL);
	free(env);
}

static void
command_ended(InitOp *op, int status, uint64_t cpu_us, uint64_t peak_rss_kb)
{
	InitStream *streams[2] = {&op->out, &op->err};

	if (op->exited)
		return;
	op->exited = true;
	op->exit.cpu_us = cpu_us;
	op->exit.peak_rss_kb = peak_rss_kb;
	op->exit.wall_us = (uint64_t) (init_now_us() - op->started_us);
	if (WIFSIGNALED(status))
	{
		op->exit.code = 128 + (uint32_t) WTERMSIG(status);
		if (op->reason == 0)
			op->reason = TZ_WIRE_SIGNALED;
	}
	else
		op->exit.code = (uint32_t) WEXITSTATUS(status);

	/* What it wrote is in the pipes now; what others write later is not its output. */
	for (int i = 0; i < 2; i++)
	{
		int n = 0;

		if (streams[i]->fd >= 0 && ioctl(streams[i]->fd, FIONREAD, &n) == 0)
			streams[i]->last = n;
	}
}

static void
command_reports(InitOp *op)
{
	CommandReport r;

	while (op->kind == INIT_EXEC && op->report_fd >= 0 &&
	       read(op->report_fd, &r, sizeof(r)) == (ssize_t) sizeof(r))
		switch (r.kind)
		{
			case REPORT_STARTED:
				op->main_pid = r.value;
				break;
			case REPORT_NO_CWD:
				command_refuse(op, TZ_WIRE_F_BAD, "the working directory does not exist in the sandbox");
				break;
			case REPORT_NO_EXEC:
				if (r.value == ENOENT || r.value == EACCES || r.value == ENOTDIR)
					op->failure = UINT32_MAX; /* as a shell would: exit code 127 */
				else
					command_refuse(op, r.value == E2BIG ? TZ_WIRE_F_TOO_LARGE : TZ_WIRE_F_SYSTEM,
					               strerrordesc_np(r.value));
				break;
			case REPORT_EXITED:
				command_ended(op, r.value, r.cpu_us, r.peak_rss_kb);
				break;
		}
}

/* Children that ended: monitors, and commands or orphans whose monitor was killed. */
void
command_reap(void)
{
	InitState *s = &init_state;
	struct rusage ru;
	int status;
	pid_t pid;

	for (int i = 0; i < TZ_WIRE_OPS_MAX; i++)
		if (s->ops[i].kind == INIT_EXEC && s->ops[i].running)
			command_reports(&s->ops[i]);
	while ((pid = wait4(-1, &status, WNOHANG, &ru)) > 0)
	{
		for (int i = 0; i < TZ_WIRE_OPS_MAX; i++)
		{
			InitOp *op = &s->ops[i];

			if (op->kind == INIT_EXEC && op->running && op->main_pid == pid)
				command_ended(op, status,
				              (uint64_t) (ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000000 +
				                  (uint64_t) (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec),
				              (uint64_t) ru.ru_maxrss);
		}
		for (int i = 0; i < INIT_MONITORS_MAX; i++)
		{
			InitMonitor *m = &s->monitors[i];

			if (m->pid != pid)
				continue;
			if (m->op >= 0)
			{
				command_reports(&s->ops[m->op]); /* its last words */
				s->ops[m->op].monitor = -1;
			}
			m->pid = 0;
			s->nmonitors--;
		}
	}
	/* A command whose monitor is dead and which is not there either has ended with it. */
	for (int i = 0; i < TZ_WIRE_OPS_MAX; i++)
	{
		InitOp *op = &s->ops[i];

		if (op->kind == INIT_EXEC && op->running && !op->exited && op->monitor < 0 &&
		    (op->main_pid == 0 || kill(op->main_pid, 0) != 0))
			command_ended(op, SIGKILL, 0, 0);
	}
}

void
command_kill(InitOp *op, uint32_t reason)
{
	if (op->reason == 0)
		op->reason = reason;
	if (!op->running)
		return; /* ends as soon as the parent has sent the rest */
	if (op->monitor >= 0)
		proc_kill_tree(&init_state.monitors[op->monitor]);
	else if (!op->exited && op->main_pid > 0)
		proc_kill_all(0); /* it killed its monitor: its children are anybody's */
}

/* True while there may be more to read from this stream. */
static bool
command_stream(InitOp *op, InitStream *st, TzWireType type)
{
	static unsigned char buf[TZ_WIRE_PAYLOAD_MAX];
	size_t want = sizeof(buf);
	ssize_t n;

	if (st->fd < 0)
		return false;
	if (st->last >= 0 && (uint64_t) st->last < want)
		want = (size_t) st->last;
	n = want == 0 ? 0 : read(st->fd, buf, want);
	if (n < 0 && (errno == EAGAIN || errno == EINTR) && st->last < 0)
		return false;
	if (n <= 0)
	{
		close(st->fd);
		st->fd = -1;
		return false;
	}
	if (st->last >= 0)
		st->last -= n;
	if (st->sent + (uint64_t) n > op->max_output)
	{
		/* The ceiling's worth goes out, then the command goes. */
		n = (ssize_t) (op->max_output - st->sent);
		if (!op->exited)
			command_kill(op, TZ_WIRE_OUTPUT);
		else if (op->reason == 0 || op->reason == TZ_WIRE_SIGNALED)
			op->reason = TZ_WIRE_OUTPUT;
		close(st->fd);
		st->fd = -1;
	}
	if (n > 0)
	{
		st->sent += (uint64_t) n;
		link_send(type, op->id, buf, (size_t) n);
	}
	return st->fd >= 0;
}

void
command_poll(InitOp *op, struct pollfd *fds, int *n, int64_t *deadline)
{
	if (!op->running)
		return;
	if (op->reason == 0 && !init_state.paused && !op->exited)
		init_due(deadline, op->deadline_us);
	if (op->report_fd >= 0 && !op->exited)
		init_poll_add(fds, n, op->report_fd, POLLIN);
	if (!link_clear())
		return;
	if (op->exited)
		init_due(deadline, op->monitor >= 0 && init_state.monitors[op->monitor].killing && op->out.fd < 0 &&
		                           op->err.fd < 0
		                       ? init_now_us() + 2000
		                       : 0);
	if (op->out.fd >= 0)
		init_poll_add(fds, n, op->out.fd, POLLIN);
	if (op->err.fd >= 0)
		init_poll_add(fds, n, op->err.fd, POLLIN);
}

static void
command_finish(InitOp *op)
{
	unsigned char out[64];
	size_t len;

	if (op->failure == UINT32_MAX)
	{
		op->exit.code = 127;
		op->reason = TZ_WIRE_EXITED;
	}
	else if (op->failure != 0)
	{
		link_fail(op->id, op->failure, "%s", op->message);
		init_op_free(op);
		return;
	}
	op->exit.reason = op->reason;
	len = tz_wire_put_exit(out, sizeof(out), &op->exit);
	link_send(TZ_WIRE_EXIT, op->id, out, len);
	init_op_free(op);
}

void
command_step(InitOp *op, int64_t now)
{
	if (!op->running)
		return;
	command_reports(op);
	if (!op->exited && op->reason == 0 && !init_state.paused && now >= op->deadline_us)
		command_kill(op, TZ_WIRE_TIMED_OUT);
	for (int i = 0; i < 8 && link_clear(); i++)
	{
		bool more = command_stream(op, &op->out, TZ_WIRE_STDOUT);

		if (link_clear())
			more = command_stream(op, &op->err, TZ_WIRE_STDERR) || more;
		if (!more)
			break;
	}
	/* A tree that is being killed has to be gone before we say so. */
	if (op->exited && op->out.fd < 0 && op->err.fd < 0 &&
	    (op->monitor < 0 || !init_state.monitors[op->monitor].killing))
		command_finish(op);
}

void
command_free(InitOp *op)
{
	int *fds[] = {&op->code_fd, &op->stdin_fd, &op->stdin_save_fd, &op->report_fd, &op->out.fd, &op->err.fd};
	char *slash;

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (*fds[i] >= 0)
			close(*fds[i]);
	free(op->spec);
	op->spec = NULL;
	if (op->code_path[0] != '\0')
	{
		(void) unlink(op->code_path);
		slash = strrchr(op->code_path, '/');
		*slash = '\0';
		(void) rmdir(op->code_path);
	}
	if (op->monitor >= 0)
		init_state.monitors[op->monitor].op = -1;
}
