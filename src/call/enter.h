/*-------------------------------------------------------------------------
 *
 * enter.h
 *	  The first line of every public function: who asks, and may they.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_ENTER_H
#define TZ_ENTER_H

#include "lib/buf.h"

/* Switched off (TZ105) or of two versions (TZ106)? */
extern void tz_enter_check(void);

/*
 * For a worker whose callers come from outside: whether their calls are counted as
 * those of a backend are. What it does by itself for a call that was counted is not.
 */
extern void tz_enter_counts(bool yes);

/* ... nobody (TZ601), or not allowed (TZ602)? A scope without data asks for none. */
extern void tz_enter(bool has_key, Datum api_key, TzSlice scope);

#endif /* TZ_ENTER_H */
