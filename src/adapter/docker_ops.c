/*-------------------------------------------------------------------------
 *
 * docker_ops.c
 *	  A container's pause, figures, output, snapshots and end.
 *
 * What an engine refuses because of the state a container is in, each engine
 * refuses in its own way: the state itself is asked for then, and decides.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "adapter/docker.h"
#include "lib/json.h"
#include "lib/utf8.h"

#define SAMPLE_MS 250 /* between the two that make a processor's share */
#define LOGS_MAX (256 * 1024)
#define TAIL_DEFAULT 100
#define TAIL_MAX 10000
#define MB (1024.0 * 1024.0)
#define SWEPT_MAX 10000

static bool is_op(const TzEffect *effect, const char *op);
static double read_time(json_t *doc);
static double memory_used(json_t *doc);

static bool
is_op(const TzEffect *effect, const char *op)
{
	return strcmp(effect->op, op) == 0;
}

/* ---------------------------------------------------------------- why it was refused */

TzStatus
tz_docker_build_inspected(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	(void) to;
	return tz_docker_url(effect, "/json", out, err);
}

static void
paused(const TzEffect *effect, TzOutcome *out)
{
	tz_answer_done(out, json_pack("{s:O, s:b}", "snapshot", json_object_get(effect->request, "sandbox"),
	                              "supported", 1));
}

static void
resumed(const TzEffect *effect, TzOutcome *out)
{
	tz_answer_done(out, json_pack("{s:O}", "sandbox", json_object_get(effect->request, "sandbox")));
}

/* The container is as it should be: what was refused was about the file, or somebody else's doing. */
static void
refused_itself(const TzEffect *effect, const TzHttpResponse *in, const char *shown, TzOutcome *out)
{
	int status = (int) json_integer_value(json_object_get(effect->state, "status"));

	if (status == 404 && is_op(effect, "read"))
	{
		tz_err_set(&out->err, TZ_NOT_FOUND, "no such file in the sandbox");
		tz_err_hint(&out->err, "theazo.file_list() shows what is there.");
		tz_answer_fail(in, "not_found", out);
	}
	else
	{
		tz_err_set(&out->err, TZ_REFUSED, "engine answered %d: the container is %s", status, shown);
		tz_err_hint(&out->err,
		            strcmp(shown, "paused") == 0 ? "Resume the agent first." : "The engine's log says more.");
		tz_answer_fail(in, "provider_error", out);
	}
	out->err.http_status = status;
	tz_err_detail(&out->err, "%s", tz_docker_text(effect, "said"));
}

void
tz_docker_parse_state(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	json_t *doc;
	TzSlice shown = {NULL, 0};
	char status[32];

	if (in->status == 404)
	{
		tz_docker_gone(in, out);
		return;
	}
	doc = tz_docker_json(effect, in, out);
	if (doc == NULL)
		return;
	if (tz_json_get_str(json_object_get(doc, "State"), "Status", true, sizeof(status) - 1, &shown, NULL) !=
	    TZ_OK)
		tz_docker_bad(in, out, "\"State.Status\" is missing");
	else
	{
		snprintf(status, sizeof(status), "%.*s", (int) shown.len, shown.data);
		if (strcmp(status, "exited") == 0 || strcmp(status, "dead") == 0 || strcmp(status, "removing") == 0 ||
		    strcmp(status, "stopped") == 0 || strcmp(status, "stopping") == 0)
			tz_docker_gone(in, out);
		else if (is_op(effect, "pause") && strcmp(status, "paused") == 0)
			paused(effect, out);
		else if (is_op(effect, "resume") && strcmp(status, "running") == 0)
			resumed(effect, out);
		else
			refused_itself(effect, in, status, out);
	}
	json_decref(doc);
}

/* ---------------------------------------------------------------- pause */

TzStatus
tz_docker_build_pause(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	(void) to;
	return tz_docker_url(effect, "/pause", out, err);
}

void
tz_docker_parse_pause(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	if (in->status / 100 == 2)
		paused(effect, out);
	else
		tz_docker_why(effect, in, out);
}

TzStatus
tz_docker_build_resume(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	(void) to;
	return tz_docker_url(effect, "/unpause", out, err);
}

void
tz_docker_parse_resume(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	if (in->status / 100 == 2)
		resumed(effect, out);
	else
		tz_docker_why(effect, in, out);
}

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

	if (in->status == 404)
	{
		tz_docker_gone(in, out);
		return;
	}
	doc = tz_docker_json(effect, in, out);
	if (doc == NULL)
		return;
	used = json_number_value(
		json_object_get(json_object_get(json_object_get(doc, "cpu_stats"), "cpu_usage"), "total_usage"));
	at = read_time(doc);
	if (member(doc, "cpu_stats", "cpu_usage") == NULL || at <= 0)
		tz_docker_bad(in, out, "\"cpu_stats\" or \"read\" is missing");
	else if (effect->state == NULL)
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

	if (in->status == 404)
	{
		tz_docker_gone(in, out);
		return;
	}
	doc = tz_docker_json(effect, in, out);
	if (doc == NULL)
		return;
	tz_docker_next(out, "again",
	               json_pack("{s:O, s:O, s:f}", "used", json_object_get(effect->state, "used"), "at",
	                         json_object_get(effect->state, "at"), "disk",
	                         json_number_value(json_object_get(doc, "SizeRw"))));
	out->retry_after_ms = SAMPLE_MS;
	json_decref(doc);
}

/* ---------------------------------------------------------------- what is there */

TzStatus
tz_docker_build_sweep(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	TzSlice instance = {NULL, 0};
	TzStatus status = tz_json_get_str(effect->request, "instance", false, 64, &instance, err);

	(void) to;
	if (status != TZ_OK)
		return status;
	if (memchr(instance.len > 0 ? instance.data : "", '"', instance.len) != NULL)
		return tz_err_set(err, TZ_BAD_INPUT, "\"instance\" is not valid");
	tz_buf_append_cstr(&out->url, "/containers/json?all=1&filters=");
	tz_docker_filter(TZ_DOCKER_LABEL, instance.len > 0 ? TZ_DOCKER_INSTANCE : NULL, instance, &out->url);
	return TZ_OK;
}

void
tz_docker_parse_sweep(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	json_t *doc = tz_docker_json(effect, in, out);
	json_t *sandboxes;
	json_t *item;
	size_t i;

	if (doc == NULL)
		return;
	if (!json_is_array(doc))
	{
		tz_docker_bad(in, out, "list of containers is none");
		json_decref(doc);
		return;
	}
	sandboxes = json_array();
	json_array_foreach (doc, i, item)
	{
		json_t *labels = json_object_get(item, "Labels");
		json_t *id = json_object_get(item, "Id");
		json_t *tag = json_object_get(labels, TZ_DOCKER_LABEL);
		json_t *instance = json_object_get(labels, TZ_DOCKER_INSTANCE);

		if (i < SWEPT_MAX && json_is_string(id) && json_is_string(tag))
			json_array_append_new(sandboxes,
			                      json_pack("{s:O, s:O, s:O*}", "sandbox", id, "tag", tag, "instance",
			                                json_is_string(instance) ? instance : NULL));
	}
	tz_answer_done(out, json_pack("{s:o, s:b}", "sandboxes", sandboxes, "complete",
	                              json_array_size(doc) <= SWEPT_MAX));
	json_decref(doc);
}

/* ---------------------------------------------------------------- lifetime */

void
tz_docker_parse_lifetime(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	json_t *doc;
	const char *lifetime;

	if (in->status == 404)
	{
		tz_docker_gone(in, out);
		return;
	}
	doc = tz_docker_json(effect, in, out);
	if (doc == NULL)
		return;
	lifetime = json_string_value(
		json_object_get(json_object_get(json_object_get(doc, "Config"), "Labels"), TZ_DOCKER_LIFETIME));
	if (lifetime == NULL)
		tz_docker_bad(in, out, "container has no label \"%s\"", TZ_DOCKER_LIFETIME);
	else
		tz_docker_next(out, "again", json_pack("{s:s}", "lifetime", lifetime));
	json_decref(doc);
}

/* PID 1 takes it for the order to count from the beginning; a paused one does once it goes on. */
TzStatus
tz_docker_build_again(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	(void) to;
	return tz_docker_url(effect, "/kill?signal=USR1", out, err);
}

void
tz_docker_parse_again(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	if (in->status / 100 == 2)
		tz_answer_done(out, json_pack("{s:I}", "lifetime_s",
		                              (json_int_t) strtoll(tz_docker_text(effect, "lifetime"), NULL, 10)));
	else
		tz_docker_why(effect, in, out);
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

/* ---------------------------------------------------------------- snapshots */

/* The name of a snapshot is ours: an image that is there under it was made by an earlier attempt. */
static const char *
snapshot_name(const TzEffect *effect)
{
	const char *tag = json_string_value(json_object_get(effect->request, "tag"));

	if (tag == NULL || tag[0] == '\0' || strlen(tag) > 128 ||
	    strspn(tag, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != strlen(tag))
		return effect->id;
	return tag;
}

TzStatus
tz_docker_build_look(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	(void) to;
	(void) err;
	tz_buf_printf(&out->url, "/images/localhost/theazo/snapshot:%s/json", snapshot_name(effect));
	return TZ_OK;
}

static void
snapped(json_t *doc, const TzHttpResponse *in, TzOutcome *out)
{
	TzSlice id = {NULL, 0};
	int64_t size = 0;
	json_t *result;

	if (tz_json_get_str(doc, "Id", true, TZ_DOCKER_ID_MAX, &id, NULL) != TZ_OK || id.len == 0)
	{
		tz_docker_bad(in, out, "\"Id\" is missing");
		return;
	}
	result = json_pack("{s:s%}", "snapshot", id.data, id.len);
	if (result != NULL && tz_json_get_int(doc, "Size", false, 0, INT64_MAX, &size, NULL) == TZ_OK && size > 0)
		json_object_set_new(result, "size_bytes", json_integer(size));
	tz_answer_done(out, result);
}

void
tz_docker_parse_look(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	json_t *doc;

	if (in->status == 404 && tz_docker_text(effect, "made")[0] == '\0')
	{
		tz_docker_next(out, "commit", json_object());
		return;
	}
	doc = tz_docker_json(effect, in, out);
	if (doc == NULL)
		return;
	snapped(doc, in, out);
	json_decref(doc);
}

/* Files only: what runs and what it holds in memory stays behind. */
TzStatus
tz_docker_build_commit(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	TzSlice id;
	TzStatus status = tz_docker_container(effect, &id, err);

	(void) to;
	if (status == TZ_OK)
		tz_buf_printf(&out->url,
		              "/commit?container=%.*s&repo=localhost%%2Ftheazo%%2Fsnapshot&tag=%s&pause=true",
		              (int) id.len, id.data, snapshot_name(effect));
	tz_buf_append_cstr(&out->body, "{}");
	return status;
}

void
tz_docker_parse_commit(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	if (in->status / 100 == 2)
		/* looked at again for its full name and its size */
		tz_docker_next(out, "look", json_pack("{s:s}", "made", "yes"));
	else
		tz_docker_why(effect, in, out);
}

TzStatus
tz_docker_build_forget(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	TzSlice image = {NULL, 0};
	TzStatus status = tz_json_get_str(effect->request, "snapshot", true, TZ_DOCKER_ID_MAX, &image, err);

	(void) to;
	if (status != TZ_OK)
		return status;
	tz_buf_append_cstr(&out->url, "/images/");
	tz_docker_encode(image, ":", &out->url);
	tz_buf_append_cstr(&out->url, "?force=1");
	return TZ_OK;
}

/* ---------------------------------------------------------------- end */

/* By its id, or by the name it has if it was made at all. */
TzStatus
tz_docker_build_remove(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	TzSlice tag = {NULL, 0};

	(void) to;
	if (json_is_string(json_object_get(effect->request, "sandbox")))
		return tz_docker_url(effect, "?force=1&v=1", out, err);
	if (tz_json_get_str(effect->request, "tag", true, 64, &tag, err) != TZ_OK)
		return TZ_BAD_INPUT;
	tz_buf_append_cstr(&out->url, "/containers/theazo-");
	tz_docker_encode(tag, "", &out->url);
	tz_buf_append_cstr(&out->url, "?force=1&v=1");
	return TZ_OK;
}

void
tz_docker_parse_remove(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	/* 409: its removal is under way already */
	if (in->status / 100 == 2 || in->status == 404 || (in->status == 409 && is_op(effect, "destroy")))
		tz_answer_done(out, json_object());
	else
		tz_docker_refused(effect, in, out);
}
