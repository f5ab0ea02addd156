/* test_sign.c: digests, HMAC and encodings, by published vectors */
#include "tz_test.h"

#include "lib/sign.h"

static void
expect_hex(const uint8_t *data, size_t len, const char *hex)
{
	TzBuf out;

	tz_buf_init(&out, 4096);
	assert_int_equal(tz_hex_append(&out, data, len), TZ_OK);
	assert_string_equal(out.data, hex);
	tz_buf_free(&out);
}

/* FIPS 180-4 examples */
static void
test_sha256(void **state)
{
	uint8_t d[TZ_SHA256_LEN];
	char *million = malloc(1000000);

	assert_int_equal(tz_sha256(tz_slice_cstr("abc"), d, NULL), TZ_OK);
	expect_hex(d, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_int_equal(tz_sha256(tz_slice(NULL, 0), d, NULL), TZ_OK);
	expect_hex(d, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	tz_sha256(tz_slice_cstr("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"), d, NULL);
	expect_hex(d, 32, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
	memset(million, 'a', 1000000);
	tz_sha256(tz_slice(million, 1000000), d, NULL);
	expect_hex(d, 32, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
	free(million);
}

/* RFC 4231, test cases 1 to 4, 6 and 7 */
static void
test_hmac(void **state)
{
	static const struct
	{
		const char *key;
		int key_repeat; /* > 0: that many times the one byte */
		const char *data;
		int data_repeat;
		const char *mac;
	} cases[] = {
		{"0b", 20, "4869205468657265", 0, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
		{"4a656665", 0, "7768617420646f2079612077616e7420666f72206e6f7468696e673f", 0,
	     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
		{"aa", 20, "dd", 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
		{"0102030405060708090a0b0c0d0e0f10111213141516171819", 0, "cd", 50,
	     "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
		{"aa", 131,
	     "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368204b6579204669727374",
	     0, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
		{"aa", 131,
	     "5468697320697320612074657374207573696e672061206c6172676572207468616e20626c6f636b2d73697a65206b657920616e642061206c6172676572207468616e20626c6f636b2d73697a6520646174612e20546865206b6579206e6565647320746f20626520686173686564206265666f7265206265696e6720757365642062792074686520484d414320616c676f726974686d2e",
	     0, "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		uint8_t key[256];
		uint8_t data[256];
		uint8_t mac[TZ_SHA256_LEN];
		size_t klen = tz_test_hex(cases[i].key, key, sizeof(key));
		size_t dlen = tz_test_hex(cases[i].data, data, sizeof(data));
		TzSlice parts[3];

		if (cases[i].key_repeat > 0)
			memset(key, key[0], klen = (size_t) cases[i].key_repeat);
		if (cases[i].data_repeat > 0)
			memset(data, data[0], dlen = (size_t) cases[i].data_repeat);
		assert_int_equal(tz_hmac_sha256(tz_test_slice(key, klen), tz_test_slice(data, dlen), mac, NULL),
		                 TZ_OK);
		expect_hex(mac, 32, cases[i].mac);

		parts[0] = tz_test_slice(data, 3);
		parts[1] = tz_slice(NULL, 0);
		parts[2] = tz_test_slice(data + 3, dlen - 3);
		assert_int_equal(tz_hmac_sha256_parts(tz_test_slice(key, klen), parts, 3, mac, NULL), TZ_OK);
		expect_hex(mac, 32, cases[i].mac);
	}
}

/* RFC 4648, section 10 */
static void
test_base64(void **state)
{
	static const char *const pairs[][2] = {
		{"", ""},
		{"f", "Zg=="},
		{"fo", "Zm8="},
		{"foo", "Zm9v"},
		{"foob", "Zm9vYg=="},
		{"fooba", "Zm9vYmE="},
		{"foobar", "Zm9vYmFy"},
		{"\xFB\xFF\xBF", "+/+/"},
	};
	static const char *const bad[] = {
		"Z", "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "====", "Zg==Zg==", "Zm9 ", "Zm9-", "=g==", "Z===",
	};
	TzBuf out;

	tz_buf_init(&out, 100);
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
	{
		tz_buf_reset(&out);
		assert_int_equal(tz_base64_append(&out, pairs[i][0], strlen(pairs[i][0])), TZ_OK);
		assert_true(tz_slice_eq_cstr(tz_buf_slice(&out), pairs[i][1]));
		tz_buf_reset(&out);
		assert_int_equal(tz_base64_decode(tz_slice_cstr(pairs[i][1]), &out, NULL), TZ_OK);
		assert_true(tz_slice_eq_cstr(tz_buf_slice(&out), pairs[i][0]));
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		tz_buf_reset(&out);
		assert_int_equal(tz_base64_decode(tz_slice_cstr(bad[i]), &out, NULL), TZ_BAD_INPUT);
	}
	tz_buf_free(&out);
	tz_buf_init(&out, 3);
	assert_int_equal(tz_base64_append(&out, "ab", 2), TZ_TOO_LARGE);
	tz_buf_free(&out);
}

static void
test_hex(void **state)
{
	TzBuf out;

	tz_buf_init(&out, 4);
	assert_int_equal(tz_hex_decode(tz_slice_cstr("00fFAb"), &out, NULL), TZ_OK);
	assert_int_equal(out.len, 3);
	assert_memory_equal(out.data, "\x00\xFF\xAB", 3);
	assert_int_equal(tz_hex_decode(tz_slice_cstr("0"), &out, NULL), TZ_BAD_INPUT);
	assert_int_equal(tz_hex_decode(tz_slice_cstr("0g"), &out, NULL), TZ_BAD_INPUT);
	assert_int_equal(tz_hex_decode(tz_slice_cstr("001122"), &out, NULL), TZ_TOO_LARGE);
	tz_buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sha256),
		cmocka_unit_test(test_hmac),
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_hex),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
