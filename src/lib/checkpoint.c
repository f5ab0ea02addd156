/*-------------------------------------------------------------------------
 *
 * checkpoint.c
 *	  Signed heads of a log, as C2SP checkpoints: written, read and checked.
 *
 *-------------------------------------------------------------------------
 */
#include "lib/checkpoint.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#include "lib/sign.h"

#define KEY_ID_LEN 4
#define TYPE_ED25519 0x01
#define SIGNED_LEN (KEY_ID_LEN + TZ_ED25519_SIG_LEN)
#define DASH "\xe2\x80\x94 " /* U+2014 and a blank: what a signature line begins with */
#define DASH_LEN 4
#define CHAIN "chain "

static TzStatus head_text(const TzCheckpoint *head, TzBuf *out, TzErr *err);
static TzStatus key_id(TzSlice name, const uint8_t key[TZ_ED25519_LEN], uint8_t out[KEY_ID_LEN], TzErr *err);
static bool take_line(TzSlice *rest, TzSlice *line);
static bool split_note(TzSlice note, TzSlice *text, TzSlice *signatures);
static bool read_size(TzSlice line, uint64_t *out);
static bool read_hash(TzSlice line, TzHash *out);
static bool read_base64(TzSlice in, uint8_t *out, size_t len);
static bool signature_lines_ok(TzSlice lines);
static bool signature_of(TzSlice line, TzSlice name, const uint8_t id[KEY_ID_LEN],
                         uint8_t out[TZ_ED25519_SIG_LEN]);
static TzStatus bad_note(TzErr *err);

TzStatus
tz_ed25519_public(const uint8_t seed[TZ_ED25519_LEN], uint8_t out[TZ_ED25519_LEN], TzErr *err)
{
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, TZ_ED25519_LEN);
	size_t len = TZ_ED25519_LEN;
	bool ok = key != NULL && EVP_PKEY_get_raw_public_key(key, out, &len) == 1 && len == TZ_ED25519_LEN;

	EVP_PKEY_free(key);
	return ok ? TZ_OK : tz_err_set(err, TZ_INTERNAL, "could not make an Ed25519 key");
}

TzStatus
tz_ed25519_sign(const uint8_t seed[TZ_ED25519_LEN], TzSlice message, uint8_t out[TZ_ED25519_SIG_LEN],
                TzErr *err)
{
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, TZ_ED25519_LEN);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t len = TZ_ED25519_SIG_LEN;
	bool ok = key != NULL && ctx != NULL && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 &&
	          EVP_DigestSign(ctx, out, &len, (const unsigned char *) message.data, message.len) == 1 &&
	          len == TZ_ED25519_SIG_LEN;

	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	return ok ? TZ_OK : tz_err_set(err, TZ_INTERNAL, "could not sign with Ed25519");
}

TzStatus
tz_ed25519_verify(const uint8_t key[TZ_ED25519_LEN], TzSlice message,
                  const uint8_t signature[TZ_ED25519_SIG_LEN], TzErr *err)
{
	EVP_PKEY *public_key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, TZ_ED25519_LEN);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ready =
		public_key != NULL && ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, public_key) == 1;
	bool ok = ready && EVP_DigestVerify(ctx, signature, TZ_ED25519_SIG_LEN,
	                                    (const unsigned char *) message.data, message.len) == 1;

	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(public_key);
	if (!ready)
		return tz_err_set(err, TZ_INTERNAL, "could not set up Ed25519");
	return ok ? TZ_OK : tz_err_set(err, TZ_CRYPTO, "the signature is not of that key");
}

bool
tz_origin_ok(TzSlice origin)
{
	if (origin.len == 0 || origin.len > TZ_ORIGIN_MAX)
		return false;
	for (size_t i = 0; i < origin.len; i++)
	{
		if (origin.data[i] <= ' ' || origin.data[i] > '~' || origin.data[i] == '+')
			return false;
	}
	return true;
}

TzStatus
tz_checkpoint_sign(const TzCheckpoint *head, const uint8_t seed[TZ_ED25519_LEN], TzBuf *note, TzErr *err)
{
	uint8_t key[TZ_ED25519_LEN];
	uint8_t all[SIGNED_LEN];
	TzBuf text;
	TzStatus status;

	if (!tz_origin_ok(head->origin))
		return tz_err_set(err, TZ_BAD_INPUT, "the origin of a checkpoint cannot be written");
	tz_buf_init(&text, TZ_CHECKPOINT_MAX);
	status = head_text(head, &text, err);
	if (status == TZ_OK)
		status = tz_ed25519_public(seed, key, err);
	if (status == TZ_OK)
		status = key_id(head->origin, key, all, err);
	if (status == TZ_OK)
		status = tz_ed25519_sign(seed, tz_buf_slice(&text), all + KEY_ID_LEN, err);
	if (status == TZ_OK)
	{
		/* failures of a buffer stick to it */
		tz_buf_append(note, text.data, text.len);
		tz_buf_append_cstr(note, "\n" DASH);
		tz_buf_append(note, head->origin.data, head->origin.len);
		tz_buf_append_byte(note, ' ');
		tz_base64_append(note, all, sizeof(all));
		tz_buf_append_byte(note, '\n');
		status = note->status;
		if (status != TZ_OK)
			tz_err_set(err, status, "a checkpoint became too long");
	}
	tz_buf_free(&text);
	return status;
}

TzStatus
tz_checkpoint_read(TzSlice note, TzCheckpoint *out, TzErr *err)
{
	TzSlice text;
	TzSlice signatures;
	TzSlice line;

	memset(out, 0, sizeof(*out));
	if (note.len > TZ_CHECKPOINT_MAX || !split_note(note, &text, &signatures) ||
	    !signature_lines_ok(signatures))
		return bad_note(err);
	if (!take_line(&text, &out->origin) || !tz_origin_ok(out->origin))
		return bad_note(err);
	if (!take_line(&text, &line) || !read_size(line, &out->size))
		return bad_note(err);
	if (!take_line(&text, &line) || !read_hash(line, &out->root))
		return bad_note(err);
	while (take_line(&text, &line))
	{
		if (line.len == 0)
			return bad_note(err);
		/* other extensions are others' */
		if (line.len < strlen(CHAIN) || memcmp(line.data, CHAIN, strlen(CHAIN)) != 0)
			continue;
		if (out->has_chain ||
		    !read_hash(tz_slice(line.data + strlen(CHAIN), line.len - strlen(CHAIN)), &out->chain))
			return bad_note(err);
		out->has_chain = true;
	}
	return TZ_OK;
}

TzStatus
tz_checkpoint_verify(TzSlice note, const uint8_t key[TZ_ED25519_LEN], TzCheckpoint *out, TzErr *err)
{
	uint8_t id[KEY_ID_LEN];
	uint8_t signature[TZ_ED25519_SIG_LEN];
	TzSlice text;
	TzSlice lines;
	TzSlice line;
	TzStatus status = tz_checkpoint_read(note, out, err);

	if (status == TZ_OK)
		status = key_id(out->origin, key, id, err);
	if (status != TZ_OK)
		return status;
	(void) split_note(note, &text, &lines);
	while (take_line(&lines, &line))
	{
		if (signature_of(line, out->origin, id, signature))
			return tz_ed25519_verify(key, text, signature, err);
	}
	return tz_err_set(err, TZ_CRYPTO, "the checkpoint has no signature of that key");
}

TzStatus
tz_vkey_append(TzSlice name, const uint8_t key[TZ_ED25519_LEN], TzBuf *out, TzErr *err)
{
	uint8_t id[KEY_ID_LEN];
	uint8_t typed[1 + TZ_ED25519_LEN];
	TzStatus status = key_id(name, key, id, err);

	if (status != TZ_OK)
		return status;
	if (!tz_origin_ok(name))
		return tz_err_set(err, TZ_BAD_INPUT, "a key cannot have that name");
	typed[0] = TYPE_ED25519;
	memcpy(typed + 1, key, TZ_ED25519_LEN);
	tz_buf_append(out, name.data, name.len);
	tz_buf_append_byte(out, '+');
	tz_hex_append(out, id, sizeof(id));
	tz_buf_append_byte(out, '+');
	tz_base64_append(out, typed, sizeof(typed));
	return out->status == TZ_OK ? TZ_OK : tz_err_set(err, out->status, "a key became too long");
}

TzStatus
tz_vkey_read(TzSlice vkey, TzSlice *name, uint8_t key[TZ_ED25519_LEN], TzErr *err)
{
	uint8_t typed[1 + TZ_ED25519_LEN];
	TzBuf again;
	const char *plus = vkey.len == 0 ? NULL : memchr(vkey.data, '+', vkey.len);
	const size_t hex_len = 2 * KEY_ID_LEN;
	size_t name_len = plus == NULL ? 0 : (size_t) (plus - vkey.data);
	TzStatus status;

	if (plus == NULL || vkey.len < name_len + hex_len + 2 ||
	    !read_base64(tz_slice(plus + hex_len + 2, vkey.len - name_len - hex_len - 2), typed, sizeof(typed)) ||
	    typed[0] != TYPE_ED25519)
		return tz_err_set(err, TZ_BAD_INPUT, "not a verifier key of Ed25519");
	*name = tz_slice(vkey.data, name_len);
	memcpy(key, typed + 1, TZ_ED25519_LEN);
	/* the id follows from the rest, so there is one text for a key */
	tz_buf_init(&again, TZ_CHECKPOINT_MAX);
	status = tz_vkey_append(*name, key, &again, err);
	if (status == TZ_OK && !tz_slice_eq(tz_buf_slice(&again), vkey))
		status = tz_err_set(err, TZ_BAD_INPUT, "a verifier key does not fit its name");
	tz_buf_free(&again);
	return status == TZ_OK ? TZ_OK : TZ_BAD_INPUT;
}

static TzStatus
head_text(const TzCheckpoint *head, TzBuf *out, TzErr *err)
{
	tz_buf_append(out, head->origin.data, head->origin.len);
	tz_buf_printf(out, "\n%" PRIu64 "\n", head->size);
	tz_base64_append(out, head->root.bytes, TZ_HASH_LEN);
	tz_buf_append_byte(out, '\n');
	if (head->has_chain)
	{
		tz_buf_append_cstr(out, CHAIN);
		tz_base64_append(out, head->chain.bytes, TZ_HASH_LEN);
		tz_buf_append_byte(out, '\n');
	}
	return out->status == TZ_OK ? TZ_OK : tz_err_set(err, out->status, "a checkpoint became too long");
}

/* First bytes of SHA-256(name, line feed, type, key). */
static TzStatus
key_id(TzSlice name, const uint8_t key[TZ_ED25519_LEN], uint8_t out[KEY_ID_LEN], TzErr *err)
{
	uint8_t digest[TZ_SHA256_LEN];
	TzStatus status;
	TzBuf all;

	tz_buf_init(&all, TZ_ORIGIN_MAX + 2 + TZ_ED25519_LEN);
	tz_buf_append(&all, name.data, name.len);
	tz_buf_append(&all, "\n\x01", 2);
	tz_buf_append(&all, key, TZ_ED25519_LEN);
	status = all.status == TZ_OK ? tz_sha256(tz_buf_slice(&all), digest, err)
	                             : tz_err_set(err, all.status, "the name of a key is too long");
	if (status == TZ_OK)
		memcpy(out, digest, KEY_ID_LEN);
	tz_buf_free(&all);
	return status;
}

/* ---- reading --------------------------------------------------------------- */

/* Every line ends with a line feed. */
static bool
take_line(TzSlice *rest, TzSlice *line)
{
	const char *end = rest->len == 0 ? NULL : memchr(rest->data, '\n', rest->len);

	if (end == NULL)
		return false;
	*line = tz_slice(rest->data, (size_t) (end - rest->data));
	rest->len -= line->len + 1;
	rest->data = end + 1;
	return true;
}

/* The text with its last line feed, and the lines behind the last empty line. */
static bool
split_note(TzSlice note, TzSlice *text, TzSlice *signatures)
{
	for (size_t i = note.len; i >= 2; i--)
	{
		if (note.data[i - 1] != '\n' || note.data[i - 2] != '\n')
			continue;
		*text = tz_slice(note.data, i - 1);
		*signatures = tz_slice(note.data + i, note.len - i);
		return signatures->len > 0 && note.data[note.len - 1] == '\n';
	}
	return false;
}

static bool
read_size(TzSlice line, uint64_t *out)
{
	uint64_t value = 0;

	if (line.len == 0 || line.len > 19 || (line.len > 1 && line.data[0] == '0'))
		return false;
	for (size_t i = 0; i < line.len; i++)
	{
		if (line.data[i] < '0' || line.data[i] > '9')
			return false;
		value = value * 10 + (uint64_t) (line.data[i] - '0');
	}
	*out = value;
	return true;
}

static bool
read_hash(TzSlice line, TzHash *out)
{
	return read_base64(line, out->bytes, TZ_HASH_LEN);
}

static bool
read_base64(TzSlice in, uint8_t *out, size_t len)
{
	TzBuf buf;
	bool ok;

	tz_buf_init(&buf, len + 3); /* padding is room as well while it is decoded */
	ok = tz_base64_decode(in, &buf, NULL) == TZ_OK && buf.len == len;
	if (ok)
		memcpy(out, buf.data, len);
	tz_buf_free(&buf);
	return ok;
}

/* Whoever signed: the form of every line is checked. */
static bool
signature_lines_ok(TzSlice lines)
{
	TzSlice line;
	int n = 0;

	while (take_line(&lines, &line))
	{
		const char *blank;

		if (++n > TZ_SIGNATURES_MAX || line.len < DASH_LEN || memcmp(line.data, DASH, DASH_LEN) != 0)
			return false;
		line = tz_slice(line.data + DASH_LEN, line.len - DASH_LEN);
		blank = line.len == 0 ? NULL : memchr(line.data, ' ', line.len);
		if (blank == NULL || blank == line.data || blank == line.data + line.len - 1)
			return false;
	}
	return n > 0;
}

/* Is this line of that key? Its signature then. */
static bool
signature_of(TzSlice line, TzSlice name, const uint8_t id[KEY_ID_LEN], uint8_t out[TZ_ED25519_SIG_LEN])
{
	uint8_t all[SIGNED_LEN];
	size_t head = DASH_LEN + name.len + 1;

	if (line.len <= head || memcmp(line.data + DASH_LEN, name.data, name.len) != 0 ||
	    line.data[head - 1] != ' ' ||
	    !read_base64(tz_slice(line.data + head, line.len - head), all, sizeof(all)) ||
	    memcmp(all, id, KEY_ID_LEN) != 0)
		return false;
	memcpy(out, all + KEY_ID_LEN, TZ_ED25519_SIG_LEN);
	return true;
}

static TzStatus
bad_note(TzErr *err)
{
	return tz_err_set(err, TZ_BAD_INPUT, "not a signed checkpoint");
}
