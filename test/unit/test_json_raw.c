/* json_raw.c: the exact bytes of a part of a document. */
#include "tz_test.h"

#include "lib/json_raw.h"

static void
member(const char *text, const char *key, const char *expected)
{
	TzSlice out = {NULL, 0};
	bool found = tz_json_raw_member(tz_slice_cstr(text), key, &out);

	if (expected == NULL)
		assert_false(found);
	else
	{
		assert_true(found);
		assert_int_equal(out.len, strlen(expected));
		assert_memory_equal(out.data, expected, out.len);
	}
}

static void
items(const char *text, const char *expected)
{
	char got[256] = "";
	size_t at = 0;
	TzSlice item;

	while (tz_json_raw_item(tz_slice_cstr(text), &at, &item))
	{
		strncat(got, item.data, item.len);
		strcat(got, ";");
	}
	assert_string_equal(got, expected);
}

static void
test_members(void **state)
{
	(void) state;
	member("{\"a\":1.50,\"b\":[1, {\"a\":2}]}", "a", "1.50");
	member(" {\n\"a\" : 1 ,\t\"b\" : [1, {\"a\":2}] } ", "b", "[1, {\"a\":2}]");
	member("{\"a\":\"x\\\"}\",\"b\":null}", "b", "null");
	member("{\"a\":\"x\\\"}\",\"b\":null}", "a", "\"x\\\"}\"");
	member("{\"a\":1,\"a\":-2e+5}", "a", "-2e+5");
	member("{\"a\":{\"b\":1}}", "b", NULL);
	member("{}", "a", NULL);
	member("[]", "a", NULL);
	member("", "a", NULL);
	member("{\"ab\":true,\"a\":false}", "a", "false");
	member("{\"\":7}", "", "7");
	/* no JSON: whatever comes out lies inside */
	member("{\"a\"", "a", NULL);
	member("{\"a\":", "a", NULL);
	member("{\"", "a", NULL);
	member("{\"a\":\"x", "a", "\"x");
	member("{\"a\":\"x\\", "b", NULL);
	member("{\"a\":[1,2", "a", "[1,2");
	member("{\"a\"}", "a", NULL);
	member("{\"a\":}", "a", NULL);
}

static void
test_items(void **state)
{
	(void) state;
	items("[]", "");
	items(" [ ] ", "");
	items("[1]", "1;");
	items("[1, \"a,]\" ,{\"b\":[2,3]},[],true ]", "1;\"a,]\";{\"b\":[2,3]};[];true;");
	items("{}", "");
	items("", "");
	items("[1,", "1;");
	items("[1 2]", "1;");
	items("[,]", "");
}

static void
compact(const char *text, size_t max, const char *expect, TzStatus status)
{
	TzBuf out;

	tz_buf_init(&out, max);
	assert_int_equal(tz_json_raw_compact(tz_slice_cstr(text), &out), status);
	assert_string_equal(out.data != NULL ? out.data : "", expect);
	tz_buf_free(&out);
}

static void
test_compact(void **state)
{
	(void) state;
	compact(" { \"a b\" : [ 1.0 , 2e5,\n\t\"x\\\" y\" ] , \"c\":null } ", 100,
	        "{\"a b\":[1.0,2e5,\"x\\\" y\"],\"c\":null}", TZ_OK);
	compact("", 10, "", TZ_OK);
	compact("  ", 10, "", TZ_OK);
	compact("\"open  ", 10, "\"open  ", TZ_OK);
	compact("\"x\\", 10, "\"x\\", TZ_OK);
	compact("[1, 2, 3]", 7, "[1,2,3]", TZ_OK);
	compact("[1, 2, 3]", 6, "[1,2,3", TZ_TOO_LARGE);
	compact("[1, 2, 3]", 0, "", TZ_TOO_LARGE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_members), cmocka_unit_test(test_items),
	                                   cmocka_unit_test(test_compact)};

	return cmocka_run_group_tests_name("json_raw", tests, NULL, NULL);
}
