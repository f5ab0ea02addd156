-- governed_set.sql: how governed agents come to be and change.

-- The session of those that are registered without one: made with the first, and anew when it was ended.
CREATE OR REPLACE FUNCTION theazo_internal.governed_home()
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	v_here	text := theazo_internal.current_platform();
	v_env	text := theazo_internal.current_environment();
	v_id	text;
BEGIN
	IF theazo_internal.current_session() IS NOT NULL THEN
		RETURN theazo_internal.current_session();
	END IF;
	PERFORM theazo_internal.own_lock('governed_home', v_here || v_env, true);
	SELECT h.session_id INTO v_id FROM theazo_data.governed_session h
	  JOIN theazo_data.session s ON s.platform_id = h.platform_id AND s.id = h.session_id AND s.status <> 'terminated'
	 WHERE h.platform_id = v_here AND h.environment = v_env;
	IF v_id IS NULL THEN
		v_id := (theazo_internal.session_insert('governed', NULL, NULL, NULL, NULL, NULL)).id;
		INSERT INTO theazo_data.governed_session AS h (platform_id, environment, session_id) VALUES (v_here, v_env, v_id)
		ON CONFLICT ON CONSTRAINT governed_session_pkey DO UPDATE SET session_id = excluded.session_id;
	END IF;
	RETURN v_id;
END $$;
COMMENT ON FUNCTION theazo_internal.governed_home() IS 'the session in which the caller''s governed agents live: the one it acts as, else one of the platform';

-- A new version of it: the row that holds, the agent's options, the event. The agent is locked.
CREATE OR REPLACE FUNCTION theazo_internal.governed_keep(
	g theazo_data.governed_agent, p_doc jsonb, p_version text, p_description text, p_code text, p_options jsonb, p_action text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	v_hash bytea := sha256(pg_catalog.convert_to(p_code, 'UTF8'));
BEGIN
	INSERT INTO theazo_data.governed_version (platform_id, agent_id, revision, session_id, environment, version, description, document, entry_code, code_hash)
	VALUES (g.platform_id, g.id, g.revision, g.session_id, g.environment, p_version, p_description, p_doc, p_code, v_hash);
	UPDATE theazo_data.agent x SET options = p_options, model = theazo_internal.model_choose(p_options,
			(SELECT s.models FROM theazo_data.session s WHERE s.platform_id = x.platform_id AND s.id = x.session_id), x.model)
	 WHERE x.platform_id = g.platform_id AND x.id = g.id;
	PERFORM theazo_internal.event_write(g.platform_id, 'lifecycle', p_action, pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
		'name', g.name, 'number', g.number, 'version', p_version, 'revision', g.revision, 'status', g.status, 'codeHash', encode(v_hash, 'hex'),
		'template', p_options -> 'template', 'permissions', p_options -> 'permissions', 'compliance', p_doc -> 'compliance')),
		g.session_id, g.id, NULL, g.environment);
END $$;
COMMENT ON FUNCTION theazo_internal.governed_keep(theazo_data.governed_agent, jsonb, text, text, text, jsonb, text) IS
'keeps a version of a governed agent, makes it the agent''s policy, and writes its event';

CREATE OR REPLACE FUNCTION theazo_internal.governed_text_check(p_name text, p_version text, p_description text, p_code text)
RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	PERFORM theazo_internal.name_check('name', p_name, 200);
	PERFORM theazo_internal.name_check('version', p_version, 64);
	IF pg_catalog.length(p_description) > 4000 THEN
		PERFORM theazo_internal.raise_value('description', 'is longer than 4000 characters');
	ELSIF p_code IS NOT NULL AND pg_catalog.btrim(p_code, E' \t\r\n') = '' THEN
		PERFORM theazo_internal.raise_value('entry_code', 'is empty', 'Leave it out for an agent that works through the loop.');
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.governed_text_check(text, text, text, text) IS 'name, version, description and code of a governed agent';

CREATE OR REPLACE FUNCTION theazo_internal.governed_status_check(p_status text)
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF p_status = 'halted' THEN
		PERFORM theazo_internal.raise_value('status', 'halted is the kill switch''s', 'theazo.kill() halts an agent, with a reason.');
	END IF;
	RETURN theazo_internal.one_of('status', p_status, 'draft', 'ready', 'paused');
END $$;
COMMENT ON FUNCTION theazo_internal.governed_status_check(text) IS 'a status that a governed agent can be given';

-- Makes one with its agent. An agent without a machine is ready at once.
CREATE OR REPLACE FUNCTION theazo_internal.governed_make(
	p_session text, p_name text, p_version text, p_description text, p_code text, p_status text, p_doc jsonb)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	g		theazo_data.governed_agent;
	a		theazo_data.agent;
	v_opts	jsonb := theazo_internal.governed_options(theazo_internal.current_platform(), p_doc, p_code);
BEGIN
	a := theazo_internal.agent_make(p_session, v_opts, true);
	UPDATE theazo_data.agent x SET one_shot = false WHERE x.platform_id = a.platform_id AND x.id = a.id;
	INSERT INTO theazo_data.governed_agent AS x (platform_id, id, number, session_id, environment, name, revision, status)
	VALUES (a.platform_id, a.id, theazo_internal.number_new(), a.session_id, a.key_environment, p_name, 1,
		coalesce(p_status, CASE WHEN p_code IS NOT NULL OR a.managed_loop AND v_opts ? 'instructions' THEN 'ready' ELSE 'draft' END))
	RETURNING x.* INTO g;
	PERFORM theazo_internal.governed_keep(g, p_doc, p_version, p_description, p_code, a.options, 'agent_registered');
	RETURN g.id;
END $$;
COMMENT ON FUNCTION theazo_internal.governed_make(text, text, text, text, text, text, jsonb) IS 'makes a governed agent and the agent it is; returns its id';

CREATE OR REPLACE FUNCTION theazo_internal.governed_ended_hint()
RETURNS text LANGUAGE sql IMMUTABLE
RETURN 'Its session or its agent was ended. theazo.governed_delete() frees the name: then register it again, in a session that is active.';
COMMENT ON FUNCTION theazo_internal.governed_ended_hint() IS 'what can be done about a governed agent that has ended';

CREATE OR REPLACE FUNCTION theazo_internal.governed_ready_hint()
RETURNS text LANGUAGE sql IMMUTABLE
RETURN 'theazo.governed_update(agent, ''{"status": "ready"}'') makes it ready.';
COMMENT ON FUNCTION theazo_internal.governed_ready_hint() IS 'what can be done about a governed agent that is a draft or paused';

-- Only its status is another one: no new version, and nothing that counts as a change of what it is.
CREATE OR REPLACE FUNCTION theazo_internal.governed_restate(g theazo_data.governed_agent, p_status text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF p_status <> g.status THEN
		UPDATE theazo_data.governed_agent x SET status = p_status, updated_at = pg_catalog.now() WHERE x.platform_id = g.platform_id AND x.id = g.id;
		PERFORM theazo_internal.event_write(g.platform_id, 'lifecycle', 'agent_updated', pg_catalog.jsonb_build_object('name', g.name, 'number', g.number,
			'status', p_status, 'was', g.status), g.session_id, g.id, NULL, g.environment);
	END IF;
	IF p_status = 'ready' THEN
		PERFORM theazo_internal.governed_unhalt(g);
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.governed_restate(theazo_data.governed_agent, text) IS 'gives a governed agent another status; ready lifts its halt';

-- Lays what is given over what it is, as a new version; the agent is locked before its row. Null: that stays. What changes nothing
-- makes no version: programs register what they are at every start.
CREATE OR REPLACE FUNCTION theazo_internal.governed_change(
	p_id text, p_name text, p_version text, p_description text, p_code text, p_code_given boolean, p_status text, p_doc jsonb)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	a		theazo_data.agent := theazo_internal.agent_lock(p_id);
	g		theazo_data.governed_agent;
	v		theazo_data.governed_version;
	v_doc	jsonb;
	v_opts	jsonb;
	v_code	text;
BEGIN
	IF a.status = 'completed' THEN
		PERFORM theazo_internal.raise_state('governed agent', p_id, 'ended', 'change', theazo_internal.governed_ended_hint());
	END IF;
	SELECT * INTO g FROM theazo_data.governed_agent x WHERE x.platform_id = a.platform_id AND x.id = a.id FOR UPDATE;
	SELECT * INTO v FROM theazo_data.governed_version x WHERE x.platform_id = g.platform_id AND x.agent_id = g.id AND x.revision = g.revision;
	v_code := CASE WHEN p_code_given THEN p_code ELSE v.entry_code END;
	v_doc := theazo_internal.governed_document_check(p_doc);
	IF v_doc = theazo_internal.governed_now(p_id) AND v_code IS NOT DISTINCT FROM v.entry_code AND coalesce(p_name, g.name) = g.name
		AND coalesce(p_version, v.version) = v.version AND coalesce(p_description, v.description) IS NOT DISTINCT FROM v.description THEN
		PERFORM theazo_internal.governed_restate(g, p_status);
		RETURN;
	END IF;
	v_opts := theazo_internal.governed_options(a.platform_id, v_doc, v_code);
	PERFORM theazo_internal.evolution_check(a);
	g.name := coalesce(p_name, g.name);
	g.revision := g.revision + 1;
	g.status := coalesce(p_status, CASE WHEN g.status = 'draft' AND v_code IS NOT NULL AND v.entry_code IS NULL THEN 'ready' END, g.status);
	UPDATE theazo_data.governed_agent x SET name = g.name, revision = g.revision, status = g.status, updated_at = pg_catalog.now()
	 WHERE x.platform_id = g.platform_id AND x.id = g.id;
	-- what holds for every agent of the platform is checked as for a new one
	v_opts := (theazo_internal.agent_options(v_opts)).options - 'compute' - 'managedLoop' - 'warmPool';
	PERFORM theazo_internal.governed_keep(g, v_doc, coalesce(p_version, v.version), coalesce(p_description, v.description), v_code, v_opts, 'agent_updated');
	IF p_status = 'ready' THEN
		PERFORM theazo_internal.governed_unhalt(g);
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.governed_change(text, text, text, text, text, boolean, text, jsonb) IS 'makes a new version of a governed agent';

-- Setting it ready is what lifts its own halt; what halts the platform stays.
CREATE OR REPLACE FUNCTION theazo_internal.governed_unhalt(g theazo_data.governed_agent)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF EXISTS (SELECT FROM theazo_data.halt h WHERE h.platform_id = g.platform_id AND h.kind = 'agent' AND h.target = g.id AND h.lifted_at IS NULL) THEN
		PERFORM theazo_internal.halt_lift(g.platform_id, 'agent', g.id, NULL, false);
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.governed_unhalt(theazo_data.governed_agent) IS 'lifts the halt of a governed agent';

CREATE OR REPLACE FUNCTION theazo_internal.governed_lock(p_session text, p_name text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo_internal.own_lock('governed_register', theazo_internal.current_platform() || p_session || p_name, true);
END $$;
COMMENT ON FUNCTION theazo_internal.governed_lock(text, text) IS 'where two meet who register the same name in a session';

CREATE OR REPLACE FUNCTION theazo_internal.governed_status(p_session text, p_name text)
RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo_internal.governed_lock(p_session, coalesce(p_name, ''));
	RETURN (SELECT g.status FROM theazo_data.governed_agent g
			 WHERE g.platform_id = theazo_internal.current_platform() AND g.session_id = p_session AND g.name = p_name);
END $$;
COMMENT ON FUNCTION theazo_internal.governed_status(text, text) IS 'status that the governed agent of that name in a session was given, null without one; holds its name until the end of the transaction';

-- What is not given stays as it is where the name is known, what was granted meanwhile included.
CREATE OR REPLACE FUNCTION theazo.governed_register(
	name text, entry_code text DEFAULT NULL, config jsonb DEFAULT NULL, version text DEFAULT NULL, description text DEFAULT NULL,
	status text DEFAULT NULL, permissions jsonb DEFAULT NULL, sandbox text DEFAULT NULL, limits jsonb DEFAULT NULL, compliance jsonb DEFAULT NULL,
	session text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS theazo.governed_agents LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
	v_session	text;
	v_id		text;
	v_doc		jsonb := theazo_internal.without_nulls(jsonb_build_object('config', config, 'permissions', permissions, 'sandbox', to_jsonb(sandbox),
					'limits', limits, 'compliance', compliance));
BEGIN
	PERFORM theazo_internal.enter(api_key, 'agent:write');
	PERFORM theazo_internal.flow_act('agent.write');
	PERFORM theazo_internal.governed_text_check(name, coalesce(version, '1.0.0'), description, entry_code);
	IF status IS NOT NULL THEN
		PERFORM theazo_internal.governed_status_check(status);
	END IF;
	v_session := coalesce(session, theazo_internal.governed_home());
	PERFORM theazo_internal.governed_lock(v_session, name);
	SELECT g.id INTO v_id FROM theazo_data.governed_agent g
	 WHERE g.platform_id = theazo_internal.current_platform() AND g.session_id = v_session AND g.name = governed_register.name;
	IF v_id IS NULL THEN
		v_id := theazo_internal.governed_make(v_session, name, coalesce(version, '1.0.0'), description, entry_code, status,
			theazo_internal.governed_document_check(v_doc));
	ELSE
		PERFORM theazo_internal.governed_change(v_id, NULL, version, description, entry_code, entry_code IS NOT NULL, status,
			theazo_internal.governed_now(v_id) || v_doc);
	END IF;
	RETURN theazo_internal.governed_shown(v_id);
END $$;
COMMENT ON FUNCTION theazo.governed_register(text, text, jsonb, text, text, text, jsonb, text, jsonb, jsonb, text, text) IS
'registers a governed agent, or makes a new version of the one of that name; permissions are scopes or the name of a preset';

-- As registered, with what was granted since: what a change is laid over.
CREATE OR REPLACE FUNCTION theazo_internal.governed_now(p_id text)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
	v_doc	jsonb;
	a		theazo_data.agent;
	v_was	jsonb;
BEGIN
	SELECT v.document INTO v_doc FROM theazo_data.governed_agent g
	  JOIN theazo_data.governed_version v ON v.platform_id = g.platform_id AND v.agent_id = g.id AND v.revision = g.revision
	 WHERE g.platform_id = theazo_internal.current_platform() AND g.id = p_id;
	SELECT * INTO a FROM theazo_data.agent x WHERE x.platform_id = theazo_internal.current_platform() AND x.id = p_id;
	v_was := theazo_internal.governed_held(v_doc, a.options);
	-- Only what differs from what follows from the document itself: a default stays one.
	RETURN v_doc || pg_catalog.jsonb_build_object('config', (v_doc -> 'config')
			|| (SELECT coalesce(pg_catalog.jsonb_object_agg(e.key, e.value), '{}')
				  FROM pg_catalog.jsonb_each(v_was -> 'config') e
				 WHERE e.key IN ('allow_network', 'allowed_domains', 'max_api_calls_per_run', 'memory_limit_mb', 'cpu_time_limit_ms')
				   AND e.value <> theazo_internal.governed_held(v_doc, theazo_internal.governed_options(a.platform_id, v_doc, NULL)) -> 'config' -> e.key))
		|| CASE WHEN v_doc ? 'permissions' THEN pg_catalog.jsonb_build_object('permissions', v_was -> 'permissions') ELSE '{}' END;
END $$;
COMMENT ON FUNCTION theazo_internal.governed_now(text) IS 'the document of a governed agent with what permission requests have added to it';

-- Of config each field by itself, null for its default; of the rest whole fields.
CREATE OR REPLACE FUNCTION theazo.governed_update(agent text, changes jsonb, api_key text DEFAULT NULL)
RETURNS theazo.governed_agents LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	g		theazo_data.governed_agent;
	v_doc	jsonb;
	k		text;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'agent:write');
	PERFORM theazo_internal.flow_act('agent.write');
	changes := theazo_internal.object_check('changes', changes, 2097152, ARRAY['name', 'version', 'description', 'entry_code', 'config', 'status',
		'permissions', 'sandbox', 'limits', 'compliance']);
	g := theazo_internal.governed_find(agent);
	FOREACH k IN ARRAY ARRAY['name', 'version', 'description', 'entry_code', 'status'] LOOP
		IF changes ? k AND NOT (k IN ('description', 'entry_code') AND jsonb_typeof(changes -> k) = 'null') THEN
			PERFORM theazo_internal.text_check(k, changes -> k, 1048576);
		END IF;
	END LOOP;
	PERFORM theazo_internal.governed_text_check(coalesce(changes ->> 'name', g.name), coalesce(changes ->> 'version', '1.0.0'), changes ->> 'description',
		changes ->> 'entry_code');
	IF changes ? 'status' AND changes ->> 'status' <> 'halted' THEN
		PERFORM theazo_internal.governed_status_check(changes ->> 'status');
	ELSIF changes ? 'status' THEN
		PERFORM theazo_internal.governed_status_check('halted');
	END IF;
	IF changes ->> 'name' <> g.name AND EXISTS (SELECT FROM theazo_data.governed_agent x
			WHERE x.platform_id = g.platform_id AND x.session_id = g.session_id AND x.name = changes ->> 'name') THEN
		RAISE EXCEPTION USING ERRCODE = 'unique_violation', MESSAGE = format('governed agent %s exists already', theazo_internal.quoted(changes ->> 'name')),
			HINT = 'Names are unique within a session; choose another one.';
	END IF;
	v_doc := theazo_internal.governed_now(g.id);
	v_doc := v_doc || (changes - 'name' - 'version' - 'description' - 'entry_code' - 'status' - 'config')
		|| jsonb_build_object('config', (v_doc -> 'config') || theazo_internal.governed_config_check(changes -> 'config'));
	PERFORM theazo_internal.governed_change(g.id, changes ->> 'name', changes ->> 'version', changes ->> 'description', changes ->> 'entry_code',
		changes ? 'entry_code', changes ->> 'status', v_doc);
	RETURN theazo_internal.governed_shown(g.id);
END $$;
COMMENT ON FUNCTION theazo.governed_update(text, jsonb, text) IS
'changes fields of a governed agent as a new version; config is merged field by field, and status ready lifts its halt';

-- What it did stays in the trail; its code, its executions and what it kept go.
CREATE OR REPLACE FUNCTION theazo.governed_delete(agent text, api_key text DEFAULT NULL)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	g	theazo_data.governed_agent;
	a	theazo_data.agent;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'agent:write');
	PERFORM theazo_internal.flow_act('agent.write');
	g := theazo_internal.governed_find(agent);
	a := theazo_internal.agent_lock(g.id);
	IF a.status <> 'completed' THEN
		PERFORM theazo_internal.agent_terminate(a);
	END IF;
	PERFORM theazo_internal.governed_remove(g.platform_id, g.id);
	PERFORM theazo_internal.event_write(g.platform_id, 'lifecycle', 'agent_deleted', jsonb_build_object('name', g.name, 'number', g.number),
		g.session_id, g.id, NULL, g.environment);
	RETURN true;
END $$;
COMMENT ON FUNCTION theazo.governed_delete(text, text) IS
'deletes a governed agent: running executions are cut, code, executions, statements and context go, the audit trail stays';

-- Inputs, outputs and what was said on the way go; that there was a run, and what it cost, stays.
CREATE OR REPLACE FUNCTION theazo_internal.run_wipe(p_platform text, p_roots text[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	UPDATE theazo_data.run_payload p SET input = '{}', content = NULL, result = NULL, result_content = NULL, verdict = 'none'
	 WHERE p.platform_id = p_platform AND p.root_id = ANY (p_roots);
	UPDATE theazo_data.effect_payload p SET request = '{}', content = NULL, step_state = NULL, result = NULL
	 WHERE p.platform_id = p_platform AND p.root_id = ANY (p_roots);
	UPDATE theazo_data.step_payload p SET input = NULL, output = NULL, raw = NULL WHERE p.platform_id = p_platform AND p.root_id = ANY (p_roots);
	UPDATE theazo_data.run_loop l SET system = '', options = '{}', tools = '[]' WHERE l.platform_id = p_platform AND l.root_id = ANY (p_roots);
	DELETE FROM theazo_data.message m WHERE m.platform_id = p_platform AND m.root_id = ANY (p_roots);
	DELETE FROM theazo_data.log l WHERE l.platform_id = p_platform AND l.root_id = ANY (p_roots);
END $$;
COMMENT ON FUNCTION theazo_internal.run_wipe(text, text[]) IS 'removes what went into runs that have ended and what came out of them';

CREATE OR REPLACE FUNCTION theazo_internal.governed_remove(p_platform text, p_id text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.run_wipe(p_platform, b.roots)
	   FROM (SELECT pg_catalog.array_agg(o.root) AS roots
			   FROM (SELECT theazo_internal.id_root(x.run_id) AS root, pg_catalog.row_number() OVER () / 1000 AS part FROM theazo_data.execution x
					  WHERE x.platform_id = p_platform AND x.agent_id = p_id AND x.ended_at IS NOT NULL) o GROUP BY o.part) b;
	DELETE FROM theazo_data.host_call h
	 USING theazo_data.execution x
	 WHERE x.platform_id = p_platform AND x.agent_id = p_id AND h.platform_id = x.platform_id AND h.root_id = theazo_internal.id_root(x.run_id);
	DELETE FROM theazo_data.attestation t USING theazo_data.execution x
	 WHERE x.platform_id = p_platform AND x.agent_id = p_id AND t.platform_id = x.platform_id AND t.number = x.number;
	DELETE FROM theazo_data.execution x WHERE x.platform_id = p_platform AND x.agent_id = p_id;
	DELETE FROM theazo_data.agent_context c WHERE c.platform_id = p_platform AND c.agent_id = p_id;
	UPDATE theazo_data.agent a SET options = a.options - 'instructions' - 'metadata' WHERE a.platform_id = p_platform AND a.id = p_id;
	DELETE FROM theazo_data.governed_version v WHERE v.platform_id = p_platform AND v.agent_id = p_id;
	DELETE FROM theazo_data.governed_agent g WHERE g.platform_id = p_platform AND g.id = p_id;
END $$;
COMMENT ON FUNCTION theazo_internal.governed_remove(text, text) IS 'removes what there is of a governed agent beside the agent and the trail';

-- A call of code that was under way meanwhile may have been taken down, and may have kept something, behind it.
CREATE OR REPLACE FUNCTION theazo_internal.governed_sweep(p_platform text, p_root text, p_agent text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM theazo_data.host_call h WHERE h.platform_id = p_platform AND h.root_id = p_root;
	DELETE FROM theazo_data.agent_context c
	 WHERE c.platform_id = p_platform AND c.agent_id = p_agent
	   AND NOT EXISTS (SELECT FROM theazo_data.governed_agent g WHERE g.platform_id = p_platform AND g.id = p_agent);
END $$;
COMMENT ON FUNCTION theazo_internal.governed_sweep(text, text, text) IS 'removes what code of a deleted agent left behind while it was deleted, once that code has ended';
