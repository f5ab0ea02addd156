/* test_judge.c: exports made here, whole and tampered with, as theazo-verify judges them */
#include "tz_test.h"

#include "lib/sign.h"
#include "verify/judge.h"

#define LINES_MAX 400
#define PLATFORM "plt_01M80000000000000000000000"
#define ORIGIN "example.org/" PLATFORM
#define SEALS 6
#define PER_SEAL 5

static const uint8_t seed[TZ_ED25519_LEN] = {1, 2, 3};

typedef struct Export
{
	TzBuf line[LINES_MAX];
	int n;
	TzAnchor anchor; /* of the last round */
	char note[1024]; /* the first checkpoint */
	char vkey[512];
} Export;

static TzHasher *hasher;

static void
b64(TzBuf *out, const TzHash *hash)
{
	tz_buf_append_byte(out, '"');
	tz_base64_append(out, hash->bytes, TZ_HASH_LEN);
	tz_buf_append_byte(out, '"');
}

static TzBuf *
new_line(Export *e)
{
	assert_true(e->n < LINES_MAX);
	tz_buf_init(&e->line[e->n], TZ_RECORD_LINE_MAX);
	return &e->line[e->n++];
}

/* An event, and its leaf. The word is what it says was done. */
static void
put_event(Export *e, uint64_t seq, const char *word, TzHash *leaf)
{
	char text[TZ_ENTRY_FIELDS][80];
	TzEntry entry = {0};
	TzBuf bytes;
	TzBuf *line;

	for (int i = 0; i < TZ_ENTRY_FIELDS; i++)
	{
		if (i == TZ_ENTRY_SESSION || i == TZ_ENTRY_PERSONAL)
			continue;
		snprintf(text[i], sizeof(text[i]), "%s \"%llu\"", tz_entry_names[i], (unsigned long long) seq);
		if (i == TZ_ENTRY_NUMBER || i == TZ_ENTRY_OCCURRED_AT || i == TZ_ENTRY_XID)
			snprintf(text[i], sizeof(text[i]), "%llu", (unsigned long long) seq * 1000 + 17);
		if (i == TZ_ENTRY_VIOLATION)
			snprintf(text[i], sizeof(text[i]), "f");
		if (i == TZ_ENTRY_ACTION)
			snprintf(text[i], sizeof(text[i]), "%s", word);
		entry.field[i] = tz_slice_cstr(text[i]);
	}
	tz_buf_init(&bytes, TZ_ENTRY_MAX);
	assert_int_equal(tz_entry_append(&entry, &bytes), TZ_OK);
	assert_int_equal(tz_merkle_leaf(hasher, tz_buf_slice(&bytes), leaf, NULL), TZ_OK);
	tz_buf_free(&bytes);

	line = new_line(e);
	tz_buf_printf(line, "{\"t\":\"event\",\"seq\":%llu,\"leaf\":", (unsigned long long) seq);
	b64(line, leaf);
	for (int i = 0; i < TZ_ENTRY_FIELDS; i++)
	{
		if (entry.field[i].data == NULL)
			continue;
		tz_buf_printf(line, ",\"%s%s\":", tz_entry_names[i], i == TZ_ENTRY_OCCURRED_AT ? "_us" : "");
		if (i == TZ_ENTRY_VIOLATION)
			tz_buf_append_cstr(line, "false");
		else if (i == TZ_ENTRY_NUMBER || i == TZ_ENTRY_OCCURRED_AT)
			tz_buf_append_cstr(line, text[i]);
		else if (i == TZ_ENTRY_XID || i == TZ_ENTRY_ACTION)
			tz_buf_printf(line, "\"%s\"", text[i]);
		else
			tz_buf_printf(line, "\"%s \\\"%llu\\\"\"", tz_entry_names[i], (unsigned long long) seq);
	}
	tz_buf_append_byte(line, '}');
}

static void
put_head(Export *e, const TzFrontier *tree, const TzHash *chain)
{
	TzCheckpoint head = {.origin = tz_slice_cstr(ORIGIN),
	                     .size = tree->size,
	                     .has_chain = true,
	                     .chain = *chain};
	TzHash pair[2];
	TzHash root;
	TzBuf note;
	TzBuf *line;

	assert_int_equal(tz_frontier_root(hasher, tree, &head.root, NULL), TZ_OK);
	tz_buf_init(&note, TZ_CHECKPOINT_MAX);
	assert_int_equal(tz_checkpoint_sign(&head, seed, &note, NULL), TZ_OK);
	if (e->note[0] == '\0')
		snprintf(e->note, sizeof(e->note), "%s", note.data);
	line = new_line(e);
	tz_buf_append_cstr(line, "{\"t\":\"checkpoint\",\"note\":\"");
	for (size_t i = 0; i < note.len; i++)
	{
		if (note.data[i] == '\n')
			tz_buf_append_cstr(line, "\\n");
		else
			tz_buf_append_byte(line, note.data[i]);
	}
	tz_buf_append_cstr(line, "\"}");
	/* a round of two, ours the second */
	memset(pair, 0x55, sizeof(pair));
	assert_int_equal(tz_merkle_leaf(hasher, tz_buf_slice(&note), &pair[1], NULL), TZ_OK);
	assert_int_equal(tz_merkle_node(hasher, &pair[0], &pair[1], &root, NULL), TZ_OK);
	line = new_line(e);
	tz_buf_printf(line, "{\"t\":\"round\",\"id\":\"rnd_%llu\",\"index\":1,\"size\":2,\"path\":[",
	              (unsigned long long) tree->size);
	b64(line, &pair[0]);
	tz_buf_append_cstr(line, "],\"root\":");
	b64(line, &root);
	tz_buf_append_byte(line, '}');
	line = new_line(e);
	tz_buf_printf(
		line,
		"{\"t\":\"anchor\",\"round\":\"rnd_%llu\",\"name\":\"a\",\"kind\":\"evm\",\"evidence\":{\"tx_hash\":\"0x%064d\"}}",
		(unsigned long long) tree->size, 7);
	memset(&e->anchor, 0, sizeof(e->anchor));
	e->anchor.size = 2;
	memcpy(e->anchor.root, root.bytes, sizeof(root.bytes));
	tz_buf_free(&note);
}

/* A whole trail; from the seal at changed on it tells another story. */
static Export *
make(int changed)
{
	Export *e = calloc(1, sizeof(*e));
	uint8_t key[TZ_ED25519_LEN];
	TzFrontier tree;
	TzHash chain;
	TzBuf vkey;

	assert_non_null(e);
	tz_ed25519_public(seed, key, NULL);
	tz_buf_init(&vkey, sizeof(e->vkey));
	assert_int_equal(tz_vkey_append(tz_slice_cstr(ORIGIN), key, &vkey, NULL), TZ_OK);
	snprintf(e->vkey, sizeof(e->vkey), "%s", vkey.data);
	tz_buf_free(&vkey);
	tz_buf_printf(new_line(e),
	              "{\"t\":\"origin\",\"format\":1,\"platform\":\"%s\",\"origin\":\"%s\",\"keys\":[\"%s\"]}",
	              PLATFORM, ORIGIN, e->vkey);
	tz_frontier_init(&tree);
	assert_int_equal(tz_chain_genesis(hasher, tz_slice_cstr(PLATFORM), &chain, NULL), TZ_OK);
	for (int s = 0; s < SEALS; s++)
	{
		uint64_t first = tree.size + 1;
		int64_t at = INT64_C(1800000000000000) + s * INT64_C(86400000000);
		TzBuf *line = new_line(e);
		TzHash prev = chain;

		tz_chain_header(hasher, &chain, first, PER_SEAL, at, &chain, NULL);
		for (int i = 0; i < PER_SEAL; i++)
		{
			TzHash leaf;

			put_event(e, first + i, s == changed ? "other" : "done", &leaf);
			tz_chain_link(hasher, &chain, &leaf, &chain, NULL);
			tz_frontier_append(hasher, &tree, &leaf, NULL, NULL, NULL);
		}
		tz_buf_printf(line,
		              "{\"t\":\"seal\",\"first_seq\":%llu,\"events\":%d,\"sealed_at_us\":%lld,\"prev_hash\":",
		              (unsigned long long) first, PER_SEAL, (long long) at);
		b64(line, &prev);
		tz_buf_append_cstr(line, ",\"hash\":");
		b64(line, &chain);
		tz_buf_append_byte(line, '}');
		if (s % 2 == 1)
			put_head(e, &tree, &chain);
	}
	tz_buf_printf(new_line(e), "{\"t\":\"end\",\"last_seq\":%llu}", (unsigned long long) tree.size);
	return e;
}

static void
drop(Export *e)
{
	for (int i = 0; i < e->n; i++)
		tz_buf_free(&e->line[i]);
	free(e);
}

/* skip, twice: lines that are left out or given again, -1 for none. */
static TzFinding
judge(const Export *e, const TzTrust *trust, int skip, int twice)
{
	TzJudge *j;
	TzFinding f;
	bool more = true;

	assert_int_equal(tz_judge_new(&j, trust, NULL, NULL, NULL), TZ_OK);
	tz_judge_file(j);
	for (int i = 0; i < e->n && more; i++)
	{
		if (i != skip)
			more = tz_judge_line(j, tz_buf_slice(&e->line[i]));
		if (i == twice && more)
			more = tz_judge_line(j, tz_buf_slice(&e->line[i]));
	}
	if (more)
		tz_judge_file_end(j);
	f = *tz_judge_end(j);
	tz_judge_free(j);
	return f;
}

static void
trust_with(TzTrust *trust, const Export *e)
{
	tz_trust_init(trust);
	assert_int_equal(tz_trust_add_key(trust, tz_slice_cstr(e->vkey), NULL), TZ_OK);
}

static void
test_fine(void **state)
{
	Export *e = make(-1);
	TzTrust trust;
	TzFinding f;

	tz_trust_init(&trust);
	assert_int_equal(tz_trust_ready(&trust, NULL), TZ_OK);
	f = judge(e, &trust, -1, -1);
	assert_string_equal(f.problem, "");
	assert_int_equal(f.verdict, TZ_VERDICT_FINE);
	assert_int_equal(f.events, SEALS * PER_SEAL);
	assert_int_equal(f.signed_seq, SEALS * PER_SEAL);
	assert_int_equal(f.claimed_seq, SEALS * PER_SEAL);
	assert_int_equal(f.anchored_seq, 0);
	assert_false(f.published_keys);
	tz_trust_free(&trust);

	trust_with(&trust, e);
	assert_int_equal(tz_trust_add_checkpoint(&trust, tz_slice_cstr(e->note), NULL), TZ_OK);
	f = judge(e, &trust, -1, -1);
	assert_int_equal(f.verdict, TZ_VERDICT_FINE);
	assert_int_equal(f.kept_seq, 2 * PER_SEAL);
	assert_true(f.published_keys);
	tz_trust_free(&trust);
	drop(e);
}

/* Every line left out, given twice, or with any of its bytes changed. */
static void
test_lines(void **state)
{
	Export *e = make(-1);
	TzTrust trust;
	TzFinding f;
	int unseen = 0;

	trust_with(&trust, e);
	for (int i = 0; i < e->n; i++)
	{
		bool anchor = strncmp(e->line[i].data, "{\"t\":\"anchor\"", 13) == 0;
		bool behind = anchor || strncmp(e->line[i].data, "{\"t\":\"round\"", 12) == 0;
		bool head = strncmp(e->line[i].data, "{\"t\":\"checkpoint\"", 17) == 0;

		f = judge(e, &trust, i, -1);
		/* an anchor, or a round with its anchors, may be unknown to whoever exports */
		if (!anchor)
			assert_int_not_equal(f.verdict, TZ_VERDICT_FINE);
		f = judge(e, &trust, -1, i);
		if (!behind && !head)
			assert_int_not_equal(f.verdict, TZ_VERDICT_FINE);
		for (size_t b = 0; b < e->line[i].len; b += 3)
		{
			e->line[i].data[b] ^= 0x01;
			f = judge(e, &trust, -1, -1);
			unseen += f.verdict == TZ_VERDICT_FINE;
			if (f.verdict == TZ_VERDICT_FINE && !anchor && !behind && i > 0)
				fail_msg("line %d, byte %zu: not seen", i, b);
			e->line[i].data[b] ^= 0x01;
		}
	}
	/* ids and evidence of anchors are names, keys in the first line are not used when others are given */
	assert_true(unseen < 400);
	tz_trust_free(&trust);
	drop(e);
}

static void
test_named(void **state)
{
	Export *e = make(-1);
	TzTrust trust;
	TzFinding f;
	char *word;

	trust_with(&trust, e);
	/* the event of sequence number 2 is line 3 */
	word = strstr(e->line[3].data, "\"done\"");
	assert_non_null(word);
	word[1] = 'D';
	f = judge(e, &trust, -1, -1);
	assert_int_equal(f.verdict, TZ_VERDICT_TAMPERED);
	assert_string_equal(f.bad_table, "event");
	assert_int_equal(f.bad_seq, 2);
	assert_int_equal(f.line, 4);
	word[1] = 'd';
	/* its leaf instead */
	word = strstr(e->line[3].data, "\"leaf\":\"") + 8;
	word[0] = word[0] == 'A' ? 'B' : 'A';
	f = judge(e, &trust, -1, -1);
	assert_string_equal(f.bad_table, "seal");
	assert_int_equal(f.bad_seq, 2);
	tz_trust_free(&trust);
	drop(e);
}

/* Another past, rightly signed: the keys say yes, everything that left the house says no. */
static void
test_signed_anew(void **state)
{
	Export *e = make(-1);
	Export *other = make(1);
	TzTrust trust;
	TzFinding f;
	TzBuf line;

	trust_with(&trust, e);
	assert_int_equal(judge(other, &trust, -1, -1).verdict, TZ_VERDICT_FINE);
	assert_int_equal(tz_trust_add_checkpoint(&trust, tz_slice_cstr(e->note), NULL), TZ_OK);
	f = judge(other, &trust, -1, -1);
	assert_int_equal(f.verdict, TZ_VERDICT_TAMPERED);
	assert_int_equal(f.bad_seq, 2 * PER_SEAL);
	tz_trust_free(&trust);

	/* the auditor's copy of the anchor file, of the last round */
	trust_with(&trust, e);
	e->anchor.round = tz_slice_cstr("rnd_30");
	e->anchor.at_us = INT64_C(1800000600000000) + 5 * INT64_C(86400000000);
	tz_buf_init(&line, TZ_ANCHOR_LINE_MAX);
	assert_int_equal(tz_anchor_line(&e->anchor, &line, NULL), TZ_OK);
	assert_int_equal(tz_trust_add_line(&trust, tz_buf_slice(&line), NULL), TZ_OK);
	assert_int_equal(tz_trust_ready(&trust, NULL), TZ_OK);
	f = judge(e, &trust, -1, -1);
	assert_string_equal(f.problem, "");
	assert_int_equal(f.anchored_seq, 30);
	assert_int_equal(f.anchored_at_us, e->anchor.at_us);
	f = judge(other, &trust, -1, -1);
	assert_int_equal(f.verdict, TZ_VERDICT_TAMPERED);
	assert_string_equal(f.bad_table, "audit_round");
	tz_buf_free(&line);
	tz_trust_free(&trust);

	/* a file that knows nothing of these rounds */
	trust_with(&trust, e);
	trust.file_given = true;
	f = judge(e, &trust, -1, -1);
	assert_int_equal(f.verdict, TZ_VERDICT_TAMPERED);
	assert_non_null(strstr(f.problem, "signed anew"));
	tz_trust_free(&trust);
	drop(other);
	drop(e);
}

static void
test_transaction(void **state)
{
	static const char form[] =
		"{\"jsonrpc\":\"2.0\",\"result\":{\"hash\":\"0x%064d\",\"input\":\"0x%s\",\"blockNumber\":%s,"
		"\"blockHash\":\"0x1\"}}";
	Export *e = make(-1);
	uint8_t data[TZ_ANCHOR_DATA_LEN];
	char json[1024];
	TzTrust trust;
	TzFinding f;
	TzBuf hex;

	tz_anchor_data(&e->anchor, data);
	tz_buf_init(&hex, 256);
	tz_hex_append(&hex, data, sizeof(data));

	trust_with(&trust, e);
	snprintf(json, sizeof(json), form, 7, hex.data, "\"0x10\"");
	assert_int_equal(tz_trust_add_tx(&trust, tz_slice_cstr(json), NULL), TZ_OK);
	f = judge(e, &trust, -1, -1);
	/* the anchors of the earlier rounds name the same transaction, which does not carry their roots */
	assert_int_equal(f.verdict, TZ_VERDICT_TAMPERED);
	assert_string_equal(f.bad_table, "audit_anchor");
	tz_trust_free(&trust);

	trust_with(&trust, e);
	snprintf(json, sizeof(json), form, 8, hex.data, "\"0x10\"");
	assert_int_equal(tz_trust_add_tx(&trust, tz_slice_cstr(json), NULL), TZ_OK);
	f = judge(e, &trust, -1, -1);
	assert_string_equal(f.problem, "");
	assert_int_equal(f.anchored_seq, 30);
	assert_int_equal(strlen(f.anchor_tx_hash), 66);
	/* its receipt says that it failed */
	snprintf(json, sizeof(json), "[{\"transactionHash\":\"0x%064d\",\"status\":\"0x0\"}]", 8);
	assert_int_equal(tz_trust_add_tx(&trust, tz_slice_cstr(json), NULL), TZ_OK);
	assert_int_equal(judge(e, &trust, -1, -1).verdict, TZ_VERDICT_TAMPERED);
	tz_trust_free(&trust);

	/* not in a block */
	trust_with(&trust, e);
	snprintf(json, sizeof(json), form, 8, hex.data, "null");
	assert_int_equal(tz_trust_add_tx(&trust, tz_slice_cstr(json), NULL), TZ_OK);
	assert_int_equal(judge(e, &trust, -1, -1).verdict, TZ_VERDICT_TAMPERED);
	tz_trust_free(&trust);
	tz_buf_free(&hex);
	drop(e);
}

static int
group_setup(void **state)
{
	return tz_hasher_new(&hasher, NULL) == TZ_OK ? 0 : -1;
}

static int
group_teardown(void **state)
{
	tz_hasher_free(hasher);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fine),        cmocka_unit_test(test_lines),       cmocka_unit_test(test_named),
		cmocka_unit_test(test_signed_anew), cmocka_unit_test(test_transaction),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
