/*-------------------------------------------------------------------------
 *
 * row.h
 *	  Finds one row by its primary key and replaces it, without a statement.
 *
 * For the few rows that every call changes. No privileges and policies are
 * asked, so the caller must have established that this row is the asking
 * platform's; no CHECK is evaluated, so columns that stand in one must stay as
 * they are, and so must the columns of foreign keys. Whatever is not usual (the
 * row was changed meanwhile, the table has triggers) is for a statement: the
 * functions say false then.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_ROW_H
#define TZ_ROW_H

#include "executor/tuptable.h"
#include "utils/relcache.h"

#define TZ_ROW_KEYS_MAX 4

typedef struct TzRow
{
	Relation table;
	TupleTableSlot *slot; /* the row as found, all columns fetched */
} TzRow;

/*
 * Finds it by text keys, in the order of the key's columns, as a statement that
 * begins now would see it. Also when it says false the row must be closed.
 */
extern bool tz_row_find(TzRow *row, const char *table, int nkeys, const Datum *keys);

/* The row becomes these values (one for each column). False: it was changed meanwhile, nothing was done. */
extern bool tz_row_replace(TzRow *row, const Datum *values, const bool *nulls);

/* Safe to call twice. */
extern void tz_row_close(TzRow *row);

#endif /* TZ_ROW_H */
