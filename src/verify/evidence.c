/*-------------------------------------------------------------------------
 *
 * evidence.c
 *	  Checks the document of a provider that a statement rests on.
 *
 * The statement names the digest of what was known of the machine: a JSON text with
 * the provider's document in it, which is exported as that text. The document is
 * {"statement", "signature"}, of which the statement is JSON again and names the
 * sandbox it is about.
 *
 *-------------------------------------------------------------------------
 */
#include "verify/evidence.h"

#include <ctype.h>
#include <string.h>

#include "lib/json.h"

#define DOCUMENT_MAX ((size_t) 1 << 20)
#define PEM_MAX 1024
#define DER_HEAD 12 /* in front of the key in a PEM text: SubjectPublicKeyInfo of Ed25519 */

static const uint8_t der_head[DER_HEAD] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                           0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};

static bool digest_is(TzSlice text, const char *hex);
static const char *judge_document(const json_t *evidence, const json_t *fields, const uint8_t *key,
                                  const char **field);
static bool signed_by(const json_t *document, const uint8_t *key, TzSlice *text);
static TzSlice slice_of(const json_t *object, const char *member);

TzEvidence
tz_evidence_check(const json_t *doc, const json_t *fields, const uint8_t *key, TzEvidenceFault *fault)
{
	TzSlice text = slice_of(doc, "evidence");
	const char *digest = json_string_value(json_object_get(fields, "evidence_sha256"));
	TzJsonLimits limits = tz_json_limits_default;
	json_t *evidence = NULL;
	const json_t *document;
	TzEvidence found = TZ_EVIDENCE_NONE;

	fault->field = NULL;
	limits.max_bytes = DOCUMENT_MAX;
	if (text.len > 0 && !digest_is(text, digest))
		*fault = (TzEvidenceFault){"evidence_sha256", "is not the digest of the evidence in the export"};
	else if (text.len > 0 && tz_json_parse(text, &limits, &evidence, NULL) != TZ_OK)
		*fault = (TzEvidenceFault){"evidence", "cannot be read"};
	document = json_object_get(evidence, "document");
	if (fault->field == NULL && json_is_object(json_object_get(doc, "provider_document")) &&
	    !json_equal(json_object_get(doc, "provider_document"), document))
		*fault = (TzEvidenceFault){"provider_document", "is not the one that was signed"};
	else if (fault->field == NULL && key != NULL && !json_is_object(document))
		*fault = (TzEvidenceFault){"provider_document", "is not in the export, so there is nothing to check"};
	else if (fault->field == NULL && key != NULL)
	{
		fault->problem = judge_document(evidence, fields, key, &fault->field);
		found = TZ_EVIDENCE_VERIFIED;
	}
	else if (json_is_object(document))
		found = TZ_EVIDENCE_CLAIMED;
	json_decref(evidence);
	return fault->field == NULL ? found : TZ_EVIDENCE_NONE;
}

TzStatus
tz_evidence_key(TzSlice text, uint8_t key[TZ_ED25519_LEN], TzErr *err)
{
	static const char begin[] = "-----BEGIN PUBLIC KEY-----";
	static const char end[] = "-----END PUBLIC KEY-----";
	TzBuf plain;
	TzBuf raw;
	TzStatus status;

	if (text.len > PEM_MAX)
		return tz_err_set(err, TZ_BAD_INPUT, "is no Ed25519 public key");
	tz_buf_init(&plain, PEM_MAX);
	tz_buf_init(&raw, PEM_MAX);
	for (size_t i = 0; i < text.len;)
	{
		TzSlice rest = tz_slice(text.data + i, text.len - i);

		if (rest.len >= sizeof(begin) - 1 && memcmp(rest.data, begin, sizeof(begin) - 1) == 0)
			i += sizeof(begin) - 1;
		else if (rest.len >= sizeof(end) - 1 && memcmp(rest.data, end, sizeof(end) - 1) == 0)
			i += sizeof(end) - 1;
		else if (isspace((unsigned char) rest.data[0]))
			i++;
		else
			(void) tz_buf_append(&plain, text.data + i++, 1);
	}
	status = tz_base64_decode(tz_buf_slice(&plain), &raw, NULL);
	if (status == TZ_OK && raw.len == TZ_ED25519_LEN)
		memcpy(key, raw.data, TZ_ED25519_LEN);
	else if (status == TZ_OK && raw.len == DER_HEAD + TZ_ED25519_LEN &&
	         memcmp(raw.data, der_head, DER_HEAD) == 0)
		memcpy(key, raw.data + DER_HEAD, TZ_ED25519_LEN);
	else
		status = tz_err_set(err, TZ_BAD_INPUT,
		                    "is no Ed25519 public key: give PEM text or base64 of its 32 bytes");
	tz_buf_free(&plain);
	tz_buf_free(&raw);
	return status;
}

static bool
digest_is(TzSlice text, const char *hex)
{
	uint8_t digest[TZ_SHA256_LEN];
	TzBuf out;
	bool same;

	tz_buf_init(&out, 2 * TZ_SHA256_LEN);
	same = hex != NULL && tz_sha256(text, digest, NULL) == TZ_OK &&
	       tz_hex_append(&out, digest, sizeof(digest)) == TZ_OK && tz_slice_eq_cstr(tz_buf_slice(&out), hex);
	tz_buf_free(&out);
	return same;
}

/* NULL: the key has signed it about this machine. Else why not, and *field. */
static const char *
judge_document(const json_t *evidence, const json_t *fields, const uint8_t *key, const char **field)
{
	const char *sandbox = json_string_value(json_object_get(evidence, "sandbox"));
	const char *mode = json_string_value(json_object_get(fields, "tee_mode"));
	const char *said;
	TzJsonLimits limits = tz_json_limits_default;
	json_t *statement = NULL;
	const char *problem = NULL;
	TzSlice text;

	*field = "provider_document";
	if (!signed_by(json_object_get(evidence, "document"), key, &text))
		return "was not signed by the provider's key that was given";
	if (tz_json_parse(text, &limits, &statement, NULL) != TZ_OK || !json_is_object(statement))
		problem = "has no statement that can be read";
	said = json_string_value(json_object_get(statement, "sandbox"));
	if (problem == NULL && (sandbox == NULL || said == NULL || strcmp(said, sandbox) != 0))
		problem = "is about another machine";
	said = json_string_value(json_object_get(statement, "evidence"));
	if (problem == NULL && mode != NULL && strcmp(mode, "theta_tee") == 0 &&
	    (said == NULL || strcmp(said, "hardware_quote") != 0))
	{
		*field = "tee_mode";
		problem = "says hardware, and the provider's document does not";
	}
	json_decref(statement);
	if (problem == NULL)
		*field = NULL;
	return problem;
}

/* *text: what it has signed; lives as long as the document. */
static bool
signed_by(const json_t *document, const uint8_t *key, TzSlice *text)
{
	TzBuf raw;
	bool fine;

	*text = slice_of(document, "statement");
	tz_buf_init(&raw, 128);
	fine = text->len > 0 && tz_base64_decode(slice_of(document, "signature"), &raw, NULL) == TZ_OK &&
	       raw.len == TZ_ED25519_SIG_LEN &&
	       tz_ed25519_verify(key, *text, (const uint8_t *) raw.data, NULL) == TZ_OK;
	tz_buf_free(&raw);
	return fine;
}

static TzSlice
slice_of(const json_t *object, const char *member)
{
	const json_t *value = json_object_get(object, member);

	return json_is_string(value) ? tz_slice(json_string_value(value), json_string_length(value))
	                             : tz_slice("", 0);
}
