/*-------------------------------------------------------------------------
 *
 * sealing.c
 *	  When the keeper seals events.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "pg/guc.h"
#include "pg/pausepoint.h"
#include "pg/spi.h"
#include "pg/txn.h"
#include "pg/worker.h"
#include "worker/sealing.h"

#define PACE_MS 200 /* between two turns under load */
#define FAILED_FIRST_MS 1000
#define FAILED_LAST_MS 30000

static bool marked = true; /* there may be something: at the start nobody knows */
static TimestampTz last_at = 0; /* when the last turn began */
static int pause_ms = PACE_MS; /* from then to the next */

static bool sealing_once(void);

int
tz_sealing_turn(void)
{
	TimestampTz now;
	int due_ms = tz_sealing_due();

	if (due_ms > 0)
		return due_ms;
	now = GetCurrentTimestamp();
	TZ_PAUSE_POINT("keeper-seal");
	/* taken away before the snapshot: who commits later marks it again */
	(void) tz_worker_events_marked();
	marked = false;
	last_at = now;
	marked = sealing_once();
	return tz_sealing_due();
}

int
tz_sealing_due(void)
{
	TimestampTz now = GetCurrentTimestamp();
	long passed_ms;

	marked = tz_worker_events_marked() || marked;
	/* a clock that was set back must not put sealing off */
	if (last_at == 0 || now < last_at)
		return 0;
	passed_ms = TimestampDifferenceMilliseconds(last_at, now);
	return (int) Max(0, (marked ? pause_ms : Max(pause_ms, tz_guc_keeper_interval_ms)) - passed_ms);
}

/* One transaction; true when there is more to do. */
static bool
sealing_once(void)
{
	static TzStmt seal = {"SELECT theazo_internal.audit_seal()", 0, {0}};
	volatile bool more = false;
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		bool again;

		tz_txn_begin_snapshot("theazo keeper: seal", 0);
		(void) tz_spi_exec(&seal, NULL, NULL, 1);
		again = tz_spi_int32(0, 1, 0) < 0;
		TZ_PAUSE_POINT("seal-commit");
		/* What a crash takes back is sealed again; a checkpoint's commit makes all before it last. */
		tz_txn_commit_lazy();
		pause_ms = again ? 0 : PACE_MS;
		more = again;
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		errcontext("sealing of events");
		tz_worker_note("sealing: %s", error->message);
		tz_worker_recover();
		pause_ms = Max(FAILED_FIRST_MS, Min(pause_ms * 2, FAILED_LAST_MS));
		more = true;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	return more;
}
