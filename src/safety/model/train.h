/*-------------------------------------------------------------------------
 *
 * train.h
 *	  What the parts of the program that learns the weights share.
 *
 *	  A program of one run: what it allocates it keeps, and trouble ends it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_TRAIN_H
#define TZ_TRAIN_H

#include "safety/score.h"

#define TEXTS_MIN 2 /* a feature stands in so many texts at least */

/* One way to read a text: where units begin, and the features of each. */
typedef struct Way
{
	uint32_t units;
	uint32_t *start; /* in bytes, of each unit; and where the last one ends */
	uint32_t *first; /* feature of each unit; and how many there are */
	uint32_t *feature;
} Way;

typedef struct Text
{
	int label;
	int part; /* when it is told how it would do */
	bool bench; /* of the corpus */
	bool joined; /* of several */
	char *text;
	uint32_t ways;
	Way *way;
	double score[2]; /* what a model that did not see it said: injection, toxicity */
	bool stopped;
} Text;

/* What is learnt from: a window of a text, each feature once. */
typedef struct Example
{
	int label;
	double weight;
	uint32_t n;
	uint32_t *feature;
} Example;

typedef struct Weights
{
	double w[TZ_CLASSES];
	double g[TZ_CLASSES]; /* sum of squared gradients */
} Weights;

/* train_texts.c: what was read. */
extern const char *const labels[4];
extern TzScorer *scorer;
extern Text *texts;
extern uint32_t ntexts;
extern uint64_t *hash_of; /* of a feature, by its number */
extern uint32_t *texts_of; /* in how many texts a feature stands */
extern uint32_t nfeatures;

void *need(void *p); /* p, or the end when memory is out */
void begin_texts(void);
void load(const char *file);

/* train_windows.c: what is learnt from. */
extern Example *examples;
extern uint32_t nexamples;

void make_examples(int folds, int without, int round);

/* train_learn.c */
extern Weights *weights; /* of each feature */
extern Weights bias;
extern bool *used; /* whether a feature has a weight */

void begin_weights(void);

/* Learns from all texts but those of one part of so many; folds = 0: from all. */
void fit(int folds, int without, TzModel *model);

/* The whole number r * |r| next to a weight, r from -32 to 31, as r + 32. */
int root_of(double weight);

#endif /* TZ_TRAIN_H */
