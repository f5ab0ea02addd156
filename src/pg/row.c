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
#include "catalog/namespace.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "pg/compat.h"
#include "pg/memo.h"
#include "pg/objects.h"
#include "pg/row.h"
#include "pg/target.h"

typedef struct TzRowLayout
{
	MemoryContext context;
	uint64 generation;
	Oid parent; /* the table of that name */
	int cut_by; /* which key says the partition; -1: there are none */
	Oid oid; /* the table or the partition that was read last */
	Oid index; /* its primary key; InvalidOid: only a statement can look */
	bool plain; /* false: only a statement can change rows */
	RegProcedure equal[TZ_ROW_KEYS_MAX];
	AttrNumber place[TZ_ROW_COLUMNS_MAX];
	TzTarget target;
} TzRowLayout;

static bool row_ready(TzRow *row, TzRowTable *of, const Datum *keys);
static bool row_scan(TzRow *row, const TzRowTable *of, const Datum *keys, TzRowSink cb, void *arg);
static Relation row_open(TzRowTable *of);
static void row_layout(TzRowTable *of, Relation parent);
static void row_learn(TzRowTable *of, Relation parent, Relation table);
static bool row_is_plain(Relation table);

bool
tz_row_find(TzRow *row, TzRowTable *of, const Datum *keys)
{
	return row_ready(row, of, keys) && row_scan(row, of, keys, NULL, NULL);
}

bool
tz_rows_each(TzRowTable *of, const Datum *keys, TzRowSink cb, void *arg)
{
	TzRow row;
	bool ready = row_ready(&row, of, keys);

	if (ready)
		(void) row_scan(&row, of, keys, cb, arg);
	tz_row_close(&row);
	return ready;
}

/* Opens the table that holds the row. False: only a statement can look. */
static bool
row_ready(TzRow *row, TzRowTable *of, const Datum *keys)
{
	TzRowLayout *layout;

	Assert(of->nkeys <= TZ_ROW_KEYS_MAX);
	memset(row, 0, sizeof(*row));
	row->table = row_open(of);
	row->layout = layout = of->layout;
	if (layout->cut_by >= 0)
	{
		Oid partition = tz_partition(row->table, &keys[layout->cut_by]);

		if (!OidIsValid(partition))
			return false;
		row->parent = row->table;
		row->table = table_open(partition, RowExclusiveLock);
	}
	/* the lock on a partition may have brought news */
	if (layout->oid != RelationGetRelid(row->table) || layout->generation != tz_memo_generation())
		row_learn(of, row->parent != NULL ? row->parent : row->table, row->table);
	if (!OidIsValid(layout->index))
		return false;
	row->slot = table_slot_create(row->table, NULL);
	return true;
}

/* Stands on the first row, or, with a callback, shows it each. */
static bool
row_scan(TzRow *row, const TzRowTable *of, const Datum *keys, TzRowSink cb, void *arg)
{
	ScanKeyData scan_keys[TZ_ROW_KEYS_MAX];
	TzRowLayout *layout = row->layout;
	Relation index;
	IndexScanDesc scan;
	bool found;

	/* what this transaction did before, also in the statement that calls */
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	index = index_open(layout->index, RowExclusiveLock);
	for (int i = 0; i < of->nkeys; i++)
		ScanKeyEntryInitialize(&scan_keys[i], 0, (AttrNumber) (i + 1), BTEqualStrategyNumber, InvalidOid,
		                       index->rd_indcollation[i], layout->equal[i], keys[i]);
	scan = tz_index_beginscan(row->table, index, GetActiveSnapshot(), of->nkeys);
	index_rescan(scan, scan_keys, of->nkeys, NULL, 0);
	found = index_getnext_slot(scan, ForwardScanDirection, row->slot);
	for (bool more = found && cb != NULL; more;
	     more = index_getnext_slot(scan, ForwardScanDirection, row->slot))
	{
		slot_getallattrs(row->slot);
		cb(arg, row);
	}
	if (found && cb == NULL)
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
tz_row_lock(TzRow *row, LockTupleMode mode)
{
	TupleTableSlot *slot = table_slot_create(row->table, NULL);
	ItemPointerData tid = row->slot->tts_tid;
	TM_FailureData failure;
	TM_Result result;

	PreventCommandIfReadOnly("SELECT FOR UPDATE");
	PreventCommandIfParallelMode("SELECT FOR UPDATE");
	PushActiveSnapshot(GetTransactionSnapshot());
	result = table_tuple_lock(row->table, &tid, GetActiveSnapshot(), slot, GetCurrentCommandId(true), mode,
	                          LockWaitBlock, 0, &failure);
	PopActiveSnapshot();
	ExecDropSingleTupleTableSlot(slot);
	return result == TM_Ok;
}

const AttrNumber *
tz_row_places(const TzRow *row)
{
	return row->layout->place;
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

	PreventCommandIfReadOnly("UPDATE");
	PreventCommandIfParallelMode("UPDATE");
	if (!row->layout->plain)
	{
		ExecDropSingleTupleTableSlot(slot);
		return false;
	}
	memcpy(slot->tts_values, values, sizeof(Datum) * desc->natts);
	memcpy(slot->tts_isnull, nulls, sizeof(bool) * desc->natts);
	ExecStoreVirtualTuple(slot);
	/* a statement says in the usual words what does not hold */
	if (!tz_target_checks_hold(&row->layout->target, row->table, slot))
	{
		ExecDropSingleTupleTableSlot(slot);
		return false;
	}
	PushActiveSnapshot(GetTransactionSnapshot());
	result = table_tuple_update(row->table, &row->slot->tts_tid, slot, GetCurrentCommandId(true),
	                            GetActiveSnapshot(), InvalidSnapshot, true, &failure, &lock_mode, &indexes);
	if (result == TM_Ok && indexes != TZ_UPDATE_NO_INDEXES)
		tz_target_index(&row->layout->target, row->table, slot, true);
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
	if (row->parent != NULL)
		table_close(row->parent, NoLock);
	row->slot = NULL;
	row->table = NULL;
	row->parent = NULL;
}

/* The table, locked, and a layout that is true of it. By name only when something has changed. */
static Relation
row_open(TzRowTable *of)
{
	Relation table;

	if (of->layout != NULL && of->layout->generation == tz_memo_generation())
	{
		/* what was changed until now is heard of here */
		LockRelationOid(of->layout->parent, RowExclusiveLock);
		if (of->layout->generation == tz_memo_generation())
			return table_open(of->layout->parent, NoLock);
		UnlockRelationOid(of->layout->parent, RowExclusiveLock);
	}
	/* not by a range variable, which asks for rights on the schema */
	table =
		table_open(get_relname_relid(of->table, get_namespace_oid("theazo_data", false)), RowExclusiveLock);
	row_layout(of, table);
	return table;
}

static void
row_layout(TzRowTable *of, Relation parent)
{
	uint64 generation = tz_memo_generation();
	MemoryContext context;
	TzRowLayout *layout = of->layout;

	of->layout = NULL;
	if (layout != NULL)
		MemoryContextDelete(layout->context);
	context = AllocSetContextCreate(TopMemoryContext, "theazo row", ALLOCSET_SMALL_SIZES);
	layout = MemoryContextAllocZero(context, sizeof(*layout));
	layout->context = context;
	layout->generation = generation;
	layout->parent = RelationGetRelid(parent);
	/* Our parents are cut by what comes second in their keys: the platform is first in all of them. */
	layout->cut_by = parent->rd_rel->relkind == RELKIND_PARTITIONED_TABLE ? 1 : -1;
	of->layout = layout;
}

/* Of the table, or the partition, that is read now. */
static void
row_learn(TzRowTable *of, Relation parent, Relation table)
{
	TzRowLayout *layout = of->layout;
	Relation index;
	Oid oid;

	layout->oid = InvalidOid;
	layout->index = InvalidOid;
	tz_target_make(&layout->target, layout->context, parent, table);
	oid = tz_primary_key(table);
	layout->plain = layout->target.plain && row_is_plain(table);
	if (OidIsValid(oid) && layout->target.map == NULL)
	{
		bool fits = true;

		index = index_open(oid, RowExclusiveLock);
		if (IndexRelationGetNumberOfKeyAttributes(index) < of->nkeys)
			tz_objects_differ("The primary key of table \"%s\" has not %d columns.", of->table, of->nkeys);
		for (int i = 0; i < of->nkeys; i++)
		{
			Oid type = TupleDescAttr(RelationGetDescr(index), i)->atttypid;

			layout->equal[i] = type == INT4OID ? F_INT4EQ : type == INT8OID ? F_INT8EQ : F_TEXTEQ;
			if (layout->cut_by == i &&
			    index->rd_index->indkey.values[i] != RelationGetPartitionKey(parent)->partattrs[0])
				fits = false;
		}
		index_close(index, NoLock);
		if (fits)
			layout->index = oid;
	}
	Assert(of->ncolumns <= TZ_ROW_COLUMNS_MAX);
	for (int i = 0; i < of->ncolumns; i++)
	{
		AttrNumber attno = get_attnum(RelationGetRelid(table), of->columns[i]);

		if (attno <= 0)
			tz_objects_differ("Table \"%s\" has no column \"%s\".", of->table, of->columns[i]);
		layout->place[i] = attno - 1;
	}
	layout->oid = RelationGetRelid(table);
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
