/* Containers with networks, images that take their time, engines that are older or still at something. */
#include "lib_docker.h"

#include "lib_adapter.h"

#include "adapter/docker.h"

#define OWN "http://localhost/v4.0.0/libpod/networks/create"

static const char open_request[] =
	"{\"tag\":\"sbx_1\",\"instance\":\"i-1\",\"network\":{\"enabled\":true,\"allow\":[]}}";
static const char own_config[] = "{\"network\":\"own\",\"ports\":[8080,9090]}";

/* A member of the body by its path. */
static json_t *
asked(const Walk *w, const char *outer, const char *inner)
{
	static json_t *doc;
	json_t *found;

	json_decref(doc);
	doc = json_loads(body(w), 0, NULL);
	assert_non_null(doc);
	found = json_object_get(doc, outer);
	return inner != NULL ? json_object_get(found, inner) : found;
}

static void
test_network(void **state)
{
	Walk w;

	(void) state;
	/* Podman, asked in its own words */
	walk_begin(&w, "create", open_request, own_config);
	asks_at(&w, "POST", OWN);
	assert_string_equal(json_string_value(asked(&w, "name", NULL)), "theazo-sbx_1");
	assert_string_equal(json_string_value(asked(&w, "options", "isolate")), "true");
	assert_string_equal(json_string_value(asked(&w, "labels", "theazo.id")), "sbx_1");
	assert_string_equal(json_string_value(asked(&w, "labels", "theazo.instance")), "i-1");
	answers(&w, 200, "{}", "next");
	asks(&w, "POST", "/containers/create?name=theazo-sbx_1");
	assert_string_equal(json_string_value(asked(&w, "HostConfig", "NetworkMode")), "theazo-sbx_1");
	assert_non_null(strstr(body(&w), "\"9090/tcp\":[{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"\"}]"));
	assert_non_null(json_object_get(asked(&w, "ExposedPorts", NULL), "8080/tcp"));
	assert_string_equal(json_string_value(asked(&w, "Labels", "theazo.url")), "http://127.0.0.1:{port}");
	/* which it keeps over all that may come between */
	answers(&w, 404, "{\"message\":\"no such image\"}", "next");
	assert_int_equal(w.out.next_ms, TZ_DOCKER_PULL_MS);
	answers(&w, 200, "", "next");
	asks(&w, "POST", "/containers/create?name=theazo-sbx_1");
	answers(&w, 409, "{}", "next");
	answers(&w, 200, "[{\"Id\":\"cc\",\"State\":\"exited\"}]", "next");
	answers(&w, 204, "", "next");
	asks(&w, "POST", "/containers/create?name=theazo-sbx_1");
	assert_string_equal(json_string_value(asked(&w, "HostConfig", "NetworkMode")), "theazo-sbx_1");
	/* what fails takes it along, and says why all the same */
	answers(&w, 201, "{\"Id\":\"cc\"}", "next");
	answers(&w, 200, "", "next");
	answers(&w, 500, "{\"message\":\"no sh in there\"}", "next");
	answers(&w, 204, "", "next");
	asks(&w, "DELETE", "/networks/theazo-sbx_1");
	answers(&w, 403, "{\"message\":\"has active endpoints\"}", "failed");
	assert_int_equal(w.out.err.status, TZ_UNAVAILABLE);
	assert_non_null(strstr(w.out.err.detail, "no sh in there"));
	assert_true(w.out.err.hint[0] != '\0');
	walk_end(&w);

	/* Docker, which does not know those; made by an earlier attempt */
	walk_begin(&w, "create", open_request, own_config);
	asks_at(&w, "POST", OWN);
	answers(&w, 404, "{\"message\":\"page not found\"}", "next");
	asks(&w, "POST", "/networks/create");
	assert_string_equal(json_string_value(asked(&w, "Name", NULL)), "theazo-sbx_1");
	assert_string_equal(json_string_value(asked(&w, "Labels", "theazo.instance")), "i-1");
	answers(&w, 409, "{\"message\":\"already exists\"}", "next");
	asks(&w, "POST", "/containers/create?name=theazo-sbx_1");
	walk_end(&w);

	/* no addresses left: nothing was made, nothing is to go */
	walk_begin(&w, "create", open_request, own_config);
	asks_at(&w, "POST", OWN);
	answers(&w, 500, "{\"message\":\"no free subnet\"}", "failed");
	assert_non_null(strstr(w.out.err.detail, "no free subnet"));
	walk_end(&w);
}

/* None by the entry, none by the agent, none where hosts are listed that no engine could hold it to. */
static void
test_no_network(void **state)
{
	static const char *const cases[][2] = {
		{open_request, "{}"},
		{open_request, "{\"network\":\"none\",\"ports\":[8080]}"},
		{"{\"tag\":\"sbx_1\",\"network\":{\"enabled\":false}}", own_config},
		{"{\"tag\":\"sbx_1\"}", own_config},
		{"{\"tag\":\"sbx_1\",\"network\":{\"enabled\":true,\"allow\":[\"a.example\"]}}", own_config},
	};
	Walk w;

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		walk_begin(&w, "create", cases[i][0], cases[i][1]);
		asks(&w, "POST", "/containers/create?name=theazo-sbx_1");
		assert_string_equal(json_string_value(asked(&w, "HostConfig", "NetworkMode")), "none");
		assert_null(asked(&w, "HostConfig", "PortBindings"));
		assert_null(asked(&w, "ExposedPorts", NULL));
		walk_end(&w);
	}
}

static void
test_port(void **state)
{
	Walk w;

	(void) state;
	walk_begin(&w, "expose_port", "{\"sandbox\":\"c\",\"port\":8080}", own_config);
	asks(&w, "GET", "/containers/c/json");
	answers(
		&w, 200,
		"{\"Config\":{\"Labels\":{\"theazo.url\":\"https://box.example/p{port}/\"}},\"NetworkSettings\":{\"Ports\":"
		"{\"8080/tcp\":[{\"HostIp\":\"0.0.0.0\",\"HostPort\":\"40123\"}]}}}",
		"done");
	result_is(&w, "{\"url\":\"https://box.example/p40123/\"}");
	answers(&w, 200, "{\"Config\":{\"Labels\":{}},\"NetworkSettings\":{\"Ports\":{}}}", "failed");
	assert_int_equal(w.out.err.status, TZ_BAD_INPUT);
	answers(&w, 200,
	        "{\"Config\":{\"Labels\":{\"theazo.url\":\"http://x:{port}\"}},\"NetworkSettings\":{\"Ports\":"
	        "{\"8080/tcp\":[{\"HostPort\":\"1@evil\"}]}}}",
	        "failed");
	answers(&w, 404, "{}", "failed");
	assert_int_equal(w.out.err.status, TZ_GONE);
	walk_end(&w);
	walk_begin(&w, "expose_port", "{\"sandbox\":\"c\",\"port\":80}", own_config);
	assert_int_equal(w.adapter->build(&w.effect, &w.to, &w.req, &w.err), TZ_BAD_INPUT);
	walk_end(&w);
	walk_begin(&w, "expose_port", "{\"sandbox\":\"c\",\"port\":8080}", "{\"ports\":[8080]}");
	assert_int_equal(w.adapter->build(&w.effect, &w.to, &w.req, &w.err), TZ_UNSUPPORTED);
	walk_end(&w);
}

static void
test_network_goes(void **state)
{
	Walk w;

	(void) state;
	walk_begin(&w, "destroy", "{\"sandbox\":\"c\",\"tag\":\"sbx_1\"}", "{}");
	asks(&w, "DELETE", "/containers/c?force=1&v=1");
	answers(&w, 409, "{\"message\":\"removal is in progress\"}", "next");
	asks(&w, "DELETE", "/networks/theazo-sbx_1");
	answers(&w, 404, "{}", "done");
	walk_end(&w);
}

/* Fed in every size of piece: the last word of what went on, and an error wherever it stands. */
static void
test_pull_stream(void **state)
{
	static const char good[] =
		"{\"status\":\"Pulling\"}\r\n{\"status\":\"Downloading\",\"progress\":\"[=>  ] 1/2\"}\r\n";
	static const char bad[] = "{\"status\":\"Pulling\"}\n{\"errorDetail\":{\"message\":\"toomanyrequests\"}}";
	TzHttpResponse in;
	Walk w;

	(void) state;
	for (size_t piece = 1; piece < sizeof(good); piece++)
		for (int which = 0; which < 3; which++)
		{
			const char *text = which == 1 ? bad : good;
			TzStream *stream;

			walk_begin(&w, "create", "{\"tag\":\"t\"}", "{}");
			w.effect.state = w.state = json_pack("{s:s}", "do", "pull");
			stream = w.adapter->stream_new(&w.effect, &w.to, NULL, NULL);
			tz_http_response_init(&in, 0);
			in.status = 200;
			assert_true(w.adapter->stream_wants(&w.effect, &in));
			for (size_t at = 0; at < strlen(text); at += piece)
				assert_int_equal(w.adapter->stream_feed(stream,
				                                        tz_slice(text + at, at + piece < strlen(text)
				                                                                ? piece
				                                                                : strlen(text) - at),
				                                        NULL),
				                 TZ_OK);
			if (which == 2)
				tz_err_set(&in.err, TZ_TIMEOUT, "late");
			w.adapter->stream_end(stream, &w.effect, &in, &w.out);
			w.adapter->stream_free(stream);
			assert_string_equal(verdicts[w.out.verdict], which == 0 ? "next" : "failed");
			if (which == 1)
				assert_non_null(strstr(w.out.err.detail, "toomanyrequests"));
			if (which == 2)
				assert_non_null(strstr(w.out.err.detail, "Downloading [=>  ] 1/2"));
			tz_http_response_free(&in);
			walk_end(&w);
		}
}

/* A line without an end is not kept, a connection that breaks is tried again, a refusal is told. */
static void
test_pull_edges(void **state)
{
	static char long_line[200000];
	TzHttpResponse in;
	TzStream *stream;
	Walk w;

	(void) state;
	memset(long_line, 'x', sizeof(long_line));
	long_line[sizeof(long_line) - 1] = '\n';
	walk_begin(&w, "create", "{\"tag\":\"t\"}", "{}");
	w.effect.state = w.state = json_pack("{s:s}", "do", "pull");
	stream = w.adapter->stream_new(&w.effect, &w.to, NULL, NULL);
	tz_http_response_init(&in, 0);
	in.status = 200;
	w.adapter->stream_feed(stream, tz_slice(long_line, sizeof(long_line)), NULL);
	w.adapter->stream_feed(stream, tz_slice_cstr("{\"error\":\"no space\"}\n"), NULL);
	w.adapter->stream_end(stream, &w.effect, &in, &w.out);
	assert_string_equal(verdicts[w.out.verdict], "failed");
	assert_non_null(strstr(w.out.err.detail, "no space"));
	w.adapter->stream_free(stream);

	stream = w.adapter->stream_new(&w.effect, &w.to, NULL, NULL);
	tz_err_set(&in.err, TZ_UNAVAILABLE, "cut");
	in.maybe_sent = true;
	tz_outcome_free(&w.out);
	tz_outcome_init(&w.out, 0);
	w.adapter->stream_end(stream, &w.effect, &in, &w.out);
	assert_string_equal(verdicts[w.out.verdict], "retry");
	w.adapter->stream_free(stream);
	tz_http_response_free(&in);
	answers(&w, 404, "{\"message\":\"manifest unknown\"}", "failed");
	assert_non_null(strstr(w.out.err.message, "could not pull"));
	assert_non_null(strstr(w.out.err.detail, "manifest unknown"));
	walk_end(&w);
}

/* An engine that knows older versions only says which: the step again, and all that follow. */
static void
test_older(void **state)
{
	Walk w;

	(void) state;
	walk_begin(&w, "exec", "{\"sandbox\":\"c\",\"language\":\"sh\",\"code\":\"x\"}", "{}");
	asks(&w, "POST", "/containers/c/exec");
	answers(&w, 400,
	        "{\"message\":\"client version 1.44 is too new. Maximum supported API version is 1.41\"}",
	        "next");
	asks_at(&w, "POST", "http://localhost/v1.41/containers/c/exec");
	answers(&w, 201, "{\"Id\":\"abc\"}", "next");
	asks_at(&w, "POST", "http://localhost/v1.41/exec/abc/start");
	walk_end(&w);
	/* the first sample is the first all the same */
	walk_begin(&w, "metrics", "{\"sandbox\":\"c\"}", "{}");
	answers(&w, 400, "{\"message\":\"Maximum supported API version is 1.41\"}", "next");
	asks_at(&w, "GET", "http://localhost/v1.41/containers/c/stats?stream=false&one-shot=true");
	answers(
		&w, 200,
		"{\"read\":\"2026-11-22T04:11:37.5Z\",\"cpu_stats\":{\"cpu_usage\":{\"total_usage\":1000000000}}}",
		"next");
	asks_at(&w, "GET", "http://localhost/v1.41/containers/c/json?size=1");
	walk_end(&w);
	walk_begin(&w, "exec", "{\"sandbox\":\"c\",\"language\":\"sh\",\"code\":\"x\"}", "{}");
	w.effect.state = w.state = json_pack("{s:s, s:s}", "do", "exec", "api", "1.41");
	answers(&w, 400, "{\"message\":\"Maximum supported API version is 1.40\"}", "failed");
	walk_end(&w);
	walk_begin(&w, "exec", "{\"sandbox\":\"c\",\"language\":\"sh\",\"code\":\"x\"}", "{}");
	answers(&w, 400, "{\"message\":\"Maximum supported API version is ../x\"}", "failed");
	walk_end(&w);
}

/* A container that ends by itself, and whose removal is under way while something is asked of it. */
static void
test_on_its_way_out(void **state)
{
	static const char *const ops[][2] = {
		{"exec", "{\"sandbox\":\"c\",\"language\":\"sh\",\"code\":\"x\"}"},
		{"list", "{\"sandbox\":\"c\",\"dir\":\"/\"}"},
		{"read", "{\"sandbox\":\"c\",\"path\":\"/a\"}"},
		{"write", "{\"sandbox\":\"c\",\"path\":\"/a\"}"},
		{"pause", "{\"sandbox\":\"c\"}"},
		{"resume", "{\"sandbox\":\"c\"}"},
		{"logs", "{\"sandbox\":\"c\"}"},
	};
	Walk w;

	(void) state;
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
	{
		walk_begin(&w, ops[i][0], ops[i][1], "{}");
		assert_int_equal(w.adapter->build(&w.effect, &w.to, &w.req, &w.err), TZ_OK);
		answers(&w, 409, "{\"message\":\"container is marked for removal\"}", "next");
		asks(&w, "GET", "/containers/c/json");
		answers(&w, 200, "{\"State\":{\"Status\":\"removing\"}}", "failed");
		assert_int_equal(w.out.err.status, TZ_GONE);
		walk_end(&w);
	}
	/* its figures are empty before it is gone */
	walk_begin(&w, "metrics", "{\"sandbox\":\"c\"}", "{}");
	answers(&w, 200, "{\"read\":\"0001-01-01T00:00:00Z\",\"cpu_stats\":{\"cpu_usage\":{\"total_usage\":0}}}",
	        "next");
	asks(&w, "GET", "/containers/c/json");
	answers(&w, 200, "{\"State\":{\"Status\":\"exited\"}}", "failed");
	assert_int_equal(w.out.err.status, TZ_GONE);
	walk_end(&w);
	/* nor does one of an earlier attempt keep a creation busy for ever */
	walk_begin(&w, "create", "{\"tag\":\"t\"}", "{}");
	for (int i = 0; i < 11; i++)
	{
		answers(&w, 409, "{\"message\":\"name in use\"}", "next");
		answers(&w, 200, "[{\"Id\":\"cc\",\"State\":\"removing\"}]", "next");
		answers(&w, 409, "{\"message\":\"removal in progress\"}", i < 10 ? "next" : "failed");
		if (i < 10)
			assert_true(w.out.retry_after_ms > 0);
	}
	walk_end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_network),     cmocka_unit_test(test_no_network),
		cmocka_unit_test(test_port),        cmocka_unit_test(test_network_goes),
		cmocka_unit_test(test_pull_stream), cmocka_unit_test(test_pull_edges),
		cmocka_unit_test(test_older),       cmocka_unit_test(test_on_its_way_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
