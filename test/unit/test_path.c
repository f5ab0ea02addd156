/* Addresses of requests: segments, queries, routes, and two headers. */
#include "lib/path.h"
#include "tz_test.h"

static char space[TZ_PATH_MAX + 1];

static TzStatus
split(const char *raw, TzPath *path)
{
	TzErr err;

	return tz_path_split(tz_slice_cstr(raw), space, path, &err);
}

static void
assert_text(TzSlice slice, const char *text)
{
	assert_int_equal(slice.len, strlen(text));
	assert_memory_equal(slice.data, text, slice.len);
}

static void
test_segments(void **state)
{
	TzPath path;

	(void) state;
	assert_int_equal(split("/v1/user%40test.com/web%20search", &path), TZ_OK);
	assert_int_equal(path.n, 3);
	assert_text(path.segment[0], "v1");
	assert_text(path.segment[1], "user@test.com");
	assert_text(path.segment[2], "web search");
	assert_int_equal(split("/a%2Fb/c+d", &path), TZ_OK);
	assert_int_equal(path.n, 2);
	assert_text(path.segment[0], "a/b");
	assert_text(path.segment[1], "c+d");
	assert_int_equal(split("/", &path), TZ_OK);
	assert_int_equal(path.n, 1);
	assert_int_equal(path.segment[0].len, 0);
	assert_int_equal(split("//x/", &path), TZ_OK);
	assert_int_equal(path.n, 3);
	assert_int_equal(split("/caf%C3%A9/..%2f..", &path), TZ_OK);
	assert_text(path.segment[1], "../..");
}

static void
test_bad_paths(void **state)
{
	static const char *const bad[] = {"",        "v1",     "*",      "/%",     "/%4",        "/%zz",
	                                  "/%00",    "/a%0ab", "/\x01",  "/%c3",   "/%ff",       "/%c0%80",
	                                  "/\xc3/x", "/%7f",   "/%1f/x", "/%-1/x", "/%ed%a0%80", "http://x/"};
	TzPath path;

	(void) state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(split(bad[i], &path), TZ_BAD_INPUT);
}

static void
test_too_much(void **state)
{
	static char raw[TZ_PATH_MAX + 8];
	TzPath path;
	TzQuery query;
	TzErr err;

	(void) state;
	memset(raw, 'a', sizeof(raw) - 1);
	raw[0] = '/';
	assert_int_equal(split(raw, &path), TZ_TOO_LARGE);
	memset(raw, '/', TZ_PATH_SEGMENTS_MAX + 1);
	assert_int_equal(tz_path_split(tz_slice(raw, TZ_PATH_SEGMENTS_MAX), space, &path, &err), TZ_OK);
	assert_int_equal(tz_path_split(tz_slice(raw, TZ_PATH_SEGMENTS_MAX + 1), space, &path, &err),
	                 TZ_TOO_LARGE);
	memset(raw, '&', sizeof(raw));
	assert_int_equal(tz_query_split(tz_slice(raw, TZ_PATH_MAX), space, &query, &err), TZ_OK);
	assert_int_equal(query.n, 0);
	for (size_t i = 0; i < 2 * (TZ_QUERY_PAIRS_MAX + 1); i += 2)
		raw[i] = 'a';
	assert_int_equal(tz_query_split(tz_slice(raw, TZ_PATH_MAX), space, &query, &err), TZ_TOO_LARGE);
	assert_int_equal(tz_query_split(tz_slice(raw, TZ_PATH_MAX + 1), space, &query, &err), TZ_TOO_LARGE);
}

static void
test_queries(void **state)
{
	TzQuery query;
	TzErr err;

	(void) state;
	assert_int_equal(tz_query_split(tz_slice_cstr("a=1&b=x+y%2B&&c&=d&e==&text=a%0Ab"), space, &query, &err),
	                 TZ_OK);
	assert_int_equal(query.n, 5);
	assert_text(query.pair[0].name, "a");
	assert_text(query.pair[0].value, "1");
	assert_text(query.pair[1].value, "x y+");
	assert_text(query.pair[2].name, "c");
	assert_int_equal(query.pair[2].value.len, 0);
	assert_text(query.pair[3].value, "=");
	assert_text(query.pair[4].value, "a\nb");
	assert_int_equal(tz_query_split(tz_slice_cstr("a=%00"), space, &query, &err), TZ_BAD_INPUT);
	assert_int_equal(tz_query_split(tz_slice_cstr("a=%fe"), space, &query, &err), TZ_BAD_INPUT);
	assert_int_equal(tz_query_split(tz_slice_cstr("a=%e"), space, &query, &err), TZ_BAD_INPUT);
}

static void
test_patterns(void **state)
{
	TzRoutePattern user;
	TzRoutePattern me;
	TzRoutePattern file;
	TzPath path;
	TzErr err;
	char joined[64];

	(void) state;
	assert_int_equal(tz_route_pattern_read(tz_slice_cstr("/v1/users/:id"), &user, &err), TZ_OK);
	assert_int_equal(tz_route_pattern_read(tz_slice_cstr("/v1/users/me"), &me, &err), TZ_OK);
	assert_int_equal(tz_route_pattern_read(tz_slice_cstr("/v1/users/*path"), &file, &err), TZ_OK);
	assert_true(tz_route_pattern_compare(&me, &user) < 0);
	assert_true(tz_route_pattern_compare(&user, &me) > 0);
	assert_true(tz_route_pattern_compare(&user, &file) < 0);
	assert_int_equal(tz_route_pattern_compare(&user, &user), 0);
	assert_int_equal(split("/v1/users/me", &path), TZ_OK);
	assert_true(tz_route_pattern_fits(&me, &path) && tz_route_pattern_fits(&user, &path) &&
	            tz_route_pattern_fits(&file, &path));
	assert_text(tz_route_pattern_value(&user, &path, 2, joined), "me");
	assert_int_equal(split("/v1/users/a%2Fb/c//d", &path), TZ_OK);
	assert_false(tz_route_pattern_fits(&user, &path));
	assert_true(tz_route_pattern_fits(&file, &path));
	assert_text(tz_route_pattern_value(&file, &path, 2, joined), "a/b/c//d");
	assert_int_equal(split("/v1/users/", &path), TZ_OK);
	assert_false(tz_route_pattern_fits(&user, &path) || tz_route_pattern_fits(&file, &path));
	assert_int_equal(split("/v1/Users/me", &path), TZ_OK);
	assert_false(tz_route_pattern_fits(&user, &path));
	assert_int_equal(tz_route_pattern_read(tz_slice_cstr("/v1/*x/y"), &user, &err), TZ_BAD_INPUT);
	assert_int_equal(tz_route_pattern_read(tz_slice_cstr("/v1//y"), &user, &err), TZ_BAD_INPUT);
	assert_int_equal(tz_route_pattern_read(tz_slice_cstr("/v1/:"), &user, &err), TZ_BAD_INPUT);
	assert_int_equal(tz_route_pattern_read(tz_slice_cstr("/"), &user, &err), TZ_BAD_INPUT);
}

static void
test_bearer(void **state)
{
	TzSlice key;

	(void) state;
	assert_true(tz_bearer(tz_slice_cstr("Bearer th_live_x"), &key));
	assert_text(key, "th_live_x");
	assert_true(tz_bearer(tz_slice_cstr("bEARER   x "), &key));
	assert_text(key, "x");
	assert_false(tz_bearer(tz_slice_cstr("Bearer"), &key));
	assert_false(tz_bearer(tz_slice_cstr("Bearer  "), &key));
	assert_false(tz_bearer(tz_slice_cstr("Bearerx"), &key));
	assert_false(tz_bearer(tz_slice_cstr("Basic x"), &key));
	assert_false(tz_bearer(tz_slice_cstr("Bearer a b"), &key));
	assert_false(tz_bearer(tz_slice_cstr("Bearer \xc3\xa9"), &key));
}

static void
test_origins(void **state)
{
	(void) state;
	assert_true(tz_origin_listed("https://a.example, https://b.example", tz_slice_cstr("https://b.example")));
	assert_false(tz_origin_listed("https://a.example", tz_slice_cstr("https://a.example.evil")));
	assert_false(tz_origin_listed("https://a.example", tz_slice_cstr("https://a.exampl")));
	assert_true(tz_origin_listed("*", tz_slice_cstr("null")));
	assert_false(tz_origin_listed("", tz_slice_cstr("")));
	assert_false(tz_origin_listed(NULL, tz_slice_cstr("x")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_segments), cmocka_unit_test(test_bad_paths), cmocka_unit_test(test_too_much),
		cmocka_unit_test(test_queries),  cmocka_unit_test(test_patterns),  cmocka_unit_test(test_bearer),
		cmocka_unit_test(test_origins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
