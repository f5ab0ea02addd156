-- permission_request.sql: agents that ask for more, as the governed agents' interface shows it.

CREATE OR REPLACE FUNCTION theazo_internal.rest_permission_request(q theazo.permission_requests)
RETURNS jsonb LANGUAGE sql STABLE
RETURN (
	SELECT pg_catalog.jsonb_build_object('id', q.number, 'agent_id', g.number, 'agent_name', g.name,
		'permissions', coalesce(q.granted, q.permissions), 'justification', q.justification, 'status', q.status,
		'requested_at', theazo_internal.rest_at(q.requested_at), 'expires_at', theazo_internal.rest_at(q.expires_at),
		'decided_at', theazo_internal.rest_at(q.decided_at), 'decided_by', q.decided_by, 'reason', q.reason)
	  FROM (VALUES (1)) AS one (n) LEFT JOIN theazo.governed_agents g ON g.id = q.agent_id);
COMMENT ON FUNCTION theazo_internal.rest_permission_request(theazo.permission_requests) IS
'a permission request; once approved, permissions are those that were granted';

CREATE OR REPLACE FUNCTION theazo_internal.rest_permission_request_answer(q theazo.permission_requests)
RETURNS jsonb LANGUAGE sql STABLE
RETURN pg_catalog.jsonb_build_object('success', true, 'request', theazo_internal.rest_permission_request(q));
COMMENT ON FUNCTION theazo_internal.rest_permission_request_answer(theazo.permission_requests) IS
'the answer that shows one permission request';

CREATE OR REPLACE FUNCTION theazo_internal.rest_permission_request_find(p_id text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	v_id text;
BEGIN
	IF p_id OPERATOR(pg_catalog.~) '^[0-9]{1,18}$' THEN
		SELECT q.id INTO v_id FROM theazo.permission_requests q WHERE q.number = p_id::bigint;
	END IF;
	RETURN (theazo.permission_request_get(coalesce(v_id, p_id))).id;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_permission_request_find(text) IS
'the text id of a permission request, or 404';

CREATE OR REPLACE FUNCTION theazo_internal.rest_permission_request_create(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN theazo_internal.rest_permission_request_answer(theazo.permission_request_create(
		(theazo_internal.rest_governed_find(theazo_internal.rest_value(a, 'agent_id', true) #>> '{}')).id,
		theazo_internal.rest_object(a, 'permissions', true), theazo_internal.rest_text(a, 'justification', true),
		coalesce(theazo_internal.rest_int(a, 'timeout_ms', false, 1000, 2147483647), theazo_internal.rest_int(a, 'timeoutMs', false, 1000, 2147483647),
			120000)::integer));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_permission_request_create(jsonb) IS
'POST /api/sdk/permission-requests';

CREATE OR REPLACE FUNCTION theazo_internal.rest_permission_request_list(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	v_status	text := theazo_internal.rest_one_of(a, 'status', false, 'pending', 'approved', 'denied', 'expired');
	v_agent		text;
	v_rows		jsonb;
BEGIN
	IF theazo_internal.rest_value(a, 'agent_id', false) IS NOT NULL THEN
		v_agent := (theazo_internal.rest_governed_find(a ->> 'agent_id')).id;
	END IF;
	SELECT coalesce(pg_catalog.jsonb_agg(theazo_internal.rest_permission_request(q) ORDER BY q.id DESC), '[]') INTO v_rows
	  FROM theazo.permission_request_list(v_status, v_agent, 1000) q;
	RETURN pg_catalog.jsonb_build_object('success', true, 'requests', v_rows, 'total', pg_catalog.jsonb_array_length(v_rows));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_permission_request_list(jsonb) IS
'GET /api/sdk/permission-requests: the newest thousand';

CREATE OR REPLACE FUNCTION theazo_internal.rest_permission_request_get(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN theazo_internal.rest_permission_request_answer(theazo.permission_request_get(theazo_internal.rest_permission_request_find(a ->> 'id')));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_permission_request_get(jsonb) IS
'GET /api/sdk/permission-requests/:id';

CREATE OR REPLACE FUNCTION theazo_internal.rest_permission_request_approve(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN theazo_internal.rest_permission_request_answer(theazo.permission_request_approve(
		theazo_internal.rest_permission_request_find(a ->> 'id'), theazo_internal.rest_object(a, 'permissions'), theazo_internal.rest_text(a, 'reason')));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_permission_request_approve(jsonb) IS
'POST /api/sdk/permission-requests/:id/approve';

CREATE OR REPLACE FUNCTION theazo_internal.rest_permission_request_deny(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN theazo_internal.rest_permission_request_answer(theazo.permission_request_deny(
		theazo_internal.rest_permission_request_find(a ->> 'id'), theazo_internal.rest_text(a, 'reason')));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_permission_request_deny(jsonb) IS
'POST /api/sdk/permission-requests/:id/deny';
