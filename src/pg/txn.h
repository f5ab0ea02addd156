/*-------------------------------------------------------------------------
 *
 * txn.h
 *	  A worker's transactions: the one order of begin and end.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_TXN_H
#define TZ_TXN_H

/* Whose rights this process's transactions have instead of theazo_worker's; a literal. */
extern void tz_txn_role(const char *role);

/*
 * Opens a transaction with SPI connected, a snapshot pushed and the user
 * switched to theazo_worker. activity is what pg_stat_activity shows: a literal,
 * no values. Statements are cancelled (57014) after timeout_ms, 0 for never.
 */
extern void tz_txn_begin(const char *activity, int timeout_ms);

/* The same at REPEATABLE READ: every statement sees what the first one saw. */
extern void tz_txn_begin_snapshot(const char *activity, int timeout_ms);
extern void tz_txn_commit(void);

/* The same, and nobody waits for the result: the commit record may be lost in a crash. */
extern void tz_txn_commit_lazy(void);

/* Rolls back whatever is open; harmless when nothing is. */
extern void tz_txn_abort(void);

/*
 * Runs work(arg) in one of its own. True when it has committed; else it was rolled
 * back, and *error (in the caller's context) says why.
 */
extern bool tz_txn_try(const char *activity, int timeout_ms, void (*work)(void *arg), void *arg,
                       ErrorData **error);

/* Is one open? */
extern bool tz_txn_open(void);

#endif /* TZ_TXN_H */
