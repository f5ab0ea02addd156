/*-------------------------------------------------------------------------
 *
 * docker_list.c
 *	  Lists of files, which a command in the container makes (docker_exec.c).
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "adapter/docker.h"
#include "lib/json.h"

#define ENTRIES_MAX 10000
#define EXIT_NO_DIR 44

/* Mode, size, time and name of each entry; what find and stat of every system print alike. */
TzStatus
tz_docker_build_listing(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	TzBuf dir;
	TzStatus status = tz_docker_url(effect, "/exec", out, err);

	if (status != TZ_OK)
		return status;
	tz_buf_init(&dir, 2 * TZ_DOCKER_PATH_MAX);
	if (json_object_get(effect->request, "dir") != NULL)
		status = tz_docker_path(effect, to, "dir", &dir, err);
	else
		tz_buf_append_cstr(&dir, tz_docker_workdir(to));
	if (status == TZ_OK)
	{
		tz_buf_append_cstr(
			&out->body,
			"{\"AttachStdout\":true,\"AttachStderr\":true,\"Tty\":false,\"Cmd\":[\"/bin/sh\",\"-c\","
			"\"cd -- \\\"$1\\\" || exit 44; "
			"exec find . ! -name . -prune -exec stat -c '%f %s %Y %n' {} +\",\"sh\",");
		tz_docker_string(tz_buf_slice(&dir), &out->body);
		tz_buf_append_cstr(&out->body, "]}");
	}
	tz_buf_free(&dir);
	return status;
}

static bool
take_number(TzSlice *line, int base, int64_t *value)
{
	char digits[24];
	char *end;
	const char *blank = memchr(line->data, ' ', line->len);
	size_t n = blank != NULL ? (size_t) (blank - line->data) : 0;

	if (n == 0 || n >= sizeof(digits))
		return false;
	memcpy(digits, line->data, n);
	digits[n] = '\0';
	*value = strtoll(digits, &end, base);
	line->data += n + 1;
	line->len -= n + 1;
	return *end == '\0' && *value >= 0;
}

/* "81a4 5 1700000000 ./name", or NULL. */
static json_t *
entry_of(TzSlice line)
{
	int64_t mode;
	int64_t size;
	int64_t modified;
	json_t *entry;

	if (!take_number(&line, 16, &mode) || !take_number(&line, 10, &size) ||
	    !take_number(&line, 10, &modified) || line.len < 3 || memcmp(line.data, "./", 2) != 0)
		return NULL;
	entry = json_pack("{s:I, s:I, s:b}", "size", (json_int_t) size, "modified", (json_int_t) modified * 1000,
	                  "is_dir", (mode & 0xf000) == 0x4000);
	if (entry != NULL &&
	    tz_json_set_text(entry, "name", tz_slice(line.data + 2, line.len - 2), NULL) != TZ_OK)
	{
		json_decref(entry);
		return NULL;
	}
	return entry;
}

/* A name may hold a line feed: what does not begin like an entry belongs to the name before. */
static void
add_line(json_t *entries, TzSlice line)
{
	json_t *entry = entry_of(line);
	json_t *last = json_array_get(entries, json_array_size(entries) - 1);
	TzBuf name;

	if (entry != NULL)
	{
		json_array_append_new(entries, entry);
		return;
	}
	if (json_array_size(entries) == 0)
		return;
	tz_buf_init(&name, 4096);
	tz_buf_append_cstr(&name, json_string_value(json_object_get(last, "name")));
	tz_buf_append_byte(&name, '\n');
	tz_buf_append(&name, line.data, line.len);
	if (name.status == TZ_OK)
		(void) tz_json_set_text(last, "name", tz_buf_slice(&name), NULL);
	tz_buf_free(&name);
}

void
tz_docker_parse_listed(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	json_t *text = json_object_get(effect->state, "stdout");
	TzSlice left = {json_string_value(text), json_string_length(text)};
	json_t *entries;
	int64_t code = 0;

	if (!tz_docker_ended(effect, in, &code, out))
		return;
	if (code == EXIT_NO_DIR)
	{
		tz_err_set(&out->err, TZ_NOT_FOUND, "no such directory in the sandbox");
		tz_answer_fail(in, "not_found", out);
		return;
	}
	if (code == 126 || code == 127)
	{
		tz_err_set(&out->err, TZ_UNAVAILABLE, "the sandbox's image has no find or no stat");
		tz_err_hint(&out->err, "Use an image with the usual small programs.");
		tz_answer_fail(in, "provider_error", out);
		return;
	}
	entries = json_array();
	while (left.len > 0)
	{
		const char *feed = memchr(left.data, '\n', left.len);
		size_t n = feed != NULL ? (size_t) (feed - left.data) : left.len;

		add_line(entries, tz_slice(left.data, n));
		n += feed != NULL;
		left.data += n;
		left.len -= n;
	}
	if (json_array_size(entries) > ENTRIES_MAX || json_is_true(json_object_get(effect->state, "truncated")))
	{
		json_decref(entries);
		tz_err_set(&out->err, TZ_TOO_LARGE, "directory has more than %d entries", ENTRIES_MAX);
		tz_err_hint(&out->err, "List a part of it with theazo.exec().");
		tz_answer_fail(in, "provider_error", out);
		return;
	}
	tz_answer_done(out, json_pack("{s:o}", "entries", entries));
}
