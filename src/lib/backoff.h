/*-------------------------------------------------------------------------
 *
 * backoff.h
 *	  May a failed call be sent again, and when?
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_BACKOFF_H
#define TZ_BACKOFF_H

#include "lib/buf.h"

/* What sending a request twice would do. */
typedef enum TzRepeat
{
	TZ_REPEAT_READ = 1, /* nothing: GET */
	TZ_REPEAT_SAME, /* leaves the same state: PUT of a file */
	TZ_REPEAT_REMOVE, /* leaves the same state and must be reached: DELETE */
	TZ_REPEAT_NEVER /* something a second time: create, exec */
} TzRepeat;

/* How a call ended without success. */
typedef struct TzFailure
{
	TzStatus status; /* of the transport; TZ_OK when an answer came */
	int http_status; /* of the answer, 0 without one */
	bool maybe_sent; /* the request may have reached the peer */
	bool told_to_wait; /* the answer has a readable Retry-After */
} TzFailure;

typedef enum TzRetry
{
	TZ_RETRY_NO = 1, /* it failed for good */
	TZ_RETRY_YES, /* send it again later */
	TZ_RETRY_UNKNOWN /* it may have happened; somebody must find out */
} TzRetry;

/* attempt: which one just failed, 1 first. */
extern TzRetry tz_retry_judge(TzRepeat repeat, const TzFailure *failure, int attempt);

/*
 * Wait before the next attempt: base doubled per attempt up to max, of which the
 * upper half is random. random: any 32 random bits.
 */
extern int tz_backoff_ms(int attempt, int base_ms, int max_ms, uint32_t random);

/*
 * Retry-After: seconds or an HTTP date (all three forms of RFC 9110), as
 * milliseconds from now_ms (unix time), between 0 and max_ms. False when it is neither.
 */
extern bool tz_retry_after_ms(const char *value, int64_t now_ms, int max_ms, int *out_ms);

/*
 * When a limit resets, in any of the spellings that providers use: an RFC 3339
 * time, a duration such as 6m0s or 12ms, or plain seconds. Milliseconds from
 * now_ms, between 0 and max_ms. False when it is none of them.
 */
extern bool tz_reset_after_ms(const char *value, int64_t now_ms, int max_ms, int *out_ms);

#endif /* TZ_BACKOFF_H */
