/*-------------------------------------------------------------------------
 *
 * errors.c
 *	  Look-ups in the list of errors.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/formatting.h"

#include "pg/errors.h"
#include "pg/export.h"

typedef struct ErrorEntry
{
	int sqlstate;
	const char *name;
	const char *rest_code;
	int http_status;
	const char *meaning;
} ErrorEntry;

static const ErrorEntry ours[] = {
#define TZ_ENTRY(name, a, b, c, d, e, rest, http, meaning) {ERRCODE_TZ_##name, #name, rest, http, meaning},
	TZ_ERRORS(TZ_ENTRY)
#undef TZ_ENTRY
};

/* Codes of the server that our functions raise on purpose. */
static const ErrorEntry servers[] = {
	{ERRCODE_INVALID_PARAMETER_VALUE, NULL, "invalid_request", 400, NULL},
	{ERRCODE_INVALID_TEXT_REPRESENTATION, NULL, "invalid_request", 400, NULL},
	{ERRCODE_NULL_VALUE_NOT_ALLOWED, NULL, "invalid_request", 400, NULL},
	{ERRCODE_STRING_DATA_RIGHT_TRUNCATION, NULL, "invalid_request", 400, NULL},
	{ERRCODE_PROGRAM_LIMIT_EXCEEDED, NULL, "invalid_request", 413, NULL},
	{ERRCODE_UNDEFINED_OBJECT, NULL, "not_found", 404, NULL},
	{ERRCODE_UNDEFINED_FILE, NULL, "not_found", 404, NULL},
	{ERRCODE_DUPLICATE_OBJECT, NULL, "conflict", 409, NULL},
	{ERRCODE_UNIQUE_VIOLATION, NULL, "conflict", 409, NULL},
	{ERRCODE_OBJECT_IN_USE, NULL, "conflict", 409, NULL},
	{ERRCODE_INSUFFICIENT_PRIVILEGE, NULL, "forbidden", 403, NULL},
	{ERRCODE_CONFIGURATION_LIMIT_EXCEEDED, NULL, "rate_limited", 429, NULL},
	{ERRCODE_INVALID_DATETIME_FORMAT, NULL, "invalid_request", 400, NULL},
	{ERRCODE_DATETIME_VALUE_OUT_OF_RANGE, NULL, "invalid_request", 400, NULL},
	{ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, NULL, "invalid_request", 400, NULL},
	{ERRCODE_UNTRANSLATABLE_CHARACTER, NULL, "invalid_request", 400, NULL},
	{ERRCODE_CHARACTER_NOT_IN_REPERTOIRE, NULL, "invalid_request", 400, NULL},
	{ERRCODE_FEATURE_NOT_SUPPORTED, NULL, "not_implemented", 501, NULL},
};

/* Codes of the governed agents' interface that are not the other one in capitals. */
static const struct
{
	int sqlstate;
	const char *code;
} snake_codes[] = {
	{ERRCODE_TZ_EXPIRED, "PERMISSION_EXPIRED"},
	{ERRCODE_TZ_HALTED, "GLOBAL_HALT"},
};

static const ErrorEntry *
error_find(int sqlstate)
{
	for (size_t i = 0; i < lengthof(ours); i++)
		if (ours[i].sqlstate == sqlstate)
			return &ours[i];
	for (size_t i = 0; i < lengthof(servers); i++)
		if (servers[i].sqlstate == sqlstate)
			return &servers[i];
	return NULL;
}

const char *
tz_error_rest_code(int sqlstate)
{
	const ErrorEntry *entry = error_find(sqlstate);

	return entry ? entry->rest_code : "internal_error";
}

int
tz_error_http_status(int sqlstate)
{
	const ErrorEntry *entry = error_find(sqlstate);

	return entry ? entry->http_status : 500;
}

bool
tz_error_is_listed(int sqlstate)
{
	return error_find(sqlstate) != NULL;
}

const char *
tz_error_snake_code(int sqlstate)
{
	const char *code = tz_error_rest_code(sqlstate);

	for (size_t i = 0; i < lengthof(snake_codes); i++)
		if (snake_codes[i].sqlstate == sqlstate)
			return snake_codes[i].code;
	return asc_toupper(code, strlen(code));
}

int
tz_error_of_status(TzStatus status)
{
	switch (status)
	{
		case TZ_OK:
			return ERRCODE_SUCCESSFUL_COMPLETION;
		case TZ_NOMEM:
			return ERRCODE_OUT_OF_MEMORY;
		case TZ_TOO_LARGE:
			return ERRCODE_PROGRAM_LIMIT_EXCEEDED;
		case TZ_BAD_INPUT:
			return ERRCODE_INVALID_PARAMETER_VALUE;
		case TZ_BAD_ANSWER:
			return ERRCODE_TZ_BAD_ANSWER;
		case TZ_REFUSED:
			return ERRCODE_TZ_REFUSED;
		case TZ_UNAVAILABLE:
			return ERRCODE_TZ_UNAVAILABLE;
		case TZ_TIMEOUT:
			return ERRCODE_TZ_TIMED_OUT;
		case TZ_UNSUPPORTED:
			return ERRCODE_TZ_UNSUPPORTED;
		case TZ_GONE:
			return ERRCODE_TZ_SANDBOX_LOST;
		case TZ_NOT_FOUND:
			return ERRCODE_UNDEFINED_OBJECT;
		case TZ_CANCELLED:
			return ERRCODE_QUERY_CANCELED;
		case TZ_CRYPTO:
			return ERRCODE_TZ_NOT_AUTHENTIC;
		case TZ_INTERNAL:
			return ERRCODE_INTERNAL_ERROR;
	}
	return ERRCODE_INTERNAL_ERROR;
}

/* error_codes(): the list as rows, for documentation, tests and the gateway. */
THEAZO_FUNCTION(theazo_error_codes)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (size_t i = 0; i < lengthof(ours); i++)
	{
		Datum values[5];
		bool nulls[5] = {false};

		values[0] = CStringGetTextDatum(unpack_sql_state(ours[i].sqlstate));
		values[1] = CStringGetTextDatum(ours[i].name);
		values[2] = CStringGetTextDatum(ours[i].rest_code);
		values[3] = Int32GetDatum(ours[i].http_status);
		values[4] = CStringGetTextDatum(ours[i].meaning);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* rest_errors(): every SQLSTATE a caller may see, with code, code of the governed agents' interface, and status. */
THEAZO_FUNCTION(theazo_rest_errors)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (size_t i = 0; i < lengthof(ours) + lengthof(servers); i++)
	{
		const ErrorEntry *entry = i < lengthof(ours) ? &ours[i] : &servers[i - lengthof(ours)];
		Datum values[4];
		bool nulls[4] = {false};

		values[0] = CStringGetTextDatum(unpack_sql_state(entry->sqlstate));
		values[1] = CStringGetTextDatum(entry->rest_code);
		values[2] = CStringGetTextDatum(tz_error_snake_code(entry->sqlstate));
		values[3] = Int32GetDatum(entry->http_status);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
