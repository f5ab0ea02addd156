/*-------------------------------------------------------------------------
 *
 * workerstatus.c
 *	  What SQL may see of the workers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "pg/export.h"
#include "pg/guc.h"
#include "pg/shmem.h"

#define STATUS_COLUMNS 9

static void status_row(ReturnSetInfo *rsinfo, const TzWorkerSlot *slot, Oid dboid, const char *why);
static const char *status_why(int dbindex, bool launcher);
static const char *status_why_launcher(const TzWorkerSlot *slot);

static const char *const kind_names[] = {
	[TZ_WORKER_LAUNCHER] = "launcher",
	[TZ_WORKER_KEEPER] = "keeper",
	[TZ_WORKER_DISPATCHER] = "dispatcher",
	[TZ_WORKER_GATEWAY] = "gateway",
};

/*
 * worker_status(): the launcher, and every place of this database. A place that
 * is empty is a row without a pid whose note says why.
 */
THEAZO_FUNCTION(theazo_worker_status)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	int dbindex;
	int n;
	TzWorkerSlot *slots;
	const char *why;

	InitMaterializedSRF(fcinfo, 0);
	tz_shmem_require();
	dbindex = tz_database_find(MyDatabaseId);
	n = tz_slots_per_database();
	slots = palloc0(sizeof(TzWorkerSlot) * (n + 1));

	/* copied under the lock, written out without it */
	LWLockAcquire(tz_shared->lock, LW_SHARED);
	slots[0] = tz_shared->launcher;
	for (int i = 0; i < n; i++)
	{
		if (dbindex >= 0)
			slots[i + 1] = *tz_slot_at(dbindex, i);
		else
		{
			slots[i + 1].kind = tz_slot_kind(i);
			slots[i + 1].number = tz_slot_number(i);
		}
	}
	LWLockRelease(tz_shared->lock);

	why = status_why(dbindex, slots[0].phase == TZ_SLOT_RUNNING);
	status_row(rsinfo, &slots[0], InvalidOid, status_why_launcher(&slots[0]));
	for (int i = 0; i < n; i++)
		status_row(rsinfo, &slots[i + 1], MyDatabaseId, why);
	return (Datum) 0;
}

/* The postmaster starts it again and again, unless it had no place for it when it read the libraries. */
static const char *
status_why_launcher(const TzWorkerSlot *slot)
{
	if (RecoveryInProgress())
		return "the server is a standby";
	if (slot->started_at != 0)
		return "restarts within a second";
	return psprintf("never started: raise max_worker_processes (now %d) and restart the server",
	                max_worker_processes);
}

/* Why would a place of this database be empty? */
static const char *
status_why(int dbindex, bool launcher)
{
	if (RecoveryInProgress())
		return "the server is a standby";
	if (!tz_guc_enabled)
		return "theazo.enabled is off";
	if (!launcher)
		return "the launcher is not running";
	if (!tz_guc_database_listed(get_database_name(MyDatabaseId), false))
		return "theazo.databases does not list this database";
	if (dbindex < 0)
		return "the launcher has not looked at this database yet";
	return "about to start";
}

static void
status_row(ReturnSetInfo *rsinfo, const TzWorkerSlot *slot, Oid dboid, const char *why)
{
	bool running = slot->phase == TZ_SLOT_RUNNING;
	Datum values[STATUS_COLUMNS] = {0};
	bool nulls[STATUS_COLUMNS] = {false};
	const char *note = slot->note;

	if (!running && note[0] == '\0')
		note = slot->phase == TZ_SLOT_STARTING ? "starting" : why;
	values[0] = CStringGetTextDatum(kind_names[slot->kind]);
	values[1] = Int32GetDatum(slot->number);
	values[2] = Int32GetDatum(slot->pid);
	values[3] = Int64GetDatum(slot->incarnation);
	values[4] = ObjectIdGetDatum(dboid);
	values[5] = TimestampTzGetDatum(slot->started_at);
	values[6] = CStringGetTextDatum(running ? slot->state : "absent");
	values[7] = Int32GetDatum(slot->inflight);
	values[8] = CStringGetTextDatum(note);
	nulls[2] = nulls[3] = nulls[5] = !running;
	nulls[4] = !OidIsValid(dboid);
	nulls[8] = note[0] == '\0';
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* workers_alive(): incarnations of the workers of this database. */
THEAZO_FUNCTION(theazo_workers_alive)
{
	Datum values[1 + TZ_DISPATCHERS_MAX + TZ_GATEWAYS_MAX];
	int n = 0;
	int dbindex;

	(void) fcinfo;
	tz_shmem_require();
	dbindex = tz_database_find(MyDatabaseId);
	LWLockAcquire(tz_shared->lock, LW_SHARED);
	for (int i = 0; dbindex >= 0 && i < tz_slots_per_database(); i++)
	{
		TzWorkerSlot *slot = tz_slot_at(dbindex, i);

		if (slot->phase == TZ_SLOT_RUNNING)
			values[n++] = Int64GetDatum(slot->incarnation);
	}
	LWLockRelease(tz_shared->lock);
	PG_RETURN_ARRAYTYPE_P(construct_array(values, n, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}
