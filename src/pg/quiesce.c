/*-------------------------------------------------------------------------
 *
 * quiesce.c
 *	  Workers step aside for statements that need a database to themselves.
 *
 * DROP DATABASE, ALTER DATABASE RENAME and SET TABLESPACE, and CREATE DATABASE
 * with the database as template fail while anybody is connected, a worker of
 * ours included. DROP EXTENSION and ALTER EXTENSION UPDATE lock every table
 * the workers use. Before such a statement runs, a flag keeps the launcher from
 * starting workers there and those who run are asked to leave; the end of the
 * transaction, however it ends, lets them return. Only who may run the statement
 * gets that far: otherwise anybody could stop the workers.
 *
 * The hook also tells the launcher, at commit, that the extension or a database
 * came or went.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/latch.h"
#include "tcop/utility.h"
#include "utils/syscache.h"

#include "pg/compat.h"
#include "pg/quiesce.h"
#include "pg/shmem.h"
#include "pg/wake.h"

#define PATIENCE_MS 5000
#define HELD_MAX 8 /* statements of one transaction; more share the fate of waiting */

static ProcessUtility_hook_type previous_utility = NULL;
static object_access_hook_type previous_access = NULL;

/* Databases this transaction keeps free of workers. */
static Oid held[HELD_MAX];
static int nheld = 0;

static void quiesce_utility(PlannedStmt *pstmt, const char *queryString, bool readOnlyTree,
                            ProcessUtilityContext context, ParamListInfo params, QueryEnvironment *queryEnv,
                            DestReceiver *dest, QueryCompletion *qc);
static void quiesce_access(ObjectAccessType access, Oid classId, Oid objectId, int subId, void *arg);
static void quiesce_xact_callback(XactEvent event, void *arg);
static void quiesce_announce(Node *stmt);
static Oid quiesce_target(Node *stmt);
static Oid quiesce_template(CreatedbStmt *stmt);
static bool quiesce_owns(const char *dbname, Oid *dboid);
static bool quiesce_names_us(DropStmt *stmt);
static void quiesce_database(Oid dboid);
static bool quiesce_signal(int dbindex, bool cancel);

void
tz_quiesce_init(void)
{
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = quiesce_utility;
	previous_access = object_access_hook;
	object_access_hook = quiesce_access;
	RegisterXactCallback(quiesce_xact_callback, NULL);
}

static void
quiesce_utility(PlannedStmt *pstmt, const char *queryString, bool readOnlyTree, ProcessUtilityContext context,
                ParamListInfo params, QueryEnvironment *queryEnv, DestReceiver *dest, QueryCompletion *qc)
{
	Node *stmt = pstmt->utilityStmt;

	if (tz_shared != NULL)
	{
		Oid target = quiesce_target(stmt);

		if (OidIsValid(target))
			quiesce_database(target);
		quiesce_announce(stmt);
	}
	(previous_utility ? previous_utility : standard_ProcessUtility)(pstmt, queryString, readOnlyTree, context,
	                                                                params, queryEnv, dest, qc);
}

/* What the launcher, or the workers, shall hear of when this statement has committed. */
static void
quiesce_announce(Node *stmt)
{
	int dbindex;

	if (IsA(stmt, CreatedbStmt) || IsA(stmt, DropdbStmt) || IsA(stmt, AlterDatabaseStmt) ||
	    (IsA(stmt, RenameStmt) && castNode(RenameStmt, stmt)->renameType == OBJECT_DATABASE))
		tz_wake_at_commit(TZ_WAKE_RESCAN);
	if (!IsA(stmt, TransactionStmt) || castNode(TransactionStmt, stmt)->kind != TRANS_STMT_COMMIT_PREPARED)
		return;

	/* who prepared it is gone with its wake-ups; what it did is unknown here */
	tz_wake_at_commit(TZ_WAKE_DISPATCHERS | TZ_WAKE_CANCEL | TZ_WAKE_KEEPER | TZ_WAKE_SEAL);
	dbindex = tz_database_find(MyDatabaseId);
	if (dbindex >= 0 && tz_shared->database[dbindex].extension == TZ_EXTENSION_ABSENT)
		tz_wake_at_commit(TZ_WAKE_EXTENSION);
}

/* CREATE, ALTER and DROP EXTENSION theazo, by whatever way they came about. */
static void
quiesce_access(ObjectAccessType access, Oid classId, Oid objectId, int subId, void *arg)
{
	if (previous_access)
		previous_access(access, classId, objectId, subId, arg);
	if (classId != ExtensionRelationId || tz_shared == NULL)
		return;

	/* which extension is not asked: its row may not be visible yet, and a needless look costs little */
	if (access == OAT_POST_CREATE || access == OAT_POST_ALTER || access == OAT_DROP)
		tz_wake_at_commit(TZ_WAKE_EXTENSION);
}

/* Which database must be free of workers for this statement; InvalidOid for none. */
static Oid
quiesce_target(Node *stmt)
{
	Oid dboid = InvalidOid;

	switch (nodeTag(stmt))
	{
		case T_DropdbStmt:
			return quiesce_owns(((DropdbStmt *) stmt)->dbname, &dboid) ? dboid : InvalidOid;
		case T_RenameStmt:
			if (((RenameStmt *) stmt)->renameType != OBJECT_DATABASE)
				return InvalidOid;
			return quiesce_owns(((RenameStmt *) stmt)->subname, &dboid) ? dboid : InvalidOid;
		case T_AlterDatabaseStmt:
		{
			AlterDatabaseStmt *alter = (AlterDatabaseStmt *) stmt;
			ListCell *lc;

			foreach (lc, alter->options)
				if (strcmp(((DefElem *) lfirst(lc))->defname, "tablespace") == 0)
					return quiesce_owns(alter->dbname, &dboid) ? dboid : InvalidOid;
			return InvalidOid;
		}
		case T_CreatedbStmt:
			return quiesce_template((CreatedbStmt *) stmt);
		case T_DropStmt:
			return quiesce_names_us((DropStmt *) stmt) ? MyDatabaseId : InvalidOid;
		case T_AlterExtensionStmt:
			if (strcmp(((AlterExtensionStmt *) stmt)->extname, "theazo") != 0)
				return InvalidOid;
			dboid = get_extension_oid("theazo", true);
			return OidIsValid(dboid) && tz_owns_extension(dboid, GetUserId()) ? MyDatabaseId : InvalidOid;
		default:
			return InvalidOid;
	}
}

/* The template of CREATE DATABASE, if the user may copy it. */
static Oid
quiesce_template(CreatedbStmt *stmt)
{
	const char *name = "template1";
	ListCell *lc;
	Oid dboid = InvalidOid;
	HeapTuple tuple;
	bool may_create;
	bool is_template;

	foreach (lc, stmt->options)
	{
		DefElem *option = lfirst(lc);

		if (strcmp(option->defname, "template") == 0 && option->arg != NULL)
			name = defGetString(option);
	}
	if (quiesce_owns(name, &dboid))
		return dboid;
	if (!OidIsValid(dboid))
		return InvalidOid;
	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	may_create = ((Form_pg_authid) GETSTRUCT(tuple))->rolcreatedb;
	ReleaseSysCache(tuple);
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(dboid));
	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	is_template = ((Form_pg_database) GETSTRUCT(tuple))->datistemplate;
	ReleaseSysCache(tuple);
	return may_create && is_template ? dboid : InvalidOid;
}

static bool
quiesce_owns(const char *dbname, Oid *dboid)
{
	*dboid = get_database_oid(dbname, true);
	return OidIsValid(*dboid) && tz_owns_database(*dboid, GetUserId());
}

static bool
quiesce_names_us(DropStmt *stmt)
{
	ListCell *lc;

	if (stmt->removeType != OBJECT_EXTENSION)
		return false;
	foreach (lc, stmt->objects)
	{
		if (strcmp(strVal(lfirst(lc)), "theazo") == 0)
		{
			Oid extension = get_extension_oid("theazo", true);

			return OidIsValid(extension) && tz_owns_extension(extension, GetUserId());
		}
	}
	return false;
}

/*
 * Raises the flag and waits until every place of the database is empty, for a
 * bounded time: the statement itself then says what is in its way.
 */
static void
quiesce_database(Oid dboid)
{
	int dbindex = tz_database_find(dboid);
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), PATIENCE_MS);

	if (dbindex < 0)
		return;
	for (int i = 0; i < nheld; i++)
		if (held[i] == dboid)
			return;
	if (nheld == HELD_MAX)
		return;
	LWLockAcquire(tz_shared->lock, LW_EXCLUSIVE);
	if (pg_atomic_read_u32(&tz_shared->database[dbindex].dboid) == dboid)
	{
		pg_atomic_fetch_add_u32(&tz_shared->database[dbindex].quiesce, 1);
		held[nheld++] = dboid;
	}
	LWLockRelease(tz_shared->lock);

	for (int round = 1; quiesce_signal(dbindex, round % 50 == 0); round++)
	{
		if (GetCurrentTimestamp() >= until)
			break;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 20, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/* Asks whoever is left to leave, and cancels what it is busy with; false when nobody is left. */
static bool
quiesce_signal(int dbindex, bool cancel)
{
	bool left = false;

	LWLockAcquire(tz_shared->lock, LW_SHARED);
	for (int i = 0; i < tz_slots_per_database(); i++)
	{
		TzWorkerSlot *slot = tz_slot_at(dbindex, i);

		if (slot->phase == TZ_SLOT_FREE)
			continue;
		left = true;
		if (slot->phase != TZ_SLOT_RUNNING)
			continue;
		SetLatch(&ProcGlobal->allProcs[slot->procno].procLatch);
		if (cancel)
			kill(slot->pid, SIGINT);
	}
	LWLockRelease(tz_shared->lock);
	return left;
}

/* However the transaction ended, the workers may return. */
static void
quiesce_xact_callback(XactEvent event, void *arg)
{
	int n = nheld;

	(void) arg;
	if (n == 0 || (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE))
		return;
	nheld = 0;
	/* whether the database is still there is the first thing the launcher shall look at */
	pg_atomic_write_u32(&tz_shared->rescan, 1);
	for (int i = 0; i < n; i++)
	{
		int dbindex = tz_database_find(held[i]);

		if (dbindex >= 0)
			pg_atomic_fetch_sub_u32(&tz_shared->database[dbindex].quiesce, 1);
	}
	tz_wake_launcher();
}
