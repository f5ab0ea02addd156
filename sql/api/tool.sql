-- tool.sql: what a model may call: built-in tools, webhooks of the platform, and functions of this database.

CREATE OR REPLACE VIEW theazo.tools WITH (security_barrier) AS
	SELECT t.platform_id, t.name, t.description, t.parameters, t.type, t.url, t.sql_function, t.read_only, t.timeout_ms, t.requires_approval,
		   t.created_at, t.updated_at, false AS builtin, NULL::text AS secret
	  FROM theazo_data.tool t
	 WHERE (SELECT theazo_internal.may_read('tool:read')) AND theazo_internal.current_session() IS NULL;
COMMENT ON VIEW theazo.tools IS
'the platform''s own tools; the built-in ones are in theazo.tool_list(). secret is empty: theazo.tool_set() shows it once';

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
	SELECT coalesce(jsonb_agg(jsonb_build_object('name', x.name, 'description', x.description, 'parameters', x.parameters) ORDER BY x.own, x.name), '[]')
	  INTO v_out
	  FROM (SELECT t.name, t.description, t.parameters, true AS own FROM theazo_data.tool t WHERE t.platform_id = a.platform_id
			UNION ALL
			SELECT b.name, b.description, b.parameters, false FROM theazo_internal.tool_builtins() b
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

-- Begins one call: answered at once (output), or under way (effect_id). Never throws for what a model can cause.
CREATE OR REPLACE FUNCTION theazo_internal.tool_begin(
	l theazo_data.run_loop, r theazo_data.run, p_seq integer, p_name text, p_arguments jsonb,
	OUT output text, OUT failed boolean, OUT effect_id text)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_doc	jsonb;
	t		theazo_data.tool;
	v_why	text;
BEGIN
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
	IF FOUND THEN
		-- What a run may call was fixed when it began: a tool that says something else now is another tool.
		IF t.description IS DISTINCT FROM v_doc ->> 'description' OR t.parameters IS DISTINCT FROM v_doc -> 'parameters' THEN
			output := 'error: this tool was changed while the run was under way';
			RETURN;
		ELSIF t.requires_approval THEN
			output := 'error: this tool needs the approval of a human, and none can be given here yet; go on without it';
			RETURN;
		END IF;
		failed := false;
		effect_id := theazo_internal.tool_call_own(l, r, p_seq, t, p_arguments);
		RETURN;
	END IF;
	BEGIN
		failed := false;
		CASE p_name
			WHEN 'report_progress' THEN
				PERFORM theazo_internal.log_write(l.platform_id, l.root_id, 'info', 'agent', left(p_arguments ->> 'message', 1000),
					r.environment, r.session_id, r.agent_id, r.id, r.user_id, r.provider, r.trace_id,
					jsonb_strip_nulls(jsonb_build_object('progress', true, 'percentage', p_arguments -> 'percentage')));
				output := 'ok';
			WHEN 'run_code' THEN
				effect_id := theazo_internal.tool_call_compute(l, r, p_seq, 'exec', jsonb_build_object(
					'language', theazo_internal.language_check(p_arguments ->> 'language'), 'code', p_arguments ->> 'code',
					'timeout_ms', 60000, 'env', '{}'::jsonb, 'max_output', 1048576), NULL, 65000);
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
				effect_id := theazo_internal.tool_call_search(l, r, p_seq, p_arguments ->> 'query', coalesce((p_arguments ->> 'limit')::integer, 5));
				IF effect_id IS NULL THEN
					output := 'error: web search is not configured on this server';
					failed := true;
				END IF;
			ELSE
				output := 'error: this tool does not exist any more';
				failed := true;
		END CASE;
	EXCEPTION WHEN invalid_parameter_value OR SQLSTATE 'TZ103' OR SQLSTATE 'TZ406' OR SQLSTATE 'TZ407' THEN
		-- A path that climbs out, a language there is none of: the model is told.
		output := 'error: ' || SQLERRM;
		failed := true;
		effect_id := NULL;
	END;
END
$$;
COMMENT ON FUNCTION theazo_internal.tool_begin(theazo_data.run_loop, theazo_data.run, integer, text, jsonb) IS
'begins a tool call: its output when it is answered at once, else the effect that carries it';

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
	IF NOT theazo_internal.compute_capable(l.platform_id, s.provider_name, p_op) THEN
		RAISE EXCEPTION USING ERRCODE = 'TZ406', MESSAGE = format('provider "%s" does not support "%s"', s.provider, p_op);
	END IF;
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
		theazo_internal.tool_request(t, p_arguments, r.agent_id, r.session_id, r.user_id, NULL, l.role_name),
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
			'read_only', t.read_only, 'timeout_ms', t.timeout_ms) END
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
			|| CASE WHEN p_state = 'cancelled' THEN ''
					ELSE theazo_internal.text_mask(coalesce(p_result ->> 'detail', p_result ->> 'message', 'it failed')) END;
		RETURN;
	END IF;
	CASE p_kind
		WHEN 'compute.exec' THEN
			IF (p_result ->> 'timed_out')::boolean THEN
				failed := true;
				output := 'error: the command ran longer than 60 s';
			ELSE
				output := json_build_object('stdout', p_result ->> 'stdout', 'stderr', p_result ->> 'stderr', 'exitCode', p_result -> 'exit_code')::text;
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
			output := coalesce(p_result -> 'entries', '[]')::text;
		WHEN 'http.request', 'http.get' THEN
			IF p_name = 'web_search' THEN
				SELECT x.output, x.failed INTO output, failed FROM theazo_internal.search_answer(p_result) x;
				RETURN;
			END IF;
			output := json_build_object('status', p_result -> 'status', 'body', p_result ->> 'body')::text;
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

-- ----------------------------------------------------------------------------
-- Search
-- ----------------------------------------------------------------------------
-- What is not unreserved in RFC 3986, byte by byte.
CREATE OR REPLACE FUNCTION theazo_internal.url_encode(p_text text)
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(string_agg(CASE WHEN chr(get_byte(b.bytes, i)) ~ '[A-Za-z0-9._~-]' AND get_byte(b.bytes, i) < 128
									THEN chr(get_byte(b.bytes, i)) ELSE '%' || upper(lpad(to_hex(get_byte(b.bytes, i)), 2, '0')) END, '' ORDER BY i), '')
	  FROM (SELECT convert_to(p_text, 'UTF8') AS bytes) b CROSS JOIN LATERAL generate_series(0, octet_length(b.bytes) - 1) i
$$;
COMMENT ON FUNCTION theazo_internal.url_encode(text) IS 'a text as it stands in the query of a URL';

-- The request of one search: null when the operator configured none.
CREATE OR REPLACE FUNCTION theazo_internal.search_request(p_query text, p_limit integer)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_url		text := nullif(current_setting('theazo.web_search_url', true), '');
	v_header	text := nullif(current_setting('theazo.web_search_header', true), '');
BEGIN
	IF v_url IS NULL THEN
		RETURN NULL;
	ELSIF btrim(coalesce(p_query, '')) = '' OR octet_length(p_query) > 1000 THEN
		PERFORM theazo_internal.raise_value('query', 'must have 1 to 1000 bytes');
	END IF;
	v_url := replace(replace(v_url, '{limit}', least(greatest(p_limit, 1), 20)::text), '{query}', theazo_internal.url_encode(p_query));
	RETURN theazo_internal.fetch_check(v_url, 'GET', jsonb_build_object('Accept', 'application/json')
		|| CASE WHEN v_header IS NULL THEN '{}'
				ELSE jsonb_build_object(btrim(split_part(v_header, ':', 1)), btrim(substr(v_header, strpos(v_header, ':') + 1))) END, NULL)
		|| jsonb_build_object('limit', least(greatest(p_limit, 1), 20));
END
$$;
COMMENT ON FUNCTION theazo_internal.search_request(text, integer) IS
'request document of a web search by theazo.web_search_url; null without one';

-- Through what the operator configured: null when there is nothing.
CREATE OR REPLACE FUNCTION theazo_internal.tool_call_search(l theazo_data.run_loop, r theazo_data.run, p_seq integer, p_query text, p_limit integer)
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_request jsonb := theazo_internal.search_request(p_query, p_limit);
BEGIN
	IF v_request IS NULL THEN
		RETURN NULL;
	END IF;
	RETURN theazo_internal.effect_enqueue(l.platform_id, l.root_id, 'http.get', 'http', v_request, r.id, r.session_id, r.agent_id,
		p_provider => 'theazo:web_search', p_timeout_ms => 30000, p_max_attempts => 2, p_deadline => l.deadline, p_step_seq => p_seq);
END
$$;
COMMENT ON FUNCTION theazo_internal.tool_call_search(theazo_data.run_loop, theazo_data.run, integer, text, integer) IS
'queues a web search through the endpoint the operator configured; null without one';

-- Endpoints of search differ: the first array of objects with an address in it is the list. What has none goes on as it came.
CREATE OR REPLACE FUNCTION theazo_internal.search_answer(p_result jsonb, OUT output text, OUT failed boolean)
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_body	jsonb;
	v_list	jsonb;
BEGIN
	failed := NOT coalesce((p_result ->> 'status')::integer BETWEEN 200 AND 299, false);
	IF failed THEN
		output := format('error: the search answered %s', p_result ->> 'status');
		RETURN;
	END IF;
	BEGIN
		v_body := (p_result ->> 'body')::jsonb;
	EXCEPTION WHEN data_exception OR invalid_text_representation OR statement_too_complex THEN
		v_body := NULL;
	END;
	SELECT c.list INTO v_list
	  FROM unnest(ARRAY['{results}', '{web,results}', '{items}', '{organic}', '{organic_results}', '{data}', '{webPages,value}', '{hits}', '{}']::text[])
			WITH ORDINALITY AS k (path, ord)
	 CROSS JOIN LATERAL (SELECT v_body #> k.path::text[] AS list) c
	 WHERE jsonb_typeof(c.list) = 'array' AND jsonb_typeof(c.list -> 0) = 'object'
	 ORDER BY k.ord LIMIT 1;
	IF v_list IS NULL THEN
		output := coalesce(theazo_internal.json_compact(v_body), p_result ->> 'body', '');
		RETURN;
	END IF;
	SELECT theazo_internal.json_compact(coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
				'title', left(coalesce(x ->> 'title', x ->> 'name'), 300),
				'url', left(coalesce(x ->> 'url', x ->> 'link', x ->> 'href'), 2000),
				'excerpt', left(coalesce(x ->> 'excerpt', x ->> 'snippet', x ->> 'description', x ->> 'content', x ->> 'text'), 1000))) ORDER BY o.ord), '[]'))
	  INTO output
	  FROM jsonb_array_elements(v_list) WITH ORDINALITY AS o (x, ord)
	 WHERE o.ord <= 20 AND jsonb_typeof(o.x) = 'object';
END
$$;
COMMENT ON FUNCTION theazo_internal.search_answer(jsonb) IS 'what a model is told of a web search: title, address and excerpt of each result';

CREATE OR REPLACE FUNCTION theazo_internal.schema_check(p_field text, p_schema jsonb)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_why text;
BEGIN
	IF p_schema IS NULL OR jsonb_typeof(p_schema) <> 'object' THEN
		PERFORM theazo_internal.raise_value(p_field, 'must be an object', 'Give a JSON schema, such as {"type": "object", "properties": {}}.');
	ELSIF octet_length(p_schema::text) > 65536 THEN
		PERFORM theazo_internal.raise_value(p_field, 'is larger than 64 KiB');
	END IF;
	v_why := theazo_internal.json_schema_valid(p_schema);
	IF v_why IS NOT NULL THEN
		PERFORM theazo_internal.raise_value(p_field, 'is no JSON schema: ' || v_why);
	END IF;
	RETURN p_schema;
END
$$;
COMMENT ON FUNCTION theazo_internal.schema_check(text, jsonb) IS 'a JSON schema of at most 64 KiB, or 22023';

-- ----------------------------------------------------------------------------
-- Registering
-- ----------------------------------------------------------------------------
-- A handler's address may have a query, which a provider's base may not.
CREATE OR REPLACE FUNCTION theazo_internal.handler_check(p_url text)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF p_url LIKE '%#%' THEN
		PERFORM theazo_internal.raise_value('url', 'has a fragment, which is never sent');
	END IF;
	PERFORM theazo_internal.endpoint_check('url', split_part(p_url, '?', 1), theazo_internal.platform_http());
	PERFORM theazo_internal.fetch_check(p_url, 'POST', NULL, NULL);
	RETURN p_url;
END
$$;
COMMENT ON FUNCTION theazo_internal.handler_check(text) IS 'address of a tool''s handler: https, or http where the operator allows it';

-- A function by schema.name or schema.name(types). The catalog is read instead of casting to regprocedure,
-- which needs the right to use the schema: the caller has it, the owner of this function need not.
CREATE OR REPLACE FUNCTION theazo_internal.tool_function_find(p_function text)
RETURNS pg_catalog.pg_proc
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_hint	CONSTANT text := 'Give schema.name, or schema.name(argument types) where several functions have the name.';
	v_parts	text[];
	v_types	text := substring(p_function FROM '^[^(]*\((.*)\)\s*$');
	v_found	pg_proc;
	v_n		integer;
BEGIN
	IF p_function IS NULL OR octet_length(p_function) > 1000 THEN
		PERFORM theazo_internal.raise_value('sql_function', 'must have 1 to 1000 bytes', v_hint);
	END IF;
	BEGIN
		v_parts := parse_ident(split_part(p_function, '(', 1));
	EXCEPTION WHEN invalid_parameter_value THEN
		v_parts := NULL;
	END;
	IF cardinality(v_parts) IS DISTINCT FROM 2 OR p_function LIKE '%(%' AND v_types IS NULL THEN
		PERFORM theazo_internal.raise_value('sql_function', format('names no function: %s', theazo_internal.quoted(p_function)), v_hint);
	END IF;
	SELECT count(*) INTO v_n FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
	 WHERE n.nspname = v_parts[1] AND p.proname = v_parts[2]
	   AND (v_types IS NULL OR replace(oidvectortypes(p.proargtypes), ' ', '') = lower(replace(v_types, ' ', '')));
	IF v_n = 0 THEN
		PERFORM theazo_internal.raise_value('sql_function', format('names no function: %s', theazo_internal.quoted(p_function)), v_hint);
	ELSIF v_n > 1 THEN
		PERFORM theazo_internal.raise_value('sql_function', format('names %s functions', v_n), v_hint);
	END IF;
	SELECT p.* INTO v_found FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
	 WHERE n.nspname = v_parts[1] AND p.proname = v_parts[2]
	   AND (v_types IS NULL OR replace(oidvectortypes(p.proargtypes), ' ', '') = lower(replace(v_types, ' ', '')));
	RETURN v_found;
END
$$;
COMMENT ON FUNCTION theazo_internal.tool_function_find(text) IS 'the function that a tool is to be, or 22023';

-- EXECUTE that was given to this role, not to everybody: functions are open to PUBLIC unless somebody thought of it.
CREATE OR REPLACE FUNCTION theazo_internal.tool_function_check(p pg_catalog.pg_proc, p_role name)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_schema name := (SELECT n.nspname FROM pg_namespace n WHERE n.oid = p.pronamespace);
BEGIN
	IF v_schema IN ('pg_catalog', 'information_schema', 'theazo') OR v_schema LIKE 'pg\_%' OR v_schema LIKE 'theazo\_%' THEN
		PERFORM theazo_internal.raise_value('sql_function', format('lies in schema "%s"', v_schema),
			'Functions of the system and of theazo are no tools; write one of your own around it.');
	ELSIF p.prokind <> 'f' OR p.provariadic <> 0
		OR EXISTS (SELECT FROM pg_type t WHERE t.oid = ANY (p.proargtypes::oid[] || p.prorettype) AND t.typtype = 'p'
					AND t.oid NOT IN ('record'::regtype, 'void'::regtype)) THEN
		PERFORM theazo_internal.raise_value('sql_function', 'cannot be called with JSON',
			'Use a plain function, not a procedure, aggregate or trigger, without polymorphic or variadic arguments.');
	ELSIF NOT theazo_internal.tool_takes_document(p) AND cardinality(theazo_internal.tool_arguments(p)) < p.pronargs THEN
		PERFORM theazo_internal.raise_value('sql_function', 'has arguments without names',
			'Name every argument, or take one of type jsonb.');
	ELSIF NOT pg_has_role(p_role, p.proowner, 'USAGE')
		AND NOT EXISTS (SELECT FROM aclexplode(p.proacl) a
						 WHERE a.privilege_type = 'EXECUTE' AND a.grantee <> 0 AND pg_has_role(p_role, a.grantee, 'USAGE')) THEN
		RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
			MESSAGE = format('role %s has not been granted function %I.%I', theazo_internal.quoted(p_role), v_schema, p.proname),
			DETAIL = 'What PUBLIC may execute does not count: a tool is granted on purpose.',
			HINT = format('GRANT EXECUTE ON FUNCTION %I.%I(%s) TO %I;', v_schema, p.proname, oidvectortypes(p.proargtypes), p_role);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.tool_function_check(pg_catalog.pg_proc, name) IS
'22023 for a function that cannot be a tool, 42501 for one that was not granted to this role';

-- One argument of type json or jsonb: it gets the whole object.
CREATE OR REPLACE FUNCTION theazo_internal.tool_takes_document(p pg_catalog.pg_proc)
RETURNS boolean LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT p.pronargs = 1 AND p.proargtypes[0] IN ('json'::regtype, 'jsonb'::regtype)
$$;
COMMENT ON FUNCTION theazo_internal.tool_takes_document(pg_catalog.pg_proc) IS 'does a function take the arguments as one document';

-- Names of what goes in.
CREATE OR REPLACE FUNCTION theazo_internal.tool_arguments(p pg_catalog.pg_proc)
RETURNS text[] LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(array_agg(a.name ORDER BY a.ord), '{}')
	  FROM unnest(p.proargnames) WITH ORDINALITY AS a (name, ord)
	 WHERE a.name <> '' AND coalesce(p.proargmodes[a.ord] IN ('i', 'b'), true)
$$;
COMMENT ON FUNCTION theazo_internal.tool_arguments(pg_catalog.pg_proc) IS 'names of a function''s input arguments';

-- A schema made of a function's arguments.
CREATE OR REPLACE FUNCTION theazo_internal.tool_schema(p pg_catalog.pg_proc)
RETURNS jsonb LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN theazo_internal.tool_takes_document(p) THEN '{"type": "object"}'
		ELSE jsonb_build_object('type', 'object', 'additionalProperties', false,
			'properties', coalesce(jsonb_object_agg(a.name, CASE
				WHEN t.typcategory = 'B' THEN '{"type": "boolean"}'
				WHEN t.oid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) THEN '{"type": "integer"}'
				WHEN t.typcategory = 'N' THEN '{"type": "number"}'
				WHEN t.oid IN ('json'::regtype, 'jsonb'::regtype) THEN '{}'
				WHEN t.typcategory = 'A' THEN '{"type": "array"}'
				WHEN t.typtype = 'c' THEN '{"type": "object"}'
				ELSE '{"type": "string"}' END::jsonb) FILTER (WHERE a.name IS NOT NULL), '{}'),
			'required', coalesce(jsonb_agg(a.name ORDER BY a.ord) FILTER (WHERE a.ord <= p.pronargs - p.pronargdefaults), '[]')) END
	  FROM unnest(theazo_internal.tool_arguments(p)) WITH ORDINALITY AS a (name, ord)
	  LEFT JOIN pg_type t ON t.oid = p.proargtypes[a.ord::integer - 1]
$$;
COMMENT ON FUNCTION theazo_internal.tool_schema(pg_catalog.pg_proc) IS 'JSON schema of a function''s arguments';

CREATE OR REPLACE FUNCTION theazo.tool_set(
	name text, description text, parameters jsonb DEFAULT NULL, url text DEFAULT NULL, sql_function text DEFAULT NULL,
	read_only boolean DEFAULT true, timeout interval DEFAULT '30 s', requires_approval boolean DEFAULT false, api_key text DEFAULT NULL)
RETURNS theazo.tools
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_here		text;
	v_ms		integer;
	v_secret	text;
	v_ref		text;
	v_unknown	text;
	p			pg_proc;
	was			theazo_data.tool;
	result		theazo.tools;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'tool:write');
	PERFORM theazo_internal.shared_change_check('a tool');
	v_here := theazo_internal.current_platform();
	IF tool_set.name IS NULL OR tool_set.name !~ '^[A-Za-z0-9_-]{1,64}$' THEN
		PERFORM theazo_internal.raise_value('name', 'must have 1 to 64 letters, digits, underscores or hyphens');
	ELSIF EXISTS (SELECT FROM theazo_internal.tool_builtins() b WHERE b.name = tool_set.name) OR tool_set.name = 'search_knowledge' THEN
		RAISE EXCEPTION USING ERRCODE = 'TZ103', MESSAGE = format('tool "%s" is built in', tool_set.name), HINT = 'Choose another name.';
	ELSIF description IS NULL OR btrim(description) = '' OR octet_length(description) > 4096 THEN
		PERFORM theazo_internal.raise_value('description', 'must have 1 to 4096 bytes', 'Say what the tool does and when to use it: the model reads it.');
	ELSIF (url IS NULL) = (sql_function IS NULL) THEN
		PERFORM theazo_internal.raise_value('url', 'or sql_function must be given, and not both');
	ELSIF url IS NOT NULL AND NOT coalesce(read_only, true) THEN
		PERFORM theazo_internal.raise_value('read_only', 'is about functions of the database, not about handlers', 'Leave it out.');
	END IF;
	v_ms := theazo_internal.timeout_check(coalesce(tool_set.timeout, '30 s'));
	IF v_ms NOT BETWEEN 100 AND 300000 THEN
		PERFORM theazo_internal.raise_value('timeout', 'must be from 0.1 to 300 seconds');
	END IF;
	SELECT * INTO was FROM theazo_data.tool t WHERE t.platform_id = v_here AND t.name = tool_set.name FOR UPDATE;
	IF NOT FOUND AND (SELECT count(*) FROM theazo_data.tool t WHERE t.platform_id = v_here) >= 200 THEN
		PERFORM theazo_internal.raise_ceiling('tools', 200, 'Delete those that are not used.');
	END IF;
	IF url IS NOT NULL THEN
		url := theazo_internal.handler_check(url);
		parameters := theazo_internal.schema_check('parameters', parameters);
		v_secret := 'tlsec_' || encode(theazo_internal.random_bytes(32), 'hex');
		v_ref := 'tool.' || tool_set.name;
		IF was.secret_ref IS NULL
			AND EXISTS (SELECT FROM theazo_data.secret s WHERE s.platform_id = v_here AND s.session_id = '' AND s.name = v_ref) THEN
			RAISE EXCEPTION USING ERRCODE = 'TZ103', MESSAGE = format('secret "%s" is in the way', v_ref),
				DETAIL = 'The key a tool is signed with is kept under this name.', HINT = 'Delete the secret, or choose another name for the tool.';
		END IF;
		PERFORM theazo_internal.secret_set_row(v_here, '', v_ref, v_secret, 'env', '{}', NULL, NULL);
	ELSE
		p := theazo_internal.tool_function_find(sql_function);
		PERFORM theazo_internal.tool_function_check(p, theazo_internal.outer_role());
		sql_function := p.oid::regprocedure::text;
		parameters := theazo_internal.schema_check('parameters', coalesce(parameters, theazo_internal.tool_schema(p)));
		IF NOT theazo_internal.tool_takes_document(p) AND jsonb_typeof(parameters -> 'properties') = 'object' THEN
			SELECT min(k) INTO v_unknown FROM jsonb_object_keys(parameters -> 'properties') k WHERE NOT k = ANY (theazo_internal.tool_arguments(p));
			IF v_unknown IS NOT NULL THEN
				PERFORM theazo_internal.raise_value('parameters', format('has %s, which is no argument of %s', theazo_internal.quoted(v_unknown), sql_function),
					'Its arguments are: ' || coalesce(nullif(array_to_string(theazo_internal.tool_arguments(p), ', '), ''), 'none') || '.');
			END IF;
		END IF;
	END IF;
	IF parameters ->> 'type' IS DISTINCT FROM 'object' THEN
		PERFORM theazo_internal.raise_value('parameters', 'must describe an object', 'Arguments have names: {"type": "object", "properties": {...}}.');
	END IF;
	INSERT INTO theazo_data.tool AS t (platform_id, name, description, parameters, type, url, secret_ref, sql_function, read_only, timeout_ms, requires_approval)
	VALUES (v_here, tool_set.name, tool_set.description, tool_set.parameters, CASE WHEN url IS NOT NULL THEN 'webhook' ELSE 'sql' END, tool_set.url, v_ref,
			tool_set.sql_function, coalesce(tool_set.read_only, true), v_ms, coalesce(tool_set.requires_approval, false))
	ON CONFLICT ON CONSTRAINT tool_pkey DO UPDATE
	   SET description = excluded.description, parameters = excluded.parameters, type = excluded.type, url = excluded.url,
		   secret_ref = excluded.secret_ref, sql_function = excluded.sql_function, read_only = excluded.read_only, timeout_ms = excluded.timeout_ms,
		   requires_approval = excluded.requires_approval, updated_at = now();
	IF was.secret_ref IS NOT NULL AND v_ref IS NULL THEN
		PERFORM theazo_internal.secret_drop(v_here, '', was.secret_ref, true);
	END IF;
	SELECT * INTO STRICT result FROM theazo.tools t WHERE t.platform_id = v_here AND t.name = tool_set.name;
	PERFORM theazo_internal.event_write(v_here, 'control', 'tool_set',
		jsonb_strip_nulls(jsonb_build_object('name', result.name, 'type', result.type, 'url', split_part(result.url, '?', 1), 'function', result.sql_function,
			'readOnly', CASE WHEN result.type = 'sql' THEN result.read_only END, 'requiresApproval', result.requires_approval)),
		NULL, NULL, NULL, theazo_internal.current_environment());
	result.secret := v_secret;
	RETURN result;
END
$$;
COMMENT ON FUNCTION theazo.tool_set(text, text, jsonb, text, text, boolean, interval, boolean, text) IS
'registers or replaces a tool: a webhook (its signing secret is shown once, here) or a function of this database';

CREATE OR REPLACE FUNCTION theazo.tool_list(api_key text DEFAULT NULL)
RETURNS SETOF theazo.tools
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'tool:read');
	PERFORM theazo_internal.refuse_narrowed('the list of tools');
	RETURN QUERY
	SELECT theazo_internal.current_platform()::theazo.id, b.name, b.description, b.parameters, 'builtin'::text, NULL::text, NULL::text, NULL::boolean,
		   NULL::integer, false, NULL::timestamptz, NULL::timestamptz, true, NULL::text
	  FROM theazo_internal.tool_builtins() b ORDER BY b.name COLLATE "C";
	RETURN QUERY
	SELECT t.* FROM theazo.tools t WHERE t.platform_id = theazo_internal.current_platform() ORDER BY t.name COLLATE "C";
END
$$;
COMMENT ON FUNCTION theazo.tool_list(text) IS 'tools that agents may be given: the built-in ones, then the platform''s own';

CREATE OR REPLACE FUNCTION theazo.tool_delete(name text, api_key text DEFAULT NULL)
RETURNS theazo.tools
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_here	text;
	was		theazo_data.tool;
	result	theazo.tools;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'tool:write');
	PERFORM theazo_internal.shared_change_check('a tool');
	v_here := theazo_internal.current_platform();
	IF EXISTS (SELECT FROM theazo_internal.tool_builtins() b WHERE b.name = tool_delete.name) THEN
		PERFORM theazo_internal.raise_scope(format('tool "%s" is built in', tool_delete.name), 'builtin', 'Leave it out of an agent''s tools instead.');
	END IF;
	SELECT * INTO was FROM theazo_data.tool t WHERE t.platform_id = v_here AND t.name = tool_delete.name FOR UPDATE;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('tool', tool_delete.name);
	END IF;
	SELECT * INTO STRICT result FROM theazo.tools t WHERE t.platform_id = v_here AND t.name = tool_delete.name;
	DELETE FROM theazo_data.tool t WHERE t.platform_id = v_here AND t.name = tool_delete.name;
	IF was.secret_ref IS NOT NULL
		AND EXISTS (SELECT FROM theazo_data.secret s WHERE s.platform_id = v_here AND s.session_id = '' AND s.name = was.secret_ref) THEN
		PERFORM theazo_internal.secret_drop(v_here, '', was.secret_ref, true);
	END IF;
	PERFORM theazo_internal.event_write(v_here, 'control', 'tool_deleted', jsonb_build_object('name', result.name, 'type', result.type),
		NULL, NULL, NULL, theazo_internal.current_environment());
	RETURN result;
END
$$;
COMMENT ON FUNCTION theazo.tool_delete(text, text) IS 'deletes a tool of the platform; calls under way end, later ones are unknown to the model';

-- ----------------------------------------------------------------------------
-- Trying one
-- ----------------------------------------------------------------------------
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
	a := theazo_internal.agent_take(tool_test_start.agent, false);
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
	ELSIF t.requires_approval THEN
		RAISE EXCEPTION USING ERRCODE = 'TZ204', MESSAGE = format('tool "%s" needs an approval', t.name),
			HINT = 'Register it without requires_approval to try it.';
	END IF;
	v_run := theazo_internal.tool_test_make(a, tool_test_start.name, t, input);
	RETURN theazo_internal.run_row(v_run);
END
$$;
COMMENT ON FUNCTION theazo.tool_test_start(text, text, jsonb, text) IS
'tries a tool as a model would call it, in the name of an agent, and returns the run at once; web_search and http_fetch of the built-in ones';

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
		v_request := theazo_internal.tool_request(t, p_input, a.id, a.session_id, a.user_id, v_run || '-1', theazo_internal.outer_role());
		v_provider := 'tool.' || t.name;
		v_ms := t.timeout_ms;
	ELSIF p_name = 'web_search' THEN
		v_request := theazo_internal.search_request(p_input ->> 'query', coalesce((p_input ->> 'limit')::integer, 5));
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
	IF p_state <> 'done' THEN
		PERFORM theazo_internal.run_finish(e.platform_id, e.run_id, CASE p_state WHEN 'cancelled' THEN 'cancelled' ELSE 'failed' END,
			NULL, NULL, p_result, 0, coalesce(p_started, e.claimed_at), p_finished, p_state = 'unknown');
		RETURN;
	END IF;
	SELECT p.input ->> 'tested' INTO v_name FROM theazo_data.run_payload p WHERE p.platform_id = e.platform_id AND p.root_id = e.root_id;
	t := theazo_internal.tool_answer(v_name, e.kind, p_state, p_result, NULL);
	PERFORM theazo_internal.run_finish(e.platform_id, e.run_id, 'completed',
		jsonb_build_object('output', theazo_internal.tool_bound(CASE WHEN t.failed THEN regexp_replace(t.output, '^error: ', '') ELSE t.output END),
			'success', NOT t.failed, 'truncated', coalesce(p_result -> 'truncated', 'false')),
		NULL, NULL, 0, coalesce(p_started, e.claimed_at), p_finished, false);
END
$$;
COMMENT ON FUNCTION theazo_internal.tool_test_settle(theazo_data.effect, text, jsonb, timestamptz, timestamptz) IS
'the end of trying a tool: what it said, and whether it worked';
