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

/* The same for a time of the caller's, in milliseconds since 1970. */
extern void tz_id_new_at(const char *prefix, int64 unix_ms, char id[TZ_ID_MAX + 1]);

/*
 * A number below 2^53 that no other event of this server has: milliseconds
 * since 2020, shifted left by 12, and a counter. unix_ms gets its time.
 */
extern int64 tz_number_new(int64 *unix_ms);

/* System identifier and database: what theazo_internal.instance() says. */
extern const char *tz_instance(void);

#endif /* TZ_IDS_H */
