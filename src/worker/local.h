/*-------------------------------------------------------------------------
 *
 * local.h
 *	  The adapter "local": sandboxes on this machine, held by one dispatcher.
 *
 * Plain C11 on a TzMux: knows no server, no SPI, and never throws.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_LOCAL_H
#define TZ_LOCAL_H

#include "adapter/adapter.h"
#include "http/mux.h"
#include "lib/netpolicy.h"
#include "sandbox/box.h"

typedef struct TzLocal TzLocal;
typedef struct TzLocalJob TzLocalJob;

typedef struct TzLocalConfig
{
	const char *init_path;
	const char *bwrap_path;
	TzBoxMode minimum; /* weaker machines are refused */
	int64_t memory_bytes; /* ceilings; a request may ask for less */
	int64_t disk_bytes;
	int64_t file_bytes;
	int processes;
	int max_boxes;
	int connect_timeout_ms;
	bool allow_private; /* operator's global switch */
	const TzNetPolicy *policy; /* borrowed until the next configure */
} TzLocalConfig;

/* One connection a sandbox asked for; strings are valid during the callback only. */
typedef struct TzLocalConnection
{
	const char *platform_id;
	const char *root_id; /* of the run it happened in; of the sandbox's creation when none */
	const char *sandbox_id;
	const char *agent_id;
	const char *run_id; /* "" when no command was running */
	const char *host;
	int port;
	const char *address; /* numeric; "" when it was not resolved */
	bool allowed;
	const char *reason; /* why not; "" when allowed */
} TzLocalConnection;

typedef struct TzLocalCallbacks
{
	/* False when it cannot be recorded: the connection is then refused. */
	bool (*connection)(void *arg, const TzLocalConnection *conn);
	/* A sandbox ended by itself; every job of it has been told before. */
	void (*gone)(void *arg, const char *platform_id, const char *sandbox_id, const char *reason);
	void *arg;
} TzLocalCallbacks;

/*
 * One operation under way. The caller fills the first part, keeps everything
 * it points to until done runs, and owns out (initialised). The verdict is in
 * out; sqlstate and error_code speak for a failure.
 */
struct TzLocalJob
{
	const TzEffect *effect;
	const char *sandbox_id; /* ours, as the rows know it */
	const char *session_id;
	const char *agent_id;
	const char *run_id;
	int timeout_ms;
	TzOutcome *out;
	const char *sqlstate; /* of a failure, else NULL */
	bool cancelled; /* ended because of tz_local_cancel */
	void (*done)(TzLocalJob *job);
	void (*output)(TzLocalJob *job, bool is_stderr, TzSlice bytes); /* of a command as it comes; or NULL */
	void *arg;

	/* of local.c and its parts */
	struct LocalBox *box;
	TzLocalJob *next;
	TzLocalJob *prev;
	uint32_t op;
	bool cancelling;
};

extern TzStatus tz_local_create(const TzLocalConfig *config, const TzBoxPreflight *preflight,
                                const char *id_prefix, TzMux *mux, const TzLocalCallbacks *cb, TzLocal **out,
                                TzErr *err);
extern void tz_local_configure(TzLocal *local, const TzLocalConfig *config);
/* Destroys every sandbox; jobs under way end through done first. */
extern void tz_local_free(TzLocal *local);
/* Always ends in job->done, perhaps before it returns. */
extern void tz_local_start(TzLocal *local, TzLocalJob *job);
/*
 * Ends every sandbox, also one that is being made, for which halted says yes: their processes are killed before it
 * returns, their jobs end with the next tick. Nobody is told that they are gone: whoever halted them sees to their rows.
 */
extern int tz_local_halt(TzLocal *local,
                         bool (*halted)(void *arg, const char *platform_id, const char *session_id,
                                        const char *agent_id),
                         void *arg);
/* The command is killed; done still comes, with cancelled set if it was in time. */
extern void tz_local_cancel(TzLocalJob *job);
extern int tz_local_timeout(const TzLocal *local);
extern void tz_local_tick(TzLocal *local);

#endif /* TZ_LOCAL_H */
