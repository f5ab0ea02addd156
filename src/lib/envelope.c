/*-------------------------------------------------------------------------
 *
 * envelope.c
 *	  Sealing and opening of secrets: HKDF-SHA256 and AES-256-GCM.
 *
 * A record key seals exactly one value, because its salt is fresh: so the
 * nonce needs no uniqueness of its own, and 2^32 values under one key, where
 * GCM would end, cannot be reached. The nonce is the head of the salt.
 *
 * A platform key is uniformly random already, so its record keys need only the
 * second half of HKDF (RFC 5869, section 3.3): one HMAC over label and salt,
 * half the work of an opening saved. HMAC is by hand over one kept digest
 * context: through EVP_KDF and EVP_MAC the set-up costs more than the hashing.
 * Everything else is EVP as it comes. After each operation the contexts are
 * given worthless keys, so they can be kept without keeping secrets.
 *
 * Format of sealed bytes: one byte 0x01, the ciphertext, a tag of 16 bytes.
 *
 *-------------------------------------------------------------------------
 */
#include "lib/envelope.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define SHA_LEN 32
#define SHA_BLOCK 64
#define TAG_LEN 16
#define FORMAT 0x01
#define INFO_PARTS_MAX 2
#define LABEL_MAX 32
#define NAME_MAX_BYTES 1024 /* ceiling of each part of a TzSealName */

struct TzEnvelope
{
	EVP_MD *md;
	EVP_CIPHER *gcm;
	EVP_MD_CTX *digest;
	EVP_CIPHER_CTX *cipher;
};

static const char platform_label[] = "theazo vault v1";
static const char operator_label[] = "theazo operator v1";
static const char record_label[] = "theazo record v1";
static const char check_label[] = "theazo key check v1";

static TzStatus env_owner_key(TzEnvelope *env, TzSlice label, const uint8_t master[TZ_KEY_LEN], TzSlice salt,
                              TzSlice owner, uint32_t key_version, uint8_t out[TZ_KEY_LEN], TzErr *err);
static bool env_hmac(TzEnvelope *env, TzSlice key, const TzSlice *parts, int nparts, uint8_t out[SHA_LEN]);
static bool env_expand(TzEnvelope *env, const uint8_t prk[SHA_LEN], const TzSlice *info, int ninfo,
                       uint8_t *out, size_t out_len);
static bool env_record_key(TzEnvelope *env, const uint8_t platform_key[TZ_KEY_LEN],
                           const uint8_t salt[TZ_SALT_LEN], uint8_t out[TZ_KEY_LEN]);
static bool env_aad(TzEnvelope *env, const TzSealName *name, bool seal);
static bool env_name_ok(const TzSealName *name);
static void env_burn(TzEnvelope *env);
static void put_u32(uint8_t *out, uint32_t v);

TzStatus
tz_envelope_new(TzEnvelope **out, TzErr *err)
{
	TzEnvelope *env = calloc(1, sizeof(*env));

	*out = NULL;
	if (env == NULL)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	env->md = EVP_MD_fetch(NULL, "SHA256", NULL);
	env->gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	env->digest = EVP_MD_CTX_new();
	env->cipher = EVP_CIPHER_CTX_new();
	if (env->md == NULL || env->gcm == NULL || env->digest == NULL || env->cipher == NULL)
	{
		tz_envelope_free(env);
		return tz_err_set(err, TZ_INTERNAL, "the cryptography library offers no AES-256-GCM or SHA-256");
	}
	*out = env;
	return TZ_OK;
}

void
tz_envelope_free(TzEnvelope *env)
{
	if (env == NULL)
		return;
	EVP_CIPHER_CTX_free(env->cipher);
	EVP_MD_CTX_free(env->digest);
	EVP_CIPHER_free(env->gcm);
	EVP_MD_free(env->md);
	free(env);
}

TzStatus
tz_envelope_hkdf(TzEnvelope *env, TzSlice ikm, TzSlice salt, TzSlice info, uint8_t *out, size_t out_len,
                 TzErr *err)
{
	uint8_t prk[SHA_LEN];
	bool ok;

	if (out_len > 255 * SHA_LEN)
		return tz_err_set(err, TZ_TOO_LARGE, "HKDF gives at most %d bytes", 255 * SHA_LEN);

	/* an absent salt is one of zeros, which HMAC pads to anyway */
	ok = env_hmac(env, salt, &ikm, 1, prk) && env_expand(env, prk, &info, 1, out, out_len);
	OPENSSL_cleanse(prk, sizeof(prk));
	if (!ok)
	{
		OPENSSL_cleanse(out, out_len);
		return tz_err_set(err, TZ_INTERNAL, "could not derive a key");
	}
	return TZ_OK;
}

TzStatus
tz_envelope_platform_key(TzEnvelope *env, const uint8_t master[TZ_KEY_LEN], TzSlice platform_salt,
                         TzSlice platform, uint32_t key_version, uint8_t out[TZ_KEY_LEN], TzErr *err)
{
	return env_owner_key(env, tz_slice(platform_label, sizeof(platform_label) - 1), master, platform_salt,
	                     platform, key_version, out, err);
}

TzStatus
tz_envelope_operator_key(TzEnvelope *env, const uint8_t master[TZ_KEY_LEN], TzSlice salt, TzSlice operator_id,
                         uint32_t key_version, uint8_t out[TZ_KEY_LEN], TzErr *err)
{
	return env_owner_key(env, tz_slice(operator_label, sizeof(operator_label) - 1), master, salt, operator_id,
	                     key_version, out, err);
}

TzStatus
tz_envelope_fingerprint(TzEnvelope *env, const uint8_t master[TZ_KEY_LEN], char out[TZ_FINGERPRINT_LEN + 1],
                        TzErr *err)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t check[TZ_FINGERPRINT_LEN / 2];
	TzStatus status;
	size_t i;

	out[0] = '\0';
	status = tz_envelope_hkdf(env, tz_slice((const char *) master, TZ_KEY_LEN), tz_slice(NULL, 0),
	                          tz_slice(check_label, sizeof(check_label) - 1), check, sizeof(check), err);
	env_burn(env);
	if (status != TZ_OK)
		return status;
	for (i = 0; i < sizeof(check); i++)
	{
		out[2 * i] = digits[check[i] >> 4];
		out[2 * i + 1] = digits[check[i] & 15];
	}
	out[TZ_FINGERPRINT_LEN] = '\0';
	return TZ_OK;
}

TzStatus
tz_envelope_seal(TzEnvelope *env, const uint8_t platform_key[TZ_KEY_LEN], const TzSealName *name,
                 const uint8_t record_salt[TZ_SALT_LEN], TzSlice plain, TzBuf *sealed, TzErr *err)
{
	uint8_t key[TZ_KEY_LEN];
	uint8_t *p;
	int n = 0;
	int last = 0;
	bool ok;

	if (plain.len > TZ_SECRET_MAX)
		return tz_err_set(err, TZ_TOO_LARGE, "a secret has at most %d bytes", TZ_SECRET_MAX);
	if (!env_name_ok(name))
		return tz_err_set(err, TZ_BAD_INPUT, "platform, session or name is too long");
	if (tz_buf_reserve(sealed, plain.len + TZ_SEALED_OVERHEAD) != TZ_OK)
		return tz_err_set(err, sealed->status, "no room for a sealed value");

	p = (uint8_t *) sealed->data + sealed->len;
	p[0] = FORMAT;
	ok = env_record_key(env, platform_key, record_salt, key) &&
	     EVP_EncryptInit_ex2(env->cipher, env->gcm, key, record_salt, NULL) == 1 && env_aad(env, name, true);
	if (ok && plain.len > 0)
		ok = EVP_EncryptUpdate(env->cipher, p + 1, &n, (const uint8_t *) plain.data, (int) plain.len) == 1;
	ok = ok && EVP_EncryptFinal_ex(env->cipher, p + 1 + n, &last) == 1 &&
	     (size_t) n + (size_t) last == plain.len &&
	     EVP_CIPHER_CTX_ctrl(env->cipher, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, p + 1 + plain.len) == 1;
	OPENSSL_cleanse(key, sizeof(key));
	env_burn(env);
	if (!ok)
	{
		OPENSSL_cleanse(p, plain.len + TZ_SEALED_OVERHEAD);
		return tz_err_set(err, TZ_INTERNAL, "could not seal a value");
	}
	sealed->len += plain.len + TZ_SEALED_OVERHEAD;
	sealed->data[sealed->len] = '\0';
	return TZ_OK;
}

TzStatus
tz_envelope_open(TzEnvelope *env, const uint8_t platform_key[TZ_KEY_LEN], const TzSealName *name,
                 TzSlice record_salt, TzSlice sealed, TzBuf *plain, TzErr *err)
{
	const uint8_t *s = (const uint8_t *) sealed.data;
	const uint8_t *salt = (const uint8_t *) record_salt.data;
	uint8_t key[TZ_KEY_LEN];
	uint8_t tag[TAG_LEN];
	uint8_t *p;
	size_t len;
	int n = 0;
	int last = 0;
	bool ok;

	if (record_salt.len != TZ_SALT_LEN || sealed.len < TZ_SEALED_OVERHEAD ||
	    sealed.len > TZ_SECRET_MAX + TZ_SEALED_OVERHEAD || s[0] != FORMAT || !env_name_ok(name))
		return tz_err_set(err, TZ_CRYPTO, "sealed value does not authenticate");

	len = sealed.len - TZ_SEALED_OVERHEAD;
	if (tz_buf_reserve(plain, len) != TZ_OK)
		return tz_err_set(err, plain->status, "no room for an opened value");
	p = (uint8_t *) plain->data + plain->len;
	memcpy(tag, s + 1 + len, TAG_LEN);

	ok = env_record_key(env, platform_key, salt, key) &&
	     EVP_DecryptInit_ex2(env->cipher, env->gcm, key, salt, NULL) == 1 && env_aad(env, name, false);
	if (ok && len > 0)
		ok = EVP_DecryptUpdate(env->cipher, p, &n, s + 1, (int) len) == 1;
	ok = ok && EVP_CIPHER_CTX_ctrl(env->cipher, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag) == 1 &&
	     EVP_DecryptFinal_ex(env->cipher, p + n, &last) == 1 && (size_t) n + (size_t) last == len;
	OPENSSL_cleanse(key, sizeof(key));
	env_burn(env);
	if (!ok)
	{
		/* what was decrypted before the tag was looked at must not be seen */
		OPENSSL_cleanse(p, len);
		return tz_err_set(err, TZ_CRYPTO, "sealed value does not authenticate");
	}
	plain->len += len;
	plain->data[plain->len] = '\0';
	return TZ_OK;
}

/* HKDF with the label, the owner's id and the version as info. */
static TzStatus
env_owner_key(TzEnvelope *env, TzSlice label, const uint8_t master[TZ_KEY_LEN], TzSlice salt, TzSlice owner,
              uint32_t key_version, uint8_t out[TZ_KEY_LEN], TzErr *err)
{
	uint8_t info[LABEL_MAX + 4 + NAME_MAX_BYTES + 4];
	uint8_t *p = info;
	TzStatus status;

	if (owner.len < 1 || owner.len > NAME_MAX_BYTES)
		return tz_err_set(err, TZ_BAD_INPUT, "platform must have 1 to %d bytes", NAME_MAX_BYTES);
	if (salt.len < 16)
		return tz_err_set(err, TZ_BAD_INPUT, "salt of a platform must have at least 16 bytes");

	/* the length in front of the id makes the encoding unambiguous */
	memcpy(p, label.data, label.len);
	p += label.len;
	put_u32(p, (uint32_t) owner.len);
	p += 4;
	memcpy(p, owner.data, owner.len);
	p += owner.len;
	put_u32(p, key_version);
	p += 4;

	status = tz_envelope_hkdf(env, tz_slice((const char *) master, TZ_KEY_LEN), salt,
	                          tz_slice((const char *) info, (size_t) (p - info)), out, TZ_KEY_LEN, err);
	env_burn(env);
	return status;
}

/*
 * HMAC-SHA-256 (RFC 2104) in the kept context; keys over a block are hashed
 * first. What fits goes in with the padded key, in one call of the library.
 */
static bool
env_hmac(TzEnvelope *env, TzSlice key, const TzSlice *parts, int nparts, uint8_t out[SHA_LEN])
{
	uint8_t text[2 * SHA_BLOCK] = {0};
	size_t used = SHA_BLOCK;
	bool ok = true;
	int i;

	if (key.len > SHA_BLOCK)
		ok = EVP_DigestInit_ex2(env->digest, env->md, NULL) == 1 &&
		     EVP_DigestUpdate(env->digest, key.data, key.len) == 1 &&
		     EVP_DigestFinal_ex(env->digest, text, NULL) == 1;
	else if (key.len > 0)
		memcpy(text, key.data, key.len);

	for (i = 0; i < SHA_BLOCK; i++)
		text[i] ^= 0x36;
	ok = ok && EVP_DigestInit_ex2(env->digest, env->md, NULL) == 1;
	for (i = 0; i < nparts && parts[i].len <= sizeof(text) - used; i++)
	{
		if (parts[i].len > 0)
			memcpy(text + used, parts[i].data, parts[i].len);
		used += parts[i].len;
	}
	ok = ok && EVP_DigestUpdate(env->digest, text, used) == 1;
	for (; ok && i < nparts; i++)
		ok = parts[i].len == 0 || EVP_DigestUpdate(env->digest, parts[i].data, parts[i].len) == 1;
	ok = ok && EVP_DigestFinal_ex(env->digest, text + SHA_BLOCK, NULL) == 1;

	for (i = 0; i < SHA_BLOCK; i++)
		text[i] ^= 0x36 ^ 0x5c;
	ok = ok && EVP_DigestInit_ex2(env->digest, env->md, NULL) == 1 &&
	     EVP_DigestUpdate(env->digest, text, SHA_BLOCK + SHA_LEN) == 1 &&
	     EVP_DigestFinal_ex(env->digest, out, NULL) == 1;
	OPENSSL_cleanse(text, sizeof(text));
	return ok;
}

/* The second half of HKDF; info in parts, laid end to end. */
static bool
env_expand(TzEnvelope *env, const uint8_t prk[SHA_LEN], const TzSlice *info, int ninfo, uint8_t *out,
           size_t out_len)
{
	TzSlice parts[2 + INFO_PARTS_MAX];
	uint8_t block[SHA_LEN];
	uint8_t counter = 0;
	size_t done = 0;
	bool ok = ninfo <= INFO_PARTS_MAX;

	for (int i = 0; ok && i < ninfo; i++)
		parts[1 + i] = info[i];
	while (ok && done < out_len)
	{
		size_t n = out_len - done < SHA_LEN ? out_len - done : SHA_LEN;

		parts[0] = tz_slice((const char *) block, counter == 0 ? 0 : SHA_LEN);
		counter++;
		parts[1 + ninfo] = tz_slice((const char *) &counter, 1);
		ok = env_hmac(env, tz_slice((const char *) prk, SHA_LEN), parts, ninfo + 2, block);
		if (ok)
			memcpy(out + done, block, n);
		done += n;
	}
	OPENSSL_cleanse(block, sizeof(block));
	return ok;
}

static bool
env_record_key(TzEnvelope *env, const uint8_t platform_key[TZ_KEY_LEN], const uint8_t salt[TZ_SALT_LEN],
               uint8_t out[TZ_KEY_LEN])
{
	const TzSlice info[2] = {tz_slice(record_label, sizeof(record_label) - 1),
	                         tz_slice((const char *) salt, TZ_SALT_LEN)};

	return env_expand(env, platform_key, info, 2, out, TZ_KEY_LEN);
}

/*
 * Associated data: format byte, then each part with its length in front, so
 * that ("a", "bc") and ("ab", "c") differ, then the version.
 */
static bool
env_aad(TzEnvelope *env, const TzSealName *name, bool seal)
{
	uint8_t aad[1 + 3 * (4 + NAME_MAX_BYTES) + 4];
	const TzSlice parts[3] = {name->platform, name->session, name->name};
	uint8_t *p = aad;
	int n;
	int i;

	*p++ = FORMAT;
	for (i = 0; i < 3; i++)
	{
		put_u32(p, (uint32_t) parts[i].len);
		p += 4;
		if (parts[i].len > 0)
			memcpy(p, parts[i].data, parts[i].len);
		p += parts[i].len;
	}
	put_u32(p, name->version);
	p += 4;

	if (seal)
		return EVP_EncryptUpdate(env->cipher, NULL, &n, aad, (int) (p - aad)) == 1;
	return EVP_DecryptUpdate(env->cipher, NULL, &n, aad, (int) (p - aad)) == 1;
}

static bool
env_name_ok(const TzSealName *name)
{
	return name->platform.len <= NAME_MAX_BYTES && name->session.len <= NAME_MAX_BYTES &&
	       name->name.len <= NAME_MAX_BYTES;
}

/* Overwrites key schedule and hash state in the kept contexts. */
static void
env_burn(TzEnvelope *env)
{
	static const uint8_t zero[TZ_KEY_LEN];

	EVP_EncryptInit_ex2(env->cipher, env->gcm, zero, zero, NULL);
	EVP_DigestInit_ex2(env->digest, env->md, NULL);
}

static void
put_u32(uint8_t *out, uint32_t v)
{
	out[0] = (uint8_t) (v >> 24);
	out[1] = (uint8_t) (v >> 16);
	out[2] = (uint8_t) (v >> 8);
	out[3] = (uint8_t) v;
}
