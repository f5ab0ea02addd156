/*-------------------------------------------------------------------------
 *
 * relay.h
 *	  Outgoing connections of local sandboxes: who may connect where.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_RELAY_H
#define TZ_RELAY_H

#include "http/mux.h"
#include "lib/netpolicy.h"

typedef struct TzRelay TzRelay;
typedef struct TzRelayDial TzRelayDial;

typedef struct TzRelayConfig
{
	const TzNetPolicy *policy; /* borrowed; replaced by tz_relay_configure */
	bool allow_private; /* operator's global switch */
	int connect_timeout_ms;
} TzRelayConfig;

/* How a dial ended. fd is -1 unless err.status is TZ_OK; the receiver owns it. */
typedef struct TzRelayResult
{
	int fd; /* connected, non-blocking */
	char address[64]; /* numeric, of the last address looked at; may be empty */
	TzErr err;
} TzRelayResult;

/* Runs inside tz_mux_pump, tz_relay_tick or tz_relay_dial itself. */
typedef void (*TzRelayDone)(void *arg, const TzRelayResult *res);

extern TzStatus tz_relay_create(const TzRelayConfig *config, TzMux *mux, TzRelay **out, TzErr *err);
extern void tz_relay_configure(TzRelay *relay, const TzRelayConfig *config);
/* Drops every dial without a callback. */
extern void tz_relay_free(TzRelay *relay);

/*
 * Resolves off the main thread, then connects to the first address the policy
 * lets through. Each platform has a share of the threads. On a failure the callback is not run. *out is set before any
 * callback runs and stays valid until the callback has run.
 */
extern TzStatus tz_relay_dial(TzRelay *relay, const char *platform_id, const char *host, int port,
                              bool allow_private, TzRelayDone done, void *arg, TzRelayDial **out, TzErr *err);
/* Forgets the dial: no callback any more. */
extern void tz_relay_cancel(TzRelayDial *dial);
/* Milliseconds until tz_relay_tick wants to be called, -1 for never. */
extern int tz_relay_timeout(const TzRelay *relay, int64_t now_ms);
extern void tz_relay_tick(TzRelay *relay, int64_t now_ms);

#endif /* TZ_RELAY_H */
