/*-------------------------------------------------------------------------
 *
 * stats.c
 *	  What gateway workers have done, for metrics: counters in shared memory.
 *
 * Each worker writes its own and nobody else's, so plain stores of words are
 * enough. They outlive the worker and count on in the next one at its place, as
 * metrics want it; a restart of the server begins anew.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/builtins.h"

#include "gateway/stats.h"
#include "pg/export.h"
#include "pg/guc.h"
#include "pg/shmem.h"

#define CLASSES 4 /* 2xx to 5xx */

typedef struct Stats
{
	pg_atomic_uint32 dboid; /* whose figures these are */
	pg_atomic_uint64 replies[CLASSES];
	pg_atomic_uint64 turns; /* transactions */
	pg_atomic_uint64 carried; /* requests in them */
	pg_atomic_uint64 us; /* time spent in them */
	pg_atomic_uint32 connections;
	pg_atomic_uint32 waiting;
	pg_atomic_uint32 streams;
} Stats;

static Stats *all = NULL; /* gateways of each database entry */
static Stats *mine = NULL;
static shmem_request_hook_type previous_request = NULL;
static shmem_startup_hook_type previous_startup = NULL;

static Size
stats_size(void)
{
	return mul_size(sizeof(Stats), TZ_DATABASES_MAX * tz_guc_gateway_workers);
}

static void
stats_request(void)
{
	if (previous_request)
		previous_request();
	RequestAddinShmemSpace(stats_size());
}

static void
stats_startup(void)
{
	bool found;

	if (previous_startup)
		previous_startup();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	all = ShmemInitStruct("theazo gateway", stats_size(), &found);
	if (!found)
		memset(all, 0, stats_size());
	LWLockRelease(AddinShmemInitLock);
}

void
tz_gateway_stats_init(void)
{
	if (tz_guc_gateway_workers == 0)
		return;
	previous_request = shmem_request_hook;
	shmem_request_hook = stats_request;
	previous_startup = shmem_startup_hook;
	shmem_startup_hook = stats_startup;
}

void
tz_gateway_stats_attach(int number)
{
	int dbindex = tz_database_find(MyDatabaseId);

	if (dbindex < 0)
		return;
	mine = &all[dbindex * tz_guc_gateway_workers + number];
	if (pg_atomic_read_u32(&mine->dboid) != MyDatabaseId)
		memset(mine, 0, sizeof(*mine));
	pg_atomic_write_u32(&mine->dboid, MyDatabaseId);
}

static void
add(pg_atomic_uint64 *counter, int64 n)
{
	pg_atomic_write_u64(counter, pg_atomic_read_u64(counter) + n);
}

void
tz_gateway_count_reply(int status)
{
	if (mine != NULL && status >= 200 && status < 600)
		add(&mine->replies[status / 100 - 2], 1);
}

void
tz_gateway_count_turn(int requests, int64 us)
{
	if (mine == NULL)
		return;
	add(&mine->turns, 1);
	add(&mine->carried, requests);
	add(&mine->us, us);
}

void
tz_gateway_gauge(int connections, int waiting, int streams)
{
	if (mine == NULL)
		return;
	pg_atomic_write_u32(&mine->connections, connections);
	pg_atomic_write_u32(&mine->waiting, waiting);
	pg_atomic_write_u32(&mine->streams, streams);
}

/* gateway_counters(): a row for each gateway of this database. */
THEAZO_FUNCTION(theazo_gateway_counters)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	int dbindex;

	InitMaterializedSRF(fcinfo, 0);
	tz_shmem_require();
	dbindex = tz_database_find(MyDatabaseId);
	for (int i = 0; all != NULL && dbindex >= 0 && i < tz_guc_gateway_workers; i++)
	{
		Stats *s = &all[dbindex * tz_guc_gateway_workers + i];
		Datum values[11];
		bool nulls[11] = {false};
		int n = 0;

		if (pg_atomic_read_u32(&s->dboid) != MyDatabaseId)
			continue;
		values[n++] = Int32GetDatum(i);
		values[n++] = Int32GetDatum(pg_atomic_read_u32(&s->connections));
		values[n++] = Int32GetDatum(pg_atomic_read_u32(&s->waiting));
		values[n++] = Int32GetDatum(pg_atomic_read_u32(&s->streams));
		for (int k = 0; k < CLASSES; k++)
			values[n++] = Int64GetDatum(pg_atomic_read_u64(&s->replies[k]));
		values[n++] = Int64GetDatum(pg_atomic_read_u64(&s->turns));
		values[n++] = Int64GetDatum(pg_atomic_read_u64(&s->carried));
		values[n++] = Float8GetDatum(pg_atomic_read_u64(&s->us) / 1e6);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
