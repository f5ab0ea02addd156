/*-------------------------------------------------------------------------
 *
 * personal.h
 *	  Personal fields of events: committed to, and sealed under a key of the user.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_PERSONAL_H
#define TZ_PERSONAL_H

#include "lib/id.h"
#include "utils/jsonb.h"

/* What becomes of the personal fields of a summary. */
typedef struct TzPersonal
{
	char *commitments; /* column personal; NULL when there are none */
	TzSlice sealed; /* column personal_sealed, palloc'ed */
} TzPersonal;

/*
 * Takes the personal fields out of the summary of a session's event and
 * returns the rest, NULL when nothing is left. When they cannot be sealed
 * (no master key, unknown session) they are replaced by "[withheld]".
 */
extern Jsonb *tz_personal_split(Jsonb *summary, TzSlice platform, TzSlice session, const char *event_id,
                                TzPersonal *personal);

#endif /* TZ_PERSONAL_H */
