/*-------------------------------------------------------------------------
 *
 * shmem.h
 *	  What all processes share: worker slots, databases, wake-ups, waiters.
 *
 * Everything here can be lost without losing a promise: after a crash the
 * postmaster starts with an empty area and the rows tell what is due. Holds
 * pids, numbers and flags, never pointers, handles or descriptors of a process.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_SHMEM_H
#define TZ_SHMEM_H

#include "pg/worker.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/lwlock.h"
#include "utils/timestamp.h"

#define TZ_DATABASES_MAX 64
#define TZ_RUN_BUCKETS 64 /* run ids are hashed to so many condition variables */
#define TZ_BELLS (TZ_RUN_BUCKETS * 16) /* and those whose texts are read live, to these */
#define TZ_PAUSE_POINTS_MAX 16
#define TZ_NOTE_MAX 128

typedef enum TzSlotPhase
{
	TZ_SLOT_FREE = 0,
	TZ_SLOT_STARTING, /* registered with the postmaster, not attached yet */
	TZ_SLOT_RUNNING
} TzSlotPhase;

/* Who takes a dispatcher from asleep to awake sets its latch. */
typedef enum TzRoom
{
	TZ_ROOM_NONE = 0, /* full, resting after an error, leaving */
	TZ_ROOM_ASLEEP,
	TZ_ROOM_AWAKE
} TzRoom;

/* A place for one worker. Protected by tz_shared->lock. */
typedef struct TzWorkerSlot
{
	TzSlotPhase phase;
	TzWorkerKind kind;
	int number; /* of a dispatcher or gateway within its database */
	Oid dboid;
	int pid; /* 0 unless running */
	int procno; /* for its latch */
	int64 incarnation;
	TimestampTz started_at; /* starting: when it was registered */
	int inflight;
	pg_atomic_uint32 room; /* TzRoom of a dispatcher: may a wake-up be for it alone */
	pg_atomic_uint32 places; /* of a dispatcher: 1 when a program of an agent could begin there */
	pg_atomic_uint64 watch_ended; /* of a gateway: buckets of runs whose end it waits for */
	pg_atomic_uint64 watch_moved; /* the same: whose steps it follows */
	bool planned; /* free: the last one left by itself, nothing failed */
	char state[16];
	char note[TZ_NOTE_MAX]; /* also says why nothing runs here */
} TzWorkerSlot;

/* What the keeper found in a database. */
typedef enum TzExtensionState
{
	TZ_EXTENSION_UNKNOWN = 0,
	TZ_EXTENSION_ABSENT,
	TZ_EXTENSION_PRESENT,
	TZ_EXTENSION_MISMATCH /* library and extension differ in version */
} TzExtensionState;

/* One database the launcher knows of. dboid is 0 when the entry is free; the rest is under the lock unless atomic. */
typedef struct TzDatabase
{
	pg_atomic_uint32 dboid;
	pg_atomic_uint32 cancel_epoch; /* moves with every committed wake_cancel() */
	pg_atomic_uint32 halt_epoch; /* moves when a halt committed or was lifted; never 0 */
	pg_atomic_uint32 extension_epoch; /* moves when CREATE, ALTER or DROP EXTENSION committed */
	pg_atomic_uint32 unwanted; /* workers must leave: not listed any more, or gone */
	pg_atomic_uint32 quiesce; /* statements that need the workers away right now */
	pg_atomic_uint32 sql_tools; /* processes that run functions as tools */
	pg_atomic_uint32 events; /* committed since sealing last looked: 0 or 1 */
	pg_atomic_uint32 upkeep; /* the keeper was asked to do its other jobs: 0 or 1 */
	TzExtensionState extension;
} TzDatabase;

/* Named places where a test can hold a process; see pausepoint.h. */
typedef struct TzPausePoint
{
	char name[48];
	pg_atomic_uint32 on;
	pg_atomic_uint32 waiting;
	pg_atomic_uint32 hits;
} TzPausePoint;

typedef struct TzRunBucket
{
	ConditionVariable cv;
	pg_atomic_uint32 generation; /* moves with every committed run_moved() and run_notify() of the bucket */
	pg_atomic_uint32 ended; /* moves with run_notify() only: what those who wait for an end sleep on */
} TzRunBucket;

typedef struct TzShared
{
	LWLock *lock;
	int dispatchers; /* theazo.dispatchers when the server started */
	int gateways; /* theazo.gateway_workers then */
	pg_atomic_uint32 waiters; /* callers inside run_block or a waiting procedure */
	pg_atomic_uint32 rescan; /* the launcher shall read pg_database again */
	pg_atomic_uint64 last_number; /* of an event */
	pg_atomic_uint32 followers; /* those of them that sleep at a bell */
	TzRunBucket run[TZ_RUN_BUCKETS];
	ConditionVariable bell[TZ_BELLS]; /* of the bucket's run, when it is followed */
	TzPausePoint pause[TZ_PAUSE_POINTS_MAX];
	TzWorkerSlot launcher;
	TzDatabase database[TZ_DATABASES_MAX];
	TzWorkerSlot slot[FLEXIBLE_ARRAY_MEMBER]; /* for each database: the keeper, dispatchers, gateways */
} TzShared;

/* NULL when the library is not in shared_preload_libraries. */
extern TzShared *tz_shared;

/* Installs the hooks that ask for and set up the area. */
extern void tz_shmem_init(void);

/* Throws, with a hint, when the area does not exist. */
extern void tz_shmem_require(void);

/* Entry of a database, or -1. Without the lock the answer may be out of date at once. */
extern int tz_database_find(Oid dboid);

/* Slots of entry dbindex: 0 is the keeper, 1 + n dispatcher n; from tz_slots_dispatchers_end() on gateways. */
extern int tz_slots_per_database(void);
extern int tz_slots_dispatchers_end(void);
extern TzWorkerKind tz_slot_kind(int position);
/* Of a dispatcher or gateway among its like. */
extern int tz_slot_number(int position);
extern TzWorkerSlot *tz_slot_at(int dbindex, int position);

#endif /* TZ_SHMEM_H */
