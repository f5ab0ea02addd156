/*-------------------------------------------------------------------------
 *
 * e2b_files.c
 *	  Files and directories of an E2B sandbox.
 *
 * Files travel as they are over plain HTTP, directories over the unary form of the
 * Connect protocol. A path is told relative to the home directory, which is where
 * commands begin, so that "/data/x" is the file a command sees as data/x.
 *
 *-------------------------------------------------------------------------
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/e2b.h"
#include "lib/json.h"
#include "lib/utf8.h"

#define PATH_MAX_BYTES 4096
#define ENTRIES_MAX 10000
#define NAME_MAX_BYTES 1024

static TzStatus take_path(const TzEffect *effect, const char *key, bool directory, TzSlice *path, TzErr *err);
static void append_relative(TzSlice path, bool encoded, TzBuf *out);
static TzStatus append_files(const TzEndpoint *to, const TzE2bKept *kept, TzSlice path, TzHttpRequest *out);
static void append_multipart(const TzEffect *effect, TzSlice content, TzBuf *out, char boundary[80]);

/* ---- files ------------------------------------------------------------------------ */

TzStatus
tz_e2b_build_read(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept, TzHttpRequest *out,
                  TzErr *err)
{
	TzSlice path;
	int64_t max_bytes = 0;
	TzStatus status = take_path(effect, "path", false, &path, err);

	if (status == TZ_OK)
		status = tz_json_get_int(effect->request, "max_bytes", false, 1, INT32_MAX, &max_bytes, err);
	if (status == TZ_OK)
		status = tz_e2b_envd(effect, to, kept, "GET", false, out, err);
	if (status != TZ_OK)
		return status;
	/* one byte more shows that there is more */
	if (max_bytes > 0 && (size_t) max_bytes + 1 < out->max_response)
	{
		out->max_response = (size_t) max_bytes + 1;
		out->cut_response = true;
	}
	return append_files(to, kept, path, out);
}

TzStatus
tz_e2b_build_write(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept, TzHttpRequest *out,
                   TzErr *err)
{
	TzSlice path;
	TzStatus status = take_path(effect, "path", false, &path, err);

	if (status != TZ_OK)
		return status;
	return tz_e2b_put_file(effect, to, kept, path, effect->content, out, err);
}

/* As bytes where the daemon is new enough, else as the one part of a form that it reads. */
TzStatus
tz_e2b_put_file(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept, TzSlice path,
                TzSlice content, TzHttpRequest *out, TzErr *err)
{
	bool form = tz_e2b_older(kept, 0, 5, 7) || content.len == 0;
	char boundary[80];
	char type[160];
	TzStatus status = tz_e2b_envd(effect, to, kept, "POST", false, out, err);

	if (status == TZ_OK)
		status = append_files(to, kept, path, out);
	if (status != TZ_OK)
		return status;
	if (form)
	{
		append_multipart(effect, content, &out->body, boundary);
		snprintf(type, sizeof(type), "multipart/form-data; boundary=%s", boundary);
	}
	else
	{
		tz_buf_append(&out->body, content.data, content.len);
		snprintf(type, sizeof(type), "application/octet-stream");
	}
	return tz_http_request_header(out, "Content-Type", type, false, err);
}

/* A boundary that the content does not hold. */
static void
append_multipart(const TzEffect *effect, TzSlice content, TzBuf *out, char boundary[80])
{
	int n = 0;

	do
		snprintf(boundary, 80, "theazo-%.40s-%d", effect->id, n++);
	while (content.len > 0 && memmem(content.data, content.len, boundary, strlen(boundary)) != NULL);
	tz_buf_printf(out,
	              "--%s\r\nContent-Disposition: form-data; name=\"file\"; filename=\"file\"\r\n"
	              "Content-Type: application/octet-stream\r\n\r\n",
	              boundary);
	tz_buf_append(out, content.data, content.len);
	tz_buf_printf(out, "\r\n--%s--\r\n", boundary);
}

void
tz_e2b_read(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	int64_t max_bytes = INT_MAX;
	bool large;

	if (in->err.status != TZ_OK || in->status != 200)
	{
		tz_e2b_failed(effect, TZ_REPEAT_READ, in, out);
		return;
	}
	(void) tz_json_get_int(effect->request, "max_bytes", false, 1, INT_MAX, &max_bytes, NULL);
	large = in->body.len > (size_t) max_bytes;
	if (!large && in->body.len > 0)
		large = tz_buf_append(&out->content, in->body.data, in->body.len) == TZ_TOO_LARGE;
	if (large || in->cut)
	{
		tz_buf_reset(&out->content);
		tz_answer_fail(in, "provider_error", out);
		tz_err_set(&out->err, TZ_TOO_LARGE, "file is larger than %lld bytes", (long long) max_bytes);
		tz_err_hint(&out->err, "Read a smaller file, or take a part of it with theazo.exec().");
	}
	else
		tz_answer_done(out, out->content.status == TZ_OK
		                        ? json_pack("{s:I}", "size", (json_int_t) in->body.len)
		                        : NULL);
}

/* A part of a name it does not know is ignored, and answered 200 with an empty list. */
void
tz_e2b_written(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	json_t *doc;

	if (in->err.status != TZ_OK || in->status != 200)
	{
		tz_e2b_failed(effect, TZ_REPEAT_SAME, in, out);
		return;
	}
	doc = tz_answer_json(in, out);
	if (doc != NULL && json_array_size(doc) == 0)
		tz_answer_bad(in, out, "no file was written");
	else if (doc != NULL)
		tz_answer_done(out, json_object());
	json_decref(doc);
}

/* ---- directories ------------------------------------------------------------------ */

TzStatus
tz_e2b_build_list(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept, TzHttpRequest *out,
                  TzErr *err)
{
	TzSlice dir = tz_slice_cstr("/");
	TzBuf path;
	json_t *body;
	TzStatus status = TZ_OK;

	if (json_object_get(effect->request, "dir") != NULL)
		status = take_path(effect, "dir", true, &dir, err);
	if (status == TZ_OK)
		status = tz_e2b_envd(effect, to, kept, "POST", false, out, err);
	if (status == TZ_OK)
		status = tz_http_request_header(out, "Connect-Protocol-Version", "1", false, err);
	if (status != TZ_OK)
		return status;
	tz_buf_append_cstr(&out->url, "/filesystem.Filesystem/ListDir");
	tz_buf_init(&path, PATH_MAX_BYTES + 8);
	append_relative(dir, false, &path);
	body = json_pack("{s:s%, s:i}", "path", path.data, path.len, "depth", 1);
	tz_buf_free(&path);
	status = body != NULL ? tz_json_dump(body, &out->body, err)
	                      : tz_err_set(err, TZ_BAD_INPUT, "path is not text");
	json_decref(body);
	return status;
}

/* int64 is a string there; what has its default value is left out. */
static bool
take_size(json_t *item, int64_t *size)
{
	json_t *value = json_object_get(item, "size");
	char *end;

	*size = 0;
	if (json_is_string(value) && json_string_length(value) > 0 && json_string_length(value) < 20)
	{
		*size = strtoll(json_string_value(value), &end, 10);
		return *end == '\0' && *size >= 0;
	}
	return tz_json_get_int(item, "size", false, 0, (int64_t) 1 << 53, size, NULL) == TZ_OK;
}

/* NULL when it has no name or a figure is wrong. */
static json_t *
entry_make(json_t *item)
{
	const char *type = json_string_value(json_object_get(item, "type"));
	bool is_dir = type != NULL && strcmp(type, "FILE_TYPE_DIRECTORY") == 0;
	TzSlice modified = {NULL, 0};
	TzSlice name;
	int64_t size;
	json_t *entry;

	if (tz_json_get_str(item, "name", true, NAME_MAX_BYTES, &name, NULL) != TZ_OK || name.len == 0 ||
	    !take_size(item, &size))
		return NULL;
	entry = json_pack("{s:I, s:b}", "size", (json_int_t) (is_dir ? 0 : size), "is_dir", is_dir);
	(void) tz_json_set_text(entry, "name", name, NULL);
	if (tz_json_get_str(item, "modifiedTime", false, 64, &modified, NULL) == TZ_OK && modified.len > 0 &&
	    tz_utf8_valid(modified))
		json_object_set_new(entry, "modified", json_stringn(modified.data, modified.len));
	return entry;
}

static json_t *
entries_make(const TzHttpResponse *in, json_t *doc, TzOutcome *out)
{
	json_t *items = NULL;
	json_t *entries;
	json_t *item;
	size_t i;

	if (tz_json_get_array(doc, "entries", false, ENTRIES_MAX, &items, NULL) != TZ_OK)
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
			tz_answer_bad(in, out, "entry %zu has no name, or a size that is none", i + 1);
			json_decref(entries);
			return NULL;
		}
		json_array_append_new(entries, entry);
	}
	return entries;
}

void
tz_e2b_listed(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	json_t *entries;
	json_t *doc;

	if (in->err.status != TZ_OK || in->status != 200)
	{
		tz_e2b_failed(effect, TZ_REPEAT_READ, in, out);
		return;
	}
	doc = tz_answer_json(in, out);
	if (doc == NULL)
		return;
	entries = entries_make(in, doc, out);
	if (entries != NULL)
		tz_answer_done(out, json_pack("{s:o}", "entries", entries));
	json_decref(doc);
}

/* ---- paths ---------------------------------------------------------------------------- */

static TzStatus
take_path(const TzEffect *effect, const char *key, bool directory, TzSlice *path, TzErr *err)
{
	const char *p;
	const char *end;
	TzStatus status = tz_json_get_str(effect->request, key, true, PATH_MAX_BYTES, path, err);

	if (status != TZ_OK)
		return status;
	if (path->len == 0 || !tz_utf8_valid(*path) || tz_utf8_has_control(*path))
		return tz_err_set(err, TZ_BAD_INPUT, "\"%s\" is empty or has a control character", key);
	end = path->data + path->len;
	for (p = path->data; p < end;)
	{
		const char *slash = memchr(p, '/', (size_t) (end - p));
		size_t len = (size_t) ((slash != NULL ? slash : end) - p);

		if ((len == 1 && p[0] == '.') || (len == 2 && p[0] == '.' && p[1] == '.'))
			return tz_err_set(err, TZ_BAD_INPUT, "path must not contain \".\" or \"..\"");
		p += len + 1;
	}
	if (!directory && path->data[path->len - 1] == '/')
		return tz_err_set(err, TZ_BAD_INPUT, "path names no file");
	return TZ_OK;
}

/* Below the home directory, and no name of anybody's home. */
static void
append_relative(TzSlice path, bool encoded, TzBuf *out)
{
	while (path.len > 0 && path.data[0] == '/')
	{
		path.data++;
		path.len--;
	}
	tz_buf_append_cstr(out, "./");
	if (encoded)
		tz_e2b_append_encoded(path, out);
	else
		tz_buf_append(out, path.data, path.len);
}

static TzStatus
append_files(const TzEndpoint *to, const TzE2bKept *kept, TzSlice path, TzHttpRequest *out)
{
	const char *user = tz_e2b_user(to, kept);

	tz_buf_append_cstr(&out->url, "/files?path=");
	append_relative(path, true, &out->url);
	if (user != NULL)
	{
		tz_buf_append_cstr(&out->url, "&username=");
		tz_e2b_append_encoded(tz_slice_cstr(user), &out->url);
	}
	return TZ_OK;
}
