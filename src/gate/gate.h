/*-------------------------------------------------------------------------
 *
 * gate.h
 *	  The one gate that every action passes before an effect of it is queued.
 *
 * Order: kill switch, permission, rate. Who asks and whether a key's scopes cover
 * the call was settled by enter(); budgets, approvals and content safety are
 * decided by SQL after this (tool_gate.sql, budget.sql, safety.sql). Each check
 * is one function that sees the same question and fills in the same refusal, so
 * the order stands in one place.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_GATE_H
#define TZ_GATE_H

#include "lib/buf.h"
#include "utils/jsonb.h"

#define TZ_GATE_LABELS_MAX 64

/* What is asked. Slices without data: unknown or not applicable; borrowed during the call. */
typedef struct TzGateAsk
{
	TzSlice kind; /* of the effect, or run.start, run.spawn */
	TzSlice platform;
	TzSlice environment;
	TzSlice session;
	TzSlice agent;
	TzSlice run; /* run_... */
	TzSlice parent; /* root of the run that started this one */
	TzSlice provider; /* effect.provider_name */
	TzSlice tool; /* a model's tool call */
	TzSlice path; /* cleaned, begins with a slash */
	TzSlice host; /* lower case */
	Jsonb *policy; /* of the run or agent (run_loop.policy); NULL: none */
	TzSlice labels[TZ_GATE_LABELS_MAX]; /* of what the run has read */
	int nlabels;
} TzGateAsk;

/* Why not. Texts are palloc'ed or constant; NULL where there is nothing to say. */
typedef struct TzGateRefusal
{
	const char *check; /* halt, permission, flow, rate */
	const char *sqlstate; /* TZ203, TZ602, TZ201 */
	const char *code; /* REST code */
	const char *category; /* of the event */
	const char *action; /* of the event */
	const char *rule; /* which one said no: also the reason in DETAIL */
	const char *message;
	const char *hint;
	const char *alternative; /* what would be allowed */
	int64 retry_ms; /* rate: when it may be asked again */
	bool violation;
} TzGateRefusal;

/*
 * Each returns true when it refuses. They read shared memory and memos; the first look after a change reads rows. A rate
 * that is allowed with retry_ms set has taken a later place: the effect is to be due only then.
 */
extern bool tz_halt_judge(const TzGateAsk *ask, TzGateRefusal *why);
extern bool tz_permission_judge(const TzGateAsk *ask, TzGateRefusal *why);
extern bool tz_rate_judge(const TzGateAsk *ask, TzGateRefusal *why);

/* Asks all of them, in order. Allowed: leaves a pass for one effect of this kind, until the transaction ends. */
extern bool tz_gate_judge(const TzGateAsk *ask, TzGateRefusal *why);

/*
 * Takes the pass for an effect of this kind of this agent (no data: of none). Kinds that need none always succeed.
 * False: the caller never asked.
 */
extern bool tz_gate_take_pass(TzSlice kind, TzSlice platform, TzSlice agent);

extern void tz_gate_init(void); /* once per process */

#endif /* TZ_GATE_H */
