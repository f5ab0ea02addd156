/*-------------------------------------------------------------------------
 *
 * target.h
 *	  What must be known of a table to write its rows without a statement.
 *
 * The executor finds all this out anew for each statement; here it is kept,
 * for one table or partition, as long as the generation of memo.h stands still.
 * Whoever keeps it watches the generation, also after taking the lock.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_TARGET_H
#define TZ_TARGET_H

#include "access/tupconvert.h"
#include "executor/tuptable.h"
#include "nodes/execnodes.h"
#include "utils/relcache.h"

typedef struct TzTargetIndex
{
	Oid oid;
	IndexInfo *info;
	ExprState *predicate; /* NULL: every row */
	bool unique;
} TzTargetIndex;

typedef struct TzTarget
{
	MemoryContext context; /* NULL: nothing is known */
	Oid oid;
	TupleConversionMap *map; /* NULL: its columns lie as those of its parent */
	bool plain; /* all indexes are B-trees over columns, checked at once */
	int nindexes;
	TzTargetIndex *indexes;
	int nchecks;
	ExprState **checks;
	ExprContext *evaluation;
} TzTarget;

/* Learns it anew. parent is the partitioned table, or the same; to's memory hangs under context. */
extern void tz_target_make(TzTarget *to, MemoryContext context, Relation parent, Relation target);

/* Do NOT NULL and CHECK hold for a row? It says not which does not. */
extern bool tz_target_checks_hold(TzTarget *to, Relation target, TupleTableSlot *slot);

/* Entries for a row version that was just written. Only of a plain one. */
extern void tz_target_index(TzTarget *to, Relation target, TupleTableSlot *slot, bool update);

/* For inserted rows; the one that guards events against statements is left out. */
extern bool tz_target_has_triggers(Relation target);

/* The partition of a table for a value of what it is cut by (NULL: for null), or InvalidOid. */
extern Oid tz_partition(Relation table, const Datum *value);

#endif /* TZ_TARGET_H */
