/*-------------------------------------------------------------------------
 *
 * wake.h
 *	  Wake-ups that happen when, and only when, a transaction commits.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_WAKE_H
#define TZ_WAKE_H

/* Bits, collected until the end of the transaction. */
#define TZ_WAKE_DISPATCHERS 1 /* all of them */
#define TZ_WAKE_CANCEL 2 /* and move the cancel epoch */
#define TZ_WAKE_KEEPER 4
#define TZ_WAKE_EXTENSION 8 /* extension appeared, changed or went: all workers and the launcher look */
#define TZ_WAKE_RESCAN 16 /* databases were made or dropped: the launcher looks */
#define TZ_WAKE_ONE 32 /* a dispatcher that sleeps; all of them when none does */
#define TZ_WAKE_SEAL 64 /* the keeper, unless it knows already: there are events to seal */
#define TZ_WAKE_REFUSED 128 /* the keeper: somebody waits for the event of a refusal */
#define TZ_WAKE_GATEWAYS 512 /* all of them */
#define TZ_WAKE_HALT 256 /* all dispatchers and the keeper, and move the halt epoch: also when switched off */

/* Registers the transaction callback; once, while libraries are loaded. */
extern void tz_wake_init(void);

/* Remembered for this transaction. A prepared one wakes nobody: safety turns find its work. */
extern void tz_wake_at_commit(int what);

/* The dispatcher of this slot, for work that only it can do. */
extern void tz_wake_slot_at_commit(int slot);

/* For new work. NULL: a dispatcher that is free; else the one of this slot; below 0: all. */
extern void tz_wake_for(const int32 *slot);

/* Whoever waits for this run, or follows it, is woken at commit. */
extern void tz_wake_run_at_commit(const char *run_id, size_t len);

/* Only those who follow it: it goes on. */
extern void tz_wake_run_moved_at_commit(const char *run_id, size_t len);

/* Which of the shared buckets stands for a run id. */
extern int tz_wake_run_bucket(const char *run_id, size_t len);

/* Those who follow a run live sleep at its bell, which commits ring as well. */
extern int tz_wake_bell(const char *run_id, size_t len);

/* At once: gateways of a database that follow a run with this bell. */
extern void tz_wake_followers(Oid dboid, int bell);

/* At once: of one database, or the launcher. */
extern void tz_wake_now(Oid dboid, int what);
extern void tz_wake_launcher(void);

/* At once: another dispatcher than this one, if any has room. */
extern void tz_wake_pass_on(Oid dboid, int not_slot);
/* The same: another one that has a place for a program of an agent. */
extern void tz_wake_programs(Oid dboid, int not_slot);

#endif /* TZ_WAKE_H */
