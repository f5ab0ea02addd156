/*-------------------------------------------------------------------------
 *
 * daytona_made.c
 *	  Sandboxes of Daytona: a creation, until it has made something or nothing is left.
 *
 * It never ends while it may have left a sandbox behind: what may be there is looked for by
 * its label, and by its name where that is taken.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "adapter/daytona.h"
#include "lib/json.h"

#define DROP_TRIES 30
#define LOOKS_EMPTY 3 /* before a creation is sent again */

static void fail_kept(TzDaytonaWalk *w);

void
tz_daytona_created(TzDaytonaWalk *w)
{
	TzDaytonaBox box;
	json_t *doc;

	/* whatever was heard last, it may be there: 400 for one that did not start leaves its row behind */
	if ((w->in->err.status != TZ_OK && w->in->maybe_sent) || w->in->status == 400 || w->in->status == 409 ||
	    w->in->status >= 500)
	{
		if (w->in->err.status != TZ_OK)
			tz_daytona_transport(w->effect, w->in, TZ_REPEAT_NEVER, w->out);
		else
			tz_daytona_status(w->effect, w->in, TZ_REPEAT_NEVER, w->out);
		tz_daytona_next(w->effect, "look", w->in->status == 400 ? 0 : 500,
		                json_pack("{s:s, s:s, s:i, s:i, s:i}", "why", w->out->err.message, "said",
		                          w->out->err.detail, "refused", w->in->status == 400 ? 400 : 0, "taken",
		                          w->in->status == 409, "empty", 0),
		                w->out);
		return;
	}
	doc = tz_daytona_document(w->effect, w->in, TZ_REPEAT_NEVER, w->out);
	if (doc == NULL)
	{
		/* a success that cannot be read has made something all the same */
		if (w->in->err.status == TZ_OK && w->in->status >= 200 && w->in->status < 300)
			tz_daytona_next(w->effect, "look", 1000,
			                json_pack("{s:s, s:i}", "why", w->out->err.message, "unread", 1), w->out);
		return;
	}
	if (tz_daytona_box(doc, &box))
		tz_daytona_next(w->effect, "poll", 0,
		                json_pack("{s:s%, s:I}", "id", box.id.data, box.id.len, "since",
		                          (json_int_t) w->effect->now_ms),
		                w->out);
	else
		tz_daytona_next(w->effect, "look", 1000,
		                json_pack("{s:s, s:i}", "why", "the answer names no sandbox", "unread", 1), w->out);
	json_decref(doc);
}

/* One with our label, or with our name, or none. */
void
tz_daytona_looked(TzDaytonaWalk *w)
{
	const char *tag = json_string_value(json_object_get(w->effect->request, "tag"));
	bool by_name = strcmp(w->phase, "named") == 0;
	bool refused = tz_daytona_counted(w->effect, "refused") != 0;
	int64_t empty = tz_daytona_counted(w->effect, "empty") + 1;
	json_t *doc = NULL;
	json_t *items;
	json_t *item;
	size_t i;
	TzDaytonaBox box;

	if (w->in->err.status != TZ_OK || !(by_name && w->in->status == 404))
	{
		doc = tz_daytona_document(w->effect, w->in, TZ_REPEAT_READ, w->out);
		if (doc == NULL)
		{
			/* not knowing is no reason to stop looking, but a page or a refusal will stay one */
			bool passing = w->in->err.status != TZ_OK || w->in->status >= 500 || w->in->status == 429;

			if (empty < (passing ? DROP_TRIES : LOOKS_EMPTY))
				tz_daytona_next(w->effect, w->phase, passing ? 2000 : 1000,
				                json_pack("{s:I}", "empty", (json_int_t) empty), w->out);
			else
				tz_daytona_give_up(w);
			return;
		}
	}
	items = by_name && doc != NULL ? json_pack("[O]", doc) : json_incref(json_object_get(doc, "items"));
	json_array_foreach (items, i, item)
	{
		const char *label =
			json_string_value(json_object_get(json_object_get(item, "labels"), TZ_DAYTONA_TAG));

		if (tag == NULL || label == NULL || strcmp(tag, label) != 0 || !tz_daytona_box(item, &box) ||
		    tz_daytona_is(box.state, tz_daytona_ended))
			continue;
		if (refused || tz_daytona_is(box.state, tz_daytona_dead))
			tz_daytona_drop(w, box.id, NULL, box.reason);
		else
			tz_daytona_next(w->effect, "poll", 0,
			                json_pack("{s:s%, s:I}", "id", box.id.data, box.id.len, "since",
			                          (json_int_t) w->effect->now_ms),
			                w->out);
		json_decref(items);
		json_decref(doc);
		return;
	}
	if (refused)
		fail_kept(w);
	else if (by_name && doc != NULL)
	{
		tz_err_set(&w->out->err, TZ_REFUSED, "the provider has another sandbox of this one's name");
		tz_err_hint(&w->out->err, "Delete it there; its label " TZ_DAYTONA_TAG " is not this one's.");
		tz_answer_fail(w->in, "provider_error", w->out);
	}
	else if (tz_daytona_counted(w->effect, "taken") != 0 && !by_name)
		tz_daytona_next(w->effect, "named", 0, NULL, w->out);
	else if (empty < LOOKS_EMPTY)
		tz_daytona_next(w->effect, "look", 1000, json_pack("{s:I}", "empty", (json_int_t) empty), w->out);
	else if (tz_daytona_counted(w->effect, "again") < 2)
		/* its name is taken once only: should the first one still come, this one is refused */
		tz_daytona_next(w->effect, "create", 0,
		                json_pack("{s:I, s:i, s:i}", "again",
		                          (json_int_t) tz_daytona_counted(w->effect, "again") + 1, "empty", 0,
		                          "taken", 0),
		                w->out);
	else
		fail_kept(w);
	json_decref(items);
	json_decref(doc);
}

/* It is no use: deleted before the creation ends. */
void
tz_daytona_drop(TzDaytonaWalk *w, TzSlice id, const char *what, TzSlice why)
{
	json_t *more = json_pack("{s:s%}", "id", id.data, id.len);

	if (what != NULL)
		json_object_set_new(more, "why", json_string(what));
	if (why.len > 0)
	{
		tz_daytona_quote(w->in, why, w->out);
		json_object_set_new(more, "said", json_string(w->out->err.detail));
	}
	tz_daytona_next(w->effect, "drop", 0, more, w->out);
}

void
tz_daytona_dropped(TzDaytonaWalk *w)
{
	int64_t tries = tz_daytona_counted(w->effect, "drops") + 1;
	bool gone = w->in->err.status == TZ_OK && (w->in->status == 404 || w->in->status == 409 ||
	                                           (w->in->status >= 200 && w->in->status < 300));

	if (!gone && tries < DROP_TRIES)
		tz_daytona_next(w->effect, "drop", 2000, json_pack("{s:I}", "drops", (json_int_t) tries), w->out);
	else
		fail_kept(w);
}

/* Time is up: what was made is deleted first. */
void
tz_daytona_give_up(TzDaytonaWalk *w)
{
	const char *id = json_string_value(json_object_get(w->effect->state, "id"));

	if (w->create && id != NULL)
	{
		tz_daytona_drop(w, tz_slice_cstr(id), "the sandbox did not start in time", tz_slice(NULL, 0));
		return;
	}
	if (w->out->err.status == TZ_OK)
		tz_err_set(&w->out->err, TZ_TIMEOUT,
		           "the sandbox did not get into the state that was asked for in time");
	tz_answer_fail(w->in, "provider_error", w->out);
}

/* The failure that an earlier phase met. */
static void
fail_kept(TzDaytonaWalk *w)
{
	const char *why = json_string_value(json_object_get(w->effect->state, "why"));
	const char *said = json_string_value(json_object_get(w->effect->state, "said"));

	tz_err_set(&w->out->err, tz_daytona_counted(w->effect, "refused") != 0 ? TZ_REFUSED : TZ_UNAVAILABLE,
	           "%s", why != NULL ? why : "the sandbox could not be made");
	if (said != NULL && said[0] != '\0')
		tz_err_detail(&w->out->err, "%s", said);
	tz_err_hint(&w->out->err, "The provider's dashboard says more; nothing is left of it there.");
	tz_answer_fail(w->in, "provider_error", w->out);
}
