/*-------------------------------------------------------------------------
 *
 * model.h
 *	  What the model adapters share: requests, answers, streams, failures.
 *
 * An answer is gathered into a TzModelAnswer, whether it came whole or in pieces,
 * and made into an outcome in one place, so that both ways end in the same
 * document.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_ADAPTER_MODEL_H
#define TZ_ADAPTER_MODEL_H

#include "adapter/adapter.h"

#define TZ_MODEL_CALLS_MAX 128 /* tool calls in one answer */
#define TZ_MODEL_NAME_MAX 256 /* bytes of a model's, tool's or call's name */
#define TZ_MODEL_BODY_MAX (32 * 1024 * 1024)
#define TZ_MODEL_ATTEMPTS 3 /* sent at most so often */
#define TZ_MODEL_TOKENS_MAX 1000000000 /* more in one call is no number to believe */
#define TZ_MODEL_UNKNOWN (-1) /* a count that nobody told */

/* ---- requests (model_request.c) ---- */

/* The request document, read. Everything is borrowed from it; NULL: not given. */
typedef struct TzModelRequest
{
	char model[TZ_MODEL_NAME_MAX + 1];
	int64_t max_tokens; /* TZ_MODEL_UNKNOWN: not given */
	int64_t timeout_ms;
	TzSlice system;
	json_t *tools; /* array of objects, each with a name */
	const char *choice; /* "auto", "none", "required", "tool" or NULL */
	const char *choice_name; /* of the tool */
	const char *schema_name;
	json_t *schema;
	json_t *strict;
	json_t *temperature;
	json_t *top_p;
	json_t *stop; /* array of strings */
	json_t *user; /* string */
	json_t *cache_key; /* string: this prompt comes again, and grows */
	json_t *extra; /* object */
	bool stream;
} TzModelRequest;

extern TzStatus tz_model_request_read(const TzEffect *effect, TzModelRequest *r, TzErr *err);

/* Where and how, besides the body. */
typedef struct TzModelRoute
{
	const char *base; /* the endpoint's or the default's */
	const char *path; /* appended unless the base ends with it already */
	json_t *query; /* object of strings, or NULL */
	json_t *headers; /* object of strings, or NULL */
	const char *auth_header;
	const char *auth_prefix;
} TzModelRoute;

/* Method, URL, headers, limits; out is made fresh. */
extern TzStatus tz_model_open(const TzEffect *effect, const TzEndpoint *to, const TzModelRequest *r,
                              const TzModelRoute *route, TzHttpRequest *out, TzErr *err);

/*
 * The body: head's members, then r->extra over them, then list ("messages") with
 * first (may be empty) and the effect's content spliced in as they are.
 * head is taken over, NULL is out of memory. strip: names of members left out, or NULL.
 */
extern TzStatus tz_model_body(const TzEffect *effect, const TzModelRequest *r, json_t *head, json_t *strip,
                              const char *list, TzSlice first, TzHttpRequest *out, TzErr *err);

/*
 * The provider's configuration about caches: "off", "5m", "1h", or by_default where
 * it says nothing.
 */
extern TzStatus tz_model_cache(const TzEndpoint *to, const char *by_default, const char **ttl, TzErr *err);

/* A tool's parameters, or the schema of no parameters; a new reference. */
extern json_t *tz_model_parameters(json_t *tool);

extern void tz_model_percent(TzBuf *url, TzSlice text);

/* ---- answers (model.c) ---- */

typedef struct TzModelCall
{
	int index; /* as the provider counts */
	char id[TZ_MODEL_NAME_MAX + 1];
	char name[TZ_MODEL_NAME_MAX + 1];
	bool own_id; /* the provider gave none */
	TzBuf arguments; /* JSON text as the model wrote it */
	size_t wire_start; /* its place in wire, where the protocol notes it */
	size_t wire_end;
} TzModelCall;

typedef struct TzModelUsage
{
	int64_t input; /* neither read from nor written to a cache */
	int64_t cache_read;
	int64_t cache_write_5m;
	int64_t cache_write_1h;
	int64_t output; /* reasoning included */
	int64_t reasoning;
	int64_t searches; /* the provider's own web searches, paid by piece */
	char tier[32]; /* a service tier with prices of its own, or empty */
	json_t *iterations; /* owned: calls of several models inside this one, counted apart; or NULL */
	char cost[40]; /* in USD by the provider's own count, or empty */
	json_t *raw; /* owned */
} TzModelUsage;

typedef struct TzModelAnswer
{
	size_t max; /* ceiling of each buffer below */
	char tag[32]; /* makes ids of calls that came without */
	char model[TZ_MODEL_NAME_MAX + 1];
	TzBuf text;
	TzBuf wire; /* to append to the history; empty: nothing */
	TzModelCall *calls;
	int ncalls;
	const char *stop; /* static; NULL until told */
	char stop_raw[64];
	TzBuf refusal; /* explanation */
	char refusal_category[64];
	size_t hidden_chars; /* of reasoning, for estimates */
	TzModelUsage usage;
	TzStatus status; /* sticky: TZ_NOMEM, TZ_TOO_LARGE or TZ_BAD_ANSWER */
} TzModelAnswer;

extern void tz_model_answer_init(TzModelAnswer *a, const TzEffect *effect, size_t max);
extern void tz_model_answer_free(TzModelAnswer *a);
extern TzStatus tz_model_answer_status(TzModelAnswer *a); /* of the answer and all its buffers */

/* NULL when there are too many. id and name may be NULL. */
extern TzModelCall *tz_model_call_add(TzModelAnswer *a, int index, json_t *id, json_t *name);
extern void tz_model_copy(char *dst, size_t size, json_t *string); /* cut between characters */
extern void tz_model_append(TzBuf *buf, json_t *string); /* anything else appends nothing */
extern void tz_model_quote(TzBuf *buf, TzSlice text); /* as a JSON string */
extern size_t tz_model_chars(TzSlice text);
extern int64_t tz_model_count(json_t *object, const char *key);
extern void tz_model_usage_raw(TzModelAnswer *a, json_t *raw);
/* Takes cached and written tokens out of an input that counts them too. */
extern void tz_model_split_input(TzModelUsage *u);
/* True when the stop reason lets tools be run. */
extern bool tz_model_runnable(const TzModelAnswer *a);
/* A cost in USD, if text is a plain number. */
extern void tz_model_cost(TzModelAnswer *a, TzSlice text);
/* The tier an answer was served in; the usual one has no name. */
extern void tz_model_tier(TzModelAnswer *a, json_t *name);

/* Verdict done with the result document. */
extern void tz_model_done(const TzEffect *effect, const TzHttpResponse *in, TzModelAnswer *a, TzOutcome *out);
/* Cut before its end: class transient, what came so far, usage estimated. */
extern void tz_model_truncated(const TzEffect *effect, const TzHttpResponse *in, TzModelAnswer *a,
                               const char *why, TzOutcome *out);
/* Characters of what is asked, for estimates. */
extern size_t tz_model_prompt_chars(const TzEffect *effect);
extern json_t *tz_model_usage_document(const TzEffect *effect, TzModelAnswer *a, bool cut);

/* ---- failures (model_error.c) ---- */

/*
 * Classes: "transient", "rate", "quota", "caller", "too_long", "policy", "auth".
 * tz_model_failed is for every answer that is no 2xx and for a call without an
 * answer; tz_model_fault for an error inside a 2xx (doc: the object that has the
 * member "error", or is the error). a: what came before it, or NULL.
 */
extern void tz_model_failed(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
extern void tz_model_fault(const TzEffect *effect, const TzHttpResponse *in, json_t *doc, TzModelAnswer *a,
                           TzOutcome *out);
/* A 2xx that cannot be understood. */
extern void tz_model_bad(const TzEffect *effect, const TzHttpResponse *in, const char *why, TzOutcome *out);
/* True for an answer that tz_model_failed is for. */
extern bool tz_model_no_success(const TzHttpResponse *in);
/* Adds what the head of an answer tells: request_id, rate. */
extern void tz_model_facts(const TzEffect *effect, const TzHttpResponse *in, json_t *result);

/* ---- streams (model_stream.c) ---- */

typedef struct TzModelProtocol
{
	size_t own_size; /* of the protocol's own state, zeroed at first */
	const char *done_mark; /* data that is no JSON and ends the stream, or NULL */
	/* One event; doc is NULL at the done mark. tz_model_stream_ended and _fault tell how it goes on. */
	TzStatus (*event)(TzStream *st, TzSlice data, json_t *doc);
	/* The stream has ended well: complete the answer. NULL: it is. */
	void (*finish)(TzStream *st);
	void (*release)(void *own);
	/*
	 * The unstreamed form, read into the answer. When it is none: why, or in *fault
	 * the object that tells the provider's error.
	 */
	const char *(*read)(json_t *doc, TzSlice text, TzModelAnswer *a, json_t **fault);
} TzModelProtocol;

/* An answer that came whole: read, or what went wrong. */
extern void tz_model_parse(const TzModelProtocol *protocol, const TzEffect *effect, const TzHttpResponse *in,
                           TzOutcome *out);

extern TzStream *tz_model_stream_new(const TzModelProtocol *protocol, const TzEffect *effect,
                                     const TzEndpoint *to, TzDeltaFn on_delta, void *arg);
extern TzStatus tz_model_stream_feed(TzStream *stream, TzSlice bytes, TzErr *err);
extern void tz_model_stream_end(TzStream *stream, const TzEffect *effect, const TzHttpResponse *in,
                                TzOutcome *out);
extern void tz_model_stream_free(TzStream *stream);
extern bool tz_model_stream_whole(const TzStream *stream);

/* For protocols. */
extern TzModelAnswer *tz_model_stream_answer(TzStream *st);
extern void *tz_model_stream_own(TzStream *st);
extern void tz_model_stream_ended(TzStream *st);
extern TzStatus tz_model_stream_fault(TzStream *st, json_t *doc);
/* Text or reasoning; adds visible text to the answer. */
extern TzStatus tz_model_stream_text(TzStream *st, TzDeltaKind kind, json_t *string);
extern void tz_model_stream_call(TzStream *st, const TzModelCall *call);
extern TzStatus tz_model_stream_arguments(TzStream *st, TzModelCall *call, TzSlice text);

/* ---- protocols ---- */

extern const TzModelProtocol tz_model_messages; /* Anthropic */
extern const TzModelProtocol tz_model_chat; /* Chat Completions */
extern const TzModelProtocol tz_model_responses; /* Responses */

/* What differs between servers of Chat Completions. */
typedef struct TzDialect
{
	const char *preset;
	const char *base; /* default, or NULL */
	const char *path;
	const char *auth_header;
	const char *auth_prefix;
	const char *max_tokens_field;
	const char *user_field; /* NULL: none */
	bool supports_stream_usage;
	bool supports_tool_choice;
	bool running_usage; /* asks for usage in every chunk */
	bool obfuscates; /* pads chunks unless told not to */
	bool caches; /* finds the prompts that have a key in common */
	json_t *query; /* borrowed from the provider's config */
	json_t *headers;
	json_t *strip;
	char made_path[TZ_MODEL_NAME_MAX * 3 + 64];
} TzDialect;

/* As tz_model_open, where and how as the dialect says. */
extern TzStatus tz_dialect_open(const TzEffect *effect, const TzEndpoint *to, const TzModelRequest *r,
                                const TzDialect *d, TzHttpRequest *out, TzErr *err);
extern TzStatus tz_chat_build(const TzEffect *effect, const TzEndpoint *to, const TzModelRequest *r,
                              const TzDialect *dialect, TzHttpRequest *out, TzErr *err);
extern TzStatus tz_chat_encode(json_t *message, TzBuf *wire, TzErr *err);
extern TzStatus tz_responses_build(const TzEffect *effect, const TzEndpoint *to, const TzModelRequest *r,
                                   const TzDialect *dialect, TzHttpRequest *out, TzErr *err);
extern TzStatus tz_responses_encode(json_t *message, TzBuf *wire, TzErr *err);

/* ---- history (model_encode.c) ---- */

/*
 * Messages of ours in an adapter's wire form, comma-joined and appended to wire,
 * with a comma in front where wire has something. One object or an array of
 *	{"role":"user","text"}
 *	{"role":"assistant","text","tool_calls":[{"id","name","arguments"}]}
 *	{"role":"tool","results":[{"id","name","content","is_error"}]}
 * api: "chat" or "responses" where an adapter has both, else NULL.
 */
extern TzStatus tz_model_encode(const TzAdapter *adapter, const char *api, json_t *messages, TzBuf *wire,
                                TzErr *err);

/* For the adapters: parts of such a message. */
extern TzSlice tz_model_string(json_t *object, const char *key);
extern void tz_model_comma(TzBuf *wire);
/* A dumped object joins the wire; takes item over. */
extern TzStatus tz_model_join(TzBuf *wire, json_t *item, TzErr *err);
extern json_t *tz_model_text(TzSlice text); /* sanitized; NULL: out of memory */
/* Arguments of a canonical tool call as JSON text, malloc'ed. */
extern char *tz_model_arguments(json_t *call);
/*
 * An item for each result, {kind_key: kind, id_key: the call's id, text_key: its text}. OpenAI has no flag for an
 * error, so the text says it.
 */
extern TzStatus tz_model_results(json_t *message, const char *kind_key, const char *kind, const char *id_key,
                                 const char *text_key, TzBuf *wire, TzErr *err);

#endif /* TZ_ADAPTER_MODEL_H */
