/*-------------------------------------------------------------------------
 *
 * siphash.h
 *	  SipHash-2-4: a short hash under a key, for tables that strangers fill.
 *
 * Who does not know the key cannot find two texts that meet in a table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_LIB_SIPHASH_H
#define TZ_LIB_SIPHASH_H

#include "lib/buf.h"

#define TZ_SIPHASH_KEY 16

extern uint64_t tz_siphash(const uint8_t key[TZ_SIPHASH_KEY], TzSlice text);

#endif /* TZ_LIB_SIPHASH_H */
