/*-------------------------------------------------------------------------
 *
 * trust.c
 *	  What an auditor brings along, against which an export is judged.
 *
 *-------------------------------------------------------------------------
 */
#include "verify/trust.h"

#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/sign.h"

#define TX_DEPTH 16

static const TzJsonLimits tx_limits = {
	.max_bytes = TZ_TRUST_FILE_MAX,
	.max_depth = 32,
	.max_values = 10000000,
	.flags = TZ_JSON_DUPLICATES,
};

static TzStatus trust_grow(void **items, size_t *cap, size_t n, size_t size, size_t max, TzErr *err);
static TzStatus trust_walk(TzTrust *trust, const json_t *value, int depth, TzErr *err);
static TzStatus trust_tx(TzTrust *trust, const json_t *tx, TzErr *err);
static TzStatus trust_receipt(TzTrust *trust, const json_t *receipt, TzErr *err);
static TzTrustTx *trust_tx_of(TzTrust *trust, TzSlice hash, TzErr *err);
static bool trust_tx_name(TzSlice hash, char out[67]);
static int line_order(const void *a, const void *b);
static int kept_order(const void *a, const void *b);

void
tz_trust_init(TzTrust *trust)
{
	memset(trust, 0, sizeof(*trust));
	tz_buf_init(&trust->ca_pem, TZ_TRUST_FILE_MAX);
	trust->anchored_before_us = INT64_MIN;
}

void
tz_trust_free(TzTrust *trust)
{
	tz_buf_free(&trust->ca_pem);
	free(trust->line);
	free(trust->tx);
	free(trust->kept);
	memset(trust, 0, sizeof(*trust));
}

TzStatus
tz_trust_add_key(TzTrust *trust, TzSlice vkey, TzErr *err)
{
	if (trust->nkeys == TZ_TRUST_KEYS_MAX)
		return tz_err_set(err, TZ_TOO_LARGE, "more than %d verifier keys", TZ_TRUST_KEYS_MAX);
	if (tz_trust_key_read(vkey, &trust->key[trust->nkeys], err) != TZ_OK)
		return TZ_BAD_INPUT;
	trust->nkeys++;
	return TZ_OK;
}

TzStatus
tz_trust_key_read(TzSlice vkey, TzTrustKey *out, TzErr *err)
{
	TzSlice name;
	TzStatus status = tz_vkey_read(vkey, &name, out->key, err);

	if (status == TZ_OK && name.len > TZ_ORIGIN_MAX)
		status = tz_err_set(err, TZ_BAD_INPUT, "the name of a verifier key is too long");
	if (status != TZ_OK)
		return status;
	memcpy(out->name, name.data, name.len);
	out->name[name.len] = '\0';
	return TZ_OK;
}

TzStatus
tz_trust_add_ca(TzTrust *trust, TzSlice pem, TzErr *err)
{
	if (tz_buf_append(&trust->ca_pem, pem.data, pem.len) != TZ_OK ||
	    tz_buf_append_byte(&trust->ca_pem, '\n') != TZ_OK)
		return tz_err_set(err, trust->ca_pem.status, "the certificates take too much memory");
	return TZ_OK;
}

TzStatus
tz_trust_add_line(TzTrust *trust, TzSlice line, TzErr *err)
{
	TzAnchor anchor;
	TzTrustLine *to;
	TzStatus status = tz_anchor_line_read(line, &anchor, err);

	trust->file_given = true;
	if (status == TZ_OK)
		status = trust_grow((void **) &trust->line, &trust->lines_cap, trust->nlines, sizeof(*trust->line),
		                    TZ_TRUST_LINES_MAX, err);
	if (status != TZ_OK)
		return status;
	to = &trust->line[trust->nlines++];
	memset(to, 0, sizeof(*to));
	memcpy(to->round, anchor.round.data, anchor.round.len);
	to->at_us = anchor.at_us;
	to->size = anchor.size;
	memcpy(to->root, anchor.root, sizeof(to->root));
	if (trust->nlines == 1 || anchor.at_us > trust->newest_line_us)
		trust->newest_line_us = anchor.at_us;
	return TZ_OK;
}

TzStatus
tz_trust_add_tx(TzTrust *trust, TzSlice json, TzErr *err)
{
	json_t *root;
	size_t before = trust->tx_seen;
	TzStatus status = tz_json_parse(json, &tx_limits, &root, err);

	if (status != TZ_OK)
		return status;
	trust->tx_given = true;
	status = trust_walk(trust, root, 0, err);
	json_decref(root);
	if (status == TZ_OK && trust->tx_seen == before)
		status = tz_err_set(err, TZ_BAD_INPUT, "no transaction in it");
	return status;
}

TzStatus
tz_trust_add_checkpoint(TzTrust *trust, TzSlice note, TzErr *err)
{
	TzCheckpoint checkpoint;
	TzTrustKept *to;
	TzStatus status;

	/* what a terminal or an editor puts behind it is no part of it */
	while (note.len > 1 && note.data[note.len - 1] == '\n' && note.data[note.len - 2] == '\n')
		note.len--;
	status = tz_checkpoint_read(note, &checkpoint, err);

	if (status == TZ_OK && checkpoint.origin.len > TZ_ORIGIN_MAX)
		status = tz_err_set(err, TZ_BAD_INPUT, "the origin of a checkpoint is too long");
	if (status == TZ_OK)
		status = trust_grow((void **) &trust->kept, &trust->kept_cap, trust->nkept, sizeof(*trust->kept),
		                    TZ_TRUST_KEPT_MAX, err);
	if (status != TZ_OK)
		return status;
	to = &trust->kept[trust->nkept++];
	memset(to, 0, sizeof(*to));
	to->size = checkpoint.size;
	to->root = checkpoint.root;
	memcpy(to->origin, checkpoint.origin.data, checkpoint.origin.len);
	return TZ_OK;
}

TzStatus
tz_trust_ready(TzTrust *trust, TzErr *err)
{
	if (trust->nlines > 0)
		qsort(trust->line, trust->nlines, sizeof(*trust->line), line_order);
	if (trust->nkept > 0)
		qsort(trust->kept, trust->nkept, sizeof(*trust->kept), kept_order);
	for (size_t i = 1; i < trust->nlines; i++)
	{
		const TzTrustLine *a = &trust->line[i - 1];
		const TzTrustLine *b = &trust->line[i];

		/* a line written twice after a crash is no harm */
		if (strcmp(a->round, b->round) == 0 &&
		    (a->size != b->size || memcmp(a->root, b->root, sizeof(a->root)) != 0))
			return tz_err_set(err, TZ_BAD_INPUT, "the anchor files disagree about round %s", a->round);
	}
	return TZ_OK;
}

const TzTrustLine *
tz_trust_line(const TzTrust *trust, const char *round)
{
	TzTrustLine key;

	memset(&key, 0, sizeof(key));
	if (trust->nlines == 0 || strlen(round) > TZ_ANCHOR_ROUND_MAX)
		return NULL;
	memcpy(key.round, round, strlen(round));
	return bsearch(&key, trust->line, trust->nlines, sizeof(*trust->line), line_order);
}

const TzTrustTx *
tz_trust_tx(const TzTrust *trust, const uint8_t data[TZ_ANCHOR_DATA_LEN])
{
	for (size_t i = 0; i < trust->ntx; i++)
	{
		const TzTrustTx *tx = &trust->tx[i];

		if (tx->ours && tx->mined && !tx->failed && memcmp(tx->data, data, TZ_ANCHOR_DATA_LEN) == 0)
			return tx;
	}
	return NULL;
}

const TzTrustTx *
tz_trust_tx_hash(const TzTrust *trust, TzSlice hash)
{
	char name[67];

	if (!trust_tx_name(hash, name))
		return NULL;
	for (size_t i = 0; i < trust->ntx; i++)
	{
		if (memcmp(trust->tx[i].hash, name, sizeof(name)) == 0)
			return &trust->tx[i];
	}
	return NULL;
}

/* Room for one more. */
static TzStatus
trust_grow(void **items, size_t *cap, size_t n, size_t size, size_t max, TzErr *err)
{
	size_t more = *cap == 0 ? 64 : *cap * 2;
	void *grown;

	if (n < *cap)
		return TZ_OK;
	if (n >= max)
		return tz_err_set(err, TZ_TOO_LARGE, "more than %zu entries", max);
	grown = realloc(*items, more * size);
	if (grown == NULL)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	*items = grown;
	*cap = more;
	return TZ_OK;
}

/* Transactions are wherever an object has a hash and an input, receipts where it has a transactionHash. */
static TzStatus
trust_walk(TzTrust *trust, const json_t *value, int depth, TzErr *err)
{
	const char *key;
	json_t *item;
	size_t i;
	TzStatus status = TZ_OK;

	if (depth > TX_DEPTH)
		return TZ_OK;
	if (json_is_array(value))
	{
		json_array_foreach (value, i, item)
		{
			if (status == TZ_OK)
				status = trust_walk(trust, item, depth + 1, err);
		}
		return status;
	}
	if (!json_is_object(value))
		return TZ_OK;
	if (json_is_string(json_object_get(value, "hash")) && json_is_string(json_object_get(value, "input")))
		return trust_tx(trust, value, err);
	if (json_is_string(json_object_get(value, "transactionHash")) &&
	    json_is_string(json_object_get(value, "status")))
		return trust_receipt(trust, value, err);
	json_object_foreach ((json_t *) value, key, item)
	{
		if (status == TZ_OK)
			status = trust_walk(trust, item, depth + 1, err);
	}
	return status;
}

static TzStatus
trust_tx(TzTrust *trust, const json_t *tx, TzErr *err)
{
	const json_t *hash = json_object_get(tx, "hash");
	const json_t *input = json_object_get(tx, "input");
	TzSlice text = tz_slice(json_string_value(input), json_string_length(input));
	TzTrustTx *to = trust_tx_of(trust, tz_slice(json_string_value(hash), json_string_length(hash)), err);
	TzBuf data;

	if (to == NULL)
		return TZ_BAD_INPUT;
	to->mined = json_is_string(json_object_get(tx, "blockNumber")) &&
	            json_is_string(json_object_get(tx, "blockHash"));
	to->ours = false;
	tz_buf_init(&data, TZ_ANCHOR_DATA_LEN);
	if (text.len == 2 + 2 * TZ_ANCHOR_DATA_LEN && memcmp(text.data, "0x", 2) == 0 &&
	    tz_hex_decode(tz_slice(text.data + 2, text.len - 2), &data, NULL) == TZ_OK)
	{
		memcpy(to->data, data.data, TZ_ANCHOR_DATA_LEN);
		to->ours = true;
	}
	tz_buf_free(&data);
	return TZ_OK;
}

static TzStatus
trust_receipt(TzTrust *trust, const json_t *receipt, TzErr *err)
{
	const json_t *hash = json_object_get(receipt, "transactionHash");
	TzTrustTx *to = trust_tx_of(trust, tz_slice(json_string_value(hash), json_string_length(hash)), err);

	if (to == NULL)
		return TZ_BAD_INPUT;
	to->failed = strcmp(json_string_value(json_object_get(receipt, "status")), "0x1") != 0;
	return TZ_OK;
}

/* The entry of that hash, made if there is none. */
static TzTrustTx *
trust_tx_of(TzTrust *trust, TzSlice hash, TzErr *err)
{
	char name[67];
	TzTrustTx *to;

	if (!trust_tx_name(hash, name))
	{
		tz_err_set(err, TZ_BAD_INPUT, "a transaction's hash is not 0x and 64 digits");
		return NULL;
	}
	trust->tx_seen++;
	to = (TzTrustTx *) tz_trust_tx_hash(trust, hash);
	if (to != NULL)
		return to;
	if (trust_grow((void **) &trust->tx, &trust->tx_cap, trust->ntx, sizeof(*trust->tx), TZ_TRUST_TX_MAX,
	               err) != TZ_OK)
		return NULL;
	to = &trust->tx[trust->ntx++];
	memset(to, 0, sizeof(*to));
	memcpy(to->hash, name, sizeof(name));
	return to;
}

static bool
trust_tx_name(TzSlice hash, char out[67])
{
	static const char digits[] = "0123456789abcdef";

	if (hash.len != 66 || memcmp(hash.data, "0x", 2) != 0)
		return false;
	memcpy(out, "0x", 2);
	for (size_t i = 2; i < 66; i++)
	{
		int digit = tz_hex_digit(hash.data[i]);

		if (digit < 0)
			return false;
		out[i] = digits[digit];
	}
	out[66] = '\0';
	return true;
}

static int
line_order(const void *a, const void *b)
{
	return strcmp(((const TzTrustLine *) a)->round, ((const TzTrustLine *) b)->round);
}

static int
kept_order(const void *a, const void *b)
{
	uint64_t x = ((const TzTrustKept *) a)->size;
	uint64_t y = ((const TzTrustKept *) b)->size;

	return x < y ? -1 : x > y;
}
