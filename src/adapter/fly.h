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

extern const char *tz_fly_phase(const TzEffect *effect);
extern void tz_fly_parse(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);

#endif /* TZ_ADAPTER_FLY_H */
