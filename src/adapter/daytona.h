/*-------------------------------------------------------------------------
 *
 * daytona.h
 *	  Private to the files of the Daytona compute adapter.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_ADAPTER_DAYTONA_H
#define TZ_ADAPTER_DAYTONA_H

#include "adapter/answer.h"
#include "adapter/job.h"

#define TZ_DAYTONA_ID_MAX 128
#define TZ_DAYTONA_PATH_MAX 4096
#define TZ_DAYTONA_TAG "theazo.id" /* label that a sandbox is found by */
#define TZ_DAYTONA_INSTANCE "theazo.instance" /* label: of which database it is */

/* What a request of one phase is, and what its answer means. */
typedef struct TzDaytonaPhase
{
	const char *name;
	const char *method;
	TzStatus (*build)(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err);
} TzDaytonaPhase;

/* A sandbox as the control plane tells it; borrowed from its document. */
typedef struct TzDaytonaBox
{
	TzSlice id;
	TzSlice state;
	TzSlice toolbox;
	TzSlice kind; /* container, linux-vm, ... */
	TzSlice reason; /* of an error */
} TzDaytonaBox;

/* An answer on its way to an outcome. */
typedef struct TzDaytonaWalk
{
	const TzEffect *effect;
	const TzHttpResponse *in;
	TzOutcome *out;
	const char *phase;
	bool create;
} TzDaytonaWalk;

/* daytona.c */
extern const char *tz_daytona_phase(const TzEffect *effect, const TzEndpoint *to, const TzHttpRequest *sent);
extern bool tz_daytona_id_ok(TzSlice id);
extern bool tz_daytona_url_ok(TzSlice url);
extern void tz_daytona_encode(TzSlice text, const char *kept, TzBuf *out);
/* The base URL without its trailing slashes. */
extern TzStatus tz_daytona_base(const TzEndpoint *to, TzHttpRequest *out, TzErr *err);
/* The sandbox itself, or one of the things that can be done with it. */
extern TzStatus tz_daytona_build_box(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out,
                                     TzErr *err);

/* daytona_work.c: requests to the toolbox. */
extern TzStatus tz_daytona_build_work(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out,
                                      TzErr *err);
extern TzStatus tz_daytona_build_watch(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out,
                                       TzErr *err);
extern TzStatus tz_daytona_build_clear(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out,
                                       TzErr *err);
extern TzStatus tz_daytona_build_sample(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out,
                                        TzErr *err);

/* daytona_create.c: the body of a creation. */
extern TzStatus tz_daytona_create_body(const TzEffect *effect, const TzEndpoint *to, TzBuf *body, TzErr *err);
extern void tz_daytona_name(const TzEffect *effect, TzBuf *out);

/* daytona_answer.c: answers of the control plane. */
extern void tz_daytona_answer(const TzEffect *effect, const TzHttpResponse *in, const TzJobFollower *to,
                              TzOutcome *out);

/* daytona_made.c: a creation. */
extern void tz_daytona_created(TzDaytonaWalk *w);
extern void tz_daytona_looked(TzDaytonaWalk *w);
extern void tz_daytona_dropped(TzDaytonaWalk *w);
/* It is no use: deleted before the creation ends. */
extern void tz_daytona_drop(TzDaytonaWalk *w, TzSlice id, const char *what, TzSlice why);
/* Time is up: what was made is deleted first. */
extern void tz_daytona_give_up(TzDaytonaWalk *w);

/* daytona_keep.c: lifetimes and snapshots. */
extern TzStatus tz_daytona_build_ttl(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out,
                                     TzErr *err);
extern TzStatus tz_daytona_build_shoot(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out,
                                       TzErr *err);
extern TzStatus tz_daytona_build_shot(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out,
                                      TzErr *err);
extern void tz_daytona_limited(TzDaytonaWalk *w);
extern void tz_daytona_shooting(TzDaytonaWalk *w);
extern void tz_daytona_shot(TzDaytonaWalk *w);
extern void tz_daytona_forgotten(TzDaytonaWalk *w);

/* daytona_said.c: reading what the control plane says. */
extern const char *const tz_daytona_dead[];
extern const char *const tz_daytona_ended[];
extern const char *const tz_daytona_sleeping[];
extern bool tz_daytona_is(TzSlice state, const char *const *names);
/* False: it is no sandbox. */
extern bool tz_daytona_box(json_t *doc, TzDaytonaBox *box);
extern bool tz_daytona_wait_told(const TzHttpResponse *in, int64_t now_ms, int *wait_ms);
extern json_t *tz_daytona_document(const TzEffect *effect, const TzHttpResponse *in, TzRepeat repeat,
                                   TzOutcome *out);
extern void tz_daytona_status(const TzEffect *effect, const TzHttpResponse *in, TzRepeat repeat,
                              TzOutcome *out);
extern void tz_daytona_transport(const TzEffect *effect, const TzHttpResponse *in, TzRepeat repeat,
                                 TzOutcome *out);
/* What somebody there said, as the detail of the error. */
extern void tz_daytona_quote(const TzHttpResponse *in, TzSlice said, TzOutcome *out);
extern void tz_daytona_bad(const TzHttpResponse *in, TzOutcome *out, const char *what);
extern void tz_daytona_gone(const TzHttpResponse *in, TzOutcome *out);
/* Goes on with this phase after wait_ms; the rest of the state is kept. Takes over more, if given. */
extern void tz_daytona_next(const TzEffect *effect, const char *phase, int wait_ms, json_t *more,
                            TzOutcome *out);
extern int64_t tz_daytona_counted(const TzEffect *effect, const char *name);

/* daytona_worked.c: answers of the toolbox. */
extern void tz_daytona_worked(const TzEffect *effect, const char *phase, const TzHttpResponse *in,
                              const TzJobFollower *to, TzOutcome *out);

#endif /* TZ_ADAPTER_DAYTONA_H */
