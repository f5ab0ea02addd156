/*-------------------------------------------------------------------------
 *
 * train.c
 *	  Learns the weights of the content filter's model from labelled texts.
 *
 *	train FILE...			writes weights.h to standard output
 *	train -k FOLDS FILE...	learns from all texts but a part, and tells how it judges that part
 *
 * Lines of a file are "label<TAB>text", or those of test/safety/corpus.tsv, of which
 * only the split "train" is read.
 *
 * The same texts give the same bytes, on every machine: nothing is random but an order
 * that is always the same, nothing runs in parallel, and of what libraries compute only
 * the square root is used, which has one right answer. Compile it with -ffp-contract=off.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "safety/model/train.h"

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

	begin_texts();
	for (int i = folds > 0 ? 3 : 1; i < argc; i++)
		load(argv[i]);
	begin_weights();
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
