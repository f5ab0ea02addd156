/*-------------------------------------------------------------------------
 *
 * counted.c
 *	  How many executions of an agent have ended.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "effect/counted.h"
#include "lib/id.h"
#include "pg/convert.h"
#include "pg/export.h"
#include "pg/objects.h"
#include "pg/spi.h"

/* Executions of one agent that ended in one subtransaction. */
typedef struct Counted
{
	char platform[TZ_ID_MAX + 1];
	char agent[TZ_ID_MAX + 1];
	int64 n;
	TimestampTz last;
	SubTransactionId sub;
} Counted;

static Counted *counted = NULL; /* of the transaction */
static int ncounted = 0;
static int room = 0;
static bool gathering = false;

static void counted_end(XactEvent event, void *arg);
static void counted_end_sub(SubXactEvent event, SubTransactionId sub, SubTransactionId parent, void *arg);
static void counted_add(TzSlice platform, TzSlice agent, TimestampTz at);
static int counted_order(const void *left, const void *right);

void
tz_counted_gather(void)
{
	static bool registered = false;

	if (!registered)
	{
		RegisterXactCallback(counted_end, NULL);
		RegisterSubXactCallback(counted_end_sub, NULL);
		registered = true;
	}
	gathering = true;
}

void
tz_counted_write(void)
{
	static TzStmt stmt = {"SELECT theazo_internal.executions_counted($1, $2, $3, $4)",
	                      4,
	                      {TEXTOID, TEXTOID, INT8OID, TIMESTAMPTZOID},
	                      NULL};

	gathering = false;
	if (ncounted == 0)
		return;
	qsort(counted, ncounted, sizeof(Counted), counted_order);
	for (int i = 0; i < ncounted; i++)
	{
		Datum values[4] = {CStringGetTextDatum(counted[i].platform), CStringGetTextDatum(counted[i].agent),
		                   Int64GetDatum(counted[i].n), TimestampTzGetDatum(counted[i].last)};

		tz_spi_exec(&stmt, values, NULL, 0);
	}
	ncounted = 0;
}

/* theazo_internal.execution_counted(platform, agent, ended) */
THEAZO_FUNCTION(theazo_execution_counted)
{
	static TzStmt stmt = {"SELECT theazo_internal.executions_counted($1, $2, 1, $3)",
	                      3,
	                      {TEXTOID, TEXTOID, TIMESTAMPTZOID},
	                      NULL};
	Datum values[3] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1), PG_GETARG_DATUM(2)};

	if (gathering)
	{
		counted_add(tz_datum_slice(values[0]), tz_datum_slice(values[1]), DatumGetTimestampTz(values[2]));
		PG_RETURN_VOID();
	}
	SPI_connect();
	tz_spi_exec(&stmt, values, NULL, 0);
	SPI_finish();
	PG_RETURN_VOID();
}

static void
counted_add(TzSlice platform, TzSlice agent, TimestampTz at)
{
	SubTransactionId sub = GetCurrentSubTransactionId();
	Counted *c;

	for (int i = ncounted - 1; i >= 0; i--)
	{
		c = &counted[i];
		if (c->sub == sub && tz_slice_eq_cstr(agent, c->agent) && tz_slice_eq_cstr(platform, c->platform))
		{
			c->n++;
			c->last = Max(c->last, at);
			return;
		}
	}
	if (platform.len > TZ_ID_MAX || agent.len > TZ_ID_MAX)
		elog(ERROR, "an id is too long");
	if (ncounted == room)
	{
		room = room == 0 ? 16 : room * 2;
		counted = counted == NULL ? MemoryContextAlloc(TopTransactionContext, sizeof(Counted) * room)
		                          : repalloc(counted, sizeof(Counted) * room);
	}
	c = &counted[ncounted++];
	memset(c, 0, sizeof(*c));
	memcpy(c->platform, platform.data, platform.len);
	memcpy(c->agent, agent.data, agent.len);
	c->n = 1;
	c->last = at;
	c->sub = sub;
}

static int
counted_order(const void *left, const void *right)
{
	const Counted *a = left;
	const Counted *b = right;
	int order = strcmp(a->agent, b->agent);

	return order != 0 ? order : strcmp(a->platform, b->platform);
}

static void
counted_end(XactEvent event, void *arg)
{
	(void) arg;
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	/* its memory goes with the transaction's */
	counted = NULL;
	ncounted = room = 0;
	gathering = false;
}

/* What ended in a subtransaction that is undone has not ended. Those below it have later numbers. */
static void
counted_end_sub(SubXactEvent event, SubTransactionId sub, SubTransactionId parent, void *arg)
{
	int kept = 0;

	(void) parent;
	(void) arg;
	if (event != SUBXACT_EVENT_ABORT_SUB)
		return;
	for (int i = 0; i < ncounted; i++)
	{
		if (counted[i].sub < sub)
			counted[kept++] = counted[i];
	}
	ncounted = kept;
}
