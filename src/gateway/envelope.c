/*-------------------------------------------------------------------------
 *
 * envelope.c
 *	  An error as the REST contract shows it.
 *
 * Functions of theazo raise errors for people: message, DETAIL, hint. What a
 * program wants to know stands in DETAIL as a JSON object, or as "Reason: x.",
 * or in COLUMN, DATATYPE and TABLE of the error. Here it becomes `details`.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"

#include "gateway/envelope.h"
#include "lib/json.h"
#include "pg/convert.h"
#include "pg/errors.h"
#include "pg/export.h"
#include "pg/objects.h"

#define DETAIL_MAX 65536

/* "Label: value." in DETAIL, and the member it becomes. */
static const struct
{
	const char *label;
	const char *member;
} labels[] = {
	{"Reason", "reason"}, {"Type", "type"},         {"Kind", "kind"},
	{"Tool", "tool"},     {"Provider", "provider"}, {"Capability", "capability"},
};

/* Arguments of theazo whose member of a request is spelt otherwise. */
static const struct
{
	const char *argument;
	const char *member;
} spellings[] = {
	{"user_id", "userId"},
	{"max_cost", "maxCost"},
	{"credential_ref", "credentialRef"},
	{"signing_ref", "config.signingSecretRef"},
	{"compute_mode", "computeMode"},
	{"primitives_enabled", "primitivesEnabled"},
	{"requires_approval", "requiresApproval"},
};

/* What DATATYPE of an error holds, by SQLSTATE. Tests show COLUMN, which is for the field; this one is for programs only. */
static const struct
{
	int sqlstate;
	const char *member;
} subjects[] = {
	{ERRCODE_UNDEFINED_OBJECT, "id"},         {ERRCODE_TZ_SESSION_CLOSED, "status"},
	{ERRCODE_TZ_ILLEGAL_MOVE, "status"},      {ERRCODE_TZ_EXPIRED, "expiredAt"},
	{ERRCODE_TZ_APPROVAL_NEEDED, "tool"},     {ERRCODE_DUPLICATE_OBJECT, "name"},
	{ERRCODE_TZ_RUNTIME_MISSING, "provider"},
};

static json_t *envelope_details(const TzRestError *error, int *retry_after);
static void envelope_labels(json_t *details, const char *detail);
static const char *envelope_field(const char *column);
static void envelope_member(json_t *details, const char *member, const char *value);
static int envelope_retry_after(const char *detail);
static char *envelope_text(FunctionCallInfo fcinfo, int n);

int
tz_rest_envelope(StringInfo out, const TzRestError *error, int *retry_after)
{
	const char *code = tz_error_rest_code(error->sqlstate);
	bool known = strcmp(code, "internal_error") != 0 || tz_error_is_listed(error->sqlstate);
	json_t *details;

	*retry_after = 0;
	appendStringInfoString(out, error->snake ? "{\"success\": false, \"error\": {\"code\": "
	                                         : "{\"error\": {\"code\": ");
	if (error->snake && error->sqlstate == ERRCODE_TZ_HALTED && error->detail != NULL &&
	    strstr(error->detail, "agent_halted") != NULL)
		escape_json(out, "AGENT_HALTED");
	else
		escape_json(out, error->snake ? tz_error_snake_code(error->sqlstate) : code);
	appendStringInfoString(out, ", \"message\": ");
	escape_json(out, known && error->message != NULL ? error->message : "internal error");
	details = known ? envelope_details(error, retry_after) : NULL;
	if (details != NULL && json_object_size(details) > 0)
	{
		char *text = json_dumps(details, JSON_COMPACT);

		if (text != NULL)
		{
			appendStringInfo(out, ", \"details\": %s", text);
			free(text);
		}
	}
	json_decref(details);
	appendStringInfoString(out, "}, \"requestId\": ");
	escape_json(out, error->request_id == NULL ? "" : error->request_id);
	appendStringInfoChar(out, '}');
	return tz_error_http_status(error->sqlstate);
}

/* A malloc'ed object, or NULL. */
static json_t *
envelope_details(const TzRestError *error, int *retry_after)
{
	json_t *details = NULL;
	TzJsonLimits limits = tz_json_limits_default;
	TzErr err;

	limits.max_bytes = DETAIL_MAX;
	if (error->detail != NULL && error->detail[0] == '{' &&
	    tz_json_parse(tz_slice_cstr(error->detail), &limits, &details, &err) != TZ_OK)
		details = NULL;
	if (details == NULL || !json_is_object(details))
	{
		json_decref(details);
		details = json_object();
		if (details == NULL)
			return NULL;
		if (error->detail != NULL)
			envelope_labels(details, error->detail);
	}
	if (error->sqlstate == ERRCODE_UNDEFINED_OBJECT)
		envelope_member(details, "resource", error->table);
	for (size_t i = 0; i < lengthof(subjects); i++)
		if (subjects[i].sqlstate == error->sqlstate)
			envelope_member(details, subjects[i].member, error->datatype);
	if (error->sqlstate == ERRCODE_INVALID_PARAMETER_VALUE || error->sqlstate == ERRCODE_TZ_ADDRESS_REFUSED)
		envelope_member(details, "field", error->snake ? error->column : envelope_field(error->column));
	if (error->sqlstate == ERRCODE_TZ_ADDRESS_REFUSED)
		envelope_member(details, "reason", "egress_denied");
	if (error->sqlstate == ERRCODE_TZ_UNSUPPORTED)
		envelope_member(details, "reason", "capability_unsupported");
	if (error->sqlstate == ERRCODE_TZ_RATE_LIMITED)
	{
		*retry_after = envelope_retry_after(error->detail);
		json_object_set_new(details, "retryAfter", json_integer(*retry_after));
	}
	envelope_member(details, "hint", error->hint);
	return details;
}

static const char *
envelope_field(const char *column)
{
	for (size_t i = 0; column != NULL && i < lengthof(spellings); i++)
		if (strcmp(column, spellings[i].argument) == 0)
			return spellings[i].member;
	return column;
}

static void
envelope_member(json_t *details, const char *member, const char *value)
{
	if (member != NULL && value != NULL && value[0] != '\0' && json_object_get(details, member) == NULL)
		json_object_set_new(details, member, json_string(value));
}

/* "Reason: x. Rule: y.": the known labels, each with the word behind it. */
static void
envelope_labels(json_t *details, const char *detail)
{
	for (size_t i = 0; i < lengthof(labels); i++)
	{
		size_t len = strlen(labels[i].label);
		const char *at = detail;

		while ((at = strstr(at, labels[i].label)) != NULL)
		{
			bool begins = at == detail || at[-1] == ' ';

			at += len;
			if (begins && at[0] == ':' && at[1] == ' ')
			{
				char *value = pnstrdup(at + 2, strcspn(at + 2, " .;,"));

				envelope_member(details, labels[i].member, value);
				break;
			}
		}
	}
}

/* "Retry after 1500 ms." is 2 seconds; never less than one. */
static int
envelope_retry_after(const char *detail)
{
	const char *at = detail == NULL ? NULL : strstr(detail, "Retry after ");
	int64 ms = at == NULL ? 0 : strtoll(at + strlen("Retry after "), NULL, 10);

	if (ms <= 0)
		return 1;
	return (int) Min((ms + 999) / 1000, (int64) 1000000);
}

/*
 * theazo_internal.rest_envelope(sqlstate, message, detail, hint, col, typ, tab, request_id text, snake boolean,
 * OUT status integer, OUT document jsonb, OUT retry_after integer)
 */
THEAZO_FUNCTION(theazo_rest_envelope)
{
	TzRestError error = {0};
	char *sqlstate = envelope_text(fcinfo, 0);
	StringInfoData doc;
	Datum values[3];
	bool nulls[3] = {false, false, false};
	int retry_after;

	if (sqlstate == NULL || strlen(sqlstate) != 5)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("a SQLSTATE has five characters"));
	error.sqlstate = MAKE_SQLSTATE(sqlstate[0], sqlstate[1], sqlstate[2], sqlstate[3], sqlstate[4]);
	error.message = envelope_text(fcinfo, 1);
	error.detail = envelope_text(fcinfo, 2);
	error.hint = envelope_text(fcinfo, 3);
	error.column = envelope_text(fcinfo, 4);
	error.datatype = envelope_text(fcinfo, 5);
	error.table = envelope_text(fcinfo, 6);
	error.request_id = envelope_text(fcinfo, 7);
	error.snake = !PG_ARGISNULL(8) && PG_GETARG_BOOL(8);
	initStringInfo(&doc);
	values[0] = Int32GetDatum(tz_rest_envelope(&doc, &error, &retry_after));
	values[1] = tz_jsonb_datum(tz_slice(doc.data, doc.len));
	values[2] = Int32GetDatum(retry_after);
	nulls[2] = retry_after == 0;
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(tz_result_desc(fcinfo), values, nulls)));
}

static char *
envelope_text(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n));
}
