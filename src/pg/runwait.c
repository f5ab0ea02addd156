/*-------------------------------------------------------------------------
 *
 * runwait.c
 *	  Waiting until a commit says that a run has ended.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "utils/timestamp.h"

#include "pg/compat.h"
#include "pg/errors.h"
#include "pg/export.h"
#include "pg/guc.h"
#include "pg/runwait.h"
#include "pg/shmem.h"
#include "pg/wake.h"

#define BLOCK_MAX_MS 25000 /* longest wait inside a transaction */

static bool counted = false;

static void waiter_exit(int code, Datum arg);

uint32
tz_run_generation(int bucket)
{
	return pg_atomic_read_u32(&tz_shared->run[bucket].generation);
}

uint32
tz_run_ended(int bucket)
{
	return pg_atomic_read_u32(&tz_shared->run[bucket].ended);
}

void
tz_run_wait_begin(void)
{
	static bool registered = false;

	if (!registered)
	{
		/* a FATAL exit runs no PG_FINALLY */
		before_shmem_exit(waiter_exit, (Datum) 0);
		registered = true;
	}
	if (counted)
		return; /* a procedure called by one that waits already */
	if (pg_atomic_fetch_add_u32(&tz_shared->waiters, 1) >= (uint32) tz_guc_max_waiters)
	{
		pg_atomic_fetch_sub_u32(&tz_shared->waiters, 1);
		ereport(ERROR, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
		                errmsg("too many callers are waiting for runs"),
		                errdetail("theazo.max_waiters is %d.", tz_guc_max_waiters),
		                errhint("Ask for the run again later, or raise theazo.max_waiters.")));
	}
	counted = true;
}

void
tz_run_wait_end(void)
{
	if (counted)
	{
		counted = false;
		pg_atomic_fetch_sub_u32(&tz_shared->waiters, 1);
	}
}

bool
tz_run_wait(int bucket, uint32 seen, long timeout_ms)
{
	TzRunBucket *run = &tz_shared->run[bucket];
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), timeout_ms);
	bool moved;
	static uint32 wait_event = 0;

	if (wait_event == 0)
		wait_event = tz_wait_event_new("TheazoRunWait");
	ConditionVariablePrepareToSleep(&run->cv);
	for (;;)
	{
		long left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until);

		moved = pg_atomic_read_u32(&run->ended) != seen;
		if (moved || left <= 0)
			break;
		/* an error in here is followed by an abort, which leaves the queue */
		(void) ConditionVariableTimedSleep(&run->cv, left, wait_event);
	}
	ConditionVariableCancelSleep();
	return moved;
}

static void
waiter_exit(int code, Datum arg)
{
	(void) code;
	(void) arg;
	tz_run_wait_end();
}

void
tz_run_wait_check(const char *id)
{
	if (IsolationUsesXactSnapshot())
		ereport(
			ERROR,
			(errcode(ERRCODE_TZ_WOULD_WAIT),
		     errmsg("cannot wait for run \"%s\" in a transaction above READ COMMITTED", id),
		     errdetail("Its snapshot would never show the run's end."),
		     errhint(
				 "Use READ COMMITTED, CALL theazo.exec(), or ask theazo.run_get() in later transactions.")));
	if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
		ereport(ERROR,
		        (errcode(ERRCODE_TZ_WOULD_WAIT),
		         errmsg("cannot wait for run \"%s\" in a transaction that has written something", id),
		         errdetail("What this transaction has not committed yet may be what the run waits for."),
		         errhint("Commit first, then wait; or use CALL theazo.exec(), which commits by itself.")));
}

/*
 * run_block(run_id text, timeout_ms int) returns boolean
 *
 * True: look at the run again. The first call for a run says so at once, which
 * makes a loop "look, block, look" safe: a later call waits for what was
 * committed since the one before.
 */
THEAZO_FUNCTION(theazo_run_block)
{
	static char armed[64] = "";
	static uint32 armed_generation = 0;
	text *arg = PG_GETARG_TEXT_PP(0);
	int32 timeout_ms = PG_GETARG_INT32(1);
	char id[sizeof(armed)] = "";
	int bucket;
	volatile bool moved = true;

	tz_shmem_require();
	if (VARSIZE_ANY_EXHDR(arg) >= sizeof(id))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("run id is too long")));
	if (timeout_ms < 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("timeout must not be negative")));
	memcpy(id, VARDATA_ANY(arg), VARSIZE_ANY_EXHDR(arg));
	bucket = tz_wake_run_bucket(id, strlen(id));

	tz_run_wait_check(id);
	if (strcmp(armed, id) == 0)
	{
		tz_run_wait_begin();
		PG_TRY();
		{
			moved = tz_run_wait(bucket, armed_generation, Min(timeout_ms, BLOCK_MAX_MS));
		}
		PG_FINALLY();
		{
			tz_run_wait_end();
		}
		PG_END_TRY();
	}
	armed_generation = tz_run_ended(bucket);
	strlcpy(armed, id, sizeof(armed));
	PG_RETURN_BOOL(moved);
}
