/*-------------------------------------------------------------------------
 *
 * e2b_control.c
 *	  E2B's control plane: sandboxes made, found again, woken, paused, ended.
 *
 * A create is sent once. When nobody saw how it ended, its verdict is "unknown" and
 * the next attempt looks for a sandbox that carries our tag; while there is none the
 * verdict stays, because one may still come.
 *
 *-------------------------------------------------------------------------
 */
#include <limits.h>
#include <string.h>

#include "adapter/e2b.h"
#include "adapter/shell.h"
#include "lib/json.h"
#include "lib/utf8.h"

#define TAG_KEY "theazo.id"
#define INSTANCE_KEY "theazo.instance"
#define TAG_MAX 128
#define TEMPLATE_MAX 256
#define LIFETIME_DEFAULT_S 3600
#define LIFETIME_MAX_S (30 * 24 * 3600)
#define SNAPSHOT_MAX 256
#define ASKED_MAX 3
#define WOKEN_MAX 2
#define PAUSE_TRIES 3
#define PAUSE_WAIT_MS 1000
#define LOG_LINES_MAX 1000
#define LOG_LINES_DEFAULT 100
#define LOG_TEXT_MAX 16384

static TzStatus append_sandbox(const TzEffect *effect, const TzEndpoint *to, const char *method,
                               const char *path, TzHttpRequest *out, TzErr *err);
static TzStatus take_tag(const TzEffect *effect, TzSlice *tag, TzErr *err);
static TzStatus append_json(json_t *doc, TzHttpRequest *out, TzErr *err);
static json_t *sandbox_document(const TzHttpResponse *in, json_t *doc, TzOutcome *out);

/* ---- create -------------------------------------------------------------------- */

/* A member that would have to be served and cannot be. */
static TzStatus
refuse_option(const TzEffect *effect, const char *key, TzErr *err)
{
	json_t *value = json_object_get(effect->request, key);

	if (value == NULL || json_is_null(value) || json_is_false(value))
		return TZ_OK;
	tz_err_set(err, TZ_UNSUPPORTED, "provider does not support \"%s\"", key);
	tz_err_detail(err, "capability_unsupported");
	tz_err_hint(err, "What a sandbox has is decided by its template; name one in the provider's config.");
	return TZ_UNSUPPORTED;
}

/* A snapshot to begin with; else a template for browsers, for the runtime, for all; else the vendor's. */
static TzStatus
take_template(const TzEffect *effect, const TzEndpoint *to, TzSlice *template, TzErr *err)
{
	json_t *templates = json_object_get(to->config, "templates");
	TzSlice runtime = tz_slice_cstr("python");
	char name[33];
	json_t *found;
	TzStatus status;

	*template = tz_slice(NULL, 0);
	status = tz_json_get_str(effect->request, "snapshot", false, SNAPSHOT_MAX, template, err);
	if (status == TZ_OK)
		status = tz_json_get_str(effect->request, "runtime", false, sizeof(name) - 1, &runtime, err);
	if (status != TZ_OK || template->len > 0)
		return status;
	snprintf(name, sizeof(name), "%.*s", (int) runtime.len, runtime.data);
	if (json_is_true(json_object_get(effect->request, "browser")))
	{
		found = json_object_get(templates, "browser");
		if (!json_is_string(found))
			return refuse_option(effect, "browser", err);
	}
	else
		found = json_object_get(templates, name);
	if (!json_is_string(found))
		found = json_object_get(to->config, "template");
	*template = json_is_string(found) ? tz_slice(json_string_value(found), json_string_length(found))
	                                  : tz_slice_cstr("base");
	if (template->len == 0 || template->len > TEMPLATE_MAX || tz_utf8_has_control(*template))
		return tz_err_set(err, TZ_BAD_INPUT, "template of the sandbox is not valid");
	return TZ_OK;
}

/* What the plan of the account allows is not known here; beyond it a create would be refused. */
static TzStatus
take_lifetime(const TzEffect *effect, const TzEndpoint *to, int64_t *seconds, TzErr *err)
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

static bool
config_bool(const TzEndpoint *to, const char *key, bool otherwise)
{
	json_t *value = json_object_get(to->config, key);

	return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

/* Hosts by name, on the ports of the web: the gateway's filter knows no others. */
static TzStatus
add_allowed(json_t *allow, json_t *network, TzErr *err)
{
	json_t *out = json_array();
	json_t *rule;
	size_t i;

	json_object_set_new(network, "allowOut", out);
	json_object_set_new(network, "denyOut", json_pack("[s]", "0.0.0.0/0"));
	json_array_foreach (allow, i, rule)
	{
		const char *text = json_string_value(rule);
		const char *colon = text != NULL ? strrchr(text, ':') : NULL;
		size_t len = text != NULL ? strlen(text) : 0;

		if (colon != NULL && strcmp(colon, ":443") == 0)
			len = (size_t) (colon - text);
		else if (text == NULL || colon != NULL)
		{
			tz_err_set(err, TZ_UNSUPPORTED, "provider does not support \"network.allow\" with ports");
			tz_err_detail(err, "capability_unsupported");
			tz_err_hint(err, "Name hosts without a port; they are reached on the ports of the web.");
			return TZ_UNSUPPORTED;
		}
		json_array_append_new(out, json_stringn(text, len));
	}
	return TZ_OK;
}

static TzStatus
add_network(const TzEffect *effect, const TzEndpoint *to, json_t *body, TzErr *err)
{
	json_t *wanted = json_object_get(effect->request, "network");
	json_t *allow = json_object_get(wanted, "allow");
	bool enabled = json_is_true(json_object_get(wanted, "enabled"));
	bool open = config_bool(to, "publicTraffic", true);
	json_t *network;
	TzStatus status = TZ_OK;

	json_object_set_new(body, "allow_internet_access", json_boolean(enabled));
	if (open && !(enabled && json_array_size(allow) > 0))
		return TZ_OK;
	network = json_object();
	json_object_set_new(body, "network", network);
	if (!open)
		json_object_set_new(network, "allowPublicTraffic", json_false());
	if (enabled && json_array_size(allow) > 0)
		status = add_allowed(allow, network, err);
	return status;
}

/* Names and ids of ours. Secrets go with each command, so that no snapshot of the sandbox holds them. */
static TzStatus
add_env(const TzEffect *effect, json_t *body, TzErr *err)
{
	json_t *env = NULL;
	json_t *value;
	const char *name;
	TzStatus status = tz_json_get_object(effect->request, "env", false, &env, err);

	if (status != TZ_OK)
		return status;
	json_object_foreach (env, name, value)
		if (!tz_shell_name_ok(name) || !json_is_string(value))
			return tz_err_set(err, TZ_BAD_INPUT,
			                  "environment variable \"%.64s\" has a bad name or is no string", name);
	json_object_set_new(body, "envVars", env != NULL ? json_copy(env) : json_object());
	return TZ_OK;
}

TzStatus
tz_e2b_build_create(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept, TzHttpRequest *out,
                    TzErr *err)
{
	static const char *const unserved[] = {"region", "gpu", "storage_gb"};
	TzSlice template;
	TzSlice tag = {NULL, 0};
	int64_t lifetime_s;
	json_t *body;
	TzStatus status = take_template(effect, to, &template, err);

	(void) kept;
	for (size_t i = 0; status == TZ_OK && i < sizeof(unserved) / sizeof(unserved[0]); i++)
		status = refuse_option(effect, unserved[i], err);
	if (status == TZ_OK)
		status = take_lifetime(effect, to, &lifetime_s, err);
	if (status == TZ_OK)
		status = take_tag(effect, &tag, err);
	if (status == TZ_OK)
		status = tz_e2b_control(effect, to, "POST", out, err);
	if (status != TZ_OK)
		return status;
	tz_buf_append_cstr(&out->url, "/sandboxes");
	body = json_pack("{s:s%, s:I, s:b, s:{s:s%}}", "templateID", template.data, template.len, "timeout",
	                 (json_int_t) lifetime_s, "secure", config_bool(to, "secure", true), "metadata", TAG_KEY,
	                 tag.data, tag.len);
	if (json_is_string(json_object_get(effect->request, "instance")))
		json_object_set(json_object_get(body, "metadata"), INSTANCE_KEY,
		                json_object_get(effect->request, "instance"));
	if (config_bool(to, "autoPause", false))
		json_object_set_new(body, "autoPause", json_true());
	status = add_network(effect, to, body, err);
	if (status == TZ_OK)
		status = add_env(effect, body, err);
	if (status != TZ_OK)
	{
		json_decref(body);
		return status;
	}
	return append_json(body, out, err);
}

/* What nobody saw the end of, or a gateway on the way cut off, may have made one. */
static bool
may_exist(const TzHttpResponse *in)
{
	json_t *doc;
	bool said;

	if (in->err.status != TZ_OK)
		return in->maybe_sent;
	if (in->status >= 200 && in->status <= 299)
		return true;
	if (in->status < 500)
		return false;
	/* of the provider's own failures nothing is left; a gateway does not know */
	doc = tz_e2b_document(in);
	said = json_is_integer(json_object_get(doc, "code")) &&
	       (in->status != 504 || json_is_string(json_object_get(doc, "error_code"))) && in->status != 502;
	json_decref(doc);
	return !said;
}

void
tz_e2b_created(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	json_t *doc = NULL;
	json_t *result = NULL;

	if (in->err.status == TZ_OK && in->status >= 200 && in->status <= 299)
	{
		doc = tz_answer_json(in, out);
		if (doc != NULL)
			result = sandbox_document(in, doc, out);
		if (result != NULL && tz_e2b_keep(in, doc, out))
			tz_answer_done(out, json_incref(result));
		json_decref(result);
		json_decref(doc);
	}
	else
		tz_e2b_refused(effect, TZ_REPEAT_NEVER, in, out);
	if (out->verdict == TZ_V_FAILED && may_exist(in))
		out->verdict = TZ_V_UNKNOWN;
}

/* {"sandbox", "isolation", "metadata"} of a sandbox; NULL with out filled. */
static json_t *
sandbox_document(const TzHttpResponse *in, json_t *doc, TzOutcome *out)
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

/* ---- found again by our tag ------------------------------------------------------ */

TzStatus
tz_e2b_build_find(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	TzSlice tag = {NULL, 0};
	TzStatus status = take_tag(effect, &tag, err);

	if (status == TZ_OK)
		status = tz_e2b_control(effect, to, "GET", out, err);
	if (status != TZ_OK)
		return status;
	tz_buf_append_cstr(&out->url, "/v2/sandboxes?metadata=" TAG_KEY "%3D");
	tz_e2b_append_encoded(tag, &out->url);
	tz_buf_append_cstr(&out->url, "&state=running,paused&limit=100");
	return TZ_OK;
}

/* Ids of those that carry our tag, whatever the filter at the other end let through. */
static json_t *
tagged_ids(const TzEffect *effect, json_t *list)
{
	json_t *ids = json_array();
	TzSlice tag = {NULL, 0};
	json_t *item;
	size_t i;

	if (take_tag(effect, &tag, NULL) != TZ_OK)
		return ids;
	json_array_foreach (list, i, item)
	{
		json_t *value = json_object_get(json_object_get(item, "metadata"), TAG_KEY);
		TzSlice id = {NULL, 0};

		if (json_is_string(value) && tz_slice_eq_cstr(tag, json_string_value(value)) &&
		    tz_json_get_str(item, "sandboxID", true, TZ_E2B_ID_MAX, &id, NULL) == TZ_OK && tz_e2b_id_ok(id))
			json_array_append_new(ids, json_stringn(id.data, id.len));
	}
	return ids;
}

/* One is the one; more came of copies of one request, and all but one go. A sandbox that is to end goes altogether. */
static void
take_found(const TzEffect *effect, json_t *list, TzOutcome *out)
{
	bool destroy = strcmp(effect->op, "destroy") == 0;
	json_t *ids = tagged_ids(effect, list);
	size_t n = json_array_size(ids);

	if (destroy && n == 0)
		tz_answer_done(out, json_object());
	else if (n == 0)
	{
		out->verdict = TZ_V_UNKNOWN;
		tz_err_set(&out->err, TZ_UNAVAILABLE,
		           "nobody saw how the creation ended, and no sandbox carries its tag yet");
		tz_err_hint(&out->err, "Look for %s at the provider before you make another.", TAG_KEY);
		out->error_code = "provider_error";
	}
	else if (n == 1 && !destroy)
		tz_answer_done(out, json_pack("{s:O, s:n, s:{}}", "sandbox", json_array_get(ids, 0), "isolation",
		                              "metadata"));
	else
	{
		json_t *kept = destroy ? json_null() : json_incref(json_array_get(ids, 0));

		if (!destroy)
			json_array_remove(ids, 0);
		tz_e2b_next(effect, "drop", json_pack("{s:o, s:O}", "one", kept, "drop", ids), 0, out);
	}
	json_decref(ids);
}

void
tz_e2b_found(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	bool creating = strcmp(effect->op, "create") == 0;
	json_t *doc = NULL;

	if (in->err.status != TZ_OK || in->status != 200)
		tz_e2b_refused(effect, creating ? TZ_REPEAT_READ : TZ_REPEAT_REMOVE, in, out);
	else if ((doc = tz_answer_json(in, out)) != NULL && !json_is_array(doc))
		tz_answer_bad(in, out, "list of sandboxes is no array");
	else if (doc != NULL)
		take_found(effect, doc, out);
	json_decref(doc);
	/* as long as nobody could look, it may be there */
	if (creating && out->verdict == TZ_V_FAILED)
		out->verdict = TZ_V_UNKNOWN;
}

TzStatus
tz_e2b_build_drop(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	json_t *id = json_array_get(json_object_get(effect->state, "drop"), 0);
	TzStatus status;

	if (!json_is_string(id) || !tz_e2b_id_ok(tz_slice(json_string_value(id), json_string_length(id))))
		return tz_err_set(err, TZ_INTERNAL, "state of the call is not valid");
	status = tz_e2b_control(effect, to, "DELETE", out, err);
	tz_buf_append_cstr(&out->url, "/sandboxes/");
	tz_buf_append_cstr(&out->url, json_string_value(id));
	return status;
}

void
tz_e2b_dropped(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	json_t *one = json_object_get(effect->state, "one");
	json_t *rest;

	if (in->err.status != TZ_OK || (in->status != 404 && (in->status < 200 || in->status > 299)))
	{
		tz_e2b_refused(effect, TZ_REPEAT_REMOVE, in, out);
		return;
	}
	rest = json_copy(json_object_get(effect->state, "drop"));
	json_array_remove(rest, 0);
	if (json_array_size(rest) > 0)
		tz_e2b_next(effect, "drop", json_pack("{s:O}", "drop", rest), 0, out);
	else if (json_is_string(one))
		tz_answer_done(out, json_pack("{s:O, s:n, s:{}}", "sandbox", one, "isolation", "metadata"));
	else
		tz_answer_done(out, json_object());
	json_decref(rest);
}

/* ---- asked about, woken ---------------------------------------------------------- */

TzStatus
tz_e2b_build_ask(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	return append_sandbox(effect, to, "GET", "", out, err);
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

void
tz_e2b_asked(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	json_t *doc;

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
	TzStatus status = take_lifetime(effect, to, &lifetime_s, err);

	if (status == TZ_OK)
		status = append_sandbox(effect, to, "POST", "/connect", out, err);
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
		result = sandbox_document(in, doc, out);
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
	TzStatus status = append_sandbox(effect, to, "POST", "/pause", out, err);

	(void) kept;
	if (!config_bool(to, "pauseMemory", true))
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
	return append_sandbox(effect, to, "DELETE", "", out, err);
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
	TzStatus status = take_lifetime(effect, to, &lifetime_s, err);

	(void) kept;
	if (status == TZ_OK)
		status = append_sandbox(effect, to, "POST", "/timeout", out, err);
	tz_buf_printf(&out->body, "{\"timeout\":%lld}", (long long) lifetime_s);
	return status;
}

void
tz_e2b_renewed(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	if (in->err.status == TZ_OK && in->status >= 200 && in->status <= 299)
		tz_answer_done(out, json_object());
	else
		tz_e2b_refused(effect, TZ_REPEAT_SAME, in, out);
}

/* ---- snapshots and logs ------------------------------------------------------------ */

TzStatus
tz_e2b_build_snapshot(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept, TzHttpRequest *out,
                      TzErr *err)
{
	(void) kept;
	tz_buf_append_cstr(&out->body, "{}");
	return append_sandbox(effect, to, "POST", "/snapshots", out, err);
}

void
tz_e2b_snapshotted(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	json_t *doc = NULL;
	TzSlice id = {NULL, 0};

	if (in->err.status != TZ_OK || in->status < 200 || in->status > 299)
		tz_e2b_refused(effect, TZ_REPEAT_NEVER, in, out);
	else if ((doc = tz_answer_json(in, out)) != NULL &&
	         (tz_json_get_str(doc, "snapshotID", true, SNAPSHOT_MAX, &id, NULL) != TZ_OK || id.len == 0 ||
	          !tz_utf8_valid(id) || tz_utf8_has_control(id)))
		tz_answer_bad(in, out, "\"snapshotID\" is missing or not valid");
	else if (doc != NULL)
		tz_answer_done(out, json_pack("{s:s%}", "snapshot", id.data, id.len));
	json_decref(doc);
}

TzStatus
tz_e2b_build_logs(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept, TzHttpRequest *out,
                  TzErr *err)
{
	int64_t limit = LOG_LINES_DEFAULT;
	int64_t since_ms = 0;
	TzStatus status = tz_json_get_int(effect->request, "limit", false, 1, LOG_LINES_MAX, &limit, err);

	(void) kept;
	if (status == TZ_OK)
		status = tz_json_get_int(effect->request, "since_ms", false, 0, INT64_MAX, &since_ms, err);
	if (status == TZ_OK)
		status = tz_e2b_control(effect, to, "GET", out, err);
	if (status == TZ_OK)
	{
		TzSlice id;

		tz_buf_append_cstr(&out->url, "/v2/sandboxes/");
		status = tz_e2b_sandbox(effect, &id, err);
		tz_buf_append(&out->url, id.data, id.len);
	}
	tz_buf_printf(&out->url, "/logs?limit=%lld", (long long) limit);
	if (since_ms > 0)
		tz_buf_printf(&out->url, "&cursor=%lld&direction=forward", (long long) since_ms);
	return status;
}

static json_t *
log_entry(json_t *item)
{
	static const char *const taken[][2] = {{"timestamp", "at"}, {"level", "level"}, {"message", "message"}};
	json_t *entry = json_object();

	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
	{
		TzSlice text = {NULL, 0};

		if (tz_json_get_str(item, taken[i][0], true, INT_MAX, &text, NULL) != TZ_OK)
		{
			json_decref(entry);
			return NULL;
		}
		text.len = tz_utf8_cut(text, LOG_TEXT_MAX);
		(void) tz_json_set_text(entry, taken[i][1], text, NULL);
	}
	return entry;
}

/* Oldest first, however they came. What programs print is not among them. */
void
tz_e2b_logged(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	bool backward = !json_is_integer(json_object_get(effect->request, "since_ms"));
	json_t *doc = NULL;
	json_t *lines = NULL;
	json_t *entries;
	json_t *item;
	size_t i;

	if (in->err.status != TZ_OK || in->status != 200)
		tz_e2b_refused(effect, TZ_REPEAT_READ, in, out);
	else
		doc = tz_answer_json(in, out);
	if (doc == NULL)
		return;
	if (tz_json_get_array(doc, "logs", true, LOG_LINES_MAX, &lines, NULL) != TZ_OK)
		tz_answer_bad(in, out, "\"logs\" is no array of at most %d items", LOG_LINES_MAX);
	else
	{
		entries = json_array();
		json_array_foreach (lines, i, item)
		{
			json_t *entry = log_entry(item);

			if (entry != NULL && backward)
				json_array_insert_new(entries, 0, entry);
			else if (entry != NULL)
				json_array_append_new(entries, entry);
		}
		tz_answer_done(out, json_pack("{s:o}", "entries", entries));
	}
	json_decref(doc);
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
	/* of a sandbox: it is gone, or about to be; a create has asked for something else */
	if (in->status == 404 && strcmp(effect->op, "create") != 0)
	{
		out->verdict = TZ_V_FAILED;
		tz_err_set(&out->err, TZ_GONE, "the sandbox is gone");
		tz_err_hint(&out->err, "Its files are lost. The next exec makes a new sandbox.");
		tz_e2b_forget(out);
	}
	else if (in->status == 404)
		tz_err_hint(&out->err, "Check the template that the provider's config names.");
}

static TzStatus
append_sandbox(const TzEffect *effect, const TzEndpoint *to, const char *method, const char *path,
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

static TzStatus
take_tag(const TzEffect *effect, TzSlice *tag, TzErr *err)
{
	TzStatus status = tz_json_get_str(effect->request, "tag", true, TAG_MAX, tag, err);

	if (status == TZ_OK && (tag->len == 0 || tz_utf8_has_control(*tag)))
		return tz_err_set(err, TZ_BAD_INPUT, "tag of the sandbox is not valid");
	return status;
}

/* Takes doc over. */
static TzStatus
append_json(json_t *doc, TzHttpRequest *out, TzErr *err)
{
	TzStatus status =
		doc != NULL ? tz_json_dump(doc, &out->body, err) : tz_err_set(err, TZ_NOMEM, "out of memory");

	json_decref(doc);
	return status;
}
