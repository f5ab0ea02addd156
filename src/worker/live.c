/*-------------------------------------------------------------------------
 *
 * live.c
 *	  What a command prints, shown while it runs.
 *
 * The same steps as for the finished output, in the same order, each on pieces:
 * bytes become UTF-8, records are taken out, secrets are masked. So a place in
 * what was shown is the same place in what is stored.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/records.h"
#include "lib/utf8.h"
#include "worker/live.h"

typedef struct Channel
{
	TzPen pen;
	size_t left; /* bytes that may still be shown */
	char part[4]; /* of a character cut in two */
	size_t npart;
	TzRecordCut cut;
	TzMaskStream mask;
	TzBuf tail; /* masked, of a character cut in two */
} Channel;

struct TzLive
{
	bool dark;
	TzRecords *records; /* from the first frame on, of both channels */
	size_t taken; /* so many of them */
	Channel channels[TZ_LIVE_CHANNELS];
};

/* A program reports while it runs: whoever asks gets what it has said so far. */
static void
on_frame(void *arg, TzSlice body)
{
	TzLive *live = arg;

	if (live->records == NULL)
		live->records = tz_records_new();
	if (live->records != NULL)
		tz_records_frame(live->records, body);
}

bool
tz_live_has_records(const TzLive *live)
{
	return live->records != NULL && json_array_size(tz_records_list(live->records)) > live->taken;
}

json_t *
tz_live_take_records(TzLive *live)
{
	json_t *list;
	json_t *fresh;

	if (!tz_live_has_records(live) || (fresh = json_array()) == NULL)
		return NULL;
	list = tz_records_list(live->records);
	for (; live->taken < json_array_size(list); live->taken++)
		if (json_array_append(fresh, json_array_get(list, live->taken)) != 0)
			break;
	return fresh;
}

int
tz_live_records_taken(const TzLive *live)
{
	return (int) live->taken;
}

TzLive *
tz_live_new(const TzPen *pens, const TzMask *mask, TzSlice nonce, size_t max)
{
	TzLive *live = calloc(1, sizeof(*live));

	if (live == NULL)
		return NULL;
	for (int i = 0; i < TZ_LIVE_CHANNELS; i++)
	{
		Channel *c = &live->channels[i];

		c->pen = pens[i];
		c->left = max;
		tz_record_cut_init(&c->cut, nonce, on_frame, live);
		tz_mask_stream_init(&c->mask, mask);
		tz_buf_init_secret(&c->tail, SIZE_MAX);
	}
	return live;
}

void
tz_live_dark(TzLive *live)
{
	live->dark = true;
	for (int i = 0; i < TZ_LIVE_CHANNELS; i++)
	{
		tz_record_cut_free(&live->channels[i].cut);
		tz_mask_stream_free(&live->channels[i].mask);
		tz_buf_wipe(&live->channels[i].tail);
	}
}

void
tz_live_free(TzLive *live)
{
	if (live == NULL)
		return;
	tz_live_dark(live);
	for (int i = 0; i < TZ_LIVE_CHANNELS; i++)
		tz_stream_close(&live->channels[i].pen);
	tz_records_free(live->records);
	free(live);
}

/* Whole characters only: readers are told where they may stop. */
static void
publish(Channel *c)
{
	TzSlice text = tz_buf_slice(&c->tail);
	size_t n = tz_utf8_whole(text);

	if (n == 0)
		return;
	tz_stream_write(&c->pen, tz_slice(text.data, n));
	memmove(c->tail.data, text.data + n, text.len - n);
	c->tail.len = text.len - n;
}

/* UTF-8 through records and mask to the ring. */
static TzStatus
pass(Channel *c, TzSlice text, bool end, bool cut)
{
	TzBuf plain;
	TzStatus status;

	tz_buf_init_secret(&plain, SIZE_MAX);
	status = tz_record_cut_feed(&c->cut, text, &plain);
	if (status == TZ_OK && end)
		status = tz_record_cut_end(&c->cut, &plain);
	if (status == TZ_OK)
		status = tz_mask_stream_feed(&c->mask, tz_buf_slice(&plain), &c->tail);
	if (status == TZ_OK && end)
		status = tz_mask_stream_end(&c->mask, cut, &c->tail);
	tz_buf_wipe(&plain);
	if (status == TZ_OK)
		publish(c);
	return status;
}

/* The bytes as UTF-8; what may go on is kept for the next ones, unless they are the last. */
static TzStatus
repair(Channel *c, TzSlice bytes, bool end, TzBuf *out)
{
	TzBuf joined;
	TzSlice all = bytes;
	size_t n;
	TzStatus status;

	tz_buf_init_secret(&joined, SIZE_MAX);
	if (c->npart > 0)
	{
		tz_buf_append(&joined, c->part, c->npart);
		tz_buf_append(&joined, bytes.data, bytes.len);
		all = tz_buf_slice(&joined);
	}
	n = end ? all.len : tz_utf8_whole(all);
	status = joined.status;
	if (status == TZ_OK)
		status = tz_utf8_sanitize(tz_slice(all.data, n), out);
	if (status == TZ_OK)
	{
		c->npart = all.len - n;
		if (c->npart > 0)
			memcpy(c->part, all.data + n, c->npart);
	}
	tz_buf_wipe(&joined);
	return status;
}

static void
channel_take(TzLive *live, Channel *c, TzSlice bytes, bool end, bool cut)
{
	TzBuf text;
	TzStatus status;

	if (live->dark || c->pen.serial == 0)
		return;
	bytes.len = Min(bytes.len, c->left);
	c->left -= bytes.len;
	if (bytes.len == 0 && !end)
		return;
	tz_buf_init_secret(&text, SIZE_MAX);
	status = repair(c, bytes, end, &text);
	if (status == TZ_OK)
		status = pass(c, tz_buf_slice(&text), end, cut);
	tz_buf_wipe(&text);
	/* what cannot be masked is not shown; the finished output decides for itself */
	if (status != TZ_OK)
		tz_live_dark(live);
}

void
tz_live_feed(TzLive *live, TzLiveChannel channel, TzSlice bytes)
{
	channel_take(live, &live->channels[channel], bytes, false, false);
}

void
tz_live_end(TzLive *live, bool cut)
{
	for (int i = 0; i < TZ_LIVE_CHANNELS; i++)
		channel_take(live, &live->channels[i], tz_slice("", 0), true, cut);
}
