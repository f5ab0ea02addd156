-- tool_test.sql: trying one tool in the name of an agent.

-- Whoever names no agent gets one that ends with the test, in a session that ends with it.
CREATE OR REPLACE FUNCTION theazo_internal.tool_test_agent()
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s	theazo.sessions;
	a	theazo_data.agent;
BEGIN
	PERFORM theazo_internal.refuse_narrowed('a tool');
	s := theazo_internal.session_insert('tool test', NULL, NULL, NULL, NULL, NULL);
	a := theazo_internal.agent_make(s.id, '{"managedLoop": false}', true);
	UPDATE theazo_data.agent x SET options = x.options || '{"toolTest": true}' WHERE x.platform_id = a.platform_id AND x.id = a.id;
	RETURN a.id;
END
$$;
COMMENT ON FUNCTION theazo_internal.tool_test_agent() IS 'an agent for one test of a tool';

CREATE OR REPLACE FUNCTION theazo_internal.tool_test_over(p_platform text, p_run text)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s	theazo_data.session;
	a	theazo_data.agent;
BEGIN
	SELECT x.* INTO a FROM theazo_data.run r JOIN theazo_data.agent x ON x.platform_id = r.platform_id AND x.id = r.agent_id
	 WHERE r.platform_id = p_platform AND r.id = p_run AND r.ended_at IS NOT NULL AND x.options ? 'toolTest' AND x.status <> 'completed' FOR UPDATE OF x;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	PERFORM theazo_internal.agent_terminate(a);
	UPDATE theazo_data.session x SET status = 'terminated', terminated_at = now(), paused_at = NULL, paused_reason = NULL
	 WHERE x.platform_id = a.platform_id AND x.id = a.session_id AND x.status <> 'terminated' RETURNING x.* INTO s;
	IF FOUND THEN
		PERFORM theazo_internal.session_event(s, 'session_terminated', '{"agents": 1}');
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.tool_test_over(text, text) IS 'ends what tool_test_agent() made, once its run has ended';

-- A run of its own, in the name of an agent, as a model would call it.
CREATE OR REPLACE FUNCTION theazo.tool_test_start(agent text, name text, input jsonb DEFAULT '{}', api_key text DEFAULT NULL)
RETURNS theazo.runs
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a			theazo_data.agent;
	t			theazo_data.tool;
	v_schema	jsonb;
	v_why		text;
	v_run		text;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'tool:write');
	a := theazo_internal.agent_take(coalesce(tool_test_start.agent, theazo_internal.tool_test_agent()), false);
	input := coalesce(input, '{}');
	SELECT * INTO t FROM theazo_data.tool x WHERE x.platform_id = a.platform_id AND x.name = tool_test_start.name;
	IF FOUND THEN
		v_schema := t.parameters;
	ELSE
		SELECT b.parameters INTO v_schema FROM theazo_internal.tool_builtins() b WHERE b.name = tool_test_start.name;
		IF v_schema IS NULL THEN
			PERFORM theazo_internal.raise_not_found('tool', tool_test_start.name);
		ELSIF tool_test_start.name NOT IN ('web_search', 'http_fetch') THEN
			PERFORM theazo_internal.raise_value('name', format('%s cannot be tried by itself', theazo_internal.quoted(tool_test_start.name)),
				'Of the built-in tools web_search and http_fetch can; theazo.exec() and theazo.file_read() do what the others do.');
		END IF;
	END IF;
	v_why := theazo_internal.json_schema_check(v_schema, input);
	IF v_why IS NOT NULL THEN
		PERFORM theazo_internal.raise_value('input', 'does not fit the tool''s parameters: ' || v_why);
	ELSIF theazo_internal.approval_required(a.options -> 'approvals', tool_test_start.name, coalesce(t.requires_approval, false)) THEN
		PERFORM theazo_internal.event_refused(a.platform_id, 'permission', 'permission_denied', jsonb_build_object('code', 'TZ204', 'tool', tool_test_start.name),
			a.session_id, a.id, p_environment => a.key_environment, p_rule => 'approval_needed', p_is_violation => true, p_permission => 'denied');
		RAISE EXCEPTION USING ERRCODE = 'TZ204', MESSAGE = format('tool "%s" needs an approval', tool_test_start.name),
			DATATYPE = tool_test_start.name,
			HINT = 'Register it without requires_approval, or try it with an agent whose option approvals does not name it.';
	END IF;
	v_run := theazo_internal.tool_test_make(a, tool_test_start.name, t, input);
	PERFORM theazo_internal.tool_test_over(a.platform_id, v_run);
	RETURN theazo_internal.run_row(v_run);
END
$$;
COMMENT ON FUNCTION theazo.tool_test_start(text, text, jsonb, text) IS
'tries a tool as a model would call it, in the name of an agent or of one made for it (null), and returns the run at once; web_search and http_fetch of the built-in ones';

CREATE OR REPLACE FUNCTION theazo_internal.tool_test_make(a theazo_data.agent, p_name text, t theazo_data.tool, p_input jsonb)
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_run		text := theazo_internal.id_new('run');
	v_root		text := substr(v_run, 5);
	v_kind		text;
	v_adapter	text;
	v_request	jsonb;
	v_provider	text;
	v_ms		integer := 30000;
BEGIN
	IF t.name IS NOT NULL THEN
		v_kind := CASE t.type WHEN 'webhook' THEN 'tool.webhook' ELSE 'tool.sql' END;
		v_adapter := CASE t.type WHEN 'webhook' THEN 'tool_webhook' ELSE 'sql' END;
		v_request := theazo_internal.tool_request(t, p_input, a.id, a.session_id, a.user_id,
			CASE t.type WHEN 'webhook' THEN v_run || '-1' END, theazo_internal.outer_role());
		v_provider := 'tool.' || t.name;
		v_ms := t.timeout_ms;
	ELSIF p_name = 'web_search' THEN
		v_request := theazo_internal.search_request(p_input ->> 'query', coalesce((p_input ->> 'limit')::numeric::integer, 5));
		v_kind := 'http.get';
		v_provider := 'theazo:web_search';
	ELSE
		v_request := theazo_internal.fetch_allowed(theazo_internal.fetch_check(p_input ->> 'url', p_input ->> 'method', p_input -> 'headers',
			p_input ->> 'body'), a.platform_id, a.id);
		v_kind := CASE WHEN v_request ->> 'method' IN ('GET', 'HEAD') THEN 'http.get' ELSE 'http.request' END;
	END IF;
	INSERT INTO theazo_data.run (platform_id, id, session_id, agent_id, user_id, environment, kind, provider, timeout_ms, trace_id)
	VALUES (a.platform_id, v_run, a.session_id, a.id, a.user_id, a.key_environment, 'tool_test', 'theazo', v_ms, 'tr_' || v_root);
	INSERT INTO theazo_data.run_payload (platform_id, root_id, input)
	VALUES (a.platform_id, v_root, coalesce(v_request, '{}') || jsonb_build_object('tested', p_name));
	INSERT INTO theazo_data.span (platform_id, root_id, id, trace_id, environment, session_id, agent_id, run_id, name, status, started_at)
	VALUES (a.platform_id, v_root, 'tr_' || v_root, 'tr_' || v_root, a.key_environment, a.session_id, a.id, v_run, 'tool_test', 'running', clock_timestamp());
	PERFORM theazo_internal.event_write(a.platform_id, 'execution', 'tool_tested', jsonb_build_object('tool', p_name),
		a.session_id, a.id, v_run, a.key_environment);
	IF v_request IS NULL THEN
		PERFORM theazo_internal.run_finish(a.platform_id, v_run, 'completed',
			'{"output": "error: web search is not configured on this server", "success": false}', NULL, NULL, 0, clock_timestamp(), clock_timestamp(), false);
	ELSE
		PERFORM theazo_internal.gate_agent(v_kind, a, v_run, v_provider, p_host => theazo_internal.tool_host(t, p_name, v_request), p_tool => p_name);
		PERFORM theazo_internal.effect_enqueue(a.platform_id, v_root, v_kind, coalesce(v_adapter, 'http'), NULL, v_run, a.session_id, a.id,
			p_provider => v_provider, p_timeout_ms => v_ms, p_deadline => clock_timestamp() + (v_ms + 30000) * '1 millisecond'::interval);
	END IF;
	RETURN v_run;
END
$$;
COMMENT ON FUNCTION theazo_internal.tool_test_make(theazo_data.agent, text, theazo_data.tool, jsonb) IS 'writes run, effect, event and trace of trying a tool';

-- A handler that says no has answered: only what could not be asked fails the run.
CREATE OR REPLACE FUNCTION theazo_internal.tool_test_settle(
	e theazo_data.effect, p_state text, p_result jsonb, p_started timestamptz, p_finished timestamptz)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_name	text;
	t		record;
BEGIN
	IF p_state = 'unknown' AND e.kind = 'tool.webhook' THEN
		p_result := p_result || '{"code": "tool_handler_unreachable", "message": "the tool''s handler did not answer"}';
	END IF;
	IF p_state <> 'done' THEN
		PERFORM theazo_internal.run_finish(e.platform_id, e.run_id, CASE p_state WHEN 'cancelled' THEN 'cancelled' ELSE 'failed' END,
			NULL, NULL, p_result, 0, coalesce(p_started, e.claimed_at), p_finished, p_state = 'unknown');
		PERFORM theazo_internal.tool_test_over(e.platform_id, e.run_id);
		RETURN;
	END IF;
	SELECT p.input ->> 'tested' INTO v_name FROM theazo_data.run_payload p WHERE p.platform_id = e.platform_id AND p.root_id = e.root_id;
	t := theazo_internal.tool_answer(v_name, e.kind, p_state, p_result, NULL);
	IF v_name = 'web_search' AND NOT t.failed THEN
		SELECT theazo_internal.guardrails_results(r, theazo_internal.guardrails_of(a), t.output) INTO t.output
		  FROM theazo_data.run r JOIN theazo_data.agent a ON a.platform_id = r.platform_id AND a.id = r.agent_id
		 WHERE r.platform_id = e.platform_id AND r.id = e.run_id;
	END IF;
	PERFORM theazo_internal.run_finish(e.platform_id, e.run_id, 'completed',
		jsonb_build_object('output', theazo_internal.tool_bound(CASE WHEN t.failed THEN regexp_replace(t.output, '^error: ', '') ELSE t.output END),
			'success', NOT t.failed, 'truncated', coalesce(p_result -> 'truncated', 'false')),
		NULL, NULL, 0, coalesce(p_started, e.claimed_at), p_finished, false);
	PERFORM theazo_internal.tool_test_over(e.platform_id, e.run_id);
END
$$;
COMMENT ON FUNCTION theazo_internal.tool_test_settle(theazo_data.effect, text, jsonb, timestamptz, timestamptz) IS
'the end of trying a tool: what it said, and whether it worked';
