/*-------------------------------------------------------------------------
 *
 * fly.h
 *	  Private to the files of the Fly compute adapter.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_ADAPTER_FLY_H
#define TZ_ADAPTER_FLY_H

#include "adapter/answer.h"
#include "adapter/job.h"

/* fly.c */
extern const char *tz_fly_phase(const TzEffect *effect);

#define TZ_FLY_TRIES_MAX 10

/* fly_answer.c */
extern void tz_fly_answer(const TzEffect *effect, const TzHttpResponse *in, const TzJobFollower *to,
                          TzOutcome *out);
extern void tz_fly_bad(const TzHttpResponse *in, TzOutcome *out, const char *what);
extern json_t *tz_fly_document(const TzEffect *effect, const TzHttpResponse *in, TzRepeat repeat,
                               TzOutcome *out);

/* fly_worked.c */
extern void tz_fly_worked(const TzEffect *effect, const char *phase, const TzHttpResponse *in,
                          const TzJobFollower *to, TzOutcome *out);

#endif /* TZ_ADAPTER_FLY_H */
