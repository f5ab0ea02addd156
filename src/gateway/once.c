/*-------------------------------------------------------------------------
 *
 * once.c
 *	  Requests that carry an Idempotency-Key: done once, answered each time.
 *
 * The key is taken and the answer kept in the transaction of the work itself, so
 * there is no moment in which one exists without the other. Of a request that
 * waits for a run, what it waits for is kept, and whoever repeats it waits for
 * the same run. Answers that invite to try again are not kept.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "utils/builtins.h"

#include "gateway/call.h"
#include "lib/json.h"
#include "pg/convert.h"
#include "pg/errors.h"
#include "pg/spi.h"

static Datum request_hash(const TzRequest *r);
static void replay(TzRequest *r);
static void wait_again(TzRequest *r, const char *waits);
static void store(TzRequest *r);
static char *member(const json_t *object, const char *name);
static Datum headers_datum(const TzReply *reply);

void
tz_once_run(TzRequest *r, TzCallBody body)
{
	static TzStmt stmt = {
		"SELECT taken, same, status, headers, body, waits FROM theazo_internal.gateway_once_begin($1, $2)",
		2,
		{TEXTOID, BYTEAOID}};
	Datum values[2];

	values[0] = CStringGetTextDatum(r->idempotency);
	values[1] = request_hash(r);
	tz_spi_exec(&stmt, values, NULL, 1);
	if (!tz_spi_bool(0, 1, false))
	{
		replay(r);
		return;
	}
	if (!tz_call_protected(r, body))
		ereport(ERROR,
		        (errcode(ERRCODE_T_R_DEADLOCK_DETECTED), errmsg("another transaction was in the way")));
	store(r);
}

/* Over what must be the same: method, target and body, each with its length. */
static Datum
request_hash(const TzRequest *r)
{
	pg_cryptohash_ctx *ctx = pg_cryptohash_create(PG_SHA256);
	uint8 digest[PG_SHA256_DIGEST_LENGTH];
	char head[64];

	snprintf(head, sizeof(head), "%s %zu ", r->method, strlen(r->target));
	if (ctx == NULL || pg_cryptohash_init(ctx) < 0 ||
	    pg_cryptohash_update(ctx, (const uint8 *) head, strlen(head)) < 0 ||
	    pg_cryptohash_update(ctx, (const uint8 *) r->target, strlen(r->target)) < 0 ||
	    (r->body.len > 0 && pg_cryptohash_update(ctx, (const uint8 *) r->body.data, r->body.len) < 0) ||
	    pg_cryptohash_final(ctx, digest, sizeof(digest)) < 0)
		elog(ERROR, "could not compute a hash");
	pg_cryptohash_free(ctx);
	return tz_bytea_datum(tz_slice((const char *) digest, sizeof(digest)));
}

/* ---- somebody was first ------------------------------------------------------------ */

/* In the row at hand: same, status, headers, body, waits. */
static void
replay(TzRequest *r)
{
	char *headers = tz_spi_text(0, 4);
	char *body = tz_spi_text(0, 5);
	char *waits = tz_spi_text(0, 6);
	int status = tz_spi_int32(0, 3, 0);
	TzErr err;
	json_t *object;
	const char *name;
	json_t *value;

	if (!tz_spi_bool(0, 2, false))
		ereport(ERROR,
		        (errcode(ERRCODE_TZ_ILLEGAL_MOVE), errmsg("the Idempotency-Key was used for another request"),
		         errhint("Use a new key for a new request.")));
	tz_reply_header(&r->reply, "Idempotent-Replay", "true");
	if (waits != NULL)
	{
		wait_again(r, waits);
		return;
	}
	if (status == 0)
		ereport(ERROR, (errcode(ERRCODE_TZ_ILLEGAL_MOVE),
		                errmsg("the request was carried out, and its answer is not kept"),
		                errdetail("The answer carried a credential, which is shown once."),
		                errhint("Delete what it made and make another, with a new Idempotency-Key.")));
	tz_check(tz_json_parse(tz_slice_cstr(headers), NULL, &object, &err), &err);
	json_object_foreach (object, name, value)
		tz_reply_header(&r->reply, name, json_string_value(value));
	json_decref(object);
	if (body == NULL)
		r->reply.status = status;
	else
		tz_reply_json(&r->reply, status, body, strlen(body));
}

static void
wait_again(TzRequest *r, const char *waits)
{
	TzErr err;
	json_t *object;

	tz_check(tz_json_parse(tz_slice_cstr(waits), NULL, &object, &err), &err);
	r->run = member(object, "run");
	r->then = member(object, "then");
	r->args = member(object, "args");
	json_decref(object);
	if (r->run == NULL || r->then == NULL || r->args == NULL)
		elog(ERROR, "what a request waited for cannot be read");
}

/* A malloc'ed copy. */
static char *
member(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text == NULL ? NULL : strdup(text);
}

/* ---- we are ------------------------------------------------------------------------- */

/* Is it worth another try? Then the key is free for it. */
static bool
inconclusive(int status)
{
	return status >= 500 || status == 401 || status == 408 || status == 429;
}

static void
store(TzRequest *r)
{
	static TzStmt stmt = {"SELECT theazo_internal.gateway_once_end($1, $2, $3, $4, $5, $6)",
	                      6,
	                      {TEXTOID, BOOLOID, INT4OID, JSONBOID, TEXTOID, JSONBOID}};
	TzReply *reply = &r->reply;
	bool waits = reply->status == 0 && r->run != NULL;
	bool keep = waits || !inconclusive(reply->status);
	Datum values[6];
	bool nulls[6] = {false, false, waits, waits, waits || reply->body == NULL, !waits};

	values[0] = CStringGetTextDatum(r->idempotency);
	values[1] = BoolGetDatum(keep);
	values[2] = Int32GetDatum(reply->status);
	values[3] = waits ? (Datum) 0 : headers_datum(reply);
	values[4] = nulls[4] ? (Datum) 0 : tz_text_datum(tz_slice(reply->body, reply->len));
	values[5] = (Datum) 0;
	if (waits)
	{
		json_t *object = json_pack("{s:s, s:s, s:s}", "run", r->run, "then", r->then, "args", r->args);
		char *text = object == NULL ? NULL : json_dumps(object, JSON_COMPACT);

		json_decref(object);
		if (text == NULL)
			ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
		values[5] = tz_jsonb_datum(tz_slice_cstr(text));
		free(text);
	}
	tz_spi_exec(&stmt, values, nulls, 0);
}

static Datum
headers_datum(const TzReply *reply)
{
	json_t *object = json_object();
	char *text;
	Datum datum;

	if (object != NULL && reply->type != NULL)
		json_object_set_new(object, "Content-Type", json_string(reply->type));
	for (int i = 0; i < reply->nheaders; i++)
		json_object_set_new(object, reply->name[i], json_string(reply->value[i]));
	text = object == NULL ? NULL : json_dumps(object, JSON_COMPACT);
	json_decref(object);
	if (text == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	datum = tz_jsonb_datum(tz_slice_cstr(text));
	free(text);
	return datum;
}
