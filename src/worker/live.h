/*-------------------------------------------------------------------------
 *
 * live.h
 *	  What a command prints, shown while it runs.
 *
 * Include after postgres.h. Nothing here throws.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_LIVE_H
#define TZ_LIVE_H

#include "lib/jansson.h"
#include "lib/mask.h"
#include "stream/stream.h"

typedef enum TzLiveChannel
{
	TZ_LIVE_STDOUT,
	TZ_LIVE_STDERR
} TzLiveChannel;

#define TZ_LIVE_CHANNELS 2

typedef struct TzLive TzLive;

/*
 * pens: taken over, one a channel. mask: must live as long, NULL for none. nonce: of the records that are
 * taken out. max: bytes of a channel that are shown. NULL when out of memory.
 */
extern TzLive *tz_live_new(const TzPen *pens, const TzMask *mask, TzSlice nonce, size_t max);
/* Any bytes. What is shown, joined, is what stands in the finished output. */
extern void tz_live_feed(TzLive *live, TzLiveChannel channel, TzSlice bytes);
/* What was held back. cut: the output ended before its end, so the beginning of a secret there is masked. */
extern void tz_live_end(TzLive *live, bool cut);
/* Records that were printed and not taken yet: to be changed and given back by the caller. NULL: there are none. */
extern json_t *tz_live_take_records(TzLive *live);
extern bool tz_live_has_records(const TzLive *live);
/* How many were taken so far. */
extern int tz_live_records_taken(const TzLive *live);
/* Shows nothing any more. */
extern void tz_live_dark(TzLive *live);
extern void tz_live_free(TzLive *live);

#endif /* TZ_LIVE_H */
