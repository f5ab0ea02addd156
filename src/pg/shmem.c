/*-------------------------------------------------------------------------
 *
 * shmem.c
 *	  Size and set-up of the shared area.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"

#include "pg/guc.h"
#include "pg/shmem.h"

TzShared *tz_shared = NULL;

static shmem_request_hook_type previous_request = NULL;
static shmem_startup_hook_type previous_startup = NULL;

static void shmem_request(void);
static void shmem_startup(void);
static Size shmem_size(void);
static void shmem_fill(void);

void
tz_shmem_init(void)
{
	previous_request = shmem_request_hook;
	shmem_request_hook = shmem_request;
	previous_startup = shmem_startup_hook;
	shmem_startup_hook = shmem_startup;
}

void
tz_shmem_require(void)
{
	if (tz_shared != NULL)
		return;
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
	                errmsg("theazo was not loaded when the server started"),
	                errhint("Add theazo to shared_preload_libraries and restart the server.")));
}

int
tz_database_find(Oid dboid)
{
	static int last = 0; /* a backend asks for the same one again and again */

	if (tz_shared == NULL || !OidIsValid(dboid))
		return -1;
	if (pg_atomic_read_u32(&tz_shared->database[last].dboid) == dboid)
		return last;
	for (int i = 0; i < TZ_DATABASES_MAX; i++)
	{
		if (pg_atomic_read_u32(&tz_shared->database[i].dboid) == dboid)
		{
			last = i;
			return i;
		}
	}
	return -1;
}

int
tz_slots_per_database(void)
{
	return 1 + tz_shared->dispatchers + tz_shared->gateways;
}

int
tz_slots_dispatchers_end(void)
{
	return 1 + tz_shared->dispatchers;
}

TzWorkerKind
tz_slot_kind(int position)
{
	if (position == 0)
		return TZ_WORKER_KEEPER;
	return position < tz_slots_dispatchers_end() ? TZ_WORKER_DISPATCHER : TZ_WORKER_GATEWAY;
}

int
tz_slot_number(int position)
{
	if (position == 0)
		return 0;
	return position < tz_slots_dispatchers_end() ? position - 1 : position - tz_slots_dispatchers_end();
}

TzWorkerSlot *
tz_slot_at(int dbindex, int position)
{
	Assert(dbindex >= 0 && dbindex < TZ_DATABASES_MAX);
	Assert(position >= 0 && position < tz_slots_per_database());
	return &tz_shared->slot[dbindex * tz_slots_per_database() + position];
}

static Size
shmem_size(void)
{
	return add_size(offsetof(TzShared, slot),
	                mul_size(sizeof(TzWorkerSlot),
	                         mul_size(TZ_DATABASES_MAX, 1 + tz_guc_dispatchers + tz_guc_gateway_workers)));
}

static void
shmem_request(void)
{
	if (previous_request)
		previous_request();
	RequestAddinShmemSpace(shmem_size());
	RequestNamedLWLockTranche("theazo", 1);
}

static void
shmem_startup(void)
{
	bool found;

	if (previous_startup)
		previous_startup();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	tz_shared = ShmemInitStruct("theazo", shmem_size(), &found);
	if (!found)
		shmem_fill();
	LWLockRelease(AddinShmemInitLock);
}

static void
shmem_fill(void)
{
	memset(tz_shared, 0, shmem_size());
	tz_shared->lock = &(GetNamedLWLockTranche("theazo"))->lock;
	tz_shared->dispatchers = tz_guc_dispatchers;
	tz_shared->gateways = tz_guc_gateway_workers;
	pg_atomic_init_u32(&tz_shared->waiters, 0);
	pg_atomic_init_u64(&tz_shared->last_number, 0);
	pg_atomic_init_u32(&tz_shared->followers, 0);
	pg_atomic_init_u32(&tz_shared->rescan, 0);
	for (int i = 0; i < TZ_BELLS; i++)
		ConditionVariableInit(&tz_shared->bell[i]);
	for (int i = 0; i < TZ_RUN_BUCKETS; i++)
	{
		ConditionVariableInit(&tz_shared->run[i].cv);
		pg_atomic_init_u32(&tz_shared->run[i].generation, 1);
		pg_atomic_init_u32(&tz_shared->run[i].ended, 1);
	}
	for (int i = 0; i < TZ_PAUSE_POINTS_MAX; i++)
	{
		pg_atomic_init_u32(&tz_shared->pause[i].on, 0);
		pg_atomic_init_u32(&tz_shared->pause[i].waiting, 0);
		pg_atomic_init_u32(&tz_shared->pause[i].hits, 0);
	}
	tz_shared->launcher.kind = TZ_WORKER_LAUNCHER;
	for (int i = 0; i < TZ_DATABASES_MAX; i++)
	{
		TzDatabase *db = &tz_shared->database[i];

		pg_atomic_init_u32(&db->dboid, InvalidOid);
		pg_atomic_init_u32(&db->cancel_epoch, 1);
		pg_atomic_init_u32(&db->halt_epoch, 1);
		pg_atomic_init_u32(&db->extension_epoch, 1);
		pg_atomic_init_u32(&db->unwanted, 0);
		pg_atomic_init_u32(&db->quiesce, 0);
		pg_atomic_init_u32(&db->sql_tools, 0);
		pg_atomic_init_u32(&db->events, 0);
		pg_atomic_init_u32(&db->upkeep, 0);
		for (int j = 0; j < tz_slots_per_database(); j++)
		{
			TzWorkerSlot *slot = tz_slot_at(i, j);

			pg_atomic_init_u32(&slot->room, TZ_ROOM_NONE);
			pg_atomic_init_u32(&slot->places, 0);
			pg_atomic_init_u64(&slot->watch_ended, 0);
			pg_atomic_init_u64(&slot->watch_moved, 0);
			slot->kind = tz_slot_kind(j);
			slot->number = tz_slot_number(j);
		}
	}
}
