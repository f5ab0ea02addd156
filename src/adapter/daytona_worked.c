/*-------------------------------------------------------------------------
 *
 * daytona_worked.c
 *	  Sandboxes of Daytona: answers of the toolbox.
 *
 * What answers there may also be what stands before it: a proxy that knows no such
 * sandbox, one whose sandbox does not run, or a dead one. Then the control plane is
 * asked what became of it ("find").
 *
 *-------------------------------------------------------------------------
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "adapter/daytona.h"
#include "lib/json.h"

#define TRIPS_MAX 5 /* to the control plane and back */
#define CLEARS_MAX 3
#define ENTRIES_MAX 10000
#define LATE_MS 60000 /* beyond a command's limit, until nobody asks any more */

static void worked_exec(const TzEffect *effect, const char *phase, const TzHttpResponse *in,
                        const TzJobFollower *to, TzOutcome *out);
static void reported(const TzEffect *effect, const char *phase, const TzJobReport *report,
                     const TzHttpResponse *in, const TzJobFollower *to, TzOutcome *out);
static void unreported(json_t *doc, const TzHttpResponse *in, TzOutcome *out);
static void cleared(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
static void worked_stop(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
static bool lost_way(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
static void worked_read(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
static void worked_list(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
static void worked_metrics(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
static void sampled(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
static void too_large(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);

void
tz_daytona_worked(const TzEffect *effect, const char *phase, const TzHttpResponse *in,
                  const TzJobFollower *to, TzOutcome *out)
{
	json_t *doc;

	if (strcmp(phase, "clear") == 0)
	{
		cleared(effect, in, out);
		return;
	}
	if (in->err.status == TZ_OK && lost_way(effect, in, out))
		return;
	if (strcmp(effect->op, "exec") == 0)
		worked_exec(effect, phase, in, to, out);
	else if (strcmp(effect->op, "stop") == 0)
		worked_stop(effect, in, out);
	else if (strcmp(effect->op, "read") == 0)
		worked_read(effect, in, out);
	else if (strcmp(effect->op, "list") == 0)
		worked_list(effect, in, out);
	else if (strcmp(effect->op, "metrics") == 0)
	{
		if (strcmp(phase, "sample") == 0)
			sampled(effect, in, out);
		else
			worked_metrics(effect, in, out);
	}
	else if (in->err.status != TZ_OK || in->status < 200 || in->status > 299)
		json_decref(tz_daytona_document(effect, in, TZ_REPEAT_SAME, out));
	else if (in->body.len == 0)
		tz_answer_done(out, json_object());
	else if ((doc = tz_answer_json(in, out)) != NULL)
	{
		tz_answer_done(out, json_object());
		json_decref(doc);
	}
}

/* Before a pause or a snapshot: tried again, but what cannot be cleared is not worth keeping it awake. */
static void
cleared(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	json_t *doc = tz_daytona_document(effect, in, TZ_REPEAT_SAME, out);
	const char *text = json_string_value(json_object_get(doc, "result"));
	int64_t tries = tz_daytona_counted(effect, "clears") + 1;

	if ((text == NULL || !tz_job_stopped(tz_slice_cstr(text))) && tries < CLEARS_MAX)
		tz_daytona_next(effect, "clear", 1000, json_pack("{s:I}", "clears", (json_int_t) tries), out);
	else
		tz_daytona_next(effect, strcmp(effect->op, "snapshot") == 0 ? "shoot" : "unlimit", 0, NULL, out);
	json_decref(doc);
}

static void
worked_stop(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	json_t *doc = tz_daytona_document(effect, in, TZ_REPEAT_SAME, out);
	const char *text = json_string_value(json_object_get(doc, "result"));

	if (doc != NULL && text != NULL && tz_job_stopped(tz_slice_cstr(text)))
		tz_answer_done(out, json_object());
	else if (doc != NULL)
		unreported(doc, in, out);
	json_decref(doc);
}

/* True when the answer is of who stands before the sandbox, or may be; out is filled. */
static bool
lost_way(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	int64_t trips = tz_daytona_counted(effect, "trips") + 1;
	bool missing = false;
	int wait_ms = 0;
	TzBuf scratch;
	json_t *doc;
	const char *message;
	bool asleep;
	bool daemon;

	if (in->status != 400 && in->status != 404 && in->status != 502 && in->status != 503 && in->status != 504)
		return false;
	tz_buf_init(&scratch, SIZE_MAX);
	doc = tz_answer_document(tz_buf_slice(&in->body), &scratch, NULL, NULL);
	message = json_string_value(json_object_get(doc, "message"));
	asleep = message != NULL && strstr(message, "Is the Sandbox started") != NULL;
	daemon = json_object_get(doc, "source") != NULL;
	json_decref(doc);
	tz_buf_free(&scratch);
	if (in->status == 400 && !asleep)
		return false;
	/* an old daemon has no figures, a new one says itself that the file is not there */
	if (in->status == 404 && strcmp(effect->op, "metrics") == 0 &&
	    json_object_get(effect->state, "missing") == NULL)
		return false;
	if (in->status == 404)
		missing = strcmp(effect->op, "read") == 0 || strcmp(effect->op, "list") == 0;
	if (missing && daemon)
	{
		tz_err_set(&out->err, TZ_NOT_FOUND, "no such file in the sandbox");
		tz_err_hint(&out->err, "theazo.file_list() shows what is there.");
		tz_answer_fail(in, "not_found", out);
		return true;
	}
	if (in->status >= 500)
		wait_ms = 1000;
	if (trips > TRIPS_MAX)
		return false;
	/* from the control plane on, by what it tells now */
	tz_daytona_next(effect, "find", wait_ms,
	                missing ? json_pack("{s:I, s:i}", "trips", (json_int_t) trips, "missing", 1)
	                        : json_pack("{s:I}", "trips", (json_int_t) trips),
	                out);
	out->keep = true;
	tz_buf_reset(&out->kept);
	return true;
}

/* ---- exec ---- */

static void
worked_exec(const TzEffect *effect, const char *phase, const TzHttpResponse *in, const TzJobFollower *to,
            TzOutcome *out)
{
	TzJobReport report;
	const char *text;
	json_t *doc;

	/* the look took too long, which says nothing about the command */
	if (in->err.status == TZ_OK && in->status == 408 && tz_daytona_counted(effect, "trips") < TRIPS_MAX)
	{
		tz_daytona_next(effect, "watch", 1000,
		                json_pack("{s:I}", "trips", (json_int_t) tz_daytona_counted(effect, "trips") + 1),
		                out);
		return;
	}
	doc = tz_daytona_document(effect, in, TZ_REPEAT_SAME, out);
	if (doc == NULL)
		return;
	text = json_string_value(json_object_get(doc, "result"));
	tz_job_report_init(&report);
	if (text != NULL &&
	    tz_job_read(tz_slice(text, json_string_length(json_object_get(doc, "result"))), effect->id, &report))
		reported(effect, phase, &report, in, to, out);
	else
		unreported(doc, in, out);
	tz_job_report_free(&report);
	json_decref(doc);
}

static void
reported(const TzEffect *effect, const char *phase, const TzJobReport *report, const TzHttpResponse *in,
         const TzJobFollower *to, TzOutcome *out)
{
	int64_t timeout_ms = 60000;
	int64_t max_output = TZ_JOB_OUTPUT_MAX;
	int64_t since = tz_daytona_counted(effect, "since");
	bool done = report->state == TZ_JOB_DONE;

	(void) tz_json_get_int(effect->request, "timeout_ms", false, 1, INT_MAX, &timeout_ms, NULL);
	(void) tz_json_get_int(effect->request, "max_output", false, 1, TZ_JOB_OUTPUT_MAX, &max_output, NULL);
	tz_job_tell(to, report);
	if (since == 0)
		since = effect->now_ms;
	if (done)
		tz_answer_done(out, tz_job_result(report, (int) timeout_ms, max_output));
	else if (report->state == TZ_JOB_RUNNING && effect->now_ms - since <= timeout_ms + LATE_MS)
		tz_daytona_next(effect, "watch", 0,
		                json_pack("{s:i, s:I, s:I, s:I, s:I}", "job", 1, "since", (json_int_t) since, "looks",
		                          (json_int_t) tz_daytona_counted(effect, "looks") + 1, "out",
		                          (json_int_t) report->out_size, "err", (json_int_t) report->err_size),
		                out);
	else if (report->state == TZ_JOB_NONE && strcmp(phase, "watch") == 0 &&
	         json_object_get(effect->state, "job") == NULL)
		tz_daytona_next(effect, "work", 0, NULL, out);
	else
	{
		switch (report->state)
		{
			case TZ_JOB_RUNNING:
				tz_err_set(&out->err, TZ_TIMEOUT, "the command does not end and cannot be stopped");
				break;
			case TZ_JOB_NONE:
				tz_err_set(
					&out->err, TZ_UNAVAILABLE,
					"the command could not be started: its directory for temporary files cannot be written");
				break;
			case TZ_JOB_CLEARED:
				tz_err_set(&out->err, TZ_UNAVAILABLE,
				           "the command has ended, and its result was not fetched in time");
				break;
			default:
				tz_err_set(&out->err, TZ_UNAVAILABLE,
				           "the command was stopped from outside; its result is lost");
		}
		tz_err_hint(&out->err, "It may have run in part; look at its effects before doing it again.");
		tz_answer_fail(in, "provider_error", out);
	}
}

/* No shell there, or one that does not do what shells do. */
static void
unreported(json_t *doc, const TzHttpResponse *in, TzOutcome *out)
{
	TzSlice text = {NULL, 0};

	(void) tz_json_get_str(doc, "result", false, INT_MAX, &text, NULL);
	tz_daytona_bad(in, out,
	               json_integer_value(json_object_get(doc, "exitCode")) == -1
	                   ? "the command could not be started"
	                   : "the sandbox's shell did not report");
	tz_err_hint(&out->err, "The snapshot needs a POSIX shell, base64, head, tail, find and sleep.");
	tz_daytona_quote(in, text, out);
}

/* ---- files ---- */

static void
worked_read(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	const char *type = tz_http_response_header(in, "content-type");
	int64_t max_bytes = INT_MAX;

	(void) tz_json_get_int(effect->request, "max_bytes", false, 1, INT_MAX, &max_bytes, NULL);
	if (in->err.status == TZ_TOO_LARGE)
		too_large(effect, in, out);
	else if (in->err.status != TZ_OK || in->status < 200 || in->status > 299)
		json_decref(tz_daytona_document(effect, in, TZ_REPEAT_READ, out));
	else if (in->body.len > (size_t) max_bytes)
		too_large(effect, in, out);
	else if (type != NULL && strncasecmp(type, "text/html", 9) == 0)
		tz_daytona_bad(in, out, "a page came instead of a file");
	else if (tz_buf_append(&out->content, in->body.data, in->body.len) != TZ_OK)
		too_large(effect, in, out);
	else
		tz_answer_done(out, json_pack("{s:I}", "size", (json_int_t) in->body.len));
}

static void
too_large(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	int64_t max_bytes = INT_MAX;

	(void) tz_json_get_int(effect->request, "max_bytes", false, 1, INT_MAX, &max_bytes, NULL);
	tz_buf_reset(&out->content);
	tz_answer_bad(in, out, "file is too large");
	tz_err_set(&out->err, TZ_TOO_LARGE, "file is larger than %lld bytes", (long long) max_bytes);
	tz_err_hint(&out->err, "Read a smaller file, or take a part of it with theazo.exec().");
	out->err.http_status = in->status;
}

static void
worked_list(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	json_t *doc = tz_daytona_document(effect, in, TZ_REPEAT_READ, out);
	json_t *entries;
	json_t *item;
	size_t i;

	if (doc == NULL)
		return;
	if (!json_is_array(doc) || json_array_size(doc) > ENTRIES_MAX)
	{
		tz_daytona_bad(in, out, "it is no list of at most 10000 files");
		json_decref(doc);
		return;
	}
	entries = json_array();
	json_array_foreach (doc, i, item)
	{
		TzSlice name = {NULL, 0};
		TzSlice modified = {NULL, 0};
		int64_t size = 0;
		bool is_dir = false;
		json_t *entry;

		if (tz_json_get_str(item, "name", true, 1024, &name, NULL) != TZ_OK || name.len == 0 ||
		    tz_json_get_int(item, "size", false, 0, (int64_t) 1 << 53, &size, NULL) != TZ_OK ||
		    tz_json_get_bool(item, "isDir", false, &is_dir, NULL) != TZ_OK)
		{
			tz_daytona_bad(in, out, "a file of the list lacks \"name\", \"size\" or \"isDir\"");
			json_decref(entries);
			json_decref(doc);
			return;
		}
		entry = json_object();
		tz_json_set_text(entry, "name", name, NULL);
		json_object_set_new(entry, "size", json_integer(is_dir ? 0 : size));
		json_object_set_new(entry, "is_dir", json_boolean(is_dir));
		if (tz_json_get_str(item, "modifiedAt", false, 64, &modified, NULL) == TZ_OK && modified.len == 0)
			(void) tz_json_get_str(item, "modTime", false, 64, &modified, NULL);
		if (modified.len > 0)
			tz_json_set_text(entry, "modified", modified, NULL);
		json_array_append_new(entries, entry);
	}
	tz_answer_done(out, json_pack("{s:o}", "entries", entries));
	json_decref(doc);
}

/* ---- metrics ---- */

static void
worked_metrics(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	double cpu = 0;
	double memory = 0;
	double disk = 0;
	json_t *doc;

	if (in->err.status == TZ_OK && in->status == 404)
	{
		tz_daytona_next(effect, "sample", 0, NULL, out);
		return;
	}
	doc = tz_daytona_document(effect, in, TZ_REPEAT_READ, out);
	if (doc == NULL)
		return;
	if (tz_json_get_real(doc, "cpuUsedPct", true, &cpu, NULL) != TZ_OK ||
	    tz_json_get_real(doc, "memUsed", true, &memory, NULL) != TZ_OK ||
	    tz_json_get_real(doc, "diskUsed", true, &disk, NULL) != TZ_OK || !(cpu >= 0 && cpu < 1e6) ||
	    !(memory >= 0 && memory < 1e18) || !(disk >= 0 && disk < 1e18))
		tz_daytona_bad(in, out, "\"cpuUsedPct\", \"memUsed\" or \"diskUsed\" is missing or no number");
	else
		tz_answer_done(out, json_pack("{s:f, s:f, s:f}", "cpu_percent", cpu, "memory_mb", memory / 1048576,
		                              "disk_mb", disk / 1048576));
	json_decref(doc);
}

static void
sampled(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	json_t *doc = tz_daytona_document(effect, in, TZ_REPEAT_READ, out);
	const char *text = json_string_value(json_object_get(doc, "result"));
	const char *mark = text != NULL ? strstr(text, "@theazo metrics ") : NULL;
	double before = 0;
	double after = 0;
	double memory = 0;
	double disk = 0;

	if (doc == NULL)
		return;
	if (mark == NULL ||
	    sscanf(mark, "@theazo metrics %lf %lf %lf %lf", &before, &after, &memory, &disk) != 4 ||
	    after < before)
		tz_daytona_bad(in, out, "the sandbox's shell did not tell its figures");
	else
		tz_answer_done(out, json_pack("{s:f, s:f, s:f}", "cpu_percent", (after - before) / 500000 * 100,
		                              "memory_mb", memory / 1048576, "disk_mb", disk / 1024));
	json_decref(doc);
}
