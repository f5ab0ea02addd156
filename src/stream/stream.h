/*-------------------------------------------------------------------------
 *
 * stream.h
 *	  What models are saying and commands are printing right now, in shared memory.
 *
 * Dispatchers write the text as it arrives, any number of readers
 * read it. A promise is never made here: everything may be lost, and what is
 * finished is in rows. A text is known by its run, the number of its step and a
 * generation that tells one attempt from the next; places in it are byte offsets,
 * the same as in the finished text.
 *
 * Include after postgres.h. Nothing here throws.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_STREAM_H
#define TZ_STREAM_H

#include "lib/buf.h"

/* A command has two texts: what it prints is the text of its step, and its errors are that of this one. */
#define TZ_STREAM_ERRORS(step) ((step) | 0x10000)

#define TZ_STREAM_GENERATIONS 1023 /* 1 and up; readers keep 10 bits */

/* Where a dispatcher writes. Of all 0: nowhere. */
typedef struct TzPen
{
	int part;
	int place;
	uint32 serial;
	int bell;
	Oid dboid;
} TzPen;

/* What there is of a text. */
typedef struct TzStreamView
{
	int generation; /* 0: nothing is there */
	int64 begin; /* what lies before was overwritten */
	int64 end;
} TzStreamView;

/* Installs the hooks that ask for and set up the area; once, while libraries are loaded. */
extern void tz_stream_init(void);

extern int tz_stream_generation(const char *effect_id, int attempt);

/* Begins a text anew. */
extern void tz_stream_open(TzPen *pen, Oid dboid, const char *run_id, int step, int generation);
/* Appends, and wakes readers of the run. Dropped when the place was given to somebody else. */
extern void tz_stream_write(const TzPen *pen, TzSlice text);
/* No more will come: the place may be taken first. The text stays until then. */
extern void tz_stream_close(TzPen *pen);

/*
 * Copies at most size bytes from offset on into buf and returns how many; what is
 * there is told in view. Of another generation, or when offset was overwritten: 0.
 */
extern size_t tz_stream_read(Oid dboid, const char *run_id, int step, int generation, int64 offset, char *buf,
                             size_t size, TzStreamView *view);

#endif /* TZ_STREAM_H */
