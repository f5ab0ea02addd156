/*-------------------------------------------------------------------------
 *
 * model_encode.c
 *	  Messages of ours in the form a provider takes.
 *
 * What a provider said itself is kept as it came and never goes through here, except
 * when a conversation moves to a provider of another kind.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "adapter/model.h"
#include "lib/json.h"
#include "lib/utf8.h"

static TzStatus check(json_t *message, TzErr *err);
static TzStatus check_list(json_t *message, const char *key, TzErr *err);

TzStatus
tz_model_encode(const TzAdapter *adapter, const char *api, json_t *messages, TzBuf *wire, TzErr *err)
{
	TzStatus status = TZ_OK;

	if (adapter == NULL || adapter->encode == NULL)
		return tz_err_set(err, TZ_UNSUPPORTED, "adapter does not speak to models");
	if (!json_is_array(messages))
	{
		status = check(messages, err);
		return status == TZ_OK ? adapter->encode(api, messages, wire, err) : status;
	}
	for (size_t i = 0; status == TZ_OK && i < json_array_size(messages); i++)
		status = tz_model_encode(adapter, api, json_array_get(messages, i), wire, err);
	return status;
}

static TzStatus
check(json_t *message, TzErr *err)
{
	TzSlice role = tz_model_string(message, "role");

	if (!json_is_object(message))
		return tz_err_set(err, TZ_BAD_INPUT, "a message must be an object");
	if (tz_slice_eq_cstr(role, "user"))
		return json_is_string(json_object_get(message, "text"))
		           ? TZ_OK
		           : tz_err_set(err, TZ_BAD_INPUT, "a user's message has no text");
	if (tz_slice_eq_cstr(role, "assistant"))
		return check_list(message, "tool_calls", err);
	if (!tz_slice_eq_cstr(role, "tool"))
		return tz_err_set(err, TZ_BAD_INPUT, "role of a message is not known");
	if (json_array_size(json_object_get(message, "results")) == 0)
		return tz_err_set(err, TZ_BAD_INPUT, "a tool's message has no results");
	return check_list(message, "results", err);
}

static TzStatus
check_list(json_t *message, const char *key, TzErr *err)
{
	json_t *list = json_object_get(message, key);

	for (size_t i = 0; i < json_array_size(list); i++)
		if (tz_model_string(json_array_get(list, i), "id").len == 0)
			return tz_err_set(err, TZ_BAD_INPUT, "an item of \"%s\" has no id", key);
	return TZ_OK;
}

/* Borrowed; empty for anything but a string. */
TzSlice
tz_model_string(json_t *object, const char *key)
{
	json_t *value = json_object_get(object, key);

	if (!json_is_string(value))
		return tz_slice(NULL, 0);
	return tz_slice(json_string_value(value), json_string_length(value));
}

void
tz_model_comma(TzBuf *wire)
{
	if (wire->len > 0)
		tz_buf_append_byte(wire, ',');
}

TzStatus
tz_model_join(TzBuf *wire, json_t *item, TzErr *err)
{
	TzStatus status;

	if (item == NULL)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	tz_model_comma(wire);
	status = tz_json_dump(item, wire, err);
	json_decref(item);
	return status;
}

json_t *
tz_model_text(TzSlice text)
{
	TzBuf clean;
	json_t *string = NULL;

	if (text.len == 0)
		return json_string("");
	if (tz_utf8_valid(text))
		return json_stringn(text.data, text.len);
	tz_buf_init(&clean, SIZE_MAX);
	if (tz_utf8_sanitize(text, &clean) == TZ_OK)
		string = json_stringn(clean.data, clean.len);
	tz_buf_free(&clean);
	return string;
}

char *
tz_model_arguments(json_t *call)
{
	json_t *arguments = json_object_get(call, "arguments");

	if (json_is_string(arguments))
		return strdup(json_string_value(arguments));
	return json_is_object(arguments) ? json_dumps(arguments, JSON_COMPACT) : strdup("{}");
}

/* Text of a tool's result that says itself whether it is an error. */
static json_t *
result_text(json_t *result)
{
	TzSlice content = tz_model_string(result, "content");
	json_t *string;
	TzBuf text;

	if (!json_is_true(json_object_get(result, "is_error")) ||
	    (content.len >= 5 && strncasecmp(content.data, "error", 5) == 0))
		return tz_model_text(content);
	tz_buf_init(&text, SIZE_MAX);
	tz_buf_append_cstr(&text, "error: ");
	tz_buf_append(&text, content.data, content.len);
	string = text.status == TZ_OK ? tz_model_text(tz_buf_slice(&text)) : NULL;
	tz_buf_free(&text);
	return string;
}

TzStatus
tz_model_results(json_t *message, const char *kind_key, const char *kind, const char *id_key,
                 const char *text_key, TzBuf *wire, TzErr *err)
{
	json_t *results = json_object_get(message, "results");
	TzStatus status = TZ_OK;

	for (size_t i = 0; status == TZ_OK && i < json_array_size(results); i++)
	{
		json_t *result = json_array_get(results, i);

		status = tz_model_join(wire,
		                       json_pack("{s:s, s:o, s:o}", kind_key, kind, id_key,
		                                 tz_model_text(tz_model_string(result, "id")), text_key,
		                                 result_text(result)),
		                       err);
	}
	return status;
}
