/*-------------------------------------------------------------------------
 *
 * follow.c
 *	  Reading live what a model says and a command prints: what theazo.run_follow() is made of.
 *
 * Whoever reads knows from rows which run it may see; nothing here checks that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "pg/compat.h"
#include "pg/convert.h"
#include "pg/errors.h"
#include "pg/export.h"
#include "pg/objects.h"
#include "pg/runwait.h"
#include "pg/shmem.h"
#include "pg/wake.h"
#include "stream/stream.h"

#define READ_MAX (64 * 1024) /* bytes a look brings */
#define RUN_MAX 64

/* What a reader has of the text it waits for. */
typedef struct Place
{
	char run[RUN_MAX];
	int step; /* 0: it waits for no text */
	int generation;
	int64 offset;
} Place;

static bool following = false;

static void
follow_end(void)
{
	if (!following)
		return;
	following = false;
	pg_atomic_fetch_sub_u32(&tz_shared->followers, 1);
	tz_run_wait_end();
}

static void
follow_exit(int code, Datum arg)
{
	(void) code;
	(void) arg;
	follow_end();
}

static void
follow_begin(void)
{
	static bool registered = false;

	if (!registered)
	{
		/* a FATAL exit runs no PG_FINALLY */
		before_shmem_exit(follow_exit, (Datum) 0);
		registered = true;
	}
	tz_run_wait_begin();
	following = true;
	pg_atomic_fetch_add_u32(&tz_shared->followers, 1);
}

static void
copy_run(text *arg, char *run)
{
	size_t len = VARSIZE_ANY_EXHDR(arg);

	tz_shmem_require();
	if (len >= RUN_MAX)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("run id is too long")));
	memcpy(run, VARDATA_ANY(arg), len);
	run[len] = '\0';
}

/* True when there is more of the text than the reader has, or another text. */
static bool
has_news(const Place *place)
{
	TzStreamView view;

	if (place->step == 0)
		return false;
	(void) tz_stream_read(MyDatabaseId, place->run, place->step, 0, 0, NULL, 0, &view);
	if (view.generation == 0 || view.end == 0)
		return false;
	return view.generation != place->generation || view.end > place->offset;
}

static bool
any_news(const Place *places, int n)
{
	for (int i = 0; i < n; i++)
		if (has_news(&places[i]))
			return true;
	return false;
}

/* Places of one run. */
static bool
follow_wait(const Place *places, int n, uint32 mark, long timeout_ms)
{
	static uint32 wait_event = 0;
	size_t len = strlen(places->run);
	ConditionVariable *bell = &tz_shared->bell[tz_wake_bell(places->run, len)];
	int bucket = tz_wake_run_bucket(places->run, len);
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), timeout_ms);
	bool news;

	if (wait_event == 0)
		wait_event = tz_wait_event_new("TheazoRunFollow");
	ConditionVariablePrepareToSleep(bell);
	for (;;)
	{
		long left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until);

		news = tz_run_generation(bucket) != mark || any_news(places, n);
		if (news || left <= 0)
			break;
		/* an error in here is followed by an abort, which leaves the queue */
		(void) ConditionVariableTimedSleep(bell, left, wait_event);
	}
	ConditionVariableCancelSleep();
	return news;
}

/* stream_generation(effect text, attempt integer) returns integer */
THEAZO_FUNCTION(theazo_stream_generation)
{
	char *effect = text_to_cstring(PG_GETARG_TEXT_PP(0));

	PG_RETURN_INT32(tz_stream_generation(effect, PG_GETARG_INT32(1)));
}

/* stream_mark(run text) returns integer: taken before rows are looked at, given to stream_block */
THEAZO_FUNCTION(theazo_stream_mark)
{
	char run[RUN_MAX];

	copy_run(PG_GETARG_TEXT_PP(0), run);
	PG_RETURN_INT32((int32) tz_run_generation(tz_wake_run_bucket(run, strlen(run))));
}

static bool
block(const Place *places, int n, uint32 mark, int32 timeout_ms)
{
	volatile bool news = false;

	tz_run_wait_check(places->run);
	PG_TRY();
	{
		follow_begin();
		news = follow_wait(places, n, mark, Max(timeout_ms, 0));
	}
	PG_FINALLY();
	{
		follow_end();
	}
	PG_END_TRY();
	return news;
}

/*
 * stream_block(run text, mark integer, step integer, generation integer, position bigint,
 *				timeout_ms integer) returns boolean
 *
 * True: the run moved on since the mark, or there is more of its step's text than position.
 */
THEAZO_FUNCTION(theazo_stream_block)
{
	Place place;

	copy_run(PG_GETARG_TEXT_PP(0), place.run);
	place.step = PG_GETARG_INT32(2);
	place.generation = PG_GETARG_INT32(3);
	place.offset = PG_GETARG_INT64(4);
	PG_RETURN_BOOL(block(&place, 1, (uint32) PG_GETARG_INT32(1), PG_GETARG_INT32(5)));
}

/*
 * stream_block_output(run text, mark integer, step integer, generation integer, printed bigint,
 *					   errors bigint, timeout_ms integer) returns boolean
 *
 * The same for a command: more of what it printed, or of its errors.
 */
THEAZO_FUNCTION(theazo_stream_block_output)
{
	Place places[2];

	for (int i = 0; i < 2; i++)
	{
		copy_run(PG_GETARG_TEXT_PP(0), places[i].run);
		places[i].step = i == 0 ? PG_GETARG_INT32(2) : TZ_STREAM_ERRORS(PG_GETARG_INT32(2));
		places[i].generation = PG_GETARG_INT32(3);
		places[i].offset = PG_GETARG_INT64(4 + i);
	}
	PG_RETURN_BOOL(block(places, 2, (uint32) PG_GETARG_INT32(1), PG_GETARG_INT32(6)));
}

/*
 * stream_read(run text, step integer, generation integer, position bigint,
 *             OUT generation integer, OUT first bigint, OUT finish bigint, OUT content text)
 *
 * What there is of a live text, and its content from position on if it is that generation, as far
 * as whole characters go; at generation 0 from the beginning of whatever is there.
 */
THEAZO_FUNCTION(theazo_stream_read)
{
	char run[RUN_MAX];
	int step = PG_GETARG_INT32(1);
	int generation = PG_GETARG_INT32(2);
	int64 offset = generation == 0 ? 0 : PG_GETARG_INT64(3);
	char *buf = palloc(READ_MAX);
	TzStreamView view;
	TupleDesc desc;
	Datum values[4];
	bool nulls[4] = {false};
	size_t n;

	copy_run(PG_GETARG_TEXT_PP(0), run);
	desc = tz_result_desc(fcinfo);
	if (generation == 0)
	{
		(void) tz_stream_read(MyDatabaseId, run, step, 0, 0, NULL, 0, &view);
		generation = view.generation;
	}
	n = tz_stream_read(MyDatabaseId, run, step, generation, offset, buf, READ_MAX, &view);
	n = (size_t) pg_encoding_mbcliplen(PG_UTF8, buf, (int) n, (int) n);
	n = (size_t) pg_encoding_verifymbstr(PG_UTF8, buf, (int) n);
	values[0] = Int32GetDatum(view.generation);
	values[1] = Int64GetDatum(view.begin);
	values[2] = Int64GetDatum(offset + (int64) n);
	values[3] = CStringGetTextDatum(pg_any_to_server(pnstrdup(buf, n), (int) n, PG_UTF8));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}
