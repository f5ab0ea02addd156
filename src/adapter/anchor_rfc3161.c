/*-------------------------------------------------------------------------
 *
 * anchor_rfc3161.c
 *	  An anchor as a time stamp (RFC 3161): the authority signs a digest and a time.
 *
 * Request, beside the round: "nonce" (16 hex digits) and "ca" (PEM). Result: "time_us",
 * "serial", "policy", "signer", "nonce" and "token", the answer as it came, in base64.
 *
 * A stamp too many does no harm, so every failure that may pass is tried again.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "adapter/anchor.h"
#include "adapter/answer.h"
#include "lib/json.h"
#include "lib/sign.h"
#include "lib/tsa.h"
#include "lib/url.h"

static TzStatus stamp_build(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err);
static void stamp_parse(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
static TzStatus take_nonce(const TzEffect *effect, uint8_t nonce[TZ_TSA_NONCE_LEN], TzErr *err);
static TzStatus judge(const TzEffect *effect, const TzHttpResponse *in, TzTsaStamp *stamp, TzErr *err);
static json_t *stamp_result(const TzEffect *effect, const TzHttpResponse *in, const TzTsaStamp *stamp);

static const char *const op_names[] = {"rfc3161", NULL};

extern const TzAdapter tz_anchor_rfc3161;
const TzAdapter tz_anchor_rfc3161 = {
	.name = "rfc3161",
	.kind = TZ_ANCHOR,
	.ops = op_names,
	.build = stamp_build,
	.parse = stamp_parse,
};

static TzStatus
stamp_build(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	TzSlice url = tz_slice_cstr(to->url);
	uint8_t nonce[TZ_TSA_NONCE_LEN];
	uint8_t digest[TZ_TSA_DIGEST_LEN];
	TzAnchor anchor;
	TzUrl parts;
	TzStatus status;

	tz_http_request_free(out);
	tz_http_request_init(out, TZ_TSA_REQUEST_MAX);
	out->method = "POST";
	out->timeout_ms = 30000;
	out->max_response = TZ_TSA_ANSWER_MAX;
	out->allow_http = to->allow_http;
	out->allow_private = to->allow_private;
	if (url.len == 0)
		return tz_err_set(err, TZ_BAD_INPUT, "the anchor was deleted");
	status = tz_anchor_of(effect, &anchor, err);
	if (status == TZ_OK)
		status = take_nonce(effect, nonce, err);
	if (status == TZ_OK)
		status = tz_url_split(url, &parts, err);
	if (status == TZ_OK && tz_buf_append(&out->url, url.data, parts.fragment) != TZ_OK)
		status = tz_err_set(err, out->url.status, "URL is too long");
	if (status == TZ_OK)
		status = tz_anchor_digest(&anchor, digest, err);
	if (status == TZ_OK)
		status = tz_tsa_request(digest, nonce, &out->body, err);
	if (status == TZ_OK)
		status = tz_http_request_header(out, "Content-Type", TZ_TSA_REQUEST_TYPE, false, err);
	if (status == TZ_OK)
		status = tz_http_request_header(out, "Accept", TZ_TSA_ANSWER_TYPE, false, err);
	if (status == TZ_OK)
		status = tz_anchor_credential(effect, out, err);
	return status;
}

static void
stamp_parse(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	TzTsaStamp stamp;
	TzStatus status;

	if (in->err.status != TZ_OK)
	{
		tz_answer_transport(effect, TZ_REPEAT_READ, in, out);
		return;
	}
	if (in->status < 200 || in->status > 299)
	{
		tz_answer_status(effect, TZ_REPEAT_READ, in, out);
		return;
	}
	status = judge(effect, in, &stamp, &out->err);
	if (status == TZ_OK)
	{
		tz_answer_done(out, stamp_result(effect, in, &stamp));
		return;
	}
	tz_answer_fail(in, "provider_error", out);
	if (status == TZ_UNAVAILABLE)
		out->verdict = TZ_V_RETRY;
}

static TzStatus
judge(const TzEffect *effect, const TzHttpResponse *in, TzTsaStamp *stamp, TzErr *err)
{
	TzSlice ca = {NULL, 0};
	uint8_t nonce[TZ_TSA_NONCE_LEN];
	uint8_t digest[TZ_TSA_DIGEST_LEN];
	TzAnchor anchor;
	TzStatus status = tz_anchor_of(effect, &anchor, err);

	if (status == TZ_OK)
		status = take_nonce(effect, nonce, err);
	if (status == TZ_OK)
		status = tz_anchor_digest(&anchor, digest, err);
	if (status == TZ_OK)
		status = tz_json_get_str(effect->request, "ca", false, TZ_TSA_CA_MAX, &ca, err);
	if (status == TZ_OK)
		status = tz_tsa_check(tz_buf_slice(&in->body), digest, nonce, ca, stamp, err);
	return status;
}

static TzStatus
take_nonce(const TzEffect *effect, uint8_t nonce[TZ_TSA_NONCE_LEN], TzErr *err)
{
	TzSlice hex = {NULL, 0};
	TzStatus status = tz_json_get_str(effect->request, "nonce", true, 2 * TZ_TSA_NONCE_LEN, &hex, err);
	TzBuf bytes;

	if (status != TZ_OK)
		return status;
	tz_buf_init(&bytes, TZ_TSA_NONCE_LEN);
	if (hex.len != 2 * TZ_TSA_NONCE_LEN || tz_hex_decode(hex, &bytes, err) != TZ_OK)
		status = tz_err_set(err, TZ_BAD_INPUT, "nonce of the time stamp is not valid");
	else
		memcpy(nonce, bytes.data, TZ_TSA_NONCE_LEN);
	tz_buf_free(&bytes);
	return status;
}

/* NULL when out of memory. */
static json_t *
stamp_result(const TzEffect *effect, const TzHttpResponse *in, const TzTsaStamp *stamp)
{
	json_t *result = json_object();
	TzBuf token;
	bool good;

	tz_buf_init(&token, 2 * TZ_TSA_ANSWER_MAX);
	good = tz_base64_append(&token, in->body.data, in->body.len) == TZ_OK &&
	       json_object_set_new(result, "time_us", json_integer(stamp->at_us)) == 0 &&
	       tz_json_set_text(result, "serial", tz_slice_cstr(stamp->serial), NULL) == TZ_OK &&
	       tz_json_set_text(result, "policy", tz_slice_cstr(stamp->policy), NULL) == TZ_OK &&
	       tz_json_set_text(result, "signer", tz_slice_cstr(stamp->signer), NULL) == TZ_OK &&
	       json_object_set(result, "nonce", json_object_get(effect->request, "nonce")) == 0 &&
	       json_object_set_new(result, "token", json_string(token.data)) == 0;
	tz_buf_free(&token);
	if (good)
		return result;
	json_decref(result);
	return NULL;
}
