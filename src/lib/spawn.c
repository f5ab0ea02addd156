/*-------------------------------------------------------------------------
 *
 * spawn.c
 *	  Starting a program from a process with threads and a large address space.
 *
 *-------------------------------------------------------------------------
 */
#include "lib/spawn.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define DESCRIPTORS_MAX 65536 /* looked at one by one where the kernel cannot close a range */

void
tz_spawn_reset(void)
{
	struct sigaction dfl;

	memset(&dfl, 0, sizeof(dfl));
	dfl.sa_handler = SIG_DFL;
	for (int sig = 1; sig < NSIG; sig++)
		(void) sigaction(sig, &dfl, NULL);
	(void) setsid();
}

void
tz_spawn_ready(int first)
{
	sigset_t none;

	if (syscall(SYS_close_range, first, ~0U, 0) != 0)
		for (int fd = first; fd < DESCRIPTORS_MAX; fd++)
			(void) close(fd);
	sigemptyset(&none);
	(void) sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Not inlined: the child returns into no frame that the parent still needs. */
pid_t __attribute__((noinline)) tz_spawn(TzSpawnChild child, const void *plan)
{
	volatile int error = 0;
	sigset_t all, old;
	pid_t pid;
	int e;

	/* No handler of the server may run in the child, which shares its memory. */
	sigfillset(&all);
	if (sigprocmask(SIG_SETMASK, &all, &old) != 0)
		return -1;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
	pid = vfork();
#pragma GCC diagnostic pop
	if (pid == 0)
	{
		child(plan, &error);
		_exit(127);
	}
	e = pid < 0 ? errno : error;
	(void) sigprocmask(SIG_SETMASK, &old, NULL);
	if (pid > 0 && error != 0)
	{
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		pid = -1;
	}
	errno = e;
	return pid;
}
