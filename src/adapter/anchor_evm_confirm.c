/*-------------------------------------------------------------------------
 *
 * anchor_evm_confirm.c
 *	  An anchor on an EVM chain: until its transaction is confirmed.
 *
 * The receipt says in which block it is; it counts once enough blocks stand on that
 * one. Each look begins with the receipt again, so a reorganisation is noticed: the
 * block becomes another, or none. What the node says is believed only where it agrees
 * with itself: the receipt with the block, the block with the transaction, the
 * transaction with what was sent.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "adapter/anchor_evm.h"
#include "adapter/answer.h"

#define RESEND_MS 180000
#define MISSING_MAX 3

static json_t *evidence(TzEvmAnswer *a);

void
tz_evm_read_receipt(TzEvmAnswer *a)
{
	int64_t number;
	int64_t good;

	if (json_is_null(a->rpc.result))
	{
		tz_evm_go(a, TZ_EVM_KNOWN, 0);
		return;
	}
	if (!tz_rpc_same(tz_evm_member(a, "transactionHash"), json_object_get(a->state, "hash")))
	{
		tz_evm_contradicts(a, "the node's receipt is of another transaction");
		return;
	}
	if (!tz_rpc_quantity(tz_evm_member(a, "blockNumber"), &number) ||
	    !tz_rpc_is_data(tz_evm_member(a, "blockHash"), 32) ||
	    !tz_rpc_quantity(tz_evm_member(a, "status"), &good))
	{
		tz_evm_garbled(a);
		return;
	}
	if (good != 1)
	{
		tz_evm_fail(a, TZ_REFUSED, "the transaction ended with an error on the chain",
		            "Check the anchor's \"to\" and \"gas\": a contract there must take calls with any data.");
		/* its nonce is used: the next attempt begins anew */
		a->out->error_code = "anchor_void";
		return;
	}
	tz_evm_store(a, "block_number", number);
	json_object_set(a->state, "block_hash", tz_evm_member(a, "blockHash"));
	tz_evm_store(a, "missing", 0);
	tz_evm_go(a, TZ_EVM_DEPTH, 0);
}

/* In no block. */
void
tz_evm_read_known(TzEvmAnswer *a)
{
	if (json_is_null(a->rpc.result))
	{
		tz_evm_store(a, "missing", tz_evm_stored(a, "missing") + 1);
		if (tz_evm_stored(a, "missing") < MISSING_MAX)
			tz_evm_wait(a, TZ_EVM_RECEIPT);
		else
		{
			tz_evm_store(a, "missing", 0);
			tz_evm_go(a, TZ_EVM_LOOK, 0);
		}
	}
	else if (!tz_rpc_same(tz_evm_member(a, "hash"), json_object_get(a->state, "hash")))
		tz_evm_contradicts(a, "the node answered with another transaction");
	else if (a->effect->now_ms - tz_evm_stored(a, "sent_at") >= tz_evm_setting(a, "resend_ms", RESEND_MS) &&
	         !json_is_string(tz_evm_member(a, "blockNumber")))
		tz_evm_go(a, TZ_EVM_PRICE, 0);
	else
		tz_evm_wait(a, TZ_EVM_RECEIPT);
}

void
tz_evm_read_depth(TzEvmAnswer *a)
{
	int64_t head;

	if (!tz_rpc_quantity(a->rpc.result, &head))
		tz_evm_garbled(a);
	else if (head - tz_evm_stored(a, "block_number") + 1 <
	         tz_evm_setting(a, "confirmations", TZ_EVM_CONFIRMATIONS))
		tz_evm_wait(a, TZ_EVM_RECEIPT);
	else
	{
		tz_evm_store(a, "head", head);
		tz_evm_go(a, TZ_EVM_BLOCK, 0);
	}
}

void
tz_evm_read_block(TzEvmAnswer *a)
{
	json_t *list = tz_evm_member(a, "transactions");
	json_t *hash = json_object_get(a->state, "hash");
	int64_t at;
	size_t i;
	json_t *one;

	if (json_is_null(a->rpc.result) ||
	    !tz_rpc_same(tz_evm_member(a, "hash"), json_object_get(a->state, "block_hash")))
	{
		/* the chain was reorganised */
		tz_evm_wait(a, TZ_EVM_RECEIPT);
		return;
	}
	if (!json_is_array(list) || !tz_rpc_quantity(tz_evm_member(a, "timestamp"), &at))
	{
		tz_evm_garbled(a);
		return;
	}
	json_array_foreach (list, i, one)
	{
		if (tz_rpc_same(json_is_object(one) ? json_object_get(one, "hash") : one, hash))
		{
			tz_evm_store(a, "block_time", at);
			tz_evm_go(a, TZ_EVM_REREAD, 0);
			return;
		}
	}
	tz_evm_contradicts(a, "the block of the receipt does not hold the transaction");
}

void
tz_evm_read_reread(TzEvmAnswer *a)
{
	if (json_is_null(a->rpc.result) || !json_is_string(tz_evm_member(a, "blockHash")) ||
	    !tz_rpc_same(tz_evm_member(a, "blockHash"), json_object_get(a->state, "block_hash")))
		tz_evm_wait(a, TZ_EVM_RECEIPT);
	else if (!tz_rpc_same(tz_evm_member(a, "hash"), json_object_get(a->state, "hash")) ||
	         !tz_evm_is_ours(a, a->rpc.result))
		tz_evm_contradicts(a, "the node answered with another transaction");
	else if (!tz_evm_carries(a, a->rpc.result))
		tz_evm_contradicts(a, "the transaction on the chain does not carry the root");
	else
		tz_answer_done(a->out, evidence(a));
}

static json_t *
evidence(TzEvmAnswer *a)
{
	json_t *from = json_object_get(a->effect->request, "from");
	json_t *to = json_object_get(a->effect->request, "to");

	return json_pack("{s:O, s:O, s:I, s:O, s:I, s:O, s:O, s:I, s:o, s:I}", "chain_id",
	                 json_object_get(a->effect->request, "chain_id"), "tx_hash",
	                 json_object_get(a->state, "hash"), "block_number",
	                 (json_int_t) tz_evm_stored(a, "block_number"), "block_hash",
	                 json_object_get(a->state, "block_hash"), "block_time",
	                 (json_int_t) tz_evm_stored(a, "block_time"), "from", from, "to",
	                 json_is_string(to) ? to : from, "nonce", (json_int_t) tz_evm_stored(a, "nonce"), "input",
	                 tz_evm_data(a->effect), "confirmations",
	                 (json_int_t) (tz_evm_stored(a, "head") - tz_evm_stored(a, "block_number") + 1));
}
