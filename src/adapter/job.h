/*-------------------------------------------------------------------------
 *
 * job.h
 *	  A command in a sandbox that outlives the call that starts it.
 *
 * For providers whose exec is one question and one answer: the command runs on its
 * own and leaves what it prints in files, calls look at them. A job is named by its
 * effect, so starting it twice runs it once.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_ADAPTER_JOB_H
#define TZ_ADAPTER_JOB_H

#include "adapter/shell.h"

#define TZ_JOB_OUTPUT_MAX (1024 * 1024)
#define TZ_JOB_PIECE_MAX (64 * 1024) /* of what a command prints, from its beginning, shown while it runs */

/* One look at a job. */
typedef struct TzJobLook
{
	const char *id; /* letters, digits, _ and - */
	int timeout_ms; /* of the command */
	int wait_ms; /* how long the look waits for its end */
	bool early; /* it ends with the first new output, too */
	int64_t out_seen; /* printed before: only more is new */
	int64_t err_seen;
	int64_t max_output; /* of a stream, kept at the end */
} TzJobLook;

typedef enum TzJobState
{
	TZ_JOB_UNREADABLE = 1, /* the answer is none of the script's */
	TZ_JOB_RUNNING,
	TZ_JOB_DONE,
	TZ_JOB_NONE, /* never started here */
	TZ_JOB_CLEARED, /* it has ended, and its output was thrown away since */
	TZ_JOB_LOST /* its processes are gone without an end */
} TzJobState;

/* Owned by the caller: init before, free after. */
typedef struct TzJobReport
{
	TzJobState state;
	int exit_code;
	int64_t elapsed_s;
	int64_t out_size; /* printed so far */
	int64_t err_size;
	TzBuf out; /* from the beginning, less of it while it runs */
	TzBuf err;
} TzJobReport;

/*
 * Appends a script for a POSIX shell's standard input (bash, dash, zsh and busybox do):
 * starts the job unless it was started before, then looks. code NULL: looks only.
 */
extern TzStatus tz_job_script(const TzJobLook *look, const TzShellCode *code, TzBuf *out, TzErr *err);

/*
 * Appends a script for the time before a pause: throws away what jobs that have ended have
 * printed, and ends processes that were given secrets, wherever they run.
 */
extern void tz_job_clear_script(TzBuf *out);

/* Appends a script that ends a job with all it has started; one that comes to be started later is not. */
extern TzStatus tz_job_stop_script(const char *id, TzBuf *out, TzErr *err);

/* A script of stop or clear has run to its end. */
extern bool tz_job_stopped(TzSlice text);

extern void tz_job_report_init(TzJobReport *report);
extern void tz_job_report_free(TzJobReport *report);
/* Reads what a script printed. False: no memory, or nothing of the script's in it. */
extern bool tz_job_read(TzSlice text, const char *id, TzJobReport *report);

/* How long the next look may wait, by how many there were; small steps only when somebody follows. */
extern int tz_job_wait_ms(int looks, bool followed);

/* The result document of exec: stdout, stderr, exit_code, truncated, timed_out. */
extern json_t *tz_job_result(const TzJobReport *report, int timeout_ms, int64_t max_output);

/* Sees what a job has printed so far; on_delta may be NULL. */
typedef struct TzJobFollower
{
	TzDeltaFn on_delta;
	void *arg;
} TzJobFollower;

extern void tz_job_tell(const TzJobFollower *to, const TzJobReport *report);

/* job_follow.c: the streams of adapters whose commands are jobs; stream_end is the adapter's own. */
extern TzStream *tz_job_stream_new(const TzEffect *effect, const TzEndpoint *to, TzDeltaFn on_delta,
                                   void *arg);
extern bool tz_job_stream_wants(const TzEffect *effect, const TzHttpResponse *head);
extern TzStatus tz_job_stream_feed(TzStream *stream, TzSlice bytes, TzErr *err);
extern bool tz_job_stream_whole(const TzStream *stream);
extern void tz_job_stream_free(TzStream *stream);
extern const TzJobFollower *tz_job_stream_to(const TzStream *stream);

/* text as a JSON string, quotes included; text must be UTF-8. For bodies that are wiped. */
extern void tz_job_json_string(TzSlice text, TzBuf *out);

#endif /* TZ_ADAPTER_JOB_H */
