/*-------------------------------------------------------------------------
 *
 * client.h
 *	  The HTTP engine: one libcurl multi per worker on a TzMux.
 *
 * Knows no adapter, no server. Enforces the egress policy on every resolved
 * address, never follows redirects, ignores proxy variables, verifies TLS.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_HTTP_CLIENT_H
#define TZ_HTTP_CLIENT_H

#include "http/mux.h"
#include "lib/http_msg.h"
#include "lib/netpolicy.h"

typedef struct TzHttpClient TzHttpClient;
typedef struct TzHttpCall TzHttpCall;

typedef struct TzHttpClientConfig
{
	int max_calls; /* in flight at once */
	int max_per_host; /* connections per host, 0 = no limit */
	int connect_timeout_ms;
	bool allow_http; /* operator's global switch */
	bool allow_private; /* operator's global switch */
	const char *ca_file; /* extra CA bundle, or NULL for the system's */
	const TzNetPolicy *policy; /* borrowed, may be replaced by tz_http_client_policy */
	const char *user_agent;
} TzHttpClientConfig;

/* Runs inside tz_http_client_pump, when the call ended for whatever reason. The response is owned by the engine and freed after the callback. */
typedef void (*TzHttpDone)(void *arg, const TzHttpResponse *res);

typedef enum TzHttpTaste
{
	TZ_HTTP_MORE = 1, /* go on */
	TZ_HTTP_ENOUGH, /* what was wanted is there: the rest is waited for only a moment */
	TZ_HTTP_STOP /* no use going on: the call ends with TZ_CANCELLED */
} TzHttpTaste;

/*
 * A body that is taken as it comes instead of being kept in the response. Both run
 * inside tz_http_client_pump with signals blocked, and must not start, cancel or
 * free calls.
 */
typedef struct TzHttpSink
{
	/* Asked once, when the body begins; head is without it. No: it is kept as usual. */
	bool (*wants)(void *arg, const TzHttpResponse *head);
	/* *kept: how much memory these bytes now take in the sink's hands. */
	TzHttpTaste (*take)(void *arg, TzSlice bytes, size_t *kept);
} TzHttpSink;

extern TzStatus tz_http_client_create(const TzHttpClientConfig *config, TzMux *mux, TzHttpClient **out,
                                      TzErr *err);
extern void tz_http_client_free(TzHttpClient *client); /* aborts what is in flight, without callbacks */
extern void tz_http_client_reconfigure(TzHttpClient *client, const TzHttpClientConfig *config);
/* Takes over req's contents (req is left empty), on success only. */
extern TzStatus tz_http_start(TzHttpClient *client, TzHttpRequest *req, TzHttpDone done, void *arg,
                              TzHttpCall **out, TzErr *err);
/* For a call just started; the callbacks get its arg. */
extern void tz_http_sink(TzHttpCall *call, const TzHttpSink *sink);
/* The call ends with TZ_CANCELLED; its callback runs in the next pump. */
extern void tz_http_cancel(TzHttpCall *call);
/* Milliseconds until the engine wants tz_http_client_pump called, -1 for never. */
extern int tz_http_client_timeout(const TzHttpClient *client);
/* To be called after tz_mux_pump and when the timeout passed. */
extern void tz_http_client_pump(TzHttpClient *client);
extern int tz_http_client_inflight(const TzHttpClient *client);

#endif /* TZ_HTTP_CLIENT_H */
