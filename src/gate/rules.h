/*-------------------------------------------------------------------------
 *
 * rules.h
 *	  A platform's permission rules, labels and tools, as this process remembers them.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_RULES_H
#define TZ_RULES_H

#include "lib/buf.h"

#define TZ_RULE_SCOPES_MAX 2

/* In order of how much they leave open. */
typedef enum TzTemplate
{
	TZ_TEMPLATE_NONE = 0,
	TZ_TEMPLATE_STRICT,
	TZ_TEMPLATE_STANDARD,
	TZ_TEMPLATE_DEV
} TzTemplate;

/* Empty: whatever it is. */
typedef struct TzRule
{
	TzSlice id;
	bool allow;
	TzSlice scope;
	TzSlice tool;
	TzSlice path;
	TzSlice host;
	TzSlice subject; /* an agent or a definition */
} TzRule;

/* A label's source (kind: tool, path, host, context, input) or its sink (tool, scope, host). */
typedef struct TzFlow
{
	TzSlice id;
	TzSlice label;
	TzSlice kind;
	TzSlice pattern;
	TzSlice subject;
} TzFlow;

typedef struct TzRuleTool
{
	TzSlice name;
	bool reads; /* a function of the database that does not write */
} TzRuleTool;

/* What an action of this kind needs: one of the scopes; none of them: nothing. */
typedef struct TzRuleKind
{
	TzSlice kind;
	TzSlice scopes[TZ_RULE_SCOPES_MAX];
	int nscopes;
} TzRuleKind;

typedef struct TzRules
{
	TzRule *rules; /* deny before allow, what names more before what names less */
	int nrules;
	TzFlow *sources;
	int nsources;
	TzFlow *sinks;
	int nsinks;
	TzRuleTool *tools;
	int ntools;
	TzRuleKind *kinds;
	int nkinds;
	TzTemplate loosest; /* that the platform allows, and what those get that name none */
	TzSlice digest; /* of everything above: another one, another policy */
} TzRules;

/* Rules of a platform, read again when they have changed. Valid until the next call of anything that reads rows. */
extern const TzRules *tz_rules(TzSlice platform);

extern TzTemplate tz_template(TzSlice name);

#endif /* TZ_RULES_H */
