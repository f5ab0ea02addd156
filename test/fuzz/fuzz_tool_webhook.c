/*
 * Answers of a tool's handler. First byte: status, second: bits for a cut body and a
 * transport error; the rest is the body. A verdict is always given, a result's output
 * is UTF-8 of at most 32 KiB, and a secret that went out is not in it.
 */
#include "outcome.h"

static const int statuses[] = {200, 201, 204, 301, 404, 500, 200, 200};

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static json_t *request;
	const TzAdapter *adapter = tz_adapter_find("tool_webhook");
	TzEffect effect = {.id = "eff_1", .op = "webhook", .attempt = 1, .now_ms = INT64_C(1700000000000)};
	TzHttpRequest sent;
	TzHttpResponse in;
	TzOutcome out;

	if (size < 2)
		return 0;
	if (request == NULL)
		request = json_object();
	effect.request = request;
	tz_http_request_init(&sent, 0);
	tz_http_request_mask(&sent, tz_slice_cstr(SECRET), NULL);
	tz_http_response_init(&in, 1024 * 1024);
	in.status = statuses[data[0] & 7];
	in.cut = (data[1] & 1) != 0;
	in.request = &sent;
	if ((data[1] & 14) == 14)
	{
		tz_err_set(&in.err, (TzStatus) (1 + data[0] % TZ_INTERNAL), "transport");
		in.maybe_sent = (data[1] & 16) != 0;
	}
	tz_buf_append(&in.body, data + 2, size - 2);
	tz_outcome_init(&out, 1000);
	adapter->parse(&effect, &in, &out);
	check_outcome(&out);
	check_unsaid(&out, SECRET);
	must(out.verdict != TZ_V_NEXT);
	if (out.verdict == TZ_V_DONE)
	{
		const json_t *output = json_object_get(out.result, "output");

		must(json_is_string(output) && json_string_length(output) <= 32 * 1024);
		must(tz_utf8_valid(tz_slice(json_string_value(output), json_string_length(output))));
		must(strstr(json_string_value(output), SECRET) == NULL);
	}
	tz_outcome_free(&out);
	tz_http_response_free(&in);
	tz_http_request_free(&sent);
	return 0;
}
