/* Cron expressions: whatever is accepted fires only when it says so, later than asked, in zones that jump as they like. */
#include <stdlib.h>
#include <string.h>

#include "lib/cron.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS 4

typedef struct Zone
{
	int64_t from[STEPS];
	int32_t offset[STEPS + 1];
} Zone;

static void
zone_of(void *arg, int64_t at, int32_t *offset, int64_t *until)
{
	const Zone *zone = arg;
	int i = 0;

	while (i < STEPS && zone->from[i] <= at)
		i++;
	*offset = zone->offset[i];
	*until = i < STEPS ? zone->from[i] : INT64_MAX;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Zone zone;
	TzCron cron;
	TzErr err;
	uint32_t word;
	int64_t after;
	int64_t next;
	int64_t local;
	int32_t offset;
	int64_t until;

	if (size < 32)
		return 0;
	memcpy(&word, data, 4);
	after = (int64_t) word - 1000000000;
	for (int i = 0; i <= STEPS; i++)
	{
		int16_t minutes;

		memcpy(&minutes, data + 4 + 2 * i, 2);
		zone.offset[i] = minutes % 900 * 60;
		if (i < STEPS)
			zone.from[i] = (i == 0 ? after - 86400 : zone.from[i - 1]) + 1 + data[16 + i] * 1200;
	}
	tz_err_clear(&err);
	if (tz_cron_parse(tz_slice((const char *) data + 32, size - 32), &cron, &err) != TZ_OK)
	{
		if (err.message[0] == '\0')
			abort();
		return 0;
	}
	if (cron.minutes == 0 || cron.minutes >> 60 != 0 || cron.hours == 0 || cron.hours >> 24 != 0 ||
	    cron.days == 0 || (cron.days & 1) != 0 || cron.months == 0 || (cron.months & 1) != 0 ||
	    cron.months >> 13 != 0 || cron.weekdays == 0 || cron.weekdays >> 7 != 0)
		abort();
	if (!tz_cron_next(&cron, zone_of, &zone, after, &next))
		return 0;
	if (next <= after)
		abort();
	zone_of(&zone, next, &offset, &until);
	local = next + offset;
	if (local % 60 != 0)
		abort();
	local = ((local % 86400) + 86400) % 86400;
	if (!(cron.hours >> local / 3600 & 1) || !(cron.minutes >> local % 3600 / 60 & 1))
		abort();
	return 0;
}
