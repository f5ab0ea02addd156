/*-------------------------------------------------------------------------
 *
 * carry_http.c
 *	  Effects that go to somebody else over HTTP.
 *
 * One call may be several requests: steps that need not be stored follow each other
 * here. Nothing throws.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "lib/broker.h"
#include "pg/guc.h"
#include "worker/carry_http.h"
#include "worker/carry_script.h"
#include "worker/kept.h"

static void begin_http(TzCarrier *c, TzFlight *f, int timeout_ms);

/* By the provider's name of the sandbox, which an answer may have given it. */
static const char *
sandbox_name(const TzFlight *f)
{
	const char *name = json_string_value(json_object_get(f->outcome.result, "sandbox"));

	return name != NULL ? name : json_string_value(json_object_get(f->request, "sandbox"));
}

/* What went wrong where the status alone does not say it; NULL: it does. */
static const char *
http_sqlstate(TzFlight *f)
{
	TzErr *err = &f->outcome.err;

	if (f->flow != NULL && f->flow->blocked)
		return "TZ205";
	/* a file, as in a sandbox of ours; a sandbox that is not there is TZ_GONE */
	if (f->adapter->kind == TZ_COMPUTE && err->status == TZ_NOT_FOUND)
	{
		if (err->hint[0] == '\0')
			tz_err_hint(err, "theazo.file_list() shows what is there; paths begin at the working directory.");
		return "58P01";
	}
	return NULL;
}

/* ---- one step after the other ---- */

/* Steps that need not be stored follow each other within one call, in its time. */
static bool
goes_on(const TzFlight *f)
{
	return f->outcome.verdict == TZ_V_NEXT && f->outcome.at_once && f->outcome.retry_after_ms <= 0 &&
	       !f->cancel && tz_carry_time_left(f, GetCurrentTimestamp()) > 0 &&
	       (f->flow == NULL || !f->flow->blocked);
}

/* Takes over the state. */
static void
next_step(TzFlight *f, json_t *state, int timeout_ms)
{
	json_decref(f->step_state);
	f->step_state = state;
	f->effect.state = state;
	f->effect.step++;
	begin_http(f->carrier, f, timeout_ms);
}

static void
forget_outcome(TzFlight *f)
{
	size_t max_content = f->outcome.content.max;

	tz_outcome_free(&f->outcome);
	tz_outcome_init(&f->outcome, max_content);
}

/* The state of the next step out of the outcome, which is emptied. */
static json_t *
take_state(TzFlight *f)
{
	json_t *state = f->outcome.state;

	f->outcome.state = NULL;
	forget_outcome(f);
	return state;
}

static void
go_on(TzFlight *f)
{
	TimestampTz now = GetCurrentTimestamp();
	int timeout_ms = tz_carry_time_left(f, now);

	if (f->outcome.next_ms > 0)
	{
		timeout_ms = f->outcome.next_ms;
		if (f->claim->deadline != DT_NOEND)
			timeout_ms = (int) Min((int64) timeout_ms, Max((f->claim->deadline - now) / 1000, 1));
	}
	next_step(f, take_state(f), timeout_ms);
}

void
tz_carry_http_cut(TzFlight *f)
{
	if (f->http != NULL)
		tz_http_cancel(f->http);
}

static void
http_done(void *arg, const TzHttpResponse *res)
{
	TzFlight *f = arg;

	f->http = NULL;
	if (f->flow != NULL)
		tz_flow_end(f->flow, &f->effect, res, &f->outcome);
	else
		f->adapter->parse(&f->effect, res, &f->outcome);
	if (f->outcome.keep)
		tz_kept_put(f->claim, sandbox_name(f), tz_buf_slice(&f->outcome.kept));
	/* whoever waits for it decides whether to ask again */
	if (tz_carry_is_fetch(f) && f->outcome.verdict == TZ_V_RETRY)
		f->outcome.verdict = TZ_V_FAILED;
	if (goes_on(f))
		go_on(f);
	else
		tz_flight_outcome(f, http_sqlstate(f), res->maybe_sent, tz_carry_random(), GetCurrentTimestamp());
}

/* ---- answers that are read as they come ---- */

static bool
http_wants(void *arg, const TzHttpResponse *head)
{
	TzFlight *f = arg;

	return tz_flow_wants(f->flow, &f->effect, head);
}

static TzHttpTaste
http_take(void *arg, TzSlice bytes, size_t *kept)
{
	TzFlight *f = arg;
	TzHttpTaste taste = tz_flow_take(f->flow, bytes, kept);

	tz_carry_reported(f);
	return taste;
}

static const TzHttpSink sink = {http_wants, http_take};

static bool
wants_stream(const TzFlight *f)
{
	return f->adapter->stream_new != NULL &&
	       (f->adapter->stream_always || json_is_true(json_object_get(f->request, "stream")));
}

static TzStatus
open_stream(TzFlight *f, TzErr *err)
{
	json_t *step = json_object_get(f->request, "step");
	TzPen pen = {0};
	TzStatus status;

	if (strcmp(f->claim->kind, "compute.exec") != 0 && json_is_integer(step) && f->claim->run_id != NULL)
		tz_stream_open(&pen, MyDatabaseId, f->claim->run_id, (int) json_integer_value(step),
		               tz_stream_generation(f->claim->id, f->claim->attempt));
	status = tz_flight_stream(f, &pen, err);
	if (status == TZ_OK)
		tz_carry_live(f);
	return status;
}

/* What is wrong with a request that was never sent is the row's fault. */
static const char *
build_sqlstate(TzStatus status)
{
	return status == TZ_BAD_INPUT ? "22023" : NULL;
}

/* A secret that is not to go there, and a request that is no good, are told apart. */
static const char *
broker_sqlstate(TzStatus status)
{
	return status == TZ_REFUSED ? "TZ304" : build_sqlstate(status);
}

/*
 * Values of brokered secrets in the place of their placeholders. Adapters never see
 * them, so this comes last before the request leaves; hosts are those that stood in
 * the secret's row when this attempt was claimed.
 */
static TzStatus
broker_values(const TzFlight *f, TzHttpRequest *req, TzErr *err)
{
	const TzClaimed *claim = f->claim;
	TzBrokered *list = calloc((size_t) claim->nsecrets + 1, sizeof(TzBrokered));
	bool plain = tz_guc_egress_allow_http || f->endpoint.allow_http;
	TzBrokerScope scope = f->adapter->kind == TZ_HTTP ? TZ_BROKER_ALL : TZ_BROKER_HEADERS;
	bool operators = false;
	int n = 0;
	TzStatus status;

	if (list == NULL)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	for (int i = 0; i < claim->nsecrets; i++)
	{
		const TzClaimedSecret *s = &claim->secrets[i];

		if (strcmp(s->use, "broker") != 0 || s->env_name == NULL || !s->sealed)
			continue;
		list[n].env_name = s->env_name;
		list[n].name = s->name;
		list[n].value = tz_buf_slice(&s->value);
		list[n].hosts = (const char *const *) s->hosts;
		while (s->hosts != NULL && s->hosts[list[n].nhosts] != NULL)
			list[n].nhosts++;
		list[n].header = s->header;
		list[n].username = s->username;
		operators |= s->operators;
		n++;
	}
	status = tz_broker_apply(list, n, scope, plain, req, err);
	if (status == TZ_REFUSED && operators)
	{
		tz_err_clear(err);
		tz_err_set(err, TZ_REFUSED, "the credential of the managed provider must not be sent to its address");
		tz_err_hint(err, "The operator has to give its secret the host of the provider's endpoint.");
	}
	free(list);
	return status;
}

static void
begin_http(TzCarrier *c, TzFlight *f, int timeout_ms)
{
	size_t max_body = (size_t) tz_guc_http_max_body_kb * 1024;
	const char *sqlstate = NULL;
	bool built;
	TzHttpRequest req;
	TzErr err;

	tz_err_clear(&err);
	f->carrier = c;
	f->adapter = tz_adapter_find(f->claim->adapter);
	if (f->adapter == NULL)
	{
		tz_err_set(&err, TZ_UNSUPPORTED, "adapter \"%s\" is not known", f->claim->adapter);
		tz_carry_fail(f, &err, NULL);
		return;
	}
	/* Base64 makes a third more of a file. */
	tz_http_request_init(&req, max_body + max_body / 2);
	f->effect.kept = tz_kept_find(f->claim, sandbox_name(f));
	err.status = f->adapter->build(&f->effect, &f->endpoint, &req, &err);
	f->effect.kept = tz_slice(NULL, 0);
	sqlstate = build_sqlstate(err.status);
	built = err.status == TZ_OK;
	if (err.status == TZ_OK)
	{
		err.status = broker_values(f, &req, &err);
		sqlstate = broker_sqlstate(err.status);
	}
	if (err.status == TZ_OK && f->flow == NULL && wants_stream(f))
		err.status = open_stream(f, &err);
	if (err.status == TZ_OK)
	{
		req.timeout_ms = timeout_ms;
		if (req.max_response == 0 || req.max_response > max_body)
			req.max_response = max_body;
		req.allow_http = f->endpoint.allow_http;
		req.allow_private = f->endpoint.allow_private;
		if (f->endpoint.socket != NULL)
			err.status = tz_http_request_socket(&req, f->endpoint.socket, &err);
	}
	if (err.status == TZ_OK)
	{
		err.status = tz_http_start(c->client, &req, http_done, f, &f->http, &err);
		sqlstate = build_sqlstate(err.status);
	}
	tz_http_request_free(&req);
	/* behind a step that was carried out nobody knows what is left of it: the table of recovery does */
	if (err.status != TZ_OK && built && f->state == TZ_FLIGHT_FLYING)
	{
		tz_flight_fail(f, "unknown", &err, sqlstate, NULL, 0, true, GetCurrentTimestamp());
		return;
	}
	if (err.status != TZ_OK)
	{
		tz_carry_fail(f, &err, sqlstate);
		return;
	}
	if (f->flow != NULL)
	{
		tz_http_sink(f->http, &sink);
		if (f->adapter->kind == TZ_MODEL)
			tz_flight_slim(f);
	}
	if (f->state == TZ_FLIGHT_CLAIMED)
		tz_flight_move(f, TZ_FLIGHT_FLYING);
}

void
tz_carry_http(TzCarrier *c, TzFlight *f, int timeout_ms)
{
	begin_http(c, f, timeout_ms);
}
