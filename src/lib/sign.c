/*-------------------------------------------------------------------------
 *
 * sign.c
 *	  Digests and signatures, and the encodings they travel in.
 *
 * Decoders are strict, because what they read are keys and signatures: two
 * texts for one value would be two ways to write one signature.
 *
 *-------------------------------------------------------------------------
 */
#include "lib/sign.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#define TZ_SHA256_BLOCK 64

static const char base64_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int base64_digit(char c);

TzStatus
tz_sha256(TzSlice data, uint8_t out[TZ_SHA256_LEN], TzErr *err)
{
	if (EVP_Digest(data.data == NULL ? "" : data.data, data.len, out, NULL, EVP_sha256(), NULL) != 1)
		return tz_err_set(err, TZ_INTERNAL, "could not compute SHA-256");
	return TZ_OK;
}

TzStatus
tz_hmac_sha256(TzSlice key, TzSlice data, uint8_t out[TZ_SHA256_LEN], TzErr *err)
{
	return tz_hmac_sha256_parts(key, &data, 1, out, err);
}

TzStatus
tz_hmac_sha256_parts(TzSlice key, const TzSlice *parts, int nparts, uint8_t out[TZ_SHA256_LEN], TzErr *err)
{
	uint8_t pad[TZ_SHA256_BLOCK] = {0};
	uint8_t inner[TZ_SHA256_LEN];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx != NULL;
	size_t i;
	int p;

	if (key.len > sizeof(pad))
		ok = ok && EVP_Digest(key.data, key.len, pad, NULL, EVP_sha256(), NULL) == 1;
	else if (key.len > 0)
		memcpy(pad, key.data, key.len);

	for (i = 0; i < sizeof(pad); i++)
		pad[i] ^= 0x36;
	ok = ok && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;
	ok = ok && EVP_DigestUpdate(ctx, pad, sizeof(pad)) == 1;
	for (p = 0; ok && p < nparts; p++)
	{
		if (parts[p].len > 0)
			ok = EVP_DigestUpdate(ctx, parts[p].data, parts[p].len) == 1;
	}
	ok = ok && EVP_DigestFinal_ex(ctx, inner, NULL) == 1;

	for (i = 0; i < sizeof(pad); i++)
		pad[i] ^= 0x36 ^ 0x5c;
	ok = ok && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;
	ok = ok && EVP_DigestUpdate(ctx, pad, sizeof(pad)) == 1;
	ok = ok && EVP_DigestUpdate(ctx, inner, sizeof(inner)) == 1;
	ok = ok && EVP_DigestFinal_ex(ctx, out, NULL) == 1;

	EVP_MD_CTX_free(ctx);
	OPENSSL_cleanse(pad, sizeof(pad));
	OPENSSL_cleanse(inner, sizeof(inner));
	if (!ok)
		return tz_err_set(err, TZ_INTERNAL, "could not compute HMAC-SHA-256");
	return TZ_OK;
}

TzStatus
tz_hex_append(TzBuf *out, const void *data, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = data;
	size_t i;

	if (len > SIZE_MAX / 2)
		return out->status = TZ_TOO_LARGE;
	if (tz_buf_reserve(out, len * 2) != TZ_OK)
		return out->status;
	for (i = 0; i < len; i++)
	{
		out->data[out->len++] = digits[p[i] >> 4];
		out->data[out->len++] = digits[p[i] & 15];
	}
	out->data[out->len] = '\0';
	return TZ_OK;
}

TzStatus
tz_base64_append(TzBuf *out, const void *data, size_t len)
{
	const uint8_t *p = data;
	size_t i;

	if (len > SIZE_MAX / 2)
		return out->status = TZ_TOO_LARGE;
	if (tz_buf_reserve(out, (len + 2) / 3 * 4) != TZ_OK)
		return out->status;
	for (i = 0; i < len; i += 3)
	{
		size_t left = len - i;
		uint32_t v = (uint32_t) p[i] << 16;

		if (left > 1)
			v |= (uint32_t) p[i + 1] << 8;
		if (left > 2)
			v |= p[i + 2];
		out->data[out->len++] = base64_alphabet[v >> 18];
		out->data[out->len++] = base64_alphabet[(v >> 12) & 63];
		out->data[out->len++] = left > 1 ? base64_alphabet[(v >> 6) & 63] : '=';
		out->data[out->len++] = left > 2 ? base64_alphabet[v & 63] : '=';
	}
	out->data[out->len] = '\0';
	return TZ_OK;
}

TzStatus
tz_hex_decode(TzSlice in, TzBuf *out, TzErr *err)
{
	size_t i;

	if (in.len % 2 != 0)
		return tz_err_set(err, TZ_BAD_INPUT, "hex text has an odd number of digits");
	if (tz_buf_reserve(out, in.len / 2) != TZ_OK)
		return tz_err_set(err, out->status, "hex text is too long");
	for (i = 0; i < in.len; i += 2)
	{
		int high = tz_hex_digit(in.data[i]);
		int low = tz_hex_digit(in.data[i + 1]);

		if (high < 0 || low < 0)
			return tz_err_set(err, TZ_BAD_INPUT, "invalid character in hex text");
		tz_buf_append_byte(out, (char) (high << 4 | low));
	}
	return out->status;
}

TzStatus
tz_base64_decode(TzSlice in, TzBuf *out, TzErr *err)
{
	size_t i;

	if (in.len % 4 != 0)
		return tz_err_set(err, TZ_BAD_INPUT, "length of base64 text is not a multiple of four");
	if (tz_buf_reserve(out, in.len / 4 * 3) != TZ_OK)
		return tz_err_set(err, out->status, "base64 text is too long");
	for (i = 0; i < in.len; i += 4)
	{
		const char *q = in.data + i;
		int pad = 0;
		int a = base64_digit(q[0]);
		int b = base64_digit(q[1]);
		int c = base64_digit(q[2]);
		int d = base64_digit(q[3]);
		uint32_t v;

		if (i + 4 == in.len && q[3] == '=')
		{
			pad = q[2] == '=' ? 2 : 1;
			d = 0;
			if (pad == 2)
				c = 0;
		}
		if (a < 0 || b < 0 || c < 0 || d < 0)
			return tz_err_set(err, TZ_BAD_INPUT, "invalid character in base64 text");
		v = (uint32_t) a << 18 | (uint32_t) b << 12 | (uint32_t) c << 6 | (uint32_t) d;
		if ((pad == 2 && (v & 0xFFFF) != 0) || (pad == 1 && (v & 0xFF) != 0))
			return tz_err_set(err, TZ_BAD_INPUT, "base64 text ends in stray bits");
		tz_buf_append_byte(out, (char) (v >> 16));
		if (pad < 2)
			tz_buf_append_byte(out, (char) (v >> 8 & 255));
		if (pad < 1)
			tz_buf_append_byte(out, (char) (v & 255));
	}
	return out->status;
}

int
tz_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
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
	if (c == '+')
		return 62;
	if (c == '/')
		return 63;
	return -1;
}
