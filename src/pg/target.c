/*-------------------------------------------------------------------------
 *
 * target.c
 *	  What must be known of a table to write its rows without a statement.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "catalog/partition.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "optimizer/optimizer.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "pg/memo.h"
#include "pg/objects.h"
#include "pg/target.h"

static Oid target_statement_guard(void);

void
tz_target_make(TzTarget *to, MemoryContext parent_context, Relation parent, Relation target)
{
	TupleConstr *constr = RelationGetDescr(target)->constr;
	MemoryContext context;
	MemoryContext caller;
	List *indexes;
	ListCell *cell;

	if (to->context != NULL)
		MemoryContextDelete(to->context);
	memset(to, 0, sizeof(*to));
	/* below the caller's until it is complete, so that an error takes it along */
	context = AllocSetContextCreate(CurrentMemoryContext, "theazo target", ALLOCSET_SMALL_SIZES);
	caller = MemoryContextSwitchTo(context);
	to->plain = true;
	if (target != parent)
		to->map = convert_tuples_by_name(RelationGetDescr(parent), RelationGetDescr(target));
	indexes = RelationGetIndexList(target);
	to->indexes = palloc0(sizeof(TzTargetIndex) * Max(list_length(indexes), 1));
	foreach (cell, indexes)
	{
		Relation index = index_open(lfirst_oid(cell), RowExclusiveLock);
		TzTargetIndex *i = &to->indexes[to->nindexes];

		i->oid = RelationGetRelid(index);
		i->info = BuildIndexInfo(index);
		i->unique = i->info->ii_Unique;
		if (i->info->ii_Predicate != NIL)
			i->predicate =
				ExecInitQual((List *) expression_planner((Expr *) copyObject(i->info->ii_Predicate)), NULL);
		if (index->rd_rel->relam != BTREE_AM_OID || i->info->ii_Expressions != NIL ||
		    i->info->ii_ExclusionOps != NULL || !index->rd_index->indimmediate)
			to->plain = false;
		if (i->info->ii_ReadyForInserts)
			to->nindexes++;
		index_close(index, NoLock);
	}
	to->nchecks = constr != NULL ? constr->num_check : 0;
	to->checks = palloc0(sizeof(ExprState *) * Max(to->nchecks, 1));
	for (int i = 0; i < to->nchecks; i++)
		to->checks[i] = ExecInitExpr(expression_planner(stringToNode(constr->check[i].ccbin)), NULL);
	to->evaluation = CreateStandaloneExprContext();
	MemoryContextSwitchTo(caller);
	MemoryContextSetParent(context, parent_context);
	to->oid = RelationGetRelid(target);
	to->context = context;
}

bool
tz_target_checks_hold(TzTarget *to, Relation target, TupleTableSlot *slot)
{
	TupleDesc desc = RelationGetDescr(target);
	bool hold = true;

	if (desc->constr == NULL)
		return true;
	for (int i = 0; i < desc->natts; i++)
	{
		if (slot->tts_isnull[i] && TupleDescAttr(desc, i)->attnotnull)
			return false;
	}
	to->evaluation->ecxt_scantuple = slot;
	for (int i = 0; i < to->nchecks && hold; i++)
		hold = ExecCheck(to->checks[i], to->evaluation);
	ResetExprContext(to->evaluation);
	return hold;
}

void
tz_target_index(TzTarget *to, Relation target, TupleTableSlot *slot, bool update)
{
	Datum values[INDEX_MAX_KEYS];
	bool isnull[INDEX_MAX_KEYS];

	for (int i = 0; i < to->nindexes; i++)
	{
		TzTargetIndex *at = &to->indexes[i];
		Relation index = index_open(at->oid, RowExclusiveLock);
		bool wanted = true;

		if (at->predicate != NULL)
		{
			to->evaluation->ecxt_scantuple = slot;
			wanted = ExecQual(at->predicate, to->evaluation);
			ResetExprContext(to->evaluation);
		}
		if (wanted)
		{
			FormIndexDatum(at->info, slot, NULL, values, isnull);
			/* keys stay as they are, which lets the index throw away entries of dead versions */
			(void) index_insert(index, values, isnull, &slot->tts_tid, target,
			                    at->unique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO, update && at->unique,
			                    at->info);
		}
		index_close(index, NoLock);
	}
}

bool
tz_target_has_triggers(Relation target)
{
	TriggerDesc *triggers = target->trigdesc;

	if (triggers == NULL)
		return false;
	if (triggers->trig_insert_after_row)
		return true;
	if (!triggers->trig_insert_before_row)
		return false;
	for (int i = 0; i < triggers->numtriggers; i++)
	{
		Trigger *trigger = &triggers->triggers[i];

		if (TRIGGER_FOR_INSERT(trigger->tgtype) && trigger->tgfoid != target_statement_guard())
			return true;
	}
	return false;
}

/* theazo_internal.event_insert(), which is for rows that come by a statement. */
static Oid
target_statement_guard(void)
{
	static Oid guard = InvalidOid;
	static uint64 generation = 0;

	if (generation != tz_memo_generation())
	{
		Oid schema = get_namespace_oid("theazo_internal", true);
		oidvector *none = buildoidvector(NULL, 0);

		guard = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum("event_insert"),
		                        PointerGetDatum(none), ObjectIdGetDatum(schema));
		generation = tz_memo_generation();
		pfree(none);
	}
	return guard;
}

/* As the executor routes. All our parents are cut by ranges of one column. */
Oid
tz_partition(Relation table, const Datum *value)
{
	PartitionKey key = RelationGetPartitionKey(table);
	PartitionDesc parts = RelationGetPartitionDesc(table, false);
	int index = -1;

	if (key->strategy != PARTITION_STRATEGY_RANGE || key->partnatts != 1 || key->partattrs[0] <= 0)
		tz_objects_differ("Table \"%s\" is partitioned in another way.", RelationGetRelationName(table));
	if (parts->nparts > 0)
	{
		PartitionBoundInfo bounds = parts->boundinfo;

		if (value != NULL)
		{
			Datum datum = *value;
			bool equal = false;
			int offset = partition_range_datum_bsearch(key->partsupfunc, key->partcollation, bounds, 1,
			                                           &datum, &equal);

			index = bounds->indexes[offset + 1];
		}
		if (index < 0)
			index = bounds->default_index;
	}
	return index < 0 ? InvalidOid : parts->oids[index];
}
