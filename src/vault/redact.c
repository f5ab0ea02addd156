/*-------------------------------------------------------------------------
 *
 * redact.c
 *	  Keeps secrets out of the server log, activity and statement statistics.
 *
 * A statement that names a function which takes a secret is hidden as a whole
 * wherever the server would show its text; API keys are overwritten wherever
 * they stand. Errors of such statements keep what our own functions say (they
 * never repeat a value); of other messages only the part before the first
 * quoted value is kept. The hook changes what the client sees as well: the
 * server has one copy of a message for both.
 *
 * A statement that hands a secret to such a function by way of another one, or
 * of a trigger, is known by then: when the inner statement begins.
 *
 * Limits: between the arrival of a statement and its parse analysis its text
 * stands in pg_stat_activity, and log_statement writes what only an inner
 * statement tells. Only parameters close the first, and a name with secret_set
 * in it the second.
 *
 * The log hook must not throw, must not look into catalogs and may be entered
 * at any point of an error, so it works on the strings alone.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/extension.h"
#include "commands/prepare.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "parser/analyze.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/backend_status.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "lib/sensitive.h"
#include "pg/compat.h"
#include "pg/coredump.h"
#include "vault/redact.h"

#define HIDDEN "<hidden>"
#define HIDDEN_STATEMENT "<statement hidden: it takes a secret>"

/* Either makes the text of a statement unfit to be shown. */
#define HIDE_TEXT (TZ_SENSITIVE_NAME | TZ_SENSITIVE_KEY)

static emit_log_hook_type previous_log = NULL;
static post_parse_analyze_hook_type previous_analyze = NULL;
static ExecutorStart_hook_type previous_start = NULL;
static ExecutorRun_hook_type previous_run = NULL;
static ProcessUtility_hook_type previous_utility = NULL;

/*
 * What is known of the client's statement. Asked many times for one statement,
 * whose text may be long, so it is kept; a new message of the client has a new time.
 */
static const char *current_text = NULL;
static TimestampTz current_at = 0;
static unsigned int current_class = 0;

/*
 * Texts in which nothing was found. Statements of functions and prepared ones are executed again and again and keep their
 * place in memory, and comparing a text takes a tenth of scanning it. Only one that comes a second time is copied, and the
 * client's is wiped when it turns out to carry a secret: nothing lies here that does not lie elsewhere as long.
 */
#define HARMLESS_MAX 256
#define HARMLESS_LEN 2048

typedef struct HarmlessText
{
	const char *text; /* where it stands; NULL: there is none here */
	size_t len;
	uint32 hash;
	char *copy; /* NULL: it came once */
} HarmlessText;

static HarmlessText harmless[HARMLESS_MAX];

static void redact_log(ErrorData *edata);
static void redact_analyze(ParseState *pstate, Query *query, JumbleState *jstate);
static void redact_start(QueryDesc *query, int eflags);
static void redact_run(TZ_EXECUTOR_RUN_PARAMS);
static void redact_utility(PlannedStmt *pstmt, const char *text, bool read_only_tree,
                           ProcessUtilityContext context, ParamListInfo params, QueryEnvironment *env,
                           DestReceiver *dest, QueryCompletion *qc);

static unsigned int redact_class(const char *text);
static HarmlessText *redact_harmless(const char *text);
static void redact_remember(HarmlessText *known, TzSlice text);
static void redact_forget(HarmlessText *known);
static unsigned int redact_class_current(void);
static PreparedStatement *redact_prepared(const char *name);
static void redact_hide(void);
static bool redact_activity(const char *text);
static void redact_report(ErrorData *edata, unsigned int statement);
static void redact_lower(ErrorData *edata, unsigned int statement);
static bool redact_is_ours(const ErrorData *edata);
static bool redact_is_lookup(const ErrorData *edata);
static void redact_message(ErrorData *edata);
static void redact_statement_in_message(ErrorData *edata);
static void redact_context(ErrorData *edata);
static void redact_replace(char **field, const char *head, size_t head_len, const char *tail);
static void redact_keys(char *field);

void
tz_redact_init(void)
{
	previous_log = emit_log_hook;
	emit_log_hook = redact_log;
	previous_analyze = post_parse_analyze_hook;
	post_parse_analyze_hook = redact_analyze;
	previous_start = ExecutorStart_hook;
	ExecutorStart_hook = redact_start;
	previous_run = ExecutorRun_hook;
	ExecutorRun_hook = redact_run;
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = redact_utility;
}

void
tz_redact_mark(void)
{
	tz_coredump_off();
	if (debug_query_string == NULL || (redact_class_current() & TZ_SENSITIVE_NAME))
		return;
	if (redact_harmless(debug_query_string)->text == debug_query_string)
		redact_forget(redact_harmless(debug_query_string));
	current_class |= TZ_SENSITIVE_NAME;
	redact_hide();
}

static void
redact_log(ErrorData *edata)
{
	static bool busy = false;

	if (!busy)
	{
		unsigned int statement;

		busy = true;
		statement = redact_class_current();
		if (statement & HIDE_TEXT)
			edata->hide_stmt = true;
		if (edata->elevel >= ERROR)
			redact_report(edata, statement);
		else
			redact_lower(edata, statement);
		redact_keys(edata->message);
		redact_keys(edata->detail);
		redact_keys(edata->detail_log);
		redact_keys(edata->hint);
		redact_keys(edata->context);
		redact_keys(edata->internalquery);
		busy = false;
	}
	if (previous_log)
		previous_log(edata);
}

/* pg_stat_statements runs after us: without a query id it keeps nothing. */
static void
redact_analyze(ParseState *pstate, Query *query, JumbleState *jstate)
{
	if (redact_activity(pstate->p_sourcetext))
		query->queryId = 0;
	if (previous_analyze)
		previous_analyze(pstate, query, jstate);
}

static void
redact_start(QueryDesc *query, int eflags)
{
	if (redact_activity(query->sourceText))
		query->plannedstmt->queryId = 0;
	if (previous_start)
		previous_start(query, eflags);
	else
		standard_ExecutorStart(query, eflags);
}

/* The extended protocol reports the text once more before each execution. */
static void
redact_run(TZ_EXECUTOR_RUN_PARAMS)
{
	(void) redact_activity(NULL);
	if (previous_run)
		previous_run(TZ_EXECUTOR_RUN_ARGS);
	else
		standard_ExecutorRun(TZ_EXECUTOR_RUN_ARGS);
}

static void
redact_utility(PlannedStmt *pstmt, const char *text, bool read_only_tree, ProcessUtilityContext context,
               ParamListInfo params, QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	if (redact_activity(text))
		pstmt->queryId = 0;
	if (previous_utility)
		previous_utility(pstmt, text, read_only_tree, context, params, env, dest, qc);
	else
		standard_ProcessUtility(pstmt, text, read_only_tree, context, params, env, dest, qc);
}

/* Bits of TZ_SENSITIVE_NAME and _KEY, prepared statements that the text executes included. */
static unsigned int
redact_class(const char *text)
{
	TzSlice slice = tz_slice_cstr(text);
	HarmlessText *known = redact_harmless(text);
	unsigned int found;
	char name[NAMEDATALEN * 2];
	size_t pos = 0;

	if (known->text == text && known->copy != NULL && slice.len == known->len &&
	    memcmp(text, known->copy, slice.len) == 0)
		return 0;
	found = tz_sensitive_scan(slice);
	if (found == 0)
		redact_remember(known, slice);
	if (!(found & TZ_SENSITIVE_EXECUTE) || (found & TZ_SENSITIVE_NAME))
		return found;
	while (tz_sensitive_next_execute(slice, &pos, name, sizeof(name)))
	{
		PreparedStatement *prepared = redact_prepared(name);

		if (prepared != NULL && prepared->plansource->query_string != NULL)
			found |= tz_sensitive_scan(tz_slice_cstr(prepared->plansource->query_string));
	}
	return found;
}

static HarmlessText *
redact_harmless(const char *text)
{
	return &harmless[((uintptr_t) text >> 4) % HARMLESS_MAX];
}

/* May be called while an error is reported: no memory is no reason to fail. */
static void
redact_remember(HarmlessText *known, TzSlice text)
{
	uint32 hash;

	if (text.len > HARMLESS_LEN || CritSectionCount > 0)
		return;
	hash = hash_bytes((const unsigned char *) text.data, (int) text.len);
	if (known->text == text.data && known->len == text.len && known->hash == hash && known->copy == NULL)
	{
		known->copy = MemoryContextAllocExtended(TopMemoryContext, text.len + 1, MCXT_ALLOC_NO_OOM);
		if (known->copy != NULL)
			memcpy(known->copy, text.data, text.len);
		return;
	}
	redact_forget(known);
	known->text = text.data;
	known->len = text.len;
	known->hash = hash;
}

static void
redact_forget(HarmlessText *known)
{
	if (known->copy != NULL)
	{
		explicit_bzero(known->copy, known->len);
		pfree(known->copy);
	}
	memset(known, 0, sizeof(*known));
}

/* By its name as the server would cut it. A look into a hash table of this session, no catalog. */
static PreparedStatement *
redact_prepared(const char *name)
{
	char cut[NAMEDATALEN];
	int len = (int) strlen(name);

	if (len >= NAMEDATALEN)
		len = pg_mbcliplen(name, len, NAMEDATALEN - 1);
	memcpy(cut, name, (size_t) len);
	cut[len] = '\0';
	return FetchPreparedStatement(cut, false);
}

/* Of the client's statement. */
static unsigned int
redact_class_current(void)
{
	if (debug_query_string == NULL)
		return 0;
	if (debug_query_string != current_text || GetCurrentStatementStartTimestamp() != current_at)
	{
		current_class = redact_class(debug_query_string);
		current_text = debug_query_string;
		current_at = GetCurrentStatementStartTimestamp();
		if (current_class & HIDE_TEXT)
			tz_coredump_off();
	}
	return current_class;
}

/*
 * In pg_stat_activity. The server writes over what stood there no more than the
 * new text has, and the rest would lie in shared memory, of which any process's
 * core dump has a copy: so a text as long as any comes first.
 */
static void
redact_hide(void)
{
	static char *blank = NULL;
	static TimestampTz blanked_at = 0;

	if (blank == NULL)
	{
		/* a server's limit of one megabyte; no memory is no reason to fail */
		blank = MemoryContextAllocExtended(TopMemoryContext, (Size) pgstat_track_activity_query_size,
		                                   MCXT_ALLOC_NO_OOM);
		if (blank != NULL)
		{
			memset(blank, ' ', (size_t) pgstat_track_activity_query_size - 1);
			blank[pgstat_track_activity_query_size - 1] = '\0';
		}
	}
	/* once for each message of the client: inner statements do not report themselves */
	if (blank != NULL && (debug_query_string == NULL || blanked_at != GetCurrentStatementStartTimestamp()))
	{
		pgstat_report_activity(STATE_RUNNING, blank);
		blanked_at = GetCurrentStatementStartTimestamp();
	}
	pgstat_report_activity(STATE_RUNNING, HIDDEN_STATEMENT);
}

/* Hides the client's statement in pg_stat_activity if need be; true if text (may be NULL) or that is sensitive. */
static bool
redact_activity(const char *text)
{
	bool hide = (redact_class_current() & HIDE_TEXT) != 0;
	unsigned int found;

	if (hide)
		redact_hide();
	/* the script of an extension comes whole with each of its statements, and holds no secret */
	if (hide || text == NULL || text == debug_query_string || creating_extension)
		return hide;
	found = redact_class(text);
	if (found & TZ_SENSITIVE_VALUE)
		tz_redact_mark();
	/* a worker of another extension runs statements that no client sent, and shows them all the same */
	if ((found & HIDE_TEXT) && debug_query_string == NULL)
	{
		tz_coredump_off();
		redact_hide();
	}
	return (found & HIDE_TEXT) != 0;
}

/* ERROR and above. */
static void
redact_report(ErrorData *edata, unsigned int statement)
{
	unsigned int found = statement;

	/* inside functions the client's statement may be harmless */
	found |= tz_sensitive_scan(tz_slice_cstr(edata->message));
	found |= tz_sensitive_scan(tz_slice_cstr(edata->context));
	found |= tz_sensitive_scan(tz_slice_cstr(edata->internalquery));
	if (!(found & TZ_SENSITIVE_NAME))
		return;

	edata->hide_stmt = true;
	if (!redact_is_ours(edata) && !redact_is_lookup(edata))
	{
		redact_message(edata);
		if (edata->detail)
			redact_replace(&edata->detail, "", 0, HIDDEN);
		if (edata->detail_log)
			redact_replace(&edata->detail_log, "", 0, HIDDEN);
		if (edata->hint)
			redact_replace(&edata->hint, "", 0, HIDDEN);
	}
	if (edata->internalquery)
		redact_replace(&edata->internalquery, "", 0, HIDDEN);
	redact_context(edata);
}

/* LOG, NOTICE, WARNING and the like: the statement itself, its parameters, its plan. */
static void
redact_lower(ErrorData *edata, unsigned int statement)
{
	bool in_message = (tz_sensitive_scan(tz_slice_cstr(edata->message)) & TZ_SENSITIVE_NAME) != 0;
	bool in_detail = (tz_sensitive_scan(tz_slice_cstr(edata->detail)) & TZ_SENSITIVE_NAME) != 0 ||
	                 (tz_sensitive_scan(tz_slice_cstr(edata->detail_log)) & TZ_SENSITIVE_NAME) != 0;
	bool named = in_message || in_detail || (statement & TZ_SENSITIVE_NAME);

	if (!named || redact_is_ours(edata))
		return;
	edata->hide_stmt = true;

	/* a plan may be of another statement within this one, and shows its parameters */
	if (in_message || (edata->message != NULL && strncmp(edata->message, "duration: ", 10) == 0) ||
	    (debug_query_string != NULL && edata->message != NULL &&
	     strstr(edata->message, debug_query_string) != NULL))
		redact_statement_in_message(edata);
	else if (edata->elevel != LOG)
		redact_message(edata); /* a notice may say anything */
	if (edata->detail)
		redact_replace(&edata->detail, "", 0, HIDDEN);
	if (edata->detail_log)
		redact_replace(&edata->detail_log, "", 0, HIDDEN);
	if (edata->internalquery)
		redact_replace(&edata->internalquery, "", 0, HIDDEN);
	redact_context(edata);
}

/*
 * Raised by our own code: C functions by name, SQLSTATEs of class TZ, RAISE in
 * a function of our schemas (their search_path is pinned, so that the context
 * shows the schema).
 */
static bool
redact_is_ours(const ErrorData *edata)
{
	const int ours = MAKE_SQLSTATE('T', 'Z', '0', '0', '0');
	const char *end;
	const char *schema;

	if (ERRCODE_TO_CATEGORY(edata->sqlerrcode) == ERRCODE_TO_CATEGORY(ours))
		return true;
	if (edata->funcname != NULL &&
	    (strncmp(edata->funcname, "theazo_", 7) == 0 || strncmp(edata->funcname, "tz_", 3) == 0))
		return true;
	if (edata->funcname == NULL || strcmp(edata->funcname, "exec_stmt_raise") != 0 || edata->context == NULL)
		return false;
	end = strchr(edata->context, '\n');
	schema = strstr(edata->context, " theazo");
	return schema != NULL && (end == NULL || schema < end) &&
	       (strncmp(schema, " theazo.", 8) == 0 || strncmp(schema, " theazo_internal.", 17) == 0 ||
	        strncmp(schema, " theazo_api.", 12) == 0);
}

/*
 * A function that is not there or is a procedure, one that may not be called,
 * a transaction that may not write: these name functions, types of arguments
 * and commands, never a value.
 */
static bool
redact_is_lookup(const ErrorData *edata)
{
	const char *file = edata->filename;
	int code = edata->sqlerrcode;

	if (file == NULL)
		return false;
	if (strcmp(file, "parse_func.c") == 0)
		return code == ERRCODE_UNDEFINED_FUNCTION || code == ERRCODE_AMBIGUOUS_FUNCTION ||
		       code == ERRCODE_WRONG_OBJECT_TYPE;
	if (strcmp(file, "aclchk.c") == 0)
		return code == ERRCODE_INSUFFICIENT_PRIVILEGE;
	return strcmp(file, "utility.c") == 0 && code == ERRCODE_READ_ONLY_SQL_TRANSACTION;
}

/* Keeps what stands before the first quoted part, if nothing before it can be a value. */
static void
redact_message(ErrorData *edata)
{
	const char *m = edata->message;
	const char *id = edata->message_id;
	bool plain; /* nothing but quoted parts is a value */
	const char *p;

	/* of JSON: the type's name and nothing else, what is wrong is in the detail */
	if (m == NULL || (id != NULL && strcmp(id, "invalid input syntax for type %s") == 0))
		return;
	/* the untranslated format tells; "syntax error" comes in by a %s of its own */
	plain = id != NULL && (strncmp(id, "%s at ", 6) == 0 || strncmp(id, "%s", 2) != 0);
	for (p = m; plain && *p != '\0'; p++)
	{
		/* translations have quotation marks of their own */
		if (*p == '"' || *p == '\'' || IS_HIGHBIT_SET(*p))
		{
			redact_replace(&edata->message, m, (size_t) (p - m), HIDDEN);
			return;
		}
	}
	if (!plain || (strcmp(m, id) != 0 && strstr(id, "%s") != NULL && strncmp(id, "%s at ", 6) != 0))
		redact_replace(&edata->message, "", 0, HIDDEN);
}

/* Keeps what the server wrote in front of the statement: "statement: ", "duration: ... ms". */
static void
redact_statement_in_message(ErrorData *edata)
{
	const char *m = edata->message;
	const char *found =
		debug_query_string == NULL || debug_query_string[0] == '\0' ? NULL : strstr(m, debug_query_string);
	size_t head = 0;

	if (found != NULL && tz_sensitive_scan(tz_slice(m, (size_t) (found - m))) == 0)
		head = (size_t) (found - m);
	else if (strncmp(m, "duration: ", 10) == 0)
	{
		while (m[head] != '\0' && strncmp(m + head, " ms", 3) != 0)
			head++;
		head = m[head] == '\0' ? 0 : head + 3;
	}
	/* a plan in the head would be more than the server wrote */
	if (memchr(m, '\n', head) != NULL || memchr(m, '\'', head) != NULL)
		head = 0;
	redact_replace(&edata->message, m, head,
	               head > 0 && m[head - 1] != ' ' ? " " HIDDEN_STATEMENT : HIDDEN_STATEMENT);
}

/* Keeps the lines that name functions; others hold statements, parameters or rows. */
static void
redact_context(ErrorData *edata)
{
	static const char keep[] = "PL/pgSQL function ";
	char *in = edata->context;
	char *out;

	if (in == NULL)
		return;
	out = in;
	while (*in != '\0')
	{
		size_t len = strcspn(in, "\n");
		bool good = strncmp(in, keep, sizeof(keep) - 1) == 0 && memchr(in, '\'', len) == NULL &&
		            memchr(in, '"', len) == NULL;
		bool more = in[len] == '\n';

		if (good)
		{
			if (out != edata->context)
				*out++ = '\n';
			memmove(out, in, len);
			out += len;
		}
		in += len + (more ? 1 : 0);
	}
	explicit_bzero(out, (size_t) (in - out));
	*out = '\0';
	if (edata->context[0] == '\0')
	{
		pfree(edata->context);
		edata->context = NULL;
	}
}

/* head_len bytes of head, then tail, in a chunk of its own: errfinish() will free it. Out of memory: nothing. */
static void
redact_replace(char **field, const char *head, size_t head_len, const char *tail)
{
	size_t tail_len = strlen(tail);
	char *fresh = MemoryContextAllocExtended(ErrorContext, head_len + tail_len + 1, MCXT_ALLOC_NO_OOM);

	if (fresh != NULL)
	{
		memcpy(fresh, head, head_len);
		memcpy(fresh + head_len, tail, tail_len + 1);
	}
	if (*field != NULL)
	{
		explicit_bzero(*field, strlen(*field));
		pfree(*field);
	}
	*field = fresh;
}

static void
redact_keys(char *field)
{
	if (field != NULL && (tz_sensitive_scan(tz_slice_cstr(field)) & TZ_SENSITIVE_KEY))
		tz_sensitive_scrub_keys(field, strlen(field));
}
