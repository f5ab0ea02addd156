/*-------------------------------------------------------------------------
 *
 * keyring.h
 *	  The master keys this server holds.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_KEYRING_H
#define TZ_KEYRING_H

#include "lib/keyfile.h"

/* Reads the keys; called by _PG_init in the postmaster. Never fails: says why there is none. */
extern void tz_keyring_load(void);

extern int tz_keyring_count(void);

/* Key i (0: the current one) and its fingerprint. */
extern const uint8_t *tz_keyring_key(int i, const char **fingerprint);

/* Key of a fingerprint, or NULL. */
extern const uint8_t *tz_keyring_find(TzSlice fingerprint);

/* "file" or "command". */
extern const char *tz_keyring_source(void);

/* Why there is no key: message, detail and hint. */
extern void tz_keyring_fault(TzErr *err);

/* Memory that is neither swapped nor dumped, zeroed; NULL when there is none. Never freed. */
extern void *tz_locked_memory(size_t size);

#endif /* TZ_KEYRING_H */
