/*-------------------------------------------------------------------------
 *
 * cron.c
 *	  Cron expressions, and the moments they mean in a time zone.
 *
 * An expression is about the clock on the wall. So the search goes over local
 * time, counted as if it were UTC, and each local minute that matches is then
 * looked for in the zone. What the zone is comes as an argument: this file knows
 * neither the server's time zones nor a clock.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>
#include <strings.h>

#include "lib/cron.h"

#define DAY 86400
#define DAYS_SEARCHED (40 * 366)
#define OFFSET_MAX (26 * 3600) /* no zone is further from UTC */
#define YEAR_MAX 9999

typedef struct Field
{
	const char *name;
	int low;
	int high;
	const char *const *names; /* of low and what follows; NULL: numbers only */
} Field;

static const char *const month_names[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul",
                                          "aug", "sep", "oct", "nov", "dec", NULL};
static const char *const weekday_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};

/* 7 is Sunday too */
static const Field fields[5] = {
	{"minute", 0, 59, NULL},
	{"hour", 0, 23, NULL},
	{"day of the month", 1, 31, NULL},
	{"month", 1, 12, month_names},
	{"day of the week", 0, 7, weekday_names},
};

typedef struct Shorthand
{
	const char *name;
	const char *meaning;
} Shorthand;

static const Shorthand shorthands[] = {
	{"@hourly", "0 * * * *"},
	{"@daily", "0 0 * * *"},
	{"@weekly", "0 0 * * 0"},
	{"@monthly", "0 0 1 * *"},
};

static TzStatus cron_field(const Field *field, TzSlice text, uint64_t *bits, TzErr *err);
static TzStatus cron_item(const Field *field, TzSlice item, uint64_t *bits, TzErr *err);
static TzStatus cron_value(const Field *field, TzSlice text, bool is_end, int *value, TzErr *err);
static TzStatus cron_number(const Field *field, TzSlice text, int *value, TzErr *err);
static TzStatus cron_bad(const Field *field, TzSlice text, TzErr *err);
static bool cut(TzSlice *rest, char at, TzSlice *head);
static bool cron_local_next(const TzCron *cron, int64_t from, int64_t *local);
static bool cron_day_matches(const TzCron *cron, int64_t day);
static int cron_minute_from(const TzCron *cron, int from);
static bool cron_moment(TzCronZone zone_of, void *zone, int64_t local, int64_t *at);
static int64_t floor_div(int64_t a, int64_t b);
static void civil(int64_t day, int *year, int *month, int *mday);

TzStatus
tz_cron_parse(TzSlice text, TzCron *out, TzErr *err)
{
	uint64_t bits[5] = {0};
	TzSlice part[5];
	int n = 0;

	memset(out, 0, sizeof(*out));
	if (text.len > TZ_CRON_TEXT_MAX)
		return tz_err_set(err, TZ_BAD_INPUT, "is longer than %d bytes", TZ_CRON_TEXT_MAX);
	for (size_t i = 0; i < text.len;)
	{
		size_t end;

		if (text.data[i] == ' ' || text.data[i] == '\t')
		{
			i++;
			continue;
		}
		for (end = i; end < text.len && text.data[end] != ' ' && text.data[end] != '\t'; end++)
			;
		if (n < 5)
			part[n] = tz_slice(text.data + i, end - i);
		n++;
		i = end;
	}
	if (n == 1 && part[0].data[0] == '@')
	{
		for (size_t i = 0; i < sizeof(shorthands) / sizeof(shorthands[0]); i++)
		{
			if (part[0].len == strlen(shorthands[i].name) &&
			    strncasecmp(part[0].data, shorthands[i].name, part[0].len) == 0)
				return tz_cron_parse(tz_slice_cstr(shorthands[i].meaning), out, err);
		}
		(void) tz_err_set(err, TZ_BAD_INPUT, "has an unknown shorthand");
		tz_err_hint(err, "Use @hourly, @daily, @weekly or @monthly, or five fields.");
		return TZ_BAD_INPUT;
	}
	if (n != 5)
	{
		(void) tz_err_set(err, TZ_BAD_INPUT, "has %d fields instead of five", n);
		tz_err_hint(err,
		            "Give minute, hour, day of the month, month and day of the week, like 30 9 * * mon-fri.");
		return TZ_BAD_INPUT;
	}
	for (int i = 0; i < 5; i++)
	{
		TzStatus status = cron_field(&fields[i], part[i], &bits[i], err);

		if (status != TZ_OK)
			return status;
	}
	out->minutes = bits[0];
	out->hours = (uint32_t) bits[1];
	out->days = (uint32_t) bits[2];
	out->months = (uint16_t) bits[3];
	out->weekdays = (uint8_t) ((bits[4] | bits[4] >> 7) & 0x7f);
	out->days_free = part[2].data[0] == '*';
	out->weekdays_free = part[4].data[0] == '*';
	return TZ_OK;
}

bool
tz_cron_next(const TzCron *cron, TzCronZone zone_of, void *zone, int64_t after, int64_t *next)
{
	int32_t offset;
	int64_t until;
	int64_t local;

	if (after < -(int64_t) YEAR_MAX * 366 * DAY || after > (int64_t) YEAR_MAX * 366 * DAY)
		return false;
	zone_of(zone, after, &offset, &until);
	/* no local time up to now can begin later than now */
	local = (floor_div(after + offset, 60) + 1) * 60;
	for (int tries = 0; tries < DAYS_SEARCHED; tries++)
	{
		int64_t at;

		if (!cron_local_next(cron, local, &local))
			return false;
		if (cron_moment(zone_of, zone, local, &at) && at > after)
		{
			*next = at;
			return true;
		}
		local += 60;
	}
	return false;
}

static TzStatus
cron_field(const Field *field, TzSlice text, uint64_t *bits, TzErr *err)
{
	TzSlice item;
	bool more;

	do
	{
		TzStatus status;

		more = cut(&text, ',', &item);
		status = cron_item(field, item, bits, err);
		if (status != TZ_OK)
			return status;
	} while (more);
	return TZ_OK;
}

/* A star, a value or a range, the first and the last with a step. */
static TzStatus
cron_item(const Field *field, TzSlice item, uint64_t *bits, TzErr *err)
{
	TzSlice range;
	TzSlice step = item;
	TzSlice first;
	int low = field->low;
	int high = field->high;
	int by = 1;
	bool stepped = cut(&step, '/', &range);
	bool is_range = true;
	TzStatus status = TZ_OK;

	if (range.len == 1 && range.data[0] == '*')
	{
		if (field->names == weekday_names)
			high = 6;
	}
	else
	{
		TzSlice last = range;

		is_range = cut(&last, '-', &first);
		status = cron_value(field, first, false, &low, err);
		high = low;
		if (status == TZ_OK && is_range)
			status = cron_value(field, last, true, &high, err);
	}
	if (status == TZ_OK && stepped)
		status = cron_number(field, step, &by, err);
	if (status != TZ_OK)
		return status;
	if (high < low)
	{
		(void) tz_err_set(err, TZ_BAD_INPUT, "has a range in %s that ends before it begins", field->name);
		tz_err_hint(err, "Give two ranges, like 22-23,0-5.");
		return TZ_BAD_INPUT;
	}
	if (stepped && !is_range)
	{
		(void) tz_err_set(err, TZ_BAD_INPUT, "has a step without a range in %s", field->name);
		tz_err_hint(err, "Give the range as well, like %d-%d/%d.", low,
		            field->names == weekday_names ? 6 : field->high, by);
		return TZ_BAD_INPUT;
	}
	if (by < 1 || by > field->high)
	{
		(void) tz_err_set(err, TZ_BAD_INPUT, "has a step of %d in %s", by, field->name);
		tz_err_hint(err, "A step is from 1 to %d, and counts within its field: */90 is no hour and a half.",
		            field->high);
		return TZ_BAD_INPUT;
	}
	for (int v = low; v <= high; v += by)
		*bits |= UINT64_C(1) << v;
	return TZ_OK;
}

/* A number or a name. Sunday ends a week as well as it begins one. */
static TzStatus
cron_value(const Field *field, TzSlice text, bool is_end, int *value, TzErr *err)
{
	if (field->names != NULL && text.len == 3)
	{
		for (int i = 0; field->names[i] != NULL; i++)
		{
			if (strncasecmp(text.data, field->names[i], 3) == 0)
			{
				*value = is_end && field->names == weekday_names && i == 0 ? 7 : field->low + i;
				return TZ_OK;
			}
		}
	}
	if (cron_number(field, text, value, err) != TZ_OK)
		return TZ_BAD_INPUT;
	if (*value < field->low || *value > field->high)
		return tz_err_set(err, TZ_BAD_INPUT, "has %d as %s, which is from %d to %d", *value, field->name,
		                  field->low, field->high);
	return TZ_OK;
}

static TzStatus
cron_number(const Field *field, TzSlice text, int *value, TzErr *err)
{
	int n = 0;

	if (text.len == 0 || text.len > 4)
		return cron_bad(field, text, err);
	for (size_t i = 0; i < text.len; i++)
	{
		if (text.data[i] < '0' || text.data[i] > '9')
			return cron_bad(field, text, err);
		n = n * 10 + (text.data[i] - '0');
	}
	*value = n;
	return TZ_OK;
}

/* What was given goes into a message: a little of it, and nothing that is no plain character. */
static TzStatus
cron_bad(const Field *field, TzSlice text, TzErr *err)
{
	char shown[17];
	size_t n = text.len < sizeof(shown) - 1 ? text.len : sizeof(shown) - 1;

	for (size_t i = 0; i < n; i++)
		shown[i] = text.data[i] > ' ' && text.data[i] <= '~' ? text.data[i] : '?';
	shown[n] = '\0';
	(void) tz_err_set(err, TZ_BAD_INPUT, "has \"%s\" as %s", shown, field->name);
	if (field->names == NULL)
		tz_err_hint(err, "Give *, numbers from %d to %d, ranges like 1-5, steps like */2, or a list of them.",
		            field->low, field->high);
	else
		tz_err_hint(
			err, "Give *, numbers from %d to %d, names like %s, ranges, steps like */2, or a list of them.",
			field->low, field->high, field->names[1]);
	return TZ_BAD_INPUT;
}

/* Splits at the first such character: what is before it, and the rest. False: there is none, all is head. */
static bool
cut(TzSlice *rest, char at, TzSlice *head)
{
	const char *p = rest->len == 0 ? NULL : memchr(rest->data, at, rest->len);

	if (p == NULL)
	{
		*head = *rest;
		*rest = tz_slice(rest->data + rest->len, 0);
		return false;
	}
	*head = tz_slice(rest->data, (size_t) (p - rest->data));
	*rest = tz_slice(p + 1, rest->len - head->len - 1);
	return true;
}

/* The first local minute from this one on that matches. */
static bool
cron_local_next(const TzCron *cron, int64_t from, int64_t *local)
{
	int64_t day = floor_div(from, DAY);
	int minute = (int) ((from - day * DAY) / 60);

	for (int i = 0; i < DAYS_SEARCHED; i++, day++, minute = 0)
	{
		int found;

		if (!cron_day_matches(cron, day))
			continue;
		found = cron_minute_from(cron, minute);
		if (found >= 0)
		{
			*local = day * DAY + found * 60;
			return true;
		}
	}
	return false;
}

/* Where both kinds of day are restricted, either will do. */
static bool
cron_day_matches(const TzCron *cron, int64_t day)
{
	/* 1970-01-01 was a Thursday */
	int weekday = (int) (((day + 4) % 7 + 7) % 7);
	int year;
	int month;
	int mday;
	bool by_date;
	bool by_weekday = cron->weekdays >> weekday & 1;

	civil(day, &year, &month, &mday);
	if (year > YEAR_MAX || !(cron->months >> month & 1))
		return false;
	by_date = cron->days >> mday & 1;
	if (cron->days_free || cron->weekdays_free)
		return by_date && by_weekday;
	return by_date || by_weekday;
}

/* The first minute of a day from this one on that matches, -1 for none. */
static int
cron_minute_from(const TzCron *cron, int from)
{
	for (int hour = from / 60, first = from % 60; hour < 24; hour++, first = 0)
	{
		if (!(cron->hours >> hour & 1))
			continue;
		for (int minute = first; minute < 60; minute++)
		{
			if (cron->minutes >> minute & 1)
				return hour * 60 + minute;
		}
	}
	return -1;
}

/* When a clock of the zone first shows this; false when it never does. */
static bool
cron_moment(TzCronZone zone_of, void *zone, int64_t local, int64_t *at)
{
	int64_t from = local - OFFSET_MAX;

	while (from <= local + OFFSET_MAX)
	{
		int32_t offset;
		int64_t until;

		zone_of(zone, from, &offset, &until);
		*at = local - offset;
		if (*at >= from && *at < until)
			return true;
		if (until <= from)
			return false;
		from = until;
	}
	return false;
}

static int64_t
floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/*
 * The date of a day counted from 1970-01-01, in the Gregorian calendar of all
 * times: eras of 400 years, and years that begin in March, so that the leap day
 * comes last.
 */
static void
civil(int64_t day, int *year, int *month, int *mday)
{
	int64_t shifted = day + 719468;
	int64_t era = floor_div(shifted, 146097);
	int in_era = (int) (shifted - era * 146097);
	int year_of_era = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
	int in_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int from_march = (5 * in_year + 2) / 153;

	*mday = in_year - (153 * from_march + 2) / 5 + 1;
	*month = from_march < 10 ? from_march + 3 : from_march - 9;
	*year = (int) (era * 400 + year_of_era + (*month <= 2));
}
