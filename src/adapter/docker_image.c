/*-------------------------------------------------------------------------
 *
 * docker_image.c
 *	  What a container is made from, and fetching it where the engine does not have it.
 *
 * A pull takes as long as it takes, which may be longer than a creation: it has a time
 * of its own. What the engine says meanwhile is read as it comes, for it has no bound.
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "adapter/docker.h"
#include "lib/json.h"
#include "lib/utf8.h"

#define IMAGE_MAX 255
#define PULL_LINE_MAX (64 * 1024)

/* A snapshot's, the configuration's for this runtime or for all, or a well-known one. */
TzStatus
tz_docker_image(const TzEffect *effect, const TzEndpoint *to, TzSlice *image, TzErr *err)
{
	static const char *const known[][2] = {{"python", "docker.io/library/python:3.12-slim"},
	                                       {"node", "docker.io/library/node:22-slim"},
	                                       {"go", "docker.io/library/golang:1.23"}};
	TzSlice runtime = tz_slice_cstr("python");
	const json_t *images = json_object_get(to->config, "images");
	const char *text = NULL;
	TzStatus status = tz_json_get_str(effect->request, "runtime", false, 32, &runtime, err);

	if (status != TZ_OK)
		return status;
	*image = tz_slice(NULL, 0);
	status = tz_json_get_str(effect->request, "snapshot", false, IMAGE_MAX, image, err);
	if (status != TZ_OK)
		return status;
	for (size_t i = 0; image->len == 0 && i < sizeof(known) / sizeof(known[0]); i++)
		if (tz_slice_eq_cstr(runtime, known[i][0]))
		{
			text = json_string_value(json_object_get(images, known[i][0]));
			*image = tz_slice_cstr(text != NULL ? text : tz_docker_config(to, "image", known[i][1]));
		}
	if (image->len == 0 || image->len > IMAGE_MAX)
		return tz_err_set(err, TZ_BAD_INPUT, "there is no image for runtime \"%.*s\"", (int) runtime.len,
		                  runtime.data);
	for (size_t i = 0; i < image->len; i++)
		if (!isalnum((unsigned char) image->data[i]) && strchr("._-/:@", image->data[i]) == NULL)
			return tz_err_set(err, TZ_BAD_INPUT, "name of the image has a character that names have not");
	return TZ_OK;
}

TzStatus
tz_docker_build_pull(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	TzSlice image = {NULL, 0};
	TzStatus status = tz_docker_image(effect, to, &image, err);
	size_t name;
	const char *last;
	const char *colon;

	if (status != TZ_OK)
		return status;
	if (json_is_false(json_object_get(to->config, "pull")) ||
	    json_string_length(json_object_get(effect->request, "snapshot")) > 0)
	{
		tz_err_set(err, TZ_NOT_FOUND, "the engine does not have the image");
		tz_err_hint(err, "Have it pulled on the engine's machine.");
		return TZ_NOT_FOUND;
	}
	/* a colon behind the last slash, or a digest; without either every tag would be pulled */
	name = image.len;
	last = memrchr(image.data, '/', image.len);
	last = last != NULL ? last : image.data;
	colon = memchr(last, ':', (size_t) (image.data + image.len - last));
	if (memchr(image.data, '@', image.len) == NULL && colon != NULL)
		name = (size_t) (colon - image.data);
	tz_buf_append_cstr(&out->url, "/images/create?fromImage=");
	tz_docker_encode(tz_slice(image.data, name), "", &out->url);
	if (memchr(image.data, '@', image.len) == NULL)
	{
		tz_buf_append_cstr(&out->url, "&tag=");
		if (colon != NULL)
			tz_docker_encode(tz_slice(colon + 1, image.len - name - 1), "", &out->url);
		else
			tz_buf_append_cstr(&out->url, "latest");
	}
	return TZ_OK;
}

/* ---------------------------------------------------------------- what is said while it is pulled */

void
tz_docker_pull_init(TzDockerPull *pull)
{
	memset(pull, 0, sizeof(*pull));
	tz_buf_init(&pull->line, PULL_LINE_MAX);
}

void
tz_docker_pull_free(TzDockerPull *pull)
{
	tz_buf_free(&pull->line);
}

static void
take_text(const char *text, char *out, size_t size)
{
	size_t len = text != NULL ? tz_utf8_cut(tz_slice_cstr(text), size - 1) : 0;

	if (len > 0)
		memcpy(out, text, len);
	out[len] = '\0';
}

/* One document: what is done now, or why nothing is done any more. */
static void
take_line(TzDockerPull *pull)
{
	json_t *doc = pull->line.len > 0 ? json_loadb(pull->line.data, pull->line.len, 0, NULL) : NULL;
	const char *error = json_string_value(json_object_get(doc, "error"));
	const char *status = json_string_value(json_object_get(doc, "status"));
	const char *progress = json_string_value(json_object_get(doc, "progress"));
	char text[sizeof(pull->last) * 2];

	if (error == NULL)
		error = json_string_value(json_object_get(json_object_get(doc, "errorDetail"), "message"));
	if (error != NULL)
	{
		pull->failed = true;
		take_text(error, pull->error, sizeof(pull->error));
	}
	else if (status != NULL)
	{
		snprintf(text, sizeof(text), "%.150s%s%.150s", status, progress != NULL ? " " : "",
		         progress != NULL ? progress : "");
		take_text(text, pull->last, sizeof(pull->last));
	}
	json_decref(doc);
	tz_buf_reset(&pull->line);
}

void
tz_docker_pull_feed(TzDockerPull *pull, TzSlice bytes)
{
	while (bytes.len > 0)
	{
		const char *feed = memchr(bytes.data, '\n', bytes.len);
		size_t n = feed != NULL ? (size_t) (feed - bytes.data) : bytes.len;

		/* one that is too long is nothing of interest */
		if (!pull->skips && (n > pull->line.max - pull->line.len ||
		                     (n > 0 && tz_buf_append(&pull->line, bytes.data, n) != TZ_OK)))
			pull->skips = true;
		if (feed != NULL)
		{
			if (pull->skips)
				tz_buf_reset(&pull->line);
			else
				take_line(pull);
			pull->skips = false;
			n++;
		}
		bytes.data += n;
		bytes.len -= n;
	}
}

static void
not_pulled(const TzHttpResponse *in, const char *said, TzOutcome *out)
{
	tz_err_set(&out->err, TZ_UNAVAILABLE, "the engine could not pull the image");
	tz_err_hint(&out->err, "Have it pulled on the engine's machine, or name another one.");
	if (said[0] != '\0')
		tz_err_detail(&out->err, "Engine said: %s", said);
	tz_answer_fail(in, "provider_error", out);
}

/* The answer is over. That it failed stands in what came, and may be the last without an end of its line. */
void
tz_docker_pulled(const TzEffect *effect, TzDockerPull *pull, const TzHttpResponse *in, TzOutcome *out)
{
	if (!pull->skips)
		take_line(pull);
	if (in->err.status == TZ_TIMEOUT)
	{
		tz_err_set(&out->err, TZ_TIMEOUT, "the image was not pulled within %d minutes",
		           TZ_DOCKER_PULL_MS / 60000);
		tz_err_detail(&out->err, "Last said: %s", pull->last[0] != '\0' ? pull->last : "nothing");
		tz_err_hint(&out->err, "Have it pulled on the engine's machine, or name another one.");
		tz_answer_fail(in, "provider_error", out);
	}
	else if (in->err.status != TZ_OK)
	{
		tz_answer_transport(effect, TZ_REPEAT_READ, in, out);
		if (pull->last[0] != '\0' && out->err.detail[0] == '\0')
			tz_err_detail(&out->err, "Last said: %s", pull->last);
	}
	else if (pull->failed)
		not_pulled(in, pull->error, out);
	else
		tz_docker_next(out, "create", json_pack("{s:s}", "pulled", "yes"));
}

/* What came at once, or a refusal. */
void
tz_docker_parse_pull(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	TzDockerPull pull;
	TzOutcome said;

	if (in->err.status == TZ_OK && in->status / 100 != 2)
	{
		tz_outcome_init(&said, 0);
		tz_answer_status(effect, TZ_REPEAT_READ, in, &said);
		if (said.verdict == TZ_V_RETRY)
			tz_docker_refused(effect, in, out);
		else
		{
			not_pulled(in, "", out);
			tz_err_detail(&out->err, "%s", said.err.detail);
			out->err.http_status = in->status;
		}
		tz_outcome_free(&said);
		return;
	}
	tz_docker_pull_init(&pull);
	tz_docker_pull_feed(&pull, tz_buf_slice(&in->body));
	tz_docker_pulled(effect, &pull, in, out);
	tz_docker_pull_free(&pull);
}
