/*-------------------------------------------------------------------------
 *
 * wake.c
 *	  Wake-ups that happen when, and only when, a transaction commits.
 *
 * A backend collects flags and, at commit, sets latches through shared memory.
 * No NOTIFY: its queue serialises commits, and workers may not LISTEN. A wake-up
 * that is lost (prepared, replicated or restored rows) costs at most one safety
 * turn. A subtransaction that rolls back leaves its flag: a needless wake-up.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/proc.h"

#include "pg/errors.h"
#include "pg/export.h"
#include "pg/guc.h"
#include "pg/shmem.h"
#include "pg/wake.h"
#include "pg/worker.h"

static int pending = 0; /* TZ_WAKE_ bits of this transaction */
static uint32 pending_slots = 0; /* a bit for each dispatcher */
static uint64 pending_runs = 0; /* a bit for each bucket: runs that ended */
static uint64 pending_moves = 0; /* the same: runs that took a step */

StaticAssertDecl(TZ_DISPATCHERS_MAX <= 32, "pending_slots has a bit for each dispatcher");
StaticAssertDecl(TZ_RUN_BUCKETS <= 64, "pending_runs has a bit for each bucket");

static void wake_xact_callback(XactEvent event, void *arg);
static void wake_slot(TzWorkerSlot *slot);
static void wake_halt_epoch(TzDatabase *db);
static int wake_known(TzDatabase *db, int what);
static void wake_slots(int dbindex, int what);
static bool wake_sleeper(int dbindex);
static void wake_numbered(uint32 slots);
static void wake_watchers(Oid dboid, uint64 ended, uint64 moved);
static void wake_runs(uint64 ended, uint64 moved);

void
tz_wake_init(void)
{
	RegisterXactCallback(wake_xact_callback, NULL);
}

void
tz_wake_at_commit(int what)
{
	pending |= what;
}

void
tz_wake_slot_at_commit(int slot)
{
	pending_slots |= ((uint32) 1) << slot;
}

void
tz_wake_run_at_commit(const char *run_id, size_t len)
{
	pending_runs |= UINT64CONST(1) << tz_wake_run_bucket(run_id, len);
}

void
tz_wake_run_moved_at_commit(const char *run_id, size_t len)
{
	pending_moves |= UINT64CONST(1) << tz_wake_run_bucket(run_id, len);
}

int
tz_wake_run_bucket(const char *run_id, size_t len)
{
	return hash_bytes((const unsigned char *) run_id, (int) len) % TZ_RUN_BUCKETS;
}

int
tz_wake_bell(const char *run_id, size_t len)
{
	return hash_bytes((const unsigned char *) run_id, (int) len) % TZ_BELLS;
}

void
tz_wake_now(Oid dboid, int what)
{
	int dbindex = tz_database_find(dboid);

	if (dbindex >= 0)
	{
		TzDatabase *db = &tz_shared->database[dbindex];

		what = wake_known(db, what);
		if (what == 0)
			return;
		if (what & TZ_WAKE_CANCEL)
			pg_atomic_fetch_add_u32(&db->cancel_epoch, 1);
		if (what & TZ_WAKE_HALT)
			wake_halt_epoch(db);
		LWLockAcquire(tz_shared->lock, what & TZ_WAKE_EXTENSION ? LW_EXCLUSIVE : LW_SHARED);
		if (what & TZ_WAKE_EXTENSION)
		{
			/* a database without workers is probed again */
			pg_atomic_fetch_add_u32(&db->extension_epoch, 1);
			if (db->extension == TZ_EXTENSION_ABSENT)
				db->extension = TZ_EXTENSION_UNKNOWN;
		}
		wake_slots(dbindex, what);
		LWLockRelease(tz_shared->lock);
	}
	if (what & (TZ_WAKE_EXTENSION | TZ_WAKE_RESCAN))
	{
		pg_atomic_write_u32(&tz_shared->rescan, 1);
		tz_wake_launcher();
	}
}

void
tz_wake_launcher(void)
{
	if (tz_shared == NULL)
		return;
	LWLockAcquire(tz_shared->lock, LW_SHARED);
	wake_slot(&tz_shared->launcher);
	LWLockRelease(tz_shared->lock);
}

/* It says that nothing is known while it is 0. */
static void
wake_halt_epoch(TzDatabase *db)
{
	if (pg_atomic_add_fetch_u32(&db->halt_epoch, 1) == 0)
		pg_atomic_fetch_add_u32(&db->halt_epoch, 1);
}

/*
 * Marks what the keeper shall do, and takes out what was marked already: under
 * load most commits find the mark of another and touch nothing.
 */
static int
wake_known(TzDatabase *db, int what)
{
	if (what & TZ_WAKE_SEAL)
	{
		/* our rows are visible before the mark is looked at; the keeper takes it away before it looks at rows */
		pg_memory_barrier();
		if (pg_atomic_read_u32(&db->events) != 0 || pg_atomic_exchange_u32(&db->events, 1) != 0)
			what &= ~TZ_WAKE_SEAL;
	}
	if (what & (TZ_WAKE_KEEPER | TZ_WAKE_EXTENSION | TZ_WAKE_HALT))
		pg_atomic_write_u32(&db->upkeep, 1);
	return what;
}

/* With the lock. */
static void
wake_slots(int dbindex, int what)
{
	const int all = TZ_WAKE_DISPATCHERS | TZ_WAKE_CANCEL | TZ_WAKE_EXTENSION | TZ_WAKE_HALT;

	if (what & (TZ_WAKE_KEEPER | TZ_WAKE_EXTENSION | TZ_WAKE_SEAL | TZ_WAKE_REFUSED | TZ_WAKE_HALT))
		wake_slot(tz_slot_at(dbindex, 0));
	if (what & (TZ_WAKE_GATEWAYS | TZ_WAKE_EXTENSION))
	{
		for (int i = tz_slots_dispatchers_end(); i < tz_slots_per_database(); i++)
			wake_slot(tz_slot_at(dbindex, i));
	}
	if (what & all)
	{
		for (int i = 1; i < tz_slots_dispatchers_end(); i++)
			wake_slot(tz_slot_at(dbindex, i));
	}
	else if ((what & TZ_WAKE_ONE) && !wake_sleeper(dbindex))
	{
		/* each looks before it sleeps again, so that one that is full or stuck swallows nothing */
		for (int i = 1; i < tz_slots_dispatchers_end(); i++)
			wake_slot(tz_slot_at(dbindex, i));
	}
}

/*
 * With the lock: the first that sleeps and has room, so that at low load it is
 * always the same. It counts as awake at once: the next commit wakes another,
 * should this one be slow to rise.
 */
static bool
wake_sleeper(int dbindex)
{
	for (int i = 1; i < tz_slots_dispatchers_end(); i++)
	{
		TzWorkerSlot *slot = tz_slot_at(dbindex, i);
		uint32 asleep = TZ_ROOM_ASLEEP;

		if (slot->phase == TZ_SLOT_RUNNING &&
		    pg_atomic_compare_exchange_u32(&slot->room, &asleep, TZ_ROOM_AWAKE))
		{
			wake_slot(slot);
			return true;
		}
	}
	return false;
}

/* Only those with room, or two that are full would wake each other for ever. */
void
tz_wake_pass_on(Oid dboid, int not_slot)
{
	int dbindex = tz_database_find(dboid);

	if (dbindex < 0)
		return;
	LWLockAcquire(tz_shared->lock, LW_SHARED);
	if (!wake_sleeper(dbindex))
	{
		for (int i = 1; i < tz_slots_dispatchers_end(); i++)
		{
			TzWorkerSlot *slot = tz_slot_at(dbindex, i);

			if (slot->number != not_slot && pg_atomic_read_u32(&slot->room) == TZ_ROOM_AWAKE)
				wake_slot(slot);
		}
	}
	LWLockRelease(tz_shared->lock);
}

void
tz_wake_programs(Oid dboid, int not_slot)
{
	int dbindex = tz_database_find(dboid);

	if (dbindex < 0)
		return;
	LWLockAcquire(tz_shared->lock, LW_SHARED);
	for (int i = 1; i < tz_slots_dispatchers_end(); i++)
	{
		TzWorkerSlot *slot = tz_slot_at(dbindex, i);

		if (slot->number != not_slot && slot->phase == TZ_SLOT_RUNNING &&
		    pg_atomic_read_u32(&slot->places) != 0)
		{
			wake_slot(slot);
			break;
		}
	}
	LWLockRelease(tz_shared->lock);
}

/* Dispatchers of this database by their number. */
static void
wake_numbered(uint32 slots)
{
	int dbindex = tz_database_find(MyDatabaseId);

	if (dbindex < 0)
		return;
	LWLockAcquire(tz_shared->lock, LW_SHARED);
	for (int i = 1; i < tz_slots_dispatchers_end(); i++)
	{
		if (slots & (((uint32) 1) << (i - 1)))
			wake_slot(tz_slot_at(dbindex, i));
	}
	LWLockRelease(tz_shared->lock);
}

/* The process may be gone and its PGPROC another's: that one sees a spurious wake-up. */
static void
wake_slot(TzWorkerSlot *slot)
{
	if (slot->phase == TZ_SLOT_RUNNING)
		SetLatch(&ProcGlobal->allProcs[slot->procno].procLatch);
}

/* One hash decides on bucket and bell, and one number divides the other. */
static void
ring_bells(int bucket)
{
	for (int i = bucket; i < TZ_BELLS; i += TZ_RUN_BUCKETS)
		ConditionVariableBroadcast(&tz_shared->bell[i]);
}

/* Gateways of a database that wait for such runs or follow them. */
static void
wake_watchers(Oid dboid, uint64 ended, uint64 moved)
{
	int dbindex;

	if (tz_shared->gateways == 0 || (dbindex = tz_database_find(dboid)) < 0)
		return;
	for (int i = tz_slots_dispatchers_end(); i < tz_slots_per_database(); i++)
	{
		TzWorkerSlot *slot = tz_slot_at(dbindex, i);

		/* without the lock: at worst a latch is set for nothing */
		if (((pg_atomic_read_u64(&slot->watch_ended) & ended) |
		     (pg_atomic_read_u64(&slot->watch_moved) & (ended | moved))) != 0)
			wake_slot(slot);
	}
}

void
tz_wake_followers(Oid dboid, int bell)
{
	if (tz_shared->gateways == 0)
		return;
	/* what was written stands before the bits are read: who follows sets its bit, then looks at the text */
	pg_memory_barrier();
	wake_watchers(dboid, 0, UINT64CONST(1) << bell % TZ_RUN_BUCKETS);
}

/* A step is for those who follow; whoever waits for the end of a run sleeps through it. */
static void
wake_runs(uint64 ended, uint64 moved)
{
	for (int i = 0; i < TZ_RUN_BUCKETS; i++)
	{
		if (!((ended | moved) & (UINT64CONST(1) << i)))
			continue;
		/* the generations first: a waiter prepares its sleep, then looks at them */
		pg_atomic_fetch_add_u32(&tz_shared->run[i].generation, 1);
		if (ended & (UINT64CONST(1) << i))
		{
			pg_atomic_fetch_add_u32(&tz_shared->run[i].ended, 1);
			ConditionVariableBroadcast(&tz_shared->run[i].cv);
		}
		if (pg_atomic_read_u32(&tz_shared->followers) > 0)
			ring_bells(i);
	}
	pg_memory_barrier();
	wake_watchers(MyDatabaseId, ended, moved);
}

/* Runs after the transaction became visible to others; must not throw. */
static void
wake_xact_callback(XactEvent event, void *arg)
{
	int what = pending;
	uint32 slots = pending_slots;
	uint64 runs = pending_runs;
	uint64 moves = pending_moves;

	(void) arg;
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	pending = 0;
	pending_slots = 0;
	pending_runs = 0;
	pending_moves = 0;
	if (event != XACT_EVENT_COMMIT || tz_shared == NULL)
		return;
	/* Switched off: nobody would carry it, and being switched on wakes everybody. */
	if (!tz_guc_enabled)
	{
		what &= ~(TZ_WAKE_DISPATCHERS | TZ_WAKE_ONE | TZ_WAKE_CANCEL);
		slots = 0;
	}
	/* The next step of a call that a dispatcher settles is best its own: the connection is warm. */
	if ((what & TZ_WAKE_ONE) && tz_worker_takes_own())
		what &= ~TZ_WAKE_ONE;
	if (what != 0)
		tz_wake_now(MyDatabaseId, what);
	if (slots != 0)
		wake_numbered(slots);
	if ((runs | moves) != 0)
		wake_runs(runs, moves);
}

void
tz_wake_for(const int32 *slot)
{
	tz_shmem_require();
	if (slot == NULL)
		tz_wake_at_commit(TZ_WAKE_ONE);
	else if (*slot < 0)
		tz_wake_at_commit(TZ_WAKE_DISPATCHERS);
	else if (*slot < TZ_DISPATCHERS_MAX)
		tz_wake_slot_at_commit(*slot);
}

THEAZO_FUNCTION(theazo_wake)
{
	int32 slot = PG_ARGISNULL(0) ? 0 : PG_GETARG_INT32(0);

	tz_wake_for(PG_ARGISNULL(0) ? NULL : &slot);
	PG_RETURN_VOID();
}

THEAZO_FUNCTION(theazo_wake_cancel)
{
	(void) fcinfo;
	tz_shmem_require();
	tz_wake_at_commit(TZ_WAKE_DISPATCHERS | TZ_WAKE_CANCEL);
	PG_RETURN_VOID();
}

THEAZO_FUNCTION(theazo_wake_halt)
{
	(void) fcinfo;
	tz_shmem_require();
	tz_wake_at_commit(TZ_WAKE_HALT);
	PG_RETURN_VOID();
}

THEAZO_FUNCTION(theazo_wake_keeper)
{
	(void) fcinfo;
	tz_shmem_require();
	tz_wake_at_commit(TZ_WAKE_KEEPER);
	PG_RETURN_VOID();
}

THEAZO_FUNCTION(theazo_launcher_notice)
{
	(void) fcinfo;
	tz_shmem_require();
	tz_wake_at_commit(TZ_WAKE_EXTENSION);
	PG_RETURN_VOID();
}

THEAZO_FUNCTION(theazo_run_notify)
{
	text *run_id = PG_GETARG_TEXT_PP(0);

	tz_shmem_require();
	tz_wake_run_at_commit(VARDATA_ANY(run_id), VARSIZE_ANY_EXHDR(run_id));
	PG_RETURN_VOID();
}

THEAZO_FUNCTION(theazo_run_moved)
{
	text *run_id = PG_GETARG_TEXT_PP(0);

	tz_shmem_require();
	tz_wake_run_moved_at_commit(VARDATA_ANY(run_id), VARSIZE_ANY_EXHDR(run_id));
	PG_RETURN_VOID();
}
