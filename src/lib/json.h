/*-------------------------------------------------------------------------
 *
 * json.h
 *	  Bounded parsing, typed getters and writing over Jansson.
 *
 * All values handed out are borrowed from their parent, except the root that
 * tz_json_parse makes (release it with json_decref).
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_JSON_H
#define TZ_JSON_H

#include "lib/jansson.h"

#include "lib/buf.h"

#define TZ_JSON_DUPLICATES 0x01 /* last one wins, instead of an error */
#define TZ_JSON_NUL 0x02 /* \u0000 allowed in strings: sanitize what you take */
#define TZ_JSON_ANY 0x04 /* scalars allowed at the top */

typedef struct TzJsonLimits
{
	size_t max_bytes;
	int max_depth; /* nested arrays and objects */
	size_t max_values; /* values and keys in the whole document */
	int flags; /* TZ_JSON_* */
} TzJsonLimits;

/* 1 MiB, depth 64, 100,000 values, no flags. */
extern const TzJsonLimits tz_json_limits_default;

/*
 * Parses one document. limits NULL: the default. TZ_TOO_LARGE when a ceiling
 * is passed, TZ_BAD_INPUT when it is no JSON; the message gives line and
 * column, never text of the document.
 */
extern TzStatus tz_json_parse(TzSlice text, const TzJsonLimits *limits, json_t **out, TzErr *err);

/* Appends compact text, keys in the order they were inserted. */
extern TzStatus tz_json_dump(const json_t *value, TzBuf *out, TzErr *err);

/*
 * Getters. object may be NULL (then everything is absent). Absent or null:
 * TZ_NOT_FOUND with a message if required, else TZ_OK and *out untouched.
 * Wrong type: TZ_BAD_INPUT; over a ceiling: TZ_TOO_LARGE. Numbers with a
 * fraction are no integers; 3.0 is one.
 */
extern TzStatus tz_json_get_str(const json_t *object, const char *key, bool required, size_t max_len,
                                TzSlice *out, TzErr *err);
extern TzStatus tz_json_get_int(const json_t *object, const char *key, bool required, int64_t min,
                                int64_t max, int64_t *out, TzErr *err);
extern TzStatus tz_json_get_real(const json_t *object, const char *key, bool required, double *out,
                                 TzErr *err);
extern TzStatus tz_json_get_bool(const json_t *object, const char *key, bool required, bool *out, TzErr *err);
extern TzStatus tz_json_get_object(const json_t *object, const char *key, bool required, json_t **out,
                                   TzErr *err);
extern TzStatus tz_json_get_array(const json_t *object, const char *key, bool required, size_t max_items,
                                  json_t **out, TzErr *err);

/*
 * A string for the text column `key`: sanitized to UTF-8 without NUL, and cut
 * at the ceiling by the caller beforehand. Takes bytes, sets object[key].
 */
extern TzStatus tz_json_set_text(json_t *object, const char *key, TzSlice bytes, TzErr *err);

#endif /* TZ_JSON_H */
