/*-------------------------------------------------------------------------
 *
 * jsonschema.c
 *	  Does a document fit a JSON Schema?
 *
 * One recursive walk with a path for the message. Both sides come from outside,
 * so depth and the number of comparisons have ceilings: alternatives in
 * alternatives would otherwise take exponential time.
 *
 *-------------------------------------------------------------------------
 */
#include "lib/jsonschema.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/utf8.h"

#define DEPTH_MAX 64
#define WORK_MAX 200000
#define PATH_MAX_BYTES 200

typedef struct Walk
{
	const json_t *root; /* for $ref */
	TzErr *err;
	int depth;
	int work;
	size_t path_len;
	char path[PATH_MAX_BYTES];
} Walk;

typedef TzStatus (*Keyword)(Walk *w, const json_t *schema, const json_t *rule, const json_t *value);

static TzStatus walk(Walk *w, const json_t *schema, const json_t *value);

static TzStatus
fail(Walk *w, const char *what)
{
	return tz_err_set(w->err, TZ_BAD_INPUT, "%s %s", w->path_len > 0 ? w->path : "the value", what);
}

/* A member or item of what is looked at; the path is cut where it gets too long, never the check. */
static TzStatus
walk_member(Walk *w, const json_t *schema, const json_t *value, const char *name, size_t index)
{
	size_t before = w->path_len;
	TzStatus st;
	int n;

	if (name != NULL)
		n = snprintf(w->path + before, sizeof(w->path) - before, "%s%.*s", before > 0 ? "." : "",
		             (int) tz_utf8_cut(tz_slice_cstr(name), 64), name);
	else
		n = snprintf(w->path + before, sizeof(w->path) - before, "[%zu]", index);
	if (n < 0 || (size_t) n >= sizeof(w->path) - before)
		w->path[before] = '\0';
	else
		w->path_len += (size_t) n;
	st = walk(w, schema, value);
	w->path_len = before;
	w->path[before] = '\0';
	return st;
}

static bool
is_type(const char *type, const json_t *value)
{
	if (strcmp(type, "object") == 0)
		return json_is_object(value);
	if (strcmp(type, "array") == 0)
		return json_is_array(value);
	if (strcmp(type, "string") == 0)
		return json_is_string(value);
	if (strcmp(type, "boolean") == 0)
		return json_is_boolean(value);
	if (strcmp(type, "null") == 0)
		return json_is_null(value);
	if (strcmp(type, "number") == 0)
		return json_is_number(value);
	if (strcmp(type, "integer") == 0)
		return json_is_integer(value) ||
		       (json_is_real(value) && floor(json_real_value(value)) == json_real_value(value));
	return true;
}

static TzStatus
check_type(Walk *w, const json_t *schema, const json_t *rule, const json_t *value)
{
	char what[64];
	size_t i;
	json_t *one;

	if (json_is_string(rule))
	{
		if (is_type(json_string_value(rule), value))
			return TZ_OK;
		snprintf(what, sizeof(what), "must be of type %.20s", json_string_value(rule));
		return fail(w, what);
	}
	if (!json_is_array(rule))
		return TZ_OK;
	json_array_foreach (rule, i, one)
	{
		if (json_is_string(one) && is_type(json_string_value(one), value))
			return TZ_OK;
	}
	return fail(w, "is of none of the types it may have");
}

static TzStatus
check_enum(Walk *w, const json_t *schema, const json_t *rule, const json_t *value)
{
	size_t i;
	json_t *one;

	if (!json_is_array(rule))
		return TZ_OK;
	json_array_foreach (rule, i, one)
	{
		if (json_equal(one, value))
			return TZ_OK;
	}
	return fail(w, "is none of the values it may have");
}

static TzStatus
check_const(Walk *w, const json_t *schema, const json_t *rule, const json_t *value)
{
	return json_equal(rule, value) ? TZ_OK : fail(w, "is not the value it must have");
}

static TzStatus
check_required(Walk *w, const json_t *schema, const json_t *rule, const json_t *value)
{
	size_t i;
	json_t *one;

	if (!json_is_object(value) || !json_is_array(rule))
		return TZ_OK;
	json_array_foreach (rule, i, one)
	{
		const char *name = json_string_value(one);
		char what[160];

		if (name == NULL || json_object_get(value, name) != NULL)
			continue;
		snprintf(what, sizeof(what), "lacks \"%.*s\"", (int) tz_utf8_cut(tz_slice_cstr(name), 100), name);
		return fail(w, what);
	}
	return TZ_OK;
}

static TzStatus
check_properties(Walk *w, const json_t *schema, const json_t *rule, const json_t *value)
{
	const char *name;
	json_t *sub;

	if (!json_is_object(value) || !json_is_object(rule))
		return TZ_OK;
	json_object_foreach ((json_t *) rule, name, sub)
	{
		const json_t *member = json_object_get(value, name);
		TzStatus st = member == NULL ? TZ_OK : walk_member(w, sub, member, name, 0);

		if (st != TZ_OK)
			return st;
	}
	return TZ_OK;
}

static TzStatus
check_additional(Walk *w, const json_t *schema, const json_t *rule, const json_t *value)
{
	const json_t *known = json_object_get(schema, "properties");
	const char *name;
	json_t *member;

	/* Names by pattern are not looked at, so what they allow must not be refused here. */
	if (!json_is_object(value) || json_object_get(schema, "patternProperties") != NULL)
		return TZ_OK;
	json_object_foreach ((json_t *) value, name, member)
	{
		char what[160];
		TzStatus st;

		if (json_object_get(known, name) != NULL)
			continue;
		if (!json_is_false(rule))
		{
			st = walk_member(w, rule, member, name, 0);
			if (st != TZ_OK)
				return st;
			continue;
		}
		snprintf(what, sizeof(what), "has \"%.*s\", which is not known",
		         (int) tz_utf8_cut(tz_slice_cstr(name), 100), name);
		return fail(w, what);
	}
	return TZ_OK;
}

static TzStatus
check_items(Walk *w, const json_t *schema, const json_t *rule, const json_t *value)
{
	size_t first = json_array_size(json_object_get(schema, "prefixItems"));
	size_t i;
	json_t *item;

	if (!json_is_array(value))
		return TZ_OK;
	json_array_foreach (value, i, item)
	{
		TzStatus st = i < first ? TZ_OK : walk_member(w, rule, item, NULL, i);

		if (st != TZ_OK)
			return st;
	}
	return TZ_OK;
}

static TzStatus
check_prefix_items(Walk *w, const json_t *schema, const json_t *rule, const json_t *value)
{
	size_t i;
	json_t *sub;

	if (!json_is_array(value))
		return TZ_OK;
	json_array_foreach (rule, i, sub)
	{
		const json_t *item = json_array_get(value, i);
		TzStatus st = item == NULL ? TZ_OK : walk_member(w, sub, item, NULL, i);

		if (st != TZ_OK)
			return st;
	}
	return TZ_OK;
}

static size_t
characters(const json_t *string)
{
	const char *s = json_string_value(string);
	size_t n = 0;

	for (size_t i = 0; i < json_string_length(string); i++)
		n += ((unsigned char) s[i] & 0xC0) != 0x80;
	return n;
}

/* minLength, maxItems and so on: a count against a limit. */
static TzStatus
check_count(Walk *w, size_t count, const json_t *rule, bool least, const char *what)
{
	json_int_t limit = json_integer_value(rule);

	if (!json_is_integer(rule) || limit < 0)
		return TZ_OK;
	if (least ? count >= (size_t) limit : count <= (size_t) limit)
		return TZ_OK;
	return fail(w, what);
}

static TzStatus
check_min_length(Walk *w, const json_t *schema, const json_t *rule, const json_t *value)
{
	return json_is_string(value) ? check_count(w, characters(value), rule, true, "is too short") : TZ_OK;
}

static TzStatus
check_max_length(Walk *w, const json_t *schema, const json_t *rule, const json_t *value)
{
	return json_is_string(value) ? check_count(w, characters(value), rule, false, "is too long") : TZ_OK;
}

static TzStatus
check_min_items(Walk *w, const json_t *schema, const json_t *rule, const json_t *value)
{
	return json_is_array(value) ? check_count(w, json_array_size(value), rule, true, "has too few items")
	                            : TZ_OK;
}

static TzStatus
check_max_items(Walk *w, const json_t *schema, const json_t *rule, const json_t *value)
{
	return json_is_array(value) ? check_count(w, json_array_size(value), rule, false, "has too many items")
	                            : TZ_OK;
}

static TzStatus
check_minimum(Walk *w, const json_t *schema, const json_t *rule, const json_t *value)
{
	return !json_is_number(rule) || !json_is_number(value) ||
	               json_number_value(value) >= json_number_value(rule)
	           ? TZ_OK
	           : fail(w, "is too small");
}

static TzStatus
check_maximum(Walk *w, const json_t *schema, const json_t *rule, const json_t *value)
{
	return !json_is_number(rule) || !json_is_number(value) ||
	               json_number_value(value) <= json_number_value(rule)
	           ? TZ_OK
	           : fail(w, "is too large");
}

static TzStatus
check_above(Walk *w, const json_t *schema, const json_t *rule, const json_t *value)
{
	return !json_is_number(rule) || !json_is_number(value) ||
	               json_number_value(value) > json_number_value(rule)
	           ? TZ_OK
	           : fail(w, "is too small");
}

static TzStatus
check_below(Walk *w, const json_t *schema, const json_t *rule, const json_t *value)
{
	return !json_is_number(rule) || !json_is_number(value) ||
	               json_number_value(value) < json_number_value(rule)
	           ? TZ_OK
	           : fail(w, "is too large");
}

/* How many of the alternatives fit; TZ_TOO_LARGE passes through. */
static TzStatus
count_fitting(Walk *w, const json_t *rule, const json_t *value, size_t *n)
{
	size_t i;
	json_t *one;

	*n = 0;
	json_array_foreach (rule, i, one)
	{
		TzStatus st = walk(w, one, value);

		if (st == TZ_TOO_LARGE)
			return st;
		*n += st == TZ_OK;
	}
	tz_err_clear(w->err);
	return TZ_OK;
}

static TzStatus
check_any(Walk *w, const json_t *schema, const json_t *rule, const json_t *value)
{
	size_t n;
	TzStatus st = count_fitting(w, rule, value, &n);

	if (st != TZ_OK || n > 0 || json_array_size(rule) == 0)
		return st;
	return fail(w, "fits none of the alternatives");
}

static TzStatus
check_one(Walk *w, const json_t *schema, const json_t *rule, const json_t *value)
{
	size_t n;
	TzStatus st = count_fitting(w, rule, value, &n);

	if (st != TZ_OK || n == 1 || json_array_size(rule) == 0)
		return st;
	return fail(w, n == 0 ? "fits none of the alternatives" : "fits more than one alternative");
}

static TzStatus
check_all(Walk *w, const json_t *schema, const json_t *rule, const json_t *value)
{
	size_t i;
	json_t *one;

	json_array_foreach (rule, i, one)
	{
		TzStatus st = walk(w, one, value);

		if (st != TZ_OK)
			return st;
	}
	return TZ_OK;
}

static TzStatus
check_not(Walk *w, const json_t *schema, const json_t *rule, const json_t *value)
{
	TzStatus st = walk(w, rule, value);

	if (st == TZ_TOO_LARGE)
		return st;
	tz_err_clear(w->err);
	return st == TZ_OK ? fail(w, "is what it must not be") : TZ_OK;
}

/* "#", "#/$defs/name": a pointer into the same document. Others are passed over. */
static const json_t *
resolve(const json_t *root, const char *ref)
{
	const json_t *at = root;
	const char *p = ref + 1;

	if (ref[0] != '#')
		return NULL;
	while (*p == '/' && at != NULL)
	{
		char name[256];
		size_t n = 0;

		for (p++; *p != '\0' && *p != '/' && n + 1 < sizeof(name); p++)
		{
			if (*p == '~' && (p[1] == '0' || p[1] == '1'))
				name[n++] = *++p == '0' ? '~' : '/';
			else
				name[n++] = *p;
		}
		name[n] = '\0';
		at = json_is_array(at) ? json_array_get(at, strtoul(name, NULL, 10)) : json_object_get(at, name);
	}
	return *p == '\0' ? at : NULL;
}

static TzStatus
check_ref(Walk *w, const json_t *schema, const json_t *rule, const json_t *value)
{
	const json_t *target = json_is_string(rule) ? resolve(w->root, json_string_value(rule)) : NULL;

	return target == NULL ? TZ_OK : walk(w, target, value);
}

/* What must be of which JSON type to be a rule. */
static const struct
{
	const char *name;
	Keyword check;
	char
		kind; /* s: schema, a: array of schemas, m: map of schemas, n: number, c: count, t: text, l: list, *: anything */
} keywords[] = {
	{"type", check_type, 'T'},
	{"enum", check_enum, 'l'},
	{"const", check_const, '*'},
	{"required", check_required, 'l'},
	{"properties", check_properties, 'm'},
	{"additionalProperties", check_additional, 's'},
	{"items", check_items, 's'},
	{"prefixItems", check_prefix_items, 'a'},
	{"minLength", check_min_length, 'c'},
	{"maxLength", check_max_length, 'c'},
	{"minItems", check_min_items, 'c'},
	{"maxItems", check_max_items, 'c'},
	{"minimum", check_minimum, 'n'},
	{"maximum", check_maximum, 'n'},
	{"exclusiveMinimum", check_above, 'n'},
	{"exclusiveMaximum", check_below, 'n'},
	{"anyOf", check_any, 'a'},
	{"oneOf", check_one, 'a'},
	{"allOf", check_all, 'a'},
	{"not", check_not, 's'},
	{"$ref", check_ref, 't'},
};

#define NKEYWORDS (sizeof(keywords) / sizeof(keywords[0]))

static TzStatus
walk(Walk *w, const json_t *schema, const json_t *value)
{
	TzStatus st = TZ_OK;

	if (json_is_false(schema))
		return fail(w, "is not allowed");
	if (!json_is_object(schema))
		return TZ_OK;
	if (++w->work > WORK_MAX || w->depth >= DEPTH_MAX)
		return tz_err_set(w->err, TZ_TOO_LARGE, "the schema asks for too much work");
	w->depth++;
	for (size_t i = 0; i < NKEYWORDS && st == TZ_OK; i++)
	{
		const json_t *rule = json_object_get(schema, keywords[i].name);

		if (rule != NULL)
			st = keywords[i].check(w, schema, rule, value);
	}
	w->depth--;
	return st;
}

TzStatus
tz_jsonschema_check(const json_t *schema, const json_t *value, TzErr *err)
{
	Walk w = {.root = schema, .err = err};

	tz_err_clear(err);
	return walk(&w, schema, value);
}

static TzStatus valid(const json_t *schema, int depth, TzErr *err);

static TzStatus
valid_list(const json_t *list, int depth, TzErr *err)
{
	size_t i;
	json_t *one;

	json_array_foreach (list, i, one)
	{
		TzStatus st = valid(one, depth, err);

		if (st != TZ_OK)
			return st;
	}
	return TZ_OK;
}

static TzStatus
valid_map(const json_t *map, int depth, TzErr *err)
{
	const char *name;
	json_t *one;

	json_object_foreach ((json_t *) map, name, one)
	{
		TzStatus st = valid(one, depth, err);

		if (st != TZ_OK)
			return st;
	}
	return TZ_OK;
}

static bool
names_type(const json_t *rule)
{
	static const char *const types[] = {"object", "array", "string", "boolean", "null", "number", "integer"};

	for (size_t i = 0; json_is_string(rule) && i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(json_string_value(rule), types[i]) == 0)
			return true;
	return false;
}

static bool
names_types(const json_t *rule)
{
	size_t i;
	json_t *one;

	if (!json_is_array(rule))
		return names_type(rule);
	json_array_foreach (rule, i, one)
	{
		if (!names_type(one))
			return false;
	}
	return json_array_size(rule) > 0;
}

static bool
rule_fits(char kind, const json_t *rule)
{
	switch (kind)
	{
		case 'l':
		case 'a':
			return json_is_array(rule);
		case 'm':
			return json_is_object(rule);
		case 's':
			return json_is_object(rule) || json_is_boolean(rule);
		case 'n':
			return json_is_number(rule);
		case 'c':
			return json_is_integer(rule) && json_integer_value(rule) >= 0;
		case 't':
			return json_is_string(rule);
		default:
			return true;
	}
}

static TzStatus
valid(const json_t *schema, int depth, TzErr *err)
{
	if (json_is_boolean(schema))
		return TZ_OK;
	if (!json_is_object(schema))
		return tz_err_set(err, TZ_BAD_INPUT, "a schema must be an object");
	if (depth >= DEPTH_MAX)
		return tz_err_set(err, TZ_TOO_LARGE, "the schema is nested more than %d deep", DEPTH_MAX);
	for (size_t i = 0; i < NKEYWORDS; i++)
	{
		const json_t *rule = json_object_get(schema, keywords[i].name);
		TzStatus st = TZ_OK;

		if (rule == NULL)
			continue;
		if (keywords[i].kind == 'T' && !names_types(rule))
			return tz_err_set(
				err, TZ_BAD_INPUT,
				"\"type\" of a schema must be object, array, string, number, integer, boolean or null");
		if (!rule_fits(keywords[i].kind, rule))
			return tz_err_set(err, TZ_BAD_INPUT, "\"%s\" of a schema is of the wrong type", keywords[i].name);
		if (keywords[i].kind == 's')
			st = valid(rule, depth + 1, err);
		else if (keywords[i].kind == 'a')
			st = valid_list(rule, depth + 1, err);
		else if (keywords[i].kind == 'm')
			st = valid_map(rule, depth + 1, err);
		if (st != TZ_OK)
			return st;
	}
	return valid_map(json_object_get(schema, "$defs"), depth + 1, err);
}

TzStatus
tz_jsonschema_valid(const json_t *schema, TzErr *err)
{
	tz_err_clear(err);
	return valid(schema, 0, err);
}
