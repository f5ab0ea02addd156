/* test_keyfile.c: master keys as a file or a program gives them */
#include "tz_test.h"

#include "lib/keyfile.h"

#define HEX_A "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define B64_A "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define HEX_B "ff0102030405060708090A0B0C0D0E0F101112131415161718191a1b1c1d1e1f"

static uint8_t keys[TZ_KEYFILE_KEYS_MAX][TZ_KEY_LEN];
static int n;
static TzErr err;

static TzStatus
parse(const char *text)
{
	tz_err_clear(&err);
	return tz_keyfile_parse(tz_slice_cstr(text), keys, &n, &err);
}

static void
test_good(void **state)
{
	uint8_t a[TZ_KEY_LEN];

	tz_test_hex(HEX_A, a, sizeof(a));
	assert_int_equal(parse(HEX_A), TZ_OK);
	assert_int_equal(n, 1);
	assert_memory_equal(keys[0], a, TZ_KEY_LEN);
	assert_int_equal(parse(B64_A "\n"), TZ_OK);
	assert_memory_equal(keys[0], a, TZ_KEY_LEN);
	assert_int_equal(parse("# current\r\n  " HEX_B "\t\r\n\n# old\n" B64_A), TZ_OK);
	assert_int_equal(n, 2);
	assert_int_equal(keys[0][0], 255);
	assert_memory_equal(keys[1], a, TZ_KEY_LEN);
	/* raw, line feeds and NUL included */
	a[5] = '\n';
	assert_int_equal(tz_keyfile_parse(tz_test_slice(a, TZ_KEY_LEN), keys, &n, &err), TZ_OK);
	assert_int_equal(n, 1);
	assert_memory_equal(keys[0], a, TZ_KEY_LEN);
}

static void
test_bad(void **state)
{
	static const char *const bad[] = {
		"",
		"\n\n",
		"# nothing\n",
		"changeme",
		"0001020304050607",
		"0123456789abcdef0123456789abcdef", /* 128 bit in hex: 32 bytes of text */
		"a passphrase of exactly 32 bytes",
		HEX_A HEX_A,
		HEX_A " x",
		HEX_A "\nshort\n",
		HEX_A "\n" B64_A, /* the same key twice */
		"0000000000000000000000000000000000000000000000000000000000000000",
		"g00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8*",
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g"};
	uint8_t clean[sizeof(keys)] = {0};
	char many[(2 * TZ_KEY_LEN + 1) * (TZ_KEYFILE_KEYS_MAX + 1) + 1];
	char *big = calloc(1, TZ_KEYFILE_MAX + 2);

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		memset(keys, 0x77, sizeof(keys));
		assert_int_not_equal(parse(bad[i]), TZ_OK);
		assert_int_equal(n, 0);
		assert_memory_equal(keys, clean, sizeof(keys));
		assert_null(strstr(err.message, "passphrase"));
		assert_null(strstr(err.detail, "0001"));
	}
	many[0] = '\0';
	for (int i = 0; i <= TZ_KEYFILE_KEYS_MAX; i++)
		snprintf(many + strlen(many), 66, "%064x\n", 0x1000 + i);
	assert_int_equal(parse(many), TZ_TOO_LARGE);
	memset(big, '\n', TZ_KEYFILE_MAX + 1);
	assert_int_equal(parse(big), TZ_TOO_LARGE);
	free(big);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
