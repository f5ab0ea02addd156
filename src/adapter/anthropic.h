/*-------------------------------------------------------------------------
 *
 * anthropic.h
 *	  Private to the two files of the Anthropic adapter.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_ADAPTER_ANTHROPIC_H
#define TZ_ADAPTER_ANTHROPIC_H

#include "adapter/model.h"

/* The block that is being streamed; they come one after the other. */
typedef struct TzAnthropicStream
{
	json_t *block; /* as it started; NULL between blocks */
	int64_t index;
	int call; /* its place among the tool calls, or -1 */
	bool changed; /* pieces came for it */
	TzBuf start; /* its bytes at the start */
	TzBuf text; /* text or thinking */
	TzBuf input; /* of a server's own tool */
	TzBuf signature;
	json_t *citations;
	json_t *usage; /* merged over the stream */
} TzAnthropicStream;

extern TzStatus tz_anthropic_event(TzStream *st, TzSlice data, json_t *doc);
extern void tz_anthropic_finish(TzStream *st);
extern void tz_anthropic_release(void *own);

/* One block, whole: raw goes into the history. call: its tool call, or NULL. */
extern void tz_anthropic_block(TzModelAnswer *a, json_t *block, TzSlice raw, TzModelCall *call);
extern void tz_anthropic_stop(TzModelAnswer *a, json_t *doc);
extern void tz_anthropic_usage(TzModelAnswer *a, json_t *usage);
extern void tz_anthropic_wire(TzModelAnswer *a);

#endif /* TZ_ADAPTER_ANTHROPIC_H */
