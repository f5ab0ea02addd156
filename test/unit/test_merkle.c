/* test_merkle.c: the tree against RFC vectors and a brute-force tree, the chain against SHA-256 by hand */
#include "tz_test.h"

#include "lib/merkle.h"
#include "lib/sign.h"

#define LEAVES 70

static TzHasher *hasher;
static TzHash leaves[LEAVES];

static int
setup(void **state)
{
	assert_int_equal(tz_hasher_new(&hasher, NULL), TZ_OK);
	for (int i = 0; i < LEAVES; i++)
	{
		char entry[32];

		snprintf(entry, sizeof(entry), "entry %d", i);
		assert_int_equal(tz_merkle_leaf(hasher, tz_slice_cstr(entry), &leaves[i], NULL), TZ_OK);
	}
	return 0;
}

static int
teardown(void **state)
{
	tz_hasher_free(hasher);
	return 0;
}

static void
expect_hash(const TzHash *hash, const char *hex)
{
	uint8_t want[TZ_HASH_LEN];

	assert_int_equal(tz_test_hex(hex, want, sizeof(want)), TZ_HASH_LEN);
	assert_memory_equal(hash->bytes, want, TZ_HASH_LEN);
}

/* The definition of RFC 9162, 2.1.1. */
static TzHash
brute(const TzHash *leaf, int n)
{
	TzHash left;
	TzHash right;
	TzHash out;
	int k = 1;

	if (n == 1)
		return leaf[0];
	while (k * 2 < n)
		k *= 2;
	left = brute(leaf, k);
	right = brute(leaf + k, n - k);
	assert_int_equal(tz_merkle_node(hasher, &left, &right, &out, NULL), TZ_OK);
	return out;
}

static TzStatus
brute_get(void *arg, int level, uint64_t index, TzHash *out, TzErr *err)
{
	(void) err;
	/* only complete nodes may be asked for */
	assert_true(((index + 1) << level) <= (uint64_t) * (int *) arg);
	*out = brute(leaves + (index << level), 1 << level);
	return TZ_OK;
}

static void
test_vectors(void **state)
{
	static const char *const entries[] = {
		"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"};
	static const char *const roots[] = {"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	                                    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
	                                    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
	                                    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
	                                    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
	                                    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
	                                    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
	                                    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
	                                    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
	TzFrontier frontier;
	TzHash root;

	tz_frontier_init(&frontier);
	for (int n = 0; n <= 8; n++)
	{
		assert_int_equal(tz_frontier_root(hasher, &frontier, &root, NULL), TZ_OK);
		expect_hash(&root, roots[n]);
		if (n < 8)
		{
			uint8_t entry[16];
			size_t len = tz_test_hex(entries[n], entry, sizeof(entry));
			TzHash leaf;

			assert_int_equal(tz_merkle_leaf(hasher, tz_test_slice(entry, len), &leaf, NULL), TZ_OK);
			assert_int_equal(tz_frontier_append(hasher, &frontier, &leaf, NULL, NULL, NULL), TZ_OK);
		}
	}
}

typedef struct Done
{
	int calls;
	uint64_t size;
} Done;

static TzStatus
done(void *arg, int level, uint64_t index, const TzHash *hash, TzErr *err)
{
	Done *seen = arg;
	TzHash want = brute(leaves + (index << level), 1 << level);

	(void) err;
	seen->calls++;
	assert_int_equal((index + 1) << level, seen->size);
	assert_memory_equal(want.bytes, hash->bytes, TZ_HASH_LEN);
	return TZ_OK;
}

static void
test_frontier(void **state)
{
	TzFrontier frontier;
	TzFrontier again;
	Done seen = {0, 0};

	tz_frontier_init(&frontier);
	for (int n = 1; n <= LEAVES; n++)
	{
		TzHash root;
		TzHash want = brute(leaves, n);

		seen.size = n;
		assert_int_equal(tz_frontier_append(hasher, &frontier, &leaves[n - 1], done, &seen, NULL), TZ_OK);
		assert_int_equal(tz_frontier_root(hasher, &frontier, &root, NULL), TZ_OK);
		assert_memory_equal(root.bytes, want.bytes, TZ_HASH_LEN);
		/* stored, loaded, and going on from there */
		assert_int_equal(tz_frontier_load(&again, n, tz_frontier_slice(&frontier), NULL), TZ_OK);
		assert_int_equal(tz_frontier_load(&again, n + 1 + (n & 1), tz_frontier_slice(&frontier), NULL),
		                 __builtin_popcount(n + 1 + (n & 1)) == __builtin_popcount(n) ? TZ_OK : TZ_BAD_INPUT);
		assert_int_equal(tz_frontier_load(&frontier, n, tz_frontier_slice(&frontier), NULL), TZ_OK);
	}
	/* as many inner nodes as leaves, but for those that are not complete */
	assert_int_equal(seen.calls, LEAVES - __builtin_popcount(LEAVES));
	assert_int_equal(tz_frontier_load(&again, UINT64_MAX, tz_slice(NULL, 0), NULL), TZ_BAD_INPUT);
}

/* No proof that was changed in any way is accepted. */
static void
tamper_inclusion(uint64_t index, int size, const TzMerklePath *path, const TzHash *root)
{
	TzMerklePath bad;
	TzHash other = *root;

	for (int i = 0; i < path->n; i++)
	{
		bad = *path;
		bad.hash[i].bytes[i % 32] ^= 1;
		assert_int_equal(tz_merkle_verify_inclusion(hasher, &leaves[index], index, size, bad.hash, bad.n,
		                                            root, NULL),
		                 TZ_CRYPTO);
		assert_int_equal(tz_merkle_verify_inclusion(hasher, &leaves[index], index, size, path->hash, i, root,
		                                            NULL),
		                 TZ_CRYPTO);
	}
	bad = *path;
	bad.hash[bad.n++] = leaves[0];
	assert_int_equal(tz_merkle_verify_inclusion(hasher, &leaves[index], index, size, bad.hash, bad.n, root,
	                                            NULL),
	                 TZ_CRYPTO);
	other.bytes[31] ^= 0x80;
	assert_int_equal(tz_merkle_verify_inclusion(hasher, &leaves[index], index, size, path->hash, path->n,
	                                            &other, NULL),
	                 TZ_CRYPTO);
	for (uint64_t i = 0; i < (uint64_t) size; i++)
	{
		if (i != index)
			assert_int_equal(tz_merkle_verify_inclusion(hasher, &leaves[i], index, size, path->hash, path->n,
			                                            root, NULL),
			                 TZ_CRYPTO);
	}
	assert_int_equal(tz_merkle_verify_inclusion(hasher, &leaves[index], (uint64_t) size, size, path->hash,
	                                            path->n, root, NULL),
	                 TZ_CRYPTO);
}

static void
test_inclusion(void **state)
{
	for (int size = 1; size <= LEAVES; size++)
	{
		TzHash root = brute(leaves, size);
		TzMerkleSource source = {brute_get, &size};
		TzHash same;

		assert_int_equal(tz_merkle_root(hasher, &source, size, &same, NULL), TZ_OK);
		assert_memory_equal(same.bytes, root.bytes, TZ_HASH_LEN);
		for (int index = 0; index < size; index++)
		{
			TzMerklePath path;

			assert_int_equal(tz_merkle_inclusion(hasher, &source, index, size, &path, NULL), TZ_OK);
			assert_int_equal(tz_merkle_verify_inclusion(hasher, &leaves[index], index, size, path.hash,
			                                            path.n, &root, NULL),
			                 TZ_OK);
			tamper_inclusion(index, size, &path, &root);
		}
		assert_int_equal(tz_merkle_inclusion(hasher, &source, size, size, &(TzMerklePath){0}, NULL),
		                 TZ_BAD_INPUT);
	}
}

static void
tamper_consistency(int from, int to, const TzMerklePath *path, const TzHash *old, const TzHash *now)
{
	TzMerklePath bad;
	TzHash other;

	for (int i = 0; i < path->n; i++)
	{
		bad = *path;
		bad.hash[i].bytes[(i * 7) % 32] ^= 0x10;
		assert_int_equal(tz_merkle_verify_consistency(hasher, from, to, bad.hash, bad.n, old, now, NULL),
		                 TZ_CRYPTO);
		assert_int_equal(tz_merkle_verify_consistency(hasher, from, to, path->hash, i, old, now, NULL),
		                 TZ_CRYPTO);
	}
	bad = *path;
	bad.hash[bad.n++] = leaves[1];
	assert_int_equal(tz_merkle_verify_consistency(hasher, from, to, bad.hash, bad.n, old, now, NULL),
	                 TZ_CRYPTO);
	other = *old;
	other.bytes[0] ^= 1;
	assert_int_equal(tz_merkle_verify_consistency(hasher, from, to, path->hash, path->n, &other, now, NULL),
	                 TZ_CRYPTO);
	other = *now;
	other.bytes[0] ^= 1;
	assert_int_equal(tz_merkle_verify_consistency(hasher, from, to, path->hash, path->n, old, &other, NULL),
	                 TZ_CRYPTO);
}

static void
test_consistency(void **state)
{
	for (int to = 1; to <= LEAVES; to++)
	{
		TzMerkleSource source = {brute_get, &to};
		TzHash now = brute(leaves, to);
		TzMerklePath path;

		for (int from = 1; from <= to; from++)
		{
			TzHash old = brute(leaves, from);

			assert_int_equal(tz_merkle_consistency(hasher, &source, from, to, &path, NULL), TZ_OK);
			assert_int_equal(tz_merkle_verify_consistency(hasher, from, to, path.hash, path.n, &old, &now,
			                                              NULL),
			                 TZ_OK);
			tamper_consistency(from, to, &path, &old, &now);
			/* and of no other size */
			if (from < to)
				assert_int_equal(tz_merkle_verify_consistency(hasher, to, from, path.hash, path.n, &now, &old,
				                                              NULL),
				                 TZ_CRYPTO);
		}
		assert_int_equal(tz_merkle_consistency(hasher, &source, 0, to, &path, NULL), TZ_BAD_INPUT);
		assert_int_equal(tz_merkle_consistency(hasher, &source, to + 1, to, &path, NULL), TZ_BAD_INPUT);
		assert_int_equal(tz_merkle_verify_consistency(hasher, 0, to, path.hash, 0, &now, &now, NULL), TZ_OK);
		assert_int_equal(tz_merkle_verify_consistency(hasher, 0, to, path.hash, 1, &now, &now, NULL),
		                 TZ_CRYPTO);
	}
}

static TzStatus
no_source(void *arg, int level, uint64_t index, TzHash *out, TzErr *err)
{
	return tz_err_set(err, TZ_NOT_FOUND, "no node %d %llu", level, (unsigned long long) index);
}

/* Sizes nobody has: bounded paths, no loop, and the source's own word when it fails. */
static void
test_huge(void **state)
{
	const uint64_t huge = (UINT64_C(1) << 62) - 1;
	TzMerkleSource source = {no_source, NULL};
	TzMerklePath path;
	TzFrontier frontier = {huge, 62, {{{0}}}};
	TzErr err;

	assert_int_equal(tz_merkle_inclusion(hasher, &source, huge - 1, huge, &path, &err), TZ_NOT_FOUND);
	assert_int_equal(tz_merkle_inclusion(hasher, &source, 0, UINT64_MAX, &path, &err), TZ_BAD_INPUT);
	assert_int_equal(tz_merkle_consistency(hasher, &source, 1, UINT64_MAX, &path, &err), TZ_BAD_INPUT);
	assert_int_equal(tz_frontier_append(hasher, &frontier, &leaves[0], NULL, NULL, &err), TZ_TOO_LARGE);
	memset(&path, 0, sizeof(path));
	assert_int_equal(tz_merkle_verify_inclusion(hasher, &leaves[0], UINT64_MAX - 1, UINT64_MAX, path.hash,
	                                            TZ_MERKLE_PATH_MAX, &leaves[0], &err),
	                 TZ_CRYPTO);
	assert_int_equal(tz_merkle_verify_consistency(hasher, 3, UINT64_MAX, path.hash, TZ_MERKLE_PATH_MAX,
	                                              &leaves[0], &leaves[0], &err),
	                 TZ_CRYPTO);
	assert_int_equal(tz_merkle_verify_inclusion(hasher, &leaves[0], 0, 0, path.hash, 0, &leaves[0], &err),
	                 TZ_CRYPTO);
}

static void
test_chain(void **state)
{
	TzHash genesis;
	TzHash header;
	TzHash link;
	uint8_t want[TZ_SHA256_LEN];
	TzBuf buf;

	assert_int_equal(tz_chain_genesis(hasher, tz_slice_cstr("plt_1"), &genesis, NULL), TZ_OK);
	assert_int_equal(tz_sha256(tz_slice_cstr("theazo chain 1\nplt_1"), want, NULL), TZ_OK);
	assert_memory_equal(genesis.bytes, want, 32);

	assert_int_equal(tz_chain_header(hasher, &genesis, 258, 3, 1, &header, NULL), TZ_OK);
	tz_buf_init(&buf, 1000);
	tz_buf_append(&buf, genesis.bytes, 32);
	tz_buf_append(&buf,
	              "\0\0\0\0\0\0\1\2"
	              "\0\0\0\3"
	              "\0\0\0\0\0\0\0\1",
	              20);
	assert_int_equal(tz_sha256(tz_buf_slice(&buf), want, NULL), TZ_OK);
	assert_memory_equal(header.bytes, want, 32);

	assert_int_equal(tz_chain_link(hasher, &header, &leaves[0], &link, NULL), TZ_OK);
	tz_buf_reset(&buf);
	tz_buf_append(&buf, header.bytes, 32);
	tz_buf_append(&buf, leaves[0].bytes, 32);
	assert_int_equal(tz_sha256(tz_buf_slice(&buf), want, NULL), TZ_OK);
	assert_memory_equal(link.bytes, want, 32);
	tz_buf_free(&buf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),     cmocka_unit_test(test_frontier), cmocka_unit_test(test_inclusion),
		cmocka_unit_test(test_consistency), cmocka_unit_test(test_huge),     cmocka_unit_test(test_chain),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
