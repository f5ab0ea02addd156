/*-------------------------------------------------------------------------
 *
 * seal.c
 *	  One turn of sealing: what became visible since the last one.
 *
 * An event carries the id of its transaction. The cursor says which transactions
 * were over in the snapshot of the last turn; the events of those that are over
 * in this one and were not then are new. So a transaction that commits late is
 * never skipped, and one that stays open delays nobody. Everything of a turn is
 * read in one REPEATABLE READ transaction, which moves the cursor as well: two
 * turns at once cannot both commit.
 *
 * Transaction ids mean something in the cluster that gave them only. A cursor of
 * another instance, or none at all, begins anew, and a sweep looks for what has
 * no seal. An event that claims a transaction of this instance and came in by
 * another way (a restore) is met by exactly one of the two: by the cursor when
 * that transaction is still to be passed, else by the sweep.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

#include "audit/seal.h"
#include "lib/envelope.h"
#include "pg/export.h"
#include "pg/ids.h"
#include "pg/pausepoint.h"

#define FETCH_ROWS 500
#define CURSOR_STRIDE 1000000 /* transactions without events after which the cursor moves all the same */

/* Of this process: whether what it remembers of the ends of chains can be believed. */
static bool rolled_back = true;
static bool sealing = false; /* in this transaction */
static TransactionId last_writer = InvalidTransactionId;

static void seal_watch_transactions(void);
static void seal_xact_callback(XactEvent event, void *arg);
static void seal_subxact_callback(SubXactEvent event, SubTransactionId mine, SubTransactionId parent,
                                  void *arg);
static void snapshot_xids(TzXids *xids);
static bool cursor_read(TzXids *xids, TransactionId *writer, bool *stored);
static void cursor_write(const TzXids *xids, bool stored);
static void keys_retire(void);
static void xids_of_array(ArrayType *array, TzXids *xids);
static ArrayType *xids_array(const uint64 *xid, int n);
static int xid_compare(const void *a, const void *b);
static void seal_closed(TzSealTurn *turn);
static void seal_range(TzSealTurn *turn);
static bool closed_row(TzSealTurn *turn, const Datum *values, const bool *nulls);
static bool range_row(TzSealTurn *turn, const Datum *values, const bool *nulls);
static void cursor_advance(TzSealTurn *turn, uint64 border);

/*
 * theazo_internal.audit_seal(): seals what is new. Returns how many; below 0
 * when there is more and it wants to be called again.
 */
THEAZO_FUNCTION(theazo_audit_seal)
{
	TzSealTurn turn = {0};
	TransactionId writer = InvalidTransactionId;
	bool stored = false;
	uint64 from;
	uint64 sealed;

	(void) fcinfo;
	if (!IsolationUsesXactSnapshot())
		ereport(ERROR, errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
		        errmsg("events are sealed in a REPEATABLE READ transaction only"),
		        errhint("The keeper seals them by itself."));
	seal_watch_transactions();
	sealing = true;
	SPI_connect();
	snapshot_xids(&turn.now);
	/* no cursor is ahead of what was begun, unless somebody put it there to have events passed over */
	if (!cursor_read(&turn.cursor, &writer, &stored) || turn.cursor.next > turn.now.next)
	{
		cursor_write(&turn.now, stored);
		keys_retire();
		tz_sweep_note();
		SPI_finish();
		PG_RETURN_INT32(-1);
	}
	turn.sealer = tz_sealer_begin(!rolled_back && writer == last_writer);
	rolled_back = false;
	from = turn.cursor.next;
	TZ_PAUSE_POINT("seal-read");
	seal_closed(&turn);
	seal_range(&turn);
	tz_sealer_flush(turn.sealer);
	if (!turn.more)
		turn.more = tz_sweep_step(&turn);
	tz_sealer_flush(turn.sealer);
	sealed = tz_sealer_sealed(turn.sealer);
	TZ_PAUSE_POINT("seal-cursor");
	if (turn.claimed || turn.cursor.next - from > CURSOR_STRIDE)
		cursor_write(&turn.cursor, true);
	else
		last_writer = writer;
	if (tz_sealer_odd(turn.sealer) > 0)
		ereport(WARNING, errcode(ERRCODE_DATA_CORRUPTED),
		        errmsg(UINT64_FORMAT " events cannot be sealed", tz_sealer_odd(turn.sealer)),
		        errdetail("Their ids or formats are none of this version."),
		        errhint("Somebody wrote them past theazo. They stay without a seal."));
	SPI_finish();
	sealed = Min(sealed, PG_INT32_MAX - 1);
	PG_RETURN_INT32(turn.more ? -1 - (int32) sealed : (int32) sealed);
}

/* ---- what is new ------------------------------------------------------------ */

/* Transactions that were open when the cursor was stored and are over now. */
static void
seal_closed(TzSealTurn *turn)
{
	static TzStmt rows = {"SELECT " TZ_SEAL_COLUMNS " FROM theazo_data.event e"
	                      " WHERE e.xid = ANY ($1) AND e.instance = $2",
	                      2,
	                      {XID8ARRAYOID, TEXTOID}};
	uint64 *closed = palloc(sizeof(uint64) * (turn->cursor.nopen + 1));
	Datum args[2];
	int n = 0;

	for (int i = 0; i < turn->cursor.nopen; i++)
	{
		if (tz_xid_over(&turn->now, turn->cursor.open[i]))
			closed[n++] = turn->cursor.open[i];
	}
	if (n == 0)
		return;
	args[0] = PointerGetDatum(xids_array(closed, n));
	args[1] = CStringGetTextDatum(tz_instance());
	tz_seal_scan(turn, &rows, args, closed_row);
}

static bool
closed_row(TzSealTurn *turn, const Datum *values, const bool *nulls)
{
	tz_seal_claim(turn);
	(void) tz_sealer_add(turn->sealer, values, nulls);
	turn->events++;
	return true;
}

/* Transactions that began since. Ends at the border between two of them when there are many. */
static void
seal_range(TzSealTurn *turn)
{
	static TzStmt rows = {"SELECT " TZ_SEAL_COLUMNS " FROM theazo_data.event e"
	                      " WHERE e.xid >= $1 AND e.xid < $2 AND e.instance = $3 ORDER BY e.xid",
	                      3,
	                      {XID8OID, XID8OID, TEXTOID}};
	Datum args[3];

	if (turn->cursor.next < turn->now.next)
	{
		args[0] = UInt64GetDatum(turn->cursor.next);
		args[1] = UInt64GetDatum(turn->now.next);
		args[2] = CStringGetTextDatum(tz_instance());
		tz_seal_scan(turn, &rows, args, range_row);
	}
	cursor_advance(turn, turn->more ? turn->cursor.next : Max(turn->cursor.next, turn->now.next));
}

static bool
range_row(TzSealTurn *turn, const Datum *values, const bool *nulls)
{
	static uint64 last = 0;
	uint64 xid = U64FromFullTransactionId(DatumGetFullTransactionId(values[TZ_ENTRY_XID]));

	if (turn->events >= TZ_SEAL_TURN_EVENTS && xid != last)
	{
		turn->cursor.next = xid;
		turn->more = true;
		return false;
	}
	last = xid;
	/* visible, though the transaction it names is open: somebody else wrote it */
	if (!tz_xid_over(&turn->now, xid))
		return true;
	return closed_row(turn, values, nulls);
}

/* Everything over in the snapshot and below the border is sealed. */
static void
cursor_advance(TzSealTurn *turn, uint64 border)
{
	TzXids *cursor = &turn->cursor;

	cursor->next = border;
	cursor->nopen = 0;
	cursor->open = palloc(sizeof(uint64) * (turn->now.nopen + 1));
	for (int i = 0; i < turn->now.nopen && turn->now.open[i] < border; i++)
		cursor->open[cursor->nopen++] = turn->now.open[i];
}

void
tz_seal_scan(TzSealTurn *turn, TzStmt *stmt, const Datum *args, TzSealRow row)
{
	Portal portal = tz_spi_open(stmt, args);
	Datum values[TZ_ENTRY_FIELDS + 1];
	bool nulls[TZ_ENTRY_FIELDS + 1];
	bool go_on = true;

	while (go_on)
	{
		SPITupleTable *rows;
		uint64 n;

		SPI_cursor_fetch(portal, true, FETCH_ROWS);
		rows = SPI_tuptable;
		n = SPI_processed;
		for (uint64 i = 0; i < n && go_on; i++)
		{
			heap_deform_tuple(rows->vals[i], rows->tupdesc, values, nulls);
			go_on = row(turn, values, nulls);
		}
		SPI_freetuptable(rows);
		CHECK_FOR_INTERRUPTS();
		if (n < FETCH_ROWS)
			break;
	}
	SPI_cursor_close(portal);
}

/* ---- the cursor --------------------------------------------------------------- */

bool
tz_xid_over(const TzXids *xids, uint64 xid)
{
	return xid < xids->next && bsearch(&xid, xids->open, xids->nopen, sizeof(uint64), xid_compare) == NULL;
}

/* In REPEATABLE READ what another turn has changed since our snapshot is an error, 40001. */
void
tz_seal_claim(TzSealTurn *turn)
{
	static TzStmt claim = {
		"SELECT FROM theazo_data.audit_cursor c WHERE c.platform_id = '" TZ_OPERATOR_PLATFORM
		"' FOR UPDATE NOWAIT",
		0,
		{0}};

	if (turn->claimed)
		return;
	(void) tz_spi_exec(&claim, NULL, NULL, 0);
	turn->claimed = true;
}

/* False: there is none, or it is of another instance. */
static bool
cursor_read(TzXids *xids, TransactionId *writer, bool *stored)
{
	static TzStmt get = {"SELECT c.instance, c.next_xid, c.open_xids, c.xmin FROM theazo_data.audit_cursor c"
	                     " WHERE c.platform_id = '" TZ_OPERATOR_PLATFORM "'",
	                     0,
	                     {0}};
	bool isnull;
	HeapTuple row;
	TupleDesc desc;

	*stored = tz_spi_exec(&get, NULL, NULL, 1) == 1;
	if (!*stored || strcmp(tz_spi_text(0, 1), tz_instance()) != 0)
		return false;
	row = SPI_tuptable->vals[0];
	desc = SPI_tuptable->tupdesc;
	xids->next = U64FromFullTransactionId(DatumGetFullTransactionId(SPI_getbinval(row, desc, 2, &isnull)));
	xids_of_array(DatumGetArrayTypeP(SPI_getbinval(row, desc, 3, &isnull)), xids);
	*writer = DatumGetTransactionId(SPI_getbinval(row, desc, 4, &isnull));
	return true;
}

static void
cursor_write(const TzXids *xids, bool stored)
{
	static TzStmt add = {"INSERT INTO theazo_data.audit_cursor (platform_id, instance, next_xid, open_xids)"
	                     " VALUES ('" TZ_OPERATOR_PLATFORM "', $1, $2, $3)",
	                     3,
	                     {TEXTOID, XID8OID, XID8ARRAYOID}};
	static TzStmt set = {"UPDATE theazo_data.audit_cursor c SET instance = $1, next_xid = $2, open_xids = $3"
	                     " WHERE c.platform_id = '" TZ_OPERATOR_PLATFORM "'",
	                     3,
	                     {TEXTOID, XID8OID, XID8ARRAYOID}};
	Datum args[3];

	args[0] = CStringGetTextDatum(tz_instance());
	args[1] = UInt64GetDatum(xids->next);
	args[2] = PointerGetDatum(xids_array(xids->open, xids->nopen));
	if (tz_spi_exec(stored ? &set : &add, args, NULL, 0) != 1)
		ereport(ERROR, errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
		        errmsg("another turn of sealing came between"), errhint("Try again."));
	last_writer = GetCurrentTransactionId();
}

/*
 * A copy of the database goes on by itself, and so may the one it was copied
 * from: what each signs from here on is told apart by its key.
 */
static void
keys_retire(void)
{
	static TzStmt retire = {"UPDATE theazo_data.audit_key k SET retired_at = pg_catalog.clock_timestamp()"
	                        " WHERE k.platform_id = '" TZ_OPERATOR_PLATFORM "' AND k.retired_at IS NULL",
	                        0,
	                        {0}};

	(void) tz_spi_exec(&retire, NULL, NULL, 0);
}

/* Top-level transactions only: an event carries the id of its top-level one. */
static void
snapshot_xids(TzXids *xids)
{
	Snapshot snapshot = GetActiveSnapshot();
	FullTransactionId next = ReadNextFullTransactionId();
	uint32 epoch = EpochFromFullTransactionId(next);
	TransactionId next_xid = XidFromFullTransactionId(next);

#define FULL(xid) \
	U64FromFullTransactionId(FullTransactionIdFromEpochAndXid((xid) > next_xid ? epoch - 1 : epoch, (xid)))
	xids->next = FULL(snapshot->xmax);
	xids->nopen = (int) snapshot->xcnt;
	xids->open = palloc(sizeof(uint64) * (snapshot->xcnt + 1));
	for (uint32 i = 0; i < snapshot->xcnt; i++)
		xids->open[i] = FULL(snapshot->xip[i]);
#undef FULL
	qsort(xids->open, xids->nopen, sizeof(uint64), xid_compare);
}

static void
xids_of_array(ArrayType *array, TzXids *xids)
{
	Datum *items;
	int n;

	deconstruct_array(array, XID8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &items, NULL, &n);
	xids->nopen = n;
	xids->open = palloc(sizeof(uint64) * (n + 1));
	for (int i = 0; i < n; i++)
		xids->open[i] = U64FromFullTransactionId(DatumGetFullTransactionId(items[i]));
	qsort(xids->open, n, sizeof(uint64), xid_compare);
}

static ArrayType *
xids_array(const uint64 *xid, int n)
{
	Datum *items = palloc(sizeof(Datum) * (n + 1));

	for (int i = 0; i < n; i++)
		items[i] = UInt64GetDatum(xid[i]);
	return construct_array(items, n, XID8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE);
}

static int
xid_compare(const void *a, const void *b)
{
	uint64 x = *(const uint64 *) a;
	uint64 y = *(const uint64 *) b;

	return x < y ? -1 : x > y;
}

/* ---- what was rolled back ------------------------------------------------------- */

static void
seal_watch_transactions(void)
{
	static bool watching = false;

	if (watching)
		return;
	RegisterXactCallback(seal_xact_callback, NULL);
	RegisterSubXactCallback(seal_subxact_callback, NULL);
	watching = true;
}

static void
seal_xact_callback(XactEvent event, void *arg)
{
	(void) arg;
	if (event == XACT_EVENT_ABORT && sealing)
	{
		rolled_back = true;
		tz_sweep_forget();
	}
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE)
		sealing = false;
}

static void
seal_subxact_callback(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	(void) mine;
	(void) parent;
	(void) arg;
	if (event == SUBXACT_EVENT_ABORT_SUB && sealing)
	{
		rolled_back = true;
		tz_sweep_forget();
	}
}
