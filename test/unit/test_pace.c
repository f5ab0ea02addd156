/* pace.c: how much work fits into a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/pace.h"

static int
units(const TzPace *pace)
{
	return tz_pace_units(pace, 1500, 32, 4, 1000);
}

static void
test_ends(void **state)
{
	TzPace pace = {0};

	(void) state;
	assert_int_equal(units(&pace), 32); /* nothing is known */
	tz_pace_took(&pace, 0, 5000);
	tz_pace_took(&pace, -1, 5000);
	tz_pace_took(&pace, 5, -1);
	assert_int_equal(units(&pace), 32);
	tz_pace_took(&pace, 10, 1000000);
	assert_int_equal(units(&pace), 4);
	for (int i = 0; i < 100; i++)
		tz_pace_took(&pace, 1000, 0);
	assert_int_equal(units(&pace), 1000);
	tz_pace_took(&pace, INT32_MAX, 0);
	assert_int_equal(tz_pace_units(&pace, INT64_MAX, 1, 1, INT32_MAX), INT32_MAX);
}

static void
test_learns(void **state)
{
	TzPace pace = {0};
	int n = 0;

	(void) state;
	/* a batch costs 300, and each of its units 20 */
	for (int i = 0; i < 100; i++)
	{
		n = units(&pace);
		tz_pace_took(&pace, n, 300 + n * 20);
	}
	assert_in_range(n, 59, 61);
	/* they become dear */
	for (int i = 0; i < 20; i++)
	{
		n = units(&pace);
		tz_pace_took(&pace, n, 300 + n * 500);
	}
	assert_int_equal(n, 4);
	/* and cheap again */
	for (int i = 0; i < 100; i++)
	{
		n = units(&pace);
		tz_pace_took(&pace, n, 300 + n * 20);
	}
	assert_in_range(n, 59, 61);
}

static void
test_forgets(void **state)
{
	TzPace pace = {0};

	(void) state;
	for (int i = 0; i < 50; i++)
		tz_pace_took(&pace, 50, 1500);
	assert_in_range(units(&pace), 49, 50);
	tz_pace_took(&pace, 50, 150000);
	assert_int_equal(units(&pace), 4);
	for (int i = 0; i < 20; i++)
		tz_pace_took(&pace, 4, 120);
	assert_in_range(units(&pace), 45, 50);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_learns),
		cmocka_unit_test(test_forgets),
	};

	return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}
