/*-------------------------------------------------------------------------
 *
 * coredump.h
 *	  No core dump of a process that has seen a secret.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_COREDUMP_H
#define TZ_COREDUMP_H

/* From now on this process leaves no core dump. Cheap when called again; never throws. */
extern void tz_coredump_off(void);

#endif /* TZ_COREDUMP_H */
