/*-------------------------------------------------------------------------
 *
 * objects.h
 *	  The extension's objects in this database, held against what this library takes them for.
 *
 * Tables are written by position and rows of our functions are taken apart by
 * position, so what somebody altered by hand, or an update left half done, must
 * be found before it is used. That is the operator's to mend: TZ106.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_OBJECTS_H
#define TZ_OBJECTS_H

#include "access/tupdesc.h"
#include "fmgr.h"
#include "pg/compat.h"

/* Throws; the format says what is not as it should be, as a sentence. */
extern TZ_NORETURN void tz_objects_differ(const char *fmt, ...) pg_attribute_printf(1, 2);

/* The row type a function of ours is declared to return, blessed. */
extern TupleDesc tz_result_desc(FunctionCallInfo fcinfo);

/* Throws where the function is declared with fewer arguments, as an older version's would be: there is nothing to read. */
extern void tz_args_expect(FunctionCallInfo fcinfo, int n);

#endif /* TZ_OBJECTS_H */
