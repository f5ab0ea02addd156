-- agent.sql: agents: how one comes to be, and its life.
--
-- The state of an agent is moved only through theazo_internal.agent_move(). What happens to
-- its sandbox is the business of sandbox.sql: sandbox_start, sandbox_pause, sandbox_resume
-- and sandbox_destroy, called from here in the same transaction.

CREATE OR REPLACE VIEW theazo.agents WITH (security_barrier) AS
SELECT a.platform_id, a.id, a.session_id, a.user_id, a.key_environment, a.status, a.compute, a.provider, a.model,
	   a.managed_loop, coalesce((a.options ->> 'browser')::boolean, false) AS browser,
	   coalesce(a.options ->> 'region', 'us-east-1') AS region, a.definition_id, a.definition_version, a.sandbox_id,
	   a.run_id, a.error, a.paused_by, a.one_shot, a.options, a.created_at, a.paused_at, a.ended_at
  FROM theazo_data.agent a
 WHERE (SELECT theazo_internal.may_read('agent:read'))
   AND (SELECT CASE WHEN theazo_internal.current_run() IS NULL THEN true ELSE theazo_internal.flow_open(current_user) END);
COMMENT ON VIEW theazo.agents IS 'agents of the caller''s sessions';

CREATE OR REPLACE FUNCTION theazo_internal.agent_shown(p_id text)
RETURNS theazo.agents LANGUAGE plpgsql STABLE AS $$
DECLARE
	result theazo.agents;
BEGIN
	SELECT * INTO result FROM theazo.agents a
	 WHERE a.platform_id = theazo_internal.current_platform() AND a.id = p_id;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('agent', p_id);
	END IF;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.agent_shown(text) IS 'an agent as the caller may see it, or 42704';

CREATE OR REPLACE FUNCTION theazo_internal.agent_lock(p_id text)
RETURNS theazo_data.agent LANGUAGE plpgsql AS $$
DECLARE
	result theazo_data.agent;
BEGIN
	SELECT * INTO result FROM theazo_data.agent a
	 WHERE a.platform_id = theazo_internal.current_platform() AND a.id = p_id FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('agent', p_id);
	END IF;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.agent_lock(text) IS 'an agent of the caller, locked for change';

-- One that was left idle is there again when it is needed.
CREATE OR REPLACE FUNCTION theazo_internal.agent_resting(a theazo_data.agent)
RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RETURN a.status = 'paused' AND (a.paused_by IS DISTINCT FROM 'idle' OR coalesce(a.options ->> 'autoResume' = 'false', false));
END $$;
COMMENT ON FUNCTION theazo_internal.agent_resting(theazo_data.agent) IS 'is an agent paused so that it takes no work';

-- The agent, locked, in a state that takes work. p_exclusive: exec, one at a time. Runs under the caller's policies.
CREATE OR REPLACE FUNCTION theazo_internal.agent_take(p_agent text, p_exclusive boolean)
RETURNS theazo_data.agent
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a			theazo_data.agent;
	v_status	text;
	v_reason	text;
	v_governed	text;
BEGIN
	SELECT * INTO a FROM theazo_data.agent x
	 WHERE x.platform_id = theazo_internal.current_platform() AND x.id = p_agent FOR UPDATE;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('agent', p_agent);
	END IF;
	SELECT s.status, s.paused_reason INTO v_status, v_reason FROM theazo_data.session s
	 WHERE s.platform_id = a.platform_id AND s.id = a.session_id;
	IF v_status IS DISTINCT FROM 'active' THEN
		-- Where a limit is what paused it, that is what the caller is told.
		PERFORM theazo_internal.budget_check(a.platform_id, a.key_environment, a.session_id, a.user_id, a.id, false);
		RAISE EXCEPTION USING ERRCODE = 'TZ101',
			MESSAGE = format('session "%s" is %s', a.session_id, v_status),
			DETAIL = CASE WHEN v_reason IS NOT NULL THEN format('Reason: %s.', v_reason) ELSE '' END, DATATYPE = v_status,
			HINT = CASE v_status WHEN 'paused' THEN 'Resume it with theazo.session_resume().' ELSE 'A terminated session stays so; create a new one.' END;
	END IF;
	IF a.status = 'completed' THEN
		RAISE EXCEPTION USING ERRCODE = 'TZ103', MESSAGE = format('agent "%s" has been terminated', a.id), DATATYPE = a.status,
			HINT = 'Create a new agent.';
	ELSIF theazo_internal.agent_resting(a) THEN
		RAISE EXCEPTION USING ERRCODE = 'TZ103', MESSAGE = format('agent "%s" is paused', a.id), DATATYPE = a.status,
			HINT = 'Resume it with theazo.agent_resume().';
	ELSIF p_exclusive AND (a.run_id IS NOT NULL OR a.status = 'running') THEN
		RAISE EXCEPTION USING ERRCODE = 'TZ103', MESSAGE = format('agent "%s" is at work', a.id), DATATYPE = a.status,
			DETAIL = format('Run "%s" has not ended.', a.run_id),
			HINT = 'Wait for it with theazo.run_wait(), or cancel it with theazo.run_cancel().';
	END IF;
	SELECT g.status INTO v_governed FROM theazo_data.governed_agent g WHERE g.platform_id = a.platform_id AND g.id = a.id;
	IF v_governed <> 'ready' THEN
		PERFORM theazo_internal.raise_state('governed agent', a.id, v_governed, 'work', theazo_internal.governed_ready_hint());
	END IF;
	RETURN a;
END
$$;
COMMENT ON FUNCTION theazo_internal.agent_take(text, boolean) IS 'locks the agent and refuses when it takes no work now';

CREATE OR REPLACE FUNCTION theazo_internal.agent_event(p_agent theazo_data.agent, p_action text, p_more jsonb DEFAULT '{}')
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo_internal.event_write(p_agent.platform_id, 'lifecycle', p_action,
		pg_catalog.jsonb_build_object('agentId', p_agent.id, 'sessionId', p_agent.session_id, 'userId', p_agent.user_id) || p_more,
		p_agent.session_id, p_agent.id, NULL, p_agent.key_environment);
	PERFORM theazo_internal.log_write(p_agent.platform_id, NULL, 'info', 'system', pg_catalog.replace(p_action, '_', ' '),
		p_agent.key_environment, p_agent.session_id, p_agent.id, NULL, p_agent.user_id, p_agent.provider);
	PERFORM theazo_internal.agent_tell(p_agent.platform_id, p_agent.key_environment, p_agent.id, p_action);
END $$;
COMMENT ON FUNCTION theazo_internal.agent_event(theazo_data.agent, text, jsonb) IS 'writes the event and the log line of an agent, and tells webhooks';

-- Moves a locked agent; also called when a sandbox has booted or is lost. Returns whether
-- anything changed.
CREATE OR REPLACE FUNCTION theazo_internal.agent_move(p_agent theazo_data.agent, p_event text, p_by text DEFAULT NULL, p_error text DEFAULT NULL)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	target text := theazo_internal.move('agent', p_agent.id, p_agent.status, p_event);
BEGIN
	IF target = p_agent.status THEN
		RETURN false;
	END IF;
	UPDATE theazo_data.agent a
	   SET status = target,
		   status_before_pause = CASE WHEN target = 'paused' THEN a.status END,
		   paused_by = CASE WHEN target = 'paused' THEN p_by END,
		   paused_at = CASE WHEN target = 'paused' THEN pg_catalog.now() END,
		   ended_at = CASE WHEN target = 'completed' THEN pg_catalog.now() END,
		   error = CASE WHEN target = 'failed' THEN theazo_internal.mask_left(p_error, 2000)
						WHEN target IN ('ready', 'running') THEN NULL ELSE a.error END
	 WHERE a.platform_id = p_agent.platform_id AND a.id = p_agent.id;
	RETURN true;
END $$;
COMMENT ON FUNCTION theazo_internal.agent_move(theazo_data.agent, text, text, text) IS
'moves a locked agent by an event of its life cycle; false when it was there already';

-- ---------------------------------------------------------------------------------------
-- making

CREATE OR REPLACE FUNCTION theazo_internal.model_choose(p_options jsonb, p_models jsonb, p_entry text)
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RETURN coalesce(
		CASE pg_catalog.jsonb_typeof(p_options -> 'model')
			WHEN 'string' THEN p_options ->> 'model'
			WHEN 'object' THEN coalesce(p_options -> 'model' ->> 'model', p_options -> 'model' ->> 'name') END,
		p_models ->> 'model', p_models ->> 'name', p_entry, 'anthropic/claude-sonnet-4-20250514');
END $$;
COMMENT ON FUNCTION theazo_internal.model_choose(jsonb, jsonb, text) IS
'the model an agent gets: its own, its session''s, the provider entry''s, else the default';

-- Options of the call over those of the definition; nulls remove. Fills the definition's part of p_agent.
CREATE OR REPLACE FUNCTION theazo_internal.agent_options(p_options jsonb, OUT options jsonb, OUT definition_id theazo.id, OUT definition_version integer)
LANGUAGE plpgsql AS $$
DECLARE
	http boolean := theazo_internal.platform_http();
	given jsonb := theazo_internal.options_check('options', p_options, http, 'definition', 'overrides');
	overrides jsonb := theazo_internal.options_check('overrides', given -> 'overrides', http);
	base jsonb := '{}';
	d theazo_data.definition;
BEGIN
	IF given ? 'definition' AND pg_catalog.jsonb_typeof(given -> 'definition') <> 'null' THEN
		d := theazo_internal.definition_find(given ->> 'definition');
		IF d.id IS NULL THEN
			PERFORM theazo_internal.raise_not_found('definition', given ->> 'definition');
		END IF;
		SELECT v.content INTO STRICT base FROM theazo_data.definition_version v
		 WHERE v.platform_id = d.platform_id AND v.definition_id = d.id AND v.version = d.version;
	END IF;
	definition_id := d.id;
	definition_version := d.version;
	options := theazo_internal.object_check('options',
		theazo_internal.without_nulls(base || overrides || (given - 'definition' - 'overrides')), 65536);
	options := theazo_internal.policy_check(theazo_internal.current_platform(), base, options);
	-- Field by field: what an agent says of one guard leaves the others of its definition alone.
	IF base ? 'guardrails' AND (options ? 'guardrails' OR options ->> 'template' IN ('STRICT', 'STANDARD')) THEN
		options := options || pg_catalog.jsonb_build_object('guardrails', theazo_internal.guardrails_merge(
			theazo_internal.template_of(theazo_internal.current_platform(), options ->> 'template'), base -> 'guardrails',
			coalesce(theazo_internal.without_nulls(overrides) -> 'guardrails', '{}') || coalesce(theazo_internal.without_nulls(given) -> 'guardrails', '{}')));
	END IF;
	-- What the definition keeps out of the sandbox stays out, and who acts for one session follows the platform.
	IF base ->> 'secretDelivery' = 'brokered' AND options ->> 'secretDelivery' IS DISTINCT FROM 'brokered' THEN
		PERFORM theazo_internal.raise_value('secretDelivery', 'is brokered in the definition',
			'An agent can tighten what its definition says, not loosen it. Leave the option out.');
	ELSIF theazo_internal.current_session() IS NOT NULL AND options ->> 'secretDelivery' = 'env'
		AND base ->> 'secretDelivery' IS DISTINCT FROM 'env' THEN
		IF (SELECT p.secret_delivery FROM theazo_data.platform p WHERE p.platform_id = theazo_internal.current_platform()) = 'brokered' THEN
			PERFORM theazo_internal.raise_scope('one who acts for a session cannot loosen the delivery of secrets', 'session_only',
				'Leave secretDelivery out, or have the platform say it in a definition.');
		END IF;
		-- the platform's word counts, also when it changes
		options := options - 'secretDelivery';
	END IF;
	-- Likewise with the credential of a model provider of its own: what the platform's definition says opens the platform's vault.
	IF theazo_internal.current_session() IS NOT NULL AND options -> 'model' ? 'credentialRef' AND options -> 'model' IS DISTINCT FROM base -> 'model' THEN
		options := options || '{"modelNarrowed": true}';
	END IF;
	-- Nor does who acts for one session decide that nobody needs to look.
	IF theazo_internal.current_session() IS NOT NULL AND (options ? 'approvals' OR base ? 'approvals') THEN
		PERFORM theazo_internal.approvals_narrowed(base -> 'approvals', options -> 'approvals');
	END IF;
	IF theazo_internal.current_session() IS NOT NULL AND options -> 'guardrails' IS DISTINCT FROM base -> 'guardrails' THEN
		PERFORM theazo_internal.guardrails_narrowed(base -> 'guardrails', options -> 'guardrails');
	END IF;
	-- Who acts for one session may not open the platform's vault, except where the platform's own definition
	-- does. Kept with the agent, because names are looked up at each use.
	IF theazo_internal.current_session() IS NOT NULL AND options ? 'secrets' THEN
		options := options || pg_catalog.jsonb_build_object('sessionSecrets', (
			SELECT coalesce(pg_catalog.jsonb_agg(n), '[]') FROM pg_catalog.jsonb_array_elements_text(options -> 'secrets') n
			 WHERE NOT coalesce(base -> 'secrets', '[]') ? n));
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.agent_options(jsonb) IS
'the options of a new agent: definition, then overrides, then what stands beside them';

-- One that is made for a single run has no sandbox until a tool needs one.
CREATE OR REPLACE FUNCTION theazo_internal.agent_make(p_session text, p_options jsonb, p_one_shot boolean)
RETURNS theazo_data.agent LANGUAGE plpgsql AS $$
DECLARE
	s theazo_data.session;
	a theazo_data.agent;
	o record;
	n text;
	primitives boolean;
BEGIN
	s := theazo_internal.session_open(p_session);
	PERFORM theazo_internal.budget_check(s.platform_id, s.key_environment, s.id, s.user_id, NULL, true);
	o := theazo_internal.agent_options(p_options);
	SELECT p.primitives_enabled INTO STRICT primitives FROM theazo_data.platform p WHERE p.platform_id = s.platform_id;
	FOREACH n IN ARRAY pg_catalog.array_remove(ARRAY[o.options ->> 'provider', o.options ->> 'providerFallback'], NULL) LOOP
		PERFORM theazo_internal.compute_named(n);
	END LOOP;
	-- the provider is chosen by sandbox_start
	INSERT INTO theazo_data.agent AS t (platform_id, id, session_id, user_id, key_environment, definition_id, definition_version,
		status, compute, provider, model, managed_loop, one_shot, options, parent_run_id)
	VALUES (s.platform_id, theazo_internal.id_new('agt'), s.id, s.user_id, s.key_environment, o.definition_id, o.definition_version,
		CASE WHEN p_one_shot THEN 'ready' ELSE 'booting' END,
		coalesce(o.options ->> 'compute', 'python'), 'theazo', theazo_internal.model_choose(o.options, s.models, theazo_internal.model_of_entry(s.platform_id, o.options, s.models)),
		primitives AND coalesce((o.options ->> 'managedLoop')::boolean, true), p_one_shot, o.options - 'compute' - 'managedLoop' - 'warmPool',
		theazo_internal.current_run())
	RETURNING t.* INTO a;
	IF NOT p_one_shot THEN
		PERFORM theazo_internal.sandbox_start(a.platform_id, a.id);
		SELECT t.* INTO STRICT a FROM theazo_data.agent t WHERE t.platform_id = a.platform_id AND t.id = a.id;
	END IF;
	PERFORM theazo_internal.agent_event(a, 'agent_created', pg_catalog.jsonb_build_object(
		'provider', a.provider, 'compute', a.compute, 'model', a.model, 'managedLoop', a.managed_loop,
		'definition', a.definition_id, 'definitionVersion', a.definition_version));
	RETURN a;
END $$;
COMMENT ON FUNCTION theazo_internal.agent_make(text, jsonb, boolean) IS
'makes an agent, for one run or with a sandbox of its own from the start';

CREATE OR REPLACE FUNCTION theazo.agent_create(session text, options jsonb DEFAULT '{}', api_key text DEFAULT NULL)
RETURNS theazo.agents LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	a theazo_data.agent;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'agent:write');
	PERFORM theazo_internal.flow_act('agent.write');
	a := theazo_internal.agent_make(session, options, false);
	RETURN theazo_internal.agent_shown(a.id);
END $$;
COMMENT ON FUNCTION theazo.agent_create(text, jsonb, text) IS
'makes an agent in a session and starts its sandbox: booting now, ready when the sandbox answers';

CREATE OR REPLACE FUNCTION theazo.agent_get(agent text, api_key text DEFAULT NULL)
RETURNS theazo.agents LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'agent:read');
	PERFORM theazo_internal.flow_look_agent(agent);
	RETURN theazo_internal.agent_shown(agent);
END $$;
COMMENT ON FUNCTION theazo.agent_get(text, text) IS 'one agent';

CREATE OR REPLACE FUNCTION theazo.agent_list(
	session text DEFAULT NULL, status text DEFAULT NULL, provider text DEFAULT NULL, compute text DEFAULT NULL,
	max_rows integer DEFAULT 100, before text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS SETOF theazo.agents LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'agent:read');
	IF max_rows IS NULL OR max_rows NOT BETWEEN 1 AND 1000 THEN
		PERFORM theazo_internal.raise_value('max_rows', 'must be from 1 to 1000');
	END IF;
	IF status IS NOT NULL THEN
		PERFORM theazo_internal.one_of('status', status, 'booting', 'ready', 'running', 'paused', 'completed', 'failed');
	END IF;
	IF session IS NOT NULL THEN
		PERFORM theazo_internal.session_shown(session);
	END IF;
	IF theazo_internal.current_run() IS NOT NULL THEN
		PERFORM theazo_internal.flow_open(NULL);
	END IF;
	RETURN QUERY
	SELECT a.* FROM theazo.agents a
	 WHERE a.platform_id = theazo_internal.current_platform()
	   AND (session IS NULL OR a.session_id = session)
	   AND (agent_list.status IS NULL OR a.status = agent_list.status)
	   AND (agent_list.provider IS NULL OR a.provider = agent_list.provider)
	   AND (agent_list.compute IS NULL OR a.compute = agent_list.compute)
	   AND (before IS NULL OR a.id < before)
	 ORDER BY a.id DESC LIMIT max_rows;
END $$;
COMMENT ON FUNCTION theazo.agent_list(text, text, text, text, integer, text, text) IS
'agents, newest first; before is the last id of the page before';

-- ---------------------------------------------------------------------------------------
-- life

CREATE OR REPLACE FUNCTION theazo_internal.agent_pause(p_agent theazo_data.agent, p_by text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF theazo_internal.agent_move(p_agent, 'pause', p_by) THEN
		IF p_agent.run_id IS NOT NULL THEN
			PERFORM theazo_internal.loop_pause(p_agent);
		END IF;
		PERFORM theazo_internal.sandbox_pause(p_agent.platform_id, p_agent.id);
		PERFORM theazo_internal.agent_event(p_agent, 'agent_paused', pg_catalog.jsonb_build_object('by', p_by));
	ELSIF p_by = 'user' AND p_agent.paused_by <> 'user' THEN
		-- what somebody paused on purpose is not woken by its session or by work
		UPDATE theazo_data.agent a SET paused_by = 'user' WHERE a.platform_id = p_agent.platform_id AND a.id = p_agent.id;
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.agent_pause(theazo_data.agent, text) IS
'pauses a locked agent: by user, session or idle';

CREATE OR REPLACE FUNCTION theazo_internal.agent_resume(p_agent theazo_data.agent)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF theazo_internal.agent_move(p_agent,
		CASE WHEN p_agent.status = 'paused' AND p_agent.status_before_pause = 'running' AND p_agent.run_id IS NOT NULL
			 THEN 'continue' ELSE 'resume' END) THEN
		PERFORM theazo_internal.sandbox_resume(p_agent.platform_id, p_agent.id);
		IF p_agent.run_id IS NOT NULL THEN
			PERFORM theazo_internal.loop_resume(p_agent);
		END IF;
		PERFORM theazo_internal.agent_event(p_agent, 'agent_resumed');
		IF p_agent.run_id IS NULL AND (p_agent.options ->> 'longRunning')::boolean THEN
			PERFORM theazo_internal.agent_read_on(a)
			   FROM theazo_data.agent a WHERE a.platform_id = p_agent.platform_id AND a.id = p_agent.id;
		END IF;
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.agent_resume(theazo_data.agent) IS 'resumes a locked agent';

CREATE OR REPLACE FUNCTION theazo_internal.agent_terminate(p_agent theazo_data.agent)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF theazo_internal.agent_move(p_agent, 'terminate') THEN
		PERFORM theazo_internal.agent_runs_cancel(p_agent.platform_id, p_agent.id);
		PERFORM theazo_internal.sandbox_destroy(p_agent.platform_id, p_agent.id);
		PERFORM theazo_internal.agent_event(p_agent, 'agent_terminated');
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.agent_terminate(theazo_data.agent) IS
'ends a locked agent: its runs are cancelled, its sandbox is destroyed';

CREATE OR REPLACE FUNCTION theazo.agent_pause(agent text, api_key text DEFAULT NULL)
RETURNS theazo.agents LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'agent:write');
	PERFORM theazo_internal.agent_pause(theazo_internal.agent_lock(agent), 'user');
	RETURN theazo_internal.agent_shown(agent);
END $$;
COMMENT ON FUNCTION theazo.agent_pause(text, text) IS
'pauses an agent: no work, no compute charge, until it is resumed';

CREATE OR REPLACE FUNCTION theazo.agent_resume(agent text, api_key text DEFAULT NULL)
RETURNS theazo.agents LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	a theazo_data.agent;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'agent:write');
	-- the session before its agents, as everywhere
	PERFORM theazo_internal.session_open((theazo_internal.agent_shown(agent)).session_id);
	a := theazo_internal.agent_lock(agent);
	IF a.status NOT IN ('ready', 'running') THEN
		PERFORM theazo_internal.agent_resume(a);
	END IF;
	RETURN theazo_internal.agent_shown(agent);
END $$;
COMMENT ON FUNCTION theazo.agent_resume(text, text) IS 'ends an agent''s pause';

CREATE OR REPLACE FUNCTION theazo.agent_terminate(agent text, api_key text DEFAULT NULL)
RETURNS theazo.agents LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'agent:write');
	PERFORM theazo_internal.agent_terminate(theazo_internal.agent_lock(agent));
	RETURN theazo_internal.agent_shown(agent);
END $$;
COMMENT ON FUNCTION theazo.agent_terminate(text, text) IS
'ends an agent for good and destroys its sandbox';
