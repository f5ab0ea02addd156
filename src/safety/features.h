/*-------------------------------------------------------------------------
 *
 * features.h
 *	  What a folded text consists of, as numbers that the model has weights for.
 *
 * The trainer and the filter read texts with the same code, so what was learnt is what
 * is seen.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_FEATURES_H
#define TZ_FEATURES_H

#include "lib/buf.h"

/* Of one token at most. */
#define TZ_FEATURES_MAX 8
#define TZ_WORD_MAX 32 /* letters that tell words apart */

/* Something that somebody else found in the text: it belongs to the token that ends there or behind. */
typedef struct TzSign
{
	uint64_t hash;
	uint32_t start;
	uint32_t end;
	uint8_t rule; /* it is one: which, counted from 1 */
	uint8_t weight; /* of the rule, in hundredths */
	bool injection; /* what the rule speaks of; else of toxicity */
} TzSign;

typedef struct TzFeature
{
	uint64_t hash;
	uint32_t start; /* of the words it is made of; they end where the token does */
} TzFeature;

/* A word, or signs in a row. */
typedef struct TzToken
{
	uint32_t start;
	uint32_t end;
	bool word;
	bool ends; /* a sentence */
	uint32_t n;
	TzFeature feature[TZ_FEATURES_MAX];
} TzToken;

/* What stands before a token, as far as it is looked back. */
typedef struct TzBefore
{
	uint64_t stem; /* 0: none */
	uint32_t start;
} TzBefore;

typedef struct TzTokens
{
	TzSlice text;
	size_t at;
	TzBefore before[2]; /* the nearest first */
	uint64_t mark; /* signs just before; 0: none */
	uint32_t mark_start;
} TzTokens;

/* The text must be folded, of less than 4 GB and live as long. */
extern void tz_tokens_init(TzTokens *tokens, TzSlice text);
extern bool tz_tokens_next(TzTokens *tokens, TzToken *out);

/* The number of something that has a kind and up to two parts. */
extern uint64_t tz_feature_hash(uint32_t kind, uint64_t a, uint64_t b);

/* Kinds of features, part of what is hashed. */
enum
{
	TZ_F_WORD = 1,
	TZ_F_STEM,
	TZ_F_PAIR,
	TZ_F_SKIP,
	TZ_F_MARK,
	TZ_F_MARKED,
	TZ_F_RULE,
	TZ_F_CONCEPT,
	TZ_F_CONCEPTS
};

#endif /* TZ_FEATURES_H */
