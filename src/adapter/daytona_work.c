/*-------------------------------------------------------------------------
 *
 * daytona_work.c
 *	  Sandboxes of Daytona: requests to the toolbox inside.
 *
 * A command is started as a job (job.h), because an execute answers once and merges
 * both streams: so they stay apart and exact, a lost answer is asked for again, and
 * what is printed can be shown while the command runs.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "adapter/daytona.h"
#include "lib/json.h"
#include "lib/sign.h"

#define COMMAND_MAX (48 * 1024 * 1024)
#define GUARD_S 20 /* beyond a look's own wait, until the provider stops the look */
#define ANSWER_SLACK 65536

static TzStatus append_toolbox(const TzEffect *effect, const TzEndpoint *to, const char *path,
                               TzHttpRequest *out, TzErr *err);
static TzStatus build_job(const TzEffect *effect, const TzEndpoint *to, bool start, TzHttpRequest *out,
                          TzErr *err);
static TzStatus build_stop(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err);
static TzStatus build_read(const TzEffect *effect, TzHttpRequest *out, TzErr *err);
static TzStatus build_write(const TzEffect *effect, TzHttpRequest *out, TzErr *err);
static TzStatus build_list(const TzEffect *effect, TzHttpRequest *out, TzErr *err);
static TzStatus pick_boundary(const TzEffect *effect, char boundary[48], TzErr *err);
static TzStatus take_path(const TzEffect *effect, const char *key, TzSlice *path, TzErr *err);
static TzStatus execute(TzSlice script, int timeout_s, TzHttpRequest *out);

TzStatus
tz_daytona_build_work(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	static const struct
	{
		const char *op;
		const char *method;
		const char *path;
		TzStatus (*build)(const TzEffect *effect, TzHttpRequest *out, TzErr *err);
	} works[] = {
		{"read", "GET", "/files/download?path=", build_read},
		{"write", "POST", "/files/bulk-upload", build_write},
		{"list", "GET", "/files", build_list},
		{"metrics", "GET", "/system/metrics", NULL},
	};

	if (strcmp(effect->op, "exec") == 0)
		return build_job(effect, to, true, out, err);
	if (strcmp(effect->op, "stop") == 0)
		return build_stop(effect, to, out, err);
	for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++)
	{
		TzStatus status;

		if (strcmp(works[i].op, effect->op) != 0)
			continue;
		out->method = works[i].method;
		status = append_toolbox(effect, to, works[i].path, out, err);
		if (status == TZ_OK && works[i].build != NULL)
			status = works[i].build(effect, out, err);
		return status;
	}
	return tz_err_set(err, TZ_UNSUPPORTED, "operation \"%.32s\" is not known", effect->op);
}

TzStatus
tz_daytona_build_watch(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	return build_job(effect, to, false, out, err);
}

static TzStatus
build_stop(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	const char *job = json_string_value(json_object_get(effect->request, "exec"));
	TzBuf script;
	TzStatus status = append_toolbox(effect, to, "/process/execute", out, err);

	if (status == TZ_OK && job == NULL)
		status = tz_err_set(err, TZ_BAD_INPUT, "\"exec\" is missing");
	if (status != TZ_OK)
		return status;
	tz_buf_init(&script, 8192);
	status = tz_job_stop_script(job, &script, err);
	if (status == TZ_OK)
		status = execute(tz_buf_slice(&script), GUARD_S, out);
	tz_buf_free(&script);
	return status;
}

/* Before a pause: what commands printed is not to be in what is kept of the disk. */
TzStatus
tz_daytona_build_clear(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	TzStatus status = append_toolbox(effect, to, "/process/execute", out, err);
	TzBuf script;

	if (status != TZ_OK)
		return status;
	tz_buf_init(&script, 4096);
	tz_job_clear_script(&script);
	status = execute(tz_buf_slice(&script), GUARD_S, out);
	tz_buf_free(&script);
	return status;
}

/* What older daemons do not tell: two readings of the processor half a second apart, memory, disk. */
TzStatus
tz_daytona_build_sample(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	static const char script[] =
		"{ c=/sys/fs/cgroup; u() { if [ -r $c/cpu.stat ]; then "
		"while read -r k v; do if [ \"$k\" = usage_usec ]; then echo \"$v\"; fi; done <$c/cpu.stat; "
		"else read -r v <$c/cpuacct/cpuacct.usage && echo $((v / 1000)); fi; }; "
		"a=$(u); sleep 0.5 || sleep 1; b=$(u); "
		"m=$(cat $c/memory.current || cat $c/memory/memory.usage_in_bytes); "
		"d=$(df -kP / | tail -n 1 | { read -r x s u r; echo \"$u\"; }); "
		"echo \"@theazo metrics ${a:-0} ${b:-0} ${m:-0} ${d:-0}\"; } </dev/null 2>/dev/null\n";
	TzStatus status = append_toolbox(effect, to, "/process/execute", out, err);

	return status == TZ_OK ? execute(tz_slice_cstr(script), GUARD_S, out) : status;
}

/* {toolbox}/{id}{path}; what the provider told last wins over what was kept. */
static TzStatus
append_toolbox(const TzEffect *effect, const TzEndpoint *to, const char *path, TzHttpRequest *out, TzErr *err)
{
	json_t *told = json_object_get(to->config, "toolboxUrl");
	TzSlice base = effect->kept;
	TzSlice id = {NULL, 0};
	TzStatus status = tz_json_get_str(effect->request, "sandbox", true, TZ_DAYTONA_ID_MAX, &id, err);

	if (status != TZ_OK)
		return status;
	if (!json_is_string(told))
		told = json_object_get(effect->state, "toolbox");
	if (json_is_string(told))
		base = tz_slice(json_string_value(told), json_string_length(told));
	while (base.len > 0 && base.data[base.len - 1] == '/')
		base.len--;
	if (!tz_daytona_id_ok(id))
		return tz_err_set(err, TZ_BAD_INPUT, "id of the sandbox is not valid");
	if (!tz_daytona_url_ok(base))
	{
		tz_err_set(err, TZ_BAD_INPUT, "address of the sandbox's toolbox is not valid");
		tz_err_hint(err, "Leave \"toolboxUrl\" out of the provider's config, or give a base URL.");
		return TZ_BAD_INPUT;
	}
	tz_buf_append(&out->url, base.data, base.len);
	tz_buf_append_byte(&out->url, '/');
	tz_buf_append(&out->url, id.data, id.len);
	return tz_buf_append_cstr(&out->url, path);
}

static TzStatus
build_job(const TzEffect *effect, const TzEndpoint *to, bool start, TzHttpRequest *out, TzErr *err)
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
	TzStatus status;

	status = tz_json_get_str(effect->request, "language", true, sizeof(name) - 1, &language, err);
	if (status == TZ_OK)
		status = tz_json_get_str(effect->request, "code", true, COMMAND_MAX, &code.code, err);
	if (status == TZ_OK)
		status = tz_json_get_int(effect->request, "timeout_ms", false, 1, 24 * 3600 * 1000, &timeout_ms, err);
	if (status == TZ_OK)
		status = tz_json_get_int(effect->request, "max_output", false, 1, TZ_JOB_OUTPUT_MAX, &look.max_output,
		                         err);
	if (status == TZ_OK)
		status = tz_json_get_object(effect->request, "env", false, &code.env, err);
	if (status == TZ_OK)
		status = append_toolbox(effect, to, "/process/execute", out, err);
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
	tz_buf_init_secret(&script, COMMAND_MAX);
	status = tz_job_script(&look, start ? &code : NULL, &script, err);
	if (status == TZ_OK)
		status = execute(tz_buf_slice(&script), look.wait_ms / 1000 + GUARD_S, out);
	tz_buf_wipe(&script);
	return status;
}

static TzStatus
execute(TzSlice script, int timeout_s, TzHttpRequest *out)
{
	tz_buf_append_cstr(&out->body, "{\"command\":");
	tz_job_json_string(script, &out->body);
	return tz_buf_printf(&out->body, ",\"timeout\":%d}", timeout_s);
}

static TzStatus
build_read(const TzEffect *effect, TzHttpRequest *out, TzErr *err)
{
	TzSlice path;
	int64_t max_bytes = 0;
	TzStatus status = take_path(effect, "path", &path, err);

	if (status == TZ_OK)
		status = tz_json_get_int(effect->request, "max_bytes", false, 1, INT32_MAX, &max_bytes, err);
	if (status != TZ_OK)
		return status;
	if (max_bytes > 0 && (size_t) max_bytes + ANSWER_SLACK < out->max_response)
		out->max_response = (size_t) max_bytes + ANSWER_SLACK;
	tz_daytona_encode(path, "/", &out->url);
	return TZ_OK;
}

/* The form that every daemon takes: a part with the path, then a part with the bytes. */
static TzStatus
build_write(const TzEffect *effect, TzHttpRequest *out, TzErr *err)
{
	char boundary[48];
	char type[96];
	TzSlice path;
	TzStatus status = take_path(effect, "path", &path, err);

	if (status == TZ_OK)
		status = pick_boundary(effect, boundary, err);
	if (status != TZ_OK)
		return status;
	tz_buf_printf(&out->body, "--%s\r\nContent-Disposition: form-data; name=\"files[0].path\"\r\n\r\n",
	              boundary);
	tz_buf_append(&out->body, path.data, path.len);
	tz_buf_printf(&out->body,
	              "\r\n--%s\r\nContent-Disposition: form-data; name=\"files[0].file\"; filename=\"file\"\r\n"
	              "Content-Type: application/octet-stream\r\n\r\n",
	              boundary);
	tz_buf_append(&out->body, effect->content.data, effect->content.len);
	tz_buf_printf(&out->body, "\r\n--%s--\r\n", boundary);
	snprintf(type, sizeof(type), "multipart/form-data; boundary=%s", boundary);
	return tz_http_request_header(out, "Content-Type", type, false, err);
}

/* One that the bytes do not have in them: the same for each attempt. */
static TzStatus
pick_boundary(const TzEffect *effect, char boundary[48], TzErr *err)
{
	for (int n = 0; n < 100; n++)
	{
		uint8_t digest[TZ_SHA256_LEN];
		char seed[160];
		int len = snprintf(seed, sizeof(seed), "%s %d", effect->id, n);
		TzStatus status = tz_sha256(tz_slice(seed, (size_t) len), digest, err);

		if (status != TZ_OK)
			return status;
		memcpy(boundary, "theazo", 7);
		for (int i = 0; i < 16; i++)
			snprintf(boundary + 6 + i * 2, 3, "%02x", digest[i]);
		if (effect->content.len == 0 ||
		    memmem(effect->content.data, effect->content.len, boundary, strlen(boundary)) == NULL)
			return TZ_OK;
	}
	return tz_err_set(err, TZ_INTERNAL, "there is no boundary for this file");
}

static TzStatus
build_list(const TzEffect *effect, TzHttpRequest *out, TzErr *err)
{
	TzSlice dir = {NULL, 0};
	TzStatus status = TZ_OK;

	if (json_object_get(effect->request, "dir") != NULL)
		status = take_path(effect, "dir", &dir, err);
	if (status != TZ_OK || dir.len == 0)
		return status;
	tz_buf_append_cstr(&out->url, "?path=");
	tz_daytona_encode(dir, "/", &out->url);
	return TZ_OK;
}

/* Below the working directory, so without the slash that begins it; the provider trims blanks, which would name another file. */
static TzStatus
take_path(const TzEffect *effect, const char *key, TzSlice *path, TzErr *err)
{
	TzStatus status = tz_json_get_str(effect->request, key, true, TZ_DAYTONA_PATH_MAX, path, err);
	bool is_dir = strcmp(key, "dir") == 0;

	if (status != TZ_OK)
		return status;
	while (path->len > 0 && path->data[0] == '/')
		*path = tz_slice(path->data + 1, path->len - 1);
	if (path->len == 0)
		return is_dir ? TZ_OK : tz_err_set(err, TZ_BAD_INPUT, "path names no file");
	for (size_t i = 0; i < path->len; i++)
		if ((unsigned char) path->data[i] < 0x20)
			return tz_err_set(err, TZ_BAD_INPUT, "\"%s\" has a control character", key);
	if (path->data[0] == ' ' || path->data[path->len - 1] == ' ')
		return tz_err_set(err, TZ_BAD_INPUT, "\"%s\" begins or ends with a blank", key);
	return TZ_OK;
}
