/*-------------------------------------------------------------------------
 *
 * verify.c
 *	  Is the audit trail what was sealed? The answer, as a row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "audit/verify.h"
#include "pg/convert.h"
#include "pg/export.h"
#include "pg/objects.h"

#define RESULT_COLUMNS 14

static void verify_free(void *arg);
static bool verify_event(TzVerify *v, const char *id);
static void verify_unsealed(TzVerify *v, const char *id);
static Datum verify_result(FunctionCallInfo fcinfo, const TzVerify *v);
static Datum number_or_null(int64 value, bool *isnull);
static Datum text_or_null(const char *value, bool *isnull);

/*
 * theazo_internal.audit_check(platform, from_seq, to_seq, event): all of it, a
 * range, or the one event. Reads with the snapshot of the calling statement.
 */
THEAZO_FUNCTION(theazo_audit_check)
{
	TzVerify *v = palloc0(sizeof(*v));
	MemoryContextCallback *end = palloc0(sizeof(*end));
	bool sealed = true;
	TzErr err;
	Datum result;

	tz_args_expect(fcinfo, 4);
	if (PG_ARGISNULL(0))
		ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("a platform is needed"),
		        errhint("Call theazo.audit_verify()."));
	text_to_cstring_buffer(PG_GETARG_TEXT_PP(0), v->platform, sizeof(v->platform));
	v->from = PG_ARGISNULL(1) ? 1 : Max(PG_GETARG_INT64(1), 1);
	v->to = PG_ARGISNULL(2) ? PG_INT64_MAX : PG_GETARG_INT64(2);
	tz_check(tz_hasher_new(&v->hasher, &err), &err);
	end->func = verify_free;
	end->arg = v->hasher;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, end);

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	if (!PG_ARGISNULL(3))
		sealed = verify_event(v, text_to_cstring(PG_GETARG_TEXT_PP(3)));
	v->whole = sealed && v->from == 1 && v->to == PG_INT64_MAX;
	if (sealed)
	{
		tz_verify_chain(v);
		/* what comes before the place where the seals break can still be looked at */
		if (v->bad.found && v->bad.seq > 0)
		{
			v->whole = false;
			v->last_seq = Min(v->last_seq, v->bad.seq - 1);
		}
		if (v->whole || v->last_seq >= v->first_seq)
			tz_verify_rows(v);
		tz_verify_anchors(v);
	}
	SPI_finish();
	result = verify_result(fcinfo, v);
	PG_RETURN_DATUM(result);
}

void
tz_verify_bad(TzVerify *v, int64 seq, const char *table, const char *id, const char *fmt, ...)
{
	TzVerifyBad *bad = &v->bad;
	va_list args;

	if (bad->found && (seq == 0 || (bad->seq != 0 && bad->seq <= seq)))
		return;
	bad->found = true;
	bad->seq = seq;
	strlcpy(bad->table, table, sizeof(bad->table));
	strlcpy(bad->id, id == NULL ? "" : id, sizeof(bad->id));
	va_start(args, fmt);
	vsnprintf(bad->problem, sizeof(bad->problem), fmt, args);
	va_end(args);
}

/* OpenSSL's memory goes with ours, however we are left. */
static void
verify_free(void *arg)
{
	tz_hasher_free(arg);
}

/* The range that is one event. False: it has no seal, and what there is to say is said. */
static bool
verify_event(TzVerify *v, const char *id)
{
	TzSealRow *seal = palloc(sizeof(*seal));
	int place;
	bool sealed = tz_seal_of(v->platform, id, seal, &place);

	if (sealed)
		v->from = v->to = seal->first_seq + place;
	else
		verify_unsealed(v, id);
	pfree(seal);
	return sealed;
}

static void
verify_unsealed(TzVerify *v, const char *id)
{
	TzEventScan *events = tz_event_scan(v->platform);
	TzSealCursor *cursor = tz_sealing_cursor();
	char found[TZ_ID_MAX + 1];
	const TzEventRow *row;
	const char *why;

	tz_event_seek(events, id);
	row = tz_event_next(events);
	if (row != NULL)
		tz_event_id(row, found);
	/* what nobody has heard of is the caller's to tell */
	if (row == NULL || strcmp(found, id) != 0)
		v->pending = 0;
	else if ((why = tz_sealing_passed(cursor, row)) != NULL)
		tz_verify_bad(v, 0, "event", id, "inserted: it has no seal, and %s", why);
	else
		v->pending = 1;
	tz_event_scan_end(events);
}

static Datum
verify_result(FunctionCallInfo fcinfo, const TzVerify *v)
{
	TupleDesc desc = tz_result_desc(fcinfo);
	Datum values[RESULT_COLUMNS];
	bool nulls[RESULT_COLUMNS] = {false};
	bool seen = v->last_seq >= v->first_seq && v->last_seq > 0;

	/* an event that waits for its seal is neither */
	nulls[0] = !v->bad.found && !seen && v->pending > 0 && !v->whole;
	values[0] = BoolGetDatum(!v->bad.found);
	values[1] = Int64GetDatum(seen ? v->last_seq - v->first_seq + 1 : 0);
	values[2] = number_or_null(seen ? v->first_seq : 0, &nulls[2]);
	values[3] = number_or_null(seen ? v->last_seq : 0, &nulls[3]);
	values[4] = Int64GetDatum(v->archived);
	values[5] = Int64GetDatum(v->pending);
	values[6] = number_or_null(v->signed_seq, &nulls[6]);
	values[7] = number_or_null(v->anchored_seq, &nulls[7]);
	values[8] = text_or_null(v->anchor_hash, &nulls[8]);
	values[9] = TimestampTzGetDatum(v->anchored_at);
	nulls[9] = v->anchored_seq == 0;
	values[10] = number_or_null(v->bad.seq, &nulls[10]);
	values[11] = text_or_null(v->bad.id, &nulls[11]);
	values[12] = text_or_null(v->bad.table, &nulls[12]);
	values[13] = text_or_null(v->bad.problem, &nulls[13]);
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}

static Datum
number_or_null(int64 value, bool *isnull)
{
	*isnull = value == 0;
	return Int64GetDatum(value);
}

static Datum
text_or_null(const char *value, bool *isnull)
{
	*isnull = value[0] == '\0';
	return *isnull ? (Datum) 0 : CStringGetTextDatum(value);
}
