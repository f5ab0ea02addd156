-- schedule.sql: schedules and what became of their times, as REST shows them.

CREATE OR REPLACE FUNCTION theazo_internal.rest_schedule(s theazo.schedules)
RETURNS jsonb LANGUAGE sql STABLE
RETURN pg_catalog.jsonb_build_object(
	'id', s.id, 'name', s.name, 'agent', s.agent, 'userId', s.user_id, 'cron', s.cron, 'timezone', s.timezone, 'status', s.status,
	'input', s.input, 'createdAt', theazo_internal.rest_at(s.created_at),
	'nextRunAt', theazo_internal.rest_at(s.next_run_at), 'lastRunAt', theazo_internal.rest_at(s.last_run_at));
COMMENT ON FUNCTION theazo_internal.rest_schedule(theazo.schedules) IS 'a Schedule';

-- What waits for the one before will run: the contract knows no word for it. Of what did not begin, the error is a word.
CREATE OR REPLACE FUNCTION theazo_internal.rest_fire_document(
	p_id text, p_agent text, p_status text, p_cents numeric, p_started timestamptz, p_completed timestamptz, p_code text, p_message text, p_run text)
RETURNS jsonb LANGUAGE sql STABLE
RETURN pg_catalog.jsonb_build_object(
	'executionId', p_id, 'agentId', coalesce(p_agent, ''), 'status', CASE p_status WHEN 'queued' THEN 'running' ELSE p_status END,
	'cost', theazo_internal.rest_cost(pg_catalog.floor(coalesce(p_cents, 0) + 0.5)::bigint),
	'startedAt', theazo_internal.rest_at(p_started), 'completedAt', theazo_internal.rest_at(p_completed),
	'error', CASE WHEN p_status = 'skipped' THEN p_code ELSE coalesce(p_message, p_code) END, 'runId', p_run);
COMMENT ON FUNCTION theazo_internal.rest_fire_document(text, text, text, numeric, timestamptz, timestamptz, text, text, text) IS
'an Execution of a schedule or trigger';

CREATE OR REPLACE FUNCTION theazo_internal.rest_fire(e theazo.schedule_executions)
RETURNS jsonb LANGUAGE sql STABLE
RETURN theazo_internal.rest_fire_document(e.id, e.agent_id, e.status, e.cost, coalesce(e.started_at, e.due_at, e.created_at), e.completed_at,
	e.error_code, e.error_message, e.run_id);
COMMENT ON FUNCTION theazo_internal.rest_fire(theazo.schedule_executions) IS 'an Execution of a schedule or trigger, from its row';

CREATE OR REPLACE FUNCTION theazo_internal.rest_schedule_create(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN theazo_internal.rest_schedule(theazo.schedule_create(
		theazo_internal.rest_text(a, 'name', true, 200), theazo_internal.rest_text(a, 'agent', true, 200), theazo_internal.rest_text(a, 'cron', true, 256),
		theazo_internal.rest_text(a, 'userId', true, 256), coalesce(theazo_internal.rest_text(a, 'timezone', false, 256), 'UTC'),
		coalesce(theazo_internal.rest_object(a, 'input'), '{}')));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_schedule_create(jsonb) IS 'POST /v1/schedules';

CREATE OR REPLACE FUNCTION theazo_internal.rest_schedule_list(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT coalesce(pg_catalog.jsonb_agg(theazo_internal.rest_schedule(s) ORDER BY s.id DESC), '[]') FROM theazo.schedule_list(max_rows => 1000) s);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_schedule_list(jsonb) IS 'GET /v1/schedules';

CREATE OR REPLACE FUNCTION theazo_internal.rest_schedule_get(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN theazo_internal.rest_schedule(theazo.schedule_get(a ->> 'id'));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_schedule_get(jsonb) IS 'GET /v1/schedules/:id';

CREATE OR REPLACE FUNCTION theazo_internal.rest_schedule_pause(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo.schedule_pause(a ->> 'id');
	RETURN NULL;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_schedule_pause(jsonb) IS 'POST /v1/schedules/:id/pause';

CREATE OR REPLACE FUNCTION theazo_internal.rest_schedule_resume(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo.schedule_resume(a ->> 'id');
	RETURN NULL;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_schedule_resume(jsonb) IS 'POST /v1/schedules/:id/resume';

CREATE OR REPLACE FUNCTION theazo_internal.rest_schedule_delete(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo.schedule_delete(a ->> 'id');
	RETURN NULL;
END $$;
COMMENT ON FUNCTION theazo_internal.rest_schedule_delete(jsonb) IS 'DELETE /v1/schedules/:id';

CREATE OR REPLACE FUNCTION theazo_internal.rest_schedule_history(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT coalesce(pg_catalog.jsonb_agg(theazo_internal.rest_fire(e) ORDER BY e.id DESC), '[]') FROM theazo.schedule_history(a ->> 'id', 1000) e);
END $$;
COMMENT ON FUNCTION theazo_internal.rest_schedule_history(jsonb) IS 'GET /v1/schedules/:id/history';

CREATE OR REPLACE FUNCTION theazo_internal.rest_schedule_run(a jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN theazo_internal.rest_fire(theazo.schedule_run(a ->> 'id'));
END $$;
COMMENT ON FUNCTION theazo_internal.rest_schedule_run(jsonb) IS 'POST /v1/schedules/:id/run';
