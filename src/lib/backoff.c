/*-------------------------------------------------------------------------
 *
 * backoff.c
 *	  The table of retry verdicts, jittered waits, and Retry-After.
 *
 * Only what is provably harmless is sent again: a request that never left, one
 * that the peer said it did not carry out (429 or 503 with a time to come back),
 * or one whose repetition leaves the same state. The clock and the random bits
 * are arguments, so tests can lie about both.
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/backoff.h"

/* What went wrong, as far as repeating is concerned. */
typedef enum Trouble
{
	TROUBLE_NOT_SENT = 1, /* nothing reached the peer */
	TROUBLE_NO_ANSWER, /* it may have, and the connection broke before an answer */
	TROUBLE_LATE, /* it may have, and the time was up before an answer */
	TROUBLE_GARBLED, /* it did, and the answer is damaged */
	TROUBLE_COME_BACK, /* 429, 503 with Retry-After: not carried out */
	TROUBLE_BUSY, /* 429, 502, 503, 504 otherwise */
	TROUBLE_BROKEN, /* any other 5xx */
	TROUBLE_FINAL /* everything else */
} Trouble;

typedef struct Verdict
{
	TzRepeat repeat;
	Trouble trouble;
	int attempts; /* sent at most this often, with this trouble */
	TzRetry then; /* verdict once they are used up */
} Verdict;

/* What is not listed is final. */
static const Verdict verdicts[] = {
	{TZ_REPEAT_READ, TROUBLE_NOT_SENT, 2, TZ_RETRY_NO},
	{TZ_REPEAT_READ, TROUBLE_NO_ANSWER, 2, TZ_RETRY_NO},
	{TZ_REPEAT_READ, TROUBLE_GARBLED, 2, TZ_RETRY_NO},
	{TZ_REPEAT_READ, TROUBLE_COME_BACK, 5, TZ_RETRY_NO},
	{TZ_REPEAT_READ, TROUBLE_BUSY, 2, TZ_RETRY_NO},

	{TZ_REPEAT_SAME, TROUBLE_NOT_SENT, 3, TZ_RETRY_NO},
	{TZ_REPEAT_SAME, TROUBLE_NO_ANSWER, 2, TZ_RETRY_UNKNOWN},
	{TZ_REPEAT_SAME, TROUBLE_GARBLED, 2, TZ_RETRY_NO},
	{TZ_REPEAT_SAME, TROUBLE_LATE, 0, TZ_RETRY_UNKNOWN},
	{TZ_REPEAT_SAME, TROUBLE_COME_BACK, 5, TZ_RETRY_NO},
	{TZ_REPEAT_SAME, TROUBLE_BUSY, 2, TZ_RETRY_NO},

	{TZ_REPEAT_REMOVE, TROUBLE_NOT_SENT, 6, TZ_RETRY_NO},
	{TZ_REPEAT_REMOVE, TROUBLE_NO_ANSWER, 6, TZ_RETRY_NO},
	{TZ_REPEAT_REMOVE, TROUBLE_GARBLED, 6, TZ_RETRY_NO},
	{TZ_REPEAT_REMOVE, TROUBLE_LATE, 6, TZ_RETRY_NO},
	{TZ_REPEAT_REMOVE, TROUBLE_COME_BACK, 6, TZ_RETRY_NO},
	{TZ_REPEAT_REMOVE, TROUBLE_BUSY, 6, TZ_RETRY_NO},
	{TZ_REPEAT_REMOVE, TROUBLE_BROKEN, 6, TZ_RETRY_NO},
	{TZ_REPEAT_REMOVE, TROUBLE_FINAL, 6, TZ_RETRY_NO},

	{TZ_REPEAT_NEVER, TROUBLE_NOT_SENT, 3, TZ_RETRY_NO},
	{TZ_REPEAT_NEVER, TROUBLE_NO_ANSWER, 0, TZ_RETRY_UNKNOWN},
	{TZ_REPEAT_NEVER, TROUBLE_LATE, 0, TZ_RETRY_UNKNOWN},
	{TZ_REPEAT_NEVER, TROUBLE_COME_BACK, 5, TZ_RETRY_NO},
};

static Trouble trouble_of(const TzFailure *failure);
static bool parse_rfc3339(const char *value, int64_t *out_ms);
static bool parse_duration(const char *value, double *out_ms);
static bool parse_date(const char *value, int64_t now_ms, int64_t *out_s);
static bool month_number(const char *name, int *out);
static int64_t days_from_civil(int year, int month, int day);

TzRetry
tz_retry_judge(TzRepeat repeat, const TzFailure *failure, int attempt)
{
	Trouble trouble = trouble_of(failure);

	/* our own wish: never again, but what it left behind may need looking after */
	if (failure->status == TZ_CANCELLED)
		return failure->maybe_sent && repeat != TZ_REPEAT_READ ? TZ_RETRY_UNKNOWN : TZ_RETRY_NO;
	for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++)
	{
		const Verdict *v = &verdicts[i];

		if (v->repeat == repeat && v->trouble == trouble)
			return v->attempts > 0 && attempt < v->attempts ? TZ_RETRY_YES : v->then;
	}
	return TZ_RETRY_NO;
}

static Trouble
trouble_of(const TzFailure *failure)
{
	switch (failure->status)
	{
		case TZ_OK:
			break;
		case TZ_REFUSED:
		case TZ_BAD_INPUT:
			/* our own policy or request: the same again */
			return failure->maybe_sent ? TROUBLE_NO_ANSWER : TROUBLE_FINAL;
		case TZ_TOO_LARGE:
			/* it was carried out, and the same would come again */
			return failure->maybe_sent ? TROUBLE_FINAL : TROUBLE_NOT_SENT;
		case TZ_BAD_ANSWER:
			return failure->maybe_sent ? TROUBLE_GARBLED : TROUBLE_NOT_SENT;
		case TZ_TIMEOUT:
			return failure->maybe_sent ? TROUBLE_LATE : TROUBLE_NOT_SENT;
		default:
			return failure->maybe_sent ? TROUBLE_NO_ANSWER : TROUBLE_NOT_SENT;
	}
	switch (failure->http_status)
	{
		case 429:
		case 503:
			return failure->told_to_wait ? TROUBLE_COME_BACK : TROUBLE_BUSY;
		case 502:
		case 504:
			return TROUBLE_BUSY;
		default:
			return failure->http_status >= 500 && failure->http_status != 501 ? TROUBLE_BROKEN
			                                                                  : TROUBLE_FINAL;
	}
}

int
tz_backoff_ms(int attempt, int base_ms, int max_ms, uint32_t random)
{
	int64_t wait = base_ms > 0 ? base_ms : 1;
	int64_t half;

	if (max_ms < 1)
		max_ms = 1;
	for (int i = 1; i < attempt && wait < max_ms; i++)
		wait *= 2;
	if (wait > max_ms)
		wait = max_ms;
	half = wait / 2;
	return (int) (half + (int64_t) ((uint64_t) random * (uint64_t) (wait - half + 1) >> 32));
}

bool
tz_retry_after_ms(const char *value, int64_t now_ms, int max_ms, int *out_ms)
{
	int64_t wait_ms = 0;

	if (value == NULL || max_ms < 0)
		return false;
	while (*value == ' ' || *value == '\t')
		value++;
	if (isdigit((unsigned char) *value))
	{
		const char *p = value;

		for (; isdigit((unsigned char) *p); p++)
			if (wait_ms <= max_ms)
				wait_ms = wait_ms * 10 + (*p - '0') * (int64_t) 1000;
		while (*p == ' ' || *p == '\t')
			p++;
		if (*p != '\0')
			return false;
	}
	else
	{
		int64_t then_s;

		if (!parse_date(value, now_ms, &then_s))
			return false;
		wait_ms = then_s * 1000 - now_ms;
	}
	*out_ms = wait_ms < 0 ? 0 : wait_ms > max_ms ? max_ms : (int) wait_ms;
	return true;
}

bool
tz_reset_after_ms(const char *value, int64_t now_ms, int max_ms, int *out_ms)
{
	int64_t then_ms;
	double wait_ms;

	if (value == NULL || max_ms < 0 || strlen(value) > 64)
		return false;
	if (parse_rfc3339(value, &then_ms))
		wait_ms = (double) (then_ms - now_ms);
	else if (!parse_duration(value, &wait_ms))
		return false;
	*out_ms = wait_ms < 0 ? 0 : wait_ms > max_ms ? max_ms : (int) wait_ms;
	return true;
}

/* "2026-11-21T14:00:00Z", with a fraction or an offset if need be. */
static bool
parse_rfc3339(const char *value, int64_t *out_ms)
{
	int year, month, day, hour, minute, second;
	int zone_hour = 0;
	int zone_minute = 0;
	int used = -1;
	char sign;

	if (sscanf(value, "%4d-%2d-%2d%*1[Tt]%2d:%2d:%2d%n", &year, &month, &day, &hour, &minute, &second,
	           &used) != 6 ||
	    used < 0)
		return false;
	value += used;
	if (*value == '.')
		for (value++; isdigit((unsigned char) *value);)
			value++;
	sign = *value;
	if (sign == '+' || sign == '-')
	{
		used = -1;
		if (sscanf(value + 1, "%2d:%2d%n", &zone_hour, &zone_minute, &used) != 2 || used < 0 ||
		    value[1 + used] != '\0')
			return false;
	}
	else if ((sign != 'Z' && sign != 'z') || value[1] != '\0')
		return false;
	if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 || hour > 23 ||
	    minute < 0 || minute > 59 || second < 0 || second > 60 || zone_hour < 0 || zone_hour > 23 ||
	    zone_minute < 0 || zone_minute > 59)
		return false;
	*out_ms = (days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second) * 1000;
	*out_ms += (sign == '-' ? 1 : -1) * (zone_hour * 60 + zone_minute) * INT64_C(60000);
	return true;
}

/* "1h2m3.5s", "12ms", or a number alone, which means seconds. */
static bool
parse_duration(const char *value, double *out_ms)
{
	static const struct
	{
		const char *name;
		double ms;
	} units[] = {{"ms", 1}, {"us", 0.001}, {"ns", 0.000001}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
	bool any = false;

	*out_ms = 0;
	if (*value == '-')
		return parse_duration(value + 1, out_ms) && (*out_ms = 0, true);
	while (*value != '\0')
	{
		char *end;
		double n;
		size_t i;

		if (!isdigit((unsigned char) *value) || (value[0] == '0' && (value[1] | 0x20) == 'x'))
			return false;
		n = strtod(value, &end);
		if (*end == '\0' && !any)
		{
			*out_ms = n * 1000;
			return true;
		}
		for (i = 0; i < sizeof(units) / sizeof(units[0]); i++)
			if (strncmp(end, units[i].name, strlen(units[i].name)) == 0)
				break;
		if (i == sizeof(units) / sizeof(units[0]))
			return false;
		*out_ms += n * units[i].ms;
		value = end + strlen(units[i].name);
		any = true;
	}
	return any;
}

/*
 * "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT" or
 * "Sun Nov  6 08:49:37 1994". No locale, so no strptime.
 */
static bool
parse_date(const char *value, int64_t now_ms, int64_t *out_s)
{
	char name[4];
	char zone[4] = "GMT";
	int day, month, year, hour, minute, second;
	int used = -1;
	const char *comma = strchr(value, ',');

	if (strlen(value) > 64)
		return false;
	if (comma != NULL)
	{
		if (sscanf(comma + 1, " %2d %3[A-Za-z] %4d %2d:%2d:%2d %3[A-Z]%n", &day, name, &year, &hour, &minute,
		           &second, zone, &used) != 7)
		{
			used = -1;
			if (sscanf(comma + 1, " %2d-%3[A-Za-z]-%2d %2d:%2d:%2d %3[A-Z]%n", &day, name, &year, &hour,
			           &minute, &second, zone, &used) != 7)
				return false;
			/* two digits: the year closest to now that is not over 50 years ahead */
			year += (int) (1970 + now_ms / 31556952000) / 100 * 100;
			if (year > 1970 + now_ms / 31556952000 + 50)
				year -= 100;
		}
		value = comma + 1;
	}
	else if (sscanf(value, "%*3[A-Za-z] %3[A-Za-z] %2d %2d:%2d:%2d %4d%n", name, &day, &hour, &minute,
	                &second, &year, &used) != 6)
		return false;
	if (used < 0 || value[used] != '\0' || strcmp(zone, "GMT") != 0 || !month_number(name, &month))
		return false;
	if (day < 1 || day > 31 || year < 1970 || year > 9999 || hour < 0 || hour > 23 || minute < 0 ||
	    minute > 59 || second < 0 || second > 60)
		return false;
	*out_s = days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
	return true;
}

static bool
month_number(const char *name, int *out)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

	for (int i = 0; i < 12; i++)
		if (strlen(name) == 3 && strncmp(names + 3 * i, name, 3) == 0)
		{
			*out = i + 1;
			return true;
		}
	return false;
}

/* Days since 1970-01-01 of a date in the Gregorian calendar, year >= 1970. */
static int64_t
days_from_civil(int year, int month, int day)
{
	int y = month <= 2 ? year - 1 : year;
	int shifted = (month + 9) % 12; /* March is 0 */
	int leap_days = y / 4 - y / 100 + y / 400;

	return (int64_t) y * 365 + leap_days + (shifted * 153 + 2) / 5 + day - 1 - 719468;
}
