/*-------------------------------------------------------------------------
 *
 * pausepoint.h
 *	  Named places where a test can hold a process. Test builds only.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_PAUSEPOINT_H
#define TZ_PAUSEPOINT_H

#ifdef THEAZO_PAUSE_POINTS

/* Waits while theazo_internal.pause_point(name, true) holds; leaves early when the worker must stop. */
#define TZ_PAUSE_POINT(name) tz_pause_point(name)
extern void tz_pause_point(const char *name);

#else
#define TZ_PAUSE_POINT(name) ((void) 0)
#endif

#endif /* TZ_PAUSEPOINT_H */
