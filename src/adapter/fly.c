/*-------------------------------------------------------------------------
 *
 * fly.c
 *	  Sandboxes as machines of Fly: requests.
 *
 * The API makes, moves and ends machines and runs one command in one; everything
 * inside a machine is therefore a command, its script on standard input, where no
 * limit of an argument holds. Commands are jobs (job.h); files travel as base64.
 *
 * A machine's name is made from our id of it and taken once in its application; its
 * metadata has that id, too, by which one whose creation was not heard of is found.
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/daytona.h"
#include "adapter/fly.h"
#include "adapter/signed.h"
#include "lib/json.h"
#include "lib/sign.h"

#define DEFAULT_URL "https://api.machines.dev"
#define BODY_MAX (64 * 1024 * 1024)
#define SCRIPT_MAX (48 * 1024 * 1024)
#define GUARD_S 20
#define WAIT_S 20 /* of one wait for a state */
#define LIFETIME_MAX_S (30 * 24 * 3600)

static TzStatus fly_build(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err);
static void fly_parse(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
static void stream_end(TzStream *stream, const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
static TzStatus append_machines(const TzEndpoint *to, TzHttpRequest *out, TzErr *err);
static TzStatus append_machine(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err);
static TzStatus create_body(const TzEffect *effect, const TzEndpoint *to, TzBuf *out, TzErr *err);
static TzStatus build_exec(const TzEffect *effect, bool start, TzHttpRequest *out, TzErr *err);
static TzStatus build_stop(const TzEffect *effect, TzHttpRequest *out, TzErr *err);
static TzStatus build_script(const TzEffect *effect, TzHttpRequest *out, TzErr *err);
static TzStatus quote_path(const TzEffect *effect, const char *key, TzBuf *out, TzErr *err);
static void exec_body(TzSlice script, int timeout_s, TzHttpRequest *out);

static const struct
{
	const char *op;
	const char *first;
} ops[] = {{"create", "create"},  {"exec", "work"},    {"read", "work"},   {"write", "work"},
           {"list", "work"},      {"metrics", "work"}, {"pause", "clear"}, {"resume", "start"},
           {"destroy", "delete"}, {"sweep", "sweep"},  {"stop", "work"}};

static const char *const op_names[] = {"create", "exec",   "read",    "write", "list", "metrics",
                                       "pause",  "resume", "destroy", "sweep", "stop", NULL};

extern const TzAdapter tz_compute_fly;
const TzAdapter tz_compute_fly = {
	.name = "fly",
	.kind = TZ_COMPUTE,
	.ops = op_names,
	.build = fly_build,
	.parse = fly_parse,
	.stream_new = tz_job_stream_new,
	.stream_feed = tz_job_stream_feed,
	.stream_end = stream_end,
	.stream_free = tz_job_stream_free,
	.stream_wants = tz_job_stream_wants,
	.stream_whole = tz_job_stream_whole,
};

const char *
tz_fly_phase(const TzEffect *effect)
{
	const char *phase = json_string_value(json_object_get(effect->state, "phase"));

	if (strcmp(effect->op, "create") == 0 && json_is_true(json_object_get(effect->state, "reconcile")) &&
	    (phase == NULL || strcmp(phase, "create") == 0))
		return "look";
	for (size_t i = 0; phase == NULL && i < sizeof(ops) / sizeof(ops[0]); i++)
		if (strcmp(ops[i].op, effect->op) == 0)
			phase = ops[i].first;
	return phase != NULL ? phase : "";
}

/* out must be fresh from tz_http_request_init or zeroed; the caller frees it in any case. */
static TzStatus
fly_build(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	const char *phase = tz_fly_phase(effect);
	TzSlice credential = tz_effect_secret(effect, "credential");
	const char *tag = json_string_value(json_object_get(effect->request, "tag"));
	const char *instance = json_string_value(json_object_get(effect->request, "instance"));
	TzStatus status;

	tz_http_request_free(out);
	tz_http_request_init(out, BODY_MAX);
	out->method = "POST";
	out->timeout_ms = 60000;
	out->max_response = to->max_response;
	out->allow_http = to->allow_http;
	out->allow_private = to->allow_private;
	if (strcmp(phase, "create") == 0)
	{
		status = append_machines(to, out, err);
		if (status == TZ_OK)
			status = create_body(effect, to, &out->body, err);
	}
	else if (strcmp(phase, "look") == 0 || strcmp(phase, "sweep") == 0)
	{
		bool sweep = strcmp(phase, "sweep") == 0;
		const char *value = sweep ? instance : tag;

		out->method = "GET";
		status = append_machines(to, out, err);
		if (status == TZ_OK && value == NULL)
			status = tz_err_set(err, TZ_BAD_INPUT, "\"%s\" is missing", sweep ? "instance" : "tag");
		tz_buf_printf(&out->url, "?metadata.%s=", sweep ? TZ_DAYTONA_INSTANCE : TZ_DAYTONA_TAG);
		tz_daytona_encode(tz_slice_cstr(value), "", &out->url);
	}
	else
		status = append_machine(effect, to, out, err);
	if (status != TZ_OK)
		return status;
	if (strcmp(phase, "check") == 0)
		out->method = "GET";
	else if (strcmp(phase, "wait") == 0)
	{
		const char *goal = json_string_value(json_object_get(effect->state, "goal"));

		out->method = "GET";
		tz_buf_printf(&out->url, "/wait?state=%s&timeout=%d", goal != NULL ? goal : "started", WAIT_S);
	}
	else if (strcmp(phase, "delete") == 0 || strcmp(phase, "drop") == 0)
	{
		out->method = "DELETE";
		tz_buf_append_cstr(&out->url, "?force=true");
	}
	else if (strcmp(phase, "start") == 0 || strcmp(phase, "suspend") == 0)
		tz_buf_printf(&out->url, "/%s", phase);
	else if (strcmp(phase, "clear") == 0)
	{
		TzBuf script;

		tz_buf_append_cstr(&out->url, "/exec");
		tz_buf_init(&script, 4096);
		tz_job_clear_script(&script);
		exec_body(tz_buf_slice(&script), GUARD_S, out);
		tz_buf_free(&script);
	}
	else if (strcmp(phase, "work") == 0 || strcmp(phase, "watch") == 0)
	{
		tz_buf_append_cstr(&out->url, "/exec");
		if (strcmp(effect->op, "exec") == 0)
			status = build_exec(effect, strcmp(phase, "work") == 0, out, err);
		else if (strcmp(effect->op, "stop") == 0)
			status = build_stop(effect, out, err);
		else
			status = build_script(effect, out, err);
	}
	for (int i = 0; status == TZ_OK && i < effect->nsecrets; i++)
		status = tz_http_request_mask(out, effect->secrets[i].value, err);
	if (status == TZ_OK && credential.len == 0)
	{
		tz_err_set(err, TZ_BAD_INPUT, "provider has no credential");
		tz_err_hint(err, "Store a token of Fly with theazo.secret_set() and name it in credential_ref.");
		return TZ_BAD_INPUT;
	}
	if (status == TZ_OK)
		status = tz_credential_header(out, "Authorization", "Bearer ", credential, err);
	if (status == TZ_OK && out->body.len > 0)
		status = tz_http_request_header(out, "Content-Type", "application/json", false, err);
	if (status == TZ_OK && (out->url.status != TZ_OK || out->body.status != TZ_OK))
		status =
			tz_err_set(err, out->body.status == TZ_NOMEM ? TZ_NOMEM : TZ_TOO_LARGE, "request is too large");
	return status;
}

static TzStatus
append_machines(const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	TzSlice base = tz_slice_cstr(to->url != NULL ? to->url : DEFAULT_URL);
	const char *app = json_string_value(json_object_get(to->config, "app"));

	while (base.len > 0 && base.data[base.len - 1] == '/')
		base.len--;
	if (!tz_daytona_url_ok(base))
		return tz_err_set(err, TZ_BAD_INPUT, "provider's endpoint is no base URL");
	if (app == NULL || !tz_daytona_id_ok(tz_slice_cstr(app)))
	{
		tz_err_set(err, TZ_BAD_INPUT, "provider names no application");
		tz_err_hint(err, "Give config.app of the provider: the name of an application of yours at Fly.");
		return TZ_BAD_INPUT;
	}
	tz_buf_append(&out->url, base.data, base.len);
	return tz_buf_printf(&out->url, "/v1/apps/%s/machines", app);
}

static TzStatus
append_machine(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	bool ours = json_object_get(effect->state, "id") != NULL;
	TzSlice id = {NULL, 0};
	TzStatus status = tz_json_get_str(ours ? effect->state : effect->request, ours ? "id" : "sandbox", true,
	                                  TZ_DAYTONA_ID_MAX, &id, err);

	if (status == TZ_OK && !tz_daytona_id_ok(id))
		status = tz_err_set(err, TZ_BAD_INPUT, "id of the sandbox is not valid");
	if (status == TZ_OK)
		status = append_machines(to, out, err);
	tz_buf_append_cstr(&out->url, "/");
	tz_buf_append(&out->url, id.data, id.len);
	return status;
}

/* Its life is that of a sleep: there is no other limit. */
static TzStatus
create_body(const TzEffect *effect, const TzEndpoint *to, TzBuf *out, TzErr *err)
{
	const char *runtime = json_string_value(json_object_get(effect->request, "runtime"));
	json_t *image =
		json_object_get(json_object_get(to->config, "images"), runtime != NULL ? runtime : "python");
	json_t *region = json_object_get(effect->request, "region");
	const char *kind = json_string_value(json_object_get(to->config, "size"));
	json_t *env = json_object_get(effect->request, "env");
	json_t *instance = json_object_get(effect->request, "instance");
	int64_t lifetime_s = 3600;
	int64_t cpus = 1;
	int64_t memory_mb = 512;
	char seconds[24];
	TzSlice tag;
	TzBuf name;
	json_t *body;
	TzStatus status = tz_json_get_str(effect->request, "tag", true, TZ_DAYTONA_ID_MAX, &tag, err);

	if (status == TZ_OK)
		status = tz_json_get_int(effect->request, "lifetime_s", false, 1, LIFETIME_MAX_S, &lifetime_s, err);
	if (status == TZ_OK)
		status = tz_json_get_int(to->config, "cpus", false, 1, 128, &cpus, err);
	if (status == TZ_OK)
		status = tz_json_get_int(to->config, "memory_mb", false, 256, 1048576, &memory_mb, err);
	if (status != TZ_OK)
		return status;
	if (!json_is_string(image))
		image = json_object_get(to->config, "image");
	if (!json_is_string(region))
		region = json_object_get(to->config, "region");
	snprintf(seconds, sizeof(seconds), "%lld", (long long) lifetime_s);
	tz_buf_init(&name, 256);
	tz_daytona_name(effect, &name);
	body =
		json_pack("{s:s%, s:O*, s:{s:s, s:{s:[s,s]}, s:b, s:{s:s}, s:{s:s, s:I, s:I}, s:{s:s%, s:O*}, s:O*}}",
	              "name", name.data, name.len, "region", region, "config", "image",
	              json_is_string(image) ? json_string_value(image)
	                                    : "registry-1.docker.io/library/python:3.12-slim",
	              "init", "exec", "/bin/sleep", seconds, "auto_destroy", 1, "restart", "policy", "no",
	              "guest", "cpu_kind", kind != NULL ? kind : "shared", "cpus", (json_int_t) cpus, "memory_mb",
	              (json_int_t) memory_mb, "metadata", TZ_DAYTONA_TAG, tag.data, tag.len, TZ_DAYTONA_INSTANCE,
	              instance, "env", env);
	tz_buf_free(&name);
	if (body == NULL)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	status = tz_json_dump(body, out, err);
	json_decref(body);
	return status;
}

static TzStatus
build_exec(const TzEffect *effect, bool start, TzHttpRequest *out, TzErr *err)
{
	TzShellCode code = {.tag = effect->id,
	                    .reports = json_object_get(effect->request, "records") != NULL,
	                    .secrets = effect->secrets,
	                    .nsecrets = effect->nsecrets};
	bool followed = json_is_true(json_object_get(effect->request, "stream"));
	TzJobLook look = {.id = effect->id, .early = followed, .max_output = TZ_JOB_OUTPUT_MAX};
	TzSlice language = {NULL, 0};
	char name[33];
	int64_t timeout_ms = 60000;
	TzBuf script;
	TzStatus status = tz_json_get_str(effect->request, "language", true, sizeof(name) - 1, &language, err);

	if (status == TZ_OK)
		status = tz_json_get_str(effect->request, "code", true, SCRIPT_MAX, &code.code, err);
	if (status == TZ_OK)
		status = tz_json_get_int(effect->request, "timeout_ms", false, 1, 24 * 3600 * 1000, &timeout_ms, err);
	if (status == TZ_OK)
		status = tz_json_get_int(effect->request, "max_output", false, 1, TZ_JOB_OUTPUT_MAX, &look.max_output,
		                         err);
	if (status == TZ_OK)
		status = tz_json_get_object(effect->request, "env", false, &code.env, err);
	if (status != TZ_OK)
		return status;
	snprintf(name, sizeof(name), "%.*s", (int) language.len, language.data);
	code.language = name;
	code.timeout_ms = look.timeout_ms = (int) timeout_ms;
	look.wait_ms = tz_job_wait_ms((int) tz_daytona_counted(effect, "looks"), followed);
	if (look.wait_ms > timeout_ms + 3000)
		look.wait_ms = (int) timeout_ms + 3000;
	look.out_seen = tz_daytona_counted(effect, "out");
	look.err_seen = tz_daytona_counted(effect, "err");
	tz_buf_init_secret(&script, SCRIPT_MAX);
	status = tz_job_script(&look, start ? &code : NULL, &script, err);
	if (status == TZ_OK)
		exec_body(tz_buf_slice(&script), look.wait_ms / 1000 + GUARD_S, out);
	tz_buf_wipe(&script);
	return status;
}

static TzStatus
build_stop(const TzEffect *effect, TzHttpRequest *out, TzErr *err)
{
	const char *job = json_string_value(json_object_get(effect->request, "exec"));
	TzBuf script;
	TzStatus status;

	if (job == NULL)
		return tz_err_set(err, TZ_BAD_INPUT, "\"exec\" is missing");
	tz_buf_init(&script, 8192);
	status = tz_job_stop_script(job, &script, err);
	if (status == TZ_OK)
		exec_body(tz_buf_slice(&script), GUARD_S, out);
	tz_buf_free(&script);
	return status;
}

/* Files and figures. Each script says "@theazo", a word for what came of it, and what there is to say. */
static TzStatus
build_script(const TzEffect *effect, TzHttpRequest *out, TzErr *err)
{
	int64_t max_bytes = INT32_MAX;
	TzBuf script;
	TzStatus status = tz_json_get_int(effect->request, "max_bytes", false, 1, INT32_MAX, &max_bytes, err);

	if (status != TZ_OK)
		return status;
	tz_buf_init(&script, SCRIPT_MAX);
	tz_buf_append_cstr(&script, "{ ");
	if (strcmp(effect->op, "metrics") == 0)
		tz_buf_append_cstr(
			&script,
			"u() { read -r c a b d i w r </proc/stat; echo \"$((a + b + d)) $i\"; }; x=$(u); sleep 0.5; y=$(u); "
			"while read -r k v r; do case $k in MemTotal:) t=$v;; MemAvailable:) f=$v;; esac; done </proc/meminfo; "
			"d=$(df -kP / | tail -n 1 | { read -r x s u r; echo \"$u\"; }); "
			"echo \"@theazo metrics $x $y $((t - f)) ${d:-0}\"; ");
	else
	{
		status = quote_path(effect, strcmp(effect->op, "list") == 0 ? "dir" : "path", &script, err);
		if (strcmp(effect->op, "read") == 0)
			tz_buf_printf(
				&script,
				"if [ -d \"$p\" ]; then echo '@theazo dir'; elif [ ! -e \"$p\" ]; then echo '@theazo none'; else "
				"echo \"@theazo file $(wc -c <\"$p\")\"; head -c %lld \"$p\" | base64; echo @end; fi; ",
				(long long) max_bytes + 1);
		else if (strcmp(effect->op, "write") == 0)
		{
			tz_buf_append_cstr(&script, "mkdir -p \"$(dirname \"$p\")\" && printf %s '");
			tz_base64_append(&script, effect->content.data, effect->content.len);
			tz_buf_append_cstr(
				&script,
				"' | base64 -d >\"$p.theazo\" && mv -f \"$p.theazo\" \"$p\" && echo '@theazo written' "
				"|| echo '@theazo unwritten'; ");
		}
		else
			tz_buf_append_cstr(
				&script,
				"if [ ! -d \"$p\" ]; then echo '@theazo none'; else echo '@theazo list'; "
				"for f in \"$p\"/* \"$p\"/.[!.]*; do [ -e \"$f\" ] || continue; if [ -d \"$f\" ]; then s=d; else "
				"s=$(wc -c <\"$f\"); fi; echo \"$s $(printf %s \"${f##*/}\" | base64 | tr -d '\\n')\"; done; echo @end; fi; ");
	}
	tz_buf_append_cstr(&script, "} </dev/null 2>/dev/null\n");
	if (status == TZ_OK && script.status != TZ_OK)
		status = tz_err_set(err, script.status, "file is too large");
	if (status == TZ_OK)
		exec_body(tz_buf_slice(&script), 50, out);
	tz_buf_free(&script);
	return status;
}

/* p='./path'; paths begin where commands do. */
static TzStatus
quote_path(const TzEffect *effect, const char *key, TzBuf *out, TzErr *err)
{
	TzSlice path = tz_slice_cstr("/");
	TzStatus status =
		tz_json_get_str(effect->request, key, strcmp(key, "path") == 0, TZ_DAYTONA_PATH_MAX, &path, err);
	TzBuf word;

	if (status != TZ_OK)
		return status;
	while (path.len > 0 && path.data[0] == '/')
		path = tz_slice(path.data + 1, path.len - 1);
	tz_buf_init(&word, TZ_DAYTONA_PATH_MAX + 8);
	tz_buf_append_cstr(&word, "./");
	tz_buf_append(&word, path.data, path.len);
	tz_buf_append_cstr(out, "p=");
	status = tz_shell_quote(tz_buf_slice(&word), out);
	tz_buf_append_cstr(out, "; ");
	tz_buf_free(&word);
	return status == TZ_OK ? TZ_OK : tz_err_set(err, status, "\"%s\" is not valid", key);
}

static void
exec_body(TzSlice script, int timeout_s, TzHttpRequest *out)
{
	tz_buf_append_cstr(&out->body, "{\"command\":[\"sh\"],\"stdin\":");
	tz_job_json_string(script, &out->body);
	tz_buf_printf(&out->body, ",\"timeout\":%d}", timeout_s);
}

static void
fly_parse(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	tz_fly_answer(effect, in, &(TzJobFollower){NULL, NULL}, out);
}

static void
stream_end(TzStream *stream, const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	tz_fly_answer(effect, in, tz_job_stream_to(stream), out);
}
