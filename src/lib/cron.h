/*-------------------------------------------------------------------------
 *
 * cron.h
 *	  Cron expressions, and the moments they mean in a time zone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_CRON_H
#define TZ_CRON_H

#include "lib/buf.h"

#define TZ_CRON_TEXT_MAX 256 /* bytes of an expression */

/* Bit n of each is set when n matches. */
typedef struct TzCron
{
	uint64_t minutes; /* 0 to 59 */
	uint32_t hours; /* 0 to 23 */
	uint32_t days; /* of the month, 1 to 31 */
	uint16_t months; /* 1 to 12 */
	uint8_t weekdays; /* 0 to 6, 0 is Sunday */
	bool days_free; /* the field begins with a star */
	bool weekdays_free;
} TzCron;

/*
 * Seconds that local time is ahead of UTC at this moment (unix seconds), and the
 * first moment after it at which that changes, INT64_MAX for never.
 */
typedef void (*TzCronZone)(void *zone, int64_t at, int32_t *offset, int64_t *until);

/*
 * Five fields (minute, hour, day of the month, month, day of the week) of stars,
 * numbers, names, ranges, steps and lists; or @hourly, @daily, @weekly, @monthly.
 */
extern TzStatus tz_cron_parse(TzSlice text, TzCron *out, TzErr *err);

/*
 * The first moment after this one (unix seconds) that the expression means; false
 * when there is none within 40 years. A local time that the zone skips means no
 * moment, one that it has twice means the first of them.
 */
extern bool tz_cron_next(const TzCron *cron, TzCronZone zone_of, void *zone, int64_t after, int64_t *next);

#endif /* TZ_CRON_H */
