/*-------------------------------------------------------------------------
 *
 * guard.c
 *	  Events are never changed and never deleted.
 *
 * The trigger functions are C so that nobody can replace their bodies with
 * SQL. They are attached ENABLE ALWAYS to every partition, for rows and for
 * TRUNCATE. protect.c keeps them there.
 *
 * Events are written without a statement (append.c), past the trigger for
 * INSERT. So a row that meets it comes from a restore, or from somebody who
 * makes one up.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

#include "audit/protect.h"
#include "lib/envelope.h"
#include "lib/id.h"
#include "pg/append.h"
#include "pg/convert.h"
#include "pg/errors.h"
#include "pg/export.h"
#include "pg/ids.h"
#include "pg/objects.h"

static void guard_claims_now(TriggerData *trigger);
static FullTransactionId guard_oldest_running(void);
static void guard_note_sweep(void);

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

	tz_guard_refuse(what, RelationGetRelationName(trigger->tg_relation));
}

void
tz_guard_refuse(const char *what, const char *table)
{
	ereport(ERROR, errcode(ERRCODE_TZ_EVENT_IMMUTABLE), errmsg("events are immutable"),
	        errdetail("%s on table \"%s\" was refused.", what, table),
	        errhint("Record a new event that corrects the old one. Old events go by retention only."));
}

/*
 * theazo_internal.event_insert(): of a row that came by INSERT or COPY. The
 * keeper looks for it without its cursor, which knows only this instance's own
 * transactions; so it may not say that it is one of those.
 */
THEAZO_FUNCTION(theazo_event_insert)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BY_INSERT(trigger->tg_event) ||
	    !TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
		        errmsg("\"event_insert\" must be called as a trigger for inserted rows"));
	guard_claims_now(trigger);
	guard_note_sweep();
	return PointerGetDatum(trigger->tg_trigtuple);
}

/* Only what writes events itself may say that this instance wrote one in a transaction that may still run. */
static void
guard_claims_now(TriggerData *trigger)
{
	TupleDesc desc = RelationGetDescr(trigger->tg_relation);
	int instance = SPI_fnumber(desc, "instance");
	int xid = SPI_fnumber(desc, "xid");
	bool isnull;
	Datum value;
	FullTransactionId claimed;

	if (instance <= 0 || xid <= 0)
		tz_objects_differ("Table \"%s\" lacks \"%s\".", RelationGetRelationName(trigger->tg_relation), "xid");
	value = heap_getattr(trigger->tg_trigtuple, instance, desc, &isnull);
	if (isnull || !tz_slice_eq_cstr(tz_datum_slice(value), tz_instance()))
		return;
	value = heap_getattr(trigger->tg_trigtuple, xid, desc, &isnull);
	if (isnull)
		return;
	claimed = DatumGetFullTransactionId(value);
	if (FullTransactionIdPrecedes(claimed, guard_oldest_running()))
		return;
	ereport(ERROR, errcode(ERRCODE_TZ_EVENT_IMMUTABLE),
	        errmsg("events are written by their own function only"),
	        errdetail("A row for table \"%s\" claims to be written by this instance now.",
	                  RelationGetRelationName(trigger->tg_relation)),
	        errhint(
				"What happened is recorded by the functions that do it. A restored row keeps its instance "
				"and transaction."));
}

/* Everything before it has ended, for whoever reads with this snapshot. */
static FullTransactionId
guard_oldest_running(void)
{
	FullTransactionId next = ReadNextFullTransactionId();
	uint32 behind = XidFromFullTransactionId(next) - GetActiveSnapshot()->xmin;

	return FullTransactionIdFromU64(U64FromFullTransactionId(next) - behind);
}

/* Once for each (sub)transaction that brings rows: what rolls back takes its note along. */
static void
guard_note_sweep(void)
{
	static TzAppend sweeps = {"audit_sweep", 3, {"platform_id", "id", "xid"}, NULL};
	static FullTransactionId noted_xid;
	static SubTransactionId noted_in = InvalidSubTransactionId;

	FullTransactionId xid = GetTopFullTransactionId();
	char id[TZ_ID_MAX + 1];
	Datum values[3];
	bool nulls[3] = {false};

	if (FullTransactionIdEquals(noted_xid, xid) && noted_in == GetCurrentSubTransactionId())
		return;
	tz_id_new("asw", id);
	values[0] = CStringGetTextDatum(TZ_OPERATOR_PLATFORM);
	values[1] = CStringGetTextDatum(id);
	values[2] = FullTransactionIdGetDatum(xid);
	tz_append(&sweeps, values, nulls);
	noted_xid = xid;
	noted_in = GetCurrentSubTransactionId();
}

/*
 * theazo_internal.event_partition_turn(name text, from_key text, to_key text):
 * the default partition of events becomes the one of that span, of that name. What is refused to
 * everybody is done here from beginning to end, so that nobody gets a partition
 * that stands alone.
 */
THEAZO_FUNCTION(theazo_event_partition_turn)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char *from = text_to_cstring(PG_GETARG_TEXT_PP(1));
	char *to = text_to_cstring(PG_GETARG_TEXT_PP(2));

	SPI_connect();
	tz_protect_execute("ALTER TABLE theazo_data.event DETACH PARTITION theazo_data.event_default");
	tz_protect_execute(
		psprintf("ALTER TABLE theazo_data.event_default RENAME TO %s", quote_identifier(name)));
	tz_protect_execute(
		psprintf("ALTER TABLE theazo_data.event ATTACH PARTITION theazo_data.%s FOR VALUES FROM (%s) TO (%s)",
	             quote_identifier(name), quote_literal_cstr(from), quote_literal_cstr(to)));
	SPI_finish();
	PG_RETURN_VOID();
}
