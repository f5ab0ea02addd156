/*-------------------------------------------------------------------------
 *
 * path.h
 *	  The target of a request: its path in segments, its query, the route it means.
 *
 * A path is split at its slashes first and decoded after, so that an encoded
 * slash belongs to its segment. What two readers could read differently is
 * refused: broken escapes, NUL, control characters, bytes that are no UTF-8.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_PATH_H
#define TZ_PATH_H

#include "lib/buf.h"

#define TZ_PATH_MAX 8192 /* bytes of a path or of a query, encoded */
#define TZ_PATH_SEGMENTS_MAX 32
#define TZ_QUERY_PAIRS_MAX 64

typedef struct TzPath
{
	int n;
	TzSlice segment[TZ_PATH_SEGMENTS_MAX]; /* decoded */
} TzPath;

typedef struct TzPair
{
	TzSlice name;
	TzSlice value;
} TzPair;

typedef struct TzQuery
{
	int n;
	TzPair pair[TZ_QUERY_PAIRS_MAX]; /* decoded, in their order */
} TzQuery;

/* What a pattern is made of. */
typedef enum TzRoutePart
{
	TZ_PART_REST = 1, /* "*name": all that follows, at least one segment; the last part */
	TZ_PART_NAME, /* ":name": one segment that is not empty */
	TZ_PART_TEXT /* itself */
} TzRoutePart;

/* Pattern of a route, as "/v1/sessions/:id". Borrows the text it was made of. */
typedef struct TzRoutePattern
{
	int n;
	TzRoutePart kind[TZ_PATH_SEGMENTS_MAX];
	TzSlice text[TZ_PATH_SEGMENTS_MAX]; /* without colon or star */
} TzRoutePattern;

/*
 * space: at least raw.len bytes, where what is decoded is written; out points
 * into it. TZ_BAD_INPUT, or TZ_TOO_LARGE for too many parts.
 */
extern TzStatus tz_path_split(TzSlice raw, char *space, TzPath *out, TzErr *err);

/* The same of what stands behind the question mark; + is a blank. Pairs without a name are left out. */
extern TzStatus tz_query_split(TzSlice raw, char *space, TzQuery *out, TzErr *err);

extern TzStatus tz_route_pattern_read(TzSlice text, TzRoutePattern *out, TzErr *err);

/* Does the path fit? */
extern bool tz_route_pattern_fits(const TzRoutePattern *pattern, const TzPath *path);

/* Below 0 when a is the more exact one where both fit, above when b is, 0 when they are alike. */
extern int tz_route_pattern_compare(const TzRoutePattern *a, const TzRoutePattern *b);

/*
 * What stood for part i, a name or rest, in a path that fits. A rest of several segments is
 * joined by slashes into space (at least as many bytes as the raw path has).
 */
extern TzSlice tz_route_pattern_value(const TzRoutePattern *pattern, const TzPath *path, int i, char *space);

/*
 * The credential in the value of an Authorization header of scheme Bearer: printable
 * ASCII without blanks. False when it is of another scheme or not of that form.
 */
extern bool tz_bearer(TzSlice header, TzSlice *credential);

/* Is origin one of a comma-separated list, or is "*" in it? Compared byte by byte. */
extern bool tz_origin_listed(const char *list, TzSlice origin);

#endif /* TZ_PATH_H */
