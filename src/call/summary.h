/*-------------------------------------------------------------------------
 *
 * summary.h
 *	  Bounding and masking what people will read.
 *
 * What that means is decided in SQL (summary_bound, text_mask); here is only
 * decided what these would leave alone, without asking them.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_SUMMARY_H
#define TZ_SUMMARY_H

#include "lib/buf.h"
#include "utils/jsonb.h"

/* As summary_bound(): NULL for nothing, else an object. */
extern Jsonb *tz_summary(Jsonb *summary);

/* May the text hold a key, a token, or a name of one? True also when it is not plain ASCII. */
extern bool tz_text_is_suspicious(TzSlice text);

#endif /* TZ_SUMMARY_H */
