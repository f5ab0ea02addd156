/* test_checkpoint.c: signed notes by a published vector, by their round trip, and changed in every byte */
#include "tz_test.h"

#include "lib/checkpoint.h"

static const char published[] = "example.org/theazo-log\n"
								"8\n"
								"XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n"
								"\n"
								"\xe2\x80\x94 example.org/theazo-log "
								"sR1Kvr2fbWbqouzc774U0VM47rRC6ZVcVnSE5KK3gFTGM014OP8YK01fv2fUGBeNmE+Q/"
								"eMV2Mo10nKyjVJv7nhGkAs=\n";
static const char root_hex[] = "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328";

static uint8_t seed[TZ_ED25519_LEN];
static uint8_t key[TZ_ED25519_LEN];

static int
setup(void **state)
{
	memset(seed, 1, sizeof(seed));
	assert_int_equal(tz_ed25519_public(seed, key, NULL), TZ_OK);
	return 0;
}

static TzCheckpoint
head(void)
{
	TzCheckpoint out = {tz_slice_cstr("example.org/theazo-log"), 8, {{0}}, false, {{0}}};

	tz_test_hex(root_hex, out.root.bytes, TZ_HASH_LEN);
	return out;
}

static void
test_vector(void **state)
{
	TzCheckpoint in = head();
	TzCheckpoint out;
	uint8_t want[TZ_ED25519_LEN];
	TzBuf note;

	tz_test_hex("8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c", want, sizeof(want));
	assert_memory_equal(key, want, sizeof(want));
	tz_buf_init(&note, TZ_CHECKPOINT_MAX);
	assert_int_equal(tz_checkpoint_sign(&in, seed, &note, NULL), TZ_OK);
	assert_string_equal(note.data, published);
	assert_int_equal(tz_checkpoint_verify(tz_slice_cstr(published), key, &out, NULL), TZ_OK);
	assert_int_equal(out.size, 8);
	assert_false(out.has_chain);
	assert_memory_equal(out.root.bytes, in.root.bytes, TZ_HASH_LEN);
	tz_buf_free(&note);
}

static void
test_chain(void **state)
{
	TzCheckpoint in = head();
	TzCheckpoint out;
	uint8_t other[TZ_ED25519_LEN] = {7};
	TzBuf note;

	in.has_chain = true;
	memset(in.chain.bytes, 9, TZ_HASH_LEN);
	in.size = 123456789012345;
	tz_buf_init(&note, TZ_CHECKPOINT_MAX);
	assert_int_equal(tz_checkpoint_sign(&in, seed, &note, NULL), TZ_OK);
	assert_int_equal(tz_checkpoint_verify(tz_buf_slice(&note), key, &out, NULL), TZ_OK);
	assert_true(out.has_chain);
	assert_int_equal(out.size, in.size);
	assert_memory_equal(out.chain.bytes, in.chain.bytes, TZ_HASH_LEN);
	assert_true(tz_slice_eq(out.origin, in.origin));
	assert_int_equal(tz_checkpoint_verify(tz_buf_slice(&note), other, &out, NULL), TZ_CRYPTO);
	/* others sign as well, before it or behind */
	tz_buf_append_cstr(&note, "\xe2\x80\x94 witness.example AAAA\n");
	assert_int_equal(tz_checkpoint_verify(tz_buf_slice(&note), key, &out, NULL), TZ_OK);
	tz_buf_free(&note);
}

/* A note that differs in one byte is refused, whichever byte it is and whatever it becomes. */
static void
test_changed(void **state)
{
	size_t len = strlen(published);
	char *copy = malloc(len);
	TzCheckpoint out;

	for (size_t i = 0; i < len; i++)
	{
		for (int bit = 0; bit < 8; bit++)
		{
			memcpy(copy, published, len);
			copy[i] ^= (char) (1 << bit);
			assert_int_not_equal(tz_checkpoint_verify(tz_slice(copy, len), key, &out, NULL), TZ_OK);
		}
		assert_int_not_equal(tz_checkpoint_verify(tz_slice(published, i), key, &out, NULL), TZ_OK);
	}
	free(copy);
}

static void
test_bad(void **state)
{
	static const char *const bad[] = {
		"",
		"\n\n",
		"a\n1\n\n\n",
		"o\n08\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n\n\xe2\x80\x94 o AAAA\n",
		"o\n-8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n\n\xe2\x80\x94 o AAAA\n",
		"o\n99999999999999999999\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n\n\xe2\x80\x94 o AAAA\n",
		"o o\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n\n\xe2\x80\x94 o AAAA\n",
		"o\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg\n\n\xe2\x80\x94 o AAAA\n",
		"o\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\nchain x\n\n\xe2\x80\x94 o AAAA\n",
		"o\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n\n- o AAAA\n",
		"o\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n\n\xe2\x80\x94 o AAAA",
		"o\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n",
	};
	TzCheckpoint out;
	TzCheckpoint in = head();
	TzBuf note;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(tz_checkpoint_read(tz_slice_cstr(bad[i]), &out, NULL), TZ_BAD_INPUT);
	tz_buf_init(&note, TZ_CHECKPOINT_MAX);
	in.origin = tz_slice_cstr("with blank");
	assert_int_equal(tz_checkpoint_sign(&in, seed, &note, NULL), TZ_BAD_INPUT);
	in.origin = tz_slice_cstr("a+b");
	assert_int_equal(tz_checkpoint_sign(&in, seed, &note, NULL), TZ_BAD_INPUT);
	in.origin = tz_slice_cstr("");
	assert_int_equal(tz_checkpoint_sign(&in, seed, &note, NULL), TZ_BAD_INPUT);
	tz_buf_free(&note);
}

static void
test_vkey(void **state)
{
	uint8_t back[TZ_ED25519_LEN];
	TzSlice name;
	TzBuf text;

	tz_buf_init(&text, 1000);
	assert_int_equal(tz_vkey_append(tz_slice_cstr("example.org/theazo-log"), key, &text, NULL), TZ_OK);
	assert_memory_equal(text.data, "example.org/theazo-log+b11d4abe+", 32);
	assert_int_equal(tz_vkey_read(tz_buf_slice(&text), &name, back, NULL), TZ_OK);
	assert_memory_equal(back, key, sizeof(key));
	assert_true(tz_slice_eq_cstr(name, "example.org/theazo-log"));
	for (size_t i = 0; i < text.len; i++)
	{
		text.data[i] ^= 1;
		assert_int_equal(tz_vkey_read(tz_buf_slice(&text), &name, back, NULL), TZ_BAD_INPUT);
		text.data[i] ^= 1;
		assert_int_equal(tz_vkey_read(tz_slice(text.data, i), &name, back, NULL), TZ_BAD_INPUT);
	}
	tz_buf_free(&text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vector), cmocka_unit_test(test_chain), cmocka_unit_test(test_changed),
		cmocka_unit_test(test_bad),    cmocka_unit_test(test_vkey),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
