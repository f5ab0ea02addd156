/*-------------------------------------------------------------------------
 *
 * transfer.c
 *	  One libcurl easy handle: its options, from a request's to those undone.
 *
 * What its sockets may reach is in transfer_connect.c, what is kept of an answer in
 * transfer_answer.c, and what its end means in transfer_end.c.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "http/transfer_internal.h"

#define IDLE_SECONDS_ONCE 1L /* common servers hang up after 2 s or more */
#define IDLE_SECONDS_GET 60L

static bool identity_set(TzHttpCall *call);
static bool header_list_make(TzHttpCall *call);
static void header_list_free(struct curl_slist *list);
static bool pin_holds(const TzHttpPin *pin, CURLU *url, const char *scheme);

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
	ok &= curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, tz_transfer_socket) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, tz_transfer_departure) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, tz_transfer_body) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, tz_transfer_header) == CURLE_OK;
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
	bool repeat = tz_transfer_may_repeat(req);
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
	call->res.maybe_sent = call->departures > 0 && !tz_transfer_surely_unsent(call, code);
	/* we broke it off ourselves, with all that was wanted */
	if ((call->res.cut && code == CURLE_WRITE_ERROR) || (call->enough_ms > 0 && call->stop.status == TZ_OK))
		code = CURLE_OK;
	if (code != CURLE_OK || call->stop.status != TZ_OK)
		tz_transfer_explain(call, code);
	call->res.err.http_status = call->res.status;
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
