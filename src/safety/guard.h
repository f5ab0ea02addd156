/*-------------------------------------------------------------------------
 *
 * guard.h
 *	  The verdict about one text: the shipped rules, rows laid over them, and
 *	  personal data.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_GUARD_H
#define TZ_GUARD_H

#include "safety/match.h"
#include "safety/score.h"

#define TZ_GUARD_RULE_MAX 80

/* What is looked for. */
typedef struct TzGuard
{
	TzLevel level;
	bool injection;
	bool pii;
	int hold; /* streams: toxicity, in hundredths, from which on nothing more is given out; 0: none */
} TzGuard;

/* One row laid over the shipped rules. */
typedef struct TzExtraRule
{
	char id[TZ_GUARD_RULE_MAX];
	int category; /* TzCategory */
	uint8_t weight;
} TzExtraRule;

/* The rows of one platform, compiled. */
typedef struct TzExtra
{
	TzMatcher *matcher;
	TzExtraRule *rules; /* by the id of the pattern */
	size_t n;
	int refs; /* who holds it */
} TzExtra;

typedef struct TzJudgement
{
	bool blocked;
	int toxicity; /* hundredths */
	int injection;
	const char *category; /* of what says most, when blocked; "" */
	char rule[TZ_GUARD_RULE_MAX];
} TzJudgement;

/* What parts of one text have said so far. */
typedef struct TzEvidence
{
	TzFinding finding;
	uint8_t extra[TZ_PATTERNS_MAX];
} TzEvidence;

/* Adds what a text says to the evidence. extra may be NULL. On an error nothing is known: it blocks. */
extern TzStatus tz_guard_read(TzScorer *scorer, const TzExtra *extra, const TzGuard *guard, TzSlice text,
                              TzEvidence *evidence);

/* The verdict about the evidence, personal data left out. */
extern void tz_guard_judge(const TzExtra *extra, const TzGuard *guard, const TzEvidence *evidence,
                           TzJudgement *out);

/* Gives back one reference. */
extern void tz_extra_free(TzExtra *extra);
extern bool tz_level_parse(const char *name, TzLevel *level);
extern int tz_category_parse(const char *name); /* -1: none of that name */

#endif /* TZ_GUARD_H */
