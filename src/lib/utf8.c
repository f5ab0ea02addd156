/*-------------------------------------------------------------------------
 *
 * utf8.c
 *	  Text from outside, made fit for a text column.
 *
 * What a program in a sandbox prints is bytes; what a text column takes is
 * UTF-8 without NUL. Ill-formed input is replaced by the Unicode practice of
 * "maximal subparts": one replacement character for the longest prefix of a
 * valid sequence, so decoders of other languages see the same text.
 *
 *-------------------------------------------------------------------------
 */
#include "lib/utf8.h"

#include <string.h>

static const char replacement[] = "\xEF\xBF\xBD";

static int utf8_step(const unsigned char *p, size_t left, bool *ok);

bool
tz_utf8_valid(TzSlice in)
{
	const unsigned char *p = (const unsigned char *) in.data;
	size_t pos = 0;

	while (pos < in.len)
	{
		bool ok;
		int n = utf8_step(p + pos, in.len - pos, &ok);

		if (!ok)
			return false;
		pos += (size_t) n;
	}
	return true;
}

TzStatus
tz_utf8_sanitize(TzSlice in, TzBuf *out)
{
	const unsigned char *p = (const unsigned char *) in.data;
	size_t pos = 0;
	size_t good = 0; /* start of the run not yet copied */

	while (pos < in.len)
	{
		bool ok;
		int n = utf8_step(p + pos, in.len - pos, &ok);

		if (!ok)
		{
			tz_buf_append(out, in.data + good, pos - good);
			tz_buf_append(out, replacement, 3);
			if (out->status != TZ_OK)
				return out->status;
			good = pos + (size_t) n;
		}
		pos += (size_t) n;
	}
	if (good < in.len)
		tz_buf_append(out, in.data + good, in.len - good);
	return out->status;
}

size_t
tz_utf8_cut(TzSlice in, size_t max)
{
	size_t end = max;
	int back;

	if (in.len <= max)
		return in.len;

	/* in.data[end] exists: the cut is right if it does not continue a character */
	for (back = 0; back < 4 && end > 0; back++, end--)
	{
		if (((unsigned char) in.data[end] & 0xC0) != 0x80)
			return end;
	}
	return end == 0 ? 0 : max; /* not UTF-8 at all: cut anywhere */
}

size_t
tz_utf8_whole(TzSlice in)
{
	size_t start = in.len;
	unsigned char lead;
	size_t need;

	while (start > 0 && in.len - start < 3 && ((unsigned char) in.data[start - 1] & 0xC0) == 0x80)
		start--;
	if (start == 0)
		return in.len;
	lead = (unsigned char) in.data[start - 1];
	need = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
	return in.len - start + 1 < need ? start - 1 : in.len;
}

bool
tz_utf8_has_control(TzSlice in)
{
	const unsigned char *p = (const unsigned char *) in.data;
	size_t i;

	for (i = 0; i < in.len; i++)
	{
		if (p[i] < 0x20 || p[i] == 0x7F)
			return true;
		if (p[i] == 0xC2 && i + 1 < in.len && p[i + 1] >= 0x80 && p[i + 1] < 0xA0)
			return true;
	}
	return false;
}

/*
 * Looks at one character. ok: its length. Not ok: the length of the ill-formed
 * part to be replaced, at least 1.
 */
static int
utf8_step(const unsigned char *p, size_t left, bool *ok)
{
	unsigned char c = p[0];
	unsigned char low = 0x80; /* allowed range of the second byte */
	unsigned char high = 0xBF;
	int need;
	int i;

	*ok = false;
	if (c < 0x80)
	{
		*ok = (c != 0);
		return 1;
	}
	if (c >= 0xC2 && c <= 0xDF)
		need = 1;
	else if (c >= 0xE0 && c <= 0xEF)
	{
		need = 2;
		if (c == 0xE0)
			low = 0xA0; /* overlong */
		else if (c == 0xED)
			high = 0x9F; /* surrogates */
	}
	else if (c >= 0xF0 && c <= 0xF4)
	{
		need = 3;
		if (c == 0xF0)
			low = 0x90; /* overlong */
		else if (c == 0xF4)
			high = 0x8F; /* beyond U+10FFFF */
	}
	else
		return 1;

	for (i = 1; i <= need; i++)
	{
		if ((size_t) i >= left || p[i] < low || p[i] > high)
			return i;
		low = 0x80;
		high = 0xBF;
	}
	*ok = true;
	return need + 1;
}
