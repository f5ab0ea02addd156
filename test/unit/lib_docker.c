/* See lib_docker.h. */
#include "lib_docker.h"

const char *const verdicts[] = {"", "done", "next", "retry", "failed", "unknown"};
void
walk_begin(Walk *w, const char *op, const char *request, const char *config)
{
	memset(w, 0, sizeof(*w));
	w->adapter = tz_adapter_find("docker");
	w->request = json_loads(request, 0, NULL);
	w->config = json_loads(config, 0, NULL);
	assert_non_null(w->request);
	assert_non_null(w->config);
	w->effect = (TzEffect){.platform_id = "plat_1",
	                       .id = "eff_1",
	                       .op = op,
	                       .attempt = 1,
	                       .request = w->request,
	                       .now_ms = INT64_C(1700000000123)};
	w->to = (TzEndpoint){.url = "http://localhost",
	                     .socket = "/x.sock",
	                     .config = w->config,
	                     .max_response = 1024 * 1024};
	tz_http_request_init(&w->req, 0);
	tz_outcome_init(&w->out, 1000);
}

void
walk_end(Walk *w)
{
	json_decref(w->request);
	json_decref(w->config);
	json_decref(w->state);
	tz_http_request_free(&w->req);
	tz_outcome_free(&w->out);
}

void
asks_at(Walk *w, const char *method, const char *url)
{
	tz_err_clear(&w->err);
	if (w->adapter->build(&w->effect, &w->to, &w->req, &w->err) != TZ_OK)
		fail_msg("%s", w->err.message);
	assert_string_equal(w->req.method, method);
	assert_string_equal(w->req.url.data, url);
}

void
asks(Walk *w, const char *method, const char *path)
{
	char url[1024];

	snprintf(url, sizeof(url), "http://localhost/v1.44%s", path);
	asks_at(w, method, url);
}

const char *
body(const Walk *w)
{
	return w->req.body.len > 0 ? w->req.body.data : "";
}

void
answer_bytes(Walk *w, int status, const void *bytes, size_t len)
{
	TzHttpResponse in;

	tz_outcome_free(&w->out);
	tz_outcome_init(&w->out, 1000);
	tz_http_response_init(&in, SIZE_MAX);
	in.status = status;
	in.total_us = 6000000;
	in.request = &w->req;
	if (len > 0)
		tz_buf_append(&in.body, bytes, len);
	w->adapter->parse(&w->effect, &in, &w->out);
	tz_http_response_free(&in);
	if (w->out.verdict == TZ_V_NEXT)
	{
		json_decref(w->state);
		w->state = w->out.state;
		w->out.state = NULL;
		w->effect.state = w->state;
		w->effect.step++;
	}
	else if (w->out.verdict != TZ_V_DONE)
		assert_true(w->out.err.message[0] != '\0');
}

void
answers(Walk *w, int status, const char *text, const char *verdict)
{
	answer_bytes(w, status, text, strlen(text));
	if (strcmp(verdicts[w->out.verdict], verdict) != 0)
		fail_msg("%s %s: %s, not %s: %s", w->effect.op, text, verdicts[w->out.verdict], verdict,
		         w->out.err.message);
}

void
result_is(Walk *w, const char *text)
{
	json_t *wanted = json_loads(text, 0, NULL);
	char *got = json_dumps(w->out.result, JSON_SORT_KEYS);

	if (!json_equal(w->out.result, wanted))
		fail_msg("got %s", got);
	free(got);
	json_decref(wanted);
}

/* ---- create ---- */
