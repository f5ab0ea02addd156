/*-------------------------------------------------------------------------
 *
 * carry_script.h
 *	  Carrying out programs of agents, and the requests they make.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_CARRY_SCRIPT_H
#define TZ_CARRY_SCRIPT_H

#include "worker/carry.h"

/* CLAIMED to FLYING or, at once, ENDED. */
extern void tz_carry_script(TzCarrier *c, TzFlight *f);
/* Is it a request of a program? */
extern bool tz_carry_is_fetch(const TzFlight *f);
/* Is it one that no program waits for? */
extern bool tz_carry_fetch_idle(const TzCarrier *c, const TzFlight *f);

#endif /* TZ_CARRY_SCRIPT_H */
