/*-------------------------------------------------------------------------
 *
 * done.h
 *	  Settling effects: theazo_internal.effect_done and its small relatives.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_DONE_H
#define TZ_DONE_H

#include "lib/buf.h"
#include "utils/timestamp.h"

/* What came of one attempt; borrowed during the calls below. */
typedef struct TzSettle
{
	const char *platform_id;
	const char *root_id;
	const char *id;
	const char *kind;
	const char *agent_id; /* NULL: none */
	int attempt;
	const char *verdict; /* done, next, retry, failed, unknown, cancelled, released */
	const char *result; /* JSON text, NULL for none */
	TzSlice content; /* data NULL: none */
	TimestampTz started;
	TimestampTz finished;
} TzSettle;

/* Inside a transaction: settles them all; throws when one of them does. */
extern int tz_effect_done(const TzSettle *items, int n);

/*
 * In transactions of its own: settles them by ever smaller ranges, and marks as
 * broken what still throws alone, so that one bad row never stops the queue.
 * locked[i] becomes true, and the row counts as done, where an open transaction of somebody's
 * holds what item i needs: to be tried again later.
 * Throws only for troubles that are not the row's (deadlock, no space,
 * shutdown), then with *settled saying how many need not be tried again.
 */
extern void tz_effect_done_each(const TzSettle *items, int n, bool *locked, int *settled);

/* In a transaction of its own, without waiting for a lock. */
typedef enum TzDoneNow
{
	TZ_DONE_SETTLED,
	TZ_DONE_LOCKED, /* somebody's open transaction holds its rows */
	TZ_DONE_THROWS /* whatever else: for tz_effect_done_each */
} TzDoneNow;

extern TzDoneNow tz_effect_done_now(const TzSettle *item);

/* Inside a transaction: how long it waits for a lock. A client that idles in its transaction must not hold up others. */
extern void tz_effect_lock_wait(int ms);
#define TZ_DONE_LOCK_MS 100
/* True when an error says nothing about the rows it met. */
extern bool tz_error_is_passing(int sqlstate);

/* Inside a transaction: calls still in flight. Arrays of n. */
extern void tz_effect_sent(const char *const *root_ids, const char *const *ids, const int *attempts, int n);

/* Inside a transaction: what must be cut. cb must not throw. */
typedef void (*TzCancelSink)(void *arg, const char *id, int attempt);
extern int tz_effect_cancels(int64 incarnation, TzCancelSink cb, void *arg);

/* Inside a transaction: tells which of them are still this attempt's to send. */
extern void tz_effect_verify(int64 incarnation, const char *const *root_ids, const char *const *ids,
                             const int *attempts, int n, bool *mine);

#endif /* TZ_DONE_H */
