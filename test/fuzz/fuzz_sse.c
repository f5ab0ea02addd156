/*
 * Server-sent events. First byte: into how large pieces the rest is cut, second: the
 * ceilings. However it is cut, the same events come out; memory stays under the
 * ceilings.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/sse.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Seen
{
	TzBuf log;
	int left; /* events until the callback refuses */
} Seen;

static TzStatus
note(void *arg, const TzSseEvent *event)
{
	Seen *seen = arg;

	if (event->name.len > TZ_SSE_NAME_MAX)
		abort();
	tz_buf_append_byte(&seen->log, event->terminated ? 1 : 2);
	tz_buf_append(&seen->log, event->name.data, event->name.len);
	tz_buf_append_byte(&seen->log, 3);
	tz_buf_append(&seen->log, event->data.data, event->data.len);
	return --seen->left == 0 ? TZ_REFUSED : TZ_OK;
}

static TzStatus
run(const uint8_t *data, size_t size, size_t piece, size_t max, Seen *seen, bool *clean)
{
	TzSse sse;
	TzStatus status = TZ_OK;

	tz_buf_init(&seen->log, SIZE_MAX);
	tz_sse_init(&sse, max, max, note, seen);
	for (size_t at = 0; at < size; at += piece)
	{
		size_t n = size - at < piece ? size - at : piece;
		char *copy = malloc(n);

		memcpy(copy, data + at, n);
		status = tz_sse_feed(&sse, tz_slice(copy, n));
		free(copy);
		if (sse.line.cap > max + 1 || sse.data.cap > max + 1)
			abort();
	}
	if (status == TZ_OK)
		status = tz_sse_end(&sse, clean);
	tz_sse_free(&sse);
	return status;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Seen whole = {.left = 0};
	Seen cut = {.left = 0};
	bool clean_whole = false;
	bool clean_cut = false;
	TzStatus status;
	size_t max;

	if (size < 3)
		return 0;
	max = data[1] % 2 ? 100000 : data[1];
	whole.left = cut.left = data[1] % 7;
	status = run(data + 2, size - 2, size, max, &whole, &clean_whole);
	if (run(data + 2, size - 2, 1 + data[0] % 16, max, &cut, &clean_cut) != status)
		abort();
	if (clean_whole != clean_cut || whole.log.len != cut.log.len ||
	    (whole.log.len > 0 && memcmp(whole.log.data, cut.log.data, whole.log.len) != 0))
		abort();
	tz_buf_free(&whole.log);
	tz_buf_free(&cut.log);
	return 0;
}
