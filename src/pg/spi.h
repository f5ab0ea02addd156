/*-------------------------------------------------------------------------
 *
 * spi.h
 *	  Kept plans and typed getters over SPI.
 *
 * A statement is a static TzStmt: its text, its parameter types and, after the
 * first use, its plan. Values never enter the text. Results are in
 * SPI_tuptable and live until tz_txn_commit(); copy what must live longer.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_SPI_H
#define TZ_SPI_H

#include "executor/spi.h"
#include "lib/buf.h"
#include "utils/timestamp.h"

#define TZ_STMT_ARGS_MAX 20

typedef struct TzStmt
{
	const char *sql;
	int nargs;
	Oid types[TZ_STMT_ARGS_MAX];
	SPIPlanPtr plan; /* filled at first use, kept for life */
} TzStmt;

/*
 * Runs it; nulls[i] true means NULL (nulls may be NULL: none is). Returns the
 * number of rows; throws when the statement fails. max_rows 0 = all.
 */
extern uint64 tz_spi_exec(TzStmt *stmt, const Datum *values, const bool *nulls, long max_rows);

/* The same for one that only reads: with the active snapshot, not a new one. */
extern uint64 tz_spi_read(TzStmt *stmt, const Datum *values, const bool *nulls, long max_rows);

/* A cursor over a query, for SPI_cursor_fetch() and SPI_cursor_close(). No value may be NULL. */
extern Portal tz_spi_open(TzStmt *stmt, const Datum *values);

/* Column number of a name in the last result; throws when there is none. */
extern int tz_spi_column(const char *name);

/*
 * Getters: row and column (from tz_spi_column) of the last result. The type is
 * checked. NULL gives the default; text is palloc'ed in the current context;
 * a slice points into the row (detoasted in the current context).
 */
extern bool tz_spi_isnull(uint64 row, int col);
extern char *tz_spi_text(uint64 row, int col); /* text, name, varchar, jsonb and json as text; or NULL */
extern TzSlice tz_spi_bytea(uint64 row, int col); /* data NULL when NULL */
extern int16 tz_spi_int16(uint64 row, int col, int16 dflt);
extern int32 tz_spi_int32(uint64 row, int col, int32 dflt);
extern int64 tz_spi_int64(uint64 row, int col, int64 dflt);
extern bool tz_spi_bool(uint64 row, int col, bool dflt);
extern TimestampTz tz_spi_timestamptz(uint64 row, int col, TimestampTz dflt);

#endif /* TZ_SPI_H */
