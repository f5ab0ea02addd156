/*-------------------------------------------------------------------------
 *
 * procedure.c
 *	  CALL theazo.exec() and its like: commit the start of a run, wait, answer.
 *
 * A procedure in C, because it must do what no other language may: commit, and
 * after its own commit (only) say again who asks. SECURITY INVOKER, as
 * PostgreSQL demands of procedures that commit; what needs rights is inside the
 * SQL functions it calls. While it waits no snapshot, lock or written row is
 * held.
 *
 * All of them share one body: the start function differs, and the result row's
 * columns are matched to the procedure's output parameters by name.
 *
 * Static functions that raise for the caller have names with tz_: statements
 * that carry a key are redacted, and by this prefix redact.c knows that a
 * message repeats no value.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

#include "auth/identity.h"
#include "pg/convert.h"
#include "pg/errors.h"
#include "pg/export.h"
#include "pg/objects.h"
#include "pg/row.h"
#include "pg/runwait.h"
#include "pg/shmem.h"
#include "pg/spi.h"
#include "pg/wake.h"

#define SLICE_MS 2000 /* the run is looked at this often even if nobody says anything */
#define START_ARGS_MAX 8
#define PATIENCE_SLICES 2 /* without a dispatcher, before the caller is told */

/* How a run begins and what is answered in the end. Their plans are kept: planning cost as much as what they do. */
typedef struct StartCall
{
	TzStmt begin; /* one row, one column: the run's id; parameters are numbered as the procedure's */
	TzStmt *answer; /* takes the run's id and gives the result row; NULL: run_result() */
	bool any_end; /* whatever became of the run is an answer and no error */
} StartCall;

static TzStmt answer_run = {"SELECT r.* FROM theazo.run_result($1) AS r", 1, {TEXTOID}, NULL};

static Datum procedure_body(FunctionCallInfo fcinfo, StartCall *start);
static void tz_procedure_refuse_atomic(FunctionCallInfo fcinfo);
static char *procedure_start(FunctionCallInfo fcinfo, StartCall *start, MemoryContext outer);
static bool procedure_ended(StartCall *start, const char *run_id);
static void procedure_wait(StartCall *start, const char *run_id, const TzIdentity *identity);
static bool procedure_over(StartCall *start, const char *run_id, const TzIdentity *identity);
static bool dispatcher_runs(void);
static void tz_procedure_tell_waiting(const char *run_id);
static void tz_procedure_tell_note(const char *run_id, const char *note);
static HeapTuple procedure_answer(StartCall *start, const char *run_id, TupleDesc desc, MemoryContext outer);
static TZ_NORETURN void tz_procedure_failed(const char *run_id, bool cancelled);
static char *column_text(const char *name);

THEAZO_FUNCTION(theazo_exec)
{
	static StartCall start = {{"SELECT r.id::text FROM theazo.exec_start($1, $2, $3, $4, $5, $6, $7) AS r",
	                           7,
	                           {TEXTOID, TEXTOID, TEXTOID, INTERVALOID, JSONBOID, TEXTOID, TEXTOID},
	                           NULL},
	                          NULL,
	                          false};

	return procedure_body(fcinfo, &start);
}

THEAZO_FUNCTION(theazo_file_write)
{
	static StartCall start = {{"SELECT r.id::text FROM theazo.file_write_start($1, $2, $3, $4) AS r",
	                           4,
	                           {TEXTOID, TEXTOID, BYTEAOID, TEXTOID},
	                           NULL},
	                          NULL,
	                          false};

	return procedure_body(fcinfo, &start);
}

THEAZO_FUNCTION(theazo_file_read)
{
	static StartCall start = {{"SELECT r.id::text FROM theazo.file_read_start($1, $2, $3) AS r",
	                           3,
	                           {TEXTOID, TEXTOID, TEXTOID},
	                           NULL},
	                          NULL,
	                          false};

	return procedure_body(fcinfo, &start);
}

THEAZO_FUNCTION(theazo_file_list)
{
	static StartCall start = {{"SELECT r.id::text FROM theazo.file_list_start($1, $2, $3) AS r",
	                           3,
	                           {TEXTOID, TEXTOID, TEXTOID},
	                           NULL},
	                          NULL,
	                          false};

	return procedure_body(fcinfo, &start);
}

THEAZO_FUNCTION(theazo_port_expose)
{
	static StartCall start = {{"SELECT r.id::text FROM theazo.port_expose_start($1, $2, $3) AS r",
	                           3,
	                           {TEXTOID, INT4OID, TEXTOID},
	                           NULL},
	                          NULL,
	                          false};

	return procedure_body(fcinfo, &start);
}

THEAZO_FUNCTION(theazo_http_fetch)
{
	static StartCall start = {
		{"SELECT r.id::text FROM theazo.http_fetch_start($1, $2, $3, $4, $5, $6, $7, $8) AS r",
	     8,
	     {TEXTOID, TEXTOID, TEXTOID, JSONBOID, TEXTOID, INTERVALOID, TEXTOID, TEXTOID},
	     NULL},
		NULL,
		false};

	return procedure_body(fcinfo, &start);
}

THEAZO_FUNCTION(theazo_tool_test)
{
	static StartCall start = {{"SELECT r.id::text FROM theazo.tool_test_start($1, $2, $3, $4) AS r",
	                           4,
	                           {TEXTOID, TEXTOID, JSONBOID, TEXTOID},
	                           NULL},
	                          NULL,
	                          false};

	return procedure_body(fcinfo, &start);
}

THEAZO_FUNCTION(theazo_run)
{
	static StartCall start = {
		{"SELECT r.id::text FROM theazo.run_start($1, $2, $3, $4, $5, $6, $7, NULL, $8) AS r",
	     8,
	     {TEXTOID, TEXTOID, NUMERICOID, INTERVALOID, INT4OID, JSONBOID, TEXTOID, TEXTOID},
	     NULL},
		NULL,
		false};

	return procedure_body(fcinfo, &start);
}

/* An execution's end is told, not thrown: code that fails has failed as an answer. */
THEAZO_FUNCTION(theazo_execute)
{
	static TzStmt answer = {"SELECT r.* FROM theazo.execution_get($1) AS r", 1, {TEXTOID}, NULL};
	static StartCall start = {
		{"SELECT r.run_id::text AS id FROM theazo.execution_start($1, $2, $3, $4, $5, NULL, $6) AS r",
	     6,
	     {TEXTOID, JSONBOID, TEXTOID, JSONBOID, TEXTOID, TEXTOID},
	     NULL},
		&answer,
		true};

	return procedure_body(fcinfo, &start);
}

static Datum
procedure_body(FunctionCallInfo fcinfo, StartCall *start)
{
	MemoryContext outer = CurrentMemoryContext;
	TupleDesc desc;
	char *run_id;
	HeapTuple volatile answer = NULL;

	tz_shmem_require();
	tz_procedure_refuse_atomic(fcinfo);
	desc = tz_result_desc(fcinfo);

	/* a place among the waiters first: a run whose caller cannot wait would be started for nothing */
	tz_run_wait_begin();
	PG_TRY();
	{
		TzIdentity identity;

		if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
			elog(ERROR, "could not connect to SPI");
		run_id = procedure_start(fcinfo, start, outer);
		tz_identity_save(&identity);
		SPI_commit();
		procedure_wait(start, run_id, &identity);
		answer = procedure_answer(start, run_id, desc, outer);
		SPI_finish();
	}
	PG_FINALLY();
	{
		tz_run_wait_end();
	}
	PG_END_TRY();
	PG_RETURN_DATUM(HeapTupleGetDatum(answer));
}

/* Inside a transaction block, or below a function, nothing can be committed. */
static void
tz_procedure_refuse_atomic(FunctionCallInfo fcinfo)
{
	if (fcinfo->context != NULL && IsA(fcinfo->context, CallContext) &&
	    !castNode(CallContext, fcinfo->context)->atomic)
		return;
	ereport(
		ERROR,
		(errcode(ERRCODE_TZ_WOULD_WAIT), errmsg("cannot wait for a run inside a transaction"),
	     errdetail("The run is carried out once the transaction that starts it has committed."),
	     errhint(
			 "CALL it outside of a transaction block and of functions, or start the run with the function of the same name plus _start, commit, and ask theazo.run_wait().")));
}

/* Starts the run; its id lives in outer. */
static char *
procedure_start(FunctionCallInfo fcinfo, StartCall *start, MemoryContext outer)
{
	Datum values[START_ARGS_MAX];
	bool nulls[START_ARGS_MAX];
	char *run_id;

	for (int i = 0; i < start->begin.nargs; i++)
	{
		values[i] = fcinfo->args[i].value;
		nulls[i] = fcinfo->args[i].isnull;
	}
	if (tz_spi_exec(&start->begin, values, nulls, 1) != 1)
		elog(ERROR, "a run was not started");
	run_id = column_text("id");
	if (run_id == NULL)
		elog(ERROR, "the start of a run returned no id");
	return MemoryContextStrdup(outer, run_id);
}

/* Waits for the end in slices, each in a transaction that ended before the sleep. */
static void
procedure_wait(StartCall *start, const char *run_id, const TzIdentity *identity)
{
	int bucket = tz_wake_run_bucket(run_id, strlen(run_id));
	int alone = 0; /* slices in a row that nobody was there to work in */
	bool told = true;

	for (;;)
	{
		uint32 seen = tz_run_ended(bucket);

		CHECK_FOR_INTERRUPTS();
		tz_identity_restore(identity);
		/* once nothing has been heard for long, the caller is asked for again as well, and whether all this is switched on */
		if (told ? procedure_over(start, run_id, identity) : procedure_ended(start, run_id))
			return;
		SPI_commit();
		told = tz_run_wait(bucket, seen, SLICE_MS);
		if (!told)
			alone = dispatcher_runs() ? 0 : alone + 1;
		if (alone == PATIENCE_SLICES)
			tz_procedure_tell_waiting(run_id);
	}
}

/*
 * Mostly told by a look at the run's row alone: the caller has just started it. Whoever may not read runs is told so by
 * the function for that, which also throws what a run has failed with.
 */
static bool
procedure_over(StartCall *start, const char *run_id, const TzIdentity *identity)
{
	static TzRowTable runs = {"run", 2, 1, {"status"}, NULL};
	Datum keys[2] = {CStringGetTextDatum(identity->platform), CStringGetTextDatum(run_id)};
	TzRow row = {NULL};
	bool found;
	bool open = false;
	bool answers = false;

	if (!tz_identity_holds(identity, tz_slice_cstr("run:read")))
		return procedure_ended(start, run_id);
	found = tz_row_find(&row, &runs, keys);
	if (found)
	{
		TzSlice status = tz_datum_slice(row.slot->tts_values[tz_row_places(&row)[0]]);

		open = tz_slice_eq_cstr(status, "queued") || tz_slice_eq_cstr(status, "running");
		answers = start->any_end || tz_slice_eq_cstr(status, "completed");
	}
	tz_row_close(&row);
	if (found && (open || answers))
		return !open;
	return procedure_ended(start, run_id);
}

static bool
dispatcher_runs(void)
{
	int dbindex = tz_database_find(MyDatabaseId);
	bool found = false;

	LWLockAcquire(tz_shared->lock, LW_SHARED);
	for (int i = 1; dbindex >= 0 && i < tz_slots_dispatchers_end() && !found; i++)
		found = tz_slot_at(dbindex, i)->phase == TZ_SLOT_RUNNING;
	LWLockRelease(tz_shared->lock);
	return found;
}

/* Whoever waits in front of a screen shall know that nothing happens, and why not. */
static void
tz_procedure_tell_waiting(const char *run_id)
{
	ereport(NOTICE, (errmsg("run \"%s\" waits: no dispatcher is running in this database", run_id),
	                 errhint("The view theazo.workers says why.")));
}

/* What the program could not say itself: that it was stopped, or its output cut. */
static void
tz_procedure_tell_note(const char *run_id, const char *note)
{
	ereport(NOTICE, (errmsg("%s", note), errdetail("Run \"%s\".", run_id)));
}

/* Throws what the run failed with, when it did and that is no answer. */
static bool
procedure_ended(StartCall *start, const char *run_id)
{
	static TzStmt get = {"SELECT r.status::text, r.error_sqlstate::text, r.error_message::text,"
	                     " r.error_hint::text FROM theazo.run_get($1) AS r",
	                     1,
	                     {TEXTOID},
	                     NULL};
	Datum values[1] = {CStringGetTextDatum(run_id)};
	char *status;

	if (tz_spi_exec(&get, values, NULL, 1) != 1)
		elog(ERROR, "could not read run \"%s\"", run_id);
	status = column_text("status");
	if (status != NULL && strcmp(status, "completed") == 0)
		return true;
	if (start->any_end)
		return status != NULL && strcmp(status, "queued") != 0 && strcmp(status, "running") != 0;
	if (status != NULL && (strcmp(status, "failed") == 0 || strcmp(status, "cancelled") == 0))
		tz_procedure_failed(run_id, strcmp(status, "cancelled") == 0);
	return false;
}

static void
tz_procedure_failed(const char *run_id, bool cancelled)
{
	char *sqlstate = column_text("error_sqlstate");
	char *message = column_text("error_message");
	char *hint = column_text("error_hint");
	int code = ERRCODE_TZ_ILLEGAL_MOVE; /* cancelled by somebody */

	if (sqlstate != NULL && strlen(sqlstate) == 5)
		code = MAKE_SQLSTATE(sqlstate[0], sqlstate[1], sqlstate[2], sqlstate[3], sqlstate[4]);
	ereport(ERROR, (errcode(code),
	                cancelled || message == NULL ? errmsg("run \"%s\" was cancelled", run_id)
	                                             : errmsg_internal("%s", message),
	                errdetail("Run \"%s\".", run_id), hint ? errhint("%s", hint) : 0));
	pg_unreachable();
}

/* The result row, its columns matched by name to the output parameters. */
static HeapTuple
procedure_answer(StartCall *start, const char *run_id, TupleDesc desc, MemoryContext outer)
{
	Datum args[1] = {CStringGetTextDatum(run_id)};
	Datum *values = palloc0(sizeof(Datum) * desc->natts);
	bool *nulls = palloc(sizeof(bool) * desc->natts);
	char *note;
	HeapTuple tuple;
	MemoryContext old;

	/* large values are fetched below, which needs a snapshot */
	PushActiveSnapshot(GetTransactionSnapshot());
	if (tz_spi_exec(start->answer != NULL ? start->answer : &answer_run, args, NULL, 1) != 1)
		elog(ERROR, "could not read the result of run \"%s\"", run_id);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		/* of an answer over HTTP; a procedure that returns at all has no other to tell */
		const char *name = start->answer == NULL && strcmp(NameStr(att->attname), "status") == 0
		                       ? "http_status"
		                       : NameStr(att->attname);
		int col = SPI_fnumber(SPI_tuptable->tupdesc, name);

		nulls[i] = true;
		if (strcmp(NameStr(att->attname), "run_id") == 0)
		{
			values[i] = CStringGetTextDatum(run_id);
			nulls[i] = false;
		}
		else if (col > 0 && getBaseType(SPI_gettypeid(SPI_tuptable->tupdesc, col)) == att->atttypid)
		{
			values[i] = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, col, &nulls[i]);
			if (!nulls[i] && att->attlen == -1)
				values[i] = PointerGetDatum(PG_DETOAST_DATUM(values[i]));
		}
		else
			tz_objects_differ("What a procedure answers has no column \"%s\" of the right type.",
			                  NameStr(att->attname));
	}
	note = start->answer == NULL ? column_text("note") : NULL;
	old = MemoryContextSwitchTo(outer);
	tuple = heap_form_tuple(desc, values, nulls);
	MemoryContextSwitchTo(old);
	PopActiveSnapshot();
	if (note != NULL)
		tz_procedure_tell_note(run_id, note);
	return tuple;
}

/* A text column of the only row of the last result; NULL when it is null. */
static char *
column_text(const char *name)
{
	int col = SPI_fnumber(SPI_tuptable->tupdesc, name);

	if (col <= 0)
		tz_objects_differ("The row of a run has no column \"%s\".", name);
	return SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, col);
}
