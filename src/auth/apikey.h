/*-------------------------------------------------------------------------
 *
 * apikey.h
 *	  Making API keys, and when each was last used.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_APIKEY_H
#define TZ_APIKEY_H

/* Asks for shared memory of its own; called by tz_identity_init. */
extern void tz_apikey_init(void);

#endif /* TZ_APIKEY_H */
