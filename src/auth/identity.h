/*-------------------------------------------------------------------------
 *
 * identity.h
 *	  Who asks, for this transaction.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_IDENTITY_H
#define TZ_IDENTITY_H

#include "lib/buf.h"
#include "lib/id.h"

#define TZ_USER_ID_MAX 1024 /* bytes */
#define TZ_SCOPES_MAX 64
#define TZ_SCOPES_BYTES 2048

/* Plain data: may be copied. Strings are terminated; empty means none. */
typedef struct TzIdentity
{
	bool set;
	char platform[TZ_ID_MAX + 1];
	char key_id[TZ_ID_MAX + 1];
	char environment[8]; /* live, test */
	char session[TZ_ID_MAX + 1]; /* narrowed to this one */
	char user_id[TZ_USER_ID_MAX + 1];
	char actor_kind[12]; /* key, role, worker, operator */
	char actor[NAMEDATALEN];
	int nscopes;
	char scopes[TZ_SCOPES_BYTES]; /* nscopes strings, each terminated */
} TzIdentity;

/* Called once by _PG_init, while libraries are preloaded. */
extern void tz_identity_init(void);

/*
 * What was set in this transaction, for procedures that commit: save before,
 * restore in the next transaction.
 */
extern void tz_identity_save(TzIdentity *out);
extern void tz_identity_restore(const TzIdentity *identity);

/* For a process that speaks for strangers: what its own role is bound to means nothing. */
extern void tz_identity_never_by_role(void);

/* Who asks now: set, or by the outer role's binding; NULL when nobody. */
extern const TzIdentity *tz_identity_current(void);

/* The scope itself, its area's wildcard, or all; false when nobody asks. */
extern bool tz_identity_holds(const TzIdentity *id, TzSlice scope);

/* Who acts: key, role, worker or operator, and its name. Both live until the identity changes. */
extern void tz_identity_actor(const char **kind, const char **actor);

#endif /* TZ_IDENTITY_H */
