/*-------------------------------------------------------------------------
 *
 * enter.c
 *	  The first line of every public function: who asks, and may they.
 *
 * In C because everything passes here. What makes a key valid stays in SQL
 * (key_authenticate).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "auth/identity.h"
#include "call/enter.h"
#include "call/event.h"
#include "gate/limit.h"
#include "pg/convert.h"
#include "pg/errors.h"
#include "pg/export.h"
#include "pg/memo.h"
#include "pg/spi.h"

static void enter_rate(const TzIdentity *identity, bool has_key);
static void enter_rate_refuse(TzRateScope scope, TzSlice subject, int64 retry_ms);
static void theazo_enter_key(Datum api_key);
static void theazo_enter_versions(void);

static bool counts_callers = false;

void
tz_enter_counts(bool yes)
{
	counts_callers = yes;
}

void
tz_enter_check(void)
{
	const char *enabled = GetConfigOption("theazo.enabled", true, false);
	bool on = true;

	if (enabled != NULL && (!parse_bool(enabled, &on) || !on))
		ereport(ERROR, errcode(ERRCODE_TZ_DISABLED), errmsg("theazo is switched off"),
		        errdetail("theazo.enabled is off."),
		        errhint("Set theazo.enabled = on in the server configuration and reload it."));
	theazo_enter_versions();
}

void
tz_enter(bool has_key, Datum api_key, TzSlice scope)
{
	tz_enter_check();
	if (has_key)
		theazo_enter_key(api_key);
	else if (tz_identity_current() == NULL)
	{
		tz_event_denied("authentication_failed", "no_identity", false, "TZ601", "nobody is authenticated");
		ereport(
			ERROR, errcode(ERRCODE_TZ_NOT_AUTHENTICATED), errmsg("nobody is authenticated"),
			errhint(
				"Call theazo.authenticate(key) in this transaction, pass api_key, or have an operator bind your role with theazo.platform_bind_role()."));
	}
	if (scope.data != NULL && !tz_identity_holds(tz_identity_current(), scope))
	{
		tz_event_denied("permission_denied", "scope_missing", true, "TZ602",
		                psprintf("scope \"%.*s\" is needed", (int) scope.len, scope.data));
		ereport(ERROR, errcode(ERRCODE_TZ_OUT_OF_SCOPE),
		        errmsg("scope \"%.*s\" is needed", (int) scope.len, scope.data),
		        errdetail("Reason: scope_missing."),
		        errhint("Use a key whose scopes contain it; theazo.whoami() shows what this caller holds."));
	}
	/* whoever makes too many calls can still stop what they began */
	if (scope.data == NULL || scope.len < 5 || memcmp(scope.data, "halt:", 5) != 0)
		enter_rate(tz_identity_current(), has_key);
}

/* theazo_internal.enter(api_key text, scope text) */
THEAZO_FUNCTION(theazo_enter)
{
	TzSlice scope = {NULL, 0};

	if (!PG_ARGISNULL(1))
		scope = tz_datum_slice(PG_GETARG_DATUM(1));
	tz_enter(!PG_ARGISNULL(0), PG_GETARG_DATUM(0), scope);
	PG_RETURN_VOID();
}

/* theazo_internal.enter_check() */
THEAZO_FUNCTION(theazo_enter_check)
{
	(void) fcinfo;
	tz_enter_check();
	PG_RETURN_VOID();
}

/* theazo_internal.scope_held(scope text) */
THEAZO_FUNCTION(theazo_scope_held)
{
	PG_RETURN_BOOL(tz_identity_holds(tz_identity_current(), tz_datum_slice(PG_GETARG_DATUM(0))));
}

/* A key counts where it is shown; a worker acts for somebody whose call has been counted. */
static void
enter_rate(const TzIdentity *identity, bool has_key)
{
	TzSlice platform = tz_slice_cstr(identity->platform);
	TzSlice key = tz_slice_cstr(identity->key_id);
	int64 retry_ms;

	if (MyBgworkerEntry != NULL && !counts_callers)
		return;
	if (has_key && key.len > 0 && !tz_limit_take(TZ_RATE_KEY, platform, key, NULL, &retry_ms))
		enter_rate_refuse(TZ_RATE_KEY, key, retry_ms);
	if (!tz_limit_take(TZ_RATE_PLATFORM, platform, tz_slice("", 0), NULL, &retry_ms))
		enter_rate_refuse(TZ_RATE_PLATFORM, platform, retry_ms);
}

static void
enter_rate_refuse(TzRateScope scope, TzSlice subject, int64 retry_ms)
{
	TzEvent event = {{NULL, 0}};
	JsonbParseState *state = NULL;

	event.category = tz_slice_cstr("limit");
	event.action = tz_slice_cstr("rate_limit_hit");
	event.decision = tz_slice_cstr("deny");
	event.rule = tz_slice_cstr(tz_rate_scope_name(scope));
	event.is_violation = true;
	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	tz_event_put(&state, "code", tz_slice_cstr("TZ201"));
	tz_event_put(&state, "subject", subject);
	tz_event_put_int(&state, "retryMs", retry_ms);
	event.summary = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	tz_event_refused(&event);
	ereport(ERROR, errcode(ERRCODE_TZ_RATE_LIMITED), errmsg("%s", tz_limit_message(scope)),
	        errdetail("Retry after " INT64_FORMAT " ms.", retry_ms),
	        errhint("Wait that long; theazo.rate_limits shows what was set."));
}

static void
theazo_enter_key(Datum api_key)
{
	static TzStmt stmt = {"SELECT theazo_internal.key_authenticate($1)", 1, {TEXTOID}, NULL};

	SPI_connect();
	tz_spi_exec(&stmt, &api_key, NULL, 0);
	SPI_finish();
}

/* The objects' version is what their function says: asked again when any function may have changed. */
static void
theazo_enter_versions(void)
{
	static TzStmt stmt = {"SELECT theazo_internal.sql_version()", 0, {0}, NULL};
	static uint64 matched = 0;

	uint64 generation = tz_memo_generation();
	char *version;

	if (matched == generation)
		return;
	SPI_connect();
	tz_spi_exec(&stmt, NULL, NULL, 1);
	version = tz_spi_text(0, 1);
	if (version == NULL || strcmp(version, THEAZO_VERSION) != 0)
		ereport(ERROR, errcode(ERRCODE_TZ_VERSION_MISMATCH),
		        errmsg("the theazo library and the extension's objects have different versions"),
		        errdetail("The library is %s, the objects are %s.", THEAZO_VERSION, version),
		        errhint(
					"Run ALTER EXTENSION theazo UPDATE, or restart the server with the matching library."));
	SPI_finish();
	matched = generation;
}
