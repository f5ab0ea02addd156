-- sandbox.sql: the life of a sandbox, and its metering.
--
--	creating -> ready -> paused -> ready ... -> destroying -> destroyed
--	creating -> failed | unknown;  ready, paused -> lost (it died by itself, or its dispatcher did)
--	any live one at a provider -> held (it came with a restore or a clone) -> as before, or unknown
--
-- Order of locks: agent, sandbox, effect, run. What is called here by other areas expects the agent's row locked.

-- What waits for this agent's sandbox goes out now.
CREATE OR REPLACE FUNCTION theazo_internal.sandbox_release(p_platform text, p_sandbox text)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s	theazo_data.sandbox;
	v_n	integer;
BEGIN
	SELECT * INTO s FROM theazo_data.sandbox x WHERE x.platform_id = p_platform AND x.id = p_sandbox;
	UPDATE theazo_data.effect e
	   SET due_at = clock_timestamp(), sandbox_id = s.id, adapter = s.adapter, provider_name = s.provider_name,
		   affinity = CASE WHEN s.adapter = 'local' THEN s.worker_slot END
	  FROM theazo_data.run r
	 WHERE r.platform_id = p_platform AND r.agent_id = s.agent_id AND r.status IN ('queued', 'running')
	   AND e.platform_id = p_platform AND e.root_id = substr(r.id, 5) AND e.state = 'queued' AND e.due_at = 'infinity'
	   AND e.kind LIKE 'compute.%';
	GET DIAGNOSTICS v_n = ROW_COUNT;
	IF v_n > 0 THEN
		UPDATE theazo_data.run r SET provider = s.provider
		 WHERE r.platform_id = p_platform AND r.agent_id = s.agent_id AND r.status = 'queued' AND r.provider <> s.provider AND r.kind NOT IN ('http_fetch', 'tool_test');
		PERFORM theazo_internal.wake(CASE WHEN s.adapter = 'local' THEN s.worker_slot END);
	END IF;
	RETURN v_n;
END
$$;
COMMENT ON FUNCTION theazo_internal.sandbox_release(text, text) IS 'sends what waited for a sandbox';

-- What waits for this agent's sandbox ends: it does not come.
CREATE OR REPLACE FUNCTION theazo_internal.sandbox_refuse(p_platform text, p_agent text, p_error jsonb, p_only_sandbox text DEFAULT NULL)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	e	theazo_data.effect;
	v_n	integer := 0;
BEGIN
	FOR e IN
		SELECT x.* FROM theazo_data.run r
		  JOIN theazo_data.effect x ON x.platform_id = p_platform AND x.root_id = substr(r.id, 5)
		 WHERE r.platform_id = p_platform AND r.agent_id = p_agent AND r.status IN ('queued', 'running')
		   AND x.run_id = r.id AND x.state = 'queued'
		   AND x.kind LIKE 'compute.%' AND CASE WHEN p_only_sandbox IS NULL THEN x.due_at = 'infinity' ELSE x.sandbox_id = p_only_sandbox END
		 ORDER BY x.id FOR UPDATE OF x
	LOOP
		PERFORM theazo_internal.effect_close(e, 'failed', p_error, NULL, NULL, NULL);
		v_n := v_n + 1;
	END LOOP;
	RETURN v_n;
END
$$;
COMMENT ON FUNCTION theazo_internal.sandbox_refuse(text, text, jsonb, text) IS
'fails the runs that wait for a sandbox, or those queued for one that is gone';

-- Books a work interval: idle time until it began, then the work itself.
CREATE OR REPLACE FUNCTION theazo_internal.sandbox_bill_work(
	p_platform text, p_sandbox text, p_run text, p_effect text, p_started timestamptz, p_finished timestamptz, p_estimated boolean)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM 1 FROM theazo_data.sandbox s WHERE s.platform_id = p_platform AND s.id = p_sandbox FOR UPDATE;
	IF p_started IS NOT NULL THEN
		PERFORM theazo_internal.sandbox_bill(p_platform, p_sandbox, p_started, true);
	END IF;
	RETURN theazo_internal.sandbox_bill(p_platform, p_sandbox, p_finished, false, p_run, p_effect, p_estimated);
END
$$;
COMMENT ON FUNCTION theazo_internal.sandbox_bill_work(text, text, text, text, timestamptz, timestamptz, boolean) IS
'closes the idle time before a piece of work and the work itself; returns the amount of the work';

-- Destroys the sandbox of an agent and cancels its runs. The agent is finished whatever the provider answers.
CREATE OR REPLACE FUNCTION theazo_internal.sandbox_destroy(p_platform text, p_agent text)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a	theazo_data.agent;
	s	theazo_data.sandbox;
	e	theazo_data.effect;
	r	record;
BEGIN
	SELECT * INTO a FROM theazo_data.agent x WHERE x.platform_id = p_platform AND x.id = p_agent FOR UPDATE;
	PERFORM theazo_internal.agent_runs_cancel(p_platform, p_agent);
	FOR s IN
		SELECT x.* FROM theazo_data.sandbox x
		 WHERE x.platform_id = p_platform AND x.agent_id = p_agent AND x.status IN ('creating', 'ready', 'paused')
		 ORDER BY x.id FOR UPDATE
	LOOP
		IF s.status = 'creating' THEN
			UPDATE theazo_data.sandbox x SET status = 'destroying', ended_at = clock_timestamp()
			 WHERE x.platform_id = p_platform AND x.id = s.id;
			SELECT x.* INTO e FROM theazo_data.effect x
			 WHERE x.platform_id = p_platform AND x.state = 'queued' AND x.kind = 'compute.create' AND x.sandbox_id = s.id FOR UPDATE;
			-- In flight: the settlement of the creation destroys what it made.
			IF FOUND THEN
				PERFORM theazo_internal.effect_close(e, 'cancelled', '{"code": "cancelled", "message": "cancelled"}', NULL, NULL, NULL);
			END IF;
			CONTINUE;
		END IF;
		-- Work in flight is booked now, while the sandbox still counts.
		FOR r IN
			SELECT x.id, x.run_id, x.claimed_at FROM theazo_data.run y
			  JOIN theazo_data.effect x ON x.platform_id = p_platform AND x.root_id = substr(y.id, 5) AND x.run_id = y.id
			 WHERE y.platform_id = p_platform AND y.agent_id = p_agent AND y.status = 'running'
			   AND x.state IN ('claimed', 'sent') AND x.kind = 'compute.exec'
		LOOP
			PERFORM theazo_internal.sandbox_bill_work(p_platform, s.id, r.run_id, r.id, r.claimed_at, clock_timestamp(), false);
		END LOOP;
		PERFORM theazo_internal.sandbox_bill(p_platform, s.id, clock_timestamp(), false);
		UPDATE theazo_data.sandbox x SET status = 'destroying', ended_at = clock_timestamp()
		 WHERE x.platform_id = p_platform AND x.id = s.id;
		PERFORM theazo_internal.effect_enqueue(
			p_platform, NULL, 'compute.destroy', s.adapter, NULL, p_session => s.session_id, p_agent => p_agent,
			p_sandbox => s.id, p_provider => s.provider_name, p_max_attempts => 5,
			p_affinity => CASE WHEN s.adapter = 'local' THEN s.worker_slot END);
	END LOOP;
	UPDATE theazo_data.agent x SET sandbox_id = NULL, run_id = NULL WHERE x.platform_id = p_platform AND x.id = p_agent;
END
$$;
COMMENT ON FUNCTION theazo_internal.sandbox_destroy(text, text) IS 'cancels the runs of an agent and destroys its sandbox';

-- Can this provider pause? Learnt from a 501, never asked again until the entry is replaced.
CREATE OR REPLACE FUNCTION theazo_internal.compute_capable(p_platform text, p_provider_name text, p_op text)
RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT NOT EXISTS (SELECT FROM theazo_data.provider v
						WHERE v.kind = 'compute' AND v.capabilities -> p_op = 'false'::jsonb
						  AND v.platform_id = CASE WHEN p_provider_name LIKE 'theazo:%' THEN theazo_internal.operator_platform() ELSE p_platform END
						  AND v.name = CASE WHEN p_provider_name LIKE 'theazo:%' THEN substr(p_provider_name, 8) ELSE p_provider_name END)
$$;
COMMENT ON FUNCTION theazo_internal.compute_capable(text, text, text) IS 'false when the provider has answered 501 to this operation';

CREATE OR REPLACE FUNCTION theazo_internal.compute_learn(p_platform text, p_provider_name text, p_op text)
RETURNS void
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	UPDATE theazo_data.provider v
	   SET capabilities = v.capabilities || jsonb_build_object(p_op, false)
	 WHERE v.kind = 'compute' AND v.capabilities -> p_op IS DISTINCT FROM 'false'::jsonb
	   AND v.platform_id = CASE WHEN p_provider_name LIKE 'theazo:%' THEN theazo_internal.operator_platform() ELSE p_platform END
	   AND v.name = CASE WHEN p_provider_name LIKE 'theazo:%' THEN substr(p_provider_name, 8) ELSE p_provider_name END
$$;
COMMENT ON FUNCTION theazo_internal.compute_learn(text, text, text) IS 'remembers that a provider lacks an operation';

-- Pauses the sandbox of an agent: metering stops now. Work in flight finishes first; its settlement calls this again.
CREATE OR REPLACE FUNCTION theazo_internal.sandbox_pause(p_platform text, p_agent text)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s	theazo_data.sandbox;
BEGIN
	SELECT x.* INTO s FROM theazo_data.sandbox x JOIN theazo_data.agent a ON a.platform_id = x.platform_id AND a.sandbox_id = x.id
	 WHERE a.platform_id = p_platform AND a.id = p_agent AND x.status = 'ready' FOR UPDATE OF x;
	IF NOT FOUND OR EXISTS (SELECT FROM theazo_data.run r
							 WHERE r.platform_id = p_platform AND r.agent_id = p_agent AND r.status IN ('queued', 'running')
							   -- one that this pause has stopped does not work
							   AND NOT EXISTS (SELECT FROM theazo_data.run_loop l
												WHERE l.platform_id = r.platform_id AND l.root_id = substr(r.id, 5) AND l.suspended)) THEN
		RETURN;
	END IF;
	PERFORM theazo_internal.sandbox_bill(p_platform, s.id, clock_timestamp(), false);
	UPDATE theazo_data.sandbox x SET status = 'paused', paused_at = clock_timestamp()
	 WHERE x.platform_id = p_platform AND x.id = s.id;
	-- A box of ours is kept as it is: pausing it is a matter of rows.
	IF s.adapter <> 'local' AND theazo_internal.compute_capable(p_platform, s.provider_name, 'pause') THEN
		PERFORM theazo_internal.effect_enqueue(
			p_platform, NULL, 'compute.pause', s.adapter, NULL, p_session => s.session_id, p_agent => p_agent,
			p_sandbox => s.id, p_provider => s.provider_name);
	END IF;
END
$$;
COMMENT ON FUNCTION theazo_internal.sandbox_pause(text, text) IS
'pauses the sandbox of an agent at the provider where it can, else in the control plane only';

-- The other way. False when the provider must be asked first: work waits until it has answered.
CREATE OR REPLACE FUNCTION theazo_internal.sandbox_resume(p_platform text, p_agent text)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s	theazo_data.sandbox;
BEGIN
	SELECT x.* INTO s FROM theazo_data.sandbox x JOIN theazo_data.agent a ON a.platform_id = x.platform_id AND a.sandbox_id = x.id
	 WHERE a.platform_id = p_platform AND a.id = p_agent AND x.status = 'paused' FOR UPDATE OF x;
	IF NOT FOUND THEN
		RETURN true;
	END IF;
	IF s.snapshot IS NOT NULL THEN
		IF NOT EXISTS (SELECT FROM theazo_data.effect e
						WHERE e.platform_id = p_platform AND e.sandbox_id = s.id AND e.kind = 'compute.resume'
						  AND e.state IN ('queued', 'claimed', 'sent', 'held')
						  AND e.root_id >= theazo_internal.id_floor(s.paused_at - '1 hour'::interval)) THEN
			PERFORM theazo_internal.effect_enqueue(
				p_platform, NULL, 'compute.resume', s.adapter, jsonb_build_object('snapshot', s.snapshot),
				p_session => s.session_id, p_agent => p_agent, p_sandbox => s.id, p_provider => s.provider_name);
		END IF;
		RETURN false;
	END IF;
	-- A pause that has not been sent need not be; one in flight is answered while nobody waits for it.
	PERFORM theazo_internal.effect_close(e, 'cancelled', '{"code": "cancelled", "message": "cancelled"}', NULL, NULL, NULL)
	   FROM (SELECT x AS e FROM theazo_data.effect x
			  WHERE x.platform_id = p_platform AND x.sandbox_id = s.id AND x.kind = 'compute.pause' AND x.state = 'queued'
				FOR UPDATE) AS q;
	IF EXISTS (SELECT FROM theazo_data.effect e
				WHERE e.platform_id = p_platform AND e.sandbox_id = s.id AND e.kind = 'compute.pause' AND e.state IN ('claimed', 'sent')
				  AND e.root_id >= theazo_internal.id_floor(s.paused_at - '1 hour'::interval)) THEN
		-- Its settlement resumes again when the agent is not paused any more.
		RETURN false;
	END IF;
	PERFORM theazo_internal.sandbox_awake(p_platform, s.id, clock_timestamp());
	RETURN true;
END
$$;
COMMENT ON FUNCTION theazo_internal.sandbox_resume(text, text) IS
'resumes the sandbox of an agent; false when the provider has to answer first';

CREATE OR REPLACE FUNCTION theazo_internal.sandbox_awake(p_platform text, p_sandbox text, p_at timestamptz)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE theazo_data.sandbox x
	   SET status = 'ready', snapshot = NULL, paused_at = NULL,
		   paused_seconds = x.paused_seconds + greatest(0, extract(epoch FROM p_at - x.paused_at)),
		   billed_until = greatest(p_at, x.billed_until)
	 WHERE x.platform_id = p_platform AND x.id = p_sandbox AND x.status = 'paused';
	PERFORM theazo_internal.sandbox_release(p_platform, p_sandbox);
END
$$;
COMMENT ON FUNCTION theazo_internal.sandbox_awake(text, text, timestamptz) IS 'a paused sandbox runs again: metering goes on from here';

-- A sandbox is gone without anyone asking. p_at null: nobody knows when, so nothing is booked beyond the last closing.
CREATE OR REPLACE FUNCTION theazo_internal.sandbox_lost(p_platform text, p_sandbox text, p_reason text, p_at timestamptz)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s	theazo_data.sandbox;
BEGIN
	PERFORM 1 FROM theazo_data.agent a
	 WHERE a.platform_id = p_platform
	   AND a.id = (SELECT x.agent_id FROM theazo_data.sandbox x WHERE x.platform_id = p_platform AND x.id = p_sandbox) FOR UPDATE;
	SELECT * INTO s FROM theazo_data.sandbox x WHERE x.platform_id = p_platform AND x.id = p_sandbox FOR UPDATE;
	IF NOT FOUND OR s.status NOT IN ('ready', 'paused', 'destroying') THEN
		RETURN;
	END IF;
	IF s.status = 'destroying' THEN
		UPDATE theazo_data.sandbox x SET status = 'destroyed', ended_at = coalesce(x.ended_at, clock_timestamp())
		 WHERE x.platform_id = p_platform AND x.id = p_sandbox;
		RETURN;
	END IF;
	IF p_at IS NOT NULL THEN
		PERFORM theazo_internal.sandbox_bill(p_platform, p_sandbox, p_at, false);
	END IF;
	UPDATE theazo_data.sandbox x SET status = 'lost', ended_at = coalesce(p_at, x.billed_until, clock_timestamp())
	 WHERE x.platform_id = p_platform AND x.id = p_sandbox;
	UPDATE theazo_data.agent a SET sandbox_id = NULL
	 WHERE a.platform_id = p_platform AND a.id = s.agent_id AND a.sandbox_id = p_sandbox;
	PERFORM theazo_internal.log_write(p_platform, NULL, 'warn', 'provider', format('sandbox %s is gone: %s', p_sandbox, left(p_reason, 200)),
		s.environment, s.session_id, s.agent_id, NULL, s.user_id, s.provider);
	PERFORM theazo_internal.event_write(p_platform, 'lifecycle', 'sandbox_lost',
		jsonb_build_object('sandbox', p_sandbox, 'reason', left(p_reason, 200)), s.session_id, s.agent_id, NULL, s.environment);
	PERFORM theazo_internal.sandbox_refuse(p_platform, s.agent_id, jsonb_build_object(
		'code', 'provider_error', 'sqlstate', 'TZ410', 'message', 'the sandbox is gone', 'detail', left(p_reason, 200),
		'hint', 'Its files are lost. The next exec makes a new sandbox.'), p_sandbox);
END
$$;
COMMENT ON FUNCTION theazo_internal.sandbox_lost(text, text, text, timestamptz) IS
'marks a sandbox as gone; the agent stays usable and its next exec makes a new one';

CREATE OR REPLACE FUNCTION theazo_internal.sandbox_gone(p_platform_id text, p_sandbox_id text, p_reason text)
RETURNS void
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$ SELECT theazo_internal.sandbox_lost(p_platform_id, p_sandbox_id, p_reason, clock_timestamp()) $$;
COMMENT ON FUNCTION theazo_internal.sandbox_gone(text, text, text) IS 'a dispatcher reports that a box ended by itself';

-- Sandboxes at a provider that came with a restore or a clone: the database they came from may still use them, so here
-- nobody works in them, ends them or books their time until the operator lets them go.
CREATE OR REPLACE FUNCTION theazo_internal.sandboxes_hold()
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_n integer;
BEGIN
	UPDATE theazo_data.sandbox s SET status = 'held', status_before_hold = s.status
	 WHERE s.status IN ('creating', 'ready', 'paused', 'destroying') AND s.adapter <> 'local'
	   AND s.instance <> theazo_internal.instance();
	GET DIAGNOSTICS v_n = ROW_COUNT;
	RETURN v_n;
END
$$;
COMMENT ON FUNCTION theazo_internal.sandboxes_hold() IS 'holds sandboxes that another instance made';

-- They are this database's from now on. Time that passed while they were held is nobody's. Where an agent has got
-- another one meanwhile, nobody comes back for the old.
CREATE OR REPLACE FUNCTION theazo_internal.sandboxes_release()
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_n integer;
BEGIN
	UPDATE theazo_data.sandbox s
	   SET status = CASE WHEN a.sandbox_id = s.id OR s.status_before_hold = 'destroying' THEN s.status_before_hold ELSE 'unknown' END,
		   ended_at = CASE WHEN a.sandbox_id = s.id THEN s.ended_at ELSE coalesce(s.ended_at, clock_timestamp()) END,
		   paused_seconds = s.paused_seconds + CASE WHEN s.paused_at IS NULL AND s.billed_until IS NOT NULL
			THEN greatest(0, extract(epoch FROM clock_timestamp() - s.billed_until)) ELSE 0 END,
		   billed_until = CASE WHEN s.paused_at IS NULL AND s.billed_until IS NOT NULL THEN clock_timestamp() ELSE s.billed_until END,
		   status_before_hold = NULL, instance = theazo_internal.instance()
	  FROM theazo_data.agent a
	 WHERE s.status = 'held' AND a.platform_id = s.platform_id AND a.id = s.agent_id;
	GET DIAGNOSTICS v_n = ROW_COUNT;
	RETURN v_n;
END
$$;
COMMENT ON FUNCTION theazo_internal.sandboxes_release() IS 'takes over sandboxes that another instance made';

-- ----------------------------------------------------------------------------
-- Idle minutes
-- ----------------------------------------------------------------------------
-- Closes whole minutes of idle time, at most ten a turn for each sandbox. A sandbox at work is left to its exec.
CREATE OR REPLACE FUNCTION theazo_internal.sandboxes_meter()
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_here	text := theazo_internal.instance();
	s	theazo_data.sandbox;
	v_n	integer := 0;
	v_i	integer;
BEGIN
	FOR s IN
		SELECT x.* FROM theazo_data.sandbox x
		 WHERE x.status = 'ready' AND x.instance = v_here AND x.billed_until < clock_timestamp() - '1 minute'::interval
		 ORDER BY x.agent_id LIMIT 2000
	LOOP
		CONTINUE WHEN EXISTS (SELECT FROM theazo_data.run r
							   WHERE r.platform_id = s.platform_id AND r.agent_id = s.agent_id
								 AND r.status IN ('queued', 'running') AND r.kind IN ('exec', 'agent'));
		SELECT * INTO s FROM theazo_data.sandbox x WHERE x.platform_id = s.platform_id AND x.id = s.id FOR UPDATE SKIP LOCKED;
		CONTINUE WHEN NOT FOUND OR s.status <> 'ready';
		-- A long gap (the keeper was away) is closed in one.
		IF s.billed_until < clock_timestamp() - '1 hour'::interval THEN
			PERFORM theazo_internal.sandbox_bill(s.platform_id, s.id, s.billed_until
				+ floor(extract(epoch FROM clock_timestamp() - s.billed_until) / 60) * '1 minute'::interval, false);
			v_n := v_n + 1;
			CONTINUE;
		END IF;
		v_i := 0;
		WHILE s.billed_until < clock_timestamp() - '1 minute'::interval AND v_i < 10
		LOOP
			s.billed_until := s.billed_until + '1 minute'::interval;
			PERFORM theazo_internal.sandbox_bill(s.platform_id, s.id, s.billed_until, false);
			v_i := v_i + 1;
		END LOOP;
		v_n := v_n + v_i;
	END LOOP;
	RETURN v_n;
END
$$;
COMMENT ON FUNCTION theazo_internal.sandboxes_meter() IS 'keeper: books whole minutes of idle uptime';

CREATE OR REPLACE VIEW theazo.sandboxes WITH (security_barrier) AS
	SELECT s.id, s.session_id, s.agent_id, s.user_id, s.environment, s.provider, s.status, s.isolation, s.managed,
		   s.external_id, s.created_at, s.started_at, s.paused_at, s.ended_at, s.billed_seconds AS uptime_seconds,
		   round(s.billed_seconds::numeric / 60, 2) AS uptime_minutes
	  FROM theazo_data.sandbox s
	 WHERE (SELECT theazo_internal.may_read('agent:read'));
COMMENT ON VIEW theazo.sandboxes IS 'sandboxes of the platform with their metered uptime';
