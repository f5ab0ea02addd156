/* http_msg.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "lib/http_msg.h"

static void
test_request_headers(void **state)
{
	static const char *const bad_names[] = {"", "a b", "a:", "a\r\nb", "\xc3\xa4", "a\tb"};
	static const char *const bad_values[] = {"a\r\nX: y", "a\n", "\r", "a\x01", "\x7f"};
	TzHttpRequest req;
	TzErr err;

	(void) state;
	tz_http_request_init(&req, 100);
	assert_int_equal(tz_http_request_header(&req, "X-A", "v\t1", true, &err), TZ_OK);
	for (size_t i = 0; i < sizeof(bad_names) / sizeof(bad_names[0]); i++)
		assert_int_equal(tz_http_request_header(&req, bad_names[i], "v", false, &err), TZ_BAD_INPUT);
	for (size_t i = 0; i < sizeof(bad_values) / sizeof(bad_values[0]); i++)
		assert_int_equal(tz_http_request_header(&req, "X-B", bad_values[i], false, &err), TZ_BAD_INPUT);
	assert_int_equal(req.nheaders, 1);
	for (int i = 1; i < TZ_HTTP_HEADERS_MAX; i++)
		assert_int_equal(tz_http_request_header(&req, "X-C", "v", false, &err), TZ_OK);
	assert_int_equal(tz_http_request_header(&req, "X-D", "v", false, &err), TZ_TOO_LARGE);
	tz_http_request_free(&req);
	assert_int_equal(req.nheaders, 0);
	tz_http_request_free(&req);
}

static void
test_masks(void **state)
{
	TzHttpRequest req;

	(void) state;
	tz_http_request_init(&req, 100);
	assert_int_equal(tz_http_request_mask(&req, tz_slice_cstr("abc"), NULL), TZ_OK);
	assert_int_equal(req.nmasks, 0);
	assert_int_equal(tz_http_request_mask(&req, tz_slice_cstr("abcd"), NULL), TZ_OK);
	assert_int_equal(req.nmasks, 1);
	tz_http_request_free(&req);
	assert_int_equal(req.nmasks, 0);
}

static void
add(TzHttpResponse *res, const char *line)
{
	/* from the heap and without terminator, so that the sanitizer sees a read too far */
	size_t len = strlen(line);
	char *copy = malloc(len > 0 ? len : 1);

	memcpy(copy, line, len);
	assert_int_equal(tz_http_response_add(res, copy, len), TZ_OK);
	free(copy);
}

static void
test_response_headers(void **state)
{
	TzHttpResponse res;

	(void) state;
	tz_http_response_init(&res, 100);
	add(&res, "Content-Type:  text/plain \t\r\n");
	add(&res, "content-type: second\r\n");
	add(&res, "X-Empty:\r\n");
	add(&res, "X-Blank:   ");
	add(&res, "\r\n");
	add(&res, "");
	add(&res, "no colon\r\n");
	add(&res, ": no name\r\n");
	add(&res, "X:");
	assert_string_equal(tz_http_response_header(&res, "content-type"), "text/plain");
	assert_string_equal(tz_http_response_header(&res, "x-empty"), "");
	assert_string_equal(tz_http_response_header(&res, "x-blank"), "");
	assert_string_equal(tz_http_response_header(&res, "x"), "");
	assert_null(tz_http_response_header(&res, "no colon"));
	assert_null(tz_http_response_header(&res, ""));
	tz_http_response_clear_headers(&res);
	assert_int_equal(res.nheaders, 0);
	for (int i = 0; i < TZ_HTTP_HEADERS_MAX; i++)
		add(&res, "A: b");
	assert_int_equal(tz_http_response_add(&res, "A: b", 4), TZ_TOO_LARGE);
	tz_http_response_free(&res);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request_headers),
		cmocka_unit_test(test_masks),
		cmocka_unit_test(test_response_headers),
	};

	return cmocka_run_group_tests_name("http_msg", tests, NULL, NULL);
}
