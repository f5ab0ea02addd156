/*-------------------------------------------------------------------------
 *
 * record_shape.h
 *	  What a record from inside a sandbox may say.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_RECORD_SHAPE_H
#define TZ_RECORD_SHAPE_H

#include "lib/jansson.h"

#include "lib/buf.h"

#define TZ_RECORD_MESSAGE_MAX 8192 /* bytes */
#define TZ_RECORD_NAME_MAX 200
#define TZ_RECORD_ERROR_MAX 1000
#define TZ_RECORD_DATA_MAX 8192 /* metadata and attributes, as text */
#define TZ_RECORD_ARTIFACTS_MAX 100

/*
 * The record of that text with known members only, texts cut and numbers within
 * bounds; NULL when it is none. Types: log, span, progress, complete, model.
 */
extern json_t *tz_record_shape(TzSlice text);

#endif /* TZ_RECORD_SHAPE_H */
