/* model*.c: requests made, history encoded, ceilings kept. */
#include "tz_test.h"

#include "lib_adapter.h"
#include "lib_model.h"

#include "adapter/model.h"

#define CREDENTIAL "sk-secret-0123456789"

static void
check_request(const char *name, json_t *expect, const TzHttpRequest *req)
{
	json_t *body = json_loadb(req->body.data, req->body.len, 0, NULL);
	json_t *text = json_object_get(expect, "body_has");
	const char *key;
	json_t *value;

	if (body == NULL)
		fail_msg("%s: body is no JSON: %s", name, req->body.data);
	assert_string_equal(req->method, "POST");
	if (strcmp(req->url.data, json_string_value(json_object_get(expect, "url"))) != 0)
		fail_msg("%s: URL is %s", name, req->url.data);
	if (json_object_get(expect, "body") != NULL && !json_equal(body, json_object_get(expect, "body")))
		fail_msg("%s: body is %s", name, req->body.data);
	if (text != NULL && strstr(req->body.data, json_string_value(text)) == NULL)
		fail_msg("%s: body is %s", name, req->body.data);
	json_object_foreach (json_object_get(expect, "headers"), key, value)
	{
		const char *got = adapter_header(req, key);

		if (json_is_null(value) ? got != NULL : got == NULL || strcmp(got, json_string_value(value)) != 0)
			fail_msg("%s: header %s is %s", name, key, got != NULL ? got : "missing");
	}
	for (int i = 0; i < req->nheaders; i++)
		if (strstr(req->headers[i].value, CREDENTIAL) != NULL)
			assert_true(req->headers[i].secret);
	json_decref(body);
}

static void
run_request(json_t *test)
{
	const char *name = json_string_value(json_object_get(test, "name"));
	const char *wrong = json_string_value(json_object_get(test, "refused"));
	json_t *content = json_object_get(test, "content");
	TzSecretValue secret = {"credential", "key", tz_slice_cstr(CREDENTIAL)};
	TzEndpoint to = {.url = json_string_value(json_object_get(test, "url")),
	                 .config = json_object_get(test, "config"),
	                 .max_response = 1000};
	TzEffect effect = {.id = "eff_1", .op = "call", .attempt = 1, .secrets = &secret, .nsecrets = 1};
	TzHttpRequest req;
	TzStatus status;
	TzErr err;

	effect.request = json_object_get(test, "request");
	effect.content = content != NULL ? tz_slice(json_string_value(content), json_string_length(content))
	                                 : tz_slice_cstr("{\"role\":\"user\",\"content\":\"hi\"}");
	tz_err_clear(&err);
	tz_http_request_init(&req, 0);
	status =
		tz_adapter_find(json_string_value(json_object_get(test, "adapter")))->build(&effect, &to, &req, &err);
	if (wrong != NULL)
	{
		if (status == TZ_OK || strstr(err.message, wrong) == NULL)
			fail_msg("%s: not refused but %s", name, status == TZ_OK ? "taken" : err.message);
	}
	else if (status != TZ_OK)
		fail_msg("%s: %s", name, err.message);
	else
		check_request(name, json_object_get(test, "expect"), &req);
	tz_http_request_free(&req);
}

static void
test_requests(void **state)
{
	json_error_t error;
	json_t *tests = json_load_file("test/unit/model/requests.json", JSON_ALLOW_NUL, &error);
	json_t *test;
	size_t i;

	(void) state;
	if (tests == NULL)
		fail_msg("%s, line %d", error.text, error.line);
	json_array_foreach (tests, i, test)
		run_request(test);
	print_message("%zu requests\n", json_array_size(tests));
	json_decref(tests);
}

/* The history goes out byte for byte, whatever it is made of. */
static void
test_verbatim(void **state)
{
	static const char history[] = "{\"role\":\"user\",\"content\":\"\\u00e9 \\/ \xc3\xa9\", \"n\":1.50e0}, "
								  "{ \"role\":\"assistant\" ,\"content\":[]}";
	static const char *const adapters[] = {"anthropic", "openai", "openai-compatible"};
	json_t *request = json_pack("{s:s}", "model", "m");
	TzEndpoint to = {.url = "https://h.example", .max_response = 1000};
	TzEffect effect = {.id = "e", .op = "call", .request = request, .content = tz_slice_cstr(history)};

	(void) state;
	for (int i = 0; i < 6; i++)
	{
		TzHttpRequest req;

		json_object_set_new(request, "api", json_string(i % 2 == 0 ? "chat" : "responses"));
		tz_http_request_init(&req, 0);
		assert_int_equal(tz_adapter_find(adapters[i / 2])->build(&effect, &to, &req, NULL), TZ_OK);
		assert_non_null(strstr(req.body.data, history));
		tz_http_request_free(&req);
	}
	json_decref(request);
}

static void
encoded(const char *adapter, const char *api, const char *messages, const char *expected)
{
	json_t *list = json_loads(messages, 0, NULL);
	TzBuf wire;
	TzErr err;
	TzStatus status;

	assert_non_null(list);
	tz_err_clear(&err);
	tz_buf_init(&wire, 100000);
	status = tz_model_encode(tz_adapter_find(adapter), api, list, &wire, &err);
	if (expected == NULL)
		assert_int_not_equal(status, TZ_OK);
	else
	{
		if (status != TZ_OK)
			fail_msg("%s", err.message);
		assert_string_equal(wire.data != NULL ? wire.data : "", expected);
	}
	tz_buf_free(&wire);
	json_decref(list);
}

#define TALK                                                                                      \
	"[{\"role\":\"user\",\"text\":\"h\xc3\xa9\\n\"},"                                             \
	"{\"role\":\"assistant\",\"text\":\"I look\",\"tool_calls\":[{\"id\":\"c:1\",\"name\":\"a\"," \
	"\"arguments\":{\"q\":[1]}},{\"id\":\"c2\",\"name\":\"b\",\"arguments\":{}}]},"               \
	"{\"role\":\"tool\",\"results\":[{\"id\":\"c:1\",\"name\":\"a\",\"content\":\"42\"},"         \
	"{\"id\":\"c2\",\"name\":\"b\",\"content\":\"late\",\"is_error\":true}]},"                    \
	"{\"role\":\"assistant\",\"text\":\"so\",\"tool_calls\":[]}]"

static void
test_encode(void **state)
{
	(void) state;
	encoded("anthropic", NULL, TALK,
	        "{\"role\":\"user\",\"content\":\"h\xc3\xa9\\n\"},"
	        "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"I look\"},"
	        "{\"type\":\"tool_use\",\"id\":\"c_1\",\"name\":\"a\",\"input\":{\"q\":[1]}},"
	        "{\"type\":\"tool_use\",\"id\":\"c2\",\"name\":\"b\",\"input\":{}}]},"
	        "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"c_1\",\"content\":"
	        "\"42\"},"
	        "{\"type\":\"tool_result\",\"tool_use_id\":\"c2\",\"content\":\"late\",\"is_error\":true}]},"
	        "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"so\"}]}");
	encoded(
		"openai", "chat", TALK,
		"{\"role\":\"user\",\"content\":\"h\xc3\xa9\\n\"},"
		"{\"role\":\"assistant\",\"content\":\"I look\",\"tool_calls\":["
		"{\"id\":\"c:1\",\"type\":\"function\",\"function\":{\"name\":\"a\",\"arguments\":\"{\\\"q\\\":[1]"
		"}\"}},"
		"{\"id\":\"c2\",\"type\":\"function\",\"function\":{\"name\":\"b\",\"arguments\":\"{}\"}}]},"
		"{\"role\":\"tool\",\"tool_call_id\":\"c:1\",\"content\":\"42\"},"
		"{\"role\":\"tool\",\"tool_call_id\":\"c2\",\"content\":\"error: late\"},"
		"{\"role\":\"assistant\",\"content\":\"so\"}");
	encoded(
		"openai", "responses", TALK,
		"{\"role\":\"user\",\"content\":\"h\xc3\xa9\\n\"},"
		"{\"role\":\"assistant\",\"content\":\"I look\"},"
		"{\"type\":\"function_call\",\"call_id\":\"c:1\",\"name\":\"a\",\"arguments\":\"{\\\"q\\\":[1]}\"},"
		"{\"type\":\"function_call\",\"call_id\":\"c2\",\"name\":\"b\",\"arguments\":\"{}\"},"
		"{\"type\":\"function_call_output\",\"call_id\":\"c:1\",\"output\":\"42\"},"
		"{\"type\":\"function_call_output\",\"call_id\":\"c2\",\"output\":\"error: late\"},"
		"{\"role\":\"assistant\",\"content\":\"so\"}");
	encoded("anthropic", NULL, "{\"role\":\"assistant\",\"text\":\"\"}", "");
	encoded("openai", NULL,
	        "{\"role\":\"tool\",\"results\":[{\"id\":\"c\",\"content\":\"Error: x\",\"is_error\":true}]}",
	        "{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"Error: x\"}");
	encoded("openai", "chat",
	        "{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\",\"name\":\"a\",\"arguments\":\"{oops\"}]}",
	        "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\","
	        "\"function\":{\"name\":\"a\",\"arguments\":\"{oops\"}}]}");
	encoded("anthropic", NULL, "[[]]", "");
	encoded("anthropic", NULL, "[1]", NULL);
	encoded("anthropic", NULL, "{\"role\":\"system\",\"text\":\"x\"}", NULL);
	encoded("anthropic", NULL, "{\"role\":\"user\"}", NULL);
	encoded("openai", "chat", "{\"role\":\"tool\",\"results\":[]}", NULL);
	encoded("openai", "chat", "{\"role\":\"tool\",\"results\":[{\"content\":\"x\"}]}", NULL);
	encoded("openai", "chat", "{\"role\":\"assistant\",\"tool_calls\":[{\"name\":\"x\"}]}", NULL);
	encoded("webhook", NULL, "{\"role\":\"user\",\"text\":\"x\"}", NULL);
}

typedef struct Sink
{
	size_t deltas;
	size_t bytes;
} Sink;

static void
count_delta(void *arg, const TzDelta *delta)
{
	Sink *sink = arg;

	sink->deltas++;
	sink->bytes += delta->text.len;
}

/* Feeds `piece` up to `times` times behind `start`, then `end`; returns what was fed. */
static int
pour(const char *adapter, size_t ceiling, const char *start, const char *piece, int times, const char *end,
     Sink *sink, TzOutcome *out)
{
	json_t *request = json_pack("{s:s, s:b}", "model", "m", "stream", 1);
	TzEndpoint to = {.url = "https://h.example", .max_response = ceiling};
	TzEffect effect = {.id = "eff_1", .op = "call", .attempt = 1, .request = request};
	const TzAdapter *a = tz_adapter_find(adapter);
	TzStream *st = a->stream_new(&effect, &to, count_delta, sink);
	TzHttpResponse in;
	int i;

	assert_non_null(st);
	tz_http_response_init(&in, 1000);
	in.status = 200;
	tz_http_response_add(&in, "content-type: text/event-stream", 31);
	a->stream_feed(st, tz_slice_cstr(start), NULL);
	for (i = 0; i < times; i++)
		if (a->stream_feed(st, tz_slice_cstr(piece), NULL) != TZ_OK)
			break;
	a->stream_feed(st, tz_slice_cstr(end), NULL);
	tz_outcome_init(out, 1000);
	a->stream_end(st, &effect, &in, out);
	a->stream_free(st);
	tz_http_response_free(&in);
	json_decref(request);
	return i;
}

#define CHUNK(delta) "data: {\"choices\":[{\"index\":0,\"delta\":" delta "}]}\n\n"
#define FINISH \
	"data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"

static void
test_many_deltas(void **state)
{
	Sink sink = {0};
	TzOutcome out;

	(void) state;
	assert_int_equal(pour("openai", 256 << 20, "", CHUNK("{\"content\":\"ab\"}"), 200000, FINISH, &sink,
	                      &out),
	                 200000);
	assert_int_equal(out.verdict, TZ_V_DONE);
	assert_int_equal(json_string_length(json_object_get(out.result, "text")), 400000);
	assert_int_equal(sink.deltas, 200000);
	assert_int_equal(sink.bytes, 400000);
	tz_outcome_free(&out);

	/* as many pieces of one detail of reasoning, joined in time that grows with their number only */
	assert_int_equal(
		pour("openai-compatible", 256 << 20, "",
	         CHUNK("{\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"ab\",\"index\":0}]}"),
	         100000, CHUNK("{\"content\":\"x\"}") FINISH, &sink, &out),
		100000);
	assert_int_equal(out.verdict, TZ_V_DONE);
	assert_true(json_string_length(json_object_get(out.result, "wire")) > 200000);
	tz_outcome_free(&out);
}

static void
assert_too_large(const TzOutcome *out)
{
	assert_int_equal(out->verdict, TZ_V_FAILED);
	assert_int_equal(out->err.status, TZ_TOO_LARGE);
	assert_string_equal(out->error_class, "transient");
	assert_true(json_is_true(json_object_get(out->result, "truncated")));
}

static void
test_endless(void **state)
{
	Sink sink = {0};
	TzOutcome out;
	int fed;

	(void) state;
	fed = pour("openai", 100000, "", CHUNK("{\"content\":\"ab\"}"), 1000000, "", &sink, &out);
	assert_true(fed < 100000);
	assert_too_large(&out);
	tz_outcome_free(&out);
	/* keep-alives alone are an end too, some day */
	fed = pour("anthropic", 100000, "", ": ping\n\n", 1000000, "", &sink, &out);
	assert_true(fed < 100000);
	assert_too_large(&out);
	tz_outcome_free(&out);
	/* a line that never ends */
	fed = pour("anthropic", 100000, "data: ", "xxxxxxxxxxxxxxxxxxxxxxxx", 1000000, "", &sink, &out);
	assert_true(fed < 10000);
	assert_too_large(&out);
	tz_outcome_free(&out);
}

static void
test_too_many_calls(void **state)
{
	static const char start[] = "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":"
								"{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"n\",\"input\":{}}}\n\n"
								"data: {\"type\":\"content_block_stop\",\"index\":0}\n\n";
	Sink sink = {0};
	TzOutcome out;

	(void) state;
	assert_int_equal(pour("anthropic", 1 << 20, "", start, TZ_MODEL_CALLS_MAX,
	                      "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"}}\n\n"
	                      "data: {\"type\":\"message_stop\"}\n\n",
	                      &sink, &out),
	                 TZ_MODEL_CALLS_MAX);
	assert_int_equal(out.verdict, TZ_V_DONE);
	assert_int_equal(json_array_size(json_object_get(out.result, "tool_calls")), TZ_MODEL_CALLS_MAX);
	tz_outcome_free(&out);
	assert_int_equal(pour("anthropic", 1 << 20, "", start, 1000, "", &sink, &out), TZ_MODEL_CALLS_MAX);
	assert_too_large(&out);
	tz_outcome_free(&out);
}

/* What a quiet stream holds on to. */
static void
test_small_memory(void **state)
{
	json_t *request = json_pack("{s:s}", "model", "m");
	TzEndpoint to = {.url = "https://h.example", .max_response = 16 << 20};
	TzEffect effect = {.id = "eff_1", .op = "call", .attempt = 1, .request = request};
	const TzAdapter *a = tz_adapter_find("anthropic");
	TzStream *st = a->stream_new(&effect, &to, NULL, NULL);
	TzModelAnswer *answer = tz_model_stream_answer(st);

	(void) state;
	assert_int_equal(a->stream_feed(st,
	                                tz_slice_cstr("data: {\"type\":\"content_block_start\",\"index\":0,"
	                                              "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"),
	                                NULL),
	                 TZ_OK);
	for (int i = 0; i < 1000; i++)
		a->stream_feed(st,
		               tz_slice_cstr("data: {\"type\":\"content_block_delta\",\"index\":0,"
		                             "\"delta\":{\"type\":\"text_delta\",\"text\":\"word \"}}\n\n"),
		               NULL);
	assert_int_equal(answer->text.len, 5000);
	assert_true(answer->text.cap <= 8192 && answer->wire.cap == 0);
	a->stream_free(st);
	json_decref(request);
}

/* ---- memory that runs out, at every place in turn ---- */

static long left; /* allocations that still succeed; negative: all */

static void *
scarce_malloc(size_t size)
{
	if (left == 0)
		return NULL;
	if (left > 0)
		left--;
	return malloc(size);
}

static void
build_scarce(const char *adapter, const char *api)
{
	json_t *request =
		json_loads("{\"model\":\"m\",\"max_tokens\":5,\"system\":\"s\",\"stream\":true,"
	               "\"tools\":[{\"name\":\"a\",\"description\":\"d\"}],"
	               "\"tool_choice\":{\"name\":\"a\"},\"metadata_user\":\"u\",\"stop\":[\"x\"],"
	               "\"response_schema\":{\"name\":\"n\",\"schema\":{}},\"extra\":{\"a\":{\"b\":1}}}",
	               0, NULL);
	TzEndpoint to = {.url = "https://h.example", .max_response = 1000};
	TzEffect effect = {.id = "e", .op = "call", .request = request};
	TzStatus status = TZ_NOMEM;

	json_object_set_new(request, "api", json_string(api));
	effect.content = tz_slice_cstr("{\"role\":\"user\",\"content\":\"hi\"}");
	for (long n = 0; status != TZ_OK && n < 1000; n++)
	{
		TzHttpRequest req;
		TzErr err;

		tz_http_request_init(&req, 0);
		left = n;
		status = tz_adapter_find(adapter)->build(&effect, &to, &req, &err);
		left = -1;
		tz_http_request_free(&req);
	}
	assert_int_equal(status, TZ_OK);
	json_decref(request);
}

static void
encode_scarce(const char *adapter, const char *api)
{
	json_t *list = json_loads(TALK, 0, NULL);
	TzStatus status = TZ_NOMEM;

	for (long n = 0; status != TZ_OK && n < 1000; n++)
	{
		TzBuf wire;

		tz_buf_init(&wire, 100000);
		left = n;
		status = tz_model_encode(tz_adapter_find(adapter), api, list, &wire, NULL);
		left = -1;
		tz_buf_free(&wire);
	}
	assert_int_equal(status, TZ_OK);
	json_decref(list);
}

/* Whatever comes of it, it is a verdict. */
static void
answer_scarce(const char *adapter, const char *api, const char *body, bool stream, int http_status)
{
	json_t *request = json_pack("{s:s, s:s}", "model", "m", "api", api);
	TzEndpoint to = {.url = "https://h.example", .max_response = 100000};
	TzEffect effect = {.id = "eff_1", .op = "call", .attempt = 1, .request = request};
	const TzAdapter *a = tz_adapter_find(adapter);
	bool done = false;

	for (long n = 0; !done && n < 3000; n++)
	{
		TzStream *st = stream ? a->stream_new(&effect, &to, NULL, NULL) : NULL;
		TzHttpResponse in;
		TzOutcome out;

		tz_http_response_init(&in, 100000);
		in.status = http_status;
		tz_http_response_add(&in, "x-ratelimit-limit-tokens: 5", 27);
		tz_outcome_init(&out, 1000);
		if (!stream)
			tz_buf_append_cstr(&in.body, body);
		left = n;
		if (stream)
		{
			a->stream_feed(st, tz_slice_cstr(body), NULL);
			a->stream_end(st, &effect, &in, &out);
		}
		else
			a->parse(&effect, &in, &out);
		done = left > 0;
		left = -1;
		assert_true(out.verdict == TZ_V_DONE ? out.result != NULL : out.err.message[0] != '\0');
		if (stream)
			a->stream_free(st);
		tz_outcome_free(&out);
		tz_http_response_free(&in);
	}
	assert_true(done);
	json_decref(request);
}

static const char messages_stream[] =
	"data: {\"type\":\"message_start\",\"message\":{\"model\":\"m\",\"usage\":{\"input_tokens\":1}}}\n\n"
	"data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
	"data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"x\"}}\n\n"
	"data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"citations_delta\",\"citation\":{}}}"
	"\n\n"
	"data: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
	"data: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t\","
	"\"name\":\"n\",\"input\":{}}}\n\n"
	"data: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\","
	"\"partial_json\":\"{}\"}}\n\n"
	"data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":2}}\n\n"
	"data: {\"type\":\"message_stop\"}\n\n";

static const char chat_stream[] = CHUNK(
	"{\"content\":\"x\",\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"a\"}]}")
	CHUNK("{\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"b\",\"signature\":\"s\"}]}") CHUNK(
		"{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"n\",\"arguments\":\"{}\"}}]}")
		FINISH;

#define MESSAGE \
	"{\"content\":[{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"n\",\"input\":{}}],\"stop_reason\":\"tool_use\"}"
#define COMPLETION                                                                                                 \
	"{\"choices\":[{\"finish_reason\":\"tool_calls\",\"message\":{\"content\":null,\"tool_calls\":[{\"id\":\"c\"," \
	"\"function\":{\"name\":\"n\",\"arguments\":{\"a\":1}}}]}}],\"usage\":{\"cost\":1}}"
#define RESPONSE                                                                                          \
	"{\"status\":\"completed\",\"output\":[{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"n\"," \
	"\"arguments\":\"{\"}]}"

static void
test_no_memory(void **state)
{
	(void) state;
	left = -1;
	json_set_alloc_funcs(scarce_malloc, free);
	build_scarce("anthropic", "");
	build_scarce("openai", "chat");
	build_scarce("openai", "responses");
	encode_scarce("anthropic", "");
	encode_scarce("openai", "chat");
	encode_scarce("openai", "responses");
	answer_scarce("anthropic", "", MESSAGE, false, 200);
	answer_scarce("openai", "chat", COMPLETION, false, 200);
	answer_scarce("openai", "responses", RESPONSE, false, 200);
	answer_scarce("anthropic", "", messages_stream, true, 200);
	answer_scarce("openai", "chat", chat_stream, true, 200);
	answer_scarce("openai", "responses",
	              "data: {\"type\":\"response.completed\",\"response\":" RESPONSE "}\n\n", true, 200);
	answer_scarce("openai", "chat", chat_stream, true, 200);
	answer_scarce("openai", "chat", "data: {\"error\":{\"message\":\"m\"}}\n\n", true, 200);
	answer_scarce("openai", "chat", "data: {\"choices\":[]}\n\n", true, 200);
	answer_scarce("openai", "chat", "{\"error\":{\"message\":\"m\",\"type\":\"t\"}}", false, 429);
	answer_scarce("openai", "chat", "{\"oops\":1}", false, 200);
	json_set_alloc_funcs(malloc, free);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),     cmocka_unit_test(test_verbatim),
		cmocka_unit_test(test_encode),       cmocka_unit_test(test_many_deltas),
		cmocka_unit_test(test_endless),      cmocka_unit_test(test_too_many_calls),
		cmocka_unit_test(test_small_memory), cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests_name("model_request", tests, NULL, NULL);
}
