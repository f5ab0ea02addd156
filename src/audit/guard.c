/*-------------------------------------------------------------------------
 *
 * guard.c
 *	  Events are never changed and never deleted.
 *
 * The trigger function is C so that nobody can replace its body with SQL. It
 * is attached ENABLE ALWAYS to every partition, for rows and for TRUNCATE.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "utils/rel.h"

#include "pg/errors.h"
#include "pg/export.h"

/* theazo_internal.event_guard(): refuses whatever fired it. */
THEAZO_FUNCTION(theazo_event_guard)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	const char *what;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
		        errmsg("\"event_guard\" must be called as a trigger"));

	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		what = "UPDATE";
	else if (TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		what = "DELETE";
	else if (TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event))
		what = "TRUNCATE";
	else
		what = "INSERT";

	ereport(ERROR, errcode(ERRCODE_TZ_EVENT_IMMUTABLE), errmsg("events are immutable"),
	        errdetail("%s on table \"%s\" was refused.", what, RelationGetRelationName(trigger->tg_relation)),
	        errhint("Record a new event that corrects the old one. Old events go by retention only."));
}
