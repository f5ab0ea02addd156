/*-------------------------------------------------------------------------
 *
 * command.c
 *	  Commands as operations: receive, start, carry their output, end.
 *
 * Between us and each command stands a monitor (spawn.c), which tells how the
 * command ended. A command may kill its monitor (they are the same user); then
 * its orphans come to us, and we know the command itself by its pid.
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
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/init/init.h"

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

/* All bytes are there. */
static void
command_start(InitOp *op)
{
	TzWireSpec spec;

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
	if (op->stdin_save_fd >= 0)
		close(op->stdin_save_fd);
	op->stdin_save_fd = -1;
	if (op->code_fd >= 0)
		close(op->code_fd);
	op->code_fd = -1;
	op->running = true;
	op->deadline_us = op->started_us + (int64_t) op->timeout_ms * 1000;
	if (!spawn_start(op, &spec))
	{
		link_fail(op->id, TZ_WIRE_F_SYSTEM, "the sandbox cannot start a process: %s", strerrordesc_np(errno));
		init_op_free(op);
	}
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
	InitReport r;

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
