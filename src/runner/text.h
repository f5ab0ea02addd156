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
#include "lib/status.h"

/* Of all its numbers together, as they are written out: {"n": 1e300} has 300. Such a text is longer by at most so much. */
#define TZ_RUNNER_ZEROS_MAX (4 * 1024 * 1024)

/*
 * Appends one JSON value to out as it is, but for escapes of U+0000 and of halves of a surrogate pair, which become
 * \ufffd: jsonb refuses them, and plain code can make both. TZ_BAD_INPUT: no JSON, or not UTF-8, or a number that no
 * double has. TZ_TOO_LARGE: nested deeper than max_depth, or its
 * exponents say more zeros than TZ_RUNNER_ZEROS_MAX: jsonb writes 1e300 out, each time that it is read. err says
 * which, of a text that "is" so; it may be NULL. Never recurses.
 */
extern TzStatus tz_runner_json(TzSlice in, int max_depth, TzBuf *out, TzErr *err);

#endif /* TZ_RUNNER_TEXT_H */
