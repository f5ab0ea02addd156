/* fuzz_tsa.c: no answer of an authority that we did not ask counts as a stamp of ours */
#include <stdlib.h>
#include <string.h>

#include "lib/tsa.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t digest[TZ_TSA_DIGEST_LEN] = {0x5a};
	static const TzTsaStamp none;
	TzTsaStamp stamp;
	TzErr err;

	if (tz_tsa_check(tz_slice((const char *) data, size), digest, NULL, tz_slice(NULL, 0), &stamp, &err) ==
	    TZ_OK)
		abort();
	if (memcmp(&stamp, &none, sizeof(none)) != 0)
		abort();
	return 0;
}
