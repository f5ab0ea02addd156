/*-------------------------------------------------------------------------
 *
 * kept.h
 *	  Secrets that providers hand out for one sandbox, kept in memory.
 *
 * Some providers give each sandbox a token of its own. It is never written to a
 * row: a process that does not have it asks the provider again. Include after
 * postgres.h. Nothing here throws.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_KEPT_H
#define TZ_KEPT_H

#include "effect/claim.h"
#include "lib/buf.h"

#define TZ_KEPT_VALUE_MAX 4096

/* What is kept for the sandbox of this call by the provider's name of it, or an empty slice; borrowed until the next call here. */
extern TzSlice tz_kept_find(const TzClaimed *claim, const char *sandbox);
/* Replaces it; an empty value forgets it. What does not fit into memory is not kept. */
extern void tz_kept_put(const TzClaimed *claim, const char *sandbox, TzSlice value);

#endif /* TZ_KEPT_H */
