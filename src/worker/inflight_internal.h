/*-------------------------------------------------------------------------
 *
 * inflight_internal.h
 *	  What the files of calls in flight know of each other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_INFLIGHT_INTERNAL_H
#define TZ_INFLIGHT_INTERNAL_H

#include "worker/inflight.h"

#define TZ_RESULT_BYTES_MAX (128 * 1024 * 1024)

/* Makes f->mask of its opened secrets, once. */
extern TzStatus tz_flight_mask(TzFlight *f);
/* Gives it back. */
extern void tz_flight_unmask(TzFlight *f);
/* Masks all that an outcome holds; withheld where that is not possible. */
extern void tz_flight_conceal_outcome(TzFlight *f);
/* A command has ended: the rest of what it printed is shown, and what it reported is taken out of its output. */
extern void tz_flight_command_over(TzFlight *f);

#endif /* TZ_INFLIGHT_INTERNAL_H */
