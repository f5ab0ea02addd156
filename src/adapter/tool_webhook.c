/*-------------------------------------------------------------------------
 *
 * tool_webhook.c
 *	  A tool of the platform's own: a signed POST to its handler.
 *
 * Request: {"body": {tool, input, agentId, sessionId, userId, callId}}. What leaves
 * is that body as compact JSON, signed like the calls to a webhook provider.
 * Result: {"status", "output", "truncated", "failed"}; output is always text, as a
 * model is told it: a string as it is, anything else as compact JSON, cut at 32 KiB.
 *
 * A handler that answers anything but 2xx has failed, and its body says why: that is
 * a result, too. Nothing is sent twice: what a handler does may count.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "adapter/answer.h"
#include "adapter/signed.h"
#include "lib/json.h"
#include "lib/json_raw.h"
#include "lib/url.h"
#include "lib/utf8.h"

#define BODY_MAX (4 * 1024 * 1024)
#define ANSWER_MAX (1024 * 1024)
#define OUTPUT_MAX (32 * 1024)
#define TEXT_MAX (8 * 1024 * 1024)

static TzStatus tool_build(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err);
static void tool_parse(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
static TzStatus take_url(const TzEndpoint *to, TzHttpRequest *out, TzErr *err);
static TzStatus take_body(const TzEffect *effect, TzHttpRequest *out, TzErr *err);
static TzStatus output_text(const TzHttpResponse *in, bool failed, TzBuf *text);
static TzStatus json_text(TzSlice body, TzBuf *text, bool *is_json);
static TzStatus value_text(const json_t *value, TzSlice raw, TzBuf *text);
static json_t *result_document(const TzHttpResponse *in, bool failed, const TzMask *mask, TzSlice text);

static const char *const op_names[] = {"webhook", NULL};
static const char *const members[] = {"tool", "input", "agentId", "sessionId", "userId", "callId"};

extern const TzAdapter tz_tool_webhook;
const TzAdapter tz_tool_webhook = {
	.name = "tool_webhook",
	.kind = TZ_TOOL,
	.ops = op_names,
	.build = tool_build,
	.parse = tool_parse,
};

static TzStatus
tool_build(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	TzStatus status;

	tz_http_request_free(out);
	tz_http_request_init(out, BODY_MAX);
	out->method = "POST";
	out->timeout_ms = 30000;
	out->max_response = ANSWER_MAX;
	out->cut_response = true;
	out->allow_http = to->allow_http;
	out->allow_private = to->allow_private;

	status = take_url(to, out, err);
	if (status == TZ_OK)
		status = take_body(effect, out, err);
	if (status == TZ_OK)
		status = tz_signed_headers(effect, out, err);
	if (status == TZ_OK)
		status = tz_http_request_header(out, "Accept", "application/json, text/plain", false, err);
	if (status == TZ_OK)
		status = tz_http_request_header(out, "Content-Type", "application/json", false, err);
	return status;
}

static void
tool_parse(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	bool failed = in->status < 200 || in->status > 299;
	TzMask *mask = NULL;
	json_t *result = NULL;
	TzBuf text;

	if (in->err.status != TZ_OK)
	{
		tz_answer_transport(effect, TZ_REPEAT_NEVER, in, out);
		if (out->verdict == TZ_V_FAILED && out->error_code != NULL &&
		    strcmp(out->error_code, "provider_error") == 0)
			out->error_code = "tool_handler_unreachable";
		return;
	}
	tz_buf_init(&text, TEXT_MAX);
	if (output_text(in, failed, &text) == TZ_OK && tz_answer_mask(in, &mask) == TZ_OK)
		result = result_document(in, failed, mask, tz_buf_slice(&text));
	tz_mask_free(mask);
	tz_buf_wipe(&text);
	tz_answer_done(out, result);
}

/* The handler's address of now: it and the key it shares belong together. */
static TzStatus
take_url(const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	TzSlice url = tz_slice_cstr(to->url);
	TzUrl parts;
	TzStatus status;

	if (url.len == 0)
		return tz_err_set(err, TZ_BAD_INPUT, "the tool was deleted");
	status = tz_url_split(url, &parts, err);
	if (status != TZ_OK)
		return status;
	if (tz_buf_append(&out->url, url.data, parts.fragment) != TZ_OK)
		return tz_err_set(err, out->url.status, "url is too long");
	return TZ_OK;
}

/* In the order the handlers' documentation shows. */
static TzStatus
take_body(const TzEffect *effect, TzHttpRequest *out, TzErr *err)
{
	json_t *given = NULL;
	json_t *body;
	TzStatus status = tz_json_get_object(effect->request, "body", true, &given, err);

	if (status != TZ_OK)
		return status;
	body = json_object();
	for (size_t i = 0; body != NULL && i < sizeof(members) / sizeof(members[0]); i++)
	{
		json_t *value = json_object_get(given, members[i]);

		if (json_object_set(body, members[i], value != NULL ? value : json_null()) != 0)
		{
			json_decref(body);
			body = NULL;
		}
	}
	if (body == NULL)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	status = tz_json_dump(body, &out->body, NULL);
	json_decref(body);
	if (status != TZ_OK)
		return tz_err_set(err, status, status == TZ_NOMEM ? "out of memory" : "request is too large");
	return TZ_OK;
}

/* What the model is told, before anything is masked or cut. */
static TzStatus
output_text(const TzHttpResponse *in, bool failed, TzBuf *text)
{
	TzSlice body = tz_buf_slice(&in->body);
	bool is_json = false;
	TzStatus status = TZ_OK;

	/* half a document is a text */
	if (!in->cut && !failed)
		status = json_text(body, text, &is_json);
	if (status != TZ_OK || is_json)
		return status;
	if (failed && body.len == 0)
		return tz_buf_printf(text, "the tool's handler answered %d", in->status);
	return tz_utf8_sanitize(body, text);
}

static TzStatus
json_text(TzSlice body, TzBuf *text, bool *is_json)
{
	static const TzJsonLimits limits = {
		.max_bytes = ANSWER_MAX,
		.max_depth = 64,
		.max_values = 200000,
		.flags = TZ_JSON_ANY | TZ_JSON_NUL | TZ_JSON_DUPLICATES,
	};
	json_t *doc;
	json_t *output;
	TzSlice raw = body;
	TzStatus status = tz_json_parse(body, &limits, &doc, NULL);

	if (status == TZ_NOMEM)
		return status;
	*is_json = status == TZ_OK;
	if (!*is_json)
		return TZ_OK;
	output = json_object_get(doc, "output");
	if (output == NULL)
		status = value_text(doc, raw, text);
	else
	{
		if (!tz_json_raw_member(body, "output", &raw))
			raw = tz_slice(NULL, 0); /* its name was written with escapes */
		status = value_text(output, raw, text);
	}
	json_decref(doc);
	return status;
}

/* A string as it is, anything else as compact JSON: its own bytes where they are known. */
static TzStatus
value_text(const json_t *value, TzSlice raw, TzBuf *text)
{
	if (json_is_string(value))
		return tz_utf8_sanitize(tz_slice(json_string_value(value), json_string_length(value)), text);
	if (raw.len > 0)
		return tz_json_raw_compact(raw, text);
	return tz_json_dump(value, text, NULL);
}

/* NULL when out of memory. */
static json_t *
result_document(const TzHttpResponse *in, bool failed, const TzMask *mask, TzSlice text)
{
	json_t *result = json_object();
	TzBuf masked;
	bool found = false;
	size_t cut;
	TzStatus status;

	tz_buf_init(&masked, 2 * TEXT_MAX);
	status = tz_mask_apply(mask, text, in->cut, &masked, &found);
	if (found)
		text = tz_buf_slice(&masked);
	cut = tz_utf8_cut(text, OUTPUT_MAX);
	if (status == TZ_OK)
		status = tz_json_set_text(result, "output", tz_slice(text.data != NULL ? text.data : "", cut), NULL);
	if (status != TZ_OK || json_object_set_new(result, "status", json_integer(in->status)) != 0 ||
	    json_object_set_new(result, "truncated", json_boolean(in->cut || cut < text.len)) != 0 ||
	    (failed && json_object_set_new(result, "failed", json_true()) != 0))
	{
		json_decref(result);
		result = NULL;
	}
	tz_buf_wipe(&masked);
	return result;
}
