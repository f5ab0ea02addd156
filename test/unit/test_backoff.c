/* backoff.c: verdicts, waits, Retry-After. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <limits.h>
#include <string.h>

#include "lib/backoff.h"

#define NOW INT64_C(1700000000000) /* Tue, 14 Nov 2023 22:13:20 GMT */

static TzRetry
judge(TzRepeat repeat, TzStatus status, int http, bool sent, bool told, int attempt)
{
	TzFailure f = {.status = status, .http_status = http, .maybe_sent = sent, .told_to_wait = told};

	return tz_retry_judge(repeat, &f, attempt);
}

static void
test_sent_once(void **state)
{
	(void) state;
	/* nothing left: again, but not for ever */
	assert_int_equal(judge(TZ_REPEAT_NEVER, TZ_UNAVAILABLE, 0, false, false, 1), TZ_RETRY_YES);
	assert_int_equal(judge(TZ_REPEAT_NEVER, TZ_UNAVAILABLE, 0, false, false, 3), TZ_RETRY_NO);
	assert_int_equal(judge(TZ_REPEAT_NEVER, TZ_TIMEOUT, 0, false, false, 1), TZ_RETRY_YES);
	/* it may have left */
	assert_int_equal(judge(TZ_REPEAT_NEVER, TZ_UNAVAILABLE, 0, true, false, 1), TZ_RETRY_UNKNOWN);
	assert_int_equal(judge(TZ_REPEAT_NEVER, TZ_TIMEOUT, 0, true, false, 1), TZ_RETRY_UNKNOWN);
	/* it was carried out, the answer is no use */
	assert_int_equal(judge(TZ_REPEAT_NEVER, TZ_BAD_ANSWER, 200, true, false, 1), TZ_RETRY_NO);
	assert_int_equal(judge(TZ_REPEAT_NEVER, TZ_TOO_LARGE, 200, true, false, 1), TZ_RETRY_NO);
	/* answers */
	assert_int_equal(judge(TZ_REPEAT_NEVER, TZ_OK, 500, true, false, 1), TZ_RETRY_NO);
	assert_int_equal(judge(TZ_REPEAT_NEVER, TZ_OK, 503, true, false, 1), TZ_RETRY_NO);
	assert_int_equal(judge(TZ_REPEAT_NEVER, TZ_OK, 503, true, true, 1), TZ_RETRY_YES);
	assert_int_equal(judge(TZ_REPEAT_NEVER, TZ_OK, 429, true, true, 4), TZ_RETRY_YES);
	assert_int_equal(judge(TZ_REPEAT_NEVER, TZ_OK, 429, true, true, 5), TZ_RETRY_NO);
	assert_int_equal(judge(TZ_REPEAT_NEVER, TZ_OK, 404, true, true, 1), TZ_RETRY_NO);
	assert_int_equal(judge(TZ_REPEAT_NEVER, TZ_OK, 501, true, true, 1), TZ_RETRY_NO);
	/* our own policy said no */
	assert_int_equal(judge(TZ_REPEAT_NEVER, TZ_REFUSED, 0, false, false, 1), TZ_RETRY_NO);
}

static void
test_reads(void **state)
{
	(void) state;
	assert_int_equal(judge(TZ_REPEAT_READ, TZ_UNAVAILABLE, 0, true, false, 1), TZ_RETRY_YES);
	assert_int_equal(judge(TZ_REPEAT_READ, TZ_UNAVAILABLE, 0, true, false, 2), TZ_RETRY_NO);
	assert_int_equal(judge(TZ_REPEAT_READ, TZ_TIMEOUT, 0, true, false, 1), TZ_RETRY_NO);
	assert_int_equal(judge(TZ_REPEAT_READ, TZ_OK, 502, true, false, 1), TZ_RETRY_YES);
	assert_int_equal(judge(TZ_REPEAT_READ, TZ_OK, 500, true, false, 1), TZ_RETRY_NO);
	assert_int_equal(judge(TZ_REPEAT_READ, TZ_OK, 404, true, false, 1), TZ_RETRY_NO);
	assert_int_equal(judge(TZ_REPEAT_SAME, TZ_UNAVAILABLE, 0, true, false, 1), TZ_RETRY_YES);
	assert_int_equal(judge(TZ_REPEAT_SAME, TZ_UNAVAILABLE, 0, true, false, 2), TZ_RETRY_UNKNOWN);
}

static void
test_removal(void **state)
{
	static const int statuses[] = {400, 403, 409, 500, 501, 502, 503};

	(void) state;
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
	{
		assert_int_equal(judge(TZ_REPEAT_REMOVE, TZ_OK, statuses[i], true, false, 5), TZ_RETRY_YES);
		assert_int_equal(judge(TZ_REPEAT_REMOVE, TZ_OK, statuses[i], true, false, 6), TZ_RETRY_NO);
	}
	assert_int_equal(judge(TZ_REPEAT_REMOVE, TZ_TIMEOUT, 0, true, false, 5), TZ_RETRY_YES);
	assert_int_equal(judge(TZ_REPEAT_REMOVE, TZ_UNAVAILABLE, 0, true, false, 6), TZ_RETRY_NO);
}

static void
test_cancelled(void **state)
{
	(void) state;
	assert_int_equal(judge(TZ_REPEAT_NEVER, TZ_CANCELLED, 0, true, false, 1), TZ_RETRY_UNKNOWN);
	assert_int_equal(judge(TZ_REPEAT_NEVER, TZ_CANCELLED, 0, false, false, 1), TZ_RETRY_NO);
	assert_int_equal(judge(TZ_REPEAT_READ, TZ_CANCELLED, 0, true, false, 1), TZ_RETRY_NO);
}

static void
test_waits(void **state)
{
	(void) state;
	assert_int_equal(tz_backoff_ms(1, 1000, 60000, 0), 500);
	assert_int_equal(tz_backoff_ms(1, 1000, 60000, UINT32_MAX), 1000);
	assert_int_equal(tz_backoff_ms(3, 1000, 60000, 0), 2000);
	assert_int_equal(tz_backoff_ms(3, 1000, 60000, UINT32_MAX), 4000);
	assert_int_equal(tz_backoff_ms(1000000, 1000, 60000, UINT32_MAX), 60000);
	assert_int_equal(tz_backoff_ms(INT_MAX, INT_MAX, INT_MAX, UINT32_MAX), INT_MAX);
	assert_int_equal(tz_backoff_ms(-5, -5, -5, 7), 0);
	for (uint32_t r = 0; r < 4000000000u; r += 100000007u)
	{
		int ms = tz_backoff_ms(2, 100, 60000, r);

		assert_true(ms >= 100 && ms <= 200);
	}
}

static int
after(const char *value)
{
	int ms = -1;

	return tz_retry_after_ms(value, NOW, 3600000, &ms) ? ms : -1;
}

static void
test_retry_after(void **state)
{
	(void) state;
	assert_int_equal(after("0"), 0);
	assert_int_equal(after("7"), 7000);
	assert_int_equal(after(" 120 "), 120000);
	assert_int_equal(after("99999999999999999999999999999999999"), 3600000);
	assert_int_equal(after("Tue, 14 Nov 2023 22:13:50 GMT"), 30000);
	assert_int_equal(after("Tuesday, 14-Nov-23 22:13:50 GMT"), 30000);
	assert_int_equal(after("Tue Nov 14 22:13:50 2023"), 30000);
	assert_int_equal(after("Wed Nov  1 00:00:00 2023"), 0);
	assert_int_equal(after("Sun, 06 Nov 1994 08:49:37 GMT"), 0);
	assert_int_equal(after("Sunday, 06-Nov-94 08:49:37 GMT"), 0);
	assert_int_equal(after("Thu, 29 Feb 2024 00:00:00 GMT"), 3600000);
	assert_int_equal(after(NULL), -1);
	assert_int_equal(after(""), -1);
	assert_int_equal(after("-1"), -1);
	assert_int_equal(after("7s"), -1);
	assert_int_equal(after("soon"), -1);
	assert_int_equal(after("Tue, 14 Foo 2023 22:13:50 GMT"), -1);
	assert_int_equal(after("Tue, 14 Nov 2023 25:13:50 GMT"), -1);
	assert_int_equal(after("Tue, 14 Nov 2023 22:13:50 CET"), -1);
	assert_int_equal(after("Tue, 14 Nov 2023 22:13:50 GMT x"), -1);
	assert_int_equal(after("Tue, -4 Nov 2023 22:13:50 GMT"), -1);
}

static int
reset(const char *value)
{
	int ms;

	return tz_reset_after_ms(value, NOW, 3600000, &ms) ? ms : -1;
}

static void
test_reset(void **state)
{
	(void) state;
	assert_int_equal(reset("2023-11-14T22:13:50Z"), 30000);
	assert_int_equal(reset("2023-11-14T22:13:50.123456Z"), 30000);
	assert_int_equal(reset("2023-11-14t23:13:50+01:00"), 30000);
	assert_int_equal(reset("2023-11-14T21:43:50-00:30"), 30000);
	assert_int_equal(reset("2023-11-14T22:13:19Z"), 0);
	assert_int_equal(reset("2033-11-14T22:13:19Z"), 3600000);
	assert_int_equal(reset("12ms"), 12);
	assert_int_equal(reset("1s"), 1000);
	assert_int_equal(reset("6m0s"), 360000);
	assert_int_equal(reset("1h2m"), 3600000);
	assert_int_equal(reset("1m1.5s"), 61500);
	assert_int_equal(reset("20us"), 0);
	assert_int_equal(reset("7"), 7000);
	assert_int_equal(reset("0.5"), 500);
	assert_int_equal(reset("0"), 0);
	assert_int_equal(reset("-1"), 0);
	assert_int_equal(reset("1e99"), 3600000);
	assert_int_equal(reset(NULL), -1);
	assert_int_equal(reset(""), -1);
	assert_int_equal(reset("soon"), -1);
	assert_int_equal(reset("s"), -1);
	assert_int_equal(reset("1x"), -1);
	assert_int_equal(reset("1s2"), -1);
	assert_int_equal(reset("0x10"), -1);
	assert_int_equal(reset("2023-11-14T22:13:50"), -1);
	assert_int_equal(reset("2023-11-14T22:13:50Zx"), -1);
	assert_int_equal(reset("2023-11-14T22:13:50+25:00"), -1);
	assert_int_equal(reset("2023-13-14T22:13:50Z"), -1);
	assert_int_equal(reset("2023-11-14 22:13:50Z"), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sent_once), cmocka_unit_test(test_reads), cmocka_unit_test(test_removal),
		cmocka_unit_test(test_cancelled), cmocka_unit_test(test_waits), cmocka_unit_test(test_retry_after),
		cmocka_unit_test(test_reset),
	};

	return cmocka_run_group_tests_name("backoff", tests, NULL, NULL);
}
