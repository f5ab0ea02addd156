/*-------------------------------------------------------------------------
 *
 * script.h
 *	  The adapter "script": programs of agents, run by theazo-runner.
 *
 * Plain C11 on a TzMux: knows no server, no SPI, and never throws.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_SCRIPT_H
#define TZ_SCRIPT_H

#include "http/mux.h"
#include "runner/parent.h"

typedef struct TzScripts TzScripts;
typedef struct TzScriptJob TzScriptJob;
typedef struct TzHostCall TzHostCall;

typedef struct TzScriptConfig
{
	const char *runner; /* path of theazo-runner; copied */
	int max; /* programs at once; more wait here */
	int spares; /* processes kept ready */
} TzScriptConfig;

typedef enum TzScriptEnd
{
	TZ_SCRIPT_ENDED = 0, /* document is the outcome */
	TZ_SCRIPT_CANCELLED, /* the same, because it was asked to */
	TZ_SCRIPT_UNTOUCHED, /* not a line of it ran: it may be begun anew */
	TZ_SCRIPT_FAILED /* it could not begin; err and sqlstate say why */
} TzScriptEnd;

/*
 * One program. The caller fills the first part and keeps everything it points to until
 * done runs.
 */
struct TzScriptJob
{
	const char *platform_id;
	const char *root_id;
	const char *effect_id;
	const char *session_id; /* this and the next two may be NULL */
	const char *agent_id;
	const char *run_id;
	TzSlice request; /* JSON text of the effect's request, as the server wrote it */
	void (*done)(TzScriptJob *job);
	void *arg;

	/* for done */
	TzScriptEnd end;
	TzBuf document; /* JSON text; whoever wants to keep it takes it and leaves an empty one */
	TzErr err;
	const char *sqlstate; /* of err, or NULL: what its status stands for */

	/* of script.c and its parts */
	TzScripts *scripts;
	TzScriptJob *next; /* of those that wait, or those that run */
	TzRunnerRun *run;
	bool cancelling;
	bool over; /* is being told its end */
	int memory_mb;
	int time_ms;
	int64_t started_us; /* Unix time */
	int max_api_calls;
	int api_calls; /* asked for, write_result apart */
	int refused; /* of these, beyond what is told to SQL */
	int dropped; /* of these, under way when it ended and never looked at */
	TzSlice execution; /* raw members of the request; empty when absent */
	TzSlice execution_id;
	TzBuf logs; /* items of an array */
	int nlogs;
	int logs_dropped;
	TzBuf local; /* calls that were answered here, items of an array */
	int nlocal;
	TzBuf written; /* what write_result said last */
	bool has_written;
};

/* What waits for SQL to answer it. */
typedef enum TzHostCallState
{
	TZ_CALL_WAITING, /* to be put before SQL */
	TZ_CALL_JUDGED, /* in the transaction that is open */
	TZ_CALL_FETCHING /* its answer is the outcome of an effect */
} TzHostCallState;

struct TzHostCall
{
	TzHostCall *next;
	TzScriptJob *job;
	TzHostCallState state;
	uint32_t id;
	const char *name; /* static */
	TzBuf args; /* a JSON array */
	int64_t at_us; /* Unix time */
	int64_t not_before_us; /* somebody's open transaction held it up; 0 */
	char effect_id[64]; /* of FETCHING */
	TzBuf answer; /* of JUDGED: to be told after the commit */
	bool ok;
};

/* Starts nothing yet: the program is started for the first run. */
extern TzScripts *tz_scripts_new(const TzScriptConfig *config, TzMux *mux);
extern void tz_scripts_configure(TzScripts *scripts, const TzScriptConfig *config);
/* Jobs under way end through done first: those that had not begun as untouched. */
extern void tz_scripts_free(TzScripts *scripts);
/* How many programs could begin at once; 0 when scripts is NULL. */
extern int tz_scripts_room(const TzScripts *scripts);
/* Always ends in job->done, perhaps before it returns. One that has no place waits for it here. */
extern void tz_script_start(TzScripts *scripts, TzScriptJob *job);
/* It is killed, or does not begin; done still comes. */
extern void tz_script_cancel(TzScriptJob *job);
/* Of what the caller owns once done has run. */
extern void tz_script_wipe(TzScriptJob *job);
extern void tz_scripts_tick(TzScripts *scripts);
/* Milliseconds until tick must run, -1 for whenever. */
extern int tz_scripts_timeout(const TzScripts *scripts);

/* How many run. scripts may be NULL here and in the next five. */
extern int tz_scripts_running(const TzScripts *scripts);

/* Calls of running programs, oldest first; of one that has ended there are none. */
extern TzHostCall *tz_scripts_calls(const TzScripts *scripts);
/* How many wait for SQL; ready: those that need not wait any longer. */
extern int tz_scripts_waiting(const TzScripts *scripts);
extern int tz_scripts_ready(const TzScripts *scripts);
/* Does one of these ask for what becomes an effect? */
extern bool tz_scripts_wants_fetch(const TzScripts *scripts);
/* The call whose answer this effect is, or NULL. */
extern TzHostCall *tz_scripts_fetching(const TzScripts *scripts, const char *effect_id);
/* Tells the program and forgets the call. */
extern void tz_host_call_answer(TzHostCall *call, bool ok, TzSlice json);
extern void tz_host_call_fail(TzHostCall *call, const char *code, const char *message);
/* Before SQL again. */
extern void tz_host_call_back(TzHostCall *call, int64_t not_before_us);
extern void tz_host_call_judged(TzHostCall *call);
extern void tz_host_call_fetches(TzHostCall *call, TzSlice effect_id);
/* A request that a program waits for has ended: result is the document of its outcome. */
extern void tz_script_fetched(TzHostCall *call, bool done, TzSlice result);

#endif /* TZ_SCRIPT_H */
