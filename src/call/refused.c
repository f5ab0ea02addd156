/*-------------------------------------------------------------------------
 *
 * refused.c
 *	  The event of a refusal, which stays although the caller's transaction fails.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "audit/ring.h"
#include "auth/identity.h"
#include "call/event.h"
#include "lib/envelope.h"
#include "pg/convert.h"
#include "pg/export.h"
#include "pg/ids.h"

static void refused_actor(const TzIdentity *identity, TzRingEvent *out);
static TzSlice refused_or(TzSlice given, const char *otherwise);

void
tz_event_refused(const TzEvent *event)
{
	const TzIdentity *identity = tz_identity_current();
	Jsonb *summary = tz_event_summary(event->summary);
	TzRingEvent out;
	char id[TZ_ID_MAX + 1];

	memset(&out, 0, sizeof(out));
	out.number = tz_number_new();
	out.at = GetCurrentTimestamp();
	out.is_violation = event->is_violation;
	tz_id_of_number("evt", out.number, id);
	refused_actor(identity, &out);
	out.text[TZ_RING_PLATFORM] =
		refused_or(event->platform, identity != NULL ? identity->platform : TZ_OPERATOR_PLATFORM);
	out.text[TZ_RING_ENVIRONMENT] =
		refused_or(event->environment, identity != NULL ? identity->environment : "live");
	out.text[TZ_RING_SESSION] = refused_or(event->session, identity != NULL ? identity->session : "");
	out.text[TZ_RING_ID] = tz_slice_cstr(id);
	out.text[TZ_RING_AGENT] = event->agent;
	out.text[TZ_RING_RUN] = event->run;
	out.text[TZ_RING_REQUEST] = tz_event_request();
	out.text[TZ_RING_CATEGORY] = event->category;
	out.text[TZ_RING_ACTION] = event->action;
	out.text[TZ_RING_PERMISSION] = event->permission;
	out.text[TZ_RING_DECISION] = event->decision;
	out.text[TZ_RING_RULE] = event->rule;
	out.text[TZ_RING_BODY] = tz_datum_slice(tz_event_body(summary));
	tz_ring_put(&out, true);
}

void
tz_event_denied(const char *action, const char *rule, bool is_violation, const char *code,
                const char *message)
{
	TzEvent event = {{NULL, 0}};
	JsonbParseState *state = NULL;

	event.category = tz_slice_cstr("permission");
	event.action = tz_slice_cstr(action);
	event.permission = tz_slice_cstr("denied");
	event.decision = tz_slice_cstr("deny");
	event.rule = tz_slice_cstr(rule);
	event.is_violation = is_violation;
	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	tz_event_put(&state, "code", tz_slice_cstr(code));
	tz_event_put(&state, "message", tz_slice_cstr(message));
	event.summary = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	tz_event_refused(&event);
}

/*
 * theazo_internal.event_refused(platform, category, action, summary, session, agent, run, environment,
 * decision, rule, is_violation, permission)
 */
THEAZO_FUNCTION(theazo_event_refused)
{
	TzEvent event = {{NULL, 0}};

	tz_event_args(fcinfo, &event);
	tz_event_refused(&event);
	PG_RETURN_VOID();
}

/* Whoever is not known is a role of the database, unless it may operate the server. */
static void
refused_actor(const TzIdentity *identity, TzRingEvent *out)
{
	const char *kind;
	const char *actor;

	tz_identity_actor(&kind, &actor);
	if (identity == NULL && MyBgworkerEntry == NULL)
	{
		Oid operator_role = get_role_oid("theazo_operator", true);

		if (!OidIsValid(operator_role) || !has_privs_of_role(GetOuterUserId(), operator_role))
			kind = "role";
	}
	out->text[TZ_RING_ACTOR_KIND] = tz_slice_cstr(kind);
	out->text[TZ_RING_ACTOR] = tz_slice_cstr(actor);
}

/* Empty means none. */
static TzSlice
refused_or(TzSlice given, const char *otherwise)
{
	if (given.data != NULL)
		return given;
	return otherwise[0] == '\0' ? tz_slice(NULL, 0) : tz_slice_cstr(otherwise);
}
