/*-------------------------------------------------------------------------
 *
 * seal.c
 *	  Sealing and opening 64 bytes, by theazo and by the library alone.
 *
 *	seal SECONDS		prints one line each: who, what, operations a second of CPU time
 *
 * One core, contexts and fetched algorithms kept by all. What the library
 * alone does is what anybody would write with it: a key by EVP_KDF (HKDF as
 * a whole, or its second half only, as theazo's record keys are made), then
 * AES-256-GCM with 30 bytes of associated data. theazo does all of a record:
 * record key, associated data with all names, wiping.
 *
 *-------------------------------------------------------------------------
 */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/envelope.h"

#define VALUE_LEN 64

static const char platform[] = "plt_01ARYZ6S410000000000000000";
static const char session[] = "ses_01ARYZ6S410000000000000000";

static EVP_KDF_CTX *kdf;
static EVP_CIPHER *gcm;
static EVP_CIPHER_CTX *cipher;
static TzEnvelope *env;
static TzBuf sealed;
static TzBuf plain;
static TzSealName name;
static uint8_t base[TZ_KEY_LEN];
static uint8_t salt[TZ_SALT_LEN];
static uint8_t key[TZ_KEY_LEN];
static uint8_t iv[12];
static uint8_t tag[16];
static uint8_t value[VALUE_LEN];
static uint8_t box[VALUE_LEN];
static uint8_t back[VALUE_LEN];
static const char *mode;

static bool
kdf_derive(void)
{
	OSSL_PARAM p[] = {OSSL_PARAM_utf8_string(OSSL_KDF_PARAM_DIGEST, "SHA256", 0),
	                  OSSL_PARAM_utf8_string(OSSL_KDF_PARAM_MODE, (char *) mode, 0),
	                  OSSL_PARAM_octet_string(OSSL_KDF_PARAM_KEY, base, sizeof(base)),
	                  OSSL_PARAM_octet_string(OSSL_KDF_PARAM_SALT, salt, sizeof(salt)),
	                  OSSL_PARAM_octet_string(OSSL_KDF_PARAM_INFO, "theazo record v1", 16),
	                  OSSL_PARAM_END};

	return EVP_KDF_derive(kdf, key, sizeof(key), p) == 1;
}

static bool
gcm_seal(void)
{
	int n;

	return RAND_bytes(iv, sizeof(iv)) == 1 && EVP_EncryptInit_ex2(cipher, gcm, key, iv, NULL) == 1 &&
	       EVP_EncryptUpdate(cipher, NULL, &n, (const uint8_t *) platform, 30) == 1 &&
	       EVP_EncryptUpdate(cipher, box, &n, value, VALUE_LEN) == 1 &&
	       EVP_EncryptFinal_ex(cipher, box + n, &n) == 1 &&
	       EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, 16, tag) == 1;
}

static bool
gcm_open(void)
{
	int n;

	return EVP_DecryptInit_ex2(cipher, gcm, key, iv, NULL) == 1 &&
	       EVP_DecryptUpdate(cipher, NULL, &n, (const uint8_t *) platform, 30) == 1 &&
	       EVP_DecryptUpdate(cipher, back, &n, box, VALUE_LEN) == 1 &&
	       EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, 16, tag) == 1 &&
	       EVP_DecryptFinal_ex(cipher, back + n, &n) == 1;
}

static bool
library_seal(void)
{
	return kdf_derive() && gcm_seal();
}

static bool
library_open(void)
{
	return kdf_derive() && gcm_open();
}

static bool
own_seal(void)
{
	tz_buf_reset(&sealed);
	return RAND_bytes(salt, sizeof(salt)) == 1 &&
	       tz_envelope_seal(env, base, &name, salt, tz_slice((const char *) value, VALUE_LEN), &sealed,
	                        NULL) == TZ_OK;
}

static bool
own_open(void)
{
	tz_buf_reset(&plain);
	return tz_envelope_open(env, base, &name, tz_slice((const char *) salt, sizeof(salt)),
	                        tz_buf_slice(&sealed), &plain, NULL) == TZ_OK &&
	       plain.len == VALUE_LEN;
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static void
measure(const char *who, const char *what, bool (*once)(void), double seconds)
{
	double start;
	long n = 0;

	for (int i = 0; i < 1000; i++)
	{
		if (!once())
		{
			fprintf(stderr, "seal: %s %s failed\n", who, what);
			exit(1);
		}
	}
	start = now();
	do
	{
		for (int i = 0; i < 200; i++)
			once();
		n += 200;
	} while (now() - start < seconds);
	printf("%s %s %.0f\n", who, what, (double) n / (now() - start));
}

int
main(int argc, char **argv)
{
	double seconds = argc > 1 ? strtod(argv[1], NULL) : 1;

	kdf = EVP_KDF_CTX_new(EVP_KDF_fetch(NULL, "HKDF", NULL));
	gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	cipher = EVP_CIPHER_CTX_new();
	if (kdf == NULL || gcm == NULL || cipher == NULL || tz_envelope_new(&env, NULL) != TZ_OK ||
	    RAND_bytes(base, sizeof(base)) != 1 || RAND_bytes(salt, sizeof(salt)) != 1)
		return 1;
	memset(value, 's', sizeof(value));
	tz_buf_init(&sealed, TZ_SECRET_MAX + TZ_SEALED_OVERHEAD);
	tz_buf_init_secret(&plain, TZ_SECRET_MAX);
	name.platform = tz_slice_cstr(platform);
	name.session = tz_slice_cstr(session);
	name.name = tz_slice_cstr("stripe.key");
	name.version = 1;

	mode = "EXTRACT_AND_EXPAND";
	measure("hkdf", "seal", library_seal, seconds);
	measure("hkdf", "open", library_open, seconds);
	mode = "EXPAND_ONLY";
	measure("expand", "seal", library_seal, seconds);
	measure("expand", "open", library_open, seconds);
	measure("gcm", "open", gcm_open, seconds);
	measure("theazo", "seal", own_seal, seconds);
	measure("theazo", "open", own_open, seconds);
	tz_buf_free(&sealed);
	tz_buf_wipe(&plain);
	tz_envelope_free(env);
	return 0;
}
