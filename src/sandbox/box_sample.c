/*-------------------------------------------------------------------------
 *
 * box_sample.c
 *	  Memory of a box seen from outside.
 *
 * Where /proc cannot be mounted in the box its init is blind. We are not: the
 * kernel lists the children of each process, and everything of the box is
 * below the program we started.
 *
 *-------------------------------------------------------------------------
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sandbox/box_internal.h"

#define SAMPLE_MS 50
#define SAMPLE_MAX 1024
#define SAMPLE_SLACK 32

static bool
sample_read(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, buf, size - 1);
	close(fd);
	buf[n > 0 ? n : 0] = '\0';
	return n > 0;
}

static int64_t
sample_field(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at == NULL ? 0 : strtoll(at + strlen(name), NULL, 10);
}

/* Appends what one thread has started. */
static int
sample_thread(int pid, const char *tid, int *list, int n)
{
	char path[320], text[8192], *at = text, *end;

	snprintf(path, sizeof(path), "/proc/%d/task/%s/children", pid, tid);
	if (!sample_read(path, text, sizeof(text)))
		return n;
	while (n < SAMPLE_MAX)
	{
		long child = strtol(at, &end, 10);

		if (end == at)
			break;
		at = end;
		if (child > 0)
			list[n++] = (int) child;
	}
	return n;
}

/* Appends the children of a process, whichever of its threads started them. */
static int
sample_children(int pid, int *list, int n)
{
	char path[64];
	DIR *dir;
	struct dirent *d;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir != NULL && (d = readdir(dir)) != NULL)
		if (d->d_name[0] != '.')
			n = sample_thread(pid, d->d_name, list, n);
	if (dir != NULL)
		closedir(dir);
	return n;
}

/* Kills the commands when they are over the cap, by asking the init. */
void
tz_box_sample(TzBox *box, int64_t now)
{
	int list[SAMPLE_MAX];
	int n = sample_children((int) box->pid, list, 0);
	int64_t kb = 0, threads = 0;
	uint32_t reason = 0;

	for (int i = 0; i < n; i++)
	{
		char path[64], text[4096];

		snprintf(path, sizeof(path), "/proc/%d/status", list[i]);
		if (sample_read(path, text, sizeof(text)))
		{
			kb += sample_field(text, "\nRssAnon:") + sample_field(text, "\nRssShmem:") +
			      sample_field(text, "\nVmSwap:");
			threads += sample_field(text, "\nThreads:");
		}
		n = sample_children(list[i], list, n);
	}
	box->next_sample_ms = now + SAMPLE_MS;
	box->outside_busy = n > 1;
	if (kb > box->memory_bytes / 1024)
		reason = TZ_WIRE_OUT_OF_MEMORY;
	else if (n == SAMPLE_MAX || threads > box->processes + SAMPLE_SLACK)
		reason = TZ_WIRE_TOO_MANY;
	if (reason != 0)
	{
		unsigned char out[4];
		TzWireWriter w;

		tz_wire_writer(&w, out, sizeof(out));
		tz_wire_put_u32(&w, reason);
		tz_box_send(box, TZ_WIRE_LIMIT, 0, out, w.len);
	}
}
