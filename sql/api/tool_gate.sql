-- tool_gate.sql: what a tool call passes before it begins, and how one goes on that a human has decided about.

-- The kind of action that a call of a tool is.
CREATE OR REPLACE FUNCTION theazo_internal.tool_kind(t theazo_data.tool, p_name text, p_arguments jsonb)
RETURNS text
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
	IF t.name IS NOT NULL THEN
		RETURN CASE t.type WHEN 'webhook' THEN 'tool.webhook' ELSE 'tool.sql' END;
	END IF;
	RETURN CASE p_name
		WHEN 'run_code' THEN 'compute.exec'
		WHEN 'read_file' THEN 'compute.read'
		WHEN 'write_file' THEN 'compute.write'
		WHEN 'list_files' THEN 'compute.list'
		WHEN 'http_fetch' THEN CASE WHEN upper(coalesce(p_arguments ->> 'method', 'GET')) IN ('GET', 'HEAD') THEN 'http.get' ELSE 'http.request' END
		WHEN 'web_search' THEN 'http.get'
		ELSE 'tool.progress' END;
END
$$;
COMMENT ON FUNCTION theazo_internal.tool_kind(theazo_data.tool, text, jsonb) IS 'kind of action of a tool call, as the gate knows it';

-- Null when the call may begin, else what the model is told. A path that cannot be cleaned is refused by the call itself.
CREATE OR REPLACE FUNCTION theazo_internal.tool_gate(
	l theazo_data.run_loop, r theazo_data.run, t theazo_data.tool, p_name text, p_arguments jsonb)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
	v_kind		text := theazo_internal.tool_kind(t, p_name, p_arguments);
	v_path		text;
	v_refusal	jsonb;
BEGIN
	IF v_kind IN ('compute.read', 'compute.write', 'compute.list') THEN
		BEGIN
			v_path := theazo_internal.path_check(coalesce(p_arguments ->> 'path', p_arguments ->> 'dir', '/'), v_kind = 'compute.list');
		EXCEPTION WHEN invalid_parameter_value THEN
			RETURN 'error: ' || SQLERRM;
		END;
	END IF;
	v_refusal := theazo_internal.gate(v_kind, l.platform_id, r.environment, r.session_id, r.agent_id, r.id, l.parent_root, l.policy,
		theazo_internal.flow_call(l, v_kind), CASE WHEN t.name IS NOT NULL THEN 'tool.' || t.name END, p_name, v_path,
		theazo_internal.tool_host(t, p_name, p_arguments));
	IF v_refusal ? 'sqlstate' THEN
		PERFORM theazo_internal.gate_note(v_refusal, v_kind, r, p_name);
		RETURN concat_ws('. ', 'error: ' || (v_refusal ->> 'message') || coalesce(' (retry after ' || (v_refusal ->> 'retry_ms') || ' ms)', ''),
						 v_refusal ->> 'alternative');
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION theazo_internal.tool_gate(theazo_data.run_loop, theazo_data.run, theazo_data.tool, text, jsonb) IS
'has a tool call pass the gate; null when it may begin, else what the model is told';

-- A call that has waited for a human goes on: it begins with what was approved, or is answered with the reason. The agent is locked.
CREATE OR REPLACE FUNCTION theazo_internal.tool_decided(
	p_platform text, p_root text, p_seq integer, p_verdict text, p_arguments jsonb, p_reason text)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	l		theazo_data.run_loop;
	r		theazo_data.run;
	s		theazo_data.step;
	t		record;
BEGIN
	SELECT * INTO s FROM theazo_data.step x WHERE x.platform_id = p_platform AND x.root_id = p_root AND x.seq = p_seq FOR UPDATE;
	SELECT * INTO r FROM theazo_data.run x WHERE x.platform_id = p_platform AND x.id = 'run_' || p_root;
	IF s.state IS DISTINCT FROM 'waiting' OR r.status NOT IN ('queued', 'running') THEN
		RETURN;
	END IF;
	SELECT * INTO l FROM theazo_data.run_loop x WHERE x.platform_id = p_platform AND x.root_id = p_root;
	IF p_verdict = 'approved' THEN
		UPDATE theazo_data.step_payload x SET input = p_arguments
		 WHERE x.platform_id = p_platform AND x.root_id = p_root AND x.seq = p_seq AND x.input IS DISTINCT FROM p_arguments;
		t := theazo_internal.tool_begin(l, r, p_seq, s.name, p_arguments, true);
	ELSE
		SELECT 'denied: ' || left(coalesce(nullif(p_reason, ''), 'no reason was given'), 1000) AS output, true AS failed, NULL::text AS effect_id, NULL::text AS approval_id, false AS judged INTO t;
	END IF;
	PERFORM theazo_internal.tool_goes_on(l, r, s, t.effect_id, t.approval_id, t.judged, t.failed, t.output);
END
$$;
COMMENT ON FUNCTION theazo_internal.tool_decided(text, text, integer, text, jsonb, text) IS
'goes on with a tool call about which a human has decided: approved or denied';

-- A step that has waited: what tool_begin() has made of its call now.
CREATE OR REPLACE FUNCTION theazo_internal.tool_goes_on(
	l theazo_data.run_loop, r theazo_data.run, s theazo_data.step, p_effect text, p_approval text, p_judged boolean, p_failed boolean, p_output text)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	v_now	timestamptz := clock_timestamp();
BEGIN
	IF p_effect IS NOT NULL OR p_approval IS NOT NULL THEN
		UPDATE theazo_data.step x
		   SET state = CASE WHEN p_judged OR p_approval IS NOT NULL THEN 'waiting' ELSE 'queued' END, effect_id = p_effect,
			   approval_id = coalesce(p_approval, x.approval_id)
		 WHERE x.platform_id = s.platform_id AND x.root_id = s.root_id AND x.seq = s.seq;
		PERFORM theazo_internal.run_moved(r.id);
	ELSE
		PERFORM theazo_internal.tool_end(l, r, s, CASE WHEN p_failed THEN 'failed' ELSE 'done' END, p_output, NULL, v_now,
			CASE WHEN p_failed THEN 'tool_failed' END, NULL);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.tool_goes_on(theazo_data.run_loop, theazo_data.run, theazo_data.step, text, text, boolean, boolean, text) IS
'goes on with a tool call that has waited: it is carried out, waits for something else, or has its answer';
