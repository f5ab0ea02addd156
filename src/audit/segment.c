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
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "audit/protect.h"
#include "pg/export.h"
#include "pg/pausepoint.h"

#define MONTH_LEN 7 /* YYYY_MM */
#define LOOK_MS 3600000

static void segment_schema(void);

/* theazo_internal.event_segment_move(month text) */
THEAZO_FUNCTION(theazo_event_segment_move)
{
	char *month = text_to_cstring(PG_GETARG_TEXT_PP(0));

	if (strlen(month) != MONTH_LEN || strspn(month, "0123456789_") != MONTH_LEN)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("\"month\" is no month"),
		        errhint("Give it as YYYY_MM."));
	SPI_connect();
	segment_schema();
	tz_protect_execute(
		psprintf("ALTER TABLE theazo_data.event DETACH PARTITION theazo_data.event_%s", month));
	tz_protect_execute(psprintf("ALTER TABLE theazo_data.event_%s SET SCHEMA " TZ_ARCHIVE_SCHEMA, month));
	SPI_finish();
	TZ_PAUSE_POINT("segment-moved");
	PG_RETURN_VOID();
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
