/*-------------------------------------------------------------------------
 *
 * known.c
 *	  Keys that were valid when they were last shown; all others are tried at a bounded rate.
 *
 * A key that is no key costs a look-up and an event, and anybody who reaches the
 * port can show any number of them. What a worker remembers here decides on
 * nothing else: each key is looked up each time it is shown.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "gate/rate.h"
#include "gateway/known.h"

#define KNOWN_MAX 8192 /* a power of two */
#define UNKNOWN_PER_MINUTE 3000
#define UNKNOWN_BURST 500

static uint64 known[KNOWN_MAX]; /* hashes; one that falls on the place of another takes it */
static uint64 seed = 0;

static uint64 *place_of(TzSlice key, uint64 *hash);

static uint64 *
place_of(TzSlice key, uint64 *hash)
{
	while (seed == 0)
		if (!pg_strong_random(&seed, sizeof(seed)))
			ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random bytes")));
	*hash = hash_bytes_extended((const unsigned char *) key.data, (int) key.len, seed);
	if (*hash == 0)
		*hash = 1;
	return &known[*hash % KNOWN_MAX];
}

bool
tz_known_try(TzSlice key)
{
	uint64 hash;
	uint64 *place = place_of(key, &hash);
	int64 retry_ms;

	if (*place == hash)
	{
		/* until it has proved to be valid again */
		*place = 0;
		return true;
	}
	return tz_rate_take(TZ_RATE_KEY,
	                    tz_rate_tag(TZ_RATE_KEY, tz_slice_cstr("gateway"), tz_slice_cstr("unknown")),
	                    UNKNOWN_PER_MINUTE, UNKNOWN_BURST, UNKNOWN_BURST, &retry_ms);
}

void
tz_known_valid(TzSlice key)
{
	uint64 hash;
	uint64 *place = place_of(key, &hash);

	*place = hash;
}
