/*-------------------------------------------------------------------------
 *
 * script_internal.h
 *	  What the files of the adapter "script" share.
 *
 * Not for others: they include worker/script.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_SCRIPT_INTERNAL_H
#define TZ_SCRIPT_INTERNAL_H

#include "lib/jansson.h"

#include "worker/script.h"

#define TZ_SCRIPT_LOG_BYTES_MAX (1024 * 1024)
#define TZ_SCRIPT_LOCAL_BYTES_MAX (256 * 1024)

struct TzScripts
{
	char *path;
	int max;
	int spares;
	TzMux *mux;
	TzRunner *runner; /* NULL: not needed yet */
	int places; /* it was started with */
	TzRunnerInfo info; /* what the last one that ran said of itself */
	bool leaving;
	bool reconfigured; /* the program is to be started anew once nothing runs */
	int lost; /* programs in a row that the runner lost before they had begun */
	TzScriptJob *waiting; /* oldest first */
	TzScriptJob **waiting_end;
	TzScriptJob *running;
	int nrunning;
	TzHostCall *calls; /* oldest first */
	TzHostCall **calls_end;
	int ncalls; /* that wait for SQL */
};

extern int64_t tz_script_now_us(void);

/* ---- script_call.c: what programs ask for ---- */

extern void tz_script_called(void *arg, TzRunnerRun *run, uint32_t id, const char *name, TzSlice args);
/* Its program has ended: nobody waits for them any more. */
extern void tz_script_calls_drop(TzScriptJob *job);

/* ---- script_outcome.c: what is kept of a program ---- */

extern void tz_script_logged(void *arg, TzRunnerRun *run, const char *level, TzSlice text);
/* Answered here: what it was goes into the outcome. */
extern void tz_script_local(TzScriptJob *job, const char *name, TzSlice args);
/* False when out of memory. */
extern bool tz_script_document(TzScriptJob *job, const TzRunnerResult *res, const TzRunnerInfo *info);
/* Appends a Unix time as a JSON string: ISO 8601, UTC, milliseconds. */
extern void tz_script_append_time(TzBuf *out, int64_t us);
/* Appends text as a JSON string. */
extern void tz_script_append_text(TzBuf *out, TzSlice text);

#endif /* TZ_SCRIPT_INTERNAL_H */
