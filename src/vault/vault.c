/*-------------------------------------------------------------------------
 *
 * vault.c
 *	  Sealing from SQL, opening in workers only.
 *
 * Platform keys are derived once per process and kept in locked memory, because
 * deriving them costs more than opening a record. Nothing here returns a value
 * to SQL: secret_opens() tells whether one would open.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "lib/id.h"
#include "pg/convert.h"
#include "pg/coredump.h"
#include "pg/errors.h"
#include "pg/export.h"
#include "pg/objects.h"
#include "pg/pausepoint.h"
#include "pg/worker.h"
#include "vault/keyring.h"
#include "vault/redact.h"
#include "vault/vault.h"

#define PLATFORM_KEYS_MAX 32
#define RANDOM_BYTES_MAX 1024

typedef struct PlatformKey
{
	uint64 used; /* 0: free */
	char master[TZ_FINGERPRINT_LEN + 1];
	char platform[TZ_ID_MAX + 1];
	uint8_t salt[TZ_SALT_LEN];
	uint8_t key[TZ_KEY_LEN];
} PlatformKey;

typedef struct PlatformKeys
{
	uint64 clock;
	PlatformKey entry[PLATFORM_KEYS_MAX];
} PlatformKeys;

static TzEnvelope *vault_env = NULL;
static PlatformKeys *vault_keys = NULL;

static TzStatus vault_ready(TzErr *err);
static TzStatus vault_platform_key(const uint8_t *master, const char *fingerprint, TzSlice platform,
                                   TzSlice salt, const uint8_t **key, TzErr *err);
static TzStatus vault_open(const TzSealName *name, TzSlice platform_salt, TzSlice master_key_id, TzSlice salt,
                           TzSlice sealed, TzBuf *out, TzErr *err);
static TzStatus vault_reseal(const TzSealName *name, TzSlice platform_salt, const TzSlice old[3],
                             TzSlice target, const uint8_t new_salt[TZ_SALT_LEN], TzBuf *sealed, TzErr *err);
static void theazo_seal_args(FunctionCallInfo fcinfo, TzSealName *name, TzSlice *platform_salt);

TzStatus
tz_vault_open(TzSlice platform, TzSlice session, TzSlice name, uint32_t version, TzSlice platform_salt,
              TzSlice master_key_id, TzSlice salt, TzSlice sealed, TzBuf *out, TzErr *err)
{
	TzSealName who = {platform, session, name, version};

	if (MyBackendType != B_BG_WORKER)
		return tz_err_set(err, TZ_REFUSED, "only workers open secrets");
	return vault_open(&who, platform_salt, master_key_id, salt, sealed, out, err);
}

TzStatus
tz_vault_open_key(TzSlice platform, TzSlice id, TzSlice platform_salt, TzSlice master_key_id, TzSlice salt,
                  TzSlice sealed, TzBuf *out, TzErr *err)
{
	/* versions of secrets begin at 1 */
	TzSealName who = {platform, {"", 0}, id, 0};

	return vault_open(&who, platform_salt, master_key_id, salt, sealed, out, err);
}

int
tz_vault_sqlstate(TzStatus status)
{
	switch (status)
	{
		case TZ_UNAVAILABLE:
			return ERRCODE_TZ_NO_MASTER_KEY;
		case TZ_CRYPTO:
			return ERRCODE_TZ_NOT_AUTHENTIC;
		case TZ_NOT_FOUND:
			return ERRCODE_TZ_UNKNOWN_KEY;
		case TZ_BAD_INPUT:
		case TZ_TOO_LARGE:
			return ERRCODE_INVALID_PARAMETER_VALUE;
		default:
			return tz_error_of_status(status);
	}
}

TzStatus
tz_vault_seal(const TzSealName *name, TzSlice platform_salt, const uint8_t salt[TZ_SALT_LEN], TzSlice value,
              const char **fingerprint, TzBuf *sealed, TzErr *err)
{
	const uint8_t *master;
	const uint8_t *key;
	TzStatus status = vault_ready(err);

	if (status != TZ_OK)
		return status;
	master = tz_keyring_key(0, fingerprint);
	status = vault_platform_key(master, *fingerprint, name->platform, platform_salt, &key, err);
	if (status == TZ_OK)
		status = tz_envelope_seal(vault_env, key, name, salt, value, sealed, err);
	return status;
}

/*
 * theazo_internal.secret_seal(platform, session, name, version, platform_salt, value,
 * OUT master_key_id, OUT salt, OUT sealed)
 */
THEAZO_FUNCTION(theazo_secret_seal)
{
	TzSealName name;
	TzSlice platform_salt;
	TzSlice value;
	const char *fingerprint;
	uint8_t salt[TZ_SALT_LEN];
	TzBuf sealed;
	TupleDesc desc;
	Datum values[3];
	bool nulls[3] = {false, false, false};
	TzErr err;
	TzStatus status;

	tz_redact_mark();
	theazo_seal_args(fcinfo, &name, &platform_salt);
	if (PG_ARGISNULL(5))
		ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("a secret must have a value"));
	value = tz_datum_slice(PG_GETARG_DATUM(5));
	if (value.len == 0)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("a secret must not be empty"),
		        errhint("Delete it instead."));
	if (value.len > TZ_SECRET_MAX)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		        errmsg("a secret has at most %d bytes", TZ_SECRET_MAX),
		        errdetail("This one has %zu.", value.len));
	desc = tz_result_desc(fcinfo);

	if (!pg_strong_random(salt, sizeof(salt)))
		ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random bytes"));
	tz_buf_init(&sealed, TZ_SECRET_MAX + TZ_SEALED_OVERHEAD);
	status = tz_vault_seal(&name, platform_salt, salt, value, &fingerprint, &sealed, &err);
	if (status != TZ_OK)
	{
		tz_buf_free(&sealed);
		tz_throw_as(tz_vault_sqlstate(status), &err);
	}

	PG_TRY();
	{
		values[0] = CStringGetTextDatum(fingerprint);
		values[1] = tz_bytea_datum(tz_slice((const char *) salt, sizeof(salt)));
		values[2] = tz_bytea_datum(tz_buf_slice(&sealed));
	}
	PG_FINALLY();
	{
		tz_buf_free(&sealed);
	}
	PG_END_TRY();
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

/* theazo_internal.secret_opens(platform, session, name, version, platform_salt, master_key_id, salt, sealed) */
THEAZO_FUNCTION(theazo_secret_opens)
{
	TzSealName name;
	TzSlice platform_salt;
	TzSlice args[3];
	TzBuf plain;
	TzErr err;
	TzStatus status;

	theazo_seal_args(fcinfo, &name, &platform_salt);
	for (int i = 0; i < 3; i++)
	{
		if (PG_ARGISNULL(5 + i))
			PG_RETURN_NULL();
		args[i] = tz_datum_slice(PG_GETARG_DATUM(5 + i));
	}
	tz_buf_init_secret(&plain, TZ_SECRET_MAX);
	status = vault_open(&name, platform_salt, args[0], args[1], args[2], &plain, &err);
	tz_buf_wipe(&plain);
	if (status != TZ_OK && status != TZ_CRYPTO)
		tz_throw_as(tz_vault_sqlstate(status), &err);
	PG_RETURN_BOOL(status == TZ_OK);
}

/*
 * theazo_internal.secret_reseal(platform, session, name, version, platform_salt, master_key_id, salt, sealed,
 * target, OUT new_salt, OUT new_sealed, OUT fault)
 *
 * Opens a value and seals it under another master key, without showing it. In
 * our workers only. What does not open is a fault in the row, not an error:
 * one bad row must not stop the others.
 */
THEAZO_FUNCTION(theazo_secret_reseal)
{
	TzSealName name;
	TzSlice platform_salt;
	TzSlice args[4];
	bytea *salt = palloc(VARHDRSZ + TZ_SALT_LEN);
	bytea *bytes;
	TzBuf sealed;
	TupleDesc desc;
	Datum values[3] = {0};
	bool nulls[3] = {true, true, true};
	TzErr err;
	TzStatus status;

	if (tz_worker_incarnation() == 0)
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("only workers seal secrets anew"),
		        errhint("Call theazo.vault_rotate(); the keeper carries it on."));
	theazo_seal_args(fcinfo, &name, &platform_salt);
	for (int i = 0; i < 4; i++)
	{
		if (PG_ARGISNULL(5 + i))
			ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			        errmsg("what is sealed anew must not be null"));
		args[i] = tz_datum_slice(PG_GETARG_DATUM(5 + i));
	}
	desc = tz_result_desc(fcinfo);

	TZ_PAUSE_POINT("vault-reseal");
	SET_VARSIZE(salt, VARHDRSZ + TZ_SALT_LEN);
	if (!pg_strong_random(VARDATA(salt), TZ_SALT_LEN))
		ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random bytes"));
	/* a value sealed anew is as long as it was */
	bytes = palloc(VARHDRSZ + args[2].len);
	SET_VARSIZE(bytes, VARHDRSZ + args[2].len);

	/* from here to the end of sealed nothing may throw */
	tz_buf_init(&sealed, args[2].len);
	status =
		vault_reseal(&name, platform_salt, args, args[3], (const uint8_t *) VARDATA(salt), &sealed, &err);
	if (status == TZ_OK && sealed.len != args[2].len)
		status = tz_err_set(&err, TZ_INTERNAL, "a value sealed anew has another length");
	if (status == TZ_OK)
		memcpy(VARDATA(bytes), sealed.data, sealed.len);
	tz_buf_free(&sealed);

	if (status == TZ_OK)
	{
		values[0] = PointerGetDatum(salt);
		values[1] = PointerGetDatum(bytes);
		nulls[0] = nulls[1] = false;
	}
	else if (status == TZ_CRYPTO || status == TZ_NOT_FOUND)
	{
		values[2] = CStringGetTextDatum(err.message);
		nulls[2] = false;
	}
	else
		tz_throw_as(tz_vault_sqlstate(status), &err);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

/* theazo_internal.master_key_current(): the fingerprint of the key that seals; TZ301 without one. */
THEAZO_FUNCTION(theazo_master_key_current)
{
	const char *fingerprint;
	TzErr err;

	(void) fcinfo;
	tz_err_clear(&err);
	if (tz_keyring_count() == 0)
	{
		tz_keyring_fault(&err);
		tz_throw_as(tz_vault_sqlstate(err.status), &err);
	}
	(void) tz_keyring_key(0, &fingerprint);
	PG_RETURN_DATUM(CStringGetTextDatum(fingerprint));
}

/* theazo_internal.master_key_loaded(id) */
THEAZO_FUNCTION(theazo_master_key_loaded)
{
	PG_RETURN_BOOL(tz_keyring_find(tz_datum_slice(PG_GETARG_DATUM(0))) != NULL);
}

/* theazo_internal.master_keys(OUT id, OUT current, OUT source) */
THEAZO_FUNCTION(theazo_master_keys)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < tz_keyring_count(); i++)
	{
		const char *fingerprint;
		Datum values[3];
		bool nulls[3] = {false, false, false};

		(void) tz_keyring_key(i, &fingerprint);
		values[0] = CStringGetTextDatum(fingerprint);
		values[1] = BoolGetDatum(i == 0);
		values[2] = CStringGetTextDatum(tz_keyring_source());
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* theazo_internal.random_bytes(n integer) */
THEAZO_FUNCTION(theazo_random_bytes)
{
	int n = PG_GETARG_INT32(0);
	bytea *result;

	if (n < 1 || n > RANDOM_BYTES_MAX)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		        errmsg("number of random bytes must be between 1 and %d", RANDOM_BYTES_MAX));
	result = palloc(VARHDRSZ + n);
	SET_VARSIZE(result, VARHDRSZ + n);
	if (!pg_strong_random(VARDATA(result), n))
		ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random bytes"));
	PG_RETURN_BYTEA_P(result);
}

/* What this process needs; the fault, if the server has no key. */
static TzStatus
vault_ready(TzErr *err)
{
	tz_err_clear(err);
	tz_coredump_off(); /* keyed contexts of OpenSSL lie in ordinary memory */
	if (tz_keyring_count() == 0)
	{
		tz_keyring_fault(err);
		return err->status;
	}
	if (vault_keys == NULL)
	{
		vault_keys = tz_locked_memory(sizeof(*vault_keys));
		if (vault_keys == NULL)
			return tz_err_set(err, TZ_NOMEM, "out of memory");
	}
	if (vault_env == NULL)
		return tz_envelope_new(&vault_env, err);
	return TZ_OK;
}

/* From the kept ones, else derived and kept in place of the one used longest ago. */
static TzStatus
vault_platform_key(const uint8_t *master, const char *fingerprint, TzSlice platform, TzSlice salt,
                   const uint8_t **key, TzErr *err)
{
	PlatformKey *oldest = &vault_keys->entry[0];
	TzStatus status;

	if (salt.len != TZ_SALT_LEN)
		return tz_err_set(err, TZ_BAD_INPUT, "salt of a platform must have %d bytes", TZ_SALT_LEN);
	if (platform.len < 1 || platform.len > TZ_ID_MAX)
		return tz_err_set(err, TZ_BAD_INPUT, "platform must have 1 to %d bytes", TZ_ID_MAX);

	for (int i = 0; i < PLATFORM_KEYS_MAX; i++)
	{
		PlatformKey *entry = &vault_keys->entry[i];

		if (entry->used != 0 && strcmp(entry->master, fingerprint) == 0 &&
		    tz_slice_eq_cstr(platform, entry->platform) && memcmp(entry->salt, salt.data, TZ_SALT_LEN) == 0)
		{
			entry->used = ++vault_keys->clock;
			*key = entry->key;
			return TZ_OK;
		}
		if (entry->used < oldest->used)
			oldest = entry;
	}

	oldest->used = 0;
	if (tz_slice_eq_cstr(platform, TZ_OPERATOR_PLATFORM))
		status = tz_envelope_operator_key(vault_env, master, salt, platform, TZ_PLATFORM_KEY_VERSION,
		                                  oldest->key, err);
	else
		status = tz_envelope_platform_key(vault_env, master, salt, platform, TZ_PLATFORM_KEY_VERSION,
		                                  oldest->key, err);
	if (status != TZ_OK)
		return status;
	strlcpy(oldest->master, fingerprint, sizeof(oldest->master));
	memcpy(oldest->platform, platform.data, platform.len);
	oldest->platform[platform.len] = '\0';
	memcpy(oldest->salt, salt.data, TZ_SALT_LEN);
	oldest->used = ++vault_keys->clock;
	*key = oldest->key;
	return TZ_OK;
}

static TzStatus
vault_open(const TzSealName *name, TzSlice platform_salt, TzSlice master_key_id, TzSlice salt, TzSlice sealed,
           TzBuf *out, TzErr *err)
{
	char fingerprint[TZ_FINGERPRINT_LEN + 1];
	const uint8_t *master;
	const uint8_t *key;
	const char *current;
	TzStatus status = vault_ready(err);

	if (status != TZ_OK)
		return status;
	master = tz_keyring_find(master_key_id);
	if (master == NULL)
	{
		(void) tz_keyring_key(0, &current);
		tz_err_set(err, TZ_NOT_FOUND, "master key \"%.*s\" is missing",
		           (int) Min(master_key_id.len, TZ_FINGERPRINT_LEN), master_key_id.data);
		tz_err_detail(err,
		              "The secret was sealed under it. Keys this server holds: %d; the current one: \"%s\".",
		              tz_keyring_count(), current);
		tz_err_hint(
			err,
			"Add that key as a further line of what theazo.master_key_%s gives and restart the server, or set the secret again.",
			tz_keyring_source());
		return TZ_NOT_FOUND;
	}
	memcpy(fingerprint, master_key_id.data, TZ_FINGERPRINT_LEN);
	fingerprint[TZ_FINGERPRINT_LEN] = '\0';
	status = vault_platform_key(master, fingerprint, name->platform, platform_salt, &key, err);
	if (status == TZ_BAD_INPUT)
		status = TZ_CRYPTO; /* a row that says so was not written by us */
	if (status == TZ_OK)
		status = tz_envelope_open(vault_env, key, name, salt, sealed, out, err);
	if (status == TZ_CRYPTO)
	{
		tz_err_set(err, TZ_CRYPTO, "secret \"%.*s\" does not authenticate", (int) Min(name->name.len, 128),
		           name->name.data);
		tz_err_detail(err, "Version %u: it, its salt or the place it stands in is not what was sealed.",
		              name->version);
		tz_err_hint(err, "Set the secret again.");
	}
	return status;
}

/*
 * old: master key id, salt and sealed bytes. The new bytes are opened again
 * before they are given away: they will replace the only copy of a value.
 */
static TzStatus
vault_reseal(const TzSealName *name, TzSlice platform_salt, const TzSlice old[3], TzSlice target,
             const uint8_t new_salt[TZ_SALT_LEN], TzBuf *sealed, TzErr *err)
{
	TzSlice salt = tz_slice((const char *) new_salt, TZ_SALT_LEN);
	char fingerprint[TZ_FINGERPRINT_LEN + 1];
	const uint8_t *master;
	const uint8_t *key;
	TzBuf plain;
	TzBuf again;
	TzStatus status;

	tz_buf_init_secret(&plain, TZ_SECRET_MAX);
	tz_buf_init_secret(&again, TZ_SECRET_MAX);
	status = vault_open(name, platform_salt, old[0], old[1], old[2], &plain, err);
	master = tz_keyring_find(target);
	if (status == TZ_OK && master == NULL)
		status = tz_err_set(err, TZ_INTERNAL, "the master key to seal under is missing");
	if (status == TZ_OK)
	{
		memcpy(fingerprint, target.data, TZ_FINGERPRINT_LEN);
		fingerprint[TZ_FINGERPRINT_LEN] = '\0';
		status = vault_platform_key(master, fingerprint, name->platform, platform_salt, &key, err);
	}
	if (status == TZ_OK)
		status = tz_envelope_seal(vault_env, key, name, new_salt, tz_buf_slice(&plain), sealed, err);
	if (status == TZ_OK &&
	    (tz_envelope_open(vault_env, key, name, salt, tz_buf_slice(sealed), &again, err) != TZ_OK ||
	     again.len != plain.len || memcmp(again.data, plain.data, plain.len) != 0))
		status = tz_err_set(err, TZ_INTERNAL, "a value sealed anew does not open");
	tz_buf_wipe(&again);
	tz_buf_wipe(&plain);
	return status;
}

/* The first five arguments of all three functions. Named theazo_ as redaction trusts messages from there. */
static void
theazo_seal_args(FunctionCallInfo fcinfo, TzSealName *name, TzSlice *platform_salt)
{
	if (PG_ARGISNULL(0) || PG_ARGISNULL(2) || PG_ARGISNULL(3) || PG_ARGISNULL(4))
		ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
		        errmsg("platform, name, version and salt of a secret must not be null"));
	name->platform = tz_datum_slice(PG_GETARG_DATUM(0));
	name->session = PG_ARGISNULL(1) ? tz_slice("", 0) : tz_datum_slice(PG_GETARG_DATUM(1));
	name->name = tz_datum_slice(PG_GETARG_DATUM(2));
	name->version = (uint32_t) PG_GETARG_INT32(3);
	*platform_salt = tz_datum_slice(PG_GETARG_DATUM(4));
}
