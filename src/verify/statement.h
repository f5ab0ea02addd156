/*-------------------------------------------------------------------------
 *
 * statement.h
 *	  Checks a signed statement about an execution.
 *
 * A statement is a text of lines, "field: JSON". What is exported has the
 * fields a second time, as an object, so that a change of either is found by
 * its name; a change of both at once is one that the signature does not cover.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_VERIFY_STATEMENT_H
#define TZ_VERIFY_STATEMENT_H

#include "lib/sign.h"
#include "verify/evidence.h"
#include "verify/trust.h"

#define TZ_STATEMENT_MAX ((size_t) 1 << 20)
#define TZ_STATEMENT_FIELD_MAX 64
#define TZ_STATEMENT_FILES_MAX 8

/* A file at hand whose digest a field must be. */
typedef struct TzStatementFile
{
	const char *field;
	uint8_t digest[TZ_SHA256_LEN];
} TzStatementFile;

/* What is at hand beside the statement. */
typedef struct TzStatementAsk
{
	TzStatementFile file[TZ_STATEMENT_FILES_MAX];
	int nfiles;
	bool has_provider_key;
	uint8_t provider_key[TZ_ED25519_LEN];
} TzStatementAsk;

typedef struct TzStatementFinding
{
	bool fine;
	char field[TZ_STATEMENT_FIELD_MAX + 1]; /* the first that is not as it was signed */
	char problem[TZ_ERR_MESSAGE_MAX];
	char id[80]; /* att_ and the digest */
	char origin[TZ_ORIGIN_MAX + 1];
	int64_t execution;
	bool published_keys; /* a given key signed it; else the one in the export was believed */
	bool placed; /* a signed head covers its place in the trail */
	int64_t seq;
	TzEvidence provider; /* its own document about the machine */
} TzStatementFinding;

/* TZ_OK: out says what was found. Else it is no statement. */
extern TzStatus tz_statement_check(TzSlice text, const TzTrust *trust, const TzStatementAsk *ask,
                                   TzStatementFinding *out, TzErr *err);

/* Appends the finding for people, or as one JSON object. */
extern TzStatus tz_statement_report(const TzStatementFinding *finding, bool json, TzBuf *out);

#endif /* TZ_VERIFY_STATEMENT_H */
