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
#include "call/summary.h"
#include "pg/append.h"
#include "pg/convert.h"
#include "pg/export.h"
#include "pg/ids.h"
#include "pg/objects.h"

static Datum event_body(const TzEvent *event, const char *id, TimestampTz at, const char *kind,
                        const char *actor);
static Jsonb *event_summary(Jsonb *summary);
static void event_key(JsonbParseState **state, const char *key);

void
tz_event_write(const TzEvent *event, char id[TZ_ID_MAX + 1])
{
	static TzAppend events = {"event",
	                          18,
	                          {"platform_id", "id", "occurred_at", "xid", "instance", "environment",
	                           "session_id", "agent_id", "run_id", "actor_kind", "actor_id", "category",
	                           "action", "decision", "rule", "is_violation", "format", "body"},
	                          NULL};

	TimestampTz at = GetCurrentTimestamp();
	TzEvent full = *event;
	const char *kind;
	const char *actor;
	Datum values[18];
	bool nulls[18] = {false};
	int n = 0;

	if (full.environment.data == NULL)
		full.environment = tz_slice_cstr("live");
	tz_identity_actor(&kind, &actor);
	tz_id_new("evt", id);

#define PUT(datum) (values[n++] = (datum))
#define PUT_TEXT(slice) \
	(nulls[n] = (slice).data == NULL, values[n] = nulls[n] ? (Datum) 0 : tz_text_datum(slice), n++)
	PUT_TEXT(full.platform);
	PUT(CStringGetTextDatum(id));
	PUT(TimestampTzGetDatum(at));
	PUT(FullTransactionIdGetDatum(GetTopFullTransactionId()));
	PUT(CStringGetTextDatum(tz_instance()));
	PUT_TEXT(full.environment);
	PUT_TEXT(full.session);
	PUT_TEXT(full.agent);
	PUT_TEXT(full.run);
	PUT(CStringGetTextDatum(kind));
	PUT(CStringGetTextDatum(actor));
	PUT_TEXT(full.category);
	PUT_TEXT(full.action);
	PUT_TEXT(full.decision);
	PUT_TEXT(full.rule);
	PUT(BoolGetDatum(full.is_violation));
	PUT(Int16GetDatum(1));
	PUT(event_body(&full, id, at, kind, actor));
#undef PUT
#undef PUT_TEXT
	Assert(n == events.ncolumns);
	tz_append(&events, values, nulls);
}

/*
 * theazo_internal.event_write(platform, category, action, summary, session, agent, run, environment,
 * decision, rule, is_violation)
 */
THEAZO_FUNCTION(theazo_event_write)
{
	TzEvent event = {{NULL, 0}};
	TzSlice *const fields[] = {&event.platform, &event.category, &event.action, NULL,
	                           &event.session,  &event.agent,    &event.run,    &event.environment,
	                           &event.decision, &event.rule};
	char id[TZ_ID_MAX + 1];

	tz_args_expect(fcinfo, 11);
	for (int i = 0; i < (int) lengthof(fields); i++)
	{
		if (fields[i] != NULL && !PG_ARGISNULL(i))
			*fields[i] = tz_datum_slice(PG_GETARG_DATUM(i));
	}
	if (!PG_ARGISNULL(3))
		event.summary = PG_GETARG_JSONB_P(3);
	event.is_violation = !PG_ARGISNULL(10) && PG_GETARG_BOOL(10);
	tz_event_write(&event, id);
	PG_RETURN_TEXT_P(cstring_to_text(id));
}

/* jsonb prints keys in one order and numbers in one form, so the same facts give the same bytes. */
static Datum
event_body(const TzEvent *event, const char *id, TimestampTz at, const char *kind, const char *actor)
{
	JsonbParseState *state = NULL;
	Jsonb *summary = event_summary(event->summary);
	JsonbValue value;
	JsonbValue *all;
	Jsonb *body;
	char *who = psprintf("%s:%s", kind, actor);
	char when[64];
	char *text;
	struct pg_tm tm;
	fsec_t fsec;

	if (timestamp2tm(at, NULL, &tm, &fsec, NULL, NULL) != 0)
		ereport(ERROR, errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range"));
	snprintf(when, sizeof(when), "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", tm.tm_year, tm.tm_mon, tm.tm_mday,
	         tm.tm_hour, tm.tm_min, tm.tm_sec, (int) fsec);

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	tz_event_put_int(&state, "v", 1);
	tz_event_put(&state, "id", tz_slice_cstr(id));
	tz_event_put(&state, "platform", event->platform);
	tz_event_put(&state, "at", tz_slice_cstr(when));
	tz_event_put(&state, "environment", event->environment);
	tz_event_put(&state, "actor", tz_slice_cstr(who));
	tz_event_put(&state, "category", event->category);
	tz_event_put(&state, "action", event->action);
	tz_event_put(&state, "session", event->session);
	tz_event_put(&state, "agent", event->agent);
	tz_event_put(&state, "run", event->run);
	tz_event_put(&state, "decision", event->decision);
	tz_event_put(&state, "rule", event->rule);
	if (event->is_violation)
	{
		event_key(&state, "violation");
		value.type = jbvBool;
		value.val.boolean = true;
		(void) pushJsonbValue(&state, WJB_VALUE, &value);
	}
	if (summary != NULL)
	{
		event_key(&state, "summary");
		value.type = jbvBinary;
		value.val.binary.data = &summary->root;
		value.val.binary.len = VARSIZE(summary) - VARHDRSZ;
		(void) pushJsonbValue(&state, WJB_VALUE, &value);
	}
	all = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	body = JsonbValueToJsonb(all);
	text = JsonbToCString(NULL, &body->root, VARSIZE(body));
	return tz_bytea_datum(tz_slice_cstr(pg_server_to_any(text, (int) strlen(text), PG_UTF8)));
}

/* What the body takes of it: bounded, masked, without nulls. */
static Jsonb *
event_summary(Jsonb *summary)
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
