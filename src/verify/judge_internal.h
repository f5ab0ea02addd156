/*-------------------------------------------------------------------------
 *
 * judge_internal.h
 *	  What the parts of the judge share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_VERIFY_JUDGE_INTERNAL_H
#define TZ_VERIFY_JUDGE_INTERNAL_H

#include "verify/judge.h"

#define TZ_JUDGE_SEAL_MAX 128 /* events of one seal */

struct TzJudge
{
	const TzTrust *trust;
	TzJudgeDone done;
	void *done_arg;
	TzHasher *hasher;
	TzBuf space; /* fields of an event; bytes of an anchor */
	TzBuf bytes; /* entry of an event */
	TzFinding find;
	bool over;
	enum
	{
		STAGE_BEGIN,
		STAGE_FLOW, /* between seals */
		STAGE_SEAL, /* in one */
		STAGE_END
	} stage;
	bool fresh; /* right after the beginning of a file */
	int nown;
	TzTrustKey own[TZ_TRUST_KEYS_MAX]; /* as the export names them */

	uint64_t next_seq;
	TzHash chain; /* after the last whole seal */
	TzFrontier tree;
	size_t kept_at; /* next of trust->kept */

	/* the seal at hand */
	uint64_t seal_first;
	uint32_t seal_events;
	uint32_t seal_done;
	int64_t seal_at_us;
	TzHash seal_hash;
	TzHash stated; /* chain of the leaves as the export names them */
	TzHash computed; /* chain of the leaves as the rows give them */
	uint64_t differs_seq; /* first event where the two differ, 0: none */
	uint64_t differs_line;
	char differs_id[TZ_JUDGE_NAME_MAX + 1];

	/* the checkpoint at hand and its round */
	uint64_t checkpoint_size; /* 0: none */
	TzHash checkpoint_leaf;
	char round[TZ_ANCHOR_ROUND_MAX + 1]; /* empty: none */
	TzAnchor anchor; /* of the round; its id is the one above */

	bool waits; /* something is sealed that no anchor covers yet */
	int64_t waits_since_us;
};

/* All give false, so that a caller can return them. */
extern bool tz_judge_bad(TzJudge *j, const char *table, uint64_t seq, const char *id, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
extern bool tz_judge_broken(TzJudge *j, const char *why);
extern bool tz_judge_unreadable(TzJudge *j, const TzErr *err);

/* judge_seal.c: a seal and its events. */
extern bool tz_judge_seal(TzJudge *j, const TzRecord *record);
extern bool tz_judge_event(TzJudge *j, const TzRecord *record);
extern bool tz_judge_leaf(TzJudge *j, const TzRecord *record);
/* Checkpoints that the auditor kept hold on the way; is this one of the log at hand? */
extern bool tz_judge_kept(TzJudge *j);
extern bool tz_judge_kept_of(const TzJudge *j, size_t at);

/* judge_anchor.c: what stands behind a seal. */
extern bool tz_judge_checkpoint(TzJudge *j, const TzRecord *record);
extern bool tz_judge_round(TzJudge *j, const TzRecord *record);
extern bool tz_judge_anchor(TzJudge *j, const TzRecord *record);

#endif /* TZ_VERIFY_JUDGE_INTERNAL_H */
