/*-------------------------------------------------------------------------
 *
 * local_snapshot.c
 *	  Files of a sandbox as they are, and a new sandbox with such files.
 *
 * A snapshot is an archive that a command inside makes, and a command inside
 * unpacks: nothing out here looks into what programs of a box have written.
 * Its bytes go to the rows that keep it and come back with a creation.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "sandbox/wire.h"
#include "worker/local_internal.h"

/* What can be given back, as a command's input. */
#define ARCHIVE_MAX TZ_WIRE_STDIN_MAX

static const char *const pack[] = {"tar",
                                   "--create",
                                   "--file=-",
                                   "--directory=/workspace",
                                   "--use-compress-program=gzip -1",
                                   "--numeric-owner",
                                   "--sparse",
                                   "--ignore-failed-read",
                                   "."};
static const char *const unpack[] = {"tar",
                                     "--extract",
                                     "--file=-",
                                     "--directory=/workspace",
                                     "--use-compress-program=gzip",
                                     "--preserve-permissions",
                                     "--no-same-owner"};
static const char *const env[] = {"PATH=/usr/bin:/bin", "LC_ALL=C", "TAR_OPTIONS="};

/* What the command said last, without its line end. */
static void
said(const TzBoxResult *res, TzErr *err)
{
	size_t len = res->errout.len;

	while (len > 0 && res->errout.data[len - 1] == '\n')
		len--;
	if (len > 0)
		tz_err_detail(err, "%.*s", (int) (len < 300 ? len : 300), res->errout.data);
	if (res->exit_code == 127)
		tz_err_hint(err, "tar and gzip must be installed below /usr on the database server's machine.");
}

static void
pack_done(void *arg, const TzBoxResult *res)
{
	TzLocalJob *job = arg;
	const char *tag = tz_local_request_text(job, "tag");
	TzErr err;

	if (res->err.status != TZ_OK)
	{
		tz_local_job_box_error(job, &res->err);
		return;
	}
	tz_err_clear(&err);
	if (res->truncated)
	{
		tz_err_set(&err, TZ_TOO_LARGE, "the files of the sandbox are over %d MB, packed", ARCHIVE_MAX >> 20);
		tz_err_hint(&err, "Delete what need not be kept from the working directory.");
	}
	/* 1: a file changed while it was read, by a program that was left running. */
	else if (res->timed_out || res->exit_code > 1)
	{
		tz_err_set(&err, TZ_UNAVAILABLE, "the files of the sandbox could not be packed");
		said(res, &err);
	}
	else if (tz_buf_append(&job->out->content, res->out.data, res->out.len) != TZ_OK)
		tz_err_set(&err, job->out->content.status, "the files of the sandbox are too large to be kept");
	if (err.status != TZ_OK)
		tz_local_job_fail(job, &err, NULL, "provider_error");
	else
		tz_local_job_done(job, json_pack("{s:s, s:I}", "snapshot", tag != NULL ? tag : job->box->id,
		                                 "size_bytes", (json_int_t) res->out.len));
}

static TzStatus
start(TzLocalJob *job, LocalBox *b, const char *const *argv, int argc, TzBoxDone done, TzErr *err)
{
	TzBoxExec exec = {
		.argv = argv,
		.argc = argc,
		.env = env,
		.nenv = sizeof(env) / sizeof(env[0]),
		.timeout_ms = job->timeout_ms,
		.max_output = ARCHIVE_MAX,
	};

	if (argv == unpack)
		exec.stdin_data = job->effect->content;
	return tz_box_exec(b->box, &exec, done, job, &job->op, err);
}

void
tz_local_job_snapshot(TzLocal *local, TzLocalJob *job)
{
	LocalBox *b = tz_local_job_box(local, job);
	TzErr err;

	if (b == NULL)
		return;
	tz_err_clear(&err);
	tz_local_job_link(job, b);
	err.status = start(job, b, pack, sizeof(pack) / sizeof(pack[0]), pack_done, &err);
	if (err.status != TZ_OK)
		tz_local_job_box_error(job, &err);
}

static void
unpack_done(void *arg, const TzBoxResult *res)
{
	TzLocalJob *job = arg;
	TzErr err = res->err;

	if (err.status == TZ_OK && (res->timed_out || res->exit_code != 0))
	{
		tz_err_set(&err, TZ_UNAVAILABLE, "the files of the snapshot could not be unpacked");
		said(res, &err);
	}
	tz_local_create_filled(job, &err);
}

bool
tz_local_fill(TzLocalJob *job, TzErr *err)
{
	const char *snapshot = tz_local_request_text(job, "snapshot");

	if (snapshot == NULL)
		return false;
	if (job->effect->content.len == 0)
		return tz_err_set(err, TZ_NOT_FOUND, "the files of snapshot \"%.64s\" are not kept any more",
		                  snapshot) == TZ_OK;
	return start(job, job->box, unpack, sizeof(unpack) / sizeof(unpack[0]), unpack_done, err) == TZ_OK;
}
