/* test_tsa.c: stamps of `openssl ts`, fresh ones and one whose certificates have run out */
#include "tz_test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "lib/sign.h"
#include "lib/tsa.h"

static char dir[64];

/* Runs a command in the authority's directory; returns its exit status. */
static int
run(const char *command)
{
	char line[2048];

	snprintf(line, sizeof(line), "cd %s && { %s; } >> out.log 2>&1", dir, command);
	return system(line);
}

static void
put(const char *name, const void *data, size_t len)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	fclose(f);
}

static TzBuf
get(const char *folder, const char *name)
{
	char path[256];
	char block[4096];
	TzBuf out;
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "rb");
	assert_non_null(f);
	tz_buf_init(&out, 1 << 20);
	while ((n = fread(block, 1, sizeof(block), f)) > 0)
		assert_int_equal(tz_buf_append(&out, block, n), TZ_OK);
	fclose(f);
	return out;
}

static int
group_setup(void **state)
{
	static const char config[] =
		"[tsa]\ndefault_tsa = t\n[t]\nserial = serial\nsigner_cert = tsa.pem\ncerts = ca.pem\n"
		"signer_key = tsak.pem\nsigner_digest = sha256\ndefault_policy = 1.2.3.4\ndigests = sha256\n"
		"accuracy = secs:1\nordering = yes\ntsa_name = yes\ness_cert_id_alg = sha256\n"
		"[narrow]\nserial = serial\nsigner_cert = tsa.pem\ncerts = ca.pem\nsigner_key = tsak.pem\n"
		"signer_digest = sha256\ndefault_policy = 1.2.3.4\ndigests = sha512\n";
	static const char ext[] = "keyUsage=critical,digitalSignature\nextendedKeyUsage=critical,timeStamping\n";
	static const char plain[] = "keyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n";

	snprintf(dir, sizeof(dir), "/tmp/theazo-tsa.XXXXXX");
	assert_non_null(mkdtemp(dir));
	put("tsa.cnf", config, sizeof(config) - 1);
	put("ext", ext, sizeof(ext) - 1);
	put("plain", plain, sizeof(plain) - 1);
	put("serial", "01\n", 3);
	assert_int_equal(
		run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout cak.pem"
	        " -out ca.pem -days 2 -subj '/CN=root' -addext keyUsage=critical,keyCertSign"),
		0);
	assert_int_equal(run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout x.pem"
	                     " -out other.pem -days 2 -subj '/CN=other root'"),
	                 0);
	assert_int_equal(run("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout tsak.pem"
	                     " -out tsa.csr -subj '/CN=stamper'"),
	                 0);
	assert_int_equal(run("openssl x509 -req -in tsa.csr -CA ca.pem -CAkey cak.pem -CAcreateserial -days 2"
	                     " -extfile ext -out tsa.pem"),
	                 0);
	return 0;
}

static int
group_teardown(void **state)
{
	return run("rm -f *; cd ..; rmdir \"$OLDPWD\"") == 0 ? 0 : -1;
}

/* The answer of the authority to a request for this digest. */
static TzBuf
stamp(const uint8_t *digest, const uint8_t *nonce, const char *section)
{
	char command[256];
	TzBuf req;

	tz_buf_init(&req, TZ_TSA_REQUEST_MAX);
	assert_int_equal(tz_tsa_request(digest, nonce, &req, NULL), TZ_OK);
	put("q.tsq", req.data, req.len);
	tz_buf_free(&req);
	snprintf(command, sizeof(command),
	         "openssl ts -reply -config tsa.cnf -section %s -queryfile q.tsq -out r.tsr", section);
	assert_int_equal(run(command), 0);
	return get(dir, "r.tsr");
}

static void
digest_of(const char *text, uint8_t digest[TZ_TSA_DIGEST_LEN])
{
	assert_int_equal(tz_sha256(tz_slice_cstr(text), digest, NULL), TZ_OK);
}

static void
test_round(void **state)
{
	static const uint8_t nonce[TZ_TSA_NONCE_LEN] = {0xff, 1, 2, 3, 4, 5, 6, 7};
	static const uint8_t small[TZ_TSA_NONCE_LEN] = {0, 0, 0, 0, 0, 0, 0, 9};
	uint8_t digest[TZ_TSA_DIGEST_LEN];
	uint8_t other[TZ_TSA_DIGEST_LEN];
	TzBuf ca;
	TzBuf wrong_ca;
	TzBuf answer;
	TzTsaStamp s;
	TzErr err;

	digest_of("one", digest);
	digest_of("two", other);
	answer = stamp(digest, nonce, "t");
	ca = get(dir, "ca.pem");
	wrong_ca = get(dir, "other.pem");
	assert_int_equal(run("openssl ts -verify -queryfile q.tsq -in r.tsr -CAfile ca.pem"), 0);

	assert_int_equal(tz_tsa_check(tz_buf_slice(&answer), digest, nonce, tz_buf_slice(&ca), &s, &err), TZ_OK);
	assert_string_equal(s.signer, "stamper");
	assert_string_equal(s.policy, "1.2.3.4");
	assert_string_equal(s.serial, "02");
	assert_true(s.at_us > INT64_C(1700000000000000));
	/* without the nonce, without an authority to trust */
	assert_int_equal(tz_tsa_check(tz_buf_slice(&answer), digest, NULL, tz_slice(NULL, 0), &s, &err), TZ_OK);

	assert_int_equal(tz_tsa_check(tz_buf_slice(&answer), other, nonce, tz_buf_slice(&ca), &s, &err),
	                 TZ_BAD_ANSWER);
	assert_int_equal(s.at_us, 0);
	assert_int_equal(tz_tsa_check(tz_buf_slice(&answer), digest, small, tz_buf_slice(&ca), &s, &err),
	                 TZ_BAD_ANSWER);
	assert_int_equal(tz_tsa_check(tz_buf_slice(&answer), digest, nonce, tz_buf_slice(&wrong_ca), &s, &err),
	                 TZ_CRYPTO);
	assert_int_equal(tz_tsa_check(tz_buf_slice(&answer), digest, nonce, tz_slice_cstr("no PEM"), &s, &err),
	                 TZ_BAD_INPUT);
	tz_buf_free(&answer);

	answer = stamp(digest, small, "t");
	assert_int_equal(tz_tsa_check(tz_buf_slice(&answer), digest, small, tz_buf_slice(&ca), &s, &err), TZ_OK);
	tz_buf_free(&answer);
	answer = stamp(digest, NULL, "t");
	assert_int_equal(tz_tsa_check(tz_buf_slice(&answer), digest, NULL, tz_buf_slice(&ca), &s, &err), TZ_OK);
	assert_int_equal(tz_tsa_check(tz_buf_slice(&answer), digest, small, tz_buf_slice(&ca), &s, &err),
	                 TZ_BAD_ANSWER);
	tz_buf_free(&answer);

	/* the token alone */
	assert_int_equal(run("openssl ts -reply -in r.tsr -token_out -out r.tst"), 0);
	answer = get(dir, "r.tst");
	assert_int_equal(tz_tsa_check(tz_buf_slice(&answer), digest, NULL, tz_buf_slice(&ca), &s, &err), TZ_OK);
	tz_buf_free(&answer);
	tz_buf_free(&wrong_ca);
	tz_buf_free(&ca);
}

static void
test_rejected(void **state)
{
	uint8_t digest[TZ_TSA_DIGEST_LEN];
	TzBuf answer;
	TzTsaStamp s;
	TzErr err;

	digest_of("one", digest);
	answer = stamp(digest, NULL, "narrow");
	tz_err_clear(&err);
	assert_int_equal(tz_tsa_check(tz_buf_slice(&answer), digest, NULL, tz_slice(NULL, 0), &s, &err),
	                 TZ_REFUSED);
	assert_non_null(strstr(err.message, "unsupported algorithm"));
	tz_buf_free(&answer);
	/* PKIStatusInfo{status 3}, and rejection with systemFailure */
	assert_int_equal(tz_tsa_check(tz_slice("\x30\x05\x30\x03\x02\x01\x03", 7), digest, NULL,
	                              tz_slice(NULL, 0), &s, &err),
	                 TZ_UNAVAILABLE);
	assert_int_equal(tz_tsa_check(tz_slice("\x30\x0c\x30\x0a\x02\x01\x02\x03\x05\x06\x00\x00\x00\x40", 14),
	                              digest, NULL, tz_slice(NULL, 0), &s, &err),
	                 TZ_UNAVAILABLE);
	assert_int_equal(tz_tsa_check(tz_slice("\x30\x05\x30\x03\x02\x01\x02\x00", 8), digest, NULL,
	                              tz_slice(NULL, 0), &s, &err),
	                 TZ_BAD_ANSWER);
	assert_int_equal(tz_tsa_check(tz_slice(NULL, 0), digest, NULL, tz_slice(NULL, 0), &s, &err),
	                 TZ_BAD_ANSWER);
}

/* Signed anew over the same stamp: by the authority's certificate, then by one that is for something else. */
static void
test_purpose(void **state)
{
	static const char sign[] =
		"openssl cms -sign -binary -nodetach -cades -outform DER -in tst.der -inkey tsak.pem"
		" -econtent_type 1.2.840.113549.1.9.16.1.4 -signer %s -out %s";
	uint8_t digest[TZ_TSA_DIGEST_LEN];
	char line[512];
	TzBuf answer;
	TzBuf ca = get(dir, "ca.pem");
	TzTsaStamp s;
	TzErr err;

	digest_of("one", digest);
	answer = stamp(digest, NULL, "t");
	tz_buf_free(&answer);
	assert_int_equal(
		run("openssl x509 -req -in tsa.csr -CA ca.pem -CAkey cak.pem -CAcreateserial -days 2"
	        " -extfile plain -out leaf.pem && openssl ts -reply -in r.tsr -token_out -out r.tst &&"
	        " openssl cms -verify -noverify -inform DER -in r.tst -out tst.der"),
		0);
	snprintf(line, sizeof(line), sign, "tsa.pem", "good.tst");
	assert_int_equal(run(line), 0);
	snprintf(line, sizeof(line), sign, "leaf.pem", "bad.tst");
	assert_int_equal(run(line), 0);
	answer = get(dir, "good.tst");
	assert_int_equal(tz_tsa_check(tz_buf_slice(&answer), digest, NULL, tz_buf_slice(&ca), &s, &err), TZ_OK);
	tz_buf_free(&answer);
	answer = get(dir, "bad.tst");
	assert_int_equal(tz_tsa_check(tz_buf_slice(&answer), digest, NULL, tz_buf_slice(&ca), &s, &err),
	                 TZ_CRYPTO);
	assert_int_equal(tz_tsa_check(tz_buf_slice(&answer), digest, NULL, tz_slice(NULL, 0), &s, &err),
	                 TZ_CRYPTO);
	tz_buf_free(&answer);
	tz_buf_free(&ca);
}

/* Certificates that ran out: good at the time of the stamp. No single byte may change unseen where it counts. */
static void
test_old(void **state)
{
	TzBuf ca = get("test/unit/tsa", "ca.pem");
	TzBuf answer = get("test/unit/tsa", "reply.tsr");
	uint8_t digest[TZ_TSA_DIGEST_LEN];
	TzTsaStamp s;
	TzErr err;
	int accepted = 0;

	digest_of("hello, stamp", digest);
	assert_int_equal(tz_tsa_check(tz_buf_slice(&answer), digest, NULL, tz_buf_slice(&ca), &s, &err), TZ_OK);
	assert_int_equal(s.at_us, INT64_C(1795293876125000));
	assert_string_equal(s.signer, "Stamp test authority");
	for (size_t i = 0; i < answer.len; i++)
	{
		TzTsaStamp t;
		TzStatus status;

		answer.data[i] ^= 0x01;
		status = tz_tsa_check(tz_buf_slice(&answer), digest, NULL, tz_buf_slice(&ca), &t, &err);
		if (status == TZ_OK)
		{
			accepted++;
			assert_memory_equal(&s, &t, sizeof(s));
		}
		answer.data[i] ^= 0x01;
	}
	/* what is not signed and not used may differ: the root's copy in the token, the word for "granted" */
	assert_true(accepted < (int) answer.len / 2);
	for (size_t len = 0; len < answer.len; len++)
		assert_int_not_equal(tz_tsa_check(tz_slice(answer.data, len), digest, NULL, tz_buf_slice(&ca), &s,
		                                  &err),
		                     TZ_OK);
	tz_buf_free(&answer);
	tz_buf_free(&ca);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round),
		cmocka_unit_test(test_rejected),
		cmocka_unit_test(test_purpose),
		cmocka_unit_test(test_old),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
