/*-------------------------------------------------------------------------
 *
 * script_outcome.c
 *	  What is kept of a program: its log, what it wrote, how it ended.
 *
 * It is collected here while the program runs, so that a program that is killed
 * leaves what it had said. All of it is bounded, and what did not fit is counted.
 * Values stay the text they came as: numbers keep their digits.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "lib/json.h"
#include "lib/json_raw.h"
#include "lib/utf8.h"
#include "worker/script_internal.h"

#define LOGS_MAX 1000
#define LOG_TEXT_MAX (16 * 1024)
#define LOCAL_MAX 100
#define SUMMARY_MAX 1024 /* bytes: more than is shown, so that SQL can mask it before it cuts it to that */

void
tz_script_append_text(TzBuf *out, TzSlice text)
{
	json_t *value = json_stringn(text.len > 0 ? text.data : "", text.len);

	if (value == NULL || tz_json_dump(value, out, NULL) != TZ_OK)
	{
		if (out->status == TZ_OK)
			tz_buf_append_cstr(out, "\"\"");
	}
	json_decref(value);
}

void
tz_script_append_time(TzBuf *out, int64_t us)
{
	time_t seconds = (time_t) (us / 1000000);
	struct tm tm;

	gmtime_r(&seconds, &tm);
	tz_buf_printf(out, "\"%04d-%02d-%02dT%02d:%02d:%02d.%03dZ\"", tm.tm_year + 1900, tm.tm_mon + 1,
	              tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int) (us / 1000 % 1000));
}

/* Whole or not at all. */
static bool
put_item(TzBuf *list, const TzBuf *item)
{
	if (item->status != TZ_OK || list->max - list->len < item->len + 1)
		return false;
	if (list->len > 0)
		tz_buf_append_byte(list, ',');
	return tz_buf_append(list, item->data, item->len) == TZ_OK;
}

void
tz_script_logged(void *arg, TzRunnerRun *run, const char *level, TzSlice text)
{
	TzScriptJob *job = arg;
	TzBuf item;

	(void) run;
	tz_buf_init(&item, 8 * LOG_TEXT_MAX);
	tz_buf_printf(&item, "{\"level\":\"%s\",\"message\":", level);
	tz_script_append_text(&item, tz_slice(text.data, tz_utf8_cut(text, LOG_TEXT_MAX)));
	tz_buf_append_cstr(&item, ",\"at\":");
	tz_script_append_time(&item, tz_script_now_us());
	tz_buf_append_cstr(&item, text.len > LOG_TEXT_MAX ? ",\"cut\":true}" : "}");
	if (job->nlogs < LOGS_MAX && put_item(&job->logs, &item))
		job->nlogs++;
	else
		job->logs_dropped++;
	tz_buf_free(&item);
}

void
tz_script_local(TzScriptJob *job, const char *name, TzSlice args)
{
	size_t at = 0;
	TzSlice first = tz_slice("null", 4);
	TzBuf item;

	(void) tz_json_raw_item(args, &at, &first);
	tz_buf_reset(&job->written);
	job->has_written = tz_buf_append(&job->written, first.data, first.len) == TZ_OK;
	job->nlocal++;
	if (job->nlocal > LOCAL_MAX)
		return;
	tz_buf_init(&item, 8 * SUMMARY_MAX + 256);
	tz_buf_printf(&item, "{\"fn\":\"%s\",\"at\":", name);
	tz_script_append_time(&item, tz_script_now_us());
	tz_buf_append_cstr(&item, ",\"args_summary\":");
	tz_script_append_text(&item, tz_slice(first.data, tz_utf8_cut(first, SUMMARY_MAX)));
	tz_buf_append_cstr(&item, first.len > SUMMARY_MAX ? ",\"cut\":true}" : "}");
	(void) put_item(&job->local, &item);
	tz_buf_free(&item);
}

/* ---- the document --------------------------------------------------------------- */

typedef struct Ending
{
	const char *status;
	const char *code; /* NULL: it returned */
	const char *message; /* when the runner has none */
} Ending;

static const Ending endings[] = {
	[TZ_RUNNER_RETURNED] = {"completed", NULL, NULL},
	[TZ_RUNNER_THREW] = {"failed", "EXECUTION_ERROR", "the code threw"},
	[TZ_RUNNER_TIME] = {"terminated", "TIME_LIMIT", "the code took longer than it may"},
	[TZ_RUNNER_MEMORY] = {"terminated", "MEMORY_LIMIT", "the code needed more memory than it may"},
	[TZ_RUNNER_FAULT] = {"failed", "EXECUTION_ERROR", "sandbox fault"},
	[TZ_RUNNER_CANCELLED] = {"terminated", "CANCELLED", "cancelled"},
	[TZ_RUNNER_LOST] = {"failed", "EXECUTION_ERROR", "the process that ran the code is gone"},
};

/* Ours, not asked for: the process leaves. */
static const Ending left = {"failed", "EXECUTION_ERROR", "the worker that ran the code was stopped"};

static void
put_raw(TzBuf *out, const char *key, TzSlice raw)
{
	tz_buf_printf(out, ",\"%s\":", key);
	tz_buf_append(out, raw.data, raw.len);
}

static void
put_text(TzBuf *out, const char *key, TzSlice text)
{
	tz_buf_printf(out, ",\"%s\":", key);
	tz_script_append_text(out, text);
}

static void
put_error(TzBuf *out, const Ending *end, const TzRunnerResult *res)
{
	TzSlice message = res->error_message.len > 0                    ? res->error_message
	                  : res->err.message[0] != '\0' && end != &left ? tz_slice_cstr(res->err.message)
	                                                                : tz_slice_cstr(end->message);

	tz_buf_printf(out, ",\"error\":{\"code\":\"%s\"", end->code);
	if (res->error_name.len > 0)
		put_text(out, "name", res->error_name);
	put_text(out, "message", message);
	if (res->error_stack.len > 0)
		put_text(out, "stack", res->error_stack);
	tz_buf_append_cstr(out, "}");
}

static void
put_isolation(TzBuf *out, const TzRunnerInfo *info)
{
	static const char *const names[TZ_RUNNER_WALLS] = {"seccomp", "capabilities", "user",   "pid",   "net",
	                                                   "ipc",     "uts",          "cgroup", "mount", "root"};

	tz_buf_printf(out, ",\"isolation\":{\"mode\":\"%s\"", tz_runner_mode_name(info->mode));
	for (int i = 0; i < TZ_RUNNER_WALLS; i++)
		tz_buf_printf(out, ",\"%s\":%s", names[i], info->walls & (1U << i) ? "true" : "false");
	tz_buf_append_cstr(out, "}");
	put_text(out, "helper_sha256", tz_slice_cstr(info->sha256));
	put_text(out, "engine", tz_slice_cstr(info->engine));
	put_text(out, "engine_version", tz_slice_cstr(info->engine_version));
}

static void
put_list(TzBuf *out, const char *key, const TzBuf *items)
{
	tz_buf_printf(out, ",\"%s\":[", key);
	tz_buf_append(out, items->data, items->len);
	tz_buf_append_cstr(out, "]");
}

bool
tz_script_document(TzScriptJob *job, const TzRunnerResult *res, const TzRunnerInfo *info)
{
	const Ending *end = &endings[res->end];
	TzBuf *out = &job->document;

	if (res->end == TZ_RUNNER_CANCELLED && !job->cancelling)
		end = &left;
	tz_buf_printf(out, "{\"status\":\"%s\",\"begun\":%s,\"returned\":%s", end->status,
	              res->begun ? "true" : "false",
	              res->end == TZ_RUNNER_RETURNED && res->value.len > 0 ? "true" : "false");
	if (res->end == TZ_RUNNER_RETURNED && res->value.len > 0)
		put_raw(out, "output", res->value);
	if (job->has_written)
		put_raw(out, "written", tz_buf_slice(&job->written));
	if (end->code != NULL)
		put_error(out, end, res);
	if (res->fault != NULL)
		put_text(out, "fault", tz_slice_cstr(res->fault));
	put_list(out, "logs", &job->logs);
	tz_buf_printf(out, ",\"logs_dropped\":%d", job->logs_dropped);
	put_list(out, "host_calls_local", &job->local);
	tz_buf_printf(
		out,
		",\"host_calls\":%u,\"log_calls\":%u,\"write_result_calls\":%d,\"api_calls\":%d,\"calls_refused\":%d,\"calls_dropped\":%d",
		res->calls, res->logs, job->nlocal, job->api_calls, job->refused, job->dropped);
	tz_buf_printf(out, ",\"usage\":{\"cpu_ms\":%lld,\"cpu_us\":%lld,\"memory_mb\":%lld,\"wall_ms\":%lld}",
	              (long long) ((res->cpu_us + 999) / 1000), (long long) res->cpu_us,
	              (long long) ((res->peak_rss_kb + 1023) / 1024), (long long) (res->wall_us / 1000));
	put_isolation(out, info);
	tz_buf_append_cstr(out, "}");
	return out->status == TZ_OK;
}
