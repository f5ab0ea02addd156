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
#include <unistd.h>

#include "lib/json.h"
#include "worker/env.h"
#include "worker/language.h"
#include "worker/local.h"
#include "worker/relay.h"

#define OPEN_FILES 256
#define CONNS_PER_BOX 64
#define RULES_MAX 256
#define OUTPUT_DEFAULT (1024 * 1024)
#define OUTPUT_MAX (4 * 1024 * 1024)
#define READ_MAX (64 * 1024 * 1024)

typedef struct LocalBox LocalBox;

/* A connection a program inside waits for. */
typedef struct LocalConn
{
	struct LocalConn *next;
	LocalBox *box;
	TzRelayDial *dial;
	uint32_t conn;
	int port;
	char root_id[64];
	char run_id[64];
	char host[256];
} LocalConn;

struct LocalBox
{
	LocalBox *next;
	TzLocal *local;
	TzBox *box;
	char id[80];
	char *platform_id;
	char *root_id;
	char *sandbox_id;
	char *agent_id;
	bool ready;
	bool doomed; /* to be destroyed by the next tick */
	bool told; /* gone was told, or need not be */
	char why[TZ_ERR_MESSAGE_MAX];
	bool network;
	bool allow_private;
	char **rules;
	int nrules;
	LocalConn *conns;
	int nconns;
	TzLocalJob *jobs; /* newest first */
};

struct TzLocal
{
	TzLocalConfig config;
	TzBoxPreflight preflight;
	TzLocalCallbacks cb;
	TzMux *mux;
	TzRelay *relay;
	LocalBox *boxes;
	int nboxes;
	char prefix[48];
	uint64_t made;
};

typedef void (*JobStart)(TzLocal *local, TzLocalJob *job);

static void job_create(TzLocal *local, TzLocalJob *job);
static void job_exec(TzLocal *local, TzLocalJob *job);
static void job_write(TzLocal *local, TzLocalJob *job);
static void job_read(TzLocal *local, TzLocalJob *job);
static void job_list(TzLocal *local, TzLocalJob *job);
static void job_pause(TzLocal *local, TzLocalJob *job);
static void job_resume(TzLocal *local, TzLocalJob *job);
static void job_metrics(TzLocal *local, TzLocalJob *job);
static void job_destroy(TzLocal *local, TzLocalJob *job);
static void box_connect(void *arg, TzBox *box, uint32_t conn, const char *host, int port);
static void box_gone(void *arg, TzBox *box, const TzErr *why);
static void box_sweep(LocalBox *b);

static const struct
{
	const char *op;
	JobStart start;
} operations[] = {
	{"create", job_create}, {"exec", job_exec},       {"write", job_write},
	{"read", job_read},     {"list", job_list},       {"pause", job_pause},
	{"resume", job_resume}, {"metrics", job_metrics}, {"destroy", job_destroy},
};

static int64_t
clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---------------------------------------------------------------- jobs */

static void
job_unlink(TzLocalJob *job)
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

static void
job_link(TzLocalJob *job, LocalBox *b)
{
	job->box = b;
	job->prev = NULL;
	job->next = b->jobs;
	if (b->jobs != NULL)
		b->jobs->prev = job;
	b->jobs = job;
}

/* Ends the job with a result, which it takes over; NULL is out of memory. */
static void
job_done(TzLocalJob *job, json_t *result)
{
	job_unlink(job);
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
static void
job_fail(TzLocalJob *job, const TzErr *err, const char *sqlstate, const char *code)
{
	job_unlink(job);
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
	tz_err_hint(&err, "Create a new agent; files of a local sandbox end with it.");
	job_fail(job, &err, "TZ410", "provider_error");
}

/* Ends the job with what the box said went wrong. */
static void
job_box_error(TzLocalJob *job, const TzErr *err)
{
	LocalBox *b = job->box;

	if (job->cancelling)
	{
		job->cancelled = true;
		job_fail(job, err, "57014", "cancelled");
	}
	else if (b != NULL && (b->doomed || !tz_box_alive(b->box)))
		job_lost(job, b != NULL && b->why[0] != '\0' ? b->why : err->message);
	else if (err->status == TZ_NOT_FOUND)
	{
		TzErr missing = *err;

		tz_err_hint(&missing,
		            "theazo.file_list() shows what is there; paths begin at the working directory.");
		job_fail(job, &missing, "58P01", "not_found");
	}
	else if (err->status == TZ_BAD_INPUT)
		job_fail(job, err, "22023", "invalid_request");
	else
		job_fail(job, err, NULL, NULL);
}

/* A member of the request as a C string without zero bytes, or NULL. */
static const char *
request_text(const TzLocalJob *job, const char *key)
{
	json_t *v = json_object_get(job->effect->request, key);

	if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v))
		return NULL;
	return json_string_value(v);
}

static int64_t
object_int(const json_t *object, const char *key, int64_t dflt, int64_t max)
{
	json_t *v = json_object_get(object, key);
	double d = json_is_number(v) ? json_number_value(v) : 0;

	if (!(d >= 1))
		return dflt < max ? dflt : max;
	return d < (double) max ? (int64_t) d : max;
}

static LocalBox *
box_find(TzLocal *local, const char *id)
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

/* The box the request names; ends the job when it is not held here. */
static LocalBox *
job_box(TzLocal *local, TzLocalJob *job)
{
	LocalBox *b = box_find(local, request_text(job, "sandbox"));

	if (b == NULL || b->doomed || !b->ready)
	{
		job_lost(job, b != NULL ? b->why : "It is not held by this dispatcher.");
		return NULL;
	}
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
	job_fail(job, &err, NULL, "provider_error");
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

/* ---------------------------------------------------------------- create */

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

static void
box_unlink(LocalBox *b)
{
	LocalBox **at = &b->local->boxes;

	while (*at != b)
		at = &(*at)->next;
	*at = b->next;
	b->local->nboxes--;
}

static void
box_free(LocalBox *b)
{
	for (int i = 0; i < b->nrules; i++)
		free(b->rules[i]);
	free(b->rules);
	free(b->platform_id);
	free(b->root_id);
	free(b->sandbox_id);
	free(b->agent_id);
	free(b);
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
	b->agent_id = copy_text(job->agent_id);
	snprintf(b->id, sizeof(b->id), "%s-%llu", local->prefix, (unsigned long long) ++local->made);
	if (b->platform_id == NULL || b->root_id == NULL || b->sandbox_id == NULL || b->agent_id == NULL)
		tz_err_set(err, TZ_NOMEM, "out of memory");
	else if (box_rules(b, job->effect->request, err) == TZ_OK)
		return b;
	box_free(b);
	return NULL;
}

static json_t *
create_result(const LocalBox *b)
{
	return json_pack("{s:s, s:s, s:{}}", "sandbox", b->id, "isolation",
	                 tz_box_mode_name(b->local->preflight.mode), "metadata");
}

static void
create_ready(void *arg, const TzBoxResult *res)
{
	TzLocalJob *job = arg;
	LocalBox *b = job->box;

	if (res->err.status != TZ_OK)
	{
		TzErr err = res->err;

		b->doomed = true;
		b->told = true; /* the job's failure says it */
		if (err.status == TZ_CANCELLED)
			err.status = TZ_UNAVAILABLE;
		job_fail(job, &err, NULL, NULL);
		return;
	}
	b->ready = true;
	job_done(job, create_result(b));
}

static TzStatus
create_start(TzLocal *local, TzLocalJob *job, LocalBox *b, TzErr *err)
{
	const TzLocalConfig *c = &local->config;
	json_t *limits = json_object_get(job->effect->request, "limits");
	TzBoxCallbacks cb = {box_connect, box_gone, b};
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
		box.memory_bytes = object_int(limits, "memory_mb", c->memory_bytes / mb, c->memory_bytes / mb) * mb;
		box.disk_bytes = object_int(limits, "disk_mb", c->disk_bytes / mb, c->disk_bytes / mb) * mb;
		box.file_bytes = c->file_bytes;
		box.processes = (int) object_int(limits, "processes", c->processes, c->processes);
		box.open_files = OPEN_FILES;
		box.cpu_seconds = (int) object_int(limits, "cpu_s", 0, INT_MAX);
		box.network = b->network;
		box.env = (const char *const *) env->entries;
		box.nenv = env->n;
		st = tz_box_create(&box, local->mux, &cb, create_ready, job, &b->box, err);
	}
	tz_env_wipe(env);
	free(env);
	return st;
}

static void
job_create(TzLocal *local, TzLocalJob *job)
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
			job_done(job, create_result(b));
			return;
		}
	}
	if (!machine_suffices(local, &err))
	{
		job_fail(job, &err, "TZ411", "provider_error");
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
		job_fail(job, &err, err.status == TZ_BAD_INPUT ? "22023" : NULL, NULL);
		return;
	}
	b->next = local->boxes;
	local->boxes = b;
	local->nboxes++;
	job_link(job, b);
	st = create_start(local, job, b, &err);
	if (st != TZ_OK)
	{
		job_unlink(job);
		box_unlink(b);
		box_free(b);
		err.status = st;
		job_fail(job, &err, st == TZ_BAD_INPUT ? "22023" : NULL, NULL);
	}
}

/* ---------------------------------------------------------------- exec */

static void
exec_done(void *arg, const TzBoxResult *res)
{
	TzLocalJob *job = arg;
	json_t *o;

	if (res->err.status != TZ_OK || job->cancelling)
	{
		job_box_error(job, &res->err);
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
	job_done(job, o);
}

/* The language, if this machine has its runtime; else the job is ended. */
static const TzLanguage *
exec_language(TzLocal *local, TzLocalJob *job)
{
	const char *name = request_text(job, "language");
	const TzLanguage *lang = name != NULL ? tz_language_find(name) : NULL;
	const TzBoxCheck *check;
	TzErr err;

	tz_err_clear(&err);
	if (lang == NULL)
	{
		tz_err_set(&err, TZ_BAD_INPUT, "language \"%s\" is not known", name != NULL ? name : "");
		tz_err_hint(&err, "Languages: %s.", tz_language_list());
		job_fail(job, &err, "22023", "invalid_request");
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
		job_fail(job, &err, "TZ409", "provider_error");
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
		exec.timeout_ms = (int) object_int(job->effect->request, "timeout_ms", job->timeout_ms, INT_MAX);
		exec.max_output = (size_t) object_int(job->effect->request, "max_output", OUTPUT_DEFAULT, OUTPUT_MAX);
		job_link(job, b);
		st = tz_box_exec(b->box, &exec, exec_done, job, &job->op, err);
		if (st != TZ_OK)
			job_unlink(job);
	}
	tz_env_wipe(env);
	free(env);
	return st;
}

static void
job_exec(TzLocal *local, TzLocalJob *job)
{
	LocalBox *b = job_box(local, job);
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
		job_box_error(job, &err);
}

/* ---------------------------------------------------------------- files and the rest */

/* A path of the request; ends the job when there is none. */
static const char *
job_path(TzLocalJob *job, const char *key)
{
	const char *path = request_text(job, key);
	TzErr err;

	if (path != NULL && path[0] != '\0' && strlen(path) < 4096)
		return path;
	tz_err_clear(&err);
	tz_err_set(&err, TZ_BAD_INPUT, "path is empty, too long, or contains a zero byte");
	job_fail(job, &err, "22023", "invalid_request");
	return NULL;
}

/* After a call into the box: a refusal ends the job. */
static void
job_began(TzLocalJob *job, TzStatus st, TzErr *err)
{
	if (st == TZ_OK)
		return;
	err->status = st;
	job_box_error(job, err);
}

static void
write_done(void *arg, const TzBoxResult *res)
{
	TzLocalJob *job = arg;

	if (res->err.status != TZ_OK)
		job_box_error(job, &res->err);
	else
		job_done(job, json_object());
}

static void
job_write(TzLocal *local, TzLocalJob *job)
{
	LocalBox *b = job_box(local, job);
	const char *path;
	TzErr err;

	if (b == NULL || (path = job_path(job, "path")) == NULL)
		return;
	tz_err_clear(&err);
	job_link(job, b);
	job_began(job, tz_box_write(b->box, path, job->effect->content, write_done, job, &err), &err);
}

static void
read_done(void *arg, const TzBoxResult *res)
{
	TzLocalJob *job = arg;
	TzErr err;

	if (res->err.status != TZ_OK)
	{
		job_box_error(job, &res->err);
		return;
	}
	tz_err_clear(&err);
	if (tz_buf_append(&job->out->content, res->out.data, res->out.len) != TZ_OK)
	{
		tz_err_set(&err, job->out->content.status, "the file is larger than may be read");
		job_fail(job, &err, NULL, NULL);
		return;
	}
	job_done(job, json_pack("{s:I}", "size", (json_int_t) res->out.len));
}

static void
job_read(TzLocal *local, TzLocalJob *job)
{
	LocalBox *b = job_box(local, job);
	const char *path;
	size_t max;
	TzErr err;

	if (b == NULL || (path = job_path(job, "path")) == NULL)
		return;
	tz_err_clear(&err);
	max = (size_t) object_int(job->effect->request, "max_bytes", READ_MAX, READ_MAX);
	job_link(job, b);
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
		job_box_error(job, &res->err);
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
	job_done(job, o);
}

static void
job_list(TzLocal *local, TzLocalJob *job)
{
	LocalBox *b = job_box(local, job);
	const char *dir;
	TzErr err;

	if (b == NULL || (dir = job_path(job, "dir")) == NULL)
		return;
	tz_err_clear(&err);
	job_link(job, b);
	job_began(job, tz_box_list(b->box, dir, list_done, job, &err), &err);
}

static void
pause_done(void *arg, const TzBoxResult *res)
{
	TzLocalJob *job = arg;

	if (res->err.status != TZ_OK)
		job_box_error(job, &res->err);
	else
		job_done(job, json_pack("{s:s, s:b}", "snapshot", "", "supported", 1));
}

static void
resume_done(void *arg, const TzBoxResult *res)
{
	TzLocalJob *job = arg;

	if (res->err.status != TZ_OK)
		job_box_error(job, &res->err);
	else
		job_done(job, json_pack("{s:s}", "sandbox", job->box->id));
}

static void
job_stop(TzLocal *local, TzLocalJob *job, bool stop)
{
	LocalBox *b = job_box(local, job);
	TzErr err;

	if (b == NULL)
		return;
	tz_err_clear(&err);
	job_link(job, b);
	job_began(job, tz_box_pause(b->box, stop, stop ? pause_done : resume_done, job, &err), &err);
}

static void
job_pause(TzLocal *local, TzLocalJob *job)
{
	job_stop(local, job, true);
}

static void
job_resume(TzLocal *local, TzLocalJob *job)
{
	job_stop(local, job, false);
}

static void
metrics_done(void *arg, const TzBoxResult *res)
{
	TzLocalJob *job = arg;

	if (res->err.status != TZ_OK)
		job_box_error(job, &res->err);
	else
		job_done(job, json_pack("{s:f, s:f, s:f}", "cpu_percent", res->cpu_percent, "memory_mb",
		                        (double) res->memory_kb / 1024.0, "disk_mb", (double) res->disk_kb / 1024.0));
}

static void
job_metrics(TzLocal *local, TzLocalJob *job)
{
	LocalBox *b = job_box(local, job);
	TzErr err;

	if (b == NULL)
		return;
	tz_err_clear(&err);
	job_link(job, b);
	job_began(job, tz_box_metrics(b->box, metrics_done, job, &err), &err);
}

/* Already gone is done. */
static void
job_destroy(TzLocal *local, TzLocalJob *job)
{
	LocalBox *b = box_find(local, request_text(job, "sandbox"));

	if (b != NULL)
	{
		b->told = true;
		snprintf(b->why, sizeof(b->why), "It was destroyed.");
		box_sweep(b);
	}
	job_done(job, json_object());
}

/* ---------------------------------------------------------------- network */

static void
conn_free(LocalConn *c)
{
	LocalConn **at = &c->box->conns;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	c->box->nconns--;
	free(c);
}

/* The connection belongs to the newest command under way. */
static const TzLocalJob *
box_current(const LocalBox *b)
{
	for (const TzLocalJob *job = b->jobs; job != NULL; job = job->next)
	{
		if (strcmp(job->effect->op, "exec") == 0)
			return job;
	}
	return NULL;
}

static bool
conn_record(const LocalConn *c, const char *address, bool allowed, const char *reason)
{
	const LocalBox *b = c->box;
	TzLocalConnection conn = {
		.platform_id = b->platform_id,
		.root_id = c->root_id,
		.sandbox_id = b->sandbox_id,
		.agent_id = b->agent_id,
		.run_id = c->run_id,
		.host = c->host,
		.port = c->port,
		.address = address,
		.allowed = allowed,
		.reason = reason,
	};

	return b->local->cb.connection(b->local->cb.arg, &conn);
}

static void
conn_refuse(LocalConn *c, const char *address, const char *reason)
{
	conn_record(c, address, false, reason);
	tz_box_connect_deny(c->box->box, c->conn, reason);
	conn_free(c);
}

static void
conn_dialled(void *arg, const TzRelayResult *res)
{
	LocalConn *c = arg;

	c->dial = NULL;
	if (res->err.status != TZ_OK)
	{
		conn_refuse(c, res->address, res->err.message);
		return;
	}
	if (!conn_record(c, res->address, true, ""))
	{
		close(res->fd);
		tz_box_connect_deny(c->box->box, c->conn, "too many connections wait to be recorded");
		conn_free(c);
		return;
	}
	tz_box_connect_allow(c->box->box, c->conn, res->fd);
	conn_free(c);
}

/* A program inside asks to connect. */
static void
box_connect(void *arg, TzBox *box, uint32_t conn, const char *host, int port)
{
	LocalBox *b = arg;
	const TzLocalJob *job = box_current(b);
	LocalConn *c;
	TzErr err;

	if (b->doomed || b->nconns >= CONNS_PER_BOX || (c = calloc(1, sizeof(LocalConn))) == NULL)
	{
		tz_box_connect_deny(box, conn, "too many connections are being opened");
		return;
	}
	c->box = b;
	c->conn = conn;
	c->port = port;
	snprintf(c->host, sizeof(c->host), "%s", host);
	snprintf(c->root_id, sizeof(c->root_id), "%s", job != NULL ? job->effect->root_id : b->root_id);
	snprintf(c->run_id, sizeof(c->run_id), "%s", job != NULL && job->run_id != NULL ? job->run_id : "");
	c->next = b->conns;
	b->conns = c;
	b->nconns++;
	if (!b->network || strlen(host) >= sizeof(c->host) ||
	    !tz_hostlist_match((const char *const *) b->rules, b->nrules, host, port))
	{
		conn_refuse(c, "", "the host is not in the sandbox's list of allowed hosts");
		return;
	}
	tz_err_clear(&err);
	if (tz_relay_dial(b->local->relay, host, port, b->allow_private, conn_dialled, c, &c->dial, &err) !=
	    TZ_OK)
		conn_refuse(c, "", err.message);
}

/* ---------------------------------------------------------------- life of boxes */

static void
box_gone(void *arg, TzBox *box, const TzErr *why)
{
	LocalBox *b = arg;

	b->doomed = true;
	if (b->why[0] == '\0')
		snprintf(b->why, sizeof(b->why), "%s", why->message);
}

/* Never inside a callback of this box. Its jobs end first. */
static void
box_sweep(LocalBox *b)
{
	TzLocal *local = b->local;

	b->doomed = true;
	while (b->conns != NULL)
	{
		if (b->conns->dial != NULL)
			tz_relay_cancel(b->conns->dial);
		conn_free(b->conns);
	}
	if (b->box != NULL)
		tz_box_destroy(b->box);
	b->box = NULL;
	while (b->jobs != NULL)
		job_lost(b->jobs, b->why);
	box_unlink(b);
	if (!b->told)
		local->cb.gone(local->cb.arg, b->platform_id, b->sandbox_id, b->why);
	box_free(b);
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
		box_sweep(b);
	}
	tz_relay_free(local->relay);
	free(local);
}

int
tz_local_boxes(const TzLocal *local)
{
	return local->nboxes;
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
			box_sweep(b);
		b = next;
	}
}
