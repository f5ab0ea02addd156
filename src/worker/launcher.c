/*-------------------------------------------------------------------------
 *
 * launcher.c
 *	  The static worker that keeps all others alive.
 *
 * Connected to no database, it reads pg_database, and for each one that
 * theazo.databases names starts the keeper as a dynamic worker. The keeper is
 * the probe as well: it looks for the extension, says in shared memory what it
 * found, and leaves where there is nothing to keep. Where the extension is,
 * the dispatchers follow.
 *
 * The server restarts none of them (BGW_NEVER_RESTART): who is wanted depends
 * on the extension, on settings and on statements that need a database empty,
 * and only the launcher knows. Each place has a backoff of its own. A restarted
 * launcher finds the workers of its predecessor in shared memory.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "gateway/listen.h"
#include "pg/export.h"
#include "pg/guc.h"
#include "pg/shmem.h"
#include "pg/txn.h"
#include "pg/wake.h"
#include "pg/worker.h"
#include "pg/worker_start.h"
#include "worker/launcher.h"

#define SCAN_INTERVAL_MS 60000 /* pg_database is read this often even if nobody says anything */
#define TURN_INTERVAL_MS 5000
#define PROBES_MAX 4 /* databases looked into at the same time */
#define START_PATIENCE_MS 15000 /* a registered worker of a former launcher has so long to appear */
#define GOOD_LIFE_MS 10000 /* a worker that lived so long did not fail at start */
#define RETRY_FIRST_MS 500
#define RETRY_LAST_MS 60000
#define STARVED_RETRY_MS 2000

/* What only the launcher knows about a slot. */
typedef struct Place
{
	BackgroundWorkerHandle *handle;
	TimestampTz began_at;
	TimestampTz retry_at;
	int failures;
	bool starved; /* wanted, but the server has no slot */
} Place;

static Place places[TZ_DATABASES_MAX][1 + TZ_DISPATCHERS_MAX + TZ_GATEWAYS_MAX];
static NameData names[TZ_DATABASES_MAX];
static MemoryContext turn_context;
static TimestampTz scan_at = 0;
static bool starved = false; /* said that background worker slots are missing */
static bool crowded = false; /* said that there are too many databases */

extern PGDLLEXPORT void theazo_launcher_main(Datum main_arg);

static void launcher_attach(void);
static void launcher_detach(int code, Datum arg);
static int launcher_turn(void);
static void launcher_scan(void);
static void launcher_entry(Oid dboid, const char *dbname, bool *seen);
static void launcher_drop_unseen(const bool *seen);
static void launcher_free_empty(void);
static int launcher_probes(void);
static void launcher_say_fed(void);
static bool gateway_has_address(int dbindex, int position);
static bool place_wanted(int dbindex, int position, int *probes);
static void place_tend(int dbindex, int position, int *probes, TimestampTz *next);
static bool place_reap(int dbindex, int position, TzWorkerSlot *slot);
static bool place_start(int dbindex, int position);
static void place_starved(int dbindex, int position);

void
tz_launcher_register(void)
{
	BackgroundWorker worker = {0};

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 1;
	snprintf(worker.bgw_name, BGW_MAXLEN, "theazo launcher");
	snprintf(worker.bgw_type, BGW_MAXLEN, "theazo launcher");
	snprintf(worker.bgw_library_name, sizeof(worker.bgw_library_name), "theazo");
	snprintf(worker.bgw_function_name, sizeof(worker.bgw_function_name), "theazo_launcher_main");
	RegisterBackgroundWorker(&worker);
}

void
theazo_launcher_main(Datum main_arg)
{
	(void) main_arg;
	tz_worker_signals();
	launcher_attach();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	/* from here on without a FATAL in the log at every stop of the server */
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	turn_context = AllocSetContextCreate(TopMemoryContext, "theazo launcher turn", ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		volatile int next_ms = TURN_INTERVAL_MS;

		MemoryContextSwitchTo(turn_context);
		PG_TRY();
		{
			next_ms = launcher_turn();
		}
		PG_CATCH();
		{
			tz_worker_recover();
			scan_at = 0;
		}
		PG_END_TRY();
		MemoryContextSwitchTo(turn_context);
		MemoryContextReset(turn_context);
		if (ShutdownRequestPending)
			proc_exit(1);
		if (tz_worker_wait(next_ms) & TZ_TURN_RELOADED)
		{
			/* a new list, or permission to go on: forget every backoff */
			scan_at = 0;
			for (int i = 0; i < TZ_DATABASES_MAX; i++)
				for (size_t j = 0; j < lengthof(places[i]); j++)
					places[i][j].retry_at = 0;
		}
	}
}

static void
launcher_attach(void)
{
	int64 incarnation = 0;

	while (incarnation == 0)
		if (!pg_strong_random(&incarnation, sizeof(incarnation)))
			elog(FATAL, "could not get random bytes");
	LWLockAcquire(tz_shared->lock, LW_EXCLUSIVE);
	tz_shared->launcher.phase = TZ_SLOT_RUNNING;
	tz_shared->launcher.pid = MyProcPid;
	tz_shared->launcher.procno = tz_my_procno();
	tz_shared->launcher.incarnation = incarnation;
	tz_shared->launcher.started_at = GetCurrentTimestamp();
	strlcpy(tz_shared->launcher.state, "running", sizeof(tz_shared->launcher.state));
	LWLockRelease(tz_shared->lock);
	on_shmem_exit(launcher_detach, (Datum) 0);
}

static void
launcher_detach(int code, Datum arg)
{
	(void) code;
	(void) arg;
	LWLockAcquire(tz_shared->lock, LW_EXCLUSIVE);
	if (tz_shared->launcher.pid == MyProcPid)
	{
		tz_shared->launcher.phase = TZ_SLOT_FREE;
		tz_shared->launcher.pid = 0;
		tz_shared->launcher.state[0] = '\0';
	}
	LWLockRelease(tz_shared->lock);
}

/* Looks at every place once; returns milliseconds until the next look. */
static int
launcher_turn(void)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next = TimestampTzPlusMilliseconds(now, TURN_INTERVAL_MS);
	int probes;

	if (pg_atomic_exchange_u32(&tz_shared->rescan, 0) != 0 || now >= scan_at)
	{
		launcher_scan();
		scan_at = TimestampTzPlusMilliseconds(now, SCAN_INTERVAL_MS);
	}
	launcher_free_empty();
	probes = launcher_probes();
	for (int i = 0; i < TZ_DATABASES_MAX; i++)
		if (pg_atomic_read_u32(&tz_shared->database[i].dboid) != InvalidOid)
			for (int j = 0; j < tz_slots_per_database(); j++)
				place_tend(i, j, &probes, &next);
	launcher_say_fed();
	return (int) Max(0, TimestampDifferenceMilliseconds(GetCurrentTimestamp(), next));
}

/* ---- databases ---------------------------------------------------------- */

/* Compares pg_database with the entries in shared memory. */
static void
launcher_scan(void)
{
	bool seen[TZ_DATABASES_MAX] = {false};
	Relation rel;
	TableScanDesc scan;
	HeapTuple tuple;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);

		/* -2 marks a database whose DROP was interrupted */
		if (form->datallowconn && form->datconnlimit != -2 &&
		    tz_guc_database_listed(NameStr(form->datname), form->datistemplate))
			launcher_entry(form->oid, NameStr(form->datname), seen);
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();
	MemoryContextSwitchTo(turn_context);
	launcher_drop_unseen(seen);
}

/* A database that is wanted: finds or makes its entry. */
static void
launcher_entry(Oid dboid, const char *dbname, bool *seen)
{
	int dbindex = tz_database_find(dboid);
	TzDatabase *db;

	if (dbindex < 0)
	{
		for (dbindex = 0; dbindex < TZ_DATABASES_MAX; dbindex++)
			if (pg_atomic_read_u32(&tz_shared->database[dbindex].dboid) == InvalidOid)
				break;
		if (dbindex == TZ_DATABASES_MAX)
		{
			if (!crowded)
				ereport(LOG, (errmsg("theazo serves at most %d databases of a server", TZ_DATABASES_MAX),
				              errdetail("Database \"%s\" gets no workers.", dbname),
				              errhint("List the databases that use theazo in theazo.databases.")));
			crowded = true;
			return;
		}
		LWLockAcquire(tz_shared->lock, LW_EXCLUSIVE);
		db = &tz_shared->database[dbindex];
		db->extension = TZ_EXTENSION_UNKNOWN;
		pg_atomic_write_u32(&db->unwanted, 0);
		pg_atomic_write_u32(&db->quiesce, 0);
		pg_atomic_write_u32(&db->dboid, dboid);
		LWLockRelease(tz_shared->lock);
		memset(places[dbindex], 0, sizeof(places[dbindex]));
	}
	else
	{
		db = &tz_shared->database[dbindex];
		LWLockAcquire(tz_shared->lock, LW_EXCLUSIVE);
		if (pg_atomic_exchange_u32(&db->unwanted, 0) != 0)
			db->extension = TZ_EXTENSION_UNKNOWN;
		LWLockRelease(tz_shared->lock);
	}
	namestrcpy(&names[dbindex], dbname);
	seen[dbindex] = true;
}

/* Databases that went, or are not listed any more: their workers shall leave. */
static void
launcher_drop_unseen(const bool *seen)
{
	for (int i = 0; i < TZ_DATABASES_MAX; i++)
	{
		TzDatabase *db = &tz_shared->database[i];
		Oid dboid = pg_atomic_read_u32(&db->dboid);

		if (seen[i] || dboid == InvalidOid)
			continue;
		pg_atomic_write_u32(&db->unwanted, 1);
		tz_wake_now(dboid, TZ_WAKE_DISPATCHERS | TZ_WAKE_KEEPER | TZ_WAKE_GATEWAYS);
	}
}

/* Gives entries back once nobody is left in them. */
static void
launcher_free_empty(void)
{
	for (int i = 0; i < TZ_DATABASES_MAX; i++)
	{
		TzDatabase *db = &tz_shared->database[i];
		bool empty = true;

		if (pg_atomic_read_u32(&db->dboid) == InvalidOid || pg_atomic_read_u32(&db->unwanted) == 0)
			continue;
		LWLockAcquire(tz_shared->lock, LW_EXCLUSIVE);
		for (int j = 0; j < tz_slots_per_database(); j++)
			if (tz_slot_at(i, j)->phase != TZ_SLOT_FREE)
				empty = false;
		/* a statement that quiesced it still counts on the entry */
		if (empty && pg_atomic_read_u32(&db->quiesce) == 0)
		{
			pg_atomic_write_u32(&db->dboid, InvalidOid);
			for (int j = 0; j < tz_slots_per_database(); j++)
				tz_slot_at(i, j)->note[0] = '\0';
			crowded = false;
		}
		LWLockRelease(tz_shared->lock);
	}
}

/* ---- places ------------------------------------------------------------- */

/* Keepers on their way that do not know yet what they will find. */
static int
launcher_probes(void)
{
	int probes = 0;

	LWLockAcquire(tz_shared->lock, LW_SHARED);
	for (int i = 0; i < TZ_DATABASES_MAX; i++)
		if (pg_atomic_read_u32(&tz_shared->database[i].dboid) != InvalidOid &&
		    tz_shared->database[i].extension == TZ_EXTENSION_UNKNOWN &&
		    tz_slot_at(i, 0)->phase != TZ_SLOT_FREE)
			probes++;
	LWLockRelease(tz_shared->lock);
	return probes;
}

/* Says, once, that no place lacks a slot of the server any more. */
static void
launcher_say_fed(void)
{
	if (!starved)
		return;
	for (int i = 0; i < TZ_DATABASES_MAX; i++)
		for (int j = 0; j < tz_slots_per_database(); j++)
			if (places[i][j].starved && pg_atomic_read_u32(&tz_shared->database[i].dboid) != InvalidOid)
				return;
	starved = false;
	ereport(LOG, (errmsg("theazo found the background worker slots it was missing")));
}

/* Do workers of another database serve the address already? Called with the lock held. */
static bool
address_taken(int dbindex, int entry)
{
	for (int i = 0; i < TZ_DATABASES_MAX; i++)
	{
		if (i == dbindex || pg_atomic_read_u32(&tz_shared->database[i].dboid) == InvalidOid ||
		    tz_listen_entry(NameStr(names[i])) != entry)
			continue;
		for (int j = tz_slots_dispatchers_end(); j < tz_slots_per_database(); j++)
			if (tz_slot_at(i, j)->phase != TZ_SLOT_FREE)
				return true;
	}
	return false;
}

/* A gateway without one is not started; its place says why. Called with the lock held. */
static bool
gateway_has_address(int dbindex, int position)
{
	TzWorkerSlot *slot = tz_slot_at(dbindex, position);
	int entry = tz_listen_entry(NameStr(names[dbindex]));
	const char *trouble = tz_listen_trouble(entry);

	if (trouble == NULL && address_taken(dbindex, entry))
		trouble =
			"another database serves the address: name them in theazo.gateway_listen (database=address:port)";
	if (trouble == NULL)
		return true;
	strlcpy(slot->note, trouble, sizeof(slot->note));
	return false;
}

/* Should a worker be here? Called with the lock held. */
static bool
place_wanted(int dbindex, int position, int *probes)
{
	TzDatabase *db = &tz_shared->database[dbindex];

	if (!tz_guc_enabled || pg_atomic_read_u32(&db->unwanted) != 0 || pg_atomic_read_u32(&db->quiesce) != 0)
		return false;
	if (tz_slot_kind(position) == TZ_WORKER_GATEWAY &&
	    (db->extension != TZ_EXTENSION_PRESENT || !gateway_has_address(dbindex, position)))
		return false;
	switch (db->extension)
	{
		case TZ_EXTENSION_UNKNOWN:
			if (position != 0 || *probes >= PROBES_MAX)
				return false;
			(*probes)++;
			return true;
		case TZ_EXTENSION_ABSENT:
			return false;
		case TZ_EXTENSION_PRESENT:
			return true;
		case TZ_EXTENSION_MISMATCH:
			return position == 0;
	}
	return false;
}

/* Looks at one place; starts a worker where one is wanted, due and missing. */
static void
place_tend(int dbindex, int position, int *probes, TimestampTz *next)
{
	Place *place = &places[dbindex][position];
	TzWorkerSlot *slot = tz_slot_at(dbindex, position);
	TimestampTz now = GetCurrentTimestamp();
	bool start = false;

	LWLockAcquire(tz_shared->lock, LW_EXCLUSIVE);
	if (!place_reap(dbindex, position, slot) || !place_wanted(dbindex, position, probes))
		place->starved = false;
	else
	{
		if (now >= place->retry_at)
		{
			slot->phase = TZ_SLOT_STARTING;
			slot->started_at = now;
			slot->dboid = pg_atomic_read_u32(&tz_shared->database[dbindex].dboid);
			start = true;
		}
		else
			*next = Min(*next, place->retry_at);
	}
	LWLockRelease(tz_shared->lock);
	if (!start)
		return;
	if (place_start(dbindex, position))
	{
		place->began_at = now;
		place->starved = false;
	}
	else
	{
		place_starved(dbindex, position);
		*next = Min(*next, place->retry_at);
	}
}

/*
 * Finds out whether a place is empty, and reckons the backoff when a worker has
 * just gone. Called with the lock held, so it must not throw.
 */
static bool
place_reap(int dbindex, int position, TzWorkerSlot *slot)
{
	Place *place = &places[dbindex][position];
	TimestampTz now = GetCurrentTimestamp();
	pid_t pid;

	if (slot->phase == TZ_SLOT_RUNNING)
		return false;
	if (place->handle == NULL)
	{
		/* registered by a former launcher: it appears, or it never will */
		if (slot->phase == TZ_SLOT_STARTING &&
		    !TimestampDifferenceExceeds(slot->started_at, now, START_PATIENCE_MS))
			return false;
		slot->phase = TZ_SLOT_FREE;
		return true;
	}
	if (GetBackgroundWorkerPid(place->handle, &pid) != BGWH_STOPPED)
		return false; /* starting, or past its slot but not reaped yet */
	if (slot->phase == TZ_SLOT_STARTING)
	{
		/* ended before it took the slot */
		slot->phase = TZ_SLOT_FREE;
		slot->planned = false;
	}
	pfree(place->handle);
	place->handle = NULL;
	if (slot->planned || TimestampDifferenceExceeds(place->began_at, now, GOOD_LIFE_MS))
		place->failures = 0;
	else
		place->failures = Min(place->failures + 1, 10);
	if (place->failures > 0 && slot->note[0] == '\0')
		strlcpy(slot->note, "ended soon after its start, see the server log; will be tried again",
		        sizeof(slot->note));
	place->retry_at =
		place->failures == 0
			? now
			: TimestampTzPlusMilliseconds(now, Min(RETRY_FIRST_MS << (place->failures - 1), RETRY_LAST_MS));
	return true;
}

/* Registers the worker; false when the server has no slot left. */
static bool
place_start(int dbindex, int position)
{
	static const char *const kinds[] = {[TZ_WORKER_KEEPER] = "keeper",
	                                    [TZ_WORKER_DISPATCHER] = "dispatcher",
	                                    [TZ_WORKER_GATEWAY] = "gateway"};
	TzWorkerKind kind = tz_slot_kind(position);
	const char *what = kinds[kind];
	BackgroundWorker worker = {0};
	TzWorkerStart start = {0};
	MemoryContext old;
	bool ok;

	start.dboid = pg_atomic_read_u32(&tz_shared->database[dbindex].dboid);
	start.dbindex = dbindex;
	start.position = position;
	start.number = tz_slot_number(position);
	start.kind = kind;
	StaticAssertStmt(sizeof(start) <= BGW_EXTRALEN, "TzWorkerStart must fit bgw_extra");
	memcpy(worker.bgw_extra, &start, sizeof(start));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	if (position == 0)
		snprintf(worker.bgw_name, BGW_MAXLEN, "theazo keeper of %s", NameStr(names[dbindex]));
	else
		snprintf(worker.bgw_name, BGW_MAXLEN, "theazo %s %d of %s", what, start.number,
		         NameStr(names[dbindex]));
	snprintf(worker.bgw_type, BGW_MAXLEN, "theazo %s", what);
	snprintf(worker.bgw_library_name, sizeof(worker.bgw_library_name), "theazo");
	snprintf(worker.bgw_function_name, sizeof(worker.bgw_function_name), "theazo_%s_main", what);

	old = MemoryContextSwitchTo(TopMemoryContext);
	ok = RegisterDynamicBackgroundWorker(&worker, &places[dbindex][position].handle);
	MemoryContextSwitchTo(old);
	return ok;
}

/* No slot: says once which setting to raise, shows it where the worker would be, tries again. */
static void
place_starved(int dbindex, int position)
{
	TzWorkerSlot *slot = tz_slot_at(dbindex, position);
	Place *place = &places[dbindex][position];

	place->handle = NULL;
	place->retry_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), STARVED_RETRY_MS);
	place->starved = true;
	LWLockAcquire(tz_shared->lock, LW_EXCLUSIVE);
	slot->phase = TZ_SLOT_FREE;
	snprintf(slot->note, sizeof(slot->note),
	         "no background worker slot is free: raise max_worker_processes (now %d)", max_worker_processes);
	LWLockRelease(tz_shared->lock);
	if (starved)
		return;
	starved = true;
	ereport(
		LOG,
		(errmsg("theazo cannot start a worker for database \"%s\": no background worker slot is free",
	            NameStr(names[dbindex])),
	     errdetail(
			 "max_worker_processes is %d; theazo needs 1 and, for each database, 1 plus theazo.dispatchers (%d) plus theazo.gateway_workers (%d).",
			 max_worker_processes, tz_shared->dispatchers, tz_shared->gateways),
	     errhint("Raise max_worker_processes and restart the server.")));
}
