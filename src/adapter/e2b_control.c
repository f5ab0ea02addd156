/*-------------------------------------------------------------------------
 *
 * e2b_control.c
 *	  E2B's control plane: sandboxes asked about, woken, paused, ended.
 *
 * Apart from a snapshot, whatever is asked here leaves the same when it is asked twice.
 *
 *-------------------------------------------------------------------------
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "adapter/e2b.h"
#include "lib/json.h"
#include "lib/utf8.h"

#define TEMPLATE_MAX 256
#define LIFETIME_DEFAULT_S 3600
#define LIFETIME_MAX_S (30 * 24 * 3600)
#define ASKED_MAX 3
#define WOKEN_MAX 2
#define PAUSE_TRIES 3
#define PAUSE_WAIT_MS 1000


/* ---- asked about, woken ---------------------------------------------------------- */

TzStatus
tz_e2b_build_ask(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	return tz_e2b_of_sandbox(effect, to, "GET", "", out, err);
}

static void
fail_next(const TzHttpResponse *in, const char *what, TzOutcome *out)
{
	tz_err_set(&out->err, TZ_UNAVAILABLE, "%s", what);
	tz_err_hint(&out->err, "Try again later; the provider's log says more.");
	tz_answer_fail(in, "provider_error", out);
}

/* A pause that was refused as a conflict: is it paused, or not yet? */
static void
pause_asked(const TzEffect *effect, const TzHttpResponse *in, bool paused, TzOutcome *out)
{
	TzSlice id = {NULL, 0};
	int64_t tries = tz_e2b_state_int(effect, "tries");

	(void) tz_e2b_sandbox(effect, &id, NULL);
	if (paused)
	{
		tz_answer_done(out, json_pack("{s:s%, s:b}", "snapshot", id.data, id.len, "supported", 1));
		tz_e2b_forget(out);
	}
	else if (tries < PAUSE_TRIES)
		tz_e2b_next(effect, NULL, json_pack("{s:I}", "tries", (json_int_t) tries + 1), PAUSE_WAIT_MS, out);
	else
		fail_next(in, "the sandbox does not take a pause now", out);
}

static void
take_asked(const TzEffect *effect, const TzHttpResponse *in, json_t *doc, TzOutcome *out)
{
	const char *state = json_string_value(json_object_get(doc, "state"));
	bool paused = state != NULL && strcmp(state, "paused") == 0;
	int64_t asked = tz_e2b_state_int(effect, "asked");
	int64_t woken = tz_e2b_state_int(effect, "woken");

	if (strcmp(effect->op, "pause") == 0)
		pause_asked(effect, in, paused, out);
	else if (!tz_e2b_keep(in, doc, out))
		return;
	else if (paused && woken < WOKEN_MAX)
		tz_e2b_next(effect, "connect", json_pack("{s:I}", "woken", (json_int_t) woken + 1), 0, out);
	else if (!paused && asked < ASKED_MAX)
		tz_e2b_next(effect, NULL, json_pack("{s:I}", "asked", (json_int_t) asked + 1), 0, out);
	else
		fail_next(in, paused ? "the sandbox cannot be woken" : "the sandbox's token is not to be had", out);
}

/* What it has, as the provider says it. */
static json_t *
policy_of(json_t *doc)
{
	static const char *const figures[][2] = {{"memoryMB", "memory_mb"}, {"diskSizeMB", "disk_mb"}};
	json_t *policy = json_object();
	json_t *open = json_object_get(doc, "allowInternetAccess");
	int64_t value = 0;

	if (json_is_boolean(open))
		json_object_set(policy, "network", open);
	for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
		if (tz_json_get_int(doc, figures[i][0], true, 0, INT32_MAX, &value, NULL) == TZ_OK)
			json_object_set_new(policy, figures[i][1], json_integer(value));
	return policy;
}

/* It is there whatever this answer says, or does not; its token can be asked for later. */
static void
confirm(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	json_t *result = json_copy(json_object_get(effect->state, "made"));
	json_t *doc = in->err.status == TZ_OK && in->status == 200 ? tz_e2b_document(in) : NULL;

	if (json_is_object(doc))
	{
		json_object_set_new(result, "policy", policy_of(doc));
		(void) tz_e2b_keep(in, doc, out);
	}
	json_decref(doc);
	tz_err_clear(&out->err);
	tz_answer_done(out, result);
}

void
tz_e2b_asked(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	json_t *doc;

	if (strcmp(effect->op, "create") == 0)
	{
		confirm(effect, in, out);
		return;
	}
	if (in->err.status != TZ_OK || in->status != 200)
	{
		tz_e2b_refused(effect, TZ_REPEAT_READ, in, out);
		return;
	}
	doc = tz_answer_json(in, out);
	if (doc != NULL)
		take_asked(effect, in, doc, out);
	json_decref(doc);
}

TzStatus
tz_e2b_build_connect(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	int64_t lifetime_s;
	TzStatus status = tz_e2b_lifetime(effect, to, &lifetime_s, err);

	if (status == TZ_OK)
		status = tz_e2b_of_sandbox(effect, to, "POST", "/connect", out, err);
	tz_buf_printf(&out->body, "{\"timeout\":%lld}", (long long) lifetime_s);
	return status;
}

/* 200: it was running, 201: it was woken. Its token may be another one. */
static json_t *
take_connected(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	json_t *doc = NULL;
	json_t *result = NULL;

	if (in->err.status == TZ_OK && (in->status == 200 || in->status == 201))
		doc = tz_answer_json(in, out);
	/* a transition is under way, which ends */
	else if (in->err.status == TZ_OK && in->status == 409 && tz_e2b_counted(effect).attempt < 4)
	{
		tz_e2b_refused(effect, TZ_REPEAT_SAME, in, out);
		out->verdict = TZ_V_RETRY;
	}
	else
		tz_e2b_refused(effect, TZ_REPEAT_SAME, in, out);
	if (doc != NULL)
		result = tz_e2b_made(in, doc, out);
	if (result != NULL && !tz_e2b_keep(in, doc, out))
	{
		json_decref(result);
		result = NULL;
	}
	json_decref(doc);
	return result;
}

void
tz_e2b_connected(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	json_t *result = take_connected(effect, in, out);

	if (result != NULL)
		tz_e2b_next(effect, NULL, NULL, 0, out);
	json_decref(result);
}

/* ---- pause, resume, end ----------------------------------------------------------- */

TzStatus
tz_e2b_build_pause(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept, TzHttpRequest *out,
                   TzErr *err)
{
	TzStatus status = tz_e2b_of_sandbox(effect, to, "POST", "/pause", out, err);

	(void) kept;
	if (!tz_e2b_config_bool(to, "pauseMemory", true))
		tz_buf_append_cstr(&out->body, "{\"memory\":false}");
	return status;
}

void
tz_e2b_paused(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	TzSlice id = {NULL, 0};

	(void) tz_e2b_sandbox(effect, &id, NULL);
	if (in->err.status == TZ_OK && in->status >= 200 && in->status <= 299)
	{
		tz_answer_done(out, json_pack("{s:s%, s:b}", "snapshot", id.data, id.len, "supported", 1));
		tz_e2b_forget(out);
	}
	else if (in->err.status == TZ_OK && in->status == 409)
		tz_e2b_next(effect, "ask", NULL, 0, out);
	else
		tz_e2b_refused(effect, TZ_REPEAT_SAME, in, out);
}

TzStatus
tz_e2b_build_resume(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept, TzHttpRequest *out,
                    TzErr *err)
{
	(void) kept;
	return tz_e2b_build_connect(effect, to, out, err);
}

void
tz_e2b_resumed(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	json_t *result = take_connected(effect, in, out);

	if (result != NULL)
		tz_answer_done(out, json_pack("{s:O}", "sandbox", json_object_get(result, "sandbox")));
	json_decref(result);
}

/* One whose name nobody learnt is looked for by our tag. */
TzStatus
tz_e2b_build_destroy(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept, TzHttpRequest *out,
                     TzErr *err)
{
	(void) kept;
	return tz_e2b_of_sandbox(effect, to, "DELETE", "", out, err);
}

void
tz_e2b_destroyed(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	if (in->err.status == TZ_OK && (in->status == 404 || (in->status >= 200 && in->status <= 299)))
	{
		tz_answer_done(out, json_object());
		tz_e2b_forget(out);
	}
	else
		tz_e2b_refused(effect, TZ_REPEAT_REMOVE, in, out);
}

/* It may be shortened as well as drawn out; the provider keeps to its own ceiling. */
TzStatus
tz_e2b_build_renew(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept, TzHttpRequest *out,
                   TzErr *err)
{
	int64_t lifetime_s;
	TzStatus status = tz_e2b_lifetime(effect, to, &lifetime_s, err);

	(void) kept;
	if (status == TZ_OK)
		status = tz_e2b_of_sandbox(effect, to, "POST", "/timeout", out, err);
	tz_buf_printf(&out->body, "{\"timeout\":%lld}", (long long) lifetime_s);
	return status;
}

void
tz_e2b_renewed(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	if (in->err.status == TZ_OK && in->status >= 200 && in->status <= 299)
	{
		json_t *result = json_object();

		tz_e2b_cut_lifetime(effect, in, result);
		tz_answer_done(out, result);
	}
	else
		tz_e2b_refused(effect, TZ_REPEAT_SAME, in, out);
}

/* ---- what all of them do ------------------------------------------------------------ */

void
tz_e2b_refused(const TzEffect *effect, TzRepeat repeat, const TzHttpResponse *in, TzOutcome *out)
{
	TzEffect counted = tz_e2b_counted(effect);
	json_t *doc;
	json_t *code;

	if (in->err.status != TZ_OK)
	{
		tz_answer_transport(&counted, repeat, in, out);
		return;
	}
	tz_answer_status(&counted, repeat, in, out);
	if (in->status >= 200 && in->status <= 299)
		out->verdict = TZ_V_FAILED;
	doc = tz_e2b_document(in);
	code = json_object_get(doc, "error_code");
	if (json_is_string(code) && out->result != NULL && json_string_length(code) <= 64)
		(void) tz_json_set_text(out->result, "reason", tz_slice_cstr(json_string_value(code)), NULL);
	json_decref(doc);
	/* of a sandbox: it is gone, or about to be; others have asked for something else */
	if (in->status == 404 && strcmp(effect->op, "create") != 0 && strcmp(effect->op, "sweep") != 0 &&
	    tz_e2b_phase(effect) != TZ_E2B_FIND)
	{
		out->verdict = TZ_V_FAILED;
		tz_err_set(&out->err, TZ_GONE, "the sandbox is gone");
		tz_err_hint(&out->err, "Its files are lost. The next exec makes a new sandbox.");
		tz_e2b_forget(out);
	}
	else if (in->status == 404)
		tz_err_hint(&out->err, "Check the provider's endpoint, and the template that its config names.");
}

TzStatus
tz_e2b_of_sandbox(const TzEffect *effect, const TzEndpoint *to, const char *method, const char *path,
                  TzHttpRequest *out, TzErr *err)
{
	TzSlice id;
	TzStatus status = tz_e2b_sandbox(effect, &id, err);

	if (status == TZ_OK)
		status = tz_e2b_control(effect, to, method, out, err);
	if (status != TZ_OK)
		return status;
	tz_buf_append_cstr(&out->url, "/sandboxes/");
	tz_buf_append(&out->url, id.data, id.len);
	tz_buf_append_cstr(&out->url, path);
	return TZ_OK;
}

bool
tz_e2b_config_bool(const TzEndpoint *to, const char *key, bool otherwise)
{
	json_t *value = json_object_get(to->config, key);

	return json_is_boolean(value) ? json_is_true(value) : otherwise;
}


/* What the plan of the account allows is not known here; beyond it a create would be refused. */
TzStatus
tz_e2b_lifetime(const TzEffect *effect, const TzEndpoint *to, int64_t *seconds, TzErr *err)
{
	int64_t most = LIFETIME_DEFAULT_S;
	TzStatus status;

	*seconds = LIFETIME_DEFAULT_S;
	status = tz_json_get_int(effect->request, "lifetime_s", false, 1, LIFETIME_MAX_S, seconds, err);
	if (status == TZ_OK)
		status = tz_json_get_int(to->config, "maxLifetimeSeconds", false, 1, LIFETIME_MAX_S, &most, err);
	if (status == TZ_OK && *seconds > most)
		*seconds = most;
	return status;
}


/* {"sandbox", "isolation", "metadata"} of a sandbox; NULL with out filled. */
json_t *
tz_e2b_made(const TzHttpResponse *in, json_t *doc, TzOutcome *out)
{
	static const char *const shown[] = {"templateID", "envdVersion", "alias"};
	json_t *metadata;
	TzSlice id = {NULL, 0};

	if (tz_json_get_str(doc, "sandboxID", true, TZ_E2B_ID_MAX, &id, NULL) != TZ_OK || !tz_e2b_id_ok(id))
	{
		tz_answer_bad(in, out, "\"sandboxID\" is missing or not valid");
		return NULL;
	}
	metadata = json_object();
	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
	{
		TzSlice text = {NULL, 0};

		if (tz_json_get_str(doc, shown[i], false, TEMPLATE_MAX, &text, NULL) == TZ_OK && text.len > 0)
			(void) tz_json_set_text(metadata, shown[i], text, NULL);
	}
	return json_pack("{s:s%, s:n, s:o}", "sandbox", id.data, id.len, "isolation", "metadata", metadata);
}

/* Says so in the result, where less was sent than was asked for. */
void
tz_e2b_cut_lifetime(const TzEffect *effect, const TzHttpResponse *in, json_t *result)
{
	json_t *sent = NULL;
	int64_t wanted = LIFETIME_DEFAULT_S;
	int64_t given = 0;

	(void) tz_json_get_int(effect->request, "lifetime_s", false, 1, LIFETIME_MAX_S, &wanted, NULL);
	if (in->request != NULL && in->request->body.len > 0)
		(void) tz_json_parse(tz_buf_slice(&in->request->body), NULL, &sent, NULL);
	if (tz_json_get_int(sent, "timeout", true, 1, LIFETIME_MAX_S, &given, NULL) == TZ_OK && given != wanted)
		json_object_set_new(result, "lifetime_s", json_integer(given));
	json_decref(sent);
}
