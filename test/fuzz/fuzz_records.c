/*
 * Records out of output. First byte: into how large pieces the rest is cut. However it is cut, the same
 * text is left and the same is said; a "@" stands for the mark of a frame, so that there are some.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/records.h"

#define NONCE "0123456789abcdef0123456789abcdef"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
run(TzSlice text, size_t piece, TzBuf *left, TzBuf *said)
{
	TzRecords *records = tz_records_new();
	TzRecordCut cut;
	json_t *doc;

	if (records == NULL)
		abort();
	tz_buf_init(left, SIZE_MAX);
	tz_buf_init(said, SIZE_MAX);
	tz_record_cut_init(&cut, tz_slice_cstr(NONCE), tz_records_frame, records);
	for (size_t at = 0; at < text.len; at += piece)
	{
		size_t n = text.len - at < piece ? text.len - at : piece;
		char *copy = malloc(n);

		memcpy(copy, text.data + at, n);
		if (tz_record_cut_feed(&cut, tz_slice(copy, n), left) != TZ_OK || cut.held.len > TZ_RECORD_FRAME_MAX)
			abort();
		free(copy);
	}
	if (tz_record_cut_end(&cut, left) != TZ_OK)
		abort();
	tz_record_cut_free(&cut);
	doc = tz_records_document(records);
	if (doc != NULL && tz_json_dump(doc, said, NULL) != TZ_OK)
		abort();
	if (json_array_size(json_object_get(doc, "list")) > TZ_RECORDS_MAX)
		abort();
	json_decref(doc);
	tz_records_free(records);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TzBuf text, whole, cut, said_whole, said_cut;

	if (size < 1)
		return 0;
	tz_buf_init(&text, SIZE_MAX);
	for (size_t i = 1; i < size; i++)
	{
		if (data[i] == '@')
			tz_buf_append_cstr(&text, "\x1etheazo1 " NONCE " ");
		else
			tz_buf_append_byte(&text, (char) data[i]);
	}
	run(tz_buf_slice(&text), text.len + 1, &whole, &said_whole);
	run(tz_buf_slice(&text), (size_t) data[0] % 64 + 1, &cut, &said_cut);
	if (!tz_slice_eq(tz_buf_slice(&whole), tz_buf_slice(&cut)) ||
	    !tz_slice_eq(tz_buf_slice(&said_whole), tz_buf_slice(&said_cut)) || whole.len > text.len)
		abort();
	tz_buf_free(&text);
	tz_buf_free(&whole);
	tz_buf_free(&cut);
	tz_buf_free(&said_whole);
	tz_buf_free(&said_cut);
	return 0;
}
