/* client.c and transfer.c: bodies that are taken as they come */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "http/client.h"
#include "lib_server.h"

typedef struct Sink
{
	int looks; /* at the head */
	int status; /* found there */
	size_t taken;
	size_t after; /* so many bytes are followed by the answer below */
	TzHttpTaste answer;
	size_t kept;
	bool called;
	TzErr err;
	int ended_with; /* status of the response */
	size_t body;
	size_t request_left;
} Sink;

static TestServer *server;
static TzMux *mux;
static TzHttpClient *client;

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static bool
wants(void *arg, const TzHttpResponse *head)
{
	Sink *s = arg;

	s->looks++;
	s->status = head->status;
	return head->status == 200;
}

static TzHttpTaste
take(void *arg, TzSlice bytes, size_t *kept)
{
	Sink *s = arg;

	s->taken += bytes.len;
	*kept = s->kept;
	return s->after > 0 && s->taken >= s->after ? s->answer : TZ_HTTP_MORE;
}

static void
on_done(void *arg, const TzHttpResponse *res)
{
	Sink *s = arg;

	s->called = true;
	s->err = res->err;
	s->ended_with = res->status;
	s->body = res->body.len;
	s->request_left = res->request->body.len;
}

/* Milliseconds it took. */
static int
fetch(Sink *s, const char *path, size_t body)
{
	static const TzHttpSink sink = {wants, take};
	int64_t began = now_ms();
	TzHttpCall *call;
	TzHttpRequest req;
	TzErr err;

	tz_http_request_init(&req, 4 * 1024 * 1024);
	req.method = "POST";
	tz_buf_printf(&req.url, "http://127.0.0.1:%d%s", test_server_port(server), path);
	for (size_t i = 0; i < body; i++)
		tz_buf_append_byte(&req.body, 'b');
	req.timeout_ms = 4000;
	req.max_response = 1024 * 1024;
	assert_int_equal(tz_http_start(client, &req, on_done, s, &call, &err), TZ_OK);
	tz_http_sink(call, &sink);
	while (!s->called && now_ms() - began < 10000)
	{
		struct pollfd fd = {.fd = tz_mux_fd(mux), .events = POLLIN};
		int wait = tz_http_client_timeout(client);

		poll(&fd, 1, wait < 0 || wait > 1000 ? 1000 : wait);
		tz_mux_pump(mux, 1000);
		tz_http_client_pump(client);
	}
	assert_true(s->called);
	return (int) (now_ms() - began);
}

static void
test_taken(void **state)
{
	Sink s = {0};

	(void) state;
	fetch(&s, "/big?300000", 0);
	assert_int_equal(s.err.status, TZ_OK);
	assert_int_equal(s.looks, 1);
	assert_true(s.taken >= 300000);
	assert_int_equal(s.body, 0);
}

static void
test_not_wanted(void **state)
{
	Sink s = {0};

	(void) state;
	fetch(&s, "/status?503", 0);
	assert_int_equal(s.looks, 1);
	assert_int_equal(s.status, 503);
	assert_int_equal(s.taken, 0);
	assert_true(s.body > 0);
}

/* Byte by byte for most of a minute. */
static void
test_stop(void **state)
{
	Sink s = {.after = 3, .answer = TZ_HTTP_STOP};

	(void) state;
	assert_true(fetch(&s, "/drip", 0) < 3000);
	assert_int_equal(s.err.status, TZ_CANCELLED);
	assert_int_equal(s.taken, 3);
}

static void
test_enough(void **state)
{
	Sink s = {.after = 3, .answer = TZ_HTTP_ENOUGH};

	(void) state;
	assert_true(fetch(&s, "/drip", 0) < 3000);
	assert_int_equal(s.err.status, TZ_OK);
	assert_int_equal(s.ended_with, 200);
	assert_int_equal(s.taken, 3);
}

/* The end comes in time, and the connection stays good. */
static void
test_enough_and_whole(void **state)
{
	int before = test_server_connections(server);
	Sink s = {.after = 1, .answer = TZ_HTTP_ENOUGH};
	Sink again = {0};

	(void) state;
	assert_true(fetch(&s, "/ok", 0) < 200);
	assert_int_equal(s.err.status, TZ_OK);
	fetch(&again, "/ok", 0);
	assert_true(test_server_connections(server) - before <= 1);
}

static void
test_deadline(void **state)
{
	Sink s = {0};
	int took;

	(void) state;
	took = fetch(&s, "/drip", 0);
	assert_in_range(took, 3500, 6000);
	assert_int_equal(s.err.status, TZ_TIMEOUT);
	assert_true(s.taken > 10);
}

/* What sinks keep is counted against the ceiling of all answers. */
static void
test_kept(void **state)
{
	Sink s = {.kept = (size_t) 1024 * 1024 * 1024};

	(void) state;
	fetch(&s, "/drip", 0);
	assert_int_equal(s.err.status, TZ_UNAVAILABLE);
}

/* A request that has left is given back when its answer begins. */
static void
test_request_is_forgotten(void **state)
{
	Sink s = {0};

	(void) state;
	fetch(&s, "/ok", 1024 * 1024);
	assert_int_equal(s.err.status, TZ_OK);
	assert_int_equal(s.taken, 5);
	assert_int_equal(s.request_left, 0);
}

static int
group_setup(void **state)
{
	TzHttpClientConfig config = {.max_calls = 10,
	                             .connect_timeout_ms = 1000,
	                             .allow_http = true,
	                             .allow_private = true};
	TzErr err;

	(void) state;
	server = test_server_start(false, false);
	return server == NULL || tz_mux_create(&mux, &err) != TZ_OK ||
	       tz_http_client_create(&config, mux, &client, &err) != TZ_OK;
}

static int
group_teardown(void **state)
{
	(void) state;
	tz_http_client_free(client);
	tz_mux_free(mux);
	test_server_stop(server);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken),
		cmocka_unit_test(test_not_wanted),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_enough),
		cmocka_unit_test(test_enough_and_whole),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_request_is_forgotten),
	};

	return cmocka_run_group_tests_name("http_sink", tests, group_setup, group_teardown);
}
