/*-------------------------------------------------------------------------
 *
 * daytona_keep.c
 *	  Sandboxes of Daytona: how long they live, and snapshots of them.
 *
 *	renew    ttl                                       from now on
 *	snapshot find -> clear -> shoot -> shot            active
 *	forget   forget                                    gone
 *
 * A limit counts from the moment it is set, also while a sandbox sleeps: so it is lifted before
 * a pause ("unlimit") and set anew after the resume. A snapshot is named by our id of it, which
 * the provider takes once: whoever asks again finds the first.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "adapter/daytona.h"
#include "lib/json.h"

#define LIFETIME_MAX_S (30 * 24 * 3600)
#define SHOT_MS (15 * 60 * 1000) /* until a snapshot can be used */
#define CONFLICTS_MAX 5
#define GIB (1024.0 * 1024 * 1024)

static int64_t
minutes_of(const TzEffect *effect)
{
	int64_t lifetime_s = 3600;

	(void) tz_json_get_int(effect->request, "lifetime_s", false, 1, LIFETIME_MAX_S, &lifetime_s, NULL);
	return (lifetime_s + 59) / 60;
}

/* theazo-snap-01...: what the provider takes once. */
static TzStatus
append_name(const TzEffect *effect, TzBuf *out, TzErr *err)
{
	TzSlice tag = {NULL, 0};
	TzStatus status = tz_json_get_str(effect->request, "tag", true, TZ_DAYTONA_ID_MAX, &tag, err);

	if (status == TZ_OK)
		tz_daytona_name(effect, out);
	return status;
}

TzStatus
tz_daytona_build_ttl(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	bool lifted = strcmp(effect->op, "pause") == 0;
	TzStatus status = tz_daytona_build_box(effect, to, out, err);

	tz_buf_printf(&out->url, "/ttl/%d", lifted ? 0 : (int) minutes_of(effect));
	return status;
}

TzStatus
tz_daytona_build_shoot(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	TzStatus status = tz_daytona_build_box(effect, to, out, err);

	if (status != TZ_OK)
		return status;
	tz_buf_append_cstr(&out->url, "/snapshot");
	tz_buf_append_cstr(&out->body, "{\"name\":\"");
	status = append_name(effect, &out->body, err);
	tz_buf_printf(&out->body, "\",\"includeMemory\":%s}",
	              tz_daytona_counted(effect, "vm") != 0 ? "true" : "false");
	return status;
}

TzStatus
tz_daytona_build_shot(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	TzSlice handle = {NULL, 0};
	TzStatus status = tz_daytona_base(to, out, err);

	if (status != TZ_OK)
		return status;
	tz_buf_append_cstr(&out->url, "/snapshots/");
	if (strcmp(effect->op, "forget") != 0)
		return append_name(effect, &out->url, err);
	status = tz_json_get_str(effect->request, "snapshot", true, TZ_DAYTONA_ID_MAX, &handle, err);
	if (status == TZ_OK && !tz_daytona_id_ok(handle))
		status = tz_err_set(err, TZ_BAD_INPUT, "handle of the snapshot is not valid");
	if (status == TZ_OK)
		tz_buf_append(&out->url, handle.data, handle.len);
	return status;
}

/* The limit was set: by a renewal, after a resume, or lifted before a pause. */
void
tz_daytona_limited(TzDaytonaWalk *w)
{
	const char *op = w->effect->op;
	int64_t lifetime_s = minutes_of(w->effect) * 60;
	json_t *doc;

	/* what cannot be lifted is no reason to keep it awake */
	if (strcmp(op, "pause") == 0)
	{
		tz_daytona_next(w->effect, json_string_value(json_object_get(w->effect->state, "then")), 0, NULL,
		                w->out);
		return;
	}
	if (strcmp(op, "resume") == 0)
	{
		bool set = w->in->err.status == TZ_OK && w->in->status >= 200 && w->in->status < 300;

		tz_answer_done(w->out, json_pack("{s:s, s:o*}", "sandbox",
		                                 json_string_value(json_object_get(w->effect->request, "sandbox")),
		                                 "lifetime_s", set ? json_integer(lifetime_s) : NULL));
		return;
	}
	if (w->in->err.status == TZ_OK && w->in->status == 404)
	{
		tz_daytona_gone(w->in, w->out);
		return;
	}
	doc = tz_daytona_document(w->effect, w->in, TZ_REPEAT_SAME, w->out);
	if (doc != NULL)
		tz_answer_done(w->out, json_pack("{s:I}", "lifetime_s", (json_int_t) lifetime_s));
	json_decref(doc);
}

/* A snapshot was asked for. Where its name is taken it is the one that was asked for before. */
void
tz_daytona_shooting(TzDaytonaWalk *w)
{
	json_t *doc;

	if (w->in->err.status == TZ_OK && w->in->status == 404)
		tz_daytona_gone(w->in, w->out);
	else if (w->in->err.status == TZ_OK && w->in->status == 422)
	{
		tz_err_set(&w->out->err, TZ_UNSUPPORTED, "sandboxes of this class have no snapshots");
		tz_err_hint(&w->out->err, "A pause keeps them, too.");
		tz_answer_fail(w->in, "unsupported", w->out);
	}
	else if (w->in->err.status == TZ_OK && w->in->status == 409)
		tz_daytona_next(w->effect, "shot", 0,
		                json_pack("{s:I}", "conflicts",
		                          (json_int_t) tz_daytona_counted(w->effect, "conflicts") + 1),
		                w->out);
	else
	{
		doc = tz_daytona_document(w->effect, w->in, TZ_REPEAT_SAME, w->out);
		if (doc != NULL)
			tz_daytona_next(w->effect, "shot", 300, json_pack("{s:i}", "conflicts", 0), w->out);
		json_decref(doc);
	}
}

void
tz_daytona_shot(TzDaytonaWalk *w)
{
	int64_t conflicts = tz_daytona_counted(w->effect, "conflicts");
	int64_t since = tz_daytona_counted(w->effect, "since");
	bool unknown = w->in->err.status == TZ_OK && w->in->status == 404;
	const char *state = NULL;
	const char *name;
	double size = 0;
	json_t *doc = NULL;

	if (since == 0)
		since = w->effect->now_ms;
	if (!unknown)
	{
		doc = tz_daytona_document(w->effect, w->in, TZ_REPEAT_READ, w->out);
		if (doc == NULL)
			return;
		state = json_string_value(json_object_get(doc, "state"));
	}
	name = json_string_value(json_object_get(doc, "name"));
	if (state != NULL && strcmp(state, "active") == 0 && name != NULL &&
	    tz_daytona_id_ok(tz_slice_cstr(name)))
	{
		(void) tz_json_get_real(doc, "size", false, &size, NULL);
		tz_answer_done(w->out,
		               json_pack("{s:s, s:o*}", "snapshot", name, "size_bytes",
		                         size > 0 && size < 1e6 ? json_integer((json_int_t) (size * GIB)) : NULL));
	}
	else if (state != NULL && (strcmp(state, "error") == 0 || strcmp(state, "build_failed") == 0))
	{
		const char *why = json_string_value(json_object_get(doc, "errorReason"));

		tz_err_set(&w->out->err, TZ_UNAVAILABLE, "the snapshot failed");
		tz_daytona_quote(w->in, tz_slice_cstr(why), w->out);
		tz_err_hint(&w->out->err, "The provider's dashboard says more.");
		tz_answer_fail(w->in, "provider_error", w->out);
	}
	else if (w->effect->now_ms - since > SHOT_MS || conflicts > CONFLICTS_MAX)
	{
		tz_err_set(&w->out->err, TZ_TIMEOUT, "the snapshot was not taken in time");
		tz_err_hint(&w->out->err, "Try again when the sandbox is quiet.");
		tz_answer_fail(w->in, "provider_error", w->out);
	}
	else
		/* in between two states the sandbox refuses: then there is none yet, and it is asked again */
		tz_daytona_next(w->effect, unknown && conflicts > 0 ? "shoot" : "shot", 1000,
		                json_pack("{s:I}", "since", (json_int_t) since), w->out);
	json_decref(doc);
}

void
tz_daytona_forgotten(TzDaytonaWalk *w)
{
	json_t *doc;

	if (w->in->err.status == TZ_OK && (w->in->status == 404 || (w->in->status >= 200 && w->in->status < 300)))
		tz_answer_done(w->out, json_object());
	else
	{
		doc = tz_daytona_document(w->effect, w->in, TZ_REPEAT_REMOVE, w->out);
		json_decref(doc);
	}
}
