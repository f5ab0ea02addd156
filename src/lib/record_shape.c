/*-------------------------------------------------------------------------
 *
 * record_shape.c
 *	  What a record from inside a sandbox may say.
 *
 * Each type has its members and bounds; what is wrong in kind makes the record
 * void, what is too much is cut.
 *
 *-------------------------------------------------------------------------
 */
#include "lib/record_shape.h"

#include <math.h>
#include <string.h>

#include "lib/json.h"
#include "lib/utf8.h"

#define MS_FIRST 946684800000.0 /* 2000 */
#define MS_LAST 4102444800000.0 /* 2100 */
#define COUNT_MAX 1e12
#define ARTIFACT_MAX 1024

static const TzJsonLimits limits = {
	.max_bytes = 64 * 1024,
	.max_depth = 32,
	.max_values = 5000,
};

static bool
set_text(json_t *to, const char *key, const json_t *value, size_t max)
{
	TzSlice text = tz_slice(json_string_value(value), json_string_length(value));

	text.len = tz_utf8_cut(text, max);
	return tz_json_set_text(to, key, text, NULL) == TZ_OK;
}

/* A member that must be there, or may be missing; anything but a string is wrong. */
static bool
take_text(json_t *to, const json_t *from, const char *key, size_t max, bool required)
{
	const json_t *value = json_object_get(from, key);

	if (value == NULL || json_is_null(value))
		return !required;
	return json_is_string(value) && set_text(to, key, value, max);
}

static bool
take_number(json_t *to, const json_t *from, const char *key, double low, double high, bool required)
{
	const json_t *value = json_object_get(from, key);
	double n;

	if (value == NULL || json_is_null(value))
		return !required;
	if (!json_is_number(value))
		return false;
	n = json_number_value(value);
	if (!isfinite(n))
		return false;
	n = n < low ? low : n > high ? high : n;
	return json_object_set_new(to, key, n == floor(n) ? json_integer((json_int_t) n) : json_real(n)) == 0;
}

static bool
take_time(json_t *to, const json_t *from, const char *key, bool required)
{
	return take_number(to, from, key, MS_FIRST, MS_LAST, required);
}

/* An object as it is; left out when it is too large. */
static bool
take_data(json_t *to, const json_t *from, const char *key)
{
	json_t *value = json_object_get(from, key);
	TzBuf text;
	bool fits;

	if (value == NULL || json_is_null(value))
		return true;
	if (!json_is_object(value))
		return false;
	tz_buf_init(&text, TZ_RECORD_DATA_MAX);
	fits = tz_json_dump(value, &text, NULL) == TZ_OK;
	tz_buf_wipe(&text);
	return !fits || json_object_set(to, key, value) == 0;
}

/* One of the words; dflt for any other string and for none. */
static bool
take_word(json_t *to, const json_t *from, const char *key, const char *const *words, const char *dflt)
{
	const json_t *value = json_object_get(from, key);
	const char *word = dflt;

	if (value != NULL && !json_is_null(value) && !json_is_string(value))
		return false;
	for (int i = 0; value != NULL && words[i] != NULL; i++)
		if (json_is_string(value) && strcmp(json_string_value(value), words[i]) == 0)
			word = words[i];
	return json_object_set_new(to, key, json_string(word)) == 0;
}

static bool
shape_log(json_t *to, const json_t *from)
{
	static const char *const levels[] = {"debug", "info", "warn", "error", NULL};

	return take_word(to, from, "level", levels, "info") &&
	       take_text(to, from, "message", TZ_RECORD_MESSAGE_MAX, true) && take_data(to, from, "metadata") &&
	       take_time(to, from, "at", false);
}

static bool
shape_span(json_t *to, const json_t *from)
{
	static const char *const states[] = {"completed", "failed", NULL};

	return take_text(to, from, "name", TZ_RECORD_NAME_MAX, true) && take_time(to, from, "start", true) &&
	       take_time(to, from, "end", true) &&
	       json_number_value(json_object_get(to, "end")) >= json_number_value(json_object_get(to, "start")) &&
	       take_word(to, from, "status", states, "completed") &&
	       take_text(to, from, "error", TZ_RECORD_ERROR_MAX, false) && take_data(to, from, "attributes");
}

static bool
shape_progress(json_t *to, const json_t *from)
{
	return take_number(to, from, "percentage", 0, 100, false) &&
	       take_text(to, from, "message", TZ_RECORD_ERROR_MAX, false) && take_time(to, from, "at", false);
}

static bool
shape_complete(json_t *to, const json_t *from)
{
	json_t *output = json_object_get(from, "output");
	json_t *artifacts = json_object_get(from, "artifacts");
	json_t *list = json_array();

	if (list == NULL || json_object_set_new(to, "artifacts", list) != 0)
		return false;
	if (artifacts != NULL && !json_is_null(artifacts) && !json_is_array(artifacts))
		return false;
	for (size_t i = 0; i < json_array_size(artifacts) && i < TZ_RECORD_ARTIFACTS_MAX; i++)
	{
		json_t *path = json_array_get(artifacts, i);

		if (!json_is_string(path))
			return false;
		if (json_string_length(path) > 0 && json_string_length(path) <= ARTIFACT_MAX &&
		    json_array_append(list, path) != 0)
			return false;
	}
	return output == NULL ? json_object_set_new(to, "output", json_null()) == 0
	                      : json_object_set(to, "output", output) == 0;
}

static bool
shape_model(json_t *to, const json_t *from)
{
	return take_text(to, from, "model", TZ_RECORD_NAME_MAX, true) &&
	       take_number(to, from, "inputTokens", 0, COUNT_MAX, false) &&
	       take_number(to, from, "outputTokens", 0, COUNT_MAX, false) &&
	       take_number(to, from, "cost", 0, COUNT_MAX, false) && take_time(to, from, "at", false);
}

static const struct
{
	const char *type;
	bool (*shape)(json_t *to, const json_t *from);
} shapes[] = {
	{"log", shape_log},           {"span", shape_span},   {"progress", shape_progress},
	{"complete", shape_complete}, {"model", shape_model},
};

json_t *
tz_record_shape(TzSlice text)
{
	json_t *from = NULL;
	json_t *to = NULL;
	const char *type;

	if (tz_json_parse(text, &limits, &from, NULL) != TZ_OK)
		return NULL;
	type = json_string_value(json_object_get(from, "t"));
	for (size_t i = 0; type != NULL && i < sizeof(shapes) / sizeof(shapes[0]); i++)
	{
		if (strcmp(type, shapes[i].type) != 0)
			continue;
		to = json_pack("{s:s}", "t", shapes[i].type);
		if (to != NULL && !shapes[i].shape(to, from))
		{
			json_decref(to);
			to = NULL;
		}
	}
	json_decref(from);
	return to;
}
