/*-------------------------------------------------------------------------
 *
 * train_texts.c
 *	  Reads labelled texts into the features of their units.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "safety/model/train.h"

#define LINE_MAX_BYTES 65536
#define HASHES (1U << 23) /* of the dictionary; a power of two */
#define PARTS 10 /* into which texts fall; what is told apart is some of them */
#define JOINED 700 /* bytes of texts that are put together */

const char *const labels[] = {"harmless", "injection", "toxic", "harmful"};

TzScorer *scorer;
Text *texts;
uint32_t ntexts;

static uint64_t *hashes; /* 0: free */
static uint32_t *ids;
static uint32_t *last_text;
uint64_t *hash_of;
uint32_t *texts_of;
uint32_t nfeatures;

void *
need(void *p)
{
	if (p == NULL)
	{
		fprintf(stderr, "out of memory\n");
		exit(1);
	}
	return p;
}

void
begin_texts(void)
{
	hashes = need(calloc(HASHES, sizeof(*hashes)));
	ids = need(calloc(HASHES, sizeof(*ids)));
	hash_of = need(calloc(HASHES, sizeof(*hash_of)));
	texts_of = need(calloc(HASHES, sizeof(*texts_of)));
	last_text = need(calloc(HASHES, sizeof(*last_text)));
	texts = need(malloc(sizeof(Text) * 2));
	if (tz_scorer_create(&scorer, NULL) != TZ_OK)
		exit(1);
}

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

void
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
