/*-------------------------------------------------------------------------
 *
 * judge.c
 *	  Verifies an export of an audit trail, line by line, in bounded memory.
 *
 * Rows give leaves, leaves give the chain and the tree; seals, checkpoints and
 * anchors say what must have come out. A checkpoint stands right behind the seal
 * that it covers, so nothing has to be remembered but the end of the chain and
 * the frontier of the tree.
 *
 *-------------------------------------------------------------------------
 */
#include "verify/judge_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_US (INT64_C(3600) * 1000000)
#define DAY_US (24 * HOUR_US)

static bool anchors_given(const TzTrust *trust);
static int64_t anchored_before(const TzJudge *j);
static void judge_reset(TzJudge *j);
static bool judge_whole(TzJudge *j);
static bool judge_next(TzJudge *j);
static bool judge_record(TzJudge *j, const TzRecord *record);
static bool judge_origin(TzJudge *j, const TzRecord *record);
static bool judge_start(TzJudge *j, const TzRecord *record);
static bool judge_over(TzJudge *j, const TzRecord *record);

TzStatus
tz_judge_new(TzJudge **out, const TzTrust *trust, TzJudgeDone done, void *arg, TzErr *err)
{
	TzJudge *j = calloc(1, sizeof(*j));

	*out = NULL;
	if (j == NULL)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	j->trust = trust;
	j->done = done;
	j->done_arg = arg;
	judge_reset(j);
	tz_buf_init(&j->space, 2 * TZ_RECORD_LINE_MAX);
	tz_buf_init(&j->bytes, 2 * TZ_RECORD_LINE_MAX);
	if (tz_hasher_new(&j->hasher, err) != TZ_OK)
	{
		tz_judge_free(j);
		return TZ_INTERNAL;
	}
	*out = j;
	return TZ_OK;
}

void
tz_judge_free(TzJudge *j)
{
	if (j == NULL)
		return;
	tz_hasher_free(j->hasher);
	tz_buf_free(&j->space);
	tz_buf_free(&j->bytes);
	free(j);
}

void
tz_judge_file(TzJudge *j)
{
	j->stage = STAGE_BEGIN;
	j->find.line = 0;
}

bool
tz_judge_line(TzJudge *j, TzSlice line)
{
	TzRecord record = {0};
	TzErr err;
	bool more;

	if (j->over)
		return false;
	j->find.line++;
	if (tz_record_read(line, &record, &err) != TZ_OK)
		more = tz_judge_unreadable(j, &err);
	else
		more = judge_record(j, &record);
	tz_record_free(&record);
	return more;
}

bool
tz_judge_file_end(TzJudge *j)
{
	if (j->over)
		return false;
	if (j->stage == STAGE_BEGIN)
		return tz_judge_broken(j, "it is empty");
	if (j->stage == STAGE_SEAL)
		return tz_judge_bad(j, "event", j->next_seq, NULL,
		                    "the export ends in the middle of a seal: events are missing");
	if (j->stage != STAGE_END)
		return tz_judge_bad(j, "seal", j->next_seq, NULL, "the export is cut off: it has no last line");
	return true;
}

const TzFinding *
tz_judge_end(TzJudge *j)
{
	if (!j->over)
	{
		j->find.line = 0;
		judge_whole(j);
	}
	return &j->find;
}

/* What can be said only when the whole of a platform was seen. */
static bool
judge_whole(TzJudge *j)
{
	const TzTrust *trust = j->trust;
	TzFinding *f = &j->find;

	for (size_t i = j->kept_at; i < trust->nkept; i++)
	{
		if (tz_judge_kept_of(j, i) && f->last_seq > 0)
			return tz_judge_bad(j, "seal", f->last_seq + 1, NULL,
			                    "the trail ends before a checkpoint that was kept: its tail is cut off");
	}
	if (f->last_seq == 0)
		return true;
	if (trust->nkeys > 0 && f->signed_seq == 0)
		return tz_judge_bad(j, "audit_checkpoint", 0, NULL, "no checkpoint is signed by a given key");
	if (anchors_given(trust) && f->anchored_seq == 0)
		return tz_judge_bad(
			j, "audit_anchor", 0, NULL,
			"none of the given anchors covers a signed root: it may have been signed anew with a stolen key");
	if (j->waits && j->waits_since_us < anchored_before(j))
		return tz_judge_bad(
			j, "audit_anchor", f->anchored_seq + 1, NULL,
			"sealed long enough ago and covered by no given anchor: it may have been signed anew");
	return true;
}

static void
judge_reset(TzJudge *j)
{
	uint64_t line = j->find.line;

	memset(&j->find, 0, sizeof(j->find));
	j->find.line = line;
	j->find.published_keys = j->trust->nkeys > 0;
	j->find.anchored_at_us = INT64_MIN;
	j->kept_at = 0;
	j->waits = false;
	j->checkpoint_size = 0;
	j->round[0] = '\0';
	j->stage = STAGE_BEGIN;
}

static bool
anchors_given(const TzTrust *trust)
{
	return trust->ca_pem.len > 0 || trust->file_given || trust->tx_given;
}

/* What was sealed before must be anchored: as given, else a day before the end or an hour before the file's. */
static int64_t
anchored_before(const TzJudge *j)
{
	const TzTrust *trust = j->trust;
	int64_t before = INT64_MIN;

	if (trust->anchored_before_us != INT64_MIN)
		return trust->anchored_before_us;
	if (anchors_given(trust))
		before = j->seal_at_us - DAY_US;
	if (trust->nlines > 0 && trust->newest_line_us - HOUR_US > before)
		before = trust->newest_line_us - HOUR_US;
	return before;
}

/* What is wrong with the trail. */
bool
tz_judge_bad(TzJudge *j, const char *table, uint64_t seq, const char *id, const char *fmt, ...)
{
	va_list args;

	j->over = true;
	j->find.verdict = TZ_VERDICT_TAMPERED;
	j->find.bad_seq = seq;
	snprintf(j->find.bad_table, sizeof(j->find.bad_table), "%s", table);
	snprintf(j->find.bad_id, sizeof(j->find.bad_id), "%s", id == NULL ? "" : id);
	va_start(args, fmt);
	vsnprintf(j->find.problem, sizeof(j->find.problem), fmt, args);
	va_end(args);
	return false;
}

bool
tz_judge_broken(TzJudge *j, const char *why)
{
	j->over = true;
	j->find.verdict = TZ_VERDICT_UNREADABLE;
	snprintf(j->find.problem, sizeof(j->find.problem), "%s", why);
	return false;
}

bool
tz_judge_unreadable(TzJudge *j, const TzErr *err)
{
	return tz_judge_broken(j, err->message);
}

static bool
judge_record(TzJudge *j, const TzRecord *record)
{
	TzRecordKind kind = record->kind;

	if (j->stage == STAGE_END && !judge_next(j))
		return false;
	if ((kind == TZ_RECORD_ORIGIN) != (j->stage == STAGE_BEGIN))
		return tz_judge_broken(j, j->stage == STAGE_BEGIN ? "it does not begin as an export does"
		                                                  : "a second beginning");
	if (j->stage == STAGE_SEAL && kind != TZ_RECORD_EVENT && kind != TZ_RECORD_LEAF)
		return tz_judge_bad(j, "event", j->next_seq, NULL, "missing: its seal has %u events, %u are there",
		                    j->seal_events, j->seal_done);
	switch (kind)
	{
		case TZ_RECORD_ORIGIN:
			return judge_origin(j, record);
		case TZ_RECORD_START:
			return judge_start(j, record);
		case TZ_RECORD_SEAL:
			return tz_judge_seal(j, record);
		case TZ_RECORD_EVENT:
			return tz_judge_event(j, record);
		case TZ_RECORD_LEAF:
			return tz_judge_leaf(j, record);
		case TZ_RECORD_CHECKPOINT:
			return tz_judge_checkpoint(j, record);
		case TZ_RECORD_ROUND:
			return tz_judge_round(j, record);
		case TZ_RECORD_ANCHOR:
			return tz_judge_anchor(j, record);
		case TZ_RECORD_END:
			return judge_over(j, record);
	}
	return tz_judge_broken(j, "a line of a kind that is not known");
}

/* Another platform begins in the same file. */
static bool
judge_next(TzJudge *j)
{
	if (!judge_whole(j))
		return false;
	if (j->done != NULL)
		j->done(&j->find, j->done_arg);
	judge_reset(j);
	return true;
}

static bool
judge_origin(TzJudge *j, const TzRecord *record)
{
	TzFinding *f = &j->find;
	const json_t *keys = json_object_get(record->json, "keys");
	const json_t *key;
	uint64_t format;
	TzSlice platform;
	TzSlice origin;
	TzErr err;
	size_t i;

	if (tz_record_number(record, "format", 1, 1, &format, &err) != TZ_OK ||
	    tz_record_text(record, "platform", TZ_JUDGE_NAME_MAX, &platform, &err) != TZ_OK ||
	    tz_record_text(record, "origin", TZ_JUDGE_NAME_MAX, &origin, &err) != TZ_OK)
		return tz_judge_unreadable(j, &err);
	j->stage = STAGE_FLOW;
	j->fresh = true;
	if (f->platform[0] != '\0')
	{
		if (!tz_slice_eq_cstr(platform, f->platform) || !tz_slice_eq_cstr(origin, f->origin))
			return tz_judge_broken(j, "a file of another platform than the one before");
	}
	else
	{
		memcpy(f->platform, platform.data, platform.len);
		memcpy(f->origin, origin.data, origin.len);
		j->next_seq = 1;
		tz_frontier_init(&j->tree);
		if (tz_chain_genesis(j->hasher, platform, &j->chain, &err) != TZ_OK)
			return tz_judge_unreadable(j, &err);
	}
	j->nown = 0;
	json_array_foreach (keys, i, key)
	{
		if (j->nown == TZ_TRUST_KEYS_MAX || !json_is_string(key) ||
		    tz_trust_key_read(tz_slice(json_string_value(key), json_string_length(key)), &j->own[j->nown],
		                      &err) != TZ_OK)
			return tz_judge_broken(j, "a verifier key that cannot be read");
		j->nown++;
	}
	return true;
}

/* A range: from here the tree and the chain are taken on trust, until a signed root confirms them. */
static bool
judge_start(TzJudge *j, const TzRecord *record)
{
	TzHash roots[TZ_MERKLE_LEVELS + 1];
	TzFrontier tree;
	TzHash prev;
	uint64_t seq;
	TzErr err;
	int n;

	if (!j->fresh)
		return tz_judge_broken(j, "a start in the middle");
	if (tz_record_number(record, "seq", 2, INT64_MAX, &seq, &err) != TZ_OK ||
	    tz_record_hash(record, "prev_hash", &prev, &err) != TZ_OK ||
	    tz_record_hashes(record, "frontier", TZ_MERKLE_LEVELS + 1, roots, &n, &err) != TZ_OK ||
	    tz_frontier_load(&tree, seq - 1, tz_slice((const char *) roots, (size_t) n * TZ_HASH_LEN), &err) !=
	        TZ_OK)
		return tz_judge_unreadable(j, &err);
	if (j->find.last_seq == 0)
	{
		j->next_seq = seq;
		j->tree = tree;
		j->chain = prev;
		while (j->kept_at < j->trust->nkept && j->trust->kept[j->kept_at].size < seq - 1)
			j->kept_at++;
		return tz_judge_kept(j);
	}
	if (seq != j->next_seq)
		return tz_judge_broken(j, "a file that does not go on where the one before ended");
	if (memcmp(&prev, &j->chain, sizeof(prev)) != 0 ||
	    memcmp(tree.root, j->tree.root, (size_t) n * TZ_HASH_LEN) != 0)
		return tz_judge_bad(j, "seal", seq, NULL,
		                    "the file begins with another state than the one before ended in");
	return true;
}

static bool
judge_over(TzJudge *j, const TzRecord *record)
{
	uint64_t last;
	TzErr err;

	if (tz_record_number(record, "last_seq", 0, INT64_MAX, &last, &err) != TZ_OK)
		return tz_judge_unreadable(j, &err);
	if (last != j->find.last_seq)
		return tz_judge_bad(j, "seal", j->next_seq, NULL, "missing: the export says it goes up to %llu",
		                    (unsigned long long) last);
	j->stage = STAGE_END;
	return true;
}
