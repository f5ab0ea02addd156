/*-------------------------------------------------------------------------
 *
 * daytona_said.c
 *	  Sandboxes of Daytona: reading what the control plane says.
 *
 * Attempts are counted for a whole effect, tries for one request; a success that cannot be
 * read is a failure of the endpoint.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "adapter/daytona.h"
#include "lib/json.h"
#include "lib/utf8.h"

#define WAIT_MAX_MS (10 * 60 * 1000) /* that a provider may ask for */

const char *const tz_daytona_dead[] = {"error", "build_failed", NULL};
const char *const tz_daytona_ended[] = {"destroyed", "destroying", NULL};
const char *const tz_daytona_sleeping[] = {"stopped", "paused", "archived", "archiving", NULL};

bool
tz_daytona_box(json_t *doc, TzDaytonaBox *box)
{
	memset(box, 0, sizeof(*box));
	return tz_json_get_str(doc, "id", true, TZ_DAYTONA_ID_MAX, &box->id, NULL) == TZ_OK &&
	       tz_daytona_id_ok(box->id) &&
	       tz_json_get_str(doc, "state", false, 64, &box->state, NULL) == TZ_OK &&
	       tz_json_get_str(doc, "sandboxClass", false, 64, &box->kind, NULL) == TZ_OK &&
	       tz_json_get_str(doc, "errorReason", false, 65536, &box->reason, NULL) == TZ_OK &&
	       tz_json_get_str(doc, "toolboxProxyUrl", false, 2048, &box->toolbox, NULL) == TZ_OK &&
	       (box->toolbox.len == 0 || tz_daytona_url_ok(box->toolbox));
}

bool
tz_daytona_is(TzSlice state, const char *const *names)
{
	for (; *names != NULL; names++)
		if (tz_slice_eq_cstr(state, *names))
			return true;
	return false;
}

/* Attempts are counted for the whole effect, retries are for one request. */
static TzEffect
at_this_step(const TzEffect *effect)
{
	TzEffect here = *effect;

	here.attempt = effect->attempt > effect->step ? effect->attempt - effect->step : 1;
	return here;
}

void
tz_daytona_transport(const TzEffect *effect, const TzHttpResponse *in, TzRepeat repeat, TzOutcome *out)
{
	TzEffect here = at_this_step(effect);

	tz_answer_transport(&here, repeat, in, out);
}

/* Retry-After is one header for each limit there: retry-after-sandbox-create. */
bool
tz_daytona_wait_told(const TzHttpResponse *in, int64_t now_ms, int *wait_ms)
{
	if (in->err.status != TZ_OK || (in->status != 429 && in->status != 503))
		return false;
	for (int i = 0; i < in->nheaders; i++)
		if (strncmp(in->headers[i].name, "retry-after", 11) == 0 &&
		    tz_retry_after_ms(in->headers[i].value, now_ms, WAIT_MAX_MS, wait_ms))
			return true;
	return false;
}

void
tz_daytona_status(const TzEffect *effect, const TzHttpResponse *in, TzRepeat repeat, TzOutcome *out)
{
	TzEffect here = at_this_step(effect);
	json_t *doc;
	int wait_ms = 0;
	TzBuf scratch;

	tz_answer_status(&here, repeat, in, out);
	if (tz_daytona_wait_told(in, effect->now_ms, &wait_ms))
	{
		TzFailure failure = {.status = TZ_OK,
		                     .http_status = in->status,
		                     .maybe_sent = true,
		                     .told_to_wait = true};

		out->retry_after_ms = wait_ms;
		if (tz_retry_judge(repeat, &failure, here.attempt) == TZ_RETRY_YES)
			out->verdict = TZ_V_RETRY;
	}
	/* "error" is the name of the status there, "message" says what is wrong */
	tz_buf_init(&scratch, SIZE_MAX);
	doc = tz_answer_document(tz_buf_slice(&in->body), &scratch, NULL, NULL);
	if (json_is_string(json_object_get(doc, "message")))
	{
		json_object_del(doc, "error");
		tz_answer_upstream(in, doc, out);
	}
	json_decref(doc);
	tz_buf_free(&scratch);
}

/* The document of a success, or NULL with out filled. */
json_t *
tz_daytona_document(const TzEffect *effect, const TzHttpResponse *in, TzRepeat repeat, TzOutcome *out)
{
	json_t *doc;

	if (in->err.status != TZ_OK)
		tz_daytona_transport(effect, in, repeat, out);
	else if (in->status < 200 || in->status > 299)
		tz_daytona_status(effect, in, repeat, out);
	else
	{
		doc = tz_answer_json(in, out);
		if (doc != NULL)
			return doc;
		tz_err_hint(&out->err, "Check the provider's endpoint: it ends in /api.");
	}
	return NULL;
}

void
tz_daytona_gone(const TzHttpResponse *in, TzOutcome *out)
{
	tz_err_clear(&out->err);
	tz_err_set(&out->err, TZ_GONE, "the sandbox is gone");
	tz_err_hint(&out->err, "Its files are lost. The next exec makes a new sandbox.");
	tz_answer_fail(in, "provider_error", out);
}

void
tz_daytona_bad(const TzHttpResponse *in, TzOutcome *out, const char *what)
{
	tz_answer_bad(in, out, "%s", what);
	tz_err_hint(&out->err, "Check the provider's endpoint: it ends in /api.");
}

void
tz_daytona_next(const TzEffect *effect, const char *phase, int wait_ms, json_t *more, TzOutcome *out)
{
	json_t *state = effect->state != NULL ? json_copy(effect->state) : json_object();

	json_object_del(state, "reconcile");
	if (more != NULL)
		json_object_update(state, more);
	json_decref(more);
	if (state == NULL || json_object_set_new(state, "phase", json_string(phase)) != 0)
	{
		json_decref(state);
		tz_answer_done(out, NULL);
		return;
	}
	json_decref(out->result);
	out->result = NULL;
	tz_err_clear(&out->err);
	out->error_code = NULL;
	out->verdict = TZ_V_NEXT;
	out->state = state;
	out->retry_after_ms = wait_ms;
}

int64_t
tz_daytona_counted(const TzEffect *effect, const char *name)
{
	return json_integer_value(json_object_get(effect->state, name));
}

/* As the detail of the error; no secret that was sent is shown. */
void
tz_daytona_quote(const TzHttpResponse *in, TzSlice said, TzOutcome *out)
{
	json_t *doc = said.len > 0 ? json_object() : NULL;

	if (doc != NULL && tz_json_set_text(doc, "error", said, NULL) == TZ_OK)
		tz_answer_upstream(in, doc, out);
	json_decref(doc);
}
