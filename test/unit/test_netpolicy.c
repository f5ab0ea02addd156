/* netpolicy.c and hostlist.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "lib/netpolicy.h"

static TzStatus
check(const TzNetPolicy *policy, const char *text, bool allow_private, TzErr *err)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

	if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
		return tz_netpolicy_check(policy, (struct sockaddr *) &v4, sizeof(v4), allow_private, err);
	if (inet_pton(AF_INET6, text, &v6.sin6_addr) != 1)
		fail_msg("%s is no address", text);
	return tz_netpolicy_check(policy, (struct sockaddr *) &v6, sizeof(v6), allow_private, err);
}

static const char *const public_ones[] = {
	"8.8.8.8",          "1.1.1.1",
	"9.255.255.255",    "11.0.0.0",
	"100.63.255.255",   "100.128.0.0",
	"126.255.255.255",  "128.0.0.1",
	"169.253.255.255",  "169.255.0.0",
	"172.15.255.255",   "172.32.0.0",
	"192.0.1.0",        "192.167.255.255",
	"192.169.0.0",      "198.17.255.255",
	"198.20.0.0",       "223.255.255.255",
	"2606:4700::1111",  "2001:4860:4860::8888",
	"2a00::1",          "3ffe::1",
	"64:ff9b::8.8.8.8", "2002:808:808::1",
	"::ffff:8.8.8.8",   "2001:0:808:808::f7f7:f7f7",
};

static const char *const private_ones[] = {
	"10.0.0.1",
	"10.255.255.255",
	"127.0.0.1",
	"127.255.255.254",
	"172.16.0.1",
	"172.31.255.255",
	"192.168.0.1",
	"169.254.1.1",
	"100.64.0.1",
	"100.127.255.255",
	"192.0.0.1",
	"192.0.2.1",
	"198.18.0.1",
	"198.19.255.255",
	"198.51.100.7",
	"203.0.113.9",
	"192.88.99.1",
	"::1",
	"fc00::1",
	"fdff::1",
	"fe80::1",
	"febf::1",
	"fec0::1",
	"2001:db8::1",
	"2001:2::1",
	"100::1",
	"4000::1",
	"5f00::1",
	"3fff::1",
	"64:ff9b:1::8.8.8.8",
	"::ffff:10.0.0.1",
	"::ffff:127.0.0.1",
	"64:ff9b::10.0.0.1",
	"64:ff9b::7f00:1",
	"2002:7f00:1::",
	"2002:a00:1::1",
	"2002:c0a8:101::1",
	"2001:0:a00:1::f7f7:f7f7",
	"2001:0:808:808::80ff:fffe",
	"2a00::5efe:10.0.0.1",
	"2a00::200:5efe:127.0.0.1",
	"::ffff:0:10.0.0.1",
	"::10.0.0.1",
	"::8.8.8.8",
};

static const char *const never_ones[] = {
	"169.254.169.254",
	"169.254.170.2",
	"100.100.100.200",
	"168.63.129.16",
	"0.0.0.0",
	"0.1.2.3",
	"224.0.0.1",
	"239.255.255.255",
	"240.0.0.1",
	"255.255.255.255",
	"::",
	"ff02::1",
	"fd00:ec2::254",
	"fd20:ce::254",
	"::ffff:169.254.169.254",
	"::ffff:0.0.0.0",
	"64:ff9b::169.254.169.254",
	"2002:a9fe:a9fe::",
	"2001:0:a9fe:a9fe::",
	"::169.254.169.254",
	"2a00::5efe:169.254.169.254",
	"::ffff:0:169.254.169.254",
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void
test_builtin(void **state)
{
	TzErr err;

	(void) state;
	for (size_t i = 0; i < COUNT(public_ones); i++)
		if (check(NULL, public_ones[i], false, &err) != TZ_OK)
			fail_msg("%s is refused: %s", public_ones[i], err.detail);
	for (size_t i = 0; i < COUNT(private_ones); i++)
	{
		if (check(NULL, private_ones[i], false, &err) != TZ_REFUSED)
			fail_msg("%s is allowed", private_ones[i]);
		if (check(NULL, private_ones[i], true, &err) != TZ_OK)
			fail_msg("%s is refused although private ones are allowed: %s", private_ones[i], err.detail);
	}
	for (size_t i = 0; i < COUNT(never_ones); i++)
		if (check(NULL, never_ones[i], true, &err) != TZ_REFUSED)
			fail_msg("%s is allowed", never_ones[i]);
	assert_true(err.message[0] != '\0' && err.hint[0] != '\0');
}

static void
test_other_families(void **state)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct sockaddr_in v4 = {.sin_family = AF_INET};

	(void) state;
	assert_int_equal(tz_netpolicy_check(NULL, (struct sockaddr *) &un, sizeof(un), true, NULL), TZ_REFUSED);
	inet_pton(AF_INET, "8.8.8.8", &v4.sin_addr);
	assert_int_equal(tz_netpolicy_check(NULL, (struct sockaddr *) &v4, 4, true, NULL), TZ_REFUSED);
}

static void
test_lists(void **state)
{
	TzNetPolicy *p;
	TzErr err;

	(void) state;
	assert_int_equal(tz_netpolicy_parse(" 10.1.0.0/16, 127.0.0.1 ,fd00::/8,", "10.1.2.0/24 8.8.8.8", &p,
	                                    &err),
	                 TZ_OK);
	assert_int_equal(check(p, "10.1.1.1", false, &err), TZ_OK);
	assert_int_equal(check(p, "::ffff:10.1.1.1", false, &err), TZ_OK);
	assert_int_equal(check(p, "10.2.1.1", false, &err), TZ_REFUSED);
	assert_int_equal(check(p, "10.1.2.1", false, &err), TZ_REFUSED);
	assert_int_equal(check(p, "10.1.2.1", true, &err), TZ_REFUSED);
	assert_int_equal(check(p, "8.8.8.8", false, &err), TZ_REFUSED);
	assert_int_equal(check(p, "64:ff9b::8.8.8.8", false, &err), TZ_REFUSED);
	assert_int_equal(check(p, "8.8.4.4", false, &err), TZ_OK);
	assert_int_equal(check(p, "127.0.0.1", false, &err), TZ_OK);
	assert_int_equal(check(p, "127.0.0.2", false, &err), TZ_REFUSED);
	assert_int_equal(check(p, "fd12::1", false, &err), TZ_OK);
	assert_int_equal(check(p, "fd00:ec2::254", false, &err), TZ_REFUSED);
	tz_netpolicy_free(p);

	/* a wide block opens no metadata service, an exact one does */
	assert_int_equal(tz_netpolicy_parse("0.0.0.0/0,::/0", "", &p, &err), TZ_OK);
	assert_int_equal(check(p, "10.0.0.1", false, &err), TZ_OK);
	assert_int_equal(check(p, "fe80::1", false, &err), TZ_OK);
	for (size_t i = 0; i < COUNT(never_ones); i++)
		if (check(p, never_ones[i], true, &err) != TZ_REFUSED)
			fail_msg("%s is allowed", never_ones[i]);
	tz_netpolicy_free(p);
	assert_int_equal(tz_netpolicy_parse("169.254.169.254/32", NULL, &p, &err), TZ_OK);
	assert_int_equal(check(p, "169.254.169.254", false, &err), TZ_OK);
	assert_int_equal(check(p, "169.254.170.2", false, &err), TZ_REFUSED);
	tz_netpolicy_free(p);

	/* everything denied */
	assert_int_equal(tz_netpolicy_parse("8.8.8.8", "0.0.0.0/0", &p, &err), TZ_OK);
	assert_int_equal(check(p, "8.8.8.8", true, &err), TZ_REFUSED);
	assert_int_equal(check(p, "2606:4700::1111", false, &err), TZ_OK);
	tz_netpolicy_free(p);
	tz_netpolicy_free(NULL);
}

static void
test_bad_lists(void **state)
{
	static const char *const bad[] = {
		"10.0.0.0/33",
		"10.0.0/8",
		"example.com",
		"::1/129",
		"10.0.0.0/",
		"10.0.0.0/-1",
		"10.0.0.0/8x",
		"/8",
		"10.0.0.0/08888",
		"10.0.0.1:80",
		"1.2.3.4/ 8",
		"*",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
	static char many[300 * 9 + 1];
	TzNetPolicy *p;
	TzErr err;

	(void) state;
	for (size_t i = 0; i < COUNT(bad); i++)
	{
		if (tz_netpolicy_parse(bad[i], NULL, &p, &err) != TZ_BAD_INPUT)
			fail_msg("\"%s\" is taken", bad[i]);
		assert_null(p);
		assert_int_equal(tz_netpolicy_parse("", bad[i], &p, &err), TZ_BAD_INPUT);
	}
	for (int i = 0; i < 300; i++)
		strcat(many, "10.0.0.1,");
	assert_int_equal(tz_netpolicy_parse(many, NULL, &p, &err), TZ_TOO_LARGE);
}

static void
test_hosts(void **state)
{
	static const char *const rules[] = {"example.com", "*.wild.test", "api.test:8443", "10.0.0.5",
	                                    "[::1]:443",   "fd00::1",     "Dot.test."};
	const int n = COUNT(rules);

	(void) state;
	assert_true(tz_hostlist_match(rules, n, "example.com", 443));
	assert_true(tz_hostlist_match(rules, n, "EXAMPLE.com.", 443));
	assert_true(tz_hostlist_match(rules, n, "dot.test", 443));
	assert_false(tz_hostlist_match(rules, n, "example.com", 80));
	assert_false(tz_hostlist_match(rules, n, "www.example.com", 443));
	assert_false(tz_hostlist_match(rules, n, "example.com.evil.test", 443));
	assert_false(tz_hostlist_match(rules, n, "xexample.com", 443));
	assert_true(tz_hostlist_match(rules, n, "a.wild.test", 443));
	assert_true(tz_hostlist_match(rules, n, "a.b.WILD.test", 443));
	assert_false(tz_hostlist_match(rules, n, "wild.test", 443));
	assert_false(tz_hostlist_match(rules, n, ".wild.test", 443));
	assert_false(tz_hostlist_match(rules, n, "awild.test", 443));
	assert_true(tz_hostlist_match(rules, n, "api.test", 8443));
	assert_false(tz_hostlist_match(rules, n, "api.test", 443));
	assert_true(tz_hostlist_match(rules, n, "10.0.0.5", 443));
	assert_false(tz_hostlist_match(rules, n, "10.0.0.6", 443));
	assert_true(tz_hostlist_match(rules, n, "::1", 443));
	assert_true(tz_hostlist_match(rules, n, "[::1]", 443));
	assert_true(tz_hostlist_match(rules, n, "fd00::1", 443));
	assert_false(tz_hostlist_match(rules, n, "", 443));
	assert_false(tz_hostlist_match(rules, n, ".", 443));
	assert_false(tz_hostlist_match(rules, n, NULL, 443));
	assert_false(tz_hostlist_match(rules, n, "example.com", 0));
	assert_false(tz_hostlist_match(rules, n, "example.com", 65536 + 443));
	assert_false(tz_hostlist_match(NULL, 0, "example.com", 443));
	/* an address of IPv6 is the same in every spelling, one of IPv4 has one; nothing lies below an address */
	assert_true(tz_hostlist_match(rules, n, "[0:0:0:0:0:0:0:1]", 443));
	assert_true(tz_hostlist_match(rules, n, "FD00:0::1", 443));
	assert_false(tz_hostlist_match(rules, n, "10.5", 443));
	assert_false(tz_hostlist_match(rules, n, "10.0.0.05", 443));
	assert_false(tz_hostlist_match(rules, n, "[::ffff:10.0.0.5]", 443));
	assert_false(tz_hostlist_match(rules, n, "fd00::1:1", 443));
	assert_false(tz_hostlist_match(rules, n, "a.10.0.0.5", 443));
	assert_false(tz_hostlist_match(rules, n, "[::1]", 80));
}

/* No wildcard covers an address, in none of its spellings. */
static void
test_wildcard_and_addresses(void **state)
{
	static const char *const rules[] = {"*.1", "*.0.0.1", "*.com",   "*.:443",  "*.",
	                                    "*",   ":443",    "a:b:c:d", "x:99999", "x:"};

	(void) state;
	assert_false(tz_hostlist_match(rules, COUNT(rules), "127.0.0.1", 443));
	assert_false(tz_hostlist_match(rules, COUNT(rules), "127.1", 443));
	assert_false(tz_hostlist_match(rules, COUNT(rules), "a.0x1", 443));
	assert_false(tz_hostlist_match(rules, COUNT(rules), "x", 443));
	assert_false(tz_hostlist_match(rules, COUNT(rules), "*", 80));
	assert_true(tz_hostlist_match(rules, COUNT(rules), "a.com", 443));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_builtin), cmocka_unit_test(test_other_families),
		cmocka_unit_test(test_lists),   cmocka_unit_test(test_bad_lists),
		cmocka_unit_test(test_hosts),   cmocka_unit_test(test_wildcard_and_addresses),
	};

	return cmocka_run_group_tests_name("netpolicy", tests, NULL, NULL);
}
