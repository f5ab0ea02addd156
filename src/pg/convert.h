/*-------------------------------------------------------------------------
 *
 * convert.h
 *	  Between slices and datums, and from a TzErr to ereport().
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_CONVERT_H
#define TZ_CONVERT_H

#include "fmgr.h"
#include "lib/buf.h"
#include "pg/compat.h"

/* Microseconds since 1970 of a TimestampTz. Include utils/timestamp.h. */
#define TZ_UNIX_US(at) ((int64) (at) + (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

/* Throws what err says, with the SQLSTATE of its status (or the one given). Never returns. */
extern TZ_NORETURN void tz_throw(const TzErr *err);
extern TZ_NORETURN void tz_throw_as(int sqlstate, const TzErr *err);

/* Throws unless status is TZ_OK. */
static inline void
tz_check(TzStatus status, const TzErr *err)
{
	if (status != TZ_OK)
		tz_throw(err);
}

/* text or bytea datums of bytes, palloc'ed. */
extern Datum tz_text_datum(TzSlice bytes);
extern Datum tz_bytea_datum(TzSlice bytes);
/* Bytes of a text or bytea datum: detoasted in the current context if need be. */
extern TzSlice tz_datum_slice(Datum varlena);
/* jsonb from JSON text; throws 22P02 when it is none. */
extern Datum tz_jsonb_datum(TzSlice json);

#endif /* TZ_CONVERT_H */
