/*-------------------------------------------------------------------------
 *
 * known.h
 *	  Keys that were valid when they were last shown; all others are tried at a bounded rate.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_KNOWN_H
#define TZ_KNOWN_H

#include "lib/buf.h"

/* May this key be looked up now? */
extern bool tz_known_try(TzSlice key);

/* It was, and is valid. */
extern void tz_known_valid(TzSlice key);

#endif /* TZ_KNOWN_H */
