/*-------------------------------------------------------------------------
 *
 * ring.h
 *	  Events that must outlive the transaction of whoever causes them.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_RING_H
#define TZ_RING_H

#include "lib/buf.h"
#include "utils/timestamp.h"

#define TZ_RING_SLOTS 256

typedef enum TzRingText
{
	TZ_RING_PLATFORM,
	TZ_RING_ID,
	TZ_RING_ENVIRONMENT,
	TZ_RING_SESSION,
	TZ_RING_AGENT,
	TZ_RING_RUN,
	TZ_RING_ACTOR_KIND,
	TZ_RING_ACTOR,
	TZ_RING_REQUEST,
	TZ_RING_CATEGORY,
	TZ_RING_ACTION,
	TZ_RING_PERMISSION,
	TZ_RING_DECISION,
	TZ_RING_RULE,
	TZ_RING_BODY,
	TZ_RING_TEXTS
} TzRingText;

/* All of an event but its transaction and instance, which are the keeper's. data NULL where there is none. */
typedef struct TzRingEvent
{
	int64 number;
	TimestampTz at;
	bool is_violation;
	TzSlice text[TZ_RING_TEXTS];
} TzRingEvent;

/* Asks for its shared memory. */
extern void tz_ring_init(void);

/*
 * Gives an event of this database to its keeper. Works in a transaction that
 * is read-only or about to fail. wait: returns when it is committed, or after
 * half a second; the event is then still on its way. Without room, or where
 * no keeper serves the database, it warns the caller; what was lost for want of
 * room is counted, and the count becomes an event. May throw on a query's
 * cancellation, after the event was given.
 */
extern void tz_ring_put(const TzRingEvent *event, bool wait);

/* Keeper: writes what is there for this database and commits. Returns how many; may throw. */
extern int tz_ring_drain(Oid db);

#endif /* TZ_RING_H */
