/*-------------------------------------------------------------------------
 *
 * runwait.h
 *	  Waiting until a commit says that a run has ended.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_RUNWAIT_H
#define TZ_RUNWAIT_H

/*
 * Take the number, look at the run, then wait for another number: what commits
 * in between is not missed. Runs share buckets, so a wake-up only means "look
 * again". The first moves with every step of a run, the second with its end.
 */
extern uint32 tz_run_generation(int bucket);
extern uint32 tz_run_ended(int bucket);

/*
 * Takes one of the theazo.max_waiters places, or throws. The place is given
 * back by tz_run_wait_end(), which belongs in a PG_FINALLY, or by the end of
 * the process. A backend has one place at most.
 */
extern void tz_run_wait_begin(void);
extern void tz_run_wait_end(void);

/*
 * seen comes from tz_run_ended(). True when it moved, false after timeout_ms. Throws on interrupts.
 * Looks at no table and needs no snapshot.
 */
extern bool tz_run_wait(int bucket, uint32 seen, long timeout_ms);

/* Throws when a caller that waits could never see what it waits for. */
extern void tz_run_wait_check(const char *run_id);

#endif /* TZ_RUNWAIT_H */
