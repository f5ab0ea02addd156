/* Answers of an engine, at every step of every operation: each becomes a verdict with a reason. */
#include "outcome.h"

static const char *const steps[] = {"",       "create",   "pull", "find",   "clear",   "work", "start",
                                    "policy", "undo",     "run",  "why",    "inspect", "get",  "size",
                                    "again",  "lifetime", "look", "commit", "exec",    "stop", "kill"};
static const int statuses[] = {200, 201, 204, 304, 400, 403, 404, 409, 500, 503, 0};

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static json_t *request;
	const TzAdapter *adapter = tz_adapter_find("docker");
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
	effect.attempt = 1 + (data[1] >> 5);
	effect.request = request;
	effect.state =
		json_pack("{s:s, s:s, s:s, s:s, s:b, s:i, s:f, s:f}", "do",
	              steps[data[1] % (sizeof(steps) / sizeof(steps[0]))], "exec", "e1", "stdout",
	              "81a4 1 1 ./a\n", "stderr", "", "truncated", 0, "ms", 20, "used", 1.0, "at", 2.0);
	tz_http_request_init(&sent, 0);
	tz_buf_append_cstr(&sent.url, "http://localhost/v1.44/containers/s/archive?path=%2Fwork%2Fa");
	tz_http_response_init(&in, 1024 * 1024);
	in.status = statuses[data[2] % (sizeof(statuses) / sizeof(statuses[0]))];
	in.request = &sent;
	if (in.status == 0)
		tz_err_set(&in.err, TZ_TIMEOUT, "late");
	tz_buf_append(&in.body, data + 3, size - 3);
	tz_outcome_init(&out, 1024);
	adapter->parse(&effect, &in, &out);
	check_outcome(&out);
	check_named(&out, "do");
	tz_outcome_free(&out);
	tz_http_response_free(&in);
	tz_http_request_free(&sent);
	json_decref(effect.state);
	return 0;
}
