/*-------------------------------------------------------------------------
 *
 * model.h
 *	  What a text is like, by what was learnt from labelled ones.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_MODEL_H
#define TZ_MODEL_H

#include "safety/features.h"

/* What the model tells apart from what is harmless. */
typedef enum TzClass
{
	TZ_CLASS_INJECTION,
	TZ_CLASS_TOXIC,
	TZ_CLASS_HARMFUL,
	TZ_CLASSES
} TzClass;

/* A window is so many words and telling signs of a text at most, and so many bytes. */
#define TZ_MODEL_UNITS 36
#define TZ_MODEL_REACH 400

/* Features have a slot by the upper bits of their number, and are known again by others. */
#define TZ_MODEL_SLOTS 65536
#define TZ_MODEL_TAGS 4096

/* Weights are whole numbers; so many of them are one logit. */
#define TZ_MODEL_ONE 400

/*
 * What a window must weigh to be stopped at the level moderate, and how many thousandths
 * of a logit less will do at the level strict. Chosen so that of the harmless texts the
 * model has not seen, at most one in a hundred is stopped.
 */
#define TZ_MODEL_STOP_INJECTION (2 * TZ_MODEL_ONE)
#define TZ_MODEL_STOP_TOXICITY (2 * TZ_MODEL_ONE)
#define TZ_MODEL_STRICT 700
/* So many thousandths of a logit below that, the model is sure of the opposite: what rules find there does not count. */
#define TZ_MODEL_SURE 2000

/* What is kept of a unit while it is in the window; more signs than that at one place say nothing new. */
#define TZ_MODEL_RING 64 /* a power of two, more than the units of a window */
#define TZ_MODEL_KEPT 128
#define TZ_MODEL_RULES 16

typedef struct TzUnit
{
	uint32_t start; /* in bytes */
	uint32_t n;
	uint32_t rules; /* signs that are rules */
	uint16_t slot[TZ_MODEL_KEPT];
	const TzSign *rule[TZ_MODEL_RULES];
} TzUnit;

/* The window as it moves. */
typedef struct TzSlide
{
	TzUnit unit[TZ_MODEL_RING];
	int32_t sum[TZ_CLASSES];
	uint32_t rules; /* in the window */
	int32_t sure; /* thousandths of a logit below the stop at which they do not count */
	bool unsaid
		[2]; /* there is one, of toxicity or of injection, and what they say together is not known yet */
} TzSlide;

typedef struct TzEntry
{
	int16_t weight[TZ_CLASSES];
	uint16_t times; /* it stands in the window */
} TzEntry;

/* Used by one at a time. */
typedef struct TzModel
{
	TzSlide slide;
	int32_t bias[TZ_CLASSES];
	uint16_t tag[TZ_MODEL_SLOTS]; /* 0: nothing here */
	TzEntry entry[TZ_MODEL_SLOTS];
} TzModel;

/* What one window weighs for each class, in parts of TZ_MODEL_ONE of a logit. */
typedef struct TzWeighed
{
	int32_t of[TZ_CLASSES];
	uint32_t start; /* of the window, in bytes */
	uint32_t end;
} TzWeighed;

/* The windows that weigh most; nothing yet when end is 0. */
typedef struct TzPeaks
{
	TzWeighed injection;
	TzWeighed toxicity;
	int32_t toxicity_most; /* toxic and harmful together */
	/* the most that rules say together in a window of which the model is not sure that it is harmless, in hundredths */
	int rules_injection;
	int rules_toxicity;
} TzPeaks;

extern TzStatus tz_model_load(TzModel **out);
extern void tz_model_free(TzModel *model);

/* Weighs each window of a folded text. signs: sorted by where they end, more or less. */
extern void tz_model_read(TzModel *model, TzSlice text, const TzSign *signs, size_t n, TzPeaks *peaks);

/* Hundredths, those of the rules that count among them; under 10 is nothing. At TZ_INJECTION_MAX and TZ_TOXICITY_MAX are the operating points of the level moderate. */
extern int tz_model_injection(const TzPeaks *peaks);
extern int tz_model_toxicity(const TzPeaks *peaks);
/* The same evidence under a level that stops more. */
extern int tz_model_strict(int hundredths);

/* A phrase of the window that weighs most, with what it adds to the logit, in hundredths. */
typedef struct TzReason
{
	uint32_t start;
	uint32_t end;
	int weight;
} TzReason;

/* The phrases that weigh most for a class in a window, the heaviest first; returns how many. */
extern size_t tz_model_explain(const TzModel *model, TzSlice text, const TzSign *signs, size_t n,
                               const TzWeighed *window, TzClass what, TzReason *out, size_t max);

/* What the trainer shares with the filter. */
extern int32_t tz_model_weight_injection(const TzPeaks *peaks);
extern int32_t tz_model_weight_toxicity(const TzPeaks *peaks);
extern bool tz_model_too_long(uint32_t start, size_t units, uint32_t end);
extern uint32_t tz_model_slot(uint64_t hash);
extern uint16_t tz_model_tag(uint64_t hash);

#endif /* TZ_MODEL_H */
