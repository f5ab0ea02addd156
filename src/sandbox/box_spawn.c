/*-------------------------------------------------------------------------
 *
 * box_spawn.c
 *	  Starting and ending the processes of a box.
 *
 * bubblewrap is started directly, never through a shell, by vfork: the parent
 * is a database worker with a large address space, with resolver threads, and
 * with fork handlers that are not ours to run. Everything the child needs is
 * prepared before, and between vfork and exec there are system calls only.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/client.h"
#include "lib/spawn.h"
#include "sandbox/box_internal.h"

#define SPAWN_FDS 10
#define SPAWN_NOBODY 65534

/* Sizes of the small file systems; the workspace's is the caller's. */
#define SPAWN_SHM_BYTES "33554432"
#define SPAWN_TMP_BYTES "67108864"
#define SPAWN_RUN_BYTES "33554432"

typedef struct SpawnPlan
{
	const char *path;
	char *const *argv;
	int fds[SPAWN_FDS]; /* becomes 0..; -1 = closed */
	bool oom_first;
	int cgroup_fd;
	bool drop; /* become nobody */
	bool die_with_parent;
	pid_t parent;
} SpawnPlan;

/*
 * A process that may not be dumped owns none of its files in /proc. The parent
 * is one, and until exec its memory, with that mark, is the child's too.
 */
static void
spawn_oom_first(void)
{
	bool undumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0;
	int fd;

	if (undumpable)
		(void) prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
	{
		(void) !write(fd, "1000", 4);
		close(fd);
	}
	if (undumpable)
		(void) prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/* Between vfork and exec: system calls only, and the parent's memory is ours. */
static void
spawn_child(const void *arg, volatile int *error)
{
	const SpawnPlan *plan = arg;
	static char *const no_env[] = {NULL};
	int high[SPAWN_FDS];

	tz_spawn_reset();
	if (plan->cgroup_fd >= 0 && write(plan->cgroup_fd, "0", 1) != 1)
		goto failed;
	/* The kernel, when short of memory, takes the sandbox first. */
	if (plan->oom_first)
		spawn_oom_first();
	/*
	 * Never root, not even root of a namespace: to the files of /proc/sys the
	 * box's user would be the machine's root, and one of them names a program
	 * that the kernel runs.
	 */
	if (plan->drop)
	{
		/* Raw: the library's functions would ask the worker's threads to follow. */
		if (syscall(SYS_setgroups, 0, NULL) != 0 ||
		    syscall(SYS_setresgid, SPAWN_NOBODY, SPAWN_NOBODY, SPAWN_NOBODY) != 0 ||
		    syscall(SYS_setresuid, SPAWN_NOBODY, SPAWN_NOBODY, SPAWN_NOBODY) != 0)
			goto failed;
	}
	if (plan->die_with_parent)
	{
		if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
			goto failed;
		if (getppid() != plan->parent)
			_exit(127);
	}
	(void) !chdir("/");
	for (int i = 0; i < SPAWN_FDS; i++)
	{
		high[i] = plan->fds[i] < 0 ? -1 : fcntl(plan->fds[i], F_DUPFD_CLOEXEC, 64);
		if (plan->fds[i] >= 0 && high[i] < 0)
			goto failed;
	}
	for (int i = 0; i < SPAWN_FDS; i++)
	{
		if (high[i] < 0)
			(void) close(i);
		else if (dup2(high[i], i) < 0)
			goto failed;
	}
	tz_spawn_ready(SPAWN_FDS);
	execve(plan->path, plan->argv, no_env);
failed:
	*error = errno != 0 ? errno : EINVAL;
	_exit(127);
}

/* --- arguments of bubblewrap ------------------------------------------------- */

static void
spawn_arg(TzBuf *b, const char *s)
{
	(void) tz_buf_append(b, s, strlen(s) + 1);
}

static void
spawn_args(TzBuf *b, const char *const *list)
{
	for (; *list != NULL; list++)
		spawn_arg(b, *list);
}

/* A top directory: link or real, as on the host; nothing when the host has none. */
static void
spawn_arg_top(TzBuf *b, const char *path)
{
	struct stat st;
	char target[256];
	ssize_t n;

	if (lstat(path, &st) != 0)
		return;
	if (S_ISLNK(st.st_mode))
	{
		n = readlink(path, target, sizeof(target) - 1);
		if (n <= 0)
			return;
		target[n] = '\0';
		spawn_args(b, (const char *const[]){"--symlink", target, path, NULL});
	}
	else if (S_ISDIR(st.st_mode))
		spawn_args(b, (const char *const[]){"--ro-bind", path, path, NULL});
}

/*
 * Descriptors: 3 the socket, 4 these arguments, 5 passwd, 6 hosts, 7 the init
 * where its path may not be readable to the user we become, 8 and 9 the client.
 */
static void
spawn_bwrap_args(TzBuf *b, const TzBoxConfig *c, bool init_by_fd)
{
	char disk[32];

	snprintf(disk, sizeof(disk), "%lld", (long long) c->disk_bytes);
	spawn_args(b, (const char *const[]){"--unshare-all", "--unshare-user", "--die-with-parent",
	                                    "--new-session", "--as-pid-1", "--clearenv", "--uid", "1000", "--gid",
	                                    "1000", "--hostname", "sandbox", "--cap-drop", "ALL", NULL});
	if (!(c->flags & TZ_BOX_WITHOUT_DISABLE_USERNS))
		spawn_arg(b, "--disable-userns");
	spawn_args(b, (const char *const[]){"--ro-bind", "/usr", "/usr", NULL});
	spawn_arg_top(b, "/bin");
	spawn_arg_top(b, "/sbin");
	spawn_arg_top(b, "/lib");
	spawn_arg_top(b, "/lib32");
	spawn_arg_top(b, "/lib64");
	spawn_args(b, (const char *const[]){"--dir",
	                                    "/etc",
	                                    "--ro-bind-try",
	                                    "/etc/alternatives",
	                                    "/etc/alternatives",
	                                    "--ro-bind-try",
	                                    "/etc/ld.so.cache",
	                                    "/etc/ld.so.cache",
	                                    "--ro-bind-try",
	                                    "/etc/ssl/certs",
	                                    "/etc/ssl/certs",
	                                    "--ro-bind-try",
	                                    "/etc/pki/tls/certs",
	                                    "/etc/pki/tls/certs",
	                                    "--file",
	                                    "5",
	                                    "/etc/passwd",
	                                    "--file",
	                                    "6",
	                                    "/etc/hosts",
	                                    "--perms",
	                                    "0444",
	                                    "--file",
	                                    "8",
	                                    "/theazo/theazo_sandbox.py",
	                                    "--perms",
	                                    "0444",
	                                    "--file",
	                                    "9",
	                                    "/node_modules/theazo_sandbox/index.js",
	                                    NULL});
	if (init_by_fd)
		spawn_args(b, (const char *const[]){"--perms", "0555", "--ro-bind-data", "7", "/init", NULL});
	else
		spawn_args(b, (const char *const[]){"--ro-bind", c->init_path, "/init", NULL});
	spawn_args(b, (const char *const[]){c->flags & TZ_BOX_WITHOUT_PROC ? "--dir" : "--proc",
	                                    "/proc",
	                                    "--dev",
	                                    "/dev",
	                                    "--size",
	                                    SPAWN_SHM_BYTES,
	                                    "--tmpfs",
	                                    "/dev/shm",
	                                    "--size",
	                                    SPAWN_TMP_BYTES,
	                                    "--tmpfs",
	                                    "/tmp",
	                                    "--size",
	                                    SPAWN_RUN_BYTES,
	                                    "--tmpfs",
	                                    "/run",
	                                    "--size",
	                                    disk,
	                                    "--tmpfs",
	                                    "/workspace",
	                                    "--remount-ro",
	                                    "/dev",
	                                    "--remount-ro",
	                                    "/",
	                                    "--chdir",
	                                    "/workspace",
	                                    NULL});
}

/* A pipe holding text that the child reads to its end. Answers the reading end. */
static int
spawn_text(const char *text, size_t len)
{
	int fds[2];
	ssize_t n;

	if (pipe2(fds, O_CLOEXEC) != 0)
		return -1;
	/* A pipe takes 64 kB (or, over a per-user limit, 8 kB) without a reader. */
	(void) fcntl(fds[1], F_SETFL, O_NONBLOCK);
	n = write(fds[1], text, len);
	close(fds[1]);
	if (n != (ssize_t) len)
	{
		close(fds[0]);
		return -1;
	}
	return fds[0];
}

static void
spawn_close(int fds[SPAWN_FDS])
{
	for (int i = 0; i < SPAWN_FDS; i++)
		if (fds[i] >= 0 && !(i > 0 && fds[i] == fds[0]))
			close(fds[i]);
}

static const char spawn_passwd[] =
	"root:x:0:0:root:/:/bin/false\nsandbox:x:1000:1000:sandbox:/workspace:/bin/sh\n";
static const char spawn_hosts[] = "127.0.0.1 localhost sandbox\n::1 localhost\n";

/* Our ends go to the box, the child's are in plan->fds, to be closed after the spawn. */
static TzStatus
spawn_descriptors(TzBox *box, SpawnPlan *plan, const TzBoxConfig *config, TzErr *err)
{
	int sock[2], errp[2], one = 1;
	TzBuf args;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock) != 0)
		return tz_err_set(err, TZ_UNAVAILABLE, "could not create a socket pair: %s", strerror(errno));
	box->fd = sock[0];
	plan->fds[3] = sock[1];
	(void) setsockopt(box->fd, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one));
	if (pipe2(errp, O_CLOEXEC) != 0)
		return tz_err_set(err, TZ_UNAVAILABLE, "could not create a pipe: %s", strerror(errno));
	box->err_fd = errp[0];
	plan->fds[2] = errp[1];
	(void) fcntl(box->err_fd, F_SETFL, O_NONBLOCK);

	tz_buf_init(&args, 32768);
	spawn_bwrap_args(&args, config, plan->drop);
	plan->fds[4] = args.status == TZ_OK ? spawn_text(args.data, args.len) : -1;
	tz_buf_free(&args);
	plan->fds[5] = spawn_text(spawn_passwd, strlen(spawn_passwd));
	plan->fds[6] = spawn_text(spawn_hosts, strlen(spawn_hosts));
	plan->fds[8] = spawn_text(tz_client_python().data, tz_client_python().len);
	plan->fds[9] = spawn_text(tz_client_node().data, tz_client_node().len);
	plan->fds[0] = plan->fds[1] = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (plan->drop)
	{
		plan->fds[7] = open(config->init_path, O_RDONLY | O_CLOEXEC);
		if (plan->fds[7] < 0)
			return tz_err_set(err, TZ_UNAVAILABLE, "could not open the sandbox's init program \"%s\": %s",
			                  config->init_path, strerror(errno));
	}
	if (plan->fds[0] < 0 || plan->fds[4] < 0 || plan->fds[5] < 0 || plan->fds[6] < 0 || plan->fds[8] < 0 ||
	    plan->fds[9] < 0)
		return tz_err_set(err, TZ_UNAVAILABLE, "could not prepare the start of a sandbox: %s",
		                  strerror(errno));
	return TZ_OK;
}

TzStatus
tz_box_spawn(TzBox *box, const TzBoxConfig *config, TzErr *err)
{
	static char *const argv[] = {"bwrap", "--args", "4", "--", "/init", NULL};
	SpawnPlan plan = {.path = config->bwrap_path,
	                  .argv = argv,
	                  .fds = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1},
	                  .oom_first = true,
	                  .cgroup_fd = -1,
	                  .drop = geteuid() == 0,
	                  .die_with_parent = true,
	                  .parent = getpid()};
	char procs[352];
	TzStatus st = spawn_descriptors(box, &plan, config, err);

	if (st == TZ_OK && box->cgroup[0] != '\0')
	{
		snprintf(procs, sizeof(procs), "%s/cgroup.procs", box->cgroup);
		plan.cgroup_fd = open(procs, O_WRONLY | O_CLOEXEC);
		if (plan.cgroup_fd < 0)
			st = tz_err_set(err, TZ_UNAVAILABLE, "could not open \"%s\": %s", procs, strerror(errno));
	}
	if (st == TZ_OK)
	{
		box->pid = tz_spawn(spawn_child, &plan);
		if (box->pid < 0)
		{
			int e = errno;

			box->pid = 0;
			st = tz_err_set(err, TZ_UNAVAILABLE, "could not start \"%s\": %s", config->bwrap_path,
			                strerror(e));
			if (e == ENOENT || e == EACCES || e == ENOEXEC)
				tz_err_hint(err, "Install bubblewrap 0.8 or newer, or set theazo.sandbox_bwrap.");
			else if (e == EAGAIN || e == ENOMEM || e == EMFILE)
				tz_err_hint(err, "The server's limits on processes, memory or open files are reached.");
		}
	}
	if (plan.cgroup_fd >= 0)
		close(plan.cgroup_fd);
	spawn_close(plan.fds);
	return st;
}

static void
spawn_nap(void)
{
	struct timespec ts = {0, 1000000};

	(void) nanosleep(&ts, NULL);
}

void
tz_box_condemn(TzBox *box)
{
	if (box->pid > 0)
		(void) kill(box->pid, SIGKILL);
	if (box->pidfd >= 0)
		(void) syscall(SYS_pidfd_send_signal, box->pidfd, SIGKILL, NULL, 0);
}

/*
 * Kills the box and waits until the kernel has taken its pid namespace down.
 * The init is killed by its own descriptor where we have one; else by the
 * death of its parent, or by our closed socket.
 */
void
tz_box_kill(TzBox *box)
{
	int64_t until = tz_box_now_ms() + BOX_DEATH_MS;

	tz_box_condemn(box);
	if (box->pidfd >= 0)
	{
		struct pollfd p = {.fd = box->pidfd, .events = POLLIN};

		while (poll(&p, 1, (int) (until - tz_box_now_ms() > 0 ? until - tz_box_now_ms() : 0)) < 0 &&
		       errno == EINTR)
			;
		close(box->pidfd);
		box->pidfd = -1;
	}
	while (box->pid > 0)
	{
		pid_t done = waitpid(box->pid, NULL, WNOHANG);

		if (done == box->pid || (done < 0 && errno == ECHILD))
			box->pid = 0;
		else if (tz_box_now_ms() >= until)
			break; /* in a state the kernel does not let go of; ours no more */
		else
			spawn_nap();
	}
	box->pid = 0;
}

/* Runs a small program to its end, reading its output; for the preflight. */
int
tz_box_run_simple(const char *const *argv, TzBuf *out, int timeout_ms)
{
	SpawnPlan plan = {.path = argv[0],
	                  .argv = (char *const *) argv,
	                  .fds = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1},
	                  .cgroup_fd = -1,
	                  .die_with_parent = true,
	                  .parent = getpid()};
	int64_t until = tz_box_now_ms() + timeout_ms;
	int pipes[2], status = -1;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK) != 0)
		return -1;
	plan.fds[1] = plan.fds[2] = pipes[1];
	pid = tz_spawn(spawn_child, &plan);
	close(pipes[1]);
	while (pid > 0)
	{
		char more[512];
		ssize_t n = read(pipes[0], more, sizeof(more));

		if (n > 0)
			(void) tz_buf_append(out, more, (size_t) n);
		else if (waitpid(pid, &status, WNOHANG) == pid)
		{
			/* what it wrote between our look and its end */
			while ((n = read(pipes[0], more, sizeof(more))) > 0)
				(void) tz_buf_append(out, more, (size_t) n);
			pid = 0;
		}
		else if (tz_box_now_ms() >= until)
		{
			(void) kill(pid, SIGKILL);
			(void) waitpid(pid, NULL, 0);
			status = -1;
			pid = 0;
		}
		else
			spawn_nap();
	}
	close(pipes[0]);
	return status == -1 || !WIFEXITED(status) ? -1 : WEXITSTATUS(status);
}
