/* fuzz_utf8.c: whatever comes in, valid text comes out, and valid text unchanged */
#include <stdlib.h>
#include <string.h>

#include "lib/utf8.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TzSlice in = tz_slice((const char *) data, size);
	TzBuf out;
	size_t cut = tz_utf8_cut(in, size / 2);

	tz_buf_init(&out, size * 3);
	if (tz_utf8_sanitize(in, &out) != TZ_OK || !tz_utf8_valid(tz_buf_slice(&out)))
		abort();
	if (tz_utf8_valid(in))
	{
		if (!tz_slice_eq(in, tz_buf_slice(&out)))
			abort();
		if (cut > size / 2 || !tz_utf8_valid(tz_slice(in.data, cut)))
			abort();
	}
	(void) tz_utf8_has_control(in);
	tz_buf_free(&out);
	return 0;
}
