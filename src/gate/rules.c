/*-------------------------------------------------------------------------
 *
 * rules.c
 *	  A platform's permission rules, labels and tools, as this process remembers them.
 *
 * Every gate asks, and the rows change rarely: they are kept per platform until the
 * memo's generation moves. What is read is not a matter of who asks: theazo_internal.
 * permission_load() shows all rows of the platform, also to a caller whose policies
 * would hide them. Otherwise one caller's view would be remembered for another.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"

#include "gate/rules.h"
#include "pg/convert.h"
#include "pg/ids.h"
#include "pg/memo.h"
#include "pg/spi.h"

#define PLATFORMS_MAX 64 /* kept at a time */

typedef struct Kept
{
	char platform[TZ_ID_MAX + 1];
	TzRules rules;
} Kept;

static MemoryContext kept_context = NULL;
static Kept *kept = NULL; /* in kept_context */
static int nkept = 0;
static uint64 kept_generation = 0;

static void rules_read(TzSlice platform, TzRules *out);
static void rule_take(uint64 row, TzRules *out);
static TzSlice column(uint64 row, int col);

TzTemplate
tz_template(TzSlice name)
{
	if (tz_slice_eq_cstr(name, "STRICT"))
		return TZ_TEMPLATE_STRICT;
	if (tz_slice_eq_cstr(name, "STANDARD"))
		return TZ_TEMPLATE_STANDARD;
	return tz_slice_eq_cstr(name, "DEV") ? TZ_TEMPLATE_DEV : TZ_TEMPLATE_NONE;
}

const TzRules *
tz_rules(TzSlice platform)
{
	uint64 generation;
	TzRules fresh;
	bool keep;

	/* a long transaction hears of a commit only when it asks */
	AcceptInvalidationMessages();
	generation = tz_memo_generation();
	if (kept_generation == generation)
		for (int i = 0; i < nkept; i++)
			if (tz_slice_eq_cstr(platform, kept[i].platform))
				return &kept[i].rules;
	if (kept_context == NULL)
		kept_context = AllocSetContextCreate(TopMemoryContext, "theazo rules", ALLOCSET_SMALL_SIZES);
	if (kept_generation != generation || nkept == PLATFORMS_MAX)
	{
		nkept = 0;
		kept = NULL;
		MemoryContextReset(kept_context);
	}
	keep = tz_memo_begin();
	rules_read(platform, &fresh);
	if (keep)
		tz_memo_end();
	if (kept == NULL)
		kept = MemoryContextAllocZero(kept_context, PLATFORMS_MAX * sizeof(Kept));
	/* Reading may have moved the generation: then this is not found again, and read once more. */
	kept_generation = keep ? generation : 0;
	kept[nkept].rules = fresh;
	snprintf(kept[nkept].platform, sizeof(kept[nkept].platform), "%.*s", (int) platform.len, platform.data);
	return &kept[nkept++].rules;
}

static void
rules_read(TzSlice platform, TzRules *out)
{
	static const char sql[] =
		"SELECT what, id, kind, a, b, c, d, subject FROM theazo_internal.permission_load($1)";
	static SPIPlanPtr plan = NULL;
	Oid types[1] = {TEXTOID};
	Datum value = tz_text_datum(platform);
	MemoryContext old;
	uint64 n;

	memset(out, 0, sizeof(*out));
	SPI_connect();
	if (plan == NULL)
	{
		plan = SPI_prepare(sql, 1, types);
		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "could not prepare \"%s\": %s", sql, SPI_result_code_string(SPI_result));
	}
	/* read only: under the snapshot that is younger than the generation, whatever the transaction's is */
	if (SPI_execute_plan(plan, &value, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not execute \"%s\"", sql);
	n = SPI_processed;
	old = MemoryContextSwitchTo(kept_context);
	out->rules = palloc((n + 1) * sizeof(TzRule));
	out->sources = palloc((n + 1) * sizeof(TzFlow));
	out->sinks = palloc((n + 1) * sizeof(TzFlow));
	out->tools = palloc((n + 1) * sizeof(TzRuleTool));
	out->kinds = palloc0((n + 1) * sizeof(TzRuleKind));
	for (uint64 row = 0; row < n; row++)
		rule_take(row, out);
	MemoryContextSwitchTo(old);
	SPI_finish();
}

static void
rule_take(uint64 row, TzRules *out)
{
	TzSlice what = column(row, 1);
	TzFlow *flow = NULL;

	if (tz_slice_eq_cstr(what, "rule"))
	{
		TzRule *rule = &out->rules[out->nrules++];

		rule->id = column(row, 2);
		rule->allow = tz_slice_eq_cstr(column(row, 3), "allow");
		rule->scope = column(row, 4);
		rule->tool = column(row, 5);
		rule->path = column(row, 6);
		rule->host = column(row, 7);
		rule->subject = column(row, 8);
	}
	else if (tz_slice_eq_cstr(what, "source"))
		flow = &out->sources[out->nsources++];
	else if (tz_slice_eq_cstr(what, "sink"))
		flow = &out->sinks[out->nsinks++];
	else if (tz_slice_eq_cstr(what, "tool"))
	{
		TzRuleTool *tool = &out->tools[out->ntools++];

		tool->name = column(row, 2);
		tool->reads = tz_slice_eq_cstr(column(row, 3), "reads");
	}
	else if (tz_slice_eq_cstr(what, "kind"))
	{
		TzRuleKind *kind = &out->kinds[out->nkinds++];

		kind->kind = column(row, 2);
		for (int i = 0; i < TZ_RULE_SCOPES_MAX; i++)
		{
			TzSlice scope = column(row, 4 + i);

			if (scope.len > 0)
				kind->scopes[kind->nscopes++] = scope;
		}
	}
	else if (tz_slice_eq_cstr(what, "policy"))
		out->loosest = tz_template(column(row, 3));
	else if (tz_slice_eq_cstr(what, "digest"))
		out->digest = column(row, 2);
	if (flow != NULL)
	{
		flow->id = column(row, 2);
		flow->kind = column(row, 3);
		flow->label = column(row, 4);
		flow->pattern = column(row, 5);
		flow->subject = column(row, 8);
	}
}

/* Copied into the current context; empty for NULL. */
static TzSlice
column(uint64 row, int col)
{
	char *text = tz_spi_text(row, col);

	return text != NULL ? tz_slice_cstr(text) : tz_slice("", 0);
}
