/*-------------------------------------------------------------------------
 *
 * e2b_envd.c
 *	  The daemon in an E2B sandbox: figures, ports, and how it refuses.
 *
 * Before the daemon stands a proxy with answers of its own: 502 with a port says that
 * the sandbox is there and nobody listens, 502 without one that it is not.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "adapter/connect.h"
#include "adapter/e2b.h"
#include "lib/json.h"

#define MB (1024.0 * 1024.0)
#define DOWN_TRIES 4

/* ---- figures and ports -------------------------------------------------------------- */

/* Live ones from the daemon; from one that has none, what the control plane has stored. */
TzStatus
tz_e2b_build_metrics(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept, TzHttpRequest *out,
                     TzErr *err)
{
	bool series = tz_e2b_phase(effect) == TZ_E2B_SERIES;
	TzSlice id;
	TzStatus status;

	if (!series)
	{
		status = tz_e2b_envd(effect, to, kept, "GET", false, out, err);
		tz_buf_append_cstr(&out->url, "/metrics");
		return status;
	}
	status = tz_e2b_sandbox(effect, &id, err);
	if (status == TZ_OK)
		status = tz_e2b_control(effect, to, "GET", out, err);
	if (status == TZ_OK)
		tz_buf_printf(&out->url, "/sandboxes/%.*s/metrics?start=%lld&end=%lld", (int) id.len, id.data,
		              (long long) (effect->now_ms / 1000 - 300), (long long) (effect->now_ms / 1000));
	return status;
}

static bool
take_figure(json_t *doc, const char *key, const char *other, double unit, const char *name, json_t *result)
{
	double value = 0;

	if (json_object_get(doc, key) == NULL)
		key = other;
	if (tz_json_get_real(doc, key, true, &value, NULL) != TZ_OK || !isfinite(value) || value < 0 ||
	    value > 1e18)
		return false;
	return json_object_set_new(result, name, json_real(value / unit)) == 0;
}

static void
take_figures(const TzHttpResponse *in, json_t *doc, TzOutcome *out)
{
	json_t *result = json_object();

	if (take_figure(doc, "cpu_used_pct", "cpuUsedPct", 1, "cpu_percent", result) &&
	    take_figure(doc, "mem_used", "memUsed", MB, "memory_mb", result) &&
	    take_figure(doc, "disk_used", "diskUsed", MB, "disk_mb", result))
	{
		tz_answer_done(out, result);
		return;
	}
	json_decref(result);
	tz_answer_bad(in, out, "figures of processor, memory or disk are missing or no numbers");
}

void
tz_e2b_measured(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	bool series = tz_e2b_phase(effect) == TZ_E2B_SERIES;
	json_t *doc;

	if (in->err.status == TZ_OK && in->status == 404 && !series)
	{
		tz_e2b_next(effect, "series", NULL, 0, out);
		return;
	}
	if (in->err.status != TZ_OK || in->status != 200)
	{
		if (series)
			tz_e2b_refused(effect, TZ_REPEAT_READ, in, out);
		else
			tz_e2b_failed(effect, TZ_REPEAT_READ, in, out);
		return;
	}
	doc = tz_answer_json(in, out);
	if (doc != NULL && json_is_array(doc) && json_array_size(doc) == 0)
	{
		tz_answer_fail(in, "provider_error", out);
		tz_err_set(&out->err, TZ_UNAVAILABLE, "the provider has no figures of this sandbox yet");
		tz_err_hint(&out->err, "Young sandboxes have none; ask again in a minute.");
	}
	else if (doc != NULL)
		take_figures(in, json_is_array(doc) ? json_array_get(doc, json_array_size(doc) - 1) : doc, out);
	json_decref(doc);
}

/* A port's address is only a matter of names; what is asked is whether the sandbox is there. */
TzStatus
tz_e2b_build_port(const TzEffect *effect, const TzEndpoint *to, const TzE2bKept *kept, TzHttpRequest *out,
                  TzErr *err)
{
	int64_t port = 0;
	TzStatus status = tz_json_get_int(effect->request, "port", true, 1, 65535, &port, err);

	if (status == TZ_OK && json_is_false(json_object_get(to->config, "publicTraffic")))
	{
		tz_err_set(err, TZ_UNSUPPORTED, "ports of these sandboxes are not open to the public");
		tz_err_detail(err, "capability_unsupported");
		tz_err_hint(err, "The provider's config has publicTraffic false.");
		return TZ_UNSUPPORTED;
	}
	if (status == TZ_OK)
		status = tz_e2b_envd(effect, to, kept, "GET", true, out, err);
	tz_buf_append_cstr(&out->url, "/health");
	return status;
}

/* The address that was asked, with the other port in the daemon's place. */
void
tz_e2b_exposed(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	const char *asked = in->request != NULL ? in->request->url.data : NULL;
	const char *at;
	char number[16];
	int64_t port = 0;
	TzBuf url;

	if (in->err.status != TZ_OK || in->status < 200 || in->status > 299)
	{
		tz_e2b_failed(effect, TZ_REPEAT_READ, in, out);
		return;
	}
	(void) tz_json_get_int(effect->request, "port", true, 1, 65535, &port, NULL);
	snprintf(number, sizeof(number), "%d", TZ_E2B_ENVD_PORT);
	at = asked != NULL ? strstr(asked, number) : NULL;
	if (at == NULL)
	{
		tz_answer_bad(in, out, "address of the port cannot be told");
		return;
	}
	tz_buf_init(&url, 4096);
	tz_buf_append(&url, asked, (size_t) (at - asked));
	tz_buf_printf(&url, "%d", (int) port);
	at += strlen(number);
	tz_buf_append(&url, at, strlen(at) - strlen("/health"));
	tz_answer_done(out, url.status == TZ_OK ? json_pack("{s:s}", "url", url.data) : NULL);
	tz_buf_free(&url);
}

/* ---- refusals ------------------------------------------------------------------------ */

static void
file_missing(const TzHttpResponse *in, TzOutcome *out)
{
	tz_answer_fail(in, "not_found", out);
	tz_err_set(&out->err, TZ_NOT_FOUND, "no such file in the sandbox");
	tz_err_hint(&out->err, "theazo.file_list() shows what is there.");
}

/* 502: not there, or nobody listens there yet. */
static void
unreachable(const TzEffect *effect, const TzHttpResponse *in, json_t *doc, TzOutcome *out)
{
	TzEffect counted = tz_e2b_counted(effect);

	if (json_is_string(json_object_get(doc, "sandboxId")) && json_object_get(doc, "port") == NULL)
	{
		/* it may only be asleep, which the control plane knows */
		tz_e2b_next(effect, "ask",
		            json_pack("{s:I}", "lost", (json_int_t) tz_e2b_state_int(effect, "lost") + 1), 0, out);
		tz_e2b_forget(out);
		return;
	}
	tz_err_set(&out->err, TZ_UNAVAILABLE, "provider answered 502");
	tz_err_hint(&out->err, "The sandbox does not answer; try again later.");
	tz_answer_fail(in, "provider_error", out);
	/* what the proxy could not pass on was not carried out; another gateway's page says nothing */
	if (json_object_get(doc, "port") != NULL && counted.attempt < DOWN_TRIES)
		out->verdict = TZ_V_RETRY;
	tz_answer_upstream(in, doc, out);
}

static void
gone(const TzHttpResponse *in, TzOutcome *out)
{
	tz_answer_fail(in, "provider_error", out);
	tz_err_set(&out->err, TZ_GONE, "the sandbox is gone");
	tz_err_hint(&out->err, "Its files are lost. The next exec makes a new sandbox.");
	tz_e2b_forget(out);
}

/* What the sandbox said itself. */
static void
refused(const TzEffect *effect, TzRepeat repeat, const TzHttpResponse *in, json_t *doc, TzOutcome *out)
{
	TzEffect counted = tz_e2b_counted(effect);
	bool proxied = json_is_string(json_object_get(doc, "sandboxId"));

	tz_answer_status(&counted, repeat, in, out);
	/* the proxy says that nothing was passed on: a transition, or too many connections */
	if (proxied && (in->status == 409 || in->status == 429) && counted.attempt < DOWN_TRIES)
		out->verdict = TZ_V_RETRY;
	else if (in->status == 507)
	{
		out->verdict = TZ_V_FAILED;
		tz_err_set(&out->err, TZ_REFUSED, "the sandbox's disk is full");
		tz_err_hint(&out->err, "Delete files in the sandbox.");
	}
	else if (in->status == 400 && !proxied && doc != NULL)
	{
		tz_err_set(&out->err, TZ_BAD_INPUT, "the sandbox does not take this path");
		tz_err_hint(&out->err, "A directory cannot be read or written, and a file cannot be listed.");
		out->error_code = "invalid_request";
	}
}

void
tz_e2b_failed(const TzEffect *effect, TzRepeat repeat, const TzHttpResponse *in, TzOutcome *out)
{
	TzEffect counted = tz_e2b_counted(effect);
	bool on_file = strcmp(effect->op, "read") == 0 || strcmp(effect->op, "write") == 0 ||
	               strcmp(effect->op, "list") == 0;
	json_t *doc;

	if (in->err.status != TZ_OK)
	{
		tz_answer_transport(&counted, repeat, in, out);
		return;
	}
	doc = tz_e2b_document(in);
	if (in->status >= 200 && in->status <= 299)
	{
		tz_answer_bad(in, out, "content type is not the protocol's");
		tz_answer_upstream(in, doc, out);
	}
	/* one that came with the sandbox earlier may not hold since it slept */
	else if (in->status == 401 && tz_e2b_state_int(effect, "again") == 0)
	{
		tz_e2b_next(effect, "ask", json_pack("{s:i}", "again", 1), 0, out);
		tz_e2b_forget(out);
	}
	else if (in->status == 502 && tz_e2b_state_int(effect, "lost") < 2)
		unreachable(effect, in, doc, out);
	else if (in->status == 502 && json_is_string(json_object_get(doc, "sandboxId")) &&
	         json_object_get(doc, "port") == NULL)
		gone(in, out);
	else if (in->status == 404 && on_file &&
	         (tz_connect_code(doc, 404) == TZ_CONNECT_NOT_FOUND && json_object_get(doc, "path") == NULL))
		file_missing(in, out);
	else
		refused(effect, repeat, in, doc, out);
	if (out->verdict == TZ_V_FAILED && in->status == 401)
		tz_err_hint(&out->err,
		            "The sandbox does not take its token; check the user that the provider's config names.");
	json_decref(doc);
}
