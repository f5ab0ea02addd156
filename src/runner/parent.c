/*-------------------------------------------------------------------------
 *
 * parent.c
 *	  The program as a whole: its start and end, its children, its deadlines.
 *
 *	  DOWN --first run--> STARTING --HELLO--> UP --channel closed, frame out of place--> DOWN
 *
 * The zygote runs no foreign code; still nothing it says is believed without a
 * look, and a child that it does not report in time ends it.
 *
 *-------------------------------------------------------------------------
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runner/parent_internal.h"

#define MAX_RUNS 256
#define MAX_SPARES 8

int64_t
tz_runner_now_us(void)
{
	struct timespec ts;

	(void) clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t
tz_runner_now_ms(void)
{
	return tz_runner_now_us() / 1000;
}

const char *
tz_runner_mode_name(TzRunnerMode mode)
{
	return mode == TZ_RUNNER_FULL ? "full" : mode == TZ_RUNNER_SECCOMP ? "seccomp" : "none";
}

const char *
tz_runner_wall_name(int n)
{
	static const char *const names[TZ_RUNNER_WALLS] = {
		"seccomp filter", "no capabilities", "user namespace",   "pid namespace",   "network namespace",
		"ipc namespace",  "uts namespace",   "cgroup namespace", "mount namespace", "empty root",
	};

	return n >= 0 && n < TZ_RUNNER_WALLS ? names[n] : NULL;
}

/* --- up and down -------------------------------------------------------------------- */

static TzStatus
runner_up(TzRunner *runner, TzErr *err)
{
	int64_t now = tz_runner_now_ms();
	TzStatus st;

	if (runner->state != RUNNER_DOWN)
		return TZ_OK;
	if (now < runner->again_ms)
	{
		if (err != NULL)
			*err = runner->info.err;
		return runner->info.err.status;
	}
	runner->again_ms = now + RUNNER_AGAIN_MS;
	memset(&runner->info, 0, sizeof(runner->info));
	st = tz_runner_spawn(runner, &runner->info.err);
	if (st == TZ_OK)
	{
		runner->state = RUNNER_STARTING;
		runner->start_deadline_ms = now + RUNNER_START_MS;
		st = tz_runner_interest(runner);
		if (st != TZ_OK)
		{
			(void) tz_err_set(&runner->info.err, st, "could not watch the program that runs code");
			tz_runner_down(runner, st, runner->info.err.message);
		}
	}
	if (st != TZ_OK && err != NULL)
		*err = runner->info.err;
	return st;
}

void
tz_runner_down(TzRunner *runner, TzStatus status, const char *why)
{
	TzRunnerRun *r;

	if (runner->state == RUNNER_DOWN)
		return;
	/* What never said a word shall not be tried in a loop; what died in service is started again at once. */
	if (runner->state == RUNNER_UP)
		runner->again_ms = 0;
	runner->state = RUNNER_DOWN;
	runner->info.mode = TZ_RUNNER_NONE;
	(void) tz_err_set(&runner->info.err, status, "%s", why);
	tz_err_hint(&runner->info.err, "\"theazo-runner --probe\" says what this machine lacks.");
	tz_mux_remove(runner->mux, runner->fd);
	close(runner->fd);
	runner->fd = -1;
	while (runner->queue != NULL)
	{
		RunnerPacket *p = runner->queue;

		runner->queue = p->next;
		if (p->fd >= 0)
			close(p->fd);
		free(p);
	}
	runner->queue_tail = &runner->queue;
	tz_runner_kill(runner, RUNNER_DEATH_MS);
	/* Callbacks may start new runs, which start the program again: those are not of this list. */
	r = runner->runs;
	runner->runs = NULL;
	while (r != NULL)
	{
		TzRunnerRun *next = r->next;

		if (r->state == RUN_RUNNING)
		{
			r->res.end = TZ_RUNNER_LOST;
			(void) tz_err_set(&r->res.err, status, "%s", why);
		}
		r->next = NULL;
		tz_runner_finish(r);
		r = next;
	}
}

/* --- for callers ---------------------------------------------------------------------- */

TzStatus
tz_runner_start(const TzRunnerConfig *config, TzMux *mux, TzRunner **out, TzErr *err)
{
	TzRunner *runner = calloc(1, sizeof(*runner));

	*out = NULL;
	if (runner == NULL || (runner->path = strdup(config->path)) == NULL)
	{
		free(runner);
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	}
	runner->mux = mux;
	runner->fd = -1;
	runner->queue_tail = &runner->queue;
	runner->spares = config->spares < 0 ? 0 : config->spares > MAX_SPARES ? MAX_SPARES : config->spares;
	runner->max_runs = config->max_runs < 1 ? 1 : config->max_runs > MAX_RUNS ? MAX_RUNS : config->max_runs;
	/* A program that cannot be started now may be later: the first run will say. */
	(void) runner_up(runner, NULL);
	*out = runner;
	return TZ_OK;
}

int
tz_runner_running(const TzRunner *runner)
{
	int n = 0;

	for (const TzRunnerRun *r = runner->runs; r != NULL; r = r->next)
		n += r->cb.done != NULL;
	return n;
}

void
tz_runner_refill(TzRunner *runner)
{
	int have = 0;

	if (runner->state != RUNNER_UP || runner->freeing || tz_runner_now_ms() < runner->spare_again_ms)
		return;
	for (const TzRunnerRun *r = runner->runs; r != NULL; r = r->next)
		have += r->state == RUN_SPARE;
	while (have++ < runner->spares)
		if (tz_runner_child(runner, NULL) == NULL)
		{
			runner->spare_again_ms = tz_runner_now_ms() + RUNNER_AGAIN_MS;
			return;
		}
}

static TzStatus
runner_check(const TzRunnerJob *job, TzErr *err)
{
	if (job->code.len > TZ_RUNNER_CODE_MAX || job->json.len > TZ_RUNNER_JOB_MAX)
		return tz_err_set(err, TZ_TOO_LARGE, "code or input is too large for one run");
	if (job->json.len == 0 || memchr(job->code.data != NULL ? job->code.data : "", 0, job->code.len) != NULL)
		return tz_err_set(err, TZ_BAD_INPUT, "code is not valid");
	if (job->memory_mb < TZ_RUNNER_MEMORY_MIN_MB || job->memory_mb > TZ_RUNNER_MEMORY_MAX_MB)
		return tz_err_set(err, TZ_BAD_INPUT, "memory must be between %d and %d MB", TZ_RUNNER_MEMORY_MIN_MB,
		                  TZ_RUNNER_MEMORY_MAX_MB);
	if (job->time_ms < 1)
		return tz_err_set(err, TZ_BAD_INPUT, "time must be positive");
	return TZ_OK;
}

TzStatus
tz_runner_run(TzRunner *runner, const TzRunnerJob *job, const TzRunnerCallbacks *cb, TzRunnerRun **out,
              TzErr *err)
{
	TzRunnerRun *run = NULL;
	TzStatus st = runner_check(job, err);

	*out = NULL;
	if (st != TZ_OK)
		return st;
	if (runner->freeing || tz_runner_running(runner) >= runner->max_runs)
		return tz_err_set(err, TZ_UNAVAILABLE, "%d executions are running already", runner->max_runs);
	st = runner_up(runner, err);
	if (st != TZ_OK)
		return st;
	/* The oldest spare is the one that is most ready. */
	for (TzRunnerRun *r = runner->runs; r != NULL; r = r->next)
		if (r->state == RUN_SPARE)
			run = r;
	if (run == NULL)
		run = tz_runner_child(runner, err);
	if (run == NULL)
		return TZ_UNAVAILABLE;
	run->cb = *cb;
	st = tz_runner_begin(run, job, err);
	if (st != TZ_OK)
	{
		/* As a spare it would be half told. */
		memset(&run->cb, 0, sizeof(run->cb));
		tz_runner_end(run, TZ_RUNNER_CANCELLED, st, "out of memory", NULL);
		return st;
	}
	tz_runner_refill(runner);
	*out = run;
	return TZ_OK;
}

const TzRunnerInfo *
tz_runner_info(const TzRunner *runner)
{
	return &runner->info;
}

static int64_t
runner_next(const TzRunner *runner)
{
	int64_t next = runner->state == RUNNER_STARTING ? runner->start_deadline_ms : INT64_MAX;

	for (const TzRunnerRun *r = runner->runs; r != NULL; r = r->next)
		if (r->deadline_ms != 0 && r->deadline_ms < next)
			next = r->deadline_ms;
	return next;
}

int
tz_runner_timeout(const TzRunner *runner)
{
	int64_t next = runner_next(runner), now = tz_runner_now_ms();

	if (next == INT64_MAX)
		return -1;
	return next <= now ? 0 : next - now > 3600000 ? 3600000 : (int) (next - now);
}

void
tz_runner_tick(TzRunner *runner)
{
	int64_t now = tz_runner_now_ms();

	if (runner->state == RUNNER_STARTING && now >= runner->start_deadline_ms)
	{
		tz_runner_down(runner, TZ_UNAVAILABLE, "the program that runs code does not answer");
		return;
	}
	for (TzRunnerRun *r = runner->runs; r != NULL; r = r->next)
	{
		if (r->deadline_ms == 0 || now < r->deadline_ms)
			continue;
		if (r->state == RUN_RUNNING && r->fd < 0)
			tz_runner_end(r, TZ_RUNNER_FAULT, TZ_BAD_ANSWER, "sandbox fault", "it ended without a result");
		else if (r->state == RUN_RUNNING)
			tz_runner_end(r, TZ_RUNNER_TIME, TZ_TIMEOUT, "the execution took too long", NULL);
		else if (r->state == RUN_SAID)
			tz_runner_end(r, r->res.end, r->res.err.status, NULL, r->res.fault);
		else
		{
			tz_runner_down(runner, TZ_UNAVAILABLE, "the program that runs code does not answer");
			return;
		}
	}
	tz_runner_refill(runner);
}

void
tz_runner_free(TzRunner *runner)
{
	if (runner == NULL)
		return;
	runner->freeing = true;
	for (TzRunnerRun *r = runner->runs; r != NULL; r = r->next)
		if (r->state == RUN_RUNNING)
			tz_runner_end(r, TZ_RUNNER_CANCELLED, TZ_CANCELLED, "cancelled", NULL);
	tz_runner_down(runner, TZ_CANCELLED, "cancelled");
	free(runner->path);
	free(runner);
}

void
tz_runner_preflight(const char *path, int timeout_ms, TzRunnerInfo *out)
{
	TzRunnerConfig config = {.path = path, .spares = 0, .max_runs = 1};
	int64_t until = tz_runner_now_ms() + timeout_ms;
	TzRunner *runner;
	TzMux *mux;

	memset(out, 0, sizeof(*out));
	if (tz_mux_create(&mux, &out->err) != TZ_OK)
		return;
	if (tz_runner_start(&config, mux, &runner, &out->err) == TZ_OK)
	{
		while (runner->state == RUNNER_STARTING && tz_runner_now_ms() < until)
		{
			struct pollfd p = {.fd = tz_mux_fd(mux), .events = POLLIN};

			if (poll(&p, 1, (int) (until - tz_runner_now_ms())) > 0)
				(void) tz_mux_pump(mux, 16);
		}
		*out = runner->info;
		if (runner->state == RUNNER_STARTING)
			(void) tz_err_set(&out->err, TZ_UNAVAILABLE, "the program that runs code does not answer");
		tz_runner_free(runner);
	}
	tz_mux_free(mux);
}
