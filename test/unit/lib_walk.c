#include "tz_test.h"

#include "lib_walk.h"

static const TzSecretValue secrets[] = {{"credential", "c", {WALK_KEY, sizeof(WALK_KEY) - 1}},
                                        {"env", "HIDDEN", {WALK_SECRET, sizeof(WALK_SECRET) - 1}}};
static char told[4096];

static void
on_delta(void *arg, const TzDelta *delta)
{
	size_t used = strlen(told);

	(void) arg;
	snprintf(told + used, sizeof(told) - used, "%s%.*s|",
	         delta->kind == TZ_DELTA_STDOUT ? "out:" : "err:", (int) delta->text.len, delta->text.data);
}

static void
no_secret(const char *text)
{
	if (text != NULL && (strstr(text, WALK_KEY) != NULL || strstr(text, WALK_SECRET) != NULL))
		fail_msg("a secret in %s", text);
}

static void
no_secrets(const TzOutcome *out, const TzHttpRequest *req)
{
	char *state = out->state != NULL ? json_dumps(out->state, 0) : NULL;

	no_secret(state);
	free(state);
	no_secret(req->url.data);
	no_secret(out->err.message);
	no_secret(out->err.detail);
	no_secret(out->err.hint);
}

static void
take(const TzAdapter *adapter, const TzEffect *effect, const TzEndpoint *to, const TzHttpResponse *in,
     bool streamed, TzOutcome *out)
{
	TzStream *stream;

	if (!streamed)
	{
		adapter->parse(effect, in, out);
		return;
	}
	assert_false(adapter->stream_wants != NULL && adapter->stream_wants(effect, in));
	stream = adapter->stream_new(effect, to, on_delta, NULL);
	assert_non_null(stream);
	adapter->stream_end(stream, effect, in, out);
	adapter->stream_free(stream);
}

static void
must_equal(json_t *value, const char *text)
{
	json_t *wanted = json_loads(text, JSON_DECODE_ANY, NULL);

	assert_non_null(wanted);
	if (!json_equal(value, wanted))
	{
		char *got = json_dumps(value, JSON_SORT_KEYS | JSON_ENCODE_ANY);

		fail_msg("%s is not %s", got != NULL ? got : "NULL", text);
		free(got);
	}
	json_decref(wanted);
}

const char *
walk(const Walk *w)
{
	const TzAdapter *adapter = tz_adapter_find(w->adapter);
	json_t *request = json_loads(w->request, 0, NULL);
	json_t *config = json_loads(w->config != NULL ? w->config : "{}", 0, NULL);
	json_t *state = w->state != NULL ? json_loads(w->state, 0, NULL) : NULL;
	TzEndpoint to = {.url = w->url, .config = config, .max_response = 1024 * 1024};
	TzEffect effect = {.platform_id = "p",
	                   .id = w->id != NULL ? w->id : "eff_1",
	                   .op = w->op,
	                   .request = request,
	                   .secrets = secrets,
	                   .nsecrets = 2,
	                   .content = w->content,
	                   .now_ms = INT64_C(1700000000000)};
	char kept[2048] = "";
	TzOutcome out;
	int n = 0;

	assert_non_null(request);
	assert_non_null(config);
	told[0] = '\0';
	snprintf(kept, sizeof(kept), "%s", w->kept != NULL ? w->kept : "");
	for (n = 0;; n++)
	{
		const WalkStep *s = &w->steps[n];
		char sent[4096];
		TzHttpRequest req;
		TzHttpResponse in;
		TzErr err = {0};

		assert_non_null(s->sent);
		effect.attempt = n + 1;
		effect.step = n;
		effect.state = state;
		effect.kept = tz_slice_cstr(kept);
		tz_http_request_init(&req, 0);
		if (adapter->build(&effect, &to, &req, &err) != TZ_OK)
			fail_msg("%s %s, step %d: not built: %s", w->adapter, w->op, n, err.message);
		effect.kept = tz_slice(NULL, 0);
		snprintf(sent, sizeof(sent), "%s %s", req.method, req.url.data);
		if (strcmp(sent, s->sent) != 0)
			fail_msg("%s %s, step %d: \"%s\" is sent, not \"%s\"", w->adapter, w->op, n, sent, s->sent);
		if (s->has != NULL &&
		    (req.body.data == NULL || memmem(req.body.data, req.body.len, s->has, strlen(s->has)) == NULL))
			fail_msg("%s %s, step %d: \"%s\" is not in %s", w->adapter, w->op, n, s->has, req.body.data);
		effect.now_ms += s->after_ms;
		tz_http_response_init(&in, 1024 * 1024);
		in.request = &req;
		in.status = s->status;
		if (s->status == 0)
		{
			tz_err_set(&in.err, s->lost, "no answer");
			in.maybe_sent = true;
		}
		else
		{
			if (s->header == NULL || strncmp(s->header, "content-type", 12) != 0)
				tz_http_response_add(&in, "content-type: application/json", 30);
			if (s->header != NULL)
				tz_http_response_add(&in, s->header, strlen(s->header));
			if (s->body != NULL)
				tz_buf_append(&in.body, s->body, strlen(s->body));
		}
		tz_outcome_init(&out, 1024 * 1024);
		take(adapter, &effect, &to, &in, w->streamed, &out);
		no_secrets(&out, &req);
		if (out.keep)
			snprintf(kept, sizeof(kept), "%.*s", (int) out.kept.len, out.kept.len > 0 ? out.kept.data : "");
		tz_http_request_free(&req);
		tz_http_response_free(&in);
		if (w->steps[n + 1].sent == NULL)
			break;
		if (out.verdict != TZ_V_NEXT && out.verdict != TZ_V_RETRY)
			fail_msg("%s %s, step %d: it ends with verdict %d: %s", w->adapter, w->op, n, out.verdict,
			         out.err.message);
		if (out.retry_after_ms < s->wait_ms)
			fail_msg("%s %s, step %d: it waits %d ms", w->adapter, w->op, n, out.retry_after_ms);
		if (out.verdict == TZ_V_NEXT)
		{
			json_decref(state);
			state = json_incref(out.state);
		}
		tz_outcome_free(&out);
	}
	if (out.verdict != w->verdict)
		fail_msg("%s %s: verdict %d, not %d: %s", w->adapter, w->op, out.verdict, w->verdict,
		         out.err.message);
	if (w->result != NULL)
		must_equal(out.result, w->result);
	if (w->error != NULL && strstr(out.err.message, w->error) == NULL)
		fail_msg("%s %s: \"%s\" is not in \"%s\"", w->adapter, w->op, w->error, out.err.message);
	if (w->status != TZ_OK)
		assert_int_equal(out.err.status, w->status);
	if (out.verdict == TZ_V_FAILED)
		assert_true(out.err.hint[0] != '\0');
	tz_outcome_free(&out);
	json_decref(request);
	json_decref(config);
	json_decref(state);
	return told;
}
