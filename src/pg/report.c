/*-------------------------------------------------------------------------
 *
 * report.c
 *	  From a TzErr of the layers below to an error of the server.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pg/report.h"

void
tz_report(int sqlstate, const TzErr *err)
{
	ereport(ERROR,
			errcode(err->status == TZ_NOMEM ? ERRCODE_OUT_OF_MEMORY : sqlstate),
			errmsg("%s", err->message[0] != '\0' ? err->message : tz_status_name(err->status)),
			err->detail[0] != '\0' ? errdetail("%s", err->detail) : 0,
			err->hint[0] != '\0' ? errhint("%s", err->hint) : 0);
	pg_unreachable();
}

TzSlice
tz_slice_datum(struct varlena *v)
{
	return tz_slice(VARDATA_ANY(v), VARSIZE_ANY_EXHDR(v));
}
