/*-------------------------------------------------------------------------
 *
 * guard.c
 *	  The verdict about one text.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "safety/guard.h"

static bool
on_extra(void *arg, uint32_t id, size_t end)
{
	TzEvidence *evidence = arg;

	(void) end;
	if (id < TZ_PATTERNS_MAX)
		evidence->extra[id] = 1;
	return true;
}

TzStatus
tz_guard_read(TzScorer *scorer, const TzExtra *extra, const TzGuard *guard, TzSlice text,
              TzEvidence *evidence)
{
	TzStatus status = TZ_OK;

	if (guard->level == TZ_LEVEL_OFF && !guard->injection)
		return TZ_OK;
	status = tz_scorer_scan(scorer, text, &evidence->finding);
	if (status == TZ_OK && extra != NULL && extra->matcher != NULL)
		status = tz_matcher_scan(extra->matcher, text, on_extra, evidence);
	return status;
}

/* Adds one sign to a score as something that is independent of the others. */
static int
together(int a, int b)
{
	return (a * 100 + b * 100 - a * b + 50) / 100;
}

/*
 * Names what says most: a row of the platform's before a shipped rule that says no more, a shipped rule where rules
 * alone say enough, else the model. extra_rule, rule: -1 for none; score: without the rows.
 */
static void
name_it(const TzExtra *extra, int extra_rule, int rule, int score, const TzEvidence *evidence,
        const char *class, TzJudgement *out)
{
	int says = rule >= 0 ? evidence->finding.weight[rule] : score;

	if (extra_rule >= 0 && extra->rules[extra_rule].weight >= says)
	{
		out->category = tz_category_name(extra->rules[extra_rule].category);
		memcpy(out->rule, extra->rules[extra_rule].id, sizeof(out->rule));
	}
	else if (rule >= 0)
	{
		out->category = tz_category_name(tz_filter_rules[rule].category);
		strncpy(out->rule, tz_filter_rules[rule].name, sizeof(out->rule) - 1);
	}
	else
	{
		out->category = strcmp(class, "injection") == 0 ? tz_category_name(TZ_CAT_INJECTION) : class;
		snprintf(out->rule, sizeof(out->rule), "model.%s", class);
	}
}

void
tz_guard_judge(const TzExtra *extra, const TzGuard *guard, const TzEvidence *evidence, TzJudgement *out)
{
	TzScores scores;
	int most = -1, most_injection = -1;
	bool toxic, injected;

	memset(out, 0, sizeof(*out));
	out->category = "";
	tz_scores(&evidence->finding, guard->level, &scores);
	if (guard->level != TZ_LEVEL_OFF)
		out->toxicity = scores.toxicity;
	if (guard->injection)
		out->injection = scores.injection;
	for (size_t i = 0; extra != NULL && i < extra->n; i++)
	{
		const TzExtraRule *rule = &extra->rules[i];

		if (!evidence->extra[i])
			continue;
		if (rule->category == TZ_CAT_INJECTION)
		{
			if (!guard->injection)
				continue;
			out->injection = together(out->injection, rule->weight);
			if (most_injection < 0 || rule->weight > extra->rules[most_injection].weight)
				most_injection = (int) i;
		}
		else if (guard->level != TZ_LEVEL_OFF && tz_category_level(rule->category) <= guard->level)
		{
			out->toxicity = together(out->toxicity, rule->weight);
			if (most < 0 || rule->weight > extra->rules[most].weight)
				most = (int) i;
		}
	}
	toxic = out->toxicity >= TZ_TOXICITY_MAX;
	injected = out->injection >= TZ_INJECTION_MAX;
	out->blocked = toxic || injected;
	if (toxic)
		name_it(extra, most, scores.by_rules ? scores.rule : -1, scores.toxicity, evidence,
		        evidence->finding.harmful ? "harmful" : "toxic", out);
	else if (injected)
		name_it(extra, most_injection, scores.injection_by_rules ? scores.injection_rule : -1,
		        scores.injection, evidence, "injection", out);
}

void
tz_extra_free(TzExtra *extra)
{
	if (extra == NULL || --extra->refs > 0)
		return;
	tz_matcher_free(extra->matcher);
	free(extra->rules);
	free(extra);
}

bool
tz_level_parse(const char *name, TzLevel *level)
{
	static const char *const names[] = {"off", "light", "moderate", "strict"};

	for (int i = 0; i < 4; i++)
		if (strcmp(name, names[i]) == 0)
		{
			*level = (TzLevel) i;
			return true;
		}
	return false;
}

int
tz_category_parse(const char *name)
{
	for (int i = 0; i < TZ_CATEGORY_COUNT; i++)
		if (strcmp(name, tz_category_name(i)) == 0)
			return i;
	return -1;
}
