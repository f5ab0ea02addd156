/*-------------------------------------------------------------------------
 *
 * main.c
 *	  theazo-init, PID 1 of a box: start, frames, loop.
 *
 * Socket 3 is the parent. When it closes, we exit, and the kernel kills
 * everything else in the pid namespace: that is how a box never outlives the
 * process that made it.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "sandbox/init/init.h"

InitState init_state;

static int main_signal_fd;

int64_t
init_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void
init_die(int code)
{
	_exit(code);
}

void
init_due(int64_t *deadline, int64_t when)
{
	if (*deadline < 0 || when < *deadline)
		*deadline = when;
}

int
init_poll_add(struct pollfd *fds, int *n, int fd, short events)
{
	if (*n >= INIT_POLL_MAX)
		return -1;
	fds[*n] = (struct pollfd){.fd = fd, .events = events};
	return (*n)++;
}

static InitOp *
init_op_find(uint32_t id)
{
	for (int i = 0; i < TZ_WIRE_OPS_MAX; i++)
		if (init_state.ops[i].kind != INIT_FREE && init_state.ops[i].id == id)
			return &init_state.ops[i];
	return NULL;
}

/* The parent never has more at once than there are slots, nor one id twice. */
InitOp *
init_op_new(InitOpKind kind, uint32_t id)
{
	if (init_op_find(id) != NULL)
		init_die(75);
	for (int i = 0; i < TZ_WIRE_OPS_MAX; i++)
	{
		InitOp *op = &init_state.ops[i];

		if (op->kind != INIT_FREE)
			continue;
		memset(op, 0, sizeof(*op));
		op->kind = kind;
		op->id = id;
		op->monitor = -1;
		op->fd = op->dir_fd = op->code_fd = op->stdin_fd = op->stdin_save_fd = op->report_fd = -1;
		op->out.fd = op->err.fd = -1;
		op->out.last = op->err.last = -1;
		return op;
	}
	init_die(76);
}

void
init_op_free(InitOp *op)
{
	if (op->kind == INIT_EXEC)
		command_free(op);
	else
		files_free(op);
	op->kind = INIT_FREE;
}

static void
main_pause(uint32_t id, bool stop)
{
	InitState *s = &init_state;
	int64_t now = init_now_us();

	if (stop != s->paused)
	{
		(void) kill(-1, stop ? SIGSTOP : SIGCONT);
		/* A paused command's clock stands still. */
		if (!stop)
			for (int i = 0; i < TZ_WIRE_OPS_MAX; i++)
				if (s->ops[i].kind == INIT_EXEC && s->ops[i].running)
					s->ops[i].deadline_us += now - s->paused_us;
		s->paused = stop;
		s->paused_us = now;
	}
	link_send(TZ_WIRE_DONE, id, NULL, 0);
}

static void
main_configure(const TzWireFrame *frame)
{
	InitState *s = &init_state;
	unsigned char out[8];
	uint32_t has = TZ_WIRE_HAS_SECCOMP;
	TzWireWriter w;
	struct rlimit file;

	if (s->configured || !tz_wire_get_config(frame, &s->config))
		init_die(77);
	s->configured = true;
	file.rlim_cur = file.rlim_max = s->config.file_bytes;
	if (s->config.file_bytes > 0)
		(void) setrlimit(RLIMIT_FSIZE, &file);
	s->has_proc = proc_probe();
	if (s->has_proc)
		has |= TZ_WIRE_HAS_PROC;
	if (s->config.network && relay_start())
		has |= TZ_WIRE_HAS_RELAY;
	tz_wire_writer(&w, out, sizeof(out));
	tz_wire_put_u32(&w, TZ_WIRE_VERSION);
	tz_wire_put_u32(&w, has);
	link_send(TZ_WIRE_READY, 0, out, w.len);
}

static void
main_kill(const TzWireFrame *frame)
{
	InitOp *op = init_op_find(frame->id);

	if (op == NULL)
		return; /* it ended while the order was under way */
	if (op->kind == INIT_EXEC)
		command_kill(op, TZ_WIRE_KILLED);
	else if (op->write_left == 0)
	{
		link_fail(op->id, TZ_WIRE_F_SYSTEM, "cancelled");
		init_op_free(op);
	}
	else if (op->failure == 0)
	{
		op->failure = TZ_WIRE_F_SYSTEM;
		snprintf(op->message, sizeof(op->message), "cancelled");
	}
}

/* The parent, who looks at us from outside where /proc is missing here, has seen too much. */
static void
main_limit(const TzWireFrame *frame)
{
	TzWireReader r;
	uint32_t reason;

	tz_wire_reader(&r, frame->data, frame->len);
	reason = tz_wire_get_u32(&r);
	if (!tz_wire_end(&r) || (reason != TZ_WIRE_OUT_OF_MEMORY && reason != TZ_WIRE_TOO_MANY))
		init_die(85);
	proc_kill_all(reason);
}

static void
main_frame(const TzWireFrame *frame)
{
	InitOp *op;

	if (frame->type != TZ_WIRE_CONFIG && !init_state.configured)
		init_die(78);
	switch (frame->type)
	{
		case TZ_WIRE_CONFIG:
			main_configure(frame);
			break;
		case TZ_WIRE_EXEC:
			command_frame(frame);
			break;
		case TZ_WIRE_DATA:
			op = init_op_find(frame->id);
			if (op == NULL || frame->len == 0)
				init_die(79);
			if (op->kind == INIT_EXEC)
				command_data(op, frame->data, frame->len);
			else
				files_data(op, frame->data, frame->len);
			break;
		case TZ_WIRE_KILL:
			main_kill(frame);
			break;
		case TZ_WIRE_LIMIT:
			main_limit(frame);
			break;
		case TZ_WIRE_PAUSE:
		case TZ_WIRE_RESUME:
			main_pause(frame->id, frame->type == TZ_WIRE_PAUSE);
			break;
		case TZ_WIRE_METRICS:
			proc_metrics(frame->id);
			break;
		case TZ_WIRE_CONN_OK:
		case TZ_WIRE_CONN_REFUSED:
		case TZ_WIRE_CONN_DATA:
		case TZ_WIRE_CONN_EOF:
		case TZ_WIRE_CONN_WINDOW:
		case TZ_WIRE_CONN_RESET:
			relay_frame(frame);
			break;
		default:
			files_frame(frame);
			break;
	}
}

/* Descriptors, signals and the filter; nothing of the parent may stay but the socket. */
static void
main_prepare(void)
{
	struct rlimit core = {1, 1};
	sigset_t mask;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int type = 0;
	socklen_t len = sizeof(type);

	if (getsockopt(INIT_SOCKET, SOL_SOCKET, SO_TYPE, &type, &len) != 0 || type != SOCK_SEQPACKET)
		init_die(64);
	if (fcntl(INIT_SOCKET, F_SETFD, FD_CLOEXEC) != 0 || null < 0)
		init_die(65);
	for (int fd = 0; fd <= 2; fd++)
		if (dup2(null, fd) < 0)
			init_die(65);
	if (close_range(INIT_SOCKET + 1, ~0U, 0) != 0)
		for (int fd = INIT_SOCKET + 1; fd < 1024; fd++)
			close(fd);
	(void) setrlimit(RLIMIT_CORE, &core);
	(void) prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	(void) umask(022);
	(void) mkdir(INIT_RUN_DIR, 0700);

	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	if (sigprocmask(SIG_SETMASK, &mask, NULL) != 0)
		init_die(66);
	main_signal_fd = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
	if (main_signal_fd < 0)
		init_die(66);
	if (filter_install() != 0)
		init_die(67); /* no filter, no box */
}

static void
main_turn(void)
{
	static struct pollfd fds[INIT_POLL_MAX];
	InitState *s = &init_state;
	int64_t deadline = -1, now = init_now_us();
	int n = 0, wait_ms = -1;
	struct signalfd_siginfo info;

	init_poll_add(fds, &n, INIT_SOCKET, (short) (POLLIN | (link_wants_write() ? POLLOUT : 0)));
	init_poll_add(fds, &n, main_signal_fd, POLLIN);
	for (int i = 0; i < TZ_WIRE_OPS_MAX; i++)
	{
		if (s->ops[i].kind == INIT_EXEC)
			command_poll(&s->ops[i], fds, &n, &deadline);
		else if ((s->ops[i].kind == INIT_READ || s->ops[i].kind == INIT_LIST) && link_clear())
			init_due(&deadline, now);
	}
	if (s->nmonitors > 0 && !s->paused)
		init_due(&deadline, s->next_sample_us);
	if (proc_killing())
		init_due(&deadline, now + 3000);
	relay_poll(fds, &n, &deadline);

	if (deadline >= 0)
		wait_ms = deadline <= now ? 0 : (int) ((deadline - now + 999) / 1000);
	if (poll(fds, (nfds_t) n, wait_ms) < 0 && errno != EINTR)
		init_die(68);

	link_flush();
	if (fds[0].revents != 0)
		link_receive(main_frame);
	while (read(main_signal_fd, &info, sizeof(info)) > 0)
		;
	command_reap();
	proc_kill_step();
	now = init_now_us();
	if (s->nmonitors > 0 && !s->paused && now >= s->next_sample_us)
		proc_sample(now);
	for (int i = 0; i < TZ_WIRE_OPS_MAX; i++)
	{
		if (s->ops[i].kind == INIT_EXEC)
			command_step(&s->ops[i], now);
		else if (s->ops[i].kind != INIT_FREE)
			files_step(&s->ops[i]);
	}
	relay_step(fds, n, now);
}

int
main(void)
{
	main_prepare();
	for (;;)
		main_turn();
}
