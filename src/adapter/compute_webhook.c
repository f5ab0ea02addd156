/*-------------------------------------------------------------------------
 *
 * compute_webhook.c
 *	  The customer's own compute behind a few HTTP endpoints: requests.
 *
 * Bodies are written by hand here and not by the JSON library, because documented
 * receivers parse the body, serialise it again and compare the signature: any
 * spelling other than a JavaScript serialiser's would be refused by them. Path
 * segments are percent-encoded one by one, and "." and ".." are refused, since a
 * proxy on the way may resolve them.
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "adapter/shell.h"
#include "adapter/signed.h"
#include "adapter/webhook.h"
#include "lib/json.h"
#include "lib/sign.h"
#include "lib/utf8.h"

#define BODY_MAX (64 * 1024 * 1024)
#define COMMAND_MAX (48 * 1024 * 1024)
#define EXEC_MARGIN_MS 5000 /* for the answer, after the command's own limit */
#define ANSWER_SLACK 65536 /* of a document around its payload */
#define TAG_MAX 128 /* bytes of our id of a sandbox */
#define WISH_MAX 512 /* bytes of a region's or a gpu's name */

static TzStatus webhook_build(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err);
static TzStatus build_create(const TzEffect *effect, TzHttpRequest *out, TzErr *err);
static TzStatus add_tag(const TzEffect *effect, TzHttpRequest *out, TzErr *err);
static TzStatus build_exec(const TzEffect *effect, TzHttpRequest *out, TzErr *err);
static TzStatus build_file(const TzEffect *effect, TzHttpRequest *out, TzErr *err);
static TzStatus build_write(const TzEffect *effect, TzHttpRequest *out, TzErr *err);
static TzStatus build_list(const TzEffect *effect, TzHttpRequest *out, TzErr *err);
static TzStatus build_port(const TzEffect *effect, TzHttpRequest *out, TzErr *err);
static TzStatus build_pause(const TzEffect *effect, TzHttpRequest *out, TzErr *err);
static TzStatus build_resume(const TzEffect *effect, TzHttpRequest *out, TzErr *err);
static TzStatus build_metrics(const TzEffect *effect, TzHttpRequest *out, TzErr *err);
static TzStatus build_destroy(const TzEffect *effect, TzHttpRequest *out, TzErr *err);
static TzStatus append_base(const TzEndpoint *to, TzHttpRequest *out, TzErr *err);
static TzStatus append_sandbox(const TzEffect *effect, TzHttpRequest *out, TzErr *err);
static TzStatus append_path(TzSlice path, TzBuf *out, TzErr *err);
static TzStatus take_path(const TzEffect *effect, const char *key, TzSlice *path, TzErr *err);
static void append_encoded(TzSlice text, const char *kept, TzBuf *out);
static TzStatus append_env(const TzEffect *effect, TzBuf *out, TzErr *err);
static TzStatus append_wishes(const TzEffect *effect, TzBuf *out, TzErr *err);
static TzStatus append_string(TzSlice text, TzBuf *out);
static bool append_member(const char *name, TzSlice value, bool first, TzBuf *out);
static bool segment_is_dots(const char *segment, size_t len);

static const TzWebhookOp ops[] = {
	{"create", "POST", TZ_REPEAT_NEVER, false, false, 60000, build_create, tz_webhook_created},
	{"exec", "POST", TZ_REPEAT_NEVER, false, false, 0, build_exec, tz_webhook_executed},
	{"read", "GET", TZ_REPEAT_READ, false, true, 30000, build_file, tz_webhook_file},
	{"write", "PUT", TZ_REPEAT_SAME, true, true, 30000, build_write, tz_webhook_ok},
	{"list", "GET", TZ_REPEAT_READ, true, true, 30000, build_list, tz_webhook_entries},
	{"expose_port", "POST", TZ_REPEAT_NEVER, true, false, 30000, build_port, tz_webhook_url},
	{"pause", "POST", TZ_REPEAT_NEVER, true, false, 30000, build_pause, tz_webhook_paused},
	{"resume", "POST", TZ_REPEAT_NEVER, true, false, 30000, build_resume, tz_webhook_resumed},
	{"metrics", "GET", TZ_REPEAT_READ, true, false, 30000, build_metrics, tz_webhook_metrics},
	{"destroy", "DELETE", TZ_REPEAT_REMOVE, false, false, 30000, build_destroy, tz_webhook_ok},
};

static const char *const op_names[] = {"create", "exec",   "read",    "write",   "list", "expose_port",
                                       "pause",  "resume", "metrics", "destroy", NULL};

extern const TzAdapter tz_compute_webhook;
const TzAdapter tz_compute_webhook = {
	.name = "webhook",
	.kind = TZ_COMPUTE,
	.ops = op_names,
	.build = webhook_build,
	.parse = tz_webhook_parse,
};

const TzWebhookOp *
tz_webhook_op(const char *name)
{
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		if (strcmp(ops[i].name, name) == 0)
			return &ops[i];
	return NULL;
}

/* out must be fresh from tz_http_request_init or zeroed; the caller frees it in any case. */
static TzStatus
webhook_build(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	const TzWebhookOp *op = tz_webhook_op(effect->op);
	TzStatus status;

	if (op == NULL)
		return tz_err_set(err, TZ_UNSUPPORTED, "operation \"%.32s\" is not known", effect->op);
	tz_http_request_free(out);
	tz_http_request_init(out, BODY_MAX);
	out->method = op->method;
	out->timeout_ms = op->timeout_ms;
	out->max_response = to->max_response;
	out->allow_http = to->allow_http;
	out->allow_private = to->allow_private;

	status = append_base(to, out, err);
	if (status == TZ_OK)
		status = op->build(effect, out, err);
	if (status != TZ_OK)
		return status;
	if (out->url.status != TZ_OK || out->body.status != TZ_OK)
		return tz_err_set(err, out->body.status == TZ_NOMEM ? TZ_NOMEM : TZ_TOO_LARGE,
		                  "request is too large");
	status = tz_signed_headers(effect, out, err);
	if (status == TZ_OK)
		status = tz_http_request_header(out, "Accept", "application/json", false, err);
	if (status == TZ_OK && out->body.len > 0)
		status = tz_http_request_header(out, "Content-Type", "application/json", false, err);
	return status;
}

static TzStatus
build_create(const TzEffect *effect, TzHttpRequest *out, TzErr *err)
{
	TzSlice runtime = tz_slice_cstr("python");
	int64_t lifetime_s = 3600;
	TzStatus status = tz_json_get_str(effect->request, "runtime", false, 32, &runtime, err);

	if (status == TZ_OK)
		status = tz_json_get_int(effect->request, "lifetime_s", false, 1, 30 * 24 * 3600, &lifetime_s, err);
	if (status != TZ_OK)
		return status;
	if (!tz_slice_eq_cstr(runtime, "python") && !tz_slice_eq_cstr(runtime, "node") &&
	    !tz_slice_eq_cstr(runtime, "go"))
		return tz_err_set(err, TZ_BAD_INPUT, "runtime \"%.*s\" is not known", (int) runtime.len,
		                  runtime.data);
	tz_buf_append_cstr(&out->url, "/create");
	append_member("runtime", runtime, true, &out->body);
	tz_buf_printf(&out->body, ",\"timeout\":%lld,\"envVars\":", (long long) lifetime_s);
	status = append_env(effect, &out->body, err);
	if (status == TZ_OK)
		status = append_wishes(effect, &out->body, err);
	tz_buf_append_byte(&out->body, '}');
	return status == TZ_OK ? add_tag(effect, out, err) : status;
}

/* Our name of the sandbox, which it may be destroyed by when nobody has learnt its own. */
static TzStatus
add_tag(const TzEffect *effect, TzHttpRequest *out, TzErr *err)
{
	TzSlice tag = {NULL, 0};
	char name[TAG_MAX + 1];
	TzStatus status = tz_json_get_str(effect->request, "tag", false, TAG_MAX, &tag, err);

	if (status != TZ_OK || tag.len == 0)
		return status;
	if (tz_utf8_has_control(tag))
		return tz_err_set(err, TZ_BAD_INPUT, "tag of the sandbox is not valid");
	snprintf(name, sizeof(name), "%.*s", (int) tag.len, tag.data);
	return tz_http_request_header(out, "X-Theazo-Sandbox", name, false, err);
}

static TzStatus
build_exec(const TzEffect *effect, TzHttpRequest *out, TzErr *err)
{
	TzShellCode code = {.tag = effect->id, .secrets = effect->secrets, .nsecrets = effect->nsecrets};
	TzSlice language = {NULL, 0};
	char name[33];
	int64_t timeout_ms = 60000;
	TzBuf command;
	TzStatus status;

	status = tz_json_get_str(effect->request, "language", true, sizeof(name) - 1, &language, err);
	if (status == TZ_OK)
		status = tz_json_get_str(effect->request, "code", true, COMMAND_MAX, &code.code, err);
	if (status == TZ_OK)
		status = tz_json_get_int(effect->request, "timeout_ms", false, 1, 24 * 3600 * 1000, &timeout_ms, err);
	if (status == TZ_OK)
		status = tz_json_get_object(effect->request, "env", false, &code.env, err);
	if (status == TZ_OK)
		status = append_sandbox(effect, out, err);
	if (status != TZ_OK)
		return status;
	snprintf(name, sizeof(name), "%.*s", (int) language.len, language.data);
	code.language = name;
	code.timeout_ms = (int) timeout_ms;
	out->timeout_ms = (int) timeout_ms + EXEC_MARGIN_MS;
	tz_buf_append_cstr(&out->url, "/exec");

	tz_buf_init(&command, COMMAND_MAX);
	status = tz_shell_command(&code, &command, err);
	if (status == TZ_OK)
	{
		append_member("command", tz_buf_slice(&command), true, &out->body);
		tz_buf_append_byte(&out->body, '}');
	}
	tz_buf_wipe(&command);
	return status;
}

/* GET of a file; its answer is base64 in JSON, so a third larger. */
static TzStatus
build_file(const TzEffect *effect, TzHttpRequest *out, TzErr *err)
{
	TzSlice path;
	int64_t max_bytes = 0;
	TzStatus status = take_path(effect, "path", &path, err);

	if (status == TZ_OK)
		status = tz_json_get_int(effect->request, "max_bytes", false, 1, INT32_MAX, &max_bytes, err);
	if (status == TZ_OK)
		status = append_sandbox(effect, out, err);
	if (status != TZ_OK)
		return status;
	if (max_bytes > 0 && (size_t) max_bytes * 3 / 2 + ANSWER_SLACK < out->max_response)
		out->max_response = (size_t) max_bytes * 3 / 2 + ANSWER_SLACK;
	tz_buf_append_cstr(&out->url, "/files/");
	return append_path(path, &out->url, err);
}

static TzStatus
build_write(const TzEffect *effect, TzHttpRequest *out, TzErr *err)
{
	TzStatus status = build_file(effect, out, err);

	if (status != TZ_OK)
		return status;
	tz_buf_append_cstr(&out->body, "{\"content\":\"");
	tz_base64_append(&out->body, effect->content.data, effect->content.len);
	tz_buf_append_cstr(&out->body, "\"}");
	return TZ_OK;
}

static TzStatus
build_list(const TzEffect *effect, TzHttpRequest *out, TzErr *err)
{
	TzSlice dir = tz_slice_cstr("/");
	TzStatus status = append_sandbox(effect, out, err);

	if (status == TZ_OK && json_object_get(effect->request, "dir") != NULL)
		status = take_path(effect, "dir", &dir, err);
	if (status != TZ_OK)
		return status;
	tz_buf_append_cstr(&out->url, "/files?dir=");
	append_encoded(dir, "/", &out->url);
	return TZ_OK;
}

static TzStatus
build_port(const TzEffect *effect, TzHttpRequest *out, TzErr *err)
{
	int64_t port = 0;
	TzStatus status = tz_json_get_int(effect->request, "port", true, 1, 65535, &port, err);

	if (status == TZ_OK)
		status = append_sandbox(effect, out, err);
	if (status == TZ_OK)
		tz_buf_printf(&out->url, "/ports/%d", (int) port);
	return status;
}

static TzStatus
build_pause(const TzEffect *effect, TzHttpRequest *out, TzErr *err)
{
	TzStatus status = append_sandbox(effect, out, err);

	tz_buf_append_cstr(&out->url, "/pause");
	return status;
}

static TzStatus
build_resume(const TzEffect *effect, TzHttpRequest *out, TzErr *err)
{
	TzSlice snapshot = tz_slice("", 0);
	TzStatus status = append_sandbox(effect, out, err);

	if (status == TZ_OK)
		status = tz_json_get_str(effect->request, "snapshot", false, TZ_WEBHOOK_ID_MAX, &snapshot, err);
	tz_buf_append_cstr(&out->url, "/resume");
	append_member("snapshotId", snapshot, true, &out->body);
	tz_buf_append_byte(&out->body, '}');
	return status;
}

static TzStatus
build_metrics(const TzEffect *effect, TzHttpRequest *out, TzErr *err)
{
	TzStatus status = append_sandbox(effect, out, err);

	tz_buf_append_cstr(&out->url, "/metrics");
	return status;
}

static TzStatus
build_destroy(const TzEffect *effect, TzHttpRequest *out, TzErr *err)
{
	return append_sandbox(effect, out, err);
}

/* The base URL without its trailing slashes. */
static TzStatus
append_base(const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	size_t len = to->url != NULL ? strlen(to->url) : 0;

	while (len > 0 && to->url[len - 1] == '/')
		len--;
	if (len == 0)
		return tz_err_set(err, TZ_BAD_INPUT, "provider has no endpoint");
	for (size_t i = 0; i < len; i++)
		if ((unsigned char) to->url[i] <= 0x20 || to->url[i] == 0x7f || strchr("?#\\", to->url[i]) != NULL)
		{
			tz_err_set(err, TZ_BAD_INPUT, "provider's endpoint is no base URL");
			tz_err_hint(err, "Give a URL without query, fragment and blanks.");
			return TZ_BAD_INPUT;
		}
	tz_buf_append(&out->url, to->url, len);
	return TZ_OK;
}

static TzStatus
append_sandbox(const TzEffect *effect, TzHttpRequest *out, TzErr *err)
{
	TzSlice id = {NULL, 0};
	TzStatus status = tz_json_get_str(effect->request, "sandbox", true, TZ_WEBHOOK_ID_MAX, &id, err);

	if (status != TZ_OK)
		return status;
	if (id.len == 0 || segment_is_dots(id.data, id.len) || tz_utf8_has_control(id))
		return tz_err_set(err, TZ_BAD_INPUT, "id of the sandbox is not valid");
	tz_buf_append_byte(&out->url, '/');
	append_encoded(id, "", &out->url);
	return TZ_OK;
}

static TzStatus
take_path(const TzEffect *effect, const char *key, TzSlice *path, TzErr *err)
{
	TzStatus status = tz_json_get_str(effect->request, key, true, TZ_WEBHOOK_PATH_MAX, path, err);

	if (status != TZ_OK)
		return status;
	if (path->len == 0 || tz_utf8_has_control(*path))
		return tz_err_set(err, TZ_BAD_INPUT, "\"%s\" is empty or has a control character", key);
	return TZ_OK;
}

/* Segments encoded, slashes kept, leading slash dropped. */
static TzStatus
append_path(TzSlice path, TzBuf *out, TzErr *err)
{
	const char *p = path.data;
	const char *end = path.data + path.len;
	bool first = true;

	while (p < end)
	{
		const char *slash = memchr(p, '/', (size_t) (end - p));
		size_t len = (size_t) ((slash != NULL ? slash : end) - p);

		if (segment_is_dots(p, len))
			return tz_err_set(err, TZ_BAD_INPUT, "path must not contain \".\" or \"..\"");
		if (len > 0)
		{
			if (!first)
				tz_buf_append_byte(out, '/');
			append_encoded(tz_slice(p, len), "", out);
			first = false;
		}
		p += len + 1;
	}
	if (first)
		return tz_err_set(err, TZ_BAD_INPUT, "path names no file");
	return TZ_OK;
}

static bool
segment_is_dots(const char *segment, size_t len)
{
	return (len == 1 && segment[0] == '.') || (len == 2 && segment[0] == '.' && segment[1] == '.');
}

/* Everything but RFC 3986's unreserved characters and those of kept. */
static void
append_encoded(TzSlice text, const char *kept, TzBuf *out)
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

/* What the request gives, then the secrets that go into the environment. */
static TzStatus
append_env(const TzEffect *effect, TzBuf *out, TzErr *err)
{
	json_t *env = NULL;
	json_t *value;
	const char *name;
	bool first = true;
	TzStatus status = tz_json_get_object(effect->request, "env", false, &env, err);

	if (status != TZ_OK)
		return status;
	json_object_foreach (env, name, value)
	{
		if (!tz_shell_name_ok(name) || !json_is_string(value))
			return tz_err_set(err, TZ_BAD_INPUT,
			                  "environment variable \"%.64s\" has a bad name or is no string", name);
		append_member(name, tz_slice(json_string_value(value), json_string_length(value)), first, out);
		first = false;
	}
	for (int i = 0; i < effect->nsecrets; i++)
	{
		const TzSecretValue *secret = &effect->secrets[i];

		if (strcmp(secret->use, "env") != 0)
			continue;
		if (!tz_shell_name_ok(secret->name) || !tz_utf8_valid(secret->value))
			return tz_err_set(err, TZ_BAD_INPUT, "secret \"%.64s\" cannot be an environment variable",
			                  secret->name);
		/* a key twice would not survive being parsed and written again */
		if (json_object_get(env, secret->name) != NULL)
			continue;
		append_member(secret->name, secret->value, first, out);
		first = false;
	}
	if (first)
		tz_buf_append_byte(out, '{');
	tz_buf_append_byte(out, '}');
	return TZ_OK;
}

/* What the agent wants its sandbox to have, where it wants anything. */
static TzStatus
append_wishes(const TzEffect *effect, TzBuf *out, TzErr *err)
{
	TzSlice region = {NULL, 0};
	TzSlice gpu = {NULL, 0};
	bool browser = false;
	int64_t storage_gb = 0;
	TzStatus status = tz_json_get_str(effect->request, "region", false, WISH_MAX, &region, err);

	if (status == TZ_OK)
		status = tz_json_get_bool(effect->request, "browser", false, &browser, err);
	if (status == TZ_OK)
		status = tz_json_get_int(effect->request, "storage_gb", false, 1, INT32_MAX, &storage_gb, err);
	if (status == TZ_OK)
		status = tz_json_get_str(effect->request, "gpu", false, WISH_MAX, &gpu, err);
	if (status != TZ_OK)
		return status;
	if (region.len > 0)
		append_member("region", region, false, out);
	if (browser)
		tz_buf_append_cstr(out, ",\"browser\":true");
	if (storage_gb > 0)
		tz_buf_printf(out, ",\"storageGb\":%lld", (long long) storage_gb);
	if (gpu.len > 0)
		append_member("gpu", gpu, false, out);
	return TZ_OK;
}

/* {"name":"value" or ,"name":"value" */
static bool
append_member(const char *name, TzSlice value, bool first, TzBuf *out)
{
	tz_buf_append_byte(out, first ? '{' : ',');
	append_string(tz_slice_cstr(name), out);
	tz_buf_append_byte(out, ':');
	return append_string(value, out) == TZ_OK;
}

/* A string literal as JSON.stringify writes it: short escapes, else \u00xx in lower case. */
static TzStatus
append_string(TzSlice text, TzBuf *out)
{
	static const char plain[] = "\b\t\n\f\r\"\\";
	static const char letters[] = "btnfr\"\\";
	size_t start = 0;

	tz_buf_append_byte(out, '"');
	for (size_t i = 0; i < text.len; i++)
	{
		unsigned char c = (unsigned char) text.data[i];
		const char *hit;

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		tz_buf_append(out, text.data + start, i - start);
		start = i + 1;
		hit = c != 0 ? strchr(plain, c) : NULL;
		if (hit != NULL)
		{
			tz_buf_append_byte(out, '\\');
			tz_buf_append_byte(out, letters[hit - plain]);
		}
		else
			tz_buf_printf(out, "\\u%04x", c);
	}
	if (text.len > start)
		tz_buf_append(out, text.data + start, text.len - start);
	return tz_buf_append_byte(out, '"');
}
