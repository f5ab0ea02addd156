/*-------------------------------------------------------------------------
 *
 * rows.h
 *	  What functions have in common that write single rows.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_ROWS_H
#define TZ_ROWS_H

#include "access/htup.h"
#include "fmgr.h"

#include "pg/append.h"
#include "pg/row.h"
#include "pg/spi.h"

/* The n arguments of a function; it must have been declared with as many. */
extern void tz_args_take(FunctionCallInfo fcinfo, int n, Datum *values, bool *nulls);

/* The values are the key and then the columns of the table's list. False: only a statement can do this. */
extern bool tz_row_set(TzRowTable *of, const Datum *values, const bool *nulls);

/* The same with a row that was found. */
extern bool tz_row_put(TzRow *row, const TzRowTable *of, const Datum *values, const bool *nulls);

/* A row with these values as a value of its table's type. */
extern Datum tz_row_datum(const TzRow *row, Datum *values, bool *nulls);

/* The row with this key as a value of its table's type; NULL when there is none. The statement asks where only one can. */
extern Datum tz_row_read(FunctionCallInfo fcinfo, TzRowTable *of, TzStmt *stmt, const Datum *keys);

/* Adds a row that comes as a value of its table's type. */
extern void tz_record_append(TzAppend *to, HeapTupleHeader record);

/* Columns of a record, by name. */
extern void tz_record_columns(HeapTupleHeader record, const char *const *names, int n, Datum *values,
                              bool *nulls);

extern void tz_by_statement(TzStmt *stmt, const Datum *values, const bool *nulls);

/* The only column of the only row, a row itself; NULL when there is none. */
extern Datum tz_row_by_statement(FunctionCallInfo fcinfo, TzStmt *stmt, const Datum *values,
                                 const bool *nulls);

#endif /* TZ_ROWS_H */
