/*-------------------------------------------------------------------------
 *
 * secret.c
 *	  Setting a secret: the call that is made most, for what is usual.
 *
 * Usual is: a secret of the platform that exists gets a new value and nothing
 * else changes. That is done here, by the same rules and in the same
 * transaction: the row, its version, the event. Whatever is not usual, or not
 * allowed, goes to theazo_internal.secret_set_call(), which says so.
 *
 * The row is found and replaced without a statement, so its policy is not
 * asked; what it demands is checked here (secret_of_platform).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "auth/identity.h"
#include "call/enter.h"
#include "call/event.h"
#include "lib/envelope.h"
#include "pg/append.h"
#include "pg/convert.h"
#include "pg/export.h"
#include "pg/memo.h"
#include "pg/objects.h"
#include "pg/row.h"
#include "pg/spi.h"
#include "vault/redact.h"
#include "vault/vault.h"

#define PLATFORMS_KEPT 16
#define VERSIONS_KEPT 100
#define VERSIONS_SWEPT 20 /* old ones go that many at a time */

/* Columns of theazo_data.secret. */
typedef enum SecretColumn
{
	SECRET_PLATFORM,
	SECRET_SESSION,
	SECRET_NAME,
	SECRET_VERSION,
	SECRET_DELIVERY,
	SECRET_HOSTS,
	SECRET_HEADER,
	SECRET_USERNAME,
	SECRET_MASTER_KEY,
	SECRET_SALT,
	SECRET_SEALED,
	SECRET_CREATED,
	SECRET_UPDATED,
	SECRET_LAST_USED,
	SECRET_COLUMNS
} SecretColumn;

static const char *const secret_names[SECRET_COLUMNS] = {"platform_id", "session_id",  "name",
                                                         "version",     "delivery",    "hosts",
                                                         "header",      "username",    "master_key_id",
                                                         "salt",        "sealed",      "created_at",
                                                         "updated_at",  "last_used_at"};

/* What is kept of a platform. */
typedef struct SecretPlatform
{
	uint64 generation;
	char id[TZ_ID_MAX + 1];
	char salt[TZ_SALT_LEN];
	char delivery[16];
} SecretPlatform;

static bool secret_is_usual(FunctionCallInfo fcinfo);
static bool secret_value_is_usual(TzSlice value);
static const TzIdentity *secret_of_platform(void);
static const SecretPlatform *secret_platform(const char *id);
static bool secret_keys_ready(void);
static bool theazo_secret_replace(const TzIdentity *id, const SecretPlatform *platform, TzSlice name,
                                  TzSlice value, TupleDesc desc, HeapTuple *result);
static void theazo_secret_seal_row(const TzSealName *name, const SecretPlatform *platform, TzSlice value,
                                   Datum *master_key, Datum *salt, Datum *sealed);
static void secret_note_version(const TzSealName *name, TimestampTz at);
static void secret_note_event(const TzSealName *name, const AttrNumber *att, const Datum *row,
                              const bool *nulls, const TzIdentity *id);
static HeapTuple secret_shown(TupleDesc desc, const AttrNumber *att, const Datum *row, const bool *nulls,
                              const SecretPlatform *platform);
static HeapTuple theazo_secret_set_call(FunctionCallInfo fcinfo, TupleDesc desc);
static const AttrNumber *secret_columns(Relation table);

/* theazo.secret_set(name, value, session, delivery, hosts, header, username, api_key) */
THEAZO_FUNCTION(theazo_secret_set)
{
	TupleDesc desc;
	HeapTuple result;
	const TzIdentity *id;
	const SecretPlatform *platform;

	tz_redact_mark();
	desc = tz_result_desc(fcinfo);
	if (secret_is_usual(fcinfo))
	{
		tz_enter(!PG_ARGISNULL(7), PG_GETARG_DATUM(7), tz_slice_cstr("secret:write"));
		if ((id = secret_of_platform()) != NULL && secret_keys_ready() &&
		    (platform = secret_platform(id->platform)) != NULL &&
		    theazo_secret_replace(id, platform, tz_datum_slice(PG_GETARG_DATUM(0)),
		                          tz_datum_slice(PG_GETARG_DATUM(1)), desc, &result))
			PG_RETURN_DATUM(HeapTupleGetDatum(result));
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(theazo_secret_set_call(fcinfo, desc)));
}

/* Name and value alone, and nothing in them that has to be looked at more closely. */
static bool
secret_is_usual(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || tz_datum_slice(PG_GETARG_DATUM(0)).len > 128)
		return false;
	for (int i = 2; i < 7; i++)
	{
		if (!PG_ARGISNULL(i))
			return false;
	}
	return secret_value_is_usual(tz_datum_slice(PG_GETARG_DATUM(1)));
}

/* One line without control characters: good for a variable and for a header. */
static bool
secret_value_is_usual(TzSlice value)
{
	if (value.len == 0 || value.len > TZ_SECRET_MAX)
		return false;
	for (size_t i = 0; i < value.len; i++)
	{
		unsigned char c = (unsigned char) value.data[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

/* Who asks, if it may change what belongs to its whole platform: not for one session, not with a test key. */
static const TzIdentity *
secret_of_platform(void)
{
	const TzIdentity *id = tz_identity_current();

	if (id == NULL || id->session[0] != '\0' || strcmp(id->environment, "live") != 0)
		return NULL;
	return id;
}

/* Every master key in use is here, and the one that seals has left its check value. */
static bool
secret_keys_ready(void)
{
	static TzStmt stmt = {"SELECT theazo_internal.master_keys_ready()", 0, {0}, NULL};
	static uint64 ready = 0;

	uint64 generation = tz_memo_generation();
	bool found;

	if (ready == generation)
		return true;
	if (!tz_memo_begin())
		return false;
	SPI_connect();
	tz_spi_exec(&stmt, NULL, NULL, 1);
	found = tz_spi_bool(0, 1, false);
	SPI_finish();
	tz_memo_end();
	if (found)
		ready = generation;
	return found;
}

static const SecretPlatform *
secret_platform(const char *id)
{
	static TzStmt stmt = {"SELECT p.vault_salt, p.secret_delivery FROM theazo_data.platform p"
	                      " WHERE p.platform_id OPERATOR(pg_catalog.=) $1",
	                      1,
	                      {TEXTOID},
	                      NULL};
	static SecretPlatform kept[PLATFORMS_KEPT];

	uint64 generation = tz_memo_generation();
	SecretPlatform *p = &kept[(unsigned char) id[strlen(id) - 1] % PLATFORMS_KEPT];
	Datum arg;
	bool found = false;

	if (p->generation == generation && strcmp(p->id, id) == 0)
		return p;
	p->generation = 0;
	if (!tz_memo_begin())
		return NULL;
	arg = CStringGetTextDatum(id);
	SPI_connect();
	if (tz_spi_exec(&stmt, &arg, NULL, 1) == 1)
	{
		TzSlice salt = tz_spi_bytea(0, 1);
		char *delivery = tz_spi_text(0, 2);

		if (salt.data != NULL && salt.len == sizeof(p->salt) && delivery != NULL)
		{
			memcpy(p->salt, salt.data, sizeof(p->salt));
			strlcpy(p->delivery, delivery, sizeof(p->delivery));
			strlcpy(p->id, id, sizeof(p->id));
			found = true;
		}
	}
	SPI_finish();
	tz_memo_end();
	if (!found)
		return NULL;
	p->generation = generation;
	return p;
}

/* False: no such secret, or somebody else is changing it. */
static bool
theazo_secret_replace(const TzIdentity *id, const SecretPlatform *platform, TzSlice name, TzSlice value,
                      TupleDesc desc, HeapTuple *result)
{
	TzSealName who = {tz_slice_cstr(platform->id), {"", 0}, name, 0};
	static TzRowTable secrets = {"secret", 3, 0, {NULL}, NULL};
	Datum keys[3] = {tz_text_datum(who.platform), tz_text_datum(who.session), tz_text_datum(name)};
	TimestampTz at = GetCurrentTimestamp();
	TzRow row;
	bool done = false;

	if (tz_row_find(&row, &secrets, keys))
	{
		int natts = RelationGetDescr(row.table)->natts;
		const AttrNumber *att = secret_columns(row.table);
		Datum *values = palloc(sizeof(Datum) * natts);
		bool *nulls = palloc(sizeof(bool) * natts);

		memcpy(values, row.slot->tts_values, sizeof(Datum) * natts);
		memcpy(nulls, row.slot->tts_isnull, sizeof(bool) * natts);
		who.version = (uint32_t) DatumGetInt32(values[att[SECRET_VERSION]]) + 1;
		values[att[SECRET_VERSION]] = Int32GetDatum((int32) who.version);
		theazo_secret_seal_row(&who, platform, value, &values[att[SECRET_MASTER_KEY]],
		                       &values[att[SECRET_SALT]], &values[att[SECRET_SEALED]]);
		values[att[SECRET_UPDATED]] = TimestampTzGetDatum(at);
		if (tz_row_replace(&row, values, nulls))
		{
			secret_note_version(&who, at);
			secret_note_event(&who, att, values, nulls, id);
			*result = secret_shown(desc, att, values, nulls, platform);
			done = true;
		}
	}
	tz_row_close(&row);
	return done;
}

static void
theazo_secret_seal_row(const TzSealName *name, const SecretPlatform *platform, TzSlice value,
                       Datum *master_key, Datum *salt, Datum *sealed)
{
	uint8_t random[TZ_SALT_LEN];
	const char *fingerprint = NULL;
	TzBuf box;
	TzErr err;
	TzStatus status;

	if (!pg_strong_random(random, sizeof(random)))
		ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random bytes"));
	tz_buf_init(&box, TZ_SECRET_MAX + TZ_SEALED_OVERHEAD);
	status =
		tz_vault_seal(name, tz_slice(platform->salt, TZ_SALT_LEN), random, value, &fingerprint, &box, &err);
	if (status != TZ_OK)
	{
		tz_buf_free(&box);
		tz_throw_as(tz_vault_sqlstate(status), &err);
	}
	PG_TRY();
	{
		*master_key = CStringGetTextDatum(fingerprint);
		*salt = tz_bytea_datum(tz_slice((const char *) random, sizeof(random)));
		*sealed = tz_bytea_datum(tz_buf_slice(&box));
	}
	PG_FINALLY();
	{
		tz_buf_free(&box);
	}
	PG_END_TRY();
}

/* The version that began ends the one before it (views). At most a hundred are shown, and few more kept. */
static void
secret_note_version(const TzSealName *name, TimestampTz at)
{
	static TzAppend versions = {"secret_version",
	                            7,
	                            {"platform_id", "session_id", "name", "version", "actor_kind", "actor",
	                             "set_at"},
	                            NULL};
	static TzStmt sweep = {"DELETE FROM theazo_data.secret_version v"
	                       " WHERE v.platform_id OPERATOR(pg_catalog.=) $1"
	                       " AND v.session_id OPERATOR(pg_catalog.=) $2"
	                       " AND v.name OPERATOR(pg_catalog.=) $3"
	                       " AND v.version OPERATOR(pg_catalog.<=) $4",
	                       4,
	                       {TEXTOID, TEXTOID, TEXTOID, INT4OID},
	                       NULL};
	const char *kind;
	const char *actor;
	Datum values[7];
	bool nulls[7] = {false};

	tz_identity_actor(&kind, &actor);
	values[0] = tz_text_datum(name->platform);
	values[1] = tz_text_datum(name->session);
	values[2] = tz_text_datum(name->name);
	values[3] = Int32GetDatum((int32) name->version);
	values[4] = CStringGetTextDatum(kind);
	values[5] = CStringGetTextDatum(actor);
	values[6] = TimestampTzGetDatum(at);
	tz_append(&versions, values, nulls);
	if (name->version > VERSIONS_KEPT && name->version % VERSIONS_SWEPT == 0)
	{
		values[3] = Int32GetDatum((int32) name->version - VERSIONS_KEPT);
		SPI_connect();
		tz_spi_exec(&sweep, values, NULL, 0);
		SPI_finish();
	}
}

static void
secret_note_event(const TzSealName *name, const AttrNumber *att, const Datum *row, const bool *nulls,
                  const TzIdentity *id)
{
	TzEvent event = {.platform = name->platform,
	                 .category = tz_slice_cstr("data"),
	                 .action = tz_slice_cstr("secret_set"),
	                 .environment = tz_slice_cstr(id->environment)};
	static const SecretColumn told[] = {SECRET_DELIVERY, SECRET_HEADER, SECRET_USERNAME};
	ArrayType *hosts = DatumGetArrayTypeP(row[att[SECRET_HOSTS]]);
	char made[TZ_ID_MAX + 1];
	JsonbParseState *state = NULL;

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	tz_event_put(&state, "name", name->name);
	tz_event_put_int(&state, "version", name->version);
	for (int i = 0; i < (int) lengthof(told); i++)
	{
		if (!nulls[att[told[i]]])
			tz_event_put(&state, secret_names[told[i]], tz_datum_slice(row[att[told[i]]]));
	}
	if (ARR_NDIM(hosts) > 0)
		tz_event_put_texts(&state, "hosts", hosts);
	event.summary = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	tz_event_write(&event, made);
}

/* A row of theazo.secrets. */
static HeapTuple
secret_shown(TupleDesc desc, const AttrNumber *att, const Datum *row, const bool *nulls,
             const SecretPlatform *platform)
{
	static const SecretColumn order[] = {SECRET_PLATFORM,   SECRET_SESSION, SECRET_NAME,    SECRET_VERSION,
	                                     SECRET_DELIVERY,   SECRET_HOSTS,   SECRET_HEADER,  SECRET_USERNAME,
	                                     SECRET_MASTER_KEY, SECRET_CREATED, SECRET_UPDATED, SECRET_LAST_USED};
	Datum values[lengthof(order)];
	bool isnull[lengthof(order)];

	if (desc->natts != (int) lengthof(order))
		tz_objects_differ("View \"secrets\" has %d columns.", desc->natts);
	for (int i = 0; i < (int) lengthof(order); i++)
	{
		values[i] = row[att[order[i]]];
		isnull[i] = nulls[att[order[i]]];
	}
	isnull[1] = true; /* the platform's own */
	if (isnull[4])
	{
		values[4] = CStringGetTextDatum(platform->delivery);
		isnull[4] = false;
	}
	return heap_form_tuple(desc, values, isnull);
}

static HeapTuple
theazo_secret_set_call(FunctionCallInfo fcinfo, TupleDesc desc)
{
	static TzStmt stmt = {"SELECT * FROM theazo_internal.secret_set_call($1, $2, $3, $4, $5, $6, $7, $8)",
	                      8,
	                      {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTARRAYOID, TEXTOID, TEXTOID, TEXTOID},
	                      NULL};
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext inner;
	Datum values[8];
	bool nulls[8];
	HeapTuple found;
	HeapTuple result;
	Datum *fields;
	bool *isnull;

	for (int i = 0; i < 8; i++)
	{
		nulls[i] = PG_ARGISNULL(i);
		values[i] = nulls[i] ? (Datum) 0 : PG_GETARG_DATUM(i);
	}
	SPI_connect();
	if (tz_spi_exec(&stmt, values, nulls, 0) != 1)
		tz_objects_differ("secret_set_call() returned " UINT64_FORMAT " rows.", SPI_processed);
	found = SPI_tuptable->vals[0];
	fields = palloc(sizeof(Datum) * desc->natts);
	isnull = palloc(sizeof(bool) * desc->natts);
	heap_deform_tuple(found, SPI_tuptable->tupdesc, fields, isnull);
	inner = MemoryContextSwitchTo(caller);
	result = heap_form_tuple(desc, fields, isnull);
	MemoryContextSwitchTo(inner);
	SPI_finish();
	return result;
}

/* Where the columns lie, from 0. */
static const AttrNumber *
secret_columns(Relation table)
{
	static AttrNumber att[SECRET_COLUMNS];
	static uint64 known = 0;

	uint64 generation = tz_memo_generation();

	if (known == generation)
		return att;
	known = 0;
	for (int i = 0; i < SECRET_COLUMNS; i++)
	{
		AttrNumber attno = get_attnum(RelationGetRelid(table), secret_names[i]);

		if (attno <= 0)
			tz_objects_differ("Table \"secret\" has no column \"%s\".", secret_names[i]);
		att[i] = attno - 1;
	}
	known = generation;
	return att;
}
