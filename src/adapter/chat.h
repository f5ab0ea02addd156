/*-------------------------------------------------------------------------
 *
 * chat.h
 *	  Private to the files of Chat Completions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_ADAPTER_CHAT_H
#define TZ_ADAPTER_CHAT_H

#include "adapter/model.h"

typedef struct TzChatStream
{
	bool content; /* any came, even an empty one */
	json_t *details; /* reasoning_details, to be sent back unchanged */
	TzBuf grown; /* text that came for the last of them since it started */
	const char *grown_key;
} TzChatStream;

extern TzStatus tz_chat_event(TzStream *st, TzSlice data, json_t *doc);
extern void tz_chat_finish(TzStream *st);
extern void tz_chat_release(void *own);

/* Truthy as the vendor's client sees it. */
extern bool tz_chat_has_error(json_t *doc);
extern void tz_chat_stop(TzModelAnswer *a, json_t *choice);
extern void tz_chat_usage(TzModelAnswer *a, json_t *doc, TzSlice text);
/* A piece of arguments: a string, or what a careless server sends as an object. */
extern char *tz_chat_arguments(json_t *function);

/*
 * The message for the history. content: JSON text of its content, or empty for
 * none; details: JSON text of reasoning_details, or empty.
 */
extern void tz_chat_wire(TzModelAnswer *a, TzSlice content, TzSlice details);

#endif /* TZ_ADAPTER_CHAT_H */
