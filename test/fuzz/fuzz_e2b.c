/*
 * Answers of E2B, and the frames of its streams. First byte: operation, second: status,
 * third: phase, content type and transport error, fourth: how the stream is cut; the
 * rest is the body. Besides not crashing: a verdict is always given, with a reason when
 * it is no success; a stream in pieces comes to the same as the whole; and neither the
 * account's key nor the sandbox's token is in a message or a state.
 */
#include "outcome.h"

static const int statuses[] = {200, 201, 204, 307, 400, 401, 404, 409, 415, 429, 500, 502, 503, 507, 0};
static const char *const types[] = {"content-type: application/connect+json",
                                    "content-type: application/json", "x: y", "content-type: text/html"};
static const char *const phases[] = {
	"{}",
	"{\"phase\":\"ask\",\"made\":{\"sandbox\":\"i1\"}}",
	"{\"phase\":\"connect\"}",
	"{\"reconcile\":true}",
	"{\"phase\":\"drop\",\"one\":\"i1\",\"drop\":[\"i2\"]}",
	"{\"phase\":\"series\"}",
	"{\"uploaded\":true,\"again\":1,\"lost\":2,\"asked\":3}",
	"{\"cursor\":\"c\",\"found\":[],\"pages\":3}",
};

/* What a stream comes to when it is fed in pieces of n. */
static void
feed(const TzAdapter *adapter, const TzEffect *effect, const TzHttpResponse *in, TzSlice body, size_t n,
     TzOutcome *out)
{
	TzEndpoint to = {.max_response = 1000};
	TzStream *s = adapter->stream_new(effect, &to, NULL, NULL);

	must(s != NULL);
	while (body.len > 0)
	{
		size_t now = body.len < n ? body.len : n;

		if (adapter->stream_feed(s, tz_slice(body.data, now), NULL) != TZ_OK || adapter->stream_whole(s))
			break;
		body.data += now;
		body.len -= now;
	}
	adapter->stream_end(s, effect, in, out);
	adapter->stream_free(s);
}

static void
streams(const TzAdapter *adapter, const TzEffect *effect, const TzHttpResponse *in, TzSlice body, size_t n)
{
	TzOutcome whole;
	TzOutcome cut;

	tz_outcome_init(&whole, 1024);
	tz_outcome_init(&cut, 1024);
	feed(adapter, effect, in, body, body.len + 1, &whole);
	feed(adapter, effect, in, body, n, &cut);
	check_outcome(&whole);
	check_outcome(&cut);
	check_unsaid(&whole, SECRET);
	check_unsaid(&cut, SECRET);
	must(whole.verdict == cut.verdict);
	must(whole.result == NULL || cut.result == NULL || json_equal(whole.result, cut.result));
	tz_outcome_free(&whole);
	tz_outcome_free(&cut);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static json_t *request;
	static json_t *states[sizeof(phases) / sizeof(phases[0])];
	const TzAdapter *adapter = tz_adapter_find("e2b");
	TzEffect effect = {.id = "eff_1", .attempt = 1, .now_ms = INT64_C(1700000000000)};
	TzHttpRequest sent;
	TzHttpResponse in;
	TzOutcome out;
	int nops = 0;

	if (size < 4)
		return 0;
	if (request == NULL)
	{
		request = json_loads(
			"{\"sandbox\":\"i1\",\"tag\":\"t\",\"max_bytes\":100,\"max_output\":20,\"timeout_ms\":10,"
			"\"port\":80,\"snapshot\":\"s\"}",
			0, NULL);
		for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++)
			states[i] = json_loads(phases[i], 0, NULL);
	}
	while (adapter->ops[nops] != NULL)
		nops++;
	effect.op = adapter->ops[data[0] % nops];
	effect.request = request;
	effect.state = states[data[2] & 7];
	tz_http_request_init(&sent, 1000);
	tz_http_request_mask(&sent, tz_slice_cstr(SECRET), NULL);
	tz_buf_append_cstr(&sent.url, "https://49983-i1.e2b.app/health");
	if ((data[3] & 128) != 0)
		tz_http_request_header(&sent, "E2b-Sandbox-Port", "49983", false, NULL);
	tz_http_response_init(&in, 1024 * 1024);
	in.status = statuses[data[1] % (sizeof(statuses) / sizeof(statuses[0]))];
	in.total_us = (int64_t) data[1] * 1000;
	in.request = &sent;
	tz_http_response_add(&in, types[data[2] >> 3 & 3], strlen(types[data[2] >> 3 & 3]));
	if (in.status == 0)
	{
		tz_err_set(&in.err, (TzStatus) (1 + data[3] % TZ_INTERNAL), "transport");
		in.maybe_sent = (data[2] & 64) != 0;
	}
	if ((data[2] & 128) != 0)
		tz_http_response_add(&in, "x-next-token: 2", 15);
	tz_buf_append(&in.body, data + 4, size - 4);
	tz_outcome_init(&out, 1024);
	adapter->parse(&effect, &in, &out);
	check_outcome(&out);
	check_unsaid(&out, SECRET);
	tz_outcome_free(&out);
	effect.op = "exec";
	effect.state = NULL;
	tz_buf_reset(&in.body);
	streams(adapter, &effect, &in, tz_slice((const char *) data + 4, size - 4), (size_t) (data[3] & 15) + 1);
	tz_http_response_free(&in);
	tz_http_request_free(&sent);
	return 0;
}
