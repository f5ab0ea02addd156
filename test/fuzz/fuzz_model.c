/*
 * Answers of models. First byte: which protocol, second: status and headers, third:
 * attempt, transport and size of pieces; the rest is the body, or the stream. Besides
 * not crashing: there is always a verdict, with a class and a reason when it is no
 * success; texts are UTF-8; a secret that went out is in no message; counts are neither
 * negative nor beyond belief; tools are only handed out when they may be run; and a
 * stream ends the same however it is cut.
 */
#include "outcome.h"

#include "adapter/model.h"

static const int statuses[] = {200, 200, 200, 200, 200, 400, 401, 403, 404, 409, 413, 429, 500, 502, 529, 0};
static const char *const headers[] = {"content-type: application/json",
                                      "content-type: text/event-stream",
                                      "content-type: text/html",
                                      "retry-after: 7",
                                      "retry-after-ms: 7",
                                      "x-should-retry: true",
                                      "x-should-retry: false",
                                      "x-ratelimit-reset-requests: 6m0s"};

static void
check_usage(json_t *usage)
{
	static const char *const keys[] = {"input",          "cache_read", "cache_write_5m",
	                                   "cache_write_1h", "output",     "reasoning"};

	must(json_is_object(usage) && json_is_boolean(json_object_get(usage, "estimated")));
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
	{
		json_t *n = json_object_get(usage, keys[i]);

		must(json_is_integer(n) && json_integer_value(n) >= 0 &&
		     json_integer_value(n) <= TZ_MODEL_TOKENS_MAX);
	}
}

static void
check_done(json_t *result)
{
	json_t *calls = json_object_get(result, "tool_calls");
	json_t *wire = json_object_get(result, "wire");
	json_t *stop = json_object_get(result, "stop");
	TzBuf text;
	json_t *doc;

	must(json_is_string(json_object_get(result, "text")) && json_is_string(wire) && json_is_string(stop));
	must(json_is_array(calls));
	must((json_array_size(calls) > 0) == (strcmp(json_string_value(stop), "tool_use") == 0));
	for (size_t i = 0; i < json_array_size(calls); i++)
	{
		json_t *call = json_array_get(calls, i);

		must(json_string_length(json_object_get(call, "id")) > 0);
		must(json_is_string(json_object_get(call, "name")));
		must(json_is_object(json_object_get(call, "arguments")) !=
		     json_is_string(json_object_get(call, "arguments_error")));
	}
	check_usage(json_object_get(result, "usage"));
	/* what goes into the next request is a list of JSON objects */
	tz_buf_init(&text, SIZE_MAX);
	tz_buf_printf(&text, "[%s]", json_string_value(wire));
	doc = json_loads(text.data, JSON_ALLOW_NUL, NULL);
	must(json_is_array(doc));
	for (size_t i = 0; i < json_array_size(doc); i++)
		must(json_is_object(json_array_get(doc, i)));
	json_decref(doc);
	tz_buf_free(&text);
}

static void
check(const TzOutcome *out)
{
	check_outcome(out);
	check_unsaid(out, SECRET);
	must(out->verdict != TZ_V_NEXT && json_is_object(out->result));
	if (out->verdict == TZ_V_DONE)
		check_done(out->result);
	else
	{
		must(out->error_class != NULL);
		must(json_object_get(out->result, "tool_calls") == NULL);
		if (json_object_get(out->result, "usage") != NULL)
			check_usage(json_object_get(out->result, "usage"));
	}
}

static void
check_delta(void *arg, const TzDelta *delta)
{
	size_t *bytes = arg;

	must(delta->kind >= TZ_DELTA_TEXT && delta->kind <= TZ_DELTA_ARGUMENTS);
	must(delta->index >= 0 && delta->index < TZ_MODEL_CALLS_MAX);
	must(delta->kind != TZ_DELTA_TOOL || (delta->id[0] != '\0' && delta->name != NULL));
	*bytes += delta->text.len;
}

static size_t
stream(const TzAdapter *adapter, const TzEffect *effect, const TzHttpResponse *in, TzSlice body, size_t piece,
       TzOutcome *out)
{
	TzEndpoint to = {.url = "https://h", .max_response = 1024 * 1024};
	size_t bytes = 0;
	TzStream *st = adapter->stream_new(effect, &to, check_delta, &bytes);

	for (size_t at = 0; at < body.len; at += piece)
	{
		size_t n = body.len - at < piece ? body.len - at : piece;
		char *copy = malloc(n);

		memcpy(copy, body.data + at, n);
		adapter->stream_feed(st, tz_slice(copy, n), NULL);
		free(copy);
	}
	tz_outcome_init(out, 1024);
	adapter->stream_end(st, effect, in, out);
	adapter->stream_free(st);
	check(out);
	return bytes;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static json_t *requests[2];
	TzEffect effect = {.id = "eff_1", .op = "call", .now_ms = INT64_C(1700000000000)};
	const TzAdapter *adapter;
	TzHttpRequest sent;
	TzHttpResponse in;
	TzOutcome out;
	TzOutcome other;
	TzSlice body;

	if (size < 4)
		return 0;
	if (requests[0] == NULL)
	{
		requests[0] = json_pack("{s:s, s:s}", "model", "m", "api", "chat");
		requests[1] = json_pack("{s:s, s:s}", "model", "m", "api", "responses");
	}
	adapter = tz_adapter_find(data[0] % 3 == 0 ? "anthropic" : "openai");
	effect.request = requests[data[0] % 3 == 2];
	effect.content = tz_slice_cstr("{\"role\":\"user\",\"content\":\"hi\"}");
	effect.attempt = 1 + data[2] % 4;
	body = tz_slice((const char *) data + 3, size - 3);
	tz_http_request_init(&sent, 0);
	tz_http_request_mask(&sent, tz_slice_cstr(SECRET), NULL);
	tz_http_response_init(&in, 1024 * 1024);
	in.status = statuses[data[1] % 16];
	in.maybe_sent = true;
	in.request = &sent;
	tz_http_response_add(&in, headers[data[1] >> 5], strlen(headers[data[1] >> 5]));
	if (in.status == 0 || (data[2] & 0x0c) == 0x0c)
	{
		tz_err_set(&in.err, (TzStatus) (1 + data[2] % TZ_INTERNAL), "transport");
		in.maybe_sent = data[2] & 0x10;
	}
	if (data[0] & 0x80)
	{
		tz_buf_append(&in.body, body.data, body.len);
		tz_outcome_init(&out, 1024);
		adapter->parse(&effect, &in, &out);
		check(&out);
	}
	else
	{
		size_t bytes = stream(adapter, &effect, &in, body, size, &out);

		must(stream(adapter, &effect, &in, body, 1 + (data[2] >> 5), &other) == bytes);
		must(out.verdict == other.verdict && json_equal(out.result, other.result));
		must(strcmp(out.err.message, other.err.message) == 0);
		tz_outcome_free(&other);
	}
	tz_outcome_free(&out);
	tz_http_response_free(&in);
	tz_http_request_free(&sent);
	return 0;
}
