/*-------------------------------------------------------------------------
 *
 * rpc.h
 *	  JSON-RPC to the node of an EVM chain: calls, answers, quantities.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_ADAPTER_RPC_H
#define TZ_ADAPTER_RPC_H

#include "adapter/adapter.h"

#define TZ_RPC_MESSAGE_MAX 300

/* Takes over params (NULL: out of memory) and makes the body of a call. */
extern TzStatus tz_rpc_call(const char *method, json_t *params, TzHttpRequest *out, TzErr *err);

typedef enum TzRpcEnd
{
	TZ_RPC_RESULT = 1, /* result is set, perhaps to JSON null */
	TZ_RPC_ERROR, /* the node says no: message */
	TZ_RPC_BUSY, /* a limit or a fault of the server: may work later */
	TZ_RPC_GARBLED, /* an answer that is none */
	TZ_RPC_LOST /* no answer: in->err, in->maybe_sent */
} TzRpcEnd;

typedef struct TzRpcAnswer
{
	TzRpcEnd end;
	json_t *doc; /* owned: free with tz_rpc_answer_free */
	json_t *result; /* borrowed from doc */
	char message[TZ_RPC_MESSAGE_MAX]; /* printable; of ERROR, BUSY and GARBLED */
} TzRpcAnswer;

extern void tz_rpc_answer(const TzHttpResponse *in, TzRpcAnswer *out);
extern void tz_rpc_answer_free(TzRpcAnswer *answer);

/* "0x1f"; false for anything else, and beyond 2^63 - 1. */
extern bool tz_rpc_quantity(const json_t *value, int64_t *out);
extern json_t *tz_rpc_quantity_new(int64_t value);

/* "0x" and exactly so many bytes in hex. */
extern bool tz_rpc_is_data(const json_t *value, size_t bytes);

/* The same hex, whatever its case. */
extern bool tz_rpc_same(const json_t *a, const json_t *b);

#endif /* TZ_ADAPTER_RPC_H */
