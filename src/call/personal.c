/*-------------------------------------------------------------------------
 *
 * personal.c
 *	  Personal fields of events: committed to, and sealed under a key of the user.
 *
 * The event's hash covers the commitment SHA-256("theazo personal 1\n", 32
 * bytes of salt, name, "\n", value). Salt and value are one JSON object of
 * name: [salt in hex, value], sealed under the user's key: without it neither
 * is left, and nobody can try values against the commitment.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/json.h"

#include "call/event.h"
#include "call/personal.h"
#include "lib/sign.h"
#include "pg/convert.h"
#include "pg/export.h"
#include "pg/ids.h"
#include "pg/memo.h"
#include "pg/objects.h"
#include "pg/row.h"
#include "pg/spi.h"
#include "vault/vault.h"

#define LABEL "theazo personal 1\n"
#define KEY_ID_LEN (sizeof("uky_") - 1 + TZ_ID_ROOT_LEN)
#define PLAIN_MAX 8192 /* fields of a bounded summary with their salts */

/* Top-level fields of a summary, ascending by name. */
static const char *const personal_names[] = {"input", "output", "task", "userId"};
#define PERSONAL_NAMES ((int) lengthof(personal_names))

/* The user's key: its id and its 32 bytes. */
typedef struct UserKey
{
	char id[TZ_ID_MAX + 1];
	TzBuf bytes;
} UserKey;

/* Which key a session's user has: its id only, so that one that is destroyed is missed at once. */
#define USER_KEYS_KEPT 64

typedef struct UserKeyMemo
{
	uint64 generation; /* of platforms, whose salt this is */
	char platform[TZ_ID_MAX + 1];
	char session[TZ_ID_MAX + 1];
	char key[TZ_ID_MAX + 1];
	uint8 vault_salt[64];
	size_t vault_salt_len;
} UserKeyMemo;

static UserKeyMemo user_keys[USER_KEYS_KEPT];

static TzEnvelope *personal_env = NULL;

static bool personal_under_key(const char **values, TzSlice platform, TzSlice session, const char *event_id,
                               UserKey *key, TzPersonal *personal);
static Jsonb *personal_shown(FunctionCallInfo fcinfo, TzSlice personal, TzBuf *plain);
static int personal_index(const JsonbValue *key);
static Jsonb *personal_rest(Jsonb *summary, const char **values, bool withheld);
static bool personal_take(Jsonb *summary, const char **values);
static bool user_key_get(TzSlice platform, TzSlice session, UserKey *key);
static bool user_key_make(TzSlice platform, TzSlice user, TzSlice environment, TzSlice vault_salt,
                          UserKey *key);
static bool personal_seal(const char **values, TzSlice platform, const char *event_id, const UserKey *key,
                          TzPersonal *personal);
static void personal_commit(const char *name, const char *value, const uint8_t salt[TZ_SALT_LEN],
                            StringInfo commitments);
static TzStatus personal_open(TzSlice platform, TzSlice event, TzSlice sealed, TzBuf *plain, bool *erased);
static Jsonb *personal_all(TzSlice personal, const char *word);
static Jsonb *personal_values(TzSlice plain);

Jsonb *
tz_personal_split(Jsonb *summary, TzSlice platform, TzSlice session, const char *event_id,
                  TzPersonal *personal)
{
	const char *values[lengthof(personal_names)] = {NULL};
	UserKey key;
	volatile bool sealed = false;

	memset(personal, 0, sizeof(*personal));
	if (summary == NULL || session.data == NULL || !personal_take(summary, values))
		return summary;
	tz_buf_init_secret(&key.bytes, TZ_KEY_LEN);
	PG_TRY();
	{
		sealed = personal_under_key(values, platform, session, event_id, &key, personal);
	}
	PG_FINALLY();
	{
		tz_buf_wipe(&key.bytes);
	}
	PG_END_TRY();
	return personal_rest(summary, values, !sealed);
}

/* theazo_internal.event_personal(platform, event, personal, sealed) */
THEAZO_FUNCTION(theazo_event_personal)
{
	TzSlice personal;
	TzBuf plain;
	Jsonb *volatile result = NULL;

	tz_args_expect(fcinfo, 4);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_NULL();
	personal = tz_datum_slice(PG_GETARG_DATUM(2));
	tz_buf_init_secret(&plain, PLAIN_MAX);
	PG_TRY();
	{
		result = personal_shown(fcinfo, personal, &plain);
	}
	PG_FINALLY();
	{
		tz_buf_wipe(&plain);
	}
	PG_END_TRY();
	PG_RETURN_JSONB_P(result);
}

/* Whoever calls it wipes plain, also after an error. */
static pg_noinline Jsonb *
personal_shown(FunctionCallInfo fcinfo, TzSlice personal, TzBuf *plain)
{
	bool erased = true;

	if (!PG_ARGISNULL(3) &&
	    personal_open(tz_datum_slice(PG_GETARG_DATUM(0)), tz_datum_slice(PG_GETARG_DATUM(1)),
	                  tz_datum_slice(PG_GETARG_DATUM(3)), plain, &erased) == TZ_OK)
		return personal_values(tz_buf_slice(plain));
	return personal_all(personal, erased ? "[erased]" : "[sealed]");
}

/* Whoever calls it wipes the key, also after an error. */
static pg_noinline bool
personal_under_key(const char **values, TzSlice platform, TzSlice session, const char *event_id, UserKey *key,
                   TzPersonal *personal)
{
	return user_key_get(platform, session, key) && personal_seal(values, platform, event_id, key, personal);
}

static int
personal_index(const JsonbValue *key)
{
	for (int i = 0; i < PERSONAL_NAMES; i++)
	{
		if (tz_slice_eq_cstr(tz_slice(key->val.string.val, (size_t) key->val.string.len), personal_names[i]))
			return i;
	}
	return -1;
}

/* The values that are texts, terminated; false when there is none. */
static bool
personal_take(Jsonb *summary, const char **values)
{
	JsonbIterator *it = JsonbIteratorInit(&summary->root);
	JsonbIteratorToken token;
	JsonbValue v;
	bool any = false;
	int at = -1;

	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			at = personal_index(&v);
		else if (token == WJB_VALUE && at >= 0 && v.type == jbvString)
		{
			values[at] = pnstrdup(v.val.string.val, v.val.string.len);
			any = true;
		}
	}
	return any;
}

/* The summary without those fields, or with a word in their place. */
static Jsonb *
personal_rest(Jsonb *summary, const char **values, bool withheld)
{
	JsonbIterator *it = JsonbIteratorInit(&summary->root);
	JsonbParseState *state = NULL;
	JsonbIteratorToken token;
	JsonbValue *all = NULL;
	JsonbValue key;
	JsonbValue v;
	int n = 0;

	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			key = v;
		else if (token == WJB_VALUE)
		{
			int at = personal_index(&key);

			if (at >= 0 && values[at] != NULL)
			{
				if (!withheld)
					continue;
				v.val.string.val = "[withheld]";
				v.val.string.len = (int) strlen(v.val.string.val);
			}
			(void) pushJsonbValue(&state, WJB_KEY, &key);
			(void) pushJsonbValue(&state, WJB_VALUE, &v);
			n++;
		}
		else
			all = pushJsonbValue(&state, token, NULL);
	}
	return n == 0 ? NULL : JsonbValueToJsonb(all);
}

/*
 * The key that the session's user had last time, if it is still there. A session stays its user's, and of several keys
 * any will do.
 */
static bool
user_key_again(TzSlice platform, TzSlice session, UserKey *key)
{
	static TzRowTable keys = {"data_key", 2, 3, {"master_key_id", "salt", "sealed"}, NULL};
	UserKeyMemo *memo =
		&user_keys[hash_bytes((const unsigned char *) session.data, (int) session.len) % USER_KEYS_KEPT];
	Datum ids[2];
	TzRow row = {NULL};
	bool opened = false;
	TzErr err;

	if (memo->generation != tz_memo_generation() || !tz_slice_eq_cstr(session, memo->session) ||
	    !tz_slice_eq_cstr(platform, memo->platform))
		return false;
	ids[0] = tz_text_datum(platform);
	ids[1] = CStringGetTextDatum(memo->key);
	if (tz_row_find(&row, &keys, ids))
	{
		const AttrNumber *at = tz_row_places(&row);
		const Datum *values = row.slot->tts_values;

		strlcpy(key->id, memo->key, sizeof(key->id));
		opened = tz_vault_open_key(platform, tz_slice_cstr(memo->key),
		                           tz_slice((const char *) memo->vault_salt, memo->vault_salt_len),
		                           tz_datum_slice(values[at[0]]), tz_datum_slice(values[at[1]]),
		                           tz_datum_slice(values[at[2]]), &key->bytes, &err) == TZ_OK;
	}
	tz_row_close(&row);
	return opened && key->bytes.len == TZ_KEY_LEN;
}

static void
user_key_keep(TzSlice platform, TzSlice session, const char *id, TzSlice vault_salt)
{
	UserKeyMemo *memo =
		&user_keys[hash_bytes((const unsigned char *) session.data, (int) session.len) % USER_KEYS_KEPT];

	memo->generation = 0;
	if (platform.len > TZ_ID_MAX || session.len > TZ_ID_MAX || vault_salt.len > sizeof(memo->vault_salt))
		return;
	memcpy(memo->platform, platform.data, platform.len);
	memo->platform[platform.len] = '\0';
	memcpy(memo->session, session.data, session.len);
	memo->session[session.len] = '\0';
	strlcpy(memo->key, id, sizeof(memo->key));
	memcpy(memo->vault_salt, vault_salt.data, vault_salt.len);
	memo->vault_salt_len = vault_salt.len;
	memo->generation = tz_memo_generation();
}

/* False when there is no key and none can be made. */
static bool
user_key_get(TzSlice platform, TzSlice session, UserKey *key)
{
	static TzStmt find = {"SELECT * FROM theazo_internal.user_key_find($1, $2)", 2, {TEXTOID, TEXTOID}, NULL};
	Datum args[2] = {tz_text_datum(platform), tz_text_datum(session)};
	char *user;
	char *id;
	bool found;
	TzErr err;

	if (user_key_again(platform, session, key))
		return true;
	tz_buf_reset(&key->bytes);
	SPI_connect();
	tz_spi_exec(&find, args, NULL, 1);
	user = tz_spi_text(0, tz_spi_column("user_id"));
	id = tz_spi_text(0, tz_spi_column("key_id"));
	if (user == NULL)
		found = false;
	else if (id == NULL)
		found = user_key_make(platform, tz_slice_cstr(user),
		                      tz_slice_cstr(tz_spi_text(0, tz_spi_column("environment"))),
		                      tz_spi_bytea(0, tz_spi_column("vault_salt")), key);
	else
	{
		strlcpy(key->id, id, sizeof(key->id));
		found = tz_vault_open_key(platform, tz_slice_cstr(id), tz_spi_bytea(0, tz_spi_column("vault_salt")),
		                          tz_slice_cstr(tz_spi_text(0, tz_spi_column("master_key_id"))),
		                          tz_spi_bytea(0, tz_spi_column("salt")),
		                          tz_spi_bytea(0, tz_spi_column("sealed")), &key->bytes, &err) == TZ_OK;
		if (found)
			user_key_keep(platform, session, id, tz_spi_bytea(0, tz_spi_column("vault_salt")));
	}
	SPI_finish();
	return found && key->bytes.len == TZ_KEY_LEN;
}

static bool
user_key_make(TzSlice platform, TzSlice user, TzSlice environment, TzSlice vault_salt, UserKey *key)
{
	static TzStmt add = {"SELECT theazo_internal.user_key_add($1, $2, $3, $4, $5, $6, $7)",
	                     7,
	                     {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, BYTEAOID, BYTEAOID},
	                     NULL};
	TzSealName name = {platform, {"", 0}, {key->id, 0}, 0};
	uint8_t bytes[TZ_KEY_LEN];
	uint8_t salt[TZ_SALT_LEN];
	const char *fingerprint;
	TzBuf sealed;
	Datum args[7];
	TzErr err;
	TzStatus status;

	tz_id_new("uky", key->id);
	name.name.len = strlen(key->id);
	if (!pg_strong_random(bytes, sizeof(bytes)) || !pg_strong_random(salt, sizeof(salt)))
		ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random bytes"));
	tz_buf_append(&key->bytes, bytes, sizeof(bytes));
	explicit_bzero(bytes, sizeof(bytes));
	tz_buf_init(&sealed, TZ_KEY_LEN + TZ_SEALED_OVERHEAD);
	status = tz_vault_seal(&name, vault_salt, salt, tz_buf_slice(&key->bytes), &fingerprint, &sealed, &err);
	if (status == TZ_OK)
	{
		args[0] = tz_text_datum(platform);
		args[1] = CStringGetTextDatum(key->id);
		args[2] = tz_text_datum(environment);
		args[3] = tz_text_datum(user);
		args[4] = CStringGetTextDatum(fingerprint);
		args[5] = tz_bytea_datum(tz_slice((const char *) salt, sizeof(salt)));
		args[6] = tz_bytea_datum(tz_buf_slice(&sealed));
	}
	tz_buf_free(&sealed);
	if (status != TZ_OK)
		return false;
	tz_spi_exec(&add, args, NULL, 1);
	return true;
}

/* Key id, salt of the record, sealed bytes. */
static bool
personal_seal(const char **values, TzSlice platform, const char *event_id, const UserKey *key,
              TzPersonal *personal)
{
	TzSealName name = {platform, {"", 0}, tz_slice_cstr(event_id), 0};
	StringInfoData commitments;
	StringInfoData plain;
	uint8_t record_salt[TZ_SALT_LEN];
	TzBuf sealed;
	TzErr err;
	TzStatus status = TZ_OK;

	initStringInfo(&commitments);
	initStringInfo(&plain);
	for (int i = 0; i < PERSONAL_NAMES; i++)
	{
		uint8_t salt[TZ_SALT_LEN];
		char hex[2 * TZ_SALT_LEN + 1];
		const char *value;

		if (values[i] == NULL)
			continue;
		if (!pg_strong_random(salt, sizeof(salt)))
			ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random bytes"));
		value = pg_server_to_any(values[i], (int) strlen(values[i]), PG_UTF8);
		personal_commit(personal_names[i], value, salt, &commitments);
		hex_encode((const char *) salt, sizeof(salt), hex);
		hex[2 * TZ_SALT_LEN] = '\0';
		appendStringInfo(&plain, "%s\"%s\":[\"%s\",", plain.len == 0 ? "{" : ",", personal_names[i], hex);
		escape_json(&plain, value);
		appendStringInfoChar(&plain, ']');
	}
	appendStringInfoChar(&plain, '}');

	if (!pg_strong_random(record_salt, sizeof(record_salt)))
		ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random bytes"));
	if (personal_env == NULL)
		status = tz_envelope_new(&personal_env, &err);
	tz_buf_init(&sealed, KEY_ID_LEN + TZ_SALT_LEN + PLAIN_MAX + TZ_SEALED_OVERHEAD);
	tz_buf_append(&sealed, key->id, KEY_ID_LEN);
	tz_buf_append(&sealed, record_salt, sizeof(record_salt));
	if (status == TZ_OK)
		status = tz_envelope_seal(personal_env, (const uint8_t *) key->bytes.data, &name, record_salt,
		                          tz_slice(plain.data, (size_t) plain.len), &sealed, &err);
	if (status == TZ_OK)
	{
		char *copy = palloc_extended(sealed.len, MCXT_ALLOC_NO_OOM);

		if (copy == NULL)
			status = TZ_NOMEM;
		else
		{
			memcpy(copy, sealed.data, sealed.len);
			personal->sealed = tz_slice(copy, sealed.len);
			personal->commitments = commitments.data;
		}
	}
	tz_buf_free(&sealed);
	explicit_bzero(plain.data, (size_t) plain.len);
	return status == TZ_OK;
}

static void
personal_commit(const char *name, const char *value, const uint8_t salt[TZ_SALT_LEN], StringInfo commitments)
{
	StringInfoData bytes;
	uint8_t digest[TZ_SHA256_LEN];
	char hex[2 * TZ_SHA256_LEN + 1];
	TzErr err;

	initStringInfo(&bytes);
	appendBinaryStringInfo(&bytes, LABEL, sizeof(LABEL) - 1);
	appendBinaryStringInfo(&bytes, (const char *) salt, TZ_SALT_LEN);
	appendStringInfo(&bytes, "%s\n%s", name, value);
	tz_check(tz_sha256(tz_slice(bytes.data, (size_t) bytes.len), digest, &err), &err);
	hex_encode((const char *) digest, sizeof(digest), hex);
	hex[2 * TZ_SHA256_LEN] = '\0';
	appendStringInfo(commitments, "%s%s:%s", commitments->len == 0 ? "" : ",", name, hex);
	explicit_bzero(bytes.data, (size_t) bytes.len);
	pfree(bytes.data);
}

static TzStatus
personal_open(TzSlice platform, TzSlice event, TzSlice sealed, TzBuf *plain, bool *erased)
{
	static TzStmt find = {
		"SELECT p.vault_salt, k.master_key_id, k.salt, k.sealed FROM theazo_data.data_key k"
		" JOIN theazo_data.platform p ON p.platform_id = k.platform_id WHERE k.platform_id = $1 AND k.id = $2",
		2,
		{TEXTOID, TEXTOID},
		NULL};
	TzSealName name = {platform, {"", 0}, event, 0};
	TzStatus status = TZ_CRYPTO;
	TzSlice id = tz_slice(sealed.data, KEY_ID_LEN);
	Datum args[2];
	TzBuf key;
	TzErr err;

	if (sealed.len < KEY_ID_LEN + TZ_SALT_LEN)
		return status;
	args[0] = tz_text_datum(platform);
	args[1] = tz_text_datum(id);
	tz_buf_init_secret(&key, TZ_KEY_LEN);
	SPI_connect();
	*erased = tz_spi_exec(&find, args, NULL, 1) == 0;
	if (!*erased)
		status = tz_vault_open_key(platform, id, tz_spi_bytea(0, tz_spi_column("vault_salt")),
		                           tz_slice_cstr(tz_spi_text(0, tz_spi_column("master_key_id"))),
		                           tz_spi_bytea(0, tz_spi_column("salt")),
		                           tz_spi_bytea(0, tz_spi_column("sealed")), &key, &err);
	SPI_finish();
	if (status == TZ_OK && personal_env == NULL)
		status = tz_envelope_new(&personal_env, &err);
	if (status == TZ_OK && key.len != TZ_KEY_LEN)
		status = TZ_CRYPTO;
	if (status == TZ_OK)
		status = tz_envelope_open(personal_env, (const uint8_t *) key.data, &name,
		                          tz_slice(sealed.data + KEY_ID_LEN, TZ_SALT_LEN),
		                          tz_slice(sealed.data + KEY_ID_LEN + TZ_SALT_LEN,
		                                   sealed.len - KEY_ID_LEN - TZ_SALT_LEN),
		                          plain, &err);
	tz_buf_wipe(&key);
	return status;
}

/* Each field that is committed to, with the same word. */
static Jsonb *
personal_all(TzSlice personal, const char *word)
{
	JsonbParseState *state = NULL;
	char *names = pnstrdup(personal.data, personal.len);
	char *rest = NULL;

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (char *part = strtok_r(names, ",", &rest); part != NULL; part = strtok_r(NULL, ",", &rest))
	{
		part[strcspn(part, ":")] = '\0';
		tz_event_put(&state, part, tz_slice_cstr(word));
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* Of each name: [salt, value] the value. */
static Jsonb *
personal_values(TzSlice plain)
{
	char *text = pg_any_to_server(plain.data, (int) plain.len, PG_UTF8);
	Jsonb *sealed = DatumGetJsonbP(tz_jsonb_datum(text == plain.data ? plain : tz_slice_cstr(text)));
	JsonbIterator *it = JsonbIteratorInit(&sealed->root);
	JsonbParseState *state = NULL;
	JsonbIteratorToken token;
	JsonbValue name = {0};
	JsonbValue v;
	int nth = 0;

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	while ((token = JsonbIteratorNext(&it, &v, false)) != WJB_DONE)
	{
		if (token == WJB_KEY)
		{
			name = v;
			nth = 0;
		}
		else if (token == WJB_ELEM && nth++ == 1)
		{
			(void) pushJsonbValue(&state, WJB_KEY, &name);
			(void) pushJsonbValue(&state, WJB_VALUE, &v);
		}
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}
