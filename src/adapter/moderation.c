/*-------------------------------------------------------------------------
 *
 * moderation.c
 *	  A text before a moderation endpoint of the shape of OpenAI's.
 *
 * Request: {"input", "model", "level"}. Result: {"toxicity": 0..1, "flagged"}: the
 * highest score of the categories that the level looks for, and whether the endpoint
 * itself flags one of them. A category nobody knows counts at every level. It says
 * nothing about orders that are not the owner's.
 *
 * Whatever is not such an answer is a failure, and nothing is sent twice: the time
 * for a verdict is short, and a failure blocks.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "adapter/answer.h"
#include "adapter/judge.h"
#include "adapter/signed.h"
#include "lib/json.h"
#include "lib/url.h"

#define TEXT_MAX (1024 * 1024)
#define BODY_MAX (8 * 1024 * 1024)
#define ANSWER_MAX (64 * 1024)
#define NAME_MAX_BYTES 256

static TzStatus moderation_build(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out,
                                 TzErr *err);
static void moderation_parse(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);

static const char *const op_names[] = {"judge", NULL};

extern const TzAdapter tz_moderation;
const TzAdapter tz_moderation = {
	.name = "moderation",
	.kind = TZ_MODEL,
	.ops = op_names,
	.build = moderation_build,
	.parse = moderation_parse,
};

static TzStatus
make_body(const TzEffect *effect, TzHttpRequest *out, TzErr *err)
{
	TzSlice input = {NULL, 0};
	TzSlice model = {NULL, 0};
	TzStatus status = tz_json_get_str(effect->request, "input", true, TEXT_MAX, &input, err);
	json_t *doc;

	if (status == TZ_OK)
		status = tz_json_get_str(effect->request, "model", false, NAME_MAX_BYTES, &model, err);
	if (status != TZ_OK)
		return status;
	doc = json_object();
	if (model.len > 0)
		json_object_set_new(doc, "model", json_stringn(model.data, model.len));
	if (json_object_set_new(doc, "input", json_stringn(input.data, input.len)) != 0)
	{
		json_decref(doc);
		return tz_err_set(err, TZ_BAD_INPUT, "the text cannot be sent");
	}
	status = tz_json_dump(doc, &out->body, err);
	json_decref(doc);
	return status;
}

static TzStatus
moderation_build(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	TzSlice url = tz_slice_cstr(to->url != NULL ? to->url : "");
	TzSlice credential = tz_effect_secret(effect, "credential");
	TzUrl parts;
	TzStatus status;

	tz_http_request_free(out);
	tz_http_request_init(out, BODY_MAX);
	out->method = "POST";
	out->timeout_ms = 30000;
	out->max_response = ANSWER_MAX;
	out->allow_http = to->allow_http;
	out->allow_private = to->allow_private;
	if (url.len == 0)
		return tz_err_set(err, TZ_BAD_INPUT, "nobody is configured any more to judge texts");
	status = tz_url_split(url, &parts, err);
	if (status == TZ_OK && tz_buf_append(&out->url, url.data, parts.fragment) != TZ_OK)
		status = tz_err_set(err, out->url.status, "url is too long");
	if (status == TZ_OK)
		status = make_body(effect, out, err);
	for (int i = 0; status == TZ_OK && i < effect->nsecrets; i++)
		status = tz_http_request_mask(out, effect->secrets[i].value, err);
	if (status == TZ_OK && credential.len > 0)
		status = tz_credential_header(out, "Authorization", "Bearer ", credential, err);
	if (status == TZ_OK)
		status = tz_http_request_header(out, "Content-Type", "application/json", false, err);
	return status;
}

static bool
begins(const char *name, const char *head)
{
	return strncmp(name, head, strlen(head)) == 0;
}

/* Does a level look for a category? */
static bool
covered(const char *name, const char *level)
{
	static const char *const above_light[] = {"harassment", "hate", "illicit", "self-harm"};

	if (strcmp(name, "sexual") == 0)
		return strcmp(level, "light") != 0 && strcmp(level, "moderate") != 0;
	if (strcmp(level, "light") != 0)
		return true;
	for (size_t i = 0; i < sizeof(above_light) / sizeof(above_light[0]); i++)
		if (begins(name, above_light[i]))
			return false;
	return true;
}

/* What the scores come to, or why they are none. */
static const char *
read_scores(json_t *doc, const char *level, double *toxicity, bool *flagged)
{
	json_t *results = json_object_get(doc, "results");
	json_t *first = json_array_get(results, 0);
	json_t *scores = json_object_get(first, "category_scores");
	json_t *categories = json_object_get(first, "categories");
	const char *name;
	json_t *value;

	if (json_array_size(results) != 1)
		return "it does not have one result";
	if (!json_is_object(scores) || json_object_size(scores) == 0)
		return "it has no category_scores";
	if (categories != NULL && !json_is_object(categories))
		return "its categories are no object";
	json_object_foreach (scores, name, value)
	{
		if (!tz_judge_score(value))
			return "a score is no number from 0 to 1";
		if (covered(name, level) && json_number_value(value) > *toxicity)
			*toxicity = json_number_value(value);
	}
	json_object_foreach (categories, name, value)
	{
		if (!json_is_boolean(value) && !json_is_null(value))
			return "a category is neither true nor false";
		if (json_is_true(value) && covered(name, level))
			*flagged = true;
	}
	return NULL;
}

static void
moderation_parse(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	const char *level = json_string_value(json_object_get(effect->request, "level"));
	double toxicity = 0;
	bool flagged = false;
	const char *why;
	json_t *doc;

	if (in->err.status != TZ_OK)
		tz_answer_transport(effect, TZ_REPEAT_NEVER, in, out);
	else if (in->status != 200)
		tz_answer_status(effect, TZ_REPEAT_NEVER, in, out);
	else
	{
		doc = tz_answer_json(in, out);
		if (doc == NULL)
			return;
		why = read_scores(doc, level != NULL ? level : "strict", &toxicity, &flagged);
		json_decref(doc);
		if (why == NULL)
		{
			tz_answer_done(out, json_pack("{s:f, s:b}", "toxicity", toxicity, "flagged", (int) flagged));
			return;
		}
		tz_judge_bad(in, why, NULL, out);
	}
	tz_judge_once(out);
}
