/*-------------------------------------------------------------------------
 *
 * quiesce.h
 *	  Workers step aside for statements that need a database to themselves.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_QUIESCE_H
#define TZ_QUIESCE_H

/* Installs the utility and object access hooks; once, while libraries are loaded. */
extern void tz_quiesce_init(void);

#endif /* TZ_QUIESCE_H */
