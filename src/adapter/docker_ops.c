/*-------------------------------------------------------------------------
 *
 * docker_ops.c
 *	  A container's pause, lifetime and end, and which of them there are.
 *
 * What an engine refuses because of the state a container is in, each engine
 * refuses in its own way: the state itself is asked for then, and decides.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/docker.h"
#include "lib/json.h"
#include "lib/utf8.h"

#define SWEPT_MAX 10000

static bool is_op(const TzEffect *effect, const char *op);

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

	doc = tz_docker_found(effect, in, out);
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
	json_t *found;
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
	found = json_pack("{s:o, s:b}", "sandboxes", sandboxes, "complete", json_array_size(doc) <= SWEPT_MAX);
	if (json_string_length(json_object_get(effect->request, "instance")) > 0)
		tz_docker_next(out, "prune", found);
	else
		tz_answer_done(out, found);
	json_decref(doc);
}

/* ---------------------------------------------------------------- lifetime */

void
tz_docker_parse_lifetime(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	json_t *doc;
	const char *lifetime;

	doc = tz_docker_found(effect, in, out);
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
	bool gone = in->status / 100 == 2 || in->status == 404;

	/* 409: its removal is under way already */
	if (!gone && !(in->status == 409 && is_op(effect, "destroy")))
		tz_docker_refused(effect, in, out);
	else if (is_op(effect, "destroy") && json_is_string(json_object_get(effect->request, "tag")))
		tz_docker_next(out, "unnet", json_object());
	else
		tz_answer_done(out, json_object());
}
