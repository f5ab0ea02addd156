/*-------------------------------------------------------------------------
 *
 * ids.h
 *	  New identifiers, and the name of this instance, for C.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_IDS_H
#define TZ_IDS_H

#include "lib/id.h"

/* prefix, underscore, the time and 80 random bits; terminated. */
extern void tz_id_new(const char *prefix, char id[TZ_ID_MAX + 1]);

/*
 * A number below 2^53 that no other event of this server has: milliseconds
 * since 2020, shifted left by 12, and a counter. They only grow.
 */
extern int64 tz_number_new(void);

/* Numbers go on behind this one: what a restart has forgotten, should the clock have gone back meanwhile. */
extern void tz_number_reach(int64 number);

/* The id of what has that number: its time, its counter and 68 random bits, so that ids sort as numbers do. */
extern void tz_id_of_number(const char *prefix, int64 number, char id[TZ_ID_MAX + 1]);

/* System identifier and database: what theazo_internal.instance() says. */
extern const char *tz_instance(void);

#endif /* TZ_IDS_H */
