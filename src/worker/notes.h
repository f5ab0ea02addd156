/*-------------------------------------------------------------------------
 *
 * notes.h
 *	  What happened without being asked for, on its way to the rows:
 *	  connections of sandboxes, what programs in them report, and sandboxes that
 *	  ended by themselves.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_NOTES_H
#define TZ_NOTES_H

#include "worker/local.h"

typedef struct TzNote TzNote;

typedef struct TzNotes
{
	TzNote *first;
	TzNote *last;
	int n;
	int written; /* by the transaction that is open */
} TzNotes;

/* False when it cannot be kept: too many wait, or no memory. Never throw. */
extern bool tz_notes_connection(TzNotes *notes, const TzLocalConnection *conn);
/* records: JSON text, taken over; NULL: nothing to be done. Ask for room before. */
extern bool tz_notes_reports(TzNotes *notes, const char *platform_id, const char *run_id, char *records);
extern bool tz_notes_room(const TzNotes *notes);
extern bool tz_notes_gone(TzNotes *notes, const char *platform_id, const char *sandbox_id,
                          const char *reason);

/* Inside a transaction: writes up to max of them. */
extern void tz_notes_write(TzNotes *notes, int max);
/* After its commit: forgets those; after its abort: drops none. */
extern void tz_notes_written(TzNotes *notes, bool committed);
/* In a transaction of its own each; one that throws is reported and dropped. */
extern void tz_notes_write_each(TzNotes *notes, int max);

#endif /* TZ_NOTES_H */
