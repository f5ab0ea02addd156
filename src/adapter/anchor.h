/*-------------------------------------------------------------------------
 *
 * anchor.h
 *	  What adapters of anchors share: the round to anchor, and the steps of a transaction.
 *
 * Request: {"round", "at_us", "size", "root" (hex)} and the anchor's own settings.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_ADAPTER_ANCHOR_H
#define TZ_ADAPTER_ANCHOR_H

#include "adapter/adapter.h"
#include "adapter/rpc.h"
#include "lib/anchor.h"

/* The round of an effect. */
extern TzStatus tz_anchor_of(const TzEffect *effect, TzAnchor *out, TzErr *err);

/* The bearer token of the anchor, if it has one, and the masking of it. */
extern TzStatus tz_anchor_credential(const TzEffect *effect, TzHttpRequest *req, TzErr *err);

/*
 * The steps of a transaction, in the order in which most go. The name of the next one
 * stands in the stored state as "phase".
 */
typedef enum TzEvmPhase
{
	TZ_EVM_CHAIN, /* is it the chain that is meant? */
	TZ_EVM_HEAD, /* where the search for a lost transaction would begin */
	TZ_EVM_COUNT, /* the nonce */
	TZ_EVM_PRICE, /* of gas */
	TZ_EVM_SEND,
	TZ_EVM_RECEIPT, /* is it in a block? */
	TZ_EVM_KNOWN, /* does the node still know it? */
	TZ_EVM_DEPTH, /* how many blocks confirm it? */
	TZ_EVM_BLOCK, /* is its block still one of the chain? */
	TZ_EVM_REREAD, /* does it say what was sent? */
	TZ_EVM_LOOK, /* may have been sent: has its nonce been used? */
	TZ_EVM_SCAN, /* in which block? */
	TZ_EVM_PENDING, /* or does it wait? */
	TZ_EVM_PHASES
} TzEvmPhase;

/* The step an effect is at: what was perhaps sent is looked for before it is sent again. */
extern TzEvmPhase tz_evm_phase(const TzEffect *effect);
extern const char *tz_evm_phase_name(TzEvmPhase phase);

/* Reads the answer to a step. */
extern void tz_evm_parse(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out);

/* The data of the transaction as JSON text "0x...", or NULL. The caller releases it. */
extern json_t *tz_evm_data(const TzEffect *effect);

#endif /* TZ_ADAPTER_ANCHOR_H */
