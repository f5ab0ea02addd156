/*-------------------------------------------------------------------------
 *
 * request.c
 *	  Requests as the HTTP library brings them, until SQL has its say.
 *
 * What can be refused without a row is refused here, as soon as the headers are
 * there: framing that two readers could read differently, unknown paths, missing
 * keys, bodies that are too large. Everything in this file runs inside the
 * library: no SQL, no throw.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <openssl/crypto.h>

#include "gateway/gateway.h"
#include "gateway/sse.h"
#include "gateway/stats.h"
#include "pg/guc.h"
#include "pg/ids.h"
#include "pg/shmem.h"

#define HEADER_MEMORY (32 * 1024) /* of a connection: request line and headers, and what is read at once */
#define DISCARD_MAX (1024 * 1024) /* of a body nobody wants, to keep the connection */
#define IDEMPOTENCY_KEY_MAX 255

static void *on_target(void *cls, const char *target, struct MHD_Connection *connection);
static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data, size_t *size,
                                  void **request);
static void on_completed(void *cls, struct MHD_Connection *connection, void **request,
                         enum MHD_RequestTerminationCode how);
static size_t keep_escapes(void *cls, struct MHD_Connection *connection, char *text);
static long long body_announced(const TzRequest *r);
static void begin(TzRequest *r, const char *method, const char *version);
static const char *known_method(const char *method);
static bool framing_ok(TzRequest *r);
static bool has_nul(const TzRequest *r, const char *version);
static bool target_ok(TzRequest *r);
static void find_route(TzRequest *r);
static bool own_path(TzRequest *r, const char *method);
static bool caller_ok(TzRequest *r);
static void preflight(TzRequest *r);
static bool body_take(TzRequest *r, const char *data, size_t size);
static enum MHD_Result reply(TzRequest *r);
static enum MHD_Result stream(TzRequest *r);

struct MHD_Daemon *
tz_request_listen(TzGateway *g, int listen_fd)
{
	return MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC, 0, NULL, NULL, on_request,
	                        g, MHD_OPTION_LISTEN_SOCKET, listen_fd, MHD_OPTION_URI_LOG_CALLBACK, on_target, g,
	                        MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_NOTIFY_COMPLETED,
	                        on_completed, g, MHD_OPTION_NOTIFY_CONNECTION, tz_conn_notify, g,
	                        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t) HEADER_MEMORY,
	                        MHD_OPTION_CONNECTION_LIMIT, (unsigned int) tz_guc_gateway_connections,
	                        MHD_OPTION_PER_IP_CONNECTION_LIMIT,
	                        (unsigned int) tz_guc_gateway_address_connections, MHD_OPTION_CONNECTION_TIMEOUT,
	                        (unsigned int) tz_guc_gateway_idle_timeout_s, MHD_OPTION_STRICT_FOR_CLIENT, 1,
	                        MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
}

const char *
tz_request_header(const TzRequest *r, const char *name)
{
	return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

void
tz_request_resume(TzRequest *r)
{
	r->state = TZ_REQUEST_ANSWERED;
	MHD_resume_connection(r->connection);
}

/* ---- what the library calls ------------------------------------------------- */

/* The target as it came, before anything is decoded. NULL ends the connection. */
static void *
on_target(void *cls, const char *target, struct MHD_Connection *connection)
{
	TzRequest *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->gateway = cls;
	r->connection = connection;
	r->raw = target;
	r->target = strdup(target);
	r->method = "GET";
	tz_buf_init(&r->body, (size_t) tz_guc_gateway_max_body_kb * 1024);
	tz_id_new("req", r->id);
	if (r->target == NULL)
	{
		free(r);
		return NULL;
	}
	return r;
}

/* Escapes are ours to read. */
static size_t
keep_escapes(void *cls, struct MHD_Connection *connection, char *text)
{
	(void) cls;
	(void) connection;
	return strlen(text);
}

/* Called when the headers are there, for each piece of the body, at its end, and when it goes on after that. */
static enum MHD_Result
on_request(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
           const char *version, const char *data, size_t *size, void **request)
{
	TzRequest *r = *request;

	(void) cls;
	(void) url;
	if (r == NULL)
		return MHD_NO;
	if (r->state == TZ_REQUEST_NEW)
	{
		r->state = TZ_REQUEST_READING;
		tz_conn_body(connection, 0);
		begin(r, method, version);
		if (r->reply.status != 0 && body_announced(r) > DISCARD_MAX)
			r->reply.last = true;
		/* what comes of the body is read all the same, so that the connection lives on */
		if (r->reply.status != 0 && r->reply.last)
			return reply(r);
		return MHD_YES;
	}
	if (*size > 0)
	{
		bool ok = body_take(r, data, *size);

		tz_conn_body(connection, *size);
		*size = 0;
		return ok ? MHD_YES : MHD_NO;
	}
	tz_conn_busy(connection);
	if (r->state == TZ_REQUEST_STREAMING)
		return stream(r);
	if (r->reply.status != 0)
		return reply(r);
	if (r->state == TZ_REQUEST_READING)
	{
		r->state = TZ_REQUEST_ARRIVED;
		dlist_push_tail(&r->gateway->arrived, &r->node);
		r->gateway->narrived++;
		MHD_suspend_connection(r->connection);
		return MHD_YES;
	}
	return MHD_NO;
}

static void
on_completed(void *cls, struct MHD_Connection *connection, void **request,
             enum MHD_RequestTerminationCode how)
{
	TzRequest *r = *request;

	(void) cls;
	(void) how;
	tz_conn_head(connection);
	if (r == NULL)
		return;
	*request = NULL;
	/* a suspended connection does not end, so it is in no list here */
	Assert(r->state != TZ_REQUEST_ARRIVED && r->state != TZ_REQUEST_WAITING);
	tz_push_free(r);
	tz_reply_clear(&r->reply);
	tz_buf_free(&r->body);
	if (r->key != NULL)
	{
		OPENSSL_cleanse(r->key, strlen(r->key));
		free(r->key);
	}
	free(r->target);
	free(r->space);
	free(r->origin);
	free(r->idempotency);
	free(r->run);
	free(r->then);
	free(r->args);
	free(r);
}

static enum MHD_Result
reply(TzRequest *r)
{
	struct MHD_Response *response = tz_reply_response(r);
	enum MHD_Result result;

	if (response == NULL)
		return MHD_NO;
	r->state = TZ_REQUEST_ANSWERED;
	tz_conn_busy(r->connection);
	tz_gateway_count_reply(r->reply.status);
	result = MHD_queue_response(r->connection, (unsigned int) r->reply.status, response);
	MHD_destroy_response(response);
	return result;
}

/* The state stays: what is to be sent comes from sse.c, until it says that this was all. */
static enum MHD_Result
stream(TzRequest *r)
{
	struct MHD_Response *response = tz_push_response(r);
	enum MHD_Result result;

	if (response == NULL)
		return MHD_NO;
	tz_reply_headers(r, response);
	tz_gateway_count_reply(MHD_HTTP_OK);
	result = MHD_queue_response(r->connection, MHD_HTTP_OK, response);
	MHD_destroy_response(response);
	return result;
}

/* ---- headers ------------------------------------------------------------------- */

static long long
body_announced(const TzRequest *r)
{
	const char *length = tz_request_header(r, "Content-Length");

	return length == NULL ? 0 : strtoll(length, NULL, 10);
}

/* Leaves an answer behind when there is nothing to ask SQL for. */
static void
begin(TzRequest *r, const char *method, const char *version)
{
	const char *origin = tz_request_header(r, "Origin");


	if (origin != NULL && tz_origin_listed(tz_guc_gateway_allow_origins, tz_slice_cstr(origin)))
		r->origin = strdup(origin);
	if (has_nul(r, version))
	{
		tz_reply_error(r, 400, "invalid_request", "a control character is in the address", NULL);
		r->reply.last = true;
		return;
	}
	if (!framing_ok(r) || !target_ok(r))
		return;
	if (strcmp(method, "OPTIONS") == 0)
	{
		preflight(r);
		return;
	}
	if (own_path(r, method))
		return;
	r->method = known_method(method);
	find_route(r);
	if (r->reply.status == 0)
		(void) caller_ok(r);
	if (r->reply.status == 0 && body_announced(r) > (long long) tz_guc_gateway_max_body_kb * 1024)
	{
		tz_reply_error(r, 413, "invalid_request", "the body is too large", NULL);
		r->reply.last = true;
	}
}

/*
 * The library hands out C strings, so an address with a NUL in it ends early. In its
 * buffer the protocol's version follows the address: nothing but blanks may be between.
 */
static bool
has_nul(const TzRequest *r, const char *version)
{
	uintptr_t from = (uintptr_t) r->raw + strlen(r->target) + 1;
	uintptr_t to = (uintptr_t) version;

	if (to <= from || to - from > HEADER_MEMORY)
		return false;
	return strspn((const char *) from, " ") < to - from;
}

/* HEAD is GET whose body the library keeps. */
static const char *
known_method(const char *method)
{
	static const char *const known[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};

	if (strcmp(method, "HEAD") == 0)
		return "GET";
	for (size_t i = 0; i < lengthof(known); i++)
		if (strcmp(method, known[i]) == 0)
			return known[i];
	return "";
}

typedef struct Framing
{
	int lengths;
	int codings;
	int hosts;
	int keys;
	bool bad;
} Framing;

static enum MHD_Result
count_header(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
	Framing *f = cls;

	(void) kind;
	if (strcasecmp(name, "Content-Length") == 0)
	{
		f->lengths++;
		if (value == NULL || value[0] == '\0' || strspn(value, "0123456789") != strlen(value) ||
		    strlen(value) > 15)
			f->bad = true;
	}
	else if (strcasecmp(name, "Transfer-Encoding") == 0)
	{
		f->codings++;
		if (value == NULL || strcasecmp(value, "chunked") != 0)
			f->bad = true;
	}
	else if (strcasecmp(name, "Host") == 0)
		f->hosts++;
	else if (strcasecmp(name, "Authorization") == 0 || strcasecmp(name, "X-API-Key") == 0)
		f->keys++;
	if (strpbrk(name, " \t") != NULL || name[0] == '\0')
		f->bad = true;
	return MHD_YES;
}

/* Where the body ends must be said once, in one way: a proxy in front could have read it otherwise. */
static bool
framing_ok(TzRequest *r)
{
	Framing f = {0};

	MHD_get_connection_values(r->connection, MHD_HEADER_KIND, count_header, &f);
	if (!f.bad && f.lengths + f.codings <= 1 && f.hosts <= 1)
		return true;
	tz_reply_error(r, 400, "invalid_request", "the headers of the request contradict each other", NULL);
	r->reply.last = true;
	return false;
}

static bool
target_ok(TzRequest *r)
{
	const char *question = strchr(r->target, '?');
	size_t len = strlen(r->target);
	size_t path = question != NULL ? (size_t) (question - r->target) : len;
	TzSlice query = tz_slice(r->target + path, 0);
	TzErr err = {0};

	if (question != NULL)
		query = tz_slice(question + 1, len - path - 1);
	r->raw_path = tz_slice(r->target, path);
	/* path, query, and a rest that is put together */
	r->space = malloc(2 * path + len + 1);
	if (r->space == NULL)
		tz_err_set(&err, TZ_NOMEM, "out of memory");
	else if (tz_path_split(r->raw_path, r->space + path, &r->path, &err) == TZ_OK &&
	         tz_query_split(query, r->space + 2 * path, &r->query, &err) == TZ_OK)
		return true;
	tz_reply_error(r, r->space == NULL ? 503 : 400, r->space == NULL ? "internal_error" : "invalid_request",
	               err.message, NULL);
	return false;
}

/* ---- paths -------------------------------------------------------------------------- */

/* Paths of the gateway's own, which no key and no row is needed for. */
static bool
own_path(TzRequest *r, const char *method)
{
	bool health;

	if (r->path.n != 1)
		return false;
	health = tz_slice_eq_cstr(r->path.segment[0], "healthz");
	if (!health && !tz_slice_eq_cstr(r->path.segment[0], "readyz"))
		return false;
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
	{
		tz_reply_error(r, 405, "invalid_request", "this path is only read", NULL);
		tz_reply_header(&r->reply, "Allow", "GET, HEAD, OPTIONS");
	}
	else if (health)
		tz_reply_json(&r->reply, 200, "{\"status\":\"ok\"}", 15);
	else if (r->gateway->ready && tz_guc_enabled && !r->gateway->draining)
		tz_reply_json(&r->reply, 200, "{\"status\":\"ready\"}", 18);
	else
		tz_reply_error(r, 503, "internal_error",
		               r->gateway->draining ? "this worker is about to leave"
		               : !tz_guc_enabled    ? "theazo is switched off"
		                                    : "the database does not answer yet",
		               NULL);
	return true;
}

static void
find_route(TzRequest *r)
{
	const char *allow = "";

	r->route = tz_routes_find(&r->path, r->method, &allow);
	if (r->route != NULL)
	{
		r->flags = r->route->flags;
		return;
	}
	/* whose envelope an unknown path has cannot be looked up */
	if (r->path.n > 1 && tz_slice_eq_cstr(r->path.segment[0], "api"))
		r->flags |= TZ_ROUTE_SNAKE;
	if (!tz_routes_known())
	{
		tz_reply_error(r, 503, "internal_error", "the database does not answer yet", NULL);
		tz_reply_header(&r->reply, "Retry-After", "1");
	}
	else if (allow[0] == '\0')
	{
		r->gateway->missed = true;
		tz_reply_error(r, 404, "not_found", "there is nothing at this path", NULL);
	}
	else
	{
		tz_reply_error(r, 405, "invalid_request", "this path does not know the method", NULL);
		tz_reply_header(&r->reply, "Allow", allow);
	}
}

/* A page that opens an EventSource can set no header. */
static char *
key_of_query(const TzRequest *r)
{
	for (int i = 0; i < r->query.n; i++)
		if (tz_slice_eq_cstr(r->query.pair[i].name, "key") && r->query.pair[i].value.len > 0)
			return strndup(r->query.pair[i].value.data, r->query.pair[i].value.len);
	return NULL;
}

/* Takes the key, from either header. Both at once must say the same. */
static bool
caller_ok(TzRequest *r)
{
	const char *authorization = tz_request_header(r, "Authorization");
	const char *header = tz_request_header(r, "X-API-Key");
	const char *idempotency = tz_request_header(r, "Idempotency-Key");
	TzSlice bearer = {NULL, 0};

	if (authorization != NULL && tz_bearer(tz_slice_cstr(authorization), &bearer))
		r->key = strndup(bearer.data, bearer.len);
	else if (authorization == NULL && header != NULL && header[0] != '\0')
		r->key = strdup(header);
	if (r->key != NULL && header != NULL && strcmp(r->key, header) != 0)
		r->key[0] = '\0';
	if (r->key == NULL && authorization == NULL && (r->flags & TZ_ROUTE_KEY) != 0)
		r->key = key_of_query(r);
	if ((r->flags & TZ_ROUTE_PUBLIC) == 0 && (r->key == NULL || r->key[0] == '\0'))
	{
		tz_reply_error(r, 401, "unauthorized", "an API key is needed",
		               "{\"hint\":\"Send it as Authorization: Bearer <key>, or as X-API-Key.\"}");
		tz_reply_header(&r->reply, "WWW-Authenticate", "Bearer");
		return false;
	}
	if (idempotency == NULL || strcmp(r->method, "POST") != 0)
		return true;
	if (strlen(idempotency) < 1 || strlen(idempotency) > IDEMPOTENCY_KEY_MAX ||
	    strspn(
			idempotency,
			"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~") !=
	        strlen(idempotency))
	{
		tz_reply_error(r, 400, "invalid_request", "Idempotency-Key must have 1 to 255 printable characters",
		               "{\"field\":\"Idempotency-Key\"}");
		return false;
	}
	r->idempotency = strdup(idempotency);
	return true;
}

/* OPTIONS: of a page that asks whether it may, or of anybody who wants to know the methods. */
static void
preflight(TzRequest *r)
{
	const char *allow = "";
	const char *asked = tz_request_header(r, "Access-Control-Request-Headers");

	(void) tz_routes_find(&r->path, "OPTIONS", &allow);
	if (allow[0] == '\0')
		allow = "GET, HEAD, OPTIONS";
	r->reply.status = 204;
	tz_reply_header(&r->reply, "Allow", allow);
	if (r->origin == NULL)
		return;
	tz_reply_header(&r->reply, "Access-Control-Allow-Methods", allow);
	tz_reply_header(&r->reply, "Access-Control-Max-Age", "600");
	if (asked != NULL && strlen(asked) <= 1024)
		tz_reply_header(&r->reply, "Access-Control-Allow-Headers", asked);
}

/* ---- body ---------------------------------------------------------------------------- */

/* False ends the connection: of what nobody wants only so much is read. */
static bool
body_take(TzRequest *r, const char *data, size_t size)
{
	if (r->reply.status != 0)
	{
		r->skipped += size;
		return r->skipped <= DISCARD_MAX;
	}
	if (tz_buf_append(&r->body, data, size) == TZ_OK)
		return true;
	tz_reply_error(r, 413, "invalid_request", "the body is too large", NULL);
	r->reply.last = true;
	tz_buf_free(&r->body);
	return true;
}
