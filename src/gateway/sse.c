/*-------------------------------------------------------------------------
 *
 * sse.c
 *	  Streams of events to a client.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "gateway/sse.h"

void
tz_sse_begin(TzRequest *r, Jsonb *what)
{
	(void) r;
	(void) what;
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("streams are not served by this version"),
	                errhint("Follow with theazo.run_follow() and theazo.audit_follow().")));
}
