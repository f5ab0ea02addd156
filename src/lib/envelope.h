/*-------------------------------------------------------------------------
 *
 * envelope.h
 *	  Sealing and opening of secrets: HKDF-SHA256 and AES-256-GCM.
 *
 * master key --HKDF(platform salt; platform id, key version)--> platform key
 * platform key --HKDF-Expand(record salt)--> record key --AES-256-GCM--> sealed bytes
 *
 * docs/vault.md has the format and test vectors.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_ENVELOPE_H
#define TZ_ENVELOPE_H

#include "lib/buf.h"

#define TZ_KEY_LEN 32
#define TZ_SALT_LEN 32
#define TZ_SECRET_MAX 65536 /* bytes of one secret */
#define TZ_SEALED_OVERHEAD 17 /* format byte and tag */
#define TZ_FINGERPRINT_LEN 16 /* hex digits */

/* Version of the derivation of platform keys; stored nowhere, as it has been 1 for ever. */
#define TZ_PLATFORM_KEY_VERSION 1

/* The reserved platform that owns what belongs to the operator. */
#define TZ_OPERATOR_PLATFORM "plt_00000000000000000000000000"

/* Kept contexts of one process (never carried over a fork with keys inside). */
typedef struct TzEnvelope TzEnvelope;

/* What a sealed value is bound to; a value moved elsewhere does not open. */
typedef struct TzSealName
{
	TzSlice platform;
	TzSlice session; /* empty: the platform's own */
	TzSlice name;
	uint32_t version;
} TzSealName;

extern TzStatus tz_envelope_new(TzEnvelope **out, TzErr *err);
extern void tz_envelope_free(TzEnvelope *env);

/* RFC 5869; at most 255 * 32 bytes. */
extern TzStatus tz_envelope_hkdf(TzEnvelope *env, TzSlice ikm, TzSlice salt, TzSlice info, uint8_t *out,
                                 size_t out_len, TzErr *err);

/* Wipe it when done. */
extern TzStatus tz_envelope_platform_key(TzEnvelope *env, const uint8_t master[TZ_KEY_LEN],
                                         TzSlice platform_salt, TzSlice platform, uint32_t key_version,
                                         uint8_t out[TZ_KEY_LEN], TzErr *err);

/* The same for the operator's own vault, under a label no platform's key has. */
extern TzStatus tz_envelope_operator_key(TzEnvelope *env, const uint8_t master[TZ_KEY_LEN], TzSlice salt,
                                         TzSlice operator_id, uint32_t key_version, uint8_t out[TZ_KEY_LEN],
                                         TzErr *err);

/* Public name of a master key: says nothing about it. out is terminated. */
extern TzStatus tz_envelope_fingerprint(TzEnvelope *env, const uint8_t master[TZ_KEY_LEN],
                                        char out[TZ_FINGERPRINT_LEN + 1], TzErr *err);

/*
 * Seals plain (at most TZ_SECRET_MAX bytes) and appends the result to sealed.
 * record_salt must be fresh random bytes for every call: it makes the key, and
 * a key must never seal two values.
 */
extern TzStatus tz_envelope_seal(TzEnvelope *env, const uint8_t platform_key[TZ_KEY_LEN],
                                 const TzSealName *name, const uint8_t record_salt[TZ_SALT_LEN],
                                 TzSlice plain, TzBuf *sealed, TzErr *err);

/*
 * Opens; appends to plain (make it with tz_buf_init_secret). TZ_CRYPTO when
 * anything at all is not as it was sealed; plain is then as it was before.
 */
extern TzStatus tz_envelope_open(TzEnvelope *env, const uint8_t platform_key[TZ_KEY_LEN],
                                 const TzSealName *name, TzSlice record_salt, TzSlice sealed, TzBuf *plain,
                                 TzErr *err);

#endif /* TZ_ENVELOPE_H */
