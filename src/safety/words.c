/*-------------------------------------------------------------------------
 *
 * words.c
 *	  Which of some thousand words stand in a text, and where.
 *
 * An automaton for so many words takes a third of a second to compile and megabytes
 * to hold, in every server that starts, and words are easier than expressions: they
 * begin where a word begins. So at each beginning the first eight, four or fewer bytes
 * are looked up in a table, and what is there is compared. The time is linear in the
 * text: an entry of the table leads to a bounded number of words.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "safety/words.h"

#define HEADS 5 /* heads of 1, 2, 3, 4 and 8 bytes */
#define SLOTS 131072 /* a power of two */
#define GATE 32768 /* three bytes of 5 bits */

typedef struct Entry
{
	const char *text;
	uint32_t len;
	uint32_t id;
	uint64_t head;
	uint32_t next; /* in the same slot, counted from 1 */
} Entry;

struct TzWordSet
{
	Entry *entry;
	uint32_t slot[SLOTS]; /* first entry, counted from 1 */
	uint64_t gate[GATE / 64]; /* can a word begin with these three bytes */
	uint64_t seen[HEADS][SLOTS / 64]; /* is there one with a head of this length */
};

enum
{
	SPACE,
	SIGN,
	LETTER
};

/* Lower case of ASCII, and what kind of byte it is. */
static unsigned char lower[256];
static unsigned char kind[256];
static unsigned char five[256]; /* what a byte is to the gate */

static void
tables(void)
{
	if (kind['a'] == LETTER)
		return;
	for (int c = 0; c < 256; c++)
	{
		bool capital = c >= 'A' && c <= 'Z';

		lower[c] = (unsigned char) (capital ? c + 32 : c);
		five[c] = lower[c] >= 'a' && lower[c] <= 'z' ? (unsigned char) (lower[c] - 'a' + 1)
		          : c == ' '                         ? 27
		          : c >= '0' && c <= '9'             ? 28
		                                             : 29;
		kind[c] = capital || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? LETTER
		          : c <= ' ' || c >= 0x80                                     ? SPACE
		                                                                      : SIGN;
	}
}

static const unsigned char head_bytes[HEADS] = {1, 2, 3, 4, 8};

static uint32_t
slot_of(uint64_t head)
{
	return (uint32_t) ((head * UINT64_C(0x9E3779B97F4A7C15)) >> 47);
}

static uint64_t
head_of(const char *text, size_t n)
{
	uint64_t head = 0;

	for (size_t i = 0; i < n; i++)
		head = (head << 8) | lower[(unsigned char) text[i]];
	return head;
}

/* Which head a word of that length is found by. */
static int
head_kind(size_t len)
{
	return len >= 8 ? 4 : len >= 4 ? 3 : (int) len - 1;
}

static uint32_t
gate_of(uint32_t a, uint32_t b, uint32_t c)
{
	return a << 10 | b << 5 | c;
}

/* A word of fewer than three bytes opens the gate whatever follows it. */
static void
open_gate(TzWordSet *set, const char *text, size_t len)
{
	uint32_t a = five[(unsigned char) text[0]];
	uint32_t b = len > 1 ? five[(unsigned char) text[1]] : 0;
	uint32_t c = len > 2 ? five[(unsigned char) text[2]] : 0;
	uint32_t from = gate_of(a, b, c);
	uint32_t to = from + (len > 2 ? 1 : len > 1 ? 32 : 1024);

	for (uint32_t at = from; at < to; at++)
		set->gate[at / 64] |= UINT64_C(1) << (at % 64);
}

TzStatus
tz_words_create(const TzWord *words, size_t n, TzWordSet **out)
{
	TzWordSet *set = calloc(1, sizeof(*set));

	tables();
	if (set == NULL)
		return TZ_NOMEM;
	set->entry = calloc(n + 1, sizeof(*set->entry));
	if (set->entry == NULL)
	{
		free(set);
		return TZ_NOMEM;
	}
	for (size_t i = 0; i < n; i++)
	{
		Entry *e = &set->entry[i];
		int heads = head_kind(strlen(words[i].text));
		uint32_t slot;

		e->text = words[i].text;
		e->len = (uint32_t) strlen(words[i].text);
		e->id = words[i].id;
		e->head = head_of(e->text, head_bytes[heads]);
		slot = slot_of(e->head);
		open_gate(set, e->text, e->len);
		e->next = set->slot[slot];
		set->slot[slot] = (uint32_t) i + 1;
		set->seen[heads][slot / 64] |= UINT64_C(1) << (slot % 64);
	}
	*out = set;
	return TZ_OK;
}

void
tz_words_free(TzWordSet *set)
{
	if (set == NULL)
		return;
	free(set->entry);
	free(set);
}

/* The head stands there. */
static bool
stands(const Entry *e, const char *text, uint32_t head)
{
	for (uint32_t i = head; i < e->len; i++)
		if (lower[(unsigned char) text[i]] != (unsigned char) e->text[i])
			return false;
	return true;
}

/* The words that begin at one place. */
static bool
words_at(const TzWordSet *set, TzSlice text, size_t at, TzWordFn fn, void *arg)
{
	size_t left = text.len - at;
	uint64_t head = 0;
	size_t have = 0;

	for (int k = 0; k < HEADS && head_bytes[k] <= left; k++)
	{
		uint32_t slot;

		for (; have < head_bytes[k]; have++)
			head = (head << 8) | lower[(unsigned char) text.data[at + have]];
		slot = slot_of(head);
		if ((set->seen[k][slot / 64] >> (slot % 64) & 1) == 0)
			continue;
		for (uint32_t i = set->slot[slot]; i != 0; i = set->entry[i - 1].next)
		{
			const Entry *e = &set->entry[i - 1];

			if (e->head == head && head_kind(e->len) == k && e->len <= left &&
			    stands(e, text.data + at, head_bytes[k]) && !fn(arg, e->id, at + e->len))
				return false;
		}
	}
	return true;
}

static bool
gate_open(const TzWordSet *set, const unsigned char *s, size_t left)
{
	uint32_t at = gate_of(five[s[0]], left > 1 ? five[s[1]] : 0, left > 2 ? five[s[2]] : 0);

	return set->gate[at / 64] >> (at % 64) & 1;
}

bool
tz_words_scan(const TzWordSet *set, TzSlice text, bool anywhere, TzWordFn fn, void *arg)
{
	const unsigned char *s = (const unsigned char *) text.data;
	unsigned char before = SPACE;

	for (size_t i = 0; i < text.len; i++)
	{
		unsigned char here = kind[s[i]];

		if ((here > before || here == SIGN || anywhere) && here != SPACE &&
		    gate_open(set, s + i, text.len - i) && !words_at(set, text, i, fn, arg))
			return false;
		before = here;
	}
	return true;
}
