/*-------------------------------------------------------------------------
 *
 * turn.c
 *	  The part of a dispatcher's turn that needs rows: one transaction.
 *
 * An error in it loses nothing: what flies lives outside it, what ended stays in
 * its list and is settled again, one by one where need be.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "call/take.h"
#include "effect/counted.h"
#include "pg/guc.h"
#include "pg/pausepoint.h"
#include "pg/txn.h"
#include "pg/wake.h"
#include "pg/worker.h"
#include "worker/dispatcher.h"
#include "worker/script_sql.h"

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
#define SENT_ROWS_MAX 1000
/* Between looks at rows that are due but were not given to us. */
#define CONTENDED_MS 20
/*
 * Under load transactions keep a distance, so that each settles and claims more:
 * a millisecond for so many calls in flight, up to a ceiling.
 */
#define FLYING_PER_MS 64
#define DISTANCE_MAX_MS 10
/* Programs ask and end within a millisecond or two: several that run are answered, settled and followed by others together. */
#define SCRIPTS_SEVERAL 2
#define SCRIPTS_DISTANCE_MS 3
/* So many in flight are busy enough that transactions take half of the time at most, as long as that is. */
#define BUSY_FLYING 256
#define BUSY_DISTANCE_MAX_MS 40
/* A claim costs more than its rows: near the ceiling one waits for room for several, but not long. */
#define ROOM_SHARE 8
#define ROOM_WAIT_MS 40
#define PARKED_MS 500 /* between tries to settle what somebody's open transaction holds */
#define PARKED_MAX 64
#define LEAVE_ROWS 16
/* After a claim that threw. */
#define CLAIM_BACKOFF_FIRST_MS 250
#define CLAIM_BACKOFF_LAST_MS 10000

TzFlightList *
tz_flights_of(TzDispatcher *d, TzFlightState state)
{
	return &d->carrier.flights.lists[state];
}

int64
tz_cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * INT64CONST(1000000) + t.tv_nsec / 1000;
}

/* Most rows of one part of a transaction, if nobody talks so many as max. */
static int
rows_max(const TzDispatcher *d, const TzPace *pace, int max)
{
	if (d->carrier.flights.flows == 0)
		return max;
	return tz_pace_units(pace, STREAMING_US, STREAMING_ROWS_FIRST, STREAMING_ROWS_MIN, max);
}

bool
tz_turn_news(TzDispatcher *d)
{
	return tz_flights_of(d, TZ_FLIGHT_ENDED)->n > 0 || d->carrier.notes.n > 0 ||
	       tz_scripts_ready(d->carrier.scripts) > 0;
}

bool
tz_turn_room(TzDispatcher *d, TimestampTz now)
{
	return now >= d->claim_not_before && d->carrier.flights.n - d->nsettle < tz_guc_http_max_calls &&
	       tz_flights_of(d, TZ_FLIGHT_CLAIMED)->n == 0;
}

TimestampTz
tz_turn_claim_time(const TzDispatcher *d)
{
	int room = tz_guc_http_max_calls - (d->carrier.flights.n - d->nsettle);

	return room >= tz_guc_http_max_calls / ROOM_SHARE ? d->sql_at : Max(d->sql_at, d->room_at);
}

/* The oldest ended ones, as many as one transaction should take, at most max. */
static void
collect_ended(TzDispatcher *d, int max)
{
	TzFlightList *ended = tz_flights_of(d, TZ_FLIGHT_ENDED);
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
settled(TzDispatcher *d, TzFlight *f)
{
	tz_carrier_settled(&d->carrier, f);
	tz_flight_free(f);
}

/* They are the first of the list, in its order. locked (or NULL): those that wait for somebody's transaction. */
static void
forget_settled(TzDispatcher *d, int n, const bool *locked)
{
	TzFlightList *ended = tz_flights_of(d, TZ_FLIGHT_ENDED);

	for (int i = 0; i < n; i++)
	{
		if (locked != NULL && locked[i])
			tz_flight_move(ended->first, TZ_FLIGHT_PARKED);
		else
			settled(d, ended->first);
	}
	d->nsettle = 0;
}

void
tz_turn_parked(TzDispatcher *d)
{
	TzFlightList *parked = tz_flights_of(d, TZ_FLIGHT_PARKED);

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

bool
tz_turn_sent_due(TzDispatcher *d, TimestampTz now)
{
	const TzFlight *f = d->carrier.flights.first_unnoted;

	return f != NULL && now - f->started >= TZ_SENT_AFTER_MS * 1000;
}

static void
tell_sent(TzDispatcher *d)
{
	int max = Min(d->carrier.flights.unnoted, rows_max(d, &d->marking, SENT_ROWS_MAX));
	int64 began = tz_cpu_us();
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
	tz_pace_took(&d->marking, n, tz_cpu_us() - began);
}

static void
mark_cancelled(void *arg, const char *id, int attempt)
{
	TzDispatcher *d = arg;
	TzFlight *f = tz_inflight_find(&d->carrier.flights, id, attempt);

	if (f == NULL || f->cancel)
		return;
	f->cancel = true;
	d->cancels = true;
}

static void
claim(TzDispatcher *d, TimestampTz now)
{
	int batch = rows_max(d, &d->claiming, tz_guc_claim_batch);
	int want = Min(batch, tz_guc_http_max_calls - d->carrier.flights.n + d->nsettle);
	int64 began = tz_cpu_us();
	TimestampTz due;
	int got;

	if (want <= 0)
		return;
	if (!tz_inflight_reserve(&d->carrier.flights, want))
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	tz_take_programs(tz_scripts_room(d->carrier.scripts));
	got = tz_effect_claim(d->slot, d->incarnation, want, tz_guc_lease_ms, d->careful, tz_carrier_open,
	                      &d->claimed);
	d->programs_left = tz_take_programs_left();
	d->claim_us = tz_cpu_us() - began;
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
	due = tz_effect_next_due(d->slot, !d->programs_left);
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
turn_transaction(TzDispatcher *d, bool claiming, TimestampTz now)
{
	uint32 epoch = tz_worker_cancel_epoch();
	int calls = Min(tz_scripts_ready(d->carrier.scripts),
	                d->carrier.flights.flows > 0 ? CALLS_STREAMING : CALLS_PER_TURN);
	bool only_marks = d->nsettle == 0 && !claiming && d->carrier.notes.n == 0 && calls == 0;

	tz_txn_begin("theazo: dispatching", TZ_TURN_TIMEOUT_MS);
	d->phase = TZ_PHASE_NOTES;
	if (d->carrier.notes.n > 0)
		tz_notes_write(&d->carrier.notes, NOTES_PER_TURN);
	d->phase = TZ_PHASE_SETTLE;
	if (d->nsettle > 0)
	{
		int64 began = tz_cpu_us();

		TZ_PAUSE_POINT("dispatcher-before-done");
		tz_effect_lock_wait(TZ_DONE_LOCK_MS);
		tz_script_answers_reset();
		tz_effect_done(d->settle, d->nsettle);
		tz_pace_took(&d->settling, d->nsettle, tz_cpu_us() - began);
	}
	if (d->halting && d->nsettle > 0)
		tz_wake_at_commit(TZ_WAKE_KEEPER);
	d->phase = TZ_PHASE_CALLS;
	if (calls > 0)
	{
		TZ_PAUSE_POINT("dispatcher-before-calls");
		tz_effect_lock_wait(TZ_DONE_LOCK_MS);
		tz_script_judge(d->carrier.scripts, d->slot, calls);
	}
	d->phase = TZ_PHASE_MARKS;
	if (tz_turn_sent_due(d, now))
		tell_sent(d);
	if (epoch != d->cancel_epoch)
		tz_effect_cancels(d->incarnation, mark_cancelled, d);
	d->phase = TZ_PHASE_CLAIM;
	if (claiming)
		claim(d, now);
	/* last: other dispatchers wait for the rows of these agents */
	d->phase = TZ_PHASE_SETTLE;
	if (d->nsettle > 0)
	{
		tz_effect_lock_wait(TZ_DONE_LOCK_MS);
		tz_counted_write();
	}
	d->phase = TZ_PHASE_COMMIT;
	if (only_marks)
		tz_txn_commit_lazy();
	else
		tz_txn_commit();
	d->cancel_epoch = epoch;
}

/* From the end of a transaction that took so long to the beginning of the next. */
static int
distance_ms(TzDispatcher *d, int64 took_us)
{
	int flying = tz_flights_of(d, TZ_FLIGHT_FLYING)->n;
	int ms = Min(flying / FLYING_PER_MS, DISTANCE_MAX_MS);

	if (tz_scripts_running(d->carrier.scripts) >= SCRIPTS_SEVERAL)
		ms = Max(ms, SCRIPTS_DISTANCE_MS);

	if (flying < BUSY_FLYING)
		return ms;
	return Max(ms, (int) Min(took_us / 1000, BUSY_DISTANCE_MAX_MS));
}

/* What the transaction did is durable. */
static void
turn_committed(TzDispatcher *d, bool claiming, TimestampTz began)
{
	TimestampTz now = GetCurrentTimestamp();

	d->phase = TZ_PHASE_IDLE;
	d->sql_at = TimestampTzPlusMilliseconds(now, distance_ms(d, now - began));
	if (claiming)
	{
		d->room_at = TimestampTzPlusMilliseconds(now, ROOM_WAIT_MS);
		d->careful = false;
		d->claim_backoff_ms = 0;
	}
	if (claiming && d->more)
		tz_worker_pass_on();
	if (claiming && d->programs_left)
		tz_worker_pass_programs();
	tz_notes_written(&d->carrier.notes, true);
	tz_script_judged(d->carrier.scripts, true);
	forget_settled(d, d->nsettle, NULL);
	if (!tz_turn_news(d))
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
claim_failed(TzDispatcher *d)
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
turn_failed(TzDispatcher *d)
{
	TzPhase phase = d->phase;
	bool locked =
		(phase == TZ_PHASE_SETTLE || phase == TZ_PHASE_CALLS) && geterrcode() == ERRCODE_LOCK_NOT_AVAILABLE;
	bool *waits;
	int settled = 0;

	d->phase = TZ_PHASE_IDLE;
	tz_claimed_free_list(&d->claimed);
	tz_notes_written(&d->carrier.notes, false);
	tz_script_judged(d->carrier.scripts, false);
	d->want_claim = true;
	if (tz_worker_stopping())
		PG_RE_THROW();
	if (phase == TZ_PHASE_CLAIM)
	{
		claim_failed(d);
		return;
	}
	if ((tz_error_is_passing(geterrcode()) && !locked) || phase == TZ_PHASE_MARKS || phase == TZ_PHASE_IDLE ||
	    (phase == TZ_PHASE_COMMIT && d->nsettle == 0))
		PG_RE_THROW();

	FlushErrorState();
	tz_txn_abort();
	if (phase == TZ_PHASE_NOTES)
	{
		tz_notes_write_each(&d->carrier.notes, NOTES_PER_TURN);
		return;
	}
	/* what was to be settled is, with the next turn */
	if (phase == TZ_PHASE_CALLS)
	{
		tz_script_judge_each(d->carrier.scripts, d->slot, CALLS_PER_TURN);
		return;
	}
	tz_script_answers_reset();
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
turn_sql(TzDispatcher *d, bool claiming, TimestampTz now)
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

void
tz_turn_rows(TzDispatcher *d, bool stopping)
{
	TimestampTz now = GetCurrentTimestamp();
	bool cut = d->cancel_epoch != tz_worker_cancel_epoch();
	bool claiming;

	if (now < d->sql_at && !cut && !stopping)
		return;
	if (now >= d->claim_at)
		d->want_claim = true;
	if (tz_flights_of(d, TZ_FLIGHT_PARKED)->n > 0 && now >= d->parked_at)
		tz_turn_parked(d);
	collect_ended(d, rows_max(d, &d->settling, SETTLE_ROWS_MAX));
	/* what a program asks of the network is queued and claimed in one */
	if (tz_scripts_wants_fetch(d->carrier.scripts))
		d->want_claim = true;
	/* a place for what had none */
	if (d->programs_left && tz_scripts_room(d->carrier.scripts) > 0)
		d->want_claim = true;
	claiming = !stopping && d->want_claim && tz_turn_room(d, now) && now >= tz_turn_claim_time(d);
	if (claiming && d->careful && tz_turn_news(d))
		turn_sql(d, false, now);
	if (claiming || tz_turn_news(d) || cut || tz_turn_sent_due(d, now))
		turn_sql(d, claiming, now);
}

void
tz_turn_leave(TzDispatcher *d, TimestampTz give_up)
{
	do
	{
		collect_ended(d, LEAVE_ROWS);
		if (d->nsettle == 0 && d->carrier.notes.n == 0)
			return;
		turn_sql(d, false, GetCurrentTimestamp());
	} while (GetCurrentTimestamp() < give_up);
}
