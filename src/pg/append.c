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
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/partcache.h"
#include "utils/rel.h"

#include "pg/append.h"
#include "pg/compat.h"
#include "pg/memo.h"
#include "pg/objects.h"

/* Where the columns lie in the table as it is now. */
typedef struct TzAppendLayout
{
	MemoryContext context;
	uint64 generation;
	int natts;
	AttrNumber attno[TZ_APPEND_COLUMNS_MAX];
	Oid domain[TZ_APPEND_COLUMNS_MAX]; /* InvalidOid: no domain */
	void *domain_state[TZ_APPEND_COLUMNS_MAX];
	/* CHECK constraints of the table, or the partition, that was written last */
	Oid checked;
	int nchecks;
	ExprState **checks;
} TzAppendLayout;

static TzAppendLayout *append_layout(TzAppend *to, Relation table);
static Oid append_partition(Relation table, const Datum *row, const bool *isnull);
static void append_row(TzAppendLayout *layout, Relation table, Relation target, const Datum *row,
                       const bool *isnull);
static bool append_checks_hold(TzAppendLayout *layout, Relation target, TupleTableSlot *slot, EState *estate);
static bool append_has_triggers(Relation target);

void
tz_append(TzAppend *to, const Datum *values, const bool *nulls)
{
	Relation table = table_openrv(makeRangeVar("theazo_data", (char *) to->table, -1), RowExclusiveLock);
	Relation target = table;
	TzAppendLayout *layout = append_layout(to, table);
	Datum row[MaxHeapAttributeNumber];
	bool isnull[MaxHeapAttributeNumber];

	PreventCommandIfReadOnly("INSERT");
	PreventCommandIfParallelMode("INSERT");
	memset(row, 0, sizeof(Datum) * layout->natts);
	memset(isnull, true, sizeof(bool) * layout->natts);
	for (int i = 0; i < to->ncolumns; i++)
	{
		int att = layout->attno[i] - 1;

		if (OidIsValid(layout->domain[i]))
			domain_check(values[i], nulls[i], layout->domain[i], &layout->domain_state[i], layout->context);
		row[att] = values[i];
		isnull[att] = nulls[i];
	}
	if (table->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		target = table_open(append_partition(table, row, isnull), RowExclusiveLock);
	append_row(layout, table, target, row, isnull);
	if (target != table)
		table_close(target, NoLock);
	table_close(table, NoLock);
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
	layout->natts = desc->natts;
	Assert(to->ncolumns <= TZ_APPEND_COLUMNS_MAX);
	for (int i = 0; i < to->ncolumns; i++)
	{
		AttrNumber attno = get_attnum(RelationGetRelid(table), to->columns[i]);

		if (attno <= 0)
			tz_objects_differ("Table \"%s\" has no column \"%s\".", to->table, to->columns[i]);
		layout->attno[i] = attno;
		given[attno - 1] = true;
		if (get_typtype(TupleDescAttr(desc, attno - 1)->atttypid) == TYPTYPE_DOMAIN)
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

/* As the executor routes. All our parents are cut by ranges of one column. */
static Oid
append_partition(Relation table, const Datum *row, const bool *isnull)
{
	PartitionKey key = RelationGetPartitionKey(table);
	PartitionDesc parts = RelationGetPartitionDesc(table, false);
	int index = -1;

	if (key->strategy != PARTITION_STRATEGY_RANGE || key->partnatts != 1 || key->partattrs[0] <= 0)
		tz_objects_differ("Table \"%s\" is partitioned in another way.", RelationGetRelationName(table));
	if (parts->nparts > 0)
	{
		int att = key->partattrs[0] - 1;
		PartitionBoundInfo bounds = parts->boundinfo;

		if (!isnull[att])
		{
			Datum value = row[att];
			bool equal = false;
			int offset = partition_range_datum_bsearch(key->partsupfunc, key->partcollation, bounds, 1,
			                                           &value, &equal);

			index = bounds->indexes[offset + 1];
		}
		if (index < 0)
			index = bounds->default_index;
	}
	if (index < 0)
		ereport(ERROR, errcode(ERRCODE_CHECK_VIOLATION),
		        errmsg("no partition of relation \"%s\" found for row", RelationGetRelationName(table)));
	return parts->oids[index];
}

static void
append_row(TzAppendLayout *layout, Relation table, Relation target, const Datum *row, const bool *isnull)
{
	EState *estate = CreateExecutorState();
	ResultRelInfo *info = makeNode(ResultRelInfo);
	TupleDesc desc = RelationGetDescr(table);
	TupleTableSlot *given = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	TupleTableSlot *slot = given;

	memcpy(slot->tts_values, row, sizeof(Datum) * desc->natts);
	memcpy(slot->tts_isnull, isnull, sizeof(bool) * desc->natts);
	ExecStoreVirtualTuple(slot);
	if (target != table)
	{
		TupleConversionMap *map = convert_tuples_by_name(desc, RelationGetDescr(target));

		if (map != NULL)
			slot = execute_attr_map_slot(map->attrMap, slot,
			                             MakeSingleTupleTableSlot(RelationGetDescr(target), &TTSOpsVirtual));
	}
	InitResultRelInfo(info, target, 0, NULL, 0);
	ExecOpenIndices(info, false);
	estate->es_opened_result_relations = lappend(estate->es_opened_result_relations, info);
	if (append_has_triggers(target))
	{
		AfterTriggerBeginQuery();
		ExecSimpleRelationInsert(info, estate, slot);
		AfterTriggerEndQuery(estate);
	}
	else
	{
		/* which says what it is that does not hold */
		if (!append_checks_hold(layout, target, slot, estate))
			ExecConstraints(info, slot, estate);
		simple_table_tuple_insert(target, slot);
		if (info->ri_NumIndices > 0)
			list_free(tz_exec_insert_index_tuples(info, slot, estate));
	}
	ExecCloseIndices(info);
	if (slot != given)
		ExecDropSingleTupleTableSlot(slot);
	ExecDropSingleTupleTableSlot(given);
	FreeExecutorState(estate);
}

/* The executor compiles them for each statement; here they are kept as long as the layout. */
static bool
append_checks_hold(TzAppendLayout *layout, Relation target, TupleTableSlot *slot, EState *estate)
{
	TupleDesc desc = RelationGetDescr(target);
	ExprContext *context = GetPerTupleExprContext(estate);

	if (desc->constr == NULL)
		return true;
	for (int i = 0; i < desc->natts; i++)
	{
		if (slot->tts_isnull[i] && TupleDescAttr(desc, i)->attnotnull)
			return false;
	}
	if (layout->checked != RelationGetRelid(target))
	{
		MemoryContext caller = MemoryContextSwitchTo(layout->context);

		layout->checked = InvalidOid;
		layout->nchecks = desc->constr->num_check;
		layout->checks = palloc0(sizeof(ExprState *) * Max(layout->nchecks, 1));
		for (int i = 0; i < layout->nchecks; i++)
			layout->checks[i] =
				ExecInitExpr(expression_planner(stringToNode(desc->constr->check[i].ccbin)), NULL);
		layout->checked = RelationGetRelid(target);
		MemoryContextSwitchTo(caller);
	}
	context->ecxt_scantuple = slot;
	for (int i = 0; i < layout->nchecks; i++)
	{
		if (!ExecCheck(layout->checks[i], context))
			return false;
	}
	return true;
}

static bool
append_has_triggers(Relation target)
{
	TriggerDesc *triggers = target->trigdesc;

	return triggers != NULL && (triggers->trig_insert_before_row || triggers->trig_insert_after_row);
}
