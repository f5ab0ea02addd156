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
 * An error in the transaction loses nothing: what flies lives outside it, what
 * ended stays in its list and is settled again, one by one where need be.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "gate/halt.h"
#include "lib/pace.h"
#include "pg/export.h"
#include "pg/guc.h"
#include "pg/pausepoint.h"
#include "pg/spi.h"
#include "pg/txn.h"
#include "pg/wake.h"
#include "pg/worker.h"
#include "vault/check.h"
#include "worker/carry.h"
#include "worker/preflight.h"
#include "worker/script_sql.h"

#define TURN_TIMEOUT_MS 30000
#define SETTLE_ROWS_MAX 1000
/*
 * While somebody is talking transactions are kept short: nothing is read meanwhile. Each part of one gets
 * as many rows as fit into its time by what such rows cost lately, and a few whatever they cost.
 */
#define STREAMING_US 1500
#define STREAMING_ROWS_FIRST 32
#define STREAMING_ROWS_MIN 4
#define SETTLE_BYTES_MAX (16 * 1024 * 1024)
#define NOTES_PER_TURN 200
#define CALLS_PER_TURN 256 /* of programs */
#define CALLS_STREAMING 16
#define CALLS_HELD_MS 50 /* between looks at those that somebody's transaction holds up */
#define SENT_ROWS_MAX 1000
/* A call that takes longer than this is marked as sent; most end before. */
#define SENT_AFTER_MS 500
/* Between looks at rows that are due but were not given to us. */
#define CONTENDED_MS 20
/*
 * Under load transactions keep a distance, so that each settles and claims more:
 * a millisecond for so many calls in flight, up to a ceiling.
 */
#define FLYING_PER_MS 64
#define DISTANCE_MAX_MS 10
/* So many in flight are busy enough that transactions take half of the time at most, as long as that is. */
#define BUSY_FLYING 256
#define BUSY_DISTANCE_MAX_MS 40
/* A claim costs more than its rows: near the ceiling one waits for room for several, but not long. */
#define ROOM_SHARE 8
#define ROOM_WAIT_MS 40
/* For settling when told to leave, in small steps; what is not settled then is recovered later. */
#define LEAVE_MS 500
#define PARKED_MS 500 /* between tries to settle what somebody's open transaction holds */
#define PARKED_MAX 64
#define LEAVE_ROWS 16
/* After a claim that threw. */
#define CLAIM_BACKOFF_FIRST_MS 250
#define CLAIM_BACKOFF_LAST_MS 10000

typedef enum Phase
{
	PHASE_IDLE,
	PHASE_NOTES,
	PHASE_SETTLE,
	PHASE_CALLS,
	PHASE_MARKS,
	PHASE_CLAIM,
	PHASE_COMMIT
} Phase;

typedef struct Dispatcher
{
	TzCarrier carrier;
	int slot;
	int64 incarnation;
	bool want_claim;
	bool woken; /* a commit told us, and perhaps only us */
	bool reloaded; /* settings were read again, and strings of before are gone */
	bool careful; /* the last claim threw: look at secrets one by one, and settle apart */
	int claim_backoff_ms;
	TimestampTz claim_not_before;
	bool more; /* the last claim was as large as asked for */
	bool halting; /* what was cut by a halt is not all settled: the keeper waits for it */
	uint32 cancel_epoch; /* that was looked at */
	TimestampTz claim_at; /* the next one without being woken */
	TimestampTz sql_at; /* no transaction before */
	TimestampTz room_at; /* when any room is worth a claim */
	TimestampTz parked_at; /* when what is parked is tried again */
	int contended; /* looks in a row that found due rows and got none */
	TzPace settling;
	TzPace marking;
	TzPace claiming; /* until what was claimed has begun */

	/* of the turn under way */
	Phase phase;
	TzSettle *settle;
	int nsettle;
	bool cancels; /* some flights were marked */
	TzClaimed *claimed;
	int64 claim_us; /* what the claim took so far */
} Dispatcher;

PGDLLEXPORT void theazo_dispatcher_main(Datum arg);

static TzStmt started_stmt = {"SELECT theazo_internal.worker_started('dispatcher', $1, $2)",
                              2,
                              {INT4OID, INT8OID}};
static TzStmt stopped_stmt = {"SELECT theazo_internal.worker_stopped($1, $2)", 2, {INT4OID, INT8OID}};
static TzStmt reclaim_stmt = {"SELECT theazo_internal.leases_reclaim(theazo_internal.workers_alive())", 0};
static TzStmt preflight_stmt = {"SELECT theazo_internal.preflight_store($1, $2)", 2, {TEXTOID, JSONBOID}};

static bool has_news(Dispatcher *d);

static TzFlightList *
list_of(Dispatcher *d, TzFlightState state)
{
	return &d->carrier.flights.lists[state];
}

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
	Dispatcher *d = arg;
	Datum values[2];

	plan_plainly();
	d->slot = tz_worker_slot();
	d->incarnation = tz_worker_incarnation();
	tz_carrier_init(&d->carrier, d->slot, d->incarnation);
	tz_worker_watch(tz_mux_fd(d->carrier.mux));

	tz_txn_begin("theazo: starting", TURN_TIMEOUT_MS);
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

/* ---- the transaction of a turn ---------------------------------------------------- */

/* Of this process, so that how busy the machine is does not count. */
static int64
cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * INT64CONST(1000000) + t.tv_nsec / 1000;
}

/* Most rows of one part of a transaction, if nobody talks so many as max. */
static int
rows_max(const Dispatcher *d, const TzPace *pace, int max)
{
	if (d->carrier.flights.flows == 0)
		return max;
	return tz_pace_units(pace, STREAMING_US, STREAMING_ROWS_FIRST, STREAMING_ROWS_MIN, max);
}

/* The oldest ended ones, as many as one transaction should take, at most max. */
static void
collect_ended(Dispatcher *d, int max)
{
	TzFlightList *ended = list_of(d, TZ_FLIGHT_ENDED);
	size_t bytes = 0;

	d->nsettle = 0;
	if (ended->n == 0)
		return;
	d->settle = palloc(sizeof(TzSettle) * Min(ended->n, max));
	for (const TzFlight *f = ended->first; f != NULL && d->nsettle < max; f = f->next)
	{
		bytes += tz_flight_bytes(f);
		if (d->nsettle > 0 && bytes > SETTLE_BYTES_MAX)
			break;
		tz_flight_settle(f, &d->settle[d->nsettle++]);
	}
}

static void
settled(Dispatcher *d, TzFlight *f)
{
	tz_carrier_settled(&d->carrier, f);
	tz_flight_free(f);
}

/* They are the first of the list, in its order. locked (or NULL): those that wait for somebody's transaction. */
static void
forget_settled(Dispatcher *d, int n, const bool *locked)
{
	TzFlightList *ended = list_of(d, TZ_FLIGHT_ENDED);

	for (int i = 0; i < n; i++)
	{
		if (locked != NULL && locked[i])
			tz_flight_move(ended->first, TZ_FLIGHT_PARKED);
		else
			settled(d, ended->first);
	}
	d->nsettle = 0;
}

/* What somebody's open transaction had kept from being settled, each on its own. */
static void
settle_parked(Dispatcher *d)
{
	TzFlightList *parked = list_of(d, TZ_FLIGHT_PARKED);

	for (int n = Min(parked->n, PARKED_MAX); n > 0; n--)
	{
		TzFlight *f = parked->first;
		TzSettle item;
		TzDoneNow how;

		tz_flight_settle(f, &item);
		how = tz_effect_done_now(&item);
		if (how == TZ_DONE_SETTLED)
		{
			settled(d, f);
			continue;
		}
		tz_flight_move(f, TZ_FLIGHT_ENDED);
		if (how == TZ_DONE_LOCKED)
			tz_flight_move(f, TZ_FLIGHT_PARKED);
	}
	d->parked_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), PARKED_MS);
}

/* True when a flying call is old enough to be marked as sent. */
static bool
sent_due(Dispatcher *d, TimestampTz now)
{
	const TzFlight *f = d->carrier.flights.first_unnoted;

	return f != NULL && now - f->started >= SENT_AFTER_MS * 1000;
}

static void
tell_sent(Dispatcher *d)
{
	int max = Min(d->carrier.flights.unnoted, rows_max(d, &d->marking, SENT_ROWS_MAX));
	int64 began = cpu_us();
	const char **roots = palloc(sizeof(char *) * max);
	const char **ids = palloc(sizeof(char *) * max);
	int *attempts = palloc(sizeof(int) * max);
	TzFlight *f;
	int n = 0;

	for (f = d->carrier.flights.first_unnoted; f != NULL && n < max; f = f->next)
	{
		roots[n] = f->claim->root_id;
		ids[n] = f->claim->id;
		attempts[n] = f->claim->attempt;
		n++;
		/* Only for information, so a lost transaction need not bring it back. */
		f->noted = true;
		d->carrier.flights.unnoted--;
	}
	d->carrier.flights.first_unnoted = f;
	if (n > 0)
		tz_effect_sent(roots, ids, attempts, n);
	tz_pace_took(&d->marking, n, cpu_us() - began);
}

static void
mark_cancelled(void *arg, const char *id, int attempt)
{
	Dispatcher *d = arg;
	TzFlight *f = tz_inflight_find(&d->carrier.flights, id, attempt);

	if (f == NULL || f->cancel)
		return;
	f->cancel = true;
	d->cancels = true;
}

static void
claim(Dispatcher *d, TimestampTz now)
{
	int batch = rows_max(d, &d->claiming, tz_guc_claim_batch);
	int want = Min(batch, tz_guc_http_max_calls - d->carrier.flights.n + d->nsettle);
	int64 began = cpu_us();
	TimestampTz due;
	int got;

	if (want <= 0)
		return;
	if (!tz_inflight_reserve(&d->carrier.flights, want))
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	got = tz_effect_claim(d->slot, d->incarnation, want, tz_guc_lease_ms, d->careful, tz_carrier_open,
	                      &d->claimed);
	d->claim_us = cpu_us() - began;
	d->more = got >= want;
	d->want_claim = d->more;
	d->claim_at = TimestampTzPlusMilliseconds(now, tz_guc_claim_interval_ms);
	if (d->more)
		return;
	if (got > 0)
	{
		/* When the next is due is for a quieter moment: these want to leave. */
		d->contended = 0;
		d->claim_at = Min(d->claim_at, TimestampTzPlusMilliseconds(now, CONTENDED_MS));
		return;
	}
	due = tz_effect_next_due(d->slot);
	if (due <= now)
	{
		int wait = CONTENDED_MS << Min(d->contended, 6);

		d->contended++;
		due = TimestampTzPlusMilliseconds(now, wait);
	}
	else
		d->contended = 0;
	d->claim_at = Min(d->claim_at, due);
}

/* Everything of the turn that needs rows. */
static void
turn_transaction(Dispatcher *d, bool claiming, TimestampTz now)
{
	uint32 epoch = tz_worker_cancel_epoch();
	int calls = Min(tz_scripts_ready(d->carrier.scripts),
	                d->carrier.flights.flows > 0 ? CALLS_STREAMING : CALLS_PER_TURN);
	bool only_marks = d->nsettle == 0 && !claiming && d->carrier.notes.n == 0 && calls == 0;

	tz_txn_begin("theazo: dispatching", TURN_TIMEOUT_MS);
	d->phase = PHASE_NOTES;
	if (d->carrier.notes.n > 0)
		tz_notes_write(&d->carrier.notes, NOTES_PER_TURN);
	d->phase = PHASE_SETTLE;
	if (d->nsettle > 0)
	{
		int64 began = cpu_us();

		TZ_PAUSE_POINT("dispatcher-before-done");
		tz_effect_lock_wait(TZ_DONE_LOCK_MS);
		tz_effect_done(d->settle, d->nsettle);
		tz_pace_took(&d->settling, d->nsettle, cpu_us() - began);
	}
	if (d->halting && d->nsettle > 0)
		tz_wake_at_commit(TZ_WAKE_KEEPER);
	d->phase = PHASE_CALLS;
	if (calls > 0)
	{
		TZ_PAUSE_POINT("dispatcher-before-calls");
		tz_effect_lock_wait(TZ_DONE_LOCK_MS);
		tz_script_judge(d->carrier.scripts, d->slot, calls);
	}
	d->phase = PHASE_MARKS;
	if (sent_due(d, now))
		tell_sent(d);
	if (epoch != d->cancel_epoch)
		tz_effect_cancels(d->incarnation, mark_cancelled, d);
	d->phase = PHASE_CLAIM;
	if (claiming)
		claim(d, now);
	d->phase = PHASE_COMMIT;
	if (only_marks)
		tz_txn_commit_lazy();
	else
		tz_txn_commit();
	d->cancel_epoch = epoch;
}

/* From the end of a transaction that took so long to the beginning of the next. */
static int
distance_ms(Dispatcher *d, int64 took_us)
{
	int flying = list_of(d, TZ_FLIGHT_FLYING)->n;
	int ms = Min(flying / FLYING_PER_MS, DISTANCE_MAX_MS);

	if (flying < BUSY_FLYING)
		return ms;
	return Max(ms, (int) Min(took_us / 1000, BUSY_DISTANCE_MAX_MS));
}

/* What the transaction did is durable. */
static void
turn_committed(Dispatcher *d, bool claiming, TimestampTz began)
{
	TimestampTz now = GetCurrentTimestamp();

	d->phase = PHASE_IDLE;
	d->sql_at = TimestampTzPlusMilliseconds(now, distance_ms(d, now - began));
	if (claiming)
	{
		d->room_at = TimestampTzPlusMilliseconds(now, ROOM_WAIT_MS);
		d->careful = false;
		d->claim_backoff_ms = 0;
	}
	if (claiming && d->more)
		tz_worker_pass_on();
	tz_notes_written(&d->carrier.notes, true);
	tz_script_judged(d->carrier.scripts, true);
	forget_settled(d, d->nsettle, NULL);
	if (!has_news(d))
		d->halting = false;
	while (d->claimed != NULL)
	{
		TzClaimed *c = d->claimed;

		d->claimed = c->next;
		c->next = NULL;
		tz_inflight_add(&d->carrier.flights, c, now);
	}
}

/* A claim that throws must not keep what ended from being settled: it waits on its own. */
static void
claim_failed(Dispatcher *d)
{
	d->careful = true;
	d->claim_backoff_ms = d->claim_backoff_ms == 0 ? CLAIM_BACKOFF_FIRST_MS
	                                               : Min(d->claim_backoff_ms * 2, CLAIM_BACKOFF_LAST_MS);
	d->claim_not_before = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), d->claim_backoff_ms);
	EmitErrorReport();
	FlushErrorState();
	tz_txn_abort();
	/* what we were woken for is another's meanwhile */
	tz_worker_pass_on();
}

/*
 * In PG_CATCH. Puts right what the failed transaction leaves, and goes on where
 * the fault is one row's or the claim's; throws on where it is not.
 */
static void
turn_failed(Dispatcher *d)
{
	Phase phase = d->phase;
	bool locked =
		(phase == PHASE_SETTLE || phase == PHASE_CALLS) && geterrcode() == ERRCODE_LOCK_NOT_AVAILABLE;
	bool *waits;
	int settled = 0;

	d->phase = PHASE_IDLE;
	tz_claimed_free_list(&d->claimed);
	tz_notes_written(&d->carrier.notes, false);
	tz_script_judged(d->carrier.scripts, false);
	d->want_claim = true;
	if (tz_worker_stopping())
		PG_RE_THROW();
	if (phase == PHASE_CLAIM)
	{
		claim_failed(d);
		return;
	}
	if ((tz_error_is_passing(geterrcode()) && !locked) || phase == PHASE_MARKS || phase == PHASE_IDLE ||
	    (phase == PHASE_COMMIT && d->nsettle == 0))
		PG_RE_THROW();

	FlushErrorState();
	tz_txn_abort();
	if (phase == PHASE_NOTES)
	{
		tz_notes_write_each(&d->carrier.notes, NOTES_PER_TURN);
		return;
	}
	/* what was to be settled is, with the next turn */
	if (phase == PHASE_CALLS)
	{
		tz_script_judge_each(d->carrier.scripts, d->slot, CALLS_PER_TURN);
		return;
	}
	waits = palloc0(sizeof(bool) * Max(d->nsettle, 1));
	PG_TRY();
	{
		tz_effect_done_each(d->settle, d->nsettle, waits, &settled);
	}
	PG_FINALLY();
	{
		forget_settled(d, settled, waits);
		d->parked_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), PARKED_MS);
	}
	PG_END_TRY();
}

static void
turn_sql(Dispatcher *d, bool claiming, TimestampTz now)
{
	MemoryContext cycle = CurrentMemoryContext;

	PG_TRY();
	{
		turn_transaction(d, claiming, now);
		turn_committed(d, claiming, now);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(cycle);
		turn_failed(d);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(cycle);
}

/* ---- beginning ----------------------------------------------------------------------- */

/*
 * A process that was stopped for long may find that its claims were taken for
 * lost in the meantime. Those are dropped here, before anything is sent.
 */
static void
verify_claims(Dispatcher *d)
{
	TzFlightList *list = list_of(d, TZ_FLIGHT_CLAIMED);
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
	tz_txn_begin("theazo: verifying claims", TURN_TIMEOUT_MS);
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
begin_claimed(Dispatcher *d)
{
	TzFlightList *list = list_of(d, TZ_FLIGHT_CLAIMED);
	int64 began = cpu_us();
	int n = list->n;

	if (n == 0)
		return;
	TZ_PAUSE_POINT("dispatcher-after-claim");
	if (tz_worker_stopping())
		return;
	verify_claims(d);
	while (list->first != NULL)
		tz_carrier_begin(&d->carrier, list->first);
	tz_pace_took(&d->claiming, n, d->claim_us + cpu_us() - began);
	d->claim_us = 0;
	TZ_PAUSE_POINT("dispatcher-after-send");
}

/* Marked ones of both lists; those that end leave the list they are in. */
static void
cut_cancelled(Dispatcher *d)
{
	static const TzFlightState states[] = {TZ_FLIGHT_CLAIMED, TZ_FLIGHT_FLYING};

	if (!d->cancels)
		return;
	d->cancels = false;
	for (size_t i = 0; i < lengthof(states); i++)
	{
		TzFlight *f = list_of(d, states[i])->first;

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
cut_halted(Dispatcher *d)
{
	if (!tz_halt_moved())
		return;
	tz_txn_begin("theazo: reading halts", TURN_TIMEOUT_MS);
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
release_claimed(Dispatcher *d)
{
	TzFlightList *list = list_of(d, TZ_FLIGHT_CLAIMED);

	while (list->first != NULL)
		tz_flight_end(list->first, "released", GetCurrentTimestamp());
}

/* ---- the worker's callbacks -------------------------------------------------------------- */

static void
dispatcher_pump(void *arg, int why)
{
	Dispatcher *d = arg;

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

/* Something waits to be written. */
static bool
has_news(Dispatcher *d)
{
	return list_of(d, TZ_FLIGHT_ENDED)->n > 0 || d->carrier.notes.n > 0 ||
	       tz_scripts_ready(d->carrier.scripts) > 0;
}

static bool
has_room(Dispatcher *d, TimestampTz now)
{
	return now >= d->claim_not_before && d->carrier.flights.n - d->nsettle < tz_guc_http_max_calls &&
	       list_of(d, TZ_FLIGHT_CLAIMED)->n == 0;
}

/* When what room there is may be claimed for. */
static TimestampTz
claim_time(const Dispatcher *d)
{
	int room = tz_guc_http_max_calls - (d->carrier.flights.n - d->nsettle);

	return room >= tz_guc_http_max_calls / ROOM_SHARE ? d->sql_at : Max(d->sql_at, d->room_at);
}

static int
dispatcher_deadline(void *arg)
{
	Dispatcher *d = arg;
	int calls_ms = tz_carrier_timeout(&d->carrier);
	/* no sooner than they can be written, or we would run in circles until then */
	int news_ms = has_news(d) ? until(Max(d->sql_at, tz_worker_rests_until()), GetCurrentTimestamp()) : -1;

	if (calls_ms < 0 || news_ms < 0)
		return Max(calls_ms, news_ms);
	return Min(calls_ms, news_ms);
}

/* The part of a turn that needs rows, if there is any and its time has come. */
static void
turn_rows(Dispatcher *d, bool stopping)
{
	TimestampTz now = GetCurrentTimestamp();
	bool cut = d->cancel_epoch != tz_worker_cancel_epoch();
	bool claiming;

	if (now < d->sql_at && !cut && !stopping)
		return;
	if (now >= d->claim_at)
		d->want_claim = true;
	if (list_of(d, TZ_FLIGHT_PARKED)->n > 0 && now >= d->parked_at)
		settle_parked(d);
	collect_ended(d, rows_max(d, &d->settling, SETTLE_ROWS_MAX));
	/* what a program asks of the network is queued and claimed in one */
	if (tz_scripts_wants_fetch(d->carrier.scripts))
		d->want_claim = true;
	claiming = !stopping && d->want_claim && has_room(d, now) && now >= claim_time(d);
	if (claiming && d->careful && has_news(d))
		turn_sql(d, false, now);
	if (claiming || has_news(d) || cut || sent_due(d, now))
		turn_sql(d, claiming, now);
}

/* May the next wake-up be for us alone? One that came while we have no room goes on to another. */
static void
offer(Dispatcher *d, bool stopping, TimestampTz now)
{
	bool room = !stopping && has_room(d, now) && (now < d->sql_at || now >= claim_time(d));

	if (d->woken && !room && !stopping)
		tz_worker_pass_on();
	d->woken = false;
	tz_worker_accepts(room && now >= claim_time(d));
}

static int
dispatcher_turn(void *arg, int why)
{
	Dispatcher *d = arg;
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
	turn_rows(d, stopping);
	cut_cancelled(d);
	begin_claimed(d);
	tz_worker_inflight(list_of(d, TZ_FLIGHT_FLYING)->n);

	now = GetCurrentTimestamp();
	offer(d, stopping, now);
	if (has_news(d) || sent_due(d, now))
		return until(d->sql_at, now);
	if (d->want_claim && !stopping && has_room(d, now))
		return until(claim_time(d), now);
	next_ms = stopping ? tz_guc_claim_interval_ms : until(Max(d->claim_at, d->claim_not_before), now);
	if (d->carrier.flights.unnoted > 0)
		next_ms = Min(next_ms, SENT_AFTER_MS);
	if (list_of(d, TZ_FLIGHT_PARKED)->n > 0)
		next_ms = Min(next_ms, until(d->parked_at, now));
	if (tz_scripts_waiting(d->carrier.scripts) > 0)
		next_ms = Min(next_ms, CALLS_HELD_MS);
	return next_ms;
}

/* Settles what has ended, as long as there is time; one batch at least. */
static void
leave_settle(Dispatcher *d, TimestampTz give_up)
{
	do
	{
		collect_ended(d, LEAVE_ROWS);
		if (d->nsettle == 0 && d->carrier.notes.n == 0)
			return;
		turn_sql(d, false, GetCurrentTimestamp());
	} while (GetCurrentTimestamp() < give_up);
}

static void
dispatcher_leave(void *arg, bool sql)
{
	Dispatcher *d = arg;
	TimestampTz give_up = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LEAVE_MS);
	Datum values[2];

	d->want_claim = false;
	tz_carrier_pump(&d->carrier);
	release_claimed(d);
	if (sql)
	{
		settle_parked(d);
		leave_settle(d, give_up);
	}
	/* Commands of sandboxes end with them, and programs with their runner, and we know how: that is settled too. */
	tz_scripts_free(d->carrier.scripts);
	d->carrier.scripts = NULL;
	tz_local_free(d->carrier.local);
	d->carrier.local = NULL;
	tz_sqltool_leave();
	if (!sql)
		return;
	leave_settle(d, give_up);
	tz_txn_begin("theazo: stopping", TURN_TIMEOUT_MS);
	values[0] = Int32GetDatum(d->slot);
	values[1] = Int64GetDatum(d->incarnation);
	tz_spi_exec(&stopped_stmt, values, NULL, 0);
	tz_txn_commit();
}

void
theazo_dispatcher_main(Datum arg)
{
	static Dispatcher dispatcher;
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
