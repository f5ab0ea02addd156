/*-------------------------------------------------------------------------
 *
 * policy.c
 *	  What holds for an execution, remembered.
 *
 * It follows from the agent's options, the version that is run and what the
 * platform allows (execution.sql). One execution after the other has the same,
 * and making it is a good part of what starting one costs. Options and version
 * are compared byte by byte; the platform's part is true as long as the memo is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "call/rows.h"
#include "pg/convert.h"
#include "pg/export.h"
#include "pg/memo.h"

#define POLICIES_KEPT 32
#define POLICY_BYTES_MAX 65536 /* of all that is compared and kept */

/* What a policy is made of: platform, definition, options, document. */
#define POLICY_PARTS 4

typedef struct PolicyMemo
{
	uint64 generation; /* 0: nothing is kept here */
	MemoryContext context;
	TzSlice parts[POLICY_PARTS];
	struct varlena *policy;
} PolicyMemo;

static PolicyMemo policies[POLICIES_KEPT];

/* When the policy that is made now was asked for: what it is made of may be read later, but not earlier. */
static uint64 asked = 0;

static PolicyMemo *policy_parts(FunctionCallInfo fcinfo, TzSlice *parts);

/* execution_policy_known(platform, definition, options, document): NULL when it has to be made */
THEAZO_FUNCTION(theazo_execution_policy_known)
{
	TzSlice parts[POLICY_PARTS];
	PolicyMemo *memo = policy_parts(fcinfo, parts);

	asked = tz_memo_generation();
	if (memo->generation != asked)
		PG_RETURN_NULL();
	for (int i = 0; i < POLICY_PARTS; i++)
	{
		if (!tz_slice_eq(memo->parts[i], parts[i]))
			PG_RETURN_NULL();
	}
	PG_RETURN_POINTER(memo->policy);
}

/* execution_policy_keep(platform, definition, options, document, policy) */
THEAZO_FUNCTION(theazo_execution_policy_keep)
{
	TzSlice parts[POLICY_PARTS];
	PolicyMemo *memo = policy_parts(fcinfo, parts);
	struct varlena *policy;
	size_t bytes;
	MemoryContext caller;

	if (PG_ARGISNULL(POLICY_PARTS))
		PG_RETURN_VOID();
	policy = PG_GETARG_VARLENA_P(POLICY_PARTS);
	bytes = VARSIZE(policy);
	for (int i = 0; i < POLICY_PARTS; i++)
		bytes += parts[i].len;
	/* a transaction that sees the past may have made it of that */
	if (bytes > POLICY_BYTES_MAX || IsolationUsesXactSnapshot())
		PG_RETURN_VOID();
	memo->generation = 0;
	if (memo->context == NULL)
		memo->context = AllocSetContextCreate(TopMemoryContext, "theazo policy", ALLOCSET_SMALL_SIZES);
	MemoryContextReset(memo->context);
	caller = MemoryContextSwitchTo(memo->context);
	for (int i = 0; i < POLICY_PARTS; i++)
	{
		char *copy = palloc(parts[i].len + 1);

		memcpy(copy, parts[i].data, parts[i].len);
		memo->parts[i] = tz_slice(copy, parts[i].len);
	}
	memo->policy = palloc(VARSIZE(policy));
	memcpy(memo->policy, policy, VARSIZE(policy));
	MemoryContextSwitchTo(caller);
	memo->generation = asked;
	PG_RETURN_VOID();
}

/* Where a policy of these parts is kept, if it is. */
static PolicyMemo *
policy_parts(FunctionCallInfo fcinfo, TzSlice *parts)
{
	uint32 hash = 0;

	for (int i = 0; i < POLICY_PARTS; i++)
	{
		parts[i] = PG_ARGISNULL(i) ? tz_slice("", 0) : tz_datum_slice(PG_GETARG_DATUM(i));
		hash = hash_combine(hash, hash_bytes((const unsigned char *) parts[i].data, (int) parts[i].len));
	}
	return &policies[hash % POLICIES_KEPT];
}
