/*-------------------------------------------------------------------------
 *
 * vault.h
 *	  Opening secrets, for workers.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_VAULT_H
#define TZ_VAULT_H

#include "lib/envelope.h"

/*
 * Opens a secret into out (tz_buf_init_secret; the caller wipes it). Never
 * throws. TZ_REFUSED outside background workers, TZ_UNAVAILABLE without a
 * master key, TZ_NOT_FOUND when this one is missing, TZ_CRYPTO when it does not
 * authenticate.
 */
extern TzStatus tz_vault_open(TzSlice platform, TzSlice session, TzSlice name, uint32_t version,
                              TzSlice platform_salt, TzSlice master_key_id, TzSlice salt, TzSlice sealed,
                              TzBuf *out, TzErr *err);

/*
 * Opens a row of theazo_data.data_key, in any process: a key that theazo made
 * for its own use, never a secret somebody stored. As tz_vault_open() otherwise.
 */
extern TzStatus tz_vault_open_key(TzSlice platform, TzSlice id, TzSlice platform_salt, TzSlice master_key_id,
                                  TzSlice salt, TzSlice sealed, TzBuf *out, TzErr *err);

/*
 * Seals a value under the current master key and a fresh random salt. Never
 * throws. TZ_UNAVAILABLE without a master key; fingerprint names it.
 */
extern TzStatus tz_vault_seal(const TzSealName *name, TzSlice platform_salt, const uint8_t salt[TZ_SALT_LEN],
                              TzSlice value, const char **fingerprint, TzBuf *sealed, TzErr *err);

/* SQLSTATE of such a status: TZ301, TZ302, TZ303. */
extern int tz_vault_sqlstate(TzStatus status);

#endif /* TZ_VAULT_H */
