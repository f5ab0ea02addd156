/*-------------------------------------------------------------------------
 *
 * flow.c
 *	  An answer that is read while it arrives.
 *
 * What the adapter makes of it is settled as ever; what is shown meanwhile is only
 * the text meant for the user, masked before it leaves this process.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/utf8.h"
#include "worker/flow.h"

/* Of what comes in, an adapter keeps about this part beside the text itself, mostly as history. */
#define KEPT_SHARE 8
#define TEXT_KEPT 2 /* text is kept as such and in the history */

static void
show(TzFlow *flow, TzSlice text)
{
	TzBuf clean;

	if (flow->dark || flow->pen.serial == 0)
		return;
	tz_buf_init(&clean, SIZE_MAX);
	/* as it is in the finished answer, where places are counted */
	if (!tz_utf8_valid(text))
	{
		if (tz_utf8_sanitize(text, &clean) != TZ_OK)
			tz_flow_dark(flow);
		text = tz_buf_slice(&clean);
	}
	if (!flow->dark && tz_mask_stream_feed(&flow->mask, text, &flow->text) != TZ_OK)
		tz_flow_dark(flow);
	tz_buf_wipe(&clean);
}

static void
on_delta(void *arg, const TzDelta *delta)
{
	TzFlow *flow = arg;

	flow->deltas += delta->text.len;
	if (delta->kind == TZ_DELTA_TEXT)
		show(flow, delta->text);
}

/* How much of the text is whole characters. */
static size_t
whole_characters(TzSlice text)
{
	size_t start = text.len;
	unsigned char lead;
	size_t need;

	while (start > 0 && text.len - start < 3 && ((unsigned char) text.data[start - 1] & 0xC0) == 0x80)
		start--;
	if (start == 0)
		return text.len;
	lead = (unsigned char) text.data[start - 1];
	need = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
	return text.len - start + 1 < need ? start - 1 : text.len;
}

/* All that the bytes brought, at once. */
static void
publish(TzFlow *flow)
{
	TzSlice text = tz_buf_slice(&flow->text);
	size_t n = whole_characters(text);

	if (flow->dark || n == 0)
		return;
	tz_stream_write(&flow->pen, tz_slice(text.data, n));
	memmove(flow->text.data, text.data + n, text.len - n);
	flow->text.len = text.len - n;
}

TzFlow *
tz_flow_new(const TzAdapter *adapter, const TzEffect *effect, const TzEndpoint *to, const TzMask *mask,
            const TzPen *pen)
{
	TzFlow *flow = calloc(1, sizeof(*flow));

	if (flow == NULL)
		return NULL;
	flow->adapter = adapter;
	flow->pen = *pen;
	tz_mask_stream_init(&flow->mask, mask);
	tz_buf_init(&flow->text, SIZE_MAX);
	flow->stream = adapter->stream_new(effect, to, on_delta, flow);
	if (flow->stream == NULL)
	{
		tz_flow_free(flow);
		return NULL;
	}
	return flow;
}

void
tz_flow_dark(TzFlow *flow)
{
	flow->dark = true;
	tz_mask_stream_free(&flow->mask);
	tz_buf_free(&flow->text);
}

bool
tz_flow_wants(TzFlow *flow, const TzHttpResponse *head)
{
	(void) flow;
	return tz_answer_streams(head);
}

TzHttpTaste
tz_flow_take(TzFlow *flow, TzSlice bytes, size_t *kept)
{
	TzStatus status;

	flow->deltas = 0;
	status = flow->adapter->stream_feed(flow->stream, bytes, NULL);
	*kept = flow->deltas * TEXT_KEPT + bytes.len / KEPT_SHARE;
	publish(flow);
	if (status != TZ_OK)
		return TZ_HTTP_STOP;
	return flow->adapter->stream_whole(flow->stream) ? TZ_HTTP_ENOUGH : TZ_HTTP_MORE;
}

void
tz_flow_end(TzFlow *flow, const TzEffect *effect, const TzHttpResponse *res, TzOutcome *out)
{
	flow->adapter->stream_end(flow->stream, effect, res, out);
	/* what broke off is never finished, and who follows is told the next attempt instead */
	if (!flow->dark && out->verdict == TZ_V_DONE)
	{
		if (tz_mask_stream_end(&flow->mask, false, &flow->text) != TZ_OK)
			tz_flow_dark(flow);
		publish(flow);
	}
}

void
tz_flow_free(TzFlow *flow)
{
	if (flow == NULL)
		return;
	tz_stream_close(&flow->pen);
	tz_mask_stream_free(&flow->mask);
	tz_buf_wipe(&flow->text);
	if (flow->stream != NULL)
		flow->adapter->stream_free(flow->stream);
	free(flow);
}
