/*-------------------------------------------------------------------------
 *
 * flight_end.c
 *	  The ways a call in flight ends, and what is written of it.
 *
 * All of it is malloc'ed and nothing here throws.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/elog.h"

#include "lib/backoff.h"
#include "lib/json.h"
#include "pg/errors.h"
#include "worker/inflight_internal.h"

#define BACKOFF_BASE_MS 500
#define BACKOFF_MAX_MS 60000

void
tz_flight_end(TzFlight *f, const char *verdict, TimestampTz now)
{
	f->verdict = verdict;
	f->finished = now;
	/* it reads with the mask, which goes next */
	if (f->flow != NULL)
		f->table->flows--;
	tz_flow_free(f->flow);
	f->flow = NULL;
	tz_live_free(f->live);
	f->live = NULL;
	tz_flight_wipe(f);
	tz_flight_move(f, TZ_FLIGHT_ENDED);
}

/* Takes over the document; without memory the result is {} and the verdict speaks alone. */
static void
set_result(TzFlight *f, json_t *doc)
{
	TzBuf text;

	free(f->result);
	f->result = NULL;
	f->result_len = 0;
	if (doc == NULL)
		return;
	tz_buf_init(&text, TZ_RESULT_BYTES_MAX);
	if (tz_json_dump(doc, &text, NULL) == TZ_OK && text.len > 0)
	{
		f->result = text.data;
		f->result_len = text.len;
	}
	else
		tz_buf_free(&text);
	json_decref(doc);
}

void
tz_flight_document(TzFlight *f, const char *verdict, TzBuf *document, TimestampTz now)
{
	free(f->result);
	f->result = document->data;
	f->result_len = document->len;
	tz_buf_init(document, 0);
	tz_flight_end(f, verdict, now);
}

static json_t *
failure_document(const TzErr *err, const char *sqlstate, const char *code, int retry_after_ms,
                 bool maybe_sent)
{
	json_t *doc = json_object();
	int number;

	if (sqlstate != NULL)
		number = MAKE_SQLSTATE(sqlstate[0], sqlstate[1], sqlstate[2], sqlstate[3], sqlstate[4]);
	else if (err->status == TZ_REFUSED && err->http_status == 0)
		number = ERRCODE_TZ_ADDRESS_REFUSED; /* nobody answered, so it was the policy */
	else
		number = tz_error_of_status(err->status);
	json_object_set_new(doc, "code", json_string(code != NULL ? code : tz_error_rest_code(number)));
	json_object_set_new(doc, "sqlstate", json_string(unpack_sql_state(number)));
	tz_json_set_text(doc, "message", tz_slice_cstr(err->message), NULL);
	if (err->detail[0] != '\0')
		tz_json_set_text(doc, "detail", tz_slice_cstr(err->detail), NULL);
	if (err->hint[0] != '\0')
		tz_json_set_text(doc, "hint", tz_slice_cstr(err->hint), NULL);
	if (err->http_status != 0)
		json_object_set_new(doc, "http_status", json_integer(err->http_status));
	if (retry_after_ms > 0)
		json_object_set_new(doc, "retry_after_ms", json_integer(retry_after_ms));
	json_object_set_new(doc, "maybe_sent", json_boolean(maybe_sent));
	return doc;
}

/* What a model's failure tells beside its words: whose turn it is next, and what is to be paid. */
static void
add_facts(json_t *doc, const TzOutcome *out)
{
	static const char *const members[] = {"usage", "usage_raw", "model", "request_id", "rate", "pause_ms"};
	json_t *code = json_object_get(out->result, "code");

	if (out->error_class == NULL)
		return;
	json_object_set_new(doc, "class", json_string(out->error_class));
	for (size_t i = 0; i < lengthof(members); i++)
	{
		json_t *value = json_object_get(out->result, members[i]);

		if (value != NULL)
			json_object_set(doc, members[i], value);
	}
	/* its own word for it, which tells whose fault it is */
	if (json_is_string(code))
		json_object_set(doc, "upstream_code", code);
}

void
tz_flight_fail(TzFlight *f, const char *verdict, const TzErr *err, const char *sqlstate, const char *code,
               int retry_after_ms, bool maybe_sent, TimestampTz now)
{
	TzErr shown = *err;
	TzStatus status = tz_flight_mask(f);
	json_t *doc;

	if (status == TZ_OK)
		tz_conceal_err(f->mask, &shown);
	else
	{
		tz_err_set(&shown, err->status, "why it failed is withheld, as its secrets cannot be masked");
		tz_err_hint(&shown, "Give the agent fewer and shorter secrets.");
	}
	doc = failure_document(&shown, sqlstate, code, retry_after_ms, maybe_sent);
	add_facts(doc, &f->outcome);
	set_result(f, doc);
	tz_flight_end(f, verdict, now);
}

void
tz_flight_outcome(TzFlight *f, const char *sqlstate, bool maybe_sent, uint32 random, TimestampTz now)
{
	TzOutcome *o = &f->outcome;
	int wait = o->retry_after_ms;

	tz_flight_command_over(f);
	tz_flight_conceal_outcome(f);
	if (f->cancel && o->verdict != TZ_V_DONE)
	{
		tz_flight_fail(f, "cancelled", &o->err, "57014", "cancelled", 0, maybe_sent, now);
		return;
	}
	switch (o->verdict)
	{
		case TZ_V_DONE:
			set_result(f, o->result);
			o->result = NULL;
			tz_flight_end(f, "done", now);
			break;
		case TZ_V_NEXT:
			set_result(f, json_pack("{s:O, s:i}", "state", o->state, "wait_ms", Max(wait, 0)));
			tz_flight_end(f, "next", now);
			break;
		case TZ_V_RETRY:
			/* how long a model waits that was told nothing is said where it is queued again */
			if (wait <= 0 && o->error_class == NULL)
				wait = tz_backoff_ms(f->claim->attempt - f->claim->step, BACKOFF_BASE_MS, BACKOFF_MAX_MS,
				                     random);
			tz_flight_fail(f, "retry", &o->err, sqlstate, o->error_code, wait, maybe_sent, now);
			break;
		case TZ_V_UNKNOWN:
			tz_flight_fail(f, "unknown", &o->err, sqlstate, o->error_code, 0, true, now);
			break;
		case TZ_V_FAILED:
		default:
			tz_flight_fail(f, "failed", &o->err, sqlstate, o->error_code, 0, maybe_sent, now);
			break;
	}
}

void
tz_flight_settle(const TzFlight *f, TzSettle *out)
{
	out->platform_id = f->claim->platform_id;
	out->root_id = f->claim->root_id;
	out->id = f->claim->id;
	out->kind = f->claim->kind;
	out->agent_id = f->claim->agent_id;
	out->attempt = f->claim->attempt;
	out->verdict = f->verdict;
	out->result = f->result;
	out->content = tz_slice(NULL, 0);
	/* An empty file is content too. */
	if (strcmp(f->verdict, "done") == 0 && f->effect.op != NULL &&
	    (strcmp(f->effect.op, "read") == 0 ||
	     (strcmp(f->effect.op, "snapshot") == 0 && f->outcome.content.len > 0)))
	{
		out->content = tz_buf_slice(&f->outcome.content);
		if (out->content.data == NULL)
			out->content.data = "";
	}
	out->started = f->started;
	out->finished = f->finished;
}

size_t
tz_flight_bytes(const TzFlight *f)
{
	return f->result_len + f->outcome.content.len + 256;
}
