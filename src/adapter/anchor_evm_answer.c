/*-------------------------------------------------------------------------
 *
 * anchor_evm_answer.c
 *	  An anchor as the data of a transaction on an EVM chain: what answers mean.
 *
 * State, beside "phase": "nonce"; "gas_price"; "ticket" (the attempt that may send);
 * "hash" of the transaction, "sent_at"; "block_number", "block_hash", "block_time" of
 * the block it is in; "start" and "scan" of the search for one whose hash is not
 * known; "lost_at", the block at which the nonce was found used by another;
 * "missing", how often the node did not know it; "reconcile", set by the engine when
 * an attempt may have been sent.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "adapter/anchor_evm.h"
#include "adapter/answer.h"

#define POLL_MS 5000
#define STEPS_MAX 30000
#define PRICE_FACTOR 10 /* of what the node asks: no replacement goes beyond */
#define RETRY_AFTER_MAX_MS (10 * 60 * 1000)

typedef void (*Reader)(TzEvmAnswer *a);

static void failed_call(TzEvmAnswer *a, bool sending);

static const Reader readers[TZ_EVM_PHASES] = {
	[TZ_EVM_CHAIN] = tz_evm_read_chain,     [TZ_EVM_HEAD] = tz_evm_read_head,
	[TZ_EVM_COUNT] = tz_evm_read_count,     [TZ_EVM_PRICE] = tz_evm_read_price,
	[TZ_EVM_SEND] = tz_evm_read_send,       [TZ_EVM_RECEIPT] = tz_evm_read_receipt,
	[TZ_EVM_KNOWN] = tz_evm_read_known,     [TZ_EVM_DEPTH] = tz_evm_read_depth,
	[TZ_EVM_BLOCK] = tz_evm_read_block,     [TZ_EVM_REREAD] = tz_evm_read_reread,
	[TZ_EVM_LOOK] = tz_evm_read_look,       [TZ_EVM_SCAN] = tz_evm_read_scan,
	[TZ_EVM_PENDING] = tz_evm_read_pending,
};

void
tz_evm_parse(const TzEffect *effect, const TzHttpResponse *in, TzOutcome *out)
{
	TzEvmPhase phase = tz_evm_phase(effect);
	TzEvmAnswer a = {.effect = effect, .in = in, .out = out};

	a.state = effect->state != NULL ? json_copy(effect->state) : json_object();
	tz_rpc_answer(in, &a.rpc);
	if (a.state == NULL)
	{
		tz_err_set(&out->err, TZ_NOMEM, "out of memory");
		tz_answer_fail(in, "internal_error", out);
	}
	else if (a.rpc.end == TZ_RPC_RESULT ||
	         (a.rpc.end == TZ_RPC_ERROR && (phase == TZ_EVM_SEND || phase == TZ_EVM_PENDING)))
		readers[phase](&a);
	else
		failed_call(&a, phase == TZ_EVM_SEND);
	tz_rpc_answer_free(&a.rpc);
	json_decref(a.state);
}

/* ---- words ---------------------------------------------------------------------- */

int64_t
tz_evm_setting(const TzEvmAnswer *a, const char *name, int64_t otherwise)
{
	const json_t *value = json_object_get(a->effect->request, name);

	return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

int64_t
tz_evm_stored(const TzEvmAnswer *a, const char *name)
{
	return json_integer_value(json_object_get(a->state, name));
}

void
tz_evm_store(TzEvmAnswer *a, const char *name, int64_t value)
{
	json_object_set_new(a->state, name, json_integer(value));
}

json_t *
tz_evm_member(const TzEvmAnswer *a, const char *name)
{
	return json_object_get(a->rpc.result, name);
}

void
tz_evm_fail(TzEvmAnswer *a, TzStatus status, const char *message, const char *hint)
{
	tz_err_set(&a->out->err, status, "%s", message);
	if (hint != NULL)
		tz_err_hint(&a->out->err, "%s", hint);
	if (a->rpc.message[0] != '\0')
		tz_err_detail(&a->out->err, "The node said: %s", a->rpc.message);
	tz_answer_fail(a->in, "provider_error", a->out);
}

void
tz_evm_garbled(TzEvmAnswer *a)
{
	char message[TZ_ERR_MESSAGE_MAX];

	snprintf(message, sizeof(message), "the node's answer to step \"%s\" was not understood",
	         tz_evm_phase_name(tz_evm_phase(a->effect)));
	tz_evm_fail(a, TZ_BAD_ANSWER, message, "Check that the URL is that of an Ethereum JSON-RPC endpoint.");
}

void
tz_evm_contradicts(TzEvmAnswer *a, const char *what)
{
	tz_evm_fail(a, TZ_BAD_ANSWER, what,
	            "The node's answers contradict each other; ask another node about the transaction.");
}

void
tz_evm_go(TzEvmAnswer *a, TzEvmPhase phase, int64_t wait_ms)
{
	TzOutcome *out = a->out;

	if (a->effect->step >= STEPS_MAX)
	{
		tz_evm_fail(a, TZ_TIMEOUT, "the transaction was not confirmed in a very long time", NULL);
		return;
	}
	json_object_set_new(a->state, "phase", json_string(tz_evm_phase_name(phase)));
	if (phase == TZ_EVM_SEND)
	{
		char ticket[128];

		snprintf(ticket, sizeof(ticket), "%s %d", a->effect->id, a->effect->attempt + 1);
		json_object_set_new(a->state, "ticket", json_string(ticket));
	}
	else
		json_object_del(a->state, "ticket");
	out->verdict = TZ_V_NEXT;
	out->state = json_incref(a->state);
	out->retry_after_ms = (int) wait_ms;
}

void
tz_evm_wait(TzEvmAnswer *a, TzEvmPhase phase)
{
	tz_evm_go(a, phase, tz_evm_setting(a, "poll_ms", POLL_MS));
}

/* No result. Whether something left is for the send alone a question. */
static void
failed_call(TzEvmAnswer *a, bool sending)
{
	TzOutcome *out = a->out;

	switch (a->rpc.end)
	{
		case TZ_RPC_LOST:
			out->err = a->in->err;
			tz_answer_fail(a->in, "provider_error", out);
			if (sending && a->in->maybe_sent)
				out->verdict = TZ_V_UNKNOWN;
			else if (a->in->err.status != TZ_REFUSED && a->in->err.status != TZ_BAD_INPUT &&
			         a->in->err.status != TZ_CANCELLED)
				out->verdict = TZ_V_RETRY;
			break;
		case TZ_RPC_BUSY:
			tz_evm_fail(a, TZ_UNAVAILABLE, "the node is busy or out of order", NULL);
			out->verdict = sending && a->in->status >= 500 ? TZ_V_UNKNOWN : TZ_V_RETRY;
			tz_retry_after_ms(tz_http_response_header(a->in, "retry-after"), a->effect->now_ms,
			                  RETRY_AFTER_MAX_MS, &out->retry_after_ms);
			break;
		case TZ_RPC_ERROR:
			tz_evm_fail(a, TZ_REFUSED, "the node refused", NULL);
			break;
		default:
			tz_evm_garbled(a);
			out->verdict = sending ? TZ_V_UNKNOWN : TZ_V_RETRY;
			break;
	}
}

bool
tz_evm_carries(TzEvmAnswer *a, json_t *tx)
{
	json_t *data = tz_evm_data(a->effect);
	json_t *input = json_object_get(tx, "input");
	bool same = tz_rpc_same(input != NULL ? input : json_object_get(tx, "data"), data);

	json_decref(data);
	return same;
}

/* From our account, with our nonce. */
bool
tz_evm_is_ours(TzEvmAnswer *a, json_t *tx)
{
	int64_t nonce;

	return tz_rpc_same(json_object_get(tx, "from"), json_object_get(a->effect->request, "from")) &&
	       tz_rpc_quantity(json_object_get(tx, "nonce"), &nonce) && nonce == tz_evm_stored(a, "nonce");
}

/* ---- before it is sent ------------------------------------------------------------ */

void
tz_evm_read_chain(TzEvmAnswer *a)
{
	const char *then = json_string_value(json_object_get(a->state, "then"));
	int64_t meant = tz_evm_setting(a, "chain_id", -1);
	int64_t chain;
	char message[TZ_ERR_MESSAGE_MAX];

	if (!tz_rpc_quantity(a->rpc.result, &chain))
		tz_evm_garbled(a);
	else if (chain != meant)
	{
		snprintf(message, sizeof(message), "the node is on chain %lld and not on %lld", (long long) chain,
		         (long long) meant);
		tz_evm_fail(a, TZ_REFUSED, message,
		            "Nothing was sent. Correct the URL or the chain id of the anchor.");
	}
	else if (then == NULL || !json_is_integer(json_object_get(a->state, "nonce")))
		tz_evm_go(a, TZ_EVM_HEAD, 0);
	else
	{
		/* an effect that goes on where another one ended */
		for (int i = 0; i < TZ_EVM_PHASES; i++)
		{
			if (strcmp(tz_evm_phase_name((TzEvmPhase) i), then) == 0)
			{
				json_object_del(a->state, "then");
				/* what may have been sent is looked for first */
				tz_evm_go(a, i <= TZ_EVM_SEND ? TZ_EVM_LOOK : (TzEvmPhase) i, 0);
				return;
			}
		}
		tz_evm_go(a, TZ_EVM_LOOK, 0);
	}
}

void
tz_evm_read_head(TzEvmAnswer *a)
{
	int64_t head;

	if (!tz_rpc_quantity(a->rpc.result, &head))
	{
		tz_evm_garbled(a);
		return;
	}
	/* a reorganisation may put it into a block of a lower number */
	head -= tz_evm_setting(a, "confirmations", TZ_EVM_CONFIRMATIONS);
	tz_evm_store(a, "start", head > 0 ? head : 0);
	tz_evm_go(a, TZ_EVM_COUNT, 0);
}

void
tz_evm_read_count(TzEvmAnswer *a)
{
	int64_t count;

	if (!tz_rpc_quantity(a->rpc.result, &count))
	{
		tz_evm_garbled(a);
		return;
	}
	tz_evm_store(a, "nonce", count);
	tz_evm_go(a, TZ_EVM_PRICE, 0);
}

/* In wei, or none: it may be beyond what a JSON number is good for, so it is text. */
static int64_t
price_ceiling(const TzEvmAnswer *a)
{
	const char *text = json_string_value(json_object_get(a->effect->request, "max_gas_price"));
	int64_t max = 0;

	if (text == NULL)
		return INT64_MAX;
	for (; *text >= '0' && *text <= '9'; text++)
		if (__builtin_mul_overflow(max, 10, &max) || __builtin_add_overflow(max, *text - '0', &max))
			return INT64_MAX;
	return max;
}

/* What may be in the node's pool is replaced only for an eighth more. */
void
tz_evm_read_price(TzEvmAnswer *a)
{
	bool pooled =
		json_object_get(a->state, "hash") != NULL || json_is_true(json_object_get(a->state, "reconcile"));
	int64_t ceiling = price_ceiling(a);
	int64_t old = tz_evm_stored(a, "gas_price");
	int64_t price;
	int64_t most;

	if (!tz_rpc_quantity(a->rpc.result, &price))
	{
		tz_evm_garbled(a);
		return;
	}
	if (__builtin_mul_overflow(price, PRICE_FACTOR, &most))
		most = INT64_MAX;
	if (pooled && old + old / 8 + 1 > price)
	{
		price = old + old / 8 + 1;
		if (price > most)
			price = INT64_MAX; /* enough was offered: it waits */
	}
	if (price <= ceiling && price != INT64_MAX)
	{
		tz_evm_store(a, "gas_price", price);
		json_object_del(a->state, "reconcile");
		tz_evm_go(a, TZ_EVM_SEND, 0);
	}
	else if (!pooled)
		tz_evm_fail(a, TZ_UNAVAILABLE, "gas costs more than the anchor's max_gas_price",
		            "Nothing was sent. It is tried again later.");
	else
	{
		tz_evm_store(a, "sent_at", a->effect->now_ms);
		tz_evm_wait(a, json_object_get(a->state, "hash") != NULL ? TZ_EVM_RECEIPT : TZ_EVM_LOOK);
	}
}

/* What nodes say of a transaction that is there already, or whose nonce is used. */
static bool
says_known(const char *message)
{
	static const char *const words[] = {"nonce too low",    "nonce is too low",  "already known",
	                                    "already imported", "known transaction", "underpriced",
	                                    "alreadyknown",     "nonce too small",   "already exists"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcasestr(message, words[i]) != NULL)
			return true;
	return false;
}

void
tz_evm_read_send(TzEvmAnswer *a)
{
	if (a->rpc.end == TZ_RPC_ERROR && says_known(a->rpc.message))
	{
		json_object_set_new(a->state, "reconcile", json_true());
		tz_evm_wait(a, TZ_EVM_LOOK);
	}
	else if (a->rpc.end == TZ_RPC_ERROR)
		tz_evm_fail(a, TZ_REFUSED, "the node did not take the transaction",
		            "Check that it holds the key of the account and that the account has funds.");
	else if (!tz_rpc_is_data(a->rpc.result, 32))
	{
		tz_evm_garbled(a);
		a->out->verdict = TZ_V_UNKNOWN;
	}
	else
	{
		json_object_set(a->state, "hash", a->rpc.result);
		tz_evm_store(a, "sent_at", a->effect->now_ms);
		tz_evm_store(a, "missing", 0);
		tz_evm_wait(a, TZ_EVM_RECEIPT);
	}
}
