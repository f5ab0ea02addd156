-- schedule.sql: schedules: made, looked at, changed, and what became of each time.

CREATE OR REPLACE VIEW theazo.schedules WITH (security_barrier) AS
SELECT s.platform_id, s.id, s.environment, s.name, s.target, s.agent, s.user_id, s.cron, s.timezone, s.input, s.overlap, s.catchup, s.catchup_window,
	   s.jitter, s.max_cost, s.timeout_ms, s.status, s.next_at AS next_run_at, s.last_at AS last_run_at, s.fires, s.skips, s.misses,
	   s.status = 'active' AND s.instance <> theazo_internal.instance() AS held, s.created_at, s.updated_at, s.paused_at
  FROM theazo_data.schedule s
 WHERE (SELECT theazo_internal.may_read('schedule:read')) AND theazo_internal.current_session() IS NULL;
COMMENT ON VIEW theazo.schedules IS
'work that begins at times; held: it came with a copy of the database, and begins nothing until theazo.effects_release()';

-- How it stands now: that a run has ended, its row says first.
CREATE OR REPLACE VIEW theazo.schedule_executions WITH (security_barrier) AS
SELECT f.platform_id, f.id, f.environment, f.source_id, f.cause, f.due_at,
	   CASE WHEN f.status <> 'running' OR r.status IN ('queued', 'running') THEN f.status WHEN r.status = 'completed' THEN 'completed' ELSE 'failed' END AS status,
	   f.run_id, f.agent_id, f.session_id,
	   theazo_internal.cents(coalesce(f.cost, f.fee + coalesce(r.cost, 0))) AS cost,
	   coalesce(f.error_code, r.error_code) AS error_code, coalesce(f.error_message, r.error_message) AS error_message,
	   f.created_at, f.started_at, coalesce(f.ended_at, r.ended_at) AS completed_at
  FROM theazo_data.schedule_fire f
  LEFT JOIN theazo_data.run r ON r.platform_id = f.platform_id AND r.id = f.run_id AND f.status = 'running'
 WHERE (SELECT theazo_internal.may_read('schedule:read')) AND theazo_internal.current_session() IS NULL;
COMMENT ON VIEW theazo.schedule_executions IS
'each time of a schedule or trigger: begun, queued behind the one before, skipped or missed; source_id is the schedule or trigger, cost is in cents with the fee';

-- ---------------------------------------------------------------------------------------
-- what is given

CREATE OR REPLACE FUNCTION theazo_internal.schedule_enter(p_api_key text, p_scope text, p_what text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo_internal.enter(p_api_key, p_scope);
	PERFORM theazo_internal.refuse_narrowed(p_what);
END $$;
COMMENT ON FUNCTION theazo_internal.schedule_enter(text, text, text) IS 'first line of what concerns schedules and triggers, which belong to the platform';

-- Whoever has work begun by itself must be allowed to begin it.
CREATE OR REPLACE FUNCTION theazo_internal.schedule_enter_write(p_api_key text, p_scope text, p_what text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo_internal.schedule_enter(p_api_key, p_scope, p_what);
	IF NOT theazo_internal.scope_held('run:write') THEN
		PERFORM theazo_internal.raise_scope('scope "run:write" is needed', 'scope_missing',
			'What begins by itself begins runs; use a key whose scopes contain it.');
	END IF;
	PERFORM theazo_internal.flow_clean(p_what);
	PERFORM theazo_internal.flow_act('agent.write');
END $$;
COMMENT ON FUNCTION theazo_internal.schedule_enter_write(text, text, text) IS 'first line of what makes or changes work that begins by itself';

-- What is begun, checked: governed:name and agt_ say by themselves what they are.
CREATE OR REPLACE FUNCTION theazo_internal.fire_target_of(p_target text, p_agent text, p_user text, p_max_cost numeric, p_timeout interval)
RETURNS theazo_internal.fire_target LANGUAGE plpgsql AS $$
DECLARE
	t		theazo_internal.fire_target;
	a		theazo_data.agent;
	v_name	text;
BEGIN
	t.agent := theazo_internal.name_check('agent', p_agent, 200);
	v_name := regexp_replace(p_agent, '^governed:', '');
	t.kind := coalesce(p_target, CASE WHEN p_agent LIKE 'governed:%' THEN 'governed'
		WHEN p_agent NOT LIKE 'agt\_%' THEN 'agent'
		WHEN EXISTS (SELECT FROM theazo_data.governed_agent g WHERE g.platform_id = theazo_internal.current_platform() AND g.id = p_agent) THEN 'governed'
		ELSE 'run' END);
	PERFORM theazo_internal.one_of('target', t.kind, 'agent', 'run', 'governed');
	IF p_agent LIKE 'workflow:%' THEN
		PERFORM theazo_internal.raise_value('agent', 'names a workflow', 'Schedules begin agents, runs and governed agents.');
	ELSIF t.kind = 'agent' AND p_agent LIKE 'adef\_%' AND (theazo_internal.definition_find(p_agent)).id IS NULL THEN
		PERFORM theazo_internal.raise_not_found('definition', p_agent);
	ELSIF t.kind = 'run' THEN
		t.agent_id := (theazo_internal.agent_shown(p_agent)).id;
	ELSIF t.kind = 'governed' THEN
		t.agent_id := (theazo_internal.governed_find(v_name)).id;
	END IF;
	IF t.agent_id IS NOT NULL THEN
		SELECT * INTO STRICT a FROM theazo_data.agent x WHERE x.platform_id = theazo_internal.current_platform() AND x.id = t.agent_id;
		IF a.one_shot THEN
			PERFORM theazo_internal.raise_value('agent', 'was made for one run', 'Name its definition, or an agent of theazo.agent_create().');
		ELSIF t.kind = 'run' AND p_user <> a.user_id THEN
			PERFORM theazo_internal.raise_value('user_id', 'is not the user of this agent', 'Leave it out, or name an agent of that user.');
		END IF;
	END IF;
	t.user_id := coalesce(p_user, a.user_id);
	IF t.user_id IS NULL THEN
		PERFORM theazo_internal.raise_value('user_id', 'is missing', 'It says in whose session the work is done.');
	END IF;
	PERFORM theazo_internal.name_check('user_id', t.user_id, 256);
	IF t.kind = 'governed' AND (p_max_cost IS NOT NULL OR p_timeout IS NOT NULL) THEN
		PERFORM theazo_internal.raise_value(CASE WHEN p_max_cost IS NOT NULL THEN 'max_cost' ELSE 'timeout' END, 'is not for governed agents',
			'Their limits are part of what they are registered with.');
	END IF;
	PERFORM theazo_internal.run_options('x', p_max_cost, p_timeout, NULL, NULL);
	t.max_cost := p_max_cost;
	t.timeout_ms := CASE WHEN p_timeout IS NOT NULL THEN theazo_internal.timeout_check(p_timeout) END;
	t.role_name := theazo_internal.outer_role();
	t.asked_by := theazo_internal.principals();
	RETURN t;
END $$;
COMMENT ON FUNCTION theazo_internal.fire_target_of(text, text, text, numeric, interval) IS 'what a schedule or trigger is about, from what was given';

-- What is said about times. Whatever can be wrong about them is found now, not when they come.
CREATE OR REPLACE FUNCTION theazo_internal.schedule_times_check(s theazo_data.schedule)
RETURNS theazo_data.schedule LANGUAGE plpgsql AS $$
BEGIN
	IF s.cron IS NULL THEN
		PERFORM theazo_internal.raise_value('cron', 'is missing', 'Give five fields, like 30 9 * * mon-fri.');
	ELSIF s.timezone IS NULL THEN
		PERFORM theazo_internal.raise_value('timezone', 'is missing', 'Use a name of pg_timezone_names, like Europe/Berlin or UTC.');
	END IF;
	IF theazo_internal.cron_next(s.cron, s.timezone, clock_timestamp()) IS NULL THEN
		PERFORM theazo_internal.raise_value('cron', 'never comes', 'No month has such a day.');
	END IF;
	PERFORM theazo_internal.one_of('overlap', s.overlap, 'skip', 'queue', 'parallel', 'cancel_previous');
	PERFORM theazo_internal.one_of('catchup', s.catchup, 'none', 'last', 'all', 'window');
	IF s.catchup <> 'window' AND s.catchup_window IS NOT NULL THEN
		PERFORM theazo_internal.raise_value('catchup_window', 'is for catchup window only');
	ELSIF s.catchup = 'window' AND (s.catchup_window IS NULL OR s.catchup_window < '1 minute' OR s.catchup_window > '366 days') THEN
		PERFORM theazo_internal.raise_value('catchup_window', 'must be from 1 minute to 366 days', 'Times that are older than that are not made up for.');
	END IF;
	s.jitter := coalesce(s.jitter, '0');
	IF s.jitter < '0' OR s.jitter > '1 hour' THEN
		PERFORM theazo_internal.raise_value('jitter', 'must be from 0 to 1 hour');
	END IF;
	RETURN s;
END $$;
COMMENT ON FUNCTION theazo_internal.schedule_times_check(theazo_data.schedule) IS 'times of a schedule: an expression that comes, a zone that is known, and what to do about the rest';

CREATE OR REPLACE FUNCTION theazo_internal.schedule_shown(p_id text)
RETURNS theazo.schedules LANGUAGE plpgsql STABLE AS $$
DECLARE
	result theazo.schedules;
BEGIN
	SELECT * INTO result FROM theazo.schedules s WHERE s.platform_id = theazo_internal.current_platform() AND s.id = p_id;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('schedule', p_id);
	END IF;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.schedule_shown(text) IS 'a schedule as the caller may see it, or 42704';

CREATE OR REPLACE FUNCTION theazo_internal.schedule_lock(p_id text)
RETURNS theazo_data.schedule LANGUAGE plpgsql AS $$
DECLARE
	result theazo_data.schedule;
BEGIN
	SELECT * INTO result FROM theazo_data.schedule s WHERE s.platform_id = theazo_internal.current_platform() AND s.id = p_id FOR UPDATE;
	IF NOT FOUND THEN
		PERFORM theazo_internal.raise_not_found('schedule', p_id);
	END IF;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo_internal.schedule_lock(text) IS 'a schedule of the caller, locked for change';

CREATE OR REPLACE FUNCTION theazo_internal.schedule_event(s theazo_data.schedule, p_action text, p_more jsonb DEFAULT '{}')
RETURNS void LANGUAGE sql AS $$
	SELECT theazo_internal.event_write(s.platform_id, 'control', p_action, pg_catalog.jsonb_build_object('schedule', s.id) || p_more, NULL, s.agent_id, NULL, s.environment)
$$;
COMMENT ON FUNCTION theazo_internal.schedule_event(theazo_data.schedule, text, jsonb) IS 'writes the event of a change of a schedule';

-- ---------------------------------------------------------------------------------------
-- faces

CREATE OR REPLACE FUNCTION theazo.schedule_create(
	name text, agent text, cron text, user_id text DEFAULT NULL, timezone text DEFAULT 'UTC', input jsonb DEFAULT '{}', overlap text DEFAULT 'skip',
	catchup text DEFAULT 'none', catchup_window interval DEFAULT NULL, jitter interval DEFAULT '0', max_cost numeric DEFAULT NULL,
	timeout interval DEFAULT NULL, target text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS theazo.schedules LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
	s	theazo_data.schedule;
	t	theazo_internal.fire_target;
BEGIN
	PERFORM theazo_internal.schedule_enter_write(api_key, 'schedule:write', 'a schedule');
	s.platform_id := theazo_internal.current_platform();
	s.environment := theazo_internal.current_environment();
	s.name := theazo_internal.name_check('name', name, 200);
	t := theazo_internal.fire_target_of(target, agent, user_id, max_cost, timeout);
	s.input := theazo_internal.object_check('input', input, 65536);
	s.cron := cron;
	s.timezone := timezone;
	s.overlap := overlap;
	s.catchup := catchup;
	s.catchup_window := catchup_window;
	s.jitter := jitter;
	s := theazo_internal.schedule_times_check(s);
	IF (SELECT count(*) FROM theazo_data.schedule x WHERE x.platform_id = s.platform_id) >= 1000 THEN
		PERFORM theazo_internal.raise_ceiling('schedules', 1000, 'Delete those that are not used.');
	END IF;
	s.id := theazo_internal.id_new('sch');
	s.due_at := theazo_internal.cron_next(s.cron, s.timezone, clock_timestamp());
	INSERT INTO theazo_data.schedule (platform_id, id, environment, name, target, agent, agent_id, user_id, max_cost, timeout_ms, role_name, asked_by, input,
		cron, timezone, overlap, catchup, catchup_window, jitter, due_at, next_at, instance)
	VALUES (s.platform_id, s.id, s.environment, s.name, t.kind, t.agent, t.agent_id, t.user_id, t.max_cost, t.timeout_ms, t.role_name, t.asked_by, s.input,
		s.cron, s.timezone, s.overlap, s.catchup, s.catchup_window, s.jitter, s.due_at,
		theazo_internal.schedule_jittered(s.cron, s.timezone, s.due_at, s.jitter), theazo_internal.instance());
	PERFORM theazo_internal.schedule_event(s, 'schedule_created', jsonb_build_object('target', t.kind, 'cron', s.cron, 'timezone', s.timezone,
		'overlap', s.overlap, 'catchup', s.catchup));
	PERFORM theazo_internal.wake_keeper();
	RETURN theazo_internal.schedule_shown(s.id);
END $$;
COMMENT ON FUNCTION theazo.schedule_create(text, text, text, text, text, jsonb, text, text, interval, interval, numeric, interval, text, text) IS
'has an agent work at the times of a cron expression: agent is a definition''s id or name or any role, agt_ an agent that is there, governed:name a governed agent; max_cost is in cents';

CREATE OR REPLACE FUNCTION theazo.schedule_get(schedule text, api_key text DEFAULT NULL)
RETURNS theazo.schedules LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.schedule_enter(api_key, 'schedule:read', 'a schedule');
	RETURN theazo_internal.schedule_shown(schedule);
END $$;
COMMENT ON FUNCTION theazo.schedule_get(text, text) IS 'one schedule';

CREATE OR REPLACE FUNCTION theazo.schedule_list(
	user_id text DEFAULT NULL, status text DEFAULT NULL, max_rows integer DEFAULT 100, before text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS SETOF theazo.schedules LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.schedule_enter(api_key, 'schedule:read', 'the list of schedules');
	IF max_rows IS NULL OR max_rows NOT BETWEEN 1 AND 1000 THEN
		PERFORM theazo_internal.raise_value('max_rows', 'must be from 1 to 1000');
	ELSIF status IS NOT NULL THEN
		PERFORM theazo_internal.one_of('status', status, 'active', 'paused');
	END IF;
	RETURN QUERY
	SELECT s.* FROM theazo.schedules s
	 WHERE s.platform_id = theazo_internal.current_platform() AND (schedule_list.user_id IS NULL OR s.user_id = schedule_list.user_id)
	   AND (schedule_list.status IS NULL OR s.status = schedule_list.status) AND (before IS NULL OR s.id < before)
	 ORDER BY s.id DESC LIMIT max_rows;
END $$;
COMMENT ON FUNCTION theazo.schedule_list(text, text, integer, text, text) IS 'schedules, newest first; before is the last id of the page before';

-- What is not named stays; the times that follow are those of the new expression.
CREATE OR REPLACE FUNCTION theazo.schedule_update(schedule text, changes jsonb, api_key text DEFAULT NULL)
RETURNS theazo.schedules LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s	theazo_data.schedule;
	k	text;
	v	jsonb;
BEGIN
	PERFORM theazo_internal.schedule_enter_write(api_key, 'schedule:write', 'a schedule');
	changes := theazo_internal.object_check('changes', changes, 131072,
		ARRAY['name', 'cron', 'timezone', 'input', 'overlap', 'catchup', 'catchup_window', 'jitter']);
	s := theazo_internal.schedule_lock(schedule);
	IF changes ? 'catchup' AND changes ->> 'catchup' <> 'window' THEN
		s.catchup_window := NULL;
	END IF;
	FOR k, v IN SELECT e.key, e.value FROM jsonb_each(changes) e LOOP
		CASE k
			WHEN 'name' THEN s.name := theazo_internal.name_check(k, theazo_internal.text_check(k, v, 200), 200);
			WHEN 'cron' THEN s.cron := theazo_internal.text_check(k, v, 256);
			WHEN 'timezone' THEN s.timezone := theazo_internal.text_check(k, v, 256);
			WHEN 'input' THEN s.input := theazo_internal.object_check(k, v, 65536);
			WHEN 'overlap' THEN s.overlap := theazo_internal.text_check(k, v, 20);
			WHEN 'catchup' THEN s.catchup := theazo_internal.text_check(k, v, 20);
			WHEN 'catchup_window' THEN s.catchup_window := theazo_internal.duration_check(k, v, '1 minute', '366 days');
			WHEN 'jitter' THEN s.jitter := theazo_internal.duration_check(k, v, '0', '1 hour');
		END CASE;
	END LOOP;
	s := theazo_internal.schedule_times_check(s);
	IF s.status = 'active' AND changes ?| ARRAY['cron', 'timezone', 'jitter'] THEN
		s.due_at := theazo_internal.cron_next(s.cron, s.timezone, clock_timestamp());
		s.next_at := theazo_internal.schedule_jittered(s.cron, s.timezone, s.due_at, s.jitter);
	END IF;
	UPDATE theazo_data.schedule x
	   SET name = s.name, cron = s.cron, timezone = s.timezone, input = s.input, overlap = s.overlap, catchup = s.catchup, catchup_window = s.catchup_window,
		   jitter = s.jitter, due_at = s.due_at, next_at = s.next_at, updated_at = clock_timestamp()
	 WHERE x.platform_id = s.platform_id AND x.id = s.id;
	PERFORM theazo_internal.schedule_event(s, 'schedule_updated', changes - 'input' - 'name');
	PERFORM theazo_internal.wake_keeper();
	RETURN theazo_internal.schedule_shown(s.id);
END $$;
COMMENT ON FUNCTION theazo.schedule_update(text, jsonb, text) IS
'changes a schedule: name, cron, timezone, input, overlap, catchup, catchup_window, jitter; durations as "90s" or seconds';

CREATE OR REPLACE FUNCTION theazo.schedule_pause(schedule text, api_key text DEFAULT NULL)
RETURNS theazo.schedules LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s theazo_data.schedule;
BEGIN
	PERFORM theazo_internal.schedule_enter(api_key, 'schedule:write', 'a schedule');
	s := theazo_internal.schedule_lock(schedule);
	IF s.status <> 'paused' THEN
		UPDATE theazo_data.schedule x SET status = 'paused', paused_at = clock_timestamp(), due_at = NULL, next_at = NULL
		 WHERE x.platform_id = s.platform_id AND x.id = s.id;
		PERFORM theazo_internal.schedule_drop(s, 'schedule_paused', 'the schedule was paused');
		PERFORM theazo_internal.schedule_event(s, 'schedule_paused');
	END IF;
	RETURN theazo_internal.schedule_shown(s.id);
END $$;
COMMENT ON FUNCTION theazo.schedule_pause(text, text) IS 'nothing begins until it is resumed; what runs goes on';

-- Times that passed meanwhile were not missed: nobody wanted them.
CREATE OR REPLACE FUNCTION theazo.schedule_resume(schedule text, api_key text DEFAULT NULL)
RETURNS theazo.schedules LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s theazo_data.schedule;
BEGIN
	PERFORM theazo_internal.schedule_enter_write(api_key, 'schedule:write', 'a schedule');
	s := theazo_internal.schedule_lock(schedule);
	IF s.status <> 'active' THEN
		s.due_at := theazo_internal.cron_next(s.cron, s.timezone, clock_timestamp());
		UPDATE theazo_data.schedule x
		   SET status = 'active', paused_at = NULL, due_at = s.due_at, next_at = theazo_internal.schedule_jittered(s.cron, s.timezone, s.due_at, s.jitter)
		 WHERE x.platform_id = s.platform_id AND x.id = s.id;
		PERFORM theazo_internal.schedule_event(s, 'schedule_resumed');
		PERFORM theazo_internal.wake_keeper();
	END IF;
	RETURN theazo_internal.schedule_shown(s.id);
END $$;
COMMENT ON FUNCTION theazo.schedule_resume(text, text) IS 'ends the pause of a schedule; times that passed meanwhile are not made up for';

CREATE OR REPLACE FUNCTION theazo.schedule_delete(schedule text, api_key text DEFAULT NULL)
RETURNS theazo.schedules LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s		theazo_data.schedule;
	result	theazo.schedules;
BEGIN
	PERFORM theazo_internal.schedule_enter(api_key, 'schedule:write', 'a schedule');
	s := theazo_internal.schedule_lock(schedule);
	result := theazo_internal.schedule_shown(s.id);
	PERFORM theazo_internal.schedule_drop(s, 'schedule_deleted', 'the schedule was deleted');
	DELETE FROM theazo_data.schedule x WHERE x.platform_id = s.platform_id AND x.id = s.id;
	PERFORM theazo_internal.schedule_event(s, 'schedule_deleted');
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.schedule_delete(text, text) IS 'deletes a schedule; what runs goes on, and theazo.schedule_executions keeps what was';

CREATE OR REPLACE FUNCTION theazo.schedule_run(schedule text, api_key text DEFAULT NULL)
RETURNS theazo.schedule_executions LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s		theazo_data.schedule;
	f		theazo_data.schedule_fire;
	v_busy	text;
	result	theazo.schedule_executions;
BEGIN
	PERFORM theazo_internal.schedule_enter_write(api_key, 'schedule:write', 'a schedule');
	s := theazo_internal.schedule_lock(schedule);
	IF s.overlap = 'skip' THEN
		SELECT min(b.id) INTO v_busy FROM theazo_internal.schedule_busy(s.platform_id, s.id) b;
		IF v_busy IS NOT NULL THEN
			RAISE EXCEPTION USING ERRCODE = 'TZ108', MESSAGE = format('the previous execution of schedule "%s" still runs', s.id),
				DETAIL = jsonb_build_object('executionId', v_busy)::text,
				HINT = 'Wait until it has ended, or have the schedule queue what overlaps.';
		END IF;
	END IF;
	s.asked_by := ARRAY(SELECT DISTINCT u FROM unnest(s.asked_by || theazo_internal.principals()) u ORDER BY u);
	f := theazo_internal.schedule_fire(s, 'manual', NULL);
	s := theazo_internal.schedule_count(s, f);
	UPDATE theazo_data.schedule x SET fires = s.fires, skips = s.skips, last_at = s.last_at WHERE x.platform_id = s.platform_id AND x.id = s.id;
	PERFORM theazo_internal.wake_keeper();
	SELECT * INTO result FROM theazo.schedule_executions e WHERE e.platform_id = s.platform_id AND e.id = f.id;
	RETURN result;
END $$;
COMMENT ON FUNCTION theazo.schedule_run(text, text) IS
'begins a schedule''s work now, beside its times, also while it is paused; TZ108 while the one before runs and overlap is skip';

CREATE OR REPLACE FUNCTION theazo.schedule_history(schedule text, max_rows integer DEFAULT 100, before text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS SETOF theazo.schedule_executions LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM theazo_internal.schedule_enter(api_key, 'schedule:read', 'a schedule');
	PERFORM theazo_internal.schedule_shown(schedule);
	RETURN QUERY SELECT e.* FROM theazo_internal.fire_history(schedule, max_rows, before) e;
END $$;
COMMENT ON FUNCTION theazo.schedule_history(text, integer, text, text) IS
'what became of each time of a schedule, newest first; before is the last id of the page before';

CREATE OR REPLACE FUNCTION theazo_internal.fire_history(p_source text, p_max_rows integer, p_before text)
RETURNS SETOF theazo.schedule_executions LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF p_max_rows IS NULL OR p_max_rows NOT BETWEEN 1 AND 1000 THEN
		PERFORM theazo_internal.raise_value('max_rows', 'must be from 1 to 1000');
	END IF;
	RETURN QUERY
	SELECT e.* FROM theazo.schedule_executions e
	 WHERE e.platform_id = theazo_internal.current_platform() AND e.source_id = p_source AND (p_before IS NULL OR e.id < p_before)
	 ORDER BY e.id DESC LIMIT p_max_rows;
END $$;
COMMENT ON FUNCTION theazo_internal.fire_history(text, integer, text) IS 'executions of a schedule or trigger, newest first';

CREATE OR REPLACE FUNCTION theazo.cron_preview(cron text, timezone text DEFAULT 'UTC', times integer DEFAULT 5, after timestamptz DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS SETOF timestamptz LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	v_at timestamptz := coalesce(after, clock_timestamp());
BEGIN
	PERFORM theazo_internal.enter(api_key, 'schedule:read');
	IF times IS NULL OR times NOT BETWEEN 1 AND 100 THEN
		PERFORM theazo_internal.raise_value('times', 'must be from 1 to 100');
	END IF;
	FOR i IN 1..times LOOP
		v_at := theazo_internal.cron_next(cron, timezone, v_at);
		EXIT WHEN v_at IS NULL;
		RETURN NEXT v_at;
	END LOOP;
END $$;
COMMENT ON FUNCTION theazo.cron_preview(text, text, integer, timestamptz, text) IS 'the next times of a cron expression in a time zone';

-- ---------------------------------------------------------------------------------------
-- the operator

CREATE OR REPLACE FUNCTION theazo.operator_schedules_tick()
RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	v_total	integer := 0;
	v_n		integer;
BEGIN
	PERFORM theazo_internal.enter_operator();
	LOOP
		v_n := -theazo_internal.keeper_schedules();
		v_total := v_total + v_n;
		EXIT WHEN v_n = 0 OR v_total >= 1000;
	END LOOP;
	RETURN v_total;
END $$;
COMMENT ON FUNCTION theazo.operator_schedules_tick() IS
'operator: begins what schedules have to begin now, as the keeper does by itself; returns how many schedules it looked at';

-- Not as its owner: what the caller may do with pg_cron is between the two.
CREATE OR REPLACE FUNCTION theazo.operator_pg_cron(enabled boolean DEFAULT true)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	v_job	CONSTANT text := 'theazo schedules of ' || pg_catalog.current_database();
	v_cmd	CONSTANT text := 'SELECT theazo.operator_schedules_tick()';
	v_had	bigint;
BEGIN
	-- as the job will, with all that is checked there
	PERFORM theazo.operator_schedules_tick();
	IF NOT EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE e.extname = 'pg_cron') THEN
		RAISE EXCEPTION USING ERRCODE = 'undefined_object', MESSAGE = 'pg_cron is not installed in this database',
			HINT = 'Schedules do not need it: the keeper begins them. It is installed in the database that cron.database_name names.';
	END IF;
	EXECUTE 'SELECT pg_catalog.max(j.jobid) FROM cron.job j WHERE j.jobname = $1' INTO v_had USING v_job;
	IF enabled THEN
		EXECUTE 'SELECT cron.schedule($1, $2, $3)' USING v_job, '* * * * *', v_cmd;
	ELSIF v_had IS NOT NULL THEN
		EXECUTE 'SELECT cron.unschedule($1)' USING v_had;
	END IF;
	RETURN v_job;
END $$;
COMMENT ON FUNCTION theazo.operator_pg_cron(boolean) IS
'operator: one job of pg_cron that looks at schedules every minute, beside the keeper; made once however often this is called, false takes it away; returns its name';
