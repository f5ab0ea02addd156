/*-------------------------------------------------------------------------
 *
 * signed.c
 *	  Bearer token, body signature and the Standard Webhooks triple.
 *
 * Two signatures travel with every request. Ours covers the body alone, which is
 * what documented receivers check; the Standard Webhooks one binds the call's id
 * and time as well, so a captured request cannot be sent again later. Its key is
 * decoded from base64 when it has the form whsec_..., as stock libraries expect;
 * ours takes the secret's bytes as they are. While a key is being replaced, the
 * one before it signs as well, in the header that can hold several.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "adapter/signed.h"
#include "lib/sign.h"

#define CREDENTIAL_MAX 8192

static TzStatus add_signature(TzSlice key, TzHttpRequest *req, TzErr *err);
static TzStatus add_triple(const TzEffect *effect, TzSlice key, TzHttpRequest *req, TzErr *err);
static TzStatus triple_sign(const TzEffect *effect, TzSlice secret, const char *stamp, TzSlice body,
                            TzBuf *out, TzErr *err);
static TzStatus triple_key(TzSlice secret, TzBuf *key);

TzSlice
tz_effect_secret(const TzEffect *effect, const char *use)
{
	for (int i = 0; i < effect->nsecrets; i++)
		if (strcmp(effect->secrets[i].use, use) == 0)
			return effect->secrets[i].value;
	return tz_slice(NULL, 0);
}

TzStatus
tz_signed_headers(const TzEffect *effect, TzHttpRequest *req, TzErr *err)
{
	TzSlice credential = tz_effect_secret(effect, "credential");
	TzSlice key = tz_effect_secret(effect, "signing");
	TzStatus status = TZ_OK;
	char stamp[32];

	if (key.len == 0)
		key = credential;
	for (int i = 0; status == TZ_OK && i < effect->nsecrets; i++)
		status = tz_http_request_mask(req, effect->secrets[i].value, err);
	if (status == TZ_OK && credential.len > 0)
		status = tz_credential_header(req, "Authorization", "Bearer ", credential, err);
	if (status == TZ_OK && key.len > 0)
		status = add_signature(key, req, err);
	if (status == TZ_OK)
	{
		snprintf(stamp, sizeof(stamp), "%lld", (long long) effect->now_ms);
		status = tz_http_request_header(req, "X-Theazo-Timestamp", stamp, false, err);
	}
	if (status == TZ_OK)
		status = add_triple(effect, key, req, err);
	return status;
}

TzStatus
tz_credential_header(TzHttpRequest *req, const char *name, const char *prefix, TzSlice credential, TzErr *err)
{
	TzBuf value;
	TzStatus status;

	if (memchr(credential.data, 0, credential.len) != NULL)
		return tz_err_set(err, TZ_BAD_INPUT, "credential has a control character");
	tz_buf_init_secret(&value, CREDENTIAL_MAX);
	tz_buf_append_cstr(&value, prefix);
	status = tz_buf_append(&value, credential.data, credential.len);
	if (status == TZ_TOO_LARGE)
		tz_err_set(err, status, "credential is longer than %d bytes", CREDENTIAL_MAX - 7);
	else if (status != TZ_OK)
		tz_err_set(err, status, "out of memory");
	else
	{
		status = tz_http_request_header(req, name, value.data, true, err);
		if (status == TZ_BAD_INPUT)
		{
			tz_err_set(err, status, "credential has a control character");
			tz_err_hint(err, "Store the secret again, without a line break at its end.");
		}
	}
	tz_buf_wipe(&value);
	return status;
}

static TzStatus
add_signature(TzSlice key, TzHttpRequest *req, TzErr *err)
{
	uint8_t mac[TZ_SHA256_LEN];
	TzBuf value;
	TzStatus status = tz_hmac_sha256(key, tz_buf_slice(&req->body), mac, err);

	if (status != TZ_OK)
		return status;
	tz_buf_init(&value, 128);
	tz_buf_append_cstr(&value, "sha256=");
	status = tz_hex_append(&value, mac, sizeof(mac));
	if (status == TZ_OK)
		status = tz_http_request_header(req, "X-Theazo-Signature", value.data, true, err);
	else
		tz_err_set(err, status, "out of memory");
	tz_buf_free(&value);
	return status;
}

static TzStatus
add_triple(const TzEffect *effect, TzSlice secret, TzHttpRequest *req, TzErr *err)
{
	TzSlice previous = tz_effect_secret(effect, "previous");
	char stamp[32];
	TzBuf value;
	TzStatus status;

	snprintf(stamp, sizeof(stamp), "%lld", (long long) (effect->now_ms / 1000));
	status = tz_http_request_header(req, "webhook-id", effect->id, false, err);
	if (status == TZ_OK)
		status = tz_http_request_header(req, "webhook-timestamp", stamp, false, err);
	if (status != TZ_OK || secret.len == 0)
		return status;

	tz_buf_init(&value, 256);
	status = triple_sign(effect, secret, stamp, tz_buf_slice(&req->body), &value, err);
	if (status == TZ_OK && previous.len > 0)
	{
		tz_buf_append_cstr(&value, " ");
		status = triple_sign(effect, previous, stamp, tz_buf_slice(&req->body), &value, err);
	}
	if (status == TZ_OK)
		status = tz_http_request_header(req, "webhook-signature", value.data, true, err);
	tz_buf_free(&value);
	return status;
}

static TzStatus
triple_sign(const TzEffect *effect, TzSlice secret, const char *stamp, TzSlice body, TzBuf *out, TzErr *err)
{
	uint8_t mac[TZ_SHA256_LEN];
	TzBuf key;
	TzStatus status;

	tz_buf_init(&key, CREDENTIAL_MAX * 8);
	status = triple_key(secret, &key);
	if (status == TZ_OK)
	{
		TzSlice parts[] = {tz_slice_cstr(effect->id), tz_slice(".", 1), tz_slice_cstr(stamp),
		                   tz_slice(".", 1), body};

		status = tz_hmac_sha256_parts(tz_buf_slice(&key), parts, 5, mac, err);
	}
	else
		tz_err_set(err, status, "signing secret cannot be used");
	tz_buf_wipe(&key);
	if (status != TZ_OK)
		return status;
	tz_buf_append_cstr(out, "v1,");
	status = tz_base64_append(out, mac, sizeof(mac));
	return status == TZ_OK ? TZ_OK : tz_err_set(err, status, "out of memory");
}

/* What merely looks like whsec_ but is no base64 is taken as it is. */
static TzStatus
triple_key(TzSlice secret, TzBuf *key)
{
	if (secret.len > 6 && memcmp(secret.data, "whsec_", 6) == 0)
	{
		if (tz_base64_decode(tz_slice(secret.data + 6, secret.len - 6), key, NULL) == TZ_OK && key->len > 0)
			return TZ_OK;
		tz_buf_wipe(key);
		tz_buf_init(key, CREDENTIAL_MAX * 8);
	}
	return tz_buf_append(key, secret.data, secret.len);
}
