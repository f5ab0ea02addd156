/*-------------------------------------------------------------------------
 *
 * answer.c
 *	  From an outside answer to a verdict and a message a user can act on.
 *
 * The outside's own words are kept, short, because they are what explains a
 * failure; but they are hostile text: made printable, cut, and searched for every
 * secret that went out with the request, since error pages like to echo headers.
 *
 *-------------------------------------------------------------------------
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "adapter/answer.h"
#include "lib/json.h"
#include "lib/utf8.h"

#define RETRY_AFTER_MAX_MS (10 * 60 * 1000)
#define UPSTREAM_SHOWN 200
#define UPSTREAM_LOOKED_AT (256 * 1024)

static TzSlice upstream_text(const TzHttpResponse *in, json_t *doc);
static json_t *parse_document(const TzHttpResponse *in, TzErr *err);
static json_t *parse_repaired(TzSlice text, const TzJsonLimits *limits, TzBuf *scratch, TzSlice *used);
static void repair_surrogates(char *text, size_t len);
static bool unit_at(const char *text, size_t len, size_t at, unsigned *out);
static bool is_json_type(const char *type);
static bool names_error(json_t *doc);

void
tz_answer_transport(const TzEffect *effect, TzRepeat repeat, const TzHttpResponse *in, TzOutcome *out)
{
	TzFailure failure = {.status = in->err.status, .http_status = in->status, .maybe_sent = in->maybe_sent};
	TzRetry retry = tz_retry_judge(repeat, &failure, effect->attempt);

	out->err = in->err;
	tz_answer_fail(in, "provider_error", out);
	if (retry == TZ_RETRY_YES)
		out->verdict = TZ_V_RETRY;
	else if (retry == TZ_RETRY_UNKNOWN)
		out->verdict = TZ_V_UNKNOWN;
	/* refused, and nobody was asked: that was our own egress policy */
	if (in->err.status == TZ_REFUSED && !in->maybe_sent)
	{
		out->error_code = "invalid_request";
		if (out->result != NULL)
			json_object_set_new(out->result, "reason", json_string("egress_denied"));
	}
}

void
tz_answer_status(const TzEffect *effect, TzRepeat repeat, const TzHttpResponse *in, TzOutcome *out)
{
	TzFailure failure = {.status = TZ_OK, .http_status = in->status, .maybe_sent = true};
	json_t *doc;

	failure.told_to_wait = tz_retry_after_ms(tz_http_response_header(in, "retry-after"), effect->now_ms,
	                                         RETRY_AFTER_MAX_MS, &out->retry_after_ms);
	tz_err_set(&out->err, in->status == 429 || in->status >= 500 ? TZ_UNAVAILABLE : TZ_REFUSED,
	           "provider answered %d", in->status);
	if (in->status == 401 || in->status == 403)
		tz_err_hint(&out->err, "Check the secret that the provider's credential names.");
	else if (in->status >= 300 && in->status < 400)
		tz_err_hint(&out->err, "Redirects are not followed; give the provider's final URL.");
	else if (in->status == 429 || in->status == 503)
		tz_err_hint(&out->err, "The provider is busy; try again later.");
	else
		tz_err_hint(&out->err, "The provider's log says more; what it answered is in theazo.logs.");
	tz_answer_fail(in, "provider_error", out);
	if (tz_retry_judge(repeat, &failure, effect->attempt) == TZ_RETRY_YES)
		out->verdict = TZ_V_RETRY;
	doc = parse_document(in, NULL);
	tz_answer_upstream(in, doc, out);
	json_decref(doc);
}

void
tz_answer_bad(const TzHttpResponse *in, TzOutcome *out, const char *fmt, ...)
{
	char text[TZ_ERR_MESSAGE_MAX];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	tz_err_set(&out->err, TZ_BAD_ANSWER, "provider's answer was not understood: %s", text);
	tz_err_hint(&out->err, "Compare the provider's endpoint with the webhook compute contract.");
	tz_answer_fail(in, "provider_error", out);
}

json_t *
tz_answer_json(const TzHttpResponse *in, TzOutcome *out)
{
	const char *type = tz_http_response_header(in, "content-type");
	TzErr err;
	json_t *doc;

	tz_err_clear(&err);
	if (type != NULL && !is_json_type(type))
	{
		tz_answer_bad(in, out, "content type is not JSON");
		return NULL;
	}
	if (in->body.len == 0)
	{
		tz_answer_bad(in, out, "empty body");
		return NULL;
	}
	doc = parse_document(in, &err);
	if (doc == NULL)
	{
		tz_answer_bad(in, out, "%s", err.message);
		return NULL;
	}
	if (names_error(doc))
	{
		tz_answer_bad(in, out, "status %d with an error inside", in->status);
		tz_answer_upstream(in, doc, out);
		json_decref(doc);
		return NULL;
	}
	return doc;
}

bool
tz_answer_streams(const TzHttpResponse *head)
{
	const char *type = tz_http_response_header(head, "content-type");

	return head->status >= 200 && head->status < 300 && type != NULL &&
	       strncasecmp(type, "text/event-stream", 17) == 0;
}

void
tz_answer_done(TzOutcome *out, json_t *result)
{
	json_decref(out->result);
	out->result = result;
	if (result != NULL)
	{
		out->verdict = TZ_V_DONE;
		return;
	}
	out->verdict = TZ_V_FAILED;
	out->error_code = "internal_error";
	tz_err_set(&out->err, TZ_NOMEM, "out of memory");
}

TzStatus
tz_answer_mask(const TzHttpResponse *in, TzMask **out)
{
	TzSlice values[TZ_HTTP_MASKS_MAX];
	int n = in->request != NULL ? in->request->nmasks : 0;

	*out = NULL;
	for (int i = 0; i < n; i++)
		values[i] = tz_slice_cstr(in->request->masks[i]);
	return n > 0 ? tz_mask_create(values, n, out, NULL) : TZ_OK;
}

/* Verdict failed, with the facts that the REST document shows. */
void
tz_answer_fail(const TzHttpResponse *in, const char *code, TzOutcome *out)
{
	out->verdict = TZ_V_FAILED;
	out->error_code = code;
	out->err.http_status = in->status;
	json_decref(out->result);
	out->result = json_object();
	if (out->result != NULL && in->status != 0)
		json_object_set_new(out->result, "status", json_integer(in->status));
}

/* {"error": …} with something in it, or {"ok": false}. */
static bool
names_error(json_t *doc)
{
	json_t *error = json_object_get(doc, "error");

	if (json_is_false(json_object_get(doc, "ok")))
		return true;
	if (error == NULL || json_is_null(error) || json_is_false(error))
		return false;
	return !(json_is_string(error) && json_string_length(error) == 0);
}

void
tz_answer_upstream(const TzHttpResponse *in, json_t *doc, TzOutcome *out)
{
	TzSlice raw = upstream_text(in, doc);
	TzMask *mask = NULL;
	TzBuf text;
	TzBuf masked;
	bool cut = raw.len > UPSTREAM_LOOKED_AT;
	bool found = false;

	if (raw.len == 0)
		return;
	if (cut)
		raw.len = UPSTREAM_LOOKED_AT;
	tz_buf_init(&text, UPSTREAM_LOOKED_AT * 3 + 3);
	tz_buf_init(&masked, UPSTREAM_LOOKED_AT * 3 + 3);
	/* rather no word of the provider's than one that was not searched */
	if (tz_utf8_sanitize(raw, &text) == TZ_OK && tz_answer_mask(in, &mask) == TZ_OK &&
	    tz_mask_apply(mask, tz_buf_slice(&text), cut, &masked, &found) == TZ_OK)
	{
		TzBuf *shown = found ? &masked : &text;
		size_t len = tz_utf8_cut(tz_buf_slice(shown), UPSTREAM_SHOWN);

		for (size_t i = 0; i < len; i++)
			if ((unsigned char) shown->data[i] < 0x20 || shown->data[i] == 0x7f)
				shown->data[i] = ' ';
		if (len > 0)
			tz_err_detail(&out->err, "Provider said: %.*s", (int) len, shown->data);
	}
	tz_mask_free(mask);
	tz_buf_wipe(&masked);
	tz_buf_wipe(&text);
}

/* error, error.message, message or detail of a document; else a plain text body. */
static TzSlice
upstream_text(const TzHttpResponse *in, json_t *doc)
{
	json_t *error = json_object_get(doc, "error");
	json_t *candidates[] = {error, json_object_get(error, "message"), json_object_get(doc, "message"),
	                        json_object_get(doc, "detail")};
	const char *type = tz_http_response_header(in, "content-type");

	for (size_t i = 0; i < sizeof(candidates) / sizeof(candidates[0]); i++)
		if (json_is_string(candidates[i]) && json_string_length(candidates[i]) > 0)
			return tz_slice(json_string_value(candidates[i]), json_string_length(candidates[i]));
	if (doc == NULL && type != NULL && strncasecmp(type, "text/plain", 10) == 0)
		return tz_buf_slice(&in->body);
	return tz_slice(NULL, 0);
}

static bool
is_json_type(const char *type)
{
	size_t len = strcspn(type, "; \t");

	if (len == 16 && strncasecmp(type, "application/json", 16) == 0)
		return true;
	if (len == 9 && strncasecmp(type, "text/json", 9) == 0)
		return true;
	return len > 5 && strncasecmp(type + len - 5, "+json", 5) == 0;
}

static json_t *
parse_document(const TzHttpResponse *in, TzErr *err)
{
	TzBuf scratch;
	json_t *doc;

	tz_buf_init(&scratch, SIZE_MAX);
	doc = tz_answer_document(tz_buf_slice(&in->body), &scratch, NULL, err);
	tz_buf_free(&scratch);
	return doc;
}

json_t *
tz_answer_document(TzSlice text, TzBuf *scratch, TzSlice *used, TzErr *err)
{
	/* how long it may be was decided where it was received */
	TzJsonLimits limits = {.max_bytes = SIZE_MAX,
	                       .max_depth = 64,
	                       .max_values = 200000,
	                       .flags = TZ_JSON_NUL | TZ_JSON_DUPLICATES};
	json_t *doc = NULL;
	TzStatus status = tz_json_parse(text, &limits, &doc, err);

	if (used != NULL)
		*used = text;
	if (status == TZ_BAD_INPUT)
		doc = parse_repaired(text, &limits, scratch, used);
	return doc;
}

/*
 * Output of a command can hold broken UTF-8, and a JavaScript serialiser writes
 * half a surrogate pair, cut by a limit, as an escape that no strict parser takes.
 * Neither is worth losing the answer.
 */
static json_t *
parse_repaired(TzSlice text, const TzJsonLimits *limits, TzBuf *scratch, TzSlice *used)
{
	json_t *doc = NULL;

	if (text.len == 0 || memchr(text.data, 0, text.len) != NULL)
		return NULL; /* a NUL outside of an escape is no text at all */
	if (tz_utf8_sanitize(text, scratch) == TZ_OK && scratch->len > 0)
	{
		repair_surrogates(scratch->data, scratch->len);
		(void) tz_json_parse(tz_buf_slice(scratch), limits, &doc, NULL);
		if (doc != NULL && used != NULL)
			*used = tz_buf_slice(scratch);
	}
	return doc;
}

/* A \uD800..\uDFFF that has no partner becomes \uFFFD, in place. */
static void
repair_surrogates(char *text, size_t len)
{
	size_t i = 0;

	while (i + 1 < len)
	{
		unsigned unit;
		unsigned next;

		if (text[i] != '\\')
		{
			i++;
			continue;
		}
		if (!unit_at(text, len, i, &unit) || unit < 0xD800 || unit > 0xDFFF)
		{
			i += 2;
			continue;
		}
		if (unit < 0xDC00 && unit_at(text, len, i + 6, &next) && next >= 0xDC00 && next <= 0xDFFF)
		{
			i += 12;
			continue;
		}
		memcpy(text + i + 2, "fffd", 4);
		i += 6;
	}
}

/* The value of a \uXXXX escape at that place. */
static bool
unit_at(const char *text, size_t len, size_t at, unsigned *out)
{
	char digits[5] = "";
	char *end;

	if (at + 6 > len || text[at] != '\\' || text[at + 1] != 'u')
		return false;
	memcpy(digits, text + at + 2, 4);
	*out = (unsigned) strtoul(digits, &end, 16);
	return end == digits + 4;
}
