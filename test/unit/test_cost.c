/* test_cost.c: integer arithmetic that says when it overflows */
#include "tz_test.h"

#include "lib/cost.h"

static void
test_overflow(void **state)
{
	int64_t v;
	size_t n;

	assert_int_equal(tz_cost_add(1, 2, &v), TZ_OK);
	assert_int_equal(v, 3);
	assert_int_equal(tz_cost_add(INT64_MAX, 1, &v), TZ_TOO_LARGE);
	assert_int_equal(tz_cost_add(INT64_MIN, -1, &v), TZ_TOO_LARGE);
	assert_int_equal(tz_cost_mul(INT64_MAX, 2, &v), TZ_TOO_LARGE);
	assert_int_equal(tz_cost_mul(INT64_MIN, -1, &v), TZ_TOO_LARGE);
	assert_int_equal(tz_size_add(SIZE_MAX, 1, &n), TZ_TOO_LARGE);
	assert_int_equal(tz_size_mul(SIZE_MAX / 2, 3, &n), TZ_TOO_LARGE);
	assert_int_equal(tz_size_mul(3, 4, &n), TZ_OK);
	assert_int_equal(n, 12);
}

static void
price(int64_t quantity, int64_t unit, int64_t per, int64_t want)
{
	int64_t v;

	assert_int_equal(tz_cost_price(quantity, unit, per, &v), TZ_OK);
	assert_int_equal(v, want);
}

static void
test_price(void **state)
{
	int64_t v;

	price(0, 5, 3, 0);
	price(1, 1, 2, 1); /* half goes away from zero */
	price(-1, 1, 2, -1);
	price(1, 1, 3, 0);
	price(2, 1, 3, 1);
	price(-2, 1, 3, -1);
	price(1, 3, 5, 1);
	price(1, 2, 5, 0);
	price(INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX);
	assert_int_equal(tz_cost_price(INT64_MAX, 3, 2, &v), TZ_TOO_LARGE);
	assert_int_equal(tz_cost_price(INT64_MIN, 3, 2, &v), TZ_TOO_LARGE);
	assert_int_equal(tz_cost_price(1, 1, 0, &v), TZ_BAD_INPUT);
	assert_int_equal(tz_cost_price(1, 1, -1, &v), TZ_BAD_INPUT);
}

static void
test_cents(void **state)
{
	assert_int_equal(tz_cost_cents(0), 0);
	assert_int_equal(tz_cost_cents(499999), 0);
	assert_int_equal(tz_cost_cents(500000), 1);
	assert_int_equal(tz_cost_cents(-500000), -1);
	assert_int_equal(tz_cost_cents(-499999), 0);
	assert_int_equal(tz_cost_cents(INT64_MAX), INT64_MAX / 1000000 + 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_overflow),
		cmocka_unit_test(test_price),
		cmocka_unit_test(test_cents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
