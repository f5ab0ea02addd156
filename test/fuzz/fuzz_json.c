/* fuzz_json.c: what parses can be written, read back and asked for fields */
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TzJsonLimits limits = {.max_bytes = 4096, .max_depth = 16, .max_values = 500};
	json_t *v;
	json_t *back;
	TzBuf out;
	TzErr err;
	TzSlice s;
	int64_t i;

	if (size < 1)
		return 0;
	limits.flags = data[0] & 7;
	if (tz_json_parse(tz_slice((const char *) data + 1, size - 1), &limits, &v, &err) != TZ_OK)
		return 0;
	if (size - 1 > limits.max_bytes)
		abort();

	tz_buf_init(&out, 65536);
	if (tz_json_dump(v, &out, &err) == TZ_OK)
	{
		limits.max_bytes = 65536;
		limits.flags |= TZ_JSON_ANY;
		if (tz_json_parse(tz_buf_slice(&out), &limits, &back, &err) == TZ_OK)
		{
			if (!json_equal(v, back))
				abort();
			json_decref(back);
		}
	}
	tz_buf_free(&out);
	(void) tz_json_get_str(v, "a", true, 10, &s, &err);
	(void) tz_json_get_int(v, "a", true, -5, 5, &i, &err);
	json_decref(v);
	return 0;
}
