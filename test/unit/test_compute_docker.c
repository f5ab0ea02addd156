/* The adapter for Docker's API: what is asked step by step, framed output in every split, answers that lie. */
#include "tz_test.h"

#include "lib_adapter.h"
#include "lib_docker.h"

#include "adapter/docker.h"
#include "lib/tar.h"

static const char exec_request[] =
	"{\"sandbox\":\"c1\",\"language\":\"sh\",\"code\":\"echo hi\",\"timeout_ms\":"
	"5000,\"env\":{\"A\":\"b\\\"c\"},\"max_output\":64}";

static void
test_create(void **state)
{
	TzSecretValue secret = {"env", "TOKEN", tz_slice_cstr("sesame-9")};
	Walk w;
	json_t *doc;
	json_t *host;

	(void) state;
	walk_begin(
		&w, "create",
		"{\"runtime\":\"node\",\"tag\":\"sbx_1\",\"lifetime_s\":60,\"env\":{\"X\":\"1\"},\"limits\":{\"memory_mb\":64}}",
		"{\"images\":{\"node\":\"r.example/n:1\"},\"cpus\":0.5,\"user\":\"7:8\",\"runtime\":\"runsc\"}");
	w.effect.secrets = &secret;
	w.effect.nsecrets = 1;
	asks(&w, "POST", "/containers/create?name=theazo-sbx_1");
	assert_null(strstr(body(&w), "sesame"));
	doc = json_loads(body(&w), 0, NULL);
	assert_non_null(doc);
	assert_string_equal(json_string_value(json_object_get(doc, "Image")), "r.example/n:1");
	assert_string_equal(json_string_value(json_object_get(doc, "User")), "7:8");
	assert_string_equal(json_string_value(json_object_get(json_object_get(doc, "Labels"), "theazo.id")),
	                    "sbx_1");
	host = json_incref(json_object_get(doc, "HostConfig"));
	json_decref(doc);
	doc = host;
	assert_string_equal(json_string_value(json_object_get(doc, "NetworkMode")), "none");
	assert_int_equal(json_integer_value(json_object_get(doc, "Memory")), 64 * 1024 * 1024);
	assert_int_equal(json_integer_value(json_object_get(doc, "MemorySwap")), 64 * 1024 * 1024);
	assert_int_equal(json_integer_value(json_object_get(doc, "NanoCpus")), 500000000);
	assert_string_equal(json_string_value(json_object_get(doc, "Runtime")), "runsc");
	assert_string_equal(json_string_value(json_array_get(json_object_get(doc, "CapDrop"), 0)), "ALL");
	assert_null(json_object_get(doc, "Privileged"));
	assert_null(json_object_get(doc, "Binds"));
	json_decref(doc);

	/* no image: pulled, asked for again, and not twice */
	answers(&w, 404, "{\"message\":\"no such image\"}", "next");
	assert_true(w.out.at_once);
	asks(&w, "POST", "/images/create?fromImage=r.example%2Fn&tag=1");
	answers(&w, 200, "{\"status\":\"Pulling\"}\r\n{\"status\":\"done\"}\r\n", "next");
	asks(&w, "POST", "/containers/create?name=theazo-sbx_1");
	answers(&w, 201, "{\"Id\":\"abc123\",\"Warnings\":[]}", "next");
	asks(&w, "PUT", "/containers/abc123/archive?path=%2F");
	answers(&w, 200, "", "next");
	asks(&w, "POST", "/containers/abc123/start");
	answers(&w, 204, "", "next");
	asks(&w, "GET", "/containers/abc123/json");
	answers(&w, 200, "{\"HostConfig\":{\"NetworkMode\":\"none\",\"Memory\":67108864,\"PidsLimit\":256}}",
	        "done");
	result_is(&w, "{\"sandbox\":\"abc123\",\"isolation\":\"container\",\"metadata\":{},\"policy\":"
	              "{\"network\":false,\"memory_mb\":64,\"processes\":256}}");
	/* the engine's word is only that */
	answers(&w, 500, "{}", "done");
	walk_end(&w);
}

static void
test_create_pull_fails(void **state)
{
	Walk w;

	(void) state;
	walk_begin(&w, "create", "{\"tag\":\"t\"}", "{}");
	asks(&w, "POST", "/containers/create?name=theazo-t");
	assert_non_null(strstr(body(&w), "docker.io/library/python:3.12-slim"));
	answers(&w, 404, "{\"message\":\"no such image\"}", "next");
	asks(&w, "POST", "/images/create?fromImage=docker.io%2Flibrary%2Fpython&tag=3.12-slim");
	answers(&w, 200,
	        "{\"status\":\"Pulling\"}\n{\"errorDetail\":{\"message\":\"denied\"},\"error\":\"denied\"}\n",
	        "failed");
	assert_non_null(strstr(w.out.err.detail, "denied"));
	walk_end(&w);

	walk_begin(&w, "create", "{\"tag\":\"t\"}", "{\"pull\":false}");
	asks(&w, "POST", "/containers/create?name=theazo-t");
	answers(&w, 404, "{}", "next");
	assert_int_equal(w.adapter->build(&w.effect, &w.to, &w.req, &w.err), TZ_NOT_FOUND);
	walk_end(&w);

	walk_begin(&w, "create", "{\"tag\":\"t\"}", "{}");
	w.effect.state = w.state = json_pack("{s:s, s:s}", "do", "create", "pulled", "yes");
	asks(&w, "POST", "/containers/create?name=theazo-t");
	answers(&w, 404, "{\"message\":\"no such image\"}", "failed");
	walk_end(&w);
}

/* The one that an earlier attempt has made is gone on with, whatever it had come to. */
static void
test_create_found(void **state)
{
	static const struct
	{
		const char *status;
		const char *then;
		const char *path;
	} cases[] = {
		{"running", "next", "/containers/cc/json"},
		{"paused", "next", "/containers/cc/json"},
		{"created", "next", "/containers/cc/archive?path=%2F"},
		{"configured", "next", "/containers/cc/archive?path=%2F"},
		{"exited", "next", "/containers/cc?force=1&v=1"},
		{"dead", "next", "/containers/cc?force=1&v=1"},
	};
	char text[128];
	Walk w;

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		walk_begin(&w, "create", "{\"tag\":\"sbx_2\"}", "{}");
		asks(&w, "POST", "/containers/create?name=theazo-sbx_2");
		answers(&w, 409, "{\"message\":\"name in use\"}", "next");
		asks(
			&w, "GET",
			"/containers/json?all=1&filters=%7B%22label%22%3A%5B%22theazo.id%22%2C%22theazo.id%3Dsbx_2%22%5D%7D");
		snprintf(text, sizeof(text), "[{\"Id\":\"cc\",\"State\":\"%s\"}]", cases[i].status);
		answers(&w, 200, text, cases[i].then);
		asks(&w, i < 2 ? "GET" : i < 4 ? "PUT" : "DELETE", cases[i].path);
		if (i >= 4)
		{
			answers(&w, 204, "", "next");
			asks(&w, "POST", "/containers/create?name=theazo-sbx_2");
		}
		walk_end(&w);
	}
	walk_begin(&w, "create", "{\"tag\":\"sbx_2\"}", "{}");
	w.effect.state = w.state = json_pack("{s:s}", "do", "find");
	answers(&w, 200, "[]", "retry");
	w.effect.attempt = 5;
	answers(&w, 200, "[]", "failed");
	walk_end(&w);
	/* Podman's answer for a name that is taken, and for anything else */
	walk_begin(&w, "create", "{\"tag\":\"sbx_2\"}", "{}");
	answers(&w, 500, "{\"message\":\"no space\"}", "next");
	answers(&w, 200, "[]", "failed");
	assert_non_null(strstr(w.out.err.detail, "no space"));
	walk_end(&w);
}

/* What does not start leaves nothing behind. */
static void
test_create_undone(void **state)
{
	Walk w;

	(void) state;
	walk_begin(&w, "create", "{\"tag\":\"t\"}", "{}");
	w.effect.state = w.state = json_pack("{s:s, s:s}", "do", "start", "id", "cc");
	asks(&w, "POST", "/containers/cc/start");
	answers(&w, 500, "{\"message\":\"no sh in there\"}", "next");
	asks(&w, "DELETE", "/containers/cc?force=1&v=1");
	answers(&w, 204, "", "failed");
	assert_non_null(strstr(w.out.err.detail, "no sh in there"));
	walk_end(&w);
}

/* A lost answer is never an end: the create is sent again. */
static void
test_create_lost(void **state)
{
	TzHttpResponse in;
	Walk w;

	(void) state;
	walk_begin(&w, "create", "{\"tag\":\"t\"}", "{}");
	tz_http_response_init(&in, 0);
	tz_err_set(&in.err, TZ_TIMEOUT, "late");
	in.maybe_sent = true;
	w.adapter->parse(&w.effect, &in, &w.out);
	assert_int_equal(w.out.verdict, TZ_V_UNKNOWN);
	walk_end(&w);
}

static void
test_bad_requests(void **state)
{
	static const char *const bad[][2] = {
		{"create", "{\"tag\":\"a/b\"}"},
		{"create", "{\"tag\":\"\"}"},
		{"create", "{\"tag\":\"t\",\"runtime\":\"perl\"}"},
		{"create", "{\"tag\":\"t\",\"env\":{\"a b\":\"c\"}}"},
		{"create", "{\"tag\":\"t\",\"snapshot\":\"a b\"}"},
		{"exec", "{\"language\":\"sh\",\"code\":\"x\"}"},
		{"exec", "{\"sandbox\":\"../x\",\"language\":\"sh\",\"code\":\"x\"}"},
		{"exec", "{\"sandbox\":\"c\",\"language\":\"cobol\",\"code\":\"x\"}"},
		{"read", "{\"sandbox\":\"c\",\"path\":\"/../x\"}"},
		{"read", "{\"sandbox\":\"c\",\"path\":\"\"}"},
		{"write", "{\"sandbox\":\"c\",\"path\":\"/\"}"},
		{"write", "{\"sandbox\":\"c\",\"path\":\"a/../../x\"}"},
		{"destroy", "{}"},
		{"forget", "{}"},
		{"fly", "{}"},
	};
	Walk w;

	(void) state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		walk_begin(&w, bad[i][0], bad[i][1], "{}");
		tz_err_clear(&w.err);
		if (w.adapter->build(&w.effect, &w.to, &w.req, &w.err) == TZ_OK)
			fail_msg("%s %s was taken", bad[i][0], bad[i][1]);
		assert_true(w.err.message[0] != '\0');
		walk_end(&w);
	}
}

/* ---- exec ---- */

static const char frames[] =
	"\1\0\0\0\0\0\0\3hi\n\2\0\0\0\0\0\0\5oops\n\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\4\303\244x\n";
#define FRAMES_LEN (sizeof(frames) - 1)

static void
test_exec(void **state)
{
	TzSecretValue secrets[] = {{"env", "TOKEN", tz_slice_cstr("sesame-9")},
	                           {"env", "A", tz_slice_cstr("hidden")}};
	json_t *doc;
	Walk w;

	(void) state;
	walk_begin(&w, "exec", exec_request, "{}");
	w.effect.secrets = secrets;
	w.effect.nsecrets = 2;
	asks(&w, "POST", "/containers/c1/exec");
	doc = json_loads(body(&w), 0, NULL);
	assert_non_null(doc);
	assert_int_equal(json_array_size(json_object_get(doc, "Env")), 2);
	assert_string_equal(json_string_value(json_array_get(json_object_get(doc, "Env"), 0)), "TOKEN=sesame-9");
	assert_string_equal(json_string_value(json_array_get(json_object_get(doc, "Env"), 1)), "A=b\"c");
	assert_non_null(
		strstr(json_string_value(json_array_get(json_object_get(doc, "Cmd"), 2)), "timeout -k 2 5"));
	assert_string_equal(json_string_value(json_array_get(json_object_get(doc, "Cmd"), 4)), "ZWNobyBoaQ==");
	assert_string_equal(json_string_value(json_object_get(doc, "WorkingDir")), "/work");
	assert_null(json_object_get(doc, "Privileged"));
	json_decref(doc);
	answers(&w, 201, "{\"Id\":\"e1f\"}", "next");
	asks(&w, "POST", "/exec/e1f/start");
	assert_string_equal(body(&w), "{\"Detach\":false,\"Tty\":false}");
	answer_bytes(&w, 200, frames, FRAMES_LEN);
	assert_int_equal(w.out.verdict, TZ_V_NEXT);
	asks(&w, "GET", "/exec/e1f/json");
	/* the end of the output is not the end of the command */
	answers(&w, 200, "{\"Running\":true,\"ExitCode\":null}", "next");
	assert_int_equal(w.out.retry_after_ms, 50);
	answers(&w, 200, "{\"Running\":true,\"ExitCode\":0}", "next");
	assert_int_equal(w.out.retry_after_ms, 100);
	asks(&w, "GET", "/exec/e1f/json");
	answers(&w, 200, "{\"Running\":false,\"ExitCode\":3}", "done");
	result_is(
		&w,
		"{\"stdout\":\"hi\\n\u00e4x\\n\",\"stderr\":\"oops\\n\",\"exit_code\":3,\"truncated\":false,\"timed_out\":false}");
	walk_end(&w);
}

/* The code is longer than one argument may be: pieces that are one text again. */
/* What a cut call left running is ended by another command, which finds it by the name of its effect. */
static void
test_stop(void **state)
{
	Walk w;

	(void) state;
	walk_begin(&w, "exec", exec_request, "{\"workdir\": \"/w\"}");
	asks(&w, "POST", "/containers/c1/exec");
	assert_non_null(strstr(body(&w), "tz_f='theazo-eff-1.sh'; echo $$ > \\u0022.${tz_f%.*}.pid\\u0022"));
	walk_end(&w);
	walk_begin(&w, "stop", "{\"sandbox\":\"c1\",\"exec\":\"eff_1\"}", "{\"workdir\": \"/w\"}");
	asks(&w, "POST", "/containers/c1/exec");
	assert_non_null(strstr(body(&w), "\"WorkingDir\":\"/w\""));
	assert_non_null(strstr(body(&w), ",\"sh\",\"theazo-eff-1\"]"));
	assert_null(strstr(body(&w), "\"Env\""));
	answers(&w, 201, "{\"Id\": \"def\"}", "next");
	asks(&w, "POST", "/exec/def/start");
	answer_bytes(&w, 200, "\1\0\0\0\0\0\0\1x", 9);
	assert_string_equal(verdicts[w.out.verdict], "done");
	w.effect.state = NULL;
	answers(&w, 404, "{\"message\": \"no such container\"}", "done");
	answers(&w, 409, "{\"message\": \"paused\"}", "failed");
	walk_end(&w);
	walk_begin(&w, "stop", "{\"sandbox\":\"c1\"}", "{}");
	assert_int_not_equal(w.adapter->build(&w.effect, &w.to, &w.req, &w.err), TZ_OK);
	walk_end(&w);
}

static void
test_exec_long(void **state)
{
	size_t len = 300 * 1024;
	char *code = malloc(len + 1);
	json_t *request;
	json_t *doc;
	json_t *cmd;
	char *text;
	Walk w;

	(void) state;
	memset(code, 'x', len);
	code[len] = '\0';
	request = json_pack("{s:s, s:s, s:s}", "sandbox", "c", "language", "python", "code", code);
	text = json_dumps(request, 0);
	walk_begin(&w, "exec", text, "{}");
	asks(&w, "POST", "/containers/c/exec");
	doc = json_loads(body(&w), 0, NULL);
	cmd = json_object_get(doc, "Cmd");
	assert_int_equal(json_array_size(cmd), 8);
	for (size_t i = 4; i < 8; i++)
	{
		assert_true(json_string_length(json_array_get(cmd, i)) < 128 * 1024);
		assert_true(i == 7 || strchr(json_string_value(json_array_get(cmd, i)), '=') == NULL);
	}
	json_decref(doc);
	json_decref(request);
	free(text);
	free(code);
	walk_end(&w);
}

static void
test_timed_out(void **state)
{
	Walk w;

	(void) state;
	for (int code = 0; code < 256; code++)
	{
		char text[64];
		bool late = code == 124 || code == 137 || code == 143;

		walk_begin(&w, "exec", exec_request, "{}");
		w.effect.state = w.state = json_pack("{s:s, s:s, s:s, s:s, s:b, s:i}", "do", "inspect", "exec", "e1",
		                                     "stdout", "", "stderr", "", "truncated", 1, "ms", 5001);
		snprintf(text, sizeof(text), "{\"Running\":false,\"ExitCode\":%d}", code);
		answers(&w, 200, text, "done");
		assert_int_equal(json_is_true(json_object_get(w.out.result, "timed_out")), late);
		assert_int_equal(json_integer_value(json_object_get(w.out.result, "exit_code")), late ? 124 : code);
		assert_true(json_is_true(json_object_get(w.out.result, "truncated")));
		walk_end(&w);
	}
}

typedef struct Seen
{
	TzBuf texts[2];
} Seen;

static void
on_delta(void *arg, const TzDelta *delta)
{
	Seen *seen = arg;

	tz_buf_append(&seen->texts[delta->kind == TZ_DELTA_STDERR], delta->text.data, delta->text.len);
}

/* Cut into two at every place, and into single bytes: always the same. */
static void
test_splits(void **state)
{
	(void) state;
	for (size_t cut = 0; cut <= FRAMES_LEN + 1; cut++)
	{
		TzDockerFrames f;
		Seen seen;
		TzErr err;

		tz_buf_init(&seen.texts[0], 1000);
		tz_buf_init(&seen.texts[1], 1000);
		tz_docker_frames_init(&f, 100, on_delta, &seen);
		if (cut <= FRAMES_LEN)
		{
			assert_int_equal(tz_docker_frames_feed(&f, tz_slice(frames, cut), &err), TZ_OK);
			assert_int_equal(tz_docker_frames_feed(&f, tz_slice(frames + cut, FRAMES_LEN - cut), &err),
			                 TZ_OK);
		}
		else
			for (size_t i = 0; i < FRAMES_LEN; i++)
				assert_int_equal(tz_docker_frames_feed(&f, tz_slice(frames + i, 1), &err), TZ_OK);
		assert_true(tz_slice_eq_cstr(tz_buf_slice(&f.texts[0]), "hi\n\303\244x\n"));
		assert_true(tz_slice_eq_cstr(tz_buf_slice(&f.texts[1]), "oops\n"));
		for (int i = 0; i < 2; i++)
		{
			assert_true(tz_slice_eq(tz_buf_slice(&f.texts[i]), tz_buf_slice(&seen.texts[i])));
			tz_buf_free(&seen.texts[i]);
		}
		assert_false(f.cut);
		tz_docker_frames_free(&f);
	}
}

static void
test_frames_bounds(void **state)
{
	static const char large[] = "\1\0\0\0\0\1\0\0";
	static const char *const bad[] = {"\4\0\0\0\0\0\0\1x", "\1\1\0\0\0\0\0\1x", "HTTP/1.1 200 OK"};
	char block[4096];
	TzDockerFrames f;
	TzErr err;

	(void) state;
	/* more than is kept is read to its end, and the other stream still has its room */
	memset(block, 'a', sizeof(block));
	tz_docker_frames_init(&f, 100, NULL, NULL);
	assert_int_equal(tz_docker_frames_feed(&f, tz_slice(large, 8), &err), TZ_OK);
	for (int i = 0; i < 16; i++)
		assert_int_equal(tz_docker_frames_feed(&f, tz_slice(block, sizeof(block)), &err), TZ_OK);
	assert_int_equal(f.texts[0].len, 100);
	assert_true(f.cut);
	assert_int_equal(tz_docker_frames_feed(&f, tz_slice("\2\0\0\0\0\0\0\1e", 9), &err), TZ_OK);
	assert_int_equal(f.texts[1].len, 1);
	/* what the engine has to say itself */
	assert_int_equal(tz_docker_frames_feed(&f, tz_slice("\3\0\0\0\0\0\0\4lost", 12), &err), TZ_OK);
	assert_true(tz_slice_eq_cstr(tz_buf_slice(&f.said), "lost"));
	tz_docker_frames_free(&f);

	for (size_t i = 0; i < 3; i++)
	{
		tz_docker_frames_init(&f, 100, NULL, NULL);
		assert_int_equal(tz_docker_frames_feed(&f, tz_slice(bad[i], 9), &err), TZ_BAD_ANSWER);
		tz_docker_frames_free(&f);
	}
}

/* Read as it comes and read at the end: the same. */
static void
test_stream(void **state)
{
	TzHttpResponse in;
	TzStream *stream;
	Seen seen;
	Walk w;

	(void) state;
	tz_buf_init(&seen.texts[0], 1000);
	tz_buf_init(&seen.texts[1], 1000);
	walk_begin(&w, "exec", exec_request, "{}");
	stream = w.adapter->stream_new(&w.effect, &w.to, on_delta, &seen);
	tz_http_response_init(&in, 1000);
	in.status = 201;
	assert_false(w.adapter->stream_wants(&w.effect, &in));
	tz_buf_append_cstr(&in.body, "{\"Id\":\"e1\"}");
	w.adapter->stream_end(stream, &w.effect, &in, &w.out);
	assert_int_equal(w.out.verdict, TZ_V_NEXT);
	w.effect.state = w.state = json_incref(w.out.state);
	tz_outcome_free(&w.out);
	tz_outcome_init(&w.out, 0);
	in.status = 200;
	tz_buf_reset(&in.body);
	assert_true(w.adapter->stream_wants(&w.effect, &in));
	for (size_t i = 0; i < FRAMES_LEN; i++)
		assert_int_equal(w.adapter->stream_feed(stream, tz_slice(frames + i, 1), NULL), TZ_OK);
	assert_false(w.adapter->stream_whole(stream));
	w.adapter->stream_end(stream, &w.effect, &in, &w.out);
	assert_int_equal(w.out.verdict, TZ_V_NEXT);
	assert_string_equal(json_string_value(json_object_get(w.out.state, "stdout")), "hi\n\303\244x\n");
	assert_string_equal(json_string_value(json_object_get(w.out.state, "stderr")), "oops\n");
	assert_true(tz_slice_eq_cstr(tz_buf_slice(&seen.texts[1]), "oops\n"));
	w.adapter->stream_free(stream);

	/* what is not framed ends the call */
	json_object_set_new(w.effect.state, "do", json_string("run"));
	stream = w.adapter->stream_new(&w.effect, &w.to, on_delta, &seen);
	assert_int_not_equal(w.adapter->stream_feed(stream, tz_slice_cstr("no frames"), NULL), TZ_OK);
	tz_outcome_free(&w.out);
	tz_outcome_init(&w.out, 0);
	tz_err_set(&in.err, TZ_CANCELLED, "cut");
	w.adapter->stream_end(stream, &w.effect, &in, &w.out);
	assert_int_equal(w.out.verdict, TZ_V_FAILED);
	assert_int_equal(w.out.err.status, TZ_BAD_ANSWER);
	w.adapter->stream_free(stream);
	tz_http_response_free(&in);
	tz_buf_free(&seen.texts[0]);
	tz_buf_free(&seen.texts[1]);
	walk_end(&w);
}

static void
test_exec_refused(void **state)
{
	Walk w;

	(void) state;
	/* not there any more */
	walk_begin(&w, "exec", exec_request, "{}");
	answers(&w, 404, "{\"message\":\"no such container\"}", "failed");
	assert_int_equal(w.out.err.status, TZ_GONE);
	walk_end(&w);
	/* stopped, as Podman says it */
	walk_begin(&w, "exec", exec_request, "{}");
	answers(&w, 500, "{\"cause\":\"x\",\"message\":\"container state improper\",\"response\":500}", "next");
	asks(&w, "GET", "/containers/c1/json");
	answers(&w, 200, "{\"State\":{\"Status\":\"exited\"}}", "failed");
	assert_int_equal(w.out.err.status, TZ_GONE);
	walk_end(&w);
	/* paused */
	walk_begin(&w, "exec", exec_request, "{}");
	answers(&w, 409, "{\"message\":\"is paused\"}", "next");
	answers(&w, 200, "{\"State\":{\"Status\":\"paused\"}}", "failed");
	assert_int_not_equal(w.out.err.status, TZ_GONE);
	assert_non_null(strstr(w.out.err.detail, "is paused"));
	walk_end(&w);
	/* it polls for ever */
	walk_begin(&w, "exec", exec_request, "{}");
	w.effect.state = w.state = json_pack("{s:s, s:s, s:i}", "do", "inspect", "exec", "e1", "polls", 12);
	answers(&w, 200, "{\"Running\":true}", "failed");
	walk_end(&w);
}

/* ---- files ---- */

static void
test_list(void **state)
{
	static const char listing[] =
		"41ed 4096 1700000000 ./sub\n81a4 5 1700000001 ./two\nlines\n81a4 0 1 ./\303\244\n";
	Walk w;

	(void) state;
	walk_begin(&w, "list", "{\"sandbox\":\"c\",\"dir\":\"/a b\"}", "{\"workdir\":\"/srv/x\"}");
	asks(&w, "POST", "/containers/c/exec");
	assert_non_null(strstr(body(&w), "\"/srv/x/a b\"]"));
	w.effect.state = w.state =
		json_pack("{s:s, s:s, s:s, s:b}", "do", "inspect", "exec", "e", "stdout", listing, "truncated", 0);
	answers(&w, 200, "{\"Running\":false,\"ExitCode\":0}", "done");
	result_is(&w, "{\"entries\":[{\"name\":\"sub\",\"size\":4096,\"modified\":1700000000000,\"is_dir\":true},"
	              "{\"name\":\"two\\nlines\",\"size\":5,\"modified\":1700000001000,\"is_dir\":false},"
	              "{\"name\":\"\u00e4\",\"size\":0,\"modified\":1000,\"is_dir\":false}]}");
	answers(&w, 200, "{\"Running\":false,\"ExitCode\":44}", "failed");
	assert_string_equal(w.out.error_code, "not_found");
	walk_end(&w);
}

static void
add_entry(TzBuf *out, char type, const char *link, const char *content)
{
	TzTarOwner owner = {0, 0, 0};
	unsigned sum = 0;

	tz_tar_add_file(out, tz_slice_cstr("f"), 0644, &owner, tz_slice_cstr(content), NULL);
	out->data[156] = type;
	memcpy(out->data + 157, link, strlen(link));
	memset(out->data + 148, ' ', 8);
	for (int i = 0; i < 512; i++)
		sum += (unsigned char) out->data[i];
	snprintf(out->data + 148, 8, "%06o", sum);
}

static void
test_read(void **state)
{
	TzBuf tar;
	Walk w;

	(void) state;
	tz_buf_init(&tar, 100000);
	add_entry(&tar, '2', "../up/./t", "");
	walk_begin(&w, "read", "{\"sandbox\":\"c\",\"path\":\"/d/a b\",\"max_bytes\":10}", "{}");
	asks(&w, "GET", "/containers/c/archive?path=%2Fwork%2Fd%2Fa%20b");
	answer_bytes(&w, 200, tar.data, tar.len);
	assert_int_equal(w.out.verdict, TZ_V_NEXT);
	asks(&w, "GET", "/containers/c/archive?path=%2Fwork%2Fup%2Ft");
	tz_buf_reset(&tar);
	add_entry(&tar, '0', "", "0123456789");
	answer_bytes(&w, 200, tar.data, tar.len);
	assert_int_equal(w.out.verdict, TZ_V_DONE);
	result_is(&w, "{\"size\":10}");
	assert_true(tz_slice_eq_cstr(tz_buf_slice(&w.out.content), "0123456789"));
	/* half a file is none */
	answer_bytes(&w, 200, tar.data, 517);
	assert_int_equal(w.out.verdict, TZ_V_FAILED);
	assert_int_equal(w.out.content.len, 0);
	tz_buf_reset(&tar);
	add_entry(&tar, '0', "", "0123456789A");
	answer_bytes(&w, 200, tar.data, tar.len);
	assert_int_equal(w.out.err.status, TZ_TOO_LARGE);
	tz_buf_reset(&tar);
	add_entry(&tar, '5', "", "");
	answer_bytes(&w, 200, tar.data, tar.len);
	assert_string_equal(w.out.error_code, "not_found");
	answers(&w, 200, "no archive", "failed");
	/* a link that leads to itself */
	tz_buf_reset(&tar);
	add_entry(&tar, '2', "t", "");
	for (int i = 0; i < 7; i++)
	{
		asks(&w, "GET", "/containers/c/archive?path=%2Fwork%2Fup%2Ft");
		answer_bytes(&w, 200, tar.data, tar.len);
	}
	assert_int_equal(w.out.verdict, TZ_V_NEXT);
	answer_bytes(&w, 200, tar.data, tar.len);
	assert_string_equal(w.out.error_code, "not_found");
	tz_buf_free(&tar);
	walk_end(&w);

	walk_begin(&w, "read", "{\"sandbox\":\"c\",\"path\":\"/x\"}", "{}");
	answers(&w, 404, "{\"message\":\"no such file\"}", "next");
	asks(&w, "GET", "/containers/c/json");
	answers(&w, 200, "{\"State\":{\"Status\":\"running\"}}", "failed");
	assert_string_equal(w.out.error_code, "not_found");
	walk_end(&w);
}

static void
test_write(void **state)
{
	TzTarReader reader;
	TzTarEntry e;
	Walk w;

	(void) state;
	walk_begin(&w, "write", "{\"sandbox\":\"c\",\"path\":\"/d/e/f\"}", "{}");
	w.effect.content = tz_slice("\0\377A", 3);
	asks(&w, "PUT", "/containers/c/archive?noOverwriteDirNonDir=1&path=%2Fwork");
	assert_string_equal(adapter_header(&w.req, "Content-Type"), "application/x-tar");
	tz_tar_read(&reader, tz_buf_slice(&w.req.body), 100);
	assert_int_equal(tz_tar_next(&reader, &e, NULL), TZ_OK);
	assert_true(tz_slice_eq_cstr(e.name, "d") && e.type == '5');
	assert_int_equal(tz_tar_next(&reader, &e, NULL), TZ_OK);
	assert_true(tz_slice_eq_cstr(e.name, "d/e") && e.type == '5');
	assert_int_equal(tz_tar_next(&reader, &e, NULL), TZ_OK);
	assert_true(tz_slice_eq_cstr(e.name, "d/e/f") && e.type == '0' && e.data.len == 3);
	answers(&w, 200, "", "done");
	answers(&w, 400, "{\"message\":\"container rootfs is marked read-only\"}", "failed");
	answers(&w, 403, "{\"message\":\"read-only\"}", "failed");
	walk_end(&w);
}

/* ---- the rest ---- */

static void
test_pause(void **state)
{
	Walk w;

	(void) state;
	walk_begin(&w, "pause", "{\"sandbox\":\"c\"}", "{}");
	asks(&w, "POST", "/containers/c/pause");
	answers(&w, 204, "", "done");
	result_is(&w, "{\"snapshot\":\"c\",\"supported\":true}");
	/* already: Docker 409, Podman 500 */
	answers(&w, 500, "{}", "next");
	answers(&w, 200, "{\"State\":{\"Status\":\"paused\"}}", "done");
	walk_end(&w);
	walk_begin(&w, "resume", "{\"sandbox\":\"c\",\"snapshot\":\"c\"}", "{}");
	asks(&w, "POST", "/containers/c/unpause");
	answers(&w, 409, "{}", "next");
	answers(&w, 200, "{\"State\":{\"Status\":\"running\"}}", "done");
	result_is(&w, "{\"sandbox\":\"c\"}");
	walk_end(&w);
	walk_begin(&w, "resume", "{\"sandbox\":\"c\",\"snapshot\":\"c\"}", "{}");
	answers(&w, 404, "{}", "next");
	answers(&w, 404, "{}", "failed");
	assert_int_equal(w.out.err.status, TZ_GONE);
	walk_end(&w);
}

static void
test_metrics(void **state)
{
	Walk w;

	(void) state;
	walk_begin(&w, "metrics", "{\"sandbox\":\"c\"}", "{}");
	asks(&w, "GET", "/containers/c/stats?stream=false&one-shot=true");
	answers(
		&w, 200,
		"{\"read\":\"2026-11-22T04:11:37.5Z\",\"cpu_stats\":{\"cpu_usage\":{\"total_usage\":1000000000}}}",
		"next");
	asks(&w, "GET", "/containers/c/json?size=1");
	answers(&w, 200, "{\"SizeRw\":1048576}", "next");
	assert_int_equal(w.out.retry_after_ms, 250);
	asks(&w, "GET", "/containers/c/stats?stream=false&one-shot=true");
	answers(&w, 200,
	        "{\"read\":\"2026-11-22T04:11:38.0Z\",\"cpu_stats\":{\"cpu_usage\":{\"total_usage\":1250000000}},"
	        "\"memory_stats\":{\"usage\":4194304,\"stats\":{\"inactive_file\":1048576}}}",
	        "done");
	assert_true(json_real_value(json_object_get(w.out.result, "cpu_percent")) > 49.9 &&
	            json_real_value(json_object_get(w.out.result, "cpu_percent")) < 50.1);
	assert_true(json_real_value(json_object_get(w.out.result, "memory_mb")) == 3.0);
	assert_true(json_real_value(json_object_get(w.out.result, "disk_mb")) == 1.0);
	/* a stopped one has empty figures */
	w.effect.state = NULL;
	answers(&w, 200, "{\"read\":\"0001-01-01T00:00:00Z\"}", "failed");
	walk_end(&w);
}

static void
test_sweep_renew(void **state)
{
	Walk w;

	(void) state;
	walk_begin(&w, "sweep", "{\"instance\":\"i-1\"}", "{}");
	asks(
		&w, "GET",
		"/containers/json?all=1&filters=%7B%22label%22%3A%5B%22theazo.id%22%2C%22theazo.instance%3Di-1%22%5D%7D");
	answers(
		&w, 200,
		"[{\"Id\":\"a\",\"Labels\":{\"theazo.id\":\"sbx_1\",\"theazo.instance\":\"i-1\"}},{\"Id\":\"b\",\"Labels\":{}},"
		"{\"Id\":\"c\",\"Labels\":{\"theazo.id\":\"sbx_3\"}}]",
		"next");
	asks(
		&w, "POST",
		"/networks/prune?filters=%7B%22label%22%3A%5B%22theazo.instance%3Di-1%22%5D%2C%22until%22%3A%5B%2210m%22%5D%7D");
	answers(&w, 500, "{\"message\":\"no\"}", "done");
	result_is(&w, "{\"sandboxes\":[{\"sandbox\":\"a\",\"tag\":\"sbx_1\",\"instance\":\"i-1\"},"
	              "{\"sandbox\":\"c\",\"tag\":\"sbx_3\"}],\"complete\":true}");
	w.effect.state = NULL;
	answers(&w, 200, "{}", "failed");
	walk_end(&w);
	walk_begin(&w, "renew", "{\"sandbox\":\"c\",\"lifetime_s\":100}", "{}");
	asks(&w, "GET", "/containers/c/json");
	answers(&w, 200, "{\"Config\":{\"Labels\":{\"theazo.lifetime\":\"3600\"}}}", "next");
	asks(&w, "POST", "/containers/c/kill?signal=USR1");
	answers(&w, 204, "", "done");
	result_is(&w, "{\"lifetime_s\":3600}");
	answers(&w, 409, "{}", "next");
	answers(&w, 200, "{\"State\":{\"Status\":\"exited\"}}", "failed");
	assert_int_equal(w.out.err.status, TZ_GONE);
	walk_end(&w);
}

static void
test_snapshot(void **state)
{
	Walk w;

	(void) state;
	walk_begin(&w, "snapshot", "{\"sandbox\":\"c\"}", "{}");
	asks(&w, "GET", "/images/localhost/theazo/snapshot:eff_1/json");
	answers(&w, 404, "{}", "next");
	asks(&w, "POST", "/commit?container=c&repo=localhost%2Ftheazo%2Fsnapshot&tag=eff_1&pause=true");
	answers(&w, 201, "{\"Id\":\"abc\"}", "next");
	asks(&w, "GET", "/images/localhost/theazo/snapshot:eff_1/json");
	answers(&w, 200, "{\"Id\":\"sha256:abc\",\"Size\":77}", "done");
	result_is(&w, "{\"snapshot\":\"sha256:abc\",\"size_bytes\":77}");
	walk_end(&w);
	walk_begin(&w, "forget", "{\"snapshot\":\"sha256:abc\"}", "{}");
	asks(&w, "DELETE", "/images/sha256:abc?force=1");
	answers(&w, 404, "{}", "done");
	answers(&w, 409, "{\"message\":\"in use\"}", "retry");
	walk_end(&w);
}

static void
test_destroy(void **state)
{
	Walk w;

	(void) state;
	walk_begin(&w, "destroy", "{\"sandbox\":\"c\"}", "{}");
	asks(&w, "DELETE", "/containers/c?force=1&v=1");
	answers(&w, 204, "", "done");
	answers(&w, 404, "{\"message\":\"gone\"}", "done");
	answers(&w, 409, "{\"message\":\"removal of container c is already in progress\"}", "done");
	answers(&w, 500, "{\"message\":\"no\"}", "retry");
	walk_end(&w);
	/* made perhaps, by nobody knows what name of its own */
	walk_begin(&w, "destroy", "{\"tag\":\"sbx_1\"}", "{}");
	asks(&w, "DELETE", "/containers/theazo-sbx_1?force=1&v=1");
	walk_end(&w);
}

static void
test_identity(void **state)
{
	TzSecretValue secret = {"credential", "cert", tz_slice_cstr("-----BEGIN CERTIFICATE-----\nx\n")};
	Walk w;

	(void) state;
	walk_begin(&w, "destroy", "{\"sandbox\":\"c\"}",
	           "{\"ca\":\"-----BEGIN CERTIFICATE-----\\ny\\n\",\"apiVersion\":\"1.41\"}");
	w.to.url = "https://engine.example:2376";
	w.to.socket = NULL;
	w.effect.secrets = &secret;
	w.effect.nsecrets = 1;
	assert_int_equal(w.adapter->build(&w.effect, &w.to, &w.req, &w.err), TZ_OK);
	assert_string_equal(w.req.url.data, "https://engine.example:2376/v1.41/containers/c?force=1&v=1");
	assert_true(tz_slice_eq(tz_buf_slice(&w.req.identity), secret.value));
	assert_int_equal(w.req.authority.len, 30);
	secret.value = tz_slice_cstr("a token");
	assert_int_equal(w.adapter->build(&w.effect, &w.to, &w.req, &w.err), TZ_BAD_INPUT);
	assert_null(strstr(w.err.message, "a token"));
	walk_end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create),       cmocka_unit_test(test_create_pull_fails),
		cmocka_unit_test(test_create_found), cmocka_unit_test(test_create_undone),
		cmocka_unit_test(test_create_lost),  cmocka_unit_test(test_bad_requests),
		cmocka_unit_test(test_exec),         cmocka_unit_test(test_exec_long),
		cmocka_unit_test(test_stop),         cmocka_unit_test(test_timed_out),
		cmocka_unit_test(test_splits),       cmocka_unit_test(test_frames_bounds),
		cmocka_unit_test(test_stream),       cmocka_unit_test(test_exec_refused),
		cmocka_unit_test(test_list),         cmocka_unit_test(test_read),
		cmocka_unit_test(test_write),        cmocka_unit_test(test_pause),
		cmocka_unit_test(test_metrics),      cmocka_unit_test(test_sweep_renew),
		cmocka_unit_test(test_snapshot),     cmocka_unit_test(test_destroy),
		cmocka_unit_test(test_identity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
