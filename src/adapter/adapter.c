/*-------------------------------------------------------------------------
 *
 * adapter.c
 *	  Life of an outcome.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "adapter/adapter.h"

#define KEPT_MAX 4096

void
tz_outcome_init(TzOutcome *out, size_t max_content)
{
	memset(out, 0, sizeof(*out));
	tz_buf_init(&out->content, max_content);
	tz_buf_init_secret(&out->kept, KEPT_MAX);
}

/* Safe to call twice. */
void
tz_outcome_free(TzOutcome *out)
{
	json_decref(out->result);
	json_decref(out->state);
	out->result = NULL;
	out->state = NULL;
	tz_buf_free(&out->content);
	tz_buf_wipe(&out->kept);
}
