/*-------------------------------------------------------------------------
 *
 * permission.h
 *	  May this agent do this: rules, scopes, network and labels.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_PERMISSION_H
#define TZ_PERMISSION_H

#include "utils/array.h"

#include "gate/gate.h"
#include "gate/rules.h"

/* All palloc'ed in the caller's context. */
typedef struct TzPermission
{
	bool allowed;
	const char *check; /* permission, flow */
	char *rule; /* prl_, frl_, scope:..., network; when allowed what allows it, or unrestricted */
	char *message; /* when refused: for the model and the caller alike */
	char *hint;
	char *alternative; /* what would be allowed instead, or NULL */
} TzPermission;

/* What the gate asks (gate.h), with the words for both outcomes. Of the policy: definition, scopes, network, template. */
extern void tz_permission_decide(const TzGateAsk *ask, TzPermission *out);

/* Labels of everything that this action reads, key: of the context or the input. A text[] without duplicates, sorted. */
extern ArrayType *tz_flow_sources(const TzGateAsk *ask, TzSlice key);

#endif /* TZ_PERMISSION_H */
