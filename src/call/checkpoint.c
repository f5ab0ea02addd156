/*-------------------------------------------------------------------------
 *
 * checkpoint.c
 *	  Signing the heads of the audit trail, in the keeper only.
 *
 * What is signed can never be taken back, so a head is signed only when it goes
 * on from the one signed last: the seal that ended there must still say the same.
 * The commit that stores checkpoints is waited for; the log is flushed up to it,
 * so every seal below a published head is on disk.
 *
 * A key lives as long as its master key is the current one. It is replaced when
 * that changes, and when this is another instance than the one that signed: the
 * two may go different ways, and each shows it by a key of its own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "call/event.h"
#include "lib/checkpoint.h"
#include "lib/envelope.h"
#include "pg/append.h"
#include "pg/convert.h"
#include "pg/errors.h"
#include "pg/export.h"
#include "pg/guc.h"
#include "pg/ids.h"
#include "pg/objects.h"
#include "pg/pausepoint.h"
#include "pg/spi.h"
#include "pg/worker.h"
#include "vault/keyring.h"
#include "vault/vault.h"

#define SEALED_SESSION "audit" /* no secret is sealed under that session */
#define SEALED_HEAD (TZ_FINGERPRINT_LEN + 2 * TZ_SALT_LEN)
#define SEALED_LEN (SEALED_HEAD + TZ_ED25519_LEN + TZ_SEALED_OVERHEAD)
#define BATCH 5000 /* platforms a call */

typedef struct AuditKey
{
	char id[TZ_ID_MAX + 1];
	uint8_t public_key[TZ_ED25519_LEN];
	TzBuf seed; /* secret */
} AuditKey;

/* A row of checkpoints_due(). */
typedef struct DueHead
{
	char *platform;
	TzFrontier frontier;
	TzHash chain;
} DueHead;

static TzHasher *hasher = NULL;

static int64 sign_heads(SPITupleTable *due, uint64 n, const AuditKey *key);
static bool due_head(SPITupleTable *due, uint64 row, DueHead *out);
static bool goes_on(HeapTuple row, TupleDesc desc);
static TzSlice due_bytes(HeapTuple row, TupleDesc desc, int col);
static int64 due_int(HeapTuple row, TupleDesc desc, int col);
static void sign_head(const DueHead *head, const AuditKey *key);
static bool key_load(AuditKey *key);
static bool key_open(AuditKey *key, TzSlice sealed);
static void key_make(AuditKey *key);
static void key_event(const char *id);
static TzSealName key_name(const char *id);

/* theazo_internal.checkpoints_make(): signs for every platform with new seals; returns how many. */
THEAZO_FUNCTION(theazo_checkpoints_make)
{
	static TzStmt due = {
		"SELECT d.platform_id, d.tree_size, d.hash, d.frontier, d.signed_size, d.signed_root,"
		" d.signed_chain, d.old_size, d.old_frontier, d.old_hash"
		" FROM theazo_internal.checkpoints_due() d",
		0,
		{0}};
	AuditKey key;
	volatile int64 made = 0;
	uint64 n;

	(void) fcinfo;
	if (!tz_worker_is_keeper())
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("only the keeper signs checkpoints"),
		        errhint("It does so every theazo.anchor_interval."));
	SPI_connect();
	n = tz_keyring_count() == 0 ? 0 : tz_spi_exec(&due, NULL, NULL, BATCH);
	if (n > 0)
	{
		SPITupleTable *rows = SPI_tuptable;

		tz_buf_init_secret(&key.seed, TZ_ED25519_LEN);
		PG_TRY();
		{
			if (!key_load(&key))
				key_make(&key);
			made = sign_heads(rows, n, &key);
		}
		PG_CATCH();
		{
			tz_buf_wipe(&key.seed);
			PG_RE_THROW();
		}
		PG_END_TRY();
		tz_buf_wipe(&key.seed);
	}
	SPI_finish();
	PG_RETURN_INT32((int32) made);
}

/* theazo_internal.attestation_sign(statement): key id and Ed25519 signature; nulls without a master key. */
THEAZO_FUNCTION(theazo_attestation_sign)
{
	TupleDesc desc = tz_result_desc(fcinfo);
	TzSlice statement = tz_datum_slice(PG_GETARG_DATUM(0));
	uint8_t signature[TZ_ED25519_SIG_LEN];
	bool nulls[2] = {true, true};
	Datum values[2] = {0};
	volatile TzStatus status = TZ_OK;
	AuditKey key;
	TzErr err;

	if (!tz_worker_is_keeper())
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("only the keeper signs statements"),
		        errhint("It does so when the end of an execution is sealed."));
	if (tz_keyring_count() > 0)
	{
		SPI_connect();
		tz_buf_init_secret(&key.seed, TZ_ED25519_LEN);
		PG_TRY();
		{
			if (!key_load(&key))
				key_make(&key);
			status = tz_ed25519_sign((const uint8_t *) key.seed.data, statement, signature, &err);
		}
		PG_CATCH();
		{
			tz_buf_wipe(&key.seed);
			PG_RE_THROW();
		}
		PG_END_TRY();
		tz_buf_wipe(&key.seed);
		SPI_finish();
		tz_check(status, &err);
		values[0] = CStringGetTextDatum(key.id);
		values[1] = tz_bytea_datum(tz_slice((const char *) signature, sizeof(signature)));
		nulls[0] = nulls[1] = false;
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

/* theazo_internal.ed25519_verify(key, message, signature) */
THEAZO_FUNCTION(theazo_ed25519_verify)
{
	TzSlice key = tz_datum_slice(PG_GETARG_DATUM(0));
	TzSlice message = tz_datum_slice(PG_GETARG_DATUM(1));
	TzSlice signature = tz_datum_slice(PG_GETARG_DATUM(2));
	TzErr err;

	PG_RETURN_BOOL(key.len == TZ_ED25519_LEN && signature.len == TZ_ED25519_SIG_LEN &&
	               tz_ed25519_verify((const uint8_t *) key.data, message, (const uint8_t *) signature.data,
	                                 &err) == TZ_OK);
}

/* theazo_internal.audit_vkey(origin, public_key): a public key as verifiers take it. */
THEAZO_FUNCTION(theazo_audit_vkey)
{
	TzSlice name = tz_datum_slice(PG_GETARG_DATUM(0));
	TzSlice public_key = tz_datum_slice(PG_GETARG_DATUM(1));
	TzStatus status;
	text *result = NULL;
	TzBuf out;
	TzErr err;

	if (public_key.len != TZ_ED25519_LEN)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		        errmsg("a public key has %d bytes", TZ_ED25519_LEN));
	tz_buf_init(&out, TZ_CHECKPOINT_MAX);
	status = tz_vkey_append(name, (const uint8_t *) public_key.data, &out, &err);
	if (status == TZ_OK)
		result = cstring_to_text_with_len(out.data, (int) out.len);
	tz_buf_free(&out);
	tz_check(status, &err);
	PG_RETURN_TEXT_P(result);
}

/* ---- heads -------------------------------------------------------------------- */

static int64
sign_heads(SPITupleTable *due, uint64 n, const AuditKey *key)
{
	int64 made = 0;
	TzErr err;

	if (hasher == NULL)
		tz_check(tz_hasher_new(&hasher, &err), &err);
	for (uint64 i = 0; i < n; i++)
	{
		DueHead head;

		if (!due_head(due, i, &head))
			continue;
		sign_head(&head, key);
		made++;
	}
	return made;
}

/* False when it must not be signed. */
static bool
due_head(SPITupleTable *due, uint64 row, DueHead *out)
{
	HeapTuple tuple = due->vals[row];
	TupleDesc desc = due->tupdesc;
	TzSlice chain = due_bytes(tuple, desc, 3);
	TzErr err;

	out->platform = SPI_getvalue(tuple, desc, 1);
	if (chain.len != TZ_HASH_LEN || !goes_on(tuple, desc) ||
	    tz_frontier_load(&out->frontier, (uint64_t) due_int(tuple, desc, 2), due_bytes(tuple, desc, 4),
	                     &err) != TZ_OK)
	{
		ereport(WARNING, errcode(ERRCODE_TZ_CHAIN_BROKEN),
		        errmsg("the audit trail of platform \"%s\" does not go on from its last checkpoint",
		               out->platform),
		        errdetail("It is not signed any more."),
		        errhint("theazo.audit_verify() says what was changed."));
		return false;
	}
	memcpy(out->chain.bytes, chain.data, TZ_HASH_LEN);
	return true;
}

/* Does the seal that ended where the last checkpoint was signed still say what was signed? */
static bool
goes_on(HeapTuple row, TupleDesc desc)
{
	int64 signed_size = due_int(row, desc, 5);
	TzSlice signed_root = due_bytes(row, desc, 6);
	TzFrontier old;
	TzHash root;
	TzErr err;

	if (signed_size == 0)
		return true;
	return due_int(row, desc, 2) > signed_size && due_int(row, desc, 8) == signed_size &&
	       tz_slice_eq(due_bytes(row, desc, 10), due_bytes(row, desc, 7)) &&
	       tz_frontier_load(&old, (uint64_t) signed_size, due_bytes(row, desc, 9), &err) == TZ_OK &&
	       tz_frontier_root(hasher, &old, &root, &err) == TZ_OK && signed_root.len == TZ_HASH_LEN &&
	       memcmp(signed_root.data, root.bytes, TZ_HASH_LEN) == 0;
}

static TzSlice
due_bytes(HeapTuple row, TupleDesc desc, int col)
{
	bool isnull;
	Datum value = SPI_getbinval(row, desc, col, &isnull);

	return isnull ? tz_slice(NULL, 0) : tz_datum_slice(value);
}

static int64
due_int(HeapTuple row, TupleDesc desc, int col)
{
	bool isnull;
	Datum value = SPI_getbinval(row, desc, col, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

static void
sign_head(const DueHead *head, const AuditKey *key)
{
	static TzAppend checkpoints = {"audit_checkpoint",
	                               7,
	                               {"platform_id", "tree_size", "signed_at", "root", "chain", "key_id",
	                                "note"},
	                               NULL};
	char *origin = psprintf("%s/%s", tz_guc_audit_origin, head->platform);
	TzCheckpoint checkpoint = {tz_slice_cstr(origin), head->frontier.size, {{0}}, true, head->chain};
	bool nulls[7] = {false};
	Datum values[7];
	TzStatus status;
	TzBuf note;
	TzErr err;

	tz_check(tz_frontier_root(hasher, &head->frontier, &checkpoint.root, &err), &err);
	tz_buf_init(&note, TZ_CHECKPOINT_MAX);
	status = tz_checkpoint_sign(&checkpoint, (const uint8_t *) key->seed.data, &note, &err);
	if (status == TZ_OK)
		values[6] = tz_text_datum(tz_buf_slice(&note));
	tz_buf_free(&note);
	tz_check(status, &err);
	values[0] = CStringGetTextDatum(head->platform);
	values[1] = Int64GetDatum((int64) head->frontier.size);
	values[2] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[3] = tz_bytea_datum(tz_slice((const char *) checkpoint.root.bytes, TZ_HASH_LEN));
	values[4] = tz_bytea_datum(tz_slice((const char *) head->chain.bytes, TZ_HASH_LEN));
	values[5] = CStringGetTextDatum(key->id);
	tz_append(&checkpoints, values, nulls);
	TZ_PAUSE_POINT("checkpoint-signed");
}

/* ---- the key --------------------------------------------------------------------- */

/* False when there is none that may sign: none yet, another master key, or one that does not open. */
static bool
key_load(AuditKey *key)
{
	static TzStmt last = {"SELECT k.id, k.public_key, k.sealed FROM theazo_data.audit_key k"
	                      " WHERE k.platform_id = '" TZ_OPERATOR_PLATFORM "' AND k.retired_at IS NULL"
	                      " ORDER BY k.id DESC LIMIT 1",
	                      0,
	                      {0}};
	uint8_t public_key[TZ_ED25519_LEN];
	TzSlice stored;
	TzErr err;

	if (tz_spi_exec(&last, NULL, NULL, 1) == 0)
		return false;
	strlcpy(key->id, tz_spi_text(0, 1), sizeof(key->id));
	stored = tz_spi_bytea(0, 2);
	if (stored.len != TZ_ED25519_LEN || !key_open(key, tz_spi_bytea(0, 3)))
		return false;
	memcpy(key->public_key, stored.data, TZ_ED25519_LEN);
	return tz_ed25519_public((const uint8_t *) key->seed.data, public_key, &err) == TZ_OK &&
	       memcmp(public_key, key->public_key, TZ_ED25519_LEN) == 0;
}

static bool
key_open(AuditKey *key, TzSlice sealed)
{
	const char *current;
	TzSealName name = key_name(key->id);
	TzErr err;

	(void) tz_keyring_key(0, &current);
	if (sealed.len != SEALED_LEN || memcmp(sealed.data, current, TZ_FINGERPRINT_LEN) != 0)
		return false;
	return tz_vault_open(name.platform, name.session, name.name, name.version,
	                     tz_slice(sealed.data + TZ_FINGERPRINT_LEN, TZ_SALT_LEN),
	                     tz_slice(sealed.data, TZ_FINGERPRINT_LEN),
	                     tz_slice(sealed.data + TZ_FINGERPRINT_LEN + TZ_SALT_LEN, TZ_SALT_LEN),
	                     tz_slice(sealed.data + SEALED_HEAD, sealed.len - SEALED_HEAD), &key->seed,
	                     &err) == TZ_OK &&
	       key->seed.len == TZ_ED25519_LEN;
}

/* A new one takes the place of whatever was there. */
static void
key_make(AuditKey *key)
{
	static TzAppend keys = {"audit_key",
	                        6,
	                        {"platform_id", "id", "public_key", "sealed", "created_at", "retired_at"},
	                        NULL};
	static TzStmt retire = {"UPDATE theazo_data.audit_key k SET retired_at = pg_catalog.clock_timestamp()"
	                        " WHERE k.platform_id = '" TZ_OPERATOR_PLATFORM "' AND k.retired_at IS NULL",
	                        0,
	                        {0}};
	uint8_t seed[TZ_ED25519_LEN];
	char head[SEALED_HEAD];
	const char *fingerprint;
	bool nulls[6] = {false, false, false, false, false, true};
	Datum values[6] = {0};
	TzSealName name;
	TzStatus status;
	TzBuf box;
	TzErr err;

	tz_buf_wipe(&key->seed);
	tz_buf_init_secret(&key->seed, TZ_ED25519_LEN);
	tz_id_new("aky", key->id);
	name = key_name(key->id);
	if (!pg_strong_random(head, sizeof(head)) || !pg_strong_random(seed, sizeof(seed)))
		ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random bytes"));
	/* from here to the end of box nothing may throw */
	status = tz_buf_append(&key->seed, seed, sizeof(seed));
	explicit_bzero(seed, sizeof(seed));
	tz_buf_init(&box, TZ_ED25519_LEN + TZ_SEALED_OVERHEAD);
	if (status == TZ_OK)
		status = tz_ed25519_public((const uint8_t *) key->seed.data, key->public_key, &err);
	if (status == TZ_OK)
		status = tz_vault_seal(&name, tz_slice(head + TZ_FINGERPRINT_LEN, TZ_SALT_LEN),
		                       (const uint8_t *) head + TZ_FINGERPRINT_LEN + TZ_SALT_LEN,
		                       tz_buf_slice(&key->seed), &fingerprint, &box, &err);
	if (status == TZ_OK)
	{
		char all[SEALED_LEN];

		memcpy(head, fingerprint, TZ_FINGERPRINT_LEN);
		memcpy(all, head, SEALED_HEAD);
		memcpy(all + SEALED_HEAD, box.data, Min(box.len, sizeof(all) - SEALED_HEAD));
		values[3] = tz_bytea_datum(tz_slice(all, SEALED_HEAD + box.len));
	}
	tz_buf_free(&box);
	if (status != TZ_OK)
		tz_throw_as(tz_vault_sqlstate(status), &err);
	(void) tz_spi_exec(&retire, NULL, NULL, 0);
	values[0] = CStringGetTextDatum(TZ_OPERATOR_PLATFORM);
	values[1] = CStringGetTextDatum(key->id);
	values[2] = tz_bytea_datum(tz_slice((const char *) key->public_key, TZ_ED25519_LEN));
	values[4] = TimestampTzGetDatum(GetCurrentTimestamp());
	tz_append(&keys, values, nulls);
	key_event(key->id);
}

static void
key_event(const char *id)
{
	TzEvent event = {{NULL, 0}};
	char event_id[TZ_ID_MAX + 1];

	event.platform = tz_slice_cstr(TZ_OPERATOR_PLATFORM);
	event.category = tz_slice_cstr("control");
	event.action = tz_slice_cstr("audit_key_made");
	event.summary =
		DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(psprintf("{\"key\": \"%s\"}", id))));
	tz_event_write(&event, event_id);
}

/* name points at the id, which must live as long. */
static TzSealName
key_name(const char *id)
{
	TzSealName name = {tz_slice_cstr(TZ_OPERATOR_PLATFORM), tz_slice_cstr(SEALED_SESSION), tz_slice_cstr(id),
	                   1};

	return name;
}
