/*-------------------------------------------------------------------------
 *
 * webhook_out.c
 *	  Telling a platform's own server what happened: one signed POST.
 *
 * Request: {"id", "type"}: the event's id, under which the delivery is signed and
 * which is the same in every attempt, and its name. Content: the body, to the byte,
 * as it was made when the event happened. Result: {"status"}.
 *
 * Only a 2xx is an arrival; what else the receiver says, short, is kept as the
 * reason. When it is tried again is decided in SQL (webhook_out.sql): here is only
 * said that it may be, and how long the receiver asks to be left alone. 410 says
 * that nobody will come back.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "adapter/answer.h"
#include "adapter/signed.h"
#include "lib/json.h"
#include "lib/url.h"

#define BODY_MAX (4 * 1024 * 1024)
#define ANSWER_MAX (16 * 1024)
#define NAME_MAX_BYTES 128
#define GONE 410
#define WAIT_MAX_MS (24 * 60 * 60 * 1000)

static TzStatus notice_build(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err);
static void notice_parse(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
static TzStatus take_url(const TzEndpoint *to, TzHttpRequest *out, TzErr *err);
static TzStatus take_headers(const TzEffect *effect, TzHttpRequest *out, TzErr *err);
static TzStatus take_name(const TzEffect *effect, const char *member, char *name, TzErr *err);
static void refused(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);

static const char *const op_names[] = {"deliver", NULL};

extern const TzAdapter tz_webhook_out;
const TzAdapter tz_webhook_out = {
	.name = "webhook_out",
	.kind = TZ_WEBHOOK,
	.ops = op_names,
	.build = notice_build,
	.parse = notice_parse,
};

static TzStatus
notice_build(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	TzStatus status;

	tz_http_request_free(out);
	tz_http_request_init(out, BODY_MAX);
	out->method = "POST";
	out->timeout_ms = 10000;
	out->max_response = ANSWER_MAX;
	out->cut_response = true;
	out->allow_http = to->allow_http;
	out->allow_private = to->allow_private;

	status = take_url(to, out, err);
	if (status == TZ_OK && tz_buf_append(&out->body, effect->content.data, effect->content.len) != TZ_OK)
		status = tz_err_set(err, out->body.status, "body is too large");
	if (status == TZ_OK)
		status = take_headers(effect, out, err);
	return status;
}

static void
notice_parse(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	json_t *result;

	if (in->err.status != TZ_OK)
	{
		tz_answer_transport(effect, TZ_REPEAT_NEVER, in, out);
		/* whether it was told or not, telling it again does no harm; an address that is not allowed stays so */
		if (in->err.status != TZ_REFUSED && in->err.status != TZ_CANCELLED)
			out->verdict = TZ_V_RETRY;
		return;
	}
	if (in->status < 200 || in->status > 299)
	{
		refused(effect, in, out);
		return;
	}
	result = json_object();
	if (result != NULL && json_object_set_new(result, "status", json_integer(in->status)) != 0)
	{
		json_decref(result);
		result = NULL;
	}
	tz_answer_done(out, result);
}

/* Of now: whoever moves a webhook moves what waits for it. */
static TzStatus
take_url(const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	TzSlice url = tz_slice_cstr(to->url != NULL ? to->url : "");
	TzUrl parts;
	TzStatus status;

	if (url.len == 0)
		return tz_err_set(err, TZ_BAD_INPUT, "the webhook was deleted or disabled");
	status = tz_url_split(url, &parts, err);
	if (status != TZ_OK)
		return status;
	if (tz_buf_append(&out->url, url.data, parts.fragment) != TZ_OK)
		return tz_err_set(err, out->url.status, "url is too long");
	return TZ_OK;
}

static TzStatus
take_headers(const TzEffect *effect, TzHttpRequest *out, TzErr *err)
{
	TzEffect as_signed = *effect;
	char id[NAME_MAX_BYTES + 1];
	char type[NAME_MAX_BYTES + 1];
	TzStatus status = take_name(effect, "id", id, err);

	if (status == TZ_OK)
		status = take_name(effect, "type", type, err);
	/* one event told to two webhooks of a receiver is one event */
	as_signed.id = id;
	if (status == TZ_OK)
		status = tz_signed_headers(&as_signed, out, err);
	if (status == TZ_OK)
		status = tz_http_request_header(out, "X-Theazo-Event", type, false, err);
	if (status == TZ_OK)
		status = tz_http_request_header(out, "X-Theazo-Delivery", id, false, err);
	if (status == TZ_OK)
		status = tz_http_request_header(out, "Content-Type", "application/json", false, err);
	return status;
}

static TzStatus
take_name(const TzEffect *effect, const char *member, char *name, TzErr *err)
{
	TzSlice value = {NULL, 0};
	TzStatus status = tz_json_get_str(effect->request, member, true, NAME_MAX_BYTES, &value, err);

	if (status != TZ_OK)
		return status;
	memcpy(name, value.data, value.len);
	name[value.len] = '\0';
	return TZ_OK;
}

/* Of 3xx too: a redirect is not followed with a signature. */
static void
refused(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	tz_err_set(&out->err, in->status >= 500 || in->status == 429 ? TZ_UNAVAILABLE : TZ_REFUSED,
	           "the webhook's receiver answered %d", in->status);
	if (in->status >= 300 && in->status < 400)
		tz_err_hint(&out->err, "Redirects are not followed; give the final address.");
	tz_answer_fail(in, "provider_error", out);
	tz_answer_upstream(in, NULL, out);
	if (in->status == GONE)
		return;
	out->verdict = TZ_V_RETRY;
	if (!tz_retry_after_ms(tz_http_response_header(in, "retry-after"), effect->now_ms, WAIT_MAX_MS,
	                       &out->retry_after_ms))
		out->retry_after_ms = 0;
}
