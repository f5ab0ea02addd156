/*-------------------------------------------------------------------------
 *
 * e2b_start.c
 *	  Commands in an E2B sandbox: the request that starts one.
 *
 * Environment values go with the process, not into its command line and not into the
 * sandbox. The time limit is kept three times: by timeout(1) inside, which ends all
 * that was started; by the daemon, which ends its child; and by our own call.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "adapter/connect.h"
#include "adapter/e2b.h"
#include "adapter/shell.h"
#include "lib/json.h"
#include "lib/utf8.h"

#define CODE_MAX (48 * 1024 * 1024)
#define INLINE_MAX (90 * 1024) /* one argument of a program has 128 KiB, of base64 */
#define EXEC_MARGIN_MS 5000 /* for the answer, after the command's own limit */
#define DAEMON_MARGIN_MS 3000 /* timeout(1) comes first */
#define KEEPALIVE_S "50"

/* The file that the command line runs when it is not in the command line. */
static TzStatus
code_path(const TzEffect *effect, const char *suffix, TzBuf *out)
{
	tz_buf_append_cstr(out, "theazo-");
	for (const char *p = effect->id; *p != '\0'; p++)
		tz_buf_append_byte(
			out, (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ? *p : '-');
	return tz_buf_append_cstr(out, suffix);
}

/* Runs what lies in that file as if it had come with the command line. */
static TzStatus
long_command(const TzEffect *effect, const TzShellCode *code, TzBuf *out, TzErr *err)
{
	TzBuf path;
	TzStatus status;

	tz_buf_init(&path, 512);
	status = code_path(effect, ".code", &path);
	if (status == TZ_OK)
		status = tz_shell_file(code, path.data, out, err);
	tz_buf_free(&path);
	return status;
}

static TzStatus
add_env(const TzEffect *effect, json_t *process, TzErr *err)
{
	json_t *envs = json_object();
	json_t *env = NULL;
	json_t *value;
	const char *name;
	TzStatus status = tz_json_get_object(effect->request, "env", false, &env, err);

	json_object_set_new(process, "envs", envs);
	for (int i = 0; status == TZ_OK && i < effect->nsecrets; i++)
	{
		const TzSecretValue *secret = &effect->secrets[i];

		if (strcmp(secret->use, "env") != 0)
			continue;
		if (!tz_shell_name_ok(secret->name) || !tz_utf8_valid(secret->value))
			return tz_err_set(err, TZ_BAD_INPUT, "secret \"%.64s\" cannot be an environment variable",
			                  secret->name);
		json_object_set_new(envs, secret->name, json_stringn(secret->value.data, secret->value.len));
	}
	if (status != TZ_OK)
		return status;
	/* what the caller gave for this call wins */
	json_object_foreach (env, name, value)
	{
		if (!tz_shell_name_ok(name) || !json_is_string(value))
			return tz_err_set(err, TZ_BAD_INPUT,
			                  "environment variable \"%.64s\" has a bad name or is no string", name);
		json_object_set(envs, name, value);
	}
	return TZ_OK;
}

static TzStatus
append_start(const TzEffect *effect, TzSlice command, TzHttpRequest *out, TzErr *err)
{
	json_t *process =
		json_pack("{s:s, s:[s, s, s%]}", "cmd", "/bin/bash", "args", "-l", "-c", command.data, command.len);
	json_t *body;
	TzBuf text;
	TzStatus status;

	if (process == NULL)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	status = add_env(effect, process, err);
	/* by that its pid is found again */
	body = json_pack("{s:o, s:b, s:s}", "process", process, "stdin", 0, "tag", effect->id);
	tz_buf_init_secret(&text, TZ_CONNECT_FRAME_MAX);
	if (status == TZ_OK)
		status = tz_json_dump(body, &text, err);
	json_decref(body);
	if (status == TZ_OK && tz_connect_envelope(tz_buf_slice(&text), &out->body) != TZ_OK)
		status = tz_err_set(err, TZ_TOO_LARGE, "request is too large");
	tz_buf_wipe(&text);
	return status;
}

TzStatus
tz_e2b_start_headers(int64_t timeout_ms, TzHttpRequest *out, TzErr *err)
{
	char text[24];
	TzStatus status;

	snprintf(text, sizeof(text), "%lld", (long long) timeout_ms + DAEMON_MARGIN_MS);
	status = tz_http_request_header(out, "Content-Type", TZ_CONNECT_STREAM_TYPE, false, err);
	if (status == TZ_OK)
		status = tz_http_request_header(out, "Connect-Protocol-Version", "1", false, err);
	if (status == TZ_OK)
		status = tz_http_request_header(out, "Connect-Timeout-Ms", text, false, err);
	if (status == TZ_OK)
		status = tz_http_request_header(out, "Keepalive-Ping-Interval", KEEPALIVE_S, false, err);
	return status;
}

TzStatus
tz_e2b_build_exec(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept, TzHttpRequest *out,
                  TzErr *err)
{
	TzShellCode code = {.tag = effect->id, .reports = json_object_get(effect->request, "records") != NULL};
	TzSlice language = {NULL, 0};
	char name[33];
	int64_t timeout_ms = 60000;
	bool is_long;
	TzBuf text;
	TzStatus status;

	status = tz_json_get_str(effect->request, "language", true, sizeof(name) - 1, &language, err);
	if (status == TZ_OK)
		status = tz_json_get_str(effect->request, "code", true, CODE_MAX, &code.code, err);
	if (status == TZ_OK)
		status = tz_json_get_int(effect->request, "timeout_ms", false, 1, 24 * 3600 * 1000, &timeout_ms, err);
	if (status != TZ_OK)
		return status;
	snprintf(name, sizeof(name), "%.*s", (int) language.len, language.data);
	code.language = name;
	code.timeout_ms = (int) timeout_ms;
	out->timeout_ms = (int) timeout_ms + EXEC_MARGIN_MS;
	is_long = code.code.len > INLINE_MAX;
	tz_buf_init(&text, 2 * INLINE_MAX);
	if (is_long && !json_is_true(json_object_get(effect->state, "uploaded")))
	{
		code_path(effect, ".code", &text);
		status = tz_e2b_put_file(effect, to, kept, tz_buf_slice(&text), code.code, out, err);
		tz_buf_free(&text);
		return status;
	}
	status = is_long ? long_command(effect, &code, &text, err) : tz_shell_command(&code, &text, err);
	if (status == TZ_OK)
		status = tz_e2b_envd(effect, to, kept, "POST", false, out, err);
	if (status == TZ_OK)
		status = tz_e2b_start_headers(timeout_ms, out, err);
	if (status == TZ_OK)
	{
		tz_buf_append_cstr(&out->url, "/process.Process/Start");
		status = append_start(effect, tz_buf_slice(&text), out, err);
	}
	tz_buf_wipe(&text);
	return status;
}
