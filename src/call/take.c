/*-------------------------------------------------------------------------
 *
 * take.c
 *	  Which effects are due, and taking them: the rows of a claim.
 *
 * Runs several times for each step of a run, mostly for one or two rows, where
 * starting the statements that would do it costs many times what the rows do.
 * What is taken and in which order is said in effect.sql (effect_claim).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "common/pg_prng.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "partitioning/partdesc.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "call/event.h"
#include "call/take.h"
#include "gate/halt.h"
#include "pg/compat.h"
#include "pg/convert.h"
#include "pg/export.h"
#include "pg/ids.h"
#include "pg/memo.h"
#include "pg/objects.h"
#include "pg/target.h"

/* As columns[] names them. */
enum
{
	PLATFORM,
	KIND,
	ADAPTER,
	CONTRACT,
	STATE,
	STEP,
	ATTEMPT,
	DUE,
	DEADLINE,
	AFFINITY,
	INCARNATION,
	CLAIMED,
	LEASE,
	SENT,
	INSTANCE,
	CANCEL,
	HELD,
	SESSION,
	AGENT,
	RUN,
	ID,
	PROVIDER,
	COLUMNS
};

static const char *const columns[COLUMNS] = {"platform_id", "kind",         "adapter",     "contract",
                                             "state",       "step",         "attempt",     "due_at",
                                             "deadline",    "affinity",     "incarnation", "claimed_at",
                                             "lease_until", "sent_at",      "instance",    "cancel_requested",
                                             "held_reason", "session_id",   "agent_id",    "run_id",
                                             "id",          "provider_name"};

typedef struct TakePart
{
	Oid oid;
	Oid due; /* index of what is queued: platform, due_at */
	Oid model; /* index of open model calls: due_at, provider */
	Oid lane; /* index of deliveries that wait in lanes: provider, id */
	TzTarget target;
} TakePart;

/* Of the table as it is now. */
typedef struct TakeLayout
{
	MemoryContext context;
	uint64 generation;
	Oid table;
	Oid rowtype;
	bool usable; /* else only statements can do this */
	AttrNumber at[COLUMNS]; /* from 0 on */
	int nparts;
	TakePart *parts;
} TakeLayout;

/* What is due in one partition, oldest first. */
typedef struct TakeScan
{
	TakePart *part;
	Relation table;
	Relation index;
	IndexScanDesc scan;
	TupleTableSlot *slot;
	bool some; /* the slot holds the next one */
} TakeScan;

typedef struct Take
{
	const TakeLayout *layout;
	Relation table;
	TakeScan *scans;
	Datum now;
	Datum lease;
	int32 slot;
	int64 incarnation;
	Datum instance;
	bool halts; /* something is halted */
	int programs; /* of agents that may still be taken; -1: any number */
	bool programs_left; /* some were not */
	ArrayType *kinds;
	ArrayType *adapters;
	ArrayBuildState *sorts[3]; /* no-ops, model calls, others */
	int n; /* of those */
} Take;

static TakeLayout *layout = NULL;
static int programs_max = -1;
static bool programs_left = false;

static Relation take_open(void);
static void take_lock_parts(Relation table);
static void take_learn(Relation table);
static void take_indexes(TakePart *part, Relation table);
static bool is_index(Relation index, Relation table, const char *suffix, const char *first,
                     const char *second);
static Datum next_platform(const TakePart *part, Datum after, bool any);
static bool waits_at_gate(const TakePart *part);
static bool waits_in_lane(const TakePart *part);
static Datum any_waits(bool (*waits)(const TakePart *part), FunctionCallInfo fcinfo);
static bool any_queued(const TakePart *part, Oid index_oid, ScanKeyData *key);
static void take_begin(Take *take, FunctionCallInfo fcinfo);
static int take_lane(Take *take, Datum platform, Datum provider, int share);
static bool is_older(const Take *take, const TakeScan *scan, const TakeScan *than);
static void scan_open(Take *take, TakeScan *scan, Oid index, ScanKeyData *keys, int nkeys);
static void scan_close(TakeScan *scan);
static int take_platform(Take *take, Datum platform, int share, int programs);
static void scan_next(Take *take, TakeScan *scan);
static bool is_takable(const Take *take, const TupleTableSlot *slot);
static bool has_place(Take *take, const TupleTableSlot *slot);
static bool is_program(const Take *take, const TupleTableSlot *slot);
static bool is_halted(const Take *take, const TupleTableSlot *slot);
static void take_tell_held(TzSlice platform, TzSlice kind);
static bool take_one(Take *take, TakeScan *scan);
static TM_Result take_update(const TakeScan *scan, TupleTableSlot *next, bool wait, TzUpdateIndexes *indexes);
static bool take_lock(const TakeScan *scan);
static bool is_among(ArrayType *list, Datum value);

void
tz_take_programs(int max)
{
	programs_max = max;
	programs_left = false;
}

bool
tz_take_programs_left(void)
{
	return programs_left;
}

/*
 * effect_queue(OUT platforms text[], OUT gated boolean, OUT lanes boolean): who has something queued, does a model call
 * wait at its provider's gate, and does a delivery wait in its webhook's lane? All null where only statements can say so.
 */
THEAZO_FUNCTION(theazo_effect_queue)
{
	Relation table = take_open();
	ArrayBuildState *found = NULL;
	TupleDesc desc = tz_result_desc(fcinfo);
	Datum values[3] = {(Datum) 0, (Datum) 0, (Datum) 0};
	bool nulls[3] = {true, true, true};
	Datum last = (Datum) 0;
	bool any = true;

	if (layout->usable)
	{
		bool gated = false;
		bool lanes = false;

		CommandCounterIncrement();
		PushActiveSnapshot(GetTransactionSnapshot());
		for (int i = 0; i < layout->nparts && !gated; i++)
			gated = waits_at_gate(&layout->parts[i]);
		for (int i = 0; i < layout->nparts && !lanes; i++)
			lanes = waits_in_lane(&layout->parts[i]);
		for (;;)
		{
			Datum least = (Datum) 0;

			for (int i = 0; i < layout->nparts; i++)
			{
				Datum next = next_platform(&layout->parts[i], last, any);

				if (next != (Datum) 0 &&
				    (least == (Datum) 0 ||
				     DatumGetInt32(DirectFunctionCall2Coll(bttextcmp, C_COLLATION_OID, next, least)) < 0))
					least = next;
			}
			if (least == (Datum) 0)
				break;
			found = accumArrayResult(found, least, false, TEXTOID, CurrentMemoryContext);
			last = least;
			any = false;
			CHECK_FOR_INTERRUPTS();
		}
		PopActiveSnapshot();
		nulls[0] = found == NULL;
		values[0] = found == NULL ? (Datum) 0 : makeArrayResult(found, CurrentMemoryContext);
		nulls[1] = nulls[2] = false;
		values[1] = BoolGetDatum(gated);
		values[2] = BoolGetDatum(lanes);
	}
	table_close(table, NoLock);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

/* effect_gated(): the second of them alone */
THEAZO_FUNCTION(theazo_effect_gated)
{
	return any_waits(waits_at_gate, fcinfo);
}

/* effect_lanes(): the third */
THEAZO_FUNCTION(theazo_effect_lanes)
{
	return any_waits(waits_in_lane, fcinfo);
}

static Datum
any_waits(bool (*waits)(const TakePart *part), FunctionCallInfo fcinfo)
{
	Relation table = take_open();
	bool usable = layout->usable;
	bool found = false;

	if (usable)
	{
		CommandCounterIncrement();
		PushActiveSnapshot(GetTransactionSnapshot());
		for (int i = 0; i < layout->nparts && !found; i++)
			found = waits(&layout->parts[i]);
		PopActiveSnapshot();
	}
	table_close(table, NoLock);
	if (!usable)
		PG_RETURN_NULL();
	PG_RETURN_BOOL(found);
}

/*
 * effect_take(platforms text[], share int, most int, now, lease timestamptz, slot int, incarnation bigint,
 *	kinds text[], adapters text[], OUT noops effect[], OUT models effect[], OUT others effect[], OUT n integer)
 *
 * n is null where only a statement can do this. What this library does not know is held; it is not counted.
 * Places for programs are shared like those of the batch: where share is less than most, none of many platforms gets all.
 */
THEAZO_FUNCTION(theazo_effect_take)
{
	Take take = {NULL};
	TupleDesc desc;
	Datum values[4] = {(Datum) 0, (Datum) 0, (Datum) 0, (Datum) 0};
	bool nulls[4] = {true, true, true, true};
	Datum *platforms;
	int nplatforms;
	int share;
	int left;
	int programs;
	int first = 0;

	tz_args_expect(fcinfo, 9);
	share = PG_GETARG_INT32(1);
	left = PG_GETARG_INT32(2);
	desc = tz_result_desc(fcinfo);
	PreventCommandIfReadOnly("UPDATE");
	PreventCommandIfParallelMode("UPDATE");
	take.table = take_open();
	take.layout = layout;
	if (layout->usable)
	{
		take_begin(&take, fcinfo);
		deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false, TYPALIGN_INT, &platforms, NULL,
		                  &nplatforms);
		CommandCounterIncrement();
		PushActiveSnapshot(GetTransactionSnapshot());
		take.programs = programs_max;
		programs = share < left && programs_max > 0 ? Max(1, programs_max / nplatforms) : programs_max;
		/* where there are fewer places than platforms chance decides, so that nobody is always last */
		if (programs_max >= 0 && nplatforms > 1)
			first = (int) pg_prng_uint64_range(&pg_global_prng_state, 0, nplatforms - 1);
		for (int i = 0; i < nplatforms && left > 0; i++)
			left -= take_platform(&take, platforms[(first + i) % nplatforms], Min(share, left), programs);
		programs_max = take.programs;
		programs_left = take.programs_left;
		PopActiveSnapshot();
		for (int i = 0; i < 3; i++)
		{
			nulls[i] = take.sorts[i] == NULL;
			if (!nulls[i])
				values[i] = makeArrayResult(take.sorts[i], CurrentMemoryContext);
		}
		nulls[3] = false;
		values[3] = Int32GetDatum(take.n);
	}
	table_close(take.table, NoLock);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

/*
 * effect_take_lane(platform text, provider text, most int, now, lease timestamptz, slot int, incarnation bigint,
 *	kinds text[], adapters text[], OUT others effect[], OUT n int)
 *
 * n is null where only a statement can do this.
 */
THEAZO_FUNCTION(theazo_effect_take_lane)
{
	Take take = {NULL};
	TupleDesc desc;
	Datum values[2] = {(Datum) 0, (Datum) 0};
	bool nulls[2] = {true, true};

	tz_args_expect(fcinfo, 9);
	desc = tz_result_desc(fcinfo);
	PreventCommandIfReadOnly("UPDATE");
	PreventCommandIfParallelMode("UPDATE");
	take.table = take_open();
	take.layout = layout;
	if (layout->usable)
	{
		take_begin(&take, fcinfo);
		take.programs = -1;
		CommandCounterIncrement();
		PushActiveSnapshot(GetTransactionSnapshot());
		take_lane(&take, PG_GETARG_DATUM(0), PG_GETARG_DATUM(1), PG_GETARG_INT32(2));
		PopActiveSnapshot();
		nulls[0] = take.sorts[2] == NULL;
		if (!nulls[0])
			values[0] = makeArrayResult(take.sorts[2], CurrentMemoryContext);
		nulls[1] = false;
		values[1] = Int32GetDatum(take.n);
	}
	table_close(take.table, NoLock);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

/* What both have as their fourth argument and on. */
static void
take_begin(Take *take, FunctionCallInfo fcinfo)
{
	take->now = PG_GETARG_DATUM(3);
	take->lease = PG_GETARG_DATUM(4);
	take->slot = PG_GETARG_INT32(5);
	take->incarnation = PG_GETARG_INT64(6);
	take->kinds = PG_GETARG_ARRAYTYPE_P(7);
	take->adapters = PG_GETARG_ARRAYTYPE_P(8);
	take->instance = CStringGetTextDatum(tz_instance());
	take->halts = tz_halt_any();
	take->scans = palloc0(sizeof(TakeScan) * Max(take->layout->nparts, 1));
}

/*
 * The table and all its partitions, locked, and what is known of them. A lock may bring news, so nothing is believed
 * before the last one is held: an index made meanwhile would miss the rows that are written here.
 */
static Relation
take_open(void)
{
	Relation table;

	if (layout != NULL && layout->generation == tz_memo_generation())
	{
		LockRelationOid(layout->table, RowExclusiveLock);
		if (layout->generation == tz_memo_generation())
		{
			for (int i = 0; i < layout->nparts; i++)
				LockRelationOid(layout->parts[i].oid, RowExclusiveLock);
			if (layout->generation == tz_memo_generation())
				return table_open(layout->table, NoLock);
			/* the partitions may be those no more, so they are looked for again; their locks do no harm */
		}
		UnlockRelationOid(layout->table, RowExclusiveLock);
	}
	table = table_openrv(makeRangeVar("theazo_data", "effect", -1), RowExclusiveLock);
	if (table->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		take_lock_parts(table);
	take_learn(table);
	return table;
}

static void
take_lock_parts(Relation table)
{
	PartitionDesc parts = RelationGetPartitionDesc(table, false);
	int n = parts->nparts;
	Oid *oids = palloc(sizeof(Oid) * Max(n, 1));

	/* a copy: what a lock brings may replace the table's own */
	memcpy(oids, parts->oids, sizeof(Oid) * n);
	for (int i = 0; i < n; i++)
		LockRelationOid(oids[i], RowExclusiveLock);
	pfree(oids);
}

static void
take_learn(Relation table)
{
	MemoryContext context;
	MemoryContext caller;
	TakeLayout *l;

	if (layout != NULL)
	{
		context = layout->context;
		layout = NULL;
		MemoryContextDelete(context);
	}
	/* below the caller's until it is complete, so that an error takes it along */
	context = AllocSetContextCreate(CurrentMemoryContext, "theazo take", ALLOCSET_SMALL_SIZES);
	caller = MemoryContextSwitchTo(context);
	l = palloc0(sizeof(*l));
	l->context = context;
	l->generation = tz_memo_generation();
	l->table = RelationGetRelid(table);
	l->rowtype = table->rd_rel->reltype;
	l->usable = table->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
	for (int i = 0; i < COLUMNS; i++)
	{
		AttrNumber attno = get_attnum(l->table, columns[i]);

		if (attno <= 0)
			tz_objects_differ("Table \"effect\" has no column \"%s\".", columns[i]);
		l->at[i] = attno - 1;
	}
	if (l->usable)
	{
		PartitionDesc parts = RelationGetPartitionDesc(table, false);
		int n = parts->nparts;

		l->parts = palloc0(sizeof(TakePart) * Max(n, 1));
		for (int i = 0; i < n; i++)
			l->parts[i].oid = parts->oids[i];
		for (int i = 0; i < n; i++)
		{
			TakePart *to = &l->parts[l->nparts++];
			Relation part = table_open(to->oid, RowExclusiveLock);
			TriggerDesc *triggers = part->trigdesc;

			tz_target_make(&to->target, context, table, part);
			take_indexes(to, part);
			if (!to->target.plain || to->target.map != NULL || !OidIsValid(to->due) ||
			    !OidIsValid(to->model) || !OidIsValid(to->lane) ||
			    (triggers != NULL && (triggers->trig_update_before_row || triggers->trig_update_after_row)))
				l->usable = false;
			table_close(part, NoLock);
		}
	}
	MemoryContextSwitchTo(caller);
	MemoryContextSetParent(context, TopMemoryContext);
	layout = l;
}

static void
take_indexes(TakePart *part, Relation table)
{
	ListCell *cell;

	foreach (cell, RelationGetIndexList(table))
	{
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);

		if (is_index(index, table, "due_idx", "platform_id", "due_at"))
			part->due = RelationGetRelid(index);
		if (is_index(index, table, "model_idx", "due_at", "provider_name"))
			part->model = RelationGetRelid(index);
		if (is_index(index, table, "lane_idx", "provider_name", "id"))
			part->lane = RelationGetRelid(index);
		index_close(index, NoLock);
	}
}

/* By its name (partition_dress): another one over the same columns may hold other rows. Both have a predicate. */
static bool
is_index(Relation index, Relation table, const char *suffix, const char *first, const char *second)
{
	const int16 *keys = index->rd_index->indkey.values;
	const char *name = psprintf("%s_%s", RelationGetRelationName(table), suffix);

	return strcmp(RelationGetRelationName(index), name) == 0 && index->rd_index->indisvalid &&
	       index->rd_index->indnkeyatts == 2 && keys[0] == get_attnum(RelationGetRelid(table), first) &&
	       keys[1] == get_attnum(RelationGetRelid(table), second) && RelationGetIndexPredicate(index) != NIL;
}

/* The first platform that has something queued here, of those after one; 0: none. */
static Datum
next_platform(const TakePart *part, Datum after, bool any)
{
	Relation table = table_open(part->oid, RowExclusiveLock);
	Relation index = index_open(part->due, RowExclusiveLock);
	TupleTableSlot *slot = table_slot_create(table, NULL);
	IndexScanDesc scan = tz_index_beginscan(table, index, GetActiveSnapshot(), any ? 0 : 1);
	ScanKeyData key;
	Datum found = (Datum) 0;

	if (!any)
		ScanKeyEntryInitialize(&key, 0, 1, BTGreaterStrategyNumber, InvalidOid, index->rd_indcollation[0],
		                       F_TEXT_GT, after);
	index_rescan(scan, any ? NULL : &key, any ? 0 : 1, NULL, 0);
	if (index_getnext_slot(scan, ForwardScanDirection, slot))
	{
		bool isnull;
		Datum value = slot_getattr(slot, layout->at[PLATFORM] + 1, &isnull);

		if (!isnull)
			found = datumCopy(value, false, -1);
	}
	index_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	index_close(index, NoLock);
	table_close(table, NoLock);
	return found;
}

static bool
waits_at_gate(const TakePart *part)
{
	ScanKeyData key;

	ScanKeyEntryInitialize(&key, 0, 1, BTEqualStrategyNumber, InvalidOid, InvalidOid, F_TIMESTAMPTZ_EQ,
	                       TimestampTzGetDatum(DT_NOEND));
	return any_queued(part, part->model, &key);
}

/* Its index holds nothing else. */
static bool
waits_in_lane(const TakePart *part)
{
	return any_queued(part, part->lane, NULL);
}

static bool
any_queued(const TakePart *part, Oid index_oid, ScanKeyData *key)
{
	Relation table = table_open(part->oid, RowExclusiveLock);
	Relation index = index_open(index_oid, RowExclusiveLock);
	TupleTableSlot *slot = table_slot_create(table, NULL);
	int nkeys = key != NULL ? 1 : 0;
	IndexScanDesc scan = tz_index_beginscan(table, index, GetActiveSnapshot(), nkeys);
	bool found = false;

	index_rescan(scan, key, nkeys, NULL, 0);
	while (!found && index_getnext_slot(scan, ForwardScanDirection, slot))
	{
		bool isnull;
		Datum state = slot_getattr(slot, layout->at[STATE] + 1, &isnull);

		found = !isnull && tz_slice_eq_cstr(tz_datum_slice(state), "queued");
	}
	index_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	index_close(index, NoLock);
	table_close(table, NoLock);
	return found;
}

/* Oldest first, over all partitions, of programs at most so many. Returns how many rows were changed. */
static int
take_platform(Take *take, Datum platform, int share, int programs)
{
	int n = take->layout->nparts;
	int taken = 0;
	int kept = 0;

	/* what others may have is kept out of the way */
	if (take->programs > programs)
	{
		kept = take->programs - programs;
		take->programs = programs;
	}

	for (int i = 0; i < n; i++)
	{
		TakeScan *scan = &take->scans[i];
		ScanKeyData keys[2];

		scan->part = &take->layout->parts[i];
		ScanKeyEntryInitialize(&keys[0], 0, 1, BTEqualStrategyNumber, InvalidOid, InvalidOid, F_TEXTEQ,
		                       platform);
		ScanKeyEntryInitialize(&keys[1], 0, 2, BTLessEqualStrategyNumber, InvalidOid, InvalidOid,
		                       F_TIMESTAMPTZ_LE, take->now);
		scan_open(take, scan, scan->part->due, keys, 2);
	}
	while (taken < share)
	{
		TakeScan *oldest = NULL;
		TimestampTz least = DT_NOEND;

		for (int i = 0; i < n; i++)
		{
			TakeScan *scan = &take->scans[i];

			if (scan->some)
			{
				TimestampTz due = DatumGetTimestampTz(scan->slot->tts_values[take->layout->at[DUE]]);

				if (oldest == NULL || due < least)
				{
					oldest = scan;
					least = due;
				}
			}
		}
		if (oldest == NULL)
			break;
		taken += take_one(take, oldest);
		scan_next(take, oldest);
		CHECK_FOR_INTERRUPTS();
	}
	for (int i = 0; i < n; i++)
		scan_close(&take->scans[i]);
	take->programs += kept;
	return taken;
}

/* The oldest of a webhook's lane, over all partitions. Returns how many rows were changed. */
static int
take_lane(Take *take, Datum platform, Datum provider, int share)
{
	AttrNumber owner = take->layout->at[PLATFORM];
	int n = take->layout->nparts;
	int taken = 0;

	for (int i = 0; i < n; i++)
	{
		TakeScan *scan = &take->scans[i];
		ScanKeyData key;

		scan->part = &take->layout->parts[i];
		ScanKeyEntryInitialize(&key, 0, 1, BTEqualStrategyNumber, InvalidOid, InvalidOid, F_TEXTEQ, provider);
		scan_open(take, scan, scan->part->lane, &key, 1);
	}
	while (taken < share)
	{
		TakeScan *oldest = NULL;

		for (int i = 0; i < n; i++)
		{
			if (take->scans[i].some && (oldest == NULL || is_older(take, &take->scans[i], oldest)))
				oldest = &take->scans[i];
		}
		if (oldest == NULL)
			break;
		if (tz_slice_eq(tz_datum_slice(oldest->slot->tts_values[owner]), tz_datum_slice(platform)))
			taken += take_one(take, oldest);
		scan_next(take, oldest);
		CHECK_FOR_INTERRUPTS();
	}
	for (int i = 0; i < n; i++)
		scan_close(&take->scans[i]);
	return taken;
}

static bool
is_older(const Take *take, const TakeScan *scan, const TakeScan *than)
{
	AttrNumber id = take->layout->at[ID];

	return DatumGetInt32(DirectFunctionCall2Coll(bttextcmp, C_COLLATION_OID, scan->slot->tts_values[id],
	                                             than->slot->tts_values[id])) < 0;
}

/* Its part is set. The keys are those of the index, in its collations. */
static void
scan_open(Take *take, TakeScan *scan, Oid index, ScanKeyData *keys, int nkeys)
{
	scan->table = table_open(scan->part->oid, RowExclusiveLock);
	scan->index = index_open(index, RowExclusiveLock);
	scan->slot = table_slot_create(scan->table, NULL);
	scan->scan = tz_index_beginscan(scan->table, scan->index, GetActiveSnapshot(), nkeys);
	for (int i = 0; i < nkeys; i++)
		keys[i].sk_collation = scan->index->rd_indcollation[i];
	index_rescan(scan->scan, keys, nkeys, NULL, 0);
	scan_next(take, scan);
}

static void
scan_close(TakeScan *scan)
{
	index_endscan(scan->scan);
	ExecDropSingleTupleTableSlot(scan->slot);
	index_close(scan->index, NoLock);
	table_close(scan->table, NoLock);
}

static void
scan_next(Take *take, TakeScan *scan)
{
	scan->some = false;
	while (!scan->some && index_getnext_slot(scan->scan, ForwardScanDirection, scan->slot))
	{
		slot_getallattrs(scan->slot);
		scan->some = is_takable(take, scan->slot) && has_place(take, scan->slot);
	}
}

static bool
is_takable(const Take *take, const TupleTableSlot *slot)
{
	const AttrNumber *at = take->layout->at;
	const Datum *value = slot->tts_values;
	const bool *none = slot->tts_isnull;

	return tz_slice_eq_cstr(tz_datum_slice(value[at[STATE]]), "queued") &&
	       tz_slice_eq(tz_datum_slice(value[at[INSTANCE]]), tz_datum_slice(take->instance)) &&
	       (none[at[AFFINITY]] || DatumGetInt32(value[at[AFFINITY]]) == take->slot) &&
	       !DatumGetBool(value[at[CANCEL]]) &&
	       (none[at[DEADLINE]] ||
	        DatumGetTimestampTz(value[at[DEADLINE]]) > DatumGetTimestampTz(take->now)) &&
	       !(take->halts && is_halted(take, slot));
}

/* A program that has none stays queued, for whoever has. */
static bool
has_place(Take *take, const TupleTableSlot *slot)
{
	if (take->programs != 0 || !is_program(take, slot))
		return true;
	take->programs_left = true;
	return false;
}

static bool
is_program(const Take *take, const TupleTableSlot *slot)
{
	return tz_slice_eq_cstr(tz_datum_slice(slot->tts_values[take->layout->at[KIND]]), "script.run");
}

/* The keeper ends it, unless what ends things. */
static bool
is_halted(const Take *take, const TupleTableSlot *slot)
{
	static const int words[] = {PLATFORM, KIND, SESSION, AGENT, RUN};
	const AttrNumber *at = take->layout->at;
	char *word[lengthof(words)];
	TzHaltOf of = {NULL};

	for (size_t i = 0; i < lengthof(words); i++)
		word[i] = slot->tts_isnull[at[words[i]]] ? NULL : TextDatumGetCString(slot->tts_values[at[words[i]]]);
	of.platform = word[0];
	of.session = word[2];
	of.agent = word[3];
	of.run = word[4];
	return !tz_halt_spares(word[1]) && tz_halt_recall(&of) != NULL;
}

/* Whoever else has it under way keeps it. */
static bool
take_one(Take *take, TakeScan *scan)
{
	const AttrNumber *at = take->layout->at;
	TupleDesc desc = RelationGetDescr(scan->table);
	TupleTableSlot *next = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	Datum *value = next->tts_values;
	bool *none = next->tts_isnull;
	TzUpdateIndexes indexes = TZ_UPDATE_NO_INDEXES;
	TM_Result result;
	bool known;

	/* looked at before another one took the last place */
	if (!has_place(take, scan->slot))
		return false;
	memcpy(value, scan->slot->tts_values, sizeof(Datum) * desc->natts);
	memcpy(none, scan->slot->tts_isnull, sizeof(bool) * desc->natts);
	known = DatumGetInt16(value[at[CONTRACT]]) == 1 && is_among(take->kinds, value[at[KIND]]) &&
	        is_among(take->adapters, value[at[ADAPTER]]);
	value[at[STATE]] = CStringGetTextDatum(known ? "claimed" : "held");
	none[at[HELD]] = known;
	value[at[HELD]] = known ? (Datum) 0 : CStringGetTextDatum("unknown kind");
	value[at[ATTEMPT]] = Int32GetDatum(DatumGetInt32(value[at[ATTEMPT]]) + 1);
	value[at[INCARNATION]] = Int64GetDatum(take->incarnation);
	value[at[CLAIMED]] = take->now;
	if (DatumGetTimestampTz(value[at[DUE]]) == DT_NOEND)
		value[at[DUE]] = take->now; /* out of a lane */
	value[at[LEASE]] = take->lease;
	none[at[INCARNATION]] = none[at[CLAIMED]] = none[at[LEASE]] = false;
	none[at[SENT]] = true;
	if (tz_slice_eq_cstr(tz_datum_slice(value[at[ADAPTER]]), "local"))
	{
		value[at[AFFINITY]] = Int32GetDatum(take->slot);
		none[at[AFFINITY]] = false;
	}
	ExecStoreVirtualTuple(next);
	if (!tz_target_checks_hold(&scan->part->target, scan->table, next))
		tz_objects_differ("Table \"%s\" does not let an effect be taken.",
		                  RelationGetRelationName(scan->table));
	result = take_update(scan, next, false, &indexes);
	if (result == TM_BeingModified && take_lock(scan))
		result = take_update(scan, next, true, &indexes);
	if (result == TM_Ok)
	{
		if (indexes != TZ_UPDATE_NO_INDEXES)
			tz_target_index(&scan->part->target, scan->table, next, true);
		if (known)
		{
			TupleDesc whole = RelationGetDescr(take->table);
			HeapTuple tuple = heap_form_tuple(whole, value, none);
			int sort = 2;

			if (tz_slice_eq_cstr(tz_datum_slice(value[at[KIND]]), "model.call"))
				sort = 1;
			else if (tz_slice_eq_cstr(tz_datum_slice(value[at[ADAPTER]]), "noop") &&
			         DatumGetInt16(value[at[STEP]]) == 0)
				sort = 0;
			take->sorts[sort] = accumArrayResult(take->sorts[sort], heap_copy_tuple_as_datum(tuple, whole),
			                                     false, take->layout->rowtype, CurrentMemoryContext);
			heap_freetuple(tuple);
			take->n++;
			if (take->programs > 0 && is_program(take, scan->slot))
				take->programs--;
		}
		else
			take_tell_held(tz_datum_slice(value[at[PLATFORM]]), tz_datum_slice(value[at[KIND]]));
	}
	ExecDropSingleTupleTableSlot(next);
	return result == TM_Ok;
}

/* Held is a state that somebody has to end. */
static void
take_tell_held(TzSlice platform, TzSlice kind)
{
	TzEvent event = {{NULL, 0}};
	JsonbParseState *state = NULL;
	char id[TZ_ID_MAX + 1];

	event.platform = platform;
	event.category = tz_slice_cstr("control");
	event.action = tz_slice_cstr("effects_held");
	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	tz_event_put(&state, "kind", kind);
	tz_event_put(&state, "reason", tz_slice_cstr("unknown kind"));
	event.summary = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	tz_event_write(&event, id);
}

static TM_Result
take_update(const TakeScan *scan, TupleTableSlot *next, bool wait, TzUpdateIndexes *indexes)
{
	TM_FailureData failure;
	LockTupleMode lock_mode;

	return table_tuple_update(scan->table, &scan->slot->tts_tid, next, GetCurrentCommandId(true),
	                          GetActiveSnapshot(), InvalidSnapshot, wait, &failure, &lock_mode, indexes);
}

/* What this very transaction has locked looks like somebody else's until it is locked again. */
static bool
take_lock(const TakeScan *scan)
{
	TupleTableSlot *slot = table_slot_create(scan->table, NULL);
	ItemPointerData tid = scan->slot->tts_tid;
	TM_FailureData failure;
	TM_Result result;

	result = table_tuple_lock(scan->table, &tid, GetActiveSnapshot(), slot, GetCurrentCommandId(true),
	                          LockTupleExclusive, LockWaitSkip, 0, &failure);
	ExecDropSingleTupleTableSlot(slot);
	return result == TM_Ok;
}

static bool
is_among(ArrayType *list, Datum value)
{
	TzSlice wanted = tz_datum_slice(value);
	Datum *items;
	int n;

	deconstruct_array(list, TEXTOID, -1, false, TYPALIGN_INT, &items, NULL, &n);
	for (int i = 0; i < n; i++)
	{
		if (tz_slice_eq(tz_datum_slice(items[i]), wanted))
			return true;
	}
	return false;
}
