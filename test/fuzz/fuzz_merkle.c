/* fuzz_merkle.c: a proof is accepted only when it is the one the tree gives */
#include <stdlib.h>
#include <string.h>

#include "lib/merkle.h"

#define LEAVES 64

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static TzHasher *hasher;
static TzHash node[7][LEAVES];

static TzStatus
get(void *arg, int level, uint64_t index, TzHash *out, TzErr *err)
{
	(void) arg;
	(void) err;
	*out = node[level][index];
	return TZ_OK;
}

static void
grow(void)
{
	if (tz_hasher_new(&hasher, NULL) != TZ_OK)
		abort();
	for (int i = 0; i < LEAVES; i++)
	{
		char c = (char) i;

		(void) tz_merkle_leaf(hasher, tz_slice(&c, 1), &node[0][i], NULL);
	}
	for (int level = 1; level < 7; level++)
	{
		for (int i = 0; i < LEAVES >> level; i++)
			(void) tz_merkle_node(hasher, &node[level - 1][2 * i], &node[level - 1][2 * i + 1],
			                      &node[level][i], NULL);
	}
}

/* Each byte of the input takes a hash from the tree, so that near misses are tried. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TzMerkleSource source = {get, NULL};
	TzMerklePath given = {0};
	TzMerklePath true_path;
	TzHash root;
	TzHash old;
	TzErr err;
	uint64_t a;
	uint64_t b;
	TzStatus status;

	if (hasher == NULL)
		grow();
	if (size < 2)
		return 0;
	a = data[0] % (LEAVES + 1);
	b = data[1] % (LEAVES + 1);
	for (size_t i = 2; i < size && given.n < TZ_MERKLE_PATH_MAX; i++)
		given.hash[given.n++] = node[data[i] % 7][data[i] / 7 % (LEAVES >> (data[i] % 7))];
	if (tz_merkle_root(hasher, &source, b, &root, &err) != TZ_OK ||
	    tz_merkle_root(hasher, &source, a, &old, &err) != TZ_OK)
		abort();

	if (a < LEAVES)
	{
		status = tz_merkle_verify_inclusion(hasher, &node[0][a], a, b, given.hash, given.n, &root, &err);
		if (status == TZ_OK &&
		    (tz_merkle_inclusion(hasher, &source, a, b, &true_path, &err) != TZ_OK ||
		     true_path.n != given.n || memcmp(true_path.hash, given.hash, sizeof(TzHash) * given.n) != 0))
			abort();
	}
	status = tz_merkle_verify_consistency(hasher, a, b, given.hash, given.n, &old, &root, &err);
	if (status == TZ_OK && a > 0 &&
	    (tz_merkle_consistency(hasher, &source, a, b, &true_path, &err) != TZ_OK || true_path.n != given.n ||
	     memcmp(true_path.hash, given.hash, sizeof(TzHash) * given.n) != 0))
		abort();
	return 0;
}
