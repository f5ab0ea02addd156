/*-------------------------------------------------------------------------
 *
 * anchor_evm_look.c
 *	  An anchor on an EVM chain: a transaction that may have been sent.
 *
 * Its hash is not known, or the node has forgotten it; its nonce is known. Not used
 * yet: it waits in the pool, or is sent again with that nonce. Used: the blocks since
 * it was taken are read for a transaction of that nonce, which is ours when it
 * carries our data. When it does not, somebody else used the account, and once that
 * is as deep as a confirmation, a new nonce is taken: the old one cannot land any more.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "adapter/anchor_evm.h"

#define SCAN_MAX 20000

static void
forget(TzEvmAnswer *a, const char *const *names)
{
	for (; *names != NULL; names++)
		json_object_del(a->state, *names);
}


void
tz_evm_read_look(TzEvmAnswer *a)
{
	int64_t used;

	if (!tz_rpc_quantity(a->rpc.result, &used))
		tz_evm_garbled(a);
	else if (used <= tz_evm_stored(a, "nonce"))
	{
		json_object_del(a->state, "lost_at");
		tz_evm_go(a, TZ_EVM_PENDING, 0);
	}
	else
	{
		tz_evm_store(a, "scan", tz_evm_stored(a, "start"));
		tz_evm_go(a, TZ_EVM_SCAN, 0);
	}
}

/* Takes over the hash of the transaction in a block that is ours whatever the hash: nonce and data say so. */
static bool
adopt(TzEvmAnswer *a, json_t *block)
{
	json_t *list = json_object_get(block, "transactions");
	size_t i;
	json_t *tx;

	json_array_foreach (list, i, tx)
	{
		if (!tz_evm_is_ours(a, tx) || !tz_evm_carries(a, tx) ||
		    !tz_rpc_is_data(json_object_get(tx, "hash"), 32))
			continue;
		json_object_set(a->state, "hash", json_object_get(tx, "hash"));
		json_object_del(a->state, "lost_at");
		json_object_del(a->state, "reconcile");
		tz_evm_store(a, "missing", 0);
		return true;
	}
	return false;
}

/* Its nonce was used and it is in no block: another's, once that is as deep as a confirmation is. */
static void
not_found(TzEvmAnswer *a)
{
	static const char *const ours[] = {"nonce", "gas_price",    "hash",       "sent_at",    "missing",
	                                   "scan",  "lost_at",      "reconcile",  "block_time", "start",
	                                   "head",  "block_number", "block_hash", NULL};
	int64_t end = tz_evm_stored(a, "scan");

	if (json_object_get(a->state, "lost_at") == NULL)
		tz_evm_store(a, "lost_at", end);
	if (end - tz_evm_stored(a, "lost_at") < tz_evm_setting(a, "confirmations", TZ_EVM_CONFIRMATIONS) &&
	    end - tz_evm_stored(a, "start") < SCAN_MAX)
	{
		tz_evm_wait(a, TZ_EVM_LOOK);
		return;
	}
	forget(a, ours);
	tz_evm_go(a, TZ_EVM_HEAD, 0);
}

void
tz_evm_read_scan(TzEvmAnswer *a)
{
	if (json_is_null(a->rpc.result))
		not_found(a);
	else if (!json_is_array(tz_evm_member(a, "transactions")))
		tz_evm_garbled(a);
	else if (adopt(a, a->rpc.result))
	{
		if (json_object_get(a->state, "sent_at") == NULL)
			tz_evm_store(a, "sent_at", a->effect->now_ms);
		tz_evm_go(a, TZ_EVM_RECEIPT, 0);
	}
	else
	{
		tz_evm_store(a, "scan", tz_evm_stored(a, "scan") + 1);
		if (tz_evm_stored(a, "scan") - tz_evm_stored(a, "start") >= SCAN_MAX)
			not_found(a);
		else
			tz_evm_go(a, TZ_EVM_SCAN, 0);
	}
}

/* Not every node shows what waits; then it is sent again, which the same nonce makes harmless. */
void
tz_evm_read_pending(TzEvmAnswer *a)
{
	if (a->rpc.end == TZ_RPC_RESULT && adopt(a, a->rpc.result))
	{
		tz_evm_store(a, "sent_at", a->effect->now_ms);
		tz_evm_wait(a, TZ_EVM_RECEIPT);
	}
	else
		tz_evm_go(a, TZ_EVM_PRICE, 0);
}
