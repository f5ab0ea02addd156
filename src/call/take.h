/*-------------------------------------------------------------------------
 *
 * take.h
 *	  What a claim may take of programs of agents.
 *
 * A program whose row says claimed may have begun, so nobody claims more of them
 * than can begin at once: the rest stays queued, for whoever has a place.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_TAKE_H
#define TZ_TAKE_H

/* Of the next claims of this process; -1, as it is at first: as many as there are. */
extern void tz_take_programs(int max);
/* Did the last claim leave some for want of a place? */
extern bool tz_take_programs_left(void);

#endif /* TZ_TAKE_H */
