/* adapter/webhook_out.c: what a platform's own server is sent, and what its answer means. */
#include "tz_test.h"

#include "lib_adapter.h"

static TzHttpRequest req;
static TzErr err;
static json_t *doc;

static TzEffect
effect_of(const char *text)
{
	return adapter_effect("webhook.deliver", "deliver", text, &doc);
}

static TzStatus
build(const char *url, const char *text, const char *body, const char *key)
{
	TzSecretValue secret = {.use = "signing", .name = "webhook.x", .value = tz_slice_cstr(key)};
	TzEndpoint to = {.url = url, .max_response = 40 * 1024 * 1024, .allow_http = true};
	TzEffect effect = effect_of(text);
	TzStatus status;

	effect.content = tz_slice_cstr(body);
	effect.secrets = &secret;
	effect.nsecrets = key != NULL ? 1 : 0;
	effect.now_ms = INT64_C(1700000000000);
	tz_http_request_free(&req);
	tz_http_request_init(&req, 0);
	tz_err_clear(&err);
	status = tz_adapter_find("webhook_out")->build(&effect, &to, &req, &err);
	if (status != TZ_OK)
		assert_true(err.message[0] != '\0');
	return status;
}

static const char *
header(const char *name)
{
	return adapter_header_any_case(&req, name);
}

/* The published vector of Standard Webhooks; the bytes of the body are those that were stored. */
static void
test_requests(void **state)
{
	(void) state;
	assert_int_equal(build("https://h.example/x?a=b#c", "{\"id\":\"msg_1\",\"type\":\"approval.requested\"}",
	                       "{\"a\":1}", "whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH"),
	                 TZ_OK);
	assert_string_equal(req.method, "POST");
	assert_string_equal(req.url.data, "https://h.example/x?a=b");
	assert_string_equal(req.body.data, "{\"a\":1}");
	assert_string_equal(header("content-type"), "application/json");
	assert_string_equal(header("x-theazo-event"), "approval.requested");
	assert_string_equal(header("x-theazo-delivery"), "msg_1");
	assert_string_equal(header("x-theazo-timestamp"), "1700000000000");
	assert_int_equal(strlen(header("x-theazo-signature")), 7 + 64);
	assert_string_equal(header("webhook-id"), "msg_1");
	assert_string_equal(header("webhook-timestamp"), "1700000000");
	assert_string_equal(header("webhook-signature"), "v1,GnWfOMPpcrOIuA+hTPKUlJoozIUx5fe5vMJRq4kNJyc=");
	assert_null(header("authorization"));
	assert_true(req.cut_response && req.allow_http && !req.allow_private);
	assert_int_equal(req.timeout_ms, 10000);
	/* an empty body is signed as well */
	assert_int_equal(build("http://h.example", "{\"id\":\"e\",\"type\":\"t\"}", "", "k"), TZ_OK);
	assert_int_equal(strlen(header("x-theazo-signature")), 7 + 64);
}

static void
test_refused_requests(void **state)
{
	const char *good = "{\"id\":\"e\",\"type\":\"t\"}";
	char text[400];

	(void) state;
	assert_int_equal(build(NULL, good, "{}", NULL), TZ_BAD_INPUT);
	assert_string_equal(err.message, "the webhook was deleted or disabled");
	assert_int_equal(build("", good, "{}", NULL), TZ_BAD_INPUT);
	assert_int_equal(build("ftp://h.example/", good, "{}", NULL), TZ_BAD_INPUT);
	assert_int_equal(build("https://u:p@h.example/", good, "{}", NULL), TZ_BAD_INPUT);
	assert_true(build("https://h.example/", "{}", "{}", NULL) != TZ_OK);
	assert_true(build("https://h.example/", "{\"id\":\"e\"}", "{}", NULL) != TZ_OK);
	assert_true(build("https://h.example/", "{\"id\":1,\"type\":\"t\"}", "{}", NULL) != TZ_OK);
	assert_true(build("https://h.example/", "{\"id\":\"e\",\"type\":\"a\\r\\nb: c\"}", "{}", NULL) != TZ_OK);
	snprintf(text, sizeof(text), "{\"id\":\"e\",\"type\":\"%0200d\"}", 1);
	assert_true(build("https://h.example/", text, "{}", NULL) != TZ_OK);
}

static TzOutcome
parse(int status, const char *retry_after, TzStatus transport, bool sent)
{
	TzEffect effect = effect_of("{}");
	TzHttpResponse in;
	TzOutcome out;
	char line[100];

	effect.attempt = 1;
	effect.now_ms = INT64_C(1700000000000);
	tz_http_response_init(&in, 65536);
	in.status = status;
	in.request = &req;
	in.maybe_sent = sent;
	if (transport != TZ_OK)
		tz_err_set(&in.err, transport, "it broke");
	if (retry_after != NULL)
	{
		snprintf(line, sizeof(line), "Retry-After: %s", retry_after);
		assert_int_equal(tz_http_response_add(&in, line, strlen(line)), TZ_OK);
	}
	tz_buf_append_cstr(&in.body, "{\"error\":\"no\"}");
	tz_outcome_init(&out, 1000);
	tz_adapter_find("webhook_out")->parse(&effect, &in, &out);
	tz_http_response_free(&in);
	return out;
}

static void
answer(int status, const char *retry_after, TzVerdict verdict, int wait_ms)
{
	TzOutcome out = parse(status, retry_after, TZ_OK, true);

	if (out.verdict != verdict || out.retry_after_ms != wait_ms)
		fail_msg("%d: verdict %d after %d ms", status, out.verdict, out.retry_after_ms);
	if (verdict != TZ_V_DONE)
		assert_int_equal(out.err.http_status, status);
	tz_outcome_free(&out);
}

static void
test_answers(void **state)
{
	(void) state;
	tz_http_request_free(&req);
	tz_http_request_init(&req, 0);
	answer(200, NULL, TZ_V_DONE, 0);
	answer(204, "5", TZ_V_DONE, 0);
	answer(299, NULL, TZ_V_DONE, 0);
	answer(301, NULL, TZ_V_RETRY, 0);
	answer(400, NULL, TZ_V_RETRY, 0);
	answer(404, NULL, TZ_V_RETRY, 0);
	answer(410, NULL, TZ_V_FAILED, 0);
	answer(429, "120", TZ_V_RETRY, 120000);
	answer(503, "999999", TZ_V_RETRY, 24 * 60 * 60 * 1000);
	answer(500, "soon", TZ_V_RETRY, 0);
}

static void
test_transport(void **state)
{
	static const struct
	{
		TzStatus status;
		bool sent;
		TzVerdict verdict;
	} cases[] = {
		{TZ_UNAVAILABLE, false, TZ_V_RETRY}, {TZ_UNAVAILABLE, true, TZ_V_RETRY},
		{TZ_TIMEOUT, true, TZ_V_RETRY},      {TZ_BAD_ANSWER, true, TZ_V_RETRY},
		{TZ_REFUSED, false, TZ_V_FAILED},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		TzOutcome out = parse(0, NULL, cases[i].status, cases[i].sent);

		if (out.verdict != cases[i].verdict)
			fail_msg("case %zu: verdict %d", i, out.verdict);
		tz_outcome_free(&out);
	}
}

static int
teardown(void **state)
{
	(void) state;
	json_decref(doc);
	tz_http_request_free(&req);
	return 0;
}

/* While a key is being replaced both sign, the new one first; the other signature has room for one. */
static void
test_two_keys(void **state)
{
	TzSecretValue secrets[] = {
		{.use = "signing",
	     .name = "webhook.x.2",
	     .value = tz_slice_cstr("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX")},
		{.use = "previous",
	     .name = "webhook.x",
	     .value = tz_slice_cstr("whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH")},
	};
	TzEndpoint to = {.url = "https://h.example/x", .max_response = 40 * 1024 * 1024};
	TzEffect effect;
	const char *both;
	char *new_one;
	char *ours;

	(void) state;
	assert_int_equal(build("https://h.example/x", "{\"id\":\"msg_1\",\"type\":\"approval.requested\"}",
	                       "{\"a\":1}", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"),
	                 TZ_OK);
	new_one = strdup(header("webhook-signature"));
	ours = strdup(header("x-theazo-signature"));

	effect = effect_of("{\"id\":\"msg_1\",\"type\":\"approval.requested\"}");
	effect.content = tz_slice_cstr("{\"a\":1}");
	effect.secrets = secrets;
	effect.nsecrets = 2;
	effect.now_ms = INT64_C(1700000000000);
	tz_http_request_free(&req);
	tz_http_request_init(&req, 0);
	assert_int_equal(tz_adapter_find("webhook_out")->build(&effect, &to, &req, &err), TZ_OK);
	both = header("webhook-signature");
	assert_int_equal(strncmp(both, new_one, strlen(new_one)), 0);
	assert_string_equal(both + strlen(new_one), " v1,GnWfOMPpcrOIuA+hTPKUlJoozIUx5fe5vMJRq4kNJyc=");
	assert_string_equal(header("x-theazo-signature"), ours);
	free(new_one);
	free(ours);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),         cmocka_unit_test(test_two_keys),
		cmocka_unit_test(test_refused_requests), cmocka_unit_test(test_answers),
		cmocka_unit_test(test_transport),
	};

	return cmocka_run_group_tests_name("webhook_out", tests, NULL, teardown);
}
