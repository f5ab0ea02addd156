/*-------------------------------------------------------------------------
 *
 * row.h
 *	  Finds one row by its primary key and replaces it, without a statement.
 *
 * For the few rows that every call changes. No privileges and policies are
 * asked, so the caller must have established that this row is the asking
 * platform's; the columns of the primary key and of foreign keys must stay as
 * they are. Whatever is not usual (the row was changed meanwhile, the table has
 * triggers, a NOT NULL or CHECK does not hold) is for a statement: the functions
 * say false then.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_ROW_H
#define TZ_ROW_H

#include "executor/tuptable.h"
#include "nodes/lockoptions.h"
#include "utils/relcache.h"

#define TZ_ROW_KEYS_MAX 4

#define TZ_ROW_COLUMNS_MAX 32

/* A table, the number of columns of its primary key, and the columns that the caller asks for by number. */
typedef struct TzRowTable
{
	const char *table;
	int nkeys;
	int ncolumns;
	const char *columns[TZ_ROW_COLUMNS_MAX];
	struct TzRowLayout *layout; /* filled at first use */
} TzRowTable;

typedef struct TzRow
{
	struct TzRowLayout *layout;
	Relation parent; /* the partitioned table; NULL when it is none */
	Relation table; /* that holds the row: the table or a partition */
	TupleTableSlot *slot; /* the row as found, all columns fetched */
} TzRow;

/*
 * Finds it by its primary key, text or integer columns in their order, as a
 * statement that begins now would see it; by fewer of them, the first one. Also
 * when it says false the row must be closed.
 */
extern bool tz_row_find(TzRow *row, TzRowTable *of, const Datum *keys);

/* Each row; its values are gone when the callback returns. */
typedef void (*TzRowSink)(void *arg, const TzRow *row);

/* All rows whose primary key begins with these columns, in its order. False: only a statement can look. */
extern bool tz_rows_each(TzRowTable *of, const Datum *keys, TzRowSink cb, void *arg);

/*
 * Locks the row as SELECT ... FOR UPDATE (LockTupleExclusive) or FOR KEY SHARE (LockTupleKeyShare) does, and waits
 * where that waits. False: it was changed meanwhile, and a statement has to look again.
 */
extern bool tz_row_lock(TzRow *row, LockTupleMode mode);

/* Where the caller's columns stand in the row's values: from 0 on, in their order. */
extern const AttrNumber *tz_row_places(const TzRow *row);

/*
 * The row becomes these values (one for each column). False: it was changed meanwhile or may not become that; nothing
 * was done.
 */
extern bool tz_row_replace(TzRow *row, const Datum *values, const bool *nulls);

/* Safe to call twice. */
extern void tz_row_close(TzRow *row);

#endif /* TZ_ROW_H */
