/*-------------------------------------------------------------------------
 *
 * wait.c
 *	  Requests that wait for a run: connections set aside until a commit ends it.
 *
 * The run was begun and committed by the request's first operation. The worker
 * says in shared memory which buckets of runs it cares for; a commit that ends a
 * run of one sets its latch. Runs share buckets, and a wake-up may be lost with a
 * prepared transaction, so the rows decide, and they are looked at now and then
 * without being asked to.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"

#include "gateway/call.h"
#include "gateway/gateway.h"
#include "pg/convert.h"
#include "pg/guc.h"
#include "pg/runwait.h"
#include "pg/spi.h"
#include "pg/txn.h"
#include "pg/wake.h"
#include "pg/worker.h"

#define LOOK_ANYWAY_MS 2000
#define LOOK_MAX 1000 /* runs looked at in one statement */

static TimestampTz look_at = 0; /* at all of them */

static void watch(TzGateway *g);
static void answer_running(TzRequest *r);
static void leave_list(TzRequest *r);

/* Its first operation has committed. */
void
tz_wait_begin(TzRequest *r)
{
	TzGateway *g = r->gateway;

	r->state = TZ_REQUEST_WAITING;
	r->bucket = tz_wake_run_bucket(r->run, strlen(r->run));
	r->look = true;
	r->until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), tz_guc_gateway_max_wait_ms);
	dlist_push_tail(&g->waiting, &r->node);
	g->nwaiting++;
	watch(g);
}

static void
watch(TzGateway *g)
{
	dlist_iter iter;

	g->ended = 0;
	dlist_foreach (iter, &g->waiting)
		g->ended |= UINT64CONST(1) << dlist_container(TzRequest, node, iter.cur)->bucket;
	tz_gateway_watch(g);
}

/* Marks those whose bucket has moved, or all of them when their time has come; false when there are none. */
static bool
mark(TzGateway *g, TimestampTz now)
{
	bool all = now >= look_at;
	bool any = false;
	dlist_iter iter;

	dlist_foreach (iter, &g->waiting)
	{
		TzRequest *r = dlist_container(TzRequest, node, iter.cur);
		uint32 ended = tz_run_ended(r->bucket);

		if (all || ended != r->seen || now >= r->until)
			r->look = true;
		r->seen = ended;
		any = any || r->look;
	}
	if (all)
		look_at = TimestampTzPlusMilliseconds(now, LOOK_ANYWAY_MS);
	return any;
}

/* Asks the rows which of the marked runs have ended, and clears the marks of the others. */
static int
ended_runs(TzGateway *g, TzRequest **ended)
{
	static TzStmt stmt = {"SELECT e.at FROM theazo_internal.gateway_runs_ended($1, $2) e (at)",
	                      2,
	                      {TEXTARRAYOID, TEXTARRAYOID}};
	TzRequest *asked[LOOK_MAX];
	Datum platforms[LOOK_MAX];
	Datum runs[LOOK_MAX];
	Datum values[2];
	dlist_iter iter;
	int n = 0;
	int rows;

	dlist_foreach (iter, &g->waiting)
	{
		TzRequest *r = dlist_container(TzRequest, node, iter.cur);

		if (!r->look || n == LOOK_MAX)
			continue;
		platforms[n] = CStringGetTextDatum(r->identity.platform);
		runs[n] = CStringGetTextDatum(r->run);
		asked[n++] = r;
	}
	values[0] = PointerGetDatum(construct_array(platforms, n, TEXTOID, -1, false, TYPALIGN_INT));
	values[1] = PointerGetDatum(construct_array(runs, n, TEXTOID, -1, false, TYPALIGN_INT));
	rows = (int) tz_spi_exec(&stmt, values, NULL, 0);
	for (int i = 0; i < n; i++)
		asked[i]->look = false;
	for (int i = 0; i < rows; i++)
	{
		int at = tz_spi_int32(i, 1, 0);

		if (at >= 1 && at <= n)
			ended[i] = asked[at - 1];
		else
			elog(ERROR, "gateway_runs_ended() names place %d of %d", at, n);
	}
	return rows;
}

int
tz_waits(TzGateway *g)
{
	TimestampTz now = GetCurrentTimestamp();
	dlist_mutable_iter iter;

	if (g->nwaiting == 0)
		return -1;
	if (mark(g, now))
	{
		TzRequest **ended = palloc(sizeof(TzRequest *) * LOOK_MAX);
		int n;

		tz_txn_begin("theazo gateway: looking at runs", tz_guc_gateway_statement_timeout_ms);
		n = ended_runs(g, ended);
		tz_txn_commit();
		for (int i = 0; i < n; i++)
		{
			leave_list(ended[i]);
			tz_call_then(ended[i]);
			tz_request_resume(ended[i]);
		}
	}
	now = GetCurrentTimestamp();
	dlist_foreach_modify (iter, &g->waiting)
	{
		TzRequest *r = dlist_container(TzRequest, node, iter.cur);

		if (now < r->until)
			continue;
		leave_list(r);
		answer_running(r);
		tz_request_resume(r);
	}
	watch(g);
	return g->nwaiting == 0 ? -1 : LOOK_ANYWAY_MS;
}

static void
leave_list(TzRequest *r)
{
	dlist_delete(&r->node);
	r->gateway->nwaiting--;
}

/* The work goes on. No error: a client that repeats it would have it done twice. */
static void
answer_running(TzRequest *r)
{
	char text[256];

	snprintf(text, sizeof(text), "{\"status\":\"running\",\"runId\":\"%s\"}", r->run);
	tz_reply_json(&r->reply, 202, text, strlen(text));
}

void
tz_waits_leave(TzGateway *g)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify (iter, &g->waiting)
	{
		TzRequest *r = dlist_container(TzRequest, node, iter.cur);

		leave_list(r);
		answer_running(r);
		r->reply.last = true;
		tz_request_resume(r);
	}
}
