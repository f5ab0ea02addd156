/*-------------------------------------------------------------------------
 *
 * siphash.c
 *	  SipHash-2-4: a short hash under a key, for tables that strangers fill.
 *
 * After the description of Aumasson and Bernstein; the vectors of their paper
 * are in the unit test.
 *
 *-------------------------------------------------------------------------
 */
#include "lib/siphash.h"

typedef struct Sip
{
	uint64_t v[4];
} Sip;

static uint64_t
rotate(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static void
sip_rounds(Sip *s, int n)
{
	uint64_t *v = s->v;

	while (n-- > 0)
	{
		v[0] += v[1];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[0] = rotate(v[0], 32);
		v[2] += v[3];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] += v[3];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[2] += v[1];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[2] = rotate(v[2], 32);
	}
}

static uint64_t
little_endian(const uint8_t *p, size_t n)
{
	uint64_t word = 0;

	for (size_t i = 0; i < n; i++)
		word |= (uint64_t) p[i] << (8 * i);
	return word;
}

static void
sip_word(Sip *s, uint64_t word)
{
	s->v[3] ^= word;
	sip_rounds(s, 2);
	s->v[0] ^= word;
}

uint64_t
tz_siphash(const uint8_t key[TZ_SIPHASH_KEY], TzSlice text)
{
	const uint8_t *p = (const uint8_t *) text.data;
	uint64_t k0 = little_endian(key, 8);
	uint64_t k1 = little_endian(key + 8, 8);
	Sip s = {{k0 ^ UINT64_C(0x736f6d6570736575), k1 ^ UINT64_C(0x646f72616e646f6d),
	          k0 ^ UINT64_C(0x6c7967656e657261), k1 ^ UINT64_C(0x7465646279746573)}};
	size_t left = text.len;

	for (; left >= 8; left -= 8, p += 8)
		sip_word(&s, little_endian(p, 8));
	sip_word(&s, little_endian(p, left) | (uint64_t) text.len << 56);
	s.v[2] ^= 0xff;
	sip_rounds(&s, 4);
	return s.v[0] ^ s.v[1] ^ s.v[2] ^ s.v[3];
}
