/*-------------------------------------------------------------------------
 *
 * limited.c
 *	  Is there any budget or limit that work in a session could hit?
 *
 * Asked before every call, and mostly there is none: three looks at indexes, no
 * statement.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "pg/export.h"
#include "pg/objects.h"
#include "pg/row.h"
#include "pg/spi.h"

typedef enum Answer
{
	NO,
	YES,
	UNSEEN /* only a statement can look */
} Answer;

static Answer has_budget(Datum platform);
static Answer has_limits(Datum platform, Datum session);
static bool by_statement(const Datum *keys, const bool *nulls);

/* theazo_internal.budget_limited(platform, session) */
THEAZO_FUNCTION(theazo_budget_limited)
{
	static const char operator_id[] = "plt_00000000000000000000000000";
	Datum keys[2] = {0};
	bool nulls[2];
	Answer answer[3] = {NO, NO, NO};

	tz_args_expect(fcinfo, 2);
	for (int i = 0; i < 2; i++)
	{
		nulls[i] = PG_ARGISNULL(i);
		if (!nulls[i])
			keys[i] = PG_GETARG_DATUM(i);
	}
	answer[0] = has_budget(CStringGetTextDatum(operator_id));
	if (!nulls[0])
		answer[1] = has_budget(keys[0]);
	if (!nulls[0] && !nulls[1])
		answer[2] = has_limits(keys[0], keys[1]);
	for (int i = 0; i < 3; i++)
	{
		if (answer[i] == YES)
			PG_RETURN_BOOL(true);
	}
	for (int i = 0; i < 3; i++)
	{
		if (answer[i] == UNSEEN)
			PG_RETURN_BOOL(by_statement(keys, nulls));
	}
	PG_RETURN_BOOL(false);
}

static Answer
has_budget(Datum platform)
{
	static TzRowTable budgets = {"budget", 1, 0, {NULL}, NULL};
	TzRow row = {NULL};
	bool found = tz_row_find(&row, &budgets, &platform);
	Answer answer = found ? YES : row.slot == NULL ? UNSEEN : NO;

	tz_row_close(&row);
	return answer;
}

static Answer
has_limits(Datum platform, Datum session)
{
	static TzRowTable sessions = {"session", 2, 1, {"limits"}, NULL};
	/* maxAgents is about making agents, not about what they do */
	static const char *const names[] = {"maxCost", "maxComputeMinutes", "maxDuration"};
	Datum keys[2] = {platform, session};
	TzRow row = {NULL};
	Answer answer = NO;

	if (tz_row_find(&row, &sessions, keys))
	{
		AttrNumber at = tz_row_places(&row)[0];
		Jsonb *limits = row.slot->tts_isnull[at] ? NULL : DatumGetJsonbP(row.slot->tts_values[at]);

		for (int i = 0; limits != NULL && i < (int) lengthof(names); i++)
		{
			if (JB_ROOT_IS_OBJECT(limits) &&
			    getKeyJsonValueFromContainer(&limits->root, names[i], (int) strlen(names[i]), NULL) != NULL)
				answer = YES;
		}
	}
	else if (row.slot == NULL)
		answer = UNSEEN;
	tz_row_close(&row);
	return answer;
}

static bool
by_statement(const Datum *keys, const bool *nulls)
{
	static TzStmt stmt = {
		"SELECT EXISTS (SELECT FROM theazo_data.budget b WHERE b.platform_id IN ($1, theazo_internal.operator_platform()))"
		" OR EXISTS (SELECT FROM theazo_data.session s WHERE s.platform_id = $1 AND s.id = $2"
		" AND s.limits OPERATOR(pg_catalog.?|) ARRAY['maxCost', 'maxComputeMinutes', 'maxDuration']) AS limited",
		2,
		{TEXTOID, TEXTOID},
		NULL};
	Datum values[2] = {keys[0], keys[1]};
	bool limited = true;

	SPI_connect();
	if (tz_spi_exec(&stmt, values, nulls, 1) > 0)
		limited = tz_spi_bool(0, tz_spi_column("limited"), true);
	SPI_finish();
	return limited;
}
