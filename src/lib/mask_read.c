/*-------------------------------------------------------------------------
 *
 * mask_read.c
 *	  Finding secrets in text, also encoded: reading it, and *** in their place.
 *
 * A text is read as it is, and once more for each way in which something in it
 * could be escaped. What the readings find is united, so that a value found
 * twice is one ***.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "lib/mask_internal.h"

#define CUT_MIN 4 /* bytes of a beginning that is taken for one */
#define TEXT_MAX UINT32_MAX
#define DECODED_MAX 4 /* bytes one step of a reading gives */

/* What was found, from start on and before end; sorted and apart. */
typedef struct Span
{
	uint32_t start;
	uint32_t end;
} Span;

typedef struct Spans
{
	Span *list;
	size_t n;
	size_t cap;
} Spans;

typedef enum Escape
{
	ESCAPE_NONE,
	ESCAPE_PERCENT,
	ESCAPE_JSON
} Escape;

/* One way to read a text. */
typedef struct Kind
{
	Escape escape;
	bool plus; /* + is a space */
	bool fold; /* line breaks are nothing, and - and _ are + and / */
	const char *special; /* bytes that are not taken as they are */
	const char *needs; /* one of these is in the text, or another way says the same; "": always */
} Kind;

static const Kind kinds[] = {
	{ESCAPE_NONE, false, false, "", ""},      {ESCAPE_NONE, false, true, "\n\r-_", "\n-_"},
	{ESCAPE_PERCENT, false, false, "%", "%"}, {ESCAPE_PERCENT, true, false, "%+", "+"},
	{ESCAPE_JSON, false, false, "\\", "\\"},  {ESCAPE_JSON, false, true, "\\\n\r-_", "\\"},
};

typedef struct Reading
{
	Kind kind;
	uint8_t stop[65536 / 8]; /* two bytes that a pattern may begin with, or one of which is special */
} Reading;

/* ---- spans ------------------------------------------------------------------------- */

/* Unites it with what it overlaps; those that only touch stay apart. */
static TzStatus
add_span(Spans *s, uint32_t start, uint32_t end)
{
	Span *fresh;

	while (s->n > 0 && s->list[s->n - 1].start >= start)
	{
		if (s->list[s->n - 1].end > end)
			end = s->list[s->n - 1].end;
		s->n--;
	}
	if (s->n > 0 && s->list[s->n - 1].end > start)
	{
		if (end > s->list[s->n - 1].end)
			s->list[s->n - 1].end = end;
		return TZ_OK;
	}
	if (s->n == s->cap)
	{
		size_t cap = s->cap == 0 ? 64 : s->cap * 2;

		fresh = realloc(s->list, cap * sizeof(Span));
		if (fresh == NULL)
			return TZ_NOMEM;
		s->list = fresh;
		s->cap = cap;
	}
	s->list[s->n].start = start;
	s->list[s->n++].end = end;
	return TZ_OK;
}

/* Adds all of more, which is sorted as s is. */
static TzStatus
unite(Spans *s, const Spans *more)
{
	Spans all = {0};
	TzStatus status = TZ_OK;
	size_t i = 0;
	size_t j = 0;

	if (more->n == 0)
		return TZ_OK;
	while (status == TZ_OK && (i < s->n || j < more->n))
	{
		const Span *next;

		if (j == more->n || (i < s->n && s->list[i].start <= more->list[j].start))
			next = &s->list[i++];
		else
			next = &more->list[j++];
		status = add_span(&all, next->start, next->end);
	}
	free(s->list);
	*s = all;
	return status;
}

/* ---- reading a text ------------------------------------------------------------------ */

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The n hex digits at that place, -1 when they are none. */
static int
hex_number(TzSlice text, size_t at, int n)
{
	int number = 0;

	if (at + (size_t) n > text.len)
		return -1;
	for (int i = 0; i < n; i++)
	{
		int digit = hex_digit(text.data[at + (size_t) i]);

		if (digit < 0)
			return -1;
		number = number * 16 + digit;
	}
	return number;
}

static int
put_utf8(unsigned code, uint8_t *out)
{
	if (code < 0x80)
	{
		out[0] = (uint8_t) code;
		return 1;
	}
	if (code < 0x800)
	{
		out[0] = (uint8_t) (0xC0 | code >> 6);
		out[1] = (uint8_t) (0x80 | (code & 63));
		return 2;
	}
	if (code < 0x10000)
	{
		out[0] = (uint8_t) (0xE0 | code >> 12);
		out[1] = (uint8_t) (0x80 | (code >> 6 & 63));
		out[2] = (uint8_t) (0x80 | (code & 63));
		return 3;
	}
	out[0] = (uint8_t) (0xF0 | code >> 18);
	out[1] = (uint8_t) (0x80 | (code >> 12 & 63));
	out[2] = (uint8_t) (0x80 | (code >> 6 & 63));
	out[3] = (uint8_t) (0x80 | (code & 63));
	return 4;
}

/* A backslash: how many bytes of text the escape is, 1 when it is none. */
static size_t
json_escape(TzSlice text, size_t at, uint8_t *out, int *n)
{
	static const char letters[] = "\"\\/bfnrt";
	static const char meant[] = "\"\\/\b\f\n\r\t";
	const char *letter = at + 1 < text.len ? memchr(letters, text.data[at + 1], sizeof(letters) - 1) : NULL;
	int code;
	int low;

	*n = 1;
	out[0] = '\\';
	if (letter != NULL)
	{
		out[0] = (uint8_t) meant[letter - letters];
		return 2;
	}
	if (at + 1 >= text.len || text.data[at + 1] != 'u' || (code = hex_number(text, at + 2, 4)) < 0)
		return 1;
	if (code >= 0xD800 && code < 0xDC00 && at + 7 < text.len && text.data[at + 6] == '\\' &&
	    text.data[at + 7] == 'u' && (low = hex_number(text, at + 8, 4)) >= 0xDC00 && low < 0xE000)
	{
		*n = put_utf8(0x10000 + ((unsigned) (code - 0xD800) << 10) + (unsigned) (low - 0xDC00), out);
		return 12;
	}
	*n = put_utf8((unsigned) code, out);
	return 6;
}

/* One step: gives *n bytes (perhaps none) for how many of text. */
static size_t
decode(const Kind *kind, TzSlice text, size_t at, uint8_t *out, int *n)
{
	uint8_t byte = (uint8_t) text.data[at];
	size_t used = 1;
	int code;

	*n = 1;
	out[0] = byte;
	if (byte == '%' && kind->escape == ESCAPE_PERCENT && (code = hex_number(text, at + 1, 2)) >= 0)
	{
		out[0] = (uint8_t) code;
		used = 3;
	}
	else if (byte == '\\' && kind->escape == ESCAPE_JSON)
		used = json_escape(text, at, out, n);
	else if (byte == '+' && kind->plus)
		out[0] = ' ';
	if (kind->fold)
	{
		if (out[0] == '\n' || out[0] == '\r')
			*n = 0;
		else if (out[0] == '-')
			out[0] = '+';
		else if (out[0] == '_')
			out[0] = '/';
	}
	return used;
}

static bool
is_word(TzSlice text, size_t at)
{
	uint8_t c = (uint8_t) text.data[at];

	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
	       c >= 0x80;
}

static bool
is_base64(TzSlice text, size_t at)
{
	char c = text.data[at];

	return c != '\0' && (strchr(TZ_BASE64_DIGITS, c) != NULL || c == '-' || c == '_');
}

/* The pattern that was found, with the characters beside it that carry bits of the value. */
static TzStatus
add_found(Spans *spans, TzSlice text, size_t start, size_t end, uint8_t edges)
{
	if (edges & TZ_MASK_LEFT && start > 0 && is_base64(text, start - 1))
		start--;
	if (edges & TZ_MASK_RIGHT)
	{
		if (end < text.len && is_base64(text, end))
			end++;
		for (int i = 0; i < 2 && end < text.len && text.data[end] == '='; i++)
			end++;
	}
	return add_span(spans, (uint32_t) start, (uint32_t) end);
}

static TzStatus
add_words(Spans *spans, TzSlice text, const uint32_t *starts, uint32_t mask, size_t count, size_t end,
          uint8_t words)
{
	TzStatus status = TZ_OK;

	for (size_t len = 1; len <= TZ_MASK_WORD_MAX && status == TZ_OK; len++)
	{
		size_t start;

		if (!(words & 1 << len))
			continue;
		start = starts[(count - len) & mask];
		if ((start == 0 || !is_word(text, start - 1)) && (end == text.len || !is_word(text, end)))
			status = add_span(spans, (uint32_t) start, (uint32_t) end);
	}
	return status;
}

/* Where a pattern may begin; used while none has begun. */
static size_t
skip(const Reading *r, TzSlice text, size_t at)
{
	const uint8_t *data = (const uint8_t *) text.data;

	while (at + 1 < text.len && !(r->stop[data[at] * 32 + data[at + 1] / 8] >> (data[at + 1] % 8) & 1))
		at++;
	return at;
}

/*
 * Reads the text once. starts is a ring of where the last bytes read began, so
 * that what was found in the decoded bytes is known by its place in the text.
 * A beginning of a value that ends at last is taken for one.
 */
static TzStatus
read_text(const TzMask *m, const Reading *r, TzSlice text, size_t last, uint32_t *starts, uint32_t ring,
          Spans *spans)
{
	uint8_t bytes[DECODED_MAX];
	TzStatus status = TZ_OK;
	uint32_t at = 0;
	size_t count = 0;
	size_t used;
	int n;

	for (size_t i = 0; i < text.len && status == TZ_OK; i += used)
	{
		if (at == 0)
			i = skip(r, text, i);
		used = decode(&r->kind, text, i, bytes, &n);
		for (int j = 0; j < n && status == TZ_OK; j++)
		{
			const MaskNode *node;

			starts[count++ & ring] = (uint32_t) i;
			at = tz_mask_step(m, at, bytes[j]);
			node = &m->nodes[at];
			if (node->longest != 0)
				status =
					add_found(spans, text, starts[(count - node->longest) & ring], i + used, node->edges);
			if (node->words != 0 && status == TZ_OK)
				status = add_words(spans, text, starts, ring, count, i + used, node->words);
		}
		if (i + used == last && m->nodes[at].depth >= CUT_MIN && status == TZ_OK)
			status = add_span(spans, starts[(count - m->nodes[at].depth) & ring], (uint32_t) last);
	}
	return status;
}

/* Where a text that was cut ends; a character that was cut in two has become U+FFFD. SIZE_MAX: not cut. */
static size_t
cut_end(TzSlice text, bool cut)
{
	if (!cut)
		return SIZE_MAX;
	if (text.len >= 3 && memcmp(text.data + text.len - 3, "\xEF\xBF\xBD", 3) == 0)
		return text.len - 3;
	return text.len;
}

static void
set_reading(const TzMask *m, const Kind *kind, Reading *r)
{
	r->kind = *kind;
	memcpy(r->stop, m->pairs, sizeof(r->stop));
	for (const char *c = kind->special; *c != '\0'; c++)
	{
		uint8_t byte = (uint8_t) *c;

		memset(r->stop + byte * 32, 0xFF, 32);
		for (int one = 0; one < 256; one++)
			r->stop[one * 32 + byte / 8] |= (uint8_t) (1 << byte % 8);
	}
}

/* What could be escaped by nothing in the text needs no reading. */
static bool
is_needed(const TzMask *m, const Kind *kind, TzSlice text)
{
	if ((kind->fold && !m->base64) || (kind->plus && !m->spaces))
		return false;
	if (kind->needs[0] == '\0')
		return true;
	for (const char *c = kind->needs; *c != '\0'; c++)
		if (memchr(text.data, *c, text.len) != NULL)
			return true;
	return false;
}

static TzStatus
find_all(const TzMask *m, TzSlice text, bool cut, Spans *found)
{
	Reading *r = malloc(sizeof(Reading));
	Spans one = {0};
	uint32_t ring = 1;
	uint32_t *starts;
	TzStatus status = TZ_OK;

	while (ring < m->deepest)
		ring *= 2;
	starts = malloc(ring * sizeof(uint32_t));
	if (r == NULL || starts == NULL)
		status = TZ_NOMEM;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && status == TZ_OK; i++)
	{
		if (!is_needed(m, &kinds[i], text))
			continue;
		set_reading(m, &kinds[i], r);
		one.n = 0;
		status = read_text(m, r, text, cut_end(text, cut), starts, ring - 1, &one);
		if (status == TZ_OK)
			status = unite(found, &one);
	}
	free(one.list);
	free(starts);
	free(r);
	return status;
}

TzStatus
tz_mask_apply(const TzMask *m, TzSlice text, bool cut, TzBuf *out, bool *found)
{
	Spans spans = {0};
	TzStatus status;
	size_t at = 0;

	*found = false;
	if (m == NULL || text.len == 0)
		return TZ_OK;
	if (text.len > TEXT_MAX)
		return TZ_TOO_LARGE;
	status = find_all(m, text, cut, &spans);
	*found = spans.n > 0;
	for (size_t i = 0; i < spans.n && status == TZ_OK; i++)
	{
		tz_buf_append(out, text.data + at, spans.list[i].start - at);
		status = tz_buf_append(out, "***", 3);
		at = spans.list[i].end;
	}
	if (status == TZ_OK && *found)
		status = tz_buf_append(out, text.data + at, text.len - at);
	free(spans.list);
	return status;
}
