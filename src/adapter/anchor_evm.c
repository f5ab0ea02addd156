/*-------------------------------------------------------------------------
 *
 * anchor_evm.c
 *	  An anchor as the data of a transaction on an EVM chain: what is asked.
 *
 * Request, beside the round: "chain_id", "from", "to" (default: from), "gas",
 * "max_gas_price" (wei, decimal text), "confirmations", "poll_ms", "resend_ms". The
 * node, or a signer in front of one, holds the key: eth_sendTransaction.
 *
 * A transaction can be sent any number of times and count once, because its nonce
 * is fixed before: it is taken in a step of its own, whose end is committed before
 * the next begins. Whatever becomes of an attempt, the next one first looks whether
 * that nonce has been used, and by what, and sends with the same nonce or not at all.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "adapter/anchor.h"
#include "lib/json.h"
#include "lib/sign.h"
#include "lib/url.h"

#define REQUEST_MAX 65536
#define ANSWER_MAX (256 * 1024)
#define BLOCK_MAX (16 * 1024 * 1024) /* with its transactions */

typedef struct Phase
{
	const char *name;
	const char *method;
	size_t max_response;
	json_t *(*params)(const TzEffect *effect);
} Phase;

static TzStatus evm_build(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err);
static json_t *no_params(const TzEffect *effect);
static json_t *count_pending(const TzEffect *effect);
static json_t *count_latest(const TzEffect *effect);
static json_t *transaction(const TzEffect *effect);
static json_t *hash_params(const TzEffect *effect);
static json_t *receipt_block(const TzEffect *effect);
static json_t *scan_block(const TzEffect *effect);
static json_t *pending_block(const TzEffect *effect);
static json_t *count_params(const TzEffect *effect, const char *at);

static const Phase phases[TZ_EVM_PHASES] = {
	[TZ_EVM_CHAIN] = {"chain", "eth_chainId", ANSWER_MAX, no_params},
	[TZ_EVM_HEAD] = {"head", "eth_blockNumber", ANSWER_MAX, no_params},
	[TZ_EVM_COUNT] = {"count", "eth_getTransactionCount", ANSWER_MAX, count_pending},
	[TZ_EVM_PRICE] = {"price", "eth_gasPrice", ANSWER_MAX, no_params},
	[TZ_EVM_SEND] = {"send", "eth_sendTransaction", ANSWER_MAX, transaction},
	[TZ_EVM_RECEIPT] = {"receipt", "eth_getTransactionReceipt", ANSWER_MAX, hash_params},
	[TZ_EVM_KNOWN] = {"known", "eth_getTransactionByHash", ANSWER_MAX, hash_params},
	[TZ_EVM_DEPTH] = {"depth", "eth_blockNumber", ANSWER_MAX, no_params},
	[TZ_EVM_BLOCK] = {"block", "eth_getBlockByNumber", BLOCK_MAX, receipt_block},
	[TZ_EVM_REREAD] = {"reread", "eth_getTransactionByHash", ANSWER_MAX, hash_params},
	[TZ_EVM_LOOK] = {"look", "eth_getTransactionCount", ANSWER_MAX, count_latest},
	[TZ_EVM_SCAN] = {"scan", "eth_getBlockByNumber", BLOCK_MAX, scan_block},
	[TZ_EVM_PENDING] = {"pending", "eth_getBlockByNumber", BLOCK_MAX, pending_block},
};

static const char *const op_names[] = {"evm", NULL};

extern const TzAdapter tz_anchor_evm;
const TzAdapter tz_anchor_evm = {
	.name = "evm",
	.kind = TZ_ANCHOR,
	.ops = op_names,
	.build = evm_build,
	.parse = tz_evm_parse,
};

const char *
tz_evm_phase_name(TzEvmPhase phase)
{
	return phases[phase].name;
}

/*
 * A send counts as not yet made only for the very attempt it was prepared for: that
 * one's request cannot have left before.
 */
TzEvmPhase
tz_evm_phase(const TzEffect *effect)
{
	const char *name = json_string_value(json_object_get(effect->state, "phase"));
	const char *ticket = json_string_value(json_object_get(effect->state, "ticket"));
	char mine[128];

	for (int i = 0; name != NULL && i < TZ_EVM_PHASES; i++)
	{
		if (strcmp(phases[i].name, name) != 0)
			continue;
		if (i != TZ_EVM_SEND)
			return (TzEvmPhase) i;
		snprintf(mine, sizeof(mine), "%s %d", effect->id, effect->attempt);
		return ticket != NULL && strcmp(ticket, mine) == 0 ? TZ_EVM_SEND : TZ_EVM_LOOK;
	}
	return TZ_EVM_CHAIN;
}

json_t *
tz_evm_data(const TzEffect *effect)
{
	uint8_t data[TZ_ANCHOR_DATA_LEN];
	json_t *text = NULL;
	TzAnchor anchor;
	TzBuf hex;

	if (tz_anchor_of(effect, &anchor, NULL) != TZ_OK)
		return NULL;
	tz_anchor_data(&anchor, data);
	tz_buf_init(&hex, 2 + 2 * sizeof(data));
	tz_buf_append_cstr(&hex, "0x");
	if (tz_hex_append(&hex, data, sizeof(data)) == TZ_OK)
		text = json_string(hex.data);
	tz_buf_free(&hex);
	return text;
}

static TzStatus
evm_build(const TzEffect *effect, const TzEndpoint *to, TzHttpRequest *out, TzErr *err)
{
	const Phase *phase = &phases[tz_evm_phase(effect)];
	TzSlice url = tz_slice_cstr(to->url);
	TzAnchor anchor;
	TzUrl parts;
	TzStatus status;

	tz_http_request_free(out);
	tz_http_request_init(out, REQUEST_MAX);
	out->method = "POST";
	out->timeout_ms = 30000;
	out->max_response = phase->max_response;
	out->once = true;
	out->allow_http = to->allow_http;
	out->allow_private = to->allow_private;
	if (url.len == 0)
		return tz_err_set(err, TZ_BAD_INPUT, "the anchor was deleted");
	status = tz_anchor_of(effect, &anchor, err);
	if (status == TZ_OK && (!tz_rpc_is_data(json_object_get(effect->request, "from"), 20) ||
	                        !json_is_integer(json_object_get(effect->request, "chain_id"))))
		status = tz_err_set(err, TZ_BAD_INPUT, "account or chain of the anchor is not valid");
	if (status == TZ_OK)
		status = tz_url_split(url, &parts, err);
	if (status == TZ_OK && tz_buf_append(&out->url, url.data, parts.fragment) != TZ_OK)
		status = tz_err_set(err, out->url.status, "URL is too long");
	if (status == TZ_OK)
		status = tz_rpc_call(phase->method, phase->params(effect), out, err);
	if (status == TZ_OK)
		status = tz_anchor_credential(effect, out, err);
	return status;
}

static json_t *
no_params(const TzEffect *effect)
{
	(void) effect;
	return json_array();
}

static json_t *
count_params(const TzEffect *effect, const char *at)
{
	return json_pack("[O, s]", json_object_get(effect->request, "from"), at);
}

static json_t *
count_pending(const TzEffect *effect)
{
	return count_params(effect, "pending");
}

static json_t *
count_latest(const TzEffect *effect)
{
	return count_params(effect, "latest");
}

/* Nothing but the data is carried: from the account to itself, or to the address that is set. */
static json_t *
transaction(const TzEffect *effect)
{
	json_t *from = json_object_get(effect->request, "from");
	json_t *to = json_object_get(effect->request, "to");
	json_t *gas = json_object_get(effect->request, "gas");
	json_t *call =
		json_pack("{s:O, s:O, s:s, s:o, s:o, s:o}", "from", from, "to", json_is_string(to) ? to : from,
	              "value", "0x0", "data", tz_evm_data(effect), "nonce",
	              tz_rpc_quantity_new(json_integer_value(json_object_get(effect->state, "nonce"))),
	              "gasPrice",
	              tz_rpc_quantity_new(json_integer_value(json_object_get(effect->state, "gas_price"))));

	if (call != NULL && json_is_integer(gas))
		json_object_set_new(call, "gas", tz_rpc_quantity_new(json_integer_value(gas)));
	return call != NULL ? json_pack("[o]", call) : NULL;
}

static json_t *
hash_params(const TzEffect *effect)
{
	json_t *hash = json_object_get(effect->state, "hash");

	return json_is_string(hash) ? json_pack("[O]", hash) : NULL;
}

static json_t *
receipt_block(const TzEffect *effect)
{
	return json_pack("[o, b]",
	                 tz_rpc_quantity_new(json_integer_value(json_object_get(effect->state, "block_number"))),
	                 0);
}

static json_t *
scan_block(const TzEffect *effect)
{
	return json_pack("[o, b]",
	                 tz_rpc_quantity_new(json_integer_value(json_object_get(effect->state, "scan"))), 1);
}

static json_t *
pending_block(const TzEffect *effect)
{
	(void) effect;
	return json_pack("[s, b]", "pending", 1);
}
