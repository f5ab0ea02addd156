/* compute_webhook*.c, signed.c, shell.c, answer.c: requests made, recorded answers read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib_adapter.h"

#include "adapter/adapter.h"
#include "adapter/shell.h"
#include "lib/sign.h"

static const char *const verdicts[] = {"", "done", "next", "retry", "failed", "unknown"};

typedef struct Built
{
	TzStatus status;
	TzErr err;
	TzHttpRequest req;
	json_t *request;
} Built;

static Built
build(const char *op, const char *request, TzSlice content, const TzSecretValue *secrets, int nsecrets)
{
	Built b;
	TzEndpoint to = {.url = "https://h.example/base//", .max_response = 40 * 1024 * 1024};
	TzEffect effect = {.platform_id = "plat_1",
	                   .id = "msg_1",
	                   .op = op,
	                   .attempt = 1,
	                   .content = content,
	                   .secrets = secrets,
	                   .nsecrets = nsecrets,
	                   .now_ms = INT64_C(1700000000123)};

	memset(&b, 0, sizeof(b));
	tz_http_request_init(&b.req, 0);
	b.request = json_loads(request, 0, NULL);
	assert_non_null(b.request);
	effect.request = b.request;
	b.status = tz_adapter_find("webhook")->build(&effect, &to, &b.req, &b.err);
	if (b.status != TZ_OK)
		assert_true(b.err.message[0] != '\0');
	return b;
}

static void
drop(Built *b)
{
	tz_http_request_free(&b->req);
	json_decref(b->request);
}

#define NONE tz_slice(NULL, 0)

static void
assert_call(const char *op, const char *request, const char *method, const char *url, const char *body)
{
	Built b = build(op, request, NONE, NULL, 0);

	if (b.status != TZ_OK)
		fail_msg("%s: %s", request, b.err.message);
	assert_string_equal(b.req.method, method);
	assert_string_equal(b.req.url.data, url);
	assert_string_equal(b.req.body.data != NULL ? b.req.body.data : "", body);
	drop(&b);
}

static void
assert_refused(const char *op, const char *request)
{
	Built b = build(op, request, NONE, NULL, 0);

	if (b.status == TZ_OK)
		fail_msg("%s is taken: %s", request, b.req.url.data);
	drop(&b);
}

#define BASE "https://h.example/base"

/* Our name of a sandbox goes with its creation, where its receiver can find it before it has read the body. */
static void
test_tag(void **state)
{
	Built b = build("create", "{\"tag\":\"sbx_01\"}", NONE, NULL, 0);

	(void) state;
	assert_int_equal(b.status, TZ_OK);
	assert_string_equal(adapter_header(&b.req, "X-Theazo-Sandbox"), "sbx_01");
	assert_null(strstr(b.req.body.data, "sbx_01"));
	drop(&b);
	b = build("create", "{}", NONE, NULL, 0);
	assert_null(adapter_header(&b.req, "X-Theazo-Sandbox"));
	drop(&b);
	assert_refused("create", "{\"tag\":\"a\\r\\nb: c\"}");
	assert_refused("create", "{\"tag\":7}");
	assert_call("destroy", "{\"sandbox\":\"sbx_01\",\"tag\":\"sbx_01\"}", "DELETE", BASE "/sbx_01", "");
}

static void
test_requests(void **state)
{
	(void) state;
	assert_call("create", "{}", "POST", BASE "/create",
	            "{\"runtime\":\"python\",\"timeout\":3600,\"envVars\":{}}");
	assert_call(
		"create",
		"{\"runtime\":\"go\",\"lifetime_s\":60,\"env\":{\"B\":\"/\\u00e9\\u001f\\u2028\\\"\\\\\\n\\u007f\",\"A\":\"\"}}",
		"POST", BASE "/create",
		"{\"runtime\":\"go\",\"timeout\":60,\"envVars\":{\"B\":\"/\xc3\xa9\\u001f\xe2\x80\xa8\\\"\\\\\\n\x7f\",\"A\":\"\"}}");
	assert_call("create", "{\"gpu\":\"a\\\"1\",\"storage_gb\":20,\"browser\":true,\"region\":\"eu\"}", "POST",
	            BASE "/create",
	            "{\"runtime\":\"python\",\"timeout\":3600,\"envVars\":{},\"region\":\"eu\",\"browser\":true,"
	            "\"storageGb\":20,\"gpu\":\"a\\\"1\"}");
	assert_call("create", "{\"browser\":false,\"region\":\"\"}", "POST", BASE "/create",
	            "{\"runtime\":\"python\",\"timeout\":3600,\"envVars\":{}}");
	assert_call("read", "{\"sandbox\":\"sb/1 \xc3\xbc\",\"path\":\"/a b//c%d?e#f\"}", "GET",
	            BASE "/sb%2F1%20%C3%BC/files/a%20b/c%25d%3Fe%23f", "");
	assert_call("list", "{\"sandbox\":\"s\",\"dir\":\"/a b&c\"}", "GET", BASE "/s/files?dir=/a%20b%26c", "");
	assert_call("list", "{\"sandbox\":\"s\"}", "GET", BASE "/s/files?dir=/", "");
	assert_call("pause", "{\"sandbox\":\"s\"}", "POST", BASE "/s/pause", "");
	assert_call("resume", "{\"sandbox\":\"s\",\"snapshot\":\"sn\"}", "POST", BASE "/s/resume",
	            "{\"snapshotId\":\"sn\"}");
	assert_call("metrics", "{\"sandbox\":\"s\"}", "GET", BASE "/s/metrics", "");
	assert_call("expose_port", "{\"sandbox\":\"s\",\"port\":80}", "POST", BASE "/s/ports/80", "");
	assert_call("destroy", "{\"sandbox\":\"s\"}", "DELETE", BASE "/s", "");
}

static void
test_bad_requests(void **state)
{
	char *longest = malloc(5000);
	char text[6000];

	(void) state;
	assert_refused("fly", "{}");
	assert_refused("create", "{\"runtime\":\"cobol\"}");
	assert_refused("create", "{\"runtime\":7}");
	assert_refused("create", "{\"lifetime_s\":0}");
	assert_refused("create", "{\"env\":{\"A B\":\"x\"}}");
	assert_refused("create", "{\"env\":{\"A\":1}}");
	assert_refused("create", "{\"env\":[]}");
	assert_refused("create", "{\"region\":5}");
	assert_refused("create", "{\"browser\":\"yes\"}");
	assert_refused("create", "{\"storage_gb\":0}");
	assert_refused("create", "{\"gpu\":true}");
	assert_refused("exec", "{\"sandbox\":\"s\",\"language\":\"cobol\",\"code\":\"\"}");
	assert_refused("exec", "{\"sandbox\":\"s\",\"code\":\"\"}");
	assert_refused("exec", "{\"sandbox\":\"s\",\"language\":\"sh\"}");
	assert_refused("exec", "{\"language\":\"sh\",\"code\":\"\"}");
	assert_refused("exec", "{\"sandbox\":\"s\",\"language\":\"sh\",\"code\":\"\",\"timeout_ms\":0}");
	assert_refused("exec", "{\"sandbox\":\"s\",\"language\":\"sh\",\"code\":\"\",\"env\":{\"1A\":\"\"}}");
	assert_refused("exec", "{\"sandbox\":\"s\",\"language\":\"sh\",\"code\":\"\",\"env\":{\"A;B\":\"\"}}");
	assert_refused("destroy", "{}");
	assert_refused("destroy", "{\"sandbox\":\"\"}");
	assert_refused("destroy", "{\"sandbox\":\"..\"}");
	assert_refused("destroy", "{\"sandbox\":\".\"}");
	assert_refused("destroy", "{\"sandbox\":\"a\\nb\"}");
	assert_refused("read", "{\"sandbox\":\"s\",\"path\":\"a/../b\"}");
	assert_refused("read", "{\"sandbox\":\"s\",\"path\":\"./b\"}");
	assert_refused("read", "{\"sandbox\":\"s\",\"path\":\"/\"}");
	assert_refused("read", "{\"sandbox\":\"s\",\"path\":\"\"}");
	assert_refused("read", "{\"sandbox\":\"s\",\"path\":\"a\\u0007\"}");
	assert_refused("list", "{\"sandbox\":\"s\",\"dir\":\"a\\n\"}");
	assert_refused("expose_port", "{\"sandbox\":\"s\",\"port\":0}");
	memset(longest, 'a', 4999);
	longest[4999] = '\0';
	snprintf(text, sizeof(text), "{\"sandbox\":\"s\",\"path\":\"%s\"}", longest);
	assert_refused("read", text);
	longest[300] = '\0';
	snprintf(text, sizeof(text), "{\"sandbox\":\"%s\"}", longest);
	assert_refused("destroy", text);
	free(longest);
}

static void
test_bad_endpoints(void **state)
{
	static const char *const urls[] = {
		"", "///", "https://h/x?y=1", "https://h/#f", "https://h/a b", "https://h\\x", NULL};

	(void) state;
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
	{
		TzEndpoint to = {.url = urls[i], .max_response = 1000};
		TzEffect effect = {.id = "e", .op = "create", .attempt = 1, .request = json_object()};
		TzHttpRequest req;
		TzErr err;

		tz_http_request_init(&req, 0);
		assert_int_equal(tz_adapter_find("webhook")->build(&effect, &to, &req, &err), TZ_BAD_INPUT);
		tz_http_request_free(&req);
		json_decref(effect.request);
	}
}

static void
test_signatures(void **state)
{
	TzSecretValue secrets[] = {{"credential", "cred", tz_slice_cstr("s3cret")},
	                           {"signing", "sign", tz_slice_cstr("whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH")}};
	uint8_t mac[32];
	TzBuf text;
	Built b;

	(void) state;
	/* the credential signs when there is nothing else */
	b = build("destroy", "{\"sandbox\":\"s\"}", NONE, secrets, 1);
	assert_int_equal(b.status, TZ_OK);
	assert_string_equal(adapter_header(&b.req, "Authorization"), "Bearer s3cret");
	assert_string_equal(adapter_header(&b.req, "X-Theazo-Timestamp"), "1700000000123");
	assert_string_equal(adapter_header(&b.req, "webhook-id"), "msg_1");
	assert_string_equal(adapter_header(&b.req, "webhook-timestamp"), "1700000000");
	tz_hmac_sha256(tz_slice_cstr("s3cret"), NONE, mac, NULL);
	tz_buf_init(&text, 200);
	tz_buf_append_cstr(&text, "sha256=");
	tz_hex_append(&text, mac, sizeof(mac));
	assert_string_equal(adapter_header(&b.req, "X-Theazo-Signature"), text.data);
	assert_null(adapter_header(&b.req, "Content-Type"));
	assert_true(b.req.nmasks == 1);
	drop(&b);

	/* a signing secret of its own; for the standard triple it is decoded */
	b = build("resume", "{\"sandbox\":\"s\",\"snapshot\":\"x\"}", NONE, secrets, 2);
	assert_int_equal(b.status, TZ_OK);
	tz_hmac_sha256(secrets[1].value, tz_buf_slice(&b.req.body), mac, NULL);
	tz_buf_reset(&text);
	tz_buf_append_cstr(&text, "sha256=");
	tz_hex_append(&text, mac, sizeof(mac));
	assert_string_equal(adapter_header(&b.req, "X-Theazo-Signature"), text.data);
	tz_buf_reset(&text);
	tz_buf_append_cstr(&text, "msg_1.1700000000.");
	tz_buf_append(&text, b.req.body.data, b.req.body.len);
	tz_hmac_sha256(tz_slice("\a\a\a\a\a\a\a\a\a\a\a\a\a\a\a\a\a\a\a\a\a\a\a\a", 24), tz_buf_slice(&text), mac,
	               NULL);
	tz_buf_reset(&text);
	tz_buf_append_cstr(&text, "v1,");
	tz_base64_append(&text, mac, sizeof(mac));
	assert_string_equal(adapter_header(&b.req, "webhook-signature"), text.data);
	assert_string_equal(adapter_header(&b.req, "Content-Type"), "application/json");
	tz_buf_free(&text);
	drop(&b);

	/* without any secret there is nothing to sign with */
	b = build("create", "{}", NONE, NULL, 0);
	assert_int_equal(b.status, TZ_OK);
	assert_null(adapter_header(&b.req, "Authorization"));
	assert_null(adapter_header(&b.req, "X-Theazo-Signature"));
	assert_null(adapter_header(&b.req, "webhook-signature"));
	assert_non_null(adapter_header(&b.req, "X-Theazo-Timestamp"));
	drop(&b);

	/* a line break would start another header */
	secrets[0].value = tz_slice_cstr("s3cret\r\nX-Evil: 1");
	b = build("create", "{}", NONE, secrets, 1);
	assert_int_equal(b.status, TZ_BAD_INPUT);
	assert_null(strstr(b.err.message, "s3cret"));
	drop(&b);
	secrets[0].value = tz_slice("a\0b", 3);
	b = build("create", "{}", NONE, secrets, 1);
	assert_int_equal(b.status, TZ_BAD_INPUT);
	drop(&b);
}

/* The published vectors. */
static void
test_vectors(void **state)
{
	TzHttpRequest req;
	TzSecretValue secret = {"credential", "c", tz_slice_cstr("s3cret")};
	TzEffect effect = {.id = "msg_1", .secrets = &secret, .nsecrets = 1, .now_ms = INT64_C(1700000000000)};
	extern TzStatus tz_signed_headers(const TzEffect *, TzHttpRequest *, TzErr *);

	(void) state;
	tz_http_request_init(&req, 100);
	tz_buf_append_cstr(&req.body, "{\"a\":1}");
	assert_int_equal(tz_signed_headers(&effect, &req, NULL), TZ_OK);
	assert_string_equal(adapter_header(&req, "X-Theazo-Signature"),
	                    "sha256=5910e62016ef5034272c926c27071992a465c2335cecf41851bda071577f4f6d");
	tz_http_request_free(&req);
	secret.value = tz_slice_cstr("whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH");
	tz_http_request_init(&req, 100);
	tz_buf_append_cstr(&req.body, "{\"a\":1}");
	assert_int_equal(tz_signed_headers(&effect, &req, NULL), TZ_OK);
	assert_string_equal(adapter_header(&req, "webhook-signature"),
	                    "v1,GnWfOMPpcrOIuA+hTPKUlJoozIUx5fe5vMJRq4kNJyc=");
	tz_http_request_free(&req);
}

static void
test_file_content(void **state)
{
	Built b = build("write", "{\"sandbox\":\"s\",\"path\":\"/d/f\"}", tz_slice("\0\xff/", 3), NULL, 0);

	(void) state;
	assert_int_equal(b.status, TZ_OK);
	assert_string_equal(b.req.method, "PUT");
	assert_string_equal(b.req.url.data, BASE "/s/files/d/f");
	assert_string_equal(b.req.body.data, "{\"content\":\"AP8v\"}");
	drop(&b);
	b = build("read", "{\"sandbox\":\"s\",\"path\":\"f\",\"max_bytes\":1000}", NONE, NULL, 0);
	assert_true(b.req.max_response < 100000);
	assert_int_equal(b.req.timeout_ms, 30000);
	drop(&b);
}

static void
test_secrets_in_the_environment(void **state)
{
	TzSecretValue secrets[] = {{"env", "API_KEY", tz_slice_cstr("va\"lue")},
	                           {"env", "A", tz_slice_cstr("secret")}};
	TzSecretValue bad = {"env", "API_KEY", tz_slice("\xff", 1)};
	Built b = build("create", "{\"env\":{\"A\":\"given\"}}", NONE, secrets, 2);

	(void) state;
	assert_int_equal(b.status, TZ_OK);
	assert_non_null(strstr(b.req.body.data, "\"envVars\":{\"A\":\"given\",\"API_KEY\":\"va\\\"lue\"}}"));
	assert_int_equal(b.req.nmasks, 2);
	drop(&b);
	b = build("create", "{}", NONE, &bad, 1);
	assert_int_equal(b.status, TZ_BAD_INPUT);
	drop(&b);
}

/* Runs the command of a built exec with sh, as a receiver would. */
static int
run_command(const Built *b, char *out, size_t size)
{
	json_t *doc = json_loadb(b->req.body.data, b->req.body.len, 0, NULL);
	const char *command = json_string_value(json_object_get(doc, "command"));
	int fd[2];
	size_t len = 0;
	ssize_t n;
	int status;
	pid_t pid;

	assert_non_null(command);
	assert_int_equal(json_object_size(doc), 1);
	assert_int_equal(pipe(fd), 0);
	pid = fork();
	if (pid == 0)
	{
		dup2(fd[1], 1);
		dup2(fd[1], 2);
		execl("/bin/sh", "sh", "-c", command, (char *) NULL);
		_exit(99);
	}
	close(fd[1]);
	while (len < size - 1 && (n = read(fd[0], out + len, size - 1 - len)) > 0)
		len += (size_t) n;
	out[len] = '\0';
	close(fd[0]);
	waitpid(pid, &status, 0);
	json_decref(doc);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
test_command_runs(void **state)
{
	TzSecretValue secret = {"env", "SECRET", tz_slice_cstr("it's $HOME `id`\n\\")};
	char dir[] = "/tmp/theazo-test-XXXXXX";
	char out[4096];
	Built b;

	(void) state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	b = build(
		"exec",
		"{\"sandbox\":\"s\",\"language\":\"sh\",\"code\":\"echo \\\"$SECRET|$V\\\"; ls; exit 7\\n\",\"timeout_ms\":5000,"
		"\"env\":{\"V\":\"'\\\"; exit 3; '\"}}",
		NONE, &secret, 1);
	assert_int_equal(b.status, TZ_OK);
	assert_string_equal(b.req.url.data, BASE "/s/exec");
	assert_int_equal(b.req.timeout_ms, 10000);
	assert_int_equal(run_command(&b, out, sizeof(out)), 7);
	assert_string_equal(out, "it's $HOME `id`\n\\|'\"; exit 3; '\ntheazo-msg-1.sh\n");
	assert_int_not_equal(access("theazo-msg-1.sh", F_OK), 0);
	drop(&b);

	b = build("exec", "{\"sandbox\":\"s\",\"language\":\"bash\",\"code\":\"sleep 20\",\"timeout_ms\":1000}",
	          NONE, NULL, 0);
	assert_int_equal(run_command(&b, out, sizeof(out)), 124);
	drop(&b);
	if (system("python3 -c 1 2>/dev/null") == 0)
	{
		b = build(
			"exec",
			"{\"sandbox\":\"s\",\"language\":\"python\",\"code\":\"print('\\u00fc'*2)\\nimport sys\\nsys.exit(4)\"}",
			NONE, NULL, 0);
		assert_int_equal(run_command(&b, out, sizeof(out)), 4);
		assert_string_equal(out, "\xc3\xbc\xc3\xbc\n");
		drop(&b);
	}
	assert_int_equal(chdir("/"), 0);
	rmdir(dir);
}

static void
test_quote(void **state)
{
	TzBuf buf;

	(void) state;
	tz_buf_init(&buf, 100);
	assert_int_equal(tz_shell_quote(tz_slice_cstr("a'b''"), &buf), TZ_OK);
	assert_string_equal(buf.data, "'a'\\''b'\\'''\\'''");
	assert_int_equal(tz_shell_quote(tz_slice("a\0", 2), &buf), TZ_BAD_INPUT);
	tz_buf_reset(&buf);
	assert_int_equal(tz_shell_quote(tz_slice(NULL, 0), &buf), TZ_OK);
	assert_string_equal(buf.data, "''");
	tz_buf_free(&buf);
}

/* --- recorded answers ------------------------------------------------------- */

static TzStatus
status_of(const char *name)
{
	for (int s = TZ_OK; s <= TZ_INTERNAL; s++)
		if (strcmp(tz_status_name((TzStatus) s), name) == 0)
			return (TzStatus) s;
	fail_msg("no status %s", name);
	return TZ_OK;
}

static void
fill_answer(json_t *answer, TzHttpResponse *in, TzHttpRequest *sent)
{
	const char *key;
	json_t *value;
	json_t *body = json_object_get(answer, "body");
	const char *text;
	char line[1024];

	tz_http_response_init(in, 1024 * 1024);
	in->status = (int) json_integer_value(json_object_get(answer, "status"));
	in->total_us = json_integer_value(json_object_get(answer, "total_ms")) * 1000;
	in->maybe_sent = json_is_true(json_object_get(answer, "maybe_sent"));
	in->request = sent;
	if ((text = json_string_value(json_object_get(answer, "error"))) != NULL)
		tz_err_set(&in->err, status_of(text), "recorded");
	if ((text = json_string_value(json_object_get(answer, "mask"))) != NULL)
		tz_http_request_mask(sent, tz_slice_cstr(text), NULL);
	json_object_foreach (json_object_get(answer, "headers"), key, value)
	{
		snprintf(line, sizeof(line), "%s: %s", key, json_string_value(value));
		assert_int_equal(tz_http_response_add(in, line, strlen(line)), TZ_OK);
	}
	if (json_is_string(body))
		tz_buf_append(&in->body, json_string_value(body), json_string_length(body));
	else if (body != NULL)
	{
		char *dump = json_dumps(body, JSON_COMPACT);

		tz_buf_append_cstr(&in->body, dump);
		free(dump);
	}
	else if ((text = json_string_value(json_object_get(answer, "body_hex"))) != NULL)
		assert_int_equal(tz_hex_decode(tz_slice_cstr(text), &in->body, NULL), TZ_OK);
}

static void
compare(const char *name, json_t *expect, const TzOutcome *out)
{
	const char *text;
	json_t *result = json_object_get(expect, "result");

	if (strcmp(verdicts[out->verdict], json_string_value(json_object_get(expect, "verdict"))) != 0)
		fail_msg("%s: verdict %s (%s)", name, verdicts[out->verdict], out->err.message);
	if ((text = json_string_value(json_object_get(expect, "err"))) != NULL &&
	    out->err.status != status_of(text))
		fail_msg("%s: status %s (%s)", name, tz_status_name(out->err.status), out->err.message);
	if ((text = json_string_value(json_object_get(expect, "code"))) != NULL &&
	    (out->error_code == NULL || strcmp(text, out->error_code) != 0))
		fail_msg("%s: code %s", name, out->error_code);
	if (result != NULL && !json_equal(result, out->result))
		fail_msg("%s: result %s", name, json_dumps(out->result, JSON_COMPACT));
	if ((text = json_string_value(json_object_get(expect, "message"))) != NULL &&
	    strstr(out->err.message, text) == NULL)
		fail_msg("%s: message %s", name, out->err.message);
	if ((text = json_string_value(json_object_get(expect, "detail"))) != NULL &&
	    strstr(out->err.detail, text) == NULL)
		fail_msg("%s: detail %s", name, out->err.detail);
	if ((text = json_string_value(json_object_get(expect, "not_in"))) != NULL &&
	    (strstr(out->err.detail, text) != NULL || strstr(out->err.message, text) != NULL))
		fail_msg("%s: %s is shown", name, text);
	if (json_object_get(expect, "no_detail") != NULL && out->err.detail[0] != '\0')
		fail_msg("%s: detail %s", name, out->err.detail);
	if ((text = json_string_value(json_object_get(expect, "content"))) != NULL &&
	    !tz_slice_eq_cstr(tz_buf_slice(&out->content), text))
		fail_msg("%s: content", name);
	if (json_object_get(expect, "retry_after_ms") != NULL &&
	    out->retry_after_ms != json_integer_value(json_object_get(expect, "retry_after_ms")))
		fail_msg("%s: retry after %d", name, out->retry_after_ms);
	if (out->verdict == TZ_V_FAILED || out->verdict == TZ_V_UNKNOWN)
		assert_true(out->err.status != TZ_OK && out->err.message[0] != '\0');
}

static void
run_case(json_t *test)
{
	TzHttpRequest sent;
	TzHttpResponse in;
	TzOutcome out;
	json_t *request = json_object_get(test, "request");
	json_t *empty = json_object();
	TzEffect effect = {.id = "eff_1", .now_ms = INT64_C(1700000000000)};

	effect.op = json_string_value(json_object_get(test, "op"));
	effect.attempt = json_object_get(test, "attempt") != NULL
	                     ? (int) json_integer_value(json_object_get(test, "attempt"))
	                     : 1;
	effect.request = request != NULL ? request : empty;
	tz_http_request_init(&sent, 0);
	fill_answer(json_object_get(test, "answer"), &in, &sent);
	tz_outcome_init(&out, 1024 * 1024);
	tz_adapter_find("webhook")->parse(&effect, &in, &out);
	compare(json_string_value(json_object_get(test, "name")), json_object_get(test, "expect"), &out);
	tz_outcome_free(&out);
	tz_http_response_free(&in);
	tz_http_request_free(&sent);
	json_decref(empty);
}

static void
test_recorded(void **state)
{
	(void) state;
	adapter_run_file("test/unit/webhook/create.json", run_case);
	adapter_run_file("test/unit/webhook/exec.json", run_case);
	adapter_run_file("test/unit/webhook/files.json", run_case);
	adapter_run_file("test/unit/webhook/life.json", run_case);
}

static void
test_registry(void **state)
{
	(void) state;
	assert_non_null(tz_adapter_find("webhook"));
	assert_null(tz_adapter_find("local"));
	assert_int_equal(tz_adapter_find("webhook")->kind, TZ_COMPUTE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tag),
		cmocka_unit_test(test_registry),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_bad_requests),
		cmocka_unit_test(test_bad_endpoints),
		cmocka_unit_test(test_signatures),
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_file_content),
		cmocka_unit_test(test_secrets_in_the_environment),
		cmocka_unit_test(test_quote),
		cmocka_unit_test(test_recorded),
		cmocka_unit_test(test_command_runs),
	};

	return cmocka_run_group_tests_name("compute_webhook", tests, NULL, NULL);
}
