/*-------------------------------------------------------------------------
 *
 * daytona_create.c
 *	  Sandboxes of Daytona: what is asked for when one is made.
 *
 * Secrets of the run are not among it: they go to each command. Size and image come
 * from the snapshot, because the provider takes no sizes beside one.
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <string.h>

#include "adapter/daytona.h"
#include "lib/json.h"

#define LIFETIME_MAX_S (30 * 24 * 3600)

static TzStatus add_snapshot(const TzEffect *effect, const TzEndpoint *to, json_t *body, TzErr *err);
static TzStatus add_network(const TzEffect *effect, json_t *body, TzErr *err);
static TzStatus add_env(const TzEffect *effect, json_t *body, TzErr *err);
static bool is_range(const char *text);

TzStatus
tz_daytona_create_body(const TzEffect *effect, const TzEndpoint *to, TzBuf *out, TzErr *err)
{
	const char *target = json_string_value(json_object_get(effect->request, "region"));
	int64_t lifetime_s = 3600;
	TzSlice tag;
	TzBuf name;
	json_t *body;
	TzStatus status = tz_json_get_str(effect->request, "tag", true, TZ_DAYTONA_ID_MAX, &tag, err);

	if (status == TZ_OK)
		status = tz_json_get_int(effect->request, "lifetime_s", false, 1, LIFETIME_MAX_S, &lifetime_s, err);
	if (status != TZ_OK)
		return status;
	if (target == NULL)
		target = json_string_value(json_object_get(to->config, "target"));
	tz_buf_init(&name, 256);
	tz_daytona_name(effect, &name);
	/* no end by idleness: when one ends is the control plane's to say, the hard limit is the net below it */
	body = json_pack("{s:s%, s:{s:s%}, s:i, s:i, s:i, s:b}", "name", name.data, name.len, "labels",
	                 TZ_DAYTONA_TAG, tag.data, tag.len, "autoStopInterval", 0, "autoDeleteInterval", -1,
	                 "ttlMinutes", (int) ((lifetime_s + 59) / 60), "public", 0);
	tz_buf_free(&name);
	if (body == NULL)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	if (target != NULL)
		json_object_set_new(body, "target", json_string(target));
	if (json_is_string(json_object_get(effect->request, "instance")))
		json_object_set(json_object_get(body, "labels"), TZ_DAYTONA_INSTANCE,
		                json_object_get(effect->request, "instance"));
	status = add_snapshot(effect, to, body, err);
	if (status == TZ_OK)
		status = add_network(effect, body, err);
	if (status == TZ_OK)
		status = add_env(effect, body, err);
	if (status == TZ_OK)
		status = tz_json_dump(body, out, err);
	json_decref(body);
	return status;
}

/* theazo-sbx-01... : what the provider takes once only. */
void
tz_daytona_name(const TzEffect *effect, TzBuf *out)
{
	const char *tag = json_string_value(json_object_get(effect->request, "tag"));

	tz_buf_append_cstr(out, "theazo-");
	for (const char *p = tag; p != NULL && *p != '\0'; p++)
		tz_buf_append_byte(out, isalnum((unsigned char) *p) ? (char) tolower((unsigned char) *p) : '-');
}

/* The one it is to go on from, else that of the runtime, else the one for all, else the provider's own default. */
static TzStatus
add_snapshot(const TzEffect *effect, const TzEndpoint *to, json_t *body, TzErr *err)
{
	const char *runtime = json_string_value(json_object_get(effect->request, "runtime"));
	bool browser = json_is_true(json_object_get(effect->request, "browser"));
	json_t *user = json_object_get(to->config, "user");
	json_t *snapshot =
		json_object_get(json_object_get(to->config, "snapshots"), browser           ? "browser"
	                                                              : runtime != NULL ? runtime
	                                                                                : "python");

	if (json_is_string(json_object_get(effect->request, "snapshot")))
		snapshot = json_object_get(effect->request, "snapshot");
	else if (browser && !json_is_string(snapshot))
	{
		tz_err_set(err, TZ_UNSUPPORTED, "provider has no snapshot with a browser");
		tz_err_hint(err, "Name one in snapshots.browser of the provider's config.");
		return TZ_UNSUPPORTED;
	}
	if (!json_is_string(snapshot))
		snapshot = json_object_get(to->config, "snapshot");
	if (json_is_string(snapshot))
		json_object_set(body, "snapshot", snapshot);
	if (json_is_string(user))
		json_object_set(body, "user", user);
	return TZ_OK;
}

/* None, some places, or everything. Names and ranges are two lists there. */
static TzStatus
add_network(const TzEffect *effect, json_t *body, TzErr *err)
{
	json_t *network = NULL;
	json_t *allow = NULL;
	json_t *item;
	size_t i;
	TzBuf lists[2];
	bool enabled = false;
	TzStatus status = tz_json_get_object(effect->request, "network", false, &network, err);

	if (status == TZ_OK)
		status = tz_json_get_bool(network, "enabled", false, &enabled, err);
	if (status == TZ_OK)
		status = tz_json_get_array(network, "allow", false, 1000, &allow, err);
	if (status != TZ_OK)
		return status;
	if (!enabled)
		return json_object_set_new(body, "networkBlockAll", json_true()) == 0 ? TZ_OK : TZ_NOMEM;
	tz_buf_init(&lists[0], 65536);
	tz_buf_init(&lists[1], 65536);
	json_array_foreach (allow, i, item)
	{
		const char *place = json_string_value(item);
		TzBuf *list = place != NULL && is_range(place) ? &lists[0] : &lists[1];

		if (place == NULL || place[0] == '\0' || strchr(place, ',') != NULL)
		{
			status =
				tz_err_set(err, TZ_BAD_INPUT, "\"network.allow\" has an entry that is no name or address");
			break;
		}
		if (list->len > 0)
			tz_buf_append_byte(list, ',');
		tz_buf_append_cstr(list, place);
		if (list == &lists[0] && strchr(place, '/') == NULL)
			tz_buf_append_cstr(list, "/32");
	}
	if (status == TZ_OK && lists[0].len > 0)
		json_object_set_new(body, "networkAllowList", json_stringn(lists[0].data, lists[0].len));
	if (status == TZ_OK && lists[1].len > 0)
		json_object_set_new(body, "domainAllowList", json_stringn(lists[1].data, lists[1].len));
	tz_buf_free(&lists[0]);
	tz_buf_free(&lists[1]);
	return status;
}

static bool
is_range(const char *text)
{
	return text[strspn(text, "0123456789./")] == '\0';
}

/* What the request itself sets: ids and addresses, nothing secret. */
static TzStatus
add_env(const TzEffect *effect, json_t *body, TzErr *err)
{
	json_t *env = NULL;
	json_t *value;
	const char *name;
	TzStatus status = tz_json_get_object(effect->request, "env", false, &env, err);

	if (status != TZ_OK || env == NULL)
		return status;
	json_object_foreach (env, name, value)
		if (!tz_shell_name_ok(name) || !json_is_string(value))
			return tz_err_set(err, TZ_BAD_INPUT,
			                  "environment variable \"%.64s\" has a bad name or is no string", name);
	return json_object_set(body, "env", env) == 0 ? TZ_OK : TZ_NOMEM;
}
