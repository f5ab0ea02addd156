/*-------------------------------------------------------------------------
 *
 * e2b_snapshot.c
 *	  E2B: snapshots of sandboxes, and what its log says.
 *
 * What programs print is not in that log.
 *
 *-------------------------------------------------------------------------
 */
#include <limits.h>
#include <string.h>

#include "adapter/e2b.h"
#include "lib/json.h"
#include "lib/utf8.h"

#define SNAPSHOT_MAX 256
#define LOG_LINES_MAX 1000
#define LOG_LINES_DEFAULT 100
#define LOG_TEXT_MAX 16384


/* ---- snapshots and logs ------------------------------------------------------------ */

TzStatus
tz_e2b_build_snapshot(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept, TzHttpRequest *out,
                      TzErr *err)
{
	(void) kept;
	tz_buf_append_cstr(&out->body, "{}");
	return tz_e2b_of_sandbox(effect, to, "POST", "/snapshots", out, err);
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
tz_e2b_build_forget(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept, TzHttpRequest *out,
                    TzErr *err)
{
	TzSlice snapshot = {NULL, 0};
	TzStatus status = tz_json_get_str(effect->request, "snapshot", true, SNAPSHOT_MAX, &snapshot, err);

	(void) kept;
	if (status == TZ_OK && snapshot.len == 0)
		status = tz_err_set(err, TZ_BAD_INPUT, "handle of the snapshot is not valid");
	if (status == TZ_OK)
		status = tz_e2b_control(effect, to, "DELETE", out, err);
	tz_buf_append_cstr(&out->url, "/templates/");
	tz_e2b_append_encoded(snapshot, &out->url);
	return status;
}

void
tz_e2b_forgotten(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	if (in->err.status == TZ_OK && (in->status == 404 || (in->status >= 200 && in->status <= 299)))
		tz_answer_done(out, json_object());
	else
		tz_e2b_refused(effect, TZ_REPEAT_REMOVE, in, out);
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
