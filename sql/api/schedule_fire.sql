-- schedule_fire.sql: when schedules begin: what is due, what was missed, what waits for the one before.
--
-- The keeper begins what is due, a job of pg_cron may as well (schedule_tick): whoever locks a schedule first has it, and a time
-- of a schedule is a row that can be there once. Row and run come with one commit, so nothing begins twice and nothing is lost.

-- ---------------------------------------------------------------------------------------
-- times

CREATE OR REPLACE FUNCTION theazo_internal.cron_next(cron text, timezone text, after timestamptz)
RETURNS timestamptz LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'theazo_cron_next';
COMMENT ON FUNCTION theazo_internal.cron_next(text, text, timestamptz) IS
'the first moment after this one that a cron expression means in a time zone; null where there is none, 22023 for what is none';

CREATE OR REPLACE FUNCTION theazo_internal.cron_between(
	cron text, timezone text, after timestamptz, until timestamptz, most integer, OUT total bigint, OUT times timestamptz[])
LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'theazo_cron_between';
COMMENT ON FUNCTION theazo_internal.cron_between(text, text, timestamptz, timestamptz, integer) IS
'how many moments a cron expression means after one and up to another, and the last of them';

-- What begins within so much of its time is not late: a restart or a failover takes some seconds.
CREATE OR REPLACE FUNCTION theazo_internal.schedule_grace()
RETURNS interval LANGUAGE sql IMMUTABLE
RETURN '1 minute'::interval;
COMMENT ON FUNCTION theazo_internal.schedule_grace() IS 'how late a time of a schedule may begin without having been missed';

-- Never as late as the time that follows.
CREATE OR REPLACE FUNCTION theazo_internal.schedule_jittered(p_cron text, p_timezone text, p_due timestamptz, p_jitter interval)
RETURNS timestamptz LANGUAGE plpgsql AS $$
BEGIN
	IF p_jitter = '0'::interval OR p_due IS NULL THEN
		RETURN p_due;
	END IF;
	RETURN p_due + least(p_jitter, 0.9 * (theazo_internal.cron_next(p_cron, p_timezone, p_due) - p_due)) * random();
END $$;
COMMENT ON FUNCTION theazo_internal.schedule_jittered(text, text, timestamptz, interval) IS 'when a time of a schedule is begun';

-- ---------------------------------------------------------------------------------------
-- schedules

CREATE OR REPLACE FUNCTION theazo_internal.schedule_target(s theazo_data.schedule)
RETURNS theazo_internal.fire_target LANGUAGE sql IMMUTABLE
RETURN ROW(s.target, s.agent, s.agent_id, s.user_id, s.max_cost, s.timeout_ms, s.role_name, s.asked_by)::theazo_internal.fire_target;
COMMENT ON FUNCTION theazo_internal.schedule_target(theazo_data.schedule) IS 'what a schedule begins';

-- Executions of a schedule whose runs have not ended. In order.
CREATE OR REPLACE FUNCTION theazo_internal.schedule_busy(p_platform text, p_schedule text)
RETURNS SETOF theazo_data.schedule_fire LANGUAGE sql STABLE AS $$
	SELECT f.* FROM theazo_data.schedule_fire f
	 WHERE f.platform_id = p_platform AND f.source_id = p_schedule AND f.status = 'running'
	   AND (SELECT r.status FROM theazo_data.run r WHERE r.platform_id = f.platform_id AND r.id = f.run_id) IN ('queued', 'running')
	 ORDER BY f.id
$$;
COMMENT ON FUNCTION theazo_internal.schedule_busy(text, text) IS 'executions of a schedule that still run';

-- What waits is not begun any more.
CREATE OR REPLACE FUNCTION theazo_internal.schedule_drop(s theazo_data.schedule, p_code text, p_message text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	f theazo_data.schedule_fire;
BEGIN
	FOR f IN SELECT x.* FROM theazo_data.schedule_fire x
			  WHERE x.platform_id = s.platform_id AND x.source_id = s.id AND x.status = 'queued' ORDER BY x.id LOOP
		f.status := 'skipped';
		f.error_code := p_code;
		f.error_message := p_message;
		f.ended_at := clock_timestamp();
		PERFORM theazo_internal.fire_store(f);
	END LOOP;
END $$;
COMMENT ON FUNCTION theazo_internal.schedule_drop(theazo_data.schedule, text, text) IS 'skips the executions of a schedule that wait';

CREATE OR REPLACE FUNCTION theazo_internal.schedule_count(s theazo_data.schedule, f theazo_data.schedule_fire)
RETURNS theazo_data.schedule LANGUAGE plpgsql AS $$
BEGIN
	IF f.status IN ('running', 'failed') THEN
		s.fires := s.fires + 1;
		s.last_at := f.started_at;
	ELSIF f.error_code = 'schedule_missed' THEN
		s.misses := s.misses + 1;
	ELSIF f.status = 'skipped' THEN
		s.skips := s.skips + 1;
	END IF;
	RETURN s;
END $$;
COMMENT ON FUNCTION theazo_internal.schedule_count(theazo_data.schedule, theazo_data.schedule_fire) IS 'counts an execution of a schedule';

-- Begins one, or puts it behind the one before, or leaves it, as the schedule says. Times that are made up for wait for one
-- another where those that come in time would be left.
CREATE OR REPLACE FUNCTION theazo_internal.schedule_fire(s theazo_data.schedule, p_cause text, p_due timestamptz)
RETURNS theazo_data.schedule_fire LANGUAGE plpgsql AS $$
DECLARE
	f			theazo_data.schedule_fire := theazo_internal.fire_new(s.platform_id, s.environment, s.id, p_cause, p_due);
	v_how		text := CASE WHEN s.overlap = 'skip' AND p_cause = 'late' THEN 'queue' ELSE s.overlap END;
	v_before	text;
	v_waiting	bigint;
BEGIN
	IF v_how = 'cancel_previous' THEN
		PERFORM theazo_internal.run_cancel_now(b.platform_id, b.run_id) FROM theazo_internal.schedule_busy(s.platform_id, s.id) b;
		PERFORM theazo_internal.schedule_drop(s, 'schedule_overlap', 'a later one took its place');
	END IF;
	IF v_how <> 'parallel' THEN
		SELECT min(b.id) INTO v_before FROM theazo_internal.schedule_busy(s.platform_id, s.id) b;
		SELECT count(*) INTO v_waiting FROM theazo_data.schedule_fire x
		 WHERE x.platform_id = s.platform_id AND x.source_id = s.id AND x.status = 'queued';
		IF v_before IS NOT NULL OR v_waiting > 0 THEN
			f.status := CASE WHEN v_how = 'skip' OR v_waiting >= 100 THEN 'skipped' ELSE 'queued' END;
			f.error_code := CASE WHEN v_how = 'skip' THEN 'schedule_overlap' WHEN v_waiting >= 100 THEN 'schedule_queue_full' END;
			f.error_message := CASE WHEN v_how = 'skip' THEN coalesce('execution ' || v_before || ' still runs', 'others wait to be made up for')
				WHEN v_waiting >= 100 THEN '100 executions wait already' END;
			f.ended_at := CASE WHEN f.status = 'skipped' THEN clock_timestamp() END;
			PERFORM theazo_internal.fire_store(f);
			RETURN f;
		END IF;
	END IF;
	f := theazo_internal.fire_attempt(f, theazo_internal.schedule_target(s), s.input, true);
	PERFORM theazo_internal.fire_store(f);
	IF f.status = 'failed' THEN
		PERFORM theazo_internal.fire_notify(f, s.user_id);
	END IF;
	RETURN f;
END $$;
COMMENT ON FUNCTION theazo_internal.schedule_fire(theazo_data.schedule, text, timestamptz) IS
'one time of a schedule: begun, queued, or skipped because the one before still runs';

-- What passed while nobody looked: the last hundred one by one, what is older by its number. Which of them are made up for, catchup says.
CREATE OR REPLACE FUNCTION theazo_internal.schedule_missed(s theazo_data.schedule, p_until timestamptz)
RETURNS theazo_data.schedule LANGUAGE plpgsql AS $$
DECLARE
	m		record;
	f		theazo_data.schedule_fire;
	v_at	timestamptz;
	v_made	integer := 0;
BEGIN
	SELECT * INTO m FROM theazo_internal.cron_between(s.cron, s.timezone, s.due_at - '1 second'::interval, p_until, 100);
	FOREACH v_at IN ARRAY m.times LOOP
		-- whoever was first
		CONTINUE WHEN EXISTS (SELECT FROM theazo_data.schedule_fire x WHERE x.platform_id = s.platform_id AND x.source_id = s.id AND x.due_at = v_at);
		IF s.catchup = 'all' OR s.catchup = 'last' AND v_at = m.times[cardinality(m.times)] OR s.catchup = 'window' AND v_at >= clock_timestamp() - s.catchup_window THEN
			f := theazo_internal.schedule_fire(s, 'late', v_at);
			v_made := v_made + 1;
		ELSE
			f := theazo_internal.fire_new(s.platform_id, s.environment, s.id, 'due', v_at);
			f.status := 'skipped';
			f.error_code := 'schedule_missed';
			f.error_message := 'the server was away at that time';
			f.ended_at := clock_timestamp();
			PERFORM theazo_internal.fire_store(f);
		END IF;
		s := theazo_internal.schedule_count(s, f);
	END LOOP;
	s.misses := s.misses + m.total - cardinality(m.times);
	IF m.total > 0 THEN
		PERFORM theazo_internal.event_write(s.platform_id, 'execution', 'schedule_missed', jsonb_build_object('schedule', s.id, 'times', m.total, 'madeUpFor', v_made,
			'from', theazo_internal.time_iso(s.due_at), 'until', theazo_internal.time_iso(p_until)), NULL, NULL, NULL, s.environment);
	END IF;
	RETURN s;
END $$;
COMMENT ON FUNCTION theazo_internal.schedule_missed(theazo_data.schedule, timestamptz) IS 'records the times of a schedule that were missed, and makes up for those it wants';

-- A schedule whose time has come. It is locked.
CREATE OR REPLACE FUNCTION theazo_internal.schedule_turn(s theazo_data.schedule)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	v_now	timestamptz := clock_timestamp();
	v_until	timestamptz := v_now - theazo_internal.schedule_grace();
BEGIN
	PERFORM theazo_internal.identity_set(s.platform_id, NULL, s.environment, '{run:write,session:write}');
	IF s.next_at >= v_until THEN
		-- whoever was first
		IF NOT EXISTS (SELECT FROM theazo_data.schedule_fire f WHERE f.platform_id = s.platform_id AND f.source_id = s.id AND f.due_at = s.due_at) THEN
			s := theazo_internal.schedule_count(s, theazo_internal.schedule_fire(s, 'due', s.due_at));
		END IF;
		s.due_at := theazo_internal.cron_next(s.cron, s.timezone, s.due_at);
	ELSE
		s := theazo_internal.schedule_missed(s, v_until);
		s.due_at := theazo_internal.cron_next(s.cron, s.timezone, greatest(v_until, s.due_at));
	END IF;
	UPDATE theazo_data.schedule x
	   SET due_at = s.due_at, next_at = theazo_internal.schedule_jittered(s.cron, s.timezone, s.due_at, s.jitter), last_at = s.last_at, fires = s.fires, skips = s.skips, misses = s.misses
	 WHERE x.platform_id = s.platform_id AND x.id = s.id;
END $$;
COMMENT ON FUNCTION theazo_internal.schedule_turn(theazo_data.schedule) IS 'begins what a schedule has to begin now, and finds its next time';

-- ---------------------------------------------------------------------------------------
-- the keeper

-- Null: nothing at all. Off means off: nothing begins, and times that pass are missed.
CREATE OR REPLACE FUNCTION theazo_internal.schedules_next()
RETURNS timestamptz LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT coalesce(current_setting('theazo.enabled', true), 'on')::boolean THEN
		RETURN NULL;
	END IF;
	RETURN (SELECT min(s.next_at) FROM theazo_data.schedule s JOIN theazo_data.platform p ON p.platform_id = s.platform_id AND p.state = 'active'
			 WHERE s.next_at IS NOT NULL AND s.instance = theazo_internal.instance());
END $$;
COMMENT ON FUNCTION theazo_internal.schedules_next() IS 'when the next schedule is due';

-- What waits for the one before is looked at every second, what runs every few while somebody wants to be told of its end.
-- While no schedule is to begin anything, nothing waits either.
CREATE OR REPLACE FUNCTION theazo_internal.schedules_due()
RETURNS interval LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT least(
		(SELECT least(greatest('0'::interval, n - clock_timestamp()),
				CASE WHEN EXISTS (SELECT FROM theazo_data.schedule_fire f JOIN theazo_data.schedule s ON s.platform_id = f.platform_id AND s.id = f.source_id
					AND s.status = 'active' AND s.instance = theazo_internal.instance() WHERE f.status = 'queued') THEN '1 second'::interval END)
		   FROM theazo_internal.schedules_next() n WHERE n IS NOT NULL),
		CASE WHEN EXISTS (SELECT FROM theazo_data.schedule_fire f JOIN theazo_data.webhook w ON w.platform_id = f.platform_id
			AND w.environment = f.environment AND w.status = 'active' AND w.events && '{schedule.executed,*}' WHERE f.status = 'running') THEN '3 seconds'::interval END)
$$;
COMMENT ON FUNCTION theazo_internal.schedules_due() IS 'when the keeper has to look at schedules again; null for no need';

-- Some at a time, so that their locks are not held for long. Less than none: there may be more.
CREATE OR REPLACE FUNCTION theazo_internal.keeper_schedules()
RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
	s	theazo_data.schedule;
	v_n	integer := 0;
BEGIN
	IF theazo_internal.schedules_next() IS NOT NULL THEN
		v_n := theazo_internal.schedules_queue();
		FOR s IN
			SELECT x.* FROM theazo_data.schedule x JOIN theazo_data.platform p ON p.platform_id = x.platform_id AND p.state = 'active'
			 WHERE x.next_at <= clock_timestamp() AND x.instance = theazo_internal.instance()
			 ORDER BY x.next_at LIMIT 20 FOR UPDATE OF x SKIP LOCKED
		LOOP
			BEGIN
				PERFORM theazo_internal.schedule_turn(s);
			EXCEPTION WHEN OTHERS THEN
				-- It is tried again; a lock passes sooner than what nobody thought of.
				RAISE LOG 'theazo: schedule % is put off: %', s.id, SQLERRM;
				UPDATE theazo_data.schedule x
				   SET next_at = clock_timestamp() + CASE WHEN SQLSTATE IN ('55P03', '40P01', '40001') THEN '1 second' ELSE '20 seconds' END::interval
				 WHERE x.platform_id = s.platform_id AND x.id = s.id;
			END;
			v_n := v_n + 1;
		END LOOP;
	END IF;
	PERFORM theazo_internal.identity_clear();
	RETURN -v_n;
END $$;
COMMENT ON FUNCTION theazo_internal.keeper_schedules() IS 'keeper: begins what schedules have to begin now';

-- The next of those that wait, where nothing runs any more. One of each schedule.
CREATE OR REPLACE FUNCTION theazo_internal.schedules_queue()
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	q	record;
	s	theazo_data.schedule;
	f	theazo_data.schedule_fire;
	v_n	integer := 0;
BEGIN
	FOR q IN
		SELECT x.platform_id, x.source_id, min(x.id) AS id FROM theazo_data.schedule_fire x WHERE x.status = 'queued' GROUP BY 1, 2 ORDER BY 3 LIMIT 100
	LOOP
		SELECT x.* INTO s FROM theazo_data.schedule x
		 WHERE x.platform_id = q.platform_id AND x.id = q.source_id AND x.status = 'active' AND x.instance = theazo_internal.instance() FOR UPDATE SKIP LOCKED;
		CONTINUE WHEN NOT FOUND OR EXISTS (SELECT FROM theazo_internal.schedule_busy(s.platform_id, s.id));
		SELECT x.* INTO f FROM theazo_data.schedule_fire x WHERE x.platform_id = q.platform_id AND x.id = q.id AND x.status = 'queued';
		CONTINUE WHEN NOT FOUND;
		BEGIN
			PERFORM theazo_internal.identity_set(s.platform_id, NULL, s.environment, '{run:write,session:write}');
			f := theazo_internal.fire_attempt(f, theazo_internal.schedule_target(s), s.input, true);
			PERFORM theazo_internal.fire_store(f);
			IF f.status = 'failed' THEN
				PERFORM theazo_internal.fire_notify(f, s.user_id);
			END IF;
			UPDATE theazo_data.schedule x SET fires = x.fires + 1, last_at = f.started_at WHERE x.platform_id = s.platform_id AND x.id = s.id;
			v_n := v_n + 1;
		EXCEPTION WHEN OTHERS THEN
			RAISE LOG 'theazo: execution % is put off: %', q.id, SQLERRM;
		END;
	END LOOP;
	RETURN v_n;
END $$;
COMMENT ON FUNCTION theazo_internal.schedules_queue() IS 'begins executions that waited for the one before';

-- Executions whose runs have ended; and those that are as old as runs may be.
CREATE OR REPLACE FUNCTION theazo_internal.keeper_fires()
RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	f		theazo_data.schedule_fire;
	r		theazo_data.run;
	v_days	integer := current_setting('theazo.retention_runs')::integer;
	v_n		integer := 0;
BEGIN
	FOR f IN
		SELECT x.* FROM theazo_data.schedule_fire x
		 WHERE x.status = 'running'
		   AND NOT EXISTS (SELECT FROM theazo_data.run o WHERE o.platform_id = x.platform_id AND o.id = x.run_id AND o.status IN ('queued', 'running'))
		 ORDER BY x.id LIMIT 1000 FOR UPDATE OF x SKIP LOCKED
	LOOP
		SELECT * INTO r FROM theazo_data.run x WHERE x.platform_id = f.platform_id AND x.id = f.run_id;
		f.status := CASE r.status WHEN 'completed' THEN 'completed' ELSE 'failed' END;
		f.ended_at := coalesce(r.ended_at, clock_timestamp());
		f.cost := coalesce(r.cost, 0) + f.fee;
		f.error_code := coalesce(r.error_code, CASE WHEN f.status = 'failed' THEN coalesce(r.status, 'gone') END);
		f.error_message := coalesce(r.error_message, CASE WHEN f.status = 'failed' THEN coalesce('the run was ' || r.status, 'its run is not kept any more') END);
		UPDATE theazo_data.schedule_fire x SET status = f.status, ended_at = f.ended_at, cost = f.cost, error_code = f.error_code, error_message = f.error_message
		 WHERE x.platform_id = f.platform_id AND x.id = f.id;
		IF f.source_id LIKE 'sch\_%' THEN
			PERFORM theazo_internal.fire_notify(f, r.user_id);
		END IF;
		v_n := v_n + 1;
	END LOOP;
	IF v_days > 0 THEN
		DELETE FROM theazo_data.schedule_fire x
		 USING (SELECT o.platform_id, o.id FROM theazo_data.schedule_fire o
				 WHERE o.created_at < now() - v_days * '1 day'::interval AND o.status NOT IN ('queued', 'running') ORDER BY o.created_at LIMIT 10000) y
		 WHERE x.platform_id = y.platform_id AND x.id = y.id;
	END IF;
	RETURN v_n;
END $$;
COMMENT ON FUNCTION theazo_internal.keeper_fires() IS 'keeper: notes which executions of schedules and triggers have ended, and drops old ones';

-- With a copy of the database nothing begins by itself until the operator lets it.
CREATE OR REPLACE FUNCTION theazo_internal.schedules_release()
RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	UPDATE theazo_data.schedule x SET instance = theazo_internal.instance() WHERE x.instance <> theazo_internal.instance()
$$;
COMMENT ON FUNCTION theazo_internal.schedules_release() IS 'schedules that came with a copy of the database are this one''s from now on';
