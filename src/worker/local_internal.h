/*-------------------------------------------------------------------------
 *
 * local_internal.h
 *	  What the files of the adapter "local" share.
 *
 * Not for others: they include worker/local.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_LOCAL_INTERNAL_H
#define TZ_LOCAL_INTERNAL_H

#include "lib/jansson.h"

#include "worker/local.h"
#include "worker/relay.h"

typedef struct LocalBox LocalBox;

/* A connection a program inside waits for. */
typedef struct LocalConn
{
	struct LocalConn *next;
	LocalBox *box;
	TzRelayDial *dial;
	uint32_t conn;
	int port;
	char root_id[64];
	char run_id[64];
	char host[256];
} LocalConn;

struct LocalBox
{
	LocalBox *next;
	TzLocal *local;
	TzBox *box;
	char id[80];
	char *platform_id;
	char *root_id;
	char *sandbox_id;
	char *session_id;
	char *agent_id;
	bool ready;
	bool doomed; /* to be destroyed by the next tick */
	bool told; /* gone was told, or need not be */
	char why[TZ_ERR_MESSAGE_MAX];
	bool network;
	int64_t memory_bytes;
	int64_t disk_bytes;
	int processes;
	bool allow_private;
	char **rules;
	int nrules;
	LocalConn *conns;
	int nconns;
	TzLocalJob *jobs; /* newest first */
};

struct TzLocal
{
	TzLocalConfig config;
	TzBoxPreflight preflight;
	TzLocalCallbacks cb;
	TzMux *mux;
	TzRelay *relay;
	LocalBox *boxes;
	int nboxes;
	char prefix[48];
	uint64_t made;
};

/* ---- local.c: jobs and boxes ---- */

extern void tz_local_job_link(TzLocalJob *job, LocalBox *b);
extern void tz_local_job_unlink(TzLocalJob *job);
/* The ways to end a job, which each unlinks first. With a result, which is taken over; NULL is out of memory. */
extern void tz_local_job_done(TzLocalJob *job, json_t *result);
/* As failed; sqlstate NULL: what the status stands for. */
extern void tz_local_job_fail(TzLocalJob *job, const TzErr *err, const char *sqlstate, const char *code);
/* With what the box said went wrong. */
extern void tz_local_job_box_error(TzLocalJob *job, const TzErr *err);
/* A member of the request as a C string without zero bytes, or NULL. */
extern const char *tz_local_request_text(const TzLocalJob *job, const char *key);
/* A positive number of at most max; dflt where there is none. */
extern int64_t tz_local_object_int(const json_t *object, const char *key, int64_t dflt, int64_t max);
extern LocalBox *tz_local_box_find(TzLocal *local, const char *id);
/* The box the request names; NULL: it is not held here, and the job has ended. */
extern LocalBox *tz_local_job_box(TzLocal *local, TzLocalJob *job);
extern void tz_local_box_gone(void *arg, TzBox *box, const TzErr *why);
extern void tz_local_box_unlink(LocalBox *b);
extern void tz_local_box_free(LocalBox *b);
/* Never inside a callback of this box. Its jobs end first. */
extern void tz_local_box_sweep(LocalBox *b);

/* ---- local_create.c, local_ops.c, local_snapshot.c: the operations ---- */

extern void tz_local_job_create(TzLocal *local, TzLocalJob *job);
extern void tz_local_job_exec(TzLocal *local, TzLocalJob *job);
extern void tz_local_job_write(TzLocal *local, TzLocalJob *job);
extern void tz_local_job_read(TzLocal *local, TzLocalJob *job);
extern void tz_local_job_list(TzLocal *local, TzLocalJob *job);
extern void tz_local_job_pause(TzLocal *local, TzLocalJob *job);
extern void tz_local_job_resume(TzLocal *local, TzLocalJob *job);
extern void tz_local_job_metrics(TzLocal *local, TzLocalJob *job);
extern void tz_local_job_destroy(TzLocal *local, TzLocalJob *job);
extern void tz_local_job_sweep(TzLocal *local, TzLocalJob *job);
extern void tz_local_job_snapshot(TzLocal *local, TzLocalJob *job);
/*
 * Begins to put the files of a snapshot into a box that is being made; tz_local_create_filled follows. False: there
 * are none to put, or it cannot (err).
 */
extern bool tz_local_fill(TzLocalJob *job, TzErr *err);
/* The box is as it is to be, or why it is not. */
extern void tz_local_create_filled(TzLocalJob *job, const TzErr *err);

/* ---- local_net.c: connections ---- */

extern void tz_local_box_connect(void *arg, TzBox *box, uint32_t conn, const char *host, int port);
/* Those under way are forgotten, their callers not told. */
extern void tz_local_conns_drop(LocalBox *b);

#endif /* TZ_LOCAL_INTERNAL_H */
