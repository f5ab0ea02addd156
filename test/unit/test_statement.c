/* test_statement.c: statements about executions: whole ones, each field changed on either side, texts that are none */
#include "tz_test.h"

#include "lib/json.h"
#include "verify/statement.h"

#define ORIGIN "theazo.example/log/plt_1"
#define DIGEST "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static const char *const lines[] = {
	"origin: \"" ORIGIN "\"",
	"execution: 42",
	"run: \"run_1\"",
	"status: \"completed\"",
	"error_code: null",
	"code_sha256: \"" DIGEST "\"",
	"limits: {\"a\":1,\"b\":[1,true,\"x: y\"]}",
	"helper_sha256: null",
	"audit_seq: 2",
};
#define NLINES ((int) (sizeof(lines) / sizeof(lines[0])))

static uint8_t seed[TZ_ED25519_LEN];
static uint8_t key[TZ_ED25519_LEN];
static TzTrust *none;
static json_t *whole;

static void
set_text(json_t *doc, const char *name, TzBuf *text)
{
	assert_int_equal(text->status, TZ_OK);
	assert_int_equal(json_object_set_new(doc, name, json_stringn(text->data, text->len)), 0);
	tz_buf_free(text);
}

static const char *
get_text(const json_t *doc, const char *name)
{
	return json_string_value(json_object_get(doc, name));
}

/* Id and signature as they belong to the text. */
static void
give_id(json_t *doc)
{
	TzSlice text = tz_slice_cstr(get_text(doc, "statement"));
	uint8_t digest[TZ_SHA256_LEN];
	TzBuf out;

	assert_int_equal(tz_sha256(text, digest, NULL), TZ_OK);
	tz_buf_init(&out, 128);
	tz_buf_append_cstr(&out, "att_");
	tz_hex_append(&out, digest, sizeof(digest));
	set_text(doc, "attestation_id", &out);
}

static void
sign(json_t *doc)
{
	uint8_t signature[TZ_ED25519_SIG_LEN];
	TzBuf out;

	give_id(doc);
	assert_int_equal(tz_ed25519_sign(seed, tz_slice_cstr(get_text(doc, "statement")), signature, NULL),
	                 TZ_OK);
	tz_buf_init(&out, 128);
	tz_base64_append(&out, signature, sizeof(signature));
	set_text(doc, "signature", &out);
}

/* Two leaves, of which ours is the second, under a signed head. */
static void
give_proof(json_t *doc, const TzHash *leaf, int index)
{
	TzCheckpoint head = {tz_slice_cstr(ORIGIN), 2, {{0}}, false, {{0}}};
	TzHash first = {{1}};
	TzHasher *hasher;
	TzBuf out;

	assert_int_equal(tz_hasher_new(&hasher, NULL), TZ_OK);
	assert_int_equal(tz_merkle_node(hasher, &first, leaf, &head.root, NULL), TZ_OK);
	tz_hasher_free(hasher);
	tz_buf_init(&out, 4096);
	tz_buf_printf(&out, "c2sp.org/tlog-proof@v1\nindex %d\n", index);
	tz_base64_append(&out, first.bytes, TZ_HASH_LEN);
	tz_buf_append_cstr(&out, "\n\n");
	assert_int_equal(tz_checkpoint_sign(&head, seed, &out, NULL), TZ_OK);
	set_text(doc, "proof", &out);
}

static int
setup(void **state)
{
	TzHash leaf = {{7}};
	json_t *fields = json_pack("{}");
	TzBuf text;
	TzBuf vkey;

	memset(seed, 3, sizeof(seed));
	assert_int_equal(tz_ed25519_public(seed, key, NULL), TZ_OK);
	none = calloc(1, sizeof(*none));
	tz_trust_init(none);
	whole = json_pack("{s:o}", "fields", fields);
	tz_buf_init(&text, 4096);
	tz_buf_append_cstr(&text, "theazo execution statement v1\n");
	for (int i = 0; i < NLINES; i++)
	{
		const char *colon = strchr(lines[i], ':');
		char name[64];

		snprintf(name, sizeof(name), "%.*s", (int) (colon - lines[i]), lines[i]);
		json_object_set_new(fields, name, json_loads(colon + 2, JSON_DECODE_ANY, NULL));
		tz_buf_printf(&text, "%s\n", lines[i]);
	}
	tz_buf_append_cstr(&text, "audit_leaf: \"");
	tz_hex_append(&text, leaf.bytes, TZ_HASH_LEN);
	json_object_set_new(fields, "audit_leaf", json_string(text.data + text.len - 2 * TZ_HASH_LEN));
	tz_buf_append_cstr(&text, "\"\n");
	set_text(whole, "statement", &text);
	sign(whole);
	tz_buf_init(&vkey, 512);
	assert_int_equal(tz_vkey_append(tz_slice_cstr(ORIGIN), key, &vkey, NULL), TZ_OK);
	set_text(whole, "vkey", &vkey);
	give_proof(whole, &leaf, 1);
	return 0;
}

static int
teardown(void **state)
{
	json_decref(whole);
	tz_trust_free(none);
	free(none);
	return 0;
}

static TzStatus check_asked(const json_t *doc, const TzTrust *trust, const TzStatementAsk *ask,
                            TzStatementFinding *out);

static TzStatus
check(const json_t *doc, const TzTrust *trust, const TzStatementFile *file, TzStatementFinding *out)
{
	TzStatementAsk ask = {.nfiles = file != NULL};

	if (file != NULL)
		ask.file[0] = *file;
	return check_asked(doc, trust, &ask, out);
}

static TzStatus
check_asked(const json_t *doc, const TzTrust *trust, const TzStatementAsk *ask, TzStatementFinding *out)
{
	char *text = json_dumps(doc, JSON_COMPACT);
	TzErr err;
	TzStatus status = tz_statement_check(tz_slice_cstr(text), trust, ask, out, &err);

	free(text);
	return status;
}

/* The field that is named in what doc has become; "" when it holds. Takes doc. */
static const char *
named(json_t *doc)
{
	static TzStatementFinding out;

	assert_int_equal(check(doc, none, NULL, &out), TZ_OK);
	assert_int_equal(out.fine, out.field[0] == '\0');
	json_decref(doc);
	return out.field;
}

/* Texts that are no statement at all are an error. Takes doc. */
static void
refused(json_t *doc)
{
	TzStatementFinding out;

	assert_int_not_equal(check(doc, none, NULL, &out), TZ_OK);
	assert_false(out.fine);
	json_decref(doc);
}

static json_t *
copy(void)
{
	return json_deep_copy(whole);
}

/* The document with what of this member replaced by with, once. */
static json_t *
rewritten(const char *name, const char *what, const char *with)
{
	json_t *doc = copy();
	const char *text = get_text(doc, name);
	const char *at = strstr(text, what);
	TzBuf out;

	assert_non_null(at);
	tz_buf_init(&out, 8192);
	tz_buf_append(&out, text, (size_t) (at - text));
	tz_buf_append_cstr(&out, with);
	tz_buf_append_cstr(&out, at + strlen(what));
	set_text(doc, name, &out);
	return doc;
}

static void
test_whole(void **state)
{
	TzStatementFinding out;

	assert_int_equal(check(whole, none, NULL, &out), TZ_OK);
	assert_true(out.fine);
	assert_true(out.placed);
	assert_false(out.published_keys);
	assert_int_equal(out.execution, 42);
	assert_int_equal(out.seq, 2);
	assert_string_equal(out.origin, ORIGIN);
	assert_string_equal(out.id, get_text(whole, "attestation_id"));
}

static void
test_keys(void **state)
{
	TzTrust *trust = calloc(1, sizeof(*trust));
	TzStatementFinding out;
	json_t *doc = copy();

	tz_trust_init(trust);
	assert_int_equal(tz_trust_add_key(trust, tz_slice_cstr(get_text(whole, "vkey")), NULL), TZ_OK);
	/* a given key needs none in the export */
	json_object_del(doc, "vkey");
	assert_int_equal(check(doc, trust, NULL, &out), TZ_OK);
	assert_true(out.fine);
	assert_true(out.published_keys);
	/* of another log, or another key: the one in the export does not help */
	snprintf(trust->key[0].name, sizeof(trust->key[0].name), "other.example");
	assert_int_equal(check(whole, trust, NULL, &out), TZ_OK);
	assert_string_equal(out.field, "signature");
	snprintf(trust->key[0].name, sizeof(trust->key[0].name), "%s", ORIGIN);
	trust->key[0].key[0] ^= 1;
	assert_int_equal(check(whole, trust, NULL, &out), TZ_OK);
	assert_string_equal(out.field, "signature");
	assert_false(out.published_keys);
	tz_trust_free(trust);
	free(trust);
	assert_string_equal(named(doc), "signature");
}

static void
test_fields(void **state)
{
	const char *name;
	json_t *value;

	json_object_foreach (json_object_get(whole, "fields"), name, value)
	{
		json_t *doc = copy();

		json_object_set_new(json_object_get(doc, "fields"), name, json_string("changed"));
		assert_string_equal(named(doc), name);
		doc = copy();
		json_object_del(json_object_get(doc, "fields"), name);
		assert_string_equal(named(doc), name);
	}
	for (int i = 0; i < NLINES; i++)
	{
		char want[64];
		char with[128];
		int len = (int) (strchr(lines[i], ':') - lines[i]);

		snprintf(want, sizeof(want), "%.*s", len, lines[i]);
		snprintf(with, sizeof(with), "%s: \"changed\"", want);
		assert_string_equal(named(rewritten("statement", lines[i], with)), want);
		/* no JSON any more, or two values */
		snprintf(with, sizeof(with), "%s: {", want);
		assert_string_equal(named(rewritten("statement", lines[i], with)), want);
		snprintf(with, sizeof(with), "%s: 1,2", want);
		assert_string_equal(named(rewritten("statement", lines[i], with)), want);
	}
}

static void
test_both(void **state)
{
	json_t *doc = rewritten("statement", "status: \"completed\"", "status: \"failed\"");

	json_object_set_new(json_object_get(doc, "fields"), "status", json_string("failed"));
	assert_string_equal(named(json_deep_copy(doc)), "attestation_id");
	give_id(doc);
	assert_string_equal(named(doc), "signature");
	/* more or less than was signed */
	doc = copy();
	json_object_set_new(json_object_get(doc, "fields"), "more", json_null());
	assert_string_equal(named(doc), "fields");
	assert_string_equal(named(rewritten("statement", "run: \"run_1\"\n", "")), "fields");
}

/* Every byte of the text, and of the signature, matters. */
static void
test_flips(void **state)
{
	static const char *const members[] = {"statement", "signature", "attestation_id"};

	for (int m = 0; m < 3; m++)
	{
		size_t len = strlen(get_text(whole, members[m]));

		for (size_t i = 0; i < len; i++)
		{
			json_t *doc = copy();
			char *text = strdup(get_text(whole, members[m]));
			TzStatementFinding out;

			text[i] ^= 1;
			json_object_set_new(doc, members[m], json_string(text));
			if (check(doc, none, NULL, &out) == TZ_OK)
				assert_true(!out.fine && out.field[0] != '\0');
			else
				assert_false(out.fine);
			free(text);
			json_decref(doc);
		}
	}
}

static void
test_files(void **state)
{
	TzStatementFile file = {.field = "code_sha256"};
	TzStatementFinding out;

	tz_test_hex(DIGEST, file.digest, TZ_SHA256_LEN);
	assert_int_equal(check(whole, none, &file, &out), TZ_OK);
	assert_true(out.fine);
	file.digest[31] ^= 1;
	assert_int_equal(check(whole, none, &file, &out), TZ_OK);
	assert_string_equal(out.field, "code_sha256");
	/* a statement without that digest says nothing of the file */
	file.field = "helper_sha256";
	assert_int_equal(check(whole, none, &file, &out), TZ_OK);
	assert_string_equal(out.field, "helper_sha256");
}

static void
test_place(void **state)
{
	TzHash leaf = {{7}};
	TzHash other = {{8}};
	TzStatementFinding out;
	json_t *doc = copy();

	/* without a proof it holds, and has no place */
	json_object_del(doc, "proof");
	assert_int_equal(check(doc, none, NULL, &out), TZ_OK);
	assert_true(out.fine && !out.placed);
	give_proof(doc, &leaf, 0);
	assert_string_equal(named(json_deep_copy(doc)), "audit_seq");
	give_proof(doc, &other, 1);
	assert_string_equal(named(doc), "audit_leaf");
	assert_string_equal(named(rewritten("proof", "@v1", "@v2")), "audit_seq");
	assert_string_equal(named(rewritten("proof", "index 1\n", "index 1\nAAAA\n")), "proof");
	assert_string_equal(named(rewritten("proof", ORIGIN "\n2\n", ORIGIN "\n3\n")), "proof");
	assert_string_equal(named(rewritten("proof", ORIGIN "\n2\n", "other.example\n2\n")), "proof");
}

/* A statement with what a provider says of a machine; tee_mode may be NULL. */
static json_t *
with_evidence(const char *evidence, const char *tee_mode)
{
	json_t *doc = copy();
	uint8_t digest[TZ_SHA256_LEN];
	json_t *parsed = json_loads(evidence, 0, NULL);
	TzBuf text;

	assert_int_equal(tz_sha256(tz_slice_cstr(evidence), digest, NULL), TZ_OK);
	tz_buf_init(&text, 8192);
	tz_buf_append_cstr(&text, get_text(doc, "statement"));
	tz_buf_append_cstr(&text, "evidence_sha256: \"");
	tz_hex_append(&text, digest, sizeof(digest));
	json_object_set_new(json_object_get(doc, "fields"), "evidence_sha256",
	                    json_stringn(text.data + text.len - 2 * TZ_SHA256_LEN, 2 * TZ_SHA256_LEN));
	tz_buf_append_cstr(&text, "\"\n");
	if (tee_mode != NULL)
	{
		tz_buf_printf(&text, "tee_mode: \"%s\"\n", tee_mode);
		json_object_set_new(json_object_get(doc, "fields"), "tee_mode", json_string(tee_mode));
	}
	set_text(doc, "statement", &text);
	sign(doc);
	json_object_set_new(doc, "evidence", json_string(evidence));
	if (json_object_get(parsed, "document") != NULL)
		json_object_set(doc, "provider_document", json_object_get(parsed, "document"));
	json_decref(parsed);
	return doc;
}

/* Of a provider that has signed this statement with its seed. */
static char *
evidence_of(const char *sandbox, const char *statement)
{
	uint8_t provider[TZ_ED25519_LEN];
	uint8_t signature[TZ_ED25519_SIG_LEN];
	json_t *doc;
	TzBuf out;
	char *text;

	memset(provider, 5, sizeof(provider));
	assert_int_equal(tz_ed25519_sign(provider, tz_slice_cstr(statement), signature, NULL), TZ_OK);
	tz_buf_init(&out, 128);
	tz_base64_append(&out, signature, sizeof(signature));
	doc = json_pack("{s:s, s:{s:s, s:s%}}", "sandbox", sandbox, "document", "statement", statement,
	                "signature", out.data, out.len);
	tz_buf_free(&out);
	text = json_dumps(doc, JSON_COMPACT);
	json_decref(doc);
	return text;
}

static const char *
named_by_provider(json_t *doc, const TzStatementAsk *ask, TzEvidence *provider)
{
	static TzStatementFinding out;

	assert_int_equal(check_asked(doc, none, ask, &out), TZ_OK);
	assert_int_equal(out.fine, out.field[0] == '\0');
	*provider = out.provider;
	json_decref(doc);
	return out.field;
}

static void
test_provider(void **state)
{
	static const struct
	{
		const char *sandbox, *statement, *tee_mode, *field;
	} cases[] = {
		{"sbx_1", "{\"sandbox\": \"sbx_1\"}", NULL, ""},
		{"sbx_1", "{\"sandbox\": \"sbx_1\"}", "provider", ""},
		{"sbx_1", "{\"sandbox\": \"sbx_1\", \"evidence\": \"hardware_quote\"}", "theta_tee", ""},
		{"sbx_1", "{\"sandbox\": \"sbx_1\", \"evidence\": \"words\"}", "theta_tee", "tee_mode"},
		{"sbx_1", "{\"sandbox\": \"sbx_1\"}", "theta_tee", "tee_mode"},
		{"sbx_2", "{\"sandbox\": \"sbx_1\"}", NULL, "provider_document"},
		{"sbx_1", "[\"sbx_1\"]", NULL, "provider_document"},
		{"sbx_1", "sbx_1", NULL, "provider_document"},
	};
	TzStatementAsk ask = {.has_provider_key = true};
	static const TzStatementAsk nothing;
	uint8_t provider[TZ_ED25519_LEN];
	TzEvidence said;
	json_t *doc;
	char *text;

	memset(provider, 5, sizeof(provider));
	assert_int_equal(tz_ed25519_public(provider, ask.provider_key, NULL), TZ_OK);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		text = evidence_of(cases[i].sandbox, cases[i].statement);
		assert_string_equal(named_by_provider(with_evidence(text, cases[i].tee_mode), &ask, &said),
		                    cases[i].field);
		assert_int_equal(said, cases[i].field[0] == '\0' ? TZ_EVIDENCE_VERIFIED : TZ_EVIDENCE_NONE);
		/* without the key only what was signed can be held against it */
		assert_string_equal(named_by_provider(with_evidence(text, cases[i].tee_mode), &nothing, &said), "");
		assert_int_equal(said, TZ_EVIDENCE_CLAIMED);
		free(text);
	}
	text = evidence_of("sbx_1", "{\"sandbox\": \"sbx_1\"}");
	/* another text than was signed, another document beside it, none at all */
	doc = with_evidence(text, NULL);
	json_object_set_new(doc, "evidence", json_string("{\"sandbox\":\"sbx_1\"}"));
	assert_string_equal(named_by_provider(doc, &nothing, &said), "evidence_sha256");
	doc = with_evidence(text, NULL);
	json_object_set_new(json_object_get(doc, "provider_document"), "statement", json_string("{}"));
	assert_string_equal(named_by_provider(doc, &nothing, &said), "provider_document");
	doc = with_evidence(text, NULL);
	json_object_del(doc, "evidence");
	json_object_del(doc, "provider_document");
	assert_string_equal(named_by_provider(json_deep_copy(doc), &nothing, &said), "");
	assert_string_equal(named_by_provider(doc, &ask, &said), "provider_document");
	assert_string_equal(named_by_provider(copy(), &ask, &said), "provider_document");
	/* of a key that is not the provider's */
	ask.provider_key[0] ^= 1;
	assert_string_equal(named_by_provider(with_evidence(text, NULL), &ask, &said), "provider_document");
	free(text);
	assert_string_equal(named_by_provider(with_evidence("[]", NULL), &nothing, &said), "");
	assert_string_equal(named_by_provider(with_evidence("{", NULL), &nothing, &said), "evidence");
}

static void
test_provider_keys(void **state)
{
	static const char *const good[] = {
		"i4eawjawO4BSvExf/rGVdzaVVe4jVFY1fJjiIv474BY=", " i4eawjawO4BSvExf/rGVdzaVVe4jVFY1fJjiIv474BY=\n",
		"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAi4eawjawO4BSvExf/rGVdzaVVe4jVFY1fJjiIv474BY=\n-----END PUBLIC KEY-----\n"};
	static const char *const bad[] = {"", "x", "i4eawjawO4BSvExf/rGVdzaVVe4jVFY1fJjiIv474A==",
	                                  "MCowBQYDK2VxAyEAi4eawjawO4BSvExf/rGVdzaVVe4jVFY1fJjiIv474BY="};
	uint8_t first[TZ_ED25519_LEN];
	uint8_t next[TZ_ED25519_LEN];
	TzErr err;

	assert_int_equal(tz_evidence_key(tz_slice_cstr(good[0]), first, &err), TZ_OK);
	for (int i = 1; i < 3; i++)
	{
		assert_int_equal(tz_evidence_key(tz_slice_cstr(good[i]), next, &err), TZ_OK);
		assert_memory_equal(first, next, sizeof(first));
	}
	for (int i = 0; i < 4; i++)
		assert_int_not_equal(tz_evidence_key(tz_slice_cstr(bad[i]), next, &err), TZ_OK);
}

static void
test_malformed(void **state)
{
	static const char *const needed[] = {"statement", "fields"};
	static const char *const texts[] = {"",
	                                    "x",
	                                    "[]",
	                                    "null",
	                                    "{}",
	                                    "{\"statement\": 1, \"fields\": {}}",
	                                    "{\"statement\": \"\", \"fields\": {}}"};
	static const TzStatementAsk ask;
	char *text = json_dumps(whole, JSON_COMPACT);
	TzStatementFinding out;
	TzErr err;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
	{
		assert_int_not_equal(tz_statement_check(tz_slice_cstr(texts[i]), none, &ask, &out, &err), TZ_OK);
		assert_false(out.fine);
	}
	for (size_t len = 0; len < strlen(text); len++)
		assert_int_not_equal(tz_statement_check(tz_slice(text, len), none, &ask, &out, &err), TZ_OK);
	free(text);
	for (int i = 0; i < 2; i++)
	{
		json_t *doc = copy();

		json_object_del(doc, needed[i]);
		refused(doc);
	}
	refused(rewritten("statement", " v1\n", " v2\n"));
	refused(rewritten("statement", "run: ", "run "));
	refused(rewritten("statement", "run: ", "run:"));
	refused(rewritten("statement", "run: \"run_1\"", ": 1"));
	refused(rewritten("statement", "run: \"run_1\"", ""));
	refused(rewritten("statement",
	                  "run: ", "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn: "));
	/* both sides agree on an origin that no log has */
	{
		json_t *doc = rewritten("statement", ORIGIN, "no log");

		json_object_set_new(json_object_get(doc, "fields"), "origin", json_string("no log"));
		refused(doc);
	}
	for (int i = 0; i < 2; i++)
	{
		static const char *const members[] = {"attestation_id", "signature"};
		json_t *doc = copy();

		json_object_set_new(doc, members[i], json_integer(1));
		assert_string_equal(named(doc), members[i]);
	}
}

static void
test_report(void **state)
{
	TzStatementFinding out;
	json_t *doc = copy();
	TzBuf text;

	assert_int_equal(check(doc, none, NULL, &out), TZ_OK);
	tz_buf_init(&text, 8192);
	assert_int_equal(tz_statement_report(&out, true, &text), TZ_OK);
	assert_non_null(strstr(text.data, "\"valid\":true"));
	assert_non_null(strstr(text.data, "\"placed\":true"));
	tz_buf_reset(&text);
	assert_int_equal(tz_statement_report(&out, false, &text), TZ_OK);
	assert_non_null(strstr(text.data, "The statement holds."));
	json_object_set_new(json_object_get(doc, "fields"), "status", json_null());
	assert_int_equal(check(doc, none, NULL, &out), TZ_OK);
	tz_buf_reset(&text);
	assert_int_equal(tz_statement_report(&out, true, &text), TZ_OK);
	assert_non_null(strstr(text.data, "\"field\":\"status\""));
	tz_buf_reset(&text);
	assert_int_equal(tz_statement_report(&out, false, &text), TZ_OK);
	assert_string_equal(text.data, "TAMPERED: status: is not what was signed\n");
	tz_buf_free(&text);
	json_decref(doc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),         cmocka_unit_test(test_keys),
		cmocka_unit_test(test_fields),        cmocka_unit_test(test_both),
		cmocka_unit_test(test_flips),         cmocka_unit_test(test_files),
		cmocka_unit_test(test_place),         cmocka_unit_test(test_provider),
		cmocka_unit_test(test_provider_keys), cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_report),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
