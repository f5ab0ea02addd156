/*-------------------------------------------------------------------------
 *
 * local.c
 *	  The adapter "local": sandboxes on this machine, held by one dispatcher.
 *
 * Maps the compute operations to boxes. The dispatcher that made a sandbox
 * holds it until its end: its socket is the only way in, and the sandbox dies
 * with it, which is how a killed dispatcher leaves nothing behind. Everything
 * here is plain C11 on a TzMux and never throws: a job always ends in its
 * done callback, with a verdict.
 *
 * Here are the jobs, the boxes and their common life; what a job does is in
 * local_create.c and local_ops.c, connections are in local_net.c.
 *
 * Boxes are never destroyed inside one of their own callbacks: they are marked
 * and swept by the next tick.
 *
 *-------------------------------------------------------------------------
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "worker/local_internal.h"

typedef void (*JobStart)(TzLocal *local, TzLocalJob *job);

static const struct
{
	const char *op;
	JobStart start;
} operations[] = {
	{"create", tz_local_job_create}, {"exec", tz_local_job_exec},         {"write", tz_local_job_write},
	{"read", tz_local_job_read},     {"list", tz_local_job_list},         {"pause", tz_local_job_pause},
	{"resume", tz_local_job_resume}, {"metrics", tz_local_job_metrics},   {"destroy", tz_local_job_destroy},
	{"sweep", tz_local_job_sweep},   {"snapshot", tz_local_job_snapshot},
};

static int64_t
clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---------------------------------------------------------------- jobs */

void
tz_local_job_unlink(TzLocalJob *job)
{
	if (job->box == NULL)
		return;
	if (job->prev != NULL)
		job->prev->next = job->next;
	else
		job->box->jobs = job->next;
	if (job->next != NULL)
		job->next->prev = job->prev;
	job->box = NULL;
	job->next = job->prev = NULL;
}

void
tz_local_job_link(TzLocalJob *job, LocalBox *b)
{
	job->box = b;
	job->prev = NULL;
	job->next = b->jobs;
	if (b->jobs != NULL)
		b->jobs->prev = job;
	b->jobs = job;
}

/* Ends the job with a result, which it takes over; NULL is out of memory. */
void
tz_local_job_done(TzLocalJob *job, json_t *result)
{
	tz_local_job_unlink(job);
	if (result == NULL)
	{
		job->out->verdict = TZ_V_FAILED;
		tz_err_set(&job->out->err, TZ_NOMEM, "out of memory");
	}
	else
	{
		job->out->verdict = TZ_V_DONE;
		job->out->result = result;
	}
	job->done(job);
}

/* Ends the job as failed; sqlstate NULL: what the status stands for. */
void
tz_local_job_fail(TzLocalJob *job, const TzErr *err, const char *sqlstate, const char *code)
{
	tz_local_job_unlink(job);
	job->out->verdict = TZ_V_FAILED;
	job->out->err = *err;
	job->out->error_code = code;
	job->sqlstate = sqlstate;
	job->done(job);
}

static void
job_lost(TzLocalJob *job, const char *why)
{
	TzErr err;

	tz_err_clear(&err);
	tz_err_set(&err, TZ_UNAVAILABLE, "the sandbox is gone");
	if (why[0] != '\0')
		tz_err_detail(&err, "%s", why);
	tz_err_hint(&err, "Its files are lost. The next exec makes a new sandbox.");
	tz_local_job_fail(job, &err, "TZ410", "provider_error");
}

/* Ends the job with what the box said went wrong. */
void
tz_local_job_box_error(TzLocalJob *job, const TzErr *err)
{
	LocalBox *b = job->box;

	if (job->cancelling)
	{
		job->cancelled = true;
		tz_local_job_fail(job, err, "57014", "cancelled");
	}
	else if (b != NULL && (b->doomed || !tz_box_alive(b->box)))
		job_lost(job, b != NULL && b->why[0] != '\0' ? b->why : err->message);
	else if (err->status == TZ_NOT_FOUND)
	{
		TzErr missing = *err;

		tz_err_hint(&missing,
		            "theazo.file_list() shows what is there; paths begin at the working directory.");
		tz_local_job_fail(job, &missing, "58P01", "not_found");
	}
	else if (err->status == TZ_BAD_INPUT)
		tz_local_job_fail(job, err, "22023", "invalid_request");
	else
		tz_local_job_fail(job, err, NULL, NULL);
}

/* A member of the request as a C string without zero bytes, or NULL. */
const char *
tz_local_request_text(const TzLocalJob *job, const char *key)
{
	json_t *v = json_object_get(job->effect->request, key);

	if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v))
		return NULL;
	return json_string_value(v);
}

int64_t
tz_local_object_int(const json_t *object, const char *key, int64_t dflt, int64_t max)
{
	json_t *v = json_object_get(object, key);
	double d = json_is_number(v) ? json_number_value(v) : 0;

	if (!(d >= 1))
		return dflt < max ? dflt : max;
	return d < (double) max ? (int64_t) d : max;
}

LocalBox *
tz_local_box_find(TzLocal *local, const char *id)
{
	if (id == NULL)
		return NULL;
	for (LocalBox *b = local->boxes; b != NULL; b = b->next)
	{
		if (strcmp(b->id, id) == 0)
			return b;
	}
	return NULL;
}

/* Made before anybody knew for whom: it is theirs whose work comes first. */
static void
box_adopt(LocalBox *b, const TzLocalJob *job)
{
	char *session_id;
	char *agent_id;

	if (b->agent_id[0] != '\0' || job->agent_id == NULL || job->agent_id[0] == '\0')
		return;
	session_id = strdup(job->session_id != NULL ? job->session_id : "");
	agent_id = strdup(job->agent_id);
	if (session_id == NULL || agent_id == NULL)
	{
		free(session_id);
		free(agent_id);
		return;
	}
	free(b->session_id);
	free(b->agent_id);
	b->session_id = session_id;
	b->agent_id = agent_id;
}

/* The box the request names; ends the job when it is not held here. */
LocalBox *
tz_local_job_box(TzLocal *local, TzLocalJob *job)
{
	LocalBox *b = tz_local_box_find(local, tz_local_request_text(job, "sandbox"));

	if (b == NULL || b->doomed || !b->ready)
	{
		job_lost(job, b != NULL ? b->why : "It is not held by this dispatcher.");
		return NULL;
	}
	box_adopt(b, job);
	return b;
}

void
tz_local_start(TzLocal *local, TzLocalJob *job)
{
	TzErr err;

	job->sqlstate = NULL;
	job->cancelled = false;
	job->cancelling = false;
	job->box = NULL;
	job->next = job->prev = NULL;
	job->op = 0;
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
	{
		if (strcmp(operations[i].op, job->effect->op) == 0)
		{
			operations[i].start(local, job);
			return;
		}
	}
	tz_err_clear(&err);
	tz_err_set(&err, TZ_UNSUPPORTED, "the local provider does not offer \"%s\"", job->effect->op);
	tz_local_job_fail(job, &err, NULL, "provider_error");
}

void
tz_local_cancel(TzLocalJob *job)
{
	if (job->box == NULL || job->cancelling)
		return;
	/* A file operation ends by itself in a moment; only commands are worth killing. */
	if (strcmp(job->effect->op, "exec") != 0)
		return;
	job->cancelling = true;
	tz_box_cancel(job->box->box, job->op);
}

/* ---------------------------------------------------------------- life of boxes */

void
tz_local_box_unlink(LocalBox *b)
{
	LocalBox **at = &b->local->boxes;

	while (*at != b)
		at = &(*at)->next;
	*at = b->next;
	b->local->nboxes--;
}

void
tz_local_box_free(LocalBox *b)
{
	for (int i = 0; i < b->nrules; i++)
		free(b->rules[i]);
	free(b->rules);
	free(b->platform_id);
	free(b->root_id);
	free(b->sandbox_id);
	free(b->session_id);
	free(b->agent_id);
	free(b);
}

void
tz_local_box_gone(void *arg, TzBox *box, const TzErr *why)
{
	LocalBox *b = arg;

	b->doomed = true;
	if (b->why[0] == '\0')
		snprintf(b->why, sizeof(b->why), "%s", why->message);
}

/* Never inside a callback of this box. Its jobs end first. */
void
tz_local_box_sweep(LocalBox *b)
{
	TzLocal *local = b->local;

	b->doomed = true;
	tz_local_conns_drop(b);
	if (b->box != NULL)
		tz_box_destroy(b->box);
	b->box = NULL;
	while (b->jobs != NULL)
		job_lost(b->jobs, b->why);
	tz_local_box_unlink(b);
	if (!b->told)
		local->cb.gone(local->cb.arg, b->platform_id, b->sandbox_id, b->why);
	tz_local_box_free(b);
}

TzStatus
tz_local_create(const TzLocalConfig *config, const TzBoxPreflight *preflight, const char *id_prefix,
                TzMux *mux, const TzLocalCallbacks *cb, TzLocal **out, TzErr *err)
{
	TzLocal *local = calloc(1, sizeof(TzLocal));
	TzRelayConfig relay = {
		.policy = config->policy,
		.allow_private = config->allow_private,
		.connect_timeout_ms = config->connect_timeout_ms,
	};
	TzStatus st;

	if (local == NULL)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	local->config = *config;
	local->preflight = *preflight;
	local->cb = *cb;
	local->mux = mux;
	snprintf(local->prefix, sizeof(local->prefix), "%s", id_prefix);
	st = tz_relay_create(&relay, mux, &local->relay, err);
	if (st != TZ_OK)
	{
		free(local);
		return st;
	}
	*out = local;
	return TZ_OK;
}

void
tz_local_configure(TzLocal *local, const TzLocalConfig *config)
{
	TzRelayConfig relay = {
		.policy = config->policy,
		.allow_private = config->allow_private,
		.connect_timeout_ms = config->connect_timeout_ms,
	};

	local->config = *config;
	tz_relay_configure(local->relay, &relay);
}

int
tz_local_halt(TzLocal *local,
              bool (*halted)(void *arg, const char *platform_id, const char *session_id,
                             const char *agent_id),
              void *arg)
{
	int n = 0;

	for (LocalBox *b = local->boxes; b != NULL; b = b->next)
	{
		if (b->told || !halted(arg, b->platform_id, b->session_id, b->agent_id))
			continue;
		if (b->box != NULL)
			tz_box_condemn(b->box);
		b->doomed = true;
		b->told = true;
		snprintf(b->why, sizeof(b->why), "It was halted.");
		n++;
	}
	return n;
}

void
tz_local_free(TzLocal *local)
{
	if (local == NULL)
		return;
	for (LocalBox *b = local->boxes; b != NULL; b = b->next)
	{
		if (b->box != NULL)
			tz_box_condemn(b->box);
	}
	while (local->boxes != NULL)
	{
		LocalBox *b = local->boxes;

		b->told = true;
		if (b->why[0] == '\0')
			snprintf(b->why, sizeof(b->why), "The dispatcher that held it ended.");
		tz_local_box_sweep(b);
	}
	tz_relay_free(local->relay);
	free(local);
}

static int
sooner(int a, int b)
{
	if (a < 0)
		return b;
	if (b < 0)
		return a;
	return a < b ? a : b;
}

int
tz_local_timeout(const TzLocal *local)
{
	int64_t now = clock_ms();
	int best = tz_relay_timeout(local->relay, now);

	for (const LocalBox *b = local->boxes; b != NULL; b = b->next)
	{
		if (b->doomed)
			return 0;
		best = sooner(best, tz_box_timeout(b->box));
	}
	return best;
}

void
tz_local_tick(TzLocal *local)
{
	int64_t now = clock_ms();
	LocalBox *b;

	tz_relay_tick(local->relay, now);
	for (b = local->boxes; b != NULL; b = b->next)
	{
		if (!b->doomed && b->box != NULL)
			tz_box_tick(b->box);
	}
	b = local->boxes;
	while (b != NULL)
	{
		LocalBox *next = b->next;

		if (b->doomed)
			tz_local_box_sweep(b);
		b = next;
	}
}
