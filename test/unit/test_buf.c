/* test_buf.c: slices and growing buffers */
#include "tz_test.h"

static void
test_slices(void **state)
{
	assert_true(tz_slice_eq(tz_slice_cstr("abc"), tz_slice("abcd", 3)));
	assert_false(tz_slice_eq(tz_slice_cstr("abc"), tz_slice_cstr("abd")));
	assert_true(tz_slice_eq(tz_slice(NULL, 0), tz_slice("", 0)));
	assert_true(tz_slice_eq_cstr(tz_slice_cstr(NULL), ""));
}

static void
test_grow(void **state)
{
	TzBuf buf;

	tz_buf_init(&buf, 100000);
	for (int i = 0; i < 10000; i++)
		assert_int_equal(tz_buf_append_byte(&buf, (char) ('a' + i % 26)), TZ_OK);
	assert_int_equal(buf.len, 10000);
	assert_int_equal(buf.data[10000], '\0');
	assert_int_equal(buf.data[9999], 'a' + 9999 % 26);
	tz_buf_reset(&buf);
	assert_int_equal(buf.len, 0);
	assert_int_equal(tz_buf_append_cstr(&buf, "x"), TZ_OK);
	assert_string_equal(buf.data, "x");
	tz_buf_free(&buf);
	assert_null(buf.data);
	/* usable again after free */
	assert_int_equal(tz_buf_append_cstr(&buf, "y"), TZ_OK);
	tz_buf_free(&buf);
}

static void
test_ceiling(void **state)
{
	TzBuf buf;

	tz_buf_init(&buf, 5);
	assert_int_equal(tz_buf_append(&buf, "abcde", 5), TZ_OK);
	assert_int_equal(tz_buf_append(&buf, "", 0), TZ_OK);
	assert_int_equal(tz_buf_append_byte(&buf, 'f'), TZ_TOO_LARGE);
	/* the first failure sticks, what is there stays */
	assert_int_equal(tz_buf_append(&buf, "", 0), TZ_TOO_LARGE);
	assert_int_equal(tz_buf_printf(&buf, "%d", 1), TZ_TOO_LARGE);
	assert_string_equal(buf.data, "abcde");
	tz_buf_reset(&buf);
	assert_int_equal(buf.status, TZ_OK);
	tz_buf_free(&buf);

	tz_buf_init(&buf, SIZE_MAX);
	assert_int_equal(tz_buf_reserve(&buf, SIZE_MAX - 8), TZ_TOO_LARGE);
	tz_buf_free(&buf);
}

static void
test_printf(void **state)
{
	TzBuf buf;

	tz_buf_init(&buf, 300);
	assert_int_equal(tz_buf_printf(&buf, "%s=%d", "a", 7), TZ_OK);
	assert_int_equal(tz_buf_printf(&buf, "%280s", "z"), TZ_OK);
	assert_int_equal(buf.len, 283);
	/* all or nothing */
	assert_int_equal(tz_buf_printf(&buf, "%30s", "q"), TZ_TOO_LARGE);
	assert_int_equal(buf.len, 283);
	assert_int_equal(strlen(buf.data), 283);
	tz_buf_free(&buf);
}

static void
test_secret(void **state)
{
	TzBuf buf;

	tz_buf_init_secret(&buf, 4096);
	for (int i = 0; i < 1000; i++)
		tz_buf_append_cstr(&buf, "key");
	assert_int_equal(buf.len, 3000);
	assert_memory_equal(buf.data + 2997, "key", 4);
	tz_buf_reset(&buf);
	for (size_t i = 0; i < buf.cap; i++)
		assert_int_equal(buf.data[i], 0);
	tz_buf_wipe(&buf);
	assert_null(buf.data);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slices), cmocka_unit_test(test_grow),   cmocka_unit_test(test_ceiling),
		cmocka_unit_test(test_printf), cmocka_unit_test(test_secret),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
