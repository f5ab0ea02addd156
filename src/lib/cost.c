/*-------------------------------------------------------------------------
 *
 * cost.c
 *	  Integer arithmetic on money and sizes that says when it overflows.
 *
 *-------------------------------------------------------------------------
 */
#include "lib/cost.h"

TzStatus
tz_cost_add(int64_t a, int64_t b, int64_t *out)
{
	return __builtin_add_overflow(a, b, out) ? TZ_TOO_LARGE : TZ_OK;
}

TzStatus
tz_cost_mul(int64_t a, int64_t b, int64_t *out)
{
	return __builtin_mul_overflow(a, b, out) ? TZ_TOO_LARGE : TZ_OK;
}

TzStatus
tz_cost_price(int64_t quantity, int64_t price, int64_t per, int64_t *out)
{
	__int128 product = (__int128) quantity * price;
	__int128 whole;
	__int128 rest;
	int64_t half;

	*out = 0;
	if (per <= 0)
		return TZ_BAD_INPUT;

	half = per / 2 + per % 2; /* a remainder of at least this rounds away from zero */
	whole = product / per;
	rest = product % per;
	if (rest >= half)
		whole++;
	else if (rest <= -half)
		whole--;
	if (whole > INT64_MAX || whole < INT64_MIN)
		return TZ_TOO_LARGE;
	*out = (int64_t) whole;
	return TZ_OK;
}

int64_t
tz_cost_cents(int64_t microcents)
{
	int64_t whole = microcents / TZ_MICROCENTS_PER_CENT;
	int64_t rest = microcents % TZ_MICROCENTS_PER_CENT;

	if (rest >= TZ_MICROCENTS_PER_CENT / 2)
		whole++;
	else if (rest <= -(TZ_MICROCENTS_PER_CENT / 2))
		whole--;
	return whole;
}

TzStatus
tz_size_add(size_t a, size_t b, size_t *out)
{
	return __builtin_add_overflow(a, b, out) ? TZ_TOO_LARGE : TZ_OK;
}

TzStatus
tz_size_mul(size_t a, size_t b, size_t *out)
{
	return __builtin_mul_overflow(a, b, out) ? TZ_TOO_LARGE : TZ_OK;
}
