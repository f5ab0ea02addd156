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
#include "lib/sign.h"

#define CUT_MIN 4 /* bytes of a beginning that is taken for one */
#define TEXT_MAX UINT32_MAX
#define BEHIND_MAX 3 /* bytes behind a value that may belong to its base64 */
#define DECODED_MAX 4 /* bytes one step of a reading gives */

/* What a character that was cut in two has become: U+FFFD. */
static const char replacement[] = "\xEF\xBF\xBD";
#define REPLACEMENT_LEN (sizeof(replacement) - 1)

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
	{ESCAPE_NONE, false, false, "", ""},      {ESCAPE_NONE, false, true, "\n\r-_", "\n\r-_"},
	{ESCAPE_PERCENT, false, false, "%", "%"}, {ESCAPE_PERCENT, true, false, "%+", "+"},
	{ESCAPE_JSON, false, false, "\\", "\\"},  {ESCAPE_JSON, false, true, "\\\n\r-_", "\\"},
};

typedef struct Reading
{
	Kind kind;
	const uint8_t *stop; /* two bytes that a pattern may begin with, or one of which is special */
} Reading;

static size_t
min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* ---- reading a text ------------------------------------------------------------------ */

/* The n hex digits at that place, -1 when they are none. */
static int
hex_number(TzSlice text, size_t at, int n)
{
	int number = 0;

	if (at + (size_t) n > text.len)
		return -1;
	for (int i = 0; i < n; i++)
	{
		int digit = tz_hex_digit(text.data[at + (size_t) i]);

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

/* How many of the n bytes from there on are hex digits, or not there yet; -1 when one is neither. */
static int
hex_missing(TzSlice text, size_t at, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (at + (size_t) i >= text.len)
			return n - i;
		if (tz_hex_digit(text.data[at + (size_t) i]) < 0)
			return -1;
	}
	return 0;
}

/* True when what may follow the text decides what this step gives. */
static bool
is_unfinished(const Kind *kind, TzSlice text, size_t at)
{
	int code;

	if (kind->escape == ESCAPE_PERCENT)
		return text.data[at] == '%' && hex_missing(text, at + 1, 2) > 0;
	if (kind->escape != ESCAPE_JSON || text.data[at] != '\\')
		return false;
	if (at + 1 == text.len)
		return true;
	if (text.data[at + 1] != 'u' || hex_missing(text, at + 2, 4) < 0)
		return false;
	code = hex_number(text, at + 2, 4);
	if (code < 0)
		return true;
	/* the first half of a pair */
	if (code < 0xD800 || code >= 0xDC00 || at + 12 <= text.len)
		return false;
	if (at + 6 < text.len && text.data[at + 6] != '\\')
		return false;
	if (at + 7 < text.len && text.data[at + 7] != 'u')
		return false;
	return at + 8 >= text.len || hex_missing(text, at + 8, 4) > 0;
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
add_found(MaskSpans *spans, TzSlice text, size_t start, size_t end, uint8_t edges)
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
	return tz_mask_span_add(spans, (uint32_t) start, (uint32_t) end);
}

/* Where the text is read: a ring of where the last bytes read began. */
typedef struct Starts
{
	uint32_t *list;
	uint32_t ring;
	size_t count;
} Starts;

/* Where what has begun, by the automaton's place, begins in the text. */
static size_t
begun(const TzMask *m, uint32_t at, const Starts *starts, size_t here)
{
	uint32_t depth = m->nodes[at].depth;

	return depth > 0 ? starts->list[(starts->count - depth) & starts->ring] : here;
}

static TzStatus
add_words(MaskSpans *spans, TzSlice text, const Starts *starts, size_t end, uint8_t words)
{
	TzStatus status = TZ_OK;

	for (size_t len = 1; len <= TZ_MASK_WORD_MAX && status == TZ_OK; len++)
	{
		size_t start;

		if (!(words & 1 << len))
			continue;
		start = starts->list[(starts->count - len) & starts->ring];
		if ((start == 0 || !is_word(text, start - 1)) && (end == text.len || !is_word(text, end)))
			status = tz_mask_span_add(spans, (uint32_t) start, (uint32_t) end);
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
 * Reads the text once. starts makes what was found in the decoded bytes known by
 * its place in the text. A beginning of a value that ends at last is taken for
 * one. *open becomes smaller when what stands there may go on behind the text, or
 * ends at brink, which may yet turn out to be where the text was cut.
 */
static TzStatus
read_text(const TzMask *m, const Reading *r, TzSlice text, size_t from, size_t last, size_t brink,
          Starts *starts, MaskSpans *spans, size_t *open)
{
	uint8_t bytes[DECODED_MAX];
	TzStatus status = TZ_OK;
	uint32_t at = 0;
	size_t used;
	int n;

	starts->count = 0;
	for (size_t i = from; i < text.len && status == TZ_OK; i += used)
	{
		if (at == 0)
			i = skip(r, text, i);
		if (is_unfinished(&r->kind, text, i))
			*open = min_size(*open, begun(m, at, starts, i));
		used = decode(&r->kind, text, i, bytes, &n);
		for (int j = 0; j < n && status == TZ_OK; j++)
		{
			const MaskNode *node;

			starts->list[starts->count++ & starts->ring] = (uint32_t) i;
			at = tz_mask_step(m, at, bytes[j]);
			node = &m->nodes[at];
			if (node->longest != 0)
				status = add_found(spans, text, starts->list[(starts->count - node->longest) & starts->ring],
				                   i + used, node->edges);
			if (node->words != 0 && status == TZ_OK)
				status = add_words(spans, text, starts, i + used, node->words);
		}
		if (i + used == brink && m->nodes[at].depth >= CUT_MIN)
			*open = min_size(*open, begun(m, at, starts, brink));
		if (i + used == last && m->nodes[at].depth >= CUT_MIN && status == TZ_OK)
			status = tz_mask_span_add(spans, (uint32_t) begun(m, at, starts, last), (uint32_t) last);
	}
	*open = min_size(*open, begun(m, at, starts, text.len));
	return status;
}

/* Where the text ends but for what may become a replacement character behind it. */
static size_t
brink_of(TzSlice text)
{
	for (size_t n = min_size(REPLACEMENT_LEN, text.len); n > 0; n--)
		if (memcmp(text.data + text.len - n, replacement, n) == 0)
			return text.len - n;
	return text.len;
}

/* Where a text that was cut ends. SIZE_MAX: not cut. */
static size_t
cut_end(TzSlice text, bool cut)
{
	size_t brink = brink_of(text);

	if (!cut)
		return SIZE_MAX;
	return text.len - brink == REPLACEMENT_LEN ? brink : text.len;
}

/* table: room for what the mask's own does not say; made at the first need. */
static TzStatus
set_reading(const TzMask *m, const Kind *kind, Reading *r, uint8_t **table)
{
	r->kind = *kind;
	r->stop = m->pairs;
	if (kind->special[0] == '\0')
		return TZ_OK;
	if (*table == NULL)
		*table = malloc(sizeof(m->pairs));
	if (*table == NULL)
		return TZ_NOMEM;
	memcpy(*table, m->pairs, sizeof(m->pairs));
	for (const char *c = kind->special; *c != '\0'; c++)
	{
		uint8_t byte = (uint8_t) *c;

		memset(*table + byte * 32, 0xFF, 32);
		for (int one = 0; one < 256; one++)
			(*table)[one * 32 + byte / 8] |= (uint8_t) (1 << byte % 8);
	}
	r->stop = *table;
	return TZ_OK;
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

/* Back to where the step begins that place lies in. */
static size_t
step_start(const Kind *kind, TzSlice text, size_t from, size_t place)
{
	uint8_t bytes[DECODED_MAX];
	size_t used;
	int n;

	for (size_t i = from; i < place; i += used)
	{
		used = decode(kind, text, i, bytes, &n);
		if (i + used > place)
			return i;
	}
	return place;
}

/* No later than open: before a character that may carry bits, before spans that may grow, between escapes. */
static size_t
settle_safe(const TzMask *m, TzSlice text, size_t from, const MaskSpans *found, size_t open)
{
	size_t safe = open;
	size_t before;

	if (m->base64 && safe > from && is_base64(text, safe - 1))
		safe--;
	do
	{
		before = safe;
		for (size_t i = found->n; i > 0; i--)
		{
			const MaskSpan *span = &found->list[i - 1];

			if (span->start < safe && (span->end > safe || (m->base64 && span->end + BEHIND_MAX > text.len)))
				safe = span->start;
		}
		for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
			if (kinds[i].escape != ESCAPE_NONE && is_needed(m, &kinds[i], text))
				safe = step_start(&kinds[i], text, from, safe);
	} while (safe < before);
	return safe;
}

TzStatus
tz_mask_find(const TzMask *m, TzSlice text, size_t from, bool cut, MaskSpans *found, size_t *safe)
{
	uint8_t *table = NULL;
	Reading r;
	Starts starts = {.ring = 1};
	MaskSpans one = {0};
	size_t open = text.len;
	TzStatus status = TZ_OK;

	while (starts.ring < m->deepest)
		starts.ring *= 2;
	starts.list = malloc(starts.ring * sizeof(uint32_t));
	starts.ring--;
	if (starts.list == NULL)
		status = TZ_NOMEM;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && status == TZ_OK; i++)
	{
		if (!is_needed(m, &kinds[i], text))
			continue;
		one.n = 0;
		status = set_reading(m, &kinds[i], &r, &table);
		if (status == TZ_OK)
			status = read_text(m, &r, text, from, cut_end(text, cut), brink_of(text), &starts, &one, &open);
		if (status == TZ_OK)
			status = tz_mask_span_unite(found, &one);
	}
	free(one.list);
	free(starts.list);
	free(table);
	if (safe != NULL && status == TZ_OK)
		*safe = settle_safe(m, text, from, found, open);
	return status;
}

TzStatus
tz_mask_apply(const TzMask *m, TzSlice text, bool cut, TzBuf *out, bool *found)
{
	MaskSpans spans = {0};
	TzStatus status;

	*found = false;
	if (m == NULL || text.len == 0)
		return TZ_OK;
	if (text.len > TEXT_MAX)
		return TZ_TOO_LARGE;
	status = tz_mask_find(m, text, 0, cut, &spans, NULL);
	*found = spans.n > 0;
	if (status == TZ_OK && *found)
		status = tz_mask_write(text, 0, text.len, &spans, out);
	free(spans.list);
	return status;
}
