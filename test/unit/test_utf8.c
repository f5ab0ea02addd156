/* test_utf8.c: bytes from outside made text */
#include "tz_test.h"

#include "lib/utf8.h"

#define FFFD "\xEF\xBF\xBD"

static void
check(const char *in, size_t len, const char *want)
{
	TzBuf out;

	tz_buf_init(&out, len * 3 + 1);
	assert_int_equal(tz_utf8_sanitize(tz_slice(in, len), &out), TZ_OK);
	assert_int_equal(out.len, strlen(want));
	if (out.len > 0)
		assert_memory_equal(out.data, want, out.len);
	assert_int_equal(tz_utf8_valid(tz_slice(in, len)), strlen(want) == len && memcmp(in, want, len) == 0);
	assert_true(tz_utf8_valid(tz_buf_slice(&out)));
	tz_buf_free(&out);
}

static void
test_sanitize(void **state)
{
	check("", 0, "");
	check("plain", 5, "plain");
	check("a\0b", 3, "a" FFFD "b");
	check("gr\xC3\xBC\xC3\x9F", 6, "gr\xC3\xBC\xC3\x9F");
	check("\xF0\x9F\x94\x91", 4, "\xF0\x9F\x94\x91");
	check("\xF4\x8F\xBF\xBF", 4, "\xF4\x8F\xBF\xBF");
	/* overlong, surrogate, beyond the end */
	check("\xC0\xAF", 2, FFFD FFFD);
	check("\xE0\x80\xAF", 3, FFFD FFFD FFFD);
	check("\xED\xA0\x80", 3, FFFD FFFD FFFD);
	check("\xF4\x90\x80\x80", 4, FFFD FFFD FFFD FFFD);
	check("\xF5\x80", 2, FFFD FFFD);
	/* the example of the Unicode standard, table 3-8 */
	check("\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64", 13,
	      "a" FFFD FFFD FFFD "b" FFFD "c" FFFD FFFD "d");
	/* cut off at the end */
	check("ab\xE2\x82", 4, "ab" FFFD);
	check("\xF0", 1, FFFD);
}

static void
test_ceiling(void **state)
{
	TzBuf out;

	tz_buf_init(&out, 4);
	assert_int_equal(tz_utf8_sanitize(tz_slice("\xFF\xFF", 2), &out), TZ_TOO_LARGE);
	tz_buf_free(&out);
}

static void
test_cut(void **state)
{
	TzSlice s = tz_slice_cstr("a\xC3\xBC\xF0\x9F\x94\x91z");

	assert_int_equal(tz_utf8_cut(s, 100), s.len);
	assert_int_equal(tz_utf8_cut(s, s.len), s.len);
	assert_int_equal(tz_utf8_cut(s, 7), 7);
	assert_int_equal(tz_utf8_cut(s, 6), 3);
	assert_int_equal(tz_utf8_cut(s, 3), 3);
	assert_int_equal(tz_utf8_cut(s, 2), 1);
	assert_int_equal(tz_utf8_cut(s, 0), 0);
	assert_int_equal(tz_utf8_cut(tz_slice_cstr("\x80\x80\x80\x80\x80\x80"), 5), 5);
}

static void
test_control(void **state)
{
	assert_false(tz_utf8_has_control(tz_slice_cstr("plain \xC2\xA0\xC3\xBC")));
	assert_true(tz_utf8_has_control(tz_slice_cstr("a\nb")));
	assert_true(tz_utf8_has_control(tz_slice_cstr("\x7F")));
	assert_true(tz_utf8_has_control(tz_slice_cstr("\xC2\x85")));
	assert_true(tz_utf8_has_control(tz_slice("\0", 1)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sanitize),
		cmocka_unit_test(test_ceiling),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_control),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
