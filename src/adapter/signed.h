/*-------------------------------------------------------------------------
 *
 * signed.h
 *	  Headers that prove to a customer's endpoint who is calling.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_ADAPTER_SIGNED_H
#define TZ_ADAPTER_SIGNED_H

#include "adapter/adapter.h"

/* First secret of that use, or an empty slice. */
extern TzSlice tz_effect_secret(const TzEffect *effect, const char *use);

/* Adds a header that carries a credential behind prefix ("Bearer " or ""). */
extern TzStatus tz_credential_header(TzHttpRequest *req, const char *name, const char *prefix,
                                     TzSlice credential, TzErr *err);

/*
 * Adds, over the body as it stands in req:
 *	Authorization		Bearer and the secret of use "credential"
 *	X-Theazo-Signature	sha256= and the hex HMAC of the body
 *	X-Theazo-Timestamp	ms
 *	webhook-id, webhook-timestamp, webhook-signature	(Standard Webhooks)
 * The key is the secret of use "signing", else the credential. Without either
 * nothing is signed. Every secret of the effect is masked in later messages.
 */
extern TzStatus tz_signed_headers(const TzEffect *effect, TzHttpRequest *req, TzErr *err);

#endif /* TZ_ADAPTER_SIGNED_H */
