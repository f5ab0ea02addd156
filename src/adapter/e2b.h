/*-------------------------------------------------------------------------
 *
 * e2b.h
 *	  Private to the files of the E2B adapter.
 *
 * An operation is one request, or a walk through several: the phase of the next one
 * stands in the state. What is asked with the sandbox's own token is preceded by
 * phase "ask" whenever the token is not at hand, so a state never holds it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_ADAPTER_E2B_H
#define TZ_ADAPTER_E2B_H

#include "adapter/answer.h"

#define TZ_E2B_ID_MAX 64
#define TZ_E2B_HOST_MAX 200
#define TZ_E2B_ENVD_PORT 49983
#define TZ_E2B_BODY_MAX (64 * 1024 * 1024)
#define TZ_E2B_PORT_HEADER "E2b-Sandbox-Port"

/* Where a request goes. */
typedef enum TzE2bPhase
{
	TZ_E2B_WORK = 1, /* the operation itself */
	TZ_E2B_ASK, /* GET of the sandbox: its token, where it is, its state */
	TZ_E2B_CONNECT, /* it was paused by its own clock: wake it */
	TZ_E2B_FIND, /* create: has an earlier attempt made one? */
	TZ_E2B_DROP, /* create: one of several that carry our tag */
	TZ_E2B_SERIES /* metrics: what the control plane has stored */
} TzE2bPhase;

/* What is kept for a sandbox, in memory only: lines. Each may be empty. */
typedef struct TzE2bKept
{
	bool known;
	TzSlice token; /* of envd; empty: it takes none */
	TzSlice domain;
	TzSlice version; /* of envd */
} TzE2bKept;

typedef struct TzE2bOp
{
	const char *name;
	TzRepeat repeat;
	bool envd; /* asked of the sandbox itself, with its token */
	int timeout_ms;
	TzStatus (*build)(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept, TzHttpRequest *out,
	                  TzErr *err);
	void (*parse)(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
} TzE2bOp;

/* e2b.c */
extern const TzE2bOp *tz_e2b_op(const char *name);
extern TzE2bPhase tz_e2b_phase(const TzEffect *effect);
extern int64_t tz_e2b_state_int(const TzEffect *effect, const char *key);
/* Verdict next: phase (static word, NULL: the work), and a copy of the state with what is in more (taken over). */
extern void tz_e2b_next(const TzEffect *effect, const char *phase, json_t *more, int wait_ms, TzOutcome *out);
/* The effect with the attempts of this step alone, as the tables of retries count them. */
extern TzEffect tz_e2b_counted(const TzEffect *effect);

/* e2b_route.c */
extern TzStatus tz_e2b_control(const TzEffect *effect, const TzEndpoint *to, const char *method,
                               TzHttpRequest *out, TzErr *err);
extern TzStatus tz_e2b_envd(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept,
                            const char *method, bool direct, TzHttpRequest *out, TzErr *err);
/* Credentials, sizes and limits of a request whose URL is done. */
extern TzStatus tz_e2b_auth(const TzEffect *effect, TzHttpRequest *out, TzErr *err);
extern TzStatus tz_e2b_sandbox(const TzEffect *effect, TzSlice *id, TzErr *err);
extern bool tz_e2b_id_ok(TzSlice id);
extern bool tz_e2b_host_ok(TzSlice host);
extern void tz_e2b_kept_read(TzSlice text, TzE2bKept *kept);
/* Of an answer that tells of a sandbox; sets out->kept. False, with out filled, when it cannot be used. */
extern bool tz_e2b_keep(const TzHttpResponse *in, json_t *doc, TzOutcome *out);
/* What was kept is no good any more. */
extern void tz_e2b_forget(TzOutcome *out);
/* The document of any answer, or NULL. The caller releases it. */
extern json_t *tz_e2b_document(const TzHttpResponse *in);
/* envd is known to be older than that. */
extern bool tz_e2b_older(const TzE2bKept *kept, int major, int minor, int patch);
extern const char *tz_e2b_user(const TzEndpoint *to, const TzE2bKept *kept);
extern void tz_e2b_append_encoded(TzSlice text, TzBuf *out);
/* Is this the answer of a sandbox, or of a proxy before it, and not of the control plane? */
extern bool tz_e2b_from_sandbox(const TzHttpResponse *in);

/* e2b_control.c */
extern bool tz_e2b_config_bool(const TzEndpoint *to, const char *key, bool otherwise);
/* What the plan of the account allows is not known here; beyond it a request would be refused. */
extern TzStatus tz_e2b_lifetime(const TzEffect *effect, const TzEndpoint *to, int64_t *seconds, TzErr *err);
extern void tz_e2b_cut_lifetime(const TzEffect *effect, const TzHttpResponse *in, json_t *result);
/* {"sandbox", "isolation", "metadata"} of a sandbox; NULL with out filled. */
extern json_t *tz_e2b_made(const TzHttpResponse *in, json_t *doc, TzOutcome *out);
extern TzStatus tz_e2b_of_sandbox(const TzEffect *effect, const TzEndpoint *to, const char *method,
                                  const char *path, TzHttpRequest *out, TzErr *err);
extern TzStatus tz_e2b_build_ask(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out,
                                 TzErr *err);
extern TzStatus tz_e2b_build_connect(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out,
                                     TzErr *err);
extern TzStatus tz_e2b_build_find(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out,
                                  TzErr *err);
extern TzStatus tz_e2b_build_drop(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out,
                                  TzErr *err);
extern void tz_e2b_asked(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
extern void tz_e2b_connected(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
extern void tz_e2b_found(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
extern void tz_e2b_dropped(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);

extern TzStatus tz_e2b_build_create(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept,
                                    TzHttpRequest *out, TzErr *err);
extern TzStatus tz_e2b_build_pause(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept,
                                   TzHttpRequest *out, TzErr *err);
extern TzStatus tz_e2b_build_resume(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept,
                                    TzHttpRequest *out, TzErr *err);
extern TzStatus tz_e2b_build_destroy(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept,
                                     TzHttpRequest *out, TzErr *err);
extern TzStatus tz_e2b_build_renew(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept,
                                   TzHttpRequest *out, TzErr *err);
extern TzStatus tz_e2b_build_snapshot(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept,
                                      TzHttpRequest *out, TzErr *err);
extern TzStatus tz_e2b_build_logs(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept,
                                  TzHttpRequest *out, TzErr *err);
extern TzStatus tz_e2b_build_sweep(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept,
                                   TzHttpRequest *out, TzErr *err);
extern void tz_e2b_swept(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
extern TzStatus tz_e2b_build_forget(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept,
                                    TzHttpRequest *out, TzErr *err);
extern void tz_e2b_forgotten(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
extern void tz_e2b_created(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
extern void tz_e2b_paused(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
extern void tz_e2b_resumed(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
extern void tz_e2b_destroyed(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
extern void tz_e2b_renewed(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
extern void tz_e2b_snapshotted(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
extern void tz_e2b_logged(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
/* Anything but a success of the control plane; what it means that a sandbox is not known there. */
extern void tz_e2b_refused(const TzEffect *effect, TzRepeat repeat, const TzHttpResponse *in, TzOutcome *out);

/* e2b_files.c, e2b_envd.c */
extern TzStatus tz_e2b_build_read(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept,
                                  TzHttpRequest *out, TzErr *err);
extern TzStatus tz_e2b_build_write(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept,
                                   TzHttpRequest *out, TzErr *err);
extern TzStatus tz_e2b_build_list(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept,
                                  TzHttpRequest *out, TzErr *err);
extern TzStatus tz_e2b_build_metrics(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept,
                                     TzHttpRequest *out, TzErr *err);
extern TzStatus tz_e2b_build_port(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept,
                                  TzHttpRequest *out, TzErr *err);
extern TzStatus tz_e2b_put_file(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept,
                                TzSlice path, TzSlice content, TzHttpRequest *out, TzErr *err);
extern void tz_e2b_read(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
extern void tz_e2b_written(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
extern void tz_e2b_listed(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
extern void tz_e2b_measured(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
extern void tz_e2b_exposed(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
/* Anything but a success of the sandbox, or of a proxy before it. */
extern void tz_e2b_failed(const TzEffect *effect, TzRepeat repeat, const TzHttpResponse *in, TzOutcome *out);

/* e2b_start.c, e2b_exec.c */
extern TzStatus tz_e2b_build_exec(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept,
                                  TzHttpRequest *out, TzErr *err);
/* Of a call that starts a process, which the daemon ends a little after that. */
extern TzStatus tz_e2b_start_headers(int64_t timeout_ms, TzHttpRequest *out, TzErr *err);
extern void tz_e2b_executed(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
extern TzStream *tz_e2b_stream_new(const TzEffect *effect, const TzEndpoint *to, TzDeltaFn on_delta,
                                   void *arg);
extern TzStatus tz_e2b_stream_feed(TzStream *stream, TzSlice bytes, TzErr *err);
extern void tz_e2b_stream_end(TzStream *stream, const TzEffect *effect, const TzHttpResponse *in,
                              TzOutcome *out);
extern void tz_e2b_stream_free(TzStream *stream);
extern bool tz_e2b_stream_wants(const TzEffect *effect, const TzHttpResponse *head);
extern bool tz_e2b_stream_whole(const TzStream *stream);
extern void tz_e2b_parse(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);

/* e2b_stop.c */
extern TzStatus tz_e2b_build_stop(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept,
                                  TzHttpRequest *out, TzErr *err);
extern void tz_e2b_stopped(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);

#endif /* TZ_ADAPTER_E2B_H */
