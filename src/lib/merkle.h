/*-------------------------------------------------------------------------
 *
 * merkle.h
 *	  The tree of RFC 9162 and the chain of seals, over SHA-256.
 *
 * Leaves are counted from 0; the sequence number of an event is its leaf's
 * index plus 1. A tree is kept as its frontier: the roots of the perfect
 * subtrees it consists of, largest first. Nodes are named by level (0: leaves)
 * and index within the level; only complete ones have a hash that never changes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_MERKLE_H
#define TZ_MERKLE_H

#include "lib/buf.h"

#define TZ_HASH_LEN 32
#define TZ_MERKLE_LEVELS 63 /* a tree has fewer than 2^63 leaves */
#define TZ_MERKLE_PATH_MAX (2 * TZ_MERKLE_LEVELS) /* hashes of any proof */
#define TZ_MERKLE_KEPT_LEVELS 8 /* each so manieth level is kept in theazo_data.tree_node */

typedef struct TzHash
{
	uint8_t bytes[TZ_HASH_LEN];
} TzHash;

/* SHA-256 with a kept context, for one thread. */
typedef struct TzHasher TzHasher;

extern TzStatus tz_hasher_new(TzHasher **out, TzErr *err);
extern void tz_hasher_free(TzHasher *hasher);

/* One hash over parts laid end to end. */
extern TzStatus tz_hasher_parts(TzHasher *hasher, const TzSlice *parts, int nparts, TzHash *out, TzErr *err);

/* SHA-256(0x00 + entry) and SHA-256(0x01 + left + right). */
extern TzStatus tz_merkle_leaf(TzHasher *hasher, TzSlice entry, TzHash *out, TzErr *err);
extern TzStatus tz_merkle_node(TzHasher *hasher, const TzHash *left, const TzHash *right, TzHash *out,
                               TzErr *err);

/* The chain: what a platform's begins with, the header of a seal, and one event. */
extern TzStatus tz_chain_genesis(TzHasher *hasher, TzSlice platform, TzHash *out, TzErr *err);
extern TzStatus tz_chain_header(TzHasher *hasher, const TzHash *prev, uint64_t first_seq, uint32_t events,
                                int64_t sealed_at_us, TzHash *out, TzErr *err);
extern TzStatus tz_chain_link(TzHasher *hasher, const TzHash *prev, const TzHash *leaf, TzHash *out,
                              TzErr *err);

/* A tree that grows. */
typedef struct TzFrontier
{
	uint64_t size;
	int depth; /* roots in use: as many as size has bits set */
	TzHash root[TZ_MERKLE_LEVELS + 1];
} TzFrontier;

/* Called for each subtree that the new leaf completes, smallest first, the leaf itself not. */
typedef TzStatus (*TzMerkleDone)(void *arg, int level, uint64_t index, const TzHash *hash, TzErr *err);

extern void tz_frontier_init(TzFrontier *frontier);

/* From its stored form: the roots end to end. TZ_BAD_INPUT when there are not as many as the size says. */
extern TzStatus tz_frontier_load(TzFrontier *frontier, uint64_t size, TzSlice roots, TzErr *err);
extern TzSlice tz_frontier_slice(const TzFrontier *frontier);

/* done may be NULL. */
extern TzStatus tz_frontier_append(TzHasher *hasher, TzFrontier *frontier, const TzHash *leaf,
                                   TzMerkleDone done, void *arg, TzErr *err);

/* Root of the tree; of the empty one SHA-256(""). */
extern TzStatus tz_frontier_root(TzHasher *hasher, const TzFrontier *frontier, TzHash *out, TzErr *err);

/*
 * What proofs are made from: the hash of a complete node. Whoever keeps only
 * some levels computes the others from those below.
 */
typedef TzStatus (*TzMerkleGet)(void *arg, int level, uint64_t index, TzHash *out, TzErr *err);

typedef struct TzMerkleSource
{
	TzMerkleGet get;
	void *arg;
} TzMerkleSource;

typedef struct TzMerklePath
{
	int n;
	TzHash hash[TZ_MERKLE_PATH_MAX];
} TzMerklePath;

/* Root of the first size leaves. */
extern TzStatus tz_merkle_root(TzHasher *hasher, const TzMerkleSource *source, uint64_t size, TzHash *out,
                               TzErr *err);

/* RFC 9162, 2.1.3.1: the path of a leaf, leaf to root. TZ_BAD_INPUT unless index < size. */
extern TzStatus tz_merkle_inclusion(TzHasher *hasher, const TzMerkleSource *source, uint64_t index,
                                    uint64_t size, TzMerklePath *out, TzErr *err);

/* RFC 9162, 2.1.4.1: that the tree of from leaves is the beginning of that of to. TZ_BAD_INPUT unless 0 < from <= to. */
extern TzStatus tz_merkle_consistency(TzHasher *hasher, const TzMerkleSource *source, uint64_t from,
                                      uint64_t to, TzMerklePath *out, TzErr *err);

/* TZ_OK when the proof holds, TZ_CRYPTO when it does not. */
extern TzStatus tz_merkle_verify_inclusion(TzHasher *hasher, const TzHash *leaf, uint64_t index,
                                           uint64_t size, const TzHash *path, int npath, const TzHash *root,
                                           TzErr *err);
extern TzStatus tz_merkle_verify_consistency(TzHasher *hasher, uint64_t from, uint64_t to, const TzHash *path,
                                             int npath, const TzHash *from_root, const TzHash *to_root,
                                             TzErr *err);

#endif /* TZ_MERKLE_H */
