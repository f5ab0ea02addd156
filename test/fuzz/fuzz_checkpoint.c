/* fuzz_checkpoint.c: what is read as a checkpoint is bounded, and nothing but our own note verifies */
#include <stdlib.h>
#include <string.h>

#include "lib/checkpoint.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t seed[TZ_ED25519_LEN] = {1};
	uint8_t key[TZ_ED25519_LEN];
	TzSlice in = tz_slice((const char *) data, size);
	TzSlice name;
	TzCheckpoint head;
	TzBuf note;
	TzErr err;

	if (tz_ed25519_public(seed, key, &err) != TZ_OK)
		abort();
	(void) tz_vkey_read(in, &name, key, &err);
	if (tz_checkpoint_read(in, &head, &err) != TZ_OK)
		return 0;
	if (tz_checkpoint_verify(in, key, &head, &err) == TZ_OK)
		abort();
	/* what was read can be signed, and then verifies */
	tz_buf_init(&note, TZ_CHECKPOINT_MAX);
	if (tz_ed25519_public(seed, key, &err) == TZ_OK &&
	    tz_checkpoint_sign(&head, seed, &note, &err) == TZ_OK &&
	    tz_checkpoint_verify(tz_buf_slice(&note), key, &head, &err) != TZ_OK)
		abort();
	tz_buf_free(&note);
	return 0;
}
