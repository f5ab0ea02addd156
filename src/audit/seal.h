/*-------------------------------------------------------------------------
 *
 * seal.h
 *	  One turn of sealing, as its parts see it.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_SEAL_H
#define TZ_SEAL_H

#include "audit/sealer.h"
#include "pg/spi.h"

#define TZ_SEAL_TURN_EVENTS 20000 /* after so many a turn ends, at the border of a transaction */

/* Transactions that are over: those below next, but for the open ones. */
typedef struct TzXids
{
	uint64 next;
	int nopen;
	uint64 *open; /* ascending */
} TzXids;

typedef struct TzSealTurn
{
	TzSealer *sealer;
	bool claimed; /* no other turn writes */
	TzXids cursor; /* sealed: as stored, and as it will be stored */
	TzXids now; /* over in this transaction's snapshot */
	uint64 events; /* read that are new to the cursor */
	bool more;
} TzSealTurn;

/* Is this transaction over? */
extern bool tz_xid_over(const TzXids *xids, uint64 xid);

/* Before the first event of a turn is added: makes sure that no other turn writes. */
extern void tz_seal_claim(TzSealTurn *turn);

/* Calls row for each row of a query over TZ_SEAL_COLUMNS until it returns false. */
typedef bool (*TzSealRow)(TzSealTurn *turn, const Datum *values, const bool *nulls);
extern void tz_seal_scan(TzSealTurn *turn, TzStmt *stmt, const Datum *args, TzSealRow row);

/*
 * sweep.c: looks for events without a seal that no turn of the cursor will meet:
 * those that were restored, or came from another instance. A step a turn, as long
 * as theazo_data.audit_sweep says that there may be some.
 */
extern void tz_sweep_note(void);
extern bool tz_sweep_step(TzSealTurn *turn); /* true: there is more */
extern void tz_sweep_forget(void); /* the transaction of the last step was rolled back */

#endif /* TZ_SEAL_H */
