/* fuzz_safety.c: any bytes are folded, scanned, redacted and streamed, and what streams out is what the whole would give */
#include <stdlib.h>
#include <string.h>

#include "safety/fold.h"
#include "safety/pii.h"
#include "safety/window.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(bool holds)
{
	if (!holds)
		abort();
}

static void
check_fold(TzSlice in)
{
	TzBuf folded, again;

	tz_buf_init(&folded, SIZE_MAX);
	tz_buf_init(&again, SIZE_MAX);
	check(tz_fold(in, &folded) == TZ_OK && folded.len <= in.len);
	check(tz_fold(tz_buf_slice(&folded), &again) == TZ_OK && again.len <= folded.len);
	tz_buf_free(&folded);
	tz_buf_free(&again);
}

/* What was read before leaves no trace, and the reasons stand in the text as it was read. */
static void
check_model(TzScorer *scorer, TzSlice in, const TzEvidence *first)
{
	TzEvidence again = {0};
	TzGuard guard = {TZ_LEVEL_STRICT, true, true, 0};
	TzWhy why[TZ_WHY_MAX];
	size_t n = 0;

	for (int injection = 0; injection < 2; injection++)
	{
		check(tz_scorer_explain(scorer, in, injection, why, TZ_WHY_MAX, &n) == TZ_OK && n <= TZ_WHY_MAX);
		for (size_t i = 0; i < n; i++)
			check(why[i].weight > 0 && strlen(why[i].text) < sizeof(why[i].text));
	}
	check(tz_guard_read(scorer, NULL, &guard, in, &again) == TZ_OK);
	check(again.finding.injection == first->finding.injection &&
	      again.finding.toxicity == first->finding.toxicity);
}

static void
check_pii(TzSlice in, TzBuf *redacted)
{
	TzPii find;
	size_t at = 0, n = 0, count;

	while (tz_pii_next(in, at, &find))
	{
		check(find.start >= at && find.end > find.start && find.end <= in.len &&
		      find.end - find.start <= TZ_PII_MAX);
		at = find.end;
		n++;
	}
	check(tz_pii_redact(in, redacted, &count) == TZ_OK && count == n);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static TzScorer *scorer = NULL;
	TzSlice in = tz_slice((const char *) data, size);
	TzGuard guard = {TZ_LEVEL_STRICT, true, true, 0};
	TzEvidence evidence = {0};
	TzJudgement whole;
	TzWindow window;
	TzBuf out, redacted;
	size_t step = size > 0 ? data[0] % 31 + 1 : 1;
	TzStatus status = TZ_OK;

	if (scorer == NULL)
		check(tz_scorer_create(&scorer, NULL) == TZ_OK);
	tz_buf_init(&out, SIZE_MAX);
	tz_buf_init(&redacted, SIZE_MAX);
	check_fold(in);
	check_pii(in, &redacted);
	check(tz_guard_read(scorer, NULL, &guard, in, &evidence) == TZ_OK);
	check_model(scorer, in, &evidence);
	tz_guard_judge(NULL, &guard, &evidence, &whole);
	check(whole.toxicity >= 0 && whole.toxicity <= 100 && whole.injection >= 0 && whole.injection <= 100);
	tz_window_init(&window, scorer, NULL, &guard);
	for (size_t i = 0; i < size && status == TZ_OK; i += step)
		status = tz_window_feed(&window, tz_slice(in.data + i, size - i < step ? size - i : step), &out);
	if (status == TZ_OK)
		status = tz_window_end(&window, &out);
	check(status == TZ_OK || status == TZ_REFUSED);
	/* a text that is looked at once is judged as the whole is */
	if (size < TZ_WINDOW_HELD)
		check((status == TZ_REFUSED) == whole.blocked);
	if (size < TZ_WINDOW_HELD && status == TZ_OK)
		check(tz_slice_eq(tz_buf_slice(&out), tz_buf_slice(&redacted)));
	if (status == TZ_REFUSED)
		check(out.len <= redacted.len + size);
	tz_window_free(&window);
	tz_buf_free(&out);
	tz_buf_free(&redacted);
	return 0;
}
