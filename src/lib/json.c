/*-------------------------------------------------------------------------
 *
 * json.c
 *	  Bounded parsing, typed getters and writing over Jansson.
 *
 * Jansson has a ceiling on depth of its own that is too high for a server's
 * stack and none on size or number of values, so one pass over the bytes
 * counts before it is called. That pass need not understand JSON fully: it
 * counts at least as much as the parser would build.
 *
 *-------------------------------------------------------------------------
 */
#include "lib/json.h"

#include <math.h>
#include <string.h>

#include "lib/utf8.h"

const TzJsonLimits tz_json_limits_default = {
	.max_bytes = 1024 * 1024,
	.max_depth = 64,
	.max_values = 100000,
};

static TzStatus json_measure(TzSlice text, const TzJsonLimits *limits, TzErr *err);
static TzStatus json_find(const json_t *object, const char *key, bool required, json_t **out, TzErr *err);
static TzStatus json_wrong_type(const char *key, const char *type, TzErr *err);
static int json_dump_to_buf(const char *data, size_t len, void *arg);

TzStatus
tz_json_parse(TzSlice text, const TzJsonLimits *limits, json_t **out, TzErr *err)
{
	size_t flags = 0;
	json_error_t error;
	TzStatus status;

	*out = NULL;
	if (limits == NULL)
		limits = &tz_json_limits_default;
	status = json_measure(text, limits, err);
	if (status != TZ_OK)
		return status;

	if (!(limits->flags & TZ_JSON_DUPLICATES))
		flags |= JSON_REJECT_DUPLICATES;
	if (limits->flags & TZ_JSON_NUL)
		flags |= JSON_ALLOW_NUL;
	if (limits->flags & TZ_JSON_ANY)
		flags |= JSON_DECODE_ANY;

	*out = json_loadb(text.data == NULL ? "" : text.data, text.len, flags, &error);
	if (*out != NULL)
		return TZ_OK;

	if (json_error_code(&error) == json_error_out_of_memory)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	tz_err_set(err, TZ_BAD_INPUT, "invalid JSON");
	/* the parser's own message quotes the document, which may hold a secret */
	tz_err_detail(err, "Error at line %d, column %d.", error.line, error.column);
	return TZ_BAD_INPUT;
}

TzStatus
tz_json_dump(const json_t *value, TzBuf *out, TzErr *err)
{
	if (out->status == TZ_OK &&
	    json_dump_callback(value, json_dump_to_buf, out, JSON_COMPACT | JSON_ENCODE_ANY) != 0 &&
	    out->status == TZ_OK)
		out->status = TZ_INTERNAL;
	if (out->status == TZ_TOO_LARGE)
		return tz_err_set(err, TZ_TOO_LARGE, "JSON document is longer than %zu bytes", out->max);
	if (out->status != TZ_OK)
		return tz_err_set(err, out->status, "could not write a JSON document");
	return TZ_OK;
}

TzStatus
tz_json_get_str(const json_t *object, const char *key, bool required, size_t max_len, TzSlice *out,
                TzErr *err)
{
	json_t *v;
	TzStatus status = json_find(object, key, required, &v, err);

	if (status != TZ_OK || v == NULL)
		return status;
	if (!json_is_string(v))
		return json_wrong_type(key, "a string", err);
	if (json_string_length(v) > max_len)
		return tz_err_set(err, TZ_TOO_LARGE, "\"%s\" is longer than %zu bytes", key, max_len);
	*out = tz_slice(json_string_value(v), json_string_length(v));
	return TZ_OK;
}

TzStatus
tz_json_get_int(const json_t *object, const char *key, bool required, int64_t min, int64_t max, int64_t *out,
                TzErr *err)
{
	json_t *v;
	TzStatus status = json_find(object, key, required, &v, err);
	int64_t n;

	if (status != TZ_OK || v == NULL)
		return status;
	if (json_is_integer(v))
		n = json_integer_value(v);
	else if (json_is_real(v))
	{
		double d = json_real_value(v);

		/* beyond 2^53 a double no longer says which integer was meant */
		if (floor(d) != d || fabs(d) > 9007199254740992.0)
			return json_wrong_type(key, "an integer", err);
		n = (int64_t) d;
	}
	else
		return json_wrong_type(key, "an integer", err);

	if (n < min || n > max)
		return tz_err_set(err, TZ_BAD_INPUT, "\"%s\" must be between %lld and %lld", key, (long long) min,
		                  (long long) max);
	*out = n;
	return TZ_OK;
}

TzStatus
tz_json_get_real(const json_t *object, const char *key, bool required, double *out, TzErr *err)
{
	json_t *v;
	TzStatus status = json_find(object, key, required, &v, err);

	if (status != TZ_OK || v == NULL)
		return status;
	if (!json_is_number(v))
		return json_wrong_type(key, "a number", err);
	*out = json_number_value(v);
	return TZ_OK;
}

TzStatus
tz_json_get_bool(const json_t *object, const char *key, bool required, bool *out, TzErr *err)
{
	json_t *v;
	TzStatus status = json_find(object, key, required, &v, err);

	if (status != TZ_OK || v == NULL)
		return status;
	if (!json_is_boolean(v))
		return json_wrong_type(key, "true or false", err);
	*out = json_is_true(v);
	return TZ_OK;
}

TzStatus
tz_json_get_object(const json_t *object, const char *key, bool required, json_t **out, TzErr *err)
{
	json_t *v;
	TzStatus status = json_find(object, key, required, &v, err);

	if (status != TZ_OK || v == NULL)
		return status;
	if (!json_is_object(v))
		return json_wrong_type(key, "an object", err);
	*out = v;
	return TZ_OK;
}

TzStatus
tz_json_get_array(const json_t *object, const char *key, bool required, size_t max_items, json_t **out,
                  TzErr *err)
{
	json_t *v;
	TzStatus status = json_find(object, key, required, &v, err);

	if (status != TZ_OK || v == NULL)
		return status;
	if (!json_is_array(v))
		return json_wrong_type(key, "an array", err);
	if (json_array_size(v) > max_items)
		return tz_err_set(err, TZ_TOO_LARGE, "\"%s\" has more than %zu items", key, max_items);
	*out = v;
	return TZ_OK;
}

TzStatus
tz_json_set_text(json_t *object, const char *key, TzSlice bytes, TzErr *err)
{
	json_t *v;

	if (tz_utf8_valid(bytes))
		v = json_stringn(bytes.data == NULL ? "" : bytes.data, bytes.len);
	else
	{
		TzBuf clean;

		/* each replaced byte becomes three */
		if (bytes.len > SIZE_MAX / 8)
			return tz_err_set(err, TZ_TOO_LARGE, "text for \"%s\" is too long", key);
		tz_buf_init(&clean, bytes.len * 3);
		if (tz_utf8_sanitize(bytes, &clean) != TZ_OK)
		{
			tz_buf_free(&clean);
			return tz_err_set(err, TZ_NOMEM, "out of memory");
		}
		v = json_stringn(clean.data, clean.len);
		tz_buf_free(&clean);
	}
	if (v == NULL || json_object_set_new(object, key, v) != 0)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	return TZ_OK;
}

/* One pass over the bytes: depth and an upper bound on the number of values. */
static TzStatus
json_measure(TzSlice text, const TzJsonLimits *limits, TzErr *err)
{
	int depth = 0;
	size_t values = 1;
	bool in_string = false;
	size_t i;

	if (text.len > limits->max_bytes)
		return tz_err_set(err, TZ_TOO_LARGE, "JSON document is longer than %zu bytes", limits->max_bytes);
	for (i = 0; i < text.len; i++)
	{
		char c = text.data[i];

		if (in_string)
		{
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
			continue;
		}
		switch (c)
		{
			case '"':
				in_string = true;
				break;
			case '{':
			case '[':
				values++;
				if (++depth > limits->max_depth)
					return tz_err_set(err, TZ_TOO_LARGE, "JSON document is nested deeper than %d",
					                  limits->max_depth);
				break;
			case '}':
			case ']':
				depth--;
				break;
			case ',':
			case ':':
				values++;
				break;
			default:
				break;
		}
	}
	if (values > limits->max_values)
		return tz_err_set(err, TZ_TOO_LARGE, "JSON document has more than %zu values", limits->max_values);
	return TZ_OK;
}

/* *out is NULL when the key is absent and not required. */
static TzStatus
json_find(const json_t *object, const char *key, bool required, json_t **out, TzErr *err)
{
	*out = object == NULL ? NULL : json_object_get(object, key);
	if (*out != NULL && json_is_null(*out))
		*out = NULL;
	if (*out == NULL && required)
		return tz_err_set(err, TZ_NOT_FOUND, "\"%s\" is missing", key);
	return TZ_OK;
}

static TzStatus
json_wrong_type(const char *key, const char *type, TzErr *err)
{
	return tz_err_set(err, TZ_BAD_INPUT, "\"%s\" must be %s", key, type);
}

static int
json_dump_to_buf(const char *data, size_t len, void *arg)
{
	return tz_buf_append(arg, data, len) == TZ_OK ? 0 : -1;
}

/* What json_object() means here: see lib/jansson.h. Calls inside the library are bound to its own. */
json_t *
tz_jansson_object(void)
{
	return json_pack("{}");
}
