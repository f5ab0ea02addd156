/*-------------------------------------------------------------------------
 *
 * pausepoint.c
 *	  Named places where a test can hold a process. Test builds only.
 *
 * The SQL functions exist in every build, so that the install script does not
 * depend on how the library was built; elsewhere they refuse.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/builtins.h"

#include "pg/compat.h"
#include "pg/export.h"
#include "pg/pausepoint.h"
#include "pg/shmem.h"
#include "pg/worker.h"

#ifdef THEAZO_PAUSE_POINTS

static TzPausePoint *pause_find(const char *name, bool make);

void
tz_pause_point(const char *name)
{
	TzPausePoint *point = tz_shared ? pause_find(name, false) : NULL;

	if (point == NULL || pg_atomic_read_u32(&point->on) == 0)
		return;
	pg_atomic_fetch_add_u32(&point->hits, 1);
	pg_atomic_fetch_add_u32(&point->waiting, 1);
	while (pg_atomic_read_u32(&point->on) != 0 && !tz_worker_stopping())
		(void) WaitLatch(NULL, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 5, PG_WAIT_EXTENSION);
	pg_atomic_fetch_sub_u32(&point->waiting, 1);
}

static TzPausePoint *
pause_find(const char *name, bool make)
{
	TzPausePoint *found = NULL;

	LWLockAcquire(tz_shared->lock, make ? LW_EXCLUSIVE : LW_SHARED);
	for (int i = 0; i < TZ_PAUSE_POINTS_MAX && found == NULL; i++)
	{
		TzPausePoint *point = &tz_shared->pause[i];

		if (strcmp(point->name, name) == 0)
			found = point;
		else if (point->name[0] == '\0')
		{
			if (!make)
				break;
			strlcpy(point->name, name, sizeof(point->name));
			found = point;
		}
	}
	LWLockRelease(tz_shared->lock);
	return found;
}

#endif /* THEAZO_PAUSE_POINTS */

THEAZO_FUNCTION(theazo_pause_point)
{
#ifdef THEAZO_PAUSE_POINTS
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	TzPausePoint *point;

	tz_shmem_require();
	if (strlen(name) >= sizeof(point->name) || name[0] == '\0')
		ereport(ERROR,
		        (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("\"%s\" cannot name a pause point", name)));
	point = pause_find(name, true);
	if (point == NULL)
		ereport(ERROR, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
		                errmsg("there are at most %d pause points", TZ_PAUSE_POINTS_MAX)));
	pg_atomic_write_u32(&point->on, PG_GETARG_BOOL(1) ? 1 : 0);
	PG_RETURN_VOID();
#else
	(void) fcinfo;
	ereport(ERROR,
	        (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("this library was built without pause points")));
	PG_RETURN_VOID();
#endif
}

/* pause_points(): name, on, waiting, hits. */
THEAZO_FUNCTION(theazo_pause_points)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	tz_shmem_require();
	for (int i = 0; i < TZ_PAUSE_POINTS_MAX; i++)
	{
		TzPausePoint *point = &tz_shared->pause[i];
		Datum values[4];
		bool nulls[4] = {false};

		if (point->name[0] == '\0')
			break;
		values[0] = CStringGetTextDatum(point->name);
		values[1] = BoolGetDatum(pg_atomic_read_u32(&point->on) != 0);
		values[2] = Int32GetDatum((int32) pg_atomic_read_u32(&point->waiting));
		values[3] = Int32GetDatum((int32) pg_atomic_read_u32(&point->hits));
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
