/*-------------------------------------------------------------------------
 *
 * row.c
 *	  Finds one row by its primary key and replaces it, without a statement.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "pg/compat.h"
#include "pg/objects.h"
#include "pg/row.h"

static bool row_is_plain(Relation table);

bool
tz_row_find(TzRow *row, const char *table, int nkeys, const Datum *keys)
{
	ScanKeyData scan_keys[TZ_ROW_KEYS_MAX];
	Relation index;
	IndexScanDesc scan;
	bool found;

	Assert(nkeys <= TZ_ROW_KEYS_MAX);
	row->slot = NULL;
	row->table = table_openrv(makeRangeVar("theazo_data", (char *) table, -1), RowExclusiveLock);
	PreventCommandIfReadOnly("UPDATE");
	PreventCommandIfParallelMode("UPDATE");
	if (!row_is_plain(row->table))
		return false;
	row->slot = table_slot_create(row->table, NULL);

	/* what this transaction did before, also in the statement that calls */
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	index = index_open(tz_primary_key(row->table), RowExclusiveLock);
	if (IndexRelationGetNumberOfKeyAttributes(index) != nkeys)
		tz_objects_differ("The primary key of table \"%s\" has not %d columns.", table, nkeys);
	for (int i = 0; i < nkeys; i++)
		ScanKeyEntryInitialize(&scan_keys[i], 0, (AttrNumber) (i + 1), BTEqualStrategyNumber, InvalidOid,
		                       index->rd_indcollation[i], F_TEXTEQ, keys[i]);
	scan = tz_index_beginscan(row->table, index, GetActiveSnapshot(), nkeys);
	index_rescan(scan, scan_keys, nkeys, NULL, 0);
	found = index_getnext_slot(scan, ForwardScanDirection, row->slot);
	if (found)
	{
		ExecMaterializeSlot(row->slot);
		slot_getallattrs(row->slot);
	}
	index_endscan(scan);
	index_close(index, NoLock);
	PopActiveSnapshot();
	return found;
}

bool
tz_row_replace(TzRow *row, const Datum *values, const bool *nulls)
{
	TupleDesc desc = RelationGetDescr(row->table);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	TM_FailureData failure;
	LockTupleMode lock_mode;
	TzUpdateIndexes indexes = TZ_UPDATE_NO_INDEXES;
	TM_Result result;

	memcpy(slot->tts_values, values, sizeof(Datum) * desc->natts);
	memcpy(slot->tts_isnull, nulls, sizeof(bool) * desc->natts);
	ExecStoreVirtualTuple(slot);
	PushActiveSnapshot(GetTransactionSnapshot());
	result = table_tuple_update(row->table, &row->slot->tts_tid, slot, GetCurrentCommandId(true),
	                            GetActiveSnapshot(), InvalidSnapshot, true, &failure, &lock_mode, &indexes);
	if (result == TM_Ok && indexes != TZ_UPDATE_NO_INDEXES)
	{
		EState *estate = CreateExecutorState();
		ResultRelInfo *info = makeNode(ResultRelInfo);

		InitResultRelInfo(info, row->table, 0, NULL, 0);
		ExecOpenIndices(info, false);
		list_free(tz_exec_update_index_tuples(info, slot, estate, indexes));
		ExecCloseIndices(info);
		FreeExecutorState(estate);
	}
	PopActiveSnapshot();
	ExecDropSingleTupleTableSlot(slot);
	return result == TM_Ok;
}

void
tz_row_close(TzRow *row)
{
	if (row->slot != NULL)
		ExecDropSingleTupleTableSlot(row->slot);
	if (row->table != NULL)
		table_close(row->table, NoLock);
	row->slot = NULL;
	row->table = NULL;
}

/* No triggers for updated rows but those of foreign keys, whose columns stay. */
static bool
row_is_plain(Relation table)
{
	TriggerDesc *triggers = table->trigdesc;

	if (triggers == NULL)
		return true;
	for (int i = 0; i < triggers->numtriggers; i++)
	{
		Trigger *t = &triggers->triggers[i];

		if (TRIGGER_FOR_UPDATE(t->tgtype) && RI_FKey_trigger_type(t->tgfoid) == RI_TRIGGER_NONE)
			return false;
	}
	return true;
}
