/*-------------------------------------------------------------------------
 *
 * judge.h
 *	  What those have in common that a text is shown to for a verdict.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_ADAPTER_JUDGE_H
#define TZ_ADAPTER_JUDGE_H

#include "adapter/adapter.h"

/* A number from 0 to 1. */
extern bool tz_judge_score(const json_t *value);

/* An answer that is no verdict: why, and what it used, if known (borrowed, may be NULL). */
extern void tz_judge_bad(const TzHttpResponse *in, const char *why, json_t *usage, TzOutcome *out);

/* A failure is one: there is no time to ask again. */
extern void tz_judge_once(TzOutcome *out);

/* {"toxicity", "injection", "reason"}, exactly; NULL, or why it is not that. */
extern const char *tz_judge_read(TzSlice text, double *toxicity, double *injection);

#endif /* TZ_ADAPTER_JUDGE_H */
