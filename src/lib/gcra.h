/*-------------------------------------------------------------------------
 *
 * gcra.h
 *	  A token bucket that is one number: when it will be full again.
 *
 * The generic cell rate algorithm. A bucket of burst tokens that fills at a rate
 * is known by the time at which it will be full if nothing more is taken; each
 * token taken moves that time on by what it takes to fill in one. Who keeps it
 * in one word needs no lock: compare and swap is all. Times are nanoseconds of a
 * clock that never goes back.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_LIB_GCRA_H
#define TZ_LIB_GCRA_H

#include <stdbool.h>
#include <stdint.h>

#define TZ_GCRA_BURST_MAX 1000000
#define TZ_GCRA_WINDOW_NS (INT64_C(366) * 86400 * 1000000000) /* no bucket takes longer to fill */

typedef struct TzGcra
{
	uint64_t interval_ns; /* that one token takes to come back */
	uint64_t window_ns; /* that all of them take */
} TzGcra;

/* False for what is no limit: not above zero, no whole tokens, or slower than TZ_GCRA_WINDOW_NS. */
extern bool tz_gcra_limit(double per_minute, int burst, TzGcra *out);

/*
 * One token of a bucket that is full again at full_at. True: *next is the time
 * it becomes. False: there is none, and one comes in *wait_ns. ahead_ns: a token
 * that comes so soon may be taken now; *wait_ns is then when it may be used, 0
 * when at once.
 */
extern bool tz_gcra_take(const TzGcra *limit, uint64_t full_at, uint64_t now, uint64_t ahead_ns,
                         uint64_t *next, uint64_t *wait_ns);

#endif /* TZ_LIB_GCRA_H */
