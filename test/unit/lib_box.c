/* Real boxes for tests. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib_box.h"

TzMux *lib_mux;
TzBoxPreflight lib_preflight;
int lib_gone;
TzBoxConfig lib_config = {
	.bwrap_path = "/usr/bin/bwrap",
	.memory_bytes = 512LL << 20,
	.disk_bytes = 128LL << 20,
	.file_bytes = 64LL << 20,
	.processes = 64,
	.open_files = 256,
};

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

bool
lib_box_setup(void)
{
	TzErr err;

	lib_config.init_path = getenv("THEAZO_INIT");
	if (lib_config.init_path == NULL)
	{
		printf("# THEAZO_INIT does not name the init program\n");
		return false;
	}
	tz_box_preflight(lib_config.init_path, lib_config.bwrap_path, &lib_preflight);
	printf("# sandbox mode: %s\n", tz_box_mode_name(lib_preflight.mode));
	if (lib_preflight.mode == TZ_BOX_NONE)
	{
		printf("# %s: %s; %s\n", lib_preflight.err.message, lib_preflight.err.detail, lib_preflight.err.hint);
		return false;
	}
	lib_config.mode = lib_preflight.mode;
	lib_config.flags = lib_preflight.flags;
	lib_config.cgroup = lib_preflight.cgroup;
	return tz_mux_create(&lib_mux, &err) == TZ_OK;
}

void
lib_box_teardown(void)
{
	tz_mux_free(lib_mux);
	lib_mux = NULL;
}

void
lib_box_turn(TzBox *box, int ms)
{
	struct pollfd p = {.fd = tz_mux_fd(lib_mux), .events = POLLIN};
	int wait = box != NULL ? tz_box_timeout(box) : -1;

	(void) poll(&p, 1, wait < 0 || wait > ms ? ms : wait);
	(void) tz_mux_pump(lib_mux, 64);
	if (box != NULL)
		tz_box_tick(box);
}

void
lib_box_wait(TzBox *box, Got *got, int max_ms)
{
	int64_t until = now_ms() + max_ms;

	while (!got->done && now_ms() < until)
		lib_box_turn(box, 50);
	if (!got->done)
	{
		printf("# no answer within %d ms\n", max_ms);
		abort();
	}
}

static char *
copy(TzSlice s, size_t *len)
{
	char *c = malloc(s.len + 1);

	memcpy(c, s.len > 0 ? s.data : "", s.len);
	c[s.len] = '\0';
	*len = s.len;
	return c;
}

void
lib_box_done(void *arg, const TzBoxResult *res)
{
	Got *got = arg;

	lib_got_free(got);
	got->done = true;
	got->err = res->err;
	got->exit_code = res->exit_code;
	got->timed_out = res->timed_out;
	got->out_of_memory = res->out_of_memory;
	got->truncated = res->truncated;
	got->note = res->note;
	got->out = copy(res->out, &got->out_len);
	got->errout = copy(res->errout, &got->errout_len);
	got->nentries = res->nentries;
	for (int i = 0; i < res->nentries && i < 64; i++)
	{
		snprintf(got->names[i], sizeof(got->names[i]), "%s", res->entries[i].name);
		got->sizes[i] = (long long) res->entries[i].size;
		got->dirs[i] = res->entries[i].is_dir;
	}
	got->peak_rss_kb = res->peak_rss_kb;
	got->memory_kb = res->memory_kb;
	got->disk_kb = res->disk_kb;
	got->nprocesses = res->nprocesses;
	got->cpu_percent = res->cpu_percent;
}

void
lib_got_free(Got *got)
{
	free(got->out);
	free(got->errout);
	got->out = got->errout = NULL;
	got->done = false;
}

static void
on_gone(void *arg, TzBox *box, const TzErr *why)
{
	(void) arg;
	(void) box;
	(void) why;
	lib_gone++;
}

TzBox *
lib_box_new(const TzBoxCallbacks *cb)
{
	TzBoxCallbacks mine = {.gone = on_gone};
	TzBox *box = NULL;
	TzErr err;
	Got got = {0};

	tz_err_clear(&err);
	if (tz_box_create(&lib_config, lib_mux, cb != NULL ? cb : &mine, lib_box_done, &got, &box, &err) != TZ_OK)
	{
		printf("# create: %s: %s\n", err.message, err.detail);
		return NULL;
	}
	lib_box_wait(box, &got, 15000);
	if (got.err.status != TZ_OK)
	{
		printf("# start: %s: %s; %s\n", got.err.message, got.err.detail, got.err.hint);
		tz_box_destroy(box);
		box = NULL;
	}
	lib_got_free(&got);
	return box;
}

uint32_t
lib_box_start(TzBox *box, Got *got, int timeout_ms, const char *const *argv)
{
	TzBoxExec exec = {.argv = argv, .timeout_ms = timeout_ms, .max_output = BOX_OUT_MAX};
	uint32_t op = 0;
	TzErr err;

	while (argv[exec.argc] != NULL)
		exec.argc++;
	memset(got, 0, sizeof(*got));
	tz_err_clear(&err);
	if (tz_box_exec(box, &exec, lib_box_done, got, &op, &err) != TZ_OK)
	{
		got->done = true;
		got->err = err;
	}
	return op;
}

void
lib_box_sh(TzBox *box, Got *got, const char *script)
{
	const char *argv[] = {"bash", "-c", script, NULL};

	lib_got_free(got);
	(void) lib_box_start(box, got, 20000, argv);
	lib_box_wait(box, got, 40000);
}
