/* records.c, record_shape.c: what programs report, out of what they print. */
#include "tz_test.h"

#include "lib/json.h"
#include "lib/record_shape.h"
#include "lib/records.h"

#define NONCE "0123456789abcdef0123456789abcdef"
#define MARK "\x1etheazo1 " NONCE " "

/* What is left of a text that comes in pieces of so many bytes, and what its frames say. */
static void
sift(const char *text, size_t len, size_t piece, TzBuf *out, TzRecords *records)
{
	TzRecordCut cut;

	tz_record_cut_init(&cut, tz_slice_cstr(NONCE), tz_records_frame, records);
	for (size_t at = 0; at < len; at += piece)
	{
		size_t n = len - at < piece ? len - at : piece;
		char *copy = malloc(n);

		memcpy(copy, text + at, n);
		assert_int_equal(tz_record_cut_feed(&cut, tz_slice(copy, n), out), TZ_OK);
		assert_true(cut.held.len <= TZ_RECORD_FRAME_MAX);
		free(copy);
	}
	assert_int_equal(tz_record_cut_end(&cut, out), TZ_OK);
	tz_record_cut_free(&cut);
}

/* However it is cut, the same is left and the same is said. list: types and messages; NULL: no document. */
static void
check_len(const char *text, size_t len, const char *left, const char *said)
{
	for (size_t piece = 1; piece <= len + 1; piece = piece < 200 ? piece + 1 : piece * 2)
	{
		TzRecords *records = tz_records_new();
		char got[4096] = "";
		size_t at = 0;
		json_t *doc;
		json_t *one;
		size_t i;
		TzBuf out;

		tz_buf_init(&out, SIZE_MAX);
		sift(text, len, piece, &out, records);
		assert_string_equal(out.data != NULL ? out.data : "", left);
		doc = tz_records_document(records);
		json_array_foreach (json_object_get(doc, "list"), i, one)
			at += (size_t) snprintf(got + at, sizeof(got) - at, "%s:%s ",
			                        json_string_value(json_object_get(one, "t")),
			                        json_string_value(json_object_get(one, "message")));
		if (doc != NULL)
			snprintf(got + at, sizeof(got) - at, "d%d s%d",
			         (int) json_integer_value(json_object_get(doc, "dropped")),
			         (int) json_integer_value(json_object_get(doc, "spoiled")));
		assert_string_equal(got, said != NULL ? said : "");
		json_decref(doc);
		tz_buf_free(&out);
		tz_records_free(records);
	}
}

static void
check(const char *text, const char *left, const char *said)
{
	check_len(text, strlen(text), left, said);
}

#define LOG(m) "{\"t\":\"log\",\"message\":\"" m "\"}"

static void
test_frames(void **state)
{
	(void) state;
	check("plain\n", "plain\n", NULL);
	check("a" MARK "00000001 1 ." LOG("x") "\nb", "ab", "log:x d0 s0");
	check(MARK "00000001 1 ." LOG("x") "\r\n" MARK "00000001 2 ." LOG("y") "\n", "", "log:x log:y d0 s0");
	/* another nonce, no nonce, half a mark */
	check("\x1etheazo1 00000000000000000000000000000000 00000001 1 ." LOG("x") "\n",
	      "\x1etheazo1 00000000000000000000000000000000 00000001 1 ." LOG("x") "\n", NULL);
	check("\x1e\x1e\x1etheazo", "\x1e\x1e\x1etheazo", NULL);
	check("\x1e" MARK "00000001 1 ." LOG("x") "\n", "\x1e", "log:x d0 s0");
	/* one that another interrupts is none */
	check(MARK "00000001 1 ." MARK "00000002 1 ." LOG("x") "\n", MARK "00000001 1 .", "log:x d0 s0");
	check(MARK "00000001 1 .\x07\n", MARK "00000001 1 .\x07\n", NULL);
	/* the end within a frame */
	check("a" MARK "00000001 1 ." LOG("x"), "a", NULL);
	check("a\x1etheazo1 0123", "a\x1etheazo1 0123", NULL);
}

static void
test_frame_too_long(void **state)
{
	size_t n = TZ_RECORD_FRAME_MAX + 100;
	char *text = malloc(n + 1);

	(void) state;
	memset(text, 'x', n);
	memcpy(text, MARK, strlen(MARK));
	text[n - 1] = '\n';
	text[n] = '\0';
	check_len(text, n, text, NULL);
	free(text);
}

static void
test_numbers(void **state)
{
	(void) state;
	/* again, out of order, two writers */
	check(MARK "00000001 2 ." LOG("x") "\n" MARK "00000001 2 ." LOG("x") "\n" MARK "00000001 1 ." LOG(
			  "y") "\n" MARK "0000000a 1 ." LOG("z") "\n",
	      "", "log:x log:z d0 s2");
	/* in parts, with another's between; a part missing */
	check(MARK "00000001 1 +{\"t\":\"log\",\n" MARK
	           "00000002 1 ." LOG("o") "\n" MARK "00000001 2 .\"message\":\"p\"}\n",
	      "", "log:o log:p d0 s0");
	check(MARK "00000001 1 +{\"t\":\"log\",\n" MARK "00000001 3 .\"message\":\"p\"}\n", "", "d0 s2");
	/* no writer, no number, no kind */
	check(MARK "x\n" MARK "0000000G 1 .{}\n" MARK "00000001 x .{}\n" MARK "00000001 0 .{}\n" MARK
	           "00000001 1 *{}\n" MARK "00000001 12345678901 .{}\n" MARK "\n",
	      "", "d0 s7");
}

static void
test_ceilings(void **state)
{
	TzRecords *records = tz_records_new();
	char body[128];
	TzBuf large;
	json_t *doc;

	(void) state;
	for (int i = 0; i < TZ_RECORD_WRITERS_MAX + 3; i++)
	{
		snprintf(body, sizeof(body), "%08x 1 .%s", i, LOG("w"));
		tz_records_frame(records, tz_slice_cstr(body));
	}
	/* one record of too many parts */
	tz_buf_init(&large, SIZE_MAX);
	for (int i = 2; i < 30; i++)
	{
		large.len = 0;
		tz_buf_printf(&large, "00000000 %d %c%04000d", i, i == 29 ? '.' : '+', 7);
		tz_records_frame(records, tz_buf_slice(&large));
	}
	for (int i = 0; i < TZ_RECORDS_MAX; i++)
	{
		snprintf(body, sizeof(body), "00000001 %d .%s", i + 2, LOG("w"));
		tz_records_frame(records, tz_slice_cstr(body));
	}
	doc = tz_records_document(records);
	assert_int_equal(json_array_size(json_object_get(doc, "list")), TZ_RECORDS_MAX);
	assert_int_equal(json_integer_value(json_object_get(doc, "dropped")), 3 + 1 + TZ_RECORD_WRITERS_MAX);
	json_decref(doc);
	tz_buf_free(&large);
	tz_records_free(records);
}

static void
shape(const char *text, const char *expected)
{
	json_t *record = tz_record_shape(tz_slice_cstr(text));
	TzBuf out;

	tz_buf_init(&out, SIZE_MAX);
	if (record != NULL)
		assert_int_equal(tz_json_dump(record, &out, NULL), TZ_OK);
	if (expected == NULL)
		assert_null(record);
	else
		assert_string_equal(out.data, expected);
	json_decref(record);
	tz_buf_free(&out);
}

static void
test_shapes(void **state)
{
	(void) state;
	shape("{\"t\":\"log\",\"message\":\"m\",\"level\":\"odd\",\"run\":\"x\",\"metadata\":{\"a\":1}}",
	      "{\"t\":\"log\",\"level\":\"info\",\"message\":\"m\",\"metadata\":{\"a\":1}}");
	shape("{\"t\":\"log\"}", NULL);
	shape("{\"t\":\"log\",\"message\":5}", NULL);
	shape("{\"t\":\"log\",\"message\":\"m\",\"level\":1}", NULL);
	shape("{\"t\":\"log\",\"message\":\"m\",\"metadata\":[]}", NULL);
	shape("{\"t\":\"log\",\"message\":\"m\",\"at\":\"now\"}", NULL);
	shape("{\"t\":\"kill\"}", NULL);
	shape("[]", NULL);
	shape("{\"t\":\"log\",\"message\":\"a\\u0000b\"}", NULL);
	shape(
		"{\"t\":\"span\",\"name\":\"n\",\"start\":1700000000000,\"end\":1700000000001.5,\"status\":\"failed\"}",
		"{\"t\":\"span\",\"name\":\"n\",\"start\":1700000000000,\"end\":1700000000001.5,\"status\":\"failed\"}");
	shape("{\"t\":\"span\",\"name\":\"n\",\"start\":1700000000001,\"end\":1700000000000}", NULL);
	shape("{\"t\":\"span\",\"name\":\"n\",\"start\":1700000000001}", NULL);
	shape("{\"t\":\"progress\",\"percentage\":400,\"message\":\"m\"}",
	      "{\"t\":\"progress\",\"percentage\":100,\"message\":\"m\"}");
	shape("{\"t\":\"progress\",\"percentage\":\"5\"}", NULL);
	shape("{\"t\":\"complete\"}", "{\"t\":\"complete\",\"artifacts\":[],\"output\":null}");
	shape("{\"t\":\"complete\",\"output\":[1],\"artifacts\":[\"a\",\"\"]}",
	      "{\"t\":\"complete\",\"artifacts\":[\"a\"],\"output\":[1]}");
	shape("{\"t\":\"complete\",\"artifacts\":[1]}", NULL);
	shape("{\"t\":\"model\",\"model\":\"m\",\"inputTokens\":-1,\"outputTokens\":1e300}",
	      "{\"t\":\"model\",\"model\":\"m\",\"inputTokens\":0,\"outputTokens\":1000000000000}");
}

static void
test_take(void **state)
{
	json_t *result = json_pack("{s:s, s:s, s:s}", "stdout", "a" MARK "00000001 1 ." LOG("x") "\nb", "stderr",
	                           "plain", "records", "theirs");

	(void) state;
	assert_true(tz_records_take(result, tz_slice_cstr(NONCE)));
	assert_string_equal(json_string_value(json_object_get(result, "stdout")), "ab");
	assert_string_equal(json_string_value(json_object_get(result, "stderr")), "plain");
	assert_int_equal(json_array_size(json_object_get(json_object_get(result, "records"), "list")), 1);
	json_object_set_new(result, "records", json_string("theirs"));
	assert_true(tz_records_take(result, tz_slice_cstr(NONCE)));
	assert_null(json_object_get(result, "records"));
	/* without a nonce nothing is a record */
	json_object_set_new(result, "stdout", json_string("a" MARK "00000001 1 ." LOG("x") "\nb"));
	assert_true(tz_records_take(result, tz_slice_cstr("")));
	assert_string_equal(json_string_value(json_object_get(result, "stdout")),
	                    "a" MARK "00000001 1 ." LOG("x") "\nb");
	json_decref(result);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames),  cmocka_unit_test(test_frame_too_long),
		cmocka_unit_test(test_numbers), cmocka_unit_test(test_ceilings),
		cmocka_unit_test(test_shapes),  cmocka_unit_test(test_take),
	};

	return cmocka_run_group_tests_name("records", tests, NULL, NULL);
}
