/* test_jsonschema.c: documents against schemas */
#include "tz_test.h"

#include "lib/json.h"
#include "lib/jsonschema.h"

static json_t *
parse(const char *text)
{
	TzJsonLimits limits = {.max_bytes = 1 << 20,
	                       .max_depth = 200,
	                       .max_values = 100000,
	                       .flags = TZ_JSON_ANY};
	json_t *v;
	TzErr err;

	assert_int_equal(tz_json_parse(tz_slice_cstr(text), &limits, &v, &err), TZ_OK);
	return v;
}

static TzStatus
check(const char *schema, const char *value, TzErr *err)
{
	json_t *s = parse(schema);
	json_t *v = parse(value);
	TzStatus st = tz_jsonschema_check(s, v, err);

	json_decref(s);
	json_decref(v);
	return st;
}

static void
test_pairs(void **state)
{
	static const struct
	{
		const char *schema;
		const char *value;
		const char *why; /* NULL: fits */
	} pairs[] = {
		{"{}", "1", NULL},
		{"true", "1", NULL},
		{"false", "1", "the value is not allowed"},
		{"{\"type\":\"object\"}", "{}", NULL},
		{"{\"type\":\"object\"}", "[]", "the value must be of type object"},
		{"{\"type\":\"integer\"}", "3.0", NULL},
		{"{\"type\":\"integer\"}", "3.5", "the value must be of type integer"},
		{"{\"type\":[\"string\",\"null\"]}", "null", NULL},
		{"{\"type\":[\"string\",\"null\"]}", "1", "the value is of none of the types it may have"},
		{"{\"enum\":[1,\"a\"]}", "\"a\"", NULL},
		{"{\"enum\":[1,\"a\"]}", "2", "the value is none of the values it may have"},
		{"{\"const\":{\"a\":1}}", "{\"a\":1}", NULL},
		{"{\"const\":1}", "2", "the value is not the value it must have"},
		{"{\"required\":[\"q\"]}", "{\"q\":null}", NULL},
		{"{\"required\":[\"q\"]}", "{}", "the value lacks \"q\""},
		{"{\"required\":[\"q\"]}", "[]", NULL},
		{"{\"properties\":{\"a\":{\"properties\":{\"b\":{\"type\":\"string\"}}}}}", "{\"a\":{\"b\":1}}",
	     "a.b must be of type string"},
		{"{\"properties\":{\"a\":{\"items\":{\"type\":\"number\"}}}}", "{\"a\":[1,\"x\"]}",
	     "a[1] must be of type number"},
		{"{\"properties\":{\"a\":{}},\"additionalProperties\":false}", "{\"a\":1}", NULL},
		{"{\"properties\":{\"a\":{}},\"additionalProperties\":false}", "{\"b\":1}",
	     "the value has \"b\", which is not known"},
		{"{\"additionalProperties\":{\"type\":\"string\"}}", "{\"b\":1}", "b must be of type string"},
		{"{\"additionalProperties\":false,\"patternProperties\":{\"^x\":{}}}", "{\"x1\":1}", NULL},
		{"{\"prefixItems\":[{\"type\":\"string\"}],\"items\":{\"type\":\"number\"}}", "[\"a\",1]", NULL},
		{"{\"prefixItems\":[{\"type\":\"string\"}],\"items\":{\"type\":\"number\"}}", "[\"a\",\"b\"]",
	     "[1] must be of type number"},
		{"{\"minLength\":2,\"maxLength\":3}", "\"\xc3\xa4\xc3\xb6\xc3\xbc\"", NULL},
		{"{\"maxLength\":2}", "\"abc\"", "the value is too long"},
		{"{\"minItems\":1}", "[]", "the value has too few items"},
		{"{\"maxItems\":1}", "[1,2]", "the value has too many items"},
		{"{\"minimum\":1,\"maximum\":20}", "20", NULL},
		{"{\"minimum\":1}", "0.5", "the value is too small"},
		{"{\"exclusiveMaximum\":1}", "1", "the value is too large"},
		{"{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}", "null", NULL},
		{"{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}", "1",
	     "the value fits none of the alternatives"},
		{"{\"oneOf\":[{\"type\":\"number\"},{\"type\":\"integer\"}]}", "1",
	     "the value fits more than one alternative"},
		{"{\"oneOf\":[{\"type\":\"number\"},{\"type\":\"integer\"}]}", "1.5", NULL},
		{"{\"allOf\":[{\"minimum\":1},{\"maximum\":2}]}", "3", "the value is too large"},
		{"{\"not\":{\"type\":\"string\"}}", "\"a\"", "the value is what it must not be"},
		{"{\"$defs\":{\"a/b\":{\"type\":\"string\"}},\"properties\":{\"x\":{\"$ref\":\"#/$defs/a~1b\"}}}",
	     "{\"x\":1}", "x must be of type string"},
		{"{\"$ref\":\"https://example.com/schema\"}", "1", NULL},
		{"{\"properties\":{\"n\":{\"$ref\":\"#\"}},\"required\":[\"v\"]}",
	     "{\"v\":1,\"n\":{\"v\":1,\"n\":{}}}", "n.n lacks \"v\""},
		{"{\"format\":\"date\",\"pattern\":\"^x\"}", "\"y\"", NULL},
	};
	TzErr err;

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
	{
		TzStatus st = check(pairs[i].schema, pairs[i].value, &err);

		if (pairs[i].why == NULL)
			assert_int_equal(st, TZ_OK);
		else
		{
			assert_int_equal(st, TZ_BAD_INPUT);
			assert_string_equal(err.message, pairs[i].why);
		}
	}
}

/* Circles and alternatives within alternatives end, and soon. */
static void
test_ceilings(void **state)
{
	char schema[4096] = "{\"type\":\"string\"}";
	char next[8300];
	TzErr err;

	assert_int_equal(check("{\"$ref\":\"#\"}", "1", &err), TZ_TOO_LARGE);
	for (int i = 0; i < 6; i++)
	{
		snprintf(next, sizeof(next), "{\"anyOf\":[%s,%s]}", schema, schema);
		if (strlen(next) >= sizeof(schema))
			break;
		strcpy(schema, next);
	}
	assert_int_equal(check(schema, "1", &err), TZ_BAD_INPUT);
	assert_int_equal(check("{\"anyOf\":[{\"$ref\":\"#\"},{\"$ref\":\"#\"},{\"$ref\":\"#\"}]}", "1", &err),
	                 TZ_TOO_LARGE);
}

static void
test_valid(void **state)
{
	static const char *const bad[] = {
		"1",
		"[]",
		"{\"type\":1}",
		"{\"type\":\"nonsense\"}",
		"{\"type\":[\"string\",\"nothing\"]}",
		"{\"type\":[]}",
		"{\"properties\":[]}",
		"{\"properties\":{\"a\":1}}",
		"{\"required\":\"a\"}",
		"{\"minLength\":-1}",
		"{\"minimum\":\"a\"}",
		"{\"anyOf\":{}}",
		"{\"items\":{\"type\":1}}",
		"{\"$ref\":1}",
		"{\"$defs\":{\"a\":1}}",
	};
	TzErr err;
	json_t *s;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		s = parse(bad[i]);
		assert_int_equal(tz_jsonschema_valid(s, &err), TZ_BAD_INPUT);
		json_decref(s);
	}
	s = parse(
		"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":[\"string\",\"null\"],\"enum\":[1]}},\"additionalProperties\":false,"
		"\"$defs\":{\"b\":{\"anyOf\":[true,{\"not\":{}}]}}}");
	assert_int_equal(tz_jsonschema_valid(s, &err), TZ_OK);
	json_decref(s);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_ceilings),
		cmocka_unit_test(test_valid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
