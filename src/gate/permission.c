/*-------------------------------------------------------------------------
 *
 * permission.c
 *	  May this agent do this: rules, scopes, network and labels.
 *
 * Code in a sandbox can open every file there and, where the sandbox has network,
 * reach every host it is open to. So an action has what it surely does and what it
 * may do, and the two sides of a decision read it differently: a rule that forbids
 * holds when the action may do what the rule names, one that allows only when the
 * action surely does no more. What is not known (a path that cannot be read, a host
 * that is not the agent's to choose) is everything for the first and nothing for
 * the second.
 *
 * Order: rules that forbid; scopes, to which rules that allow add; the network that
 * the agent was made with; labels. An agent without permissions has every scope, one
 * without permissions and template may use the network of this server.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "gate/permission.h"
#include "lib/pattern.h"
#include "pg/convert.h"
#include "pg/export.h"

#define NETWORK_SCOPE "network:outbound"

/* An action as the rules look at it. */
typedef struct Case
{
	const TzGateAsk *ask;
	const TzRules *rules;
	const TzRuleKind *kind; /* NULL: a kind that nothing is known of */
	TzSlice need[TZ_RULE_SCOPES_MAX]; /* one of them */
	int nneed;
	JsonbValue *scopes; /* of the agent; NULL: it has no permissions */
	JsonbValue *network;
	TzSlice definition;
	TzTemplate template;
	bool network_on; /* the agent was made with network */
	bool is_code; /* runs code: any file */
	bool is_list;
	bool touches_files;
	bool touches_network; /* sends something out, or may */
	char host[TZ_PATTERN_HOST_MAX + 1];
	bool host_known;
} Case;

static void case_open(Case *c, const TzGateAsk *ask);
static TzSlice policy_text(Jsonb *policy, const char *key);
static JsonbValue *member(JsonbValue *object, const char *key);
static bool covers_subject(const Case *c, TzSlice subject);
static bool scope_is(const Case *c, TzSlice pattern);
static bool may_path(const Case *c, TzSlice pattern);
static bool may_host(const Case *c, TzSlice pattern);
static bool rule_forbids(const Case *c, const TzRule *rule);
static bool rule_allows(const Case *c, const TzRule *rule, TzSlice scope);
static bool scope_held(const Case *c, TzSlice scope);
static const TzRule *scope_given(const Case *c);
static const TzFlow *sink_hit(const Case *c);
static bool source_hit(const Case *c, const TzFlow *source, TzSlice key);
static void refuse_by_rule(const Case *c, const TzRule *rule, TzPermission *out);
static void refuse_by_scope(const Case *c, TzPermission *out);
static bool refuse_by_network(const Case *c, TzPermission *out);
static void refuse_by_label(const Case *c, const TzFlow *sink, TzPermission *out);
static const char *subject_words(const Case *c);
static char *slice_cstr(TzSlice text);

void
tz_permission_decide(const TzGateAsk *ask, TzPermission *out)
{
	Case c;
	const TzRule *given = NULL;
	const TzFlow *sink;

	memset(out, 0, sizeof(*out));
	out->check = "permission";
	case_open(&c, ask);
	for (int i = 0; i < c.rules->nrules; i++)
		if (rule_forbids(&c, &c.rules->rules[i]))
		{
			refuse_by_rule(&c, &c.rules->rules[i], out);
			return;
		}
	if (c.scopes != NULL)
	{
		bool held = c.kind != NULL && c.nneed == 0;

		for (int i = 0; i < c.nneed && !held; i++)
			held = scope_held(&c, c.need[i]);
		if (!held)
		{
			given = scope_given(&c);
			if (given == NULL)
			{
				refuse_by_scope(&c, out);
				return;
			}
		}
	}
	if (refuse_by_network(&c, out))
		return;
	sink = sink_hit(&c);
	if (sink != NULL)
	{
		refuse_by_label(&c, sink, out);
		return;
	}
	out->allowed = true;
	if (given != NULL)
		out->rule = slice_cstr(given->id);
	else if (c.scopes != NULL && c.nneed > 0)
	{
		int i = 0;

		while (i < c.nneed - 1 && !scope_held(&c, c.need[i]))
			i++;
		out->rule = psprintf("scope:%.*s", (int) c.need[i].len, c.need[i].data);
	}
	else
		out->rule = pstrdup("unrestricted");
}

bool
tz_permission_judge(const TzGateAsk *ask, TzGateRefusal *why)
{
	TzPermission verdict;

	tz_permission_decide(ask, &verdict);
	if (verdict.allowed)
		return false;
	why->check = verdict.check;
	why->sqlstate = "TZ602";
	why->code = "forbidden";
	why->category = "permission";
	why->action = "permission_denied";
	why->rule = verdict.rule;
	why->message = verdict.message;
	why->hint = verdict.hint;
	why->alternative = verdict.alternative;
	why->violation = true;
	return true;
}

/* ---- the case ------------------------------------------------------------------ */

static bool
action_is(const TzGateAsk *ask, const char *kind)
{
	return tz_slice_eq_cstr(ask->kind, kind);
}

static void
case_open(Case *c, const TzGateAsk *ask)
{
	bool is_request =
		action_is(ask, "http.get") || action_is(ask, "http.request") || action_is(ask, "http.fetch");

	memset(c, 0, sizeof(*c));
	c->ask = ask;
	c->rules = tz_rules(ask->platform);
	for (int i = 0; i < c->rules->nkinds; i++)
		if (tz_slice_eq(c->rules->kinds[i].kind, ask->kind))
			c->kind = &c->rules->kinds[i];
	if (c->kind != NULL)
	{
		c->nneed = c->kind->nscopes;
		memcpy(c->need, c->kind->scopes, sizeof(c->need));
	}
	if (action_is(ask, "tool.sql"))
	{
		/* one that is not known may write */
		bool reads = false;

		for (int i = 0; i < c->rules->ntools; i++)
			if (tz_slice_eq(c->rules->tools[i].name, ask->tool))
				reads = c->rules->tools[i].reads;
		c->need[0] = tz_slice_cstr(reads ? "data:read" : "data:write");
		c->nneed = 1;
	}
	if (ask->policy != NULL && JB_ROOT_IS_OBJECT(ask->policy))
	{
		c->scopes = getKeyJsonValueFromContainer(&ask->policy->root, "scopes", 6, NULL);
		c->network = getKeyJsonValueFromContainer(&ask->policy->root, "network", 7, NULL);
		c->template = tz_template(policy_text(ask->policy, "template"));
		c->definition = policy_text(ask->policy, "definition");
	}
	/* what the platform allows holds for those that name nothing, and for those that named more */
	if (c->rules->loosest != TZ_TEMPLATE_NONE)
		c->template =
			c->template == TZ_TEMPLATE_NONE ? c->rules->loosest : Min(c->template, c->rules->loosest);
	if (c->network != NULL)
	{
		JsonbValue *on = c->network->type == jbvBool ? c->network : member(c->network, "enabled");

		c->network_on = on != NULL && on->type == jbvBool && on->val.boolean;
	}
	c->is_code = action_is(ask, "compute.exec");
	c->is_list = action_is(ask, "compute.list");
	c->touches_files =
		c->is_code || c->is_list || action_is(ask, "compute.read") || action_is(ask, "compute.write");
	/* of a tool that was tried nobody knows any more which one it was */
	c->touches_network =
		is_request || action_is(ask, "tool.test") || action_is(ask, "tool.webhook") ||
		(c->is_code && c->network_on && (c->scopes == NULL || scope_held(c, tz_slice_cstr(NETWORK_SCOPE))));
	c->host_known = ask->host.len > 0 && tz_pattern_host_clean(ask->host, c->host);
}

static TzSlice
policy_text(Jsonb *policy, const char *key)
{
	JsonbValue *value = getKeyJsonValueFromContainer(&policy->root, key, (int) strlen(key), NULL);

	return value != NULL && value->type == jbvString ? tz_slice(value->val.string.val, value->val.string.len)
	                                                 : tz_slice("", 0);
}

/* Of an object, or NULL. */
static JsonbValue *
member(JsonbValue *object, const char *key)
{
	if (object->type != jbvBinary || !JsonContainerIsObject(object->val.binary.data))
		return NULL;
	return getKeyJsonValueFromContainer(object->val.binary.data, key, (int) strlen(key), NULL);
}

/* Is the text among the strings of a JSON array. */
static bool
array_has(JsonbValue *array, TzSlice text)
{
	JsonbContainer *items = array->type == jbvBinary ? array->val.binary.data : NULL;

	if (items == NULL || !JsonContainerIsArray(items))
		return false;
	for (uint32 i = 0; i < JsonContainerSize(items); i++)
	{
		JsonbValue *item = getIthJsonbValueFromContainer(items, i);

		if (item->type == jbvString &&
		    tz_slice_eq(tz_slice(item->val.string.val, item->val.string.len), text))
			return true;
	}
	return false;
}

static bool
scope_held(const Case *c, TzSlice scope)
{
	return array_has(c->scopes, scope);
}

/* ---- matching -------------------------------------------------------------------- */

static bool
covers_subject(const Case *c, TzSlice subject)
{
	return subject.len == 0 || tz_slice_eq(subject, c->ask->agent) ||
	       (c->definition.len > 0 && tz_slice_eq(subject, c->definition));
}

/* Does, or may, the action do what this scope is about. */
static bool
scope_is(const Case *c, TzSlice pattern)
{
	for (int i = 0; i < c->nneed; i++)
		if (tz_pattern_name(pattern, c->need[i]))
			return true;
	return c->touches_network && tz_pattern_name(pattern, tz_slice_cstr(NETWORK_SCOPE));
}

static bool
may_path(const Case *c, TzSlice pattern)
{
	if (!c->touches_files)
		return false;
	if (c->is_code || c->ask->path.len == 0)
		return true;
	return c->is_list ? tz_pattern_listing(pattern, c->ask->path) : tz_pattern_path(pattern, c->ask->path);
}

static bool
may_host(const Case *c, TzSlice pattern)
{
	JsonbValue *allow;
	char text[TZ_PATTERN_HOST_MAX + 1];

	if (!c->touches_network)
		return false;
	if (c->host_known)
		return tz_pattern_host(pattern, tz_slice_cstr(c->host));
	if (!c->is_code)
		return true;
	/* a sandbox reaches what it was made for */
	allow = member(c->network, "allow");
	if (allow == NULL || allow->type != jbvBinary || !JsonContainerIsArray(allow->val.binary.data))
		return false;
	for (uint32 i = 0; i < JsonContainerSize(allow->val.binary.data); i++)
	{
		JsonbValue *item = getIthJsonbValueFromContainer(allow->val.binary.data, i);

		if (item->type == jbvString &&
		    tz_pattern_host_clean(tz_slice(item->val.string.val, item->val.string.len), text) &&
		    tz_pattern_host_overlap(pattern, tz_slice_cstr(text)))
			return true;
	}
	return false;
}

/*
 * Everything the rule names is something the action may do. Code is not a tool for reading files, so a rule about the
 * scope of files alone does not hold for it; one that names a path does.
 */
static bool
rule_forbids(const Case *c, const TzRule *rule)
{
	if (rule->allow || !covers_subject(c, rule->subject))
		return false;
	if (rule->tool.len > 0 && !(c->ask->tool.len > 0 && tz_pattern_name(rule->tool, c->ask->tool)))
		return false;
	if (rule->scope.len > 0 && !scope_is(c, rule->scope) &&
	    !(c->is_code && rule->path.len > 0 &&
	      (tz_pattern_name(rule->scope, tz_slice_cstr("storage:read")) ||
	       tz_pattern_name(rule->scope, tz_slice_cstr("storage:write")))))
		return false;
	if (rule->path.len > 0 && !may_path(c, rule->path))
		return false;
	return rule->host.len == 0 || may_host(c, rule->host);
}

/* The rule gives this scope, and the action does nothing beyond what it names. */
static bool
rule_allows(const Case *c, const TzRule *rule, TzSlice scope)
{
	if (!rule->allow || !covers_subject(c, rule->subject))
		return false;
	if (rule->scope.len > 0 && !tz_pattern_name(rule->scope, scope))
		return false;
	if (rule->tool.len > 0 && !(c->ask->tool.len > 0 && tz_pattern_name(rule->tool, c->ask->tool)))
		return false;
	if (rule->path.len > 0 &&
	    (c->is_code || c->ask->path.len == 0 || !tz_pattern_path(rule->path, c->ask->path)))
		return false;
	return rule->host.len == 0 || (c->host_known && tz_pattern_host(rule->host, tz_slice_cstr(c->host)));
}

static const TzRule *
scope_given(const Case *c)
{
	for (int i = 0; i < c->rules->nrules; i++)
		for (int j = 0; j < c->nneed; j++)
			if (rule_allows(c, &c->rules->rules[i], c->need[j]))
				return &c->rules->rules[i];
	return NULL;
}

/* ---- labels -------------------------------------------------------------------------- */

static bool
sink_matches(const Case *c, const TzFlow *sink)
{
	if (tz_slice_eq_cstr(sink->kind, "tool"))
		return c->ask->tool.len > 0 && tz_pattern_name(sink->pattern, c->ask->tool);
	if (tz_slice_eq_cstr(sink->kind, "scope"))
		return scope_is(c, sink->pattern);
	if (tz_slice_eq_cstr(sink->kind, "host"))
		return may_host(c, sink->pattern);
	/* written by a later version: closed */
	return true;
}

/*
 * What the action carries that a sink's rule is about, or no data. Code sends out what it reads in one go, so for it the
 * sources count that it may read.
 */
static TzSlice
label_carried(const Case *c, TzSlice pattern)
{
	for (int i = 0; i < c->ask->nlabels; i++)
		if (tz_pattern_name(pattern, c->ask->labels[i]))
			return c->ask->labels[i];
	for (int i = 0; i < c->rules->nsources && c->is_code; i++)
		if (source_hit(c, &c->rules->sources[i], tz_slice("", 0)) &&
		    tz_pattern_name(pattern, c->rules->sources[i].label))
			return c->rules->sources[i].label;
	return tz_slice(NULL, 0);
}

/* The first rule that keeps what the action carries from here. */
static const TzFlow *
sink_hit(const Case *c)
{
	for (int i = 0; i < c->rules->nsinks; i++)
	{
		const TzFlow *sink = &c->rules->sinks[i];

		if (covers_subject(c, sink->subject) && sink_matches(c, sink) &&
		    label_carried(c, sink->label).data != NULL)
			return sink;
	}
	return NULL;
}

static bool
source_hit(const Case *c, const TzFlow *source, TzSlice key)
{
	if (!covers_subject(c, source->subject))
		return false;
	if (tz_slice_eq_cstr(source->kind, "tool"))
		return c->ask->tool.len > 0 ? tz_pattern_name(source->pattern, c->ask->tool)
		                            : action_is(c->ask, "tool.test");
	if (tz_slice_eq_cstr(source->kind, "path"))
		return !action_is(c->ask, "compute.write") && may_path(c, source->pattern);
	if (tz_slice_eq_cstr(source->kind, "host"))
		return may_host(c, source->pattern);
	if (tz_slice_eq_cstr(source->kind, "context"))
		return action_is(c->ask, "context.read") && (key.len == 0 || tz_pattern_name(source->pattern, key));
	if (tz_slice_eq_cstr(source->kind, "input"))
		return action_is(c->ask, "input") && tz_pattern_name(source->pattern, key);
	return true;
}

static int
label_compare(const void *a, const void *b)
{
	TzSlice x = tz_datum_slice(*(const Datum *) a);
	TzSlice y = tz_datum_slice(*(const Datum *) b);
	int order = memcmp(x.data, y.data, Min(x.len, y.len));

	return order != 0 ? order : (x.len > y.len) - (x.len < y.len);
}

ArrayType *
tz_flow_sources(const TzGateAsk *ask, TzSlice key)
{
	Case c;
	Datum *labels;
	int n = 0;
	int unique = 0;

	case_open(&c, ask);
	labels = palloc((c.rules->nsources + 1) * sizeof(Datum));
	for (int i = 0; i < c.rules->nsources; i++)
		if (source_hit(&c, &c.rules->sources[i], key))
			labels[n++] = tz_text_datum(c.rules->sources[i].label);
	qsort(labels, n, sizeof(Datum), label_compare);
	for (int i = 0; i < n; i++)
		if (unique == 0 || label_compare(&labels[unique - 1], &labels[i]) != 0)
			labels[unique++] = labels[i];
	return construct_array(labels, unique, TEXTOID, -1, false, TYPALIGN_INT);
}

/* ---- words -------------------------------------------------------------------------------- */

static char *
slice_cstr(TzSlice text)
{
	return pnstrdup(text.data, text.len);
}

/* What is refused, as people and models name it. */
static const char *
subject_words(const Case *c)
{
	TzSlice name = c->ask->tool.len > 0 ? c->ask->tool : c->ask->kind;

	if (c->host_known && c->touches_network && strcmp(c->host, "*") != 0)
		return psprintf("\"%.*s\" of host \"%s\"", (int) name.len, name.data, c->host);
	if (c->touches_files && c->ask->path.len > 0)
		return psprintf("\"%.*s\" of \"%.*s\"", (int) name.len, name.data, (int) c->ask->path.len,
		                c->ask->path.data);
	return psprintf("\"%.*s\"", (int) name.len, name.data);
}

static void
refuse_by_rule(const Case *c, const TzRule *rule, TzPermission *out)
{
	out->rule = slice_cstr(rule->id);
	out->message = psprintf("a rule of the platform forbids %s", subject_words(c));
	if (rule->path.len > 0 && c->is_code)
		out->hint = psprintf("Code can open every file, so rule %s, which names \"%.*s\", holds for it.",
		                     out->rule, (int) rule->path.len, rule->path.data);
	else if (c->is_code && c->touches_network &&
	         (rule->host.len > 0 || !tz_pattern_name(rule->scope, c->need[0])) && rule->tool.len == 0)
		out->hint =
			psprintf("The sandbox of this agent has network, so rule %s holds for its code; make the agent "
		             "without network.",
		             out->rule);
	else
		out->hint = psprintf("theazo.permission_rules shows rule %s.", out->rule);
	if (rule->host.len > 0)
		out->alternative =
			psprintf("Allowed: hosts other than \"%.*s\".", (int) rule->host.len, rule->host.data);
	else if (rule->path.len > 0)
		out->alternative =
			c->is_code ? pstrdup("Allowed: read_file and write_file for other files.")
					   : psprintf("Allowed: files outside \"%.*s\".", (int) rule->path.len, rule->path.data);
}

/* What rules allow of a scope that the agent does not hold. */
static void
refuse_by_scope(const Case *c, TzPermission *out)
{
	StringInfoData words;
	int n = 0;

	initStringInfo(&words);
	if (c->nneed == 0)
	{
		out->rule = pstrdup("scope");
		out->message = psprintf("no scope covers %s", subject_words(c));
		out->hint = pstrdup("An agent with permissions does only what a scope is known for.");
		return;
	}
	out->rule = psprintf("scope:%.*s", (int) c->need[0].len, c->need[0].data);
	for (int i = 0; i < c->nneed; i++)
		appendStringInfo(&words, "%s\"%.*s\"", i > 0 ? " or " : "", (int) c->need[i].len, c->need[i].data);
	out->message =
		psprintf("%s needs the scope %s, which this agent does not hold", subject_words(c), words.data);
	out->hint = pstrdup(
		"Ask for the scope with theazo.permission_request_create(), or allow what is needed of it with "
		"theazo.permission_rule_set().");
	resetStringInfo(&words);
	for (int i = 0; i < c->rules->nrules && n < 5; i++)
	{
		const TzRule *rule = &c->rules->rules[i];
		bool fits = rule->allow && covers_subject(c, rule->subject) &&
		            (rule->host.len > 0 || rule->path.len > 0) &&
		            (rule->tool.len == 0 || tz_pattern_name(rule->tool, c->ask->tool));

		if (fits && rule->scope.len > 0)
		{
			fits = false;
			for (int j = 0; j < c->nneed; j++)
				fits = fits || tz_pattern_name(rule->scope, c->need[j]);
		}
		if (!fits || (rule->host.len > 0 ? !c->touches_network : !c->touches_files || c->is_code))
			continue;
		appendStringInfo(&words, "%s%.*s", n++ > 0 ? ", " : "Allowed: ",
		                 (int) (rule->host.len > 0 ? rule->host.len : rule->path.len),
		                 rule->host.len > 0 ? rule->host.data : rule->path.data);
	}
	if (n > 0)
	{
		appendStringInfoChar(&words, '.');
		out->alternative = words.data;
	}
}

/* An agent that is governed sends out only when it was made with network; under STRICT to hosts that it names. */
static bool
refuse_by_network(const Case *c, TzPermission *out)
{
	JsonbValue *allow;

	if (!c->touches_network || c->is_code || (c->scopes == NULL && c->template == TZ_TEMPLATE_NONE))
		return false;
	if (!c->network_on)
	{
		out->rule = pstrdup("network");
		out->message = psprintf("%s needs network, which this agent was made without", subject_words(c));
		out->hint =
			pstrdup("Make the agent with the option {\"network\": {\"enabled\": true, \"allow\": [...]}}.");
		return true;
	}
	allow = member(c->network, "allow");
	if (c->template == TZ_TEMPLATE_STRICT &&
	    (allow == NULL || allow->type != jbvBinary || JsonContainerSize(allow->val.binary.data) == 0))
	{
		out->rule = pstrdup("network_hosts");
		out->message = psprintf("%s needs a list of hosts, which this agent has not", subject_words(c));
		out->hint =
			pstrdup("Template STRICT opens the network only to the hosts in the option network.allow.");
		return true;
	}
	return false;
}

static void
refuse_by_label(const Case *c, const TzFlow *sink, TzPermission *out)
{
	TzSlice label = label_carried(c, sink->label);

	out->check = "flow";
	out->rule = slice_cstr(sink->id);
	out->message =
		psprintf("data labelled \"%.*s\" may not flow to %s", (int) label.len, label.data, subject_words(c));
	out->hint = psprintf(
		"theazo.flow_rules shows rule %s. A label stays with the run, its agent's memory and its sandbox.",
		out->rule);
	if (tz_slice_eq_cstr(sink->kind, "host"))
		out->alternative =
			psprintf("Allowed: hosts other than \"%.*s\", or a new agent that does not read \"%.*s\".",
		             (int) sink->pattern.len, sink->pattern.data, (int) label.len, label.data);
	else
		out->alternative =
			psprintf("Allowed: a new agent that does not read \"%.*s\".", (int) label.len, label.data);
}
