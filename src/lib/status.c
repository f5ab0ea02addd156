/*-------------------------------------------------------------------------
 *
 * status.c
 *	  Status codes and bounded messages for code below the server.
 *
 * Messages are formatted into fixed arrays: an error path never allocates,
 * so reporting "out of memory" cannot itself fail. A message that does not
 * fit is cut at a character boundary, because it ends up in a server message
 * that must be valid UTF-8.
 *
 *-------------------------------------------------------------------------
 */
#include "lib/status.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static void err_format(char *out, size_t size, const char *fmt, va_list args)
	__attribute__((format(printf, 3, 0)));

/* Makes err empty and TZ_OK. err may be NULL. */
void
tz_err_clear(TzErr *err)
{
	if (err != NULL)
		memset(err, 0, sizeof(*err));
}

/* Sets status and message, forgets detail and hint of an earlier fault. */
TzStatus
tz_err_set(TzErr *err, TzStatus status, const char *fmt, ...)
{
	va_list args;

	if (err == NULL)
		return status;

	err->status = status;
	err->detail[0] = '\0';
	err->hint[0] = '\0';
	va_start(args, fmt);
	err_format(err->message, sizeof(err->message), fmt, args);
	va_end(args);
	return status;
}

/* Adds facts to a fault that tz_err_set has named. err may be NULL. */
void
tz_err_detail(TzErr *err, const char *fmt, ...)
{
	va_list args;

	if (err == NULL)
		return;
	va_start(args, fmt);
	err_format(err->detail, sizeof(err->detail), fmt, args);
	va_end(args);
}

/* Says what to do about it. err may be NULL. */
void
tz_err_hint(TzErr *err, const char *fmt, ...)
{
	va_list args;

	if (err == NULL)
		return;
	va_start(args, fmt);
	err_format(err->hint, sizeof(err->hint), fmt, args);
	va_end(args);
}

/* Stable lower-case word for a status; never NULL. */
const char *
tz_status_name(TzStatus status)
{
	switch (status)
	{
		case TZ_OK:
			return "ok";
		case TZ_NOMEM:
			return "out_of_memory";
		case TZ_TOO_LARGE:
			return "too_large";
		case TZ_BAD_INPUT:
			return "bad_input";
		case TZ_BAD_ANSWER:
			return "bad_answer";
		case TZ_REFUSED:
			return "refused";
		case TZ_UNAVAILABLE:
			return "unavailable";
		case TZ_TIMEOUT:
			return "timeout";
		case TZ_UNSUPPORTED:
			return "unsupported";
		case TZ_GONE:
			return "gone";
		case TZ_NOT_FOUND:
			return "not_found";
		case TZ_CANCELLED:
			return "cancelled";
		case TZ_CRYPTO:
			return "crypto";
		case TZ_INTERNAL:
			return "internal";
	}
	return "unknown";
}

/* vsnprintf that never leaves half a UTF-8 character at the end. */
static void
err_format(char *out, size_t size, const char *fmt, va_list args)
{
	int n = vsnprintf(out, size, fmt, args);
	size_t end;

	if (n < 0)
	{
		out[0] = '\0';
		return;
	}
	if ((size_t) n < size)
		return;

	/* Cut: step back over continuation bytes, then over their lead byte. */
	end = size - 1;
	while (end > 0 && ((unsigned char) out[end - 1] & 0xC0) == 0x80)
		end--;
	if (end > 0 && ((unsigned char) out[end - 1] & 0x80) != 0)
		end--;
	out[end] = '\0';
}
