/*-------------------------------------------------------------------------
 *
 * mask.c
 *	  Finding secrets in text, also encoded: what to look for.
 *
 * One automaton (Aho and Corasick) holds every form of every value, so a text is
 * read once however many there are, and no value or text makes it slower than
 * linear. Encodings with many spellings (percent, JSON) are not spelled out:
 * the text is decoded while it is read, and what is found is mapped back. Base64
 * has few forms and is in the automaton, one for each alignment.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "lib/mask_internal.h"

#define LINE_MIN 8 /* shorter lines of a value are no secrets of their own */
#define BASE64_MIN 5 /* characters; less would be found by chance */

/* ---- the automaton ------------------------------------------------------------- */

/* Zeroed room for more nodes; old memory holds values. */
static TzStatus
reserve_nodes(TzMask *m, size_t more)
{
	size_t cap = (size_t) m->cap * 2 > m->nnodes + more ? (size_t) m->cap * 2 : m->nnodes + more;
	MaskNode *fresh;

	if (m->nnodes + more <= m->cap)
		return TZ_OK;
	if (cap > UINT32_MAX / 2)
		return TZ_TOO_LARGE;
	fresh = calloc(cap, sizeof(MaskNode));
	if (fresh == NULL)
		return TZ_NOMEM;
	if (m->nodes != NULL)
	{
		memcpy(fresh, m->nodes, m->nnodes * sizeof(MaskNode));
		explicit_bzero(m->nodes, m->nnodes * sizeof(MaskNode));
		free(m->nodes);
	}
	m->nodes = fresh;
	m->cap = (uint32_t) cap;
	return TZ_OK;
}

static TzStatus
add_pattern(TzMask *m, const char *data, size_t len, bool word, uint8_t edges)
{
	uint32_t at = 0;
	MaskNode *node;

	if (len == 0)
		return TZ_OK;
	if (reserve_nodes(m, len) != TZ_OK)
		return TZ_NOMEM;
	for (size_t i = 0; i < len; i++)
	{
		uint8_t byte = (uint8_t) data[i];
		uint32_t next = tz_mask_child(m, at, byte);

		if (next == 0)
		{
			next = m->nnodes++;
			m->nodes[next].byte = byte;
			m->nodes[next].depth = (uint32_t) i + 1;
			m->nodes[next].sibling = at == 0 ? 0 : m->nodes[at].child;
			if (at == 0)
				m->first[byte] = next;
			else
				m->nodes[at].child = next;
		}
		at = next;
	}
	node = &m->nodes[at];
	if (word)
		node->words |= (uint8_t) (1 << len);
	else
	{
		/* The same text found for two reasons: the value itself has no edges. */
		node->edges = node->longest == 0 ? edges : node->edges & edges;
		node->longest = (uint32_t) len;
	}
	for (int two = len > 1 ? (uint8_t) data[1] : 0; two <= (len > 1 ? (uint8_t) data[1] : 255); two++)
		m->pairs[(uint8_t) data[0] * 32 + two / 8] |= (uint8_t) (1 << two % 8);
	if (len > m->deepest)
		m->deepest = (uint32_t) len;
	m->spaces |= memchr(data, ' ', len) != NULL;
	return TZ_OK;
}

/* Where to go on after a mismatch, level by level; and what ends at a suffix ends here too. */
static TzStatus
link_nodes(TzMask *m)
{
	uint32_t *queue = malloc(m->nnodes * sizeof(uint32_t));
	uint32_t head = 0;
	uint32_t tail = 0;

	if (queue == NULL)
		return TZ_NOMEM;
	for (int byte = 0; byte < 256; byte++)
		if (m->first[byte] != 0)
			queue[tail++] = m->first[byte];
	while (head < tail)
	{
		uint32_t at = queue[head++];
		MaskNode *node = &m->nodes[at];
		const MaskNode *suffix = &m->nodes[node->fail];

		if (node->longest == 0)
		{
			node->longest = suffix->longest;
			node->edges = suffix->edges;
		}
		node->words |= suffix->words;
		for (uint32_t c = node->child; c != 0; c = m->nodes[c].sibling)
		{
			m->nodes[c].fail = tz_mask_step(m, node->fail, m->nodes[c].byte);
			queue[tail++] = c;
		}
	}
	free(queue);
	return TZ_OK;
}

/* ---- forms of a value ------------------------------------------------------------ */

/* What is in the digits of base64 whatever stands before the value (skip bytes of a group) and after it. */
static TzStatus
add_base64(TzMask *m, TzSlice value, int skip)
{
	size_t bits = ((size_t) skip + value.len) * 8;
	size_t from = skip == 0 ? 0 : (size_t) skip + 1; /* digits that hold other bits as well */
	size_t to = bits / 6;
	uint8_t edges = (uint8_t) ((skip != 0 ? TZ_MASK_LEFT : 0) | (bits % 6 != 0 ? TZ_MASK_RIGHT : 0));
	TzStatus status = TZ_OK;
	char *text;

	if (to < from + BASE64_MIN)
		return TZ_OK;
	text = malloc(to - from);
	if (text == NULL)
		return TZ_NOMEM;
	for (size_t digit = from; digit < to; digit++)
	{
		size_t bit = digit * 6 - (size_t) skip * 8;
		unsigned pair = (unsigned) (uint8_t) value.data[bit / 8] << 8;

		if (bit / 8 + 1 < value.len)
			pair |= (uint8_t) value.data[bit / 8 + 1];
		text[digit - from] = TZ_BASE64_DIGITS[pair >> (10 - bit % 8) & 63];
	}
	status = add_pattern(m, text, to - from, false, edges);
	explicit_bzero(text, to - from);
	free(text);
	m->base64 = true;
	return status;
}

static bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Blanks around a value are lost as soon as a program trims it. */
static TzSlice
trimmed(TzSlice value)
{
	TzSlice v = value;

	while (v.len > 0 && is_space(v.data[0]))
	{
		v.data++;
		v.len--;
	}
	while (v.len > 0 && is_space(v.data[v.len - 1]))
		v.len--;
	return v.len > 0 ? v : value;
}

static TzStatus
add_lines(TzMask *m, TzSlice value)
{
	TzStatus status = TZ_OK;
	size_t start = 0;

	if (memchr(value.data, '\n', value.len) == NULL)
		return TZ_OK;
	for (size_t i = 0; i <= value.len && status == TZ_OK; i++)
	{
		TzSlice line;

		if (i < value.len && value.data[i] != '\n')
			continue;
		line = trimmed(tz_slice(value.data + start, i - start));
		if (line.len >= LINE_MIN)
			status = add_pattern(m, line.data, line.len, false, 0);
		start = i + 1;
	}
	return status;
}

static TzStatus
add_value(TzMask *m, TzSlice whole)
{
	TzSlice value = trimmed(whole);
	TzStatus status;

	if (value.len <= TZ_MASK_WORD_MAX)
		return add_pattern(m, value.data, value.len, true, 0);
	status = add_pattern(m, value.data, value.len, false, 0);
	if (status == TZ_OK)
		status = add_lines(m, value);
	for (int skip = 0; skip < 3 && status == TZ_OK; skip++)
		status = add_base64(m, value, skip);
	return status;
}

TzStatus
tz_mask_create(const TzSlice *values, int n, TzMask **out, TzErr *err)
{
	TzStatus status = TZ_OK;
	size_t total = 0;
	TzMask *m;

	*out = NULL;
	for (int i = 0; i < n; i++)
		total += values[i].len;
	if (total == 0)
		return TZ_OK;
	if (total > TZ_MASK_BYTES_MAX)
		return tz_err_set(err, TZ_TOO_LARGE, "values to mask are longer than %d bytes together",
		                  TZ_MASK_BYTES_MAX);
	m = calloc(1, sizeof(TzMask));
	if (m == NULL)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	/* About what a value without line breaks comes to. */
	status = reserve_nodes(m, total * 5 + 1);
	m->nnodes = 1;
	for (int i = 0; i < n && status == TZ_OK; i++)
		if (values[i].len > 0)
			status = add_value(m, values[i]);
	if (status == TZ_OK)
		status = link_nodes(m);
	if (status != TZ_OK)
	{
		tz_mask_free(m);
		return tz_err_set(err, status, status == TZ_NOMEM ? "out of memory" : "values to mask are too long");
	}
	*out = m;
	return TZ_OK;
}

void
tz_mask_free(TzMask *m)
{
	if (m == NULL)
		return;
	if (m->nodes != NULL)
		explicit_bzero(m->nodes, m->cap * sizeof(MaskNode));
	free(m->nodes);
	explicit_bzero(m, sizeof(*m));
	free(m);
}
