/*-------------------------------------------------------------------------
 *
 * judge_seal.c
 *	  Seals of an export and their events: chain and tree.
 *
 * Whether the row or the seal was changed is known only at the end of a seal: so
 * while rows and stated leaves differ, two chains are carried on, one of each.
 *
 *-------------------------------------------------------------------------
 */
#include "verify/judge_internal.h"

#include <stdio.h>
#include <string.h>

static bool judge_grow(TzJudge *j, const TzHash *stated, const TzHash *computed);
static bool judge_place(TzJudge *j, const TzRecord *record, uint64_t *seq);
static bool judge_seal_end(TzJudge *j);

bool
tz_judge_seal(TzJudge *j, const TzRecord *record)
{
	TzHash prev;
	uint64_t first;
	uint64_t events;
	TzErr err;

	if (tz_record_number(record, "first_seq", 1, INT64_MAX - TZ_JUDGE_SEAL_MAX, &first, &err) != TZ_OK ||
	    tz_record_number(record, "events", 1, TZ_JUDGE_SEAL_MAX, &events, &err) != TZ_OK ||
	    tz_record_time(record, "sealed_at_us", &j->seal_at_us, &err) != TZ_OK ||
	    tz_record_hash(record, "prev_hash", &prev, &err) != TZ_OK ||
	    tz_record_hash(record, "hash", &j->seal_hash, &err) != TZ_OK)
		return tz_judge_unreadable(j, &err);
	if (first != j->next_seq)
		return tz_judge_bad(j, "seal", j->next_seq, NULL,
		                    first > j->next_seq ? "missing: the next seal begins at %llu"
		                                        : "a seal out of place: it begins at %llu",
		                    (unsigned long long) first);
	if (memcmp(&prev, &j->chain, sizeof(prev)) != 0)
		return tz_judge_bad(j, "seal", first, NULL, "it does not follow the seal before: prev_hash differs");
	if (tz_chain_header(j->hasher, &prev, first, (uint32_t) events, j->seal_at_us, &j->stated, &err) != TZ_OK)
		return tz_judge_unreadable(j, &err);
	j->computed = j->stated;
	j->seal_first = first;
	j->seal_events = (uint32_t) events;
	j->seal_done = 0;
	j->differs_seq = 0;
	j->stage = STAGE_SEAL;
	j->fresh = false;
	j->checkpoint_size = 0;
	j->round[0] = '\0';
	if (j->find.first_seq == 0)
		j->find.first_seq = first;
	if (!j->waits)
		j->waits_since_us = j->seal_at_us;
	j->waits = true;
	return true;
}

bool
tz_judge_event(TzJudge *j, const TzRecord *record)
{
	TzEntry entry;
	TzHash computed;
	TzHash stated;
	uint64_t seq;
	TzSlice id;
	TzErr err;

	if (!judge_place(j, record, &seq))
		return false;
	tz_buf_reset(&j->bytes);
	if (tz_record_text(record, "id", TZ_JUDGE_NAME_MAX, &id, &err) != TZ_OK ||
	    tz_record_entry(record, &j->space, &entry, &err) != TZ_OK ||
	    tz_entry_append(&entry, &j->bytes) != TZ_OK ||
	    tz_merkle_leaf(j->hasher, tz_buf_slice(&j->bytes), &computed, &err) != TZ_OK)
		return tz_judge_broken(j, "an event that cannot be read");
	if (tz_record_hash(record, "leaf", &stated, &err) != TZ_OK)
		return tz_judge_unreadable(j, &err);
	j->find.events++;
	if (memcmp(&stated, &computed, sizeof(stated)) != 0 && j->differs_seq == 0)
	{
		j->differs_seq = seq;
		j->differs_line = j->find.line;
		snprintf(j->differs_id, sizeof(j->differs_id), "%.*s", (int) id.len, id.data);
	}
	return judge_grow(j, &stated, &computed);
}

/* An event that is not in the export: its leaf stands for it. */
bool
tz_judge_leaf(TzJudge *j, const TzRecord *record)
{
	TzHash leaf;
	uint64_t seq;
	TzErr err;

	if (!judge_place(j, record, &seq))
		return false;
	if (tz_record_hash(record, "leaf", &leaf, &err) != TZ_OK)
		return tz_judge_unreadable(j, &err);
	j->find.leaves++;
	return judge_grow(j, &leaf, &leaf);
}

static bool
judge_place(TzJudge *j, const TzRecord *record, uint64_t *seq)
{
	TzErr err;

	if (j->stage != STAGE_SEAL)
		return tz_judge_bad(j, "event", j->next_seq, NULL,
		                    "an event outside a seal: it was never sealed here");
	if (tz_record_number(record, "seq", 1, INT64_MAX, seq, &err) != TZ_OK)
		return tz_judge_unreadable(j, &err);
	if (*seq == j->next_seq)
		return true;
	return tz_judge_bad(j, "event", j->next_seq, NULL,
	                    *seq > j->next_seq ? "missing: the next event is %llu"
	                                       : "out of place: %llu came again",
	                    (unsigned long long) *seq);
}

static bool
judge_grow(TzJudge *j, const TzHash *stated, const TzHash *computed)
{
	TzErr err;

	if (tz_chain_link(j->hasher, &j->stated, stated, &j->stated, &err) != TZ_OK ||
	    tz_frontier_append(j->hasher, &j->tree, stated, NULL, NULL, &err) != TZ_OK)
		return tz_judge_unreadable(j, &err);
	if (j->differs_seq == 0)
		j->computed = j->stated;
	else if (tz_chain_link(j->hasher, &j->computed, computed, &j->computed, &err) != TZ_OK)
		return tz_judge_unreadable(j, &err);
	j->next_seq++;
	j->seal_done++;
	if (j->seal_done < j->seal_events)
		return j->differs_seq != 0 || tz_judge_kept(j);
	if (!judge_seal_end(j))
		return false;
	return tz_judge_kept(j);
}

static bool
judge_seal_end(TzJudge *j)
{
	if (j->differs_seq != 0)
	{
		bool seal = memcmp(&j->computed, &j->seal_hash, sizeof(j->computed)) == 0;

		j->find.line = j->differs_line;
		return tz_judge_bad(
			j, seal ? "seal" : "event", j->differs_seq, j->differs_id,
			seal ? "the leaf that its seal holds was changed: the row itself gives the sealed chain"
				 : "the row is not what was sealed: it gives another leaf");
	}
	if (memcmp(&j->stated, &j->seal_hash, sizeof(j->stated)) != 0)
		return tz_judge_bad(j, "seal", j->seal_first, NULL,
		                    "its hash is not what its time, its count and its events give");
	j->chain = j->stated;
	j->find.last_seq = j->next_seq - 1;
	j->stage = STAGE_FLOW;
	return true;
}

/* Checkpoints that the auditor kept hold on the way. */
bool
tz_judge_kept(TzJudge *j)
{
	const TzTrust *trust = j->trust;
	uint64_t size = j->next_seq - 1;
	TzHash root;
	TzErr err;

	for (; j->kept_at < trust->nkept && trust->kept[j->kept_at].size <= size; j->kept_at++)
	{
		const TzTrustKept *kept = &trust->kept[j->kept_at];

		if (kept->size < size || !tz_judge_kept_of(j, j->kept_at))
			continue;
		if (tz_frontier_root(j->hasher, &j->tree, &root, &err) != TZ_OK)
			return tz_judge_unreadable(j, &err);
		if (memcmp(&root, &kept->root, sizeof(root)) != 0)
			return tz_judge_bad(j, "seal", size, NULL,
			                    "the trail up to here is another than when a kept checkpoint was made");
		j->find.kept_seq = size;
	}
	return true;
}

bool
tz_judge_kept_of(const TzJudge *j, size_t at)
{
	return strcmp(j->trust->kept[at].origin, j->find.origin) == 0;
}
