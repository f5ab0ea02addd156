/*-------------------------------------------------------------------------
 *
 * rpc.c
 *	  JSON-RPC to the node of an EVM chain: calls, answers, quantities.
 *
 * Errors come with status 200 from most nodes and with another from some
 * gateways, so the body is read first: what names an error is one, whatever the
 * status says.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "adapter/answer.h"
#include "adapter/rpc.h"
#include "lib/json.h"
#include "lib/sign.h"

#define CALL_ID 1
#define BODY_BYTES_MAX (16 * 1024 * 1024)
#define BODY_VALUES_MAX 2000000
/* Codes of gateways for "too many requests" and of nodes for "limit exceeded". */
#define CODE_LIMIT (-32005)

static void take_error(json_t *error, TzRpcAnswer *out);
static void set_message(TzRpcAnswer *out, const char *text);

TzStatus
tz_rpc_call(const char *method, json_t *params, TzHttpRequest *out, TzErr *err)
{
	json_t *body = params == NULL ? NULL
	                              : json_pack("{s:s, s:i, s:s, s:o}", "jsonrpc", "2.0", "id", CALL_ID,
	                                          "method", method, "params", params);
	TzStatus status;

	if (body == NULL)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	status = tz_json_dump(body, &out->body, err);
	json_decref(body);
	if (status == TZ_OK)
		status = tz_http_request_header(out, "Content-Type", "application/json", false, err);
	if (status == TZ_OK)
		status = tz_http_request_header(out, "Accept", "application/json", false, err);
	return status;
}

void
tz_rpc_answer(const TzHttpResponse *in, TzRpcAnswer *out)
{
	static const TzJsonLimits limits = {
		.max_bytes = BODY_BYTES_MAX,
		.max_depth = 32,
		.max_values = BODY_VALUES_MAX,
		.flags = TZ_JSON_DUPLICATES | TZ_JSON_NUL,
	};
	json_t *error;
	json_t *id;
	TzErr err;

	memset(out, 0, sizeof(*out));
	tz_err_clear(&err);
	if (in->err.status != TZ_OK)
	{
		out->end = TZ_RPC_LOST;
		return;
	}
	out->end = in->status == 429 || in->status >= 500 ? TZ_RPC_BUSY : TZ_RPC_GARBLED;
	if (in->body.len == 0 || tz_json_parse(tz_buf_slice(&in->body), &limits, &out->doc, &err) != TZ_OK ||
	    !json_is_object(out->doc))
	{
		snprintf(out->message, sizeof(out->message), "status %d without a JSON-RPC answer", in->status);
		return;
	}
	error = json_object_get(out->doc, "error");
	id = json_object_get(out->doc, "id");
	if (error != NULL && !json_is_null(error))
	{
		take_error(error, out);
		return;
	}
	out->result = json_object_get(out->doc, "result");
	if (in->status < 200 || in->status > 299)
		snprintf(out->message, sizeof(out->message), "status %d", in->status);
	else if (out->result == NULL || !json_is_integer(id) || json_integer_value(id) != CALL_ID)
	{
		out->end = TZ_RPC_GARBLED;
		set_message(out, "it is no answer to the call that was made");
	}
	else
		out->end = TZ_RPC_RESULT;
}

void
tz_rpc_answer_free(TzRpcAnswer *answer)
{
	json_decref(answer->doc);
	memset(answer, 0, sizeof(*answer));
}

static void
take_error(json_t *error, TzRpcAnswer *out)
{
	const char *text = json_string_value(json_object_get(error, "message"));
	json_int_t code = json_integer_value(json_object_get(error, "code"));

	out->end = code == CODE_LIMIT || code == 429 ? TZ_RPC_BUSY : TZ_RPC_ERROR;
	if (text == NULL)
		text = json_string_value(error);
	set_message(out, text != NULL && text[0] != '\0' ? text : "an error without a message");
}

/* One line of printable ASCII: it goes to logs and views. */
static void
set_message(TzRpcAnswer *out, const char *text)
{
	size_t n = 0;

	for (; text[n] != '\0' && n < sizeof(out->message) - 1; n++)
		out->message[n] = text[n] >= ' ' && text[n] <= '~' ? text[n] : '?';
	out->message[n] = '\0';
}

bool
tz_rpc_quantity(const json_t *value, int64_t *out)
{
	const char *text = json_string_value(value);
	uint64_t n = 0;

	if (text == NULL || text[0] != '0' || (text[1] != 'x' && text[1] != 'X') || text[2] == '\0' ||
	    strlen(text) > 2 + 16)
		return false;
	for (const char *p = text + 2; *p != '\0'; p++)
	{
		int digit = tz_hex_digit(*p);

		if (digit < 0)
			return false;
		n = n << 4 | (uint64_t) digit;
	}
	if (n > INT64_MAX)
		return false;
	*out = (int64_t) n;
	return true;
}

json_t *
tz_rpc_quantity_new(int64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "0x%llx", (unsigned long long) value);
	return json_string(text);
}

bool
tz_rpc_is_data(const json_t *value, size_t bytes)
{
	const char *text = json_string_value(value);

	if (text == NULL || strlen(text) != 2 + 2 * bytes || text[0] != '0' || text[1] != 'x')
		return false;
	for (const char *p = text + 2; *p != '\0'; p++)
		if (tz_hex_digit(*p) < 0)
			return false;
	return true;
}

bool
tz_rpc_same(const json_t *a, const json_t *b)
{
	const char *x = json_string_value(a);
	const char *y = json_string_value(b);

	return x != NULL && y != NULL && strcasecmp(x, y) == 0;
}
