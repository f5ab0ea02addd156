/*-------------------------------------------------------------------------
 *
 * records.c
 *	  Frames out of output, cut anywhere, and records out of frames.
 *
 * Everything here comes from inside a sandbox, so whatever is not exactly as it
 * must be is counted and forgotten. What a record may say is in record_shape.c.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/record_shape.h"
#include "lib/records.h"

#define RS '\x1e'
#define WRITER_LEN 8
#define NUMBER_DIGITS 9
#define OUTPUT_MAX (64 * 1024 * 1024)

typedef struct Writer
{
	char name[WRITER_LEN];
	uint32_t last; /* number of its last frame */
	bool joining; /* a record has begun */
	TzBuf record;
} Writer;

struct TzRecords
{
	Writer writers[TZ_RECORD_WRITERS_MAX];
	int nwriters;
	size_t bytes;
	json_t *list;
	int64_t dropped;
	int64_t spoiled;
};

/* ---- frames out of output ------------------------------------------------------- */

bool
tz_record_nonce_ok(TzSlice nonce)
{
	if (nonce.len != TZ_RECORD_NONCE)
		return false;
	for (size_t i = 0; i < nonce.len; i++)
		if (!((nonce.data[i] >= '0' && nonce.data[i] <= '9') ||
		      (nonce.data[i] >= 'a' && nonce.data[i] <= 'f')))
			return false;
	return true;
}

void
tz_record_cut_init(TzRecordCut *cut, TzSlice nonce, TzRecordFrameFn frame, void *arg)
{
	static const char head[] = "\x1etheazo1 ";
	size_t n = sizeof(head) - 1;

	memset(cut, 0, sizeof(*cut));
	tz_buf_init(&cut->held, SIZE_MAX);
	cut->frame = frame;
	cut->arg = arg;
	if (!tz_record_nonce_ok(nonce))
		return;
	memcpy(cut->mark, head, n);
	memcpy(cut->mark + n, nonce.data, nonce.len);
	cut->mark[n + nonce.len] = ' ';
	cut->mark_len = n + nonce.len + 1;
}

void
tz_record_cut_free(TzRecordCut *cut)
{
	tz_buf_wipe(&cut->held);
	cut->mark_len = 0;
}

typedef enum Look
{
	LOOK_NONE, /* no frame begins here */
	LOOK_FRAME, /* one of len bytes does */
	LOOK_MORE /* it takes more bytes to say */
} Look;

/* at: begins with RS. */
static Look
look(const TzRecordCut *cut, TzSlice at, size_t *len)
{
	size_t most = at.len < TZ_RECORD_FRAME_MAX ? at.len : TZ_RECORD_FRAME_MAX;
	size_t known = at.len < cut->mark_len ? at.len : cut->mark_len;

	if (memcmp(at.data, cut->mark, known) != 0)
		return LOOK_NONE;
	for (size_t i = known; i < most; i++)
	{
		char c = at.data[i];

		if (c == '\n')
		{
			*len = i + 1;
			return LOOK_FRAME;
		}
		/* A terminal makes CR LF of LF. */
		if ((c < ' ' || c > '~') && c != '\r')
			return LOOK_NONE;
	}
	return at.len < TZ_RECORD_FRAME_MAX ? LOOK_MORE : LOOK_NONE;
}

static void
tell(const TzRecordCut *cut, TzSlice frame)
{
	size_t end = frame.len - 1;

	if (cut->frame == NULL)
		return;
	if (end > cut->mark_len && frame.data[end - 1] == '\r')
		end--;
	cut->frame(cut->arg, tz_slice(frame.data + cut->mark_len, end - cut->mark_len));
}

/* Answers how many bytes of text are done with. */
static size_t
sift(TzRecordCut *cut, TzSlice text, TzBuf *out)
{
	size_t pos = 0;

	while (pos < text.len)
	{
		const char *rs = memchr(text.data + pos, RS, text.len - pos);
		size_t at = rs != NULL ? (size_t) (rs - text.data) : text.len;
		size_t len = 0;

		tz_buf_append(out, text.data + pos, at - pos);
		pos = at;
		if (rs == NULL)
			break;
		switch (look(cut, tz_slice(rs, text.len - at), &len))
		{
			case LOOK_MORE:
				return pos;
			case LOOK_FRAME:
				tell(cut, tz_slice(rs, len));
				pos += len;
				break;
			case LOOK_NONE:
				tz_buf_append_byte(out, RS);
				pos++;
				break;
		}
	}
	return pos;
}

TzStatus
tz_record_cut_feed(TzRecordCut *cut, TzSlice piece, TzBuf *out)
{
	size_t done;

	if (cut->mark_len == 0)
		return tz_buf_append(out, piece.data, piece.len);
	if (cut->held.len == 0)
	{
		done = sift(cut, piece, out);
		tz_buf_append(&cut->held, piece.data + done, piece.len - done);
	}
	else
	{
		tz_buf_append(&cut->held, piece.data, piece.len);
		if (cut->held.status != TZ_OK)
			return cut->held.status;
		done = sift(cut, tz_buf_slice(&cut->held), out);
		memmove(cut->held.data, cut->held.data + done, cut->held.len - done);
		cut->held.len -= done;
	}
	return cut->held.status != TZ_OK ? cut->held.status : out->status;
}

TzStatus
tz_record_cut_end(TzRecordCut *cut, TzBuf *out)
{
	if (cut->held.len < cut->mark_len)
		tz_buf_append(out, cut->held.data, cut->held.len);
	cut->held.len = 0;
	return out->status;
}

/* ---- records out of frames --------------------------------------------------------- */

TzRecords *
tz_records_new(void)
{
	TzRecords *records = calloc(1, sizeof(*records));

	if (records == NULL)
		return NULL;
	records->list = json_array();
	if (records->list == NULL)
	{
		free(records);
		return NULL;
	}
	return records;
}

void
tz_records_free(TzRecords *records)
{
	if (records == NULL)
		return;
	for (int i = 0; i < records->nwriters; i++)
		tz_buf_wipe(&records->writers[i].record);
	json_decref(records->list);
	free(records);
}

static Writer *
find_writer(TzRecords *records, const char *name)
{
	Writer *w;

	for (int i = 0; i < records->nwriters; i++)
		if (memcmp(records->writers[i].name, name, WRITER_LEN) == 0)
			return &records->writers[i];
	if (records->nwriters == TZ_RECORD_WRITERS_MAX)
		return NULL;
	w = &records->writers[records->nwriters++];
	memcpy(w->name, name, WRITER_LEN);
	tz_buf_init(&w->record, TZ_RECORD_MAX);
	return w;
}

static bool
writer_name_ok(const char *name)
{
	for (int i = 0; i < WRITER_LEN; i++)
		if (!((name[i] >= '0' && name[i] <= '9') || (name[i] >= 'a' && name[i] <= 'f')))
			return false;
	return true;
}

/* The number at *pos and the space behind it; 0 when there is none. */
static uint32_t
take_number(TzSlice body, size_t *pos)
{
	uint32_t number = 0;
	size_t first = *pos;

	while (*pos < body.len && *pos - first < NUMBER_DIGITS && body.data[*pos] >= '0' &&
	       body.data[*pos] <= '9')
		number = number * 10 + (uint32_t) (body.data[(*pos)++] - '0');
	if (*pos == first || *pos >= body.len || body.data[*pos] != ' ')
		return 0;
	(*pos)++;
	return number;
}

static void
whole_record(TzRecords *records, TzSlice text)
{
	json_t *record;

	if (json_array_size(records->list) >= TZ_RECORDS_MAX || records->bytes + text.len > TZ_RECORDS_BYTES_MAX)
	{
		records->dropped++;
		return;
	}
	record = tz_record_shape(text);
	if (record == NULL || json_array_append_new(records->list, record) != 0)
		records->spoiled++;
	else
		records->bytes += text.len;
}

void
tz_records_frame(void *arg, TzSlice body)
{
	TzRecords *records = arg;
	size_t pos = WRITER_LEN + 1;
	uint32_t number;
	bool follows;
	Writer *w;

	if (body.len < pos + 4 || body.data[WRITER_LEN] != ' ' || !writer_name_ok(body.data) ||
	    (number = take_number(body, &pos)) == 0 || body.len < pos + 1 ||
	    (body.data[pos] != '.' && body.data[pos] != '+'))
	{
		records->spoiled++;
		return;
	}
	w = find_writer(records, body.data);
	if (w == NULL)
	{
		records->dropped++;
		return;
	}
	if (number <= w->last)
	{
		records->spoiled++;
		return;
	}
	follows = w->joining && number == w->last + 1;
	w->last = number;
	if (w->joining && !follows)
	{
		/* One of its frames is lost, and with it the record. */
		records->spoiled++;
		w->record.len = 0;
		w->record.status = TZ_OK;
	}
	tz_buf_append(&w->record, body.data + pos + 1, body.len - pos - 1);
	w->joining = body.data[pos] == '+';
	if (w->joining)
		return;
	if (w->record.status == TZ_OK)
		whole_record(records, tz_buf_slice(&w->record));
	else
		records->dropped++;
	w->record.len = 0;
	w->record.status = TZ_OK;
}

json_t *
tz_records_document(const TzRecords *records)
{
	if (json_array_size(records->list) == 0 && records->dropped == 0 && records->spoiled == 0)
		return NULL;
	return json_pack("{s:O, s:I, s:I}", "list", records->list, "dropped", (json_int_t) records->dropped,
	                 "spoiled", (json_int_t) records->spoiled);
}

json_t *
tz_records_list(const TzRecords *records)
{
	return records->list;
}

/* ---- a command's result -------------------------------------------------------------- */

static bool
take_from(json_t *result, const char *key, TzSlice nonce, TzRecords *records)
{
	json_t *string = json_object_get(result, key);
	TzRecordCut cut;
	TzBuf text;
	bool ok = true;

	if (!json_is_string(string) || memchr(json_string_value(string), RS, json_string_length(string)) == NULL)
		return true;
	tz_record_cut_init(&cut, nonce, tz_records_frame, records);
	tz_buf_init(&text, OUTPUT_MAX);
	if (tz_record_cut_feed(&cut, tz_slice(json_string_value(string), json_string_length(string)), &text) !=
	        TZ_OK ||
	    tz_record_cut_end(&cut, &text) != TZ_OK ||
	    json_string_setn_nocheck(string, text.data != NULL ? text.data : "", text.len) != 0)
		ok = false;
	tz_record_cut_free(&cut);
	tz_buf_wipe(&text);
	return ok;
}

bool
tz_records_take(json_t *result, TzSlice nonce)
{
	TzRecords *records;
	json_t *doc = NULL;
	bool ok;

	if (!tz_record_nonce_ok(nonce) || !json_is_object(result))
		return true;
	records = tz_records_new();
	ok = records != NULL && take_from(result, "stdout", nonce, records) &&
	     take_from(result, "stderr", nonce, records);
	/* Whatever somebody at the other end put there is not ours. */
	json_object_del(result, "records");
	if (ok)
		doc = tz_records_document(records);
	if (doc != NULL && json_object_set_new(result, "records", doc) != 0)
		ok = false;
	tz_records_free(records);
	return ok;
}
