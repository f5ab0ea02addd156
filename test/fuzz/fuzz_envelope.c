/* fuzz_envelope.c: only what was sealed opens, in one place only */
#include <stdlib.h>
#include <string.h>

#include "lib/envelope.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static TzEnvelope *env;
static uint8_t key[TZ_KEY_LEN] = {1, 2, 3};
static uint8_t salt[TZ_SALT_LEN] = {4, 5, 6};

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TzSealName name = {tz_slice_cstr("plt"), tz_slice_cstr("ses"), tz_slice_cstr("name"), 1};
	TzSlice salt_slice = tz_slice((const char *) salt, TZ_SALT_LEN);
	TzSlice in = tz_slice((const char *) data, size);
	TzBuf sealed;
	TzBuf plain;
	TzErr err;
	size_t third = size / 3;

	if (env == NULL && tz_envelope_new(&env, &err) != TZ_OK)
		abort();

	/* bytes from outside */
	tz_buf_init_secret(&plain, TZ_SECRET_MAX);
	if (tz_envelope_open(env, key, &name, salt_slice, in, &plain, &err) != TZ_CRYPTO || plain.len != 0)
		abort();

	/* a true one under a name of those bytes, then under that name with a byte moved over */
	name.platform = tz_slice(in.data, third);
	name.session = tz_slice(in.data + third, third);
	name.name = tz_slice(in.data + 2 * third, size - 2 * third);
	tz_buf_init(&sealed, TZ_SECRET_MAX + TZ_SEALED_OVERHEAD);
	if (tz_envelope_seal(env, key, &name, salt, in, &sealed, &err) == TZ_OK)
	{
		if (tz_envelope_open(env, key, &name, salt_slice, tz_buf_slice(&sealed), &plain, &err) != TZ_OK ||
		    !tz_slice_eq(in, tz_buf_slice(&plain)))
			abort();
		tz_buf_reset(&plain);
		if (third > 0)
		{
			name.platform.len--;
			name.session.data--;
			name.session.len++;
			if (tz_envelope_open(env, key, &name, salt_slice, tz_buf_slice(&sealed), &plain, &err) !=
			    TZ_CRYPTO)
				abort();
		}
	}
	tz_buf_free(&sealed);
	tz_buf_wipe(&plain);
	return 0;
}
