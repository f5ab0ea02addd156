/*-------------------------------------------------------------------------
 *
 * http_msg.c
 *	  Making, filling and freeing requests and responses.
 *
 * Header values marked secret, and the values to be masked, are wiped before
 * they are freed. A line break in a header would let a stored value add headers
 * of its own, so it is refused here, once, for every adapter.
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/http_msg.h"

#define URL_MAX 8192
#define PEM_MAX (256 * 1024)

static bool header_name_ok(const char *name);
static bool header_value_ok(const char *value);
static void headers_free(TzHttpHeader *headers, int *nheaders);
static char *copy_bytes(const char *data, size_t len);

/* Owned by the caller until tz_http_start took it; max_body bounds the body. */
void
tz_http_request_init(TzHttpRequest *req, size_t max_body)
{
	memset(req, 0, sizeof(*req));
	tz_buf_init(&req->url, URL_MAX);
	tz_buf_init(&req->body, max_body);
	tz_buf_init_secret(&req->identity, PEM_MAX);
	tz_buf_init(&req->authority, PEM_MAX);
}

void
tz_http_request_free(TzHttpRequest *req)
{
	headers_free(req->headers, &req->nheaders);
	for (int i = 0; i < req->nmasks; i++)
	{
		explicit_bzero(req->masks[i], strlen(req->masks[i]));
		free(req->masks[i]);
		req->masks[i] = NULL;
	}
	req->nmasks = 0;
	tz_buf_free(&req->url);
	/* the body of a command or of a new sandbox carries environment secrets */
	tz_buf_wipe(&req->body);
	free(req->socket);
	req->socket = NULL;
	tz_buf_wipe(&req->identity);
	tz_buf_free(&req->authority);
}

/* Copies both strings; refuses what could break out of the header line. */
TzStatus
tz_http_request_header(TzHttpRequest *req, const char *name, const char *value, bool secret, TzErr *err)
{
	TzHttpHeader *header;

	if (req->nheaders >= TZ_HTTP_HEADERS_MAX)
		return tz_err_set(err, TZ_TOO_LARGE, "more than %d request headers", TZ_HTTP_HEADERS_MAX);
	if (!header_name_ok(name))
		return tz_err_set(err, TZ_BAD_INPUT, "header name is not valid");
	if (!header_value_ok(value))
		return tz_err_set(err, TZ_BAD_INPUT, "value of header \"%.64s\" has a control character", name);
	header = &req->headers[req->nheaders];
	header->name = copy_bytes(name, strlen(name));
	header->value = copy_bytes(value, strlen(value));
	header->secret = secret;
	if (header->name == NULL || header->value == NULL)
	{
		if (header->value != NULL && secret)
			explicit_bzero(header->value, strlen(header->value));
		free(header->name);
		free(header->value);
		memset(header, 0, sizeof(*header));
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	}
	req->nheaders++;
	return TZ_OK;
}

/* Holds the request to what was checked, in case its URL can be read in two ways. */
void
tz_http_request_pin(TzHttpRequest *req, const char *host, int port, bool tls)
{
	req->pin.set = true;
	req->pin.tls = tls;
	req->pin.port = port;
	snprintf(req->pin.host, sizeof(req->pin.host), "%s", host);
}

TzStatus
tz_http_request_socket(TzHttpRequest *req, const char *path, TzErr *err)
{
	size_t len = strlen(path);

	if (path[0] != '/' || len < 2 || len > TZ_HTTP_SOCKET_MAX)
	{
		tz_err_set(err, TZ_BAD_INPUT, "path of the socket is not usable");
		tz_err_hint(err, "Give an absolute path of at most %d bytes.", TZ_HTTP_SOCKET_MAX);
		return TZ_BAD_INPUT;
	}
	free(req->socket);
	req->socket = copy_bytes(path, len);
	return req->socket != NULL ? TZ_OK : tz_err_set(err, TZ_NOMEM, "out of memory");
}

TzStatus
tz_http_request_identity(TzHttpRequest *req, TzSlice identity, TzSlice authority, TzErr *err)
{
	if (identity.len > 0)
		tz_buf_append(&req->identity, identity.data, identity.len);
	if (authority.len > 0)
		tz_buf_append(&req->authority, authority.data, authority.len);
	if (req->identity.status != TZ_OK || req->authority.status != TZ_OK)
		return tz_err_set(err, TZ_TOO_LARGE, "certificates are too large");
	return TZ_OK;
}

/*
 * Remembers a value that must not be shown in any message made from the answer.
 * Values shorter than four characters are left out: masking them would tear
 * up every message and protect nothing.
 */
TzStatus
tz_http_request_mask(TzHttpRequest *req, TzSlice value, TzErr *err)
{
	char *copy;

	if (value.len < 4 || memchr(value.data, 0, value.len) != NULL)
		return TZ_OK;
	if (req->nmasks >= TZ_HTTP_MASKS_MAX)
		return tz_err_set(err, TZ_TOO_LARGE, "more than %d secrets in one call", TZ_HTTP_MASKS_MAX);
	copy = copy_bytes(value.data, value.len);
	if (copy == NULL)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	req->masks[req->nmasks++] = copy;
	return TZ_OK;
}

void
tz_http_response_init(TzHttpResponse *res, size_t max_body)
{
	memset(res, 0, sizeof(*res));
	tz_buf_init(&res->body, max_body);
}

void
tz_http_response_free(TzHttpResponse *res)
{
	headers_free(res->headers, &res->nheaders);
	tz_buf_free(&res->body);
}

/* Value of the first header of that name (in lower case), or NULL. */
const char *
tz_http_response_header(const TzHttpResponse *res, const char *name)
{
	for (int i = 0; i < res->nheaders; i++)
		if (strcmp(res->headers[i].name, name) == 0)
			return res->headers[i].value;
	return NULL;
}

/*
 * Adds a header of an answer: name lower-cased, surrounding blanks cut. What is
 * not a proper header line is left out; TZ_TOO_LARGE when there are too many.
 */
TzStatus
tz_http_response_add(TzHttpResponse *res, const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len);
	const char *value;
	const char *end = line + len;
	TzHttpHeader *header;

	while (end > line && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' ' || end[-1] == '\t'))
		end--;
	if (colon == NULL || colon == line || colon >= end + 1)
		return TZ_OK;
	value = colon + 1;
	while (value < end && (*value == ' ' || *value == '\t'))
		value++;
	if (value > end)
		value = end;
	if (res->nheaders >= TZ_HTTP_HEADERS_MAX)
		return TZ_TOO_LARGE;
	header = &res->headers[res->nheaders];
	header->name = copy_bytes(line, (size_t) (colon - line));
	header->value = copy_bytes(value, (size_t) (end - value));
	header->secret = false;
	if (header->name == NULL || header->value == NULL)
	{
		free(header->name);
		free(header->value);
		memset(header, 0, sizeof(*header));
		return TZ_NOMEM;
	}
	for (char *p = header->name; *p != '\0'; p++)
		*p = (char) tolower((unsigned char) *p);
	res->nheaders++;
	return TZ_OK;
}

/* Forgets the headers, for the final answer after an interim (1xx) one. */
void
tz_http_response_clear_headers(TzHttpResponse *res)
{
	headers_free(res->headers, &res->nheaders);
}

/* A token of RFC 9110. */
static bool
header_name_ok(const char *name)
{
	size_t len = 0;

	for (const char *p = name; *p != '\0'; p++, len++)
	{
		unsigned char c = (unsigned char) *p;

		if (!(isascii(c) && (isalnum(c) || strchr("!#$%&'*+-.^_`|~", c) != NULL)))
			return false;
	}
	return len > 0 && len <= 128;
}

static bool
header_value_ok(const char *value)
{
	for (const char *p = value; *p != '\0'; p++)
	{
		unsigned char c = (unsigned char) *p;

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static void
headers_free(TzHttpHeader *headers, int *nheaders)
{
	for (int i = 0; i < *nheaders; i++)
	{
		if (headers[i].secret)
			explicit_bzero(headers[i].value, strlen(headers[i].value));
		free(headers[i].name);
		free(headers[i].value);
		memset(&headers[i], 0, sizeof(headers[i]));
	}
	*nheaders = 0;
}

static char *
copy_bytes(const char *data, size_t len)
{
	char *copy = malloc(len + 1);

	if (copy == NULL)
		return NULL;
	if (len > 0)
		memcpy(copy, data, len);
	copy[len] = '\0';
	return copy;
}
