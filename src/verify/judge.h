/*-------------------------------------------------------------------------
 *
 * judge.h
 *	  Verifies an export of an audit trail, line by line, in bounded memory.
 *
 * A file has one platform or, as the archive of a month does, several after each
 * other. What goes on in a further file is of the same platform.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_VERIFY_JUDGE_H
#define TZ_VERIFY_JUDGE_H

#include "verify/record.h"
#include "verify/trust.h"

typedef enum TzVerdict
{
	TZ_VERDICT_FINE,
	TZ_VERDICT_TAMPERED,
	TZ_VERDICT_UNREADABLE /* nothing can be said: it is no export, or memory ran out */
} TzVerdict;

#define TZ_JUDGE_NAME_MAX 288

typedef struct TzFinding
{
	TzVerdict verdict;
	/* what was looked at; sequence numbers are 0 where there is none */
	char platform[TZ_JUDGE_NAME_MAX + 1];
	char origin[TZ_JUDGE_NAME_MAX + 1];
	uint64_t first_seq;
	uint64_t last_seq;
	uint64_t events; /* whose rows were there */
	uint64_t leaves; /* of which only the leaf hash was there */
	uint64_t signed_seq; /* covered by a signature that holds */
	char signed_by[TZ_JUDGE_NAME_MAX + 1]; /* key name and id */
	bool published_keys; /* keys were given; else those in the export were believed */
	uint64_t anchored_seq; /* covered by an anchor that was checked with what was given */
	int64_t anchored_at_us; /* time of that anchor; INT64_MIN when it is not known */
	char anchored_by[TZ_JUDGE_NAME_MAX + 1];
	char anchor_tx_hash[67]; /* of an EVM anchor that covers anchored_seq; empty: none */
	uint64_t claimed_seq; /* covered by anchors that the export names and nothing given can check */
	uint64_t kept_seq; /* covered by a checkpoint that was kept */
	/* the first thing that is wrong */
	char bad_table[32];
	uint64_t bad_seq;
	char bad_id[TZ_JUDGE_NAME_MAX + 1];
	uint64_t line; /* of the file at hand */
	char problem[TZ_ERR_MESSAGE_MAX];
} TzFinding;

typedef struct TzJudge TzJudge;

/* Called for each platform that was found fine and is followed by another one. */
typedef void (*TzJudgeDone)(const TzFinding *finding, void *arg);

/* trust must stay and must have been made ready; done may be NULL. */
extern TzStatus tz_judge_new(TzJudge **out, const TzTrust *trust, TzJudgeDone done, void *arg, TzErr *err);
extern void tz_judge_free(TzJudge *judge);

/* A further file: must go on where the one before ended. */
extern void tz_judge_file(TzJudge *judge);

/* Takes a line without its line feed. False once the verdict is clear. */
extern bool tz_judge_line(TzJudge *judge, TzSlice line);

/* The file is over, all of it was read. */
extern bool tz_judge_file_end(TzJudge *judge);

/* Nothing follows. The finding is of the last platform, or of the one where something is wrong; it belongs to the judge. */
extern const TzFinding *tz_judge_end(TzJudge *judge);

#endif /* TZ_VERIFY_JUDGE_H */
