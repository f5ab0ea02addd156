-- execution.sql: executions of governed agents.

CREATE OR REPLACE FUNCTION theazo_internal.rest_execution_short(e theazo.executions)
RETURNS jsonb LANGUAGE sql IMMUTABLE
RETURN pg_catalog.jsonb_build_object(
	'execution_id', e.execution_id, 'agent_id', e.agent_number, 'status', e.status,
	'error', CASE WHEN e.error_code IS NOT NULL THEN pg_catalog.jsonb_build_object('code', e.error_code, 'message', e.error_message) END,
	'duration_ms', coalesce(e.duration_ms, 0),
	'resource_usage', pg_catalog.jsonb_build_object('cpu_ms', coalesce(e.cpu_ms, 0), 'memory_mb', coalesce(e.memory_mb, 0), 'api_calls', coalesce(e.api_calls, 0),
		'host_calls', coalesce(e.host_calls, 0)),
	'violation_count', e.violation_count, 'was_terminated', e.was_terminated,
	'audit_trail_url', '/api/sdk/audit?executionId=' || e.execution_id);
COMMENT ON FUNCTION theazo_internal.rest_execution_short(theazo.executions) IS
'an execution as lists show it';

CREATE OR REPLACE FUNCTION theazo_internal.rest_execution(e theazo.execution_details)
RETURNS jsonb LANGUAGE sql IMMUTABLE
RETURN pg_catalog.jsonb_build_object(
	'execution_id', e.execution_id, 'agent_id', e.agent_number, 'status', e.status, 'output', e.output, 'error', e.error,
	'duration_ms', coalesce(e.duration_ms, 0),
	-- what was stopped before it began has used nothing
	'resource_usage', (SELECT pg_catalog.jsonb_object_agg(u.key, CASE WHEN u.value = 'null' THEN '0' ELSE u.value END) FROM pg_catalog.jsonb_each(e.resource_usage) u),
	'host_call_audit', e.host_call_audit,
	'violation_count', e.violation_count, 'was_terminated', e.was_terminated, 'logs', e.logs,
	'audit_trail_url', '/api/sdk/audit?executionId=' || e.execution_id);
COMMENT ON FUNCTION theazo_internal.rest_execution(theazo.execution_details) IS
'an execution with all that is known of it';

CREATE OR REPLACE FUNCTION theazo_internal.rest_governed_execute(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	v_task	text := theazo_internal.rest_text(a, 'task');
	e		theazo.executions;
BEGIN
	e := theazo.execution_start((theazo_internal.rest_governed_find(a ->> 'id')).id, a -> 'input', v_task, a -> 'data');
	RETURN pg_catalog.jsonb_build_object('$wait', e.run_id, '$then', 'execution_result',
		'$args', pg_catalog.jsonb_build_object('execution', e.execution_id::text));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_governed_execute(jsonb) IS
'POST /api/v1/sdk/agents/:id/execute';

CREATE OR REPLACE FUNCTION theazo_internal.rest_execution_result(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	e theazo.execution_details := theazo.execution_get(a ->> 'execution');
BEGIN
	IF e.ended_at IS NULL THEN
		RETURN pg_catalog.jsonb_build_object('$wait', e.run_id, '$then', 'execution_result', '$args', a);
	END IF;
	RETURN '{"success": true}'::jsonb || theazo_internal.rest_execution(e);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_execution_result(jsonb) IS
'what an execution that was waited for came to';

CREATE OR REPLACE FUNCTION theazo_internal.rest_execution_list(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	g			theazo.governed_agents := theazo_internal.rest_governed_find(a ->> 'id');
	v_status	text := theazo_internal.rest_one_of(a, 'status', false, 'running', 'completed', 'failed', 'terminated', 'blocked');
	v_page		integer := theazo_internal.rest_page_number(a);
	v_limit		integer := theazo_internal.rest_limit(a);
	v_rows		jsonb;
BEGIN
	SELECT coalesce(pg_catalog.jsonb_agg(theazo_internal.rest_execution_short(e) ORDER BY e.execution_id DESC), '[]') INTO v_rows
	  FROM theazo.execution_list(g.id, v_status, v_page, v_limit) e;
	RETURN pg_catalog.jsonb_build_object('success', true, 'executions', v_rows, 'page', v_page, 'limit', v_limit,
		'total', (SELECT pg_catalog.count(*) FROM theazo.executions e WHERE e.agent_id = g.id AND (v_status IS NULL OR e.status = v_status)));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_execution_list(jsonb) IS
'GET /api/v1/sdk/agents/:id/executions';

CREATE OR REPLACE FUNCTION theazo_internal.rest_execution_get(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	g	theazo.governed_agents := theazo_internal.rest_governed_find(a ->> 'id');
	e	theazo.execution_details := theazo.execution_get(a ->> 'eid');
BEGIN
	IF e.agent_id <> g.id THEN
		PERFORM theazo_internal.raise_not_found('execution', a ->> 'eid');
	END IF;
	RETURN pg_catalog.jsonb_build_object('success', true, 'execution', theazo_internal.rest_execution(e));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_execution_get(jsonb) IS
'GET /api/v1/sdk/agents/:id/executions/:eid';

-- Until its end is sealed nothing has been shown: chain_valid is false, attestation_id null.
CREATE OR REPLACE FUNCTION theazo_internal.rest_execution_verify(a jsonb)
RETURNS jsonb LANGUAGE sql VOLATILE
RETURN (
	SELECT pg_catalog.jsonb_build_object('success', true, 'tee_mode', v.tee_mode, 'attestation_id', v.attestation_id,
		'chain_valid', coalesce(v.valid AND v.chain_valid, false))
	  FROM theazo.verify_execution(a ->> 'eid') v);
COMMENT ON FUNCTION theazo_internal.rest_execution_verify(jsonb) IS
'GET /api/sdk/executions/:eid/verify';
