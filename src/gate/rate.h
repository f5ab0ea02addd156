/*-------------------------------------------------------------------------
 *
 * rate.h
 *	  Rate limits: token buckets in shared memory.
 *
 * A bucket belongs to a scope, a platform and a subject, and is made when it is
 * first used. A crash or restart fills all of them; nothing else is lost.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_RATE_H
#define TZ_RATE_H

#include "lib/buf.h"

/* What is counted, for each subject of the scope on its own. */
typedef enum TzRateScope
{
	TZ_RATE_KEY, /* how often an API key is shown */
	TZ_RATE_PLATFORM, /* calls of a platform, whoever makes them; no subject */
	TZ_RATE_SESSION, /* work begun in a session: runs, commands, file work */
	TZ_RATE_AGENT, /* the same of an agent */
	TZ_RATE_RUN, /* tool calls of a run */
	TZ_RATE_SPAWN, /* runs that runs of one agent have started */
	TZ_RATE_PROVIDER, /* calls to a provider */
	TZ_RATE_SCOPES
} TzRateScope;

/* Asks for its shared memory; called once, while libraries are preloaded. */
extern void tz_rate_init(void);

/* What names a bucket; the same as long as the server runs. */
extern uint64 tz_rate_tag(TzRateScope scope, TzSlice platform, TzSlice subject);

/*
 * One token of that bucket. False: there is none; *retry_ms (rounded up, at least
 * 1) is when there is one, if nobody else takes it. What cannot be a limit
 * (per_minute or burst not above zero) limits nothing. most: the largest burst of
 * any limit that is part of this one; what was taken is not forgotten below it,
 * or a stricter limit that is set for a moment would fill the bucket. Does not
 * throw, needs no transaction.
 */
extern bool tz_rate_take(TzRateScope scope, uint64 tag, double per_minute, int burst, int most,
                         int64 *retry_ms);

/*
 * The same for what can be put off: where a token comes within longest_ms it is
 * taken, and *wait_ms is how long to wait (0: not at all). Whoever comes next
 * waits behind it.
 */
extern bool tz_rate_reserve(uint64 tag, double per_minute, int burst, int64 longest_ms, int64 *wait_ms);

/* Name of a scope, as rows have it; and back, false when it is none. */
extern const char *tz_rate_scope_name(TzRateScope scope);
extern bool tz_rate_scope_find(TzSlice name, TzRateScope *scope);

#endif /* TZ_RATE_H */
