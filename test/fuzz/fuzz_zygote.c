/*
 * The zygote's side of its channel: whatever comes, it does what was agreed on and ends at the rest. zygote.c with packets,
 * descriptors and children that are only counted. The input is a list of steps (u8 what, u8 length, bytes): packets with none,
 * one or two descriptors, children that end, forks that fail. Each SPAWN is answered by one EXITED, no descriptor is left
 * over, and nothing is done to a process that is no child of its.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/helper/engine.h"
#include "runner/helper/helper.h"

#define FD_FIRST 100
#define PID_FIRST 1000
#define STEPS_MAX 4096

static jmp_buf ended;
static const uint8_t *input;
static size_t left;
static int fds_open;
static int next_fd;
static int next_pid;
static bool forks_fail;
static bool alive[STEPS_MAX + 1]; /* by pid */
static bool gone[STEPS_MAX + 1]; /* has ended, and is not waited for yet */
static int spawns; /* asked for, less those that were answered */

static ssize_t fuzz_recvmsg(int fd, struct msghdr *msg, int flags);
static ssize_t fuzz_sendmsg(int fd, const struct msghdr *msg, int flags);
static long fuzz_syscall(long number, ...);
static int fuzz_kill(pid_t pid, int sig);
static pid_t fuzz_wait4(pid_t pid, int *status, int options, struct rusage *ru);
static int fuzz_close(int fd);
static int fuzz_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *ts, const sigset_t *mask);
static int fuzz_nothing(void);
static void fuzz_exit(int status) __attribute__((noreturn));

#define recvmsg fuzz_recvmsg
#define sendmsg fuzz_sendmsg
#define syscall fuzz_syscall
#define kill fuzz_kill
#define wait4 fuzz_wait4
#define close fuzz_close
#define ppoll fuzz_ppoll
#define sigaction(...) fuzz_nothing()
#define sigaltstack(...) fuzz_nothing()
#define sigprocmask(...) fuzz_nothing()
#define _exit fuzz_exit
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-variable"
#pragma GCC diagnostic ignored "-Wunused-but-set-variable"
#include "runner/helper/zygote.c"
#pragma GCC diagnostic pop
#undef recvmsg
#undef sendmsg
#undef syscall
#undef kill
#undef wait4
#undef close
#undef ppoll
#undef sigaction
#undef sigaltstack
#undef sigprocmask
#undef _exit

static int
fuzz_nothing(void)
{
	return 0;
}

static void
fuzz_exit(int status)
{
	(void) status;
	longjmp(ended, 1);
}

static bool *
of_pid(bool *list, long pid)
{
	if (pid < PID_FIRST || pid >= next_pid)
		abort();
	return &list[pid - PID_FIRST];
}

/* The next packet; of the flags, how many descriptors come along. */
static ssize_t
fuzz_recvmsg(int fd, struct msghdr *msg, int flags)
{
	int what = input[0];
	size_t len = input[1] < left - 2 ? input[1] : left - 2;
	size_t room = msg->msg_iov[0].iov_len;
	int n = what >> 4 & 3;
	TzFrameHead head;
	size_t taken;

	(void) flags;
	if (fd != RUN_FD)
		abort();
	taken = len < room ? len : room;
	memcpy(msg->msg_iov[0].iov_base, input + 2, taken);
	/* the kernel says so where there is no room, and closes what is too much */
	while (n > 0 && CMSG_SPACE(sizeof(int) * (size_t) n) > msg->msg_controllen)
		n--;
	if (n > 0)
	{
		struct cmsghdr *c = CMSG_FIRSTHDR(msg);

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t) n);
		for (int i = 0; i < n; i++)
		{
			int one = next_fd++;

			memcpy(CMSG_DATA(c) + sizeof(int) * (size_t) i, &one, sizeof(int));
			fds_open++;
		}
		msg->msg_controllen = c->cmsg_len;
	}
	else
		msg->msg_controllen = 0;
	if (taken >= TZ_FRAME_HEADER && tz_frame_get_head(msg->msg_iov[0].iov_base, &head) &&
	    head.len == taken - TZ_FRAME_HEADER && head.type == TZ_FRAME_SPAWN)
		spawns++;
	input += 2 + len;
	left -= 2 + len;
	return (ssize_t) taken;
}

static ssize_t
fuzz_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	const unsigned char *packet = msg->msg_iov[0].iov_base;
	size_t len = msg->msg_iov[0].iov_len;
	TzFrameHead head;

	(void) flags;
	if (fd != RUN_FD || len < TZ_FRAME_HEADER || len > TZ_FRAME_HEADER + TZ_FRAME_CONTROL_MAX ||
	    !tz_frame_get_head(packet, &head) || head.len != len - TZ_FRAME_HEADER)
		abort();
	if (head.type == TZ_FRAME_EXITED)
	{
		if (head.len != TZ_FRAME_EXITED_LEN || --spawns < 0)
			abort();
	}
	else if (head.type != TZ_FRAME_HELLO || head.len != TZ_FRAME_HELLO_LEN)
		abort();
	return (ssize_t) len;
}

static long
fuzz_syscall(long number, ...)
{
	va_list args;
	int pid;

	va_start(args, number);
	pid = va_arg(args, int);
	va_end(args);
	if (number == SYS_prlimit64 && (*of_pid(alive, pid) || *of_pid(gone, pid)))
		return 0;
	if (number != SYS_clone)
		abort();
	if (forks_fail)
	{
		errno = EAGAIN;
		return -1;
	}
	alive[next_pid - PID_FIRST] = true;
	gone[next_pid - PID_FIRST] = false;
	return next_pid++;
}

static int
fuzz_kill(pid_t pid, int sig)
{
	if (sig != SIGKILL || !(*of_pid(alive, pid) || *of_pid(gone, pid)))
		abort();
	if (*of_pid(alive, pid))
	{
		*of_pid(alive, pid) = false;
		*of_pid(gone, pid) = true;
	}
	return 0;
}

static pid_t
fuzz_wait4(pid_t pid, int *status, int options, struct rusage *ru)
{
	if (pid != -1 || options != WNOHANG)
		abort();
	for (int i = 0; i < next_pid - PID_FIRST; i++)
		if (gone[i])
		{
			gone[i] = false;
			*status = SIGKILL;
			memset(ru, 0, sizeof(*ru));
			return PID_FIRST + i;
		}
	return 0;
}

static int
fuzz_close(int fd)
{
	if (fd < FD_FIRST || fd >= next_fd || --fds_open < 0)
		abort();
	return 0;
}

/* Steps that are no packets, up to the next one. */
static int
fuzz_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *ts, const sigset_t *mask)
{
	(void) ts;
	(void) mask;
	if (n != 1 || fds[0].fd != RUN_FD || fds_open != 0)
		abort();
	while (left >= 2 && next_pid < PID_FIRST + STEPS_MAX)
	{
		switch (input[0] & 7)
		{
			case 0:
				/* a child ends */
				if (next_pid > PID_FIRST)
				{
					int i = input[1] % (next_pid - PID_FIRST);

					gone[i] = gone[i] || alive[i];
					alive[i] = false;
				}
				input += 2;
				left -= 2;
				return -1;
			case 1:
				forks_fail = input[1] & 1;
				input += 2;
				left -= 2;
				break;
			default:
				return 1;
		}
	}
	longjmp(ended, 2);
}

/* ---- what it is linked with --------------------------------------------------------- */

const char engine_name[] = "counting";

const char *
engine_version(void)
{
	return "1";
}

bool
engine_boot(void)
{
	return true;
}

bool
engine_realm(void)
{
	return false;
}

uint64_t
engine_beside(void)
{
	return 0;
}

int
filter_zygote(void)
{
	return 0;
}

int
filter_run(void)
{
	return 0;
}

void
run_main(void)
{
	abort();
}

void
run_trap(const char *why)
{
	(void) why;
	abort();
}

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Jail jail = {0};
	int living = 0;
	int how;

	input = data;
	left = size;
	fds_open = spawns = 0;
	next_fd = FD_FIRST;
	next_pid = PID_FIRST;
	forks_fail = false;
	memset(children, 0, sizeof(children));
	how = setjmp(ended);
	if (how == 0)
		zygote_main(&jail);
	/* 1: it has ended, and what it held with it */
	if (how == 1)
		return 0;
	for (int i = 0; i < next_pid - PID_FIRST; i++)
		living += alive[i] || gone[i];
	if (spawns != living)
		abort();
	return 0;
}
