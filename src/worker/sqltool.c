/*-------------------------------------------------------------------------
 *
 * sqltool.c
 *	  Functions of this database as tools: the dispatcher's side.
 *
 * A function that a model may call is somebody's code: it may sleep, write, grow
 * and never end. So each call gets a process of its own, connected as the role
 * that asked for the run, and a shared segment with what to call and what came of
 * it (sqltool_run.c). The dispatcher only starts, looks and kills. A database has
 * at most theazo.sql_tool_workers of these processes; what is more waits here, and
 * of those that wait the platform with the fewest running ones comes first.
 *
 * A process that has been abandoned cannot commit any more (sqltool_segment.h), so
 * the dispatcher knows what happened even of one that will not die.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/dsm.h"
#include "storage/ipc.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "lib/json.h"
#include "lib/utf8.h"
#include "pg/guc.h"
#include "pg/shmem.h"
#include "pg/worker.h"
#include "worker/sqltool.h"
#include "worker/sqltool_segment.h"

#define GRACE_MS 1500 /* to start, and to end by itself, beside what the tool may take */
#define COMMIT_GRACE_MS 10000 /* a commit under way is waited for */
#define QUEUE_POLL_MS 50 /* for room that another dispatcher's call leaves */
#define STARVED_MS 1000 /* between tries while the server has no place for a process */
#define STUBBORN_MS 10000 /* an abandoned process that lives so long is told of */
#define LEAVE_WAIT_MS 200

typedef struct SqlChild
{
	struct SqlChild *next;
	TzSqlJob *job; /* NULL: nobody waits for it any more */
	dsm_segment *seg;
	TzSqlSegment *shared;
	BackgroundWorkerHandle *handle;
	char platform_id[64];
	TimestampTz kill_at;
	bool told; /* that it does not stop */
} SqlChild;

static SqlChild *children = NULL;
static TzSqlJob *queue = NULL; /* oldest first */
static NameData database;
static TimestampTz starved_until = 0;
static bool starved_told = false;

static void sqltool_exit(int code, Datum arg);

void
tz_sqltool_init(void)
{
	char *name;

	StartTransactionCommand();
	name = get_database_name(MyDatabaseId);
	if (name == NULL)
		elog(ERROR, "database %u does not exist", MyDatabaseId);
	namestrcpy(&database, name);
	CommitTransactionCommand();
	MemoryContextSwitchTo(tz_worker_cycle());
	before_shmem_exit(sqltool_exit, (Datum) 0);
}

/* ---- places -------------------------------------------------------------------- */

static pg_atomic_uint32 *
places(void)
{
	int dbindex = tz_database_find(MyDatabaseId);

	return dbindex < 0 ? NULL : &tz_shared->database[dbindex].sql_tools;
}

static bool
place_take(void)
{
	pg_atomic_uint32 *taken = places();
	uint32 n = taken == NULL ? 0 : pg_atomic_read_u32(taken);

	while (taken != NULL && n < (uint32) tz_guc_sql_tool_workers)
		if (pg_atomic_compare_exchange_u32(taken, &n, n + 1))
			return true;
	return false;
}

static void
place_give(void)
{
	pg_atomic_uint32 *taken = places();

	if (taken != NULL)
		pg_atomic_fetch_sub_u32(taken, 1);
}

/* ---- ends of jobs ------------------------------------------------------------------ */

static void
job_end(TzSqlJob *job)
{
	if (job->child != NULL)
		job->child->job = NULL;
	job->child = NULL;
	job->done(job);
}

static void
job_fail(TzSqlJob *job, TzVerdict verdict, TzStatus status, const char *sqlstate, const char *message,
         const char *hint)
{
	job->out->verdict = verdict;
	tz_err_set(&job->out->err, status, "%s", message);
	if (hint != NULL)
		tz_err_hint(&job->out->err, "%s", hint);
	job->sqlstate = sqlstate;
	job_end(job);
}

/* What the function has read, as an array; NULL without memory. */
static json_t *
labels_array(const TzSqlSegment *shared)
{
	json_t *labels = json_array();
	const char *end;

	for (const char *p = shared->labels;
	     labels != NULL &&
	     (end = memchr(p, '\n', strnlen(p, shared->labels + TZ_FLOW_NOTE_BYTES - p))) != NULL;
	     p = end + 1)
	{
		if (json_array_append_new(labels, json_stringn(p, (size_t) (end - p))) != 0)
		{
			json_decref(labels);
			return NULL;
		}
	}
	return labels;
}

/* The document of an answer, or of a function that raised. shared NULL: what is said is not the function's. */
static void
job_answer(TzSqlJob *job, TzSlice text, bool truncated, bool failed, const TzSqlSegment *shared)
{
	json_t *result = json_object();

	if (tz_json_set_text(result, "output", text, NULL) != TZ_OK ||
	    json_object_set_new(result, "truncated", json_boolean(truncated)) != 0 ||
	    (failed && json_object_set_new(result, "failed", json_true()) != 0) ||
	    (shared != NULL && shared->labels[0] != '\0' &&
	     json_object_set_new(result, "labels", labels_array(shared)) != 0))
	{
		json_decref(result);
		job_fail(job, TZ_V_FAILED, TZ_NOMEM, NULL, "out of memory", NULL);
		return;
	}
	job->out->verdict = TZ_V_DONE;
	job->out->result = result;
	job_end(job);
}

/* What the process left behind: state DONE or RAISED. */
static void
job_settle(TzSqlJob *job, const TzSqlSegment *shared, uint32 state)
{
	TzSlice message = tz_slice(shared->message, strnlen(shared->message, TZ_SQL_MESSAGE_MAX));
	char text[TZ_SQL_MESSAGE_MAX];

	if (state == TZ_SQL_DONE)
		job_answer(job, tz_slice(shared->output, Min(shared->output_len, TZ_SQL_OUTPUT_MAX)),
		           shared->truncated, false, shared);
	else if (shared->refused)
	{
		snprintf(text, sizeof(text), "%.*s", (int) message.len, message.data);
		strlcpy(job->code, shared->sqlstate, sizeof(job->code));
		/* 42501: the role; anything else: the function is not what was registered */
		job_fail(
			job, TZ_V_FAILED, TZ_REFUSED, strlen(job->code) == 5 ? job->code : "42501", text,
			strcmp(job->code, "42501") == 0
				? "The run's role must be able to log in, to use the schema, and must have been granted the function."
				: "Register the tool again with theazo.tool_set().");
	}
	else
		job_answer(job, message, false, true, shared);
}

/* The process is gone, and did not say how it ended. */
static void
job_lost(TzSqlJob *job, const TzSqlSegment *shared, uint32 state)
{
	char text[TZ_SQL_MESSAGE_MAX];

	if (state == TZ_SQL_COMMITTING && !job->read_only)
	{
		job_fail(job, TZ_V_UNKNOWN, TZ_UNAVAILABLE, NULL,
		         "the process that ran the function ended while it committed", NULL);
		return;
	}
	strlcpy(job->code, shared->sqlstate, sizeof(job->code));
	snprintf(text, sizeof(text), "%s",
	         shared->message[0] != '\0' ? shared->message
	                                    : "the process that ran the function ended; nothing was changed");
	job_fail(job, TZ_V_FAILED, TZ_UNAVAILABLE, strlen(job->code) == 5 ? job->code : NULL, text, NULL);
}

/* ---- processes ------------------------------------------------------------------------ */

/* True when its transaction can never commit from now on. */
static bool
child_abandon(SqlChild *child)
{
	uint32 state = pg_atomic_read_u32(&child->shared->state);

	while (state == TZ_SQL_STARTING || state == TZ_SQL_RUNNING)
		if (pg_atomic_compare_exchange_u32(&child->shared->state, &state, TZ_SQL_ABANDONED))
			return true;
	return state == TZ_SQL_ABANDONED || state == TZ_SQL_RAISED;
}

static void
child_free(SqlChild *child)
{
	SqlChild **at = &children;

	while (*at != child)
		at = &(*at)->next;
	*at = child->next;
	dsm_detach(child->seg);
	pfree(child->handle);
	free(child);
	place_give();
}

static uint32
put_text(TzSqlSegment *shared, uint32 *at, const char *text)
{
	uint32 here = *at;
	size_t len = strlen(text) + 1;

	memcpy(shared->text + here, text, len);
	*at += (uint32) len;
	return here;
}

static void
segment_fill(TzSqlSegment *shared, const TzSqlJob *job, const char *function, const char *arguments,
             const char *role)
{
	const char *run = json_string_value(json_object_get(job->effect->request, "run"));
	TzSlice prefix;
	TzSlice root;
	TzErr err;
	uint32 at = 0;

	memset(shared, 0, offsetof(TzSqlSegment, text));
	shared->magic = TZ_SQL_MAGIC;
	pg_atomic_init_u32(&shared->state, TZ_SQL_STARTING);
	shared->dispatcher = tz_my_procno();
	shared->timeout_ms = job->timeout_ms;
	shared->read_only = job->read_only;
	strlcpy(shared->database, NameStr(database), NAMEDATALEN);
	strlcpy(shared->role, role, NAMEDATALEN);
	strlcpy(shared->platform, job->effect->platform_id, sizeof(shared->platform));
	if (run != NULL && tz_id_split(tz_slice_cstr(run), &prefix, &root, &err) == TZ_OK)
		strlcpy(shared->run, run, sizeof(shared->run));
	shared->function_at = put_text(shared, &at, function);
	shared->arguments_at = put_text(shared, &at, arguments);
}

/* False when the server has no place; throws when it has no memory. */
static bool
child_register(SqlChild *child, TzSqlJob *job, const char *function, const char *arguments, const char *role)
{
	BackgroundWorker worker = {0};
	Size size = offsetof(TzSqlSegment, text) + strlen(function) + strlen(arguments) + 2;
	bool started;

	child->seg = dsm_create(size, DSM_CREATE_NULL_IF_MAXSEGMENTS);
	if (child->seg == NULL)
		return false;
	dsm_pin_mapping(child->seg);
	child->shared = dsm_segment_address(child->seg);
	segment_fill(child->shared, job, function, arguments, role);

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_main_arg = UInt32GetDatum(dsm_segment_handle(child->seg));
	snprintf(worker.bgw_name, BGW_MAXLEN, "theazo sql tool");
	snprintf(worker.bgw_type, BGW_MAXLEN, "theazo sql tool");
	snprintf(worker.bgw_library_name, sizeof(worker.bgw_library_name), "theazo");
	snprintf(worker.bgw_function_name, sizeof(worker.bgw_function_name), "theazo_sql_tool_main");
	started = RegisterDynamicBackgroundWorker(&worker, &child->handle);
	if (!started)
	{
		dsm_detach(child->seg);
		child->seg = NULL;
	}
	return started;
}

/* A process for the job, which has a place. False: later. */
static bool
child_start(TzSqlJob *job)
{
	const json_t *request = job->effect->request;
	const char *function = json_string_value(json_object_get(request, "function"));
	const char *role = json_string_value(json_object_get(request, "role"));
	const char *arguments = json_string_value(json_object_get(request, "arguments"));
	SqlChild *child = calloc(1, sizeof(SqlChild));
	TimestampTz now = GetCurrentTimestamp();
	MemoryContext old = MemoryContextSwitchTo(tz_worker_context());
	volatile bool started = false;
	volatile bool broken = child == NULL || arguments == NULL || function == NULL || role == NULL;

	/* what it waited is gone from its run's time */
	if (job->give_up != DT_NOEND)
		job->timeout_ms = (int) Max(1, Min((int64) job->timeout_ms, (job->give_up - now) / 1000));
	PG_TRY();
	{
		if (!broken)
			started = child_register(child, job, function, arguments, role);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(tz_worker_context());
		EmitErrorReport();
		FlushErrorState();
		broken = true;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	if (started)
	{
		child->job = job;
		job->child = child;
		strlcpy(child->platform_id, job->effect->platform_id, sizeof(child->platform_id));
		child->kill_at = TimestampTzPlusMilliseconds(now, job->timeout_ms + GRACE_MS);
		child->next = children;
		children = child;
		return true;
	}
	if (child != NULL && child->seg != NULL)
		dsm_detach(child->seg);
	free(child);
	place_give();
	if (!broken)
		return false;
	job_fail(job, TZ_V_FAILED, TZ_UNAVAILABLE, NULL, "no process could be started for the function",
	         "The server's log says why.");
	return true;
}

/* Looks at one process; it may be gone afterwards. */
static void
child_look(SqlChild *child, TimestampTz now)
{
	pid_t pid;
	BgwHandleStatus status = GetBackgroundWorkerPid(child->handle, &pid);
	uint32 state = pg_atomic_read_u32(&child->shared->state);
	TzSqlJob *job = child->job;

	pg_read_barrier();
	if (job != NULL && (state == TZ_SQL_DONE || state == TZ_SQL_RAISED))
		job_settle(job, child->shared, state);
	else if (job != NULL && status == BGWH_STOPPED)
		job_lost(job, child->shared, state);
	else if (job != NULL && now >= child->kill_at)
	{
		if (child_abandon(child))
		{
			char text[128];

			TerminateBackgroundWorker(child->handle);
			snprintf(text, sizeof(text),
			         "the function ran longer than %d ms; it was stopped and its changes undone",
			         job->timeout_ms);
			job_answer(job, tz_slice_cstr(text), false, true, NULL);
		}
		else if (now >= TimestampTzPlusMilliseconds(child->kill_at, COMMIT_GRACE_MS))
			job_fail(job, TZ_V_UNKNOWN, TZ_TIMEOUT, NULL, "the function's commit takes too long", NULL);
	}
	else if (job == NULL && status != BGWH_STOPPED && !child->told &&
	         now >= TimestampTzPlusMilliseconds(child->kill_at, STUBBORN_MS))
	{
		child->told = true;
		ereport(LOG, (errmsg("process %d runs a tool's function and does not stop", (int) pid),
		              errdetail("It was told to, and cannot commit any more, but keeps its place.")));
	}
	if (status == BGWH_STOPPED)
		child_free(child);
}

/* ---- the queue ---------------------------------------------------------------------------- */

static void
queue_remove(TzSqlJob *job)
{
	TzSqlJob **at = &queue;

	while (*at != NULL && *at != job)
		at = &(*at)->next;
	if (*at == job)
		*at = job->next;
	job->next = NULL;
}

static int
running_of(const char *platform_id)
{
	int n = 0;

	for (const SqlChild *c = children; c != NULL; c = c->next)
		n += strncmp(c->platform_id, platform_id, sizeof(c->platform_id) - 1) == 0;
	return n;
}

/* The oldest of the platform that has the fewest under way. */
static TzSqlJob *
queue_next(void)
{
	TzSqlJob *best = NULL;
	int fewest = 0;

	for (TzSqlJob *job = queue; job != NULL; job = job->next)
	{
		int n = running_of(job->effect->platform_id);

		if (best == NULL || n < fewest)
		{
			best = job;
			fewest = n;
		}
		if (n == 0)
			break;
	}
	return best;
}

static void
queue_expire(TimestampTz now)
{
	TzSqlJob *job = queue;

	while (job != NULL)
	{
		TzSqlJob *next = job->next;

		if (now >= job->give_up)
		{
			queue_remove(job);
			job_fail(
				job, TZ_V_FAILED, TZ_TIMEOUT, NULL, "no process was free for the function",
				"Raise theazo.sql_tool_workers, or max_worker_processes if the server has no place for more.");
			/* ends of jobs may begin others */
			next = queue;
		}
		job = next;
	}
}

static void
queue_serve(TimestampTz now)
{
	while (queue != NULL && now >= starved_until)
	{
		TzSqlJob *job;

		if (!place_take())
			return;
		job = queue_next();
		queue_remove(job);
		if (child_start(job))
		{
			starved_told = false;
			continue;
		}
		job->next = queue;
		queue = job;
		starved_until = TimestampTzPlusMilliseconds(now, STARVED_MS);
		if (!starved_told)
			ereport(LOG, (errmsg("no place for a process that runs a tool's function"),
			              errhint("Raise max_worker_processes.")));
		starved_told = true;
	}
}

/* ---- the carrier's calls ---------------------------------------------------------------------- */

void
tz_sqltool_start(TzSqlJob *job)
{
	const json_t *request = job->effect->request;
	const char *role = json_string_value(json_object_get(request, "role"));
	TzSqlJob **at = &queue;

	job->next = NULL;
	job->child = NULL;
	job->sqlstate = NULL;
	job->end = TZ_SQL_ENDED;
	job->read_only = !json_is_false(json_object_get(request, "read_only"));
	if (role == NULL || role[0] == '\0' || strlen(role) >= NAMEDATALEN)
	{
		job_fail(job, TZ_V_FAILED, TZ_REFUSED, "42501", "no role is recorded that the function could run as",
		         "Start the run from a session of an ordinary role.");
		return;
	}
	if (tz_guc_sql_tool_workers == 0)
	{
		job_fail(job, TZ_V_FAILED, TZ_UNSUPPORTED, NULL,
		         "functions of the database are switched off as tools",
		         "Set theazo.sql_tool_workers above 0.");
		return;
	}
	while (*at != NULL)
		at = &(*at)->next;
	*at = job;
	queue_serve(GetCurrentTimestamp());
}

void
tz_sqltool_cancel(TzSqlJob *job)
{
	SqlChild *child = job->child;

	if (child != NULL)
	{
		if (!child_abandon(child))
			return;
		TerminateBackgroundWorker(child->handle);
	}
	else
		queue_remove(job);
	job->end = TZ_SQL_CANCELLED;
	job_fail(job, TZ_V_FAILED, TZ_CANCELLED, "57014", "cancelled", NULL);
}

void
tz_sqltool_tick(void)
{
	TimestampTz now;
	SqlChild *child = children;

	if (children == NULL && queue == NULL)
		return;
	now = GetCurrentTimestamp();
	while (child != NULL)
	{
		SqlChild *next = child->next;

		child_look(child, now);
		child = next;
	}
	queue_serve(now);
	queue_expire(now);
}

int
tz_sqltool_timeout(void)
{
	TimestampTz now;
	int64 best = -1;

	if (queue != NULL)
		best = QUEUE_POLL_MS;
	if (children == NULL)
		return (int) best;
	now = GetCurrentTimestamp();
	for (const SqlChild *c = children; c != NULL; c = c->next)
	{
		int64 ms = c->job != NULL ? (c->kill_at - now) / 1000 + 1 : STUBBORN_MS;

		/* past its time: it commits, and is looked at again soon */
		ms = ms <= 0 ? QUEUE_POLL_MS : ms;
		best = best < 0 ? ms : Min(best, ms);
	}
	return (int) Min(best, 60000);
}

void
tz_sqltool_leave(void)
{
	TimestampTz give_up = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LEAVE_WAIT_MS);

	while (queue != NULL)
	{
		TzSqlJob *job = queue;

		queue_remove(job);
		job->end = TZ_SQL_UNTOUCHED;
		job_end(job);
	}
	for (SqlChild *child = children; child != NULL; child = child->next)
	{
		TzSqlJob *job = child->job;
		bool undone = child_abandon(child);

		TerminateBackgroundWorker(child->handle);
		if (job == NULL || !undone)
			continue;
		/* what only reads can be asked again; the rest may have done more than its transaction */
		job->end = job->read_only ? TZ_SQL_UNTOUCHED : TZ_SQL_ENDED;
		if (job->read_only)
			job_end(job);
		else
			job_fail(job, TZ_V_FAILED, TZ_UNAVAILABLE, NULL,
			         "the server stopped while the function ran; its changes were undone", NULL);
	}
	/* whoever wants the database to itself shall find it empty */
	while (children != NULL && GetCurrentTimestamp() < give_up)
	{
		SqlChild *child = children;

		pg_usleep(10000L);
		while (child != NULL)
		{
			SqlChild *next = child->next;

			child_look(child, 0);
			child = next;
		}
	}
}

/* However this process ends: nobody will hear of what they do. */
static void
sqltool_exit(int code, Datum arg)
{
	(void) code;
	(void) arg;
	for (SqlChild *child = children; child != NULL; child = child->next)
	{
		(void) child_abandon(child);
		TerminateBackgroundWorker(child->handle);
		place_give();
	}
	children = NULL;
}
