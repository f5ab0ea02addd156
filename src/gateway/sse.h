/*-------------------------------------------------------------------------
 *
 * sse.h
 *	  Streams of events to a client.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_SSE_H
#define TZ_SSE_H

#include "utils/jsonb.h"

#include "gateway/gateway.h"

/*
 * In the transaction of the request that asked for it, whose operation has
 * checked that it may: what to follow, as the operation returned it.
 */
extern void tz_sse_begin(TzRequest *r, Jsonb *what);

#endif /* TZ_SSE_H */
