/*-------------------------------------------------------------------------
 *
 * transfer.c
 *	  One libcurl easy handle: options, callbacks, and what its end means.
 *
 * Three things are done differently from an ordinary libcurl program.
 *
 * The egress policy is asked twice: when a socket is opened, about the resolved
 * address, and again just before each request, because a kept-alive connection
 * that one platform was allowed to open must not serve another that was not.
 *
 * libcurl repeats a request by itself when a reused connection turns out to be
 * closed before the first byte of an answer. The peer may have acted on the first
 * copy, so for everything but GET and HEAD a second departure is refused, and for
 * those as well when they carry a brokered secret, whose hosts may have changed
 * since. Such requests use only connections that were idle for a short time, so
 * that this stays rare.
 *
 * "May it have left?" is answered from the departure callback: a request that
 * never reached it was never written to a connection.
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "http/transfer.h"

#define HEADER_BYTES_MAX (64 * 1024)
#define HEADER_LINES_MAX 200
#define IDLE_SECONDS_ONCE 1L /* common servers hang up after 2 s or more */
#define IDLE_SECONDS_GET 60L

static curl_socket_t on_opensocket(void *arg, curlsocktype purpose, struct curl_sockaddr *addr);
static bool connection_ended(CURL *easy);
static int on_departure(void *arg, char *peer, char *local, int peer_port, int local_port);
static size_t on_body(char *data, size_t size, size_t n, void *arg);
static size_t on_header(char *data, size_t size, size_t n, void *arg);
static bool identity_set(TzHttpCall *call);
static bool header_list_make(TzHttpCall *call);
static void header_list_free(struct curl_slist *list);
static void explain(TzHttpCall *call, CURLcode code);
static void explain_connect(TzHttpCall *call, CURLcode code);
static void hint_for(TzErr *err);
static bool may_repeat(const TzHttpRequest *req);
static bool pin_holds(const TzHttpPin *pin, CURLU *url, const char *scheme);
static bool surely_not_sent(TzHttpCall *call, CURLcode code);

int64_t
tz_http_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

TzStatus
tz_transfer_url(const TzHttpRequest *req, const TzTransferRules *rules, CURLU **out, TzErr *err)
{
	CURLU *url = curl_url();
	char *scheme = NULL;
	TzStatus status = TZ_OK;

	*out = NULL;
	if (url == NULL)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	/* The text itself is not shown: it may carry a password. */
	if (req->url.len == 0 || memchr(req->url.data, 0, req->url.len) != NULL ||
	    curl_url_set(url, CURLUPART_URL, req->url.data,
	                 CURLU_DISALLOW_USER | CURLU_NON_SUPPORT_SCHEME | CURLU_PATH_AS_IS) != CURLUE_OK ||
	    curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK)
	{
		status = tz_err_set(err, TZ_BAD_INPUT, "URL is not valid");
		tz_err_hint(err, "Give an absolute https URL without user name and password.");
	}
	else if (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0)
		status = tz_err_set(err, TZ_REFUSED, "URL scheme is not allowed");
	else if (strcmp(scheme, "http") == 0 && !rules->allow_http && !req->allow_http)
		status = tz_err_set(err, TZ_REFUSED, "plain http is not allowed");
	if (status == TZ_REFUSED)
		tz_err_hint(err, "Use https, or let the operator set \"theazo.egress_allow_http\".");
	if (status == TZ_OK && req->pin.set && !pin_holds(&req->pin, url, scheme))
	{
		status = tz_err_set(err, TZ_REFUSED, "URL can be read in more than one way");
		tz_err_hint(err, "Write the host as a plain name or a plain address.");
	}
	curl_free(scheme);
	if (status == TZ_OK)
		*out = url;
	else
		curl_url_cleanup(url);
	return status;
}

/* libcurl may send it a second time by itself. */
static bool
may_repeat(const TzHttpRequest *req)
{
	return !req->once && (strcmp(req->method, "GET") == 0 || strcmp(req->method, "HEAD") == 0);
}

/* What libcurl reads is what was checked. */
static bool
pin_holds(const TzHttpPin *pin, CURLU *url, const char *scheme)
{
	char *host = NULL;
	char *port = NULL;
	char number[16];
	bool same = false;

	snprintf(number, sizeof(number), "%d", pin->port);
	if (curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
	    curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK)
	{
		const char *name = host;
		size_t len = strlen(host);

		if (len > 2 && name[0] == '[' && name[len - 1] == ']')
		{
			name++;
			len -= 2;
		}
		else if (len > 1 && name[len - 1] == '.')
			len--;
		same = len == strlen(pin->host) && strncasecmp(name, pin->host, len) == 0 &&
		       strcmp(port, number) == 0 && (strcmp(scheme, "https") == 0) == pin->tls;
	}
	curl_free(host);
	curl_free(port);
	return same;
}

/* False when memory is short or this libcurl lacks something we rely on. */
bool
tz_transfer_prepare(CURL *easy, const TzTransferRules *rules)
{
	bool ok = true;

	ok &= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_NOPROXY, "*") == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_NETRC, (long) CURL_NETRC_IGNORED) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_opensocket) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_departure) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK;
#if LIBCURL_VERSION_NUM >= 0x075700
	/* else the end of a call waits for the thread of its name lookup */
	ok &= curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK;
#endif
	if (rules->user_agent != NULL)
		ok &= curl_easy_setopt(easy, CURLOPT_USERAGENT, rules->user_agent) == CURLE_OK;
	/* The system's directory of certificates stays in use beside this bundle. */
	if (rules->ca_file != NULL && rules->ca_file[0] != '\0')
		ok &= curl_easy_setopt(easy, CURLOPT_CAINFO, rules->ca_file) == CURLE_OK;
	return ok;
}

bool
tz_transfer_arm(TzHttpCall *call, const TzTransferRules *rules)
{
	CURL *easy = call->easy;
	TzHttpRequest *req = &call->req;
	bool http = rules->allow_http || req->allow_http;
	bool repeat = may_repeat(req);
	bool head = strcmp(req->method, "HEAD") == 0;
	/* a connection made with one certificate serves nobody else */
	bool own = req->identity.len > 0 || req->authority.len > 0;
	int connect_ms = req->connect_timeout_ms > 0 ? req->connect_timeout_ms : rules->connect_timeout_ms;
	int64_t left_ms = req->timeout_ms - (tz_http_now_ms() - call->accepted_ms);
	bool ok = header_list_make(call);

	if (left_ms < 1)
		left_ms = 1;
#if LIBCURL_VERSION_NUM >= 0x075500
	ok &= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, http ? "http,https" : "https") == CURLE_OK;
#else
	ok &= curl_easy_setopt(easy, CURLOPT_PROTOCOLS,
	                       (long) (http ? CURLPROTO_HTTP | CURLPROTO_HTTPS : CURLPROTO_HTTPS)) == CURLE_OK;
#endif
	ok &= curl_easy_setopt(easy, CURLOPT_CURLU, call->url) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->header_list) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long) left_ms) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long) (connect_ms > 0 ? connect_ms : 5000)) ==
	      CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, repeat ? IDLE_SECONDS_GET : IDLE_SECONDS_ONCE) ==
	      CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE,
	                       (curl_off_t) (req->cut_response ? 0 : req->max_response)) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, call) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_PREREQDATA, call) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_WRITEDATA, call) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_HEADERDATA, call) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_PRIVATE, call) == CURLE_OK;

	if (req->body.len > 0 || strcmp(req->method, "POST") == 0 || strcmp(req->method, "PUT") == 0)
	{
		ok &= curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK;
		ok &= curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) req->body.len) == CURLE_OK;
		ok &= curl_easy_setopt(easy, CURLOPT_POSTFIELDS, req->body.len > 0 ? req->body.data : "") == CURLE_OK;
	}
	else
		ok &= curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L) == CURLE_OK;
	/* else the body that a HEAD announces would be waited for; each of the above switches it off again */
	if (head)
		ok &= curl_easy_setopt(easy, CURLOPT_NOBODY, 1L) == CURLE_OK;
	/* a server that sends the body all the same must not have it read as somebody else's answer */
	ok &= curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, head || own ? 1L : 0L) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, own ? 1L : 0L) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, req->socket) == CURLE_OK;
	ok &= identity_set(call);
	ok &= curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, req->method) == CURLE_OK;
	return ok;
}

/* For this call only: tz_transfer_disarm takes it away again. */
static bool
identity_set(TzHttpCall *call)
{
	TzHttpRequest *req = &call->req;
	struct curl_blob identity = {req->identity.data, req->identity.len, CURL_BLOB_COPY};
	struct curl_blob authority = {req->authority.data, req->authority.len, CURL_BLOB_COPY};
	bool shows = req->identity.len > 0;
	bool ok = true;

	if (!shows && req->authority.len == 0)
		return true;
	ok &= curl_easy_setopt(call->easy, CURLOPT_SSLCERT_BLOB, shows ? &identity : NULL) == CURLE_OK;
	ok &= curl_easy_setopt(call->easy, CURLOPT_SSLKEY_BLOB, shows ? &identity : NULL) == CURLE_OK;
	ok &= curl_easy_setopt(call->easy, CURLOPT_CAINFO_BLOB, req->authority.len > 0 ? &authority : NULL) ==
	      CURLE_OK;
	return ok;
}

void
tz_transfer_disarm(TzHttpCall *call)
{
	if (call->easy != NULL)
	{
		if (call->req.identity.len > 0 || call->req.authority.len > 0)
		{
			curl_easy_setopt(call->easy, CURLOPT_SSLCERT_BLOB, NULL);
			curl_easy_setopt(call->easy, CURLOPT_SSLKEY_BLOB, NULL);
			curl_easy_setopt(call->easy, CURLOPT_CAINFO_BLOB, NULL);
		}
		curl_easy_setopt(call->easy, CURLOPT_UNIX_SOCKET_PATH, NULL);
		/* nothing of this call may be read by the handle's next one */
		curl_easy_setopt(call->easy, CURLOPT_CURLU, NULL);
		curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, NULL);
		curl_easy_setopt(call->easy, CURLOPT_POSTFIELDS, NULL);
		curl_easy_setopt(call->easy, CURLOPT_PRIVATE, NULL);
	}
	header_list_free(call->header_list);
	call->header_list = NULL;
	curl_url_cleanup(call->url);
	call->url = NULL;
}

/* Nothing has left; the time that is gone counts. */
bool
tz_transfer_anew(TzHttpCall *call)
{
	int64_t left_ms = call->req.timeout_ms - (tz_http_now_ms() - call->accepted_ms);

	call->ended = false;
	call->anew = true;
	return curl_easy_setopt(call->easy, CURLOPT_FRESH_CONNECT, 1L) == CURLE_OK &&
	       curl_easy_setopt(call->easy, CURLOPT_TIMEOUT_MS, (long) (left_ms < 1 ? 1 : left_ms)) == CURLE_OK;
}

/* Fills call->res; must run before the easy handle is used again. */
void
tz_transfer_finish(TzHttpCall *call, CURLcode code)
{
	long status = 0;
	curl_off_t total_us = 0;

	curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(call->easy, CURLINFO_TOTAL_TIME_T, &total_us);
	call->res.status = (int) status;
	call->res.total_us = (int64_t) total_us;
	call->res.maybe_sent = call->departures > 0 && !surely_not_sent(call, code);
	/* we broke it off ourselves, with all that was wanted */
	if ((call->res.cut && code == CURLE_WRITE_ERROR) || (call->enough_ms > 0 && call->stop.status == TZ_OK))
		code = CURLE_OK;
	if (code != CURLE_OK || call->stop.status != TZ_OK)
	{
		explain(call, code);
		if (call->res.err.hint[0] == '\0')
			hint_for(&call->res.err);
	}
	call->res.err.http_status = call->res.status;
}

/*
 * A socket for an address that curl resolved, if the policy lets us go there.
 * curl goes on to the host's next address when this one is refused.
 */
static curl_socket_t
on_opensocket(void *arg, curlsocktype purpose, struct curl_sockaddr *addr)
{
	TzHttpCall *call = arg;
	const TzTransferRules *rules = tz_http_client_rules(call->client);
	curl_socket_t fd;

	if (purpose != CURLSOCKTYPE_IPCXN || (addr->family == AF_UNIX) != (call->req.socket != NULL))
		return CURL_SOCKET_BAD;
	/* a path is no address: whoever made the request has said that it may go there */
	if (call->req.socket == NULL &&
	    tz_netpolicy_check(rules->policy, &addr->addr, (socklen_t) addr->addrlen,
	                       rules->allow_private || call->req.allow_private, &call->denied) != TZ_OK)
		return CURL_SOCKET_BAD;
	fd = socket(addr->family, addr->socktype | SOCK_CLOEXEC, addr->protocol);
	if (fd < 0)
	{
		tz_err_set(&call->denied, TZ_UNAVAILABLE, "could not open a socket: %s", strerror(errno));
		tz_err_hint(&call->denied,
		            "Lower \"theazo.http_max_calls\", or raise the server's limit of open files.");
	}
	return fd;
}

/*
 * Has the peer closed the kept connection that this call is about to use? Older
 * libcurls look for themselves and do not tell the socket here; newer ones write
 * and see, after which nobody could say that nothing was received.
 */
static bool
connection_ended(CURL *easy)
{
	curl_socket_t fd = CURL_SOCKET_BAD;
	long connects = 0;
	char byte;

	if (curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &connects) != CURLE_OK || connects != 0 ||
	    curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK || fd == CURL_SOCKET_BAD)
		return false;
	/* an end, an error, or words that nobody asked for */
	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 ||
	       (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

/* Just before the request is written, on new and on reused connections. */
static int
on_departure(void *arg, char *peer, char *local, int peer_port, int local_port)
{
	TzHttpCall *call = arg;
	const TzTransferRules *rules = tz_http_client_rules(call->client);
	struct sockaddr_in6 v6;
	struct sockaddr_in v4;
	const struct sockaddr *addr = NULL;
	socklen_t len = 0;

	(void) local;
	(void) peer_port;
	(void) local_port;
	if (call->departures == 0 && !call->anew && connection_ended(call->easy))
	{
		call->ended = true;
		return CURL_PREREQFUNC_ABORT;
	}
	if (call->departures > 0 && !may_repeat(&call->req))
	{
		tz_err_set(&call->stop, TZ_UNAVAILABLE, "connection was closed before an answer");
		return CURL_PREREQFUNC_ABORT;
	}
	if (call->req.socket != NULL)
	{
		call->departures++;
		return CURL_PREREQFUNC_OK;
	}
	memset(&v4, 0, sizeof(v4));
	memset(&v6, 0, sizeof(v6));
	if (inet_pton(AF_INET, peer, &v4.sin_addr) == 1)
	{
		v4.sin_family = AF_INET;
		addr = (const struct sockaddr *) &v4;
		len = sizeof(v4);
	}
	else if (inet_pton(AF_INET6, peer, &v6.sin6_addr) == 1)
	{
		v6.sin6_family = AF_INET6;
		addr = (const struct sockaddr *) &v6;
		len = sizeof(v6);
	}
	if (addr == NULL)
	{
		tz_err_set(&call->stop, TZ_REFUSED, "address of the connection is not known");
		return CURL_PREREQFUNC_ABORT;
	}
	if (tz_netpolicy_check(rules->policy, addr, len, rules->allow_private || call->req.allow_private,
	                       &call->stop) != TZ_OK)
		return CURL_PREREQFUNC_ABORT;
	call->departures++;
	return CURL_PREREQFUNC_OK;
}

/* Once the answer has begun a request is of no more use: a long one is given back. */
static void
forget_request(TzHttpCall *call)
{
	curl_off_t sent = 0;

	curl_easy_getinfo(call->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
	if (call->req.body.len > 0 && sent >= (curl_off_t) call->req.body.len)
	{
		curl_easy_setopt(call->easy, CURLOPT_POSTFIELDS, "");
		tz_buf_wipe(&call->req.body);
	}
}

static bool
pours(TzHttpCall *call)
{
	long status = 0;

	if (call->tasted || call->sink.wants == NULL)
		return call->pours;
	call->tasted = true;
	curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
	call->res.status = (int) status;
	call->pours = call->sink.wants(call->arg, &call->res);
	if (call->pours)
		forget_request(call);
	return call->pours;
}

static TzStatus
pour(TzHttpCall *call, TzSlice bytes)
{
	size_t kept = 0;
	TzHttpTaste taste;

	if (call->enough_ms > 0)
		return TZ_OK;
	taste = call->sink.take(call->arg, bytes, &kept);
	if (taste == TZ_HTTP_STOP)
		return tz_err_set(&call->stop, TZ_CANCELLED, "answer was not read to its end");
	if (!tz_http_client_hold(call->client, kept))
	{
		tz_err_set(&call->stop, TZ_UNAVAILABLE, "answers in flight hold too much memory");
		tz_err_hint(&call->stop, "Lower \"theazo.http_max_body\" or \"theazo.http_max_calls\".");
		return TZ_UNAVAILABLE;
	}
	call->held += kept;
	if (taste == TZ_HTTP_ENOUGH)
		tz_http_client_linger(call);
	return TZ_OK;
}

static size_t
on_body(char *data, size_t size, size_t n, void *arg)
{
	TzHttpCall *call = arg;
	size_t len = size * n;
	size_t room = call->res.body.max - call->res.body.len;
	TzStatus status;

	if (len > 0 && pours(call))
		return pour(call, tz_slice(data, len)) == TZ_OK ? len : 0;
	if (call->req.cut_response && len > room)
	{
		call->res.cut = true;
		if (room > 0 && tz_http_client_hold(call->client, room))
		{
			call->held += room;
			(void) tz_buf_append(&call->res.body, data, room);
		}
		return len == 0 ? 1 : 0;
	}
	if (!tz_http_client_hold(call->client, len))
	{
		tz_err_set(&call->stop, TZ_UNAVAILABLE, "answers in flight hold too much memory");
		tz_err_hint(
			&call->stop,
			"Lower \"theazo.http_max_body\" or \"theazo.http_max_calls\", or ask for less at a time.");
		return len == 0 ? 1 : 0;
	}
	call->held += len;
	status = tz_buf_append(&call->res.body, data, len);
	if (status == TZ_OK)
		return len;
	if (status == TZ_TOO_LARGE)
		tz_err_set(&call->stop, status, "answer is larger than %zu bytes", call->req.max_response);
	else
		tz_err_set(&call->stop, status, "out of memory");
	return len == 0 ? 1 : 0;
}

/* One line at a time, of interim answers and trailers too; all count. */
static size_t
on_header(char *data, size_t size, size_t n, void *arg)
{
	TzHttpCall *call = arg;
	size_t len = size * n;
	TzStatus status;

	call->header_bytes += len;
	call->header_lines++;
	if (call->header_bytes > HEADER_BYTES_MAX || call->header_lines > HEADER_LINES_MAX)
		status = TZ_TOO_LARGE;
	else if (len >= 5 && memcmp(data, "HTTP/", 5) == 0)
	{
		tz_http_response_clear_headers(&call->res);
		return len;
	}
	else
		status = tz_http_response_add(&call->res, data, len);
	if (status == TZ_OK)
		return len;
	if (status == TZ_TOO_LARGE)
		tz_err_set(&call->stop, status, "answer has too many or too long headers");
	else
		tz_err_set(&call->stop, status, "out of memory");
	return 0;
}

/*
 * curl wants "Name: value" strings. "Expect:" and, without a body, "Content-Type:"
 * with nothing behind take away what curl would add by itself.
 */
static bool
header_list_make(TzHttpCall *call)
{
	struct curl_slist *list = curl_slist_append(NULL, "Expect:");
	bool typed = false;
	TzBuf line;

	tz_buf_init(&line, 64 * 1024);
	for (int i = 0; list != NULL && i < call->req.nheaders; i++)
	{
		const TzHttpHeader *header = &call->req.headers[i];
		struct curl_slist *longer;

		tz_buf_reset(&line);
		tz_buf_append_cstr(&line, header->name);
		/* with a semicolon curl sends an empty value instead of removing the header */
		if (header->value[0] == '\0')
			tz_buf_append_byte(&line, ';');
		else
		{
			tz_buf_append_cstr(&line, ": ");
			tz_buf_append_cstr(&line, header->value);
		}
		typed |= strcasecmp(header->name, "content-type") == 0;
		longer = line.status == TZ_OK ? curl_slist_append(list, line.data) : NULL;
		if (longer == NULL)
		{
			header_list_free(list);
			list = NULL;
		}
		else
			list = longer;
	}
	if (list != NULL && !typed)
	{
		struct curl_slist *longer = curl_slist_append(list, "Content-Type:");

		if (longer == NULL)
			header_list_free(list);
		list = longer;
	}
	tz_buf_wipe(&line);
	call->header_list = list;
	return list != NULL;
}

/* Wiped first: the lines hold credentials. */
static void
header_list_free(struct curl_slist *list)
{
	for (struct curl_slist *p = list; p != NULL; p = p->next)
		explicit_bzero(p->data, strlen(p->data));
	curl_slist_free_all(list);
}

/*
 * Departed, yet nothing was written: the very first write failed, on a kept
 * connection that had died meanwhile.
 */
static bool
surely_not_sent(TzHttpCall *call, CURLcode code)
{
	long request = 0;
	curl_off_t upload = 0;

	if (code != CURLE_SEND_ERROR || call->departures != 1)
		return false;
	curl_easy_getinfo(call->easy, CURLINFO_REQUEST_SIZE, &request);
	curl_easy_getinfo(call->easy, CURLINFO_SIZE_UPLOAD_T, &upload);
	return request == 0 && upload == 0;
}

/* curl's code as our status and a short message; never a URL or a header. */
static void
explain(TzHttpCall *call, CURLcode code)
{
	TzErr *err = &call->res.err;

	if (call->stop.status != TZ_OK)
	{
		*err = call->stop;
		return;
	}
	switch (code)
	{
		case CURLE_OUT_OF_MEMORY:
			tz_err_set(err, TZ_NOMEM, "out of memory");
			break;
		case CURLE_FILESIZE_EXCEEDED:
			tz_err_set(err, TZ_TOO_LARGE, "answer is larger than %zu bytes", call->req.max_response);
			break;
		case CURLE_OPERATION_TIMEDOUT:
			if (call->departures > 0)
				tz_err_set(err, TZ_TIMEOUT, "no complete answer within %d ms", call->req.timeout_ms);
			else
				tz_err_set(err, TZ_TIMEOUT, "no connection in time");
			break;
		case CURLE_GOT_NOTHING:
			tz_err_set(err, TZ_UNAVAILABLE, "connection was closed without an answer");
			break;
		case CURLE_PARTIAL_FILE:
			tz_err_set(err, TZ_BAD_ANSWER, "answer ended before its stated length");
			break;
		case CURLE_SEND_ERROR:
		case CURLE_RECV_ERROR:
			/* with a status line the peer did carry it out, so this is half an answer */
			if (call->res.status != 0)
				tz_err_set(err, TZ_BAD_ANSWER, "answer broke off");
			else
				tz_err_set(err, TZ_UNAVAILABLE, "connection broke");
			break;
		case CURLE_UNSUPPORTED_PROTOCOL:
			/* with PROTOCOLS set: also what a bad first line gives */
			tz_err_set(err, call->departures > 0 ? TZ_BAD_ANSWER : TZ_REFUSED,
			           call->departures > 0 ? "answer is not HTTP" : "URL scheme is not allowed");
			break;
		case CURLE_WEIRD_SERVER_REPLY:
		case CURLE_HTTP2:
		case CURLE_BAD_CONTENT_ENCODING:
			tz_err_set(err, TZ_BAD_ANSWER, "answer is not HTTP");
			break;
		default:
			explain_connect(call, code);
			break;
	}
}

static void
explain_connect(TzHttpCall *call, CURLcode code)
{
	TzErr *err = &call->res.err;

	switch (code)
	{
		case CURLE_COULDNT_RESOLVE_HOST:
			tz_err_set(err, TZ_UNAVAILABLE, "host name does not resolve");
			break;
		case CURLE_COULDNT_CONNECT:
			if (call->denied.status != TZ_OK)
				*err = call->denied;
			else
				tz_err_set(err, TZ_UNAVAILABLE, "connection refused or host not reachable");
			break;
		case CURLE_PEER_FAILED_VERIFICATION:
			tz_err_set(err, TZ_UNAVAILABLE, "TLS certificate of the host is not trusted");
			tz_err_hint(
				err,
				"Have the host use a certificate of a known authority, or name its authority in \"theazo.ca_file\".");
			break;
		case CURLE_SSL_CACERT_BADFILE:
			tz_err_set(err, TZ_UNAVAILABLE, "bundle of certificates cannot be read");
			tz_err_hint(err, "Check the file named by \"theazo.ca_file\".");
			break;
		case CURLE_SSL_CONNECT_ERROR:
		case CURLE_SSL_CIPHER:
		case CURLE_SSL_CERTPROBLEM:
			tz_err_set(err, TZ_UNAVAILABLE, "TLS handshake failed");
			break;
		default:
			tz_err_set(err, call->departures > 0 ? TZ_BAD_ANSWER : TZ_UNAVAILABLE, "transfer failed: %s",
			           curl_easy_strerror(code));
			break;
	}
}

static void
hint_for(TzErr *err)
{
	switch (err->status)
	{
		case TZ_TOO_LARGE:
			tz_err_hint(err, "Ask for less at a time, or raise \"theazo.http_max_body\".");
			break;
		case TZ_TIMEOUT:
			tz_err_hint(err, "Check how busy the endpoint is, or give a longer time limit.");
			break;
		case TZ_UNAVAILABLE:
			tz_err_hint(err, "Check that the endpoint is up and that its address is right.");
			break;
		case TZ_BAD_ANSWER:
			tz_err_hint(err, "Look into the endpoint's log, and at what stands between it and us.");
			break;
		default:
			break;
	}
}
