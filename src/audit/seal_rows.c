/*-------------------------------------------------------------------------
 *
 * seal_rows.c
 *	  What a seal says of each of its events.
 *
 * Hashes of single events are not stored: they follow from the seal's first
 * link and its leaves.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "lib/id.h"
#include "lib/merkle.h"
#include "pg/convert.h"
#include "pg/export.h"
#include "pg/objects.h"

#define ROW_COLUMNS 5

/* A walk along a seal, event by event. */
typedef struct SealWalk
{
	TzSlice ids;
	TzSlice leaves;
	int events;
	int64 first_seq;
	int at; /* of the event below; -1 before the first */
	char id[TZ_ID_MAX + 1];
	TzHash leaf;
	TzHash prev;
	TzHash hash;
} SealWalk;

static TzHasher *hasher = NULL; /* of this process */

static void walk_begin(SealWalk *walk, FunctionCallInfo fcinfo);
static bool walk_next(SealWalk *walk);
static TzHash *hash_copy(TzSlice bytes, TzHash *out);
static Datum hash_datum(const TzHash *hash);

/*
 * theazo_internal.seal_rows(first_seq, sealed_at, prev_hash, ids, leaves,
 * OUT seq, OUT event_id, OUT leaf, OUT prev_hash, OUT hash)
 */
THEAZO_FUNCTION(theazo_seal_rows)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	SealWalk walk;

	tz_args_expect(fcinfo, 5);
	InitMaterializedSRF(fcinfo, 0);
	if (rsinfo->setDesc->natts != ROW_COLUMNS)
		tz_objects_differ("Function \"%s\" returns %d columns.", "seal_rows", rsinfo->setDesc->natts);
	walk_begin(&walk, fcinfo);
	while (walk_next(&walk))
	{
		Datum values[ROW_COLUMNS];
		bool nulls[ROW_COLUMNS] = {false};

		values[0] = Int64GetDatum(walk.first_seq + walk.at);
		values[1] = CStringGetTextDatum(walk.id);
		values[2] = hash_datum(&walk.leaf);
		values[3] = hash_datum(&walk.prev);
		values[4] = hash_datum(&walk.hash);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/*
 * theazo_internal.seal_row(first_seq, sealed_at, prev_hash, ids, leaves, event_id,
 * OUT seq, OUT leaf, OUT prev_hash, OUT hash): of one event; nulls when it is not there.
 */
THEAZO_FUNCTION(theazo_seal_row)
{
	TupleDesc desc = tz_result_desc(fcinfo);
	TzSlice wanted;
	SealWalk walk;
	Datum values[4] = {0};
	bool nulls[4] = {true, true, true, true};

	tz_args_expect(fcinfo, 6);
	wanted = tz_datum_slice(PG_GETARG_DATUM(5));
	walk_begin(&walk, fcinfo);
	while (walk_next(&walk))
	{
		if (!tz_slice_eq_cstr(wanted, walk.id))
			continue;
		values[0] = Int64GetDatum(walk.first_seq + walk.at);
		values[1] = hash_datum(&walk.leaf);
		values[2] = hash_datum(&walk.prev);
		values[3] = hash_datum(&walk.hash);
		memset(nulls, false, sizeof(nulls));
		break;
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

/* A row that somebody changed is walked as far as it goes: audit_verify() says what is wrong with it. */
static void
walk_begin(SealWalk *walk, FunctionCallInfo fcinfo)
{
	TimestampTz sealed_at = PG_GETARG_TIMESTAMPTZ(1);
	TzHash prev;
	TzErr err;

	memset(walk, 0, sizeof(*walk));
	walk->first_seq = PG_GETARG_INT64(0);
	walk->ids = tz_datum_slice(PG_GETARG_DATUM(3));
	walk->leaves = tz_datum_slice(PG_GETARG_DATUM(4));
	walk->events = (int) Min(walk->ids.len / TZ_ID_BYTES, walk->leaves.len / TZ_HASH_LEN);
	walk->at = -1;
	if (hasher == NULL)
		tz_check(tz_hasher_new(&hasher, &err), &err);
	tz_check(tz_chain_header(hasher, hash_copy(tz_datum_slice(PG_GETARG_DATUM(2)), &prev),
	                         (uint64_t) walk->first_seq, (uint32_t) walk->events, TZ_UNIX_US(sealed_at),
	                         &walk->hash, &err),
	         &err);
}

static bool
walk_next(SealWalk *walk)
{
	TzErr err;

	if (++walk->at >= walk->events)
		return false;
	memcpy(walk->leaf.bytes, walk->leaves.data + (size_t) walk->at * TZ_HASH_LEN, TZ_HASH_LEN);
	walk->prev = walk->hash;
	tz_check(tz_chain_link(hasher, &walk->prev, &walk->leaf, &walk->hash, &err), &err);
	tz_check(tz_id_unpack(tz_slice_cstr("evt"),
	                      (const uint8_t *) walk->ids.data + (size_t) walk->at * TZ_ID_BYTES, walk->id, &err),
	         &err);
	return true;
}

static TzHash *
hash_copy(TzSlice bytes, TzHash *out)
{
	memset(out, 0, sizeof(*out));
	memcpy(out->bytes, bytes.data, Min(bytes.len, TZ_HASH_LEN));
	return out;
}

static Datum
hash_datum(const TzHash *hash)
{
	return tz_bytea_datum(tz_slice((const char *) hash->bytes, TZ_HASH_LEN));
}
