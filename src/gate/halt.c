/*-------------------------------------------------------------------------
 *
 * halt.c
 *	  The kill switch, as the gate asks it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "gate/gate.h"

bool
tz_halt_judge(const TzGateAsk *ask, TzGateRefusal *why)
{
	return false;
}
