/*-------------------------------------------------------------------------
 *
 * verify.h
 *	  What the parts of the verification inside the server share.
 *
 * Two passes over one snapshot. The first goes along the seals and recomputes
 * chain, tree and signed heads from the leaves they hold. The second goes along
 * the events by their ids and recomputes each leaf: it finds rows that were
 * changed, that are missing and that nobody sealed. Each row is read once, and
 * memory is bounded by what was sealed within a few seconds.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_AUDIT_VERIFY_H
#define TZ_AUDIT_VERIFY_H

#include "executor/spi.h"

#include "lib/id.h"
#include "lib/merkle.h"

#define TZ_VERIFY_SEAL_EVENTS 128
#define TZ_VERIFY_SPAN_MS 10000

/* The first thing that is wrong, by sequence number; rows that nobody sealed have none and come last. */
typedef struct TzVerifyBad
{
	bool found;
	int64 seq; /* 0: none */
	char table[32];
	char id[TZ_ID_MAX + 1]; /* event, round; empty: none */
	char problem[TZ_ERR_MESSAGE_MAX];
} TzVerifyBad;

typedef struct TzVerify
{
	char platform[TZ_ID_MAX + 1];
	int64 from; /* what is asked for; 1 .. PG_INT64_MAX: the whole platform */
	int64 to;
	bool whole;
	TzHasher *hasher;
	TzVerifyBad bad;
	int64 first_seq; /* what was looked at; 0: nothing */
	int64 last_seq;
	int64 archived; /* of which the leaf stands for the row */
	int64 pending; /* events that wait for their seal */
	int64 signed_seq; /* covered by a signature that holds */
	int64 anchored_seq; /* covered by a confirmed anchor */
	TimestampTz anchored_at;
	bool anchored_tx; /* what follows is the hash of a transaction */
	char anchor_hash[67];
} TzVerify;

typedef struct TzSealRow
{
	int64 first_seq;
	int events;
	int64 sealed_at_us; /* since 1970 */
	TzHash prev;
	TzHash hash;
	char min_id[TZ_ID_MAX + 1];
	char max_id[TZ_ID_MAX + 1];
	uint8_t ids[TZ_VERIFY_SEAL_EVENTS][TZ_ID_BYTES];
	TzHash leaves[TZ_VERIFY_SEAL_EVENTS];
	bool odd; /* its lists do not have the length that its count says, and are not filled */
	int nfrontier;
	TzHash frontier[TZ_MERKLE_LEVELS + 1];
} TzSealRow;

/* Notes a finding if it comes before the one that is known. */
extern void tz_verify_bad(TzVerify *v, int64 seq, const char *table, const char *id, const char *fmt, ...)
	pg_attribute_printf(5, 6);

/* verify_seal.c: seals, in one order or the other. The row belongs to the scan. */
typedef struct TzSealScan TzSealScan;
extern TzSealScan *tz_seals_scan(const char *platform, int64 from, int64 to, bool by_id);
extern const TzSealRow *tz_seals_next(TzSealScan *scan);
extern void tz_seals_end(TzSealScan *scan);
/* The seal that has the event of this id at *place; false: none. Copies it to out. */
extern bool tz_seal_of(const char *platform, const char *id, TzSealRow *out, int *place);
/* The seal that ends right before seq, or the one that has seq. */
extern bool tz_seal_before(const char *platform, int64 seq, TzSealRow *out);
extern bool tz_seal_with(const char *platform, int64 seq, TzSealRow *out);

/* verify_chain.c: chain, tree, checkpoints. Looks further than asked for: up to the next signed head. */
extern void tz_verify_chain(TzVerify *v);

/* verify_anchor.c: rounds and anchors of what the chain's pass has seen. */
extern void tz_verify_anchors(TzVerify *v);

/* verify_rows.c: the events themselves. */
extern void tz_verify_rows(TzVerify *v);

/* verify_event.c: events by id, from all partitions. */
typedef struct TzEventScan TzEventScan;
typedef struct TzEventRow
{
	uint8_t id[TZ_ID_BYTES];
	bool odd; /* its id is none of ours */
	struct TupleTableSlot *slot;
	const AttrNumber *attno;
	bool in_order; /* the columns lie as the fields of an entry */
} TzEventRow;
extern TzEventScan *tz_event_scan(const char *platform);
/* From low (NULL: the first) on. */
extern void tz_event_seek(TzEventScan *scan, const char *low);
/* The row is there until the next call. */
extern const TzEventRow *tz_event_next(TzEventScan *scan);
extern void tz_event_leaf(const TzEventRow *row, TzHasher *hasher, TzHash *out);
extern void tz_event_id(const TzEventRow *row, char out[TZ_ID_MAX + 1]);
extern void tz_event_scan_end(TzEventScan *scan);
extern void tz_verify_seal_rows(const TzVerify *v, const TzSealRow *seal, TzHash *leaves);

/* What sealing has passed, as the snapshot at hand shows it. */
typedef struct TzSealCursor TzSealCursor;
extern TzSealCursor *tz_sealing_cursor(void);
/* NULL: the event waits for its seal. Else why it should have one. */
extern const char *tz_sealing_passed(const TzSealCursor *cursor, const TzEventRow *row);

#endif /* TZ_AUDIT_VERIFY_H */
