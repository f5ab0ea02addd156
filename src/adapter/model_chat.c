/*-------------------------------------------------------------------------
 *
 * model_chat.c
 *	  Chat Completions: requests, unstreamed answers, history.
 *
 * One protocol for many servers. Their differences in requests are a TzDialect;
 * their differences in answers are met by reading all spellings everywhere, since
 * a router may pass on any of them.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "adapter/chat.h"
#include "lib/json.h"
#include "lib/json_raw.h"

static json_t *chat_head(const TzModelRequest *r, const TzDialect *d);
static bool put_tools(const TzModelRequest *r, const TzDialect *d, json_t *head);
static bool put_schema(const TzModelRequest *r, json_t *head);
static bool put_stream(const TzDialect *d, json_t *head);
static const char *chat_read(json_t *doc, TzSlice text, TzModelAnswer *a, json_t **fault);
static void read_answer(json_t *doc, TzSlice text, TzModelAnswer *a);
static void read_content(json_t *content, TzModelAnswer *a);
static void read_calls(json_t *calls, TzModelAnswer *a);
static void wire_calls(TzModelAnswer *a);
static json_t *encode_assistant(json_t *message);

const TzModelProtocol tz_model_chat = {
	.own_size = sizeof(TzChatStream),
	.done_mark = "[DONE]",
	.event = tz_chat_event,
	.finish = tz_chat_finish,
	.release = tz_chat_release,
	.read = chat_read,
};

/* ---- request ---- */

TzStatus
tz_chat_build(const TzEffect *effect, const TzEndpoint *to, const TzModelRequest *r, const TzDialect *d,
              TzHttpRequest *out, TzErr *err)
{
	TzStatus status = tz_dialect_open(effect, to, r, d, out, err);
	TzBuf system;

	if (status != TZ_OK)
		return status;
	tz_buf_init(&system, TZ_MODEL_BODY_MAX);
	if (r->system.len > 0)
		status = tz_model_join(&system,
		                       json_pack("{s:s, s:o}", "role", "system", "content", tz_model_text(r->system)),
		                       err);
	if (status == TZ_OK)
		status =
			tz_model_body(effect, r, chat_head(r, d), d->strip, "messages", tz_buf_slice(&system), out, err);
	tz_buf_free(&system);
	return status;
}

/* Everything but the messages; NULL: out of memory. */
static json_t *
chat_head(const TzModelRequest *r, const TzDialect *d)
{
	json_t *head = json_pack("{s:s}", "model", r->model);
	bool ok = head != NULL;

	if (ok && r->max_tokens >= 0)
		ok = json_object_set_new(head, d->max_tokens_field, json_integer(r->max_tokens)) == 0;
	if (ok && r->tools != NULL)
		ok = put_tools(r, d, head);
	if (ok && r->schema != NULL)
		ok = put_schema(r, head);
	if (ok && r->temperature != NULL)
		ok = json_object_set(head, "temperature", r->temperature) == 0;
	if (ok && r->top_p != NULL)
		ok = json_object_set(head, "top_p", r->top_p) == 0;
	if (ok && r->stop != NULL)
		ok = json_object_set(head, "stop", r->stop) == 0;
	if (ok && r->user != NULL && d->user_field != NULL)
		ok = json_object_set(head, d->user_field, r->user) == 0;
	if (ok && r->cache_key != NULL && d->caches)
		ok = json_object_set(head, "prompt_cache_key", r->cache_key) == 0;
	if (ok && r->stream)
		ok = put_stream(d, head);
	if (ok)
		return head;
	json_decref(head);
	return NULL;
}

static bool
put_tools(const TzModelRequest *r, const TzDialect *d, json_t *head)
{
	static const char *const taken[] = {"name", "description", "strict"};
	json_t *list = json_array();
	bool ok = list != NULL;

	for (size_t i = 0; ok && i < json_array_size(r->tools); i++)
	{
		json_t *tool = json_array_get(r->tools, i);
		json_t *function = json_object();

		ok = function != NULL;
		for (size_t k = 0; ok && k < sizeof(taken) / sizeof(taken[0]); k++)
		{
			json_t *value = json_object_get(tool, taken[k]);

			if (value != NULL && !json_is_null(value))
				ok = json_object_set(function, taken[k], value) == 0;
		}
		ok = ok && json_object_set_new(function, "parameters", tz_model_parameters(tool)) == 0;
		ok = ok && json_array_append_new(list, json_pack("{s:s, s:O}", "type", "function", "function",
		                                                 function)) == 0;
		json_decref(function);
	}
	ok = ok && json_object_set(head, "tools", list) == 0;
	json_decref(list);
	if (!ok || r->choice == NULL || !d->supports_tool_choice)
		return ok;
	if (r->choice_name == NULL)
		return json_object_set_new(head, "tool_choice", json_string(r->choice)) == 0;
	return json_object_set_new(head, "tool_choice",
	                           json_pack("{s:s, s:{s:s}}", "type", "function", "function", "name",
	                                     r->choice_name)) == 0;
}

static bool
put_schema(const TzModelRequest *r, json_t *head)
{
	json_t *wanted = json_pack("{s:s, s:O}", "name", r->schema_name, "schema", r->schema);
	bool ok = wanted != NULL;

	if (ok && json_is_boolean(r->strict))
		ok = json_object_set(wanted, "strict", r->strict) == 0;
	ok =
		ok && json_object_set_new(head, "response_format",
	                              json_pack("{s:s, s:O}", "type", "json_schema", "json_schema", wanted)) == 0;
	json_decref(wanted);
	return ok;
}

static bool
put_stream(const TzDialect *d, json_t *head)
{
	json_t *options;
	bool ok = json_object_set_new(head, "stream", json_true()) == 0;

	if (!ok || !d->supports_stream_usage)
		return ok;
	options = json_pack("{s:b}", "include_usage", 1);
	ok = options != NULL;
	if (ok && d->running_usage)
		ok = json_object_set_new(options, "continuous_usage_stats", json_true()) == 0;
	if (ok && d->obfuscates)
		ok = json_object_set_new(options, "include_obfuscation", json_false()) == 0;
	ok = ok && json_object_set(head, "stream_options", options) == 0;
	json_decref(options);
	return ok;
}

/* ---- answer ---- */

static const char *
chat_read(json_t *doc, TzSlice text, TzModelAnswer *a, json_t **fault)
{
	json_t *choice = json_array_get(json_object_get(doc, "choices"), 0);

	if (tz_chat_has_error(doc) || tz_chat_has_error(choice))
	{
		/* a router counts what was used before it broke */
		tz_chat_usage(a, doc, text);
		*fault = tz_chat_has_error(doc) ? doc : choice;
	}
	else if (!json_is_object(json_object_get(choice, "message")))
		return "no message";
	else
		read_answer(doc, text, a);
	return NULL;
}

/* A router reports a broken generation in the choice itself. */
bool
tz_chat_has_error(json_t *doc)
{
	json_t *error = json_object_get(doc, "error");
	json_t *finish = json_object_get(doc, "finish_reason");

	if (json_is_string(finish) && strcmp(json_string_value(finish), "error") == 0)
		return true;
	if (error == NULL || json_is_null(error) || json_is_false(error))
		return false;
	return !(json_is_string(error) && json_string_length(error) == 0);
}

static void
read_answer(json_t *doc, TzSlice text, TzModelAnswer *a)
{
	static const char *const thoughts[] = {"reasoning", "reasoning_content"};
	json_t *choice = json_array_get(json_object_get(doc, "choices"), 0);
	json_t *message = json_object_get(choice, "message");
	json_t *content = json_object_get(message, "content");
	TzSlice raw = {NULL, 0};
	TzSlice details = {NULL, 0};
	TzSlice raw_content = {NULL, 0};
	TzSlice part;
	size_t at = 0;

	tz_model_copy(a->model, sizeof(a->model), json_object_get(doc, "model"));
	read_content(content, a);
	tz_model_append(&a->refusal, json_object_get(message, "refusal"));
	read_calls(json_object_get(message, "tool_calls"), a);
	for (size_t i = 0; i < sizeof(thoughts) / sizeof(thoughts[0]); i++)
		a->hidden_chars += tz_model_chars(tz_model_string(message, thoughts[i]));
	tz_chat_stop(a, choice);
	tz_chat_usage(a, doc, text);
	if (tz_json_raw_member(text, "choices", &part) && tz_json_raw_item(part, &at, &part) &&
	    tz_json_raw_member(part, "message", &raw))
	{
		if (json_is_string(content) || json_is_array(content))
			tz_json_raw_member(raw, "content", &raw_content);
		if (json_array_size(json_object_get(message, "reasoning_details")) > 0)
			tz_json_raw_member(raw, "reasoning_details", &details);
	}
	tz_chat_wire(a, raw_content, details);
}

/* A string, or an array of parts. */
static void
read_content(json_t *content, TzModelAnswer *a)
{
	tz_model_append(&a->text, content);
	for (size_t i = 0; i < json_array_size(content); i++)
	{
		json_t *part = json_array_get(content, i);

		tz_model_append(&a->text, json_object_get(part, "text"));
		tz_model_append(&a->refusal, json_object_get(part, "refusal"));
	}
}

static void
read_calls(json_t *calls, TzModelAnswer *a)
{
	for (size_t i = 0; i < json_array_size(calls); i++)
	{
		json_t *item = json_array_get(calls, i);
		json_t *function = json_object_get(item, "function");
		TzModelCall *call =
			tz_model_call_add(a, (int) i, json_object_get(item, "id"), json_object_get(function, "name"));
		char *arguments;

		if (call == NULL)
			return;
		arguments = tz_chat_arguments(function);
		tz_buf_append_cstr(&call->arguments, arguments);
		free(arguments);
	}
}

/* malloc'ed; NULL for none. A NUL in a string ends it: it is no JSON then anyway. */
char *
tz_chat_arguments(json_t *function)
{
	json_t *arguments = json_object_get(function, "arguments");

	if (json_is_string(arguments))
		return strdup(json_string_value(arguments));
	return json_is_object(arguments) ? json_dumps(arguments, JSON_COMPACT) : NULL;
}

void
tz_chat_stop(TzModelAnswer *a, json_t *choice)
{
	static const struct
	{
		const char *theirs;
		const char *ours;
	} stops[] = {{"stop", "end"},
	             {"tool_calls", "tool_use"},
	             {"function_call", "tool_use"},
	             {"length", "max_tokens"},
	             {"content_filter", "content_filter"}};
	json_t *finish = json_object_get(choice, "finish_reason");

	if (!json_is_string(finish))
		return;
	tz_model_copy(a->stop_raw, sizeof(a->stop_raw), finish);
	a->stop = "other";
	for (size_t i = 0; i < sizeof(stops) / sizeof(stops[0]); i++)
		if (strcmp(a->stop_raw, stops[i].theirs) == 0)
			a->stop = stops[i].ours;
}

/* Cached and written tokens are parts of the prompt's. */
void
tz_chat_usage(TzModelAnswer *a, json_t *doc, TzSlice text)
{
	json_t *usage = json_object_get(doc, "usage");
	json_t *of_prompt = json_object_get(usage, "prompt_tokens_details");
	TzModelUsage *u = &a->usage;
	TzSlice raw;
	int64_t n;

	tz_model_tier(a, json_object_get(doc, "service_tier"));
	if (!json_is_object(usage))
		return;
	u->cache_read = tz_model_count(of_prompt, "cached_tokens");
	u->cache_write_5m = tz_model_count(of_prompt, "cache_write_tokens");
	u->input = tz_model_count(usage, "prompt_tokens");
	tz_model_split_input(u);
	u->output = tz_model_count(usage, "completion_tokens");
	n = tz_model_count(json_object_get(usage, "completion_tokens_details"), "reasoning_tokens");
	if (n >= 0)
		u->reasoning = n;
	if (json_is_number(json_object_get(usage, "cost")) && tz_json_raw_member(text, "usage", &raw) &&
	    tz_json_raw_member(raw, "cost", &raw))
		tz_model_cost(a, raw);
	tz_model_usage_raw(a, usage);
}

void
tz_chat_wire(TzModelAnswer *a, TzSlice content, TzSlice details)
{
	bool refused = a->refusal.len > 0;
	bool calls;

	/* some servers end with "stop" after tool calls that are complete all the same */
	if (a->stop != NULL && strcmp(a->stop, "end") == 0 && a->ncalls > 0)
		a->stop = "tool_use";
	if (tz_model_runnable(a) && a->ncalls == 0)
		a->stop = "end";
	if (refused)
		a->stop = "refusal";
	calls = tz_model_runnable(a);
	if (a->text.len == 0 && !refused && !calls)
		return; /* an empty answer is no message */
	tz_buf_append_cstr(&a->wire, "{\"role\":\"assistant\",\"content\":");
	if (content.len > 0)
		tz_buf_append(&a->wire, content.data, content.len);
	else if (a->text.len > 0)
		tz_model_quote(&a->wire, tz_buf_slice(&a->text));
	else
		tz_buf_append_cstr(&a->wire, calls || refused ? "null" : "\"\"");
	if (refused)
	{
		tz_buf_append_cstr(&a->wire, ",\"refusal\":");
		tz_model_quote(&a->wire, tz_buf_slice(&a->refusal));
	}
	if (calls)
		wire_calls(a);
	if (details.len > 0)
	{
		tz_buf_append_cstr(&a->wire, ",\"reasoning_details\":");
		tz_buf_append(&a->wire, details.data, details.len);
	}
	tz_buf_append_byte(&a->wire, '}');
}

static void
wire_calls(TzModelAnswer *a)
{
	tz_buf_append_cstr(&a->wire, ",\"tool_calls\":[");
	for (int i = 0; i < a->ncalls; i++)
	{
		const TzModelCall *call = &a->calls[i];
		TzSlice arguments = tz_buf_slice(&call->arguments);

		tz_buf_append_cstr(&a->wire, i > 0 ? ",{\"id\":" : "{\"id\":");
		tz_model_quote(&a->wire, tz_slice_cstr(call->id));
		tz_buf_append_cstr(&a->wire, ",\"type\":\"function\",\"function\":{\"name\":");
		tz_model_quote(&a->wire, tz_slice_cstr(call->name));
		tz_buf_append_cstr(&a->wire, ",\"arguments\":");
		tz_model_quote(&a->wire, arguments);
		tz_buf_append_cstr(&a->wire, "}}");
	}
	tz_buf_append_byte(&a->wire, ']');
}

/* ---- history ---- */

TzStatus
tz_chat_encode(json_t *message, TzBuf *wire, TzErr *err)
{
	TzSlice role = tz_model_string(message, "role");

	if (tz_slice_eq_cstr(role, "tool"))
		return tz_model_results(message, "role", "tool", "tool_call_id", "content", wire, err);
	if (tz_slice_eq_cstr(role, "assistant"))
		return tz_model_join(wire, encode_assistant(message), err);
	return tz_model_join(wire,
	                     json_pack("{s:s, s:o}", "role", "user", "content",
	                               tz_model_text(tz_model_string(message, "text"))),
	                     err);
}

static json_t *
encode_assistant(json_t *message)
{
	TzSlice text = tz_model_string(message, "text");
	json_t *calls = json_object_get(message, "tool_calls");
	json_t *list = json_array();
	bool ok = list != NULL;

	for (size_t i = 0; ok && i < json_array_size(calls); i++)
	{
		json_t *call = json_array_get(calls, i);
		char *arguments = tz_model_arguments(call);

		ok = arguments != NULL &&
		     json_array_append_new(list,
		                           json_pack("{s:o, s:s, s:{s:o, s:s}}", "id",
		                                     tz_model_text(tz_model_string(call, "id")), "type", "function",
		                                     "function", "name", tz_model_text(tz_model_string(call, "name")),
		                                     "arguments", arguments)) == 0;
		free(arguments);
	}
	if (ok && json_array_size(list) > 0)
		return json_pack("{s:s, s:o, s:o}", "role", "assistant", "content",
		                 text.len > 0 ? tz_model_text(text) : json_null(), "tool_calls", list);
	json_decref(list);
	if (!ok)
		return NULL;
	return json_pack("{s:s, s:o}", "role", "assistant", "content", tz_model_text(text));
}
