/*-------------------------------------------------------------------------
 *
 * safety.h
 *	  The content filter of this process: the shipped rules, and the rows that
 *	  platforms have laid over them.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_CALL_SAFETY_H
#define TZ_CALL_SAFETY_H

#include "safety/guard.h"

/* Compiles the shipped rules, so that every process has them from the beginning. In the postmaster. */
extern void tz_safety_init(void);

/* The shipped rules; NULL with *err set when they cannot be had. Does not throw. */
extern TzScorer *tz_safety_scorer(TzErr *err);

/*
 * What a model's answer is held against while it streams, from the document in its
 * request. False: it cannot be told, so nothing may be shown. *extra is to be given
 * back. Does not throw.
 */
extern bool tz_safety_stream(const char *platform, const char *level, bool injection, bool pii,
                             TzGuard *guard, TzScorer **scorer, TzExtra **extra);
extern void tz_safety_release(TzExtra *extra); /* may be NULL */

#endif /* TZ_CALL_SAFETY_H */
