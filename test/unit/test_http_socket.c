/* Calls to a unix socket, and with a certificate of our own: only where the request says so. */
#include "tz_test.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "http/client.h"

static char dir[] = "/tmp/theazo-sock-XXXXXX";
static char path[64];
static TzHttpClient *client;
static TzMux *mux;
static pid_t servers[2];

/* Says how many requests this connection has brought. */
static void
serve(int listening)
{
	for (;;)
	{
		int fd = accept(listening, NULL, NULL);
		char bytes[4096];
		char answer[128];
		int n = 0;

		while (fd >= 0 && read(fd, bytes, sizeof(bytes)) > 0)
		{
			n++;
			snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d", n);
			if (write(fd, answer, strlen(answer)) < 0)
				break;
		}
		close(fd);
	}
}

static int
setup(void **state)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	TzHttpClientConfig config = {.max_calls = 10, .connect_timeout_ms = 2000, .user_agent = "theazo-test"};
	TzErr err;

	(void) state;
	signal(SIGPIPE, SIG_IGN);
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s.sock", dir);
	memcpy(at.sun_path, path, strlen(path) + 1);
	assert_int_equal(bind(fd, (struct sockaddr *) &at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 10), 0);
	servers[0] = fork();
	if (servers[0] == 0)
	{
		serve(fd);
		_exit(0);
	}
	close(fd);
	assert_int_equal(tz_mux_create(&mux, &err), TZ_OK);
	assert_int_equal(tz_http_client_create(&config, mux, &client, &err), TZ_OK);
	return 0;
}

static int
teardown(void **state)
{
	char command[128];

	(void) state;
	tz_http_client_free(client);
	tz_mux_free(mux);
	for (int i = 0; i < 2; i++)
		if (servers[i] > 0)
		{
			kill(servers[i], SIGKILL);
			waitpid(servers[i], NULL, 0);
		}
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

typedef struct Result
{
	int called;
	int status;
	TzErr err;
	bool maybe_sent;
	char body[64];
} Result;

static void
on_done(void *arg, const TzHttpResponse *res)
{
	Result *r = arg;

	r->called++;
	r->status = res->status;
	r->err = res->err;
	r->maybe_sent = res->maybe_sent;
	snprintf(r->body, sizeof(r->body), "%.*s", (int) res->body.len,
	         res->body.data != NULL ? res->body.data : "");
}

static Result
run(TzHttpRequest *req)
{
	Result r = {.called = 0};
	TzErr err;

	assert_int_equal(tz_http_start(client, req, on_done, &r, NULL, &err), TZ_OK);
	for (int i = 0; i < 2000 && !r.called; i++)
	{
		struct pollfd fd = {.fd = tz_mux_fd(mux), .events = POLLIN};

		poll(&fd, 1, 5);
		tz_mux_pump(mux, 100);
		tz_http_client_pump(client);
	}
	assert_int_equal(r.called, 1);
	tz_http_request_free(req);
	return r;
}

static void
make(TzHttpRequest *req, const char *url)
{
	tz_http_request_init(req, 1024);
	req->method = "GET";
	req->timeout_ms = 10000;
	req->max_response = 1024 * 1024;
	tz_buf_append_cstr(&req->url, url);
}

static void
test_socket(void **state)
{
	TzHttpRequest req;
	TzErr err;
	Result r;

	(void) state;
	for (int i = 1; i <= 2; i++)
	{
		make(&req, "http://localhost/x");
		req.allow_http = true;
		assert_int_equal(tz_http_request_socket(&req, path, &err), TZ_OK);
		r = run(&req);
		assert_int_equal(r.status, 200);
		/* the connection is kept */
		assert_int_equal(atoi(r.body), i);
	}
	/* the same host without the socket is the network's, which the policy guards; the handle has forgotten it */
	make(&req, "http://localhost/x");
	req.allow_http = true;
	r = run(&req);
	assert_int_equal(r.err.status, TZ_REFUSED);
	assert_false(r.maybe_sent);
	/* nobody listens */
	make(&req, "http://localhost/x");
	req.allow_http = true;
	assert_int_equal(tz_http_request_socket(&req, "/nonexistent/engine.sock", &err), TZ_OK);
	r = run(&req);
	assert_int_equal(r.err.status, TZ_UNAVAILABLE);
	assert_false(r.maybe_sent);
}

static void
test_paths(void **state)
{
	char name[120];
	TzHttpRequest req;
	TzErr err;

	(void) state;
	tz_http_request_init(&req, 0);
	memset(name, 'x', sizeof(name));
	name[0] = '/';
	name[107] = '\0';
	assert_int_equal(tz_http_request_socket(&req, name, &err), TZ_OK);
	name[107] = 'x';
	name[108] = '\0';
	assert_int_equal(tz_http_request_socket(&req, name, &err), TZ_BAD_INPUT);
	assert_int_equal(tz_http_request_socket(&req, "relative", &err), TZ_BAD_INPUT);
	assert_int_equal(tz_http_request_socket(&req, "", &err), TZ_BAD_INPUT);
	tz_http_request_free(&req);
}

/* ---- a server that wants to see a certificate ---- */

static void
shell(const char *script)
{
	char command[2048];

	snprintf(command, sizeof(command), "cd '%s' && (%s) > openssl.log 2>&1", dir, script);
	assert_int_equal(system(command), 0);
}

static void
slurp(const char *name, TzBuf *out)
{
	char file[128];
	char bytes[4096];
	size_t n;
	FILE *f;

	snprintf(file, sizeof(file), "%s/%s", dir, name);
	f = fopen(file, "r");
	assert_non_null(f);
	while ((n = fread(bytes, 1, sizeof(bytes), f)) > 0)
		tz_buf_append(out, bytes, n);
	fclose(f);
}

static int
tls_start(void)
{
	int port = 20000 + (int) (getpid() % 20000);
	char text[16];

	shell(
		"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.pem -days 2 "
		"-subj /CN=authority && for n in host mine; do openssl req -newkey ec -pkeyopt "
		"ec_paramgen_curve:prime256v1 -nodes -keyout $n.key -out $n.csr -subj /CN=$n && printf "
		"'subjectAltName=IP:127.0.0.1' > ext && openssl x509 -req -in $n.csr -CA ca.pem -CAkey ca.key "
		"-CAcreateserial -days 2 -extfile ext -out $n.crt; done; cat mine.crt mine.key > mine.pem");
	snprintf(text, sizeof(text), "%d", port);
	servers[1] = fork();
	if (servers[1] == 0)
	{
		if (chdir(dir) == 0 && freopen("server.log", "w", stdout) != NULL &&
		    freopen("server.log", "w", stderr) != NULL)
			execlp("openssl", "openssl", "s_server", "-accept", text, "-cert", "host.crt", "-key", "host.key",
			       "-CAfile", "ca.pem", "-Verify", "1", "-verify_return_error", "-www", NULL);
		_exit(1);
	}
	return port;
}

static void
test_identity(void **state)
{
	char url[64];
	TzHttpRequest req;
	TzBuf identity;
	TzBuf authority;
	TzErr err;
	Result r;

	(void) state;
	snprintf(url, sizeof(url), "https://127.0.0.1:%d/", tls_start());
	tz_buf_init_secret(&identity, 65536);
	tz_buf_init(&authority, 65536);
	slurp("mine.pem", &identity);
	slurp("ca.pem", &authority);
	for (int i = 0; i < 100; i++)
	{
		make(&req, url);
		req.allow_private = true;
		assert_int_equal(tz_http_request_identity(&req, tz_buf_slice(&identity), tz_buf_slice(&authority),
		                                          &err),
		                 TZ_OK);
		r = run(&req);
		if (r.err.status == TZ_OK)
			break;
		/* it is not up yet */
		nanosleep(&(struct timespec){0, 50000000}, NULL);
	}
	assert_int_equal(r.status, 200);
	/* without ours: it hangs up; nor is ours left over from the call before */
	make(&req, url);
	req.allow_private = true;
	assert_int_equal(tz_http_request_identity(&req, tz_slice(NULL, 0), tz_buf_slice(&authority), &err),
	                 TZ_OK);
	r = run(&req);
	assert_int_not_equal(r.err.status, TZ_OK);
	assert_int_equal(r.status, 0);
	/* without its authority: it is not trusted */
	make(&req, url);
	req.allow_private = true;
	assert_int_equal(tz_http_request_identity(&req, tz_buf_slice(&identity), tz_slice(NULL, 0), &err), TZ_OK);
	r = run(&req);
	assert_int_equal(r.err.status, TZ_UNAVAILABLE);
	assert_false(r.maybe_sent);
	/* something that is no certificate */
	make(&req, url);
	req.allow_private = true;
	assert_int_equal(tz_http_request_identity(&req, tz_slice_cstr("-----BEGIN nothing"),
	                                          tz_buf_slice(&authority), &err),
	                 TZ_OK);
	r = run(&req);
	assert_int_not_equal(r.err.status, TZ_OK);
	assert_false(r.maybe_sent);
	tz_buf_wipe(&identity);
	tz_buf_free(&authority);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_socket),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_identity),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
