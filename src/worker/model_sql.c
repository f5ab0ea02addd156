/*-------------------------------------------------------------------------
 *
 * model_sql.c
 *	  Pure functions of the agent loop, callable from SQL: messages in a
 *	  provider's form, documents against JSON schemas.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

#include "adapter/model.h"
#include "lib/json.h"
#include "lib/json_raw.h"
#include "lib/jsonschema.h"
#include "pg/convert.h"
#include "pg/export.h"

#define WIRE_MAX (16 * 1024 * 1024)

/* Deep and large enough for whatever jsonb took. */
static const TzJsonLimits limits = {
	.max_bytes = 64 * 1024 * 1024,
	.max_depth = 512,
	.max_values = 4000000,
	.flags = TZ_JSON_ANY,
};

/* A jsonb argument as Jansson sees it; release it with json_decref. */
static json_t *
tz_jsonb_argument(FunctionCallInfo fcinfo, int i)
{
	char *text = DatumGetCString(DirectFunctionCall1(jsonb_out, PG_GETARG_DATUM(i)));
	json_t *value;
	TzErr err;

	tz_check(tz_json_parse(tz_slice_cstr(text), &limits, &value, &err), &err);
	pfree(text);
	return value;
}

/* theazo_internal.model_encode(dialect text, message jsonb) */
THEAZO_FUNCTION(theazo_model_encode)
{
	char *dialect = text_to_cstring(PG_GETARG_TEXT_PP(0));
	bool anthropic = strcmp(dialect, "anthropic") == 0;
	json_t *message = tz_jsonb_argument(fcinfo, 1);
	TzBuf wire;
	TzErr err;
	Datum result = (Datum) 0;

	tz_buf_init(&wire, WIRE_MAX);
	tz_err_clear(&err);
	err.status = tz_model_encode(tz_adapter_find(anthropic ? "anthropic" : "openai"),
	                             anthropic ? NULL : dialect, message, &wire, &err);
	json_decref(message);
	PG_TRY();
	{
		tz_check(err.status, &err);
		result = tz_text_datum(tz_buf_slice(&wire));
	}
	PG_FINALLY();
	{
		tz_buf_free(&wire);
	}
	PG_END_TRY();
	PG_RETURN_DATUM(result);
}

/* theazo_internal.json_schema_check(schema jsonb, value jsonb): null when it fits, else why not */
THEAZO_FUNCTION(theazo_json_schema_check)
{
	json_t *schema = tz_jsonb_argument(fcinfo, 0);
	json_t *value = NULL;
	TzErr err;
	TzStatus st;

	PG_TRY();
	{
		value = tz_jsonb_argument(fcinfo, 1);
	}
	PG_CATCH();
	{
		json_decref(schema);
		PG_RE_THROW();
	}
	PG_END_TRY();
	st = tz_jsonschema_check(schema, value, &err);
	json_decref(schema);
	json_decref(value);
	if (st == TZ_OK)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(err.message));
}

/* theazo_internal.json_schema_valid(schema jsonb): null when it is a schema, else what is wrong with it */
THEAZO_FUNCTION(theazo_json_schema_valid)
{
	json_t *schema = tz_jsonb_argument(fcinfo, 0);
	TzErr err;
	TzStatus st = tz_jsonschema_valid(schema, &err);

	json_decref(schema);
	if (st == TZ_OK)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(err.message));
}

/* theazo_internal.json_compact(value jsonb): its text without blanks */
THEAZO_FUNCTION(theazo_json_compact)
{
	char *text = DatumGetCString(DirectFunctionCall1(jsonb_out, PG_GETARG_DATUM(0)));
	TzBuf out;
	TzStatus status;
	Datum result = (Datum) 0;

	tz_buf_init(&out, strlen(text));
	status = tz_json_raw_compact(tz_slice_cstr(text), &out);
	PG_TRY();
	{
		if (status != TZ_OK)
			ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
		result = tz_text_datum(tz_buf_slice(&out));
	}
	PG_FINALLY();
	{
		tz_buf_free(&out);
	}
	PG_END_TRY();
	PG_RETURN_DATUM(result);
}
