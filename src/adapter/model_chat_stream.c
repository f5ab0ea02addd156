/*-------------------------------------------------------------------------
 *
 * model_chat_stream.c
 *	  Chat Completions as they are streamed.
 *
 * Servers disagree on much here: pieces of tool calls may come without an index or
 * without an id, several whole calls under one index, usage on any chunk, chunks
 * without choices at either end. What they agree on is [DONE], and a finish reason
 * before it; without both the answer is truncated.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "adapter/chat.h"
#include "lib/json.h"

#define WHOLE_MAX 8192 /* arguments looked at for whether they are complete */
#define DETAILS_MAX 100000 /* pieces of reasoning_details */

static TzStatus take_delta(TzStream *st, json_t *delta);
static TzStatus take_content(TzStream *st, json_t *content);
static TzStatus take_call(TzStream *st, json_t *piece, int place);
static TzModelCall *find_call(TzModelAnswer *a, json_t *piece, int place);
static bool starts_another(const TzModelCall *call, json_t *piece);
static TzStatus take_details(TzStream *st, json_t *details);
static bool joins(json_t *last, json_t *next);
static bool extend(TzChatStream *s, json_t *last, json_t *next, size_t max);
static bool flush_details(TzChatStream *s);

TzStatus
tz_chat_event(TzStream *st, TzSlice data, json_t *doc)
{
	TzModelAnswer *a = tz_model_stream_answer(st);
	json_t *choice = json_array_get(json_object_get(doc, "choices"), 0);
	json_t *delta = json_object_get(choice, "delta");

	if (doc == NULL) /* [DONE] */
	{
		if (a->stop != NULL)
			tz_model_stream_ended(st);
		return TZ_OK;
	}
	if (tz_chat_has_error(doc))
	{
		tz_chat_usage(a, doc, data);
		return tz_model_stream_fault(st, doc);
	}
	if (a->model[0] == '\0')
		tz_model_copy(a->model, sizeof(a->model), json_object_get(doc, "model"));
	tz_chat_usage(a, doc, data);
	if (tz_chat_has_error(choice))
		return tz_model_stream_fault(st, doc);
	if (json_integer_value(json_object_get(choice, "index")) != 0)
		return TZ_OK; /* one answer was asked for */
	tz_chat_stop(a, choice);
	/* a server that streams nothing may send the message whole */
	if (!json_is_object(delta))
		delta = json_object_get(choice, "message");
	return json_is_object(delta) ? take_delta(st, delta) : TZ_OK;
}

static TzStatus
take_delta(TzStream *st, json_t *delta)
{
	TzModelAnswer *a = tz_model_stream_answer(st);
	json_t *calls = json_object_get(delta, "tool_calls");
	json_t *thought = json_object_get(delta, "reasoning");
	TzStatus status;

	if (!json_is_string(thought))
		thought = json_object_get(delta, "reasoning_content");
	status = tz_model_stream_text(st, TZ_DELTA_REASONING, thought);
	if (status == TZ_OK)
		status = take_details(st, json_object_get(delta, "reasoning_details"));
	if (status == TZ_OK)
		status = take_content(st, json_object_get(delta, "content"));
	tz_model_append(&a->refusal, json_object_get(delta, "refusal"));
	for (size_t i = 0; status == TZ_OK && i < json_array_size(calls); i++)
		status = take_call(st, json_array_get(calls, i), (int) i);
	return status;
}

static TzStatus
take_content(TzStream *st, json_t *content)
{
	TzChatStream *s = tz_model_stream_own(st);
	TzStatus status = tz_model_stream_text(st, TZ_DELTA_TEXT, content);

	if (json_is_string(content))
		s->content = true;
	for (size_t i = 0; status == TZ_OK && i < json_array_size(content); i++)
		status = tz_model_stream_text(st, TZ_DELTA_TEXT, json_object_get(json_array_get(content, i), "text"));
	return status;
}

static TzStatus
take_call(TzStream *st, json_t *piece, int place)
{
	TzModelAnswer *a = tz_model_stream_answer(st);
	json_t *function = json_object_get(piece, "function");
	TzModelCall *call = find_call(a, piece, place);
	char *arguments;
	TzStatus status = TZ_OK;

	if (call == NULL)
	{
		json_t *index = json_object_get(piece, "index");

		call = tz_model_call_add(a, json_is_integer(index) ? (int) json_integer_value(index) : place,
		                         json_object_get(piece, "id"), json_object_get(function, "name"));
		if (call == NULL)
			return a->status;
		tz_model_stream_call(st, call);
	}
	arguments = tz_chat_arguments(function);
	if (arguments != NULL)
		status = tz_model_stream_arguments(st, call, tz_slice_cstr(arguments));
	free(arguments);
	return status;
}

/* The call that a piece belongs to, or NULL when it starts one. */
static TzModelCall *
find_call(TzModelAnswer *a, json_t *piece, int place)
{
	json_t *index = json_object_get(piece, "index");
	json_t *id = json_object_get(piece, "id");
	bool named = json_string_length(json_object_get(json_object_get(piece, "function"), "name")) > 0;

	/* without an index only an id, a name or the order tells them apart */
	if (!json_is_integer(index))
	{
		for (int i = a->ncalls - 1; i >= 0 && json_string_length(id) > 0; i--)
			if (strcmp(a->calls[i].id, json_string_value(id)) == 0)
				return &a->calls[i];
		return a->ncalls == 0 || named || json_string_length(id) > 0 ? NULL : &a->calls[a->ncalls - 1];
	}
	for (int i = a->ncalls - 1; i >= 0; i--)
		if (a->calls[i].index == (int) json_integer_value(index))
			return starts_another(&a->calls[i], piece) ? NULL : &a->calls[i];
	return NULL;
}

/* Under an index in use: another id, or without ids a name after complete arguments. */
static bool
starts_another(const TzModelCall *call, json_t *piece)
{
	json_t *id = json_object_get(piece, "id");
	json_t *name = json_object_get(json_object_get(piece, "function"), "name");
	json_t *doc = NULL;

	if (json_string_length(id) > 0)
		return strncmp(call->id, json_string_value(id), TZ_MODEL_NAME_MAX) != 0;
	if (!call->own_id || json_string_length(name) == 0 || call->arguments.len > WHOLE_MAX)
		return false;
	if (tz_json_parse(tz_buf_slice(&call->arguments), NULL, &doc, NULL) != TZ_OK)
		return false;
	json_decref(doc);
	return true;
}

/* Pieces of one detail are joined, as the unstreamed answer would have it. */
static TzStatus
take_details(TzStream *st, json_t *details)
{
	TzChatStream *s = tz_model_stream_own(st);

	for (size_t i = 0; i < json_array_size(details); i++)
	{
		json_t *next = json_array_get(details, i);
		size_t n = json_array_size(s->details);
		json_t *last = n > 0 ? json_array_get(s->details, n - 1) : NULL;
		bool ok;

		if (n >= DETAILS_MAX)
			return TZ_TOO_LARGE;
		if (s->details == NULL && (s->details = json_array()) == NULL)
			return TZ_NOMEM;
		if (joins(last, next))
			ok = extend(s, last, next, tz_model_stream_answer(st)->max);
		else
			ok = flush_details(s) && json_array_append_new(s->details, json_copy(next)) == 0;
		if (!ok)
			return TZ_NOMEM;
	}
	return TZ_OK;
}

static bool
joins(json_t *last, json_t *next)
{
	json_t *type = json_object_get(next, "type");

	if (!json_is_string(type) || !json_equal(type, json_object_get(last, "type")))
		return false;
	if (strcmp(json_string_value(type), "reasoning.text") != 0 &&
	    strcmp(json_string_value(type), "reasoning.summary") != 0)
		return false;
	if (json_string_length(json_object_get(last, "signature")) > 0)
		return false; /* it is sealed */
	return json_object_get(next, "index") == NULL
	           ? json_object_get(last, "index") == NULL
	           : json_equal(json_object_get(next, "index"), json_object_get(last, "index"));
}

/* Text grows, everything else is taken over when it is told. */
static bool
extend(TzChatStream *s, json_t *last, json_t *next, size_t max)
{
	const char *key;
	json_t *value;

	json_object_foreach (next, key, value)
	{
		bool summary = strcmp(key, "summary") == 0;

		if (json_is_null(value))
			continue;
		if ((summary || strcmp(key, "text") == 0) && json_is_string(value))
		{
			/* into a buffer of its own: joining strings each time would take forever */
			if (s->grown_key == NULL)
				tz_buf_init(&s->grown, max);
			s->grown_key = summary ? "summary" : "text";
			tz_model_append(&s->grown, value);
			if (s->grown.status != TZ_OK)
				return false;
		}
		else if (json_object_set(last, key, value) != 0)
			return false;
	}
	return true;
}

/* What grew is put behind what the last detail began with. */
static bool
flush_details(TzChatStream *s)
{
	json_t *last = json_array_get(s->details, json_array_size(s->details) - 1);
	TzBuf text;
	bool ok;

	if (s->grown_key == NULL)
		return true;
	tz_buf_init(&text, SIZE_MAX);
	tz_model_append(&text, json_object_get(last, s->grown_key));
	tz_buf_append(&text, s->grown.data, s->grown.len);
	ok = text.status == TZ_OK &&
	     json_object_set_new(last, s->grown_key, json_stringn(text.data, text.len)) == 0;
	tz_buf_free(&text);
	tz_buf_free(&s->grown);
	s->grown_key = NULL;
	return ok;
}

void
tz_chat_finish(TzStream *st)
{
	TzChatStream *s = tz_model_stream_own(st);
	TzModelAnswer *a = tz_model_stream_answer(st);
	TzBuf content;
	TzBuf details;

	tz_buf_init(&content, a->max * 2);
	tz_buf_init(&details, a->max * 2);
	if (s->content || a->text.len > 0)
		tz_model_quote(&content, tz_buf_slice(&a->text));
	if (!flush_details(s))
		details.status = TZ_NOMEM;
	if (s->details != NULL)
		(void) tz_json_dump(s->details, &details, NULL);
	if (content.status != TZ_OK || details.status != TZ_OK)
		a->status = content.status == TZ_NOMEM || details.status == TZ_NOMEM ? TZ_NOMEM : TZ_TOO_LARGE;
	else
		tz_chat_wire(a, tz_buf_slice(&content), tz_buf_slice(&details));
	tz_buf_free(&content);
	tz_buf_free(&details);
}

void
tz_chat_release(void *own)
{
	TzChatStream *s = own;

	json_decref(s->details);
	s->details = NULL;
	tz_buf_free(&s->grown);
}
