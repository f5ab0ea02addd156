/*-------------------------------------------------------------------------
 *
 * buf.h
 *	  Slices (borrowed bytes) and growing buffers with a mandatory ceiling.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_BUF_H
#define TZ_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/status.h"

/* Borrowed bytes; not terminated. */
typedef struct TzSlice
{
	const char *data;
	size_t len;
} TzSlice;

/* Owned bytes (malloc); data[len] is always 0 once anything was appended. */
typedef struct TzBuf
{
	char *data;
	size_t len;
	size_t cap;
	size_t max; /* ceiling on len, fixed at init */
	TzStatus status; /* sticky: first failure */
	bool secret; /* old memory is zeroed when it grows or goes */
} TzBuf;

extern TzSlice tz_slice(const char *data, size_t len);
extern TzSlice tz_slice_cstr(const char *s); /* NULL gives empty */
extern bool tz_slice_eq(TzSlice a, TzSlice b);
extern bool tz_slice_eq_cstr(TzSlice a, const char *s);

extern void tz_buf_init(TzBuf *buf, size_t max);
extern void tz_buf_init_secret(TzBuf *buf, size_t max); /* for plaintext and keys */
extern TzStatus tz_buf_reserve(TzBuf *buf, size_t more); /* room for more bytes after len */
extern TzStatus tz_buf_append(TzBuf *buf, const void *data, size_t len);
extern TzStatus tz_buf_append_cstr(TzBuf *buf, const char *s);
extern TzStatus tz_buf_append_byte(TzBuf *buf, char c);
extern TzStatus tz_buf_printf(TzBuf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
extern void tz_buf_reset(TzBuf *buf); /* len = 0, memory kept */
extern void tz_buf_wipe(TzBuf *buf); /* zeroes, then frees */
extern void tz_buf_free(TzBuf *buf);
extern TzSlice tz_buf_slice(const TzBuf *buf);

#endif /* TZ_BUF_H */
