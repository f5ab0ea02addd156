/*-------------------------------------------------------------------------
 *
 * local_ops.c
 *	  What is done in a sandbox: commands, files, pause, figures, its end.
 *
 * Each operation is a call into the box and a callback that makes its answer a
 * result document.
 *
 *-------------------------------------------------------------------------
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "worker/env.h"
#include "worker/language.h"
#include "worker/local_internal.h"

#define OUTPUT_DEFAULT (1024 * 1024)
#define OUTPUT_MAX (4 * 1024 * 1024)
#define READ_MAX (64 * 1024 * 1024)

/* ---------------------------------------------------------------- exec */

static void
exec_output(void *arg, bool is_stderr, TzSlice bytes)
{
	TzLocalJob *job = arg;

	job->output(job, is_stderr, bytes);
}

static void
exec_done(void *arg, const TzBoxResult *res)
{
	TzLocalJob *job = arg;
	json_t *o;

	if (res->err.status != TZ_OK || job->cancelling)
	{
		tz_local_job_box_error(job, &res->err);
		return;
	}
	o = json_object();
	if (o == NULL || tz_json_set_text(o, "stdout", res->out, NULL) != TZ_OK ||
	    tz_json_set_text(o, "stderr", res->errout, NULL) != TZ_OK ||
	    json_object_set_new(o, "exit_code", json_integer(res->timed_out ? 124 : res->exit_code)) != 0 ||
	    json_object_set_new(o, "truncated", json_boolean(res->truncated)) != 0 ||
	    json_object_set_new(o, "timed_out", json_boolean(res->timed_out)) != 0 ||
	    json_object_set_new(o, "out_of_memory", json_boolean(res->out_of_memory)) != 0 ||
	    json_object_set_new(o, "cpu_ms", json_integer(res->cpu_ms)) != 0 ||
	    json_object_set_new(o, "peak_rss_kb", json_integer(res->peak_rss_kb)) != 0 ||
	    (res->note != NULL && json_object_set_new(o, "note", json_string(res->note)) != 0))
	{
		json_decref(o);
		o = NULL;
	}
	tz_local_job_done(job, o);
}

/* The language, if this machine has its runtime; else the job is ended. */
static const TzLanguage *
exec_language(TzLocal *local, TzLocalJob *job)
{
	const char *name = tz_local_request_text(job, "language");
	const TzLanguage *lang = name != NULL ? tz_language_find(name) : NULL;
	const TzBoxCheck *check;
	TzErr err;

	tz_err_clear(&err);
	if (lang == NULL)
	{
		tz_err_set(&err, TZ_BAD_INPUT, "language \"%s\" is not known", name != NULL ? name : "");
		tz_err_hint(&err, "Languages: %s.", tz_language_list());
		tz_local_job_fail(job, &err, "22023", "invalid_request");
		return NULL;
	}
	check = tz_box_preflight_check(&local->preflight, lang->runtime);
	if (check != NULL && !check->ok)
	{
		tz_err_set(&err, TZ_UNSUPPORTED, "runtime \"%s\" is not installed on this machine", lang->runtime);
		if (check->found[0] != '\0')
			tz_err_detail(&err, "%s", check->found);
		tz_err_hint(&err, "%s",
		            check->hint[0] != '\0'
		                ? check->hint
		                : "Install it below /usr on the database server's machine, then restart the server.");
		tz_local_job_fail(job, &err, "TZ409", "provider_error");
		return NULL;
	}
	return lang;
}

static TzStatus
exec_env(const TzLocalJob *job, const TzLanguage *lang, TzEnv *env, TzErr *err)
{
	TzStatus st = TZ_OK;

	if (lang->env != NULL)
	{
		char name[32];
		const char *eq = strchr(lang->env, '=');

		snprintf(name, sizeof(name), "%.*s", (int) (eq - lang->env), lang->env);
		st = tz_env_set(env, name, tz_slice_cstr(eq + 1), err);
	}
	for (int i = 0; i < job->effect->nsecrets && st == TZ_OK; i++)
	{
		if (strcmp(job->effect->secrets[i].use, "env") == 0)
			st = tz_env_set(env, job->effect->secrets[i].name, job->effect->secrets[i].value, err);
	}
	if (st == TZ_OK)
		st = tz_env_object(env, json_object_get(job->effect->request, "env"), err);
	return st;
}

static TzStatus
exec_start(TzLocalJob *job, LocalBox *b, const TzLanguage *lang, TzErr *err)
{
	json_t *code = json_object_get(job->effect->request, "code");
	TzSlice text;
	TzEnv *env;
	TzBoxExec exec = {0};
	TzStatus st;

	if (!json_is_string(code))
		return tz_err_set(err, TZ_BAD_INPUT, "code is missing");
	env = calloc(1, sizeof(TzEnv));
	if (env == NULL)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	st = exec_env(job, lang, env, err);
	if (st == TZ_OK)
	{
		text = tz_slice(json_string_value(code), json_string_length(code));
		exec.argv = lang->argv;
		while (exec.argc < TZ_LANGUAGE_ARGS_MAX && lang->argv[exec.argc] != NULL)
			exec.argc++;
		exec.env = (const char *const *) env->entries;
		exec.nenv = env->n;
		if (lang->file != NULL)
		{
			exec.code = text;
			exec.code_name = lang->file;
		}
		else
			exec.stdin_data = text;
		/* its own limit, and never past the moment the whole call must have ended */
		exec.timeout_ms =
			(int) tz_local_object_int(job->effect->request, "timeout_ms", job->timeout_ms, INT_MAX);
		if (exec.timeout_ms > job->timeout_ms)
			exec.timeout_ms = job->timeout_ms;
		exec.max_output =
			(size_t) tz_local_object_int(job->effect->request, "max_output", OUTPUT_DEFAULT, OUTPUT_MAX);
		exec.output = job->output != NULL ? exec_output : NULL;
		tz_local_job_link(job, b);
		st = tz_box_exec(b->box, &exec, exec_done, job, &job->op, err);
		if (st != TZ_OK)
			tz_local_job_unlink(job);
	}
	tz_env_wipe(env);
	free(env);
	return st;
}

void
tz_local_job_exec(TzLocal *local, TzLocalJob *job)
{
	LocalBox *b = tz_local_job_box(local, job);
	const TzLanguage *lang;
	TzErr err;

	if (b == NULL)
		return;
	lang = exec_language(local, job);
	if (lang == NULL)
		return;
	tz_err_clear(&err);
	err.status = exec_start(job, b, lang, &err);
	if (err.status != TZ_OK)
		tz_local_job_box_error(job, &err);
}

/* ---------------------------------------------------------------- files and the rest */

/* A path of the request; ends the job when there is none. */
static const char *
job_path(TzLocalJob *job, const char *key)
{
	const char *path = tz_local_request_text(job, key);
	TzErr err;

	if (path != NULL && path[0] != '\0' && strlen(path) < 4096)
		return path;
	tz_err_clear(&err);
	tz_err_set(&err, TZ_BAD_INPUT, "path is empty, too long, or contains a zero byte");
	tz_local_job_fail(job, &err, "22023", "invalid_request");
	return NULL;
}

/* After a call into the box: a refusal ends the job. */
static void
job_began(TzLocalJob *job, TzStatus st, TzErr *err)
{
	if (st == TZ_OK)
		return;
	err->status = st;
	tz_local_job_box_error(job, err);
}

static void
write_done(void *arg, const TzBoxResult *res)
{
	TzLocalJob *job = arg;

	if (res->err.status != TZ_OK)
		tz_local_job_box_error(job, &res->err);
	else
		tz_local_job_done(job, json_object());
}

void
tz_local_job_write(TzLocal *local, TzLocalJob *job)
{
	LocalBox *b = tz_local_job_box(local, job);
	const char *path;
	TzErr err;

	if (b == NULL || (path = job_path(job, "path")) == NULL)
		return;
	tz_err_clear(&err);
	tz_local_job_link(job, b);
	job_began(job, tz_box_write(b->box, path, job->effect->content, write_done, job, &err), &err);
}

static void
read_done(void *arg, const TzBoxResult *res)
{
	TzLocalJob *job = arg;
	TzErr err;

	if (res->err.status != TZ_OK)
	{
		err = res->err;
		if (err.status == TZ_TOO_LARGE)
			tz_err_hint(&err, "Read a smaller file, or take a part of it with theazo.exec().");
		tz_local_job_box_error(job, &err);
		return;
	}
	tz_err_clear(&err);
	if (tz_buf_append(&job->out->content, res->out.data, res->out.len) != TZ_OK)
	{
		tz_err_set(&err, job->out->content.status, "the file is larger than may be read");
		tz_local_job_fail(job, &err, NULL, NULL);
		return;
	}
	tz_local_job_done(job, json_pack("{s:I}", "size", (json_int_t) res->out.len));
}

void
tz_local_job_read(TzLocal *local, TzLocalJob *job)
{
	LocalBox *b = tz_local_job_box(local, job);
	const char *path;
	size_t max;
	TzErr err;

	if (b == NULL || (path = job_path(job, "path")) == NULL)
		return;
	tz_err_clear(&err);
	max = (size_t) tz_local_object_int(job->effect->request, "max_bytes", READ_MAX, READ_MAX);
	tz_local_job_link(job, b);
	job_began(job, tz_box_read(b->box, path, max, read_done, job, &err), &err);
}

static json_t *
list_entry(const TzBoxEntry *e)
{
	json_t *o = json_object();

	if (o == NULL || tz_json_set_text(o, "name", tz_slice_cstr(e->name), NULL) != TZ_OK ||
	    json_object_set_new(o, "size", json_integer(e->size)) != 0 ||
	    json_object_set_new(o, "modified", json_integer(e->modified_ms)) != 0 ||
	    json_object_set_new(o, "is_dir", json_boolean(e->is_dir)) != 0)
	{
		json_decref(o);
		return NULL;
	}
	return o;
}

static void
list_done(void *arg, const TzBoxResult *res)
{
	TzLocalJob *job = arg;
	json_t *entries;
	json_t *o;

	if (res->err.status != TZ_OK)
	{
		tz_local_job_box_error(job, &res->err);
		return;
	}
	o = json_object();
	entries = json_array();
	if (o == NULL || json_object_set_new(o, "entries", entries) != 0)
	{
		json_decref(o);
		o = NULL;
	}
	for (int i = 0; o != NULL && i < res->nentries; i++)
	{
		if (json_array_append_new(entries, list_entry(&res->entries[i])) != 0)
		{
			json_decref(o);
			o = NULL;
		}
	}
	tz_local_job_done(job, o);
}

void
tz_local_job_list(TzLocal *local, TzLocalJob *job)
{
	LocalBox *b = tz_local_job_box(local, job);
	const char *dir;
	TzErr err;

	if (b == NULL || (dir = job_path(job, "dir")) == NULL)
		return;
	tz_err_clear(&err);
	tz_local_job_link(job, b);
	job_began(job, tz_box_list(b->box, dir, list_done, job, &err), &err);
}

static void
pause_done(void *arg, const TzBoxResult *res)
{
	TzLocalJob *job = arg;

	if (res->err.status != TZ_OK)
		tz_local_job_box_error(job, &res->err);
	else
		tz_local_job_done(job, json_pack("{s:s, s:b}", "snapshot", "", "supported", 1));
}

static void
resume_done(void *arg, const TzBoxResult *res)
{
	TzLocalJob *job = arg;

	if (res->err.status != TZ_OK)
		tz_local_job_box_error(job, &res->err);
	else
		tz_local_job_done(job, json_pack("{s:s}", "sandbox", job->box->id));
}

static void
job_stop(TzLocal *local, TzLocalJob *job, bool stop)
{
	LocalBox *b = tz_local_job_box(local, job);
	TzErr err;

	if (b == NULL)
		return;
	tz_err_clear(&err);
	tz_local_job_link(job, b);
	job_began(job, tz_box_pause(b->box, stop, stop ? pause_done : resume_done, job, &err), &err);
}

void
tz_local_job_pause(TzLocal *local, TzLocalJob *job)
{
	job_stop(local, job, true);
}

void
tz_local_job_resume(TzLocal *local, TzLocalJob *job)
{
	job_stop(local, job, false);
}

static void
metrics_done(void *arg, const TzBoxResult *res)
{
	TzLocalJob *job = arg;

	if (res->err.status != TZ_OK)
		tz_local_job_box_error(job, &res->err);
	else
		tz_local_job_done(job, json_pack("{s:f, s:f, s:f}", "cpu_percent", res->cpu_percent, "memory_mb",
		                                 (double) res->memory_kb / 1024.0, "disk_mb",
		                                 (double) res->disk_kb / 1024.0));
}

void
tz_local_job_metrics(TzLocal *local, TzLocalJob *job)
{
	LocalBox *b = tz_local_job_box(local, job);
	TzErr err;

	if (b == NULL)
		return;
	tz_err_clear(&err);
	tz_local_job_link(job, b);
	job_began(job, tz_box_metrics(b->box, metrics_done, job, &err), &err);
}

/* Already gone is done. */
void
tz_local_job_destroy(TzLocal *local, TzLocalJob *job)
{
	LocalBox *b = tz_local_box_find(local, tz_local_request_text(job, "sandbox"));

	if (b != NULL)
	{
		b->told = true;
		snprintf(b->why, sizeof(b->why), "It was destroyed.");
		tz_local_box_sweep(b);
	}
	tz_local_job_done(job, json_object());
}

/* What is held here, whoever it was made for. */
void
tz_local_job_sweep(TzLocal *local, TzLocalJob *job)
{
	json_t *boxes = json_array();

	for (LocalBox *b = local->boxes; boxes != NULL && b != NULL; b = b->next)
	{
		if (!b->ready || b->doomed)
			continue;
		if (json_array_append_new(boxes, json_pack("{s:s, s:s}", "sandbox", b->id, "tag", b->sandbox_id)) ==
		    0)
			continue;
		json_decref(boxes);
		boxes = NULL;
	}
	tz_local_job_done(job, boxes != NULL ? json_pack("{s:o, s:b}", "sandboxes", boxes, "complete", 1) : NULL);
}
