/*-------------------------------------------------------------------------
 *
 * status.h
 *	  Status codes and bounded messages for code below the server.
 *
 * Nothing under lib/, http/, adapter/ or sandbox/ may throw: functions there
 * return a TzStatus and fill a TzErr that the caller owns.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_STATUS_H
#define TZ_STATUS_H

typedef enum TzStatus
{
	TZ_OK = 0,
	TZ_NOMEM, /* allocation refused */
	TZ_TOO_LARGE, /* a ceiling was reached */
	TZ_BAD_INPUT, /* the caller's argument is wrong */
	TZ_BAD_ANSWER, /* the outside answered something unreadable */
	TZ_REFUSED, /* the outside, or a policy, said no */
	TZ_UNAVAILABLE, /* cannot be reached now; may work later */
	TZ_TIMEOUT, /* deadline passed */
	TZ_UNSUPPORTED, /* capability missing */
	TZ_NOT_FOUND,
	TZ_GONE, /* the sandbox it was for does not exist any more */
	TZ_CANCELLED,
	TZ_CRYPTO, /* does not authenticate */
	TZ_INTERNAL /* cannot happen */
} TzStatus;

#define TZ_ERR_MESSAGE_MAX 256
#define TZ_ERR_DETAIL_MAX 512

/* Owned by the caller; always terminated; never holds a secret. */
typedef struct TzErr
{
	TzStatus status;
	int http_status; /* of the outside's answer, 0 if none */
	char message[TZ_ERR_MESSAGE_MAX];
	char detail[TZ_ERR_DETAIL_MAX];
	char hint[TZ_ERR_MESSAGE_MAX];
} TzErr;

extern void tz_err_clear(TzErr *err);

/* Sets status and message (printf form, truncated); returns status. err may be NULL. */
extern TzStatus tz_err_set(TzErr *err, TzStatus status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
extern void tz_err_detail(TzErr *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
extern void tz_err_hint(TzErr *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Stable lower-case word for a status: "timeout", "unavailable", ... */
extern const char *tz_status_name(TzStatus status);

#endif /* TZ_STATUS_H */
