-- agent.sql: agents as REST shows them, and what is done in their sandboxes.

-- Members that the contract does not know are ignored, at every level: what theazo takes is picked out.
CREATE OR REPLACE FUNCTION theazo_internal.rest_options(a jsonb)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	o jsonb := theazo_internal.rest_pick(a, 'compute', 'browser', 'storage', 'gpu', 'model', 'modelFallback', 'instructions', 'tools', 'timeout', 'costCap',
		'provider', 'providerFallback', 'region', 'approvals', 'knowledge', 'metadata', 'guardrails', 'lifecycle', 'definition', 'overrides', 'secrets',
		'secretDelivery', 'longRunning', 'checkpointInterval', 'maxDuration', 'hibernateAfterIdle', 'autoResume', 'managedLoop', 'mcp', 'network', 'config',
		'description', 'permissions', 'template', 'limits');
	inner_keys CONSTANT jsonb := '{"model": ["provider", "baseUrl", "endpoint", "credentialRef", "name", "model"],
		"costCap": ["amount", "currency"], "approvals": ["require", "notifyVia", "timeout", "defaultAction", "quorum", "noSelfApproval"],
		"metadata": ["extract", "custom"], "lifecycle": ["autoPause", "onFailure", "maxRetries", "retryDelay"],
		"guardrails": ["contentFilter", "blockPII", "promptInjection", "allowedDomains", "blockedDomains", "maxOutputTokens", "maxToolCalls"],
		"network": ["enabled", "allow"], "config": ["temperature", "maxTokens"]}';
	k text;
BEGIN
	FOR k IN SELECT x FROM pg_catalog.jsonb_object_keys(inner_keys) x LOOP
		IF pg_catalog.jsonb_typeof(o -> k) = 'object' THEN
			o := o || pg_catalog.jsonb_build_object(k, theazo_internal.rest_pick(o -> k,
				VARIADIC ARRAY(SELECT x FROM pg_catalog.jsonb_array_elements_text(inner_keys -> k) x)));
		END IF;
	END LOOP;
	IF pg_catalog.jsonb_typeof(o -> 'overrides') = 'object' THEN
		o := o || pg_catalog.jsonb_build_object('overrides', theazo_internal.rest_options(o -> 'overrides') - 'definition' - 'overrides');
	END IF;
	RETURN o;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_options(jsonb) IS
'the agent options of a request';

CREATE OR REPLACE FUNCTION theazo_internal.rest_agent(a theazo.agents)
RETURNS jsonb LANGUAGE sql STABLE
RETURN pg_catalog.jsonb_build_object(
	'id', a.id, 'sessionId', a.session_id, 'userId', a.user_id, 'status', a.status, 'provider', a.provider, 'compute', a.compute,
	'model', a.model, 'browser', a.browser, 'region', a.region, 'createdAt', theazo_internal.rest_at(a.created_at),
	'definition', a.definition_id, 'definitionVersion', a.definition_version, 'managedLoop', a.managed_loop, 'error', a.error);
COMMENT ON FUNCTION theazo_internal.rest_agent(theazo.agents) IS
'an Agent';

CREATE OR REPLACE FUNCTION theazo_internal.rest_agent_create(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	made theazo.agents := theazo.agent_create(a ->> 'id', theazo_internal.rest_options(a));
BEGIN
	RETURN theazo_internal.rest_agent_booted(pg_catalog.jsonb_build_object('agent', made.id));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_agent_create(jsonb) IS
'POST /v1/sessions/:id/agents';

CREATE OR REPLACE FUNCTION theazo_internal.rest_agent_booted(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	made theazo.agents := theazo.agent_get(a ->> 'agent');
BEGIN
	IF made.status = 'booting' THEN
		RETURN theazo_internal.rest_wait(made.id, 'agent_booted', a, theazo_internal.rest_agent(made));
	ELSIF made.status = 'failed' THEN
		RAISE EXCEPTION USING ERRCODE = 'TZ402', MESSAGE = coalesce(made.error, 'the sandbox could not be made'),
			DETAIL = pg_catalog.jsonb_build_object('agentId', made.id, 'provider', made.provider)::text,
			HINT = 'The agent stays; its next run or exec tries again.';
	END IF;
	PERFORM theazo_internal.rest_answer(201);
	RETURN theazo_internal.rest_agent(made);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_agent_booted(jsonb) IS
'an Agent, once its sandbox has answered or failed';

CREATE OR REPLACE FUNCTION theazo_internal.rest_agents(a jsonb, p_session text)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	n integer := theazo_internal.rest_limit(a);
	after text := theazo_internal.rest_after(a, 'agents');
	v_status text := theazo_internal.rest_one_of(a, 'status', false, 'booting', 'ready', 'running', 'paused', 'completed', 'failed');
	rows jsonb[];
	ids text[];
BEGIN
	-- asks for the scope, and whether there is such a session
	PERFORM theazo.agent_list(p_session, max_rows => 1);
	SELECT pg_catalog.array_agg(theazo_internal.rest_agent(x.t) ORDER BY x.id DESC), pg_catalog.array_agg(x.id ORDER BY x.id DESC) INTO rows, ids
	  FROM (SELECT t, t.id::text COLLATE "C" AS id FROM theazo.agents t
			 WHERE (p_session IS NULL OR t.session_id = p_session)
			   AND (v_status IS NULL OR t.status = v_status)
			   AND (NOT a ? 'provider' OR t.provider = a ->> 'provider')
			   AND (NOT a ? 'compute' OR t.compute = a ->> 'compute')
			   AND (after IS NULL OR t.id < after)
			 ORDER BY t.id DESC LIMIT n + 1) x;
	RETURN theazo_internal.rest_page('agents', n, rows, ids);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_agents(jsonb, text) IS
'a page of agents, of one session or of all';

CREATE OR REPLACE FUNCTION theazo_internal.rest_session_agents(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN theazo_internal.rest_agents(a, a ->> 'id');
END $$;
COMMENT ON FUNCTION theazo_internal.rest_session_agents(jsonb) IS
'GET /v1/sessions/:id/agents';

CREATE OR REPLACE FUNCTION theazo_internal.rest_agent_list(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN theazo_internal.rest_agents(a, theazo_internal.rest_text(a, 'sessionId'));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_agent_list(jsonb) IS
'GET /v1/agents';

CREATE OR REPLACE FUNCTION theazo_internal.rest_agent_get(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN theazo_internal.rest_agent(theazo.agent_get(a ->> 'id'));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_agent_get(jsonb) IS
'GET /v1/agents/:id';

CREATE OR REPLACE FUNCTION theazo_internal.rest_agent_run(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	r theazo.runs;
BEGIN
	r := theazo.run_start(a ->> 'id', theazo_internal.rest_text(a, 'task', true), theazo_internal.rest_cents(a, 'maxCost'),
		theazo_internal.rest_interval(a, 'timeout', false, '1 ms', '24 hours'));
	IF theazo_internal.rest_bool(a, 'stream') THEN
		PERFORM theazo_internal.rest_answer(202);
		RETURN pg_catalog.jsonb_build_object('status', 'running', 'agentId', r.agent_id);
	END IF;
	RETURN theazo_internal.rest_wait(r.id, 'run_ended', pg_catalog.jsonb_build_object('run', r.id));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_agent_run(jsonb) IS
'POST /v1/agents/:id/run';

CREATE OR REPLACE FUNCTION theazo_internal.rest_work_wait(r theazo.runs)
RETURNS jsonb LANGUAGE sql STABLE
RETURN theazo_internal.rest_wait(r.id, 'work_ended', pg_catalog.jsonb_build_object('run', r.id));
COMMENT ON FUNCTION theazo_internal.rest_work_wait(theazo.runs) IS
'waits for one piece of work in a sandbox';

CREATE OR REPLACE FUNCTION theazo_internal.rest_agent_exec(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	-- an object where the language belongs holds both: the call of the documentation through the present client
	IF pg_catalog.jsonb_typeof(a -> 'language') = 'object' THEN
		a := a - 'language' - 'lang' || theazo_internal.rest_pick(a -> 'language', 'lang', 'language', 'code');
	END IF;
	IF NOT a ? 'language' AND a ? 'lang' THEN
		a := a || pg_catalog.jsonb_build_object('language', a -> 'lang');
	END IF;
	RETURN theazo_internal.rest_work_wait(theazo.exec_start(a ->> 'id', theazo_internal.rest_text(a, 'language', true),
		coalesce(theazo_internal.rest_text(a, 'code'), theazo_internal.rest_text(a, 'code', true)),
		theazo_internal.rest_interval(a, 'timeout', false, '1 ms', '24 hours'), theazo_internal.rest_object(a, 'env')));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_agent_exec(jsonb) IS
'POST /v1/agents/:id/exec';

CREATE OR REPLACE FUNCTION theazo_internal.rest_content(a jsonb)
RETURNS bytea LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	v text := theazo_internal.rest_text(a, 'data');
	v_base64 boolean := theazo_internal.rest_one_of(a, 'encoding', false, 'utf-8', 'base64') = 'base64';
BEGIN
	IF v IS NULL THEN
		PERFORM theazo_internal.rest_bad('data', 'is required');
	ELSIF v_base64 IS NOT TRUE THEN
		RETURN pg_catalog.convert_to(v, 'UTF8');
	END IF;
	BEGIN
		RETURN pg_catalog.decode(v, 'base64');
	EXCEPTION WHEN data_exception THEN
		PERFORM theazo_internal.rest_bad('data', 'is not base64');
	END;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_content(jsonb) IS
'the bytes of a request''s data';

CREATE OR REPLACE FUNCTION theazo_internal.rest_file_write(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN theazo_internal.rest_work_wait(theazo.file_write_start(a ->> 'id', theazo_internal.rest_text(a, 'path', true), theazo_internal.rest_content(a)));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_file_write(jsonb) IS
'POST /v1/agents/:id/files';

CREATE OR REPLACE FUNCTION theazo_internal.rest_file_read(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN theazo_internal.rest_work_wait(theazo.file_read_start(a ->> 'id', a ->> 'path'));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_file_read(jsonb) IS
'GET /v1/agents/:id/files/*path';

CREATE OR REPLACE FUNCTION theazo_internal.rest_file_list(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN theazo_internal.rest_work_wait(theazo.file_list_start(a ->> 'id', coalesce(theazo_internal.rest_text(a, 'dir'), '/')));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_file_list(jsonb) IS
'GET /v1/agents/:id/files';

CREATE OR REPLACE FUNCTION theazo_internal.rest_port_expose(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN theazo_internal.rest_work_wait(theazo.port_expose_start(a ->> 'id', theazo_internal.rest_int(a, 'port', true, 1, 65535)::integer));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_port_expose(jsonb) IS
'POST /v1/agents/:id/ports';

CREATE OR REPLACE FUNCTION theazo_internal.rest_agent_metrics(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN theazo_internal.rest_work_wait(theazo.metrics_start(a ->> 'id'));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_agent_metrics(jsonb) IS
'GET /v1/agents/:id/metrics';

CREATE OR REPLACE FUNCTION theazo_internal.rest_agent_status(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	s record;
BEGIN
	SELECT * INTO s FROM theazo.agent_status(a ->> 'id');
	RETURN pg_catalog.jsonb_build_object('status', s.status, 'duration', theazo_internal.rest_duration(s.duration_ms),
		'cost', theazo_internal.rest_cost(pg_catalog.round(s.cost)::bigint), 'task', s.task, 'provider', s.provider, 'region', s.region);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_agent_status(jsonb) IS
'GET /v1/agents/:id/status';

CREATE OR REPLACE FUNCTION theazo_internal.rest_agent_pause(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo.agent_pause(a ->> 'id');
	RETURN theazo_internal.rest_agent_slept(pg_catalog.jsonb_build_object('agent', a ->> 'id'));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_agent_pause(jsonb) IS
'POST /v1/agents/:id/pause';

CREATE OR REPLACE FUNCTION theazo_internal.rest_agent_slept(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	s theazo.snapshots;
	x theazo.agents := theazo.agent_get(a ->> 'agent');
	shown jsonb;
BEGIN
	-- the pause's, or that of a checkpoint for which the sandbox slept already
	SELECT t.* INTO s FROM theazo.snapshots t WHERE t.agent_id = x.id AND t.status IN ('taking', 'kept', 'empty') ORDER BY t.id DESC LIMIT 1;
	-- without a sandbox nothing is kept
	shown := pg_catalog.jsonb_build_object('id', coalesce(s.id::text, ''), 'size', coalesce(s.size, '0B'), 'provider', x.provider);
	IF s.status = 'taking' THEN
		RETURN theazo_internal.rest_wait(s.id, 'agent_slept', a, shown);
	END IF;
	RETURN shown;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_agent_slept(jsonb) IS
'a Snapshot, once the provider has taken it';

CREATE OR REPLACE FUNCTION theazo_internal.rest_agent_resume(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF theazo_internal.rest_given(theazo_internal.rest_pick(a, 'provider', 'region', 'checkpoint')) = '{}' THEN
		PERFORM theazo.agent_resume(a ->> 'id');
	ELSE
		PERFORM theazo.agent_resume_with(a ->> 'id', theazo_internal.rest_text(a, 'checkpoint'), theazo_internal.rest_text(a, 'provider'),
			theazo_internal.rest_text(a, 'region'));
	END IF;
	RETURN NULL;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_agent_resume(jsonb) IS
'POST /v1/agents/:id/resume';

CREATE OR REPLACE FUNCTION theazo_internal.rest_agent_retry(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo.agent_retry(a ->> 'id');
	RETURN '{"status": "running"}';
END $$;
COMMENT ON FUNCTION theazo_internal.rest_agent_retry(jsonb) IS
'POST /v1/agents/:id/retry';

CREATE OR REPLACE FUNCTION theazo_internal.rest_agent_terminate(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo.agent_terminate(a ->> 'id');
	RETURN NULL;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_agent_terminate(jsonb) IS
'POST /v1/agents/:id/terminate';

CREATE OR REPLACE FUNCTION theazo_internal.rest_agent_send(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo.agent_send(a ->> 'id', theazo_internal.rest_text(a, 'type', true), theazo_internal.rest_text(a, 'content', true),
		theazo_internal.rest_object(a, 'metadata'));
	RETURN '{"queued": true}';
END $$;
COMMENT ON FUNCTION theazo_internal.rest_agent_send(jsonb) IS
'POST /v1/agents/:id/send';

CREATE OR REPLACE FUNCTION theazo_internal.rest_agent_progress(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	p record;
BEGIN
	SELECT * INTO p FROM theazo.agent_progress(a ->> 'id');
	RETURN pg_catalog.jsonb_build_object('phase', p.phase, 'checkpoints', p.checkpoints,
		'totalDuration', theazo_internal.rest_duration(p.total_ms), 'activeDuration', theazo_internal.rest_duration(p.active_ms),
		'status', p.status, 'lastCheckpointAt', theazo_internal.rest_at(p.last_checkpoint_at));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_agent_progress(jsonb) IS
'GET /v1/agents/:id/progress';

CREATE OR REPLACE FUNCTION theazo_internal.rest_checkpoint(c theazo.checkpoints)
RETURNS jsonb LANGUAGE sql STABLE
RETURN pg_catalog.jsonb_build_object('id', c.id, 'agentId', c.agent_id, 'snapshotId', c.snapshot_id, 'phase', c.phase,
	'progress', pg_catalog.trim_scale(c.progress), 'metadata', c.metadata, 'createdAt', theazo_internal.rest_at(c.created_at));
COMMENT ON FUNCTION theazo_internal.rest_checkpoint(theazo.checkpoints) IS
'a Checkpoint';

CREATE OR REPLACE FUNCTION theazo_internal.rest_checkpoint_list(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN pg_catalog.jsonb_build_object('data', (
		SELECT coalesce(pg_catalog.jsonb_agg(theazo_internal.rest_checkpoint(c) ORDER BY c.id), '[]') FROM theazo.checkpoint_list(a ->> 'id') c));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_checkpoint_list(jsonb) IS
'GET /v1/agents/:id/checkpoints';

CREATE OR REPLACE FUNCTION theazo_internal.rest_checkpoint_create(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN theazo_internal.rest_checkpoint(theazo.checkpoint_create(a ->> 'id', theazo_internal.rest_text(a, 'phase'),
		theazo_internal.rest_number(a, 'progress', false, 0, 100), theazo_internal.rest_object(a, 'metadata')));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_checkpoint_create(jsonb) IS
'POST /v1/agents/:id/checkpoints';
