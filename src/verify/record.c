/*-------------------------------------------------------------------------
 *
 * record.c
 *	  One line of an export, taken apart.
 *
 *-------------------------------------------------------------------------
 */
#include "verify/record.h"

#include <stdio.h>
#include <string.h>

#include "lib/sign.h"

static const TzJsonLimits record_limits = {
	.max_bytes = TZ_RECORD_LINE_MAX,
	.max_depth = 16,
	.max_values = 4096,
	.flags = 0,
};

static const char *const kinds[] = {
	[TZ_RECORD_ORIGIN] = "origin", [TZ_RECORD_START] = "start",   [TZ_RECORD_SEAL] = "seal",
	[TZ_RECORD_EVENT] = "event",   [TZ_RECORD_LEAF] = "leaf",     [TZ_RECORD_CHECKPOINT] = "checkpoint",
	[TZ_RECORD_ROUND] = "round",   [TZ_RECORD_ANCHOR] = "anchor", [TZ_RECORD_END] = "end",
};

static TzStatus decimal(TzSlice text, uint64_t *out);
static TzStatus hash_of(TzSlice text, TzHash *out);
static TzStatus entry_text(const TzRecord *record, const char *name, TzBuf *space, TzSlice *out, TzErr *err);
static TzStatus entry_int(const json_t *value, const char *name, TzBuf *space, TzSlice *out, TzErr *err);
static TzStatus wrong(TzErr *err, const char *key);

TzStatus
tz_record_read(TzSlice line, TzRecord *out, TzErr *err)
{
	TzSlice kind;
	TzStatus status = tz_json_parse(line, &record_limits, &out->json, err);

	if (status == TZ_OK)
		status = tz_json_get_str(out->json, "t", true, 32, &kind, err);
	if (status != TZ_OK)
		return status;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
	{
		if (tz_slice_eq_cstr(kind, kinds[i]))
		{
			out->kind = (TzRecordKind) i;
			return TZ_OK;
		}
	}
	return tz_err_set(err, TZ_BAD_INPUT, "a line of a kind that is not known");
}

void
tz_record_free(TzRecord *record)
{
	json_decref(record->json);
	record->json = NULL;
}

TzStatus
tz_record_number(const TzRecord *record, const char *key, uint64_t min, uint64_t max, uint64_t *out,
                 TzErr *err)
{
	const json_t *value = json_object_get(record->json, key);
	uint64_t number = 0;

	if (json_is_integer(value) && json_integer_value(value) >= 0)
		number = (uint64_t) json_integer_value(value);
	else if (!json_is_string(value) ||
	         decimal(tz_slice(json_string_value(value), json_string_length(value)), &number) != TZ_OK)
		return wrong(err, key);
	if (number < min || number > max)
		return wrong(err, key);
	*out = number;
	return TZ_OK;
}

TzStatus
tz_record_time(const TzRecord *record, const char *key, int64_t *us, TzErr *err)
{
	/* far enough from the ends that sums of times cannot overflow */
	return tz_json_get_int(record->json, key, true, -(INT64_C(1) << 60), INT64_C(1) << 60, us, err);
}

TzStatus
tz_record_text(const TzRecord *record, const char *key, size_t max, TzSlice *out, TzErr *err)
{
	return tz_json_get_str(record->json, key, true, max, out, err);
}

TzStatus
tz_record_hash(const TzRecord *record, const char *key, TzHash *out, TzErr *err)
{
	const json_t *value = json_object_get(record->json, key);

	if (!json_is_string(value) ||
	    hash_of(tz_slice(json_string_value(value), json_string_length(value)), out) != TZ_OK)
		return wrong(err, key);
	return TZ_OK;
}

TzStatus
tz_record_hashes(const TzRecord *record, const char *key, int max, TzHash *out, int *n, TzErr *err)
{
	const json_t *list = json_object_get(record->json, key);
	const json_t *value;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) > (size_t) max)
		return wrong(err, key);
	json_array_foreach (list, i, value)
	{
		if (!json_is_string(value) ||
		    hash_of(tz_slice(json_string_value(value), json_string_length(value)), &out[i]) != TZ_OK)
			return wrong(err, key);
	}
	*n = (int) json_array_size(list);
	return TZ_OK;
}

TzStatus
tz_record_bytes(const TzRecord *record, const char *key, bool *found, TzBuf *out, TzErr *err)
{
	const json_t *value = json_object_get(record->json, key);

	*found = value != NULL && !json_is_null(value);
	if (!*found)
		return TZ_OK;
	if (!json_is_string(value) ||
	    tz_base64_decode(tz_slice(json_string_value(value), json_string_length(value)), out, err) != TZ_OK)
		return wrong(err, key);
	return TZ_OK;
}

TzStatus
tz_record_entry(const TzRecord *record, TzBuf *space, TzEntry *out, TzErr *err)
{
	TzStatus status = TZ_OK;

	memset(out, 0, sizeof(*out));
	tz_buf_reset(space);
	/* all at once, so that nothing that points into it moves */
	if (tz_buf_reserve(space, TZ_RECORD_LINE_MAX + TZ_ENTRY_FIELDS * TZ_ENTRY_INT_MAX) != TZ_OK)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	for (int i = 0; i < TZ_ENTRY_FIELDS && status == TZ_OK; i++)
	{
		const char *name = i == TZ_ENTRY_OCCURRED_AT ? "occurred_at_us" : tz_entry_names[i];
		const json_t *value = json_object_get(record->json, name);

		if (i == TZ_ENTRY_NUMBER || i == TZ_ENTRY_OCCURRED_AT || i == TZ_ENTRY_XID)
			status = entry_int(value, name, space, &out->field[i], err);
		else if (i == TZ_ENTRY_VIOLATION)
		{
			if (!json_is_boolean(value))
				return wrong(err, name);
			out->field[i] = tz_slice(json_is_true(value) ? "t" : "f", 1);
		}
		else
			status = entry_text(record, name, space, &out->field[i], err);
	}
	return status;
}

/* Text, or the same in base64 under name_b64 where it is no text that JSON can carry. */
static TzStatus
entry_text(const TzRecord *record, const char *name, TzBuf *space, TzSlice *out, TzErr *err)
{
	const json_t *value = json_object_get(record->json, name);
	char encoded[40];
	size_t start = space->len;
	bool found;
	TzStatus status;

	if (json_is_string(value))
	{
		*out = tz_slice(json_string_value(value), json_string_length(value));
		return TZ_OK;
	}
	if (value != NULL && !json_is_null(value))
		return wrong(err, name);
	snprintf(encoded, sizeof(encoded), "%s_b64", name);
	status = tz_record_bytes(record, encoded, &found, space, err);
	if (status == TZ_OK && found)
		*out = tz_slice(space->data + start, space->len - start);
	return status;
}

static TzStatus
entry_int(const json_t *value, const char *name, TzBuf *space, TzSlice *out, TzErr *err)
{
	char digits[TZ_ENTRY_INT_MAX];
	TzSlice text;
	size_t start = space->len;
	uint64_t number;

	if (json_is_integer(value))
		text = tz_entry_int(json_integer_value(value), digits);
	else if (json_is_string(value))
	{
		text = tz_slice(json_string_value(value), json_string_length(value));
		if (decimal(text, &number) != TZ_OK)
			return wrong(err, name);
	}
	else
		return wrong(err, name);
	if (tz_buf_append(space, text.data, text.len) != TZ_OK)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	*out = tz_slice(space->data + start, space->len - start);
	return TZ_OK;
}

/* One way to write a number: no sign, no leading zeros. */
static TzStatus
decimal(TzSlice text, uint64_t *out)
{
	uint64_t number = 0;

	if (text.len == 0 || text.len > 20 || (text.len > 1 && text.data[0] == '0'))
		return TZ_BAD_INPUT;
	for (size_t i = 0; i < text.len; i++)
	{
		if (text.data[i] < '0' || text.data[i] > '9' || __builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, (uint64_t) (text.data[i] - '0'), &number))
			return TZ_BAD_INPUT;
	}
	*out = number;
	return TZ_OK;
}

static TzStatus
hash_of(TzSlice text, TzHash *out)
{
	TzBuf bytes;
	TzStatus status = TZ_BAD_INPUT;

	tz_buf_init(&bytes, 2 * TZ_HASH_LEN);
	if (text.len == 44 && tz_base64_decode(text, &bytes, NULL) == TZ_OK && bytes.len == TZ_HASH_LEN)
	{
		memcpy(out->bytes, bytes.data, TZ_HASH_LEN);
		status = TZ_OK;
	}
	tz_buf_free(&bytes);
	return status;
}

static TzStatus
wrong(TzErr *err, const char *key)
{
	return tz_err_set(err, TZ_BAD_INPUT, "\"%s\" is missing or not what belongs there", key);
}
