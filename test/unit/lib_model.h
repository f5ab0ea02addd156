/*-------------------------------------------------------------------------
 *
 * lib_model.h
 *	  Cases of recorded answers of models, fed whole and in pieces.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_LIB_MODEL_H
#define TZ_LIB_MODEL_H

#include "adapter/adapter.h"

/* Runs every case of a file; fails the running test at the first that is wrong. */
extern void model_run_file(const char *path);

/* The outcome as one document, with what was streamed before it; the caller releases it. */
extern json_t *model_outcome(const TzOutcome *out, json_t *deltas);

#endif /* TZ_LIB_MODEL_H */
