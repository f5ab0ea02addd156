/*-------------------------------------------------------------------------
 *
 * carry_report.c
 *	  What programs in sandboxes report, on its way to the rows while they run.
 *
 * It is passed on a few times a second, with all that came within the same moment,
 * so that a program that reports much costs no more transactions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "worker/carry_http.h"

#define REPORTS_MS 250

void
tz_carry_reported(TzFlight *f)
{
	if (f->live != NULL && tz_live_has_records(f->live))
		f->carrier->reporting = true;
}

void
tz_carry_reports_pump(TzCarrier *c)
{
	TimestampTz now = GetCurrentTimestamp();

	if (now < c->report_at)
		return;
	c->reporting = false;
	c->report_at = TimestampTzPlusMilliseconds(now, REPORTS_MS);
	for (TzFlight *f = c->flights.lists[TZ_FLIGHT_FLYING].first; f != NULL; f = f->next)
	{
		if (f->live == NULL || !tz_live_has_records(f->live))
			continue;
		if (tz_notes_room(&c->notes))
			tz_notes_reports(&c->notes, f->claim->platform_id, f->claim->run_id, tz_flight_reports(f));
		else
			c->reporting = true;
	}
}

int
tz_carry_reports_timeout(const TzCarrier *c)
{
	TimestampTz now = GetCurrentTimestamp();

	return now >= c->report_at ? 0 : (int) ((c->report_at - now) / 1000) + 1;
}
