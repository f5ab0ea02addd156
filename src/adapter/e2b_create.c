/*-------------------------------------------------------------------------
 *
 * e2b_create.c
 *	  E2B: sandboxes made, and found again by our tag.
 *
 * A create is sent once. When nobody saw how it ended, its verdict is "unknown" and
 * the next attempt looks for a sandbox that carries our tag; while there is none the
 * verdict stays, because one may still come. What was made is asked about once, for
 * what it really has.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "adapter/e2b.h"
#include "adapter/shell.h"
#include "lib/json.h"
#include "lib/utf8.h"

#define TAG_KEY "theazo.id"
#define INSTANCE_KEY "theazo.instance"
#define TAG_MAX 128
#define INSTANCE_MAX 128
#define TEMPLATE_MAX 256
#define SNAPSHOT_MAX 256
#define LISTED_MAX 10000
#define PAGES_MAX 200
#define CURSOR_MAX 512


static TzStatus take_tag(const TzEffect *effect, TzSlice *tag, TzErr *err);
static TzStatus append_json(json_t *doc, TzHttpRequest *out, TzErr *err);

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
	bool open = tz_e2b_config_bool(to, "publicTraffic", true);
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
		status = tz_e2b_lifetime(effect, to, &lifetime_s, err);
	if (status == TZ_OK)
		status = take_tag(effect, &tag, err);
	if (status == TZ_OK)
		status = tz_e2b_control(effect, to, "POST", out, err);
	if (status != TZ_OK)
		return status;
	tz_buf_append_cstr(&out->url, "/sandboxes");
	body = json_pack("{s:s%, s:I, s:b, s:{s:s%}}", "templateID", template.data, template.len, "timeout",
	                 (json_int_t) lifetime_s, "secure", tz_e2b_config_bool(to, "secure", true), "metadata",
	                 TAG_KEY, tag.data, tag.len);
	if (json_is_string(json_object_get(effect->request, "instance")))
		json_object_set(json_object_get(body, "metadata"), INSTANCE_KEY,
		                json_object_get(effect->request, "instance"));
	if (tz_e2b_config_bool(to, "autoPause", false))
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
			result = tz_e2b_made(in, doc, out);
		if (result != NULL)
		{
			tz_e2b_cut_lifetime(effect, in, result);
			tz_e2b_next(effect, "ask", json_pack("{s:o}", "made", result), 0, out);
		}
		json_decref(doc);
	}
	else
		tz_e2b_refused(effect, TZ_REPEAT_NEVER, in, out);
	if (out->verdict == TZ_V_FAILED && may_exist(in))
		out->verdict = TZ_V_UNKNOWN;
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

static void
adopt(const TzEffect *effect, json_t *id, TzOutcome *out)
{
	tz_e2b_next(effect, "ask",
	            json_pack("{s:{s:O, s:n, s:{}}}", "made", "sandbox", id, "isolation", "metadata"), 0, out);
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
		adopt(effect, json_array_get(ids, 0), out);
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
		adopt(effect, one, out);
	else
		tz_answer_done(out, json_object());
	json_decref(rest);
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

/* ---- all of them ---------------------------------------------------------------------- */

TzStatus
tz_e2b_build_sweep(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept, TzHttpRequest *out,
                   TzErr *err)
{
	json_t *cursor = json_object_get(effect->state, "cursor");
	TzStatus status = tz_e2b_control(effect, to, "GET", out, err);

	(void) kept;
	tz_buf_append_cstr(&out->url, "/v2/sandboxes?state=running,paused&limit=100");
	if (json_is_string(cursor))
	{
		tz_buf_append_cstr(&out->url, "&nextToken=");
		tz_e2b_append_encoded(tz_slice(json_string_value(cursor), json_string_length(cursor)), &out->url);
	}
	return status;
}

/* Those that carry a tag, behind those of earlier pages. */
static json_t *
add_listed(const TzEffect *effect, json_t *list)
{
	json_t *found = json_copy(json_object_get(effect->state, "found"));
	json_t *item;
	size_t i;

	if (found == NULL)
		found = json_array();
	json_array_foreach (list, i, item)
	{
		json_t *metadata = json_object_get(item, "metadata");
		TzSlice id = {NULL, 0};
		TzSlice tag = {NULL, 0};
		TzSlice instance = {"", 0};

		if (tz_json_get_str(item, "sandboxID", true, TZ_E2B_ID_MAX, &id, NULL) != TZ_OK ||
		    !tz_e2b_id_ok(id) || tz_json_get_str(metadata, TAG_KEY, true, TAG_MAX, &tag, NULL) != TZ_OK ||
		    !tz_utf8_valid(tag) ||
		    tz_json_get_str(metadata, INSTANCE_KEY, false, INSTANCE_MAX, &instance, NULL) != TZ_OK ||
		    !tz_utf8_valid(instance))
			continue;
		json_array_append_new(found, json_pack("{s:s%, s:s%, s:s%}", "sandbox", id.data, id.len, "tag",
		                                       tag.data, tag.len, "instance", instance.data, instance.len));
	}
	return found;
}

void
tz_e2b_swept(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	const char *cursor = tz_http_response_header(in, "x-next-token");
	bool more = cursor != NULL && cursor[0] != '\0';
	int64_t pages = tz_e2b_state_int(effect, "pages") + 1;
	json_t *doc = NULL;
	json_t *found;

	if (in->err.status != TZ_OK || in->status != 200)
		tz_e2b_refused(effect, TZ_REPEAT_READ, in, out);
	else if ((doc = tz_answer_json(in, out)) != NULL && !json_is_array(doc))
		tz_answer_bad(in, out, "list of sandboxes is no array");
	else if (doc != NULL)
	{
		found = add_listed(effect, doc);
		if (more && strlen(cursor) <= CURSOR_MAX && tz_utf8_valid(tz_slice_cstr(cursor)) &&
		    json_array_size(found) < LISTED_MAX && pages < PAGES_MAX)
			tz_e2b_next(effect, NULL,
			            json_pack("{s:s, s:O, s:I}", "cursor", cursor, "found", found, "pages",
			                      (json_int_t) pages),
			            0, out);
		else
			tz_answer_done(out, json_pack("{s:O, s:b}", "sandboxes", found, "complete", !more));
		json_decref(found);
	}
	json_decref(doc);
}
