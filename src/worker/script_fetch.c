/*-------------------------------------------------------------------------
 *
 * script_fetch.c
 *	  What a program is told of a request that it made.
 *
 * Plain C11; the outcome of the request's effect is all it knows.
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "lib/json.h"
#include "lib/json_raw.h"
#include "worker/script_internal.h"

#define ANSWER_DEPTH_MAX 64

static bool
says_json(const json_t *result)
{
	const char *type = json_string_value(json_object_get(json_object_get(result, "headers"), "content-type"));

	return type != NULL && strstr(type, "json") != NULL;
}

/* Status, headers and body, which is a value where it says that it is JSON. */
static bool
fetch_answer(const json_t *result, TzBuf *out)
{
	static const TzJsonLimits limits = {.max_bytes = 1024 * 1024,
	                                    .max_depth = ANSWER_DEPTH_MAX,
	                                    .max_values = 100000,
	                                    .flags = TZ_JSON_ANY | TZ_JSON_DUPLICATES};
	const json_t *body = json_object_get(result, "body");
	TzSlice text = tz_slice(json_string_value(body), json_string_length(body));
	json_t *parsed = NULL;
	json_t *headers = json_object_get(result, "headers");

	tz_buf_printf(out, "{\"status\":%lld,\"headers\":",
	              (long long) json_integer_value(json_object_get(result, "status")));
	if (headers == NULL || tz_json_dump(headers, out, NULL) != TZ_OK)
		tz_buf_append_cstr(out, "{}");
	tz_buf_append_cstr(out, ",\"body\":");
	if (says_json(result) && !json_is_true(json_object_get(result, "truncated")) && text.len > 0 &&
	    tz_json_parse(text, &limits, &parsed, NULL) == TZ_OK)
		/* as it was written: numbers keep their digits */
		(void) tz_json_raw_compact(text, out);
	else
		tz_script_append_text(out, text);
	json_decref(parsed);
	tz_buf_printf(out, ",\"truncated\":%s}",
	              json_is_true(json_object_get(result, "truncated")) ? "true" : "false");
	return out->status == TZ_OK;
}

static const char *
text_or(const json_t *value, const char *dflt)
{
	return json_is_string(value) ? json_string_value(value) : dflt;
}

/* Programs know codes in capitals, and no providers. */
static void
fetch_code(const json_t *code, char *out, size_t size)
{
	snprintf(out, size, "%s", text_or(code, "network_error"));
	if (strcmp(out, "provider_error") == 0)
		snprintf(out, size, "network_error");
	for (; *out != '\0'; out++)
		*out = (char) toupper((unsigned char) *out);
}

void
tz_script_fetched(TzHostCall *call, bool done, TzSlice result)
{
	json_t *doc = json_loadb(result.len > 0 ? result.data : "{}", result.len > 0 ? result.len : 2, 0, NULL);
	char code[64];
	TzBuf text;

	if (!done)
	{
		fetch_code(json_object_get(doc, "code"), code, sizeof(code));
		tz_host_call_fail(call, code,
		                  text_or(json_object_get(doc, "message"), "the request was not answered"));
		json_decref(doc);
		return;
	}
	tz_buf_init(&text, TZ_RUNNER_ANSWER_MAX);
	if (fetch_answer(doc, &text))
		tz_host_call_answer(call, true, tz_buf_slice(&text));
	else
		tz_host_call_fail(call, "TOO_LARGE", "the answer is too large");
	tz_buf_free(&text);
	json_decref(doc);
}
