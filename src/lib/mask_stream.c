/*-------------------------------------------------------------------------
 *
 * mask_stream.c
 *	  Finding secrets in a text that comes in pieces.
 *
 * What was held back is read again together with each new piece. That is little:
 * the readings stand somewhere in a value only when one is being told, or by chance
 * for a few bytes.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "lib/mask_internal.h"

/* The longest escape of one byte; and what may stand in between, line breaks above all. */
#define SPELLED_MAX 12
#define SPARE 1024

void
tz_mask_stream_init(TzMaskStream *s, const TzMask *mask)
{
	s->mask = mask;
	s->seen = 0;
	tz_buf_init_secret(&s->held, SIZE_MAX);
}

void
tz_mask_stream_free(TzMaskStream *s)
{
	tz_buf_wipe(&s->held);
	s->seen = 0;
}

/* Forgets what was given out, but for its last byte. */
static void
forget(TzMaskStream *s, size_t to)
{
	if (to <= s->seen)
		return;
	memmove(s->held.data, s->held.data + to - 1, s->held.len - (to - 1));
	s->held.len -= to - 1;
	s->seen = 1;
}

static TzStatus
give(TzMaskStream *s, bool end, bool cut, TzBuf *out)
{
	TzSlice text = tz_buf_slice(&s->held);
	MaskSpans spans = {0};
	size_t safe = text.len;
	TzStatus status;

	if (text.len == s->seen)
		return TZ_OK;
	status = tz_mask_find(s->mask, text, s->seen, cut, &spans, end ? NULL : &safe);
	if (status == TZ_OK)
		status = tz_mask_write(text, s->seen, safe, &spans, out);
	free(spans.list);
	forget(s, safe);
	return status;
}

TzStatus
tz_mask_stream_feed(TzMaskStream *s, TzSlice piece, TzBuf *out)
{
	TzStatus status;

	if (s->mask == NULL)
		return tz_buf_append(out, piece.data, piece.len);
	if (piece.len == 0)
		return TZ_OK;
	status = tz_buf_append(&s->held, piece.data, piece.len);
	if (status == TZ_OK)
		status = give(s, false, false, out);
	if (status == TZ_OK && s->held.len > (size_t) s->mask->deepest * SPELLED_MAX + SPARE)
		status = TZ_TOO_LARGE;
	return status;
}

TzStatus
tz_mask_stream_end(TzMaskStream *s, bool cut, TzBuf *out)
{
	if (s->mask == NULL)
		return TZ_OK;
	return give(s, true, cut, out);
}
