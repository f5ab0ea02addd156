/*-------------------------------------------------------------------------
 *
 * tz_test.h
 *	  What every unit test includes, in the order cmocka wants.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_TEST_H
#define TZ_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/buf.h"

/* Bytes of a hex text; returns how many. */
static inline size_t
tz_test_hex(const char *hex, uint8_t *out, size_t max)
{
	size_t n = strlen(hex) / 2;

	assert_true(n <= max);
	for (size_t i = 0; i < n; i++)
	{
		unsigned int v;

		assert_int_equal(sscanf(hex + 2 * i, "%2x", &v), 1);
		out[i] = (uint8_t) v;
	}
	return n;
}

static inline TzSlice
tz_test_slice(const uint8_t *data, size_t len)
{
	return tz_slice((const char *) data, len);
}

#endif /* TZ_TEST_H */
