/*-------------------------------------------------------------------------
 *
 * level.h
 *	  Limits of money above a run, with what is spent and reserved of each.
 *
 * The one place that knows what counts against which level; budgets are checked,
 * drawn from and shown through it. Everything is read with the active snapshot,
 * so a settlement that moves money from reserved to spent counts it once, and all
 * levels are of one moment.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_LEVEL_H
#define TZ_LEVEL_H

#include "lib/buf.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

/* In the order in which they are named to whoever is refused. */
typedef enum TzLevelKind
{
	TZ_LEVEL_SESSION = 1,
	TZ_LEVEL_USER,
	TZ_LEVEL_PLATFORM,
	TZ_LEVEL_OPERATOR, /* the operator's, above one platform */
	TZ_LEVEL_OPERATOR_ALL /* above all of them together */
} TzLevelKind;

#define TZ_LEVELS_MAX 5

typedef struct TzLevel
{
	TzLevelKind kind;
	bool by_day; /* else by month */
	int64 max; /* all amounts in millionths of a cent */
	int64 used; /* spent in the day or month */
	int64 reserved; /* for what is under way */
	int64 held; /* that, and what runs have drawn ahead */
} TzLevel;

/* Whose levels. Slices without data: not known, and then nothing that needs it counts. */
typedef struct TzLevelsOf
{
	TzSlice platform;
	TzSlice environment;
	TzSlice session;
	TzSlice user;
	TimestampTz at; /* which day and month */
} TzLevelsOf;

/* Those that hold, in their order, without sums; how many. limits: of the session, or NULL. */
extern int tz_levels_find(const TzLevelsOf *of, Jsonb *limits, TzLevel levels[TZ_LEVELS_MAX]);

/* Fills in the sums. */
extern void tz_levels_sum(const TzLevelsOf *of, TzLevel *levels, int n);

/* Is nothing left for new work? */
extern bool tz_level_is_used_up(const TzLevel *level);

#endif /* TZ_LEVEL_H */
