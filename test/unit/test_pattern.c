/* pattern.c: patterns of tools, paths and hosts in a platform's rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/pattern.h"

static TzSlice
s(const char *text)
{
	return tz_slice_cstr(text);
}

static void
test_names(void **state)
{
	static const struct
	{
		const char *pattern;
		const char *name;
		bool is;
	} cases[] = {
		{"find", "find", true},
		{"find", "Find", false},
		{"find", "find2", false},
		{"find", "fin", false},
		{"*", "anything", true},
		{"*", "", true},
		{"", "", true},
		{"", "x", false},
		{"crm_*", "crm_find", true},
		{"crm_*", "crm_", true},
		{"crm_*", "xcrm_", false},
		{"*_find", "crm_find", true},
		{"*a*b*", "xxaxxbxx", true},
		{"*a*b*", "xxbxxa", false},
		{"?ind", "find", true},
		{"?ind", "ind", false},
		{"a*b*c", "abcbc", true},
		{"a*b*c", "abcb", false},
		{"**", "x/y", true},
		{"a?c*", "abcd/e", true},
		{"network:*", "network:outbound", true},
		{"*:write", "data:write", true},
		{"*:write", "data:read", false},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (tz_pattern_name(s(cases[i].pattern), s(cases[i].name)) != cases[i].is)
			fail_msg("%s against %s", cases[i].pattern, cases[i].name);
}

static void
test_paths(void **state)
{
	static const struct
	{
		const char *pattern;
		const char *path;
		bool is;
	} cases[] = {
		{"/a", "/a", true},
		{"/a", "/a/b/c", true}, /* what lies below */
		{"/a", "/ab", false},
		{"/a", "/", false},
		{"/", "/x", true},
		{"/**", "/x", true},
		{"/**", "/", true},
		{"/*", "/x", true},
		{"/*", "/x/y", true}, /* below what the star matches */
		{"/*.key", "/x.key", true},
		{"/*.key", "/d/x.key", false}, /* a star stays within its part */
		{"/**/*.key", "/d/e/x.key", true},
		{"/**/x", "/x", false},
		{"/**x", "/x", true},
		{"/a/*/c", "/a/b/c", true},
		{"/a/*/c", "/a/b/b/c", false},
		{"/a/**/c", "/a/b/b/c", true},
		{"/a/**/c", "/a/b/b/d", false},
		{"/a/?", "/a/b", true},
		{"/a?b", "/a/b", false},
		{"/a/**", "/a", false},
		{"/a/**", "/a/b", true},
		{"/**/secret/*.csv", "/x/y/secret/z.csv", true},
		{"/**/secret/*.csv", "/secretive/z.csv", false},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (tz_pattern_path(s(cases[i].pattern), s(cases[i].path)) != cases[i].is)
			fail_msg("%s against %s", cases[i].pattern, cases[i].path);
}

static void
test_listings(void **state)
{
	static const struct
	{
		const char *pattern;
		const char *dir;
		bool is;
	} cases[] = {
		{"/people", "/people", true},
		{"/people", "/people/a", true},
		{"/people", "/", false},
		{"/people/**", "/people", true},
		{"/people/*.csv", "/people", true},
		{"/people/*.csv", "/", false},
		{"/people/*.csv", "/other", false},
		{"/**/x", "/any", true},
		{"/**", "/", true},
		{"/*", "/", true},
		{"/p*", "/", true},
		{"/p*/q", "/people", true},
		{"/people/a", "/people", false},
		{"/peo*", "/people2", true},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (tz_pattern_listing(s(cases[i].pattern), s(cases[i].dir)) != cases[i].is)
			fail_msg("%s against a listing of %s", cases[i].pattern, cases[i].dir);
}

static void
test_hosts(void **state)
{
	static const struct
	{
		const char *pattern;
		const char *host;
		bool is;
	} cases[] = {
		{"a.example", "a.example", true},
		{"a.example", "b.a.example", true},
		{"a.example", "ba.example", false},
		{"a.example", "example", false},
		{"*.a.example", "b.a.example", true},
		{"*.a.example", "a.example", false},
		{"*", "x", true},
		{"*", "10.0.0.1", true},
		{"0.0.1", "10.0.0.1", false},
		{"10.0.0.1", "10.0.0.1", true},
		{"*.0.0.1", "10.0.0.1", false},
		{"::1", "::1", true},
		{"1", "::1", false},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (tz_pattern_host(s(cases[i].pattern), s(cases[i].host)) != cases[i].is)
			fail_msg("%s against %s", cases[i].pattern, cases[i].host);
	assert_true(tz_pattern_host_overlap(s("a.example"), s("*.a.example")));
	assert_true(tz_pattern_host_overlap(s("*.a.example"), s("b.a.example")));
	assert_true(tz_pattern_host_overlap(s("b.a.example"), s("a.example")));
	assert_true(tz_pattern_host_overlap(s("*"), s("x")));
	assert_false(tz_pattern_host_overlap(s("a.example"), s("b.example")));
	assert_false(tz_pattern_host_overlap(s("*.a.example"), s("ba.example")));
}

static void
test_spellings(void **state)
{
	static const struct
	{
		const char *given;
		const char *clean; /* NULL: no host */
	} cases[] = {
		{"A.Example.", "a.example"},
		{"a.example:8443", "a.example"},
		{"*.A.example", "*.a.example"},
		{"127.1", "127.0.0.1"},
		{"0x7f000001", "127.0.0.1"},
		{"0x7F.0.0.1", "127.0.0.1"},
		{"2130706433", "127.0.0.1"},
		{"017700000001", "127.0.0.1"},
		{"[::FFFF:7f00:1]", "127.0.0.1"},
		{"[::1]:80", "::1"},
		{"0:0:0:0:0:0:0:1", "::1"},
		{"10.0.0.1.example", "10.0.0.1.example"},
		{"1.2.3.4.5", "1.2.3.4.5"},
		{"", NULL},
		{".", NULL},
		{"[0:0::1]", "::1"},
		{"[::1", NULL},
		{"[::1::]", NULL},
		{"1::2::3", NULL},
		{"a b", NULL},
		{"a/b", NULL},
		{"ex\xc3\xa4mple", NULL},
		{"a%2e", NULL},
	};
	char out[TZ_PATTERN_HOST_MAX + 1];
	char longest[TZ_PATTERN_HOST_MAX + 2];

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		bool is = tz_pattern_host_clean(s(cases[i].given), out);

		if (is != (cases[i].clean != NULL) || (is && strcmp(out, cases[i].clean) != 0))
			fail_msg("%s becomes %s", cases[i].given, is ? out : "nothing");
	}
	memset(longest, 'a', sizeof(longest));
	assert_true(tz_pattern_host_clean(tz_slice(longest, TZ_PATTERN_HOST_MAX), out));
	assert_int_equal(strlen(out), TZ_PATTERN_HOST_MAX);
	assert_false(tz_pattern_host_clean(tz_slice(longest, TZ_PATTERN_HOST_MAX + 1), out));
}

/* The worst that a rule of ours and a path of a model's can do together takes no time to speak of. */
static void
test_hostile(void **state)
{
	static char path[4097];
	const char *pattern = "/**/a*a*a*a*a*a*b";

	(void) state;
	for (size_t i = 0; i < sizeof(path) - 1; i++)
		path[i] = i % 255 == 0 ? '/' : 'a';
	for (int i = 0; i < 10; i++)
		assert_false(tz_pattern_path(s(pattern), tz_slice(path, sizeof(path) - 1)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names), cmocka_unit_test(test_paths),     cmocka_unit_test(test_listings),
		cmocka_unit_test(test_hosts), cmocka_unit_test(test_spellings), cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
