/*-------------------------------------------------------------------------
 *
 * spend.c
 *	  What a charge spends of budgets: a row of its own, and less that is reserved.
 *
 * Every charge comes here, so without a budget in sight it costs one row that
 * nobody waits for, and one look at an index. Rows that many share (spend) are not
 * touched: dispatchers and the keeper fold these into them (budget.sql).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"

#include "call/spend.h"
#include "pg/append.h"
#include "pg/export.h"
#include "pg/objects.h"
#include "pg/row.h"
#include "pg/spi.h"

enum
{
	PLATFORM,
	CHARGE,
	ENVIRONMENT,
	SESSION,
	USER,
	AMOUNT,
	OCCURRED,
	RESERVATION
};

static void spend_delta(const Datum *values, const bool *nulls);
static void spend_settle(Datum platform, Datum id, int64 amount, bool ends);

void
tz_spend_note(const Datum *values, const bool *nulls, bool ends)
{
	if (DatumGetInt64(values[AMOUNT]) != 0)
		spend_delta(values, nulls);
	if (!nulls[RESERVATION])
		spend_settle(values[PLATFORM], values[RESERVATION], DatumGetInt64(values[AMOUNT]), ends);
}

/* theazo_internal.spend_append(platform, charge, environment, session, user, amount, occurred, reservation, ends) */
THEAZO_FUNCTION(theazo_spend_append)
{
	Datum values[TZ_SPEND_VALUES];
	bool nulls[TZ_SPEND_VALUES];

	tz_args_expect(fcinfo, TZ_SPEND_VALUES + 1);
	for (int i = 0; i < TZ_SPEND_VALUES; i++)
	{
		nulls[i] = PG_ARGISNULL(i);
		values[i] = nulls[i] ? (Datum) 0 : PG_GETARG_DATUM(i);
	}
	if (!nulls[PLATFORM] && !nulls[AMOUNT])
		tz_spend_note(values, nulls, !PG_ARGISNULL(TZ_SPEND_VALUES) && PG_GETARG_BOOL(TZ_SPEND_VALUES));
	PG_RETURN_VOID();
}

/* reservation_noted(platform, id) */
THEAZO_FUNCTION(theazo_reservation_noted)
{
	static TzRowTable reservations = {"reservation", 2, 0, {NULL}, NULL};
	Datum keys[2] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)};
	TzRow row = {NULL};
	/* where nobody could look, somebody has to */
	bool noted = tz_row_find(&row, &reservations, keys) || row.slot == NULL;

	tz_row_close(&row);
	PG_RETURN_BOOL(noted);
}

static void
spend_delta(const Datum *values, const bool *nulls)
{
	static TzAppend deltas = {"spend_delta",
	                          7,
	                          {"platform_id", "id", "environment", "session_id", "user_id", "amount",
	                           "occurred_at"},
	                          NULL};

	tz_append(&deltas, values, nulls);
}

/* Mostly nothing is reserved, and that is seen without a statement. */
static void
spend_settle(Datum platform, Datum id, int64 amount, bool ends)
{
	static TzRowTable reservations = {"reservation", 2, 0, {NULL}, NULL};
	static TzStmt settle = {"UPDATE theazo_data.reservation x SET held = greatest(0, x.held - $3),"
	                        " need = CASE WHEN $4 THEN 0 ELSE least(x.need, greatest(0, x.held - $3)) END"
	                        " WHERE x.platform_id = $1 AND x.id = $2",
	                        4,
	                        {TEXTOID, TEXTOID, INT8OID, BOOLOID},
	                        NULL};
	Datum keys[2] = {platform, id};
	Datum values[4] = {platform, id, Int64GetDatum(amount), BoolGetDatum(ends)};
	TzRow row = {NULL};
	bool found = tz_row_find(&row, &reservations, keys);
	/* where nobody could look, a statement does */
	bool none = !found && row.slot != NULL;

	tz_row_close(&row);
	if (none)
		return;
	SPI_connect();
	tz_spi_exec(&settle, values, NULL, 0);
	SPI_finish();
}
