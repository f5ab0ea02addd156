/*-------------------------------------------------------------------------
 *
 * apikey.c
 *	  Making API keys, and when each was last used.
 *
 * A use must be recorded by read-only transactions too, and must not cost a
 * row update per call: so it goes into a bounded table in shared memory, which
 * the keeper empties into rows. Losing it loses a "last used" and no promise.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "auth/apikey.h"
#include "lib/id.h"
#include "lib/sign.h"
#include "pg/convert.h"
#include "pg/export.h"
#include "pg/objects.h"

#define KEY_DIGITS 43 /* 62^43 > 2^256 */
#define KEY_PREFIX_SHOWN 12
#define TOUCH_SLOTS 1024
#define TOUCH_PROBES 16
#define TOUCH_TRANCHE "theazo_key_touch"

typedef struct TouchSlot
{
	char platform[TZ_ID_MAX + 1];
	char key_id[TZ_ID_MAX + 1]; /* empty: free */
	TimestampTz used_at;
} TouchSlot;

typedef struct TouchTable
{
	TouchSlot slots[TOUCH_SLOTS];
} TouchTable;

static TouchTable *touch_table = NULL;
static LWLock *touch_lock = NULL;
static shmem_request_hook_type previous_request = NULL;
static shmem_startup_hook_type previous_startup = NULL;

static void apikey_shmem_request(void);
static void apikey_shmem_startup(void);
static void apikey_base62(const uint8_t random[32], char out[KEY_DIGITS + 1]);

/* The set of kinds is closed: redaction knows them by their first letters. */
static const char *const apikey_kinds[] = {"th_live", "th_test", "tzk"};

/* theazo_internal.api_key_make(kind text, OUT key text, OUT prefix text, OUT hash bytea) */
THEAZO_FUNCTION(theazo_api_key_make)
{
	TzSlice kind = tz_datum_slice(PG_GETARG_DATUM(0));
	char key[16 + KEY_DIGITS + 1];
	char shown[KEY_PREFIX_SHOWN + 4];
	uint8_t random[32];
	char digits[KEY_DIGITS + 1];
	bytea *hash = palloc(VARHDRSZ + TZ_SHA256_LEN);
	TupleDesc desc;
	Datum values[3];
	bool nulls[3] = {false, false, false};
	const char *known = NULL;
	TzErr err;

	for (size_t i = 0; i < lengthof(apikey_kinds); i++)
	{
		if (tz_slice_eq_cstr(kind, apikey_kinds[i]))
			known = apikey_kinds[i];
	}
	if (known == NULL)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("unknown kind of API key"),
		        errhint("Kinds are \"th_live\", \"th_test\" and \"tzk\"."));
	desc = tz_result_desc(fcinfo);
	if (!pg_strong_random(random, sizeof(random)))
		ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random bytes"));

	apikey_base62(random, digits);
	snprintf(key, sizeof(key), "%s_%s", known, digits);
	snprintf(shown, sizeof(shown), "%.*s...", KEY_PREFIX_SHOWN, key);
	if (tz_sha256(tz_slice_cstr(key), (uint8_t *) VARDATA(hash), &err) != TZ_OK)
		tz_throw_as(ERRCODE_INTERNAL_ERROR, &err);
	SET_VARSIZE(hash, VARHDRSZ + TZ_SHA256_LEN);

	values[0] = CStringGetTextDatum(key);
	values[1] = CStringGetTextDatum(shown);
	values[2] = PointerGetDatum(hash);
	explicit_bzero(random, sizeof(random));
	explicit_bzero(digits, sizeof(digits));
	explicit_bzero(key, sizeof(key));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

/* theazo_internal.key_touch(platform text, key_id text): used now */
THEAZO_FUNCTION(theazo_key_touch)
{
	/* one call per key and second from here is enough */
	static char last_key[TZ_ID_MAX + 1];
	static TimestampTz last_at = 0;

	TzSlice platform = tz_datum_slice(PG_GETARG_DATUM(0));
	TzSlice key = tz_datum_slice(PG_GETARG_DATUM(1));
	TimestampTz now = GetCurrentTimestamp();
	TouchSlot *best = NULL;
	uint32 h;

	if (platform.len == 0 || platform.len > TZ_ID_MAX || key.len == 0 || key.len > TZ_ID_MAX)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("platform and key must be ids"));
	if (touch_table == NULL)
		PG_RETURN_VOID(); /* without the library preloaded: not recorded */
	if (tz_slice_eq_cstr(key, last_key) && now - last_at >= 0 && now - last_at < USECS_PER_SEC)
		PG_RETURN_VOID();

	h = hash_bytes((const unsigned char *) key.data, (int) key.len);
	LWLockAcquire(touch_lock, LW_EXCLUSIVE);
	for (uint32 i = 0; i < TOUCH_PROBES; i++)
	{
		TouchSlot *slot = &touch_table->slots[(h + i) % TOUCH_SLOTS];

		if (slot->key_id[0] != '\0' && tz_slice_eq_cstr(key, slot->key_id))
		{
			best = slot;
			break;
		}
		/* else a free one, else the one whose loss costs least */
		if (best == NULL ||
		    (best->key_id[0] != '\0' && (slot->key_id[0] == '\0' || slot->used_at < best->used_at)))
			best = slot;
	}
	memcpy(best->platform, platform.data, platform.len);
	best->platform[platform.len] = '\0';
	memcpy(best->key_id, key.data, key.len);
	best->key_id[key.len] = '\0';
	best->used_at = now;
	LWLockRelease(touch_lock);

	strlcpy(last_key, best->key_id, sizeof(last_key));
	last_at = now;
	PG_RETURN_VOID();
}

/* theazo_internal.keys_touched(): what was used since the last call; empties the table */
THEAZO_FUNCTION(theazo_keys_touched)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	TouchTable *copy;

	InitMaterializedSRF(fcinfo, 0);
	if (touch_table == NULL)
		return (Datum) 0;

	copy = palloc(sizeof(*copy));
	LWLockAcquire(touch_lock, LW_EXCLUSIVE);
	memcpy(copy, touch_table, sizeof(*copy));
	memset(touch_table, 0, sizeof(*touch_table));
	LWLockRelease(touch_lock);

	for (int i = 0; i < TOUCH_SLOTS; i++)
	{
		TouchSlot *slot = &copy->slots[i];
		Datum values[3];
		bool nulls[3] = {false, false, false};

		if (slot->key_id[0] == '\0')
			continue;
		values[0] = CStringGetTextDatum(slot->platform);
		values[1] = CStringGetTextDatum(slot->key_id);
		values[2] = TimestampTzGetDatum(slot->used_at);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	pfree(copy);
	return (Datum) 0;
}

void
tz_apikey_init(void)
{
	previous_request = shmem_request_hook;
	shmem_request_hook = apikey_shmem_request;
	previous_startup = shmem_startup_hook;
	shmem_startup_hook = apikey_shmem_startup;
}

static void
apikey_shmem_request(void)
{
	if (previous_request)
		previous_request();
	RequestAddinShmemSpace(MAXALIGN(sizeof(TouchTable)));
	RequestNamedLWLockTranche(TOUCH_TRANCHE, 1);
}

static void
apikey_shmem_startup(void)
{
	bool found;

	if (previous_startup)
		previous_startup();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	touch_table = ShmemInitStruct("theazo keys touched", sizeof(TouchTable), &found);
	if (!found)
		memset(touch_table, 0, sizeof(TouchTable));
	touch_lock = &GetNamedLWLockTranche(TOUCH_TRANCHE)->lock;
	LWLockRelease(AddinShmemInitLock);
}

/* 256 bits as 43 digits, by long division; fixed length, most significant first. */
static void
apikey_base62(const uint8_t random[32], char out[KEY_DIGITS + 1])
{
	static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	uint8_t number[32];

	memcpy(number, random, sizeof(number));
	for (int i = KEY_DIGITS - 1; i >= 0; i--)
	{
		unsigned int rest = 0;

		for (size_t j = 0; j < sizeof(number); j++)
		{
			unsigned int v = rest << 8 | number[j];

			number[j] = (uint8_t) (v / 62);
			rest = v % 62;
		}
		out[i] = alphabet[rest];
	}
	out[KEY_DIGITS] = '\0';
	explicit_bzero(number, sizeof(number));
}
