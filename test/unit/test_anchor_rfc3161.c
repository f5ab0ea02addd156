/* adapter/anchor_rfc3161.c: what an authority is asked, and answers that are none. Stamps themselves: test_tsa.c. */
#include "tz_test.h"

#include "lib_adapter.h"
#include "lib/tsa.h"

#define REQUEST                                                                               \
	"{\"round\":\"rnd_1\",\"at_us\":1,\"size\":3,\"nonce\":\"7011223344556677\",\"ca\":\"\"," \
	"\"root\":\"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\"}"

static json_t *doc;
static TzErr err;

static TzStatus
build(const char *url, const char *text, const char *credential, TzHttpRequest *req)
{
	TzSecretValue secret = {.use = "credential", .name = "tsa.key", .value = tz_slice_cstr(credential)};
	TzEndpoint to = {.url = url, .allow_http = true};
	TzEffect effect = adapter_effect("anchor.rfc3161", "rfc3161", text, &doc);

	effect.secrets = &secret;
	effect.nsecrets = credential != NULL ? 1 : 0;
	tz_http_request_init(req, 0);
	tz_err_clear(&err);
	return tz_adapter_find("rfc3161")->build(&effect, &to, req, &err);
}

static void
test_request(void **state)
{
	TzHttpRequest req;

	(void) state;
	assert_int_equal(build("https://tsa.example/tsr#x", REQUEST, "tok-1234567", &req), TZ_OK);
	assert_string_equal(req.method, "POST");
	assert_string_equal(req.url.data, "https://tsa.example/tsr");
	assert_string_equal(adapter_header_any_case(&req, "content-type"), TZ_TSA_REQUEST_TYPE);
	assert_string_equal(adapter_header_any_case(&req, "accept"), TZ_TSA_ANSWER_TYPE);
	assert_string_equal(adapter_header_any_case(&req, "authorization"), "Bearer tok-1234567");
	assert_int_equal(req.nmasks, 1);
	/* a SHA-256 request with a nonce, certificates asked for */
	assert_int_equal(req.body.len, 69);
	assert_int_equal((unsigned char) req.body.data[0], 0x30);
	tz_http_request_free(&req);
	assert_int_equal(build("https://tsa.example", REQUEST, NULL, &req), TZ_OK);
	assert_null(adapter_header_any_case(&req, "authorization"));
	tz_http_request_free(&req);
}

static void
test_refused_requests(void **state)
{
	static const char *const bad[] = {
		"{}", "{\"round\":\"rnd_1\",\"at_us\":1,\"size\":3,\"nonce\":\"7011223344556677\",\"root\":\"00\"}",
		"{\"round\":\"rnd_1\",\"at_us\":1,\"size\":0,\"nonce\":\"7011223344556677\",\"root\":"
		"\"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\"}",
		"{\"round\":\"rnd_1\",\"at_us\":1,\"size\":3,\"nonce\":\"80\",\"root\":"
		"\"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\"}",
		"{\"round\":\"rnd_1\",\"at_us\":1,\"size\":3,\"nonce\":\"7011223344556677\",\"root\":"
		"\"zz0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\"}"};
	TzHttpRequest req;

	(void) state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		assert_int_not_equal(build("https://tsa.example", bad[i], NULL, &req), TZ_OK);
		assert_true(err.message[0] != '\0');
		tz_http_request_free(&req);
	}
	assert_int_equal(build(NULL, REQUEST, NULL, &req), TZ_BAD_INPUT);
	assert_string_equal(err.message, "the anchor was deleted");
	tz_http_request_free(&req);
	assert_int_equal(build("ftp://tsa.example", REQUEST, NULL, &req), TZ_BAD_INPUT);
	tz_http_request_free(&req);
}

static void
answer(int status, TzStatus transport, const char *body, size_t len, TzVerdict verdict)
{
	TzEffect effect = adapter_effect("anchor.rfc3161", "rfc3161", REQUEST, &doc);
	TzHttpResponse in;
	TzOutcome out;

	effect.attempt = 1;
	tz_http_response_init(&in, 100000);
	in.status = status;
	if (transport != TZ_OK)
		tz_err_set(&in.err, transport, "transport");
	tz_buf_append(&in.body, body, len);
	tz_outcome_init(&out, 1000);
	tz_adapter_find("rfc3161")->parse(&effect, &in, &out);
	if (out.verdict != verdict || out.err.message[0] == '\0')
		fail_msg("status %d: verdict %d, \"%s\"", status, out.verdict, out.err.message);
	tz_outcome_free(&out);
	tz_http_response_free(&in);
}

static void
test_answers(void **state)
{
	/* status 2 (rejection), bad algorithm; status 3 (waiting) */
	static const char rejected[] = {0x30, 0x09, 0x30, 0x07, 0x02, 0x01, 0x02, 0x03, 0x02, 0x07, (char) 0x80};
	static const char waiting[] = {0x30, 0x05, 0x30, 0x03, 0x02, 0x01, 0x03};

	(void) state;
	answer(0, TZ_UNAVAILABLE, "", 0, TZ_V_RETRY);
	answer(0, TZ_REFUSED, "", 0, TZ_V_FAILED);
	answer(503, TZ_OK, "no", 2, TZ_V_RETRY);
	answer(404, TZ_OK, "no", 2, TZ_V_FAILED);
	answer(200, TZ_OK, "", 0, TZ_V_FAILED);
	answer(200, TZ_OK, "<html>", 6, TZ_V_FAILED);
	answer(200, TZ_OK, rejected, sizeof(rejected), TZ_V_FAILED);
	answer(200, TZ_OK, waiting, sizeof(waiting), TZ_V_RETRY);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_refused_requests),
		cmocka_unit_test(test_answers),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	json_decref(doc);
	return failed;
}
