/*-------------------------------------------------------------------------
 *
 * launcher.h
 *	  The static worker that keeps all others alive.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_LAUNCHER_H
#define TZ_LAUNCHER_H

/* Called while the postmaster loads libraries. */
extern void tz_launcher_register(void);

#endif /* TZ_LAUNCHER_H */
