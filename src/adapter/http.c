/*-------------------------------------------------------------------------
 *
 * http.c
 *	  A plain HTTP request on behalf of an agent, and whatever comes back.
 *
 * Request: {"url", "method", "headers": {name: text}, "body", "max_body",
 * "allow": [host rules]}. Every answer is a result, a 404 as well: what it means
 * is for whoever asked. Result: {"status", "headers": {lower-case name: text},
 * "body", "truncated"}.
 *
 * Both URL and headers may come from a program that nobody trusts. What decides
 * where a message goes and where it ends is therefore never taken from headers,
 * and the host is pinned to what was checked here against the agent's list.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>
#include <strings.h>

#include "adapter/answer.h"
#include "lib/broker.h"
#include "lib/json.h"
#include "lib/netpolicy.h"
#include "lib/url.h"
#include "lib/utf8.h"

#define BODY_MAX (1024 * 1024)
#define ANSWER_DEFAULT (100 * 1024)
#define ANSWER_MAX (1024 * 1024)
/* Read behind the cut, so that a secret which begins before it is masked as a whole. */
#define ANSWER_MARGIN (64 * 1024)
#define HEADER_VALUE_MAX 16384
/* Of an agent's list, each domain by itself and with what is below it. */
#define RULES_MAX 200
#define HEADERS_MAX (256 * 1024)

typedef struct Method
{
	const char *name;
	TzRepeat repeat;
	bool body;
} Method;

static const Method methods[] = {
	{"GET", TZ_REPEAT_READ, false},     {"HEAD", TZ_REPEAT_READ, false},  {"POST", TZ_REPEAT_NEVER, true},
	{"PUT", TZ_REPEAT_NEVER, true},     {"PATCH", TZ_REPEAT_NEVER, true}, {"DELETE", TZ_REPEAT_NEVER, true},
	{"OPTIONS", TZ_REPEAT_NEVER, true},
};

static TzStatus http_build(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err);
static void http_parse(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
static TzStatus take_url(const TzEffect *effect, TzHttpRequest *out, TzErr *err);
static TzStatus check_allowed(const json_t *rules, const TzUrl *url, TzErr *err);
static TzStatus take_headers(const TzEffect *effect, TzHttpRequest *out, TzErr *err);
static TzStatus take_header(const char *name, const json_t *value, TzHttpRequest *out, TzErr *err);
static TzStatus take_body(const TzEffect *effect, const Method *method, TzHttpRequest *out, TzErr *err);
static const Method *method_of(const TzEffect *effect);
static size_t answer_limit(const TzEffect *effect);
static json_t *answer_headers(const TzHttpResponse *in, const TzMask *mask);
static TzStatus answer_body(const TzHttpResponse *in, const TzMask *mask, size_t limit, json_t *result);
static TzStatus append_masked(const TzMask *mask, TzSlice text, bool cut, TzBuf *out);

static const char *const op_names[] = {"request", "get", "fetch", NULL};

extern const TzAdapter tz_http_plain;
const TzAdapter tz_http_plain = {
	.name = "http",
	.kind = TZ_HTTP,
	.ops = op_names,
	.build = http_build,
	.parse = http_parse,
};

static TzStatus
http_build(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	const Method *method = method_of(effect);
	TzStatus status;

	if (method == NULL)
		return tz_err_set(err, TZ_BAD_INPUT, "method of the request is not known");
	tz_http_request_free(out);
	tz_http_request_init(out, BODY_MAX);
	out->method = method->name;
	out->timeout_ms = 30000;
	out->max_response = answer_limit(effect) + ANSWER_MARGIN;
	out->cut_response = true;
	out->allow_http = to->allow_http;
	out->allow_private = to->allow_private;

	status = take_url(effect, out, err);
	if (status == TZ_OK)
		status = take_headers(effect, out, err);
	if (status == TZ_OK)
		status = take_body(effect, method, out, err);
	return status;
}

static void
http_parse(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	const Method *method = method_of(effect);
	TzMask *mask = NULL;
	json_t *result;
	TzStatus status;

	if (in->err.status != TZ_OK)
	{
		tz_answer_transport(effect, method != NULL ? method->repeat : TZ_REPEAT_NEVER, in, out);
		return;
	}
	/* here and not later, because a value must be whole to be found: then the body is cut */
	status = tz_answer_mask(in, &mask);
	result = status == TZ_OK ? json_object() : NULL;
	if (result != NULL && (json_object_set_new(result, "status", json_integer(in->status)) != 0 ||
	                       json_object_set_new(result, "headers", answer_headers(in, mask)) != 0 ||
	                       answer_body(in, mask, answer_limit(effect), result) != TZ_OK))
	{
		json_decref(result);
		result = NULL;
	}
	tz_mask_free(mask);
	tz_answer_done(out, result);
}

/* Without its fragment, which is never sent. */
static TzStatus
take_url(const TzEffect *effect, TzHttpRequest *out, TzErr *err)
{
	TzSlice text = {NULL, 0};
	TzStatus status = tz_json_get_str(effect->request, "url", true, TZ_URL_BYTES_MAX, &text, err);
	TzUrl url;

	if (status == TZ_OK)
		status = tz_url_split(text, &url, err);
	if (status == TZ_OK)
		status = check_allowed(json_object_get(effect->request, "allow"), &url, err);
	if (status != TZ_OK)
		return status;
	tz_http_request_pin(out, url.host, url.port, url.tls);
	if (tz_buf_append(&out->url, text.data, url.fragment) != TZ_OK)
		return tz_err_set(err, out->url.status, "URL is too long");
	return TZ_OK;
}

/* An agent with a list of hosts reaches no other, from its sandbox or from here. */
static TzStatus
check_allowed(const json_t *rules, const TzUrl *url, TzErr *err)
{
	const char *list[RULES_MAX];
	size_t n = json_array_size(rules);

	if (rules == NULL || json_is_null(rules))
		return TZ_OK;
	if (!json_is_array(rules) || n > RULES_MAX)
		return tz_err_set(err, TZ_BAD_INPUT, "list of allowed hosts is not valid");
	for (size_t i = 0; i < n; i++)
	{
		list[i] = json_string_value(json_array_get(rules, i));
		if (list[i] == NULL)
			return tz_err_set(err, TZ_BAD_INPUT, "list of allowed hosts is not valid");
	}
	if (tz_hostlist_match_port(list, (int) n, url->host, url->port, url->tls ? 443 : 80))
		return TZ_OK;
	tz_err_set(err, TZ_REFUSED, "host \"%.200s\" is not among those the agent may reach", url->host);
	tz_err_hint(err, "The agent's option network.allow lists them; a port other than 443 must be named.");
	return TZ_REFUSED;
}

static TzStatus
take_headers(const TzEffect *effect, TzHttpRequest *out, TzErr *err)
{
	json_t *headers = NULL;
	json_t *value;
	const char *name;
	TzStatus status = tz_json_get_object(effect->request, "headers", false, &headers, err);

	if (status != TZ_OK)
		return status;
	json_object_foreach (headers, name, value)
	{
		status = take_header(name, value, out, err);
		if (status != TZ_OK)
			return status;
	}
	return TZ_OK;
}

static TzStatus
take_header(const char *name, const json_t *value, TzHttpRequest *out, TzErr *err)
{
	/* an answer in another encoding could neither be shown nor searched for secrets */
	if (tz_header_is_framing(name) || strcasecmp(name, "accept-encoding") == 0)
	{
		tz_err_set(err, TZ_BAD_INPUT, "header \"%.64s\" must not be set", name);
		tz_err_hint(err, "Leave it out: it follows from the URL and the body.");
		return TZ_BAD_INPUT;
	}
	for (int i = 0; i < out->nheaders; i++)
		if (strcasecmp(out->headers[i].name, name) == 0)
			return tz_err_set(err, TZ_BAD_INPUT, "header \"%.64s\" stands twice", name);
	if (!json_is_string(value) || json_string_length(value) > HEADER_VALUE_MAX ||
	    strlen(json_string_value(value)) != json_string_length(value))
		return tz_err_set(err, TZ_BAD_INPUT, "value of header \"%.64s\" is no text of at most %d bytes", name,
		                  HEADER_VALUE_MAX);
	return tz_http_request_header(out, name, json_string_value(value), false, err);
}

static TzStatus
take_body(const TzEffect *effect, const Method *method, TzHttpRequest *out, TzErr *err)
{
	TzSlice body = {NULL, 0};
	TzStatus status = TZ_OK;

	if (json_is_string(json_object_get(effect->request, "body")))
		status = tz_json_get_str(effect->request, "body", false, BODY_MAX, &body, err);
	if (status != TZ_OK || body.len == 0)
		return status;
	if (!method->body)
		return tz_err_set(err, TZ_BAD_INPUT, "a %s request has no body", method->name);
	if (tz_buf_append(&out->body, body.data, body.len) != TZ_OK)
		return tz_err_set(err, out->body.status, "body is too large");
	for (int i = 0; i < out->nheaders; i++)
		if (strcasecmp(out->headers[i].name, "content-type") == 0)
			return TZ_OK;
	return tz_http_request_header(out, "Content-Type", "text/plain; charset=utf-8", false, err);
}

/* GET when none is named, NULL when it is none of ours. */
static const Method *
method_of(const TzEffect *effect)
{
	const json_t *given = json_object_get(effect->request, "method");
	const char *name = given == NULL || json_is_null(given) ? "GET" : json_string_value(given);

	for (size_t i = 0; name != NULL && i < sizeof(methods) / sizeof(methods[0]); i++)
		if (strcmp(methods[i].name, name) == 0)
			return &methods[i];
	return NULL;
}

static size_t
answer_limit(const TzEffect *effect)
{
	json_int_t given = json_integer_value(json_object_get(effect->request, "max_body"));

	if (given <= 0)
		return ANSWER_DEFAULT;
	return given < ANSWER_MAX ? (size_t) given : ANSWER_MAX;
}

/* What came several times stands once, joined by commas as RFC 9110 has it. */
static json_t *
answer_headers(const TzHttpResponse *in, const TzMask *mask)
{
	json_t *headers = json_object();
	TzBuf joined;
	TzStatus status = TZ_OK;

	tz_buf_init(&joined, HEADERS_MAX);
	for (int i = 0; headers != NULL && status == TZ_OK && i < in->nheaders; i++)
	{
		const TzHttpHeader *header = &in->headers[i];
		const json_t *old;

		if (!tz_utf8_valid(tz_slice_cstr(header->name)))
			continue;
		old = json_object_get(headers, header->name);
		tz_buf_reset(&joined);
		if (old != NULL)
		{
			tz_buf_append(&joined, json_string_value(old), json_string_length(old));
			tz_buf_append_cstr(&joined, ", ");
		}
		status = append_masked(mask, tz_slice_cstr(header->value), false, &joined);
		if (status == TZ_OK)
			status = tz_json_set_text(headers, header->name, tz_buf_slice(&joined), NULL);
	}
	tz_buf_free(&joined);
	if (status == TZ_OK)
		return headers;
	json_decref(headers);
	return NULL;
}

static TzStatus
answer_body(const TzHttpResponse *in, const TzMask *mask, size_t limit, json_t *result)
{
	TzBuf masked;
	TzBuf text;
	TzStatus status;
	size_t cut;

	tz_buf_init(&masked, 2 * (limit + ANSWER_MARGIN));
	tz_buf_init(&text, 6 * (limit + ANSWER_MARGIN) + 3);
	status = append_masked(mask, tz_buf_slice(&in->body), in->cut, &masked);
	if (status == TZ_OK)
		status = tz_utf8_sanitize(tz_buf_slice(&masked), &text);
	cut = tz_utf8_cut(tz_buf_slice(&text), limit);
	if (status == TZ_OK)
		status = tz_json_set_text(result, "body", tz_slice(text.data != NULL ? text.data : "", cut), NULL);
	if (status == TZ_OK &&
	    json_object_set_new(result, "truncated", json_boolean(in->cut || cut < text.len)) != 0)
		status = TZ_NOMEM;
	tz_buf_wipe(&masked);
	tz_buf_wipe(&text);
	return status;
}

static TzStatus
append_masked(const TzMask *mask, TzSlice text, bool cut, TzBuf *out)
{
	bool found = false;
	TzStatus status = tz_mask_apply(mask, text, cut, out, &found);

	if (status == TZ_OK && !found)
		status = tz_buf_append(out, text.data != NULL ? text.data : "", text.len);
	return status;
}
