/*-------------------------------------------------------------------------
 *
 * gateway.c
 *	  The worker that serves the REST face of a database.
 *
 * One thread, one event loop: the HTTP library's epoll descriptor hangs in the
 * worker's wait. What arrives is collected while the library runs, and carried
 * out in turns of SQL: requests that came together may share a transaction and
 * its commit. Nobody waits in this thread: a request that waits for a run, and a
 * stream without news, are connections set aside.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/guc.h"

#include "auth/identity.h"
#include "call/enter.h"
#include "gateway/gateway.h"
#include "gateway/listen.h"
#include "gateway/sse.h"
#include "gateway/stats.h"
#include "pg/export.h"
#include "pg/guc.h"
#include "pg/spi.h"
#include "pg/txn.h"
#include "pg/worker.h"

#define START_TIMEOUT_MS 30000
#define LEAVE_MS 500 /* for answers that are on their way when the worker must go */
#define IDLE_TURN_MS 1000 /* connections are looked at this often */
#define ROUTES_MS 500 /* between looks at the routes because of paths that are not known */
#define QUIET_TURN_MS 60000 /* nobody is connected */

PGDLLEXPORT void theazo_gateway_main(Datum arg);

static TzGateway gateway;

static void gateway_init(void *arg);
static void gateway_pump(void *arg, int why);
static void look_at_routes(TzGateway *g);
static int gateway_turn(void *arg, int why);
static int soonest(int a, int b);
static int gateway_deadline(void *arg);
static void gateway_leave(void *arg, bool sql);
static void refuse_arrived(TzGateway *g, const char *why);
static int connections(const TzGateway *g);

void
theazo_gateway_main(Datum arg)
{
	static const TzWorkerOps ops = {
		.init = gateway_init,
		.pump = gateway_pump,
		.turn = gateway_turn,
		.deadline = gateway_deadline,
		.leave = gateway_leave,
		.arg = &gateway,
	};

	(void) arg;
	tz_worker_main(TZ_WORKER_GATEWAY, &ops);
}

/* Routes first: who connects finds all of them. */
static void
gateway_init(void *arg)
{
	TzGateway *g = arg;
	int entry;

	dlist_init(&g->arrived);
	dlist_init(&g->waiting);
	dlist_init(&g->streams);
	dlist_init(&g->connections);
	tz_gateway_stats_attach(tz_worker_slot());
	tz_identity_never_by_role();
	tz_enter_counts(true);
	tz_worker_fds();
	tz_worker_reserve_fds(tz_guc_gateway_connections + 16);
	tz_txn_role("theazo_gateway");
	tz_txn_begin("theazo gateway: start", START_TIMEOUT_MS);
	entry = tz_listen_entry(get_database_name(MyDatabaseId));
	tz_routes_load();
	tz_txn_commit();
	if (tz_listen_trouble(entry) != NULL)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		                errmsg("theazo gateway does not listen: %s", tz_listen_trouble(entry))));
	g->daemon = tz_request_listen(g, tz_listen_fd(entry));
	if (g->daemon == NULL)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not start the HTTP library")));
	g->ready = true;
	tz_worker_watch(MHD_get_daemon_info(g->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd);
}

void
tz_gateway_pump(TzGateway *g)
{
	(void) MHD_run(g->daemon);
}

void
tz_gateway_watch(TzGateway *g)
{
	static uint64 ended = 0;
	static uint64 moved = 0;

	if (g->ended != ended || g->moved != moved)
		tz_worker_watch_runs(g->ended, g->moved);
	ended = g->ended;
	moved = g->moved;
}

/* Also while SQL rests after an error, or the extension is of another version: nobody is left without an answer. */
static void
gateway_pump(void *arg, int why)
{
	TzGateway *g = arg;

	(void) why;
	tz_gateway_pump(g);
	if (g->narrived > 0 && tz_worker_rests_until() > GetCurrentTimestamp())
	{
		g->ready = false;
		refuse_arrived(g, "the database does not answer");
		tz_gateway_pump(g);
	}
}

/* What is not known may be new. Where nobody asks for such, each request's transaction looks by itself. */
static void
look_at_routes(TzGateway *g)
{
	static TimestampTz not_before = 0;
	TimestampTz now = GetCurrentTimestamp();

	if (!g->missed || now < not_before)
		return;
	g->missed = false;
	not_before = TimestampTzPlusMilliseconds(now, ROUTES_MS);
	tz_txn_begin("theazo gateway: routes", START_TIMEOUT_MS);
	tz_routes_load();
	tz_txn_commit();
}

static int
gateway_turn(void *arg, int why)
{
	TzGateway *g = arg;
	bool more;
	int next_ms;

	(void) why;
	look_at_routes(g);
	more = tz_calls(g);
	next_ms = soonest(tz_waits(g), tz_push_turn(g));
	tz_gateway_pump(g);
	g->ready = true;
	tz_conn_sweep(g);
	tz_worker_inflight(connections(g));
	tz_gateway_gauge(connections(g), g->nwaiting, g->nstreams);
	if (more || g->narrived > 0 || g->hungry)
		return 0;
	if (connections(g) == 0)
		return QUIET_TURN_MS;
	return next_ms < 0 ? IDLE_TURN_MS : Min(next_ms, IDLE_TURN_MS);
}

/* Of two times until something has to be done; below 0: never. */
static int
soonest(int a, int b)
{
	if (a < 0 || b < 0)
		return Max(a, b);
	return Min(a, b);
}

static int
gateway_deadline(void *arg)
{
	TzGateway *g = arg;
	MHD_UNSIGNED_LONG_LONG ms;

	if (g->narrived > 0 || g->hungry)
		return 0;
	if (MHD_get_timeout(g->daemon, &ms) != MHD_YES)
		return -1;
	return (int) Min(ms, 60000);
}

static int
connections(const TzGateway *g)
{
	return (int) MHD_get_daemon_info(g->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)->num_connections;
}

/* New connections go to the other workers; what is here gets its answer. */
static void
gateway_leave(void *arg, bool sql)
{
	TzGateway *g = arg;
	TimestampTz give_up = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LEAVE_MS);

	if (g->daemon == NULL)
		return;
	g->draining = true;
	(void) MHD_quiesce_daemon(g->daemon);
	tz_gateway_pump(g);
	if (sql)
		(void) tz_calls(g);
	refuse_arrived(g, "this worker is about to leave");
	tz_waits_leave(g);
	tz_push_leave(g);
	for (;;)
	{
		tz_gateway_pump(g);
		/* too late to begin anything */
		refuse_arrived(g, "this worker is about to leave");
		if (connections(g) == 0 || GetCurrentTimestamp() >= give_up)
			break;
		(void) tz_worker_wait(20);
	}
	MHD_stop_daemon(g->daemon);
	g->daemon = NULL;
}

static void
refuse_arrived(TzGateway *g, const char *why)
{
	while (!dlist_is_empty(&g->arrived))
	{
		TzRequest *r = dlist_container(TzRequest, node, dlist_pop_head_node(&g->arrived));

		g->narrived--;
		tz_reply_error(r, 503, "internal_error", why, NULL);
		tz_reply_header(&r->reply, "Retry-After", "1");
		r->reply.last = true;
		tz_request_resume(r);
	}
}
