/*-------------------------------------------------------------------------
 *
 * tsa.h
 *	  Requests to a time-stamp authority and its answers (RFC 3161).
 *
 * What is kept as proof is the whole answer as it came (a DER TimeStampResp):
 * any other tool reads it. It is judged at the time it names, so that it stays
 * good when the authority's certificates have long run out.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_TSA_H
#define TZ_TSA_H

#include "lib/buf.h"

#define TZ_TSA_DIGEST_LEN 32 /* SHA-256, the only imprint that is asked for and taken */
#define TZ_TSA_NONCE_LEN 8
#define TZ_TSA_REQUEST_MAX 256
#define TZ_TSA_ANSWER_MAX 65536
#define TZ_TSA_CA_MAX 262144 /* bytes of PEM */
#define TZ_TSA_TEXT_MAX 256

#define TZ_TSA_REQUEST_TYPE "application/timestamp-query"
#define TZ_TSA_ANSWER_TYPE "application/timestamp-reply"

/* What an answer says; texts are terminated and cut where they are longer. */
typedef struct TzTsaStamp
{
	int64_t at_us; /* genTime, microseconds since 1970 UTC */
	char serial[TZ_TSA_TEXT_MAX]; /* lower-case hex */
	char policy[TZ_TSA_TEXT_MAX]; /* dotted numbers */
	char signer[TZ_TSA_TEXT_MAX]; /* common name of the certificate that signed, else its subject; ASCII */
} TzTsaStamp;

/*
 * Appends a request with certificates asked for. The nonce is 8 random bytes
 * of the caller (the top bit is cleared in what is sent), NULL for none.
 */
extern TzStatus tz_tsa_request(const uint8_t digest[TZ_TSA_DIGEST_LEN], const uint8_t *nonce, TzBuf *out,
                               TzErr *err);

/*
 * Judges an answer (a bare token is taken as well): granted, of this digest and
 * this nonce (NULL: not looked at, as with a token that is read again later),
 * signed for time stamping at the time it names.
 *
 * ca_pem: certificates the chain must end in. Empty: the certificates inside
 * the answer are believed, so the signature is right but may be anybody's.
 *
 * TZ_OK; TZ_REFUSED: the authority says no for good (the message says why);
 * TZ_UNAVAILABLE: it says to come again; TZ_BAD_ANSWER: unreadable or of
 * something else; TZ_CRYPTO: the signature or the chain does not hold;
 * TZ_BAD_INPUT: ca_pem holds no certificate.
 */
extern TzStatus tz_tsa_check(TzSlice answer, const uint8_t digest[TZ_TSA_DIGEST_LEN], const uint8_t *nonce,
                             TzSlice ca_pem, TzTsaStamp *out, TzErr *err);

#endif /* TZ_TSA_H */
