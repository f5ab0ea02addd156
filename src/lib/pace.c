/*-------------------------------------------------------------------------
 *
 * pace.c
 *	  How much work fits into a time, learned from how long work took.
 *
 * What a batch costs as a whole counts into its units, so a small batch makes the
 * next one grow until the time is full; one slow batch is forgotten after a few.
 *
 *-------------------------------------------------------------------------
 */
#include "lib/pace.h"

#define NEWEST_SHARE 0.3

int
tz_pace_units(const TzPace *pace, int64_t budget_us, int first, int least, int most)
{
	double fit = first;

	if (pace->unit_us > 0)
		fit = (double) budget_us / pace->unit_us;
	if (fit < least)
		return least;
	return fit > most ? most : (int) fit;
}

void
tz_pace_took(TzPace *pace, int units, int64_t us)
{
	double unit_us;

	if (units <= 0 || us < 0)
		return;
	/* nothing takes no time at all, and zero would mean that nothing is known */
	unit_us = us > 0 ? (double) us / units : 0.5 / units;
	if (pace->unit_us <= 0)
		pace->unit_us = unit_us;
	else
		pace->unit_us += NEWEST_SHARE * (unit_us - pace->unit_us);
}
