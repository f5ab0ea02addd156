/*-------------------------------------------------------------------------
 *
 * anchor.h
 *	  What is anchored outside: the bytes that stand for a round's root.
 *
 * A round is a small Merkle tree over the newest signed checkpoint of every
 * platform; its root and its number of leaves are what the outside is given, and
 * nothing else. All kinds of anchors carry the same 45 bytes: a transaction has
 * them as its data, a time-stamp authority signs their SHA-256, a file has a line
 * that says the same in words.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_ANCHOR_H
#define TZ_ANCHOR_H

#include "lib/buf.h"

#define TZ_ANCHOR_ROOT_LEN 32
#define TZ_ANCHOR_DATA_LEN 45 /* "tzan", version 1, size in 8 bytes big-endian, root */
#define TZ_ANCHOR_ROUND_MAX 64 /* bytes of a round's id */
#define TZ_ANCHOR_LINE_MAX 256

typedef struct TzAnchor
{
	TzSlice round; /* id: letters, digits and underscores */
	int64_t at_us; /* when the round was made, microseconds since 1970 UTC */
	uint64_t size; /* leaves of the round's tree */
	uint8_t root[TZ_ANCHOR_ROOT_LEN];
} TzAnchor;

extern void tz_anchor_data(const TzAnchor *anchor, uint8_t out[TZ_ANCHOR_DATA_LEN]);

/* SHA-256 of those bytes: what a time-stamp authority is given. */
extern TzStatus tz_anchor_digest(const TzAnchor *anchor, uint8_t out[32], TzErr *err);

/* Appends "theazo-anchor-1 <round> <time> <size> <root>" and a line feed. */
extern TzStatus tz_anchor_line(const TzAnchor *anchor, TzBuf *out, TzErr *err);

/*
 * Reads such a line (with or without its line feed); the round points into it. TZ_BAD_INPUT
 * for anything that tz_anchor_line would not have written.
 */
extern TzStatus tz_anchor_line_read(TzSlice line, TzAnchor *out, TzErr *err);

#endif /* TZ_ANCHOR_H */
