/*-------------------------------------------------------------------------
 *
 * docker.c
 *	  Sandboxes as containers of Docker's API, or of Podman's like it.
 *
 * Every operation is a walk through the steps of one table (docker.h), and the
 * steps of one walk follow each other in one call: what is lost half way is found
 * again. A container is named after the sandbox it is for, so a second create of
 * the same one meets the first; it carries that name in a label, too.
 *
 * Values of secrets go into the environment of one command and nowhere else: not
 * into what a container is made of, which inspecting and committing it would show.
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "adapter/docker.h"
#include "lib/json.h"
#include "lib/utf8.h"

#define BODY_MAX (64 * 1024 * 1024)
#define VERSION_MAX 16
#define VERSION_DEFAULT "1.44" /* the newest that Podman says it has, too */

static TzStatus docker_build(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err);
static TzStatus append_base(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err);
static bool is_older(const TzEffect *effect, const TzDockerStep *step, const TzHttpResponse *in,
                     TzOutcome *out);
static TzStatus take_identity(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err);

static const TzDockerStep steps[] = {
	{"create", "create", "POST", TZ_REPEAT_NEVER, tz_docker_build_create, tz_docker_parse_create},
	{"create", "pull", "POST", TZ_REPEAT_READ, tz_docker_build_pull, tz_docker_parse_pull},
	{"create", "net", "POST", TZ_REPEAT_NEVER, tz_docker_build_net, tz_docker_parse_net},
	{"create", "find", "GET", TZ_REPEAT_READ, tz_docker_build_find, tz_docker_parse_find},
	{"create", "clear", "DELETE", TZ_REPEAT_NEVER, tz_docker_build_clear, tz_docker_parse_clear},
	{"create", "work", "PUT", TZ_REPEAT_NEVER, tz_docker_build_work, tz_docker_parse_work},
	{"create", "start", "POST", TZ_REPEAT_NEVER, tz_docker_build_start, tz_docker_parse_start},
	{"create", "policy", "GET", TZ_REPEAT_NEVER, tz_docker_build_inspected, tz_docker_parse_policy},
	{"create", "undo", "DELETE", TZ_REPEAT_NEVER, tz_docker_build_clear, tz_docker_parse_undo},
	{"create", "unnet", "DELETE", TZ_REPEAT_NEVER, tz_docker_build_unnet, tz_docker_parse_left},
	{"exec", "exec", "POST", TZ_REPEAT_READ, tz_docker_build_exec, tz_docker_parse_exec},
	{"exec", "run", "POST", TZ_REPEAT_NEVER, tz_docker_build_run, tz_docker_parse_run},
	{"exec", "inspect", "GET", TZ_REPEAT_NEVER, tz_docker_build_inspect, tz_docker_parse_inspect},
	{"exec", "why", "GET", TZ_REPEAT_READ, tz_docker_build_inspected, tz_docker_parse_state},
	{"stop", "stop", "POST", TZ_REPEAT_READ, tz_docker_build_stop, tz_docker_parse_stop},
	{"stop", "kill", "POST", TZ_REPEAT_READ, tz_docker_build_run, tz_docker_parse_killed},
	{"list", "exec", "POST", TZ_REPEAT_READ, tz_docker_build_listing, tz_docker_parse_exec},
	{"list", "run", "POST", TZ_REPEAT_READ, tz_docker_build_run, tz_docker_parse_run},
	{"list", "inspect", "GET", TZ_REPEAT_READ, tz_docker_build_inspect, tz_docker_parse_listed},
	{"list", "why", "GET", TZ_REPEAT_READ, tz_docker_build_inspected, tz_docker_parse_state},
	{"read", "get", "GET", TZ_REPEAT_READ, tz_docker_build_get, tz_docker_parse_get},
	{"read", "why", "GET", TZ_REPEAT_READ, tz_docker_build_inspected, tz_docker_parse_state},
	{"write", "put", "PUT", TZ_REPEAT_SAME, tz_docker_build_put, tz_docker_parse_put},
	{"write", "why", "GET", TZ_REPEAT_READ, tz_docker_build_inspected, tz_docker_parse_state},
	{"pause", "pause", "POST", TZ_REPEAT_SAME, tz_docker_build_pause, tz_docker_parse_pause},
	{"pause", "why", "GET", TZ_REPEAT_READ, tz_docker_build_inspected, tz_docker_parse_state},
	{"resume", "resume", "POST", TZ_REPEAT_SAME, tz_docker_build_resume, tz_docker_parse_resume},
	{"resume", "why", "GET", TZ_REPEAT_READ, tz_docker_build_inspected, tz_docker_parse_state},
	{"metrics", "stats", "GET", TZ_REPEAT_READ, tz_docker_build_stats, tz_docker_parse_stats},
	{"metrics", "size", "GET", TZ_REPEAT_READ, tz_docker_build_size, tz_docker_parse_size},
	{"metrics", "again", "GET", TZ_REPEAT_READ, tz_docker_build_stats, tz_docker_parse_stats},
	{"metrics", "why", "GET", TZ_REPEAT_READ, tz_docker_build_inspected, tz_docker_parse_state},
	{"expose_port", "port", "GET", TZ_REPEAT_READ, tz_docker_build_port, tz_docker_parse_port},
	{"sweep", "sweep", "GET", TZ_REPEAT_READ, tz_docker_build_sweep, tz_docker_parse_sweep},
	{"sweep", "prune", "POST", TZ_REPEAT_READ, tz_docker_build_prune, tz_docker_parse_prune},
	{"renew", "lifetime", "GET", TZ_REPEAT_READ, tz_docker_build_inspected, tz_docker_parse_lifetime},
	{"renew", "again", "POST", TZ_REPEAT_SAME, tz_docker_build_again, tz_docker_parse_again},
	{"renew", "why", "GET", TZ_REPEAT_READ, tz_docker_build_inspected, tz_docker_parse_state},
	{"logs", "logs", "GET", TZ_REPEAT_READ, tz_docker_build_logs, tz_docker_parse_logs},
	{"logs", "why", "GET", TZ_REPEAT_READ, tz_docker_build_inspected, tz_docker_parse_state},
	{"snapshot", "look", "GET", TZ_REPEAT_READ, tz_docker_build_look, tz_docker_parse_look},
	{"snapshot", "commit", "POST", TZ_REPEAT_NEVER, tz_docker_build_commit, tz_docker_parse_commit},
	{"snapshot", "why", "GET", TZ_REPEAT_READ, tz_docker_build_inspected, tz_docker_parse_state},
	{"forget", "forget", "DELETE", TZ_REPEAT_REMOVE, tz_docker_build_forget, tz_docker_parse_remove},
	{"destroy", "remove", "DELETE", TZ_REPEAT_REMOVE, tz_docker_build_remove, tz_docker_parse_remove},
	{"destroy", "unnet", "DELETE", TZ_REPEAT_REMOVE, tz_docker_build_unnet, tz_docker_parse_unnet},
};

static const char *const op_names[] = {"create",      "exec",     "stop",   "read",    "write", "list",
                                       "expose_port", "pause",    "resume", "metrics", "logs",  "sweep",
                                       "renew",       "snapshot", "forget", "destroy", NULL};

extern const TzAdapter tz_compute_docker;
const TzAdapter tz_compute_docker = {
	.name = "docker",
	.kind = TZ_COMPUTE,
	.ops = op_names,
	.build = docker_build,
	.parse = tz_docker_parse,
	.stream_new = tz_docker_stream_new,
	.stream_feed = tz_docker_stream_feed,
	.stream_end = tz_docker_stream_end,
	.stream_free = tz_docker_stream_free,
	.stream_wants = tz_docker_stream_wants,
	.stream_whole = tz_docker_stream_whole,
	.stream_always = true,
};

const TzDockerStep *
tz_docker_step(const TzEffect *effect)
{
	const char *at = tz_docker_text(effect, "do");

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		if (strcmp(steps[i].op, effect->op) == 0 && (at[0] == '\0' || strcmp(steps[i].name, at) == 0))
			return &steps[i];
	return NULL;
}

/* out must be fresh from tz_http_request_init or zeroed; the caller frees it in any case. */
static TzStatus
docker_build(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	const TzDockerStep *step = tz_docker_step(effect);
	TzStatus status;

	if (step == NULL)
		return tz_err_set(err, TZ_UNSUPPORTED, "operation \"%.32s\" is not known", effect->op);
	tz_http_request_free(out);
	tz_http_request_init(out, BODY_MAX);
	out->method = step->method;
	out->timeout_ms = 60000;
	out->max_response = to->max_response;
	out->allow_http = to->allow_http;
	out->allow_private = to->allow_private;
	out->once = step->repeat != TZ_REPEAT_READ;

	status = append_base(effect, to, out, err);
	if (status == TZ_OK)
		status = take_identity(effect, to, out, err);
	if (status == TZ_OK)
		status = step->build(effect, to, out, err);
	if (status != TZ_OK)
		return status;
	if (out->url.status != TZ_OK || out->body.status != TZ_OK)
		return tz_err_set(err, out->body.status == TZ_NOMEM ? TZ_NOMEM : TZ_TOO_LARGE,
		                  "request is too large");
	if (strcmp(step->method, "PUT") == 0)
		status = tz_http_request_header(out, "Content-Type", "application/x-tar", false, err);
	else if (out->body.len > 0)
		status = tz_http_request_header(out, "Content-Type", "application/json", false, err);
	return status;
}

void
tz_docker_parse(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	const TzDockerStep *step = tz_docker_step(effect);

	out->verdict = TZ_V_FAILED;
	if (step == NULL)
		tz_err_set(&out->err, TZ_UNSUPPORTED, "operation \"%.32s\" is not known", effect->op);
	else if (in->err.status != TZ_OK)
		tz_answer_transport(effect, step->repeat, in, out);
	else if (!is_older(effect, step, in, out))
		step->parse(effect, in, out);
	tz_docker_after(effect, out);
}

/* An engine whose API is an older one says so, and which: the step again, in that version. */
static bool
is_older(const TzEffect *effect, const TzDockerStep *step, const TzHttpResponse *in, TzOutcome *out)
{
	static const char mark[] = "aximum supported API version is ";
	const char *at;
	size_t n = 0;
	size_t left;
	json_t *state;

	if (in->status != 400 || tz_docker_text(effect, "api")[0] != '\0' || in->body.len == 0)
		return false;
	at = memmem(in->body.data, in->body.len, mark, sizeof(mark) - 1);
	if (at == NULL)
		return false;
	at += sizeof(mark) - 1;
	left = (size_t) (in->body.data + in->body.len - at);
	while (n < left && n < VERSION_MAX && (isdigit((unsigned char) at[n]) || at[n] == '.'))
		n++;
	if (n == 0 || !isdigit((unsigned char) at[0]))
		return false;
	state = effect->state != NULL ? json_deep_copy(effect->state) : json_object();
	if (state != NULL)
		json_object_set_new(state, "api", json_stringn(at, n));
	tz_docker_next(out, step->name, state);
	return true;
}

/* What all steps of a walk hand on. A creation that fails for good takes its network along. */
void
tz_docker_after(const TzEffect *effect, TzOutcome *out)
{
	static const char *const kept[] = {"api", "net", "pulled", "tries"};

	if (out->verdict == TZ_V_FAILED && strcmp(effect->op, "create") == 0)
		tz_docker_leave(effect, out);
	for (size_t i = 0; out->verdict == TZ_V_NEXT && i < sizeof(kept) / sizeof(kept[0]); i++)
		if (json_object_get(effect->state, kept[i]) != NULL && json_object_get(out->state, kept[i]) == NULL)
			json_object_set(out->state, kept[i], json_object_get(effect->state, kept[i]));
}

/* ---------------------------------------------------------------- requests */

static TzStatus
append_base(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	const char *version = tz_docker_text(effect, "api");
	TzStatus status = tz_docker_base(to, out, err);

	if (version[0] == '\0')
		version = tz_docker_config(to, "apiVersion", VERSION_DEFAULT);
	if (status == TZ_OK && strspn(version, "0123456789.") != strlen(version))
		return tz_err_set(err, TZ_BAD_INPUT, "apiVersion of the provider is no version");
	tz_buf_printf(&out->url, "/v%s", version);
	return status;
}

TzStatus
tz_docker_base(const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	size_t len = to->url != NULL ? strlen(to->url) : 0;

	while (len > 0 && to->url[len - 1] == '/')
		len--;
	if (len == 0)
		return tz_err_set(err, TZ_BAD_INPUT, "provider has no endpoint");
	tz_buf_reset(&out->url);
	tz_buf_append(&out->url, to->url, len);
	return TZ_OK;
}

/* Over TLS the credential is a certificate with its key; a socket is guarded by its file's mode. */
static TzStatus
take_identity(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	const char *ca = tz_docker_config(to, "ca", "");
	TzSlice identity = {NULL, 0};

	if (to->socket != NULL)
		return TZ_OK;
	for (int i = 0; i < effect->nsecrets; i++)
		if (strcmp(effect->secrets[i].use, "credential") == 0)
			identity = effect->secrets[i].value;
	if (identity.len > 0 && memmem(identity.data, identity.len, "-----BEGIN ", 11) == NULL)
	{
		tz_err_set(err, TZ_BAD_INPUT, "credential of the provider is no certificate with its key");
		tz_err_hint(err, "Store both in PEM form, one behind the other, to be delivered as they are.");
		return TZ_BAD_INPUT;
	}
	return tz_http_request_identity(out, identity, tz_slice_cstr(ca), err);
}

const char *
tz_docker_text(const TzEffect *effect, const char *key)
{
	const char *text = json_string_value(json_object_get(effect->state, key));

	return text != NULL ? text : "";
}

const char *
tz_docker_config(const TzEndpoint *to, const char *key, const char *fallback)
{
	const char *text = json_string_value(json_object_get(to->config, key));

	return text != NULL && text[0] != '\0' ? text : fallback;
}

int64_t
tz_docker_config_int(const TzEndpoint *to, const char *key, int64_t min, int64_t max, int64_t fallback)
{
	int64_t value = fallback;

	return tz_json_get_int(to->config, key, false, min, max, &value, NULL) == TZ_OK ? value : fallback;
}

const char *
tz_docker_workdir(const TzEndpoint *to)
{
	const char *dir = tz_docker_config(to, "workdir", "/work");
	size_t len = strlen(dir);

	if (dir[0] != '/' || len < 2 || dir[len - 1] == '/' || len > 255 || strstr(dir, "..") != NULL)
		return "/work";
	return dir;
}

TzStatus
tz_docker_path(const TzEffect *effect, const TzEndpoint *to, const char *key, TzBuf *out, TzErr *err)
{
	TzSlice path = {NULL, 0};
	TzStatus status = tz_json_get_str(effect->request, key, true, TZ_DOCKER_PATH_MAX, &path, err);
	size_t start = 0;

	if (status != TZ_OK)
		return status;
	if (path.len == 0 || tz_utf8_has_control(path))
		return tz_err_set(err, TZ_BAD_INPUT, "\"%s\" is empty or has a control character", key);
	for (size_t i = 0; i <= path.len; i++)
	{
		if (i < path.len && path.data[i] != '/')
			continue;
		if (i - start == 2 && memcmp(path.data + start, "..", 2) == 0)
			return tz_err_set(err, TZ_BAD_INPUT, "path must not contain \"..\"");
		start = i + 1;
	}
	while (path.len > 0 && path.data[0] == '/')
	{
		path.data++;
		path.len--;
	}
	tz_buf_append_cstr(out, tz_docker_workdir(to));
	if (path.len > 0)
	{
		tz_buf_append_byte(out, '/');
		tz_buf_append(out, path.data, path.len);
	}
	return out->status == TZ_OK ? TZ_OK : tz_err_set(err, out->status, "path is too long");
}

TzStatus
tz_docker_container(const TzEffect *effect, TzSlice *id, TzErr *err)
{
	*id = tz_slice_cstr(tz_docker_text(effect, "id"));
	if (id->len == 0)
	{
		TzStatus status = tz_json_get_str(effect->request, "sandbox", true, TZ_DOCKER_ID_MAX, id, err);

		if (status != TZ_OK)
			return status;
	}
	for (size_t i = 0; i < id->len; i++)
		if (!isalnum((unsigned char) id->data[i]) && strchr("_-", id->data[i]) == NULL)
			return tz_err_set(err, TZ_BAD_INPUT, "id of the sandbox is not valid");
	return id->len > 0 ? TZ_OK : tz_err_set(err, TZ_BAD_INPUT, "id of the sandbox is empty");
}

TzStatus
tz_docker_url(const TzEffect *effect, const char *rest, TzHttpRequest *out, TzErr *err)
{
	TzSlice id;
	TzStatus status = tz_docker_container(effect, &id, err);

	if (status == TZ_OK)
		tz_buf_printf(&out->url, "/containers/%.*s%s", (int) id.len, id.data, rest);
	return status;
}

void
tz_docker_filter(const char *label, const char *other, TzSlice value, TzBuf *out)
{
	TzBuf filters;

	tz_buf_init(&filters, 1024);
	tz_buf_printf(&filters, "{\"label\":[\"%s\"", label);
	if (other != NULL)
		tz_buf_printf(&filters, ",\"%s=%.*s\"", other, (int) value.len, value.data);
	tz_buf_append_cstr(&filters, "]}");
	tz_docker_encode(tz_buf_slice(&filters), "", out);
	tz_buf_free(&filters);
}

void
tz_docker_encode(TzSlice text, const char *kept, TzBuf *out)
{
	for (size_t i = 0; i < text.len; i++)
	{
		unsigned char c = (unsigned char) text.data[i];

		if (c != 0 && ((isascii(c) && isalnum(c)) || strchr("-._~", c) != NULL || strchr(kept, c) != NULL))
			tz_buf_append_byte(out, (char) c);
		else
			tz_buf_printf(out, "%%%02X", c);
	}
}

void
tz_docker_string(TzSlice text, TzBuf *out)
{
	size_t start = 0;

	tz_buf_append_byte(out, '"');
	for (size_t i = 0; i < text.len; i++)
	{
		unsigned char c = (unsigned char) text.data[i];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		if (i > start)
			tz_buf_append(out, text.data + start, i - start);
		start = i + 1;
		tz_buf_printf(out, "\\u%04x", c);
	}
	if (text.len > start)
		tz_buf_append(out, text.data + start, text.len - start);
	tz_buf_append_byte(out, '"');
}

/* ---------------------------------------------------------------- answers */

void
tz_docker_next(TzOutcome *out, const char *step, json_t *state)
{
	if (state == NULL || json_object_set_new(state, "do", json_string(step)) != 0)
	{
		json_decref(state);
		tz_answer_done(out, NULL);
		return;
	}
	json_decref(out->state);
	out->state = state;
	out->verdict = TZ_V_NEXT;
	out->at_once = true;
}

void
tz_docker_bad(const TzHttpResponse *in, TzOutcome *out, const char *fmt, ...)
{
	char text[TZ_ERR_MESSAGE_MAX];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	tz_err_set(&out->err, TZ_BAD_ANSWER, "engine's answer was not understood: %s", text);
	tz_err_hint(&out->err, "Check that the provider's endpoint is Docker's or Podman's API.");
	tz_answer_fail(in, "provider_error", out);
}

json_t *
tz_docker_json(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	json_t *doc;
	TzBuf scratch;
	TzErr err;

	if (in->status < 200 || in->status > 299)
	{
		tz_docker_refused(effect, in, out);
		return NULL;
	}
	tz_err_clear(&err);
	tz_buf_init(&scratch, SIZE_MAX);
	doc = tz_answer_document(tz_buf_slice(&in->body), &scratch, NULL, &err);
	tz_buf_free(&scratch);
	if (doc == NULL)
		tz_docker_bad(in, out, "%s", err.message);
	return doc;
}

json_t *
tz_docker_found(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	if (in->status != 404)
		return tz_docker_json(effect, in, out);
	tz_docker_gone(in, out);
	return NULL;
}

void
tz_docker_refused(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	const TzDockerStep *step = tz_docker_step(effect);

	tz_answer_status(effect, step->repeat, in, out);
	/* what it says is about the request: no other answer is to be had */
	if (in->status == 500 && step->repeat != TZ_REPEAT_REMOVE)
		out->verdict = TZ_V_FAILED;
}

void
tz_docker_gone(const TzHttpResponse *in, TzOutcome *out)
{
	tz_err_set(&out->err, TZ_GONE, "the sandbox is gone");
	tz_err_hint(&out->err, "Its files are lost. The next exec makes a new sandbox.");
	tz_answer_fail(in, "provider_error", out);
}

/* What the engine said is kept, to be told with what the state turns out to be. */
void
tz_docker_why(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	json_t *state;
	TzOutcome said;

	tz_outcome_init(&said, 0);
	tz_answer_status(effect, TZ_REPEAT_NEVER, in, &said);
	state = json_pack("{s:i, s:s}", "status", in->status, "said", said.err.detail);
	tz_outcome_free(&said);
	tz_docker_next(out, "why", state);
}
