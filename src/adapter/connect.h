/*-------------------------------------------------------------------------
 *
 * connect.h
 *	  The Connect protocol, as much of it as a client over HTTP/1.1 needs.
 *
 * A stream is a sequence of envelopes: a flag byte, a length of four bytes with the
 * highest first, and so many bytes of payload. The last envelope has flag 2 and says
 * whether the call went well, whatever the status of the answer was: without it the
 * stream was cut. Nothing here is compressed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_ADAPTER_CONNECT_H
#define TZ_ADAPTER_CONNECT_H

#include "lib/jansson.h"

#include "lib/http_msg.h"

#define TZ_CONNECT_STREAM_TYPE "application/connect+json"
#define TZ_CONNECT_FRAME_MAX (16 * 1024 * 1024)

/* One message of a stream; anything but TZ_OK ends it. */
typedef TzStatus (*TzConnectFn)(void *arg, TzSlice message, TzErr *err);

typedef struct TzConnect
{
	TzConnectFn on_message;
	void *arg;
	unsigned char head[5];
	size_t nhead;
	TzBuf frame; /* payload so far */
	bool ended; /* the last envelope has come: what follows is not looked at */
	bool failed; /* no use going on */
	json_t *error; /* of the last envelope, or NULL: it went well */
} TzConnect;

/* How a call was refused, in the words of the protocol. */
typedef enum TzConnectCode
{
	TZ_CONNECT_CANCELED = 1,
	TZ_CONNECT_UNKNOWN,
	TZ_CONNECT_INVALID_ARGUMENT,
	TZ_CONNECT_DEADLINE_EXCEEDED,
	TZ_CONNECT_NOT_FOUND,
	TZ_CONNECT_ALREADY_EXISTS,
	TZ_CONNECT_PERMISSION_DENIED,
	TZ_CONNECT_RESOURCE_EXHAUSTED,
	TZ_CONNECT_FAILED_PRECONDITION,
	TZ_CONNECT_ABORTED,
	TZ_CONNECT_OUT_OF_RANGE,
	TZ_CONNECT_UNIMPLEMENTED,
	TZ_CONNECT_INTERNAL,
	TZ_CONNECT_UNAVAILABLE,
	TZ_CONNECT_DATA_LOSS,
	TZ_CONNECT_UNAUTHENTICATED
} TzConnectCode;

/* Appends the envelope of one message. */
extern TzStatus tz_connect_envelope(TzSlice message, TzBuf *out);

/* A body of that kind begins: 200 and its content type, nothing else. */
extern bool tz_connect_streams(const TzHttpResponse *head);

/* max_frame: longest payload that is taken. */
extern void tz_connect_init(TzConnect *c, size_t max_frame, TzConnectFn on_message, void *arg);
/* Any slices of the body. A failure is final. */
extern TzStatus tz_connect_feed(TzConnect *c, TzSlice bytes, TzErr *err);
extern void tz_connect_free(TzConnect *c);

/*
 * The code of an error object: its word, else by the status it came with (also when
 * its code is a number, as gateways on the way write it), else unknown.
 */
extern TzConnectCode tz_connect_code(const json_t *error, int http_status);
/* "not_found" */
extern const char *tz_connect_code_name(TzConnectCode code);

#endif /* TZ_ADAPTER_CONNECT_H */
