/*-------------------------------------------------------------------------
 *
 * utf8.h
 *	  Text from outside, made fit for a text column.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_UTF8_H
#define TZ_UTF8_H

#include "lib/buf.h"

/* Well-formed UTF-8 without NUL, surrogates or overlong forms. */
extern bool tz_utf8_valid(TzSlice in);

/*
 * Appends in to out with every ill-formed sequence and NUL replaced by one
 * U+FFFD each. Fails only as tz_buf_append does.
 */
extern TzStatus tz_utf8_sanitize(TzSlice in, TzBuf *out);

/* Length of the longest prefix of at most max bytes that ends between characters. */
extern size_t tz_utf8_cut(TzSlice in, size_t max);

/* How much of a piece is whole characters: what is left may be the beginning of one that goes on. */
extern size_t tz_utf8_whole(TzSlice in);

/* True if a C0 or C1 control character or DEL is in valid UTF-8. */
extern bool tz_utf8_has_control(TzSlice in);

#endif /* TZ_UTF8_H */
