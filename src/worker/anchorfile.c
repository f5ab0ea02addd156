/*-------------------------------------------------------------------------
 *
 * anchorfile.c
 *	  An anchor as a line of a file outside the data directory.
 *
 * The file is for somebody else to carry away: write-once storage, a mount that
 * another machine keeps. So it is only ever added to. A line that a crash cut short
 * is ended and stays; a line that is there already is not written again, which makes
 * every attempt but the first harmless.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "miscadmin.h"
#include "utils/builtins.h"

#include "adapter/anchor.h"
#include "lib/json.h"
#include "pg/export.h"
#include "pg/guc.h"
#include "worker/anchorfile.h"

#define NAME_MAX_BYTES 100
#define TAIL_BYTES 65536 /* where a line that was written before is looked for: some 400 rounds */
#define FILE_MODE 0640

/* After a sync that failed nobody knows what is on the disk, and the kernel says so once. */
static bool distrust = false;

static TzStatus
failed(TzErr *err, const char *what)
{
	int saved = errno;

	tz_err_set(err, saved == ENOSPC || saved == EIO ? TZ_UNAVAILABLE : TZ_REFUSED,
	           "could not %s of the anchor: %s", what, strerror(saved));
	tz_err_hint(err, "The user that runs the server must be able to write in theazo.anchor_directory.");
	return err->status;
}

static bool
is_within(const char *path, const char *parent)
{
	size_t len = strlen(parent);

	return strncmp(path, parent, len) == 0 &&
	       (path[len] == '/' || path[len] == '\0' || parent[len - 1] == '/');
}

/* The directory as the system knows it, into real (PATH_MAX bytes). */
static TzStatus
resolve_directory(char *real, TzErr *err)
{
	const char *directory = tz_guc_anchor_directory != NULL ? tz_guc_anchor_directory : "";
	char data[PATH_MAX];

	if (directory[0] == '\0')
	{
		tz_err_set(err, TZ_BAD_INPUT, "theazo.anchor_directory is not set");
		tz_err_hint(err, "Set it to a directory outside the data directory and reload.");
		return TZ_BAD_INPUT;
	}
	if (realpath(directory, real) == NULL)
		return failed(err, "find the directory");
	if (realpath(DataDir, data) == NULL)
		return failed(err, "compare the directory");
	if (is_within(real, data))
	{
		tz_err_set(err, TZ_BAD_INPUT, "theazo.anchor_directory is inside the data directory");
		tz_err_hint(err,
		            "Whoever can change events there could change the anchor as well: choose another place.");
		return TZ_BAD_INPUT;
	}
	return TZ_OK;
}

/* A plain name, never a path. */
static TzStatus
take_name(const TzEndpoint *to, TzSlice *name, TzErr *err)
{
	TzStatus status = tz_json_get_str(to->config, "file", true, NAME_MAX_BYTES, name, err);

	for (size_t i = 0; status == TZ_OK && i < name->len; i++)
	{
		char c = name->data[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
		      c == '-' || (c == '.' && i > 0)))
			status = tz_err_set(err, TZ_BAD_INPUT, "name of the anchor's file is not valid");
	}
	if (status == TZ_OK && name->len == 0)
		status = tz_err_set(err, TZ_BAD_INPUT, "name of the anchor's file is empty");
	return status;
}

/*
 * Looks at the end of the file: is the line there (its place into *offset, else -1), and does the
 * last line end? One of the same round that says something else is an error.
 */
static TzStatus
look_at_tail(int fd, const TzAnchor *anchor, off_t size, off_t *offset, bool *torn, TzErr *err)
{
	size_t want = (size_t) Min(size, (off_t) TAIL_BYTES);
	off_t from = size - (off_t) want;
	char *text = malloc(want + 1);
	size_t at = 0;
	TzStatus status = TZ_OK;

	*offset = -1;
	*torn = false;
	if (text == NULL)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	if (pread(fd, text, want, from) != (ssize_t) want)
		status = failed(err, "read the file");
	*torn = status == TZ_OK && want > 0 && text[want - 1] != '\n';
	while (status == TZ_OK && at < want)
	{
		char *end = memchr(text + at, '\n', want - at);
		TzAnchor other;

		if (end == NULL)
			break;
		if (tz_anchor_line_read(tz_slice(text + at, (size_t) (end - text) - at), &other, NULL) == TZ_OK &&
		    tz_slice_eq(other.round, anchor->round))
		{
			if (other.size != anchor->size || other.at_us != anchor->at_us ||
			    memcmp(other.root, anchor->root, TZ_ANCHOR_ROOT_LEN) != 0)
				status = tz_err_set(err, TZ_CRYPTO, "the file has another root for this round");
			*offset = from + (off_t) at;
		}
		at = (size_t) (end - text) + 1;
	}
	free(text);
	return status;
}

static TzStatus
write_line(int fd, TzSlice line, TzErr *err)
{
	size_t done = 0;

	while (done < line.len)
	{
		ssize_t n = write(fd, line.data + done, line.len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return failed(err, "write the file");
		done += (size_t) n;
	}
	return TZ_OK;
}

static TzStatus
sync_all(int fd, int dir, TzErr *err)
{
	if (fsync(fd) == 0 && fsync(dir) == 0)
	{
		distrust = false;
		return TZ_OK;
	}
	distrust = true;
	return failed(err, "sync the file");
}

static TzStatus
append(int fd, int dir, const TzAnchor *anchor, TzSlice line, off_t *offset, TzErr *err)
{
	struct stat st;
	bool torn;
	TzStatus status;

	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		return tz_err_set(err, TZ_UNAVAILABLE, "the file of the anchor is locked by somebody");
	if (fstat(fd, &st) != 0)
		return failed(err, "look at the file");
	if (!S_ISREG(st.st_mode))
		return tz_err_set(err, TZ_REFUSED, "the file of the anchor is not a regular file");
	status = look_at_tail(fd, anchor, st.st_size, offset, &torn, err);
	if (status != TZ_OK)
		return status;
	if (*offset < 0 || distrust)
	{
		*offset = st.st_size + (torn ? 1 : 0);
		if (torn)
			status = write_line(fd, tz_slice("\n", 1), err);
		if (status == TZ_OK)
			status = write_line(fd, line, err);
	}
	return status == TZ_OK ? sync_all(fd, dir, err) : status;
}

static TzStatus
append_in(const char *directory, TzSlice name, const TzAnchor *anchor, TzSlice line, off_t *offset,
          TzErr *err)
{
	char file[NAME_MAX_BYTES + 1];
	int dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	TzStatus status;
	int fd;

	if (dir < 0)
		return failed(err, "open the directory");
	memcpy(file, name.data, name.len);
	file[name.len] = '\0';
	fd = openat(dir, file, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, FILE_MODE);
	if (fd < 0)
		status = failed(err, "open the file");
	else
	{
		status = append(fd, dir, anchor, line, offset, err);
		close(fd);
	}
	close(dir);
	return status;
}

void
tz_anchor_file(const TzEffect *effect, const TzEndpoint *to, TzOutcome *out)
{
	char directory[PATH_MAX];
	TzSlice name = {NULL, 0};
	TzAnchor anchor;
	off_t offset = 0;
	TzBuf line;
	TzStatus status;

	tz_buf_init(&line, TZ_ANCHOR_LINE_MAX);
	status = resolve_directory(directory, &out->err);
	if (status == TZ_OK)
		status = take_name(to, &name, &out->err);
	if (status == TZ_OK)
		status = tz_anchor_of(effect, &anchor, &out->err);
	if (status == TZ_OK)
		status = tz_anchor_line(&anchor, &line, &out->err);
	if (status == TZ_OK)
		status = append_in(directory, name, &anchor, tz_buf_slice(&line), &offset, &out->err);
	out->verdict = status == TZ_OK ? TZ_V_DONE : TZ_V_FAILED;
	if (status == TZ_OK)
	{
		out->result = json_object();
		tz_json_set_text(out->result, "file", name, NULL);
		json_object_set_new(out->result, "offset", json_integer((json_int_t) offset));
		tz_json_set_text(out->result, "line", tz_slice(line.data, line.len - 1), NULL);
	}
	else
		out->error_code = "provider_error";
	tz_buf_free(&line);
}

/* anchor_directory_fault(): why files cannot be anchors here, or null. */
THEAZO_FUNCTION(theazo_anchor_directory_fault)
{
	char directory[PATH_MAX];
	TzErr err;

	tz_err_clear(&err);
	if (resolve_directory(directory, &err) == TZ_OK)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(err.message));
}
