/* Addresses and headers of any bytes: what is taken is UTF-8 without NUL, lies where it should, and fits what it was made of. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/path.h"
#include "lib/utf8.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
inside(TzSlice part, const char *space, size_t size)
{
	if (part.data < space || part.len > size || part.data > space + size - part.len || !tz_utf8_valid(part) ||
	    (part.len > 0 && memchr(part.data, '\0', part.len) != NULL))
		abort();
}

static void
path(TzSlice raw, const TzRoutePattern *pattern)
{
	char *space = malloc(raw.len + 1);
	char *joined = malloc(raw.len + 1);
	TzPath out;
	TzErr err;

	if (space == NULL || joined == NULL)
		abort();
	if (tz_path_split(raw, space, &out, &err) == TZ_OK)
	{
		if (out.n < 1 || out.n > TZ_PATH_SEGMENTS_MAX)
			abort();
		for (int i = 0; i < out.n; i++)
			inside(out.segment[i], space, raw.len);
		for (int i = 0; pattern != NULL && tz_route_pattern_fits(pattern, &out) && i < pattern->n; i++)
		{
			TzSlice value = tz_route_pattern_value(pattern, &out, i, joined);

			if (value.data == joined ? value.len > raw.len : value.len > 0 && value.data < space)
				abort();
		}
	}
	else if (err.status != TZ_BAD_INPUT && err.status != TZ_TOO_LARGE)
		abort();
	free(space);
	free(joined);
}

static void
query(TzSlice raw)
{
	char *space = malloc(raw.len + 1);
	TzQuery out;
	TzErr err;

	if (space == NULL)
		abort();
	if (tz_query_split(raw, space, &out, &err) == TZ_OK)
	{
		for (int i = 0; i < out.n; i++)
		{
			if (out.pair[i].name.len == 0)
				abort();
			inside(out.pair[i].name, space, raw.len);
			inside(out.pair[i].value, space, raw.len);
		}
	}
	free(space);
}

/* A pattern, a path and the rest, apart by line ends. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TzSlice all = tz_slice((const char *) data, size);
	const char *end = size > 0 ? memchr(data, '\n', size) : NULL;
	size_t first = end != NULL ? (size_t) (end - all.data) : 0;
	TzSlice rest = end != NULL ? tz_slice(end + 1, size - first - 1) : all;
	TzRoutePattern pattern;
	bool have = tz_route_pattern_read(tz_slice(all.data, first), &pattern, NULL) == TZ_OK;
	TzSlice key;
	char *list;

	if (have && (pattern.n < 1 || pattern.n > TZ_PATH_SEGMENTS_MAX ||
	             tz_route_pattern_compare(&pattern, &pattern) != 0))
		abort();
	path(rest, have ? &pattern : NULL);
	query(rest);
	if (tz_bearer(rest, &key))
	{
		if (key.len == 0)
			abort();
		for (size_t i = 0; i < key.len; i++)
			if (key.data[i] <= ' ' || key.data[i] > '~')
				abort();
	}
	list = malloc(first + 1);
	if (list == NULL)
		abort();
	memcpy(list, data, first);
	list[first] = '\0';
	(void) tz_origin_listed(list, rest);
	free(list);
	return 0;
}
