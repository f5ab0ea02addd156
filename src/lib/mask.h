/*-------------------------------------------------------------------------
 *
 * mask.h
 *	  Finding secrets in text, also encoded, and putting *** in their place.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_MASK_H
#define TZ_MASK_H

#include "lib/buf.h"

/* All values of one mask together. */
#define TZ_MASK_BYTES_MAX (2 * 1024 * 1024)

typedef struct TzMask TzMask;

/*
 * Builds what finds these values: as they are, each line of at least 8 bytes of
 * those with several, and in base64 (both alphabets, any alignment, wrapped or
 * not). Percent-encoded and JSON-escaped text is seen through, however it was
 * escaped. A value of less than 4 bytes counts only as a whole word. Empty ones
 * are skipped; *out is NULL when none is left. Holds copies, wiped by tz_mask_free.
 */
extern TzStatus tz_mask_create(const TzSlice *values, int n, TzMask **out, TzErr *err);
extern void tz_mask_free(TzMask *mask);

/*
 * Appends text to out with every value found as ***. *found false: there was
 * none, and nothing was appended. cut: text was cut off at its end, so the
 * beginning of a value (4 bytes or more) there is masked as well. mask may be NULL.
 */
extern TzStatus tz_mask_apply(const TzMask *mask, TzSlice text, bool cut, TzBuf *out, bool *found);

/*
 * The same for a text that comes in pieces: all that is given out, joined, is what
 * tz_mask_apply makes of the whole. What may be the beginning of a value is held back.
 */
typedef struct TzMaskStream
{
	const TzMask *mask; /* NULL: everything passes */
	TzBuf held; /* not given out yet, behind the byte that came before it */
	size_t seen; /* 1 when that byte is there */
} TzMaskStream;

/* The mask must live as long. */
extern void tz_mask_stream_init(TzMaskStream *s, const TzMask *mask);
/* Appends to out what is certain. TZ_TOO_LARGE: a value that is never finished; nothing more may be shown. */
extern TzStatus tz_mask_stream_feed(TzMaskStream *s, TzSlice piece, TzBuf *out);
/* Appends the rest. */
extern TzStatus tz_mask_stream_end(TzMaskStream *s, bool cut, TzBuf *out);
extern void tz_mask_stream_free(TzMaskStream *s);

#endif /* TZ_MASK_H */
