/*-------------------------------------------------------------------------
 *
 * errors.h
 *	  The one list of our SQLSTATEs, with the REST code and HTTP status of each.
 *
 * Class TZ is ours: SQL leaves classes beginning with I to Z to
 * implementations. Codes ending in 000 name a whole group and are never raised.
 * docs/errors.md explains each; a test compares the two.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_ERRORS_H
#define TZ_ERRORS_H

#include "lib/status.h"
#include "utils/elog.h"

/* A table: X(name, five characters, REST code, HTTP status, meaning) */
/* clang-format off */
#define TZ_ERRORS(X) \
	/* state */ \
	X(SESSION_CLOSED,		'T','Z','1','0','1', "conflict", 409, "the session is paused or closed") \
	X(EXPIRED,				'T','Z','1','0','2', "approval_expired", 410, "what was asked for has expired") \
	X(ILLEGAL_MOVE,			'T','Z','1','0','3', "conflict", 409, "the state does not allow this") \
	X(WOULD_WAIT,			'T','Z','1','0','4', "invalid_request", 400, "would wait for rows this transaction has not committed") \
	X(DISABLED,				'T','Z','1','0','5', "internal_error", 503, "theazo.enabled is off") \
	X(VERSION_MISMATCH,		'T','Z','1','0','6', "internal_error", 503, "library and extension are of different versions") \
	X(TRY_AGAIN,			'T','Z','1','0','7', "internal_error", 503, "another transaction was in the way; nothing was done") \
	X(SCHEDULE_OVERLAP,		'T','Z','1','0','8', "schedule_overlap", 409, "the previous execution of a schedule still runs") \
	/* limits */ \
	X(RATE_LIMITED,			'T','Z','2','0','1', "rate_limited", 429, "too many requests") \
	X(LIMIT_USED_UP,		'T','Z','2','0','2', "session_limit_exceeded", 402, "a limit or budget is used up") \
	X(HALTED,				'T','Z','2','0','3', "forbidden", 403, "halted by the kill switch") \
	X(APPROVAL_NEEDED,		'T','Z','2','0','4', "approval_required", 403, "needs an approval") \
	X(BLOCKED,				'T','Z','2','0','5', "guardrail_blocked", 422, "blocked by a filter") \
	/* vault */ \
	X(NO_MASTER_KEY,		'T','Z','3','0','1', "internal_error", 500, "no master key is configured") \
	X(NOT_AUTHENTIC,		'T','Z','3','0','2', "internal_error", 500, "a sealed value does not authenticate") \
	X(UNKNOWN_KEY,			'T','Z','3','0','3', "internal_error", 500, "the master key a value was sealed under is missing") \
	X(SECRET_DESTINATION,	'T','Z','3','0','4', "forbidden", 403, "a secret must not be sent there") \
	/* outside world */ \
	X(REFUSED,				'T','Z','4','0','1', "provider_error", 502, "the provider refused") \
	X(UNAVAILABLE,			'T','Z','4','0','2', "provider_error", 502, "the provider cannot be reached") \
	X(TIMED_OUT,			'T','Z','4','0','3', "timeout", 408, "timed out") \
	X(BAD_ANSWER,			'T','Z','4','0','4', "provider_error", 502, "the provider's answer was not understood") \
	X(ADDRESS_REFUSED,		'T','Z','4','0','5', "invalid_request", 400, "the address is not allowed by the egress policy") \
	X(UNSUPPORTED,			'T','Z','4','0','6', "provider_error", 502, "the provider lacks this capability") \
	X(NO_PROVIDER,			'T','Z','4','0','7', "no_providers_available", 503, "no provider of the needed kind") \
	X(OUTCOME_UNKNOWN,		'T','Z','4','0','8', "provider_error", 502, "the outcome is unknown") \
	X(RUNTIME_MISSING,		'T','Z','4','0','9', "provider_error", 502, "a language runtime is not installed") \
	X(SANDBOX_LOST,			'T','Z','4','1','0', "provider_error", 502, "the sandbox is gone") \
	X(ISOLATION_TOO_WEAK,	'T','Z','4','1','1', "provider_error", 502, "this machine's isolation is weaker than the operator's minimum") \
	X(TOOL_UNREACHABLE,		'T','Z','4','1','2', "tool_handler_unreachable", 502, "a tool's handler did not answer") \
	/* audit */ \
	X(CHAIN_BROKEN,			'T','Z','5','0','1', "internal_error", 500, "the audit chain is broken") \
	X(EVENT_IMMUTABLE,		'T','Z','5','0','2', "forbidden", 403, "events are immutable") \
	/* access */ \
	X(NOT_AUTHENTICATED,	'T','Z','6','0','1', "unauthorized", 401, "not authenticated") \
	X(OUT_OF_SCOPE,			'T','Z','6','0','2', "forbidden", 403, "out of scope, or the mode excludes it") \
	X(NO_ROUTE,				'T','Z','6','0','3', "not_found", 404, "no such route")
/* clang-format on */

/* ERRCODE_TZ_ILLEGAL_MOVE and so on, for ereport(). */
enum
{
#define TZ_ERRCODE(name, a, b, c, d, e, rest, http, meaning) ERRCODE_TZ_##name = MAKE_SQLSTATE(a, b, c, d, e),
	TZ_ERRORS(TZ_ERRCODE)
#undef TZ_ERRCODE
};

/* REST code and HTTP status of any SQLSTATE, ours or the server's ("internal_error", 500 when unknown). */
extern const char *tz_error_rest_code(int sqlstate);
extern int tz_error_http_status(int sqlstate);

/* The code of the governed agents' interface, in capitals. */
extern const char *tz_error_snake_code(int sqlstate);

/* Is it in the list: may its message be shown to a caller? */
extern bool tz_error_is_listed(int sqlstate);

/* The SQLSTATE that speaks for a status of the layers below. */
extern int tz_error_of_status(TzStatus status);

#endif /* TZ_ERRORS_H */
