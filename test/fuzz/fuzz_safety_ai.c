/*
 * Answers of judges. First byte: which adapter and how the answer is wrapped, second:
 * status; the rest is the body, or what a model says. A verdict is always given, and a
 * done one has scores from 0 to 1.
 */
#include "outcome.h"

#include "adapter/judge.h"

static const int statuses[] = {200, 200, 200, 200, 301, 404, 429, 500};

static void
must_score(const json_t *value)
{
	must(json_is_number(value) && json_number_value(value) >= 0 && json_number_value(value) <= 1);
}

/* An answer of a model that says so. */
static void
wrap(TzHttpResponse *in, const uint8_t *data, size_t size)
{
	json_t *said = json_stringn((const char *) data, size);
	json_t *doc = json_pack("{s:[{s:i, s:{s:s, s:o*}, s:s}]}", "choices", "index", 0, "message", "role",
	                        "assistant", "content", said, "finish_reason", "stop");
	char *text = doc != NULL ? json_dumps(doc, 0) : NULL;

	if (text != NULL)
		tz_buf_append_cstr(&in->body, text);
	free(text);
	json_decref(doc);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TzEffect effect = {
		.id = "eff_1", .kind = "safety.judge", .op = "judge", .attempt = 1, .now_ms = INT64_C(1700000000000)};
	double toxicity = -1, injection = -1;
	TzHttpResponse in;
	TzOutcome out;
	bool model;

	if (size < 2)
		return 0;
	model = (data[0] & 1) != 0;
	effect.request = json_pack("{s:s, s:s, s:s, s:s, s:s}", "input", "a", "model", "m", "api", "chat", "via",
	                           (data[0] & 2) != 0 ? "openai-compatible" : "anthropic", "level", "moderate");
	tz_http_response_init(&in, 1024 * 1024);
	in.status = statuses[data[1] & 7];
	if (model && (data[0] & 4) != 0)
		wrap(&in, data + 2, size - 2);
	else
		tz_buf_append(&in.body, data + 2, size - 2);
	tz_outcome_init(&out, 1000);
	tz_adapter_find(model ? "judge" : "moderation")->parse(&effect, &in, &out);
	check_outcome(&out);
	must(out.verdict == TZ_V_DONE || out.verdict == TZ_V_FAILED || out.verdict == TZ_V_UNKNOWN);
	if (out.verdict == TZ_V_DONE)
	{
		must_score(json_object_get(out.result, "toxicity"));
		if (model)
			must_score(json_object_get(out.result, "injection"));
	}
	if (tz_judge_read(tz_slice((const char *) data, size), &toxicity, &injection) == NULL)
		must(toxicity >= 0 && toxicity <= 1 && injection >= 0 && injection <= 1);
	else
		must(toxicity == -1 && injection == -1);
	tz_outcome_free(&out);
	tz_http_response_free(&in);
	json_decref(effect.request);
	return 0;
}
