-- webhook_event.sql: what a platform's webhooks are told: the names of events, and the objects as their GET shows them.
--
-- Whoever tells asks first whether anybody wants to hear it: that costs one look at an index, the object a query.

-- The name an event has outside, and nobody else's. * stands for all of them.
CREATE OR REPLACE FUNCTION theazo_internal.webhook_events()
RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY['session.created', 'session.paused', 'session.resumed', 'session.terminated',
	'agent.created', 'agent.completed', 'agent.failed', 'agent.paused', 'agent.resumed', 'agent.terminated',
	'workflow.run.started', 'workflow.run.completed', 'workflow.run.failed', 'workflow.run.paused',
	'fleet.completed', 'team.completed', 'task.completed', 'task.failed',
	'approval.requested', 'approval.resolved', 'approval.expired', 'permission.requested', 'permission.resolved', 'permission.expired',
	'schedule.executed', 'trigger.fired', 'budget.alert', 'limit.exceeded', 'guardrail.violation', 'chat.handoff', 'mcp.error',
	'webhook.disabled', 'webhook.test'];
COMMENT ON FUNCTION theazo_internal.webhook_events() IS 'names of the events that webhooks can ask for';

CREATE OR REPLACE FUNCTION theazo_internal.webhooks_for(p_platform text, p_environment text, p_event text)
RETURNS text[] LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'theazo_webhooks_for';
COMMENT ON FUNCTION theazo_internal.webhooks_for(text, text, text) IS
'webhooks that want to hear of an event, null when there are none; without a statement, so only the owners may call it';

-- ---------------------------------------------------------------------------------------
-- objects

CREATE OR REPLACE FUNCTION theazo_internal.session_document(s theazo_data.session)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN pg_catalog.jsonb_build_object('id', s.id, 'userId', s.user_id, 'status', s.status, 'environment', s.environment,
			'metadata', s.metadata, 'limits', s.limits, 'createdAt', theazo_internal.time_iso(s.created_at),
			'pausedAt', theazo_internal.time_iso(s.paused_at), 'pausedReason', s.paused_reason,
			'terminatedAt', theazo_internal.time_iso(s.terminated_at))
		|| pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('compute', s.compute, 'models', s.models));
END $$;
COMMENT ON FUNCTION theazo_internal.session_document(theazo_data.session) IS 'a session as its GET shows it';

CREATE OR REPLACE FUNCTION theazo_internal.agent_document(a theazo_data.agent)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN pg_catalog.jsonb_build_object('id', a.id, 'sessionId', a.session_id, 'userId', a.user_id, 'status', a.status,
		'provider', a.provider, 'compute', a.compute, 'model', a.model, 'browser', coalesce((a.options ->> 'browser')::boolean, false),
		'region', coalesce(a.options ->> 'region', 'us-east-1'), 'createdAt', theazo_internal.time_iso(a.created_at),
		'definition', a.definition_id, 'definitionVersion', a.definition_version, 'managedLoop', a.managed_loop, 'error', a.error);
END $$;
COMMENT ON FUNCTION theazo_internal.agent_document(theazo_data.agent) IS 'an agent as its GET shows it';

-- Without its tool calls, whose answers may be long: they are asked for by the run's id.
CREATE OR REPLACE FUNCTION theazo_internal.run_document(r theazo_data.run, p_result jsonb)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
	v_ms	bigint := pg_catalog.round(extract(epoch FROM r.ended_at - coalesce(r.started_at, r.ended_at)) * 1000);
BEGIN
	RETURN pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('runId', r.id, 'traceId', r.trace_id,
		'output', CASE WHEN r.status = 'completed' THEN coalesce(p_result -> 'output', '""') END,
		'artifacts', CASE WHEN r.status = 'completed' THEN coalesce(p_result -> 'artifacts', '[]') END,
		'cost', pg_catalog.jsonb_build_object('amount', pg_catalog.round(theazo_internal.cents(coalesce(r.cost, 0)))::bigint, 'currency', 'usd'),
		'duration', theazo_internal.rest_duration(v_ms), 'durationMs', v_ms, 'provider', r.provider,
		'usage', CASE WHEN p_result ? 'usage' THEN pg_catalog.jsonb_build_object('inputTokens', p_result #> '{usage,input_tokens}',
			'outputTokens', p_result #> '{usage,output_tokens}', 'modelCalls', p_result #> '{usage,model_calls}') END,
		'failure', CASE WHEN r.status = 'failed' THEN pg_catalog.jsonb_build_object('code', r.error_code, 'message', r.error_message) END));
END $$;
COMMENT ON FUNCTION theazo_internal.run_document(theazo_data.run, jsonb) IS 'how a run ended: output and cost, or failure';

-- ---------------------------------------------------------------------------------------
-- telling

-- A life cycle's event is one for webhooks where its name is in their list.
CREATE OR REPLACE FUNCTION theazo_internal.session_tell(p_platform text, p_environment text, p_session text, p_action text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	v_event	text := pg_catalog.replace(p_action, '_', '.');
	s		theazo_data.session;
BEGIN
	IF theazo_internal.webhooks_for(p_platform, p_environment, v_event) IS NULL OR NOT v_event = ANY (theazo_internal.webhook_events()) THEN
		RETURN;
	END IF;
	SELECT * INTO s FROM theazo_data.session x WHERE x.platform_id = p_platform AND x.id = p_session;
	PERFORM theazo_internal.notify(p_platform, p_environment, v_event,
		pg_catalog.jsonb_build_object('sessionId', s.id) || theazo_internal.session_document(s));
END $$;
COMMENT ON FUNCTION theazo_internal.session_tell(text, text, text, text) IS 'tells webhooks what became of a session';

CREATE OR REPLACE FUNCTION theazo_internal.agent_tell(p_platform text, p_environment text, p_agent text, p_action text, p_more jsonb DEFAULT '{}')
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	v_event	text := pg_catalog.replace(p_action, '_', '.');
	a		theazo_data.agent;
BEGIN
	IF theazo_internal.webhooks_for(p_platform, p_environment, v_event) IS NULL OR NOT v_event = ANY (theazo_internal.webhook_events()) THEN
		RETURN;
	END IF;
	SELECT * INTO a FROM theazo_data.agent x WHERE x.platform_id = p_platform AND x.id = p_agent;
	PERFORM theazo_internal.notify(p_platform, p_environment, v_event,
		pg_catalog.jsonb_build_object('agentId', a.id) || theazo_internal.agent_document(a) || p_more);
END $$;
COMMENT ON FUNCTION theazo_internal.agent_tell(text, text, text, text, jsonb) IS 'tells webhooks what became of an agent';

-- A run of an agent has ended, and its agent has been told. One that was cancelled neither succeeded nor failed.
CREATE OR REPLACE FUNCTION theazo_internal.run_tell(p_platform text, p_environment text, p_run text, p_status text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	v_event	text := CASE p_status WHEN 'completed' THEN 'agent.completed' WHEN 'failed' THEN 'agent.failed' END;
	r		theazo_data.run;
BEGIN
	IF theazo_internal.webhooks_for(p_platform, p_environment, v_event) IS NULL THEN
		RETURN;
	END IF;
	SELECT * INTO r FROM theazo_data.run x WHERE x.platform_id = p_platform AND x.id = p_run;
	PERFORM theazo_internal.agent_tell(p_platform, p_environment, r.agent_id, v_event,
		theazo_internal.run_document(r, coalesce((SELECT x.result FROM theazo_data.run_payload x
			WHERE x.platform_id = p_platform AND x.root_id = theazo_internal.id_root(p_run)), '{}')));
END $$;
COMMENT ON FUNCTION theazo_internal.run_tell(text, text, text, text) IS 'tells webhooks that a run of an agent has completed or failed';
