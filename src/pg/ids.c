/*-------------------------------------------------------------------------
 *
 * ids.c
 *	  Identifiers as SQL sees them, and the name of this instance.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "lib/id.h"
#include "pg/convert.h"
#include "pg/export.h"
#include "pg/ids.h"
#include "pg/shmem.h"

/* Milliseconds between the two epochs. */
#define TZ_UNIX_EPOCH_MS ((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000)

#define NUMBER_EPOCH_MS INT64CONST(1577836800000) /* 2020-01-01 */
#define NUMBER_SHIFT 12
#define NUMBER_AHEAD_MS \
	(INT64CONST(366) * 24 * 3600 * 1000) /* a clock that is wrong by more is another trouble */

/* Leading bytes of the tail that count up within a millisecond; the others stay random. */
#define ORDERED_LEN 5

static int64 tz_ids_unix_ms(TimestampTz ts);
static void ids_make(TzSlice prefix, char id[TZ_ID_MAX + 1]);
static void ids_random(uint8_t tail[TZ_ID_TAIL_LEN]);

void
tz_id_new(const char *prefix, char id[TZ_ID_MAX + 1])
{
	ids_make(tz_slice_cstr(prefix), id);
}

/* One counter for all databases; when the clock goes back, it goes on where it was. */
int64
tz_number_new(void)
{
	int64 now = (tz_ids_unix_ms(GetCurrentTimestamp()) - NUMBER_EPOCH_MS) << NUMBER_SHIFT;
	uint64 last;
	uint64 mine;

	tz_shmem_require();
	last = pg_atomic_read_u64(&tz_shared->last_number);
	do
	{
		mine = Max((uint64) Max(now, 0), last + 1);
	} while (!pg_atomic_compare_exchange_u64(&tz_shared->last_number, &last, mine));
	return (int64) mine;
}

void
tz_number_reach(int64 number)
{
	uint64 last;

	tz_shmem_require();
	/* a row that somebody made up must not use up the numbers there are */
	if (number <= 0 || number > (tz_ids_unix_ms(GetCurrentTimestamp()) - NUMBER_EPOCH_MS + NUMBER_AHEAD_MS)
	                                << NUMBER_SHIFT)
		return;
	last = pg_atomic_read_u64(&tz_shared->last_number);
	while (last < (uint64) number &&
	       !pg_atomic_compare_exchange_u64(&tz_shared->last_number, &last, (uint64) number))
		;
}

/* theazo_internal.number_new() */
THEAZO_FUNCTION(theazo_number_new)
{
	(void) fcinfo;
	PG_RETURN_INT64(tz_number_new());
}

/* theazo_internal.number_reach(number bigint) */
THEAZO_FUNCTION(theazo_number_reach)
{
	if (!PG_ARGISNULL(0))
		tz_number_reach(PG_GETARG_INT64(0));
	PG_RETURN_VOID();
}

void
tz_id_of_number(const char *prefix, int64 number, char id[TZ_ID_MAX + 1])
{
	uint8_t tail[TZ_ID_TAIL_LEN];
	unsigned counter = (unsigned) (number & ((1 << NUMBER_SHIFT) - 1));
	TzErr err;

	ids_random(tail);
	tail[0] = (uint8_t) (counter >> 4);
	tail[1] = (uint8_t) ((counter & 0x0f) << 4 | (tail[1] & 0x0f));
	if (tz_id_make(tz_slice_cstr(prefix), (number >> NUMBER_SHIFT) + NUMBER_EPOCH_MS, tail, id, &err) !=
	    TZ_OK)
		tz_throw_as(ERRCODE_INVALID_PARAMETER_VALUE, &err);
}

const char *
tz_instance(void)
{
	static char name[48];

	if (name[0] == '\0')
		snprintf(name, sizeof(name), UINT64_FORMAT ":%u", GetSystemIdentifier(), MyDatabaseId);
	return name;
}

/* theazo_internal.id_new(prefix text) */
THEAZO_FUNCTION(theazo_id_new)
{
	char id[TZ_ID_MAX + 1];

	ids_make(tz_datum_slice(PG_GETARG_DATUM(0)), id);
	PG_RETURN_TEXT_P(cstring_to_text(id));
}

/* theazo_internal.id_time(id text) */
THEAZO_FUNCTION(theazo_id_time)
{
	TzSlice id = tz_datum_slice(PG_GETARG_DATUM(0));
	int64_t ms;
	TzErr err;

	if (tz_id_time(id, &ms, &err) != TZ_OK)
		tz_throw_as(ERRCODE_INVALID_PARAMETER_VALUE, &err);
	PG_RETURN_TIMESTAMPTZ((ms - TZ_UNIX_EPOCH_MS) * 1000);
}

/* theazo_internal.id_floor(ts timestamptz) */
THEAZO_FUNCTION(theazo_id_floor)
{
	TimestampTz ts = PG_GETARG_TIMESTAMPTZ(0);
	char root[TZ_ID_ROOT_LEN + 1];
	TzErr err;

	if (TIMESTAMP_NOT_FINITE(ts))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("time of an id must be finite"));
	if (tz_id_floor(tz_ids_unix_ms(ts), root, &err) != TZ_OK)
		tz_throw_as(ERRCODE_INVALID_PARAMETER_VALUE, &err);
	PG_RETURN_TEXT_P(cstring_to_text(root));
}

/* theazo_internal.id_root(id text) */
THEAZO_FUNCTION(theazo_id_root)
{
	TzSlice id = tz_datum_slice(PG_GETARG_DATUM(0));
	TzSlice prefix;
	TzSlice root;
	TzErr err;

	if (tz_id_split(id, &prefix, &root, &err) != TZ_OK)
		tz_throw_as(ERRCODE_INVALID_PARAMETER_VALUE, &err);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(root.data, root.len));
}

/* theazo_internal.run_root(id text): for views, where a condition that could tell something by failing is no key of an index */
THEAZO_FUNCTION(theazo_run_root)
{
	TzSlice prefix;
	TzSlice root;
	TzErr err;

	if (tz_id_split(tz_datum_slice(PG_GETARG_DATUM(0)), &prefix, &root, &err) != TZ_OK)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(root.data, root.len));
}

/* theazo_internal.id_derive(prefix text, time_from text, seed text) */
THEAZO_FUNCTION(theazo_id_derive)
{
	TzSlice prefix = tz_datum_slice(PG_GETARG_DATUM(0));
	TzSlice time_from = tz_datum_slice(PG_GETARG_DATUM(1));
	TzSlice seed = tz_datum_slice(PG_GETARG_DATUM(2));
	char id[TZ_ID_MAX + 1];
	TzErr err;

	if (tz_id_derive(prefix, time_from, seed, id, &err) != TZ_OK)
		tz_throw_as(ERRCODE_INVALID_PARAMETER_VALUE, &err);
	PG_RETURN_TEXT_P(cstring_to_text(id));
}

/*
 * theazo_internal.instance(): effects belong to the database that wrote them;
 * a restored or cloned one has another name here, a promoted standby the same.
 */
THEAZO_FUNCTION(theazo_instance)
{
	PG_RETURN_TEXT_P(cstring_to_text(tz_instance()));
}

static void
ids_make(TzSlice prefix, char id[TZ_ID_MAX + 1])
{
	static int64 last_ms = -1;
	static uint8_t last[ORDERED_LEN];
	int64 ms = tz_ids_unix_ms(GetCurrentTimestamp());
	uint8_t tail[TZ_ID_TAIL_LEN];
	TzErr err;

	ids_random(tail);
	/* what one process makes in a millisecond compares as it was made: lists by id are in that order */
	tail[0] &= 0x7f;
	if (ms == last_ms)
	{
		memcpy(tail, last, ORDERED_LEN);
		for (int i = ORDERED_LEN - 1; i >= 0 && ++tail[i] == 0; i--)
			;
	}
	last_ms = ms;
	memcpy(last, tail, ORDERED_LEN);
	if (tz_id_make(prefix, ms, tail, id, &err) != TZ_OK)
		tz_throw_as(ERRCODE_INVALID_PARAMETER_VALUE, &err);
}

/* Asking for few bytes costs as much as asking for many. The postmaster makes no ids, so nobody inherits these. */
static void
ids_random(uint8_t tail[TZ_ID_TAIL_LEN])
{
	static uint8_t bytes[32 * TZ_ID_TAIL_LEN];
	static size_t left = 0;

	if (left == 0)
	{
		if (!pg_strong_random(bytes, sizeof(bytes)))
			ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random bytes"));
		left = sizeof(bytes);
	}
	left -= TZ_ID_TAIL_LEN;
	memcpy(tail, bytes + left, TZ_ID_TAIL_LEN);
}

/* Floor, also before 2000. */
static int64
tz_ids_unix_ms(TimestampTz ts)
{
	int64 ms = ts / 1000;

	if (ts % 1000 < 0)
		ms--;
	return ms + TZ_UNIX_EPOCH_MS;
}
