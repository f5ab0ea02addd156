-- sandbox.sql: the life of a sandbox. What it costs is in meter.sql.
--
--	creating -> ready -> paused -> ready ... -> destroying -> destroyed
--	creating -> failed | unknown;  ready, paused -> lost (it died by itself, or its dispatcher did)
--	any live one at a provider -> held (it came with a restore or a clone) -> as before, or unknown
--
-- Order of locks: agent, sandbox, effect, run. What is called here by other areas expects the agent's row locked.

CREATE OR REPLACE VIEW theazo.sandboxes WITH (security_barrier) AS
	SELECT s.id, s.session_id, s.agent_id, s.user_id, s.environment, s.provider, s.status, s.isolation, s.managed,
		   s.external_id, s.created_at, s.started_at, s.paused_at, s.ended_at, s.billed_seconds AS uptime_seconds,
		   round(s.billed_seconds::numeric / 60, 2) AS uptime_minutes, s.expires_at, s.policy
	  FROM theazo_data.sandbox s
	 WHERE (SELECT theazo_internal.may_read('agent:read'));
COMMENT ON VIEW theazo.sandboxes IS
'sandboxes of the platform with their metered uptime; expires_at: their provider ends them then; policy: confirmed, unconfirmed or weaker, what it says it holds them to against what was asked for';

-- Starts a sandbox for an agent and returns its id. Raises TZ407 when there is no provider at all, TZ406 when none can serve what is wanted; returns null when
-- every one has been tried. p_agent's row is locked by the caller.
-- p_snapshot: to be made from that, where the provider that gets it keeps it.
CREATE OR REPLACE FUNCTION theazo_internal.sandbox_start(p_platform text, p_agent text, p_tried text[] DEFAULT '{}', p_snapshot text DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a		theazo_data.agent;
	c		record;
	k		theazo_data.snapshot;
	v_id	text := theazo_internal.id_new('sbx');
	v_life	integer;
	v_env	text;
BEGIN
	SELECT * INTO a FROM theazo_data.agent x WHERE x.platform_id = p_platform AND x.id = p_agent FOR UPDATE;
	IF cardinality(p_tried) = 0 AND p_snapshot IS NULL THEN
		-- One may be waiting.
		v_id := theazo_internal.pool_assign(a);
		IF v_id IS NOT NULL THEN
			RETURN v_id;
		END IF;
		v_id := theazo_internal.id_new('sbx');
	END IF;
	SELECT * INTO c FROM theazo_internal.compute_take(a, p_tried);
	IF c.adapter IS NULL THEN
		RETURN NULL;
	END IF;
	PERFORM theazo_internal.gate_agent('compute.create', a, a.run_id, c.provider_name);
	SELECT s.key_environment INTO v_env FROM theazo_data.session s WHERE s.platform_id = p_platform AND s.id = a.session_id;
	SELECT y.* INTO k FROM theazo_data.snapshot y WHERE y.platform_id = p_platform AND y.id = p_snapshot;
	IF k.id IS NOT NULL AND (k.status <> 'kept' OR k.provider_name IS DISTINCT FROM c.provider_name OR k.adapter <> c.adapter
		OR theazo_internal.compute_support(c.adapter, 'snapshot') <> 'native') THEN
		PERFORM theazo_internal.log_write(p_platform, NULL, 'warn', 'provider', format('files of agent %s stay behind: %s cannot resume the snapshot of %s', p_agent, c.shown, k.provider),
			v_env, a.session_id, p_agent, NULL, a.user_id, c.shown);
		k.handle := NULL;
	END IF;
	v_life := theazo_internal.sandbox_lifetime(a, c.adapter);
	INSERT INTO theazo_data.sandbox (platform_id, id, session_id, agent_id, user_id, environment, provider, provider_name,
									 adapter, managed, browser, tried, labels, instance, lifetime_s, snapshot_id)
	VALUES (p_platform, v_id, a.session_id, p_agent, a.user_id, v_env, c.shown, c.provider_name, c.adapter, c.managed,
			coalesce((a.options ->> 'browser')::boolean, false), p_tried || coalesce(c.provider_name, 'theazo')::text,
			-- what waits for one that could not be made goes to this one
			CASE WHEN cardinality(p_tried) > 0 THEN theazo_internal.flow_sandbox(p_platform, a.sandbox_id) ELSE coalesce(k.labels, '{}') END,
			theazo_internal.instance(), v_life, p_snapshot);
	UPDATE theazo_data.agent x SET sandbox_id = v_id, provider = c.shown WHERE x.platform_id = p_platform AND x.id = p_agent;
	PERFORM theazo_internal.effect_enqueue(
		p_platform, NULL, 'compute.create', c.adapter,
		jsonb_build_object(
			'runtime', a.compute,
			-- what the provider keeps with it, to find it by when its answer was lost
			'tag', v_id,
			'instance', theazo_internal.instance(),
			'lifetime_s', v_life,
			'env', jsonb_build_object('THEAZO_AGENT_ID', p_agent, 'THEAZO_SESSION_ID', a.session_id,
									  'THEAZO_ENDPOINT', coalesce(current_setting('theazo.endpoint', true), '')),
			'network', theazo_internal.sandbox_network(a),
			'limits', jsonb_strip_nulls(jsonb_build_object('memory_mb', theazo_internal.policy_of(a) #> '{limits,maxMemoryMb}')))
			|| theazo_internal.compute_wishes(a.options)
			|| CASE WHEN k.handle IS NOT NULL THEN jsonb_build_object('snapshot', k.handle) ELSE '{}' END,
		p_session => a.session_id, p_agent => p_agent, p_sandbox => v_id, p_provider => c.provider_name,
		p_timeout_ms => 60000);
	PERFORM theazo_internal.event_write(p_platform, 'lifecycle', 'sandbox_created',
		jsonb_build_object('sandbox', v_id, 'provider', c.shown), a.session_id, p_agent, NULL, v_env);
	RETURN v_id;
END
$$;
COMMENT ON FUNCTION theazo_internal.sandbox_start(text, text, text[], text) IS
'starts a sandbox for an agent with the first provider not tried yet; null when all have been';

-- Seconds to ask for: the agent's own limit; an hour at a time where more can be asked for later.
CREATE OR REPLACE FUNCTION theazo_internal.sandbox_lifetime(a theazo_data.agent, p_adapter text)
RETURNS integer
LANGUAGE plpgsql STABLE
AS $$
DECLARE
	v_left pg_catalog."numeric" := (a.options ->> 'maxDuration')::pg_catalog."numeric";
BEGIN
	IF theazo_internal.compute_support(p_adapter, 'renew') = 'none' THEN
		RETURN coalesce(pg_catalog.ceil(v_left)::integer, 3600);
	END IF;
	v_left := v_left - extract(epoch FROM pg_catalog.clock_timestamp() - a.created_at);
	RETURN least(3600, greatest(60, pg_catalog.ceil(coalesce(v_left, 3600)) + 60))::integer;
END
$$;
COMMENT ON FUNCTION theazo_internal.sandbox_lifetime(theazo_data.agent, text) IS 'how long a sandbox is asked to live from now on, in seconds';

-- A sandbox to work in, now or soon: true when it is ready. p_agent is locked. Wakes what sleeps, replaces what was lost.
CREATE OR REPLACE FUNCTION theazo_internal.sandbox_ensure(p_platform text, p_agent text)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_sandbox	text;
	v_status	text;
BEGIN
	-- What another instance made is not ours to work in (sandboxes_hold).
	SELECT a.sandbox_id, CASE WHEN s.adapter = 'local' OR s.instance = theazo_internal.instance() THEN s.status END INTO v_sandbox, v_status
	  FROM theazo_data.agent a
	  LEFT JOIN theazo_data.sandbox s ON s.platform_id = a.platform_id AND s.id = a.sandbox_id
	 WHERE a.platform_id = p_platform AND a.id = p_agent;
	CASE
		WHEN v_status = 'ready' THEN
			RETURN true;
		WHEN v_status = 'creating' THEN
			RETURN false;
		WHEN v_status = 'paused' THEN
			RETURN theazo_internal.sandbox_resume(p_platform, p_agent);
		ELSE
			v_sandbox := theazo_internal.sandbox_start(p_platform, p_agent);
			RETURN EXISTS (SELECT FROM theazo_data.sandbox s WHERE s.platform_id = p_platform AND s.id = v_sandbox AND s.status = 'ready');
	END CASE;
END
$$;
COMMENT ON FUNCTION theazo_internal.sandbox_ensure(text, text) IS
'makes sure a sandbox is there or on its way; false when work has to wait for it';

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
				PERFORM theazo_internal.effect_cancel(e);
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
		PERFORM theazo_internal.budget_release(p_platform, s.id);
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

-- Pauses the sandbox of an agent: metering stops now. Work in flight finishes first; its settlement calls this again.
CREATE OR REPLACE FUNCTION theazo_internal.sandbox_pause(p_platform text, p_agent text)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s			theazo_data.sandbox;
	v_agent		theazo_data.agent;
	v_id		text;
	v_snapshot	text;
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
	SELECT x.* INTO v_agent FROM theazo_data.agent x WHERE x.platform_id = p_platform AND x.id = p_agent;
	v_id := theazo_internal.sandbox_sleep(s);
	v_snapshot := theazo_internal.snapshot_make(v_agent, s, 'pause', CASE WHEN v_id IS NULL THEN 'empty' ELSE 'taking' END);
	UPDATE theazo_data.snapshot x SET effect_id = v_id WHERE x.platform_id = p_platform AND x.id = v_snapshot;
	UPDATE theazo_data.sandbox x SET snapshot_id = v_snapshot WHERE x.platform_id = p_platform AND x.id = s.id;
END
$$;
COMMENT ON FUNCTION theazo_internal.sandbox_pause(text, text) IS
'pauses the sandbox of an agent at the provider where it can, else in the control plane only';

-- A locked sandbox goes to sleep: metering stops now, and its provider is asked to, where it can. Returns that effect.
CREATE OR REPLACE FUNCTION theazo_internal.sandbox_sleep(s theazo_data.sandbox)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
	r			theazo_data.run;
	v_amount	bigint;
BEGIN
	-- While a run thinks the time is the run's.
	SELECT x.* INTO r FROM theazo_data.agent a
	  JOIN theazo_data.run x ON x.platform_id = a.platform_id AND x.id = a.run_id AND x.kind = 'agent' AND x.status = 'running'
	  JOIN theazo_data.run_loop l ON l.platform_id = x.platform_id AND l.root_id = theazo_internal.id_root(x.id) AND NOT l.suspended
	 WHERE a.platform_id = s.platform_id AND a.id = s.agent_id;
	v_amount := theazo_internal.sandbox_bill(s.platform_id, s.id, pg_catalog.clock_timestamp(), false, r.id);
	IF v_amount > 0 AND r.id IS NOT NULL THEN
		UPDATE theazo_data.run_loop l SET spent = l.spent + v_amount
		 WHERE l.platform_id = r.platform_id AND l.root_id = theazo_internal.id_root(r.id) AND l.cost_cap IS NOT NULL;
	END IF;
	PERFORM theazo_internal.budget_release(s.platform_id, s.id);
	UPDATE theazo_data.sandbox x SET status = 'paused', paused_at = pg_catalog.clock_timestamp(), expires_at = NULL, renew_at = NULL
	 WHERE x.platform_id = s.platform_id AND x.id = s.id;
	PERFORM theazo_internal.event_write(s.platform_id, 'lifecycle', 'sandbox_paused', pg_catalog.jsonb_build_object('sandbox', s.id),
		s.session_id, s.agent_id, NULL, s.environment);
	IF NOT theazo_internal.compute_capable(s.platform_id, s.provider_name, 'pause') THEN
		RETURN NULL;
	END IF;
	RETURN theazo_internal.effect_enqueue(
		s.platform_id, NULL, 'compute.pause', s.adapter, NULL, p_session => s.session_id, p_agent => s.agent_id,
		p_sandbox => s.id, p_provider => s.provider_name, p_affinity => CASE WHEN s.adapter = 'local' THEN s.worker_slot END);
END
$$;
COMMENT ON FUNCTION theazo_internal.sandbox_sleep(theazo_data.sandbox) IS 'pauses a locked sandbox; returns the effect that asks its provider to, if it can';

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
				p_platform, NULL, 'compute.resume', s.adapter,
				jsonb_build_object('snapshot', s.snapshot, 'lifetime_s', (SELECT theazo_internal.sandbox_lifetime(a, s.adapter) FROM theazo_data.agent a
					WHERE a.platform_id = p_platform AND a.id = p_agent)),
				p_session => s.session_id, p_agent => p_agent, p_sandbox => s.id, p_provider => s.provider_name,
				p_affinity => CASE WHEN s.adapter = 'local' THEN s.worker_slot END);
		END IF;
		RETURN false;
	END IF;
	-- A pause that has not been sent need not be; one in flight is answered while nobody waits for it.
	PERFORM theazo_internal.effect_cancel(e)
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
DECLARE
	s	theazo_data.sandbox;
BEGIN
	-- What was kept for this pause is used up.
	PERFORM theazo_internal.snapshot_end(y, false)
	   FROM (SELECT z AS y FROM theazo_data.sandbox x
			   JOIN theazo_data.snapshot z ON z.platform_id = x.platform_id AND z.id = x.snapshot_id AND z.origin = 'pause'
			  WHERE x.platform_id = p_platform AND x.id = p_sandbox AND x.status = 'paused' FOR UPDATE OF z) q;
	UPDATE theazo_data.sandbox x
	   SET status = 'ready', snapshot = NULL, snapshot_id = NULL, paused_at = NULL,
		   paused_seconds = x.paused_seconds + greatest(0, extract(epoch FROM p_at - x.paused_at)),
		   billed_until = greatest(p_at, x.billed_until)
	 WHERE x.platform_id = p_platform AND x.id = p_sandbox AND x.status = 'paused'
	RETURNING x.* INTO s;
	IF FOUND THEN
		PERFORM theazo_internal.event_write(p_platform, 'lifecycle', 'sandbox_resumed', jsonb_build_object('sandbox', s.id),
			s.session_id, s.agent_id, NULL, s.environment);
		IF theazo_internal.budget_limited(p_platform, s.session_id) THEN
			-- The minute that begins is reserved by the keeper.
			PERFORM theazo_internal.wake_keeper();
		END IF;
	END IF;
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
	IF NOT FOUND OR s.status NOT IN ('warm', 'ready', 'paused', 'destroying') THEN
		RETURN;
	END IF;
	IF s.status = 'destroying' THEN
		UPDATE theazo_data.sandbox x SET status = 'destroyed', ended_at = coalesce(x.ended_at, clock_timestamp())
		 WHERE x.platform_id = p_platform AND x.id = p_sandbox;
		PERFORM theazo_internal.event_write(p_platform, 'lifecycle', 'sandbox_destroyed', jsonb_build_object('sandbox', s.id),
			s.session_id, s.agent_id, NULL, s.environment);
		RETURN;
	END IF;
	IF p_at IS NOT NULL THEN
		PERFORM theazo_internal.sandbox_bill(p_platform, p_sandbox, p_at, false);
	END IF;
	PERFORM theazo_internal.budget_release(p_platform, p_sandbox);
	UPDATE theazo_data.sandbox x SET status = 'lost', ended_at = coalesce(p_at, x.billed_until, clock_timestamp())
	 WHERE x.platform_id = p_platform AND x.id = p_sandbox;
	UPDATE theazo_data.agent a SET sandbox_id = NULL
	 WHERE a.platform_id = p_platform AND a.id = s.agent_id AND a.sandbox_id = p_sandbox;
	PERFORM theazo_internal.log_write(p_platform, NULL, 'warn', 'provider', format('sandbox %s is gone: %s', p_sandbox, theazo_internal.mask_left(p_reason, 200)),
		s.environment, s.session_id, s.agent_id, NULL, s.user_id, s.provider);
	PERFORM theazo_internal.event_write(p_platform, 'lifecycle', 'sandbox_lost',
		jsonb_build_object('sandbox', p_sandbox, 'reason', theazo_internal.mask_left(p_reason, 200)), s.session_id, s.agent_id, NULL, s.environment);
	PERFORM theazo_internal.sandbox_refuse(p_platform, s.agent_id, jsonb_build_object(
		'code', 'provider_error', 'sqlstate', 'TZ410', 'message', 'the sandbox is gone', 'detail', theazo_internal.mask_left(p_reason, 200),
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
	s	theazo_data.sandbox;
	v_n	integer := 0;
BEGIN
	FOR s IN
		UPDATE theazo_data.sandbox x SET status = 'held', status_before_hold = x.status
		 WHERE x.status IN ('creating', 'warm', 'ready', 'paused', 'destroying') AND x.adapter <> 'local'
		   AND x.instance <> theazo_internal.instance()
		RETURNING x.*
	LOOP
		PERFORM theazo_internal.event_write(s.platform_id, 'lifecycle', 'sandbox_held', jsonb_build_object('sandbox', s.id, 'reason', 'another instance'),
			s.session_id, s.agent_id, NULL, s.environment);
		v_n := v_n + 1;
	END LOOP;
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
		   status_before_hold = NULL, instance = theazo_internal.instance(),
		   -- its provider goes on calling it the other's, so it is never in the list of ours
		   labelled = nullif(coalesce(s.labelled, s.instance), theazo_internal.instance())
	  FROM theazo_data.agent a
	 WHERE s.status = 'held' AND a.platform_id = s.platform_id AND a.id = s.agent_id;
	GET DIAGNOSTICS v_n = ROW_COUNT;
	-- Made ahead, for nobody: nobody waits for those of another database.
	UPDATE theazo_data.sandbox s SET status = 'unknown', ended_at = coalesce(s.ended_at, clock_timestamp()), status_before_hold = NULL
	 WHERE s.status = 'held' AND s.agent_id IS NULL;
	RETURN v_n;
END
$$;
COMMENT ON FUNCTION theazo_internal.sandboxes_release() IS 'takes over sandboxes that another instance made';
