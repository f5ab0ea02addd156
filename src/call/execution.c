/*-------------------------------------------------------------------------
 *
 * execution.c
 *	  The rows of executions and of what their code asks for, without a statement.
 *
 * What they say is decided in SQL (execution.sql, script.sql, host_call.sql).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "call/rows.h"
#include "pg/convert.h"
#include "pg/export.h"
#include "pg/objects.h"

/* What host_tally() counts. */
typedef struct Tally
{
	int made;
	int counted;
	int violations;
} Tally;

static void tally_call(void *arg, const TzRow *row);
static void tally_by_statement(const Datum *keys, Tally *tally);

/* run_read(platform, run) */
THEAZO_FUNCTION(theazo_run_read)
{
	static TzRowTable runs = {"run", 2, 0, {NULL}, NULL};
	static TzStmt stmt = {"SELECT x FROM theazo_data.run x WHERE x.platform_id = $1 AND x.id = $2",
	                      2,
	                      {TEXTOID, TEXTOID},
	                      NULL};
	Datum keys[2] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)};

	return tz_row_read(fcinfo, &runs, &stmt, keys);
}

/* run_payload_read(platform, root) */
THEAZO_FUNCTION(theazo_run_payload_read)
{
	static TzRowTable payloads = {"run_payload", 2, 0, {NULL}, NULL};
	static TzStmt stmt = {
		"SELECT x FROM theazo_data.run_payload x WHERE x.platform_id = $1 AND x.root_id = $2",
		2,
		{TEXTOID, TEXTOID},
		NULL};
	Datum keys[2] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)};

	return tz_row_read(fcinfo, &payloads, &stmt, keys);
}

/* execution_read(platform, number) */
THEAZO_FUNCTION(theazo_execution_read)
{
	static TzRowTable executions = {"execution", 2, 0, {NULL}, NULL};
	static TzStmt stmt = {"SELECT x FROM theazo_data.execution x WHERE x.platform_id = $1 AND x.number = $2",
	                      2,
	                      {TEXTOID, INT8OID},
	                      NULL};
	Datum keys[2] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)};

	return tz_row_read(fcinfo, &executions, &stmt, keys);
}

/* execution_append(x theazo_data.execution) */
THEAZO_FUNCTION(theazo_execution_append)
{
	static TzAppend executions = {
		"execution",
		25,
		{"platform_id",    "number",   "run_id",    "agent_id",   "session_id", "environment",   "revision",
	     "mode",           "status",   "policy",    "labels",     "error_code", "error_message", "created_at",
	     "started_at",     "ended_at", "cpu_ms",    "memory_mb",  "api_calls",  "host_calls",    "violations",
	     "was_terminated", "evidence", "end_event", "attestation"},
		NULL};

	tz_record_append(&executions, PG_GETARG_HEAPTUPLEHEADER(0));
	PG_RETURN_VOID();
}

/*
 * execution_end(platform, number, status, error_code, error_message, started, ended, cpu_ms, memory_mb, api_calls,
 * host_calls, violations, was_terminated, evidence, event): false when it had ended
 */
THEAZO_FUNCTION(theazo_execution_end)
{
	static TzRowTable executions = {"execution",
	                                2,
	                                13,
	                                {"status", "error_code", "error_message", "started_at", "ended_at",
	                                 "cpu_ms", "memory_mb", "api_calls", "host_calls", "violations",
	                                 "was_terminated", "evidence", "end_event"},
	                                NULL};
	static TzStmt stmt = {
		"UPDATE theazo_data.execution x SET status = $3, error_code = $4, error_message = $5, started_at = $6,"
		" ended_at = $7, cpu_ms = $8, memory_mb = $9, api_calls = $10, host_calls = $11, violations = $12,"
		" was_terminated = $13, evidence = $14, end_event = $15"
		" WHERE x.platform_id = $1 AND x.number = $2 AND x.status = 'running'",
		15,
		{TEXTOID, INT8OID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, NUMERICOID, NUMERICOID,
	     INT4OID, INT4OID, INT4OID, BOOLOID, JSONBOID, TEXTOID},
		NULL};
	Datum values[15];
	bool nulls[15];
	TzRow row = {NULL};
	bool running = false;
	bool done = false;
	uint64 changed;

	tz_args_take(fcinfo, 15, values, nulls);
	if (!nulls[0] && !nulls[1] && tz_row_find(&row, &executions, values))
	{
		running = tz_slice_eq_cstr(tz_datum_slice(row.slot->tts_values[tz_row_places(&row)[0]]), "running");
		done = running && tz_row_put(&row, &executions, values, nulls);
	}
	tz_row_close(&row);
	if (done)
		PG_RETURN_BOOL(true);
	SPI_connect();
	changed = tz_spi_exec(&stmt, values, nulls, 0);
	SPI_finish();
	PG_RETURN_BOOL(changed > 0);
}

/*
 * host_call_append(platform, root, call, agent, session, environment, fn, summary, allowed, counted, violation, effect,
 * at, ms, error)
 */
THEAZO_FUNCTION(theazo_host_call_append)
{
	static TzAppend calls = {"host_call",
	                         15,
	                         {"platform_id", "root_id", "call", "agent_id", "session_id", "environment", "fn",
	                          "args_summary", "allowed", "counted", "violation", "effect_id", "occurred_at",
	                          "duration_ms", "error"},
	                         NULL};

	Datum values[15];
	bool nulls[15];

	tz_args_take(fcinfo, 15, values, nulls);
	if (!nulls[13])
		values[13] = Int32GetDatum((int32) Min(DatumGetInt64(values[13]), PG_INT32_MAX));
	tz_append(&calls, values, nulls);
	PG_RETURN_VOID();
}

/* host_tally(platform, root): how many there are, how many of them count, how many broke a rule */
THEAZO_FUNCTION(theazo_host_tally)
{
	static TzRowTable calls = {"host_call", 2, 2, {"counted", "violation"}, NULL};
	Datum keys[2] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)};
	TupleDesc desc = tz_result_desc(fcinfo);
	Tally tally = {0};
	Datum values[3];
	bool nulls[3] = {false};

	if (!tz_rows_each(&calls, keys, tally_call, &tally))
		tally_by_statement(keys, &tally);
	values[0] = Int32GetDatum(tally.made);
	values[1] = Int32GetDatum(tally.counted);
	values[2] = Int32GetDatum(tally.violations);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

static void
tally_call(void *arg, const TzRow *row)
{
	Tally *tally = arg;
	const AttrNumber *at = tz_row_places(row);

	tally->made++;
	tally->counted += DatumGetBool(row->slot->tts_values[at[0]]);
	tally->violations += DatumGetBool(row->slot->tts_values[at[1]]);
}

static void
tally_by_statement(const Datum *keys, Tally *tally)
{
	static TzStmt stmt = {"SELECT count(*)::integer, (count(*) FILTER (WHERE h.counted))::integer,"
	                      " (count(*) FILTER (WHERE h.violation))::integer"
	                      " FROM theazo_data.host_call h WHERE h.platform_id = $1 AND h.root_id = $2",
	                      2,
	                      {TEXTOID, TEXTOID},
	                      NULL};

	SPI_connect();
	if (tz_spi_exec(&stmt, keys, NULL, 1) == 1)
	{
		tally->made = tz_spi_int32(0, 1, 0);
		tally->counted = tz_spi_int32(0, 2, 0);
		tally->violations = tz_spi_int32(0, 3, 0);
	}
	SPI_finish();
}
