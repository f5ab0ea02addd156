/*-------------------------------------------------------------------------
 *
 * features.c
 *	  What a folded text consists of, as numbers that the model has weights for.
 *
 * Words and their beginnings, so that what is bent is known again; and two words that
 * stand together or with one between them. Sentences are told apart: the first word of one often gives an order.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "safety/features.h"

#define STEM 5 /* letters of a word by which it is known when it is bent */
#define FIRST_WORD UINT64_C(0x5E47E4CE) /* what stands before the first word of a sentence */

enum
{
	BLANK,
	LETTER,
	DIGIT,
	MARK, /* a sign that says something by itself */
	QUIET, /* one that does not */
	STOP, /* one that ends a sentence */
	FOREIGN
};

static unsigned char kind[256];
static unsigned char lower[256];

static void
tables(void)
{
	if (kind['a'] == LETTER)
		return;
	for (int c = 0; c < 256; c++)
	{
		unsigned char k = MARK;

		if (c <= ' ' || c == 0x7F)
			k = BLANK;
		else if (c >= 0x80)
			k = FOREIGN;
		else if (c >= '0' && c <= '9')
			k = DIGIT;
		else if ((c | 32) >= 'a' && (c | 32) <= 'z')
			k = LETTER;
		else if (strchr(",;'()-", c) != NULL)
			k = QUIET;
		else if (strchr(".!?:", c) != NULL)
			k = STOP;
		kind[c] = k;
		lower[c] = (unsigned char) (c >= 'A' && c <= 'Z' ? c + 32 : c);
	}
	kind['a'] = LETTER;
}

uint64_t
tz_feature_hash(uint32_t k, uint64_t a, uint64_t b)
{
	uint64_t h = (a + k) * UINT64_C(0x9E3779B97F4A7C15);

	h = (h ^ (h >> 29) ^ b) * UINT64_C(0xBF58476D1CE4E5B9);
	return h ^ (h >> 31);
}

void
tz_tokens_init(TzTokens *t, TzSlice text)
{
	tables();
	memset(t, 0, sizeof(*t));
	t->text = text;
	t->before[0].stem = FIRST_WORD;
}

static inline void
add(TzToken *out, uint32_t k, uint64_t a, uint64_t b, uint32_t start)
{
	out->feature[out->n++] = (TzFeature){tz_feature_hash(k, a, b), start};
}

static void
read_word(TzTokens *t, TzToken *out)
{
	const char *s = t->text.data + t->at;
	uint32_t left =
		t->text.len - t->at > TZ_WORD_MAX * 8 ? TZ_WORD_MAX * 8 : (uint32_t) (t->text.len - t->at);
	uint32_t len = 0, digits = 0;
	uint64_t h = UINT64_C(0xCBF29CE484222325), stem = 0;

	for (; len < left; len++)
	{
		unsigned char c = (unsigned char) s[len];
		unsigned char k = kind[c];

		if (k != LETTER && k != DIGIT)
			break;
		if (len == STEM)
			stem = h;
		digits += k == DIGIT;
		if (len < TZ_WORD_MAX)
			h = (h ^ lower[c]) * UINT64_C(0x100000001B3);
	}
	out->word = true;
	out->start = (uint32_t) t->at;
	out->end = out->start + len;
	t->at += len;
	if (digits == len)
		h = len < 5 ? len : 5;
	add(out, TZ_F_WORD, h, 0, out->start);
	if (len > STEM && digits < len)
		add(out, TZ_F_STEM, stem, 0, out->start);
	else
		stem = h;
	if (t->mark != 0)
		add(out, TZ_F_MARKED, t->mark, h, t->mark_start);
	if (t->before[0].stem != 0)
		add(out, TZ_F_PAIR, t->before[0].stem, stem, t->before[0].start);
	if (t->before[1].stem != 0)
		add(out, TZ_F_SKIP, t->before[1].stem, stem, t->before[1].start);
	t->mark = 0;
	t->before[1] = t->before[0].stem == FIRST_WORD ? (TzBefore){0, 0} : t->before[0];
	t->before[0] = (TzBefore){stem, out->start};
}

static void
read_signs(TzTokens *t, TzToken *out)
{
	uint64_t h = 0;
	uint32_t len = 0;
	bool loud = false, stop = false;

	out->word = false;
	out->start = (uint32_t) t->at;
	while (t->at < t->text.len && kind[(unsigned char) t->text.data[t->at]] >= MARK && len < TZ_WORD_MAX)
	{
		unsigned char c = (unsigned char) t->text.data[t->at++];

		if (len < 4 && kind[c] != FOREIGN)
			h = h * 131 + c;
		loud |= kind[c] == MARK;
		stop |= kind[c] == STOP;
		len++;
	}
	out->end = (uint32_t) t->at;
	out->ends = stop;
	if (loud || (stop && h != '.' && h != ':'))
	{
		add(out, TZ_F_MARK, h, 0, out->start);
		t->mark = h;
		t->mark_start = out->start;
	}
	if (stop)
	{
		memset(t->before, 0, sizeof(t->before));
		t->before[0].stem = FIRST_WORD;
		t->before[0].start = out->end;
	}
}

bool
tz_tokens_next(TzTokens *t, TzToken *out)
{
	unsigned char k = BLANK;

	while (t->at < t->text.len && (k = kind[(unsigned char) t->text.data[t->at]]) == BLANK)
		t->at++;
	if (t->at >= t->text.len)
		return false;
	out->n = 0;
	out->ends = false;
	if (k == LETTER || k == DIGIT)
		read_word(t, out);
	else
		read_signs(t, out);
	return true;
}
