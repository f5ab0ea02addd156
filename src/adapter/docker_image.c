/*-------------------------------------------------------------------------
 *
 * docker_image.c
 *	  What a container is made from, and fetching it where the engine does not have it.
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <string.h>

#include "adapter/docker.h"
#include "lib/json.h"
#include "lib/utf8.h"

#define IMAGE_MAX 255
#define PULL_SHOWN 400

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

/* Documents one behind the other; that it failed stands in the last. */
void
tz_docker_parse_pull(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	static const char mark[] = "\"error\":";
	const char *at;
	size_t len;

	if (in->status < 200 || in->status > 299)
	{
		tz_docker_refused(effect, in, out);
		return;
	}
	at = in->body.len > 0 ? memmem(in->body.data, in->body.len, mark, sizeof(mark) - 1) : NULL;
	if (at == NULL)
	{
		tz_docker_next(out, "create", json_pack("{s:s}", "pulled", "yes"));
		return;
	}
	tz_err_set(&out->err, TZ_UNAVAILABLE, "the engine could not pull the image");
	tz_err_hint(&out->err, "Have it pulled on the engine's machine, or name another one.");
	len = (size_t) (in->body.data + in->body.len - at);
	if (len > PULL_SHOWN)
		len = PULL_SHOWN;
	len = tz_utf8_cut(tz_slice(at, len), len);
	if (tz_utf8_valid(tz_slice(at, len)))
		tz_err_detail(&out->err, "Engine said: %.*s", (int) len, at);
	tz_answer_fail(in, "provider_error", out);
}
