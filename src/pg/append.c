/*-------------------------------------------------------------------------
 *
 * append.c
 *	  Adds a row to a table of schema theazo_data without a statement.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/tupconvert.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "pg/append.h"
#include "pg/compat.h"
#include "pg/convert.h"
#include "pg/memo.h"
#include "pg/objects.h"
#include "pg/target.h"

/* What is known of a column's type. */
typedef enum AppendDomain
{
	DOMAIN_NONE,
	DOMAIN_ID, /* theazo.id */
	DOMAIN_ROOT, /* theazo.root */
	DOMAIN_OTHER
} AppendDomain;

/* Where the columns lie in the table as it is now. */
typedef struct TzAppendLayout
{
	MemoryContext context;
	uint64 generation;
	Oid oid;
	int natts;
	AttrNumber attno[TZ_APPEND_COLUMNS_MAX];
	AppendDomain kind[TZ_APPEND_COLUMNS_MAX];
	Oid domain[TZ_APPEND_COLUMNS_MAX]; /* InvalidOid: no domain */
	void *domain_state[TZ_APPEND_COLUMNS_MAX];
	TzTarget target; /* that was written last */
} TzAppendLayout;

static Relation append_open(TzAppend *to);
static TzAppendLayout *append_layout(TzAppend *to, Relation table);
static AppendDomain append_domain(Oid type);
static bool append_domain_holds(AppendDomain kind, Datum value);
static Oid append_partition(Relation table, const Datum *row, const bool *isnull);
static Relation append_route(Relation table, const Datum *row, const bool *isnull);
static void append_row(TzAppendLayout *layout, Relation table, Relation target, const Datum *row,
                       const bool *isnull);
static void append_by_executor(Relation target, TupleTableSlot *slot);

void
tz_append(TzAppend *to, const Datum *values, const bool *nulls)
{
	Relation table = append_open(to);
	Relation target = table;
	TzAppendLayout *layout = to->layout;
	Datum row[MaxHeapAttributeNumber];
	bool isnull[MaxHeapAttributeNumber];

	PreventCommandIfReadOnly("INSERT");
	PreventCommandIfParallelMode("INSERT");
	memset(row, 0, sizeof(Datum) * layout->natts);
	memset(isnull, true, sizeof(bool) * layout->natts);
	for (int i = 0; i < to->ncolumns; i++)
	{
		int att = layout->attno[i] - 1;

		if (layout->kind[i] != DOMAIN_NONE &&
		    !(nulls[i] ? layout->kind[i] != DOMAIN_OTHER : append_domain_holds(layout->kind[i], values[i])))
			domain_check(values[i], nulls[i], layout->domain[i], &layout->domain_state[i], layout->context);
		row[att] = values[i];
		isnull[att] = nulls[i];
	}
	if (table->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		target = append_route(table, row, isnull);
	append_row(layout, table, target, row, isnull);
	if (target != table)
		table_close(target, NoLock);
	table_close(table, NoLock);
}

/* The table, locked, and a layout that is true of it. By name only when something has changed. */
static Relation
append_open(TzAppend *to)
{
	Relation table;

	if (to->layout != NULL && to->layout->generation == tz_memo_generation())
	{
		/* what was changed until now is heard of here */
		LockRelationOid(to->layout->oid, RowExclusiveLock);
		if (to->layout->generation == tz_memo_generation())
			return table_open(to->layout->oid, NoLock);
		UnlockRelationOid(to->layout->oid, RowExclusiveLock);
	}
	table = table_openrv(makeRangeVar("theazo_data", (char *) to->table, -1), RowExclusiveLock);
	append_layout(to, table);
	return table;
}

static TzAppendLayout *
append_layout(TzAppend *to, Relation table)
{
	TupleDesc desc = RelationGetDescr(table);
	TzAppendLayout *layout = to->layout;
	uint64 generation = tz_memo_generation();
	MemoryContext context;
	bool given[MaxHeapAttributeNumber] = {false};

	if (layout != NULL && layout->generation == generation)
		return layout;
	to->layout = NULL;
	if (layout != NULL)
		MemoryContextDelete(layout->context);
	context = AllocSetContextCreate(CurrentMemoryContext, "theazo append", ALLOCSET_SMALL_SIZES);
	layout = MemoryContextAllocZero(context, sizeof(*layout));
	layout->context = context;
	layout->generation = generation;
	layout->oid = RelationGetRelid(table);
	layout->natts = desc->natts;
	Assert(to->ncolumns <= TZ_APPEND_COLUMNS_MAX);
	for (int i = 0; i < to->ncolumns; i++)
	{
		AttrNumber attno = get_attnum(RelationGetRelid(table), to->columns[i]);

		if (attno <= 0)
			tz_objects_differ("Table \"%s\" has no column \"%s\".", to->table, to->columns[i]);
		layout->attno[i] = attno;
		given[attno - 1] = true;
		layout->kind[i] = append_domain(TupleDescAttr(desc, attno - 1)->atttypid);
		if (layout->kind[i] != DOMAIN_NONE)
			layout->domain[i] = TupleDescAttr(desc, attno - 1)->atttypid;
	}
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped && !given[i] && (att->atthasdef || att->attidentity != '\0'))
			tz_objects_differ("Column \"%s\" of table \"%s\" has a default that this library does not know.",
			                  NameStr(att->attname), to->table);
	}
	MemoryContextSetParent(context, TopMemoryContext);
	to->layout = layout;
	return layout;
}

static AppendDomain
append_domain(Oid type)
{
	Oid schema;

	if (get_typtype(type) != TYPTYPE_DOMAIN)
		return DOMAIN_NONE;
	schema = get_namespace_oid("theazo", true);
	if (type ==
	    GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum("id"), ObjectIdGetDatum(schema)))
		return DOMAIN_ID;
	if (type ==
	    GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum("root"), ObjectIdGetDatum(schema)))
		return DOMAIN_ROOT;
	return DOMAIN_OTHER;
}

/*
 * What the CHECK of the two domains says, without its regular expression. False
 * only sends the value to that one, which then says no in its own words.
 */
static bool
append_domain_holds(AppendDomain kind, Datum value)
{
	const int root_len = 26;
	TzSlice text;
	size_t i = 0;

	if (kind == DOMAIN_OTHER)
		return false;
	text = tz_datum_slice(value);
	if (kind == DOMAIN_ID)
	{
		while (i < text.len && text.data[i] >= 'a' && text.data[i] <= 'z')
			i++;
		if (i == 0 || i == text.len || text.data[i] != '_' || text.len > 40)
			return false;
		i++;
	}
	if (text.len != i + root_len)
		return false;
	for (; i < text.len; i++)
	{
		char c = text.data[i];

		if (!(c >= '0' && c <= '9') &&
		    !(c >= 'A' && c <= 'Z' && c != 'I' && c != 'L' && c != 'O' && c != 'U'))
			return false;
	}
	return true;
}

/* As the executor routes. All our parents are cut by ranges of one column. */
static Oid
append_partition(Relation table, const Datum *row, const bool *isnull)
{
	PartitionKey key = RelationGetPartitionKey(table);
	int att = key->partattrs[0] - 1;
	Oid partition = tz_partition(table, isnull[att] ? NULL : &row[att]);

	if (!OidIsValid(partition))
		ereport(ERROR, errcode(ERRCODE_CHECK_VIOLATION),
		        errmsg("no partition of relation \"%s\" found for row", RelationGetRelationName(table)));
	return partition;
}

/* Attaching a partition by hand does not keep writers out: the default one that was chosen may be wrong once it is locked. */
static Relation
append_route(Relation table, const Datum *row, const bool *isnull)
{
	Oid oid = append_partition(table, row, isnull);

	for (;;)
	{
		Relation target = table_open(oid, RowExclusiveLock);
		Oid now = append_partition(table, row, isnull);

		if (now == oid)
			return target;
		table_close(target, NoLock);
		oid = now;
	}
}

static void
append_row(TzAppendLayout *layout, Relation table, Relation target, const Datum *row, const bool *isnull)
{
	TzTarget *to = &layout->target;
	TupleTableSlot *given = MakeSingleTupleTableSlot(RelationGetDescr(table), &TTSOpsVirtual);
	TupleTableSlot *slot = given;

	/* the lock on a partition may have brought news */
	if (to->context == NULL || to->oid != RelationGetRelid(target) ||
	    layout->generation != tz_memo_generation())
		tz_target_make(to, layout->context, table, target);
	memcpy(slot->tts_values, row, sizeof(Datum) * layout->natts);
	memcpy(slot->tts_isnull, isnull, sizeof(bool) * layout->natts);
	ExecStoreVirtualTuple(slot);
	if (to->map != NULL)
		slot = execute_attr_map_slot(to->map->attrMap, slot,
		                             MakeSingleTupleTableSlot(RelationGetDescr(target), &TTSOpsVirtual));
	if (to->plain && !tz_target_has_triggers(target) && tz_target_checks_hold(to, target, slot))
	{
		table_tuple_insert(target, slot, GetCurrentCommandId(true), 0, NULL);
		tz_target_index(to, target, slot, false);
	}
	else
		append_by_executor(target, slot);
	if (slot != given)
		ExecDropSingleTupleTableSlot(slot);
	ExecDropSingleTupleTableSlot(given);
}

/* Whatever is not usual; and it says what does not hold. */
static void
append_by_executor(Relation target, TupleTableSlot *slot)
{
	EState *estate = CreateExecutorState();
	ResultRelInfo *info = makeNode(ResultRelInfo);

	InitResultRelInfo(info, target, 0, NULL, 0);
	ExecOpenIndices(info, false);
	estate->es_opened_result_relations = lappend(estate->es_opened_result_relations, info);
	if (tz_target_has_triggers(target))
	{
		AfterTriggerBeginQuery();
		ExecSimpleRelationInsert(info, estate, slot);
		AfterTriggerEndQuery(estate);
	}
	else
	{
		if (RelationGetDescr(target)->constr != NULL)
			ExecConstraints(info, slot, estate);
		simple_table_tuple_insert(target, slot);
		if (info->ri_NumIndices > 0)
			list_free(tz_exec_insert_index_tuples(info, slot, estate));
	}
	ExecCloseIndices(info);
	/* a trigger has slots of its own */
	ExecResetTupleTable(estate->es_tupleTable, false);
	FreeExecutorState(estate);
}
