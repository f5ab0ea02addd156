/*-------------------------------------------------------------------------
 *
 * fold.h
 *	  A text as the words of the filter are written.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_FOLD_H
#define TZ_FOLD_H

#include "lib/buf.h"

/*
 * Appends text in lower case, without accents, with letters of other scripts and
 * styles that look like Latin ones written so, without characters nobody sees, and
 * each run of white space as one space. A letter of another script becomes one byte
 * that is part of no word. Never longer than the text; what is no UTF-8 does no harm.
 */
extern TzStatus tz_fold(TzSlice text, TzBuf *out);

/*
 * Where the last bytes of a text begin that say so much: white space counts once in a
 * row, characters nobody sees not at all, everything else what it takes.
 */
extern size_t tz_fold_tail(TzSlice text, size_t want);

/* True when folding would change nothing but case: then the text itself can be read. */
extern bool tz_fold_plain(TzSlice text);

/*
 * Appends what a text says in disguise. signs: digits and signs among letters read as
 * the letters they stand for, and base64 decoded. joined: letters set apart
 * ("i g n o r e") put together, where words may have lost their ends. Nothing is
 * appended when there is nothing of the kind. folded: what tz_fold made of the text.
 */
extern TzStatus tz_fold_disguised(TzSlice text, TzSlice folded, TzBuf *signs, TzBuf *joined);

#endif /* TZ_FOLD_H */
