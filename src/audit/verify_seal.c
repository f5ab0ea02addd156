/*-------------------------------------------------------------------------
 *
 * verify_seal.c
 *	  Seals as the verification reads them.
 *
 * Everything is read with the snapshot at hand, so that seals, events and the
 * cursor fit together while sealing goes on.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "audit/verify.h"
#include "pg/convert.h"
#include "pg/spi.h"

#define SEAL_BATCH 32

#define SEAL_SELECT                                                                              \
	"SELECT s.first_seq, s.events, s.sealed_at, s.prev_hash, s.hash, s.min_id, s.max_id, s.ids," \
	" s.leaves, s.frontier FROM theazo_data.seal s WHERE s.platform_id = $1"

struct TzSealScan
{
	Portal portal;
	MemoryContext batch; /* what decoding a batch takes */
	TzSealRow *rows;
	int n;
	int at;
};

static void scan_memory(TzSealScan *scan);
static void seal_decode(uint64 row, TzSealRow *out);
static void seal_bytes(TzSlice from, void *to, size_t len, TzSealRow *row);
static void seal_text(uint64 row, int col, char *out);
static bool seal_one(const char *sql, const char *platform, Oid type, Datum second, TzSealRow *out);

TzSealScan *
tz_seals_scan(const char *platform, int64 from, int64 to, bool by_id)
{
	TzSealScan *scan = palloc0(sizeof(*scan));
	Oid types[3] = {TEXTOID, INT8OID, INT8OID};
	Datum values[3] = {CStringGetTextDatum(platform), Int64GetDatum(from), Int64GetDatum(to)};

	/* a seal with an event of the range begins less than its length before it */
	scan->portal = SPI_cursor_open_with_args(NULL,
	                                         by_id ? SEAL_SELECT
	                                             " AND s.first_seq > $2 - s.events"
	                                             " AND s.first_seq <= $3 ORDER BY s.platform_id, s.max_id"
	                                               : SEAL_SELECT
	                                             " AND s.first_seq > $2 - 128"
	                                             " AND s.first_seq <= $3 ORDER BY s.platform_id, s.first_seq",
	                                         3, types, values, NULL, true, CURSOR_OPT_NO_SCROLL);
	scan_memory(scan);
	return scan;
}

const TzSealRow *
tz_seals_next(TzSealScan *scan)
{
	MemoryContext old;

	if (scan->at == scan->n)
	{
		SPI_cursor_fetch(scan->portal, true, SEAL_BATCH);
		scan->n = (int) SPI_processed;
		scan->at = 0;
		old = MemoryContextSwitchTo(scan->batch);
		for (int i = 0; i < scan->n; i++)
			seal_decode((uint64) i, &scan->rows[i]);
		MemoryContextSwitchTo(old);
		MemoryContextReset(scan->batch);
		SPI_freetuptable(SPI_tuptable);
		if (scan->n == 0)
			return NULL;
	}
	return &scan->rows[scan->at++];
}

void
tz_seals_end(TzSealScan *scan)
{
	SPI_cursor_close(scan->portal);
	MemoryContextDelete(scan->batch);
	pfree(scan->rows);
	pfree(scan);
}

bool
tz_seal_of(const char *platform, const char *id, TzSealRow *out, int *place)
{
	TzSealScan *scan;
	uint8_t packed[TZ_ID_BYTES];
	uint8_t last[TZ_ID_BYTES];
	char high[TZ_ID_MAX + 1];
	TzSlice prefix;
	TzSlice root;
	int64 ms;
	TzErr err;
	Oid types[3] = {TEXTOID, TEXTOID, TEXTOID};
	Datum values[3];
	bool found = false;

	if (tz_id_split(tz_slice_cstr(id), &prefix, &root, &err) != TZ_OK || prefix.len == 0 ||
	    tz_id_pack(tz_slice_cstr(id), packed, &err) != TZ_OK ||
	    tz_id_time(tz_slice_cstr(id), &ms, &err) != TZ_OK)
		return false;
	memset(last, 0xff, sizeof(last));
	if (ms + TZ_VERIFY_SPAN_MS <= TZ_ID_MS_MAX)
	{
		for (int i = 0; i < 6; i++)
			last[i] = (uint8_t) ((ms + TZ_VERIFY_SPAN_MS) >> (8 * (5 - i)));
	}
	tz_check(tz_id_unpack(prefix, last, high, &err), &err);
	values[0] = CStringGetTextDatum(platform);
	values[1] = CStringGetTextDatum(id);
	values[2] = CStringGetTextDatum(high);
	scan = palloc0(sizeof(*scan));
	scan_memory(scan);
	scan->portal =
		SPI_cursor_open_with_args(NULL,
	                              SEAL_SELECT " AND s.max_id >= $2"
	                                          " AND s.max_id <= $3 ORDER BY s.platform_id, s.max_id",
	                              3, types, values, NULL, true, CURSOR_OPT_NO_SCROLL);
	while (!found)
	{
		const TzSealRow *row = tz_seals_next(scan);

		if (row == NULL)
			break;
		for (int i = 0; i < row->events && !row->odd && !found; i++)
		{
			if (memcmp(row->ids[i], packed, sizeof(packed)) == 0)
			{
				*out = *row;
				*place = i;
				found = true;
			}
		}
	}
	tz_seals_end(scan);
	return found;
}

bool
tz_seal_before(const char *platform, int64 seq, TzSealRow *out)
{
	return seal_one(SEAL_SELECT " AND s.first_seq < $2 ORDER BY s.first_seq DESC LIMIT 1", platform, INT8OID,
	                Int64GetDatum(seq), out);
}

bool
tz_seal_with(const char *platform, int64 seq, TzSealRow *out)
{
	return seal_one(SEAL_SELECT " AND s.first_seq <= $2 ORDER BY s.first_seq DESC LIMIT 1", platform, INT8OID,
	                Int64GetDatum(seq), out) &&
	       seq < out->first_seq + out->events;
}

static bool
seal_one(const char *sql, const char *platform, Oid type, Datum second, TzSealRow *out)
{
	Oid types[2] = {TEXTOID, type};
	Datum values[2] = {CStringGetTextDatum(platform), second};
	bool found;

	if (SPI_execute_with_args(sql, 2, types, values, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read seals");
	found = SPI_processed > 0;
	if (found)
		seal_decode(0, out);
	SPI_freetuptable(SPI_tuptable);
	return found;
}

static void
scan_memory(TzSealScan *scan)
{
	scan->batch = AllocSetContextCreate(CurrentMemoryContext, "theazo seals", ALLOCSET_DEFAULT_SIZES);
	scan->rows = palloc(SEAL_BATCH * sizeof(TzSealRow));
}

static void
seal_decode(uint64 row, TzSealRow *out)
{
	TzSlice frontier;

	out->first_seq = tz_spi_int64(row, 1, 0);
	out->events = tz_spi_int32(row, 2, 0);
	out->sealed_at_us = TZ_UNIX_US(tz_spi_timestamptz(row, 3, 0));
	out->odd = out->events < 1 || out->events > TZ_VERIFY_SEAL_EVENTS;
	if (out->odd)
		out->events = 0;
	seal_bytes(tz_spi_bytea(row, 4), out->prev.bytes, TZ_HASH_LEN, out);
	seal_bytes(tz_spi_bytea(row, 5), out->hash.bytes, TZ_HASH_LEN, out);
	seal_text(row, 6, out->min_id);
	seal_text(row, 7, out->max_id);
	seal_bytes(tz_spi_bytea(row, 8), out->ids, (size_t) out->events * TZ_ID_BYTES, out);
	seal_bytes(tz_spi_bytea(row, 9), out->leaves, (size_t) out->events * TZ_HASH_LEN, out);
	frontier = tz_spi_bytea(row, 10);
	out->nfrontier = 0;
	if (frontier.len % TZ_HASH_LEN != 0 || frontier.len > sizeof(out->frontier))
		out->odd = true;
	else
	{
		memcpy(out->frontier, frontier.data, frontier.len);
		out->nfrontier = (int) (frontier.len / TZ_HASH_LEN);
	}
}

/* The tables' constraints say so, but this is read because somebody may have got round them. */
static void
seal_bytes(TzSlice from, void *to, size_t len, TzSealRow *row)
{
	if (from.len == len)
		memcpy(to, from.data, len);
	else
		row->odd = true;
}

static void
seal_text(uint64 row, int col, char *out)
{
	char *text = tz_spi_text(row, col);

	strlcpy(out, text == NULL ? "" : text, TZ_ID_MAX + 1);
	if (text != NULL)
		pfree(text);
}
