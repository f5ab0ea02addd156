/* test_id.c: prefixed, time-ordered identifiers */
#include "tz_test.h"

#include "lib/id.h"

static const uint8_t zeros[TZ_ID_TAIL_LEN];
static const uint8_t ones[TZ_ID_TAIL_LEN] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255};

static void
test_known(void **state)
{
	char id[TZ_ID_MAX + 1];
	char root[TZ_ID_ROOT_LEN + 1];
	TzErr err;

	/* time part of the ULID specification's example */
	assert_int_equal(tz_id_floor(1469918176385, root, &err), TZ_OK);
	assert_string_equal(root, "01ARYZ6S410000000000000000");
	assert_int_equal(tz_id_make(tz_slice_cstr("ses"), 1469918176385, ones, id, &err), TZ_OK);
	assert_string_equal(id, "ses_01ARYZ6S41ZZZZZZZZZZZZZZZZ");
	assert_int_equal(tz_id_root(TZ_ID_MS_MAX, ones, root, &err), TZ_OK);
	assert_string_equal(root, "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
	assert_int_equal(tz_id_floor(0, root, &err), TZ_OK);
	assert_string_equal(root, "00000000000000000000000000");
}

static void
test_order(void **state)
{
	char a[TZ_ID_ROOT_LEN + 1];
	char b[TZ_ID_ROOT_LEN + 1];
	int64_t ms = 1;

	for (int i = 0; i < 47; i++, ms *= 2)
	{
		int64_t back;

		assert_int_equal(tz_id_root(ms, ones, a, NULL), TZ_OK);
		assert_int_equal(tz_id_root(ms + 1, zeros, b, NULL), TZ_OK);
		assert_true(strcmp(a, b) < 0);
		assert_int_equal(tz_id_time(tz_slice_cstr(a), &back, NULL), TZ_OK);
		assert_int_equal(back, ms);
	}
}

static void
test_bad(void **state)
{
	static const char *const bad[] = {
		"",
		"x",
		"ses_",
		"ses_01ARYZ6S41ZZZZZZZZZZZZZZZ",
		"ses_01ARYZ6S41ZZZZZZZZZZZZZZZZZ",
		"ses-01ARYZ6S41ZZZZZZZZZZZZZZZZ",
		"Ses_01ARYZ6S41ZZZZZZZZZZZZZZZZ",
		"_01ARYZ6S41ZZZZZZZZZZZZZZZZ",
		"s1_01ARYZ6S41ZZZZZZZZZZZZZZZZ",
		"ses_01ARYZ6S41ZZZZZZZZZZZZZZZI",
		"ses_01aryz6s41zzzzzzzzzzzzzzzz",
		"ses_81ARYZ6S41ZZZZZZZZZZZZZZZZ",
		"ses_01ARYZ6S41ZZZZZZZZZZZZZZZ ",
		"abcdefghijklmn_01ARYZ6S41ZZZZZZZZZZZZZZZZ",
	};
	char out[TZ_ID_MAX + 1];
	TzErr err;
	int64_t ms;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(tz_id_time(tz_slice_cstr(bad[i]), &ms, &err), TZ_BAD_INPUT);
	assert_int_equal(tz_id_time(tz_slice("ses_01ARYZ6S41ZZZZZZZZZZZZZ\0ZZ", 30), &ms, &err), TZ_BAD_INPUT);
	assert_int_equal(tz_id_make(tz_slice_cstr(""), 1, zeros, out, &err), TZ_BAD_INPUT);
	assert_int_equal(tz_id_make(tz_slice_cstr("abcdefghijklmn"), 1, zeros, out, &err), TZ_BAD_INPUT);
	assert_int_equal(tz_id_make(tz_slice_cstr("a_b"), 1, zeros, out, &err), TZ_BAD_INPUT);
	assert_int_equal(tz_id_make(tz_slice_cstr("a"), -1, zeros, out, &err), TZ_BAD_INPUT);
	assert_int_equal(tz_id_make(tz_slice_cstr("a"), TZ_ID_MS_MAX + 1, zeros, out, &err), TZ_BAD_INPUT);
}

static void
test_split(void **state)
{
	TzSlice prefix;
	TzSlice root;

	assert_int_equal(tz_id_split(tz_slice_cstr("run_01ARYZ6S41ZZZZZZZZZZZZZZZZ"), &prefix, &root, NULL),
	                 TZ_OK);
	assert_true(tz_slice_eq_cstr(prefix, "run"));
	assert_true(tz_slice_eq_cstr(root, "01ARYZ6S41ZZZZZZZZZZZZZZZZ"));
	assert_int_equal(tz_id_split(tz_slice_cstr("01ARYZ6S41ZZZZZZZZZZZZZZZZ"), &prefix, &root, NULL), TZ_OK);
	assert_int_equal(prefix.len, 0);
}

static void
test_derive(void **state)
{
	char a[TZ_ID_MAX + 1];
	char b[TZ_ID_MAX + 1];
	TzSlice from = tz_slice_cstr("run_01ARYZ6S41ZZZZZZZZZZZZZZZZ");

	/* SHA-256("abc") = ba7816bf8f01cfea4141... */
	assert_int_equal(tz_id_derive(tz_slice_cstr("chg"), from, tz_slice_cstr("abc"), a, NULL), TZ_OK);
	assert_string_equal(a, "chg_01ARYZ6S41Q9W1DFWF077YMGA1");
	assert_int_equal(tz_id_derive(tz_slice_cstr("chg"), tz_slice_cstr("01ARYZ6S41ZZZZZZZZZZZZZZZZ"),
	                              tz_slice_cstr("abc"), b, NULL),
	                 TZ_OK);
	assert_string_equal(a, b);
	assert_int_equal(tz_id_derive(tz_slice_cstr("chg"), from, tz_slice_cstr("abd"), b, NULL), TZ_OK);
	assert_string_not_equal(a, b);
	assert_int_equal(tz_id_derive(tz_slice_cstr("chg"), tz_slice_cstr("nonsense"), tz_slice_cstr("abc"), b,
	                              NULL),
	                 TZ_BAD_INPUT);
}

static void
test_pack(void **state)
{
	uint8_t a[TZ_ID_BYTES];
	uint8_t b[TZ_ID_BYTES];
	char back[TZ_ID_MAX + 1];

	assert_int_equal(tz_id_pack(tz_slice_cstr("evt_01ARYZ6S41ZZZZZZZZZZZZZZZZ"), a, NULL), TZ_OK);
	assert_int_equal(tz_id_unpack(tz_slice_cstr("evt"), a, back, NULL), TZ_OK);
	assert_string_equal(back, "evt_01ARYZ6S41ZZZZZZZZZZZZZZZZ");
	assert_int_equal(a[15], 0xff);
	/* bytes sort as the text does */
	assert_int_equal(tz_id_pack(tz_slice_cstr("evt_01ARYZ6S4200000000000000Z0"), b, NULL), TZ_OK);
	assert_true(memcmp(a, b, TZ_ID_BYTES) < 0);
	assert_int_equal(tz_id_unpack(tz_slice_cstr("evt"), b, back, NULL), TZ_OK);
	assert_string_equal(back, "evt_01ARYZ6S4200000000000000Z0");
	assert_int_equal(tz_id_pack(tz_slice_cstr("evt_81ARYZ6S41ZZZZZZZZZZZZZZZZ"), a, NULL), TZ_BAD_INPUT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known), cmocka_unit_test(test_order),  cmocka_unit_test(test_bad),
		cmocka_unit_test(test_split), cmocka_unit_test(test_derive), cmocka_unit_test(test_pack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
