/*-------------------------------------------------------------------------
 *
 * http_msg.h
 *	  The request and response nouns that adapters and the HTTP engine share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_HTTP_MSG_H
#define TZ_HTTP_MSG_H

#include "lib/buf.h"

#define TZ_HTTP_HEADERS_MAX 64
#define TZ_HTTP_MASKS_MAX 512
#define TZ_HTTP_HOST_MAX 253
#define TZ_HTTP_SOCKET_MAX 107 /* bytes of a path that the system takes */

typedef struct TzHttpHeader
{
	char *name; /* malloc'ed, owned by the message */
	char *value;
	bool secret; /* wiped before free, never printed */
} TzHttpHeader;

/* The only place a request may go: whoever reads its URL must find exactly this. */
typedef struct TzHttpPin
{
	bool set;
	bool tls;
	int port;
	char host[TZ_HTTP_HOST_MAX + 1]; /* lower case, without brackets and trailing dot */
} TzHttpPin;

typedef struct TzHttpRequest
{
	const char *method; /* static string: "GET", "HEAD", "POST", "PUT", "DELETE" */
	TzBuf url;
	TzHttpHeader headers[TZ_HTTP_HEADERS_MAX];
	int nheaders;
	char *masks[TZ_HTTP_MASKS_MAX]; /* values never to be shown; wiped before free */
	int nmasks;
	TzBuf body; /* may be empty; wiped before free; the signed bytes are these bytes */
	int timeout_ms; /* total; must be > 0 */
	int connect_timeout_ms; /* 0: engine's default */
	size_t max_response; /* body ceiling in bytes; must be > 0 */
	bool cut_response; /* a longer body is cut there, instead of being an error */
	bool once; /* not even a GET is repeated by the engine itself */
	TzHttpPin pin;
	bool allow_http; /* plain http allowed for this endpoint */
	bool allow_private; /* private addresses allowed for this endpoint */
	char *socket; /* path of a unix socket to go to instead of the URL's host, or NULL */
	TzBuf identity; /* certificate and key (PEM) to show to the host, or empty; wiped before free */
	TzBuf authority; /* certificates (PEM) that may vouch for the host beside the known ones, or empty */
} TzHttpRequest;

typedef struct TzHttpResponse
{
	int status; /* 0 when no answer came */
	TzHttpHeader headers[TZ_HTTP_HEADERS_MAX]; /* names in lower case */
	int nheaders;
	TzBuf body;
	bool cut; /* the body went on, but the request wanted no more of it */
	TzErr err; /* err.status != TZ_OK: transport failed */
	bool maybe_sent; /* request bytes may have reached the peer */
	int64_t total_us;
	const TzHttpRequest *request; /* borrowed: what was asked, for masking its
									 * secrets; valid as long as the callback runs;
									 * NULL in tests */
} TzHttpResponse;

extern void tz_http_request_init(TzHttpRequest *req, size_t max_body);
extern void tz_http_request_free(TzHttpRequest *req);
/* Copies both strings. Refuses CR, LF and NUL in either (TZ_BAD_INPUT). */
extern TzStatus tz_http_request_header(TzHttpRequest *req, const char *name, const char *value, bool secret,
                                       TzErr *err);
/* host: at most TZ_HTTP_HOST_MAX bytes. */
extern void tz_http_request_pin(TzHttpRequest *req, const char *host, int port, bool tls);
/* An absolute path of at most TZ_HTTP_SOCKET_MAX bytes. Whether it may go there is for the caller to say. */
extern TzStatus tz_http_request_socket(TzHttpRequest *req, const char *path, TzErr *err);
/* Both PEM; an empty slice leaves out that part. Such a call has a connection of its own. */
extern TzStatus tz_http_request_identity(TzHttpRequest *req, TzSlice identity, TzSlice authority, TzErr *err);
/* A value that messages made from the answer must not show (a credential). */
extern TzStatus tz_http_request_mask(TzHttpRequest *req, TzSlice value, TzErr *err);
extern void tz_http_response_init(TzHttpResponse *res, size_t max_body);
extern void tz_http_response_free(TzHttpResponse *res);
/* Value of a header (name in lower case), or NULL. */
extern const char *tz_http_response_header(const TzHttpResponse *res, const char *name);

/* For the engine: adds one raw header line, at most TZ_HTTP_HEADERS_MAX. */
extern TzStatus tz_http_response_add(TzHttpResponse *res, const char *line, size_t len);
extern void tz_http_response_clear_headers(TzHttpResponse *res);

#endif /* TZ_HTTP_MSG_H */
