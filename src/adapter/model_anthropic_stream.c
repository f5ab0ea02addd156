/*-------------------------------------------------------------------------
 *
 * model_anthropic_stream.c
 *	  Anthropic Messages as they are streamed.
 *
 * A block starts as an empty shape and is filled by pieces; at its stop it is
 * written as the text that an unstreamed answer would have had. A block without
 * pieces (redacted thinking, results of a server's own tools) is kept byte for byte.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "adapter/anthropic.h"
#include "lib/json.h"
#include "lib/json_raw.h"

static TzStatus message_start(TzStream *st, TzSlice data, json_t *doc);
static TzStatus block_start(TzStream *st, TzSlice data, json_t *doc);
static TzStatus block_delta(TzStream *st, TzSlice data, json_t *doc);
static TzStatus block_stop(TzStream *st, TzSlice data, json_t *doc);
static TzStatus message_delta(TzStream *st, TzSlice data, json_t *doc);
static TzStatus message_stop(TzStream *st, TzSlice data, json_t *doc);
static TzStatus stream_error(TzStream *st, TzSlice data, json_t *doc);
static TzStatus take_delta(TzStream *st, const char *type, json_t *delta);
static void take_input(TzStream *st, json_t *piece);
static void close_block(TzStream *st);
static void write_block(const TzAnthropicStream *s, const TzModelCall *call, TzBuf *out);
static bool write_member(const TzAnthropicStream *s, const TzModelCall *call, const char *key, json_t *value,
                         TzBuf *out);
static void write_input(TzSlice text, TzBuf *out);
static void merge_usage(TzStream *st, json_t *usage);
static void clear_block(TzAnthropicStream *s);

static const struct
{
	const char *type;
	TzStatus (*take)(TzStream *st, TzSlice data, json_t *doc);
} events[] = {
	{"content_block_delta", block_delta},
	{"content_block_start", block_start},
	{"content_block_stop", block_stop},
	{"message_start", message_start},
	{"message_delta", message_delta},
	{"message_stop", message_stop},
	{"error", stream_error},
};

/* The name of an event is repeated in its data. Names nobody knows mean nothing. */
TzStatus
tz_anthropic_event(TzStream *st, TzSlice data, json_t *doc)
{
	const char *type = json_string_value(json_object_get(doc, "type"));

	for (size_t i = 0; type != NULL && i < sizeof(events) / sizeof(events[0]); i++)
		if (strcmp(events[i].type, type) == 0)
			return events[i].take(st, data, doc);
	if (type == NULL && json_is_object(json_object_get(doc, "error")))
		return stream_error(st, data, doc);
	return TZ_OK;
}

static TzStatus
message_start(TzStream *st, TzSlice data, json_t *doc)
{
	json_t *message = json_object_get(doc, "message");
	TzModelAnswer *a = tz_model_stream_answer(st);

	tz_model_copy(a->model, sizeof(a->model), json_object_get(message, "model"));
	merge_usage(st, json_object_get(message, "usage"));
	return TZ_OK;
}

static TzStatus
block_start(TzStream *st, TzSlice data, json_t *doc)
{
	TzAnthropicStream *s = tz_model_stream_own(st);
	TzModelAnswer *a = tz_model_stream_answer(st);
	json_t *block = json_object_get(doc, "content_block");
	const char *type = json_string_value(json_object_get(block, "type"));
	TzSlice raw = {NULL, 0};

	close_block(st);
	if (!json_is_object(block) || !tz_json_raw_member(data, "content_block", &raw))
		return TZ_BAD_ANSWER;
	s->block = json_incref(block);
	s->index = json_integer_value(json_object_get(doc, "index"));
	s->call = -1;
	tz_buf_init(&s->start, a->max);
	tz_buf_init(&s->text, a->max);
	tz_buf_init(&s->input, a->max);
	tz_buf_init(&s->signature, a->max);
	tz_buf_append(&s->start, raw.data, raw.len);
	if (type != NULL && strcmp(type, "tool_use") == 0)
	{
		TzModelCall *call =
			tz_model_call_add(a, a->ncalls, json_object_get(block, "id"), json_object_get(block, "name"));

		if (call == NULL)
			return a->status;
		s->call = a->ncalls - 1;
		tz_model_stream_call(st, call);
	}
	/* the shape is empty by the book; what is in it counts all the same */
	else if (type != NULL && strcmp(type, "text") == 0)
	{
		tz_model_append(&s->text, json_object_get(block, "text"));
		return tz_model_stream_text(st, TZ_DELTA_TEXT, json_object_get(block, "text"));
	}
	else if (type != NULL && strcmp(type, "thinking") == 0)
	{
		tz_model_append(&s->text, json_object_get(block, "thinking"));
		tz_model_append(&s->signature, json_object_get(block, "signature"));
		return tz_model_stream_text(st, TZ_DELTA_REASONING, json_object_get(block, "thinking"));
	}
	return TZ_OK;
}

static TzStatus
block_delta(TzStream *st, TzSlice data, json_t *doc)
{
	TzAnthropicStream *s = tz_model_stream_own(st);
	json_t *delta = json_object_get(doc, "delta");
	const char *type = json_string_value(json_object_get(delta, "type"));
	TzStatus status;

	if (s->block == NULL || type == NULL || json_integer_value(json_object_get(doc, "index")) != s->index)
		return TZ_OK;
	status = take_delta(st, type, delta);
	if (status == TZ_OK && s->text.status != TZ_OK)
		status = s->text.status;
	if (status == TZ_OK && s->input.status != TZ_OK)
		status = s->input.status;
	return status;
}

static TzStatus
take_delta(TzStream *st, const char *type, json_t *delta)
{
	TzAnthropicStream *s = tz_model_stream_own(st);
	json_t *piece;

	if (strcmp(type, "text_delta") == 0)
	{
		piece = json_object_get(delta, "text");
		s->changed = true;
		tz_model_append(&s->text, piece);
		return tz_model_stream_text(st, TZ_DELTA_TEXT, piece);
	}
	if (strcmp(type, "thinking_delta") == 0)
	{
		piece = json_object_get(delta, "thinking");
		s->changed = true;
		tz_model_append(&s->text, piece);
		return tz_model_stream_text(st, TZ_DELTA_REASONING, piece);
	}
	if (strcmp(type, "input_json_delta") == 0)
		take_input(st, json_object_get(delta, "partial_json"));
	else if (strcmp(type, "signature_delta") == 0)
	{
		s->changed = true;
		tz_buf_reset(&s->signature);
		tz_model_append(&s->signature, json_object_get(delta, "signature"));
		return s->signature.status;
	}
	else if (strcmp(type, "citations_delta") == 0 && json_object_get(delta, "citation") != NULL)
	{
		s->changed = true;
		if (s->citations == NULL)
			s->citations = json_array();
		if (json_array_append(s->citations, json_object_get(delta, "citation")) != 0)
			return TZ_NOMEM;
	}
	return TZ_OK;
}

static void
take_input(TzStream *st, json_t *piece)
{
	TzAnthropicStream *s = tz_model_stream_own(st);

	if (!json_is_string(piece) || json_string_length(piece) == 0)
		return;
	s->changed = true;
	if (s->call < 0)
		tz_model_append(&s->input, piece);
	else
		(void) tz_model_stream_arguments(st, &tz_model_stream_answer(st)->calls[s->call],
		                                 tz_slice(json_string_value(piece), json_string_length(piece)));
}

static TzStatus
block_stop(TzStream *st, TzSlice data, json_t *doc)
{
	TzAnthropicStream *s = tz_model_stream_own(st);

	if (s->block != NULL && json_integer_value(json_object_get(doc, "index")) == s->index)
		close_block(st);
	return TZ_OK;
}

static TzStatus
message_delta(TzStream *st, TzSlice data, json_t *doc)
{
	tz_anthropic_stop(tz_model_stream_answer(st), json_object_get(doc, "delta"));
	merge_usage(st, json_object_get(doc, "usage"));
	return TZ_OK;
}

static TzStatus
message_stop(TzStream *st, TzSlice data, json_t *doc)
{
	close_block(st);
	tz_model_stream_ended(st);
	return TZ_OK;
}

static TzStatus
stream_error(TzStream *st, TzSlice data, json_t *doc)
{
	return tz_model_stream_fault(st, doc);
}

void
tz_anthropic_finish(TzStream *st)
{
	tz_anthropic_wire(tz_model_stream_answer(st));
}

void
tz_anthropic_release(void *own)
{
	TzAnthropicStream *s = own;

	clear_block(s);
	json_decref(s->usage);
	s->usage = NULL;
}

static void
close_block(TzStream *st)
{
	TzAnthropicStream *s = tz_model_stream_own(st);
	TzModelAnswer *a = tz_model_stream_answer(st);
	const char *type = json_string_value(json_object_get(s->block, "type"));
	TzModelCall *call;
	TzBuf raw;

	if (s->block == NULL)
		return;
	call = s->call >= 0 ? &a->calls[s->call] : NULL;
	/* arguments that came whole with the shape */
	if (call != NULL && call->arguments.len == 0)
	{
		TzSlice input = {NULL, 0};

		if (tz_json_raw_member(tz_buf_slice(&s->start), "input", &input))
			tz_buf_append(&call->arguments, input.data, input.len);
	}
	tz_buf_init(&raw, a->max);
	if (s->changed)
		write_block(s, call, &raw);
	if (s->start.status != TZ_OK || s->signature.status != TZ_OK || raw.status != TZ_OK)
		a->status = raw.status == TZ_NOMEM ? TZ_NOMEM : TZ_TOO_LARGE;
	else if (!s->changed)
		tz_anthropic_block(a, s->block, tz_buf_slice(&s->start), call);
	else if (s->text.len > 0 || type == NULL || strcmp(type, "text") != 0)
		tz_anthropic_block(a, NULL, tz_buf_slice(&raw), call);
	tz_buf_free(&raw);
	clear_block(s);
}

/* The members in their order, each with what the pieces made of it. */
static void
write_block(const TzAnthropicStream *s, const TzModelCall *call, TzBuf *out)
{
	const char *key;
	json_t *value;
	bool signature = json_object_get(s->block, "signature") != NULL;
	bool citations = json_object_get(s->block, "citations") != NULL;
	bool any = false;

	tz_buf_append_byte(out, '{');
	json_object_foreach (s->block, key, value)
	{
		if (any)
			tz_buf_append_byte(out, ',');
		any = write_member(s, call, key, value, out);
	}
	if (s->signature.len > 0 && !signature)
	{
		tz_buf_append_byte(out, ',');
		write_member(s, call, "signature", NULL, out);
	}
	if (s->citations != NULL && !citations)
	{
		tz_buf_append_byte(out, ',');
		write_member(s, call, "citations", s->citations, out);
	}
	tz_buf_append_byte(out, '}');
}

static bool
write_member(const TzAnthropicStream *s, const TzModelCall *call, const char *key, json_t *value, TzBuf *out)
{
	tz_model_quote(out, tz_slice_cstr(key));
	tz_buf_append_byte(out, ':');
	if (strcmp(key, "text") == 0 || strcmp(key, "thinking") == 0)
		tz_model_quote(out, tz_buf_slice(&s->text));
	else if (strcmp(key, "signature") == 0)
		tz_model_quote(out, tz_buf_slice(&s->signature));
	else if (strcmp(key, "input") == 0)
		write_input(tz_buf_slice(call != NULL ? &call->arguments : &s->input), out);
	else
		(void) tz_json_dump(strcmp(key, "citations") == 0 && s->citations != NULL ? s->citations : value, out,
		                    NULL);
	return true;
}

/*
 * As the model wrote it, if it is an object: anything else would be refused in the
 * history. That it was something else, the model hears as the result of the call.
 */
static void
write_input(TzSlice text, TzBuf *out)
{
	TzJsonLimits limits = {.max_bytes = SIZE_MAX, .max_depth = 64, .max_values = 200000};
	json_t *value = NULL;

	limits.flags = TZ_JSON_DUPLICATES | TZ_JSON_NUL;
	if (tz_json_parse(text, &limits, &value, NULL) == TZ_OK && json_is_object(value))
		tz_buf_append(out, text.data, text.len);
	else
		tz_buf_append_cstr(out, "{}");
	json_decref(value);
}

/* Later counts replace earlier ones, null leaves them. */
static void
merge_usage(TzStream *st, json_t *usage)
{
	TzAnthropicStream *s = tz_model_stream_own(st);
	const char *key;
	json_t *value;

	if (!json_is_object(usage))
		return;
	if (s->usage == NULL)
		s->usage = json_object();
	json_object_foreach (usage, key, value)
	{
		if (s->usage != NULL && !json_is_null(value))
			json_object_set(s->usage, key, value);
	}
	tz_anthropic_usage(tz_model_stream_answer(st), s->usage);
}

static void
clear_block(TzAnthropicStream *s)
{
	json_decref(s->block);
	json_decref(s->citations);
	s->block = NULL;
	s->citations = NULL;
	s->changed = false;
	tz_buf_free(&s->start);
	tz_buf_free(&s->text);
	tz_buf_free(&s->input);
	tz_buf_free(&s->signature);
}
