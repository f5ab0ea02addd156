/*-------------------------------------------------------------------------
 *
 * gateway.h
 *	  What the files of the gateway share: requests, answers, routes.
 *
 * Two worlds meet here. The HTTP library calls back from within tz_gateway_pump():
 * there is no transaction then, nothing may throw, memory is malloc'ed. SQL runs
 * in turns, under the usual rules. A request goes from the first to the second by
 * its connection being suspended, and back by being resumed with an answer.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_GATEWAY_H
#define TZ_GATEWAY_H

#include <microhttpd.h>

#include "lib/ilist.h"
#include "utils/timestamp.h"

#include "auth/identity.h"
#include "lib/buf.h"
#include "lib/id.h"
#include "lib/path.h"

#define TZ_REPLY_HEADERS_MAX 16

/* Flags of a route. */
#define TZ_ROUTE_PUBLIC 1 /* asks for no key */
#define TZ_ROUTE_SHARE 2 /* may share a commit with others */
#define TZ_ROUTE_WAIT 4
#define TZ_ROUTE_STREAM 8
#define TZ_ROUTE_RAW 16 /* its operation wants the body as it came */
#define TZ_ROUTE_SNAKE 32 /* errors in the envelope of governed agents */
#define TZ_ROUTE_BODY 64 /* the members of the body stay together */
#define TZ_ROUTE_WRITE 128 /* writes, though it is a GET */
#define TZ_ROUTE_KEY 256 /* its key may stand in the query */

typedef struct TzRoute
{
	char *method;
	char *path;
	char *operation;
	int status; /* when all is well and the operation says nothing else */
	int flags;
	TzRoutePattern pattern;
} TzRoute;

/* What goes back; everything malloc'ed. */
typedef struct TzReply
{
	int status; /* 0: there is none yet */
	char *body; /* may be NULL */
	size_t len;
	const char *type; /* a literal; a header of the same name wins */
	int nheaders;
	char *name[TZ_REPLY_HEADERS_MAX];
	char *value[TZ_REPLY_HEADERS_MAX];
	bool last; /* the connection ends with it */
} TzReply;

typedef enum TzRequestState
{
	TZ_REQUEST_NEW,
	TZ_REQUEST_READING,
	TZ_REQUEST_ARRIVED, /* suspended, in gateway->arrived: its turn comes */
	TZ_REQUEST_WAITING, /* suspended, in gateway->waiting: a run has to end */
	TZ_REQUEST_ANSWERED,
	TZ_REQUEST_STREAMING
} TzRequestState;

typedef struct TzGateway TzGateway;

typedef struct TzRequest
{
	dlist_node node; /* in the list of its state, if that has one */
	TzGateway *gateway;
	struct MHD_Connection *connection;
	TzRequestState state;
	char id[TZ_ID_MAX + 1];

	/* the request */
	const char *method; /* a literal; GET for HEAD */
	const char *raw; /* where the library has the target, until the headers are there */
	char *target; /* as it came; path and query lie in it */
	char *space; /* what path and query are decoded into, and a joined rest */
	TzSlice raw_path;
	TzPath path;
	TzQuery query;
	char *origin; /* of a page that may read the answer, or NULL */
	char *key; /* of the caller, or NULL; wiped before free */
	char *idempotency; /* value of Idempotency-Key, or NULL */
	TzBuf body;
	size_t skipped; /* bytes of a body that nobody wants any more */

	/* what it means: valid as long as the routes are of that generation */
	TzRoute *route;
	int flags; /* of the route */
	bool alone; /* did not get on with others in one transaction */

	/* while it waits for a run */
	char *run;
	char *then; /* operation that makes the answer */
	char *args; /* its argument, JSON */
	int bucket;
	uint32 seen; /* of the bucket, before the run was looked at last */
	bool look; /* look at the run */
	TimestampTz until;
	TzIdentity identity;

	struct TzStream *stream; /* of a stream, owned by sse.c */
	TzReply reply;
} TzRequest;

struct TzGateway
{
	struct MHD_Daemon *daemon;
	dlist_head arrived;
	dlist_head waiting;
	dlist_head streams;
	dlist_head connections;
	int narrived;
	int nwaiting;
	int nstreams;
	uint64 ended; /* buckets of runs that requests wait for: wait.c keeps it */
	uint64 moved; /* of runs that streams follow: sse.c keeps it */
	bool ready; /* SQL has worked: /readyz */
	bool draining;
	bool hungry; /* a stream that had enough to send has sent it */
	bool missed; /* a path was not known: are the routes of today? */
};

/* gateway.c */
extern void tz_gateway_pump(TzGateway *g);
/* After a change of ended or moved, and before the runs are looked at: an end could come between. */
extern void tz_gateway_watch(TzGateway *g);

/* request.c: the side of the HTTP library */
extern struct MHD_Daemon *tz_request_listen(TzGateway *g, int listen_fd);
/* The answer is there: the connection goes on. */
extern void tz_request_resume(TzRequest *r);
extern const char *tz_request_header(const TzRequest *r, const char *name);

/* conn.c: how long a request may take to arrive */
extern void tz_conn_notify(void *cls, struct MHD_Connection *connection, void **context,
                           enum MHD_ConnectionNotificationCode what);
extern void tz_conn_head(struct MHD_Connection *connection);
extern void tz_conn_body(struct MHD_Connection *connection, size_t received);
extern void tz_conn_busy(struct MHD_Connection *connection);
extern void tz_conn_sweep(TzGateway *g);

/* routes.c */
/* In a transaction: reads them again if they may have changed. */
extern void tz_routes_load(void);
/*
 * The route of a path. NULL: none for this method; *allow then names those there
 * are, separated by commas ("" for an unknown path). No SQL.
 */
extern TzRoute *tz_routes_find(const TzPath *path, const char *method, const char **allow);
extern bool tz_routes_known(void);

/* reply.c: no SQL, no throw */
extern void tz_reply_json(TzReply *a, int status, const char *text, size_t len);
extern void tz_reply_header(TzReply *a, const char *name, const char *value);
/* An error in the envelope of the request's route. details: JSON object as text, or NULL. */
extern void tz_reply_error(TzRequest *r, int status, const char *code, const char *message,
                           const char *details);
extern void tz_reply_clear(TzReply *a);
/* The library's response of an answer; the answer's body is given away. */
extern struct MHD_Response *tz_reply_response(TzRequest *r);
/* Those that all answers have, streams as well. */
extern void tz_reply_headers(TzRequest *r, struct MHD_Response *response);

/* call.c: in turns */
/* Carries out requests of gateway->arrived until none is left or time is up. True: there are more. */
extern bool tz_calls(TzGateway *g);

/* wait.c */
extern void tz_wait_begin(TzRequest *r);
/* Looks at the runs that requests wait for; returns milliseconds until it wants to look again, -1 for never. */
extern int tz_waits(TzGateway *g);
/* Who waits is told where to look: nobody will be here. */
extern void tz_waits_leave(TzGateway *g);

#endif /* TZ_GATEWAY_H */
