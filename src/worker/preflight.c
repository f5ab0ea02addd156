/*-------------------------------------------------------------------------
 *
 * preflight.c
 *	  What this machine offers for sandboxes and programs of agents, as a document.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/json.h"
#include "pg/guc.h"
#include "runner/parent.h"
#include "worker/preflight.h"

#define RUNNER_WAIT_MS 5000 /* for the runner to say what it found */

static void
add_check(json_t *checks, const char *name, bool ok, const char *found, const char *hint)
{
	json_t *o = json_object();

	tz_json_set_text(o, "name", tz_slice_cstr(name), NULL);
	json_object_set_new(o, "ok", json_boolean(ok));
	tz_json_set_text(o, "found", tz_slice_cstr(found), NULL);
	tz_json_set_text(o, "hint", tz_slice_cstr(hint), NULL);
	json_array_append_new(checks, o);
}

/* Agents' code is not run in a sandbox of that kind, but asks for much the same. */
static void
add_runner_check(json_t *checks)
{
	TzRunnerInfo info;
	char found[120];

	tz_runner_preflight(tz_guc_script_runner_path(), RUNNER_WAIT_MS, &info);
	if (info.mode == TZ_RUNNER_NONE)
	{
		add_check(checks, "script runner", false, info.err.message, info.err.hint);
		return;
	}
	snprintf(found, sizeof(found), "%s, %s %s", tz_runner_mode_name(info.mode), info.engine,
	         info.engine_version);
	add_check(checks, "script runner", true, found, "");
}

char *
tz_preflight_text(const TzBoxPreflight *pf)
{
	json_t *checks = json_array();
	TzBuf buf;
	char *text;

	for (int i = 0; i < pf->nchecks; i++)
		add_check(checks, pf->checks[i].name, pf->checks[i].ok, pf->checks[i].found, pf->checks[i].hint);
	add_runner_check(checks);
	tz_buf_init(&buf, 64 * 1024);
	text = tz_json_dump(checks, &buf, NULL) == TZ_OK && buf.len > 0 ? pstrdup(buf.data) : pstrdup("[]");
	tz_buf_free(&buf);
	json_decref(checks);
	return text;
}
