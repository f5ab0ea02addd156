/*-------------------------------------------------------------------------
 *
 * loop.c
 *	  The rows that every step of a run writes, without a statement.
 *
 * What they say is decided in SQL (loop*.sql, settle.sql). Whoever writes has
 * locked the run's agent, so rows change under nobody's hands; where one did, a
 * statement does the work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "gate/gate.h"
#include "call/rows.h"
#include "call/spend.h"
#include "pg/append.h"
#include "pg/convert.h"
#include "pg/export.h"
#include "pg/ids.h"
#include "pg/objects.h"
#include "pg/row.h"
#include "pg/shmem.h"
#include "pg/spi.h"
#include "pg/wake.h"


/* message_append(platform, root, seq, role, canonical, dialect, wire, tokens) */
THEAZO_FUNCTION(theazo_message_append)
{
	static TzAppend messages = {"message",
	                            8,
	                            {"platform_id", "root_id", "seq", "role", "canonical", "dialect", "wire",
	                             "tokens"},
	                            NULL};
	Datum values[8];
	bool nulls[8];

	tz_args_take(fcinfo, 8, values, nulls);
	tz_append(&messages, values, nulls);
	PG_RETURN_VOID();
}

/*
 * charge_append(platform, root, id, environment, session, agent, run, user, effect, item, quantity, amount, payer,
 * provider, model, input, cached, output, estimated, start, end, occurred, provider_cents)
 */
THEAZO_FUNCTION(theazo_charge_append)
{
	static TzAppend charges = {
		"charge",
		24,
		{"platform_id", "root_id",        "id",           "environment",  "session_id",     "agent_id",
	     "run_id",      "user_id",        "effect_id",    "item",         "quantity",       "amount",
	     "payer",       "provider",       "model",        "input_tokens", "cached_tokens",  "output_tokens",
	     "estimated",   "interval_start", "interval_end", "occurred_at",  "provider_cents", "currency"},
		NULL};
	Datum values[24];
	bool nulls[24] = {false};

	tz_args_take(fcinfo, 23, values, nulls);
	values[23] = CStringGetTextDatum("usd");
	tz_append(&charges, values, nulls);
	{
		/* platform, id, environment, session, user, amount, occurred; reserved for the run, whose call this was */
		static const int noted[] = {0, 2, 3, 4, 7, 11, 21, 6};
		Datum spend[TZ_SPEND_VALUES];
		bool missing[TZ_SPEND_VALUES];

		for (int i = 0; i < TZ_SPEND_VALUES; i++)
		{
			spend[i] = values[noted[i]];
			missing[i] = nulls[noted[i]];
		}
		tz_spend_note(spend, missing, true);
	}
	PG_RETURN_VOID();
}

/* run_append(r theazo_data.run) */
THEAZO_FUNCTION(theazo_run_append)
{
	static TzAppend runs = {"run",
	                        25,
	                        {"platform_id",
	                         "id",
	                         "session_id",
	                         "agent_id",
	                         "user_id",
	                         "environment",
	                         "kind",
	                         "status",
	                         "language",
	                         "provider",
	                         "timeout_ms",
	                         "created_at",
	                         "started_at",
	                         "ended_at",
	                         "exit_code",
	                         "cost",
	                         "trace_id",
	                         "error_sqlstate",
	                         "error_code",
	                         "error_message",
	                         "error_hint",
	                         "outcome_unknown",
	                         "cancel_requested",
	                         "parent_id",
	                         "execution"},
	                        NULL};

	tz_record_append(&runs, PG_GETARG_HEAPTUPLEHEADER(0));
	PG_RETURN_VOID();
}

/* run_loop_append(l theazo_data.run_loop) */
THEAZO_FUNCTION(theazo_run_loop_append)
{
	static TzAppend loops = {"run_loop",
	                         28,
	                         {"platform_id",  "root_id",   "agent_id",   "chain",       "at",
	                          "system",       "options",   "tools",      "tools_hash",  "prior",
	                          "prior_tokens", "role_name", "cost_cap",   "spent",       "max_steps",
	                          "model_calls",  "last_seq",  "open_tools", "corrections", "messages",
	                          "tokens",       "paused",    "suspended",  "deadline",    "parent_root",
	                          "policy",       "labels",    "started_by"},
	                         NULL};

	tz_record_append(&loops, PG_GETARG_HEAPTUPLEHEADER(0));
	PG_RETURN_VOID();
}

/* run_payload_append(platform, root, input) */
THEAZO_FUNCTION(theazo_run_payload_append)
{
	static TzAppend payloads = {"run_payload", 4, {"platform_id", "root_id", "input", "verdict"}, NULL};
	Datum values[4];
	bool nulls[4] = {false};

	tz_args_take(fcinfo, 3, values, nulls);
	values[3] = CStringGetTextDatum("none");
	tz_append(&payloads, values, nulls);
	PG_RETURN_VOID();
}

/*
 * step_append(platform, root, seq, round, kind, state, name, call_id, effect, provider, adapter, started, ended,
 * ended_no, error_code)
 */
THEAZO_FUNCTION(theazo_step_append)
{
	static TzAppend steps = {"step",
	                         18,
	                         {"platform_id", "root_id", "seq", "round", "kind", "state", "name", "call_id",
	                          "effect_id", "provider", "adapter", "started_at", "ended_at", "ended_no",
	                          "error_code", "attempts", "cost", "estimated"},
	                         NULL};
	Datum values[18];
	bool nulls[18] = {false};

	tz_args_take(fcinfo, 15, values, nulls);
	values[13] = Int16GetDatum((int16) DatumGetInt32(values[13]));
	values[15] = Int16GetDatum(1);
	values[16] = Int64GetDatum(0);
	values[17] = BoolGetDatum(false);
	tz_append(&steps, values, nulls);
	PG_RETURN_VOID();
}

/* step_payload_append(platform, root, seq, input, output, raw) */
THEAZO_FUNCTION(theazo_step_payload_append)
{
	static TzAppend payloads = {"step_payload",
	                            6,
	                            {"platform_id", "root_id", "seq", "input", "output", "raw"},
	                            NULL};
	Datum values[6];
	bool nulls[6];

	tz_args_take(fcinfo, 6, values, nulls);
	tz_append(&payloads, values, nulls);
	PG_RETURN_VOID();
}

/*
 * step_close(platform, root, seq, state, input, cache_read, cache_write, output, reasoning, cost, estimated, stop,
 * request, started, ended, error_code, error_message): the end of a model call; counts and cost are added
 */
THEAZO_FUNCTION(theazo_step_close)
{
	static TzRowTable steps = {"step",
	                           3,
	                           14,
	                           {"state", "input_tokens", "cache_read_tokens", "cache_write_tokens",
	                            "output_tokens", "reasoning_tokens", "cost", "estimated", "stop",
	                            "request_id", "started_at", "ended_at", "error_code", "error_message"},
	                           NULL};
	static TzStmt stmt = {
		"UPDATE theazo_data.step x SET state = $4, input_tokens = coalesce(x.input_tokens + $5, $5, x.input_tokens),"
		" cache_read_tokens = coalesce(x.cache_read_tokens + $6, $6, x.cache_read_tokens),"
		" cache_write_tokens = coalesce(x.cache_write_tokens + $7, $7, x.cache_write_tokens),"
		" output_tokens = coalesce(x.output_tokens + $8, $8, x.output_tokens),"
		" reasoning_tokens = coalesce(x.reasoning_tokens + $9, $9, x.reasoning_tokens), cost = x.cost + $10,"
		" estimated = x.estimated OR $11, stop = $12, request_id = $13, started_at = coalesce($14, x.started_at),"
		" ended_at = $15, error_code = $16, error_message = $17"
		" WHERE x.platform_id = $1 AND x.root_id = $2 AND x.seq = $3",
		17,
		{TEXTOID, TEXTOID, INT4OID, TEXTOID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, BOOLOID,
	     TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, TEXTOID},
		NULL};
	enum
	{
		KEYS = 3,
		FIRST_COUNT = 1,
		COST = 6,
		ESTIMATED = 7,
		STARTED = 10,
		COLUMNS = 14
	};
	Datum values[KEYS + COLUMNS];
	bool nulls[KEYS + COLUMNS];
	TzRow row = {NULL};
	bool done = false;

	tz_args_take(fcinfo, KEYS + COLUMNS, values, nulls);
	if (!nulls[0] && !nulls[1] && !nulls[2] && tz_row_find(&row, &steps, values))
	{
		const AttrNumber *at = tz_row_places(&row);
		int natts = row.slot->tts_tupleDescriptor->natts;
		Datum *all = palloc(sizeof(Datum) * natts);
		bool *none = palloc(sizeof(bool) * natts);
		bool fits = true;

		memcpy(all, row.slot->tts_values, sizeof(Datum) * natts);
		memcpy(none, row.slot->tts_isnull, sizeof(bool) * natts);
		for (int i = 0; i < COLUMNS; i++)
		{
			int64 sum;
			Datum value = values[KEYS + i];

			/* counts and cost on top of those of earlier attempts; what nobody counted stays */
			if (nulls[KEYS + i] && ((i >= FIRST_COUNT && i <= COST) || i == STARTED))
				continue;
			if (i >= FIRST_COUNT && i <= COST && !none[at[i]])
			{
				fits = fits && !pg_add_s64_overflow(DatumGetInt64(value), DatumGetInt64(all[at[i]]), &sum);
				value = Int64GetDatum(fits ? sum : 0);
			}
			if (i == ESTIMATED)
				value = BoolGetDatum(DatumGetBool(value) || DatumGetBool(all[at[i]]));
			all[at[i]] = value;
			none[at[i]] = nulls[KEYS + i];
		}
		/* a statement says that they are too large */
		done = fits && tz_row_replace(&row, all, none);
	}
	tz_row_close(&row);
	if (!done)
		tz_by_statement(&stmt, values, nulls);
	PG_RETURN_VOID();
}

/* effect_end(platform, root, id, state, finished, error_code, error_message) */
THEAZO_FUNCTION(theazo_effect_end)
{
	static TzRowTable effects = {
		"effect", 3, 5, {"state", "finished_at", "error_code", "error_message", "held_reason"}, NULL};
	static TzStmt stmt = {"UPDATE theazo_data.effect x SET state = $4, finished_at = $5, error_code = $6,"
	                      " error_message = $7, held_reason = NULL"
	                      " WHERE x.platform_id = $1 AND x.root_id = $2 AND x.id = $3",
	                      7,
	                      {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TEXTOID, TEXTOID},
	                      NULL};
	Datum values[8];
	bool nulls[8];

	tz_args_take(fcinfo, 7, values, nulls);
	values[7] = (Datum) 0;
	nulls[7] = true;
	if (!tz_row_set(&effects, values, nulls))
		tz_by_statement(&stmt, values, nulls);
	PG_RETURN_VOID();
}

/*
 * Code that runs, and what it asks for, changes nothing of its agent: many settle at once, and who cuts or deletes the
 * agent waits for them.
 */
static bool
effect_shares_agent(TzSlice kind)
{
	return tz_slice_eq_cstr(kind, "script.run") || tz_slice_eq_cstr(kind, "http.fetch");
}

/* effect_hold(platform, root, id): the agent first, as everywhere */
THEAZO_FUNCTION(theazo_effect_hold)
{
	static TzRowTable effects = {"effect", 3, 2, {"agent_id", "kind"}, NULL};
	static TzRowTable agents = {"agent", 2, 0, {NULL}, NULL};
	static TzStmt agent_stmt = {
		"SELECT FROM theazo_data.agent a WHERE a.platform_id = $1 AND a.id = $2 FOR UPDATE",
		2,
		{TEXTOID, TEXTOID},
		NULL};
	static TzStmt shared_stmt = {
		"SELECT FROM theazo_data.agent a WHERE a.platform_id = $1 AND a.id = $2 FOR KEY SHARE",
		2,
		{TEXTOID, TEXTOID},
		NULL};
	static TzStmt agent_of_stmt = {
		"SELECT FROM theazo_data.agent a WHERE (a.platform_id, a.id) = (SELECT x.platform_id, x.agent_id"
		" FROM theazo_data.effect x WHERE x.platform_id = $1 AND x.root_id = $2 AND x.id = $3) FOR UPDATE",
		3,
		{TEXTOID, TEXTOID, TEXTOID},
		NULL};
	static TzStmt effect_stmt = {
		"SELECT x FROM theazo_data.effect x WHERE x.platform_id = $1 AND x.root_id = $2 AND x.id = $3 FOR UPDATE",
		3,
		{TEXTOID, TEXTOID, TEXTOID},
		NULL};
	Datum keys[3];
	bool nulls[3];
	Datum agent[2] = {(Datum) 0, (Datum) 0};
	TzRow row = {NULL};
	bool shared = false;
	bool found;

	tz_args_take(fcinfo, 3, keys, nulls);
	if (nulls[0] || nulls[1] || nulls[2])
		PG_RETURN_NULL();
	found = tz_row_find(&row, &effects, keys);
	if (found)
	{
		const AttrNumber *at = tz_row_places(&row);

		agent[0] = keys[0];
		if (!row.slot->tts_isnull[at[0]])
			agent[1] = datumCopy(row.slot->tts_values[at[0]], false, -1);
		shared = effect_shares_agent(tz_datum_slice(row.slot->tts_values[at[1]]));
	}
	tz_row_close(&row);
	if (agent[1] != (Datum) 0)
	{
		bool locked = tz_row_find(&row, &agents, agent) &&
		              tz_row_lock(&row, shared ? LockTupleKeyShare : LockTupleExclusive);

		tz_row_close(&row);
		if (!locked)
			tz_by_statement(shared ? &shared_stmt : &agent_stmt, agent, NULL);
	}
	/* where only a statement can look, that one finds the agent too */
	if (!found)
		tz_by_statement(&agent_of_stmt, keys, NULL);
	/* again: whoever held the agent may have changed it */
	if (found && tz_row_find(&row, &effects, keys) && tz_row_lock(&row, LockTupleExclusive))
	{
		Datum result = tz_row_datum(&row, row.slot->tts_values, row.slot->tts_isnull);

		tz_row_close(&row);
		PG_RETURN_DATUM(result);
	}
	tz_row_close(&row);
	return tz_row_by_statement(fcinfo, &effect_stmt, keys, NULL);
}

/* provider_noted(platform, kind, name) */
THEAZO_FUNCTION(theazo_provider_noted)
{
	static TzRowTable health = {"provider_health", 3, 0, {NULL}, NULL};
	Datum keys[3];
	bool nulls[3];
	TzRow row = {NULL};
	bool found;

	tz_args_take(fcinfo, 3, keys, nulls);
	if (nulls[0] || nulls[1] || nulls[2])
		PG_RETURN_BOOL(false);
	/* where nobody could look, somebody has to */
	found = tz_row_find(&row, &health, keys) || row.slot == NULL;
	tz_row_close(&row);
	PG_RETURN_BOOL(found);
}

/* loop_save(l theazo_data.run_loop) */
THEAZO_FUNCTION(theazo_loop_save)
{
	static TzRowTable loops = {"run_loop",
	                           2,
	                           9,
	                           {"at", "spent", "model_calls", "last_seq", "open_tools", "corrections",
	                            "messages", "tokens", "suspended"},
	                           NULL};
	static TzStmt stmt = {"UPDATE theazo_data.run_loop x SET at = $3, spent = $4, model_calls = $5,"
	                      " last_seq = $6, open_tools = $7, corrections = $8, messages = $9, tokens = $10,"
	                      " suspended = $11 WHERE x.platform_id = $1 AND x.root_id = $2",
	                      11,
	                      {TEXTOID, TEXTOID, INT2OID, INT8OID, INT4OID, INT4OID, INT4OID, INT2OID, INT4OID,
	                       INT4OID, BOOLOID},
	                      NULL};
	const char *names[11] = {"platform_id", "root_id"};
	Datum values[11];
	bool nulls[11];

	memcpy(&names[2], loops.columns, sizeof(names[0]) * 9);
	tz_record_columns(PG_GETARG_HEAPTUPLEHEADER(0), names, 11, values, nulls);
	if (!tz_row_set(&loops, values, nulls))
		tz_by_statement(&stmt, values, nulls);
	PG_RETURN_VOID();
}

/*
 * effect_enqueue(platform, root, kind, adapter, request, run, session, agent, sandbox, provider, timeout_ms,
 * max_attempts, affinity, due, deadline, content, step_seq)
 */
THEAZO_FUNCTION(theazo_effect_enqueue)
{
	enum
	{
		PLATFORM,
		ROOT,
		KIND,
		ADAPTER,
		REQUEST,
		RUN,
		SESSION,
		AGENT,
		SANDBOX,
		PROVIDER,
		TIMEOUT,
		ATTEMPTS,
		AFFINITY,
		DUE,
		DEADLINE,
		CONTENT,
		STEP,
		ARGS
	};
	static TzAppend effects = {"effect",
	                           22,
	                           {"platform_id",   "root_id",         "kind",         "adapter",
	                            "run_id",        "session_id",      "agent_id",     "sandbox_id",
	                            "provider_name", "timeout_ms",      "max_attempts", "affinity",
	                            "due_at",        "deadline",        "step_seq",     "id",
	                            "instance",      "contract",        "state",        "step",
	                            "attempt",       "cancel_requested"},
	                           NULL};
	static const int taken[] = {PLATFORM, ROOT,    KIND,     ADAPTER,  RUN, SESSION,  AGENT, SANDBOX,
	                            PROVIDER, TIMEOUT, ATTEMPTS, AFFINITY, DUE, DEADLINE, STEP};
	static TzAppend payloads = {"effect_payload",
	                            5,
	                            {"platform_id", "root_id", "id", "request", "content"},
	                            NULL};
	char id[TZ_ID_MAX + 1];
	Datum args[ARGS];
	bool missing[ARGS];
	Datum values[22];
	bool nulls[22] = {false};
	int32 affinity;
	int n = 0;

	tz_shmem_require();
	tz_id_new("eff", id);
	tz_args_take(fcinfo, ARGS, args, missing);
	if (missing[ROOT])
		args[ROOT] = CStringGetTextDatum(strchr(id, '_') + 1);
	missing[ROOT] = false;
	for (; n < (int) lengthof(taken); n++)
	{
		values[n] = args[taken[n]];
		nulls[n] = missing[taken[n]];
	}
	values[n++] = CStringGetTextDatum(id);
	values[n++] = CStringGetTextDatum(tz_instance());
	values[n++] = Int16GetDatum(1);
	values[n++] = CStringGetTextDatum("queued");
	values[n++] = Int16GetDatum(0);
	values[n++] = Int32GetDatum(0);
	values[n++] = BoolGetDatum(false);
	/* without kind or platform there is no row either */
	if (!missing[KIND] && !missing[PLATFORM] &&
	    !tz_gate_take_pass(tz_datum_slice(args[KIND]), tz_datum_slice(args[PLATFORM]),
	                       missing[AGENT] ? tz_slice(NULL, 0) : tz_datum_slice(args[AGENT])))
		elog(ERROR, "an effect of kind \"%s\" has not passed the gate", TextDatumGetCString(args[KIND]));
	tz_append(&effects, values, nulls);
	if (!missing[REQUEST] || !missing[CONTENT])
	{
		Datum payload[5] = {args[PLATFORM], args[ROOT], values[15], args[REQUEST], args[CONTENT]};
		bool absent[5] = {false, false, false, false, missing[CONTENT]};

		if (missing[REQUEST])
			payload[3] = tz_jsonb_datum(tz_slice_cstr("{}"));
		tz_append(&payloads, payload, absent);
	}
	affinity = DatumGetInt32(args[AFFINITY]);
	tz_wake_for(missing[AFFINITY] ? NULL : &affinity);
	PG_RETURN_TEXT_P(cstring_to_text(id));
}
