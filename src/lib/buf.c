/*-------------------------------------------------------------------------
 *
 * buf.c
 *	  Slices (borrowed bytes) and growing buffers with a mandatory ceiling.
 *
 * The first failure sticks: a caller may append many times and look at
 * status once. After a failure nothing more is appended, so what is there is
 * always a true prefix of what was asked for.
 *
 *-------------------------------------------------------------------------
 */
#include "lib/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TZ_BUF_FIRST 256

static TzStatus buf_fail(TzBuf *buf, TzStatus status);

TzSlice
tz_slice(const char *data, size_t len)
{
	TzSlice s = {data, len};

	return s;
}

TzSlice
tz_slice_cstr(const char *s)
{
	TzSlice r = {s, s == NULL ? 0 : strlen(s)};

	return r;
}

bool
tz_slice_eq(TzSlice a, TzSlice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool
tz_slice_eq_cstr(TzSlice a, const char *s)
{
	return tz_slice_eq(a, tz_slice_cstr(s));
}

/* An empty buffer that holds at most max bytes; allocates nothing yet. */
void
tz_buf_init(TzBuf *buf, size_t max)
{
	memset(buf, 0, sizeof(*buf));
	/* One byte is kept for the terminator, so the sum below cannot overflow. */
	buf->max = max < SIZE_MAX / 2 ? max : SIZE_MAX / 2;
}

/* The same for secrets: no copy stays behind in freed memory. */
void
tz_buf_init_secret(TzBuf *buf, size_t max)
{
	tz_buf_init(buf, max);
	buf->secret = true;
}

/* Makes room for `more` bytes after len, without changing len. */
TzStatus
tz_buf_reserve(TzBuf *buf, size_t more)
{
	size_t need;
	size_t cap;
	char *data;

	if (buf->status != TZ_OK)
		return buf->status;
	if (more > buf->max - buf->len)
		return buf_fail(buf, TZ_TOO_LARGE);

	need = buf->len + more + 1;
	if (need <= buf->cap)
		return TZ_OK;

	cap = buf->cap > 0 ? buf->cap : TZ_BUF_FIRST;
	while (cap < need)
		cap *= 2;
	if (cap > buf->max + 1)
		cap = buf->max + 1;

	if (buf->secret)
	{
		/* realloc could leave the old bytes in freed memory */
		data = malloc(cap);
		if (data == NULL)
			return buf_fail(buf, TZ_NOMEM);
		if (buf->data != NULL)
		{
			memcpy(data, buf->data, buf->len + 1);
			explicit_bzero(buf->data, buf->cap);
			free(buf->data);
		}
		else
			data[0] = '\0';
	}
	else
	{
		data = realloc(buf->data, cap);
		if (data == NULL)
			return buf_fail(buf, TZ_NOMEM);
		data[buf->len] = '\0';
	}
	buf->data = data;
	buf->cap = cap;
	return TZ_OK;
}

TzStatus
tz_buf_append(TzBuf *buf, const void *data, size_t len)
{
	TzStatus status = tz_buf_reserve(buf, len);

	if (status != TZ_OK)
		return status;
	if (len > 0)
		memcpy(buf->data + buf->len, data, len);
	buf->len += len;
	buf->data[buf->len] = '\0';
	return TZ_OK;
}

TzStatus
tz_buf_append_cstr(TzBuf *buf, const char *s)
{
	TzSlice slice = tz_slice_cstr(s);

	return tz_buf_append(buf, slice.data, slice.len);
}

TzStatus
tz_buf_append_byte(TzBuf *buf, char c)
{
	return tz_buf_append(buf, &c, 1);
}

/* Appends the whole formatted text or, when it does not fit, nothing. */
TzStatus
tz_buf_printf(TzBuf *buf, const char *fmt, ...)
{
	va_list args;
	int n;
	TzStatus status;

	if (buf->status != TZ_OK)
		return buf->status;

	va_start(args, fmt);
	n = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (n < 0)
		return buf_fail(buf, TZ_INTERNAL);

	status = tz_buf_reserve(buf, (size_t) n);
	if (status != TZ_OK)
		return status;

	va_start(args, fmt);
	vsnprintf(buf->data + buf->len, (size_t) n + 1, fmt, args);
	va_end(args);
	buf->len += (size_t) n;
	return TZ_OK;
}

/* Empty again, usable again after a failure; memory is kept. */
void
tz_buf_reset(TzBuf *buf)
{
	if (buf->data != NULL)
	{
		if (buf->secret)
			explicit_bzero(buf->data, buf->cap);
		buf->data[0] = '\0';
	}
	buf->len = 0;
	buf->status = TZ_OK;
}

/* Zeroes all memory, then frees it. The buffer can be used again. */
void
tz_buf_wipe(TzBuf *buf)
{
	if (buf->data != NULL)
		explicit_bzero(buf->data, buf->cap);
	free(buf->data);
	buf->data = NULL;
	buf->len = 0;
	buf->cap = 0;
	buf->status = TZ_OK;
}

void
tz_buf_free(TzBuf *buf)
{
	if (buf->secret)
	{
		tz_buf_wipe(buf);
		return;
	}
	free(buf->data);
	buf->data = NULL;
	buf->len = 0;
	buf->cap = 0;
	buf->status = TZ_OK;
}

TzSlice
tz_buf_slice(const TzBuf *buf)
{
	return tz_slice(buf->data, buf->len);
}

static TzStatus
buf_fail(TzBuf *buf, TzStatus status)
{
	buf->status = status;
	return status;
}
