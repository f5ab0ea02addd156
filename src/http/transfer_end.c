/*-------------------------------------------------------------------------
 *
 * transfer_end.c
 *	  What the end of a transfer means: a status, a short message and a hint.
 *
 *-------------------------------------------------------------------------
 */
#include "http/transfer_internal.h"

static void explain(TzHttpCall *call, CURLcode code);
static void explain_connect(TzHttpCall *call, CURLcode code);
static void hint_for(TzErr *err);

void
tz_transfer_explain(TzHttpCall *call, CURLcode code)
{
	explain(call, code);
	if (call->res.err.hint[0] == '\0')
		hint_for(&call->res.err);
}

/*
 * Departed, yet nothing was written: the very first write failed, on a kept
 * connection that had died meanwhile.
 */
bool
tz_transfer_surely_unsent(TzHttpCall *call, CURLcode code)
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
