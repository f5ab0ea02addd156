/*-------------------------------------------------------------------------
 *
 * keycommand.c
 *	  Run a program that prints the master keys.
 *
 * popen() knows neither deadlines nor a way to kill what it started, and a
 * server must start even when the key service hangs. So: a process group of
 * its own, one deadline for all, and no descriptor or signal setting of ours
 * inherited.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vault/keycommand.h"

extern char **environ;

static TzStatus keycommand_spawn(const char *command, pid_t *pid, int *fd, TzErr *err);
static TzStatus keycommand_collect(int fd, int64_t deadline_ms, TzBuf *out, TzErr *err);
static TzStatus keycommand_reap(pid_t pid, int64_t deadline_ms, TzErr *err);
static TzStatus keycommand_late(TzErr *err);
static int64_t keycommand_now_ms(void);

TzStatus
tz_keycommand_run(const char *command, int timeout_ms, TzBuf *out, TzErr *err)
{
	int64_t deadline = keycommand_now_ms() + timeout_ms;
	pid_t pid;
	int fd;
	TzStatus status = keycommand_spawn(command, &pid, &fd, err);

	if (status != TZ_OK)
		return status;
	status = keycommand_collect(fd, deadline, out, err);
	close(fd);
	if (status == TZ_OK)
		status = keycommand_reap(pid, deadline, err);
	else
	{
		kill(-pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	return status;
}

static TzStatus
keycommand_spawn(const char *command, pid_t *pid, int *fd, TzErr *err)
{
	char *argv[] = {"sh", "-c", (char *) command, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;
	sigset_t all;
	int ends[2];
	int rc;

	if (pipe2(ends, O_CLOEXEC) != 0)
		return tz_err_set(err, TZ_UNAVAILABLE, "could not make a pipe: %s", strerror(errno));

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	rc = posix_spawn(pid, "/bin/sh", &actions, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	if (rc != 0)
	{
		close(ends[0]);
		return tz_err_set(err, TZ_UNAVAILABLE, "could not start the master key command: %s", strerror(rc));
	}
	*fd = ends[0];
	return TZ_OK;
}

/* Reads to the end of output. */
static TzStatus
keycommand_collect(int fd, int64_t deadline_ms, TzBuf *out, TzErr *err)
{
	for (;;)
	{
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int64_t left = deadline_ms - keycommand_now_ms();
		char chunk[512];
		ssize_t n;
		TzStatus status;

		if (left <= 0)
			return keycommand_late(err);
		if (poll(&p, 1, (int) left) <= 0)
			continue; /* interrupted or late: the clock decides */
		n = read(fd, chunk, sizeof(chunk));
		if (n == 0)
			return TZ_OK;
		if (n < 0)
		{
			if (errno == EINTR)
				continue;
			return tz_err_set(err, TZ_UNAVAILABLE, "could not read from the master key command: %s",
			                  strerror(errno));
		}
		status = tz_buf_append(out, chunk, (size_t) n);
		explicit_bzero(chunk, sizeof(chunk));
		if (status != TZ_OK)
			return tz_err_set(err, status, "the master key command printed more than %zu bytes", out->max);
	}
}

/* Output has ended; the program must end as well. */
static TzStatus
keycommand_reap(pid_t pid, int64_t deadline_ms, TzErr *err)
{
	int state;

	for (;;)
	{
		pid_t done = waitpid(pid, &state, WNOHANG);

		if (done == pid)
			break;
		if (done < 0 && errno != EINTR)
			return tz_err_set(err, TZ_UNAVAILABLE, "could not wait for the master key command: %s",
			                  strerror(errno));
		if (keycommand_now_ms() >= deadline_ms)
		{
			kill(-pid, SIGKILL);
			while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
				;
			return keycommand_late(err);
		}
		poll(NULL, 0, 10);
	}
	if (WIFEXITED(state) && WEXITSTATUS(state) == 0)
		return TZ_OK;
	if (WIFEXITED(state))
		return tz_err_set(err, TZ_UNAVAILABLE, "the master key command ended with status %d",
		                  WEXITSTATUS(state));
	return tz_err_set(err, TZ_UNAVAILABLE, "the master key command was ended by signal %d", WTERMSIG(state));
}

static TzStatus
keycommand_late(TzErr *err)
{
	return tz_err_set(err, TZ_TIMEOUT, "the master key command took too long");
}

static int64_t
keycommand_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t) t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
