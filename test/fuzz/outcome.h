/* What fuzzers of adapters check of every outcome, whatever the answer was. */
#ifndef TZ_FUZZ_OUTCOME_H
#define TZ_FUZZ_OUTCOME_H

#include <stdlib.h>
#include <string.h>

#include "adapter/adapter.h"
#include "lib/utf8.h"

#define SECRET "tok-123456"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void
must(int condition)
{
	if (!condition)
		abort();
}

/*
 * A verdict is always given, with a reason when it is no success; results and states are objects, texts are UTF-8.
 */
static inline void
check_outcome(const TzOutcome *out)
{
	must(out->verdict >= TZ_V_DONE && out->verdict <= TZ_V_UNKNOWN);
	if (out->verdict == TZ_V_DONE)
		must(json_is_object(out->result));
	else if (out->verdict == TZ_V_NEXT)
		must(json_is_object(out->state));
	else
		must(out->err.status != TZ_OK && out->err.message[0] != '\0');
	must(tz_utf8_valid(tz_slice_cstr(out->err.message)));
	must(tz_utf8_valid(tz_slice_cstr(out->err.detail)));
	must(out->retry_after_ms >= 0);
}

/* What went out with the request, and was masked in it, is in no message. */
static inline void
check_unsaid(const TzOutcome *out, const char *secret)
{
	must(strstr(out->err.detail, secret) == NULL && strstr(out->err.message, secret) == NULL);
}

/* The next step, of an adapter that always names it so in its state. */
static inline void
check_named(const TzOutcome *out, const char *name)
{
	must(out->verdict != TZ_V_NEXT || json_is_string(json_object_get(out->state, name)));
}

#endif /* TZ_FUZZ_OUTCOME_H */
