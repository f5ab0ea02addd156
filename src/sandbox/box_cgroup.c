/*-------------------------------------------------------------------------
 *
 * box_cgroup.c
 *	  Limits of a whole box by cgroup v2, where the machine delegates one.
 *
 * With systemd that is "Delegate=memory pids cpu" for the server's unit, whose
 * processes then have to sit in a group below the unit's own (the kernel allows
 * controllers only for groups without processes). An ordinary user cannot
 * create cgroups otherwise; then memory is held by sampling.
 *
 *-------------------------------------------------------------------------
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "sandbox/box_internal.h"

#define CGROUP_PREFIX "theazo-box-"

static bool
cgroup_read(const char *dir, const char *file, char *buf, size_t size)
{
	char path[512];
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, buf, size - 1);
	close(fd);
	buf[n > 0 ? n : 0] = '\0';
	return n >= 0;
}

static bool
cgroup_write(const char *dir, const char *file, const char *text)
{
	char path[512];
	int fd;
	bool ok;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ok = write(fd, text, strlen(text)) == (ssize_t) strlen(text);
	close(fd);
	return ok;
}

static bool
cgroup_has(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *at = list; (at = strstr(at, word)) != NULL; at += n)
		if ((at == list || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\n' || at[n] == '\0'))
			return true;
	return false;
}

/* May children of dir get memory and pids? Turns the controllers on if nobody did. */
static bool
cgroup_usable(const char *dir)
{
	char on[512];

	if (access(dir, W_OK | X_OK) != 0 || !cgroup_read(dir, "cgroup.subtree_control", on, sizeof(on)))
		return false;
	if (cgroup_has(on, "memory") && cgroup_has(on, "pids"))
		return true;
	if (!cgroup_write(dir, "cgroup.subtree_control", "+memory +pids"))
		return false;
	(void) cgroup_write(dir, "cgroup.subtree_control", "+cpu");
	return true;
}

bool
tz_box_cgroup_find(const char *root, const char *self, char *dir, size_t size, char *found, size_t nfound)
{
	char line[1024], *own, *end;
	int fd = open(self, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);

	dir[0] = '\0';
	if (fd >= 0)
		close(fd);
	line[n > 0 ? n : 0] = '\0';
	own = strncmp(line, "0::", 3) == 0 ? line : strstr(line, "\n0::");
	if (own == NULL)
	{
		snprintf(found, nfound, "no cgroup v2");
		return false;
	}
	own = strchr(own, '/');
	if (own == NULL)
	{
		snprintf(found, nfound, "no cgroup v2");
		return false;
	}
	end = strchr(own, '\n');
	if (end != NULL)
		*end = '\0';
	/* The unit's own group, or the one above when the server sits in a group below it. */
	for (int up = 0; up < 2; up++)
	{
		if ((size_t) snprintf(dir, size, "%s%s", root, strcmp(own, "/") == 0 ? "" : own) >= size)
			break;
		if (cgroup_usable(dir))
		{
			snprintf(found, nfound, "%s", dir);
			return true;
		}
		end = strrchr(own, '/');
		if (end == NULL || end == own)
			break;
		*end = '\0';
	}
	dir[0] = '\0';
	snprintf(found, nfound, "not delegated to this user; memory is held by sampling");
	return false;
}

TzStatus
tz_box_cgroup_make(TzBox *box, const TzBoxConfig *config, TzErr *err)
{
	static unsigned number;
	char text[64];
	bool ok;

	if (config->mode != TZ_BOX_FULL || config->cgroup == NULL || config->cgroup[0] == '\0')
		return TZ_OK;
	snprintf(box->cgroup, sizeof(box->cgroup), "%s/" CGROUP_PREFIX "%d-%u", config->cgroup, (int) getpid(),
	         ++number);
	if (mkdir(box->cgroup, 0755) != 0)
	{
		int e = errno;

		tz_err_set(err, TZ_UNAVAILABLE, "could not create the cgroup \"%s\": %s", box->cgroup, strerror(e));
		box->cgroup[0] = '\0';
		return TZ_UNAVAILABLE;
	}
	/*
	 * Files of the box are memory of the group, so this is the ceiling of all
	 * together; the cap on what processes hold stays with the init's sampling.
	 */
	snprintf(text, sizeof(text), "%lld",
	         (long long) (config->memory_bytes + config->disk_bytes + BOX_SMALL_DISKS));
	ok = cgroup_write(box->cgroup, "memory.max", text);
	(void) cgroup_write(box->cgroup, "memory.swap.max", "0");
	snprintf(text, sizeof(text), "%d", config->processes + 16);
	ok = ok && cgroup_write(box->cgroup, "pids.max", text);
	if (ok)
		return TZ_OK;
	tz_err_set(err, TZ_UNAVAILABLE, "could not set the limits of the cgroup \"%s\": %s", box->cgroup,
	           strerror(errno));
	return TZ_UNAVAILABLE;
}

/* Did the kernel kill something for want of memory since the last time we asked? */
bool
tz_box_cgroup_oom(TzBox *box)
{
	char text[512];
	const char *at;
	uint64_t kills;

	if (box->cgroup[0] == '\0' || !cgroup_read(box->cgroup, "memory.events", text, sizeof(text)) ||
	    (at = strstr(text, "oom_kill ")) == NULL)
		return false;
	kills = strtoull(at + 9, NULL, 10);
	if (kills <= box->oom_kills)
		return false;
	box->oom_kills = kills;
	return true;
}

static void
cgroup_rmdir(const char *dir)
{
	struct timespec ts = {0, 2000000};

	(void) cgroup_write(dir, "cgroup.kill", "1");
	for (int i = 0; i < 100 && rmdir(dir) != 0 && errno == EBUSY; i++)
		(void) nanosleep(&ts, NULL);
}

void
tz_box_cgroup_remove(TzBox *box)
{
	if (box->cgroup[0] != '\0')
		cgroup_rmdir(box->cgroup);
	box->cgroup[0] = '\0';
}

/* Groups of processes that are no more: what a killed worker could not take away. */
void
tz_box_cgroup_sweep(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char path[768];

	while (d != NULL && (e = readdir(d)) != NULL)
	{
		int pid;

		if (strncmp(e->d_name, CGROUP_PREFIX, strlen(CGROUP_PREFIX)) != 0)
			continue;
		pid = (int) strtol(e->d_name + strlen(CGROUP_PREFIX), NULL, 10);
		if (pid <= 0 || (kill(pid, 0) != 0 && errno == ESRCH))
		{
			snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
			cgroup_rmdir(path);
		}
	}
	if (d != NULL)
		closedir(d);
}
