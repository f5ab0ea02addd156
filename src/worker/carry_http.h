/*-------------------------------------------------------------------------
 *
 * carry_http.h
 *	  Effects over HTTP, and what they share with the other ways to carry one out.
 *
 * Include after postgres.h. Nothing here throws.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_CARRY_HTTP_H
#define TZ_CARRY_HTTP_H

#include "worker/carry.h"

/* Sends the request of the step the effect is at, and whatever follows from its answer. */
extern void tz_carry_http(TzCarrier *c, TzFlight *f, int timeout_ms);
/* Cuts the call. */
extern void tz_carry_http_cut(TzFlight *f);

/* ---- carry.c ---- */

/* Ends a flight that was not begun; sqlstate NULL: what the status stands for. */
extern void tz_carry_fail(TzFlight *f, const TzErr *err, const char *sqlstate);
/* How long the call may take; 0 when it is too late to begin. */
extern int tz_carry_time_left(const TzFlight *f, TimestampTz now);
/* A command: two texts of one step, for who follows the run. */
extern void tz_carry_live(TzFlight *f);
extern uint32 tz_carry_random(void);

/* ---- carry_report.c ---- */

/* Its command has printed: if it has reported, that is passed on soon. */
extern void tz_carry_reported(TzFlight *f);
extern void tz_carry_reports_pump(TzCarrier *c);
/* Milliseconds until that has to be called, where something is to be passed on. */
extern int tz_carry_reports_timeout(const TzCarrier *c);

#endif /* TZ_CARRY_HTTP_H */
