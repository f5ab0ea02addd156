/*-------------------------------------------------------------------------
 *
 * convert.c
 *	  Between slices and datums, and from a TzErr to ereport().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "pg/convert.h"
#include "pg/errors.h"

static Datum varlena_datum(TzSlice bytes);

void
tz_throw(const TzErr *err)
{
	tz_throw_as(tz_error_of_status(err->status), err);
}

void
tz_throw_as(int sqlstate, const TzErr *err)
{
	ereport(ERROR, (errcode(sqlstate),
	                errmsg_internal("%s", err->message[0] ? err->message : tz_status_name(err->status)),
	                err->detail[0] ? errdetail_internal("%s", err->detail) : 0,
	                err->hint[0] ? errhint("%s", err->hint) : 0));
	pg_unreachable();
}

Datum
tz_text_datum(TzSlice bytes)
{
	return varlena_datum(bytes);
}

Datum
tz_bytea_datum(TzSlice bytes)
{
	return varlena_datum(bytes);
}

TzSlice
tz_datum_slice(Datum varlena)
{
	struct varlena *v = PG_DETOAST_DATUM_PACKED(varlena);
	TzSlice slice = {VARDATA_ANY(v), VARSIZE_ANY_EXHDR(v)};

	return slice;
}

Datum
tz_jsonb_datum(TzSlice json)
{
	char *text = pnstrdup(json.data ? json.data : "", json.len);
	Datum result = DirectFunctionCall1(jsonb_in, CStringGetDatum(text));

	pfree(text);
	return result;
}

static Datum
varlena_datum(TzSlice bytes)
{
	struct varlena *v;

	if (bytes.len > MaxAllocSize - VARHDRSZ)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
		                errmsg("value of %zu bytes is too large", bytes.len)));
	v = palloc(VARHDRSZ + bytes.len);
	SET_VARSIZE(v, VARHDRSZ + bytes.len);
	if (bytes.len > 0)
		memcpy(VARDATA(v), bytes.data, bytes.len);
	return PointerGetDatum(v);
}
