/*-------------------------------------------------------------------------
 *
 * daytona_answer.c
 *	  Sandboxes of Daytona: answers of the control plane.
 *
 *	create  create -> poll                             started
 *	               -> look, named -> poll              no answer, or its name is taken
 *	               -> look -> drop                     it failed to start: its row is deleted
 *	pause   find -> clear -> stop or pause -> poll     stopped, paused
 *	resume  find -> start -> poll                      started
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

#define WAIT_MAX_MS (10 * 60 * 1000) /* that a provider may ask for */
#define SETTLE_MS (5 * 60 * 1000) /* until a state is reached */
#define DROP_TRIES 30
#define LOOKS_EMPTY 3 /* before a creation is sent again */
#define STARTS_MAX 3
#define SWEEP_MAX 10000

typedef struct Walk
{
	const TzEffect *effect;
	const TzHttpResponse *in;
	TzOutcome *out;
	const char *phase;
	bool create;
} Walk;

static void created(Walk *w);
static void looked(Walk *w);
static void polled(Walk *w);
static void found(Walk *w, const TzDaytonaBox *box, json_t *doc);
static void reached(Walk *w, const TzDaytonaBox *box, json_t *doc);
static json_t *policy_told(json_t *doc);
static void asleep(Walk *w, const TzDaytonaBox *box);
static void moved(Walk *w);
static void dropped(Walk *w);
static void port_told(Walk *w);
static void swept(Walk *w);
static void poll_again(Walk *w, json_t *more);
static void drop(Walk *w, TzSlice id, const char *what, TzSlice why);
static void fail_kept(Walk *w);
static void give_up(Walk *w);
static bool read_box(json_t *doc, TzDaytonaBox *box);
static bool is(TzSlice state, const char *const *names);
static bool wait_told(const TzHttpResponse *in, int64_t now_ms, int *wait_ms);

static const char *const dead[] = {"error", "build_failed", NULL};
static const char *const ended[] = {"destroyed", "destroying", NULL};
static const char *const sleeping[] = {"stopped", "paused", "archived", "archiving", NULL};

void
tz_daytona_answer(const TzEffect *effect, const TzHttpResponse *in, const TzDaytonaFollower *to,
                  TzOutcome *out)
{
	Walk w = {effect, in, out, tz_daytona_phase(effect, NULL, in->request),
	          strcmp(effect->op, "create") == 0};

	out->verdict = TZ_V_FAILED;
	if (strcmp(w.phase, "create") == 0)
		created(&w);
	else if (strcmp(w.phase, "look") == 0 || strcmp(w.phase, "named") == 0)
		looked(&w);
	else if (strcmp(w.phase, "poll") == 0 || strcmp(w.phase, "find") == 0)
		polled(&w);
	else if (strcmp(w.phase, "drop") == 0)
		dropped(&w);
	else if (strcmp(w.phase, "port") == 0)
		port_told(&w);
	else if (strcmp(w.phase, "sweep") == 0)
		swept(&w);
	else if (strcmp(w.phase, "work") == 0 || strcmp(w.phase, "watch") == 0 ||
	         strcmp(w.phase, "sample") == 0 || strcmp(w.phase, "clear") == 0)
		tz_daytona_worked(effect, w.phase, in, to, out);
	else
		moved(&w);
}

/* ---- making one ---- */

static void
created(Walk *w)
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
		tz_daytona_next(w->effect, "look", w->in->status == 400 ? 0 : 1000,
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
	if (read_box(doc, &box))
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
static void
looked(Walk *w)
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
				tz_daytona_next(w->effect, w->phase, 2000, json_pack("{s:I}", "empty", (json_int_t) empty),
				                w->out);
			else
				give_up(w);
			return;
		}
	}
	items = by_name && doc != NULL ? json_pack("[O]", doc) : json_incref(json_object_get(doc, "items"));
	json_array_foreach (items, i, item)
	{
		const char *label =
			json_string_value(json_object_get(json_object_get(item, "labels"), TZ_DAYTONA_TAG));

		if (tag == NULL || label == NULL || strcmp(tag, label) != 0 || !read_box(item, &box) ||
		    is(box.state, ended))
			continue;
		if (refused || is(box.state, dead))
			drop(w, box.id, NULL, box.reason);
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
		tz_daytona_next(w->effect, "look", 2000, json_pack("{s:I}", "empty", (json_int_t) empty), w->out);
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
static void
drop(Walk *w, TzSlice id, const char *what, TzSlice why)
{
	json_t *more = json_pack("{s:s%}", "id", id.data, id.len);

	if (what != NULL)
		json_object_set_new(more, "why", json_string(what));
	if (why.len > 0)
		tz_json_set_text(more, "said", tz_slice(why.data, tz_utf8_cut(why, 200)), NULL);
	tz_daytona_next(w->effect, "drop", 0, more, w->out);
}

static void
dropped(Walk *w)
{
	int64_t tries = tz_daytona_counted(w->effect, "drops") + 1;
	bool gone = w->in->err.status == TZ_OK && (w->in->status == 404 || w->in->status == 409 ||
	                                           (w->in->status >= 200 && w->in->status < 300));

	if (!gone && tries < DROP_TRIES)
		tz_daytona_next(w->effect, "drop", 2000, json_pack("{s:I}", "drops", (json_int_t) tries), w->out);
	else
		fail_kept(w);
}

/* ---- looking at one ---- */

static void
polled(Walk *w)
{
	TzDaytonaBox box;
	bool destroy = strcmp(w->effect->op, "destroy") == 0;
	json_t *doc;

	if (w->in->err.status == TZ_OK && w->in->status == 404)
	{
		if (destroy)
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
	if (!read_box(doc, &box))
		tz_daytona_bad(w->in, w->out, "it is no sandbox");
	else if (destroy)
	{
		if (tz_slice_eq_cstr(box.state, "destroyed"))
			tz_answer_done(w->out, json_object());
		else
			poll_again(w, NULL);
	}
	else if (is(box.state, ended))
	{
		if (!w->create)
			tz_daytona_gone(w->in, w->out);
		else
		{
			tz_err_set(&w->out->err, TZ_UNAVAILABLE, "the sandbox was destroyed before it had started");
			tz_answer_fail(w->in, "provider_error", w->out);
		}
	}
	else if (is(box.state, dead) && w->create)
		drop(w, box.id, "the sandbox failed to start", box.reason);
	else if (is(box.state, dead))
	{
		tz_err_set(&w->out->err, TZ_UNAVAILABLE, "the sandbox is broken at its provider");
		if (box.reason.len > 0)
			tz_err_detail(&w->out->err, "Provider said: %.*s", (int) tz_utf8_cut(box.reason, 200),
			              box.reason.data);
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
found(Walk *w, const TzDaytonaBox *box, json_t *doc)
{
	bool vm = tz_slice_eq_cstr(box->kind, "linux-vm") || tz_slice_eq_cstr(box->kind, "windows");
	bool started = tz_slice_eq_cstr(box->state, "started");

	if (strcmp(w->effect->op, "pause") != 0)
		reached(w, box, doc);
	else if (is(box->state, sleeping))
		asleep(w, box);
	else if (started && box->toolbox.len > 0)
		tz_daytona_next(w->effect, "clear", 0,
		                json_pack("{s:s%, s:s}", "toolbox", box->toolbox.data, box->toolbox.len, "then",
		                          vm ? "pause" : "stop"),
		                w->out);
	else if (started)
		tz_daytona_next(w->effect, vm ? "pause" : "stop", 0, NULL, w->out);
	else
		poll_again(w, NULL);
}

/* Where it had to be, or on its way there. */
static void
reached(Walk *w, const TzDaytonaBox *box, json_t *doc)
{
	const char *op = w->effect->op;

	if (strcmp(op, "pause") == 0)
	{
		if (is(box->state, sleeping))
			asleep(w, box);
		else if (tz_slice_eq_cstr(box->state, "started") &&
		         json_object_get(w->effect->state, "asked") == NULL)
			found(w, box, doc);
		else
			poll_again(w, NULL);
		return;
	}
	if (is(box->state, sleeping) && !tz_slice_eq_cstr(box->state, "archiving") && !w->create &&
	    tz_daytona_counted(w->effect, "starts") < STARTS_MAX)
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
asleep(Walk *w, const TzDaytonaBox *box)
{
	w->out->keep = true;
	tz_buf_reset(&w->out->kept);
	tz_answer_done(w->out, json_pack("{s:s%, s:b}", "snapshot", box->id.data, box->id.len, "supported", 1));
}

static void
poll_again(Walk *w, json_t *more)
{
	static const int waits[] = {200, 300, 500, 1000};
	int64_t n = tz_daytona_counted(w->effect, "polls");
	int64_t since = tz_daytona_counted(w->effect, "since");
	int wait = waits[n < 4 ? n : 3];

	if (since == 0)
		since = w->effect->now_ms;
	if (w->effect->now_ms - since > SETTLE_MS)
	{
		give_up(w);
		json_decref(more);
		return;
	}
	(void) wait_told(w->in, w->effect->now_ms, &wait);
	if (more == NULL)
		more = json_object();
	json_object_set_new(more, "polls", json_integer(n + 1));
	json_object_set_new(more, "since", json_integer(since));
	tz_daytona_next(w->effect, "poll", wait, more, w->out);
}

/* ---- asking for a move: start, stop, pause, delete ---- */

static void
moved(Walk *w)
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
port_told(Walk *w)
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
swept(Walk *w)
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

		if (read_box(item, &box) && json_is_string(tag) && !is(box.state, ended))
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

/* ---- ends ---- */

/* Time is up: what was made is deleted first. */
static void
give_up(Walk *w)
{
	const char *id = json_string_value(json_object_get(w->effect->state, "id"));

	if (w->create && id != NULL)
	{
		drop(w, tz_slice_cstr(id), "the sandbox did not start in time", tz_slice(NULL, 0));
		return;
	}
	if (w->out->err.status == TZ_OK)
		tz_err_set(&w->out->err, TZ_TIMEOUT,
		           "the sandbox did not get into the state that was asked for in time");
	tz_answer_fail(w->in, "provider_error", w->out);
}

/* The failure that an earlier phase met. */
static void
fail_kept(Walk *w)
{
	const char *why = json_string_value(json_object_get(w->effect->state, "why"));
	const char *said = json_string_value(json_object_get(w->effect->state, "said"));

	tz_err_set(&w->out->err, tz_daytona_counted(w->effect, "refused") != 0 ? TZ_REFUSED : TZ_UNAVAILABLE,
	           "%s", why != NULL ? why : "the sandbox could not be made");
	if (said != NULL && said[0] != '\0')
		tz_err_detail(&w->out->err, "%s%s",
		              strncmp(said, "Provider said", 13) == 0 ? "" : "Provider said: ", said);
	tz_err_hint(&w->out->err, "The provider's dashboard says more; nothing is left of it there.");
	tz_answer_fail(w->in, "provider_error", w->out);
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

/* ---- reading ---- */

static bool
read_box(json_t *doc, TzDaytonaBox *box)
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

static bool
is(TzSlice state, const char *const *names)
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
static bool
wait_told(const TzHttpResponse *in, int64_t now_ms, int *wait_ms)
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
	if (wait_told(in, effect->now_ms, &wait_ms))
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
