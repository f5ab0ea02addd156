/*-------------------------------------------------------------------------
 *
 * permission.c
 *	  Permissions and flow rules, as the gate asks them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "gate/gate.h"

bool
tz_permission_judge(const TzGateAsk *ask, TzGateRefusal *why)
{
	return false;
}
