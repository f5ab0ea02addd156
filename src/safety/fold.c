/*-------------------------------------------------------------------------
 *
 * fold.c
 *	  A text as the words of the filter are written.
 *
 * One pass, one output byte at most for each byte read.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "safety/fold.h"

#define FOREIGN ((char) 0x80) /* a letter or sign that no word has */

/* Base letters of U+00C0 to U+017F; a blank stands for a sign. */
static const char latin[] = "aaaaaaaceeeeiiiidnooooo ouuuuytsaaaaaaaceeeeiiiidnooooo ouuuuyty"
							"aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiiiiijjkkklllllll"
							"lllnnnnnnnnnoooooooorrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs";

/* Letters of other scripts that are drawn like Latin ones, in pairs of code point and letter. */
static const struct
{
	uint16_t code;
	char letter;
} lookalike[] = {
	{0x0131, 'i'}, {0x0251, 'a'},  {0x0261, 'g'},  {0x026A, 'i'},  {0x0280, 'r'}, {0x028F, 'y'},
	{0x029F, 'l'}, {0x02BC, '\''}, {0x0391, 'a'},  {0x0392, 'b'},  {0x0395, 'e'}, {0x0396, 'z'},
	{0x0397, 'h'}, {0x0399, 'i'},  {0x039A, 'k'},  {0x039C, 'm'},  {0x039D, 'n'}, {0x039F, 'o'},
	{0x03A1, 'p'}, {0x03A4, 't'},  {0x03A5, 'y'},  {0x03A7, 'x'},  {0x03B1, 'a'}, {0x03B5, 'e'},
	{0x03B9, 'i'}, {0x03BA, 'k'},  {0x03BD, 'v'},  {0x03BF, 'o'},  {0x03C1, 'p'}, {0x03C4, 't'},
	{0x03C5, 'u'}, {0x03C7, 'x'},  {0x0405, 's'},  {0x0406, 'i'},  {0x0408, 'j'}, {0x0410, 'a'},
	{0x0412, 'b'}, {0x0415, 'e'},  {0x041A, 'k'},  {0x041C, 'm'},  {0x041D, 'h'}, {0x041E, 'o'},
	{0x0420, 'p'}, {0x0421, 'c'},  {0x0422, 't'},  {0x0423, 'y'},  {0x0425, 'x'}, {0x0430, 'a'},
	{0x0432, 'b'}, {0x0435, 'e'},  {0x043A, 'k'},  {0x043C, 'm'},  {0x043D, 'h'}, {0x043E, 'o'},
	{0x0440, 'p'}, {0x0441, 'c'},  {0x0442, 't'},  {0x0443, 'y'},  {0x0445, 'x'}, {0x0455, 's'},
	{0x0456, 'i'}, {0x0458, 'j'},  {0x04BB, 'h'},  {0x0501, 'd'},  {0x051B, 'q'}, {0x051D, 'w'},
	{0x1D00, 'a'}, {0x1D04, 'c'},  {0x1D05, 'd'},  {0x1D07, 'e'},  {0x1D0A, 'j'}, {0x1D0B, 'k'},
	{0x1D0D, 'm'}, {0x1D0F, 'o'},  {0x1D18, 'p'},  {0x1D1B, 't'},  {0x1D1C, 'u'}, {0x1D20, 'v'},
	{0x1D21, 'w'}, {0x1D22, 'z'},  {0x2018, '\''}, {0x2019, '\''}, {0x201C, '"'}, {0x201D, '"'},
};

static char
find_lookalike(uint32_t code)
{
	size_t low = 0, high = sizeof(lookalike) / sizeof(lookalike[0]);

	while (low < high)
	{
		size_t mid = (low + high) / 2;

		if (lookalike[mid].code == code)
			return lookalike[mid].letter;
		if (lookalike[mid].code < code)
			low = mid + 1;
		else
			high = mid;
	}
	return FOREIGN;
}

static bool
unseen(uint32_t c)
{
	return c == 0xAD || (c >= 0x300 && c <= 0x36F) || c == 0x034F || c == 0x061C || c == 0x180E ||
	       (c >= 0x200B && c <= 0x200F) || (c >= 0x202A && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) ||
	       (c >= 0x20D0 && c <= 0x20FF) || (c >= 0xFE00 && c <= 0xFE0F) || c == 0xFEFF ||
	       (c >= 0xE0100 && c <= 0xE01EF) || c == 0xE0001 || c == 0xE007F;
}

static bool
blank(uint32_t c)
{
	return c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
	       c == 0x202F || c == 0x205F || c == 0x3000 || c == 0x85;
}

/* A character beyond ASCII as one byte; 0: nothing. */
static char
fold_character(uint32_t c)
{
	if (unseen(c))
		return 0;
	if (blank(c))
		return ' ';
	if (c >= 0xC0 && c <= 0x17F && c != 0x131)
		return latin[c - 0xC0] == ' ' ? FOREIGN : latin[c - 0xC0];
	if (c >= 0x2010 && c <= 0x2015)
		return '-';
	/* the same letters in other styles: full width, mathematical, circled, squared; and tags nobody sees */
	if (c >= 0xFF01 && c <= 0xFF5E)
		c -= 0xFEE0;
	else if (c >= 0x1D400 && c <= 0x1D6A3)
		return (char) ('a' + (c - 0x1D400) % 26);
	else if (c >= 0x1D7CE && c <= 0x1D7FF)
		return (char) ('0' + (c - 0x1D7CE) % 10);
	else if (c >= 0x24B6 && c <= 0x24E9)
		return (char) ('a' + (c - 0x24B6) % 26);
	else if ((c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) ||
	         (c >= 0x1F170 && c <= 0x1F189))
		return (char) ('a' + (c - 0x1F130) % 0x20);
	else if (c >= 0x1F1E6 && c <= 0x1F1FF)
		return (char) ('a' + (c - 0x1F1E6));
	else if (c >= 0xE0020 && c <= 0xE007E)
		c -= 0xE0000;
	else
		return find_lookalike(c);
	return (char) (c >= 'A' && c <= 'Z' ? c + 32 : c);
}

/* The character at s, and how many bytes it takes. What is none is one byte. */
static uint32_t
decode(const unsigned char *s, size_t left, size_t *len)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : s[0] >= 0xC0 ? 2 : 1;
	uint32_t c;

	*len = 1;
	if (n == 1 || n > left)
		return 0xFFFD;
	c = s[0] & (0x7F >> n);
	for (size_t i = 1; i < n; i++)
	{
		if ((s[i] & 0xC0) != 0x80)
			return 0xFFFD;
		c = (c << 6) | (s[i] & 0x3F);
	}
	if (c < least[n])
		return 0xFFFD;
	*len = n;
	return c;
}

TzStatus
tz_fold(TzSlice text, TzBuf *out)
{
	const unsigned char *s = (const unsigned char *) text.data;
	bool space = true; /* none at the beginning */
	TzStatus status = tz_buf_reserve(out, text.len + 1);
	char *to;
	size_t len;

	if (status != TZ_OK)
		return status;
	to = out->data + out->len;
	for (size_t i = 0; i < text.len; i += len)
	{
		unsigned char b = s[i];
		char c;

		len = 1;
		if (b < 0x80)
			c = (char) (b <= ' ' || b == 0x7F ? ' ' : b >= 'A' && b <= 'Z' ? b + 32 : b);
		else
		{
			uint32_t code = decode(s + i, text.len - i, &len);

			/* one letter that is written as two */
			if (code == 0xDF || code == 0x1E9E)
				*to++ = 's';
			else if (code == 0xE6 || code == 0xC6)
				*to++ = 'a';
			else if (code == 0x153 || code == 0x152)
				*to++ = 'o';
			c = code == 0xE6 || code == 0xC6 || code == 0x153 || code == 0x152 ? 'e'
			    : code == 0x1E9E                                               ? 's'
			                                                                   : fold_character(code);
			if (c == 0)
				continue;
		}
		if (c == ' ')
		{
			if (!space)
				*to++ = ' ';
			space = true;
			continue;
		}
		space = false;
		*to++ = c;
	}
	out->len = (size_t) (to - out->data);
	out->data[out->len] = '\0';
	return TZ_OK;
}

size_t
tz_fold_tail(TzSlice text, size_t want)
{
	const unsigned char *s = (const unsigned char *) text.data;
	size_t at = text.len, n = 0;
	bool space = false;

	while (at > 0 && n < want)
	{
		size_t from = at - 1, len = 1;
		uint32_t code = s[from];

		while (from > 0 && at - from < 4 && (s[from] & 0xC0) == 0x80)
			from--;
		if (s[from] >= 0x80)
			code = decode(s + from, at - from, &len);
		if (len != at - from)
		{
			/* no character: a byte by itself */
			from = at - 1;
			code = 0xFFFD;
		}
		at = from;
		if (code >= 0x80 && unseen(code))
			continue;
		if (code <= ' ' || code == 0x7F || (code >= 0x80 && blank(code)))
		{
			n += !space;
			space = true;
			continue;
		}
		space = false;
		n += code < 0x80 || code == 0xFFFD ? 1 : len;
	}
	return at;
}

bool
tz_fold_plain(TzSlice text)
{
	const unsigned char *s = (const unsigned char *) text.data;
	unsigned char odd = 0;
	size_t i = 0;

	/* Blocks without a branch, so that the compiler reads many bytes at once. */
	for (; i + 64 <= text.len; i += 64)
	{
		for (size_t k = 0; k < 64; k++)
			odd |= (unsigned char) ((s[i + k] < ' ') | (s[i + k] > '~'));
		if (odd)
			return false;
	}
	for (; i < text.len; i++)
		odd |= (unsigned char) ((s[i] < ' ') | (s[i] > '~'));
	if (odd)
		return false;
	return text.len < 2 || memmem(text.data, text.len, "  ", 2) == NULL;
}

/* ----------------------------------------------------------------------------
 * Disguise
 * ----------------------------------------------------------------------------
 */
enum
{
	IS_LETTER = 1,
	IS_BASE64 = 2
};

static unsigned char marks[256];
static char meant[256]; /* the letter a digit or sign stands for, or 0 */

static void
tables(void)
{
	static const char pairs[] = "0o1i!i|l3e4a@a5s$s7t+t8b";

	if (marks['a'] != 0)
		return;
	for (const char *p = pairs; *p; p += 2)
		meant[(unsigned char) p[0]] = p[1];
	for (int c = 0; c < 256; c++)
		if ((c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '+' || c == '/' ||
		    c == '-' || c == '_')
			marks[c] = (unsigned char) (IS_BASE64 | (c >= 'a' && c <= 'z' ? IS_LETTER : 0));
}

static bool
letter(char c)
{
	return marks[(unsigned char) c] & IS_LETTER;
}

static char
stands_for(char c)
{
	return meant[(unsigned char) c];
}

/* Is there a sign between two letters? Then it is worth reading again. */
static bool
sign_among_letters(TzSlice t, size_t i)
{
	return i > 0 && i + 1 < t.len && meant[(unsigned char) t.data[i]] != 0 &&
	       (letter(t.data[i - 1]) || letter(t.data[i + 1])) &&
	       (letter(t.data[i - 1]) || stands_for(t.data[i - 1])) &&
	       (letter(t.data[i + 1]) || stands_for(t.data[i + 1]));
}

#define BLOCK 64

static inline unsigned char
small(unsigned char c)
{
	return (unsigned char) (c - 'a') < 26;
}

static bool
has_signs(TzSlice t)
{
	const unsigned char *s = (const unsigned char *) t.data;
	size_t i = 1;

	/* most blocks have none beside a letter; this is one the compiler reads many bytes of at once */
	for (; i + BLOCK < t.len; i += BLOCK)
	{
		unsigned char any = 0;

		for (size_t k = 0; k < BLOCK; k++)
			any |= (unsigned char) (((unsigned char) (s[i + k] - '0') < 10) | (s[i + k] == '@') |
			                        (s[i + k] == '$') | (s[i + k] == '!') | (s[i + k] == '|') |
			                        (s[i + k] == '+')) &
			       (small(s[i + k - 1]) | small(s[i + k + 1]));
		for (size_t k = 0; any && k < BLOCK; k++)
			if (sign_among_letters(t, i + k))
				return true;
	}
	for (; i < t.len; i++)
		if (sign_among_letters(t, i))
			return true;
	return false;
}

static TzStatus
read_signs(TzSlice t, TzBuf *out)
{
	TzStatus status = tz_buf_reserve(out, t.len + 1);

	if (status != TZ_OK)
		return status;
	for (size_t i = 0; i < t.len; i++)
	{
		char c = t.data[i];
		bool beside = (i > 0 && (letter(t.data[i - 1]) || stands_for(t.data[i - 1]))) ||
		              (i + 1 < t.len && (letter(t.data[i + 1]) || stands_for(t.data[i + 1])));

		out->data[out->len++] = beside && stands_for(c) ? stands_for(c) : c;
	}
	out->data[out->len++] = ' ';
	return TZ_OK;
}

/* Letters set apart by one sign each, at least this many, are put together. */
#define APART_MIN 4

static bool
apart_in(TzSlice t, size_t from, size_t to)
{
	size_t n = 0;

	for (size_t i = from; i + 1 < to; i += 2)
	{
		/* every second byte alone among no letters; whichever half it is, one step meets it */
		if (letter(t.data[i]) && letter(t.data[i + 1]))
			n = 0;
		else if (++n >= APART_MIN - 1)
			return true;
	}
	return false;
}

static bool
has_apart(TzSlice t)
{
	const unsigned char *s = (const unsigned char *) t.data;
	size_t i = 1;

	/* where fewer than two letters of a block stand alone there is nothing; again for many bytes at once */
	for (; i + BLOCK < t.len; i += BLOCK)
	{
		unsigned char alone = 0;

		for (size_t k = 0; k < BLOCK; k++)
			alone = (unsigned char) (alone + (small(s[i + k]) & !small(s[i + k - 1]) & !small(s[i + k + 1])));
		if (alone >= 2 && apart_in(t, i > 2 * APART_MIN ? i - 2 * APART_MIN : 0,
		                           t.len - i > BLOCK + 2 * APART_MIN ? i + BLOCK + 2 * APART_MIN : t.len))
			return true;
	}
	return apart_in(t, i > 2 * APART_MIN ? i - 2 * APART_MIN : 0, t.len);
}

static TzStatus
read_apart(TzSlice t, TzBuf *out)
{
	TzStatus status = TZ_OK;
	bool any = false;
	size_t i = 0;

	while (i < t.len && status == TZ_OK)
	{
		size_t n = 0, at = i;

		if (letter(t.data[i]) && (i == 0 || !letter(t.data[i - 1])))
			while (at < t.len && letter(t.data[at]) && (at + 1 >= t.len || !letter(t.data[at + 1])))
			{
				n++;
				if (at + 2 >= t.len || letter(t.data[at + 1]) || !letter(t.data[at + 2]))
				{
					at++;
					break;
				}
				at += 2;
			}
		if (n >= APART_MIN)
		{
			for (size_t k = 0; k < n && status == TZ_OK; k++)
				status = tz_buf_append_byte(out, t.data[i + 2 * k]);
			any = true;
			i += 2 * n - 1;
		}
		else
		{
			/* what was looked at and is none is not looked at again */
			size_t next = at > i ? at : i + 1;

			if (any)
				status = tz_buf_append(out, t.data + i, next - i);
			i = next;
		}
	}
	if (any && status == TZ_OK)
		status = tz_buf_append_byte(out, ' ');
	return status;
}

static int
base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

#define BASE64_MIN 24

/* A run of base64 digits, decoded and folded, when what comes out is a text. */
static TzStatus
read_run(TzSlice run, TzBuf *out)
{
	TzBuf plain;
	uint32_t bits = 0;
	int have = 0;
	size_t spaces = 0;
	TzStatus status;

	tz_buf_init(&plain, run.len + 1);
	status = tz_buf_reserve(&plain, run.len + 1);
	for (size_t i = 0; i < run.len && status == TZ_OK; i++)
	{
		bits = (bits << 6) | (uint32_t) base64_digit(run.data[i]);
		have += 6;
		if (have >= 8)
		{
			unsigned char c = (unsigned char) (bits >> (have - 8));

			have -= 8;
			bits &= (1U << have) - 1;
			spaces += c == ' ';
			if (c < ' ' && c != '\n' && c != '\r' && c != '\t')
				goto done; /* no text */
			plain.data[plain.len++] = (char) c;
		}
	}
	if (status == TZ_OK && spaces > 0)
	{
		status = tz_fold(tz_buf_slice(&plain), out);
		if (status == TZ_OK)
			status = tz_buf_append_byte(out, ' ');
	}
done:
	tz_buf_free(&plain);
	return status;
}

static TzStatus
read_base64(TzSlice t, TzBuf *out)
{
	const unsigned char *s = (const unsigned char *) t.data;
	TzStatus status = TZ_OK;
	size_t i = 0;

	/* A run has its last needed byte here, or none begins up to it. */
	while (status == TZ_OK && i + BASE64_MIN <= t.len)
	{
		size_t last = i + BASE64_MIN - 1, start = last, end = last;

		if (!(marks[s[last]] & IS_BASE64))
		{
			i = last + 1;
			continue;
		}
		while (start > i && (marks[s[start - 1]] & IS_BASE64))
			start--;
		while (end < t.len && (marks[s[end]] & IS_BASE64))
			end++;
		if (end - start >= BASE64_MIN)
			status = read_run(tz_slice(t.data + start, end - start), out);
		i = end;
	}
	return status;
}

TzStatus
tz_fold_disguised(TzSlice text, TzSlice folded, TzBuf *signs, TzBuf *joined)
{
	TzStatus status;

	tables();
	status = read_base64(text, signs);
	if (status == TZ_OK && has_signs(folded))
		status = read_signs(folded, signs);
	if (status == TZ_OK && has_apart(folded))
		status = read_apart(folded, joined);
	return status;
}
