/* An operation of several requests, from its first to its end: what is sent, what is answered, what comes of it. */
#ifndef TZ_LIB_WALK_H
#define TZ_LIB_WALK_H

#include "adapter/adapter.h"

#define WALK_KEY "key_4711-abcdef"
#define WALK_SECRET "env-2718-mnopqr"

typedef struct WalkStep
{
	const char *sent; /* "GET https://..." */
	const char *has; /* in what is sent, or NULL */
	int status; /* of the answer; 0: none came */
	const char *body;
	const char *header; /* "name: value", or NULL */
	TzStatus lost; /* status 0: why */
	int64_t after_ms; /* the clock moves before the answer */
	int wait_ms; /* that the next step must wait at least */
} WalkStep;

typedef struct Walk
{
	const char *adapter;
	const char *op;
	const char *request;
	const char *config;
	const char *url; /* endpoint */
	const char *kept;
	const char *state; /* to begin with */
	const char *id; /* of the effect */
	TzSlice content;
	WalkStep steps[24]; /* up to the first without "sent" */
	TzVerdict verdict;
	const char *result; /* JSON that must be equal; NULL: not looked at */
	const char *error; /* in the message */
	TzStatus status; /* of the error, or TZ_OK */
	bool streamed; /* ended as a stream that nobody fed */
} Walk;

/* Runs it; neither the key nor the secret may be in a state, a URL or an error. Returns what was told to a follower. */
extern const char *walk(const Walk *w);

#endif /* TZ_LIB_WALK_H */
