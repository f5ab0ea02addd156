/*-------------------------------------------------------------------------
 *
 * flow.h
 *	  An answer that is read while it arrives.
 *
 * Include after postgres.h. Nothing here throws.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_FLOW_H
#define TZ_FLOW_H

#include "adapter/adapter.h"
#include "http/client.h"
#include "stream/stream.h"
#include "lib/mask.h"
#include "safety/window.h"
#include "worker/live.h"

/*
 * Bytes go to the adapter's stream; the text it finds in them goes, masked, to
 * whoever follows the run.
 */
typedef struct TzFlow
{
	const TzAdapter *adapter;
	TzStream *stream;
	TzPen pen;
	TzMaskStream mask;
	TzWindow window; /* judges what was masked */
	TzLive *live; /* where what a command prints goes, borrowed; or NULL */
	TzExtra *extra; /* the platform's patterns, held for the window */
	TzBuf clean; /* masked, on its way into the window */
	TzBuf text; /* masked and judged, of the bytes being read; and what is left of a character cut in two */
	size_t deltas; /* bytes of all kinds the adapter has found in them */
	bool dark; /* nothing more is shown: it may hold what cannot be masked or judged */
	bool guarded; /* something is looked for */
	bool blocked; /* the content filter has ended it */
} TzFlow;

/* NULL when out of memory. pen: taken over; mask: must live as long, NULL for none. */
extern TzFlow *tz_flow_new(const TzAdapter *adapter, const TzEffect *effect, const TzEndpoint *to,
                           const TzMask *mask, const TzPen *pen);
/*
 * What of the text is looked for; before the first byte. Without it nothing is. From a
 * toxicity of hold on (hundredths, 0: none) the rest waits for another's verdict. False:
 * it cannot be looked for, and nothing is shown.
 */
extern bool tz_flow_guard(TzFlow *flow, const char *platform, const char *level, bool pii, int hold);
/* Shows nothing, but reads on. */
extern void tz_flow_dark(TzFlow *flow);
extern bool tz_flow_wants(TzFlow *flow, const TzEffect *effect, const TzHttpResponse *head);
extern TzHttpTaste tz_flow_take(TzFlow *flow, TzSlice bytes, size_t *kept);
/* The answer is over: in place of the adapter's parse. */
extern void tz_flow_end(TzFlow *flow, const TzEffect *effect, const TzHttpResponse *res, TzOutcome *out);
extern void tz_flow_free(TzFlow *flow);

#endif /* TZ_FLOW_H */
