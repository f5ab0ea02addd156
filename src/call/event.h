/*-------------------------------------------------------------------------
 *
 * event.h
 *	  The one way to write an audit event.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_EVENT_H
#define TZ_EVENT_H

#include "lib/id.h"
#include "utils/array.h"
#include "utils/jsonb.h"

/* data NULL where there is none. */
typedef struct TzEvent
{
	TzSlice platform;
	TzSlice category;
	TzSlice action;
	TzSlice session;
	TzSlice agent;
	TzSlice run;
	TzSlice environment; /* none: live */
	TzSlice permission; /* state of the permission that was asked for */
	TzSlice decision;
	TzSlice rule;
	bool is_violation;
	Jsonb *summary; /* bounded and masked here; may be NULL */
} TzEvent;

/* Writes it in the current transaction; id gets its name, terminated. */
extern void tz_event_write(const TzEvent *event, char id[TZ_ID_MAX + 1]);

/* Fields of a summary under construction; a slice without data is left out. */
extern void tz_event_put(JsonbParseState **state, const char *key, TzSlice value);
extern void tz_event_put_int(JsonbParseState **state, const char *key, int64 value);
extern void tz_event_put_texts(JsonbParseState **state, const char *key, ArrayType *values);

#endif /* TZ_EVENT_H */
