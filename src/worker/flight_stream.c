/*-------------------------------------------------------------------------
 *
 * flight_stream.c
 *	  Answers that are read as they come, and what commands print and report.
 *
 * All of it is malloc'ed and nothing here throws.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/json.h"
#include "lib/records.h"
#include "worker/inflight_internal.h"

#define OUTPUT_DEFAULT (1024 * 1024) /* of a command, each stream */
#define RECORDS_VARIABLE "THEAZO_RECORDS"

/* What the run's guardrails ask of an answer stands in its request. */
static bool
guard_flow(TzFlight *f)
{
	const json_t *guard = json_object_get(f->request, "guard");
	const char *level = json_string_value(json_object_get(guard, "level"));

	if (guard == NULL || json_is_null(guard))
		return true;
	return level != NULL &&
	       tz_flow_guard(f->flow, f->claim->platform_id, level, json_is_true(json_object_get(guard, "pii")),
	                     (int) json_integer_value(json_object_get(guard, "hold")));
}

TzStatus
tz_flight_stream(TzFlight *f, const TzPen *pen, TzErr *err)
{
	TzStatus masked = tz_flight_mask(f);

	f->flow = tz_flow_new(f->adapter, &f->effect, &f->endpoint, f->mask, pen);
	if (f->flow == NULL)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	f->table->flows++;
	if (masked != TZ_OK || !guard_flow(f))
		tz_flow_dark(f->flow);
	return TZ_OK;
}

static TzSlice
records_nonce(const TzFlight *f)
{
	return tz_slice_cstr(json_string_value(json_object_get(f->request, "records")));
}

static bool
is_exec(const TzFlight *f)
{
	return strcmp(f->claim->kind, "compute.exec") == 0;
}

TzStatus
tz_flight_records(TzFlight *f, TzErr *err)
{
	TzSlice nonce = records_nonce(f);
	json_t *env = json_object_get(f->request, "env");

	if (!is_exec(f) || !tz_record_nonce_ok(nonce))
		return TZ_OK;
	if (!json_is_object(env))
	{
		env = json_object();
		if (json_object_set_new(f->request, "env", env) != 0)
			return tz_err_set(err, TZ_NOMEM, "out of memory");
	}
	if (json_object_set_new(env, RECORDS_VARIABLE, json_stringn(nonce.data, nonce.len)) != 0)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	return TZ_OK;
}

void
tz_flight_live(TzFlight *f, const TzPen *pens)
{
	json_int_t max = json_integer_value(json_object_get(f->request, "max_output"));
	TzStatus masked = tz_flight_mask(f);

	f->live = tz_live_new(pens, f->mask, records_nonce(f), max > 0 ? (size_t) max : OUTPUT_DEFAULT);
	if (f->live != NULL && masked != TZ_OK)
		tz_live_dark(f->live);
	if (f->flow != NULL)
		f->flow->live = f->live;
}

char *
tz_flight_reports(TzFlight *f)
{
	json_t *list = f->live != NULL && tz_flight_mask(f) == TZ_OK ? tz_live_take_records(f->live) : NULL;
	TzBuf text;

	if (list == NULL)
		return NULL;
	tz_buf_init(&text, TZ_RESULT_BYTES_MAX);
	if (tz_conceal_document(f->mask, list) != TZ_OK || tz_json_dump(list, &text, NULL) != TZ_OK ||
	    tz_buf_append_byte(&text, '\0') != TZ_OK)
		tz_buf_wipe(&text);
	json_decref(list);
	return text.data;
}

/* Those that were told while it ran are not to be told again. */
static void
note_told(TzFlight *f)
{
	json_t *records = json_object_get(f->outcome.result, "records");

	if (f->live != NULL && records != NULL && tz_live_records_taken(f->live) > 0)
		json_object_set_new(records, "told", json_integer(tz_live_records_taken(f->live)));
}

/* A command has ended: the rest of what it printed is shown, and what it reported is taken out of its output. */
void
tz_flight_command_over(TzFlight *f)
{
	TzOutcome *o = &f->outcome;
	bool done = o->verdict == TZ_V_DONE;

	if (f->live != NULL && done)
		tz_live_end(f->live, json_is_true(json_object_get(o->result, "truncated")) ||
		                         json_is_true(json_object_get(o->result, "timed_out")));
	if (done && is_exec(f) && !tz_records_take(o->result, records_nonce(f)))
		tz_conceal_withhold(o, TZ_NOMEM);
	if (done)
		note_told(f);
}
