/*-------------------------------------------------------------------------
 *
 * inflight.c
 *	  The table of calls in flight, and their moves.
 *
 * A call in flight outlives transactions, turns and errors of turns, so all of
 * it is malloc'ed and nothing here throws. What it did not manage to remember is
 * not lost: the row says claimed, and recovery asks who claimed it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/elog.h"

#include "adapter/model.h"
#include "lib/backoff.h"
#include "lib/json.h"
#include "lib/records.h"
#include "pg/errors.h"
#include "worker/inflight.h"

#define REQUEST_BYTES_MAX (64 * 1024 * 1024)
#define DOCUMENT_DEPTH_MAX 128
#define DOCUMENT_VALUES_MAX 1000000
#define CONTENT_BYTES_MAX (64 * 1024 * 1024)
#define RESULT_BYTES_MAX (128 * 1024 * 1024)
#define BACKOFF_BASE_MS 500
#define BACKOFF_MAX_MS 60000
#define SPARE_MAX 2048
#define OUTPUT_DEFAULT (1024 * 1024) /* of a command, each stream */
#define RECORDS_VARIABLE "THEAZO_RECORDS"

/* moves[from][to] */
static const bool moves[TZ_FLIGHT_LISTS][TZ_FLIGHT_GONE + 1] = {
	[TZ_FLIGHT_CLAIMED] = {[TZ_FLIGHT_FLYING] = true, [TZ_FLIGHT_ENDED] = true},
	[TZ_FLIGHT_FLYING] = {[TZ_FLIGHT_ENDED] = true},
	[TZ_FLIGHT_ENDED] = {[TZ_FLIGHT_PARKED] = true, [TZ_FLIGHT_GONE] = true},
	[TZ_FLIGHT_PARKED] = {[TZ_FLIGHT_ENDED] = true, [TZ_FLIGHT_GONE] = true},
};

static void
list_remove(TzFlightList *list, TzFlight *f)
{
	if (f->prev != NULL)
		f->prev->next = f->next;
	else
		list->first = f->next;
	if (f->next != NULL)
		f->next->prev = f->prev;
	else
		list->last = f->prev;
	f->next = f->prev = NULL;
	list->n--;
}

static void
list_push(TzFlightList *list, TzFlight *f)
{
	f->next = NULL;
	f->prev = list->last;
	if (list->last != NULL)
		list->last->next = f;
	else
		list->first = f;
	list->last = f;
	list->n++;
}

static TzFlight **
bucket_of(const TzInflight *table, const char *id)
{
	uint32 h = hash_bytes((const unsigned char *) id, (int) strlen(id));

	return &table->buckets[h & (uint32) (table->nbuckets - 1)];
}

bool
tz_inflight_init(TzInflight *table, int expected)
{
	memset(table, 0, sizeof(*table));
	table->nbuckets = 256;
	while (table->nbuckets < expected && table->nbuckets < 65536)
		table->nbuckets *= 2;
	table->buckets = calloc((size_t) table->nbuckets, sizeof(TzFlight *));
	return table->buckets != NULL;
}

bool
tz_inflight_reserve(TzInflight *table, int n)
{
	while (table->nspare < n)
	{
		TzFlight *f = calloc(1, sizeof(TzFlight));

		if (f == NULL)
			return false;
		f->next = table->spare;
		table->spare = f;
		table->nspare++;
	}
	return true;
}

TzFlight *
tz_inflight_add(TzInflight *table, TzClaimed *claim, TimestampTz now)
{
	TzFlight *f = table->spare;
	TzFlight **bucket;

	Assert(f != NULL);
	table->spare = f->next;
	table->nspare--;
	f->next = NULL;
	f->table = table;
	f->claim = claim;
	f->claimed_at = f->started = f->finished = now;
	bucket = bucket_of(table, claim->id);
	f->chain = *bucket;
	*bucket = f;
	list_push(&table->lists[TZ_FLIGHT_CLAIMED], f);
	table->n++;
	return f;
}

TzFlight *
tz_inflight_find(const TzInflight *table, const char *id, int attempt)
{
	for (TzFlight *f = *bucket_of(table, id); f != NULL; f = f->chain)
	{
		if (f->claim->attempt == attempt && strcmp(f->claim->id, id) == 0)
			return f;
	}
	return NULL;
}

bool
tz_flight_move(TzFlight *f, TzFlightState to)
{
	TzInflight *table = f->table;

	if (f->state >= TZ_FLIGHT_LISTS || !moves[f->state][to])
		return false;
	if (f->state == TZ_FLIGHT_FLYING && !f->noted)
		table->unnoted--;
	if (f == table->first_unnoted)
		table->first_unnoted = f->next;
	list_remove(&table->lists[f->state], f);
	f->state = to;
	if (to < TZ_FLIGHT_LISTS)
		list_push(&table->lists[to], f);
	if (to == TZ_FLIGHT_FLYING)
	{
		table->unnoted++;
		if (table->first_unnoted == NULL)
			table->first_unnoted = f;
	}
	return true;
}

void
tz_flight_free(TzFlight *f)
{
	TzInflight *table = f->table;
	TzFlight **at;

	if (!tz_flight_move(f, TZ_FLIGHT_GONE))
		return;
	at = bucket_of(table, f->claim->id);
	while (*at != f)
		at = &(*at)->chain;
	*at = f->chain;
	table->n--;
	tz_flight_wipe(f);
	json_decref(f->request);
	json_decref(f->step_state);
	tz_outcome_free(&f->outcome);
	free(f->result);
	tz_claimed_free(f->claim);
	if (table->nspare >= SPARE_MAX)
	{
		free(f);
		return;
	}
	memset(f, 0, sizeof(*f));
	f->next = table->spare;
	table->spare = f;
	table->nspare++;
}

static TzStatus
parse_document(const char *text, size_t len, bool needed, json_t **out, TzErr *err)
{
	static const TzJsonLimits limits = {
		.max_bytes = REQUEST_BYTES_MAX,
		.max_depth = DOCUMENT_DEPTH_MAX,
		.max_values = DOCUMENT_VALUES_MAX,
	};
	TzStatus st;

	*out = NULL;
	if (text == NULL && !needed)
		return TZ_OK;
	st = tz_json_parse(text != NULL ? tz_slice(text, len) : tz_slice_cstr("{}"), &limits, out, err);
	if (st == TZ_OK && !json_is_object(*out))
		return tz_err_set(err, TZ_INTERNAL, "document of the effect is not an object");
	return st;
}

/* What adapters get to see: a brokered value is not for them, a placeholder is a variable like any other. */
static void
add_secret(TzFlight *f, const TzClaimedSecret *s)
{
	TzSecretValue *out = &f->secrets[f->effect.nsecrets];
	bool placeholder = strcmp(s->use, "placeholder") == 0;

	if (strcmp(s->use, "broker") == 0 || strcmp(s->use, "mask") == 0)
		return;
	out->use = placeholder ? "env" : s->use;
	out->name = strcmp(out->use, "env") == 0 ? s->env_name : s->name;
	out->value = tz_buf_slice(&s->value);
	f->effect.nsecrets++;
}

/* unix:///path is a socket of this machine: whoever may open it may own the machine, so only the operator gives one. */
static TzStatus
take_socket(TzFlight *f, bool allowed, TzErr *err)
{
	static const char scheme[] = "unix://";

	if (f->endpoint.url == NULL || strncmp(f->endpoint.url, scheme, sizeof(scheme) - 1) != 0)
		return TZ_OK;
	if (!allowed)
	{
		tz_err_set(err, TZ_REFUSED, "a socket of the server's machine is not for platforms");
		tz_err_hint(err, "Give an https address, or have the operator offer it as managed compute.");
		return TZ_REFUSED;
	}
	f->endpoint.socket = f->endpoint.url + sizeof(scheme) - 1;
	f->endpoint.url = "http://localhost";
	f->endpoint.allow_http = true;
	return TZ_OK;
}

TzStatus
tz_flight_prepare(TzFlight *f, size_t max_response, int64 now_unix_ms, TzErr *err)
{
	TzClaimed *c = f->claim;
	const char *dot = strchr(c->kind, '.');
	const json_t *to;
	TzStatus st;

	tz_outcome_init(&f->outcome, CONTENT_BYTES_MAX);
	st = parse_document(c->request, c->request_len, true, &f->request, err);
	if (st == TZ_OK)
		st = parse_document(c->step_state, c->step_state_len, false, &f->step_state, err);
	if (st == TZ_OK && c->endpoint != NULL && c->endpoint->doc == NULL)
		st = parse_document(c->endpoint->text, c->endpoint->len, true, &c->endpoint->doc, err);
	if (st != TZ_OK)
		return st;
	free(c->request);
	c->request = NULL;
	if (c->nsecrets > 0)
	{
		f->secrets = calloc((size_t) c->nsecrets, sizeof(TzSecretValue));
		if (f->secrets == NULL)
			return tz_err_set(err, TZ_NOMEM, "out of memory");
		for (int i = 0; i < c->nsecrets; i++)
			add_secret(f, &c->secrets[i]);
	}
	f->effect.platform_id = c->platform_id;
	f->effect.root_id = c->root_id;
	f->effect.id = c->id;
	f->effect.kind = c->kind;
	f->effect.op = dot != NULL ? dot + 1 : c->kind;
	/* asked by the keeper, but the same question */
	if (strcmp(c->kind, "compute.sample") == 0)
		f->effect.op = "metrics";
	f->effect.attempt = c->attempt;
	f->effect.step = c->step;
	f->effect.request = f->request;
	f->effect.state = f->step_state;
	f->effect.content = tz_slice(c->content, c->content_len);
	f->effect.secrets = f->secrets;
	f->effect.now_ms = now_unix_ms;
	to = c->endpoint != NULL ? c->endpoint->doc : NULL;
	f->endpoint.url = json_string_value(json_object_get(to, "url"));
	f->endpoint.allow_http = json_is_true(json_object_get(to, "allow_http"));
	f->endpoint.allow_private = json_is_true(json_object_get(to, "allow_private"));
	f->endpoint.config = json_object_get(to, "config");
	if (!json_is_object(f->endpoint.config))
		f->endpoint.config = NULL;
	f->endpoint.max_response = max_response;
	return take_socket(f, json_is_true(json_object_get(to, "allow_socket")), err);
}

static void drop_mask(TzFlight *f);

void
tz_flight_wipe(TzFlight *f)
{
	free(f->secrets);
	f->secrets = NULL;
	f->effect.secrets = NULL;
	f->effect.nsecrets = 0;
	drop_mask(f);
	f->mask_tried = false;
	tz_claimed_wipe(f->claim);
}

/* ---- keeping its secrets out of what comes back -------------------------------- */

/* Values that were opened for the call, borrowed; free the list. NULL when there are none, or no memory. */
static TzSlice *
opened_values(const TzClaimed *c, int *n)
{
	TzSlice *values = malloc(((size_t) c->nsecrets + 1) * sizeof(TzSlice));

	*n = 0;
	for (int i = 0; values != NULL && i < c->nsecrets; i++)
	{
		if (c->secrets[i].sealed)
			values[(*n)++] = tz_buf_slice(&c->secrets[i].value);
	}
	return values;
}

static TzStatus
make_share(const TzBuf *key, const TzSlice *values, int n, TzMaskShare **out)
{
	TzMaskShare *share = calloc(1, sizeof(*share));
	TzStatus status = share != NULL ? tz_mask_create(values, n, &share->mask, NULL) : TZ_NOMEM;

	if (status != TZ_OK)
	{
		free(share);
		return status;
	}
	share->values = *key;
	*out = share;
	return TZ_OK;
}

/* The one with these values; key is taken over if it is new. */
static TzStatus
find_mask(TzFlight *f, TzBuf *key, const TzSlice *values, int n)
{
	uint32 hash = hash_bytes((const unsigned char *) key->data, (int) key->len);
	TzMaskShare *share = f->table->masks;
	TzStatus status;

	while (share != NULL &&
	       (share->hash != hash || !tz_slice_eq(tz_buf_slice(&share->values), tz_buf_slice(key))))
		share = share->next;
	if (share == NULL)
	{
		status = make_share(key, values, n, &share);
		if (status != TZ_OK)
			return status;
		tz_buf_init_secret(key, 0);
		share->hash = hash;
		share->next = f->table->masks;
		f->table->masks = share;
	}
	share->refs++;
	f->mask_share = share;
	f->mask = share->mask;
	return TZ_OK;
}

static void
drop_mask(TzFlight *f)
{
	TzMaskShare *share = f->mask_share;
	TzMaskShare **at = &f->table->masks;

	f->mask = NULL;
	f->mask_share = NULL;
	if (share == NULL || --share->refs > 0)
		return;
	while (*at != share)
		at = &(*at)->next;
	*at = share->next;
	tz_buf_wipe(&share->values);
	tz_mask_free(share->mask);
	free(share);
}

/* Made at the first need: most calls have no secrets, and most secrets meet one text. */
static TzStatus
need_mask(TzFlight *f)
{
	TzSlice *values;
	TzBuf key;
	int n;

	if (f->mask_tried || f->claim->nsecrets == 0)
		return f->mask_tried ? f->mask_status : TZ_OK;
	f->mask_tried = true;
	values = opened_values(f->claim, &n);
	if (values == NULL)
		return f->mask_status = TZ_NOMEM;
	tz_buf_init_secret(&key, SIZE_MAX);
	for (int i = 0; i < n; i++)
	{
		tz_buf_append(&key, &values[i].len, sizeof(values[i].len));
		tz_buf_append(&key, values[i].data, values[i].len);
	}
	f->mask_status = key.status;
	if (key.status == TZ_OK && n > 0)
		f->mask_status = find_mask(f, &key, values, n);
	tz_buf_wipe(&key);
	free(values);
	return f->mask_status;
}

static void
conceal_outcome(TzFlight *f)
{
	TzStatus status = need_mask(f);
	/* Files, packed: nothing reads them but a sandbox, and a byte changed there makes them worthless. */
	bool packed = f->effect.op != NULL && strcmp(f->effect.op, "snapshot") == 0;
	TzBuf files = f->outcome.content;
	TzSlice *values;
	int n;

	if (status != TZ_OK)
	{
		tz_conceal_withhold(&f->outcome, status);
		return;
	}
	if (f->mask == NULL)
		return;
	values = opened_values(f->claim, &n);
	if (packed)
		tz_buf_init(&f->outcome.content, 0);
	if (values != NULL)
		tz_conceal_outcome(f->mask, values, n, &f->outcome);
	else
		tz_conceal_withhold(&f->outcome, TZ_NOMEM);
	free(values);
	if (packed && f->outcome.verdict != TZ_V_DONE)
		tz_buf_wipe(&files);
	if (packed)
		f->outcome.content = files;
}

bool
tz_flight_conceal(TzFlight *f, const char *text, char *out, size_t size)
{
	TzErr err;

	if (need_mask(f) != TZ_OK)
		return false;
	tz_err_clear(&err);
	strlcpy(err.detail, text, sizeof(err.detail));
	tz_conceal_err(f->mask, &err);
	strlcpy(out, err.detail, size);
	return true;
}

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
	TzStatus masked = need_mask(f);

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
	TzStatus masked = need_mask(f);

	f->live = tz_live_new(pens, f->mask, records_nonce(f), max > 0 ? (size_t) max : OUTPUT_DEFAULT);
	if (f->live != NULL && masked != TZ_OK)
		tz_live_dark(f->live);
	if (f->flow != NULL)
		f->flow->live = f->live;
}

char *
tz_flight_reports(TzFlight *f)
{
	json_t *list = f->live != NULL && need_mask(f) == TZ_OK ? tz_live_take_records(f->live) : NULL;
	TzBuf text;

	if (list == NULL)
		return NULL;
	tz_buf_init(&text, RESULT_BYTES_MAX);
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
static void
command_over(TzFlight *f)
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

void
tz_flight_slim(TzFlight *f)
{
	static const char *const members[] = {"tools", "system", "response_schema", "extra"};

	f->effect.prompt_chars = tz_model_prompt_chars(&f->effect);
	f->effect.content = tz_slice(NULL, 0);
	free(f->claim->content);
	f->claim->content = NULL;
	f->claim->content_len = 0;
	for (size_t i = 0; i < lengthof(members); i++)
		json_object_del(f->request, members[i]);
}

/* ---- ends ------------------------------------------------------------------------ */

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
	tz_buf_init(&text, RESULT_BYTES_MAX);
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
	TzStatus status = need_mask(f);
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

	command_over(f);
	conceal_outcome(f);
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
