/*-------------------------------------------------------------------------
 *
 * window.c
 *	  A text that is judged while it arrives.
 *
 * What was given out stays as context, as long as a rule can reach back to it. Each
 * look reads the context and all that is held, so a byte is read a bounded number of
 * times, however small the pieces are. Both are counted as the rules read them: a text
 * cannot be stretched with blanks until its halves are out of each other's sight.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "safety/fold.h"
#include "safety/pii.h"
#include "safety/window.h"

_Static_assert(TZ_WINDOW_HELD > TZ_MODEL_REACH + TZ_WINDOW_WORD, "a window of the model fits what is held");
_Static_assert(TZ_MODEL_REACH >= TZ_REACH_MAX, "a rule fits a window of the model");

void
tz_window_init(TzWindow *w, TzScorer *scorer, const TzExtra *extra, const TzGuard *guard)
{
	memset(w, 0, sizeof(*w));
	w->scorer = scorer;
	w->extra = extra;
	w->guard = *guard;
	tz_buf_init_secret(&w->text, SIZE_MAX);
}

void
tz_window_free(TzWindow *w)
{
	tz_buf_wipe(&w->text);
	w->given = w->looked = 0;
}

/* Whole words only: one that goes on may become another. What is not looked at yet is held back in any case. */
static TzSlice
whole_words(TzSlice text)
{
	size_t len = text.len, least = len > TZ_WINDOW_WORD ? len - TZ_WINDOW_WORD : 0;

	while (len > least && (unsigned char) text.data[len - 1] > ' ')
		len--;
	return len > least ? tz_slice(text.data, len) : text;
}

/* Where what may go ends: between characters, and not inside personal data. */
static size_t
boundary(const TzWindow *w, size_t to)
{
	TzPii find;
	size_t from = w->given;

	while (to > w->given && to < w->text.len && ((unsigned char) w->text.data[to] & 0xC0) == 0x80)
		to--;
	if (!w->guard.pii)
		return to;
	while (from < to && tz_pii_next(tz_buf_slice(&w->text), from, &find))
	{
		if (find.start >= to)
			break;
		if (find.end > to)
			return find.start;
		from = find.end;
	}
	return to;
}

static TzStatus
give(TzWindow *w, size_t to, TzBuf *out)
{
	TzSlice part = tz_slice(w->text.data + w->given, to - w->given);
	size_t count, drop;
	TzStatus status = TZ_OK;

	if (!w->held)
		status = w->guard.pii ? tz_pii_redact(part, out, &count) : tz_buf_append(out, part.data, part.len);
	if (status != TZ_OK)
		return status;
	drop = tz_fold_tail(tz_slice(w->text.data, to), TZ_WINDOW_HELD);
	/* context begins with a whole word */
	for (size_t i = 0; i < TZ_WINDOW_WORD && drop > 0 && (unsigned char) w->text.data[drop - 1] > ' '; i++)
		drop--;
	memmove(w->text.data, w->text.data + drop, w->text.len - drop);
	w->text.len -= drop;
	w->given = to - drop;
	w->looked = w->text.len;
	return TZ_OK;
}

static TzStatus
look(TzWindow *w, bool end, TzBuf *out)
{
	TzJudgement judgement;
	TzSlice text = tz_buf_slice(&w->text);
	TzStatus status =
		tz_guard_read(w->scorer, w->extra, &w->guard, end ? text : whole_words(text), &w->evidence);

	if (status == TZ_OK)
	{
		tz_guard_judge(w->extra, &w->guard, &w->evidence, &judgement);
		if (judgement.blocked)
			status = TZ_REFUSED;
		else if (w->guard.hold > 0 && judgement.toxicity >= w->guard.hold)
			w->held = true;
	}
	if (status == TZ_OK)
	{
		size_t to = end ? w->text.len : tz_fold_tail(tz_buf_slice(&w->text), TZ_WINDOW_HELD);

		status = give(w, end ? to : boundary(w, to > w->given ? to : w->given), out);
	}
	if (status != TZ_OK)
	{
		w->blocked = true;
		tz_window_free(w);
	}
	return status;
}

TzStatus
tz_window_feed(TzWindow *w, TzSlice piece, TzBuf *out)
{
	TzStatus status;

	if (w->blocked)
		return TZ_REFUSED;
	if (w->guard.level == TZ_LEVEL_OFF && !w->guard.injection && !w->guard.pii)
		return tz_buf_append(out, piece.data, piece.len);
	status = tz_buf_append(&w->text, piece.data, piece.len);
	if (status != TZ_OK)
	{
		w->blocked = true;
		return status;
	}
	if (w->text.len - w->given < TZ_WINDOW_HELD + TZ_WINDOW_STEP)
		return TZ_OK;
	/* the more there is to read, the more has to come */
	if (w->text.len - w->looked < (w->text.len > 4 * TZ_WINDOW_HELD ? w->text.len / 8 : TZ_WINDOW_STEP))
		return TZ_OK;
	return look(w, false, out);
}

TzStatus
tz_window_end(TzWindow *w, TzBuf *out)
{
	if (w->blocked)
		return TZ_REFUSED;
	if (w->text.len == w->given)
		return TZ_OK;
	return look(w, true, out);
}
