/*-------------------------------------------------------------------------
 *
 * member.c
 *	  Membership in the extension moves from one table to another.
 *
 * A default partition that holds rows becomes the partition of a span, and an
 * empty table takes its place. pg_dump must then carry the old one like any
 * table and expect the new one from the install script. ALTER EXTENSION could
 * say so, but only a superuser may run it, and only an install script may
 * register a table for dumps. So the swap is made here, and for default
 * partitions of our own tables only.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "pg/export.h"

static void config_replace(Oid extension, Oid old_table, Oid new_table);
static void member_move(Oid class_oid, Oid old_object, Oid new_object, Oid extension);
static void table_check(Oid table, Oid data_schema);

/*
 * theazo_internal.partition_member_swap(old regclass, new regclass): both are
 * partitions of one parent in theazo_data that the caller owns; old is a member
 * of the extension, new becomes one in its place.
 */
THEAZO_FUNCTION(theazo_partition_member_swap)
{
	Oid old_table = PG_GETARG_OID(0);
	Oid new_table = PG_GETARG_OID(1);
	Oid extension = get_extension_oid("theazo", false);
	Oid data_schema = get_namespace_oid("theazo_data", false);
	Oid old_type = get_rel_type_id(old_table);
	Oid new_type = get_rel_type_id(new_table);

	table_check(old_table, data_schema);
	table_check(new_table, data_schema);
	if (get_partition_parent(old_table, false) != get_partition_parent(new_table, false))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		        errmsg("\"%s\" and \"%s\" are not partitions of one table", get_rel_name(old_table),
		               get_rel_name(new_table)));
	if (getExtensionOfObject(RelationRelationId, old_table) != extension)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		        errmsg("\"%s\" is not a member of the extension", get_rel_name(old_table)));

	member_move(RelationRelationId, old_table, new_table, extension);
	/* The row type and its array are members as well, and would keep the table from being dropped. */
	member_move(TypeRelationId, old_type, new_type, extension);
	member_move(TypeRelationId, get_array_type(old_type), get_array_type(new_type), extension);
	removeExtObjInitPriv(old_table, RelationRelationId);
	config_replace(extension, old_table, new_table);
	PG_RETURN_VOID();
}

/* Where the old object is a member, the new one becomes it instead. */
static void
member_move(Oid class_oid, Oid old_object, Oid new_object, Oid extension)
{
	ObjectAddress member;
	ObjectAddress owner;
	long were;

	were = deleteDependencyRecordsForClass(class_oid, old_object, ExtensionRelationId, DEPENDENCY_EXTENSION);
	if (were == 0)
		return;
	/* Made while no extension script runs, so nobody has recorded it yet. */
	ObjectAddressSet(member, class_oid, new_object);
	ObjectAddressSet(owner, ExtensionRelationId, extension);
	recordDependencyOn(&member, &owner, DEPENDENCY_EXTENSION);
}

/* A table of ours that the caller owns, and a partition. */
static void
table_check(Oid table, Oid data_schema)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
	Form_pg_class form;
	bool ours;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_TABLE), errmsg("table %u does not exist", table));
	form = (Form_pg_class) GETSTRUCT(tuple);
	ours = form->relnamespace == data_schema && form->relispartition && form->relkind == RELKIND_RELATION &&
	       has_privs_of_role(GetUserId(), form->relowner);
	ReleaseSysCache(tuple);
	if (!ours)
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
		        errmsg("\"%s\" is not a partition of yours", get_rel_name(table)));
}

/* pg_extension.extconfig: the new table stands where the old one stood. Conditions stay as they are. */
static void
config_replace(Oid extension, Oid old_table, Oid new_table)
{
	Relation catalog = table_open(ExtensionRelationId, RowExclusiveLock);
	ScanKeyData key[1];
	SysScanDesc scan;
	HeapTuple tuple;
	Datum config;
	bool isnull;

	ScanKeyInit(&key[0], Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(extension));
	scan = systable_beginscan(catalog, ExtensionOidIndexId, true, NULL, 1, key);
	tuple = systable_getnext(scan);
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "could not find extension %u", extension);
	config = heap_getattr(tuple, Anum_pg_extension_extconfig, RelationGetDescr(catalog), &isnull);
	if (!isnull)
	{
		Datum *oids;
		int n;
		Datum values[Natts_pg_extension] = {0};
		bool nulls[Natts_pg_extension] = {0};
		bool replaces[Natts_pg_extension] = {0};

		deconstruct_array(DatumGetArrayTypeP(config), OIDOID, sizeof(Oid), true, TYPALIGN_INT, &oids, NULL,
		                  &n);
		for (int i = 0; i < n; i++)
			if (DatumGetObjectId(oids[i]) == old_table)
				oids[i] = ObjectIdGetDatum(new_table);
		values[Anum_pg_extension_extconfig - 1] =
			PointerGetDatum(construct_array(oids, n, OIDOID, sizeof(Oid), true, TYPALIGN_INT));
		replaces[Anum_pg_extension_extconfig - 1] = true;
		tuple = heap_modify_tuple(tuple, RelationGetDescr(catalog), values, nulls, replaces);
		CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
	}
	systable_endscan(scan);
	table_close(catalog, RowExclusiveLock);
}
