/*-------------------------------------------------------------------------
 *
 * model_request.c
 *	  What requests to models have in common: the document, the URL, the body.
 *
 * The history is spliced into the body as the bytes it is stored as. Providers
 * bind parts of an answer to everything before it, and caches work on equal
 * prefixes, so nothing that was once sent may be spelled differently later.
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "adapter/model.h"
#include "adapter/signed.h"
#include "lib/json.h"
#include "lib/utf8.h"

#define TIMEOUT_MS 120000
#define TIMEOUT_MAX_MS (60 * 60 * 1000)
#define CONNECT_TIMEOUT_MS 10000
#define TOOLS_MAX 512
#define STOPS_MAX 16
#define SYSTEM_MAX (8 * 1024 * 1024)

static TzStatus read_tools(const TzEffect *effect, TzModelRequest *r, TzErr *err);
static TzStatus read_choice(const TzEffect *effect, TzModelRequest *r, TzErr *err);
static TzStatus read_schema(const TzEffect *effect, TzModelRequest *r, TzErr *err);
static TzStatus read_rest(const TzEffect *effect, TzModelRequest *r, TzErr *err);
static TzStatus make_url(const TzModelRoute *route, TzHttpRequest *out, TzErr *err);
static TzStatus append_query(json_t *query, bool any, TzBuf *url, TzErr *err);
static TzStatus extra_headers(json_t *headers, TzHttpRequest *out, TzErr *err);
static bool ends_with(TzSlice text, TzSlice tail);
static void strip_members(json_t *head, json_t *strip);

TzStatus
tz_model_request_read(const TzEffect *effect, TzModelRequest *r, TzErr *err)
{
	TzSlice model = {NULL, 0};
	TzStatus status;

	memset(r, 0, sizeof(*r));
	r->max_tokens = TZ_MODEL_UNKNOWN;
	r->timeout_ms = TIMEOUT_MS;
	status = tz_json_get_str(effect->request, "model", true, TZ_MODEL_NAME_MAX, &model, err);
	if (status != TZ_OK)
		return status;
	if (model.len == 0 || tz_utf8_has_control(model) || memchr(model.data, 0, model.len) != NULL)
		return tz_err_set(err, TZ_BAD_INPUT, "name of the model is not valid");
	memcpy(r->model, model.data, model.len);

	status = tz_json_get_str(effect->request, "system", false, SYSTEM_MAX, &r->system, err);
	if (status == TZ_OK)
		status = tz_json_get_int(effect->request, "max_tokens", false, 0, TZ_MODEL_TOKENS_MAX, &r->max_tokens,
		                         err);
	if (status == TZ_OK)
		status =
			tz_json_get_int(effect->request, "timeout_ms", false, 1, TIMEOUT_MAX_MS, &r->timeout_ms, err);
	if (status == TZ_OK)
		status = tz_json_get_bool(effect->request, "stream", false, &r->stream, err);
	if (status == TZ_OK)
		status = tz_json_get_object(effect->request, "extra", false, &r->extra, err);
	if (status == TZ_OK)
		status = read_tools(effect, r, err);
	if (status == TZ_OK)
		status = read_choice(effect, r, err);
	if (status == TZ_OK)
		status = read_schema(effect, r, err);
	if (status == TZ_OK)
		status = read_rest(effect, r, err);
	return status;
}

static TzStatus
read_tools(const TzEffect *effect, TzModelRequest *r, TzErr *err)
{
	TzStatus status = tz_json_get_array(effect->request, "tools", false, TOOLS_MAX, &r->tools, err);
	json_t *parameters;
	TzSlice text;

	for (size_t i = 0; status == TZ_OK && i < json_array_size(r->tools); i++)
	{
		json_t *tool = json_array_get(r->tools, i);

		if (!json_is_object(tool))
			return tz_err_set(err, TZ_BAD_INPUT, "a tool must be an object");
		status = tz_json_get_str(tool, "name", true, TZ_MODEL_NAME_MAX, &text, err);
		if (status == TZ_OK && text.len == 0)
			return tz_err_set(err, TZ_BAD_INPUT, "a tool has no name");
		if (status == TZ_OK)
			status = tz_json_get_str(tool, "description", false, SYSTEM_MAX, &text, err);
		if (status == TZ_OK)
			status = tz_json_get_object(tool, "parameters", false, &parameters, err);
	}
	if (json_array_size(r->tools) == 0)
		r->tools = NULL; /* some servers refuse an empty list */
	return status;
}

/* "auto", "none", "required" or {"name": …}. */
static TzStatus
read_choice(const TzEffect *effect, TzModelRequest *r, TzErr *err)
{
	static const char *const words[] = {"auto", "none", "required"};
	json_t *choice = json_object_get(effect->request, "tool_choice");
	json_t *name = json_object_get(choice, "name");

	if (choice == NULL || json_is_null(choice) || r->tools == NULL)
		return TZ_OK;
	for (size_t i = 0; json_is_string(choice) && i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(json_string_value(choice), words[i]) == 0)
			r->choice = words[i];
	if (json_is_string(name))
	{
		r->choice = "tool";
		r->choice_name = json_string_value(name);
	}
	if (r->choice == NULL)
		return tz_err_set(err, TZ_BAD_INPUT,
		                  "\"tool_choice\" must be auto, none, required or an object with a name");
	return TZ_OK;
}

static TzStatus
read_schema(const TzEffect *effect, TzModelRequest *r, TzErr *err)
{
	json_t *wanted = NULL;
	json_t *name;
	TzStatus status = tz_json_get_object(effect->request, "response_schema", false, &wanted, err);

	if (status == TZ_OK && wanted != NULL)
		status = tz_json_get_object(wanted, "schema", true, &r->schema, err);
	if (status != TZ_OK || wanted == NULL)
		return status;
	name = json_object_get(wanted, "name");
	r->schema_name = json_is_string(name) ? json_string_value(name) : "answer";
	r->strict = json_object_get(wanted, "strict");
	return TZ_OK;
}

static TzStatus
read_rest(const TzEffect *effect, TzModelRequest *r, TzErr *err)
{
	TzSlice user = {NULL, 0};
	TzSlice key = {NULL, 0};
	double number;
	TzStatus status = tz_json_get_array(effect->request, "stop", false, STOPS_MAX, &r->stop, err);

	for (size_t i = 0; status == TZ_OK && i < json_array_size(r->stop); i++)
		if (!json_is_string(json_array_get(r->stop, i)))
			return tz_err_set(err, TZ_BAD_INPUT, "\"stop\" must hold strings");
	if (json_array_size(r->stop) == 0)
		r->stop = NULL;
	if (status == TZ_OK)
		status = tz_json_get_real(effect->request, "temperature", false, &number, err);
	if (status == TZ_OK)
		status = tz_json_get_real(effect->request, "top_p", false, &number, err);
	if (status == TZ_OK)
		status = tz_json_get_str(effect->request, "metadata_user", false, 512, &user, err);
	if (status == TZ_OK)
		status = tz_json_get_str(effect->request, "cache_key", false, 64, &key, err);
	if (status != TZ_OK)
		return status;
	r->cache_key = key.len > 0 ? json_object_get(effect->request, "cache_key") : NULL;
	r->temperature = json_object_get(effect->request, "temperature");
	r->top_p = json_object_get(effect->request, "top_p");
	r->user = user.len > 0 ? json_object_get(effect->request, "metadata_user") : NULL;
	if (json_is_null(r->temperature))
		r->temperature = NULL;
	if (json_is_null(r->top_p))
		r->top_p = NULL;
	return TZ_OK;
}

TzStatus
tz_model_open(const TzEffect *effect, const TzEndpoint *to, const TzModelRequest *r,
              const TzModelRoute *route, TzHttpRequest *out, TzErr *err)
{
	TzSlice credential = tz_effect_secret(effect, "credential");
	TzStatus status;

	tz_http_request_free(out);
	tz_http_request_init(out, TZ_MODEL_BODY_MAX);
	out->method = "POST";
	out->timeout_ms = (int) r->timeout_ms;
	out->connect_timeout_ms = CONNECT_TIMEOUT_MS;
	out->max_response = to->max_response;
	out->allow_http = to->allow_http;
	out->allow_private = to->allow_private;

	status = make_url(route, out, err);
	for (int i = 0; status == TZ_OK && i < effect->nsecrets; i++)
		status = tz_http_request_mask(out, effect->secrets[i].value, err);
	/* a server of one's own may want none */
	if (status == TZ_OK && credential.len > 0 && route->auth_header != NULL)
		status = tz_credential_header(out, route->auth_header, route->auth_prefix, credential, err);
	if (status == TZ_OK)
		status = tz_http_request_header(out, "Content-Type", "application/json", false, err);
	if (status == TZ_OK)
		status = tz_http_request_header(out, "Accept", r->stream ? "text/event-stream" : "application/json",
		                                false, err);
	if (status == TZ_OK)
		status = extra_headers(route->headers, out, err);
	return status;
}

/* Nothing that would end a URL, or that readers of URLs take differently. */
static bool
is_plain(TzSlice text)
{
	for (size_t i = 0; i < text.len; i++)
	{
		unsigned char c = (unsigned char) text.data[i];

		if (c <= 0x20 || c == 0x7f || c == '#' || c == '\\')
			return false;
	}
	return true;
}

/* The base may bring a query of its own, and may be given with its path already. */
static TzStatus
make_url(const TzModelRoute *route, TzHttpRequest *out, TzErr *err)
{
	TzSlice base = tz_slice_cstr(route->base);
	const char *mark = base.len > 0 ? memchr(base.data, '?', base.len) : NULL;
	TzSlice query = {NULL, 0};
	TzSlice path = {route->path, strcspn(route->path, "?")};
	bool any = route->path[path.len] != '\0';
	TzStatus status = TZ_OK;

	if (!is_plain(base))
	{
		tz_err_set(err, TZ_BAD_INPUT, "provider's endpoint is no base URL");
		tz_err_hint(err, "Give a URL without fragment, backslashes and blanks.");
		return TZ_BAD_INPUT;
	}
	if (!is_plain(tz_slice_cstr(route->path)))
	{
		tz_err_set(err, TZ_BAD_INPUT, "\"path\" of a provider is no path of a URL");
		tz_err_hint(err, "Give one without fragment, backslashes and blanks.");
		return TZ_BAD_INPUT;
	}
	if (mark != NULL)
	{
		query = tz_slice(mark + 1, base.len - (size_t) (mark + 1 - base.data));
		base.len = (size_t) (mark - base.data);
	}
	while (base.len > 0 && base.data[base.len - 1] == '/')
		base.len--;
	if (base.len == 0)
		return tz_err_set(err, TZ_BAD_INPUT, "provider has no endpoint");
	tz_buf_append(&out->url, base.data, base.len);
	if (!ends_with(base, path))
		tz_buf_append(&out->url, path.data, path.len);
	tz_buf_append_cstr(&out->url, path.data + path.len); /* a query that belongs to the path */
	if (query.len > 0)
	{
		tz_buf_append_byte(&out->url, any ? '&' : '?');
		tz_buf_append(&out->url, query.data, query.len);
	}
	status = append_query(route->query, any || query.len > 0, &out->url, err);
	if (status == TZ_OK && out->url.status != TZ_OK)
		status = tz_err_set(err, out->url.status, "provider's URL is too long");
	return status;
}

static TzStatus
append_query(json_t *query, bool any, TzBuf *url, TzErr *err)
{
	const char *key;
	json_t *value;

	json_object_foreach (query, key, value)
	{
		if (!json_is_string(value))
			return tz_err_set(err, TZ_BAD_INPUT, "\"query\" of a provider must hold strings");
		tz_buf_append_byte(url, any ? '&' : '?');
		tz_model_percent(url, tz_slice_cstr(key));
		tz_buf_append_byte(url, '=');
		tz_model_percent(url, tz_slice_cstr(json_string_value(value)));
		any = true;
	}
	return TZ_OK;
}

/* Percent-encoded but for what means itself everywhere. */
void
tz_model_percent(TzBuf *url, TzSlice text)
{
	for (size_t i = 0; i < text.len; i++)
	{
		unsigned char c = (unsigned char) text.data[i];

		if (c != 0 && isascii(c) && (isalnum(c) || strchr("-._~", c) != NULL))
			tz_buf_append_byte(url, (char) c);
		else
			tz_buf_printf(url, "%%%02X", (unsigned) c);
	}
}

static TzStatus
extra_headers(json_t *headers, TzHttpRequest *out, TzErr *err)
{
	static const char *const ours[] = {"host",       "content-length", "content-type",
	                                   "connection", "accept",         "transfer-encoding"};
	const char *key;
	json_t *value;
	TzStatus status = TZ_OK;

	json_object_foreach (headers, key, value)
	{
		if (!json_is_string(value))
			return tz_err_set(err, TZ_BAD_INPUT, "\"headers\" of a provider must hold strings");
		for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
			if (strcasecmp(key, ours[i]) == 0)
				return tz_err_set(err, TZ_BAD_INPUT, "header \"%s\" of a provider cannot be set", ours[i]);
		for (int i = 0; i < out->nheaders; i++)
			if (strcasecmp(key, out->headers[i].name) == 0)
				return tz_err_set(err, TZ_BAD_INPUT, "header \"%s\" of a provider is set twice",
				                  out->headers[i].name);
		status = tz_http_request_header(out, key, json_string_value(value), false, err);
		if (status != TZ_OK)
			return status;
	}
	return status;
}

static bool
ends_with(TzSlice text, TzSlice tail)
{
	return text.len >= tail.len && memcmp(text.data + text.len - tail.len, tail.data, tail.len) == 0;
}

TzStatus
tz_model_body(const TzEffect *effect, const TzModelRequest *r, json_t *head, json_t *strip, const char *list,
              TzSlice first, TzHttpRequest *out, TzErr *err)
{
	static const char *const kept[] = {"model", "messages", "input", "stream"};
	TzSlice content = effect->content;
	json_t *extra = r->extra != NULL ? json_copy(r->extra) : NULL;
	TzStatus status = TZ_OK;
	bool ok = head != NULL && (extra != NULL || r->extra == NULL);

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		json_object_del(extra, kept[i]);
	if (ok && extra != NULL)
		ok = json_object_update_recursive(head, extra) == 0;
	if (ok)
		strip_members(head, strip);
	json_decref(extra);
	if (!ok)
		status = tz_err_set(err, TZ_NOMEM, "out of memory");
	else if (content.len < 2 || content.data[0] != '{' || content.data[content.len - 1] != '}')
		status = tz_err_set(err, TZ_BAD_INPUT, "request has no messages");
	else
		status = tz_json_dump(head, &out->body, err);
	json_decref(head);
	if (status != TZ_OK)
		return status;

	out->body.len--; /* the closing brace; head has a member at least, the model */
	tz_buf_printf(&out->body, ",\"%s\":[", list);
	tz_buf_append(&out->body, first.data, first.len);
	if (first.len > 0)
		tz_buf_append_byte(&out->body, ',');
	tz_buf_append(&out->body, content.data, content.len);
	tz_buf_append_cstr(&out->body, "]}");
	if (out->body.status != TZ_OK)
		return tz_err_set(err, out->body.status, "request is larger than %d bytes", TZ_MODEL_BODY_MAX);
	return TZ_OK;
}

static void
strip_members(json_t *head, json_t *strip)
{
	size_t i;
	json_t *name;

	json_array_foreach (strip, i, name)
	{
		if (json_is_string(name) && strcmp(json_string_value(name), "model") != 0)
			json_object_del(head, json_string_value(name));
	}
}

TzStatus
tz_model_cache(const TzEndpoint *to, const char *by_default, const char **ttl, TzErr *err)
{
	static const char *const known[] = {"off", "5m", "1h"};
	TzSlice wanted = tz_slice_cstr(by_default);
	TzStatus status = tz_json_get_str(to->config, "cache", false, 8, &wanted, err);

	for (size_t i = 0; status == TZ_OK && i < sizeof(known) / sizeof(known[0]); i++)
		if (tz_slice_eq_cstr(wanted, known[i]))
		{
			*ttl = i > 0 ? known[i] : NULL;
			return TZ_OK;
		}
	return status != TZ_OK ? status
	                       : tz_err_set(err, TZ_BAD_INPUT, "\"cache\" of a provider must be off, 5m or 1h");
}

json_t *
tz_model_parameters(json_t *tool)
{
	json_t *parameters = json_object_get(tool, "parameters");

	if (json_is_object(parameters) && json_object_size(parameters) > 0)
		return json_incref(parameters);
	return json_pack("{s:s, s:{}}", "type", "object", "properties");
}
