/*-------------------------------------------------------------------------
 *
 * docker_figures.c
 *	  What a container uses, and what its first process has printed.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <time.h>

#include "adapter/docker.h"
#include "lib/json.h"

#define SAMPLE_MS 250 /* between the two that make a processor's share */
#define LOGS_MAX (256 * 1024)
#define TAIL_DEFAULT 100
#define TAIL_MAX 10000
#define MB (1024.0 * 1024.0)

static double read_time(json_t *doc);
static double memory_used(json_t *doc);

/* ---------------------------------------------------------------- figures */

/*
 * Docker's own pair of samples takes seconds and Podman has none, so both are taken
 * here: processor time between two readings, by the time between them.
 */
TzStatus
tz_docker_build_stats(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	(void) to;
	return tz_docker_url(effect, "/stats?stream=false&one-shot=true", out, err);
}

static json_t *
member(json_t *doc, const char *outer, const char *inner)
{
	return json_object_get(json_object_get(doc, outer), inner);
}

void
tz_docker_parse_stats(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	json_t *doc;
	double used;
	double at;

	doc = tz_docker_found(effect, in, out);
	if (doc == NULL)
		return;
	used = json_number_value(
		json_object_get(json_object_get(json_object_get(doc, "cpu_stats"), "cpu_usage"), "total_usage"));
	at = read_time(doc);
	/* a container that has ended has figures of nothing, read in the year one */
	if (member(doc, "cpu_stats", "cpu_usage") != NULL && at < 0)
		tz_docker_why(effect, in, out);
	else if (member(doc, "cpu_stats", "cpu_usage") == NULL || at <= 0)
		tz_docker_bad(in, out, "\"cpu_stats\" or \"read\" is missing");
	else if (json_object_get(effect->state, "at") == NULL)
		tz_docker_next(out, "size", json_pack("{s:f, s:f}", "used", used, "at", at));
	else
	{
		double span = at - json_number_value(json_object_get(effect->state, "at"));
		double cpu =
			span > 0 ? (used - json_number_value(json_object_get(effect->state, "used"))) / span * 100 : 0;

		tz_answer_done(out, json_pack("{s:f, s:f, s:f}", "cpu_percent", cpu > 0 ? cpu : 0, "memory_mb",
		                              memory_used(doc) / MB, "disk_mb",
		                              json_number_value(json_object_get(effect->state, "disk")) / MB));
	}
	json_decref(doc);
}

/* "2026-11-22T04:11:37.110562319Z" in nanoseconds; 0: it is none. */
static double
read_time(json_t *doc)
{
	const char *text = json_string_value(json_object_get(doc, "read"));
	struct tm tm = {0};
	double fraction = 0;
	int used = 0;

	if (text == NULL || sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
	                           &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &used) != 6)
		return 0;
	if (text[used] == '.')
	{
		double unit = 0.1;

		for (const char *p = text + used + 1; *p >= '0' && *p <= '9'; p++, unit /= 10)
			fraction += (*p - '0') * unit;
	}
	tm.tm_year -= 1900;
	tm.tm_mon--;
	return ((double) timegm(&tm) + fraction) * 1e9;
}

/* Without what the system would give back at once. */
static double
memory_used(json_t *doc)
{
	json_t *memory = json_object_get(doc, "memory_stats");
	json_t *stats = json_object_get(memory, "stats");
	json_t *cache = json_object_get(stats, "inactive_file");
	double used = json_number_value(json_object_get(memory, "usage"));

	if (cache == NULL)
		cache = json_object_get(stats, "total_inactive_file");
	used -= json_number_value(cache);
	return used > 0 ? used : 0;
}

TzStatus
tz_docker_build_size(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	(void) to;
	return tz_docker_url(effect, "/json?size=1", out, err);
}

void
tz_docker_parse_size(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	json_t *doc;

	doc = tz_docker_found(effect, in, out);
	if (doc == NULL)
		return;
	tz_docker_next(out, "again",
	               json_pack("{s:O, s:O, s:f}", "used", json_object_get(effect->state, "used"), "at",
	                         json_object_get(effect->state, "at"), "disk",
	                         json_number_value(json_object_get(doc, "SizeRw"))));
	out->retry_after_ms = SAMPLE_MS;
	json_decref(doc);
}

/* ---------------------------------------------------------------- output of PID 1 */

TzStatus
tz_docker_build_logs(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	int64_t tail = TAIL_DEFAULT;
	char rest[64];
	TzStatus status = tz_json_get_int(effect->request, "tail", false, 1, TAIL_MAX, &tail, err);

	(void) to;
	if (status != TZ_OK)
		return status;
	snprintf(rest, sizeof(rest), "/logs?stdout=1&stderr=1&tail=%d", (int) tail);
	out->cut_response = true;
	return tz_docker_url(effect, rest, out, err);
}

void
tz_docker_parse_logs(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	TzDockerFrames frames;
	TzErr err;
	json_t *result;

	if (in->status == 404)
	{
		tz_docker_gone(in, out);
		return;
	}
	if (in->status == 409)
	{
		tz_docker_why(effect, in, out);
		return;
	}
	if (in->status / 100 != 2)
	{
		tz_docker_refused(effect, in, out);
		return;
	}
	tz_err_clear(&err);
	tz_docker_frames_init(&frames, LOGS_MAX, NULL, NULL);
	if (tz_docker_frames_feed(&frames, tz_buf_slice(&in->body), &err) != TZ_OK)
		tz_docker_bad(in, out, "%s", err.message);
	else
	{
		result = json_pack("{s:b}", "truncated", frames.cut || in->cut);
		if (result != NULL &&
		    (tz_json_set_text(result, "stdout", tz_buf_slice(&frames.texts[0]), NULL) != TZ_OK ||
		     tz_json_set_text(result, "stderr", tz_buf_slice(&frames.texts[1]), NULL) != TZ_OK))
		{
			json_decref(result);
			result = NULL;
		}
		tz_answer_done(out, result);
	}
	tz_docker_frames_free(&frames);
}
