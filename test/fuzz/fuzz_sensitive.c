/* fuzz_sensitive.c: after scrubbing no key is left, and a planted name is always found */
#include <stdlib.h>
#include <string.h>

#include "lib/sensitive.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char planted[] = "secret_set";
	char *text = malloc(size + sizeof(planted));
	char name[64];
	size_t pos = 0;

	if (size > 0)
		memcpy(text, data, size);
	(void) tz_sensitive_scan(tz_slice(text, size));
	while (tz_sensitive_next_execute(tz_slice(text, size), &pos, name, sizeof(name)))
	{
		if (strlen(name) >= sizeof(name))
			abort();
	}
	tz_sensitive_scrub_keys(text, size);
	if (tz_sensitive_scan(tz_slice(text, size)) & TZ_SENSITIVE_KEY)
		abort();
	memcpy(text + size, planted, sizeof(planted) - 1);
	if (!(tz_sensitive_scan(tz_slice(text, size + sizeof(planted) - 1)) & TZ_SENSITIVE_NAME))
		abort();
	free(text);
	return 0;
}
