/*-------------------------------------------------------------------------
 *
 * mask_span.c
 *	  Places in a text where something was found.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>

#include "lib/mask_internal.h"

TzStatus
tz_mask_span_add(MaskSpans *s, uint32_t start, uint32_t end)
{
	MaskSpan *fresh;

	while (s->n > 0 && s->list[s->n - 1].start >= start)
	{
		if (s->list[s->n - 1].end > end)
			end = s->list[s->n - 1].end;
		s->n--;
	}
	if (s->n > 0 && s->list[s->n - 1].end > start)
	{
		if (end > s->list[s->n - 1].end)
			s->list[s->n - 1].end = end;
		return TZ_OK;
	}
	if (s->n == s->cap)
	{
		size_t cap = s->cap == 0 ? 64 : s->cap * 2;

		fresh = realloc(s->list, cap * sizeof(MaskSpan));
		if (fresh == NULL)
			return TZ_NOMEM;
		s->list = fresh;
		s->cap = cap;
	}
	s->list[s->n].start = start;
	s->list[s->n++].end = end;
	return TZ_OK;
}

TzStatus
tz_mask_span_unite(MaskSpans *s, const MaskSpans *more)
{
	MaskSpans all = {0};
	TzStatus status = TZ_OK;
	size_t i = 0;
	size_t j = 0;

	if (more->n == 0)
		return TZ_OK;
	while (status == TZ_OK && (i < s->n || j < more->n))
	{
		const MaskSpan *next;

		if (j == more->n || (i < s->n && s->list[i].start <= more->list[j].start))
			next = &s->list[i++];
		else
			next = &more->list[j++];
		status = tz_mask_span_add(&all, next->start, next->end);
	}
	free(s->list);
	*s = all;
	return status;
}

TzStatus
tz_mask_write(TzSlice text, size_t from, size_t to, const MaskSpans *spans, TzBuf *out)
{
	size_t at = from;

	for (size_t i = 0; i < spans->n && spans->list[i].start < to; i++)
	{
		tz_buf_append(out, text.data + at, spans->list[i].start - at);
		tz_buf_append(out, "***", 3);
		at = spans->list[i].end;
	}
	return tz_buf_append(out, text.data + at, to - at);
}
