/*-------------------------------------------------------------------------
 *
 * carry.h
 *	  Carrying effects out: from a claimed row to an outcome.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_CARRY_H
#define TZ_CARRY_H

#include "worker/inflight.h"
#include "worker/notes.h"

typedef struct TzCarrier
{
	TzMux *mux;
	TzHttpClient *client;
	TzLocal *local;
	TzScripts *scripts;
	TzNetPolicy *policy;
	TzBoxPreflight preflight;
	TzInflight flights;
	TzNotes notes;
	bool reporting; /* a command has said something that nobody was told yet */
	TimestampTz report_at; /* when what commands say is passed on again */
	int holds; /* calls that only wait: probe.hold */
	int slot;
} TzCarrier;

/* Throws when the machine refuses what is needed. */
extern void tz_carrier_init(TzCarrier *c, int slot, int64 incarnation);
/* Settings were read again. A list that does not parse keeps the old one in force. */
extern void tz_carrier_reconfigure(TzCarrier *c);
/* The rest never throws. */
extern void tz_carrier_pump(TzCarrier *c);
/* Milliseconds until pump must run, -1 for whenever. */
extern int tz_carrier_timeout(const TzCarrier *c);
/* CLAIMED to FLYING or, at once, ENDED. */
extern void tz_carrier_begin(TzCarrier *c, TzFlight *f);
/* Cuts a call that flies, ends one that does not. */
extern void tz_carrier_cancel(TzCarrier *c, TzFlight *f);
/*
 * Marks what the halts that were read last hold for, to be cut, and kills the sandboxes of it. Returns how many of both.
 */
extern int tz_carrier_halt(TzCarrier *c);
/* It has been settled: programs that wait for it are told. */
extern void tz_carrier_settled(TzCarrier *c, const TzFlight *f);
/* Opens a sealed secret; a TzSecretOpen. */
extern TzStatus tz_carrier_open(const TzSealedSecret *sealed, TzBuf *out, int *sqlstate, TzErr *err);

#endif /* TZ_CARRY_H */
