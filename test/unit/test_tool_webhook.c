/* adapter/tool_webhook.c: what a handler is asked, and what a model is told of its answer. */
#include "tz_test.h"

#include "lib_adapter.h"

static TzHttpRequest req;
static TzErr err;
static json_t *doc;

static TzEffect
effect_of(const char *text)
{
	return adapter_effect("tool.webhook", "webhook", text, &doc);
}

static TzStatus
build(const char *url, const char *text, const char *key)
{
	TzSecretValue secret = {.use = "signing", .name = "tool.x", .value = tz_slice_cstr(key)};
	TzEndpoint to = {.url = url, .max_response = 40 * 1024 * 1024, .allow_http = true};
	TzEffect effect = effect_of(text);
	TzStatus status;

	effect.secrets = &secret;
	effect.nsecrets = key != NULL ? 1 : 0;
	tz_http_request_free(&req);
	tz_http_request_init(&req, 0);
	tz_err_clear(&err);
	status = tz_adapter_find("tool_webhook")->build(&effect, &to, &req, &err);
	if (status != TZ_OK)
		assert_true(err.message[0] != '\0');
	return status;
}

static const char *
header(const char *name)
{
	return adapter_header_any_case(&req, name);
}

static void
test_requests(void **state)
{
	(void) state;
	assert_int_equal(
		build("https://h.example/x?a=b#c",
	          "{\"body\":{\"callId\":\"run_1-2\",\"userId\":\"u\",\"input\":{\"b\":[1,\"\\u00e4/\"]},"
	          "\"tool\":\"t\",\"sessionId\":\"s\",\"agentId\":\"a\",\"more\":1}}",
	          "tlsec_0123456789"),
		TZ_OK);
	assert_string_equal(req.method, "POST");
	assert_string_equal(req.url.data, "https://h.example/x?a=b");
	assert_string_equal(req.body.data,
	                    "{\"tool\":\"t\",\"input\":{\"b\":[1,\"\xc3\xa4/\"]},\"agentId\":\"a\","
	                    "\"sessionId\":\"s\",\"userId\":\"u\",\"callId\":\"run_1-2\"}");
	assert_string_equal(header("content-type"), "application/json");
	assert_string_equal(header("x-theazo-timestamp"), "1700000000123");
	assert_int_equal(strlen(header("x-theazo-signature")), 7 + 64);
	assert_string_equal(header("webhook-id"), "eff_1");
	assert_non_null(header("webhook-signature"));
	assert_null(header("authorization"));
	assert_true(req.cut_response && req.allow_http && !req.allow_private);
	/* what is missing is null */
	assert_int_equal(build("http://h.example", "{\"body\":{\"tool\":\"t\"}}", NULL), TZ_OK);
	assert_string_equal(req.body.data, "{\"tool\":\"t\",\"input\":null,\"agentId\":null,\"sessionId\":null,"
	                                   "\"userId\":null,\"callId\":null}");
	assert_null(header("x-theazo-signature"));
}

static void
test_refused_requests(void **state)
{
	(void) state;
	assert_int_equal(build(NULL, "{\"body\":{}}", NULL), TZ_BAD_INPUT);
	assert_string_equal(err.message, "the tool was deleted");
	assert_int_equal(build("", "{\"body\":{}}", NULL), TZ_BAD_INPUT);
	assert_int_equal(build("ftp://h.example/", "{\"body\":{}}", NULL), TZ_BAD_INPUT);
	assert_int_equal(build("https://u:p@h.example/", "{\"body\":{}}", NULL), TZ_BAD_INPUT);
	assert_true(build("https://h.example/", "{}", NULL) != TZ_OK);
	assert_true(build("https://h.example/", "{\"body\":[]}", NULL) != TZ_OK);
}

static TzOutcome
parse(int status, const char *body, size_t len, bool cut)
{
	TzEffect effect = effect_of("{}");
	TzHttpResponse in;
	TzOutcome out;

	tz_http_response_init(&in, 2 * 1024 * 1024);
	in.status = status;
	in.cut = cut;
	in.request = &req;
	tz_buf_append(&in.body, body, len);
	tz_outcome_init(&out, 1000);
	tz_adapter_find("tool_webhook")->parse(&effect, &in, &out);
	tz_http_response_free(&in);
	return out;
}

static void
answer(int status, const char *body, const char *expect, bool failed)
{
	TzOutcome out = parse(status, body, strlen(body), false);
	const char *got = json_string_value(json_object_get(out.result, "output"));

	assert_int_equal(out.verdict, TZ_V_DONE);
	if (got == NULL || strcmp(got, expect) != 0)
		fail_msg("%s: \"%s\" and not \"%s\"", body, got != NULL ? got : "nothing", expect);
	assert_int_equal(json_is_true(json_object_get(out.result, "failed")), failed);
	assert_int_equal(json_integer_value(json_object_get(out.result, "status")), status);
	assert_true(json_is_false(json_object_get(out.result, "truncated")));
	tz_outcome_free(&out);
}

static void
test_answers(void **state)
{
	(void) state;
	tz_http_request_free(&req);
	tz_http_request_init(&req, 0);
	answer(200, "{\"output\": \"text\"}", "text", false);
	answer(200, "{\"output\": {\"a\": 1.0, \"b\": [ ]}, \"x\": 1}", "{\"a\":1.0,\"b\":[]}", false);
	answer(200, "{\"output\": null}", "null", false);
	answer(200, "{\"\\u006futput\": [1, 2]}", "[1,2]", false);
	answer(200, "{\"output\": 1, \"output\": \"last\"}", "last", false);
	answer(200, "{ \"b\": 1, \"a\": 12345678901234567890.50 }", "{\"b\":1,\"a\":12345678901234567890.50}",
	       false);
	answer(200, "[1, 2]", "[1,2]", false);
	answer(200, " \"a string\" ", "a string", false);
	answer(200, "\"\\u0000x\"", "\xef\xbf\xbdx", false);
	answer(201, " 42 ", "42", false);
	answer(200, "true", "true", false);
	answer(204, "", "", false);
	answer(200, "plain text", "plain text", false);
	answer(200, "{\"broken\": ", "{\"broken\": ", false);
	answer(200, "half \xc3", "half \xef\xbf\xbd", false);
	answer(500, "{\"output\": \"it broke\"}", "{\"output\": \"it broke\"}", true);
	answer(404, "", "the tool's handler answered 404", true);
	answer(302, "", "the tool's handler answered 302", true);
}

/* 32 KiB between characters; half a document is a text. */
static void
test_large(void **state)
{
	static char body[70000];
	TzOutcome out;

	(void) state;
	memset(body, 'x', sizeof(body));
	memcpy(body + 32767, "\xc3\xa4", 2);
	out = parse(200, body, sizeof(body), false);
	assert_int_equal(json_string_length(json_object_get(out.result, "output")), 32767);
	assert_true(json_is_true(json_object_get(out.result, "truncated")));
	tz_outcome_free(&out);
	out = parse(200, "{\"output\": \"x\"", 14, true);
	assert_string_equal(json_string_value(json_object_get(out.result, "output")), "{\"output\": \"x\"");
	assert_true(json_is_true(json_object_get(out.result, "truncated")));
	tz_outcome_free(&out);
}

static void
test_echo(void **state)
{
	TzOutcome out;

	(void) state;
	assert_int_equal(build("https://h.example/", "{\"body\":{}}", "tlsec_0123456789"), TZ_OK);
	out = parse(200, "{\"output\": [\"tlsec_0123456789\"]}", 32, false);
	assert_string_equal(json_string_value(json_object_get(out.result, "output")), "[\"***\"]");
	tz_outcome_free(&out);
}

static void
failure(TzStatus status, bool maybe_sent, TzVerdict expect)
{
	TzEffect effect = effect_of("{}");
	TzHttpResponse in;
	TzOutcome out;

	tz_http_response_init(&in, 1000);
	tz_err_set(&in.err, status, "it broke");
	in.maybe_sent = maybe_sent;
	tz_outcome_init(&out, 1000);
	effect.attempt = 9;
	tz_adapter_find("tool_webhook")->parse(&effect, &in, &out);
	assert_int_equal(out.verdict, expect);
	tz_outcome_free(&out);
	tz_http_response_free(&in);
}

/* What a handler does may count: nothing is sent twice. */
static void
test_failures(void **state)
{
	(void) state;
	failure(TZ_UNAVAILABLE, true, TZ_V_UNKNOWN);
	failure(TZ_TIMEOUT, true, TZ_V_UNKNOWN);
	failure(TZ_REFUSED, false, TZ_V_FAILED);
	failure(TZ_UNAVAILABLE, false, TZ_V_FAILED);
}

static int
teardown(void **state)
{
	(void) state;
	json_decref(doc);
	tz_http_request_free(&req);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests), cmocka_unit_test(test_refused_requests),
		cmocka_unit_test(test_answers),  cmocka_unit_test(test_large),
		cmocka_unit_test(test_echo),     cmocka_unit_test(test_failures),
	};

	return cmocka_run_group_tests_name("tool_webhook", tests, NULL, teardown);
}
