/*-------------------------------------------------------------------------
 *
 * operation.c
 *	  One request as a call of its operation, and its result as an answer.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "auth/identity.h"
#include "gateway/answer.h"
#include "gateway/call.h"
#include "gateway/envelope.h"
#include "gateway/known.h"
#include "gateway/sse.h"
#include "lib/json.h"
#include "lib/utf8.h"
#include "pg/convert.h"
#include "pg/errors.h"
#include "pg/guc.h"
#include "pg/spi.h"
#include "pg/worker.h"

#define OPERATION_MAX 64
#define ACCEPT_MAX 256

/* A kept statement for each operation. */
typedef struct Operation
{
	char name[OPERATION_MAX];
	TzStmt stmt;
} Operation;

static void run(TzRequest *r);
static void plan_for(const TzRequest *r);
static void become(TzRequest *r);
static TzRoute *route_now(TzRequest *r);
static Datum argument(TzRequest *r, const TzRoute *route);
static void put_body(JsonbParseState **state, TzRequest *r, const TzRoute *route);
static void put_text(JsonbParseState **state, TzSlice name, TzSlice value);
static void put_face(JsonbParseState **state, TzRequest *r, const TzRoute *route);
static Jsonb *call(const char *name, Datum argument);
static TzStmt *statement(const char *name);
static void answer(TzRequest *r, int status, Jsonb *result);
static bool member_text(Jsonb *object, const char *name, char **out);
static void add_headers(TzReply *a, const char *headers);
static char *keep(const char *text);

void
tz_operation_run(TzRequest *r)
{
	(void) route_now(r);
	plan_for(r);
	become(r);
	if (r->idempotency != NULL && (r->flags & TZ_ROUTE_PUBLIC) == 0)
		tz_once_run(r, run);
	else
		run(r);
}

static void
run(TzRequest *r)
{
	TzRoute *route = r->route;

	answer(r, route->status, call(route->operation, argument(r, route)));
}

/* The operation that tells how the run ended, in the name of who asked for it. */
void
tz_operation_then(TzRequest *r)
{
	TzRoute *route = route_now(r);
	Datum args = tz_jsonb_datum(tz_slice_cstr(r->args));
	Jsonb *result;

	(void) set_config_option("theazo.request_id", r->id, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true,
	                         0, false);
	tz_identity_restore(&r->identity);
	result = call(r->then, args);
	answer(r, route->status, result);
}

/*
 * What makes or changes something finds rows by their keys, and planning that anew
 * costs more than doing it. Lists have filters that may be there or not.
 */
static void
plan_for(const TzRequest *r)
{
	static bool plainly = false;
	bool want = strcmp(r->method, "GET") != 0;

	if (want == plainly)
		return;
	SetConfigOption("plan_cache_mode", want ? "force_generic_plan" : "auto", PGC_USERSET, PGC_S_OVERRIDE);
	plainly = want;
}

/* ---- who asks ------------------------------------------------------------------- */

/* Nobody is left over from the request before. */
static void
become(TzRequest *r)
{
	static TzStmt stmt = {"SELECT theazo.authenticate($1)", 1, {TEXTOID}};
	TzIdentity nobody = {0};
	Datum key;

	tz_identity_restore(&nobody);
	(void) set_config_option("theazo.request_id", r->id, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true,
	                         0, false);
	if ((r->flags & TZ_ROUTE_PUBLIC) != 0)
		return;
	if (!tz_utf8_valid(tz_slice_cstr(r->key)))
		ereport(ERROR, (errcode(ERRCODE_TZ_NOT_AUTHENTICATED), errmsg("the API key is not valid")));
	if (!tz_known_try(tz_slice_cstr(r->key)))
		ereport(ERROR,
		        (errcode(ERRCODE_TZ_RATE_LIMITED), errmsg("too many keys that are not valid are being tried"),
		         errdetail("Retry after 1000 ms."), errhint("Wait that long.")));
	key = CStringGetTextDatum(r->key);
	tz_spi_exec(&stmt, &key, NULL, 0);
	tz_known_valid(tz_slice_cstr(r->key));
	tz_identity_save(&r->identity);
}

/* ---- the argument ------------------------------------------------------------------ */

static TzRoute *
route_now(TzRequest *r)
{
	const char *allow;

	r->route = tz_routes_find(&r->path, r->method, &allow);
	if (r->route == NULL)
		ereport(ERROR, (errcode(ERRCODE_TZ_NO_ROUTE), errmsg("there is nothing at this path")));
	r->flags = r->route->flags;
	return r->route;
}

/* Body, query, path, in this order: the later wins. Names with a dollar sign are the face's. */
static Datum
argument(TzRequest *r, const TzRoute *route)
{
	JsonbParseState *state = NULL;

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	put_body(&state, r, route);
	for (int i = 0; i < r->query.n; i++)
		put_text(&state, r->query.pair[i].name, r->query.pair[i].value);
	for (int i = 0; i < route->pattern.n; i++)
		if (route->pattern.kind[i] != TZ_PART_TEXT)
			put_text(&state, route->pattern.text[i],
			         tz_route_pattern_value(&route->pattern, &r->path, i, r->space));
	put_face(&state, r, route);
	return PointerGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
}

static void
put_name(JsonbParseState **state, TzSlice name)
{
	JsonbValue value;

	value.type = jbvString;
	value.val.string.val = (char *) name.data;
	value.val.string.len = (int) name.len;
	(void) pushJsonbValue(state, WJB_KEY, &value);
}

static void
put_text(JsonbParseState **state, TzSlice name, TzSlice text)
{
	JsonbValue value;

	if (name.len > 0 && name.data[0] == '$')
		return;
	put_name(state, name);
	value.type = jbvString;
	value.val.string.val = (char *) text.data;
	value.val.string.len = (int) text.len;
	(void) pushJsonbValue(state, WJB_VALUE, &value);
}

static Jsonb *
read_body(TzRequest *r)
{
	TzSlice text = tz_buf_slice(&r->body);
	Jsonb *volatile body = NULL;
	MemoryContext context = CurrentMemoryContext;

	if (!tz_utf8_valid(text))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the body is not valid UTF-8")));
	/* the server's own words would repeat the body */
	PG_TRY();
	{
		body = DatumGetJsonbP(tz_jsonb_datum(text));
	}
	PG_CATCH();
	{
		int code = geterrcode();

		if (code == ERRCODE_QUERY_CANCELED || code == ERRCODE_OUT_OF_MEMORY)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
		body = NULL;
	}
	PG_END_TRY();
	if (body == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the body is not valid JSON"),
		                errhint("Send one JSON object, in UTF-8, without \\u0000.")));
	return body;
}

static void
put_body(JsonbParseState **state, TzRequest *r, const TzRoute *route)
{
	JsonbIterator *it;
	JsonbValue key;
	JsonbValue value;
	Jsonb *body;

	if (r->body.len == 0 || strcmp(r->method, "GET") == 0)
		return;
	body = read_body(r);
	if (!JB_ROOT_IS_OBJECT(body))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the body must be a JSON object")));
	if (route->flags & TZ_ROUTE_BODY)
	{
		put_name(state, tz_slice_cstr("$body"));
		value.type = jbvBinary;
		value.val.binary.data = &body->root;
		value.val.binary.len = (int) VARSIZE(body) - VARHDRSZ;
		(void) pushJsonbValue(state, WJB_VALUE, &value);
		return;
	}
	it = JsonbIteratorInit(&body->root);
	(void) JsonbIteratorNext(&it, &value, false);
	while (JsonbIteratorNext(&it, &key, true) == WJB_KEY)
	{
		(void) JsonbIteratorNext(&it, &value, true);
		if (key.val.string.len > 0 && key.val.string.val[0] == '$')
			continue;
		(void) pushJsonbValue(state, WJB_KEY, &key);
		(void) pushJsonbValue(state, WJB_VALUE, &value);
	}
}

static void
put_face_text(JsonbParseState **state, const char *name, TzSlice text)
{
	JsonbValue value;

	put_name(state, tz_slice_cstr(name));
	value.type = jbvString;
	value.val.string.val = (char *) text.data;
	value.val.string.len = (int) text.len;
	(void) pushJsonbValue(state, WJB_VALUE, &value);
}

/* What only the face can say. */
static void
put_face(JsonbParseState **state, TzRequest *r, const TzRoute *route)
{
	static const char *const signatures[] = {
		"content-type",      "x-theazo-signature", "x-theazo-timestamp",  "webhook-id",
		"webhook-timestamp", "webhook-signature",  "x-hub-signature-256", "x-signature",
		"x-timestamp",       "stripe-signature",   "x-slack-signature",   "x-slack-request-timestamp",
	};
	const char *accept = tz_request_header(r, "Accept");
	const char *last = tz_request_header(r, "Last-Event-ID");

	if (accept != NULL && strlen(accept) <= ACCEPT_MAX && tz_utf8_valid(tz_slice_cstr(accept)))
		put_face_text(state, "$accept", tz_slice_cstr(accept));
	if (last != NULL && (route->flags & TZ_ROUTE_STREAM) != 0 && strlen(last) <= ACCEPT_MAX &&
	    tz_utf8_valid(tz_slice_cstr(last)))
		put_face_text(state, "$lastEventId", tz_slice_cstr(last));
	if ((route->flags & TZ_ROUTE_RAW) == 0)
		return;
	put_face_text(state, "$raw", tz_buf_slice(&r->body));
	put_name(state, tz_slice_cstr("$headers"));
	(void) pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	for (size_t i = 0; i < lengthof(signatures); i++)
	{
		const char *value = tz_request_header(r, signatures[i]);

		if (value != NULL && tz_utf8_valid(tz_slice_cstr(value)))
			put_face_text(state, signatures[i], tz_slice_cstr(value));
	}
	(void) pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/* ---- the call ------------------------------------------------------------------------- */

static Jsonb *
call(const char *name, Datum argument)
{
	bool isnull;
	Datum result;

	tz_rest_answer_reset();
	if (tz_spi_exec(statement(name), &argument, NULL, 1) != 1)
		elog(ERROR, "operation \"%s\" returned no row", name);
	result = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	return isnull ? NULL : DatumGetJsonbP(result);
}

static TzStmt *
statement(const char *name)
{
	static HTAB *table = NULL;
	char key[OPERATION_MAX] = "";
	Operation *op;
	bool found;

	if (strlen(name) >= sizeof(key) - 5)
		elog(ERROR, "name of operation \"%s\" is too long", name);
	strlcpy(key, name, sizeof(key));
	if (table == NULL)
	{
		HASHCTL ctl = {0};

		ctl.keysize = OPERATION_MAX;
		ctl.entrysize = sizeof(Operation);
		ctl.hcxt = tz_worker_context();
		table = hash_create("theazo gateway operations", 256, &ctl, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	}
	op = hash_search(table, key, HASH_ENTER, &found);
	if (!found)
		memset(&op->stmt, 0, sizeof(op->stmt));
	if (op->stmt.sql == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(tz_worker_context());

		op->stmt.nargs = 1;
		op->stmt.types[0] = JSONBOID;
		op->stmt.sql = psprintf("SELECT theazo_internal.%s($1)", quote_identifier(psprintf("rest_%s", name)));
		MemoryContextSwitchTo(old);
	}
	return &op->stmt;
}

/* ---- the answer ------------------------------------------------------------------------- */

static void
answer(TzRequest *r, int status, Jsonb *result)
{
	TzRestAnswer said = tz_rest_answer();
	TzReply *a = &r->reply;
	char *text;

	if (said.status != 0)
		status = said.status;
	if (result != NULL && JB_ROOT_IS_OBJECT(result))
	{
		Jsonb *args = NULL;

		if (member_text(result, "$wait", &text))
		{
			JsonbValue *value;

			free(r->run);
			free(r->then);
			free(r->args);
			r->run = keep(text);
			r->then = member_text(result, "$then", &text) ? keep(text) : NULL;
			value = getKeyJsonValueFromContainer(&result->root, "$args", 5, NULL);
			if (value != NULL && value->type == jbvBinary)
				args = JsonbValueToJsonb(value);
			r->args = keep(args == NULL ? "{}" : JsonbToCString(NULL, &args->root, VARSIZE(args)));
			if (r->then == NULL)
				elog(ERROR, "an operation waits without saying for what");
			return;
		}
		if (member_text(result, "$stream", &text))
		{
			tz_push_begin(r, result);
			return;
		}
	}
	if (said.headers != NULL)
		add_headers(a, said.headers);
	if (result == NULL)
	{
		a->status = status == 200 ? 204 : status;
		return;
	}
	if (JB_ROOT_IS_SCALAR(result))
	{
		JsonbValue value;

		/* a text with a type of its own: CSV, Markdown */
		(void) JsonbExtractScalar(&result->root, &value);
		if (value.type == jbvString && said.headers != NULL && strstr(said.headers, "ontent-") != NULL)
		{
			tz_reply_json(a, status, value.val.string.val, (size_t) value.val.string.len);
			return;
		}
	}
	text = JsonbToCString(NULL, &result->root, VARSIZE(result));
	tz_reply_json(a, status, text, strlen(text));
}

static bool
member_text(Jsonb *object, const char *name, char **out)
{
	JsonbValue *value = getKeyJsonValueFromContainer(&object->root, name, (int) strlen(name), NULL);

	if (value == NULL || value->type != jbvString)
		return false;
	*out = pnstrdup(value->val.string.val, value->val.string.len);
	return true;
}

static void
add_headers(TzReply *a, const char *headers)
{
	TzErr err;
	json_t *object;
	const char *name;
	json_t *value;

	tz_check(tz_json_parse(tz_slice_cstr(headers), NULL, &object, &err), &err);
	json_object_foreach (object, name, value)
	{
		if (json_is_string(value) && strpbrk(name, "\r\n: ") == NULL &&
		    strpbrk(json_string_value(value), "\r\n") == NULL)
			tz_reply_header(a, name, json_string_value(value));
	}
	json_decref(object);
}

/* Outlives the transaction. */
static char *
keep(const char *text)
{
	char *copy = strdup(text);

	if (copy == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	return copy;
}

void
tz_operation_failed(TzRequest *r, const ErrorData *error)
{
	TzRestError shown = {0};
	StringInfoData text;
	int retry_after;
	int status;

	shown.sqlstate = error->sqlerrcode;
	shown.message = error->message;
	shown.detail = error->detail;
	shown.hint = error->hint;
	shown.column = error->column_name;
	shown.datatype = error->datatype_name;
	shown.table = error->table_name;
	shown.request_id = r->id;
	shown.snake = (r->flags & TZ_ROUTE_SNAKE) != 0;
	if (shown.sqlstate == ERRCODE_T_R_DEADLOCK_DETECTED ||
	    shown.sqlstate == ERRCODE_T_R_SERIALIZATION_FAILURE || shown.sqlstate == ERRCODE_LOCK_NOT_AVAILABLE ||
	    shown.sqlstate == ERRCODE_QUERY_CANCELED)
	{
		bool late = shown.sqlstate == ERRCODE_QUERY_CANCELED;

		shown.sqlstate = ERRCODE_TZ_TRY_AGAIN;
		shown.message = late ? "the database took too long" : "another transaction was in the way";
		shown.detail = NULL;
		shown.hint = "Nothing was done; send the request again.";
	}
	initStringInfo(&text);
	status = tz_rest_envelope(&text, &shown, &retry_after);
	if (status == 500)
		ereport(LOG, (errmsg("request %s failed: %s", r->id, error->message),
		              errdetail_internal("SQLSTATE %s.%s%s", unpack_sql_state(error->sqlerrcode),
		                                 error->detail == NULL ? "" : " ",
		                                 error->detail == NULL ? "" : error->detail)));
	tz_reply_clear(&r->reply);
	tz_reply_json(&r->reply, status, text.data, (size_t) text.len);
	if (status == 401)
		tz_reply_header(&r->reply, "WWW-Authenticate", "Bearer");
	if (retry_after > 0)
		tz_reply_header(&r->reply, "Retry-After", psprintf("%d", retry_after));
	else if (status == 503)
		tz_reply_header(&r->reply, "Retry-After", "1");
}
