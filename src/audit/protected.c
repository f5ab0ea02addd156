/*-------------------------------------------------------------------------
 *
 * protected.c
 *	  Which tables, triggers and functions belong to the audit.
 *
 * Read from the catalogs, so that no list of tables has to be kept: an audit
 * table is one in a schema of ours that carries the guard trigger.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_rewrite.h"
#include "commands/extension.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "audit/protect.h"

/* Functions whose body is part of the protection. */
static const char *const guards[] = {"event_guard",          "event_insert",          "event_write",
                                     "event_refused",        "event_partition_make",  "event_partition_adopt",
                                     "event_partition_turn", "partition_member_swap", NULL};

bool
tz_protected(Oid relid)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Form_pg_class form;
	bool maybe;
	Relation triggers;
	ScanKeyData key[1];
	SysScanDesc scan;
	bool found = false;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_class) GETSTRUCT(tuple);
	maybe = form->relhastriggers &&
	        (form->relkind == RELKIND_RELATION || form->relkind == RELKIND_PARTITIONED_TABLE) &&
	        (form->relnamespace == get_namespace_oid("theazo_data", true) ||
	         form->relnamespace == get_namespace_oid(TZ_ARCHIVE_SCHEMA, true));
	ReleaseSysCache(tuple);
	if (!maybe)
		return false;

	triggers = table_open(TriggerRelationId, AccessShareLock);
	ScanKeyInit(&key[0], Anum_pg_trigger_tgrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(triggers, TriggerRelidNameIndexId, true, NULL, 1, key);
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
		found = tz_protected_function(((Form_pg_trigger) GETSTRUCT(tuple))->tgfoid);
	systable_endscan(scan);
	table_close(triggers, AccessShareLock);
	return found;
}

/*
 * The table that a trigger, constraint, policy or rule belongs to; InvalidOid
 * for none. fresh: as this command leaves it, else as it was before.
 */
Oid
tz_protected_table_of(Oid classId, Oid objectId, bool fresh)
{
	Oid index;
	AttrNumber oid_column;
	Relation catalog;
	ScanKeyData key[1];
	SysScanDesc scan;
	HeapTuple tuple;
	Oid relid = InvalidOid;

	switch (classId)
	{
		case TriggerRelationId:
			index = TriggerOidIndexId;
			oid_column = Anum_pg_trigger_oid;
			break;
		case ConstraintRelationId:
			index = ConstraintOidIndexId;
			oid_column = Anum_pg_constraint_oid;
			break;
		case PolicyRelationId:
			index = PolicyOidIndexId;
			oid_column = Anum_pg_policy_oid;
			break;
		default:
			index = RewriteOidIndexId;
			oid_column = Anum_pg_rewrite_oid;
			break;
	}
	catalog = table_open(classId, AccessShareLock);
	ScanKeyInit(&key[0], oid_column, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(objectId));
	scan = systable_beginscan(catalog, index, true, fresh ? SnapshotSelf : NULL, 1, key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		switch (classId)
		{
			case TriggerRelationId:
				relid = ((Form_pg_trigger) GETSTRUCT(tuple))->tgrelid;
				break;
			case ConstraintRelationId:
				relid = ((Form_pg_constraint) GETSTRUCT(tuple))->conrelid;
				break;
			case PolicyRelationId:
				relid = ((Form_pg_policy) GETSTRUCT(tuple))->polrelid;
				break;
			default:
				relid = ((Form_pg_rewrite) GETSTRUCT(tuple))->ev_class;
				break;
		}
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return relid;
}

/* fresh: as this command leaves it, else as it was before. False when there is none. */
bool
tz_protected_trigger(Oid trigger, bool fresh, FormData_pg_trigger *out, ItemPointer at)
{
	Relation catalog = table_open(TriggerRelationId, AccessShareLock);
	ScanKeyData key[1];
	SysScanDesc scan;
	HeapTuple tuple;
	bool found;

	ScanKeyInit(&key[0], Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(trigger));
	scan = systable_beginscan(catalog, TriggerOidIndexId, true, fresh ? SnapshotSelf : NULL, 1, key);
	tuple = systable_getnext(scan);
	found = HeapTupleIsValid(tuple);
	if (found)
	{
		memcpy(out, GETSTRUCT(tuple), offsetof(FormData_pg_trigger, tgattr));
		if (at != NULL)
			*at = tuple->t_self;
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return found;
}

/* By name, in our schema: both can be changed by nobody. */
bool
tz_protected_function(Oid function)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc form;
	bool found = false;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_proc) GETSTRUCT(tuple);
	if (form->pronamespace == get_namespace_oid("theazo_internal", true))
	{
		for (int i = 0; guards[i] != NULL && !found; i++)
			found = strcmp(NameStr(form->proname), guards[i]) == 0;
	}
	ReleaseSysCache(tuple);
	return found;
}

bool
tz_protected_schema(Oid schema)
{
	char *name = get_namespace_name(schema);

	return name != NULL && OidIsValid(get_extension_oid("theazo", true)) &&
	       (strcmp(name, "theazo_data") == 0 || strcmp(name, "theazo_internal") == 0);
}
