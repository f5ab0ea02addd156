/*-------------------------------------------------------------------------
 *
 * id.c
 *	  Prefixed, time-ordered identifiers.
 *
 * Clock and randomness are arguments. Roots compare by bytes as their times
 * compare, which is why partitions by range of root are spans of time.
 *
 *-------------------------------------------------------------------------
 */
#include "lib/id.h"

#include <string.h>

#include "lib/sign.h"

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/* Value of a digit plus 1, 0 for what is none: ids are read a million times in a verification. */
static const int8_t digits[256] = {
	['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
	['8'] = 9,  ['9'] = 10, ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
	['G'] = 17, ['H'] = 18, ['J'] = 19, ['K'] = 20, ['M'] = 21, ['N'] = 22, ['P'] = 23, ['Q'] = 24,
	['R'] = 25, ['S'] = 26, ['T'] = 27, ['V'] = 28, ['W'] = 29, ['X'] = 30, ['Y'] = 31, ['Z'] = 32,
};

static int id_digit(char c);
static TzStatus id_bad(TzSlice id, TzErr *err);

TzStatus
tz_id_root(int64_t unix_ms, const uint8_t tail[TZ_ID_TAIL_LEN], char out[TZ_ID_ROOT_LEN + 1], TzErr *err)
{
	uint64_t ms = (uint64_t) unix_ms;
	int i;

	if (unix_ms < 0 || unix_ms > TZ_ID_MS_MAX)
		return tz_err_set(err, TZ_BAD_INPUT, "time is outside the range of an id");

	for (i = 9; i >= 0; i--)
	{
		out[i] = alphabet[ms & 31];
		ms >>= 5;
	}

	/* 80 bits are 16 digits: five bytes give eight, twice */
	for (i = 0; i < 2; i++)
	{
		uint64_t v = 0;
		int j;

		for (j = 0; j < 5; j++)
			v = (v << 8) | tail[i * 5 + j];
		for (j = 7; j >= 0; j--)
		{
			out[10 + i * 8 + j] = alphabet[v & 31];
			v >>= 5;
		}
	}
	out[TZ_ID_ROOT_LEN] = '\0';
	return TZ_OK;
}

TzStatus
tz_id_floor(int64_t unix_ms, char out[TZ_ID_ROOT_LEN + 1], TzErr *err)
{
	static const uint8_t zero[TZ_ID_TAIL_LEN];

	return tz_id_root(unix_ms, zero, out, err);
}

TzStatus
tz_id_make(TzSlice prefix, int64_t unix_ms, const uint8_t tail[TZ_ID_TAIL_LEN], char out[TZ_ID_MAX + 1],
           TzErr *err)
{
	size_t i;

	out[0] = '\0';
	if (prefix.len < 1 || prefix.len > TZ_ID_PREFIX_MAX)
		return tz_err_set(err, TZ_BAD_INPUT, "prefix of an id must have 1 to %d letters", TZ_ID_PREFIX_MAX);
	for (i = 0; i < prefix.len; i++)
	{
		if (prefix.data[i] < 'a' || prefix.data[i] > 'z')
			return tz_err_set(err, TZ_BAD_INPUT, "prefix of an id must have lower-case letters only");
	}
	memcpy(out, prefix.data, prefix.len);
	out[prefix.len] = '_';
	return tz_id_root(unix_ms, tail, out + prefix.len + 1, err);
}

TzStatus
tz_id_split(TzSlice id, TzSlice *prefix, TzSlice *root, TzErr *err)
{
	size_t plen;
	size_t i;

	if (id.len < TZ_ID_ROOT_LEN || id.len > TZ_ID_MAX)
		return id_bad(id, err);

	plen = id.len - TZ_ID_ROOT_LEN;
	if (plen == 1)
		return id_bad(id, err);
	if (plen > 0)
	{
		if (id.data[plen - 1] != '_')
			return id_bad(id, err);
		plen--;
	}
	for (i = 0; i < plen; i++)
	{
		if (id.data[i] < 'a' || id.data[i] > 'z')
			return id_bad(id, err);
	}

	*prefix = tz_slice(id.data, plen);
	*root = tz_slice(id.data + id.len - TZ_ID_ROOT_LEN, TZ_ID_ROOT_LEN);
	for (i = 0; i < TZ_ID_ROOT_LEN; i++)
	{
		if (id_digit(root->data[i]) < 0)
			return id_bad(id, err);
	}
	/* 26 digits are 130 bits; the first may use three of its five only */
	if (id_digit(root->data[0]) > 7)
		return id_bad(id, err);
	return TZ_OK;
}

TzStatus
tz_id_time(TzSlice id, int64_t *unix_ms, TzErr *err)
{
	TzSlice prefix;
	TzSlice root;
	TzStatus status = tz_id_split(id, &prefix, &root, err);
	int64_t ms = 0;
	int i;

	if (status != TZ_OK)
		return status;
	for (i = 0; i < 10; i++)
		ms = (ms << 5) | id_digit(root.data[i]);
	*unix_ms = ms;
	return TZ_OK;
}

TzStatus
tz_id_pack(TzSlice id, uint8_t out[TZ_ID_BYTES], TzErr *err)
{
	TzSlice prefix;
	TzSlice root;
	TzStatus status = tz_id_split(id, &prefix, &root, err);
	uint64_t ms = 0;
	int i;

	if (status != TZ_OK)
		return status;
	for (i = 0; i < 10; i++)
		ms = (ms << 5) | (uint64_t) id_digit(root.data[i]);
	for (i = 5; i >= 0; i--)
	{
		out[i] = (uint8_t) (ms & 0xff);
		ms >>= 8;
	}
	/* eight digits are five bytes */
	for (i = 0; i < 2; i++)
	{
		uint64_t v = 0;
		int j;

		for (j = 0; j < 8; j++)
			v = (v << 5) | (uint64_t) id_digit(root.data[10 + i * 8 + j]);
		for (j = 4; j >= 0; j--)
		{
			out[6 + i * 5 + j] = (uint8_t) (v & 0xff);
			v >>= 8;
		}
	}
	return TZ_OK;
}

TzStatus
tz_id_unpack(TzSlice prefix, const uint8_t bytes[TZ_ID_BYTES], char out[TZ_ID_MAX + 1], TzErr *err)
{
	int64_t ms = 0;
	int i;

	for (i = 0; i < 6; i++)
		ms = (ms << 8) | bytes[i];
	return tz_id_make(prefix, ms, bytes + 6, out, err);
}

TzStatus
tz_id_derive(TzSlice prefix, TzSlice time_from, TzSlice seed, char out[TZ_ID_MAX + 1], TzErr *err)
{
	uint8_t digest[TZ_SHA256_LEN];
	int64_t ms;
	TzStatus status;

	out[0] = '\0';
	status = tz_id_time(time_from, &ms, err);
	if (status == TZ_OK)
		status = tz_sha256(seed, digest, err);
	if (status == TZ_OK)
		status = tz_id_make(prefix, ms, digest, out, err);
	return status;
}

/* Value of a digit as we write it (upper case, no aliases), or -1. */
static int
id_digit(char c)
{
	return digits[(unsigned char) c] - 1;
}

/* The text is not repeated: it may be anything, a secret pasted into the wrong argument too. */
static TzStatus
id_bad(TzSlice id, TzErr *err)
{
	tz_err_set(err, TZ_BAD_INPUT, "not an id");
	tz_err_detail(err,
	              "An id has a prefix, an underscore and %d characters of base32; this text has %zu bytes.",
	              TZ_ID_ROOT_LEN, id.len);
	return TZ_BAD_INPUT;
}
