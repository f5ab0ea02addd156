/*-------------------------------------------------------------------------
 *
 * run_end.c
 *	  The rows of a run that has ended, without a statement.
 *
 * What they say is decided in SQL (run.sql). The caller has locked the run's agent.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "call/rows.h"
#include "pg/convert.h"
#include "pg/export.h"

/* run_begin(platform, run, at): the run as it is then; NULL when it was not queued */
THEAZO_FUNCTION(theazo_run_begin)
{
	static TzRowTable runs = {"run", 2, 2, {"status", "started_at"}, NULL};
	static TzStmt stmt = {
		"UPDATE theazo_data.run x SET status = 'running', started_at = coalesce(x.started_at, $3)"
		" WHERE x.platform_id = $1 AND x.id = $2 AND x.status = 'queued' RETURNING x",
		3,
		{TEXTOID, TEXTOID, TIMESTAMPTZOID},
		NULL};
	Datum values[3] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1), PG_GETARG_DATUM(2)};
	TzRow row = {NULL};
	bool queued = false;
	bool done = false;
	bool found;
	Datum result = (Datum) 0;

	found = tz_row_find(&row, &runs, values);
	if (found)
	{
		const AttrNumber *at = tz_row_places(&row);
		Datum *all = row.slot->tts_values;
		bool *none = row.slot->tts_isnull;

		queued = tz_slice_eq_cstr(tz_datum_slice(all[at[0]]), "queued");
		if (queued)
		{
			all[at[0]] = CStringGetTextDatum("running");
			all[at[1]] = none[at[1]] ? values[2] : all[at[1]];
			none[at[1]] = false;
			done = tz_row_replace(&row, all, none);
			if (done)
				result = tz_row_datum(&row, all, none);
		}
	}
	tz_row_close(&row);
	if (done)
		PG_RETURN_DATUM(result);
	if (found && !queued)
		PG_RETURN_NULL();
	return tz_row_by_statement(fcinfo, &stmt, values, NULL);
}

/*
 * run_end(platform, run, status, started, ended, exit_code, cost, unknown, sqlstate, code, message, hint): the run as
 * it is then; NULL when it had ended before
 */
THEAZO_FUNCTION(theazo_run_end)
{
	static TzRowTable runs = {"run",
	                          2,
	                          10,
	                          {"status", "started_at", "ended_at", "exit_code", "cost", "outcome_unknown",
	                           "error_sqlstate", "error_code", "error_message", "error_hint"},
	                          NULL};
	static TzStmt stmt = {
		"UPDATE theazo_data.run x SET status = $3, started_at = coalesce($4, x.started_at),"
		" ended_at = $5, exit_code = $6, cost = $7, outcome_unknown = $8, error_sqlstate = $9,"
		" error_code = $10, error_message = $11, error_hint = $12"
		" WHERE x.platform_id = $1 AND x.id = $2 AND x.status IN ('queued', 'running')"
		" RETURNING x",
		12,
		{TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID, INT8OID, BOOLOID, TEXTOID,
	     TEXTOID, TEXTOID, TEXTOID},
		NULL};
	enum
	{
		KEYS = 2,
		STATUS = 0,
		STARTED = 1,
		COLUMNS = 10
	};
	Datum values[KEYS + COLUMNS];
	bool nulls[KEYS + COLUMNS];
	TzRow row = {NULL};
	bool done = false;
	Datum result = (Datum) 0;

	tz_args_take(fcinfo, KEYS + COLUMNS, values, nulls);
	if (!nulls[0] && !nulls[1] && tz_row_find(&row, &runs, values))
	{
		const AttrNumber *at = tz_row_places(&row);
		int natts = row.slot->tts_tupleDescriptor->natts;
		Datum *all = palloc(sizeof(Datum) * natts);
		bool *none = palloc(sizeof(bool) * natts);
		char *status = TextDatumGetCString(row.slot->tts_values[at[STATUS]]);

		memcpy(all, row.slot->tts_values, sizeof(Datum) * natts);
		memcpy(none, row.slot->tts_isnull, sizeof(bool) * natts);
		for (int i = 0; i < COLUMNS; i++)
		{
			if (i == STARTED && nulls[KEYS + i])
				continue;
			all[at[i]] = values[KEYS + i];
			none[at[i]] = nulls[KEYS + i];
		}
		if (strcmp(status, "queued") == 0 || strcmp(status, "running") == 0)
			done = tz_row_replace(&row, all, none);
		if (done)
			result = tz_row_datum(&row, all, none);
	}
	tz_row_close(&row);
	if (done)
		PG_RETURN_DATUM(result);
	return tz_row_by_statement(fcinfo, &stmt, values, nulls);
}

/* run_payload_end(platform, root, result, content, verdict) */
THEAZO_FUNCTION(theazo_run_payload_end)
{
	static TzRowTable payloads = {"run_payload", 2, 3, {"result", "result_content", "verdict"}, NULL};
	static TzStmt stmt = {
		"UPDATE theazo_data.run_payload x SET result = $3, result_content = $4, verdict = $5"
		" WHERE x.platform_id = $1 AND x.root_id = $2",
		5,
		{TEXTOID, TEXTOID, JSONBOID, BYTEAOID, TEXTOID},
		NULL};
	Datum values[5];
	bool nulls[5];

	tz_args_take(fcinfo, 5, values, nulls);
	if (!tz_row_set(&payloads, values, nulls))
		tz_by_statement(&stmt, values, nulls);
	PG_RETURN_VOID();
}

/* span_end(platform, root, id, status, ended) */
THEAZO_FUNCTION(theazo_span_end)
{
	static TzRowTable spans = {"span", 3, 2, {"status", "ended_at"}, NULL};
	static TzStmt stmt = {"UPDATE theazo_data.span x SET status = $4, ended_at = $5"
	                      " WHERE x.platform_id = $1 AND x.root_id = $2 AND x.id = $3",
	                      5,
	                      {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID},
	                      NULL};
	Datum values[5];
	bool nulls[5];

	tz_args_take(fcinfo, 5, values, nulls);
	if (!tz_row_set(&spans, values, nulls))
		tz_by_statement(&stmt, values, nulls);
	PG_RETURN_VOID();
}
