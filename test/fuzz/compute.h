/*
 * What fuzzers of compute adapters share whose answers are documents. First byte: operation,
 * second: status, third: state, fourth: content type, follower and how the transport failed; the
 * rest is the body. Besides not crashing: a verdict is always given, with a reason when it is no
 * success; and neither the account's key nor a secret is in a message or a state.
 */
#ifndef TZ_FUZZ_COMPUTE_H
#define TZ_FUZZ_COMPUTE_H

#include "outcome.h"

static int
fuzz_compute(const char *name, const char *request_text, const char *const *states, size_t nstates,
             const uint8_t *data, size_t size)
{
	static const int statuses[] = {200, 201, 204, 307, 400, 401, 404, 408,
	                               409, 412, 422, 429, 500, 502, 503, 0};
	static const char *const types[] = {"content-type: application/json",
	                                    "content-type: application/octet-stream", "content-type: text/html",
	                                    "x: y"};
	static json_t *request;
	const TzAdapter *adapter = tz_adapter_find(name);
	TzEndpoint to = {.max_response = 1000};
	TzEffect effect = {.id = "eff_1", .attempt = 1, .now_ms = INT64_C(1700000000000)};
	TzHttpRequest sent;
	TzHttpResponse in;
	TzOutcome out;
	TzStream *stream = NULL;
	json_t *state;
	int nops = 0;

	if (size < 4)
		return 0;
	if (request == NULL)
		request = json_loads(request_text, 0, NULL);
	while (adapter->ops[nops] != NULL)
		nops++;
	state = json_loads(states[data[2] % nstates], 0, NULL);
	effect.op = adapter->ops[data[0] % nops];
	effect.request = request;
	effect.state = state;
	tz_http_request_init(&sent, 1000);
	tz_http_request_mask(&sent, tz_slice_cstr(SECRET), NULL);
	tz_buf_append_cstr(&sent.url, (data[2] & 128) != 0 ? "https://api.example/sandbox/s1"
	                                                   : "https://x.example/s1/files");
	tz_http_response_init(&in, 1024 * 1024);
	in.status = statuses[data[1] % (sizeof(statuses) / sizeof(statuses[0]))];
	in.request = &sent;
	tz_http_response_add(&in, types[data[3] & 3], strlen(types[data[3] & 3]));
	if (in.status == 0)
	{
		tz_err_set(&in.err, (TzStatus) (1 + data[3] % TZ_INTERNAL), "transport");
		in.maybe_sent = (data[3] & 64) != 0;
	}
	if (in.status == 429)
		tz_http_response_add(&in, "retry-after-sandbox-create: 3", 29);
	tz_buf_append(&in.body, data + 4, size - 4);
	tz_outcome_init(&out, 1024);
	if ((data[3] & 128) != 0)
		stream = adapter->stream_new(&effect, &to, NULL, NULL);
	if (stream != NULL)
		adapter->stream_end(stream, &effect, &in, &out);
	else
		adapter->parse(&effect, &in, &out);
	check_outcome(&out);
	check_unsaid(&out, SECRET);
	check_named(&out, "phase");
	if (stream != NULL)
		adapter->stream_free(stream);
	tz_outcome_free(&out);
	json_decref(state);
	tz_http_response_free(&in);
	tz_http_request_free(&sent);
	return 0;
}

#endif /* TZ_FUZZ_COMPUTE_H */
