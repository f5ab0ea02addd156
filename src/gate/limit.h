/*-------------------------------------------------------------------------
 *
 * limit.h
 *	  Rate limits as operator and platform have set them.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_LIMIT_H
#define TZ_LIMIT_H

#include "gate/rate.h"

/* per_minute 0: there is none. */
typedef struct TzRate
{
	double per_minute;
	int burst;
	int most; /* the largest burst among those that this one is the strictest of */
} TzRate;

/*
 * One token of one subject under what holds for it: the stricter of the operator's
 * and the platform's limit. Inside a transaction. own (or NULL) is what holds as
 * well, such as the rate of an agent's template. Else as tz_rate_take() and
 * tz_rate_reserve() say.
 */
extern bool tz_limit_take(TzRateScope scope, TzSlice platform, TzSlice subject, const TzRate *own,
                          int64 *retry_ms);
extern bool tz_limit_reserve(TzRateScope scope, TzSlice platform, TzSlice subject, int64 longest_ms,
                             int64 *wait_ms);

/* What who is refused is told. */
extern const char *tz_limit_message(TzRateScope scope);

#endif /* TZ_LIMIT_H */
