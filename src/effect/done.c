/*-------------------------------------------------------------------------
 *
 * done.c
 *	  Settling effects: theazo_internal.effect_done and its small relatives.
 *
 * A whole turn is settled by one statement over arrays, so that a commit is
 * shared by all that arrived. Settling names the attempt: a late answer to an
 * older one changes nothing. When the statement throws, the items are settled
 * one by one, and the one that still throws is marked broken without running
 * the code of its area.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "effect/counted.h"
#include "effect/done.h"
#include "pg/errors.h"
#include "pg/spi.h"
#include "pg/txn.h"

#define SETTLE_TIMEOUT_MS 30000

static TzStmt done_stmt = {"SELECT theazo_internal.effect_done($1, $2, $3, $4, $5, $6, $7, $8, $9) AS n",
                           9,
                           {TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT4ARRAYOID, TEXTARRAYOID,
                            JSONBARRAYOID, BYTEAARRAYOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID}};

static TzStmt settle_stmt = {"SELECT theazo_internal.effect_settle($1, $2, $3, $4, $5, $6, $7, $8, $9) AS ok",
                             9,
                             {TEXTOID, TEXTOID, TEXTOID, INT4OID, TEXTOID, JSONBOID, BYTEAOID, TIMESTAMPTZOID,
                              TIMESTAMPTZOID}};

static TzStmt broken_stmt = {"SELECT theazo_internal.effect_broken($1, $2, $3, $4, $5)",
                             5,
                             {TEXTOID, TEXTOID, TEXTOID, INT4OID, TEXTOID}};

static TzStmt sent_stmt = {"SELECT theazo_internal.effect_sent($1, $2, $3)",
                           3,
                           {TEXTARRAYOID, TEXTARRAYOID, INT4ARRAYOID}};

static TzStmt cancels_stmt = {"SELECT id, attempt FROM theazo_internal.effect_cancels($1)", 1, {INT8OID}};

static TzStmt verify_stmt = {"SELECT ord FROM theazo_internal.effect_verify($1, $2, $3, $4)",
                             4,
                             {INT8OID, TEXTARRAYOID, TEXTARRAYOID, INT4ARRAYOID}};

static Datum
array_of(Datum *values, bool *nulls, int n, Oid type)
{
	int dims[1] = {n};
	int lbs[1] = {1};
	int16 len;
	bool byval;
	char align;

	get_typlenbyvalalign(type, &len, &byval, &align);
	return PointerGetDatum(construct_md_array(values, nulls, 1, dims, lbs, type, len, byval, align));
}

static Datum
text_array(const char *const *texts, int n)
{
	Datum *values = palloc(n * sizeof(Datum));

	for (int i = 0; i < n; i++)
		values[i] = CStringGetTextDatum(texts[i]);
	return array_of(values, NULL, n, TEXTOID);
}

static Datum
int_array(const int *ints, int n)
{
	Datum *values = palloc(n * sizeof(Datum));

	for (int i = 0; i < n; i++)
		values[i] = Int32GetDatum(ints[i]);
	return array_of(values, NULL, n, INT4OID);
}

/* A text member of every item. */
static Datum
text_column(const TzSettle *items, int n, size_t offset)
{
	Datum *values = palloc(n * sizeof(Datum));

	for (int i = 0; i < n; i++)
		values[i] = CStringGetTextDatum(*(const char *const *) ((const char *) &items[i] + offset));
	return array_of(values, NULL, n, TEXTOID);
}

/* A time of every item. */
static Datum
time_column(const TzSettle *items, int n, size_t offset)
{
	Datum *values = palloc(n * sizeof(Datum));

	for (int i = 0; i < n; i++)
		values[i] = TimestampTzGetDatum(*(const TimestampTz *) ((const char *) &items[i] + offset));
	return array_of(values, NULL, n, TIMESTAMPTZOID);
}

static Datum
attempts_array(const TzSettle *items, int n)
{
	Datum *values = palloc(n * sizeof(Datum));

	for (int i = 0; i < n; i++)
		values[i] = Int32GetDatum(items[i].attempt);
	return array_of(values, NULL, n, INT4OID);
}

static Datum
bytes_datum(TzSlice s)
{
	bytea *b = palloc(VARHDRSZ + s.len);

	SET_VARSIZE(b, VARHDRSZ + s.len);
	memcpy(VARDATA(b), s.data, s.len);
	return PointerGetDatum(b);
}

/* Null where there is none. */
static Datum
results_array(const TzSettle *items, int n)
{
	Datum *values = palloc0(n * sizeof(Datum));
	bool *nulls = palloc(n * sizeof(bool));

	for (int i = 0; i < n; i++)
	{
		nulls[i] = items[i].result == NULL;
		if (!nulls[i])
			values[i] = DirectFunctionCall1(jsonb_in, CStringGetDatum(items[i].result));
	}
	return array_of(values, nulls, n, JSONBOID);
}

static Datum
contents_array(const TzSettle *items, int n)
{
	Datum *values = palloc0(n * sizeof(Datum));
	bool *nulls = palloc(n * sizeof(bool));

	for (int i = 0; i < n; i++)
	{
		nulls[i] = items[i].content.data == NULL;
		if (!nulls[i])
			values[i] = bytes_datum(items[i].content);
	}
	return array_of(values, nulls, n, BYTEAOID);
}

/* Calls of a run's loop, and code with its requests: each means something for its run, so there is nothing to do for all at once. */
static bool
is_step(const TzSettle *item)
{
	static const char *const kinds[] = {"model.", "tool.", "script.", "http.fetch"};

	for (size_t i = 0; i < lengthof(kinds); i++)
	{
		if (strncmp(item->kind, kinds[i], strlen(kinds[i])) == 0)
			return true;
	}
	return false;
}

/* By agent, as everywhere, then as they came. */
static int
compare_agents(const void *left, const void *right)
{
	const TzSettle *a = *(const TzSettle *const *) left;
	const TzSettle *b = *(const TzSettle *const *) right;
	int order = strcmp(a->agent_id != NULL ? a->agent_id : "", b->agent_id != NULL ? b->agent_id : "");

	return order != 0 ? order : a < b ? -1 : a > b;
}

static int
settle_steps(const TzSettle *items, int n)
{
	const TzSettle **sorted = palloc(n * sizeof(TzSettle *));
	int counted = 0;

	for (int i = 0; i < n; i++)
		sorted[i] = &items[i];
	qsort(sorted, n, sizeof(TzSettle *), compare_agents);
	for (int i = 0; i < n; i++)
	{
		const TzSettle *item = sorted[i];
		Datum args[9] = {0};
		bool nulls[9] = {false};

		args[0] = CStringGetTextDatum(item->platform_id);
		args[1] = CStringGetTextDatum(item->root_id);
		args[2] = CStringGetTextDatum(item->id);
		args[3] = Int32GetDatum(item->attempt);
		args[4] = CStringGetTextDatum(item->verdict);
		nulls[5] = item->result == NULL;
		if (!nulls[5])
			args[5] = DirectFunctionCall1(jsonb_in, CStringGetDatum(item->result));
		nulls[6] = item->content.data == NULL;
		if (!nulls[6])
			args[6] = bytes_datum(item->content);
		args[7] = TimestampTzGetDatum(item->started);
		args[8] = TimestampTzGetDatum(item->finished);
		if (tz_spi_exec(&settle_stmt, args, nulls, 1) == 1 && tz_spi_bool(0, 1, false))
			counted++;
		SPI_freetuptable(SPI_tuptable);
	}
	return counted;
}

int
tz_effect_done(const TzSettle *items, int n)
{
	Datum args[9];
	int steps = 0;

	tz_counted_gather();
	for (int i = 0; i < n; i++)
		steps += is_step(&items[i]);
	if (steps == n)
		return settle_steps(items, n);
	args[0] = text_column(items, n, offsetof(TzSettle, platform_id));
	args[1] = text_column(items, n, offsetof(TzSettle, root_id));
	args[2] = text_column(items, n, offsetof(TzSettle, id));
	args[3] = attempts_array(items, n);
	args[4] = text_column(items, n, offsetof(TzSettle, verdict));
	args[5] = results_array(items, n);
	args[6] = contents_array(items, n);
	args[7] = time_column(items, n, offsetof(TzSettle, started));
	args[8] = time_column(items, n, offsetof(TzSettle, finished));
	if (tz_spi_exec(&done_stmt, args, NULL, 1) == 0)
		return 0;
	return tz_spi_int32(0, tz_spi_column("n"), 0);
}

bool
tz_error_is_passing(int sqlstate)
{
	switch (ERRCODE_TO_CATEGORY(sqlstate))
	{
		case MAKE_SQLSTATE('4', '0', '0', '0', '0'): /* deadlock, serialization */
		case MAKE_SQLSTATE('5', '3', '0', '0', '0'): /* memory, disk, connections */
		case MAKE_SQLSTATE('5', '7', '0', '0', '0'): /* cancelled, shutdown */
		case MAKE_SQLSTATE('5', '8', '0', '0', '0'): /* I/O */
			return true;
		default:
			/* the last five: the schema is not what this library expects, whatever the row */
			return sqlstate == ERRCODE_LOCK_NOT_AVAILABLE || sqlstate == ERRCODE_UNDEFINED_FUNCTION ||
			       sqlstate == ERRCODE_UNDEFINED_COLUMN || sqlstate == ERRCODE_UNDEFINED_TABLE ||
			       sqlstate == ERRCODE_INSUFFICIENT_PRIVILEGE || sqlstate == ERRCODE_TZ_VERSION_MISMATCH;
	}
}

static void
settle_broken(const TzSettle *item, const char *message)
{
	Datum values[5];

	tz_txn_begin("theazo: marking an effect as broken", SETTLE_TIMEOUT_MS);
	values[0] = CStringGetTextDatum(item->platform_id);
	values[1] = CStringGetTextDatum(item->root_id);
	values[2] = CStringGetTextDatum(item->id);
	values[3] = Int32GetDatum(item->attempt);
	values[4] = CStringGetTextDatum(message);
	tz_spi_exec(&broken_stmt, values, NULL, 0);
	tz_txn_commit();
}

typedef struct SettleRange
{
	const TzSettle *items;
	int n;
	int lock_ms;
} SettleRange;

static void
settle_work(void *arg)
{
	const SettleRange *range = arg;

	tz_effect_lock_wait(range->lock_ms);
	tz_effect_done(range->items, range->n);
	tz_counted_write();
}

/* True when they were settled, in one transaction; else *error (in the caller's context) says why not. */
static bool
settle_range(const TzSettle *items, int n, int lock_ms, ErrorData **error)
{
	SettleRange range = {items, n, lock_ms};

	return tz_txn_try("theazo: settling effects", SETTLE_TIMEOUT_MS, settle_work, &range, error);
}

/* By halves, so that one bad row among many costs a few transactions and not one for each of them. */
void
tz_effect_done_each(const TzSettle *items, int n, bool *locked, int *settled)
{
	int size = Max(n / 2, 1);

	*settled = 0;
	while (*settled < n)
	{
		ErrorData *error = NULL;
		const TzSettle *first = &items[*settled];

		size = Min(size, n - *settled);
		if (settle_range(first, size, TZ_DONE_LOCK_MS, &error))
		{
			*settled += size;
			size = Min(size * 2, n);
			continue;
		}
		if (tz_error_is_passing(error->sqlerrcode) && error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
			ReThrowError(error);
		if (size > 1)
		{
			FreeErrorData(error);
			size /= 2;
			continue;
		}
		if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
		{
			FreeErrorData(error);
			locked[(*settled)++] = true;
			continue;
		}
		ereport(WARNING, (errcode(error->sqlerrcode),
		                  errmsg("effect \"%s\" could not be settled and is marked broken", first->id),
		                  errdetail("%s", error->message != NULL ? error->message : "")));
		settle_broken(first, error->message != NULL ? error->message : "unknown error");
		FreeErrorData(error);
		(*settled)++;
	}
}

TzDoneNow
tz_effect_done_now(const TzSettle *item)
{
	ErrorData *error = NULL;
	TzDoneNow how;

	if (settle_range(item, 1, 1, &error))
		return TZ_DONE_SETTLED;
	how = error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ? TZ_DONE_LOCKED : TZ_DONE_THROWS;
	FreeErrorData(error);
	return how;
}

void
tz_effect_lock_wait(int ms)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", ms);
	(void) set_config_option("lock_timeout", text, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0,
	                         false);
}

void
tz_effect_sent(const char *const *root_ids, const char *const *ids, const int *attempts, int n)
{
	Datum values[3];

	values[0] = text_array(root_ids, n);
	values[1] = text_array(ids, n);
	values[2] = int_array(attempts, n);
	tz_spi_exec(&sent_stmt, values, NULL, 0);
}

int
tz_effect_cancels(int64 incarnation, TzCancelSink cb, void *arg)
{
	Datum values[1];
	uint64 n;
	int id_col;
	int attempt_col;

	values[0] = Int64GetDatum(incarnation);
	n = tz_spi_exec(&cancels_stmt, values, NULL, 0);
	if (n == 0)
		return 0;
	id_col = tz_spi_column("id");
	attempt_col = tz_spi_column("attempt");
	for (uint64 i = 0; i < n; i++)
		cb(arg, tz_spi_text(i, id_col), tz_spi_int32(i, attempt_col, 0));
	return (int) n;
}

void
tz_effect_verify(int64 incarnation, const char *const *root_ids, const char *const *ids, const int *attempts,
                 int n, bool *mine)
{
	Datum values[4];
	uint64 rows;
	int col;

	memset(mine, 0, n * sizeof(bool));
	values[0] = Int64GetDatum(incarnation);
	values[1] = text_array(root_ids, n);
	values[2] = text_array(ids, n);
	values[3] = int_array(attempts, n);
	rows = tz_spi_exec(&verify_stmt, values, NULL, 0);
	if (rows == 0)
		return;
	col = tz_spi_column("ord");
	for (uint64 i = 0; i < rows; i++)
	{
		int at = tz_spi_int32(i, col, 0);

		if (at >= 1 && at <= n)
			mine[at - 1] = true;
	}
}
