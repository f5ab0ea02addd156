-- context.sql: what an agent keeps by name between its runs.
--
-- The platform reads and writes as it likes. In the name of a run (its agent's code, or a function that a model called) it
-- takes data:read or storage:read, data:write or storage:write; what is written carries the run's labels, and whoever reads
-- it carries them on.

CREATE OR REPLACE VIEW theazo.agent_contexts WITH (security_barrier) AS
SELECT c.platform_id, c.agent_id, c.key, c.session_id, c.environment, c.value, c.labels, c.run_id, c.updated_at
  FROM theazo_data.agent_context c
 WHERE (SELECT theazo_internal.may_read('agent:read'))
   AND (SELECT CASE WHEN theazo_internal.current_run() IS NULL THEN true ELSE theazo_internal.flow_open(current_user) END);
COMMENT ON VIEW theazo.agent_contexts IS 'what agents keep between their runs; labels of what was read before it was written, run_id is null where the platform wrote it';

CREATE OR REPLACE FUNCTION theazo_internal.context_key_check(p_key text)
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RETURN theazo_internal.name_check('key', p_key, 200);
END $$;
COMMENT ON FUNCTION theazo_internal.context_key_check(text) IS 'a key of an agent''s context; returns it';

CREATE OR REPLACE FUNCTION theazo_internal.context_agent(p_agent text)
RETURNS theazo_data.agent LANGUAGE plpgsql STABLE AS $$
DECLARE
	a theazo_data.agent;
BEGIN
	SELECT * INTO a FROM theazo_data.agent x WHERE x.platform_id = theazo_internal.current_platform() AND x.id = p_agent;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('agent', p_agent);
	END IF;
	RETURN a;
END $$;
COMMENT ON FUNCTION theazo_internal.context_agent(text) IS 'an agent as the caller may see it, or 42704';

-- Stores, for the platform (no run, no labels) or in the name of a run.
CREATE OR REPLACE FUNCTION theazo_internal.context_put(a theazo_data.agent, p_key text, p_value jsonb, p_run text, p_labels text[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF p_value IS NULL THEN
		PERFORM theazo_internal.raise_value('value', 'is missing', 'Give JSON; theazo.agent_context_delete() removes a key.');
	ELSIF pg_catalog.octet_length(p_value::text) > 65536 THEN
		PERFORM theazo_internal.raise_value('value', 'is larger than 64 KiB', 'Keep larger things in files, and their names here.');
	END IF;
	-- two writers of new keys see each other here
	PERFORM 1 FROM theazo_data.agent x WHERE x.platform_id = a.platform_id AND x.id = a.id FOR NO KEY UPDATE;
	IF NOT EXISTS (SELECT FROM theazo_data.agent_context c WHERE c.platform_id = a.platform_id AND c.agent_id = a.id AND c.key = p_key)
		AND (SELECT pg_catalog.count(*) FROM theazo_data.agent_context c WHERE c.platform_id = a.platform_id AND c.agent_id = a.id) >= 1000 THEN
		PERFORM theazo_internal.raise_ceiling('keys in the context of this agent', 1000, 'Delete those that are not needed any more.');
	END IF;
	INSERT INTO theazo_data.agent_context AS c (platform_id, agent_id, key, session_id, environment, value, labels, run_id)
	VALUES (a.platform_id, a.id, p_key, a.session_id, a.key_environment, p_value, coalesce(p_labels, '{}'), p_run)
	ON CONFLICT ON CONSTRAINT agent_context_pkey DO UPDATE
	   SET value = excluded.value, labels = excluded.labels, run_id = excluded.run_id, updated_at = pg_catalog.now();
	-- what it holds is the agent's, not the trail's
	PERFORM theazo_internal.event_write(a.platform_id, 'data', 'context_written', pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('key', p_key,
		'bytes', pg_catalog.octet_length(p_value::text), 'labels', nullif(pg_catalog.to_jsonb(p_labels), '[]'))), a.session_id, a.id, p_run, a.key_environment);
END $$;
COMMENT ON FUNCTION theazo_internal.context_put(theazo_data.agent, text, jsonb, text, text[]) IS 'stores a value in the context of an agent, with its event';

-- A run and its agent, for work in its name; of the caller's platform where there is a caller.
CREATE OR REPLACE FUNCTION theazo_internal.context_run(p_run text, p_kind text, OUT l theazo_data.run_loop, OUT a theazo_data.agent)
LANGUAGE plpgsql AS $$
DECLARE
	r	theazo_data.run;
	v	record;
BEGIN
	SELECT * INTO r FROM theazo_data.run x
	 WHERE x.id = p_run AND x.platform_id = coalesce(theazo_internal.current_platform(), x.platform_id) AND x.status IN ('queued', 'running');
	SELECT * INTO l FROM theazo_data.run_loop x WHERE x.platform_id = r.platform_id AND x.root_id = theazo_internal.id_root(r.id);
	SELECT * INTO a FROM theazo_data.agent x WHERE x.platform_id = l.platform_id AND x.id = l.agent_id;
	IF a.id IS NULL THEN
		PERFORM theazo_internal.raise_not_found('run', p_run);
	END IF;
	v := theazo_internal.permission_decide(l.platform_id, l.agent_id, l.policy, l.labels || theazo_internal.flow_noted(), p_kind, NULL, NULL, NULL);
	IF NOT v.allowed THEN
		PERFORM theazo_internal.event_refused(l.platform_id, 'permission', 'permission_denied', pg_catalog.jsonb_build_object('code', 'TZ602', 'message', v.message),
			a.session_id, a.id, p_run, a.key_environment, 'deny', v.rule, true, 'denied');
		RAISE EXCEPTION USING ERRCODE = 'TZ602', MESSAGE = v.message, DETAIL = 'Reason: permission.', HINT = pg_catalog.concat_ws(' ', v.hint, v.alternative);
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.context_run(text, text) IS 'a run at work and its agent, which may read or write a context; TZ602 when it may not';

-- p_agent: whose context, the run's own agent's when null. Another one's takes agents:read as well.
CREATE OR REPLACE FUNCTION theazo_internal.context_read(p_run text, p_key text, p_agent text DEFAULT NULL)
RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	o	record;
	c	theazo_data.agent_context;
	v_labels text[];
BEGIN
	o := theazo_internal.context_run(p_run, 'context.read');
	IF p_agent <> (o.a).id THEN
		PERFORM theazo_internal.context_run(p_run, 'run.read');
	END IF;
	SELECT * INTO c FROM theazo_data.agent_context x
	 WHERE x.platform_id = (o.a).platform_id AND x.agent_id = coalesce(p_agent, (o.a).id) AND x.key = p_key AND x.environment = (o.a).key_environment;
	IF theazo_internal.flow_known((o.a).platform_id) THEN
		-- that there is nothing under a labelled key is something read as well
		v_labels := theazo_internal.labels_join(VARIADIC coalesce(c.labels, '{}')
			|| theazo_internal.flow_sources((o.a).platform_id, (o.a).id, (o.l).policy, 'context.read', p_key => p_key));
		IF theazo_internal.current_run() IS NOT NULL THEN
			PERFORM theazo_internal.flow_note(v_labels);
		ELSE
			UPDATE theazo_data.run_loop x SET labels = theazo_internal.labels_join(VARIADIC x.labels || v_labels)
			 WHERE x.platform_id = (o.l).platform_id AND x.root_id = (o.l).root_id AND NOT x.labels @> v_labels;
		END IF;
	END IF;
	IF NOT current_setting('transaction_read_only')::boolean THEN
		PERFORM theazo_internal.event_write((o.a).platform_id, 'data', 'context_read', jsonb_build_object('key', p_key, 'found', c.key IS NOT NULL),
			(o.a).session_id, (o.a).id, p_run, (o.a).key_environment);
	ELSE
		PERFORM theazo_internal.event_refused((o.a).platform_id, 'data', 'context_read', jsonb_build_object('key', p_key, 'found', c.key IS NOT NULL),
			(o.a).session_id, (o.a).id, p_run, (o.a).key_environment, p_decision => 'allow');
	END IF;
	RETURN c.value;
END
$$;
COMMENT ON FUNCTION theazo_internal.context_read(text, text, text) IS 'reads a context in the name of a run, which carries its labels from then on; null when the key is not there';

CREATE OR REPLACE FUNCTION theazo_internal.context_write(p_run text, p_key text, p_value jsonb, p_agent text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	o	record;
	a	theazo_data.agent;
BEGIN
	o := theazo_internal.context_run(p_run, 'context.write');
	a := o.a;
	PERFORM theazo_internal.context_key_check(p_key);
	IF p_agent <> a.id THEN
		PERFORM theazo_internal.context_run(p_run, 'agent.write');
		SELECT * INTO a FROM theazo_data.agent x
		 WHERE x.platform_id = (o.a).platform_id AND x.id = p_agent AND x.key_environment = (o.a).key_environment;
		IF NOT FOUND THEN
			PERFORM theazo_internal.raise_not_found('agent', p_agent);
		END IF;
	END IF;
	PERFORM theazo_internal.context_put(a, p_key, p_value, p_run, theazo_internal.labels_join(VARIADIC (o.l).labels || theazo_internal.flow_noted()));
END
$$;
COMMENT ON FUNCTION theazo_internal.context_write(text, text, jsonb, text) IS 'writes a context in the name of a run, with its labels';

-- ---------------------------------------------------------------------------------------
-- faces

CREATE OR REPLACE FUNCTION theazo.agent_context_set(agent text, key text, value jsonb, api_key text DEFAULT NULL)
RETURNS theazo.agent_contexts LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
	a		theazo_data.agent;
	result	theazo.agent_contexts;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'agent:write');
	a := theazo_internal.context_agent(agent);
	PERFORM theazo_internal.context_key_check(key);
	IF theazo_internal.current_run() IS NOT NULL THEN
		PERFORM theazo_internal.context_write(theazo_internal.current_run(), key, value, a.id);
	ELSE
		PERFORM theazo_internal.context_put(a, key, value, NULL, NULL);
	END IF;
	SELECT * INTO STRICT result FROM theazo.agent_contexts c WHERE c.platform_id = a.platform_id AND c.agent_id = a.id AND c.key = agent_context_set.key;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.agent_context_set(text, text, jsonb, text) IS 'keeps a value for an agent under a key, at most 64 KiB';

CREATE OR REPLACE FUNCTION theazo.agent_context_get(agent text, key text, api_key text DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	a theazo_data.agent;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'agent:read');
	a := theazo_internal.context_agent(agent_context_get.agent);
	IF theazo_internal.current_run() IS NOT NULL THEN
		RETURN theazo_internal.context_read(theazo_internal.current_run(), agent_context_get.key, a.id);
	END IF;
	RETURN (SELECT c.value FROM theazo.agent_contexts c
			 WHERE c.platform_id = a.platform_id AND c.agent_id = a.id AND c.key = agent_context_get.key);
END $$;
COMMENT ON FUNCTION theazo.agent_context_get(text, text, text) IS 'what an agent keeps under a key, null for nothing';

CREATE OR REPLACE FUNCTION theazo.agent_context_list(agent text, api_key text DEFAULT NULL)
RETURNS SETOF theazo.agent_contexts LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	a theazo_data.agent;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'agent:read');
	a := theazo_internal.context_agent(agent_context_list.agent);
	IF theazo_internal.current_run() IS NOT NULL THEN
		PERFORM theazo_internal.flow_open(NULL);
		PERFORM theazo_internal.flow_note(c.labels) FROM theazo_data.agent_context c WHERE c.platform_id = a.platform_id AND c.agent_id = a.id;
		PERFORM theazo_internal.flow_act('context.read');
	END IF;
	RETURN QUERY
	SELECT c.* FROM theazo.agent_contexts c WHERE c.platform_id = a.platform_id AND c.agent_id = a.id ORDER BY c.key;
END $$;
COMMENT ON FUNCTION theazo.agent_context_list(text, text) IS 'everything an agent keeps';

CREATE OR REPLACE FUNCTION theazo.agent_context_delete(agent text, key text, api_key text DEFAULT NULL)
RETURNS theazo.agent_contexts LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	a		theazo_data.agent;
	result	theazo.agent_contexts;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'agent:write');
	a := theazo_internal.context_agent(agent_context_delete.agent);
	IF theazo_internal.current_run() IS NOT NULL THEN
		PERFORM theazo_internal.context_read(theazo_internal.current_run(), agent_context_delete.key, a.id);
		PERFORM theazo_internal.flow_act('context.write');
	END IF;
	SELECT * INTO result FROM theazo.agent_contexts c WHERE c.platform_id = a.platform_id AND c.agent_id = a.id AND c.key = agent_context_delete.key;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('key', agent_context_delete.key);
	END IF;
	DELETE FROM theazo_data.agent_context c WHERE c.platform_id = a.platform_id AND c.agent_id = a.id AND c.key = agent_context_delete.key;
	PERFORM theazo_internal.event_write(a.platform_id, 'data', 'context_deleted', pg_catalog.jsonb_build_object('key', agent_context_delete.key),
		a.session_id, a.id, theazo_internal.current_run(), a.key_environment);
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.agent_context_delete(text, text, text) IS 'removes a key from what an agent keeps; returns what it held';
