/*-------------------------------------------------------------------------
 *
 * train_windows.c
 *	  Which windows of the texts are learnt from.
 *
 *	  Of what is harmless all windows, some units apart. Of an attack inside a longer text one: which, the model of the
 *	  round before says.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>

#include "safety/model/train.h"

/* units from one window to the next, where many of a text are learnt from */
#define STRIDE 9
#define STRIDE_LONG 23

Example *examples;
uint32_t nexamples;
static uint32_t examples_cap;

static int
compare_ids(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;

	return (x > y) - (x < y);
}

static void
add_example(int label, double weight, const Way *way, uint32_t from, uint32_t to)
{
	Example e = {label, weight, 0, NULL};
	uint32_t n = 0, max = way->first[to] - way->first[from];

	e.feature = need(malloc(sizeof(uint32_t) * (max + 1)));
	for (uint32_t i = way->first[from]; i < way->first[to]; i++)
		if (used[way->feature[i]])
			e.feature[n++] = way->feature[i];
	qsort(e.feature, n, sizeof(uint32_t), compare_ids);
	for (uint32_t i = 0; i < n; i++)
		if (e.n == 0 || e.feature[e.n - 1] != e.feature[i])
			e.feature[e.n++] = e.feature[i];
	if (nexamples == examples_cap)
	{
		examples_cap = examples_cap * 2 + 1024;
		examples = need(realloc(examples, sizeof(Example) * examples_cap));
	}
	examples[nexamples++] = e;
}

static bool
too_long(const Way *way, uint32_t from, uint32_t to)
{
	return tz_model_too_long(way->start[from], to - from, way->start[to]);
}

/* The end of the window that begins at a unit. */
static uint32_t
window_end(const Way *way, uint32_t from)
{
	uint32_t to = from + 1;

	while (to < way->units && !too_long(way, from, to + 1))
		to++;
	return to;
}

/* All windows of a text, some units apart, each with its share of the weight. */
static void
add_windows(int label, const Way *way, double weight)
{
	uint32_t windows = 1, from = 0,
			 stride = label == 0 && way->units > 3 * TZ_MODEL_UNITS ? STRIDE_LONG : STRIDE;

	for (; window_end(way, from) < way->units; from += stride)
		windows++;
	from = 0;
	for (uint32_t i = 0; i < windows; i++, from += stride)
	{
		/* the last one ends with the text */
		if (i > 0 && i + 1 == windows)
		{
			from = way->units - 1;
			while (from > 0 && !too_long(way, from - 1, way->units))
				from--;
		}
		add_example(label, label == 0 ? (windows > 2 ? weight / 2 : weight) : weight / windows, way, from,
		            window_end(way, from));
	}
}

/* The window of an attack that is most like its class by what was learnt so far. */
static void
add_best(const Text *t)
{
	const Way *best = NULL;
	uint32_t best_from = 0;
	double most = 0;

	for (uint32_t k = 0; k < t->ways; k++)
	{
		const Way *way = &t->way[k];

		for (uint32_t from = 0; from < way->units; from++)
		{
			uint32_t to = window_end(way, from);
			double sum = 0;

			for (uint32_t i = way->first[from]; i < way->first[to]; i++)
				if (used[way->feature[i]])
					sum += weights[way->feature[i]].w[t->label - 1];
			if (best == NULL || sum > most)
			{
				best = way;
				best_from = from;
				most = sum;
			}
			if (to == way->units)
				break;
		}
	}
	if (best != NULL)
		add_example(t->label, 1, best, best_from, window_end(best, best_from));
}

void
make_examples(int folds, int without, int round)
{
	for (uint32_t i = 0; i < nexamples; i++)
		free(examples[i].feature);
	nexamples = 0;
	for (uint32_t i = 0; i < ntexts; i++)
	{
		const Text *t = &texts[i];

		if (folds > 0 && t->part % folds == without)
			continue;
		if (t->label > 0 && round > 0)
			add_best(t);
		else
			for (uint32_t k = 0; k < t->ways; k++)
				if (k == 0 || t->label == 0)
					add_windows(t->label, &t->way[k], 1);
	}
}
