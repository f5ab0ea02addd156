/*-------------------------------------------------------------------------
 *
 * proc.c
 *	  The processes of the box as /proc shows them: counting, limiting, killing.
 *
 * Memory is the sum of what each process holds for itself plus shared memory,
 * looked at every 50 ms (every 10 from half the cap on) while anything runs.
 * Where /proc cannot be mounted only the limits per process hold, the parent
 * samples from outside, and killing one command kills them all.
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
#include <sys/resource.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "sandbox/init/init.h"

#define PROC_MAX 4096
#define PROC_SAMPLE_US 50000
#define PROC_SAMPLE_HIGH_US 10000
#define PROC_KILL_ROUNDS 60
#define PROC_THREADS_SLACK 32 /* monitors and threads being born, over the limit per user */

typedef struct ProcEntry
{
	pid_t pid;
	pid_t ppid;
	uint32_t threads;
	uint64_t own_kb; /* anonymous, swapped too */
	uint64_t shared_kb; /* tmpfs and shared anonymous */
	bool mine; /* of the tree being killed */
	bool stopped;
} ProcEntry;

static const char *const proc_disks[] = {INIT_WORKSPACE, "/tmp", "/dev/shm", "/run"};

static ProcEntry proc_list[PROC_MAX];

/* Whole small file, terminated; false when it is gone. */
static bool
proc_read(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, buf, size - 1);
	close(fd);
	if (n <= 0)
		return false;
	buf[n] = '\0';
	return true;
}

/* Number behind "\nname:", or 0. */
static uint64_t
proc_field(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at == NULL ? 0 : strtoull(at + strlen(name), NULL, 10);
}

static bool
proc_entry(pid_t pid, ProcEntry *out)
{
	char path[64], text[4096];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (!proc_read(path, text, sizeof(text)))
		return false;
	memset(out, 0, sizeof(*out));
	out->pid = pid;
	out->ppid = (pid_t) proc_field(text, "\nPPid:");
	out->threads = (uint32_t) proc_field(text, "\nThreads:");
	out->own_kb = proc_field(text, "\nRssAnon:") + proc_field(text, "\nVmSwap:");
	out->shared_kb = proc_field(text, "\nRssShmem:");
	return true;
}

/* Everything but ourselves; answers how many. */
static int
proc_scan(void)
{
	DIR *dir = opendir("/proc");
	struct dirent *d;
	int n = 0;

	if (dir == NULL)
		return 0;
	while (n < PROC_MAX && (d = readdir(dir)) != NULL)
	{
		char *end;
		long pid = strtol(d->d_name, &end, 10);

		if (*end != '\0' || pid <= 1)
			continue;
		if (proc_entry((pid_t) pid, &proc_list[n]))
			n++;
	}
	closedir(dir);
	return n;
}

bool
proc_probe(void)
{
	char buf[64];

	return proc_read("/proc/1/stat", buf, sizeof(buf));
}

/* Proportional share of shared memory, for when the simple sum is over the cap. */
static uint64_t
proc_shared_share(const ProcEntry *p)
{
	char path[64], text[4096];

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", p->pid);
	if (!proc_read(path, text, sizeof(text)) || strstr(text, "\nPss_Shmem:") == NULL)
		return p->shared_kb;
	return proc_field(text, "\nPss_Shmem:");
}

static uint64_t
proc_memory(int n)
{
	uint64_t own = 0, shared = 0;

	for (int i = 0; i < n; i++)
	{
		own += proc_list[i].own_kb;
		shared += proc_list[i].shared_kb;
	}
	if (shared > 0 && (own + shared) * 1024 > init_state.config.memory_bytes)
	{
		shared = 0;
		for (int i = 0; i < n; i++)
			shared += proc_list[i].shared_kb > 0 ? proc_shared_share(&proc_list[i]) : 0;
	}
	return (own + shared) * 1024;
}

/* Files of all writable places: a size does not limit how many empty ones there are. */
static uint64_t
proc_files(uint64_t *workspace_kb)
{
	uint64_t files = 0;
	struct statfs st;

	for (size_t i = 0; i < sizeof(proc_disks) / sizeof(proc_disks[0]); i++)
	{
		if (statfs(proc_disks[i], &st) != 0)
			continue;
		files += st.f_files - st.f_ffree;
		if (i == 0 && workspace_kb != NULL)
			*workspace_kb = (uint64_t) (st.f_blocks - st.f_bfree) * (uint64_t) st.f_bsize / 1024;
	}
	return files;
}

void
proc_sample(int64_t now)
{
	InitState *s = &init_state;
	uint64_t files = proc_files(NULL);
	uint32_t threads = 0;
	int n = 0;

	if (s->has_proc)
	{
		n = proc_scan();
		for (int i = 0; i < n; i++)
			threads += proc_list[i].threads;
		s->processes = (uint32_t) n;
		s->memory_bytes = proc_memory(n);
	}
	s->next_sample_us =
		now + (s->memory_bytes > s->config.memory_bytes / 2 ? PROC_SAMPLE_HIGH_US : PROC_SAMPLE_US);
	if (s->memory_bytes > s->config.memory_bytes)
		proc_kill_all(TZ_WIRE_OUT_OF_MEMORY);
	/* Deleting has to stay possible, so only who makes more is stopped. */
	else if (files > INIT_FILES_MAX && files > s->files)
		proc_kill_all(TZ_WIRE_TOO_MANY);
	/* The kernel's limit per user does not bind where that user is root. */
	else if (threads > s->config.processes + (uint32_t) s->nmonitors + PROC_THREADS_SLACK || n == PROC_MAX)
		proc_kill_all(TZ_WIRE_TOO_MANY);
	s->files = files;
}

/* Everything in the box but us, at once: the kernel lets none escape by forking. */
void
proc_kill_all(uint32_t reason)
{
	InitState *s = &init_state;

	for (int i = 0; i < TZ_WIRE_OPS_MAX; i++)
	{
		InitOp *op = &s->ops[i];

		if (op->kind == INIT_EXEC && op->running && !op->exited && op->reason == 0)
			op->reason = reason != 0 ? reason : TZ_WIRE_KILLED;
	}
	(void) kill(-1, SIGKILL);
	if (s->paused)
		(void) kill(-1, SIGCONT);
}

static bool
proc_mark(int n, pid_t root)
{
	bool found = false, again = true;

	while (again)
	{
		again = false;
		for (int i = 0; i < n; i++)
		{
			ProcEntry *p = &proc_list[i];
			bool below = p->ppid == root;

			for (int j = 0; j < n && !below && !p->mine; j++)
				below = proc_list[j].mine && proc_list[j].pid == p->ppid;
			if (below && !p->mine)
				p->mine = again = found = true;
		}
	}
	return found;
}

/*
 * Stops everything below the monitor until nothing new appears (what is
 * stopped cannot fork), then kills it. The monitor reaps and ends by itself.
 */
static void
proc_kill_round(InitMonitor *mon)
{
	static pid_t seen[PROC_MAX];
	int nseen = 0;

	if (!init_state.has_proc || ++mon->rounds > PROC_KILL_ROUNDS)
	{
		proc_kill_all(0);
		return;
	}
	for (int round = 0; round < 20; round++)
	{
		int n = proc_scan(), fresh = 0;

		if (!proc_mark(n, mon->pid))
			break;
		for (int i = 0; i < n; i++)
		{
			bool known = !proc_list[i].mine;

			for (int j = 0; j < nseen && !known; j++)
				known = seen[j] == proc_list[i].pid;
			if (known || nseen == PROC_MAX)
				continue;
			(void) kill(proc_list[i].pid, SIGSTOP);
			seen[nseen++] = proc_list[i].pid;
			fresh++;
		}
		if (fresh == 0)
			break;
	}
	for (int i = 0; i < nseen; i++)
		(void) kill(seen[i], SIGKILL);
}

void
proc_kill_tree(InitMonitor *mon)
{
	if (mon->killing)
		return;
	mon->killing = true;
	mon->rounds = 0;
	/* A paused monitor could not reap. */
	(void) kill(mon->pid, SIGCONT);
	proc_kill_round(mon);
}

bool
proc_killing(void)
{
	for (int i = 0; i < INIT_MONITORS_MAX; i++)
		if (init_state.monitors[i].pid != 0 && init_state.monitors[i].killing)
			return true;
	return false;
}

void
proc_kill_step(void)
{
	for (int i = 0; i < INIT_MONITORS_MAX; i++)
		if (init_state.monitors[i].pid != 0 && init_state.monitors[i].killing)
			proc_kill_round(&init_state.monitors[i]);
}

/* CPU of one process and of those it has reaped, in microseconds. */
static uint64_t
proc_cpu_us(pid_t pid)
{
	char path[64], text[1024], *at;
	uint64_t ticks = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (!proc_read(path, text, sizeof(text)) || (at = strrchr(text, ')')) == NULL)
		return 0;
	/* fields 14 to 17; behind the name come a blank and field 3 */
	at++;
	for (int field = 3; field <= 17 && *at == ' '; field++)
	{
		at++;
		if (field >= 14)
			ticks += strtoull(at, NULL, 10);
		while (*at != ' ' && *at != '\0')
			at++;
	}
	return ticks * (1000000 / (uint64_t) sysconf(_SC_CLK_TCK));
}

void
proc_metrics(uint32_t id)
{
	InitState *s = &init_state;
	TzWireMetrics m = {0};
	struct rusage ru;
	unsigned char out[64];
	size_t len;

	if (s->has_proc)
	{
		int n = proc_scan();

		m.memory_kb = proc_memory(n) / 1024;
		m.processes = (uint32_t) n;
		for (int i = 0; i < n; i++)
			m.cpu_us += proc_cpu_us(proc_list[i].pid);
	}
	if (getrusage(RUSAGE_CHILDREN, &ru) == 0)
		m.cpu_us += (uint64_t) (ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000000 +
		            (uint64_t) (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec);
	(void) proc_files(&m.disk_kb);
	len = tz_wire_put_metrics(out, sizeof(out), &m);
	link_send(TZ_WIRE_DONE, id, out, len);
}
