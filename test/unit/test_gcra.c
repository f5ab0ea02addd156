/* gcra.c, siphash.c: a token bucket in one number, and the hash that finds it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/gcra.h"
#include "lib/siphash.h"

#define SECOND UINT64_C(1000000000)

static void
test_limits(void **state)
{
	TzGcra limit;

	(void) state;
	assert_true(tz_gcra_limit(60, 5, &limit));
	assert_true(limit.interval_ns == SECOND && limit.window_ns == 5 * SECOND);
	assert_false(tz_gcra_limit(0, 5, &limit));
	assert_false(tz_gcra_limit(-1, 5, &limit));
	assert_false(tz_gcra_limit(NAN, 5, &limit));
	assert_false(tz_gcra_limit(INFINITY, 5, &limit));
	assert_false(tz_gcra_limit(60, 0, &limit));
	assert_false(tz_gcra_limit(60, TZ_GCRA_BURST_MAX + 1, &limit));
	assert_false(tz_gcra_limit(1e-9, 1, &limit));
	assert_false(tz_gcra_limit(1, TZ_GCRA_BURST_MAX, &limit)); /* takes two years to fill */
	assert_true(tz_gcra_limit(1e300, TZ_GCRA_BURST_MAX, &limit));
	assert_true(limit.interval_ns == 1);
}

static void
test_burst_then_rate(void **state)
{
	TzGcra limit;
	uint64_t now = 1000 * SECOND;
	uint64_t full_at = 0;
	uint64_t wait;

	(void) state;
	assert_true(tz_gcra_limit(60, 3, &limit));
	for (int i = 0; i < 3; i++)
		assert_true(tz_gcra_take(&limit, full_at, now, 0, &full_at, &wait));
	assert_false(tz_gcra_take(&limit, full_at, now, 0, &full_at, &wait));
	assert_true(wait == SECOND);
	assert_false(tz_gcra_take(&limit, full_at, now + SECOND - 1, 0, &full_at, &wait));
	assert_true(wait == 1);
	assert_true(tz_gcra_take(&limit, full_at, now + SECOND, 0, &full_at, &wait));
	assert_false(tz_gcra_take(&limit, full_at, now + SECOND, 0, &full_at, &wait));
	/* long idle: full, not fuller */
	now += 1000 * SECOND;
	for (int i = 0; i < 3; i++)
		assert_true(tz_gcra_take(&limit, full_at, now, 0, &full_at, &wait));
	assert_false(tz_gcra_take(&limit, full_at, now, 0, &full_at, &wait));
}

static void
test_ahead(void **state)
{
	TzGcra limit;
	uint64_t now = SECOND;
	uint64_t full_at = 0;
	uint64_t wait;

	(void) state;
	assert_true(tz_gcra_limit(60, 1, &limit));
	for (uint64_t i = 0; i <= 10; i++)
	{
		assert_true(tz_gcra_take(&limit, full_at, now, 10 * SECOND, &full_at, &wait));
		assert_true(wait == i * SECOND);
	}
	assert_false(tz_gcra_take(&limit, full_at, now, 10 * SECOND, &full_at, &wait));
	assert_true(wait == 11 * SECOND);
}

/* In any window of any length no more than burst + rate x length, whatever the arrivals. */
static void
test_never_more(void **state)
{
	static const int rates[] = {1, 7, 60, 999, 60000};

	(void) state;
	srand(7);
	for (size_t r = 0; r < sizeof(rates) / sizeof(rates[0]); r++)
	{
		TzGcra limit;
		uint64_t start = 5 * SECOND;
		uint64_t now = start;
		uint64_t full_at = 0;
		uint64_t wait;
		uint64_t taken = 0;
		int burst = 1 + rand() % 50;

		assert_true(tz_gcra_limit(rates[r], burst, &limit));
		for (int i = 0; i < 20000; i++)
		{
			now += (uint64_t) rand() % (2 * limit.interval_ns);
			taken += tz_gcra_take(&limit, full_at, now, 0, &full_at, &wait);
			assert_true(taken <= (uint64_t) burst + (now - start) / limit.interval_ns + 1);
		}
		assert_true(taken > 0);
	}
}

/* The first ones of the paper: key 00..0f, text 00, 01, ... */
static void
test_siphash(void **state)
{
	static const uint64_t expected[] = {UINT64_C(0x726fdb47dd0e0e31), UINT64_C(0x74f839c593dc67fd),
	                                    UINT64_C(0x0d6c8009d9a94f5a), UINT64_C(0x85676696d7fb7e2d)};
	uint8_t key[TZ_SIPHASH_KEY];
	char text[15];

	(void) state;
	for (int i = 0; i < TZ_SIPHASH_KEY; i++)
		key[i] = (uint8_t) i;
	for (int i = 0; i < 15; i++)
		text[i] = (char) i;
	for (size_t n = 0; n < sizeof(expected) / sizeof(expected[0]); n++)
		assert_true(tz_siphash(key, tz_slice(text, n)) == expected[n]);
	assert_true(tz_siphash(key, tz_slice(text, 15)) == UINT64_C(0xa129ca6149be45e5));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits),  cmocka_unit_test(test_burst_then_rate),
		cmocka_unit_test(test_ahead),   cmocka_unit_test(test_never_more),
		cmocka_unit_test(test_siphash),
	};

	return cmocka_run_group_tests_name("gcra", tests, NULL, NULL);
}
