/* sse.c: events out of bytes cut anywhere. */
#include "tz_test.h"

#include "lib/sse.h"

typedef struct Seen
{
	TzBuf log;
	int count;
	TzStatus answer;
} Seen;

static TzStatus
note(void *arg, const TzSseEvent *event)
{
	Seen *seen = arg;

	seen->count++;
	tz_buf_printf(&seen->log, "%s[%.*s|%.*s]", event->terminated ? "" : "!", (int) event->name.len,
	              event->name.data, (int) event->data.len, event->data.data);
	return seen->answer;
}

/* What comes out of a text that is cut at two places. */
static TzStatus
run(const char *text, size_t len, size_t a, size_t b, char *out, size_t size, bool *clean)
{
	Seen seen = {.answer = TZ_OK};
	TzSse sse;
	TzStatus status;
	/* copies, so that reading behind a piece is seen */
	char *one = malloc(a + 1);
	char *two = malloc(b - a + 1);
	char *three = malloc(len - b + 1);

	memcpy(one, text, a);
	memcpy(two, text + a, b - a);
	memcpy(three, text + b, len - b);
	tz_buf_init(&seen.log, 100000);
	tz_sse_init(&sse, 1000, 1000, note, &seen);
	status = tz_sse_feed(&sse, tz_slice(one, a));
	if (status == TZ_OK)
		status = tz_sse_feed(&sse, tz_slice(two, b - a));
	if (status == TZ_OK)
		status = tz_sse_feed(&sse, tz_slice(three, len - b));
	if (status == TZ_OK)
		status = tz_sse_end(&sse, clean);
	snprintf(out, size, "%s", seen.log.data != NULL ? seen.log.data : "");
	tz_buf_free(&seen.log);
	tz_sse_free(&sse);
	free(one);
	free(two);
	free(three);
	return status;
}

static void
check(const char *text, size_t len, const char *expected, bool clean_expected)
{
	char got[4096];
	bool clean;

	for (size_t a = 0; a <= len; a++)
		for (size_t b = a; b <= len; b += len > 60 && b > a ? 7 : 1)
		{
			assert_int_equal(run(text, len, a, b, got, sizeof(got), &clean), TZ_OK);
			assert_string_equal(got, expected);
			assert_int_equal(clean, clean_expected);
			if (b > len - 7 && b < len && len > 60)
				b = len - 7;
		}
}

#define CHECK(text, expected, clean) check(text, sizeof(text) - 1, expected, clean)

static void
test_events(void **state)
{
	(void) state;
	CHECK("data: a\n\n", "[|a]", true);
	CHECK("data:a\ndata: b\ndata\n\n", "[|a\nb\n]", true);
	CHECK("event: x\ndata: {\"a\":1}\n\nevent: y\n\ndata: 2\n\n", "[x|{\"a\":1}][|2]", true);
	CHECK("event:x\nevent: y\ndata:  two blanks \n\n", "[y| two blanks ]", true);
	CHECK("id: 1\nretry: 5\nfoo\ndata: a\n\n", "[|a]", true);
	CHECK("data: \n\n", "[|]", true);
	CHECK("\n\n\ndata: a\n\n\n\n", "[|a]", true);
	CHECK("dat: a\ndataa: b\n data: c\n\n", "", true);
	CHECK("data: a:b: c\n\n", "[|a:b: c]", true);
}

static void
test_line_ends(void **state)
{
	(void) state;
	CHECK("data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n", "[|a\nb][|c]", true);
	CHECK("data: a\rdata: b\r\rdata: c\r\r", "[|a\nb][|c]", true);
	CHECK("data: a\r\n\ndata: b\n\r\n\rdata: c\r\n\r", "[|a][|b][|c]", true);
}

static void
test_marks_and_comments(void **state)
{
	(void) state;
	CHECK("\xef\xbb\xbf"
	      "data: a\n\n",
	      "[|a]", true);
	CHECK("\xef\xbb\xbf: c\ndata: a\n\n", "[|a]", true);
	CHECK("data: a\n\n\xef\xbb\xbf"
	      "data: b\n\n",
	      "[|a]", true); /* only at the start */
	CHECK(": OPENROUTER PROCESSING\n\n:\n\n: x\r\ndata: \xc3\xa9\n: y\ndata: \xe2\x82\xac\n\n",
	      "[|\xc3\xa9\n\xe2\x82\xac]", true);
}

static void
test_ends(void **state)
{
	(void) state;
	CHECK("data: [DONE]", "![|[DONE]]", false);
	CHECK("data: [DONE]\n", "![|[DONE]]", false);
	CHECK("event: x\ndata: a\n\nda", "[x|a]", false);
	CHECK("data: a\n\n: open", "[|a]", false);
	CHECK("", "", true);
}

static void
test_ceilings(void **state)
{
	Seen seen = {.answer = TZ_OK};
	TzSse sse;
	char line[64];
	bool clean;

	(void) state;
	memset(line, 'x', sizeof(line));
	tz_buf_init(&seen.log, 1000);

	/* a comment without end takes no memory */
	tz_sse_init(&sse, 100, 100, note, &seen);
	assert_int_equal(tz_sse_feed(&sse, tz_slice(":", 1)), TZ_OK);
	for (int i = 0; i < 10000; i++)
		assert_int_equal(tz_sse_feed(&sse, tz_slice(line, sizeof(line))), TZ_OK);
	assert_true(sse.line.cap == 0 && sse.data.cap == 0);
	tz_sse_free(&sse);

	/* a line without end does not */
	tz_sse_init(&sse, 100, 1000, note, &seen);
	assert_int_equal(tz_sse_feed(&sse, tz_slice(line, sizeof(line))), TZ_OK);
	assert_int_equal(tz_sse_feed(&sse, tz_slice(line, sizeof(line))), TZ_TOO_LARGE);
	assert_int_equal(tz_sse_feed(&sse, tz_slice("\n", 1)), TZ_TOO_LARGE);
	assert_int_equal(tz_sse_end(&sse, &clean), TZ_TOO_LARGE);
	assert_false(clean);
	tz_sse_free(&sse);

	/* nor an event of many lines */
	tz_sse_init(&sse, 100, 20, note, &seen);
	assert_int_equal(tz_sse_feed(&sse, tz_slice_cstr("data: 0123456789\ndata: 0123456789\n")), TZ_TOO_LARGE);
	assert_int_equal(seen.count, 0);
	tz_sse_free(&sse);

	/* memory of one large event is given back */
	tz_sse_init(&sse, 100000, 100000, note, &seen);
	assert_int_equal(tz_sse_feed(&sse, tz_slice_cstr("data: ")), TZ_OK);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(tz_sse_feed(&sse, tz_slice(line, sizeof(line))), TZ_OK);
	assert_int_equal(tz_sse_feed(&sse, tz_slice_cstr("\n\n")), TZ_OK);
	assert_int_equal(seen.count, 1);
	assert_true(sse.line.cap == 0 && sse.data.cap == 0);

	/* who says no is not asked again */
	seen.answer = TZ_REFUSED;
	assert_int_equal(tz_sse_feed(&sse, tz_slice_cstr("data: a\n\ndata: b\n\n")), TZ_REFUSED);
	assert_int_equal(tz_sse_feed(&sse, tz_slice_cstr("data: c\n\n")), TZ_REFUSED);
	assert_int_equal(seen.count, 2);
	tz_sse_free(&sse);
	tz_buf_free(&seen.log);
}

static void
test_long_names(void **state)
{
	Seen seen = {.answer = TZ_OK};
	TzSse sse;

	(void) state;
	tz_buf_init(&seen.log, 1000);
	tz_sse_init(&sse, 1000, 1000, note, &seen);
	tz_sse_feed(&sse, tz_slice_cstr("event: "));
	for (int i = 0; i < 100; i++)
		tz_sse_feed(&sse, tz_slice("n", 1));
	tz_sse_feed(&sse, tz_slice_cstr("\ndata: a\n\ndata: b\n\n"));
	assert_int_equal(seen.count, 2);
	assert_int_equal(strspn(seen.log.data + 1, "n"), TZ_SSE_NAME_MAX);
	assert_non_null(strstr(seen.log.data, "[|b]"));
	tz_sse_free(&sse);
	tz_buf_free(&seen.log);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_events),   cmocka_unit_test(test_line_ends),
		cmocka_unit_test(test_ends),     cmocka_unit_test(test_marks_and_comments),
		cmocka_unit_test(test_ceilings), cmocka_unit_test(test_long_names),
	};

	return cmocka_run_group_tests_name("sse", tests, NULL, NULL);
}
