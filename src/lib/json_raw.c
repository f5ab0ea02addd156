/*-------------------------------------------------------------------------
 *
 * json_raw.c
 *	  The exact bytes of a part of a JSON text.
 *
 * No parser: the real one has been over the text before. A value's end is found
 * by counting brackets outside of strings, without recursion.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "lib/json_raw.h"

static size_t skip_blank(TzSlice text, size_t at);
static size_t skip_string(TzSlice text, size_t at);
static size_t skip_value(TzSlice text, size_t at);

bool
tz_json_raw_member(TzSlice text, const char *key, TzSlice *out)
{
	size_t key_len = strlen(key);
	size_t at = skip_blank(text, 0);
	bool found = false;

	if (at >= text.len || text.data[at] != '{')
		return false;
	at = skip_blank(text, at + 1);
	while (at < text.len && text.data[at] == '"')
	{
		size_t name = at + 1;
		size_t name_end = skip_string(text, at);
		size_t value = skip_blank(text, name_end);

		if (value >= text.len || text.data[value] != ':')
			return found;
		value = skip_blank(text, value + 1);
		at = skip_value(text, value);
		if (at == value)
			return found;
		if (name_end - 1 - name == key_len && memcmp(text.data + name, key, key_len) == 0)
		{
			*out = tz_slice(text.data + value, at - value);
			found = true;
		}
		at = skip_blank(text, at);
		if (at >= text.len || text.data[at] != ',')
			return found;
		at = skip_blank(text, at + 1);
	}
	return found;
}

bool
tz_json_raw_item(TzSlice text, size_t *at, TzSlice *out)
{
	size_t start = *at;
	size_t end;

	if (start == 0)
	{
		start = skip_blank(text, 0);
		if (start >= text.len || text.data[start] != '[')
			return false;
		start = skip_blank(text, start + 1);
	}
	if (start >= text.len || text.data[start] == ']')
		return false;
	end = skip_value(text, start);
	if (end == start)
		return false;
	*out = tz_slice(text.data + start, end - start);
	end = skip_blank(text, end);
	*at = end < text.len && text.data[end] == ',' ? skip_blank(text, end + 1) : text.len;
	return true;
}

TzStatus
tz_json_raw_compact(TzSlice text, TzBuf *out)
{
	size_t at = skip_blank(text, 0);

	while (at < text.len && out->status == TZ_OK)
	{
		size_t end = at;

		while (end < text.len && skip_blank(text, end) == end)
			end = text.data[end] == '"' ? skip_string(text, end) : end + 1;
		if (out->max - out->len < end - at)
		{
			tz_buf_append(out, text.data + at, out->max - out->len);
			return TZ_TOO_LARGE;
		}
		tz_buf_append(out, text.data + at, end - at);
		at = skip_blank(text, end);
	}
	return out->status;
}

static size_t
skip_blank(TzSlice text, size_t at)
{
	while (at < text.len &&
	       (text.data[at] == ' ' || text.data[at] == '\t' || text.data[at] == '\n' || text.data[at] == '\r'))
		at++;
	return at;
}

/* Behind the closing quote; at is the opening one. */
static size_t
skip_string(TzSlice text, size_t at)
{
	for (at++; at < text.len; at++)
	{
		if (text.data[at] == '\\')
			at++;
		else if (text.data[at] == '"')
			return at + 1;
	}
	return text.len;
}

/* Behind the value that starts at `at`; `at` itself when none does. */
static size_t
skip_value(TzSlice text, size_t at)
{
	size_t depth = 0;

	while (at < text.len)
	{
		char c = text.data[at];

		if (c == '"')
			at = skip_string(text, at);
		else if (c == '{' || c == '[')
		{
			depth++;
			at++;
		}
		else if (c == '}' || c == ']')
		{
			if (depth == 0)
				return at;
			depth--;
			at++;
		}
		else if (depth == 0 && (c == ',' || c == ' ' || c == '\t' || c == '\n' || c == '\r'))
			return at;
		else
		{
			at++;
			if (depth == 0)
				continue;
		}
		if (depth == 0)
			return at;
	}
	return at;
}
