/*-------------------------------------------------------------------------
 *
 * adapter.h
 *	  The contract between the one path and an outside API.
 *
 * An adapter is a const struct in its own file and a line in registry.c. Its
 * functions are pure: no I/O, no clock, no state. What an operation of several
 * requests must remember goes into TzOutcome.state, which is stored with the
 * effect and handed back as TzEffect.state on the next step.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_ADAPTER_H
#define TZ_ADAPTER_H

#include "lib/jansson.h"

#include "lib/http_msg.h"

typedef enum TzAdapterKind
{
	TZ_COMPUTE = 1,
	TZ_MODEL,
	TZ_HTTP,
	TZ_TOOL,
	TZ_ANCHOR,
	TZ_WEBHOOK
} TzAdapterKind;

/* One secret opened for this call; value is wiped by the owner after build. */
typedef struct TzSecretValue
{
	const char *use; /* "credential", "signing" or "env" */
	const char *name; /* env: the environment name; else the secret's name */
	TzSlice value;
} TzSecretValue;

/* What to do, as stored. Everything is borrowed from the caller. */
typedef struct TzEffect
{
	const char *platform_id;
	const char *root_id;
	const char *id; /* idempotency key of every attempt */
	const char *kind; /* "compute.exec" */
	const char *op; /* part after the dot: "exec" */
	int attempt;
	int step; /* 0 first */
	json_t *request; /* object, never NULL */
	json_t *state; /* object of earlier steps, or NULL */
	TzSlice content; /* binary payload (file to write), or empty */
	const TzSecretValue *secrets;
	int nsecrets;
	TzSlice kept; /* compute: what an earlier outcome kept for this sandbox, or empty; only while building */
	int64_t now_ms; /* unix time in ms, given by the caller */
	size_t prompt_chars; /* models: of a request that was forgotten meanwhile, else 0 */
} TzEffect;

/* Where it goes. Borrowed. */
typedef struct TzEndpoint
{
	const char *url; /* base URL */
	const char *socket; /* unix socket behind it instead of its host, or NULL; adapters need not look */
	bool allow_http;
	bool allow_private;
	json_t *config; /* the provider's config object, or NULL */
	size_t max_response; /* ceiling of an answer's body */
} TzEndpoint;

typedef enum TzVerdict
{
	TZ_V_DONE = 1, /* result is final */
	TZ_V_NEXT, /* build step + 1 with state, after retry_after_ms */
	TZ_V_RETRY, /* may be sent again after retry_after_ms */
	TZ_V_FAILED, /* final failure, err says why */
	TZ_V_UNKNOWN /* may have happened; recovery table decides */
} TzVerdict;

/* Owned by the caller: init before, free after. */
typedef struct TzOutcome
{
	TzVerdict verdict;
	json_t *result; /* object (see docs of the area), or NULL */
	json_t *state; /* for TZ_V_NEXT */
	TzBuf content; /* binary result (file read) */
	/*
	 * Compute: a secret of this sandbox (a token the provider made for it), to be had as
	 * TzEffect.kept by later calls and steps. Held in memory only: whoever needs it and
	 * does not get it must ask the provider in a step of its own. Set but empty: forget it.
	 */
	bool keep;
	TzBuf kept;
	int retry_after_ms; /* 0: engine's backoff; TZ_V_NEXT: at once */
	/*
	 * TZ_V_NEXT: the next step is built at once, in memory, without storing the state. For
	 * steps that may be lost: what is known of the effect afterwards is what was stored before,
	 * and whoever carries it out again begins there. Ignored with retry_after_ms.
	 */
	bool at_once;
	int next_ms; /* with at_once: how long the next step may take, whatever is left of the call's time; 0: that */
	const char *error_code; /* static REST code, e.g. "provider_error", or NULL */
	const char *error_class; /* models: static word, see model.h, or NULL */
	TzErr err;
} TzOutcome;

extern void tz_outcome_init(TzOutcome *out, size_t max_content);
extern void tz_outcome_free(TzOutcome *out);

/* What a streamed answer has brought so far, piece by piece. */
typedef enum TzDeltaKind
{
	TZ_DELTA_TEXT = 1, /* text: what the user is meant to read */
	TZ_DELTA_REASONING, /* text: what the model thinks */
	TZ_DELTA_TOOL, /* a tool call started: index, id, name */
	TZ_DELTA_ARGUMENTS, /* index; text: the next piece of its arguments */
	TZ_DELTA_STDOUT, /* text: what a command printed, any bytes */
	TZ_DELTA_STDERR
} TzDeltaKind;

/* Borrowed; valid as long as the callback runs. */
typedef struct TzDelta
{
	TzDeltaKind kind;
	int index; /* of the tool call in the answer, 0 first */
	const char *id;
	const char *name;
	TzSlice text; /* UTF-8, but for what commands print */
} TzDelta;

typedef void (*TzDeltaFn)(void *arg, const TzDelta *delta);

typedef struct TzStream TzStream;

typedef struct TzAdapter
{
	const char *name; /* as stored in effect.adapter: "webhook" */
	TzAdapterKind kind;
	const char *const *ops; /* NULL-terminated names of operations offered */
	TzStatus (*build)(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err);
	/* Never fails: what it cannot read becomes a verdict. */
	void (*parse)(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);

	/*
	 * Streamed answers, or NULL. Bytes of a body that stream_wants says yes to
	 * are fed as they come; every other body is collected in the response as usual.
	 * stream_end is called in either case, in place of parse, and ends in the same
	 * outcome. A feed that fails is no use going on with: cancel the call, then end.
	 * Once the request is built, content and all of effect.request but "api" may be
	 * forgotten, if prompt_chars is set before.
	 */
	TzStream *(*stream_new)(const TzEffect *effect, const TzEndpoint *to, TzDeltaFn on_delta, void *arg);
	TzStatus (*stream_feed)(TzStream *stream, TzSlice bytes, TzErr *err);
	void (*stream_end)(TzStream *stream, const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
	void (*stream_free)(TzStream *stream);
	/* Which bodies are fed, where that is not tz_answer_streams(); or NULL. */
	bool (*stream_wants)(const TzEffect *effect, const TzHttpResponse *head);
	/* True once nothing that may still come changes the outcome. */
	bool (*stream_whole)(const TzStream *stream);
	bool stream_always; /* bodies are fed as they come also when nobody follows: they have no bound */
	/* Models: one message of ours in the provider's own form; see tz_model_encode. */
	TzStatus (*encode)(const char *api, json_t *message, TzBuf *wire, TzErr *err);
} TzAdapter;

extern const TzAdapter *tz_adapter_find(const char *name);

/* True when the head of an answer promises a stream of events. */
extern bool tz_answer_streams(const TzHttpResponse *head);

#endif /* TZ_ADAPTER_H */
