/*
 * Answers of a webhook provider. First byte: operation, second: status, third:
 * bits for content type, attempt and transport error; the rest is the body. What is
 * checked besides not crashing: a verdict is always given, with a reason when it
 * is no success, results are objects, texts are UTF-8, and a secret that went out
 * with the request is in no message.
 */
#include "outcome.h"

static const int statuses[] = {200, 201, 204, 301, 400, 401, 404, 410, 429, 500, 501, 502, 503, 0};
static const char *const types[] = {"content-type: application/json", "content-type: text/plain", "x: y",
                                    "content-type: application/x+json; charset=utf-8"};

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static json_t *request;
	const TzAdapter *adapter = tz_adapter_find("webhook");
	TzEffect effect = {.id = "eff_1", .now_ms = INT64_C(1700000000000)};
	TzHttpRequest sent;
	TzHttpResponse in;
	TzOutcome out;
	int nops = 0;

	if (size < 3)
		return 0;
	if (request == NULL)
		request = json_pack("{s:s, s:i, s:i, s:i}", "sandbox", "s", "max_bytes", 1000, "max_output", 100,
		                    "timeout_ms", 10);
	while (adapter->ops[nops] != NULL)
		nops++;
	effect.op = adapter->ops[data[0] % nops];
	effect.attempt = 1 + (data[2] >> 5);
	effect.request = request;
	tz_http_request_init(&sent, 0);
	tz_http_request_mask(&sent, tz_slice_cstr(SECRET), NULL);
	tz_http_response_init(&in, 1024 * 1024);
	in.status = statuses[data[1] % (sizeof(statuses) / sizeof(statuses[0]))];
	in.total_us = (int64_t) data[1] * 1000;
	in.request = &sent;
	tz_http_response_add(&in, types[data[2] & 3], strlen(types[data[2] & 3]));
	if (in.status == 0 || (data[2] & 12) == 12)
	{
		tz_err_set(&in.err, (TzStatus) (1 + data[1] % TZ_INTERNAL), "transport");
		in.maybe_sent = (data[2] & 16) != 0;
	}
	if (in.status == 429 && size > 20)
	{
		char line[40] = "retry-after: ";

		memcpy(line + 13, data + 3, 16);
		tz_http_response_add(&in, line, strlen(line));
	}
	tz_buf_append(&in.body, data + 3, size - 3);
	tz_outcome_init(&out, 1024);
	adapter->parse(&effect, &in, &out);
	check_outcome(&out);
	check_unsaid(&out, SECRET);
	must(out.verdict != TZ_V_NEXT && (out.result == NULL || json_is_object(out.result)));
	tz_outcome_free(&out);
	tz_http_response_free(&in);
	tz_http_request_free(&sent);
	return 0;
}
