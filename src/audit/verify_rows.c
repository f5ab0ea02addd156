/*-------------------------------------------------------------------------
 *
 * verify_rows.c
 *	  Verification, second pass: each event against the leaf that its seal holds.
 *
 * Events come in the order of their ids, seals in the order of their last ids. A
 * seal spans less than ten seconds, so those that can have an event are the few
 * whose last id is at most that far ahead: they lie in a heap by the id that each
 * expects next. An event is the one on top, or nobody sealed it; an id on top
 * that the events have passed is of a row that is missing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgtime.h"
#include "utils/memutils.h"

#include "audit/verify.h"
#include "pg/convert.h"
#include "pg/spi.h"

#define STRAYS_MAX 64
#define MONTHS_MAX 1200
#define LOOK_EVERY 1024 /* rows between looks for interrupts */

/* A seal whose events are under way. */
typedef struct Open
{
	int at; /* event that is expected next */
	int end; /* behind the last one that is asked about */
	TzSealRow seal;
} Open;

/* An event that nobody sealed. */
typedef struct Stray
{
	char id[TZ_ID_MAX + 1];
	TzHash leaf;
	const char *why;
} Stray;

typedef struct Rows
{
	TzVerify *v;
	TzEventScan *events;
	TzSealScan *seals;
	const TzSealRow *ahead; /* read, not taken yet */
	Open **heap;
	int nheap;
	int cap;
	TzSealCursor *cursor;
	int nmonths;
	int month[MONTHS_MAX]; /* year * 12 + month - 1, detached */
	int nstrays;
	Stray stray[STRAYS_MAX];
	int64 lost_seq; /* first event that is missing, 0: none */
	TzHash lost_leaf;
	char lost_id[TZ_ID_MAX + 1];
} Rows;

static void rows_whole(Rows *r);
static void rows_range(Rows *r);
static void rows_months(Rows *r);
static bool rows_archived(const Rows *r, const TzSealRow *seal);
static void seals_take(Rows *r, const uint8_t *id);
static void seal_take(Rows *r);
static bool rows_match(Rows *r, const TzEventRow *row);
static void rows_stray(Rows *r, const TzEventRow *row);
static void rows_missing(Rows *r);
static void rows_step(Rows *r);
static void rows_end(Rows *r);
static void heap_down(Rows *r, int at);
static void heap_up(Rows *r, int at);
static const uint8_t *expected(const Open *open);
static int64 id_ms(const uint8_t id[TZ_ID_BYTES]);

void
tz_verify_rows(TzVerify *v)
{
	Rows *r = palloc0(sizeof(*r));

	r->v = v;
	r->cap = 64;
	r->heap = palloc(sizeof(Open *) * r->cap);
	r->cursor = tz_sealing_cursor();
	rows_months(r);
	r->seals = tz_seals_scan(v->platform, Max(v->first_seq, 1), v->last_seq, true);
	r->ahead = tz_seals_next(r->seals);
	r->events = tz_event_scan(v->platform);
	if (v->whole)
		rows_whole(r);
	else
		rows_range(r);
	tz_event_scan_end(r->events);
	tz_seals_end(r->seals);
	rows_end(r);
}

/* Every event of the platform, so that one without a seal is seen. */
static void
rows_whole(Rows *r)
{
	const TzEventRow *row;
	uint64 n = 0;

	tz_event_seek(r->events, NULL);
	while ((row = tz_event_next(r->events)) != NULL)
	{
		if (++n % LOOK_EVERY == 0)
			CHECK_FOR_INTERRUPTS();
		seals_take(r, row->id);
		rows_match(r, row);
	}
	while (r->nheap > 0 || r->ahead != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		while (r->nheap > 0)
			rows_missing(r);
		if (r->ahead != NULL)
			seal_take(r);
	}
}

/* Only where the range has events: what lies between them is jumped over. */
static void
rows_range(Rows *r)
{
	char low[TZ_ID_MAX + 1];
	const TzEventRow *row;
	int strays = 0;
	TzErr err;

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		while (r->nheap == 0 && r->ahead != NULL)
			seal_take(r);
		if (r->nheap == 0)
			return;
		/* also those that may begin before the one that was taken */
		seals_take(r, expected(r->heap[0]));
		tz_check(tz_id_unpack(tz_slice_cstr("evt"), expected(r->heap[0]), low, &err), &err);
		tz_event_seek(r->events, low);
		strays = 0;
		while (r->nheap > 0 && strays < STRAYS_MAX)
		{
			row = tz_event_next(r->events);
			if (row == NULL)
			{
				while (r->nheap > 0)
					rows_missing(r);
				break;
			}
			seals_take(r, row->id);
			strays = rows_match(r, row) ? 0 : strays + 1;
		}
	}
}

/* Months whose events were exported and detached: leaves stand for them. */
static void
rows_months(Rows *r)
{
	const char *sql =
		"SELECT pg_catalog.left(s.month, 4)::integer * 12 + pg_catalog.right(s.month, 2)::integer - 1"
		"  FROM theazo_data.audit_segment s WHERE s.what = 'detached'"
		"   AND pg_catalog.to_regclass('theazo_data.event_' || s.month) IS NULL"
		" GROUP BY s.month ORDER BY s.month";

	if (SPI_execute_with_args(sql, 0, NULL, NULL, NULL, true, MONTHS_MAX) != SPI_OK_SELECT)
		elog(ERROR, "could not read the segments of the audit trail");
	r->nmonths = (int) SPI_processed;
	for (int i = 0; i < r->nmonths; i++)
		r->month[i] = tz_spi_int32((uint64) i, 1, 0);
	SPI_freetuptable(SPI_tuptable);
}

static bool
rows_archived(const Rows *r, const TzSealRow *seal)
{
	pg_time_t seconds = id_ms(seal->ids[0]) / 1000;
	struct pg_tm *tm;
	int month;

	if (r->nmonths == 0)
		return false;
	tm = pg_gmtime(&seconds);
	if (tm == NULL)
		return false;
	month = (tm->tm_year + 1900) * 12 + tm->tm_mon;
	for (int i = 0; i < r->nmonths; i++)
	{
		if (r->month[i] == month)
			return true;
	}
	return false;
}

/* All seals that may have an event up to this id. */
static void
seals_take(Rows *r, const uint8_t *id)
{
	int64 until = id_ms(id) + TZ_VERIFY_SPAN_MS;

	while (r->ahead != NULL && (r->ahead->odd || id_ms(r->ahead->ids[r->ahead->events - 1]) <= until))
		seal_take(r);
}

/* The next seal, if its events are to be looked at. */
static void
seal_take(Rows *r)
{
	const TzSealRow *seal = r->ahead;
	TzVerify *v = r->v;
	Open *open;
	int64 from = Max(v->first_seq, seal->first_seq);
	int64 to = Min(v->last_seq, seal->first_seq + seal->events - 1);

	if (seal->odd || from > to)
	{
		r->ahead = tz_seals_next(r->seals);
		return;
	}
	if (rows_archived(r, seal))
	{
		v->archived += to - from + 1;
		r->ahead = tz_seals_next(r->seals);
		return;
	}
	open = palloc(sizeof(*open));
	open->at = (int) (from - seal->first_seq);
	open->end = (int) (to - seal->first_seq) + 1;
	open->seal = *seal;
	if (r->nheap == r->cap)
	{
		r->cap *= 2;
		r->heap = repalloc(r->heap, sizeof(Open *) * r->cap);
	}
	r->heap[r->nheap] = open;
	heap_up(r, r->nheap++);
	r->ahead = tz_seals_next(r->seals);
}

/* False: no seal at hand has it. */
static bool
rows_match(Rows *r, const TzEventRow *row)
{
	Open *top;
	TzHash leaf;
	int64 seq;

	while (r->nheap > 0 && memcmp(expected(r->heap[0]), row->id, TZ_ID_BYTES) < 0)
		rows_missing(r);
	if (row->odd || r->nheap == 0 || memcmp(expected(r->heap[0]), row->id, TZ_ID_BYTES) != 0)
	{
		rows_stray(r, row);
		return false;
	}
	top = r->heap[0];
	seq = top->seal.first_seq + top->at;
	tz_event_leaf(row, r->v->hasher, &leaf);
	if (memcmp(&leaf, &top->seal.leaves[top->at], sizeof(leaf)) != 0)
	{
		char id[TZ_ID_MAX + 1];

		tz_event_id(row, id);
		tz_verify_bad(r->v, seq, "event", id, "the row is not what was sealed: it gives another leaf");
	}
	rows_step(r);
	return true;
}

static void
rows_stray(Rows *r, const TzEventRow *row)
{
	const char *why = tz_sealing_passed(r->cursor, row);
	char id[TZ_ID_MAX + 1];

	tz_event_id(row, id);
	if (why == NULL)
	{
		if (r->v->whole)
			r->v->pending++;
		return;
	}
	/* in a range it may be another seal's */
	if (!r->v->whole)
	{
		TzSealRow *seal = palloc(sizeof(*seal));
		int place;
		bool sealed = tz_seal_of(r->v->platform, id, seal, &place);

		pfree(seal);
		if (sealed)
			return;
	}
	if (r->nstrays < STRAYS_MAX)
	{
		Stray *stray = &r->stray[r->nstrays++];

		strlcpy(stray->id, id, sizeof(stray->id));
		stray->why = why;
		if (row->odd)
			memset(&stray->leaf, 0, sizeof(stray->leaf));
		else
			tz_event_leaf(row, r->v->hasher, &stray->leaf);
	}
}

/* The id on top of the heap has no row. */
static void
rows_missing(Rows *r)
{
	Open *top = r->heap[0];
	int64 seq = top->seal.first_seq + top->at;

	if (r->lost_seq == 0 || seq < r->lost_seq)
	{
		TzErr err;

		r->lost_seq = seq;
		r->lost_leaf = top->seal.leaves[top->at];
		tz_check(tz_id_unpack(tz_slice_cstr("evt"), expected(top), r->lost_id, &err), &err);
	}
	rows_step(r);
}

/* On to what the seal on top expects next. */
static void
rows_step(Rows *r)
{
	Open *top = r->heap[0];

	if (++top->at == top->end)
	{
		r->heap[0] = r->heap[--r->nheap];
		pfree(top);
	}
	if (r->nheap > 0)
		heap_down(r, 0);
}

/* What is missing and what nobody sealed, each by itself or one by the other's doing. */
static void
rows_end(Rows *r)
{
	const Stray *same = NULL;

	for (int i = 0; i < r->nstrays && r->lost_seq != 0 && same == NULL; i++)
	{
		if (memcmp(&r->stray[i].leaf, &r->lost_leaf, sizeof(r->lost_leaf)) == 0)
			same = &r->stray[i];
	}
	if (same != NULL)
		tz_verify_bad(r->v, r->lost_seq, "seal", same->id,
		              "its list of ids was changed: it names %s where this event was sealed", r->lost_id);
	else if (r->lost_seq != 0)
		tz_verify_bad(r->v, r->lost_seq, "event", r->lost_id, "the row is missing");
	if (r->nstrays > 0)
		tz_verify_bad(r->v, 0, "event", r->stray[0].id, "inserted: it has no seal, and %s", r->stray[0].why);
}

static void
heap_up(Rows *r, int at)
{
	while (at > 0)
	{
		int parent = (at - 1) / 2;
		Open *moved = r->heap[at];

		if (memcmp(expected(r->heap[parent]), expected(moved), TZ_ID_BYTES) <= 0)
			return;
		r->heap[at] = r->heap[parent];
		r->heap[parent] = moved;
		at = parent;
	}
}

static void
heap_down(Rows *r, int at)
{
	for (;;)
	{
		int least = at;
		Open *moved = r->heap[at];

		for (int child = 2 * at + 1; child <= 2 * at + 2 && child < r->nheap; child++)
		{
			if (memcmp(expected(r->heap[child]), expected(r->heap[least]), TZ_ID_BYTES) < 0)
				least = child;
		}
		if (least == at)
			return;
		r->heap[at] = r->heap[least];
		r->heap[least] = moved;
		at = least;
	}
}

static const uint8_t *
expected(const Open *open)
{
	return open->seal.ids[open->at];
}

static int64
id_ms(const uint8_t id[TZ_ID_BYTES])
{
	int64 ms = 0;

	for (int i = 0; i < 6; i++)
		ms = ms << 8 | id[i];
	return ms;
}
