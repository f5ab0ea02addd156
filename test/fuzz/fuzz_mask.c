/* fuzz_mask.c: no value is left, and nothing else is changed */
#include <stdlib.h>
#include <string.h>

#include "lib/mask.h"

#define VALUES_MAX 8

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
need(int ok)
{
	if (!ok)
		abort();
}

/* Two values of 4 bytes and more, of printable characters but *: what is masked cannot make one of them. */
static bool
checkable(TzSlice value)
{
	for (size_t i = 0; i < value.len; i++)
		if (value.data[i] <= ' ' || value.data[i] > '~' || value.data[i] == '*')
			return false;
	return value.len >= 4;
}

/* In pieces it comes out as it does whole. */
static void
check_pieces(const TzMask *mask, TzSlice text, bool cut, TzSlice whole, size_t step)
{
	TzStatus status = TZ_OK;
	TzMaskStream stream;
	TzBuf out;

	tz_buf_init(&out, text.len * 8 + 16);
	tz_mask_stream_init(&stream, mask);
	for (size_t at = 0; at < text.len && status == TZ_OK; at += step)
		status =
			tz_mask_stream_feed(&stream,
		                        tz_slice(text.data + at, text.len - at < step ? text.len - at : step), &out);
	if (status == TZ_OK)
		status = tz_mask_stream_end(&stream, cut, &out);
	need(status == TZ_OK || status == TZ_TOO_LARGE);
	need(out.len <= whole.len && (status != TZ_OK || out.len == whole.len));
	need(out.len == 0 || memcmp(out.data, whole.data, out.len) == 0);
	tz_mask_stream_free(&stream);
	tz_buf_free(&out);
}

/* First byte: how many values and whether the end was cut; then each with its length before it; then the text. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TzSlice values[VALUES_MAX];
	TzSlice text = tz_slice((const char *) data, size);
	int n = size > 0 ? data[0] % (VALUES_MAX + 1) : 0;
	bool cut = size > 0 && data[0] & 0x80;
	bool found;
	TzMask *mask;
	TzErr err;
	TzBuf out;

	if (size > 0)
		text = tz_slice(text.data + 1, text.len - 1);
	for (int i = 0; i < n; i++)
	{
		size_t len = text.len > 0 ? (uint8_t) text.data[0] % 64 : 0;

		text = tz_slice(text.data + (text.len > 0), text.len - (text.len > 0));
		if (len > text.len)
			len = text.len;
		values[i] = tz_slice(text.data, len);
		text = tz_slice(text.data + len, text.len - len);
	}
	tz_err_clear(&err);
	need(tz_mask_create(values, n, &mask, &err) == TZ_OK);
	tz_buf_init(&out, size * 8 + 16);
	need(tz_mask_apply(mask, text, cut, &out, &found) == TZ_OK);
	for (int i = 0; i < n; i++)
	{
		TzSlice left = found ? tz_buf_slice(&out) : text;

		if (checkable(values[i]) && left.len > 0)
			need(memmem(left.data, left.len, values[i].data, values[i].len) == NULL);
	}
	if (found)
		need(memmem(out.data, out.len, "***", 3) != NULL);
	else
		need(out.len == 0);
	check_pieces(mask, text, cut, found ? tz_buf_slice(&out) : text, 1 + (size > 0 ? data[0] / 16 % 8 : 0));
	tz_buf_free(&out);
	tz_mask_free(mask);
	return 0;
}
