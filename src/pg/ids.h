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

/* System identifier and database: what theazo_internal.instance() says. */
extern const char *tz_instance(void);

#endif /* TZ_IDS_H */
