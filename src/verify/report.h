/*-------------------------------------------------------------------------
 *
 * report.h
 *	  A finding in words, or as one JSON object.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_VERIFY_REPORT_H
#define TZ_VERIFY_REPORT_H

#include "verify/judge.h"

extern TzStatus tz_report_text(const TzFinding *finding, const char *file, TzBuf *out);
extern TzStatus tz_report_json(const TzFinding *finding, const char *file, TzBuf *out);

#endif /* TZ_VERIFY_REPORT_H */
