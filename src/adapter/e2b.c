/*-------------------------------------------------------------------------
 *
 * e2b.c
 *	  E2B: which request an operation sends next, and whose answer came.
 *
 * There are two planes: a REST API that makes, wakes and ends sandboxes, asked with
 * the account's key, and a daemon in each sandbox ("envd"), asked with a token that
 * the API gave for that sandbox.
 *
 *	work of the sandbox:	[ask ->] work
 *		its token is not taken, or it is not there: ask -> work, once
 *		ask says it is paused: connect -> work
 *		ask does not know it: the sandbox is gone
 *	exec with long code:	[ask ->] a file -> work
 *	create whose end nobody saw:	find -> done, or unknown and asked again later
 *		several carry our tag: drop, until one is left
 *	pause refused as a conflict:	ask -> done when it is paused
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "adapter/e2b.h"
#include "lib/json.h"

static TzStatus e2b_build(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err);
static TzStatus build_phase(const TzE2bOp *op, const TzEffect *effect, const TzEndpoint *to,
                            TzHttpRequest *out, TzErr *err);

static const TzE2bOp ops[] = {
	{"create", TZ_REPEAT_NEVER, false, 60000, tz_e2b_build_create, tz_e2b_created},
	{"exec", TZ_REPEAT_NEVER, true, 0, tz_e2b_build_exec, tz_e2b_executed},
	{"stop", TZ_REPEAT_SAME, true, 20000, tz_e2b_build_stop, tz_e2b_stopped},
	{"read", TZ_REPEAT_READ, true, 30000, tz_e2b_build_read, tz_e2b_read},
	{"write", TZ_REPEAT_SAME, true, 30000, tz_e2b_build_write, tz_e2b_written},
	{"list", TZ_REPEAT_READ, true, 30000, tz_e2b_build_list, tz_e2b_listed},
	{"expose_port", TZ_REPEAT_READ, true, 30000, tz_e2b_build_port, tz_e2b_exposed},
	{"pause", TZ_REPEAT_SAME, false, 60000, tz_e2b_build_pause, tz_e2b_paused},
	{"resume", TZ_REPEAT_SAME, false, 60000, tz_e2b_build_resume, tz_e2b_resumed},
	{"metrics", TZ_REPEAT_READ, true, 30000, tz_e2b_build_metrics, tz_e2b_measured},
	{"logs", TZ_REPEAT_READ, false, 30000, tz_e2b_build_logs, tz_e2b_logged},
	{"renew", TZ_REPEAT_SAME, false, 30000, tz_e2b_build_renew, tz_e2b_renewed},
	{"snapshot", TZ_REPEAT_NEVER, false, 60000, tz_e2b_build_snapshot, tz_e2b_snapshotted},
	{"forget", TZ_REPEAT_REMOVE, false, 30000, tz_e2b_build_forget, tz_e2b_forgotten},
	{"sweep", TZ_REPEAT_READ, false, 60000, tz_e2b_build_sweep, tz_e2b_swept},
	{"destroy", TZ_REPEAT_REMOVE, false, 30000, tz_e2b_build_destroy, tz_e2b_destroyed},
};

static const char *const op_names[] = {"create", "exec",   "read",    "write", "list",  "expose_port",
                                       "pause",  "resume", "metrics", "logs",  "renew", "snapshot",
                                       "forget", "sweep",  "destroy", "stop",  NULL};

static const struct
{
	const char *name;
	TzE2bPhase phase;
} phases[] = {
	{"ask", TZ_E2B_ASK},   {"connect", TZ_E2B_CONNECT}, {"find", TZ_E2B_FIND},
	{"drop", TZ_E2B_DROP}, {"series", TZ_E2B_SERIES},
};

extern const TzAdapter tz_compute_e2b;
const TzAdapter tz_compute_e2b = {
	.name = "e2b",
	.kind = TZ_COMPUTE,
	.ops = op_names,
	.build = e2b_build,
	.parse = tz_e2b_parse,
	.stream_new = tz_e2b_stream_new,
	.stream_feed = tz_e2b_stream_feed,
	.stream_end = tz_e2b_stream_end,
	.stream_free = tz_e2b_stream_free,
	.stream_wants = tz_e2b_stream_wants,
	.stream_whole = tz_e2b_stream_whole,
	.stream_always = true,
};

const TzE2bOp *
tz_e2b_op(const char *name)
{
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		if (strcmp(ops[i].name, name) == 0)
			return &ops[i];
	return NULL;
}

/* A create whose worker died, or whose answer was lost, is looked for before anything else. */
TzE2bPhase
tz_e2b_phase(const TzEffect *effect)
{
	const char *name = json_string_value(json_object_get(effect->state, "phase"));

	for (size_t i = 0; name != NULL && i < sizeof(phases) / sizeof(phases[0]); i++)
		if (strcmp(phases[i].name, name) == 0)
			return phases[i].phase;
	if (strcmp(effect->op, "create") == 0 && json_is_true(json_object_get(effect->state, "reconcile")))
		return TZ_E2B_FIND;
	/* nobody learnt its name */
	if (strcmp(effect->op, "destroy") == 0 && json_object_get(effect->request, "sandbox") == NULL &&
	    json_object_get(effect->request, "tag") != NULL)
		return TZ_E2B_FIND;
	return TZ_E2B_WORK;
}

int64_t
tz_e2b_state_int(const TzEffect *effect, const char *key)
{
	return json_integer_value(json_object_get(effect->state, key));
}

void
tz_e2b_next(const TzEffect *effect, const char *phase, json_t *more, int wait_ms, TzOutcome *out)
{
	json_t *state = effect->state != NULL ? json_copy(effect->state) : json_object();

	json_object_del(state, "phase");
	if (phase != NULL)
		json_object_set_new(state, "phase", json_string(phase));
	if (more != NULL)
		json_object_update(state, more);
	json_decref(more);
	json_decref(out->state);
	out->state = state;
	if (state == NULL)
	{
		tz_answer_done(out, NULL);
		return;
	}
	out->verdict = TZ_V_NEXT;
	out->retry_after_ms = wait_ms;
	out->error_code = NULL;
	tz_err_clear(&out->err);
	json_decref(out->result);
	out->result = NULL;
}

TzEffect
tz_e2b_counted(const TzEffect *effect)
{
	TzEffect counted = *effect;

	if (counted.step > 0 && counted.attempt > counted.step)
		counted.attempt -= counted.step;
	return counted;
}

/* out must be fresh from tz_http_request_init or zeroed; the caller frees it in any case. */
static TzStatus
e2b_build(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	const TzE2bOp *op = tz_e2b_op(effect->op);
	TzStatus status;

	if (op == NULL)
		return tz_err_set(err, TZ_UNSUPPORTED, "operation \"%.32s\" is not known", effect->op);
	tz_http_request_free(out);
	tz_http_request_init(out, TZ_E2B_BODY_MAX);
	out->timeout_ms = op->timeout_ms;
	out->max_response = to->max_response;
	out->allow_http = to->allow_http;
	out->allow_private = to->allow_private;
	status = build_phase(op, effect, to, out, err);
	if (status == TZ_OK)
		status = tz_e2b_auth(effect, out, err);
	if (status == TZ_OK && (out->url.status != TZ_OK || out->body.status != TZ_OK))
		status =
			tz_err_set(err, out->body.status == TZ_NOMEM ? TZ_NOMEM : TZ_TOO_LARGE, "request is too large");
	return status;
}

static TzStatus
build_phase(const TzE2bOp *op, const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	TzE2bKept kept;

	switch (tz_e2b_phase(effect))
	{
		case TZ_E2B_ASK:
			return tz_e2b_build_ask(effect, to, out, err);
		case TZ_E2B_CONNECT:
			return tz_e2b_build_connect(effect, to, out, err);
		case TZ_E2B_FIND:
			return tz_e2b_build_find(effect, to, out, err);
		case TZ_E2B_DROP:
			return tz_e2b_build_drop(effect, to, out, err);
		default:
			break;
	}
	tz_e2b_kept_read(effect->kept, &kept);
	/* it may have been let go between two steps */
	if (op->envd && !kept.known && tz_e2b_phase(effect) != TZ_E2B_SERIES)
		return tz_e2b_build_ask(effect, to, out, err);
	return op->build(effect, to, &kept, out, err);
}

/*
 * Whose answer it is follows from the phase, but for one thing: whether the token
 * was at hand when the request was made, which the request itself shows.
 */
void
tz_e2b_parse(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	const TzE2bOp *op = tz_e2b_op(effect->op);
	TzE2bPhase phase = tz_e2b_phase(effect);

	out->verdict = TZ_V_FAILED;
	if (op == NULL)
		tz_err_set(&out->err, TZ_UNSUPPORTED, "operation \"%.32s\" is not known", effect->op);
	else if (phase == TZ_E2B_CONNECT)
		tz_e2b_connected(effect, in, out);
	else if (phase == TZ_E2B_FIND)
		tz_e2b_found(effect, in, out);
	else if (phase == TZ_E2B_DROP)
		tz_e2b_dropped(effect, in, out);
	else if (phase == TZ_E2B_ASK || (op->envd && phase != TZ_E2B_SERIES && !tz_e2b_from_sandbox(in)))
		tz_e2b_asked(effect, in, out);
	else
		op->parse(effect, in, out);
}
