/*-------------------------------------------------------------------------
 *
 * check.h
 *	  Do the master keys of this server fit this database?
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_CHECK_H
#define TZ_CHECK_H

/*
 * For a worker that starts, in a transaction of its own: says in the log which
 * master keys are missing or are not what they are called. Throws only what any
 * statement may.
 */
extern void tz_vault_check(void);

#endif /* TZ_CHECK_H */
