/*-------------------------------------------------------------------------
 *
 * txn.c
 *	  A worker's transactions: the one order of begin and end.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"

#include "pg/compat.h"
#include "pg/txn.h"
#include "pg/worker.h"

#define ROLE_OF_WORKERS "theazo_worker"
#define LEAVING_TIMEOUT_MS 400 /* longest statement of a worker that was told to stop */

static volatile bool txn_is_open = false; /* read by the SIGTERM handler */
static const char *txn_role_name = ROLE_OF_WORKERS;
static Oid saved_user;
static int saved_sec_context;

static void txn_open(const char *activity, int timeout_ms, int isolation);
static void txn_close(void);

void
tz_txn_role(const char *role)
{
	txn_role_name = role;
}

void
tz_txn_begin(const char *activity, int timeout_ms)
{
	txn_open(activity, timeout_ms, XACT_READ_COMMITTED);
}

void
tz_txn_begin_snapshot(const char *activity, int timeout_ms)
{
	txn_open(activity, timeout_ms, XACT_REPEATABLE_READ);
}

static void
txn_open(const char *activity, int timeout_ms, int isolation)
{
	Assert(!txn_is_open);
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	txn_is_open = true;
	XactIsoLevel = isolation;
	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, activity);
	GetUserIdAndSecContext(&saved_user, &saved_sec_context);
	SetUserIdAndSecContext(get_role_oid(txn_role_name, false),
	                       saved_sec_context | SECURITY_LOCAL_USERID_CHANGE);
	if (tz_worker_stopping() && (timeout_ms == 0 || timeout_ms > LEAVING_TIMEOUT_MS))
		timeout_ms = LEAVING_TIMEOUT_MS;
	if (timeout_ms > 0)
		enable_timeout_after(STATEMENT_TIMEOUT, timeout_ms);
}

void
tz_txn_commit(void)
{
	txn_close();
}

void
tz_txn_commit_lazy(void)
{
	/* local to the transaction: undone at its end */
	(void) set_config_option("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true,
	                         0, false);
	txn_close();
}

void
tz_txn_abort(void)
{
	disable_all_timeouts(false);
	QueryCancelPending = false;
	/* gives SPI, snapshots, locks and the user id back */
	AbortOutOfAnyTransaction();
	txn_is_open = false;
	pgstat_report_activity(STATE_IDLE, NULL);
}

bool
tz_txn_open(void)
{
	return txn_is_open;
}

static void
txn_close(void)
{
	Assert(txn_is_open);
	disable_timeout(STATEMENT_TIMEOUT, false);
	/* a cancel that came too late belongs to no later statement */
	QueryCancelPending = false;
	SetUserIdAndSecContext(saved_user, saved_sec_context);
	SPI_finish();
	PopActiveSnapshot();
	CommitTransactionCommand();
	txn_is_open = false;
	(void) pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, NULL);
	MemoryContextSwitchTo(tz_worker_cycle());
}

bool
tz_txn_try(const char *activity, int timeout_ms, void (*work)(void *arg), void *arg, ErrorData **error)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool ok = false;

	PG_TRY();
	{
		tz_txn_begin(activity, timeout_ms);
		work(arg);
		tz_txn_commit();
		ok = true;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		*error = CopyErrorData();
		FlushErrorState();
		tz_txn_abort();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	return ok;
}
