#include "tz_test.h"

#include <string.h>
#include <strings.h>

#include "lib_adapter.h"

TzEffect
adapter_effect(const char *kind, const char *op, const char *text, json_t **doc)
{
	TzEffect effect = {.platform_id = "plat_1",
	                   .id = "eff_1",
	                   .kind = kind,
	                   .op = op,
	                   .attempt = 1,
	                   .now_ms = INT64_C(1700000000123)};

	json_decref(*doc);
	*doc = json_loads(text, 0, NULL);
	assert_non_null(*doc);
	effect.request = *doc;
	return effect;
}

const char *
adapter_header(const TzHttpRequest *req, const char *name)
{
	for (int i = 0; i < req->nheaders; i++)
		if (strcmp(req->headers[i].name, name) == 0)
			return req->headers[i].value;
	return NULL;
}

const char *
adapter_header_any_case(const TzHttpRequest *req, const char *name)
{
	for (int i = 0; i < req->nheaders; i++)
		if (strcasecmp(req->headers[i].name, name) == 0)
			return req->headers[i].value;
	return NULL;
}

void
adapter_run_file(const char *path, void (*run_case)(json_t *test))
{
	json_error_t error;
	json_t *tests = json_load_file(path, JSON_ALLOW_NUL, &error);
	json_t *test;
	size_t i;

	if (tests == NULL)
		fail_msg("%s: %s, line %d", path, error.text, error.line);
	json_array_foreach (tests, i, test)
		run_case(test);
	print_message("%zu recorded answers in %s\n", json_array_size(tests), path);
	json_decref(tests);
}
