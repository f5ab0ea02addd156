/* client.c and transfer.c against a real server that misbehaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "http/client.h"
#include "lib_server.h"

typedef struct Result
{
	int called;
	TzErr err;
	int status;
	bool maybe_sent;
	size_t len;
	bool cut;
	char body[64];
	char header[64]; /* value of the header asked for */
	const char *ask;
	TzHttpClient *again; /* start another call from the callback */
} Result;

static TestServer *server;
static TestServer *tls_server;
static TzMux *mux;
static TzHttpClient *client;
static TzHttpClientConfig config;

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void
on_done(void *arg, const TzHttpResponse *res)
{
	Result *r = arg;

	r->called++;
	r->err = res->err;
	r->status = res->status;
	r->maybe_sent = res->maybe_sent;
	r->len = res->body.len;
	r->cut = res->cut;
	snprintf(r->body, sizeof(r->body), "%.*s", (int) (res->body.len < 60 ? res->body.len : 60),
	         res->body.data != NULL ? res->body.data : "");
	if (r->ask != NULL && tz_http_response_header(res, r->ask) != NULL)
		snprintf(r->header, sizeof(r->header), "%s", tz_http_response_header(res, r->ask));
	assert_non_null(res->request);
}

static void
make_request(TzHttpRequest *req, const char *method, const char *url)
{
	tz_http_request_init(req, 1024 * 1024);
	req->method = method;
	tz_buf_append_cstr(&req->url, url);
	req->timeout_ms = 5000;
	req->max_response = 1024 * 1024;
}

static const char *
url_of(const TestServer *s, const char *path)
{
	static char url[256];

	snprintf(url, sizeof(url), "%s://127.0.0.1:%d%s", s == tls_server ? "https" : "http", test_server_port(s),
	         path);
	return url;
}

/* One turn of a worker's loop. */
static void
turn(int max_ms)
{
	int wait = tz_http_client_timeout(client);
	struct pollfd fd = {.fd = tz_mux_fd(mux), .events = POLLIN};

	if (wait < 0 || wait > max_ms)
		wait = max_ms;
	poll(&fd, 1, wait);
	tz_mux_pump(mux, 1000);
	tz_http_client_pump(client);
}

static void
run_until(const Result *r, int max_ms)
{
	int64_t end = now_ms() + max_ms;

	while (!r->called && now_ms() < end)
		turn(50);
}

static Result
fetch(const char *method, const char *url)
{
	TzHttpRequest req;
	Result r = {.called = 0};
	TzErr err;

	make_request(&req, method, url);
	assert_int_equal(tz_http_start(client, &req, on_done, &r, NULL, &err), TZ_OK);
	run_until(&r, 10000);
	assert_int_equal(r.called, 1);
	return r;
}

static void
engine_open(void)
{
	TzErr err;

	assert_int_equal(tz_mux_create(&mux, &err), TZ_OK);
	assert_int_equal(tz_http_client_create(&config, mux, &client, &err), TZ_OK);
}

static void
engine_close(void)
{
	tz_http_client_free(client);
	tz_mux_free(mux);
}

static int
setup(void **state)
{
	(void) state;
	signal(SIGPIPE, SIG_IGN);
	config = (TzHttpClientConfig){.max_calls = 500,
	                              .connect_timeout_ms = 2000,
	                              .allow_http = true,
	                              .allow_private = true,
	                              .user_agent = "theazo-test"};
	engine_open();
	return 0;
}

static int
teardown(void **state)
{
	(void) state;
	engine_close();
	return 0;
}

static void
test_plain(void **state)
{
	TzHttpRequest req;
	Result r = {.ask = "content-type"};
	int requests = test_server_requests(server);

	(void) state;
	make_request(&req, "POST", url_of(server, "/ok"));
	tz_buf_append_cstr(&req.body, "{\"a\":1}");
	tz_http_request_header(&req, "Authorization", "Bearer s3cret", true, NULL);
	tz_http_request_header(&req, "X-Empty", "", false, NULL);
	tz_http_request_header(&req, "Content-Type", "application/json", false, NULL);
	assert_int_equal(tz_http_start(client, &req, on_done, &r, NULL, NULL), TZ_OK);
	assert_int_equal(req.nheaders, 0);
	assert_int_equal(tz_http_client_inflight(client), 1);
	assert_int_equal(tz_http_client_timeout(client), 0);
	run_until(&r, 5000);
	assert_int_equal(r.called, 1);
	assert_int_equal(r.err.status, TZ_OK);
	assert_int_equal(r.status, 200);
	assert_string_equal(r.body, "hello");
	assert_string_equal(r.header, "text/plain");
	assert_true(r.maybe_sent);
	assert_int_equal(test_server_requests(server) - requests, 1);
	assert_non_null(strstr(test_server_last(server), "POST /ok HTTP/1.1\r\n"));
	assert_non_null(strstr(test_server_last(server), "Authorization: Bearer s3cret\r\n"));
	assert_non_null(strstr(test_server_last(server), "X-Empty:\r\n"));
	assert_non_null(strstr(test_server_last(server), "\r\n\r\n{\"a\":1}"));
	assert_null(strstr(test_server_last(server), "Expect"));
	assert_int_equal(tz_http_client_inflight(client), 0);
}

static void
test_methods(void **state)
{
	(void) state;
	assert_int_equal(fetch("DELETE", url_of(server, "/ok")).status, 200);
	assert_non_null(strstr(test_server_last(server), "DELETE /ok HTTP/1.1\r\n"));
	assert_null(strcasestr(test_server_last(server), "content-type"));
	assert_int_equal(fetch("POST", url_of(server, "/ok")).status, 200);
	assert_non_null(strstr(test_server_last(server), "POST /ok HTTP/1.1\r\n"));
	assert_non_null(strcasestr(test_server_last(server), "content-length: 0"));
	assert_null(strcasestr(test_server_last(server), "content-type"));
	assert_int_equal(fetch("PUT", url_of(server, "/ok")).status, 200);
	assert_non_null(strstr(test_server_last(server), "PUT /ok HTTP/1.1\r\n"));
	assert_int_equal(fetch("GET", url_of(server, "/ok")).status, 200);
	assert_non_null(strstr(test_server_last(server), "GET /ok HTTP/1.1\r\n"));
	assert_null(strcasestr(test_server_last(server), "content-length"));
	/* dots are for the adapter to judge, not for curl to resolve */
	fetch("GET", url_of(server, "/a/../b"));
	assert_non_null(strstr(test_server_last(server), "GET /a/../b HTTP/1.1\r\n"));
}

static void
test_large_body_without_expect(void **state)
{
	TzHttpRequest req;
	Result r = {.called = 0};

	(void) state;
	make_request(&req, "PUT", url_of(server, "/ok"));
	tz_buf_free(&req.body);
	tz_buf_init(&req.body, 8 * 1024 * 1024);
	for (int i = 0; i < 3 * 1024; i++)
	{
		static const char kilobyte[1024] = {'x'};

		tz_buf_append(&req.body, kilobyte, sizeof(kilobyte));
	}
	assert_int_equal(tz_http_start(client, &req, on_done, &r, NULL, NULL), TZ_OK);
	run_until(&r, 5000);
	assert_int_equal(r.status, 200);
	assert_null(strstr(test_server_last(server), "Expect"));
}

static void
test_connection_is_kept(void **state)
{
	int before = test_server_connections(server);

	(void) state;
	for (int i = 0; i < 20; i++)
		assert_int_equal(fetch(i % 2 ? "GET" : "POST", url_of(server, "/ok")).status, 200);
	assert_int_equal(test_server_connections(server) - before, 1);
}

static void
test_odd_answers(void **state)
{
	Result r;

	(void) state;
	r = fetch("GET", url_of(server, "/slow"));
	assert_int_equal(r.err.status, TZ_OK);
	assert_string_equal(r.body, "hello");
	r = fetch("GET", url_of(server, "/chunked"));
	assert_string_equal(r.body, "abcde");
	r = fetch("GET", url_of(server, "/interim"));
	assert_int_equal(r.status, 200);
	assert_string_equal(r.body, "final");
	r = fetch("GET", url_of(server, "/status?500"));
	assert_int_equal(r.err.status, TZ_OK);
	assert_int_equal(r.status, 500);
	r = fetch("POST", url_of(server, "/half"));
	assert_int_equal(r.err.status, TZ_BAD_ANSWER);
	assert_true(r.maybe_sent);
	r = fetch("POST", url_of(server, "/bad-chunk"));
	assert_int_equal(r.err.status, TZ_BAD_ANSWER);
	r = fetch("POST", url_of(server, "/garbage"));
	assert_int_equal(r.err.status, TZ_BAD_ANSWER);
	assert_true(r.maybe_sent);
	r = fetch("POST", url_of(server, "/nothing"));
	assert_int_equal(r.err.status, TZ_UNAVAILABLE);
	assert_true(r.maybe_sent);
	assert_int_equal(r.status, 0);
	r = fetch("POST", url_of(server, "/reset"));
	assert_int_equal(r.err.status, TZ_UNAVAILABLE);
	assert_true(r.maybe_sent);
	r = fetch("POST", url_of(server, "/headers-then-reset"));
	assert_int_equal(r.err.status, TZ_BAD_ANSWER);
	assert_int_equal(r.err.http_status, 200);
	assert_true(r.maybe_sent);
}

static void
test_ceilings(void **state)
{
	Result r;

	(void) state;
	r = fetch("GET", url_of(server, "/big?104857600"));
	assert_int_equal(r.err.status, TZ_TOO_LARGE);
	r = fetch("GET", url_of(server, "/stated?104857600"));
	assert_int_equal(r.err.status, TZ_TOO_LARGE);
	assert_int_equal(r.len, 0);
	r = fetch("GET", url_of(server, "/big?1048576"));
	assert_int_equal(r.err.status, TZ_OK);
	assert_int_equal(r.len, 1048576);
	r = fetch("GET", url_of(server, "/many"));
	assert_int_equal(r.err.status, TZ_TOO_LARGE);
	r = fetch("GET", url_of(server, "/endless-headers"));
	assert_int_equal(r.err.status, TZ_TOO_LARGE);
}

/* A HEAD announces a body that never comes. */
static void
test_head(void **state)
{
	int64_t begun = now_ms();
	Result r = fetch("HEAD", url_of(server, "/stated?5000"));

	(void) state;
	assert_int_equal(r.err.status, TZ_OK);
	assert_int_equal(r.status, 200);
	assert_int_equal(r.len, 0);
	assert_true(now_ms() - begun < 2000);
	assert_non_null(strstr(test_server_last(server), "HEAD /stated?5000 HTTP/1.1\r\n"));
	/* the handle is used again, for bodies */
	assert_int_equal(fetch("GET", url_of(server, "/ok")).len, 5);
	assert_int_equal(fetch("POST", url_of(server, "/ok")).len, 5);
}

/* Some want the beginning of an answer and no more. */
static void
test_cut(void **state)
{
	static const char *const paths[] = {"/big?104857600", "/stated?104857600", "/big?1000001"};

	(void) state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
	{
		TzHttpRequest req;
		Result r = {.called = 0};

		make_request(&req, "GET", url_of(server, paths[i]));
		req.max_response = 1000000;
		req.cut_response = true;
		assert_int_equal(tz_http_start(client, &req, on_done, &r, NULL, NULL), TZ_OK);
		run_until(&r, 10000);
		assert_int_equal(r.called, 1);
		assert_int_equal(r.err.status, TZ_OK);
		assert_int_equal(r.status, 200);
		assert_true(r.cut);
		assert_true(i == 1 || r.len == 1000000);
	}
	/* and what fits is whole */
	{
		TzHttpRequest req;
		Result r = {.called = 0};

		make_request(&req, "GET", url_of(server, "/big?1000000"));
		req.max_response = 1000000;
		req.cut_response = true;
		assert_int_equal(tz_http_start(client, &req, on_done, &r, NULL, NULL), TZ_OK);
		run_until(&r, 10000);
		assert_int_equal(r.err.status, TZ_OK);
		assert_int_equal(r.len, 1000000);
		assert_false(r.cut);
	}
}

static void
try_pin(const char *url, const char *host, int port, bool tls, TzStatus expect)
{
	TzHttpRequest req;
	Result r = {.called = 0};
	TzErr err;

	make_request(&req, "GET", url);
	req.timeout_ms = 1000;
	tz_http_request_pin(&req, host, port, tls);
	if (tz_http_start(client, &req, on_done, &r, NULL, &err) != expect)
		fail_msg("%s held to %s", url, host);
	if (expect == TZ_OK)
		run_until(&r, 5000);
	tz_http_request_free(&req);
}

static void
test_pin(void **state)
{
	char url[100];
	int port = test_server_port(server);

	(void) state;
	try_pin(url_of(server, "/ok"), "127.0.0.1", port, false, TZ_OK);
	try_pin(url_of(server, "/ok"), "127.0.0.1", port, true, TZ_REFUSED);
	try_pin(url_of(server, "/ok"), "127.0.0.1", port + 1, false, TZ_REFUSED);
	try_pin(url_of(server, "/ok"), "127.0.0.10", port, false, TZ_REFUSED);
	try_pin(url_of(server, "/ok"), "127.0.0", port, false, TZ_REFUSED);
	try_pin("https://LOCALHOST./x", "localhost", 443, true, TZ_OK);
	try_pin("https://[::1]/x", "::1", 443, true, TZ_OK);
	try_pin("https://a.example%2eb/x", "a.example%2eb", 443, true, TZ_REFUSED);
	/* libcurl turns other spellings of an address into the plain one */
	snprintf(url, sizeof(url), "http://0x7f.1:%d/ok", port);
	try_pin(url, "0x7f.1", port, false, TZ_REFUSED);
}

static void
test_redirect_is_not_followed(void **state)
{
	int requests = test_server_requests(server);
	Result r = fetch("GET", url_of(server, "/redirect"));

	(void) state;
	assert_int_equal(r.status, 302);
	assert_int_equal(r.err.status, TZ_OK);
	assert_int_equal(test_server_requests(server) - requests, 1);
}

static void
test_deadlines(void **state)
{
	TzHttpRequest req;
	Result r = {.called = 0};
	int64_t start = now_ms();

	(void) state;
	make_request(&req, "POST", url_of(server, "/delay?3000"));
	req.timeout_ms = 200;
	assert_int_equal(tz_http_start(client, &req, on_done, &r, NULL, NULL), TZ_OK);
	run_until(&r, 3000);
	assert_int_equal(r.err.status, TZ_TIMEOUT);
	assert_true(r.maybe_sent);
	assert_true(now_ms() - start < 1500);

	/* bytes that keep coming do not prolong it */
	memset(&r, 0, sizeof(r));
	make_request(&req, "GET", url_of(server, "/drip"));
	req.timeout_ms = 300;
	assert_int_equal(tz_http_start(client, &req, on_done, &r, NULL, NULL), TZ_OK);
	run_until(&r, 3000);
	assert_int_equal(r.err.status, TZ_TIMEOUT);
}

static void
test_nobody_listens(void **state)
{
	TestServer *gone = test_server_start(false, false);
	int port = test_server_port(gone);
	char url[64];
	Result r;

	(void) state;
	test_server_stop(gone);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/ok", port);
	r = fetch("POST", url);
	assert_int_equal(r.err.status, TZ_UNAVAILABLE);
	assert_false(r.maybe_sent);
	r = fetch("POST", "http://no-such-host.invalid/ok");
	assert_int_equal(r.err.status, TZ_UNAVAILABLE);
	assert_false(r.maybe_sent);
}

static void
test_tls(void **state)
{
	Result r = fetch("POST", url_of(tls_server, "/ok"));
	char url[64];

	(void) state;
	assert_int_equal(r.err.status, TZ_UNAVAILABLE);
	assert_false(r.maybe_sent);
	assert_non_null(strstr(r.err.message, "not trusted"));

	config.ca_file = test_server_ca(tls_server);
	tz_http_client_reconfigure(client, &config);
	r = fetch("POST", url_of(tls_server, "/ok"));
	assert_int_equal(r.err.status, TZ_OK);
	assert_string_equal(r.body, "hello");

	/* a name the certificate does not have: 127.0.0.1 is also 127.0.0.2's machine */
	snprintf(url, sizeof(url), "https://127.0.0.2:%d/ok", test_server_port(tls_server));
	r = fetch("POST", url);
	assert_int_not_equal(r.err.status, TZ_OK);
	assert_false(r.maybe_sent);

	config.ca_file = "/nonexistent/ca.pem";
	tz_http_client_reconfigure(client, &config);
	r = fetch("POST", url_of(tls_server, "/ok"));
	assert_int_not_equal(r.err.status, TZ_OK);
	config.ca_file = NULL;
	/* TLS spoken to a port that does not */
	snprintf(url, sizeof(url), "https://127.0.0.1:%d/ok", test_server_port(server));
	r = fetch("POST", url);
	assert_int_equal(r.err.status, TZ_UNAVAILABLE);
	assert_false(r.maybe_sent);
}

static void
test_egress_policy(void **state)
{
	TzHttpRequest req;
	TzNetPolicy *policy;
	int requests;
	int connections;
	static const char *const names[] = {"127.0.0.1", "localhost",          "127.1", "2130706433",
	                                    "0x7f.1",    "[::ffff:127.0.0.1]", "0"};
	TzErr err;
	Result r;

	(void) state;
	/* once this is answered, the server has counted whoever knocked before */
	assert_int_equal(fetch("GET", url_of(server, "/ok")).status, 200);
	requests = test_server_requests(server);
	connections = test_server_connections(server);
	config.allow_private = false;
	tz_http_client_reconfigure(client, &config);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
	{
		char url[128];

		snprintf(url, sizeof(url), "http://%s:%d/ok", names[i], test_server_port(server));
		r = fetch("POST", url);
		assert_int_equal(r.err.status, TZ_REFUSED);
		assert_int_equal(r.err.http_status, 0);
		assert_false(r.maybe_sent);
	}
	assert_int_equal(test_server_connections(server), connections);

	/* allowed for one call; its kept connection does not serve the next */
	memset(&r, 0, sizeof(r));
	make_request(&req, "POST", url_of(server, "/ok"));
	req.allow_private = true;
	assert_int_equal(tz_http_start(client, &req, on_done, &r, NULL, NULL), TZ_OK);
	run_until(&r, 3000);
	assert_int_equal(r.status, 200);
	r = fetch("POST", url_of(server, "/ok"));
	assert_int_equal(r.err.status, TZ_REFUSED);
	assert_false(r.maybe_sent);
	assert_int_equal(test_server_requests(server) - requests, 1);

	/* operator's lists */
	assert_int_equal(tz_netpolicy_parse("127.0.0.0/8", "", &policy, &err), TZ_OK);
	config.policy = policy;
	tz_http_client_reconfigure(client, &config);
	assert_int_equal(fetch("POST", url_of(server, "/ok")).status, 200);
	config.policy = NULL;
	tz_http_client_reconfigure(client, &config);
	tz_netpolicy_free(policy);

	/* schemes */
	config.allow_http = false;
	config.allow_private = true;
	tz_http_client_reconfigure(client, &config);
	make_request(&req, "POST", url_of(server, "/ok"));
	assert_int_equal(tz_http_start(client, &req, on_done, &r, NULL, &err), TZ_REFUSED);
	req.allow_http = true;
	memset(&r, 0, sizeof(r));
	assert_int_equal(tz_http_start(client, &req, on_done, &r, NULL, &err), TZ_OK);
	run_until(&r, 3000);
	assert_int_equal(r.status, 200);
}

static void
test_ipv6(void **state)
{
	TestServer *six = test_server_start(false, true);
	char url[64];

	(void) state;
	if (six == NULL)
		skip();
	snprintf(url, sizeof(url), "http://[::1]:%d/ok", test_server_port(six));
	assert_int_equal(fetch("POST", url).status, 200);
	config.allow_private = false;
	tz_http_client_reconfigure(client, &config);
	/* over the connection kept from before, and over a new one */
	assert_int_equal(fetch("POST", url).err.status, TZ_REFUSED);
	assert_int_equal(fetch("POST", url).err.status, TZ_REFUSED);
	assert_int_equal(test_server_requests(six), 1);
	test_server_stop(six);
}

static void
test_bad_urls(void **state)
{
	static const char *const urls[] = {"",
	                                   "ftp://127.0.0.1/x",
	                                   "file:///etc/passwd",
	                                   "http://user:pw@127.0.0.1/",
	                                   "gopher://h/x",
	                                   "http://",
	                                   "/relative",
	                                   "http://a b/",
	                                   "dict://h/x",
	                                   "telnet://127.0.0.1:23",
	                                   "scp://h/x"};

	(void) state;
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
	{
		TzHttpRequest req;
		TzErr err;

		tz_err_clear(&err);
		make_request(&req, "GET", urls[i]);
		assert_int_not_equal(tz_http_start(client, &req, on_done, NULL, NULL, &err), TZ_OK);
		assert_true(err.message[0] != '\0');
		assert_null(strstr(err.message, "pw"));
		tz_http_request_free(&req);
	}
	assert_int_equal(tz_http_client_inflight(client), 0);
}

static void
test_proxy_of_the_environment_is_ignored(void **state)
{
	(void) state;
	setenv("http_proxy", "http://127.0.0.1:1/", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1/", 1);
	assert_int_equal(fetch("GET", url_of(server, "/ok")).status, 200);
	unsetenv("http_proxy");
	unsetenv("ALL_PROXY");
}

/* The peer takes the second request on a kept connection and closes without an answer. */
static void
test_request_is_sent_once(void **state)
{
	int requests = test_server_requests(server);
	Result r;

	(void) state;
	assert_int_equal(fetch("POST", url_of(server, "/second-dies")).status, 200);
	r = fetch("POST", url_of(server, "/second-dies"));
	assert_int_equal(r.err.status, TZ_UNAVAILABLE);
	assert_true(r.maybe_sent);
	assert_int_equal(test_server_requests(server) - requests, 2);

	/* a GET may be repeated */
	requests = test_server_requests(server);
	assert_int_equal(fetch("GET", url_of(server, "/second-dies")).status, 200);
	r = fetch("GET", url_of(server, "/second-dies"));
	assert_int_equal(r.status, 200);
	assert_int_equal(test_server_requests(server) - requests, 3);
}

static void
test_cancel(void **state)
{
	TzHttpRequest req;
	TzHttpCall *waiting;
	TzHttpCall *flying;
	Result w = {.called = 0};
	Result f = {.called = 0};
	int requests = test_server_requests(server);
	int64_t start;

	(void) state;
	make_request(&req, "POST", url_of(server, "/delay?4000"));
	assert_int_equal(tz_http_start(client, &req, on_done, &f, &flying, NULL), TZ_OK);
	for (int i = 0; i < 100 && test_server_requests(server) == requests; i++)
		turn(10);
	make_request(&req, "POST", url_of(server, "/ok"));
	assert_int_equal(tz_http_start(client, &req, on_done, &w, &waiting, NULL), TZ_OK);
	start = now_ms();
	tz_http_cancel(flying);
	tz_http_cancel(waiting);
	turn(0);
	assert_int_equal(f.called, 1);
	assert_int_equal(w.called, 1);
	assert_int_equal(f.err.status, TZ_CANCELLED);
	assert_int_equal(w.err.status, TZ_CANCELLED);
	assert_true(f.maybe_sent);
	assert_false(w.maybe_sent);
	assert_true(now_ms() - start < 500);
	assert_int_equal(tz_http_client_inflight(client), 0);
	assert_int_equal(fetch("POST", url_of(server, "/ok")).status, 200);
}

static void
test_free_in_flight(void **state)
{
	TzHttpRequest req;
	Result r[3] = {{.called = 0}};
	int requests = test_server_requests(server);

	(void) state;
	for (int i = 0; i < 3; i++)
	{
		make_request(&req, "POST", url_of(server, "/delay?2000"));
		assert_int_equal(tz_http_start(client, &req, on_done, &r[i], NULL, NULL), TZ_OK);
	}
	for (int i = 0; i < 100 && test_server_requests(server) < requests + 3; i++)
		turn(10);
	engine_close();
	for (int i = 0; i < 3; i++)
		assert_int_equal(r[i].called, 0);
	engine_open();
}

static void
start_another(void *arg, const TzHttpResponse *res)
{
	Result *r = arg;
	TzHttpRequest req;

	on_done(arg, res);
	if (r->again == NULL)
		return;
	make_request(&req, "GET", url_of(server, "/ok"));
	assert_int_equal(tz_http_start(r->again, &req, on_done, r, NULL, NULL), TZ_OK);
	r->again = NULL;
}

static void
test_start_from_callback(void **state)
{
	TzHttpRequest req;
	Result r = {.again = client};

	(void) state;
	make_request(&req, "GET", url_of(server, "/ok"));
	assert_int_equal(tz_http_start(client, &req, start_another, &r, NULL, NULL), TZ_OK);
	for (int i = 0; i < 200 && r.called < 2; i++)
		turn(10);
	assert_int_equal(r.called, 2);
	assert_int_equal(r.status, 200);
}

static void
test_many_at_once(void **state)
{
	static Result r[200];
	int64_t start = now_ms();
	int left = 200;

	(void) state;
	memset(r, 0, sizeof(r));
	for (int i = 0; i < 200; i++)
	{
		TzHttpRequest req;

		make_request(&req, "POST", url_of(server, "/delay?1000"));
		assert_int_equal(tz_http_start(client, &req, on_done, &r[i], NULL, NULL), TZ_OK);
	}
	while (left > 0 && now_ms() - start < 8000)
	{
		turn(20);
		left = tz_http_client_inflight(client);
	}
	for (int i = 0; i < 200; i++)
	{
		assert_int_equal(r[i].called, 1);
		assert_int_equal(r[i].err.status, TZ_OK);
		assert_int_equal(r[i].status, 200);
	}
	print_message("200 answers of 1000 ms took %d ms\n", (int) (now_ms() - start));
	assert_true(now_ms() - start < 4000);
}

static void
test_ceiling_of_calls(void **state)
{
	TzHttpRequest req;
	Result r = {.called = 0};
	TzErr err;

	(void) state;
	config.max_calls = 2;
	tz_http_client_reconfigure(client, &config);
	for (int i = 0; i < 3; i++)
	{
		make_request(&req, "POST", url_of(server, "/delay?50"));
		assert_int_equal(tz_http_start(client, &req, on_done, &r, NULL, &err),
		                 i < 2 ? TZ_OK : TZ_UNAVAILABLE);
	}
	assert_non_null(strstr(err.hint, "theazo.http_max_calls"));
	tz_http_request_free(&req);
	for (int i = 0; i < 100 && r.called < 2; i++)
		turn(20);
	assert_int_equal(r.called, 2);
}

static volatile sig_atomic_t signalled;
static pthread_t main_thread;

static void
on_signal(int sig)
{
	(void) sig;
	assert_true(pthread_equal(pthread_self(), main_thread));
	signalled++;
}

/* Handlers keep running on our thread only, and the mask is as before. */
static void
test_signals(void **state)
{
	sigset_t mask;

	(void) state;
	main_thread = pthread_self();
	signal(SIGALRM, on_signal);
	ualarm(2000, 2000);
	for (int i = 0; i < 5; i++)
	{
		fetch("POST", "http://localhost.invalid/ok");
		fetch("POST", url_of(server, "/delay?20"));
	}
	ualarm(0, 0);
	assert_true(signalled > 0);
	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	assert_false(sigismember(&mask, SIGTERM));
	assert_false(sigismember(&mask, SIGALRM));
}

static int
group_setup(void **state)
{
	(void) state;
	server = test_server_start(false, false);
	tls_server = test_server_start(true, false);
	return server == NULL || tls_server == NULL;
}

static int
group_teardown(void **state)
{
	(void) state;
	test_server_stop(server);
	test_server_stop(tls_server);
	return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_plain),
		TEST(test_methods),
		TEST(test_large_body_without_expect),
		TEST(test_connection_is_kept),
		TEST(test_odd_answers),
		TEST(test_ceilings),
		TEST(test_head),
		TEST(test_cut),
		TEST(test_pin),
		TEST(test_redirect_is_not_followed),
		TEST(test_deadlines),
		TEST(test_nobody_listens),
		TEST(test_tls),
		TEST(test_egress_policy),
		TEST(test_ipv6),
		TEST(test_bad_urls),
		TEST(test_proxy_of_the_environment_is_ignored),
		TEST(test_request_is_sent_once),
		TEST(test_cancel),
		TEST(test_free_in_flight),
		TEST(test_start_from_callback),
		TEST(test_many_at_once),
		TEST(test_ceiling_of_calls),
		TEST(test_signals),
	};

	return cmocka_run_group_tests_name("client", tests, group_setup, group_teardown);
}
