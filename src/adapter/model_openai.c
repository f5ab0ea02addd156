/*-------------------------------------------------------------------------
 *
 * model_openai.c
 *	  The adapters openai and openai-compatible.
 *
 * Both speak Chat Completions, or Responses where the request's member "api" says
 * so. What differs from server to server is data: a preset, and over it what the
 * provider's configuration says.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "adapter/model.h"
#include "lib/json.h"

#define CONFIG_TEXT_MAX 512

static TzStatus openai_build(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err);
static TzStatus compatible_build(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out,
                                 TzErr *err);
static TzStatus build(const TzEffect *effect, const TzEndpoint *to, const TzDialect *preset,
                      TzHttpRequest *out, TzErr *err);
static TzStatus read_dialect(const TzEndpoint *to, const TzModelRequest *r, TzDialect *d, TzErr *err);
static TzStatus read_auth(const TzEndpoint *to, TzDialect *d, TzErr *err);
static void place(const TzEndpoint *to, const TzModelRequest *r, TzDialect *d);
static void azure_path(const TzEndpoint *to, const TzModelRequest *r, TzDialect *d);
static bool has_path(const char *url);
static bool wants_responses(const TzEffect *effect);
static void openai_parse(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
static TzStream *openai_stream(const TzEffect *effect, const TzEndpoint *to, TzDeltaFn on_delta, void *arg);
static TzStatus openai_encode(const char *api, json_t *message, TzBuf *wire, TzErr *err);

#define BEARER .auth_header = "Authorization", .auth_prefix = "Bearer "
#define USUAL .path = "/chat/completions", .supports_stream_usage = true

static const TzDialect openai = {.preset = "openai",
                                 .base = "https://api.openai.com/v1",
                                 .max_tokens_field = "max_completion_tokens",
                                 .user_field = "safety_identifier",
                                 .supports_tool_choice = true,
                                 .obfuscates = true,
                                 .caches = true,
                                 USUAL,
                                 BEARER};

/* The first is what a compatible server is taken for when nothing is said. */
static const TzDialect presets[] = {
	{.preset = "",
     .max_tokens_field = "max_tokens",
     .user_field = "user",
     .supports_tool_choice = true,
     USUAL,
     BEARER},
	{.preset = "azure",
     .max_tokens_field = "max_completion_tokens",
     .user_field = "user",
     .supports_tool_choice = true,
     USUAL,
     .auth_header = "api-key",
     .auth_prefix = ""},
	{.preset = "openrouter",
     .base = "https://openrouter.ai/api/v1",
     .max_tokens_field = "max_tokens",
     .user_field = "user",
     .supports_tool_choice = true,
     USUAL,
     BEARER},
	{.preset = "litellm",
     .max_tokens_field = "max_tokens",
     .user_field = "user",
     .supports_tool_choice = true,
     USUAL,
     BEARER},
	{.preset = "vllm",
     .max_tokens_field = "max_tokens",
     .user_field = "user",
     .supports_tool_choice = true,
     .running_usage = true,
     USUAL,
     BEARER},
	{.preset = "ollama",
     .base = "http://localhost:11434/v1",
     .max_tokens_field = "max_tokens",
     USUAL,
     BEARER},
};

static const char *const op_names[] = {"call", NULL};

#define FACES                                                                              \
	.kind = TZ_MODEL, .ops = op_names, .parse = openai_parse, .stream_new = openai_stream, \
	.stream_feed = tz_model_stream_feed, .stream_end = tz_model_stream_end,                \
	.stream_free = tz_model_stream_free, .stream_whole = tz_model_stream_whole, .encode = openai_encode

extern const TzAdapter tz_model_openai;
extern const TzAdapter tz_model_openai_compatible;
const TzAdapter tz_model_openai = {.name = "openai", .build = openai_build, FACES};
const TzAdapter tz_model_openai_compatible = {.name = "openai-compatible", .build = compatible_build, FACES};

static TzStatus
openai_build(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	return build(effect, to, &openai, out, err);
}

static TzStatus
compatible_build(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	TzSlice name = {"", 0};
	TzStatus status = tz_json_get_str(to->config, "preset", false, 32, &name, err);

	if (status != TZ_OK)
		return status;
	for (size_t i = 0; i < sizeof(presets) / sizeof(presets[0]); i++)
		if (tz_slice_eq_cstr(name, presets[i].preset))
			return build(effect, to, &presets[i], out, err);
	tz_err_set(err, TZ_BAD_INPUT, "preset \"%.*s\" of a provider is not known", (int) name.len, name.data);
	tz_err_hint(err, "Known are azure, openrouter, litellm, vllm and ollama.");
	return TZ_BAD_INPUT;
}

static TzStatus
build(const TzEffect *effect, const TzEndpoint *to, const TzDialect *preset, TzHttpRequest *out, TzErr *err)
{
	TzDialect d = *preset;
	TzModelRequest r;
	TzStatus status = tz_model_request_read(effect, &r, err);

	if (wants_responses(effect))
		d.path = "/responses";
	if (status == TZ_OK)
		status = read_dialect(to, &r, &d, err);
	if (status != TZ_OK)
		return status;
	return wants_responses(effect) ? tz_responses_build(effect, to, &r, &d, out, err)
	                               : tz_chat_build(effect, to, &r, &d, out, err);
}

/* What the provider's configuration says, over the preset. */
static TzStatus
read_dialect(const TzEndpoint *to, const TzModelRequest *r, TzDialect *d, TzErr *err)
{
	TzSlice path = tz_slice_cstr(d->path);
	TzSlice field = tz_slice_cstr(d->max_tokens_field);
	const char *cache = NULL;
	json_t *config = to->config;
	TzStatus status = tz_json_get_str(config, "path", false, CONFIG_TEXT_MAX, &path, err);

	if (status == TZ_OK)
		status = tz_json_get_str(config, "max_tokens_field", false, 64, &field, err);
	if (status == TZ_OK)
		status = tz_json_get_object(config, "query", false, &d->query, err);
	if (status == TZ_OK)
		status = tz_json_get_object(config, "headers", false, &d->headers, err);
	if (status == TZ_OK)
		status = tz_json_get_array(config, "strip_params", false, 64, &d->strip, err);
	if (status == TZ_OK)
		status = tz_json_get_bool(config, "supports_stream_usage", false, &d->supports_stream_usage, err);
	if (status == TZ_OK)
		status = tz_json_get_bool(config, "supports_tool_choice", false, &d->supports_tool_choice, err);
	if (status == TZ_OK)
		status = tz_model_cache(to, d->caches ? "5m" : "off", &cache, err);
	if (status == TZ_OK)
		status = read_auth(to, d, err);
	if (status != TZ_OK)
		return status;
	d->caches = cache != NULL;
	if (path.len == 0 || path.data[0] != '/' || field.len == 0)
		return tz_err_set(err, TZ_BAD_INPUT, "\"path\" or \"max_tokens_field\" of a provider is not valid");
	d->path = path.data;
	d->max_tokens_field = field.data;
	place(to, r, d);
	return TZ_OK;
}

/* "auth": bearer, none, or the name of the header that takes the key. */
static TzStatus
read_auth(const TzEndpoint *to, TzDialect *d, TzErr *err)
{
	TzSlice auth = {NULL, 0};
	TzStatus status = tz_json_get_str(to->config, "auth", false, 128, &auth, err);

	if (status != TZ_OK || auth.len == 0)
		return status;
	if (tz_slice_eq_cstr(auth, "bearer"))
	{
		d->auth_header = "Authorization";
		d->auth_prefix = "Bearer ";
		return TZ_OK;
	}
	d->auth_header = tz_slice_eq_cstr(auth, "none") ? NULL : auth.data;
	d->auth_prefix = "";
	return TZ_OK;
}

/* The base URL, and what some servers want between it and the path. */
static void
place(const TzEndpoint *to, const TzModelRequest *r, TzDialect *d)
{
	TzSlice base = tz_model_string(to->config, "base_url");

	if (to->url != NULL && to->url[0] != '\0')
		d->base = to->url;
	else if (base.len > 0)
		d->base = base.data;
	if (strcmp(d->preset, "azure") == 0)
		azure_path(to, r, d);
	else if (strcmp(d->preset, "openai") == 0 && !has_path(d->base))
	{
		snprintf(d->made_path, sizeof(d->made_path), "/v1%s", d->path);
		d->path = d->made_path;
	}
}

/* With an API version: a deployment in the path. Without: the v1 API. */
static void
azure_path(const TzEndpoint *to, const TzModelRequest *r, TzDialect *d)
{
	TzSlice version = tz_model_string(to->config, "api_version");
	TzSlice deployment = tz_model_string(to->config, "deployment");
	bool whole = d->base == NULL || has_path(d->base); /* the base names the rest itself */
	TzBuf path;

	tz_buf_init(&path, sizeof(d->made_path) - 1);
	if (!whole && version.len == 0)
		tz_buf_append_cstr(&path, "/openai/v1");
	else if (!whole)
	{
		tz_buf_append_cstr(&path, "/openai/deployments/");
		tz_model_percent(&path, deployment.len > 0 ? deployment : tz_slice_cstr(r->model));
	}
	tz_buf_append_cstr(&path, d->path);
	if (version.len > 0)
	{
		tz_buf_append_cstr(&path, "?api-version=");
		tz_model_percent(&path, version);
	}
	if (path.status == TZ_OK)
	{
		memcpy(d->made_path, path.data, path.len + 1);
		d->path = d->made_path;
	}
	tz_buf_free(&path);
}

TzStatus
tz_dialect_open(const TzEffect *effect, const TzEndpoint *to, const TzModelRequest *r, const TzDialect *d,
                TzHttpRequest *out, TzErr *err)
{
	TzModelRoute route = {.base = d->base,
	                      .path = d->path,
	                      .query = d->query,
	                      .headers = d->headers,
	                      .auth_header = d->auth_header,
	                      .auth_prefix = d->auth_prefix};

	return tz_model_open(effect, to, r, &route, out, err);
}

/* Anything behind the host but slashes. */
static bool
has_path(const char *url)
{
	const char *host = strstr(url, "://");
	const char *path = strchr(host != NULL ? host + 3 : url, '/');

	return path != NULL && path[strspn(path, "/")] != '\0' && path[strspn(path, "/")] != '?';
}

static bool
wants_responses(const TzEffect *effect)
{
	return tz_slice_eq_cstr(tz_model_string(effect->request, "api"), "responses");
}

static void
openai_parse(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	const TzModelProtocol *protocol = wants_responses(effect) ? &tz_model_responses : &tz_model_chat;

	tz_model_parse(protocol, effect, in, out);
}

static TzStream *
openai_stream(const TzEffect *effect, const TzEndpoint *to, TzDeltaFn on_delta, void *arg)
{
	const TzModelProtocol *protocol = wants_responses(effect) ? &tz_model_responses : &tz_model_chat;

	return tz_model_stream_new(protocol, effect, to, on_delta, arg);
}

static TzStatus
openai_encode(const char *api, json_t *message, TzBuf *wire, TzErr *err)
{
	return api != NULL && strcmp(api, "responses") == 0 ? tz_responses_encode(message, wire, err)
	                                                    : tz_chat_encode(message, wire, err);
}
