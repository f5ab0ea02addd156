-- hibernate.sql: agents that live long: they fall asleep when idle and wake with work, keep checkpoints, end by age; and the time
-- that providers give their sandboxes.
--
-- One that fell asleep by itself is woken by a run, an exec or an input (run_make, loop_make, agent_send), unless autoResume is false;
-- what somebody paused on purpose is not.

-- Whatever ends a pause, it is counted here.
CREATE OR REPLACE FUNCTION theazo_internal.agent_woken()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
	NEW.resumed_at := pg_catalog.clock_timestamp();
	NEW.paused_seconds := OLD.paused_seconds + greatest(0, extract(epoch FROM NEW.resumed_at - coalesce(OLD.paused_at, NEW.resumed_at)));
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION theazo_internal.agent_woken() IS 'counts the time an agent was paused';
CREATE OR REPLACE TRIGGER agent_woken BEFORE UPDATE ON theazo_data.agent
	FOR EACH ROW WHEN (OLD.status OPERATOR(pg_catalog.=) 'paused' AND NEW.status OPERATOR(pg_catalog.<>) 'paused') EXECUTE FUNCTION theazo_internal.agent_woken();

-- ----------------------------------------------------------------------------
-- By themselves
-- ----------------------------------------------------------------------------
-- Since when nothing has happened; null while something does.
CREATE OR REPLACE FUNCTION theazo_internal.agent_idle_since(a theazo_data.agent)
RETURNS timestamptz
LANGUAGE sql STABLE
AS $$
	SELECT CASE WHEN a.run_id IS NOT NULL OR r.open THEN NULL ELSE greatest(a.created_at, a.resumed_at, r.ended_at) END
	  FROM (SELECT x.status IN ('queued', 'running') AS open, x.ended_at FROM theazo_data.run x
			 WHERE x.platform_id = a.platform_id AND x.agent_id = a.id ORDER BY x.id DESC LIMIT 1) r
	 RIGHT JOIN (SELECT) one ON true
$$;
COMMENT ON FUNCTION theazo_internal.agent_idle_since(theazo_data.agent) IS 'since when an agent does nothing; null while it works';

-- Is it time for an automatic checkpoint: only of one that is awake, and has worked since the last.
CREATE OR REPLACE FUNCTION theazo_internal.checkpoint_due(a theazo_data.agent)
RETURNS boolean
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	v_last timestamptz;
BEGIN
	IF a.status NOT IN ('ready', 'running') OR a.one_shot OR NOT coalesce((a.options ->> 'longRunning')::boolean, false) OR NOT a.options ? 'checkpointInterval' THEN
		RETURN false;
	END IF;
	SELECT c.created_at INTO v_last FROM theazo_data.checkpoint c
	 WHERE c.platform_id = a.platform_id AND c.agent_id = a.id ORDER BY c.id DESC LIMIT 1;
	RETURN coalesce(v_last, a.created_at) + (a.options ->> 'checkpointInterval')::pg_catalog."numeric" * '1 second'::interval <= pg_catalog.clock_timestamp()
		AND (a.run_id IS NOT NULL OR EXISTS (SELECT FROM theazo_data.run r
			WHERE r.platform_id = a.platform_id AND r.agent_id = a.id AND r.ended_at >= coalesce(v_last, a.created_at)));
END
$$;
COMMENT ON FUNCTION theazo_internal.checkpoint_due(theazo_data.agent) IS 'is it time for an automatic checkpoint of an agent';

-- Agents with a time limit end, agents that sleep when idle go to sleep, those that work for long are kept.
CREATE OR REPLACE FUNCTION theazo_internal.keeper_agents()
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a		theazo_data.agent;
	v_over	boolean;
	v_kept	boolean;
	v_idle	numeric;
	v_n		integer := 0;
BEGIN
	FOR a IN
		SELECT x.* FROM theazo_data.agent x
		 WHERE x.status <> 'completed'
		   AND (x.options ? 'maxDuration' OR x.options ? 'checkpointInterval' OR x.options ? 'hibernateAfterIdle'
				OR x.options #> '{lifecycle,autoPause,afterIdle}' IS NOT NULL)
		 ORDER BY x.id
	LOOP
		v_over := coalesce(a.created_at + (a.options ->> 'maxDuration')::numeric * '1 second'::interval < now(), false);
		v_kept := theazo_internal.checkpoint_due(a);
		v_idle := coalesce(a.options ->> 'hibernateAfterIdle', a.options #>> '{lifecycle,autoPause,afterIdle}')::numeric;
		CONTINUE WHEN NOT v_over AND NOT v_kept
			AND (v_idle IS NULL OR a.status <> 'ready' OR coalesce(theazo_internal.agent_idle_since(a) + v_idle * '1 second'::interval >= now(), true));
		SELECT * INTO a FROM theazo_data.agent x WHERE x.platform_id = a.platform_id AND x.id = a.id AND x.status <> 'completed' FOR UPDATE SKIP LOCKED;
		CONTINUE WHEN NOT FOUND;
		v_n := v_n + 1;
		IF v_over THEN
			PERFORM theazo_internal.agent_terminate(a);
			CONTINUE;
		END IF;
		IF v_kept AND theazo_internal.checkpoint_due(a) THEN
			PERFORM theazo_internal.checkpoint_make(a, c.phase, c.progress, NULL, true)
			   -- where it stands is what was said last
			   FROM (SELECT) one LEFT JOIN LATERAL (SELECT y.phase, y.progress FROM theazo_data.checkpoint y
					WHERE y.platform_id = a.platform_id AND y.agent_id = a.id ORDER BY y.id DESC LIMIT 1) c ON true;
		END IF;
		IF a.status = 'ready' AND theazo_internal.agent_idle_since(a) + v_idle * '1 second'::interval < now() THEN
			PERFORM theazo_internal.agent_pause(a, 'idle');
		END IF;
	END LOOP;
	RETURN v_n;
END
$$;
COMMENT ON FUNCTION theazo_internal.keeper_agents() IS
'keeper: ends agents past their maxDuration, makes automatic checkpoints, pauses those idle for too long';

-- ----------------------------------------------------------------------------
-- Elsewhere, or as it was
-- ----------------------------------------------------------------------------
-- The sandbox of a locked agent that does not work ends, and its work does not.
CREATE OR REPLACE FUNCTION theazo_internal.sandbox_leave(a theazo_data.agent)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	b	theazo_data.sandbox;
	e	theazo_data.effect;
BEGIN
	FOR b IN
		SELECT x.* FROM theazo_data.sandbox x
		 WHERE x.platform_id = a.platform_id AND x.agent_id = a.id AND x.status IN ('creating', 'ready', 'paused') ORDER BY x.id FOR UPDATE
	LOOP
		IF b.status <> 'creating' THEN
			PERFORM theazo_internal.sandbox_end(b);
			CONTINUE;
		END IF;
		UPDATE theazo_data.sandbox x SET status = 'destroying', ended_at = pg_catalog.clock_timestamp() WHERE x.platform_id = b.platform_id AND x.id = b.id;
		SELECT x.* INTO e FROM theazo_data.effect x
		 WHERE x.platform_id = b.platform_id AND x.state = 'queued' AND x.kind = 'compute.create' AND x.sandbox_id = b.id FOR UPDATE;
		-- In flight: the settlement of the creation destroys what it made.
		IF FOUND THEN
			PERFORM theazo_internal.effect_cancel(e);
		END IF;
	END LOOP;
	UPDATE theazo_data.agent x SET sandbox_id = NULL WHERE x.platform_id = a.platform_id AND x.id = a.id;
END
$$;
COMMENT ON FUNCTION theazo_internal.sandbox_leave(theazo_data.agent) IS 'ends the sandbox of a locked agent, and nothing else';

-- Files as they were at a checkpoint: by a new sandbox made from its snapshot, or by the same resumed from it, or not at all.
CREATE OR REPLACE FUNCTION theazo_internal.agent_files_back(a theazo_data.agent, p_snapshot text)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	x	theazo_data.snapshot;
	b	theazo_data.sandbox;
BEGIN
	SELECT y.* INTO x FROM theazo_data.snapshot y WHERE y.platform_id = a.platform_id AND y.id = p_snapshot;
	SELECT y.* INTO b FROM theazo_data.sandbox y WHERE y.platform_id = a.platform_id AND y.id = a.sandbox_id AND y.status IN ('ready', 'paused') FOR UPDATE;
	IF x.status = 'kept' AND theazo_internal.compute_support(x.adapter, 'snapshot') = 'native' THEN
		PERFORM theazo_internal.sandbox_leave(a);
		PERFORM theazo_internal.sandbox_start(a.platform_id, a.id, '{}', x.id);
	ELSIF x.status = 'kept' AND b.id = x.sandbox_id THEN
		IF b.status = 'ready' THEN
			PERFORM theazo_internal.sandbox_bill(b.platform_id, b.id, pg_catalog.clock_timestamp(), false);
			PERFORM theazo_internal.budget_release(b.platform_id, b.id);
		END IF;
		UPDATE theazo_data.sandbox y
		   SET status = 'paused', paused_at = coalesce(y.paused_at, pg_catalog.clock_timestamp()), snapshot = x.handle, expires_at = NULL, renew_at = NULL,
			   labels = theazo_internal.labels_join(VARIADIC y.labels || x.labels)
		 WHERE y.platform_id = b.platform_id AND y.id = b.id;
		PERFORM theazo_internal.sandbox_resume(a.platform_id, a.id);
	ELSE
		PERFORM theazo_internal.log_write(a.platform_id, NULL, 'warn', 'provider',
			pg_catalog.format('files of agent %s stay as they are: nothing is kept of those at the checkpoint', a.id),
			a.key_environment, a.session_id, a.id, NULL, a.user_id, a.provider);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.agent_files_back(theazo_data.agent, text) IS 'takes the files of a locked agent back to a snapshot, where its provider can';

CREATE OR REPLACE FUNCTION theazo.agent_resume_with(
	agent text, checkpoint text DEFAULT NULL, provider text DEFAULT NULL, region text DEFAULT NULL, api_key text DEFAULT NULL)
RETURNS theazo.agents LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	a	theazo_data.agent;
	c	theazo_data.checkpoint;
	b	theazo_data.sandbox;
	v_snapshot text;
BEGIN
	PERFORM theazo_internal.enter(api_key, 'agent:write');
	PERFORM theazo_internal.flow_act('agent.write');
	-- the session before its agents, as everywhere
	PERFORM theazo_internal.session_open((theazo_internal.agent_shown(agent)).session_id);
	a := theazo_internal.agent_lock(agent);
	IF a.status NOT IN ('ready', 'paused', 'failed') OR a.run_id IS NOT NULL AND (a.status <> 'paused' OR checkpoint IS NOT NULL) THEN
		PERFORM theazo_internal.raise_state('agent', a.id, a.status, 'resume',
			CASE WHEN a.status = 'completed' THEN 'Create a new agent.' ELSE 'Wait for its run, or cancel it with theazo.run_cancel().' END);
	END IF;
	IF checkpoint IS NOT NULL THEN
		SELECT x.* INTO c FROM theazo_data.checkpoint x
		 WHERE x.platform_id = a.platform_id AND x.agent_id = a.id AND x.id = agent_resume_with.checkpoint;
		IF NOT FOUND THEN
			PERFORM theazo_internal.raise_not_found('checkpoint', checkpoint);
		END IF;
	END IF;
	IF provider IS NOT NULL THEN
		PERFORM theazo_internal.name_check('provider', provider, 128);
		PERFORM theazo_internal.compute_named(provider);
	END IF;
	IF region IS NOT NULL THEN
		PERFORM theazo_internal.name_check('region', region, 128);
	END IF;
	PERFORM theazo_internal.budget_check(a.platform_id, a.key_environment, a.session_id, a.user_id, a.id, false);
	SELECT x.* INTO b FROM theazo_data.sandbox x WHERE x.platform_id = a.platform_id AND x.id = a.sandbox_id;
	-- What the pause has kept goes along, unless it is to be as at the checkpoint.
	v_snapshot := coalesce(c.snapshot_id, b.snapshot_id);
	UPDATE theazo_data.agent x
	   SET memory_root = CASE WHEN c.id IS NOT NULL THEN c.memory_root ELSE x.memory_root END,
		   options = x.options || jsonb_strip_nulls(jsonb_build_object('provider', agent_resume_with.provider, 'region', agent_resume_with.region))
	 WHERE x.platform_id = a.platform_id AND x.id = a.id
	RETURNING x.* INTO a;
	IF provider IS NOT NULL OR region IS NOT NULL THEN
		PERFORM theazo_internal.sandbox_leave(a);
		PERFORM theazo_internal.sandbox_start(a.platform_id, a.id, '{}', v_snapshot);
		IF v_snapshot IS NULL AND b.status IN ('ready', 'paused') THEN
			PERFORM theazo_internal.log_write(a.platform_id, NULL, 'warn', 'provider', format('files of agent %s stay behind: nothing is kept of them', a.id),
				a.key_environment, a.session_id, a.id, NULL, a.user_id, a.provider);
		END IF;
	ELSIF c.id IS NOT NULL THEN
		PERFORM theazo_internal.agent_files_back(a, c.snapshot_id);
	END IF;
	PERFORM theazo_internal.agent_event(a, 'agent_restored', jsonb_strip_nulls(jsonb_build_object('checkpoint', c.id, 'phase', left(c.phase, 200), 'progress', c.progress,
		'provider', provider, 'region', region)));
	SELECT x.* INTO a FROM theazo_data.agent x WHERE x.platform_id = a.platform_id AND x.id = a.id;
	IF a.status <> 'ready' THEN
		PERFORM theazo_internal.agent_resume(a);
	END IF;
	RETURN theazo_internal.agent_shown(agent);
END $$;
COMMENT ON FUNCTION theazo.agent_resume_with(text, text, text, text, text) IS
'resumes an agent as it was at a checkpoint, or at another provider or region: what it remembers goes back, and files where the provider can';

-- ----------------------------------------------------------------------------
-- How far it is
-- ----------------------------------------------------------------------------
CREATE OR REPLACE FUNCTION theazo.agent_progress(agent text, api_key text DEFAULT NULL)
RETURNS TABLE (agent_id text, phase text, progress numeric, checkpoints bigint, total_ms bigint, active_ms bigint, status text, last_checkpoint_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
	PERFORM theazo_internal.enter(api_key, 'agent:read');
	PERFORM theazo_internal.agent_shown(agent_progress.agent);
	PERFORM theazo_internal.flow_look_agent(agent_progress.agent);
	RETURN QUERY
	SELECT a.id::text, CASE WHEN c.created_at IS NULL THEN nullif(g.message, '') ELSE c.phase END, coalesce(c.progress, g.percentage, 0),
		   (SELECT count(*) FROM theazo_data.checkpoint x WHERE x.platform_id = a.platform_id AND x.agent_id = a.id),
		   round(d.total * 1000)::bigint,
		   round(greatest(0, d.total - a.paused_seconds
				- CASE WHEN a.status = 'paused' THEN extract(epoch FROM clock_timestamp() - a.paused_at) ELSE 0 END) * 1000)::bigint,
		   CASE a.status WHEN 'paused' THEN 'hibernated' WHEN 'completed' THEN 'terminated' ELSE 'active' END, coalesce(c.created_at, g.reported_at)
	  FROM theazo_data.agent a
	 CROSS JOIN LATERAL (SELECT extract(epoch FROM coalesce(a.ended_at, clock_timestamp()) - a.created_at) AS total) d
	  LEFT JOIN LATERAL (SELECT x.phase, x.progress, x.created_at FROM theazo_data.checkpoint x
						  WHERE x.platform_id = a.platform_id AND x.agent_id = a.id ORDER BY x.id DESC LIMIT 1) c ON true
	  -- without one, what the agent or a program of its reported
	  LEFT JOIN theazo_data.progress g ON g.platform_id = a.platform_id AND g.agent_id = a.id
	 WHERE a.platform_id = theazo_internal.current_platform() AND a.id = agent_progress.agent;
END
$$;
COMMENT ON FUNCTION theazo.agent_progress(text, text) IS
'how far an agent is by its newest checkpoint, else by what was reported, its age and the part of it in which it was not paused, in milliseconds; active, hibernated or terminated';

-- ----------------------------------------------------------------------------
-- The time providers give
-- ----------------------------------------------------------------------------
-- What a creation, a resume or a renewal has been given: until when, and what the provider says it is held to.
CREATE OR REPLACE FUNCTION theazo_internal.sandbox_granted(e theazo_data.effect, s theazo_data.sandbox, p_result jsonb, p_at timestamptz)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
	v_request	jsonb;
	v_life		integer;
	v_policy	text;
BEGIN
	SELECT x.request INTO v_request FROM theazo_data.effect_payload x WHERE x.platform_id = e.platform_id AND x.root_id = e.root_id AND x.id = e.id;
	v_life := CASE WHEN (p_result ->> 'lifetime_s') ~ '^[0-9]{1,9}$' THEN (p_result ->> 'lifetime_s')::integer
				   WHEN theazo_internal.compute_support(e.adapter, 'renew') <> 'none' THEN (v_request ->> 'lifetime_s')::integer END;
	UPDATE theazo_data.sandbox x
	   SET expires_at = p_at + v_life * '1 second'::interval, lifetime_s = coalesce(v_life, x.lifetime_s), seen_at = p_at, missed = 0,
		   renew_at = CASE WHEN theazo_internal.compute_support(e.adapter, 'renew') <> 'none' AND theazo_internal.compute_capable(e.platform_id, e.provider_name, 'renew')
						THEN p_at + v_life * 2 / 3 * '1 second'::interval END
	 WHERE x.platform_id = e.platform_id AND x.id = e.sandbox_id;
	IF e.kind <> 'compute.create' THEN
		RETURN;
	END IF;
	v_policy := theazo_internal.policy_verdict(v_request, p_result -> 'policy');
	UPDATE theazo_data.sandbox x
	   SET policy = v_policy, policy_found = CASE WHEN pg_catalog.octet_length((p_result -> 'policy')::text) <= 4096 THEN p_result -> 'policy' END
	 WHERE x.platform_id = e.platform_id AND x.id = e.sandbox_id;
	IF v_policy = 'weaker' THEN
		PERFORM theazo_internal.policy_weaker(e, s, v_request, p_result -> 'policy', 'allow');
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.sandbox_granted(theazo_data.effect, theazo_data.sandbox, jsonb, timestamptz) IS
'keeps what a provider has given a sandbox: its time, and what it is held to';

CREATE OR REPLACE FUNCTION theazo_internal.renewals_next()
RETURNS timestamptz
LANGUAGE sql STABLE
AS $$
	SELECT min(s.renew_at) FROM theazo_data.sandbox s WHERE s.status IN ('ready', 'warm') AND s.renew_at IS NOT NULL
$$;
COMMENT ON FUNCTION theazo_internal.renewals_next() IS 'when the next sandbox needs more time';

-- While the agent lives, its sandbox is given more time before it runs out.
CREATE OR REPLACE FUNCTION theazo_internal.keeper_renew()
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s	theazo_data.sandbox;
	a	theazo_data.agent;
	v_n	integer := 0;
BEGIN
	FOR s IN
		SELECT x.* FROM theazo_data.sandbox x
		 WHERE x.status IN ('ready', 'warm') AND x.renew_at <= clock_timestamp() AND x.instance = theazo_internal.instance()
		 ORDER BY x.renew_at LIMIT 500 FOR UPDATE SKIP LOCKED
	LOOP
		SELECT x.* INTO a FROM theazo_data.agent x WHERE x.platform_id = s.platform_id AND x.id = s.agent_id;
		CONTINUE WHEN a.status = 'completed';
		PERFORM theazo_internal.effect_enqueue(
			s.platform_id, NULL, 'compute.renew', s.adapter,
			jsonb_build_object('lifetime_s', CASE WHEN a.id IS NULL THEN s.lifetime_s ELSE theazo_internal.sandbox_lifetime(a, s.adapter) END),
			p_session => s.session_id, p_agent => s.agent_id, p_sandbox => s.id, p_provider => s.provider_name, p_max_attempts => 3,
			p_deadline => greatest(s.expires_at, clock_timestamp() + '1 minute'::interval));
		-- again, should no answer come
		UPDATE theazo_data.sandbox x SET renew_at = clock_timestamp() + greatest('30 seconds'::interval, (s.expires_at - clock_timestamp()) / 3)
		 WHERE x.platform_id = s.platform_id AND x.id = s.id;
		v_n := v_n + 1;
	END LOOP;
	RETURN v_n;
END
$$;
COMMENT ON FUNCTION theazo_internal.keeper_renew() IS 'keeper: asks providers for more time for sandboxes whose agents live';

CREATE OR REPLACE FUNCTION theazo_internal.compute_renewed(e theazo_data.effect, s theazo_data.sandbox, p_state text, p_result jsonb, p_finished timestamptz)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
	IF s.status NOT IN ('ready', 'warm') THEN
		RETURN;
	END IF;
	IF p_state = 'done' THEN
		PERFORM theazo_internal.sandbox_granted(e, s, p_result, p_finished);
	ELSIF p_state = 'failed' AND p_result ->> 'sqlstate' = 'TZ410' THEN
		PERFORM theazo_internal.sandbox_lost(e.platform_id, s.id, coalesce(p_result ->> 'message', 'the provider does not know it'), p_finished);
	ELSIF p_state = 'failed' AND p_result ->> 'sqlstate' = 'TZ406' THEN
		UPDATE theazo_data.sandbox x SET renew_at = NULL WHERE x.platform_id = e.platform_id AND x.id = s.id;
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.compute_renewed(theazo_data.effect, theazo_data.sandbox, text, jsonb, timestamptz) IS 'the end of a renewal';
