-- session.sql: sessions as REST shows them, and tasks for agents that are made for one run.

CREATE OR REPLACE FUNCTION theazo_internal.rest_session(s theazo.sessions)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN pg_catalog.jsonb_build_object(
		'id', s.id, 'userId', s.user_id, 'status', s.status, 'environment', s.environment,
		'metadata', s.metadata, 'limits', s.limits,
		'createdAt', theazo_internal.rest_at(s.created_at), 'pausedAt', theazo_internal.rest_at(s.paused_at),
		'terminatedAt', theazo_internal.rest_at(s.terminated_at), 'pausedReason', s.paused_reason)
		|| CASE WHEN s.compute IS NULL THEN '{}'::jsonb ELSE pg_catalog.jsonb_build_object('compute', s.compute) END
		|| CASE WHEN s.models IS NULL THEN '{}'::jsonb ELSE pg_catalog.jsonb_build_object('models', s.models) END;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_session(theazo.sessions) IS
'a Session';

CREATE OR REPLACE FUNCTION theazo_internal.rest_limits(a jsonb)
RETURNS jsonb LANGUAGE sql IMMUTABLE
RETURN theazo_internal.rest_pick(a, 'maxCost', 'maxAgents', 'maxComputeMinutes', 'maxDuration');
COMMENT ON FUNCTION theazo_internal.rest_limits(jsonb) IS
'the members of Limits; null where it is no object';

-- Credentials that stand in the request itself go into the platform's vault, where no sandbox sees them, and are named from
-- there. One entry for each end user and kind, so that repeating the request adds none.
CREATE OR REPLACE FUNCTION theazo_internal.rest_inline(p_doc jsonb, p_field text, p_name text)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	c jsonb := theazo_internal.rest_object(p_doc, 'credentials');
	v text;
BEGIN
	IF c IS NULL OR c = '{}' THEN
		RETURN p_doc - 'credentials';
	ELSIF EXISTS (SELECT FROM pg_catalog.jsonb_each(c) e WHERE pg_catalog.jsonb_typeof(e.value) <> 'string') THEN
		PERFORM theazo_internal.rest_bad(pg_catalog.concat(p_field || '.', 'credentials'), 'must be an object of strings');
	END IF;
	SELECT e.value INTO v FROM pg_catalog.jsonb_each_text(c) e
	 WHERE (SELECT pg_catalog.count(*) FROM pg_catalog.jsonb_object_keys(c)) = 1 OR e.key IN ('apiKey', 'api_key', 'apiToken', 'token', 'key')
	 ORDER BY e.key LIMIT 1;
	IF NOT FOUND THEN
		PERFORM theazo_internal.rest_bad(pg_catalog.concat(p_field || '.', 'credentials'), 'has no member apiKey or token', 'Store it as a secret and name it by credentialRef.');
	END IF;
	PERFORM theazo.secret_set(p_name, v);
	RETURN p_doc - 'credentials' || pg_catalog.jsonb_build_object('credentialRef', p_name);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_inline(jsonb, text, text) IS
'a document whose inline credentials have gone into the vault and are named by credentialRef';

CREATE OR REPLACE FUNCTION theazo_internal.rest_session_compute(a jsonb)
RETURNS jsonb LANGUAGE sql VOLATILE
RETURN theazo_internal.rest_inline(theazo_internal.rest_pick(theazo_internal.rest_object(a, 'compute'),
	'provider', 'endpoint', 'credentialRef', 'signingSecretRef', 'config', 'credentials'), 'compute', 'inline.compute.' || pg_catalog.md5(a ->> 'userId'));
COMMENT ON FUNCTION theazo_internal.rest_session_compute(jsonb) IS
'compute of a session''s request';

CREATE OR REPLACE FUNCTION theazo_internal.rest_session_models(a jsonb)
RETURNS jsonb LANGUAGE sql VOLATILE
RETURN theazo_internal.rest_inline(theazo_internal.rest_pick(theazo_internal.rest_object(a, 'models'),
	'provider', 'endpoint', 'baseUrl', 'credentialRef', 'model', 'name', 'config', 'credentials'), 'models', 'inline.models.' || pg_catalog.md5(a ->> 'userId'));
COMMENT ON FUNCTION theazo_internal.rest_session_models(jsonb) IS
'models of a session''s request';

CREATE OR REPLACE FUNCTION theazo_internal.rest_session_create(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN theazo_internal.rest_session(theazo.session_create(
		theazo_internal.rest_text(a, 'userId', true, 256), theazo_internal.rest_text(a, 'environment'),
		theazo_internal.rest_limits(theazo_internal.rest_object(a, 'limits')), theazo_internal.rest_object(a, 'metadata'),
		theazo_internal.rest_session_compute(a), theazo_internal.rest_session_models(a)));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_session_create(jsonb) IS
'POST /v1/sessions';

CREATE OR REPLACE FUNCTION theazo_internal.rest_session_for_user(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	s theazo.sessions;
BEGIN
	s := theazo.session_for_user(
		theazo_internal.rest_text(a, 'userId', true, 256),
		theazo_internal.rest_limits(theazo_internal.rest_object(a, 'limits')), theazo_internal.rest_object(a, 'metadata'),
		theazo_internal.rest_text(a, 'environment'), theazo_internal.rest_session_compute(a), theazo_internal.rest_session_models(a));
	IF s.created_at = pg_catalog.now() THEN
		PERFORM theazo_internal.rest_answer(201);
	END IF;
	RETURN theazo_internal.rest_session(s);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_session_for_user(jsonb) IS
'POST /v1/sessions/by-user/:userId';

CREATE OR REPLACE FUNCTION theazo_internal.rest_session_list(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	n integer := theazo_internal.rest_limit(a);
	after text := theazo_internal.rest_after(a, 'sessions');
	v_status text := theazo_internal.rest_one_of(a, 'status', false, 'active', 'paused', 'terminated');
	since timestamptz := theazo_internal.rest_time(a, 'createdAfter');
	rows jsonb[];
	ids text[];
BEGIN
	PERFORM theazo_internal.enter(NULL, 'session:read');
	SELECT pg_catalog.array_agg(theazo_internal.rest_session(x.s) ORDER BY x.id DESC), pg_catalog.array_agg(x.id ORDER BY x.id DESC) INTO rows, ids
	  FROM (SELECT s, s.id::text COLLATE "C" AS id FROM theazo.sessions s
			 WHERE (v_status IS NULL OR s.status = v_status)
			   AND (since IS NULL OR s.created_at > since)
			   AND (NOT a ? 'userId' OR s.user_id = a ->> 'userId')
			   AND (after IS NULL OR s.id < after)
			 ORDER BY s.id DESC LIMIT n + 1) x;
	RETURN theazo_internal.rest_page('sessions', n, rows, ids);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_session_list(jsonb) IS
'GET /v1/sessions';

CREATE OR REPLACE FUNCTION theazo_internal.rest_session_get(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN theazo_internal.rest_session(theazo.session_get(a ->> 'id'));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_session_get(jsonb) IS
'GET /v1/sessions/:id';

CREATE OR REPLACE FUNCTION theazo_internal.rest_session_pause(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo.session_pause(a ->> 'id');
	RETURN NULL;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_session_pause(jsonb) IS
'POST /v1/sessions/:id/pause';

CREATE OR REPLACE FUNCTION theazo_internal.rest_session_resume(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo.session_resume(a ->> 'id');
	RETURN NULL;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_session_resume(jsonb) IS
'POST /v1/sessions/:id/resume';

CREATE OR REPLACE FUNCTION theazo_internal.rest_session_terminate(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo.session_terminate(a ->> 'id');
	RETURN NULL;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_session_terminate(jsonb) IS
'POST /v1/sessions/:id/terminate';

CREATE OR REPLACE FUNCTION theazo_internal.rest_session_usage(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	u record;
BEGIN
	SELECT * INTO u FROM theazo.session_usage(a ->> 'id', 'all');
	RETURN pg_catalog.jsonb_build_object('cost', theazo_internal.rest_cost(pg_catalog.round(u.total_cents)::bigint),
		'computeMinutes', pg_catalog.trim_scale(u.compute_minutes), 'activeAgents', u.active_agents, 'totalAgentsCreated', u.agents_created);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_session_usage(jsonb) IS
'GET /v1/sessions/:id/usage';

CREATE OR REPLACE FUNCTION theazo_internal.rest_session_limits(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT coalesce(pg_catalog.jsonb_object_agg(l.name,
				pg_catalog.jsonb_build_object('limit', pg_catalog.trim_scale(l.max), 'used', u.used, 'remaining', GREATEST(0, pg_catalog.trim_scale(l.max - u.used)),
					'percentage', pg_catalog.trim_scale(l.percentage))
				|| CASE WHEN l.name = 'maxCost' THEN '{"currency": "usd"}'::jsonb ELSE '{}'::jsonb END), '{}')
			  FROM theazo.session_limits(a ->> 'id') l
			 CROSS JOIN LATERAL (SELECT CASE WHEN l.name = 'maxCost' THEN pg_catalog.round(l.used) ELSE pg_catalog.trim_scale(l.used) END AS used) u
			 WHERE l.name IN ('maxCost', 'maxAgents', 'maxComputeMinutes'));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_session_limits(jsonb) IS
'GET /v1/sessions/:id/limits';

CREATE OR REPLACE FUNCTION theazo_internal.rest_session_limits_update(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo.session_update_limits(a ->> 'id', theazo_internal.rest_limits(a));
	RETURN theazo_internal.rest_session_limits(a);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_session_limits_update(jsonb) IS
'PATCH /v1/sessions/:id/limits';

CREATE OR REPLACE FUNCTION theazo_internal.rest_session_run(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	r theazo.runs;
BEGIN
	r := theazo.session_run(a ->> 'id', theazo_internal.rest_text(a, 'agent', true, 200), theazo_internal.rest_text(a, 'task', true),
		theazo_internal.rest_options(a) - 'definition' - 'overrides' - 'timeout',
		theazo_internal.rest_cents(a, 'maxCost'), theazo_internal.rest_interval(a, 'timeout', false, '1 ms', '24 hours'));
	RETURN theazo_internal.rest_wait(r.id, 'run_ended', pg_catalog.jsonb_build_object('run', r.id));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_session_run(jsonb) IS
'POST /v1/sessions/:id/run';
