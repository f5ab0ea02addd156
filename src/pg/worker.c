/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  What every background worker shares: signals, slot, connection, loop, recovery.
 *
 * A dynamic worker takes the slot the launcher marked for it, connects, and
 * then only reacts: to its latch, to one descriptor, to time. Between turns it
 * holds no transaction, lock or snapshot, so that DROP EXTENSION never waits
 * for it. Three things make it leave: SIGTERM, a statement that needs the
 * database to itself (quiesce), and an extension that is gone. Two make it
 * idle: theazo.enabled = off, and an extension of another version.
 *
 * An error in a turn ends the turn, not the worker; calls in flight live
 * outside transactions and go on.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/resource.h>

#include "access/xact.h"
#include "executor/spi.h"
#include "libpq/pqsignal.h"
#include "mb/pg_wchar.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/procsignal.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"

#include "pg/coredump.h"
#include "pg/export.h"
#include "pg/guc.h"
#include "pg/shmem.h"
#include "pg/spi.h"
#include "pg/txn.h"
#include "pg/wake.h"
#include "pg/worker.h"
#include "pg/worker_start.h"

#define BACKOFF_FIRST_MS 250
#define BACKOFF_LAST_MS 30000
#define IDLE_MS 60000 /* nothing to do until the latch says otherwise */

static volatile sig_atomic_t stop_requested = false;
static bool leaving = false;

static MemoryContext worker_context = NULL;
static MemoryContext cycle_context = NULL;
static WaitEventSet *wait_set = NULL;
static uint32 wait_event = 0;
static int watched_fd = -1;

static TzWorkerSlot *my_slot = NULL;
static TzDatabase *my_database = NULL;
static int64 my_incarnation = 0;
static int my_number = 0;

/* State of the loop. */
static uint32 seen_extension_epoch = 0;
static TzExtensionState extension = TZ_EXTENSION_UNKNOWN;
static int backoff_ms = 0;
static TimestampTz sql_not_before = 0;
static bool accepting = false; /* a wake-up may be ours alone */
static bool pump_is_next = false; /* what the wait will end for: the pump's deadline */
static uint32 seen_halt_epoch = 0;
static int untold = 0; /* TZ_TURN_RELOADED until a turn has heard of it: settings it borrowed are gone */

static void worker_sigterm(SIGNAL_ARGS);
static void worker_attach(TzWorkerKind kind);
static void worker_detach(int code, Datum arg);
static void worker_settings(void);
static void worker_contexts(void);
static bool worker_must_leave(void);
static void worker_look_for_extension(void);
static TzExtensionState worker_extension_state(char *version, size_t size);
static TZ_NORETURN void worker_leave(const TzWorkerOps *ops, bool initialized);
static int worker_timeout(const TzWorkerOps *ops, TimestampTz turn_at);
static int worker_turn(const TzWorkerOps *ops, int why, bool *initialized);
static int worker_turn_flags(int why);
static void worker_failed(void);

/* ---- the loop ---------------------------------------------------------- */

void
tz_worker_main(TzWorkerKind kind, const TzWorkerOps *ops)
{
	bool initialized = false;
	TimestampTz turn_at = 0; /* when turn wants to be called */
	int why = TZ_TURN_TIMEOUT;

	tz_coredump_off();
	tz_worker_signals();
	worker_contexts();
	worker_attach(kind);
	for (;;)
	{
		uint32 halts = pg_atomic_read_u32(&my_database->halt_epoch);
		bool due;

		/* nobody rests from an error while something is to be cut */
		if (halts != seen_halt_epoch)
			sql_not_before = 0;
		if (worker_must_leave())
			worker_leave(ops, initialized);
		if (initialized && ops->pump != NULL)
			ops->pump(ops->arg, why);
		due = GetCurrentTimestamp() >= sql_not_before &&
		      (!initialized || (why & ~TZ_TURN_TIMEOUT) != 0 || pump_is_next || halts != seen_halt_epoch ||
		       GetCurrentTimestamp() >= turn_at);
		seen_halt_epoch = halts;
		if (due)
		{
			int next_ms = worker_turn(ops, why, &initialized);

			turn_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), next_ms);
		}
		if (worker_must_leave())
			worker_leave(ops, initialized);
		why = tz_worker_wait(worker_timeout(initialized ? ops : NULL, turn_at));
	}
}

/* One turn under protection; returns milliseconds until the next. */
static int
worker_turn(const TzWorkerOps *ops, int why, bool *initialized)
{
	volatile int next_ms = IDLE_MS;

	MemoryContextSwitchTo(cycle_context);
	PG_TRY();
	{
		if (seen_extension_epoch != pg_atomic_read_u32(&my_database->extension_epoch) ||
		    extension == TZ_EXTENSION_UNKNOWN)
			worker_look_for_extension();
		if (extension == TZ_EXTENSION_PRESENT)
		{
			if (!*initialized)
			{
				if (ops->init != NULL)
					ops->init(ops->arg);
				*initialized = true;
			}
			tz_worker_state(tz_guc_enabled ? "running" : "disabled");
			next_ms = ops->turn(ops->arg, worker_turn_flags(why));
			if (backoff_ms != 0)
				tz_worker_note("%s", "");
			backoff_ms = 0;
		}
		else if (extension == TZ_EXTENSION_MISMATCH)
			tz_worker_state("mismatch");
		else if (extension == TZ_EXTENSION_UNKNOWN)
			next_ms = 0;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(cycle_context);
		worker_failed();
		next_ms = backoff_ms;
		/* an init that failed half-way is not tried again in this process */
		if (extension == TZ_EXTENSION_PRESENT && !*initialized)
			proc_exit(1);
	}
	PG_END_TRY();
	Assert(!IsTransactionState());
	MemoryContextSwitchTo(cycle_context);
	MemoryContextReset(cycle_context);
	return Max(next_ms, 0);
}

/* For a turn that is about to begin, which hears of a reload in its first lines. */
static int
worker_turn_flags(int why)
{
	why |= untold;
	untold = 0;
	return tz_guc_enabled ? why : why | TZ_TURN_DRAIN;
}

/* After an error: the message becomes the note, the next turn waits longer each time. */
static void
worker_failed(void)
{
	ErrorData *error = CopyErrorData();

	tz_worker_note("%s", error->message);
	tz_worker_recover();
	/* what woke us may be waiting: others see to it while we rest */
	tz_worker_accepts(false);
	tz_worker_pass_on();
	backoff_ms = backoff_ms == 0 ? BACKOFF_FIRST_MS : Min(backoff_ms * 2, BACKOFF_LAST_MS);
	sql_not_before = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), backoff_ms);
	/* the extension may have been dropped under the turn: look again in the next */
	seen_extension_epoch--;
}

static int
worker_timeout(const TzWorkerOps *ops, TimestampTz turn_at)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz until = Max(turn_at, sql_not_before);
	long ms = TimestampDifferenceMilliseconds(now, until);
	int pump_ms = ops != NULL && ops->deadline != NULL ? ops->deadline(ops->arg) : -1;

	pump_is_next = pump_ms >= 0 && pump_ms < ms;
	if (pump_is_next)
		ms = pump_ms;
	return (int) Min(ms, IDLE_MS);
}

static bool
worker_must_leave(void)
{
	return stop_requested || extension == TZ_EXTENSION_ABSENT ||
	       pg_atomic_read_u32(&my_database->unwanted) != 0 || pg_atomic_read_u32(&my_database->quiesce) != 0;
}

/* Exit code 1 is for those who were told by a signal; the launcher brings back whoever is wanted. */
static void
worker_leave(const TzWorkerOps *ops, bool initialized)
{
	bool sql = extension == TZ_EXTENSION_PRESENT;
	int code = stop_requested ? 1 : 0;

	leaving = true;
	tz_worker_accepts(false);
	tz_worker_state("stopping");
	tz_worker_pass_on();
	if (initialized && ops->leave != NULL)
	{
		MemoryContextSwitchTo(cycle_context);
		PG_TRY();
		{
			ops->leave(ops->arg, sql);
		}
		PG_CATCH();
		{
			MemoryContextSwitchTo(cycle_context);
			tz_worker_recover();
		}
		PG_END_TRY();
	}
	proc_exit(code);
}

/* ---- the extension ------------------------------------------------------ */

/* Reads what CREATE EXTENSION left in this database and tells the launcher. */
static void
worker_look_for_extension(void)
{
	TzExtensionState before = extension;
	char version[32] = "";
	uint32 epoch = pg_atomic_read_u32(&my_database->extension_epoch);

	extension = worker_extension_state(version, sizeof(version));
	seen_extension_epoch = epoch;

	/* only a look that no commit has overtaken counts, or a CREATE EXTENSION would be missed */
	LWLockAcquire(tz_shared->lock, LW_EXCLUSIVE);
	if (pg_atomic_read_u32(&my_database->extension_epoch) == epoch)
		my_database->extension = extension;
	else if (extension == TZ_EXTENSION_ABSENT)
		extension = TZ_EXTENSION_UNKNOWN;
	LWLockRelease(tz_shared->lock);
	tz_wake_launcher();

	if (extension == TZ_EXTENSION_MISMATCH && before != TZ_EXTENSION_MISMATCH)
	{
		tz_worker_note("library %s, extension %s", THEAZO_VERSION, version);
		if (my_slot->kind == TZ_WORKER_KEEPER)
			ereport(
				LOG,
				(errmsg("theazo workers idle: the library is version %s, the extension version %s",
			            THEAZO_VERSION, version),
			     errhint(
					 "Run ALTER EXTENSION theazo UPDATE, or restart the server with the matching library.")));
	}
	else if (before == TZ_EXTENSION_MISMATCH)
		tz_worker_note("%s", "");
}

static TzExtensionState
worker_extension_state(char *version, size_t size)
{
	TzExtensionState state = TZ_EXTENSION_ABSENT;

	/* without the worker's role, which exists only where the extension does */
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (SPI_execute("SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'theazo'", true, 1) !=
	    SPI_OK_SELECT)
		elog(ERROR, "could not read pg_extension");
	if (SPI_processed == 1)
	{
		strlcpy(version, SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1), size);
		state = strcmp(version, THEAZO_VERSION) == 0 ? TZ_EXTENSION_PRESENT : TZ_EXTENSION_MISMATCH;
	}
	SPI_finish();
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(cycle_context);
	return state;
}

/* ---- start -------------------------------------------------------------- */

/* Takes the slot, connects, and sets this process up. Leaves at once when it is not wanted any more. */
static void
worker_attach(TzWorkerKind kind)
{
	TzWorkerStart start;
	TzWorkerSlot *slot;
	int dbindex;

	memcpy(&start, MyBgworkerEntry->bgw_extra, sizeof(start));
	Assert(start.kind == kind);
	(void) kind;
	tz_shmem_require();
	while (my_incarnation == 0)
		if (!pg_strong_random(&my_incarnation, sizeof(my_incarnation)))
			elog(FATAL, "could not get random bytes");
	my_number = start.number;

	LWLockAcquire(tz_shared->lock, LW_EXCLUSIVE);
	dbindex = start.dbindex;
	slot = tz_slot_at(dbindex, start.position);
	if (pg_atomic_read_u32(&tz_shared->database[dbindex].dboid) != start.dboid ||
	    slot->phase == TZ_SLOT_RUNNING)
	{
		LWLockRelease(tz_shared->lock);
		proc_exit(0); /* a late start: the place was given away */
	}
	slot->phase = TZ_SLOT_RUNNING;
	slot->pid = MyProcPid;
	slot->procno = tz_my_procno();
	slot->incarnation = my_incarnation;
	slot->started_at = GetCurrentTimestamp();
	slot->inflight = 0;
	slot->dboid = start.dboid;
	strlcpy(slot->state, "starting", sizeof(slot->state));
	slot->note[0] = '\0';
	LWLockRelease(tz_shared->lock);
	my_slot = slot;
	my_database = &tz_shared->database[dbindex];

	/*
	 * Registered before the connection exists, so it runs after this process
	 * has left the list of a database's backends: an empty slot means that
	 * DROP DATABASE will not meet us.
	 */
	on_shmem_exit(worker_detach, (Datum) 0);
	if (worker_must_leave())
	{
		leaving = true;
		proc_exit(0);
	}
	BackgroundWorkerInitializeConnectionByOid(start.dboid, InvalidOid, 0);
	worker_settings();
	pqsignal(SIGTERM, worker_sigterm);
	wait_event = tz_wait_event_new("TheazoWorker");
}

static void
worker_detach(int code, Datum arg)
{
	(void) code;
	(void) arg;
	LWLockAcquire(tz_shared->lock, LW_EXCLUSIVE);
	if (my_slot->pid == MyProcPid)
	{
		my_slot->phase = TZ_SLOT_FREE;
		my_slot->pid = 0;
		pg_atomic_write_u32(&my_slot->room, TZ_ROOM_NONE);
		pg_atomic_write_u32(&my_slot->places, 0);
		my_slot->planned = leaving && !stop_requested;
		if (my_slot->planned)
			my_slot->note[0] = '\0';
		my_slot->incarnation = 0;
		pg_atomic_write_u64(&my_slot->watch_ended, 0);
		pg_atomic_write_u64(&my_slot->watch_moved, 0);
		my_slot->inflight = 0;
		my_slot->state[0] = '\0';
	}
	LWLockRelease(tz_shared->lock);
	tz_wake_launcher();
}

/* ALTER DATABASE and ALTER ROLE settings are for users; a worker has its own. */
static void
worker_settings(void)
{
	static const char *const settings[][2] = {
		{"search_path", ""},
		{"statement_timeout", "0"},
		{"lock_timeout", "5s"},
		{"idle_in_transaction_session_timeout", "0"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_deferrable", "off"},
		{"session_replication_role", "origin"},
		{"row_security", "on"},
		{"jit", "off"},
		{"bytea_output", "hex"},
		{"datestyle", "ISO"},
		{"intervalstyle", "postgres"},
		{"timezone", "UTC"},
		{"client_min_messages", "error"},
#if PG_VERSION_NUM >= 170000
		{"transaction_timeout", "0"},
#endif
	};

	for (size_t i = 0; i < lengthof(settings); i++)
		SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
}

static void
worker_contexts(void)
{
	worker_context = AllocSetContextCreate(TopMemoryContext, "theazo worker", ALLOCSET_DEFAULT_SIZES);
	cycle_context = AllocSetContextCreate(worker_context, "theazo cycle", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(cycle_context);
}

void
tz_worker_signals(void)
{
	/* die() until the loop runs: nothing to settle yet. SIGUSR1 and SIGINT stay as installed. */
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
}

/* Asks the loop to leave; cancels the statement that runs. A second one ends the process as any backend. */
static void
worker_sigterm(SIGNAL_ARGS)
{
	int save_errno = errno;

	(void) postgres_signal_arg;
	if (leaving)
	{
		ProcDiePending = true;
		InterruptPending = true;
	}
	else if (tz_txn_open())
	{
		QueryCancelPending = true;
		InterruptPending = true;
	}
	stop_requested = true;
	SetLatch(MyLatch);
	errno = save_errno;
}

/* ---- waiting and recovery ----------------------------------------------- */

int
tz_worker_wait(long timeout_ms)
{
	WaitEvent events[3];
	int why = 0;
	int n;

	if (wait_set == NULL)
	{
		wait_set = tz_wait_set_create(3);
		AddWaitEventToSet(wait_set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
		AddWaitEventToSet(wait_set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
		if (watched_fd >= 0)
			AddWaitEventToSet(wait_set, WL_SOCKET_READABLE, watched_fd, NULL, NULL);
	}
	if (accepting)
		pg_atomic_write_u32(&my_slot->room, TZ_ROOM_ASLEEP);
	n = WaitEventSetWait(wait_set, timeout_ms, events, lengthof(events),
	                     wait_event != 0 ? wait_event : PG_WAIT_EXTENSION);
	if (accepting)
		pg_atomic_write_u32(&my_slot->room, TZ_ROOM_AWAKE);
	for (int i = 0; i < n; i++)
	{
		if (events[i].events & WL_LATCH_SET)
			why |= TZ_TURN_WOKEN;
		if (events[i].events & WL_SOCKET_READABLE)
			why |= TZ_TURN_FD;
	}
	if (n == 0)
		why |= TZ_TURN_TIMEOUT;
	if (why & TZ_TURN_WOKEN)
		ResetLatch(MyLatch);

	/* between transactions there is no statement a cancel could mean */
	QueryCancelPending = false;
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
		why |= TZ_TURN_RELOADED;
		untold = TZ_TURN_RELOADED;
	}
	return why;
}

void
tz_worker_watch(int fd)
{
	Assert(watched_fd < 0);
	watched_fd = fd;
	if (wait_set != NULL)
		AddWaitEventToSet(wait_set, WL_SOCKET_READABLE, fd, NULL, NULL);
}

void
tz_worker_recover(void)
{
	HOLD_INTERRUPTS();
	disable_all_timeouts(false);
	QueryCancelPending = false;
	/* a statement cut short because the worker must go is no news */
	if (!(tz_worker_stopping() && geterrcode() == ERRCODE_QUERY_CANCELED))
		EmitErrorReport();
	LWLockReleaseAll();
	ConditionVariableCancelSleep();
	pgstat_report_wait_end();
	tz_txn_abort();
	MemoryContextSwitchTo(cycle_context != NULL ? cycle_context : TopMemoryContext);
	FlushErrorState();
	RESUME_INTERRUPTS();
}

/* ---- descriptors -------------------------------------------------------- */

void
tz_worker_fds(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max)
	{
		limit.rlim_cur = limit.rlim_max;
		(void) setrlimit(RLIMIT_NOFILE, &limit);
	}
}

void
tz_worker_reserve_fds(int n)
{
	struct rlimit limit;
	int spare = 0;

	/* max_safe_fds was computed for max_files_per_process; what the limit allows beyond is ours */
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
	{
		if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > (rlim_t) max_safe_fds + n + 64)
			return;
		spare = Max(0, (int) limit.rlim_cur - max_safe_fds - 64);
	}
	n = Min(n - spare, max_safe_fds / 2);
	while (n-- > 0)
		ReserveExternalFD();
}

/* ---- what others see ---------------------------------------------------- */

bool
tz_worker_stopping(void)
{
	return stop_requested || leaving || (my_database != NULL && worker_must_leave());
}

int
tz_worker_slot(void)
{
	return my_number;
}

int64
tz_worker_incarnation(void)
{
	return my_incarnation;
}

TimestampTz
tz_worker_rests_until(void)
{
	return extension == TZ_EXTENSION_PRESENT ? sql_not_before : DT_NOEND;
}

void
tz_worker_accepts(bool accepts)
{
	accepting = accepts;
	pg_atomic_write_u32(&my_slot->room, accepts ? TZ_ROOM_AWAKE : TZ_ROOM_NONE);
}

void
tz_worker_pass_on(void)
{
	if (my_slot != NULL && my_slot->kind == TZ_WORKER_DISPATCHER)
		tz_wake_pass_on(my_slot->dboid, my_number);
}

void
tz_worker_places(bool some)
{
	pg_atomic_write_u32(&my_slot->places, some);
}

void
tz_worker_pass_programs(void)
{
	if (my_slot != NULL && my_slot->kind == TZ_WORKER_DISPATCHER)
		tz_wake_programs(my_slot->dboid, my_number);
}

bool
tz_worker_takes_own(void)
{
	if (!accepting || tz_worker_stopping())
		return false;
	SetLatch(MyLatch);
	return true;
}

uint32
tz_worker_cancel_epoch(void)
{
	return pg_atomic_read_u32(&my_database->cancel_epoch);
}

bool
tz_worker_events_marked(void)
{
	return pg_atomic_exchange_u32(&my_database->events, 0) != 0;
}

bool
tz_worker_upkeep_marked(void)
{
	return pg_atomic_exchange_u32(&my_database->upkeep, 0) != 0;
}

bool
tz_worker_is_keeper(void)
{
	return my_slot != NULL && my_slot->kind == TZ_WORKER_KEEPER;
}

void
tz_worker_watch_runs(uint64 ended, uint64 moved)
{
	pg_atomic_write_u64(&my_slot->watch_ended, ended);
	pg_atomic_write_u64(&my_slot->watch_moved, moved);
	/* the bits stand before the runs are looked at: see wake_watchers() */
	pg_memory_barrier();
}

void
tz_worker_state(const char *state)
{
	/* only this process writes its slot, so it may look without the lock */
	if (my_slot == NULL || strcmp(my_slot->state, state) == 0)
		return;
	LWLockAcquire(tz_shared->lock, LW_EXCLUSIVE);
	strlcpy(my_slot->state, state, sizeof(my_slot->state));
	LWLockRelease(tz_shared->lock);
}

void
tz_worker_inflight(int n)
{
	if (my_slot != NULL)
		my_slot->inflight = n; /* an int is written at once */
}

void
tz_worker_note(const char *fmt, ...)
{
	char note[TZ_NOTE_MAX];
	va_list args;

	if (my_slot == NULL)
		return;
	va_start(args, fmt);
	vsnprintf(note, sizeof(note), fmt, args);
	va_end(args);
	/* no half characters */
	note[pg_mbcliplen(note, strlen(note), sizeof(note) - 1)] = '\0';
	if (strcmp(my_slot->note, note) == 0)
		return;
	LWLockAcquire(tz_shared->lock, LW_EXCLUSIVE);
	strlcpy(my_slot->note, note, sizeof(my_slot->note));
	LWLockRelease(tz_shared->lock);
}

MemoryContext
tz_worker_context(void)
{
	return worker_context;
}

MemoryContext
tz_worker_cycle(void)
{
	return cycle_context;
}
