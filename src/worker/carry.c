/*-------------------------------------------------------------------------
 *
 * carry.c
 *	  Carrying effects out: from a claimed row to an outcome.
 *
 * Here an adapter, the HTTP engine and the local sandboxes meet. No transaction
 * is open and, set-up aside, nothing throws: whatever goes wrong becomes the
 * verdict of the effect it happened to.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "pg/convert.h"
#include "pg/errors.h"
#include "pg/export.h"
#include "pg/guc.h"
#include "pg/worker.h"
#include "vault/vault.h"
#include "worker/anchorfile.h"
#include "worker/carry.h"
#include "worker/carry_http.h"
#include "worker/carry_script.h"

#define MUX_EVENTS 512
#define USER_AGENT "theazo/" THEAZO_VERSION
/* Descriptors beside those of calls: the server's own, sandboxes, the relay. */
#define FDS_RESERVED 64
#define HOLDS_MS 1000 /* between looks at the deadlines of what only waits */

static int64
unix_ms(TimestampTz t)
{
	return t / 1000 + (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000;
}

uint32
tz_carry_random(void)
{
	return pg_prng_uint32(&pg_global_prng_state);
}

/* ---- set-up ---------------------------------------------------------------- */

static bool
on_connection(void *arg, const TzLocalConnection *conn)
{
	TzCarrier *c = arg;
	TzLocalConnection shown = *conn;
	char host[256];
	char reason[TZ_ERR_MESSAGE_MAX];

	/* A program can put what it was given into the name it asks for. */
	for (TzFlight *f = c->flights.lists[TZ_FLIGHT_FLYING].first; f != NULL; f = f->next)
	{
		if (!f->local || f->claim->run_id == NULL || strcmp(f->claim->run_id, conn->run_id) != 0)
			continue;
		if (!tz_flight_conceal(f, conn->host, host, sizeof(host)) ||
		    !tz_flight_conceal(f, conn->reason, reason, sizeof(reason)))
			return false;
		shown.host = host;
		shown.reason = reason;
		break;
	}
	return tz_notes_connection(&c->notes, &shown);
}

static void
on_gone(void *arg, const char *platform_id, const char *sandbox_id, const char *reason)
{
	TzCarrier *c = arg;

	tz_notes_gone(&c->notes, platform_id, sandbox_id, reason);
}

/* The lists of the settings, or what was in force when they do not parse. */
static void
load_policy(TzCarrier *c, TzNetPolicy **old)
{
	TzNetPolicy *fresh = NULL;
	TzErr err;

	*old = NULL;
	tz_err_clear(&err);
	if (tz_netpolicy_parse(tz_guc_egress_allow, tz_guc_egress_deny, &fresh, &err) == TZ_OK)
	{
		*old = c->policy;
		c->policy = fresh;
		return;
	}
	if (c->policy == NULL)
		tz_throw_as(ERRCODE_INVALID_PARAMETER_VALUE, &err);
	ereport(LOG, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
	              errmsg("new egress lists are not used: %s", err.message),
	              errhint("Correct theazo.egress_allow or theazo.egress_deny and reload.")));
}

static TzHttpClientConfig
client_config(const TzCarrier *c)
{
	TzHttpClientConfig config = {
		.max_calls = tz_guc_http_max_calls,
		.max_per_host = 0,
		.connect_timeout_ms = tz_guc_http_connect_timeout_ms,
		.allow_http = tz_guc_egress_allow_http,
		.allow_private = tz_guc_egress_allow_private,
		.ca_file = tz_guc_ca_file != NULL && tz_guc_ca_file[0] != '\0' ? tz_guc_ca_file : NULL,
		.policy = c->policy,
		.user_agent = USER_AGENT,
	};

	return config;
}

static TzLocalConfig
local_config(const TzCarrier *c)
{
	const int64 mb = 1024 * 1024;
	TzLocalConfig config = {
		.init_path = tz_guc_sandbox_init_path(),
		.bwrap_path = tz_guc_sandbox_bwrap,
		.minimum = (TzBoxMode) tz_guc_sandbox_minimum,
		.memory_bytes = tz_guc_sandbox_memory_mb * mb,
		.disk_bytes = tz_guc_sandbox_disk_mb * mb,
		.file_bytes = tz_guc_sandbox_file_size_mb * mb,
		.processes = tz_guc_sandbox_processes,
		.max_boxes = tz_guc_sandbox_max,
		.connect_timeout_ms = tz_guc_http_connect_timeout_ms,
		.allow_private = tz_guc_egress_allow_private,
		.policy = c->policy,
	};

	return config;
}

static TzScriptConfig
script_config(void)
{
	TzScriptConfig config = {
		.runner = tz_guc_script_runner_path(),
		.max = tz_guc_script_max,
		.spares = tz_guc_script_spares,
	};

	return config;
}

void
tz_carrier_init(TzCarrier *c, int slot, int64 incarnation)
{
	TzLocalCallbacks cb = {on_connection, on_gone, c};
	TzHttpClientConfig http;
	TzLocalConfig local;
	TzScriptConfig script = script_config();
	TzNetPolicy *old;
	TzErr err;
	char prefix[48];

	memset(c, 0, sizeof(*c));
	c->slot = slot;
	tz_err_clear(&err);
	tz_worker_fds();
	tz_worker_reserve_fds(Min(tz_guc_http_max_calls, 1000) + FDS_RESERVED);
	load_policy(c, &old);
	if (!tz_inflight_init(&c->flights, tz_guc_http_max_calls))
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	if (tz_mux_create(&c->mux, &err) != TZ_OK)
		tz_throw(&err);
	http = client_config(c);
	if (tz_http_client_create(&http, c->mux, &c->client, &err) != TZ_OK)
		tz_throw(&err);
	local = local_config(c);
	tz_box_preflight(local.init_path, local.bwrap_path, &c->preflight);
	tz_sqltool_init();
	/* Names a sandbox of this very process: what another one made is not found here. */
	snprintf(prefix, sizeof(prefix), "box-%d-%llx", slot, (unsigned long long) incarnation);
	if (tz_local_create(&local, &c->preflight, prefix, c->mux, &cb, &c->local, &err) != TZ_OK)
		tz_throw(&err);
	c->scripts = tz_scripts_new(&script, c->mux);
	if (c->scripts == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
}

void
tz_carrier_reconfigure(TzCarrier *c)
{
	TzHttpClientConfig http;
	TzLocalConfig local;
	TzScriptConfig script = script_config();
	TzNetPolicy *old;

	load_policy(c, &old);
	http = client_config(c);
	local = local_config(c);
	tz_http_client_reconfigure(c->client, &http);
	tz_local_configure(c->local, &local);
	tz_scripts_configure(c->scripts, &script);
	tz_netpolicy_free(old);
}

static bool
is_hold(const TzClaimed *c)
{
	return strcmp(c->kind, "probe.hold") == 0 && strcmp(c->adapter, "noop") == 0;
}

/* ---- the loop's part -------------------------------------------------------- */

/* Calls that only wait end with their deadline. */
static void
pump_holds(TzCarrier *c)
{
	TimestampTz now = GetCurrentTimestamp();
	TzFlight *f = c->flights.lists[TZ_FLIGHT_FLYING].first;

	c->holds = 0;
	while (f != NULL)
	{
		TzFlight *next = f->next;

		if (is_hold(f->claim))
		{
			if (f->claim->deadline <= now)
				tz_flight_end(f, "done", now);
			else
				c->holds++;
		}
		f = next;
	}
}

void
tz_carrier_pump(TzCarrier *c)
{
	if (c->holds > 0)
		pump_holds(c);
	tz_mux_pump(c->mux, MUX_EVENTS);
	tz_http_client_pump(c->client);
	tz_local_tick(c->local);
	tz_scripts_tick(c->scripts);
	tz_sqltool_tick();
	if (c->reporting)
		tz_carry_reports_pump(c);
}

static int
sooner(int a, int b)
{
	if (a < 0 || b < 0)
		return Max(a, b);
	return Min(a, b);
}

int
tz_carrier_timeout(const TzCarrier *c)
{
	int ms = sooner(tz_http_client_timeout(c->client), tz_local_timeout(c->local));

	ms = sooner(ms, tz_scripts_timeout(c->scripts));
	ms = sooner(ms, tz_sqltool_timeout());
	if (c->reporting)
		ms = sooner(ms, tz_carry_reports_timeout(c));
	return c->holds > 0 ? sooner(ms, HOLDS_MS) : ms;
}

/* ---- one effect -------------------------------------------------------------- */

void
tz_carry_fail(TzFlight *f, const TzErr *err, const char *sqlstate)
{
	tz_flight_fail(f, "failed", err, sqlstate, NULL, 0, false, GetCurrentTimestamp());
}

/* ---- what commands print ---- */

static bool
is_exec(const TzFlight *f)
{
	return strcmp(f->claim->kind, "compute.exec") == 0;
}

/* Two texts of one step, for who follows the run. */
void
tz_carry_live(TzFlight *f)
{
	json_t *step = json_object_get(f->request, "step");
	TzPen pens[TZ_LIVE_CHANNELS] = {0};
	int generation;
	int seq;

	if (!is_exec(f) || !json_is_true(json_object_get(f->request, "stream")) || !json_is_integer(step) ||
	    f->claim->run_id == NULL)
		return;
	seq = (int) json_integer_value(step);
	generation = tz_stream_generation(f->claim->id, f->claim->attempt);
	tz_stream_open(&pens[TZ_LIVE_STDOUT], MyDatabaseId, f->claim->run_id, seq, generation);
	/* of a model's tool call one text, in the order in which it came */
	if (json_is_true(json_object_get(f->request, "joined")))
		pens[TZ_LIVE_STDERR] = pens[TZ_LIVE_STDOUT];
	else
		tz_stream_open(&pens[TZ_LIVE_STDERR], MyDatabaseId, f->claim->run_id, TZ_STREAM_ERRORS(seq),
		               generation);
	tz_flight_live(f, pens);
}

static void
local_output(TzLocalJob *job, bool is_stderr, TzSlice bytes)
{
	TzFlight *f = job->arg;

	tz_live_feed(f->live, is_stderr ? TZ_LIVE_STDERR : TZ_LIVE_STDOUT, bytes);
	tz_carry_reported(f);
}

static void
local_done(TzLocalJob *job)
{
	TzFlight *f = job->arg;

	if (job->cancelled)
		f->cancel = true;
	tz_flight_outcome(f, job->sqlstate, false, tz_carry_random(), GetCurrentTimestamp());
}

static void
begin_local(TzCarrier *c, TzFlight *f, int timeout_ms)
{
	TzLocalJob *job = &f->job;

	f->local = true;
	f->carrier = c;
	job->effect = &f->effect;
	job->sandbox_id = f->claim->sandbox_id;
	job->session_id = f->claim->session_id;
	job->agent_id = f->claim->agent_id;
	job->run_id = f->claim->run_id;
	job->timeout_ms = timeout_ms;
	job->out = &f->outcome;
	job->done = local_done;
	job->arg = f;
	tz_carry_live(f);
	job->output = f->live != NULL ? local_output : NULL;
	tz_flight_move(f, TZ_FLIGHT_FLYING);
	tz_local_start(c->local, job);
}

static void
sql_done(TzSqlJob *job)
{
	TzFlight *f = job->arg;

	if (job->end == TZ_SQL_UNTOUCHED)
	{
		tz_flight_end(f, "released", GetCurrentTimestamp());
		return;
	}
	if (job->end == TZ_SQL_CANCELLED)
		f->cancel = true;
	tz_flight_outcome(f, job->sqlstate, false, tz_carry_random(), GetCurrentTimestamp());
}

static void
begin_sql(TzFlight *f, int timeout_ms)
{
	TzSqlJob *job = &f->sql_job;

	f->sql = true;
	job->effect = &f->effect;
	job->timeout_ms = timeout_ms;
	job->give_up = f->claim->deadline;
	job->out = &f->outcome;
	job->done = sql_done;
	job->arg = f;
	tz_flight_move(f, TZ_FLIGHT_FLYING);
	tz_sqltool_start(job);
}

/* Over when it returns: a line is written and synced in the time of a commit. */
static void
carry_file(TzFlight *f)
{
	tz_flight_move(f, TZ_FLIGHT_FLYING);
	tz_anchor_file(&f->effect, &f->endpoint, &f->outcome);
	tz_flight_outcome(f, NULL, false, tz_carry_random(), GetCurrentTimestamp());
}

/* Clocks of whole milliseconds end a call up to so much early, but one cut by its deadline must not end before it. */
#define ROUNDING_MS 2

/* How long the call may take; 0 when it is too late to begin. */
int
tz_carry_time_left(const TzFlight *f, TimestampTz now)
{
	int timeout_ms = f->claim->timeout_ms > 0 ? f->claim->timeout_ms : 30000;
	int64 left;

	/* of a later step */
	if (f->started != 0)
		timeout_ms -= (int) Min((now - f->started) / 1000, (int64) timeout_ms);
	if (timeout_ms <= 0)
		return 0;
	if (f->claim->deadline == DT_NOEND)
		return timeout_ms;
	if (f->claim->deadline <= now)
		return 0;
	left = (f->claim->deadline - now) / 1000 + ROUNDING_MS;
	return (int) Min((int64) timeout_ms, left);
}

void
tz_carrier_begin(TzCarrier *c, TzFlight *f)
{
	TimestampTz now = GetCurrentTimestamp();
	int timeout_ms = tz_carry_time_left(f, now);
	TzErr err;

	f->started = now;
	tz_err_clear(&err);
	if (f->cancel)
	{
		tz_flight_end(f, "cancelled", now);
		return;
	}
	if (timeout_ms == 0)
	{
		tz_err_set(&err, TZ_TIMEOUT, "the deadline passed before the call began");
		tz_carry_fail(f, &err, NULL);
		return;
	}
	if (f->claim->refused)
	{
		tz_carry_fail(f, &f->claim->refused_err, f->claim->refused_sqlstate);
		return;
	}
	if (f->claim->secret_failed)
	{
		tz_carry_fail(f, &f->claim->secret_err,
		              f->claim->secret_sqlstate[0] != '\0' ? f->claim->secret_sqlstate : NULL);
		return;
	}
	if (is_hold(f->claim))
	{
		c->holds++;
		tz_flight_move(f, TZ_FLIGHT_FLYING);
		return;
	}
	if (strcmp(f->claim->adapter, "noop") == 0)
	{
		tz_flight_end(f, "done", now);
		return;
	}
	/* the program that asked is gone */
	if (tz_carry_fetch_idle(c, f))
	{
		tz_flight_end(f, "cancelled", now);
		return;
	}
	/* read as the text it is, so that numbers keep their digits */
	if (strcmp(f->claim->adapter, "script") == 0)
	{
		tz_carry_script(c, f);
		return;
	}
	if (tz_flight_prepare(f, (size_t) tz_guc_http_max_body_kb * 1024, unix_ms(now), &err) != TZ_OK ||
	    tz_flight_records(f, &err) != TZ_OK)
		tz_carry_fail(f, &err, NULL);
	else if (strcmp(f->claim->adapter, "local") == 0)
		begin_local(c, f, timeout_ms);
	else if (strcmp(f->claim->adapter, "sql") == 0)
		begin_sql(f, timeout_ms);
	else if (strcmp(f->claim->adapter, "file") == 0)
		carry_file(f);
	else
		tz_carry_http(c, f, timeout_ms);
}

void
tz_carrier_cancel(TzCarrier *c, TzFlight *f)
{
	f->cancel = true;
	if (f->state == TZ_FLIGHT_CLAIMED || is_hold(f->claim))
		tz_flight_end(f, "cancelled", GetCurrentTimestamp());
	else if (f->state == TZ_FLIGHT_FLYING && f->local)
		tz_local_cancel(&f->job);
	else if (f->state == TZ_FLIGHT_FLYING && f->sql)
		tz_sqltool_cancel(&f->sql_job);
	else if (f->state == TZ_FLIGHT_FLYING && f->script != NULL)
		tz_script_cancel(f->script);
	else if (f->state == TZ_FLIGHT_FLYING)
		tz_carry_http_cut(f);
}

TzStatus
tz_carrier_open(const TzSealedSecret *sealed, TzBuf *out, int *sqlstate, TzErr *err)
{
	TzStatus status =
		tz_vault_open(tz_slice_cstr(sealed->platform_id), tz_slice_cstr(sealed->session_id),
	                  tz_slice_cstr(sealed->name), (uint32_t) sealed->version, sealed->platform_salt,
	                  tz_slice_cstr(sealed->master_key_id), sealed->salt, sealed->sealed, out, err);

	if (status != TZ_OK)
		*sqlstate = tz_vault_sqlstate(status);
	return status;
}
