/*-------------------------------------------------------------------------
 *
 * text.h
 *	  JSON from a hostile process, made fit for a column of type jsonb.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_RUNNER_TEXT_H
#define TZ_RUNNER_TEXT_H

#include "lib/buf.h"

/*
 * Appends one JSON value to out as it is, but for escapes of U+0000 and of halves of a surrogate pair, which become
 * \ufffd: jsonb refuses them, and plain code can make both. TZ_BAD_INPUT: no JSON, or not UTF-8, or a number that no
 * double has. TZ_TOO_LARGE: nested deeper than max_depth. Never recurses.
 */
extern TzStatus tz_runner_json(TzSlice in, int max_depth, TzBuf *out);

#endif /* TZ_RUNNER_TEXT_H */
