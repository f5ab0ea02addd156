/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  What every background worker shares: signals, slot, connection, loop, recovery.
 *
 * A worker fills a TzWorkerOps and calls tz_worker_main() from its entry
 * function; it never writes a loop of its own. The loop waits on the latch, on
 * postmaster death and on one more descriptor, and decides when the worker must
 * idle (theazo.enabled off, extension of another version) or leave (SIGTERM,
 * extension or database going away).
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_WORKER_H
#define TZ_WORKER_H

#include "pg/compat.h"

typedef enum TzWorkerKind
{
	TZ_WORKER_LAUNCHER = 1,
	TZ_WORKER_KEEPER,
	TZ_WORKER_DISPATCHER,
	TZ_WORKER_GATEWAY
} TzWorkerKind;

/* Why a turn happens; bits. */
#define TZ_TURN_WOKEN 1 /* latch: work was committed, or a cancel */
#define TZ_TURN_FD 2 /* the watched descriptor is readable */
#define TZ_TURN_TIMEOUT 4 /* the time asked for has passed */
#define TZ_TURN_RELOADED 8 /* settings were read again */
#define TZ_TURN_DRAIN 16 /* theazo.enabled is off: begin nothing, settle what comes back */

typedef struct TzWorkerOps
{
	/*
	 * Once, connected, with the extension present and of our version; no
	 * transaction open. May throw: the worker ends and comes back with
	 * backoff. May be NULL.
	 */
	void (*init)(void *arg);

	/*
	 * Every wake-up, before turn, also while SQL is backing off after an
	 * error. No SQL, must not throw. May be NULL.
	 */
	void (*pump)(void *arg, int why);

	/*
	 * The SQL work of a turn, in transactions of its own (tz_txn_begin). May
	 * throw: the transaction is aborted, the cycle context reset, turn is not
	 * called again before the backoff has passed; pump is. Returns
	 * milliseconds until it wants to be called again (0 = at once, after
	 * interrupts). Called with the cycle context current.
	 */
	int (*turn)(void *arg, int why);

	/*
	 * Milliseconds until pump must run, -1 for whenever. Also makes turn run,
	 * so that what the pump finished gets settled. May be NULL.
	 */
	int (*deadline)(void *arg);

	/*
	 * Leaving, for whatever reason but a crash. Settle what has arrived,
	 * destroy what must not outlive the process; 700 ms at most. sql tells
	 * whether transactions still make sense (false when the extension is
	 * gone). May throw. May be NULL.
	 */
	void (*leave)(void *arg, bool sql);

	void *arg;
} TzWorkerOps;

/* Runs the whole life of a dynamic worker (keeper, dispatcher, gateway). */
extern TZ_NORETURN void tz_worker_main(TzWorkerKind kind, const TzWorkerOps *ops);

/* In init or later, once: the descriptor to wait on as well (the mux's). */
extern void tz_worker_watch(int fd);

/* SIGTERM came, or the database or extension goes away: claim nothing more. */
extern bool tz_worker_stopping(void);

/* Slot number of a dispatcher within its database (0 .. theazo.dispatchers - 1). */
extern int tz_worker_slot(void);
/* Random, never 0; new for each process. */
extern int64 tz_worker_incarnation(void);
/* Moves whenever wake_cancel() committed in this database: compare with what you saw before. */
extern uint32 tz_worker_cancel_epoch(void);
/* The keeper's: what commits have marked since it was last asked; each is said once. */
extern bool tz_worker_events_marked(void);
extern bool tz_worker_upkeep_marked(void);
/* Is this process the keeper of its database? */
extern bool tz_worker_is_keeper(void);
/*
 * Whether a wake-up may be given to this worker alone. Said at the end of a turn;
 * an error takes it back. What wakes it is then its to look at, or to pass on.
 */
extern void tz_worker_accepts(bool accepts);
/* Wakes another dispatcher of this database: there is more than we take. */
extern void tz_worker_pass_on(void);
/* The same for programs of agents: has this dispatcher a place, and may another one that has look for them? */
extern void tz_worker_places(bool some);
extern void tz_worker_pass_programs(void);
/* True, and we will look again, when this process is a dispatcher that accepts work. */
extern bool tz_worker_takes_own(void);
/* No turn before, after an error; DT_NOEND while the extension is not ours to work with. */
extern TimestampTz tz_worker_rests_until(void);

/* A bit for each bucket of runs: commits that end a run of it, or let one take a step, set this worker's latch. */
extern void tz_worker_watch_runs(uint64 ended, uint64 moved);

/* What worker_status() shows. */
extern void tz_worker_state(const char *state); /* a literal: "idle", "claiming", ... at most 15 bytes */
extern void tz_worker_inflight(int n);
extern void tz_worker_note(const char *fmt, ...) pg_attribute_printf(1, 2); /* "" clears */

/* Lives as long as the process. */
extern MemoryContext tz_worker_context(void);
/* Reset after every turn. */
extern MemoryContext tz_worker_cycle(void);

/*
 * Pieces, used by tz_worker_main and by the launcher, which has no database.
 */
extern void tz_worker_signals(void);
extern int tz_worker_wait(
	long timeout_ms); /* TZ_TURN_ bits; latch reset, interrupts checked, settings reloaded */
extern void tz_worker_fds(void); /* raises RLIMIT_NOFILE to the hard limit */
/* Reserves n descriptors with the server's fd.c, so that its own cache shrinks. */
extern void tz_worker_reserve_fds(int n);
/* Aborts what is open, reports the error in progress, leaves the process ready for the next turn. */
extern void tz_worker_recover(void);

#endif /* TZ_WORKER_H */
