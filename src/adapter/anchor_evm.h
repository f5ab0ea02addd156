/*-------------------------------------------------------------------------
 *
 * anchor_evm.h
 *	  The answer to one step of a transaction, as the files that read it share it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_ADAPTER_ANCHOR_EVM_H
#define TZ_ADAPTER_ANCHOR_EVM_H

#include "adapter/anchor.h"

#define TZ_EVM_CONFIRMATIONS 12

typedef struct TzEvmAnswer
{
	const TzEffect *effect;
	const TzHttpResponse *in;
	TzOutcome *out;
	TzRpcAnswer rpc;
	json_t *state; /* what the next step gets, a copy of our own */
} TzEvmAnswer;

/* A number of the anchor's settings, and numbers of the stored state (0 when there is none). */
extern int64_t tz_evm_setting(const TzEvmAnswer *a, const char *name, int64_t otherwise);
extern int64_t tz_evm_stored(const TzEvmAnswer *a, const char *name);
extern void tz_evm_store(TzEvmAnswer *a, const char *name, int64_t value);
/* A member of the result, or NULL. */
extern json_t *tz_evm_member(const TzEvmAnswer *a, const char *name);

/* Ways to end a step. */
extern void tz_evm_go(TzEvmAnswer *a, TzEvmPhase phase, int64_t wait_ms);
extern void tz_evm_wait(TzEvmAnswer *a, TzEvmPhase phase);
extern void tz_evm_fail(TzEvmAnswer *a, TzStatus status, const char *message, const char *hint);
extern void tz_evm_garbled(TzEvmAnswer *a);
extern void tz_evm_contradicts(TzEvmAnswer *a, const char *what);

/* Of a transaction as the node shows it: from our account with our nonce; with our data. */
extern bool tz_evm_is_ours(TzEvmAnswer *a, json_t *tx);
extern bool tz_evm_carries(TzEvmAnswer *a, json_t *tx);

/* Readers: an answer to a step becomes the next one, or the end. */
extern void tz_evm_read_chain(TzEvmAnswer *a);
extern void tz_evm_read_head(TzEvmAnswer *a);
extern void tz_evm_read_count(TzEvmAnswer *a);
extern void tz_evm_read_price(TzEvmAnswer *a);
extern void tz_evm_read_send(TzEvmAnswer *a);
extern void tz_evm_read_receipt(TzEvmAnswer *a);
extern void tz_evm_read_known(TzEvmAnswer *a);
extern void tz_evm_read_depth(TzEvmAnswer *a);
extern void tz_evm_read_block(TzEvmAnswer *a);
extern void tz_evm_read_reread(TzEvmAnswer *a);
extern void tz_evm_read_look(TzEvmAnswer *a);
extern void tz_evm_read_scan(TzEvmAnswer *a);
extern void tz_evm_read_pending(TzEvmAnswer *a);

#endif /* TZ_ADAPTER_ANCHOR_EVM_H */
