/*-------------------------------------------------------------------------
 *
 * score.h
 *	  What a text says against the shipped rules, as numbers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_SCORE_H
#define TZ_SCORE_H

#include "lib/buf.h"
#include "safety/lexicon.h"

/* At these, in hundredths, a text is stopped. */
#define TZ_TOXICITY_MAX 40
#define TZ_INJECTION_MAX 35

#define TZ_RULES_MAX 224

/* Weight in hundredths with which each rule was found; 0: not. */
typedef struct TzFinding
{
	uint8_t weight[TZ_RULES_MAX];
} TzFinding;

typedef struct TzScores
{
	int toxicity; /* hundredths, of the categories the level looks at */
	int injection;
	int rule; /* that says most, -1: none */
	int injection_rule;
} TzScores;

typedef struct TzScorer TzScorer;

/* Compiles the shipped words. What it holds is used by one scan at a time. */
extern TzStatus tz_scorer_create(TzScorer **out, TzErr *err);
extern void tz_scorer_free(TzScorer *scorer);

/* Adds what is found in a text to the finding. On an error it says nothing about the text. */
extern TzStatus tz_scorer_scan(TzScorer *scorer, TzSlice text, TzFinding *finding);

/* Parts add up as independent signs do: 1 - (1 - a)(1 - b)... */
extern void tz_scores(const TzFinding *finding, TzLevel level, TzScores *scores);

#endif /* TZ_SCORE_H */
