/*-------------------------------------------------------------------------
 *
 * zygote.c
 *	  The process that children are forked from.
 *
 * Runs no foreign code. Answers its channel, forks, waits, and tells what each
 * child has used. When the channel closes it ends, and everything below it.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/frame.h"
#include "runner/helper/engine.h"
#include "runner/helper/helper.h"

#define CHILDREN_MAX 272 /* runs and spares of one worker */
#define CPU_BESIDE_S 5
#define SPAWN_MEMORY_MB TZ_RUNNER_MEMORY_MAX_MB

typedef struct Child
{
	pid_t pid; /* 0: free */
	uint32_t id;
} Child;

static Child children[CHILDREN_MAX];
static pid_t self;

static void
on_sigchld(int sig)
{
	(void) sig;
}

/* On a stack of its own: what faulted may be the stack. */
static void
on_fault(int sig)
{
	run_trap(sig == SIGFPE || sig == SIGILL ? "a fault of the processor" : "the engine's memory wall");
}

static void
signals(void)
{
	static char stack[16384];
	stack_t st = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction sa;
	sigset_t set;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = on_sigchld;
	(void) sigaction(SIGCHLD, &sa, NULL);
	sa.sa_handler = SIG_IGN;
	(void) sigaction(SIGPIPE, &sa, NULL);
	sa.sa_handler = on_fault;
	sa.sa_flags = SA_ONSTACK | SA_NODEFER;
	(void) sigaltstack(&st, NULL);
	(void) sigaction(SIGSEGV, &sa, NULL);
	(void) sigaction(SIGBUS, &sa, NULL);
	(void) sigaction(SIGFPE, &sa, NULL);
	(void) sigaction(SIGILL, &sa, NULL);
	/* Seen in ppoll only. */
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	(void) sigprocmask(SIG_SETMASK, &set, NULL);
}

static void
tell(TzFrameType type, uint32_t id, const void *data, size_t len)
{
	unsigned char packet[TZ_FRAME_HEADER + TZ_FRAME_CONTROL_MAX];
	struct iovec iov = {packet, TZ_FRAME_HEADER + len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	tz_frame_put_head(packet, type, id, len);
	memcpy(packet + TZ_FRAME_HEADER, data, len);
	while (sendmsg(RUN_FD, &msg, MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			_exit(EXIT_NO_CHANNEL);
}

static void
hello(const Jail *jail)
{
	unsigned char p[TZ_FRAME_HELLO_LEN] = {0};

	tz_frame_put_u32(p, TZ_FRAME_VERSION);
	tz_frame_put_u32(p + 4, jail->walls);
	for (int i = 0; i < TZ_RUNNER_WALLS; i++)
	{
		p[8 + 2 * i] = (unsigned char) jail->refused[i];
		p[9 + 2 * i] = (unsigned char) (jail->refused[i] >> 8);
	}
	strncpy((char *) p + 28, engine_name, 23);
	strncpy((char *) p + 52, engine_version(), 23);
	tell(TZ_FRAME_HELLO, 0, p, sizeof(p));
}

static void
exited(uint32_t id, int status, int error, const struct rusage *ru)
{
	unsigned char p[TZ_FRAME_EXITED_LEN];
	int64_t us = 0;

	us += (int64_t) ru->ru_utime.tv_sec * 1000000 + ru->ru_utime.tv_usec;
	us += (int64_t) ru->ru_stime.tv_sec * 1000000 + ru->ru_stime.tv_usec;
	tz_frame_put_u32(p, (uint32_t) status);
	tz_frame_put_u32(p + 4, (uint32_t) error);
	tz_frame_put_u64(p + 8, (uint64_t) us);
	tz_frame_put_u64(p + 16, (uint64_t) ru->ru_maxrss);
	tell(TZ_FRAME_EXITED, id, p, sizeof(p));
}

static void
limits_of(pid_t pid, uint32_t memory_mb, uint32_t cpu_s)
{
	struct rlimit64
	{
		uint64_t now, max;
	} r;

	r.now = r.max = ((uint64_t) memory_mb << 20) + engine_beside();
	(void) syscall(SYS_prlimit64, pid, RLIMIT_DATA, &r, NULL);
	if (cpu_s > 0)
	{
		r.now = r.max = cpu_s;
		(void) syscall(SYS_prlimit64, pid, RLIMIT_CPU, &r, NULL);
	}
}

static void __attribute__((noreturn)) child(int fd)
{
	struct rlimit files = {4, 4};

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || getppid() != self)
		_exit(EXIT_NO_PRIVILEGES);
	if (dup2(fd, RUN_FD) != RUN_FD || close(fd) != 0)
		_exit(EXIT_NO_CHANNEL);
	limits_of(0, SPAWN_MEMORY_MB, 0);
	(void) syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &files, NULL);
	(void) setpriority(PRIO_PROCESS, 0, 10);
	if (!engine_realm())
		_exit(EXIT_NO_ENGINE);
	if (filter_run() != 0)
		_exit(EXIT_NO_FILTER);
	run_main();
}

static void
spawn(uint32_t id, int fd)
{
	static const struct rusage none;
	Child *c = NULL;

	for (int i = 0; i < CHILDREN_MAX && c == NULL; i++)
		if (children[i].pid == 0)
			c = &children[i];
	if (c == NULL || fd < 0)
	{
		exited(id, -1, fd < 0 ? EBADF : EAGAIN, &none);
		if (fd >= 0)
			close(fd);
		return;
	}
	/* Bare: handlers of the library have nothing to do here. */
	c->id = id;
	c->pid = (pid_t) syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (c->pid == 0)
		child(fd);
	if (c->pid < 0)
	{
		c->pid = 0;
		exited(id, -1, errno, &none);
	}
	close(fd);
}

static Child *
find(uint32_t id)
{
	for (int i = 0; i < CHILDREN_MAX; i++)
		if (children[i].pid != 0 && children[i].id == id)
			return &children[i];
	return NULL;
}

static void
reap(void)
{
	struct rusage ru;
	int status;
	pid_t pid;

	while ((pid = wait4(-1, &status, WNOHANG, &ru)) > 0)
		for (int i = 0; i < CHILDREN_MAX; i++)
			if (children[i].pid == pid)
			{
				children[i].pid = 0;
				exited(children[i].id, status, 0, &ru);
				break;
			}
}

static void
order(const TzFrameHead *head, const unsigned char *data, int fd)
{
	Child *c;

	switch (head->type)
	{
		case TZ_FRAME_SPAWN:
			spawn(head->id, fd);
			return;
		case TZ_FRAME_LIMIT:
			c = head->len == 8 ? find(head->id) : NULL;
			if (c != NULL)
				limits_of(c->pid, tz_frame_get_u32(data), tz_frame_get_u32(data + 4) / 1000 + CPU_BESIDE_S);
			break;
		case TZ_FRAME_KILL:
			c = find(head->id);
			if (c != NULL)
				(void) kill(c->pid, SIGKILL);
			break;
		default:
			_exit(EXIT_NO_CHANNEL);
	}
	if (fd >= 0)
		close(fd);
}

/* The descriptor that came along; more than one is as good as none. */
static int
taken_fd(struct msghdr *msg)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	int fd = -1;
	size_t n;

	if (c == NULL || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
		return -1;
	n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	for (size_t i = 0; i < n; i++)
	{
		memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
		if (n > 1)
			close(fd);
	}
	return n == 1 ? fd : -1;
}

static void
channel(void)
{
	unsigned char packet[TZ_FRAME_HEADER + TZ_FRAME_CONTROL_MAX];
	union
	{
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {packet, sizeof(packet)};
	struct msghdr msg = {.msg_iov = &iov,
	                     .msg_iovlen = 1,
	                     .msg_control = control.bytes,
	                     .msg_controllen = sizeof(control.bytes)};
	ssize_t n = recvmsg(RUN_FD, &msg, 0);
	TzFrameHead head;

	if (n < 0 && errno == EINTR)
		return;
	if (n < TZ_FRAME_HEADER || !tz_frame_get_head(packet, &head) || head.len != (size_t) n - TZ_FRAME_HEADER)
		_exit(EXIT_NO_CHANNEL);
	order(&head, packet + TZ_FRAME_HEADER, taken_fd(&msg));
}

void
zygote_main(Jail *jail)
{
	sigset_t none;

	self = getpid();
	signals();
	if (!engine_boot())
		_exit(EXIT_NO_ENGINE);
	if (filter_zygote() != 0)
		_exit(EXIT_NO_FILTER);
	jail->walls |= TZ_RUNNER_WALL_SECCOMP;
	hello(jail);
	sigemptyset(&none);
	for (;;)
	{
		struct pollfd p = {.fd = RUN_FD, .events = POLLIN};
		int n = ppoll(&p, 1, NULL, &none);

		reap();
		if (n > 0)
			channel();
	}
}
