/*-------------------------------------------------------------------------
 *
 * sealer.h
 *	  Gives events their places: rows of seal and tree_node.
 *
 * A sealer takes events in any order, keeps their leaves, and every few thousand
 * sorts them and writes rows: for each platform runs of ascending ids that go on
 * where its chain ends. Its memory is bounded whatever a transaction held.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_SEALER_H
#define TZ_SEALER_H

#include "audit/event_row.h"
#include "lib/id.h"

/* What to select: an entry's columns, then the format. */
#define TZ_SEAL_COLUMNS TZ_EVENT_COLUMNS ", e.format"
#define TZ_SEAL_FORMAT TZ_ENTRY_FIELDS /* index of the format */

#define TZ_SEAL_EVENTS_MAX 128 /* of a row */
#define TZ_SEAL_SPAN_MS 10000 /* of id time in a row, less than */

typedef struct TzSealer TzSealer;

/*
 * One for a transaction, in the current memory context. heads_hold: what this
 * process remembers of the ends of the chains is still true.
 */
extern TzSealer *tz_sealer_begin(bool heads_hold);

/* False when the row cannot be sealed: its id or its format is none of ours. Copies what it needs. */
extern bool tz_sealer_add(TzSealer *sealer, const Datum *values, const bool *nulls);

/* Writes what was added. */
extern void tz_sealer_flush(TzSealer *sealer);

/* Events sealed, and rows that could not be. */
extern uint64 tz_sealer_sealed(const TzSealer *sealer);
extern uint64 tz_sealer_odd(const TzSealer *sealer);

#endif /* TZ_SEALER_H */
