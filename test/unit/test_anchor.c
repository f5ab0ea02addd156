/* lib/anchor.c: the bytes of a round's root, and the line of the file. */
#include "tz_test.h"

#include "lib/anchor.h"
#include "lib/sign.h"

static TzAnchor
sample(void)
{
	TzAnchor a = {.round = tz_slice_cstr("rnd_01J0000000000000000000000A"),
	              .at_us = INT64_C(1795200000123456),
	              .size = 258};

	for (int i = 0; i < TZ_ANCHOR_ROOT_LEN; i++)
		a.root[i] = (uint8_t) i;
	return a;
}

static void
test_data(void **state)
{
	TzAnchor a = sample();
	uint8_t data[TZ_ANCHOR_DATA_LEN];
	uint8_t digest[32];
	uint8_t again[32];
	TzBuf hex;

	(void) state;
	tz_anchor_data(&a, data);
	tz_buf_init(&hex, 200);
	tz_hex_append(&hex, data, sizeof(data));
	assert_string_equal(hex.data, "747a616e010000000000000102"
	                              "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
	assert_int_equal(tz_anchor_digest(&a, digest, NULL), TZ_OK);
	assert_int_equal(tz_sha256(tz_slice((const char *) data, sizeof(data)), again, NULL), TZ_OK);
	assert_memory_equal(digest, again, 32);
	tz_buf_free(&hex);
}

#define LINE                                                                          \
	"theazo-anchor-1 rnd_01J0000000000000000000000A 2026-11-20T18:40:00.123456Z 258 " \
	"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static void
test_line(void **state)
{
	TzAnchor a = sample();
	TzAnchor b;
	TzBuf line;

	(void) state;
	tz_buf_init(&line, TZ_ANCHOR_LINE_MAX);
	assert_int_equal(tz_anchor_line(&a, &line, NULL), TZ_OK);
	assert_string_equal(line.data, LINE "\n");
	assert_int_equal(tz_anchor_line_read(tz_buf_slice(&line), &b, NULL), TZ_OK);
	assert_true(tz_slice_eq(a.round, b.round));
	assert_true(a.at_us == b.at_us && a.size == b.size);
	assert_memory_equal(a.root, b.root, TZ_ANCHOR_ROOT_LEN);
	assert_int_equal(tz_anchor_line_read(tz_slice_cstr(LINE), &b, NULL), TZ_OK);
	tz_buf_free(&line);
	tz_buf_init(&line, 20);
	assert_int_equal(tz_anchor_line(&a, &line, NULL), TZ_TOO_LARGE);
	tz_buf_free(&line);
	tz_buf_init(&line, TZ_ANCHOR_LINE_MAX);
	a.round = tz_slice_cstr("rnd 1");
	assert_int_equal(tz_anchor_line(&a, &line, NULL), TZ_BAD_INPUT);
	a = sample();
	a.at_us = -1;
	assert_int_equal(tz_anchor_line(&a, &line, NULL), TZ_BAD_INPUT);
	assert_int_equal(line.len, 0);
	tz_buf_free(&line);
}

/* One character changed, left out or doubled: refused, or another anchor. */
static void
test_tampered(void **state)
{
	const char *text = LINE;
	size_t len = strlen(text);
	TzAnchor a = sample();
	TzAnchor b;

	(void) state;
	for (size_t i = 0; i < len; i++)
	{
		char copy[TZ_ANCHOR_LINE_MAX];

		memcpy(copy, text, len + 1);
		copy[i] = copy[i] == '1' ? '2' : '1';
		if (tz_anchor_line_read(tz_slice_cstr(copy), &b, NULL) == TZ_OK)
			assert_false(tz_slice_eq(a.round, b.round) && a.at_us == b.at_us && a.size == b.size &&
			             memcmp(a.root, b.root, TZ_ANCHOR_ROOT_LEN) == 0);
		assert_int_equal(tz_anchor_line_read(tz_slice(text, i), &b, NULL), TZ_BAD_INPUT);
	}
	assert_int_equal(tz_anchor_line_read(tz_slice_cstr(LINE " "), &b, NULL), TZ_BAD_INPUT);
	assert_int_equal(tz_anchor_line_read(tz_slice_cstr(LINE "\n\n"), &b, NULL), TZ_BAD_INPUT);
	assert_int_equal(
		tz_anchor_line_read(tz_slice_cstr("theazo-anchor-1 rnd_1 2026-02-30T00:00:00.000000Z 1 "
	                                      "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"),
	                        &b, NULL),
		TZ_BAD_INPUT);
	assert_int_equal(
		tz_anchor_line_read(tz_slice_cstr("theazo-anchor-1 rnd_1 2026-02-28T00:00:00.-00001Z 1 "
	                                      "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"),
	                        &b, NULL),
		TZ_BAD_INPUT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_data),
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_tampered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
