/*-------------------------------------------------------------------------
 *
 * train.c
 *	  Learns the weights of the content filter's model from labelled texts.
 *
 *	train FILE...			writes weights.h to standard output
 *	train -k FOLDS FILE...	learns from all texts but a part, and tells how it judges that part
 *
 * Lines of a file are "label<TAB>text", or those of test/safety/corpus.tsv, of which
 * only the split "train" is read. Logistic regression with a class each for what is to
 * be stopped, against what is harmless, by stochastic gradients with a rate for each
 * weight (AdaGrad). An attack inside a long text is a window of it; which one, the model
 * of the round before says. Features that matter little are left out, and the rest is
 * learnt again without them.
 *
 * The same texts give the same bytes, on every machine: nothing is random but an order
 * that is always the same, nothing runs in parallel, and of what libraries compute only
 * the square root is used, which has one right answer. Compile it with -ffp-contract=off.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "safety/score.h"

#define LINE_MAX_BYTES 65536
#define HASHES (1U << 23) /* of the dictionary; a power of two */

/* How it learns. */
#define TEXTS_MIN 2 /* a feature stands in so many texts at least */
#define KEEP 22000 /* features that get a weight */
#define ROUNDS 2
#define EPOCHS 20
#define RATE 0.03
#define GRADIENT_FIRST 0.01
#define PARTS 10 /* into which texts fall; what is told apart is some of them */
#define JOINED 700 /* bytes of texts that are put together */
/* units from one window to the next, where many of a text are learnt from */
#define STRIDE 9
#define STRIDE_LONG 23

static const char *const labels[] = {"harmless", "injection", "toxic", "harmful"};

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

static Text *texts;
static uint32_t ntexts;
static Example *examples;
static uint32_t nexamples, examples_cap;

static uint64_t *hashes; /* 0: free */
static uint32_t *ids;
static uint64_t *hash_of; /* by id */
static uint32_t *texts_of; /* in how many texts a feature stands */
static uint32_t *last_text;
static uint32_t nfeatures;

static Weights *weights;
static Weights bias;
static bool *used;
static TzScorer *scorer;

static void *
need(void *p)
{
	if (p == NULL)
	{
		fprintf(stderr, "out of memory\n");
		exit(1);
	}
	return p;
}

/* ----------------------------------------------------------------------------
 * Texts
 * ----------------------------------------------------------------------------
 */
static uint32_t
feature_id(uint64_t hash)
{
	uint32_t i = (uint32_t) ((hash * UINT64_C(0x9E3779B97F4A7C15)) >> 41);

	if (hash == 0)
		hash = 1;
	while (hashes[i] != 0 && hashes[i] != hash)
		i = (i + 1) & (HASHES - 1);
	if (hashes[i] == 0)
	{
		if (nfeatures == HASHES / 2)
		{
			fprintf(stderr, "too many features\n");
			exit(1);
		}
		hashes[i] = hash;
		hash_of[nfeatures] = hash;
		ids[i] = nfeatures++;
	}
	return ids[i];
}

/* Grows an array of numbers when n is a power of two. */
static void
push(uint32_t **array, uint32_t *n, uint32_t value)
{
	if ((*n & (*n - 1)) == 0)
		*array = need(realloc(*array, sizeof(uint32_t) * (*n == 0 ? 1 : *n * 2)));
	(*array)[(*n)++] = value;
}

static TzStatus
on_way(void *arg, TzSlice text, const TzSign *signs, size_t n)
{
	Text *t = arg;
	Way way = {0, NULL, NULL, NULL};
	uint32_t starts = 0, firsts = 0, features = 0;
	TzTokens tokens;
	TzToken token;
	size_t k = 0;

	tz_tokens_init(&tokens, text);
	while (tz_tokens_next(&tokens, &token))
	{
		if (token.n > 0)
		{
			push(&way.start, &starts, token.start);
			push(&way.first, &firsts, features);
		}
		if (firsts == 0)
			continue;
		for (uint32_t i = 0; i < token.n; i++)
			push(&way.feature, &features, feature_id(token.feature[i].hash));
		for (; k < n && signs[k].end <= token.end; k++)
			push(&way.feature, &features, feature_id(signs[k].hash));
	}
	if (features == 0)
		return TZ_OK;
	for (; k < n; k++)
		push(&way.feature, &features, feature_id(signs[k].hash));
	way.units = starts;
	push(&way.start, &starts, (uint32_t) text.len);
	push(&way.first, &firsts, features);
	for (uint32_t i = 0; i < features; i++)
		if (last_text[way.feature[i]] != ntexts)
		{
			last_text[way.feature[i]] = ntexts;
			texts_of[way.feature[i]]++;
		}
	t->way = need(realloc(t->way, sizeof(Way) * (t->ways + 1)));
	t->way[t->ways++] = way;
	return TZ_OK;
}

static int
add_text(const char *file, const char *label, const char *text, bool bench)
{
	Text t = {.label = -1, .bench = bench};
	TzFinding finding = {{0}};
	uint64_t hash = 0;

	for (int i = 0; i < 4; i++)
		if (strcmp(label, labels[i]) == 0)
			t.label = i;
	if (t.label < 0)
	{
		fprintf(stderr, "%s: no label \"%s\"\n", file, label);
		exit(1);
	}
	t.text = need(strdup(text));
	for (const char *p = text; *p != '\0'; p++)
		hash = tz_feature_hash(0, hash, (unsigned char) *p);
	t.part = (int) (hash >> 40 & 0xFFFF);
	ntexts++; /* counted from 1 by last_text */
	if (tz_scorer_read(scorer, tz_slice_cstr(t.text), &finding, on_way, &t) != TZ_OK)
		exit(1);
	if ((ntexts & (ntexts - 1)) == 0)
		texts = need(realloc(texts, sizeof(Text) * ntexts * 2));
	texts[ntexts - 1] = t;
	return t.part;
}

/*
 * Harmless texts one after the other, as they stand in a long one: most windows of what
 * people write are full, and of several sentences.
 */
static void
join(const char *file, TzBuf *together, const char *text)
{
	int part;

	if (tz_buf_append_cstr(together, text) != TZ_OK || tz_buf_append_byte(together, ' ') != TZ_OK)
		exit(1);
	if (together->len < JOINED)
		return;
	part = texts[ntexts - 1].part;
	add_text(file, labels[0], together->data, false);
	texts[ntexts - 1].part = part;
	texts[ntexts - 1].joined = true;
	tz_buf_reset(together);
}

static void
load(const char *file)
{
	static char line[LINE_MAX_BYTES];
	static TzBuf together[PARTS];
	FILE *in = fopen(file, "r");

	if (in == NULL)
	{
		perror(file);
		exit(1);
	}
	for (int i = 0; i < PARTS; i++)
		tz_buf_init(&together[i], SIZE_MAX);
	while (fgets(line, sizeof(line), in) != NULL)
	{
		char *column[5] = {line};
		int n = 1;

		line[strcspn(line, "\n")] = '\0';
		for (char *p = line; *p != '\0' && n < 5; p++)
			if (*p == '\t')
			{
				*p = '\0';
				column[n++] = p + 1;
			}
		if (n == 2)
		{
			int part = add_text(file, column[0], column[1], false);

			if (strcmp(column[0], labels[0]) == 0)
				join(file, &together[part % PARTS], column[1]);
		}
		else if (n == 5 && strcmp(column[1], "train") == 0)
			add_text(file, column[3], column[4], true);
		else if (n != 5)
		{
			fprintf(stderr, "%s: a line has no label and text\n", file);
			exit(1);
		}
	}
	fclose(in);
}

/* ----------------------------------------------------------------------------
 * Examples
 * ----------------------------------------------------------------------------
 */
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

static void
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

/* ----------------------------------------------------------------------------
 * Learning
 * ----------------------------------------------------------------------------
 */
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

/* ----------------------------------------------------------------------------
 * Choosing and writing
 * ----------------------------------------------------------------------------
 */
static double *matter;

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

/* The whole number r * |r| next to a weight, r from -32 to 31, as r + 32. */
static int
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

static void
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

static void
write_model(const TzModel *model)
{
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+-";
	uint32_t before = 0;
	int column = 0;

	printf("/* Written by train.c from the labelled texts beside it: see test/safety/README.md. */\n");
	printf("/* clang-format off */\n");
	printf("#define TZ_MODEL_BIAS %d, %d, %d\n\nstatic const char tz_model_weights[] =", model->bias[0],
	       model->bias[1], model->bias[2]);
	for (uint32_t slot = 0; slot < TZ_MODEL_SLOTS; slot++)
	{
		uint32_t gap = slot - before;

		if (model->tag[slot] == 0)
			continue;
		if (column == 0)
			printf("\n\t\"");
		for (; gap >= 63; gap -= 63)
			putchar('-');
		putchar(digits[gap]);
		putchar(digits[model->tag[slot] / 64]);
		putchar(digits[model->tag[slot] % 64]);
		for (int c = 0; c < TZ_CLASSES; c++)
			putchar(digits[root_of((double) model->entry[slot].weight[c] / TZ_MODEL_ONE)]);
		before = slot;
		if (++column == 24)
		{
			putchar('"');
			column = 0;
		}
	}
	printf("%s;\n/* clang-format on */\n", column == 0 ? "" : "\"");
}

/* ----------------------------------------------------------------------------
 * How it would do
 * ----------------------------------------------------------------------------
 */
typedef struct Judged
{
	TzModel *model;
	TzPeaks peaks;
} Judged;

static TzStatus
on_judged(void *arg, TzSlice text, const TzSign *signs, size_t n)
{
	Judged *judged = arg;

	tz_model_read(judged->model, text, signs, n, &judged->peaks);
	return TZ_OK;
}

static void
judge(TzModel *model, Text *t)
{
	Judged judged = {.model = model};
	TzFinding finding = {{0}};

	if (tz_scorer_read(scorer, tz_slice_cstr(t->text), &finding, on_judged, &judged) != TZ_OK)
		exit(1);
	t->score[0] = (double) tz_model_weight_injection(&judged.peaks) / TZ_MODEL_ONE;
	t->score[1] = (double) tz_model_weight_toxicity(&judged.peaks) / TZ_MODEL_ONE;
	t->stopped = tz_model_injection(&judged.peaks) >= TZ_INJECTION_MAX ||
	             tz_model_toxicity(&judged.peaks) >= TZ_TOXICITY_MAX;
}

static int
compare_down(const void *a, const void *b)
{
	double x = *(const double *) a, y = *(const double *) b;

	return (x < y) - (x > y);
}

static void
report_class(bool bench, int which)
{
	static const double wrong[] = {0.002, 0.003, 0.005, 0.01, 0.02};
	double *harmless = need(malloc(sizeof(double) * ntexts));
	uint32_t n = 0;

	for (uint32_t i = 0; i < ntexts; i++)
		if (texts[i].bench == bench && !texts[i].joined && texts[i].label == 0)
			harmless[n++] = texts[i].score[which];
	qsort(harmless, n, sizeof(double), compare_down);
	printf("%s, %s, %u harmless:", bench ? "corpus" : "texts", which == 0 ? "injection" : "toxicity", n);
	for (size_t k = 0; n > 0 && k < sizeof(wrong) / sizeof(wrong[0]); k++)
	{
		double at = harmless[(uint32_t) (wrong[k] * n)];
		uint32_t found = 0, all = 0;

		for (uint32_t i = 0; i < ntexts; i++)
			if (texts[i].bench == bench && (which == 0 ? texts[i].label == 1 : texts[i].label > 1))
			{
				all++;
				found += texts[i].score[which] > at;
			}
		printf("  %.1f%%: %.3f above %.2f", wrong[k] * 100, (double) found / all, at);
	}
	printf("\n");
	free(harmless);
}

static void
report(bool bench)
{
	uint32_t found = 0, all = 0, wrong = 0, harmless = 0;

	report_class(bench, 0);
	report_class(bench, 1);
	for (uint32_t i = 0; i < ntexts; i++)
		if (texts[i].bench == bench && !texts[i].joined)
		{
			*(texts[i].label == 0 ? &harmless : &all) += 1;
			*(texts[i].label == 0 ? &wrong : &found) += texts[i].stopped;
		}
	printf("%s: %u of %u attacks found, %u of %u harmless ones stopped\n", bench ? "corpus" : "texts", found,
	       all, wrong, harmless);
}

int
main(int argc, char **argv)
{
	TzModel *model = need(calloc(1, sizeof(TzModel)));
	int folds = argc > 2 && strcmp(argv[1], "-k") == 0 ? (int) strtol(argv[2], NULL, 10) : 0;

	hashes = need(calloc(HASHES, sizeof(*hashes)));
	ids = need(calloc(HASHES, sizeof(*ids)));
	hash_of = need(calloc(HASHES, sizeof(*hash_of)));
	texts_of = need(calloc(HASHES, sizeof(*texts_of)));
	last_text = need(calloc(HASHES, sizeof(*last_text)));
	texts = need(malloc(sizeof(Text) * 2));
	if (tz_scorer_create(&scorer, NULL) != TZ_OK)
		return 1;
	for (int i = folds > 0 ? 3 : 1; i < argc; i++)
		load(argv[i]);
	weights = need(calloc(nfeatures + 1, sizeof(Weights)));
	used = need(calloc(nfeatures + 1, sizeof(bool)));
	if (folds == 0)
	{
		fit(0, 0, model);
		write_model(model);
		return 0;
	}
	for (int k = 0; k < folds; k++)
	{
		fit(folds, k, model);
		for (uint32_t i = 0; i < ntexts; i++)
			if (texts[i].part % folds == k)
				judge(model, &texts[i]);
	}
	report(false);
	report(true);
	return 0;
}
