/* test_sensitive.c: which texts carry a secret */
#include "tz_test.h"

#include "lib/sensitive.h"

#define VALUE (TZ_SENSITIVE_NAME | TZ_SENSITIVE_VALUE)
#define KEY "th_live_O6ByWaTHStufl5Sm4vFJYyafHrwiN6TxF5oFDrYB2Om"

static void
is(const char *text, unsigned int want)
{
	unsigned int got = tz_sensitive_scan(tz_slice_cstr(text));

	if (got != want)
		fail_msg("%s: %u, not %u", text, got, want);
}

static void
test_names(void **state)
{
	is("SELECT 1", 0);
	is("", 0);
	is("SELECT theazo.secret_set('a', 'b')", VALUE);
	is("select THEAZO.SECRET_SET", VALUE);
	is("select theazo.secrets_set($1)", VALUE);
	is("select theazo.\"secret_set\"('a'", VALUE);
	is("select theazo.secret_list()", 0);
	is("x secret_se", 0);
	is("select theazo.authenticate('x')", TZ_SENSITIVE_NAME);
	is("select authenticate /* c */ -- d\n ('x')", TZ_SENSITIVE_NAME);
	is("select \"authenticate\"('x')", TZ_SENSITIVE_NAME);
	is("connection authenticated: identity=\"x\"", 0);
	is("a sealed value does not authenticate", 0);
	is("select authenticate --\r('x')", TZ_SENSITIVE_NAME);
	is("select authenticate /* /* a */ b */ ('x')", TZ_SENSITIVE_NAME);
	is("select theazo.u&\"\\0073ecret_set\"('a', 'b')", VALUE);
	is("select U&\"!0073ecret_set\" UESCAPE '!' ('a')", VALUE);
	is("select U&'x' & \"y\"", 0);
	is("set_config('request.headers', $1, true)", TZ_SENSITIVE_NAME);
}

static void
test_argument(void **state)
{
	is("exec('a', api_key => 'x')", TZ_SENSITIVE_NAME);
	is("exec('a', api_key=>E'x')", TZ_SENSITIVE_NAME);
	is("exec('a', API_KEY := $$x$$)", TZ_SENSITIVE_NAME);
	is("exec('a', api_key => $t$x$t$)", TZ_SENSITIVE_NAME);
	is("exec('a', api_key /* k */ => /* v */ 'x')", TZ_SENSITIVE_NAME);
	is("exec('a', api_key => $1)", 0);
	is("exec('a', api_key => NULL)", 0);
	is("exec('a', api_key => v_key)", 0);
	is("exec('a', api_key => v.key)", 0);
	is("exec('a', api_key => v.key, 'b')", 0);
	is("exec('a', api_key => $1::text)", 0);
	is("exec('a', api_key => U&'x')", TZ_SENSITIVE_NAME);
	is("exec('a', api_key => text 'x')", TZ_SENSITIVE_NAME);
	is("exec('a', api_key => $1 || 'x')", TZ_SENSITIVE_NAME);
	is("exec('a', api_key => ('x'))", TZ_SENSITIVE_NAME);
	is("enter(api_key, 'run:write')", 0);
	is("SELECT * FROM theazo_data.api_key", 0);
	is("exec(api_key =>", 0);
	is("exec(api_key", 0);
}

static void
test_keys(void **state)
{
	static const char *const kept[] = {"th_live_", "th_live_abc", "th_test_1234567", "tzk_", "path_live_x"};

	is("select f('" KEY "')", TZ_SENSITIVE_KEY);
	is("TZK_0123456789", TZ_SENSITIVE_KEY);
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
	{
		char copy[64];

		snprintf(copy, sizeof(copy), "%s", kept[i]);
		is(copy, 0);
		tz_sensitive_scrub_keys(copy, strlen(copy));
		assert_string_equal(copy, kept[i]);
	}
}

static void
test_scrub(void **state)
{
	char text[] = "a=" KEY ", b=tzk_abcdefghij; th_test_12345678";

	tz_sensitive_scrub_keys(text, strlen(text));
	assert_string_equal(
		text, "a=th_live_O6By***************************************, b=tzk_abcd******; th_test_1234****");
}

static void
next(const char *text, const char *const *want)
{
	char name[16];
	size_t pos = 0;

	while (tz_sensitive_next_execute(tz_slice_cstr(text), &pos, name, sizeof(name)))
	{
		assert_non_null(*want);
		assert_string_equal(name, *want);
		want++;
	}
	assert_null(*want);
}

static void
test_execute(void **state)
{
	next("EXECUTE p('x')", (const char *const[]){"p", NULL});
	next("explain execute /* a */ MyPlan('x'); EXECUTE\n\"My P\"",
	     (const char *const[]){"myplan", "My P", NULL});
	next("executes p; my_execute q; execute", (const char *const[]){NULL});
	next("execute averyveryverylongname", (const char *const[]){"averyveryverylo", NULL});
	next("execute \"a\"\"b\"('x')", (const char *const[]){"a\"b", NULL});
	next("execute /* a /* b */ c */ p('x')", (const char *const[]){"p", NULL});
	next("execute -- a\rp('x')", (const char *const[]){"p", NULL});
	next("execute \"open\"\"", (const char *const[]){"open\"", NULL});
	next("execute \"open", (const char *const[]){"open", NULL});
	is("EXECUTE p(1)", TZ_SENSITIVE_EXECUTE);
	is("executed", 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names), cmocka_unit_test(test_argument), cmocka_unit_test(test_keys),
		cmocka_unit_test(test_scrub), cmocka_unit_test(test_execute),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
