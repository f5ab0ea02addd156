/*-------------------------------------------------------------------------
 *
 * json_raw.h
 *	  The exact bytes of a part of a JSON text.
 *
 * What a provider said must sometimes be sent back to it as it was: number form,
 * order of keys, escapes. These functions find the bytes. The text must be one
 * that the parser has accepted; for any other text they find nothing or a part of
 * it, and never read outside.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_JSON_RAW_H
#define TZ_JSON_RAW_H

#include "lib/buf.h"

/*
 * Value of a member of the object that text is; of two with the same key the last.
 * A key that is written with escapes is not found.
 */
extern bool tz_json_raw_member(TzSlice text, const char *key, TzSlice *out);

/* The next item of the array that text is. *at: 0 at first. */
extern bool tz_json_raw_item(TzSlice text, size_t *at, TzSlice *out);

/*
 * Appends the text without blanks between its parts; numbers, escapes and the order of
 * keys stay as they are. Fails only as tz_buf_append does, with what fitted in out.
 */
extern TzStatus tz_json_raw_compact(TzSlice text, TzBuf *out);

#endif /* TZ_JSON_RAW_H */
