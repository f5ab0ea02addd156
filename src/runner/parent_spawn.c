/*-------------------------------------------------------------------------
 *
 * parent_spawn.c
 *	  Starting and ending the program that runs code.
 *
 * By vfork: the parent is a database worker with a large address space, with
 * resolver threads, and with fork handlers that are not ours to run. Between
 * vfork and exec there are system calls only. What is executed is the very file
 * whose checksum was taken: it is named by its descriptor.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/sign.h"
#include "lib/spawn.h"
#include "runner/parent_internal.h"

#define SPAWN_HIGH 64 /* descriptors are moved up here before they are put in their places */
#define PROGRAM_MAX (64 << 20)

typedef struct SpawnPlan
{
	int program;
	int channel;
	int null;
	pid_t parent;
} SpawnPlan;

/* Between vfork and exec: system calls only, and the parent's memory is ours. */
static void
spawn_child(const void *arg, volatile int *error)
{
	const SpawnPlan *plan = arg;
	static char *const argv[] = {"theazo-runner", NULL};
	static char *const no_env[] = {NULL};
	int program = fcntl(plan->program, F_DUPFD_CLOEXEC, SPAWN_HIGH);
	int channel = fcntl(plan->channel, F_DUPFD_CLOEXEC, SPAWN_HIGH);
	int null = fcntl(plan->null, F_DUPFD_CLOEXEC, SPAWN_HIGH);

	if (program < 0 || channel < 0 || null < 0)
		goto failed;
	tz_spawn_reset();
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		goto failed;
	if (getppid() != plan->parent)
		_exit(127);
	(void) !chdir("/");
	if (dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0 || dup2(channel, 3) < 0)
		goto failed;
	/* The program's own descriptor goes with exec. */
	if (dup2(program, 4) < 0 || fcntl(4, F_SETFD, FD_CLOEXEC) != 0)
		goto failed;
	tz_spawn_ready(5);
	(void) syscall(SYS_execveat, 4, "", argv, no_env, AT_EMPTY_PATH);
failed:
	*error = errno != 0 ? errno : EINVAL;
	_exit(127);
}

/* SHA-256 of the open file, in hex. */
static TzStatus
spawn_checksum(int fd, char out[65], TzErr *err)
{
	uint8_t sum[TZ_SHA256_LEN];
	struct stat st;
	TzStatus status;
	void *text;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > PROGRAM_MAX)
		return tz_err_set(err, TZ_UNAVAILABLE, "it is no program");
	text = mmap(NULL, (size_t) st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (text == MAP_FAILED)
		return tz_err_set(err, TZ_UNAVAILABLE, "%s", strerror(errno));
	status = tz_sha256(tz_slice(text, (size_t) st.st_size), sum, err);
	(void) munmap(text, (size_t) st.st_size);
	for (size_t i = 0; i < sizeof(sum); i++)
	{
		out[2 * i] = "0123456789abcdef"[sum[i] >> 4];
		out[2 * i + 1] = "0123456789abcdef"[sum[i] & 15];
	}
	out[2 * sizeof(sum)] = '\0';
	return status;
}

static void
spawn_hint(TzErr *err, int e)
{
	if (e == EAGAIN || e == ENOMEM || e == EMFILE || e == ENFILE)
		tz_err_hint(err, "The server's limits on processes, memory or open files are reached.");
	else
		tz_err_hint(err, "The program is installed with the extension; it must be readable and executable.");
}

TzStatus
tz_runner_spawn(TzRunner *runner, TzErr *err)
{
	SpawnPlan plan = {.program = open(runner->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK),
	                  .null = open("/dev/null", O_RDWR | O_CLOEXEC),
	                  .parent = getpid()};
	TzErr why;
	TzStatus st = TZ_OK;
	int sock[2], e;

	tz_err_clear(&why);
	if (plan.program < 0 || plan.null < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock) != 0)
	{
		e = errno;
		st = tz_err_set(err, TZ_UNAVAILABLE, "could not start \"%s\": %s", runner->path, strerror(e));
		spawn_hint(err, e);
		sock[0] = sock[1] = -1;
	}
	else if (spawn_checksum(plan.program, runner->info.sha256, &why) != TZ_OK)
	{
		st = tz_err_set(err, TZ_UNAVAILABLE, "could not start \"%s\": %s", runner->path, why.message);
		spawn_hint(err, ENOENT);
	}
	else
	{
		plan.channel = sock[1];
		runner->pid = tz_spawn(spawn_child, &plan);
		if (runner->pid < 0)
		{
			e = errno;
			runner->pid = 0;
			st = tz_err_set(err, TZ_UNAVAILABLE, "could not start \"%s\": %s", runner->path, strerror(e));
			spawn_hint(err, e);
		}
	}
	if (plan.program >= 0)
		close(plan.program);
	if (plan.null >= 0)
		close(plan.null);
	if (sock[1] >= 0)
		close(sock[1]);
	if (st == TZ_OK)
	{
		runner->fd = sock[0];
		(void) fcntl(runner->fd, F_SETFL, O_NONBLOCK);
		runner->info.pid = runner->pid;
	}
	else if (sock[0] >= 0)
		close(sock[0]);
	return st;
}

void
tz_runner_kill(TzRunner *runner, int wait_ms)
{
	int64_t until = tz_runner_now_ms() + wait_ms;

	if (runner->pid > 0)
		(void) kill(runner->pid, SIGKILL);
	while (runner->pid > 0)
	{
		struct timespec nap = {0, 500000};
		pid_t done = waitpid(runner->pid, NULL, WNOHANG);

		if (done == runner->pid || (done < 0 && errno == ECHILD))
			runner->pid = 0;
		else if (tz_runner_now_ms() >= until)
			break; /* in a state the kernel does not let go of; ours no more */
		else
			(void) nanosleep(&nap, NULL);
	}
	runner->pid = 0;
	runner->info.pid = 0;
}
