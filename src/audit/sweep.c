/*-------------------------------------------------------------------------
 *
 * sweep.c
 *	  Finds events that have no seal and that the cursor will not meet.
 *
 * A pass goes through all events by platform and id, some thousand a turn, and
 * beside them through the seals of that time. Where it is lies in this process
 * only: whoever takes its place begins a pass anew and finds what is sealed
 * sealed. The notes that were there when a pass began go when it has ended; what
 * was noted meanwhile is the next one's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/xid8.h"

#include "audit/seal.h"
#include "lib/envelope.h"
#include "pg/append.h"
#include "pg/convert.h"
#include "pg/ids.h"

#define STEP_EVENTS 20000
#define NOTES_MAX 1000 /* that one pass answers */
#define WINDOW_SEALS 500 /* rows of seals read at a time, more where they are dense */

typedef struct SweepPass
{
	bool running;
	int nnotes;
	char note[NOTES_MAX][TZ_ID_MAX + 1];
	char platform[TZ_ID_MAX + 1]; /* how far it is */
	char id[TZ_ID_MAX + 1];
} SweepPass;

/* Ids that are sealed, of one platform, complete up to a time. */
typedef struct SweepWindow
{
	char platform[TZ_ID_MAX + 1];
	HTAB *ids;
	int64 until_ms; /* ids of this millisecond and later are not complete */
} SweepWindow;

static SweepPass *pass = NULL;

/* Of the step. */
static SweepWindow window;
static uint64 step_events;

static bool pass_begin(void);
static void pass_end(void);
static bool sweep_row(TzSealTurn *turn, const Datum *values, const bool *nulls);
static bool sweep_is_sealed(const char *platform, const char *id);
static void window_read(const char *platform, const char *id, int64 id_ms);
static bool window_rows(const char *platform, const char *id, int limit, int64 *last_ms);

void
tz_sweep_note(void)
{
	static TzAppend notes = {"audit_sweep", 3, {"platform_id", "id", "xid"}, NULL};
	char id[TZ_ID_MAX + 1];
	bool nulls[3] = {false};
	Datum values[3];

	tz_id_new("asw", id);
	values[0] = CStringGetTextDatum(TZ_OPERATOR_PLATFORM);
	values[1] = CStringGetTextDatum(id);
	values[2] = FullTransactionIdGetDatum(GetTopFullTransactionId());
	tz_append(&notes, values, nulls);
}

void
tz_sweep_forget(void)
{
	if (pass != NULL)
		pass->running = false;
}

bool
tz_sweep_step(TzSealTurn *turn)
{
	static TzStmt rows = {"SELECT " TZ_SEAL_COLUMNS " FROM theazo_data.event e"
	                      " WHERE (e.platform_id, e.id) > ($1, $2) ORDER BY e.platform_id, e.id",
	                      2,
	                      {TEXTOID, TEXTOID}};
	Datum args[2];

	if (pass == NULL)
		pass = MemoryContextAllocZero(TopMemoryContext, sizeof(*pass));
	if (!pass->running && !pass_begin())
		return false;
	memset(&window, 0, sizeof(window));
	step_events = 0;
	args[0] = CStringGetTextDatum(pass->platform);
	args[1] = CStringGetTextDatum(pass->id);
	tz_seal_scan(turn, &rows, args, sweep_row);
	if (step_events < STEP_EVENTS)
	{
		tz_seal_claim(turn);
		pass_end();
	}
	/* the next step finds out whether there are other notes */
	return true;
}

static bool
pass_begin(void)
{
	static TzStmt notes = {
		"SELECT s.id FROM theazo_data.audit_sweep s WHERE s.platform_id = '" TZ_OPERATOR_PLATFORM
		"' ORDER BY s.id",
		0,
		{0}};
	uint64 n = tz_spi_exec(&notes, NULL, NULL, NOTES_MAX);

	for (uint64 i = 0; i < n; i++)
		strlcpy(pass->note[i], tz_spi_text(i, 1), sizeof(pass->note[i]));
	pass->nnotes = (int) n;
	pass->platform[0] = '\0';
	pass->id[0] = '\0';
	pass->running = n > 0;
	return pass->running;
}

static void
pass_end(void)
{
	static TzStmt drop = {"DELETE FROM theazo_data.audit_sweep s WHERE s.platform_id = '" TZ_OPERATOR_PLATFORM
	                      "' AND s.id = $1",
	                      1,
	                      {TEXTOID}};

	for (int i = 0; i < pass->nnotes; i++)
	{
		Datum args[1] = {CStringGetTextDatum(pass->note[i])};

		(void) tz_spi_exec(&drop, args, NULL, 0);
	}
	pass->running = false;
}

static bool
sweep_row(TzSealTurn *turn, const Datum *values, const bool *nulls)
{
	uint64 xid = U64FromFullTransactionId(DatumGetFullTransactionId(values[TZ_ENTRY_XID]));
	TzSlice platform = tz_datum_slice(values[TZ_ENTRY_PLATFORM]);
	TzSlice id = tz_datum_slice(values[TZ_ENTRY_ID]);
	TzSlice instance = tz_datum_slice(values[TZ_ENTRY_INSTANCE]);
	bool cursors = tz_slice_eq_cstr(instance, tz_instance()) && !tz_xid_over(&turn->cursor, xid);

	snprintf(pass->platform, sizeof(pass->platform), "%.*s", (int) platform.len, platform.data);
	snprintf(pass->id, sizeof(pass->id), "%.*s", (int) id.len, id.data);
	if (!cursors && !sweep_is_sealed(pass->platform, pass->id))
	{
		tz_seal_claim(turn);
		(void) tz_sealer_add(turn->sealer, values, nulls);
	}
	return ++step_events < STEP_EVENTS;
}

/* ---- which ids are sealed ------------------------------------------------------ */

static bool
sweep_is_sealed(const char *platform, const char *id)
{
	uint8_t bytes[TZ_ID_BYTES];
	int64_t ms;
	TzErr err;

	/* one that is no id of an event has no seal and gets none */
	if (strncmp(id, "evt_", 4) != 0 || tz_id_pack(tz_slice_cstr(id), bytes, &err) != TZ_OK ||
	    tz_id_time(tz_slice_cstr(id), &ms, &err) != TZ_OK)
		return false;
	if (window.ids == NULL || strcmp(window.platform, platform) != 0 || ms >= window.until_ms)
		window_read(platform, id, ms);
	return hash_search(window.ids, bytes, HASH_FIND, NULL) != NULL;
}

/* Rows from that id on, until the time of the id is complete: a row spans less than ten seconds. */
static void
window_read(const char *platform, const char *id, int64 id_ms)
{
	int64 last_ms = 0;

	for (int limit = WINDOW_SEALS;; limit *= 2)
	{
		HASHCTL ctl;

		if (window.ids != NULL)
			hash_destroy(window.ids);
		memset(&ctl, 0, sizeof(ctl));
		ctl.keysize = TZ_ID_BYTES;
		ctl.entrysize = TZ_ID_BYTES;
		ctl.hcxt = CurrentMemoryContext;
		window.ids = hash_create("theazo sealed ids", 4096, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
		if (window_rows(platform, id, limit, &last_ms))
		{
			window.until_ms = PG_INT64_MAX;
			break;
		}
		window.until_ms = last_ms - TZ_SEAL_SPAN_MS;
		if (window.until_ms > id_ms)
			break;
		if (limit > PG_INT32_MAX / 2)
			elog(ERROR, "too many seals in ten seconds");
	}
	strlcpy(window.platform, platform, sizeof(window.platform));
}

/* True when these were all of the platform; else last_ms is the time of the last one. */
static bool
window_rows(const char *platform, const char *id, int limit, int64 *last_ms)
{
	static TzStmt seals = {"SELECT s.ids, s.max_id FROM theazo_data.seal s"
	                       " WHERE s.platform_id = $1 AND s.max_id >= $2 ORDER BY s.max_id LIMIT $3",
	                       3,
	                       {TEXTOID, TEXTOID, INT8OID}};
	Datum args[3] = {CStringGetTextDatum(platform), CStringGetTextDatum(id), Int64GetDatum(limit)};
	uint64 n = tz_spi_exec(&seals, args, NULL, 0);
	TzErr err;

	for (uint64 i = 0; i < n; i++)
	{
		TzSlice ids = tz_spi_bytea(i, 1);

		for (size_t at = 0; at + TZ_ID_BYTES <= ids.len; at += TZ_ID_BYTES)
			(void) hash_search(window.ids, ids.data + at, HASH_ENTER, NULL);
	}
	if (n == (uint64) limit)
	{
		int64_t ms;

		tz_check(tz_id_time(tz_slice_cstr(tz_spi_text(n - 1, 2)), &ms, &err), &err);
		*last_ms = ms;
	}
	SPI_freetuptable(SPI_tuptable);
	return n < (uint64) limit;
}
