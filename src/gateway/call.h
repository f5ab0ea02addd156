/*-------------------------------------------------------------------------
 *
 * call.h
 *	  Requests in SQL: transactions, operations, what becomes of their results.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_CALL_H
#define TZ_CALL_H

#include "gateway/gateway.h"

/* Makes the answer of a request whose run has ended. Does not throw. */
extern void tz_call_then(TzRequest *r);

/* What a request does in its subtransaction; may throw. */
typedef void (*TzCallBody)(TzRequest *r);

/*
 * Runs body in a subtransaction. An error becomes the answer of the request. False:
 * it met locks of another transaction, may be tried again in one of its own, and
 * has no answer.
 */
extern bool tz_call_protected(TzRequest *r, TzCallBody body);

/* operation.c: from the key to the answer, or to what the request waits for. May throw. */
extern void tz_operation_run(TzRequest *r);
/* once.c: the same for a request with an Idempotency-Key; body is the operation itself. */
extern void tz_once_run(TzRequest *r, TzCallBody body);
extern void tz_operation_then(TzRequest *r);

/* The answer to an error of an operation. In a transaction, with the error taken (CopyErrorData). */
extern void tz_operation_failed(TzRequest *r, const ErrorData *error);

#endif /* TZ_CALL_H */
