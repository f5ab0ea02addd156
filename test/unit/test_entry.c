/* test_entry.c: the bytes of an audit event that are hashed */
#include "tz_test.h"

#include "lib/entry.h"

static TzEntry
entry_all(void)
{
	TzEntry entry;

	for (int i = 0; i < TZ_ENTRY_FIELDS; i++)
		entry.field[i] = tz_slice_cstr(tz_entry_names[i]);
	return entry;
}

static void
test_frame(void **state)
{
	TzEntry entry = {0};
	TzBuf out;

	tz_buf_init(&out, TZ_ENTRY_MAX);
	assert_int_equal(tz_entry_append(&entry, &out), TZ_OK);
	assert_string_equal(out.data, "theazo event 2\n---------------------");
	tz_buf_reset(&out);
	entry.field[TZ_ENTRY_PLATFORM] = tz_slice_cstr("plt_1");
	entry.field[TZ_ENTRY_NUMBER] = tz_slice_cstr("42");
	entry.field[TZ_ENTRY_RULE] = tz_slice("", 0);
	entry.field[TZ_ENTRY_BODY] = tz_slice("{\"a\":\"\0,:-\"}", 12);
	assert_int_equal(tz_entry_append(&entry, &out), TZ_OK);
	assert_int_equal(out.len,
	                 sizeof("theazo event 2\n5:plt_1,-2:42,--------------0:,--12:{\"a\":\"\0,:-\"},") - 1);
	assert_memory_equal(out.data, "theazo event 2\n5:plt_1,-2:42,--------------0:,--12:{\"a\":\"\0,:-\"},",
	                    out.len);
	tz_buf_free(&out);
}

/* No two events have the same bytes: whatever moves between fields, or between empty and none, shows. */
static void
test_distinct(void **state)
{
	TzBuf plain;
	TzBuf other;

	tz_buf_init(&plain, TZ_ENTRY_MAX);
	tz_buf_init(&other, TZ_ENTRY_MAX);
	for (int i = 0; i < TZ_ENTRY_FIELDS; i++)
	{
		TzEntry entry = entry_all();

		tz_buf_reset(&plain);
		assert_int_equal(tz_entry_append(&entry, &plain), TZ_OK);
		for (int change = 0; change < 3; change++)
		{
			entry = entry_all();
			if (change == 0)
				entry.field[i].data = NULL;
			else if (change == 1)
				entry.field[i].len = 0;
			else
			{
				/* the last byte goes over to the next field */
				TzSlice next = entry.field[(i + 1) % TZ_ENTRY_FIELDS];
				static char moved[64];

				moved[0] = entry.field[i].data[--entry.field[i].len];
				memcpy(moved + 1, next.data, next.len);
				entry.field[(i + 1) % TZ_ENTRY_FIELDS] = tz_slice(moved, next.len + 1);
			}
			tz_buf_reset(&other);
			assert_int_equal(tz_entry_append(&entry, &other), TZ_OK);
			assert_false(tz_slice_eq(tz_buf_slice(&plain), tz_buf_slice(&other)));
		}
	}
	tz_buf_free(&plain);
	tz_buf_free(&other);
}

static void
test_int(void **state)
{
	static const struct
	{
		int64_t value;
		const char *text;
	} cases[] = {{0, "0"},
	             {7, "7"},
	             {10, "10"},
	             {-1, "-1"},
	             {INT64_MAX, "9223372036854775807"},
	             {INT64_MIN, "-9223372036854775808"},
	             {1795200000123456, "1795200000123456"}};
	char space[TZ_ENTRY_INT_MAX];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_true(tz_slice_eq_cstr(tz_entry_int(cases[i].value, space), cases[i].text));
	for (int64_t i = -12000; i < 12000; i++)
	{
		char text[32];

		snprintf(text, sizeof(text), "%lld", (long long) i);
		assert_true(tz_slice_eq_cstr(tz_entry_int(i, space), text));
	}
}

static void
test_ceiling(void **state)
{
	TzEntry entry = entry_all();
	TzBuf out;

	tz_buf_init(&out, 100);
	assert_int_equal(tz_entry_append(&entry, &out), TZ_TOO_LARGE);
	tz_buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frame),
		cmocka_unit_test(test_distinct),
		cmocka_unit_test(test_int),
		cmocka_unit_test(test_ceiling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
