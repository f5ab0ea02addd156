/*-------------------------------------------------------------------------
 *
 * sign.h
 *	  Digests and signatures, and the encodings they travel in.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_SIGN_H
#define TZ_SIGN_H

#include "lib/buf.h"

#define TZ_SHA256_LEN 32

extern TzStatus tz_sha256(TzSlice data, uint8_t out[TZ_SHA256_LEN], TzErr *err);

/* HMAC-SHA-256 of data under key (any length). */
extern TzStatus tz_hmac_sha256(TzSlice key, TzSlice data, uint8_t out[TZ_SHA256_LEN], TzErr *err);

/* The same over several parts laid end to end, so that nobody copies a body to sign it. */
extern TzStatus tz_hmac_sha256_parts(TzSlice key, const TzSlice *parts, int nparts,
                                     uint8_t out[TZ_SHA256_LEN], TzErr *err);

/* Lower-case hex; standard base64 with padding. Appended to out. */
extern TzStatus tz_hex_append(TzBuf *out, const void *data, size_t len);
extern TzStatus tz_base64_append(TzBuf *out, const void *data, size_t len);

/* The value of a hex digit in either case, -1 for none. */
extern int tz_hex_digit(char c);

/* Strict inverses: no white space, hex in either case. Appended to out. */
extern TzStatus tz_hex_decode(TzSlice in, TzBuf *out, TzErr *err);
extern TzStatus tz_base64_decode(TzSlice in, TzBuf *out, TzErr *err);

#endif /* TZ_SIGN_H */
