/*-------------------------------------------------------------------------
 *
 * model_stream.c
 *	  A streamed answer, from bytes to an outcome.
 *
 * The status 200 of a stream says nothing about its end. Only the protocol's own
 * end mark does: without it the answer is truncated, and nothing in it may be run.
 * Memory is bounded by the endpoint's ceiling on an answer, counted over all bytes
 * fed, so that a stream of nothing but keep-alives ends as well.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "adapter/answer.h"
#include "adapter/model.h"
#include "lib/json.h"
#include "lib/sse.h"

struct TzStream
{
	const TzModelProtocol *protocol;
	TzSse sse;
	TzModelAnswer answer;
	TzDeltaFn on_delta;
	void *arg;
	size_t max; /* bytes that may be fed in all */
	size_t fed;
	bool ended; /* whole, by the protocol's own word */
	json_t *fault; /* the provider's error, owned */
	TzErr err; /* why the stream cannot be gone on with */
	void *own;
};

static TzStatus take_event(void *arg, const TzSseEvent *event);
static TzStatus take_document(TzStream *st, const TzSseEvent *event);
static bool is_mark(const TzStream *st, TzSlice data);

/* NULL: out of memory. */
TzStream *
tz_model_stream_new(const TzModelProtocol *protocol, const TzEffect *effect, const TzEndpoint *to,
                    TzDeltaFn on_delta, void *arg)
{
	TzStream *st = calloc(1, sizeof(*st));

	if (st == NULL)
		return NULL;
	st->own = calloc(1, protocol->own_size);
	if (st->own == NULL)
	{
		free(st);
		return NULL;
	}
	st->protocol = protocol;
	st->on_delta = on_delta;
	st->arg = arg;
	st->max = to->max_response;
	tz_sse_init(&st->sse, st->max, st->max, take_event, st);
	tz_model_answer_init(&st->answer, effect, st->max);
	return st;
}

void
tz_model_stream_free(TzStream *st)
{
	if (st == NULL)
		return;
	if (st->protocol->release != NULL)
		st->protocol->release(st->own);
	free(st->own);
	tz_sse_free(&st->sse);
	tz_model_answer_free(&st->answer);
	json_decref(st->fault);
	free(st);
}

TzStatus
tz_model_stream_feed(TzStream *st, TzSlice bytes, TzErr *err)
{
	TzStatus status = st->err.status;

	if (st->ended)
		return TZ_OK; /* what comes behind the end means nothing */
	if (status == TZ_OK && bytes.len > st->max - st->fed)
		status = tz_err_set(&st->err, TZ_TOO_LARGE, "provider's stream is longer than %zu bytes", st->max);
	if (status == TZ_OK)
	{
		st->fed += bytes.len;
		status = tz_sse_feed(&st->sse, bytes);
		if (status != TZ_OK && st->err.status == TZ_OK)
			tz_err_set(&st->err, status, "%s",
			           status == TZ_NOMEM ? "out of memory"
			                              : "an event of the provider's stream is too large");
	}
	if (status != TZ_OK && err != NULL)
		*err = st->err;
	return status;
}

void
tz_model_stream_end(TzStream *st, const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	bool clean;

	if (in->status < 200 || in->status >= 300 || (st->fed == 0 && !tz_answer_streams(in)))
	{
		tz_model_parse(st->protocol, effect, in, out);
		return;
	}
	if (st->err.status == TZ_OK && tz_sse_end(&st->sse, &clean) != TZ_OK && st->err.status == TZ_OK)
		tz_err_set(&st->err, st->sse.status, "an event of the provider's stream is too large");
	if (st->fault != NULL)
		tz_model_fault(effect, in, st->fault, &st->answer, out);
	else if (st->ended)
	{
		if (st->protocol->finish != NULL)
			st->protocol->finish(st);
		tz_model_done(effect, in, &st->answer, out);
	}
	else if (st->err.status != TZ_OK)
	{
		if (st->answer.status == TZ_OK && st->err.status != TZ_BAD_ANSWER)
			st->answer.status = st->err.status; /* the same again would end alike */
		tz_model_truncated(effect, in, &st->answer, st->err.message, out);
		if (in->err.status == TZ_OK || in->err.status == TZ_CANCELLED)
		{
			TzVerdict verdict =
				effect->attempt < TZ_MODEL_ATTEMPTS && st->answer.status == TZ_OK ? TZ_V_RETRY : TZ_V_FAILED;

			/* it was we who gave it up, and why is known */
			out->err = st->err;
			out->verdict = verdict;
		}
	}
	else
		tz_model_truncated(effect, in, &st->answer, "no end mark", out);
}

bool
tz_model_stream_whole(const TzStream *st)
{
	return st->ended || st->fault != NULL;
}

static TzStatus
take_event(void *arg, const TzSseEvent *event)
{
	TzStream *st = arg;
	TzStatus status;

	if (st->ended || st->fault != NULL || event->data.len == 0)
		return TZ_OK; /* what comes behind the end means nothing */
	if (is_mark(st, event->data))
		return st->protocol->event(st, event->data, NULL);
	status = take_document(st, event);
	if (status == TZ_OK)
		status = tz_model_answer_status(&st->answer);
	if (status != TZ_OK && st->err.status == TZ_OK)
		tz_err_set(&st->err, status, "%s",
		           status == TZ_NOMEM        ? "out of memory"
		           : status == TZ_BAD_ANSWER ? "an event of the provider's stream was not understood"
		           : st->answer.ncalls >= TZ_MODEL_CALLS_MAX ? "the model called too many tools at once"
		                                                     : "provider's answer is too large");
	return status;
}

static TzStatus
take_document(TzStream *st, const TzSseEvent *event)
{
	TzBuf scratch;
	TzSlice text;
	json_t *doc;
	TzErr err;
	TzStatus status = TZ_OK;

	tz_err_clear(&err);
	tz_buf_init(&scratch, SIZE_MAX);
	doc = tz_answer_document(event->data, &scratch, &text, &err);
	if (json_is_object(doc))
		status = st->protocol->event(st, text, doc);
	else if (event->terminated)
		status = err.status == TZ_NOMEM ? TZ_NOMEM : TZ_BAD_ANSWER;
	json_decref(doc);
	tz_buf_free(&scratch);
	return status;
}

static bool
is_mark(const TzStream *st, TzSlice data)
{
	while (data.len > 0 && (data.data[data.len - 1] == ' ' || data.data[data.len - 1] == '\t'))
		data.len--;
	return st->protocol->done_mark != NULL && tz_slice_eq_cstr(data, st->protocol->done_mark);
}

TzModelAnswer *
tz_model_stream_answer(TzStream *st)
{
	return &st->answer;
}

void *
tz_model_stream_own(TzStream *st)
{
	return st->own;
}

void
tz_model_stream_ended(TzStream *st)
{
	st->ended = true;
}

TzStatus
tz_model_stream_fault(TzStream *st, json_t *doc)
{
	st->fault = json_incref(doc);
	return TZ_OK;
}

TzStatus
tz_model_stream_text(TzStream *st, TzDeltaKind kind, json_t *string)
{
	TzDelta delta = {.kind = kind};

	if (!json_is_string(string) || json_string_length(string) == 0)
		return TZ_OK;
	delta.text = tz_slice(json_string_value(string), json_string_length(string));
	if (kind == TZ_DELTA_TEXT)
		tz_buf_append(&st->answer.text, delta.text.data, delta.text.len);
	else
		st->answer.hidden_chars += tz_model_chars(delta.text);
	if (st->on_delta != NULL)
		st->on_delta(st->arg, &delta);
	return TZ_OK;
}

void
tz_model_stream_call(TzStream *st, const TzModelCall *call)
{
	TzDelta delta = {.kind = TZ_DELTA_TOOL,
	                 .index = (int) (call - st->answer.calls),
	                 .id = call->id,
	                 .name = call->name};

	if (st->on_delta != NULL)
		st->on_delta(st->arg, &delta);
}

TzStatus
tz_model_stream_arguments(TzStream *st, TzModelCall *call, TzSlice text)
{
	TzDelta delta = {.kind = TZ_DELTA_ARGUMENTS, .index = (int) (call - st->answer.calls), .text = text};

	if (text.len == 0)
		return TZ_OK;
	if (st->on_delta != NULL)
		st->on_delta(st->arg, &delta);
	return tz_buf_append(&call->arguments, text.data, text.len);
}
