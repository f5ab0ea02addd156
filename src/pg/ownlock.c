/*-------------------------------------------------------------------------
 *
 * ownlock.c
 *	  Locks on names, held to the end of the transaction.
 *
 * What PostgreSQL offers for that, advisory locks, anybody who is connected can
 * take: pg_locks shows their numbers, so a role without any right could hold up
 * the work of everybody. These are in a class that its functions do not reach.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/lock.h"

#include "pg/convert.h"
#include "pg/export.h"

#define OWN_CLASS 0x7A65 /* the functions of PostgreSQL use 1 and 2 */

/* theazo_internal.own_lock(what, name, wait): true when this transaction has it; false only without waiting */
THEAZO_FUNCTION(theazo_own_lock)
{
	TzSlice what = tz_datum_slice(PG_GETARG_DATUM(0));
	TzSlice name = tz_datum_slice(PG_GETARG_DATUM(1));
	uint64 seed = hash_bytes_extended((const unsigned char *) what.data, (int) what.len, 0);
	uint64 hash = hash_bytes_extended((const unsigned char *) name.data, (int) name.len, seed);
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (hash >> 32), (uint32) hash, OWN_CLASS);
	PG_RETURN_BOOL(LockAcquire(&tag, ExclusiveLock, false, !PG_GETARG_BOOL(2)) != LOCKACQUIRE_NOT_AVAIL);
}
