/*-------------------------------------------------------------------------
 *
 * records.h
 *	  What a program in a sandbox reports, out of what it prints.
 *
 * A frame is RS, "theazo1 ", the nonce of this command, a space, the name of the
 * writing process (8 hex digits), a space, its number among that writer's frames,
 * a space, "." or "+" (the record goes on in the writer's next frame), printable
 * ASCII, LF; at most 4096 bytes in all, so that a pipe takes it as one. A record is
 * a JSON object. Frames are taken out of the output; what is not exactly a frame is
 * output like any other. The nonce is no secret of the program's: it only keeps what
 * a program prints of others from being taken for its own report.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_RECORDS_H
#define TZ_RECORDS_H

#include "lib/jansson.h"

#include "lib/buf.h"

#define TZ_RECORD_NONCE 32 /* lower-case hex digits */
#define TZ_RECORD_FRAME_MAX 4096
#define TZ_RECORD_MAX (64 * 1024) /* one record, joined */
#define TZ_RECORDS_MAX 1000 /* of one command */
#define TZ_RECORDS_BYTES_MAX (512 * 1024) /* of all of them */
#define TZ_RECORD_WRITERS_MAX 32

/* A frame between nonce and line end. */
typedef void (*TzRecordFrameFn)(void *arg, TzSlice body);

/* One stream of output, in pieces cut anywhere. */
typedef struct TzRecordCut
{
	char mark[48]; /* what a frame begins with */
	size_t mark_len; /* 0: nothing is taken out */
	TzBuf held; /* what may be a frame */
	TzRecordFrameFn frame; /* or NULL */
	void *arg;
} TzRecordCut;

extern bool tz_record_nonce_ok(TzSlice nonce);
/* A nonce that is none: everything passes. */
extern void tz_record_cut_init(TzRecordCut *cut, TzSlice nonce, TzRecordFrameFn frame, void *arg);
/* Appends to out what is no frame; what may be the beginning of one is held back. */
extern TzStatus tz_record_cut_feed(TzRecordCut *cut, TzSlice piece, TzBuf *out);
/* The rest: half a frame that has its nonce is dropped. */
extern TzStatus tz_record_cut_end(TzRecordCut *cut, TzBuf *out);
extern void tz_record_cut_free(TzRecordCut *cut);

/* What the frames of one command say. */
typedef struct TzRecords TzRecords;

extern TzRecords *tz_records_new(void);
extern void tz_records_free(TzRecords *records);
/* A TzRecordFrameFn; arg: TzRecords. */
extern void tz_records_frame(void *arg, TzSlice body);
/*
 * {"list": [...], "dropped": n, "spoiled": n}: records in their order, each of known shape and size; how
 * many were over a ceiling; how many frames or records were malformed or came again. NULL when there was nothing.
 */
extern json_t *tz_records_document(const TzRecords *records);

/* Those of known shape so far, in their order; borrowed. */
extern json_t *tz_records_list(const TzRecords *records);

/*
 * Takes the records out of "stdout" and "stderr" of a command's result and adds them as "records".
 * False when out of memory; the result is then as it was or without some text.
 */
extern bool tz_records_take(json_t *result, TzSlice nonce);

#endif /* TZ_RECORDS_H */
