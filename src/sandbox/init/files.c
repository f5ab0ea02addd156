/*-------------------------------------------------------------------------
 *
 * files.c
 *	  File work inside the box: read, write, list, stat, delete.
 *
 * Done here, as the box's user and under the box's root, so that a link can
 * only lead to places the commands see anyway; and held below /workspace by
 * openat2, so that it does not lead out of that either. The last part of a
 * path is never followed, only regular files are opened, and opening never
 * blocks. A file appears or changes whole: it is written beside and renamed.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/init/init.h"

#ifndef SYS_openat2
#define SYS_openat2 437
#endif

/* A path below the workspace, cut into directory and last part. Both empty for the workspace itself. */
typedef struct FilePath
{
	char dir[TZ_WIRE_PATH_MAX];
	char name[256];
	char whole[TZ_WIRE_PATH_MAX];
} FilePath;

static int
files_root(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = open(INIT_WORKSPACE, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd;
}

/* Without openat2 (before Linux 5.6) no link is followed at all. */
static int
files_walk(int at, const char *path, int flags, mode_t mode)
{
	char part[256];
	int dir = fcntl(at, F_DUPFD_CLOEXEC, 3), next;

	while (dir >= 0)
	{
		size_t n = strcspn(path, "/");
		bool last = path[n] == '\0';

		if (n >= sizeof(part))
		{
			errno = ENAMETOOLONG;
			break;
		}
		memcpy(part, path, n);
		part[n] = '\0';
		next = openat(dir, part, last ? flags | O_NOFOLLOW : O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		              mode);
		close(dir);
		if (next < 0 || last)
			return next;
		dir = next;
		path += n + 1;
	}
	if (dir >= 0)
		close(dir);
	return -1;
}

/* Opens below the directory at; never leaves it, never follows the last part. */
static int
files_open(int at, const char *path, int flags, mode_t mode)
{
	struct open_how how;
	int fd;

	if (path[0] == '\0')
		path = ".";
	memset(&how, 0, sizeof(how));
	how.flags = (uint64_t) (flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (flags & O_PATH)
		how.flags = (uint64_t) (flags | O_NOFOLLOW | O_CLOEXEC);
	how.mode = (flags & O_CREAT) ? mode : 0;
	how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
	for (int i = 0; i < 100; i++)
	{
		fd = (int) syscall(SYS_openat2, at, path, &how, sizeof(how));
		if (fd >= 0 || errno != EAGAIN) /* EAGAIN: something was renamed meanwhile */
			break;
	}
	if (fd < 0 && (errno == ENOSYS || errno == EPERM))
		fd = files_walk(at, path, (int) how.flags, mode);
	return fd;
}

/* A directory; a link as last part is allowed as long as it stays inside. */
static int
files_open_dir_at(const char *path)
{
	struct open_how how;
	int fd;

	if (path[0] == '\0')
		path = ".";
	memset(&how, 0, sizeof(how));
	how.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK;
	how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
	fd = (int) syscall(SYS_openat2, files_root(), path, &how, sizeof(how));
	if (fd < 0 && (errno == ENOSYS || errno == EPERM))
		fd = files_walk(files_root(), path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK, 0);
	return fd;
}

/*
 * The leading slash of a path is the workspace; "/workspace/…" is taken for
 * the same, because that is the name commands print. False sets errno.
 */
static bool
files_path(const char *path, size_t len, FilePath *out)
{
	size_t n = 0;
	const char *end = path + len;
	bool absolute = len > 0 && path[0] == '/';
	bool first = true;

	memset(out, 0, sizeof(*out));
	while (path < end)
	{
		const char *slash = memchr(path, '/', (size_t) (end - path));
		size_t part = slash == NULL ? (size_t) (end - path) : (size_t) (slash - path);

		if (part == 2 && memcmp(path, "..", 2) == 0)
		{
			errno = EXDEV;
			return false;
		}
		if (part > 255)
		{
			errno = ENAMETOOLONG;
			return false;
		}
		if (part > 0 && !(part == 1 && path[0] == '.') &&
		    !(first && absolute && part == 9 && memcmp(path, "workspace", 9) == 0))
		{
			if (n + part + 2 > sizeof(out->whole))
			{
				errno = ENAMETOOLONG;
				return false;
			}
			if (n > 0)
				out->whole[n++] = '/';
			memcpy(out->whole + n, path, part);
			n += part;
			first = false;
		}
		else if (part > 0)
			first = false;
		path += part + 1;
	}
	out->whole[n] = '\0';
	while (n > 0 && out->whole[n - 1] != '/')
		n--;
	snprintf(out->name, sizeof(out->name), "%.255s", out->whole + n);
	if (n > 0)
		memcpy(out->dir, out->whole, n - 1);
	return true;
}

int
files_open_dir(const char *path, size_t len)
{
	FilePath p;

	if (!files_path(path, len, &p))
		return -1;
	return files_open_dir_at(p.whole);
}

static bool
files_request(const TzWireFrame *frame, TzWireReader *r, FilePath *path)
{
	size_t len;
	const char *text = tz_wire_get_rest(r, TZ_WIRE_PATH_MAX - 1, &len);

	if (text == NULL)
		init_die(90);
	if (files_path(text, len, path))
		return true;
	if (frame->type != TZ_WIRE_WRITE)
		link_fail_errno(frame->id, errno, text);
	return false;
}

static void
files_read(const TzWireFrame *frame)
{
	TzWireReader r;
	FilePath path;
	uint64_t max;
	struct stat st;
	InitOp *op;
	int fd;

	tz_wire_reader(&r, frame->data, frame->len);
	max = tz_wire_get_u64(&r);
	if (!files_request(frame, &r, &path))
		return;
	fd = files_open(files_root(), path.whole, O_RDONLY, 0);
	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
	{
		link_fail_errno(frame->id, fd < 0 ? errno : S_ISDIR(st.st_mode) ? EISDIR : EINVAL, path.whole);
		if (fd >= 0)
			close(fd);
		return;
	}
	if ((uint64_t) st.st_size > max)
	{
		link_fail(frame->id, TZ_WIRE_F_TOO_LARGE, "\"%.100s\" has %lld bytes, over the %llu that may be read",
		          path.whole, (long long) st.st_size, (unsigned long long) max);
		close(fd);
		return;
	}
	op = init_op_new(INIT_READ, frame->id);
	op->fd = fd;
	op->max = max;
}

static void
files_read_step(InitOp *op)
{
	static unsigned char buf[TZ_WIRE_PAYLOAD_MAX];

	for (int i = 0; i < 16 && link_clear(); i++)
	{
		ssize_t n = read(op->fd, buf, sizeof(buf));

		if (n > 0 && op->done + (uint64_t) n <= op->max)
		{
			op->done += (uint64_t) n;
			link_send(TZ_WIRE_CHUNK, op->id, buf, (size_t) n);
			continue;
		}
		if (n == 0)
			link_send(TZ_WIRE_DONE, op->id, NULL, 0);
		else if (n > 0)
			link_fail(op->id, TZ_WIRE_F_TOO_LARGE, "the file grew over the %llu bytes that may be read",
			          (unsigned long long) op->max);
		else
			link_fail_errno(op->id, errno, "the file");
		init_op_free(op);
		return;
	}
}

/* Directories above a file, made where they are missing. Answers the last one. */
static int
files_make_dirs(const char *dir)
{
	char part[TZ_WIRE_PATH_MAX];

	for (size_t i = 1; dir[0] != '\0'; i++)
	{
		FilePath p;
		int at;

		if (dir[i] != '/' && dir[i] != '\0')
			continue;
		memcpy(part, dir, i);
		part[i] = '\0';
		if (!files_path(part, i, &p))
			return -1;
		at = files_open_dir_at(p.dir);
		if (at < 0)
			return -1;
		if (mkdirat(at, p.name, 0755) != 0 && errno != EEXIST)
		{
			int err = errno;

			close(at);
			errno = err;
			return -1;
		}
		close(at);
		if (dir[i] == '\0')
			break;
	}
	return files_open_dir_at(dir);
}

static void
files_refuse(InitOp *op, int err, const char *path)
{
	const char *text;

	if (op->failure != 0)
		return;
	op->failure = link_failure_of(err, &text);
	snprintf(op->message, sizeof(op->message), "\"%.100s\" %s", path, text);
}

static void
files_temp_name(const InitOp *op, char out[64])
{
	snprintf(out, 64, INIT_WRITE_PREFIX "%u", op->id);
}

/* Opens the file beside the target; the first error is kept for the end. */
static void
files_write_open(InitOp *op, const FilePath *path)
{
	char temp[64];
	struct stat st;
	mode_t mode = 0644;

	if (path->name[0] == '\0')
	{
		files_refuse(op, EISDIR, "/");
		return;
	}
	op->dir_fd = files_make_dirs(path->dir);
	if (op->dir_fd < 0)
	{
		files_refuse(op, errno, path->whole);
		return;
	}
	if (fstatat(op->dir_fd, path->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
	{
		if (!S_ISREG(st.st_mode))
		{
			files_refuse(op,
			             S_ISDIR(st.st_mode)   ? EISDIR
			             : S_ISLNK(st.st_mode) ? ELOOP
			                                   : EINVAL,
			             path->whole);
			return;
		}
		mode = st.st_mode & 0777;
	}
	files_temp_name(op, temp);
	(void) unlinkat(op->dir_fd, temp, 0);
	op->fd = openat(op->dir_fd, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (op->fd < 0)
		files_refuse(op, errno, path->whole);
	else if (op->write_left > 0 && fallocate(op->fd, 0, 0, (off_t) op->write_left) != 0 &&
	         errno != EOPNOTSUPP)
		files_refuse(op, errno, path->whole);
}

static void
files_write_end(InitOp *op)
{
	char temp[64];

	files_temp_name(op, temp);
	if (op->failure == 0 && renameat(op->dir_fd, temp, op->dir_fd, op->name) != 0)
		files_refuse(op, errno, op->name);
	if (op->failure != 0)
		link_fail(op->id, op->failure, "%s", op->message);
	else
		link_send(TZ_WIRE_DONE, op->id, NULL, 0);
	init_op_free(op);
}

static void
files_write(const TzWireFrame *frame)
{
	TzWireReader r;
	FilePath path;
	InitOp *op = init_op_new(INIT_WRITE, frame->id);
	uint64_t size;

	tz_wire_reader(&r, frame->data, frame->len);
	size = tz_wire_get_u64(&r);
	op->write_left = size;
	if (!files_request(frame, &r, &path))
		files_refuse(op, errno, "path");
	else if (init_state.config.file_bytes > 0 && size > init_state.config.file_bytes)
		files_refuse(op, EFBIG, path.whole);
	else
	{
		snprintf(op->name, sizeof(op->name), "%s", path.name);
		files_write_open(op, &path);
	}
	if (size == 0)
		files_write_end(op);
}

void
files_data(InitOp *op, const unsigned char *data, size_t len)
{
	if (op->kind != INIT_WRITE || len > op->write_left)
		init_die(91);
	op->write_left -= len;
	while (len > 0 && op->failure == 0)
	{
		ssize_t n = write(op->fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
		{
			files_refuse(op, n < 0 ? errno : ENOSPC, op->name);
			break;
		}
		data += n;
		len -= (size_t) n;
	}
	if (op->write_left == 0)
		files_write_end(op);
}

static void
files_entry(TzWireWriter *w, const char *name, const struct stat *st)
{
	TzWireEntry e = {.size = st->st_size > 0 ? (uint64_t) st->st_size : 0,
	                 .modified_ms = (int64_t) st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000,
	                 .is_dir = S_ISDIR(st->st_mode),
	                 .name = name,
	                 .name_len = strlen(name)};

	tz_wire_put_entry(w, &e);
}

static void
files_list(const TzWireFrame *frame)
{
	TzWireReader r;
	FilePath path;
	InitOp *op;
	uint32_t max;
	DIR *dir = NULL;
	int fd;

	tz_wire_reader(&r, frame->data, frame->len);
	max = tz_wire_get_u32(&r);
	if (!files_request(frame, &r, &path))
		return;
	fd = files_open_dir_at(path.whole);
	if (fd < 0 && errno == ENOENT)
	{
		link_send(TZ_WIRE_DONE, frame->id, NULL, 0); /* nothing in a directory that is not there */
		return;
	}
	if (fd >= 0)
		dir = fdopendir(fd);
	if (dir == NULL)
	{
		link_fail_errno(frame->id, errno, path.whole);
		if (fd >= 0)
			close(fd);
		return;
	}
	op = init_op_new(INIT_LIST, frame->id);
	op->dir = dir;
	op->max = max;
}

static void
files_list_step(InitOp *op)
{
	static unsigned char buf[TZ_WIRE_PAYLOAD_MAX];
	TzWireWriter w;
	struct dirent *d = NULL;
	struct stat st;

	if (!link_clear())
		return;
	tz_wire_writer(&w, buf, sizeof(buf));
	while (w.cap - w.len > 512 && op->entries < op->max && (d = readdir(op->dir)) != NULL)
	{
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0 ||
		    strncmp(d->d_name, INIT_WRITE_PREFIX, strlen(INIT_WRITE_PREFIX)) == 0 ||
		    fstatat(dirfd(op->dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		files_entry(&w, d->d_name, &st);
		op->entries++;
	}
	if (w.len > 0)
		link_send(TZ_WIRE_ENTRIES, op->id, buf, w.len);
	if (d == NULL || op->entries >= op->max)
	{
		link_send(TZ_WIRE_DONE, op->id, NULL, 0);
		init_op_free(op);
	}
}

static void
files_stat_or_delete(const TzWireFrame *frame)
{
	TzWireReader r;
	FilePath path;
	struct stat st;
	unsigned char buf[512];
	TzWireWriter w;
	int dir, rc;

	tz_wire_reader(&r, frame->data, frame->len);
	if (!files_request(frame, &r, &path))
		return;
	dir = files_open_dir_at(path.dir);
	rc = dir < 0 ? -1 : fstatat(dir, path.name[0] ? path.name : ".", &st, AT_SYMLINK_NOFOLLOW);
	if (rc == 0 && frame->type == TZ_WIRE_DELETE)
	{
		if (path.name[0] == '\0')
		{
			rc = -1;
			errno = EPERM;
		}
		else
			rc = unlinkat(dir, path.name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0);
	}
	if (rc != 0)
		link_fail_errno(frame->id, errno, path.whole);
	else if (frame->type == TZ_WIRE_STAT)
	{
		tz_wire_writer(&w, buf, sizeof(buf));
		files_entry(&w, path.name[0] ? path.name : ".", &st);
		link_send(TZ_WIRE_ENTRIES, frame->id, buf, w.len);
	}
	if (rc == 0)
		link_send(TZ_WIRE_DONE, frame->id, NULL, 0);
	if (dir >= 0)
		close(dir);
}

void
files_frame(const TzWireFrame *frame)
{
	switch (frame->type)
	{
		case TZ_WIRE_READ:
			files_read(frame);
			break;
		case TZ_WIRE_WRITE:
			files_write(frame);
			break;
		case TZ_WIRE_LIST:
			files_list(frame);
			break;
		case TZ_WIRE_STAT:
		case TZ_WIRE_DELETE:
			files_stat_or_delete(frame);
			break;
		default:
			init_die(92);
	}
}

void
files_step(InitOp *op)
{
	if (op->kind == INIT_READ)
		files_read_step(op);
	else if (op->kind == INIT_LIST)
		files_list_step(op);
}

void
files_free(InitOp *op)
{
	char temp[64];

	if (op->kind == INIT_WRITE && op->dir_fd >= 0 && op->fd >= 0)
	{
		files_temp_name(op, temp);
		(void) unlinkat(op->dir_fd, temp, 0); /* is gone when it was renamed */
	}
	if (op->dir != NULL)
		closedir(op->dir);
	if (op->fd >= 0)
		close(op->fd);
	if (op->dir_fd >= 0)
		close(op->dir_fd);
}
