/*-------------------------------------------------------------------------
 *
 * trust.h
 *	  What an auditor brings along, against which an export is judged.
 *
 * Nothing here comes from the export: published keys, certificates of a
 * time-stamp authority, the auditor's own copy of an anchor file, transactions
 * as the auditor fetched them, checkpoints the auditor kept.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_VERIFY_TRUST_H
#define TZ_VERIFY_TRUST_H

#include "lib/anchor.h"
#include "lib/buf.h"
#include "lib/checkpoint.h"
#include "lib/merkle.h"

#define TZ_TRUST_KEYS_MAX 1024 /* as many as the server looks at */
#define TZ_TRUST_LINES_MAX 4000000 /* of anchor files: 38 years at one round in five minutes */
#define TZ_TRUST_TX_MAX 100000
#define TZ_TRUST_KEPT_MAX 10000
#define TZ_TRUST_FILE_MAX ((size_t) 64 << 20) /* bytes of a JSON, PEM or checkpoint file */

typedef struct TzTrustKey
{
	char name[TZ_ORIGIN_MAX + 1];
	uint8_t key[TZ_ED25519_LEN];
} TzTrustKey;

typedef struct TzTrustLine
{
	char round[TZ_ANCHOR_ROUND_MAX + 1];
	int64_t at_us;
	uint64_t size;
	uint8_t root[TZ_ANCHOR_ROOT_LEN];
} TzTrustLine;

typedef struct TzTrustTx
{
	char hash[67]; /* 0x and 64 digits, lower case */
	bool mined; /* it is in a block */
	bool failed; /* its receipt says so */
	bool ours; /* its data has the form of an anchor's */
	uint8_t data[TZ_ANCHOR_DATA_LEN];
} TzTrustTx;

typedef struct TzTrustKept
{
	uint64_t size;
	TzHash root;
	char origin[TZ_ORIGIN_MAX + 1];
} TzTrustKept;

typedef struct TzTrust
{
	int nkeys;
	TzTrustKey key[TZ_TRUST_KEYS_MAX];
	TzBuf ca_pem; /* empty: none given */
	bool file_given; /* an anchor file, even an empty one */
	bool tx_given;
	TzTrustLine *line; /* by round once tz_trust_ready was called */
	size_t nlines;
	size_t lines_cap;
	int64_t newest_line_us;
	TzTrustTx *tx;
	size_t ntx;
	size_t tx_cap;
	size_t tx_seen; /* transactions and receipts that were read */
	TzTrustKept *kept; /* by size once tz_trust_ready was called */
	size_t nkept;
	size_t kept_cap;
	int64_t
		anchored_before_us; /* what was sealed before must be covered by an anchor; INT64_MIN: not given */
} TzTrust;

extern void tz_trust_init(TzTrust *trust);
extern void tz_trust_free(TzTrust *trust);

/* "name+id+key", the published form. */
extern TzStatus tz_trust_key_read(TzSlice vkey, TzTrustKey *out, TzErr *err);
extern TzStatus tz_trust_add_key(TzTrust *trust, TzSlice vkey, TzErr *err);

/* PEM; several files lie end to end. */
extern TzStatus tz_trust_add_ca(TzTrust *trust, TzSlice pem, TzErr *err);

/* One line of an anchor file. */
extern TzStatus tz_trust_add_line(TzTrust *trust, TzSlice line, TzErr *err);

/* Transactions and receipts: results of JSON-RPC calls, with or without their envelope, alone or in arrays. */
extern TzStatus tz_trust_add_tx(TzTrust *trust, TzSlice json, TzErr *err);

/* A checkpoint that was published earlier. */
extern TzStatus tz_trust_add_checkpoint(TzTrust *trust, TzSlice note, TzErr *err);

/* After the last add: makes things findable. TZ_BAD_INPUT when two lines name one round and differ. */
extern TzStatus tz_trust_ready(TzTrust *trust, TzErr *err);

/* The line of a round, the mined transaction that carries data, or NULL. */
extern const TzTrustLine *tz_trust_line(const TzTrust *trust, const char *round);
extern const TzTrustTx *tz_trust_tx(const TzTrust *trust, const uint8_t data[TZ_ANCHOR_DATA_LEN]);
extern const TzTrustTx *tz_trust_tx_hash(const TzTrust *trust, TzSlice hash);

#endif /* TZ_VERIFY_TRUST_H */
