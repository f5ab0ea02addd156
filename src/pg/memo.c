/*-------------------------------------------------------------------------
 *
 * memo.c
 *	  When what a backend remembers of rows is still true.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/trigger.h"
#include "utils/inval.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "pg/export.h"
#include "pg/memo.h"

static uint64 memo_generation = 0;

static void memo_relation_changed(Datum arg, Oid relation);
static void memo_catalog_changed(Datum arg, int cache, uint32 hash);

uint64
tz_memo_generation(void)
{
	if (memo_generation == 0)
	{
		CacheRegisterRelcacheCallback(memo_relation_changed, (Datum) 0);
		CacheRegisterSyscacheCallback(AUTHOID, memo_catalog_changed, (Datum) 0);
		CacheRegisterSyscacheCallback(PROCOID, memo_catalog_changed, (Datum) 0);
		memo_generation = 1;
	}
	return memo_generation;
}

bool
tz_memo_begin(void)
{
	if (IsInParallelMode())
		return false;
	PushActiveSnapshot(GetLatestSnapshot());
	return true;
}

void
tz_memo_end(void)
{
	PopActiveSnapshot();
}

/* theazo_internal.memo_reset(): trigger for each statement on the tables that memos are made of */
THEAZO_FUNCTION(theazo_memo_reset)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event))
		ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
		        errmsg("\"memo_reset\" must be called as a trigger for each statement"));
	CacheInvalidateRelcache(trigger->tg_relation);
	return PointerGetDatum(NULL);
}

/* Any relation: such messages are rare, and reading again is cheap. */
static void
memo_relation_changed(Datum arg, Oid relation)
{
	memo_generation++;
}

static void
memo_catalog_changed(Datum arg, int cache, uint32 hash)
{
	memo_generation++;
}
