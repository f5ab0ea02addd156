/* adapter/http.c: requests made, answers read. */
#include "tz_test.h"

#include "lib_adapter.h"

static TzHttpRequest req;
static TzErr err;
static json_t *doc;

static TzEffect
effect_of(const char *text)
{
	return adapter_effect("http.request", "request", text, &doc);
}

static TzStatus
build(const char *text)
{
	TzEndpoint to = {.max_response = 40 * 1024 * 1024, .allow_private = true};
	TzEffect effect = effect_of(text);
	TzStatus status;

	tz_http_request_free(&req);
	tz_http_request_init(&req, 0);
	tz_err_clear(&err);
	status = tz_adapter_find("http")->build(&effect, &to, &req, &err);
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
	assert_int_equal(build("{\"url\":\"https://A.example:8443/p?q=1#frag\"}"), TZ_OK);
	assert_string_equal(req.method, "GET");
	assert_string_equal(req.url.data, "https://A.example:8443/p?q=1");
	assert_int_equal(req.nheaders, 0);
	assert_true(req.pin.set && req.pin.tls && req.pin.port == 8443);
	assert_string_equal(req.pin.host, "a.example");
	assert_true(req.cut_response && req.allow_private && !req.allow_http);
	assert_int_equal(build("{\"url\":\"https://a.example\",\"method\":\"POST\",\"body\":\"x\","
	                       "\"headers\":{\"X-A\":\"1\",\"user-agent\":\"me\"}}"),
	                 TZ_OK);
	assert_string_equal(req.body.data, "x");
	assert_string_equal(header("x-a"), "1");
	assert_string_equal(header("content-type"), "text/plain; charset=utf-8");
	assert_int_equal(build("{\"url\":\"https://a.example\",\"method\":\"PATCH\",\"body\":\"{}\","
	                       "\"headers\":{\"CONTENT-type\":\"application/json\"}}"),
	                 TZ_OK);
	assert_string_equal(header("content-type"), "application/json");
	assert_int_equal(build("{\"url\":\"https://a.example\",\"method\":null,\"headers\":null,\"body\":null}"),
	                 TZ_OK);
}

static void
test_refused_requests(void **state)
{
	static const char *const bad[] = {
		"{}",
		"{\"url\":1}",
		"{\"url\":\"\"}",
		"{\"url\":\"https://u:p@a.example/\"}",
		"{\"url\":\"https://\\u00e4.example/\"}",
		"{\"url\":\"https://a.example/\\r\\nX: y\"}",
		"{\"url\":\"https://a.example/ x\"}",
		"{\"url\":\"file:///etc/passwd\"}",
		"{\"url\":\"https://a.example\",\"method\":\"TRACE\"}",
		"{\"url\":\"https://a.example\",\"method\":\"get\"}",
		"{\"url\":\"https://a.example\",\"method\":\"GET\\r\\n\"}",
		"{\"url\":\"https://a.example\",\"method\":7}",
		"{\"url\":\"https://a.example\",\"body\":\"x\"}",
		"{\"url\":\"https://a.example\",\"method\":\"HEAD\",\"body\":\"x\"}",
		"{\"url\":\"https://a.example\",\"headers\":[]}",
		"{\"url\":\"https://a.example\",\"headers\":{\"A\":1}}",
		"{\"url\":\"https://a.example\",\"headers\":{\"A\":null}}",
		"{\"url\":\"https://a.example\",\"headers\":{\"A b\":\"x\"}}",
		"{\"url\":\"https://a.example\",\"headers\":{\"A\":\"x\\r\\nB: y\"}}",
		"{\"url\":\"https://a.example\",\"headers\":{\"A\":\"x\\n y\"}}",
		"{\"url\":\"https://a.example\",\"headers\":{\"A\":\"x\",\"a\":\"y\"}}",
		"{\"url\":\"https://a.example\",\"headers\":{\"Host\":\"b.example\"}}",
		"{\"url\":\"https://a.example\",\"headers\":{\"transfer-ENCODING\":\"chunked\"}}",
		"{\"url\":\"https://a.example\",\"headers\":{\"Content-Length\":\"5\"}}",
		"{\"url\":\"https://a.example\",\"headers\":{\"Accept-Encoding\":\"gzip\"}}",
		"{\"url\":\"https://a.example\",\"headers\":{\"Proxy-Authorization\":\"x\"}}",
		"{\"url\":\"https://a.example\",\"allow\":\"a.example\"}",
		"{\"url\":\"https://a.example\",\"allow\":[1]}",
	};

	(void) state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (build(bad[i]) == TZ_OK)
			fail_msg("%s was taken", bad[i]);
	{
		static char text[20000] = "{\"url\":\"https://a.example\",\"headers\":{\"A\":\"";
		size_t n = strlen(text);

		memset(text + n, 'x', 17000);
		memcpy(text + n + 17000, "\"}}", 4);
		assert_int_equal(build(text), TZ_BAD_INPUT);
	}
}

static void
test_allowed_hosts(void **state)
{
	(void) state;
	assert_int_equal(build("{\"url\":\"https://a.example/\",\"allow\":[\"b.example\",\"a.example\"]}"),
	                 TZ_OK);
	assert_int_equal(build("{\"url\":\"https://x.b.example/\",\"allow\":[\"*.b.example\"]}"), TZ_OK);
	assert_int_equal(build("{\"url\":\"https://a.example/\",\"allow\":[]}"), TZ_REFUSED);
	assert_int_equal(build("{\"url\":\"https://a.example:8443/\",\"allow\":[\"a.example\"]}"), TZ_REFUSED);
	assert_int_equal(build("{\"url\":\"https://c.example/\",\"allow\":[\"a.example\"]}"), TZ_REFUSED);
	assert_non_null(strstr(err.message, "c.example"));
	assert_int_equal(build("{\"url\":\"http://a.example/\",\"allow\":[\"a.example\"]}"), TZ_OK);
	/* a hundred domains, each with what is below it */
	for (int n = 200; n <= 201; n++)
	{
		char text[4096] = "{\"url\":\"https://a.example/\",\"allow\":[\"a.example\"";

		for (int i = 1; i < n; i++)
			strcat(text, ",\"b.example\"");
		strcat(text, "]}");
		assert_int_equal(build(text), n == 200 ? TZ_OK : TZ_BAD_INPUT);
	}
}

static TzOutcome
parse(const char *request, TzHttpResponse *in)
{
	TzEffect effect = effect_of(request);
	TzOutcome out;

	tz_outcome_init(&out, 1000);
	tz_adapter_find("http")->parse(&effect, in, &out);
	tz_http_response_free(in);
	return out;
}

static const char *
text_of(const json_t *result, const char *key)
{
	return json_string_value(json_object_get(result, key));
}

static void
test_answers(void **state)
{
	TzHttpResponse in;
	TzOutcome out;

	(void) state;
	tz_http_response_init(&in, 1000);
	in.status = 404;
	tz_http_response_add(&in, "X-A: 1\r\n", 8);
	tz_http_response_add(&in, "x-a: 2\r\n", 8);
	tz_http_response_add(&in, "B: \xff\r\n", 6);
	tz_buf_append(&in.body, "a\0b\xff", 4);
	out = parse("{\"url\":\"https://a.example/\"}", &in);
	assert_int_equal(out.verdict, TZ_V_DONE);
	assert_int_equal(json_integer_value(json_object_get(out.result, "status")), 404);
	assert_string_equal(text_of(json_object_get(out.result, "headers"), "x-a"), "1, 2");
	assert_string_equal(text_of(json_object_get(out.result, "headers"), "b"), "\xef\xbf\xbd");
	assert_string_equal(text_of(out.result, "body"), "a\xef\xbf\xbd"
	                                                 "b\xef\xbf\xbd");
	assert_true(json_is_false(json_object_get(out.result, "truncated")));
	tz_outcome_free(&out);

	tz_http_response_init(&in, 1000);
	in.status = 204;
	out = parse("{\"url\":\"https://a.example/\"}", &in);
	assert_string_equal(text_of(out.result, "body"), "");
	tz_outcome_free(&out);

	/* between characters, and said */
	tz_http_response_init(&in, 1000);
	in.status = 200;
	tz_buf_append_cstr(&in.body, "ab\xc3\xa4"
	                             "c");
	out = parse("{\"url\":\"https://a.example/\",\"max_body\":3}", &in);
	assert_string_equal(text_of(out.result, "body"), "ab");
	assert_true(json_is_true(json_object_get(out.result, "truncated")));
	tz_outcome_free(&out);
}

/* A value that begins before the cut is masked as a whole. */
static void
test_echo(void **state)
{
	TzHttpRequest asked;
	TzHttpResponse in;
	TzOutcome out;

	(void) state;
	tz_http_request_init(&asked, 0);
	tz_http_request_mask(&asked, tz_slice_cstr("canary-0123456789"), NULL);
	tz_http_response_init(&in, 1000);
	in.status = 200;
	in.request = &asked;
	tz_buf_append_cstr(&in.body, "canary-0123456789 12 canary-0123456789 and canary-01234");
	out = parse("{\"url\":\"https://a.example/\",\"max_body\":10}", &in);
	assert_string_equal(text_of(out.result, "body"), "*** 12 ***");
	tz_outcome_free(&out);
	tz_http_request_free(&asked);
}

/* As much as was asked for, at most 1 MiB. */
static void
test_large_answers(void **state)
{
	static const struct
	{
		const char *request;
		size_t expect;
	} tries[] = {
		{"{\"url\":\"https://a.example/\"}", 100 * 1024},
		{"{\"url\":\"https://a.example/\",\"max_body\":500000}", 500000},
		{"{\"url\":\"https://a.example/\",\"max_body\":9000000}", 1024 * 1024},
	};
	TzBuf text;

	(void) state;
	tz_buf_init(&text, 2 * 1024 * 1024);
	while (text.len < 1024 * 1024 + 1024)
		tz_buf_append_cstr(&text, "0123456789");
	assert_int_equal(text.status, TZ_OK);
	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++)
	{
		TzHttpResponse in;
		TzOutcome out;

		tz_http_response_init(&in, 2 * 1024 * 1024);
		in.status = 200;
		tz_buf_append(&in.body, text.data, tries[i].expect + 1024);
		out = parse(tries[i].request, &in);
		assert_int_equal(strlen(text_of(out.result, "body")), tries[i].expect);
		assert_true(json_is_true(json_object_get(out.result, "truncated")));
		tz_outcome_free(&out);
	}
	tz_buf_free(&text);
}

static void
failure(const char *method, TzStatus status, bool maybe_sent, TzVerdict expect)
{
	char request[100];
	TzHttpResponse in;
	TzOutcome out;

	snprintf(request, sizeof(request), "{\"url\":\"https://a.example/\",\"method\":\"%s\"}", method);
	tz_http_response_init(&in, 1000);
	tz_err_set(&in.err, status, "it broke");
	in.maybe_sent = maybe_sent;
	out = parse(request, &in);
	if (out.verdict != expect)
		fail_msg("%s, %d: verdict %d", method, (int) status, (int) out.verdict);
	tz_outcome_free(&out);
}

static void
test_failures(void **state)
{
	static const char *const once[] = {"POST", "PUT", "PATCH", "DELETE", "OPTIONS"};

	(void) state;
	failure("GET", TZ_UNAVAILABLE, true, TZ_V_RETRY);
	failure("HEAD", TZ_UNAVAILABLE, true, TZ_V_RETRY);
	failure("GET", TZ_REFUSED, false, TZ_V_FAILED);
	for (size_t i = 0; i < sizeof(once) / sizeof(once[0]); i++)
		failure(once[i], TZ_UNAVAILABLE, true, TZ_V_UNKNOWN);
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
		cmocka_unit_test(test_requests),      cmocka_unit_test(test_refused_requests),
		cmocka_unit_test(test_allowed_hosts), cmocka_unit_test(test_answers),
		cmocka_unit_test(test_large_answers), cmocka_unit_test(test_echo),
		cmocka_unit_test(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
