/*-------------------------------------------------------------------------
 *
 * evidence.h
 *	  What a provider says of the machine that an execution ran on.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_VERIFY_EVIDENCE_H
#define TZ_VERIFY_EVIDENCE_H

#include "lib/jansson.h"
#include "lib/checkpoint.h"
#include "lib/sign.h"

typedef enum TzEvidence
{
	TZ_EVIDENCE_NONE, /* the export has no document of a provider */
	TZ_EVIDENCE_CLAIMED, /* it is the one that was signed with the statement, and no key of the provider was given */
	TZ_EVIDENCE_VERIFIED /* the given key has signed it, about this machine */
} TzEvidence;

typedef struct TzEvidenceFault
{
	const char *field; /* NULL: none */
	const char *problem;
} TzEvidenceFault;

/*
 * doc: an export, of which fields are as they were signed. key: the provider's, or NULL. The document of the provider
 * must be the one whose digest was signed; with a key, which then must find one, also what that key has signed about
 * the machine, and a tee_mode of hardware must be what the document says.
 */
extern TzEvidence tz_evidence_check(const json_t *doc, const json_t *fields, const uint8_t *key,
                                    TzEvidenceFault *fault);

/* A public key as PEM text or as base64 of its 32 bytes. */
extern TzStatus tz_evidence_key(TzSlice text, uint8_t key[TZ_ED25519_LEN], TzErr *err);

#endif /* TZ_VERIFY_EVIDENCE_H */
