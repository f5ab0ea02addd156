/*-------------------------------------------------------------------------
 *
 * pace.h
 *	  How much work fits into a time, learned from how long work took.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_LIB_PACE_H
#define TZ_LIB_PACE_H

#include <stdint.h>

/* One kind of work. All zero: nothing is known yet. */
typedef struct TzPace
{
	double
		unit_us; /* what one piece of it took lately, its share of what the batch costs as a whole included */
} TzPace;

/* So many units fit into the time, within both ends; first, as long as nothing is known. */
extern int tz_pace_units(const TzPace *pace, int64_t budget_us, int first, int least, int most);

extern void tz_pace_took(TzPace *pace, int units, int64_t us);

#endif
