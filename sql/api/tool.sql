-- tool.sql: how a tool of a run is offered, begun and answered; built-in ones, webhooks and functions of this database.

-- Built-in tools as models see them. search_knowledge comes with knowledge.
CREATE OR REPLACE FUNCTION theazo_internal.tool_builtins()
RETURNS TABLE (name text, description text, parameters jsonb)
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	VALUES ('web_search', 'Searches the web and returns the best results with title, address and excerpt.',
			'{"type": "object", "properties": {"query": {"type": "string"}, "limit": {"type": "integer", "minimum": 1, "maximum": 20}}, "required": ["query"]}'::jsonb),
		   ('http_fetch', 'Sends an HTTP request from the server and returns status and body.',
			'{"type": "object", "properties": {"url": {"type": "string"}, "method": {"type": "string"}, "headers": {"type": "object", "additionalProperties": {"type": "string"}}, "body": {"type": "string"}}, "required": ["url"]}'),
		   ('read_file', 'Returns the text of a file in the working directory.',
			'{"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}'),
		   ('write_file', 'Writes a text file into the working directory.',
			'{"type": "object", "properties": {"path": {"type": "string"}, "content": {"type": "string"}}, "required": ["path", "content"]}'),
		   ('list_files', 'Lists a directory of the working directory.',
			'{"type": "object", "properties": {"dir": {"type": "string"}}}'),
		   ('run_code', 'Runs code in the sandbox and returns its output and exit code. Files stay between calls.',
			'{"type": "object", "properties": {"language": {"type": "string", "enum": ["python", "node", "go", "bash", "sh"]}, "code": {"type": "string"}}, "required": ["language", "code"]}'),
		   ('report_progress', 'Tells the user how far the work is.',
			'{"type": "object", "properties": {"message": {"type": "string"}, "percentage": {"type": "number", "minimum": 0, "maximum": 100}}, "required": ["message"]}')
$$;
COMMENT ON FUNCTION theazo_internal.tool_builtins() IS 'built-in tools: name, description and schema as a model is told';

-- What a tool is beside what the model is told of it. The address of a handler is not in it: it may move.
CREATE OR REPLACE FUNCTION theazo_internal.tool_pin(t theazo_data.tool)
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE t.type WHEN 'sql' THEN concat_ws(' ', 'sql', t.sql_function, CASE WHEN NOT t.read_only THEN 'writes' END) ELSE t.type END
$$;
COMMENT ON FUNCTION theazo_internal.tool_pin(theazo_data.tool) IS 'what a tool does, as a run pins it: its kind, the function and whether it may write';

-- The tools of one run, fixed at its start: all, or those the agent names. What does not exist is left out with a warning.
CREATE OR REPLACE FUNCTION theazo_internal.tool_offer(a theazo_data.agent)
RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_wanted	text[] := CASE WHEN jsonb_typeof(a.options -> 'tools') = 'array' THEN ARRAY(SELECT jsonb_array_elements_text(a.options -> 'tools')) END;
	v_out		jsonb;
	v_missing	text;
BEGIN
	IF v_wanted = '{}' THEN
		RETURN '[]';
	END IF;
	-- A tool of the platform's own takes the place of a built-in one of that name.
	SELECT coalesce(jsonb_agg(jsonb_build_object('name', x.name, 'description', x.description, 'parameters', x.parameters)
			|| CASE WHEN x.own THEN jsonb_build_object('pin', x.pin) ELSE '{}' END ORDER BY x.own, x.name), '[]')
	  INTO v_out
	  FROM (SELECT t.name, t.description, t.parameters, true AS own, theazo_internal.tool_pin(t) AS pin FROM theazo_data.tool t WHERE t.platform_id = a.platform_id
			UNION ALL
			SELECT b.name, b.description, b.parameters, false, NULL FROM theazo_internal.tool_builtins() b
			 WHERE NOT EXISTS (SELECT FROM theazo_data.tool t WHERE t.platform_id = a.platform_id AND t.name = b.name)) x
	 WHERE v_wanted IS NULL OR x.name = ANY (v_wanted);
	SELECT string_agg(w, ', ') INTO v_missing FROM unnest(v_wanted) w
	 WHERE NOT EXISTS (SELECT FROM jsonb_array_elements(v_out) o WHERE o ->> 'name' = w);
	IF v_missing IS NOT NULL THEN
		PERFORM theazo_internal.log_write(a.platform_id, NULL, 'warn', 'agent', format('tools that do not exist are left out: %s', left(v_missing, 500)),
			a.key_environment, a.session_id, a.id, NULL, a.user_id, NULL);
	END IF;
	RETURN v_out;
END
$$;
COMMENT ON FUNCTION theazo_internal.tool_offer(theazo_data.agent) IS 'the tools of a run as they are told to the model';

-- Begins one call: answered at once (output), under way (effect_id), or waiting for a human (approval_id). Never throws for what a
-- model can cause. p_decided: a human has said yes to it.
CREATE OR REPLACE FUNCTION theazo_internal.tool_begin(
	l theazo_data.run_loop, r theazo_data.run, p_seq integer, p_name text, p_arguments jsonb, p_decided boolean,
	OUT output text, OUT failed boolean, OUT effect_id text, OUT approval_id text, OUT judged boolean)
LANGUAGE plpgsql
AS $$
DECLARE
	v_doc	jsonb;
	t		theazo_data.tool;
	v_why	text;
	d		record;
BEGIN
	judged := false;
	failed := true;
	SELECT o INTO v_doc FROM jsonb_array_elements(l.tools) o WHERE o ->> 'name' = p_name;
	IF v_doc IS NULL THEN
		output := 'error: unknown tool';
		RETURN;
	END IF;
	v_why := theazo_internal.json_schema_check(v_doc -> 'parameters', p_arguments);
	IF v_why IS NOT NULL THEN
		output := 'error: the arguments do not fit: ' || v_why;
		RETURN;
	END IF;
	SELECT * INTO t FROM theazo_data.tool x WHERE x.platform_id = l.platform_id AND x.name = p_name;
	-- What a run may call was fixed when it began: a tool that says or does something else now is another tool.
	IF t.name IS NOT NULL AND (t.description IS DISTINCT FROM v_doc ->> 'description' OR t.parameters IS DISTINCT FROM v_doc -> 'parameters'
		OR theazo_internal.tool_pin(t) IS DISTINCT FROM v_doc ->> 'pin') THEN
		output := 'error: this tool was changed while the run was under way';
		RETURN;
	END IF;
	output := coalesce(theazo_internal.calls_check(l, r, p_seq, p_name), theazo_internal.tool_gate(l, r, t, p_name, p_arguments));
	IF output IS NOT NULL THEN
		RETURN;
	ELSIF NOT p_decided AND (t.requires_approval OR l.policy ? 'approvals') THEN
		-- Whoever is asked, webhooks among them, is not shown what must not go out anyway.
		d := theazo_internal.safety_arguments(l, r, p_seq, p_name, p_arguments, p_decided);
		output := d.why;
		effect_id := d.asked;
		IF output IS NOT NULL OR effect_id IS NOT NULL THEN
			judged := effect_id IS NOT NULL;
			failed := NOT judged;
			RETURN;
		END IF;
		SELECT n.approval_id, 'error: ' || n.why INTO approval_id, output
		  FROM theazo_internal.approval_need(l, r, p_seq, p_name, p_arguments, v_doc ->> 'pin', coalesce(t.requires_approval, false)) n;
		IF approval_id IS NOT NULL OR output IS NOT NULL THEN
			failed := approval_id IS NULL;
			RETURN;
		ELSIF t.requires_approval THEN
			output := 'error: this tool needs the approval of a human, and none can be given here yet; go on without it';
			RETURN;
		END IF;
	END IF;
	d := theazo_internal.safety_arguments(l, r, p_seq, p_name, p_arguments, p_decided);
	output := d.why;
	effect_id := d.asked;
	IF output IS NOT NULL OR effect_id IS NOT NULL THEN
		judged := effect_id IS NOT NULL;
		failed := NOT judged;
		RETURN;
	END IF;
	BEGIN
		failed := false;
		IF t.name IS NOT NULL THEN
			effect_id := theazo_internal.tool_call_own(l, r, p_seq, t, p_arguments);
			RETURN;
		END IF;
		CASE p_name
			WHEN 'report_progress' THEN
				PERFORM theazo_internal.log_write(l.platform_id, l.root_id, 'info', 'agent', theazo_internal.mask_left(p_arguments ->> 'message', 1000),
					r.environment, r.session_id, r.agent_id, r.id, r.user_id, r.provider, r.trace_id,
					jsonb_strip_nulls(jsonb_build_object('progress', true, 'percentage', p_arguments -> 'percentage')));
				PERFORM theazo_internal.progress_set(r, CASE jsonb_typeof(p_arguments -> 'percentage') WHEN 'number' THEN (p_arguments ->> 'percentage')::numeric END,
					coalesce(p_arguments ->> 'message', ''));
				output := 'ok';
			WHEN 'run_code' THEN
				effect_id := theazo_internal.tool_call_compute(l, r, p_seq, 'exec', jsonb_build_object(
					'language', theazo_internal.language_check(p_arguments ->> 'language'), 'code', p_arguments ->> 'code',
					'timeout_ms', least(60000, theazo_internal.policy_time_ms(l.policy)), 'env', '{}'::jsonb, 'max_output', 1048576)
					|| theazo_internal.output_request(theazo_internal.safety_guard(l), p_seq, true), NULL, 65000);
			WHEN 'read_file' THEN
				effect_id := theazo_internal.tool_call_compute(l, r, p_seq, 'read', jsonb_build_object(
					'path', theazo_internal.path_check(p_arguments ->> 'path', false), 'max_bytes', 1048576), NULL, 30000);
			WHEN 'write_file' THEN
				effect_id := theazo_internal.tool_call_compute(l, r, p_seq, 'write', jsonb_build_object(
					'path', theazo_internal.path_check(p_arguments ->> 'path', false)), convert_to(p_arguments ->> 'content', 'UTF8'), 30000);
			WHEN 'list_files' THEN
				effect_id := theazo_internal.tool_call_compute(l, r, p_seq, 'list', jsonb_build_object(
					'dir', theazo_internal.path_check(coalesce(p_arguments ->> 'dir', '/'), true)), NULL, 30000);
			WHEN 'http_fetch' THEN
				effect_id := theazo_internal.tool_call_http(l, r, p_seq, theazo_internal.fetch_check(p_arguments ->> 'url', p_arguments ->> 'method',
					p_arguments -> 'headers', p_arguments ->> 'body'));
			WHEN 'web_search' THEN
				effect_id := theazo_internal.tool_call_search(l, r, p_seq, p_arguments ->> 'query', coalesce((p_arguments ->> 'limit')::numeric::integer, 5));
				IF effect_id IS NULL THEN
					output := 'error: web search is not configured on this server';
					failed := true;
				END IF;
			ELSE
				output := 'error: this tool does not exist any more';
				failed := true;
		END CASE;
	EXCEPTION WHEN invalid_parameter_value OR SQLSTATE 'TZ103' OR SQLSTATE 'TZ201' OR SQLSTATE 'TZ202' OR SQLSTATE 'TZ203' OR SQLSTATE 'TZ406'
		OR SQLSTATE 'TZ407' OR SQLSTATE 'TZ602' THEN
		-- A path that climbs out, a language there is none of, a sandbox it may not have: the model is told.
		output := 'error: ' || SQLERRM;
		failed := true;
		effect_id := NULL;
	END;
END
$$;
COMMENT ON FUNCTION theazo_internal.tool_begin(theazo_data.run_loop, theazo_data.run, integer, text, jsonb, boolean) IS
'begins a tool call: its output when it is answered at once, the effect that carries it or has it judged first, or the approval it waits for';

-- In the agent's sandbox, which is made or woken when it is not there.
CREATE OR REPLACE FUNCTION theazo_internal.tool_call_compute(
	l theazo_data.run_loop, r theazo_data.run, p_seq integer, p_op text, p_request jsonb, p_content bytea, p_call_ms integer)
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_ready	boolean := theazo_internal.sandbox_ensure(l.platform_id, l.agent_id);
	s		theazo_data.sandbox;
BEGIN
	SELECT x.* INTO s FROM theazo_data.agent a
	  JOIN theazo_data.sandbox x ON x.platform_id = a.platform_id AND x.id = a.sandbox_id
	 WHERE a.platform_id = l.platform_id AND a.id = l.agent_id;
	PERFORM theazo_internal.compute_demand(s, p_op, 'run_' || l.root_id);
	-- Now that it is known which one: the labels lie there before the call leaves.
	PERFORM theazo_internal.flow_wrote(l, r, 'compute.' || p_op, NULL, NULL);
	IF NOT v_ready THEN
		-- It waits for the sandbox, at most as long as the run may take: the keeper looks at its deadline.
		PERFORM theazo_internal.wake_keeper();
	END IF;
	RETURN theazo_internal.effect_enqueue(l.platform_id, l.root_id, 'compute.' || p_op, s.adapter, p_request, r.id, r.session_id, r.agent_id,
		s.id, s.provider_name, p_call_ms, CASE WHEN p_op IN ('read', 'list') THEN 2 ELSE 1 END,
		CASE WHEN s.adapter = 'local' THEN s.worker_slot END, CASE WHEN v_ready THEN now() ELSE 'infinity'::timestamptz END,
		l.deadline, p_content, p_step_seq => p_seq);
END
$$;
COMMENT ON FUNCTION theazo_internal.tool_call_compute(theazo_data.run_loop, theazo_data.run, integer, text, jsonb, bytea, integer) IS
'queues a tool call for the agent''s sandbox';

CREATE OR REPLACE FUNCTION theazo_internal.tool_call_http(l theazo_data.run_loop, r theazo_data.run, p_seq integer, p_request jsonb)
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_repeat boolean := p_request ->> 'method' IN ('GET', 'HEAD');
BEGIN
	RETURN theazo_internal.effect_enqueue(l.platform_id, l.root_id, CASE WHEN v_repeat THEN 'http.get' ELSE 'http.request' END, 'http',
		theazo_internal.fetch_allowed(p_request, l.platform_id, l.agent_id), r.id, r.session_id, r.agent_id,
		p_timeout_ms => 30000, p_max_attempts => CASE WHEN v_repeat THEN 2 ELSE 1 END, p_deadline => l.deadline, p_step_seq => p_seq);
END
$$;
COMMENT ON FUNCTION theazo_internal.tool_call_http(theazo_data.run_loop, theazo_data.run, integer, jsonb) IS 'queues a tool call that is an HTTP request';

-- A tool of the platform: its webhook, or a function of this database.
CREATE OR REPLACE FUNCTION theazo_internal.tool_call_own(
	l theazo_data.run_loop, r theazo_data.run, p_seq integer, t theazo_data.tool, p_arguments jsonb)
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF t.type = 'webhook' THEN
		RETURN theazo_internal.effect_enqueue(l.platform_id, l.root_id, 'tool.webhook', 'tool_webhook',
			theazo_internal.tool_request(t, p_arguments, r.agent_id, r.session_id, r.user_id, r.id || '-' || p_seq, NULL),
			r.id, r.session_id, r.agent_id, p_provider => 'tool.' || t.name, p_timeout_ms => t.timeout_ms, p_deadline => l.deadline,
			p_step_seq => p_seq);
	END IF;
	RETURN theazo_internal.effect_enqueue(l.platform_id, l.root_id, 'tool.sql', 'sql',
		theazo_internal.tool_request(t, p_arguments, r.agent_id, r.session_id, r.user_id, r.id, l.role_name),
		r.id, r.session_id, r.agent_id, p_provider => 'tool.' || t.name, p_timeout_ms => t.timeout_ms, p_deadline => l.deadline,
		p_step_seq => p_seq);
END
$$;
COMMENT ON FUNCTION theazo_internal.tool_call_own(theazo_data.run_loop, theazo_data.run, integer, theazo_data.tool, jsonb) IS
'queues a call of a tool that the platform registered';

-- What the worker gets; arguments of a function as text, which keeps every digit. A handler's address is that of the moment the call leaves (effect_endpoint).
CREATE OR REPLACE FUNCTION theazo_internal.tool_request(
	t theazo_data.tool, p_arguments jsonb, p_agent text, p_session text, p_user text, p_call text, p_role name)
RETURNS jsonb
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE t.type
		WHEN 'webhook' THEN jsonb_build_object('body', jsonb_build_object('tool', t.name, 'input', p_arguments, 'agentId', p_agent,
			'sessionId', p_session, 'userId', p_user, 'callId', p_call))
		ELSE jsonb_build_object('tool', t.name, 'function', t.sql_function, 'arguments', p_arguments::text, 'role', p_role,
			'read_only', t.read_only, 'timeout_ms', t.timeout_ms) || CASE WHEN p_call IS NULL THEN '{}' ELSE jsonb_build_object('run', p_call) END END
$$;
COMMENT ON FUNCTION theazo_internal.tool_request(theazo_data.tool, jsonb, text, text, text, text, name) IS
'request document of a call of a platform''s tool';

-- What the model is told of a call that went out.
CREATE OR REPLACE FUNCTION theazo_internal.tool_answer(
	p_name text, p_kind text, p_state text, p_result jsonb, p_content bytea, OUT output text, OUT failed boolean)
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	failed := p_state <> 'done';
	IF failed THEN
		output := 'error: ' || CASE p_state WHEN 'unknown' THEN 'it is not known whether this happened: '
											WHEN 'cancelled' THEN 'cancelled' ELSE '' END
			|| CASE p_state WHEN 'cancelled' THEN ''
							-- its message only says so once more
							WHEN 'unknown' THEN theazo_internal.text_mask(coalesce(p_result ->> 'detail', p_result ->> 'message', 'no answer came'))
							ELSE theazo_internal.text_mask(concat(coalesce(p_result ->> 'message', 'it failed'), ' (' || (p_result ->> 'detail') || ')')) END;
		RETURN;
	END IF;
	CASE p_kind
		WHEN 'compute.exec' THEN
			IF (p_result ->> 'timed_out')::boolean THEN
				failed := true;
				output := 'error: the command ran longer than 60 s';
			ELSE
				output := format('{"stdout":%s,"stderr":%s,"exitCode":%s%s}', coalesce(p_result -> 'stdout', 'null'), coalesce(p_result -> 'stderr', 'null'),
					coalesce(p_result -> 'exit_code', 'null'),
					-- handed over with complete()
					CASE WHEN p_result ? 'output' THEN ',"output":' || theazo_internal.json_compact(p_result -> 'output') END
					|| CASE WHEN jsonb_array_length(p_result -> 'artifacts') > 0 THEN ',"artifacts":' || theazo_internal.json_compact(p_result -> 'artifacts') ELSE '' END);
			END IF;
		WHEN 'compute.read' THEN
			BEGIN
				output := convert_from(p_content, 'UTF8');
			EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
				failed := true;
				output := format('error: the file is no text (%s bytes)', octet_length(p_content));
			END;
		WHEN 'compute.write' THEN
			output := 'ok';
		WHEN 'compute.list' THEN
			output := theazo_internal.json_compact(coalesce(p_result -> 'entries', '[]'));
		WHEN 'http.request', 'http.get' THEN
			IF p_name = 'web_search' THEN
				SELECT x.output, x.failed INTO output, failed FROM theazo_internal.search_answer(p_result) x;
				RETURN;
			END IF;
			output := format('{"status":%s,"body":%s}', coalesce(p_result -> 'status', 'null'), coalesce(p_result -> 'body', 'null'));
		ELSE
			-- A webhook or a function: text as it is, anything else as compact JSON.
			failed := coalesce((p_result ->> 'failed')::boolean, false);
			output := CASE jsonb_typeof(p_result -> 'output') WHEN 'string' THEN p_result ->> 'output'
				ELSE coalesce(theazo_internal.json_compact(p_result -> 'output'), '') END;
			IF failed THEN
				output := 'error: ' || theazo_internal.text_mask(output);
			END IF;
	END CASE;
END
$$;
COMMENT ON FUNCTION theazo_internal.tool_answer(text, text, text, jsonb, bytea) IS 'what a model is told of a tool call that went out';
