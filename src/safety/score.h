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
#include "safety/features.h"
#include "safety/lexicon.h"
#include "safety/model.h"

/* At these, in hundredths, a text is stopped. */
#define TZ_TOXICITY_MAX 40
#define TZ_INJECTION_MAX 35

#define TZ_RULES_MAX 224

typedef struct TzFinding
{
	uint8_t weight[TZ_RULES_MAX]; /* in hundredths, of each rule that was found; 0: not */
	/* what the model says of the window that is most like it, in hundredths */
	uint8_t injection;
	uint8_t toxicity;
	bool harmful; /* rather than toxic */
} TzFinding;

typedef struct TzScores
{
	int toxicity; /* hundredths, of the categories the level looks at */
	int injection;
	int rule; /* that says most, -1: none */
	int injection_rule;
	bool by_rules; /* the rules alone would say enough */
	bool injection_by_rules;
} TzScores;

typedef struct TzScorer TzScorer;

/* Compiles the shipped words. What it holds is used by one scan at a time. */
extern TzStatus tz_scorer_create(TzScorer **out, TzErr *err);
extern void tz_scorer_free(TzScorer *scorer);

/* One way to read a text, and what was found in it. */
typedef TzStatus (*TzReadFn)(void *arg, TzSlice reading, const TzSign *signs, size_t n);

#define TZ_WHY_MAX 8

/* Why the model says what it says: phrases of the text as it was read, the heaviest first. */
typedef struct TzWhy
{
	char text[64]; /* folded, cut where it is longer */
	int weight; /* hundredths of a logit */
} TzWhy;

/* The class is the one a text of that finding is named by; n at most; *found: how many. */
extern TzStatus tz_scorer_explain(TzScorer *scorer, TzSlice text, bool injection, TzWhy *out, size_t n,
                                  size_t *found);

/* Adds what the rules find in a text to the finding, and tells every way to read it. */
extern TzStatus tz_scorer_read(TzScorer *scorer, TzSlice text, TzFinding *finding, TzReadFn fn, void *arg);

/* Adds what is found in a text to the finding. On an error it says nothing about the text. */
extern TzStatus tz_scorer_scan(TzScorer *scorer, TzSlice text, TzFinding *finding);

/*
 * Rules add up as independent signs do: 1 - (1 - a)(1 - b)... From moderate on, and for injections, they are signs
 * among others to the model, whose word counts; but what the level light stops is stopped.
 */
extern void tz_scores(const TzFinding *finding, TzLevel level, TzScores *scores);

#endif /* TZ_SCORE_H */
