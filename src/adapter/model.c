/*-------------------------------------------------------------------------
 *
 * model.c
 *	  From what a model answered to one result document.
 *
 * Counts and names come from outside: counts are clamped, names cut, arguments of
 * tools parsed apart, because what a model wrote there may be no JSON at all, and
 * that is for the model to hear, not a reason to lose the answer. Tool calls of an
 * answer that was stopped half-way are not handed out: their arguments may be cut.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/answer.h"
#include "adapter/model.h"
#include "lib/json.h"
#include "lib/utf8.h"

#define ARGUMENTS_SHOWN 4096 /* bytes of arguments that are no JSON */
#define USAGE_RAW_MAX 8192
#define BYTES_PER_TOKEN 4

static json_t *calls_document(const TzModelAnswer *a);
static bool add_arguments(json_t *doc, const TzModelCall *call);
static json_t *refusal_document(const TzModelAnswer *a);
static int64_t estimate_input(const TzEffect *effect);
static int64_t estimate_output(const TzModelAnswer *a);
static void set_count(json_t *doc, const char *key, int64_t n);
static json_t *answer_document(const TzEffect *effect, const TzHttpResponse *in, TzModelAnswer *a);

void
tz_model_answer_init(TzModelAnswer *a, const TzEffect *effect, size_t max)
{
	size_t len = effect->id != NULL ? strlen(effect->id) : 0;

	memset(a, 0, sizeof(*a));
	max += 1024; /* for what is written around it */
	a->max = max;
	/* the end of an id is what tells it apart */
	if (len > 0)
		snprintf(a->tag, sizeof(a->tag), "%s", effect->id + (len > 24 ? len - 24 : 0));
	tz_buf_init(&a->text, max);
	tz_buf_init(&a->wire, max * 2);
	tz_buf_init(&a->refusal, max);
	a->usage.input = a->usage.output = TZ_MODEL_UNKNOWN;
	a->usage.cache_read = a->usage.cache_write_5m = a->usage.cache_write_1h = TZ_MODEL_UNKNOWN;
	a->usage.reasoning = TZ_MODEL_UNKNOWN;
	a->usage.searches = TZ_MODEL_UNKNOWN;
}

void
tz_model_answer_free(TzModelAnswer *a)
{
	for (int i = 0; i < a->ncalls; i++)
		tz_buf_free(&a->calls[i].arguments);
	free(a->calls);
	a->calls = NULL;
	a->ncalls = 0;
	tz_buf_free(&a->text);
	tz_buf_free(&a->wire);
	tz_buf_free(&a->refusal);
	json_decref(a->usage.raw);
	a->usage.raw = NULL;
	json_decref(a->usage.iterations);
	a->usage.iterations = NULL;
}

TzStatus
tz_model_answer_status(TzModelAnswer *a)
{
	const TzBuf *bufs[] = {&a->text, &a->wire, &a->refusal};

	for (size_t i = 0; a->status == TZ_OK && i < sizeof(bufs) / sizeof(bufs[0]); i++)
		a->status = bufs[i]->status;
	for (int i = 0; a->status == TZ_OK && i < a->ncalls; i++)
		a->status = a->calls[i].arguments.status;
	return a->status;
}

void
tz_model_parse(const TzModelProtocol *protocol, const TzEffect *effect, const TzHttpResponse *in,
               TzOutcome *out)
{
	const char *why = "body is not JSON";
	json_t *fault = NULL;
	TzModelAnswer a;
	TzBuf scratch;
	TzSlice text;
	json_t *doc;

	if (tz_model_no_success(in))
	{
		tz_model_failed(effect, in, out);
		return;
	}
	tz_buf_init(&scratch, SIZE_MAX);
	doc = tz_answer_document(tz_buf_slice(&in->body), &scratch, &text, NULL);
	tz_model_answer_init(&a, effect, text.len);
	if (doc != NULL)
		why = protocol->read(doc, text, &a, &fault);
	if (fault != NULL)
		tz_model_fault(effect, in, fault, a.usage.raw != NULL ? &a : NULL, out);
	else if (why != NULL)
		tz_model_bad(effect, in, why, out);
	else
		tz_model_done(effect, in, &a, out);
	json_decref(doc);
	tz_model_answer_free(&a);
	tz_buf_free(&scratch);
}

TzModelCall *
tz_model_call_add(TzModelAnswer *a, int index, json_t *id, json_t *name)
{
	TzModelCall *call;

	if (a->ncalls >= TZ_MODEL_CALLS_MAX)
	{
		a->status = TZ_TOO_LARGE;
		return NULL;
	}
	if ((a->ncalls & (a->ncalls - 1)) == 0) /* room is doubled */
	{
		size_t room = a->ncalls == 0 ? 1 : (size_t) a->ncalls * 2;
		TzModelCall *calls = realloc(a->calls, room * sizeof(*calls));

		if (calls == NULL)
		{
			a->status = TZ_NOMEM;
			return NULL;
		}
		a->calls = calls;
	}
	call = &a->calls[a->ncalls];
	memset(call, 0, sizeof(*call));
	call->index = index;
	tz_model_copy(call->id, sizeof(call->id), id);
	tz_model_copy(call->name, sizeof(call->name), name);
	if (call->id[0] == '\0')
	{
		call->own_id = true;
		snprintf(call->id, sizeof(call->id), "call_%s_%d", a->tag, a->ncalls);
	}
	tz_buf_init(&call->arguments, a->max);
	a->ncalls++;
	return call;
}

/* Fit for a text column: sanitized, cut between characters. */
void
tz_model_copy(char *dst, size_t size, json_t *string)
{
	TzSlice text = tz_slice(NULL, 0);
	size_t len;

	dst[0] = '\0';
	if (json_is_string(string))
		text = tz_slice(json_string_value(string), json_string_length(string));
	if (text.len == 0)
		return;
	len = strnlen(text.data, text.len); /* up to a NUL */
	len = tz_utf8_cut(tz_slice(text.data, len), size - 1);
	memcpy(dst, text.data, len);
	dst[len] = '\0';
}

void
tz_model_append(TzBuf *buf, json_t *string)
{
	if (json_is_string(string))
		tz_buf_append(buf, json_string_value(string), json_string_length(string));
}

void
tz_model_quote(TzBuf *buf, TzSlice text)
{
	json_t *string = tz_model_text(text);

	if (string == NULL)
		buf->status = TZ_NOMEM;
	else
		(void) tz_json_dump(string, buf, NULL);
	json_decref(string);
}

/* Characters of UTF-8: every byte that does not continue one. */
size_t
tz_model_chars(TzSlice text)
{
	size_t n = 0;

	for (size_t i = 0; i < text.len; i++)
		n += ((unsigned char) text.data[i] & 0xc0) != 0x80;
	return n;
}

/* Negative is 0; what is absent, no number or beyond belief is unknown. */
int64_t
tz_model_count(json_t *object, const char *key)
{
	json_t *v = json_object_get(object, key);
	double d;

	if (!json_is_number(v))
		return TZ_MODEL_UNKNOWN;
	d = json_number_value(v);
	if (!(d <= TZ_MODEL_TOKENS_MAX))
		return TZ_MODEL_UNKNOWN;
	return d < 0 ? 0 : (int64_t) d;
}

void
tz_model_usage_raw(TzModelAnswer *a, json_t *raw)
{
	json_decref(a->usage.raw);
	a->usage.raw = json_incref(raw);
}

void
tz_model_split_input(TzModelUsage *u)
{
	int64_t left = u->input;

	if (left < 0)
		return;
	u->cache_read = u->cache_read > left ? left : u->cache_read;
	left -= u->cache_read > 0 ? u->cache_read : 0;
	u->cache_write_5m = u->cache_write_5m > left ? left : u->cache_write_5m;
	left -= u->cache_write_5m > 0 ? u->cache_write_5m : 0;
	u->cache_write_1h = u->cache_write_1h > left ? left : u->cache_write_1h;
	left -= u->cache_write_1h > 0 ? u->cache_write_1h : 0;
	u->input = left;
}

bool
tz_model_runnable(const TzModelAnswer *a)
{
	return a->stop != NULL && strcmp(a->stop, "tool_use") == 0;
}

void
tz_model_cost(TzModelAnswer *a, TzSlice text)
{
	if (text.len >= 2 && text.data[0] == '"')
		text = tz_slice(text.data + 1, text.len - 2);
	if (text.len == 0 || text.len >= sizeof(a->usage.cost) || text.data[0] < '0' || text.data[0] > '9')
		return;
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] == '\0' || strchr("0123456789.eE+-", text.data[i]) == NULL)
			return;
	memcpy(a->usage.cost, text.data, text.len);
	a->usage.cost[text.len] = '\0';
}

void
tz_model_tier(TzModelAnswer *a, json_t *name)
{
	static const char *const usual[] = {"standard", "default", "auto"};
	const char *tier = json_string_value(name);
	size_t len = tier != NULL ? strlen(tier) : 0;

	if (len == 0 || len >= sizeof(a->usage.tier) ||
	    strspn(tier, "abcdefghijklmnopqrstuvwxyz0123456789_-") != len)
		return;
	a->usage.tier[0] = '\0';
	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
		if (strcmp(tier, usual[i]) == 0)
			return;
	memcpy(a->usage.tier, tier, len + 1);
}

void
tz_model_done(const TzEffect *effect, const TzHttpResponse *in, TzModelAnswer *a, TzOutcome *out)
{
	TzStatus status = tz_model_answer_status(a);

	if (a->usage.cost[0] == '\0')
		tz_model_cost(a, tz_slice_cstr(tz_http_response_header(in, "x-litellm-response-cost")));
	if (status != TZ_OK)
	{
		tz_model_bad(effect, in,
		             status == TZ_NOMEM ? "out of memory"
		             : status == TZ_TOO_LARGE && a->ncalls >= TZ_MODEL_CALLS_MAX
		                 ? "the model called too many tools at once"
		             : status == TZ_TOO_LARGE ? "it is too large"
		                                      : "a name in it is written with escapes",
		             out);
		out->err.status = status;
		/* it was answered, and somebody pays */
		if (out->result != NULL)
			json_object_set_new(out->result, "usage", tz_model_usage_document(effect, a, true));
		return;
	}
	tz_answer_done(out, answer_document(effect, in, a));
}

void
tz_model_truncated(const TzEffect *effect, const TzHttpResponse *in, TzModelAnswer *a, const char *why,
                   TzOutcome *out)
{
	TzStatus status = tz_model_answer_status(a);

	if (in->err.status != TZ_OK)
		out->err = in->err;
	else
		tz_err_set(&out->err, TZ_UNAVAILABLE, "provider's stream broke off: %s", why);
	tz_answer_fail(in, "provider_error", out);
	out->error_class = "transient";
	if (effect->attempt < TZ_MODEL_ATTEMPTS && status == TZ_OK && in->err.status != TZ_TOO_LARGE)
		out->verdict = TZ_V_RETRY;
	if (in->err.status == TZ_CANCELLED)
		out->verdict = TZ_V_UNKNOWN;
	if (out->result == NULL)
		return;
	json_object_set_new(out->result, "class", json_string(out->error_class));
	json_object_set_new(out->result, "truncated", json_true());
	tz_json_set_text(out->result, "text", tz_buf_slice(&a->text), NULL);
	json_object_set_new(out->result, "usage", tz_model_usage_document(effect, a, true));
	if (a->model[0] != '\0')
		json_object_set_new(out->result, "model", json_string(a->model));
	tz_model_facts(effect, in, out->result);
}

static json_t *
answer_document(const TzEffect *effect, const TzHttpResponse *in, TzModelAnswer *a)
{
	json_t *doc = json_object();
	json_t *raw = a->usage.raw;
	bool ok = doc != NULL;

	ok = ok && tz_json_set_text(doc, "text", tz_buf_slice(&a->text), NULL) == TZ_OK;
	ok = ok && json_object_set_new(doc, "tool_calls", calls_document(a)) == 0;
	ok = ok && json_object_set_new(doc, "stop", json_string(a->stop != NULL ? a->stop : "other")) == 0;
	ok = ok && tz_json_set_text(doc, "stop_raw", tz_slice_cstr(a->stop_raw), NULL) == TZ_OK;
	if (ok && (a->refusal.len > 0 || a->refusal_category[0] != '\0'))
		ok = json_object_set_new(doc, "refusal", refusal_document(a)) == 0;
	ok = ok && tz_json_set_text(doc, "wire", tz_buf_slice(&a->wire), NULL) == TZ_OK;
	ok = ok && json_object_set_new(doc, "usage", tz_model_usage_document(effect, a, false)) == 0;
	if (ok && raw != NULL)
	{
		char *text = json_dumps(raw, JSON_COMPACT);

		/* kept for whoever doubts our count; not if it could not be stored */
		if (text != NULL && strlen(text) <= USAGE_RAW_MAX && strstr(text, "\\u0000") == NULL)
			json_object_set(doc, "usage_raw", raw);
		free(text);
	}
	ok = ok && tz_json_set_text(doc, "model", tz_slice_cstr(a->model), NULL) == TZ_OK;
	if (!ok)
	{
		json_decref(doc);
		return NULL;
	}
	tz_model_facts(effect, in, doc);
	return doc;
}

/* Empty when the answer was stopped where calls may be incomplete. NULL: out of memory. */
static json_t *
calls_document(const TzModelAnswer *a)
{
	json_t *list = json_array();

	for (int i = 0; list != NULL && i < a->ncalls && tz_model_runnable(a); i++)
	{
		const TzModelCall *call = &a->calls[i];
		json_t *doc = json_object();

		if (doc == NULL || json_object_set_new(doc, "id", json_string(call->id)) != 0 ||
		    json_object_set_new(doc, "name", json_string(call->name)) != 0 || !add_arguments(doc, call) ||
		    json_array_append(list, doc) != 0)
		{
			json_decref(list);
			list = NULL;
		}
		json_decref(doc);
	}
	return list;
}

/* Arguments as an object, or what is wrong with them. */
static bool
add_arguments(json_t *doc, const TzModelCall *call)
{
	TzSlice text = tz_buf_slice(&call->arguments);
	TzJsonLimits limits = tz_json_limits_default;
	json_t *value = NULL;
	const char *wrong = NULL;
	TzErr err;

	tz_err_clear(&err);
	while (text.len > 0 && strchr(" \t\r\n", text.data[0]) != NULL && text.data[0] != '\0')
		text = tz_slice(text.data + 1, text.len - 1);
	if (text.len == 0)
		text = tz_slice_cstr("{}");
	limits.max_bytes = SIZE_MAX;
	limits.flags = TZ_JSON_DUPLICATES | TZ_JSON_ANY;
	if (tz_json_parse(text, &limits, &value, &err) != TZ_OK)
		wrong = err.status == TZ_TOO_LARGE ? err.message : "arguments are not valid JSON";
	else if (json_is_null(value))
		value = json_object();
	else if (!json_is_object(value))
		wrong = "arguments are not a JSON object";
	if (wrong == NULL)
		return json_object_set_new(doc, "arguments", value) == 0;
	json_decref(value);
	text.len = tz_utf8_cut(text, ARGUMENTS_SHOWN);
	return tz_json_set_text(doc, "arguments_error", tz_slice_cstr(wrong), NULL) == TZ_OK &&
	       tz_json_set_text(doc, "arguments_text", text, NULL) == TZ_OK;
}

static json_t *
refusal_document(const TzModelAnswer *a)
{
	json_t *doc = json_object();

	if (doc != NULL && a->refusal_category[0] != '\0')
		tz_json_set_text(doc, "category", tz_slice_cstr(a->refusal_category), NULL);
	if (doc != NULL && a->refusal.len > 0)
		tz_json_set_text(doc, "explanation", tz_buf_slice(&a->refusal), NULL);
	return doc;
}

/* Counts with what is missing estimated. cut: the provider's last word is missing. */
json_t *
tz_model_usage_document(const TzEffect *effect, TzModelAnswer *a, bool cut)
{
	TzModelUsage u = a->usage;
	json_t *doc = json_object();
	bool estimated = cut;

	if (doc == NULL)
		return NULL;
	if (u.input < 0)
	{
		estimated = true;
		u.input = estimate_input(effect);
		/* what was told of the cache is part of the same prompt */
		if (u.cache_read > 0)
			u.input = u.input > u.cache_read ? u.input - u.cache_read : 0;
	}
	if (u.output < 0 || cut)
	{
		int64_t guess = estimate_output(a);

		estimated = true;
		u.output = u.output > guess ? u.output : guess;
	}
	/* counted apart they replace the sums, which lack some of them; of a broken stream they are not complete */
	if (u.iterations != NULL && !cut)
	{
		u.input = u.cache_read = u.cache_write_5m = u.cache_write_1h = u.output = 0;
		for (size_t i = 0; i < json_array_size(u.iterations); i++)
		{
			json_t *part = json_array_get(u.iterations, i);

			u.input += json_integer_value(json_object_get(part, "input"));
			u.cache_read += json_integer_value(json_object_get(part, "cache_read"));
			u.cache_write_5m += json_integer_value(json_object_get(part, "cache_write_5m"));
			u.cache_write_1h += json_integer_value(json_object_get(part, "cache_write_1h"));
			u.output += json_integer_value(json_object_get(part, "output"));
		}
		json_object_set(doc, "iterations", u.iterations);
	}
	set_count(doc, "input", u.input);
	set_count(doc, "cache_read", u.cache_read);
	set_count(doc, "cache_write_5m", u.cache_write_5m);
	set_count(doc, "cache_write_1h", u.cache_write_1h);
	set_count(doc, "output", u.output);
	set_count(doc, "reasoning", u.reasoning);
	json_object_set_new(doc, "estimated", json_boolean(estimated));
	if (u.searches > 0)
		set_count(doc, "searches", u.searches);
	if (u.tier[0] != '\0')
		json_object_set_new(doc, "tier", json_string(u.tier));
	if (u.cost[0] != '\0')
		json_object_set_new(doc, "provider_cost_usd", json_string(u.cost));
	return doc;
}

static void
set_count(json_t *doc, const char *key, int64_t n)
{
	json_object_set_new(doc, key, json_integer(n < 0 ? 0 : n));
}

size_t
tz_model_prompt_chars(const TzEffect *effect)
{
	json_t *tools = json_object_get(effect->request, "tools");
	size_t chars = tz_model_chars(effect->content);
	char *text;

	if (effect->prompt_chars > 0)
		return effect->prompt_chars;
	chars += tz_model_chars(tz_model_string(effect->request, "system"));
	text = tools != NULL ? json_dumps(tools, JSON_COMPACT) : NULL;
	chars += tz_model_chars(tz_slice_cstr(text));
	free(text);
	return chars;
}

static int64_t
estimate_input(const TzEffect *effect)
{
	return (int64_t) (tz_model_prompt_chars(effect) + BYTES_PER_TOKEN - 1) / BYTES_PER_TOKEN;
}

static int64_t
estimate_output(const TzModelAnswer *a)
{
	size_t chars = tz_model_chars(tz_buf_slice(&a->text)) + a->hidden_chars;

	for (int i = 0; i < a->ncalls; i++)
		chars += tz_model_chars(tz_buf_slice(&a->calls[i].arguments)) + strlen(a->calls[i].name);
	return (int64_t) (chars + BYTES_PER_TOKEN - 1) / BYTES_PER_TOKEN;
}
