/*
 * Raw parts of a document. Of any text the parts lie inside; of one that the parser
 * takes, each part parses to what the parser found there.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/json_raw.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
inside(TzSlice text, TzSlice part)
{
	if (part.data < text.data || part.data + part.len > text.data + text.len)
		abort();
}

static void
same(TzSlice part, json_t *value)
{
	const TzJsonLimits limits = {.max_bytes = SIZE_MAX,
	                             .max_depth = 64,
	                             .max_values = 100000,
	                             .flags = TZ_JSON_ANY | TZ_JSON_NUL | TZ_JSON_DUPLICATES};
	json_t *got;

	if (tz_json_parse(part, &limits, &got, NULL) != TZ_OK || !json_equal(got, value))
		abort();
	json_decref(got);
}

static void
check(TzSlice text, json_t *doc)
{
	const char *key;
	json_t *value;
	TzSlice part;
	size_t at = 0;
	size_t n = 0;

	json_object_foreach (doc, key, value)
	{
		/* a key that was written with escapes is not found */
		if (tz_json_raw_member(text, key, &part))
			same(part, value);
		else if (memchr(text.data, '\\', text.len) == NULL)
			abort();
	}
	while (json_is_array(doc) && tz_json_raw_item(text, &at, &part))
	{
		same(part, json_array_get(doc, n));
		n++;
	}
	if (n != json_array_size(doc))
		abort();
}

/* Compact text means the same, and is compact already. */
static void
compact(TzSlice text, json_t *doc)
{
	TzBuf once;
	TzBuf twice;

	tz_buf_init(&once, text.len);
	tz_buf_init(&twice, text.len);
	if (tz_json_raw_compact(text, &once) != TZ_OK)
		abort();
	if (doc != NULL)
	{
		same(tz_buf_slice(&once), doc);
		if (tz_json_raw_compact(tz_buf_slice(&once), &twice) != TZ_OK ||
		    !tz_slice_eq(tz_buf_slice(&once), tz_buf_slice(&twice)))
			abort();
	}
	tz_buf_free(&once);
	tz_buf_free(&twice);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const TzJsonLimits limits = {.max_bytes = 100000,
	                             .max_depth = 64,
	                             .max_values = 10000,
	                             .flags = TZ_JSON_DUPLICATES};
	char *copy = malloc(size + 1);
	TzSlice text = {copy, size};
	TzSlice part;
	json_t *doc;
	size_t at = 0;

	memcpy(copy, data, size);
	if (tz_json_raw_member(text, "a", &part))
		inside(text, part);
	for (int i = 0; i < 1000 && tz_json_raw_item(text, &at, &part); i++)
		inside(text, part);
	compact(text, NULL);
	/* a key with a member whose other spelling has the same meaning: two of one name */
	if (tz_json_parse(text, &limits, &doc, NULL) == TZ_OK)
	{
		if (json_is_array(doc) || memchr(text.data, '\\', text.len) == NULL)
			check(text, doc);
		compact(text, doc);
		json_decref(doc);
	}
	free(copy);
	return 0;
}
