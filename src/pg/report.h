/*-------------------------------------------------------------------------
 *
 * report.h
 *	  From a TzErr of the layers below to an error of the server.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_REPORT_H
#define TZ_REPORT_H

#include "lib/buf.h"
#include "pg/compat.h"

/* Raises err with this SQLSTATE. */
extern TZ_NORETURN void tz_report(int sqlstate, const TzErr *err);

/* Bytes of a detoasted text or bytea argument; borrowed. */
extern TzSlice tz_slice_datum(struct varlena *v);

#endif							/* TZ_REPORT_H */
