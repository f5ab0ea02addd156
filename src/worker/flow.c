/*-------------------------------------------------------------------------
 *
 * flow.c
 *	  An answer that is read while it arrives.
 *
 * What the adapter makes of it is settled as ever; what is shown meanwhile is only
 * the text meant for the user, masked and judged before it leaves this process. What
 * the content filter stops ends the call: nobody pays for an answer that nobody gets.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "call/safety.h"
#include "lib/utf8.h"
#include "worker/flow.h"

/* Of what comes in, an adapter keeps about this part beside the text itself, mostly as history. */
#define KEPT_SHARE 8
#define TEXT_KEPT 2 /* text is kept as such and in the history */

/* Masked text goes through the window; what the window lets out is shown. */
static void
judge(TzFlow *flow, TzStatus masked, bool end)
{
	TzStatus status = masked;

	if (status == TZ_OK)
		status = tz_window_feed(&flow->window, tz_buf_slice(&flow->clean), &flow->text);
	if (status == TZ_OK && end)
		status = tz_window_end(&flow->window, &flow->text);
	flow->clean.len = 0;
	if (status == TZ_REFUSED)
		flow->blocked = true;
	if (status != TZ_OK)
		tz_flow_dark(flow);
}

static void
show(TzFlow *flow, TzSlice text)
{
	TzBuf clean;

	/* what the filter stops is cut, also when nobody follows */
	if (flow->dark || (flow->pen.serial == 0 && !flow->guarded))
		return;
	tz_buf_init(&clean, SIZE_MAX);
	/* as it is in the finished answer, where places are counted */
	if (!tz_utf8_valid(text))
	{
		if (tz_utf8_sanitize(text, &clean) != TZ_OK)
			tz_flow_dark(flow);
		text = tz_buf_slice(&clean);
	}
	if (!flow->dark)
		judge(flow, tz_mask_stream_feed(&flow->mask, text, &flow->clean), false);
	tz_buf_wipe(&clean);
}

static void
on_delta(void *arg, const TzDelta *delta)
{
	TzFlow *flow = arg;

	flow->deltas += delta->text.len;
	if (delta->kind == TZ_DELTA_TEXT)
		show(flow, delta->text);
	else if (flow->live != NULL && delta->kind == TZ_DELTA_STDOUT)
		tz_live_feed(flow->live, TZ_LIVE_STDOUT, delta->text);
	else if (flow->live != NULL && delta->kind == TZ_DELTA_STDERR)
		tz_live_feed(flow->live, TZ_LIVE_STDERR, delta->text);
}

/* All that the bytes brought, at once. */
static void
publish(TzFlow *flow)
{
	TzSlice text = tz_buf_slice(&flow->text);
	size_t n = tz_utf8_whole(text);

	if (flow->dark || n == 0)
		return;
	if (flow->pen.serial != 0)
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
	tz_window_init(&flow->window, NULL, NULL, &(TzGuard){TZ_LEVEL_OFF, false, false, 0});
	tz_buf_init_secret(&flow->clean, SIZE_MAX);
	tz_buf_init(&flow->text, SIZE_MAX);
	flow->stream = adapter->stream_new(effect, to, on_delta, flow);
	if (flow->stream == NULL)
	{
		tz_flow_free(flow);
		return NULL;
	}
	return flow;
}

bool
tz_flow_guard(TzFlow *flow, const char *platform, const char *level, bool pii, int hold)
{
	TzGuard guard;
	TzScorer *scorer;

	if (!tz_safety_stream(platform, level, false, pii, &guard, &scorer, &flow->extra))
		return false;
	guard.hold = hold;
	tz_window_init(&flow->window, scorer, flow->extra, &guard);
	flow->guarded = true;
	return true;
}

void
tz_flow_dark(TzFlow *flow)
{
	flow->dark = true;
	tz_mask_stream_free(&flow->mask);
	tz_window_free(&flow->window);
	tz_buf_wipe(&flow->clean);
	tz_buf_free(&flow->text);
}

bool
tz_flow_wants(TzFlow *flow, const TzEffect *effect, const TzHttpResponse *head)
{
	if (flow->adapter->stream_wants != NULL)
		return flow->adapter->stream_wants(effect, head);
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
	if (status != TZ_OK || flow->blocked)
		return TZ_HTTP_STOP;
	return flow->adapter->stream_whole(flow->stream) ? TZ_HTTP_ENOUGH : TZ_HTTP_MORE;
}

/* Whatever the adapter makes of an answer that was cut. */
static void
blocked(TzOutcome *out)
{
	json_decref(out->result);
	out->result = NULL;
	out->verdict = TZ_V_FAILED;
	out->error_code = "guardrail_blocked";
	out->error_class = NULL;
	tz_err_clear(&out->err);
	tz_err_set(&out->err, TZ_REFUSED, "the answer is blocked by the content filter");
}

void
tz_flow_end(TzFlow *flow, const TzEffect *effect, const TzHttpResponse *res, TzOutcome *out)
{
	flow->adapter->stream_end(flow->stream, effect, res, out);
	/* what broke off is never finished, and who follows is told the next attempt instead */
	if (!flow->dark && out->verdict == TZ_V_DONE)
	{
		judge(flow, tz_mask_stream_end(&flow->mask, false, &flow->clean), true);
		publish(flow);
	}
	if (flow->blocked)
		blocked(out);
}

void
tz_flow_free(TzFlow *flow)
{
	if (flow == NULL)
		return;
	tz_stream_close(&flow->pen);
	tz_mask_stream_free(&flow->mask);
	tz_window_free(&flow->window);
	tz_safety_release(flow->extra);
	tz_buf_wipe(&flow->clean);
	tz_buf_wipe(&flow->text);
	if (flow->stream != NULL)
		flow->adapter->stream_free(flow->stream);
	free(flow);
}
