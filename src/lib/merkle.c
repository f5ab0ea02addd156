/*-------------------------------------------------------------------------
 *
 * merkle.c
 *	  The tree of RFC 9162 and the chain of seals, over SHA-256.
 *
 * Proofs are made from the top down, one level a turn of a loop, and then turned
 * round: nothing here calls itself, whatever sizes it is given.
 *
 *-------------------------------------------------------------------------
 */
#include "lib/merkle.h"

/* the short-lived contexts of EVP cost more than the two blocks that most hashes here have */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#define SIZE_MAX_LEAVES ((UINT64_C(1) << 62) - 1)

struct TzHasher
{
	SHA256_CTX ctx;
};

static TzStatus path_add(TzMerklePath *path, TzHasher *hasher, const TzMerkleSource *source, uint64_t first,
                         uint64_t leaves, TzErr *err);
static void path_turn(TzMerklePath *path);
static TzStatus range_root(TzHasher *hasher, const TzMerkleSource *source, uint64_t first, uint64_t leaves,
                           TzHash *out, TzErr *err);
static TzStatus fold(TzHasher *hasher, const TzHash *roots, int n, TzHash *out, TzErr *err);
static uint64_t split_at(uint64_t leaves);
static int bits_set(uint64_t value);
static void put_be(uint8_t *out, uint64_t value, int bytes);
static bool same(const TzHash *a, const TzHash *b);
static TzStatus not_proven(TzErr *err);

TzStatus
tz_hasher_new(TzHasher **out, TzErr *err)
{
	TzHasher *hasher = calloc(1, sizeof(*hasher));

	*out = hasher;
	return hasher != NULL ? TZ_OK : tz_err_set(err, TZ_NOMEM, "out of memory");
}

void
tz_hasher_free(TzHasher *hasher)
{
	free(hasher);
}

TzStatus
tz_hasher_parts(TzHasher *hasher, const TzSlice *parts, int nparts, TzHash *out, TzErr *err)
{
	SHA256_CTX *ctx = &hasher->ctx;
	bool ok = SHA256_Init(ctx) == 1;

	for (int i = 0; ok && i < nparts; i++)
		ok = parts[i].len == 0 || SHA256_Update(ctx, parts[i].data, parts[i].len) == 1;
	ok = ok && SHA256_Final(out->bytes, ctx) == 1;
	return ok ? TZ_OK : tz_err_set(err, TZ_INTERNAL, "could not compute SHA-256");
}

TzStatus
tz_merkle_leaf(TzHasher *hasher, TzSlice entry, TzHash *out, TzErr *err)
{
	TzSlice parts[2] = {tz_slice("\0", 1), entry};

	return tz_hasher_parts(hasher, parts, 2, out, err);
}

TzStatus
tz_merkle_node(TzHasher *hasher, const TzHash *left, const TzHash *right, TzHash *out, TzErr *err)
{
	char all[1 + 2 * TZ_HASH_LEN];
	TzSlice part = {all, sizeof(all)};

	all[0] = 1;
	memcpy(all + 1, left->bytes, TZ_HASH_LEN);
	memcpy(all + 1 + TZ_HASH_LEN, right->bytes, TZ_HASH_LEN);
	return tz_hasher_parts(hasher, &part, 1, out, err);
}

TzStatus
tz_chain_genesis(TzHasher *hasher, TzSlice platform, TzHash *out, TzErr *err)
{
	TzSlice parts[2] = {tz_slice_cstr("theazo chain 1\n"), platform};

	return tz_hasher_parts(hasher, parts, 2, out, err);
}

TzStatus
tz_chain_header(TzHasher *hasher, const TzHash *prev, uint64_t first_seq, uint32_t events,
                int64_t sealed_at_us, TzHash *out, TzErr *err)
{
	uint8_t all[TZ_HASH_LEN + 8 + 4 + 8];
	TzSlice part = {(const char *) all, sizeof(all)};

	memcpy(all, prev->bytes, TZ_HASH_LEN);
	put_be(all + TZ_HASH_LEN, first_seq, 8);
	put_be(all + TZ_HASH_LEN + 8, events, 4);
	put_be(all + TZ_HASH_LEN + 12, (uint64_t) sealed_at_us, 8);
	return tz_hasher_parts(hasher, &part, 1, out, err);
}

TzStatus
tz_chain_link(TzHasher *hasher, const TzHash *prev, const TzHash *leaf, TzHash *out, TzErr *err)
{
	char all[2 * TZ_HASH_LEN];
	TzSlice part = {all, sizeof(all)};

	memcpy(all, prev->bytes, TZ_HASH_LEN);
	memcpy(all + TZ_HASH_LEN, leaf->bytes, TZ_HASH_LEN);
	return tz_hasher_parts(hasher, &part, 1, out, err);
}

void
tz_frontier_init(TzFrontier *frontier)
{
	frontier->size = 0;
	frontier->depth = 0;
}

TzStatus
tz_frontier_load(TzFrontier *frontier, uint64_t size, TzSlice roots, TzErr *err)
{
	tz_frontier_init(frontier);
	if (size > SIZE_MAX_LEAVES || roots.len != (size_t) bits_set(size) * TZ_HASH_LEN)
		return tz_err_set(err, TZ_BAD_INPUT, "a frontier has another number of roots than its size says");
	frontier->size = size;
	frontier->depth = bits_set(size);
	if (roots.len > 0)
		memcpy(frontier->root, roots.data, roots.len);
	return TZ_OK;
}

TzSlice
tz_frontier_slice(const TzFrontier *frontier)
{
	return tz_slice((const char *) frontier->root, (size_t) frontier->depth * TZ_HASH_LEN);
}

TzStatus
tz_frontier_append(TzHasher *hasher, TzFrontier *frontier, const TzHash *leaf, TzMerkleDone done, void *arg,
                   TzErr *err)
{
	TzHash hash = *leaf;
	int depth = frontier->depth;
	int level = 0;

	if (frontier->size >= SIZE_MAX_LEAVES)
		return tz_err_set(err, TZ_TOO_LARGE, "a tree cannot have more leaves");
	for (; (frontier->size >> level) & 1; level++)
	{
		TzStatus status = tz_merkle_node(hasher, &frontier->root[depth - 1], &hash, &hash, err);

		if (status == TZ_OK && done != NULL)
			status = done(arg, level + 1, frontier->size >> (level + 1), &hash, err);
		if (status != TZ_OK)
			return status;
		depth--;
	}
	frontier->root[depth] = hash;
	frontier->depth = depth + 1;
	frontier->size++;
	return TZ_OK;
}

TzStatus
tz_frontier_root(TzHasher *hasher, const TzFrontier *frontier, TzHash *out, TzErr *err)
{
	if (frontier->depth == 0)
		return tz_hasher_parts(hasher, NULL, 0, out, err);
	return fold(hasher, frontier->root, frontier->depth, out, err);
}

TzStatus
tz_merkle_root(TzHasher *hasher, const TzMerkleSource *source, uint64_t size, TzHash *out, TzErr *err)
{
	if (size > SIZE_MAX_LEAVES)
		return tz_err_set(err, TZ_BAD_INPUT, "a tree cannot have so many leaves");
	if (size == 0)
		return tz_hasher_parts(hasher, NULL, 0, out, err);
	return range_root(hasher, source, 0, size, out, err);
}

TzStatus
tz_merkle_inclusion(TzHasher *hasher, const TzMerkleSource *source, uint64_t index, uint64_t size,
                    TzMerklePath *out, TzErr *err)
{
	uint64_t first = 0;
	uint64_t leaves = size;

	out->n = 0;
	if (size > SIZE_MAX_LEAVES || index >= size)
		return tz_err_set(err, TZ_BAD_INPUT, "a tree of that size has no such leaf");
	while (leaves > 1)
	{
		uint64_t k = split_at(leaves);
		bool left = index - first < k;
		TzStatus status = left ? path_add(out, hasher, source, first + k, leaves - k, err)
		                       : path_add(out, hasher, source, first, k, err);

		if (status != TZ_OK)
			return status;
		first += left ? 0 : k;
		leaves = left ? k : leaves - k;
	}
	path_turn(out);
	return TZ_OK;
}

TzStatus
tz_merkle_consistency(TzHasher *hasher, const TzMerkleSource *source, uint64_t from, uint64_t to,
                      TzMerklePath *out, TzErr *err)
{
	uint64_t first = 0;
	uint64_t old = from; /* leaves of the smaller tree in [first, first + leaves) */
	uint64_t leaves = to;
	TzStatus status = TZ_OK;

	out->n = 0;
	if (from == 0 || from > to || to > SIZE_MAX_LEAVES)
		return tz_err_set(err, TZ_BAD_INPUT, "no tree of one size is the beginning of one of the other");
	while (status == TZ_OK && old < leaves)
	{
		uint64_t k = split_at(leaves);

		if (old <= k)
		{
			status = path_add(out, hasher, source, first + k, leaves - k, err);
			leaves = k;
		}
		else
		{
			status = path_add(out, hasher, source, first, k, err);
			first += k;
			old -= k;
			leaves -= k;
		}
	}
	/* what whoever asks knows already, as it is the whole smaller tree */
	if (status == TZ_OK && first > 0)
		status = path_add(out, hasher, source, first, leaves, err);
	path_turn(out);
	return status;
}

TzStatus
tz_merkle_verify_inclusion(TzHasher *hasher, const TzHash *leaf, uint64_t index, uint64_t size,
                           const TzHash *path, int npath, const TzHash *root, TzErr *err)
{
	TzHash r = *leaf;
	uint64_t fn = index;
	uint64_t sn = size - 1;

	if (index >= size)
		return not_proven(err);
	for (int i = 0; i < npath; i++)
	{
		TzStatus status;

		if (sn == 0)
			return not_proven(err);
		if ((fn & 1) || fn == sn)
		{
			status = tz_merkle_node(hasher, &path[i], &r, &r, err);
			while (!(fn & 1) && fn != 0)
			{
				fn >>= 1;
				sn >>= 1;
			}
		}
		else
			status = tz_merkle_node(hasher, &r, &path[i], &r, err);
		if (status != TZ_OK)
			return status;
		fn >>= 1;
		sn >>= 1;
	}
	return sn == 0 && same(&r, root) ? TZ_OK : not_proven(err);
}

TzStatus
tz_merkle_verify_consistency(TzHasher *hasher, uint64_t from, uint64_t to, const TzHash *path, int npath,
                             const TzHash *from_root, const TzHash *to_root, TzErr *err)
{
	bool whole = from > 0 && (from & (from - 1)) == 0; /* the smaller tree is one complete subtree */
	TzHash fr;
	TzHash sr;
	uint64_t fn = from - 1;
	uint64_t sn = to - 1;

	if (from > to)
		return not_proven(err);
	if (from == to)
		return npath == 0 && same(from_root, to_root) ? TZ_OK : not_proven(err);
	if (from == 0)
		return npath == 0 ? TZ_OK : not_proven(err);
	if (npath < (whole ? 0 : 1))
		return not_proven(err);
	fr = sr = whole ? *from_root : path[0];
	for (; fn & 1; fn >>= 1)
		sn >>= 1;
	for (int i = whole ? 0 : 1; i < npath; i++)
	{
		TzStatus status = TZ_OK;

		if (sn == 0)
			return not_proven(err);
		if ((fn & 1) || fn == sn)
		{
			status = tz_merkle_node(hasher, &path[i], &fr, &fr, err);
			if (status == TZ_OK)
				status = tz_merkle_node(hasher, &path[i], &sr, &sr, err);
			while (!(fn & 1) && fn != 0)
			{
				fn >>= 1;
				sn >>= 1;
			}
		}
		else
			status = tz_merkle_node(hasher, &sr, &path[i], &sr, err);
		if (status != TZ_OK)
			return status;
		fn >>= 1;
		sn >>= 1;
	}
	return sn == 0 && same(&fr, from_root) && same(&sr, to_root) ? TZ_OK : not_proven(err);
}

static TzStatus
path_add(TzMerklePath *path, TzHasher *hasher, const TzMerkleSource *source, uint64_t first, uint64_t leaves,
         TzErr *err)
{
	if (path->n >= TZ_MERKLE_PATH_MAX)
		return tz_err_set(err, TZ_INTERNAL, "a proof became too long");
	return range_root(hasher, source, first, leaves, &path->hash[path->n++], err);
}

static void
path_turn(TzMerklePath *path)
{
	for (int i = 0, j = path->n - 1; i < j; i++, j--)
	{
		TzHash hash = path->hash[i];

		path->hash[i] = path->hash[j];
		path->hash[j] = hash;
	}
}

/* Root of some leaves that begin where a subtree of at least as many does: complete subtrees, largest first. */
static TzStatus
range_root(TzHasher *hasher, const TzMerkleSource *source, uint64_t first, uint64_t leaves, TzHash *out,
           TzErr *err)
{
	TzHash roots[TZ_MERKLE_LEVELS + 1];
	int n = 0;

	for (int level = TZ_MERKLE_LEVELS; level >= 0; level--)
	{
		TzStatus status;

		if (!((leaves >> level) & 1))
			continue;
		status = source->get(source->arg, level, first >> level, &roots[n++], err);
		if (status != TZ_OK)
			return status;
		first += UINT64_C(1) << level;
	}
	return fold(hasher, roots, n, out, err);
}

static TzStatus
fold(TzHasher *hasher, const TzHash *roots, int n, TzHash *out, TzErr *err)
{
	TzHash hash = roots[n - 1];

	for (int i = n - 2; i >= 0; i--)
	{
		TzStatus status = tz_merkle_node(hasher, &roots[i], &hash, &hash, err);

		if (status != TZ_OK)
			return status;
	}
	*out = hash;
	return TZ_OK;
}

/* The largest power of two below the number of leaves, which is at least 2. */
static uint64_t
split_at(uint64_t leaves)
{
	return UINT64_C(1) << (63 - __builtin_clzll(leaves - 1));
}

static int
bits_set(uint64_t value)
{
	return __builtin_popcountll(value);
}

static void
put_be(uint8_t *out, uint64_t value, int bytes)
{
	for (int i = bytes - 1; i >= 0; i--)
	{
		out[i] = (uint8_t) (value & 0xff);
		value >>= 8;
	}
}

static bool
same(const TzHash *a, const TzHash *b)
{
	return CRYPTO_memcmp(a->bytes, b->bytes, TZ_HASH_LEN) == 0;
}

static TzStatus
not_proven(TzErr *err)
{
	return tz_err_set(err, TZ_CRYPTO, "the proof does not hold");
}
