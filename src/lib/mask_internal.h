/*-------------------------------------------------------------------------
 *
 * mask_internal.h
 *	  The automaton, as mask.c builds it and mask_read.c runs it.
 *
 * Not for others: they include lib/mask.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_MASK_INTERNAL_H
#define TZ_MASK_INTERNAL_H

#include "lib/mask.h"

#define TZ_MASK_WORD_MAX 3 /* up to here a value counts as a whole word only */

/* Of a pattern: characters beside it that carry bits of the value. */
#define TZ_MASK_LEFT 0x01
#define TZ_MASK_RIGHT 0x02

#define TZ_BASE64_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

typedef struct MaskNode
{
	uint32_t child; /* first one, 0 none */
	uint32_t sibling;
	uint32_t fail;
	uint32_t depth;
	uint32_t longest; /* pattern that ends here, or at a suffix of here; 0 none */
	uint8_t byte;
	uint8_t edges; /* of the longest */
	uint8_t words; /* bit n: a short value of n bytes ends here */
} MaskNode;

struct TzMask
{
	MaskNode *nodes; /* [0] is the root */
	uint32_t nnodes;
	uint32_t cap;
	uint32_t first[256]; /* children of the root */
	uint8_t pairs[65536 / 8]; /* two bytes that a pattern may begin with */
	uint32_t deepest;
	bool base64; /* a pattern is */
	bool spaces; /* a pattern has one */
};

/* What was found, from start on and before end; sorted and apart. */
typedef struct MaskSpan
{
	uint32_t start;
	uint32_t end;
} MaskSpan;

typedef struct MaskSpans
{
	MaskSpan *list;
	size_t n;
	size_t cap;
} MaskSpans;

/* Unites it with what it overlaps; those that only touch stay apart. */
extern TzStatus tz_mask_span_add(MaskSpans *s, uint32_t start, uint32_t end);
/* Adds all of more, which is sorted as s is. */
extern TzStatus tz_mask_span_unite(MaskSpans *s, const MaskSpans *more);

/*
 * Adds all that is found in text from there on; one byte before it may be there to look back at. cut:
 * as for tz_mask_apply. *safe, if asked for: nothing that comes behind text can change what is found
 * before it.
 */
extern TzStatus tz_mask_find(const TzMask *m, TzSlice text, size_t from, bool cut, MaskSpans *found,
                             size_t *safe);

/* Appends text from there on and before to, masked. No span may lie across to. */
extern TzStatus tz_mask_write(TzSlice text, size_t from, size_t to, const MaskSpans *spans, TzBuf *out);

static inline bool
tz_mask_begins(const TzMask *m, uint8_t one, uint8_t two)
{
	return (m->pairs[one * 32 + two / 8] >> (two % 8) & 1) != 0;
}

static inline uint32_t
tz_mask_child(const TzMask *m, uint32_t at, uint8_t byte)
{
	uint32_t c;

	if (at == 0)
		return m->first[byte];
	/* Where most readings end, and where there are most children. */
	if (m->nodes[at].depth == 1 && !tz_mask_begins(m, m->nodes[at].byte, byte))
		return 0;
	for (c = m->nodes[at].child; c != 0 && m->nodes[c].byte != byte; c = m->nodes[c].sibling)
		;
	return c;
}

static inline uint32_t
tz_mask_step(const TzMask *m, uint32_t at, uint8_t byte)
{
	uint32_t next;

	while ((next = tz_mask_child(m, at, byte)) == 0 && at != 0)
		at = m->nodes[at].fail;
	return next;
}

#endif /* TZ_MASK_INTERNAL_H */
