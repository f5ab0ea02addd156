/*-------------------------------------------------------------------------
 *
 * anchor.c
 *	  What adapters of anchors share: the round to anchor, and who asks.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "adapter/anchor.h"
#include "adapter/signed.h"
#include "lib/json.h"
#include "lib/sign.h"

TzStatus
tz_anchor_of(const TzEffect *effect, TzAnchor *out, TzErr *err)
{
	TzSlice root = {NULL, 0};
	int64_t size = 0;
	TzBuf bytes;
	TzStatus status;

	memset(out, 0, sizeof(*out));
	status = tz_json_get_str(effect->request, "round", true, TZ_ANCHOR_ROUND_MAX, &out->round, err);
	if (status == TZ_OK)
		status = tz_json_get_int(effect->request, "at_us", true, 0, INT64_MAX, &out->at_us, err);
	if (status == TZ_OK)
		status = tz_json_get_int(effect->request, "size", true, 1, INT64_MAX, &size, err);
	if (status == TZ_OK)
		status = tz_json_get_str(effect->request, "root", true, 2 * TZ_ANCHOR_ROOT_LEN, &root, err);
	if (status != TZ_OK)
		return status;
	out->size = (uint64_t) size;
	tz_buf_init(&bytes, TZ_ANCHOR_ROOT_LEN);
	if (root.len != 2 * TZ_ANCHOR_ROOT_LEN || tz_hex_decode(root, &bytes, err) != TZ_OK)
		status = tz_err_set(err, TZ_BAD_INPUT, "root of the round is not valid");
	else
		memcpy(out->root, bytes.data, TZ_ANCHOR_ROOT_LEN);
	tz_buf_free(&bytes);
	return status;
}

TzStatus
tz_anchor_credential(const TzEffect *effect, TzHttpRequest *req, TzErr *err)
{
	TzSlice credential = tz_effect_secret(effect, "credential");
	TzStatus status = TZ_OK;

	for (int i = 0; status == TZ_OK && i < effect->nsecrets; i++)
		status = tz_http_request_mask(req, effect->secrets[i].value, err);
	if (status == TZ_OK && credential.len > 0)
		status = tz_credential_header(req, "Authorization", "Bearer ", credential, err);
	return status;
}
