/*-------------------------------------------------------------------------
 *
 * budget.c
 *	  The check of budgets and limits before work begins.
 *
 * Only looks: at the session, at what limits it, and at the sums of those limits.
 * As long as none of them can stop the work there is nothing to say. Whatever
 * may stop it is asked in SQL, which names the first one and says why.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "gate/level.h"
#include "pg/convert.h"
#include "pg/export.h"
#include "pg/look.h"
#include "pg/objects.h"
#include "pg/spi.h"

/* As the table's columns[] names them. */
enum
{
	USER,
	ENVIRONMENT,
	STATUS,
	LIMITS,
	REASON
};

static TzLookTable sessions = {"session",
                               5,
                               {"user_id", "key_environment", "status", "limits", "paused_reason"},
                               NULL};

static bool may_stop(Datum platform, Datum session, bool new_agent);
static bool begins(TzSlice text, const char *with);
static bool has_key(Jsonb *limits, const char *key);

/* theazo_internal.budget_check(platform, environment, session, user, agent, new_agent) */
THEAZO_FUNCTION(theazo_budget_check)
{
	static TzStmt refuse = {"SELECT theazo_internal.budget_refuse($1, $2, $3, $4)",
	                        4,
	                        {TEXTOID, TEXTOID, TEXTOID, BOOLOID},
	                        NULL};
	bool new_agent;
	bool ask;

	tz_args_expect(fcinfo, 6);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(2))
		PG_RETURN_VOID();
	new_agent = !PG_ARGISNULL(5) && PG_GETARG_BOOL(5);

	/* what this transaction did before, also in the statement that calls */
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	ask = may_stop(PG_GETARG_DATUM(0), PG_GETARG_DATUM(2), new_agent);
	PopActiveSnapshot();
	if (ask)
	{
		Datum values[4] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(2),
		                   PG_ARGISNULL(4) ? (Datum) 0 : PG_GETARG_DATUM(4), BoolGetDatum(new_agent)};
		bool nulls[4] = {false, false, PG_ARGISNULL(4), false};

		SPI_connect();
		tz_spi_exec(&refuse, values, nulls, 0);
		SPI_finish();
	}
	PG_RETURN_VOID();
}

static bool
may_stop(Datum platform, Datum session, bool new_agent)
{
	Datum keys[2] = {platform, session};
	TzLevelsOf of = {tz_datum_slice(platform)};
	TzLevel levels[TZ_LEVELS_MAX];
	TzSlice status;
	TzSlice reason;
	Jsonb *limits = NULL;
	Datum document;
	bool answer = false;
	bool isnull;
	TzLook look;
	int n;

	tz_look_open(&look, &sessions);
	tz_look_at(&look, keys, lengthof(keys));
	if (tz_look_next(&look))
	{
		of.environment = tz_look_text(&look, ENVIRONMENT);
		of.session = tz_datum_slice(session);
		of.user = tz_look_text(&look, USER);
		of.at = GetCurrentTimestamp();
		status = tz_look_text(&look, STATUS);
		reason = tz_look_text(&look, REASON);
		document = tz_look_value(&look, LIMITS, &isnull);
		if (!isnull)
			limits = DatumGetJsonbP(document);
		if (tz_slice_eq_cstr(status, "terminated") ||
		    (tz_slice_eq_cstr(status, "paused") && !begins(reason, "limit:") && !begins(reason, "budget:")))
			answer = false; /* that is what is said then */
		else if (has_key(limits, "maxComputeMinutes") || has_key(limits, "maxDuration") ||
		         (new_agent && has_key(limits, "maxAgents")))
			answer = true;
		else if ((n = tz_levels_find(&of, limits, levels)) > 0)
		{
			/* its own limit may have paused it although a remainder is left that buys nothing */
			answer = levels[0].kind == TZ_LEVEL_SESSION && tz_slice_eq_cstr(reason, "limit:maxCost");
			if (!answer)
				tz_levels_sum(&of, levels, n);
			for (int i = 0; i < n && !answer; i++)
				answer = tz_level_is_used_up(&levels[i]);
		}
	}
	tz_look_close(&look);
	return answer;
}

static bool
begins(TzSlice text, const char *with)
{
	return text.len >= strlen(with) && memcmp(text.data, with, strlen(with)) == 0;
}

static bool
has_key(Jsonb *limits, const char *key)
{
	return limits != NULL && JB_ROOT_IS_OBJECT(limits) && JB_ROOT_COUNT(limits) > 0 &&
	       getKeyJsonValueFromContainer(&limits->root, key, (int) strlen(key), NULL) != NULL;
}
