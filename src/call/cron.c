/*-------------------------------------------------------------------------
 *
 * cron.c
 *	  When a cron expression is due, in the server's time zones.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "lib/cron.h"
#include "pg/convert.h"
#include "pg/export.h"
#include "pg/objects.h"

/* What a zone said last: a search asks about the same span again and again. */
typedef struct CronZone
{
	pg_tz *tz;
	int64 from;
	int64 until;
	int32 offset;
} CronZone;

static void theazo_cron_args(FunctionCallInfo fcinfo, TzCron *cron, CronZone *zone);
static bool zone_is_name(const char *name);
static void theazo_cron_zone(void *arg, int64_t at, int32_t *offset, int64_t *until);
static bool cron_next(const TzCron *cron, CronZone *zone, TimestampTz after, TimestampTz *next);

/* theazo_internal.cron_next(cron text, timezone text, after timestamptz): null for never */
THEAZO_FUNCTION(theazo_cron_next)
{
	TzCron cron;
	CronZone zone;
	TimestampTz next;

	theazo_cron_args(fcinfo, &cron, &zone);
	if (!cron_next(&cron, &zone, PG_GETARG_TIMESTAMPTZ(2), &next))
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(next);
}

/*
 * theazo_internal.cron_between(cron text, timezone text, after timestamptz, until timestamptz, most integer,
 * OUT total bigint, OUT times timestamptz[])
 *
 * How often it is due after one moment and up to another, and the last of those times.
 */
THEAZO_FUNCTION(theazo_cron_between)
{
	TzCron cron;
	CronZone zone;
	TimestampTz at = PG_GETARG_TIMESTAMPTZ(2);
	TimestampTz until = PG_GETARG_TIMESTAMPTZ(3);
	int most = PG_GETARG_INT32(4);
	TupleDesc desc = tz_result_desc(fcinfo);
	Datum *last;
	Datum *ordered;
	Datum values[2];
	bool nulls[2] = {false, false};
	int64 total = 0;
	int n;

	if (most < 1 || most > 10000)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("most must be from 1 to 10000"));
	theazo_cron_args(fcinfo, &cron, &zone);
	last = palloc(sizeof(Datum) * most);
	while (cron_next(&cron, &zone, at, &at) && at <= until)
	{
		last[total++ % most] = TimestampTzGetDatum(at);
		CHECK_FOR_INTERRUPTS();
	}
	n = (int) Min(total, most);
	ordered = palloc(sizeof(Datum) * Max(n, 1));
	for (int i = 0; i < n; i++)
		ordered[i] = last[(total - n + i) % most];
	values[0] = Int64GetDatum(total);
	values[1] = PointerGetDatum(
		construct_array(ordered, n, TIMESTAMPTZOID, sizeof(TimestampTz), true, TYPALIGN_DOUBLE));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

/* What was given was wrong: 22023, with the field, as raise_value() does. */
static void
theazo_cron_args(FunctionCallInfo fcinfo, TzCron *cron, CronZone *zone)
{
	TzSlice expression = tz_datum_slice(PG_GETARG_DATUM(0));
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	TzErr err;

	tz_err_clear(&err);
	if (tz_cron_parse(expression, cron, &err) != TZ_OK)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("cron %s", err.message),
		        err_generic_string(PG_DIAG_COLUMN_NAME, "cron"),
		        errhint("%s", err.hint[0] != '\0' ? err.hint : "Correct cron and call again."));
	memset(zone, 0, sizeof(*zone));
	zone->tz = strlen(name) <= TZ_STRLEN_MAX && zone_is_name(name) ? pg_tzset(name) : NULL;
	if (zone->tz == NULL || !pg_tz_acceptable(zone->tz))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("timezone is not known"),
		        err_generic_string(PG_DIAG_COLUMN_NAME, "timezone"),
		        errhint("Use a name of pg_timezone_names, like Europe/Berlin or UTC."));
	zone->from = PG_INT64_MAX;
	zone->until = PG_INT64_MIN;
}

/*
 * The server takes more than names of zones: UTC+3 is three hours behind UTC by
 * the rules of POSIX, and whoever writes it means the contrary. Such rules have a
 * digit, which names have not, but for a few.
 */
static bool
zone_is_name(const char *name)
{
	static const char *const with_digits[] = {"EST5EDT", "CST6CDT", "MST7MDT", "PST8PDT"};

	for (size_t i = 0; i < lengthof(with_digits); i++)
	{
		if (pg_strcasecmp(name, with_digits[i]) == 0)
			return true;
	}
	if (pg_strncasecmp(name, "Etc/GMT", 7) == 0 && (name[7] == '+' || name[7] == '-'))
	{
		const char *digits = name + 8;
		char most = name[7] == '+' ? '2' : '4'; /* 12 hours behind, 14 ahead */

		if (strlen(digits) == 2)
			return digits[0] == '1' && digits[1] >= '0' && digits[1] <= most;
		return strlen(digits) == 1 && digits[0] >= '0' && digits[0] <= '9';
	}
	/* what this machine calls local says nothing elsewhere */
	return name[strcspn(name, "0123456789,<>:")] == '\0' && pg_strcasecmp(name, "localtime") != 0;
}

static void
theazo_cron_zone(void *arg, int64_t at, int32_t *offset, int64_t *until)
{
	CronZone *zone = arg;

	if (at < zone->from || at >= zone->until)
	{
		pg_time_t t = at;
		pg_time_t boundary;
		long before;
		long after;
		int before_dst;
		int after_dst;
		int found = pg_next_dst_boundary(&t, &before, &before_dst, &boundary, &after, &after_dst, zone->tz);

		if (found < 0)
			ereport(ERROR, errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
			        errmsg("time zone cannot be read at this time"));
		zone->from = at;
		zone->until = found == 0 ? PG_INT64_MAX : boundary;
		zone->offset = (int32) before;
	}
	*offset = zone->offset;
	*until = zone->until;
}

static bool
cron_next(const TzCron *cron, CronZone *zone, TimestampTz after, TimestampTz *next)
{
	int64_t seconds;

	if (TIMESTAMP_NOT_FINITE(after))
		return false;
	/* rounded down: what is due is later than the whole second */
	seconds = TZ_UNIX_US(after) / USECS_PER_SEC - (TZ_UNIX_US(after) % USECS_PER_SEC < 0);
	if (!tz_cron_next(cron, theazo_cron_zone, zone, seconds, &seconds))
		return false;
	*next = (TimestampTz) (seconds - (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY) *
	        USECS_PER_SEC;
	return true;
}
