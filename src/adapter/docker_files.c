/*-------------------------------------------------------------------------
 *
 * docker_files.c
 *	  Files of a container, which travel as archives.
 *
 * The engine does not follow the last symbolic link of a path but hands out the
 * link: it is followed here, a few times at most. What stands in the archive's
 * header is believed only as far as the bytes are there.
 *
 *-------------------------------------------------------------------------
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "adapter/docker.h"
#include "lib/json.h"
#include "lib/tar.h"

#define ARCHIVE_SLACK (64 * 1024) /* headers around one file */
#define HOPS_MAX 8

static TzStatus append_dirs(TzSlice path, const TzTarOwner *owner, TzBuf *out, TzErr *err);
static bool resolve(const char *from, TzSlice link, TzBuf *out);
static void got_file(const TzEffect *effect, const TzHttpResponse *in, const TzTarEntry *entry,
                     TzOutcome *out);
static void no_file(const TzHttpResponse *in, const char *what, TzOutcome *out);

static int64_t
max_bytes(const TzEffect *effect)
{
	int64_t max = INT_MAX;

	(void) tz_json_get_int(effect->request, "max_bytes", false, 1, INT_MAX, &max, NULL);
	return max;
}

/* ---------------------------------------------------------------- reading */

TzStatus
tz_docker_build_get(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	const char *resolved = tz_docker_text(effect, "path");
	TzBuf path;
	TzStatus status = tz_docker_url(effect, "/archive?path=", out, err);

	if (status != TZ_OK)
		return status;
	tz_buf_init(&path, 2 * TZ_DOCKER_PATH_MAX);
	if (resolved[0] != '\0')
		tz_buf_append_cstr(&path, resolved);
	else
		status = tz_docker_path(effect, to, "path", &path, err);
	if (status == TZ_OK)
		tz_docker_encode(tz_buf_slice(&path), "", &out->url);
	tz_buf_free(&path);
	/* a directory brings everything below it: its beginning is enough to know it by */
	out->cut_response = true;
	if ((uint64_t) max_bytes(effect) + ARCHIVE_SLACK < out->max_response)
		out->max_response = (size_t) max_bytes(effect) + ARCHIVE_SLACK;
	return status;
}

void
tz_docker_parse_get(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	TzTarReader reader;
	TzTarEntry entry;
	TzErr err;
	TzStatus status;

	if (in->status == 404 || in->status == 409)
	{
		/* the file, or the container, which may be on its way out */
		tz_docker_why(effect, in, out);
		return;
	}
	if (in->status / 100 != 2)
	{
		tz_docker_refused(effect, in, out);
		return;
	}
	tz_err_clear(&err);
	tz_tar_read(&reader, tz_buf_slice(&in->body), INT64_MAX / 2);
	status = tz_tar_next(&reader, &entry, &err);
	if (status != TZ_OK)
		tz_docker_bad(in, out, "%s", status == TZ_NOT_FOUND ? "archive is empty" : err.message);
	else if (entry.type == '2')
	{
		int64_t hops = json_integer_value(json_object_get(effect->state, "hops"));
		const char *from = strstr(in->request != NULL ? in->request->url.data : "", "path=");
		TzBuf path;

		tz_buf_init(&path, TZ_DOCKER_PATH_MAX);
		if (hops >= HOPS_MAX || from == NULL || !resolve(from + 5, entry.link, &path))
			no_file(in, "link leads nowhere", out);
		else
			tz_docker_next(out, "get",
			               json_pack("{s:s%, s:I}", "path", path.data, path.len, "hops",
			                         (json_int_t) hops + 1));
		tz_buf_free(&path);
	}
	else if (entry.type != '0')
		no_file(in, entry.type == '5' ? "it is a directory" : "it is no regular file", out);
	else
		got_file(effect, in, &entry, out);
}

static void
got_file(const TzEffect *effect, const TzHttpResponse *in, const TzTarEntry *entry, TzOutcome *out)
{
	int64_t max = max_bytes(effect);

	if (max > (int64_t) out->content.max)
		max = (int64_t) out->content.max;
	if (entry->size > max || (in->cut && (int64_t) entry->data.len < entry->size))
	{
		tz_err_set(&out->err, TZ_TOO_LARGE, "file is larger than %lld bytes", (long long) max);
		tz_err_hint(&out->err, "Read a smaller file, or take a part of it with theazo.exec().");
		tz_answer_fail(in, "provider_error", out);
		out->err.http_status = in->status;
	}
	else if ((int64_t) entry->data.len < entry->size)
		tz_docker_bad(in, out, "archive ends within the file");
	else if (entry->size > 0 && tz_buf_append(&out->content, entry->data.data, entry->data.len) != TZ_OK)
		tz_answer_done(out, NULL);
	else
		tz_answer_done(out, json_pack("{s:I}", "size", (json_int_t) entry->size));
}

static void
no_file(const TzHttpResponse *in, const char *what, TzOutcome *out)
{
	tz_err_set(&out->err, TZ_NOT_FOUND, "no such file in the sandbox: %s", what);
	tz_err_hint(&out->err, "theazo.file_list() shows what is there.");
	tz_answer_fail(in, "not_found", out);
}

static bool
decode(const char *from, TzBuf *out)
{
	for (; *from != '\0' && *from != '&'; from++)
	{
		unsigned byte;

		if (*from != '%')
			tz_buf_append_byte(out, *from);
		else if (sscanf(from + 1, "%2X", &byte) != 1)
			return false;
		else
		{
			tz_buf_append_byte(out, (char) byte);
			from += 2;
		}
	}
	return out->status == TZ_OK;
}

/* Where the link at from (as it stands in a URL) points to; without "." and "..". */
static bool
resolve(const char *from, TzSlice link, TzBuf *out)
{
	TzBuf joined;
	const char *p;
	bool ok;

	tz_buf_init(&joined, 2 * TZ_DOCKER_PATH_MAX);
	ok = link.len > 0 && memchr(link.data, 0, link.len) == NULL;
	if (ok && link.data[0] != '/')
	{
		ok = decode(from, &joined) && joined.len > 0;
		while (joined.len > 0 && joined.data[joined.len - 1] != '/')
			joined.len--;
	}
	if (ok)
		ok = tz_buf_append(&joined, link.data, link.len) == TZ_OK;
	for (p = joined.data; ok && p < joined.data + joined.len;)
	{
		const char *slash = memchr(p, '/', (size_t) (joined.data + joined.len - p));
		size_t n = (size_t) ((slash != NULL ? slash : joined.data + joined.len) - p);

		if (n == 2 && memcmp(p, "..", 2) == 0)
		{
			while (out->len > 0 && out->data[--out->len] != '/')
				;
		}
		else if (n > 0 && !(n == 1 && *p == '.'))
		{
			tz_buf_append_byte(out, '/');
			tz_buf_append(out, p, n);
		}
		p += n + 1;
	}
	tz_buf_free(&joined);
	return ok && out->status == TZ_OK && out->len > 0;
}

/* ---------------------------------------------------------------- writing */

TzStatus
tz_docker_build_put(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	TzTarOwner owner = {0, 0, effect->now_ms / 1000};
	const char *dir = tz_docker_workdir(to);
	TzSlice name;
	TzBuf path;
	bool numbered = tz_docker_owner(to, &owner.uid, &owner.gid);
	TzStatus status = tz_docker_url(effect, "/archive?noOverwriteDirNonDir=1&path=", out, err);

	if (status != TZ_OK)
		return status;
	tz_docker_encode(tz_slice_cstr(dir), "", &out->url);
	tz_buf_init(&path, 2 * TZ_DOCKER_PATH_MAX);
	status = tz_docker_path(effect, to, "path", &path, err);
	if (status == TZ_OK && path.len <= strlen(dir) + 1)
		status = tz_err_set(err, TZ_BAD_INPUT, "path names no file");
	if (status == TZ_OK)
	{
		name = tz_slice(path.data + strlen(dir) + 1, path.len - strlen(dir) - 1);
		status = append_dirs(name, &owner, &out->body, err);
		if (status == TZ_OK)
			status = tz_tar_add_file(&out->body, name, numbered ? 0644 : 0666, &owner, effect->content, err);
		tz_tar_end(&out->body);
	}
	tz_buf_free(&path);
	return status;
}

/* Those on the way to a file, so that they belong to whoever works there. */
static TzStatus
append_dirs(TzSlice path, const TzTarOwner *owner, TzBuf *out, TzErr *err)
{
	TzStatus status = TZ_OK;

	for (size_t i = 0; i < path.len && status == TZ_OK; i++)
		if (path.data[i] == '/')
			status = tz_tar_add_dir(out, tz_slice(path.data, i), owner->uid != 0 ? 0755 : 0777, owner, err);
	return status;
}

void
tz_docker_parse_put(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	if (in->status / 100 == 2)
		tz_answer_done(out, json_object());
	else if (in->status == 404 || in->status == 409)
		tz_docker_why(effect, in, out);
	else
	{
		tz_docker_refused(effect, in, out);
		if (in->status == 400 || in->status == 403 || in->status == 500)
			tz_err_hint(&out->err,
			            "Something on the path is no directory, or the place is not to be written to.");
	}
}
