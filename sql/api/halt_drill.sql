-- halt_drill.sql: drills of the kill switch: harmless calls are halted, and the time to halt is kept.

CREATE OR REPLACE VIEW theazo.operator_halt_drills WITH (security_barrier) AS
	SELECT d.id, d.calls, d.status, d.started_at, d.halted_at, d.ended_at, d.in_flight, d.cut, d.p50_ms, d.p99_ms, d.max_ms, d.halt_id, d.error
	  FROM theazo_data.halt_drill d;
COMMENT ON VIEW theazo.operator_halt_drills IS 'operator: drills of the kill switch: calls that were in flight, and milliseconds from the halt until each was cut';

CREATE OR REPLACE FUNCTION theazo_internal.halt_drill_begin(d theazo_data.halt_drill)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM theazo_internal.effect_enqueue(d.platform_id, NULL, 'probe.hold', 'noop', NULL, p_agent => d.target,
		p_deadline => clock_timestamp() + '2 minutes'::interval)
	   FROM generate_series(1, d.calls);
	PERFORM theazo_internal.event_write(d.platform_id, 'control', 'halt_drill_started', jsonb_build_object('drill', d.id, 'calls', d.calls),
		NULL, NULL, NULL, 'live');
	PERFORM theazo_internal.wake_keeper();
END
$$;
COMMENT ON FUNCTION theazo_internal.halt_drill_begin(theazo_data.halt_drill) IS 'queues the calls of a drill';

-- The calls go the way of all others: queued, claimed, in flight in the dispatchers. They reach nobody. The keeper halts them when
-- they fly, so the rest of the drill needs nobody to wait for it.
CREATE OR REPLACE FUNCTION theazo.operator_halt_drill(calls integer DEFAULT 100)
RETURNS theazo.operator_halt_drills
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	d		theazo_data.halt_drill;
	v_out	theazo.operator_halt_drills;
BEGIN
	PERFORM theazo_internal.enter_operator();
	IF calls IS NULL OR calls NOT BETWEEN 1 AND 10000 THEN
		PERFORM theazo_internal.raise_value('calls', 'must be from 1 to 10000');
	ELSIF EXISTS (SELECT FROM theazo_data.halt_drill x WHERE x.status IN ('starting', 'halted')) THEN
		RAISE EXCEPTION USING ERRCODE = 'TZ103', MESSAGE = 'a drill is under way', HINT = 'theazo.operator_halt_drills shows how far it is.';
	END IF;
	INSERT INTO theazo_data.halt_drill AS x (platform_id, id, target, calls)
	VALUES (theazo_internal.operator_platform(), theazo_internal.id_new('drl'), theazo_internal.id_new('agt'), operator_halt_drill.calls)
	RETURNING x.* INTO d;
	PERFORM theazo_internal.halt_drill_begin(d);
	SELECT * INTO v_out FROM theazo.operator_halt_drills x WHERE x.id = d.id;
	RETURN v_out;
END
$$;
COMMENT ON FUNCTION theazo.operator_halt_drill(integer) IS
'operator: a drill of the kill switch: so many calls that only wait are halted when they fly, and the time until each is cut is recorded';

CREATE OR REPLACE FUNCTION theazo_internal.halt_drill_end(d theazo_data.halt_drill, p_error text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE theazo_data.halt_drill x
	   SET status = CASE WHEN p_error IS NULL AND c.cut = x.in_flight THEN 'passed' ELSE 'failed' END, ended_at = clock_timestamp(), cut = c.cut,
		   p50_ms = round(c.p50::numeric, 1), p99_ms = round(c.p99::numeric, 1), max_ms = round(c.most::numeric, 1),
		   error = coalesce(p_error, CASE WHEN c.cut <> x.in_flight THEN 'not all of what was in flight was cut' END)
	  FROM (SELECT count(e.ms)::integer AS cut, percentile_cont(0.5) WITHIN GROUP (ORDER BY e.ms) AS p50, percentile_cont(0.99) WITHIN GROUP (ORDER BY e.ms) AS p99,
				   max(e.ms) AS most
			  FROM (SELECT (extract(epoch FROM f.finished_at - d.halted_at) * 1000)::double precision AS ms FROM theazo_data.effect f
					 WHERE f.platform_id = d.platform_id AND f.root_id >= theazo_internal.id_floor(d.started_at - '1 minute'::interval)
					   AND f.agent_id = d.target AND f.state = 'cancelled' AND f.claimed_at IS NOT NULL) e) c
	 WHERE x.platform_id = d.platform_id AND x.id = d.id
	RETURNING x.* INTO d;
	IF d.halt_id IS NOT NULL THEN
		PERFORM theazo_internal.halt_lift(d.platform_id, 'agent', d.target, NULL, true);
	END IF;
	PERFORM theazo_internal.event_write(d.platform_id, 'control', 'halt_drill_ended', jsonb_strip_nulls(jsonb_build_object('drill', d.id, 'status', d.status,
		'inFlight', d.in_flight, 'cut', d.cut, 'p99Ms', d.p99_ms, 'maxMs', d.max_ms, 'error', d.error)), NULL, NULL, NULL, 'live');
END
$$;
COMMENT ON FUNCTION theazo_internal.halt_drill_end(theazo_data.halt_drill, text) IS 'stores what a drill came to, and lifts its halt';

-- Below 0 when one went a step further.
CREATE OR REPLACE FUNCTION theazo_internal.halt_drills()
RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	d		theazo_data.halt_drill;
	v_fly	integer;
	v_halt	text;
BEGIN
	SELECT * INTO d FROM theazo_data.halt_drill x WHERE x.status IN ('starting', 'halted') ORDER BY x.started_at LIMIT 1 FOR UPDATE SKIP LOCKED;
	IF NOT FOUND THEN
		RETURN 0;
	END IF;
	IF d.status = 'starting' THEN
		SELECT count(*) INTO v_fly FROM theazo_data.effect e
		 WHERE e.state IN ('claimed', 'sent') AND e.platform_id = d.platform_id AND e.agent_id = d.target;
		IF v_fly < d.calls AND d.started_at > clock_timestamp() - '10 seconds'::interval THEN
			RETURN 0;
		END IF;
		v_halt := theazo_internal.halt_make(d.platform_id, 'agent', d.target, NULL, NULL, true, 'a drill of the kill switch');
		UPDATE theazo_data.halt_drill x
		   SET status = 'halted', in_flight = v_fly, halt_id = v_halt, halted_at = (SELECT h.halted_at FROM theazo_data.halt h WHERE h.id = v_halt)
		 WHERE x.platform_id = d.platform_id AND x.id = d.id RETURNING x.* INTO d;
		IF v_fly = 0 THEN
			PERFORM theazo_internal.halt_drill_end(d, 'no dispatcher took a call within 10 s; theazo.workers says why');
		END IF;
		RETURN -1;
	END IF;
	IF EXISTS (SELECT FROM theazo_data.halt h WHERE h.platform_id = d.platform_id AND h.id = d.halt_id AND h.applied_at IS NOT NULL) THEN
		PERFORM theazo_internal.halt_drill_end(d, NULL);
		RETURN -1;
	ELSIF d.halted_at < clock_timestamp() - '1 minute'::interval THEN
		PERFORM theazo_internal.halt_drill_end(d, 'the halt was not applied within a minute');
		RETURN -1;
	END IF;
	RETURN 0;
END
$$;
COMMENT ON FUNCTION theazo_internal.halt_drills() IS 'takes a drill of the kill switch one step further';
