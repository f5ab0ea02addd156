/*-------------------------------------------------------------------------
 *
 * local_create.c
 *	  Making a sandbox: what is asked for, within what the operator allows.
 *
 * A repeated attempt finds the box that the one before it made.
 *
 *-------------------------------------------------------------------------
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/env.h"
#include "worker/local_internal.h"

#define OPEN_FILES 256
#define RULES_MAX 256

static bool
machine_suffices(TzLocal *local, TzErr *err)
{
	const TzBoxPreflight *pf = &local->preflight;

	if (pf->mode != TZ_BOX_NONE && pf->mode >= local->config.minimum)
		return true;
	if (pf->mode == TZ_BOX_NONE)
	{
		*err = pf->err;
		if (err->message[0] == '\0')
			tz_err_set(err, TZ_UNSUPPORTED, "local sandboxes do not work on this machine");
		err->status = TZ_UNSUPPORTED;
		if (err->hint[0] == '\0')
			tz_err_hint(err, "The view theazo.sandbox_preflight says what is missing.");
		return false;
	}
	tz_err_set(err, TZ_UNSUPPORTED, "this machine offers isolation \"%s\", the operator demands \"%s\"",
	           tz_box_mode_name(pf->mode), tz_box_mode_name(local->config.minimum));
	tz_err_hint(
		err, "The view theazo.sandbox_preflight says what to change; theazo.sandbox_minimum is the demand.");
	return false;
}

static char *
copy_text(const char *s)
{
	return strdup(s != NULL ? s : "");
}

static TzStatus
box_rules(LocalBox *b, json_t *request, TzErr *err)
{
	json_t *network = json_object_get(request, "network");
	json_t *allow = json_object_get(network, "allow");
	json_t *rule;
	size_t i;

	b->network = json_is_true(json_object_get(network, "enabled"));
	b->allow_private = json_is_true(json_object_get(network, "allow_private"));
	if (!b->network || json_array_size(allow) == 0)
		return TZ_OK;
	if (json_array_size(allow) > RULES_MAX)
		return tz_err_set(err, TZ_TOO_LARGE, "more than %d allowed hosts", RULES_MAX);
	b->rules = calloc(json_array_size(allow), sizeof(char *));
	if (b->rules == NULL)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	json_array_foreach (allow, i, rule)
	{
		if (!json_is_string(rule))
			return tz_err_set(err, TZ_BAD_INPUT, "allowed hosts are not all strings");
		b->rules[b->nrules] = strdup(json_string_value(rule));
		if (b->rules[b->nrules] == NULL)
			return tz_err_set(err, TZ_NOMEM, "out of memory");
		b->nrules++;
	}
	return TZ_OK;
}

/* Environment of every command: secrets, then what the request says. */
static TzStatus
create_env(const TzLocalJob *job, TzEnv *env, TzErr *err)
{
	TzStatus st = TZ_OK;

	for (int i = 0; i < job->effect->nsecrets && st == TZ_OK; i++)
	{
		if (strcmp(job->effect->secrets[i].use, "env") == 0)
			st = tz_env_set(env, job->effect->secrets[i].name, job->effect->secrets[i].value, err);
	}
	if (st == TZ_OK)
		st = tz_env_object(env, json_object_get(job->effect->request, "env"), err);
	return st;
}

static LocalBox *
box_new(TzLocal *local, TzLocalJob *job, TzErr *err)
{
	LocalBox *b = calloc(1, sizeof(LocalBox));

	if (b == NULL)
	{
		tz_err_set(err, TZ_NOMEM, "out of memory");
		return NULL;
	}
	b->local = local;
	b->platform_id = copy_text(job->effect->platform_id);
	b->root_id = copy_text(job->effect->root_id);
	b->sandbox_id = copy_text(job->sandbox_id);
	b->session_id = copy_text(job->session_id);
	b->agent_id = copy_text(job->agent_id);
	snprintf(b->id, sizeof(b->id), "%s-%llu", local->prefix, (unsigned long long) ++local->made);
	if (b->platform_id == NULL || b->root_id == NULL || b->sandbox_id == NULL || b->session_id == NULL ||
	    b->agent_id == NULL)
		tz_err_set(err, TZ_NOMEM, "out of memory");
	else if (box_rules(b, job->effect->request, err) == TZ_OK)
		return b;
	tz_local_box_free(b);
	return NULL;
}

static json_t *
create_result(const LocalBox *b)
{
	const int64_t mb = 1024 * 1024;
	json_t *allow = json_array();

	for (int i = 0; allow != NULL && i < b->nrules; i++)
	{
		if (json_array_append_new(allow, json_string(b->rules[i])) == 0)
			continue;
		json_decref(allow);
		allow = NULL;
	}
	if (allow == NULL)
		return NULL;
	/* what it is held to, as it was set up */
	return json_pack("{s:s, s:s, s:{}, s:{s:b, s:o, s:I, s:I, s:i}}", "sandbox", b->id, "isolation",
	                 tz_box_mode_name(b->local->preflight.mode), "metadata", "policy", "network", b->network,
	                 "allow", allow, "memory_mb", (json_int_t) (b->memory_bytes / mb), "disk_mb",
	                 (json_int_t) (b->disk_bytes / mb), "processes", b->processes);
}

void
tz_local_create_filled(TzLocalJob *job, const TzErr *err)
{
	LocalBox *b = job->box;

	if (err->status != TZ_OK)
	{
		TzErr why = *err;

		b->doomed = true;
		b->told = true; /* the job's failure says it */
		if (why.status == TZ_CANCELLED)
			why.status = TZ_UNAVAILABLE;
		tz_local_job_fail(job, &why, NULL, NULL);
		return;
	}
	b->ready = true;
	tz_local_job_done(job, create_result(b));
}

static void
create_ready(void *arg, const TzBoxResult *res)
{
	TzLocalJob *job = arg;
	TzErr err = res->err;

	if (err.status == TZ_OK && tz_local_fill(job, &err))
		return;
	tz_local_create_filled(job, &err);
}

static TzStatus
create_start(TzLocal *local, TzLocalJob *job, LocalBox *b, TzErr *err)
{
	const TzLocalConfig *c = &local->config;
	json_t *limits = json_object_get(job->effect->request, "limits");
	TzBoxCallbacks cb = {tz_local_box_connect, tz_local_box_gone, b};
	TzEnv *env = calloc(1, sizeof(TzEnv));
	TzBoxConfig box = {0};
	TzStatus st;

	if (env == NULL)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	st = create_env(job, env, err);
	if (st == TZ_OK)
	{
		const int64_t mb = 1024 * 1024;

		box.init_path = c->init_path;
		box.bwrap_path = c->bwrap_path;
		box.mode = local->preflight.mode;
		box.flags = local->preflight.flags;
		box.cgroup = local->preflight.cgroup;
		box.memory_bytes =
			tz_local_object_int(limits, "memory_mb", c->memory_bytes / mb, c->memory_bytes / mb) * mb;
		box.disk_bytes = tz_local_object_int(limits, "disk_mb", c->disk_bytes / mb, c->disk_bytes / mb) * mb;
		box.file_bytes = c->file_bytes;
		box.processes = (int) tz_local_object_int(limits, "processes", c->processes, c->processes);
		box.open_files = OPEN_FILES;
		box.cpu_seconds = (int) tz_local_object_int(limits, "cpu_s", 0, INT_MAX);
		box.network = b->network;
		box.env = (const char *const *) env->entries;
		box.nenv = env->n;
		b->memory_bytes = box.memory_bytes;
		b->disk_bytes = box.disk_bytes;
		b->processes = box.processes;
		st = tz_box_create(&box, local->mux, &cb, create_ready, job, &b->box, err);
	}
	tz_env_wipe(env);
	free(env);
	return st;
}

void
tz_local_job_create(TzLocal *local, TzLocalJob *job)
{
	LocalBox *b;
	TzErr err;
	TzStatus st;

	tz_err_clear(&err);
	/* A repeated attempt finds what the one before it made. */
	for (b = local->boxes; b != NULL; b = b->next)
	{
		if (b->ready && !b->doomed && job->sandbox_id != NULL && strcmp(b->sandbox_id, job->sandbox_id) == 0)
		{
			tz_local_job_done(job, create_result(b));
			return;
		}
	}
	if (!machine_suffices(local, &err))
	{
		tz_local_job_fail(job, &err, "TZ411", "provider_error");
		return;
	}
	if (local->nboxes >= local->config.max_boxes)
	{
		tz_err_set(&err, TZ_UNAVAILABLE, "all %d local sandboxes of this dispatcher are in use",
		           local->config.max_boxes);
		tz_err_hint(&err, "Raise theazo.sandbox_max, or terminate agents that are no longer needed.");
		job->out->verdict = TZ_V_RETRY;
		job->out->err = err;
		job->out->retry_after_ms = 1000;
		job->out->error_code = "provider_error";
		job->done(job);
		return;
	}
	b = box_new(local, job, &err);
	if (b == NULL)
	{
		tz_local_job_fail(job, &err, err.status == TZ_BAD_INPUT ? "22023" : NULL, NULL);
		return;
	}
	b->next = local->boxes;
	local->boxes = b;
	local->nboxes++;
	tz_local_job_link(job, b);
	st = create_start(local, job, b, &err);
	if (st != TZ_OK)
	{
		tz_local_job_unlink(job);
		tz_local_box_unlink(b);
		tz_local_box_free(b);
		err.status = st;
		tz_local_job_fail(job, &err, st == TZ_BAD_INPUT ? "22023" : NULL, NULL);
	}
}
