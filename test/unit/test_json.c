/* test_json.c: bounded JSON */
#include "tz_test.h"

#include "lib/json.h"

static json_t *
parse(const char *text)
{
	json_t *v;
	TzErr err;

	assert_int_equal(tz_json_parse(tz_slice_cstr(text), NULL, &v, &err), TZ_OK);
	return v;
}

static void
refuse(const char *text, size_t len, const TzJsonLimits *limits, TzStatus want)
{
	json_t *v;
	TzErr err;

	tz_err_clear(&err);
	assert_int_equal(tz_json_parse(tz_slice(text, len), limits, &v, &err), want);
	assert_null(v);
	assert_null(strstr(err.message, "canary"));
	assert_null(strstr(err.detail, "canary"));
}

static void
test_bad(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		"{",
		"}",
		"[1,]",
		"{\"a\":1,}",
		"{\"a\" 1}",
		"nul",
		"\"x\"",
		"1",
		"{\"a\":01}",
		"{\"a\":1e999}",
		"{\"canary\":canary}",
		"[\"canary\" \"canary\"]",
		"{\"a\":1,\"a\":2}",
		"[\"\\u0000\"]",
		"[\"\\ud800\"]",
		"[\"\xFF\"]",
		"{} {}",
		"[123456789012345678901234567890]",
		"{\"a\":'x'}",
		"[1] canary",
		"]]]]][[[[[",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refuse(bad[i], strlen(bad[i]), NULL, TZ_BAD_INPUT);
	refuse(NULL, 0, NULL, TZ_BAD_INPUT);
	refuse("[\"a\0b\"]", 7, NULL, TZ_BAD_INPUT);
}

static void
test_limits(void **state)
{
	TzJsonLimits limits = {.max_bytes = 40, .max_depth = 3, .max_values = 5};
	char deep[20001];

	refuse("[[[[1]]]]", 9, &limits, TZ_TOO_LARGE);
	refuse("[1,2,3,4,5,6]", 13, &limits, TZ_TOO_LARGE);
	refuse("[\"0123456789012345678901234567890123456789\"]", 44, &limits, TZ_TOO_LARGE);
	memset(deep, '[', 10000);
	memset(deep + 10000, ']', 10000);
	refuse(deep, 20000, NULL, TZ_TOO_LARGE);
	for (int i = 0; i < 10000; i++)
		memcpy(deep + 2 * i, "[{", 2);
	refuse(deep, 20000, NULL, TZ_TOO_LARGE);
}

static void
test_flags(void **state)
{
	TzJsonLimits limits = tz_json_limits_default;
	json_t *v;

	limits.flags = TZ_JSON_DUPLICATES | TZ_JSON_NUL | TZ_JSON_ANY;
	assert_int_equal(tz_json_parse(tz_slice_cstr("{\"a\":1,\"a\":2}"), &limits, &v, NULL), TZ_OK);
	assert_int_equal(json_integer_value(json_object_get(v, "a")), 2);
	json_decref(v);
	assert_int_equal(tz_json_parse(tz_slice_cstr("\"a\\u0000b\""), &limits, &v, NULL), TZ_OK);
	assert_int_equal(json_string_length(v), 3);
	json_decref(v);
	/* brackets in strings do not count, escapes do not end them */
	limits.max_depth = 1;
	assert_int_equal(tz_json_parse(tz_slice_cstr("[\"[[[\\\"[[\\\\\"]"), &limits, &v, NULL), TZ_OK);
	json_decref(v);
}

static void
test_getters(void **state)
{
	json_t *o = parse(
		"{\"s\":\"text\",\"i\":7,\"r\":3.0,\"f\":3.5,\"b\":true,\"n\":null,\"o\":{\"x\":1},\"a\":[1,2]}");
	TzSlice s = tz_slice_cstr("unset");
	int64_t i = -1;
	double d = -1;
	bool b = false;
	json_t *sub = NULL;
	TzErr err;

	assert_int_equal(tz_json_get_str(o, "s", true, 4, &s, &err), TZ_OK);
	assert_true(tz_slice_eq_cstr(s, "text"));
	assert_int_equal(tz_json_get_str(o, "s", true, 3, &s, &err), TZ_TOO_LARGE);
	assert_int_equal(tz_json_get_str(o, "i", true, 10, &s, &err), TZ_BAD_INPUT);
	assert_string_equal(err.message, "\"i\" must be a string");
	assert_int_equal(tz_json_get_str(o, "zz", true, 10, &s, &err), TZ_NOT_FOUND);
	assert_int_equal(tz_json_get_str(o, "n", true, 10, &s, &err), TZ_NOT_FOUND);
	assert_int_equal(tz_json_get_str(o, "n", false, 10, &s, &err), TZ_OK);
	assert_int_equal(tz_json_get_str(NULL, "s", false, 10, &s, &err), TZ_OK);
	assert_int_equal(tz_json_get_str(NULL, "s", true, 10, &s, &err), TZ_NOT_FOUND);
	assert_true(tz_slice_eq_cstr(s, "text"));

	assert_int_equal(tz_json_get_int(o, "i", true, 0, 10, &i, &err), TZ_OK);
	assert_int_equal(i, 7);
	assert_int_equal(tz_json_get_int(o, "r", true, 0, 10, &i, &err), TZ_OK);
	assert_int_equal(i, 3);
	assert_int_equal(tz_json_get_int(o, "f", true, 0, 10, &i, &err), TZ_BAD_INPUT);
	assert_int_equal(tz_json_get_int(o, "i", true, 8, 10, &i, &err), TZ_BAD_INPUT);
	assert_int_equal(tz_json_get_int(o, "s", true, 8, 10, &i, &err), TZ_BAD_INPUT);
	assert_int_equal(i, 3);

	assert_int_equal(tz_json_get_real(o, "f", true, &d, &err), TZ_OK);
	assert_true(d == 3.5);
	assert_int_equal(tz_json_get_real(o, "i", true, &d, &err), TZ_OK);
	assert_int_equal(tz_json_get_real(o, "s", true, &d, &err), TZ_BAD_INPUT);
	assert_int_equal(tz_json_get_bool(o, "b", true, &b, &err), TZ_OK);
	assert_true(b);
	assert_int_equal(tz_json_get_bool(o, "i", true, &b, &err), TZ_BAD_INPUT);
	assert_int_equal(tz_json_get_object(o, "o", true, &sub, &err), TZ_OK);
	assert_non_null(sub);
	assert_int_equal(tz_json_get_object(o, "a", true, &sub, &err), TZ_BAD_INPUT);
	assert_int_equal(tz_json_get_array(o, "a", true, 2, &sub, &err), TZ_OK);
	assert_int_equal(tz_json_get_array(o, "a", true, 1, &sub, &err), TZ_TOO_LARGE);
	assert_int_equal(tz_json_get_array(o, "o", true, 2, &sub, &err), TZ_BAD_INPUT);
	json_decref(o);

	o = parse("{\"big\":1e300,\"edge\":9007199254740993.0}");
	assert_int_equal(tz_json_get_int(o, "big", true, INT64_MIN, INT64_MAX, &i, &err), TZ_BAD_INPUT);
	json_decref(o);
}

static void
test_dump(void **state)
{
	json_t *o = parse("{ \"z\": 1, \"a\": [ true, null, \"\\u00fc\\n\" ], \"m\": {} }");
	TzBuf out;

	tz_buf_init(&out, 100);
	assert_int_equal(tz_json_dump(o, &out, NULL), TZ_OK);
	assert_string_equal(out.data, "{\"z\":1,\"a\":[true,null,\"\xC3\xBC\\n\"],\"m\":{}}");
	tz_buf_free(&out);
	tz_buf_init(&out, 10);
	assert_int_equal(tz_json_dump(o, &out, NULL), TZ_TOO_LARGE);
	tz_buf_free(&out);
	json_decref(o);
}

static void
test_set_text(void **state)
{
	json_t *o = json_object();

	assert_int_equal(tz_json_set_text(o, "a", tz_slice("ok", 2), NULL), TZ_OK);
	assert_int_equal(tz_json_set_text(o, "b", tz_slice("x\0\xFF", 3), NULL), TZ_OK);
	assert_int_equal(tz_json_set_text(o, "c", tz_slice(NULL, 0), NULL), TZ_OK);
	assert_string_equal(json_string_value(json_object_get(o, "a")), "ok");
	assert_string_equal(json_string_value(json_object_get(o, "b")), "x\xEF\xBF\xBD\xEF\xBF\xBD");
	assert_string_equal(json_string_value(json_object_get(o, "c")), "");
	json_decref(o);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad),     cmocka_unit_test(test_limits), cmocka_unit_test(test_flags),
		cmocka_unit_test(test_getters), cmocka_unit_test(test_dump),   cmocka_unit_test(test_set_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
