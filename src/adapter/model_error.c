/*-------------------------------------------------------------------------
 *
 * model_error.c
 *	  What a model provider's refusal means, and whether to ask again.
 *
 * Providers name a cause in up to four places: a detail code, a code, a kind of
 * error of a router before them, a type. The most telling word that is known
 * decides, then the status. Their sentences decide only where no word exists. A
 * spent budget is never asked again, whatever else the answer says.
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/answer.h"
#include "adapter/model.h"
#include "lib/json.h"
#include "lib/utf8.h"

#define WAIT_MAX_MS (10 * 60 * 1000) /* told to wait longer: failed, for the caller to place elsewhere */
#define RESET_MAX_MS (7 * 24 * 3600 * 1000)
#define WORD_MAX 96

/* What an error document says. Borrowed. */
typedef struct Fault
{
	int status; /* of the answer, or the one the document names */
	char words[4][WORD_MAX]; /* most telling first; empty: not there */
	const char *message;
	bool router; /* a number for a code and no type: a router's style */
} Fault;

typedef struct Word
{
	const char *word;
	const char *class;
} Word;

static const Word known[] = {
	{"insufficient_quota", "quota"},
	{"credit_balance_exhausted", "quota"},
	{"organization_spend_limit_exceeded", "quota"},
	{"project_spend_limit_exceeded", "quota"},
	{"organization_usage_limit_exceeded", "quota"},
	{"enforced_spend_limit_reached", "quota"},
	{"contract_spend_limit_reached", "quota"},
	{"billing_error", "quota"},
	{"billing_hard_limit_reached", "quota"},
	{"billing_not_active", "quota"},
	{"budget_exceeded", "quota"},
	{"payment_required", "quota"},
	{"rate_limit_exceeded", "rate"},
	{"rate_limit_error", "rate"},
	{"ramp_limit_exceeded", "rate"},
	{"slow_down", "rate"},
	{"context_length_exceeded", "too_long"},
	{"model_context_window_exceeded", "too_long"},
	{"content_filter", "policy"},
	{"content_policy_violation", "policy"},
	{"ResponsibleAIPolicyViolation", "policy"},
	{"refusal", "policy"},
	{"authentication_error", "auth"},
	{"authentication", "auth"},
	{"invalid_api_key", "auth"},
	{"permission_error", "auth"},
	{"overloaded_error", "transient"},
	{"api_error", "transient"},
	{"timeout_error", "transient"},
	{"timeout", "transient"},
	{"conflict_error", "transient"},
	{"server_error", "transient"},
	{"server", "transient"},
	{"server_is_overloaded", "transient"},
	{"provider_overloaded", "transient"},
	{"provider_unavailable", "transient"},
	{"not_found_error", "caller"},
	{"model_not_found", "caller"},
	{"request_too_large", "caller"},
	{"unsupported_parameter", "caller"},
	{"unsupported_value", "caller"},
	{"invalid_prompt", "caller"},
};

/* Where no machine code exists. */
static const Word sentences[] = {
	{"prompt is too long", "too_long"},
	{"maximum context length", "too_long"},
	{"usage limits", "quota"},
};

/* Limits: in the result, in x-ratelimit-PART-KIND, in anthropic-ratelimit-KIND-PART. */
static const char *const kinds[][3] = {
	{"requests", "requests", "requests"},
	{"tokens", "tokens", "tokens"},
	{"input_tokens", NULL, "input-tokens"},
	{"output_tokens", NULL, "output-tokens"},
};

static void read_fault(json_t *doc, int status, Fault *f);
static void read_word(char *dst, json_t *value);
static bool begun(const TzModelAnswer *a);
static const char *class_of(const Fault *f);
static const char *class_of_status(int status);
static void judge(const TzEffect *effect, const TzHttpResponse *in, const char *class, TzOutcome *out);
static bool told_wait(const TzEffect *effect, const TzHttpResponse *in, int64_t *wait_ms);
static bool limit_wait(const TzEffect *effect, const TzHttpResponse *in, int64_t *wait_ms);
static void describe(const TzEffect *effect, const TzHttpResponse *in, const Fault *f, TzOutcome *out);
static void add_limit(json_t *rate, const char *name, bool part_first, const char *what,
                      const TzEffect *effect, const TzHttpResponse *in);
static const char *header_of(const TzHttpResponse *in, bool part_first, const char *what, const char *part);

bool
tz_model_no_success(const TzHttpResponse *in)
{
	return in->err.status != TZ_OK || in->status < 200 || in->status >= 300;
}

void
tz_model_failed(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	TzBuf scratch;
	json_t *doc;
	Fault f;

	if (in->status < 300)
	{
		/* no answer: nobody knows whether it was worked on, so it is not asked again */
		tz_answer_transport(effect, TZ_REPEAT_NEVER, in, out);
		out->error_class = "transient";
		if (out->result != NULL)
			json_object_set_new(out->result, "class", json_string(out->error_class));
		return;
	}
	/* a refusal is one, even if its text was cut */
	tz_answer_status(effect, TZ_REPEAT_NEVER, in, out);
	tz_buf_init(&scratch, SIZE_MAX);
	doc = tz_answer_document(tz_buf_slice(&in->body), &scratch, NULL, NULL);
	tz_buf_free(&scratch);
	read_fault(doc, in->status, &f);
	judge(effect, in, class_of(&f), out);
	describe(effect, in, &f, out);
	json_decref(doc);
}

void
tz_model_fault(const TzEffect *effect, const TzHttpResponse *in, json_t *doc, TzModelAnswer *a,
               TzOutcome *out)
{
	Fault f;

	read_fault(doc, 0, &f);
	tz_err_set(&out->err, TZ_UNAVAILABLE, "provider reported an error after it had begun to answer");
	tz_answer_fail(in, "provider_error", out);
	tz_answer_upstream(in, doc, out);
	judge(effect, in, class_of(&f), out);
	describe(effect, in, &f, out);
	if (a == NULL || out->result == NULL)
		return;
	json_object_set_new(out->result, "truncated", json_true());
	tz_json_set_text(out->result, "text", tz_buf_slice(&a->text), NULL);
	/* an error in the place of an answer is paid by nobody */
	if (begun(a))
		json_object_set_new(out->result, "usage", tz_model_usage_document(effect, a, true));
	if (a->model[0] != '\0')
		json_object_set_new(out->result, "model", json_string(a->model));
}

/* Did it say or count anything, be it only who it is? */
static bool
begun(const TzModelAnswer *a)
{
	return a->model[0] != '\0' || a->text.len > 0 || a->refusal.len > 0 || a->ncalls > 0 ||
	       a->hidden_chars > 0 || a->usage.input >= 0 || a->usage.output >= 0;
}

void
tz_model_bad(const TzEffect *effect, const TzHttpResponse *in, const char *why, TzOutcome *out)
{
	tz_answer_bad(in, out, "%s", why);
	tz_err_hint(&out->err, "Check that the provider's endpoint speaks the API its adapter is for.");
	out->error_class = "transient";
	if (out->result == NULL)
		return;
	json_object_set_new(out->result, "class", json_string(out->error_class));
	tz_model_facts(effect, in, out->result);
}

/*
 * {"error": {…}}, {"error": "…"}, the error at the top, or a Responses object with
 * the error inside "response".
 */
static void
read_fault(json_t *doc, int status, Fault *f)
{
	json_t *error = json_object_get(doc, "error");
	json_t *code;
	double number = 0;

	memset(f, 0, sizeof(*f));
	if (json_is_string(error))
		f->message = json_string_value(error);
	else if (!json_is_object(error))
		error = doc;
	code = json_object_get(error, "code");
	read_word(f->words[0], json_object_get(json_object_get(error, "details"), "error_code"));
	read_word(f->words[1], code);
	read_word(f->words[2], json_object_get(json_object_get(error, "metadata"), "error_type"));
	read_word(f->words[3], json_object_get(error, "type"));
	if (f->words[2][0] == '\0')
		read_word(f->words[2], json_object_get(json_object_get(error, "innererror"), "code"));
	if (f->message == NULL && json_is_string(json_object_get(error, "message")))
		f->message = json_string_value(json_object_get(error, "message"));
	f->router = json_is_number(code) && f->words[3][0] == '\0';

	if (json_is_number(code))
		number = json_number_value(code);
	else if (json_is_string(code))
		number = strtod(json_string_value(code), NULL);
	f->status = status;
	if (status == 0 && number >= 400 && number < 600)
		f->status = (int) number;
}

static void
read_word(char *dst, json_t *value)
{
	tz_model_copy(dst, WORD_MAX, value);
}

static const char *
class_of(const Fault *f)
{
	const char *found = NULL;

	for (int i = 0; i < 4; i++)
		for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++)
		{
			if (strcmp(f->words[i], known[k].word) != 0)
				continue;
			if (strcmp(known[k].class, "quota") == 0)
				return known[k].class;
			/* the same word for two things: 503 slow_down is overload */
			if (found == NULL)
				found = f->status >= 500 && strcmp(known[k].word, "slow_down") == 0 ? "transient"
				                                                                    : known[k].class;
		}
	if (found != NULL && strcmp(found, "caller") != 0)
		return found;
	if (f->status == 400 || f->status == 413 || f->status == 0)
		for (size_t k = 0; f->message != NULL && k < sizeof(sentences) / sizeof(sentences[0]); k++)
			if (strstr(f->message, sentences[k].word) != NULL)
				return sentences[k].class;
	if (found != NULL)
		return found;
	if (f->status == 403 && f->router)
		return "policy"; /* a router's guardrail */
	/* a refusal that names no status came within an answer: the request itself was accepted */
	return f->status == 0 && strcmp(f->words[3], "invalid_request_error") == 0 ? "caller"
	                                                                           : class_of_status(f->status);
}

static const char *
class_of_status(int status)
{
	switch (status)
	{
		case 401:
		case 403:
			return "auth";
		case 402:
			return "quota";
		case 408:
		case 409:
			return "transient";
		case 429:
			return "rate";
		default:
			return status == 0 || status >= 500 ? "transient" : "caller";
	}
}

/* Verdict and wait, by class and by what the provider asks for. */
static void
judge(const TzEffect *effect, const TzHttpResponse *in, const char *class, TzOutcome *out)
{
	const char *should = tz_http_response_header(in, "x-should-retry");
	bool again = strcmp(class, "transient") == 0 || strcmp(class, "rate") == 0;
	int64_t wait_ms = 0;

	if (should != NULL && strcmp(should, "false") == 0)
		again = false;
	else if (should != NULL && strcmp(should, "true") == 0 && strcmp(class, "caller") == 0)
		again = true;
	if (effect->attempt >= TZ_MODEL_ATTEMPTS)
		again = false;
	out->retry_after_ms = 0;
	if (told_wait(effect, in, &wait_ms) || (strcmp(class, "rate") == 0 && limit_wait(effect, in, &wait_ms)))
	{
		if (wait_ms > WAIT_MAX_MS)
			again = false;
		out->retry_after_ms = (int) (wait_ms < RESET_MAX_MS ? wait_ms : RESET_MAX_MS);
	}
	out->error_class = class;
	out->verdict = again ? TZ_V_RETRY : TZ_V_FAILED;
	if (strcmp(class, "quota") == 0)
		tz_err_hint(&out->err, "The provider's account has no budget left; asking again will not help.");
	else if (strcmp(class, "too_long") == 0)
		tz_err_hint(&out->err, "The conversation is longer than the model takes.");
	else if (strcmp(class, "policy") == 0)
		tz_err_hint(&out->err,
		            "The provider's content policy stopped this; the same again will be stopped too.");
}

static bool
told_wait(const TzEffect *effect, const TzHttpResponse *in, int64_t *wait_ms)
{
	const char *ms = tz_http_response_header(in, "retry-after-ms");
	int after_ms;

	if (ms != NULL && isdigit((unsigned char) ms[0]))
	{
		char *end;
		double n = strtod(ms, &end);

		if (*end == '\0' && n >= 0)
		{
			*wait_ms = n < RESET_MAX_MS ? (int64_t) n : RESET_MAX_MS;
			return true;
		}
	}
	if (!tz_retry_after_ms(tz_http_response_header(in, "retry-after"), effect->now_ms, RESET_MAX_MS,
	                       &after_ms))
		return false;
	*wait_ms = after_ms;
	return true;
}

/* Nothing was said of when: the latest reset of the limits that are used up. */
static bool
limit_wait(const TzEffect *effect, const TzHttpResponse *in, int64_t *wait_ms)
{
	bool found = false;

	for (size_t i = 0; i < 2 * sizeof(kinds) / sizeof(kinds[0]); i++)
	{
		bool part_first = i % 2 == 0;
		const char *what = kinds[i / 2][part_first ? 1 : 2];
		const char *left = what != NULL ? header_of(in, part_first, what, "remaining") : NULL;
		int reset_ms;

		if (left == NULL || strcmp(left, "0") != 0 ||
		    !tz_reset_after_ms(header_of(in, part_first, what, "reset"), effect->now_ms, RESET_MAX_MS,
		                       &reset_ms))
			continue;
		*wait_ms = found && *wait_ms > reset_ms ? *wait_ms : reset_ms;
		found = true;
	}
	return found;
}

static void
describe(const TzEffect *effect, const TzHttpResponse *in, const Fault *f, TzOutcome *out)
{
	const char *code = "";

	if (out->result == NULL)
		return;
	for (int i = 0; i < 4 && code[0] == '\0'; i++)
		code = f->words[i];
	json_object_set_new(out->result, "class", json_string(out->error_class));
	if (code[0] != '\0')
		tz_json_set_text(out->result, "code", tz_slice_cstr(code), NULL);
	if (f->words[3][0] != '\0')
		tz_json_set_text(out->result, "type", tz_slice_cstr(f->words[3]), NULL);
	if (out->retry_after_ms > 0)
	{
		json_object_set_new(out->result, "retry_after_ms", json_integer(out->retry_after_ms));
		/* the provider's word, which holds for every call to this model there */
		if (strcmp(out->error_class, "rate") == 0 || strcmp(out->error_class, "transient") == 0)
			json_object_set_new(out->result, "pause_ms", json_integer(out->retry_after_ms));
	}
	tz_model_facts(effect, in, out->result);
}

void
tz_model_facts(const TzEffect *effect, const TzHttpResponse *in, json_t *result)
{
	static const char *const names[] = {"request-id", "x-request-id", "x-generation-id", "x-litellm-call-id",
	                                    "apim-request-id"};
	json_t *rate = json_object();

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
	{
		const char *id = tz_http_response_header(in, names[i]);

		if (id == NULL || id[0] == '\0')
			continue;
		tz_json_set_text(result, "request_id", tz_slice(id, tz_utf8_cut(tz_slice_cstr(id), 200)), NULL);
		break;
	}
	for (size_t i = 0; rate != NULL && i < sizeof(kinds) / sizeof(kinds[0]); i++)
	{
		if (kinds[i][1] != NULL)
			add_limit(rate, kinds[i][0], true, kinds[i][1], effect, in);
		add_limit(rate, kinds[i][0], false, kinds[i][2], effect, in);
	}
	if (json_object_size(rate) > 0)
		json_object_set(result, "rate", rate);
	json_decref(rate);
}

/* One limit, if any of its three headers can be read. -1 means that there is none. */
static void
add_limit(json_t *rate, const char *name, bool part_first, const char *what, const TzEffect *effect,
          const TzHttpResponse *in)
{
	static const char *const parts[] = {"limit", "remaining"};
	json_t *doc = json_object();
	int reset_ms;

	for (size_t i = 0; doc != NULL && i < sizeof(parts) / sizeof(parts[0]); i++)
	{
		const char *value = header_of(in, part_first, what, parts[i]);
		char *end;
		double n;

		if (value == NULL || !isdigit((unsigned char) value[0]))
			continue;
		n = strtod(value, &end);
		if (*end == '\0' && n <= 9007199254740992.0)
			json_object_set_new(doc, parts[i], json_integer((json_int_t) n));
	}
	if (doc != NULL &&
	    tz_reset_after_ms(header_of(in, part_first, what, "reset"), effect->now_ms, RESET_MAX_MS, &reset_ms))
		json_object_set_new(doc, "reset_ms", json_integer(reset_ms));
	if (json_object_size(doc) > 0)
		json_object_set(rate, name, doc);
	json_decref(doc);
}

/* The two families of names. */
static const char *
header_of(const TzHttpResponse *in, bool part_first, const char *what, const char *part)
{
	char name[64];

	if (part_first)
		snprintf(name, sizeof(name), "x-ratelimit-%s-%s", part, what);
	else
		snprintf(name, sizeof(name), "anthropic-ratelimit-%s-%s", what, part);
	return tz_http_response_header(in, name);
}
