/*-------------------------------------------------------------------------
 *
 * proof.c
 *	  Proofs of inclusion and consistency, and what exports need of the seals.
 *
 * Every eighth level of a tree is stored. A node between is computed from those
 * below: at most 256 of them, which are read as one block and kept for the next
 * one that is asked for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

/* EVP's contexts cannot be carried from call to call as a value */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "audit/verify.h"
#include "pg/convert.h"
#include "pg/export.h"
#include "pg/errors.h"
#include "pg/objects.h"
#include "pg/spi.h"

#define BLOCK_NODES 256 /* 2^8: from one stored level to the next */

typedef struct Nodes
{
	const char *platform;
	TzHasher *hasher;
	int level; /* of the block; -1: none yet */
	uint64_t block;
	int n;
	TzHash hash[BLOCK_NODES];
} Nodes;

static void hasher_free(void *arg);
static Nodes *nodes_begin(FunctionCallInfo fcinfo);
static TzStatus node_get(void *arg, int level, uint64_t index, TzHash *out, TzErr *err);
static TzStatus block_load(Nodes *nodes, int level, uint64_t block, TzErr *err);
static TzStatus leaves_load(Nodes *nodes, uint64_t first, TzErr *err);
static TzStatus stored_load(Nodes *nodes, int level, uint64_t first, TzErr *err);
static Datum hashes_array(const TzHash *hash, int n);
static void proof_check(TzStatus status, const TzErr *err);

/* theazo_internal.audit_inclusion(platform, seq, size): the path, leaf to root. */
THEAZO_FUNCTION(theazo_audit_inclusion)
{
	TzMerklePath *path = palloc(sizeof(*path));
	TzMerkleSource source;
	Nodes *nodes;
	Datum out;
	TzErr err;

	tz_args_expect(fcinfo, 3);
	nodes = nodes_begin(fcinfo);
	source = (TzMerkleSource){node_get, nodes};
	proof_check(tz_merkle_inclusion(nodes->hasher, &source, (uint64_t) PG_GETARG_INT64(1) - 1,
	                                (uint64_t) PG_GETARG_INT64(2), path, &err),
	            &err);
	SPI_finish();
	out = hashes_array(path->hash, path->n);
	PG_RETURN_DATUM(out);
}

/* theazo_internal.audit_consistent(platform, from_size, to_size): the proof, and behind it both roots. */
THEAZO_FUNCTION(theazo_audit_consistent)
{
	TzMerklePath *path = palloc(sizeof(*path) + 2 * sizeof(TzHash));
	TzMerkleSource source;
	uint64_t from;
	uint64_t to;
	Nodes *nodes;
	Datum out;
	TzErr err;

	tz_args_expect(fcinfo, 3);
	nodes = nodes_begin(fcinfo);
	source = (TzMerkleSource){node_get, nodes};
	from = (uint64_t) PG_GETARG_INT64(1);
	to = (uint64_t) PG_GETARG_INT64(2);
	proof_check(tz_merkle_consistency(nodes->hasher, &source, from, to, path, &err), &err);
	proof_check(tz_merkle_root(nodes->hasher, &source, from, &path->hash[path->n], &err), &err);
	proof_check(tz_merkle_root(nodes->hasher, &source, to, &path->hash[path->n + 1], &err), &err);
	SPI_finish();
	out = hashes_array(path->hash, path->n + 2);
	PG_RETURN_DATUM(out);
}

/* theazo_internal.seal_ids(ids): the ids of a seal as text. */
THEAZO_FUNCTION(theazo_seal_ids)
{
	TzSlice packed;
	Datum *ids;
	int n;
	TzErr err;

	tz_args_expect(fcinfo, 1);
	packed = tz_datum_slice(PG_GETARG_DATUM(0));
	n = (int) (packed.len / TZ_ID_BYTES);
	ids = palloc(sizeof(Datum) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		char id[TZ_ID_MAX + 1];

		tz_check(tz_id_unpack(tz_slice_cstr("evt"), (const uint8_t *) packed.data + i * TZ_ID_BYTES, id,
		                      &err),
		         &err);
		ids[i] = CStringGetTextDatum(id);
	}
	PG_RETURN_ARRAYTYPE_P(construct_array(ids, n, TEXTOID, -1, false, TYPALIGN_INT));
}

/* theazo_internal.audit_text(bytes): as text where they are such in this database, else null. */
THEAZO_FUNCTION(theazo_audit_text)
{
	TzSlice bytes;

	tz_args_expect(fcinfo, 1);
	bytes = tz_datum_slice(PG_GETARG_DATUM(0));
	if (GetDatabaseEncoding() != PG_UTF8 || !pg_verify_mbstr(PG_UTF8, bytes.data, (int) bytes.len, true))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(tz_text_datum(bytes));
}

/*
 * theazo_internal.digest_step(state, line): the state is what the library keeps,
 * which never leaves this server.
 */
THEAZO_FUNCTION(theazo_sha256_step)
{
	SHA256_CTX ctx;
	uint8_t digest[TZ_HASH_LEN];

	tz_args_expect(fcinfo, 2);
	if (PG_ARGISNULL(0))
		SHA256_Init(&ctx);
	else
	{
		TzSlice state = tz_datum_slice(PG_GETARG_DATUM(0));

		if (state.len != sizeof(ctx))
			ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("that is no state of a digest"),
			        errhint("Begin with null."));
		memcpy(&ctx, state.data, sizeof(ctx));
		/* a state that somebody made up must not lead the library astray */
		if (ctx.num >= SHA256_CBLOCK || ctx.md_len != SHA256_DIGEST_LENGTH)
			SHA256_Init(&ctx);
	}
	if (PG_ARGISNULL(1))
	{
		SHA256_Final(digest, &ctx);
		PG_RETURN_DATUM(tz_bytea_datum(tz_slice((const char *) digest, sizeof(digest))));
	}
	else
	{
		TzSlice line = tz_datum_slice(PG_GETARG_DATUM(1));

		SHA256_Update(&ctx, line.data, line.len);
		SHA256_Update(&ctx, "\n", 1);
	}
	PG_RETURN_DATUM(tz_bytea_datum(tz_slice((const char *) &ctx, sizeof(ctx))));
}

static void
hasher_free(void *arg)
{
	tz_hasher_free(arg);
}

static Nodes *
nodes_begin(FunctionCallInfo fcinfo)
{
	Nodes *nodes = palloc0(sizeof(*nodes));
	MemoryContextCallback *end = palloc0(sizeof(*end));
	TzErr err;

	nodes->platform = text_to_cstring(PG_GETARG_TEXT_PP(0));
	nodes->level = -1;
	tz_check(tz_hasher_new(&nodes->hasher, &err), &err);
	end->func = hasher_free;
	end->arg = nodes->hasher;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, end);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	return nodes;
}

/* A complete node: folded from the stored ones below it, which lie in one block. */
static TzStatus
node_get(void *arg, int level, uint64_t index, TzHash *out, TzErr *err)
{
	Nodes *nodes = arg;
	int stored = level - level % TZ_MERKLE_KEPT_LEVELS;
	int up = level - stored;
	uint64_t first = index << up;
	int n = 1 << up;
	int at = (int) (first % BLOCK_NODES);
	TzHash *fold;
	TzStatus status = TZ_OK;

	if (nodes->level != stored || nodes->block != first / BLOCK_NODES)
		status = block_load(nodes, stored, first / BLOCK_NODES, err);
	if (status == TZ_OK && at + n > nodes->n)
		status = tz_err_set(err, TZ_NOT_FOUND, "leaves or nodes of the tree are missing");
	if (status != TZ_OK)
		return status;
	fold = palloc(sizeof(TzHash) * n);
	memcpy(fold, &nodes->hash[at], sizeof(TzHash) * n);
	for (; n > 1 && status == TZ_OK; n /= 2)
	{
		for (int i = 0; i < n / 2 && status == TZ_OK; i++)
			status = tz_merkle_node(nodes->hasher, &fold[2 * i], &fold[2 * i + 1], &fold[i], err);
	}
	*out = fold[0];
	pfree(fold);
	return status;
}

static TzStatus
block_load(Nodes *nodes, int level, uint64_t block, TzErr *err)
{
	nodes->level = level;
	nodes->block = block;
	nodes->n = 0;
	return level == 0 ? leaves_load(nodes, block * BLOCK_NODES, err)
	                  : stored_load(nodes, level, block * BLOCK_NODES, err);
}

/* As many as there are from that leaf on. */
static TzStatus
leaves_load(Nodes *nodes, uint64_t first, TzErr *err)
{
	int64 from = (int64) first + 1;
	TzSealScan *scan = tz_seals_scan(nodes->platform, from, from + BLOCK_NODES - 1, false);
	const TzSealRow *seal;
	TzStatus status = TZ_OK;

	while ((seal = tz_seals_next(scan)) != NULL && status == TZ_OK)
	{
		if (seal->odd)
			status = tz_err_set(err, TZ_NOT_FOUND, "a seal of the tree is broken");
		for (int i = 0; i < seal->events; i++)
		{
			if (nodes->n < BLOCK_NODES && seal->first_seq + i == from + nodes->n)
				nodes->hash[nodes->n++] = seal->leaves[i];
		}
	}
	tz_seals_end(scan);
	return status;
}

static TzStatus
stored_load(Nodes *nodes, int level, uint64_t first, TzErr *err)
{
	const char *sql = "SELECT n.index, n.hash FROM theazo_data.tree_node n WHERE n.platform_id = $1"
					  " AND n.level = $2 AND n.index >= $3 ORDER BY n.index";
	Oid types[3] = {TEXTOID, INT4OID, INT8OID};
	Datum values[3] = {CStringGetTextDatum(nodes->platform), Int32GetDatum(level),
	                   Int64GetDatum((int64) first)};

	if (SPI_execute_with_args(sql, 3, types, values, NULL, true, BLOCK_NODES) != SPI_OK_SELECT)
		return tz_err_set(err, TZ_INTERNAL, "could not read nodes of the tree");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		TzSlice hash = tz_spi_bytea(i, 2);

		if (tz_spi_int64(i, 1, -1) != (int64) first + nodes->n || hash.len != TZ_HASH_LEN)
			break;
		memcpy(nodes->hash[nodes->n++].bytes, hash.data, TZ_HASH_LEN);
	}
	SPI_freetuptable(SPI_tuptable);
	return TZ_OK;
}

static Datum
hashes_array(const TzHash *hash, int n)
{
	Datum *items = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		items[i] = tz_bytea_datum(tz_slice((const char *) hash[i].bytes, TZ_HASH_LEN));
	return PointerGetDatum(construct_array(items, n, BYTEAOID, -1, false, TYPALIGN_INT));
}

/* What is missing is a broken trail, not a fault of the caller. */
static void
proof_check(TzStatus status, const TzErr *err)
{
	if (status == TZ_NOT_FOUND)
		ereport(ERROR, errcode(ERRCODE_TZ_CHAIN_BROKEN), errmsg("no proof can be made: %s", err->message),
		        errhint("theazo.audit_verify() names the first bad row."));
	tz_check(status, err);
}
