/*-------------------------------------------------------------------------
 *
 * verify_chain.c
 *	  Verification, first pass: chain, tree and signed heads from the leaves of the seals.
 *
 * A range begins with what the seal before it says of chain and tree. That is
 * proven by the first signed head behind the range, so the pass goes on up to
 * there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "audit/verify.h"
#include "lib/checkpoint.h"
#include "pg/convert.h"
#include "pg/spi.h"

#define HEAD_BATCH 64
#define KEYS_MAX 1024 /* one for each master key, and for each copy of the database */

#define HEADS_SELECT                                                                            \
	"SELECT c.tree_size, c.root, c.chain, c.key_id, c.note FROM theazo_data.audit_checkpoint c" \
	" WHERE c.platform_id = $1 AND c.tree_size >= $2 ORDER BY c.platform_id, c.tree_size"
/* in the order in which the tree completes them */
#define NODES_SELECT                                                             \
	"SELECT n.level, n.index, n.hash FROM theazo_data.tree_node n"               \
	" WHERE n.platform_id = $1 AND (n.index + 1) * (2::numeric ^ n.level) >= $2" \
	" ORDER BY (n.index + 1) * (2::numeric ^ n.level), n.level"

/* Rows of a table in the order in which the pass comes by, one ahead. */
typedef struct Stream
{
	Portal portal;
	SPITupleTable *rows;
	uint64 n;
	uint64 at;
} Stream;

typedef struct Key
{
	char id[TZ_ID_MAX + 1];
	uint8_t key[TZ_ED25519_LEN];
} Key;

typedef struct Pass
{
	TzVerify *v;
	TzFrontier tree;
	TzHash chain;
	int64 next_seq;
	Stream heads; /* audit_checkpoint */
	int64 head_at; /* leaves at the next of them; so that no leaf has to ask */
	Stream nodes; /* tree_node, in the order in which they are completed */
	int nkeys;
	Key keys[KEYS_MAX];
	bool reached; /* a signed head behind the range was seen */
	MemoryContext batch;
} Pass;

static void pass_begin(Pass *p);
static bool pass_start(Pass *p, const TzSealRow *seal);
static bool pass_seal(Pass *p, const TzSealRow *seal);
static bool seal_fits(Pass *p, const TzSealRow *seal);
static bool seal_result(Pass *p, const TzSealRow *seal, const TzHash *end);
static void seal_blame(Pass *p, const TzSealRow *seal);
static TzStatus node_done(void *arg, int level, uint64_t index, const TzHash *hash, TzErr *err);
static bool heads_check(Pass *p, const TzHash *chain);
static bool head_check(Pass *p, const TzHash *chain, uint64 row);
static bool of_platform(TzSlice origin, const char *platform);
static const char *note_holds(Pass *p, const char *key_id, TzSlice note, int64 size, const TzHash *root,
                              const TzHash *chain);
static void heads_end(Pass *p);
static void stream_open(Stream *s, const char *sql, const char *platform, int64 from);
static bool stream_row(Stream *s, uint64 *row);
static void stream_close(Stream *s);

void
tz_verify_chain(TzVerify *v)
{
	TzSealScan *scan = tz_seals_scan(v->platform, v->from, PG_INT64_MAX, false);
	Pass *p = palloc0(sizeof(*p));
	const TzSealRow *seal;
	bool more = true;

	p->v = v;
	p->batch = AllocSetContextCreate(CurrentMemoryContext, "theazo verify", ALLOCSET_DEFAULT_SIZES);
	pass_begin(p);
	while (more && !p->reached && (seal = tz_seals_next(scan)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (p->next_seq == 0 && !seal->odd && seal->first_seq + seal->events <= v->from)
			continue;
		more = pass_seal(p, seal);
	}
	if (more && !p->reached)
		heads_end(p);
	stream_close(&p->heads);
	stream_close(&p->nodes);
	tz_seals_end(scan);
	MemoryContextDelete(p->batch);
	pfree(p);
}

static void
pass_begin(Pass *p)
{
	const char *keys = "SELECT k.id, k.public_key FROM theazo_data.audit_key k ORDER BY k.created_at DESC";

	if (SPI_execute_with_args(keys, 0, NULL, NULL, NULL, true, KEYS_MAX) != SPI_OK_SELECT)
		elog(ERROR, "could not read the keys of the audit trail");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		TzSlice key = tz_spi_bytea(i, 2);

		if (key.len != TZ_ED25519_LEN)
			continue;
		memcpy(p->keys[p->nkeys].key, key.data, key.len);
		strlcpy(p->keys[p->nkeys].id, tz_spi_text(i, 1), sizeof(p->keys[0].id));
		p->nkeys++;
	}
	SPI_freetuptable(SPI_tuptable);
}

/* What the range begins with. */
static bool
pass_start(Pass *p, const TzSealRow *seal)
{
	TzVerify *v = p->v;
	TzSealRow *before;
	bool ok = true;
	TzErr err;

	if (seal->first_seq == 1 || v->whole)
	{
		tz_frontier_init(&p->tree);
		tz_check(tz_chain_genesis(v->hasher, tz_slice_cstr(v->platform), &p->chain, &err), &err);
		p->next_seq = 1;
	}
	else
	{
		before = palloc(sizeof(*before));
		p->next_seq = seal->first_seq;
		if (!tz_seal_before(v->platform, seal->first_seq, before) || before->odd ||
		    before->first_seq + before->events != seal->first_seq ||
		    tz_frontier_load(&p->tree, (uint64_t) seal->first_seq - 1,
		                     tz_slice((const char *) before->frontier,
		                              (size_t) before->nfrontier * TZ_HASH_LEN),
		                     &err) != TZ_OK)
		{
			tz_verify_bad(v, seal->first_seq - 1, "seal", NULL,
			              "the seal before the range is missing or does not fit");
			ok = false;
		}
		p->chain = before->hash;
		pfree(before);
	}
	v->first_seq = Max(v->from, p->next_seq);
	v->last_seq = v->first_seq - 1;
	stream_open(&p->heads, HEADS_SELECT, v->platform, p->next_seq);
	stream_open(&p->nodes, NODES_SELECT, v->platform, p->next_seq);
	return ok;
}

static bool
pass_seal(Pass *p, const TzSealRow *seal)
{
	TzVerify *v = p->v;
	TzErr err;
	TzHash h;

	MemoryContextReset(p->batch);
	if (p->next_seq == 0 && !pass_start(p, seal))
		return false;
	if (!seal_fits(p, seal))
		return false;
	tz_check(tz_chain_header(v->hasher, &p->chain, (uint64_t) seal->first_seq, (uint32_t) seal->events,
	                         seal->sealed_at_us, &h, &err),
	         &err);
	for (int i = 0; i < seal->events; i++)
	{
		tz_check(tz_chain_link(v->hasher, &h, &seal->leaves[i], &h, &err), &err);
		tz_check(tz_frontier_append(v->hasher, &p->tree, &seal->leaves[i], node_done, p, &err), &err);
		p->next_seq++;
		if (v->bad.found && v->bad.seq > 0)
			return false;
		if (p->next_seq > p->head_at && !heads_check(p, &h))
			return false;
	}
	if (!seal_result(p, seal, &h))
		return false;
	p->chain = h;
	v->last_seq = Min(v->to, p->next_seq - 1);
	return true;
}

/* What a seal says of itself. */
static bool
seal_fits(Pass *p, const TzSealRow *seal)
{
	TzVerify *v = p->v;
	char id[TZ_ID_MAX + 1];
	TzErr err;

	if (seal->first_seq != p->next_seq)
	{
		tz_verify_bad(v, p->next_seq, "seal", NULL,
		              seal->first_seq > p->next_seq ? "missing: the next seal begins at " INT64_FORMAT
		                                            : "out of place: it begins at " INT64_FORMAT,
		              seal->first_seq);
		return false;
	}
	if (seal->odd)
	{
		tz_verify_bad(v, seal->first_seq, "seal", NULL,
		              "its lists do not have the length that its count says");
		return false;
	}
	if (memcmp(&seal->prev, &p->chain, sizeof(seal->prev)) != 0)
	{
		tz_verify_bad(v, seal->first_seq, "seal", NULL, "prev_hash is not the hash of the seal before");
		return false;
	}
	for (int i = 1; i < seal->events; i++)
	{
		if (memcmp(seal->ids[i - 1], seal->ids[i], TZ_ID_BYTES) >= 0)
		{
			tz_verify_bad(v, seal->first_seq + i, "seal", NULL,
			              "its list of ids was changed: they do not ascend");
			return false;
		}
	}
	tz_check(tz_id_unpack(tz_slice_cstr("evt"), seal->ids[0], id, &err), &err);
	if (strcmp(id, seal->min_id) != 0)
	{
		tz_verify_bad(v, seal->first_seq, "seal", NULL, "min_id is not the first of its ids");
		return false;
	}
	tz_check(tz_id_unpack(tz_slice_cstr("evt"), seal->ids[seal->events - 1], id, &err), &err);
	if (strcmp(id, seal->max_id) != 0)
	{
		tz_verify_bad(v, seal->first_seq, "seal", NULL, "max_id is not the last of its ids");
		return false;
	}
	return true;
}

/* What must have come out at its end. */
static bool
seal_result(Pass *p, const TzSealRow *seal, const TzHash *end)
{
	TzVerify *v = p->v;
	TzSlice roots = tz_frontier_slice(&p->tree);

	if (memcmp(end, &seal->hash, sizeof(*end)) != 0)
	{
		seal_blame(p, seal);
		return false;
	}
	if (roots.len != (size_t) seal->nfrontier * TZ_HASH_LEN ||
	    memcmp(roots.data, seal->frontier, roots.len) != 0)
	{
		tz_verify_bad(v, seal->first_seq, "seal", NULL, "frontier is not what the tree is after it");
		return false;
	}
	return true;
}

/* A seal whose hash does not come out: its list of leaves was changed if the rows give the hash. */
static void
seal_blame(Pass *p, const TzSealRow *seal)
{
	TzVerify *v = p->v;
	TzHash leaves[TZ_VERIFY_SEAL_EVENTS];
	TzHash h;
	TzErr err;

	tz_verify_seal_rows(v, seal, leaves);
	tz_check(tz_chain_header(v->hasher, &p->chain, (uint64_t) seal->first_seq, (uint32_t) seal->events,
	                         seal->sealed_at_us, &h, &err),
	         &err);
	for (int i = 0; i < seal->events; i++)
		tz_check(tz_chain_link(v->hasher, &h, &leaves[i], &h, &err), &err);
	for (int i = 0; memcmp(&h, &seal->hash, sizeof(h)) == 0 && i < seal->events; i++)
	{
		if (memcmp(&leaves[i], &seal->leaves[i], sizeof(leaves[i])) != 0)
			tz_verify_bad(v, seal->first_seq + i, "seal", NULL,
			              "its list of leaves was changed: the row itself gives the sealed hash");
	}
	if (!v->bad.found)
		tz_verify_bad(v, seal->first_seq, "seal", NULL,
		              "its hash is not what its time, its count and its leaves give");
}

/* A subtree is complete: kept levels must be there, with this hash. */
static TzStatus
node_done(void *arg, int level, uint64_t index, const TzHash *hash, TzErr *err)
{
	Pass *p = arg;
	uint64 row;
	int64 at;
	TzSlice kept;

	if (level % TZ_MERKLE_KEPT_LEVELS != 0)
		return TZ_OK;
	if (!stream_row(&p->nodes, &row))
	{
		tz_verify_bad(p->v, p->next_seq, "tree_node", NULL, "node %d, " UINT64_FORMAT " is missing", level,
		              index);
		return TZ_OK;
	}
	SPI_tuptable = p->nodes.rows;
	at = tz_spi_int64(row, 2, 0);
	if (tz_spi_int16(row, 1, 0) != level || at != (int64) index)
	{
		tz_verify_bad(p->v, p->next_seq, "tree_node", NULL,
		              "node %d, " UINT64_FORMAT " is missing, or node %d, " INT64_FORMAT
		              " should not be there",
		              level, index, tz_spi_int16(row, 1, 0), at);
		return TZ_OK;
	}
	kept = tz_spi_bytea(row, 3);
	if (kept.len != TZ_HASH_LEN || memcmp(kept.data, hash->bytes, TZ_HASH_LEN) != 0)
		tz_verify_bad(p->v, p->next_seq, "tree_node", NULL,
		              "the hash of node %d, " UINT64_FORMAT " is not that of its leaves", level, index);
	p->nodes.at++;
	return TZ_OK;
}

/* Signed heads that stand at the leaf that was just added. */
static bool
heads_check(Pass *p, const TzHash *chain)
{
	uint64 row;
	int64 size;

	while (stream_row(&p->heads, &row))
	{
		SPI_tuptable = p->heads.rows;
		size = tz_spi_int64(row, 1, 0);
		p->head_at = size;
		if (size > p->next_seq - 1)
			return true;
		if (!head_check(p, chain, row))
			return false;
		p->heads.at++;
		p->v->signed_seq = size;
		if (size >= p->v->to)
			p->reached = true;
	}
	p->head_at = PG_INT64_MAX;
	return true;
}

static bool
head_check(Pass *p, const TzHash *chain, uint64 row)
{
	TzVerify *v = p->v;
	MemoryContext old = MemoryContextSwitchTo(p->batch);
	int64 size = tz_spi_int64(row, 1, 0);
	TzSlice root = tz_spi_bytea(row, 2);
	TzSlice end = tz_spi_bytea(row, 3);
	const char *key_id = tz_spi_text(row, 4);
	TzSlice note = tz_slice_cstr(tz_spi_text(row, 5));
	TzHash computed;
	const char *problem = NULL;
	TzErr err;

	tz_check(tz_frontier_root(v->hasher, &p->tree, &computed, &err), &err);
	if (root.len != TZ_HASH_LEN || memcmp(root.data, computed.bytes, TZ_HASH_LEN) != 0)
		problem = "root is not the root of the leaves up to here";
	else if (end.len != TZ_HASH_LEN || memcmp(end.data, chain->bytes, TZ_HASH_LEN) != 0)
		problem = "chain is not the end of the chain here";
	else
		problem = note_holds(p, key_id, note, size, &computed, chain);
	if (problem != NULL)
		tz_verify_bad(v, size, "audit_checkpoint", NULL, "%s", problem);
	MemoryContextSwitchTo(old);
	return problem == NULL;
}

/* The setting that begins an origin may have changed; how it ends does not. */
static bool
of_platform(TzSlice origin, const char *platform)
{
	size_t len = strlen(platform);

	return origin.len > len && origin.data[origin.len - len - 1] == '/' &&
	       memcmp(origin.data + origin.len - len, platform, len) == 0;
}

/* NULL, or what is wrong with the note. */
static const char *
note_holds(Pass *p, const char *key_id, TzSlice note, int64 size, const TzHash *root, const TzHash *chain)
{
	TzCheckpoint head;
	TzErr err;

	if (tz_checkpoint_read(note, &head, &err) != TZ_OK)
		return "its note cannot be read";
	if (head.size != (uint64_t) size || memcmp(&head.root, root, TZ_HASH_LEN) != 0 || !head.has_chain ||
	    memcmp(&head.chain, chain, TZ_HASH_LEN) != 0)
		return "its note says something else than its columns";
	if (!of_platform(head.origin, p->v->platform))
		return "its note is of another platform";
	for (int i = 0; i < p->nkeys; i++)
	{
		if (strcmp(p->keys[i].id, key_id) == 0)
			return tz_checkpoint_verify(note, p->keys[i].key, &head, &err) == TZ_OK
			           ? NULL
			           : "its signature does not hold";
	}
	return "it names a key that is not there";
}

/* Nothing is sealed any more, but heads or nodes go on: the tail was cut off. */
static void
heads_end(Pass *p)
{
	TzVerify *v = p->v;
	uint64 row;

	if (p->next_seq == 0)
	{
		/* nothing is sealed in the range, or nothing at all */
		p->next_seq = v->from;
		stream_open(&p->heads, HEADS_SELECT, v->platform, v->from);
		stream_open(&p->nodes, NODES_SELECT, v->platform, v->from);
	}
	if (stream_row(&p->heads, &row))
	{
		SPI_tuptable = p->heads.rows;
		tz_verify_bad(v, p->next_seq, "seal", NULL, "missing: a head over " INT64_FORMAT " events was signed",
		              tz_spi_int64(row, 1, 0));
	}
	else if (stream_row(&p->nodes, &row))
	{
		SPI_tuptable = p->nodes.rows;
		tz_verify_bad(v, p->next_seq, "tree_node", NULL, "node %d, " INT64_FORMAT " has no leaves any more",
		              tz_spi_int16(row, 1, 0), tz_spi_int64(row, 2, 0));
	}
}

static void
stream_open(Stream *s, const char *sql, const char *platform, int64 from)
{
	Oid types[2] = {TEXTOID, INT8OID};
	Datum values[2] = {CStringGetTextDatum(platform), Int64GetDatum(from)};

	s->portal = SPI_cursor_open_with_args(NULL, sql, 2, types, values, NULL, true, CURSOR_OPT_NO_SCROLL);
}

/* The row at hand, in s->rows; false: none left. */
static bool
stream_row(Stream *s, uint64 *row)
{
	if (s->at == s->n)
	{
		if (s->rows != NULL)
			SPI_freetuptable(s->rows);
		SPI_cursor_fetch(s->portal, true, HEAD_BATCH);
		s->rows = SPI_tuptable;
		s->n = SPI_processed;
		s->at = 0;
	}
	*row = s->at;
	return s->at < s->n;
}

static void
stream_close(Stream *s)
{
	if (s->portal == NULL)
		return;
	if (s->rows != NULL)
		SPI_freetuptable(s->rows);
	SPI_cursor_close(s->portal);
}
