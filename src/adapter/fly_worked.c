/*-------------------------------------------------------------------------
 *
 * fly_worked.c
 *	  Sandboxes as machines of Fly: what commands in a machine say.
 *
 * Each script says "@theazo", a word for what came of it, and what there is to say.
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/daytona.h"
#include "adapter/fly.h"
#include "lib/json.h"
#include "lib/sign.h"

#define LATE_MS 60000
#define CLEARS_MAX 3
#define FOLLOW_MS 1000

static void job_told(const TzEffect *effect, const char *phase, TzSlice text, const TzHttpResponse *in,
                     const TzJobFollower *to, TzOutcome *out);
static void cleared(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);
static void stop_told(TzSlice text, const TzHttpResponse *in, TzOutcome *out);
static void file_told(const TzEffect *effect, TzSlice text, const TzHttpResponse *in, TzOutcome *out);
static void list_told(TzSlice text, const TzHttpResponse *in, TzOutcome *out);
static void metrics_told(TzSlice text, const TzHttpResponse *in, TzOutcome *out);

void
tz_fly_worked(const TzEffect *effect, const char *phase, const TzHttpResponse *in, const TzJobFollower *to,
              TzOutcome *out)
{
	int64_t trips = tz_daytona_counted(effect, "trips") + 1;
	json_t *doc;
	TzSlice text = {NULL, 0};

	if (strcmp(phase, "clear") == 0)
	{
		cleared(effect, in, out);
		return;
	}
	/* whatever kept it from running: what is the machine doing? */
	if (in->err.status == TZ_OK &&
	    (in->status == 404 || in->status == 408 || in->status == 409 || in->status == 412 ||
	     (in->status == 400) || in->status >= 500) &&
	    trips <= TZ_FLY_TRIES_MAX)
	{
		tz_daytona_next(effect, "check", in->status >= 500 ? 1000 : 200,
		                json_pack("{s:I}", "trips", (json_int_t) trips), out);
		return;
	}
	doc = tz_fly_document(effect, in, TZ_REPEAT_SAME, out);
	if (doc == NULL)
		return;
	(void) tz_json_get_str(doc, "stdout", false, INT_MAX, &text, NULL);
	if (strcmp(effect->op, "exec") == 0)
		job_told(effect, phase, text, in, to, out);
	else if (strcmp(effect->op, "stop") == 0)
		stop_told(text, in, out);
	else if (strcmp(effect->op, "list") == 0)
		list_told(text, in, out);
	else if (strcmp(effect->op, "metrics") == 0)
		metrics_told(text, in, out);
	else
		file_told(effect, text, in, out);
	json_decref(doc);
}

/* Before a suspend: tried again, but what cannot be cleared is not worth keeping it awake. */
static void
cleared(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	bool asleep = in->err.status == TZ_OK && (in->status == 404 || in->status == 412);
	int64_t tries = tz_daytona_counted(effect, "clears") + 1;
	json_t *doc = tz_fly_document(effect, in, TZ_REPEAT_SAME, out);
	const char *text = json_string_value(json_object_get(doc, "stdout"));

	if (!asleep && (text == NULL || !tz_job_stopped(tz_slice_cstr(text))) && tries < CLEARS_MAX)
		tz_daytona_next(effect, "clear", 1500, json_pack("{s:I}", "clears", (json_int_t) tries), out);
	else
		tz_daytona_next(effect, "suspend", 0, NULL, out);
	json_decref(doc);
}

static void
stop_told(TzSlice text, const TzHttpResponse *in, TzOutcome *out)
{
	if (tz_job_stopped(text))
		tz_answer_done(out, json_object());
	else
		tz_fly_bad(in, out, "the machine's shell did not report");
}

static void
job_told(const TzEffect *effect, const char *phase, TzSlice text, const TzHttpResponse *in,
         const TzJobFollower *to, TzOutcome *out)
{
	int64_t timeout_ms = 60000;
	int64_t max_output = TZ_JOB_OUTPUT_MAX;
	int64_t since = tz_daytona_counted(effect, "begun");
	bool followed = json_is_true(json_object_get(effect->request, "stream"));
	TzJobReport report;

	(void) tz_json_get_int(effect->request, "timeout_ms", false, 1, INT_MAX, &timeout_ms, NULL);
	(void) tz_json_get_int(effect->request, "max_output", false, 1, TZ_JOB_OUTPUT_MAX, &max_output, NULL);
	if (since == 0)
		since = effect->now_ms;
	tz_job_report_init(&report);
	if (!tz_job_read(text, effect->id, &report))
	{
		tz_fly_bad(in, out,
		           "the machine's shell did not report; its image needs sh, base64, head, find and sleep");
		tz_job_report_free(&report);
		return;
	}
	tz_job_tell(to, &report);
	if (report.state == TZ_JOB_DONE)
		tz_answer_done(out, tz_job_result(&report, (int) timeout_ms, max_output));
	else if (report.state == TZ_JOB_RUNNING && effect->now_ms - since <= timeout_ms + LATE_MS)
		/* one call a second is what the provider allows */
		tz_daytona_next(effect, "watch", followed ? FOLLOW_MS : 0,
		                json_pack("{s:i, s:I, s:I, s:I, s:I}", "job", 1, "begun", (json_int_t) since, "looks",
		                          (json_int_t) tz_daytona_counted(effect, "looks") + 1, "out",
		                          (json_int_t) report.out_size, "err", (json_int_t) report.err_size),
		                out);
	else if (report.state == TZ_JOB_NONE && strcmp(phase, "watch") == 0 &&
	         json_object_get(effect->state, "job") == NULL)
		tz_daytona_next(effect, "work", 0, NULL, out);
	else
	{
		/* a machine that was started anew has a fresh disk */
		tz_err_set(&out->err, TZ_UNAVAILABLE, "the command was stopped from outside; its result is lost");
		tz_err_hint(&out->err, "It may have run in part; look at its effects before doing it again.");
		tz_answer_fail(in, "provider_error", out);
	}
	tz_job_report_free(&report);
}

static void
missing(const TzHttpResponse *in, TzOutcome *out)
{
	tz_err_set(&out->err, TZ_NOT_FOUND, "no such file in the sandbox");
	tz_err_hint(&out->err, "theazo.file_list() shows what is there.");
	tz_answer_fail(in, "not_found", out);
}

static void
file_told(const TzEffect *effect, TzSlice text, const TzHttpResponse *in, TzOutcome *out)
{
	const char *mark = text.len > 0 ? memmem(text.data, text.len, "@theazo ", 8) : NULL;
	const char *end = text.len > 0 ? memmem(text.data, text.len, "@end", 4) : NULL;
	int64_t max_bytes = INT_MAX;
	const char *p;
	TzBuf joined;

	(void) tz_json_get_int(effect->request, "max_bytes", false, 1, INT_MAX, &max_bytes, NULL);
	if (mark != NULL && strncmp(mark + 8, "written", 7) == 0)
	{
		tz_answer_done(out, json_object());
		return;
	}
	if (mark != NULL && strncmp(mark + 8, "none", 4) == 0)
	{
		missing(in, out);
		return;
	}
	if (mark == NULL || end == NULL || strncmp(mark + 8, "file ", 5) != 0)
	{
		tz_err_set(&out->err, TZ_REFUSED,
		           strcmp(effect->op, "write") == 0 ? "the file could not be written"
		                                            : "path must be a file");
		tz_err_hint(&out->err, "theazo.file_list() shows what is there.");
		tz_answer_fail(in, "provider_error", out);
		return;
	}
	tz_buf_init(&joined, SIZE_MAX);
	p = memchr(mark, '\n', (size_t) (end - mark));
	for (; p != NULL && p < end; p++)
		if (!isspace((unsigned char) *p))
			tz_buf_append_byte(&joined, *p);
	if (joined.len > 0 && tz_base64_decode(tz_buf_slice(&joined), &out->content, NULL) != TZ_OK)
		tz_fly_bad(in, out, "the file is not base64");
	else if (out->content.len > (size_t) max_bytes)
	{
		tz_buf_reset(&out->content);
		tz_err_set(&out->err, TZ_TOO_LARGE, "file is larger than %lld bytes", (long long) max_bytes);
		tz_err_hint(&out->err, "Read a smaller file, or take a part of it with theazo.exec().");
		tz_answer_fail(in, "provider_error", out);
	}
	else
		tz_answer_done(out, json_pack("{s:I}", "size", (json_int_t) out->content.len));
	tz_buf_free(&joined);
}

static void
list_told(TzSlice text, const TzHttpResponse *in, TzOutcome *out)
{
	const char *p = text.len > 0 ? memmem(text.data, text.len, "@theazo list\n", 13) : NULL;
	const char *stop;
	json_t *entries;

	if (p == NULL)
	{
		missing(in, out);
		return;
	}
	stop = text.data + text.len;
	entries = json_array();
	for (p += 13; p < stop && *p != '@';)
	{
		const char *eol = memchr(p, '\n', (size_t) (stop - p));
		const char *blank = eol != NULL ? memchr(p, ' ', (size_t) (eol - p)) : NULL;
		TzBuf name;
		json_t *entry = json_object();

		tz_buf_init(&name, 4096);
		if (blank == NULL ||
		    tz_base64_decode(tz_slice(blank + 1, (size_t) (eol - blank - 1)), &name, NULL) != TZ_OK)
		{
			tz_buf_free(&name);
			json_decref(entry);
			json_decref(entries);
			tz_fly_bad(in, out, "the list is broken");
			return;
		}
		tz_json_set_text(entry, "name", tz_buf_slice(&name), NULL);
		json_object_set_new(entry, "size", json_integer(*p == 'd' ? 0 : strtoll(p, NULL, 10)));
		json_object_set_new(entry, "is_dir", json_boolean(*p == 'd'));
		json_array_append_new(entries, entry);
		tz_buf_free(&name);
		p = eol + 1;
	}
	tz_answer_done(out, json_pack("{s:o}", "entries", entries));
}

static void
metrics_told(TzSlice text, const TzHttpResponse *in, TzOutcome *out)
{
	const char *mark = text.len > 0 ? memmem(text.data, text.len, "@theazo metrics ", 16) : NULL;
	double v[6];

	/* a string of the document, so it has an end */
	if (mark == NULL ||
	    sscanf(mark + 16, "%lf %lf %lf %lf %lf %lf", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5]) != 6)
		tz_fly_bad(in, out, "the machine's shell did not tell its figures");
	else
	{
		double busy = v[2] - v[0];
		double all = busy + v[3] - v[1];

		tz_answer_done(out, json_pack("{s:f, s:f, s:f}", "cpu_percent",
		                              all > 0 && busy > 0 ? busy / all * 100 : 0.0, "memory_mb", v[4] / 1024,
		                              "disk_mb", v[5] / 1024));
	}
}
