/*-------------------------------------------------------------------------
 *
 * keeper.c
 *	  Upkeep of one database, job by job; and the probe for the extension.
 *
 * The jobs are SQL functions of theazo_internal whose names keeper_jobs()
 * lists; each runs in a transaction of its own, so that one that fails stops
 * no other. keeper_turn() comes last and says when to come back. Nobody waits
 * for these commits: what a crash takes back is done again. A job that returns
 * less than 0 did something that must not be lost, and is called again at once,
 * for a bounded time. Sealing of events is no such job: see sealing.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "audit/ring.h"
#include "pg/export.h"
#include "pg/guc.h"
#include "pg/spi.h"
#include "pg/txn.h"
#include "pg/worker.h"
#include "vault/check.h"
#include "worker/sealing.h"

#define JOB_TIMEOUT_MS 60000
#define JOBS_MAX 64
#define AGAIN_MS 1000 /* how long one job may go on in a turn */
#define FAILED_PAUSE_MS 1000

extern PGDLLEXPORT void theazo_keeper_main(Datum main_arg);

static void keeper_init(void *arg);
static int keeper_turn(void *arg, int why);
static int keeper_jobs(int why);
static void keeper_leave(void *arg, bool sql);
static void keeper_refusals(void);
static int keeper_job_names(char **names);
static bool keeper_job(const char *name);
static bool keeper_job_once(const char *name, bool *again);
static int keeper_next(void);

void
theazo_keeper_main(Datum main_arg)
{
	static const TzWorkerOps ops = {
		.init = keeper_init,
		.turn = keeper_turn,
		.leave = keeper_leave,
	};

	(void) main_arg;
	tz_worker_main(TZ_WORKER_KEEPER, &ops);
}

static void
keeper_init(void *arg)
{
	static TzStmt started = {"SELECT theazo_internal.worker_started('keeper', 0, $1)", 1, {INT8OID}};
	Datum values[1] = {Int64GetDatum(tz_worker_incarnation())};

	(void) arg;
	tz_txn_begin("theazo keeper: start", JOB_TIMEOUT_MS);
	(void) tz_spi_exec(&started, values, NULL, 0);
	tz_txn_commit_lazy();
	/* a failure here must not keep the keeper from its work */
	(void) keeper_job("keeper_numbers");
	tz_vault_check();
}

/* Sealing and the other jobs have a clock each: events come at any rate, upkeep is asked for. */
static int
keeper_turn(void *arg, int why)
{
	static TimestampTz jobs_at = 0;
	TimestampTz now = GetCurrentTimestamp();
	bool asked = tz_worker_upkeep_marked();
	int seal_ms;
	int jobs_ms;

	(void) arg;
	keeper_refusals();
	seal_ms = tz_sealing_turn();
	if (tz_worker_stopping())
		return 0;
	/* a clock that was set back must not put the jobs off */
	if (asked || (why & TZ_TURN_RELOADED) || now >= jobs_at ||
	    jobs_at > TimestampTzPlusMilliseconds(now, tz_guc_keeper_interval_ms))
	{
		int next_ms = keeper_jobs(why);

		jobs_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), next_ms);
		seal_ms = Min(seal_ms, tz_sealing_due());
	}
	jobs_ms = (int) TimestampDifferenceMilliseconds(GetCurrentTimestamp(), jobs_at);
	return Min(seal_ms, jobs_ms);
}

/* All of them, in order; returns milliseconds until they want to be called again. */
static int
keeper_jobs(int why)
{
	char *names[JOBS_MAX];
	int n;
	int failed = 0;
	int next_ms;

	if (why & TZ_TURN_DRAIN)
		return tz_guc_keeper_interval_ms;
	n = keeper_job_names(names);
	for (int i = 0; i < n && !tz_worker_stopping(); i++)
	{
		if (!keeper_job(names[i]))
			failed++;
		/* events do not wait for all of upkeep */
		keeper_refusals();
		(void) tz_sealing_turn();
	}
	if (tz_worker_stopping())
		return 0;
	next_ms = keeper_next();
	if (failed == 0)
		tz_worker_note("%s", "");
	else
		next_ms = Max(next_ms, FAILED_PAUSE_MS);
	return Min(next_ms, tz_guc_keeper_interval_ms);
}

static void
keeper_leave(void *arg, bool sql)
{
	static TzStmt stopped = {"SELECT theazo_internal.worker_stopped(0, $1)", 1, {INT8OID}};
	Datum values[1] = {Int64GetDatum(tz_worker_incarnation())};

	(void) arg;
	if (!sql)
		return;
	keeper_refusals();
	tz_txn_begin("theazo keeper: stop", 0);
	(void) tz_spi_exec(&stopped, values, NULL, 0);
	tz_txn_commit_lazy();
}

/* Events of what was refused: somebody waits for their commit. */
static void
keeper_refusals(void)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		(void) tz_ring_drain(MyDatabaseId);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		errcontext("keeper: events of refusals");
		tz_worker_note("refusals: %s", error->message);
		tz_worker_recover();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
}

/* Names of this turn's jobs, in the cycle context. */
static int
keeper_job_names(char **names)
{
	static TzStmt jobs = {"SELECT * FROM theazo_internal.keeper_jobs()", 0, {0}};
	uint64 rows;

	tz_txn_begin("theazo keeper: jobs", JOB_TIMEOUT_MS);
	rows = tz_spi_exec(&jobs, NULL, NULL, JOBS_MAX);
	for (uint64 i = 0; i < rows; i++)
	{
		char *name = tz_spi_text(i, 1);

		names[i] = MemoryContextStrdup(tz_worker_cycle(), name);
	}
	tz_txn_commit_lazy();
	return (int) rows;
}

/* One job, as often as it wants to go on; false when it failed. */
static bool
keeper_job(const char *name)
{
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), AGAIN_MS);
	bool again = false;

	do
	{
		if (!keeper_job_once(name, &again))
			return false;
	} while (again && !tz_worker_stopping() && GetCurrentTimestamp() < until);
	return true;
}

/* One transaction of a job, under protection of its own. */
static bool
keeper_job_once(const char *name, bool *again)
{
	volatile bool ok = true;
	volatile bool more = false;
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		char *sql = psprintf("SELECT theazo_internal.%s()", quote_identifier(name));

		tz_txn_begin("theazo keeper: job", JOB_TIMEOUT_MS);
		if (SPI_execute(sql, false, 0) < 0)
			elog(ERROR, "could not execute \"%s\"", sql);
		more = SPI_processed == 1 && SPI_gettypeid(SPI_tuptable->tupdesc, 1) == INT4OID &&
		       tz_spi_int32(0, 1, 0) < 0;
		if (more)
			tz_txn_commit();
		else
			tz_txn_commit_lazy();
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		errcontext("keeper job \"%s\"", name);
		tz_worker_note("%s: %s", name, error->message);
		tz_worker_recover();
		ok = false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	*again = ok && more;
	return ok;
}

/* When does upkeep want to be called again? */
static int
keeper_next(void)
{
	static TzStmt turn = {
		"SELECT pg_catalog.ceil(1000 * extract(epoch FROM theazo_internal.keeper_turn()))::int", 0, {0}};
	int next_ms;

	tz_txn_begin("theazo keeper: turn", JOB_TIMEOUT_MS);
	(void) tz_spi_exec(&turn, NULL, NULL, 1);
	next_ms = tz_spi_int32(0, 1, tz_guc_keeper_interval_ms);
	tz_txn_commit_lazy();
	return Max(next_ms, 100);
}
