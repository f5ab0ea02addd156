/*-------------------------------------------------------------------------
 *
 * verify_anchor.c
 *	  Verification: rounds and anchors of signed heads.
 *
 * Whoever holds the signing key can sign another past. What was anchored before
 * tells: the path of a round no longer leads from the head to the root that went
 * out. Evidence is checked as far as it goes without a network; the program
 * theazo-verify checks it against what an auditor fetched.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "audit/verify.h"
#include "lib/anchor.h"
#include "lib/sign.h"
#include "lib/tsa.h"
#include "pg/convert.h"
#include "pg/spi.h"

#define ANCHOR_BATCH 64

#define ANCHOR_SELECT                                                                                           \
	"SELECT l.tree_size, l.round_id, l.index, l.path, r.size, r.root, c.note, c.root, a.name, a.kind,"          \
	"       a.confirmed_at, a.evidence ->> 'tx_hash', a.token"                                                  \
	"  FROM theazo_data.audit_round_leaf l"                                                                     \
	"  LEFT JOIN theazo_data.audit_checkpoint c ON c.platform_id = l.platform_id AND c.tree_size = l.tree_size" \
	"  LEFT JOIN theazo_data.audit_round r"                                                                     \
	"         ON r.platform_id = theazo_internal.operator_platform() AND r.id = l.round_id"                     \
	"  LEFT JOIN theazo_data.audit_anchor a ON a.platform_id = r.platform_id AND a.round_id = r.id"             \
	" WHERE l.platform_id = $1 AND l.tree_size >= $2 ORDER BY l.tree_size, l.round_id, a.confirmed_at"

static bool anchor_row(TzVerify *v, uint64 row);
static bool round_holds(TzVerify *v, uint64 row, TzAnchor *anchor);
static bool token_holds(TzVerify *v, uint64 row, const TzAnchor *anchor);
static void anchor_counts(TzVerify *v, uint64 row);

void
tz_verify_anchors(TzVerify *v)
{
	Oid types[2] = {TEXTOID, INT8OID};
	Datum values[2] = {CStringGetTextDatum(v->platform), Int64GetDatum(Max(v->whole ? 1 : v->last_seq, 1))};
	Portal portal =
		SPI_cursor_open_with_args(NULL, ANCHOR_SELECT, 2, types, values, NULL, true, CURSOR_OPT_NO_SCROLL);
	MemoryContext batch =
		AllocSetContextCreate(CurrentMemoryContext, "theazo anchors", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;
	bool more = true;

	while (more)
	{
		CHECK_FOR_INTERRUPTS();
		SPI_cursor_fetch(portal, true, ANCHOR_BATCH);
		old = MemoryContextSwitchTo(batch);
		more = SPI_processed > 0;
		for (uint64 i = 0; i < SPI_processed && more; i++)
			more = anchor_row(v, i);
		MemoryContextSwitchTo(old);
		MemoryContextReset(batch);
		SPI_freetuptable(SPI_tuptable);
	}
	SPI_cursor_close(portal);
	MemoryContextDelete(batch);
}

/* False: nothing more is to be learnt. */
static bool
anchor_row(TzVerify *v, uint64 row)
{
	TzAnchor anchor;
	int64 size = tz_spi_int64(row, 1, 0);

	/* a range was looked at up to the next signed head: what covers that covers the range */
	if (!v->whole && (size > v->signed_seq || v->anchored_seq > 0))
		return false;
	if (v->bad.found && v->bad.seq > 0 && size >= v->bad.seq)
		return false;
	if (!round_holds(v, row, &anchor))
		return false;
	if (tz_spi_text(row, 9) == NULL)
		return true;
	if (strcmp(tz_spi_text(row, 10), "rfc3161") == 0 && !token_holds(v, row, &anchor))
		return false;
	anchor_counts(v, row);
	return true;
}

/* From the signed head along the path to the root that went out. */
static bool
round_holds(TzVerify *v, uint64 row, TzAnchor *anchor)
{
	int64 size = tz_spi_int64(row, 1, 0);
	const char *round = tz_spi_text(row, 2);
	TzSlice path = tz_spi_bytea(row, 4);
	TzSlice root = tz_spi_bytea(row, 6);
	const char *note = tz_spi_text(row, 7);
	TzHash leaf;
	TzErr err;

	memset(anchor, 0, sizeof(*anchor));
	if (note == NULL)
	{
		tz_verify_bad(v, size, "audit_checkpoint", round, "missing: the head was anchored in this round");
		return false;
	}
	if (root.len != TZ_HASH_LEN)
	{
		tz_verify_bad(v, size, "audit_round", round, "missing: the head's path leads to it");
		return false;
	}
	anchor->round = tz_slice_cstr(round);
	anchor->size = (uint64_t) tz_spi_int32(row, 5, 0);
	memcpy(anchor->root, root.data, TZ_HASH_LEN);
	tz_check(tz_merkle_leaf(v->hasher, tz_slice_cstr(note), &leaf, &err), &err);
	if (path.len % TZ_HASH_LEN != 0 || path.len > TZ_MERKLE_PATH_MAX * TZ_HASH_LEN ||
	    tz_merkle_verify_inclusion(v->hasher, &leaf, (uint64_t) tz_spi_int32(row, 3, 0), anchor->size,
	                               (const TzHash *) path.data, (int) (path.len / TZ_HASH_LEN),
	                               (const TzHash *) root.data, &err) != TZ_OK)
	{
		tz_verify_bad(
			v, size, "audit_round_leaf", round,
			"the head is not the one that was anchored in this round: it was signed anew, or the round was changed");
		return false;
	}
	return true;
}

/* Its signature and what it is of; whose it is the auditor judges. */
static bool
token_holds(TzVerify *v, uint64 row, const TzAnchor *anchor)
{
	uint8_t digest[TZ_TSA_DIGEST_LEN];
	TzTsaStamp stamp;
	TzErr err;

	tz_check(tz_anchor_digest(anchor, digest, &err), &err);
	if (tz_tsa_check(tz_spi_bytea(row, 13), digest, NULL, tz_slice(NULL, 0), &stamp, &err) == TZ_OK)
		return true;
	tz_verify_bad(v, tz_spi_int64(row, 1, 0), "audit_anchor", tz_spi_text(row, 2), "%s", err.message);
	return false;
}

/* The transaction's hash where there is one, else that of the signed root. */
static void
anchor_counts(TzVerify *v, uint64 row)
{
	const char *tx = strcmp(tz_spi_text(row, 10), "evm") == 0 ? tz_spi_text(row, 12) : NULL;
	int64 size = tz_spi_int64(row, 1, 0);
	uint8_t digest[TZ_SHA256_LEN];
	TzBuf hex;
	TzErr err;

	if (size > v->anchored_seq)
		v->anchored_tx = false;
	if (tx != NULL && strlen(tx) < sizeof(v->anchor_hash))
	{
		strlcpy(v->anchor_hash, tx, sizeof(v->anchor_hash));
		v->anchored_tx = true;
	}
	else if (!v->anchored_tx)
	{
		tz_check(tz_sha256(tz_spi_bytea(row, 8), digest, &err), &err);
		tz_buf_init(&hex, sizeof(v->anchor_hash));
		tz_hex_append(&hex, digest, sizeof(digest));
		snprintf(v->anchor_hash, sizeof(v->anchor_hash), "0x%s", hex.data);
		tz_buf_free(&hex);
	}
	if (size > v->anchored_seq)
	{
		v->anchored_at = tz_spi_timestamptz(row, 11, 0);
		v->anchored_seq = size;
	}
}
