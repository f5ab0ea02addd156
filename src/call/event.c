/*-------------------------------------------------------------------------
 *
 * event.c
 *	  The one way to write an audit event.
 *
 * In C because nearly every call writes one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "auth/identity.h"
#include "call/event.h"
#include "call/personal.h"
#include "call/summary.h"
#include "lib/entry.h"
#include "pg/append.h"
#include "pg/convert.h"
#include "pg/export.h"
#include "pg/guc.h"
#include "pg/ids.h"
#include "pg/objects.h"
#include "pg/wake.h"

static void event_key(JsonbParseState **state, const char *key);

void
tz_event_write(const TzEvent *event, char id[TZ_ID_MAX + 1])
{
	static TzAppend events = {
		"event",
		23,
		{"platform_id",  "id",         "number",   "occurred_at",      "xid",        "instance",
	     "environment",  "session_id", "agent_id", "run_id",           "actor_kind", "actor_id",
	     "request_id",   "category",   "action",   "permission_state", "decision",   "rule",
	     "is_violation", "personal",   "body",     "personal_sealed",  "format"},
		NULL};

	TimestampTz at = GetCurrentTimestamp();
	const char *kind;
	const char *actor;
	int64 number = tz_number_new();
	TzPersonal personal;
	Jsonb *summary;
	Datum values[23];
	bool nulls[23] = {false};
	int n = 0;

	tz_identity_actor(&kind, &actor);
	tz_id_of_number("evt", number, id);
	summary =
		tz_personal_split(tz_event_summary(event->summary), event->platform, event->session, id, &personal);

#define PUT(datum) (values[n++] = (datum))
#define PUT_TEXT(slice) \
	(nulls[n] = (slice).data == NULL, values[n] = nulls[n] ? (Datum) 0 : tz_text_datum(slice), n++)
	PUT_TEXT(event->platform);
	PUT(CStringGetTextDatum(id));
	PUT(Int64GetDatum(number));
	PUT(TimestampTzGetDatum(at));
	PUT(FullTransactionIdGetDatum(GetTopFullTransactionId()));
	PUT(CStringGetTextDatum(tz_instance()));
	PUT(event->environment.data == NULL ? CStringGetTextDatum("live") : tz_text_datum(event->environment));
	PUT_TEXT(event->session);
	PUT_TEXT(event->agent);
	PUT_TEXT(event->run);
	PUT(CStringGetTextDatum(kind));
	PUT(CStringGetTextDatum(actor));
	PUT_TEXT(tz_event_request());
	PUT_TEXT(event->category);
	PUT_TEXT(event->action);
	PUT_TEXT(event->permission);
	PUT_TEXT(event->decision);
	PUT_TEXT(event->rule);
	PUT(BoolGetDatum(event->is_violation));
	PUT_TEXT(tz_slice_cstr(personal.commitments));
	PUT(tz_event_body(summary));
	PUT_TEXT(personal.sealed);
	PUT(Int16GetDatum(TZ_ENTRY_FORMAT));
#undef PUT
#undef PUT_TEXT
	Assert(n == events.ncolumns);
	tz_append(&events, values, nulls);
	tz_wake_at_commit(TZ_WAKE_SEAL);
}

/*
 * theazo_internal.event_write(platform, category, action, summary, session, agent, run, environment,
 * decision, rule, is_violation, permission)
 */
THEAZO_FUNCTION(theazo_event_write)
{
	TzEvent event = {{NULL, 0}};
	char id[TZ_ID_MAX + 1];

	tz_event_args(fcinfo, &event);
	tz_event_write(&event, id);
	PG_RETURN_TEXT_P(cstring_to_text(id));
}

void
tz_event_args(FunctionCallInfo fcinfo, TzEvent *event)
{
	TzSlice *const fields[] = {&event->platform, &event->category, &event->action, NULL,
	                           &event->session,  &event->agent,    &event->run,    &event->environment,
	                           &event->decision, &event->rule,     NULL,           &event->permission};

	tz_args_expect(fcinfo, 12);
	for (int i = 0; i < (int) lengthof(fields); i++)
	{
		if (fields[i] != NULL && !PG_ARGISNULL(i))
			*fields[i] = tz_datum_slice(PG_GETARG_DATUM(i));
	}
	if (!PG_ARGISNULL(3))
		event->summary = PG_GETARG_JSONB_P(3);
	event->is_violation = !PG_ARGISNULL(10) && PG_GETARG_BOOL(10);
}

/* What the caller calls its request: set by whoever serves it, to find all that belongs together. */
TzSlice
tz_event_request(void)
{
	if (tz_guc_request_id == NULL || tz_guc_request_id[0] == '\0')
		return tz_slice(NULL, 0);
	return tz_slice_cstr(tz_guc_request_id);
}

/* jsonb prints keys in one order and numbers in one form, so the same facts give the same bytes. */
Datum
tz_event_body(Jsonb *summary)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoChar(&text, '{');
	if (summary != NULL)
	{
		appendStringInfoString(&text, "\"summary\": ");
		(void) JsonbToCString(&text, &summary->root, VARSIZE(summary));
	}
	appendStringInfoChar(&text, '}');
	return tz_bytea_datum(tz_slice_cstr(pg_server_to_any(text.data, text.len, PG_UTF8)));
}

/* What the body takes of it: bounded, masked, without nulls. */
Jsonb *
tz_event_summary(Jsonb *summary)
{
	summary = tz_summary(summary);
	if (summary == NULL)
		return NULL;
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_strip_nulls, JsonbPGetDatum(summary)));
}

void
tz_event_put(JsonbParseState **state, const char *key, TzSlice value)
{
	JsonbValue v;

	if (value.data == NULL)
		return;
	event_key(state, key);
	v.type = jbvString;
	v.val.string.val = (char *) value.data;
	v.val.string.len = (int) value.len;
	(void) pushJsonbValue(state, WJB_VALUE, &v);
}

void
tz_event_put_int(JsonbParseState **state, const char *key, int64 value)
{
	JsonbValue v;

	event_key(state, key);
	v.type = jbvNumeric;
	v.val.numeric = int64_to_numeric(value);
	(void) pushJsonbValue(state, WJB_VALUE, &v);
}

void
tz_event_put_texts(JsonbParseState **state, const char *key, ArrayType *values)
{
	Datum *items;
	bool *nulls;
	int n;

	event_key(state, key);
	(void) pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	deconstruct_array(values, TEXTOID, -1, false, TYPALIGN_INT, &items, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		TzSlice item = nulls[i] ? tz_slice("", 0) : tz_datum_slice(items[i]);
		JsonbValue v;

		v.type = nulls[i] ? jbvNull : jbvString;
		v.val.string.val = (char *) item.data;
		v.val.string.len = (int) item.len;
		(void) pushJsonbValue(state, WJB_ELEM, &v);
	}
	(void) pushJsonbValue(state, WJB_END_ARRAY, NULL);
}

static void
event_key(JsonbParseState **state, const char *key)
{
	JsonbValue k;

	k.type = jbvString;
	k.val.string.val = (char *) key;
	k.val.string.len = (int) strlen(key);
	(void) pushJsonbValue(state, WJB_KEY, &k);
}
