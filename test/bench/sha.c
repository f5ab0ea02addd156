/*
 * sha.c: SHA-256 of N texts, each of BYTES bytes; with MORE also the 64 and 65
 * bytes that a chain's link and a tree's node take for each. Prints the CPU time
 * as psql prints times.
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int
main(int argc, char **argv)
{
	long n = argc > 1 ? strtol(argv[1], NULL, 10) : 1000000;
	size_t len = argc > 2 ? strtoul(argv[2], NULL, 10) : 350;
	size_t lens[3] = {len, 64, 65};
	int nlens = argc > 3 ? 3 : 1;
	char *text = malloc(len + 1);
	EVP_MD *md = EVP_MD_fetch(NULL, "SHA256", NULL);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char digest[32] = {0};
	struct timespec from;
	struct timespec to;

	if (text == NULL || md == NULL || ctx == NULL || len < 65)
		return 1;
	memset(text, 'x', len);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	for (long i = 0; i < n; i++)
	{
		/* each text is another one */
		memcpy(text, digest, sizeof(digest));
		for (int k = 0; k < nlens; k++)
		{
			if (EVP_DigestInit_ex2(ctx, md, NULL) != 1 || EVP_DigestUpdate(ctx, text, lens[k]) != 1 ||
			    EVP_DigestFinal_ex(ctx, digest, NULL) != 1)
				return 1;
		}
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	printf("Time: %.3f ms\n", (to.tv_sec - from.tv_sec) * 1e3 + (to.tv_nsec - from.tv_nsec) / 1e6);
	EVP_MD_CTX_free(ctx);
	EVP_MD_free(md);
	free(text);
	return 0;
}
