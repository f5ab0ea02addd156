/*-------------------------------------------------------------------------
 *
 * sse.c
 *	  Server-sent events, taken in as they come off the wire.
 *
 * Lines end in LF, CR or CRLF. A line that lies whole in what was fed is read in
 * place; only what is cut is kept. Comments (keep-alives) are passed over without
 * keeping a byte, however long they are. Of the fields only "event" and "data"
 * mean anything here.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "lib/sse.h"

#define KEEP_CAP 8192 /* memory above this is given back after an event */

static TzStatus take_bytes(TzSse *sse, const char *p, size_t len);
static TzStatus take_line(TzSse *sse, const char *line, size_t len);
static TzStatus take_field(TzSse *sse, TzSlice field, TzSlice value);
static TzStatus dispatch(TzSse *sse, bool terminated);
static size_t line_length(const char *p, size_t len);
static void shrink(TzBuf *buf);

void
tz_sse_init(TzSse *sse, size_t max_line, size_t max_event, TzSseCallback callback, void *arg)
{
	memset(sse, 0, sizeof(*sse));
	sse->callback = callback;
	sse->arg = arg;
	tz_buf_init(&sse->line, max_line);
	tz_buf_init(&sse->data, max_event);
}

void
tz_sse_free(TzSse *sse)
{
	tz_buf_free(&sse->line);
	tz_buf_free(&sse->data);
}

TzStatus
tz_sse_feed(TzSse *sse, TzSlice bytes)
{
	if (sse->status == TZ_OK && bytes.len > 0)
		sse->status = take_bytes(sse, bytes.data, bytes.len);
	return sse->status;
}

TzStatus
tz_sse_end(TzSse *sse, bool *clean)
{
	*clean = sse->status == TZ_OK && sse->line.len == 0 && !sse->has_data && sse->place != TZ_SSE_SKIP;
	if (sse->status == TZ_OK && sse->line.len > 0)
		sse->status = take_line(sse, sse->line.data, sse->line.len);
	tz_buf_reset(&sse->line);
	if (sse->status == TZ_OK)
		sse->status = dispatch(sse, false);
	return sse->status;
}

static TzStatus
take_bytes(TzSse *sse, const char *p, size_t len)
{
	const char *end = p + len;
	TzStatus status = TZ_OK;

	while (status == TZ_OK && p < end)
	{
		size_t n;

		if (sse->after_cr)
		{
			sse->after_cr = false;
			if (*p == '\n')
			{
				p++;
				continue;
			}
		}
		n = line_length(p, (size_t) (end - p));
		if (sse->place != TZ_SSE_SKIP && sse->line.len == 0 && n > 0 && *p == ':')
			sse->place = TZ_SSE_SKIP;
		if (p + n == end)
		{
			if (sse->place != TZ_SSE_SKIP)
				status = tz_buf_append(&sse->line, p, n);
			break;
		}
		if (sse->place == TZ_SSE_SKIP)
			sse->place = TZ_SSE_LINE;
		else if (sse->line.len == 0)
			status = n <= sse->line.max ? take_line(sse, p, n) : TZ_TOO_LARGE;
		else
		{
			status = tz_buf_append(&sse->line, p, n);
			if (status == TZ_OK)
				status = take_line(sse, sse->line.data, sse->line.len);
			tz_buf_reset(&sse->line);
			shrink(&sse->line);
		}
		sse->after_cr = p[n] == '\r';
		p += n + 1;
	}
	return status;
}

/* Up to the first CR or LF, or all of it. */
static size_t
line_length(const char *p, size_t len)
{
	const char *lf = memchr(p, '\n', len);
	const char *cr;

	if (lf != NULL)
		len = (size_t) (lf - p);
	cr = memchr(p, '\r', len);
	return cr != NULL ? (size_t) (cr - p) : len;
}

/* One line without its end. */
static TzStatus
take_line(TzSse *sse, const char *line, size_t len)
{
	const char *colon;
	TzSlice value = {NULL, 0};

	if (sse->place == TZ_SSE_START && len >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0)
	{
		line += 3;
		len -= 3;
	}
	sse->place = TZ_SSE_LINE;
	if (len == 0)
		return dispatch(sse, true);
	colon = memchr(line, ':', len);
	if (colon == line)
		return TZ_OK; /* a comment behind a byte order mark */
	if (colon != NULL)
	{
		value = tz_slice(colon + 1, len - (size_t) (colon + 1 - line));
		if (value.len > 0 && value.data[0] == ' ')
			value = tz_slice(value.data + 1, value.len - 1);
		len = (size_t) (colon - line);
	}
	return take_field(sse, tz_slice(line, len), value);
}

static TzStatus
take_field(TzSse *sse, TzSlice field, TzSlice value)
{
	if (tz_slice_eq_cstr(field, "data"))
	{
		if (sse->has_data)
			tz_buf_append_byte(&sse->data, '\n');
		sse->has_data = true;
		return tz_buf_append(&sse->data, value.data, value.len);
	}
	if (tz_slice_eq_cstr(field, "event"))
	{
		/* a name longer than any that is known is unknown either way */
		sse->name_len = value.len < TZ_SSE_NAME_MAX ? value.len : TZ_SSE_NAME_MAX;
		if (sse->name_len > 0)
			memcpy(sse->name, value.data, sse->name_len);
	}
	return TZ_OK;
}

/* An event without data is none, but its name ends with it. */
static TzStatus
dispatch(TzSse *sse, bool terminated)
{
	TzSseEvent event = {.name = tz_slice(sse->name, sse->name_len),
	                    .data = tz_slice(sse->data.data != NULL ? sse->data.data : "", sse->data.len),
	                    .terminated = terminated};
	TzStatus status = TZ_OK;

	if (sse->has_data)
		status = sse->callback(sse->arg, &event);
	sse->has_data = false;
	sse->name_len = 0;
	tz_buf_reset(&sse->data);
	shrink(&sse->data);
	return status;
}

/* One large event must not hold its memory for the rest of a slow stream. */
static void
shrink(TzBuf *buf)
{
	if (buf->cap > KEEP_CAP)
		tz_buf_free(buf);
}
