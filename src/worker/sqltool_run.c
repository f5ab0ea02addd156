/*-------------------------------------------------------------------------
 *
 * sqltool_run.c
 *	  The process that runs one function as a tool.
 *
 * It is connected as the role that asked for the run, by name, from the start: there
 * is no other role to go back to, so SET ROLE and its like lead nowhere the role
 * could not go by itself. It inherits no identity either: asked by theazo, the
 * function is the role, with the role's own binding or none. One transaction,
 * read only unless the tool says otherwise, one call, and the end.
 *
 * What the function may do beyond that is what PostgreSQL lets its role do. What it
 * does to this process, its settings and its temporary tables dies with it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "libpq/pqsignal.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/dsm.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"

#include "auth/identity.h"
#include "lib/json_raw.h"
#include "lib/utf8.h"
#include "pg/compat.h"
#include "pg/convert.h"
#include "pg/coredump.h"
#include "pg/export.h"
#include "worker/sqltool_segment.h"

/* How the result of a function becomes text. */
typedef enum ResultForm
{
	RESULT_VOID = 'v',
	RESULT_TEXT = 's', /* a string: as it is */
	RESULT_JSON = 'j', /* json or jsonb: compact */
	RESULT_OTHER = 'o' /* through to_json */
} ResultForm;

/* The call, as found in the catalog. */
typedef struct ToolCall
{
	char *sql;
	ResultForm form;
	bool set;
} ToolCall;

/*
 * Everything about the function in one row. $1: its signature, $2: the arguments. The
 * checks are those of its registration (theazo_internal.tool_function_check), made
 * again for the role that runs it.
 */
static const char lookup_sql[] =
	"SELECT CASE"
	" WHEN n.nspname IN ('pg_catalog', 'information_schema', 'theazo') OR n.nspname LIKE 'pg\\_%' OR n.nspname LIKE "
	"'theazo\\_%' THEN 'lies in a schema of the system'"
	" WHEN p.prokind <> 'f' OR p.provariadic <> 0 THEN 'is no plain function any more'"
	" WHEN NOT pg_has_role(current_user, p.proowner, 'USAGE') AND NOT EXISTS (SELECT FROM aclexplode(p.proacl) a"
	" WHERE a.privilege_type = 'EXECUTE' AND a.grantee <> 0 AND pg_has_role(current_user, a.grantee, 'USAGE'))"
	" THEN 'has not been granted to role \"' || current_user || '\"' END AS refused,"
	" CASE WHEN NOT d.document THEN (SELECT min(k) FROM jsonb_object_keys($2) k WHERE k <> ALL (i.names)) END AS unknown,"
	" CASE WHEN NOT d.document AND o.n > 1 AND EXISTS (SELECT FROM unnest(i.names) m WHERE NOT $2 ? m)"
	" THEN true ELSE false END AS ambiguous,"
	" format('%I.%I(', n.nspname, p.proname) || CASE WHEN d.document THEN '$1' || CASE p.proargtypes[0] WHEN "
	"'json'::regtype THEN '::pg_catalog.json' ELSE '' END ELSE coalesce(c.given, '') END || ')' AS call,"
	" ' FROM pg_catalog.jsonb_to_record($1) AS r(' || c.columns || ')' AS source,"
	" CASE WHEN p.prorettype = 'void'::regtype THEN 'v' WHEN p.prorettype IN ('json'::regtype, 'jsonb'::regtype) THEN "
	"'j'"
	" WHEN t.typcategory = 'S' THEN 's' ELSE 'o' END AS form, p.proretset"
	" FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_type t ON t.oid = p.prorettype"
	" CROSS JOIN LATERAL (SELECT p.pronargs = 1 AND p.proargtypes[0] IN ('json'::regtype, 'jsonb'::regtype) AS document) d"
	" CROSS JOIN LATERAL (SELECT count(*) AS n FROM pg_proc x WHERE x.pronamespace = p.pronamespace AND x.proname = "
	"p.proname) o"
	" CROSS JOIN LATERAL (SELECT coalesce(array_agg(a.name ORDER BY a.ord), '{}') AS names"
	" FROM unnest(p.proargnames) WITH ORDINALITY AS a (name, ord)"
	" WHERE a.name <> '' AND coalesce(p.proargmodes[a.ord] IN ('i', 'b'), true)) i"
	" CROSS JOIN LATERAL (SELECT string_agg(format('%I => r.%I', u.name, u.name), ', ') AS given,"
	" string_agg(format('%I %s', u.name, format_type(p.proargtypes[u.ord::integer - 1], NULL)), ', ') AS columns"
	" FROM unnest(i.names) WITH ORDINALITY AS u (name, ord) WHERE NOT d.document AND $2 ? u.name) c"
	" WHERE p.oid = to_regprocedure($1)";

static TzSqlSegment *shared = NULL;
static emit_log_hook_type previous_log = NULL;

PGDLLEXPORT void theazo_sql_tool_main(Datum arg);

static void tool_log(ErrorData *edata);
static void tool_settings(void);
static void tool_transaction(void);
static void tool_lookup(ToolCall *call);
static void tool_compose(ToolCall *call);
static TZ_NORETURN void tool_refuse(int sqlstate, const char *fmt, ...) pg_attribute_printf(2, 3);
static void tool_run(const ToolCall *call);
static void append_row(const ToolCall *call, bool first, TzBuf *out);
static void tool_raised(MemoryContext context);
static void put_message(const char *message);
static bool move_to(TzSqlState from, TzSqlState to);
static void tell(void);

void
theazo_sql_tool_main(Datum arg)
{
	dsm_segment *seg;
	MemoryContext context;

	tz_coredump_off();
	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SIG_IGN);
	BackgroundWorkerUnblockSignals();
	seg = dsm_attach(DatumGetUInt32(arg));
	/* whoever asked is gone */
	if (seg == NULL)
		proc_exit(0);
	shared = dsm_segment_address(seg);
	if (shared->magic != TZ_SQL_MAGIC)
		proc_exit(0);
	/* a role that may not connect ends this process: its words are kept */
	previous_log = emit_log_hook;
	emit_log_hook = tool_log;
	BackgroundWorkerInitializeConnection(shared->database, shared->role, 0);
	tool_settings();
	tz_flow_note_at(shared->labels);
	if (!move_to(TZ_SQL_STARTING, TZ_SQL_RUNNING))
		proc_exit(0);

	context = AllocSetContextCreate(TopMemoryContext, "theazo sql tool", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		tool_transaction();
	}
	PG_CATCH();
	{
		tool_raised(context);
	}
	PG_END_TRY();
	tell();
	proc_exit(0);
}

/* theazo_internal.current_run(): the run whose tool this process executes, for its own platform; null elsewhere */
THEAZO_FUNCTION(theazo_current_run)
{
	const TzIdentity *id = tz_identity_current();

	if (shared == NULL || shared->run[0] == '\0' || id == NULL || strcmp(id->platform, shared->platform) != 0)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(shared->run));
}

/* Chained to the log: what ends the process stands in the segment as well. Must not throw. */
static void
tool_log(ErrorData *edata)
{
	if (edata->elevel >= FATAL && edata->message != NULL && shared->message[0] == '\0')
	{
		strlcpy(shared->sqlstate, unpack_sql_state(edata->sqlerrcode), sizeof(shared->sqlstate));
		put_message(edata->message);
	}
	if (previous_log != NULL)
		previous_log(edata);
}

static void
tool_settings(void)
{
	char timeout[32];

	snprintf(timeout, sizeof(timeout), "%d", shared->timeout_ms);
	SetConfigOption("application_name", "theazo sql tool", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_read_only", shared->read_only ? "on" : "off", PGC_USERSET,
	                PGC_S_OVERRIDE);
	/* and what it is reset to: otherwise RESET would make the transaction read-write on server 15 */
	if (shared->read_only)
		SetConfigOption("transaction_read_only", "on", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_deferrable", "off", PGC_USERSET, PGC_S_OVERRIDE);
	/* for whoever looks; what counts is the timer below, which no function can set */
	SetConfigOption("statement_timeout", timeout, PGC_USERSET, PGC_S_OVERRIDE);
}

static void
tool_transaction(void)
{
	ToolCall call;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	enable_timeout_after(STATEMENT_TIMEOUT, shared->timeout_ms);
	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, "theazo: running a tool's function");
	if (superuser())
		tool_refuse(ERRCODE_INSUFFICIENT_PRIVILEGE,
		            "role \"%s\" is a superuser, and a model's calls are not made with all rights",
		            shared->role);
	tool_lookup(&call);
	tool_run(&call);
	/* what it left for the end happens now, while it can still be stopped */
	if (SPI_execute("SET CONSTRAINTS ALL IMMEDIATE", false, 0) < 0)
		elog(ERROR, "could not check constraints");
	SPI_finish();
	PopActiveSnapshot();
	if (shared->read_only && !XactReadOnly)
		ereport(ERROR, (errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
		                errmsg("the function left its read-only transaction; nothing was changed")));
	if (!move_to(TZ_SQL_RUNNING, TZ_SQL_COMMITTING))
		ereport(ERROR, (errcode(ERRCODE_QUERY_CANCELED), errmsg("nobody waits for this function any more")));
	/* what only reads has nothing to keep; should it have found a way to write, it is gone here */
	if (shared->read_only)
		AbortCurrentTransaction();
	else
		CommitTransactionCommand();
	disable_all_timeouts(false);
	QueryCancelPending = false;
	(void) move_to(TZ_SQL_COMMITTING, TZ_SQL_DONE);
}

/* ---- the call --------------------------------------------------------------------- */

static char *
column(int n)
{
	return SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, n);
}

static void
tool_lookup(ToolCall *call)
{
	const char *function = shared->text + shared->function_at;
	Oid types[2] = {TEXTOID, JSONBOID};
	Datum values[2];
	char *text;
	int nest = NewGUCNestLevel();

	/* names are read as they were written: without the role's own search path */
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
	                         GUC_ACTION_SAVE, true, 0, false);
	values[0] = CStringGetTextDatum(function);
	text = pg_any_to_server(shared->text + shared->arguments_at, strlen(shared->text + shared->arguments_at),
	                        PG_UTF8);
	values[1] = DirectFunctionCall1(jsonb_in, CStringGetDatum(text));
	if (SPI_execute_with_args(lookup_sql, 2, types, values, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look the function up");
	if (SPI_processed != 1)
		tool_refuse(ERRCODE_UNDEFINED_FUNCTION, "function %s does not exist", function);
	tool_compose(call);
	AtEOXact_GUC(true, nest);
}

static void
tool_compose(ToolCall *call)
{
	const char *function = shared->text + shared->function_at;
	const char *source = column(5);
	StringInfoData sql;
	char *text = column(1);

	if (text != NULL)
		tool_refuse(ERRCODE_INSUFFICIENT_PRIVILEGE, "function %s %s", function, text);
	text = column(2);
	if (text != NULL)
		tool_refuse(ERRCODE_INVALID_PARAMETER_VALUE, "function %s has no argument \"%s\"", function, text);
	if (column(3)[0] == 't')
		tool_refuse(ERRCODE_AMBIGUOUS_FUNCTION,
		            "there are several functions of this name: all arguments must be given");
	call->form = (ResultForm) column(6)[0];
	call->set = column(7)[0] == 't';
	initStringInfo(&sql);
	if (call->form == RESULT_VOID)
		appendStringInfo(&sql, "SELECT %s%s", column(4), source != NULL ? source : "");
	else
		appendStringInfo(&sql, "SELECT %s FROM (SELECT %s AS v%s) s",
		                 call->form == RESULT_JSON || (call->form == RESULT_TEXT && !call->set)
		                     ? "s.v::pg_catalog.text"
		                     : "pg_catalog.to_json(s.v)::pg_catalog.text",
		                 column(4), source != NULL ? source : "");
	call->sql = sql.data;
}

/* Not the function's own doing: no answer for the model to work with. */
static void
tool_refuse(int sqlstate, const char *fmt, ...)
{
	char text[TZ_SQL_MESSAGE_MAX];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	shared->refused = true;
	ereport(ERROR, (errcode(sqlstate), errmsg_internal("%s", text)));
	pg_unreachable();
}

/* ---- the result ---------------------------------------------------------------------- */

/* A row at a time: what is more than can be told is not fetched. */
static void
tool_run(const ToolCall *call)
{
	Oid types[1] = {JSONBOID};
	Datum values[1];
	char *text = pg_any_to_server(shared->text + shared->arguments_at,
	                              strlen(shared->text + shared->arguments_at), PG_UTF8);
	Portal portal;
	TzBuf out;
	int n = 0;

	values[0] = DirectFunctionCall1(jsonb_in, CStringGetDatum(text));
	tz_buf_init(&out, TZ_SQL_OUTPUT_MAX);
	portal = SPI_cursor_open_with_args(NULL, call->sql, 1, types, values, NULL, false, 0);
	if (call->set)
		tz_buf_append_byte(&out, '[');
	for (;;)
	{
		SPI_cursor_fetch(portal, true, 1);
		if (SPI_processed == 0)
			break;
		if (!shared->truncated)
			append_row(call, n == 0, &out);
		SPI_freetuptable(SPI_tuptable);
		n++;
		CHECK_FOR_INTERRUPTS();
		if (!call->set || shared->truncated)
			break;
	}
	SPI_cursor_close(portal);
	if (call->set && !shared->truncated && tz_buf_append_byte(&out, ']') != TZ_OK)
		shared->truncated = true;
	if (out.len > 0)
		memcpy(shared->output, out.data, out.len);
	shared->output_len = (uint32) out.len;
	tz_buf_free(&out);
}

/* At most max bytes of a text of the server's encoding, as UTF-8, between characters. */
static TzSlice
as_utf8(const char *text, size_t len, size_t max)
{
	size_t cut = len <= max ? len : (size_t) pg_mbcliplen(text, (int) Min(len, (size_t) INT_MAX), (int) max);
	char *utf8 = pg_server_to_any(text, (int) cut, PG_UTF8);

	return tz_slice(utf8, utf8 == text ? cut : strlen(utf8));
}

static void
append_row(const ToolCall *call, bool first, TzBuf *out)
{
	bool isnull;
	Datum value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	TzSlice text = tz_slice_cstr(call->form == RESULT_VOID ? "ok" : "null");

	if (!first)
		tz_buf_append_byte(out, ',');
	if (call->form != RESULT_VOID && !isnull)
	{
		TzSlice whole = tz_datum_slice(value);

		/* blanks go, so that more is read than fits */
		text = as_utf8(whole.data, whole.len, 8 * TZ_SQL_OUTPUT_MAX);
		shared->truncated = whole.len > 8 * TZ_SQL_OUTPUT_MAX;
	}
	if (call->form == RESULT_TEXT && !call->set)
	{
		size_t cut = tz_utf8_cut(text, out->max - out->len);

		shared->truncated = cut < text.len || shared->truncated;
		tz_buf_append(out, text.data, cut);
	}
	else if (tz_json_raw_compact(text, out) != TZ_OK)
	{
		shared->truncated = true;
		out->len = tz_utf8_cut(tz_buf_slice(out), out->len);
	}
	if (out->status != TZ_OK)
		shared->truncated = true;
}

/* ---- the end ---------------------------------------------------------------------------- */

/* In PG_CATCH: what was raised, for the segment. The transaction is gone. */
static void
tool_raised(MemoryContext context)
{
	ErrorData *error;
	char text[TZ_SQL_MESSAGE_MAX];

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	disable_all_timeouts(false);
	QueryCancelPending = false;
	strlcpy(shared->sqlstate, unpack_sql_state(error->sqlerrcode), sizeof(shared->sqlstate));
	/* somebody else may have cancelled it, or it may have raised this itself */
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED &&
	    TimestampDifferenceExceeds(GetCurrentStatementStartTimestamp(), GetCurrentTimestamp(),
	                               shared->timeout_ms))
	{
		snprintf(text, sizeof(text),
		         "the function ran longer than %d ms; it was stopped and its changes undone",
		         shared->timeout_ms);
		put_message(text);
	}
	else
		put_message(error->message != NULL ? error->message : "the function failed");
	AbortOutOfAnyTransaction();
	if (!move_to(TZ_SQL_RUNNING, TZ_SQL_RAISED))
		(void) move_to(TZ_SQL_COMMITTING, TZ_SQL_RAISED);
}

/* In any encoding but UTF-8 what is not ASCII is lost: there may be no transaction to convert it in. */
static void
put_message(const char *message)
{
	size_t n = 0;
	bool plain = GetDatabaseEncoding() != PG_UTF8;

	for (const char *p = message; *p != '\0' && n < TZ_SQL_MESSAGE_MAX - 1; p++)
		shared->message[n++] = plain && ((unsigned char) *p & 0x80) != 0 ? '?' : *p;
	n = tz_utf8_cut(tz_slice(shared->message, n), n);
	shared->message[n] = '\0';
}

static bool
move_to(TzSqlState from, TzSqlState to)
{
	uint32 expected = from;

	return pg_atomic_compare_exchange_u32(&shared->state, &expected, to);
}

/* Wakes the dispatcher; another process that has its place by now does no more than look. */
static void
tell(void)
{
	SetLatch(&ProcGlobal->allProcs[shared->dispatcher].procLatch);
}
