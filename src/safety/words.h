/*-------------------------------------------------------------------------
 *
 * words.h
 *	  Which of some thousand words stand in a text, and where.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_WORDS_H
#define TZ_WORDS_H

#include "lib/buf.h"

typedef struct TzWordSet TzWordSet;

/* Lower case, not empty; borrowed as long as the set lives. */
typedef struct TzWord
{
	const char *text;
	uint32_t id; /* given to the callback */
} TzWord;

/* The word stands before byte `end`. False ends the scan. */
typedef bool (*TzWordFn)(void *arg, uint32_t id, size_t end);

extern TzStatus tz_words_create(const TzWord *words, size_t n, TzWordSet **out);

/*
 * Tells each word that begins where a word of the text does, or with a sign; letters
 * of either case. anywhere: at every place. Returns false when the callback ended it.
 */
extern bool tz_words_scan(const TzWordSet *set, TzSlice text, bool anywhere, TzWordFn fn, void *arg);
extern void tz_words_free(TzWordSet *set);

#endif /* TZ_WORDS_H */
