/*-------------------------------------------------------------------------
 *
 * inflight.c
 *	  The table of calls in flight, and their moves.
 *
 * A call in flight outlives transactions, turns and errors of turns, so all of
 * it is malloc'ed and nothing here throws. What it did not manage to remember is
 * not lost: the row says claimed, and recovery asks who claimed it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "worker/inflight_internal.h"

#define SPARE_MAX 2048

/* moves[from][to] */
static const bool moves[TZ_FLIGHT_LISTS][TZ_FLIGHT_GONE + 1] = {
	[TZ_FLIGHT_CLAIMED] = {[TZ_FLIGHT_FLYING] = true, [TZ_FLIGHT_ENDED] = true},
	[TZ_FLIGHT_FLYING] = {[TZ_FLIGHT_ENDED] = true},
	[TZ_FLIGHT_ENDED] = {[TZ_FLIGHT_PARKED] = true, [TZ_FLIGHT_GONE] = true},
	[TZ_FLIGHT_PARKED] = {[TZ_FLIGHT_ENDED] = true, [TZ_FLIGHT_GONE] = true},
};

static void
list_remove(TzFlightList *list, TzFlight *f)
{
	if (f->prev != NULL)
		f->prev->next = f->next;
	else
		list->first = f->next;
	if (f->next != NULL)
		f->next->prev = f->prev;
	else
		list->last = f->prev;
	f->next = f->prev = NULL;
	list->n--;
}

static void
list_push(TzFlightList *list, TzFlight *f)
{
	f->next = NULL;
	f->prev = list->last;
	if (list->last != NULL)
		list->last->next = f;
	else
		list->first = f;
	list->last = f;
	list->n++;
}

static TzFlight **
bucket_of(const TzInflight *table, const char *id)
{
	uint32 h = hash_bytes((const unsigned char *) id, (int) strlen(id));

	return &table->buckets[h & (uint32) (table->nbuckets - 1)];
}

bool
tz_inflight_init(TzInflight *table, int expected)
{
	memset(table, 0, sizeof(*table));
	table->nbuckets = 256;
	while (table->nbuckets < expected && table->nbuckets < 65536)
		table->nbuckets *= 2;
	table->buckets = calloc((size_t) table->nbuckets, sizeof(TzFlight *));
	return table->buckets != NULL;
}

bool
tz_inflight_reserve(TzInflight *table, int n)
{
	while (table->nspare < n)
	{
		TzFlight *f = calloc(1, sizeof(TzFlight));

		if (f == NULL)
			return false;
		f->next = table->spare;
		table->spare = f;
		table->nspare++;
	}
	return true;
}

TzFlight *
tz_inflight_add(TzInflight *table, TzClaimed *claim, TimestampTz now)
{
	TzFlight *f = table->spare;
	TzFlight **bucket;

	Assert(f != NULL);
	table->spare = f->next;
	table->nspare--;
	f->next = NULL;
	f->table = table;
	f->claim = claim;
	f->claimed_at = f->started = f->finished = now;
	bucket = bucket_of(table, claim->id);
	f->chain = *bucket;
	*bucket = f;
	list_push(&table->lists[TZ_FLIGHT_CLAIMED], f);
	table->n++;
	return f;
}

TzFlight *
tz_inflight_find(const TzInflight *table, const char *id, int attempt)
{
	for (TzFlight *f = *bucket_of(table, id); f != NULL; f = f->chain)
	{
		if (f->claim->attempt == attempt && strcmp(f->claim->id, id) == 0)
			return f;
	}
	return NULL;
}

bool
tz_flight_move(TzFlight *f, TzFlightState to)
{
	TzInflight *table = f->table;

	if (f->state >= TZ_FLIGHT_LISTS || !moves[f->state][to])
		return false;
	if (f->state == TZ_FLIGHT_FLYING && !f->noted)
		table->unnoted--;
	if (f == table->first_unnoted)
		table->first_unnoted = f->next;
	list_remove(&table->lists[f->state], f);
	f->state = to;
	if (to < TZ_FLIGHT_LISTS)
		list_push(&table->lists[to], f);
	if (to == TZ_FLIGHT_FLYING)
	{
		table->unnoted++;
		if (table->first_unnoted == NULL)
			table->first_unnoted = f;
	}
	return true;
}

void
tz_flight_free(TzFlight *f)
{
	TzInflight *table = f->table;
	TzFlight **at;

	if (!tz_flight_move(f, TZ_FLIGHT_GONE))
		return;
	at = bucket_of(table, f->claim->id);
	while (*at != f)
		at = &(*at)->chain;
	*at = f->chain;
	table->n--;
	tz_flight_wipe(f);
	json_decref(f->request);
	json_decref(f->step_state);
	tz_outcome_free(&f->outcome);
	free(f->result);
	tz_claimed_free(f->claim);
	if (table->nspare >= SPARE_MAX)
	{
		free(f);
		return;
	}
	memset(f, 0, sizeof(*f));
	f->next = table->spare;
	table->spare = f;
	table->nspare++;
}
