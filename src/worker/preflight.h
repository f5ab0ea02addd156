/*-------------------------------------------------------------------------
 *
 * preflight.h
 *	  What this machine offers for sandboxes and programs of agents, as a document.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_PREFLIGHT_H
#define TZ_PREFLIGHT_H

#include "sandbox/box.h"

/* JSON, palloc'ed: what was found of boxes, and what is found of the runner now, which takes a moment. */
extern char *tz_preflight_text(const TzBoxPreflight *pf);

#endif /* TZ_PREFLIGHT_H */
