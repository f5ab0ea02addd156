-- halt.sql: the kill switch.
--
-- Halting is inserting a row: it waits for nobody. The commit moves an epoch in shared memory and wakes the workers. Dispatchers
-- cut what they have in flight and claim nothing that is halted; the keeper ends what is left in the rows, in short
-- transactions, and passes over what somebody has locked until it is free. The row stays until it is lifted, so a crash, a
-- restart or a promotion changes nothing: whoever starts reads it first.

CREATE OR REPLACE TRIGGER halt_memo AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON theazo_data.halt
	FOR EACH STATEMENT EXECUTE FUNCTION theazo_internal.memo_reset();
ALTER TABLE theazo_data.halt ENABLE ALWAYS TRIGGER halt_memo;

-- ----------------------------------------------------------------------------
-- What is halted
-- ----------------------------------------------------------------------------
CREATE OR REPLACE VIEW theazo.halts WITH (security_barrier) AS
	SELECT h.id, h.kind, h.target, h.reason, h.halted_by, h.by_operator, h.halted_at, h.applied_at, h.halt_ms, h.affected, h.lifted_at, h.lifted_by,
		   h.lifted_at IS NULL AND (h.kind <> 'run' OR h.applied_at IS NULL) AS in_force, h.only_environment AS environment
	  FROM theazo_data.halt h
	 WHERE (SELECT theazo_internal.may_read('halt:read'))
	   AND (h.only_environment IS NULL OR h.only_environment = (SELECT theazo_internal.current_environment()));
COMMENT ON VIEW theazo.halts IS
'what was halted: by whom and why, how long it took until nothing was left, what it ended, and whether it still holds';

CREATE OR REPLACE VIEW theazo.operator_halts WITH (security_barrier) AS
	SELECT nullif(h.platform_id::text, theazo_internal.operator_platform()::text) AS platform_id, h.id, h.kind, h.target, h.reason, h.halted_by, h.by_operator,
		   h.halted_at, h.applied_at, h.halt_ms, h.affected, h.lifted_at, h.lifted_by, h.lifted_at IS NULL AND (h.kind <> 'run' OR h.applied_at IS NULL) AS in_force, h.only_environment AS environment
	  FROM theazo_data.halt h;
COMMENT ON VIEW theazo.operator_halts IS 'operator: halts of all platforms, and those of everything';

-- For every process (src/gate/halt.c): halts with what they hold for. Of an agent, session or run also open runs and live
-- agents that descend from it, and open runs of the halted themselves, which others may name as their parent. A run's own
-- halt is over when it has been applied.
CREATE OR REPLACE FUNCTION theazo_internal.halts_in_force()
RETURNS TABLE (id text, kind text, platform_id text, target text, environment text, subject text, reason text)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT h.id::text, h.kind, CASE h.kind WHEN 'global' THEN '' ELSE h.platform_id::text END, coalesce(h.target::text, ''),
		   coalesce(h.only_environment, ''), coalesce(h.target::text, ''), h.reason
	  FROM theazo_data.halt h
	 WHERE h.lifted_at IS NULL AND (h.kind <> 'run' OR h.applied_at IS NULL);
	-- Of one environment: who knows only what something belongs to, knows the session.
	RETURN QUERY
	SELECT h.id::text, h.kind, s.platform_id::text, s.id::text, ''::text, ''::text, h.reason
	  FROM theazo_data.halt h
	  JOIN theazo_data.session s ON s.platform_id = h.platform_id AND s.key_environment = h.only_environment AND s.status <> 'terminated'
	 WHERE h.lifted_at IS NULL AND h.kind = 'platform' AND h.only_environment IS NOT NULL;
	IF NOT EXISTS (SELECT FROM theazo_data.halt h
					WHERE h.lifted_at IS NULL AND (h.kind <> 'run' OR h.applied_at IS NULL) AND h.kind IN ('agent', 'session', 'run')) THEN
		RETURN;
	END IF;
	RETURN QUERY
	WITH RECURSIVE h AS MATERIALIZED (
		SELECT x.id::text, x.kind, x.platform_id, x.target::text, x.reason FROM theazo_data.halt x
		 WHERE x.lifted_at IS NULL AND (x.kind <> 'run' OR x.applied_at IS NULL) AND x.kind IN ('agent', 'session', 'run')),
	-- Upwards from what is open, by keys: a run in between may have ended long ago.
	climb (platform_id, target, ancestor) AS (
		SELECT r.platform_id, r.id::text, u.parent
		  FROM theazo_data.run r
		  JOIN theazo_data.agent a ON a.platform_id = r.platform_id AND a.id = r.agent_id
		 CROSS JOIN LATERAL (VALUES (r.parent_id::text), (a.parent_run_id::text)) AS u (parent)
		 WHERE r.platform_id IN (SELECT y.platform_id FROM h y) AND r.status IN ('queued', 'running') AND u.parent IS NOT NULL
		UNION
		SELECT a.platform_id, a.id::text, a.parent_run_id::text
		  FROM theazo_data.agent a
		 WHERE a.platform_id IN (SELECT y.platform_id FROM h y) AND a.parent_run_id IS NOT NULL AND a.status <> 'completed'
		UNION
		SELECT c.platform_id, c.target, u.parent
		  FROM climb c
		  JOIN theazo_data.run x ON x.platform_id = c.platform_id AND x.id = c.ancestor
		  JOIN theazo_data.agent a ON a.platform_id = x.platform_id AND a.id = x.agent_id
		 CROSS JOIN LATERAL (VALUES (x.parent_id::text), (a.parent_run_id::text)) AS u (parent)
		 WHERE u.parent IS NOT NULL)
	SELECT DISTINCT h.id, h.kind, c.platform_id::text, c.target, ''::text, h.target, h.reason
	  FROM climb c
	  JOIN theazo_data.run x ON x.platform_id = c.platform_id AND x.id = c.ancestor
	  JOIN h ON h.platform_id = x.platform_id
			AND CASE h.kind WHEN 'run' THEN h.target = x.id WHEN 'agent' THEN h.target = x.agent_id ELSE h.target = x.session_id END
	UNION
	SELECT h.id, h.kind, r.platform_id::text, r.id::text, '', h.target, h.reason
	  FROM h
	  JOIN theazo_data.run r ON r.platform_id = h.platform_id AND r.status IN ('queued', 'running')
			AND CASE h.kind WHEN 'agent' THEN h.target = r.agent_id WHEN 'session' THEN h.target = r.session_id ELSE false END;
END
$$;
COMMENT ON FUNCTION theazo_internal.halts_in_force() IS 'halts that hold, and each thing they hold for by name';

CREATE OR REPLACE FUNCTION theazo_internal.halt_of(p_platform text, p_environment text, p_session text, p_agent text, p_run text)
RETURNS text LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'theazo_halt_of';
COMMENT ON FUNCTION theazo_internal.halt_of(text, text, text, text, text) IS 'id of the halt that holds for this, the widest first; null for none';

CREATE OR REPLACE FUNCTION theazo_internal.halt_error(p_platform text, p_environment text, p_session text, p_agent text, p_run text)
RETURNS jsonb LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'theazo_halt_error';
COMMENT ON FUNCTION theazo_internal.halt_error(text, text, text, text, text) IS 'what a run ends with that is halted; null when nothing holds for it';

CREATE OR REPLACE FUNCTION theazo_internal.halt_any()
RETURNS boolean LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'theazo_halt_any';
COMMENT ON FUNCTION theazo_internal.halt_any() IS 'is anything of this database halted';

CREATE OR REPLACE FUNCTION theazo_internal.halt_spares(p_kind text)
RETURNS boolean LANGUAGE c IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'theazo_halt_spares';
COMMENT ON FUNCTION theazo_internal.halt_spares(text) IS 'do effects of this kind go on under a halt: what ends things, and what records';

-- ----------------------------------------------------------------------------
-- Halting
-- ----------------------------------------------------------------------------
CREATE OR REPLACE FUNCTION theazo_internal.halt_event(p_halt theazo_data.halt, p_action text, p_more jsonb DEFAULT '{}')
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	PERFORM theazo_internal.event_write(p_halt.platform_id, 'control', p_action,
		pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('halt', p_halt.id, 'kind', p_halt.kind, 'target', p_halt.target, 'reason', p_halt.reason) || p_more),
		p_halt.session_id, CASE p_halt.kind WHEN 'agent' THEN p_halt.target END, CASE p_halt.kind WHEN 'run' THEN p_halt.target END,
		coalesce(p_halt.only_environment, 'live'));
END
$$;
COMMENT ON FUNCTION theazo_internal.halt_event(theazo_data.halt, text, jsonb) IS 'writes an event about a halt';

CREATE OR REPLACE FUNCTION theazo_internal.halt_make(
	p_platform text, p_kind text, p_target text, p_environment text, p_session text, p_by_operator boolean, p_reason text)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
	h theazo_data.halt;
BEGIN
	INSERT INTO theazo_data.halt AS x (platform_id, id, kind, target, only_environment, session_id, by_operator, reason, halted_by)
	VALUES (p_platform, theazo_internal.id_new('hlt'), p_kind, p_target, p_environment, p_session, p_by_operator, p_reason,
			theazo_internal.current_actor_kind() || ' ' || theazo_internal.current_actor())
	RETURNING x.* INTO h;
	PERFORM theazo_internal.halt_event(h, CASE WHEN p_kind IN ('platform', 'global') THEN 'global_halt' ELSE p_kind || '_killed' END);
	PERFORM theazo_internal.wake_halt();
	RETURN h.id;
END
$$;
COMMENT ON FUNCTION theazo_internal.halt_make(text, text, text, text, text, boolean, text) IS
'halts something: a row, its event, and at commit every worker; locks nothing';

-- What a caller names, under its policies and without a lock.
CREATE OR REPLACE FUNCTION theazo_internal.halt_target(p_target text, OUT kind text, OUT session_id text, OUT environment text, OUT status text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF p_target ~ '^agt_' THEN
		SELECT 'agent', a.session_id, a.key_environment, a.status INTO kind, session_id, environment, status
		  FROM theazo_data.agent a WHERE a.platform_id = theazo_internal.current_platform() AND a.id = p_target;
	ELSIF p_target ~ '^ses_' THEN
		SELECT 'session', s.id, s.key_environment, s.status INTO kind, session_id, environment, status
		  FROM theazo_data.session s WHERE s.platform_id = theazo_internal.current_platform() AND s.id = p_target;
	ELSIF p_target ~ '^run_[0-9A-HJKMNP-TV-Z]{26}$' THEN
		SELECT 'run', r.session_id, r.environment, r.status INTO kind, session_id, environment, status
		  FROM theazo_data.run r WHERE r.platform_id = theazo_internal.current_platform() AND r.id = p_target;
	END IF;
	IF kind IS NULL THEN
		PERFORM theazo_internal.raise_not_found('agent, session or run', p_target);
	ELSIF kind = 'session' THEN
		PERFORM theazo_internal.refuse_narrowed('halting a session');
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.halt_target(text) IS 'agent, session or run of the caller that is to be halted or resumed, or 42704';

CREATE OR REPLACE FUNCTION theazo_internal.halt_shown(p_id text)
RETURNS theazo.halts
LANGUAGE sql STABLE
AS $$
	SELECT h.id, h.kind, h.target, h.reason, h.halted_by, h.by_operator, h.halted_at, h.applied_at, h.halt_ms, h.affected, h.lifted_at, h.lifted_by,
		   h.lifted_at IS NULL AND (h.kind <> 'run' OR h.applied_at IS NULL), h.only_environment
	  FROM theazo_data.halt h WHERE h.platform_id = theazo_internal.current_platform() AND h.id = p_id
$$;
COMMENT ON FUNCTION theazo_internal.halt_shown(text) IS 'a halt of the caller''s platform';

CREATE OR REPLACE FUNCTION theazo.kill(target text, reason text, api_key text DEFAULT NULL)
RETURNS theazo.halts
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	t		record;
	v_id	text;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'halt:write');
	PERFORM theazo_internal.name_check('reason', reason, 200);
	t := theazo_internal.halt_target(target);
	IF t.kind = 'run' AND t.status NOT IN ('queued', 'running') THEN
		PERFORM theazo_internal.raise_state('run', target, t.status, 'kill', 'It has ended.');
	END IF;
	v_id := theazo_internal.halt_make(theazo_internal.current_platform(), t.kind, target, t.environment, t.session_id, false, reason);
	RETURN theazo_internal.halt_shown(v_id);
END
$$;
COMMENT ON FUNCTION theazo.kill(text, text, text) IS
'kills an agent, a session or a run at once, with all that descends from it, and lets it begin nothing more until it is resumed; a run stays killed';

CREATE OR REPLACE FUNCTION theazo.halt(reason text, api_key text DEFAULT NULL)
RETURNS theazo.halts
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_id text;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'halt:write');
	PERFORM theazo_internal.refuse_narrowed('halting the platform');
	PERFORM theazo_internal.name_check('reason', reason, 200);
	v_id := theazo_internal.halt_make(theazo_internal.current_platform(), 'platform', NULL,
		CASE WHEN theazo_internal.current_environment() <> 'live' THEN theazo_internal.current_environment() END, NULL, false, reason);
	RETURN theazo_internal.halt_shown(v_id);
END
$$;
COMMENT ON FUNCTION theazo.halt(text, text) IS 'halts all work of the platform at once, until theazo.unhalt(); with a test key, its test work';

CREATE OR REPLACE FUNCTION theazo.operator_halt(reason text, platform text DEFAULT NULL)
RETURNS theazo.operator_halts
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_id	text;
	v_out	theazo.operator_halts;
BEGIN
	PERFORM theazo_internal.enter_operator();
	PERFORM theazo_internal.name_check('reason', reason, 200);
	v_id := theazo_internal.halt_make(theazo_internal.operator_target(platform), CASE WHEN platform IS NULL THEN 'global' ELSE 'platform' END,
		NULL, NULL, NULL, true, reason);
	SELECT * INTO v_out FROM theazo.operator_halts h WHERE h.id = v_id;
	RETURN v_out;
END
$$;
COMMENT ON FUNCTION theazo.operator_halt(text, text) IS 'operator: halts one platform, or everything, until theazo.operator_unhalt()';

-- ----------------------------------------------------------------------------
-- Lifting
-- ----------------------------------------------------------------------------
-- Returns how many. What is halted for another reason as well stays halted.
CREATE OR REPLACE FUNCTION theazo_internal.halt_lift(p_platform text, p_kind text, p_target text, p_environment text, p_by_operator boolean)
RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
	h	theazo_data.halt;
	v_n	integer := 0;
BEGIN
	FOR h IN
		UPDATE theazo_data.halt x
		   SET lifted_at = pg_catalog.clock_timestamp(), lifted_by = theazo_internal.current_actor_kind() || ' ' || theazo_internal.current_actor()
		 WHERE x.platform_id = p_platform AND x.kind = p_kind AND x.target IS NOT DISTINCT FROM p_target AND x.lifted_at IS NULL
		   AND x.by_operator = p_by_operator AND (p_environment IS NULL OR x.only_environment = p_environment)
		RETURNING x.*
	LOOP
		PERFORM theazo_internal.halt_event(h, CASE WHEN p_kind IN ('platform', 'global') THEN 'global_resume' ELSE p_kind || '_resumed' END);
		v_n := v_n + 1;
	END LOOP;
	IF v_n > 0 THEN
		PERFORM theazo_internal.wake_halt();
	END IF;
	RETURN v_n;
END
$$;
COMMENT ON FUNCTION theazo_internal.halt_lift(text, text, text, text, boolean) IS 'lifts the halts of one thing; returns how many there were';

CREATE OR REPLACE FUNCTION theazo_internal.halt_lifted(p_n integer, p_what text)
RETURNS integer
LANGUAGE plpgsql
AS $$
BEGIN
	IF p_n = 0 THEN
		RAISE EXCEPTION USING ERRCODE = 'TZ103', MESSAGE = p_what || ' is not halted',
			HINT = 'theazo.halts shows what is; what the operator has halted, only the operator lifts.';
	END IF;
	RETURN p_n;
END
$$;
COMMENT ON FUNCTION theazo_internal.halt_lifted(integer, text) IS 'TZ103 when there was nothing to lift';

CREATE OR REPLACE FUNCTION theazo.resume_halted(target text, api_key text DEFAULT NULL)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	t record;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'halt:write');
	t := theazo_internal.halt_target(target);
	IF t.kind = 'run' THEN
		PERFORM theazo_internal.raise_state('run', target, t.status, 'resume', 'A run that was killed stays so; start a new one.');
	END IF;
	RETURN theazo_internal.halt_lifted(
		theazo_internal.halt_lift(theazo_internal.current_platform(), t.kind, target, NULL, false),
		format('%s %s', t.kind, theazo_internal.quoted(target)));
END
$$;
COMMENT ON FUNCTION theazo.resume_halted(text, text) IS
'lets an agent or session that was killed work again; what was ended stays ended. Returns how many halts were lifted';

CREATE OR REPLACE FUNCTION theazo.unhalt(api_key text DEFAULT NULL)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM theazo_internal.enter(api_key, 'halt:write');
	PERFORM theazo_internal.refuse_narrowed('halting the platform');
	RETURN theazo_internal.halt_lifted(theazo_internal.halt_lift(theazo_internal.current_platform(), 'platform', NULL,
		CASE WHEN theazo_internal.current_environment() <> 'live' THEN theazo_internal.current_environment() END, false), 'the platform');
END
$$;
COMMENT ON FUNCTION theazo.unhalt(text) IS
'lifts the halts of the platform; agents and sessions that were killed one by one stay halted. Returns how many were lifted';

CREATE OR REPLACE FUNCTION theazo.operator_unhalt(platform text DEFAULT NULL)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM theazo_internal.enter_operator();
	RETURN theazo_internal.halt_lifted(theazo_internal.halt_lift(theazo_internal.operator_target(platform),
		CASE WHEN platform IS NULL THEN 'global' ELSE 'platform' END, NULL, NULL, true),
		CASE WHEN platform IS NULL THEN 'everything' ELSE format('platform %s', theazo_internal.quoted(platform)) END);
END
$$;
COMMENT ON FUNCTION theazo.operator_unhalt(text) IS 'operator: lifts what it has halted of one platform, or the halt of everything';

-- ----------------------------------------------------------------------------
-- The keeper's part
-- ----------------------------------------------------------------------------
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

-- ----------------------------------------------------------------------------
-- Drills
-- ----------------------------------------------------------------------------
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
