/*-------------------------------------------------------------------------
 *
 * call.c
 *	  Requests in SQL: who shares a transaction, and what an error takes back.
 *
 * Each request has a subtransaction of its own, so one that fails leaves the
 * others alone, and those that may share a transaction pay for one commit
 * together. No answer leaves before the commit. When that fails, or two requests
 * were in each other's way, each has a transaction to itself: nothing was done
 * until then, so it may be done again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/resowner.h"
#include "utils/timeout.h"

#include "gateway/call.h"
#include "gateway/sse.h"
#include "gateway/stats.h"
#include "pg/errors.h"
#include "pg/guc.h"
#include "pg/pausepoint.h"
#include "pg/txn.h"
#include "pg/worker.h"

#define SHARE_MAX 64 /* requests in one transaction */
#define SHARE_US 10000 /* nobody else is added after so long */
#define TURN_US 200000 /* then connections are looked at again in between */

typedef struct Batch
{
	int n;
	TzRequest *request[SHARE_MAX];
} Batch;

static void batch_fill(TzGateway *g, Batch *batch);
static bool may_share(TzRequest *r);
static void batch_run(TzGateway *g, Batch *batch);
static bool batch_try(TzGateway *g, Batch *batch, TzCallBody body);
static void request_failed(TzRequest *r);
static void settle(TzRequest *r);

bool
tz_calls(TzGateway *g)
{
	TimestampTz began = GetCurrentTimestamp();

	while (!dlist_is_empty(&g->arrived))
	{
		Batch batch;

		batch_fill(g, &batch);
		batch_run(g, &batch);
		/* answers leave, and what came meanwhile is collected */
		tz_gateway_pump(g);
		if (tz_worker_stopping() || GetCurrentTimestamp() - began > TURN_US)
			return g->narrived > 0;
	}
	return false;
}

/* The first that arrived, and with it those that may share, in their order. */
static void
batch_fill(TzGateway *g, Batch *batch)
{
	TzRequest *first = dlist_container(TzRequest, node, dlist_pop_head_node(&g->arrived));
	dlist_mutable_iter iter;

	batch->n = 0;
	batch->request[batch->n++] = first;
	if (may_share(first))
	{
		dlist_foreach_modify (iter, &g->arrived)
		{
			TzRequest *r = dlist_container(TzRequest, node, iter.cur);

			if (batch->n == SHARE_MAX)
				break;
			if (!may_share(r))
				continue;
			dlist_delete(&r->node);
			batch->request[batch->n++] = r;
		}
	}
	g->narrived -= batch->n;
}

/* What only reads holds no locks that matter. */
static bool
may_share(TzRequest *r)
{
	/* a key that is sent twice at once waits for the other's commit, which must not wait for it */
	if (r->alone || r->idempotency != NULL)
		return false;
	return (r->flags & TZ_ROUTE_SHARE) != 0 ||
	       (strcmp(r->method, "GET") == 0 && (r->flags & (TZ_ROUTE_WRITE | TZ_ROUTE_WAIT)) == 0);
}

static void
batch_run(TzGateway *g, Batch *batch)
{
	if (batch_try(g, batch, tz_operation_run))
	{
		for (int i = 0; i < batch->n; i++)
			if (!batch->request[i]->alone || batch->n == 1)
				settle(batch->request[i]);
	}
	else if (batch->n == 1)
	{
		request_failed(batch->request[0]);
		settle(batch->request[0]);
		return;
	}
	else
		for (int i = 0; i < batch->n; i++)
			batch->request[i]->alone = true;
	if (batch->n == 1)
		return;
	for (int i = 0; i < batch->n; i++)
	{
		Batch one = {1, {batch->request[i]}};

		if (!batch->request[i]->alone)
			continue;
		tz_reply_clear(&batch->request[i]->reply);
		batch_run(g, &one);
	}
}

/* One transaction for all of them. False: nothing of it has happened. */
static bool
batch_try(TzGateway *g, Batch *batch, TzCallBody body)
{
	volatile bool ok = false;
	MemoryContext context = CurrentMemoryContext;
	TimestampTz began = GetCurrentTimestamp();

	(void) g;
	PG_TRY();
	{
		tz_txn_begin("theazo gateway: requests", 0);
		tz_routes_load();
		for (int i = 0; i < batch->n; i++)
		{
			if (!tz_call_protected(batch->request[i], body) && batch->n > 1)
				batch->request[i]->alone = true;
		}
		TZ_PAUSE_POINT("gateway-before-commit");
		tz_txn_commit();
		ok = true;
		tz_gateway_count_turn(batch->n, GetCurrentTimestamp() - began);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		tz_worker_recover();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	return ok;
}

bool
tz_call_protected(TzRequest *r, TzCallBody body)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool answered = true;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		enable_timeout_after(STATEMENT_TIMEOUT, tz_guc_gateway_statement_timeout_ms);
		body(r);
		disable_timeout(STATEMENT_TIMEOUT, false);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		disable_timeout(STATEMENT_TIMEOUT, false);
		QueryCancelPending = false;
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		if ((error->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED ||
		     error->sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE) &&
		    !r->alone)
			answered = false;
		else
			tz_operation_failed(r, error);
		FreeErrorData(error);
	}
	PG_END_TRY();
	return answered;
}

/* Its transaction failed as a whole, and it was the only one in it. */
static void
request_failed(TzRequest *r)
{
	tz_reply_clear(&r->reply);
	tz_reply_error(r, 503, "internal_error", "the database could not carry out the request", NULL);
	tz_reply_header(&r->reply, "Retry-After", "1");
}

/* Committed: the answer leaves, or the request goes on waiting. */
static void
settle(TzRequest *r)
{
	if (r->reply.status == 0 && r->run != NULL)
		tz_wait_begin(r);
	else if (r->reply.status == 0 && r->stream != NULL)
		tz_push_open(r);
	else
	{
		if (r->reply.status == 0)
			request_failed(r);
		tz_request_resume(r);
	}
}

void
tz_call_then(TzRequest *r)
{
	Batch one = {1, {r}};

	r->alone = true;
	if (!batch_try(r->gateway, &one, tz_operation_then) || r->reply.status == 0)
		request_failed(r);
}
