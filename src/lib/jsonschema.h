/*-------------------------------------------------------------------------
 *
 * jsonschema.h
 *	  Does a document fit a JSON Schema?
 *
 * The part of draft 2020-12 that models are given for tools and answers:
 * type, enum, const, properties, required, additionalProperties, items,
 * prefixItems, the counts and bounds, anyOf, oneOf, allOf, not, $ref inside the
 * document. What is not known (format, pattern, annotations) is passed over, so
 * a schema never refuses more than it says.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_JSONSCHEMA_H
#define TZ_JSONSCHEMA_H

#include "lib/jansson.h"

#include "lib/status.h"

/*
 * TZ_OK: it fits. TZ_BAD_INPUT: it does not, err->message says where and why.
 * TZ_TOO_LARGE: the schema asks for more work than it may (a circle of
 * references, or alternatives within alternatives).
 */
extern TzStatus tz_jsonschema_check(const json_t *schema, const json_t *value, TzErr *err);

/* Is the schema one that can be checked: an object or a boolean, its keywords of the right types? */
extern TzStatus tz_jsonschema_valid(const json_t *schema, TzErr *err);

#endif /* TZ_JSONSCHEMA_H */
