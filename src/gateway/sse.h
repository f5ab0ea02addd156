/*-------------------------------------------------------------------------
 *
 * sse.h
 *	  Streams of events to a client.
 *
 * A stream begins in the turn of its request, is opened after the commit, and
 * from then on lives in two worlds: sse_turn.c looks in SQL what there is to
 * tell and puts it in line, sse.c hands that to the HTTP library as fast as the
 * client takes it. A stream with nothing to send is a suspended connection.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_SSE_H
#define TZ_SSE_H

#include "utils/jsonb.h"

#include "gateway/gateway.h"

#define TZ_SSE_QUEUE_MAX \
	(64 * 1024) /* bytes in line: a client that has so many to take is told nothing more until it has */
#define TZ_SSE_RUN_MAX 31

typedef enum TzSseKind
{
	TZ_SSE_AGENT,
	TZ_SSE_LOG,
	TZ_SSE_AUDIT
} TzSseKind;

/* Bytes to send, shared by all streams that have them in line. */
typedef struct TzPiece
{
	int refs;
	size_t len;
	char data[FLEXIBLE_ARRAY_MEMBER];
} TzPiece;

typedef struct TzPlace
{
	struct TzPlace *next;
	TzPiece *piece;
} TzPlace;

/* The text of a model call that grows without commits. step 0: none. */
typedef struct TzLive
{
	char run[TZ_SSE_RUN_MAX + 1];
	int step;
	int generation; /* 0: nothing of it was told */
	int64 offset;
	int64 seq;
} TzLive;

typedef struct TzStream
{
	dlist_node node; /* in gateway->streams, once open */
	TzRequest *r;
	bool open;
	bool suspended;
	bool over; /* nothing is put in line any more */
	bool gone; /* its client */
	bool full; /* has so much in line that it was passed over */

	TzSseKind kind;
	char *what; /* what to follow, JSON */
	char *at; /* behind what */
	char *hello; /* sent at once */
	uint32 hash; /* of kind, what and who asks */
	TzLive live;

	int bucket; /* of the bell it wakes at, -1 before the first look */
	uint32 seen; /* of the bucket, before the last look */
	bool look; /* look at rows */
	bool idle; /* what it waits for has not begun */
	TimestampTz look_at; /* without being asked to */
	TimestampTz ping_at;
	TimestampTz until; /* 0: for ever */
	TimestampTz check_at; /* is its key still good? */
	int fd;
	int ping_ms;
	int limit_ms;

	TzPlace *first;
	TzPlace *last;
	size_t sent; /* of the first */
	size_t queued;
} TzStream;

/*
 * In the transaction of the request that asked for it, whose operation has
 * checked that it may: what to follow, as the operation returned it.
 */
extern void tz_push_begin(TzRequest *r, Jsonb *what);
/* That transaction has committed: headers leave. */
extern void tz_push_open(TzRequest *r);

/* What is below does not throw, but for the turn. */
extern struct MHD_Response *tz_push_response(TzRequest *r);
extern void tz_push_free(TzRequest *r);

extern TzPiece *tz_push_piece(const char *data, size_t len); /* one reference; NULL: out of memory */
extern void tz_push_release(TzPiece *piece);
/* Takes a reference of its own. */
extern void tz_push_put(TzStream *s, TzPiece *piece);
extern void tz_push_say(TzStream *s, const char *text);
/* What is in line is sent, and that was it. */
extern void tz_push_end(TzStream *s, const char *last_words);
/* Ends those whose clients have closed their side: the library does not look at who is suspended. */
extern void tz_push_sweep(TzGateway *g);

/* sse_page.c: what was behind a place, where more follows. */
typedef struct TzPushPage
{
	TzPiece *piece;
	char *next; /* place */
	char *bell;
} TzPushPage;

/* Does a stream follow this, and see the same of it as this caller? */
extern bool tz_push_same(const TzStream *s, TzSseKind kind, const char *what, const TzIdentity *who);
/* Of the stream's place; NULL: none. Good until the next call. */
extern const TzPushPage *tz_push_page_find(const TzStream *s, TimestampTz now);
/* Takes copies, and a reference of its own. */
extern void tz_push_page_keep(const TzStream *s, const TzPushPage *page, TimestampTz now);
/* Old ones. */
extern void tz_push_pages_forget(TimestampTz now);

/* sse_turn.c: looks what there is to tell; milliseconds until it wants to look again, -1 for never. */
extern int tz_push_turn(TzGateway *g);
/* This worker goes away: clients come back with the id of what they have. */
extern void tz_push_leave(TzGateway *g);

#endif /* TZ_SSE_H */
