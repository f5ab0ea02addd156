/* connect.c: frames of a stream, cut everywhere; what is refused; codes of errors. */
#include "tz_test.h"

#include <stdlib.h>
#include <string.h>

#include "adapter/connect.h"

/* Lengths as they stand in the vendor's own streams. */
static const char start[] = "\x00\x00\x00\x00\x1f{\"event\":{\"start\":{\"pid\":412}}}";
static const char data[] = "\x00\x00\x00\x00\x24{\"event\":{\"data\":{\"stdout\":\"aGkK\"}}}";
static const char empty[] = "\x00\x00\x00\x00\x00";
static const char good_end[] = "\x02\x00\x00\x00\x02{}";
static const char bad_end[] =
	"\x02\x00\x00\x00\x4c{\"error\":{\"code\":\"deadline_exceeded\",\"message\":\"context deadline exceeded\"}}";

typedef struct Seen
{
	char text[256];
	int n;
	int refuse_at; /* -1: none */
} Seen;

static TzStatus
on_message(void *arg, TzSlice message, TzErr *err)
{
	Seen *seen = arg;

	if (seen->n == seen->refuse_at)
		return tz_err_set(err, TZ_BAD_ANSWER, "told to");
	seen->n++;
	if (message.len > 0)
		strncat(seen->text, message.data, message.len);
	strcat(seen->text, "|");
	return TZ_OK;
}

static void
add(TzBuf *to, const char *bytes, size_t len)
{
	assert_int_equal(tz_buf_append(to, bytes, len), TZ_OK);
}

#define ADD(to, text) add(to, text, sizeof(text) - 1)
#define WANTED "{\"event\":{\"start\":{\"pid\":412}}}|{\"event\":{\"data\":{\"stdout\":\"aGkK\"}}}||"

/* The stream in pieces that end at a and at b. */
static void
feed_split(const TzBuf *stream, size_t a, size_t b)
{
	Seen seen = {.refuse_at = -1};
	TzConnect c;

	tz_connect_init(&c, 1000, on_message, &seen);
	assert_int_equal(tz_connect_feed(&c, tz_slice(stream->data, a), NULL), TZ_OK);
	assert_int_equal(tz_connect_feed(&c, tz_slice(stream->data + a, b - a), NULL), TZ_OK);
	assert_int_equal(tz_connect_feed(&c, tz_slice(stream->data + b, stream->len - b), NULL), TZ_OK);
	assert_string_equal(seen.text, WANTED);
	assert_true(c.ended);
	assert_non_null(c.error);
	assert_int_equal(tz_connect_code(c.error, 0), TZ_CONNECT_DEADLINE_EXCEEDED);
	tz_connect_free(&c);
}

static void
test_every_split(void **state)
{
	TzBuf stream;

	(void) state;
	tz_buf_init(&stream, 4096);
	ADD(&stream, start);
	ADD(&stream, data);
	ADD(&stream, empty);
	ADD(&stream, bad_end);
	for (size_t a = 0; a <= stream.len; a++)
		for (size_t b = a; b <= stream.len; b++)
			feed_split(&stream, a, b);
	/* byte by byte */
	{
		Seen seen = {.refuse_at = -1};
		TzConnect c;

		tz_connect_init(&c, 1000, on_message, &seen);
		for (size_t i = 0; i < stream.len; i++)
		{
			assert_false(c.ended);
			assert_int_equal(tz_connect_feed(&c, tz_slice(stream.data + i, 1), NULL), TZ_OK);
		}
		assert_true(c.ended);
		assert_string_equal(seen.text, WANTED);
		tz_connect_free(&c);
	}
	tz_buf_free(&stream);
}

/* What a stream comes to: its status, whether it ended and whether with an error. */
static TzStatus
outcome(const char *bytes, size_t len, size_t max, bool *ended, bool *error)
{
	Seen seen = {.refuse_at = -1};
	TzErr err;
	TzConnect c;
	TzStatus status;

	tz_err_clear(&err);
	tz_connect_init(&c, max, on_message, &seen);
	status = tz_connect_feed(&c, tz_slice(bytes, len), &err);
	*ended = c.ended;
	*error = c.error != NULL;
	if (status != TZ_OK)
	{
		assert_true(err.message[0] != '\0');
		/* nothing more is taken */
		assert_int_not_equal(tz_connect_feed(&c, tz_slice(good_end, sizeof(good_end) - 1), &err), TZ_OK);
	}
	tz_connect_free(&c);
	return status;
}

#define OUTCOME(text, max) outcome(text, sizeof(text) - 1, max, &ended, &error)

static void
test_ends(void **state)
{
	bool ended;
	bool error;

	(void) state;
	assert_int_equal(OUTCOME(good_end, 100), TZ_OK);
	assert_true(ended && !error);
	assert_int_equal(OUTCOME(bad_end, 100), TZ_OK);
	assert_true(ended && error);
	assert_int_equal(OUTCOME("\x02\x00\x00\x00\x1c{\"metadata\":{\"k\":[\"v\",\"w\"]}}", 100), TZ_OK);
	assert_true(ended && !error);
	/* that there is one counts, not what it is */
	assert_int_equal(OUTCOME("\x02\x00\x00\x00\x0c{\"error\":{}}", 100), TZ_OK);
	assert_true(ended && error);
	assert_int_equal(OUTCOME("\x02\x00\x00\x00\x0b{\"error\":7}", 100), TZ_OK);
	assert_true(ended && error);
	/* what comes behind it is not looked at */
	assert_int_equal(OUTCOME("\x02\x00\x00\x00\x02{}\xff\xff\xff", 100), TZ_OK);
	assert_true(ended && !error);
	/* a stream that is cut has no end */
	assert_int_equal(OUTCOME("\x02\x00\x00\x00\x02{", 100), TZ_OK);
	assert_true(!ended);
	assert_int_equal(OUTCOME("", 100), TZ_OK);
	assert_true(!ended);
}

static void
test_refused(void **state)
{
	bool ended;
	bool error;
	Seen seen = {.refuse_at = 1};
	TzConnect c;

	(void) state;
	assert_int_equal(OUTCOME("\x01\x00\x00\x00\x02{}", 100), TZ_BAD_ANSWER);
	assert_int_equal(OUTCOME("\x03\x00\x00\x00\x02{}", 100), TZ_BAD_ANSWER);
	assert_int_equal(OUTCOME("\x04\x00\x00\x00\x02{}", 100), TZ_BAD_ANSWER);
	assert_int_equal(OUTCOME("\x80\x00\x00\x00\x02{}", 100), TZ_BAD_ANSWER);
	/* before any of it is kept */
	assert_int_equal(OUTCOME("\x00\x00\x00\x00\x65", 100), TZ_BAD_ANSWER);
	assert_int_equal(OUTCOME("\x00\xff\xff\xff\xff", 100), TZ_BAD_ANSWER);
	assert_int_equal(OUTCOME("\x00\x00\x00\x00\x64", 100), TZ_OK);
	assert_int_equal(OUTCOME("\x02\x00\x01\x00\x01", TZ_CONNECT_FRAME_MAX), TZ_BAD_ANSWER);
	assert_int_equal(OUTCOME("\x02\x00\x00\x00\x00", 100), TZ_BAD_ANSWER);
	assert_int_equal(OUTCOME("\x02\x00\x00\x00\x02[]", 100), TZ_BAD_ANSWER);
	assert_int_equal(OUTCOME("\x02\x00\x00\x00\x02{x", 100), TZ_BAD_ANSWER);

	/* whoever reads the messages may refuse one */
	tz_connect_init(&c, 100, on_message, &seen);
	assert_int_equal(tz_connect_feed(&c, tz_slice(start, sizeof(start) - 1), NULL), TZ_OK);
	assert_int_equal(tz_connect_feed(&c, tz_slice(data, sizeof(data) - 1), NULL), TZ_BAD_ANSWER);
	assert_true(c.failed);
	tz_connect_free(&c);
}

static void
test_envelope(void **state)
{
	TzBuf out;

	(void) state;
	tz_buf_init(&out, 1000);
	assert_int_equal(tz_connect_envelope(tz_slice_cstr("{\"event\":{\"start\":{\"pid\":412}}}"), &out),
	                 TZ_OK);
	assert_int_equal(out.len, sizeof(start) - 1);
	assert_memory_equal(out.data, start, out.len);
	tz_buf_reset(&out);
	assert_int_equal(tz_connect_envelope(tz_slice("", 0), &out), TZ_OK);
	assert_memory_equal(out.data, empty, 5);
	tz_buf_free(&out);
}

static void
test_codes(void **state)
{
	static const struct
	{
		const char *error;
		int status;
		TzConnectCode code;
	} cases[] = {
		{"{\"code\":\"not_found\"}", 200, TZ_CONNECT_NOT_FOUND},
		{"{\"code\":\"unauthenticated\"}", 0, TZ_CONNECT_UNAUTHENTICATED},
		/* gateways write a number, or nothing that can be read */
		{"{\"code\":404}", 404, TZ_CONNECT_NOT_FOUND},
		{"{\"code\":502}", 502, TZ_CONNECT_UNAVAILABLE},
		{"{\"code\":\"nonsense\"}", 429, TZ_CONNECT_RESOURCE_EXHAUSTED},
		{"{}", 409, TZ_CONNECT_ALREADY_EXISTS},
		{"{}", 401, TZ_CONNECT_UNAUTHENTICATED},
		{"{}", 0, TZ_CONNECT_UNKNOWN},
		{"{}", 418, TZ_CONNECT_UNKNOWN},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		json_t *error = json_loads(cases[i].error, 0, NULL);

		assert_int_equal(tz_connect_code(error, cases[i].status), cases[i].code);
		json_decref(error);
	}
	assert_int_equal(tz_connect_code(NULL, 503), TZ_CONNECT_UNAVAILABLE);
	for (int code = TZ_CONNECT_CANCELED; code <= TZ_CONNECT_UNAUTHENTICATED; code++)
	{
		json_t *error = json_pack("{s:s}", "code", tz_connect_code_name((TzConnectCode) code));

		assert_int_equal(tz_connect_code(error, 0), code);
		json_decref(error);
	}
}

static void
test_types(void **state)
{
	static const struct
	{
		int status;
		const char *line;
		bool streams;
	} cases[] = {
		{200, "content-type: application/connect+json", true},
		{200, "content-type: Application/Connect+JSON; charset=utf-8", true},
		{200, "content-type: application/connect+jsonx", false},
		{200, "content-type: application/json", false},
		{200, "x: y", false},
		{415, "content-type: application/connect+json", false},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		TzHttpResponse in;

		tz_http_response_init(&in, 100);
		in.status = cases[i].status;
		tz_http_response_add(&in, cases[i].line, strlen(cases[i].line));
		assert_int_equal(tz_connect_streams(&in), cases[i].streams);
		tz_http_response_free(&in);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_split), cmocka_unit_test(test_ends),  cmocka_unit_test(test_refused),
		cmocka_unit_test(test_envelope),    cmocka_unit_test(test_codes), cmocka_unit_test(test_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
