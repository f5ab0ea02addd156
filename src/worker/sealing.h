/*-------------------------------------------------------------------------
 *
 * sealing.h
 *	  When the keeper seals events.
 *
 * The first commit that leaves events marks it and wakes the keeper, which
 * seals, and again a moment later as long as there is a mark: one transaction
 * for whatever came in between. Where nobody writes, it does nothing but look
 * once an interval, for what left no mark (prepared transactions, restores).
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_SEALING_H
#define TZ_SEALING_H

/* Seals if it is time. Returns milliseconds until it wants to be called again. Does not throw. */
extern int tz_sealing_turn(void);

/* Milliseconds until then, as things are now. */
extern int tz_sealing_due(void);

#endif /* TZ_SEALING_H */
