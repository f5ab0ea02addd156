/* test_status.c: status codes and bounded messages */
#include "tz_test.h"

static void
test_set_and_clear(void **state)
{
	TzErr err;

	memset(&err, 0x55, sizeof(err));
	tz_err_clear(&err);
	assert_int_equal(err.status, TZ_OK);
	assert_int_equal(tz_err_set(&err, TZ_REFUSED, "port %d", 80), TZ_REFUSED);
	tz_err_detail(&err, "%s", "a detail");
	tz_err_hint(&err, "%s", "a hint");
	assert_string_equal(err.message, "port 80");
	assert_string_equal(err.detail, "a detail");
	assert_string_equal(err.hint, "a hint");
	/* a new fault forgets what was said about the old one */
	tz_err_set(&err, TZ_TIMEOUT, "late");
	assert_string_equal(err.detail, "");
	assert_string_equal(err.hint, "");
}

static void
test_null(void **state)
{
	tz_err_clear(NULL);
	assert_int_equal(tz_err_set(NULL, TZ_NOMEM, "x"), TZ_NOMEM);
	tz_err_detail(NULL, "x");
	tz_err_hint(NULL, "x");
}

/* A cut message ends between characters. */
static void
test_cut(void **state)
{
	char text[TZ_ERR_MESSAGE_MAX * 2];

	for (int shift = 0; shift < 4; shift++)
	{
		TzErr err;
		size_t len;

		memset(text, 'x', sizeof(text));
		for (size_t i = (size_t) shift; i + 4 < sizeof(text); i += 4)
			memcpy(text + i, "\xF0\x9F\x94\x91", 4);
		text[sizeof(text) - 1] = '\0';
		tz_err_set(&err, TZ_BAD_INPUT, "%s", text);
		len = strlen(err.message);
		assert_true(len < TZ_ERR_MESSAGE_MAX && len > TZ_ERR_MESSAGE_MAX - 6);
		assert_int_equal((len - (size_t) shift) % 4, 0);
	}
}

static void
test_names(void **state)
{
	for (int s = TZ_OK; s <= TZ_INTERNAL; s++)
		assert_string_not_equal(tz_status_name((TzStatus) s), "unknown");
	assert_string_equal(tz_status_name((TzStatus) 999), "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_and_clear),
		cmocka_unit_test(test_null),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
