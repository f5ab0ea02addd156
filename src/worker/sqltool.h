/*-------------------------------------------------------------------------
 *
 * sqltool.h
 *	  Functions of this database as tools: the dispatcher's side.
 *
 * Include after postgres.h. Nothing here throws, set-up aside.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_SQLTOOL_H
#define TZ_SQLTOOL_H

#include "adapter/adapter.h"
#include "utils/timestamp.h"

typedef struct TzSqlJob TzSqlJob;

typedef enum TzSqlEnd
{
	TZ_SQL_ENDED = 0, /* the verdict is in out */
	TZ_SQL_CANCELLED, /* as out says, because it was asked to */
	TZ_SQL_UNTOUCHED /* nothing happened: it may be begun anew */
} TzSqlEnd;

/*
 * One call. The caller fills the first part, keeps everything it points to until done
 * runs, and owns out (initialised).
 */
struct TzSqlJob
{
	const TzEffect *effect;
	int timeout_ms; /* of the function */
	TimestampTz give_up; /* it must have ended before; DT_NOEND for whenever */
	TzOutcome *out;
	const char *sqlstate; /* of a failure, else NULL */
	TzSqlEnd end;
	void (*done)(TzSqlJob *job);
	void *arg;

	/* of sqltool.c */
	TzSqlJob *next; /* of the queue */
	struct SqlChild *child;
	bool read_only;
	char code[6];
};

/* Once in a process, connected and with no transaction open. May throw. */
extern void tz_sqltool_init(void);
/* Always ends in job->done, perhaps before it returns. */
extern void tz_sqltool_start(TzSqlJob *job);
/* Its transaction is undone, unless it commits already; done still comes. */
extern void tz_sqltool_cancel(TzSqlJob *job);
/* Looks at the processes and begins what waits. */
extern void tz_sqltool_tick(void);
/* Milliseconds until tick must run, -1 for whenever. */
extern int tz_sqltool_timeout(void);
/* Ends every job and process. */
extern void tz_sqltool_leave(void);

#endif /* TZ_SQLTOOL_H */
