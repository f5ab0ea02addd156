/*-------------------------------------------------------------------------
 *
 * rows.c
 *	  What functions have in common that write single rows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/typcache.h"

#include "call/rows.h"
#include "pg/objects.h"

void
tz_args_take(FunctionCallInfo fcinfo, int n, Datum *values, bool *nulls)
{
	tz_args_expect(fcinfo, n);
	for (int i = 0; i < n; i++)
	{
		nulls[i] = PG_ARGISNULL(i);
		values[i] = nulls[i] ? (Datum) 0 : PG_GETARG_DATUM(i);
	}
}

Datum
tz_row_datum(const TzRow *row, Datum *values, bool *nulls)
{
	TupleDesc desc = RelationGetDescr(row->parent != NULL ? row->parent : row->table);

	return heap_copy_tuple_as_datum(heap_form_tuple(desc, values, nulls), desc);
}

bool
tz_row_set(TzRowTable *of, const Datum *values, const bool *nulls)
{
	TzRow row = {NULL};
	bool done = false;

	for (int i = 0; i < of->nkeys; i++)
	{
		if (nulls[i])
			return false;
	}
	if (tz_row_find(&row, of, values))
		done = tz_row_put(&row, of, values, nulls);
	tz_row_close(&row);
	return done;
}

bool
tz_row_put(TzRow *row, const TzRowTable *of, const Datum *values, const bool *nulls)
{
	const AttrNumber *at = tz_row_places(row);
	int natts = row->slot->tts_tupleDescriptor->natts;
	Datum *all = palloc(sizeof(Datum) * natts);
	bool *none = palloc(sizeof(bool) * natts);

	memcpy(all, row->slot->tts_values, sizeof(Datum) * natts);
	memcpy(none, row->slot->tts_isnull, sizeof(bool) * natts);
	for (int i = 0; i < of->ncolumns; i++)
	{
		all[at[i]] = values[of->nkeys + i];
		none[at[i]] = nulls[of->nkeys + i];
	}
	return tz_row_replace(row, all, none);
}

Datum
tz_row_read(FunctionCallInfo fcinfo, TzRowTable *of, TzStmt *stmt, const Datum *keys)
{
	TzRow row = {NULL};
	bool found = tz_row_find(&row, of, keys);
	/* where nobody could look, a statement does */
	bool none = !found && row.slot != NULL;
	Datum result = found ? tz_row_datum(&row, row.slot->tts_values, row.slot->tts_isnull) : (Datum) 0;

	tz_row_close(&row);
	fcinfo->isnull = none;
	return found || none ? result : tz_row_by_statement(fcinfo, stmt, keys, NULL);
}

void
tz_by_statement(TzStmt *stmt, const Datum *values, const bool *nulls)
{
	SPI_connect();
	tz_spi_exec(stmt, values, nulls, 0);
	SPI_finish();
}

Datum
tz_row_by_statement(FunctionCallInfo fcinfo, TzStmt *stmt, const Datum *values, const bool *nulls)
{
	MemoryContext caller = CurrentMemoryContext;
	Datum result = (Datum) 0;
	bool isnull = true;

	SPI_connect();
	if (tz_spi_exec(stmt, values, nulls, 1) == 1)
	{
		Datum found = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);

		if (!isnull)
		{
			MemoryContext inner = MemoryContextSwitchTo(caller);

			result = datumCopy(found, false, -1);
			MemoryContextSwitchTo(inner);
		}
	}
	SPI_finish();
	fcinfo->isnull = isnull;
	return result;
}

void
tz_record_append(TzAppend *to, HeapTupleHeader record)
{
	Datum values[TZ_APPEND_COLUMNS_MAX];
	bool nulls[TZ_APPEND_COLUMNS_MAX];

	tz_record_columns(record, to->columns, to->ncolumns, values, nulls);
	tz_append(to, values, nulls);
}

void
tz_record_columns(HeapTupleHeader record, const char *const *names, int n, Datum *values, bool *nulls)
{
	TupleDesc desc =
		lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(record), HeapTupleHeaderGetTypMod(record));
	HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(record), .t_data = record};
	Datum *all = palloc(sizeof(Datum) * desc->natts);
	bool *none = palloc(sizeof(bool) * desc->natts);
	int at = 0;

	heap_deform_tuple(&tuple, desc, all, none);
	for (int i = 0; i < n; i++)
	{
		int tried = 0;

		/* mostly they come in the order of the table */
		while (tried < desc->natts && strcmp(NameStr(TupleDescAttr(desc, at)->attname), names[i]) != 0)
		{
			at = (at + 1) % desc->natts;
			tried++;
		}
		if (tried == desc->natts)
			tz_objects_differ("Type \"%s\" has no column \"%s\".", format_type_be(desc->tdtypeid), names[i]);
		values[i] = all[at];
		nulls[i] = none[at];
	}
	ReleaseTupleDesc(desc);
}
