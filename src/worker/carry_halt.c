/*-------------------------------------------------------------------------
 *
 * carry_halt.c
 *	  The kill switch: which calls and sandboxes of this dispatcher a halt is about.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "gate/halt.h"
#include "worker/carry.h"

static bool
flight_halted(const TzFlight *f)
{
	const TzClaimed *c = f->claim;
	const TzHaltOf of = {.platform = c->platform_id,
	                     .session = c->session_id,
	                     .agent = c->agent_id,
	                     .run = c->run_id};

	return !tz_halt_spares(c->kind) && tz_halt_recall(&of) != NULL;
}

static bool
box_halted(void *arg, const char *platform_id, const char *session_id, const char *agent_id)
{
	const TzHaltOf of = {.platform = platform_id, .session = session_id, .agent = agent_id};

	(void) arg;
	return tz_halt_recall(&of) != NULL;
}

int
tz_carrier_halt(TzCarrier *c)
{
	static const TzFlightState states[] = {TZ_FLIGHT_CLAIMED, TZ_FLIGHT_FLYING};
	int n = 0;

	/* marked first: what a dying sandbox tears down was halted, too */
	for (size_t i = 0; i < lengthof(states); i++)
	{
		for (TzFlight *f = c->flights.lists[states[i]].first; f != NULL; f = f->next)
		{
			if (!f->cancel && flight_halted(f))
			{
				f->cancel = true;
				n++;
			}
		}
	}
	n += tz_local_halt(c->local, box_halted, NULL);
	return n;
}
