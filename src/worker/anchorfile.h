/*-------------------------------------------------------------------------
 *
 * anchorfile.h
 *	  An anchor as a line of a file outside the data directory.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_ANCHORFILE_H
#define TZ_ANCHORFILE_H

#include "adapter/adapter.h"

/*
 * Appends the line of the effect's round to the file that the anchor's configuration names,
 * durably, unless it is there. Never throws: what goes wrong is the outcome.
 */
extern void tz_anchor_file(const TzEffect *effect, const TzEndpoint *to, TzOutcome *out);

#endif /* TZ_ANCHORFILE_H */
