/*-------------------------------------------------------------------------
 *
 * match.h
 *	  Many patterns over one text, in time linear in the text.
 *
 * The only file that knows which library does it is match.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_MATCH_H
#define TZ_MATCH_H

#include "lib/buf.h"

/* Of one expression, so that a set of them stays small. */
#define TZ_PATTERN_MAX 512
/* Expressions of one set. */
#define TZ_PATTERNS_MAX 256

typedef struct TzMatcher TzMatcher;

typedef struct TzPattern
{
	uint32_t id; /* given to the callback */
	const char *text;
} TzPattern;

/* A match that ends before byte `end`. False ends the scan. */
typedef bool (*TzMatchFn)(void *arg, uint32_t id, size_t end);

/*
 * Regular expressions without look-around and back-references, letters of either
 * case; each is told once, at the first end. TZ_BAD_INPUT names the one that cannot be
 * used and says why; TZ_TOO_LARGE: the set as a whole.
 */
extern TzStatus tz_matcher_expressions(const TzPattern *patterns, size_t n, TzMatcher **out, TzErr *err);

/* TZ_CANCELLED when the callback ended it. Anything else but TZ_OK: the text was not looked at to its end. */
extern TzStatus tz_matcher_scan(const TzMatcher *matcher, TzSlice text, TzMatchFn fn, void *arg);
extern void tz_matcher_free(TzMatcher *matcher);

#endif /* TZ_MATCH_H */
