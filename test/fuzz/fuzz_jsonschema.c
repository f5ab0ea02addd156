/* fuzz_jsonschema.c: any schema against any value ends, and says the same twice */
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/jsonschema.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TzJsonLimits limits = {.max_bytes = 4096, .max_depth = 32, .max_values = 500, .flags = TZ_JSON_ANY};
	const uint8_t *cut = memchr(data, '\n', size);
	json_t *schema;
	json_t *value;
	TzErr err;

	if (cut == NULL)
		return 0;
	if (tz_json_parse(tz_slice((const char *) data, (size_t) (cut - data)), &limits, &schema, &err) != TZ_OK)
		return 0;
	if (tz_json_parse(tz_slice((const char *) cut + 1, size - (size_t) (cut - data) - 1), &limits, &value,
	                  &err) == TZ_OK)
	{
		TzStatus first = tz_jsonschema_check(schema, value, &err);

		if (first != TZ_OK && err.message[0] == '\0')
			abort();
		if (tz_jsonschema_check(schema, value, &err) != first)
			abort();
		json_decref(value);
	}
	(void) tz_jsonschema_valid(schema, &err);
	json_decref(schema);
	return 0;
}
