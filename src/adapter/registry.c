/*-------------------------------------------------------------------------
 *
 * registry.c
 *	  The array of all adapters that speak HTTP: one line each.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "adapter/adapter.h"

extern const TzAdapter tz_compute_webhook;
extern const TzAdapter tz_compute_docker;
extern const TzAdapter tz_compute_e2b;
extern const TzAdapter tz_compute_daytona;
extern const TzAdapter tz_compute_fly;
extern const TzAdapter tz_model_anthropic;
extern const TzAdapter tz_model_openai;
extern const TzAdapter tz_model_openai_compatible;
extern const TzAdapter tz_http_plain;
extern const TzAdapter tz_tool_webhook;
extern const TzAdapter tz_anchor_evm;
extern const TzAdapter tz_anchor_rfc3161;
extern const TzAdapter tz_webhook_out;
extern const TzAdapter tz_moderation;
extern const TzAdapter tz_judge;

static const TzAdapter *const adapters[] = {
	&tz_compute_webhook,
	&tz_compute_docker,
	&tz_model_anthropic,
	&tz_model_openai,
	&tz_model_openai_compatible,
	&tz_http_plain,
	&tz_tool_webhook,
	&tz_anchor_evm,
	&tz_anchor_rfc3161,
	&tz_webhook_out,
	&tz_moderation,
	&tz_judge,
	&tz_compute_e2b,
	&tz_compute_daytona,
	&tz_compute_fly,
};

/* NULL for a name nobody knows. */
const TzAdapter *
tz_adapter_find(const char *name)
{
	for (size_t i = 0; i < sizeof(adapters) / sizeof(adapters[0]); i++)
		if (strcmp(adapters[i]->name, name) == 0)
			return adapters[i];
	return NULL;
}
