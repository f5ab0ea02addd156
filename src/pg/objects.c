/*-------------------------------------------------------------------------
 *
 * objects.c
 *	  The extension's objects in this database, held against what this library takes them for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/lsyscache.h"

#include "pg/errors.h"
#include "pg/objects.h"

void
tz_objects_differ(const char *fmt, ...)
{
	char detail[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(detail, sizeof(detail), fmt, args);
	va_end(args);
	ereport(ERROR, errcode(ERRCODE_TZ_VERSION_MISMATCH),
	        errmsg("the extension's objects in this database are not what the theazo library expects"),
	        errdetail_internal("%s", detail),
	        errhint("Undo what was altered by hand, or run ALTER EXTENSION theazo UPDATE."));
	pg_unreachable();
}

TupleDesc
tz_result_desc(FunctionCallInfo fcinfo)
{
	TupleDesc desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		tz_objects_differ("Function \"%s\" does not return a row.", get_func_name(fcinfo->flinfo->fn_oid));
	return BlessTupleDesc(desc);
}

void
tz_args_expect(FunctionCallInfo fcinfo, int n)
{
	if (PG_NARGS() < n)
		tz_objects_differ("Function \"%s\" is declared with %d arguments, not %d.",
		                  get_func_name(fcinfo->flinfo->fn_oid), PG_NARGS(), n);
}
