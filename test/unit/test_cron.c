/* cron.c: what an expression means, and when, in zones that jump. */
#include <time.h>

#include "lib/cron.h"
#include "tz_test.h"

/* A zone of steps: from[i] on the offset is offset[i]. */
typedef struct Zone
{
	int n;
	int64_t from[8];
	int32_t offset[8];
} Zone;

static void
zone_of(void *arg, int64_t at, int32_t *offset, int64_t *until)
{
	const Zone *zone = arg;
	int i = 0;

	while (i + 1 < zone->n && zone->from[i + 1] <= at)
		i++;
	*offset = zone->offset[i];
	*until = i + 1 < zone->n ? zone->from[i + 1] : INT64_MAX;
}

/* "2024-02-29 10:00" as UTC */
static int64_t
utc(const char *text)
{
	struct tm tm;

	memset(&tm, 0, sizeof(tm));
	assert_int_equal(sscanf(text, "%d-%d-%d %d:%d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
	                        &tm.tm_min),
	                 5);
	tm.tm_year -= 1900;
	tm.tm_mon--;
	return timegm(&tm);
}

static const Zone plain = {1, {INT64_MIN}, {0}};

/* The next moments of an expression after one, as UTC, separated by commas. */
static const char *
next_in(const Zone *zone, const char *text, const char *after, int n)
{
	static char out[1024];
	TzCron cron;
	TzErr err;
	int64_t at = utc(after);
	size_t len = 0;

	assert_int_equal(tz_cron_parse(tz_slice_cstr(text), &cron, &err), TZ_OK);
	out[0] = '\0';
	for (int i = 0; i < n; i++)
	{
		int64_t next;
		time_t t;
		struct tm tm;

		if (!tz_cron_next(&cron, zone_of, (void *) zone, at, &next))
		{
			strcpy(out + len, i > 0 ? ", never" : "never");
			break;
		}
		assert_true(next > at);
		at = next;
		t = (time_t) at;
		assert_non_null(gmtime_r(&t, &tm));
		len += strftime(out + len, sizeof(out) - len, i > 0 ? ", %Y-%m-%d %H:%M" : "%Y-%m-%d %H:%M", &tm);
	}
	return out;
}

#define NEXT(text, after, expected) assert_string_equal(next_in(&plain, text, after, 1), expected)

static void
test_plain(void **state)
{
	(void) state;
	NEXT("* * * * *", "2026-01-01 00:00", "2026-01-01 00:01");
	NEXT("0 * * * *", "2026-01-01 00:00", "2026-01-01 01:00");
	NEXT("30 9 * * mon-fri", "2026-11-20 09:30", "2026-11-23 09:30");
	NEXT("30 9 * * MON-FRI", "2026-11-20 09:29", "2026-11-20 09:30");
	NEXT("0 0 29 2 *", "2024-02-29 00:00", "2028-02-29 00:00");
	NEXT("0 0 29 2 *", "2096-02-29 00:00", "2104-02-29 00:00");
	NEXT("59 23 31 12 *", "2026-12-31 23:58", "2026-12-31 23:59");
	NEXT("0 0 1 jan *", "2026-12-31 23:59", "2027-01-01 00:00");
	NEXT("  */15\t*  * * * ", "2026-01-01 00:16", "2026-01-01 00:30");
	NEXT("5-59/20 3 * * *", "2026-01-01 00:00", "2026-01-01 03:05");
	NEXT("1,3,5 0 * * *", "2026-01-01 00:03", "2026-01-01 00:05");
	NEXT("0 22-23,0-1 * * *", "2026-01-01 01:30", "2026-01-01 22:00");
	NEXT("007 * * * *", "2026-01-01 00:00", "2026-01-01 00:07");
	NEXT("* * * * *", "1969-12-31 23:58", "1969-12-31 23:59");
	NEXT("0 0 * * *", "1900-02-28 12:00", "1900-03-01 00:00");
}

static void
test_weekdays(void **state)
{
	(void) state;
	/* 22 November 2026 is a Sunday */
	NEXT("0 0 * * 0", "2026-11-20 00:00", "2026-11-22 00:00");
	NEXT("0 0 * * 7", "2026-11-20 00:00", "2026-11-22 00:00");
	NEXT("0 0 * * sun", "2026-11-20 00:00", "2026-11-22 00:00");
	NEXT("0 0 * * fri-sun", "2026-11-21 00:00", "2026-11-22 00:00");
	NEXT("0 0 * * 5-7", "2026-11-21 00:00", "2026-11-22 00:00");
	NEXT("0 0 * * sun-mon", "2026-11-22 00:00", "2026-11-23 00:00");
	/* both restricted: either; one of them a star, with or without a step: both */
	assert_string_equal(next_in(&plain, "0 0 13 * fri", "2026-11-01 00:00", 3),
	                    "2026-11-06 00:00, 2026-11-13 00:00, 2026-11-20 00:00");
	assert_string_equal(next_in(&plain, "0 0 1 * mon", "2026-11-29 00:00", 3),
	                    "2026-11-30 00:00, 2026-12-01 00:00, 2026-12-07 00:00");
	assert_string_equal(next_in(&plain, "0 0 */2 * mon", "2026-11-01 00:00", 2),
	                    "2026-11-09 00:00, 2026-11-23 00:00");
	assert_string_equal(next_in(&plain, "0 0 1 * */6", "2026-01-01 00:00", 2),
	                    "2026-02-01 00:00, 2026-03-01 00:00");
}

static void
test_shorthands(void **state)
{
	(void) state;
	NEXT("@hourly", "2026-11-22 10:30", "2026-11-22 11:00");
	NEXT("@daily", "2026-11-22 10:30", "2026-11-23 00:00");
	NEXT("@weekly", "2026-11-22 10:30", "2026-11-29 00:00");
	NEXT("@monthly", "2026-11-22 10:30", "2026-12-01 00:00");
	NEXT(" @Daily ", "2026-11-22 10:30", "2026-11-23 00:00");
}

static void
test_never(void **state)
{
	(void) state;
	NEXT("0 0 30 2 *", "2026-01-01 00:00", "never");
	NEXT("0 0 31 4,6,9,11 *", "2026-01-01 00:00", "never");
	NEXT("* * * * *", "9999-12-31 23:59", "never");
}

/* Berlin in 2026: summer time from 29 March 01:00 UTC to 25 October 01:00 UTC. */
static const Zone berlin = {3, {INT64_MIN, 1774746000, 1792890000}, {3600, 7200, 3600}};

static void
test_summer_time(void **state)
{
	(void) state;
	assert_int_equal(utc("2026-03-29 01:00"), berlin.from[1]);
	assert_int_equal(utc("2026-10-25 01:00"), berlin.from[2]);
	/* 02:30 is not there on 29 March */
	assert_string_equal(next_in(&berlin, "30 2 * * *", "2026-03-27 12:00", 3),
	                    "2026-03-28 01:30, 2026-03-30 00:30, 2026-03-31 00:30");
	assert_string_equal(next_in(&berlin, "*/30 * * * *", "2026-03-29 00:15", 3),
	                    "2026-03-29 00:30, 2026-03-29 01:00, 2026-03-29 01:30");
	assert_string_equal(next_in(&berlin, "0 3 * * *", "2026-03-28 12:00", 1), "2026-03-29 01:00");
	assert_string_equal(next_in(&berlin, "59 1 * * *", "2026-03-28 12:00", 1), "2026-03-29 00:59");
	/* 02:30 is there twice on 25 October */
	assert_string_equal(next_in(&berlin, "30 2 * * *", "2026-10-24 12:00", 2),
	                    "2026-10-25 00:30, 2026-10-26 01:30");
	assert_string_equal(next_in(&berlin, "30 2 * * *", "2026-10-25 00:30", 1), "2026-10-26 01:30");
	assert_string_equal(next_in(&berlin, "30 2 * * *", "2026-10-25 01:00", 1), "2026-10-26 01:30");
	/* within the hour that comes again nothing fires a second time */
	assert_string_equal(next_in(&berlin, "*/20 * * * *", "2026-10-25 00:25", 3),
	                    "2026-10-25 00:40, 2026-10-25 02:00, 2026-10-25 02:20");
	assert_string_equal(next_in(&berlin, "0 3 * * *", "2026-10-24 12:00", 1), "2026-10-25 02:00");
}

/* A day that was left out (Samoa, end of 2011), and half an hour (Lord Howe). */
static void
test_odd_zones(void **state)
{
	Zone samoa = {2, {INT64_MIN, 0}, {-36000, 50400}};
	Zone howe = {2, {INT64_MIN, 0}, {39600, 37800}};
	Zone east = {1, {INT64_MIN}, {50400}};
	Zone west = {1, {INT64_MIN}, {-43200}};
	Zone seconds = {1, {INT64_MIN}, {3208}};

	(void) state;
	samoa.from[1] = utc("2011-12-30 10:00");
	assert_string_equal(next_in(&samoa, "0 12 * * *", "2011-12-29 12:00", 3),
	                    "2011-12-29 22:00, 2011-12-30 22:00, 2011-12-31 22:00");
	/* the 30th is the day that is missing */
	assert_string_equal(next_in(&samoa, "0 12 30 * *", "2011-12-29 12:00", 1), "2012-01-29 22:00");
	howe.from[1] = utc("2026-04-04 15:00");
	assert_string_equal(next_in(&howe, "45 1 * * *", "2026-04-04 00:00", 2),
	                    "2026-04-04 14:45, 2026-04-05 15:15");
	assert_string_equal(next_in(&east, "0 0 * * *", "2026-01-01 00:00", 1), "2026-01-01 10:00");
	assert_string_equal(next_in(&west, "0 0 * * *", "2026-01-01 00:00", 1), "2026-01-01 12:00");
	/* zones of old were no whole minutes from UTC: 00:00 there is 23:06:32 here */
	assert_string_equal(next_in(&seconds, "0 0 * * *", "1880-01-01 00:00", 1), "1880-01-01 23:06");
}

static void
bad(const char *text, const char *message)
{
	TzCron cron;
	TzErr err;

	assert_int_equal(tz_cron_parse(tz_slice_cstr(text), &cron, &err), TZ_BAD_INPUT);
	assert_string_equal(err.message, message);
}

static void
test_bad(void **state)
{
	char longest[TZ_CRON_TEXT_MAX + 2];

	(void) state;
	bad("", "has 0 fields instead of five");
	bad("* * * *", "has 4 fields instead of five");
	bad("* * * * * *", "has 6 fields instead of five");
	bad("@yearly", "has an unknown shorthand");
	bad("@hourly *", "has 2 fields instead of five");
	bad("60 * * * *", "has 60 as minute, which is from 0 to 59");
	bad("* 24 * * *", "has 24 as hour, which is from 0 to 23");
	bad("* * 0 * *", "has 0 as day of the month, which is from 1 to 31");
	bad("* * 32 * *", "has 32 as day of the month, which is from 1 to 31");
	bad("* * * 13 *", "has 13 as month, which is from 1 to 12");
	bad("* * * * 8", "has 8 as day of the week, which is from 0 to 7");
	bad("* * * mon *", "has \"mon\" as month");
	bad("* * * * january", "has \"january\" as day of the week");
	bad("jan * * * *", "has \"jan\" as minute");
	bad("-1 * * * *", "has \"\" as minute");
	bad("1- * * * *", "has \"\" as minute");
	bad("1,,2 * * * *", "has \"\" as minute");
	bad(", * * * *", "has \"\" as minute");
	bad("1,2, * * * *", "has \"\" as minute");
	bad("*/ * * * *", "has \"\" as minute");
	bad("*/0 * * * *", "has a step of 0 in minute");
	bad("*/90 * * * *", "has a step of 90 in minute");
	bad("5/15 * * * *", "has a step without a range in minute");
	bad("*/2/2 * * * *", "has \"2/2\" as minute");
	bad("1-2-3 * * * *", "has \"2-3\" as minute");
	bad("*-5 * * * *", "has \"*\" as minute");
	bad("** * * * *", "has \"**\" as minute");
	bad("? * * * *", "has \"?\" as minute");
	bad("5-1 * * * *", "has a range in minute that ends before it begins");
	bad("* * * * fri-mon", "has a range in day of the week that ends before it begins");
	bad("99999 * * * *", "has \"99999\" as minute");
	bad("1\n * * * *", "has \"1?\" as minute");
	bad("\xc3\xa9 * * * *", "has \"??\" as minute");
	bad("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa * * * *", "has \"aaaaaaaaaaaaaaaa\" as minute");
	memset(longest, ' ', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	bad(longest, "is longer than 256 bytes");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain), cmocka_unit_test(test_weekdays),    cmocka_unit_test(test_shorthands),
		cmocka_unit_test(test_never), cmocka_unit_test(test_summer_time), cmocka_unit_test(test_odd_zones),
		cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests_name("cron", tests, NULL, NULL);
}
