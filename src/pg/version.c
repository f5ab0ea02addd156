/*-------------------------------------------------------------------------
 *
 * version.c
 *	  The library's version, for SQL to compare with that of its objects.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pg/export.h"
#include "utils/builtins.h"

/* theazo_internal.library_version() */
THEAZO_FUNCTION(theazo_library_version)
{
	PG_RETURN_TEXT_P(cstring_to_text(THEAZO_VERSION));
}
