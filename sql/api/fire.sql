-- fire.sql: one execution of a schedule or a trigger: how its run is started, in whose name, for what fee, and how it is told of.

-- An object as a task: its task and the rest as JSON, or all of it as JSON.
CREATE OR REPLACE FUNCTION theazo_internal.input_task(p_input jsonb)
RETURNS text LANGUAGE sql IMMUTABLE
RETURN CASE WHEN pg_catalog.jsonb_typeof(p_input -> 'task') = 'string' AND btrim(p_input ->> 'task', E' \t\r\n') <> ''
	THEN (p_input ->> 'task') || CASE WHEN p_input - 'task' = '{}' THEN '' ELSE E'\n\n' || theazo_internal.json_compact(p_input - 'task') END
	ELSE theazo_internal.json_compact(p_input) END;
COMMENT ON FUNCTION theazo_internal.input_task(jsonb) IS 'the text of a task from an input';

CREATE OR REPLACE FUNCTION theazo_internal.fire_session(p_user text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	s theazo_data.session := theazo_internal.session_newest(p_user);
BEGIN
	IF s.id IS NULL THEN
		PERFORM theazo_internal.own_lock('session_for_user',
			theazo_internal.current_platform() || theazo_internal.current_environment() || p_user, true);
		s := theazo_internal.session_newest(p_user);
	END IF;
	RETURN coalesce(s.id, (theazo_internal.session_insert(p_user, NULL, NULL, NULL, NULL, NULL)).id);
END $$;
COMMENT ON FUNCTION theazo_internal.fire_session(text) IS 'the user''s newest session that is not terminated, else a new one';

-- The run of one target. In the name of whoever is set as the caller, under its policies.
CREATE OR REPLACE FUNCTION theazo_internal.fire_run(t theazo_internal.fire_target, p_input jsonb)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	a			theazo_data.agent;
	g			theazo_data.governed_agent;
	v_task		text := theazo_internal.input_task(p_input);
	v_options	jsonb;
	v_code		boolean;
BEGIN
	IF t.kind = 'governed' THEN
		SELECT * INTO g FROM theazo_data.governed_agent x WHERE x.platform_id = theazo_internal.current_platform() AND x.id = t.agent_id;
		IF NOT FOUND THEN
			PERFORM theazo_internal.raise_not_found('governed agent', t.agent);
		END IF;
		v_code := EXISTS (SELECT FROM theazo_data.governed_version v
			WHERE v.platform_id = g.platform_id AND v.agent_id = g.id AND v.revision = g.revision AND v.entry_code IS NOT NULL);
		RETURN (theazo_internal.execution_make(g, CASE WHEN v_code THEN p_input END, CASE WHEN NOT v_code THEN v_task END, NULL, NULL)).run_id;
	END IF;
	v_options := theazo_internal.run_options(v_task, t.max_cost, t.timeout_ms * '1 millisecond'::interval, NULL, NULL);
	IF t.kind = 'run' THEN
		a := theazo_internal.agent_take(t.agent_id, true);
	ELSE
		a := theazo_internal.agent_one_shot(theazo_internal.fire_session(t.user_id), t.agent, '{}');
	END IF;
	PERFORM theazo_internal.loop_allowed(a);
	RETURN theazo_internal.loop_make(a, v_task, v_options, t.role_name, NULL);
END $$;
COMMENT ON FUNCTION theazo_internal.fire_run(theazo_internal.fire_target, jsonb) IS 'starts what a schedule or a trigger is about; returns the run';

-- Tools that are functions run as the role that asked for all this, and what the run asks for is asked by whom it was asked.
CREATE OR REPLACE FUNCTION theazo_internal.fire_owned(p_platform text, p_run text, t theazo_internal.fire_target)
RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	UPDATE theazo_data.run_loop x
	   SET role_name = t.role_name, started_by = ARRAY(SELECT DISTINCT u FROM unnest(x.started_by || t.asked_by) u ORDER BY u)
	 WHERE x.platform_id = p_platform AND x.root_id = theazo_internal.id_root(p_run)
$$;
COMMENT ON FUNCTION theazo_internal.fire_owned(text, text, theazo_internal.fire_target) IS 'a run that began by itself belongs to whoever asked for that';

-- The fee is set aside like everything that a run may cost, and booked at once.
CREATE OR REPLACE FUNCTION theazo_internal.fire_fee(p_platform text, p_run text, p_fire text)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r		theazo_data.run;
	l		theazo_data.run_loop;
	v_no	jsonb;
BEGIN
	SELECT * INTO STRICT r FROM theazo_data.run x WHERE x.platform_id = p_platform AND x.id = p_run;
	SELECT * INTO l FROM theazo_data.run_loop x WHERE x.platform_id = p_platform AND x.root_id = substr(p_run, 5);
	IF NOT FOUND THEN
		l.platform_id := p_platform;
		l.root_id := substr(p_run, 5);
		l.agent_id := r.agent_id;
	END IF;
	v_no := theazo_internal.budget_fee(l, r, p_fire, 'schedule.execution');
	IF v_no ->> 'code' = 'busy' THEN
		RAISE EXCEPTION USING ERRCODE = 'lock_not_available', MESSAGE = v_no ->> 'message';
	ELSIF v_no IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = coalesce(v_no ->> 'sqlstate', 'TZ202'), MESSAGE = v_no ->> 'message', HINT = coalesce(v_no ->> 'hint', '');
	END IF;
	PERFORM theazo_internal.budget_fee_due(p_platform, p_fire, p_run);
	-- beside the run, whose cost it is not
	RETURN theazo_internal.charge_write(p_platform, theazo_internal.id_root(p_fire), theazo_internal.id_derive('chg', p_fire, p_fire || '|schedule.execution'),
		r.environment, r.session_id, r.agent_id, p_run, r.user_id, NULL, NULL, 'schedule.execution', 1,
		theazo_internal.amount_round(theazo_internal.price_at(p_platform, 'schedule.execution', now())), 'theazo', 'theazo');
END $$;
COMMENT ON FUNCTION theazo_internal.fire_fee(text, text, text) IS 'books the fee of a scheduled execution, or says why it cannot be paid';

-- Begins it. What speaks against it is the outcome, not an error; only what passes by itself is raised.
CREATE OR REPLACE FUNCTION theazo_internal.fire_attempt(f theazo_data.schedule_fire, t theazo_internal.fire_target, p_input jsonb, p_fee boolean)
RETURNS theazo_data.schedule_fire LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	v_message	text;
	v_state		text;
BEGIN
	f.started_at := clock_timestamp();
	BEGIN
		f.run_id := theazo_internal.fire_run(t, p_input);
		PERFORM theazo_internal.fire_owned(f.platform_id, f.run_id, t);
		IF p_fee THEN
			f.fee := theazo_internal.fire_fee(f.platform_id, f.run_id, f.id);
		END IF;
		SELECT r.session_id, r.agent_id INTO STRICT f.session_id, f.agent_id
		  FROM theazo_data.run r WHERE r.platform_id = f.platform_id AND r.id = f.run_id;
		f.status := 'running';
	EXCEPTION
		WHEN lock_not_available OR deadlock_detected OR serialization_failure OR insufficient_resources OR operator_intervention THEN
			RAISE;
		WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS v_state = RETURNED_SQLSTATE, v_message = MESSAGE_TEXT;
			f.run_id := NULL;
			f.fee := 0;
			f.status := 'failed';
			f.cost := 0;
			f.error_code := v_state;
			f.error_message := left(theazo_internal.text_mask(v_message), 1000);
			f.ended_at := clock_timestamp();
	END;
	RETURN f;
END $$;
COMMENT ON FUNCTION theazo_internal.fire_attempt(theazo_data.schedule_fire, theazo_internal.fire_target, jsonb, boolean) IS
'starts the run of one execution of a schedule or trigger, or says why not; as theazo_owner, so that the policies hold';

CREATE OR REPLACE FUNCTION theazo_internal.fire_new(p_platform text, p_environment text, p_source text, p_cause text, p_due timestamptz)
RETURNS theazo_data.schedule_fire LANGUAGE plpgsql AS $$
DECLARE
	f theazo_data.schedule_fire;
BEGIN
	f.platform_id := p_platform;
	f.id := theazo_internal.id_new('exe');
	f.environment := p_environment;
	f.source_id := p_source;
	f.cause := p_cause;
	f.due_at := p_due;
	f.fee := 0;
	f.created_at := clock_timestamp();
	RETURN f;
END $$;
COMMENT ON FUNCTION theazo_internal.fire_new(text, text, text, text, timestamptz) IS 'an execution that is not stored yet';

-- Stores it, new or begun at last, with its event.
CREATE OR REPLACE FUNCTION theazo_internal.fire_store(f theazo_data.schedule_fire)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	v_kind	text := CASE WHEN f.source_id LIKE 'trg\_%' THEN 'trigger' ELSE 'schedule' END;
BEGIN
	UPDATE theazo_data.schedule_fire x
	   SET status = f.status, session_id = f.session_id, agent_id = f.agent_id, run_id = f.run_id, fee = f.fee, cost = f.cost,
		   error_code = f.error_code, error_message = f.error_message, started_at = f.started_at, ended_at = f.ended_at
	 WHERE x.platform_id = f.platform_id AND x.id = f.id;
	IF NOT FOUND THEN
		INSERT INTO theazo_data.schedule_fire SELECT f.*;
	END IF;
	PERFORM theazo_internal.event_write(f.platform_id, 'execution',
		v_kind || CASE f.status WHEN 'running' THEN '_fired' WHEN 'failed' THEN '_failed' WHEN 'queued' THEN '_queued' ELSE '_skipped' END,
		jsonb_strip_nulls(jsonb_build_object(v_kind, f.source_id, 'execution', f.id, 'cause', f.cause, 'dueAt', theazo_internal.time_iso(f.due_at),
			'error', f.error_code, 'message', theazo_internal.excerpt(f.error_message))),
		f.session_id, f.agent_id, f.run_id, f.environment);
	IF f.status = 'failed' THEN
		PERFORM theazo_internal.log_write(f.platform_id, NULL, 'error', 'system', format('%s %s could not begin: %s', v_kind, f.source_id, f.error_message),
			f.environment);
	END IF;
END $$;
COMMENT ON FUNCTION theazo_internal.fire_store(theazo_data.schedule_fire) IS 'stores an execution of a schedule or trigger, with its event';

CREATE OR REPLACE FUNCTION theazo_internal.fire_notify(f theazo_data.schedule_fire, p_user text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM theazo_internal.notify(f.platform_id, f.environment, CASE WHEN f.source_id LIKE 'trg\_%' THEN 'trigger.fired' ELSE 'schedule.executed' END,
		theazo_internal.rest_fire_document(f.id, f.agent_id, f.status, theazo_internal.cents(coalesce(f.cost, f.fee)), coalesce(f.started_at, f.created_at),
			f.ended_at, f.error_code, f.error_message, f.run_id)
		|| jsonb_build_object(CASE WHEN f.source_id LIKE 'trg\_%' THEN 'triggerId' ELSE 'scheduleId' END, f.source_id, 'sessionId', f.session_id, 'userId', p_user));
END $$;
COMMENT ON FUNCTION theazo_internal.fire_notify(theazo_data.schedule_fire, text) IS 'tells webhooks of an execution';
