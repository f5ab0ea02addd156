/*-------------------------------------------------------------------------
 *
 * train_learn.c
 *	  Learns weights from windows, and chooses the features that keep one.
 *
 *	  Logistic regression with a class each for what is to be stopped, against what is harmless, by stochastic gradients
 *	  with a rate for each weight (AdaGrad). Features that matter little are left out, and the rest is learnt again
 *	  without them.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "safety/model/train.h"

#define KEEP 22000 /* features that get a weight */
#define ROUNDS 2
#define EPOCHS 20
#define RATE 0.03
#define GRADIENT_FIRST 0.01

Weights *weights;
Weights bias;
bool *used;
static double *matter;

void
begin_weights(void)
{
	weights = need(calloc(nfeatures + 1, sizeof(Weights)));
	used = need(calloc(nfeatures + 1, sizeof(bool)));
}

/* e^x for x <= 0: the same bits everywhere, which no library promises. */
static double
power(double x)
{
	double y = 1, term = 1;
	int halved = 0;

	if (x < -40)
		return 0;
	while (x < -0.5)
	{
		x /= 2;
		halved++;
	}
	for (int i = 1; i < 16; i++)
	{
		term = term * x / i;
		y += term;
	}
	while (halved-- > 0)
		y *= y;
	return y;
}

static void
step(const Example *e)
{
	double z[TZ_CLASSES], p[TZ_CLASSES], most = 0, sum;

	for (int c = 0; c < TZ_CLASSES; c++)
	{
		z[c] = bias.w[c];
		for (uint32_t i = 0; i < e->n; i++)
			z[c] += weights[e->feature[i]].w[c];
		if (z[c] > most)
			most = z[c];
	}
	sum = power(-most);
	for (int c = 0; c < TZ_CLASSES; c++)
		sum += p[c] = power(z[c] - most);
	for (int c = 0; c < TZ_CLASSES; c++)
	{
		double off = (p[c] / sum - (e->label == c + 1)) * e->weight;

		bias.g[c] += off * off;
		bias.w[c] -= RATE * off / sqrt(bias.g[c]);
		if (off < 1e-4 && off > -1e-4)
			continue;
		for (uint32_t i = 0; i < e->n; i++)
		{
			Weights *w = &weights[e->feature[i]];

			w->g[c] += off * off;
			w->w[c] -= RATE * off / sqrt(w->g[c]);
		}
	}
}

static void
learn(int epochs)
{
	uint32_t *order = need(malloc(sizeof(uint32_t) * (nexamples + 1)));
	uint64_t next = UINT64_C(88172645463325252);

	for (uint32_t f = 0; f < nfeatures; f++)
		for (int c = 0; c < TZ_CLASSES; c++)
		{
			weights[f].w[c] = 0;
			weights[f].g[c] = GRADIENT_FIRST;
		}
	for (int c = 0; c < TZ_CLASSES; c++)
	{
		bias.w[c] = -1;
		bias.g[c] = 1;
	}
	for (uint32_t i = 0; i < nexamples; i++)
		order[i] = i;
	for (int k = 0; k < epochs; k++)
	{
		for (uint32_t i = nexamples; i > 1; i--)
		{
			uint32_t j, t;

			next ^= next << 13;
			next ^= next >> 7;
			next ^= next << 17;
			j = (uint32_t) (next % i);
			t = order[i - 1];
			order[i - 1] = order[j];
			order[j] = t;
		}
		for (uint32_t i = 0; i < nexamples; i++)
			step(&examples[order[i]]);
	}
	free(order);
}

static int
compare_matter(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;

	if (matter[x] != matter[y])
		return matter[x] < matter[y] ? 1 : -1;
	return hash_of[x] < hash_of[y] ? -1 : 1;
}

/* Keeps the features that matter most, one in a slot. */
static void
choose(void)
{
	uint32_t *order = need(malloc(sizeof(uint32_t) * nfeatures));
	bool *taken = need(calloc(TZ_MODEL_SLOTS, sizeof(bool)));
	uint32_t n = 0, kept = 0;

	matter = need(calloc(nfeatures, sizeof(double)));
	for (uint32_t f = 0; f < nfeatures; f++)
		if (used[f])
		{
			for (int c = 0; c < TZ_CLASSES; c++)
				matter[f] += weights[f].w[c] * weights[f].w[c] * texts_of[f];
			order[n++] = f;
		}
	qsort(order, n, sizeof(uint32_t), compare_matter);
	memset(used, 0, nfeatures * sizeof(bool));
	for (uint32_t i = 0; i < n && kept < KEEP; i++)
	{
		uint32_t slot = tz_model_slot(hash_of[order[i]]);

		if (taken[slot])
			continue;
		taken[slot] = used[order[i]] = true;
		kept++;
	}
	free(order);
	free(taken);
	free(matter);
}

int
root_of(double weight)
{
	double want = weight * TZ_MODEL_ONE;
	int best = 0;

	for (int r = -31; r <= 31; r++)
	{
		double far = want - r * abs(r), least = want - best * abs(best);

		if (far * far < least * least)
			best = r;
	}
	return best + 32;
}

static int32_t
whole(double x)
{
	return (int32_t) (x * TZ_MODEL_ONE + (x < 0 ? -0.5 : 0.5));
}

static void
make_model(TzModel *model)
{
	memset(model, 0, sizeof(*model));
	for (uint32_t f = 0; f < nfeatures; f++)
		if (used[f])
		{
			uint32_t slot = tz_model_slot(hash_of[f]);

			for (int c = 0; c < TZ_CLASSES; c++)
			{
				int r = root_of(weights[f].w[c]) - 32;

				model->entry[slot].weight[c] = (int16_t) (r * abs(r));
				if (r != 0)
					model->tag[slot] = tz_model_tag(hash_of[f]);
			}
		}
	for (int c = 0; c < TZ_CLASSES; c++)
		model->bias[c] = whole(bias.w[c]);
}

void
fit(int folds, int without, TzModel *model)
{
	for (uint32_t f = 0; f < nfeatures; f++)
		used[f] = texts_of[f] >= TEXTS_MIN;
	make_examples(folds, without, 0);
	learn(EPOCHS / 2);
	choose();
	for (int round = 1; round <= ROUNDS; round++)
	{
		make_examples(folds, without, round);
		learn(EPOCHS);
	}
	make_model(model);
}
