/*-------------------------------------------------------------------------
 *
 * statement.c
 *	  Checks a signed statement about an execution.
 *
 *-------------------------------------------------------------------------
 */
#include "verify/statement.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"

#define HEADER "theazo execution statement v1"
#define PROOF_HEADER "c2sp.org/tlog-proof@v1"
#define PATH_MAX_HASHES 64

typedef struct Statement
{
	json_t *doc;
	json_t *fields;
	TzSlice text;
	TzSlice proof;
	const TzTrust *trust;
	const TzStatementAsk *ask;
	uint8_t key[TZ_ED25519_LEN]; /* that signed it */
	TzStatementFinding *out;
} Statement;

static TzStatus statement_judge(Statement *s, TzErr *err);
static TzStatus judge_fields(Statement *s, TzErr *err);
static TzStatus judge_line(Statement *s, TzSlice line, TzErr *err);
static bool judge_id(Statement *s);
static bool judge_signature(Statement *s);
static bool try_key(Statement *s, const uint8_t key[TZ_ED25519_LEN], const uint8_t *signature);
static bool judge_files(Statement *s);
static bool judge_provider(Statement *s);
static bool judge_place(Statement *s);
static bool take_line(TzSlice *rest, TzSlice *line);
static bool read_hash(TzSlice text, bool hex, TzHash *out);
static bool wrong(Statement *s, const char *field, const char *problem);
static TzSlice field_text(const Statement *s, const char *name);

TzStatus
tz_statement_check(TzSlice text, const TzTrust *trust, const TzStatementAsk *ask, TzStatementFinding *out,
                   TzErr *err)
{
	TzJsonLimits limits = tz_json_limits_default;
	Statement s = {0};
	TzStatus status;

	memset(out, 0, sizeof(*out));
	s.trust = trust;
	s.ask = ask;
	s.out = out;
	status = tz_json_parse(text, &limits, &s.doc, err);
	if (status == TZ_OK)
		status = statement_judge(&s, err);
	json_decref(s.doc);
	return status;
}

TzStatus
tz_statement_report(const TzStatementFinding *finding, bool json, TzBuf *out)
{
	static const char *const provider[] = {"none", "unchecked", "verified"};
	static const char *const told[] = {
		"", "\n  provider   its document is here, and --provider-key checks it",
		"\n  provider   its document about the machine is signed by the key that was given"};
	TzStatus status;
	TzErr err;

	if (json)
	{
		json_t *doc = json_pack("{s:b, s:s, s:s, s:I, s:b, s:b, s:I, s:s}", "valid", (int) finding->fine,
		                        "attestation_id", finding->id, "origin", finding->origin, "execution",
		                        (json_int_t) finding->execution, "published_key",
		                        (int) finding->published_keys, "placed", (int) finding->placed, "audit_seq",
		                        (json_int_t) finding->seq, "provider_document", provider[finding->provider]);

		if (doc == NULL)
			return TZ_NOMEM;
		if (!finding->fine)
		{
			(void) json_object_set_new(doc, "field", json_string(finding->field));
			(void) json_object_set_new(doc, "problem", json_string(finding->problem));
		}
		status = tz_json_dump(doc, out, &err);
		json_decref(doc);
		return status == TZ_OK ? tz_buf_append(out, "\n", 1) : status;
	}
	if (!finding->fine)
		return tz_buf_printf(out, "TAMPERED: %s: %s\n", finding->field, finding->problem);
	return tz_buf_printf(
		out,
		"The statement holds.\n  execution  %lld of %s\n  statement  %s\n  key        %s\n  place      %s%lld%s%s\n",
		(long long) finding->execution, finding->origin, finding->id,
		finding->published_keys ? "signed by a key that was given"
								: "signed by the key named in the export, which proves little: give --vkey",
		finding->placed ? "event " : "said to be event ", (long long) finding->seq,
		finding->placed ? ", in the tree of a signed head" : "; the export has no proof of it",
		told[finding->provider]);
}

static TzStatus
statement_judge(Statement *s, TzErr *err)
{
	TzStatus status = tz_json_get_str(s->doc, "statement", true, TZ_STATEMENT_MAX, &s->text, err);

	if (status == TZ_OK)
		status = tz_json_get_object(s->doc, "fields", true, &s->fields, err);
	if (status == TZ_OK)
		status = tz_json_get_str(s->doc, "proof", false, TZ_STATEMENT_MAX, &s->proof, err);
	if (status == TZ_OK)
		status = judge_fields(s, err);
	if (status != TZ_OK || s->out->field[0] != '\0')
		return status;
	if (judge_id(s) && judge_signature(s) && judge_files(s) && judge_provider(s) && judge_place(s))
		s->out->fine = true;
	return TZ_OK;
}

/* The text and the object say the same, field by field. */
static TzStatus
judge_fields(Statement *s, TzErr *err)
{
	TzSlice rest = s->text;
	TzSlice line;
	size_t n = 0;
	TzSlice origin;
	TzStatus status;

	if (!take_line(&rest, &line) || !tz_slice_eq_cstr(line, HEADER))
		return tz_err_set(err, TZ_BAD_INPUT, "the text does not begin like a statement of version 1");
	while (take_line(&rest, &line))
	{
		status = judge_line(s, line, err);
		if (status != TZ_OK || s->out->field[0] != '\0')
			return status;
		n++;
	}
	if (rest.len > 0 || json_object_size(s->fields) != n)
		(void) wrong(s, "fields", "there are others than were signed");
	origin = field_text(s, "origin");
	if (origin.len > TZ_ORIGIN_MAX || !tz_origin_ok(origin))
		return tz_err_set(err, TZ_BAD_INPUT, "the statement has no usable origin");
	snprintf(s->out->origin, sizeof(s->out->origin), "%.*s", (int) origin.len, origin.data);
	s->out->execution = json_integer_value(json_object_get(s->fields, "execution"));
	s->out->seq = json_integer_value(json_object_get(s->fields, "audit_seq"));
	return TZ_OK;
}

static TzStatus
judge_line(Statement *s, TzSlice line, TzErr *err)
{
	char name[TZ_STATEMENT_FIELD_MAX + 1];
	const char *colon = memchr(line.data, ':', line.len);
	TzJsonLimits limits = tz_json_limits_default;
	size_t len = colon == NULL ? 0 : (size_t) (colon - line.data);
	json_t *list = NULL;
	TzBuf text;
	bool same;

	if (len == 0 || len > TZ_STATEMENT_FIELD_MAX || line.len < len + 3 || colon[1] != ' ')
		return tz_err_set(err, TZ_BAD_INPUT, "a line of the statement is no field");
	memcpy(name, line.data, len);
	name[len] = '\0';
	/* it is shown to people */
	if (strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != len)
		return tz_err_set(err, TZ_BAD_INPUT, "a line of the statement is no field");
	/* documents are objects or lists; a value that is no JSON any more was changed as well */
	tz_buf_init(&text, TZ_STATEMENT_MAX + 2);
	same = tz_buf_append_byte(&text, '[') == TZ_OK &&
	       tz_buf_append(&text, colon + 2, line.len - len - 2) == TZ_OK &&
	       tz_buf_append_byte(&text, ']') == TZ_OK &&
	       tz_json_parse(tz_buf_slice(&text), &limits, &list, err) == TZ_OK && json_array_size(list) == 1 &&
	       json_equal(json_array_get(list, 0), json_object_get(s->fields, name));
	json_decref(list);
	tz_buf_free(&text);
	if (!same)
		(void) wrong(s, name, "is not what was signed");
	return TZ_OK;
}

static bool
judge_id(Statement *s)
{
	uint8_t digest[TZ_SHA256_LEN];
	TzSlice id = {0};
	TzErr err;
	TzBuf hex;
	bool same;

	if (tz_json_get_str(s->doc, "attestation_id", true, sizeof(s->out->id) - 1, &id, &err) != TZ_OK ||
	    tz_sha256(s->text, digest, &err) != TZ_OK)
		return wrong(s, "attestation_id", "cannot be read");
	tz_buf_init(&hex, 80);
	same = tz_buf_append(&hex, "att_", 4) == TZ_OK && tz_hex_append(&hex, digest, sizeof(digest)) == TZ_OK &&
	       hex.len == id.len && memcmp(hex.data, id.data, id.len) == 0;
	tz_buf_free(&hex);
	if (!same)
		return wrong(s, "attestation_id", "is not the digest of the statement");
	snprintf(s->out->id, sizeof(s->out->id), "%.*s", (int) id.len, id.data);
	return true;
}

/* A given key of its origin, or, without any given, the one the export names. */
static bool
judge_signature(Statement *s)
{
	TzSlice text = {0};
	TzSlice vkey = {0};
	TzSlice name;
	uint8_t key[TZ_ED25519_LEN];
	TzErr err;
	TzBuf raw;
	bool found = false;

	if (tz_json_get_str(s->doc, "signature", true, 128, &text, &err) != TZ_OK ||
	    tz_json_get_str(s->doc, "vkey", false, 512, &vkey, &err) != TZ_OK)
		return wrong(s, "signature", "cannot be read");
	tz_buf_init(&raw, 128);
	if (tz_base64_decode(text, &raw, &err) == TZ_OK && raw.len == TZ_ED25519_SIG_LEN)
	{
		const uint8_t *signature = (const uint8_t *) raw.data;

		for (int i = 0; i < s->trust->nkeys && !found; i++)
			found = strcmp(s->trust->key[i].name, s->out->origin) == 0 &&
			        try_key(s, s->trust->key[i].key, signature);
		s->out->published_keys = found;
		if (s->trust->nkeys == 0)
			found = tz_vkey_read(vkey, &name, key, &err) == TZ_OK && tz_slice_eq_cstr(name, s->out->origin) &&
			        try_key(s, key, signature);
	}
	tz_buf_free(&raw);
	return found || wrong(s, "signature",
	                      s->trust->nkeys > 0 ? "is not that of a given key of its origin"
	                                          : "is not that of the key the export names");
}

static bool
try_key(Statement *s, const uint8_t key[TZ_ED25519_LEN], const uint8_t *signature)
{
	TzErr err;

	if (tz_ed25519_verify(key, s->text, signature, &err) != TZ_OK)
		return false;
	memcpy(s->key, key, TZ_ED25519_LEN);
	return true;
}

static bool
judge_files(Statement *s)
{
	for (int i = 0; i < s->ask->nfiles; i++)
	{
		const TzStatementFile *file = &s->ask->file[i];
		TzHash said;

		if (!read_hash(field_text(s, file->field), true, &said) ||
		    memcmp(said.bytes, file->digest, TZ_SHA256_LEN) != 0)
			return wrong(s, file->field, "is not the digest of the file that was given");
	}
	return true;
}

static bool
judge_provider(Statement *s)
{
	TzEvidenceFault fault;

	s->out->provider =
		tz_evidence_check(s->doc, s->fields, s->ask->has_provider_key ? s->ask->provider_key : NULL, &fault);
	return fault.field == NULL || wrong(s, fault.field, fault.problem);
}

/* The proof: index, path and signed head, as C2SP tlog-proofs have them. */
static bool
judge_place(Statement *s)
{
	TzHash path[PATH_MAX_HASHES];
	TzSlice rest = s->proof;
	TzSlice line;
	TzCheckpoint head;
	TzHasher *hasher;
	TzHash leaf;
	TzErr err;
	int n = 0;
	bool holds;
	char index[32];

	if (rest.len == 0)
		return true;
	snprintf(index, sizeof(index), "index %lld", (long long) s->out->seq - 1);
	if (!take_line(&rest, &line) || !tz_slice_eq_cstr(line, PROOF_HEADER) || !take_line(&rest, &line) ||
	    !tz_slice_eq_cstr(line, index))
		return wrong(s, "audit_seq", "is not the place that the proof is about");
	while (take_line(&rest, &line) && line.len > 0)
	{
		if (n == PATH_MAX_HASHES || !read_hash(line, false, &path[n++]))
			return wrong(s, "proof", "has a path that cannot be read");
	}
	if (tz_checkpoint_verify(rest, s->key, &head, &err) != TZ_OK ||
	    !tz_slice_eq_cstr(head.origin, s->out->origin))
		return wrong(s, "proof", "has a head that its key did not sign");
	if (!read_hash(field_text(s, "audit_leaf"), true, &leaf))
		return wrong(s, "audit_leaf", "cannot be read");
	if (tz_hasher_new(&hasher, &err) != TZ_OK)
		return wrong(s, "proof", "cannot be checked: out of memory");
	holds = tz_merkle_verify_inclusion(hasher, &leaf, (uint64_t) s->out->seq - 1, head.size, path, n,
	                                   &head.root, &err) == TZ_OK;
	tz_hasher_free(hasher);
	if (!holds)
		return wrong(s, "audit_leaf", "is not in the tree at that place");
	s->out->placed = true;
	return true;
}

static bool
take_line(TzSlice *rest, TzSlice *line)
{
	const char *end = rest->len == 0 ? NULL : memchr(rest->data, '\n', rest->len);

	if (end == NULL)
		return false;
	*line = tz_slice(rest->data, (size_t) (end - rest->data));
	*rest = tz_slice(end + 1, rest->len - line->len - 1);
	return true;
}

static bool
read_hash(TzSlice text, bool hex, TzHash *out)
{
	TzErr err;
	TzBuf raw;
	bool ok;

	tz_buf_init(&raw, 128);
	ok = (hex ? tz_hex_decode(text, &raw, &err) : tz_base64_decode(text, &raw, &err)) == TZ_OK &&
	     raw.len == sizeof(out->bytes);
	if (ok)
		memcpy(out->bytes, raw.data, sizeof(out->bytes));
	tz_buf_free(&raw);
	return ok;
}

/* Always false. */
static bool
wrong(Statement *s, const char *field, const char *problem)
{
	snprintf(s->out->field, sizeof(s->out->field), "%s", field);
	snprintf(s->out->problem, sizeof(s->out->problem), "%s", problem);
	return false;
}

static TzSlice
field_text(const Statement *s, const char *name)
{
	const char *text = json_string_value(json_object_get(s->fields, name));

	return tz_slice_cstr(text == NULL ? "" : text);
}
