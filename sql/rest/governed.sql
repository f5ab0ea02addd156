-- governed.sql: governed agents as their interface shows them: members in snake_case, numbers as ids.

CREATE OR REPLACE FUNCTION theazo_internal.rest_governed(g theazo.governed_agents)
RETURNS jsonb LANGUAGE sql STABLE
RETURN pg_catalog.jsonb_build_object(
	'id', g.number, 'name', g.name, 'version', g.version, 'description', g.description,
	-- one that has ended is as good as paused for ever
	'status', CASE g.status WHEN 'ended' THEN 'paused' ELSE g.status END, 'config', g.config,
	'permissions', g.permissions, 'sandbox', g.sandbox, 'limits', g.limits, 'compliance', g.compliance,
	'execution_count', g.execution_count, 'last_execution_at', theazo_internal.rest_at(g.last_execution_at),
	'created_at', theazo_internal.rest_at(g.created_at), 'updated_at', theazo_internal.rest_at(g.updated_at))
	|| CASE WHEN g.warnings IS NULL THEN '{}'::jsonb ELSE pg_catalog.jsonb_build_object('warnings', g.warnings) END;
COMMENT ON FUNCTION theazo_internal.rest_governed(theazo.governed_agents) IS
'a governed agent without its code; warnings only where there are some';

-- An id of a path is a number, or the text id. A name would find another agent whose name is a number.
CREATE OR REPLACE FUNCTION theazo_internal.rest_governed_find(p_id text)
RETURNS theazo.governed_agents LANGUAGE plpgsql AS $$
DECLARE
	g theazo.governed_agents;
BEGIN
	g := theazo.governed_get(p_id);
	IF p_id NOT IN (g.number::text, g.id) THEN
		PERFORM theazo_internal.raise_not_found('governed agent', p_id);
	END IF;
	RETURN g;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_governed_find(text) IS
'the governed agent of this id, or 404';

CREATE OR REPLACE FUNCTION theazo_internal.rest_governed_answer(g theazo.governed_agents)
RETURNS jsonb LANGUAGE sql STABLE
RETURN pg_catalog.jsonb_build_object('success', true, 'agent', theazo_internal.rest_governed(g));
COMMENT ON FUNCTION theazo_internal.rest_governed_answer(theazo.governed_agents) IS
'the answer that shows one governed agent';

-- Pages of this interface are counted from 1.
CREATE OR REPLACE FUNCTION theazo_internal.rest_page_number(a jsonb)
RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	t text := theazo_internal.rest_value(a, 'page', false) #>> '{}';
BEGIN
	IF NOT t OPERATOR(pg_catalog.~) '^0*[1-9][0-9]{0,8}$' THEN
		PERFORM theazo_internal.rest_bad('page', 'must be a whole number from 1 on');
	END IF;
	RETURN coalesce(t::integer, 1);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_page_number(jsonb) IS
'the page that is asked for, the first by default';

CREATE OR REPLACE FUNCTION theazo_internal.rest_governed_register(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	v_name	text := theazo_internal.rest_text(a, 'name', true);
	v_new	boolean := NOT EXISTS (SELECT FROM theazo.governed_agents g WHERE g.name = v_name);
	g		theazo.governed_agents;
BEGIN
	g := theazo.governed_register(v_name, theazo_internal.rest_text(a, 'entry_code'), theazo_internal.rest_object(a, 'config'),
		theazo_internal.rest_text(a, 'version'), theazo_internal.rest_text(a, 'description'), theazo_internal.rest_text(a, 'status'),
		theazo_internal.rest_value(a, 'permissions', false), theazo_internal.rest_text(a, 'sandbox'),
		theazo_internal.rest_object(a, 'limits'), theazo_internal.rest_array(a, 'compliance'));
	IF NOT v_new THEN
		PERFORM theazo_internal.rest_answer(200);
	END IF;
	RETURN theazo_internal.rest_governed_answer(g);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_governed_register(jsonb) IS
'POST /api/v1/sdk/agents';

CREATE OR REPLACE FUNCTION theazo_internal.rest_governed_list(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	v_status	text := theazo_internal.rest_one_of(a, 'status', false, 'draft', 'ready', 'paused', 'halted');
	v_rows		jsonb;
BEGIN
	SELECT coalesce(pg_catalog.jsonb_agg(theazo_internal.rest_governed(g) ORDER BY g.id DESC), '[]') INTO v_rows
	  FROM theazo.governed_list(v_status, theazo_internal.rest_page_number(a), theazo_internal.rest_limit(a)) g;
	RETURN pg_catalog.jsonb_build_object('success', true, 'agents', v_rows,
		'total', (SELECT pg_catalog.count(*) FROM theazo.governed_agents g WHERE v_status IS NULL OR g.status = v_status));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_governed_list(jsonb) IS
'GET /api/v1/sdk/agents';

CREATE OR REPLACE FUNCTION theazo_internal.rest_governed_get(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	g theazo.governed_agents := theazo_internal.rest_governed_find(a ->> 'id');
BEGIN
	RETURN pg_catalog.jsonb_build_object('success', true,
		'agent', theazo_internal.rest_governed(g) || pg_catalog.jsonb_build_object('entry_code', g.entry_code));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_governed_get(jsonb) IS
'GET /api/v1/sdk/agents/:id';

CREATE OR REPLACE FUNCTION theazo_internal.rest_governed_update(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	g			theazo.governed_agents := theazo_internal.rest_governed_find(a ->> 'id');
	v_changes	jsonb;
BEGIN
	SELECT coalesce(pg_catalog.jsonb_object_agg(e.key, e.value), '{}') INTO v_changes
	  FROM pg_catalog.jsonb_each(a) e
	 WHERE e.key IN ('name', 'version', 'description', 'entry_code', 'config', 'status', 'permissions', 'sandbox', 'limits', 'compliance');
	IF v_changes = '{}' THEN
		RETURN theazo_internal.rest_governed_answer(g);
	END IF;
	RETURN theazo_internal.rest_governed_answer(theazo.governed_update(g.id, v_changes));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_governed_update(jsonb) IS
'PATCH /api/v1/sdk/agents/:id';

CREATE OR REPLACE FUNCTION theazo_internal.rest_governed_delete(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo.governed_delete((theazo_internal.rest_governed_find(a ->> 'id')).id);
	RETURN '{"success": true}';
END $$;
COMMENT ON FUNCTION theazo_internal.rest_governed_delete(jsonb) IS
'DELETE /api/v1/sdk/agents/:id';

-- ---------------------------------------------------------------------------------------
-- context

CREATE OR REPLACE FUNCTION theazo_internal.rest_governed_context(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN pg_catalog.jsonb_build_object('success', true, 'context', (
		SELECT coalesce(pg_catalog.jsonb_object_agg(c.key, c.value), '{}')
		  FROM theazo.agent_context_list((theazo_internal.rest_governed_find(a ->> 'id')).id) c));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_governed_context(jsonb) IS
'GET /api/v1/sdk/agents/:id/context';

CREATE OR REPLACE FUNCTION theazo_internal.rest_governed_context_set(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF a -> 'value' IS NULL THEN
		PERFORM theazo_internal.rest_bad('value', 'is required');
	END IF;
	PERFORM theazo.agent_context_set((theazo_internal.rest_governed_find(a ->> 'id')).id, a ->> 'key', a -> 'value');
	RETURN '{"success": true}';
END $$;
COMMENT ON FUNCTION theazo_internal.rest_governed_context_set(jsonb) IS
'PUT /api/v1/sdk/agents/:id/context/:key';

CREATE OR REPLACE FUNCTION theazo_internal.rest_governed_context_delete(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo.agent_context_delete((theazo_internal.rest_governed_find(a ->> 'id')).id, a ->> 'key');
	RETURN '{"success": true}';
END $$;
COMMENT ON FUNCTION theazo_internal.rest_governed_context_delete(jsonb) IS
'DELETE /api/v1/sdk/agents/:id/context/:key';

-- ---------------------------------------------------------------------------------------
-- the kill switch

CREATE OR REPLACE FUNCTION theazo_internal.rest_governed_kill(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	g			theazo.governed_agents := theazo_internal.rest_governed_find(a ->> 'id');
	v_running	bigint;
BEGIN
	SELECT pg_catalog.count(*) INTO v_running FROM theazo.executions e WHERE e.agent_id = g.id AND e.status = 'running';
	PERFORM theazo.kill(g.id, coalesce(theazo_internal.rest_text(a, 'reason'), 'killed on request'));
	RETURN theazo_internal.rest_governed_answer(theazo.governed_get(g.id)) || pg_catalog.jsonb_build_object('terminated_executions', v_running);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_governed_kill(jsonb) IS
'POST /api/sdk/agents/:id/kill';

-- What the platform itself has halted; a halt of the operator shows as well, and stays when the platform lifts its own.
CREATE OR REPLACE FUNCTION theazo_internal.rest_kill_switch()
RETURNS jsonb LANGUAGE sql STABLE
RETURN (
	SELECT pg_catalog.jsonb_build_object('success', true, 'halted', coalesce(h.in_force, false),
		'reason', CASE WHEN h.in_force THEN h.reason END, 'changed_at', theazo_internal.rest_at(coalesce(h.lifted_at, h.halted_at)))
	  FROM (VALUES (1)) AS one (n)
	  LEFT JOIN (SELECT x.in_force, x.reason, x.halted_at, x.lifted_at FROM theazo.halts x WHERE x.kind IN ('platform', 'global')
				  ORDER BY x.in_force DESC, coalesce(x.lifted_at, x.halted_at) DESC, x.id DESC LIMIT 1) h ON true);
COMMENT ON FUNCTION theazo_internal.rest_kill_switch() IS
'is the platform halted, why, and since when that is so';

CREATE OR REPLACE FUNCTION theazo_internal.rest_kill_switch_get(a jsonb)
RETURNS jsonb LANGUAGE sql STABLE
RETURN theazo_internal.rest_kill_switch();
COMMENT ON FUNCTION theazo_internal.rest_kill_switch_get(jsonb) IS
'GET /api/sdk/kill-switch/global';

CREATE OR REPLACE FUNCTION theazo_internal.rest_kill_switch_set(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	v_halt		boolean := theazo_internal.rest_bool(a, 'halted', true);
	v_reason	text := theazo_internal.rest_text(a, 'reason', false, 200);
	v_agents	bigint;
BEGIN
	SELECT pg_catalog.count(*) INTO v_agents FROM theazo.agents g WHERE g.status IN ('booting', 'ready', 'running', 'paused');
	IF v_halt AND NOT (theazo_internal.rest_kill_switch() -> 'halted')::boolean THEN
		PERFORM theazo.halt(coalesce(v_reason, 'halted on request'));
	ELSIF NOT v_halt AND EXISTS (SELECT FROM theazo.halts h WHERE h.kind = 'platform' AND h.in_force AND NOT h.by_operator) THEN
		PERFORM theazo.unhalt();
	END IF;
	RETURN theazo_internal.rest_kill_switch() || pg_catalog.jsonb_build_object('affected_agents', v_agents);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_kill_switch_set(jsonb) IS
'POST /api/sdk/kill-switch/global; what is as wanted already stays as it is';
