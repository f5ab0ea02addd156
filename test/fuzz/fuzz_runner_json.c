/* runner/text.c: what it lets through is JSON in UTF-8 that a column takes, and stays as it is the second time. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "lib/utf8.h"
#include "runner/text.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TzSlice in = tz_slice((const char *) data, size);
	TzBuf once, twice;
	TzStatus st;

	tz_buf_init(&once, 1 << 20);
	tz_buf_init(&twice, 1 << 20);
	st = tz_runner_json(in, 128, &once, NULL);
	if (st == TZ_OK)
	{
		json_error_t e;
		json_t *v = json_loadb(once.data, once.len, JSON_DECODE_ANY, &e);

		/* A number beyond a double is one that jsonb can hold. */
		if (v == NULL && json_error_code(&e) != json_error_numeric_overflow)
			abort();
		json_decref(v);
		if (once.len != size || !tz_utf8_valid(tz_buf_slice(&once)) ||
		    tz_runner_json(tz_buf_slice(&once), 128, &twice, NULL) != TZ_OK ||
		    !tz_slice_eq(tz_buf_slice(&once), tz_buf_slice(&twice)))
			abort();
	}
	tz_buf_free(&once);
	tz_buf_free(&twice);
	return 0;
}
