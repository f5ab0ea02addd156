/* Archives of any bytes: entries never reach behind what is there, and end. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/tar.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
inside(TzSlice part, const char *from, size_t size)
{
	if (part.len > 0 && (part.data < from || part.len > size || part.data > from + size - part.len))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TzTarReader reader;
	TzTarEntry entry;
	TzErr err;
	int n = 0;

	tz_tar_read(&reader, tz_slice((const char *) data, size), 1 << 20);
	while (tz_tar_next(&reader, &entry, &err) == TZ_OK)
	{
		inside(entry.name, (const char *) data, size);
		inside(entry.prefix, (const char *) data, size);
		inside(entry.link, (const char *) data, size);
		inside(entry.data, (const char *) data, size);
		if (entry.size < 0 || (int64_t) entry.data.len > entry.size)
			abort();
		if (++n > 1000000)
			abort();
	}
	return 0;
}
