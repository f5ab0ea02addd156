/*-------------------------------------------------------------------------
 *
 * answer.h
 *	  What adapters do alike with an answer: verdicts, messages, JSON.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_ADAPTER_ANSWER_H
#define TZ_ADAPTER_ANSWER_H

#include "adapter/adapter.h"
#include "lib/backoff.h"
#include "lib/mask.h"

/* The call ended without an answer: fills out from the transport's error. */
extern void tz_answer_transport(const TzEffect *effect, TzRepeat repeat, const TzHttpResponse *in,
                                TzOutcome *out);

/* An answer that is no success: fills out by its status. */
extern void tz_answer_status(const TzEffect *effect, TzRepeat repeat, const TzHttpResponse *in,
                             TzOutcome *out);

/* A success that cannot be understood: out->err gets the message (printf form). */
extern void tz_answer_bad(const TzHttpResponse *in, TzOutcome *out, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * The document of a 2xx answer, or NULL with out filled: not JSON by its header or
 * its content, too large, or an error inside. The caller releases it.
 */
extern json_t *tz_answer_json(const TzHttpResponse *in, TzOutcome *out);

/*
 * One document of the outside, repaired where it is nearly JSON (broken UTF-8, half
 * a surrogate pair), or NULL with err filled (it may be NULL). *used, if asked for,
 * gets the text that was parsed: it points into text or into scratch, which the caller
 * has initialised and frees.
 */
extern json_t *tz_answer_document(TzSlice text, TzBuf *scratch, TzSlice *used, TzErr *err);

/* Puts what the provider said into out->err.detail, with secrets masked. */
extern void tz_answer_upstream(const TzHttpResponse *in, json_t *doc, TzOutcome *out);

/* Verdict failed, and the result that says so. */
extern void tz_answer_fail(const TzHttpResponse *in, const char *code, TzOutcome *out);

/* What finds the values the request wants masked; NULL when there are none. Freed by the caller. */
extern TzStatus tz_answer_mask(const TzHttpResponse *in, TzMask **out);

/* Sets out to done with result (takes it over; NULL: out of memory). */
extern void tz_answer_done(TzOutcome *out, json_t *result);

#endif /* TZ_ADAPTER_ANSWER_H */
