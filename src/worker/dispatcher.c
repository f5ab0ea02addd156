/*-------------------------------------------------------------------------
 *
 * dispatcher.c
 *	  The worker that claims effects and carries them out.
 *
 * One turn, one transaction: settle all that arrived, tell what still flies, see
 * what is to be cut, claim as many as slots are free. Then, with no transaction
 * open, begin what was claimed. So a commit is shared by everything of a turn,
 * a claim is durable before its request leaves, and a slow call is nobody
 * else's: it only occupies its slot.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "gate/halt.h"
#include "pg/export.h"
#include "pg/guc.h"
#include "pg/pausepoint.h"
#include "pg/spi.h"
#include "pg/txn.h"
#include "pg/worker.h"
#include "vault/check.h"
#include "worker/dispatcher.h"
#include "worker/preflight.h"
#include "worker/script_sql.h"

#define CALLS_HELD_MS 50 /* between looks at those that somebody's transaction holds up */
/* For settling when told to leave, in small steps; what is not settled then is recovered later. */
#define LEAVE_MS 500

PGDLLEXPORT void theazo_dispatcher_main(Datum arg);

static TzStmt started_stmt = {"SELECT theazo_internal.worker_started('dispatcher', $1, $2)",
                              2,
                              {INT4OID, INT8OID}};
static TzStmt stopped_stmt = {"SELECT theazo_internal.worker_stopped($1, $2)", 2, {INT4OID, INT8OID}};
static TzStmt reclaim_stmt = {"SELECT theazo_internal.leases_reclaim(theazo_internal.workers_alive())", 0};
static TzStmt preflight_stmt = {"SELECT theazo_internal.preflight_store($1, $2)", 2, {TEXTOID, JSONBOID}};

/* ---- start and end ------------------------------------------------------------ */

/* As effect_claim() and effect_done() set it: settling calls what is below them without them. */
static void
plan_plainly(void)
{
	static const char *const off[] = {"enable_seqscan", "enable_bitmapscan", "enable_hashjoin",
	                                  "enable_mergejoin", "jit"};

	for (size_t i = 0; i < lengthof(off); i++)
		SetConfigOption(off[i], "off", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("plan_cache_mode", "force_generic_plan", PGC_USERSET, PGC_S_OVERRIDE);
}

static void
dispatcher_init(void *arg)
{
	TzDispatcher *d = arg;
	Datum values[2];

	plan_plainly();
	d->slot = tz_worker_slot();
	d->incarnation = tz_worker_incarnation();
	tz_carrier_init(&d->carrier, d->slot, d->incarnation);
	tz_worker_watch(tz_mux_fd(d->carrier.mux));

	tz_txn_begin("theazo: starting", TZ_TURN_TIMEOUT_MS);
	values[0] = Int32GetDatum(d->slot);
	values[1] = Int64GetDatum(d->incarnation);
	tz_spi_exec(&started_stmt, values, NULL, 0);
	tz_spi_exec(&reclaim_stmt, NULL, NULL, 0);
	if (d->slot == 0)
	{
		values[0] = CStringGetTextDatum(tz_box_mode_name(d->carrier.preflight.mode));
		values[1] = DirectFunctionCall1(jsonb_in, CStringGetDatum(tz_preflight_text(&d->carrier.preflight)));
		tz_spi_exec(&preflight_stmt, values, NULL, 0);
	}
	tz_txn_commit();
	tz_vault_check();
	d->want_claim = true;
}

/* ---- beginning ----------------------------------------------------------------------- */

/*
 * A process that was stopped for long may find that its claims were taken for
 * lost in the meantime. Those are dropped here, before anything is sent.
 */
static void
verify_claims(TzDispatcher *d)
{
	TzFlightList *list = tz_flights_of(d, TZ_FLIGHT_CLAIMED);
	TimestampTz now = GetCurrentTimestamp();
	int n = list->n;
	const char **roots;
	const char **ids;
	int *attempts;
	bool *mine;
	int i = 0;
	TzFlight *f;

	if (n == 0 || now - list->first->claimed_at < (int64) tz_guc_lease_ms * 1000 / 2)
		return;
	roots = palloc(sizeof(char *) * n);
	ids = palloc(sizeof(char *) * n);
	attempts = palloc(sizeof(int) * n);
	mine = palloc(sizeof(bool) * n);
	for (f = list->first; f != NULL; f = f->next, i++)
	{
		roots[i] = f->claim->root_id;
		ids[i] = f->claim->id;
		attempts[i] = f->claim->attempt;
	}
	tz_txn_begin("theazo: verifying claims", TZ_TURN_TIMEOUT_MS);
	tz_effect_verify(d->incarnation, roots, ids, attempts, n, mine);
	tz_txn_commit();
	f = list->first;
	for (i = 0; i < n; i++)
	{
		TzFlight *next = f->next;

		f->claimed_at = now;
		if (!mine[i])
			tz_flight_end(f, "released", now);
		f = next;
	}
}

static void
begin_claimed(TzDispatcher *d)
{
	TzFlightList *list = tz_flights_of(d, TZ_FLIGHT_CLAIMED);
	int64 began = tz_cpu_us();
	int n = list->n;

	if (n == 0)
		return;
	TZ_PAUSE_POINT("dispatcher-after-claim");
	if (tz_worker_stopping())
		return;
	verify_claims(d);
	while (list->first != NULL)
		tz_carrier_begin(&d->carrier, list->first);
	tz_pace_took(&d->claiming, n, d->claim_us + tz_cpu_us() - began);
	d->claim_us = 0;
	TZ_PAUSE_POINT("dispatcher-after-send");
}

/* Marked ones of both lists; those that end leave the list they are in. */
static void
cut_cancelled(TzDispatcher *d)
{
	static const TzFlightState states[] = {TZ_FLIGHT_CLAIMED, TZ_FLIGHT_FLYING};

	if (!d->cancels)
		return;
	d->cancels = false;
	for (size_t i = 0; i < lengthof(states); i++)
	{
		TzFlight *f = tz_flights_of(d, states[i])->first;

		while (f != NULL)
		{
			TzFlight *next = f->next;

			if (f->cancel)
				tz_carrier_cancel(&d->carrier, f);
			f = next;
		}
	}
}

/* The kill switch: what is halted is cut now, whatever else this turn is about. */
static void
cut_halted(TzDispatcher *d)
{
	if (!tz_halt_moved())
		return;
	tz_txn_begin("theazo: reading halts", TZ_TURN_TIMEOUT_MS);
	(void) tz_halt_any();
	tz_txn_commit_lazy();
	if (tz_carrier_halt(&d->carrier) == 0)
		return;
	d->cancels = d->halting = true;
	cut_cancelled(d);
	/* sandboxes end with the tick */
	tz_carrier_pump(&d->carrier);
}

/* Claimed and never begun: somebody else may have them. */
static void
release_claimed(TzDispatcher *d)
{
	TzFlightList *list = tz_flights_of(d, TZ_FLIGHT_CLAIMED);

	while (list->first != NULL)
		tz_flight_end(list->first, "released", GetCurrentTimestamp());
}

/* ---- the worker's callbacks -------------------------------------------------------------- */

static void
dispatcher_pump(void *arg, int why)
{
	TzDispatcher *d = arg;

	if (why & TZ_TURN_WOKEN)
		d->want_claim = d->woken = true;
	/* Kept for the next turn, which may be some way off after an error. */
	if (why & TZ_TURN_RELOADED)
		d->reloaded = true;
	tz_carrier_pump(&d->carrier);
}

static int
until(TimestampTz then, TimestampTz now)
{
	return then <= now ? 0 : (int) Min((then - now) / 1000 + 1, 3600000);
}

static int
dispatcher_deadline(void *arg)
{
	TzDispatcher *d = arg;
	int calls_ms = tz_carrier_timeout(&d->carrier);
	/* no sooner than they can be written, or we would run in circles until then */
	int news_ms =
		tz_turn_news(d) ? until(Max(d->sql_at, tz_worker_rests_until()), GetCurrentTimestamp()) : -1;

	if (calls_ms < 0 || news_ms < 0)
		return Max(calls_ms, news_ms);
	return Min(calls_ms, news_ms);
}

/* May the next wake-up be for us alone? One that came while we have no room goes on to another. */
static void
offer(TzDispatcher *d, bool stopping, TimestampTz now)
{
	bool room = !stopping && tz_turn_room(d, now) && (now < d->sql_at || now >= tz_turn_claim_time(d));

	if (d->woken && !room && !stopping)
		tz_worker_pass_on();
	d->woken = false;
	tz_worker_accepts(room && now >= tz_turn_claim_time(d));
	tz_worker_places(!stopping && tz_scripts_room(d->carrier.scripts) > 0);
}

static int
dispatcher_turn(void *arg, int why)
{
	TzDispatcher *d = arg;
	bool stopping = tz_worker_stopping() || (why & TZ_TURN_DRAIN) != 0;
	TimestampTz now;
	int next_ms;

	if (d->reloaded)
	{
		d->reloaded = false;
		tz_carrier_reconfigure(&d->carrier);
	}
	if (stopping)
		release_claimed(d);
	cut_halted(d);
	tz_turn_rows(d, stopping);
	cut_cancelled(d);
	begin_claimed(d);
	tz_worker_inflight(tz_flights_of(d, TZ_FLIGHT_FLYING)->n);

	now = GetCurrentTimestamp();
	offer(d, stopping, now);
	if (tz_turn_news(d) || tz_turn_sent_due(d, now))
		return until(d->sql_at, now);
	if (d->want_claim && !stopping && tz_turn_room(d, now))
		return until(tz_turn_claim_time(d), now);
	next_ms = stopping ? tz_guc_claim_interval_ms : until(Max(d->claim_at, d->claim_not_before), now);
	if (d->carrier.flights.unnoted > 0)
		next_ms = Min(next_ms, TZ_SENT_AFTER_MS);
	if (tz_flights_of(d, TZ_FLIGHT_PARKED)->n > 0)
		next_ms = Min(next_ms, until(d->parked_at, now));
	if (tz_scripts_waiting(d->carrier.scripts) > 0)
		next_ms = Min(next_ms, CALLS_HELD_MS);
	return next_ms;
}

static void
dispatcher_leave(void *arg, bool sql)
{
	TzDispatcher *d = arg;
	TimestampTz give_up = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LEAVE_MS);
	Datum values[2];

	d->want_claim = false;
	tz_carrier_pump(&d->carrier);
	release_claimed(d);
	if (sql)
	{
		tz_turn_parked(d);
		tz_turn_leave(d, give_up);
	}
	/* Commands of sandboxes end with them, and programs with their runner, and we know how: that is settled too. */
	tz_scripts_free(d->carrier.scripts);
	d->carrier.scripts = NULL;
	tz_local_free(d->carrier.local);
	d->carrier.local = NULL;
	tz_sqltool_leave();
	if (!sql)
		return;
	tz_turn_leave(d, give_up);
	tz_txn_begin("theazo: stopping", TZ_TURN_TIMEOUT_MS);
	values[0] = Int32GetDatum(d->slot);
	values[1] = Int64GetDatum(d->incarnation);
	tz_spi_exec(&stopped_stmt, values, NULL, 0);
	tz_txn_commit();
}

void
theazo_dispatcher_main(Datum arg)
{
	static TzDispatcher dispatcher;
	static const TzWorkerOps ops = {
		.init = dispatcher_init,
		.pump = dispatcher_pump,
		.turn = dispatcher_turn,
		.deadline = dispatcher_deadline,
		.leave = dispatcher_leave,
		.arg = &dispatcher,
	};

	tz_worker_main(TZ_WORKER_DISPATCHER, &ops);
}
