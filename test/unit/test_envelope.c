/* test_envelope.c: HKDF, sealing and opening */
#include "tz_test.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "lib/envelope.h"

static TzEnvelope *env;
static uint8_t master[TZ_KEY_LEN];
static uint8_t platform_salt[TZ_SALT_LEN];
static uint8_t record_salt[TZ_SALT_LEN];
static uint8_t platform_key[TZ_KEY_LEN];

static const char platform[] = "plt_01ARYZ6S410000000000000000";
static const char session[] = "ses_01ARYZ6S410000000000000000";

static TzSealName
name_of(const char *p, const char *s, const char *n, uint32_t version)
{
	TzSealName name = {tz_slice_cstr(p), tz_slice_cstr(s), tz_slice_cstr(n), version};

	return name;
}

static int
setup(void **state)
{
	for (int i = 0; i < TZ_KEY_LEN; i++)
	{
		master[i] = (uint8_t) i;
		platform_salt[i] = (uint8_t) (0x40 + i);
		record_salt[i] = (uint8_t) (0x80 + i);
	}
	if (tz_envelope_new(&env, NULL) != TZ_OK)
		return -1;
	return tz_envelope_platform_key(env, master, tz_test_slice(platform_salt, TZ_SALT_LEN),
	                                tz_slice_cstr(platform), TZ_PLATFORM_KEY_VERSION, platform_key,
	                                NULL) == TZ_OK
	           ? 0
	           : -1;
}

static int
teardown(void **state)
{
	tz_envelope_free(env);
	return 0;
}

/* RFC 5869, appendix A.1 to A.3 */
static void
test_hkdf(void **state)
{
	static const struct
	{
		const char *ikm;
		const char *salt;
		const char *info;
		const char *okm;
	} cases[] = {
		{"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c", "f0f1f2f3f4f5f6f7f8f9",
	     "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"},
		{"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f",
	     "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
	     "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
	     "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"},
		{"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "",
	     "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		uint8_t ikm[128], salt[128], info[128], want[128], got[128];
		size_t ni = tz_test_hex(cases[i].ikm, ikm, 128);
		size_t ns = tz_test_hex(cases[i].salt, salt, 128);
		size_t nf = tz_test_hex(cases[i].info, info, 128);
		size_t no = tz_test_hex(cases[i].okm, want, 128);

		assert_int_equal(tz_envelope_hkdf(env, tz_test_slice(ikm, ni), tz_test_slice(salt, ns),
		                                  tz_test_slice(info, nf), got, no, NULL),
		                 TZ_OK);
		assert_memory_equal(got, want, no);
	}
	assert_int_equal(tz_envelope_hkdf(env, tz_slice_cstr("x"), tz_slice_cstr(""), tz_slice_cstr(""), NULL,
	                                  256 * 32, NULL),
	                 TZ_TOO_LARGE);
}

/* The library's own GCM: McGrew and Viega, test case 16 (AES-256, with associated data). */
static void
test_gcm_vector(void **state)
{
	uint8_t key[32], iv[12], aad[20], pt[60], ct[60], tag[16], got[76];
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n;

	tz_test_hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", key, 32);
	tz_test_hex("cafebabefacedbaddecaf888", iv, 12);
	tz_test_hex("feedfacedeadbeeffeedfacedeadbeefabaddad2", aad, 20);
	tz_test_hex(
		"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
		pt, 60);
	tz_test_hex(
		"522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
		ct, 60);
	tz_test_hex("76fc6ece0f4e1768cddf8853bb2d551b", tag, 16);
	assert_int_equal(EVP_EncryptInit_ex2(ctx, EVP_aes_256_gcm(), key, iv, NULL), 1);
	assert_int_equal(EVP_EncryptUpdate(ctx, NULL, &n, aad, 20), 1);
	assert_int_equal(EVP_EncryptUpdate(ctx, got, &n, pt, 60), 1);
	assert_int_equal(EVP_EncryptFinal_ex(ctx, got + n, &n), 1);
	assert_int_equal(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, got + 60), 1);
	assert_memory_equal(got, ct, 60);
	assert_memory_equal(got + 60, tag, 16);
	EVP_CIPHER_CTX_free(ctx);
}

/* The library's own; without a salt only the second half. */
static void
reference_hkdf(const uint8_t *ikm, const uint8_t *salt, const void *info, size_t info_len, uint8_t out[32])
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
	const char *mode = salt == NULL ? "EXPAND_ONLY" : "EXTRACT_AND_EXPAND";
	OSSL_PARAM p[] = {OSSL_PARAM_utf8_string(OSSL_KDF_PARAM_DIGEST, "SHA256", 0),
	                  OSSL_PARAM_utf8_string(OSSL_KDF_PARAM_MODE, (char *) mode, 0),
	                  OSSL_PARAM_octet_string(OSSL_KDF_PARAM_KEY, (void *) ikm, 32),
	                  OSSL_PARAM_octet_string(OSSL_KDF_PARAM_INFO, (void *) info, info_len),
	                  salt == NULL
	                      ? OSSL_PARAM_construct_end()
	                      : OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *) salt, 32),
	                  OSSL_PARAM_END};

	assert_int_equal(EVP_KDF_derive(ctx, out, 32, p), 1);
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
}

/* The whole format written down a second time, with the library's own HKDF. */
static void
test_format(void **state)
{
	TzSealName name = name_of(platform, session, "KEY", 7);
	uint8_t info[128], aad[256], key[32], want[64], *p;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	TzBuf sealed;
	int n;

	memcpy(info, "theazo vault v1\0\0\0\x1e", 19);
	memcpy(info + 19, platform, 30);
	memcpy(info + 49, "\0\0\0\x01", 4);
	reference_hkdf(master, platform_salt, info, 53, key);
	assert_memory_equal(key, platform_key, 32);

	memcpy(info, "theazo record v1", 16);
	memcpy(info + 16, record_salt, 32);
	reference_hkdf(platform_key, NULL, info, 48, key);
	p = aad;
	*p++ = 1;
	memcpy(p, "\0\0\0\x1e", 4), p += 4;
	memcpy(p, platform, 30), p += 30;
	memcpy(p, "\0\0\0\x1e", 4), p += 4;
	memcpy(p, session, 30), p += 30;
	memcpy(p, "\0\0\0\x03KEY", 7), p += 7;
	memcpy(p, "\0\0\0\x07", 4), p += 4;
	want[0] = 1;
	assert_int_equal(EVP_EncryptInit_ex2(ctx, EVP_aes_256_gcm(), key, record_salt, NULL), 1);
	assert_int_equal(EVP_EncryptUpdate(ctx, NULL, &n, aad, (int) (p - aad)), 1);
	assert_int_equal(EVP_EncryptUpdate(ctx, want + 1, &n, (const uint8_t *) "value", 5), 1);
	assert_int_equal(EVP_EncryptFinal_ex(ctx, want + 6, &n), 1);
	assert_int_equal(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, want + 6), 1);
	EVP_CIPHER_CTX_free(ctx);

	tz_buf_init(&sealed, 1000);
	assert_int_equal(tz_envelope_seal(env, platform_key, &name, record_salt, tz_slice_cstr("value"), &sealed,
	                                  NULL),
	                 TZ_OK);
	assert_int_equal(sealed.len, 22);
	assert_memory_equal(sealed.data, want, 22);
	tz_buf_free(&sealed);
}

static TzStatus
try_open(const uint8_t *key, const TzSealName *name, const uint8_t *salt, size_t salt_len, TzSlice sealed)
{
	TzBuf plain;
	TzStatus status;

	tz_buf_init_secret(&plain, TZ_SECRET_MAX);
	tz_buf_append_cstr(&plain, "before");
	status = tz_envelope_open(env, key, name, tz_test_slice(salt, salt_len), sealed, &plain, NULL);
	if (status != TZ_OK)
	{
		/* nothing of it may stay */
		assert_int_equal(plain.len, 6);
		assert_string_equal(plain.data, "before");
		assert_null(memmem(plain.data, plain.cap, "canary", 6));
	}
	tz_buf_wipe(&plain);
	return status;
}

static void
test_tamper(void **state)
{
	TzSealName name = name_of(platform, session, "KEY", 7);
	TzSealName other;
	uint8_t salt[TZ_SALT_LEN];
	uint8_t key[TZ_KEY_LEN];
	TzBuf sealed;

	tz_buf_init(&sealed, 1000);
	assert_int_equal(tz_envelope_seal(env, platform_key, &name, record_salt, tz_slice_cstr("canary value"),
	                                  &sealed, NULL),
	                 TZ_OK);
	assert_null(memmem(sealed.data, sealed.len, "canary", 6));
	assert_int_equal(try_open(platform_key, &name, record_salt, 32, tz_buf_slice(&sealed)), TZ_OK);

	for (size_t i = 0; i < sealed.len; i++)
	{
		for (int bit = 0; bit < 8; bit++)
		{
			sealed.data[i] ^= (char) (1 << bit);
			assert_int_equal(try_open(platform_key, &name, record_salt, 32, tz_buf_slice(&sealed)),
			                 TZ_CRYPTO);
			sealed.data[i] ^= (char) (1 << bit);
		}
		assert_int_equal(try_open(platform_key, &name, record_salt, 32, tz_slice(sealed.data, i)), TZ_CRYPTO);
	}
	for (size_t i = 0; i < TZ_SALT_LEN; i++)
	{
		memcpy(salt, record_salt, TZ_SALT_LEN);
		salt[i] ^= 1;
		assert_int_equal(try_open(platform_key, &name, salt, 32, tz_buf_slice(&sealed)), TZ_CRYPTO);
		memcpy(key, platform_key, TZ_KEY_LEN);
		key[i] ^= 1;
		assert_int_equal(try_open(key, &name, record_salt, 32, tz_buf_slice(&sealed)), TZ_CRYPTO);
	}
	assert_int_equal(try_open(platform_key, &name, record_salt, 31, tz_buf_slice(&sealed)), TZ_CRYPTO);

	other = name_of(platform, session, "KEY", 8);
	assert_int_equal(try_open(platform_key, &other, record_salt, 32, tz_buf_slice(&sealed)), TZ_CRYPTO);
	other = name_of(platform, session, "KEZ", 7);
	assert_int_equal(try_open(platform_key, &other, record_salt, 32, tz_buf_slice(&sealed)), TZ_CRYPTO);
	other = name_of(platform, "", "KEY", 7);
	assert_int_equal(try_open(platform_key, &other, record_salt, 32, tz_buf_slice(&sealed)), TZ_CRYPTO);
	other = name_of("plt_01ARYZ6S410000000000000001", session, "KEY", 7);
	assert_int_equal(try_open(platform_key, &other, record_salt, 32, tz_buf_slice(&sealed)), TZ_CRYPTO);
	/* moving a byte from one part to the next is another name */
	other = name_of(platform, "ses_01ARYZ6S41000000000000000", "0KEY", 7);
	assert_int_equal(try_open(platform_key, &other, record_salt, 32, tz_buf_slice(&sealed)), TZ_CRYPTO);
	tz_buf_free(&sealed);
}

static void
test_sizes(void **state)
{
	static const size_t sizes[] = {0, 1, 15, 16, 17, 4096, TZ_SECRET_MAX};
	TzSealName name = name_of(platform, "", "n", 1);
	char *value = malloc(TZ_SECRET_MAX + 1);
	TzBuf sealed;
	TzBuf plain;

	for (size_t i = 0; i <= TZ_SECRET_MAX; i++)
		value[i] = (char) (i * 7);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
	{
		tz_buf_init(&sealed, TZ_SECRET_MAX + TZ_SEALED_OVERHEAD);
		tz_buf_init_secret(&plain, TZ_SECRET_MAX);
		assert_int_equal(tz_envelope_seal(env, platform_key, &name, record_salt, tz_slice(value, sizes[i]),
		                                  &sealed, NULL),
		                 TZ_OK);
		assert_int_equal(sealed.len, sizes[i] + TZ_SEALED_OVERHEAD);
		assert_int_equal(tz_envelope_open(env, platform_key, &name, tz_test_slice(record_salt, 32),
		                                  tz_buf_slice(&sealed), &plain, NULL),
		                 TZ_OK);
		assert_int_equal(plain.len, sizes[i]);
		if (sizes[i] > 0)
			assert_memory_equal(plain.data, value, sizes[i]);
		tz_buf_wipe(&plain);
		tz_buf_free(&sealed);
	}
	tz_buf_init(&sealed, SIZE_MAX);
	assert_int_equal(tz_envelope_seal(env, platform_key, &name, record_salt,
	                                  tz_slice(value, TZ_SECRET_MAX + 1), &sealed, NULL),
	                 TZ_TOO_LARGE);
	tz_buf_free(&sealed);
	/* no room: says so, leaves nothing */
	tz_buf_init(&sealed, 10);
	assert_int_equal(tz_envelope_seal(env, platform_key, &name, record_salt, tz_slice_cstr("value"), &sealed,
	                                  NULL),
	                 TZ_TOO_LARGE);
	assert_int_equal(sealed.len, 0);
	tz_buf_free(&sealed);
	free(value);
}

static void
test_keys_differ(void **state)
{
	uint8_t a[TZ_KEY_LEN];
	uint8_t b[TZ_KEY_LEN];
	uint8_t info[64];
	char fa[TZ_FINGERPRINT_LEN + 1];
	char fb[TZ_FINGERPRINT_LEN + 1];
	TzSlice salt = tz_test_slice(platform_salt, TZ_SALT_LEN);

	assert_int_equal(tz_envelope_platform_key(env, master, salt, tz_slice_cstr("plt_a"), 1, a, NULL), TZ_OK);
	assert_int_equal(tz_envelope_platform_key(env, master, salt, tz_slice_cstr("plt_b"), 1, b, NULL), TZ_OK);
	assert_memory_not_equal(a, b, TZ_KEY_LEN);
	assert_int_equal(tz_envelope_platform_key(env, master, salt, tz_slice_cstr("plt_a"), 2, b, NULL), TZ_OK);
	assert_memory_not_equal(a, b, TZ_KEY_LEN);
	assert_int_equal(tz_envelope_platform_key(env, master, tz_slice_cstr("short"), tz_slice_cstr("plt_a"), 1,
	                                          b, NULL),
	                 TZ_BAD_INPUT);
	assert_int_equal(tz_envelope_platform_key(env, master, salt, tz_slice_cstr(""), 1, b, NULL),
	                 TZ_BAD_INPUT);

	/* the operator's is another, though all else be equal */
	assert_int_equal(tz_envelope_operator_key(env, master, salt, tz_slice_cstr("plt_a"), 1, b, NULL), TZ_OK);
	assert_memory_not_equal(a, b, TZ_KEY_LEN);
	memcpy(info, "theazo operator v1\0\0\0\x05plt_a\0\0\0\x01", 31);
	reference_hkdf(master, platform_salt, info, 31, a);
	assert_memory_equal(a, b, TZ_KEY_LEN);

	assert_int_equal(tz_envelope_fingerprint(env, master, fa, NULL), TZ_OK);
	assert_int_equal(strlen(fa), TZ_FINGERPRINT_LEN);
	memcpy(a, master, TZ_KEY_LEN);
	a[31] ^= 1;
	assert_int_equal(tz_envelope_fingerprint(env, a, fb, NULL), TZ_OK);
	assert_string_not_equal(fa, fb);
}

/* A field of the vectors' current case; bytes are in hex. */
typedef struct Vector
{
	char kind[16];
	char platform[64];
	char session[64];
	char name[160];
	uint32_t version;
	uint32_t key_version;
	char fingerprint[TZ_FINGERPRINT_LEN + 1];
	uint8_t master[TZ_KEY_LEN];
	uint8_t platform_salt[TZ_SALT_LEN];
	uint8_t record_salt[TZ_SALT_LEN];
	uint8_t owner_key[TZ_KEY_LEN];
	uint8_t value[256];
	size_t value_len;
	uint8_t sealed[256];
	size_t sealed_len;
} Vector;

static void
vector_field(Vector *v, const char *key, const char *text)
{
	if (strcmp(key, "kind") == 0)
		snprintf(v->kind, sizeof(v->kind), "%s", text);
	else if (strcmp(key, "platform") == 0)
		snprintf(v->platform, sizeof(v->platform), "%s", text);
	else if (strcmp(key, "session") == 0)
		snprintf(v->session, sizeof(v->session), "%s", text);
	else if (strcmp(key, "name") == 0)
		snprintf(v->name, sizeof(v->name), "%s", text);
	else if (strcmp(key, "version") == 0)
		v->version = (uint32_t) strtoul(text, NULL, 10);
	else if (strcmp(key, "key_version") == 0)
		v->key_version = (uint32_t) strtoul(text, NULL, 10);
	else if (strcmp(key, "fingerprint") == 0)
		snprintf(v->fingerprint, sizeof(v->fingerprint), "%s", text);
	else if (strcmp(key, "master_key") == 0)
		assert_int_equal(tz_test_hex(text, v->master, TZ_KEY_LEN), TZ_KEY_LEN);
	else if (strcmp(key, "platform_salt") == 0)
		assert_int_equal(tz_test_hex(text, v->platform_salt, TZ_SALT_LEN), TZ_SALT_LEN);
	else if (strcmp(key, "record_salt") == 0)
		assert_int_equal(tz_test_hex(text, v->record_salt, TZ_SALT_LEN), TZ_SALT_LEN);
	else if (strcmp(key, "owner_key") == 0)
		assert_int_equal(tz_test_hex(text, v->owner_key, TZ_KEY_LEN), TZ_KEY_LEN);
	else if (strcmp(key, "value") == 0)
		v->value_len = tz_test_hex(text, v->value, sizeof(v->value));
	else if (strcmp(key, "sealed") == 0)
		v->sealed_len = tz_test_hex(text, v->sealed, sizeof(v->sealed));
}

static void
vector_check(const Vector *v)
{
	TzSealName name = name_of(v->platform, v->session, v->name, v->version);
	bool by_operator = strcmp(v->kind, "operator") == 0;
	char fingerprint[TZ_FINGERPRINT_LEN + 1];
	uint8_t key[TZ_KEY_LEN];
	TzBuf sealed;
	TzBuf plain;

	assert_int_equal(tz_envelope_fingerprint(env, v->master, fingerprint, NULL), TZ_OK);
	assert_string_equal(fingerprint, v->fingerprint);
	assert_int_equal((by_operator ? tz_envelope_operator_key
	                              : tz_envelope_platform_key)(env, v->master,
	                                                          tz_test_slice(v->platform_salt, TZ_SALT_LEN),
	                                                          name.platform, v->key_version, key, NULL),
	                 TZ_OK);
	assert_memory_equal(key, v->owner_key, TZ_KEY_LEN);

	tz_buf_init(&sealed, sizeof(v->sealed));
	tz_buf_init_secret(&plain, sizeof(v->value));
	assert_int_equal(tz_envelope_seal(env, key, &name, v->record_salt, tz_test_slice(v->value, v->value_len),
	                                  &sealed, NULL),
	                 TZ_OK);
	assert_int_equal(sealed.len, v->sealed_len);
	assert_memory_equal(sealed.data, v->sealed, sealed.len);
	assert_int_equal(tz_envelope_open(env, key, &name, tz_test_slice(v->record_salt, TZ_SALT_LEN),
	                                  tz_test_slice(v->sealed, v->sealed_len), &plain, NULL),
	                 TZ_OK);
	assert_int_equal(plain.len, v->value_len);
	assert_memory_equal(plain.data, v->value, plain.len);
	tz_buf_wipe(&plain);
	tz_buf_free(&sealed);
}

/* The published vectors, which test/vectors/vault.py computes without any of our code. */
static void
test_vectors(void **state)
{
	FILE *f = fopen("docs/vault-vectors.txt", "r");
	char line[1024];
	Vector v;
	int n = 0;

	if (f == NULL)
		fail_msg("docs/vault-vectors.txt: run this at the top of the tree");
	memset(&v, 0, sizeof(v));
	while (fgets(line, sizeof(line), f) != NULL)
	{
		char *text = strstr(line, " =");

		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '#' || text == NULL)
			continue;
		*text = '\0';
		text += text[2] == ' ' ? 3 : 2;
		vector_field(&v, line, text);
		if (strcmp(line, "sealed") == 0)
		{
			vector_check(&v);
			memset(&v, 0, sizeof(v));
			n++;
		}
	}
	fclose(f);
	assert_int_equal(n, 8);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hkdf),    cmocka_unit_test(test_gcm_vector), cmocka_unit_test(test_format),
		cmocka_unit_test(test_tamper),  cmocka_unit_test(test_sizes),      cmocka_unit_test(test_keys_differ),
		cmocka_unit_test(test_vectors),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
