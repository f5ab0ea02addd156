/*-------------------------------------------------------------------------
 *
 * docker_snapshot.c
 *	  Snapshots of containers, which are images.
 *
 *	look -> commit -> look
 *
 *-------------------------------------------------------------------------
 */
#include <stdint.h>
#include <string.h>

#include "adapter/docker.h"
#include "lib/json.h"

/* The name of a snapshot is ours: an image that is there under it was made by an earlier attempt. */
static const char *
snapshot_name(const TzEffect *effect)
{
	const char *tag = json_string_value(json_object_get(effect->request, "tag"));

	if (tag == NULL || tag[0] == '\0' || strlen(tag) > 128 ||
	    strspn(tag, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != strlen(tag))
		return effect->id;
	return tag;
}

TzStatus
tz_docker_build_look(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	(void) to;
	(void) err;
	tz_buf_printf(&out->url, "/images/localhost/theazo/snapshot:%s/json", snapshot_name(effect));
	return TZ_OK;
}

static void
snapped(json_t *doc, const TzHttpResponse *in, TzOutcome *out)
{
	TzSlice id = {NULL, 0};
	int64_t size = 0;
	json_t *result;

	if (tz_json_get_str(doc, "Id", true, TZ_DOCKER_ID_MAX, &id, NULL) != TZ_OK || id.len == 0)
	{
		tz_docker_bad(in, out, "\"Id\" is missing");
		return;
	}
	result = json_pack("{s:s%}", "snapshot", id.data, id.len);
	if (result != NULL && tz_json_get_int(doc, "Size", false, 0, INT64_MAX, &size, NULL) == TZ_OK && size > 0)
		json_object_set_new(result, "size_bytes", json_integer(size));
	tz_answer_done(out, result);
}

void
tz_docker_parse_look(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	json_t *doc;

	if (in->status == 404 && tz_docker_text(effect, "made")[0] == '\0')
	{
		tz_docker_next(out, "commit", json_object());
		return;
	}
	doc = tz_docker_json(effect, in, out);
	if (doc == NULL)
		return;
	snapped(doc, in, out);
	json_decref(doc);
}

/* Files only: what runs and what it holds in memory stays behind. */
TzStatus
tz_docker_build_commit(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	TzSlice id;
	TzStatus status = tz_docker_container(effect, &id, err);

	(void) to;
	if (status == TZ_OK)
		tz_buf_printf(&out->url,
		              "/commit?container=%.*s&repo=localhost%%2Ftheazo%%2Fsnapshot&tag=%s&pause=true",
		              (int) id.len, id.data, snapshot_name(effect));
	tz_buf_append_cstr(&out->body, "{}");
	return status;
}

void
tz_docker_parse_commit(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	if (in->status / 100 == 2)
		/* looked at again for its full name and its size */
		tz_docker_next(out, "look", json_pack("{s:s}", "made", "yes"));
	else
		tz_docker_why(effect, in, out);
}

TzStatus
tz_docker_build_forget(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	TzSlice image = {NULL, 0};
	TzStatus status = tz_json_get_str(effect->request, "snapshot", true, TZ_DOCKER_ID_MAX, &image, err);

	(void) to;
	if (status != TZ_OK)
		return status;
	tz_buf_append_cstr(&out->url, "/images/");
	tz_docker_encode(image, ":", &out->url);
	tz_buf_append_cstr(&out->url, "?force=1");
	return TZ_OK;
}
