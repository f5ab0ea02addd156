-- tool.sql: tools as REST shows them.

CREATE OR REPLACE FUNCTION theazo_internal.rest_tool(t theazo.tools)
RETURNS jsonb LANGUAGE sql IMMUTABLE
RETURN pg_catalog.jsonb_build_object('name', t.name, 'description', t.description, 'builtin', t.builtin, 'parameters', t.parameters,
		'requiresApproval', t.requires_approval)
	|| CASE WHEN t.url IS NULL THEN '{}'::jsonb ELSE pg_catalog.jsonb_build_object('handler', pg_catalog.jsonb_build_object('type', t.type, 'url', t.url)) END
	|| CASE WHEN t.secret IS NULL THEN '{}'::jsonb ELSE pg_catalog.jsonb_build_object('secret', t.secret) END;
COMMENT ON FUNCTION theazo_internal.rest_tool(theazo.tools) IS
'a Tool; only the answer that registers it has its secret';

CREATE OR REPLACE FUNCTION theazo_internal.rest_tool_set(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	v_name			text := theazo_internal.rest_text(a, 'name', true, 64);
	v_description	text := theazo_internal.rest_text(a, 'description', true, 4096);
	v_parameters	jsonb := theazo_internal.rest_object(a, 'parameters', true);
	v_handler		jsonb := theazo_internal.rest_object(a, 'handler', true);
	v_column		text;
	v_message		text;
	v_hint			text;
BEGIN
	IF coalesce(v_handler -> 'type', '"webhook"') <> '"webhook"' THEN
		PERFORM theazo_internal.rest_bad('handler.type', 'is not one of: webhook', 'Functions of the database are registered with theazo.tool_set().');
	ELSIF coalesce(pg_catalog.jsonb_typeof(v_handler -> 'url'), 'null') <> 'string' THEN
		PERFORM theazo_internal.rest_bad('handler.url', 'must be a string');
	END IF;
	RETURN theazo_internal.rest_tool(theazo.tool_set(v_name, v_description, v_parameters, v_handler ->> 'url',
		requires_approval => coalesce(theazo_internal.rest_bool(a, 'requiresApproval'), false)));
EXCEPTION WHEN invalid_parameter_value THEN
	GET STACKED DIAGNOSTICS v_column = COLUMN_NAME, v_message = MESSAGE_TEXT, v_hint = PG_EXCEPTION_HINT;
	RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = v_message,
		COLUMN = CASE v_column WHEN 'url' THEN 'handler.url' ELSE v_column END, HINT = v_hint;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_tool_set(jsonb) IS
'POST /v1/tools';

CREATE OR REPLACE FUNCTION theazo_internal.rest_tool_list(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT coalesce(pg_catalog.jsonb_agg(theazo_internal.rest_tool(t) ORDER BY t.created_at DESC NULLS LAST, t.name COLLATE "C"), '[]')
			  FROM theazo.tool_list() t);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_tool_list(jsonb) IS
'GET /v1/tools: the platform''s own, newest first, then the builtin ones';

CREATE OR REPLACE FUNCTION theazo_internal.rest_tool_delete(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo.tool_delete(a ->> 'name');
	RETURN NULL;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_tool_delete(jsonb) IS
'DELETE /v1/tools/:name';

CREATE OR REPLACE FUNCTION theazo_internal.rest_tool_test(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	r theazo.runs := theazo.tool_test_start(NULL, a ->> 'name', a -> '$body');
BEGIN
	RETURN theazo_internal.rest_wait(r.id, 'tool_tested', pg_catalog.jsonb_build_object('run', r.id, 'tool', a ->> 'name'));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_tool_test(jsonb) IS
'POST /v1/tools/:name/test';

CREATE OR REPLACE FUNCTION theazo_internal.rest_tool_tested(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	r theazo.runs := theazo.run_get(a ->> 'run');
	x theazo.run_results;
	v_url text;
BEGIN
	IF r.status IN ('queued', 'running') THEN
		RETURN theazo_internal.rest_wait(r.id, 'tool_tested', a);
	ELSIF r.status <> 'completed' THEN
		SELECT t.url INTO v_url FROM theazo.tools t WHERE t.name = a ->> 'tool';
		IF v_url IS NULL THEN
			PERFORM theazo_internal.rest_run_failed(r);
		END IF;
		RAISE EXCEPTION USING ERRCODE = 'TZ412', MESSAGE = coalesce(nullif(r.error_message, ''), 'the tool''s handler did not answer'),
			DETAIL = pg_catalog.jsonb_build_object('tool', a ->> 'tool', 'url', v_url)::text,
			HINT = 'Look whether the handler runs, and answers within its time.';
	END IF;
	x := theazo.run_result(r.id);
	RETURN pg_catalog.jsonb_build_object('output', coalesce(x.output, ''), 'success', coalesce(x.success, false));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_tool_tested(jsonb) IS
'what trying a tool came to';
