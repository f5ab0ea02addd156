/*-------------------------------------------------------------------------
 *
 * ring.c
 *	  Events that must outlive the transaction of whoever causes them.
 *
 * A refusal ends in an error, and the error takes back what the caller wrote.
 * So the event goes to the keeper through shared memory, with the caller's
 * identity, time and number, and the keeper commits it.
 *
 * Slots of one size, taken and freed one by one: a database whose keeper is
 * away holds at most half of them, and its records stand in nobody's way. A
 * slot is freed only after the commit; what the keeper could not write stays.
 * A crash of the server loses what was not committed yet, which is why those
 * who refuse wait.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/xid8.h"

#include "audit/ring.h"
#include "lib/entry.h"
#include "lib/envelope.h"
#include "lib/id.h"
#include "pg/append.h"
#include "pg/compat.h"
#include "pg/convert.h"
#include "pg/ids.h"
#include "pg/pausepoint.h"
#include "pg/shmem.h"
#include "pg/txn.h"
#include "pg/wake.h"
#include "pg/worker.h"

#define RING_TRANCHE "theazo audit ring"
#define RING_BYTES 5632 /* of the texts of one event; a body has at most 4 KiB here */
#define RING_SHARE (TZ_RING_SLOTS / 2) /* of a database whose keeper is away */
#define RING_NONE UINT16_MAX /* length of a text that is not there */
#define RING_WRITTEN_MS 500
#define RING_ROOM_MS 300
#define RING_STEP_MS 100
#define RING_TRIES 3

typedef struct RingSlot
{
	Oid db; /* InvalidOid: free */
	uint64 ticket; /* in the order of arrival, never again */
	int64 number;
	TimestampTz at;
	bool is_violation;
	uint8 tries; /* that failed */
	uint16 len[TZ_RING_TEXTS];
	char bytes[RING_BYTES];
} RingSlot;

/* What found no room, of one database. */
typedef struct RingGap
{
	Oid db;
	int64 events;
	TimestampTz from;
	TimestampTz to;
} RingGap;

typedef struct Ring
{
	ConditionVariable moved; /* slots were freed */
	uint64 ticket; /* given last */
	pg_atomic_uint32 stalled[TZ_DATABASES_MAX]; /* somebody waited in vain, and no commit came since */
	RingGap gap[TZ_DATABASES_MAX];
	RingSlot slot[TZ_RING_SLOTS];
} Ring;

/* What the keeper takes at once. */
typedef struct RingBatch
{
	int n;
	RingSlot *slot[TZ_RING_SLOTS];
	RingSlot copy[TZ_RING_SLOTS];
	RingGap gap;
} RingBatch;

static Ring *ring = NULL;
static LWLock *ring_lock = NULL;

static shmem_request_hook_type previous_request = NULL;
static shmem_startup_hook_type previous_startup = NULL;

static void ring_request(void);
static void ring_startup(void);
static void ring_unserved(void);
static RingSlot *ring_offer(const TzRingEvent *event, bool served, uint64 *ticket);
static void ring_fill(RingSlot *slot, const TzRingEvent *event);
static bool ring_wait_for_room(const TzRingEvent *event, bool served, RingSlot **slot, uint64 *ticket);
static void ring_wait_for_commit(const RingSlot *slot, uint64 ticket);
static pg_atomic_uint32 *ring_stalled(Oid db);
static bool ring_is_there(const RingSlot *slot, uint64 ticket);
static void ring_count(Oid db, TimestampTz at);
static bool ring_served(void);
static bool ring_has(Oid db);
static void ring_collect(Oid db, RingBatch *batch);
static void ring_write(RingBatch *batch);
static void ring_write_all(const RingBatch *batch);
static void ring_write_slot(const RingSlot *slot);
static void ring_limit_hit(const TzRingEvent *event);
static void ring_write_gap(const RingGap *gap);
static void ring_append(const TzRingEvent *event);
static void ring_done(const RingBatch *batch);
static void ring_failed(const RingBatch *batch);

void
tz_ring_init(void)
{
	previous_request = shmem_request_hook;
	shmem_request_hook = ring_request;
	previous_startup = shmem_startup_hook;
	shmem_startup_hook = ring_startup;
}

static void
ring_request(void)
{
	if (previous_request)
		previous_request();
	RequestAddinShmemSpace(MAXALIGN(sizeof(Ring)));
	RequestNamedLWLockTranche(RING_TRANCHE, 1);
}

static void
ring_startup(void)
{
	bool found;

	if (previous_startup)
		previous_startup();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	ring = ShmemInitStruct(RING_TRANCHE, sizeof(Ring), &found);
	if (!found)
	{
		memset(ring, 0, sizeof(Ring));
		ConditionVariableInit(&ring->moved);
		for (int i = 0; i < TZ_DATABASES_MAX; i++)
			pg_atomic_init_u32(&ring->stalled[i], 0);
	}
	ring_lock = &GetNamedLWLockTranche(RING_TRANCHE)->lock;
	LWLockRelease(AddinShmemInitLock);
}

void
tz_ring_put(const TzRingEvent *event, bool wait)
{
	RingSlot *slot;
	uint64 ticket = 0;
	bool served;

	if (ring == NULL)
		return;
	if (RecoveryInProgress())
	{
		ereport(WARNING, errmsg("the refusal is not recorded: this server is a standby"),
		        errhint("Refusals are recorded by the primary only."));
		return;
	}
	if (tz_database_find(MyDatabaseId) < 0)
	{
		ring_unserved();
		return;
	}
	served = ring_served();
	slot = ring_offer(event, served, &ticket);
	if (slot == NULL && !ring_wait_for_room(event, served, &slot, &ticket))
	{
		LWLockAcquire(ring_lock, LW_EXCLUSIVE);
		ring_count(MyDatabaseId, event->at);
		LWLockRelease(ring_lock);
		ereport(WARNING, errmsg("the refusal could not be recorded in time"),
		        errdetail("Its place in the audit is marked as a gap."),
		        errhint("The keeper writes slower than refusals come; theazo.workers tells what it does."));
		return;
	}
	tz_wake_now(MyDatabaseId, TZ_WAKE_REFUSED);
	/* a worker would hold up others, or wait for itself */
	if (wait && served && MyBgworkerEntry == NULL)
		ring_wait_for_commit(slot, ticket);
}

/* Said once a session: it is how the server is set up, and the caller can do nothing. */
static void
ring_unserved(void)
{
	static bool said = false;

	if (!said)
		ereport(LOG, errmsg("refusals in this database are not recorded: no keeper serves it"),
		        errhint("Name the database in theazo.databases."));
	said = true;
}

/* NULL when there is no room. */
static RingSlot *
ring_offer(const TzRingEvent *event, bool served, uint64 *ticket)
{
	RingSlot *room = NULL;
	int mine = 0;

	LWLockAcquire(ring_lock, LW_EXCLUSIVE);
	for (int i = 0; i < TZ_RING_SLOTS; i++)
	{
		RingSlot *slot = &ring->slot[i];

		if (slot->db == MyDatabaseId)
			mine++;
		else if (room == NULL && !OidIsValid(slot->db))
			room = slot;
	}
	if (!served && mine >= RING_SHARE)
		room = NULL;
	if (room != NULL)
	{
		ring_fill(room, event);
		room->ticket = *ticket = ++ring->ticket;
		room->db = MyDatabaseId;
	}
	LWLockRelease(ring_lock);
	return room;
}

/* A body that does not fit becomes an empty one; everything else is short. */
static void
ring_fill(RingSlot *slot, const TzRingEvent *event)
{
	size_t used = 0;

	slot->number = event->number;
	slot->at = event->at;
	slot->is_violation = event->is_violation;
	slot->tries = 0;
	for (int i = 0; i < TZ_RING_TEXTS; i++)
	{
		TzSlice text = event->text[i];

		slot->len[i] = RING_NONE;
		if (text.data == NULL)
			continue;
		if (text.len > RING_BYTES - used)
			text = i == TZ_RING_BODY ? tz_slice("{}", 2) : tz_slice(text.data, 0);
		if (text.len > RING_BYTES - used)
			continue;
		memcpy(slot->bytes + used, text.data, text.len);
		slot->len[i] = (uint16) text.len;
		used += text.len;
	}
}

/* A short while: whoever is refused shall not be held up for long. */
static bool
ring_wait_for_room(const TzRingEvent *event, bool served, RingSlot **slot, uint64 *ticket)
{
	if (!served || pg_atomic_read_u32(ring_stalled(MyDatabaseId)) != 0)
		return false;
	for (int waited = 0; *slot == NULL && waited < RING_ROOM_MS; waited += RING_STEP_MS)
	{
		tz_wake_now(MyDatabaseId, TZ_WAKE_REFUSED);
		ConditionVariablePrepareToSleep(&ring->moved);
		*slot = ring_offer(event, served, ticket);
		if (*slot == NULL)
		{
			(void) ConditionVariableTimedSleep(&ring->moved, RING_STEP_MS, PG_WAIT_EXTENSION);
			*slot = ring_offer(event, served, ticket);
		}
		ConditionVariableCancelSleep();
	}
	return *slot != NULL;
}

static void
ring_wait_for_commit(const RingSlot *slot, uint64 ticket)
{
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), RING_WRITTEN_MS);
	pg_atomic_uint32 *stalled = ring_stalled(MyDatabaseId);

	/* a keeper that is stuck holds up one caller, not each */
	if (pg_atomic_read_u32(stalled) != 0)
		return;
	ConditionVariablePrepareToSleep(&ring->moved);
	while (ring_is_there(slot, ticket) && ring_served() && GetCurrentTimestamp() < until)
		(void) ConditionVariableTimedSleep(&ring->moved, RING_STEP_MS, PG_WAIT_EXTENSION);
	ConditionVariableCancelSleep();
	if (ring_is_there(slot, ticket))
		pg_atomic_write_u32(stalled, 1);
}

/* Of a database that was found a moment ago. */
static pg_atomic_uint32 *
ring_stalled(Oid db)
{
	return &ring->stalled[Max(tz_database_find(db), 0)];
}

static bool
ring_is_there(const RingSlot *slot, uint64 ticket)
{
	bool there;

	LWLockAcquire(ring_lock, LW_SHARED);
	there = slot->db == MyDatabaseId && slot->ticket == ticket;
	LWLockRelease(ring_lock);
	return there;
}

/* One event is lost; the keeper will say so. With the lock. */
static void
ring_count(Oid db, TimestampTz at)
{
	RingGap *gap = NULL;

	for (int i = 0; i < TZ_DATABASES_MAX; i++)
	{
		if (ring->gap[i].db == db)
		{
			gap = &ring->gap[i];
			break;
		}
		if (gap == NULL && !OidIsValid(ring->gap[i].db))
			gap = &ring->gap[i];
	}
	if (gap == NULL)
		return;
	if (gap->db != db)
		gap->from = at;
	gap->db = db;
	gap->events++;
	gap->to = at;
}

/* Does a keeper run here now? */
static bool
ring_served(void)
{
	int dbindex = tz_database_find(MyDatabaseId);
	bool served;

	if (dbindex < 0)
		return false;
	LWLockAcquire(tz_shared->lock, LW_SHARED);
	served = tz_slot_at(dbindex, 0)->phase == TZ_SLOT_RUNNING;
	LWLockRelease(tz_shared->lock);
	return served;
}

int
tz_ring_drain(Oid db)
{
	RingBatch *batch;
	int n;

	if (ring == NULL || !ring_has(db))
		return 0;
	TZ_PAUSE_POINT("ring drain");
	batch = palloc(sizeof(RingBatch));
	ring_collect(db, batch);
	n = batch->n;
	ring_write(batch);
	pfree(batch);
	return n;
}

static bool
ring_has(Oid db)
{
	bool has = false;

	LWLockAcquire(ring_lock, LW_SHARED);
	for (int i = 0; i < TZ_RING_SLOTS && !has; i++)
		has = ring->slot[i].db == db;
	for (int i = 0; i < TZ_DATABASES_MAX && !has; i++)
		has = ring->gap[i].db == db;
	LWLockRelease(ring_lock);
	return has;
}

/*
 * What is there for a database, in the order of arrival. After a failure one at
 * a time, so that a record which cannot be written keeps back no other for long.
 */
static void
ring_collect(Oid db, RingBatch *batch)
{
	bool careful = false;

	batch->n = 0;
	memset(&batch->gap, 0, sizeof(batch->gap));
	LWLockAcquire(ring_lock, LW_SHARED);
	for (int i = 0; i < TZ_RING_SLOTS; i++)
	{
		RingSlot *slot = &ring->slot[i];
		int at = batch->n;

		if (slot->db != db)
			continue;
		careful = careful || slot->tries > 0;
		for (; at > 0 && batch->slot[at - 1]->ticket > slot->ticket; at--)
			batch->slot[at] = batch->slot[at - 1];
		batch->slot[at] = slot;
		batch->n++;
	}
	for (int i = 0; i < TZ_DATABASES_MAX; i++)
		if (ring->gap[i].db == db)
			batch->gap = ring->gap[i];
	if (careful)
		batch->n = 1;
	for (int i = 0; i < batch->n; i++)
		memcpy(&batch->copy[i], batch->slot[i], sizeof(RingSlot));
	LWLockRelease(ring_lock);
}

/* One transaction for all of them. */
static void
ring_write(RingBatch *batch)
{
	PG_TRY();
	{
		tz_txn_begin("theazo keeper: refusals", 0);
		ring_write_all(batch);
		tz_txn_commit();
	}
	PG_CATCH();
	{
		ring_failed(batch);
		PG_RE_THROW();
	}
	PG_END_TRY();
	ring_done(batch);
}

/* As who owns the events: a worker may name nothing there. */
static void
ring_write_all(const RingBatch *batch)
{
	Oid user;
	int context;

	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(get_role_oid("theazo_guard", false), context | SECURITY_LOCAL_USERID_CHANGE);
	for (int i = 0; i < batch->n; i++)
		ring_write_slot(&batch->copy[i]);
	if (batch->gap.events > 0)
		ring_write_gap(&batch->gap);
	tz_wake_at_commit(TZ_WAKE_SEAL);
	SetUserIdAndSecContext(user, context);
}

static void
ring_write_slot(const RingSlot *slot)
{
	TzRingEvent event;
	const char *p = slot->bytes;

	event.number = slot->number;
	event.at = slot->at;
	event.is_violation = slot->is_violation;
	for (int i = 0; i < TZ_RING_TEXTS; i++)
	{
		event.text[i] = tz_slice(NULL, 0);
		if (slot->len[i] == RING_NONE)
			continue;
		event.text[i] = tz_slice(p, slot->len[i]);
		p += slot->len[i];
	}
	ring_append(&event);
	ring_limit_hit(&event);
}

/* A limit of a session that a caller has hit: the keeper pauses the session, which the caller could not (budget_alert.sql). */
static void
ring_limit_hit(const TzRingEvent *event)
{
	static TzAppend hits = {"limit_hit", 5, {"platform_id", "id", "session_id", "rule", "hit_at"}, NULL};
	TzSlice rule = event->text[TZ_RING_RULE];
	Datum values[5];
	bool nulls[5] = {false};
	char id[TZ_ID_MAX + 1];

	if (event->text[TZ_RING_SESSION].data == NULL ||
	    !tz_slice_eq_cstr(event->text[TZ_RING_ACTION], "limit_hit") ||
	    (!tz_slice_eq_cstr(rule, "limit:maxCost") && !tz_slice_eq_cstr(rule, "limit:maxComputeMinutes") &&
	     !tz_slice_eq_cstr(rule, "limit:maxDuration")))
		return;
	tz_id_new("hit", id);
	values[0] = tz_text_datum(event->text[TZ_RING_PLATFORM]);
	values[1] = CStringGetTextDatum(id);
	values[2] = tz_text_datum(event->text[TZ_RING_SESSION]);
	values[3] = tz_text_datum(rule);
	values[4] = TimestampTzGetDatum(event->at);
	tz_append(&hits, values, nulls);
	tz_wake_at_commit(TZ_WAKE_KEEPER);
}

/* That so many are missing is itself a fact. */
static void
ring_write_gap(const RingGap *gap)
{
	TzRingEvent event;
	char id[TZ_ID_MAX + 1];

	memset(&event, 0, sizeof(event));
	event.number = tz_number_new();
	event.at = GetCurrentTimestamp();
	tz_id_of_number("evt", event.number, id);
	event.text[TZ_RING_PLATFORM] = tz_slice_cstr(TZ_OPERATOR_PLATFORM);
	event.text[TZ_RING_ID] = tz_slice_cstr(id);
	event.text[TZ_RING_ENVIRONMENT] = tz_slice_cstr("live");
	event.text[TZ_RING_ACTOR_KIND] = tz_slice_cstr("worker");
	event.text[TZ_RING_ACTOR] = tz_slice_cstr(MyBgworkerEntry != NULL ? MyBgworkerEntry->bgw_type : "keeper");
	event.text[TZ_RING_CATEGORY] = tz_slice_cstr("control");
	event.text[TZ_RING_ACTION] = tz_slice_cstr("audit_gap");
	event.text[TZ_RING_BODY] = tz_slice_cstr(
		psprintf("{\"summary\": {\"events\": " INT64_FORMAT ", \"from\": \"%s\", \"to\": \"%s\"}}",
	             gap->events, pstrdup(timestamptz_to_str(gap->from)), pstrdup(timestamptz_to_str(gap->to))));
	ring_append(&event);
}

static void
ring_append(const TzRingEvent *event)
{
	static TzAppend events = {"event",
	                          21,
	                          {"platform_id", "id",       "environment", "session_id",
	                           "agent_id",    "run_id",   "actor_kind",  "actor_id",
	                           "request_id",  "category", "action",      "permission_state",
	                           "decision",    "rule",     "body",        "number",
	                           "occurred_at", "xid",      "instance",    "is_violation",
	                           "format"},
	                          NULL};

	Datum values[21];
	bool nulls[21] = {false};
	int n = TZ_RING_TEXTS;

	for (int i = 0; i < TZ_RING_TEXTS; i++)
	{
		nulls[i] = event->text[i].data == NULL;
		if (!nulls[i])
			values[i] = i == TZ_RING_BODY ? tz_bytea_datum(event->text[i]) : tz_text_datum(event->text[i]);
	}
	values[n++] = Int64GetDatum(event->number);
	values[n++] = TimestampTzGetDatum(event->at);
	values[n++] = FullTransactionIdGetDatum(GetTopFullTransactionId());
	values[n++] = CStringGetTextDatum(tz_instance());
	values[n++] = BoolGetDatum(event->is_violation);
	values[n++] = Int16GetDatum(TZ_ENTRY_FORMAT);
	Assert(n == events.ncolumns);
	tz_append(&events, values, nulls);
}

/* Committed: the slots are free, and who waited may go on. */
static void
ring_done(const RingBatch *batch)
{
	const RingGap *gap = &batch->gap;

	LWLockAcquire(ring_lock, LW_EXCLUSIVE);
	for (int i = 0; i < batch->n; i++)
		batch->slot[i]->db = InvalidOid;
	for (int i = 0; gap->events > 0 && i < TZ_DATABASES_MAX; i++)
	{
		if (ring->gap[i].db != gap->db)
			continue;
		ring->gap[i].events -= gap->events;
		ring->gap[i].from = gap->to;
		if (ring->gap[i].events == 0)
			ring->gap[i].db = InvalidOid;
	}
	LWLockRelease(ring_lock);
	pg_atomic_write_u32(ring_stalled(MyDatabaseId), 0);
	ConditionVariableBroadcast(&ring->moved);
}

/* Not written: again, one by one. What fails alone, again and again, is given up and counted. */
static void
ring_failed(const RingBatch *batch)
{
	LWLockAcquire(ring_lock, LW_EXCLUSIVE);
	for (int i = 0; i < batch->n; i++)
	{
		RingSlot *slot = batch->slot[i];

		if (++slot->tries < RING_TRIES || batch->n > 1)
			continue;
		ring_count(slot->db, slot->at);
		slot->db = InvalidOid;
	}
	LWLockRelease(ring_lock);
}
