/*-------------------------------------------------------------------------
 *
 * segment.c
 *	  Takes a month of events out of theazo.
 *
 * Whether it may go is decided in SQL. Here is only what the hooks refuse to
 * everybody: the partition is detached and moves to a schema that is no member
 * of the extension, so that it can be dumped, moved and dropped like any table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "audit/protect.h"
#include "pg/errors.h"
#include "pg/export.h"
#include "pg/pausepoint.h"

#define MONTH_LEN 7 /* YYYY_MM */
#define LOOK_MS 3600000

static void segment_allowed(const char *month);
static void segment_schema(void);

/* theazo_internal.event_segment_move(month text) */
THEAZO_FUNCTION(theazo_event_segment_move)
{
	char *month = text_to_cstring(PG_GETARG_TEXT_PP(0));

	if (strlen(month) != MONTH_LEN || strspn(month, "0123456789_") != MONTH_LEN)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("\"month\" is no month"),
		        errhint("Give it as YYYY_MM."));
	SPI_connect();
	segment_allowed(month);
	segment_schema();
	tz_protect_execute(
		psprintf("ALTER TABLE theazo_data.event DETACH PARTITION theazo_data.event_%s", month));
	tz_protect_execute(psprintf("ALTER TABLE theazo_data.event_%s SET SCHEMA " TZ_ARCHIVE_SCHEMA, month));
	SPI_finish();
	TZ_PAUSE_POINT("segment-moved");
	PG_RETURN_VOID();
}

/* Also who calls this by hand takes no month along that goes on, was never exported, or leaves no event. */
static void
segment_allowed(const char *month)
{
	const char *sql =
		"SELECT FROM theazo_data.event e"
		" WHERE e.platform_id = theazo_internal.operator_platform() AND e.xid = pg_catalog.pg_current_xact_id()"
		"   AND e.action = 'segment_detached'"
		"   AND pg_catalog.convert_from(e.body, 'UTF8')::pg_catalog.jsonb #>> '{summary,month}' = $1"
		"   AND EXISTS (SELECT FROM theazo_data.audit_segment s WHERE s.month = $1 AND s.what = 'exported')"
		"   AND pg_catalog.to_date($1, 'YYYY_MM') + '1 month 1 day'::pg_catalog.interval"
		"       <= pg_catalog.clock_timestamp() AT TIME ZONE 'UTC'";
	Oid types[1] = {TEXTOID};
	Datum values[1] = {CStringGetTextDatum(month)};

	if (SPI_execute_with_args(sql, 1, types, values, NULL, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read the events of this transaction");
	if (SPI_processed == 0)
		ereport(ERROR, errcode(ERRCODE_TZ_EVENT_IMMUTABLE), errmsg("month %s of events stays", month),
		        errhint("Use theazo.operator_segment_detach()."));
}

/* The guard may make no schema; whoever set the server up may. Made at first use, so it is no member. */
static void
segment_schema(void)
{
	Oid user;
	int context;

	if (OidIsValid(get_namespace_oid(TZ_ARCHIVE_SCHEMA, true)))
		return;
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID,
	                       context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	tz_protect_execute("CREATE SCHEMA " TZ_ARCHIVE_SCHEMA " AUTHORIZATION theazo_guard");
	SetUserIdAndSecContext(user, context);
}

/* theazo_internal.segments_look(): true once an hour in this process, as looking reads whole months. */
THEAZO_FUNCTION(theazo_segments_look)
{
	static TimestampTz last = 0;
	TimestampTz now = GetCurrentTimestamp();

	(void) fcinfo;
	if (last != 0 && now >= last && TimestampDifferenceMilliseconds(last, now) < LOOK_MS)
		PG_RETURN_BOOL(false);
	last = now;
	PG_RETURN_BOOL(true);
}
