/*-------------------------------------------------------------------------
 *
 * parent.h
 *	  Parent's side of the runner: JavaScript in one-use processes.
 *
 * The program theazo-runner is one zygote per worker process. It forks a child
 * for each run, locked down by the kernel, and keeps some ready. Plain C11 on a
 * TzMux; knows no server and never throws. Everything that comes from a child is
 * hostile and is checked here: what the callbacks get is well formed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_RUNNER_PARENT_H
#define TZ_RUNNER_PARENT_H

#include "http/mux.h"

/* Ceilings of the wire. */
#define TZ_RUNNER_CODE_MAX (1024 * 1024) /* bytes of code */
#define TZ_RUNNER_JOB_MAX (4 * 1024 * 1024) /* bytes of the JSON document beside it */
#define TZ_RUNNER_ANSWER_MAX (4 * 1024 * 1024) /* bytes of the answer to a call */
#define TZ_RUNNER_UNREAD_MAX (32 * 1024 * 1024) /* bytes of answers that a run has not read */
#define TZ_RUNNER_FRAME_MAX (1024 * 1024) /* bytes of a log line, of a call, of a result */
#define TZ_RUNNER_TALK_MAX (8 * 1024 * 1024) /* bytes of logs and calls of one run */
#define TZ_RUNNER_CALLS_OPEN 64 /* calls of one run without an answer */
#define TZ_RUNNER_JSON_DEPTH 128 /* nesting of what comes from a run */
#define TZ_RUNNER_MEMORY_MIN_MB 16
#define TZ_RUNNER_MEMORY_MAX_MB 2048
#define TZ_RUNNER_GRACE_MS 200 /* between the deadline, which the engine keeps itself, and the kill */

/* What stands between the code and the machine, besides the engine's own memory wall and the resource limits. */
#define TZ_RUNNER_WALL_SECCOMP 0x001 /* without this one nothing runs */
#define TZ_RUNNER_WALL_CAPS 0x002 /* no capabilities, no new privileges; nor without this one */
#define TZ_RUNNER_WALL_USER 0x004
#define TZ_RUNNER_WALL_PID 0x008
#define TZ_RUNNER_WALL_NET 0x010
#define TZ_RUNNER_WALL_IPC 0x020
#define TZ_RUNNER_WALL_UTS 0x040
#define TZ_RUNNER_WALL_CGROUP 0x080
#define TZ_RUNNER_WALL_MOUNT 0x100
#define TZ_RUNNER_WALL_ROOT 0x200 /* the file system is an empty directory */
#define TZ_RUNNER_WALLS 10

typedef enum TzRunnerMode
{
	TZ_RUNNER_NONE = 0, /* nothing usable: refuse */
	TZ_RUNNER_SECCOMP = 1, /* filter, no capabilities, limits; some namespace is missing */
	TZ_RUNNER_FULL = 2, /* all walls */
} TzRunnerMode;

/* What runs, as it said itself after it had locked itself in. */
typedef struct TzRunnerInfo
{
	TzRunnerMode mode; /* NONE: not started yet, or it cannot be */
	unsigned walls; /* TZ_RUNNER_WALL_* that stand */
	int refused[TZ_RUNNER_WALLS]; /* errno of the ones that do not, by bit */
	char engine[24]; /* "quickjs-ng" */
	char engine_version[24]; /* "0.17.0" */
	char sha256[65]; /* of the very file that was executed */
	int pid; /* of the program as this process sees it */
	TzErr err; /* mode none: what to tell the user */
} TzRunnerInfo;

typedef struct TzRunner TzRunner; /* the program on this machine */
typedef struct TzRunnerRun TzRunnerRun; /* one execution */

typedef struct TzRunnerConfig
{
	const char *path; /* of theazo-runner */
	int spares; /* children kept ready, 0 to 8 */
	int max_runs; /* at once, 1 to 256 */
} TzRunnerConfig;

typedef struct TzRunnerJob
{
	TzSlice code; /* UTF-8 without NUL: body of an async function */
	TzSlice json; /* {"agentName", "agentVersion", "executionId", "input"} */
	int memory_mb;
	int time_ms; /* wall time, waiting for answers included */
} TzRunnerJob;

typedef enum TzRunnerEnd
{
	TZ_RUNNER_RETURNED, /* value is set, or empty for undefined */
	TZ_RUNNER_THREW, /* error_* are set: the code threw, never settles, or what it returned is no JSON */
	TZ_RUNNER_TIME, /* over its time */
	TZ_RUNNER_MEMORY, /* over its memory */
	TZ_RUNNER_FAULT, /* broken frames, a crash, a forbidden system call: a violation; fault says which */
	TZ_RUNNER_CANCELLED, /* by tz_runner_cancel or tz_runner_free */
	TZ_RUNNER_LOST, /* the program could not be started, or died; err is set */
} TzRunnerEnd;

/* What ended. Owned by the run, valid during the callback only. Texts are UTF-8 without NUL. */
typedef struct TzRunnerResult
{
	TzRunnerEnd end;
	TzErr err; /* for a user, whatever the end; TZ_OK when it returned */
	bool begun; /* code may have run: never repeat */
	TzSlice value; /* JSON fit for jsonb */
	TzSlice error_name;
	TzSlice error_message;
	TzSlice error_stack;
	const char *fault; /* static text for the operator, or NULL */
	int exit_status; /* as wait4 gives it, -1 unknown */
	/* The kernel's figures, which code cannot forge; 0 where the child was not waited for. */
	int64_t cpu_us;
	int64_t peak_rss_kb;
	int64_t wall_us;
	int64_t heap_kb; /* the engine's own word, advice only */
	uint32_t logs;
	uint32_t calls;
	size_t talk_bytes;
} TzRunnerResult;

/* Functions that code may call: their place in this list is fixed. log has no answer. */
#define TZ_RUNNER_FUNCTIONS                                             \
	{                                                                   \
		"http_request", "read_context", "write_context", "write_result" \
	}

/*
 * Callbacks run inside tz_mux_pump and tz_runner_tick, never inside the call that starts a run. They may answer, cancel
 * and start runs, and must not free the runner.
 */
typedef struct TzRunnerCallbacks
{
	/* level is one of "debug", "info", "warn", "error"; the text is UTF-8 without NUL. No answer. */
	void (*log)(void *arg, TzRunnerRun *run, const char *level, TzSlice text);
	/* name is one of TZ_RUNNER_FUNCTIONS; args is a JSON array fit for jsonb. Answer it, at once or later. */
	void (*call)(void *arg, TzRunnerRun *run, uint32_t id, const char *name, TzSlice args);
	/* Once for each run that tz_runner_run took. The run is gone after it. */
	void (*done)(void *arg, TzRunnerRun *run, const TzRunnerResult *res);
	void *arg;
} TzRunnerCallbacks;

/*
 * Starts the program. Does not wait for it: runs may be given at once. When it dies its runs end, and the next run
 * starts it again.
 */
extern TzStatus tz_runner_start(const TzRunnerConfig *config, TzMux *mux, TzRunner **out, TzErr *err);
/*
 * Copies what job points to. TZ_TOO_LARGE and TZ_BAD_INPUT for the job, TZ_UNAVAILABLE when max_runs are under way or
 * the program cannot be started; then done is not called.
 */
extern TzStatus tz_runner_run(TzRunner *runner, const TzRunnerJob *job, const TzRunnerCallbacks *cb,
                              TzRunnerRun **out, TzErr *err);
/*
 * Answers a call: JSON of the value, or of {"name", "code", "message"} when it failed. TZ_NOT_FOUND for a call that is
 * not open (answered, or the run has ended), TZ_TOO_LARGE for a text over the ceiling, or where too much is unread
 * already: the call then still is open.
 */
extern TzStatus tz_runner_answer(TzRunnerRun *run, uint32_t id, bool ok, TzSlice json, TzErr *err);
/* Kills the run; done still comes, with what it is known to have used. */
extern void tz_runner_cancel(TzRunnerRun *run);
extern const TzRunnerInfo *tz_runner_info(const TzRunner *runner);
extern int tz_runner_running(const TzRunner *runner);
/* Deadlines: ms until tz_runner_tick wants to be called, -1 never. */
extern int tz_runner_timeout(const TzRunner *runner);
extern void tz_runner_tick(TzRunner *runner);
/* Runs end as cancelled; waits, bounded, until the processes are gone. */
extern void tz_runner_free(TzRunner *runner);

/* Starts the program once and waits for what it says, at most timeout_ms; for a status function. mode none: err says why. */
extern void tz_runner_preflight(const char *path, int timeout_ms, TzRunnerInfo *out);
/* "full", "seccomp", "none". */
extern const char *tz_runner_mode_name(TzRunnerMode mode);
/* "user namespace", ... of bit n of the walls. */
extern const char *tz_runner_wall_name(int n);

#endif /* TZ_RUNNER_PARENT_H */
