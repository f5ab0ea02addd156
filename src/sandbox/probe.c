/*-------------------------------------------------------------------------
 *
 * probe.c
 *	  What this machine offers for boxes, found by starting one.
 *
 * Reading sysctls tells what ought to work; containers, security modules and
 * unit files have the last word. So a real box is started with the same code
 * as any other, degraded step by step where a step is refused that the wall
 * does not need, and the runtimes are asked for their versions inside it.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/utf8.h"
#include "sandbox/box_internal.h"

#define PROBE_MS 5000
#define PROBE_START_MS 10000
#define PROBE_NRUNTIMES 5

typedef struct ProbeRuntime
{
	const char *name;
	const char *argv[4];
	const char *hint;
	bool done;
	int exit_code;
	char said[96];
} ProbeRuntime;

typedef struct Probe
{
	TzMux *mux;
	TzBox *box;
	bool ready;
	TzErr err;
	int pending;
	ProbeRuntime runtimes[PROBE_NRUNTIMES];
} Probe;

static TzBoxCheck *
probe_add(TzBoxPreflight *pf, const char *name, bool ok, const char *found, const char *hint)
{
	TzBoxCheck *c;

	if (pf->nchecks >= TZ_BOX_CHECKS_MAX)
		return NULL;
	c = &pf->checks[pf->nchecks++];
	snprintf(c->name, sizeof(c->name), "%s", name);
	c->ok = ok;
	snprintf(c->found, sizeof(c->found), "%s", found);
	snprintf(c->hint, sizeof(c->hint), "%s", ok ? "" : hint);
	return c;
}

const TzBoxCheck *
tz_box_preflight_check(const TzBoxPreflight *pf, const char *name)
{
	for (int i = 0; i < pf->nchecks; i++)
		if (strcmp(pf->checks[i].name, name) == 0)
			return &pf->checks[i];
	return NULL;
}

/* One kind of namespace, by itself: 0, or the errno of the refusal. */
static int
probe_namespace(int flags)
{
	/* A fork without handlers and library; the child does nothing but end. */
	long pid = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		syscall(SYS_exit_group, 0);
	if (pid < 0)
		return errno;
	while (waitpid((pid_t) pid, NULL, 0) < 0 && errno == EINTR)
		;
	return 0;
}

static void
probe_namespaces(TzBoxPreflight *pf)
{
	static const struct
	{
		const char *name;
		int flag;
		const char *hint;
	} kinds[] = {
		{"user namespaces", 0,
	     "sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces > 0; in a container --security-opt seccomp=<profile allowing unshare and mount>, AppArmor unconfined; no RestrictNamespaces= in the unit"},
		{"pid namespaces", CLONE_NEWPID,
	     "sysctl user.max_pid_namespaces > 0; no RestrictNamespaces= in the unit"},
		{"network namespaces", CLONE_NEWNET,
	     "sysctl user.max_net_namespaces > 0; no RestrictNamespaces= in the unit"},
		{"mount namespaces", CLONE_NEWNS,
	     "sysctl user.max_mnt_namespaces > 0; no RestrictNamespaces= in the unit"},
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
	{
		int e = probe_namespace(CLONE_NEWUSER | kinds[i].flag);
		char found[120];

		snprintf(found, sizeof(found), "clone: %s", strerror(e));
		probe_add(pf, kinds[i].name, e == 0, e == 0 ? "available" : found, kinds[i].hint);
	}
}

static bool
probe_programs(const char *init_path, const char *bwrap_path, TzBoxPreflight *pf)
{
	const char *argv[] = {bwrap_path, "--version", NULL};
	char found[120] = "";
	bool bwrap_ok = false, init_ok;
	int major, minor;
	TzBuf out;

	tz_buf_init(&out, 4096);
	if (access(bwrap_path, X_OK) != 0)
		snprintf(found, sizeof(found), "\"%.80s\": %s", bwrap_path, strerror(errno));
	else if (tz_box_run_simple(argv, &out, PROBE_MS) == 0 && out.len > 0 &&
	         sscanf(out.data, "bubblewrap %d.%d", &major, &minor) == 2)
	{
		snprintf(found, sizeof(found), "%d.%d", major, minor);
		bwrap_ok = major > 0 || minor >= 8;
	}
	else
		snprintf(found, sizeof(found), "does not tell its version");
	tz_buf_free(&out);
	probe_add(pf, "bubblewrap", bwrap_ok, found,
	          "Install bubblewrap 0.8 or newer, or set theazo.sandbox_bwrap, and restart the server.");

	init_ok = access(init_path, X_OK) == 0;
	snprintf(found, sizeof(found), "%s", init_ok ? "executable" : strerror(errno));
	probe_add(pf, "init program", init_ok, found,
	          "Install the extension completely, or set theazo.sandbox_init, and restart the server.");
	return bwrap_ok && init_ok;
}

static bool
probe_seccomp(TzBoxPreflight *pf)
{
	uint32_t action = SECCOMP_RET_KILL_PROCESS;
	bool ok = syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;

	probe_add(pf, "seccomp", ok, ok ? "available" : strerror(errno),
	          "a kernel with CONFIG_SECCOMP_FILTER is needed");
	return ok;
}

/* --- the real run ------------------------------------------------------------ */

static void
probe_on_ready(void *arg, const TzBoxResult *res)
{
	Probe *p = arg;

	p->err = res->err;
	p->ready = true;
}

static void
probe_on_runtime(void *arg, const TzBoxResult *res)
{
	ProbeRuntime *r = arg;
	TzSlice s = res->out.len > 0 ? res->out : res->errout;
	TzBuf text;

	r->done = true;
	r->exit_code = res->err.status == TZ_OK ? res->exit_code : -1;
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] == '\n')
			s.len = i;
	tz_buf_init(&text, 4096);
	(void) tz_utf8_sanitize(tz_slice(s.data, s.len < 80 ? s.len : 80), &text);
	snprintf(r->said, sizeof(r->said), "%s", text.data != NULL ? text.data : "");
	tz_buf_free(&text);
}

static void
probe_wait(Probe *p, int64_t until, bool (*over)(const Probe *))
{
	while (!over(p) && tz_box_now_ms() < until)
	{
		struct pollfd fd = {.fd = tz_mux_fd(p->mux), .events = POLLIN};

		(void) poll(&fd, 1, 20);
		(void) tz_mux_pump(p->mux, 64);
		if (p->box != NULL)
			tz_box_tick(p->box);
	}
}

static bool
probe_over_ready(const Probe *p)
{
	return p->ready;
}

static bool
probe_over_runtimes(const Probe *p)
{
	for (int i = 0; i < PROBE_NRUNTIMES; i++)
		if (!p->runtimes[i].done)
			return false;
	return true;
}

/* Starts a box with these flags; on success it is in p->box, READY. */
static bool
probe_start(Probe *p, TzBoxConfig *config, int64_t until)
{
	tz_err_clear(&p->err);
	p->ready = false;
	if (tz_box_create(config, p->mux, NULL, probe_on_ready, p, &p->box, &p->err) != TZ_OK)
		return false;
	probe_wait(p, until, probe_over_ready);
	if (p->ready && p->err.status == TZ_OK)
		return true;
	if (!p->ready)
		tz_err_set(&p->err, TZ_TIMEOUT, "the sandbox did not start");
	tz_box_destroy(p->box);
	p->box = NULL;
	return false;
}

/* The next thing to do without, by what the isolation program complained about; false: nothing helps. */
static bool
probe_degrade(const TzErr *err, unsigned *flags)
{
	unsigned more = 0;

	if (strstr(err->detail, "max_user_namespaces") != NULL)
		more = TZ_BOX_WITHOUT_DISABLE_USERNS;
	else if (strstr(err->detail, "mount proc") != NULL || strstr(err->detail, "newroot/proc") != NULL)
		more = TZ_BOX_WITHOUT_PROC;
	if ((more & ~*flags) == 0)
		return false;
	*flags |= more;
	return true;
}

static void
probe_runtimes(Probe *p, int64_t until)
{
	static const ProbeRuntime table[PROBE_NRUNTIMES] = {
		{.name = "sh",
	     .argv = {"sh", "-c", "echo available"},
	     .hint = "Install a shell as /bin/sh on the server's machine and restart the server."},
		{.name = "bash",
	     .argv = {"bash", "--version"},
	     .hint = "Install the package bash on the server's machine and restart the server."},
		{.name = "python3",
	     .argv = {"python3", "--version"},
	     .hint = "Install the package python3 on the server's machine and restart the server."},
		{.name = "node",
	     .argv = {"node", "--version"},
	     .hint = "Install the package nodejs on the server's machine and restart the server."},
		{.name = "go",
	     .argv = {"go", "version"},
	     .hint = "Install the package golang-go on the server's machine and restart the server."},
	};

	memcpy(p->runtimes, table, sizeof(table));
	for (int i = 0; i < PROBE_NRUNTIMES; i++)
	{
		ProbeRuntime *r = &p->runtimes[i];
		TzBoxExec exec = {.argv = r->argv, .timeout_ms = PROBE_MS, .max_output = 65536};

		while (exec.argc < 4 && r->argv[exec.argc] != NULL)
			exec.argc++;
		if (tz_box_exec(p->box, &exec, probe_on_runtime, r, NULL, NULL) != TZ_OK)
			r->done = true, r->exit_code = -1;
	}
	probe_wait(p, until, probe_over_runtimes);
}

static void
probe_report(Probe *p, TzBoxPreflight *pf)
{
	for (int i = 0; i < PROBE_NRUNTIMES; i++)
	{
		ProbeRuntime *r = &p->runtimes[i];
		/* On a machine that is busy: not to be refused for good because of one slow look. */
		bool ok = !r->done || r->exit_code == 0;

		probe_add(pf, r->name, ok,
		          !r->done              ? "too busy to tell its version"
		          : ok                  ? r->said
		          : r->exit_code == 127 ? "not installed"
		          : r->said[0] != '\0'  ? r->said
		                                : "does not start",
		          r->hint);
	}
	probe_add(pf, "proc", !(pf->flags & TZ_BOX_WITHOUT_PROC),
	          pf->flags & TZ_BOX_WITHOUT_PROC ? "cannot be mounted; sandboxes run with an empty /proc"
	                                          : "mounted",
	          "run the container with an unmasked /proc");
	probe_add(pf, "nested user namespaces", !(pf->flags & TZ_BOX_WITHOUT_DISABLE_USERNS),
	          pf->flags & TZ_BOX_WITHOUT_DISABLE_USERNS ? "refused by the filter only"
	                                                    : "refused by kernel and filter",
	          "make /proc/sys writable to the server's user namespace");
	if (geteuid() == 0)
		probe_add(pf, "ordinary user", true, "the server is root; sandboxes run as nobody", "");
}

/* Limits by cgroup count when a box starts within them. */
static void
probe_cgroup(Probe *p, TzBoxConfig *config, TzBoxPreflight *out, char *found, size_t size)
{
	p->box = NULL;
	if (!tz_box_cgroup_find("/sys/fs/cgroup", "/proc/self/cgroup", out->cgroup, sizeof(out->cgroup), found,
	                        size))
		return;
	tz_box_cgroup_sweep(out->cgroup);
	config->mode = TZ_BOX_FULL;
	config->cgroup = out->cgroup;
	if (probe_start(p, config, tz_box_now_ms() + PROBE_MS))
	{
		out->mode = TZ_BOX_FULL;
		tz_box_destroy(p->box);
		return;
	}
	out->cgroup[0] = '\0';
	snprintf(found, size, "%.100s", p->err.message);
}

void
tz_box_preflight(const char *init_path, const char *bwrap_path, TzBoxPreflight *out)
{
	Probe p;
	TzBoxConfig config = {.init_path = init_path,
	                      .bwrap_path = bwrap_path,
	                      .mode = TZ_BOX_NAMESPACES,
	                      .memory_bytes = 512 << 20,
	                      .disk_bytes = 16 << 20,
	                      .file_bytes = 16 << 20,
	                      .processes = 128,
	                      .open_files = 256};
	int64_t until = tz_box_now_ms() + PROBE_START_MS;
	char found[120];
	bool seccomp, started = false;

	memset(out, 0, sizeof(*out));
	memset(&p, 0, sizeof(p));
	tz_err_clear(&out->err);
	if (tz_mux_create(&p.mux, &out->err) != TZ_OK)
		return;
	seccomp = probe_seccomp(out);
	probe_namespaces(out);
	if (probe_programs(init_path, bwrap_path, out) && seccomp)
		do
		{
			config.flags = out->flags;
			started = probe_start(&p, &config, until);
		} while (!started && tz_box_now_ms() < until && probe_degrade(&p.err, &out->flags));
	if (started)
	{
		probe_runtimes(&p, tz_box_now_ms() + PROBE_MS);
		probe_report(&p, out);
		out->mode = TZ_BOX_NAMESPACES;
		tz_box_destroy(p.box);
		probe_cgroup(&p, &config, out, found, sizeof(found));
		probe_add(
			out, "cgroup delegation", out->mode == TZ_BOX_FULL, found,
			"systemd drop-in for the server's unit: Delegate=memory pids cpu, and DelegateSubgroup=server (systemd 254 or newer)");
	}
	else
	{
		out->flags = 0;
		tz_err_set(&out->err, TZ_UNSUPPORTED, "local sandboxes need unprivileged user namespaces");
		for (int i = 0; i < out->nchecks && out->err.hint[0] == '\0'; i++)
			if (!out->checks[i].ok)
			{
				tz_err_detail(&out->err, "%s: %s", out->checks[i].name, out->checks[i].found);
				tz_err_hint(&out->err, "%s", out->checks[i].hint);
			}
		if (p.err.status != TZ_OK && geteuid() == 0)
			probe_add(out, "ordinary user", false, "the server is root; sandboxes would run as nobody",
			          "start the server as an ordinary user that may create user namespaces");
		if (p.err.status != TZ_OK)
		{
			tz_err_detail(&out->err, "%s: %s", p.err.message, p.err.detail);
			if (out->err.hint[0] == '\0')
				tz_err_hint(&out->err, "%s", p.err.hint);
			probe_add(out, "start of a sandbox", false, p.err.detail[0] ? p.err.detail : p.err.message,
			          p.err.hint);
		}
	}
	tz_mux_free(p.mux);
}
