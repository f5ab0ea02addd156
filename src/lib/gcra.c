/*-------------------------------------------------------------------------
 *
 * gcra.c
 *	  A token bucket that is one number: when it will be full again.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>

#include "lib/gcra.h"

#define MINUTE_NS 60e9

bool
tz_gcra_limit(double per_minute, int burst, TzGcra *out)
{
	double interval = MINUTE_NS / per_minute;

	if (!(per_minute > 0) || !isfinite(per_minute) || burst < 1 || burst > TZ_GCRA_BURST_MAX ||
	    interval * burst > (double) TZ_GCRA_WINDOW_NS)
		return false;
	/* a token costs something, however many come a second */
	out->interval_ns = interval < 1 ? 1 : (uint64_t) interval;
	out->window_ns = out->interval_ns * (uint64_t) burst;
	return true;
}

bool
tz_gcra_take(const TzGcra *limit, uint64_t full_at, uint64_t now, uint64_t ahead_ns, uint64_t *next,
             uint64_t *wait_ns)
{
	uint64_t then = (full_at > now ? full_at : now) + limit->interval_ns;

	*wait_ns = then - now > limit->window_ns ? then - now - limit->window_ns : 0;
	if (*wait_ns > ahead_ns)
		return false;
	*next = then;
	return true;
}
