/*-------------------------------------------------------------------------
 *
 * verify_event.c
 *	  Events as the verification reads them: in the order of their ids.
 *
 * A scan of the primary keys of all partitions, merged, without a statement:
 * starting the executor for each would cost more than the hashing. Rows are
 * read where they lie, nothing is copied.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relscan.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

#include "audit/event_row.h"
#include "audit/verify.h"
#include "pg/compat.h"
#include "pg/convert.h"
#include "pg/ids.h"
#include "pg/objects.h"
#include "pg/spi.h"

#define DETOAST_EVERY 256 /* rows after which what was unpacked is given back */

typedef struct Part
{
	Relation table;
	Relation index;
	IndexScanDesc scan; /* NULL until the first seek */
	int nkeys;
	TupleTableSlot *slot;
	AttrNumber attno[TZ_ENTRY_FIELDS + 1]; /* the last is the format's */
	bool more;
	TzEventRow row;
} Part;

struct TzEventScan
{
	Datum platform;
	int n;
	Part *part;
	Part *taken; /* whose row the caller has */
};

struct TzSealCursor
{
	bool known; /* there is one, of this instance */
	bool sweep; /* rows of other instances are looked for still */
	uint64 next_xid;
	int nopen;
	uint64 *open;
	uint64 future_xid; /* not given out yet */
};

static void part_open(Part *part, Oid oid);
static void part_advance(Part *part);

TzEventScan *
tz_event_scan(const char *platform)
{
	TzEventScan *scan = palloc0(sizeof(*scan));
	Oid parent = get_relname_relid("event", get_namespace_oid("theazo_data", false));
	List *children = find_inheritance_children(parent, AccessShareLock);
	ListCell *cell;

	scan->platform = CStringGetTextDatum(platform);
	scan->part = palloc0(sizeof(Part) * Max(list_length(children), 1));
	foreach (cell, children)
		part_open(&scan->part[scan->n++], lfirst_oid(cell));
	return scan;
}

static void
part_open(Part *part, Oid oid)
{
	Oid key;

	part->table = table_open(oid, NoLock);
	key = tz_primary_key(part->table);
	if (!OidIsValid(key))
		tz_objects_differ("Table \"%s\" has no primary key.", RelationGetRelationName(part->table));
	part->index = index_open(key, AccessShareLock);
	for (int i = 0; i < TZ_ENTRY_FIELDS; i++)
	{
		part->attno[i] = get_attnum(oid, tz_entry_names[i]);
		if (part->attno[i] <= 0)
			tz_objects_differ("Table \"%s\" has no column \"%s\".", RelationGetRelationName(part->table),
			                  tz_entry_names[i]);
	}
	part->attno[TZ_ENTRY_FIELDS] = get_attnum(oid, "format");
	part->slot = table_slot_create(part->table, NULL);
	part->row.slot = part->slot;
	part->row.attno = part->attno;
	part->row.in_order = true;
	for (int i = 0; i < TZ_ENTRY_FIELDS; i++)
		part->row.in_order = part->row.in_order && part->attno[i] == i + 1;
}

void
tz_event_seek(TzEventScan *scan, const char *low)
{
	for (int i = 0; i < scan->n; i++)
	{
		Part *part = &scan->part[i];
		ScanKeyData keys[2];
		int nkeys = low == NULL ? 1 : 2;

		/* without a bound that every entry would be compared with */
		if (part->scan == NULL || part->nkeys != nkeys)
		{
			if (part->scan != NULL)
				index_endscan(part->scan);
			part->scan = tz_index_beginscan(part->table, part->index, GetActiveSnapshot(), nkeys);
			part->nkeys = nkeys;
		}
		ScanKeyEntryInitialize(&keys[0], 0, 1, BTEqualStrategyNumber, InvalidOid, C_COLLATION_OID, F_TEXTEQ,
		                       scan->platform);
		if (low != NULL)
			ScanKeyEntryInitialize(&keys[1], 0, 2, BTGreaterEqualStrategyNumber, InvalidOid, C_COLLATION_OID,
			                       F_TEXT_GE, CStringGetTextDatum(low));
		index_rescan(part->scan, keys, nkeys, NULL, 0);
		part_advance(part);
	}
	scan->taken = NULL;
}

const TzEventRow *
tz_event_next(TzEventScan *scan)
{
	Part *first = NULL;

	if (scan->taken != NULL)
		part_advance(scan->taken);
	for (int i = 0; i < scan->n; i++)
	{
		Part *part = &scan->part[i];

		if (part->more && (first == NULL || memcmp(part->row.id, first->row.id, TZ_ID_BYTES) < 0))
			first = part;
	}
	scan->taken = first;
	return first == NULL ? NULL : &first->row;
}

static void
part_advance(Part *part)
{
	TzSlice id;
	bool isnull;

	part->more = index_getnext_slot(part->scan, ForwardScanDirection, part->slot);
	if (!part->more)
		return;
	id = tz_datum_slice(slot_getattr(part->slot, part->attno[TZ_ENTRY_ID], &isnull));
	part->row.odd = isnull || id.len < 4 || memcmp(id.data, "evt_", 4) != 0 ||
	                tz_id_pack(id, part->row.id, NULL) != TZ_OK;
	if (part->row.odd)
		memset(part->row.id, 0, TZ_ID_BYTES);
}

void
tz_event_leaf(const TzEventRow *row, TzHasher *hasher, TzHash *out)
{
	static MemoryContext unpacked = NULL;
	static TzBuf bytes;
	static int rows = 0;
	MemoryContext old;
	Datum moved[TZ_ENTRY_FIELDS];
	bool moved_nulls[TZ_ENTRY_FIELDS];
	const Datum *values = row->slot->tts_values;
	const bool *nulls = row->slot->tts_isnull;
	TzEventNumbers numbers;
	TzEntry entry;
	TzErr err;

	if (unpacked == NULL)
	{
		unpacked = AllocSetContextCreate(TopMemoryContext, "theazo event rows", ALLOCSET_DEFAULT_SIZES);
		tz_buf_init(&bytes, TZ_ENTRY_MAX);
	}
	if (++rows % DETOAST_EVERY == 0)
		MemoryContextReset(unpacked);
	slot_getallattrs(row->slot);
	if (!row->in_order)
	{
		for (int i = 0; i < TZ_ENTRY_FIELDS; i++)
		{
			moved[i] = values[row->attno[i] - 1];
			moved_nulls[i] = nulls[row->attno[i] - 1];
		}
		values = moved;
		nulls = moved_nulls;
	}
	/* it is not hashed, but nothing else was ever sealed */
	if (row->attno[TZ_ENTRY_FIELDS] > 0 &&
	    DatumGetInt16(row->slot->tts_values[row->attno[TZ_ENTRY_FIELDS] - 1]) != TZ_ENTRY_FORMAT)
	{
		memset(out, 0, sizeof(*out));
		return;
	}
	old = MemoryContextSwitchTo(unpacked);
	tz_event_entry(values, nulls, &numbers, &entry);
	MemoryContextSwitchTo(old);
	tz_buf_reset(&bytes);
	/* no stored event is longer; one that was made so is not what was sealed */
	if (tz_entry_append(&entry, &bytes) != TZ_OK)
	{
		tz_buf_free(&bytes);
		tz_buf_init(&bytes, TZ_ENTRY_MAX);
		memset(out, 0, sizeof(*out));
		return;
	}
	tz_check(tz_merkle_leaf(hasher, tz_buf_slice(&bytes), out, &err), &err);
}

void
tz_event_id(const TzEventRow *row, char out[TZ_ID_MAX + 1])
{
	bool isnull;
	TzSlice id = tz_datum_slice(slot_getattr(row->slot, row->attno[TZ_ENTRY_ID], &isnull));
	size_t len = Min(id.len, (size_t) TZ_ID_MAX);

	memcpy(out, id.data, len);
	out[len] = '\0';
}

void
tz_event_scan_end(TzEventScan *scan)
{
	for (int i = 0; i < scan->n; i++)
	{
		Part *part = &scan->part[i];

		if (part->scan != NULL)
			index_endscan(part->scan);
		ExecDropSingleTupleTableSlot(part->slot);
		index_close(part->index, AccessShareLock);
		table_close(part->table, AccessShareLock);
	}
	pfree(scan->part);
	pfree(scan);
}

/* What the rows of a seal give; where one is missing, the leaf that the seal holds. */
void
tz_verify_seal_rows(const TzVerify *v, const TzSealRow *seal, TzHash *leaves)
{
	TzEventScan *scan = tz_event_scan(v->platform);

	for (int i = 0; i < seal->events; i++)
	{
		char id[TZ_ID_MAX + 1];
		const TzEventRow *row;
		TzErr err;

		tz_check(tz_id_unpack(tz_slice_cstr("evt"), seal->ids[i], id, &err), &err);
		tz_event_seek(scan, id);
		row = tz_event_next(scan);
		if (row != NULL && !row->odd && memcmp(row->id, seal->ids[i], TZ_ID_BYTES) == 0)
			tz_event_leaf(row, v->hasher, &leaves[i]);
		else
			leaves[i] = seal->leaves[i];
	}
	tz_event_scan_end(scan);
}

TzSealCursor *
tz_sealing_cursor(void)
{
	TzSealCursor *cursor = palloc0(sizeof(*cursor));
	const char *sql = "SELECT c.instance, c.next_xid, c.open_xids,"
					  " EXISTS (SELECT FROM theazo_data.audit_sweep) FROM theazo_data.audit_cursor c";

	if (SPI_execute_with_args(sql, 0, NULL, NULL, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read the cursor of sealing");
	if (SPI_processed > 0 && strcmp(tz_spi_text(0, 1), tz_instance()) == 0)
	{
		HeapTuple row = SPI_tuptable->vals[0];
		bool isnull;
		Datum *open;

		cursor->known = true;
		cursor->next_xid = U64FromFullTransactionId(
			DatumGetFullTransactionId(SPI_getbinval(row, SPI_tuptable->tupdesc, 2, &isnull)));
		deconstruct_array(DatumGetArrayTypeP(SPI_getbinval(row, SPI_tuptable->tupdesc, 3, &isnull)), XID8OID,
		                  8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &open, NULL, &cursor->nopen);
		cursor->open = palloc(sizeof(uint64) * Max(cursor->nopen, 1));
		for (int i = 0; i < cursor->nopen; i++)
			cursor->open[i] = U64FromFullTransactionId(DatumGetFullTransactionId(open[i]));
		cursor->sweep = tz_spi_bool(0, 4, false);
	}
	SPI_freetuptable(SPI_tuptable);
	cursor->future_xid = U64FromFullTransactionId(ReadNextFullTransactionId());
	return cursor;
}

const char *
tz_sealing_passed(const TzSealCursor *cursor, const TzEventRow *row)
{
	Datum instance;
	uint64 xid;
	bool isnull;
	TzSlice text;

	if (!cursor->known)
		return NULL;
	instance = slot_getattr(row->slot, row->attno[TZ_ENTRY_INSTANCE], &isnull);
	text = tz_datum_slice(instance);
	if (!tz_slice_eq_cstr(text, tz_instance()))
		return cursor->sweep ? NULL : "it came from another instance, and nothing that came is left to seal";
	xid = U64FromFullTransactionId(
		DatumGetFullTransactionId(slot_getattr(row->slot, row->attno[TZ_ENTRY_XID], &isnull)));
	if (xid >= cursor->future_xid)
		return "it names a transaction that has not begun yet";
	if (xid >= cursor->next_xid)
		return NULL;
	for (int i = 0; i < cursor->nopen; i++)
	{
		if (cursor->open[i] == xid)
			return NULL;
	}
	return cursor->sweep ? NULL : "sealing has passed its transaction";
}
