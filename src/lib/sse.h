/*-------------------------------------------------------------------------
 *
 * sse.h
 *	  Server-sent events, taken in as they come off the wire.
 *
 * Bytes may be cut anywhere: between CR and LF, inside a UTF-8 sequence, inside
 * a field's name. Memory is bounded by two ceilings given at init.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_SSE_H
#define TZ_SSE_H

#include "lib/buf.h"

#define TZ_SSE_NAME_MAX 64

typedef struct TzSseEvent
{
	TzSlice name; /* of the field "event", at most TZ_SSE_NAME_MAX bytes; empty: none */
	TzSlice data; /* the lines of "data", joined by LF */
	bool terminated; /* false: the input ended before its blank line */
} TzSseEvent;

/* Called once per event that has data. Anything but TZ_OK stops the parser for good. */
typedef TzStatus (*TzSseCallback)(void *arg, const TzSseEvent *event);

/* Where in a line the parser is. */
typedef enum TzSsePlace
{
	TZ_SSE_START = 0, /* of the input: a byte order mark may come */
	TZ_SSE_LINE, /* in a line that is kept in `line` */
	TZ_SSE_SKIP /* in a line that means nothing: a comment */
} TzSsePlace;

typedef struct TzSse
{
	TzSseCallback callback;
	void *arg;
	TzSsePlace place;
	TzBuf line; /* the unfinished line */
	TzBuf data;
	char name[TZ_SSE_NAME_MAX];
	size_t name_len;
	bool has_data;
	bool after_cr; /* a LF that comes next belongs to the line before */
	TzStatus status; /* sticky */
} TzSse;

extern void tz_sse_init(TzSse *sse, size_t max_line, size_t max_event, TzSseCallback callback, void *arg);
/* TZ_TOO_LARGE when a ceiling is passed; else what the callback answered. */
extern TzStatus tz_sse_feed(TzSse *sse, TzSlice bytes);
/*
 * The input ended. An event without its blank line is handed out, marked so:
 * only the caller knows whether it is complete. *clean: there was none, and no
 * unfinished line either.
 */
extern TzStatus tz_sse_end(TzSse *sse, bool *clean);
extern void tz_sse_free(TzSse *sse);

#endif /* TZ_SSE_H */
