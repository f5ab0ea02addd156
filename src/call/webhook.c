/*-------------------------------------------------------------------------
 *
 * webhook.c
 *	  Which webhooks of a platform want to hear of an event.
 *
 * Asked whenever something happens that a webhook can ask for, and mostly there
 * is none: one look at an index, no statement.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "pg/convert.h"
#include "pg/export.h"
#include "pg/ids.h"
#include "pg/look.h"
#include "pg/objects.h"

/* As columns[] names them. */
enum
{
	ID,
	ENVIRONMENT,
	STATUS,
	EVENTS
};

static bool wants(TzLook *look, TzSlice event);

/* webhooks_for(platform, environment, event): their ids in order, null when there are none */
THEAZO_FUNCTION(theazo_webhooks_for)
{
	static TzLookTable webhooks = {"webhook", 4, {"id", "environment", "status", "events"}, NULL};
	ArrayBuildState *found = NULL;
	TzSlice environment;
	TzSlice event;
	Datum platform;
	TzLook look;

	tz_args_expect(fcinfo, 3);
	platform = PG_GETARG_DATUM(0);
	environment = tz_datum_slice(PG_GETARG_DATUM(1));
	event = tz_datum_slice(PG_GETARG_DATUM(2));
	tz_look_open(&look, &webhooks);
	tz_look_at(&look, &platform, 1);
	while (tz_look_next(&look))
	{
		if (!tz_slice_eq(tz_look_text(&look, ENVIRONMENT), environment) ||
		    !tz_slice_eq_cstr(tz_look_text(&look, STATUS), "active") || !wants(&look, event))
			continue;
		found = accumArrayResult(found, tz_text_datum(tz_look_text(&look, ID)), false, TEXTOID,
		                         CurrentMemoryContext);
	}
	tz_look_close(&look);
	if (found == NULL)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(makeArrayResult(found, CurrentMemoryContext));
}

static bool
wants(TzLook *look, TzSlice event)
{
	bool isnull;
	Datum events = tz_look_value(look, EVENTS, &isnull);
	Datum *names;
	bool *nulls;
	int n;

	if (isnull)
		return false;
	deconstruct_array(DatumGetArrayTypeP(events), TEXTOID, -1, false, TYPALIGN_INT, &names, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		TzSlice name;

		if (nulls[i])
			continue;
		name = tz_datum_slice(names[i]);
		if (tz_slice_eq_cstr(name, "*") || tz_slice_eq(name, event))
			return true;
	}
	return false;
}
