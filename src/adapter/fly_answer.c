/*-------------------------------------------------------------------------
 *
 * fly_answer.c
 *	  Sandboxes as machines of Fly: answers.
 *
 *	create   create -> wait -> check           started
 *	                -> look -> wait            nobody heard the answer, or the name is taken
 *	                -> drop                    it stopped again, or does not start in time
 *	exec...  work -> watch; work -> check -> start -> wait -> work where the machine sleeps
 *	pause    clear -> suspend -> wait; resume start -> wait; destroy delete -> check
 *
 * "started" says that the machine runs, not that it still does: it is looked at after the wait.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "adapter/daytona.h"
#include "adapter/fly.h"
#include "lib/json.h"

#define SETTLE_MS (5 * 60 * 1000)
#define LOOKS_EMPTY 3

static void made(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
static void looked(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
static void waited(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
static void checked(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
static void moved(const TzEffect *effect, const char *phase, const TzHttpResponse *in, TzOutcome *out);
static void swept(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
static void fail_kept(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
static TzSlice id_of(json_t *doc);

void
tz_fly_answer(const TzEffect *effect, const TzHttpResponse *in, const TzJobFollower *to, TzOutcome *out)
{
	const char *phase = tz_fly_phase(effect);

	out->verdict = TZ_V_FAILED;
	if (strcmp(phase, "create") == 0)
		made(effect, in, out);
	else if (strcmp(phase, "look") == 0)
		looked(effect, in, out);
	else if (strcmp(phase, "wait") == 0)
		waited(effect, in, out);
	else if (strcmp(phase, "check") == 0)
		checked(effect, in, out);
	else if (strcmp(phase, "work") == 0 || strcmp(phase, "watch") == 0 || strcmp(phase, "clear") == 0)
		tz_fly_worked(effect, phase, in, to, out);
	else if (strcmp(phase, "sweep") == 0)
		swept(effect, in, out);
	else
		moved(effect, phase, in, out);
}

static void
wait_for(const TzEffect *effect, TzSlice id, const char *goal, int wait_ms, TzOutcome *out)
{
	json_t *more = json_pack("{s:s}", "goal", goal);
	int64_t since = tz_daytona_counted(effect, "since");

	if (id.len > 0)
		json_object_set_new(more, "id", json_stringn(id.data, id.len));
	json_object_set_new(more, "since", json_integer(since != 0 ? since : effect->now_ms));
	tz_daytona_next(effect, "wait", wait_ms, more, out);
}

static void
made(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	json_t *doc = tz_fly_document(effect, in, TZ_REPEAT_NEVER, out);
	TzSlice id = id_of(doc);

	if (id.len > 0)
		wait_for(effect, id, "started", 0, out);
	else if ((in->err.status != TZ_OK && in->maybe_sent) || in->status >= 500 || in->status == 409 ||
	         in->status == 422 || doc != NULL || (in->status >= 200 && in->status < 300))
		/* there may be one: also where its name is taken */
		tz_daytona_next(effect, "look", 1000,
		                json_pack("{s:s, s:s, s:i, s:i}", "why",
		                          out->err.message[0] != '\0' ? out->err.message
		                                                      : "the answer names no machine",
		                          "said", out->err.detail, "empty", 0, "refused",
		                          in->status >= 400 && in->status < 500),
		                out);
	json_decref(doc);
}

static void
looked(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	json_t *doc = tz_fly_document(effect, in, TZ_REPEAT_READ, out);
	const char *tag = json_string_value(json_object_get(effect->request, "tag"));
	int64_t empty = tz_daytona_counted(effect, "empty") + 1;
	json_t *item;
	size_t i;

	json_array_foreach (doc, i, item)
	{
		const char *mine = json_string_value(
			json_object_get(json_object_get(json_object_get(item, "config"), "metadata"), TZ_DAYTONA_TAG));

		if (mine != NULL && tag != NULL && strcmp(mine, tag) == 0 && id_of(item).len > 0)
		{
			wait_for(effect, id_of(item), "started", 0, out);
			json_decref(doc);
			return;
		}
	}
	if (empty < (doc == NULL ? TZ_FLY_TRIES_MAX : LOOKS_EMPTY))
		tz_daytona_next(effect, "look", 1000, json_pack("{s:I}", "empty", (json_int_t) empty), out);
	else if (doc != NULL && tz_daytona_counted(effect, "refused") == 0 &&
	         tz_daytona_counted(effect, "again") < 2)
		/* its name is taken once only: should the first one still come, this one is refused */
		tz_daytona_next(effect, "create", 0,
		                json_pack("{s:I, s:i}", "again", (json_int_t) tz_daytona_counted(effect, "again") + 1,
		                          "empty", 0),
		                out);
	else
		fail_kept(effect, in, out);
	json_decref(doc);
}

static void
waited(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	bool create = strcmp(effect->op, "create") == 0;
	json_t *doc;

	if (in->err.status == TZ_OK && (in->status == 408 || in->status == 429 || in->status >= 500) &&
	    effect->now_ms - tz_daytona_counted(effect, "since") < SETTLE_MS)
	{
		tz_daytona_next(effect, in->status == 408 ? "check" : "wait", in->status == 408 ? 0 : 1500, NULL,
		                out);
		return;
	}
	doc = tz_fly_document(effect, in, TZ_REPEAT_READ, out);
	if (doc != NULL)
		tz_daytona_next(effect, "check", 0, NULL, out);
	else if (create)
		tz_daytona_next(effect, "check", 1000, NULL, out);
	json_decref(doc);
}

/* The state as it is now. */
static void
checked(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	bool create = strcmp(effect->op, "create") == 0;
	bool destroy = strcmp(effect->op, "destroy") == 0;
	bool pause = strcmp(effect->op, "pause") == 0;
	bool stop = strcmp(effect->op, "stop") == 0;
	const char *goal = pause ? "suspended" : "started";
	int64_t since = tz_daytona_counted(effect, "since");
	int64_t checks = tz_daytona_counted(effect, "checks") + 1;
	bool late = since != 0 && effect->now_ms - since > SETTLE_MS;
	const char *state;
	json_t *doc;
	TzSlice id;

	if (in->err.status == TZ_OK && in->status == 404)
	{
		if (destroy || stop)
			tz_answer_done(out, json_object());
		else if (create)
			fail_kept(effect, in, out);
		else
			tz_daytona_gone(in, out);
		return;
	}
	doc = tz_fly_document(effect, in, TZ_REPEAT_READ, out);
	id = id_of(doc);
	state = json_string_value(json_object_get(doc, "state"));
	if (id.len == 0 || state == NULL)
	{
		if (create && !late)
			tz_daytona_next(effect, "check", 2000, NULL, out);
		else if (doc != NULL)
			tz_fly_bad(in, out, "it is no machine");
	}
	else if (strcmp(state, "destroyed") == 0 || (strcmp(state, "destroying") == 0 && !destroy))
	{
		if (destroy || stop)
			tz_answer_done(out, json_object());
		else if (create)
			fail_kept(effect, in, out);
		else
			tz_daytona_gone(in, out);
	}
	else if (destroy)
	{
		if (checks < 60)
			tz_daytona_next(effect, "check", 500, json_pack("{s:I}", "checks", (json_int_t) checks), out);
		else
			tz_fly_bad(in, out, "the machine is not destroyed");
	}
	else if (strcmp(state, goal) == 0)
	{
		if (create)
			tz_answer_done(out,
			               json_pack("{s:s%, s:s, s:{s:O*, s:O*}, s:{s:b, s:O*}}", "sandbox", id.data, id.len,
			                         "isolation", "microvm", "metadata", "region",
			                         json_object_get(doc, "region"), "name", json_object_get(doc, "name"),
			                         "policy", "network", 1, "memory_mb",
			                         json_object_get(json_object_get(json_object_get(doc, "config"), "guest"),
			                                         "memory_mb")));
		else if (pause)
			tz_answer_done(out, json_pack("{s:s%, s:b}", "snapshot", id.data, id.len, "supported", 1));
		else if (strcmp(effect->op, "resume") == 0)
			tz_answer_done(out, json_pack("{s:s%}", "sandbox", id.data, id.len));
		else
			tz_daytona_next(effect, json_object_get(effect->state, "job") != NULL ? "watch" : "work", 300,
			                NULL, out);
	}
	else if (create && (late || strcmp(state, "stopped") == 0 || strcmp(state, "failed") == 0 ||
	                    strcmp(state, "launch_failed") == 0))
		tz_daytona_next(effect, "drop", 0, json_pack("{s:s}", "why", "the machine does not stay started"),
		                out);
	/* somebody else held it when it was asked to */
	else if (pause && strcmp(state, "started") == 0 && json_object_get(effect->state, "asked") == NULL &&
	         checks < TZ_FLY_TRIES_MAX)
		tz_daytona_next(effect, "suspend", 1000, json_pack("{s:I}", "checks", (json_int_t) checks), out);
	/* what sleeps runs nothing that could be stopped */
	else if (stop && (strcmp(state, "stopped") == 0 || strcmp(state, "suspended") == 0))
		tz_answer_done(out, json_object());
	else if (late)
		tz_fly_bad(in, out, "the machine does not get into the state that was asked for");
	else if (!create && !pause && (strcmp(state, "stopped") == 0 || strcmp(state, "suspended") == 0) &&
	         checks < TZ_FLY_TRIES_MAX)
		tz_daytona_next(effect, "start", 0, json_pack("{s:I}", "checks", (json_int_t) checks), out);
	else
		wait_for(effect, id, goal, 500, out);
	json_decref(doc);
}

/* start, suspend, delete, drop */
static void
moved(const TzEffect *effect, const char *phase, const TzHttpResponse *in, TzOutcome *out)
{
	bool drop = strcmp(phase, "drop") == 0;
	bool destroy = strcmp(phase, "delete") == 0;
	int64_t tries = tz_daytona_counted(effect, "tries") + 1;
	json_t *doc;

	if (in->err.status == TZ_OK && in->status == 404 && (drop || destroy))
	{
		if (drop)
			fail_kept(effect, in, out);
		else
			tz_answer_done(out, json_object());
		return;
	}
	if (in->err.status == TZ_OK && in->status == 404)
	{
		tz_daytona_gone(in, out);
		return;
	}
	/* somebody else holds it, or it is on its way: looked at, then asked again */
	if (in->err.status == TZ_OK && (in->status == 409 || in->status == 412) && tries < TZ_FLY_TRIES_MAX)
	{
		tz_daytona_next(effect, drop || destroy ? phase : "check", 1000,
		                json_pack("{s:I}", "tries", (json_int_t) tries), out);
		return;
	}
	doc = tz_fly_document(effect, in, destroy || drop ? TZ_REPEAT_REMOVE : TZ_REPEAT_SAME, out);
	if (doc != NULL && drop)
		fail_kept(effect, in, out);
	else if (doc != NULL && destroy)
		tz_daytona_next(effect, "check", 200, NULL, out);
	else if (doc != NULL)
	{
		wait_for(effect, tz_slice(NULL, 0), strcmp(phase, "suspend") == 0 ? "suspended" : "started", 0, out);
		json_object_set_new(out->state, "asked", json_true());
	}
	else if (drop && tries < TZ_FLY_TRIES_MAX)
		tz_daytona_next(effect, "drop", 2000, json_pack("{s:I}", "tries", (json_int_t) tries), out);
	json_decref(doc);
}

static void
swept(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	json_t *doc = tz_fly_document(effect, in, TZ_REPEAT_READ, out);
	json_t *found = json_array();
	json_t *item;
	size_t i;

	json_array_foreach (doc, i, item)
	{
		json_t *metadata = json_object_get(json_object_get(item, "config"), "metadata");
		json_t *tag = json_object_get(metadata, TZ_DAYTONA_TAG);
		const char *state = json_string_value(json_object_get(item, "state"));

		if (json_is_string(tag) && id_of(item).len > 0 &&
		    (state == NULL || strncmp(state, "destroy", 7) != 0))
			json_array_append_new(found, json_pack("{s:s%, s:O, s:O*}", "sandbox", id_of(item).data,
			                                       id_of(item).len, "tag", tag, "instance",
			                                       json_object_get(metadata, TZ_DAYTONA_INSTANCE)));
	}
	if (doc != NULL)
		tz_answer_done(out, json_pack("{s:O, s:b}", "sandboxes", found, "complete", 1));
	json_decref(found);
	json_decref(doc);
}

static void
fail_kept(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	const char *why = json_string_value(json_object_get(effect->state, "why"));
	const char *said = json_string_value(json_object_get(effect->state, "said"));

	tz_err_clear(&out->err);
	tz_err_set(&out->err, TZ_UNAVAILABLE, "%s",
	           why != NULL ? why : "the machine was gone before it had started");
	if (said != NULL && said[0] != '\0')
		tz_err_detail(&out->err, "%s", said);
	tz_err_hint(&out->err, "The provider's log says more; nothing is left of it there.");
	tz_answer_fail(in, "provider_error", out);
}

void
tz_fly_bad(const TzHttpResponse *in, TzOutcome *out, const char *what)
{
	tz_answer_bad(in, out, "%s", what);
	tz_err_hint(&out->err, "Check endpoint and config of the provider.");
}

/* Some answers of exec are documents that say they are not. Errors are {"error"} or {"status", "message"}. */
json_t *
tz_fly_document(const TzEffect *effect, const TzHttpResponse *in, TzRepeat repeat, TzOutcome *out)
{
	TzBuf scratch;
	json_t *doc = NULL;

	if (in->err.status != TZ_OK)
		tz_daytona_transport(effect, in, repeat, out);
	else if (in->status < 200 || in->status > 299)
	{
		tz_daytona_status(effect, in, repeat, out);
		/* no time is told with a 429, but the limit is one a second */
		if (in->status == 429 && effect->attempt - effect->step <= TZ_FLY_TRIES_MAX)
		{
			out->verdict = TZ_V_RETRY;
			out->retry_after_ms = out->retry_after_ms > 0 ? out->retry_after_ms : 1500;
		}
	}
	else
	{
		tz_buf_init(&scratch, SIZE_MAX);
		doc = tz_answer_document(tz_buf_slice(&in->body), &scratch, NULL, NULL);
		tz_buf_free(&scratch);
		if (doc == NULL)
			tz_fly_bad(in, out, "it is no document");
	}
	return doc;
}

static TzSlice
id_of(json_t *doc)
{
	TzSlice id = {NULL, 0};

	if (tz_json_get_str(doc, "id", false, TZ_DAYTONA_ID_MAX, &id, NULL) != TZ_OK || !tz_daytona_id_ok(id))
		return tz_slice(NULL, 0);
	return id;
}
