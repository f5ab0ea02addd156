/*-------------------------------------------------------------------------
 *
 * dispatcher.h
 *	  What a dispatcher holds, and the part of its turn that needs rows.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_DISPATCHER_H
#define TZ_DISPATCHER_H

#include "lib/pace.h"
#include "worker/carry.h"

#define TZ_TURN_TIMEOUT_MS 30000 /* for any transaction of a dispatcher */

typedef enum TzPhase
{
	TZ_PHASE_IDLE,
	TZ_PHASE_NOTES,
	TZ_PHASE_SETTLE,
	TZ_PHASE_CALLS,
	TZ_PHASE_MARKS,
	TZ_PHASE_CLAIM,
	TZ_PHASE_COMMIT
} TzPhase;

typedef struct TzDispatcher
{
	TzCarrier carrier;
	int slot;
	int64 incarnation;
	bool want_claim;
	bool woken; /* a commit told us, and perhaps only us */
	bool reloaded; /* settings were read again, and strings of before are gone */
	bool careful; /* the last claim threw: look at secrets one by one, and settle apart */
	int claim_backoff_ms;
	TimestampTz claim_not_before;
	bool more; /* the last claim was as large as asked for */
	bool programs_left; /* by the last claim, for want of a place */
	bool halting; /* what was cut by a halt is not all settled: the keeper waits for it */
	uint32 cancel_epoch; /* that was looked at */
	TimestampTz claim_at; /* the next one without being woken */
	TimestampTz sql_at; /* no transaction before */
	TimestampTz room_at; /* when any room is worth a claim */
	TimestampTz parked_at; /* when what is parked is tried again */
	int contended; /* looks in a row that found due rows and got none */
	TzPace settling;
	TzPace marking;
	TzPace claiming; /* until what was claimed has begun */

	/* of the turn under way */
	TzPhase phase;
	TzSettle *settle;
	int nsettle;
	bool cancels; /* some flights were marked */
	TzClaimed *claimed;
	int64 claim_us; /* what the claim took so far */
} TzDispatcher;

/* Processor time of this process, so that how busy the machine is does not count. */
extern int64 tz_cpu_us(void);
extern TzFlightList *tz_flights_of(TzDispatcher *d, TzFlightState state);

/* Something waits to be written. */
extern bool tz_turn_news(TzDispatcher *d);
/* A claim may be made, for want of nothing but its time. */
extern bool tz_turn_room(TzDispatcher *d, TimestampTz now);
/* When what room there is may be claimed for. */
extern TimestampTz tz_turn_claim_time(const TzDispatcher *d);
/* True when a flying call is old enough to be marked as sent: so many milliseconds. */
#define TZ_SENT_AFTER_MS 500
extern bool tz_turn_sent_due(TzDispatcher *d, TimestampTz now);

/*
 * Settles, marks and claims, if there is anything to do and its time has come. What fails there is kept for the
 * next turn; throws what is not one row's fault.
 */
extern void tz_turn_rows(TzDispatcher *d, bool stopping);
/* What somebody's open transaction had kept from being settled, each on its own. */
extern void tz_turn_parked(TzDispatcher *d);
/* Settles what has ended, as long as there is time; one batch at least. */
extern void tz_turn_leave(TzDispatcher *d, TimestampTz give_up);

#endif /* TZ_DISPATCHER_H */
