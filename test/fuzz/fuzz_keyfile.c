/* fuzz_keyfile.c: a key file gives distinct keys or none at all */
#include <stdlib.h>
#include <string.h>

#include "lib/keyfile.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t keys[TZ_KEYFILE_KEYS_MAX][TZ_KEY_LEN];
	static const uint8_t clean[sizeof(keys)];
	int n;
	TzErr err;

	if (tz_keyfile_parse(tz_slice((const char *) data, size), keys, &n, &err) != TZ_OK)
	{
		if (n != 0 || (size <= TZ_KEYFILE_MAX && memcmp(keys, clean, sizeof(keys)) != 0))
			abort();
		return 0;
	}
	if (n < 1 || n > TZ_KEYFILE_KEYS_MAX)
		abort();
	for (int i = 1; i < n; i++)
	{
		if (memcmp(keys[0], keys[i], TZ_KEY_LEN) == 0)
			abort();
	}
	memset(keys, 0, sizeof(keys));
	return 0;
}
