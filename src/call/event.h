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

#include "fmgr.h"
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

/*
 * Records a refusal: through shared memory, so that it stays although the
 * transaction ends in an error. What the event does not say of platform,
 * session and environment is the caller's. Waits a moment for the commit.
 */
extern void tz_event_refused(const TzEvent *event);

/* Records that the caller was refused with this code and message; rule says why in one word. */
extern void tz_event_denied(const char *action, const char *rule, bool is_violation, const char *code,
                            const char *message);

/* The arguments of theazo_internal.event_write() and event_refused(). */
extern void tz_event_args(FunctionCallInfo fcinfo, TzEvent *event);

/* Parts of an event, as they are stored. */
extern TzSlice tz_event_request(void);
extern Datum tz_event_body(Jsonb *summary);
extern Jsonb *tz_event_summary(Jsonb *summary);

/* Fields of a summary under construction; a slice without data is left out. */
extern void tz_event_put(JsonbParseState **state, const char *key, TzSlice value);
extern void tz_event_put_int(JsonbParseState **state, const char *key, int64 value);
extern void tz_event_put_texts(JsonbParseState **state, const char *key, ArrayType *values);

#endif /* TZ_EVENT_H */
