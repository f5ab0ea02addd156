/*-------------------------------------------------------------------------
 *
 * judge_anchor.c
 *	  What stands behind a seal: signed checkpoints, rounds, anchors.
 *
 * An anchor counts only when it was checked with something the auditor brought
 * along. One that contradicts what the auditor brought along is a finding; one
 * that nothing can check is a claim, and told as such.
 *
 *-------------------------------------------------------------------------
 */
#include "verify/judge_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/tsa.h"

#define ANCHOR_NAME_MAX 100

static bool signature(TzJudge *j, TzSlice note, uint64_t size);
static void signed_by(TzJudge *j, const TzTrustKey *key);
static bool round_root(TzJudge *j, const TzRecord *record, uint64_t index);
static bool anchor_stamp(TzJudge *j, const TzRecord *record, TzSlice name);
static bool anchor_tx(TzJudge *j, const TzRecord *record, TzSlice name);
static bool given_tx(TzJudge *j);
static bool given_line(TzJudge *j);
static void covered(TzJudge *j, int64_t at_us, const char *tx_hash, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

bool
tz_judge_checkpoint(TzJudge *j, const TzRecord *record)
{
	TzCheckpoint checkpoint;
	uint64_t size = j->next_seq - 1;
	TzHash root;
	TzSlice note;
	TzErr err;

	if (tz_record_text(record, "note", TZ_CHECKPOINT_MAX, &note, &err) != TZ_OK)
		return tz_judge_unreadable(j, &err);
	if (tz_checkpoint_read(note, &checkpoint, &err) != TZ_OK)
		return tz_judge_bad(j, "audit_checkpoint", size, NULL, "no signed checkpoint: %s", err.message);
	if (!tz_slice_eq_cstr(checkpoint.origin, j->find.origin))
		return tz_judge_bad(j, "audit_checkpoint", size, NULL, "a checkpoint of another origin");
	if (checkpoint.size != size)
		return tz_judge_bad(j, "audit_checkpoint", checkpoint.size, NULL,
		                    "a checkpoint of size %llu stands behind event %llu",
		                    (unsigned long long) checkpoint.size, (unsigned long long) size);
	if (tz_frontier_root(j->hasher, &j->tree, &root, &err) != TZ_OK)
		return tz_judge_unreadable(j, &err);
	if (!signature(j, note, size))
		return false;
	if (memcmp(&root, &checkpoint.root, sizeof(root)) != 0)
		return tz_judge_bad(j, "audit_checkpoint", size, NULL,
		                    "the signed root is not the root of the events up to here");
	if (checkpoint.has_chain && memcmp(&j->chain, &checkpoint.chain, sizeof(j->chain)) != 0)
		return tz_judge_bad(j, "audit_checkpoint", size, NULL,
		                    "the signed end of the chain is not the one of the events up to here");
	if (tz_merkle_leaf(j->hasher, note, &j->checkpoint_leaf, &err) != TZ_OK)
		return tz_judge_unreadable(j, &err);
	j->find.signed_seq = size;
	j->checkpoint_size = size;
	j->round[0] = '\0';
	return true;
}

/* Keys that were given are the only ones that count; without any, those the export names. */
static bool
signature(TzJudge *j, TzSlice note, uint64_t size)
{
	bool given = j->trust->nkeys > 0;
	const TzTrustKey *keys = given ? j->trust->key : j->own;
	int n = given ? j->trust->nkeys : j->nown;
	TzCheckpoint head;
	TzErr err;

	for (int i = 0; i < n; i++)
	{
		if (strcmp(keys[i].name, j->find.origin) == 0 &&
		    tz_checkpoint_verify(note, keys[i].key, &head, &err) == TZ_OK)
		{
			signed_by(j, &keys[i]);
			return true;
		}
	}
	return tz_judge_bad(j, "audit_checkpoint", size, NULL, "it is not signed by %s",
	                    given ? "a given key" : "a key that the export names");
}

/* Name and id: a verifier key without the key. */
static void
signed_by(TzJudge *j, const TzTrustKey *key)
{
	TzBuf text;

	tz_buf_init(&text, sizeof(j->find.signed_by) + 64);
	if (tz_vkey_append(tz_slice_cstr(key->name), key->key, &text, NULL) == TZ_OK)
		snprintf(j->find.signed_by, sizeof(j->find.signed_by), "%.*s", (int) strlen(key->name) + 9,
		         text.data);
	tz_buf_free(&text);
}

bool
tz_judge_round(TzJudge *j, const TzRecord *record)
{
	uint64_t index;
	uint64_t size;
	TzSlice id;
	TzErr err;

	if (j->checkpoint_size == 0)
		return tz_judge_broken(j, "a round without its checkpoint");
	if (tz_record_text(record, "id", TZ_ANCHOR_ROUND_MAX, &id, &err) != TZ_OK ||
	    tz_record_number(record, "index", 0, INT32_MAX, &index, &err) != TZ_OK ||
	    tz_record_number(record, "size", 1, INT32_MAX, &size, &err) != TZ_OK)
		return tz_judge_unreadable(j, &err);
	memset(j->round, 0, sizeof(j->round));
	memcpy(j->round, id.data, id.len);
	memset(&j->anchor, 0, sizeof(j->anchor));
	j->anchor.round = tz_slice(j->round, id.len);
	j->anchor.size = size;
	if (!round_root(j, record, index))
		return false;
	/* what was brought along speaks for itself, whatever anchors the export names */
	return given_line(j) && given_tx(j);
}

/* The root that the checkpoint and its path lead to must be the one that was anchored. */
static bool
round_root(TzJudge *j, const TzRecord *record, uint64_t index)
{
	TzHash path[TZ_MERKLE_PATH_MAX];
	TzHash root;
	TzErr err;
	int n;

	if (tz_record_hash(record, "root", &root, &err) != TZ_OK ||
	    tz_record_hashes(record, "path", TZ_MERKLE_PATH_MAX, path, &n, &err) != TZ_OK)
		return tz_judge_unreadable(j, &err);
	if (tz_merkle_verify_inclusion(j->hasher, &j->checkpoint_leaf, index, j->anchor.size, path, n, &root,
	                               &err) != TZ_OK)
		return tz_judge_bad(
			j, "audit_round_leaf", j->checkpoint_size, j->round,
			"the checkpoint is not the one that was anchored in this round: it was signed anew");
	memcpy(j->anchor.root, root.bytes, sizeof(j->anchor.root));
	return true;
}

bool
tz_judge_anchor(TzJudge *j, const TzRecord *record)
{
	TzSlice round;
	TzSlice name;
	TzSlice kind;
	TzErr err;

	if (tz_record_text(record, "round", TZ_ANCHOR_ROUND_MAX, &round, &err) != TZ_OK ||
	    tz_record_text(record, "name", ANCHOR_NAME_MAX, &name, &err) != TZ_OK ||
	    tz_record_text(record, "kind", 32, &kind, &err) != TZ_OK)
		return tz_judge_unreadable(j, &err);
	if (j->round[0] == '\0' || !tz_slice_eq_cstr(round, j->round))
		return tz_judge_broken(j, "an anchor without its round");
	j->find.claimed_seq = j->checkpoint_size;
	if (tz_slice_eq_cstr(kind, "rfc3161"))
		return anchor_stamp(j, record, name);
	if (tz_slice_eq_cstr(kind, "evm"))
		return anchor_tx(j, record, name);
	return true;
}

/* A token proves itself: against the given authority, or at least that its signature is right. */
static bool
anchor_stamp(TzJudge *j, const TzRecord *record, TzSlice name)
{
	uint8_t digest[TZ_TSA_DIGEST_LEN];
	TzSlice token;
	TzTsaStamp stamp;
	bool found;
	TzErr err;

	tz_buf_reset(&j->space);
	if (tz_record_bytes(record, "token", &found, &j->space, &err) != TZ_OK)
		return tz_judge_unreadable(j, &err);
	if (!found)
		return tz_judge_bad(j, "audit_anchor", j->checkpoint_size, j->round,
		                    "a time stamp without its token");
	token = tz_buf_slice(&j->space);
	if (tz_anchor_digest(&j->anchor, digest, &err) != TZ_OK)
		return tz_judge_unreadable(j, &err);
	if (j->trust->ca_pem.len > 0)
	{
		TzStatus status = tz_tsa_check(token, digest, NULL, tz_buf_slice(&j->trust->ca_pem), &stamp, &err);

		if (status == TZ_OK)
		{
			covered(j, stamp.at_us, NULL, "rfc3161 \"%.*s\" (signer %.100s, serial %.64s)", (int) name.len,
			        name.data, stamp.signer, stamp.serial);
			return true;
		}
		if (status == TZ_BAD_INPUT)
			return tz_judge_unreadable(j, &err);
	}
	if (tz_tsa_check(token, digest, NULL, tz_slice(NULL, 0), &stamp, &err) != TZ_OK)
		return tz_judge_bad(j, "audit_anchor", j->checkpoint_size, j->round, "%s", err.message);
	return true;
}

/* The named transaction must carry the root, where the auditor fetched it. */
static bool
anchor_tx(TzJudge *j, const TzRecord *record, TzSlice name)
{
	const json_t *evidence = json_object_get(record->json, "evidence");
	uint8_t data[TZ_ANCHOR_DATA_LEN];
	const TzTrustTx *tx;
	TzSlice hash = {0};
	TzErr err;

	if (tz_json_get_str(evidence, "tx_hash", true, 128, &hash, &err) != TZ_OK)
		return tz_judge_bad(j, "audit_anchor", j->checkpoint_size, j->round, "no transaction hash in it");
	tx = tz_trust_tx_hash(j->trust, hash);
	if (tx == NULL)
		return true;
	tz_anchor_data(&j->anchor, data);
	if (!tx->ours || memcmp(tx->data, data, sizeof(data)) != 0)
		return tz_judge_bad(j, "audit_anchor", j->checkpoint_size, j->round,
		                    "transaction %s (anchor \"%.*s\") does not carry this root", tx->hash,
		                    (int) name.len, name.data);
	if (tx->failed)
		return tz_judge_bad(j, "audit_anchor", j->checkpoint_size, j->round, "transaction %s failed",
		                    tx->hash);
	return true;
}

static bool
given_tx(TzJudge *j)
{
	uint8_t data[TZ_ANCHOR_DATA_LEN];
	const TzTrustTx *tx;

	tz_anchor_data(&j->anchor, data);
	tx = tz_trust_tx(j->trust, data);
	if (tx != NULL)
		covered(j, INT64_MIN, tx->hash, "evm transaction %s", tx->hash);
	return true;
}

static bool
given_line(TzJudge *j)
{
	const TzTrustLine *line = tz_trust_line(j->trust, j->round);

	if (line == NULL)
		return true;
	if (line->size != j->anchor.size || memcmp(line->root, j->anchor.root, sizeof(line->root)) != 0)
		return tz_judge_bad(j, "audit_round", j->checkpoint_size, j->round,
		                    "the anchor file has another root for this round: it was signed anew");
	covered(j, line->at_us, NULL, "file, round %s", j->round);
	return true;
}

/* Everything up to the checkpoint at hand is anchored; of several anchors the earliest time counts. */
static void
covered(TzJudge *j, int64_t at_us, const char *tx_hash, const char *fmt, ...)
{
	TzFinding *f = &j->find;
	bool further = j->checkpoint_size > f->anchored_seq;
	va_list args;

	j->waits = false;
	if (further)
		f->anchor_tx_hash[0] = '\0';
	if (tx_hash != NULL)
		snprintf(f->anchor_tx_hash, sizeof(f->anchor_tx_hash), "%s", tx_hash);
	if (!further && (at_us == INT64_MIN || (f->anchored_at_us != INT64_MIN && f->anchored_at_us <= at_us)))
		return;
	f->anchored_seq = j->checkpoint_size;
	f->anchored_at_us = at_us;
	va_start(args, fmt);
	vsnprintf(f->anchored_by, sizeof(f->anchored_by), fmt, args);
	va_end(args);
}
