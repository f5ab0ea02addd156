/*-------------------------------------------------------------------------
 *
 * transfer_connect.c
 *	  Where a transfer may go, and how often its request may leave.
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
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "http/transfer_internal.h"

/* libcurl may send it a second time by itself. */
bool
tz_transfer_may_repeat(const TzHttpRequest *req)
{
	return !req->once && (strcmp(req->method, "GET") == 0 || strcmp(req->method, "HEAD") == 0);
}

/*
 * A socket for an address that curl resolved, if the policy lets us go there.
 * curl goes on to the host's next address when this one is refused.
 */
curl_socket_t
tz_transfer_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *addr)
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
int
tz_transfer_departure(void *arg, char *peer, char *local, int peer_port, int local_port)
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
	if (call->departures > 0 && !tz_transfer_may_repeat(&call->req))
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
