/*-------------------------------------------------------------------------
 *
 * broker.c
 *	  Puts the value of a brokered secret into a request, for its hosts only.
 *
 * Whoever writes a request (an agent's program, in the end) knows a placeholder
 * and not the value. So the rule leaves it no choice but one: the host. A header
 * that contains a placeholder is dropped as a whole and the header that the
 * secret's owner configured stands in its place; nothing of what was written
 * around the placeholder goes out with the value. The host is checked against
 * the secret's own list, and pinned, so that the engine cannot understand the
 * URL in another way. All is checked before anything is changed.
 *
 * A Host header of the request's own is refused beside a secret: behind a shared
 * front it would lead the value to somebody else's service.
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/broker.h"
#include "lib/netpolicy.h"
#include "lib/sign.h"
#include "lib/url.h"

#define VALUE_MAX 16384
#define BASIC_MAX (64 * 1024)
#define PREFIX_LEN (sizeof(TZ_PLACEHOLDER_PREFIX) - 1)
#define AUTHORIZATION "Authorization"

static TzStatus find_in_headers(const TzBrokered *secrets, int n, const TzHttpRequest *req,
                                const TzBrokered *found[TZ_HTTP_HEADERS_MAX], int *nfound, TzErr *err);
static TzStatus find_in_value(const TzBrokered *secrets, int n, const char *value, const TzBrokered **out,
                              TzErr *err);
static bool basic_decode(const char *value, TzBuf *out);
static TzStatus refuse_elsewhere(const TzHttpRequest *req, TzErr *err);
static bool has_placeholder(TzSlice text);
static bool url_has_placeholder(TzSlice url);
static TzStatus check_destination(const TzBrokered *s, const TzUrl *url, bool allow_http, TzErr *err);
static TzStatus check_headers(const TzBrokered *found[TZ_HTTP_HEADERS_MAX], const TzHttpRequest *req,
                              TzErr *err);
static const char *header_of(const TzBrokered *s);
static TzStatus put_header(const TzBrokered *s, TzHttpRequest *req, TzErr *err);
static TzStatus put_basic(const TzBrokered *s, TzBuf *value, TzHttpRequest *req, TzErr *err);
static void header_remove(TzHttpRequest *req, int at);

TzStatus
tz_broker_apply(const TzBrokered *secrets, int nsecrets, TzBrokerScope scope, bool allow_http,
                TzHttpRequest *req, TzErr *err)
{
	const TzBrokered *found[TZ_HTTP_HEADERS_MAX] = {NULL};
	const TzBrokered *once[TZ_HTTP_HEADERS_MAX];
	int nfound = 0;
	int nonce = 0;
	TzUrl url;
	TzStatus status = TZ_OK;

	if (scope == TZ_BROKER_ALL)
		status = refuse_elsewhere(req, err);
	if (status == TZ_OK)
		status = find_in_headers(secrets, nsecrets, req, found, &nfound, err);
	if (status != TZ_OK || nfound == 0)
		return status;
	if (tz_url_split(tz_buf_slice(&req->url), &url, err) != TZ_OK)
		return err != NULL ? (err->status = TZ_REFUSED) : TZ_REFUSED;
	for (int i = 0; i < req->nheaders && status == TZ_OK; i++)
		if (found[i] != NULL)
			status = check_destination(found[i], &url, allow_http, err);
	if (status == TZ_OK)
		status = check_headers(found, req, err);
	if (status != TZ_OK)
		return status;

	for (int i = req->nheaders - 1; i >= 0; i--)
	{
		bool again = false;

		if (found[i] == NULL)
			continue;
		for (int k = 0; k < nonce; k++)
			again |= once[k] == found[i];
		if (!again)
			once[nonce++] = found[i];
		header_remove(req, i);
	}
	for (int k = 0; k < nonce && status == TZ_OK; k++)
		status = put_header(once[k], req, err);
	if (status != TZ_OK)
		return status;
	tz_http_request_pin(req, url.host, url.port, url.tls);
	/* another attempt asks again whether the value may still go there */
	req->once = true;
	return TZ_OK;
}

/* The next placeholder at or after *pos: its name (A to Z, 0 to 9, underscore), and *pos behind it. */
static bool
placeholder_next(TzSlice text, size_t *pos, TzSlice *name)
{
	while (*pos < text.len)
	{
		const char *hit = memmem(text.data + *pos, text.len - *pos, TZ_PLACEHOLDER_PREFIX, PREFIX_LEN);
		size_t start;
		size_t end;

		if (hit == NULL)
			break;
		start = end = (size_t) (hit - text.data) + PREFIX_LEN;
		while (end < text.len && (isupper((unsigned char) text.data[end]) ||
		                          isdigit((unsigned char) text.data[end]) || text.data[end] == '_'))
			end++;
		*pos = end;
		if (end > start)
		{
			*name = tz_slice(text.data + start, end - start);
			return true;
		}
	}
	*pos = text.len;
	return false;
}

bool
tz_header_is_framing(const char *name)
{
	static const char *const names[] = {"host",          "content-length", "transfer-encoding",
	                                    "connection",    "keep-alive",     "te",
	                                    "trailer",       "upgrade",        "expect",
	                                    "http2-settings"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcasecmp(name, names[i]) == 0)
			return true;
	return strncasecmp(name, "proxy-", 6) == 0;
}

/* found[i]: the secret whose placeholder stands in header i. */
static TzStatus
find_in_headers(const TzBrokered *secrets, int n, const TzHttpRequest *req,
                const TzBrokered *found[TZ_HTTP_HEADERS_MAX], int *nfound, TzErr *err)
{
	for (int i = 0; i < req->nheaders; i++)
	{
		TzBuf basic;
		TzStatus status = find_in_value(secrets, n, req->headers[i].value, &found[i], err);

		if (status == TZ_OK && found[i] == NULL)
		{
			tz_buf_init_secret(&basic, BASIC_MAX);
			/* bytes behind a NUL are not looked at, and go out as they are */
			if (strcasecmp(req->headers[i].name, AUTHORIZATION) == 0 &&
			    basic_decode(req->headers[i].value, &basic))
				status = find_in_value(secrets, n, basic.data, &found[i], err);
			tz_buf_wipe(&basic);
		}
		if (status != TZ_OK)
			return status;
		*nfound += found[i] != NULL;
	}
	return TZ_OK;
}

static TzStatus
find_in_value(const TzBrokered *secrets, int n, const char *value, const TzBrokered **out, TzErr *err)
{
	TzSlice text = tz_slice_cstr(value);
	TzSlice name;
	size_t pos = 0;

	while (placeholder_next(text, &pos, &name))
	{
		const TzBrokered *hit = NULL;

		for (int i = 0; i < n && hit == NULL; i++)
			if (tz_slice_eq_cstr(name, secrets[i].env_name))
				hit = &secrets[i];
		if (hit == NULL)
		{
			tz_err_set(err, TZ_REFUSED, "no secret of the name \"%.*s\" is brokered for this agent",
			           (int) (name.len < 128 ? name.len : 128), name.data);
			tz_err_hint(err, "Check its name, its delivery, and the agent's list of secrets.");
			return TZ_REFUSED;
		}
		if (*out != NULL && *out != hit)
		{
			tz_err_set(err, TZ_REFUSED, "one header names two secrets, \"%.64s\" and \"%.64s\"", (*out)->name,
			           hit->name);
			tz_err_hint(err, "Each secret is sent in a header of its own.");
			return TZ_REFUSED;
		}
		*out = hit;
	}
	return TZ_OK;
}

/* What stands behind "Basic ". */
static bool
basic_decode(const char *value, TzBuf *out)
{
	size_t len;

	while (*value == ' ' || *value == '\t')
		value++;
	if (strncasecmp(value, "basic", 5) != 0 || (value[5] != ' ' && value[5] != '\t'))
		return false;
	value += 5;
	while (*value == ' ' || *value == '\t')
		value++;
	len = strlen(value);
	while (len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t'))
		len--;
	return tz_base64_decode(tz_slice(value, len), out, NULL) == TZ_OK && out->len > 0;
}

static TzStatus
refuse_elsewhere(const TzHttpRequest *req, TzErr *err)
{
	const char *where = NULL;

	if (url_has_placeholder(tz_buf_slice(&req->url)))
		where = "URL";
	else if (has_placeholder(tz_buf_slice(&req->body)))
		where = "body";
	for (int i = 0; i < req->nheaders && where == NULL; i++)
		if (has_placeholder(tz_slice_cstr(req->headers[i].name)))
			where = "name of a header";
	if (where == NULL)
		return TZ_OK;
	tz_err_set(err, TZ_REFUSED, "a secret's placeholder stands in the %s of the request", where);
	tz_err_hint(err, "Values of secrets are put into headers only; write the placeholder into one.");
	return TZ_REFUSED;
}

static bool
has_placeholder(TzSlice text)
{
	TzSlice name;
	size_t pos = 0;

	return text.len > 0 && placeholder_next(text, &pos, &name);
}

/* As it stands, and with its percent escapes resolved. */
static bool
url_has_placeholder(TzSlice url)
{
	TzBuf plain;
	bool found = has_placeholder(url);

	if (found || memchr(url.data != NULL ? url.data : "", '%', url.len) == NULL)
		return found;
	tz_buf_init(&plain, TZ_URL_BYTES_MAX);
	for (size_t i = 0; i < url.len; i++)
	{
		char hex[3] = "";

		if (url.data[i] == '%' && i + 2 < url.len && isxdigit((unsigned char) url.data[i + 1]) &&
		    isxdigit((unsigned char) url.data[i + 2]))
		{
			memcpy(hex, url.data + i + 1, 2);
			tz_buf_append_byte(&plain, (char) strtoul(hex, NULL, 16));
			i += 2;
		}
		else
			tz_buf_append_byte(&plain, url.data[i]);
	}
	found = plain.status != TZ_OK || has_placeholder(tz_buf_slice(&plain));
	tz_buf_free(&plain);
	return found;
}

static TzStatus
check_destination(const TzBrokered *s, const TzUrl *url, bool allow_http, TzErr *err)
{
	if (!url->tls && !allow_http)
	{
		tz_err_set(err, TZ_REFUSED, "secret \"%.100s\" is not sent to \"%.100s\" over plain http", s->name,
		           url->host);
		tz_err_hint(err, "Use https.");
		return TZ_REFUSED;
	}
	if (tz_hostlist_match_port(s->hosts, s->nhosts, url->host, url->port, url->tls ? 443 : 80))
		return TZ_OK;
	if (url->port == (url->tls ? 443 : 80))
		tz_err_set(err, TZ_REFUSED, "secret \"%.100s\" must not be sent to \"%.110s\"", s->name, url->host);
	else
		tz_err_set(err, TZ_REFUSED, "secret \"%.100s\" must not be sent to \"%.100s\", port %d", s->name,
		           url->host, url->port);
	tz_err_hint(err, s->nhosts == 0
	                     ? "It names no host. Set it again with hosts, or use another secret."
	                     : "It goes only to the hosts it was set with; a port other than 443 must be named.");
	return TZ_REFUSED;
}

/* What goes out with a value: no framing, and no second header of the same name. */
static TzStatus
check_headers(const TzBrokered *found[TZ_HTTP_HEADERS_MAX], const TzHttpRequest *req, TzErr *err)
{
	for (int i = 0; i < req->nheaders; i++)
	{
		if (found[i] != NULL && tz_header_is_framing(header_of(found[i])))
			return tz_err_set(err, TZ_BAD_INPUT, "secret \"%.100s\" cannot be sent as header \"%.64s\"",
			                  found[i]->name, header_of(found[i]));
		if (found[i] == NULL && tz_header_is_framing(req->headers[i].name))
		{
			tz_err_set(err, TZ_REFUSED, "header \"%.64s\" must not be set beside a secret",
			           req->headers[i].name);
			tz_err_hint(err, "Leave it out: it follows from the URL and the body.");
			return TZ_REFUSED;
		}
		for (int k = 0; k < req->nheaders; k++)
		{
			const char *other = found[k] != NULL ? header_of(found[k]) : req->headers[k].name;

			if (found[i] == NULL || found[k] == found[i] || strcasecmp(header_of(found[i]), other) != 0)
				continue;
			tz_err_set(err, TZ_REFUSED, "header \"%.64s\", which carries secret \"%.100s\", stands twice",
			           other, found[i]->name);
			tz_err_hint(err, "Leave the other one out.");
			return TZ_REFUSED;
		}
	}
	return TZ_OK;
}

static const char *
header_of(const TzBrokered *s)
{
	return s->header != NULL ? s->header : AUTHORIZATION;
}

static TzStatus
put_header(const TzBrokered *s, TzHttpRequest *req, TzErr *err)
{
	TzStatus status = TZ_OK;
	TzBuf value;

	if (s->value.len == 0 || s->value.len > VALUE_MAX || memchr(s->value.data, 0, s->value.len) != NULL)
		return tz_err_set(err, TZ_BAD_INPUT, "secret \"%.100s\" cannot be sent in a header: %s", s->name,
		                  s->value.len > VALUE_MAX ? "it is longer than 16384 bytes"
		                                           : "it is empty or binary");
	tz_buf_init_secret(&value, 2 * VALUE_MAX);
	if (s->username != NULL)
		status = put_basic(s, &value, req, err);
	else
	{
		if (s->header == NULL)
			tz_buf_append_cstr(&value, "Bearer ");
		tz_buf_append(&value, s->value.data, s->value.len);
	}
	if (status == TZ_OK && value.status != TZ_OK)
		status = tz_err_set(err, value.status == TZ_NOMEM ? TZ_NOMEM : TZ_BAD_INPUT,
		                    "secret \"%.100s\" is too long for a header", s->name);
	if (status == TZ_OK)
		status = tz_http_request_header(req, header_of(s), value.data, true, err);
	if (status == TZ_BAD_INPUT)
	{
		tz_err_set(err, status, "secret \"%.100s\" cannot be sent in header \"%.64s\"", s->name,
		           header_of(s));
		tz_err_hint(err, "Its value has a line break or another control character; store it without.");
	}
	if (status == TZ_OK)
		status = tz_http_request_mask(req, s->value, err);
	tz_buf_wipe(&value);
	return status;
}

/* username:value in base64, which is a form of the value and masked as well. */
static TzStatus
put_basic(const TzBrokered *s, TzBuf *value, TzHttpRequest *req, TzErr *err)
{
	TzStatus status;
	TzBuf pair;

	tz_buf_init_secret(&pair, 2 * VALUE_MAX);
	tz_buf_append_cstr(&pair, s->username);
	tz_buf_append_byte(&pair, ':');
	tz_buf_append(&pair, s->value.data, s->value.len);
	tz_buf_append_cstr(value, "Basic ");
	status = pair.status;
	if (status == TZ_OK)
		status = tz_base64_append(value, pair.data, pair.len);
	if (status == TZ_OK)
		status = tz_http_request_mask(req, tz_slice(value->data + 6, value->len - 6), err);
	else
		tz_err_set(err, status == TZ_NOMEM ? status : TZ_BAD_INPUT,
		           "secret \"%.100s\" is too long for a header", s->name);
	tz_buf_wipe(&pair);
	return status == TZ_OK || status == TZ_NOMEM ? status : TZ_BAD_INPUT;
}

static void
header_remove(TzHttpRequest *req, int at)
{
	TzHttpHeader *header = &req->headers[at];

	if (header->secret)
		explicit_bzero(header->value, strlen(header->value));
	free(header->name);
	free(header->value);
	memmove(header, header + 1, (size_t) (req->nheaders - at - 1) * sizeof(*header));
	req->nheaders--;
	memset(&req->headers[req->nheaders], 0, sizeof(*header));
}
