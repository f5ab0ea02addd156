/*-------------------------------------------------------------------------
 *
 * protect.c
 *	  Keeps the definition of the audit tables as it is, for superusers too.
 *
 * The triggers of guard.c refuse what is done to rows. These hooks refuse what
 * would take the triggers away or go around them: dropping, renaming, moving
 * or altering an audit table, its triggers, its keys or a guard function,
 * rules, triggers of others, detaching, truncating. No setting turns them off.
 *
 * An audit table is one in a schema of ours that carries the guard trigger, so
 * that no list of names has to be kept. A statement is judged twice: the
 * utility hook reads what it wants, and admits the few forms that a restore or
 * a database administrator needs; the object-access hook then refuses whatever
 * happens to an audit table that was not admitted, by whatever way it came
 * about, so that a form that nobody thought of is refused as well.
 *
 * What passes: scripts of the extension itself; our own work on partitions,
 * statement by statement (tz_protect_execute); DROP EXTENSION and whatever
 * takes the extension along, which is logged; pg_upgrade, whose servers do not
 * load the library. Catalogs that are written by hand, files and debuggers are
 * out of reach: sealing finds what was done there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/partition.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/bufmgr.h"
#include "tcop/utility.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "audit/protect.h"
#include "pg/compat.h"
#include "pg/errors.h"
#include "pg/shmem.h"

/* What is known of the statement that runs. */
typedef struct ProtectStatement
{
	const char *what; /* its name, for messages */
	bool ours; /* an extension script of ours, or admitted as a whole */
	bool taking; /* may take the extension along, and all its tables with it */
	bool taken; /* something of audit was dropped by it */
	Oid admitted; /* an audit table that it may alter, its partitions included */
	Oid attached; /* a table that it makes a partition of an audit table */
} ProtectStatement;

static ProcessUtility_hook_type previous_utility = NULL;
static object_access_hook_type previous_access = NULL;

static ProtectStatement now; /* of the innermost DDL statement */
static const char *pass = NULL; /* the next statement is ours */

static void protect_utility(PlannedStmt *pstmt, const char *text, bool read_only_tree,
                            ProcessUtilityContext context, ParamListInfo params, QueryEnvironment *env,
                            DestReceiver *dest, QueryCompletion *qc);
static void protect_access(ObjectAccessType access, Oid classId, Oid objectId, int subId, void *arg);
static bool protect_is_ddl(Node *stmt);
static void protect_judge(Node *stmt);
static void protect_judge_alter(AlterTableStmt *stmt);
static bool protect_admits(AlterTableCmd *cmd);
static void protect_judge_create(CreateStmt *stmt);
static void protect_judge_after(void);
static bool protect_attachable(Oid relid);
static void protect_created(Oid classId, Oid objectId, int subId);
static void protect_created_trigger(Oid objectId);
static void protect_dropped(Oid classId, Oid objectId, int subId);
static void protect_altered(Oid classId, Oid objectId);
static bool protect_own_script(void);
static bool protect_admitted(Oid relid);
static bool protect_concerns(Oid relid);
static void protect_keep_off(RangeVar *name);
static void protect_drop_check(Oid relid);
static void protect_log_database(DropdbStmt *stmt);
TZ_NORETURN static void protect_refuse(Oid relid);
TZ_NORETURN static void protect_refuse_named(const char *kind, const char *name);

void
tz_protect_init(void)
{
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = protect_utility;
	previous_access = object_access_hook;
	object_access_hook = protect_access;
}

void
tz_protect_execute(const char *sql)
{
	int code;

	pass = sql;
	PG_TRY();
	{
		code = SPI_execute(sql, false, 0);
	}
	PG_FINALLY();
	{
		pass = NULL;
	}
	PG_END_TRY();
	if (code < 0)
		elog(ERROR, "could not execute \"%s\": %s", sql, SPI_result_code_string(code));
}

static void
protect_utility(PlannedStmt *pstmt, const char *text, bool read_only_tree, ProcessUtilityContext context,
                ParamListInfo params, QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	Node *stmt = pstmt->utilityStmt;
	ProtectStatement before = now;

	if (IsA(stmt, DropdbStmt))
		protect_log_database(castNode(DropdbStmt, stmt));
	if (!protect_is_ddl(stmt))
	{
		(previous_utility ? previous_utility : standard_ProcessUtility)(pstmt, text, read_only_tree, context,
		                                                                params, env, dest, qc);
		return;
	}

	memset(&now, 0, sizeof(now));
	PG_TRY();
	{
		now.what = CreateCommandName(stmt);
		now.ours = pass != NULL || protect_own_script();
		pass = NULL;
		if (!now.ours)
			protect_judge(stmt);
		(previous_utility ? previous_utility : standard_ProcessUtility)(pstmt, text, read_only_tree, context,
		                                                                params, env, dest, qc);
		protect_judge_after();
	}
	PG_FINALLY();
	{
		now = before;
	}
	PG_END_TRY();
}

/* Statements that define things. Everything else passes untouched, and as fast. */
static bool
protect_is_ddl(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_TransactionStmt:
		case T_VariableSetStmt:
		case T_VariableShowStmt:
		case T_PlannedStmt:
		case T_DeclareCursorStmt:
		case T_FetchStmt:
		case T_ClosePortalStmt:
		case T_CopyStmt:
		case T_PrepareStmt:
		case T_ExecuteStmt:
		case T_DeallocateStmt:
		case T_ExplainStmt:
		case T_DoStmt:
		case T_CallStmt:
		case T_LockStmt:
		case T_NotifyStmt:
		case T_ListenStmt:
		case T_UnlistenStmt:
		case T_DiscardStmt:
		case T_CheckPointStmt:
		case T_LoadStmt:
		case T_ConstraintsSetStmt:
		case T_VacuumStmt:
		case T_CreatedbStmt:
		case T_DropdbStmt:
			return false;
		default:
			return true;
	}
}

/* What the statement wants, before it runs. */
static void
protect_judge(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_AlterTableStmt:
			protect_judge_alter(castNode(AlterTableStmt, stmt));
			break;
		case T_AlterTableMoveAllStmt:
			now.ours = true; /* where the files lie is the administrator's */
			break;
		case T_CreateStmt:
			protect_judge_create(castNode(CreateStmt, stmt));
			break;
		case T_RuleStmt:
			protect_keep_off(castNode(RuleStmt, stmt)->relation);
			break;
		case T_CreateTrigStmt:
			/* what replaces a trigger may be weaker, and fires no more for replication */
			if (castNode(CreateTrigStmt, stmt)->replace)
				protect_keep_off(castNode(CreateTrigStmt, stmt)->relation);
			break;
		case T_DropStmt:
			now.taking = castNode(DropStmt, stmt)->removeType == OBJECT_EXTENSION;
			break;
		case T_DropOwnedStmt:
			now.taking = true;
			break;
		case T_AlterExtensionContentsStmt:
		{
			AlterExtensionContentsStmt *alter = castNode(AlterExtensionContentsStmt, stmt);

			/* a table that is no member any more could be dropped, and is missing from every dump */
			if (alter->action < 0 && strcmp(alter->extname, "theazo") == 0 &&
			    OidIsValid(get_extension_oid("theazo", true)))
				protect_refuse_named("extension", "theazo");
			break;
		}
		default:
			break; /* what it does to an audit table is judged when it does it */
	}
}

static void
protect_judge_alter(AlterTableStmt *stmt)
{
	Oid relid = RangeVarGetRelid(stmt->relation, NoLock, true);
	bool ours = protect_concerns(relid);
	ListCell *lc;

	foreach (lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);
		Oid other = InvalidOid;

		if (cmd->subtype == AT_AttachPartition)
			other = RangeVarGetRelid(castNode(PartitionCmd, cmd->def)->name, NoLock, true);
		else if (cmd->subtype == AT_AddInherit)
			other = RangeVarGetRelid(castNode(RangeVar, cmd->def), NoLock, true);
		if (ours && !protect_admits(cmd))
			protect_refuse(relid);
		/* rows under the name of an audit table, or an audit table under another's */
		if (protect_concerns(other) && !(ours && cmd->subtype == AT_AttachPartition))
			protect_refuse(other);
		if (ours && cmd->subtype == AT_AttachPartition)
			now.attached = other;
	}
	if (ours)
		now.admitted = relid;
}

/* What an administrator may do, and what a dump says about a partition. */
static bool
protect_admits(AlterTableCmd *cmd)
{
	switch (cmd->subtype)
	{
		case AT_AttachPartition: /* an empty one: see protect_judge_after */
		case AT_EnableAlwaysTrig:
		case AT_EnableRowSecurity:
		case AT_ForceRowSecurity:
		case AT_ReplicaIdentity:
		case AT_ValidateConstraint:
		case AT_SetStatistics:
		case AT_SetOptions:
		case AT_ResetOptions:
		case AT_SetStorage:
		case AT_SetCompression:
		case AT_SetTableSpace:
		case AT_SetRelOptions:
		case AT_ResetRelOptions:
		case AT_ReplaceRelOptions:
		case AT_ClusterOn:
		case AT_DropCluster:
			return true;
		case AT_AddConstraint:
			return castNode(Constraint, cmd->def)->contype == CONSTR_PRIMARY;
		case AT_ChangeOwner:
		{
			RoleSpec *owner = castNode(RoleSpec, cmd->newowner);

			return owner->roletype == ROLESPEC_CSTRING && strcmp(owner->rolename, "theazo_guard") == 0;
		}
		default:
			return false;
	}
}

/* No children beside the partitions that are attached: their rows would be read as the table's. */
static void
protect_judge_create(CreateStmt *stmt)
{
	ListCell *lc;

	foreach (lc, stmt->inhRelations)
		protect_keep_off(lfirst_node(RangeVar, lc));
}

/* What can only be seen when the statement has run; an error takes it back. */
static void
protect_judge_after(void)
{
	if (now.taken && !now.ours)
	{
		if (OidIsValid(get_extension_oid("theazo", true)))
			protect_refuse_named("extension", "theazo");
		ereport(LOG,
		        errmsg("the audit tables of database \"%s\" were dropped with the extension",
		               get_database_name(MyDatabaseId)),
		        errdetail("By role \"%s\", with %s.", GetUserNameFromId(GetSessionUserId(), true), now.what));
	}
	if (OidIsValid(now.attached) && !now.ours && !protect_attachable(now.attached))
		protect_refuse(now.attached);
}

/*
 * A partition as a dump makes one. Rows that came in by no INSERT would be unknown to the keeper; a table elsewhere
 * is not protected; one that is not logged loses its rows; and triggers and rules of others keep rows out.
 */
static bool
protect_attachable(Oid relid)
{
	Relation rel = table_open(relid, NoLock);
	bool ok = rel->rd_rel->relkind == RELKIND_RELATION &&
	          rel->rd_rel->relnamespace == get_namespace_oid("theazo_data", false) &&
	          rel->rd_rel->relpersistence == RELPERSISTENCE_PERMANENT && !rel->rd_rel->relhasrules &&
	          RelationGetNumberOfBlocks(rel) == 0;

	for (int i = 0; ok && rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
		ok = tz_protected_function(rel->trigdesc->triggers[i].tgfoid);
	table_close(rel, NoLock);
	return ok;
}

static void
protect_access(ObjectAccessType access, Oid classId, Oid objectId, int subId, void *arg)
{
	if (previous_access)
		previous_access(access, classId, objectId, subId, arg);
	if (access == OAT_FUNCTION_EXECUTE || access == OAT_NAMESPACE_SEARCH || now.ours || protect_own_script())
		return;

	switch (access)
	{
		case OAT_POST_CREATE:
			protect_created(classId, objectId, subId);
			break;
		case OAT_DROP:
			protect_dropped(classId, objectId, subId);
			break;
		case OAT_POST_ALTER:
			/* a table that is written anew, by VACUUM FULL or CLUSTER */
			if (arg == NULL || !((ObjectAccessPostAlter *) arg)->is_internal)
				protect_altered(classId, objectId);
			break;
		case OAT_TRUNCATE:
			if (tz_protected(objectId) &&
			    pg_class_aclcheck(objectId, GetUserId(), ACL_TRUNCATE) == ACLCHECK_OK)
				tz_guard_refuse("TRUNCATE", get_rel_name(objectId));
			break;
		default:
			break;
	}
}

static void
protect_created(Oid classId, Oid objectId, int subId)
{
	switch (classId)
	{
		case TriggerRelationId:
			protect_created_trigger(objectId);
			break;
		case RewriteRelationId:
		case PolicyRelationId:
		{
			Oid relid = tz_protected_table_of(classId, objectId, true);

			if (tz_protected(relid))
				protect_refuse(relid);
			break;
		}
		case RelationRelationId:
			if (subId > 0 && tz_protected(objectId))
				protect_refuse(objectId); /* a column */
			break;
		case ProcedureRelationId:
			if (tz_protected_function(objectId))
				protect_refuse_named("function", get_func_name(objectId));
			break;
		default:
			break;
	}
}

/* One of ours, and a new one. */
static void
protect_created_trigger(Oid objectId)
{
	Oid relid = tz_protected_table_of(TriggerRelationId, objectId, true);
	FormData_pg_trigger trigger;
	ItemPointerData before;
	ItemPointerData after;

	if (!tz_protected(relid))
		return;
	/* the first trigger of a table can be seen already */
	if (tz_protected_trigger(objectId, false, &trigger, &before) &&
	    tz_protected_trigger(objectId, true, &trigger, &after) && !ItemPointerEquals(&before, &after))
		protect_refuse(relid);
	/* internal: somebody's foreign key that points here */
	if (!tz_protected_trigger(objectId, true, &trigger, &after) ||
	    (!trigger.tgisinternal && !tz_protected_function(trigger.tgfoid)))
		protect_refuse(relid);
}

static void
protect_dropped(Oid classId, Oid objectId, int subId)
{
	switch (classId)
	{
		case RelationRelationId:
			if (tz_protected(objectId) &&
			    (subId > 0 || get_rel_namespace(objectId) != get_namespace_oid(TZ_ARCHIVE_SCHEMA, true)))
				protect_drop_check(objectId);
			break;
		case TriggerRelationId:
		case ConstraintRelationId:
		case PolicyRelationId:
		{
			Oid relid = tz_protected_table_of(classId, objectId, false);
			FormData_pg_trigger trigger;

			if (classId == TriggerRelationId && tz_protected_trigger(objectId, false, &trigger, NULL) &&
			    trigger.tgisinternal)
				break; /* somebody's foreign key that pointed here */
			if (OidIsValid(relid) && tz_protected(relid) &&
			    get_rel_namespace(relid) != get_namespace_oid(TZ_ARCHIVE_SCHEMA, true))
				protect_drop_check(relid);
			break;
		}
		case ProcedureRelationId:
			if (tz_protected_function(objectId))
			{
				if (!now.taking)
					protect_refuse_named("function", get_func_name(objectId));
				now.taken = true;
			}
			break;
		default:
			break;
	}
}

/* Only with the whole extension, which is seen in the end. */
static void
protect_drop_check(Oid relid)
{
	if (!now.taking)
		protect_refuse(relid);
	now.taken = true;
}

static void
protect_altered(Oid classId, Oid objectId)
{
	switch (classId)
	{
		case RelationRelationId:
			if (tz_protected(objectId) && !protect_admitted(objectId))
				protect_refuse(objectId);
			break;
		case TriggerRelationId:
		case ConstraintRelationId:
		case PolicyRelationId:
		case RewriteRelationId:
		{
			Oid relid = tz_protected_table_of(classId, objectId, false);

			/* a key is called otherwise when its index is */
			if (classId == ConstraintRelationId && OidIsValid(get_constraint_index(objectId)))
				break;
			if (OidIsValid(relid) && tz_protected(relid) && !protect_admitted(relid))
				protect_refuse(relid);
			break;
		}
		case ProcedureRelationId:
			if (tz_protected_function(objectId))
				protect_refuse_named("function", get_func_name(objectId));
			break;
		case NamespaceRelationId:
			if (tz_protected_schema(objectId))
				protect_refuse_named("schema", get_namespace_name(objectId));
			break;
		default:
			break;
	}
}

/* The install and update scripts of this extension, not those of another. */
static bool
protect_own_script(void)
{
	return creating_extension && CurrentExtensionObject == get_extension_oid("theazo", true);
}

static bool
protect_admitted(Oid relid)
{
	return relid == now.admitted || relid == now.attached ||
	       (OidIsValid(now.admitted) && get_rel_relispartition(relid) &&
	        get_partition_parent(relid, true) == now.admitted);
}

/* Refuses if the table of that name is an audit table. */
static void
protect_keep_off(RangeVar *name)
{
	Oid relid = RangeVarGetRelid(name, NoLock, true);

	if (protect_concerns(relid))
		protect_refuse(relid);
}

/* An audit table, and the user may alter it: to everybody else the server says no in its own words. */
static bool
protect_concerns(Oid relid)
{
	return OidIsValid(relid) && tz_protected(relid) && tz_owns_relation(relid, GetUserId());
}

static void
protect_log_database(DropdbStmt *stmt)
{
	Oid dboid = get_database_oid(stmt->dbname, true);
	int dbindex = tz_database_find(dboid);

	if (dbindex >= 0 && tz_shared->database[dbindex].extension == TZ_EXTENSION_PRESENT)
		ereport(LOG, errmsg("database \"%s\" is being dropped with its audit tables", stmt->dbname),
		        errdetail("By role \"%s\".", GetUserNameFromId(GetSessionUserId(), true)));
}

static void
protect_refuse(Oid relid)
{
	ereport(ERROR, errcode(ERRCODE_TZ_EVENT_IMMUTABLE),
	        errmsg("audit table \"%s\" is protected", get_rel_name(relid)),
	        errdetail("%s was refused.", now.what != NULL ? now.what : "The change"),
	        errhint("Audit tables stay as the extension made them; DROP EXTENSION and DROP DATABASE take "
	                "them along. What an administrator may do is listed in docs/audit.md."));
}

static void
protect_refuse_named(const char *kind, const char *name)
{
	ereport(ERROR, errcode(ERRCODE_TZ_EVENT_IMMUTABLE), errmsg("%s \"%s\" is part of the audit", kind, name),
	        errdetail("%s was refused.", now.what != NULL ? now.what : "The change"),
	        errhint("It stays as the extension made it; DROP EXTENSION takes it along."));
}
