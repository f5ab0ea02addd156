/*-------------------------------------------------------------------------
 *
 * model_anthropic.c
 *	  Anthropic Messages: requests, unstreamed answers, history.
 *
 * The blocks of an answer are kept as the text they came as, because the next
 * request must bring thinking blocks back unchanged. model_anthropic_stream.c puts
 * streamed ones together.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/anthropic.h"
#include "lib/json.h"
#include "lib/json_raw.h"

#define BASE "https://api.anthropic.com"
#define VERSION "2023-06-01" /* the last that takes sampling parameters */
#define ITERATIONS_MAX 64
#define MAX_TOKENS 8192 /* the API insists on a number */

static TzStatus anthropic_build(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err);
static bool is_vendor(const char *base);
static json_t *anthropic_head(const TzModelRequest *r, bool sampling, const char *cache);
static bool put_tools(const TzModelRequest *r, json_t *head);
static json_t *make_choice(const TzModelRequest *r);
static TzStatus version_headers(const TzEndpoint *to, const char *version, TzHttpRequest *out, TzErr *err);
static void anthropic_parse(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
static const char *anthropic_read(json_t *doc, TzSlice text, TzModelAnswer *a, json_t **fault);
static void read_answer(json_t *doc, TzSlice text, TzModelAnswer *a);
static void drop_calls(TzModelAnswer *a);
static void read_iterations(TzModelAnswer *a, json_t *list);
static void put_count(json_t *part, const char *key, int64_t n);
static TzStream *anthropic_stream(const TzEffect *effect, const TzEndpoint *to, TzDeltaFn on_delta,
                                  void *arg);
static TzStatus anthropic_encode(const char *api, json_t *message, TzBuf *wire, TzErr *err);
static json_t *encode_assistant(json_t *message);
static json_t *encode_results(json_t *message);
static json_t *clean_id(json_t *object);

static const char *const op_names[] = {"call", NULL};

extern const TzAdapter tz_model_anthropic;
const TzAdapter tz_model_anthropic = {
	.name = "anthropic",
	.kind = TZ_MODEL,
	.ops = op_names,
	.build = anthropic_build,
	.parse = anthropic_parse,
	.stream_new = anthropic_stream,
	.stream_feed = tz_model_stream_feed,
	.stream_end = tz_model_stream_end,
	.stream_free = tz_model_stream_free,
	.stream_whole = tz_model_stream_whole,
	.encode = anthropic_encode,
};

const TzModelProtocol tz_model_messages = {
	.own_size = sizeof(TzAnthropicStream),
	.event = tz_anthropic_event,
	.finish = tz_anthropic_finish,
	.release = tz_anthropic_release,
	.read = anthropic_read,
};

/* ---- request ---- */

static TzStatus
anthropic_build(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	TzModelRoute route = {.base = to->url, .path = "/v1/messages"};
	TzSlice version = tz_slice_cstr(VERSION);
	TzSlice auth = tz_slice_cstr("x-api-key");
	const char *cache = NULL;
	TzModelRequest r;
	TzStatus status = tz_model_request_read(effect, &r, err);
	size_t len;

	if (status == TZ_OK)
		status = tz_json_get_str(to->config, "version", false, 32, &version, err);
	if (status == TZ_OK)
		status = tz_json_get_str(to->config, "auth", false, 128, &auth, err);
	if (status == TZ_OK)
		status = tz_json_get_object(to->config, "headers", false, &route.headers, err);
	if (status != TZ_OK)
		return status;
	if (route.base == NULL || route.base[0] == '\0')
		route.base = BASE;
	/* other servers of this API may not know the member */
	status = tz_model_cache(to, is_vendor(route.base) ? "5m" : "off", &cache, err);
	if (status != TZ_OK)
		return status;
	len = strlen(route.base);
	while (len > 0 && route.base[len - 1] == '/')
		len--;
	if (len >= 3 && strncmp(route.base + len - 3, "/v1", 3) == 0)
		route.path = "/messages";
	route.auth_header = tz_slice_eq_cstr(auth, "bearer") ? "Authorization" : "x-api-key";
	route.auth_prefix = tz_slice_eq_cstr(auth, "bearer") ? "Bearer " : "";

	status = tz_model_open(effect, to, &r, &route, out, err);
	if (status == TZ_OK)
		status = version_headers(to, version.data, out, err);
	if (status == TZ_OK)
		status = tz_model_body(effect, &r, anthropic_head(&r, tz_slice_eq_cstr(version, VERSION), cache),
		                       NULL, "messages", tz_slice(NULL, 0), out, err);
	return status;
}

static TzStatus
version_headers(const TzEndpoint *to, const char *version, TzHttpRequest *out, TzErr *err)
{
	TzSlice beta = {NULL, 0};
	TzStatus status = tz_http_request_header(out, "anthropic-version", version, false, err);

	if (status == TZ_OK)
		status = tz_json_get_str(to->config, "beta", false, 1024, &beta, err);
	if (status == TZ_OK && beta.len > 0)
		status = tz_http_request_header(out, "anthropic-beta", beta.data, false, err);
	return status;
}

static bool
is_vendor(const char *base)
{
	size_t len = strlen(BASE);

	return strncmp(base, BASE, len) == 0 && (base[len] == '\0' || base[len] == '/');
}

/* Everything but the messages; NULL: out of memory. */
static json_t *
anthropic_head(const TzModelRequest *r, bool sampling, const char *cache)
{
	json_int_t max_tokens = r->max_tokens >= 0 ? r->max_tokens : MAX_TOKENS;
	json_t *head = json_pack("{s:s, s:I}", "model", r->model, "max_tokens", max_tokens);
	bool ok = head != NULL;

	if (ok && r->system.len > 0)
		ok = json_object_set_new(head, "system", tz_model_text(r->system)) == 0;
	if (ok && r->tools != NULL)
		ok = put_tools(r, head);
	if (ok && r->schema != NULL)
		ok = json_object_set_new(head, "output_config",
		                         json_pack("{s:{s:s, s:O}}", "format", "type", "json_schema", "schema",
		                                   r->schema)) == 0;
	/* newer versions and models refuse them outright */
	if (ok && sampling && r->temperature != NULL)
		ok = json_object_set(head, "temperature", r->temperature) == 0;
	if (ok && sampling && r->top_p != NULL)
		ok = json_object_set(head, "top_p", r->top_p) == 0;
	if (ok && r->stop != NULL)
		ok = json_object_set(head, "stop_sequences", r->stop) == 0;
	if (ok && r->user != NULL)
		ok = json_object_set_new(head, "metadata", json_pack("{s:O}", "user_id", r->user)) == 0;
	/* at the top it marks the end of the prompt, whatever that is: no byte of the history changes for it */
	if (ok && cache != NULL && r->cache_key != NULL)
		ok = json_object_set_new(head, "cache_control",
		                         json_pack("{s:s, s:s}", "type", "ephemeral", "ttl", cache)) == 0;
	if (ok && r->stream)
		ok = json_object_set_new(head, "stream", json_true()) == 0;
	if (ok)
		return head;
	json_decref(head);
	return NULL;
}

static bool
put_tools(const TzModelRequest *r, json_t *head)
{
	json_t *list = json_array();
	bool ok = list != NULL;

	for (size_t i = 0; ok && i < json_array_size(r->tools); i++)
	{
		json_t *tool = json_array_get(r->tools, i);
		json_t *description = json_object_get(tool, "description");
		json_t *strict = json_object_get(tool, "strict");
		json_t *mine = json_pack("{s:O}", "name", json_object_get(tool, "name"));

		ok = mine != NULL;
		if (ok && json_is_string(description))
			ok = json_object_set(mine, "description", description) == 0;
		ok = ok && json_object_set_new(mine, "input_schema", tz_model_parameters(tool)) == 0;
		if (ok && json_is_boolean(strict))
			ok = json_object_set(mine, "strict", strict) == 0;
		ok = ok && json_array_append(list, mine) == 0;
		json_decref(mine);
	}
	ok = ok && json_object_set(head, "tools", list) == 0;
	json_decref(list);
	if (ok && r->choice != NULL)
		ok = json_object_set_new(head, "tool_choice", make_choice(r)) == 0;
	return ok;
}

static json_t *
make_choice(const TzModelRequest *r)
{
	if (r->choice_name != NULL)
		return json_pack("{s:s, s:s}", "type", "tool", "name", r->choice_name);
	return json_pack("{s:s}", "type", strcmp(r->choice, "required") == 0 ? "any" : r->choice);
}

/* ---- answer ---- */

static void
anthropic_parse(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	tz_model_parse(&tz_model_messages, effect, in, out);
}

static const char *
anthropic_read(json_t *doc, TzSlice text, TzModelAnswer *a, json_t **fault)
{
	if (json_is_object(json_object_get(doc, "error")))
		*fault = doc;
	else if (!json_is_array(json_object_get(doc, "content")))
		return "no content";
	else
		read_answer(doc, text, a);
	return NULL;
}

static void
read_answer(json_t *doc, TzSlice text, TzModelAnswer *a)
{
	json_t *content = json_object_get(doc, "content");
	TzSlice list = {NULL, 0};
	TzSlice raw;
	size_t at = 0;

	tz_model_copy(a->model, sizeof(a->model), json_object_get(doc, "model"));
	tz_json_raw_member(text, "content", &list);
	for (size_t i = 0; i < json_array_size(content) && a->status == TZ_OK; i++)
	{
		json_t *block = json_array_get(content, i);
		const char *type = json_string_value(json_object_get(block, "type"));
		TzModelCall *call = NULL;

		if (!tz_json_raw_item(list, &at, &raw))
			a->status = TZ_BAD_ANSWER; /* a key with escapes: nobody sends it */
		else if (type != NULL && strcmp(type, "text") == 0)
			tz_model_append(&a->text, json_object_get(block, "text"));
		else if (type != NULL && strcmp(type, "thinking") == 0)
			a->hidden_chars += tz_model_chars(tz_model_string(block, "thinking"));
		else if (type != NULL && strcmp(type, "tool_use") == 0)
		{
			TzSlice input = {NULL, 0};

			call =
				tz_model_call_add(a, a->ncalls, json_object_get(block, "id"), json_object_get(block, "name"));
			if (call != NULL && tz_json_raw_member(raw, "input", &input))
				tz_buf_append(&call->arguments, input.data, input.len);
		}
		if (a->status == TZ_OK)
			tz_anthropic_block(a, block, raw, call);
	}
	tz_anthropic_stop(a, doc);
	tz_anthropic_usage(a, json_object_get(doc, "usage"));
	tz_anthropic_wire(a);
}

/* Adds one block to the history, unless the API would refuse it there. */
void
tz_anthropic_block(TzModelAnswer *a, json_t *block, TzSlice raw, TzModelCall *call)
{
	json_t *text = json_object_get(block, "text");
	json_t *type = json_object_get(block, "type");

	if (json_is_string(type) && strcmp(json_string_value(type), "text") == 0 && json_is_string(text) &&
	    json_string_length(text) == 0)
		return;
	tz_model_comma(&a->wire);
	if (call != NULL)
		call->wire_start = a->wire.len;
	tz_buf_append(&a->wire, raw.data, raw.len);
	if (call != NULL)
		call->wire_end = a->wire.len;
}

/* doc has stop_reason and stop_details: the answer, or the delta of a stream. */
void
tz_anthropic_stop(TzModelAnswer *a, json_t *doc)
{
	static const struct
	{
		const char *theirs;
		const char *ours;
	} stops[] = {{"end_turn", "end"},
	             {"tool_use", "tool_use"},
	             {"max_tokens", "max_tokens"},
	             {"stop_sequence", "stop_sequence"},
	             {"pause_turn", "pause"},
	             {"refusal", "refusal"},
	             {"model_context_window_exceeded", "context"}};
	json_t *reason = json_object_get(doc, "stop_reason");
	json_t *details = json_object_get(doc, "stop_details");

	if (json_is_string(reason))
	{
		tz_model_copy(a->stop_raw, sizeof(a->stop_raw), reason);
		a->stop = "other";
		for (size_t i = 0; i < sizeof(stops) / sizeof(stops[0]); i++)
			if (strcmp(a->stop_raw, stops[i].theirs) == 0)
				a->stop = stops[i].ours;
	}
	if (json_is_object(details))
	{
		tz_model_copy(a->refusal_category, sizeof(a->refusal_category), json_object_get(details, "category"));
		tz_buf_reset(&a->refusal);
		tz_model_append(&a->refusal, json_object_get(details, "explanation"));
	}
}

/* Counts of an answer; those that are null or absent keep what they were. */
void
tz_anthropic_usage(TzModelAnswer *a, json_t *usage)
{
	json_t *written = json_object_get(usage, "cache_creation");
	int64_t total = tz_model_count(usage, "cache_creation_input_tokens");
	int64_t n;

	if (!json_is_object(usage))
		return;
	if ((n = tz_model_count(usage, "input_tokens")) >= 0)
		a->usage.input = n;
	if ((n = tz_model_count(usage, "cache_read_input_tokens")) >= 0)
		a->usage.cache_read = n;
	if (json_is_object(written))
	{
		a->usage.cache_write_5m = tz_model_count(written, "ephemeral_5m_input_tokens");
		a->usage.cache_write_1h = tz_model_count(written, "ephemeral_1h_input_tokens");
	}
	else if (total >= 0 && a->usage.cache_write_1h <= 0)
		a->usage.cache_write_5m = total;
	if ((n = tz_model_count(usage, "output_tokens")) >= 0)
		a->usage.output = n;
	n = tz_model_count(json_object_get(usage, "output_tokens_details"), "thinking_tokens");
	if (n >= 0)
		a->usage.reasoning = n;
	n = tz_model_count(json_object_get(usage, "server_tool_use"), "web_search_requests");
	if (n >= 0)
		a->usage.searches = n;
	tz_model_tier(a, json_object_get(usage, "service_tier"));
	if (json_string_length(json_object_get(usage, "speed")) > 0 &&
	    strcmp(json_string_value(json_object_get(usage, "speed")), "standard") != 0)
		tz_model_tier(a, json_object_get(usage, "speed"));
	read_iterations(a, json_object_get(usage, "iterations"));
	tz_model_usage_raw(a, usage);
}

/*
 * What was asked of several models inside one call (a fallback, a compaction): each
 * with counts of its own, which the sums beside them do not all hold.
 */
static void
read_iterations(TzModelAnswer *a, json_t *list)
{
	json_t *parts;

	if (json_array_size(list) == 0)
		return;
	parts = json_array();
	for (size_t i = 0; parts != NULL && i < json_array_size(list) && i < ITERATIONS_MAX; i++)
	{
		json_t *item = json_array_get(list, i);
		json_t *part = json_object();
		json_t *written = json_object_get(item, "cache_creation");
		char model[TZ_MODEL_NAME_MAX + 1];

		if (!json_is_object(item) || part == NULL)
		{
			json_decref(part);
			continue;
		}
		tz_model_copy(model, sizeof(model), json_object_get(item, "model"));
		if (model[0] != '\0')
			json_object_set_new(part, "model", json_string(model));
		put_count(part, "input", tz_model_count(item, "input_tokens"));
		put_count(part, "cache_read", tz_model_count(item, "cache_read_input_tokens"));
		put_count(part, "cache_write_5m",
		          json_is_object(written) ? tz_model_count(written, "ephemeral_5m_input_tokens")
		                                  : tz_model_count(item, "cache_creation_input_tokens"));
		put_count(part, "cache_write_1h", tz_model_count(written, "ephemeral_1h_input_tokens"));
		put_count(part, "output", tz_model_count(item, "output_tokens"));
		json_array_append_new(parts, part);
	}
	json_decref(a->usage.iterations);
	a->usage.iterations = json_array_size(parts) > 0 ? parts : NULL;
	if (a->usage.iterations == NULL)
		json_decref(parts);
}

static void
put_count(json_t *part, const char *key, int64_t n)
{
	if (n > 0)
		json_object_set_new(part, key, json_integer(n));
}

/* The message for the history, from the blocks in wire. */
void
tz_anthropic_wire(TzModelAnswer *a)
{
	static const char open[] = "{\"role\":\"assistant\",\"content\":[";
	size_t len = sizeof(open) - 1;

	if (tz_model_runnable(a) && a->ncalls == 0)
		a->stop = "end";
	if (!tz_model_runnable(a))
		drop_calls(a);
	/* what was refused is not to be shown to the model again; an empty answer is no message */
	if (a->wire.len == 0 || strcmp(a->stop != NULL ? a->stop : "", "refusal") == 0)
	{
		tz_buf_reset(&a->wire);
		return;
	}
	if (tz_buf_reserve(&a->wire, len + 2) != TZ_OK)
		return;
	memmove(a->wire.data + len, a->wire.data, a->wire.len);
	memcpy(a->wire.data, open, len);
	a->wire.len += len;
	tz_buf_append_cstr(&a->wire, "]}");
}

/* Calls that will not be run must not stand in the history unanswered. */
static void
drop_calls(TzModelAnswer *a)
{
	for (int i = a->ncalls - 1; i >= 0; i--)
	{
		size_t start = a->calls[i].wire_start;
		size_t end = a->calls[i].wire_end;

		if (start == end)
			continue;
		if (end < a->wire.len)
			end++; /* with the comma behind it, */
		else if (start > 0)
			start--; /* or before it */
		memmove(a->wire.data + start, a->wire.data + end, a->wire.len - end);
		a->wire.len -= end - start;
	}
}

static TzStream *
anthropic_stream(const TzEffect *effect, const TzEndpoint *to, TzDeltaFn on_delta, void *arg)
{
	return tz_model_stream_new(&tz_model_messages, effect, to, on_delta, arg);
}

/* ---- history ---- */

static TzStatus
anthropic_encode(const char *api, json_t *message, TzBuf *wire, TzErr *err)
{
	TzSlice role = tz_model_string(message, "role");

	if (tz_slice_eq_cstr(role, "user"))
		return tz_model_join(wire,
		                     json_pack("{s:s, s:o}", "role", "user", "content",
		                               tz_model_text(tz_model_string(message, "text"))),
		                     err);
	if (tz_slice_eq_cstr(role, "tool"))
		return tz_model_join(wire, encode_results(message), err);
	/* the API takes no empty message */
	if (tz_model_string(message, "text").len == 0 &&
	    json_array_size(json_object_get(message, "tool_calls")) == 0)
		return TZ_OK;
	return tz_model_join(wire, encode_assistant(message), err);
}

static json_t *
encode_assistant(json_t *message)
{
	TzSlice text = tz_model_string(message, "text");
	json_t *calls = json_object_get(message, "tool_calls");
	json_t *content = json_array();
	bool ok = content != NULL;

	if (ok && text.len > 0)
		ok = json_array_append_new(content,
		                           json_pack("{s:s, s:o}", "type", "text", "text", tz_model_text(text))) == 0;
	for (size_t i = 0; ok && i < json_array_size(calls); i++)
	{
		json_t *call = json_array_get(calls, i);
		json_t *input = json_object_get(call, "arguments");

		ok =
			json_array_append_new(content,
		                          json_pack("{s:s, s:o, s:o, s:o}", "type", "tool_use", "id", clean_id(call),
		                                    "name", tz_model_text(tz_model_string(call, "name")), "input",
		                                    json_is_object(input) ? json_incref(input) : json_object())) == 0;
	}
	if (ok)
		return json_pack("{s:s, s:o}", "role", "assistant", "content", content);
	json_decref(content);
	return NULL;
}

static json_t *
encode_results(json_t *message)
{
	json_t *results = json_object_get(message, "results");
	json_t *content = json_array();
	bool ok = content != NULL;

	for (size_t i = 0; ok && i < json_array_size(results); i++)
	{
		json_t *result = json_array_get(results, i);
		json_t *block = json_pack("{s:s, s:o, s:o}", "type", "tool_result", "tool_use_id", clean_id(result),
		                          "content", tz_model_text(tz_model_string(result, "content")));

		ok = block != NULL;
		if (ok && json_is_true(json_object_get(result, "is_error")))
			ok = json_object_set_new(block, "is_error", json_true()) == 0;
		ok = ok && json_array_append(content, block) == 0;
		json_decref(block);
	}
	if (ok)
		return json_pack("{s:s, s:o}", "role", "user", "content", content);
	json_decref(content);
	return NULL;
}

/* Another provider's id, in the letters that this one takes. */
static json_t *
clean_id(json_t *object)
{
	char id[TZ_MODEL_NAME_MAX + 1];

	tz_model_copy(id, sizeof(id), json_object_get(object, "id"));
	for (char *p = id; *p != '\0'; p++)
		if (!(*p >= 'a' && *p <= 'z') && !(*p >= 'A' && *p <= 'Z') && !(*p >= '0' && *p <= '9') &&
		    *p != '-' && *p != '_')
			*p = '_';
	return json_string(id);
}
