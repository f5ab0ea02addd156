/*-------------------------------------------------------------------------
 *
 * transfer_answer.c
 *	  An answer as it arrives: kept within its ceilings, or poured into a sink.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "http/transfer_internal.h"

#define HEADER_BYTES_MAX (64 * 1024)
#define HEADER_LINES_MAX 200

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

size_t
tz_transfer_body(char *data, size_t size, size_t n, void *arg)
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
size_t
tz_transfer_header(char *data, size_t size, size_t n, void *arg)
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
