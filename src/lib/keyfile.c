/*-------------------------------------------------------------------------
 *
 * keyfile.c
 *	  Master keys as a file or a program gives them.
 *
 * What looks like a mistake is refused: a passphrase instead of a key, a key of
 * 128 bit in hex (32 bytes of text, which would pass as raw), one byte repeated,
 * the same key twice.
 *
 *-------------------------------------------------------------------------
 */
#include "lib/keyfile.h"

#include <openssl/crypto.h>
#include <string.h>

#include "lib/sign.h"

#define HEX_LEN (TZ_KEY_LEN * 2)
#define BASE64_LEN 44

static TzStatus keyfile_line(TzSlice line, int number, uint8_t key[TZ_KEY_LEN], TzErr *err);
static TzStatus keyfile_check(uint8_t keys[][TZ_KEY_LEN], int n, int line, TzErr *err);
static TzSlice keyfile_trim(TzSlice line);
static bool keyfile_is_text(TzSlice s);

TzStatus
tz_keyfile_parse(TzSlice content, uint8_t keys[TZ_KEYFILE_KEYS_MAX][TZ_KEY_LEN], int *nkeys, TzErr *err)
{
	TzStatus status = TZ_OK;
	size_t pos = 0;
	int line = 0;
	int n = 0;

	*nkeys = 0;
	if (content.len > TZ_KEYFILE_MAX)
		return tz_err_set(err, TZ_TOO_LARGE, "master keys take more than %d bytes", TZ_KEYFILE_MAX);

	if (content.len == TZ_KEY_LEN && !keyfile_is_text(content))
	{
		memcpy(keys[0], content.data, TZ_KEY_LEN);
		status = keyfile_check(keys, 0, 1, err);
		n = 1;
		pos = content.len;
	}

	while (status == TZ_OK && pos < content.len)
	{
		const char *start = content.data + pos;
		const char *end = memchr(start, '\n', content.len - pos);
		size_t len = end == NULL ? content.len - pos : (size_t) (end - start);
		TzSlice text = keyfile_trim(tz_slice(start, len));

		line++;
		pos += len + 1;
		if (text.len == 0 || text.data[0] == '#')
			continue;
		if (n == TZ_KEYFILE_KEYS_MAX)
		{
			status = tz_err_set(err, TZ_TOO_LARGE, "more than %d master keys", TZ_KEYFILE_KEYS_MAX);
			break;
		}
		status = keyfile_line(text, line, keys[n], err);
		if (status == TZ_OK)
			status = keyfile_check(keys, n, line, err);
		n++;
	}
	if (status == TZ_OK && n == 0)
		status = tz_err_set(err, TZ_BAD_INPUT, "there is no master key in it");

	if (status != TZ_OK)
		OPENSSL_cleanse(keys, (size_t) TZ_KEYFILE_KEYS_MAX * TZ_KEY_LEN);
	else
		*nkeys = n;
	return status;
}

static TzStatus
keyfile_line(TzSlice line, int number, uint8_t key[TZ_KEY_LEN], TzErr *err)
{
	TzBuf bytes;
	TzStatus status = TZ_BAD_INPUT;

	tz_buf_init_secret(&bytes, BASE64_LEN);
	if (line.len == HEX_LEN)
		status = tz_hex_decode(line, &bytes, NULL);
	else if (line.len == BASE64_LEN)
		status = tz_base64_decode(line, &bytes, NULL);
	if (status == TZ_OK && bytes.len == TZ_KEY_LEN)
		memcpy(key, bytes.data, TZ_KEY_LEN);
	else
		status = TZ_BAD_INPUT;
	tz_buf_wipe(&bytes);
	if (status != TZ_OK)
	{
		tz_err_set(err, TZ_BAD_INPUT, "line %d is no key of 256 bit", number);
		tz_err_detail(err, "The line has %zu characters; a key has %d in hex or %d in base64.", line.len,
		              HEX_LEN, BASE64_LEN);
	}
	return status;
}

static TzStatus
keyfile_check(uint8_t keys[][TZ_KEY_LEN], int n, int line, TzErr *err)
{
	int i;

	for (i = 1; i < TZ_KEY_LEN && keys[n][i] == keys[n][0]; i++)
		;
	if (i == TZ_KEY_LEN)
		return tz_err_set(err, TZ_BAD_INPUT, "line %d is one byte repeated, not a random key", line);
	for (i = 0; i < n; i++)
	{
		if (CRYPTO_memcmp(keys[i], keys[n], TZ_KEY_LEN) == 0)
			return tz_err_set(err, TZ_BAD_INPUT, "line %d repeats a key", line);
	}
	return TZ_OK;
}

static TzSlice
keyfile_trim(TzSlice line)
{
	while (line.len > 0 && strchr(" \t\r", line.data[0]) != NULL && line.data[0] != '\0')
	{
		line.data++;
		line.len--;
	}
	while (line.len > 0 && strchr(" \t\r", line.data[line.len - 1]) != NULL &&
	       line.data[line.len - 1] != '\0')
		line.len--;
	return line;
}

/* 32 random bytes are all printable once in 10^14 times. */
static bool
keyfile_is_text(TzSlice s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
	{
		unsigned char c = (unsigned char) s.data[i];

		if ((c < 0x20 || c > 0x7E) && c != '\n' && c != '\r' && c != '\t')
			return false;
	}
	return true;
}
