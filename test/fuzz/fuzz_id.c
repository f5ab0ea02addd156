/* fuzz_id.c: what is taken apart can be put together again */
#include <stdlib.h>
#include <string.h>

#include "lib/id.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TzSlice in = tz_slice((const char *) data, size);
	TzSlice prefix;
	TzSlice root;
	char out[TZ_ID_MAX + 1];
	char low[TZ_ID_ROOT_LEN + 1];
	int64_t ms;
	TzErr err;

	if (tz_id_split(in, &prefix, &root, &err) != TZ_OK)
		return 0;
	if (tz_id_time(in, &ms, &err) != TZ_OK || ms < 0 || ms > TZ_ID_MS_MAX)
		abort();
	if (tz_id_floor(ms, low, &err) != TZ_OK || memcmp(low, root.data, TZ_ID_ROOT_LEN) > 0 ||
	    memcmp(low, root.data, 10) != 0)
		abort();
	if (prefix.len > 0 && tz_id_derive(prefix, in, in, out, &err) != TZ_OK)
		abort();
	return 0;
}
