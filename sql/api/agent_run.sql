-- agent_run.sql: giving an agent a task, and looking at what it does. The loop itself is in loop*.sql.

CREATE OR REPLACE VIEW theazo.steps WITH (security_barrier) AS
	SELECT r.id AS run_id, r.session_id, r.agent_id, s.seq, s.round, s.kind, s.state, s.name, s.call_id, s.provider, s.adapter, s.attempts,
		   s.input_tokens, s.cache_read_tokens, s.cache_write_tokens, s.output_tokens, s.reasoning_tokens,
		   (s.cost::numeric / 1000000)::numeric(30,6) AS cost, s.estimated, s.stop, s.request_id, s.started_at, s.ended_at,
		   round(extract(epoch FROM s.ended_at - s.started_at) * 1000)::bigint AS duration_ms, s.error_code, s.error_message
	  FROM theazo_data.run r
	  JOIN theazo_data.step s ON s.platform_id = r.platform_id AND s.root_id = theazo_internal.run_root(r.id)
	 WHERE (SELECT theazo_internal.may_read('run:read'));
COMMENT ON VIEW theazo.steps IS 'model calls and tool calls of runs, with tokens and cost in cents; payloads are in theazo.run_steps()';

CREATE OR REPLACE FUNCTION theazo.run_steps(run text, api_key text DEFAULT NULL)
RETURNS TABLE (seq integer, round integer, kind text, state text, name text, input jsonb, output text, error_message text)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	PERFORM theazo_internal.enter(api_key, 'run:read');
	PERFORM theazo_internal.run_row(run_steps.run);
	PERFORM theazo_internal.flow_look(run_steps.run);
	RETURN QUERY
	SELECT s.seq, s.round, s.kind, s.state, s.name, p.input, p.output, s.error_message
	  FROM theazo_data.step s
	  LEFT JOIN theazo_data.step_payload p ON p.platform_id = s.platform_id AND p.root_id = s.root_id AND p.seq = s.seq
	 WHERE s.platform_id = theazo_internal.current_platform() AND s.root_id = substr(run_steps.run, 5)
	 ORDER BY s.seq;
END
$$;
COMMENT ON FUNCTION theazo.run_steps(text, text) IS 'steps of a run with what went in and what came out';

-- What run_start and session_run take alike. Returns the options of loop_make.
CREATE OR REPLACE FUNCTION theazo_internal.run_options(
	p_task text, p_max_cost numeric, p_timeout interval, p_max_steps integer, p_response_schema jsonb)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF p_task IS NULL OR btrim(p_task, E' \t\r\n') = '' THEN
		PERFORM theazo_internal.raise_value('task', 'is empty', 'Say what the agent is to do.');
	ELSIF octet_length(p_task) > 262144 THEN
		PERFORM theazo_internal.raise_value('task', format('is %s bytes large', octet_length(p_task)),
			'At most 256 KiB are allowed; write larger inputs into files with theazo.file_write().');
	ELSIF p_max_cost IS NOT NULL AND NOT p_max_cost BETWEEN 0 AND 1000000000000 THEN
		PERFORM theazo_internal.raise_value('max_cost', 'must be from 0 to 1000000000000 cents');
	ELSIF p_max_steps IS NOT NULL AND p_max_steps NOT BETWEEN 1 AND 25 THEN
		PERFORM theazo_internal.raise_value('max_steps', 'must be from 1 to 25', 'It counts model calls.');
	END IF;
	IF p_response_schema IS NOT NULL THEN
		PERFORM theazo_internal.schema_check('response_schema', p_response_schema);
	END IF;
	RETURN jsonb_strip_nulls(jsonb_build_object('max_cost', (p_max_cost * 1000000)::bigint, 'max_steps', p_max_steps,
		'timeout_ms', CASE WHEN p_timeout IS NOT NULL THEN theazo_internal.timeout_check(p_timeout) END))
		|| CASE WHEN p_response_schema IS NOT NULL THEN jsonb_build_object('schema', p_response_schema) ELSE '{}' END;
END
$$;
COMMENT ON FUNCTION theazo_internal.run_options(text, numeric, interval, integer, jsonb) IS 'checks what a run is given; costs come in cents';

CREATE OR REPLACE FUNCTION theazo_internal.loop_allowed(a theazo_data.agent)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT a.managed_loop THEN
		PERFORM theazo_internal.raise_scope(format('agent "%s" has no managed loop', a.id), 'managed_loop_disabled',
			'It was made with managedLoop false or primitives are off; use theazo.exec(), or make an agent with the loop on.');
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.loop_allowed(theazo_data.agent) IS 'TZ602 managed_loop_disabled for an agent whose loop is the customer''s';

CREATE OR REPLACE FUNCTION theazo.run_start(
	agent text, task text, max_cost numeric DEFAULT NULL, timeout interval DEFAULT NULL, max_steps integer DEFAULT NULL,
	response_schema jsonb DEFAULT NULL, idempotency_key text DEFAULT NULL, parent text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS theazo.runs
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
	a			theazo_data.agent;
	v_options	jsonb;
	v_run		text;
	v_hash		bytea;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'run:write');
	v_options := theazo_internal.run_options(task, max_cost, run_start.timeout, max_steps, response_schema);
	IF run_start.idempotency_key IS NOT NULL THEN
		v_hash := sha256(convert_to(jsonb_build_array(task, v_options)::text, 'UTF8'));
		v_run := theazo_internal.idempotent_run('run:', run_start.agent, run_start.idempotency_key, v_hash);
		IF v_run IS NOT NULL THEN
			RETURN theazo_internal.run_row(v_run);
		END IF;
	END IF;
	a := theazo_internal.agent_take(run_start.agent, true);
	PERFORM theazo_internal.loop_allowed(a);
	v_run := theazo_internal.loop_make(a, task, v_options, theazo_internal.outer_role(), coalesce(parent, theazo_internal.current_run()));
	PERFORM theazo_internal.idempotent_keep('run:', a.id, run_start.idempotency_key, v_hash, v_run);
	RETURN theazo_internal.run_row(v_run);
END
$$;
COMMENT ON FUNCTION theazo.run_start(text, text, numeric, interval, integer, jsonb, text, text, text) IS
'gives an agent a task and returns the run at once; max_cost is in cents; parent is the run that starts it, by itself the one whose tool calls this';

-- An agent for one task: made without a sandbox (it gets one when a tool needs it) and gone when the run has ended.
CREATE OR REPLACE FUNCTION theazo.session_run(
	session text, definition text, task text, options jsonb DEFAULT '{}', max_cost numeric DEFAULT NULL, timeout interval DEFAULT NULL,
	max_steps integer DEFAULT NULL, response_schema jsonb DEFAULT NULL, idempotency_key text DEFAULT NULL, parent text DEFAULT NULL,
	api_key text DEFAULT NULL)
RETURNS theazo.runs
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
	a			theazo_data.agent;
	v_options	jsonb;
	v_run		text;
	v_hash		bytea;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'run:write');
	v_options := theazo_internal.run_options(task, max_cost, session_run.timeout, max_steps, response_schema);
	IF session_run.idempotency_key IS NOT NULL THEN
		v_hash := sha256(convert_to(jsonb_build_array(definition, task, options, v_options)::text, 'UTF8'));
		v_run := theazo_internal.idempotent_run('session_run:', session_run.session, session_run.idempotency_key, v_hash);
		IF v_run IS NOT NULL THEN
			RETURN theazo_internal.run_row(v_run);
		END IF;
	END IF;
	a := theazo_internal.agent_one_shot(session_run.session, session_run.definition, options);
	PERFORM theazo_internal.loop_allowed(a);
	v_run := theazo_internal.loop_make(a, task, v_options, theazo_internal.outer_role(), coalesce(parent, theazo_internal.current_run()));
	PERFORM theazo_internal.idempotent_keep('session_run:', a.session_id, session_run.idempotency_key, v_hash, v_run);
	RETURN theazo_internal.run_row(v_run);
END
$$;
COMMENT ON FUNCTION theazo.session_run(text, text, text, jsonb, numeric, interval, integer, jsonb, text, text, text) IS
'one task for an agent made for it, by a definition''s id or name or any role; returns the run at once; parent is the run that starts it';

-- By id, else the newest of that name, else an agent that acts as that role: a free name never fails.
CREATE OR REPLACE FUNCTION theazo_internal.agent_one_shot(p_session text, p_definition text, p_options jsonb)
RETURNS theazo_data.agent
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_options	jsonb := coalesce(p_options, '{}');
	d			theazo_data.definition;
BEGIN
	IF p_definition IS NOT NULL THEN
		PERFORM theazo_internal.name_check('definition', p_definition, 200);
		d := theazo_internal.definition_find(p_definition);
		IF d.id IS NOT NULL THEN
			v_options := v_options || jsonb_build_object('definition', d.id);
		ELSIF p_definition LIKE 'adef\_%' THEN
			PERFORM theazo_internal.raise_not_found('definition', p_definition);
		ELSIF NOT v_options ? 'instructions' THEN
			v_options := v_options || jsonb_build_object('instructions', format('You act as %s.', p_definition));
		END IF;
	END IF;
	RETURN theazo_internal.agent_make(p_session, v_options, true);
END
$$;
COMMENT ON FUNCTION theazo_internal.agent_one_shot(text, text, jsonb) IS 'an agent for one run, without a sandbox until a tool needs one';

CREATE OR REPLACE FUNCTION theazo.agent_send(agent text, type text, content text, metadata jsonb DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a theazo_data.agent;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'run:write');
	PERFORM theazo_internal.name_check('type', agent_send.type, 64);
	IF content IS NULL OR content = '' OR octet_length(content) > 65536 THEN
		PERFORM theazo_internal.raise_value('content', 'must have 1 to 65536 bytes');
	END IF;
	IF metadata IS NOT NULL THEN
		metadata := theazo_internal.object_check('metadata', metadata, 16384);
	END IF;
	a := theazo_internal.agent_lock(agent_send.agent);
	PERFORM theazo_internal.loop_allowed(a);
	IF a.status = 'completed' THEN
		PERFORM theazo_internal.raise_state('agent', a.id, a.status, 'send', 'Create a new agent.');
	ELSIF a.one_shot THEN
		PERFORM theazo_internal.raise_state('agent', a.id, a.status, 'send', 'It was made for one run, and no other will read it; start another with theazo.session_run().');
	ELSIF (SELECT count(*) FROM theazo_data.agent_input x
			WHERE x.platform_id = a.platform_id AND x.agent_id = a.id AND x.run_id IS NULL) >= 100 THEN
		PERFORM theazo_internal.raise_ceiling('inputs waiting for this agent', 100, 'Give it a task, so that it reads them.');
	END IF;
	-- as the model will read it
	PERFORM theazo_internal.safety_input(a, 'input', format('[%s] %s', agent_send.type, content));
	PERFORM theazo_internal.flow_act('agent.send');
	INSERT INTO theazo_data.agent_input (platform_id, id, agent_id, session_id, environment, type, content, metadata, role_name, labels, sent_by)
	VALUES (a.platform_id, theazo_internal.id_new('inp'), a.id, a.session_id, a.key_environment, agent_send.type, agent_send.content, agent_send.metadata,
			theazo_internal.outer_role(), theazo_internal.flow_input(a, agent_send.type), theazo_internal.principals());
	PERFORM theazo_internal.event_write(a.platform_id, 'data', 'input_queued', jsonb_build_object('type', agent_send.type, 'bytes', octet_length(content)),
		a.session_id, a.id, NULL, a.key_environment);
	-- What slept because nothing was to be done wakes; one that works for long begins at once.
	IF a.status = 'paused' AND a.paused_by = 'idle' AND a.options ->> 'autoResume' IS DISTINCT FROM 'false' THEN
		PERFORM theazo_internal.agent_resume(a);
		SELECT * INTO a FROM theazo_data.agent x WHERE x.platform_id = a.platform_id AND x.id = a.id;
	END IF;
	IF (a.options ->> 'longRunning')::boolean AND a.run_id IS NULL AND a.status IN ('booting', 'ready') THEN
		PERFORM theazo_internal.loop_make(a, 'Continue with the new input.', '{}', theazo_internal.outer_role());
	END IF;
	RETURN true;
END
$$;
COMMENT ON FUNCTION theazo.agent_send(text, text, text, jsonb, text) IS
'queues an input for the agent''s next run; an idle long-running agent starts at once';

-- A long-running agent that has nothing to do any more reads what was sent to it meanwhile, for whoever sent it: the words of
-- one must not move functions in the name of another. The agent is locked. What keeps it from beginning must not undo what
-- made it idle.
CREATE OR REPLACE FUNCTION theazo_internal.agent_read_on(a theazo_data.agent)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	v_n		bigint;
	v_role	name;
BEGIN
	IF NOT coalesce((a.options ->> 'longRunning')::boolean, false) OR a.run_id IS NOT NULL OR a.status <> 'ready' OR a.one_shot THEN
		RETURN;
	END IF;
	SELECT count(*), CASE WHEN count(DISTINCT x.role_name) = 1 THEN min(x.role_name::text)::name END INTO v_n, v_role
	  FROM theazo_data.agent_input x WHERE x.platform_id = a.platform_id AND x.agent_id = a.id AND x.run_id IS NULL;
	IF v_n = 0 OR NOT EXISTS (SELECT FROM theazo_data.session s
							   WHERE s.platform_id = a.platform_id AND s.id = a.session_id AND s.status = 'active') THEN
		RETURN;
	END IF;
	BEGIN
		PERFORM theazo_internal.loop_make(a, 'Continue with the new input.', '{}', v_role);
	EXCEPTION WHEN OTHERS THEN
		PERFORM theazo_internal.log_write(a.platform_id, NULL, 'error', 'system', pg_catalog.format('agent %s could not begin with its inputs: %s', a.id, SQLERRM),
			a.key_environment, a.session_id, a.id, NULL, a.user_id, NULL);
	END;
END
$$;
COMMENT ON FUNCTION theazo_internal.agent_read_on(theazo_data.agent) IS
'starts a run of an idle long-running agent for which inputs wait';

CREATE OR REPLACE FUNCTION theazo.agent_retry(agent text, api_key text DEFAULT NULL)
RETURNS theazo.runs
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a theazo_data.agent;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'run:write');
	a := theazo_internal.agent_take(agent_retry.agent, true);
	PERFORM theazo_internal.loop_allowed(a);
	IF a.status <> 'failed' OR a.one_shot OR a.task_run_id IS NULL THEN
		PERFORM theazo_internal.raise_state('agent', a.id, a.status, 'retry',
			CASE WHEN a.one_shot THEN 'It was made for one run; start another with theazo.session_run().'
				 WHEN a.task_run_id IS NULL THEN 'It has had no task yet.'
				 ELSE 'Only the last task of a failed agent can be tried again.' END);
	END IF;
	RETURN theazo_internal.run_row(theazo_internal.run_again(a, 1));
END
$$;
COMMENT ON FUNCTION theazo.agent_retry(text, text) IS 'gives a failed agent its last task again';

-- The last task of an agent, with what it was given, for whom it was given. The agent is locked. p_try: counted from 1.
CREATE OR REPLACE FUNCTION theazo_internal.run_again(a theazo_data.agent, p_try integer DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_input	jsonb;
	v_role	name;
	v_by	text[];
	v_run	text;
BEGIN
	SELECT p.input, l.role_name, l.started_by INTO v_input, v_role, v_by
	  FROM theazo_data.run_payload p
	  JOIN theazo_data.run_loop l ON l.platform_id = p.platform_id AND l.root_id = p.root_id
	 WHERE p.platform_id = a.platform_id AND p.root_id = theazo_internal.id_root(a.task_run_id);
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_state('agent', a.id, a.status, 'retry', 'Its last task is not kept any more; start a new run.');
	END IF;
	-- What was sent to the agent and went into the failed run is read again.
	UPDATE theazo_data.agent_input x SET run_id = NULL WHERE x.platform_id = a.platform_id AND x.run_id = a.task_run_id;
	v_run := theazo_internal.loop_make(a, v_input ->> 'task',
		(v_input - 'task') || jsonb_build_object('try', coalesce(p_try, (v_input ->> 'try')::integer + 1, 2)), v_role);
	-- It is still the request of whoever gave the task.
	UPDATE theazo_data.run_loop x SET started_by = x.started_by || v_by
	 WHERE x.platform_id = a.platform_id AND x.root_id = theazo_internal.id_root(v_run) AND v_by <> '{}';
	RETURN v_run;
END
$$;
COMMENT ON FUNCTION theazo_internal.run_again(theazo_data.agent, integer) IS 'starts the last task of an agent again';

-- How an agent stands: what it does, since when, and what it has cost in all.
CREATE OR REPLACE FUNCTION theazo.agent_status(agent text, api_key text DEFAULT NULL)
RETURNS TABLE (agent_id text, status text, task text, run_id text, duration_ms bigint, cost numeric, provider text, region text, error text)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	PERFORM theazo_internal.enter(api_key, 'agent:read');
	PERFORM theazo_internal.agent_shown(agent_status.agent);
	PERFORM theazo_internal.flow_look_agent(agent_status.agent);
	RETURN QUERY
	SELECT a.id::text, a.status, coalesce((SELECT p.input ->> 'task' FROM theazo_data.run_payload p
				WHERE p.platform_id = a.platform_id AND p.root_id = theazo_internal.id_root(a.task_run_id)), ''),
		   a.task_run_id::text, round(extract(epoch FROM coalesce(a.ended_at, clock_timestamp()) - a.created_at) * 1000)::bigint,
		   theazo_internal.cents(theazo_internal.agent_spent(a)), a.provider, coalesce(a.options ->> 'region', 'us-east-1'), a.error
	  FROM theazo_data.agent a
	 WHERE a.platform_id = theazo_internal.current_platform() AND a.id = agent_status.agent;
END
$$;
COMMENT ON FUNCTION theazo.agent_status(text, text) IS
'how an agent stands: state, last task and its run, age in milliseconds, cost in cents over its lifetime';
