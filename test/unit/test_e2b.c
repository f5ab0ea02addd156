/* e2b*.c: requests of both planes, walks through several steps, answers of every form. */
#include "tz_test.h"

#include "lib_adapter.h"
#include "lib_walk.h"

#include "adapter/connect.h"
#include "lib/sign.h"

#define KEY "e2b_account"
#define TOKEN "envd-token-123"
#define KEPT TOKEN "\ne2b.app\n0.6.13"
#define BOX "{\"sandbox\":\"i1a2\"}"
#define DETAIL                                                                                             \
	"{\"sandboxID\":\"i1a2\",\"templateID\":\"t\",\"envdVersion\":\"0.6.13\",\"envdAccessToken\":\"" TOKEN \
	"\",\"domain\":null,\"state\":\"running\",\"memoryMB\":512,\"allowInternetAccess\":false}"

static const TzSecretValue secrets[] = {{"credential", "c", {KEY, sizeof(KEY) - 1}},
                                        {"env", "HIDDEN", {"env-secret", 10}}};

/* One call: what is sent, and what comes of an answer. */
typedef struct Call
{
	TzEffect effect;
	TzEndpoint to;
	json_t *request;
	json_t *state;
	json_t *config;
	TzHttpRequest req;
	TzStatus status;
	TzErr err;
	TzHttpResponse in;
	TzOutcome out;
} Call;

static void
call_build(Call *c, const char *op, const char *request, const char *state, const char *kept,
           const char *config)
{
	memset(c, 0, sizeof(*c));
	c->request = json_loads(request, 0, NULL);
	assert_non_null(c->request);
	c->state = state != NULL ? json_loads(state, 0, NULL) : NULL;
	c->config = config != NULL ? json_loads(config, 0, NULL) : NULL;
	c->effect = (TzEffect){.platform_id = "p",
	                       .id = "eff_1",
	                       .op = op,
	                       .attempt = 1,
	                       .request = c->request,
	                       .state = c->state,
	                       .secrets = secrets,
	                       .nsecrets = 2,
	                       .kept = tz_slice_cstr(kept),
	                       .content = {"\0\xff"
	                                   "A",
	                                   3},
	                       .now_ms = INT64_C(1700000000123)};
	c->to = (TzEndpoint){.max_response = 1024 * 1024, .config = c->config};
	tz_http_request_init(&c->req, 0);
	c->status = tz_adapter_find("e2b")->build(&c->effect, &c->to, &c->req, &c->err);
	c->effect.kept = tz_slice(NULL, 0);
	tz_http_response_init(&c->in, 1024 * 1024);
	tz_outcome_init(&c->out, 1024 * 1024);
	c->in.request = &c->req;
}

static void
call_answer(Call *c, int status, const char *type, const char *body, size_t len)
{
	char line[128];

	if (c->status != TZ_OK)
		fail_msg("not built: %s", c->err.message);
	c->in.status = status;
	if (type != NULL)
	{
		snprintf(line, sizeof(line), "content-type: %s", type);
		tz_http_response_add(&c->in, line, strlen(line));
	}
	tz_buf_append(&c->in.body, body, len);
	tz_adapter_find("e2b")->parse(&c->effect, &c->in, &c->out);
	assert_null(strstr(c->out.err.message, TOKEN));
	assert_null(strstr(c->out.err.detail, TOKEN));
	assert_null(strstr(c->out.err.detail, KEY));
	if (c->out.state != NULL)
	{
		char *text = json_dumps(c->out.state, 0);

		assert_null(strstr(text, TOKEN));
		free(text);
	}
}

static void
call_json(Call *c, int status, const char *body)
{
	call_answer(c, status, "application/json", body, strlen(body));
}

static void
call_free(Call *c)
{
	tz_http_request_free(&c->req);
	tz_http_response_free(&c->in);
	tz_outcome_free(&c->out);
	json_decref(c->request);
	json_decref(c->state);
	json_decref(c->config);
}

static void
assert_json(json_t *value, const char *text)
{
	char *got = json_dumps(value, JSON_SORT_KEYS | JSON_ENCODE_ANY);
	json_t *wanted = json_loads(text, JSON_DECODE_ANY, NULL);

	if (!json_equal(value, wanted))
		fail_msg("%s is not %s", got != NULL ? got : "NULL", text);
	free(got);
	json_decref(wanted);
}

/* ---- requests ------------------------------------------------------------------------ */

static void
assert_sent(const char *op, const char *request, const char *state, const char *config, const char *method,
            const char *url, const char *body)
{
	Call c;

	call_build(&c, op, request, state, KEPT, config);
	if (c.status != TZ_OK)
		fail_msg("%s %s: %s", op, request, c.err.message);
	assert_string_equal(c.req.method, method);
	assert_string_equal(c.req.url.data, url);
	assert_string_equal(c.req.body.data != NULL ? c.req.body.data : "", body);
	/* each plane is shown its own secret */
	if (adapter_header(&c.req, "E2b-Sandbox-Port") != NULL)
	{
		assert_string_equal(adapter_header(&c.req, "X-Access-Token"), TOKEN);
		assert_string_equal(adapter_header(&c.req, "E2b-Sandbox-Id"), "i1a2");
		assert_null(adapter_header(&c.req, "X-API-Key"));
	}
	else
	{
		assert_string_equal(adapter_header(&c.req, "X-API-Key"), KEY);
		assert_null(adapter_header(&c.req, "X-Access-Token"));
	}
	call_free(&c);
}

static void
assert_refused(const char *op, const char *request, const char *config, TzStatus status)
{
	Call c;

	call_build(&c, op, request, NULL, KEPT, config);
	if (c.status != status)
		fail_msg("%s %s is %d: %s", op, request, c.status,
		         c.status == TZ_OK ? c.req.url.data : c.err.message);
	call_free(&c);
}

#define API "https://api.e2b.app"
#define ENVD "https://sandbox.e2b.app"

static void
test_requests(void **state)
{
	(void) state;
	assert_sent(
		"create", "{\"tag\":\"sbx_1\",\"instance\":\"n\",\"env\":{\"A\":\"b\"},\"lifetime_s\":60}", NULL,
		NULL, "POST", API "/sandboxes",
		"{\"templateID\":\"base\",\"timeout\":60,\"secure\":true,\"metadata\":{\"theazo.id\":\"sbx_1\","
		"\"theazo.instance\":\"n\"},\"allow_internet_access\":false,\"envVars\":{\"A\":\"b\"}}");
	assert_sent(
		"create",
		"{\"tag\":\"t\",\"runtime\":\"node\",\"lifetime_s\":9999,\"network\":{\"enabled\":true,\"allow\":[\"a.b\","
		"\"*.c.d:443\"]}}",
		NULL,
		"{\"templates\":{\"node\":\"n1\"},\"secure\":false,\"autoPause\":true,\"maxLifetimeSeconds\":7200}",
		"POST", API "/sandboxes",
		"{\"templateID\":\"n1\",\"timeout\":7200,\"secure\":false,\"metadata\":{\"theazo.id\":\"t\"},"
		"\"autoPause\":true,\"allow_internet_access\":true,\"network\":{\"allowOut\":[\"a.b\",\"*.c.d\"],"
		"\"denyOut\":[\"0.0.0.0/0\"]},\"envVars\":{}}");
	assert_sent(
		"create", "{\"tag\":\"t\",\"snapshot\":\"s:default\"}", NULL,
		"{\"template\":\"mine\",\"publicTraffic\":false}", "POST", API "/sandboxes",
		"{\"templateID\":\"s:default\",\"timeout\":3600,\"secure\":true,\"metadata\":{\"theazo.id\":\"t\"},"
		"\"allow_internet_access\":false,\"network\":{\"allowPublicTraffic\":false},\"envVars\":{}}");
	assert_sent("create", "{\"tag\":\"a b\"}", "{\"reconcile\":true}", NULL, "GET",
	            API "/v2/sandboxes?metadata=theazo.id%3Da%20b&state=running,paused&limit=100", "");
	assert_sent("pause", BOX, NULL, NULL, "POST", API "/sandboxes/i1a2/pause", "");
	assert_sent("pause", BOX, NULL, "{\"pauseMemory\":false}", "POST", API "/sandboxes/i1a2/pause",
	            "{\"memory\":false}");
	assert_sent("resume", "{\"sandbox\":\"i1a2-6532622b\"}", NULL, NULL, "POST",
	            API "/sandboxes/i1a2/connect", "{\"timeout\":3600}");
	assert_sent("renew", "{\"sandbox\":\"i1a2\",\"lifetime_s\":100}", NULL, NULL, "POST",
	            API "/sandboxes/i1a2/timeout", "{\"timeout\":100}");
	assert_sent("snapshot", BOX, NULL, NULL, "POST", API "/sandboxes/i1a2/snapshots", "{}");
	assert_sent("forget", "{\"snapshot\":\"t:default\"}", NULL, NULL, "DELETE", API "/templates/t%3Adefault",
	            "");
	assert_sent("sweep", "{}", "{\"cursor\":\"a/b\"}", NULL, "GET",
	            API "/v2/sandboxes?state=running,paused&limit=100&nextToken=a%2Fb", "");
	assert_sent("logs", "{\"sandbox\":\"i1a2\",\"limit\":5,\"since_ms\":7}", NULL, NULL, "GET",
	            API "/v2/sandboxes/i1a2/logs?limit=5&cursor=7&direction=forward", "");
	assert_sent("destroy", BOX, NULL, NULL, "DELETE", API "/sandboxes/i1a2", "");
	assert_sent("destroy", "{\"tag\":\"t\"}", NULL, NULL, "GET",
	            API "/v2/sandboxes?metadata=theazo.id%3Dt&state=running,paused&limit=100", "");
	assert_sent("read", "{\"sandbox\":\"i1a2\",\"path\":\"/a b/c\"}", NULL, NULL, "GET",
	            ENVD "/files?path=./a%20b%2Fc", "");
	assert_sent("read", "{\"sandbox\":\"i1a2\",\"path\":\"/~x\"}", NULL, "{\"user\":\"root\"}", "GET",
	            ENVD "/files?path=./~x&username=root", "");
	assert_sent("list", "{\"sandbox\":\"i1a2\",\"dir\":\"/\"}", NULL, NULL, "POST",
	            ENVD "/filesystem.Filesystem/ListDir", "{\"path\":\"./\",\"depth\":1}");
	assert_sent("metrics", BOX, NULL, NULL, "GET", ENVD "/metrics", "");
	assert_sent("metrics", BOX, "{\"phase\":\"series\"}", NULL, "GET",
	            API "/sandboxes/i1a2/metrics?start=1699999700&end=1700000000", "");
	/* both forms of address */
	assert_sent("metrics", BOX, NULL, "{\"routing\":\"host\"}", "GET", "https://49983-i1a2.e2b.app/metrics",
	            "");
	assert_sent("metrics", BOX, NULL, "{\"sandboxUrl\":\"http://{port}-{id}.x:9/\"}", "GET",
	            "http://49983-i1a2.x:9/metrics", "");
	assert_sent("metrics", BOX, NULL, "{\"sandboxUrl\":\"http://127.0.0.1:9\"}", "GET",
	            "http://127.0.0.1:9/metrics", "");
	assert_sent("expose_port", "{\"sandbox\":\"i1a2\",\"port\":80}", NULL, NULL, "GET",
	            "https://49983-i1a2.e2b.app/health", "");
}

static void
test_bad_requests(void **state)
{
	(void) state;
	assert_refused("fly", "{}", NULL, TZ_UNSUPPORTED);
	assert_refused("create", "{}", NULL, TZ_NOT_FOUND);
	assert_refused("create", "{\"tag\":\"t\",\"region\":\"eu\"}", NULL, TZ_UNSUPPORTED);
	assert_refused("create", "{\"tag\":\"t\",\"gpu\":true}", NULL, TZ_UNSUPPORTED);
	assert_refused("create", "{\"tag\":\"t\",\"browser\":true}", NULL, TZ_UNSUPPORTED);
	assert_refused("create", "{\"tag\":\"t\",\"storage_gb\":5}", NULL, TZ_UNSUPPORTED);
	assert_refused("create", "{\"tag\":\"t\",\"network\":{\"enabled\":true,\"allow\":[\"a:8080\"]}}", NULL,
	               TZ_UNSUPPORTED);
	assert_refused("create", "{\"tag\":\"t\",\"env\":{\"A B\":\"x\"}}", NULL, TZ_BAD_INPUT);
	assert_refused("create", "{\"tag\":\"t\",\"lifetime_s\":0}", NULL, TZ_BAD_INPUT);
	assert_refused("destroy", "{\"sandbox\":\"../x\"}", NULL, TZ_BAD_INPUT);
	assert_refused("destroy", "{\"sandbox\":\"I1\"}", NULL, TZ_BAD_INPUT);
	assert_refused("destroy", "{\"sandbox\":\"\"}", NULL, TZ_BAD_INPUT);
	assert_refused("read", "{\"sandbox\":\"i1\",\"path\":\"a/../b\"}", NULL, TZ_BAD_INPUT);
	assert_refused("read", "{\"sandbox\":\"i1\",\"path\":\"a/\"}", NULL, TZ_BAD_INPUT);
	assert_refused("metrics", BOX, "{\"domain\":\"a/b\"}", TZ_OK);
	assert_refused("destroy", BOX, "{\"domain\":\"a/b\"}", TZ_BAD_INPUT);
	assert_refused("exec", "{\"sandbox\":\"i1\",\"language\":\"cobol\",\"code\":\"\"}", NULL, TZ_BAD_INPUT);
	assert_refused("expose_port", "{\"sandbox\":\"i1\",\"port\":80}", "{\"publicTraffic\":false}",
	               TZ_UNSUPPORTED);
	assert_refused("expose_port", "{\"sandbox\":\"i1\",\"port\":80}", "{\"sandboxUrl\":\"http://a\"}",
	               TZ_UNSUPPORTED);
}

/* The one frame of a start: secrets beside the command and not in it, no standard input. */
static void
test_exec_request(void **state)
{
	Call c;
	json_t *doc;
	const char *command;

	(void) state;
	call_build(
		&c, "exec",
		"{\"sandbox\":\"i1a2\",\"language\":\"sh\",\"code\":\"true\",\"timeout_ms\":1500,\"env\":{\"A\":\"x\"}}",
		NULL, KEPT, NULL);
	assert_int_equal(c.status, TZ_OK);
	assert_string_equal(c.req.url.data, ENVD "/process.Process/Start");
	assert_string_equal(adapter_header(&c.req, "Content-Type"), "application/connect+json");
	assert_string_equal(adapter_header(&c.req, "Connect-Protocol-Version"), "1");
	assert_string_equal(adapter_header(&c.req, "Connect-Timeout-Ms"), "4500");
	assert_string_equal(adapter_header(&c.req, "Keepalive-Ping-Interval"), "50");
	assert_null(adapter_header(&c.req, "Authorization"));
	assert_null(adapter_header(&c.req, "Connect-Accept-Encoding"));
	assert_int_equal(c.req.body.data[0], 0);
	doc = json_loadb(c.req.body.data + 5, c.req.body.len - 5, 0, NULL);
	assert_non_null(doc);
	assert_true(json_is_false(json_object_get(doc, "stdin")));
	assert_json(json_object_get(json_object_get(doc, "process"), "envs"),
	            "{\"HIDDEN\":\"env-secret\",\"A\":\"x\"}");
	command = json_string_value(json_array_get(json_object_get(json_object_get(doc, "process"), "args"), 2));
	assert_non_null(strstr(command, "timeout -k 2 2 sh"));
	assert_null(strstr(command, "env-secret"));
	json_decref(doc);
	call_free(&c);

	/* an old daemon knows no default user */
	call_build(&c, "exec", "{\"sandbox\":\"i1a2\",\"language\":\"sh\",\"code\":\"true\"}", NULL,
	           TOKEN "\n\n0.3.9", NULL);
	assert_string_equal(adapter_header(&c.req, "Authorization"), "Basic dXNlcjo=");
	call_free(&c);
	call_build(&c, "exec", "{\"sandbox\":\"i1a2\",\"language\":\"sh\",\"code\":\"true\"}", NULL, KEPT,
	           "{\"user\":\"root\"}");
	assert_string_equal(adapter_header(&c.req, "Authorization"), "Basic cm9vdDo=");
	call_free(&c);
}

static void
test_long_code(void **state)
{
	char *request = malloc(200000);
	size_t n;
	Call c;

	(void) state;
	n = (size_t) sprintf(request, "{\"sandbox\":\"i1a2\",\"language\":\"python\",\"code\":\"");
	memset(request + n, '#', 100000);
	strcpy(request + n + 100000, "\"}");
	call_build(&c, "exec", request, NULL, KEPT, NULL);
	assert_string_equal(c.req.url.data, ENVD "/files?path=./theazo-eff-1.code");
	assert_int_equal(c.req.body.len, 100000);
	call_json(&c, 200, "[{\"path\":\"/x\",\"name\":\"x\",\"type\":\"file\"}]");
	assert_int_equal(c.out.verdict, TZ_V_NEXT);
	assert_json(c.out.state, "{\"uploaded\":true}");
	call_free(&c);
	call_build(&c, "exec", request, "{\"uploaded\":true}", KEPT, NULL);
	assert_string_equal(c.req.url.data, ENVD "/process.Process/Start");
	assert_true(c.req.body.len < 2000);
	assert_non_null(memmem(c.req.body.data, c.req.body.len, "mv -f", 5));
	call_free(&c);
	free(request);
}

static void
test_uploads(void **state)
{
	Call c;

	(void) state;
	call_build(&c, "write", "{\"sandbox\":\"i1a2\",\"path\":\"/d/f\"}", NULL, KEPT, NULL);
	assert_string_equal(adapter_header(&c.req, "Content-Type"), "application/octet-stream");
	assert_int_equal(c.req.body.len, 3);
	call_json(&c, 200, "[]");
	assert_int_equal(c.out.verdict, TZ_V_FAILED);
	assert_non_null(strstr(c.out.err.message, "no file was written"));
	call_free(&c);
	/* the form that old daemons take */
	call_build(&c, "write", "{\"sandbox\":\"i1a2\",\"path\":\"/d/f\"}", NULL, TOKEN "\n\n0.5.6", NULL);
	assert_non_null(strstr(adapter_header(&c.req, "Content-Type"), "multipart/form-data; boundary=theazo-"));
	assert_non_null(memmem(c.req.body.data, c.req.body.len, "name=\"file\"", 11));
	assert_non_null(memmem(c.req.body.data, c.req.body.len,
	                       "\r\n\r\n\0\xff"
	                       "A\r\n--",
	                       11));
	call_free(&c);
}

/* ---- walks ------------------------------------------------------------------------------- */

static void
test_create(void **state)
{
	Call c;

	(void) state;
	call_build(&c, "create", "{\"tag\":\"sbx_1\",\"lifetime_s\":9000}", NULL, NULL, NULL);
	call_json(&c, 201, DETAIL);
	assert_int_equal(c.out.verdict, TZ_V_NEXT);
	assert_json(c.out.state,
	            "{\"phase\":\"ask\",\"made\":{\"sandbox\":\"i1a2\",\"isolation\":null,\"lifetime_s\":3600,"
	            "\"metadata\":{\"templateID\":\"t\",\"envdVersion\":\"0.6.13\"}}}");
	call_free(&c);
	call_build(&c, "create", "{\"tag\":\"sbx_1\"}", "{\"phase\":\"ask\",\"made\":{\"sandbox\":\"i1a2\"}}",
	           NULL, NULL);
	assert_string_equal(c.req.url.data, API "/sandboxes/i1a2");
	call_json(&c, 200, DETAIL);
	assert_int_equal(c.out.verdict, TZ_V_DONE);
	assert_json(c.out.result, "{\"sandbox\":\"i1a2\",\"policy\":{\"network\":false,\"memory_mb\":512}}");
	assert_true(c.out.keep);
	assert_string_equal(c.out.kept.data, TOKEN "\n\n0.6.13");
	call_free(&c);
	/* it is there, whoever says what */
	call_build(&c, "create", "{\"tag\":\"sbx_1\"}", "{\"phase\":\"ask\",\"made\":{\"sandbox\":\"i1a2\"}}",
	           NULL, NULL);
	call_json(&c, 500, "oops");
	assert_int_equal(c.out.verdict, TZ_V_DONE);
	assert_json(c.out.result, "{\"sandbox\":\"i1a2\"}");
	call_free(&c);
}

/* Answers to a create that was sent: what of it may be repeated, what is to be looked for. */
static void
test_create_refused(void **state)
{
	static const struct
	{
		int status;
		const char *type;
		const char *header;
		const char *body;
		TzVerdict verdict;
	} cases[] = {
		{400, "application/json", NULL, "{\"code\":400,\"message\":\"bad\"}", TZ_V_FAILED},
		{401, "application/json", NULL, "{\"code\":401,\"message\":\"bad\"}", TZ_V_FAILED},
		{404, "application/json", NULL, "{\"code\":404,\"message\":\"template\"}", TZ_V_FAILED},
		{429, "application/json", NULL, "{\"code\":429,\"message\":\"too many\"}", TZ_V_FAILED},
		{429, "application/json", "retry-after: 3", "{\"code\":429,\"message\":\"Rate limit exceeded\"}",
	     TZ_V_RETRY},
		{503, "application/json", NULL, "{\"code\":503,\"error_code\":\"sandbox_capacity_unavailable\"}",
	     TZ_V_FAILED},
		{504, "application/json", NULL, "{\"code\":504,\"error_code\":\"sandbox_placement_timeout\"}",
	     TZ_V_FAILED},
		{500, "application/json", NULL, "{\"code\":500,\"error_code\":\"sandbox_create_failed\"}",
	     TZ_V_FAILED},
		/* gateways do not know */
		{502, "text/html", NULL, "<html>", TZ_V_UNKNOWN},
		{504, "text/html", NULL, "", TZ_V_UNKNOWN},
		{504, "application/json", NULL, "{\"code\":504,\"message\":\"x\"}", TZ_V_UNKNOWN},
		{201, "application/json", NULL, "", TZ_V_UNKNOWN},
		{201, "application/json", NULL, "{\"sandboxID\":\"../\"}", TZ_V_UNKNOWN},
		{200, "text/html", NULL, "<html>", TZ_V_UNKNOWN},
	};
	Call c;

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		call_build(&c, "create", "{\"tag\":\"sbx_1\"}", NULL, NULL, NULL);
		if (cases[i].header != NULL)
			tz_http_response_add(&c.in, cases[i].header, strlen(cases[i].header));
		call_answer(&c, cases[i].status, cases[i].type, cases[i].body, strlen(cases[i].body));
		if (c.out.verdict != cases[i].verdict)
			fail_msg("case %zu is %d: %s", i, c.out.verdict, c.out.err.message);
		if (c.out.verdict == TZ_V_RETRY)
			assert_int_equal(c.out.retry_after_ms, 3000);
		call_free(&c);
	}
	for (int sent = 0; sent < 2; sent++)
	{
		call_build(&c, "create", "{\"tag\":\"sbx_1\"}", NULL, NULL, NULL);
		tz_err_set(&c.in.err, TZ_UNAVAILABLE, "broke");
		c.in.maybe_sent = sent != 0;
		call_answer(&c, 0, NULL, "", 0);
		assert_int_equal(c.out.verdict, sent != 0 ? TZ_V_UNKNOWN : TZ_V_RETRY);
		call_free(&c);
	}
}

static void
test_found(void **state)
{
	Call c;

	(void) state;
	/* not yet, or not seen */
	call_build(&c, "create", "{\"tag\":\"sbx_1\"}", "{\"reconcile\":true}", NULL, NULL);
	call_json(&c, 200, "[]");
	assert_int_equal(c.out.verdict, TZ_V_UNKNOWN);
	call_free(&c);
	call_build(&c, "create", "{\"tag\":\"sbx_1\"}", "{\"reconcile\":true}", NULL, NULL);
	call_json(&c, 401, "{\"code\":401}");
	assert_int_equal(c.out.verdict, TZ_V_UNKNOWN);
	call_free(&c);
	/* one; others do not count, whatever the filter let through */
	call_build(&c, "create", "{\"tag\":\"sbx_1\"}", "{\"reconcile\":true}", NULL, NULL);
	call_json(&c, 200,
	          "[{\"sandboxID\":\"i9\",\"metadata\":{\"theazo.id\":\"sbx_2\"}},{\"sandboxID\":\"i8\"},"
	          "{\"sandboxID\":\"i1a2\",\"metadata\":{\"theazo.id\":\"sbx_1\"}}]");
	assert_int_equal(c.out.verdict, TZ_V_NEXT);
	assert_json(c.out.state,
	            "{\"reconcile\":true,\"phase\":\"ask\",\"made\":{\"sandbox\":\"i1a2\",\"isolation\":null,"
	            "\"metadata\":{}}}");
	call_free(&c);
	/* three: two go */
	call_build(&c, "create", "{\"tag\":\"t\"}", "{\"reconcile\":true}", NULL, NULL);
	call_json(&c, 200,
	          "[{\"sandboxID\":\"i1\",\"metadata\":{\"theazo.id\":\"t\"}},{\"sandboxID\":\"i2\",\"metadata\":"
	          "{\"theazo.id\":\"t\"}},{\"sandboxID\":\"i3\",\"metadata\":{\"theazo.id\":\"t\"}}]");
	assert_json(c.out.state,
	            "{\"reconcile\":true,\"phase\":\"drop\",\"one\":\"i1\",\"drop\":[\"i2\",\"i3\"]}");
	call_free(&c);
	call_build(&c, "create", "{\"tag\":\"t\"}",
	           "{\"phase\":\"drop\",\"one\":\"i1\",\"drop\":[\"i2\",\"i3\"]}", NULL, NULL);
	assert_string_equal(c.req.method, "DELETE");
	assert_string_equal(c.req.url.data, API "/sandboxes/i2");
	call_answer(&c, 204, NULL, "", 0);
	assert_json(c.out.state, "{\"phase\":\"drop\",\"one\":\"i1\",\"drop\":[\"i3\"]}");
	call_free(&c);
	call_build(&c, "create", "{\"tag\":\"t\"}", "{\"phase\":\"drop\",\"one\":\"i1\",\"drop\":[\"i3\"]}", NULL,
	           NULL);
	call_json(&c, 404, "{\"code\":404}");
	assert_int_equal(c.out.verdict, TZ_V_NEXT);
	assert_string_equal(json_string_value(json_object_get(c.out.state, "phase")), "ask");
	call_free(&c);
}

static void
test_token(void **state)
{
	Call c;

	(void) state;
	/* not at hand: asked for, kept, not stored */
	call_build(&c, "read", "{\"sandbox\":\"i1a2\",\"path\":\"f\"}", NULL, NULL, NULL);
	assert_string_equal(c.req.url.data, API "/sandboxes/i1a2");
	call_json(&c, 200, DETAIL);
	assert_int_equal(c.out.verdict, TZ_V_NEXT);
	assert_json(c.out.state, "{\"asked\":1}");
	assert_true(c.out.keep);
	call_free(&c);
	/* for ever lost on the way */
	call_build(&c, "read", "{\"sandbox\":\"i1a2\",\"path\":\"f\"}", "{\"asked\":3}", NULL, NULL);
	call_json(&c, 200, DETAIL);
	assert_int_equal(c.out.verdict, TZ_V_FAILED);
	call_free(&c);
	/* it does not hold any more: once */
	call_build(&c, "read", "{\"sandbox\":\"i1a2\",\"path\":\"f\"}", NULL, KEPT, NULL);
	call_json(&c, 401, "{\"code\":401,\"message\":\"unauthorized " TOKEN "\"}");
	assert_int_equal(c.out.verdict, TZ_V_NEXT);
	assert_json(c.out.state, "{\"phase\":\"ask\",\"again\":1}");
	assert_true(c.out.keep && c.out.kept.len == 0);
	call_free(&c);
	call_build(&c, "read", "{\"sandbox\":\"i1a2\",\"path\":\"f\"}", "{\"again\":1}", KEPT, NULL);
	call_json(&c, 401, "{\"code\":401,\"message\":\"unauthorized " TOKEN "\"}");
	assert_int_equal(c.out.verdict, TZ_V_FAILED);
	assert_non_null(strstr(c.out.err.detail, "***"));
	call_free(&c);
	/* asleep: woken first */
	call_build(&c, "read", "{\"sandbox\":\"i1a2\",\"path\":\"f\"}", NULL, NULL, NULL);
	call_json(&c, 200, "{\"sandboxID\":\"i1a2\",\"state\":\"paused\"}");
	assert_json(c.out.state, "{\"phase\":\"connect\",\"woken\":1}");
	call_free(&c);
	call_build(&c, "read", "{\"sandbox\":\"i1a2\",\"path\":\"f\"}", "{\"phase\":\"connect\",\"woken\":1}",
	           NULL, NULL);
	assert_string_equal(c.req.url.data, API "/sandboxes/i1a2/connect");
	call_json(&c, 201, DETAIL);
	assert_json(c.out.state, "{\"woken\":1}");
	call_free(&c);
	/* not known */
	call_build(&c, "read", "{\"sandbox\":\"i1a2\",\"path\":\"f\"}", NULL, NULL, NULL);
	call_json(&c, 404, "{\"code\":404,\"message\":\"not found\"}");
	assert_int_equal(c.out.verdict, TZ_V_FAILED);
	assert_int_equal(c.out.err.status, TZ_GONE);
	call_free(&c);
}

static void
test_unreachable(void **state)
{
	static const struct
	{
		int status;
		const char *body;
		const char *state;
		TzVerdict verdict;
		TzStatus err;
	} cases[] = {
		{502, "{\"sandboxId\":\"i1a2\",\"message\":\"not found\",\"code\":502}", NULL, TZ_V_NEXT, TZ_OK},
		{502, "{\"sandboxId\":\"i1a2\",\"message\":\"not found\",\"code\":502}", "{\"lost\":2}", TZ_V_FAILED,
	     TZ_GONE},
		{502, "{\"sandboxId\":\"i1a2\",\"port\":49983,\"code\":502}", NULL, TZ_V_RETRY, TZ_UNAVAILABLE},
		{502, "<html>", NULL, TZ_V_FAILED, TZ_UNAVAILABLE},
		{409, "{\"sandboxId\":\"i1a2\",\"code\":409}", NULL, TZ_V_RETRY, TZ_REFUSED},
		{429, "{\"sandboxId\":\"i1a2\",\"code\":429,\"connectionLimit\":9}", NULL, TZ_V_RETRY,
	     TZ_UNAVAILABLE},
		{403, "{\"sandboxId\":\"i1a2\",\"code\":403}", NULL, TZ_V_FAILED, TZ_REFUSED},
		{404, "{\"code\":\"not_found\",\"message\":\"x\"}", NULL, TZ_V_FAILED, TZ_NOT_FOUND},
		{404, "{\"code\":404,\"message\":\"x\"}", NULL, TZ_V_FAILED, TZ_NOT_FOUND},
		{404, "{\"code\":404,\"message\":\"x\",\"path\":\"/init\"}", NULL, TZ_V_FAILED, TZ_REFUSED},
		{400, "{\"code\":400,\"message\":\"is a directory\"}", NULL, TZ_V_FAILED, TZ_BAD_INPUT},
		{507, "{\"code\":507,\"message\":\"full\"}", NULL, TZ_V_FAILED, TZ_REFUSED},
		{415, "", NULL, TZ_V_FAILED, TZ_REFUSED},
		{307, "", NULL, TZ_V_FAILED, TZ_REFUSED},
	};
	Call c;

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		call_build(&c, "write", "{\"sandbox\":\"i1a2\",\"path\":\"f\"}", cases[i].state, KEPT, NULL);
		call_json(&c, cases[i].status, cases[i].body);
		if (c.out.verdict != cases[i].verdict || c.out.err.status != cases[i].err)
			fail_msg("case %zu is %d, %d: %s", i, c.out.verdict, c.out.err.status, c.out.err.message);
		call_free(&c);
	}
}

static void
test_results(void **state)
{
	static const struct
	{
		const char *op;
		const char *request;
		const char *state;
		int status;
		const char *body;
		const char *result; /* NULL: it fails */
	} cases[] = {
		{"list", BOX, NULL, 200, "{}", "{\"entries\":[]}"},
		{"list", BOX, NULL, 200,
	     "{\"entries\":[{\"name\":\"a\",\"type\":\"FILE_TYPE_FILE\",\"size\":\"5\",\"modifiedTime\":\"2026-01-02T03:04:05Z\","
	     "\"x\":1},{\"name\":\"d\",\"type\":\"FILE_TYPE_DIRECTORY\",\"size\":\"4096\"},{\"name\":\"l\",\"type\":"
	     "\"FILE_TYPE_SYMLINK\",\"size\":7}]}",
	     "{\"entries\":[{\"name\":\"a\",\"size\":5,\"is_dir\":false,\"modified\":\"2026-01-02T03:04:05Z\"},{\"name\":\"d\","
	     "\"size\":0,\"is_dir\":true},{\"name\":\"l\",\"size\":7,\"is_dir\":false}]}"},
		{"list", BOX, NULL, 200, "{\"entries\":[{\"type\":\"FILE_TYPE_FILE\"}]}", NULL},
		{"list", BOX, NULL, 200, "{\"entries\":[{\"name\":\"a\",\"size\":\"-1\"}]}", NULL},
		{"list", BOX, NULL, 200, "{\"entries\":{}}", NULL},
		{"metrics", BOX, NULL, 200, "{\"cpu_used_pct\":1.5,\"mem_used\":1048576,\"disk_used\":2097152}",
	     "{\"cpu_percent\":1.5,\"memory_mb\":1.0,\"disk_mb\":2.0}"},
		{"metrics", BOX, NULL, 200, "{\"cpu_used_pct\":\"x\"}", NULL},
		{"metrics", BOX, "{\"phase\":\"series\"}", 200,
	     "[{\"cpuUsedPct\":0},{\"cpuUsedPct\":2.5,\"memUsed\":1048576,\"diskUsed\":0}]",
	     "{\"cpu_percent\":2.5,\"memory_mb\":1.0,\"disk_mb\":0.0}"},
		{"metrics", BOX, "{\"phase\":\"series\"}", 200, "[]", NULL},
		{"pause", BOX, NULL, 204, "", "{\"snapshot\":\"i1a2\",\"supported\":true}"},
		{"pause", BOX, "{\"phase\":\"ask\"}", 200, "{\"state\":\"paused\"}",
	     "{\"snapshot\":\"i1a2\",\"supported\":true}"},
		{"resume", BOX, NULL, 200, DETAIL, "{\"sandbox\":\"i1a2\"}"},
		{"resume", BOX, NULL, 201, DETAIL, "{\"sandbox\":\"i1a2\"}"},
		{"resume", BOX, NULL, 404, "{\"code\":404}", NULL},
		{"renew", "{\"sandbox\":\"i1a2\",\"lifetime_s\":9000}", NULL, 204, "", "{\"lifetime_s\":3600}"},
		{"renew", "{\"sandbox\":\"i1a2\",\"lifetime_s\":90}", NULL, 204, "", "{}"},
		{"snapshot", BOX, NULL, 201, "{\"snapshotID\":\"t:default\",\"names\":[]}",
	     "{\"snapshot\":\"t:default\"}"},
		{"snapshot", BOX, NULL, 201, "{}", NULL},
		{"forget", "{\"snapshot\":\"t\"}", NULL, 404, "{\"code\":404}", "{}"},
		{"destroy", BOX, NULL, 204, "", "{}"},
		{"destroy", BOX, NULL, 404, "{\"code\":404}", "{}"},
		{"destroy", "{\"tag\":\"t\"}", NULL, 200, "[]", "{}"},
		{"destroy", "{\"tag\":\"t\"}", "{\"phase\":\"drop\",\"one\":null,\"drop\":[\"i1\"]}", 204, "", "{}"},
		{"sweep", "{}", "{\"pages\":1,\"cursor\":\"x\",\"found\":[{\"sandbox\":\"i0\"}]}", 200,
	     "[{\"sandboxID\":\"i1\",\"metadata\":{\"theazo.id\":\"t\",\"theazo.instance\":\"n\"}},{\"sandboxID\":\"i2\"}]",
	     "{\"sandboxes\":[{\"sandbox\":\"i0\"},{\"sandbox\":\"i1\",\"tag\":\"t\",\"instance\":\"n\"}],\"complete\":true}"},
		{"sweep", "{}", NULL, 200, "{}", NULL},
		{"logs", BOX, NULL, 200,
	     "{\"logs\":[{\"timestamp\":\"2\",\"level\":\"info\",\"message\":\"b\",\"fields\":{}},{\"timestamp\":\"1\","
	     "\"level\":\"info\",\"message\":\"a\"}]}",
	     "{\"entries\":[{\"at\":\"1\",\"level\":\"info\",\"message\":\"a\"},{\"at\":\"2\",\"level\":\"info\",\"message\":"
	     "\"b\"}]}"},
		{"expose_port", "{\"sandbox\":\"i1a2\",\"port\":8080}", NULL, 204, "",
	     "{\"url\":\"https://8080-i1a2.e2b.app\"}"},
		{"expose_port", "{\"sandbox\":\"i1a2\",\"port\":8080}", NULL, 403, "{}", NULL},
	};
	Call c;

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		call_build(&c, cases[i].op, cases[i].request, cases[i].state, KEPT, NULL);
		call_json(&c, cases[i].status, cases[i].body);
		if ((c.out.verdict == TZ_V_DONE) != (cases[i].result != NULL))
			fail_msg("case %zu is %d: %s", i, c.out.verdict, c.out.err.message);
		if (cases[i].result != NULL)
			assert_json(c.out.result, cases[i].result);
		else
			assert_true(c.out.err.message[0] != '\0' && c.out.err.hint[0] != '\0');
		call_free(&c);
	}
	/* a conflict with a pause is looked into, and tried again while it is running */
	call_build(&c, "pause", BOX, NULL, NULL, NULL);
	call_json(&c, 409, "{\"code\":409}");
	assert_json(c.out.state, "{\"phase\":\"ask\"}");
	call_free(&c);
	call_build(&c, "pause", BOX, "{\"phase\":\"ask\"}", NULL, NULL);
	call_json(&c, 200, "{\"state\":\"running\"}");
	assert_json(c.out.state, "{\"tries\":1}");
	assert_true(c.out.retry_after_ms > 0);
	call_free(&c);
	/* a page of a list */
	call_build(&c, "sweep", "{}", NULL, NULL, NULL);
	tz_http_response_add(&c.in, "x-next-token: n1", 16);
	call_json(&c, 200, "[]");
	assert_int_equal(c.out.verdict, TZ_V_NEXT);
	assert_json(c.out.state, "{\"cursor\":\"n1\",\"found\":[],\"pages\":1}");
	call_free(&c);
	/* a daemon without figures */
	call_build(&c, "metrics", BOX, NULL, KEPT, NULL);
	call_json(&c, 404, "{\"code\":404}");
	assert_json(c.out.state, "{\"phase\":\"series\"}");
	call_free(&c);
}

static void
test_read(void **state)
{
	Call c;

	(void) state;
	call_build(&c, "read", "{\"sandbox\":\"i1a2\",\"path\":\"f\",\"max_bytes\":3}", NULL, KEPT, NULL);
	assert_int_equal(c.req.max_response, 4);
	assert_true(c.req.cut_response);
	call_answer(&c, 200, "text/plain",
	            "\0\xff"
	            "A",
	            3);
	assert_int_equal(c.out.verdict, TZ_V_DONE);
	assert_json(c.out.result, "{\"size\":3}");
	assert_memory_equal(c.out.content.data,
	                    "\0\xff"
	                    "A",
	                    3);
	call_free(&c);
	call_build(&c, "read", "{\"sandbox\":\"i1a2\",\"path\":\"f\",\"max_bytes\":3}", NULL, KEPT, NULL);
	call_answer(&c, 200, "text/plain", "abcd", 4);
	assert_int_equal(c.out.verdict, TZ_V_FAILED);
	assert_int_equal(c.out.err.status, TZ_TOO_LARGE);
	assert_int_equal(c.out.content.len, 0);
	call_free(&c);
	call_build(&c, "read", "{\"sandbox\":\"i1a2\",\"path\":\"f\"}", NULL, KEPT, NULL);
	call_answer(&c, 200, "text/plain", "", 0);
	assert_json(c.out.result, "{\"size\":0}");
	call_free(&c);
}

/* ---- streams -------------------------------------------------------------------------------- */

static void
frame(TzBuf *out, int flag, const char *text)
{
	size_t at = out->len;

	assert_int_equal(tz_connect_envelope(tz_slice_cstr(text), out), TZ_OK);
	out->data[at] = (char) flag;
}

static void
chunk(TzBuf *out, const char *name, const char *bytes, size_t len)
{
	TzBuf text;

	tz_buf_init(&text, 10000);
	tz_buf_printf(&text, "{ \"event\" : {\"data\":{\"%s\":\"", name);
	tz_base64_append(&text, bytes, len);
	tz_buf_append_cstr(&text, "\"}} }");
	frame(out, 0, text.data);
	tz_buf_free(&text);
}

#define EXEC "{\"sandbox\":\"i1a2\",\"language\":\"sh\",\"code\":\"x\",\"timeout_ms\":1000,\"max_output\":10}"
#define STARTED "{\"event\":{\"start\":{\"pid\":412}}}"
#define ENDED "{\"event\":{\"end\":{\"exited\":true,\"status\":\"exit status 0\"}}}"

typedef struct Deltas
{
	TzBuf out;
	TzBuf err;
} Deltas;

static void
on_delta(void *arg, const TzDelta *delta)
{
	Deltas *d = arg;

	tz_buf_append(delta->kind == TZ_DELTA_STDOUT ? &d->out : &d->err, delta->text.data, delta->text.len);
}

/* The same bytes collected, and in pieces of n, with the same outcome. */
static void
exec_stream(Call *c, const TzBuf *stream, size_t n, int64_t total_ms, Deltas *deltas)
{
	const TzAdapter *a = tz_adapter_find("e2b");
	TzStream *s;

	call_build(c, "exec", EXEC, NULL, KEPT, NULL);
	c->in.total_us = total_ms * 1000;
	if (n == 0)
	{
		call_answer(c, 200, "application/connect+json", stream->data, stream->len);
		return;
	}
	c->in.status = 200;
	tz_http_response_add(&c->in, "content-type: application/connect+json", 38);
	assert_true(a->stream_wants(&c->effect, &c->in));
	s = a->stream_new(&c->effect, &c->to, on_delta, deltas);
	for (size_t at = 0; at < stream->len; at += n)
		if (a->stream_feed(s, tz_slice(stream->data + at, stream->len - at < n ? stream->len - at : n),
		                   NULL) != TZ_OK)
			break;
	a->stream_end(s, &c->effect, &c->in, &c->out);
	a->stream_free(s);
}

/* result NULL: the verdict alone */
static void
assert_stream(const TzBuf *stream, int64_t total_ms, TzVerdict verdict, const char *result)
{
	static const size_t sizes[] = {0, 1, 3, 7, 1000000};
	Call c;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
	{
		Deltas d;

		tz_buf_init(&d.out, 10000);
		tz_buf_init(&d.err, 10000);
		exec_stream(&c, stream, sizes[i], total_ms, &d);
		if (c.out.verdict != verdict)
			fail_msg("by %zu bytes it is %d: %s", sizes[i], c.out.verdict, c.out.err.message);
		if (result != NULL)
			assert_json(c.out.result, result);
		if (verdict != TZ_V_DONE)
			assert_true(c.out.err.message[0] != '\0');
		tz_buf_free(&d.out);
		tz_buf_free(&d.err);
		call_free(&c);
	}
}

#define RESULT(out, err, code, cut, late)                                                      \
	"{\"stdout\":\"" out "\",\"stderr\":\"" err "\",\"exit_code\":" code ",\"truncated\":" cut \
	",\"timed_out\":" late "}"

static void
test_streams(void **state)
{
	TzBuf s;

	(void) state;
	tz_buf_init(&s, 100000);
	/* an end without a code is 0; output comes in pieces that cut a character */
	frame(&s, 0, STARTED);
	chunk(&s, "stdout", "a\xe2\x82", 3);
	frame(&s, 0, "{\"event\":{\"keepalive\":{}}}");
	chunk(&s, "stderr", "oops", 4);
	chunk(&s, "stdout", "\xac", 1);
	frame(&s, 0, "{\"event\":{\"novel\":{\"x\":[]}},\"more\":null}");
	frame(&s, 0, ENDED);
	frame(&s, 2, "{\"metadata\":{\"k\":[\"v\"]}}");
	assert_stream(&s, 5, TZ_V_DONE, RESULT("a\u20ac", "oops", "0", "false", "false"));

	/* bytes that are no text, and too many of them; the ceiling is not in a character */
	tz_buf_reset(&s);
	frame(&s, 0, STARTED);
	chunk(&s, "stdout", "\xff\0x", 3);
	chunk(&s, "stderr", "12345678", 8);
	chunk(&s, "stderr", "9\xe2\x82\xac!", 5);
	frame(&s, 0, "{\"event\":{\"end\":{\"exitCode\":3,\"exited\":true,\"status\":\"exit status 3\"}}}");
	frame(&s, 2, "{}");
	assert_stream(&s, 5, TZ_V_DONE, RESULT("\ufffd\ufffdx", "123456789", "3", "true", "false"));

	/* signals, as a shell counts them */
	tz_buf_reset(&s);
	frame(&s, 0, STARTED);
	frame(
		&s, 0,
		"{\"event\":{\"end\":{\"exitCode\":-1,\"status\":\"signal: killed\",\"error\":\"signal: killed\"}}}");
	frame(&s, 2, "{}");
	assert_stream(&s, 5, TZ_V_DONE, RESULT("", "", "137", "false", "false"));
	assert_stream(&s, 1000, TZ_V_DONE, RESULT("", "", "124", "false", "true"));

	/* the daemon's own clock: no end of the process */
	tz_buf_reset(&s);
	frame(&s, 0, STARTED);
	chunk(&s, "stdout", "so far", 6);
	frame(&s, 2, "{\"error\":{\"code\":\"deadline_exceeded\",\"message\":\"context deadline exceeded\"}}");
	assert_stream(&s, 1000, TZ_V_DONE, RESULT("so far", "", "124", "false", "true"));
	tz_buf_free(&s);
}

static void
test_broken_streams(void **state)
{
	static const struct
	{
		const char *frames[3];
		int flag; /* of the last */
		TzVerdict verdict;
	} cases[] = {
		/* cut */
		{{STARTED, ENDED, NULL}, 0, TZ_V_UNKNOWN},
		{{STARTED, NULL, NULL}, 0, TZ_V_UNKNOWN},
		/* ends without an end of the process */
		{{STARTED, "{}", NULL}, 2, TZ_V_FAILED},
		{{STARTED, ENDED, "{\"error\":{\"code\":\"unavailable\"}}"}, 2, TZ_V_UNKNOWN},
		{{"{\"error\":{\"code\":\"invalid_argument\",\"message\":\"cwd\"}}", NULL, NULL}, 2, TZ_V_FAILED},
		{{"{\"error\":{\"code\":\"unauthenticated\",\"message\":\"user\"}}", NULL, NULL}, 2, TZ_V_FAILED},
		{{"{\"error\":{\"code\":\"canceled\"}}", NULL, NULL}, 2, TZ_V_UNKNOWN},
		{{STARTED, "{\"error\":{\"code\":\"not_found\"}}", NULL}, 2, TZ_V_UNKNOWN},
		/* nonsense */
		{{STARTED, "nonsense", NULL}, 0, TZ_V_FAILED},
		{{STARTED, ENDED, NULL}, 1, TZ_V_FAILED},
		{{STARTED, ENDED, NULL}, 8, TZ_V_FAILED},
		{{STARTED, "{\"event\":{\"data\":{\"stdout\":\"***\"}}}", NULL}, 0, TZ_V_FAILED},
		{{STARTED, "{\"event\":{\"data\":{\"stdout\":7}}}", NULL}, 0, TZ_V_FAILED},
		{{STARTED, "{\"event\":{\"end\":{\"exitCode\":\"x\"}}}", NULL}, 0, TZ_V_FAILED},
		{{ENDED, ENDED, NULL}, 0, TZ_V_FAILED},
	};
	TzBuf s;

	(void) state;
	tz_buf_init(&s, 10000);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		tz_buf_reset(&s);
		for (int k = 0; k < 3 && cases[i].frames[k] != NULL; k++)
			frame(&s, k == 2 || cases[i].frames[k + 1] == NULL ? cases[i].flag : 0, cases[i].frames[k]);
		assert_stream(&s, 5, cases[i].verdict, NULL);
	}
	tz_buf_free(&s);
}

/* ---- commands that are cut ------------------------------------------------------------------ */

static void
test_stop(void **state)
{
	static const char stop[] = "{\"sandbox\":\"i1a2\",\"exec\":\"eff_9\"}";
	static const char list[] = "POST " ENVD "/process.Process/List";
	static const char tree[] = "POST " ENVD "/process.Process/Start";
	static const char signal[] = "POST " ENVD "/process.Process/SendSignal";
	static const char two[] =
		"{\"processes\":[{\"pid\":7,\"tag\":\"eff_1\"},{\"pid\":412,\"tag\":\"eff_9\"}]}";

	(void) state;
	/* found by the tag it was started with, meant by its number, with all it has started */
	walk(&(Walk){"e2b", "exec", "{\"sandbox\":\"i1a2\",\"language\":\"sh\",\"code\":\"x\"}", .kept = KEPT,
	             .id = "eff_9", .verdict = TZ_V_FAILED, .steps = {{tree, "\"tag\":\"eff_9\"", 415, ""}}});
	walk(&(Walk){"e2b", "stop", stop, .kept = KEPT, .verdict = TZ_V_DONE, .result = "{}", .streamed = true,
	             .steps = {{list, "{}", 200, two},
	                       {tree, "tz_end 412", 200, "", "content-type: application/connect+json"},
	                       {signal, "\"pid\":412", 200, "{}"}}});
	walk(&(Walk){"e2b", "stop", stop, .kept = KEPT, .verdict = TZ_V_DONE,
	             .steps = {{list, NULL, 200, two},
	                       {tree, NULL, 200, ""},
	                       {signal, NULL, 404, "{\"code\":\"not_found\"}"}}});
	/* none of it runs any more */
	walk(&(Walk){"e2b", "stop", stop, .kept = KEPT, .verdict = TZ_V_DONE, .result = "{}",
	             .steps = {{list, NULL, 200, "{}"}}});
	walk(&(Walk){"e2b", "stop", stop, .kept = KEPT, .verdict = TZ_V_FAILED,
	             .steps = {{list, NULL, 500, "{\"code\":\"internal\"}"}}});
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),       cmocka_unit_test(test_bad_requests),
		cmocka_unit_test(test_exec_request),   cmocka_unit_test(test_long_code),
		cmocka_unit_test(test_uploads),        cmocka_unit_test(test_create),
		cmocka_unit_test(test_create_refused), cmocka_unit_test(test_found),
		cmocka_unit_test(test_token),          cmocka_unit_test(test_unreachable),
		cmocka_unit_test(test_results),        cmocka_unit_test(test_read),
		cmocka_unit_test(test_streams),        cmocka_unit_test(test_broken_streams),
		cmocka_unit_test(test_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
