/*-------------------------------------------------------------------------
 *
 * spi.c
 *	  Kept plans and typed getters over SPI.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"

#include "pg/convert.h"
#include "pg/objects.h"
#include "pg/spi.h"

static void spi_prepare(TzStmt *stmt);
static uint64 spi_run(TzStmt *stmt, const Datum *values, const bool *nulls, long max_rows, bool read_only);
static Datum spi_value(uint64 row, int col, bool *isnull);
static Datum spi_typed(uint64 row, int col, Oid type, bool *isnull);

static void
spi_prepare(TzStmt *stmt)
{
	if (stmt->plan == NULL)
	{
		SPIPlanPtr plan = SPI_prepare(stmt->sql, stmt->nargs, stmt->types);

		if (plan == NULL)
			elog(ERROR, "could not prepare \"%s\": %s", stmt->sql, SPI_result_code_string(SPI_result));
		if (SPI_keepplan(plan) != 0)
			elog(ERROR, "could not keep the plan of \"%s\"", stmt->sql);
		stmt->plan = plan;
	}
}

Portal
tz_spi_open(TzStmt *stmt, const Datum *values)
{
	Portal portal;

	spi_prepare(stmt);
	portal = SPI_cursor_open(NULL, stmt->plan, (Datum *) values, NULL, false);
	if (portal == NULL)
		elog(ERROR, "could not open \"%s\": %s", stmt->sql, SPI_result_code_string(SPI_result));
	return portal;
}

uint64
tz_spi_exec(TzStmt *stmt, const Datum *values, const bool *nulls, long max_rows)
{
	return spi_run(stmt, values, nulls, max_rows, false);
}

uint64
tz_spi_read(TzStmt *stmt, const Datum *values, const bool *nulls, long max_rows)
{
	return spi_run(stmt, values, nulls, max_rows, true);
}

static uint64
spi_run(TzStmt *stmt, const Datum *values, const bool *nulls, long max_rows, bool read_only)
{
	char markers[TZ_STMT_ARGS_MAX + 1];
	int rc;

	spi_prepare(stmt);
	for (int i = 0; i < stmt->nargs; i++)
		markers[i] = nulls != NULL && nulls[i] ? 'n' : ' ';
	markers[stmt->nargs] = '\0';
	rc = SPI_execute_plan(stmt->plan, (Datum *) values, markers, read_only, max_rows);
	if (rc < 0)
		elog(ERROR, "could not execute \"%s\": %s", stmt->sql, SPI_result_code_string(rc));
	return SPI_processed;
}

int
tz_spi_column(const char *name)
{
	int col = SPI_tuptable ? SPI_fnumber(SPI_tuptable->tupdesc, name) : SPI_ERROR_NOATTRIBUTE;

	if (col <= 0)
		tz_objects_differ("A result has no column \"%s\".", name);
	return col;
}

char *
tz_spi_text(uint64 row, int col)
{
	Oid type = getBaseType(SPI_gettypeid(SPI_tuptable->tupdesc, col));
	bool isnull;
	Datum value = spi_value(row, col, &isnull);

	if (isnull)
		return NULL;
	switch (type)
	{
		case TEXTOID:
		case VARCHAROID:
		case JSONOID:
			return TextDatumGetCString(value);
		case NAMEOID:
			return pstrdup(NameStr(*DatumGetName(value)));
		case JSONBOID:
			return DatumGetCString(DirectFunctionCall1(jsonb_out, value));
		default:
			tz_objects_differ("Column %d of a result is of type %s, not text.", col, format_type_be(type));
	}
	return NULL;
}

TzSlice
tz_spi_bytea(uint64 row, int col)
{
	bool isnull;
	Datum value = spi_typed(row, col, BYTEAOID, &isnull);
	TzSlice none = {NULL, 0};

	return isnull ? none : tz_datum_slice(value);
}

int16
tz_spi_int16(uint64 row, int col, int16 dflt)
{
	bool isnull;
	Datum value = spi_typed(row, col, INT2OID, &isnull);

	return isnull ? dflt : DatumGetInt16(value);
}

int32
tz_spi_int32(uint64 row, int col, int32 dflt)
{
	bool isnull;
	Datum value = spi_typed(row, col, INT4OID, &isnull);

	return isnull ? dflt : DatumGetInt32(value);
}

int64
tz_spi_int64(uint64 row, int col, int64 dflt)
{
	bool isnull;
	Datum value = spi_typed(row, col, INT8OID, &isnull);

	return isnull ? dflt : DatumGetInt64(value);
}

bool
tz_spi_bool(uint64 row, int col, bool dflt)
{
	bool isnull;
	Datum value = spi_typed(row, col, BOOLOID, &isnull);

	return isnull ? dflt : DatumGetBool(value);
}

TimestampTz
tz_spi_timestamptz(uint64 row, int col, TimestampTz dflt)
{
	bool isnull;
	Datum value = spi_typed(row, col, TIMESTAMPTZOID, &isnull);

	return isnull ? dflt : DatumGetTimestampTz(value);
}

static Datum
spi_value(uint64 row, int col, bool *isnull)
{
	if (SPI_tuptable == NULL || row >= SPI_tuptable->numvals || col < 1 || col > SPI_tuptable->tupdesc->natts)
		elog(ERROR, "result has no row " UINT64_FORMAT ", column %d", row, col);
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, col, isnull);
}

/* The types are fixed by SQL functions of ours. */
static Datum
spi_typed(uint64 row, int col, Oid type, bool *isnull)
{
	Datum value = spi_value(row, col, isnull);
	Oid found = getBaseType(SPI_gettypeid(SPI_tuptable->tupdesc, col));

	if (found != type)
		tz_objects_differ("Column %d of a result is of type %s, not %s.", col, format_type_be(found),
		                  format_type_be(type));
	return value;
}
