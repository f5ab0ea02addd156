/*-------------------------------------------------------------------------
 *
 * identity.c
 *	  Who asks, for this transaction.
 *
 * The answer lives in C memory and not in a setting, because anyone can SET a
 * setting. It ends with the transaction, so a pooled connection carries nothing
 * over, and goes back to what it was when a subtransaction rolls back, so an
 * exception handler never runs as somebody else.
 *
 * Without an identity set, the outer role speaks if it is bound to a platform.
 * That is one lookup per transaction; only positive answers are kept, because a
 * binding may be made later in the same transaction.
 *
 * ANALYZE, REINDEX, REFRESH and the like run the code of a table's owner, with
 * that owner's rights, in a session that may be the superuser's or autovacuum's
 * ("security-restricted operation"). That code must not ask in the name of the
 * session, so nobody does there, except the owner in a session of its own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "auth/apikey.h"
#include "auth/identity.h"
#include "pg/convert.h"
#include "pg/errors.h"
#include "pg/export.h"
#include "pg/memo.h"

#define TZ_OWNER_ROLE "theazo_owner"
#define TZ_SYSTEM_ROLE "theazo_system"

/* What the identity was before subtransaction level `level` changed it. */
typedef struct IdentityFrame
{
	int level;
	TzIdentity before;
	struct IdentityFrame *below;
} IdentityFrame;

static TzIdentity identity_now;
static bool identity_by_role = true;
static IdentityFrame *identity_frames = NULL; /* in TopTransactionContext */

static TzIdentity identity_role; /* by binding of identity_role_oid; not set: it has none */
static Oid identity_role_oid = InvalidOid;
static uint64 identity_role_generation = 0; /* as long as this one lasts */

static void identity_register(void);
static void identity_xact(XactEvent event, void *arg);
static void identity_subxact(SubXactEvent event, SubTransactionId me, SubTransactionId parent, void *arg);
static bool identity_borrowed(void);
static void identity_about_to_change(void);
static void identity_remember(Oid role);
static bool identity_lookup(Oid role, TzIdentity *out);
static void identity_copy(char *out, size_t size, Datum value, const char *what);
static void identity_scopes(TzIdentity *id, ArrayType *scopes);
static Datum identity_text(PG_FUNCTION_ARGS, const char *value);

void
tz_identity_init(void)
{
	identity_register();
	tz_apikey_init();
}

void
tz_identity_save(TzIdentity *out)
{
	*out = identity_now;
}

void
tz_identity_restore(const TzIdentity *identity)
{
	identity_about_to_change();
	identity_now = *identity;
}

void
tz_identity_never_by_role(void)
{
	identity_by_role = false;
}

const TzIdentity *
tz_identity_current(void)
{
	Oid role;

	if (identity_borrowed())
		return NULL;
	if (identity_now.set)
		return &identity_now;
	if (!identity_by_role || !IsTransactionState())
		return NULL;

	identity_register();
	role = GetOuterUserId();
	if (identity_role_generation != tz_memo_generation() || identity_role_oid != role)
		identity_remember(role);
	return identity_role.set ? &identity_role : NULL;
}

void
tz_identity_actor(const char **kind, const char **actor)
{
	const TzIdentity *id = tz_identity_current();

	if (id != NULL)
	{
		*kind = id->actor_kind;
		*actor = id->actor;
	}
	else if (MyBgworkerEntry != NULL)
	{
		*kind = "worker";
		*actor = MyBgworkerEntry->bgw_type;
	}
	else
	{
		*kind = "operator";
		*actor = GetUserNameFromId(GetOuterUserId(), false);
	}
}

/* theazo_internal.identity_set(platform text, key_id text, environment text, scopes text[]) */
THEAZO_FUNCTION(theazo_identity_set)
{
	TzIdentity id;

	if (identity_borrowed())
		ereport(ERROR, errcode(ERRCODE_TZ_NOT_AUTHENTICATED),
		        errmsg("code of an index, view or table cannot authenticate during maintenance"),
		        errhint("Authenticate in a statement of its own."));
	memset(&id, 0, sizeof(id));
	if (PG_ARGISNULL(0) || PG_ARGISNULL(2))
		ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
		        errmsg("platform and environment of an identity must not be null"));
	identity_copy(id.platform, sizeof(id.platform), PG_GETARG_DATUM(0), "platform");
	identity_copy(id.environment, sizeof(id.environment), PG_GETARG_DATUM(2), "environment");
	if (strcmp(id.environment, "live") != 0 && strcmp(id.environment, "test") != 0)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		        errmsg("environment of an identity must be \"live\" or \"test\""));
	if (!PG_ARGISNULL(1))
	{
		identity_copy(id.key_id, sizeof(id.key_id), PG_GETARG_DATUM(1), "key");
		strlcpy(id.actor_kind, "key", sizeof(id.actor_kind));
		strlcpy(id.actor, id.key_id, sizeof(id.actor));
	}
	else if (MyBgworkerEntry != NULL)
	{
		strlcpy(id.actor_kind, "worker", sizeof(id.actor_kind));
		strlcpy(id.actor, MyBgworkerEntry->bgw_type, sizeof(id.actor));
	}
	else
	{
		strlcpy(id.actor_kind, "role", sizeof(id.actor_kind));
		strlcpy(id.actor, GetUserNameFromId(GetOuterUserId(), false), sizeof(id.actor));
	}
	if (!PG_ARGISNULL(3))
		identity_scopes(&id, PG_GETARG_ARRAYTYPE_P(3));
	id.set = true;

	identity_about_to_change();
	identity_now = id;
	PG_RETURN_VOID();
}

/*
 * theazo_internal.identity_narrow(session_id text, user_id text). One way: what
 * is narrowed to one session can become another only by authenticating again.
 */
THEAZO_FUNCTION(theazo_identity_narrow)
{
	const TzIdentity *now = tz_identity_current();
	TzIdentity id;

	if (now == NULL)
		ereport(ERROR, errcode(ERRCODE_TZ_NOT_AUTHENTICATED), errmsg("not authenticated"),
		        errhint("Call theazo.authenticate() first, or connect as a role bound to a platform."));
	id = *now;
	identity_copy(id.session, sizeof(id.session), PG_GETARG_DATUM(0), "session");
	identity_copy(id.user_id, sizeof(id.user_id), PG_GETARG_DATUM(1), "user");
	if (now->session[0] != '\0' && strcmp(now->session, id.session) != 0)
		ereport(ERROR, errcode(ERRCODE_TZ_OUT_OF_SCOPE),
		        errmsg("this transaction already acts for session \"%s\"", now->session),
		        errhint("Commit first, or authenticate again."));

	identity_about_to_change();
	identity_now = id;
	PG_RETURN_VOID();
}

/* theazo_internal.identity_clear() */
THEAZO_FUNCTION(theazo_identity_clear)
{
	identity_about_to_change();
	memset(&identity_now, 0, sizeof(identity_now));
	PG_RETURN_VOID();
}

/* theazo_internal.in_maintenance(): runs the owner of some object, whoever the session belongs to? */
THEAZO_FUNCTION(theazo_in_maintenance)
{
	PG_RETURN_BOOL(InSecurityRestrictedOperation());
}

/* theazo_internal.current_platform() */
THEAZO_FUNCTION(theazo_current_platform)
{
	const TzIdentity *id = tz_identity_current();

	return identity_text(fcinfo, id == NULL ? "" : id->platform);
}

/* theazo_internal.current_session(): null when not narrowed */
THEAZO_FUNCTION(theazo_current_session)
{
	const TzIdentity *id = tz_identity_current();

	return identity_text(fcinfo, id == NULL ? "" : id->session);
}

/* theazo_internal.current_user_id(): end user of current_session() */
THEAZO_FUNCTION(theazo_current_user_id)
{
	const TzIdentity *id = tz_identity_current();

	return identity_text(fcinfo, id == NULL ? "" : id->user_id);
}

/* theazo_internal.current_key() */
THEAZO_FUNCTION(theazo_current_key)
{
	const TzIdentity *id = tz_identity_current();

	return identity_text(fcinfo, id == NULL ? "" : id->key_id);
}

/* theazo_internal.current_environment() */
THEAZO_FUNCTION(theazo_current_environment)
{
	const TzIdentity *id = tz_identity_current();

	return identity_text(fcinfo, id == NULL ? "" : id->environment);
}

/* theazo_internal.current_scopes() */
THEAZO_FUNCTION(theazo_current_scopes)
{
	const TzIdentity *id = tz_identity_current();
	Datum values[TZ_SCOPES_MAX];
	const char *p;
	int i;

	if (id == NULL)
		PG_RETURN_NULL();
	p = id->scopes;
	for (i = 0; i < id->nscopes; i++)
	{
		values[i] = CStringGetTextDatum(p);
		p += strlen(p) + 1;
	}
	PG_RETURN_ARRAYTYPE_P(construct_array(values, id->nscopes, TEXTOID, -1, false, TYPALIGN_INT));
}

/*
 * theazo_internal.may_read(scope text), for the views of schema theazo: a view's
 * functions run as whoever reads it. Inside the public functions, which have
 * asked for their own scope, that is one of the owners.
 */
THEAZO_FUNCTION(theazo_may_read)
{
	Oid user = GetUserId();

	if (user == get_role_oid(TZ_OWNER_ROLE, true) || user == get_role_oid(TZ_SYSTEM_ROLE, true))
		PG_RETURN_BOOL(true);
	PG_RETURN_BOOL(tz_identity_holds(tz_identity_current(), tz_datum_slice(PG_GETARG_DATUM(0))));
}

/* theazo_internal.current_actor_kind(): whoever has no platform and yet got here operates the server */
THEAZO_FUNCTION(theazo_current_actor_kind)
{
	const char *kind;
	const char *actor;

	tz_identity_actor(&kind, &actor);
	return identity_text(fcinfo, kind);
}

/* theazo_internal.current_actor() */
THEAZO_FUNCTION(theazo_current_actor)
{
	const char *kind;
	const char *actor;

	tz_identity_actor(&kind, &actor);
	return identity_text(fcinfo, actor);
}

/* Also for sessions that load the library themselves: an identity must never outlive its transaction. */
static void
identity_register(void)
{
	static bool registered = false;

	if (registered)
		return;
	RegisterXactCallback(identity_xact, NULL);
	RegisterSubXactCallback(identity_subxact, NULL);
	registered = true;
}

/* Ends with the transaction, however it ends; frames go with their context. */
static void
identity_xact(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PARALLEL_ABORT:
		case XACT_EVENT_PREPARE:
			if (identity_now.set)
				memset(&identity_now, 0, sizeof(identity_now));
			identity_frames = NULL;
			break;
		default:
			break;
	}
}

static void
identity_subxact(SubXactEvent event, SubTransactionId me, SubTransactionId parent, void *arg)
{
	int level = GetCurrentTransactionNestLevel();
	IdentityFrame *top = identity_frames;

	if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		while (top != NULL && top->level >= level)
		{
			identity_now = top->before;
			identity_frames = top->below;
			pfree(top);
			top = identity_frames;
		}
	}
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		/* the change now belongs to the parent, unless that has a frame already */
		if (top != NULL && top->level >= level)
		{
			if (level - 1 <= 1 || (top->below != NULL && top->below->level == level - 1))
			{
				identity_frames = top->below;
				pfree(top);
			}
			else
				top->level = level - 1;
		}
	}
}

/* Is the running code somebody else's than the session's? */
static bool
identity_borrowed(void)
{
	return InSecurityRestrictedOperation() && GetUserId() != GetOuterUserId();
}

/* Remembers what was, once per subtransaction; the top level needs no memory. */
static void
identity_about_to_change(void)
{
	int level = GetCurrentTransactionNestLevel();
	IdentityFrame *frame;

	identity_register();
	if (level <= 1 || (identity_frames != NULL && identity_frames->level == level))
		return;
	frame = MemoryContextAlloc(TopTransactionContext, sizeof(*frame));
	frame->level = level;
	frame->before = identity_now;
	frame->below = identity_frames;
	identity_frames = frame;
}

/* What the role is bound to, kept until a binding or a platform changes. */
static void
identity_remember(Oid role)
{
	uint64 generation = tz_memo_generation();
	bool kept = tz_memo_begin();

	identity_role_generation = 0;
	(void) identity_lookup(role, &identity_role);
	if (kept)
	{
		tz_memo_end();
		identity_role_oid = role;
		identity_role_generation = generation;
	}
}

/*
 * Fills out from the platform that this role is bound to, by name (oids do not
 * survive a dump). A role bound to several platforms speaks for none.
 */
static bool
identity_lookup(Oid role, TzIdentity *out)
{
	static SPIPlanPtr plan = NULL;
	static const char sql[] =
		"SELECT r.platform_id::pg_catalog.text, r.environment, r.scopes"
		" FROM theazo_data.platform_role r"
		" JOIN theazo_data.platform p ON p.platform_id OPERATOR(pg_catalog.=) r.platform_id"
		" WHERE r.role_name OPERATOR(pg_catalog.=) $1 AND p.state OPERATOR(pg_catalog.=) 'active'"
		" LIMIT 2";
	Oid types[1] = {NAMEOID};
	Datum values[1];
	NameData name;
	char *role_name = GetUserNameFromId(role, true);
	Oid system_role = get_role_oid(TZ_SYSTEM_ROLE, true);
	Oid save_user;
	int save_context;
	bool found = false;

	memset(out, 0, sizeof(*out));
	if (role_name == NULL || !OidIsValid(system_role))
		return false;
	namestrcpy(&name, role_name);
	values[0] = NameGetDatum(&name);

	/* an error puts the user back by itself: the (sub)transaction's abort does */
	GetUserIdAndSecContext(&save_user, &save_context);
	SetUserIdAndSecContext(system_role, save_context | SECURITY_LOCAL_USERID_CHANGE);
	SPI_connect();
	if (plan == NULL)
	{
		plan = SPI_prepare(sql, 1, types);
		if (plan == NULL)
			elog(ERROR, "could not prepare the lookup of role bindings: %s",
			     SPI_result_code_string(SPI_result));
		SPI_keepplan(plan);
	}
	if (SPI_execute_plan(plan, values, NULL, true, 2) != SPI_OK_SELECT)
		elog(ERROR, "lookup of role bindings failed");

	if (SPI_processed == 1)
	{
		HeapTuple row = SPI_tuptable->vals[0];
		TupleDesc desc = SPI_tuptable->tupdesc;
		bool isnull;
		Datum scopes = SPI_getbinval(row, desc, 3, &isnull);

		strlcpy(out->platform, SPI_getvalue(row, desc, 1), sizeof(out->platform));
		strlcpy(out->environment, SPI_getvalue(row, desc, 2), sizeof(out->environment));
		strlcpy(out->actor_kind, "role", sizeof(out->actor_kind));
		strlcpy(out->actor, role_name, sizeof(out->actor));
		if (!isnull)
			identity_scopes(out, DatumGetArrayTypeP(scopes));
		out->set = true;
		found = true;
	}
	SPI_finish();
	SetUserIdAndSecContext(save_user, save_context);
	return found;
}

static void
identity_copy(char *out, size_t size, Datum value, const char *what)
{
	TzSlice s = tz_datum_slice(value);

	if (s.len == 0 || s.len >= size)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		        errmsg("%s of an identity must have 1 to %zu bytes", what, size - 1));
	memcpy(out, s.data, s.len);
	out[s.len] = '\0';
}

static void
identity_scopes(TzIdentity *id, ArrayType *scopes)
{
	Datum *values;
	bool *nulls;
	int n;
	int i;
	size_t used = 0;

	deconstruct_array(scopes, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &n);
	if (n > TZ_SCOPES_MAX)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		        errmsg("an identity carries at most %d scopes", TZ_SCOPES_MAX));
	for (i = 0; i < n; i++)
	{
		TzSlice s;

		if (nulls[i])
			continue;
		s = tz_datum_slice(values[i]);
		if (s.len >= sizeof(id->scopes) - used)
			ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			        errmsg("scopes of an identity have more than %d bytes", TZ_SCOPES_BYTES));
		memcpy(id->scopes + used, s.data, s.len);
		id->scopes[used + s.len] = '\0';
		used += s.len + 1;
		id->nscopes++;
	}
}

/* The scope itself, its area's wildcard, or all. */
bool
tz_identity_holds(const TzIdentity *id, TzSlice scope)
{
	const char *colon = memchr(scope.data, ':', scope.len);
	size_t area = colon == NULL ? scope.len : (size_t) (colon - scope.data) + 1;
	const char *p;
	int i;

	if (id == NULL)
		return false;
	p = id->scopes;
	for (i = 0; i < id->nscopes; i++)
	{
		size_t len = strlen(p);

		if ((len == 1 && p[0] == '*') || (len == scope.len && memcmp(p, scope.data, len) == 0) ||
		    (len == area + 1 && memcmp(p, scope.data, area) == 0 && p[area] == '*'))
			return true;
		p += len + 1;
	}
	return false;
}

/* Empty means none, as SQL NULL. */
static Datum
identity_text(PG_FUNCTION_ARGS, const char *value)
{
	if (value[0] == '\0')
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(value));
}
