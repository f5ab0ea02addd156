/*-------------------------------------------------------------------------
 *
 * claim.h
 *	  Taking due effects: theazo_internal.effect_claim and its rows.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_CLAIM_H
#define TZ_CLAIM_H

#include "lib/buf.h"
#include "lib/jansson.h"
#include "utils/timestamp.h"

/*
 * One secret of a call; value is wiped with the claim or by tz_claimed_wipe. use:
 * "credential" and "signing" of the provider; "env" and "placeholder" for the
 * sandbox's environment; "broker" for headers, never seen by adapters; "mask" for
 * nothing but keeping it out of what comes back. Without a sealed value (a
 * placeholder, a brokered credential) value is the placeholder itself.
 */
typedef struct TzClaimedSecret
{
	char *use;
	char *name; /* the secret's */
	char *env_name; /* variable, and what the placeholder is named after; NULL: signing, mask */
	char **hosts; /* broker: the only hosts it may go to; NULL-terminated, or NULL */
	char *header; /* broker: as this header, or NULL */
	char *username; /* broker: as basic authentication of this user, or NULL */
	bool sealed; /* value was opened, not made up */
	bool operators; /* belongs to the operator: its name and hosts are not told to the platform */
	TzBuf value;
} TzClaimedSecret;

/*
 * Where calls go: one document for all effects of a claim that share it, parsed by whoever needs it
 * first. doc is borrowed by those that hold a reference.
 */
typedef struct TzEndpointDoc
{
	int refs;
	json_t *doc; /* parsed, or NULL */
	size_t len;
	char text[FLEXIBLE_ARRAY_MEMBER]; /* JSON */
} TzEndpointDoc;

/*
 * One claimed effect. All of it is malloc'ed, because it outlives the
 * transaction: free with tz_claimed_free.
 */
typedef struct TzClaimed
{
	struct TzClaimed *next; /* of the claim's list */
	char *words; /* one block for all strings below but the request */
	char *platform_id;
	char *root_id;
	char *id;
	char *kind;
	char *adapter;
	char *run_id; /* this and the next three may be NULL */
	char *session_id;
	char *agent_id;
	char *sandbox_id;
	char *request; /* JSON text; NULL for the adapter "noop" */
	char *step_state; /* JSON text or NULL */
	TzEndpointDoc *endpoint; /* shared, or NULL */
	size_t request_len;
	size_t step_state_len;
	char *content; /* bytes, or NULL */
	size_t content_len;
	int contract;
	int step;
	int attempt;
	int timeout_ms;
	TimestampTz deadline; /* DT_NOEND when there is none */
	TzClaimedSecret *secrets;
	int nsecrets;
	TzErr secret_err; /* a secret could not be opened: not to be sent */
	bool secret_failed;
	char secret_sqlstate[6]; /* of that failure, "" when the status says it */
	bool refused; /* a limit or budget is used up: not to be sent */
	TzErr refused_err;
	char refused_sqlstate[6];
} TzClaimed;

/* What the vault needs to open one secret; valid during the call only. */
typedef struct TzSealedSecret
{
	const char *platform_id;
	const char *session_id; /* "": the platform's own */
	const char *name;
	int version;
	const char *master_key_id;
	TzSlice platform_salt;
	TzSlice salt;
	TzSlice sealed;
} TzSealedSecret;

/* Opens into out (initialised, wiped by the caller); never throws. *sqlstate speaks for a failure. */
typedef TzStatus (*TzSecretOpen)(const TzSealedSecret *sealed, TzBuf *out, int *sqlstate, TzErr *err);

/*
 * Inside a transaction: claims at most max effects and appends them to *list in
 * the order they were claimed; returns how many. May throw; what is in the list
 * then was not claimed, and is the caller's to free. careful: an effect whose
 * secrets throw gets secret_failed instead (a subtransaction each).
 */
extern int tz_effect_claim(int slot, int64 incarnation, int max, int64 lease_ms, bool careful,
                           TzSecretOpen open, TzClaimed **list);
/* Inside a transaction: earliest due time of what is queued for this slot, or DT_NOEND. programs: those of agents, too. */
extern TimestampTz tz_effect_next_due(int slot, bool programs);

extern void tz_claimed_wipe(TzClaimed *c); /* its secrets */
extern void tz_claimed_free(TzClaimed *c);
extern void tz_claimed_free_list(TzClaimed **list);

#endif /* TZ_CLAIM_H */
