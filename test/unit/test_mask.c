/* test_mask.c: values in text, in every form a program may print them */
#include "tz_test.h"

#include <time.h>

#include "lib/mask.h"

#define TEXT_MAX (8 * 1024 * 1024)

static TzMask *
make(const char *one, const char *two)
{
	TzSlice values[2] = {tz_slice_cstr(one), tz_slice_cstr(two)};
	TzMask *mask;
	TzErr err;

	tz_err_clear(&err);
	assert_int_equal(tz_mask_create(values, 2, &mask, &err), TZ_OK);
	return mask;
}

static void
apply(const TzMask *mask, TzSlice text, bool cut, const char *want)
{
	TzBuf out;
	bool found;

	tz_buf_init(&out, TEXT_MAX);
	assert_int_equal(tz_mask_apply(mask, text, cut, &out, &found), TZ_OK);
	if (found)
		assert_string_equal(out.data, want);
	else
	{
		assert_int_equal(out.len, 0);
		assert_int_equal(strlen(want), text.len);
		assert_memory_equal(text.data, want, text.len);
	}
	tz_buf_free(&out);
}

static void
is(const char *value, const char *text, const char *want)
{
	TzMask *mask = make(value, NULL);

	apply(mask, tz_slice_cstr(text), false, want);
	tz_mask_free(mask);
}

static void
cut_is(const char *value, const char *text, const char *want)
{
	TzMask *mask = make(value, NULL);

	apply(mask, tz_slice_cstr(text), true, want);
	tz_mask_free(mask);
}

static void
test_plain(void **state)
{
	is("s3cret-value", "", "");
	is("s3cret-value", "nothing here", "nothing here");
	is("s3cret-value", "s3cret-value", "***");
	is("s3cret-value", "a s3cret-value b s3cret-value", "a *** b ***");
	is("s3cret-value", "s3cret-values3cret-value", "******");
	is("s3cret-value", "s3cret-s3cret-value", "s3cret-***");
	is("s3cret-value", "s3cret-valu", "s3cret-valu");
	is("aaaa", "xaaaaaaaaax", "x***x");
	is("aabaa", "aabaabaa", "***");
	is("k\xC3\xA4se", "ein k\xC3\xA4se", "ein ***");
	is("token\n", "token here", "*** here");
	is(" pad ded ", "(pad ded)", "(***)");
	is("", "text", "text");
}

static void
test_two(void **state)
{
	TzMask *mask = make("abcdef", "cdefgh");

	apply(mask, tz_slice_cstr("abcdefgh"), false, "***");
	apply(mask, tz_slice_cstr("abcdef cdefgh"), false, "*** ***");
	apply(mask, tz_slice_cstr("bcdefgh"), false, "b***");
	tz_mask_free(mask);
	mask = make("abcdef", "cde1");
	apply(mask, tz_slice_cstr("abcde1"), false, "ab***");
	tz_mask_free(mask);
	mask = make("", NULL);
	assert_null(mask);
	apply(mask, tz_slice_cstr("text"), true, "text");
}

static void
test_words(void **state)
{
	is("ab", "ab cab ab1 (ab) ab", "*** cab ab1 (***) ***");
	is("abc", "abc\nxabc\nabc_", "***\nxabc\nabc_");
	is("7", "7 17 7.5 a7", "*** 17 ***.5 a7");
	is("7", "7", "***");
	is("ab",
	   "\xC3\xBC"
	   "ab",
	   "\xC3\xBC"
	   "ab");
	is("abcd", "xabcdx", "x***x");
}

static void
test_lines(void **state)
{
	const char *pem = "-----BEGIN KEY-----\r\nMIIEabcd\r\nshort\r\nMIIEefgh\r\n-----END KEY-----\r\n";

	is(pem, "MIIEabcd", "***");
	is(pem, "x MIIEefgh y", "x *** y");
	is(pem, "short", "short");
	is(pem, "-----BEGIN KEY-----\r\nMIIEabcd\r\nshort\r\nMIIEefgh\r\n-----END KEY-----\r\n", "***\r\n");
	is("one line only", "line only", "line only");
}

static void
test_percent(void **state)
{
	is("p@ss/w:rd", "u=p%40ss%2Fw%3Ard;", "u=***;");
	is("p@ss/w:rd", "u=p%40ss/w%3ard;", "u=***;");
	is("p@ss/w:rd", "%p@ss/w:rd%", "%***%");
	is("p@ss/w:rd", "%70%40%73%73%2f%77%3a%72%64", "***");
	is("two words", "q=two+words&r=two%20words", "q=***&r=***");
	is("a%41bcd", "a%41bcd", "***");
	is("k\xC3\xA4se", "k%C3%A4se", "***");
	is("p@ss/w:rd", "p%40ss%2", "p%40ss%2");
}

static void
test_json(void **state)
{
	is("a\"b\\c/d", "{\"k\":\"a\\\"b\\\\c\\/d\"}", "{\"k\":\"***\"}");
	is("a\"b\\c/d", "{\"k\":\"a\\\"b\\\\c/d\"}", "{\"k\":\"***\"}");
	is("line one\nline two", "\"line one\\nline two\"", "\"***\"");
	is("k\xC3\xA4se", "\"k\\u00e4se\"", "\"***\"");
	is("x\xF0\x9F\x98\x80y", "\"x\\ud83d\\ude00y\"", "\"***\"");
	is("x\xF0\x9F\x98\x80y", "\"x\\uD83D\\u0020y\"", "\"x\\uD83D\\u0020y\"");
	is("abcd", "\\u0061bc\\u0064 \\u006", "*** \\u006");
	is("abcd", "\\\\abcd\\", "\\\\***\\");
}

/* echo -n value | base64, alone and behind one and two bytes, as basic authentication has it */
static void
test_base64(void **state)
{
	is("s3cret-value", "czNjcmV0LXZhbHVl", "***");
	is("s3cret-value", "Basic eDpzM2NyZXQtdmFsdWU=", "Basic eD***");
	is("s3cret-value", "dTEyOnMzY3JldC12YWx1ZQ==", "dTEyO***");
	is("s3cret-value", "YXM6czNjcmV0LXZhbHVl.", "YXM6***.");
	is("s3cret-value1", "czNjcmV0LXZhbHVlMQ==", "***");
	is("s3cret-value1", "czNjcmV0LXZhbHVlMQ", "***");
	is("\xFB\xFF\xBE?>\xFF\xFE", "+/++Pz7//g==", "***");
	is("\xFB\xFF\xBE?>\xFF\xFE", "-_--Pz7__g", "***");
	is("\xFB\xFF\xBE?>\xFF\xFE", "%2B%2F%2B%2BPz7%2F%2Fg==", "***");
	is("\xFB\xFF\xBE?>\xFF\xFE", "\"+\\/++Pz7\\/\\/g==\"", "\"***\"");
	/* wrapped, as the command does it, also in a JSON string */
	is("s3cret-value", "czNjcm\nV0LXZh\r\nbHVl\n", "***\n");
	is("s3cret-value", "\"czNjcm\\nV0LXZhbHVl\\n\"", "\"***\\n\"");
	/* too little to tell from chance */
	is("abcd", "aGVsbG8g", "aGVsbG8g");
}

static void
test_cut(void **state)
{
	cut_is("s3cret-value", "got s3cret-val", "got ***");
	cut_is("s3cret-value", "got s3cr", "got ***");
	cut_is("s3cret-value", "got s3c", "got s3c");
	cut_is("s3cret-value", "got s3cr later", "got s3cr later");
	cut_is("s3cret-value", "s3cret-value s3cret", "*** ***");
	cut_is("k\xC3\xA4se-und-brot", "k\xC3\xA4se-u", "***");
	cut_is("abcd\xC3\xA4", "abcd\xEF\xBF\xBD", "***\xEF\xBF\xBD");
	cut_is("s3cret-value", "eDpzM2NyZXQt", "eDp***");
	cut_is("p@ss/w:rd", "p%40ss%2F", "***");
	is("s3cret-value", "got s3cret-val", "got s3cret-val");
}

static void
test_limits(void **state)
{
	char *big = calloc(1, TZ_MASK_BYTES_MAX + 1);
	TzSlice values[2] = {tz_slice(big, TZ_MASK_BYTES_MAX), tz_slice(big, 1)};
	TzMask *mask;
	TzErr err;

	memset(big, 'x', TZ_MASK_BYTES_MAX + 1);
	tz_err_clear(&err);
	assert_int_equal(tz_mask_create(values, 2, &mask, &err), TZ_TOO_LARGE);
	assert_null(mask);
	assert_int_equal(tz_mask_create(NULL, 0, &mask, &err), TZ_OK);
	assert_null(mask);
	tz_mask_free(NULL);
	free(big);
}

/* A text and values made to be slow: as many steps as bytes, not as both multiplied. */
static void
test_linear(void **state)
{
	size_t n = 4 * 1024 * 1024;
	char *text = malloc(n);
	char *value = malloc(65536);
	TzSlice values[3];
	TzMask *mask;
	TzErr err;
	TzBuf out;
	bool found;
	clock_t start = clock();

	memset(text, 'a', n);
	memset(value, 'a', 65536);
	value[65535] = 'b';
	values[0] = tz_slice(value, 65536);
	values[1] = tz_slice(value + 1, 65535);
	values[2] = tz_slice(value + 30000, 30000);
	tz_err_clear(&err);
	assert_int_equal(tz_mask_create(values, 3, &mask, &err), TZ_OK);
	tz_buf_init(&out, TEXT_MAX);
	assert_int_equal(tz_mask_apply(mask, tz_slice(text, n), false, &out, &found), TZ_OK);
	assert_true(found);
	assert_string_equal(out.data, "***");
	assert_true((clock() - start) / CLOCKS_PER_SEC < 20);
	tz_mask_free(mask);
	tz_buf_free(&out);
	free(text);
	free(value);
}

static void
test_ceiling(void **state)
{
	TzMask *mask = make("7", NULL);
	TzBuf out;
	bool found;

	tz_buf_init(&out, 4);
	assert_int_equal(tz_mask_apply(mask, tz_slice_cstr("7 7"), false, &out, &found), TZ_TOO_LARGE);
	tz_buf_free(&out);
	tz_mask_free(mask);
}

/* ---- in pieces ---- */

static void
in_pieces(const TzMask *mask, TzSlice text, bool cut, size_t step, size_t first)
{
	TzMaskStream stream;
	TzBuf whole;
	TzBuf joined;
	bool found;

	tz_buf_init(&whole, TEXT_MAX);
	tz_buf_init(&joined, TEXT_MAX);
	tz_mask_stream_init(&stream, mask);
	assert_int_equal(tz_mask_apply(mask, text, cut, &whole, &found), TZ_OK);
	for (size_t at = 0, n = first; at < text.len; at += n, n = step)
	{
		if (n > text.len - at)
			n = text.len - at;
		assert_int_equal(tz_mask_stream_feed(&stream, tz_slice(text.data + at, n), &joined), TZ_OK);
	}
	assert_int_equal(tz_mask_stream_end(&stream, cut, &joined), TZ_OK);
	if (found)
		assert_string_equal(joined.data, whole.data);
	else
	{
		assert_int_equal(joined.len, text.len);
		if (text.len > 0)
			assert_memory_equal(joined.data, text.data, text.len);
	}
	tz_mask_stream_free(&stream);
	tz_buf_free(&whole);
	tz_buf_free(&joined);
}

static void
test_pieces_every_way(void **state)
{
	static const char *const texts[] = {
		"the key is sk-live-4711/AB+cd, keep it",
		"sk-live-4711/AB+cdsk-live-4711/AB+cd",
		"sk-live-4711/AB+c sk-live-sk-live-4711/AB+cd",
		"%73k-live%2D4711%2fAB%2Bcd and %7",
		"\\u0073k-live-4711\\/AB+cd \\\\sk-live-4711/AB+cd \\ud83d\\ude00 \\u00",
		"x c2stbGl2ZS00NzExL0FCK2Nk y NrLWxpdmUtNDcxMS9BQitjZA== z",
		"zc2stbGl2ZS00\nNzExL0FCK2Nk\n\n/NrLWxpdmUt\r\nNDcxMS9BQitjZA==",
		"ab is short, cab and abc are not, ab",
		"a-b ab_ ab",
		"two ab lines of 12345678",
		"aab abab aba abac abad",
		"sk-live-4711/AB\xEF\xBF\xBD",
		"sk-live\xEF\xBF\xBD\xEF\xBF\xBD sk-live\xEF\xBF sk-live\xEF",
	};
	TzMask *mask = make("sk-live-4711/AB+cd", "ab");
	TzMask *other = make("two ab lines\nof 12345678 and more", "abab");

	(void) state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
	{
		TzSlice text = tz_slice_cstr(texts[i]);

		for (size_t step = 1; step <= text.len; step++)
			for (size_t first = 1; first <= step; first++)
				for (int cut = 0; cut < 2; cut++)
				{
					in_pieces(mask, text, cut, step, first);
					in_pieces(other, text, cut, step, first);
				}
	}
	tz_mask_free(mask);
	tz_mask_free(other);
}

/* What is no beginning of a value passes at once. */
static void
test_pieces_do_not_wait(void **state)
{
	TzMask *mask = make("sk-live-4711/AB+cd", NULL);
	TzMaskStream stream;
	TzBuf out;

	(void) state;
	tz_buf_init(&out, TEXT_MAX);
	tz_mask_stream_init(&stream, mask);
	assert_int_equal(tz_mask_stream_feed(&stream, tz_slice_cstr("Hello there, "), &out), TZ_OK);
	assert_string_equal(out.data, "Hello there, ");
	assert_int_equal(tz_mask_stream_feed(&stream, tz_slice_cstr("sk-live-"), &out), TZ_OK);
	assert_string_equal(out.data, "Hello there, ");
	assert_int_equal(tz_mask_stream_feed(&stream, tz_slice_cstr("ly. "), &out), TZ_OK);
	assert_string_equal(out.data, "Hello there, sk-live-ly. ");
	tz_mask_stream_free(&stream);
	tz_buf_free(&out);
	tz_mask_free(mask);
}

/* A beginning that is never finished is not kept for ever, and not shown. */
static void
test_pieces_held_too_long(void **state)
{
	TzMask *mask = make("sk-live-4711/AB+cd", NULL);
	TzMaskStream stream;
	TzStatus status;
	TzBuf out;

	(void) state;
	tz_buf_init(&out, TEXT_MAX);
	tz_mask_stream_init(&stream, mask);
	status = tz_mask_stream_feed(&stream, tz_slice_cstr(" c2stbGl2ZS00"), &out);
	for (int i = 0; i < 100000 && status == TZ_OK; i++)
		status = tz_mask_stream_feed(&stream, tz_slice_cstr("\n"), &out);
	assert_int_equal(status, TZ_TOO_LARGE);
	assert_string_equal(out.data, " ");
	tz_mask_stream_free(&stream);
	tz_buf_free(&out);
	tz_mask_free(mask);
}

static void
test_pieces_without_mask(void **state)
{
	TzMaskStream stream;
	TzBuf out;

	(void) state;
	tz_buf_init(&out, TEXT_MAX);
	tz_mask_stream_init(&stream, NULL);
	assert_int_equal(tz_mask_stream_feed(&stream, tz_slice_cstr("anything"), &out), TZ_OK);
	assert_int_equal(tz_mask_stream_end(&stream, true, &out), TZ_OK);
	assert_string_equal(out.data, "anything");
	tz_mask_stream_free(&stream);
	tz_buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_two),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_percent),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_linear),
		cmocka_unit_test(test_ceiling),
		cmocka_unit_test(test_pieces_every_way),
		cmocka_unit_test(test_pieces_do_not_wait),
		cmocka_unit_test(test_pieces_held_too_long),
		cmocka_unit_test(test_pieces_without_mask),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
