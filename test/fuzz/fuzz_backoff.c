/* Retry-After, waits and verdicts: whatever comes in, the answer stays in its bounds. */
#include <stdlib.h>
#include <string.h>

#include "lib/backoff.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[256];
	TzFailure failure;
	TzRetry retry;
	uint32_t random;
	int attempt;
	int ms = -1;

	if (size < 12 || size > 200)
		return 0;
	memcpy(&random, data, 4);
	memcpy(&attempt, data + 4, 4);
	failure.status = (TzStatus) (data[8] % (TZ_INTERNAL + 1));
	failure.http_status = 100 + data[9] * 2;
	failure.maybe_sent = data[10] & 1;
	failure.told_to_wait = data[10] & 2;
	memcpy(text, data + 12, size - 12);
	text[size - 12] = '\0';

	if (tz_retry_after_ms(text, (int64_t) random * 1000, 600000, &ms) && (ms < 0 || ms > 600000))
		abort();
	ms = -1;
	if (tz_reset_after_ms(text, (int64_t) random * 1000, 600000, &ms) && (ms < 0 || ms > 600000))
		abort();
	ms = tz_backoff_ms(attempt, data[8] * 100, 60000, random);
	if (ms < 0 || ms > 60000)
		abort();
	retry = tz_retry_judge((TzRepeat) (1 + data[11] % 4), &failure, attempt);
	if (retry < TZ_RETRY_NO || retry > TZ_RETRY_UNKNOWN)
		abort();
	/* create and exec are never repeated once they may have been carried out */
	if (data[11] % 4 == 3 && retry == TZ_RETRY_YES && failure.maybe_sent && failure.status != TZ_OK)
		abort();
	return 0;
}
