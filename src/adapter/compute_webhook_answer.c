/*-------------------------------------------------------------------------
 *
 * compute_webhook_answer.c
 *	  The customer's own compute behind a few HTTP endpoints: answers.
 *
 * Every field that the contract needs must be there and of its type, every number
 * and text is bounded; anything else is "not understood", never half a result.
 *
 *-------------------------------------------------------------------------
 */
#include <limits.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#include "adapter/webhook.h"
#include "lib/json.h"
#include "lib/sign.h"
#include "lib/utf8.h"

#define ENTRIES_MAX 10000
#define NAME_MAX_BYTES 1024
#define OUTPUT_MAX_DEFAULT (1024 * 1024)
#define METADATA_MAX 16384
#define URL_SHOWN_MAX 2048
#define EXIT_TIMED_OUT 124 /* of timeout(1) */
#define EXIT_KILLED 137 /* it had to kill */

static void capability_missing(const TzWebhookOp *op, const TzHttpResponse *in, TzOutcome *out);
static void file_missing(const TzHttpResponse *in, TzOutcome *out);
static bool take_id(const TzHttpResponse *in, json_t *doc, const char *key, bool required, TzSlice *id,
                    TzOutcome *out);
static bool add_output(json_t *doc, const char *key, size_t max, json_t *result, bool *cut,
                       const TzHttpResponse *in, TzOutcome *out);
static json_t *entry_make(json_t *item);
static bool take_metric(json_t *doc, const char *key, const char *name, json_t *result);

void
tz_webhook_parse(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	const TzWebhookOp *op = tz_webhook_op(effect->op);
	json_t *doc = NULL;
	json_t *result;

	out->verdict = TZ_V_FAILED;
	if (op == NULL)
	{
		tz_err_set(&out->err, TZ_UNSUPPORTED, "operation \"%.32s\" is not known", effect->op);
		return;
	}
	if (in->err.status != TZ_OK)
		tz_answer_transport(effect, op->repeat, in, out);
	else if (in->status == 501 && op->optional)
		capability_missing(op, in, out);
	else if (in->status == 404 && op->on_file)
		file_missing(in, out);
	else if ((in->status == 404 || in->status == 410) && op->repeat == TZ_REPEAT_REMOVE)
		tz_answer_done(out, json_pack("{s:b}", "gone", 1));
	else if (in->status < 200 || in->status > 299)
		tz_answer_status(effect, op->repeat, in, out);
	else if (in->status == 204 && op->parse == tz_webhook_ok)
		tz_answer_done(out, json_object());
	else if ((doc = tz_answer_json(in, out)) != NULL)
	{
		result = op->parse(effect, in, doc, out);
		/* without a result and without a reason it was memory */
		if (result != NULL || out->err.status == TZ_OK)
			tz_answer_done(out, result);
		json_decref(doc);
	}
}

json_t *
tz_webhook_created(const TzEffect *effect, const TzHttpResponse *in, json_t *doc, TzOutcome *out)
{
	TzSlice id;
	json_t *metadata = json_object_get(doc, "metadata");
	json_t *result;
	TzBuf text;
	bool small;

	(void) effect;
	if (!take_id(in, doc, "sandboxId", true, &id, out))
		return NULL;
	if (metadata != NULL && !json_is_null(metadata) && !json_is_object(metadata))
	{
		tz_answer_bad(in, out, "\"metadata\" is no object");
		return NULL;
	}
	/* nobody needs it, so a huge one is left out and not refused: the sandbox exists */
	tz_buf_init(&text, METADATA_MAX);
	small = json_is_object(metadata) && tz_json_dump(metadata, &text, NULL) == TZ_OK &&
	        memmem(text.data, text.len, "\\u0000", 6) == NULL;
	tz_buf_free(&text);
	result = json_pack("{s:s%, s:n, s:o}", "sandbox", id.data, id.len, "isolation", "metadata",
	                   small ? json_incref(metadata) : json_object());
	return result;
}

json_t *
tz_webhook_executed(const TzEffect *effect, const TzHttpResponse *in, json_t *doc, TzOutcome *out)
{
	json_t *result = json_object();
	int64_t max_output = OUTPUT_MAX_DEFAULT;
	int64_t timeout_ms = 60000;
	int64_t exit_code = 0;
	bool cut = false;
	bool timed_out;
	TzErr err;

	(void) tz_json_get_int(effect->request, "max_output", false, 1, INT_MAX, &max_output, NULL);
	(void) tz_json_get_int(effect->request, "timeout_ms", false, 1, INT_MAX, &timeout_ms, NULL);
	tz_err_clear(&err);
	if (tz_json_get_int(doc, "exitCode", true, INT_MIN, INT_MAX, &exit_code, &err) != TZ_OK)
		tz_answer_bad(in, out, "%s", err.message);
	if (err.status != TZ_OK || !add_output(doc, "stdout", (size_t) max_output, result, &cut, in, out) ||
	    !add_output(doc, "stderr", (size_t) max_output, result, &cut, in, out))
	{
		json_decref(result);
		return NULL;
	}
	timed_out =
		(exit_code == EXIT_TIMED_OUT || exit_code == EXIT_KILLED) && in->total_us / 1000 >= timeout_ms;
	cut |= json_is_true(json_object_get(doc, "truncated"));
	json_object_set_new(result, "exit_code", json_integer(timed_out ? EXIT_TIMED_OUT : exit_code));
	json_object_set_new(result, "truncated", json_boolean(cut));
	json_object_set_new(result, "timed_out", json_boolean(timed_out));
	return result;
}

json_t *
tz_webhook_file(const TzEffect *effect, const TzHttpResponse *in, json_t *doc, TzOutcome *out)
{
	TzSlice content;
	int64_t max_bytes = INT_MAX;
	TzErr err;

	tz_err_clear(&err);
	(void) tz_json_get_int(effect->request, "max_bytes", false, 1, INT_MAX, &max_bytes, NULL);
	if (tz_json_get_str(doc, "content", true, INT_MAX, &content, &err) != TZ_OK)
	{
		tz_answer_bad(in, out, "%s", err.message);
		return NULL;
	}
	if (tz_base64_decode(content, &out->content, &err) != TZ_OK && err.status != TZ_TOO_LARGE)
	{
		tz_answer_bad(in, out, "\"content\" is not base64");
		return NULL;
	}
	if (err.status == TZ_TOO_LARGE || out->content.len > (size_t) max_bytes)
	{
		tz_answer_bad(in, out, "file is too large");
		tz_err_set(&out->err, TZ_TOO_LARGE, "file is larger than %lld bytes",
		           (long long) (max_bytes < (int64_t) out->content.max ? max_bytes
		                                                               : (int64_t) out->content.max));
		tz_err_hint(&out->err, "Read a smaller file, or take a part of it with theazo.exec().");
		out->err.http_status = in->status;
		tz_buf_reset(&out->content);
		return NULL;
	}
	return json_pack("{s:I}", "size", (json_int_t) out->content.len);
}

/* An object with entries, or the bare array. */
json_t *
tz_webhook_entries(const TzEffect *effect, const TzHttpResponse *in, json_t *doc, TzOutcome *out)
{
	json_t *items = json_is_array(doc) ? doc : json_object_get(doc, "entries");
	json_t *entries;
	json_t *item;
	size_t i;

	(void) effect;
	if (!json_is_array(items) || json_array_size(items) > ENTRIES_MAX)
	{
		tz_answer_bad(in, out, "\"entries\" is no array of at most %d items", ENTRIES_MAX);
		return NULL;
	}
	entries = json_array();
	json_array_foreach (items, i, item)
	{
		json_t *entry = entry_make(item);

		if (entry == NULL)
		{
			tz_answer_bad(in, out, "entry %zu lacks \"name\", \"size\" or \"isDir\"", i + 1);
			json_decref(entries);
			return NULL;
		}
		json_array_append_new(entries, entry);
	}
	return json_pack("{s:o}", "entries", entries);
}

/* Anything that says no error: {"ok":true}. */
json_t *
tz_webhook_ok(const TzEffect *effect, const TzHttpResponse *in, json_t *doc, TzOutcome *out)
{
	(void) effect;
	if (!json_is_true(json_object_get(doc, "ok")))
	{
		tz_answer_bad(in, out, "\"ok\" is missing");
		return NULL;
	}
	return json_object();
}

json_t *
tz_webhook_url(const TzEffect *effect, const TzHttpResponse *in, json_t *doc, TzOutcome *out)
{
	TzSlice url;

	(void) effect;
	if (tz_json_get_str(doc, "url", true, URL_SHOWN_MAX, &url, NULL) != TZ_OK || tz_utf8_has_control(url) ||
	    url.len < 9 ||
	    (strncasecmp(url.data, "https://", 8) != 0 && strncasecmp(url.data, "http://", 7) != 0))
	{
		tz_answer_bad(in, out, "\"url\" is missing or no URL");
		return NULL;
	}
	return json_pack("{s:s%}", "url", url.data, url.len);
}

json_t *
tz_webhook_paused(const TzEffect *effect, const TzHttpResponse *in, json_t *doc, TzOutcome *out)
{
	TzSlice id;

	(void) effect;
	if (!take_id(in, doc, "snapshotId", true, &id, out))
		return NULL;
	return json_pack("{s:s%, s:b}", "snapshot", id.data, id.len, "supported", 1);
}

json_t *
tz_webhook_resumed(const TzEffect *effect, const TzHttpResponse *in, json_t *doc, TzOutcome *out)
{
	TzSlice id;

	(void) effect;
	if (!take_id(in, doc, "sandboxId", true, &id, out))
		return NULL;
	return json_pack("{s:s%}", "sandbox", id.data, id.len);
}

json_t *
tz_webhook_metrics(const TzEffect *effect, const TzHttpResponse *in, json_t *doc, TzOutcome *out)
{
	json_t *result = json_object();

	(void) effect;
	if (take_metric(doc, "cpuPercent", "cpu_percent", result) &&
	    take_metric(doc, "memoryMb", "memory_mb", result) && take_metric(doc, "diskMb", "disk_mb", result))
		return result;
	tz_answer_bad(in, out, "\"cpuPercent\", \"memoryMb\" or \"diskMb\" is missing or no number");
	json_decref(result);
	return NULL;
}

static void
capability_missing(const TzWebhookOp *op, const TzHttpResponse *in, TzOutcome *out)
{
	out->verdict = TZ_V_FAILED;
	out->error_code = "provider_error";
	tz_err_set(&out->err, TZ_UNSUPPORTED, "provider does not support \"%s\"", op->name);
	tz_err_detail(&out->err, "capability_unsupported");
	tz_err_hint(&out->err, "It is not asked again; replace the provider's entry once it supports it.");
	out->err.http_status = in->status;
	out->result = json_pack("{s:s, s:s, s:i}", "reason", "capability_unsupported", "capability", op->name,
	                        "status", in->status);
}

static void
file_missing(const TzHttpResponse *in, TzOutcome *out)
{
	out->verdict = TZ_V_FAILED;
	out->error_code = "not_found";
	tz_err_set(&out->err, TZ_NOT_FOUND, "no such file in the sandbox");
	tz_err_hint(&out->err, "theazo.file_list() shows what is there.");
	out->err.http_status = in->status;
	out->result = json_pack("{s:i}", "status", in->status);
}

/* Our later requests put it into a path: short, printable, no "." or "..". */
static bool
take_id(const TzHttpResponse *in, json_t *doc, const char *key, bool required, TzSlice *id, TzOutcome *out)
{
	if (tz_json_get_str(doc, key, required, TZ_WEBHOOK_ID_MAX, id, NULL) == TZ_OK && id->len > 0 &&
	    tz_utf8_valid(*id) && !tz_utf8_has_control(*id) && !tz_slice_eq_cstr(*id, ".") &&
	    !tz_slice_eq_cstr(*id, ".."))
		return true;
	tz_answer_bad(in, out, "\"%s\" is missing or not 1 to %d printable bytes", key, TZ_WEBHOOK_ID_MAX);
	return false;
}

static bool
add_output(json_t *doc, const char *key, size_t max, json_t *result, bool *cut, const TzHttpResponse *in,
           TzOutcome *out)
{
	TzSlice text;
	size_t len;

	if (tz_json_get_str(doc, key, true, INT_MAX, &text, NULL) != TZ_OK)
	{
		tz_answer_bad(in, out, "\"%s\" is missing or no string", key);
		return false;
	}
	len = tz_utf8_cut(text, max);
	*cut |= len < text.len;
	if (tz_json_set_text(result, key, tz_slice(text.data, len), &out->err) == TZ_OK)
		return true;
	out->error_code = "internal_error";
	return false;
}

/* NULL when a field is missing, wrong or out of bounds. */
static json_t *
entry_make(json_t *item)
{
	TzSlice name;
	TzSlice modified = {NULL, 0};
	int64_t size = 0;
	bool is_dir = false;
	json_t *entry;

	if (!json_is_object(item) || tz_json_get_str(item, "name", true, NAME_MAX_BYTES, &name, NULL) != TZ_OK ||
	    name.len == 0 || !tz_utf8_valid(name) ||
	    tz_json_get_int(item, "size", true, 0, (int64_t) 1 << 53, &size, NULL) != TZ_OK ||
	    tz_json_get_bool(item, "isDir", true, &is_dir, NULL) != TZ_OK)
		return NULL;
	entry = json_pack("{s:s%, s:I, s:b}", "name", name.data, name.len, "size", (json_int_t) size, "is_dir",
	                  is_dir);
	if (entry != NULL && tz_json_get_str(item, "modified", false, 64, &modified, NULL) == TZ_OK &&
	    modified.len > 0 && tz_utf8_valid(modified))
		json_object_set_new(entry, "modified", json_stringn(modified.data, modified.len));
	return entry;
}

static bool
take_metric(json_t *doc, const char *key, const char *name, json_t *result)
{
	double value = 0;

	if (tz_json_get_real(doc, key, true, &value, NULL) != TZ_OK || !isfinite(value) || value < 0 ||
	    value > 1e15)
		return false;
	return json_object_set_new(result, name, json_real(value)) == 0;
}
