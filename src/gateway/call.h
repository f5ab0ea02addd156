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

/* operation.c: one operation, inside a subtransaction; may throw. */
extern void tz_operation_run(TzRequest *r);
extern void tz_operation_then(TzRequest *r);

/* The answer to an error of an operation. In a transaction, with the error taken (CopyErrorData). */
extern void tz_operation_failed(TzRequest *r, const ErrorData *error);

#endif /* TZ_CALL_H */
