/*-------------------------------------------------------------------------
 *
 * append.h
 *	  Adds a row to a table of schema theazo_data without a statement.
 *
 * Facts (events, logs, spans, charges, versions) are written by every call, and
 * starting a statement costs several times what the row does. This is what the
 * executor does for an INSERT of one row: route to the partition, check
 * domains, NOT NULL and CHECK, insert, update the indexes, fire row triggers.
 * What it does not do: ask privileges and policies, and evaluate defaults. So it
 * serves functions whose role may insert any such row, and each column that has a
 * default or must not be null has to be given.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_APPEND_H
#define TZ_APPEND_H

#define TZ_APPEND_COLUMNS_MAX 32

typedef struct TzAppend
{
	const char *table;
	int ncolumns;
	const char *columns[TZ_APPEND_COLUMNS_MAX]; /* names; the values come in this order */
	struct TzAppendLayout *layout; /* filled at first use */
} TzAppend;

/* Throws what an INSERT would throw. */
extern void tz_append(TzAppend *to, const Datum *values, const bool *nulls);

#endif /* TZ_APPEND_H */
