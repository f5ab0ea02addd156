/*-------------------------------------------------------------------------
 *
 * runwait.h
 *	  Waiting until a commit says that a run moved on.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_RUNWAIT_H
#define TZ_RUNWAIT_H

/*
 * Take the generation, look at the run, then wait for another generation: what
 * commits in between is not missed. Runs share buckets, so a wake-up only
 * means "look again".
 */
extern uint32 tz_run_generation(int bucket);

/*
 * True when the generation moved, false after timeout_ms. Throws on interrupts
 * and when theazo.max_waiters callers wait already. Looks at no table and needs
 * no snapshot.
 */
extern bool tz_run_wait(int bucket, uint32 seen, long timeout_ms);

#endif							/* TZ_RUNWAIT_H */
