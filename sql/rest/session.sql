-- session.sql: sessions as REST shows them.

CREATE OR REPLACE FUNCTION theazo_internal.rest_session(s theazo.sessions)
RETURNS jsonb LANGUAGE sql STABLE
RETURN pg_catalog.jsonb_build_object(
	'id', s.id, 'userId', s.user_id, 'status', s.status, 'environment', s.environment,
	'metadata', s.metadata, 'limits', s.limits,
	'createdAt', theazo_internal.rest_at(s.created_at), 'pausedAt', theazo_internal.rest_at(s.paused_at),
	'terminatedAt', theazo_internal.rest_at(s.terminated_at), 'pausedReason', s.paused_reason)
	|| CASE WHEN s.compute IS NULL THEN '{}'::jsonb ELSE pg_catalog.jsonb_build_object('compute', s.compute) END
	|| CASE WHEN s.models IS NULL THEN '{}'::jsonb ELSE pg_catalog.jsonb_build_object('models', s.models) END;
COMMENT ON FUNCTION theazo_internal.rest_session(theazo.sessions) IS
'a Session';

CREATE OR REPLACE FUNCTION theazo_internal.rest_session_create(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN theazo_internal.rest_session(theazo.session_create(
		theazo_internal.rest_text(a, 'userId', true, 256), theazo_internal.rest_text(a, 'environment'),
		theazo_internal.rest_object(a, 'limits'), theazo_internal.rest_object(a, 'metadata'),
		theazo_internal.rest_object(a, 'compute'), theazo_internal.rest_object(a, 'models')));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_session_create(jsonb) IS
'POST /v1/sessions';
