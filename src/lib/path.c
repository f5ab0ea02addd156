/*-------------------------------------------------------------------------
 *
 * path.c
 *	  The target of a request: its path in segments, its query, the route it means.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>
#include <strings.h>

#include "lib/path.h"
#include "lib/utf8.h"

#define BEARER_MAX 1024

static TzStatus decode(TzSlice raw, bool form, char **space, TzSlice *out, TzErr *err);
static int hex_digit(char c);
static TzStatus split_pair(TzSlice raw, char **space, TzPair *out, TzErr *err);

TzStatus
tz_path_split(TzSlice raw, char *space, TzPath *out, TzErr *err)
{
	size_t from = 1;

	out->n = 0;
	if (raw.len == 0 || raw.data[0] != '/')
		return tz_err_set(err, TZ_BAD_INPUT, "the path must begin with a slash");
	if (raw.len > TZ_PATH_MAX)
		return tz_err_set(err, TZ_TOO_LARGE, "the path has more than %d bytes", TZ_PATH_MAX);
	for (;;)
	{
		const char *slash = memchr(raw.data + from, '/', raw.len - from);
		size_t to = slash != NULL ? (size_t) (slash - raw.data) : raw.len;
		TzStatus status;

		if (out->n == TZ_PATH_SEGMENTS_MAX)
			return tz_err_set(err, TZ_TOO_LARGE, "the path has more than %d segments", TZ_PATH_SEGMENTS_MAX);
		status = decode(tz_slice(raw.data + from, to - from), false, &space, &out->segment[out->n], err);
		if (status != TZ_OK)
			return status;
		out->n++;
		if (to == raw.len)
			return TZ_OK;
		from = to + 1;
	}
}

TzStatus
tz_query_split(TzSlice raw, char *space, TzQuery *out, TzErr *err)
{
	size_t from = 0;

	out->n = 0;
	if (raw.len > TZ_PATH_MAX)
		return tz_err_set(err, TZ_TOO_LARGE, "the query has more than %d bytes", TZ_PATH_MAX);
	while (from < raw.len)
	{
		const char *next = memchr(raw.data + from, '&', raw.len - from);
		size_t to = next != NULL ? (size_t) (next - raw.data) : raw.len;
		TzPair pair;
		TzStatus status = split_pair(tz_slice(raw.data + from, to - from), &space, &pair, err);

		if (status != TZ_OK)
			return status;
		if (pair.name.len > 0)
		{
			if (out->n == TZ_QUERY_PAIRS_MAX)
				return tz_err_set(err, TZ_TOO_LARGE, "the query has more than %d parameters",
				                  TZ_QUERY_PAIRS_MAX);
			out->pair[out->n++] = pair;
		}
		from = to + 1;
	}
	return TZ_OK;
}

static TzStatus
split_pair(TzSlice raw, char **space, TzPair *out, TzErr *err)
{
	const char *equals = raw.len > 0 ? memchr(raw.data, '=', raw.len) : NULL;
	size_t name = equals != NULL ? (size_t) (equals - raw.data) : raw.len;
	size_t value = equals != NULL ? name + 1 : raw.len;
	TzStatus status = decode(tz_slice(raw.data, name), true, space, &out->name, err);

	if (status != TZ_OK)
		return status;
	return decode(tz_slice(raw.data + value, raw.len - value), true, space, &out->value, err);
}

/* Into *space, which moves on behind what was written. form: + is a blank, and line ends may be text. */
static TzStatus
decode(TzSlice raw, bool form, char **space, TzSlice *out, TzErr *err)
{
	char *to = *space;

	out->data = to;
	for (size_t i = 0; i < raw.len; i++)
	{
		char c = raw.data[i];

		if (c == '%')
		{
			int high = i + 2 < raw.len ? hex_digit(raw.data[i + 1]) : -1;
			int low = high >= 0 ? hex_digit(raw.data[i + 2]) : -1;

			if (low < 0)
				return tz_err_set(err, TZ_BAD_INPUT, "a percent sign is not followed by two hex digits");
			c = (char) (high << 4 | low);
			i += 2;
		}
		else if (c == '+' && form)
			c = ' ';
		else if ((unsigned char) c < ' ' || c == 0x7f)
			return tz_err_set(err, TZ_BAD_INPUT, "a control character is in the address");
		if (c == '\0' || (!form && ((unsigned char) c < ' ' || c == 0x7f)))
			return tz_err_set(err, TZ_BAD_INPUT, "a control character is in the address");
		*to++ = c;
	}
	out->len = (size_t) (to - *space);
	*space = to;
	if (!tz_utf8_valid(*out))
		return tz_err_set(err, TZ_BAD_INPUT, "the address is not valid UTF-8");
	return TZ_OK;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* ---- patterns ----------------------------------------------------------------- */

TzStatus
tz_route_pattern_read(TzSlice text, TzRoutePattern *out, TzErr *err)
{
	size_t from = 1;

	out->n = 0;
	if (text.len < 2 || text.data[0] != '/')
		return tz_err_set(err, TZ_BAD_INPUT, "a route must begin with a slash and name something");
	for (;;)
	{
		const char *slash = memchr(text.data + from, '/', text.len - from);
		size_t to = slash != NULL ? (size_t) (slash - text.data) : text.len;
		TzSlice part = tz_slice(text.data + from, to - from);

		if (part.len == 0)
			return tz_err_set(err, TZ_BAD_INPUT, "a part of a route is empty");
		if (out->n == TZ_PATH_SEGMENTS_MAX)
			return tz_err_set(err, TZ_TOO_LARGE, "a route has more than %d parts", TZ_PATH_SEGMENTS_MAX);
		if (part.data[0] == ':' || part.data[0] == '*')
		{
			if (part.len == 1)
				return tz_err_set(err, TZ_BAD_INPUT, "a part of a route has no name");
			if (part.data[0] == '*' && slash != NULL)
				return tz_err_set(err, TZ_BAD_INPUT, "only the last part of a route may be a rest");
			out->kind[out->n] = part.data[0] == ':' ? TZ_PART_NAME : TZ_PART_REST;
			part = tz_slice(part.data + 1, part.len - 1);
		}
		else
			out->kind[out->n] = TZ_PART_TEXT;
		out->text[out->n++] = part;
		if (to == text.len)
			return TZ_OK;
		from = to + 1;
	}
}

bool
tz_route_pattern_fits(const TzRoutePattern *pattern, const TzPath *path)
{
	bool rest = pattern->kind[pattern->n - 1] == TZ_PART_REST;

	if (rest ? path->n < pattern->n : path->n != pattern->n)
		return false;
	for (int i = 0; i < pattern->n; i++)
	{
		switch (pattern->kind[i])
		{
			case TZ_PART_TEXT:
				if (!tz_slice_eq(pattern->text[i], path->segment[i]))
					return false;
				break;
			case TZ_PART_NAME:
				if (path->segment[i].len == 0)
					return false;
				break;
			case TZ_PART_REST:
				if (path->n == pattern->n && path->segment[i].len == 0)
					return false;
				break;
		}
	}
	return true;
}

int
tz_route_pattern_compare(const TzRoutePattern *a, const TzRoutePattern *b)
{
	for (int i = 0; i < a->n && i < b->n; i++)
		if (a->kind[i] != b->kind[i])
			return (int) b->kind[i] - (int) a->kind[i];
	return b->n - a->n;
}

TzSlice
tz_route_pattern_value(const TzRoutePattern *pattern, const TzPath *path, int i, char *space)
{
	size_t len = 0;

	if (pattern->kind[i] != TZ_PART_REST || path->n == pattern->n)
		return path->segment[i];
	for (int j = i; j < path->n; j++)
	{
		if (j > i)
			space[len++] = '/';
		memcpy(space + len, path->segment[j].data, path->segment[j].len);
		len += path->segment[j].len;
	}
	return tz_slice(space, len);
}

/* ---- headers ------------------------------------------------------------------- */

bool
tz_bearer(TzSlice header, TzSlice *credential)
{
	static const char scheme[] = "bearer";
	size_t from = sizeof(scheme) - 1;
	size_t to = header.len;

	if (header.len <= from || strncasecmp(header.data, scheme, from) != 0 || header.data[from] != ' ')
		return false;
	while (from < to && header.data[from] == ' ')
		from++;
	while (to > from && header.data[to - 1] == ' ')
		to--;
	if (from == to || to - from > BEARER_MAX)
		return false;
	for (size_t i = from; i < to; i++)
		if (header.data[i] <= ' ' || header.data[i] > '~')
			return false;
	*credential = tz_slice(header.data + from, to - from);
	return true;
}

bool
tz_origin_listed(const char *list, TzSlice origin)
{
	const char *p = list == NULL ? "" : list;

	while (*p != '\0')
	{
		size_t blank = strspn(p, ", \t\r\n");
		size_t len = strcspn(p + blank, ", \t\r\n");

		if (len > 0 && (tz_slice_eq(tz_slice(p + blank, len), origin) || (len == 1 && p[blank] == '*')))
			return true;
		p += blank + len;
	}
	return false;
}
