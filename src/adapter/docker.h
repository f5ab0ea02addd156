/*-------------------------------------------------------------------------
 *
 * docker.h
 *	  Private to the files of the adapter for Docker's and Podman's API.
 *
 * An operation is a walk through steps, each one request. The step to be built
 * stands in the state as "do"; without one it is the first of the operation.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_ADAPTER_DOCKER_H
#define TZ_ADAPTER_DOCKER_H

#include "adapter/answer.h"

#define TZ_DOCKER_PATH_MAX 4096
#define TZ_DOCKER_ID_MAX 128
#define TZ_DOCKER_OUTPUT_DEFAULT (1024 * 1024)
#define TZ_DOCKER_OUTPUT_MAX (4 * 1024 * 1024)
#define TZ_DOCKER_LISTING_MAX (4 * 1024 * 1024)
#define TZ_DOCKER_LABEL "theazo.id"
#define TZ_DOCKER_INSTANCE "theazo.instance"
#define TZ_DOCKER_LIFETIME "theazo.lifetime"
#define TZ_DOCKER_URL "theazo.url"

typedef TzStatus (*TzDockerBuild)(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out,
                                  TzErr *err);
typedef void (*TzDockerParse)(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);

typedef struct TzDockerStep
{
	const char *op;
	const char *name;
	const char *method;
	TzRepeat repeat; /* what sending it twice does */
	TzDockerBuild build;
	TzDockerParse parse; /* of any answer; without one the transport speaks */
} TzDockerStep;

/* The step that an effect is at, or NULL. */
extern const TzDockerStep *tz_docker_step(const TzEffect *effect);

/* ---- docker.c: what steps share ---- */

extern void tz_docker_parse(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
/* Of every step's outcome, once it is parsed. */
extern void tz_docker_after(const TzEffect *effect, TzOutcome *out);
/* Begins the URL anew, with the endpoint alone. */
extern TzStatus tz_docker_base(const TzEndpoint *to, TzHttpRequest *out, TzErr *err);
/* A member of the state as text, or "". */
extern const char *tz_docker_text(const TzEffect *effect, const char *key);
/* The container: the state's "id", else the request's "sandbox"; checked to be fit for a path. */
extern TzStatus tz_docker_container(const TzEffect *effect, TzSlice *id, TzErr *err);
/* Appends /containers/ID and what follows, which is printed as it is. */
extern TzStatus tz_docker_url(const TzEffect *effect, const char *rest, TzHttpRequest *out, TzErr *err);
/* Text with all but unreserved characters and those of kept as %XX. */
extern void tz_docker_encode(TzSlice text, const char *kept, TzBuf *out);
/* A string literal of JSON; text must be UTF-8. */
extern void tz_docker_string(TzSlice text, TzBuf *out);
/* A text of the configuration, or fallback. */
extern const char *tz_docker_config(const TzEndpoint *to, const char *key, const char *fallback);
extern int64_t tz_docker_config_int(const TzEndpoint *to, const char *key, int64_t min, int64_t max,
                                    int64_t fallback);
/* Appends a filter of lists by labels: that one, and, unless NULL, that the other has this value; encoded. */
extern void tz_docker_filter(const char *label, const char *other, TzSlice value, TzBuf *out);
/* The directory that paths begin in: absolute, without a slash behind. */
extern const char *tz_docker_workdir(const TzEndpoint *to);
/* What the names of a sandbox's container and network end in: the request's tag, else the effect's id. */
extern TzStatus tz_docker_tag(const TzEffect *effect, TzSlice *tag, TzErr *err);
/* A word of the request that becomes part of a label, or empty. */
extern TzStatus tz_docker_word(const TzEffect *effect, const char *key, TzSlice *word, TzErr *err);
/* Appends the labels that all we make have, as members of an object. */
extern void tz_docker_labels(TzSlice tag, TzSlice instance, TzBuf *out);
/* The image of a create: a snapshot's, or the configuration's. */
extern TzStatus tz_docker_image(const TzEffect *effect, const TzEndpoint *to, TzSlice *image, TzErr *err);
/* A path of the request below the working directory. */
extern TzStatus tz_docker_path(const TzEffect *effect, const TzEndpoint *to, const char *key, TzBuf *out,
                               TzErr *err);

/* On to another step, which begins with this state (taken over; NULL: out of memory). */
extern void tz_docker_next(TzOutcome *out, const char *step, json_t *state);
/* The JSON of a good answer, else NULL with out filled. */
extern json_t *tz_docker_json(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
/* The same of an answer about a container: 404 says that it is gone. */
extern json_t *tz_docker_found(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
/* An answer that is no success, by its status. */
extern void tz_docker_refused(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
/* A container that is not there any more. */
extern void tz_docker_gone(const TzHttpResponse *in, TzOutcome *out);
/* Something the container's state did not allow: asks for that state, to say why. */
extern void tz_docker_why(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
extern void tz_docker_bad(const TzHttpResponse *in, TzOutcome *out, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- docker_frame.c: two streams in one body ---- */

typedef struct TzDockerFrames
{
	unsigned char head[8];
	size_t nhead; /* bytes of it that are there */
	uint32_t left; /* of the payload that is going on */
	int kind;
	TzBuf texts[2]; /* stdout, stderr: at most max bytes each */
	size_t max;
	bool cut; /* there was more */
	TzBuf said; /* what the engine itself reported */
	TzDeltaFn on_delta; /* or NULL */
	void *arg;
} TzDockerFrames;

extern void tz_docker_frames_init(TzDockerFrames *frames, size_t max, TzDeltaFn on_delta, void *arg);
extern void tz_docker_frames_free(TzDockerFrames *frames);
/* Any piece of the body. TZ_BAD_ANSWER: it is not framed. */
extern TzStatus tz_docker_frames_feed(TzDockerFrames *frames, TzSlice bytes, TzErr *err);

/* ---- docker_image.c: what an engine says while it pulls ---- */

#define TZ_DOCKER_PULL_MS (15 * 60000)

typedef struct TzDockerPull
{
	TzBuf line;
	bool skips; /* the rest of a line */
	bool failed;
	char error[400];
	char last[200]; /* what was done last */
} TzDockerPull;

extern void tz_docker_pull_init(TzDockerPull *pull);
extern void tz_docker_pull_free(TzDockerPull *pull);
extern void tz_docker_pull_feed(TzDockerPull *pull, TzSlice bytes);
extern void tz_docker_pulled(const TzEffect *effect, TzDockerPull *pull, const TzHttpResponse *in,
                             TzOutcome *out);

/* ---- steps ---- */

extern TzStatus tz_docker_build_create(const TzEffect *, const TzEndpoint *, TzHttpRequest *, TzErr *);
extern void tz_docker_parse_create(const TzEffect *, const TzHttpResponse *, TzOutcome *);
extern TzStatus tz_docker_build_pull(const TzEffect *, const TzEndpoint *, TzHttpRequest *, TzErr *);
extern void tz_docker_parse_pull(const TzEffect *, const TzHttpResponse *, TzOutcome *);
extern TzStatus tz_docker_build_find(const TzEffect *, const TzEndpoint *, TzHttpRequest *, TzErr *);
extern void tz_docker_parse_find(const TzEffect *, const TzHttpResponse *, TzOutcome *);
extern TzStatus tz_docker_build_clear(const TzEffect *, const TzEndpoint *, TzHttpRequest *, TzErr *);
extern void tz_docker_parse_clear(const TzEffect *, const TzHttpResponse *, TzOutcome *);
extern TzStatus tz_docker_build_work(const TzEffect *, const TzEndpoint *, TzHttpRequest *, TzErr *);
extern void tz_docker_parse_work(const TzEffect *, const TzHttpResponse *, TzOutcome *);
extern TzStatus tz_docker_build_start(const TzEffect *, const TzEndpoint *, TzHttpRequest *, TzErr *);
extern void tz_docker_parse_start(const TzEffect *, const TzHttpResponse *, TzOutcome *);
extern void tz_docker_parse_policy(const TzEffect *, const TzHttpResponse *, TzOutcome *);
extern void tz_docker_parse_undo(const TzEffect *, const TzHttpResponse *, TzOutcome *);

/* ---- docker_network.c ---- */

/* The sandbox that is made is to have a network of its own. */
extern bool tz_docker_networked(const TzEffect *effect, const TzEndpoint *to);
/* Of a create request: members of the container, and of its HostConfig. */
extern void tz_docker_append_ports(const TzEndpoint *to, TzBuf *out);
extern void tz_docker_append_bindings(const TzEndpoint *to, TzBuf *out);
/* A creation that has failed: unless it has no network, that goes first. */
extern void tz_docker_leave(const TzEffect *effect, TzOutcome *out);
extern TzStatus tz_docker_build_own(const TzEffect *, const TzEndpoint *, TzHttpRequest *, TzErr *);
extern bool tz_docker_parse_own(const TzEffect *, const TzHttpResponse *, TzOutcome *);
extern TzStatus tz_docker_build_net(const TzEffect *, const TzEndpoint *, TzHttpRequest *, TzErr *);
extern void tz_docker_parse_net(const TzEffect *, const TzHttpResponse *, TzOutcome *);
extern TzStatus tz_docker_build_unnet(const TzEffect *, const TzEndpoint *, TzHttpRequest *, TzErr *);
extern void tz_docker_parse_unnet(const TzEffect *, const TzHttpResponse *, TzOutcome *);
extern void tz_docker_parse_left(const TzEffect *, const TzHttpResponse *, TzOutcome *);
extern TzStatus tz_docker_build_prune(const TzEffect *, const TzEndpoint *, TzHttpRequest *, TzErr *);
extern void tz_docker_parse_prune(const TzEffect *, const TzHttpResponse *, TzOutcome *);
extern TzStatus tz_docker_build_port(const TzEffect *, const TzEndpoint *, TzHttpRequest *, TzErr *);
extern void tz_docker_parse_port(const TzEffect *, const TzHttpResponse *, TzOutcome *);

extern TzStatus tz_docker_build_exec(const TzEffect *, const TzEndpoint *, TzHttpRequest *, TzErr *);
extern TzStatus tz_docker_build_listing(const TzEffect *, const TzEndpoint *, TzHttpRequest *, TzErr *);
extern void tz_docker_parse_exec(const TzEffect *, const TzHttpResponse *, TzOutcome *);
extern TzStatus tz_docker_build_run(const TzEffect *, const TzEndpoint *, TzHttpRequest *, TzErr *);
extern void tz_docker_parse_run(const TzEffect *, const TzHttpResponse *, TzOutcome *);
extern TzStatus tz_docker_build_inspect(const TzEffect *, const TzEndpoint *, TzHttpRequest *, TzErr *);
extern void tz_docker_parse_inspect(const TzEffect *, const TzHttpResponse *, TzOutcome *);
extern void tz_docker_parse_listed(const TzEffect *, const TzHttpResponse *, TzOutcome *);
/* The engine's name of a command that is to be run; false: there is none, or it is not fit for a path. */
extern bool tz_docker_exec_id(const json_t *doc, TzSlice *id);
/* Of an exec whose streams were read: exit code and whether it still goes on. False: out is filled. */
extern bool tz_docker_ended(const TzEffect *effect, const TzHttpResponse *in, int64_t *code, TzOutcome *out);

extern TzStatus tz_docker_build_stop(const TzEffect *, const TzEndpoint *, TzHttpRequest *, TzErr *);
extern void tz_docker_parse_stop(const TzEffect *, const TzHttpResponse *, TzOutcome *);
extern void tz_docker_parse_killed(const TzEffect *, const TzHttpResponse *, TzOutcome *);

extern TzStream *tz_docker_stream_new(const TzEffect *effect, const TzEndpoint *to, TzDeltaFn on_delta,
                                      void *arg);
extern TzStatus tz_docker_stream_feed(TzStream *stream, TzSlice bytes, TzErr *err);
extern void tz_docker_stream_end(TzStream *stream, const TzEffect *effect, const TzHttpResponse *in,
                                 TzOutcome *out);
extern void tz_docker_stream_free(TzStream *stream);
extern bool tz_docker_stream_wants(const TzEffect *effect, const TzHttpResponse *head);
extern bool tz_docker_stream_whole(const TzStream *stream);

extern TzStatus tz_docker_build_get(const TzEffect *, const TzEndpoint *, TzHttpRequest *, TzErr *);
extern void tz_docker_parse_get(const TzEffect *, const TzHttpResponse *, TzOutcome *);
extern TzStatus tz_docker_build_put(const TzEffect *, const TzEndpoint *, TzHttpRequest *, TzErr *);
extern void tz_docker_parse_put(const TzEffect *, const TzHttpResponse *, TzOutcome *);
/* Who files belong to, by the configuration's user. */
extern bool tz_docker_owner(const TzEndpoint *to, unsigned *uid, unsigned *gid);

extern TzStatus tz_docker_build_inspected(const TzEffect *, const TzEndpoint *, TzHttpRequest *, TzErr *);
extern void tz_docker_parse_state(const TzEffect *, const TzHttpResponse *, TzOutcome *);
extern TzStatus tz_docker_build_pause(const TzEffect *, const TzEndpoint *, TzHttpRequest *, TzErr *);
extern void tz_docker_parse_pause(const TzEffect *, const TzHttpResponse *, TzOutcome *);
extern TzStatus tz_docker_build_resume(const TzEffect *, const TzEndpoint *, TzHttpRequest *, TzErr *);
extern void tz_docker_parse_resume(const TzEffect *, const TzHttpResponse *, TzOutcome *);
extern TzStatus tz_docker_build_stats(const TzEffect *, const TzEndpoint *, TzHttpRequest *, TzErr *);
extern void tz_docker_parse_stats(const TzEffect *, const TzHttpResponse *, TzOutcome *);
extern TzStatus tz_docker_build_size(const TzEffect *, const TzEndpoint *, TzHttpRequest *, TzErr *);
extern void tz_docker_parse_size(const TzEffect *, const TzHttpResponse *, TzOutcome *);
extern TzStatus tz_docker_build_sweep(const TzEffect *, const TzEndpoint *, TzHttpRequest *, TzErr *);
extern void tz_docker_parse_sweep(const TzEffect *, const TzHttpResponse *, TzOutcome *);
extern void tz_docker_parse_lifetime(const TzEffect *, const TzHttpResponse *, TzOutcome *);
extern TzStatus tz_docker_build_again(const TzEffect *, const TzEndpoint *, TzHttpRequest *, TzErr *);
extern void tz_docker_parse_again(const TzEffect *, const TzHttpResponse *, TzOutcome *);
extern TzStatus tz_docker_build_logs(const TzEffect *, const TzEndpoint *, TzHttpRequest *, TzErr *);
extern void tz_docker_parse_logs(const TzEffect *, const TzHttpResponse *, TzOutcome *);
extern TzStatus tz_docker_build_look(const TzEffect *, const TzEndpoint *, TzHttpRequest *, TzErr *);
extern void tz_docker_parse_look(const TzEffect *, const TzHttpResponse *, TzOutcome *);
extern TzStatus tz_docker_build_commit(const TzEffect *, const TzEndpoint *, TzHttpRequest *, TzErr *);
extern void tz_docker_parse_commit(const TzEffect *, const TzHttpResponse *, TzOutcome *);
extern TzStatus tz_docker_build_forget(const TzEffect *, const TzEndpoint *, TzHttpRequest *, TzErr *);
extern TzStatus tz_docker_build_remove(const TzEffect *, const TzEndpoint *, TzHttpRequest *, TzErr *);
extern void tz_docker_parse_remove(const TzEffect *, const TzHttpResponse *, TzOutcome *);

#endif /* TZ_ADAPTER_DOCKER_H */
