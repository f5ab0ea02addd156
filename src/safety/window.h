/*-------------------------------------------------------------------------
 *
 * window.h
 *	  A text that is judged while it arrives: nothing leaves before what stands
 *	  around it was read.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_WINDOW_H
#define TZ_WINDOW_H

#include "safety/guard.h"

/* Bytes at the end that stay back: more than a window of the model, any rule or any personal data reaches, and a word. What a rule does not see is not counted. */
#define TZ_WINDOW_HELD 512
/* A word of up to so many bytes is looked at when it has ended. */
#define TZ_WINDOW_WORD 64
/* How many more have to be there before it is looked at again. */
#define TZ_WINDOW_STEP 128

typedef struct TzWindow
{
	TzScorer *scorer;
	const TzExtra *extra; /* must live as long */
	TzGuard guard;
	TzEvidence evidence;
	TzBuf text; /* what was given out and is still context, then what is held */
	size_t given; /* bytes of context */
	size_t looked; /* bytes that were there when it was looked at last */
	bool blocked; /* nothing more comes out */
	bool held; /* nothing more comes out, though it is read on: somebody else has to judge it */
} TzWindow;

extern void tz_window_init(TzWindow *w, TzScorer *scorer, const TzExtra *extra, const TzGuard *guard);
/* Appends to out what may be shown. TZ_REFUSED: it was judged and nothing more is shown; any other failure means the same. */
extern TzStatus tz_window_feed(TzWindow *w, TzSlice piece, TzBuf *out);
/* Appends the rest. */
extern TzStatus tz_window_end(TzWindow *w, TzBuf *out);
extern void tz_window_free(TzWindow *w);

#endif /* TZ_WINDOW_H */
