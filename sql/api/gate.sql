-- gate.sql: the one gate that every action passes. src/gate/gate.c holds its order.

CREATE OR REPLACE FUNCTION theazo_internal.gate_kinds()
RETURNS TABLE (kind text, exempt text)
LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_gate_kinds';
COMMENT ON FUNCTION theazo_internal.gate_kinds() IS
'kinds of actions, and why some pass unasked; permission_kinds() has the scopes they need';

CREATE OR REPLACE FUNCTION theazo_internal.gate(
	p_kind text, p_platform text, p_environment text, p_session text, p_agent text, p_run text, p_parent text, p_policy jsonb, p_labels text[],
	p_provider text DEFAULT NULL, p_tool text DEFAULT NULL, p_path text DEFAULT NULL, p_host text DEFAULT NULL)
RETURNS jsonb LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_gate';
COMMENT ON FUNCTION theazo_internal.gate(text, text, text, text, text, text, text, jsonb, text[], text, text, text, text) IS
'may this happen: null, and one effect of the kind may be queued in this transaction; {"delay_ms": n}, and it is to be due then; else why not, with its sqlstate';

-- In a caller's transaction: the refusal is an error, and its event stays.
CREATE OR REPLACE FUNCTION theazo_internal.gate_raise(
	p_refusal jsonb, p_kind text, p_platform text, p_environment text, p_session text, p_agent text, p_run text)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	PERFORM theazo_internal.event_refused(p_platform, p_refusal ->> 'category', p_refusal ->> 'action',
		pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('code', p_refusal -> 'sqlstate', 'kind', p_kind, 'message', p_refusal -> 'message',
			'retryMs', p_refusal -> 'retry_ms')),
		p_session, p_agent, p_run, p_environment, 'deny', p_refusal ->> 'rule', (p_refusal ->> 'violation')::boolean,
		CASE WHEN p_refusal ->> 'check' IN ('permission', 'flow') THEN 'denied' END);
	RAISE EXCEPTION USING ERRCODE = p_refusal ->> 'sqlstate', MESSAGE = p_refusal ->> 'message',
		DETAIL = CASE WHEN p_refusal ? 'retry_ms' THEN pg_catalog.format('Retry after %s ms.', p_refusal ->> 'retry_ms')
					  ELSE pg_catalog.format('Reason: %s.', p_refusal ->> 'rule') END,
		HINT = pg_catalog.concat_ws(' ', p_refusal ->> 'hint', p_refusal ->> 'alternative');
END
$$;
COMMENT ON FUNCTION theazo_internal.gate_raise(jsonb, text, text, text, text, text, text) IS
'raises what the gate refused, with its event';

-- In a dispatcher's transaction: the event alone; what follows is the run's business.
CREATE OR REPLACE FUNCTION theazo_internal.gate_note(p_refusal jsonb, p_kind text, r theazo_data.run, p_tool text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	PERFORM theazo_internal.event_write(r.platform_id, p_refusal ->> 'category', p_refusal ->> 'action',
		pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('code', p_refusal -> 'sqlstate', 'kind', p_kind, 'tool', pg_catalog."left"(p_tool, 128),
			'message', p_refusal -> 'message', 'retryMs', p_refusal -> 'retry_ms')),
		r.session_id, r.agent_id, r.id, r.environment, 'deny', p_refusal ->> 'rule', (p_refusal ->> 'violation')::boolean,
		CASE WHEN p_refusal ->> 'check' IN ('permission', 'flow') THEN 'denied' END);
END
$$;
COMMENT ON FUNCTION theazo_internal.gate_note(jsonb, text, theazo_data.run, text) IS 'writes the event of what the gate refused a run';

-- For an agent outside of a run of the loop: exec, files, requests, a sandbox.
CREATE OR REPLACE FUNCTION theazo_internal.gate_agent(
	p_kind text, a theazo_data.agent, p_run text DEFAULT NULL, p_provider text DEFAULT NULL, p_path text DEFAULT NULL, p_host text DEFAULT NULL,
	p_tool text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	v_refusal	jsonb := theazo_internal.gate(p_kind, a.platform_id, a.key_environment, a.session_id, a.id, p_run,
		theazo_internal.id_root(a.parent_run_id), theazo_internal.policy_of(a), theazo_internal.flow_direct(a, p_kind), p_provider, p_tool, p_path, p_host);
BEGIN
	IF v_refusal ? 'sqlstate' THEN
		PERFORM theazo_internal.gate_raise(v_refusal, p_kind, a.platform_id, a.key_environment, a.session_id, a.id, p_run);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.gate_agent(text, theazo_data.agent, text, text, text, text, text) IS
'has an action of an agent pass the gate, or raises why it may not';
