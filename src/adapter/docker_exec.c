/*-------------------------------------------------------------------------
 *
 * docker_exec.c
 *	  Commands in a container.
 *
 *	exec -> run -> inspect -> done
 *
 * exec says what is to be run, run runs it and brings both streams in one body
 * that ends when the connection does, inspect tells the exit code: an end of the
 * body alone says nothing. Only run does something; when its answer is lost nobody
 * knows what it did. The engine has no limit of time for a command, so timeout(1)
 * in the container holds it.
 *
 *-------------------------------------------------------------------------
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/docker.h"
#include "adapter/shell.h"
#include "lib/json.h"
#include "lib/sign.h"
#include "lib/utf8.h"

#define CODE_MAX (2 * 1024 * 1024)
#define LINE_MAX_BYTES 32768
#define PIECE (90 * 1024) /* of code; as base64 below the 128 KiB an argument may have */
#define EXIT_TIMED_OUT 124 /* of timeout(1) */
#define EXIT_KILLED 137 /* it had to kill */
#define EXIT_TERMINATED 143 /* busybox's ends as the command does */
#define POLLS_MAX 12
#define POLL_MS 50

struct TzStream
{
	bool pulls; /* it is a creation: what is read is what is said of a pull */
	TzDockerPull pull;
	TzDockerFrames frames;
	TzErr err;
};

static TzStatus append_exec_env(const TzEffect *effect, TzBuf *out, TzErr *err);
static void append_pieces(TzSlice code, TzBuf *out);
static size_t output_max(const TzEffect *effect);
static void ran(const TzEffect *effect, const TzHttpResponse *in, TzDockerFrames *frames, const TzErr *broken,
                TzOutcome *out);

/* ---------------------------------------------------------------- what is to be run */

static void
append_quoted_member(const char *name, const char *value, TzBuf *out)
{
	tz_buf_printf(out, "\"%s\":", name);
	tz_docker_string(tz_slice_cstr(value), out);
}

TzStatus
tz_docker_build_exec(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	TzShellCode code = {.tag = effect->id,
	                    .reports = json_object_get(effect->request, "records") != NULL,
	                    .in_pieces = true};
	TzSlice language = {NULL, 0};
	char name[33];
	int64_t timeout_ms = 60000;
	TzBuf line;
	TzStatus status;

	status = tz_json_get_str(effect->request, "language", true, sizeof(name) - 1, &language, err);
	if (status == TZ_OK)
		status = tz_json_get_str(effect->request, "code", true, CODE_MAX, &code.code, err);
	if (status == TZ_OK)
		status = tz_json_get_int(effect->request, "timeout_ms", false, 1, 24 * 3600 * 1000, &timeout_ms, err);
	if (status == TZ_OK)
		status = tz_docker_url(effect, "/exec", out, err);
	if (status != TZ_OK)
		return status;
	memcpy(name, language.data, language.len);
	name[language.len] = '\0';
	code.language = name;
	code.timeout_ms = (int) timeout_ms;
	tz_buf_init(&line, LINE_MAX_BYTES);
	status = tz_shell_command(&code, &line, err);
	if (status == TZ_OK)
	{
		tz_buf_append_cstr(&out->body, "{\"AttachStdout\":true,\"AttachStderr\":true,\"Tty\":false,");
		append_quoted_member("WorkingDir", tz_docker_workdir(to), &out->body);
		tz_buf_append_cstr(&out->body, ",\"Cmd\":[\"/bin/sh\",\"-c\",");
		tz_docker_string(tz_buf_slice(&line), &out->body);
		tz_buf_append_cstr(&out->body, ",\"sh\"");
		append_pieces(code.code, &out->body);
		tz_buf_append_cstr(&out->body, "],\"Env\":[");
		status = append_exec_env(effect, &out->body, err);
		tz_buf_append_cstr(&out->body, "]}");
	}
	tz_buf_free(&line);
	return status;
}

/* Whole groups of three bytes each, so that what is joined is one base64 text. */
static void
append_pieces(TzSlice code, TzBuf *out)
{
	while (code.len > 0)
	{
		size_t n = code.len < PIECE ? code.len : PIECE;

		tz_buf_append_cstr(out, ",\"");
		tz_base64_append(out, code.data, n);
		tz_buf_append_byte(out, '"');
		code.data += n;
		code.len -= n;
	}
}

static TzStatus
append_variable(const char *name, TzSlice value, bool first, TzBuf *out, TzErr *err)
{
	TzBuf entry;

	if (!tz_shell_name_ok(name))
		return tz_err_set(err, TZ_BAD_INPUT, "\"%.64s\" is no name for an environment variable", name);
	if (!tz_utf8_valid(value) || (value.len > 0 && memchr(value.data, 0, value.len) != NULL))
		return tz_err_set(err, TZ_BAD_INPUT, "value of environment variable \"%.64s\" is not text", name);
	tz_buf_init_secret(&entry, SIZE_MAX);
	tz_buf_printf(&entry, "%s=", name);
	tz_buf_append(&entry, value.data, value.len);
	if (!first)
		tz_buf_append_byte(out, ',');
	tz_docker_string(tz_buf_slice(&entry), out);
	tz_buf_wipe(&entry);
	return TZ_OK;
}

/* Secrets but for those whose name the call gives a value of its own. */
static TzStatus
append_exec_env(const TzEffect *effect, TzBuf *out, TzErr *err)
{
	json_t *env = NULL;
	json_t *value;
	const char *name;
	bool first = true;
	TzStatus status = tz_json_get_object(effect->request, "env", false, &env, err);

	for (int i = 0; status == TZ_OK && i < effect->nsecrets; i++)
	{
		const TzSecretValue *secret = &effect->secrets[i];

		if (strcmp(secret->use, "env") != 0 || json_object_get(env, secret->name) != NULL)
			continue;
		status = append_variable(secret->name, secret->value, first, out, err);
		first = false;
	}
	json_object_foreach (env, name, value)
	{
		if (status != TZ_OK)
			break;
		if (!json_is_string(value))
			return tz_err_set(err, TZ_BAD_INPUT, "environment variable \"%.64s\" is not a string", name);
		status = append_variable(name, tz_slice(json_string_value(value), json_string_length(value)), first,
		                         out, err);
		first = false;
	}
	return status;
}

bool
tz_docker_exec_id(const json_t *doc, TzSlice *id)
{
	return tz_json_get_str(doc, "Id", true, TZ_DOCKER_ID_MAX, id, NULL) == TZ_OK && id->len > 0 &&
	       strspn(id->data, "0123456789abcdefABCDEF") >= id->len;
}

void
tz_docker_parse_exec(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	TzSlice id = {NULL, 0};
	json_t *doc;

	if (in->status == 404)
	{
		tz_docker_gone(in, out);
		return;
	}
	/* stopped or paused: Docker says 409, Podman 500 for the former */
	if (in->status == 409 || in->status == 500)
	{
		tz_docker_why(effect, in, out);
		return;
	}
	doc = tz_docker_json(effect, in, out);
	if (doc == NULL)
		return;
	if (tz_docker_exec_id(doc, &id))
		tz_docker_next(out, "run", json_pack("{s:s%}", "exec", id.data, id.len));
	else
		tz_docker_bad(in, out, "\"Id\" is missing");
	json_decref(doc);
}

/* ---------------------------------------------------------------- running it */

TzStatus
tz_docker_build_run(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	(void) to;
	(void) err;
	tz_buf_printf(&out->url, "/exec/%s/start", tz_docker_text(effect, "exec"));
	tz_buf_append_cstr(&out->body, "{\"Detach\":false,\"Tty\":false}");
	return TZ_OK;
}

static size_t
output_max(const TzEffect *effect)
{
	int64_t max = TZ_DOCKER_OUTPUT_DEFAULT;

	if (strcmp(effect->op, "list") == 0)
		return TZ_DOCKER_LISTING_MAX;
	(void) tz_json_get_int(effect->request, "max_output", false, 1, TZ_DOCKER_OUTPUT_MAX, &max, NULL);
	return (size_t) max;
}

/* What a body brought that was not read as it came. */
void
tz_docker_parse_run(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	TzDockerFrames frames;
	TzErr err;

	tz_err_clear(&err);
	tz_docker_frames_init(&frames, output_max(effect), NULL, NULL);
	if (in->status / 100 == 2)
		(void) tz_docker_frames_feed(&frames, tz_buf_slice(&in->body), &err);
	ran(effect, in, &frames, &err, out);
	tz_docker_frames_free(&frames);
}

static void
ran(const TzEffect *effect, const TzHttpResponse *in, TzDockerFrames *frames, const TzErr *broken,
    TzOutcome *out)
{
	json_t *state;

	if (in->status == 404 && strcmp(effect->op, "list") != 0)
		tz_docker_gone(in, out);
	else if (in->status / 100 != 2)
		tz_docker_refused(effect, in, out);
	else if (broken->status != TZ_OK)
		tz_docker_bad(in, out, "%s", broken->message);
	else if (frames->said.len > 0)
	{
		size_t len = tz_utf8_cut(tz_buf_slice(&frames->said), TZ_ERR_DETAIL_MAX - 32);

		tz_err_set(&out->err, TZ_UNAVAILABLE, "the engine broke the command off");
		if (tz_utf8_valid(tz_slice(frames->said.data, len)))
			tz_err_detail(&out->err, "Engine said: %.*s", (int) len, frames->said.data);
		tz_err_hint(&out->err, "It may have run; look at its effects before running it again.");
		tz_answer_fail(in, "provider_error", out);
	}
	else
	{
		state = json_pack("{s:s, s:b, s:I}", "exec", tz_docker_text(effect, "exec"), "truncated", frames->cut,
		                  "ms", (json_int_t) (in->total_us / 1000));
		if (state != NULL &&
		    (tz_json_set_text(state, "stdout", tz_buf_slice(&frames->texts[0]), NULL) != TZ_OK ||
		     tz_json_set_text(state, "stderr", tz_buf_slice(&frames->texts[1]), NULL) != TZ_OK))
		{
			json_decref(state);
			state = NULL;
		}
		tz_docker_next(out, "inspect", state);
	}
}

/* ---------------------------------------------------------------- what became of it */

TzStatus
tz_docker_build_inspect(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	(void) to;
	(void) err;
	tz_buf_printf(&out->url, "/exec/%s/json", tz_docker_text(effect, "exec"));
	return TZ_OK;
}

bool
tz_docker_ended(const TzEffect *effect, const TzHttpResponse *in, int64_t *code, TzOutcome *out)
{
	int64_t polls = json_integer_value(json_object_get(effect->state, "polls"));
	bool running = false;
	json_t *doc;
	json_t *state;

	/* the container may have gone, and the command with it */
	doc = tz_docker_found(effect, in, out);
	if (doc == NULL)
		return false;
	(void) tz_json_get_bool(doc, "Running", false, &running, NULL);
	if (!running && tz_json_get_int(doc, "ExitCode", true, INT_MIN, INT_MAX, code, NULL) == TZ_OK)
	{
		json_decref(doc);
		return true;
	}
	json_decref(doc);
	if (polls >= POLLS_MAX)
	{
		tz_err_set(&out->err, TZ_UNAVAILABLE, "the command's output ended, but the command did not");
		tz_err_hint(&out->err, "It may still run in the sandbox.");
		tz_answer_fail(in, "provider_error", out);
		return false;
	}
	state = json_deep_copy(effect->state);
	if (state != NULL)
		json_object_set_new(state, "polls", json_integer(polls + 1));
	tz_docker_next(out, "inspect", state);
	out->retry_after_ms = POLL_MS << (polls < 5 ? polls : 5);
	return false;
}

void
tz_docker_parse_inspect(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	int64_t timeout_ms = 60000;
	int64_t code = 0;
	int64_t took_ms = json_integer_value(json_object_get(effect->state, "ms"));
	json_t *stdout_text = json_object_get(effect->state, "stdout");
	json_t *stderr_text = json_object_get(effect->state, "stderr");
	bool timed_out;

	if (!tz_docker_ended(effect, in, &code, out))
		return;
	(void) tz_json_get_int(effect->request, "timeout_ms", false, 1, INT_MAX, &timeout_ms, NULL);
	timed_out =
		took_ms >= timeout_ms && (code == EXIT_TIMED_OUT || code == EXIT_KILLED || code == EXIT_TERMINATED);
	tz_answer_done(out, json_pack("{s:O, s:O, s:I, s:b, s:b}", "stdout", stdout_text, "stderr", stderr_text,
	                              "exit_code", (json_int_t) (timed_out ? EXIT_TIMED_OUT : code), "truncated",
	                              json_is_true(json_object_get(effect->state, "truncated")), "timed_out",
	                              timed_out));
}

/* ---------------------------------------------------------------- output as it comes */

TzStream *
tz_docker_stream_new(const TzEffect *effect, const TzEndpoint *to, TzDeltaFn on_delta, void *arg)
{
	TzStream *stream = calloc(1, sizeof(*stream));

	(void) to;
	if (stream == NULL)
		return NULL;
	stream->pulls = strcmp(effect->op, "create") == 0;
	tz_docker_pull_init(&stream->pull);
	/* what a list prints is not for whoever follows */
	tz_docker_frames_init(&stream->frames, output_max(effect),
	                      strcmp(effect->op, "exec") == 0 ? on_delta : NULL, arg);
	return stream;
}

TzStatus
tz_docker_stream_feed(TzStream *stream, TzSlice bytes, TzErr *err)
{
	TzStatus status = stream->err.status;

	if (stream->pulls)
		tz_docker_pull_feed(&stream->pull, bytes);
	else if (status == TZ_OK)
		status = tz_docker_frames_feed(&stream->frames, bytes, &stream->err);
	if (status != TZ_OK && err != NULL)
		*err = stream->err;
	return status;
}

/* Every step of the operation ends here; one of them had its body fed. */
void
tz_docker_stream_end(TzStream *stream, const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	const TzDockerStep *step = tz_docker_step(effect);
	bool fed = step != NULL && step->parse == tz_docker_parse_run && in->status / 100 == 2;

	if (fed && stream->err.status != TZ_OK)
		tz_docker_bad(in, out, "%s", stream->err.message);
	else if (fed && in->err.status == TZ_OK)
		ran(effect, in, &stream->frames, &stream->err, out);
	else if (step != NULL && step->parse == tz_docker_parse_pull &&
	         (in->status / 100 == 2 || in->status == 0))
		tz_docker_pulled(effect, &stream->pull, in, out);
	else
	{
		tz_docker_parse(effect, in, out);
		return;
	}
	tz_docker_after(effect, out);
}

void
tz_docker_stream_free(TzStream *stream)
{
	tz_docker_frames_free(&stream->frames);
	tz_docker_pull_free(&stream->pull);
	free(stream);
}

bool
tz_docker_stream_wants(const TzEffect *effect, const TzHttpResponse *head)
{
	const TzDockerStep *step = tz_docker_step(effect);

	return step != NULL && (step->parse == tz_docker_parse_run || step->parse == tz_docker_parse_pull) &&
	       head->status / 100 == 2;
}

bool
tz_docker_stream_whole(const TzStream *stream)
{
	(void) stream;
	return false;
}
