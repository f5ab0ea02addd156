/*-------------------------------------------------------------------------
 *
 * jail.c
 *	  Giving up what a run must not have.
 *
 * What the kernel or a container's profile refuses is noted and said in HELLO;
 * only privileges and the filter are a condition. Done once, by the zygote,
 * before it reads its first byte.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/helper/helper.h"

#define NOBODY 65534

static int
bit(unsigned wall)
{
	return __builtin_ctz(wall);
}

static bool
note(Jail *jail, unsigned wall, bool stands)
{
	if (stands)
		jail->walls |= wall;
	else
		jail->refused[bit(wall)] = errno != 0 ? errno : EINVAL;
	return stands;
}

static bool
write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool good;
	int e;

	if (fd < 0)
		return false;
	good = write(fd, text, strlen(text)) == (ssize_t) strlen(text);
	e = errno;
	close(fd);
	errno = e;
	return good;
}

/*
 * Never root, not even root of a namespace: to the files of /proc/sys such a
 * user would be the machine's root.
 */
static void
jail_user(void)
{
	if (geteuid() != 0)
		return;
	if (setgroups(0, NULL) != 0 || setresgid(NOBODY, NOBODY, NOBODY) != 0 ||
	    setresuid(NOBODY, NOBODY, NOBODY) != 0)
		_exit(EXIT_NO_PRIVILEGES);
	/* The change of user has taken the files in /proc away from us; they are wanted once more. */
	(void) prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static void
jail_limit(int resource, rlim_t value)
{
	struct rlimit r = {value, value};

	(void) setrlimit(resource, &r);
}

static bool
jail_user_namespace(void)
{
	char map[64];
	unsigned uid = geteuid(), gid = getegid();

	if (unshare(CLONE_NEWUSER) != 0)
		return false;
	/* Without a map everything in it still belongs to nobody. */
	(void) write_file("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "%u %u 1", NOBODY, gid);
	(void) write_file("/proc/self/gid_map", map);
	snprintf(map, sizeof(map), "%u %u 1", NOBODY, uid);
	(void) write_file("/proc/self/uid_map", map);
	return true;
}

/* An empty directory that nobody can write to as root. */
static bool
jail_root(void)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	    mount("none", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k,nr_inodes=2,mode=555") ==
	        0 &&
	    chdir("/tmp") == 0 && syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0 &&
	    chdir("/") == 0)
	{
		(void) mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
		             NULL);
		return true;
	}
	return false;
}

static bool
jail_caps(void)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2];

	for (int cap = 0; cap < 64; cap++)
		(void) prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	(void) prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	memset(data, 0, sizeof(data));
	if (syscall(SYS_capset, &head, data) != 0 || syscall(SYS_capget, &head, data) != 0)
		return false;
	for (int i = 0; i < 2; i++)
		if (data[i].effective != 0 || data[i].permitted != 0 || data[i].inheritable != 0)
			return false;
	return true;
}

/* The parent of a namespace's PID 1: nothing but its end. */
static void __attribute__((noreturn)) jail_watch(pid_t zygote)
{
	int status;

	(void) close(RUN_FD);
	while (waitpid(zygote, &status, 0) < 0)
		if (errno != EINTR)
			_exit(1);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

/* In a new pid namespace the next child is PID 1: when it ends the kernel kills all in there. */
static void
jail_pid_namespace(Jail *jail)
{
	pid_t parent = getpid(), pid;

	if (!note(jail, TZ_RUNNER_WALL_PID, unshare(CLONE_NEWPID) == 0))
		return;
	pid = (pid_t) syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (pid < 0)
		_exit(EXIT_NO_FORK);
	if (pid > 0)
		jail_watch(pid);
	(void) parent;
}

void
jail_enter(Jail *jail)
{
	memset(jail, 0, sizeof(*jail));
	(void) write_file("/proc/self/oom_score_adj", "1000");
	jail_user();
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		_exit(EXIT_NO_PRIVILEGES);
	jail_limit(RLIMIT_CORE, 0);
	jail_limit(RLIMIT_FSIZE, 0);
	jail_limit(RLIMIT_MEMLOCK, 0);
	jail_limit(RLIMIT_STACK, 16 << 20);

	(void) note(jail, TZ_RUNNER_WALL_USER, jail_user_namespace());
	(void) note(jail, TZ_RUNNER_WALL_NET, unshare(CLONE_NEWNET) == 0);
	(void) note(jail, TZ_RUNNER_WALL_IPC, unshare(CLONE_NEWIPC) == 0);
	(void) note(jail, TZ_RUNNER_WALL_UTS, unshare(CLONE_NEWUTS) == 0);
	(void) note(jail, TZ_RUNNER_WALL_CGROUP, unshare(CLONE_NEWCGROUP) == 0);
	(void) note(jail, TZ_RUNNER_WALL_MOUNT, unshare(CLONE_NEWNS) == 0);
	if (jail->walls & TZ_RUNNER_WALL_MOUNT)
		(void) note(jail, TZ_RUNNER_WALL_ROOT, jail_root());
	if (!(jail->walls & TZ_RUNNER_WALL_ROOT))
	{
		/* A directory in which nothing can be made and that goes with its process. */
		(void) note(jail, TZ_RUNNER_WALL_ROOT, chroot("/proc/self/fdinfo") == 0 && chdir("/") == 0);
	}
	jail_pid_namespace(jail);
	if (!note(jail, TZ_RUNNER_WALL_CAPS, jail_caps()))
		_exit(EXIT_NO_PRIVILEGES);
	(void) prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	/* The change of privileges has cleared it. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		_exit(EXIT_NO_PRIVILEGES);
}
