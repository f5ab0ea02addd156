/*-------------------------------------------------------------------------
 *
 * look.c
 *	  Reads rows by the first columns of their primary key, without a statement.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "pg/compat.h"
#include "pg/convert.h"
#include "pg/look.h"
#include "pg/memo.h"
#include "pg/objects.h"

/* Of the table as it is now. */
typedef struct TzLookLayout
{
	uint64 generation;
	Oid table;
	Oid index;
	AttrNumber place[TZ_LOOK_COLUMNS_MAX];
} TzLookLayout;

static Relation look_table(TzLookTable *of);
static void look_learn(TzLookTable *of, Relation table);

void
tz_look_open(TzLook *look, TzLookTable *of)
{
	memset(look, 0, sizeof(*look));
	look->table = look_table(of);
	look->layout = of->layout;
	look->index = index_open(of->layout->index, AccessShareLock);
	look->slot = table_slot_create(look->table, NULL);
}

void
tz_look_at(TzLook *look, const Datum *keys, int n)
{
	ScanKeyData scan_keys[TZ_LOOK_KEYS_MAX];

	Assert(n > 0 && n <= TZ_LOOK_KEYS_MAX);
	if (n > IndexRelationGetNumberOfKeyAttributes(look->index))
		tz_objects_differ("The primary key of table \"%s\" has not %d columns.",
		                  RelationGetRelationName(look->table), n);
	for (int i = 0; i < n; i++)
		ScanKeyEntryInitialize(&scan_keys[i], 0, (AttrNumber) (i + 1), BTEqualStrategyNumber, InvalidOid,
		                       look->index->rd_indcollation[i], F_TEXTEQ, keys[i]);
	if (look->scan != NULL && look->nkeys != n)
	{
		index_endscan(look->scan);
		look->scan = NULL;
	}
	if (look->scan == NULL)
		look->scan = tz_index_beginscan(look->table, look->index, GetActiveSnapshot(), n);
	look->nkeys = n;
	index_rescan(look->scan, scan_keys, n, NULL, 0);
}

bool
tz_look_next(TzLook *look)
{
	return index_getnext_slot(look->scan, ForwardScanDirection, look->slot);
}

Datum
tz_look_value(TzLook *look, int column, bool *isnull)
{
	return slot_getattr(look->slot, look->layout->place[column], isnull);
}

TzSlice
tz_look_text(TzLook *look, int column)
{
	bool isnull;
	Datum value = tz_look_value(look, column, &isnull);

	return isnull ? tz_slice(NULL, 0) : tz_datum_slice(value);
}

int64
tz_look_int64(TzLook *look, int column)
{
	bool isnull;
	Datum value = tz_look_value(look, column, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

void
tz_look_close(TzLook *look)
{
	if (look->scan != NULL)
		index_endscan(look->scan);
	ExecDropSingleTupleTableSlot(look->slot);
	index_close(look->index, NoLock);
	table_close(look->table, NoLock);
	memset(look, 0, sizeof(*look));
}

/* The table, locked, and a layout that is true of it. By name only when something has changed. */
static Relation
look_table(TzLookTable *of)
{
	Relation table;

	if (of->layout != NULL && of->layout->generation == tz_memo_generation())
	{
		/* what was changed until now is heard of here */
		LockRelationOid(of->layout->table, AccessShareLock);
		if (of->layout->generation == tz_memo_generation())
			return table_open(of->layout->table, NoLock);
		UnlockRelationOid(of->layout->table, AccessShareLock);
	}
	table = table_openrv(makeRangeVar("theazo_data", (char *) of->table, -1), AccessShareLock);
	look_learn(of, table);
	return table;
}

static void
look_learn(TzLookTable *of, Relation table)
{
	uint64 generation = tz_memo_generation();
	Relation index;

	if (of->layout == NULL)
		of->layout = MemoryContextAllocZero(TopMemoryContext, sizeof(TzLookLayout));
	of->layout->generation = 0;
	of->layout->table = RelationGetRelid(table);
	of->layout->index = tz_primary_key(table);
	if (!OidIsValid(of->layout->index))
		tz_objects_differ("Table \"%s\" has no primary key.", of->table);
	index = index_open(of->layout->index, AccessShareLock);
	for (int i = 0; i < IndexRelationGetNumberOfKeyAttributes(index); i++)
	{
		if (getBaseType(TupleDescAttr(RelationGetDescr(index), i)->atttypid) != TEXTOID)
			tz_objects_differ("The primary key of table \"%s\" is not all text.", of->table);
	}
	index_close(index, AccessShareLock);
	Assert(of->ncolumns <= TZ_LOOK_COLUMNS_MAX);
	for (int i = 0; i < of->ncolumns; i++)
	{
		of->layout->place[i] = get_attnum(RelationGetRelid(table), of->columns[i]);
		if (of->layout->place[i] <= 0)
			tz_objects_differ("Table \"%s\" has no column \"%s\".", of->table, of->columns[i]);
	}
	of->layout->generation = generation;
}
