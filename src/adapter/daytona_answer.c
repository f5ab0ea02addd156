/*-------------------------------------------------------------------------
 *
 * daytona_answer.c
 *	  Sandboxes of Daytona: answers of the control plane.
 *
 *	create  create -> poll                             started
 *	               -> look, named -> poll              no answer, or its name is taken
 *	               -> look -> drop                     it failed to start: its row is deleted
 *	pause   find -> clear -> unlimit -> stop or pause -> poll     stopped, paused
 *	resume  find -> start -> poll -> ttl               started
 *	destroy delete -> poll                             gone
 *	others  find -> (start -> poll) -> work
 *
 * A state in an answer to anything but a GET is that of the moment before, and names of
 * states that are not known are none to act on: both mean to look again. A creation never
 * ends while it may have left a sandbox behind.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>
#include <strings.h>

#include "adapter/daytona.h"
#include "lib/json.h"
#include "lib/utf8.h"

#define SETTLE_MS (5 * 60 * 1000) /* until a state is reached */
#define STARTS_MAX 3
#define SWEEP_MAX 10000

static void polled(TzDaytonaWalk *w);
static void found(TzDaytonaWalk *w, const TzDaytonaBox *box, json_t *doc);
static void reached(TzDaytonaWalk *w, const TzDaytonaBox *box, json_t *doc);
static json_t *policy_told(json_t *doc);
static void asleep(TzDaytonaWalk *w, const TzDaytonaBox *box);
static void moved(TzDaytonaWalk *w);
static void port_told(TzDaytonaWalk *w);
static void swept(TzDaytonaWalk *w);
static void poll_again(TzDaytonaWalk *w, json_t *more);

void
tz_daytona_answer(const TzEffect *effect, const TzHttpResponse *in, const TzJobFollower *to, TzOutcome *out)
{
	TzDaytonaWalk w = {effect, in, out, tz_daytona_phase(effect, NULL, in->request),
	                   strcmp(effect->op, "create") == 0};

	out->verdict = TZ_V_FAILED;
	if (strcmp(w.phase, "create") == 0)
		tz_daytona_created(&w);
	else if (strcmp(w.phase, "look") == 0 || strcmp(w.phase, "named") == 0)
		tz_daytona_looked(&w);
	else if (strcmp(w.phase, "poll") == 0 || strcmp(w.phase, "find") == 0)
		polled(&w);
	else if (strcmp(w.phase, "drop") == 0)
		tz_daytona_dropped(&w);
	else if (strcmp(w.phase, "port") == 0)
		port_told(&w);
	else if (strcmp(w.phase, "sweep") == 0)
		swept(&w);
	else if (strcmp(w.phase, "ttl") == 0 || strcmp(w.phase, "unlimit") == 0)
		tz_daytona_limited(&w);
	else if (strcmp(w.phase, "shoot") == 0)
		tz_daytona_shooting(&w);
	else if (strcmp(w.phase, "shot") == 0)
		tz_daytona_shot(&w);
	else if (strcmp(w.phase, "forget") == 0)
		tz_daytona_forgotten(&w);
	else if (strcmp(w.phase, "work") == 0 || strcmp(w.phase, "watch") == 0 ||
	         strcmp(w.phase, "sample") == 0 || strcmp(w.phase, "clear") == 0)
		tz_daytona_worked(effect, w.phase, in, to, out);
	else
		moved(&w);
}

/* ---- looking at one ---- */

static void
polled(TzDaytonaWalk *w)
{
	TzDaytonaBox box;
	bool destroy = strcmp(w->effect->op, "destroy") == 0;
	json_t *doc;

	if (w->in->err.status == TZ_OK && w->in->status == 404)
	{
		if (destroy || strcmp(w->effect->op, "stop") == 0)
			tz_answer_done(w->out, json_object());
		else if (w->create)
		{
			tz_err_set(&w->out->err, TZ_UNAVAILABLE, "the sandbox was gone before it had started");
			tz_answer_fail(w->in, "provider_error", w->out);
		}
		else
			tz_daytona_gone(w->in, w->out);
		return;
	}
	doc = tz_daytona_document(w->effect, w->in, TZ_REPEAT_READ, w->out);
	if (doc == NULL)
	{
		/* a creation that has made something goes on looking, whatever it hears */
		if (w->create)
			poll_again(w, NULL);
		return;
	}
	if (!tz_daytona_box(doc, &box))
		tz_daytona_bad(w->in, w->out, "it is no sandbox");
	else if (destroy)
	{
		if (tz_slice_eq_cstr(box.state, "destroyed"))
			tz_answer_done(w->out, json_object());
		else
			poll_again(w, NULL);
	}
	else if (tz_daytona_is(box.state, tz_daytona_ended))
	{
		if (!w->create)
			tz_daytona_gone(w->in, w->out);
		else
		{
			tz_err_set(&w->out->err, TZ_UNAVAILABLE, "the sandbox was destroyed before it had started");
			tz_answer_fail(w->in, "provider_error", w->out);
		}
	}
	else if (tz_daytona_is(box.state, tz_daytona_dead) && w->create)
		tz_daytona_drop(w, box.id, "the sandbox failed to start", box.reason);
	else if (tz_daytona_is(box.state, tz_daytona_dead))
	{
		tz_err_set(&w->out->err, TZ_UNAVAILABLE, "the sandbox is broken at its provider");
		tz_daytona_quote(w->in, box.reason, w->out);
		tz_err_hint(&w->out->err, "End the agent, or recover the sandbox there.");
		tz_answer_fail(w->in, "provider_error", w->out);
	}
	else if (strcmp(w->phase, "find") == 0)
		found(w, &box, doc);
	else
		reached(w, &box, doc);
	json_decref(doc);
}

/* The first look of an operation. */
static void
found(TzDaytonaWalk *w, const TzDaytonaBox *box, json_t *doc)
{
	bool vm = tz_slice_eq_cstr(box->kind, "linux-vm") || tz_slice_eq_cstr(box->kind, "windows");
	bool started = tz_slice_eq_cstr(box->state, "started");
	bool pause = strcmp(w->effect->op, "pause") == 0;

	if (!pause && strcmp(w->effect->op, "snapshot") != 0)
		reached(w, box, doc);
	else if (pause && tz_daytona_is(box->state, tz_daytona_sleeping))
		asleep(w, box);
	else if (started)
		tz_daytona_next(w->effect,
		                box->toolbox.len > 0 ? "clear"
		                : pause              ? "unlimit"
		                                     : "shoot",
		                0,
		                json_pack("{s:s%, s:s, s:i}", "toolbox", box->toolbox.data, box->toolbox.len, "then",
		                          vm ? "pause" : "stop", "vm", vm),
		                w->out);
	else
		poll_again(w, NULL);
}

/* Where it had to be, or on its way there. */
static void
reached(TzDaytonaWalk *w, const TzDaytonaBox *box, json_t *doc)
{
	const char *op = w->effect->op;

	if (strcmp(op, "pause") == 0)
	{
		if (tz_daytona_is(box->state, tz_daytona_sleeping))
			asleep(w, box);
		else if (tz_slice_eq_cstr(box->state, "started") &&
		         json_object_get(w->effect->state, "asked") == NULL)
			found(w, box, doc);
		else
			poll_again(w, NULL);
		return;
	}
	if (strcmp(op, "snapshot") == 0)
	{
		found(w, box, doc);
		return;
	}
	/* what sleeps runs nothing that could be stopped */
	if (strcmp(op, "stop") == 0 && tz_daytona_is(box->state, tz_daytona_sleeping))
	{
		tz_answer_done(w->out, json_object());
		return;
	}
	if (tz_daytona_is(box->state, tz_daytona_sleeping) && !tz_slice_eq_cstr(box->state, "archiving") &&
	    !w->create && tz_daytona_counted(w->effect, "starts") < STARTS_MAX)
	{
		tz_daytona_next(w->effect, "start", 0,
		                json_pack("{s:I}", "starts",
		                          (json_int_t) tz_daytona_counted(w->effect, "starts") + 1),
		                w->out);
		return;
	}
	if (!tz_slice_eq_cstr(box->state, "started"))
	{
		poll_again(w, NULL);
		return;
	}
	if (box->toolbox.len > 0)
	{
		w->out->keep = true;
		tz_buf_reset(&w->out->kept);
		tz_buf_append(&w->out->kept, box->toolbox.data, box->toolbox.len);
	}
	if (w->create)
	{
		static const char *const told[] = {
			"name",   "snapshot", "target",          "sandboxClass",     "daemonVersion",  "cpu",
			"memory", "disk",     "networkBlockAll", "networkAllowList", "domainAllowList"};
		json_t *metadata = json_object();

		for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++)
		{
			json_t *value = json_object_get(doc, told[i]);
			bool small = !json_is_string(value) || json_string_length(value) <= 1024;

			if (value != NULL && !json_is_null(value) && !json_is_object(value) && !json_is_array(value) &&
			    small)
				json_object_set(metadata, told[i], value);
		}
		tz_answer_done(w->out, json_pack("{s:s%, s:s%, s:o, s:o}", "sandbox", box->id.data, box->id.len,
		                                 "isolation", box->kind.len > 0 ? box->kind.data : "container",
		                                 box->kind.len > 0 ? box->kind.len : 9, "metadata", metadata,
		                                 "policy", policy_told(doc)));
	}
	else if (strcmp(op, "resume") == 0 && json_object_get(w->effect->request, "lifetime_s") != NULL)
		tz_daytona_next(w->effect, "ttl", 0, NULL, w->out);
	else if (strcmp(op, "resume") == 0)
		tz_answer_done(w->out, json_pack("{s:s%}", "sandbox", box->id.data, box->id.len));
	else if (json_object_get(w->effect->state, "missing") != NULL)
	{
		/* it was the file that was not there */
		tz_err_set(&w->out->err, TZ_NOT_FOUND, "no such file in the sandbox");
		tz_err_hint(&w->out->err, "theazo.file_list() shows what is there.");
		tz_answer_fail(w->in, "not_found", w->out);
	}
	else if (box->toolbox.len > 0)
		tz_daytona_next(w->effect, json_object_get(w->effect->state, "job") != NULL ? "watch" : "work", 0,
		                json_pack("{s:s%}", "toolbox", box->toolbox.data, box->toolbox.len), w->out);
	else
		tz_daytona_bad(w->in, w->out, "\"toolboxProxyUrl\" is missing");
}

/* What was read back of what a sandbox may use. */
static json_t *
policy_told(json_t *doc)
{
	json_t *policy = json_object();
	double value = 0;

	if (json_is_boolean(json_object_get(doc, "networkBlockAll")))
		json_object_set_new(policy, "network",
		                    json_boolean(!json_is_true(json_object_get(doc, "networkBlockAll"))));
	if (tz_json_get_real(doc, "memory", true, &value, NULL) == TZ_OK && value > 0 && value < 1e6)
		json_object_set_new(policy, "memory_mb", json_integer((json_int_t) (value * 1024)));
	if (tz_json_get_real(doc, "disk", true, &value, NULL) == TZ_OK && value > 0 && value < 1e6)
		json_object_set_new(policy, "disk_mb", json_integer((json_int_t) (value * 1024)));
	return policy;
}

static void
asleep(TzDaytonaWalk *w, const TzDaytonaBox *box)
{
	w->out->keep = true;
	tz_buf_reset(&w->out->kept);
	tz_answer_done(w->out, json_pack("{s:s%, s:b}", "snapshot", box->id.data, box->id.len, "supported", 1));
}

static void
poll_again(TzDaytonaWalk *w, json_t *more)
{
	static const int waits[] = {200, 300, 500, 1000};
	int64_t n = tz_daytona_counted(w->effect, "polls");
	int64_t since = tz_daytona_counted(w->effect, "since");
	int wait = waits[n < 4 ? n : 3];

	if (since == 0)
		since = w->effect->now_ms;
	if (w->effect->now_ms - since > SETTLE_MS)
	{
		tz_daytona_give_up(w);
		json_decref(more);
		return;
	}
	(void) tz_daytona_wait_told(w->in, w->effect->now_ms, &wait);
	if (more == NULL)
		more = json_object();
	json_object_set_new(more, "polls", json_integer(n + 1));
	json_object_set_new(more, "since", json_integer(since));
	tz_daytona_next(w->effect, "poll", wait, more, w->out);
}

/* ---- asking for a move: start, stop, pause, delete ---- */

static void
moved(TzDaytonaWalk *w)
{
	TzRepeat repeat = strcmp(w->phase, "delete") == 0 ? TZ_REPEAT_REMOVE : TZ_REPEAT_SAME;
	json_t *doc;

	if (w->in->err.status == TZ_OK && w->in->status == 404)
	{
		if (repeat == TZ_REPEAT_REMOVE)
			tz_answer_done(w->out, json_object());
		else
			tz_daytona_gone(w->in, w->out);
		return;
	}
	/* a class without memory to keep is stopped; one in between two states is looked at; so is one in the wrong state */
	if (w->in->err.status == TZ_OK && w->in->status == 422 && strcmp(w->phase, "pause") == 0)
	{
		tz_daytona_next(w->effect, "stop", 0, NULL, w->out);
		return;
	}
	if (w->in->err.status == TZ_OK &&
	    (w->in->status == 409 || (w->in->status == 400 && repeat == TZ_REPEAT_SAME)))
	{
		int64_t waited = tz_daytona_counted(w->effect, "conflicts") + 1;

		if (waited <= 5)
		{
			poll_again(w, json_pack("{s:I}", "conflicts", (json_int_t) waited));
			return;
		}
	}
	doc = tz_daytona_document(w->effect, w->in, repeat, w->out);
	if (doc == NULL)
		return;
	poll_again(w, json_pack("{s:s}", "asked", w->phase));
	json_decref(doc);
}

static void
port_told(TzDaytonaWalk *w)
{
	json_t *doc;
	TzSlice url;

	if (w->in->err.status == TZ_OK && w->in->status == 404)
	{
		tz_daytona_gone(w->in, w->out);
		return;
	}
	doc = tz_daytona_document(w->effect, w->in, TZ_REPEAT_READ, w->out);
	if (doc == NULL)
		return;
	if (tz_json_get_str(doc, "url", true, 2048, &url, NULL) != TZ_OK || tz_utf8_has_control(url) ||
	    url.len < 9 ||
	    (strncasecmp(url.data, "https://", 8) != 0 && strncasecmp(url.data, "http://", 7) != 0))
		tz_daytona_bad(w->in, w->out, "\"url\" is missing or no URL");
	else
		tz_answer_done(w->out, json_pack("{s:s%}", "url", url.data, url.len));
	json_decref(doc);
}

/* Pages are gathered in the state; 10,000 are enough for one sweep. */
static void
swept(TzDaytonaWalk *w)
{
	json_t *doc = tz_daytona_document(w->effect, w->in, TZ_REPEAT_READ, w->out);
	json_t *found;
	json_t *items = json_object_get(doc, "items");
	json_t *next = json_object_get(doc, "nextCursor");
	json_t *item;
	size_t i;

	if (doc == NULL)
		return;
	if (!json_is_array(items))
	{
		tz_daytona_bad(w->in, w->out, "\"items\" is no list");
		json_decref(doc);
		return;
	}
	found = json_deep_copy(json_object_get(w->effect->state, "found"));
	if (found == NULL)
		found = json_array();
	json_array_foreach (items, i, item)
	{
		json_t *labels = json_object_get(item, "labels");
		json_t *tag = json_object_get(labels, TZ_DAYTONA_TAG);
		TzDaytonaBox box;

		if (tz_daytona_box(item, &box) && json_is_string(tag) && !tz_daytona_is(box.state, tz_daytona_ended))
			json_array_append_new(found,
			                      json_pack("{s:s%, s:O, s:O*}", "sandbox", box.id.data, box.id.len, "tag",
			                                tag, "instance", json_object_get(labels, TZ_DAYTONA_INSTANCE)));
	}
	if (json_is_string(next) && json_array_size(found) < SWEEP_MAX)
		tz_daytona_next(w->effect, "sweep", 0, json_pack("{s:O, s:o}", "cursor", next, "found", found),
		                w->out);
	else
		tz_answer_done(w->out,
		               json_pack("{s:o, s:b}", "sandboxes", found, "complete", !json_is_string(next)));
	json_decref(doc);
}
