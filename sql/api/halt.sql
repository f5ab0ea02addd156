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
		   -- what has an id is of one environment, which who asks about it need not know
		   CASE h.kind WHEN 'platform' THEN coalesce(h.only_environment, '') ELSE '' END, coalesce(h.target::text, ''), h.reason
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
