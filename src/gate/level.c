/*-------------------------------------------------------------------------
 *
 * level.c
 *	  Limits of money above a run, with what is spent and reserved of each.
 *
 * What is spent is what has been summed up (spend) and the charges that have not
 * (spend_delta); the keeper and the dispatchers bring the one into the other, so
 * the second are few. Both, and the reservations of the platform, are passed once
 * for all levels. Asked before every piece of work and every call, hence in C: as
 * a statement it cost five times as much.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "datatype/timestamp.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "gate/level.h"
#include "lib/envelope.h"
#include "pg/convert.h"
#include "pg/export.h"
#include "pg/look.h"
#include "pg/objects.h"
#include "pg/spi.h"

#define CENT INT64CONST(1000000)
#define PERIOD_MAX 16

/* A day or month, UTC, as spend names it. */
typedef struct Period
{
	char name[PERIOD_MAX];
	TimestampTz from;
	TimestampTz to; /* the first moment behind it */
} Period;

static TzLookTable budgets = {"budget", 1, {"monthly"}, NULL};
static TzLookTable sums = {"spend", 1, {"used"}, NULL};
static TzLookTable deltas = {"spend_delta",
                             5,
                             {"environment", "session_id", "user_id", "amount", "occurred_at"},
                             NULL};
static TzLookTable reservations = {"reservation",
                                   5,
                                   {"environment", "session_id", "user_id", "need", "held"},
                                   NULL};
static TzLookTable sessions = {"session", 1, {"limits"}, NULL};

static const char *const level_names[] = {[TZ_LEVEL_SESSION] = "session",
                                          [TZ_LEVEL_USER] = "user",
                                          [TZ_LEVEL_PLATFORM] = "platform",
                                          [TZ_LEVEL_OPERATOR] = "operator",
                                          [TZ_LEVEL_OPERATOR_ALL] = "operator"};

static void period_of(TimestampTz at, bool by_day, Period *period);
static bool find_cost(Jsonb *limits, TzLevel *level);
static bool find_budget(TzLook *look, TzSlice platform, TzSlice environment, const char *level,
                        TzSlice subject, int64 *monthly);
static bool counts(const TzLevelsOf *of, TzLevelKind kind, TzSlice environment, TzSlice session,
                   TzSlice user);
static int64 plus(int64 a, int64 b);
static void sum_folded(const TzLevelsOf *of, TzLevel *level, TzLook *look, const Period *period, bool *kept);
static bool folded(TzLook *look, TzSlice platform, const char *environment, const char *level,
                   TzSlice subject, const char *period, int64 *used);
static int64 ledger_sum(const TzLevelsOf *of, const Period *period);
static void sum_all(TzLevel *level, const Period *period);

int
tz_levels_find(const TzLevelsOf *of, Jsonb *limits, TzLevel levels[TZ_LEVELS_MAX])
{
	TzSlice everybody = tz_slice_cstr("*");
	TzSlice none = tz_slice("", 0);
	TzSlice operator_id = tz_slice_cstr(TZ_OPERATOR_PLATFORM);
	int n = 0;
	TzLook look;

	memset(levels, 0, sizeof(TzLevel) * TZ_LEVELS_MAX);
	if (find_cost(limits, &levels[n]))
		n++;
	tz_look_open(&look, &budgets);
	if (of->user.data != NULL &&
	    (find_budget(&look, of->platform, of->environment, "user", of->user, &levels[n].max) ||
	     find_budget(&look, of->platform, of->environment, "user", everybody, &levels[n].max)))
		levels[n++].kind = TZ_LEVEL_USER;
	if (find_budget(&look, of->platform, of->environment, "platform", none, &levels[n].max))
		levels[n++].kind = TZ_LEVEL_PLATFORM;
	if (!tz_slice_eq(of->platform, operator_id) &&
	    find_budget(&look, of->platform, none, "operator", none, &levels[n].max))
		levels[n++].kind = TZ_LEVEL_OPERATOR;
	if (find_budget(&look, operator_id, none, "operator", none, &levels[n].max))
		levels[n++].kind = TZ_LEVEL_OPERATOR_ALL;
	tz_look_close(&look);
	return n;
}

void
tz_levels_sum(const TzLevelsOf *of, TzLevel *levels, int n)
{
	Datum platform = tz_text_datum(of->platform);
	Period periods[2];
	bool kept[TZ_LEVELS_MAX] = {false}; /* its sum holds what was folded, not all there is */
	TzLook look;

	period_of(of->at, false, &periods[0]);
	period_of(of->at, true, &periods[1]);
	tz_look_open(&look, &sums);
	for (int i = 0; i < n; i++)
		sum_folded(of, &levels[i], &look, &periods[levels[i].by_day], &kept[i]);
	tz_look_close(&look);

	tz_look_open(&look, &deltas);
	tz_look_at(&look, &platform, 1);
	while (tz_look_next(&look))
	{
		TzSlice environment = tz_look_text(&look, 0);
		TzSlice session = tz_look_text(&look, 1);
		TzSlice user = tz_look_text(&look, 2);
		int64 amount = tz_look_int64(&look, 3);
		TimestampTz occurred = tz_look_int64(&look, 4);

		for (int i = 0; i < n; i++)
		{
			const Period *period = &periods[levels[i].by_day];

			if (kept[i] && occurred >= period->from && occurred < period->to &&
			    counts(of, levels[i].kind, environment, session, user))
				levels[i].used = plus(levels[i].used, amount);
		}
	}
	tz_look_close(&look);

	tz_look_open(&look, &reservations);
	tz_look_at(&look, &platform, 1);
	while (tz_look_next(&look))
	{
		TzSlice environment = tz_look_text(&look, 0);
		TzSlice session = tz_look_text(&look, 1);
		TzSlice user = tz_look_text(&look, 2);

		for (int i = 0; i < n; i++)
		{
			if (levels[i].kind == TZ_LEVEL_OPERATOR_ALL ||
			    !counts(of, levels[i].kind, environment, session, user))
				continue;
			levels[i].reserved = plus(levels[i].reserved, tz_look_int64(&look, 3));
			levels[i].held = plus(levels[i].held, tz_look_int64(&look, 4));
		}
	}
	tz_look_close(&look);
}

bool
tz_level_is_used_up(const TzLevel *level)
{
	return plus(level->used, level->reserved) >= level->max;
}

/*
 * theazo_internal.budget_levels(platform, environment, session, user, at): ord, level, subject, period, max, used,
 * reserved, held, used_up
 */
THEAZO_FUNCTION(theazo_budget_levels)
{
	ReturnSetInfo *out = (ReturnSetInfo *) fcinfo->resultinfo;
	TzLevelsOf of = {0};
	TzSlice *texts[] = {&of.platform, &of.environment, &of.session, &of.user};
	TzLevel levels[TZ_LEVELS_MAX];
	Jsonb *limits = NULL;
	TzLook look;
	bool isnull;
	int n;

	tz_args_expect(fcinfo, 5);
	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < (int) lengthof(texts); i++)
	{
		if (!PG_ARGISNULL(i))
			*texts[i] = tz_datum_slice(PG_GETARG_DATUM(i));
	}
	if (of.platform.data == NULL || of.environment.data == NULL || PG_ARGISNULL(4))
		return (Datum) 0;
	of.at = PG_GETARG_TIMESTAMPTZ(4);
	tz_look_open(&look, &sessions);
	if (of.session.data != NULL)
	{
		Datum keys[2] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(2)};

		tz_look_at(&look, keys, 2);
		if (tz_look_next(&look))
			limits = DatumGetJsonbPCopy(tz_look_value(&look, 0, &isnull));
	}
	tz_look_close(&look);
	n = tz_levels_find(&of, limits, levels);
	tz_levels_sum(&of, levels, n);
	for (int i = 0; i < n; i++)
	{
		const TzLevel *l = &levels[i];
		TzSlice subject = l->kind == TZ_LEVEL_SESSION ? of.session
		                  : l->kind == TZ_LEVEL_USER  ? of.user
		                                              : tz_slice("", 0);
		Datum values[9] = {Int32GetDatum((int32) l->kind),
		                   CStringGetTextDatum(level_names[l->kind]),
		                   tz_text_datum(subject),
		                   CStringGetTextDatum(l->by_day ? "day" : "month"),
		                   Int64GetDatum(l->max),
		                   Int64GetDatum(l->used),
		                   Int64GetDatum(l->reserved),
		                   Int64GetDatum(l->held),
		                   BoolGetDatum(tz_level_is_used_up(l))};
		bool nulls[9] = {false};

		if (out->setDesc->natts != (int) lengthof(values))
			tz_objects_differ("Function \"budget_levels\" does not return %d columns.",
			                  (int) lengthof(values));
		tuplestore_putvalues(out->setResult, out->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* theazo_internal.spent(platform, environment, level, subject, period, at): of one level, whether there is a limit or not */
THEAZO_FUNCTION(theazo_spent)
{
	TzLevelsOf of = {0};
	TzLevel level = {0};
	TzSlice name;
	TzSlice subject;

	tz_args_expect(fcinfo, 6);
	for (int i = 1; i < 6; i++)
	{
		if (PG_ARGISNULL(i))
			PG_RETURN_NULL();
	}
	of.environment = tz_datum_slice(PG_GETARG_DATUM(1));
	name = tz_datum_slice(PG_GETARG_DATUM(2));
	subject = tz_datum_slice(PG_GETARG_DATUM(3));
	level.by_day = tz_slice_eq_cstr(tz_datum_slice(PG_GETARG_DATUM(4)), "day");
	of.at = PG_GETARG_TIMESTAMPTZ(5);
	for (int kind = TZ_LEVEL_SESSION; kind <= TZ_LEVEL_OPERATOR; kind++)
	{
		if (tz_slice_eq_cstr(name, level_names[kind]))
			level.kind = (TzLevelKind) kind;
	}
	of.session = level.kind == TZ_LEVEL_SESSION ? subject : tz_slice(NULL, 0);
	of.user = level.kind == TZ_LEVEL_USER ? subject : tz_slice(NULL, 0);
	if (!PG_ARGISNULL(0))
		of.platform = tz_datum_slice(PG_GETARG_DATUM(0));
	else if (level.kind == TZ_LEVEL_OPERATOR)
	{
		of.platform = tz_slice_cstr(TZ_OPERATOR_PLATFORM);
		level.kind = TZ_LEVEL_OPERATOR_ALL;
	}
	if (level.kind == 0 || of.platform.data == NULL)
		PG_RETURN_NULL();
	tz_levels_sum(&of, &level, 1);
	PG_RETURN_INT64(level.used);
}

/* ---- what counts ------------------------------------------------------------------ */

static bool
counts(const TzLevelsOf *of, TzLevelKind kind, TzSlice environment, TzSlice session, TzSlice user)
{
	switch (kind)
	{
		case TZ_LEVEL_SESSION:
			return session.data != NULL && tz_slice_eq(session, of->session);
		case TZ_LEVEL_USER:
			return user.data != NULL && tz_slice_eq(environment, of->environment) &&
			       tz_slice_eq(user, of->user);
		case TZ_LEVEL_PLATFORM:
			return tz_slice_eq(environment, of->environment);
		case TZ_LEVEL_OPERATOR:
		case TZ_LEVEL_OPERATOR_ALL:
			return true;
	}
	return true;
}

static int64
plus(int64 a, int64 b)
{
	int64 sum;

	if (pg_add_s64_overflow(a, b, &sum))
		ereport(ERROR, errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE), errmsg("a sum of money is out of range"));
	return sum;
}

/* ---- limits ------------------------------------------------------------------------- */

/* maxCost of a session: {"amount": whole cents, "period": "day" or "month"} */
static bool
find_cost(Jsonb *limits, TzLevel *level)
{
	JsonbValue cost;
	JsonbValue value;
	int64 cents;

	if (limits == NULL || !JB_ROOT_IS_OBJECT(limits) ||
	    getKeyJsonValueFromContainer(&limits->root, "maxCost", 7, &cost) == NULL || cost.type != jbvBinary ||
	    !JsonContainerIsObject(cost.val.binary.data))
		return false;
	if (getKeyJsonValueFromContainer(cost.val.binary.data, "amount", 6, &value) == NULL ||
	    value.type != jbvNumeric)
		tz_objects_differ("A session's limit \"maxCost\" has no amount.");
	cents = DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(value.val.numeric)));
	if (pg_mul_s64_overflow(cents, CENT, &level->max))
		level->max = PG_INT64_MAX;
	level->by_day = getKeyJsonValueFromContainer(cost.val.binary.data, "period", 6, &value) != NULL &&
	                value.type == jbvString && value.val.string.len == 3 &&
	                memcmp(value.val.string.val, "day", 3) == 0;
	level->kind = TZ_LEVEL_SESSION;
	return true;
}

static bool
find_budget(TzLook *look, TzSlice platform, TzSlice environment, const char *level, TzSlice subject,
            int64 *monthly)
{
	Datum keys[4] = {tz_text_datum(platform), tz_text_datum(environment), CStringGetTextDatum(level),
	                 tz_text_datum(subject)};

	tz_look_at(look, keys, lengthof(keys));
	if (!tz_look_next(look))
		return false;
	*monthly = tz_look_int64(look, 0);
	return true;
}

/* ---- sums --------------------------------------------------------------------------- */

static void
period_of(TimestampTz at, bool by_day, Period *period)
{
	struct pg_tm tm;
	struct pg_tm end;
	fsec_t fsec;

	if (TIMESTAMP_NOT_FINITE(at) || timestamp2tm(at, NULL, &tm, &fsec, NULL, NULL) != 0)
		ereport(ERROR, errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range"));
	tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
	if (!by_day)
		tm.tm_mday = 1;
	end = tm;
	if (by_day)
		j2date(date2j(tm.tm_year, tm.tm_mon, tm.tm_mday) + 1, &end.tm_year, &end.tm_mon, &end.tm_mday);
	else if (++end.tm_mon > MONTHS_PER_YEAR)
	{
		end.tm_mon = 1;
		end.tm_year++;
	}
	if (tm2timestamp(&tm, 0, NULL, &period->from) != 0 || tm2timestamp(&end, 0, NULL, &period->to) != 0)
		ereport(ERROR, errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range"));
	if (by_day)
		snprintf(period->name, sizeof(period->name), "%04d-%02d-%02d", tm.tm_year, tm.tm_mon, tm.tm_mday);
	else
		snprintf(period->name, sizeof(period->name), "%04d-%02d", tm.tm_year, tm.tm_mon);
}

static void
sum_folded(const TzLevelsOf *of, TzLevel *level, TzLook *look, const Period *period, bool *kept)
{
	static const char *const environments[] = {"live", "test"};
	char *environment = TextDatumGetCString(tz_text_datum(of->environment));
	int64 used;

	*kept = true;
	switch (level->kind)
	{
		case TZ_LEVEL_SESSION:
			if (!folded(look, of->platform, environment, "session", of->session, period->name, &level->used))
			{
				level->used = ledger_sum(of, period);
				*kept = false;
			}
			break;
		case TZ_LEVEL_USER:
			folded(look, of->platform, environment, "user", of->user, period->name, &level->used);
			break;
		case TZ_LEVEL_PLATFORM:
			folded(look, of->platform, environment, "platform", tz_slice("", 0), period->name, &level->used);
			break;
		case TZ_LEVEL_OPERATOR:
			for (int i = 0; i < (int) lengthof(environments); i++)
			{
				if (folded(look, of->platform, environments[i], "platform", tz_slice("", 0), period->name,
				           &used))
					level->used = plus(level->used, used);
			}
			break;
		case TZ_LEVEL_OPERATOR_ALL:
			sum_all(level, period);
			*kept = false;
			break;
	}
}

/* False, and *used stays: no such sum is kept. */
static bool
folded(TzLook *look, TzSlice platform, const char *environment, const char *level, TzSlice subject,
       const char *period, int64 *used)
{
	Datum keys[5] = {tz_text_datum(platform), CStringGetTextDatum(environment), CStringGetTextDatum(level),
	                 tz_text_datum(subject), CStringGetTextDatum(period)};

	tz_look_at(look, keys, lengthof(keys));
	if (!tz_look_next(look))
		return false;
	*used = tz_look_int64(look, 0);
	return true;
}

/* Of a session whose sum nobody keeps yet. The function sees all rows, whoever asks. */
static int64
ledger_sum(const TzLevelsOf *of, const Period *period)
{
	static TzStmt stmt = {"SELECT theazo_internal.ledger_sum($1, $2, $3, $4)",
	                      4,
	                      {TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID},
	                      NULL};
	Datum values[4] = {tz_text_datum(of->platform), tz_text_datum(of->session),
	                   TimestampTzGetDatum(period->from), TimestampTzGetDatum(period->to)};
	int64 used = 0;

	SPI_connect();
	if (tz_spi_read(&stmt, values, NULL, 1) > 0)
		used = tz_spi_int64(0, 1, 0);
	SPI_finish();
	return used;
}

/* Of all platforms together. */
static void
sum_all(TzLevel *level, const Period *period)
{
	static TzStmt stmt = {"SELECT x.used, x.reserved, x.held FROM theazo_internal.spent_by_all($1, $2, $3) x",
	                      3,
	                      {TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID},
	                      NULL};
	Datum values[3] = {CStringGetTextDatum(period->name), TimestampTzGetDatum(period->from),
	                   TimestampTzGetDatum(period->to)};

	SPI_connect();
	if (tz_spi_read(&stmt, values, NULL, 1) > 0)
	{
		level->used = tz_spi_int64(0, 1, 0);
		level->reserved = tz_spi_int64(0, 2, 0);
		level->held = tz_spi_int64(0, 3, 0);
	}
	SPI_finish();
}
