-- meter.sql: the uptime of sandboxes, booked as one charge for each closed interval.
--
-- What is charged are started seconds of uptime. Each closing brings the sum of all intervals to the whole seconds reached
-- so far, so the sum over a sandbox's life is its uptime rounded up once. An idle interval that ends because work begins is
-- cut at the last full second: the second in which the work starts belongs to the work.

-- Closes the interval [billed_until, p_until) of a sandbox whose row the caller has locked. p_effect and p_run
-- are null for idle time. Returns the amount.
CREATE OR REPLACE FUNCTION theazo_internal.sandbox_bill(
	p_platform text, p_sandbox text, p_until timestamptz, p_before_work boolean,
	p_run text DEFAULT NULL, p_effect text DEFAULT NULL, p_estimated boolean DEFAULT false)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s			theazo_data.sandbox;
	v_until		timestamptz;
	v_uptime	numeric;
	v_target	bigint;
	v_seconds	bigint;
	v_amount	bigint := 0;
	v_item		text;
BEGIN
	SELECT * INTO s FROM theazo_data.sandbox x WHERE x.platform_id = p_platform AND x.id = p_sandbox;
	IF NOT FOUND OR s.started_at IS NULL THEN
		RETURN 0;
	END IF;
	-- Clocks of different transactions may disagree by little; time never runs backwards here.
	v_until := greatest(p_until, s.billed_until);
	-- Paused since paused_at: nothing runs after that moment.
	IF s.paused_at IS NOT NULL THEN
		v_until := greatest(s.billed_until, least(v_until, s.paused_at));
	END IF;
	-- Its provider ends it then, whoever notices and when.
	IF s.expires_at IS NOT NULL THEN
		v_until := greatest(s.billed_until, least(v_until, s.expires_at));
	END IF;
	-- Being destroyed: what it does after that moment is nobody's.
	IF s.ended_at IS NOT NULL THEN
		v_until := greatest(s.billed_until, least(v_until, s.ended_at));
	END IF;
	v_uptime := greatest(0, extract(epoch FROM v_until - s.started_at) - s.paused_seconds);
	v_target := CASE WHEN p_before_work THEN floor(v_uptime) ELSE ceil(v_uptime) END;
	v_seconds := greatest(0, v_target - s.billed_seconds);
	IF p_effect IS NULL AND v_seconds = 0 THEN
		UPDATE theazo_data.sandbox x SET billed_until = v_until
		 WHERE x.platform_id = p_platform AND x.id = p_sandbox AND x.billed_until < v_until;
		RETURN 0;
	END IF;
	IF s.managed THEN
		v_item := CASE WHEN s.browser THEN 'compute.hour.browser' ELSE 'compute.hour' END;
		-- What held when the interval began: work is not billed at a price that came after it was sent.
		v_amount := theazo_internal.amount_round(theazo_internal.price_at(p_platform, v_item, s.billed_until) * v_seconds / 3600);
	END IF;
	v_amount := theazo_internal.charge_write(
		p_platform,
		-- Idle time has no run: it lies with the moment it began.
		CASE WHEN p_run IS NULL THEN theazo_internal.id_root(theazo_internal.id_derive('chg',
				theazo_internal.id_floor(s.billed_until), p_sandbox || '|idle|' || s.billed_seconds))
			 ELSE theazo_internal.id_root(p_run) END,
		CASE WHEN p_run IS NULL THEN theazo_internal.id_derive('chg',
				theazo_internal.id_floor(s.billed_until), p_sandbox || '|idle|' || s.billed_seconds)
			 -- A run of the loop may be closed several times.
			 WHEN p_effect IS NULL THEN theazo_internal.id_derive('chg', p_run, p_run || '|' || p_sandbox || '|' || s.billed_seconds || '|compute.second')
			 ELSE theazo_internal.id_derive('chg', p_effect, p_effect || '|0|compute.second') END,
		s.environment, s.session_id, s.agent_id, p_run, s.user_id, p_effect, p_sandbox,
		'compute.second', v_seconds, v_amount,
		CASE WHEN s.managed THEN 'theazo' ELSE 'provider' END, s.provider, p_estimated, s.billed_until, v_until);
	UPDATE theazo_data.sandbox x
	   SET billed_until = v_until, billed_seconds = x.billed_seconds + v_seconds
	 WHERE x.platform_id = p_platform AND x.id = p_sandbox;
	RETURN v_amount;
END
$$;
COMMENT ON FUNCTION theazo_internal.sandbox_bill(text, text, timestamptz, boolean, text, text, boolean) IS
'closes the running interval of a sandbox with one charge and returns its amount';

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

-- Closes the time a sandbox served a run, thinking time included, with one charge of the run.
CREATE OR REPLACE FUNCTION theazo_internal.sandbox_bill_run(r theazo_data.run, p_until timestamptz)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_id text;
BEGIN
	SELECT s.id INTO v_id FROM theazo_data.agent a
	  JOIN theazo_data.sandbox s ON s.platform_id = a.platform_id AND s.id = a.sandbox_id
	 WHERE a.platform_id = r.platform_id AND a.id = r.agent_id AND s.status = 'ready' FOR UPDATE OF s;
	IF NOT FOUND THEN
		RETURN 0;
	END IF;
	RETURN theazo_internal.sandbox_bill(r.platform_id, v_id, p_until, false, r.id);
END
$$;
COMMENT ON FUNCTION theazo_internal.sandbox_bill_run(theazo_data.run, timestamptz) IS
'books the time a sandbox served a run; returns the amount';

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
		 WHERE x.status IN ('ready', 'warm') AND x.instance = v_here AND x.billed_until < clock_timestamp() - '1 minute'::interval
		 ORDER BY x.agent_id LIMIT 2000
	LOOP
		CONTINUE WHEN EXISTS (SELECT FROM theazo_data.run r
							   WHERE r.platform_id = s.platform_id AND r.agent_id = s.agent_id
								 AND r.status IN ('queued', 'running') AND r.kind IN ('exec', 'agent'));
		SELECT * INTO s FROM theazo_data.sandbox x WHERE x.platform_id = s.platform_id AND x.id = s.id FOR UPDATE SKIP LOCKED;
		CONTINUE WHEN NOT FOUND OR s.status NOT IN ('ready', 'warm');
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
