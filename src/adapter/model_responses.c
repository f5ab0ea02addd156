/*-------------------------------------------------------------------------
 *
 * model_responses.c
 *	  OpenAI Responses: requests, answers in both forms, history.
 *
 * Nothing is kept at the provider's side: every request brings the whole list of
 * items, among them the reasoning that the provider gave out encrypted. A streamed
 * answer is shown as it comes and then read from its last event, which holds all.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "adapter/model.h"
#include "lib/json.h"
#include "lib/json_raw.h"

static json_t *responses_head(const TzModelRequest *r, const TzDialect *d);
static bool put_tools(const TzModelRequest *r, const TzDialect *d, json_t *head);
static bool put_schema(const TzModelRequest *r, json_t *head);
static const char *responses_read(json_t *doc, TzSlice text, TzModelAnswer *a, json_t **fault);
static TzStatus responses_event(TzStream *st, TzSlice data, json_t *doc);
static TzStatus take_last(TzStream *st, TzSlice data, json_t *doc);
static TzStatus start_call(TzStream *st, json_t *doc);
static TzStatus take_arguments(TzStream *st, json_t *doc);
static void forget_pieces(TzModelAnswer *a);
static void read_response(json_t *doc, TzSlice text, TzModelAnswer *a);
static void read_stop(json_t *doc, TzModelAnswer *a);
static void read_item(json_t *item, TzModelAnswer *a);
static void read_parts(json_t *content, TzModelAnswer *a);
static void read_usage(json_t *doc, TzSlice text, TzModelAnswer *a);
static void write_wire(json_t *output, TzSlice list, TzModelAnswer *a);
static const char *type_of(json_t *item);
static TzStatus encode_assistant(json_t *message, TzBuf *wire, TzErr *err);

const TzModelProtocol tz_model_responses = {
	.own_size = 1,
	.event = responses_event,
	.read = responses_read,
};

/* ---- request ---- */

TzStatus
tz_responses_build(const TzEffect *effect, const TzEndpoint *to, const TzModelRequest *r, const TzDialect *d,
                   TzHttpRequest *out, TzErr *err)
{
	TzStatus status = tz_dialect_open(effect, to, r, d, out, err);

	if (status == TZ_OK)
		status =
			tz_model_body(effect, r, responses_head(r, d), d->strip, "input", tz_slice(NULL, 0), out, err);
	return status;
}

/* Everything but the items; NULL: out of memory. Stop sequences do not exist here. */
static json_t *
responses_head(const TzModelRequest *r, const TzDialect *d)
{
	json_t *head = json_pack("{s:s, s:b, s:[s]}", "model", r->model, "store", 0, "include",
	                         "reasoning.encrypted_content");
	bool ok = head != NULL;

	if (ok && r->system.len > 0)
		ok = json_object_set_new(head, "instructions", tz_model_text(r->system)) == 0;
	if (ok && r->max_tokens >= 0)
		ok = json_object_set_new(head, "max_output_tokens", json_integer(r->max_tokens)) == 0;
	if (ok && r->tools != NULL)
		ok = put_tools(r, d, head);
	if (ok && r->schema != NULL)
		ok = put_schema(r, head);
	if (ok && r->temperature != NULL)
		ok = json_object_set(head, "temperature", r->temperature) == 0;
	if (ok && r->top_p != NULL)
		ok = json_object_set(head, "top_p", r->top_p) == 0;
	if (ok && r->user != NULL && d->user_field != NULL)
		ok = json_object_set(head, d->user_field, r->user) == 0;
	if (ok && r->cache_key != NULL && d->caches)
		ok = json_object_set(head, "prompt_cache_key", r->cache_key) == 0;
	if (ok && r->stream)
		ok = json_object_set_new(head, "stream", json_true()) == 0;
	if (ok)
		return head;
	json_decref(head);
	return NULL;
}

/* Flat, unlike those of Chat Completions. */
static bool
put_tools(const TzModelRequest *r, const TzDialect *d, json_t *head)
{
	json_t *list = json_array();
	bool ok = list != NULL;

	for (size_t i = 0; ok && i < json_array_size(r->tools); i++)
	{
		json_t *tool = json_array_get(r->tools, i);
		json_t *description = json_object_get(tool, "description");
		json_t *strict = json_object_get(tool, "strict");
		/* strict is on unless said otherwise, and refuses most schemas then */
		json_t *mine =
			json_pack("{s:s, s:O, s:o, s:b}", "type", "function", "name", json_object_get(tool, "name"),
		              "parameters", tz_model_parameters(tool), "strict", json_is_true(strict));

		ok = mine != NULL;
		if (ok && json_is_string(description))
			ok = json_object_set(mine, "description", description) == 0;
		ok = ok && json_array_append(list, mine) == 0;
		json_decref(mine);
	}
	ok = ok && json_object_set(head, "tools", list) == 0;
	json_decref(list);
	if (!ok || r->choice == NULL || !d->supports_tool_choice)
		return ok;
	if (r->choice_name == NULL)
		return json_object_set_new(head, "tool_choice", json_string(r->choice)) == 0;
	return json_object_set_new(head, "tool_choice",
	                           json_pack("{s:s, s:s}", "type", "function", "name", r->choice_name)) == 0;
}

static bool
put_schema(const TzModelRequest *r, json_t *head)
{
	json_t *format =
		json_pack("{s:s, s:s, s:O}", "type", "json_schema", "name", r->schema_name, "schema", r->schema);
	bool ok = format != NULL;

	if (ok && json_is_boolean(r->strict))
		ok = json_object_set(format, "strict", r->strict) == 0;
	ok = ok && json_object_set_new(head, "text", json_pack("{s:O}", "format", format)) == 0;
	json_decref(format);
	return ok;
}

/* ---- answer ---- */

static const char *
responses_read(json_t *doc, TzSlice text, TzModelAnswer *a, json_t **fault)
{
	const char *status = json_string_value(json_object_get(doc, "status"));

	if (json_is_object(json_object_get(doc, "error")) || (status != NULL && strcmp(status, "failed") == 0))
		*fault = doc;
	else if (!json_is_array(json_object_get(doc, "output")))
		return "no output";
	else if (status != NULL && strcmp(status, "completed") != 0 && strcmp(status, "incomplete") != 0)
		return "the response is not finished";
	else
		read_response(doc, text, a);
	return NULL;
}

static TzStatus
responses_event(TzStream *st, TzSlice data, json_t *doc)
{
	const char *type = type_of(doc);

	if (strcmp(type, "response.output_text.delta") == 0)
		return tz_model_stream_text(st, TZ_DELTA_TEXT, json_object_get(doc, "delta"));
	if (strcmp(type, "response.function_call_arguments.delta") == 0)
		return take_arguments(st, doc);
	if (strcmp(type, "response.output_item.added") == 0)
		return start_call(st, doc);
	if (strcmp(type, "response.reasoning_summary_text.delta") == 0 ||
	    strcmp(type, "response.reasoning_text.delta") == 0)
		return tz_model_stream_text(st, TZ_DELTA_REASONING, json_object_get(doc, "delta"));
	if (strcmp(type, "response.created") == 0)
		tz_model_copy(tz_model_stream_answer(st)->model, TZ_MODEL_NAME_MAX + 1,
		              json_object_get(json_object_get(doc, "response"), "model"));
	if (strcmp(type, "response.completed") == 0 || strcmp(type, "response.incomplete") == 0)
		return take_last(st, data, doc);
	if (strcmp(type, "response.failed") == 0)
	{
		read_usage(json_object_get(doc, "response"), tz_slice(NULL, 0), tz_model_stream_answer(st));
		return tz_model_stream_fault(st, json_object_get(doc, "response"));
	}
	if (strcmp(type, "error") == 0 || (type[0] == '\0' && json_object_get(doc, "error") != NULL))
		return tz_model_stream_fault(st, doc);
	return TZ_OK;
}

/* The last event has everything once more, and that is what counts. */
static TzStatus
take_last(TzStream *st, TzSlice data, json_t *doc)
{
	TzModelAnswer *a = tz_model_stream_answer(st);
	json_t *response = json_object_get(doc, "response");
	TzSlice raw = {NULL, 0};

	if (!json_is_array(json_object_get(response, "output")) || !tz_json_raw_member(data, "response", &raw))
		return TZ_BAD_ANSWER;
	forget_pieces(a);
	read_response(response, raw, a);
	tz_model_stream_ended(st);
	return TZ_OK;
}

static void
forget_pieces(TzModelAnswer *a)
{
	for (int i = 0; i < a->ncalls; i++)
		tz_buf_free(&a->calls[i].arguments);
	a->ncalls = 0;
	free(a->calls);
	a->calls = NULL;
	a->hidden_chars = 0;
	tz_buf_reset(&a->text);
}

static TzStatus
start_call(TzStream *st, json_t *doc)
{
	TzModelAnswer *a = tz_model_stream_answer(st);
	json_t *item = json_object_get(doc, "item");
	TzModelCall *call;

	if (strcmp(type_of(item), "function_call") != 0)
		return TZ_OK;
	call = tz_model_call_add(a, (int) json_integer_value(json_object_get(doc, "output_index")),
	                         json_object_get(item, "call_id"), json_object_get(item, "name"));
	if (call == NULL)
		return a->status;
	tz_model_stream_call(st, call);
	return TZ_OK;
}

static TzStatus
take_arguments(TzStream *st, json_t *doc)
{
	TzModelAnswer *a = tz_model_stream_answer(st);
	int index = (int) json_integer_value(json_object_get(doc, "output_index"));

	for (int i = a->ncalls - 1; i >= 0; i--)
		if (a->calls[i].index == index)
			return tz_model_stream_arguments(st, &a->calls[i], tz_model_string(doc, "delta"));
	return TZ_OK;
}

/* doc: the response; text: its bytes. */
static void
read_response(json_t *doc, TzSlice text, TzModelAnswer *a)
{
	json_t *output = json_object_get(doc, "output");
	TzSlice list = {NULL, 0};

	tz_model_copy(a->model, sizeof(a->model), json_object_get(doc, "model"));
	tz_json_raw_member(text, "output", &list);
	for (size_t i = 0; i < json_array_size(output); i++)
		read_item(json_array_get(output, i), a);
	read_stop(doc, a);
	read_usage(doc, text, a);
	write_wire(output, list, a);
}

/* There is no reason of its own for tools: they are wanted when there are calls. */
static void
read_stop(json_t *doc, TzModelAnswer *a)
{
	json_t *status = json_object_get(doc, "status");
	json_t *reason = json_object_get(json_object_get(doc, "incomplete_details"), "reason");

	tz_model_copy(a->stop_raw, sizeof(a->stop_raw), json_is_string(reason) ? reason : status);
	if (json_is_string(status) && strcmp(json_string_value(status), "incomplete") == 0)
		a->stop = strcmp(a->stop_raw, "max_output_tokens") == 0 ? "max_tokens"
		          : strcmp(a->stop_raw, "content_filter") == 0  ? "content_filter"
		                                                        : "other";
	else if (a->refusal.len > 0)
		a->stop = "refusal";
	else
		a->stop = a->ncalls > 0 ? "tool_use" : "end";
}

static void
read_item(json_t *item, TzModelAnswer *a)
{
	const char *type = type_of(item);
	TzModelCall *call;

	if (strcmp(type, "message") == 0)
		read_parts(json_object_get(item, "content"), a);
	else if (strcmp(type, "function_call") == 0)
	{
		call =
			tz_model_call_add(a, a->ncalls, json_object_get(item, "call_id"), json_object_get(item, "name"));
		if (call != NULL)
			tz_model_append(&call->arguments, json_object_get(item, "arguments"));
	}
	else if (strcmp(type, "reasoning") == 0)
	{
		json_t *summary = json_object_get(item, "summary");

		for (size_t i = 0; i < json_array_size(summary); i++)
			a->hidden_chars += tz_model_chars(tz_model_string(json_array_get(summary, i), "text"));
	}
}

static void
read_parts(json_t *content, TzModelAnswer *a)
{
	for (size_t i = 0; i < json_array_size(content); i++)
	{
		json_t *part = json_array_get(content, i);

		tz_model_append(&a->text, json_object_get(part, "text"));
		tz_model_append(&a->refusal, json_object_get(part, "refusal"));
	}
}

static void
read_usage(json_t *doc, TzSlice text, TzModelAnswer *a)
{
	json_t *usage = json_object_get(doc, "usage");
	json_t *of_input = json_object_get(usage, "input_tokens_details");
	json_t *written = json_object_get(of_input, "cache_write_tokens_details");
	TzModelUsage *u = &a->usage;
	TzSlice raw;

	tz_model_tier(a, json_object_get(doc, "service_tier"));
	if (!json_is_object(usage))
		return;
	u->cache_read = tz_model_count(of_input, "cached_tokens");
	if (json_is_object(written))
	{
		u->cache_write_5m = tz_model_count(written, "ttl_30m_tokens");
		u->cache_write_1h = tz_model_count(written, "ttl_12h_tokens");
	}
	else
		u->cache_write_5m = tz_model_count(of_input, "cache_write_tokens");
	u->input = tz_model_count(usage, "input_tokens");
	tz_model_split_input(u);
	u->output = tz_model_count(usage, "output_tokens");
	u->reasoning = tz_model_count(json_object_get(usage, "output_tokens_details"), "reasoning_tokens");
	if (json_is_number(json_object_get(usage, "cost")) && tz_json_raw_member(text, "usage", &raw) &&
	    tz_json_raw_member(raw, "cost", &raw))
		tz_model_cost(a, raw);
	tz_model_usage_raw(a, usage);
}

/*
 * All items as they came. Where no tool may be run, only the messages: a call
 * without its answer, or reasoning without what it led to, would be refused.
 */
static void
write_wire(json_t *output, TzSlice list, TzModelAnswer *a)
{
	bool all = tz_model_runnable(a) || strcmp(a->stop, "end") == 0;
	TzSlice raw;
	size_t at = 0;

	for (size_t i = 0; i < json_array_size(output) && a->status == TZ_OK; i++)
	{
		json_t *item = json_array_get(output, i);

		if (!tz_json_raw_item(list, &at, &raw))
		{
			a->status = TZ_BAD_ANSWER; /* a key with escapes: nobody sends it */
			return;
		}
		if (!all &&
		    (strcmp(type_of(item), "message") != 0 || json_array_size(json_object_get(item, "content")) == 0))
			continue;
		tz_model_comma(&a->wire);
		tz_buf_append(&a->wire, raw.data, raw.len);
	}
}

/* Empty for none. */
static const char *
type_of(json_t *item)
{
	const char *type = json_string_value(json_object_get(item, "type"));

	return type != NULL ? type : "";
}

/* ---- history ---- */

TzStatus
tz_responses_encode(json_t *message, TzBuf *wire, TzErr *err)
{
	TzSlice role = tz_model_string(message, "role");

	if (tz_slice_eq_cstr(role, "tool"))
		return tz_model_results(message, "type", "function_call_output", "call_id", "output", wire, err);
	if (tz_slice_eq_cstr(role, "assistant"))
		return encode_assistant(message, wire, err);
	return tz_model_join(wire,
	                     json_pack("{s:s, s:o}", "role", "user", "content",
	                               tz_model_text(tz_model_string(message, "text"))),
	                     err);
}

static TzStatus
encode_assistant(json_t *message, TzBuf *wire, TzErr *err)
{
	TzSlice text = tz_model_string(message, "text");
	json_t *calls = json_object_get(message, "tool_calls");
	TzStatus status = TZ_OK;

	if (text.len > 0)
		status =
			tz_model_join(wire, json_pack("{s:s, s:o}", "role", "assistant", "content", tz_model_text(text)),
		                  err);
	for (size_t i = 0; status == TZ_OK && i < json_array_size(calls); i++)
	{
		json_t *call = json_array_get(calls, i);
		char *arguments = tz_model_arguments(call);

		status =
			tz_model_join(wire,
		                  arguments == NULL ? NULL
		                                    : json_pack("{s:s, s:o, s:o, s:s}", "type", "function_call",
		                                                "call_id", tz_model_text(tz_model_string(call, "id")),
		                                                "name", tz_model_text(tz_model_string(call, "name")),
		                                                "arguments", arguments),
		                  err);
		free(arguments);
	}
	return status;
}
