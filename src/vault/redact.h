/*-------------------------------------------------------------------------
 *
 * redact.h
 *	  Keeps secrets out of the server log, activity and statement statistics.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_REDACT_H
#define TZ_REDACT_H

/* Installs the hooks; called once by _PG_init. */
extern void tz_redact_init(void);

/* The client's statement carries a secret, whatever its text says: hidden from now on. */
extern void tz_redact_mark(void);

#endif /* TZ_REDACT_H */
