-- halt_apply.sql: what the keeper ends of what is halted, and when a halt is applied. The kill switch itself is in halt.sql.

-- What halts hold for and is not over. Without SET, so that the planner puts them into the queries that ask, and whoever has
-- seen enough stops reading. p_platforms null: of all platforms.
CREATE OR REPLACE FUNCTION theazo_internal.halt_platforms()
RETURNS text[]
LANGUAGE sql STABLE
AS $$
	SELECT CASE WHEN pg_catalog.count(*) FILTER (WHERE h.kind = 'global') = 0 THEN pg_catalog.array_agg(DISTINCT h.platform_id::text) END
	  FROM theazo_data.halt h WHERE h.lifted_at IS NULL AND (h.kind <> 'run' OR h.applied_at IS NULL)
$$;
COMMENT ON FUNCTION theazo_internal.halt_platforms() IS 'platforms in which something is halted; null where everything is';

CREATE OR REPLACE FUNCTION theazo_internal.halted_runs(p_platforms text[])
RETURNS TABLE (halt_id text, platform_id text, id text)
LANGUAGE sql STABLE
AS $$
	SELECT x.halt, x.platform_id, x.id
	  FROM (SELECT theazo_internal.halt_of(r.platform_id, r.environment, r.session_id, r.agent_id, r.id) AS halt, r.platform_id::text, r.id::text
			  FROM theazo_data.run r
			 WHERE r.status IN ('queued', 'running') AND (p_platforms IS NULL OR r.platform_id = ANY (p_platforms)) OFFSET 0) x
	 WHERE x.halt IS NOT NULL
$$;
COMMENT ON FUNCTION theazo_internal.halted_runs(text[]) IS 'open runs that are halted';

-- Of a run, what has not left ends with it. The session says which environment it belongs to.
CREATE OR REPLACE FUNCTION theazo_internal.halted_effects(p_platforms text[])
RETURNS TABLE (halt_id text, platform_id text, root_id text, id text, agent_id text)
LANGUAGE sql STABLE
AS $$
	SELECT x.halt, x.platform_id, x.root_id, x.id, x.agent_id
	  FROM (SELECT theazo_internal.halt_of(e.platform_id, s.key_environment, e.session_id, e.agent_id, NULL) AS halt,
				   e.platform_id::text, e.root_id::text, e.id::text, e.agent_id::text
			  FROM theazo_data.effect e
			  LEFT JOIN theazo_data.session s ON s.platform_id = e.platform_id AND s.id = e.session_id
			 WHERE e.state IN ('queued', 'held') AND e.run_id IS NULL AND (p_platforms IS NULL OR e.platform_id = ANY (p_platforms))
			   AND NOT theazo_internal.halt_spares(e.kind) OFFSET 0) x
	 WHERE x.halt IS NOT NULL
$$;
COMMENT ON FUNCTION theazo_internal.halted_effects(text[]) IS 'effects of no run that are halted and have not left';

CREATE OR REPLACE FUNCTION theazo_internal.halted_flights(p_platforms text[])
RETURNS TABLE (halt_id text, platform_id text)
LANGUAGE sql STABLE
AS $$
	SELECT x.halt, x.platform_id
	  FROM (SELECT theazo_internal.halt_of(e.platform_id, s.key_environment, e.session_id, e.agent_id, e.run_id) AS halt, e.platform_id::text
			  FROM theazo_data.effect e
			  LEFT JOIN theazo_data.session s ON s.platform_id = e.platform_id AND s.id = e.session_id
			 WHERE e.state IN ('claimed', 'sent') AND (p_platforms IS NULL OR e.platform_id = ANY (p_platforms))
			   AND NOT theazo_internal.halt_spares(e.kind) OFFSET 0) x
	 WHERE x.halt IS NOT NULL
$$;
COMMENT ON FUNCTION theazo_internal.halted_flights(text[]) IS 'calls in flight that are halted';

-- The halt of a run spares its agent's machine.
CREATE OR REPLACE FUNCTION theazo_internal.halted_sandboxes(p_platforms text[], p_states text[])
RETURNS TABLE (halt_id text, platform_id text, agent_id text)
LANGUAGE sql STABLE
AS $$
	SELECT x.halt, x.platform_id, x.agent_id
	  FROM (SELECT theazo_internal.halt_of(b.platform_id, b.environment, b.session_id, b.agent_id, NULL) AS halt, b.platform_id::text, b.agent_id::text
			  FROM theazo_data.sandbox b
			 WHERE b.status = ANY (p_states) AND (p_platforms IS NULL OR b.platform_id = ANY (p_platforms)) OFFSET 0) x
	 WHERE x.halt IS NOT NULL
$$;
COMMENT ON FUNCTION theazo_internal.halted_sandboxes(text[], text[]) IS 'sandboxes in these states whose agents are halted';

-- Ends one run. What is still in flight is cut; its settlement finds the run ended. Null: it has ended, or somebody has its agent locked.
CREATE OR REPLACE FUNCTION theazo_internal.halt_run(p_platform text, p_run text)
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	r		theazo_data.run;
	l		theazo_data.run_loop;
	v_error	jsonb;
BEGIN
	SELECT * INTO r FROM theazo_data.run x WHERE x.platform_id = p_platform AND x.id = p_run;
	PERFORM 1 FROM theazo_data.agent a WHERE a.platform_id = p_platform AND a.id = r.agent_id FOR UPDATE SKIP LOCKED;
	IF NOT FOUND THEN
		RETURN NULL;
	END IF;
	SELECT * INTO r FROM theazo_data.run x WHERE x.platform_id = p_platform AND x.id = p_run AND x.status IN ('queued', 'running');
	v_error := theazo_internal.halt_error(r.platform_id, r.environment, r.session_id, r.agent_id, r.id);
	IF r.id IS NULL OR v_error IS NULL THEN
		RETURN NULL;
	END IF;
	IF r.kind = 'agent' THEN
		SELECT * INTO l FROM theazo_data.run_loop x WHERE x.platform_id = p_platform AND x.root_id = theazo_internal.id_root(p_run);
		PERFORM theazo_internal.loop_end(l, r, 'failed', NULL, v_error);
		RETURN '';
	END IF;
	PERFORM theazo_internal.loop_drop(r);
	PERFORM theazo_internal.run_finish(r.platform_id, r.id, 'cancelled', NULL, NULL, v_error, r.cost, NULL, clock_timestamp(), false);
	RETURN '';
END
$$;
COMMENT ON FUNCTION theazo_internal.halt_run(text, text) IS 'ends a halted run; null where nothing was done';

-- Work of no run, such as making a sandbox.
CREATE OR REPLACE FUNCTION theazo_internal.halt_effect(p_platform text, p_root text, p_id text, p_agent text)
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	e theazo_data.effect;
BEGIN
	IF EXISTS (SELECT FROM theazo_data.agent a WHERE a.platform_id = p_platform AND a.id = p_agent) THEN
		PERFORM 1 FROM theazo_data.agent a WHERE a.platform_id = p_platform AND a.id = p_agent FOR UPDATE SKIP LOCKED;
		IF NOT FOUND THEN
			RETURN NULL;
		END IF;
	END IF;
	SELECT * INTO e FROM theazo_data.effect x
	 WHERE x.platform_id = p_platform AND x.root_id = p_root AND x.id = p_id AND x.state IN ('queued', 'held') FOR UPDATE SKIP LOCKED;
	IF NOT FOUND THEN
		RETURN NULL;
	END IF;
	PERFORM theazo_internal.effect_cancel(e);
	RETURN 'calls';
END
$$;
COMMENT ON FUNCTION theazo_internal.halt_effect(text, text, text, text) IS 'cancels a halted effect that has not left';

-- The agent may work again one day, with a new sandbox.
CREATE OR REPLACE FUNCTION theazo_internal.halt_sandbox(p_platform text, p_agent text)
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a theazo_data.agent;
BEGIN
	SELECT * INTO a FROM theazo_data.agent x WHERE x.platform_id = p_platform AND x.id = p_agent FOR UPDATE SKIP LOCKED;
	IF NOT FOUND THEN
		RETURN NULL;
	END IF;
	PERFORM theazo_internal.event_write(p_platform, 'control', 'sandbox_halted', jsonb_build_object('sandbox', a.sandbox_id),
		a.session_id, a.id, NULL, a.key_environment);
	PERFORM theazo_internal.sandbox_destroy(p_platform, p_agent);
	-- What its dispatcher has yet to settle finds that the agent has nothing to do with it any more.
	UPDATE theazo_data.agent x
	   SET status = CASE WHEN x.status = 'booting' OR x.status = 'running' AND a.run_id = a.task_run_id THEN 'failed'
						 WHEN x.status = 'running' THEN 'ready' ELSE x.status END,
		   error = CASE WHEN x.status = 'booting' OR x.status = 'running' AND a.run_id = a.task_run_id THEN 'halted' ELSE x.error END, retry_at = NULL
	 WHERE x.platform_id = p_platform AND x.id = p_agent AND (x.status IN ('booting', 'running') OR x.retry_at IS NOT NULL);
	RETURN 'sandboxes';
END
$$;
COMMENT ON FUNCTION theazo_internal.halt_sandbox(text, text) IS 'destroys the sandbox of a halted agent';

-- Ends one thing of a halt, and counts it. One that cannot be ended must not keep the others alive.
CREATE OR REPLACE FUNCTION theazo_internal.halt_one(
	p_what text, p_halt text, p_platform text, p_root text, p_id text, p_agent text, INOUT counts jsonb, OUT done boolean)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_as text;
BEGIN
	BEGIN
		v_as := CASE p_what WHEN 'run' THEN theazo_internal.halt_run(p_platform, p_id)
							WHEN 'effect' THEN theazo_internal.halt_effect(p_platform, p_root, p_id, p_agent)
							ELSE theazo_internal.halt_sandbox(p_platform, p_agent) END;
	EXCEPTION WHEN OTHERS THEN
		RAISE LOG 'theazo: % % of a halt could not be ended: %', p_what, coalesce(p_id, p_agent), SQLERRM;
	END;
	done := v_as IS NOT NULL;
	-- runs are counted in the end, with those that dispatchers have ended
	IF v_as <> '' THEN
		counts := jsonb_set(counts, ARRAY[p_halt],
			coalesce(counts -> p_halt, '{}') || jsonb_build_object(v_as, coalesce((counts -> p_halt ->> v_as)::integer, 0) + 1));
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.halt_one(text, text, text, text, text, text, jsonb) IS
'ends one thing of a halt and counts it; done is false where it is locked, over, or cannot be ended';

-- Some of the work each time it is called, so that no transaction is long; below 0: there is more. What a dispatcher has in
-- flight it cuts and settles itself, and what a dead one had is settled by recovery: only what is still there after a while is
-- ended from here, or both would wait for each other's locks.
CREATE OR REPLACE FUNCTION theazo_internal.keeper_halts()
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
	v_most		CONSTANT integer := 50;
	v_platforms	text[];
	v_young		text[];
	v_counts	jsonb := '{}';
	v_done		boolean;
	v_n			integer := 0;
	w			record;
BEGIN
	IF NOT EXISTS (SELECT FROM theazo_data.halt h WHERE h.lifted_at IS NULL AND (h.kind <> 'run' OR h.applied_at IS NULL)) THEN
		RETURN theazo_internal.halt_drills();
	END IF;
	v_platforms := theazo_internal.halt_platforms();
	v_young := ARRAY(SELECT h.id::text FROM theazo_data.halt h
					  WHERE h.lifted_at IS NULL AND h.applied_at IS NULL AND h.halted_at > clock_timestamp() - '15 seconds'::interval);
	FOR w IN SELECT * FROM theazo_internal.halted_effects(v_platforms)
	LOOP
		SELECT o.counts, o.done INTO v_counts, v_done FROM theazo_internal.halt_one('effect', w.halt_id, w.platform_id, w.root_id, w.id, w.agent_id, v_counts) o;
		v_n := v_n + v_done::integer;
		EXIT WHEN v_n >= v_most;
	END LOOP;
	FOR w IN SELECT * FROM theazo_internal.halted_runs(v_platforms) WHERE v_n < v_most
	LOOP
		CONTINUE WHEN w.halt_id = ANY (v_young)
			AND EXISTS (SELECT FROM theazo_data.effect e
						 WHERE e.platform_id = w.platform_id AND e.root_id = theazo_internal.id_root(w.id) AND e.run_id = w.id AND e.state IN ('claimed', 'sent'));
		SELECT o.counts, o.done INTO v_counts, v_done FROM theazo_internal.halt_one('run', w.halt_id, w.platform_id, NULL, w.id, NULL, v_counts) o;
		v_n := v_n + v_done::integer;
		EXIT WHEN v_n >= v_most;
	END LOOP;
	FOR w IN SELECT * FROM theazo_internal.halted_sandboxes(v_platforms, '{creating,ready,paused}') WHERE v_n < v_most
	LOOP
		-- what a dispatcher is about to settle in it comes first
		CONTINUE WHEN w.halt_id = ANY (v_young)
			AND EXISTS (SELECT FROM theazo_data.run r WHERE r.platform_id = w.platform_id AND r.agent_id = w.agent_id AND r.status IN ('queued', 'running'));
		SELECT o.counts, o.done INTO v_counts, v_done FROM theazo_internal.halt_one('sandbox', w.halt_id, w.platform_id, NULL, NULL, w.agent_id, v_counts) o;
		v_n := v_n + v_done::integer;
		EXIT WHEN v_n >= v_most;
	END LOOP;
	IF v_n > 0 THEN
		PERFORM theazo_internal.halts_count(v_counts);
		RETURN -v_n;
	END IF;
	IF EXISTS (SELECT FROM theazo_data.halt h WHERE h.lifted_at IS NULL AND h.applied_at IS NULL) THEN
		PERFORM theazo_internal.halts_applied(v_platforms);
	END IF;
	RETURN theazo_internal.halt_drills();
END
$$;
COMMENT ON FUNCTION theazo_internal.keeper_halts() IS 'keeper: ends what is halted, and notes when nothing is left of it';

-- {halt: {what: how many}} on top of what was counted before.
CREATE OR REPLACE FUNCTION theazo_internal.halts_count(p_counts jsonb)
RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
	UPDATE theazo_data.halt h
	   SET affected = h.affected || (SELECT jsonb_object_agg(n.key, n.value::integer + coalesce((h.affected ->> n.key)::integer, 0)) FROM jsonb_each(c.value) n)
	  FROM jsonb_each(p_counts) c
	 WHERE h.id = c.key
$$;
COMMENT ON FUNCTION theazo_internal.halts_count(jsonb) IS 'adds to what halts have ended';

-- Runs and executions that ended because of a halt, whoever ended them: the dispatcher that cut them, or the keeper.
CREATE OR REPLACE FUNCTION theazo_internal.halt_toll(h theazo_data.halt)
RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
	SELECT jsonb_strip_nulls(jsonb_build_object('runs', nullif(count(*) FILTER (WHERE x.kind = 'agent'), 0), 'executions', nullif(count(*) FILTER (WHERE x.kind <> 'agent'), 0)))
	  FROM (SELECT DISTINCT r.platform_id, r.id, r.kind
			  FROM theazo_data.platform p
			  JOIN theazo_data.event e ON e.platform_id = p.platform_id AND e.id >= 'evt_' || theazo_internal.id_floor(h.halted_at)
			   AND e.action IN ('execution_failed', 'execution_terminated')
			  JOIN theazo_data.run r ON r.platform_id = e.platform_id AND r.id = e.run_id AND r.error_sqlstate = 'TZ203'
			 WHERE (h.kind = 'global' OR p.platform_id = h.platform_id)
			   AND theazo_internal.halt_of(r.platform_id, r.environment, r.session_id, r.agent_id, r.id) = h.id) x
$$;
COMMENT ON FUNCTION theazo_internal.halt_toll(theazo_data.halt) IS 'how many runs and executions a halt has ended';

-- A halt is applied when nothing is left that it, or a wider one of its platform, holds for.
CREATE OR REPLACE FUNCTION theazo_internal.halts_applied(p_platforms text[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_halts		text[];
	v_of		text[];
	h			theazo_data.halt;
BEGIN
	SELECT array_agg(x.halt_id), array_agg(x.platform_id) INTO v_halts, v_of
	  FROM (SELECT y.halt_id, y.platform_id FROM theazo_internal.halted_runs(p_platforms) y
			UNION SELECT y.halt_id, y.platform_id FROM theazo_internal.halted_effects(p_platforms) y
			UNION SELECT y.halt_id, y.platform_id FROM theazo_internal.halted_flights(p_platforms) y
			UNION SELECT y.halt_id, y.platform_id FROM theazo_internal.halted_sandboxes(p_platforms, '{creating,ready,paused,destroying}') y) x;
	FOR h IN
		UPDATE theazo_data.halt x
		   SET applied_at = clock_timestamp(), halt_ms = round(extract(epoch FROM clock_timestamp() - x.halted_at) * 1000),
			   affected = x.affected || theazo_internal.halt_toll(x)
		 WHERE x.applied_at IS NULL AND x.lifted_at IS NULL
		   AND NOT EXISTS (SELECT FROM unnest(v_halts, v_of) AS u (halt_id, platform_id)
							WHERE u.halt_id = x.id OR x.kind = 'global'
							   OR u.platform_id = x.platform_id
								  AND EXISTS (SELECT FROM theazo_data.halt w WHERE w.id = u.halt_id AND w.kind IN ('platform', 'global')))
		RETURNING x.*
	LOOP
		-- A lifecycle that starts agents again must not do so once the halt is lifted.
		UPDATE theazo_data.agent a SET retry_at = NULL
		 WHERE a.retry_at IS NOT NULL AND (h.kind = 'global' OR a.platform_id = h.platform_id)
		   AND theazo_internal.halt_of(a.platform_id, a.key_environment, a.session_id, a.id, NULL) IS NOT NULL;
		PERFORM theazo_internal.halt_event(h, 'halt_applied', jsonb_build_object('ms', h.halt_ms) || h.affected);
	END LOOP;
END
$$;
COMMENT ON FUNCTION theazo_internal.halts_applied(text[]) IS 'notes the halts of which nothing is left, with the time it took';

-- Soon while something halted is under way, and the longer it lasts, the later.
CREATE OR REPLACE FUNCTION theazo_internal.halts_due()
RETURNS interval
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT least(min(least(greatest((clock_timestamp() - h.halted_at) / 4, '50 ms'::interval), '10 s'::interval)),
				 (SELECT '100 ms'::interval FROM theazo_data.halt_drill d WHERE d.status IN ('starting', 'halted') LIMIT 1))
	  FROM theazo_data.halt h WHERE h.lifted_at IS NULL AND h.applied_at IS NULL
$$;
COMMENT ON FUNCTION theazo_internal.halts_due() IS 'when the keeper looks at halts again that are not applied yet; null when there are none';
