/*-------------------------------------------------------------------------
 *
 * memo.h
 *	  When what a backend remembers of rows is still true.
 *
 * A few tables are read by every call and change rarely: who is bound to which
 * platform, platforms, master keys. A backend may keep what it read of them as
 * long as the generation stands still. It moves when a transaction that changed
 * one of them commits (a trigger sends an invalidation of the table, which the
 * server delivers before a later transaction of any backend reads), when a
 * role or a function changes, and whenever the server is not sure.
 *
 *		uint64 generation = tz_memo_generation();
 *
 *		tz_memo_begin();	(a snapshot that is younger than the generation)
 *		... read ...
 *		tz_memo_end();
 *		memo.generation = generation;
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_MEMO_H
#define TZ_MEMO_H

/* Never 0. A memo is true while its generation equals this. */
extern uint64 tz_memo_generation(void);

/*
 * Around reading what is to be kept: an older snapshot could show what a commit
 * that was already announced has changed. False in parallel mode, which has no
 * such snapshot: what is read then must not be kept, and tz_memo_end() not be
 * called.
 */
extern bool tz_memo_begin(void);
extern void tz_memo_end(void);

#endif /* TZ_MEMO_H */
