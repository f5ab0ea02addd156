/*-------------------------------------------------------------------------
 *
 * text.c
 *	  A checking reader of JSON without a stack of its own.
 *
 * What is open is kept as one bit a level, so depth costs nothing.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "lib/utf8.h"
#include "runner/text.h"

#define DEPTH_MAX 1024
#define NUMBER_MAX 64
#define EXPONENT_MAX 3 /* digits */

typedef struct Reader
{
	const char *p;
	const char *end;
	TzBuf *out;
	size_t zeros; /* that its numbers have when they are written out */
} Reader;

static void
blanks(Reader *r)
{
	while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r'))
		r->p++;
}

static bool
word(Reader *r, const char *w)
{
	size_t n = strlen(w);

	if ((size_t) (r->end - r->p) < n || memcmp(r->p, w, n) != 0)
		return false;
	r->p += n;
	return true;
}

static bool
digits(Reader *r)
{
	const char *from = r->p;

	while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
		r->p++;
	return r->p > from;
}

static bool
number(Reader *r)
{
	const char *from = r->p, *exponent;
	size_t zeros = 0;

	if (*r->p == '-')
		r->p++;
	if (r->p < r->end && *r->p == '0')
		r->p++;
	else if (!digits(r))
		return false;
	if (r->p < r->end && *r->p == '.')
	{
		r->p++;
		if (!digits(r))
			return false;
	}
	if (r->p < r->end && (*r->p == 'e' || *r->p == 'E'))
	{
		r->p++;
		if (r->p < r->end && (*r->p == '+' || *r->p == '-'))
			r->p++;
		exponent = r->p;
		if (!digits(r) || r->p - exponent > EXPONENT_MAX)
			return false;
		for (; exponent < r->p; exponent++)
			zeros = zeros * 10 + (size_t) (*exponent - '0');
	}
	r->zeros += zeros;
	return r->p - from <= NUMBER_MAX;
}

/* Four hex digits, or -1. */
static int
hex4(const char *p, const char *end)
{
	int v = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++)
	{
		char c = p[i];
		int d = c >= '0' && c <= '9'   ? c - '0'
		        : c >= 'a' && c <= 'f' ? c - 'a' + 10
		        : c >= 'A' && c <= 'F' ? c - 'A' + 10
		                               : -1;

		if (d < 0)
			return -1;
		v = v * 16 + d;
	}
	return v;
}

/* At the digits of an escape. What was read before is appended up to `from`, which moves. */
static bool
unicode(Reader *r, const char **from)
{
	int v = hex4(r->p, r->end);
	const char *escape = r->p - 2;

	if (v < 0)
		return false;
	r->p += 4;
	if (v >= 0xd800 && v <= 0xdbff)
	{
		if (r->end - r->p >= 6 && r->p[0] == '\\' && r->p[1] == 'u')
		{
			int low = hex4(r->p + 2, r->end);

			if (low >= 0xdc00 && low <= 0xdfff)
			{
				r->p += 6;
				return true;
			}
		}
	}
	else if (v != 0 && (v < 0xdc00 || v > 0xdfff))
		return true;
	(void) tz_buf_append(r->out, *from, (size_t) (escape - *from));
	(void) tz_buf_append(r->out, "\\ufffd", 6);
	*from = r->p;
	return true;
}

static bool
string(Reader *r, const char **from)
{
	if (r->p >= r->end || *r->p != '"')
		return false;
	r->p++;
	while (r->p < r->end)
	{
		unsigned char c = (unsigned char) *r->p++;

		if (c == '"')
			return true;
		if (c < 0x20)
			return false;
		if (c != '\\')
			continue;
		if (r->p >= r->end)
			return false;
		c = (unsigned char) *r->p++;
		if (c == 'u')
		{
			if (!unicode(r, from))
				return false;
		}
		else if (c == '\0' || strchr("\"\\/bfnrt", c) == NULL)
			return false;
	}
	return false;
}

/* A value that opens nothing. */
static bool
scalar(Reader *r, const char **from)
{
	if (r->p >= r->end)
		return false;
	switch (*r->p)
	{
		case '"':
			return string(r, from);
		case 't':
			return word(r, "true");
		case 'f':
			return word(r, "false");
		case 'n':
			return word(r, "null");
		default:
			return number(r);
	}
}

/* A key and its colon, with the blanks around. */
static bool
key(Reader *r, const char **from)
{
	blanks(r);
	if (!string(r, from))
		return false;
	blanks(r);
	if (r->p >= r->end || *r->p != ':')
		return false;
	r->p++;
	return true;
}

/*
 * After a value: closes what ends here. False: the text is wrong. *more: another value follows.
 */
static bool
after_value(Reader *r, const char **from, const unsigned char *object, int *depth, bool *more)
{
	*more = false;
	for (;;)
	{
		bool in_object;

		if (*depth == 0)
			return true;
		in_object = (object[*depth / 8] >> (*depth % 8)) & 1;
		blanks(r);
		if (r->p >= r->end)
			return false;
		if (*r->p == ',')
		{
			r->p++;
			*more = true;
			return !in_object || key(r, from);
		}
		if (*r->p != (in_object ? '}' : ']'))
			return false;
		r->p++;
		(*depth)--;
	}
}

static TzStatus
values(Reader *r, const char **from, int max_depth, TzErr *err)
{
	unsigned char object[DEPTH_MAX / 8 + 1] = {0};
	int depth = 0;
	bool more = true;

	while (more)
	{
		blanks(r);
		if (r->p >= r->end)
			return TZ_BAD_INPUT;
		if (*r->p == '{' || *r->p == '[')
		{
			bool in_object = *r->p == '{';

			if (depth >= max_depth || depth >= DEPTH_MAX)
				return tz_err_set(err, TZ_TOO_LARGE, "nested too deeply");
			depth++;
			if (in_object)
				object[depth / 8] |= (unsigned char) (1 << (depth % 8));
			else
				object[depth / 8] &= (unsigned char) ~(1 << (depth % 8));
			r->p++;
			blanks(r);
			if (r->p < r->end && *r->p == (in_object ? '}' : ']'))
			{
				r->p++;
				depth--;
			}
			else if (in_object && !key(r, from))
				return TZ_BAD_INPUT;
			else
				continue;
		}
		else if (!scalar(r, from))
			return TZ_BAD_INPUT;
		if (!after_value(r, from, object, &depth, &more))
			return TZ_BAD_INPUT;
	}
	return TZ_OK;
}

TzStatus
tz_runner_json(TzSlice in, int max_depth, TzBuf *out, TzErr *err)
{
	Reader r = {in.data, in.data + in.len, out, 0};
	const char *from = in.data;
	TzStatus st;

	if (in.len == 0 || !tz_utf8_valid(in))
		return TZ_BAD_INPUT;
	st = values(&r, &from, max_depth, err);
	if (st != TZ_OK)
		return st;
	blanks(&r);
	if (r.p != r.end)
		return TZ_BAD_INPUT;
	if (r.zeros > TZ_RUNNER_ZEROS_MAX)
		return tz_err_set(err, TZ_TOO_LARGE, "too large with all numbers written out");
	return tz_buf_append(out, from, (size_t) (r.end - from));
}
