/*-------------------------------------------------------------------------
 *
 * tsa.c
 *	  Requests to a time-stamp authority and its answers (RFC 3161).
 *
 * The fields of a token are compared here and not by the library's checking
 * context, because a token is mostly read again without the request that asked
 * for it. The signature, the binding of the signer's certificate to the token
 * and the chain are the library's work; the chain is judged at the time the
 * token names. Whether a certificate was revoked is not asked: that needs a
 * network.
 *
 *-------------------------------------------------------------------------
 */
#include "lib/tsa.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ts.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#define STATUS_GRANTED 0
#define STATUS_GRANTED_WITH_MODS 1
#define STATUS_WAITING 3

/* Bits of PKIFailureInfo. */
static const struct
{
	int bit;
	bool later; /* worth asking again */
	const char *text;
} failures[] = {
	{0, false, "unrecognized or unsupported algorithm"},
	{2, false, "transaction not permitted or supported"},
	{5, false, "data submitted has the wrong format"},
	{14, true, "time source is not available"},
	{15, false, "requested policy is not supported"},
	{16, false, "requested extension is not supported"},
	{17, false, "additional information requested is not available"},
	{25, true, "system failure"},
};

static TzStatus tsa_granted(TS_RESP *answer, TzErr *err);
static TzStatus tsa_parse(TzSlice answer, TS_RESP **resp, PKCS7 **token, TzErr *err);
static TzStatus tsa_info(PKCS7 *token, const uint8_t *digest, const uint8_t *nonce, TzTsaStamp *out,
                         TzErr *err);
static bool tsa_imprint_is(TS_TST_INFO *info, const uint8_t *digest);
static bool tsa_nonce_is(TS_TST_INFO *info, const uint8_t *nonce);
static bool tsa_time(const ASN1_GENERALIZEDTIME *at, int64_t *us);
static bool tsa_serial(const ASN1_INTEGER *serial, char *out, size_t size);
static TzStatus tsa_signed(PKCS7 *token, TzSlice ca_pem, TzTsaStamp *out, TzErr *err);
static TzStatus tsa_store_pem(X509_STORE *store, TzSlice ca_pem, TzErr *err);
static bool tsa_store_own(X509_STORE *store, PKCS7 *token);
static TzStatus tsa_set(TzErr *err, TzStatus status, const char *message);
static void tsa_printable(char *text);

TzStatus
tz_tsa_request(const uint8_t digest[TZ_TSA_DIGEST_LEN], const uint8_t *nonce, TzBuf *out, TzErr *err)
{
	TS_REQ *req = TS_REQ_new();
	TS_MSG_IMPRINT *imprint = TS_MSG_IMPRINT_new();
	X509_ALGOR *algorithm = X509_ALGOR_new();
	ASN1_INTEGER *number = NULL;
	BIGNUM *bn = NULL;
	unsigned char *der = NULL;
	TzStatus status;
	bool ok;
	int len;

	ok = req != NULL && imprint != NULL && algorithm != NULL && TS_REQ_set_version(req, 1) == 1 &&
	     X509_ALGOR_set0(algorithm, OBJ_nid2obj(NID_sha256), V_ASN1_NULL, NULL) == 1 &&
	     TS_MSG_IMPRINT_set_algo(imprint, algorithm) == 1 &&
	     TS_MSG_IMPRINT_set_msg(imprint, (unsigned char *) digest, TZ_TSA_DIGEST_LEN) == 1 &&
	     TS_REQ_set_msg_imprint(req, imprint) == 1 && TS_REQ_set_cert_req(req, 1) == 1;
	if (ok && nonce != NULL)
	{
		uint8_t bytes[TZ_TSA_NONCE_LEN];

		memcpy(bytes, nonce, sizeof(bytes));
		bytes[0] &= 0x7f;
		bn = BN_bin2bn(bytes, sizeof(bytes), NULL);
		number = bn == NULL ? NULL : BN_to_ASN1_INTEGER(bn, NULL);
		ok = number != NULL && TS_REQ_set_nonce(req, number) == 1;
	}
	len = ok ? i2d_TS_REQ(req, &der) : -1;
	if (len > 0)
		status = tz_buf_append(out, der, (size_t) len);
	else
		status = TZ_NOMEM;
	if (status != TZ_OK)
		tz_err_set(err, status, "could not build a time-stamp request");
	OPENSSL_free(der);
	ASN1_INTEGER_free(number);
	BN_free(bn);
	X509_ALGOR_free(algorithm);
	TS_MSG_IMPRINT_free(imprint);
	TS_REQ_free(req);
	ERR_clear_error();
	return status;
}

TzStatus
tz_tsa_check(TzSlice answer, const uint8_t digest[TZ_TSA_DIGEST_LEN], const uint8_t *nonce, TzSlice ca_pem,
             TzTsaStamp *out, TzErr *err)
{
	TS_RESP *resp = NULL;
	PKCS7 *bare = NULL;
	PKCS7 *token;
	TzStatus status;

	memset(out, 0, sizeof(*out));
	ERR_clear_error();
	status = tsa_parse(answer, &resp, &bare, err);
	if (status == TZ_OK && resp != NULL)
		status = tsa_granted(resp, err);
	if (status == TZ_OK)
	{
		token = resp != NULL ? TS_RESP_get_token(resp) : bare;
		if (token == NULL)
			status = tz_err_set(err, TZ_BAD_ANSWER, "the time-stamp answer has no token");
		else
		{
			status = tsa_info(token, digest, nonce, out, err);
			if (status == TZ_OK)
				status = tsa_signed(token, ca_pem, out, err);
		}
	}
	TS_RESP_free(resp);
	PKCS7_free(bare);
	ERR_clear_error();
	if (status != TZ_OK)
		memset(out, 0, sizeof(*out));
	return status;
}

/* One of the two is set; every byte must belong to it. */
static TzStatus
tsa_parse(TzSlice answer, TS_RESP **resp, PKCS7 **token, TzErr *err)
{
	const unsigned char *p = (const unsigned char *) answer.data;
	const unsigned char *end = p + answer.len;

	if (answer.len > TZ_TSA_ANSWER_MAX)
		return tz_err_set(err, TZ_BAD_ANSWER, "the time-stamp answer has more than %d bytes",
		                  TZ_TSA_ANSWER_MAX);
	if (answer.len == 0)
		return tz_err_set(err, TZ_BAD_ANSWER, "the time-stamp answer is empty");
	*resp = d2i_TS_RESP(NULL, &p, (long) answer.len);
	if (*resp != NULL && p == end)
		return TZ_OK;
	TS_RESP_free(*resp);
	*resp = NULL;
	p = (const unsigned char *) answer.data;
	*token = d2i_PKCS7(NULL, &p, (long) answer.len);
	if (*token != NULL && p == end)
		return TZ_OK;
	return tz_err_set(err, TZ_BAD_ANSWER, "the time-stamp answer cannot be read");
}

static TzStatus
tsa_granted(TS_RESP *answer, TzErr *err)
{
	TS_STATUS_INFO *info = TS_RESP_get_status_info(answer);
	long code = ASN1_INTEGER_get(TS_STATUS_INFO_get0_status(info));
	const ASN1_BIT_STRING *bits = TS_STATUS_INFO_get0_failure_info(info);
	const STACK_OF(ASN1_UTF8STRING) *texts = TS_STATUS_INFO_get0_text(info);
	const char *why = "no reason given";
	bool later = code == STATUS_WAITING;
	TzStatus status;

	if (code == STATUS_GRANTED || code == STATUS_GRANTED_WITH_MODS)
		return TZ_OK;
	for (size_t i = 0; bits != NULL && i < sizeof(failures) / sizeof(failures[0]); i++)
	{
		if (ASN1_BIT_STRING_get_bit(bits, failures[i].bit))
		{
			why = failures[i].text;
			later = later || failures[i].later;
		}
	}
	status = tz_err_set(err, later ? TZ_UNAVAILABLE : TZ_REFUSED,
	                    "the time-stamp authority gave no stamp: %s (status %ld)", why, code);
	if (err != NULL && sk_ASN1_UTF8STRING_num(texts) > 0)
	{
		const ASN1_UTF8STRING *text = sk_ASN1_UTF8STRING_value(texts, 0);

		tz_err_detail(err, "%.*s", ASN1_STRING_length(text), (const char *) ASN1_STRING_get0_data(text));
		tsa_printable(err->detail);
	}
	return status;
}

/* What the token says, against what was asked. */
static TzStatus
tsa_info(PKCS7 *token, const uint8_t *digest, const uint8_t *nonce, TzTsaStamp *out, TzErr *err)
{
	TS_TST_INFO *info = PKCS7_to_TS_TST_INFO(token);
	TzStatus status = TZ_OK;

	if (info == NULL || TS_TST_INFO_get_version(info) != 1)
		status = tz_err_set(err, TZ_BAD_ANSWER, "the time-stamp token cannot be read");
	else if (!tsa_imprint_is(info, digest))
		status = tz_err_set(err, TZ_BAD_ANSWER, "the time stamp is of another digest");
	else if (nonce != NULL && !tsa_nonce_is(info, nonce))
		status = tz_err_set(err, TZ_BAD_ANSWER, "the time stamp has another nonce than was sent");
	else if (!tsa_time(TS_TST_INFO_get_time(info), &out->at_us) ||
	         !tsa_serial(TS_TST_INFO_get_serial(info), out->serial, sizeof(out->serial)))
		status = tz_err_set(err, TZ_BAD_ANSWER, "the time stamp has no time or no serial number");
	else
		OBJ_obj2txt(out->policy, sizeof(out->policy), TS_TST_INFO_get_policy_id(info), 1);
	TS_TST_INFO_free(info);
	return status;
}

static bool
tsa_imprint_is(TS_TST_INFO *info, const uint8_t *digest)
{
	TS_MSG_IMPRINT *imprint = TS_TST_INFO_get_msg_imprint(info);
	const ASN1_OCTET_STRING *bytes = TS_MSG_IMPRINT_get_msg(imprint);
	const ASN1_OBJECT *algorithm = NULL;

	X509_ALGOR_get0(&algorithm, NULL, NULL, TS_MSG_IMPRINT_get_algo(imprint));
	return OBJ_obj2nid(algorithm) == NID_sha256 && ASN1_STRING_length(bytes) == TZ_TSA_DIGEST_LEN &&
	       memcmp(ASN1_STRING_get0_data(bytes), digest, TZ_TSA_DIGEST_LEN) == 0;
}

static bool
tsa_nonce_is(TS_TST_INFO *info, const uint8_t *nonce)
{
	const ASN1_INTEGER *got = TS_TST_INFO_get_nonce(info);
	uint64_t have;
	uint64_t want = nonce[0] & 0x7f;

	for (int i = 1; i < TZ_TSA_NONCE_LEN; i++)
		want = want << 8 | nonce[i];
	return got != NULL && ASN1_INTEGER_get_uint64(&have, got) == 1 && have == want;
}

/* YYYYMMDDhhmmss[.f]Z; the library reads whole seconds only. */
static bool
tsa_time(const ASN1_GENERALIZEDTIME *at, int64_t *us)
{
	const char *text;
	const char *point;
	struct tm tm;
	int64_t fraction = 0;
	int64_t unit = 100000;

	if (at == NULL || ASN1_TIME_to_tm(at, &tm) != 1)
		return false;
	text = (const char *) ASN1_STRING_get0_data(at);
	point = memchr(text, '.', (size_t) ASN1_STRING_length(at));
	if (point != NULL)
	{
		for (point++; point < text + ASN1_STRING_length(at) && *point >= '0' && *point <= '9'; point++)
		{
			fraction += (*point - '0') * unit;
			unit /= 10;
		}
	}
	*us = (int64_t) timegm(&tm) * 1000000 + fraction;
	return true;
}

static bool
tsa_serial(const ASN1_INTEGER *serial, char *out, size_t size)
{
	BIGNUM *bn = serial == NULL ? NULL : ASN1_INTEGER_to_BN(serial, NULL);
	char *hex = bn == NULL ? NULL : BN_bn2hex(bn);
	bool ok = hex != NULL;
	size_t n = 0;

	for (const char *p = hex; ok && *p != '\0' && n + 1 < size; p++)
		out[n++] = (char) (*p >= 'A' && *p <= 'F' ? *p - 'A' + 'a' : *p);
	if (size > 0)
		out[n] = '\0';
	OPENSSL_free(hex);
	BN_free(bn);
	return ok;
}

/* Signature, certificate for time stamping, chain: at the time that is already in out. */
static TzStatus
tsa_signed(PKCS7 *token, TzSlice ca_pem, TzTsaStamp *out, TzErr *err)
{
	X509_STORE *store = X509_STORE_new();
	X509 *signer = NULL;
	TzStatus status = TZ_OK;

	if (store == NULL)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	if (ca_pem.len > 0)
		status = tsa_store_pem(store, ca_pem, err);
	else if (!tsa_store_own(store, token))
		status = tz_err_set(err, TZ_CRYPTO, "the time stamp carries no certificate");
	if (status == TZ_OK)
	{
		X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(store), (time_t) (out->at_us / 1000000));
		ERR_clear_error();
		if (TS_RESP_verify_signature(token, NULL, store, &signer) != 1)
			status = tsa_set(err, TZ_CRYPTO, "the signature of the time stamp does not hold");
		else if (X509_NAME_get_text_by_NID(X509_get_subject_name(signer), NID_commonName, out->signer,
		                                   sizeof(out->signer)) < 0)
			X509_NAME_oneline(X509_get_subject_name(signer), out->signer, sizeof(out->signer));
		tsa_printable(out->signer);
	}
	X509_free(signer);
	X509_STORE_free(store);
	return status;
}

static TzStatus
tsa_store_pem(X509_STORE *store, TzSlice ca_pem, TzErr *err)
{
	BIO *bio;
	X509 *cert;
	bool ok = true;
	int n = 0;

	if (ca_pem.len > TZ_TSA_CA_MAX)
		return tz_err_set(err, TZ_BAD_INPUT, "the authority's certificates have more than %d bytes",
		                  TZ_TSA_CA_MAX);
	bio = BIO_new_mem_buf(ca_pem.data, (int) ca_pem.len);
	while (bio != NULL && ok && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL)
	{
		ok = X509_STORE_add_cert(store, cert) == 1;
		X509_free(cert);
		n++;
	}
	/* the end of the text is told as a missing first line */
	if (ok && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		ok = false;
	BIO_free(bio);
	if (!ok || n == 0)
		return tz_err_set(err, TZ_BAD_INPUT, "the authority's certificates cannot be read as PEM");
	return TZ_OK;
}

/* Believes what the token carries, so that only the signature itself is judged. */
static bool
tsa_store_own(X509_STORE *store, PKCS7 *token)
{
	STACK_OF(X509) *certs = NULL;
	int n;

	if (PKCS7_type_is_signed(token) && token->d.sign != NULL)
		certs = token->d.sign->cert;
	n = certs == NULL ? 0 : sk_X509_num(certs);
	for (int i = 0; i < n; i++)
	{
		if (X509_STORE_add_cert(store, sk_X509_value(certs, i)) != 1)
			return false;
	}
	X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
	return n > 0;
}

/* With what the library says as the detail. */
static TzStatus
tsa_set(TzErr *err, TzStatus status, const char *message)
{
	const char *data = NULL;
	const char *reason;
	int flags = 0;
	unsigned long code = ERR_peek_last_error_data(&data, &flags);

	reason = ERR_reason_error_string(code);
	tz_err_set(err, status, "%s", message);
	if (err != NULL && reason != NULL)
	{
		bool more = data != NULL && (flags & ERR_TXT_STRING) != 0 && data[0] != '\0';

		tz_err_detail(err, "%s%s%s", reason, more ? ": " : "", more ? data : "");
		tsa_printable(err->detail);
	}
	return status;
}

/* Texts of others go into messages without control characters. */
static void
tsa_printable(char *text)
{
	for (unsigned char *p = (unsigned char *) text; *p != '\0'; p++)
	{
		if (*p < 0x20 || *p > 0x7e)
			*p = '?';
	}
}
