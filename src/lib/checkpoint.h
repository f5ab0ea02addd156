/*-------------------------------------------------------------------------
 *
 * checkpoint.h
 *	  Signed heads of a log, as C2SP checkpoints: written, read and checked.
 *
 * A note is a text, an empty line and signature lines. The text of a
 * checkpoint: origin, size, base64 of the root, and here one extension line,
 * "chain " and base64 of the end of the chain. The signer's name is the origin.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_CHECKPOINT_H
#define TZ_CHECKPOINT_H

#include "lib/merkle.h"

#define TZ_ED25519_LEN 32 /* of a seed and of a public key */
#define TZ_ED25519_SIG_LEN 64
#define TZ_CHECKPOINT_MAX 4096 /* bytes of a note */
#define TZ_ORIGIN_MAX 256
#define TZ_SIGNATURES_MAX 32 /* of a note, others' too */

typedef struct TzCheckpoint
{
	TzSlice origin; /* when read: points into the note */
	uint64_t size;
	TzHash root;
	bool has_chain;
	TzHash chain;
} TzCheckpoint;

extern TzStatus tz_ed25519_public(const uint8_t seed[TZ_ED25519_LEN], uint8_t out[TZ_ED25519_LEN],
                                  TzErr *err);
extern TzStatus tz_ed25519_sign(const uint8_t seed[TZ_ED25519_LEN], TzSlice message,
                                uint8_t out[TZ_ED25519_SIG_LEN], TzErr *err);
/* TZ_CRYPTO when it is not the signature of that message. */
extern TzStatus tz_ed25519_verify(const uint8_t key[TZ_ED25519_LEN], TzSlice message,
                                  const uint8_t signature[TZ_ED25519_SIG_LEN], TzErr *err);

/* May a log be called that? Printable ASCII without blanks and plus signs. */
extern bool tz_origin_ok(TzSlice origin);

/* Appends the signed note. */
extern TzStatus tz_checkpoint_sign(const TzCheckpoint *head, const uint8_t seed[TZ_ED25519_LEN], TzBuf *note,
                                   TzErr *err);

/* Reads a note without judging its signatures. Strict: TZ_BAD_INPUT for any other form of the same head. */
extern TzStatus tz_checkpoint_read(TzSlice note, TzCheckpoint *out, TzErr *err);

/* Reads it and checks that this key signed it under the origin's name. TZ_CRYPTO when it did not. */
extern TzStatus tz_checkpoint_verify(TzSlice note, const uint8_t key[TZ_ED25519_LEN], TzCheckpoint *out,
                                     TzErr *err);

/* A verifier key as text: name+hex of the key's id+base64. Appended. */
extern TzStatus tz_vkey_append(TzSlice name, const uint8_t key[TZ_ED25519_LEN], TzBuf *out, TzErr *err);
/* Takes one apart; name points into the text. TZ_BAD_INPUT when its id is not that of name and key. */
extern TzStatus tz_vkey_read(TzSlice vkey, TzSlice *name, uint8_t key[TZ_ED25519_LEN], TzErr *err);

#endif /* TZ_CHECKPOINT_H */
