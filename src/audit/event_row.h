/*-------------------------------------------------------------------------
 *
 * event_row.h
 *	  From a stored event to the bytes that are hashed.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_EVENT_ROW_H
#define TZ_EVENT_ROW_H

#include "lib/entry.h"

/* What to select FROM theazo_data.event e: one column for each field of an entry, in its order. */
#define TZ_EVENT_COLUMNS                                                                            \
	"e.platform_id, e.id, e.number, e.occurred_at, e.xid, e.instance, e.environment, e.session_id," \
	" e.agent_id, e.run_id, e.actor_kind, e.actor_id, e.request_id, e.category, e.action,"          \
	" e.permission_state, e.decision, e.rule, e.is_violation, e.personal, e.body"

/* Numbers of an entry as text. */
typedef struct TzEventNumbers
{
	char number[TZ_ENTRY_INT_MAX];
	char occurred_at[TZ_ENTRY_INT_MAX];
	char xid[TZ_ENTRY_INT_MAX];
} TzEventNumbers;

/*
 * The entry of a row whose first columns are those above. Its slices point into
 * the row, into numbers, or to what was detoasted or recoded in the current
 * memory context.
 */
extern void tz_event_entry(const Datum *values, const bool *nulls, TzEventNumbers *numbers, TzEntry *entry);

#endif /* TZ_EVENT_ROW_H */
