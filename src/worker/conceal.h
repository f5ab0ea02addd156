/*-------------------------------------------------------------------------
 *
 * conceal.h
 *	  Keeping the secrets of a call out of what comes back from it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_CONCEAL_H
#define TZ_CONCEAL_H

#include "adapter/adapter.h"
#include "lib/mask.h"

/*
 * Puts *** in the place of every value in result, state, content and error. Not
 * in "sandbox" and "snapshot", which must be given back as they were: a value of
 * 8 bytes or more there is refused. values: those of the mask. An outcome that
 * cannot be masked becomes a failure that says so and keeps nothing of it.
 */
extern void tz_conceal_outcome(const TzMask *mask, const TzSlice *values, int n, TzOutcome *out);
/* The same in a document that is only read. */
extern TzStatus tz_conceal_document(const TzMask *mask, json_t *doc);
/* Message, detail and hint, each perhaps cut off at its end. Without memory they are emptied. */
extern void tz_conceal_err(const TzMask *mask, TzErr *err);
/* Nothing of it can be kept, as its secrets cannot be found. */
extern void tz_conceal_withhold(TzOutcome *out, TzStatus why);

#endif /* TZ_CONCEAL_H */
