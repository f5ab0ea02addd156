/*-------------------------------------------------------------------------
 *
 * anchor.c
 *	  What is anchored outside: the bytes that stand for a round's root.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/anchor.h"
#include "lib/sign.h"

#define MAGIC "tzan"
#define VERSION 1
#define LINE_WORD "theazo-anchor-1"
#define TIME_LEN 27 /* 2026-11-21T20:50:00.123456Z */
#define YEAR_9999_US INT64_C(253402300800000000)

static bool is_round(TzSlice round);
static bool take_word(TzSlice *rest, TzSlice *word);
static bool read_time(TzSlice text, int64_t *at_us);
static bool read_size(TzSlice text, uint64_t *size);

void
tz_anchor_data(const TzAnchor *anchor, uint8_t out[TZ_ANCHOR_DATA_LEN])
{
	memcpy(out, MAGIC, 4);
	out[4] = VERSION;
	for (int i = 0; i < 8; i++)
		out[5 + i] = (uint8_t) (anchor->size >> (56 - 8 * i));
	memcpy(out + 13, anchor->root, TZ_ANCHOR_ROOT_LEN);
}

TzStatus
tz_anchor_digest(const TzAnchor *anchor, uint8_t out[32], TzErr *err)
{
	uint8_t data[TZ_ANCHOR_DATA_LEN];

	tz_anchor_data(anchor, data);
	return tz_sha256(tz_slice((const char *) data, sizeof(data)), out, err);
}

TzStatus
tz_anchor_line(const TzAnchor *anchor, TzBuf *out, TzErr *err)
{
	time_t seconds = (time_t) (anchor->at_us / 1000000);
	struct tm tm;

	if (!is_round(anchor->round) || anchor->at_us < 0 || anchor->at_us >= YEAR_9999_US ||
	    gmtime_r(&seconds, &tm) == NULL)
		return tz_err_set(err, TZ_BAD_INPUT, "round or time of the anchor is not valid");
	tz_buf_printf(out, LINE_WORD " %.*s %04d-%02d-%02dT%02d:%02d:%02d.%06dZ %llu ", (int) anchor->round.len,
	              anchor->round.data, tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
	              tm.tm_sec, (int) (anchor->at_us % 1000000), (unsigned long long) anchor->size);
	tz_hex_append(out, anchor->root, TZ_ANCHOR_ROOT_LEN);
	if (tz_buf_append_byte(out, '\n') != TZ_OK)
		return tz_err_set(err, out->status, "line of the anchor does not fit");
	return TZ_OK;
}

TzStatus
tz_anchor_line_read(TzSlice line, TzAnchor *out, TzErr *err)
{
	TzSlice rest = line;
	TzSlice word;
	TzSlice round;
	TzSlice at;
	TzSlice size;
	TzSlice root;
	TzBuf bytes;
	bool good;

	memset(out, 0, sizeof(*out));
	if (rest.len > 0 && rest.data[rest.len - 1] == '\n')
		rest.len--;
	good = take_word(&rest, &word) && tz_slice_eq_cstr(word, LINE_WORD) && take_word(&rest, &round) &&
	       is_round(round) && take_word(&rest, &at) && read_time(at, &out->at_us) &&
	       take_word(&rest, &size) && read_size(size, &out->size) && take_word(&rest, &root) &&
	       rest.len == 0 && root.len == 2 * TZ_ANCHOR_ROOT_LEN;
	for (size_t i = 0; good && i < root.len; i++)
		good = tz_hex_digit(root.data[i]) >= 0 && !(root.data[i] >= 'A' && root.data[i] <= 'F');
	if (!good)
		return tz_err_set(err, TZ_BAD_INPUT, "is no line of an anchor");
	tz_buf_init(&bytes, TZ_ANCHOR_ROOT_LEN);
	if (tz_hex_decode(root, &bytes, err) == TZ_OK)
		memcpy(out->root, bytes.data, TZ_ANCHOR_ROOT_LEN);
	else
		good = false;
	tz_buf_free(&bytes);
	out->round = round;
	return good ? TZ_OK : tz_err_set(err, TZ_NOMEM, "out of memory");
}

static bool
is_round(TzSlice round)
{
	if (round.len == 0 || round.len > TZ_ANCHOR_ROUND_MAX)
		return false;
	for (size_t i = 0; i < round.len; i++)
	{
		char c = round.data[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'))
			return false;
	}
	return true;
}

/* Up to the next single space, which goes with it. A last word has none. */
static bool
take_word(TzSlice *rest, TzSlice *word)
{
	const char *end = rest->len > 0 ? memchr(rest->data, ' ', rest->len) : NULL;
	size_t len = end != NULL ? (size_t) (end - rest->data) : rest->len;

	if (len == 0)
		return false;
	*word = tz_slice(rest->data, len);
	if (end != NULL)
	{
		len++;
		if (len == rest->len)
			return false; /* a blank at the end */
	}
	*rest = tz_slice(rest->data + len, rest->len - len);
	return true;
}

/* Only what tz_anchor_line writes: written again, it is the same. */
static bool
read_time(TzSlice text, int64_t *at_us)
{
	char copy[TIME_LEN + 1];
	char again[64];
	int year;
	int us;
	struct tm tm = {0};
	time_t seconds;

	if (text.len != TIME_LEN)
		return false;
	memcpy(copy, text.data, TIME_LEN);
	copy[TIME_LEN] = '\0';
	if (sscanf(copy, "%4d-%2d-%2dT%2d:%2d:%2d.%6dZ", &year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
	           &tm.tm_sec, &us) != 7 ||
	    year < 1970 || us < 0)
		return false;
	snprintf(again, sizeof(again), "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", year, tm.tm_mon, tm.tm_mday,
	         tm.tm_hour, tm.tm_min, tm.tm_sec, us);
	if (strcmp(copy, again) != 0)
		return false;
	tm.tm_year = year - 1900;
	tm.tm_mon--;
	seconds = timegm(&tm);
	/* normalised where the calendar has no such day */
	if (seconds < 0 || tm.tm_year != year - 1900)
		return false;
	snprintf(again, sizeof(again), "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", tm.tm_year + 1900, tm.tm_mon + 1,
	         tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, us);
	if (strcmp(copy, again) != 0)
		return false;
	*at_us = (int64_t) seconds * 1000000 + us;
	return true;
}

static bool
read_size(TzSlice text, uint64_t *size)
{
	uint64_t n = 0;

	if (text.len == 0 || text.len > 19 || (text.len > 1 && text.data[0] == '0'))
		return false;
	for (size_t i = 0; i < text.len; i++)
	{
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		n = n * 10 + (uint64_t) (text.data[i] - '0');
	}
	*size = n;
	return true;
}
