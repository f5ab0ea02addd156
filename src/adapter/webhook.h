/*-------------------------------------------------------------------------
 *
 * webhook.h
 *	  Private to the two files of the webhook compute adapter.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_ADAPTER_WEBHOOK_H
#define TZ_ADAPTER_WEBHOOK_H

#include "adapter/answer.h"

#define TZ_WEBHOOK_ID_MAX 256
#define TZ_WEBHOOK_PATH_MAX 4096

typedef struct TzWebhookOp
{
	const char *name; /* also the capability's name */
	const char *method;
	TzRepeat repeat;
	bool optional; /* 501 switches the capability off */
	bool on_file; /* 404 means: no such file */
	int timeout_ms; /* of the whole call */
	TzStatus (*build)(const TzEffect *effect, TzHttpRequest *out, TzErr *err);
	json_t *(*parse)(const TzEffect *effect, const TzHttpResponse *in, json_t *doc, TzOutcome *out);
} TzWebhookOp;

extern const TzWebhookOp *tz_webhook_op(const char *name);
extern void tz_webhook_parse(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);

/* One per operation: the result, or NULL with out filled by tz_answer_bad. */
extern json_t *tz_webhook_created(const TzEffect *effect, const TzHttpResponse *in, json_t *doc,
                                  TzOutcome *out);
extern json_t *tz_webhook_executed(const TzEffect *effect, const TzHttpResponse *in, json_t *doc,
                                   TzOutcome *out);
extern json_t *tz_webhook_file(const TzEffect *effect, const TzHttpResponse *in, json_t *doc, TzOutcome *out);
extern json_t *tz_webhook_entries(const TzEffect *effect, const TzHttpResponse *in, json_t *doc,
                                  TzOutcome *out);
extern json_t *tz_webhook_ok(const TzEffect *effect, const TzHttpResponse *in, json_t *doc, TzOutcome *out);
extern json_t *tz_webhook_url(const TzEffect *effect, const TzHttpResponse *in, json_t *doc, TzOutcome *out);
extern json_t *tz_webhook_paused(const TzEffect *effect, const TzHttpResponse *in, json_t *doc,
                                 TzOutcome *out);
extern json_t *tz_webhook_resumed(const TzEffect *effect, const TzHttpResponse *in, json_t *doc,
                                  TzOutcome *out);
extern json_t *tz_webhook_metrics(const TzEffect *effect, const TzHttpResponse *in, json_t *doc,
                                  TzOutcome *out);

#endif /* TZ_ADAPTER_WEBHOOK_H */
