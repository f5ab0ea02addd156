/*-------------------------------------------------------------------------
 *
 * cost.h
 *	  Integer arithmetic on money and sizes that says when it overflows.
 *
 * Money is int64 millionths of a cent.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_COST_H
#define TZ_COST_H

#include "lib/buf.h"

#define TZ_MICROCENTS_PER_CENT INT64_C(1000000)

extern TzStatus tz_cost_add(int64_t a, int64_t b, int64_t *out);
extern TzStatus tz_cost_mul(int64_t a, int64_t b, int64_t *out);

/* quantity * price / per, rounded half away from zero; per > 0. */
extern TzStatus tz_cost_price(int64_t quantity, int64_t price, int64_t per, int64_t *out);

/* Whole cents for documents, rounded half away from zero. */
extern int64_t tz_cost_cents(int64_t microcents);

extern TzStatus tz_size_add(size_t a, size_t b, size_t *out);
extern TzStatus tz_size_mul(size_t a, size_t b, size_t *out);

#endif /* TZ_COST_H */
