-- secure_agent.sql: governed agents by their name, as the SecureAgent client knows them.

CREATE OR REPLACE FUNCTION theazo.secure_agent_configure(name text, options jsonb DEFAULT '{}', api_key text DEFAULT NULL)
RETURNS theazo.governed_agents LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
	v_status	text;
	k			text;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'agent:write');
	options := theazo_internal.object_check('options', options, 2097152, ARRAY['permissions', 'limits', 'sandbox', 'compliance', 'config', 'entry_code', 'version', 'description']);
	options := theazo_internal.without_nulls(options);
	FOREACH k IN ARRAY ARRAY['sandbox', 'entry_code', 'version', 'description'] LOOP
		IF options ? k THEN
			PERFORM theazo_internal.text_check('options.' || k, options -> k, 1048576);
		END IF;
	END LOOP;
	-- the one that is registered over, whatever others of that name there are
	v_status := theazo_internal.governed_status(theazo_internal.governed_home(), name);
	-- who names no permissions has none: nothing is open that was not asked for; what holds already is kept
	IF NOT options ? 'permissions' AND v_status IS NULL THEN
		options := options || '{"permissions": []}';
	END IF;
	-- programs configure their agents at every start: whoever paused or halted one is not overruled by that
	RETURN theazo.governed_register(name, options ->> 'entry_code', options -> 'config', options ->> 'version', options ->> 'description',
		CASE WHEN coalesce(v_status, 'draft') = 'draft' THEN 'ready' END,
		options -> 'permissions', options ->> 'sandbox', options -> 'limits', options -> 'compliance');
END $$;
COMMENT ON FUNCTION theazo.secure_agent_configure(text, jsonb, text) IS
'registers a secure agent with permissions (a preset or scopes; none given: none held), limits, sandbox (a template) and compliance';

CREATE OR REPLACE FUNCTION theazo.secure_agent_start(name text, request jsonb, api_key text DEFAULT NULL)
RETURNS theazo.executions LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'run:write');
	PERFORM theazo_internal.object_check('request', request, 1400000, ARRAY['task', 'data']);
	PERFORM theazo_internal.text_check('request.task', request -> 'task', 262144);
	RETURN theazo.execution_start(secure_agent_start.name, task => request ->> 'task', data => request -> 'data');
END $$;
COMMENT ON FUNCTION theazo.secure_agent_start(text, jsonb, text) IS 'gives a secure agent {task, data} and returns the execution at once; CALL theazo.execute() waits';

CREATE OR REPLACE FUNCTION theazo.secure_agent_stop(name text, reason text, api_key text DEFAULT NULL)
RETURNS theazo.governed_agents LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	g theazo_data.governed_agent;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'halt:write');
	g := theazo_internal.governed_find(secure_agent_stop.name);
	PERFORM theazo.kill(g.id, reason);
	RETURN theazo_internal.governed_shown(g.id);
END $$;
COMMENT ON FUNCTION theazo.secure_agent_stop(text, text, text) IS
'halts a secure agent at once: what runs is cut, and nothing begins until theazo.governed_update() sets it ready';

CREATE OR REPLACE FUNCTION theazo.secure_agent_request_permission(
	name text, permissions jsonb, justification text, timeout_ms integer DEFAULT 120000, api_key text DEFAULT NULL)
RETURNS theazo.permission_requests LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'permission:write');
	RETURN theazo.permission_request_create((theazo_internal.governed_find(secure_agent_request_permission.name)).id,
		secure_agent_request_permission.permissions, justification, timeout_ms);
END $$;
COMMENT ON FUNCTION theazo.secure_agent_request_permission(text, jsonb, text, integer, text) IS
'asks for more rights of a secure agent; theazo.permission_request_wait() waits for the answer';

CREATE OR REPLACE FUNCTION theazo.secure_agent_audit_log(name text, options jsonb DEFAULT '{}', api_key text DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	g			theazo_data.governed_agent;
	v_events	jsonb;
	v_anchored	boolean;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'event:read');
	options := theazo_internal.without_nulls(theazo_internal.object_check('options', options, 16384, ARRAY['from', 'to', 'actionTypes', 'violationsOnly', 'limit', 'executionId']));
	g := theazo_internal.governed_find(secure_agent_audit_log.name);
	SELECT coalesce(jsonb_agg(to_jsonb(e) ORDER BY e.id DESC), '[]'), coalesce(bool_and(e.anchored), false) INTO v_events, v_anchored
	  FROM theazo.audit_log(
			CASE WHEN options ? 'from' THEN theazo_internal.time_check('options.from', options -> 'from') END,
			CASE WHEN options ? 'to' THEN theazo_internal.time_check('options.to', options -> 'to') END,
			CASE WHEN options ? 'actionTypes' THEN theazo_internal.names_check('options.actionTypes', options -> 'actionTypes', 100, 64) END,
			CASE WHEN options ? 'violationsOnly' THEN theazo_internal.boolean_check('options.violationsOnly', options -> 'violationsOnly') ELSE false END, NULL, g.id,
			CASE WHEN options ? 'executionId' THEN (theazo_internal.execution_take(options ->> 'executionId')).run_id END,
			CASE WHEN options ? 'limit' THEN theazo_internal.integer_check('options.limit', options -> 'limit', 1, 1000)::integer ELSE 200 END) e;
	RETURN jsonb_build_object('events', v_events, 'total', jsonb_array_length(v_events), 'anchored', v_anchored);
END $$;
COMMENT ON FUNCTION theazo.secure_agent_audit_log(text, jsonb, text) IS
'what a secure agent did, newest first: {events, total, anchored}; options are from, to, actionTypes, violationsOnly, limit, executionId';
