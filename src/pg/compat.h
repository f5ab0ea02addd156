/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Every difference between server versions 15 to 18, in one place.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_COMPAT_H
#define TZ_COMPAT_H

#include "access/tableam.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/wait_event.h"


/* 17: wait event sets belong to a ResourceOwner (NULL: until freed); before, to a memory context. */
#if PG_VERSION_NUM >= 170000
#define tz_wait_set_create(nevents) CreateWaitEventSet(NULL, (nevents))
#else
#define tz_wait_set_create(nevents) CreateWaitEventSet(TopMemoryContext, (nevents))
#endif

/* 17: extensions name their wait events. */
#if PG_VERSION_NUM >= 170000
#define tz_wait_event_new(name) WaitEventExtensionNew(name)
#else
#define tz_wait_event_new(name) PG_WAIT_EXTENSION
#endif

/* 17: a process's number left PGPROC. */
#if PG_VERSION_NUM >= 170000
#define tz_my_procno() ((int) MyProcNumber)
#else
#define tz_my_procno() ((int) MyProc->pgprocno)
#endif

/* 16: one ownership check for every kind of object. */
#if PG_VERSION_NUM >= 160000
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#define tz_owns_database(oid, role) object_ownercheck(DatabaseRelationId, (oid), (role))
#define tz_owns_extension(oid, role) object_ownercheck(ExtensionRelationId, (oid), (role))
#define tz_owns_relation(oid, role) object_ownercheck(RelationRelationId, (oid), (role))
#else
#define tz_owns_database(oid, role) pg_database_ownercheck((oid), (role))
#define tz_owns_extension(oid, role) pg_extension_ownercheck((oid), (role))
#define tz_owns_relation(oid, role) pg_class_ownercheck((oid), (role))
#endif

/* 16: values of settings' check hooks are guc_malloc'ed; before, malloc'ed. */
#if PG_VERSION_NUM >= 160000
#define tz_guc_malloc(size) guc_malloc(LOG, (size))
#define tz_guc_free(p) guc_free(p)
#else
#define tz_guc_malloc(size) malloc(size)
#define tz_guc_free(p) free(p)
#endif

/* 16: variable-length macros have a header of their own. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* 16: an update may leave index entries to summarizing indexes alone. */
#if PG_VERSION_NUM >= 160000
typedef TU_UpdateIndexes TzUpdateIndexes;
#define TZ_UPDATE_NO_INDEXES TU_None
#define tz_exec_insert_index_tuples(info, slot, estate) \
	ExecInsertIndexTuples((info), (slot), (estate), false, false, NULL, NIL, false)
#define tz_exec_update_index_tuples(info, slot, estate, which) \
	ExecInsertIndexTuples((info), (slot), (estate), true, false, NULL, NIL, (which) == TU_Summarizing)
#else
typedef bool TzUpdateIndexes;
#define TZ_UPDATE_NO_INDEXES false
#define tz_exec_insert_index_tuples(info, slot, estate) \
	ExecInsertIndexTuples((info), (slot), (estate), false, false, NULL, NIL)
#define tz_exec_update_index_tuples(info, slot, estate, which) \
	ExecInsertIndexTuples((info), (slot), (estate), true, false, NULL, NIL)
#endif

/* 18: scans of an index can be counted for EXPLAIN; a primary key may be deferrable. */
#if PG_VERSION_NUM >= 180000
#define tz_index_beginscan(table, index, snapshot, nkeys) \
	index_beginscan((table), (index), (snapshot), NULL, (nkeys), 0)
#define tz_primary_key(table) RelationGetPrimaryKeyIndex((table), false)
#else
#define tz_index_beginscan(table, index, snapshot, nkeys) \
	index_beginscan((table), (index), (snapshot), (nkeys), 0)
#define tz_primary_key(table) RelationGetPrimaryKeyIndex(table)
#endif

/* 18: the module says who it is. */
#ifdef PG_MODULE_MAGIC_EXT
#define TZ_MODULE_MAGIC PG_MODULE_MAGIC_EXT(.name = "theazo", .version = THEAZO_VERSION)
#else
#define TZ_MODULE_MAGIC PG_MODULE_MAGIC
#endif

/* 18: pg_noreturn goes in front, pg_attribute_noreturn() is gone. */
#ifdef pg_noreturn
#define TZ_NORETURN pg_noreturn
#else
#define TZ_NORETURN __attribute__((noreturn))
#endif

/* 18: ExecutorRun lost execute_once. */
#if PG_VERSION_NUM >= 180000
#define TZ_EXECUTOR_RUN_PARAMS QueryDesc *query, ScanDirection direction, uint64 count
#define TZ_EXECUTOR_RUN_ARGS query, direction, count
#else
#define TZ_EXECUTOR_RUN_PARAMS QueryDesc *query, ScanDirection direction, uint64 count, bool execute_once
#define TZ_EXECUTOR_RUN_ARGS query, direction, count, execute_once
#endif

#endif /* TZ_COMPAT_H */
