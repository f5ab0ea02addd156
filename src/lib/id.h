/*-------------------------------------------------------------------------
 *
 * id.h
 *	  Prefixed, time-ordered identifiers.
 *
 * An id is a prefix ([a-z]+), an underscore and a root: 26 characters of
 * Crockford base32 that hold 48 bits of unix milliseconds and 80 further bits.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_ID_H
#define TZ_ID_H

#include "lib/buf.h"

#define TZ_ID_ROOT_LEN 26
#define TZ_ID_PREFIX_MAX 13
#define TZ_ID_MAX (TZ_ID_PREFIX_MAX + 1 + TZ_ID_ROOT_LEN)
#define TZ_ID_TAIL_LEN 10 /* bytes after the time */
#define TZ_ID_BYTES 16 /* of a root: six of time, then the tail */
#define TZ_ID_MS_MAX ((INT64_C(1) << 48) - 1)

/* Root of a time (0 .. TZ_ID_MS_MAX) and 80 bits; out is terminated. */
extern TzStatus tz_id_root(int64_t unix_ms, const uint8_t tail[TZ_ID_TAIL_LEN], char out[TZ_ID_ROOT_LEN + 1],
                           TzErr *err);

/* Smallest root of that millisecond: a partition bound. */
extern TzStatus tz_id_floor(int64_t unix_ms, char out[TZ_ID_ROOT_LEN + 1], TzErr *err);

/* prefix_root; out is terminated. */
extern TzStatus tz_id_make(TzSlice prefix, int64_t unix_ms, const uint8_t tail[TZ_ID_TAIL_LEN],
                           char out[TZ_ID_MAX + 1], TzErr *err);

/* Takes an id or a bare root apart; prefix is empty for a root. */
extern TzStatus tz_id_split(TzSlice id, TzSlice *prefix, TzSlice *root, TzErr *err);

/* Milliseconds in an id or a root. */
extern TzStatus tz_id_time(TzSlice id, int64_t *unix_ms, TzErr *err);

/* The root as 16 bytes, big-endian, which sort as the text does; and back. */
extern TzStatus tz_id_pack(TzSlice id, uint8_t out[TZ_ID_BYTES], TzErr *err);
extern TzStatus tz_id_unpack(TzSlice prefix, const uint8_t bytes[TZ_ID_BYTES], char out[TZ_ID_MAX + 1],
                             TzErr *err);

/*
 * An id that follows from its inputs: time of time_from (an id or a root) and
 * the first 80 bits of SHA-256(seed).
 */
extern TzStatus tz_id_derive(TzSlice prefix, TzSlice time_from, TzSlice seed, char out[TZ_ID_MAX + 1],
                             TzErr *err);

#endif /* TZ_ID_H */
