/*-------------------------------------------------------------------------
 *
 * look.h
 *	  Reads rows by the first columns of their primary key, without a statement.
 *
 * For questions that every call asks of a few rows of several tables: the table
 * is opened once and looked at as often as is needed, all with the active
 * snapshot, so that what several of these tables say belongs together. No
 * privileges and policies are asked: the caller answers only for rows that the
 * asking platform may know of, or with a sum. Tables with partitions are for
 * row.h.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_LOOK_H
#define TZ_LOOK_H

#include "access/genam.h"
#include "executor/tuptable.h"
#include "lib/buf.h"
#include "utils/relcache.h"

#define TZ_LOOK_KEYS_MAX 5
#define TZ_LOOK_COLUMNS_MAX 8

/* A table and the columns that the caller asks for by number. The primary key consists of text. */
typedef struct TzLookTable
{
	const char *table;
	int ncolumns;
	const char *columns[TZ_LOOK_COLUMNS_MAX];
	struct TzLookLayout *layout; /* filled at first use */
} TzLookTable;

typedef struct TzLook
{
	struct TzLookLayout *layout;
	Relation table;
	Relation index;
	IndexScanDesc scan;
	int nkeys; /* of the scan */
	TupleTableSlot *slot;
} TzLook;

/* Opens it for reading. What was opened is to be closed; after an error the server does. */
extern void tz_look_open(TzLook *look, TzLookTable *of);

/* The rows whose primary key begins with these, n of them at least 1, in its order. */
extern void tz_look_at(TzLook *look, const Datum *keys, int n);

/* The next of them. False: there is none. */
extern bool tz_look_next(TzLook *look);

/* A column of the row, as columns[] numbers them; valid until the next row. Text as a slice: without data when null. */
extern Datum tz_look_value(TzLook *look, int column, bool *isnull);
extern TzSlice tz_look_text(TzLook *look, int column);
extern int64 tz_look_int64(TzLook *look, int column);

extern void tz_look_close(TzLook *look);

#endif /* TZ_LOOK_H */
