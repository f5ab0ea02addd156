/*-------------------------------------------------------------------------
 *
 * protect.h
 *	  Keeps the definition of the audit tables as it is, for superusers too.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_PROTECT_H
#define TZ_PROTECT_H

#include "catalog/pg_trigger.h"
#include "pg/compat.h"
#include "storage/itemptr.h"

#define TZ_ARCHIVE_SCHEMA "theazo_archive" /* segments of events that were exported: may be dropped */

/* Installs the hooks. */
extern void tz_protect_init(void);

/*
 * Runs one statement of ours, by SPI, that the hooks refuse to everybody else.
 * Only from C that makes the whole statement itself: nothing a caller can
 * choose may widen what it does. What runs within it (event triggers) is
 * judged like any other statement.
 */
extern void tz_protect_execute(const char *sql);

/* Does this table carry the guard of the audit tables? */
extern bool tz_protected(Oid relid);

/* Is this function, or schema, part of the protection? */
extern bool tz_protected_function(Oid function);
extern bool tz_protected_schema(Oid schema);

/*
 * The table that a trigger, constraint, policy or rule belongs to; InvalidOid
 * for none. fresh: as this command leaves it, else as it was before.
 */
extern Oid tz_protected_table_of(Oid classId, Oid objectId, bool fresh);

/* Reads the fixed fields of a trigger; at (may be NULL) gets where its row lies. False when there is none. */
extern bool tz_protected_trigger(Oid trigger, bool fresh, FormData_pg_trigger *out, ItemPointer at);

/* Says that rows of an audit table are never changed. */
TZ_NORETURN extern void tz_guard_refuse(const char *what, const char *table);

#endif /* TZ_PROTECT_H */
