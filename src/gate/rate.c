/*-------------------------------------------------------------------------
 *
 * rate.c
 *	  Rate limits: token buckets in shared memory.
 *
 * A table of fixed size, in sets of two cache lines. Which set a bucket is in,
 * and which of its slots, says a keyed hash of scope, platform and subject, so
 * that nobody can make two subjects meet on purpose. A check of a known bucket
 * takes one compare-and-swap and no lock.
 *
 * A slot whose bucket is full again says nothing that an empty slot would not
 * say, so it is given to whoever needs one, under a lock. The order of words
 * makes that safe against those who do not take it: a taker first removes the
 * tag, then changes the time, then writes its own tag; a checker reads the time
 * before the tag, and its compare-and-swap fails when the time has changed. A
 * slot's time is not again what it once was, because it is given away only when
 * it lies in the past and becomes one in the future.
 *
 * A set whose slots are all in use has one more bucket, which those without a
 * slot share: they get less then, never more, and whoever moves from there to a
 * slot of its own takes the debt along.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "funcapi.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

#include "gate/rate.h"
#include "lib/gcra.h"
#include "lib/id.h"
#include "lib/siphash.h"
#include "pg/export.h"
#include "pg/guc.h"
#include "pg/objects.h"

#define RATE_TRANCHE "theazo rate"
#define RATE_WAYS 7
#define RATE_TEXT_MAX 512 /* longer subjects are told apart by their beginning and length */
#define RATE_NS_PER_MS UINT64CONST(1000000)

typedef struct RateSlot
{
	pg_atomic_uint64 tag; /* hash of whose it is; 0: free, or changing hands */
	pg_atomic_uint64 full_at;
} RateSlot;

typedef struct RateSet
{
	RateSlot slot[RATE_WAYS];
	pg_atomic_uint64 shared; /* full_at of those without a slot; changed with the lock held */
	uint64 spare;
} RateSet;

StaticAssertDecl(sizeof(RateSet) == 128, "a set is two cache lines");

typedef struct RateTable
{
	uint8 key[TZ_SIPHASH_KEY];
	uint32 nsets;
	pg_atomic_uint64 crowded; /* checks that found no slot */
	pg_atomic_uint64 refused;
} RateTable; /* the sets follow, aligned */

/* One token that somebody wants. */
typedef struct RateAsk
{
	TzGcra limit;
	uint64 now;
	uint64 ahead_ns;
	uint64 most_ns; /* what was taken may count for so long */
	bool reserves; /* tokens of its bucket may have been taken ahead of their time */
	uint64 wait_ns; /* the answer: until it may be used, or until one comes */
} RateAsk;

static const char *const scope_names[TZ_RATE_SCOPES] = {"key", "platform", "session", "agent",
                                                        "run", "spawn",    "provider"};

static RateTable *table = NULL;
static RateSet *sets = NULL;
static LWLock *rate_lock = NULL;
static shmem_request_hook_type previous_request = NULL;
static shmem_startup_hook_type previous_startup = NULL;

static void rate_request(void);
static void rate_startup(void);
static uint32 rate_nsets(void);
static Size rate_size(void);
static uint64 rate_now(void);
static bool rate_ask(uint64 tag, RateAsk *ask);
static RateSlot *rate_find(RateSet *set, uint64 tag, uint64 *full_at);
static bool rate_from_slot(RateSlot *slot, uint64 *full_at, RateAsk *ask, bool *taken);
static bool rate_adopt(RateSet *set, uint64 tag, RateAsk *ask, bool *taken);
static bool rate_give(RateSlot *slot, uint64 tag, uint64 was, uint64 next);

void
tz_rate_init(void)
{
	previous_request = shmem_request_hook;
	shmem_request_hook = rate_request;
	previous_startup = shmem_startup_hook;
	shmem_startup_hook = rate_startup;
}

/* Platforms are ids, which hold no zero byte. */
uint64
tz_rate_tag(TzRateScope scope, TzSlice platform, TzSlice subject)
{
	char text[RATE_TEXT_MAX];
	size_t used = 0;
	size_t n;
	uint64 tag;

	if (table == NULL)
		return 1;
	text[used++] = (char) scope;
	n = Min(platform.len, TZ_ID_MAX);
	memcpy(text + used, platform.data, n);
	used += n;
	text[used++] = '\0';
	memcpy(text + used, &subject.len, sizeof(subject.len));
	used += sizeof(subject.len);
	n = Min(subject.len, sizeof(text) - used);
	if (n > 0)
		memcpy(text + used, subject.data, n);
	used += n;
	tag = tz_siphash(table->key, tz_slice(text, used));
	return tag == 0 ? 1 : tag;
}

bool
tz_rate_take(TzRateScope scope, uint64 tag, double per_minute, int burst, int most, int64 *retry_ms)
{
	RateAsk ask = {.reserves = scope == TZ_RATE_PROVIDER};
	bool taken;

	*retry_ms = 0;
	if (table == NULL || !tz_gcra_limit(per_minute, burst, &ask.limit))
		return true;
	ask.most_ns = (uint64) Min((double) ask.limit.interval_ns * Max(most, burst), (double) TZ_GCRA_WINDOW_NS);
	taken = rate_ask(tag, &ask);
	if (!taken)
		*retry_ms = Max((int64) ((ask.wait_ns + RATE_NS_PER_MS - 1) / RATE_NS_PER_MS), 1);
	return taken;
}

bool
tz_rate_reserve(uint64 tag, double per_minute, int burst, int64 longest_ms, int64 *wait_ms)
{
	RateAsk ask = {.reserves = true};
	bool taken;

	*wait_ms = 0;
	if (table == NULL || !tz_gcra_limit(per_minute, burst, &ask.limit))
		return true;
	ask.ahead_ns =
		(uint64) Min(Max(longest_ms, 0), TZ_GCRA_WINDOW_NS / (int64) RATE_NS_PER_MS) * RATE_NS_PER_MS;
	taken = rate_ask(tag, &ask);
	*wait_ms = (int64) ((ask.wait_ns + RATE_NS_PER_MS - 1) / RATE_NS_PER_MS);
	return taken;
}

const char *
tz_rate_scope_name(TzRateScope scope)
{
	return scope_names[scope];
}

bool
tz_rate_scope_find(TzSlice name, TzRateScope *scope)
{
	for (int i = 0; i < TZ_RATE_SCOPES; i++)
	{
		if (tz_slice_eq_cstr(name, scope_names[i]))
		{
			*scope = (TzRateScope) i;
			return true;
		}
	}
	return false;
}

/* theazo_internal.rate_table(OUT buckets bigint, OUT used bigint, OUT crowded bigint, OUT refused bigint) */
THEAZO_FUNCTION(theazo_rate_table)
{
	TupleDesc desc = tz_result_desc(fcinfo);
	Datum values[4] = {(Datum) 0, (Datum) 0, (Datum) 0, (Datum) 0};
	bool nulls[4] = {false, false, false, false};
	uint64 now = rate_now();
	int64 used = 0;

	if (table != NULL)
	{
		for (uint32 i = 0; i < table->nsets; i++)
		{
			for (int j = 0; j < RATE_WAYS; j++)
				used += pg_atomic_read_u64(&sets[i].slot[j].full_at) > now;
		}
		values[0] = Int64GetDatum((int64) table->nsets * RATE_WAYS);
		values[1] = Int64GetDatum(used);
		values[2] = Int64GetDatum((int64) pg_atomic_read_u64(&table->crowded));
		values[3] = Int64GetDatum((int64) pg_atomic_read_u64(&table->refused));
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

/* ---- shared memory ------------------------------------------------------------ */

static uint32
rate_nsets(void)
{
	return (uint32) Max((tz_guc_rate_buckets + RATE_WAYS - 1) / RATE_WAYS, 1);
}

static Size
rate_size(void)
{
	return add_size(MAXALIGN(sizeof(RateTable)) + PG_CACHE_LINE_SIZE,
	                mul_size(sizeof(RateSet), rate_nsets()));
}

static void
rate_request(void)
{
	if (previous_request)
		previous_request();
	RequestAddinShmemSpace(rate_size());
	RequestNamedLWLockTranche(RATE_TRANCHE, 1);
}

static void
rate_startup(void)
{
	bool found;

	if (previous_startup)
		previous_startup();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	table = ShmemInitStruct(RATE_TRANCHE, rate_size(), &found);
	sets = (RateSet *) CACHELINEALIGN((char *) table + MAXALIGN(sizeof(RateTable)));
	if (!found)
	{
		memset(table, 0, rate_size());
		table->nsets = rate_nsets();
		if (!pg_strong_random(table->key, sizeof(table->key)))
			ereport(FATAL, errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not get random bytes"));
		pg_atomic_init_u64(&table->crowded, 0);
		pg_atomic_init_u64(&table->refused, 0);
		for (uint32 i = 0; i < table->nsets; i++)
		{
			RateSet *set = &sets[i];

			pg_atomic_init_u64(&set->shared, 0);
			for (int j = 0; j < RATE_WAYS; j++)
			{
				pg_atomic_init_u64(&set->slot[j].tag, 0);
				pg_atomic_init_u64(&set->slot[j].full_at, 0);
			}
		}
	}
	rate_lock = &GetNamedLWLockTranche(RATE_TRANCHE)->lock;
	LWLockRelease(AddinShmemInitLock);
}

/* ---- checks ------------------------------------------------------------------- */

/* The same for all processes, and never set back. */
static uint64
rate_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64) t.tv_sec * UINT64CONST(1000000000) + (uint64) t.tv_nsec;
}

static bool
rate_ask(uint64 tag, RateAsk *ask)
{
	RateSet *set = &sets[(uint64) (uint32) (tag >> 32) * table->nsets >> 32];
	bool taken = false;
	bool done;

	ask->now = rate_now();
	do
	{
		uint64 full_at;
		RateSlot *slot = rate_find(set, tag, &full_at);

		done = slot != NULL ? rate_from_slot(slot, &full_at, ask, &taken) : rate_adopt(set, tag, ask, &taken);
	} while (!done);
	if (!taken)
		pg_atomic_fetch_add_u64(&table->refused, 1);
	return taken;
}

/* The time is read before the tag: see above. */
static RateSlot *
rate_find(RateSet *set, uint64 tag, uint64 *full_at)
{
	for (int i = 0; i < RATE_WAYS; i++)
	{
		RateSlot *slot = &set->slot[i];

		*full_at = pg_atomic_read_u64(&slot->full_at);
		pg_read_barrier();
		if (pg_atomic_read_u64(&slot->tag) == tag)
			return slot;
	}
	return NULL;
}

/* False: somebody was faster, and all has to be looked at again. */
static bool
rate_from_slot(RateSlot *slot, uint64 *full_at, RateAsk *ask, bool *taken)
{
	uint64 next;

	*taken = tz_gcra_take(&ask->limit, *full_at, ask->now, ask->ahead_ns, &next, &ask->wait_ns);
	if (*taken)
		return pg_atomic_compare_exchange_u64(&slot->full_at, full_at, next);
	/* emptier than empty: the limit was lower before, and what it raised to counts from now on */
	next = ask->now + ask->most_ns;
	if (!ask->reserves && *full_at > next && pg_atomic_compare_exchange_u64(&slot->full_at, full_at, next))
		ask->wait_ns = ask->most_ns - ask->limit.window_ns + ask->limit.interval_ns;
	return true;
}

/*
 * A slot for a bucket that has none. True: answered; with the bucket that all
 * without a slot share, where every slot is in use. False: look again.
 */
static bool
rate_adopt(RateSet *set, uint64 tag, RateAsk *ask, bool *taken)
{
	uint64 debt;
	uint64 next;
	uint64 full_at;
	bool done = true;

	LWLockAcquire(rate_lock, LW_EXCLUSIVE);
	debt = pg_atomic_read_u64(&set->shared);
	*taken = tz_gcra_take(&ask->limit, debt, ask->now, ask->ahead_ns, &next, &ask->wait_ns);
	if (rate_find(set, tag, &full_at) != NULL)
		done = false; /* another one has made it meanwhile */
	else if (*taken)
	{
		int i;

		for (i = 0; i < RATE_WAYS; i++)
		{
			full_at = pg_atomic_read_u64(&set->slot[i].full_at);
			if (full_at <= ask->now && rate_give(&set->slot[i], tag, full_at, next))
				break;
		}
		if (i == RATE_WAYS)
		{
			pg_atomic_write_u64(&set->shared, next);
			pg_atomic_fetch_add_u64(&table->crowded, 1);
		}
	}
	LWLockRelease(rate_lock);
	return done;
}

/* With the lock. False: whose it was has used it just now. */
static bool
rate_give(RateSlot *slot, uint64 tag, uint64 was, uint64 next)
{
	uint64 owner = pg_atomic_read_u64(&slot->tag);

	pg_atomic_write_u64(&slot->tag, 0);
	pg_memory_barrier();
	if (!pg_atomic_compare_exchange_u64(&slot->full_at, &was, next))
	{
		pg_atomic_write_u64(&slot->tag, owner);
		return false;
	}
	pg_atomic_write_u64(&slot->tag, tag);
	return true;
}
