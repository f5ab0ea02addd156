/*-------------------------------------------------------------------------
 *
 * e2b_exec.c
 *	  Commands in an E2B sandbox: the stream of their answer.
 *
 * The answer to a start is a stream: its start, what it prints, its end, and the end of
 * the stream, which alone makes the answer whole. The status of the answer is 200 in
 * any case. Defaults are left out: an end without an exit code is an exit code of 0.
 *
 * Whether the stream is read as it comes or was collected, the same code reads it.
 *
 *-------------------------------------------------------------------------
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/connect.h"
#include "adapter/e2b.h"
#include "lib/json.h"
#include "lib/sign.h"
#include "lib/utf8.h"

#define OUTPUT_MAX_DEFAULT (1024 * 1024)
#define CHARACTER 4 /* bytes of the longest one */
#define EXIT_TIMED_OUT 124 /* of timeout(1) */
#define EXIT_KILLED 137 /* it had to kill */

typedef struct Output
{
	TzBuf text;
	size_t max;
	bool cut;
} Output;

struct TzStream
{
	TzConnect frames;
	TzErr err; /* why it is no use going on */
	TzDeltaFn on_delta;
	void *arg;
	Output out;
	Output errout;
	TzBuf piece; /* one chunk, decoded */
	int64_t timeout_ms;
	bool fed;
	bool started;
	bool over; /* the process has ended */
	int64_t exit_code;
};

static TzStatus on_message(void *arg, TzSlice message, TzErr *err);

/* ---- the stream --------------------------------------------------------------------- */

TzStream *
tz_e2b_stream_new(const TzEffect *effect, const TzEndpoint *to, TzDeltaFn on_delta, void *arg)
{
	TzStream *s = calloc(1, sizeof(*s));
	int64_t max = OUTPUT_MAX_DEFAULT;

	(void) to;
	if (s == NULL)
		return NULL;
	(void) tz_json_get_int(effect->request, "max_output", false, 1, INT_MAX, &max, NULL);
	s->timeout_ms = 60000;
	(void) tz_json_get_int(effect->request, "timeout_ms", false, 1, INT_MAX, &s->timeout_ms, NULL);
	s->on_delta = on_delta;
	s->arg = arg;
	s->out.max = s->errout.max = (size_t) max;
	tz_buf_init(&s->out.text, (size_t) max + CHARACTER);
	tz_buf_init(&s->errout.text, (size_t) max + CHARACTER);
	tz_buf_init(&s->piece, TZ_CONNECT_FRAME_MAX);
	tz_connect_init(&s->frames, TZ_CONNECT_FRAME_MAX, on_message, s);
	return s;
}

void
tz_e2b_stream_free(TzStream *s)
{
	if (s == NULL)
		return;
	tz_connect_free(&s->frames);
	tz_buf_wipe(&s->out.text);
	tz_buf_wipe(&s->errout.text);
	tz_buf_wipe(&s->piece);
	free(s);
}

bool
tz_e2b_stream_wants(const TzEffect *effect, const TzHttpResponse *head)
{
	return strcmp(effect->op, "exec") == 0 && tz_connect_streams(head);
}

bool
tz_e2b_stream_whole(const TzStream *s)
{
	return s->frames.ended;
}

TzStatus
tz_e2b_stream_feed(TzStream *s, TzSlice bytes, TzErr *err)
{
	TzStatus status;

	s->fed = true;
	if (s->err.status != TZ_OK)
		return tz_err_set(err, s->err.status, "%s", s->err.message);
	status = tz_connect_feed(&s->frames, bytes, &s->err);
	s->err.status = status;
	if (status != TZ_OK)
		tz_err_set(err, status, "%s", s->err.message);
	return status;
}

/* One chunk of output: base64, up to the ceiling and a little beyond, to see where a character ends. */
static TzStatus
take_output(TzStream *s, json_t *data, const char *key, TzDeltaKind kind, Output *to, TzErr *err)
{
	TzDelta delta = {.kind = kind};
	TzSlice text = {NULL, 0};
	size_t room;
	TzStatus status = tz_json_get_str(data, key, false, TZ_CONNECT_FRAME_MAX, &text, err);

	if (status != TZ_OK || text.len == 0)
		return status == TZ_OK ? TZ_OK : tz_err_set(err, TZ_BAD_ANSWER, "\"%s\" is no string", key);
	tz_buf_reset(&s->piece);
	if (tz_base64_decode(text, &s->piece, NULL) != TZ_OK)
		return tz_err_set(err, TZ_BAD_ANSWER, "\"%s\" is not base64", key);
	delta.text = tz_buf_slice(&s->piece);
	if (s->on_delta != NULL && delta.text.len > 0)
		s->on_delta(s->arg, &delta);
	room = to->text.max - to->text.len;
	if (delta.text.len > room)
		to->cut = true;
	if (tz_buf_append(&to->text, delta.text.data, delta.text.len < room ? delta.text.len : room) != TZ_OK)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	return TZ_OK;
}

/* "signal: killed", perhaps "(core dumped)": as a shell would say it. */
static int
signal_code(const char *status)
{
	static const struct
	{
		const char *words;
		int number;
	} signals[] = {
		{"hangup", 1},        {"interrupt", 2},
		{"quit", 3},          {"illegal instruction", 4},
		{"trace", 5},         {"aborted", 6},
		{"bus error", 7},     {"floating point", 8},
		{"killed", 9},        {"user defined signal 1", 10},
		{"segmentation", 11}, {"user defined signal 2", 12},
		{"broken pipe", 13},  {"alarm clock", 14},
		{"terminated", 15},
	};

	if (status == NULL || strncmp(status, "signal: ", 8) != 0)
		return -1;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (strncmp(status + 8, signals[i].words, strlen(signals[i].words)) == 0)
			return 128 + signals[i].number;
	return -1;
}

static TzStatus
take_end(TzStream *s, json_t *end, TzErr *err)
{
	int64_t code = 0;

	if (s->over)
		return tz_err_set(err, TZ_BAD_ANSWER, "process ends twice");
	if (tz_json_get_int(end, "exitCode", false, INT_MIN, INT_MAX, &code, NULL) != TZ_OK)
		return tz_err_set(err, TZ_BAD_ANSWER, "\"exitCode\" is no number");
	if (code == -1)
		code = signal_code(json_string_value(json_object_get(end, "status")));
	s->exit_code = code;
	s->over = true;
	return TZ_OK;
}

/* One event; those nobody knows yet are passed over, as are keep-alives. */
static TzStatus
on_message(void *arg, TzSlice message, TzErr *err)
{
	static const TzJsonLimits limits = {.max_bytes = TZ_CONNECT_FRAME_MAX,
	                                    .max_depth = 32,
	                                    .max_values = 10000,
	                                    .flags = TZ_JSON_NUL | TZ_JSON_DUPLICATES};
	TzStream *s = arg;
	json_t *doc = NULL;
	json_t *event;
	json_t *data;
	TzStatus status = TZ_OK;

	if (tz_json_parse(message, &limits, &doc, NULL) != TZ_OK || !json_is_object(doc))
	{
		json_decref(doc);
		return tz_err_set(err, TZ_BAD_ANSWER, "message of the stream is no JSON object");
	}
	event = json_object_get(doc, "event");
	if (json_object_get(event, "start") != NULL)
		s->started = true;
	data = json_object_get(event, "data");
	if (data != NULL)
	{
		s->started = true;
		status = take_output(s, data, "stdout", TZ_DELTA_STDOUT, &s->out, err);
		if (status == TZ_OK)
			status = take_output(s, data, "stderr", TZ_DELTA_STDERR, &s->errout, err);
	}
	if (status == TZ_OK && json_object_get(event, "end") != NULL)
		status = take_end(s, json_object_get(event, "end"), err);
	json_decref(doc);
	return status;
}

/* ---- what came of it ------------------------------------------------------------------ */

static void
add_output(json_t *result, const char *key, Output *from, bool *cut)
{
	TzSlice text = tz_buf_slice(&from->text);
	size_t len = tz_utf8_cut(text, from->max);

	*cut |= from->cut || len < text.len;
	(void) tz_json_set_text(result, key, tz_slice(text.data != NULL ? text.data : "", len), NULL);
}

static void
finish(TzStream *s, const TzHttpResponse *in, bool deadline, TzOutcome *out)
{
	json_t *result = json_object();
	bool cut = false;
	bool timed_out = deadline || ((s->exit_code == EXIT_TIMED_OUT || s->exit_code == EXIT_KILLED) &&
	                              in->total_us / 1000 >= s->timeout_ms);

	add_output(result, "stdout", &s->out, &cut);
	add_output(result, "stderr", &s->errout, &cut);
	json_object_set_new(result, "exit_code", json_integer(timed_out ? EXIT_TIMED_OUT : s->exit_code));
	json_object_set_new(result, "truncated", json_boolean(cut));
	json_object_set_new(result, "timed_out", json_boolean(timed_out));
	tz_answer_done(out, result);
}

/* The stream itself says that the call went wrong. */
static void
stream_error(TzStream *s, const TzHttpResponse *in, TzOutcome *out)
{
	TzConnectCode code = tz_connect_code(s->frames.error, 0);
	json_t *said = json_pack("{s:O}", "error", s->frames.error);

	if (code == TZ_CONNECT_DEADLINE_EXCEEDED)
	{
		json_decref(said);
		finish(s, in, true, out);
		return;
	}
	tz_err_set(&out->err, TZ_REFUSED, "the sandbox did not run the command: %s", tz_connect_code_name(code));
	tz_answer_fail(in, "provider_error", out);
	switch (code)
	{
		case TZ_CONNECT_CANCELED:
		case TZ_CONNECT_UNKNOWN:
		case TZ_CONNECT_INTERNAL:
		case TZ_CONNECT_UNAVAILABLE:
		case TZ_CONNECT_DATA_LOSS:
		case TZ_CONNECT_ABORTED:
			/* it went down while the command may have been at work */
			out->verdict = TZ_V_UNKNOWN;
			break;
		case TZ_CONNECT_UNAUTHENTICATED:
			tz_err_hint(&out->err, "Check the user that the provider's config names.");
			break;
		default:
			if (s->started)
				out->verdict = TZ_V_UNKNOWN;
			tz_err_hint(&out->err, "The provider's log says more.");
			break;
	}
	tz_answer_upstream(in, said, out);
	json_decref(said);
}

static void
not_understood(const TzHttpResponse *in, const char *why, TzOutcome *out)
{
	tz_answer_bad(in, out, "%s", why);
	tz_err_hint(&out->err, "Whether the command ran to its end is not known; look at what it left.");
}

/* Of a stream that was read or collected. */
static void
stream_over(TzStream *s, const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	TzEffect counted = tz_e2b_counted(effect);

	if (s->err.status != TZ_OK)
		not_understood(in, s->err.message, out);
	/* what comes behind the last envelope does not matter, nor how the connection ended */
	else if (s->frames.ended && s->frames.error != NULL)
		stream_error(s, in, out);
	else if (s->frames.ended && s->over)
		finish(s, in, false, out);
	else if (s->frames.ended)
		not_understood(in, "stream ends without the end of the process", out);
	else if (in->err.status != TZ_OK)
	{
		tz_answer_transport(&counted, TZ_REPEAT_NEVER, in, out);
		/* whether it broke off before the end of the command or behind it nobody knows */
		if (in->err.status == TZ_BAD_ANSWER && in->maybe_sent)
			out->verdict = TZ_V_UNKNOWN;
	}
	else
	{
		tz_err_set(&out->err, TZ_UNAVAILABLE, "stream of the command's output was cut");
		tz_answer_fail(in, "provider_error", out);
		out->verdict = TZ_V_UNKNOWN;
	}
}

/* The file with long code is there: now run it. */
static bool
was_upload(const TzHttpResponse *in)
{
	return in->request != NULL && in->request->url.len > 0 &&
	       strstr(in->request->url.data, "/files?") != NULL;
}

static void
uploaded(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	tz_e2b_written(effect, in, out);
	if (out->verdict == TZ_V_DONE)
		tz_e2b_next(effect, NULL, json_pack("{s:b}", "uploaded", 1), 0, out);
}

void
tz_e2b_executed(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	TzStream *s;

	if (was_upload(in))
		uploaded(effect, in, out);
	else if (!tz_connect_streams(in))
		tz_e2b_failed(effect, TZ_REPEAT_NEVER, in, out);
	else if ((s = tz_e2b_stream_new(effect, NULL, NULL, NULL)) == NULL)
		tz_answer_done(out, NULL);
	else
	{
		(void) tz_e2b_stream_feed(s, tz_buf_slice(&in->body), NULL);
		stream_over(s, effect, in, out);
		tz_e2b_stream_free(s);
	}
}

void
tz_e2b_stream_end(TzStream *s, const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	if (s->fed || (strcmp(effect->op, "exec") == 0 && tz_connect_streams(in)))
		stream_over(s, effect, in, out);
	else
		tz_e2b_parse(effect, in, out);
}
