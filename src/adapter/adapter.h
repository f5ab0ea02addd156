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
	TZ_HTTP
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
	int64_t now_ms; /* unix time in ms, given by the caller */
} TzEffect;

/* Where it goes. Borrowed. */
typedef struct TzEndpoint
{
	const char *url; /* base URL */
	bool allow_http;
	bool allow_private;
	json_t *config; /* the provider's config object, or NULL */
	size_t max_response; /* ceiling of an answer's body */
} TzEndpoint;

typedef enum TzVerdict
{
	TZ_V_DONE = 1, /* result is final */
	TZ_V_NEXT, /* build step + 1 with state */
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
	int retry_after_ms; /* 0: engine's backoff */
	const char *error_code; /* static REST code, e.g. "provider_error", or NULL */
	TzErr err;
} TzOutcome;

extern void tz_outcome_init(TzOutcome *out, size_t max_content);
extern void tz_outcome_free(TzOutcome *out);

typedef struct TzAdapter
{
	const char *name; /* as stored in effect.adapter: "webhook" */
	TzAdapterKind kind;
	const char *const *ops; /* NULL-terminated names of operations offered */
	TzStatus (*build)(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err);
	/* Never fails: what it cannot read becomes a verdict. */
	void (*parse)(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
} TzAdapter;

extern const TzAdapter *tz_adapter_find(const char *name);

#endif /* TZ_ADAPTER_H */
