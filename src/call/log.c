/*-------------------------------------------------------------------------
 *
 * log.c
 *	  Writing log lines and spans, which every call does.
 *
 * What is masked and bounded is decided in SQL (text_mask, summary_bound); here
 * is only decided what is so short and plain that it stays as it is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "call/summary.h"
#include "pg/append.h"
#include "pg/convert.h"
#include "pg/export.h"
#include "pg/ids.h"
#include "pg/objects.h"
#include "pg/shmem.h"
#include "pg/spi.h"
#include "pg/wake.h"

#define MESSAGE_PLAIN_MAX 1000 /* bytes; longer ones are cut by characters */

static Datum log_message(TzSlice message);
static void ring(TzSlice platform);

/*
 * theazo_internal.log_write(platform, root, level, source, message, environment, session, agent, run, user,
 * provider, trace, metadata)
 */
THEAZO_FUNCTION(theazo_log_write)
{
	static TzAppend logs = {"log",
	                        15,
	                        {"platform_id", "root_id", "level", "source", "message", "environment",
	                         "session_id", "agent_id", "run_id", "user_id", "provider", "trace_id",
	                         "metadata", "id", "occurred_at"},
	                        NULL};
	enum
	{
		ROOT = 1,
		MESSAGE = 4,
		ENVIRONMENT = 5,
		METADATA = 12,
		GIVEN = 13,
		ID = GIVEN,
		AT
	};
	char id[TZ_ID_MAX + 1];
	Datum values[15];
	bool nulls[15] = {false};
	Jsonb *metadata;

	tz_args_expect(fcinfo, GIVEN);
	metadata = PG_ARGISNULL(METADATA) ? NULL : PG_GETARG_JSONB_P(METADATA);
	tz_id_new("log", id);
	for (int i = 0; i < GIVEN; i++)
	{
		nulls[i] = PG_ARGISNULL(i);
		values[i] = nulls[i] ? (Datum) 0 : PG_GETARG_DATUM(i);
	}
	if (nulls[ROOT])
		values[ROOT] = CStringGetTextDatum(strchr(id, '_') + 1);
	if (nulls[ENVIRONMENT])
		values[ENVIRONMENT] = CStringGetTextDatum("live");
	values[MESSAGE] = log_message(nulls[MESSAGE] ? tz_slice("", 0) : tz_datum_slice(values[MESSAGE]));
	nulls[ROOT] = nulls[ENVIRONMENT] = nulls[MESSAGE] = false;
	metadata = tz_summary(metadata);
	nulls[METADATA] = metadata == NULL;
	values[METADATA] = JsonbPGetDatum(metadata);
	values[ID] = CStringGetTextDatum(id);
	values[AT] = TimestampTzGetDatum(GetCurrentTimestamp());
	tz_append(&logs, values, nulls);
	ring(tz_datum_slice(values[0]));
	PG_RETURN_VOID();
}

/*
 * theazo_internal.span_write(platform, root, id, trace, parent, environment, session, agent, run, name, status,
 * start, end, attributes)
 */
THEAZO_FUNCTION(theazo_span_write)
{
	static TzAppend spans = {"span",
	                         14,
	                         {"platform_id", "root_id", "id", "trace_id", "parent_id", "environment",
	                          "session_id", "agent_id", "run_id", "name", "status", "started_at", "ended_at",
	                          "attributes"},
	                         NULL};
	Datum values[14];
	bool nulls[14];

	tz_args_expect(fcinfo, 14);
	for (int i = 0; i < 14; i++)
	{
		nulls[i] = PG_ARGISNULL(i);
		values[i] = nulls[i] ? (Datum) 0 : PG_GETARG_DATUM(i);
	}
	if (nulls[13])
		values[13] = tz_jsonb_datum(tz_slice_cstr("{}"));
	nulls[13] = false;
	tz_append(&spans, values, nulls);
	PG_RETURN_VOID();
}

/* Who follows the logs of a platform is woken at commit: see rest_log_stream(). */
static void
ring(TzSlice platform)
{
	char bell[TZ_ID_MAX + 8];

	if (tz_shared == NULL || tz_shared->gateways == 0)
		return;
	snprintf(bell, sizeof(bell), "logs:%.*s", (int) Min(platform.len, TZ_ID_MAX), platform.data);
	tz_wake_run_moved_at_commit(bell, strlen(bell));
}

static Datum
log_message(TzSlice message)
{
	static TzStmt stmt = {"SELECT theazo_internal.mask_left($1, 4000)", 1, {TEXTOID}, NULL};
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext inner;
	Datum arg;
	Datum result;
	bool isnull;

	arg = tz_text_datum(message);
	if (message.len <= MESSAGE_PLAIN_MAX && !tz_text_is_suspicious(message))
		return arg;
	SPI_connect();
	tz_spi_exec(&stmt, &arg, NULL, 1);
	result = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	inner = MemoryContextSwitchTo(caller);
	result = isnull ? arg : tz_text_datum(tz_datum_slice(result));
	MemoryContextSwitchTo(inner);
	SPI_finish();
	return result;
}
